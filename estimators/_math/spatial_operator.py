"""G = W (I - rho W)^-1 of a large sparse W, known by what it does, never as N x N.

The information matrix asks for tr(G), tr(GG), tr(G'G), row and column sums, and scores
for G e and diag(G): sparse LU factors give them block by block, exactly. Where even that
is too long, tr(G'G) and diag(G) come from random probes (Hutchinson 1990; Barry and Pace
1999), with tr(G) and tr(GG) known exactly and taken out as control variates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Units up to which every column of G is computed.
EXACT_UNITS = 5000
#: Random probes beyond.
PROBES = 200
#: Cells held at once.
_BLOCK = 2_000_000


@dataclass(frozen=True, slots=True)
class Implicit:
    """G with what the likelihood's second derivatives need of it.

    Attributes:
        W: (N, N) sparse.
        factors: sparse LU factors of I - rho W.
        rho: at which G is.
        diagonal: (N,) of G; estimated and shifted to the exact trace with probes.
        trace, square: tr(G) and tr(GG), exact.
        cross: tr(G'G).
        cross_error: standard error of `cross`, 0 where it is exact.
        rows, columns: sums of G.
    """

    W: Any
    factors: Any
    rho: float
    diagonal: Floats
    trace: float
    square: float
    cross: float
    cross_error: float
    rows: Floats
    columns: Floats

    def inverse_of(self, x: Floats) -> Floats:
        """A x with A = (I - rho W)^-1."""
        return np.asarray(self.factors.solve(x))

    def inverse_transposed(self, x: Floats) -> Floats:
        """A' x."""
        return np.asarray(self.factors.solve(x, trans="T"))

    def of(self, x: Floats) -> Floats:
        """G x."""
        return np.asarray(self.W @ self.inverse_of(x))

    def transposed(self, x: Floats) -> Floats:
        """G' x."""
        return self.inverse_transposed(np.asarray(self.W.T @ x))


def implicit(
    W: Any,
    factors: Any,
    rho: float,
    *,
    trace: float,
    square: float,
    order: NDArray[np.intp],
    exact_units: int = EXACT_UNITS,
) -> Implicit:
    """G at rho.

    Args:
        W: (N, N) sparse.
        factors: of I - rho W.
        rho: the coefficient.
        trace, square: tr(G), tr(GG) from the derivatives of the log-determinant; what
            probes are corrected by.
        order: of the units by their values, so that probes depend on no name.
        exact_units: beyond, probes.
    """
    n = W.shape[0]
    ones = np.ones(n)
    rows = np.asarray(W @ factors.solve(ones))
    columns = np.asarray(factors.solve(np.asarray(W.T @ ones), trans="T"))
    if n <= exact_units:
        diagonal, cross, square = _by_columns(W, factors, n)
        error, trace = 0.0, float(diagonal.sum())
    else:
        diagonal, cross, error = _by_probes(W, factors, order, trace, square)
    return Implicit(
        W, factors, rho, diagonal, trace, square, cross, error, rows, columns
    )


def _by_columns(W: Any, factors: Any, n: int) -> tuple[Floats, float, float]:
    """Exact diag(G), tr(G'G) and tr(GG)."""
    diagonal = np.empty(n)
    cross = square = 0.0
    size = max(1, _BLOCK // n)
    for start in range(0, n, size):
        stop = min(start + size, n)
        held = np.arange(start, stop)
        E = np.zeros((n, stop - start))
        E[held, held - start] = 1.0
        once = np.asarray(W @ factors.solve(E))
        twice = np.asarray(W @ factors.solve(once))
        diagonal[held] = once[held, held - start]
        cross += float((once**2).sum())
        square += float(twice[held, held - start].sum())
    return diagonal, cross, square


def _by_probes(
    W: Any, factors: Any, order: NDArray[np.intp], trace: float, square: float
) -> tuple[Floats, float, float]:
    """diag(G) and tr(G'G) from z'Gz and |Gz|^2 with random signs z."""
    n = len(order)
    generator = np.random.default_rng(0)
    kept, held = np.zeros(n), []
    size = max(1, min(PROBES, _BLOCK // n))
    for start in range(0, PROBES, size):
        count = min(size, PROBES - start)
        z = np.empty((n, count))
        z[order] = generator.choice((-1.0, 1.0), (n, count))
        once = np.asarray(W @ factors.solve(z))
        twice = np.asarray(W @ factors.solve(once))
        kept += (z * once).sum(axis=1)
        held.append(
            np.column_stack(
                [
                    (once**2).sum(axis=0),
                    (z * twice).sum(axis=0) - square,
                    (z * once).sum(axis=0) - trace,
                ]
            )
        )
    draws = np.concatenate(held)
    value, controls = draws[:, 0], draws[:, 1:]
    middle = controls - controls.mean(axis=0)
    slope = np.linalg.lstsq(middle, value - value.mean(), rcond=None)[0]
    rest = value - controls @ slope
    diagonal = kept / PROBES
    diagonal += (trace - diagonal.sum()) / n
    free = PROBES - 1 - controls.shape[1]
    spread = float(((rest - rest.mean()) ** 2).sum()) / free
    return diagonal, float(rest.mean()), float(np.sqrt(spread / PROBES))
