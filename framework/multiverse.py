"""What a line with many values says as a whole: all of them, never the best.

A line whose `each` has several paths is a multiverse: the same question under every
defensible combination of choices. It is summed up by its counts, by how far each choice
moves the estimates, and, where the line permutes the treatment, by tests of the sharp
null for all specifications at once (Simonsohn, Simmons and Nelson 2020).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from framework.expect.rows import CannotBeJudged, Judged, Row, judged_row

if TYPE_CHECKING:
    import numpy as np

#: 5%, two-sided, as in the specification curve.
_LEVEL = 0.05
#: Shapley values need 2^choices regressions.
_MOST_CHOICES = 12
#: Statistics of a draw that agree to rounding are ties, and ties count as extreme.
_TIE = 1e-12
_MIXED = "the specifications estimate different periods, cohorts or groups"


@dataclass(frozen=True, slots=True)
class JointTest:
    """A test of no effect in any specification, by permuting the treatment.

    Attributes:
        name: `median`, `significant` or `stouffer`.
        statistic: in the data; None where `reason` says why.
        p_value: (draws at least as large + 1) / (draws + 1).
    """

    name: str
    what: str
    statistic: float | None = None
    p_value: float | None = None
    draws: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """How much of the variance of the estimates one choice explains.

    Attributes:
        alone: R2 of the choice's categories by themselves (eta squared).
        last: what it adds to all other choices.
        shapley: the mean of what it adds over all orders; these sum to the R2 of all
            choices together (main effects).
        medians: category -> (specifications, median estimate).
    """

    path: str
    alone: float
    last: float
    shapley: float
    medians: Mapping[str, tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Multiverse:
    """A line with many values.

    Attributes:
        planned: combinations of the values of `each`, before `except`.
        excluded: struck out by `except`.
        ran: specifications with a number; `failed` and `refused` have none.
        positive: of those that ran, with an estimate above 0.
        significant: of those that ran, with p < 0.05, by sign (negative, positive).
        same: specifications that another value asks for, too: counted once, there.
        unjudged: of those that ran, without a p value.
        quantities: what is estimated -> how many specifications estimate it; one where
            all answer the same question.
        outcomes: outcomes of those that ran.
        median, lowest, highest: None where single periods, cohorts or groups would be
            mixed with averages or with each other.
        r2: variance of the estimates that the choices explain together.
        choices_reason: why no choice is judged, "" otherwise.
    """

    heading: str
    line: str
    planned: int
    excluded: int
    ran: int
    failed: int
    refused: int
    median: float | None
    lowest: float | None
    highest: float | None
    positive: int
    significant: tuple[int, int]
    same: int = 0
    unjudged: int = 0
    quantities: Mapping[str, int] = field(default_factory=dict)
    outcomes: tuple[str, ...] = ()
    r2: float | None = None
    choices: tuple[Choice, ...] = ()
    choices_reason: str = ""
    joint: tuple[JointTest, ...] = ()

    @property
    def sign_share(self) -> float:
        """Share of the estimates that have the more frequent sign."""
        return max(self.positive, self.ran - self.positive) / self.ran


@dataclass(frozen=True, slots=True)
class Universe:
    """One specification of a line.

    Attributes:
        choices: (path of `each`, name of the value), in the order of writing.
        excluded: combinations that the line's `except` struck out.
        status: `done`, `failed`, `refused` or `not_built`.
        same_as: address of an earlier one that is the same specification.
    """

    judged: Judged
    choices: tuple[tuple[str, str], ...]
    excluded: int
    status: str
    same_as: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    universe: Universe
    row: Row
    outcome: str = field(default="")


def multiverse(
    heading: str, line: str, universes: Sequence[Universe]
) -> Multiverse | None:
    """Sum up a line.

    Args:
        universes: all its specifications, in the order of the study.

    Returns:
        None for a line that is no multiverse: fewer than two numbers, or a single
        choice none of whose values is met twice (leave one out).
    """
    if not universes or not universes[0].choices:
        return None
    planned, excluded = len(universes), universes[0].excluded
    universes = [u for u in universes if not u.same_as]
    found = list(_with_numbers(universes))
    several = any(len(u.choices) > 1 for u in universes)
    if len(found) < 2 or not several:  # noqa: PLR2004 - one number has no spread
        return None
    estimates = [f.row.estimate for f in found]
    significant = [f.row for f in found if f.row.p_value < _LEVEL]
    mixed = len({tuple(f.row.index.items()) for f in found}) > 1
    r2, choices, reason = (None, (), _MIXED) if mixed else _choices(found)
    return Multiverse(
        heading=heading,
        line=line,
        planned=planned + excluded,
        excluded=excluded,
        ran=len(found),
        failed=sum(u.status == "failed" for u in universes),
        refused=sum(u.status in ("refused", "not_built") for u in universes),
        median=None if mixed else _median(estimates),
        lowest=None if mixed else min(estimates),
        highest=None if mixed else max(estimates),
        positive=sum(e > 0 for e in estimates),
        significant=(
            sum(r.estimate < 0 for r in significant),
            sum(r.estimate > 0 for r in significant),
        ),
        same=planned - len(universes),
        unjudged=sum(math.isnan(f.row.p_value) for f in found),
        quantities=dict(Counter(f"{f.row.estimand} of {f.row.where}" for f in found)),
        outcomes=tuple(dict.fromkeys(f.outcome for f in found)),
        r2=r2,
        choices=choices,
        choices_reason=reason,
        joint=_joint(found),
    )


def _with_numbers(universes: Sequence[Universe]) -> list[_Found]:
    found = []
    for universe in universes:
        try:
            row = judged_row(universe.judged)
        except CannotBeJudged:
            continue
        cell = universe.judged.cell
        outcome = str(cell.labels.get("outcome", "")) if cell is not None else ""
        found.append(_Found(universe, row, outcome))
    return found


def _median(numbers: Sequence[float]) -> float:
    ordered = sorted(numbers)
    half, odd = divmod(len(ordered), 2)
    return ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2


# -- which choices matter ---------------------------------------------------------------


def _choices(
    found: Sequence[_Found],
) -> tuple[float | None, tuple[Choice, ...], str]:
    import numpy as np

    taken = [dict(f.universe.choices) for f in found]
    paths = [
        path
        for path in dict.fromkeys(p for held in taken for p in held)
        if len({held.get(path) for held in taken}) > 1
    ]
    estimates = np.array([f.row.estimate for f in found])
    categories = {path: [held.get(path, "") for held in taken] for path in paths}
    reason = _unexplained(paths, categories, estimates)
    if reason:
        return None, (), reason
    r2 = _explained(categories, estimates)
    everything = frozenset(paths)
    choices = tuple(
        Choice(
            path,
            alone=r2[frozenset({path})],
            last=r2[everything] - r2[everything - {path}],
            shapley=_shapley(path, paths, r2),
            medians={
                name: (len(held), _median(held))
                for name in dict.fromkeys(categories[path])
                if (
                    held := [
                        float(e)
                        for e, n in zip(estimates, categories[path], strict=True)
                        if n == name
                    ]
                )
            },
        )
        for path in paths
    )
    return r2[everything], choices, ""


def _unexplained(
    paths: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    estimates: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> str:
    if not paths:
        return "every choice has one value only"
    if len(paths) > _MOST_CHOICES:
        return f"{len(paths)} choices are more than {_MOST_CHOICES}"
    cells = 1 + sum(len(set(held)) - 1 for held in categories.values())
    if cells >= len(estimates):
        return (
            f"{len(estimates)} estimates cannot tell {cells} effects of choices apart"
        )
    if float(estimates.var()) == 0.0:
        return "all estimates are the same"
    return ""


def _explained(
    categories: Mapping[str, Sequence[str]],
    estimates: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> dict[frozenset[str], float]:
    """R2 of the main effects of every set of choices."""
    import numpy as np

    dummies = {
        path: np.array(
            [[float(h == name) for name in sorted(set(held))[1:]] for h in held]
        )
        for path, held in categories.items()
    }
    deviations = estimates - estimates.mean()
    total = float(deviations @ deviations)
    found = {frozenset[str](): 0.0}
    for size in range(1, len(categories) + 1):
        for chosen in itertools.combinations(categories, size):
            columns = [np.ones((len(estimates), 1)), *(dummies[p] for p in chosen)]
            design = np.hstack(columns)
            fit = np.linalg.lstsq(design, deviations, rcond=None)[0]
            rest = deviations - design @ fit
            found[frozenset(chosen)] = 1.0 - float(rest @ rest) / total
    return found


def _shapley(
    path: str, paths: Sequence[str], r2: Mapping[frozenset[str], float]
) -> float:
    others = [p for p in paths if p != path]
    count = len(paths)
    value = 0.0
    for size in range(count):
        weight = 1 / (count * math.comb(count - 1, size))
        for chosen in itertools.combinations(others, size):
            before = frozenset(chosen)
            value += weight * (r2[before | {path}] - r2[before])
    return value


# -- all specifications at once -----------------------------------------------------------

_TESTS = (
    ("median", "median t statistic over the specifications"),
    ("significant", "significant specifications of one sign, at 5%"),
    ("stouffer", "sum of z statistics over the root of their number (Stouffer)"),
)


def _joint(found: Sequence[_Found]) -> tuple[JointTest, ...]:
    """Three tests of no effect anywhere; () where the line permutes nothing."""
    redrawn = {(f.universe.judged.draws or {}).get("permute") for f in found}
    if "treatment" not in redrawn:
        return ()
    reason = _incomparable(found)
    if reason:
        return tuple(JointTest(name, what, reason=reason) for name, what in _TESTS)
    import numpy as np

    drawn = np.column_stack([_drawn(f) for f in found])
    here = np.array([[f.row.statistic for f in found]])
    df = np.array([f.row.df for f in found])
    observed, permuted = _statistics(here, df), _statistics(drawn, df)
    tests = []
    for name, what in _TESTS:
        value, null = float(observed[name][0]), permuted[name]
        limit = abs(value) * (1 - _TIE)
        # A draw in which a specification has no number counts as extreme.
        beyond = int((~(np.abs(null) < limit)).sum())
        p_value = (beyond + 1) / (len(null) + 1)
        tests.append(JointTest(name, what, value, p_value, len(null)))
    return tuple(tests)


def _incomparable(found: Sequence[_Found]) -> str:
    """Why the draws of the specifications are not draws of one assignment."""
    assignments = set()
    for f in found:
        cell = f.universe.judged.cell
        draws = cell.draws if cell is not None else None
        if draws is None or "assignment" not in draws:
            return f"{f.universe.judged.address} has no permuted assignments"
        assignments |= set(draws["assignment"])
        if f.row.std_error is None or not math.isfinite(f.row.statistic):
            return f"{f.universe.judged.address} has no standard error"
    if len(assignments) > 1:
        return (
            "the specifications have different units, so one draw is not the same "
            "assignment in all of them: let restrictions drop rows, not units, or put "
            "them on a line of their own"
        )
    return ""


def _drawn(found: _Found) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    cell = found.universe.judged.cell
    assert cell is not None  # noqa: S101 - `_incomparable` has looked
    assert cell.draws is not None  # noqa: S101 - as above
    numbers: np.ndarray[tuple[int], np.dtype[np.float64]] = cell.draws[
        "statistic"
    ].to_numpy(dtype="float64")
    return numbers


def _statistics(
    t: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    df: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """The three statistics of every row of t statistics (draws x specifications)."""
    import numpy as np
    from scipy import stats

    t = np.where(np.isfinite(t), t, np.nan)
    finite = np.where(np.isfinite(df), df, 1e12)
    # The tail that does not lose digits: z has the sign of t.
    tail = stats.t.sf(np.abs(t), finite)
    z = np.sign(t) * stats.norm.isf(tail)
    below = 2 * tail < _LEVEL
    up, down = (below & (t > 0)).sum(axis=1), (below & (t < 0)).sum(axis=1)
    lost = ~np.isfinite(t).all(axis=1)
    most = np.maximum(up, down).astype("float64")
    most[lost] = np.nan
    return {
        "median": np.median(t, axis=1),
        "significant": most,
        "stouffer": z.sum(axis=1) / math.sqrt(t.shape[1]),
    }
