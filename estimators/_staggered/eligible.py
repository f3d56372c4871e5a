"""Who a policy of groups can touch: the panel of a triple difference, guarded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.design import label
from estimators._math.projection import Flags, contiguous
from estimators._math.triple_difference import Groups
from estimators._staggered.grid import Grid, effects_of_model, grid, some_rows
from framework.errors import EstimandError, IdentificationError, Problem, counted

if TYPE_CHECKING:
    from framework.contract import Request

#: Name for `model.acknowledge`: cohorts with one kind of units only are left out.
EMPTY = "empty_cells"


@dataclass(frozen=True, slots=True)
class Eligible:
    """A panel whose cohort is that of the unit's group, and who can be touched by it.

    Attributes:
        who: name of the column that says so.
        panel: cohorts of all units, ineligible ones included.
        Q: (N,) eligible units.
        groups: units by cohort and eligibility; those treated after the last period
            are cohorts here.
    """

    who: str
    panel: Grid
    Q: Flags
    groups: Groups

    @property
    def treated(self) -> Grid:
        """The same panel with the first period in which a unit itself is treated."""
        own = np.where(self.Q, self.panel.cohort, np.inf)
        return replace(self.panel, cohort=own)


def eligible(
    request: Request, *, always_treated: str | None, min_clusters: int
) -> Eligible:
    """The guarded panel with everybody's eligibility.

    Args:
        request: the estimation, with a moderator.
        always_treated: `drop`, or None to refuse groups without an untreated period.
        min_clusters: fewest clusters accepted without `acknowledge: few_clusters`.

    Raises:
        DataError: as `grid`.
        IdentificationError: E17 the moderator does not say who is eligible; E11 other
            fixed effects; as `grid`.
    """
    some_rows(request)
    who = _moderator(request)
    treatment = request.treatment
    rows = request.frame[who].to_numpy(dtype=np.float64)
    if treatment and treatment.cohort and request.time:
        cohort = np.unique(
            request.frame[treatment.cohort].to_numpy(), return_inverse=True
        )[1]
        period = contiguous(request.frame[request.time].to_numpy(dtype=np.int64))[0]
        of_cohort = cohort.astype(np.int64) * (int(period.max()) + 1) + period
        effects_of_model(
            request,
            absorbed=(of_cohort, 2 * period + rows.astype(np.int64)),
            removes="Triple differences remove effects of units, of cohorts by period "
            "and of eligibility by period",
        )
    panel = grid(
        replace(request, controls=tuple(c for c in request.controls if c != who)),
        always_treated=always_treated,
        min_clusters=min_clusters,
    )
    design = panel.design
    Q = np.zeros(len(panel.cohort), dtype=bool)
    Q[design.unit_codes] = rows[design.rows] == 1
    # A group that is treated after the last period stays a comparison of its own: pooled
    # with others, its share of eligible units would weigh in.
    S = np.full(len(panel.cohort), np.inf)
    if design.cohort is not None:
        S[design.unit_codes] = design.cohort
    return Eligible(label(request, who), panel, Q, Groups.of(S, Q))


def _moderator(request: Request) -> str:
    """Alias of the column that says who is eligible.

    Raises:
        IdentificationError: E17, all reasons at once.
    """
    treatment = request.treatment
    named = treatment.moderators if treatment else ()
    if treatment is None or len(named) != 1 or len(treatment.columns) != 1:
        raise IdentificationError(
            "E17",
            "no single column says which units the treatment can touch"
            if len(named) != 1
            else f"{counted(len(treatment.columns) if treatment else 0, 'treatment')}",
            why="A triple difference compares eligible with ineligible units, in "
            "groups that are treated and in groups that are not.",
            fix="interact: a 0/1 column, 1 for eligible units, with its main effect; "
            "treatment: one column, on for all units of a treated group",
        )
    problems = list(_unfit(request, treatment.columns[0], named[0]))
    if problems:
        raise EstimandError(problems)
    return named[0]


def _unfit(request: Request, treatment: str, who: str) -> Iterator[Problem]:
    """Why the column `who` does not split the units of treated groups."""
    name = label(request, who)
    values = request.frame[who].to_numpy(dtype=np.float64)
    if not np.isin(values, (0.0, 1.0)).all():
        yield from IdentificationError(
            "E17",
            f"'{name}' is not 0 or 1 in "
            f"{counted(int((~np.isin(values, (0.0, 1.0))).sum()), 'row')}",
            why="It says whether a unit is eligible; a share or a centred column can't.",
            fix="interact: a 0/1 column, without center (data.steps: {above: …})",
        ).problems
        return
    if request.unit is not None:
        unit = request.frame[request.unit].to_numpy(dtype=np.int64)
        share = np.bincount(unit, values) / np.maximum(np.bincount(unit), 1)
        both = int(((share > 0) & (share < 1)).sum())
        if both:
            yield from IdentificationError(
                "E17",
                f"'{name}' changes over time in {counted(both, 'unit')}",
                why="Who moves between eligible and ineligible is in both groups "
                "compared, and may move because of the treatment.",
                fix=f"interact: {{at: {{column: {name}, …}}}} with a period before "
                "treatment, or a unit that does not change (state × group)",
            ).problems
    on = request.frame[treatment].to_numpy(dtype=np.float64) != 0
    if on.any() and not (on & (values == 0)).any():
        yield from IdentificationError(
            "E17",
            f"'{label(request, treatment)}' is never on where '{name}' is 0",
            why="The ineligible units of a treated group are its first comparison, and "
            "this column does not say when their group is treated.",
            fix="treatment: a column that is on for all units of a treated group "
            "(first_treated: the year of the group), eligible or not",
        ).problems


def one_kind_only(request: Request, data: Eligible) -> list[str]:
    """A note on treated cohorts of which all, or none, are eligible.

    Raises:
        IdentificationError: E17 unless acknowledged.
    """
    sizes = data.groups.sizes()
    found = []
    for name, (without, eligible) in zip(data.groups.cohort, sizes, strict=True):
        if name in data.panel.cohorts and not (without and eligible):
            kind = "ineligible" if eligible else "eligible"
            found.append(f"{name:.0f} (no {kind} units)")
    if not found:
        return []
    listed = ", ".join(found)
    if EMPTY in request.acknowledge:
        return [f"Left out, as acknowledged (empty_cells): cohorts {listed}."]
    raise IdentificationError(
        "E17",
        f"cohorts with one kind of units only: {listed}",
        why="Their effect is not identified, and without them the average is of other "
        "cohorts.",
        fix="leave them out with `without`",
        acknowledge=EMPTY,
    )
