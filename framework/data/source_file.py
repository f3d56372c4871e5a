"""The file that holds a study's data: where it may lie and what it is called."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, Any

from framework.errors import DataError, SafetyError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

EXPORT = "export the table again: a header and one line per observation"
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that may be read.

    Attributes:
        path: resolved.
        shown: as the study names it.
        table: ending without compression: `.csv` for `x.csv.gz`.
    """

    path: Path
    shown: str
    table: str

    def start(self) -> tuple[bytes, bool]:
        """The first bytes, decompressed, and whether they are the whole file."""
        with self.path.open("rb") as raw:
            start = self._unpacked(raw, _HEADER_BYTES)
        return start, len(start) < _HEADER_BYTES

    def contents(self) -> tuple[bytes, str]:
        """The bytes, decompressed, and the sha256 of the file as it lies there."""
        raw = self.path.read_bytes()
        sha256 = hashlib.sha256(raw).hexdigest()
        return self._unpacked(io.BytesIO(raw), -1), sha256

    def _unpacked(self, raw: IO[bytes], size: int) -> bytes:
        openers: Mapping[str, Callable[..., Any]] = {
            ".gz": gzip.open,
            ".bz2": bz2.open,
            ".compress": lzma.open,
        }
        opener = openers.get(self.path.suffix.lower())
        if opener is None:
            return raw.read(size)
        try:
            with opener(raw, "rb") as stream:
                return bytes(stream.read(size))
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise unreadable(self, error) from error


def near(path: Path) -> str:
    """What may have been meant by a file that is not there."""
    folder = path.parent
    near = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    return did_you_mean(path.name, near) or f"there is no folder {folder.name}/"


def inside(written: str, root: Path, base: Path | None = None) -> Path:
    """The path of a file that lies in the project, links followed.

    Raises:
        SafetyError: X08, an absolute path, a URL, or a way out of `root`.
    """
    why = "a study from elsewhere could read private files into its report"
    fix = "copy the data into the project and write the path from the study's folder"
    absolute = (
        PurePosixPath(written).is_absolute()
        or PureWindowsPath(written).is_absolute()
        or bool(PureWindowsPath(written).drive)
        or written.startswith("~")
    )
    if "://" in written or written.lower().startswith("file:"):
        what = f"'{written}' is a URL; data are read from files of the project"
    elif absolute or "\0" in written:
        what = f"'{written}' is an absolute path"
    else:
        home = root.resolve()
        path = ((base or root) / written).resolve()
        if path.is_relative_to(home):
            return path
        what = f"'{written}' leads out of the project's folder"
    raise SafetyError("X08", what, why=why, fix=fix, path="data.source")


def same_hash(sha256: str, source: Mapping[str, Any], shown: str) -> None:
    """Demand the sha256 that a study pins, if it pins one.

    Raises:
        DataError: D13.
    """
    pinned = source.get("sha256")
    if pinned is None or str(pinned).strip().lower() == sha256:
        return
    raise DataError(
        "D13",
        f"{shown} has sha256 {sha256}, the study pins {pinned}",
        why="the file is cut off or is another version, so every number could differ",
        fix="fetch the file again, or pin the new sha256 if the change is meant",
        path="data.source.sha256",
    )


def unreadable(file: SourceFile, error: Exception) -> DataError:
    """D18, with what the engine said."""
    # The engine names its own buffer first; the file is named here.
    said = re.sub(r"^Could not open .*?'<Buffer>': ", "", str(error))
    reason = " ".join(said.split())[:200]
    return DataError(
        "D18",
        f"{file.shown} can't be read as {file.table}: {reason}",
        fix="open it where it was made and save it again",
        path="data.source",
    )


def distinct_names(written: Sequence[Any], shown: str) -> tuple[str, ...]:
    """Names of columns; one without a name (a row number) is `unnamed_1`, by place."""
    stripped = [str(name).strip() for name in written]
    names = [name or f"unnamed_{at}" for at, name in enumerate(stripped, start=1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = [at for at, name in enumerate(names, start=1) if name == twice[0]]
        raise DataError(
            "D09",
            f"{shown} names {len(twice)} column{'s' * (len(twice) > 1)} twice: "
            f"'{twice[0]}' (columns {', '.join(map(str, places))})"
            + "".join(f", '{name}'" for name in twice[1:6]),
            why="which of them a study means can't be known",
            fix="give every column its own name",
            path="data.source",
        )
    return tuple(names)


def plain_columns(frame: pd.DataFrame, shown: str) -> pd.DataFrame:
    """Columns of the plain types (`framework.data.columns`), rows numbered from 0.

    A column of no plain type stays as it is: only where it is used is it at fault.

    Raises:
        DataError: D09 a column named twice, D11 no rows.
    """
    import pandas as pd

    from framework.data.columns import plain_or_as_is

    if not len(frame):
        raise DataError("D11", f"{shown} has no rows", path="data.source")
    names = distinct_names(list(frame.columns), shown)
    columns = {
        name: plain_or_as_is(frame.iloc[:, at].rename(name))
        for at, name in enumerate(names)
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)), copy=False)
