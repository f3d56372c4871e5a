"""Spatial panel models by exact maximum likelihood, in the notation of the papers.

    y = rho W1 y + Z b + D a + u,    u = lambda W3 u + e,    Z = [X, W2 X]

for N units and T periods, D the dummies of the fixed effects. A panel variable is an
array (N, T): W @ y lags every period. Lags are taken first and fixed effects out
afterwards, as least squares with dummies would (Q W y, not W Q y). Sources: Anselin
(1988, ch. 6), Elhorst (2014, ch. 3), Lee and Yu (2010), LeSage and Pace (2009, ch. 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from estimators._math.neighbours import (
    eigenvalues,
    extreme_eigenvalues,
    is_row_normalised,
)
from estimators._math.spatial_operator import Implicit, implicit

Floats = NDArray[np.float64]
Correction = Literal["lee_yu", "elhorst", "none"]

#: Units up to which all eigenvalues are computed, and links per unit of a matrix that is
#: sparse: beyond, sparse LU factors are twenty times as fast.
EIGENVALUES = 1000
LINKS = 50
#: Imaginary parts below this are rounding.
_REAL = 1e-12
#: Relative to the width of the parameter space: nearer to its end is no interior maximum.
_EDGE = 1e-6
#: Points at which the likelihood is looked at before it is maximised.
_GRID = 41
_GRID_SERIES = 15
#: Points of the series of a log-determinant, over a step of that grid and near the top.
_NODES, _NODES_NEAR = 16, 9
_GRID_TWO = 15


class NoMaximumError(Exception):
    """The likelihood has no maximum inside the parameter space."""


@dataclass(frozen=True, slots=True)
class Series:
    """A smooth function on an interval, by its Chebyshev coefficients."""

    low: float
    high: float
    coefficients: Floats

    @classmethod
    def of(
        cls, value: Callable[[float], float], low: float, high: float, nodes: int
    ) -> Series:
        """Through `nodes` Chebyshev points."""
        angle = np.pi * (np.arange(nodes) + 0.5) / nodes
        at = 0.5 * (low + high) + 0.5 * (high - low) * np.cos(angle)
        held = np.array([value(float(x)) for x in at])
        found = 2.0 / nodes * np.cos(np.outer(np.arange(nodes), angle)) @ held
        found[0] /= 2.0
        return cls(low, high, found)

    def holds(self, x: float) -> bool:
        """Whether x is in the interval."""
        return self.low <= x <= self.high

    def derivative(self, x: float, order: int) -> float:
        """The function (order 0) or a derivative at x."""
        half = 0.5 * (self.high - self.low)
        series = np.polynomial.chebyshev.chebder(self.coefficients, order)
        at = (x - 0.5 * (self.low + self.high)) / half
        return float(np.polynomial.chebyshev.chebval(at, series) / half**order)


@dataclass(frozen=True, slots=True)
class Lag:
    """A matrix of weights with what its log-determinant needs.

    Attributes:
        W: (N, N) sparse.
        omega: its eigenvalues (N,); None for a large sparse matrix, whose determinant
            comes from sparse LU factors.
        ends: smallest and largest real eigenvalue.
        row_normalised: whether rows sum to one.
        near: the log-determinant as a Chebyshev series on an interval, or None.
    """

    W: Any
    omega: Any
    ends: tuple[float, float]
    row_normalised: bool
    near: Series | None = None

    @classmethod
    def of(cls, W: Any, *, largest: int = EIGENVALUES) -> Lag:
        """With eigenvalues (once per matrix).

        Args:
            W: (N, N) sparse.
            largest: units beyond which a sparse matrix is factorised instead.
        """
        W = W.tocsr()
        n, rows = W.shape[0], is_row_normalised(W)
        if n > largest and W.nnz <= LINKS * n:
            return cls(W, None, extreme_eigenvalues(W), rows)
        omega = eigenvalues(W)
        real = omega.real[np.abs(omega.imag) < _REAL]
        return cls(W, omega, (float(real.min()), float(real.max())), rows)

    @property
    def range(self) -> tuple[float, float]:
        """Open interval around 0 in which I - rho W is invertible."""
        low, high = self.ends
        return (1.0 / low if low < 0 else -np.inf, 1.0 / high if high > 0 else np.inf)

    def around(self, low: float, high: float, nodes: int) -> Lag:
        """The same, its log-determinant and derivatives a series between two points."""
        return replace(self, near=Series.of(self.log_det, low, high, nodes))

    def log_det(self, rho: float) -> float:
        """ln|I - rho W|."""
        if self.near is not None and self.near.holds(rho):
            return self.near.derivative(rho, 0)
        if self.omega is not None:
            return float(np.log(np.abs(1.0 - rho * self.omega)).sum())
        return float(np.log(np.abs(self.factors(rho).U.diagonal())).sum())

    def trace(self, rho: float) -> float:
        """tr(W (I - rho W)^-1), minus the derivative of the log-determinant."""
        if self.omega is not None:
            return float((self.omega / (1.0 - rho * self.omega)).real.sum())
        if self.near is not None and self.near.holds(rho):
            return -self.near.derivative(rho, 1)
        low, high = self.range
        # Five points: the error is h^4 of a smooth function and rounding over h.
        h = min(1e-3, 0.01 * min(rho - low, high - rho))
        two, one, minus, less = (self.log_det(rho + k * h) for k in (2, 1, -1, -2))
        return -(less - 8 * minus + 8 * one - two) / (12 * h)

    def solve(self, rho: float, x: Floats) -> Floats:
        """(I - rho W)^-1 x, by sparse LU where W is sparse."""
        n = self.W.shape[0]
        if self.omega is not None:
            return np.asarray(np.linalg.solve(np.eye(n) - rho * self.W.toarray(), x))
        return np.asarray(self.factors(rho).solve(x))

    def factors(self, rho: float) -> Any:
        """Sparse LU factors of I - rho W."""
        from scipy.sparse import csc_array, eye_array
        from scipy.sparse.linalg import splu

        return splu(csc_array(eye_array(self.W.shape[0]) - rho * self.W))

    def inverse(self, rho: float) -> Floats:
        """(I - rho W)^-1, dense (N, N)."""
        from scipy.linalg import inv  # from its LU factors: numpy's solves for I

        A = np.eye(self.W.shape[0]) - rho * self.W.toarray()
        return np.asarray(inv(A, overwrite_a=True, check_finite=False))


@dataclass(frozen=True, slots=True)
class Problem:
    """A model and its data.

    Attributes:
        y: (N, T).
        Z: (k, N, T) regressors, spatially lagged ones included.
        outcome, errors: matrices of the lag of the outcome and of the errors.
        unit, time: which fixed effects there are; without any, Z has a constant.
        correction: for the fixed effects that grow with the sample: `lee_yu` (the
            transformation), `elhorst` (the formula), `none`.
        dense: whether (N, N) matrices are needed whatever the size.
    """

    y: Floats
    Z: Floats
    outcome: Lag | None
    errors: Lag | None
    unit: bool
    time: bool
    correction: Correction
    dense: bool = False

    @property
    def implicit(self) -> bool:
        """One lag, of a large sparse matrix, and nothing asks for N x N cells."""
        lags = [lag for lag in (self.outcome, self.errors) if lag is not None]
        return not self.dense and len(lags) == 1 and lags[0].omega is None

    @property
    def shape(self) -> tuple[int, int]:
        """N and T."""
        return self.y.shape[0], self.y.shape[1]

    @property
    def units_left(self) -> int:
        """N, less one where Lee and Yu's transformation takes the period means out."""
        return self.shape[0] - (self.time and self.correction == "lee_yu")

    @property
    def periods_left(self) -> int:
        """T, less one where the transformation takes the unit means out."""
        return self.shape[1] - (self.unit and self.correction == "lee_yu")

    @property
    def shrunk(self) -> bool:
        """Whether the likelihood is that of deviations from period means."""
        return self.time and self.correction == "lee_yu"


@dataclass(frozen=True, slots=True)
class Fit:
    """The maximum.

    Attributes:
        b: (k,) coefficients of Z.
        rho, lam: 0 where the model has no such lag.
        sigma2: variance of e.
        log_likelihood: at the maximum (of the transformed data for `lee_yu`).
        e: (N, T) residuals, fixed effects taken out.
        information: (k + 3) squared: b, rho, lambda, sigma2; rows of absent lags are 0.
        Z: (k, N, T) regressors, filtered and without fixed effects.
        eta: (N, T) what moves the lag of the outcome beside e.
        G, H: (N, N), the score of rho holds e'Ge and that of lambda e'He; None = absent;
            known by what they do where the matrix is large and sparse.
        A: (I - rho W1)^-1, (N, N), or None where there is none or G is implicit.
    """

    b: Floats
    rho: float
    lam: float
    sigma2: float
    log_likelihood: float
    e: Floats
    information: Floats
    Z: Floats
    eta: Floats
    G: Floats | Implicit | None
    H: Floats | Implicit | None
    A: Floats | None


def maximise(problem: Problem) -> Fit:
    """The exact maximum of the likelihood, to the precision of the arithmetic.

    Raises:
        NoMaximumError: it rises up to an end of the parameter space.
    """
    rho, lam = _argmax(problem)
    concentrated = _Concentrated(problem, rho, lam)
    fit = _fit(problem, concentrated, rho, lam, concentrated.b, concentrated.sigma2)
    if problem.correction != "elhorst" or not (problem.unit or problem.time):
        return fit
    return _elhorst(problem, fit)


# -- the concentrated likelihood -------------------------------------------------------


def without_effects(x: Floats, problem: Problem, g: Floats | None = None) -> Floats:
    """The part of x (..., N, T) that the fixed effects do not explain.

    Args:
        x: panel variables.
        problem: which effects there are.
        g: (N,) what a period effect does in each unit; None = the same in all.
    """
    if problem.unit:
        x = x - x.mean(axis=-1, keepdims=True)
    if problem.time:
        if g is None:
            x = x - x.mean(axis=-2, keepdims=True)
        else:
            x = x - g[:, None] * ((g @ x) / (g @ g))[..., None, :]
    return x


class _Concentrated:
    """Everything at one (rho, lambda)."""

    def __init__(self, problem: Problem, rho: float, lam: float) -> None:
        y, Z = problem.y, problem.Z
        if problem.outcome is not None and rho:
            y = y - rho * (problem.outcome.W @ y)
        g: Floats | None = None
        if problem.errors is not None and lam:
            W = problem.errors.W
            y = y - lam * (W @ y)
            Z = Z - lam * lagged(W, Z)
            if not problem.errors.row_normalised:
                # (I - lambda W) 1 is no constant: what a period effect has become.
                g = 1.0 - lam * np.asarray(W.sum(axis=1)).ravel()
        self.Z = without_effects(Z, problem, g)
        flat = self.Z.reshape(len(Z), -1)
        target = without_effects(y, problem, g)
        self.g = g
        self.b: Floats = np.asarray(
            np.linalg.lstsq(flat.T, target.ravel(), rcond=None)[0], dtype=np.float64
        )
        self.e = target - np.tensordot(self.b, self.Z, 1)
        self.n = problem.units_left * problem.periods_left
        self.squares = float((self.e**2).sum())
        self.sigma2 = self.squares / self.n


def lagged(W: Any, Z: Floats) -> Floats:
    """W applied to every variable and period of Z (k, N, T)."""
    k, n, t = Z.shape
    wide = Z.transpose(1, 0, 2).reshape(n, k * t)
    return np.asarray((W @ wide).reshape(n, k, t).transpose(1, 0, 2))


def _log_likelihood(
    problem: Problem, c: _Concentrated, rho: float, lam: float
) -> float:
    found = -0.5 * c.n * (np.log(2 * np.pi) + 1.0 + np.log(c.sigma2))
    for lag, value in ((problem.outcome, rho), (problem.errors, lam)):
        if lag is not None:
            found += problem.periods_left * lag.log_det(value)
            if problem.shrunk:
                found -= problem.periods_left * np.log(1.0 - value)
    return float(found)


def _argmax(problem: Problem) -> tuple[float, float]:
    if problem.outcome is None and problem.errors is None:
        return 0.0, 0.0
    if problem.outcome is not None and problem.errors is not None:
        return _argmax_two(problem, problem.outcome, problem.errors)
    lag = problem.outcome or problem.errors
    assert lag is not None  # noqa: S101 - one of them is there
    if lag.omega is None:
        value = _argmax_series(problem, lag)
    else:
        value = argmax_one(*lag.range, *_profile(problem))
    return (value, 0.0) if problem.outcome else (0.0, value)


def _profile(problem: Problem) -> Profile:
    return _outcome_profile(problem) if problem.outcome else _error_profile(problem)


def _argmax_series(problem: Problem, lag: Lag) -> float:
    """The maximum with few sparse factors: a coarse grid, then two series around it."""

    def within_series(low: float, high: float, nodes: int) -> Problem:
        near = lag.around(low, high, nodes)
        return (
            replace(problem, outcome=near)
            if problem.outcome
            else replace(problem, errors=near)
        )

    low, high = max(lag.range[0], -50.0), min(lag.range[1], 50.0)
    grid = _grid(low, high, _GRID_SERIES)
    value, _ = _profile(problem)
    best = int(np.argmax([value(float(g)) for g in grid]))
    edges = np.concatenate(
        [[low + _EDGE * (high - low)], grid, [high - _EDGE * (high - low)]]
    )
    left, right = float(edges[best]), float(edges[best + 2])
    rough = argmax_one(left, right, *_profile(within_series(left, right, _NODES)))
    reach = min(0.02, 0.5 * (rough - left), 0.5 * (right - rough))
    left, right = rough - reach, rough + reach
    return argmax_one(left, right, *_profile(within_series(left, right, _NODES_NEAR)))


Profile = tuple[Callable[[float], float], Callable[[float], float]]


def _outcome_profile(problem: Problem) -> Profile:
    """Likelihood and score in rho: two regressions serve all values (Ord 1975)."""
    lag = problem.outcome
    assert lag is not None  # noqa: S101 - the caller asks
    Z = without_effects(problem.Z, problem)
    flat = Z.reshape(len(Z), -1).T
    y = without_effects(problem.y, problem).ravel()
    Wy = without_effects(lag.W @ problem.y, problem).ravel()
    both = np.column_stack([y, Wy])
    e = both - flat @ np.linalg.lstsq(flat, both, rcond=None)[0]
    a, b, c = (
        float(v) for v in (e[:, 0] @ e[:, 0], e[:, 0] @ e[:, 1], e[:, 1] @ e[:, 1])
    )
    n, t = problem.units_left * problem.periods_left, problem.periods_left

    def value(rho: float) -> float:
        squares = a - 2 * rho * b + rho**2 * c
        jacobian = lag.log_det(rho) - (np.log(1.0 - rho) if problem.shrunk else 0.0)
        return -0.5 * n * float(np.log(squares)) + t * jacobian

    def score(rho: float) -> float:
        squares = a - 2 * rho * b + rho**2 * c
        trace = lag.trace(rho) - (1.0 / (1.0 - rho) if problem.shrunk else 0.0)
        return n * (b - rho * c) / squares - t * trace

    return value, score


def _error_profile(problem: Problem) -> Profile:
    lag = problem.errors
    assert lag is not None  # noqa: S101 - the caller asks

    def value(lam: float) -> float:
        return _log_likelihood(problem, _Concentrated(problem, 0.0, lam), 0.0, lam)

    def score(lam: float) -> float:
        return _scores(problem, 0.0, lam)[1]

    return value, score


def _scores(problem: Problem, rho: float, lam: float) -> tuple[float, float]:
    """Derivatives of the concentrated likelihood (envelope theorem)."""
    c = _Concentrated(problem, rho, lam)
    t = problem.periods_left
    found = [0.0, 0.0]
    filtered = c.e if c.g is not None else None
    if problem.errors is not None:
        # u up to the fixed effects, which e is orthogonal to unless W changes them.
        if filtered is None:
            y = problem.y
            if problem.outcome is not None:
                y = y - rho * (problem.outcome.W @ y)
            u = y - np.tensordot(c.b, problem.Z, 1)
            Wu = without_effects(problem.errors.W @ u, problem)
        else:
            Wu = problem.errors.W @ problem.errors.solve(lam, c.e)
        found[1] = float((c.e * Wu).sum()) / c.sigma2
        found[1] -= t * _trace(problem, problem.errors, lam)
    if problem.outcome is not None:
        Wy = problem.outcome.W @ problem.y
        if problem.errors is not None:
            Wy = Wy - lam * (problem.errors.W @ Wy)
        Wy = without_effects(Wy, problem, c.g)
        found[0] = float((c.e * Wy).sum()) / c.sigma2
        found[0] -= t * _trace(problem, problem.outcome, rho)
    return found[0], found[1]


def _trace(problem: Problem, lag: Lag, value: float) -> float:
    return lag.trace(value) - (1.0 / (1.0 - value) if problem.shrunk else 0.0)


def argmax_one(
    low: float,
    high: float,
    value: Callable[[float], float],
    score: Callable[[float], float],
) -> float:
    """Highest point of a grid, then the root of the score beside it.

    Raises:
        NoMaximumError: the highest point is an end.
    """
    from scipy.optimize import brentq

    low, high = max(low, -50.0), min(high, 50.0)
    width = high - low
    grid = _grid(low, high, _GRID)
    best = int(np.argmax([value(float(g)) for g in grid]))
    edges = np.concatenate([[low + _EDGE * width], grid, [high - _EDGE * width]])
    left, right = float(edges[best]), float(edges[best + 2])
    if score(left) <= 0 or score(right) >= 0:
        raise NoMaximumError(f"between {low:.4g} and {high:.4g}")
    return float(brentq(score, left, right, xtol=1e-14, rtol=1e-14))


def _grid(low: float, high: float, points: int) -> Floats:
    """Points of an interval, finer towards the ends, where the likelihood bends."""
    at = 0.5 * (1 - np.cos(np.pi * np.arange(1, points + 1) / (points + 1)))
    return np.asarray(low + (high - low) * at)


def _argmax_two(problem: Problem, one: Lag, two: Lag) -> tuple[float, float]:
    from scipy.optimize import minimize, root

    ranges = [
        (max(low, -50.0), min(high, 50.0)) for low, high in (one.range, two.range)
    ]
    at = 0.5 * (1 - np.cos(np.pi * np.arange(1, _GRID_TWO + 1) / (_GRID_TWO + 1)))
    grids = [low + (high - low) * at for low, high in ranges]

    def value(point: Any) -> float:
        rho, lam = float(point[0]), float(point[1])
        c = _Concentrated(problem, rho, lam)
        return _log_likelihood(problem, c, rho, lam)

    def down(point: Any) -> float:
        return -value(point)

    def slope(point: Any) -> Floats:
        return -np.array(_scores(problem, float(point[0]), float(point[1])))

    heights = np.array([[value((r, s)) for s in grids[1]] for r in grids[0]])
    # The likelihood can have two hills: climb from the best points of the grid.
    order = np.argsort(-heights, axis=None)[:3]
    bounds = [(lo + _EDGE * (hi - lo), hi - _EDGE * (hi - lo)) for lo, hi in ranges]
    tops = []
    for place in order:
        i, j = np.unravel_index(place, heights.shape)
        start = (float(grids[0][i]), float(grids[1][j]))
        found = minimize(
            down,
            start,
            jac=slope,
            method="L-BFGS-B",
            bounds=bounds,
        )
        tops.append((float(found.fun), tuple(float(x) for x in found.x)))
    _, best = min(tops)
    near = [
        min(x - lo, hi - x) < 10 * _EDGE * (hi - lo)
        for x, (lo, hi) in zip(best, ranges, strict=True)
    ]
    if any(near):
        raise NoMaximumError("an end of the parameter space")
    polished = root(slope, best, tol=1e-13)
    x = polished.x if value(polished.x) >= value(best) - 1e-9 else np.array(best)
    return float(x[0]), float(x[1])


# -- information and scores ------------------------------------------------------------


def _fit(
    problem: Problem,
    c: _Concentrated,
    rho: float,
    lam: float,
    b: Floats,
    sigma2: float,
) -> Fit:
    """Everything at the maximum, or at a corrected one (b, rho, sigma2 given)."""
    n, _ = problem.shape
    t, k = problem.periods_left, len(problem.Z)
    Z = c.Z.reshape(k, -1)
    info = np.zeros((k + 3, k + 3))
    info[:k, :k] = Z @ Z.T / sigma2
    info[k + 2, k + 2] = problem.units_left * t / (2 * sigma2**2)
    eta = np.zeros_like(c.e)
    A: Floats | None = None
    G: Floats | Implicit | None = None
    H: Floats | Implicit | None = None
    if problem.implicit and problem.errors is not None:
        H = implicit_at(problem, problem.errors, lam)
    elif problem.errors is not None:
        H = problem.errors.W @ problem.errors.inverse(lam)
    if problem.implicit and problem.outcome is not None:
        G = implicit_at(problem, problem.outcome, rho)
        eta = _systematic(problem, c, G, lam, b)
        info[:k, k] = info[k, :k] = Z @ eta.ravel() / sigma2
        info[k, k] = (eta**2).sum() / sigma2 + t * quadratic(problem, G, G)
        info[k, k + 2] = info[k + 2, k] = t * single(problem, G) / sigma2
    elif problem.outcome is not None:
        A = problem.outcome.inverse(rho)
        raw = problem.outcome.W @ A
        eta = _systematic(problem, c, raw, lam, b)
        G = raw
        if problem.errors is not None:
            F = np.eye(n) - lam * problem.errors.W.toarray()
            G = F @ raw @ problem.errors.inverse(lam)
        info[:k, k] = info[k, :k] = Z @ eta.ravel() / sigma2
        info[k, k] = (eta**2).sum() / sigma2 + t * quadratic(problem, G, G)
        info[k, k + 2] = info[k + 2, k] = t * single(problem, G) / sigma2
    if H is not None:
        info[k + 1, k + 1] = t * quadratic(problem, H, H)
        info[k + 1, k + 2] = info[k + 2, k + 1] = t * single(problem, H) / sigma2
        if G is not None and not isinstance(G, Implicit):
            info[k, k + 1] = info[k + 1, k] = t * quadratic(problem, G, H)
    return Fit(
        b=b,
        rho=rho,
        lam=lam,
        sigma2=sigma2,
        log_likelihood=_log_likelihood(problem, c, rho, lam),
        e=c.e,
        information=info,
        Z=c.Z,
        eta=eta,
        G=G,
        H=H,
        A=A,
    )


def implicit_at(problem: Problem, lag: Lag, value: float) -> Implicit:
    """G of one lag at its coefficient, with exact traces from the log-determinant."""
    low, high = lag.range
    reach = 0.2 * min(value - low, high - value, 0.1)
    near = Series.of(lag.log_det, value - reach, value + reach, _NODES_NEAR)
    order = np.lexsort((problem.y[:, -1], problem.y[:, 0]))
    return implicit(
        lag.W,
        lag.factors(value),
        value,
        trace=-near.derivative(value, 1),
        square=-near.derivative(value, 2),
        order=order,
    )


def _systematic(
    problem: Problem,
    c: _Concentrated,
    G: Floats | Implicit,
    lam: float,
    b: Floats,
) -> Floats:
    """Q F G (Z b + D a): what moves the lag of the outcome beside e."""
    assert problem.outcome is not None  # noqa: S101 - the caller asks
    errors = problem.errors
    if problem.outcome.row_normalised or not problem.time:
        # G maps fixed effects into fixed effects.
        found = applied(G, np.tensordot(b, problem.Z, 1))
    else:
        W = problem.outcome.W
        u = c.e if errors is None else errors.solve(lam, c.e)
        found = W @ problem.y - applied(G, u)
    if errors is not None:
        found = found - lam * (errors.W @ found)
    return without_effects(np.asarray(found), problem, c.g)


def applied(A: Floats | Implicit, x: Floats) -> Floats:
    """A x."""
    return A.of(x) if isinstance(A, Implicit) else np.asarray(A @ x)


def quadratic(problem: Problem, A: Floats | Implicit, B: Floats | Implicit) -> float:
    """tr(A B) + tr(A' B), of deviations from period means where these are taken out."""
    if isinstance(A, Implicit) or isinstance(B, Implicit):
        assert A is B and isinstance(A, Implicit)  # noqa: S101, PT018 - one lag is implicit
        both = A.square + A.cross
        if problem.shrunk:
            n = len(A.rows)
            both -= float(A.rows.mean() ** 2 + A.columns @ A.columns / n)
        return both
    both = float(np.einsum("ij,ji->", A, B) + np.einsum("ij,ij->", A, B))
    if problem.shrunk:
        n = len(A)
        rows, right = A.sum(axis=1), B.sum(axis=1)
        both -= float(rows.mean() * right.mean())
        both -= float(A.sum(axis=0) @ B.sum(axis=0)) / n
    return both


def single(problem: Problem, A: Floats | Implicit) -> float:
    """tr(A), of deviations from period means where these are taken out."""
    if isinstance(A, Implicit):
        return A.trace - (A.rows.mean() if problem.shrunk else 0.0)
    return float(np.trace(A) - (A.sum() / len(A) if problem.shrunk else 0.0))


def _elhorst(problem: Problem, fit: Fit) -> Fit:
    """The bias corrections of Lee and Yu (2010) as Elhorst (2014, p. 48) gives them.

    One effect: only sigma2 is biased. Both: theta + T I^-1 a with a the bias of the
    score, then sigma2 T / (T - 1).
    """
    n, t = problem.shape
    k = len(problem.Z)
    b, rho, lam, sigma2 = fit.b, fit.rho, fit.lam, fit.sigma2
    if problem.unit and problem.time:
        a = np.zeros(k + 3)
        a[k] = 1.0 / (1.0 - rho) if problem.outcome is not None else 0.0
        a[k + 1] = 1.0 / (1.0 - lam) if problem.errors is not None else 0.0
        a[k + 2] = 0.5 / sigma2
        used = np.flatnonzero(np.diag(fit.information))
        moved = np.zeros(k + 3)
        moved[used] = t * np.linalg.solve(fit.information[np.ix_(used, used)], a[used])
        b, rho, lam = b + moved[:k], rho + moved[k], lam + moved[k + 1]
        sigma2 = (sigma2 + moved[k + 2]) * t / (t - 1)
    elif problem.unit:
        sigma2 *= t / (t - 1)
    else:
        sigma2 *= n / (n - 1)
    corrected = _fit(problem, _Concentrated(problem, rho, lam), rho, lam, b, sigma2)
    return replace(corrected, log_likelihood=fit.log_likelihood)
