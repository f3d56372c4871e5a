"""What `pretrend_power` reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._math.pretests import after_pretest, slope_for_power
from estimators._sensitivity.events import event_study_of
from framework.result import Plot, Result

if TYPE_CHECKING:
    from framework.contract import Estimator, Request


def pretrend_power(request: Request, of: Estimator, power: Sequence[float]) -> Result:
    """The event study with the trends that its pre-test detects with these powers."""
    import pandas as pd
    from scipy.special import ndtri

    events = event_study_of(request, of)
    P, beta, sigma = events.before, events.beta, events.sigma
    offset = np.array(events.times, dtype=np.float64) - events.reference
    critical = float(ndtri(0.5 + request.confidence / 2))
    after = np.array([t >= 0 for t in events.times])
    # The direction that explains the effect, not the one that hides it.
    sign = -1.0 if beta[after].mean() < 0 else 1.0
    passing, _ = after_pretest(0.0, offset, sigma, P, critical)
    W = np.linalg.inv(sigma[:P, :P])
    table, lines, notes = [], [], []
    scalars = dict(events.result.scalars)
    for target in power:
        slope = sign * slope_for_power(offset[:P], sigma[:P, :P], critical, target)
        chance, mean = after_pretest(slope, offset, sigma, P, critical)
        trend = slope * offset
        away, flat = beta[:P] - trend[:P], beta[:P]
        table.append(
            {
                "power": target,
                "slope": slope,
                "bias": float(trend[after].mean()),
                "bias_after_pretest": float(mean[after].mean()),
                "bayes_factor": chance / passing,
                "likelihood_ratio": float(
                    np.exp((flat @ W @ flat - away @ W @ away) / 2)
                ),
            }
        )
        for t, line, expected in zip(events.times, trend, mean, strict=True):
            lines.append((target, t, float(line), float(expected)))
        lines.append((target, events.reference, 0.0, 0.0))
        if name := {0.5: "detectable_slope_50", 0.8: "detectable_slope_80"}.get(target):
            scalars[name] = abs(slope)
        notes.append(
            f"A linear difference in trends of {abs(slope):.3g} outcome units per period "
            f"gives a significant coefficient before treatment in {target:.0%} of "
            f"samples; undetected, it moves the mean effect by "
            f"{table[-1]['bias_after_pretest']:+.3g} "
            f"(the mean estimate is {beta[after].mean():+.3g})."
        )
    trends = pd.DataFrame(
        lines, columns=["power", "event_time", "trend", "after_pretest"]
    ).sort_values(["power", "event_time"], ignore_index=True)
    plots = tuple(
        replace(plot, options={**plot.options, "trends": "trends"})
        if plot.kind == "event_study"
        else plot
        for plot in events.result.plots
    )
    return replace(
        events.result,
        scalars=scalars,
        frames={
            **events.result.frames,
            "power": pd.DataFrame(table),
            "trends": trends,
        },
        plots=plots or (Plot("event_study", "coefficients"),),
        notes=(*events.result.notes, *notes),
    )
