"""Two-way effects and a matrix of low rank, fitted to the cells that are observed.

`Y_it = alpha_i + xi_t + x_it' beta + L_it + e_it` over the observed cells of N units x T
periods. With `rank` r, L = Lambda F' has r factors and the sum of squares is smallest
(interactive fixed effects; Bai 2009, Gobillon and Magnac 2016, Xu 2017). With
`penalty` lambda, half the sum of squares plus lambda times the sum of the singular values
of L is smallest (matrix completion; Athey et al. 2021); effects and beta are not
penalised.

Either is found by filling the other cells with the fit, removing row and column means
and truncating or shrinking the singular values of what is left, until nothing moves
(expectation-maximisation; Mazumder, Hastie and Tibshirani 2010), with momentum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Iterations end when no fitted value moves more than this, in standard deviations of
#: the two-way residuals.
TOLERANCE, STEPS = 1e-10, 4_000
#: Share of a sum of squares that is rounding.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Completed:
    """A fit.

    Attributes:
        fitted: (N, T) alpha_i + xi_t + L_it, everywhere.
        beta: (k,).
        L: (N, T).
        steps: iterations; more than `STEPS` if they did not end.
    """

    fitted: Floats
    beta: Floats
    L: Floats
    steps: int


def complete(
    Y: Floats,
    observed: Flags,
    X: Floats,
    start: Completed,
    *,
    rank: int | None = None,
    penalty: float = 0.0,
    size: float = 1.0,
) -> Completed:
    """Fit on the observed cells.

    Args:
        Y: (N, T).
        observed: (N, T), a cell in every row and column.
        X: (k, N, T) regressors, linearly independent on the observed cells.
        start: values to start from; `two_way` gives them.
        rank: factors; None = matrix completion.
        penalty: lambda, in units of Y.
        size: what `TOLERANCE` is a share of, in units of Y.
    """
    x = X[:, observed]
    solve = np.linalg.inv(x @ x.T) @ x if len(X) else np.empty((0, x.shape[1]))
    known = Y[observed]
    now, beta, L = start.fitted, start.beta, start.L
    ahead, momentum, smallest = now, 1.0, np.inf
    limit = TOLERANCE * size
    for step in range(1, STEPS + 1):
        filled = ahead.copy()
        filled[observed] = known - beta @ x
        effects = (
            filled.mean(axis=1)[:, None] + filled.mean(axis=0)[None, :] - filled.mean()
        )
        L = shrunk(filled - effects, rank, penalty)
        new = effects + L
        moved = np.abs(new - ahead).max()
        if len(X):
            again = solve @ (known - new[observed])
            moved = max(moved, np.abs((again - beta) @ x).max())
            beta = again
        if moved < limit:
            return Completed(new, beta, L, step)
        if rank is not None:
            # Not convex: a step that makes it worse is taken back, momentum with it.
            # By more than rounding: where the sum is flat, momentum is what gets there.
            left = known - beta @ x - new[observed]
            squares = float(left @ left)
            if squares > smallest * (1.0 + ROUNDING) and momentum > 1.0:
                ahead, momentum = now, 1.0
                continue
            smallest = min(smallest, squares)
        # Nesterov's momentum, begun anew whenever it points backwards.
        if np.sum((ahead - new) * (new - now)) > 0:
            momentum = 1.0
        later = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = new + (momentum - 1.0) / later * (new - now)
        now, momentum = new, later
    return Completed(now, beta, L, STEPS + 1)


def shrunk(R: Floats, rank: int | None, penalty: float) -> Floats:
    """R with its first `rank` singular values only, or all of them less `penalty`."""
    if rank == 0:
        return np.zeros_like(R)
    wide = R.shape[0] < R.shape[1]
    tall = R.T if wide else R
    squares, V = np.linalg.eigh(tall.T @ tall)
    if rank is not None:
        kept = V[:, -rank:]
        out = (tall @ kept) @ kept.T
    else:
        s = np.sqrt(np.maximum(squares, 0.0))
        on = s > penalty
        kept = V[:, on]
        out = (tall @ (kept * (1.0 - penalty / s[on]))) @ kept.T
    return np.asarray(out.T if wide else out)


def largest(R: Floats) -> float:
    """Largest singular value."""
    return float(np.linalg.norm(R, 2))
