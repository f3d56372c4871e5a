"""The mean effect by cohort and period, beside one coefficient that pools them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._double.differences import MeanEffect, mean_effect
from estimators._double.scores import Plan
from estimators._staggered.group_time import GroupTimeOptions
from framework.contract import Inference
from framework.errors import EstimandError

if TYPE_CHECKING:
    from framework.contract import Request
    from framework.result import Result

#: Scalars of the mean effect, and of the coefficient less it.
MEAN, MEAN_ERROR = "cohort_att", "cohort_att_std_error"
GAP, GAP_ERROR = "cohort_att_gap", "cohort_att_gap_std_error"
#: The line that gives the number with all that belongs to it.
OWN_LINE = (
    "{estimator: {double_ml: {kind: did_multi, learner: lasso}}, controls: [...], "
    "estimand: att}"
)


@dataclass(frozen=True, slots=True)
class Companion:
    """How the mean effect is estimated.

    Attributes:
        plan: its learners, folds, repetitions, trimming.
        options: of the comparison of cohorts, those to try first.
        learners: what the note calls them.
        min_clusters: fewest that are not refused.
    """

    plan: Plan
    options: tuple[GroupTimeOptions, ...]
    learners: str
    min_clusters: int


def pools(result: Result) -> bool:
    """Whether its coefficient is one over staggered adoption."""
    return "weight_already_treated" in result.scalars


def with_mean_effect(result: Result, request: Request, how: Companion) -> Result:
    """The result with the mean effect, what the coefficient is away from it, the cells.

    Where there is none, a note has the reason: nothing here refuses the coefficient.
    """
    found = _first(_asked(request), how)
    if isinstance(found, str):
        note = f"no mean effect by did_multi stands beside it ({found}): {OWN_LINE}"
        return replace(result, notes=(*result.notes, note))
    effect = found.effect
    scalars = {MEAN: effect.estimate, MEAN_ERROR: effect.std_error}
    said = f"{effect.estimate:.4g} ({effect.std_error:.4g})"
    away = ""
    if result.coefficients["estimand"].iloc[0] == "coefficient":
        gap, error = _gap(result, found)
        scalars[GAP] = gap
        of = "" if error is None else f" ({error:.4g})"
        if error is not None:
            scalars[GAP_ERROR] = error
        away = f"; the coefficient less it: {gap:.4g}{of}"
    return replace(
        result,
        scalars={**result.scalars, **scalars},
        frames={**result.frames, "group_time": found.cells},
        notes=(*result.notes, f"{_how(how, found)}{_of(result, found)}: {said}{away}"),
    )


def _first(request: Request, how: Companion) -> MeanEffect | str:
    """The mean effect by the first options that have one, or why the last have none."""
    reason = ""
    for options in how.options:
        try:
            return mean_effect(
                request, how.plan, options, min_clusters=how.min_clusters
            )
        except EstimandError as error:
            first = error.problems[0]
            reason = f"{first.what}; {first.fix}" if first.fix else first.what
    return reason


def _asked(request: Request) -> Request:
    """The request as a comparison of cohorts reads it: by clusters, of whole units."""
    inference = request.inference
    if inference.name != "cluster":
        inference = Inference("cluster", (str(request.unit),))
    return replace(
        request,
        estimand=("att",),
        inference=inference,
        # A penalty learns from fewer rows than two a feature; a note has the folds.
        acknowledge=request.acknowledge | {"small_folds"},
    )


def _gap(result: Result, found: MeanEffect) -> tuple[float, float | None]:
    """Coefficient less mean effect; its error where both have the same clusters."""
    row = result.coefficients.iloc[0]
    gap = float(row["estimate"]) - found.effect.estimate
    influence = result.influence
    if influence is None or set(influence.index) != set(found.ids):
        return gap, None
    psi = influence.iloc[:, 0].reindex(list(found.ids)).to_numpy() - found.effect.psi
    return gap, float(np.sqrt(psi @ psi))


def _of(result: Result, found: MeanEffect) -> str:
    """Whose effect it is where clusters were left out (those always treated)."""
    # Where rows are independent the coefficient has no clusters to compare with.
    clusters = int(result.scalars.get("n_clusters", 0))
    if clusters <= len(found.ids):
        return ""
    return f", of {len(found.ids):,} of {clusters:,} clusters"


def _how(how: Companion, found: MeanEffect) -> str:
    plan = how.plan
    splits = "one split" if plan.repetitions == 1 else f"{plan.repetitions} splits"
    controls = found.control_group.replace("_", "-")
    trimmed = f", {found.trimmed:.1%} of propensities trimmed" if found.trimmed else ""
    return (
        f"mean effect by cohort and period (did_multi: {how.learners}, {splits} into "
        f"{plan.folds} folds, {controls} controls{trimmed})"
    )
