"""The judged coefficient under many assignments of the treatment, in closed form.

By the theorem of Frisch, Waugh and Lovell fixed effects are removed from the outcome
and the controls once, and from the assignments in blocks; what is left of each draw is
a regression on a few demeaned columns, with the same covariance as the fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.covariance import covariance
from estimators._linear.design import build, control_regressors, treatment_regressors
from estimators._linear.engine import demeaned_like, fit, prepare
from estimators._linear.jackknife import jackknifed
from estimators._math.projection import Floats, binary_scale
from framework.errors import IdentificationError, NumericalError

if TYPE_CHECKING:
    from estimators._linear.design import Design
    from estimators._linear.options import SmallSample
    from framework.contract import Inference, Request

#: Columns of which the fixed effects are removed at the same time.
_BLOCK = 64
#: A draw of which less than this share is left after controls and fixed effects is
#: absorbed by them and gives no number.
ABSORBED = 1e-10
_NOTHING = float("nan"), float("nan")


@dataclass(frozen=True, slots=True)
class Redrawn:
    """What one draw changes.

    Attributes:
        columns: (n, q) regressors, rows as in `Request.frame`.
        weights: (q,) the judged number is this combination of their coefficients.
        optional: whether the fit leaves one of them out if the others absorb it.
    """

    columns: Floats
    weights: Floats
    optional: bool = False


def redraw(
    request: Request,
    small_sample: SmallSample,
    treatments: Floats,
    *,
    min_clusters: int = 10,
) -> Floats | None:
    """Estimate and standard error of the treatment in every draw.

    Args:
        request: the true estimation; one treatment column, whose products with the
            moderators are made anew in each draw.
        small_sample: as in the fit.
        treatments: (n, B), a column per draw, rows as in `request.frame`.
        min_clusters: as in the fit.

    Returns:
        (B, 2) or None as `redraw_each`; None where products stand without the treatment.

    Raises:
        IdentificationError, DataError, NumericalError: the true fit's own problems.
    """
    treatment = request.treatment
    if treatment is None:
        return None
    plain = treatment.judged in {(), treatment.columns}
    if not plain and len(treatment.moderators) != len(treatment.judged):
        return None
    sides = request.frame[list(treatment.moderators)].to_numpy(dtype=np.float64)
    own = treatment_regressors(request)
    first = np.eye(len(own))[0]

    def draws() -> Iterator[Redrawn]:
        for d in treatments.T:
            products = () if plain else (sides * d[:, None]).T
            yield Redrawn(np.column_stack([*products, d]), first, optional=not plain)

    design = build(
        request, [*own, *control_regressors(request)], min_clusters=min_clusters
    )
    return redraw_each(design, len(own), request.inference, small_sample, draws())


def redraw_each(
    design: Design,
    own: int,
    inference: Inference,
    small_sample: SmallSample,
    draws: Iterable[Redrawn | None],
) -> Floats | None:
    """Estimate and standard error of the judged number in every draw.

    Args:
        design: the true estimation; its first `own` regressors are those that a draw
            puts others in the place of.
        own: how many.
        inference, small_sample: as in the fit.
        draws: in order; None = this draw has no number.

    Returns:
        (B, 2); NaN where a draw is absorbed by controls and fixed effects, or has no
        positive definite covariance; None where a fit would leave out one of `own`.

    Raises:
        IdentificationError, DataError, NumericalError: the true fit's own problems.
    """
    replaced = design.regressors[:own]
    design = fit(design, inference, small_sample).design
    if any(a is not b for a, b in zip(replaced, design.regressors, strict=False)):
        return None
    columns = prepare(design)
    root = np.sqrt(design.scaled_weights())
    held = columns.X[:, own:]
    if design.has_constant:
        held = np.column_stack([held, np.ones(design.n)])
    fixed = _Fixed(
        design,
        inference,
        small_sample,
        columns.y * root,
        held * root[:, None],
        columns.absorbed,
    )
    numbers: list[tuple[float, float]] = []
    for block in _blocks(draws):
        part = _block(fixed, block)
        if part is None:
            return None
        numbers += part
    return np.asarray(np.array(numbers).reshape(-1, 2) * columns.scale[0])


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What all draws share.

    Attributes:
        y, held: (n,), (n, k) outcome and controls, effects removed, times the root of
            the weights.
        absorbed: as in `Columns`.
    """

    design: Design
    inference: Inference
    small_sample: SmallSample
    y: Floats
    held: Floats
    absorbed: int


def _block(
    fixed: _Fixed, block: Sequence[Redrawn | None]
) -> list[tuple[float, float]] | None:
    """Numbers of some draws, whose fixed effects are removed together."""
    shown = [d for d in block if d is not None]
    if not shown:
        return [_NOTHING] * len(block)
    design, held = fixed.design, fixed.held
    raw = np.column_stack([d.columns for d in shown])[design.rows]
    unit = np.array([binary_scale(x - x.mean()) for x in raw.T])
    raw = raw / unit
    total = np.square(raw - raw.mean(axis=0)).sum(axis=0)
    demeaned = demeaned_like(design, raw) * np.sqrt(design.scaled_weights())[:, None]
    left = demeaned - held @ np.linalg.lstsq(held, demeaned, rcond=None)[0]
    numbers: list[tuple[float, float]] = []
    at = 0
    for d in block:
        if d is None:
            numbers.append(_NOTHING)
            continue
        its = slice(at, at + len(d.weights))
        at = its.stop
        if (_alone(left[:, its]) > ABSORBED * total[its]).all():
            numbers.append(_number(fixed, demeaned[:, its], d.weights / unit[its]))
        elif d.optional:
            return None
        else:
            numbers.append(_NOTHING)
    return numbers


def _number(fixed: _Fixed, d: Floats, weights: Floats) -> tuple[float, float]:
    """Estimate and error of the combination of the regressors `d` (n, q)."""
    X, y = np.column_stack([d, fixed.held]), fixed.y
    M = np.linalg.inv(X.T @ X)
    beta = M @ (X.T @ y)
    beta += M @ (X.T @ (y - X @ beta))  # refined, as in the fit
    u = y - X @ beta
    try:
        found = covariance(
            fixed.design, fixed.inference, fixed.small_sample, X, u, fixed.absorbed
        )
        if not (np.diag(found.V) > 0).all():  # as in the fit: none is printed
            return _NOTHING
        if fixed.inference.options.get("type") == "CV3":
            found = jackknifed(fixed.design, X, u, found)
    except (NumericalError, IdentificationError):  # no error, no number
        return _NOTHING
    q = len(weights)
    variance = weights @ found.V[:q, :q] @ weights
    return float(weights @ beta[:q]), float(np.sqrt(variance))


def _alone(left: Floats) -> Floats:
    """(q,) sum of squares of every column (n, q) that the others leave; 0 if none."""
    if left.shape[1] == 1:
        return np.asarray(np.square(left).sum(axis=0))
    gram = left.T @ left
    size = np.sqrt(np.diag(gram))
    if not size.all():
        return np.zeros(len(size))
    R = gram / np.outer(size, size)
    if np.linalg.eigvalsh(R)[0] <= ABSORBED / len(R):  # all but singular
        return np.zeros(len(size))
    return np.asarray(size**2 / np.diag(np.linalg.inv(R)))


def _blocks(draws: Iterable[Redrawn | None]) -> Iterator[Sequence[Redrawn | None]]:
    """Draws in lists of about `_BLOCK` columns."""
    held: list[Redrawn | None] = []
    width = 0
    for d in draws:
        held.append(d)
        width += 0 if d is None else len(d.weights)
        if width >= _BLOCK:
            yield held
            held, width = [], 0
    if held:
        yield held
