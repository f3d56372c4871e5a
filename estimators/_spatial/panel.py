"""A request as balanced arrays (units x periods) with their matrices, or its refusal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from estimators._math.spatial_ml import Floats, Lag
from framework.contract import Request, SpatialWeights
from framework.errors import (
    DataError,
    EstimandError,
    IdentificationError,
    Phase,
    Problem,
    counted,
)

if TYPE_CHECKING:
    import pandas as pd

#: Norm left of a column, relative, below which it is a function of the others.
EXACT = 1e-8
#: The treatment's partial R2 may be 1 - NEARLY**2 at most.
NEARLY = 1e-4
_SHOWN = 3
_FEWEST_UNITS = 3
_FEWEST_TREATED = 5
_MATRICES_KEPT = 8


@dataclass(frozen=True, slots=True)
class Regressor:
    """A column (N, T) with its name; `judged` are the treatments."""

    term: str
    values: Floats
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Arrays:
    """The panel as the papers write it.

    Attributes:
        y: (N, T) outcome.
        regressors: treatments first, then controls.
        unit, time: which fixed effects are in the model.
        ids: unit ids, in order.
        periods: (T,) int64.
        cluster: (N,) codes of the clusters of units, or None.
        cluster_ids: ids of the clusters by code.
        rows: (N * T,) names of the rows, unit by unit.
        notes: what was left out.
    """

    y: Floats
    regressors: tuple[Regressor, ...]
    unit: bool
    time: bool
    ids: tuple[Any, ...]
    periods: NDArray[np.int64]
    cluster: NDArray[np.int64] | None
    cluster_ids: tuple[Any, ...]
    rows: NDArray[Any]
    notes: tuple[str, ...]

    @property
    def X(self) -> Floats:  # noqa: N802 - the papers' name
        """Regressors (k, N, T)."""
        return np.stack([r.values for r in self.regressors])

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the regressors."""
        return tuple(r.term for r in self.regressors)


def arrays_of(
    request: Request, *, min_clusters: int = 0, regressors: bool = True
) -> Arrays:
    """The balanced panel of a request.

    Args:
        request: its frame is sorted by unit and period.
        min_clusters: fewest clusters for clustered standard errors.
        regressors: False for the outcome alone, without effects.

    Raises:
        DataError: D05 too few rows, D06 constant outcome, P02 missing unit-periods.
        IdentificationError: I01 to I05, I08, I09 what these models can't have.
    """
    frame, unit, time = request.frame, request.unit, request.time
    if unit is None or time is None:
        raise DataError("P04", "spatial panel models need units and periods")
    n, periods = _balanced(request, frame, unit, time)
    t = len(periods)

    def wide(alias: str) -> Floats:
        return frame[alias].to_numpy(np.float64).reshape(n, t)

    problems: list[Problem] = []
    effects = _effects(request, n, t, problems) if regressors else (False, False)
    cluster, cluster_ids = _clusters(request, n, t, problems, min_clusters)
    y = wide(request.outcome)
    if not np.ptp(y):
        name = request.labels[request.outcome]
        problems += DataError("D06", f"outcome '{name}' is constant").problems
    judged = request.treatment.columns if request.treatment else ()
    columns = [
        Regressor(str(request.labels[a]), wide(a), judged=a in judged)
        for a in dict.fromkeys((*judged, *request.controls))
        if regressors
    ]
    problems += _constant_treatments(columns)
    problems += _few_treated(request, columns)
    if problems:
        raise EstimandError(problems)
    kept, notes = _identified(columns, *effects)
    rows = np.arange(n * t) if request.rows is None else request.rows
    return Arrays(
        y=y,
        regressors=tuple(kept),
        unit=effects[0],
        time=effects[1],
        ids=tuple(request.ids[unit]) if unit in request.ids else tuple(range(n)),
        periods=periods,
        cluster=cluster,
        cluster_ids=cluster_ids,
        rows=np.asarray(rows),
        notes=tuple(notes),
    )


def _balanced(
    request: Request, frame: pd.DataFrame, unit: str, time: str
) -> tuple[int, NDArray[np.int64]]:
    """Number of units and the periods that each of them has."""
    if not len(frame):
        raise DataError("D05", "0 rows left", fix="see the row ledger")
    codes = frame[unit].to_numpy(np.int64)
    when = frame[time].to_numpy(np.int64)
    periods = np.unique(when)
    n, t = int(codes.max()) + 1, len(periods)
    at = np.searchsorted(periods, when)
    seen = np.zeros((n, t), dtype=np.int64)
    np.add.at(seen, (codes, at), 1)
    holes = np.argwhere(seen == 0)
    ids = list(request.ids[unit]) if unit in request.ids else list(range(n))
    if len(holes) or (seen > 1).any():
        shown = ", ".join(f"{ids[i]} {periods[j]}" for i, j in holes[:_SHOWN])
        more = f" and {len(holes) - _SHOWN} more" if len(holes) > _SHOWN else ""
        raise DataError(
            "P02",
            f"{len(holes)} of {n * t} unit-periods are missing: {shown}{more}",
            why="a missing neighbour has no value, and the spatial lag would be another",
            fix="sample: {whole: balanced}, or fill or drop the units in data.steps",
        )
    if n < _FEWEST_UNITS:
        raise DataError(
            "D05", f"{counted(n, 'unit')}: spatial models need {_FEWEST_UNITS} or more"
        )
    if not (np.diff(codes * t + at) == 1).all():
        raise DataError("P03", "the rows are not sorted by unit and period")
    return n, periods


def _effects(
    request: Request, n: int, t: int, problems: list[Problem]
) -> tuple[bool, bool]:
    """Whether there are unit and time effects; others are refused."""
    unit = time = False
    units = np.repeat(np.arange(n), t)
    periods = np.tile(np.arange(t), n)
    for alias in request.fixed_effects:
        codes = request.frame[alias].to_numpy()
        if _same_groups(codes, units):
            unit = True
        elif _same_groups(codes, periods):
            time = True
        else:
            problems.append(
                Problem(
                    Phase.DESIGN,
                    "I09",
                    f"fixed effect '{request.labels[alias]}' is neither of units nor of "
                    "periods",
                    why="the likelihood is exact for these two only",
                    fix="fixed_effects: the unit, the period, or both",
                    path="model.fixed_effects",
                )
            )
    if request.slopes:
        problems.append(
            Problem(
                Phase.DESIGN,
                "I09",
                "slopes by group in a spatial panel model",
                fix="fixed_effects without slopes on this line",
                path="model.fixed_effects",
            )
        )
    if unit and t == 1:
        problems.append(
            Problem(Phase.DESIGN, "I02", "unit effects explain one period completely")
        )
    return unit, time


def _same_groups(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two columns are the same partition of the rows."""
    _, a = np.unique(a, return_inverse=True)
    size = int(a.max()) + 1
    pairs = np.unique(a * (int(b.max()) + 1) + b)
    return len(pairs) == size == int(b.max()) + 1


def _clusters(
    request: Request, n: int, t: int, problems: list[Problem], fewest: int
) -> tuple[NDArray[np.int64] | None, tuple[Any, ...]]:
    """Codes of the clusters by unit."""
    aliases = request.inference.clusters
    if request.inference.name != "cluster" or not fewest:
        return None, ()

    def refuse(code: str, what: str, why: str, fix: str, acknowledge: str = "") -> None:
        problems.append(
            Problem(
                Phase.DESIGN,
                code,
                what,
                why=why,
                fix=fix,
                path="model.inference",
                acknowledge=acknowledge,
            )
        )

    codes = request.frame[aliases[0]].to_numpy(np.int64).reshape(n, t)
    name = request.labels[aliases[0]]
    if len(aliases) > 1 or (codes != codes[:, :1]).any():
        refuse(
            "I09",
            "clusters that are not groups of units"
            if len(aliases) == 1
            else "two-way clusters in a spatial panel model",
            "units in different clusters must be independent; a period holds them all",
            "inference: {cluster: the unit, or a group of units}",
        )
        return None, ()
    levels, cluster = np.unique(codes[:, 0], return_inverse=True)
    count = len(levels)
    if count == 1:
        refuse("I05", f"1 cluster of '{name}'", "nothing varies between clusters", "")
    elif count < fewest and "few_clusters" not in request.acknowledge:
        refuse(
            "I05",
            f"{counted(count, 'cluster')} of '{name}'",
            "clustered standard errors are far too small with so few",
            "finer clusters, or inference: iid",
            "few_clusters",
        )
    ids = request.ids.get(aliases[0])
    named = levels if ids is None else np.asarray(ids, dtype=object)[levels]
    return cluster.astype(np.int64), tuple(named)


def _constant_treatments(regressors: Sequence[Regressor]) -> Iterator[Problem]:
    for r in regressors:
        if r.judged and not np.ptp(r.values):
            value = f"{r.values.flat[0]:g}"
            yield Problem(
                Phase.DESIGN,
                "I01",
                f"treatment '{r.term}' does not vary in the sample (all {value})",
            )


def _few_treated(
    request: Request, regressors: Sequence[Regressor]
) -> Iterator[Problem]:
    if "few_treated" in request.acknowledge:
        return
    for r in regressors:
        binary = r.judged and bool(np.isin(r.values, (0.0, 1.0)).all())
        units = int(r.values.any(axis=1).sum())
        if binary and 0 < units < _FEWEST_TREATED:
            yield Problem(
                Phase.DESIGN,
                "I08",
                f"{counted(units, 'treated unit')} of '{r.term}'",
                why="standard errors are unreliable with so few treated units",
                fix="randomization inference (draws: permute), or synthetic control",
                acknowledge="few_treated",
            )


def _identified(
    regressors: Sequence[Regressor], unit: bool, time: bool
) -> tuple[list[Regressor], list[str]]:
    """Regressors without those that fixed effects or others explain.

    A control that repeats others is left out with a note; a treatment is never.
    """
    kept: list[Regressor] = []
    basis: list[Floats] = []
    notes: list[str] = []
    for r in regressors:
        x = within(r.values, unit=unit, time=time).ravel()
        spread = float(np.linalg.norm(r.values - r.values.mean()))
        norm = float(np.linalg.norm(x))
        largest = float(np.abs(r.values).max()) * np.sqrt(x.size)
        constant = spread <= EXACT * largest
        if constant or norm <= EXACT * spread:
            why = "it is constant" if constant else "the fixed effects explain it"
            if r.judged:
                raise IdentificationError(
                    "I02",
                    f"'{r.term}' is not identified: {why}",
                    why="no comparison is left",
                    fix="a sample in which the treatment varies"
                    if constant
                    else "drop that fixed effect, or a treatment that varies within it",
                )
            notes.append(f"'{r.term}' is left out: {why}.")
            continue
        left = x / norm
        for q in (*basis, *basis):  # twice: what one pass leaves is rounding
            left = left - q * float(q @ left)
        ratio = float(np.linalg.norm(left))
        if ratio < NEARLY:
            if r.judged or ratio >= EXACT:
                raise IdentificationError(
                    "I03" if ratio < EXACT else "I04",
                    f"'{r.term}' is (nearly) a linear combination of the regressors "
                    "before it",
                    why="any split of the effect between them is arbitrary",
                    fix="remove one of them",
                )
            treated = [k for k in kept if k.judged]
            for one in treated:
                if _proportional(r, one, unit=unit, time=time):
                    raise IdentificationError(
                        "I03",
                        f"'{r.term}' is a multiple of '{one.term}' up to fixed effects",
                        why="the effect could be put under either name",
                        fix=f"remove '{r.term}' from the controls",
                    )
            notes.append(
                f"'{r.term}' is left out: it is a linear combination of the others."
            )
            continue
        basis.append(left / ratio)
        kept.append(r)
    return kept, notes


def within(x: Floats, *, unit: bool, time: bool) -> Floats:
    """What fixed effects, or a constant without any, leave of x (…, N, T)."""
    if not unit and not time:
        return np.asarray(x - x.mean(axis=(-2, -1), keepdims=True))
    if unit:
        x = x - x.mean(axis=-1, keepdims=True)
    if time:
        x = x - x.mean(axis=-2, keepdims=True)
    return np.asarray(x)


def _proportional(a: Regressor, b: Regressor, *, unit: bool, time: bool) -> bool:
    x, z = (within(r.values, unit=unit, time=time).ravel() for r in (a, b))
    cosine = float(x @ z) / float(np.linalg.norm(x) * np.linalg.norm(z))
    return abs(cosine) > 1 - EXACT


# -- matrices --------------------------------------------------------------------------


_LAGS: dict[str, Lag] = {}


def lag_of(
    request: Request, role: str, ids: Sequence[Any]
) -> tuple[Lag, SpatialWeights]:
    """The matrix of a role, with eigenvalues computed once per matrix.

    Raises:
        IdentificationError: X20 the model names none for this role.
        DataError: S01 its ids are not those of the request, in order.
    """
    weights = request.spatial.get(role)
    if weights is None:
        raise IdentificationError(
            "X20",
            f"no spatial weights for the {role.replace('_', ' ')}",
            fix=f"spatial_weights: {{{role}: …}}, or one name for all roles",
            path="model.spatial_weights",
        )
    if tuple(weights.ids) != tuple(ids):
        raise DataError(
            "S01",
            f"spatial weights '{weights.name}' are not in the order of the units",
            why="weights are matched by unit id, never by position",
        )
    W = weights.matrix.tocsr()
    W.sort_indices()
    digest = hashlib.sha256()
    for part in (W.indptr, W.indices, W.data):
        digest.update(np.ascontiguousarray(part).tobytes())
    key = digest.hexdigest()
    if key not in _LAGS:
        while len(_LAGS) >= _MATRICES_KEPT:
            del _LAGS[next(iter(_LAGS))]
        _LAGS[key] = Lag.of(W)
    return _LAGS[key], weights


def without(arrays: Arrays, x: Floats) -> Floats:
    """What fixed effects (or a constant) and regressors leave of x (N, T)."""
    left = within(x, unit=arrays.unit, time=arrays.time)
    if not arrays.regressors:
        return left
    flat = np.stack(
        [
            within(r.values, unit=arrays.unit, time=arrays.time).ravel()
            for r in arrays.regressors
        ]
    ).T
    rest = left.ravel()
    rest = rest - flat @ np.linalg.lstsq(flat, rest, rcond=None)[0]
    return np.asarray(rest.reshape(x.shape))


def survives(x: Floats, W: Any, arrays: Arrays) -> float:
    """Share of the variance of W x that fixed effects and the regressors leave."""
    Wx = W @ x
    total = float(((Wx - Wx.mean()) ** 2).sum())
    return float((without(arrays, Wx) ** 2).sum()) / total if total else 0.0


__all__ = [
    "Arrays",
    "Regressor",
    "arrays_of",
    "lag_of",
    "survives",
    "within",
    "without",
]
