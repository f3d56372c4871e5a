"""Instruments on plain arrays: two stages, rank tests, strength, robust inference.

Notation: `y` (n,), `D` (n, p) endogenous, `Z` (n, q) excluded instruments, all with the
exogenous columns and fixed effects partialled out and times the root of the weights, so
that by Frisch, Waugh and Lovell nothing else is needed. A row's score is the Kronecker
product v (x) z; a meat is the sum of squares of scores over rows or clusters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Scores (n, m) -> their meat (m, m).
Meat = Callable[[Floats], Floats]

#: F of the first stage and the factor on the standard error that makes the 5 % test
#: with 1.96 valid; between the lines the curve is convex, so a chord is on the safe side.
#: Lee, McCrary, Moreira and Porter (2022), AER 112(10), Table 3A.
_TF_F = (
    "4 4.008 4.015 4.023 4.031 4.04 4.049 4.059 4.068 4.079 4.09 4.101 4.113 4.125 "
    "4.138 4.151 4.166 4.18 4.196 4.212 4.229 4.247 4.265 4.285 4.305 4.326 4.349 "
    "4.372 4.396 4.422 4.449 4.477 4.507 4.538 4.57 4.604 4.64 4.678 4.717 4.759 "
    "4.803 4.849 4.897 4.948 5.002 5.059 5.119 5.182 5.248 5.319 5.393 5.472 5.556 "
    "5.644 5.738 5.838 5.944 6.056 6.176 6.304 6.44 6.585 6.741 6.907 7.085 7.276 "
    "7.482 7.702 7.94 8.196 8.473 8.773 9.098 9.451 9.835 10.253 10.711 11.214 11.766 "
    "12.374 13.048 13.796 14.631 15.566 16.618 17.81 19.167 20.721 22.516 24.605 "
    "27.058 29.967 33.457 37.699 42.93 49.495 57.902 68.93 83.823 104.68"
)
_TF_FACTOR = (
    "9.519 9.305 9.095 8.891 8.691 8.495 8.304 8.117 7.934 7.756 7.581 7.411 7.244 "
    "7.081 6.922 6.766 6.614 6.465 6.319 6.177 6.038 5.902 5.77 5.64 5.513 5.389 "
    "5.268 5.149 5.033 4.92 4.809 4.701 4.595 4.492 4.391 4.292 4.195 4.101 4.009 "
    "3.919 3.83 3.744 3.66 3.578 3.497 3.418 3.341 3.266 3.193 3.121 3.051 2.982 "
    "2.915 2.849 2.785 2.723 2.661 2.602 2.543 2.486 2.43 2.375 2.322 2.27 2.218 "
    "2.169 2.12 2.072 2.025 1.98 1.935 1.892 1.849 1.808 1.767 1.727 1.688 1.65 "
    "1.613 1.577 1.542 1.507 1.473 1.44 1.407 1.376 1.345 1.315 1.285 1.256 1.228 "
    "1.2 1.173 1.147 1.121 1.096 1.071 1.047 1.024 1"
)
_TF = np.array([_TF_F.split(), _TF_FACTOR.split()], dtype=np.float64)
#: Directions of the grid on which the confidence set's ends are looked for.
_DIRECTIONS = 4_001


@dataclass(frozen=True, slots=True)
class TwoStage:
    """`estimate` (p,), `fitted` (n, p) and `residuals` (n,) of the second stage."""

    estimate: Floats
    fitted: Floats
    residuals: Floats


@dataclass(frozen=True, slots=True)
class RankTest:
    """Kleibergen and Paap's rk statistics that `D` on `Z` has rank p - 1.

    Attributes:
        lm, wald: chi-squared statistics without small-sample factors; None where the
            scores' covariance is singular.
        df: q - p + 1.
    """

    lm: float | None
    wald: float | None
    df: int


def two_stage(y: Floats, D: Floats, Z: Floats) -> TwoStage:
    """Two-stage least squares.

    Raises:
        LinAlgError: the fitted treatments are collinear.
    """
    fitted = Z @ np.linalg.lstsq(Z, D, rcond=None)[0]
    cross = fitted.T @ D
    beta = np.linalg.solve(cross, fitted.T @ y)
    beta = beta + np.linalg.solve(cross, fitted.T @ (y - D @ beta))
    return TwoStage(np.asarray(beta, dtype=np.float64), fitted, y - D @ beta)


def canonical_correlations(D: Floats, Z: Floats) -> Floats:
    """Canonical correlations (min(p, q),), largest first."""
    left, right = np.linalg.qr(Z)[0], np.linalg.qr(D)[0]
    return np.minimum(np.linalg.svd(left.T @ right, compute_uv=False), 1.0)


def rank_test(D: Floats, Z: Floats, n: float, meat: Meat | None) -> RankTest:
    """The rk tests of Kleibergen and Paap (2006), J. Econometrics 133(1).

    The LM statistic takes its scores under the null (v = D), the Wald statistic those
    of the residuals (v = D - Z Pi), as Stata's `ranktest` does.

    Args:
        D, Z: as in the module.
        n: rows, or copies with frequency weights.
        meat: of scores (n, p q); None = homoskedastic errors, which gives Anderson's
            LM and the Cragg-Donald statistic.
    """
    p, q = D.shape[1], Z.shape[1]
    D, Z = D / np.linalg.norm(D, axis=0), Z / np.linalg.norm(Z, axis=0)
    Ry = np.linalg.cholesky(D.T @ D / n).T
    Rz = np.linalg.cholesky(Z.T @ Z / n).T
    Pi = np.linalg.lstsq(Z, D, rcond=None)[0]
    theta = Rz @ Pi @ np.linalg.inv(Ry)
    U, _, Vt = np.linalg.svd(theta, full_matrices=True)
    V, k = Vt.T, p - 1
    A = np.vstack([U[:k, k:], U[k:, k:]]) @ np.linalg.solve(
        U[k:, k:], _root(U[k:, k:] @ U[k:, k:].T)
    )
    B = (
        _root(V[k:, k:] @ V[k:, k:].T)
        @ np.linalg.inv(V[k:, k:].T)
        @ np.vstack([V[:k, k:], V[k:, k:]]).T
    )
    pick = np.kron(B, A.T)
    lam = pick @ theta.ravel(order="F")
    turn = pick @ np.kron(np.linalg.inv(Ry).T, np.linalg.inv(Rz).T)

    def statistic(v: Floats) -> float | None:
        if meat is None:
            omega = np.kron(v.T @ v, Z.T @ Z) / n**2
        else:
            omega = meat(kronecker(v, Z)) / n
        return quadratic(lam, turn @ omega @ turn.T, n)

    return RankTest(statistic(D), statistic(D - Z @ Pi), q - p + 1)


def kronecker(v: Floats, z: Floats) -> Floats:
    """Row-wise products (n, p q), the instrument running fastest."""
    return np.asarray((v[:, :, None] * z[:, None, :]).reshape(len(v), -1))


def quadratic(x: Floats, V: Floats, factor: float = 1.0) -> float | None:
    """`factor` x' V^-1 x; None where V is not positive definite beyond rounding."""
    size = np.sqrt(np.maximum(np.diag(V), 0.0))
    if not np.all(size > 0):
        return None
    R = V / np.outer(size, size)
    if np.linalg.eigvalsh((R + R.T) / 2)[0] <= 1e-10:  # noqa: PLR2004 - of a correlation
        return None
    z = x / size
    return float(factor * z @ np.linalg.solve(R, z))


def _root(M: Floats) -> Floats:
    values, vectors = np.linalg.eigh((M + M.T) / 2)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def overidentification(
    y: Floats, D: Floats, Z: Floats, n: float, meat: Meat | None
) -> float | None:
    """Sargan's statistic, or Hansen's J of two-step GMM; chi-squared with q - p.

    Args:
        meat: of scores (n, q); None = homoskedastic errors (Sargan).

    Returns:
        None where the moments' covariance is singular.

    Source: Hayashi (2000), Econometrics, sections 3.5 and 3.8; as Stata's `ivreg2`.
    """
    u = two_stage(y, D, Z).residuals
    if meat is None:
        fitted = Z @ np.linalg.lstsq(Z, u, rcond=None)[0]
        return float(n * (fitted @ fitted) / (u @ u))
    scale = np.linalg.norm(Z, axis=0)
    Z = Z / scale
    S = meat(Z * u[:, None])
    G, g = Z.T @ D, Z.T @ y
    if quadratic(g, S) is None:
        return None
    weight = np.linalg.inv(S)
    beta = np.linalg.solve(G.T @ weight @ G, G.T @ weight @ g)
    return quadratic(g - G @ beta, S)


def effective_f(pi: Floats, V: Floats, ZZ: Floats) -> float:
    """Effective F of Montiel Olea and Pflueger (2013), JBES 31(3), one treatment.

    Args:
        pi: (q,) first-stage coefficients; V: (q, q) their covariance.
        ZZ: (q, q) cross products of the partialled-out instruments.
    """
    return float(pi @ ZZ @ pi / np.trace(V @ ZZ))


def effective_f_critical(V: Floats, ZZ: Floats, tau: float = 0.10) -> float:
    """Critical value of the effective F: bias of at most `tau` of the worst, 5 % level.

    The simplified, conservative version: Patnaik's approximation with x = 1 / tau
    (Montiel Olea and Pflueger 2013, section 4); 23.1 with one instrument.
    """
    from scipy.special import chndtrix

    x = 1.0 / tau
    root = np.linalg.cholesky(ZZ)
    W = root.T @ V @ root
    values = np.linalg.eigvalsh(W / np.trace(W))
    K = (1 + 2 * x) / (np.sum(values**2) + 2 * x * values[-1])
    return float(chndtrix(0.95, K, K * x) / K)


def tf_factor(f: float) -> float | None:
    """Factor on the standard error of the tF procedure at 5 %; None below F = 4.

    One treatment, one instrument. Source: Lee, McCrary, Moreira and Porter (2022).
    """
    if f < _TF[0, 0]:
        return None
    return float(np.interp(f, *_TF))


def robust_set(
    reduced: Floats, first: Floats, V: Floats, bound: float, scale: float
) -> list[tuple[float, float]] | None:
    """Anderson and Rubin's confidence set: effects b with AR(b) <= `bound`.

    AR(b) = r' C^-1 r / q with r = reduced - b first, C = its covariance. It may be an
    interval, two rays, the whole line, or with q > 1 more pieces or none.

    Args:
        reduced, first: (q,) coefficients of the instruments on outcome and treatment.
        V: (2 q, 2 q) their joint covariance, reduced form first.
        bound: critical value of the F statistic.
        scale: a length near the width of the set; only guides the search.

    Returns:
        None where C is not positive definite for some b (few clusters, two-way ones).
    """
    q = len(reduced)
    V00, V01, V11 = V[:q, :q], V[:q, q:] + V[q:, :q], V[q:, q:]
    if quadratic(first, V11) is None:
        return None
    weight = np.linalg.solve(V11, first)
    centre = float(weight @ reduced) / float(weight @ first)

    def moments(angle: Floats) -> tuple[Floats, Floats]:
        # Homogeneous: (cos, sin) stands for b = centre + scale tan, infinity included.
        a = np.cos(angle)[:, None]
        b = centre * a + scale * np.sin(angle)[:, None]
        r = a * reduced - b * first
        a, b = a[..., None], b[..., None]
        return r, a * a * V00 - a * b * V01 + b * b * V11

    def excess(angle: float) -> float:
        r, C = moments(np.array([angle]))
        return float(r[0] @ np.linalg.solve(C[0], r[0])) / q - bound

    angles = np.linspace(-np.pi / 2, np.pi / 2, _DIRECTIONS)
    r, C = moments(angles)
    values = np.linalg.eigvalsh(C)
    if np.any(values[:, 0] <= 1e-12 * values[:, -1]):
        return None
    above = np.einsum("ti,ti->t", r, np.linalg.solve(C, r[..., None])[..., 0]) / q
    changes = np.flatnonzero(np.diff(np.sign(above - bound)) != 0)
    inner = [_crossing(excess, angles[i], angles[i + 1]) for i in changes]
    ends = [-np.pi / 2, *inner, np.pi / 2]
    pieces: list[tuple[float, float]] = []
    for low, high in pairwise(ends):
        if high > low and excess((low + high) / 2) <= 0:
            at = [
                -np.inf if low == ends[0] else centre + scale * np.tan(low),
                np.inf if high == ends[-1] else centre + scale * np.tan(high),
            ]
            pieces.append((float(at[0]), float(at[1])))
    return pieces


def _crossing(excess: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq

    if excess(low) * excess(high) >= 0:  # on the bound itself, up to rounding
        return low
    return float(brentq(excess, low, high, xtol=1e-14))
