"""Bounds when the instrument may have an effect of its own (plausibly exogenous).

Conley, Hansen and Rossi (2012), REStat 94(1): with y = d beta + z gamma + e and gamma
known, two-stage least squares of y - z gamma is consistent. Gamma is only known to lie
between bounds, so the interval for beta is the union of the intervals at every gamma.

With one instrument the estimate is linear in gamma and its variance a quadratic that is
never negative, so the upper end estimate + t * error is convex and the lower end concave:
the union over an interval of gamma is that of its two ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._iv.stages import Stages, estimate_stages
from estimators._linear.design import label
from framework.errors import IdentificationError

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.options import SmallSample
    from framework.contract import Request


@dataclass(frozen=True, slots=True)
class Plausible:
    """Intervals at no direct effect and at the bounds, and what follows from them.

    Attributes:
        frame: direct_effect, estimate, std_error, conf_low, conf_high.
        scalars: `plausible_low`, `plausible_high`, `direct_effect_breakdown`.
        instrument, treatment: their names.
    """

    frame: pd.DataFrame
    scalars: Mapping[str, float]
    instrument: str
    treatment: str

    def note(self, confidence: float) -> str:
        """One sentence for the report."""
        low, high = self.frame.direct_effect.iloc[[0, -1]]
        ends = self.scalars["plausible_low"], self.scalars["plausible_high"]
        said = (
            f"If '{self.instrument}' has an effect of its own between {low:.4g} and "
            f"{high:.4g}, the {confidence:.0%} interval of '{self.treatment}' is "
            f"[{ends[0]:.4g}, {ends[1]:.4g}] (Conley, Hansen and Rossi 2012)"
        )
        breakdown = self.scalars.get("direct_effect_breakdown")
        if breakdown is None:
            return said + "; no direct effect makes it hold zero."
        return (
            said + f"; it holds zero from a direct effect of {breakdown:.4g} in size."
        )


def plausibly_exogenous(
    request: Request,
    stages: Stages,
    small_sample: SmallSample,
    bounds: tuple[float, float],
    min_clusters: int,
) -> Plausible:
    """The union of intervals over direct effects between `bounds`.

    Raises:
        IdentificationError: V05 several treatments or instruments.
    """
    import pandas as pd
    from scipy.special import stdtrit

    if stages.p != 1 or stages.q != 1:
        raise IdentificationError(
            "V05",
            f"direct_effect with {stages.p} treatments and {stages.q} instruments",
            why="The bounds are those of one instrument's effect on the outcome.",
            fix="one instrument on this line, the others among the controls, or without "
            "direct_effect",
        )
    z = request.frame[request.instruments[0]].to_numpy(dtype=np.float64)
    y = request.frame[request.outcome].to_numpy(dtype=np.float64)

    def at(gamma: float) -> tuple[float, float]:
        """Estimate and variance with this direct effect taken off the outcome."""
        if gamma == 0:
            main = stages.main
        else:
            frame = request.frame.assign(**{request.outcome: y - gamma * z})
            given = replace(request, frame=frame)
            main = estimate_stages(given, small_sample, min_clusters).main
        return float(main.estimate[0]), float(main.covariance[0, 0])

    low, high = bounds
    gammas = sorted({low, high, 0.0} if low <= 0 <= high else {low, high})
    found = [at(g) for g in gammas]
    reach = float(stdtrit(stages.main.df_t, 0.5 + request.confidence / 2))
    frame = pd.DataFrame(
        {
            "direct_effect": gammas,
            "estimate": [b for b, _ in found],
            "std_error": [np.sqrt(v) for _, v in found],
            "conf_low": [b - reach * np.sqrt(v) for b, v in found],
            "conf_high": [b + reach * np.sqrt(v) for b, v in found],
        }
    )
    scalars = {
        "plausible_low": float(frame.conf_low.min()),
        "plausible_high": float(frame.conf_high.max()),
    }
    # Of the size of the reduced form, so that three points say what the quadratic is.
    step = abs(float(stages.reduced.estimate[0])) or 1.0
    breakdown = _breakdown(at(0.0), at(step), at(-step), step, reach)
    if breakdown is not None:
        scalars["direct_effect_breakdown"] = breakdown
    return Plausible(
        frame,
        scalars,
        label(request, request.instruments[0]),
        stages.main.design.regressors[0].name,
    )


def _breakdown(
    here: tuple[float, float],
    up: tuple[float, float],
    down: tuple[float, float],
    step: float,
    reach: float,
) -> float | None:
    """Smallest |gamma| with estimate^2 <= reach^2 variance, both known at three points."""
    excess = [b**2 - reach**2 * v for b, v in (here, up, down)]
    if excess[0] <= 0:
        return 0.0
    square = (excess[1] + excess[2]) / 2 - excess[0]
    slope = (excess[1] - excess[2]) / 2
    roots = np.roots([square, slope, excess[0]])
    real = np.abs(roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real)
    return float(real.min() * step) if len(real) else None
