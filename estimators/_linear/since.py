"""Regressors that depend on the time since a unit's first treated period alone.

Leads and lags of an absorbing treatment, and indicators of event times: what they are
under another assignment follows from the first treated periods, whoever has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from estimators._linear.design import Regressor, build, control_regressors
from estimators._linear.reassign_several import reassign_several
from estimators._linear.redraw import Redrawn, redraw_each
from estimators._linear.timing import first_treated
from estimators._math.projection import Floats

if TYPE_CHECKING:
    from estimators._linear.options import SmallSample
    from framework.contract import Assignments, Request


class Since(Protocol):
    """How time since first treatment becomes regressors.

    Attributes:
        always_treated: what becomes of units without a period before treatment: `drop`,
            `keep`, or None = the estimation is refused.
    """

    @property
    def always_treated(self) -> str | None: ...

    def columns(self, since: Floats) -> tuple[Floats, Floats] | None:
        """Regressors (q, *shape) and what the judged number is of them (q,).

        Args:
            since: period less first treated one, -inf = never treated; every value that
                occurs in the sample.

        Returns:
            None where the estimation would be refused.
        """


@dataclass(frozen=True, slots=True)
class LeadsAndLags:
    """The treatment, then itself `orders` periods later (negative: leads)."""

    orders: tuple[int, ...]
    always_treated: str | None = "keep"

    def columns(self, since: Floats) -> tuple[Floats, Floats]:
        """As in `leads_and_lags`; the treatment itself is judged."""
        steps = (0, *self.orders)
        found = np.array([since >= k for k in steps], dtype=np.float64)
        return found, np.eye(len(steps))[0]


@dataclass(frozen=True, slots=True)
class EventTimes:
    """Indicators of the event times, as in `event_study`.

    Attributes:
        window: shown, None = all that occur; those outside are put into its ends if
            `binned`.
        reference: the event time without an indicator.
        always_treated: as in `Since`.
        average: judged is the mean over shown event times from 0 on, not the first.
    """

    window: tuple[int, int] | None
    reference: int
    binned: bool
    always_treated: str | None
    average: bool

    def columns(self, since: Floats) -> tuple[Floats, Floats] | None:
        """Event times in ascending order; None without the reference, or with no other."""
        if self.binned and self.window:
            since = np.where(np.isfinite(since), np.clip(since, *self.window), since)
        occurring = np.unique(since[np.isfinite(since)])
        times = occurring[occurring != self.reference]
        low, high = self.window or (-np.inf, np.inf)
        shown = (times >= low) & (times <= high)
        after = np.flatnonzero(shown & (times >= 0))
        if len(times) == len(occurring) or not shown.any():
            return None
        weights = np.zeros(len(times))
        if self.average:
            if not len(after):
                return None
            weights[after] = 1.0 / len(after)
        else:
            weights[after[0] if len(after) else np.flatnonzero(shown)[0]] = 1.0
        return np.array([since == k for k in times], dtype=np.float64), weights


def reassign_since(
    request: Request,
    small_sample: SmallSample,
    assignments: Assignments,
    of: Since,
    *,
    min_clusters: int = 10,
) -> Floats | None:
    """Estimate and standard error of the judged number in every draw.

    Args:
        request: the true estimation; an absorbing treatment in a panel.
        small_sample: as in the fit.
        assignments: paths of the units in B draws.
        of: the regressors that depend on the path.
        min_clusters: as in the fit.

    Returns:
        (B, 2), NaN for draws without a number; None where a draw has other rows, or
        regressors that the fit would leave out.

    Raises:
        IdentificationError, DataError, NumericalError: the true fit's own problems.
    """
    if request.unit is None or request.time is None:
        return None
    unit = request.frame[request.unit].to_numpy(dtype=np.int64)
    time = request.frame[request.time].to_numpy(dtype=np.float64)
    true = of.columns(time - first_treated(request))
    if true is None:
        return None
    own = [
        Regressor(values, f"own {j}", wanted=True) for j, values in enumerate(true[0])
    ]
    design = build(
        request, [*own, *control_regressors(request)], min_clusters=min_clusters
    )
    first = assignments.first[assignments.of_unit]
    earliest = np.full(first.shape[1], np.inf)
    np.minimum.at(earliest, unit, time)
    always = (np.isfinite(first) & (first <= earliest)).any(axis=1)
    if of.always_treated == "drop" and always.any():
        return None
    refused = always & (of.always_treated is None)
    if not refused.any():
        path = of.columns(np.unique(time) - assignments.first[:, None])
        if path is not None:
            found = reassign_several(design, request, small_sample, assignments, *path)
            if found is not None:
                return found

    def draws() -> Iterator[Redrawn | None]:
        for cohort, no in zip(first, refused, strict=True):
            made = None if no else of.columns(time - cohort[unit])
            yield None if made is None else Redrawn(made[0].T, made[1])

    return redraw_each(design, len(own), request.inference, small_sample, draws())
