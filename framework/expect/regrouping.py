"""Do samples differ by more than random groups of the same sizes?

The statistic is Cochran's Q, the weighted sum of squares of the estimates around their
mean, weights 1 / SE^2; with two samples it is the square of the t statistic of their
difference. Studentised, a permutation test of equal coefficients holds in large samples
also where the groups differ otherwise (Chung and Romano 2013), and it is exact where
they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework.expect.rows import CannotBeJudged, Judged, judged_row

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from framework.spec.expectations import Expectation

#: Statistics that agree to rounding are ties, and ties count as extreme.
_TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Permuted:
    """A permutation test that several estimates are equal.

    Attributes:
        statistic: Cochran's Q in the data.
        draws: permutations.
        beyond: those with a Q as large, or without a number.
        lost: those without a number in some sample.
    """

    statistic: float
    draws: int
    beyond: int
    lost: int

    @property
    def p_value(self) -> float:
        """(beyond + 1) / (draws + 1): the true groups count once."""
        return (self.beyond + 1) / (self.draws + 1)


def permuted(line: Sequence[Judged], options: Expectation | None = None) -> Permuted:
    """Test the values of a line by the draws that dealt out their groups anew.

    Raises:
        CannotBeJudged: a value has no number, no standard error or no draws, or the
            draws are not of one assignment, or of another number.
    """
    import numpy as np

    estimates, errors, here = [], [], []
    assignments: set[str] = set()
    for judged in line:
        row, draws = judged_row(judged, options), judged.finished().draws
        if draws is None or "assignment" not in draws:
            raise CannotBeJudged(f"{judged.address} has no permuted groups")
        if not row.has_error:
            raise CannotBeJudged(f"{judged.address} has no standard error")
        if row.estimate != judged_row(judged).estimate:
            raise CannotBeJudged(
                f"the draws of {judged.address} are of the number that model.estimand "
                "judges, not of the one that is asked for"
            )
        assignments |= set(draws["assignment"])
        here.append((row.estimate, row.std_error))
        estimates.append(draws["estimate"].to_numpy(dtype=float))
        errors.append(draws["std_error"].to_numpy(dtype=float))
    if len(assignments) > 1 or len({len(e) for e in estimates}) > 1:
        raise CannotBeJudged(
            "the values have different units before the restrictions of the sample, so "
            "one draw is not the same groups in all of them"
        )
    true = np.array(here)
    ours = float(_q(true[None, :, 0], true[None, :, 1])[0])
    drawn = _q(np.column_stack(estimates), np.column_stack(errors))
    lost = int(np.isnan(drawn).sum())
    beyond = int((~(drawn < ours * (1 - _TIE))).sum())
    return Permuted(ours, len(drawn), beyond, lost)


def _q(
    estimate: npt.NDArray[np.float64], error: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(draws,) Cochran's Q of (draws, samples); nan where a sample has no number."""
    import numpy as np

    known = np.isfinite(estimate) & np.isfinite(error) & (error > 0)
    weight = 1 / np.where(known, error, np.nan) ** 2
    mean = (weight * estimate).sum(axis=1) / weight.sum(axis=1)
    found: npt.NDArray[np.float64] = (weight * (estimate - mean[:, None]) ** 2).sum(
        axis=1
    )
    return found
