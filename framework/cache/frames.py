"""Frames to Arrow files and back: every float bit for bit, every label and type kept.

Arrow has neither row labels nor columns of mixed type, so both are described in the
file's own header (`estimand`), and a file says all that is needed to read it. (Parquet
takes three times as long for frames of a few rows, which most of these are.)

Estimations of one study have the same labels, terms and clusters by the thousand: what
is small and cannot be changed in place (Arrow's text, the values of an index) is in
memory once, however many frames hold it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from framework.cache.plain import from_plain, to_plain

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

_HEADER = b"estimand"
#: Cells from which on compression saves more than it costs.
_LARGE = 10_000
#: Cells up to which equal text and equal indexes are shared, and how many are known.
_FEW, _KNOWN = 500, 1_000


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write `frame` to an Arrow file.

    Raises:
        TypeError: a column holds values that have no exact stored form.
    """
    import pandas as pd
    import pyarrow as pa
    from pyarrow import ipc

    columns = [_pack(column) for _, column in frame.items()]
    header: dict[str, Any] = {
        "labels": to_plain(list(frame.columns)),
        "label_names": to_plain(list(frame.columns.names)),
        "label_dtype": str(frame.columns.dtype),
        "dtypes": [dtype for _, dtype in columns],
        "index_names": to_plain(list(frame.index.names)),
        "rows": len(frame),
    }
    levels: list[tuple[pa.Array, Any]] = []
    if isinstance(frame.index, pd.RangeIndex):
        index = frame.index
        header["range"] = [index.start, index.stop, index.step]
    else:
        levels = [
            _pack(frame.index.get_level_values(i).to_series())
            for i in range(frame.index.nlevels)
        ]
        header["index_dtypes"] = [dtype for _, dtype in levels]
    table = pa.table(
        [array for array, _ in (*levels, *columns)],
        names=[f"index:{i}" for i in range(len(levels))] + _names(frame),
    ).replace_schema_metadata({_HEADER: json.dumps(header).encode()})
    packed = ipc.IpcWriteOptions(compression="zstd" if frame.size > _LARGE else None)
    with ipc.new_file(path, table.schema, options=packed) as file:
        file.write_table(table)


def read_frame(buffer: pa.Buffer) -> pd.DataFrame:
    """The frame that `write_frame` was given."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import ipc

    table = ipc.open_file(pa.BufferReader(buffer)).read_all()
    header = json.loads(table.schema.metadata[_HEADER])
    names = from_plain(header["index_names"])
    index: pd.Index[Any]
    depth = 0
    if "range" in header:
        start, stop, step = header["range"]
        index = pd.RangeIndex(start, stop, step, name=names[0])
    else:
        depth = len(names)
        levels = [
            _index(_unpack(table.column(i), dtype))
            for i, dtype in enumerate(header["index_dtypes"])
        ]
        index = (
            levels[0].rename(names[0])
            if depth == 1
            else pd.MultiIndex.from_arrays(levels, names=names)
        )
    values = {
        i: _unpack(table.column(depth + i), dtype)
        for i, dtype in enumerate(header["dtypes"])
    }
    frame = pd.DataFrame(values, index=index)
    frame.columns = _labels(header)
    return frame


def _names(frame: pd.DataFrame) -> list[str]:
    """Column names of the file: the labels themselves where those can serve."""
    labels = list(frame.columns)
    plain = all(isinstance(x, str) and not x.startswith("index:") for x in labels)
    if plain and len(set(labels)) == len(labels):
        return [str(label) for label in labels]
    return [f"column:{i}" for i in range(len(labels))]


def _labels(header: dict[str, Any]) -> pd.Index[Any]:
    said = [header[name] for name in ("labels", "label_names", "label_dtype")]
    if len(said[0]) > _FEW:
        return _labels_of(json.dumps(said))
    # A view: a name that somebody gives it stays its own.
    labels: pd.Index[Any] = _known_labels(json.dumps(said)).view()
    return labels


def _labels_of(said: str) -> pd.Index[Any]:
    import pandas as pd

    plain, plain_names, dtype = json.loads(said)
    labels, names = from_plain(plain), from_plain(plain_names)
    if len(names) > 1:
        return pd.MultiIndex.from_tuples(labels, names=names)
    index: pd.Index[Any] = pd.Index(labels, dtype=dtype, name=names[0])
    return index


_known_labels = lru_cache(_KNOWN)(_labels_of)


def _index(values: Any) -> pd.Index[Any]:
    """An index of these values, one that is known already where they are few numbers."""
    import numpy as np
    import pandas as pd

    numbers = isinstance(values, np.ndarray) and values.dtype.kind in "iuf"
    if numbers and len(values) <= _FEW:
        # By bytes: -0.0 is not 0.0, and NaN is itself.
        known: pd.Index[Any] = _known_index(str(values.dtype), values.tobytes()).view()
        return known
    index: pd.Index[Any] = pd.Index(values)
    return index


@lru_cache(_KNOWN)
def _known_index(dtype: str, held: bytes) -> pd.Index[Any]:
    import numpy as np
    import pandas as pd

    # Read-only, as bytes are: nobody changes what others hold.
    index: pd.Index[Any] = pd.Index(np.frombuffer(held, dtype=dtype), copy=False)
    return index


def _pack(column: pd.Series[Any]) -> tuple[pa.Array, Any]:
    """An Arrow array and what restores the pandas type."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = dtype.categories
        kind = {
            "categories": to_plain(list(categories)),
            "of": str(categories.dtype),
            "ordered": bool(dtype.ordered),
        }
        return pa.array(np.asarray(column.cat.codes)), kind
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        values = list(column)
        if all(type(value) is str for value in values):
            return pa.array(values, pa.large_string()), "object"
        # Mixed values (1, "never", None, NaN) are text in the file, never coerced.
        text = [json.dumps(to_plain(value)) for value in values]
        return pa.array(text, pa.large_string()), "mixed"
    if isinstance(dtype, np.dtype):
        # from_pandas=False: NaN stays a NaN and does not become a null.
        return pa.array(column.to_numpy(), from_pandas=False), str(dtype)
    return pa.array(column, from_pandas=True), str(dtype)


def _unpack(column: pa.ChunkedArray, dtype: Any) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(dtype, dict):
        categories: Any = pd.Index(from_plain(dtype["categories"]), dtype=dtype["of"])
        return pd.Categorical.from_codes(
            column.to_numpy(), categories, ordered=dtype["ordered"]
        )
    if dtype in {"object", "mixed"}:
        values = np.empty(len(column), dtype=object)
        texts = column.to_pylist()
        values[:] = texts if dtype == "object" else [_loads(t) for t in texts]
        return values
    kind = pd.api.types.pandas_dtype(dtype)
    if isinstance(kind, np.dtype):
        return column.to_numpy().astype(kind, copy=False)
    if isinstance(kind, pd.StringDtype) and len(column) <= _FEW:
        return _known_text(kind, column.type, tuple(column.to_pylist())).copy()
    if hasattr(kind, "__from_arrow__"):
        return kind.__from_arrow__(column)
    return column.to_pandas().astype(kind)


@lru_cache(_KNOWN)
def _known_text(kind: Any, held_as: pa.DataType, texts: tuple[str | None, ...]) -> Any:
    """An array of pandas' text; with Arrow behind it, copies of it share the text."""
    import pyarrow as pa

    return kind.__from_arrow__(pa.chunked_array([pa.array(texts, held_as)]))


def _loads(text: str) -> Any:
    return from_plain(json.loads(text))
