"""What `continuous_did` reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.design import FEW_TREATED
from estimators._math import dose_response as math
from estimators._math.group_time import Cells
from estimators._math.multiplier import simultaneous
from estimators._math.projection import Codes, Floats
from estimators._staggered.dose_cells import Averaged, averaged
from estimators._staggered.doses import doses_of, onset
from estimators._staggered.grid import Grid, effects_of_model, grid
from estimators._staggered.group_time import (
    MEANING,
    GroupTimeOptions,
    cells_of,
    spoken,
    uneven,
)
from estimators._staggered.report import (
    Effect,
    Effects,
    joint,
    last_before,
    result,
    shown,
)
from framework.errors import EstimandError, IdentificationError, Problem, counted
from framework.result import Plot, Test

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request
    from framework.result import Result

#: Shares of the treated below the doses at which effects are printed.
PRINTED = (0.1, 0.25, 0.5, 0.75, 0.9)
#: The same along the curve: those of R's contdid.
ALONG = np.linspace(0.10, 0.99, 90)
#: What the numbers need, said under every table.
ASSUMED = (
    "att and acrt are the mean effect and the mean slope over the treated; att_dose holds "
    "for units of that dose under parallel trends. Slopes, and effects compared between "
    "doses, need strong parallel trends: units of other doses would have had the same "
    "effect at this one."
)
#: Bins of doses in the comparison of weights.
BINS = 20


@dataclass(frozen=True, slots=True)
class DoseOptions:
    """Options as in `ContinuousDid`."""

    basis: str
    degree: int
    knots: int | tuple[float, ...]
    doses: tuple[float, ...]
    residuals: str
    cells: GroupTimeOptions


def dose_response(
    request: Request, options: DoseOptions, *, min_clusters: int
) -> Result:
    """Effects by dose in every cell, their averages, the tests of both."""
    effects_of_model(request)
    given = doses_of(request)
    binary = onset(request, given)
    panel = grid(
        binary, always_treated=options.cells.always_treated, min_clusters=min_clusters
    )
    dose = np.zeros(len(panel.cohort))
    dose[panel.design.unit_codes] = given.dose[panel.design.rows]
    dose[np.isinf(panel.cohort)] = 0.0
    cells, notes = cells_of(panel, options.cells)
    used = np.isin(panel.cohort, panel.cohorts[np.unique(cells.cohort)])
    basis = basis_of(options, dose[used])
    if problems := list(_unfit(panel, dose, cells, basis, request)):
        raise EstimandError(problems)
    along, printed, more = _evaluated(panel, dose, cells, options, basis, given.term)
    found = averaged(panel, dose, cells, basis, options.cells, options.residuals)
    curve = _curve(request, found, basis, along, options.cells.bootstrap)
    frames = {
        "dose_response": curve,
        "group_time": found.cells,
        "event_study": _event_study(found),
    }
    scalars: dict[str, float] = {}
    if panel.balanced and panel.steady_weights and not panel.controls:
        scalars, frames, more = _beside_two_way(panel, dose, frames, scalars, more)
    rows = _rows(found, basis, along, printed)
    rows["by_event_time"] = shown(rows["by_event_time"], options.cells.window)
    universal = options.cells.base_period == "universal"
    made = result(
        binary,
        panel,
        Effects(
            rows=rows,
            reference=last_before(panel) if universal else (),
            frames=frames,
            tests=_tests(panel, found, basis, options),
            scalars=scalars,
            notes=(*_said(panel, basis, options, used, dose), *notes, *more),
        ),
        bootstrap=options.cells.bootstrap,
    )
    shown_as: dict[str, object] = {
        "dose": given.term,
        "apart": isinstance(basis, math.Levels),
    }
    if scalars:
        shown_as["two_way"] = scalars["two_way_estimate"]
    figure = Plot("dose_response", "dose_response", options=shown_as)
    return replace(made, plots=(*made.plots, figure))


def basis_of(options: DoseOptions, dose: Floats) -> math.Basis:
    """The functions of the dose, by the doses (n,) of all treated units.

    Raises:
        IdentificationError: I11 fewer distinct doses than columns.
    """
    levels = np.unique(dose)
    if options.basis == "levels":
        return math.Levels(tuple(levels.tolist()))
    low, high = float(levels[0]), float(levels[-1])
    if isinstance(options.knots, int):
        inner = np.quantile(dose, np.linspace(0, 1, options.knots + 2))[1:-1].tolist()
    else:
        inner = list(options.knots)
    size = options.degree + 1 + len(inner)
    out = [k for k in inner if not low < k < high]
    if len(levels) < size or out or len(set(inner)) < len(inner):
        what = (
            f"{len(levels)} distinct doses for the {counted(size, 'column')} of the curve"
            if len(levels) < size
            else f"knots {_listed(out or inner)} with doses from {low:g} to {high:g}"
        )
        raise IdentificationError(
            "I11",
            f"the curve can't be fitted: {what}",
            why="Every column needs a dose of its own, and knots lie apart between "
            "the smallest and the largest dose.",
            fix="estimator.basis: levels (one effect for every dose), or a smaller "
            "degree and fewer knots",
        )
    return math.Spline(options.degree, tuple(inner), low, high)


def _listed(doses: Sequence[float]) -> str:
    return ", ".join(f"{d:g}" for d in doses)


def _members(panel: Grid, j: int) -> Codes:
    return np.flatnonzero(panel.cohort == panel.cohorts[j])


def _unfit(
    panel: Grid, dose: Floats, cells: Cells, basis: math.Basis, request: Request
) -> Iterator[Problem]:
    """Cohorts whose doses can't carry the curve, all at once."""
    short, thin = [], []
    for j in np.unique(cells.cohort):
        name = f"cohort {panel.cohorts[j]:.0f}"
        own = dose[_members(panel, int(j))]
        levels, count = np.unique(own, return_counts=True)
        if isinstance(basis, math.Levels):
            lacking = sorted(set(basis.doses) - set(levels.tolist()))
            if lacking:
                short.append(f"{name} has no unit with dose {_listed(lacking[:5])}")
            lone = levels[count == 1]
            if len(lone):
                thin.append(f"{name} at {_listed(lone[:5].tolist())}")
            continue
        if len(levels) < basis.size:
            short.append(f"{name} has {len(levels)} distinct doses")
        elif len(own) <= basis.size:
            short.append(f"{name} has {counted(len(own), 'unit')}")
        elif isinstance(basis, math.Spline):
            out = [k for k in basis.knots if not levels[0] < k < levels[-1]]
            if out:
                reach = f"{levels[0]:g} to {levels[-1]:g}"
                short.append(f"{name} has doses from {reach}, off knot {_listed(out)}")
    if short:
        yield from IdentificationError(
            "I11",
            f"the curve of {basis.size} columns can't be fitted in "
            f"{counted(len(short), 'cohort')} "
            f"({'; '.join(short[:3])}{'; …' if len(short) > 3 else ''})",  # noqa: PLR2004 - as many as fit a line
            why="Every cohort has a curve of its own, and the average is over all of "
            "them; leaving some out in silence would change what is averaged.",
            fix=(
                "a coarser dose, or estimator.basis: spline"
                if isinstance(basis, math.Levels)
                else "a smaller degree and fewer knots"
            )
            + ", or leave these cohorts out (sample, without)",
        ).problems
    if thin and "few_treated" not in request.acknowledge:
        yield from IdentificationError(
            "I08",
            f"doses with a single treated unit: {'; '.join(thin[:3])}",
            why="The mean of one unit has no error that could be seen, so the standard "
            "error would count the controls alone.",
            fix="estimator.basis: spline, or a coarser dose",
            acknowledge="few_treated",
        ).problems


def _evaluated(
    panel: Grid,
    dose: Floats,
    cells: Cells,
    options: DoseOptions,
    basis: math.Basis,
    term: str,
) -> tuple[Floats, Floats, list[str]]:
    """Doses along the curve, doses printed, and a note where some are left out.

    Raises:
        IdentificationError: E10 doses asked for that a cohort does not cover.
    """
    cohorts = [dose[_members(panel, int(j))] for j in np.unique(cells.cohort)]
    every = np.concatenate(cohorts)
    low = max(float(own.min()) for own in cohorts)
    high = min(float(own.max()) for own in cohorts)
    asked = np.array(options.doses)
    if isinstance(basis, math.Levels):
        along = printed = np.array(basis.doses)
        off = asked[~np.isin(asked, along)]
        where = f"the doses that occur ({_listed(basis.doses[:6])})"
    else:
        along, printed = np.quantile(every, ALONG), np.quantile(every, PRINTED)
        off = asked[(asked < low) | (asked > high)]
        where = f"{low:g} to {high:g}, where every cohort has doses"
    if len(off):
        raise IdentificationError(
            "E10",
            f"no effect is identified at '{term}' {_listed(off.tolist())}",
            why="Beyond the doses of a cohort its curve would be extrapolated.",
            fix=f"estimator.doses: within {where}",
        )
    inside = (along >= low) & (along <= high)
    notes = []
    if not inside.all():
        notes.append(
            f"The curve is drawn from {low:g} to {high:g}, where every cohort has doses; "
            f"the treated have {every.min():g} to {every.max():g}."
        )
        along, printed = along[inside], printed[(printed >= low) & (printed <= high)]
    if not len(along):
        raise IdentificationError(
            "E10",
            f"the cohorts have no range of '{term}' in common ({low:g} to {high:g})",
            why="An average over cohorts at a dose needs that dose in each of them.",
            fix="one cohort at a time: only: {column of the cohort: value}",
        )
    printed = asked if len(asked) else printed if len(printed) else along[:1]
    if not isinstance(basis, math.Levels):
        along = np.clip(_rounded(along, 4), low, high)
        printed = asked if len(asked) else np.clip(_rounded(printed, 3), low, high)
    return np.unique(along), np.unique(printed), notes


def _rounded(doses: Floats, digits: int) -> Floats:
    """Doses that can be read in a table and written in an address."""
    return np.array([float(f"{d:.{digits}g}") for d in doses])


def _at(found: Averaged, functions: Floats, doses: Floats) -> list[Effect]:
    """Effects at doses, from rows psi(d) or psi'(d) (n, K)."""
    estimate, psi = functions @ found.beta, found.psi_beta @ functions.T
    return [
        Effect(float(estimate[i]), psi[:, i], dose=float(d))
        for i, d in enumerate(doses)
    ]


def _rows(
    found: Averaged, basis: math.Basis, along: Floats, printed: Floats
) -> dict[str, list[Effect]]:
    return {
        "att": [found.att],
        "acrt": [found.acrt],
        "att_dose": _at(found, basis.values(printed), printed),
        "slope_dose": _at(found, basis.slopes(printed), printed),
        "dose_response": _at(found, basis.values(along), along),
        "by_event_time": list(found.att_at),
    }


def _curve(
    request: Request, found: Averaged, basis: math.Basis, along: Floats, draws: int
) -> pd.DataFrame:
    """ATT(d) and ACRT(d) along the doses, with bands where there are draws."""
    import pandas as pd
    from scipy.special import ndtri

    tables = []
    reach = float(ndtri(0.5 + request.confidence / 2))
    for estimand, functions in (
        ("att_dose", basis.values(along)),
        ("slope_dose", basis.slopes(along)),
    ):
        psi = found.psi_beta @ functions.T
        estimate, error = functions @ found.beta, np.sqrt(np.sum(psi**2, axis=0))
        table = pd.DataFrame(
            {
                "estimand": estimand,
                "dose": along,
                "estimate": estimate,
                "std_error": error,
                "conf_low": estimate - reach * error,
                "conf_high": estimate + reach * error,
            }
        )
        if draws:
            wide = simultaneous(psi, request.confidence, draws, request.seed)
            table["band_low"] = estimate - wide * error
            table["band_high"] = estimate + wide * error
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _event_study(found: Averaged) -> pd.DataFrame:
    """ATT^o and ACRT^o by periods since the dose started."""
    import pandas as pd

    return pd.DataFrame(
        {
            "event_time": found.events,
            "att": [e.estimate for e in found.att_at],
            "att_std_error": [e.std_error for e in found.att_at],
            "acrt": [e.estimate for e in found.acrt_at],
            "acrt_std_error": [e.std_error for e in found.acrt_at],
        }
    )


def _tests(
    panel: Grid, found: Averaged, basis: math.Basis, options: DoseOptions
) -> tuple[Test, ...]:
    """Slopes before treatment; a curve that is constant, and one that is a line."""
    slopes = shown(found.acrt_at, options.cells.window)
    before = [e for e in slopes if e.at is not None and e.at < -panel.anticipation]
    tests = [
        joint(
            "joint_pretrend_slope",
            "before treatment the change is unrelated to the dose (average slopes are 0)",
            before,
            np.inf,
        )
    ]
    points = basis.points
    lines = np.column_stack([np.ones(len(points)), points])
    for name, null, f in (
        ("constant_dose_response", "the effect is the same at every dose", 1),
        ("linear_dose_response", "the effect is one line in the dose", 2),
    ):
        if basis.size <= f:
            columns = counted(basis.size, "column")
            reason = f"the curve has {columns}: it is so by construction"
            tests.append(Test(name, null, reason=reason))
            continue
        C = math.outside(math.coordinates(basis, lines[:, :f], points))
        estimate, psi = C @ found.beta, found.psi_beta @ C.T
        rows = [Effect(float(b), psi[:, i]) for i, b in enumerate(estimate)]
        tests.append(joint(name, null, rows, np.inf))
    return tuple(tests)


def _beside_two_way(
    panel: Grid,
    dose: Floats,
    frames: dict[str, pd.DataFrame],
    scalars: dict[str, float],
    notes: list[str],
) -> tuple[dict[str, float], dict[str, pd.DataFrame], list[str]]:
    """The two-way coefficient of the dose, and with one cohort what it weighs by."""
    import pandas as pd

    weight = panel.first_weight()
    path = dose[:, None] * (panel.periods[None, :] >= panel.cohort[:, None])
    coefficient = math.two_way(panel.Y, path, weight)
    scalars = {**scalars, "two_way_estimate": coefficient}
    if len(panel.cohorts) > 1:
        return scalars, frames, notes
    steps = math.step_weights(dose, weight)
    ends = np.unique(np.quantile(steps.doses, np.linspace(0, 1, BINS + 1)))
    bin_ = np.clip(np.searchsorted(ends, steps.doses, side="left"), 0, len(ends) - 1)
    frames = {
        **frames,
        "two_way_weights": pd.DataFrame(
            {
                "from": np.concatenate([[0.0], ends[:-1]]),
                "to": ends,
                "two_way": np.bincount(bin_, steps.weight, len(ends)),
                "acrt": np.bincount(bin_, steps.share, len(ends)),
            }
        ),
    }
    note = (
        f"The two-way coefficient of the dose, {coefficient:.6g}, weighs steps of the "
        f"curve (frame two_way_weights): {steps.weight[0]:.0%} of it is the step from no "
        f"dose to the lowest, {steps.doses[0]:g}, which acrt leaves out."
    )
    return scalars, frames, [*notes, note]


def _said(
    panel: Grid,
    basis: math.Basis,
    options: DoseOptions,
    used: np.ndarray,
    dose: Floats,
) -> list[str]:
    """The curve, the averages and what has to hold for either."""
    if isinstance(basis, math.Spline):
        knots = f"knots at {_listed(basis.knots)}" if basis.knots else "no knots"
        curve = f"{counted(basis.size, 'column')}: a spline of degree {basis.degree}, {knots}"
    else:
        curve = f"one effect for each of {basis.size} doses"
    own = dose[used]
    reach = f"{own.min():g} to {own.max():g}"
    have = counted(len(own), "treated unit has", "treated units have")
    notes = [
        f"The curve has {curve}; {have} doses from {reach}.",
        ASSUMED,
        f"Over cells these are {MEANING[options.cells.overall]}.",
        *spoken(options.cells, panel),
        *uneven(panel),
    ]
    if len(own) < FEW_TREATED * basis.size:
        notes.append(
            f"{counted(len(own), 'treated unit')} for {basis.size} columns: the ends "
            "of the curve rest on very few of them."
        )
    return notes
