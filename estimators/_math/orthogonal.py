"""Neyman-orthogonal scores and their final stage.

Notation of Chernozhukov et al. (2018): the score of row i is `psi_b - psi_a theta` with
(n, k, k) slopes and (n, k) levels; k treatments have one joint solution. Signs: here
`psi_a` is positive where the design identifies the effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Score:
    """Linear score: `slope` (n, k, k), `level` (n, k)."""

    slope: Floats
    level: Floats


@dataclass(frozen=True, slots=True)
class Solved:
    """`theta` (k,), `influence` (G, k) by group: `influence' influence` = covariance."""

    theta: Floats
    influence: Floats

    @property
    def covariance(self) -> Floats:
        return np.asarray(self.influence.T @ self.influence)


def partialling_out(u: Floats, V: Floats, Z: Floats | None = None) -> Score:
    """Residual outcome `u` (n,) on residual treatments `V` (n, k), instruments `Z`."""
    Z = V if Z is None else Z
    return Score(Z[:, :, None] * V[:, None, :], Z * u[:, None])


def iv_type(y: Floats, d: Floats, g: Floats, v: Floats) -> Score:
    """`(y - g - d theta) v` for one treatment `d` with residual `v`, all (n,)."""
    return Score((v * d)[:, None, None], (v * (y - g))[:, None])


def augmented(y: Floats, d: Floats, g0: Floats, g1: Floats, p: Floats) -> Floats:
    """Signal (n,) whose mean is the average effect of a 0/1 `d` with propensity `p`."""
    return np.asarray(
        g1 - g0 + d * (y - g1) / p - (1 - d) * (y - g0) / (1 - p), dtype=np.float64
    )


def augmented_treated(
    y: Floats, d: Floats, g0: Floats, g1: Floats, p: Floats
) -> Floats:
    """Signal (n,) whose mean is the share treated times the effect on the treated.

    `g1` cancels: what is left is Hahn's (1998) score.
    """
    inverse = d * (y - g1) / p - (1 - d) * (y - g0) / (1 - p)
    return np.asarray(d * (g1 - g0) + p * inverse, dtype=np.float64)


def augmented_means(
    y: Floats, d: Floats, g0: Floats, g1: Floats, p: Floats, *, normalise: bool
) -> tuple[Floats, Floats]:
    """Signals (n,) whose means are E[Y(0)] and E[Y(1)]."""
    w0, w1 = (1 - d) / (1 - p), d / p
    if normalise:
        w0, w1 = w0 / w0.mean(), w1 / w1.mean()
    return np.asarray(g0 + w0 * (y - g0)), np.asarray(g1 + w1 * (y - g1))


def crossed(
    y: Floats,
    d: Floats,
    inner: Floats,
    mean: Floats,
    p: Floats,
    q: Floats,
    *,
    normalise: bool,
) -> Floats:
    """Signal (n,) whose mean is E[Y(1, M(0))]; turn d, p and q around for E[Y(0, M(1))].

    The efficient score of Tchetgen Tchetgen and Shpitser (2012), in the form of
    Farbmacher et al. (2022) that needs no density of the mediators.

    Args:
        y, d: (n,) outcome, 0/1 treatment.
        inner: (n,) E[Y | D = 1, M, X]; `mean` (n,) its mean given X where D = 0.
        p: (n,) P(D = 1 | X); `q` (n,) P(D = 1 | M, X).
        normalise: either weight has mean one.
    """
    own, other = d * (1 - q) / (q * (1 - p)), (1 - d) / (1 - p)
    if normalise:
        own, other = own / own.mean(), other / other.mean()
    return np.asarray(own * (y - inner) + other * (inner - mean) + mean)


def observed_means(
    y: Floats,
    d: Floats,
    seen: Floats,
    g0: Floats,
    g1: Floats,
    p: Floats,
    pi: Floats,
    *,
    normalise: bool,
) -> Floats:
    """Signal (n,) whose mean is E[Y(1) - Y(0)] where the outcome is `seen` at random.

    Bia, Huber and Laffers (2024), eq. 4: seen at random given treatment and controls.

    Args:
        y: (n,) outcome, any number where it is not seen.
        d, seen: (n,) 0/1.
        g0, g1: (n,) predicted outcome of those seen in either arm.
        p: (n,) propensity; `pi` (n,) probability of being seen.
        normalise: inverse weights add up to the rows of the arm (Hajek).
    """
    w0 = (1 - d) * seen / ((1 - p) * pi)
    w1 = d * seen / (p * pi)
    if normalise:
        w0, w1 = w0 * (np.sum(1 - d) / w0.sum()), w1 * (d.sum() / w1.sum())
    return np.asarray(w1 * (y - g1) + g1 - w0 * (y - g0) - g0, dtype=np.float64)


def change_on_treated(
    change: Floats, d: Floats, g0: Floats, p: Floats, *, normalise: bool
) -> Score:
    """Score of the effect on the treated from changes of the outcome.

    Sant'Anna and Zhao (2020), eq. 3.1, cross-fitted as in Chang (2020) and doubleml.

    Args:
        change: (n,) of the outcome between two periods.
        d: (n,) 1 for the treated, 0 for controls.
        g0: (n,) predicted change without treatment.
        p: (n,) probability of being treated.
        normalise: controls' odds p / (1 - p) add up to n (Hajek).
    """
    treated = d / d.mean()
    odds = (1 - d) * p / (1 - p)
    control = odds / (odds.mean() if normalise else d.mean())
    return Score(treated[:, None, None], ((treated - control) * (change - g0))[:, None])


def normalised(p: Floats, d: Floats) -> Floats:
    """Propensities whose inverse weights sum to n among the treated and the others.

    Hajek's estimator; never used to decide who is trimmed.
    """
    treated, others = np.mean(d / p), np.mean((1 - d) / (1 - p))
    return np.asarray(d * p * treated + (1 - d) * (1 - (1 - p) * others))


def solve(score: Score, fold: Codes, group: Codes | None) -> Solved:
    """Root of the averaged score and its influence by group.

    Args:
        score: of n rows.
        fold: (n,) fold of each row; groups lie inside folds.
        group: (n,) cluster 0..G-1 of each row, None = rows are independent. With
            clusters a row of fold k counts 1 / (clusters in fold k), as in Chiang,
            Kato, Ma and Sasaki (2022) and doubleml.
    """
    if group is None:
        J = score.slope.mean(axis=0)
        theta = np.linalg.solve(J, score.level.mean(axis=0))
    else:
        w = row_weights(fold, group)
        J = np.einsum("i,ijl->jl", w, score.slope)
        theta = np.linalg.solve(J, w @ score.level)
    psi = score.level - score.slope @ theta
    return Solved(theta, influence_of(psi, J, fold, group))


def row_weights(fold: Codes, group: Codes | None) -> Floats:
    """What each row counts for (n,) in the score, as in `solve`.

    Without clusters they add up to one, with them to the mean rows of a cluster.
    """
    if group is None:
        return np.full(len(fold), 1.0 / len(fold))
    sizes = np.bincount(_home(fold, group))
    return np.asarray(1.0 / (len(sizes) * sizes[fold]), dtype=np.float64)


def _home(fold: Codes, group: Codes) -> Codes:
    home = np.zeros(int(group.max()) + 1, dtype=np.int64)
    home[group] = fold
    return home


def influence_of(psi: Floats, J: Floats, fold: Codes, group: Codes | None) -> Floats:
    """Influence (G, k) of groups from scores (n, k) at the root and their slope (k, k).

    Without groups every row is one.
    """
    n, k = psi.shape
    if group is None:
        return np.asarray(np.linalg.solve(J, psi.T).T / n)
    home = _home(fold, group)
    G, sizes = len(home), np.bincount(home)
    summed = np.column_stack([np.bincount(group, psi[:, j], G) for j in range(k)])
    scale = 1.0 / np.sqrt(len(sizes) * G * sizes[home])
    return np.asarray(scale[:, None] * np.linalg.solve(J, summed.T).T)


def median_of(solutions: list[Solved], at: int) -> tuple[float, float, Floats]:
    """Median over repetitions of coefficient `at`: estimate, standard error, influence.

    Definition 3.3 of Chernozhukov et al. (2018): the squared standard error is the
    median of (squared error + squared distance to the median), so that it holds what
    the splits add. The influence is that of the middle repetition(s), scaled to it.
    """
    theta = np.array([s.theta[at] for s in solutions])
    variance = np.array([s.influence[:, at] @ s.influence[:, at] for s in solutions])
    middle = float(np.median(theta))
    error = float(np.sqrt(np.median(variance + (theta - middle) ** 2)))
    order = np.argsort(theta, kind="stable")
    half = len(order) // 2
    picked = order[half : half + 1] if len(order) % 2 else order[half - 1 : half + 1]
    psi = np.mean([solutions[i].influence[:, at] for i in picked], axis=0)
    return middle, error, psi * (error / float(np.sqrt(psi @ psi)))


def robustness(estimate: float, sigma2: float, nu2: float) -> float:
    """Share of residual variance that a confounder needs to move the estimate to zero.

    Of the outcome's and of the treatment's alike (Chernozhukov, Cinelli, Newey, Sharma
    and Syrgkanis 2022): the root r of `estimate^2 = sigma2 nu2 r^2 / (1 - r)`.

    Args:
        estimate: the estimate, or the end of an interval nearest to zero.
        sigma2: mean squared residual of the outcome given treatment and controls.
        nu2: mean square of the Riesz representer.
    """
    k = estimate * estimate / (sigma2 * nu2)
    return float((np.sqrt(k * k + 4 * k) - k) / 2)
