"""What `triple_did` reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.design import FEW_TREATED
from estimators._math import group_time as gt
from estimators._math import triple_difference as td
from estimators._math.group_time import Cells, GroupTime
from estimators._math.projection import Codes, Floats
from estimators._math.triple_difference import Apart, Contrasts, Triple
from estimators._math.two_period import NotFitted, att
from estimators._staggered.eligible import Eligible, eligible, one_kind_only
from estimators._staggered.grid import Grid
from estimators._staggered.group_time import (
    MEANING,
    averages_frame,
    averages_of,
    centred,
    identified,
    never_treated_exist,
    overall_of,
    pretrend_of_cells,
    rows_of,
)
from estimators._staggered.report import (
    Effect,
    Effects,
    joint,
    last_before,
    result,
    shown,
)
from estimators._staggered.unfitted import Unfitted
from framework.errors import IdentificationError, counted
from framework.result import Result, Test

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request

#: A way out where a comparison with cohorts treated later has no number.
NEVER_TREATED = "control_group: never_treated"
#: Null of the test of overidentification.
AGREE = "all comparison cohorts give the same effects"


@dataclass(frozen=True, slots=True)
class TripleOptions:
    """Options as in `TripleDid`."""

    method: str
    control_group: str
    base_period: str
    window: tuple[int, int] | None
    overall: str
    cohort_shares: str
    always_treated: str | None
    bootstrap: int


def triple_difference(
    request: Request, options: TripleOptions, *, min_clusters: int
) -> Result:
    """Cells against all their comparison cohorts, their averages, the tests of both."""
    data = eligible(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    panel = data.panel
    notes = one_kind_only(request, data)
    never_treated_exist(panel, options.control_group)
    cells, pairs, more = _compared(data, options)
    plain = panel.balanced and not panel.controls and panel.steady_weights
    apart = Apart.of(pairs, cells.event_time >= 0)
    triple = (_by_means if plain else _one_by_one)(data, cells, pairs, apart, options)
    alone = options.control_group == "never_treated" and not len(apart.cohort)
    agreement = () if alone else (_agree(apart, triple),)
    notes += more + _thin_cohorts(request, data, cells)
    found = _group_time(data, cells, pairs, triple)
    shares = data.treated if options.cohort_shares == "treated" else panel
    averages = averages_of(shares, panel.first_weight(), cells, found)
    rows = rows_of(averages, panel)
    overall = overall_of(rows, averages, panel.cohorts)
    rows["by_event_time"] = shown(rows["by_event_time"], options.window)
    rows["att"] = [overall[options.overall]] if overall else []
    if overall and "att" in (request.estimand or ("att",)):
        notes.append(f"att is {MEANING[options.overall]}.")
    reference = last_before(panel) if options.base_period == "universal" else ()
    return result(
        request,
        data.treated,
        Effects(
            rows=rows,
            reference=reference,
            frames={
                "group_time": _cells_frame(data, cells, pairs, found),
                "comparisons": _comparisons_frame(data, cells, pairs, triple),
                "averages": averages_frame(overall),
            },
            tests=(pretrend_of_cells(panel, cells, found), *agreement),
            notes=tuple(notes + _spoken(data.who, options, panel)),
        ),
        bootstrap=options.bootstrap,
    )


def _compared(
    data: Eligible, options: TripleOptions
) -> tuple[Cells, Contrasts, list[str]]:
    """The identified cells and the cohorts each is compared with.

    Raises:
        IdentificationError: E10 none.
    """
    panel, levels = data.panel, data.groups.cohort
    every = gt.cells(
        panel.periods, panel.cohorts, panel.anticipation, options.base_period
    )
    whole = data.groups.sizes()
    thin: set[float] = set()
    lists: list[Floats] = []
    for c in range(len(every)):
        sizes = whole
        if not panel.balanced:
            both = panel.seen[:, every.t[c]] & panel.seen[:, every.base[c]]
            sizes = data.groups.sizes(both)
        g = float(panel.cohorts[every.cohort[c]])
        later = int(panel.periods[max(every.t[c], every.base[c])])
        if options.control_group == "never_treated":
            later = int(panel.periods[-1])
        allowed = (levels > later + panel.anticipation) & (levels != g)
        enough = sizes.min(axis=1) >= td.FEWEST
        thin |= set(levels[allowed & ~enough])
        own = sizes[int(np.searchsorted(levels, g))].min() > 0
        lists.append(levels[allowed & enough] if own else levels[:0])
    usable = np.array([len(some) > 0 for some in lists], dtype=bool)
    cells, notes = identified(panel, every, usable)
    kept = {(int(j), int(t)) for j, t in zip(cells.cohort, cells.t, strict=True)}
    pairs = td.contrasts(
        [
            some
            for j, t, some in zip(every.cohort, every.t, lists, strict=True)
            if (int(j), int(t)) in kept
        ]
    )
    if thin:
        listed = ", ".join(_named(g) for g in sorted(thin))
        notes.append(
            f"No comparison with cohorts that have fewer than {td.FEWEST} eligible or "
            f"ineligible units (their variance is not seen): {listed}."
        )
    return cells, pairs, notes


def _by_means(
    data: Eligible,
    cells: Cells,
    pairs: Contrasts,
    apart: Apart,
    options: TripleOptions,
) -> Triple:
    panel = data.panel

    def sums(rows: Floats, units: Codes) -> tuple[Codes, Floats]:
        if panel.own_clusters:
            return panel.cluster[units], rows
        return np.arange(panel.n_clusters), panel.by_cluster(rows, units)

    try:
        return td.by_means(
            panel.Y,
            panel.first_weight(),
            data.groups,
            panel.cohorts,
            cells,
            pairs,
            apart,
            sums,
            panel.n_clusters,
        )
    except NotFitted as reason:
        problems = Unfitted(())
        problems.add("without covariates", reason)
        raise problems.error("computed", options.method, NEVER_TREATED) from None


def _one_by_one(
    data: Eligible,
    cells: Cells,
    pairs: Contrasts,
    apart: Apart,
    options: TripleOptions,
) -> Triple:
    """Every cell on the units seen in both its periods, with covariates."""
    panel, m = data.panel, len(cells)
    estimate, psi = np.zeros(m), np.zeros((panel.n_clusters, m))
    against, weight = np.zeros(len(pairs.cell)), np.ones(len(pairs.cell))
    psi_apart = np.zeros((panel.n_clusters, len(apart.cohort)))
    problems = Unfitted(panel.controls)
    for c in range(m):
        these = pairs.of(c)
        try:
            effects, influence = _comparisons(
                data, cells, c, pairs.cohort[these], options
            )
            p = td.optimal_weights(influence.T @ influence)
        except NotFitted as reason:
            g = panel.cohorts[cells.cohort[c]]
            problems.add(f"cohort {g:.0f} in {panel.periods[cells.t[c]]}", reason)
            continue
        against[these], weight[these] = effects, p
        estimate[c] = p @ effects
        psi[:, c] = panel.by_cluster((influence @ p)[:, None])[:, 0]
        psi_apart += panel.by_cluster(influence @ apart.combination[these])
    problems.raise_if_any("computed", options.method, NEVER_TREATED)
    return Triple(estimate, psi, against, weight, psi_apart)


def _comparisons(
    data: Eligible, cells: Cells, c: int, cohorts: Floats, options: TripleOptions
) -> tuple[Floats, Floats]:
    """Effects (k,) of a cell against k cohorts, influence functions of units (N, k).

    Raises:
        NotFitted: the covariates of two groups can't be compared; says which.
    """
    panel, groups = data.panel, data.groups
    t, b = cells.t[c], cells.base[c]
    both = panel.seen[:, t] & panel.seen[:, b]
    method = options.method if panel.controls else "regression"
    g = float(panel.cohorts[cells.cohort[c]])
    treated = both & (groups.code == groups.at(g, 1))

    def beside(cohort: float, q: int) -> tuple[float, Floats]:
        control = both & (groups.code == groups.at(cohort, q))
        units = np.flatnonzero(treated | control)
        X = np.column_stack([np.ones(len(units)), *panel.X[:, units, b]])
        try:
            effect = att(
                panel.Y[units, t] - panel.Y[units, b],
                treated[units].astype(np.float64),
                centred(X),
                panel.weight[units, b],
                method,
            )
        except NotFitted as reason:
            kind = "eligible" if q else "ineligible"
            raise NotFitted(
                f"beside {kind} units of {_named(cohort)}: {reason}", reason.columns
            ) from None
        psi = np.zeros(len(treated))
        psi[units] = effect.psi
        return effect.estimate, psi

    own, psi_own = beside(g, 0)
    effects, influence = np.zeros(len(cohorts)), np.zeros((len(treated), len(cohorts)))
    for k, cohort in enumerate(cohorts):
        eligible, psi_eligible = beside(float(cohort), 1)
        ineligible, psi_ineligible = beside(float(cohort), 0)
        effects[k] = own + eligible - ineligible
        influence[:, k] = psi_own + psi_eligible - psi_ineligible
    return effects, influence


def _agree(apart: Apart, triple: Triple) -> Test:
    """Wald test that all comparison cohorts give the same effects from treatment on."""
    if not len(apart.cohort):
        return Test(
            "joint_comparisons",
            AGREE,
            reason="no effect is compared with more than one cohort",
        )
    estimate = triple.against @ apart.combination
    effects = [Effect(float(e), triple.psi_apart[:, d]) for d, e in enumerate(estimate)]
    listed = ", ".join(_named(g) for g in apart.cohort)
    null = f"{AGREE}: {listed}, and {_named(apart.reference)}"
    return joint("joint_comparisons", null, effects, np.inf)


def _group_time(
    data: Eligible, cells: Cells, pairs: Contrasts, triple: Triple
) -> GroupTime:
    """The effects with the units behind them: treated, and all others."""
    m = len(cells)
    own = np.zeros((m, 2), dtype=np.int64)
    others = np.zeros(m, dtype=np.int64)
    for c in range(m):
        sizes = _sizes(data, cells, c)
        at = np.searchsorted(data.groups.cohort, data.panel.cohorts[cells.cohort[c]])
        own[c] = sizes[at]
        compared = np.searchsorted(data.groups.cohort, pairs.cohort[pairs.of(c)])
        others[c] = sizes[compared].sum()
    return GroupTime(triple.estimate, triple.psi, own[:, 1], own[:, 0] + others)


def _sizes(data: Eligible, cells: Cells, c: int) -> Codes:
    """Units (L, 2) of every cohort, ineligible and eligible, seen in both periods."""
    seen = data.panel.seen
    if data.panel.balanced:
        return data.groups.sizes()
    return data.groups.sizes(seen[:, cells.t[c]] & seen[:, cells.base[c]])


def _cells_frame(
    data: Eligible, cells: Cells, pairs: Contrasts, found: GroupTime
) -> pd.DataFrame:
    """Every cell with its base period and the units behind it."""
    import pandas as pd

    panel = data.panel
    return pd.DataFrame(
        {
            "cohort": panel.cohorts[cells.cohort].astype(np.int64),
            "period": panel.periods[cells.t],
            "base_period": panel.periods[cells.base],
            "event_time": cells.event_time,
            "estimate": found.estimate,
            "std_error": np.sqrt(np.einsum("cm,cm->m", found.psi, found.psi)),
            "n_treated": found.n_treated,
            "n_control": found.n_control,
            "n_comparisons": np.bincount(pairs.cell, minlength=len(cells)),
        }
    )


def _comparisons_frame(
    data: Eligible, cells: Cells, pairs: Contrasts, triple: Triple
) -> pd.DataFrame:
    """Every cell against every cohort it is compared with."""
    import pandas as pd

    panel = data.panel
    sizes = np.array(
        [
            _sizes(data, cells, c)[np.searchsorted(data.groups.cohort, cohort)]
            for c, cohort in zip(pairs.cell, pairs.cohort, strict=True)
        ]
    )
    return pd.DataFrame(
        {
            "cohort": panel.cohorts[cells.cohort[pairs.cell]].astype(np.int64),
            "period": panel.periods[cells.t[pairs.cell]],
            "event_time": cells.event_time[pairs.cell],
            "compared_with": [_named(g) for g in pairs.cohort],
            "estimate": triple.against,
            "weight": triple.weight,
            "n_eligible": sizes[:, 1],
            "n_ineligible": sizes[:, 0],
        }
    )


def _named(cohort: float) -> str:
    return f"{cohort:.0f}" if np.isfinite(cohort) else "never treated"


def _thin_cohorts(request: Request, data: Eligible, cells: Cells) -> list[str]:
    """A note on treated cohorts with few eligible or ineligible units.

    Raises:
        IdentificationError: I08 some have one, unless acknowledged.
    """
    fewest: dict[float, int] = {}
    for c in range(len(cells)):
        g = float(data.panel.cohorts[cells.cohort[c]])
        own = _sizes(data, cells, c)[np.searchsorted(data.groups.cohort, g)]
        fewest[g] = min(fewest.get(g, own.min()), own.min())
    alone = [_named(g) for g, n in fewest.items() if n < td.FEWEST]
    if alone and "few_treated" not in request.acknowledge:
        raise IdentificationError(
            "I08",
            f"cohorts with one eligible or one ineligible unit: {', '.join(alone)}",
            why="One unit shows no variance: the standard error of the cohort's effect "
            "would be that of its comparisons alone.",
            fix="leave them out with `without`, date groups more coarsely, or a panel "
            "with more units in each group",
            acknowledge="few_treated",
        )
    few = [_named(g) for g, n in fewest.items() if n < FEW_TREATED]
    if not few:
        return []
    note = (
        f"Cohorts {', '.join(few)} have fewer than {FEW_TREATED} eligible or ineligible "
        "units: the standard errors of their effects are far too small."
    )
    return [note]


def _spoken(who: str, options: TripleOptions, panel: Grid) -> list[str]:
    controls = options.control_group.replace("_", "-")
    said = (
        f"Triple difference: units with {who} = 1 less units with {who} = 0, in treated "
        f"cohorts less {controls} ones, each comparison cohort on its own and combined "
        f"by smallest variance; base period {options.base_period}"
    )
    if panel.anticipation:
        said += f", {counted(panel.anticipation, 'period')} of anticipation"
    if panel.controls:
        number = len(panel.controls)
        said += f"; {options.method.replace('_', ' ')} with {number} "
        said += "covariate at its" if number == 1 else "covariates at their"
        said += " base period, integrated over the treated"
    return [said + "."]
