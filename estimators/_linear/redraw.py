"""The judged coefficient under many assignments of the treatment, in closed form.

By the theorem of Frisch, Waugh and Lovell fixed effects are removed from the outcome
and the controls once, and from the assignments in blocks; what is left of each draw is
a regression on a few demeaned columns, with the same covariance as the fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.covariance import covariance
from estimators._linear.design import build, control_regressors, treatment_regressors
from estimators._linear.engine import demeaned_like, fit, prepare
from estimators._linear.jackknife import jackknifed
from estimators._math.projection import Floats
from framework.errors import IdentificationError, NumericalError

if TYPE_CHECKING:
    from estimators._linear.options import SmallSample
    from framework.contract import Request

#: Assignments whose fixed effects are removed at the same time.
_BLOCK = 64
#: A draw of which less than this share is left after controls and fixed effects is
#: absorbed by them and gives no number.
_ABSORBED = 1e-10


def redraw(
    request: Request,
    small_sample: SmallSample,
    treatments: Floats,
    *,
    min_clusters: int = 10,
) -> Floats:
    """Estimate and standard error of the treatment in every draw.

    Args:
        request: the true estimation; one treatment column, not interacted.
        small_sample: as in the fit.
        treatments: (n, B), a column per draw, rows as in `request.frame`.
        min_clusters: as in the fit.

    Returns:
        (B, 2); NaN where a draw is absorbed by controls and fixed effects, or has no
        positive definite covariance.

    Raises:
        IdentificationError, DataError, NumericalError: the true fit's own problems.
    """
    regressors = [*treatment_regressors(request), *control_regressors(request)]
    design = build(request, regressors, min_clusters=min_clusters)
    design = fit(design, request.inference, small_sample).design
    columns = prepare(design)
    root = np.sqrt(design.scaled_weights())[:, None]
    held = columns.X[:, 1:]
    if design.has_constant:
        held = np.column_stack([held, np.ones(design.n)])
    held, y = held * root, columns.y * root[:, 0]
    found = np.full((treatments.shape[1], 2), np.nan)
    for start in range(0, treatments.shape[1], _BLOCK):
        raw = treatments[design.rows, start : start + _BLOCK]
        total = np.square(raw - raw.mean(axis=0)).sum(axis=0)
        block = demeaned_like(design, raw) * root
        for j in range(block.shape[1]):
            d = block[:, j]
            left = d - held @ np.linalg.lstsq(held, d, rcond=None)[0]
            if left @ left <= _ABSORBED * total[j]:
                continue
            X = np.column_stack([d, held])
            M = np.linalg.inv(X.T @ X)
            beta = M @ (X.T @ y)
            beta += M @ (X.T @ (y - X @ beta))  # refined, as in the fit
            u = y - X @ beta
            try:
                found_here = covariance(
                    design, request.inference, small_sample, X, u, columns.absorbed
                )
                if request.inference.options.get("type") == "CV3":
                    found_here = jackknifed(design, X, u, found_here)
            except (NumericalError, IdentificationError):  # no error, no number
                continue
            found[start + j] = beta[0], np.sqrt(found_here.V[0, 0])
    return np.asarray(found * columns.scale[0], dtype=np.float64)
