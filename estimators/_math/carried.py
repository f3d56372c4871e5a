"""Which features carry a prediction: first-order indices from the predictions alone.

Plischke, Borgonovo and Smith (2013, European Journal of Operational Research 226(3)):
the variance of the predictions' means by class of one feature, over their variance. No
learner is fitted again and none has to tell its coefficients, so that a forest and a
lasso are read alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Classes of a feature with many values: tenths of its rows.
CLASSES = 10


def classes(X: Floats) -> Codes:
    """Class of every row by every feature (n, p).

    A feature with at most ten values has a class for each; others have tenths of the
    rows, equal values together.
    """
    found = np.empty(X.shape, dtype=np.int64)
    for j, column in enumerate(X.T):
        levels, code = np.unique(column, return_inverse=True)
        if len(levels) > CLASSES:
            # Share of rows with a smaller value, in tenths.
            below = np.concatenate([[0], np.cumsum(np.bincount(code))[:-1]])
            code = (below * CLASSES // len(column))[code]
        found[:, j] = code
    return found


def first_order(values: Floats, classes: Codes) -> Floats:
    """Share (p,) of the variance of `values` (n,) that each feature carries alone.

    The share that chance gives to `c` classes, (c - 1) / (n - 1), is taken out (epsilon
    squared, Kelley 1935); what is below zero then is zero. Features that move together
    share what they carry: the shares need not add up to one.
    """
    n, p = classes.shape
    centred = values - values.mean()
    total = float(centred @ centred)
    if n < 2 or not total > 0:  # noqa: PLR2004 - one row has no variance
        return np.zeros(p)
    found = np.empty(p)
    for j, code in enumerate(classes.T):
        count = np.bincount(code)
        held = count > 0
        sums = np.bincount(code, centred)[held]
        between = float(np.sum(sums**2 / count[held])) / total
        left = (n - 1) / max(n - int(held.sum()), 1)
        found[j] = max(1.0 - (1.0 - between) * left, 0.0)
    return found
