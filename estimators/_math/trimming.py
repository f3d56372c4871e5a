"""Which scores to keep where overlap is poor (Crump, Hotz, Imbens and Mitnik 2009)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def best_bound(e: Floats) -> float:
    """alpha: rows with alpha <= e <= 1 - alpha have the least variance bound.

    The bound for the average effect on a set A of covariates is, up to a constant under
    homoskedasticity, sum over A of 1 / (e (1 - e)) over the square of its size. The
    best sets hold the smallest values, so the n of them are tried (their equation 8
    solved for the sample).
    """
    near = np.sort(np.minimum(e, 1 - e))[::-1]
    with np.errstate(divide="ignore"):
        g = 1 / (near * (1 - near))
    size = np.arange(1, len(g) + 1)
    with np.errstate(invalid="ignore"):
        variance = np.cumsum(g) / size**2
    # Equal scores are kept or left out together.
    last = np.append(near[1:] < near[:-1], True)
    variance[~last | ~np.isfinite(variance)] = np.inf
    return float(near[int(np.argmin(variance))])
