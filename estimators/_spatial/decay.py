"""SLX with estimated decay, from a request to a result."""

from __future__ import annotations

import numpy as np

from estimators._math.spatial_decay import NoDecayError, estimated_decay, varies
from estimators._math.spatial_inference import recoloured
from estimators._math.spatial_ml import Floats
from estimators._spatial.panel import Arrays, arrays_of, lag_of, within
from estimators._spatial.report import effects_in_words, tidy
from framework.contract import Request
from framework.errors import IdentificationError, NumericalError
from framework.result import Result


def slx_decay(request: Request, *, min_clusters: int) -> Result:
    """Coefficients, spillovers and the exponent, with a frame of its profile.

    Raises:
        EstimandError: as `arrays_of` and `lag_of`.
        IdentificationError: I04 weights that are all equal, lags that repeat columns.
        NumericalError: N05 the best exponent is at an end of its range, N02.
    """
    import pandas as pd

    arrays = arrays_of(request, min_clusters=min_clusters)
    lag, weights = lag_of(request, "covariates", arrays.ids)
    if not varies(lag.W):
        raise IdentificationError(
            "I04",
            f"all weights of a row of '{weights.name or 'covariates'}' are equal: no "
            "exponent changes them",
            why="the decay is how fast weights fall with distance",
            fix="spatial_weights: an inverse_distance matrix with power: 1",
        )
    size, sizes = float(np.std(arrays.y)), np.std(arrays.X, axis=(1, 2))
    X = arrays.X / sizes[:, None, None]

    def out(x: Floats) -> Floats:
        return within(x, unit=arrays.unit, time=arrays.time)

    try:
        fit = estimated_decay(arrays.y / size, X, lag.W, out)
    except NoDecayError as error:
        raise NumericalError(
            "N05",
            f"the sum of squares falls up to an end of the exponents: {error}",
            why="the data do not say how fast the spillover decays: there may be none",
            fix="spatial_panel: {lag: covariates} with a matrix of your choice",
        ) from error
    V, psi = _covariance(arrays, fit.J, fit.e, request.inference.name)
    k = len(X)
    back = np.concatenate([size / sizes, size / sizes, [1.0]])
    estimate = np.concatenate([fit.b, [fit.gamma]]) * back
    V = V * np.outer(back, back)
    names = [*arrays.terms, *(f"W × {t}" for t in arrays.terms), "decay"]
    labels = [("main", "coefficient", name) for name in names[:-1]]
    table = tidy(
        [*labels, ("spatial", "coefficient", "decay")],
        estimate,
        np.diag(V),
        request.confidence,
    )
    judged = [j for j, r in enumerate(arrays.regressors) if r.judged]
    influence = None
    if psi is not None and judged:
        clustered = request.inference.name == "cluster"
        index = (
            pd.Index(np.asarray(arrays.cluster_ids), name="cluster")
            if clustered
            else pd.Index(arrays.rows, name="row")
        )
        influence = pd.DataFrame((psi * back)[:, judged], index=index, columns=judged)
    n, t = arrays.y.shape
    profile = pd.DataFrame(fit.grid, columns=["decay", "sum_of_squares"])
    profile["sum_of_squares"] *= size**2
    scalars = {
        "n_obs": float(n * t),
        "n_units": float(n),
        "n_periods": float(t),
        "df_t": float("inf"),
        "sigma2": float((fit.e**2).sum()) * size**2 / _free(arrays, 2 * k + 1),
        "outcome_mean": float(arrays.y.mean()),
    }
    if request.inference.name == "cluster" and arrays.cluster is not None:
        scalars["n_clusters"] = float(arrays.cluster.max() + 1)
    return Result(
        coefficients=table,
        influence=influence,
        scalars=scalars,
        frames={"profile": profile},
        notes=(
            (
                f"spatial lag of X model with {effects_in_words(arrays)}, decay estimated by "
                f"non-linear least squares: weights of '{weights.name or 'covariates'}' to "
                f"the power {fit.gamma:.4g}, rows summing to one"
            ),
            "p of decay is that of 0, at which all distances count the same",
            *arrays.notes,
        ),
    )


def _free(arrays: Arrays, parameters: int) -> int:
    n, t = arrays.y.shape
    return int((n - arrays.time) * (t - arrays.unit) - parameters)


def _covariance(
    arrays: Arrays, J: Floats, e: Floats, errors: str
) -> tuple[Floats, Floats | None]:
    """Gauss-Newton covariance, robust or clustered, with influence functions."""
    p = len(J)
    flat = J.reshape(p, -1).T
    root = np.linalg.norm(flat, axis=0)
    if not root.all():
        raise IdentificationError("I04", "the decay is not identified: no spillover")
    scaled = flat / root
    if np.linalg.cond(scaled) > 1e8:  # noqa: PLR2004 - the root of rounding
        raise IdentificationError(
            "I04",
            "spatial lags and decay can't be told apart from the other columns",
            fix="fewer controls, or another matrix",
        )
    bread = np.linalg.inv(scaled.T @ scaled) / np.outer(root, root)
    scores = flat * e.reshape(-1, 1)
    rows = e.size
    free = _free(arrays, p)
    if errors == "cluster" and arrays.cluster is not None:
        count = int(arrays.cluster.max()) + 1
        summed = np.zeros((count, p))
        np.add.at(summed, np.repeat(arrays.cluster, e.shape[1]), scores)
        V = bread @ (summed.T @ summed * count / (count - 1)) @ bread
        return V, recoloured(summed, bread, V)
    if errors == "hetero":
        V = bread @ (scores.T @ scores * rows / free) @ bread
    else:
        V = bread * float((e**2).sum()) / free
    return V, recoloured(scores, bread, V)
