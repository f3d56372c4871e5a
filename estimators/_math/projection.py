"""Fixed effects and unit slopes as projections, on plain arrays.

Notation: `x` is a column of n rows, `f` integer codes 0..L-1 of a fixed effect, `w`
positive weights (ones if there are none). Every projection is orthogonal in the inner
product sum(w * a * b), so a regression of projected columns gives the coefficients of
the full regression (Frisch, Waugh and Lovell).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: Largest dense block (cells) that `absorb` builds for fixed effects beside slopes.
DENSE_LIMIT = 100_000_000


def contiguous(codes: Codes) -> tuple[Codes, int]:
    """Codes renumbered to 0..L-1 in ascending order, and L. Linear when dense."""
    if not len(codes):
        return codes, 0
    low, high = int(codes.min()), int(codes.max())
    if high - low > 4 * len(codes) + 1000:
        levels, inverse = np.unique(codes, return_inverse=True)
        return inverse.astype(np.int64), len(levels)
    shifted = codes - low if low else codes
    present = np.bincount(shifted, minlength=high - low + 1) > 0
    if present.all():
        return shifted, high - low + 1
    return (np.cumsum(present) - 1)[shifted], int(present.sum())


def not_singleton(effects: Sequence[Codes]) -> Flags:
    """Rows that survive dropping singleton levels, repeated until none is left.

    A row that is alone in a level is fitted perfectly: it says nothing about the
    coefficients and its cluster would inflate the count (Correia 2015).
    """
    n = len(effects[0]) if effects else 0
    keep = np.ones(n, dtype=bool)
    while True:
        before = int(keep.sum())
        for f in effects:
            count = np.bincount(f[keep], minlength=int(f.max()) + 1 if n else 0)
            keep &= count[f] > 1
        if int(keep.sum()) == before:
            return keep


def nested(fine: Codes, coarse: Codes) -> bool:
    """Whether every level of `fine` lies in one level of `coarse`."""
    home = np.zeros(int(fine.max()) + 1, dtype=np.int64)
    home[fine] = coarse
    return bool(np.array_equal(home[fine], coarse))


def demean_once(x: Floats, effects: Sequence[Codes], w: Floats | None) -> Floats:
    """One sweep of alternating projections: exact for one effect or a balanced pair."""
    out = x.copy()
    for f in effects:
        if w is None:
            mean = np.bincount(f, out) / np.maximum(np.bincount(f), 1)
        else:
            mean = np.bincount(f, w * out) / np.maximum(np.bincount(f, w), 1e-300)
        out -= mean[f]
    return out


def binary_scale(x: Floats) -> float:
    """Power of two next to the root mean square of `x` (1.0 for a zero column).

    Dividing by a power of two is exact, so results do not depend on the unit of
    measurement beyond the last bit.
    """
    peak = float(np.max(np.abs(x), initial=0.0))
    if peak == 0.0 or not np.isfinite(peak):
        return 1.0
    # Through the peak, so that squares neither overflow nor underflow.
    rms = peak * float(np.sqrt(np.mean(np.square(x / peak))))
    return float(2.0 ** np.round(np.log2(rms)))


@dataclass(frozen=True, slots=True)
class SlopeTerm:
    """`variable` (n,) gets one coefficient per level of `by` (n,), L levels."""

    variable: Floats
    by: Codes
    n_levels: int


@dataclass(frozen=True, slots=True)
class Absorbed:
    """Columns (n, m) orthogonal to all effects and slopes; `rank` of those."""

    columns: Floats
    rank: int


def absorb(
    columns: Floats,
    effects: Sequence[Codes],
    slopes: Sequence[SlopeTerm],
    w: Floats | None,
) -> Absorbed:
    """Project `columns` (n, m) on the complement of effects and slopes, exactly.

    The levels of the first slope's `by` are orthogonal blocks: inside a block the
    constant (if it is also a fixed effect) and the slope variables are removed in
    closed form. Other effects are few columns (periods): they are removed by a
    pivoted QR factorization after the blocks. Without any effect a constant is
    absorbed.

    Raises:
        MemoryError: the dense part would exceed `DENSE_LIMIT` cells.
    """
    n = len(columns)
    root = np.ones(n) if w is None else np.sqrt(w)
    block, n_blocks = slopes[0].by, slopes[0].n_levels
    parts = [(root, f) for f in effects] or [(root, np.zeros(n, dtype=np.int64))]
    parts += [(root * s.variable / binary_scale(s.variable), s.by) for s in slopes]
    inside = [(q, f) for q, f in parts if nested(f, block) and nested(block, f)]
    outside = [(q, f) for q, f in parts if not (nested(f, block) and nested(block, f))]

    basis: list[Floats] = []
    rank = 0
    for q, _ in inside:
        left = _out_of_blocks(q, basis, block, n_blocks)
        norm = np.bincount(block, q * q, n_blocks)
        # A variable constant in its block adds nothing to the constant.
        alive = np.bincount(block, left * left, n_blocks) > 1e-20 * norm
        basis.append(np.where(alive[block], left, 0.0))
        rank += int(alive.sum())

    work = np.empty((n, columns.shape[1]))
    for j in range(columns.shape[1]):
        work[:, j] = _out_of_blocks(root * columns[:, j], basis, block, n_blocks)
    Q = _span(outside, basis, block, n_blocks)
    for _ in range(2):  # twice is enough (Parlett): orthogonal to rounding
        work -= Q @ (Q.T @ work)
    return Absorbed(work / root[:, None], rank + Q.shape[1])


def _span(
    parts: Sequence[tuple[Floats, Codes]],
    basis: Sequence[Floats],
    block: Codes,
    n_blocks: int,
) -> Floats:
    """Orthonormal columns (n, r) spanning values x dummies of `parts`, off the blocks.

    Raises:
        MemoryError: more than `DENSE_LIMIT` cells.
    """
    from scipy.linalg import qr

    n = len(block)
    widths = [int(f.max()) + 1 for _, f in parts]
    if sum(widths) * n > DENSE_LIMIT:
        raise MemoryError(f"{sum(widths)} dummies x {n} rows")
    dense = np.zeros((n, sum(widths)))
    at = 0
    for (values, f), width in zip(parts, widths, strict=True):
        dense[np.arange(n), at + f] = values
        at += width
    if not at:
        return dense
    for j in range(at):
        dense[:, j] = _out_of_blocks(dense[:, j], basis, block, n_blocks)
    Q, R, _ = qr(dense, mode="economic", pivoting=True)
    size = np.abs(np.diag(R))
    return np.asarray(Q[:, size > 1e-10 * max(size[0], 1e-300)])


def _out_of_blocks(
    x: Floats, basis: Sequence[Floats], block: Codes, n_blocks: int
) -> Floats:
    out = x
    for _ in range(2):
        for q in basis:
            size = np.bincount(block, q * q, n_blocks)
            inner = np.bincount(block, q * out, n_blocks)
            coefficient = np.divide(inner, size, out=np.zeros(n_blocks), where=size > 0)
            out = out - coefficient[block] * q
    return out


def residual_ratio(target: Floats, others: Floats) -> tuple[float, Floats]:
    """Norm of `target` (n,) off the span of `others` (n, m), relative, and weights.

    Both are taken as unit-norm columns; the weights are the least-squares
    coefficients (m,).
    """
    if not others.shape[1]:
        return 1.0, np.empty(0)
    coefficients = np.linalg.lstsq(others, target, rcond=1e-12)[0]
    left = target - others @ coefficients
    # One step of refinement: the ratio is what is judged, near rounding.
    step = np.linalg.lstsq(others, left, rcond=1e-12)[0]
    left = left - others @ step
    return float(np.linalg.norm(left)), coefficients + step
