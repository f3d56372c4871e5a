"""CSV and TSV files: numbers as numbers, codes as text, no row that is shifted."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.data.source_file import (
    EXPORT,
    SourceFile,
    distinct_names,
)
from framework.errors import DataError, SpecError, counted

if TYPE_CHECKING:
    import pandas as pd

#: Two Chinese characters side by side, of the common block.
_CHINESE = re.compile(r"[\u4e00-\u9fff]{2}")
#: Cells that mean missing among numbers; among texts they are text (`NA` = Namibia).
MISSING_NUMBERS = ("NA", "NaN", "nan")
#: From here on float64 no longer holds every whole number.
_EXACT = 2**53


def decoded(
    data: bytes, source: Mapping[str, Any], file: SourceFile, *, final: bool = True
) -> str:
    """The text of a CSV file; `final=False` allows a character cut at the end."""
    encoding = _encoding(source)
    try:
        codec = codecs.lookup("utf-8-sig" if _is_utf_8(source) else encoding)
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


def _encoding(source: Mapping[str, Any]) -> str:
    return str(source.get("encoding") or "utf-8")


def _is_utf_8(source: Mapping[str, Any]) -> bool:
    return codecs.lookup(_encoding(source)).name == "utf-8"


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


def _separator(source: Mapping[str, Any], file: SourceFile) -> str:
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


def header_of(
    text: str, source: Mapping[str, Any], file: SourceFile
) -> tuple[str, ...]:
    """Names in the first line of `text`.

    Raises:
        DataError: D09 a column named twice, D11 empty, D12 another separator.
        SpecError: X12 a separator that is not one character.
    """
    separator = _separator(source, file)
    _, names = next(_records(text, separator, file.shown), (0, []))
    if not names:
        raise DataError("D11", f"{file.shown} is empty", fix=EXPORT, path="data.source")
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
    return distinct_names(names, file.shown)


def read_csv(data: bytes, source: Mapping[str, Any], file: SourceFile) -> pd.DataFrame:
    """Numbers as numbers, everything else as text; codes keep their leading zeros."""
    text = decoded(data, source, file)
    names = header_of(text, source, file)
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

    # Of other encodings even bytes below 128 may be other characters (UTF-16, ISO-2022).
    plain = data if data.isascii() and _is_utf_8(source) else text.encode()
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


def _rectangular(
    text: str, width: int, source: Mapping[str, Any], file: SourceFile
) -> None:
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
            f"{file.shown}: the header has {width} fields, "
            f"{counted(len(wrong), 'row has', 'rows have')} another number ({first})",
            why="columns would shift: the outcome could hold another variable",
            fix="put text that holds the separator in quotation marks; if only the "
            "last line is short, the file is cut off",
            path="data.source",
        )
    if not rows_seen:
        raise DataError(
            "D11",
            f"{file.shown} has a header and no rows",
            fix=EXPORT,
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
    file: SourceFile,
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
