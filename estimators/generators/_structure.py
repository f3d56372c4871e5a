"""Outcome of the simulated cities: what makes the printed regressions come out.

The outcome is y_t = (I - rho W)^-1 (X_t gamma + mu + eps_t) + (I - rho W)^-1 tau D_t +
lambda_t, floored before the policy acts. Its unknowns are solved, not drawn: the city
component from the regression with year effects, the year effects from the one with city
effects. Notation: N cities, T periods, K regressors (the treatment first).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Regressions:
    """Coefficients that a paper prints, treatment first, shape (K,).

    Attributes:
        within: with city and year effects; these are the structural ones.
        between: with year effects only.
        time: with city effects only, `time_se` their standard errors.
    """

    within: Floats
    between: Floats
    time: Floats
    time_se: Floats


def demeaned(values: Floats, *, city: bool = False, year: bool = False) -> Floats:
    """Values (…, N, T) less means over years (`city`) and over cities (`year`)."""
    out = values
    if city:
        out = out - out.mean(axis=-1, keepdims=True)
    if year:
        out = out - out.mean(axis=-2, keepdims=True)
    return out


def coefficients(outcome: Floats, regressors: Floats) -> Floats:
    """OLS of (N, T) on (K, N, T), all demeaned before."""
    import numpy as np

    X = regressors.reshape(len(regressors), -1)
    return np.asarray(np.linalg.solve(X @ X.T, X @ outcome.ravel()))


def city_loadings(
    regressors: Floats, systematic: Floats, filter_: Floats, wanted: Floats
) -> Floats:
    """Loadings delta of mu = Zbar delta so that OLS with year effects equals `wanted`.

    Args:
        regressors: Z = (treatment, controls), (K, N, T).
        systematic: the outcome without mu and noise, already filtered, (N, T).
        filter_: (I - rho W)^-1, (N, N).
        wanted: coefficients, (K,).
    """
    import numpy as np

    Z = demeaned(regressors, year=True)
    X = Z.reshape(len(Z), -1)
    gram = np.linalg.inv(X @ X.T)
    means = filter_ @ regressors.mean(axis=2).T  # N x K
    tall = np.repeat(means[:, None, :], regressors.shape[2], axis=1)
    respond = gram @ (X @ tall.reshape(-1, len(Z)))
    already = gram @ (X @ systematic.ravel())
    return np.asarray(np.linalg.solve(respond, wanted - already))


def year_effects(
    outcome: Floats, regressors: Floats, wanted: Floats, errors: Floats, penalty: float
) -> Floats:
    """lambda_t by ridge so that OLS with city effects comes near `wanted`.

    Minimises the sum of squared gaps in standard errors plus that of lambda/penalty.
    """
    import numpy as np

    Z = demeaned(regressors, city=True)
    X = Z.reshape(len(Z), -1)
    gram = np.linalg.inv(X @ X.T)
    periods = Z.shape[2]
    dummies = np.tile(np.eye(periods), (Z.shape[1], 1))  # (N T) x T, city-major
    dummies = dummies - 1 / periods
    respond = (gram @ (X @ dummies)) / errors[:, None]
    gap = (wanted - gram @ (X @ demeaned(outcome, city=True).ravel())) / errors
    ridge = respond.T @ respond + np.eye(periods) / penalty**2
    found = np.linalg.solve(ridge, respond.T @ gap)
    return np.asarray(found - found.mean())


def residualised(values: Floats, regressors: Floats, filter_: Floats) -> Floats:
    """City values that move no coefficient of OLS with year effects, (N,).

    Their filtered version is orthogonal to the mean regressors and the constant.
    """
    import numpy as np

    means = regressors.mean(axis=2)  # K x N
    ones = np.ones((1, means.shape[1]))
    against = filter_.T @ np.vstack([ones, means]).T  # N x (K + 1)
    fitted = against @ np.linalg.lstsq(against, values, rcond=None)[0]
    return np.asarray(values - fitted)
