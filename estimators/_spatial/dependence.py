"""Are the residuals of different units related? Pesaran's CD, whatever the effects."""

from __future__ import annotations

import numpy as np

from estimators._math.spatial_autocorrelation import pesaran_cd, weighted_cd
from estimators._spatial.panel import Arrays, without
from framework.errors import counted
from framework.result import Test

_FEWEST_PERIODS = 4
#: Draws of signs under period effects.
_DRAWS = 30


def dependence(arrays: Arrays, seed: int) -> Test:
    """CD of the within residuals; with period effects weighted by random signs."""
    from scipy.special import ndtr

    name, null = "pesaran_cd", "residuals of different units are unrelated"
    n, t = arrays.y.shape
    if t < _FEWEST_PERIODS:
        return Test(
            name,
            null,
            reason=f"{counted(t, 'period is', 'periods are')} too few for correlations",
        )
    e = without(arrays, arrays.y)
    said = f"{counted(n, 'unit')}"
    if arrays.time:
        # Period effects make residuals add up to zero in each period: the plain CD is
        # then negative whatever the truth.
        value = weighted_cd(e, _DRAWS, np.random.default_rng([seed, n, t]))
        said += f", {_DRAWS} draws of signs"
    else:
        value = pesaran_cd(e)
    return Test(name, null, value, said, float(2 * ndtr(-abs(value))))
