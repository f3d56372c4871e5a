"""What `goodman_bacon` reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import label
from estimators._linear.timing import first_treated
from estimators._math.bacon import (
    ALWAYS,
    EARLIER,
    KINDS,
    LATER,
    NEVER,
    Decomposition,
    decompose,
    two_way,
)
from estimators._math.bacon_controls import Controlled, decompose_controlled
from estimators._math.projection import Codes, Floats, contiguous, nested
from estimators._staggered.grid import some_rows
from framework.errors import (
    EstimandError,
    IdentificationError,
    NumericalError,
    Problem,
)
from framework.result import COEFFICIENT_COLUMNS, Plot, Result

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request

#: Largest gap between the sum of the comparisons and the regression, relative to the
#: spread of the outcome: both are sums of the same few means.
EXACT = 1e-10
#: Comparisons whose control group is treated already.
FORBIDDEN = (LATER, ALWAYS)
#: Parts of the decomposition with controls, and their scalars.
TIMING, NEITHER, WITHIN = (
    "earlier and later treated",
    "always vs never treated",
    "within cohorts",
)
PARTS = {
    KINDS[NEVER]: "treated_vs_never",
    TIMING: "timing",
    KINDS[ALWAYS]: "later_vs_always",
    NEITHER: "always_vs_never",
    WITHIN: "within",
}
#: Scalars of a kind of comparison.
SHORT = {
    NEVER: "treated_vs_never",
    EARLIER: "earlier_vs_later",
    LATER: "later_vs_earlier",
    ALWAYS: "later_vs_always",
}


@dataclass(frozen=True, slots=True)
class _Cells:
    """Cohorts by the period index at which treatment starts.

    Attributes:
        start: (K,) period index, T = never.
        name: (K,) first treated period, inf = never in these periods.
        share: (K,) share of the weight.
        units: (K,) units.
        mean: (K, T) mean outcome.
        spread: standard deviation of the outcome.
        outcome: (N, T); of, weight: (N,) cohort and weight of every unit.
        unit, time: (n,) place of the request's rows in it.
    """

    start: Codes
    name: Floats
    share: Floats
    units: Codes
    mean: Floats
    spread: float
    outcome: Floats
    of: Codes
    weight: Floats
    unit: Codes
    time: Codes


def decomposition(request: Request) -> Result:
    """All comparisons, checked against the regression on the same rows."""
    some_rows(request)
    problems = list(_unfit(request))
    if problems:
        raise EstimandError(problems)
    cells = _cells(request)
    if request.controls:
        return _with_controls(request, cells)
    found = decompose(cells.start, cells.share, cells.mean)
    coefficient = two_way(cells.start, cells.share, cells.mean)
    _must_be(found.total, coefficient, cells)
    return _result(
        scalars=_scalars(request, found, coefficient, cells),
        comparisons=_comparisons(found, cells),
        kinds=_kinds(found),
        notes=tuple(_notes(request, found, cells)),
    )


def _must_be(total: float, coefficient: float, cells: _Cells) -> None:
    if not abs(total - coefficient) <= EXACT * max(cells.spread, abs(coefficient)):
        raise NumericalError(
            "N05",
            f"the comparisons sum to {total!r}, the regression gives {coefficient!r}",
            why="The theorem is exact, so one of the two is wrong.",
        )


def _result(
    scalars: dict[str, float],
    comparisons: pd.DataFrame,
    kinds: pd.DataFrame,
    notes: tuple[str, ...],
) -> Result:
    import pandas as pd

    empty: dict[str, Any] = {
        name: pd.Series(
            [], dtype="str" if name in COEFFICIENT_COLUMNS[:3] else "float64"
        )
        for name in COEFFICIENT_COLUMNS
    }
    return Result(
        coefficients=pd.DataFrame(empty),
        scalars=scalars,
        frames={"comparisons": comparisons, "kinds": kinds},
        plots=(
            Plot(
                "scatter",
                "comparisons",
                title="2x2 comparisons behind the two-way fixed effects estimate",
                options={
                    "x": "weight",
                    "y": "estimate",
                    "group": "comparison",
                    "line": scalars["two_way_estimate"],
                },
            ),
        ),
        notes=notes,
    )


def _with_controls(request: Request, cells: _Cells) -> Result:
    """Pairs of cohorts, and what the controls add within cohorts."""

    def grid(alias: str) -> Floats:
        out = np.empty(cells.outcome.shape)
        out[cells.unit, cells.time] = request.frame[alias].to_numpy(dtype=np.float64)
        return out

    treatment = str(request.treatment.columns[0] if request.treatment else "")
    names = tuple(dict.fromkeys(request.controls))
    found = decompose_controlled(
        grid(treatment),
        cells.outcome,
        np.array([grid(c) for c in names]),
        cells.of,
        cells.weight,
    )
    if found is None:
        raise IdentificationError(
            "I02",
            f"'{label(request, treatment)}' is absorbed by the controls and fixed effects",
            why="Nothing of it is left to decompose.",
            fix="fewer controls",
        )
    _must_be(found.total, found.coefficient, cells)
    comparisons = _pairs(found, cells)
    kinds = _by_kind(comparisons)
    scalars = _counts(request, cells) | {
        "n_comparisons": float(len(found.weight)),
        "two_way_estimate": found.coefficient,
    }
    for row in kinds.to_dict("records"):
        short = PARTS[row["comparison"]]
        scalars[f"weight_{short}"] = float(row["weight"])
        scalars[f"estimate_{short}"] = float(row["estimate"])
    listed = ", ".join(f"'{label(request, c)}'" for c in names[:6])
    said = (
        f"{len(found.weight)} pairs of cohorts and the variation within cohorts "
        f"({found.within_weight:.2%} of the weight) sum to the two-way fixed effects "
        f"coefficient with controls ({listed}), {found.coefficient:.6g}."
    )
    both = (
        "With controls a pair of cohorts is one comparison: what uses units that are "
        "treated already is not told apart (Goodman-Bacon 2021, section 5.2)."
    )
    left_out = [
        f"Left out: '{label(request, names[j])}': unit and period effects explain it."
        for j in found.absorbed
    ]
    notes = (said, both, *left_out, *_samples(request, cells))
    return _result(scalars, comparisons, kinds, notes)


def _pairs(found: Controlled, cells: _Cells) -> pd.DataFrame:
    """A row for each pair, the treated one first, and one for all cohorts' inside."""
    import pandas as pd

    T = cells.mean.shape[1]
    always, never = cells.start[found.first] == 0, cells.start[found.second] == T
    # Beside the always treated it is the other cohort that is treated.
    turned = always & ~never
    treated = np.where(turned, found.second, found.first)
    control = np.where(turned, found.first, found.second)
    kind = np.select(
        [always & never, never, always], [NEITHER, KINDS[NEVER], KINDS[ALWAYS]], TIMING
    )
    spoken = np.array(_spoken(cells))
    frame = pd.DataFrame(
        {
            "treated": spoken[treated].tolist(),
            "control": spoken[control].tolist(),
            "comparison": kind.tolist(),
            "weight": found.weight,
            "estimate": found.estimate,
            "n_treated": cells.units[treated],
            "n_control": cells.units[control],
        }
    )
    if not found.within_weight:
        return frame
    n = int(cells.units.sum())
    part = ["all", "all", WITHIN, found.within_weight, found.within_estimate, n, n]
    inside = pd.DataFrame([part], columns=frame.columns)
    return pd.concat([frame, inside], ignore_index=True)


def _by_kind(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Weight and weighted mean estimate by kind, in the order of `PARTS`."""
    import pandas as pd

    rows = []
    for kind in PARTS:
        own = comparisons[comparisons["comparison"] == kind]
        if len(own):
            weight = float(own["weight"].sum())
            mean = float((own["weight"] * own["estimate"]).sum()) / weight
            rows.append((kind, weight, mean, len(own)))
    return pd.DataFrame(
        rows, columns=["comparison", "weight", "estimate", "n_comparisons"]
    )


def _unfit(request: Request) -> Iterator[Problem]:
    """Every reason why the theorem does not hold for this estimation."""

    def refuse(because: str, fix: str, why: str = "") -> Iterator[Problem]:
        yield from IdentificationError(
            "E08",
            f"the decomposition is not applicable, because {because}",
            why=why,
            fix=fix,
        ).problems

    if request.unit is None or request.time is None:
        yield from refuse(
            "the data have no units or no periods", "data.panel: {unit: …, time: …}"
        )
        return
    unit, n_units = contiguous(_codes(request, request.unit))
    time, n_periods = contiguous(_codes(request, request.time))
    if len(unit) != n_units * n_periods:
        yield from refuse(
            f"the panel is not balanced ({len(unit)} of {n_units} x {n_periods} rows)",
            "model.sample: {full: balanced}, or `imputation` beside this line",
            "With gaps the fixed effects are no means of periods, and the weights of "
            "the comparisons have no closed form.",
        )
    if not _two_way_effects(request, unit, time) or request.slopes:
        listed = ", ".join(f"'{label(request, f)}'" for f in request.fixed_effects)
        listed += " and unit slopes" if request.slopes else ""
        yield from refuse(
            f"the fixed effects are {listed or 'none'}, not unit and period",
            f"fixed_effects: [{label(request, request.unit)}, "
            f"{label(request, request.time)}] on this line",
        )
    if request.weights is not None:
        w = request.frame[request.weights.column].to_numpy(dtype=np.float64)
        first = np.zeros(n_units)
        first[unit] = w
        if not np.array_equal(first[unit], w):
            yield from refuse(
                f"the weight '{label(request, request.weights.column)}' changes within "
                "units",
                "weights that are constant within units, or weights: null",
                "The shares of the cohorts would differ from period to period.",
            )


def _two_way_effects(request: Request, unit: Codes, time: Codes) -> bool:
    """Whether the fixed effects are units and periods, under whatever name."""
    effects = [contiguous(_codes(request, f))[0] for f in request.fixed_effects]
    wanted = [unit, time]
    return (
        len(effects) == len(wanted)
        and any(_same_groups(e, unit) for e in effects)
        and any(_same_groups(e, time) for e in effects)
    )


def _same_groups(a: Codes, b: Codes) -> bool:
    return nested(a, b) and nested(b, a)


def _codes(request: Request, alias: str) -> Codes:
    return request.frame[alias].to_numpy(dtype=np.int64)


def _cells(request: Request) -> _Cells:
    """Cohort x period means; raises I01 where no two cohorts differ."""
    cohort = first_treated(request)
    unit, N = contiguous(_codes(request, str(request.unit)))
    raw = _codes(request, str(request.time))
    time, T = contiguous(raw)
    periods = np.empty(T)
    periods[time] = raw
    outcome = request.frame[request.outcome].to_numpy(dtype=np.float64)
    Y = np.empty((N, T))
    Y[unit, time] = outcome
    own = np.empty(N)
    own[unit] = cohort
    weight = np.ones(N)
    if request.weights is not None:
        weight[unit] = request.frame[request.weights.column].to_numpy(np.float64)

    start, of = np.unique(np.searchsorted(periods, own), return_inverse=True)
    K = len(start)
    if K == 1:
        treatment = request.treatment.columns[0] if request.treatment else ""
        raise IdentificationError(
            "I01",
            f"all units start '{label(request, treatment)}' in the same period, or none "
            "does: there is nothing to compare",
            fix="see the row ledger: the sample may have lost one of the groups",
        )
    mass = np.bincount(of, weight, K)
    order = np.argsort(of, kind="stable")
    edges = np.searchsorted(of[order], np.arange(K))
    total = np.add.reduceat((weight[:, None] * Y)[order], edges, axis=0)
    # Within a cohort the first treated period of a unit may lie in a gap of periods.
    name = np.minimum.reduceat(own[order], edges)
    name[start == T] = np.inf
    return _Cells(
        start=start.astype(np.int64),
        name=name,
        share=mass / mass.sum(),
        units=np.bincount(of, minlength=K),
        mean=total / mass[:, None],
        spread=float(np.std(outcome)),
        outcome=Y,
        of=of,
        weight=weight,
        unit=unit,
        time=time,
    )


def _comparisons(found: Decomposition, cells: _Cells) -> pd.DataFrame:
    import pandas as pd

    spoken = _spoken(cells)
    return pd.DataFrame(
        {
            "treated": [spoken[k] for k in found.treated],
            "control": [spoken[k] for k in found.control],
            "comparison": [KINDS[k] for k in found.kind],
            "weight": found.weight,
            "estimate": found.estimate,
            "n_treated": cells.units[found.treated],
            "n_control": cells.units[found.control],
        }
    )


def _spoken(cells: _Cells) -> list[str]:
    """The cohorts' names."""
    T = cells.mean.shape[1]
    words = [f"{name:.0f}" if np.isfinite(name) else "never" for name in cells.name]
    return [
        "always" if s == 0 else "never" if s == T else w
        for s, w in zip(cells.start, words, strict=True)
    ]


def _kinds(found: Decomposition) -> pd.DataFrame:
    """Weight and weighted mean estimate by kind of comparison."""
    import pandas as pd

    rows = []
    for number, kind in enumerate(KINDS):
        on = found.kind == number
        if on.any():
            weight = float(found.weight[on].sum())
            rows.append(
                {
                    "comparison": kind,
                    "weight": weight,
                    "estimate": float(found.weight[on] @ found.estimate[on]) / weight,
                    "n_comparisons": int(on.sum()),
                }
            )
    return pd.DataFrame(rows)


def _scalars(
    request: Request, found: Decomposition, coefficient: float, cells: _Cells
) -> dict[str, float]:
    scalars = _counts(request, cells) | {
        "n_comparisons": float(len(found.weight)),
        "two_way_estimate": coefficient,
        "weight_forbidden": float(found.weight[np.isin(found.kind, FORBIDDEN)].sum()),
    }
    for row in _kinds(found).itertuples():
        short = SHORT[KINDS.index(str(row.comparison))]
        scalars[f"weight_{short}"] = float(row.weight)  # type: ignore[arg-type]  # a float column
        scalars[f"estimate_{short}"] = float(row.estimate)  # type: ignore[arg-type]  # as above
    return scalars


def _counts(request: Request, cells: _Cells) -> dict[str, float]:
    T = cells.mean.shape[1]
    return {
        "n_obs": float(len(request.frame)),
        "n_units": float(cells.units.sum()),
        "n_periods": float(T),
        "n_treated_units": float(cells.units[cells.start < T].sum()),
    }


def _notes(request: Request, found: Decomposition, cells: _Cells) -> Iterator[str]:
    total = float(found.weight @ found.estimate)
    yield (
        f"The {len(found.weight)} comparisons sum to the two-way fixed effects "
        f"coefficient, {total:.6g}."
    )
    forbidden = float(found.weight[np.isin(found.kind, FORBIDDEN)].sum())
    if forbidden > 0:
        yield (
            f"Comparisons with units that are treated already have {forbidden:.1%} of "
            "the weight; they are biased where effects change over time."
        )
    yield from _samples(request, cells)


def _samples(request: Request, cells: _Cells) -> Iterator[str]:
    if not np.any(cells.start == cells.mean.shape[1]):
        yield "There are no never-treated units."
    if request.weights is not None:
        yield "Shares of the cohorts and their means are weighted."
