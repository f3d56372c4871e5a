"""`generate`: simulated data with their truth beside them, the same for the same seed."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework import registry
from framework.commands import printing
from framework.contract import Generator
from framework.data.sources import truth_beside
from framework.errors import OK, SpecError, StorageError, counted, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

#: Digits that are written: enough for any estimate, few enough to hide the last bits
#: in which two builds of one library differ.
DIGITS = 8


def generate(options: argparse.Namespace) -> int:
    """Simulated data of a generator as CSV, and `….truth.json` beside them."""
    wanted = _options(options.overrides, options.preset)
    maker = _generator(options.name, wanted)
    output = options.output or _default(options.name, maker)
    if not output.name.endswith((".csv", ".csv.gz")):
        raise SpecError(
            "X12",
            f"'{output.name}' is neither .csv nor .csv.gz",
            fix=f"--output {output.with_suffix('').name}.csv.gz",
        )
    if options.seed < 0:
        raise SpecError(
            "X12", f"a seed is a whole number from 0, got {options.seed}", path="--seed"
        )
    truth_file = truth_beside(output)
    _may_write(output, truth_file)
    frame, truth = maker.generate(options.seed)
    files = {output: table(frame, compressed=output.name.endswith(".gz"))}
    files[truth_file] = document(truth)
    changed = {path: c for path, c in files.items() if not _holds(path, c)}
    if not options.force:
        # Both or none: data beside the truth of others would be worse than no data.
        _refuse_to_replace([path for path in changed if path.exists()])
    for path, content in changed.items():
        _write(path, content)
    printing.out(
        f"{output}: {counted(len(frame), 'row')}, {frame.shape[1]} columns",
        f"{truth_file}: what is true in them",
        str(truth["generated"]),
    )
    return OK


def table(frame: pd.DataFrame, *, compressed: bool) -> bytes:
    """A frame as CSV in UTF-8, the same bytes for the same numbers."""
    text = frame.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    raw = text.encode("utf-8")
    if not compressed:
        return raw
    packed = io.BytesIO()
    # Neither a time stamp nor a file name: they would change the bytes.
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(raw)
    return packed.getvalue()


def document(truth: Mapping[str, Any]) -> bytes:
    """The truth as JSON; lists of numbers stay on one line."""
    items = [f"  {json.dumps(k)}: {_one_line(v)}" for k, v in truth.items()]
    return ("{\n" + ",\n".join(items) + "\n}\n").encode("utf-8")


def _one_line(value: Any) -> str:
    if isinstance(value, Mapping) and any(isinstance(v, list) for v in value.values()):
        rows = [f"    {json.dumps(k)}: {_one_line(v)}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + "\n  }"
    return json.dumps(_rounded(value), ensure_ascii=False)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return value


def _options(pairs: list[str], preset: str | None) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise SpecError("X22", f"what is {' '.join(wrong)}?", fix="OPTION=VALUE")
    found: dict[str, str] = {} if preset is None else {"preset": preset}
    for pair in pairs:
        key, value = pair.split("=", 1)
        if found.setdefault(key, value) != value:
            raise SpecError(
                "X22",
                f"{key} is given twice, {found[key]} and {value}",
                fix="one of them",
            )
    return found


def _generator(name: str, options: Mapping[str, str]) -> Generator:
    from pydantic import ValidationError

    from framework.spec import wording

    made = registry.get("generator", name)
    unknown = [key for key in options if key not in made.model_fields]
    if unknown:
        raise SpecError(
            "X01",
            f"generator '{name}' has no option '{unknown[0]}'",
            fix=did_you_mean(unknown[0], list(made.model_fields)),
        )
    try:
        built = made.model_validate(dict(options))
    except ValidationError as error:
        said = "; ".join(f"{e['loc'][0]}: {wording.say(e)}" for e in error.errors())
        raise SpecError(
            "X12", f"generator '{name}': {said}", fix=f"estimand show {name}"
        ) from error
    assert isinstance(built, Generator)  # noqa: S101 - the registry has checked it
    return built


def _default(name: str, maker: Generator) -> Path:
    """`NAME_simulated.csv.gz`; another preset than the usual one is in the name, too."""
    home = Path("specs") / "data"
    usual = type(maker).model_fields.get("preset")
    preset = getattr(maker, "preset", None)
    stem = [name, "simulated"]
    if usual is not None and preset != usual.default:
        stem.append(str(preset))
    return (home if home.is_dir() else Path()) / f"{'_'.join(stem)}.csv.gz"


def _may_write(*paths: Path) -> None:
    """Refuse before minutes of work what can't be written after them."""
    for path in paths:
        if path.is_dir():
            raise StorageError("R25", f"{path} can't be written: it is a folder")
        above = path.parent
        while not above.exists():
            above = above.parent
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise StorageError(
                "R25", f"{path} can't be written: {above} is no folder to write into"
            )


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() == content
    except OSError as error:
        raise StorageError("R25", f"{path} can't be read: {error.strerror}") from error


def _refuse_to_replace(paths: list[Path]) -> None:
    if paths:
        there = " and ".join(map(str, paths))
        raise StorageError(
            "R25",
            f"{there} exist{'s' if len(paths) == 1 else ''} and "
            f"hold{'s' if len(paths) == 1 else ''} something else",
            why="Nothing was written, neither the data nor their truth.",
            fix="--force replaces it, --output names another",
        )


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(
            "R25", f"{path} can't be written: {error.strerror}"
        ) from error
