"""The saturated regression of Sun and Abraham (2021), block by block.

`Y_it = alpha_i + lambda_t + sum_{g, e != ref} delta_ge 1{i in g, t - g = e} + x_it' beta`
has one effect for every treated cohort and period but its reference. Without `beta` it
falls apart into one two-way fit per cohort, and `delta_ge` is the difference of two
contrasts of period effects; `beta` is the regression of what these fits leave of Y on
what they leave of x (Frisch, Waugh and Lovell).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estimators._math.two_way_fit import TwoWayFit, fit

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Block:
    """A cohort's units (n,) and its fits: of the outcome, then of every control."""

    units: Codes
    fits: tuple[TwoWayFit, ...]

    def contrast(self, t: Codes, base: Codes, j: int) -> Floats:
        """(m,) period effects at t less at base, of the j-th fit."""
        period = self.fits[j].period
        return np.asarray(period[t] - period[base])

    def known(self, t: Codes, base: Codes) -> Flags:
        """(m,) whether rows of the cohort connect the two periods."""
        of = self.fits[0].component[1]
        return np.asarray((of[t] >= 0) & (of[t] == of[base]))


@dataclass(frozen=True, slots=True)
class Saturated:
    """The whole regression.

    Attributes:
        blocks: one per cohort, the control cohort included, by first treated period.
        kept: positions of the identified controls.
        beta: (k,) their coefficients; `psi_beta` (N, k) influence.
        score: (N, T) weight times residual of the whole regression.
    """

    blocks: dict[float, Block]
    kept: Codes
    beta: Floats
    psi_beta: Floats
    score: Floats


def saturated(Y: Floats, w: Floats, X: Floats, cohort: Floats) -> Saturated:
    """Fit the regression on the rows with w > 0.

    Args:
        Y: (N, T) outcome.
        w: (N, T) weights, zero = no row.
        X: (k, N, T) controls.
        cohort: (N,) first treated period.
    """
    blocks = {}
    left = np.zeros((1 + len(X), *Y.shape))
    for g in np.unique(cohort):
        units = np.flatnonzero(cohort == g)
        own = w[units]
        fits = tuple(
            fit(values[units], own, np.empty((0, *own.shape))) for values in (Y, *X)
        )
        blocks[float(g)] = Block(units, fits)
        for j, one in enumerate(fits):
            left[j][units] = np.divide(
                one.score, own, out=np.zeros_like(own), where=own > 0
            )
    kept = _identified(left[1:], X, w)
    rest = left[1:][kept]
    k = len(kept)
    beta, psi_beta = np.zeros(k), np.zeros((len(Y), k))
    residual = left[0]
    if k:
        flat = rest.reshape(k, -1)
        weighted = flat * w.ravel()
        bread = np.linalg.inv(weighted @ flat.T)
        beta = bread @ (weighted @ left[0].ravel())
        residual = left[0] - np.tensordot(beta, rest, axes=1)
        psi_beta = np.einsum("nt,knt->nk", w * residual, rest) @ bread
    return Saturated(blocks, kept, beta, psi_beta, w * residual)


def _identified(left: Floats, X: Floats, w: Floats) -> Codes:
    """Controls that neither the effects nor earlier controls explain."""
    kept: list[int] = []
    basis: list[Floats] = []
    root = np.sqrt(w)
    for j in range(len(X)):
        rest = (root * left[j]).ravel()
        for q in basis:
            rest = rest - (q @ rest) * q
        size = float(np.linalg.norm(root * X[j]))
        norm = float(np.linalg.norm(rest))
        if norm > 1e-8 * size:
            kept.append(j)
            basis.append(rest / norm)
    return np.array(kept, dtype=np.int64)


def effects(
    found: Saturated, cohort: Floats, t: Codes, base: Codes, control: float
) -> tuple[Floats, list[tuple[Codes, Codes, Floats]], Floats]:
    """Effects of m cells against the control cohort.

    Args:
        found: the regression.
        cohort: (m,) first treated period of each cell.
        t, base: (m,) its period and reference.
        control: first treated period of the control cohort.

    Returns:
        Estimates (m,); parts (units, cells, psi) of the influence function; and the
        part through the controls' coefficients, (k, m): `psi_beta @` it is subtracted.
    """
    m, T = len(t), found.score.shape[1]
    at = np.arange(m)
    contrast = np.zeros((T, m))
    contrast[t, at] += 1.0
    contrast[base, at] -= 1.0
    of_x = np.zeros((len(found.kept), m))
    estimate = np.zeros(m)
    parts = []
    for g, block in found.blocks.items():
        sign = -1.0 if g == control else 1.0
        cells = at if g == control else np.flatnonzero(cohort == g)
        if not len(cells):
            continue
        estimate[cells] += sign * block.contrast(t[cells], base[cells], 0)
        for i, j in enumerate(found.kept):
            of_x[i, cells] += sign * block.contrast(t[cells], base[cells], 1 + int(j))
        weights = block.fits[0].inverse @ contrast[:, cells]
        psi = sign * (found.score[block.units] @ weights)
        parts.append((block.units, cells, psi))
    return estimate - found.beta @ of_x, parts, of_x
