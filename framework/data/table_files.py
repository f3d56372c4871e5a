"""Tables of other programs: Parquet and Feather, Stata, Excel."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from framework.data.source_file import (
    SourceFile,
    distinct_names,
    unreadable,
)
from framework.errors import DataError, SpecError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


def arrow_names(file: SourceFile) -> tuple[str, ...]:
    """Names of the columns of a Parquet or Feather file, without its rows.

    Raises:
        DataError: D09 a column named twice, D18 unreadable.
    """
    import pyarrow as pa
    from pyarrow import feather, parquet

    try:
        if file.table == ".parquet":
            names = parquet.read_schema(file.path).names
        else:
            names = feather.read_table(file.path, memory_map=True).schema.names
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(file, error) from error
    return distinct_names([n for n in names if not _is_index(n)], file.shown)


def _is_index(name: Any) -> bool:
    """Row numbers that pandas writes into Parquet."""
    return bool(re.fullmatch(r"__index_level_\d+__", str(name)))


def read_arrow(data: bytes, _: Mapping[str, Any], file: SourceFile) -> pd.DataFrame:
    """Parquet and Feather, without the row numbers that pandas stores in them."""
    import pyarrow as pa
    from pyarrow import feather, parquet

    try:
        buffer = pa.BufferReader(data)
        reader = parquet if file.table == ".parquet" else feather
        table = reader.read_table(buffer)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise unreadable(file, error) from error
    kept = [at for at, name in enumerate(table.schema.names) if not _is_index(name)]
    table = table.select(kept)
    names = distinct_names(table.schema.names, file.shown)
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame.set_axis(list(names), axis=1)


def read_stata(data: bytes, _: Mapping[str, Any], file: SourceFile) -> pd.DataFrame:
    """Codes, not value labels: `region = 1`, as one writes in Stata itself."""
    import struct

    import pandas as pd

    try:
        return pd.read_stata(io.BytesIO(data), convert_categoricals=False)
    except (ValueError, struct.error, KeyError, IndexError) as error:
        raise unreadable(file, error) from error


def read_excel(
    data: bytes, source: Mapping[str, Any], file: SourceFile
) -> pd.DataFrame:
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
        raise unreadable(file, error) from error
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
    names = distinct_names(written, file.shown)
    return cells.iloc[1:].reset_index(drop=True).set_axis(list(names), axis=1)


def _refuse_uncomputed(
    data: bytes, sheet: str, cells: pd.DataFrame, file: SourceFile
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
