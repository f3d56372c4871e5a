"""Two-way fixed effects when treatment paths are permuted between units, unit by unit.

In a balanced panel a permutation of whole paths leaves the mean of every period as it
is, so a unit's demeaned treatment depends on its own path only: with C paths there are
C demeaned ones, p_c. Controls are made orthonormal once, Z. In a draw that gives unit i
the path c(i), with gamma = Z'D and y* the outcome less effects and controls,

    b = sum_i p_c'y*_i / (D'D - gamma'gamma),
    s_i = p_c'y*_i - b p_c'p_c + 2 b (Z_i'p_c)'gamma - gamma'(Z_i'y*_i)
          - b gamma'(Z_i'Z_i) gamma,

where s_i is the unit's score, and the clustered variance is the sum of squared cluster
sums of s. All products of unit and path are made before the first draw; a draw then
costs a few sums over units, whatever the number of periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.covariance import cluster_factor
from estimators._linear.design import build, control_regressors, treatment_regressors
from estimators._math.projection import Codes, Floats, binary_scale, nested

if TYPE_CHECKING:
    from estimators._linear.design import Design
    from estimators._linear.options import SmallSample
    from framework.contract import Assignments, Request

#: Units times draws of which scores are held at a time.
_CELLS = 250_000
#: Share of a control's length that must be left beside the effects and the others;
#: below, the general way decides which controls are left out.
_LEFT = 1e-4
#: Share of the treatment that must be left beside effects and controls in a draw.
_ABSORBED = 1e-10


@dataclass(frozen=True, slots=True)
class _Products:
    """What is known of N units and C paths before any draw; k controls.

    Attributes:
        common: the path that most units have.
        size: sum over units of p_c'p_c, the same in every draw.
        base: (N, 2 + 2 k + k (k + 1) / 2) products of a unit that has the common path,
            in the order of `_weights`.
        total: (1 + k,) sums over units of p_c'y* and Z_i'p_c if all had that path.
        change: (N, C, 1 + k) p_c'y*_i and Z_i'p_c less those of the common path.
        longer: (C,) p_c'p_c less that of the common path.
    """

    common: int
    size: float
    base: Floats
    total: Floats
    change: Floats
    longer: Floats


def reassign(
    request: Request,
    small_sample: SmallSample,
    assignments: Assignments,
    *,
    min_clusters: int = 10,
) -> Floats | None:
    """Estimate and standard error of the treatment in every draw.

    Args:
        request: the true estimation; one treatment column.
        small_sample: as in the fit.
        assignments: paths of the units in B draws.
        min_clusters: as in the fit.

    Returns:
        (B, 2), NaN where controls and fixed effects absorb a draw; None where the model
        is another: interactions, gaps, weights, slopes, other effects or errors,
        controls that are nearly collinear.

    Raises:
        IdentificationError, DataError: the true fit's own problems.
    """
    own = treatment_regressors(request)
    if len(own) != 1:
        return None
    regressors = [*own, *control_regressors(request)]
    design = build(request, regressors, min_clusters=min_clusters)
    if design.unit is None or not is_two_way(design, request):
        return None
    orthonormal = orthonormalised(design, design.unit.n_levels, len(own))
    if orthonormal is None:
        return None
    counts = np.bincount(assignments.of_unit[0], minlength=len(assignments.first))
    y, Z, scale = orthonormal
    N, T = y.shape
    periods = design.periods[:T]
    on = (periods >= assignments.first[:, None]).astype(np.float64)
    mean = counts @ on / counts.sum()
    path = on - on.mean(axis=1, keepdims=True) - mean + mean.mean()
    products = _products(y, Z, path, counts)
    cluster = design.clusters[0].codes[::T]
    factor = cluster_factor(design, small_sample, len(design.regressors))
    share = float(on.sum(axis=1) @ counts) / design.n
    least = _ABSORBED * design.n * share * (1.0 - share)
    found = np.empty((len(assignments.of_unit), 2))
    step = max(1, _CELLS // N)
    for start in range(0, len(found), step):
        chosen = assignments.of_unit[start : start + step]
        b, meat, left = _draw(products, chosen, cluster)
        number = np.column_stack([b, np.sqrt(factor * meat) / left])
        number[left <= least] = np.nan
        found[start : start + step] = number * scale
    return found


def is_two_way(design: Design, request: Request) -> bool:
    """Whether it is a balanced panel with its two effects alone, clustered by units.

    Or by clusters that hold whole units, without weights.
    """
    if request.weights or request.slopes or request.inference.name != "cluster":
        return False
    unit, time = design.unit, design.time
    if unit is None or time is None or len(design.fixed_effects) != len("it"):
        return False
    if len(design.clusters) != 1 or request.inference.options.get("type") == "CV3":
        return False
    N = unit.n_levels
    T = design.n // N
    if design.n != N * T or design.n_singletons:
        return False
    grid = time.reshape(N, T)
    whole = (
        np.array_equal(unit.codes, np.repeat(np.arange(N), T))
        and bool((grid == grid[0]).all())
        and bool((np.diff(grid[0]) > 0).all())
    )
    if not whole or not nested(unit.codes, design.clusters[0].codes):
        return False
    period = np.tile(np.arange(T), N)
    one, other = (f.codes for f in design.fixed_effects)
    return any(
        _same(a, unit.codes) and _same(b, period)
        for a, b in ((one, other), (other, one))
    )


def _same(a: Codes, b: Codes) -> bool:
    return nested(a, b) and nested(b, a)


def orthonormalised(
    design: Design, N: int, own: int
) -> tuple[Floats, Floats, float] | None:
    """Outcome (N, T) without effects and controls, controls (k, N, T), outcome's unit.

    Args:
        design: a balanced panel of N units; its first `own` regressors are not controls.
        N: units.
        own: how many.

    Returns:
        None where effects or other controls leave next to nothing of a control.
    """
    columns = [design.outcome, *(r.values for r in design.regressors[own:])]
    held = np.empty((len(columns), design.n))
    for j, values in enumerate(columns):
        raw = values - values.mean()
        unit = binary_scale(raw)
        raw /= unit
        grid = raw.reshape(N, -1)
        out = held[j].reshape(N, -1)
        np.subtract(grid, grid.mean(axis=1, keepdims=True), out=out)
        out -= out.mean(axis=0)
        if not held[j] @ held[j] > _LEFT**2 * (raw @ raw):
            return None
        if j == 0:
            scale = unit
    y, Z = held[0], held[1:]
    for _ in range(2):  # Cholesky twice: orthogonal to rounding
        if not len(Z):
            break
        gram = Z @ Z.T
        length = np.sqrt(np.diag(gram))
        try:
            L = np.linalg.cholesky(gram / np.outer(length, length))
        except np.linalg.LinAlgError:
            return None
        if not (np.diag(L) > _LEFT).all():
            return None
        Z = np.linalg.inv(L) @ (Z / length[:, None])
    for _ in range(2):  # twice is enough (Parlett)
        y = y - (Z @ y) @ Z
    return y.reshape(N, -1), Z.reshape(len(Z), N, design.n // N), scale


def _products(y: Floats, Z: Floats, path: Floats, counts: Codes) -> _Products:
    k, N = Z.shape[:2]
    common = int(np.argmax(counts))
    with_path = np.stack([y @ path.T, *(z @ path.T for z in Z)], axis=2)
    own = np.square(path).sum(axis=1)
    low, high = np.tril_indices(k)
    at_common = with_path[:, common]
    return _Products(
        common=common,
        size=float(own @ counts),
        base=np.column_stack(
            [
                at_common[:, 0],
                np.full(N, own[common]),
                at_common[:, 1:],
                *(_by_unit(z, y) for z in Z),
                *(
                    _by_unit(Z[a], Z[b]) * (1.0 if a == b else 2.0)
                    for a, b in zip(low, high, strict=True)
                ),
            ]
        ),
        total=at_common.sum(axis=0),
        change=with_path - at_common[:, None],
        longer=own - own[common],
    )


def _by_unit(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("it,it->i", a, b))


def _weights(b: Floats, gamma: Floats) -> Floats:
    """(draws, m): the score of a unit is this times its products."""
    low, high = np.tril_indices(gamma.shape[1])
    return np.column_stack(
        [
            np.ones(len(b)),
            -b,
            2.0 * b[:, None] * gamma,
            -gamma,
            -b[:, None] * gamma[:, low] * gamma[:, high],
        ]
    )


def _draw(
    of: _Products, chosen: Codes, cluster: Codes
) -> tuple[Floats, Floats, Floats]:
    """Estimate, sum of squared scores by cluster, what is left of D'D; (draws,) each.

    Args:
        of: products of units and paths.
        chosen: (draws, N) path of each unit.
        cluster: (N,).
    """
    draws, N = chosen.shape
    # Every unit as if it had the common path, then what the others change.
    moved = np.flatnonzero(chosen.ravel() != of.common)
    path = chosen.ravel()[moved]
    change = of.change[moved % N, path].reshape(draws, -1, of.change.shape[2])
    total = of.total + change.sum(axis=1)
    gamma = total[:, 1:]
    left = of.size - np.square(gamma).sum(axis=1)
    b = total[:, 0] / left
    weight = _weights(b, gamma)
    score = weight @ of.base.T
    # Of the weights only those of y, p_c'p_c and Z'p_c stand beside what changes.
    k = gamma.shape[1]
    own = change[:, :, 0] - b[:, None] * of.longer[path].reshape(draws, -1)
    own += np.matmul(change[:, :, 1:], weight[:, 2 : 2 + k, None])[:, :, 0]
    score.ravel()[moved] += own.ravel()
    if int(cluster.max()) + 1 < N:
        from scipy.sparse import csr_array

        summed = csr_array((np.ones(N), (cluster, np.arange(N))))
        score = np.asarray((summed @ score.T).T)
    return b, np.square(score).sum(axis=1), left
