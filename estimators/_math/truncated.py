"""Truncated normal regression: y = x'beta + e, e normal, y seen only in (a, b).

In gamma = beta / sigma² and tau = 1 / sigma² the density of a row is an exponential
family,

    f(y) = exp(x'gamma y - tau y²/2 - A(x'gamma, tau))  on (a, b),

so the likelihood is concave in (gamma, tau), its gradient is data minus moments, its
Hessian minus the moments' covariance, and Newton's method finds the one maximum there
is (Orme and Ruud 2002 prove that it is the only one in any parameters). Moments are
quadratures over the part of (a, b) that holds all but e^-40 of the mass: they are
exact to rounding also where the mean lies far outside of (a, b), where formulas with
Mills ratios cancel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Log density, relative to the mode's, at which the quadrature ends.
_DROP = 40.0
#: Nodes of Gauss and Legendre: exact to rounding for a Gaussian over its window.
_NODES = 40
_STEPS = 200
#: Newton's decrement² at which the next step moves nothing that could be printed.
_CONVERGED = 1e-18
#: Smallest tau in units of 1 / variance of the outcome: below, sigma is a thousand
#: standard deviations of the outcome and the likelihood rises towards an exponential.
_FLAT = 1e-6
#: Cells (draws x rows x nodes) that are held at once.
_CELLS = 1_500_000

_U, _W = np.polynomial.legendre.leggauss(_NODES)
_POWERS = np.stack([_U**k for k in range(5)], axis=1)


@dataclass(frozen=True, slots=True)
class Moments:
    """Of truncated normal variables: log normaliser, mean, central moments 2 to 4."""

    log_mass: Floats
    mean: Floats
    c2: Floats
    c3: Floats
    c4: Floats


def moments(eta: Floats, tau: Floats, lower: float, upper: float) -> Moments:
    """Moments of the density proportional to exp(eta y - tau y²/2) on (lower, upper).

    Args:
        eta: location times precision.
        tau: positive precision, broadcast against `eta`.
        lower, upper: ends, may be infinite.
    """
    mode = np.clip(eta / tau, lower, upper)
    slope = eta - tau * mode
    down, up = np.maximum(slope, 0), np.maximum(-slope, 0)
    low = np.maximum(lower, mode - 2 * _DROP / (down + np.sqrt(down**2 + 80 * tau)))
    high = np.minimum(upper, mode + 2 * _DROP / (up + np.sqrt(up**2 + 80 * tau)))
    centre, half = (low + high) / 2 - mode, (high - low) / 2
    shape = np.broadcast_shapes(eta.shape, tau.shape)
    log = np.stack(
        [
            np.broadcast_to(slope * centre - tau * centre**2 / 2, shape),
            np.broadcast_to((slope - tau * centre) * half, shape),
            np.broadcast_to(-tau * half**2 / 2, shape),
        ],
        axis=-1,
    )
    density = np.exp(log @ _POWERS[:, :3].T) * _W
    m0, m1, m2, m3, m4 = np.moveaxis(density @ _POWERS, -1, 0)
    u = m1 / m0
    v2, v3, v4 = m2 / m0, m3 / m0, m4 / m0
    return Moments(
        np.log(m0 * half) + eta * mode - tau * mode**2 / 2,
        mode + centre + half * u,
        half**2 * (v2 - u**2),
        half**3 * (v3 - 3 * u * v2 + 2 * u**3),
        half**4 * (v4 - 4 * u * v3 + 6 * u**2 * v2 - 3 * u**4),
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """Maximum of the likelihood of one sample of n rows and k columns.

    Attributes:
        beta: (k,) coefficients of the latent mean, outcome units per unit of a column.
        sigma: standard deviation of the latent errors.
        log_likelihood: at the maximum.
        covariance: (k + 1, k + 1) of (beta, sigma), inverse of minus the Hessian.
        influence: (n, k + 1) of (beta, sigma); their cross product is the sandwich.
        response: (n,) derivative of E[y | x, a < y < b] in x'beta: a column's marginal
            effect over its coefficient, between 0 and 1.
        ame: (k,) average marginal effects on E[y | x, a < y < b].
        ame_gradient: (k, k + 1) their derivatives in (beta, sigma), rows held fixed.
    """

    beta: Floats
    sigma: float
    log_likelihood: float
    covariance: Floats
    influence: Floats
    response: Floats
    ame: Floats
    ame_gradient: Floats


def fit(y: Floats, x: Floats, lower: float, upper: float) -> Fit | None:
    """The maximum likelihood estimate; None where the likelihood has no maximum.

    Args:
        y: (n,) outcome, all in (lower, upper).
        x: (n, k) columns of full rank, the constant among them.
        lower, upper: truncation points, may be infinite.
    """
    found, converged = fit_many(y[None, :], x, lower, upper)
    if not converged[0]:
        return None
    beta, sigma = found[0, :-1], float(found[0, -1])
    # Around a point of the outcome and in its spread, so that nothing cancels.
    at, size = float(y.mean()), float(y.std())
    k = x.shape[1]
    mean = (x @ beta - at) / size
    tau = (size / sigma) ** 2
    now = (y - at) / size
    m = moments(mean * tau, np.array(tau), (lower - at) / size, (upper - at) / size)
    second = m.c2 + m.mean**2
    score = np.column_stack([x * (now - m.mean)[:, None], -(now**2 - second) / 2])
    information = _information(x, m)
    natural = np.linalg.solve(information, score.T).T
    # d(mean, sigma) / d(gamma, tau) in the spread's units, then in the outcome's.
    shifted = np.linalg.lstsq(x, mean, rcond=None)[0]
    jacobian: Floats = np.zeros((k + 1, k + 1))
    jacobian[:k, :k] = np.eye(k) / tau
    jacobian[:k, k] = -shifted / tau
    jacobian[k, k] = -(tau**-1.5) / 2
    jacobian *= size
    response = m.c2 * tau
    # dE[y|x]/dx_j = c2 gamma_j; c2 moves with eta by c3 and with tau as below.
    by_tau = -(m.c4 + 2 * m.mean * m.c3 - m.c2**2) / 2
    gradient: Floats = np.zeros((k, k + 1))
    gamma = shifted * tau
    gradient[:, :k] = np.eye(k) * m.c2.mean() + np.outer(
        gamma, (m.c3[:, None] * x).mean(axis=0)
    )
    gradient[:, k] = gamma * by_tau.mean()
    gradient = np.asarray(size * np.linalg.solve(jacobian.T, gradient.T).T, np.float64)
    log_mass = m.log_mass - mean * tau * now + tau * now**2 / 2
    return Fit(
        beta,
        sigma,
        float(-log_mass.sum() - len(y) * np.log(size)),
        jacobian @ np.linalg.solve(information, jacobian.T),
        natural @ jacobian.T,
        response,
        beta * response.mean(),
        gradient,
    )


def fit_many(y: Floats, x: Floats, lower: float, upper: float) -> tuple[Floats, Bools]:
    """Estimates of many outcomes on the same columns.

    Args:
        y: (draws, n) outcomes.
        x: (n, k) columns of full rank, the constant among them.
        lower, upper: truncation points, may be infinite.

    Returns:
        (draws, k + 1) beta and sigma, and (draws,) whether the likelihood has a
        maximum; rows where it has none are NaN.
    """
    n, k = x.shape
    at, size = float(y.mean()), float(y.std())
    ends = (lower - at) / size, (upper - at) / size
    q, r = np.linalg.qr(x)
    q, r = q * np.sqrt(n), r / np.sqrt(n)
    constant = np.linalg.lstsq(x, np.ones(n), rcond=None)[0]
    found = np.full((len(y), k + 1), np.nan)
    converged = np.zeros(len(y), dtype=np.bool_)
    block = max(1, _CELLS // (n * _NODES))
    for start in range(0, len(y), block):
        rows = slice(start, start + block)
        theta, ok = _newton((y[rows] - at) / size, q, *ends)
        tau = theta[:, -1:]
        beta = np.linalg.solve(r, (theta[:, :-1] / tau).T).T * size + at * constant
        found[rows] = np.column_stack([beta, size / np.sqrt(tau)])
        converged[rows] = ok
    found[~converged] = np.nan
    return found, converged


def _newton(y: Floats, x: Floats, lower: float, upper: float) -> tuple[Floats, Bools]:
    """Newton's method with halved steps on concave likelihoods, all draws at once."""
    draws, n = len(y), len(x)
    # x'x = n, so these are least squares coefficients and their residual variance.
    beta = y @ x / n
    tau = 1 / np.maximum(((y - beta @ x.T) ** 2).mean(axis=1), 1e-8)
    theta = np.column_stack([beta * tau[:, None], tau])
    total = np.column_stack([y @ x, -(y**2).sum(axis=1) / 2])
    active = np.arange(draws)
    done = np.zeros(draws, dtype=np.bool_)
    value, m = _likelihood(theta, total, x, lower, upper)
    for _ in range(_STEPS):
        gradient = total[active] - np.column_stack(
            [m.mean @ x, -(m.c2 + m.mean**2).sum(axis=1) / 2]
        )
        try:
            step = np.linalg.solve(_information(x, m), gradient[..., None])[..., 0]
        except np.linalg.LinAlgError:
            break
        decrement = (gradient * step).sum(axis=1)
        last = decrement <= _CONVERGED * n
        theta[active[last]] += step[last]
        done[active[last]] = True
        active, step = active[~last], step[~last]
        if not len(active):
            break
        value, decrement = value[~last], decrement[~last]
        moved, value, m = _halved(
            theta[active], step, decrement, value, total[active], x, (lower, upper)
        )
        theta[active] = moved
        lost = moved[:, -1] < _FLAT
        if lost.any():
            active, value = active[~lost], value[~lost]
            m = Moments(*(part[~lost] for part in _parts(m)))
            if not len(active):
                break
    return theta, done & (theta[:, -1] >= _FLAT)


def _halved(
    theta: Floats,
    step: Floats,
    decrement: Floats,
    value: Floats,
    total: Floats,
    x: Floats,
    ends: tuple[float, float],
) -> tuple[Floats, Floats, Moments]:
    """Steps as long as the likelihoods rise and tau stays positive."""
    length = np.ones(len(theta))
    # At most nine tenths of the way to tau = 0.
    falls = step[:, -1] < 0
    room = np.where(falls, -0.9 * theta[:, -1] / np.where(falls, step[:, -1], -1), 1.0)
    length = np.minimum(length, room)
    moved, now, m = theta, value, None
    for _ in range(60):
        moved = theta + length[:, None] * step
        now, m = _likelihood(moved, total, x, *ends)
        # Armijo's condition, but for the rounding of a sum.
        short = now < value + 1e-4 * length * decrement - 1e-12 * np.abs(value)
        if not short.any():
            break
        length = np.where(short, length / 2, length)
    assert m is not None  # noqa: S101 - the loop runs at least once
    return moved, now, m


def _likelihood(
    theta: Floats, total: Floats, x: Floats, lower: float, upper: float
) -> tuple[Floats, Moments]:
    eta = theta[:, :-1] @ x.T
    m = moments(eta, theta[:, -1:], lower, upper)
    return (theta * total).sum(axis=1) - m.log_mass.sum(axis=1), m


def _information(x: Floats, m: Moments) -> Floats:
    """(…, k + 1, k + 1) minus the Hessian in (gamma, tau); moments are (…, n)."""
    crossed = -(m.c3 + 2 * m.mean * m.c2) / 2
    squared = (m.c4 + 4 * m.mean * m.c3 + 4 * m.mean**2 * m.c2 - m.c2**2) / 4
    k = x.shape[1]
    found: Floats = np.empty((*m.c2.shape[:-1], k + 1, k + 1))
    pairs = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    found[..., :k, :k] = (m.c2 @ pairs).reshape(*m.c2.shape[:-1], k, k)
    found[..., :k, k] = found[..., k, :k] = crossed @ x
    found[..., k, k] = squared.sum(axis=-1)
    return found


def _parts(m: Moments) -> tuple[Floats, ...]:
    return m.log_mass, m.mean, m.c2, m.c3, m.c4


def draw(
    mean: Floats, sigma: float, lower: float, upper: float, uniform: Floats
) -> Floats:
    """Truncated normal variables by inversion, exact in the far tails.

    Args:
        mean: latent means, broadcast against `uniform`.
        sigma: latent standard deviation.
        lower, upper: truncation points, may be infinite.
        uniform: in (0, 1); the draws rise with it.
    """
    from scipy.special import log_ndtr, ndtri_exp

    a, b = (lower - mean) / sigma, (upper - mean) / sigma
    # From the side on which the tail probabilities are small.
    mirrored = b < -a
    low, high = np.where(mirrored, -b, a), np.where(mirrored, -a, b)
    share = np.where(mirrored, 1 - uniform, uniform)
    first, last = log_ndtr(-low), log_ndtr(-high)
    z = -ndtri_exp(first + np.log1p(share * np.expm1(last - first)))
    drawn: Floats = mean + sigma * np.where(mirrored, -z, z)
    return np.clip(drawn, lower, upper)


__all__ = ["Fit", "Moments", "draw", "fit", "fit_many", "moments"]
