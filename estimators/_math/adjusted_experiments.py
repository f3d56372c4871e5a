"""Sub-experiments pooled with covariates: in the regression, or by adjustment.

Rows r are units in sub-experiments s; `d` marks the treated, `dy` (R, q) are differences
and `x` (R, k) covariates of the period they are measured from. Two estimates:

- `regressed`: least squares of dy on d, an effect per sub-experiment and x;
- `adjusted`: dy on an effect per sub-experiment and x among the controls only; the mean
  over treated rows of what that does not predict (Dube, Girardi, Jordà and Taylor 2025,
  section 4). It needs no effect to be alike.

Units may have weights, which both regressions and the mean use.

A covariate that an effect per sub-experiment or earlier covariates explain, in `adjusted`
among the controls, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from estimators._math.sub_experiments import Floats, SubExperiment

#: Share of the treated's variation that must be left beside the covariates.
LEFT = 1e-10
#: Share of a covariate's size that is rounding.
ROUNDING = 1e-10
#: Share of a covariate that other covariates leave, below which its square is rounding.
COLLINEAR = 1e-6
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
_Rows = np.ndarray[tuple[int], np.dtype[np.int64]]


class Separated(Exception):  # noqa: N818 - a state of the data; callers say what it means
    """The covariates tell treated and control rows apart completely."""


class Exhausted(Exception):  # noqa: N818 - a state of the data; callers say what it means
    """As many coefficients as rows: residuals, and with them errors, would be zero."""


@dataclass(frozen=True, slots=True)
class _Stack:
    """Rows of all sub-experiments.

    Attributes:
        unit, s: (R,) unit and sub-experiment of every row.
        d, w, unit_weight: (R,) treated, weight in the pooled regression, and the part of
            it that is the unit's own.
        dy: (R, q).
        x: (R, k).
    """

    unit: _Rows
    s: _Rows
    d: Floats
    w: Floats
    unit_weight: Floats
    dy: Floats
    x: Floats

    def within(self, values: Floats, w: Floats) -> Floats:
        """Values (R, .) less their weighted mean in the sub-experiment."""
        n = int(self.s.max()) + 1
        mass = np.bincount(self.s, w, n)
        sums = np.zeros((n, values.shape[1]))
        np.add.at(sums, self.s, w[:, None] * values)
        means = np.divide(
            sums, mass[:, None], out=np.zeros_like(sums), where=mass[:, None] > 0
        )
        return np.asarray(values - means[self.s])

    def by_unit(self, rows: Floats, n_units: int) -> Floats:
        psi = np.zeros((n_units, rows.shape[1]))
        np.add.at(psi, self.unit, rows)
        return psi


def regressed(
    experiments: Sequence[SubExperiment], n_units: int
) -> tuple[Floats, Floats, Floats, Flags]:
    """Estimates (q,), influence by unit (n_units, q), shares of weight (S,).

    Last (k,) whether a covariate is part of it.

    Raises:
        Exhausted: no more rows than coefficients.
        Separated: nothing of the treatment is left beside the covariates.
    """
    stack = _stacked(experiments)
    d = stack.within(stack.d[:, None], stack.w)
    kept = _independent(stack, stack.w)
    if len(stack.d) <= 1 + len(experiments) + kept.sum():
        raise Exhausted
    x = stack.within(stack.x[:, kept], stack.w)
    dy = stack.within(stack.dy, stack.w)
    gram = _inverse(x, stack.w)
    left = d - x @ (gram @ (x.T @ (stack.w[:, None] * d)))
    weighted = stack.w[:, None] * left
    size = float((weighted * d).sum())
    if not size > LEFT * float((stack.w[:, None] * d * d).sum()):
        raise Separated
    beta = (weighted.T @ dy / size)[0]
    off = dy - d * beta
    off = off - x @ (gram @ (x.T @ (stack.w[:, None] * off)))
    share = np.bincount(stack.s, (weighted * d)[:, 0], len(experiments)) / size
    return beta, stack.by_unit(weighted * off / size, n_units), share, kept


def adjusted(
    experiments: Sequence[SubExperiment], n_units: int
) -> tuple[Floats, Floats, Floats, Flags]:
    """Estimates (q,), influence by unit (n_units, q), shares of treated rows (S,).

    Last (k,) whether a covariate is part of it.

    Raises:
        Exhausted: no more controls than coefficients.
    """
    stack = _stacked(experiments)
    control = stack.unit_weight * (1.0 - stack.d)
    treated = stack.unit_weight * stack.d
    W1 = float(treated.sum())
    kept = _independent(stack, control)
    if (stack.d == 0).sum() <= len(experiments) + kept.sum():
        raise Exhausted
    x = stack.within(stack.x[:, kept], control)
    dy = stack.within(stack.dy, control)
    gram = _inverse(x, control)
    gamma = gram @ (x.T @ (control[:, None] * dy))
    off = dy - x @ gamma
    beta = (treated @ off) / W1
    mass = np.bincount(stack.s, treated, len(experiments))
    controls = np.bincount(stack.s, control, len(experiments))
    # What a control's residual moves: the level of its sub-experiment, and gamma.
    level = np.divide(mass, controls, out=np.zeros_like(mass), where=controls > 0)
    reach = level[stack.s] + x @ (gram @ (treated @ x))
    rows = np.where(stack.d[:, None] > 0, off - beta, -reach[:, None] * off)
    rows *= stack.unit_weight[:, None] / W1
    return beta, stack.by_unit(rows, n_units), mass / W1, kept


def _stacked(experiments: Sequence[SubExperiment]) -> _Stack:
    parts = [(np.append(e.treated, e.control), len(e.treated), e) for e in experiments]
    return _Stack(
        unit=np.concatenate([units for units, _, _ in parts]).astype(np.int64),
        s=np.repeat(np.arange(len(parts)), [len(units) for units, _, _ in parts]),
        d=np.concatenate([np.arange(len(u)) < n1 for u, n1, _ in parts]).astype(float),
        w=np.concatenate(
            [
                e.row_weight
                * e.units
                * np.where(np.arange(len(u)) < n1, 1.0, e.control_weight)
                for u, n1, e in parts
            ]
        ),
        unit_weight=np.concatenate([e.units for e in experiments]),
        dy=np.concatenate([e.dy for e in experiments]),
        x=np.concatenate([e.x for e in experiments if e.x is not None]),
    )


def _independent(stack: _Stack, w: Floats) -> Flags:
    """(k,) covariates that effects of sub-experiments and earlier ones don't explain."""
    root = np.sqrt(w)[:, None]
    x = root * stack.within(stack.x, w)
    size = np.linalg.norm(root * stack.x, axis=0)
    kept = np.zeros(x.shape[1], dtype=bool)
    basis: list[Floats] = []
    for j, column in enumerate(x.T):
        left = column
        for _ in range(2):  # twice is enough (Parlett)
            for b in basis:
                left = left - (b @ left) * b
        length = float(np.linalg.norm(left))
        own = float(np.linalg.norm(column))
        kept[j] = own > ROUNDING * size[j] and length > COLLINEAR * own
        if kept[j]:
            basis.append(left / length)
    return kept


def _inverse(x: Floats, w: Floats) -> Floats:
    """Inverse of x'wx, of covariates in units of their own size."""
    size = np.sqrt((w[:, None] * x**2).sum(axis=0))
    gram = (x / size).T @ (w[:, None] * x / size)
    return np.asarray(np.linalg.inv(gram) / np.outer(size, size), dtype=np.float64)
