"""Global and local spatial autocorrelation, in the notation of Cliff and Ord (1981)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimators._math.neighbours import is_row_normalised

Floats = NDArray[np.float64]

#: Cells of the permuted values held at once.
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Moments:
    """A statistic with its mean and variance where there is no spatial correlation."""

    value: float
    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class Sums:
    """S0, S1, S2 of a matrix of weights and its number of units."""

    n: int
    s0: float
    s1: float
    s2: float

    @classmethod
    def of(cls, W: Any) -> Sums:
        """The sums of the weights that all variances below need."""
        both = W + W.T
        ends = np.asarray(W.sum(axis=1)).ravel() + np.asarray(W.sum(axis=0)).ravel()
        return cls(
            W.shape[0],
            float(W.sum()),
            0.5 * float((both.data**2).sum()),
            float((ends**2).sum()),
        )


def kurtosis(z: Floats) -> float:
    """b2 = m4 / m2^2 of deviations."""
    return float((z**4).mean() / (z**2).mean() ** 2)


def morans_i(x: Floats, W: Any, sums: Sums, *, normal: bool) -> Moments:
    """I = (n / S0) z'Wz / z'z.

    Args:
        x: (n,).
        W: (n, n) weights.
        sums: of W.
        normal: variance for normal values; else given the values, in any order
            (randomisation).
    """
    z = x - x.mean()
    n, s0, s1, s2 = sums.n, sums.s0, sums.s1, sums.s2
    value = n / s0 * float(z @ (W @ z)) / float(z @ z)
    mean = -1.0 / (n - 1)
    if normal:
        second = (n**2 * s1 - n * s2 + 3 * s0**2) / ((n**2 - 1) * s0**2)
    else:
        b2 = kurtosis(z)
        second = (
            n * ((n**2 - 3 * n + 3) * s1 - n * s2 + 3 * s0**2)
            - b2 * ((n**2 - n) * s1 - 2 * n * s2 + 6 * s0**2)
        ) / ((n - 1) * (n - 2) * (n - 3) * s0**2)
    return Moments(value, mean, second - mean**2)


def gearys_c(x: Floats, W: Any, sums: Sums, *, normal: bool) -> Moments:
    """C = (n - 1) / (2 S0) sum w_ij (x_i - x_j)^2 / z'z."""
    z = x - x.mean()
    n, s0, s1, s2 = sums.n, sums.s0, sums.s1, sums.s2
    held = W.tocoo()
    apart = float((held.data * (x[held.row] - x[held.col]) ** 2).sum())
    value = (n - 1) / (2 * s0) * apart / float(z @ z)
    if normal:
        variance = ((2 * s1 + s2) * (n - 1) - 4 * s0**2) / (2 * (n + 1) * s0**2)
    else:
        b2 = kurtosis(z)
        variance = (
            (n - 1) * s1 * (n**2 - 3 * n + 3 - (n - 1) * b2)
            - 0.25 * (n - 1) * s2 * (n**2 + 3 * n - 6 - (n**2 - n + 2) * b2)
            + s0**2 * (n**2 - 3 - (n - 1) ** 2 * b2)
        ) / (n * (n - 2) * (n - 3) * s0**2)
    return Moments(value, 1.0, variance)


def getis_ord_g(x: Floats, W: Any, sums: Sums) -> Moments:
    """G = sum w_ij x_i x_j / sum_{i != j} x_i x_j, of positive x (Getis and Ord 1992)."""
    n, s0, s1, s2 = sums.n, sums.s0, sums.s1, sums.s2
    m1, m2, m3, m4 = (float((x**p).sum()) for p in (1, 2, 3, 4))
    cross = m1**2 - m2
    value = float(x @ (W @ x)) / cross
    mean = s0 / (n * (n - 1))
    b0 = (n**2 - 3 * n + 3) * s1 - n * s2 + 3 * s0**2
    b1 = -((n**2 - n) * s1 - 2 * n * s2 + 6 * s0**2)
    b2 = -(2 * n * s1 - (n + 3) * s2 + 6 * s0**2)
    b3 = 4 * (n - 1) * s1 - 2 * (n + 1) * s2 + 8 * s0**2
    b4 = s1 - s2 + s0**2
    top = b0 * m2**2 + b1 * m4 + b2 * m1**2 * m2 + b3 * m1 * m3 + b4 * m1**4
    fourth = n * (n - 1) * (n - 2) * (n - 3)
    return Moments(value, mean, top / (cross**2 * fourth) - mean**2)


def relabelling(W: Any, K: Floats) -> tuple[float, float]:
    """Mean and variance of sum w_ij k_ij over all orders of the units (Mantel 1967).

    Args:
        W: (n, n) sparse weights, zero diagonal.
        K: (n, n) symmetric, its diagonal does not count.
    """
    n = K.shape[0]
    K = K - np.diag(np.diag(K))
    w, ends = Sums.of(W), K.sum(axis=1)
    t0, t1, t2 = float(K.sum()), 2.0 * float((K**2).sum()), 4.0 * float(ends @ ends)
    two = n * (n - 1)
    three = two * (n - 2)
    mean = w.s0 * t0 / two
    second = (
        w.s1 * t1 / (2 * two)
        + (w.s2 - 2 * w.s1) * (t2 - 2 * t1) / (4 * three)
        + (w.s0**2 + w.s1 - w.s2) * (t0**2 + t1 - t2) / (three * (n - 3))
    )
    return mean, second - mean**2


def pooled_i(x: Floats, W: Any) -> Moments:
    """I of all periods together, values less the mean of their period.

    n / S0 times sum_t z_t'W z_t / sum_t z_t'z_t. Mean and variance are over all ways to
    give the units' whole paths to other units, which leaves persistence as it is.

    Args:
        x: (n, T).
        W: (n, n) weights.
    """
    z = x - x.mean(axis=0)
    scale = len(z) / float(W.sum()) / float((z**2).sum())
    mean, variance = relabelling(W, z @ z.T)
    value = scale * float((z * (W @ z)).sum())
    return Moments(value, scale * mean, scale**2 * variance)


def in_order_of_values(x: Floats, W: Any) -> tuple[Floats, Any, NDArray[np.intp]]:
    """Units sorted by value, so that draws depend on no name: x, W, and the order."""
    first = x if x.ndim == 1 else x.sum(axis=1)
    order = np.lexsort((np.round(np.asarray(W @ first), 9), first))
    return x[order], W.tocsr()[order][:, order], order


def permuted_i(x: Floats, W: Any, times: int, generator: np.random.Generator) -> Floats:
    """Moran's I of `times` random orders of the units (times,).

    Args:
        x: (n,) or, whole paths moving together, (n, T).
        W: (n, n) weights.
        times: draws.
        generator: of the random orders.
    """
    x, W, _ = in_order_of_values(x, W)
    z = (x - x.mean(axis=0)).reshape(len(x), -1)
    n, t = z.shape
    scale = n / float(W.sum()) / float((z**2).sum())
    found = np.zeros(times)
    block = max(1, _BLOCK // (n * t))
    for start in range(0, times, block):
        count = min(block, times - start)
        order = generator.permuted(np.tile(np.arange(n), (count, 1)), axis=1).T
        for period in range(t):
            drawn = z[:, period][order]
            both = np.einsum("ij,ij->j", drawn, np.asarray(W @ drawn))
            found[start : start + count] += scale * both
    return found


def share_as_extreme(value: float, drawn: Floats) -> float:
    """Two-tailed permutation p value: (1 + as extreme) / (1 + draws), doubled."""
    slack = 1e-12 * max(1.0, abs(value))
    above = 1 + int((drawn >= value - slack).sum())
    below = 1 + int((drawn <= value + slack).sum())
    return min(1.0, 2.0 * min(above, below) / (len(drawn) + 1))


def local_i(x: Floats, W: Any) -> tuple[Floats, Floats, Floats]:
    """Local I_i = z_i (Wz)_i / m2, standardised z and its lag (Anselin 1995).

    Their mean times n / S0 is the global I.
    """
    z = x - x.mean()
    m2 = float((z**2).mean())
    lag = np.asarray(W @ z)
    return z * lag / m2, z / np.sqrt(m2), lag / np.sqrt(m2)


def local_share(
    x: Floats, W: Any, times: int, generator: np.random.Generator
) -> Floats:
    """Conditional permutation p values (n,), two-tailed: x_i stays, the others move."""
    x, W, place = in_order_of_values(x, W)
    z = x - x.mean()
    n = len(z)
    counts = np.diff(W.indptr)
    lag = np.asarray(W @ z)
    found = np.empty(n)
    most = int(counts.max())
    # One set of random positions serves all units, as the conditional draws of a
    # unit are exchangeable; each unit skips itself.
    order = generator.permuted(
        np.broadcast_to(np.arange(n - 1), (times, n - 1)), axis=1
    )[:, :most]
    for i in range(n):
        row = slice(W.indptr[i], W.indptr[i + 1])
        picked = order[:, : counts[i]]
        others = z[picked + (picked >= i)]
        drawn = z[i] * (others @ W.data[row])
        found[place[i]] = share_as_extreme(float(z[i] * lag[i]), drawn)
    return found


def local_g(x: Floats, W: Any, *, star: bool) -> tuple[Floats, Floats]:
    """Local G_i or G*_i of positive x and its z (Ord and Getis 1995, eq. 14 and its twin).

    G_i = sum_j w_ij x_j / sum_{j != i} x_j; G*_i counts the unit itself. Mean and
    variance are over all orders of the values (of the others' values for G).

    Args:
        x: (n,) positive.
        W: (n, n) weights, zero diagonal; `star` puts the unit in.
        star: whether the unit counts itself.
    """
    n = len(x)
    if star:
        W = with_itself(W)
    first = np.asarray(W.sum(axis=1)).ravel()
    second = np.asarray((W * W).sum(axis=1)).ravel()
    reached = np.asarray(W @ x)
    if star:
        others, mean = np.full(n, x.sum()), np.full(n, x.mean())
        variance = np.full(n, (x**2).mean() - x.mean() ** 2)
        count = n
    else:
        others = x.sum() - x
        mean = others / (n - 1)
        variance = ((x**2).sum() - x**2) / (n - 1) - mean**2
        count = n - 1
    spread = np.sqrt(variance * (count * second - first**2) / (count - 1))
    return reached / others, (reached - first * mean) / spread


def with_itself(W: Any) -> Any:
    """Each unit its own neighbour with its largest weight.

    The weight of one of a 0/1 matrix, whatever it was divided by since; rows that sum to
    one are made to do so again.
    """
    from scipy.sparse import csr_array, diags_array

    W = csr_array(W)
    largest = np.asarray(W.max(axis=1).todense()).ravel()
    both = csr_array(W + diags_array(largest))
    if not is_row_normalised(W):
        return both
    return csr_array(diags_array(1.0 / (1.0 + largest)) @ both)


def pesaran_cd(e: Floats) -> float:
    """CD = sqrt(2 T / (N (N - 1))) sum_{i<j} r_ij of residuals (N, T), N(0, 1)."""
    return float(_cd(_of_length_one(e), np.ones((1, len(e))))[0])


def weighted_cd(e: Floats, times: int, generator: np.random.Generator) -> float:
    """CD_W+ of Juodis and Reese (2022), N(0, 1) with period effects, too.

    Each unit's residuals are multiplied by a random sign: with period effects the sum of
    correlations is negative whatever the truth, the sum of signed ones is not. Draws are
    independent given the residuals and are added up, divided by sqrt(times). To this come
    all |r_ij| above 2 sqrt(ln N / T), of which independent units have none in the limit
    (Fan, Liao and Yao 2015): signs alone find little.

    Args:
        e: (N, T) residuals.
        times: draws of signs.
        generator: of the signs. Units are ordered by value, so that no name matters.
    """
    u = _of_length_one(e)
    n, t = u.shape
    # Rounded: what is left of period effects differs in the last digits.
    u = u[np.lexsort(np.round(u.T, 9))]
    signs: Floats = generator.choice(np.array([-1.0, 1.0]), (times, n))
    signed = float(_cd(u, signs).sum() / np.sqrt(times))
    return signed + _large(u, 2 * float(np.sqrt(np.log(n) / t)))


def _large(u: Floats, least: float) -> float:
    """Sum over pairs of |r_ij| above `least`, in blocks of rows."""
    if least >= 1:
        return 0.0
    n = len(u)
    block = max(1, _BLOCK // n)
    found = 0.0
    for start in range(0, n, block):
        r = np.abs(u[start : start + block] @ u.T)
        r[np.arange(len(r)), np.arange(start, start + len(r))] = 0.0
        found += float(r[r > least].sum())
    return found / 2


def _of_length_one(e: Floats) -> Floats:
    centred = e - e.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return np.asarray(centred / np.where(norm > 0, norm, 1.0))


def _cd(u: Floats, signs: Floats) -> Floats:
    """CD of rows u (N, T) of length one under each row of signs (times, N)."""
    n, t = u.shape
    # sum_{i<j} r_ij = (|sum_i u_i|^2 - sum_i |u_i|^2) / 2: no N x N matrix.
    pairs = (((signs @ u) ** 2).sum(axis=1) - (u**2).sum()) / 2
    return np.asarray(np.sqrt(2 * t / (n * (n - 1))) * pairs)
