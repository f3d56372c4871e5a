"""Intervals that stay valid when parallel trends fail by a bounded amount.

Rambachan and Roth (2023), REStud 90(5), in their notation. Event-study estimates
`beta` = (beta_pre, beta_post) with covariance `Sigma` have mean tau + delta, tau = 0
before treatment, delta the difference in trends, zero in the reference period. The
target is theta = l' tau_post.

Relative magnitudes, Delta^RM(Mbar): |delta_{t+1} - delta_t| after treatment is at most
Mbar times the largest such step before. The interval is the union over that largest
step (its place s and sign) of conditional least-favourable hybrid sets. For one (s,
sign) only two numbers matter: z = l' beta_post - theta and v, the signed step. The
linear program of Andrews, Roth and Pakes (2023) has four vertices that can bind, all
linear in (z, v), so its value, the conditioning interval and the least-favourable
critical value are closed forms and one integral; no program is solved and nothing is
simulated.

Smoothness, Delta^SD(M): |(delta_{t+1} - delta_t) - (delta_t - delta_{t-1})| <= M. The
interval is the shortest of fixed length around an affine estimator. Its worst bias is
M (K + |p|_1), where p are the estimator's loads on the second differences before
treatment and K is fixed, so the trade-off between bias and variance is a lasso path,
followed exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: First-stage size of the hybrid test, as a share of alpha (the paper's choice).
FIRST_STAGE = 0.1
#: Values of theta looked at between the ends of each set; ends are then bisected.
GRID = 400
#: Halvings of a cell of the grid and of a critical value: 1e-9 of either.
HALVINGS = 30
#: Nodes of the integral behind the least-favourable critical value.
NODES = 160
#: Vertices whose loads differ by less are the same one: rounding of a correlation.
ALIKE = 1e-12
#: Standard deviations that hold all of a normal distribution.
FAR = 9.0
#: Points of each segment of the lasso path.
POINTS = 33
#: Rounds in which the place on the lasso path is narrowed.
ROUNDS = 6
#: Values of M tried in each round of the search for the breakdown value, and rounds.
TRIED, SEARCHES = 9, 7
#: Mbar beyond which an effect is called robust to any violation.
ENDLESS = 1_000.0


@dataclass(frozen=True, slots=True)
class Path:
    """Event-study estimates in order of event time, the reference left out.

    Attributes:
        beta: (P + T,) estimates, P before the reference and T after it.
        sigma: (P + T, P + T) their covariance, of full rank.
        before: P.
        weights: (T,) l, the weights of the target.
    """

    beta: Floats
    sigma: Floats
    before: int
    weights: Floats

    @property
    def load(self) -> Floats:
        """(P + T,) weights of the target on all estimates."""
        return np.concatenate([np.zeros(self.before), self.weights])

    @property
    def steps(self) -> Floats:
        """(P + T, P + T): rows turn beta into first differences, beta_0 = 0 between."""
        held = np.insert(np.eye(len(self.beta)), self.before, 0.0, axis=0)
        return np.asarray(np.diff(held, axis=0))


@dataclass(frozen=True, slots=True)
class Interval:
    """A robust interval: lower > upper where no value of theta is accepted."""

    lower: float
    upper: float

    @property
    def excludes_zero(self) -> bool:
        return self.lower > 0 or self.upper < 0


def original(path: Path, alpha: float) -> Interval:
    """The interval under exact parallel trends."""
    from scipy.special import ndtri

    centre = float(path.load @ path.beta)
    reach = float(-ndtri(alpha / 2) * np.sqrt(path.load @ path.sigma @ path.load))
    return Interval(centre - reach, centre + reach)


# -- relative magnitudes --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sets:
    """One conditional test per row: a value of Mbar, a step s and its sign.

    Four vertices, value = along_z (z - theta) + along_v v: theta too low, theta too
    high, and the steepest and flattest pair of opposite moments.

    Attributes:
        centre: l' beta_post.
        v: (R,) signed step.
        along_z, along_v: (R, 4) loads of the vertices.
        omega: (R, 2, 2) covariance of (z, v).
        critical: (R,) least-favourable critical value of the first stage.
    """

    centre: float
    v: Floats
    along_z: Floats
    along_v: Floats
    omega: Floats
    critical: Floats


def relative_magnitudes(path: Path, M: Floats, alpha: float) -> list[Interval]:
    """Hybrid intervals for every Mbar in `M` (each >= 0)."""
    M = np.asarray(M, dtype=np.float64)
    kappa = FIRST_STAGE * alpha
    sets = _sets(path, M, kappa)
    lower, upper = _ends(sets, (alpha - kappa) / (1 - kappa))
    shape = (len(M), -1)
    low, high = lower.reshape(shape).min(axis=1), upper.reshape(shape).max(axis=1)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _sets(path: Path, M: Floats, kappa: float) -> _Sets:
    D, P = path.steps, path.before
    V = D @ path.sigma @ D.T
    step = D @ path.beta
    c = np.cumsum(path.weights[::-1])[::-1]  # l' delta_post = c' (steps after)
    sign = np.tile([1.0, -1.0], P)
    s = np.repeat(np.arange(P), 2)
    cov_zv = sign * (path.load @ path.sigma @ D.T)[s]
    var_z, var_v = float(path.load @ path.sigma @ path.load), np.diag(V)[s]
    cov_dv = sign[:, None] * V[s, P:]  # (2P, T) covariance of v and each step after
    m = np.repeat(M, 2 * P)[:, None]
    var_v, cov_zv, cov_dv = (np.tile(a.T, len(M)).T for a in (var_v, cov_zv, cov_dv))
    spread = np.diag(V)[P:] + m**2 * var_v[:, None]
    up = np.sqrt(np.maximum(spread - 2 * m * cov_dv, 0.0))
    down = np.sqrt(np.maximum(spread + 2 * m * cov_dv, 0.0))
    plus, minus = np.maximum(c, 0), np.maximum(-c, 0)
    N_low, N_high = up @ plus + down @ minus, up @ minus + down @ plus
    reach = m[:, 0] * np.abs(c).sum()
    pair = 2 * m / (up + down)
    zero = np.zeros(len(m))
    along_z = np.column_stack([1 / N_low, -1 / N_high, zero, zero])
    along_v = -np.column_stack(
        [reach / N_low, reach / N_high, pair.max(axis=1), pair.min(axis=1)]
    )
    omega = np.empty((len(m), 2, 2))
    omega[:, 0, 0], omega[:, 1, 1] = var_z, var_v
    omega[:, 0, 1] = omega[:, 1, 0] = cov_zv
    return _Sets(
        centre=float(path.load @ path.beta),
        v=np.tile(sign * step[s], len(M)),
        along_z=along_z,
        along_v=along_v,
        omega=omega,
        critical=_least_favourable(along_z, along_v, omega, kappa),
    )


def _least_favourable(
    along_z: Floats, along_v: Floats, omega: Floats, kappa: float
) -> Floats:
    """(R,) c with P(every vertex <= c) = 1 - kappa when all moments bind."""
    from scipy.special import ndtr

    node, weight = np.polynomial.legendre.leggauss(NODES)
    sd = np.sqrt(omega[:, 1, 1])
    slope = omega[:, 0, 1] / omega[:, 1, 1]
    left = np.sqrt(
        np.maximum(omega[:, 0, 0] - slope * omega[:, 0, 1], 1e-30 * omega[:, 0, 0])
    )
    steepest = -along_v[:, 2]

    def chance(c: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            bound = np.where(steepest > 0, c / (steepest * sd), np.inf)
        low = -np.minimum(bound, FAR)
        half = (FAR - low) / 2
        x = low[:, None] + half[:, None] * (node + 1)
        v = x * sd[:, None]
        top = (c[:, None] - along_v[:, :1] * v) / along_z[:, :1]
        bottom = (c[:, None] - along_v[:, 1:2] * v) / along_z[:, 1:2]
        inside = ndtr((top - slope[:, None] * v) / left[:, None]) - ndtr(
            (bottom - slope[:, None] * v) / left[:, None]
        )
        density = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
        return np.asarray(half * ((np.maximum(inside, 0) * density) @ weight))

    deviation = _deviation(along_z, along_v, omega).max(axis=1)
    low, high = np.zeros(len(sd)), FAR * deviation
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        short = chance(middle) < 1 - kappa
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.asarray(high)


def _deviation(along_z: Floats, along_v: Floats, omega: Floats) -> Floats:
    """(R, 4) standard deviations of the vertices."""
    variance = (
        along_z**2 * omega[:, 0, 0, None]
        + 2 * along_z * along_v * omega[:, 0, 1, None]
        + along_v**2 * omega[:, 1, 1, None]
    )
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _ends(sets: _Sets, size: float) -> tuple[Floats, Floats]:
    """(R,) smallest and largest theta that each test accepts; inf, -inf if none."""
    first, last = _reach(sets)
    share = np.linspace(0, 1, GRID)
    theta = first[:, None] + (last - first)[:, None] * share
    accepted = _accepts(sets, theta, size) & (last >= first)[:, None]
    some = accepted.any(axis=1)
    at_low = accepted.argmax(axis=1)
    at_high = GRID - 1 - accepted[:, ::-1].argmax(axis=1)
    row = np.arange(len(theta))
    low = _edge(sets, theta[row, np.maximum(at_low - 1, 0)], theta[row, at_low], size)
    high = _edge(
        sets,
        theta[row, np.minimum(at_high + 1, GRID - 1)],
        theta[row, at_high],
        size,
    )
    return np.where(some, low, np.inf), np.where(some, high, -np.inf)


def _reach(sets: _Sets) -> tuple[Floats, Floats]:
    """(R,) ends outside of which the first stage rejects; it is linear in theta."""
    ends = (sets.along_v[:, :2] * sets.v[:, None] - sets.critical[:, None]) / (
        sets.along_z[:, :2]
    )
    return sets.centre + ends[:, 0], sets.centre + ends[:, 1]


def _edge(sets: _Sets, outside: Floats, inside: Floats, size: float) -> Floats:
    """Where acceptance begins, between a rejected and an accepted theta."""
    for _ in range(HALVINGS):
        middle = (outside + inside) / 2
        accepted = _accepts(sets, middle[:, None], size)[:, 0]
        inside = np.where(accepted, middle, inside)
        outside = np.where(accepted, outside, middle)
    return inside


def _accepts(sets: _Sets, theta: Floats, size: float) -> NDArray[np.bool_]:
    """(R, G) whether the hybrid test of size `size` after the first stage accepts."""
    from scipy.special import log_ndtr

    z = sets.centre - theta
    value = [
        sets.along_z[:, k, None] * z + (sets.along_v[:, k] * sets.v)[:, None]
        for k in range(4)
    ]
    stacked = np.stack(value)  # (4, R, G)
    best = stacked.argmax(axis=0)
    eta = stacked.max(axis=0)
    loads = np.stack([sets.along_z, sets.along_v], axis=2)  # (R, 4, 2)
    covariance = loads @ sets.omega @ loads.swapaxes(1, 2)  # (R, 4, 4)
    row = np.arange(len(theta))[:, None]
    variance = covariance[row, best, best]
    tiny = variance <= 0  # Mbar = 0: opposite moments bind exactly
    deviation = np.sqrt(np.where(tiny, 1.0, variance))
    low = np.full(eta.shape, -np.inf)
    high = np.broadcast_to(sets.critical[:, None], eta.shape).copy()
    for k in range(4):
        r = covariance[row, best, k] / np.where(tiny, 1.0, variance)
        gap = 1 - r
        own = (best == k) | (np.abs(gap) < ALIKE)
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = (stacked[k] - r * eta) / gap
        low = np.where(~own & (gap > 0), np.fmax(low, bound), low)
        high = np.where(~own & (gap < 0), np.fmin(high, bound), high)
    # P(eta > observed | in the interval) < size, all in logs: the tails are far out.
    edge = log_ndtr(-low / deviation)
    here = np.exp(log_ndtr(-eta / deviation) - edge)
    end = np.exp(log_ndtr(-high / deviation) - edge)
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = (here - end) / (1 - end)
    rejected = (eta > 0) & (tail < size) & ~tiny
    # Rounding at the ends, where eta is the critical value up to its last bit.
    beyond = eta > sets.critical[:, None]
    return np.asarray(~(rejected | beyond))


# -- smoothness -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Frontier:
    """Affine estimators that trade bias for variance, shortest bias first.

    Attributes:
        weights: (Q, P + T) estimators at the kinks of the lasso path.
        loads: (Q, P - 1) their loads p on second differences before treatment.
        fixed: K, the bias from second differences after treatment, per unit of M.
    """

    weights: Floats
    loads: Floats
    fixed: float


def smoothness(path: Path, M: Floats, alpha: float) -> list[Interval]:
    """Shortest intervals of fixed length for every M in `M` (each >= 0)."""
    frontier = _frontier(path)
    return [_shortest(path, frontier, float(m), alpha) for m in np.asarray(M)]


def _shortest(path: Path, frontier: _Frontier, m: float, alpha: float) -> Interval:
    def at(place: Floats) -> tuple[Floats, Floats]:
        """Estimators (n, P + T) and half lengths (n,) along the path."""
        k = np.clip(place.astype(int), 0, max(len(frontier.weights) - 2, 0))
        next_ = np.minimum(k + 1, len(frontier.weights) - 1)
        f = (place - k)[:, None]
        w = frontier.weights[k] * (1 - f) + frontier.weights[next_] * f
        p = frontier.loads[k] * (1 - f) + frontier.loads[next_] * f
        sd = np.sqrt(np.einsum("ni,ij,nj->n", w, path.sigma, w))
        bias = m * (frontier.fixed + np.abs(p).sum(axis=1))
        return w, folded_quantile(1 - alpha, bias / sd) * sd

    last = len(frontier.weights) - 1
    place = np.linspace(0, last, last * (POINTS - 1) + 1)
    for _ in range(ROUNDS):
        w, half = at(place)
        best = int(half.argmin())
        low = place[max(best - 1, 0)]
        high = place[min(best + 1, len(place) - 1)]
        if high <= low:
            break
        place = np.linspace(low, high, POINTS)
    centre = float(w[best] @ path.beta)
    return Interval(centre - float(half[best]), centre + float(half[best]))


def _frontier(path: Path) -> _Frontier:
    """The lasso path from least bias (p = 0) to least variance."""
    P, T = path.before, len(path.weights)
    t = np.arange(1, T + 1)
    after = np.maximum(t[None, :] - np.arange(T)[:, None], 0)  # (T, T) j by t
    fixed = float(np.abs(after @ path.weights).sum())
    slope = float(path.weights @ t)
    # p_0 = slope, p_P = 0: weights before are second differences of p.
    # Columns of A: p_0, p_1, ..., p_{P-1}; row m - 1 is period -m.
    A = np.zeros((P, P))
    for m in range(1, P + 1):
        A[m - 1, m - 1] += 1
        if m < P:
            A[m - 1, m] -= 2
        if m + 1 < P:
            A[m - 1, m + 1] += 1
    A = A[::-1]  # ascending event time
    start = np.concatenate([slope * A[:, 0], path.weights])
    B = np.vstack([A[:, 1:], np.zeros((T, P - 1))])
    loads = lasso_path(B.T @ path.sigma @ B, B.T @ path.sigma @ start)
    return _Frontier(start + loads @ B.T, loads, fixed)


def lasso_path(Q: Floats, q: Floats) -> Floats:
    """(n, k) kinks of argmin p'Qp / 2 + q'p + lambda |p|_1, lambda from large to 0.

    Efron, Hastie, Johnstone and Tibshirani (2004), Ann. Statist. 32(2), sec. 3.1; the
    minimiser is linear in lambda between the kinks.
    """
    p = np.zeros(len(q))
    penalty = float(np.abs(q).max(initial=0.0))
    sign = np.zeros(len(q))
    if penalty > 0:
        largest = int(np.abs(q).argmax())
        sign[largest] = -np.sign(q[largest])
    found = [p]
    # Each kink adds or drops a coefficient; far fewer occur than are allowed here.
    for _ in range(10 * len(q) + 10):
        active = np.flatnonzero(sign)
        if penalty <= 0 or not len(active):
            break
        # p moves by direction per unit by which the penalty falls.
        direction = np.zeros(len(q))
        direction[active] = np.linalg.solve(Q[np.ix_(active, active)], sign[active])
        step, at, new = _next_kink(Q, q, p, direction, sign, penalty)
        p = p + step * direction
        penalty -= step
        if at is None:
            found.append(p)
            break
        sign[at] = new
        if not new:
            p[at] = 0.0
        found.append(p)
    return np.array(found)


def _next_kink(
    Q: Floats,
    q: Floats,
    p: Floats,
    direction: Floats,
    sign: Floats,
    penalty: float,
) -> tuple[float, int | None, float]:
    """How far the penalty falls, which coefficient changes and its sign from there."""
    gradient, turn = Q @ p + q, Q @ direction
    step, at, new = penalty, None, 0.0
    for j in range(len(q)):
        if sign[j]:
            leaves = direction[j] * sign[j] < 0 and p[j] != 0
            reach = -p[j] / direction[j] if leaves else np.inf
            if reach < step:
                step, at, new = float(reach), j, 0.0
            continue
        for side in (1.0, -1.0):  # gradient + step turn = side (penalty - step)
            slope = turn[j] + side
            reach = (side * penalty - gradient[j]) / slope if slope else np.inf
            if 1e-14 * penalty < reach < step:
                step, at, new = float(reach), j, -side
    return step, at, new


def folded_quantile(level: float, shift: Floats) -> Floats:
    """X with P(|N(shift, 1)| <= x) = level, shift >= 0; Newton from the left."""
    from scipy.special import ndtr, ndtri

    t = np.asarray(shift, dtype=np.float64)
    x = np.maximum(t + ndtri(level), 1e-3)
    for _ in range(60):
        density = (np.exp(-0.5 * (x - t) ** 2) + np.exp(-0.5 * (x + t) ** 2)) / np.sqrt(
            2 * np.pi
        )
        move = (level - (ndtr(x - t) - ndtr(-x - t))) / density
        x = x + move
        if np.all(np.abs(move) <= 1e-14 * (1 + x)):
            break
    return np.asarray(x)


def largest_curvature(path: Path, alpha: float) -> float:
    """Largest |second difference| before treatment that the data do not reject.

    One-sided upper bound at 1 - alpha of each, the largest of them; 0 if there is none.
    """
    from scipy.special import ndtri

    second = np.diff(path.steps[: path.before], axis=0)
    if not len(second):
        return 0.0
    size = np.abs(second @ path.beta)
    error = np.sqrt(np.einsum("ij,jk,ik->i", second, path.sigma, second))
    return float(np.max(size + ndtri(1 - alpha) * error))


# -- breakdown ------------------------------------------------------------------------


def excludes_zero(path: Path, M: Floats, alpha: float) -> list[bool]:
    """Whether the hybrid interval of every Mbar lies on one side of zero.

    Only that side of zero is searched on which the estimate does not lie.
    """
    kappa = FIRST_STAGE * alpha
    sets = _sets(path, np.asarray(M, dtype=np.float64), kappa)
    first, last = _reach(sets)
    if sets.centre > 0:
        low, high = np.minimum(first, 0.0), np.minimum(last, 0.0)
    else:
        low, high = np.maximum(first, 0.0), np.maximum(last, 0.0)
    theta = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, GRID)
    accepted = _accepts(sets, theta, (alpha - kappa) / (1 - kappa))
    accepted &= (last >= first)[:, None]
    return [not r.any() for r in accepted.reshape(len(M), -1)]


def breakdown(holds: Callable[[Floats], list[bool]], scale: float) -> float | None:
    """Largest M whose interval excludes zero; 0 if none does, None if all do.

    Args:
        holds: values of M -> whether their intervals exclude zero.
        scale: an M of the size that matters.
    """
    if not holds(np.zeros(1))[0]:
        return 0.0
    low, high = 0.0, scale
    while holds(np.array([high]))[0]:
        low, high = high, 2 * high
        if high > ENDLESS * scale:
            return None
    for _ in range(SEARCHES):
        tried = np.linspace(low, high, TRIED)
        ok = [True, *holds(tried[1:-1]), False]
        first = ok.index(False)
        low, high = float(tried[first - 1]), float(tried[first])
    return low
