"""Radial and directional distances to a frontier, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from estimators._math.efficiency import Quantities, Returns, Scale
from estimators._math.envelopment import (
    Floats,
    Integers,
    Programs,
    Solutions,
    Solver,
)

Disposability = Literal["weak", "strong"]
Direction = Literal["outputs", "inputs", "all"]

#: A distance nearer to 0 is rounding.
_ZERO = 1e-12


@dataclass(frozen=True, slots=True)
class Distances:
    """Distances of E units.

    Attributes:
        value: (E,) NaN where there is none.
        feasible: (E,) False where no combination of peers fulfils the constraints.
        unit, peer, weight: (k,) peers and their weights, one line each.
    """

    value: Floats
    feasible: np.ndarray[tuple[int], np.dtype[np.bool_]]
    unit: Integers
    peer: Integers
    weight: Floats


def radial(
    evaluated: Quantities,
    reference: Quantities,
    own: Integers,
    orientation: Literal["input", "output"],
    returns: Returns,
    solve: Solver,
    *,
    without_own: bool = False,
) -> Distances:
    """Farrell's efficiency: CCR (1978) under constant, BCC (1984) under variable returns.

    input:  min theta  s.t. X L <= theta x_o, Y L >= y_o
    output: min t = 1/phi  s.t. X L <= t x_o, Y L >= y_o, where L = t lambda

    Bad outputs are ignored. Own variables: theta or t, and a 1 that carries constants.
    """
    scale = Scale(reference, evaluated, returns)
    m, goods, bads = scale.counts
    r, units = len(scale.peers), scale.units.shape[1]
    shrinks = np.arange(m)
    fixed = np.arange(m, m + goods)
    rows_of_one = np.arange(m + goods + bads, r)
    moves = orientation == "output"  # intensities are scaled: 1'L = t, not 1
    rows = [shrinks, fixed, rows_of_one, np.array([r])]
    columns = [
        np.zeros(m),
        np.ones(goods),
        np.full(len(rows_of_one), 0 if moves else 1),
        np.array([1]),
    ]
    values = [
        -scale.units[:m].T,
        -scale.units[m : m + goods].T,
        -scale.units[m + goods + bads :].T,
        np.ones((units, 1)),
    ]
    # A bad output's row is empty of peers: it holds whatever the weights are.
    peers = scale.peers.copy()
    peers[m + goods : m + goods + bads] = 0
    programs = Programs(
        peers=peers,
        sense="<" * m + ">" * (goods + bads) + "=" * (r - m - goods - bads) + "=",
        rhs=np.concatenate([np.zeros(r), [1.0]]),
        cost=np.tile([1.0, 0.0], (units, 1)),
        rows=np.concatenate(rows).astype(np.int64),
        columns=np.concatenate(columns).astype(np.int64),
        values=np.concatenate(values, axis=1),
        own=own,
        without_own=without_own,
    )
    found = solve(programs)
    divisor = found.objective if moves else np.ones(units)
    return _distances(found, scale, found.objective, divisor)


@dataclass(frozen=True, slots=True)
class Slacks:
    """What is left to gain at the radial projection of E units.

    Attributes:
        slack: (E, m + s1) inputs to save, outputs to add, in the data's units; NaN
            where the program could not be proven.
        relative: (E,) the largest, over the mean quantity of the reference units and
            the unit's size.
        target: (E, m + s1) projection without slacks.
        unit, peer, weight: (k,) peers of the target and their weights.
    """

    slack: Floats
    relative: Floats
    target: Floats
    unit: Integers
    peer: Integers
    weight: Floats


def most_slack(
    evaluated: Quantities,
    reference: Quantities,
    own: Integers,
    orientation: Literal["input", "output"],
    returns: Returns,
    score: Floats,
    solve: Solver,
    *,
    without_own: bool = False,
) -> Slacks:
    """The second phase of a radial measure (Ali and Seiford 1993).

    max sum of slacks  s.t. X L + s- = theta x_o, Y L - s+ = y_o   (or x_o, phi y_o)

    with slacks over the reference units' mean quantities, so that units of measure do
    not matter. Own variables: a 1 that carries constants, then the slacks.

    Args:
        evaluated: quantities of the E units.
        reference: quantities of the n reference units.
        own: (E,) the unit's column in `reference`, -1 where it is not one of them.
        orientation: of the score.
        returns: to scale.
        score: (E,) theta or 1 / phi of the first phase, none missing.
        solve: solver of envelopment programs.
        without_own: the units' scores are against the others.
    """
    scale = Scale(reference, evaluated, returns)
    m, goods, bads = scale.counts
    c, (r, units) = m + goods, scale.units.shape
    shrunk = np.ones((c, units))
    if orientation == "input":
        shrunk[:m] = score
    else:
        shrunk[m:] = 1 / score
    projected = scale.units[:c] * shrunk
    every = np.arange(c)
    convex = np.arange(c + bads, r)
    sign = np.concatenate([np.ones(m), -np.ones(goods)])
    peers = scale.peers.copy()
    peers[c : c + bads] = 0
    programs = Programs(
        peers=peers,
        sense="=" * (r + 1),
        rhs=np.concatenate([np.zeros(r), [1.0]]),
        cost=np.tile(np.concatenate([[0.0], -np.ones(c)]), (units, 1)),
        rows=np.concatenate([every, every, convex, [r]]).astype(np.int64),
        columns=np.concatenate(
            [np.zeros(c), 1 + every, np.zeros(len(convex)), [0]]
        ).astype(np.int64),
        values=np.concatenate(
            [
                -projected.T,
                np.tile(sign, (units, 1)),
                -scale.units[c + bads :].T,
                np.ones((units, 1)),
            ],
            axis=1,
        ),
        own=own,
        without_own=without_own,
    )
    found = solve(programs)
    proven = ~np.isnan(found.objective)
    in_means = np.where(proven[:, None], found.own[:, 1:], np.nan)
    slack = in_means * scale.unit_size[:, None] * scale.mean[:c]
    at = _distances(found, scale, found.objective, np.ones(units))
    target = evaluated.all[:c].T * shrunk.T - sign * slack
    return Slacks(slack, in_means.max(axis=1), target, at.unit, at.peer, at.weight)


def directional(
    evaluated: Quantities,
    reference: Quantities,
    own: Integers,
    direction: Direction,
    returns: Returns,
    bads: Disposability,
    solve: Solver,
) -> Distances:
    """Directional distance (Chambers, Chung and Färe 1996) along the unit's own data.

    max beta  s.t. X L <= x_o - beta g_x, Y L >= y_o + beta g_y, B L = b_o - beta g_b

    with `=` for weakly disposable bad outputs (Chung, Färe and Grosskopf 1997) and `<=`
    for strongly. Under variable returns weak disposability lets every peer abate by a
    factor of its own (Kuosmanen 2005): intensities z + w, of which only z produces.
    Beta is negative where the unit is beyond the frontier of others. Own variables:
    beta's two signs, and a 1 that carries constants.
    """
    scale = Scale(reference, evaluated, returns)
    m, goods, bad = scale.counts
    c, (r, units) = m + goods + bad, scale.units.shape
    g = scale.units[:c].copy()
    toward = np.concatenate([np.ones(m), -np.ones(goods), np.ones(bad)])
    if direction == "outputs":
        g[:m] = 0
    if direction == "inputs":
        g[m:] = 0
    step = (toward[:, None] * g).T  # + beta g_x on the left of an input's row
    every = np.arange(c)
    rows = [every, every, np.arange(r), np.array([r])]
    columns = [np.zeros(c), np.ones(c), np.full(r, 2), np.array([2])]
    values = [step, -step, -scale.units.T, np.ones((units, 1))]
    peers = scale.peers
    if returns == "variable" and bads == "weak" and bad:
        idle = peers.copy()
        idle[m:c] = 0
        peers = np.concatenate([peers, idle], axis=1)
    programs = Programs(
        peers=peers,
        sense="<" * m
        + ">" * goods
        + ("=" if bads == "weak" else "<") * bad
        + "=" * (r - c)
        + "=",
        rhs=np.concatenate([np.zeros(r), [1.0]]),
        cost=np.tile([-1.0, 1.0, 0.0], (units, 1)),
        rows=np.concatenate(rows).astype(np.int64),
        columns=np.concatenate(columns).astype(np.int64),
        values=np.concatenate(values, axis=1),
        own=own,
    )
    found = solve(programs)
    return _distances(found, scale, -found.objective, np.ones(units))


def _distances(
    found: Solutions, scale: Scale, value: Floats, divisor: Floats
) -> Distances:
    """Read the intensities in the data's own scale; abating copies join their peer."""
    n = scale.peers.shape[1]
    known = ~np.isnan(value)[found.unit]
    unit, peer = found.unit[known], found.peer[known] % n
    size = scale.unit_size[unit] / scale.peer_size[peer]
    weight: Floats = found.intensity[known] * size / divisor[unit]
    pair, place = np.unique(unit * n + peer, return_inverse=True)
    total = np.zeros(len(pair))
    np.add.at(total, place, weight)
    value = np.where(np.abs(value) < _ZERO, 0.0, value)
    return Distances(value, found.feasible, pair // n, pair % n, total)


__all__ = [
    "Direction",
    "Disposability",
    "Distances",
    "Slacks",
    "directional",
    "most_slack",
    "radial",
]
