"""The spatial lag model with random unit effects, by exact maximum likelihood.

    (I - rho W) y_t = Z_t b + period effect + mu + e_t,   mu ~ (0, s_mu^2), e ~ (0, s^2)

in the notation of Elhorst (2014, ch. 3.3): phi^2 = s^2 / s1^2 with s1^2 = s^2 + T s_mu^2,
and x* = x - (1 - phi) mean_i(x). Period effects stay fixed and are taken out as in the
model that it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from estimators._math.spatial_ml import (
    Floats,
    Problem,
    argmax_one,
    quadratic,
    single,
    without_effects,
)

#: phi is looked for between these on a grid before it is polished.
_LEAST_PHI = 1e-3
_PHI = 25


@dataclass(frozen=True, slots=True)
class RandomEffects:
    """The maximum.

    Attributes:
        b: (k,).
        rho: 0 without a lag of the outcome.
        phi: 1 = no unit effects, 0 = they are everything.
        sigma2: variance of e.
        V: (k, k) covariance of b.
        log_likelihood: at the maximum.
    """

    b: Floats
    rho: float
    phi: float
    sigma2: float
    V: Floats
    log_likelihood: float


@dataclass(frozen=True, slots=True)
class _At:
    """Everything at one phi."""

    phi: float
    rho: float
    value: float
    score: float


def random_effects(problem: Problem) -> RandomEffects:
    """Maximise.

    Args:
        problem: without lags of the errors and with `unit` effects, which are random
            here; its Z has a constant where there are no period effects.

    Raises:
        NoMaximumError: the likelihood rises up to an end of the parameter space of rho.
    """
    from scipy.optimize import brentq

    n, t = problem.units_left, problem.shape[1]
    lag = problem.outcome
    period = _only_period(problem)
    y = without_effects(problem.y, period)
    Wy = None if lag is None else without_effects(lag.W @ problem.y, period)
    Z = without_effects(problem.Z, period)

    def star(x: Floats, phi: float) -> Floats:
        return np.asarray(x - (1.0 - phi) * x.mean(axis=-1, keepdims=True))

    def left(phi: float) -> Floats:
        flat = star(Z, phi).reshape(len(Z), -1).T
        both = np.column_stack(
            [star(x, phi).ravel() for x in ((y,) if Wy is None else (y, Wy))]
        )
        e = both - flat @ np.linalg.lstsq(flat, both, rcond=None)[0]
        return e if Wy is not None else np.column_stack([e, np.zeros(len(e))])

    def jacobian(rho: float) -> float:
        if lag is None:
            return 0.0
        return lag.log_det(rho) - (np.log(1.0 - rho) if problem.shrunk else 0.0)

    def at(phi: float) -> _At:
        e = left(phi)
        a, b, c = (
            float(e[:, 0] @ e[:, 0]),
            float(e[:, 0] @ e[:, 1]),
            float(e[:, 1] @ e[:, 1]),
        )

        def value(rho: float) -> float:
            rest = a - 2 * rho * b + rho**2 * c
            return -0.5 * n * t * float(np.log(rest)) + t * jacobian(rho)

        def score(rho: float) -> float:
            assert lag is not None  # noqa: S101 - the caller asks
            rest = a - 2 * rho * b + rho**2 * c
            trace = lag.trace(rho) - (1.0 / (1.0 - rho) if problem.shrunk else 0.0)
            return n * t * (b - rho * c) / rest - t * trace

        rho = 0.0 if lag is None else argmax_one(*lag.range, value, score)
        rest = (e[:, 0] - rho * e[:, 1]).reshape(problem.shape)
        between = t * float((rest.mean(axis=1) ** 2).sum())
        # Derivative in ln phi at the best b and rho (envelope theorem).
        slope = n - n * t * between / float((rest**2).sum())
        return _At(phi, rho, value(rho) + n * float(np.log(phi)), slope)

    grid = np.linspace(np.log(_LEAST_PHI), 0.0, _PHI)
    heights = [at(float(np.exp(g))).value for g in grid]
    best = int(np.argmax(heights))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _PHI - 1)])

    def slope(g: float) -> float:
        return at(float(np.exp(g))).score

    top = float(grid[best])
    if slope(low) > 0 > slope(high):
        # The root of the score is known to the last digits, a maximum to half of them.
        top = float(brentq(slope, low, high, xtol=1e-14, rtol=1e-14))
    found = at(float(np.exp(top)))
    return _finished(problem, found, y, Wy, Z, star)


def _only_period(problem: Problem) -> Problem:
    from dataclasses import replace

    return replace(problem, unit=False)


def _finished(
    problem: Problem, found: _At, y: Floats, Wy: Floats | None, Z: Floats, star: object
) -> RandomEffects:
    """Coefficients and the covariance of b from the expected information.

    With Omega = s^2 Q + s1^2 P the information of (b, rho, s^2, s1^2) has
    rho-rho: eta' Omega^-1 eta + T tr(GG + G'G), rho-s^2: (T - 1) tr(G) / s^2,
    rho-s1^2: tr(G) / s1^2.
    """
    assert callable(star)  # noqa: S101 - it is a function of this module
    n, t, k = problem.units_left, problem.shape[1], len(Z)
    phi, rho, lag = found.phi, found.rho, problem.outcome
    target = y if Wy is None else y - rho * Wy
    flat = star(Z, phi).reshape(k, -1).T
    left = star(target, phi).ravel()
    b = np.asarray(np.linalg.lstsq(flat, left, rcond=None)[0])
    e = left - flat @ b
    sigma2 = float(e @ e) / (n * t)
    s1 = sigma2 / phi**2
    info = np.zeros((k + 3, k + 3))
    info[:k, :k] = flat.T @ flat / sigma2
    info[k + 1, k + 1] = n * (t - 1) / (2 * sigma2**2)
    info[k + 2, k + 2] = n / (2 * s1**2)
    if lag is not None:
        G = lag.W @ lag.inverse(rho)
        raw = G @ np.tensordot(b, problem.Z, 1)
        eta = star(without_effects(np.asarray(raw), _only_period(problem)), phi).ravel()
        info[:k, k] = info[k, :k] = flat.T @ eta / sigma2
        info[k, k] = float(eta @ eta) / sigma2 + t * quadratic(problem, G, G)
        trace = single(problem, G)
        info[k, k + 1] = info[k + 1, k] = (t - 1) * trace / sigma2
        info[k, k + 2] = info[k + 2, k] = trace / s1
    used = np.flatnonzero(np.diag(info))
    root = np.sqrt(np.diag(info)[used])
    V = np.linalg.inv(info[np.ix_(used, used)] / np.outer(root, root))
    V = V / np.outer(root, root)
    constant = -0.5 * n * t * (np.log(2 * np.pi) + 1.0 - np.log(n * t))
    return RandomEffects(b, rho, phi, sigma2, V[:k, :k], found.value + float(constant))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hausman's statistic; None where it has no chi-squared distribution.

    Attributes:
        statistic: d' (V_fixed - V_random)^-1 d.
        smallest: smallest eigenvalue of V_fixed - V_random, each coefficient in units
            of its standard error under fixed effects.
    """

    statistic: float | None
    smallest: float


def hausman(b: Floats, V: Floats, other: Floats, V_other: Floats) -> Comparison:
    """Hausman (1978): fixed against random effects.

    Args:
        b, V: with fixed effects (q,), (q, q).
        other, V_other: with random effects.
    """
    size = np.sqrt(np.diag(V))
    d = (b - other) / size
    difference = (V - V_other) / np.outer(size, size)
    values, vectors = np.linalg.eigh(difference)
    if values[0] <= 1e-8:  # noqa: PLR2004 - relative to a variance of one: rounding
        return Comparison(None, float(values[0]))
    turned = vectors.T @ d
    return Comparison(float((turned**2 / values).sum()), float(values[0]))
