"""Slacks-based measure of efficiency and super-efficiency, on arrays.

Notation of Tone (2001, 2002): n units with inputs X (m x n), good outputs Y (s1 x n) and
bad outputs B (s2 x n). The ratio

    rho = (1 - a's) / (1 + d's),   s = slacks over the unit's own quantities,

is made linear by Charnes and Cooper's t = 1/(1 + d's); `a` and `d` hold the weights of
the slacks in numerator and denominator (1/m and 1/(s1 + s2) without orientation).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from estimators._math.envelopment import (
    Floats,
    Integers,
    Programs,
    Solutions,
    Solver,
)

Orientation = Literal["non", "input", "output"]
Returns = Literal["constant", "variable"]
Place = Literal["denominator", "numerator"]

#: Scores above 1 minus this are efficient and go to the second stage.
EFFICIENT = 1e-7
#: From this share of the largest possible score on, a row's projection is the origin
#: but for a remnant.
_AT_CAP = 0.99
#: Two scores nearer than this are the same.
SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Quantities:
    """What units use and make: X (m, n), Y (s1, n), B (s2, n)."""

    inputs: Floats
    goods: Floats
    bads: Floats

    @property
    def all(self) -> Floats:
        """(m + s1 + s2, n)."""
        return np.concatenate([self.inputs, self.goods, self.bads])

    @property
    def counts(self) -> tuple[int, int, int]:
        """(m, s1, s2)."""
        return len(self.inputs), len(self.goods), len(self.bads)

    def take(self, columns: Integers) -> Quantities:
        """These units only."""
        return Quantities(
            self.inputs[:, columns], self.goods[:, columns], self.bads[:, columns]
        )


@dataclass(frozen=True, slots=True)
class Measure:
    """Which slacks-based measure.

    Attributes:
        orientation: which slacks count: of all (`non`), of inputs, of outputs.
        returns: to scale.
        bads: bad outputs stand in the denominator with the goods or in the numerator
            with the inputs.
        super_efficiency: efficient units are measured against the others.
    """

    orientation: Orientation = "non"
    returns: Returns = "constant"
    bads: Place = "denominator"
    super_efficiency: bool = False


@dataclass(frozen=True, slots=True)
class Scores:
    """Efficiency of E units.

    Attributes:
        score: (E,) NaN where there is none.
        first: (E,) score of the first stage.
        status: (E,) `inefficient`, `efficient`, `super-efficient`, `capped` (projected
            all but onto the origin: within 1% of the most the measure can give),
            `infeasible`, `beyond` (outside the technology of reference units it is not
            one of; only super-efficiency scores it), `no peers`, `not proven`.
        target: (E, m + s1 + s2) projection onto the frontier; NaN where there is none.
        unit, peer, weight: (k,) peers and their weights, one line each.
        returns: (E,) -1 increasing, 0 constant, 1 decreasing; NaN unknown.
        gap: (E,) how far the optimality conditions are from holding.
    """

    score: Floats
    first: Floats
    status: list[str]
    target: Floats
    unit: Integers
    peer: Integers
    weight: Floats
    returns: Floats
    gap: Floats


def slacks_based(
    evaluated: Quantities,
    reference: Quantities,
    own: Integers,
    measure: Measure,
    solve: Solver,
) -> Scores:
    """Score `evaluated` against the technology that `reference` spans.

    Stage 1 (Tone 2001, with bad outputs Tone 2003). With super-efficiency, units whose
    score is 1 are scored again without themselves (Tone 2002); all other reference
    units stay, for a dominated one may be a peer once the unit is gone. A weakly
    efficient unit keeps its first score. A unit that is not among the reference units
    and beyond their frontier has no first score, and is scored like an efficient one.

    Args:
        evaluated: quantities of the E units to score, positive or 0 (a slack of a 0
            has no weight).
        reference: quantities of the n reference units.
        own: (E,) the unit's column in `reference`, -1 where it is not one of them.
        measure: which one.
        solve: solver of envelopment programs.
    """
    scale = Scale(reference, evaluated, measure.returns)
    weights = slack_weights(evaluated, measure)
    programs = first_stage(scale, weights, own)
    first = solve(programs)
    scores = _read(first, scale, evaluated, sign=-1.0)
    alone = (own >= 0) & (reference.inputs.shape[1] == 1)
    scores = _first_status(scores, first, alone)
    if not measure.super_efficiency:
        return scores
    beyond = np.array([word == "beyond" for word in scores.status], dtype=np.bool_)
    best = np.flatnonzero((scores.first > 1 - EFFICIENT) | beyond)
    if not len(best):
        return scores
    second = second_stage(scale.take(best), weights.take(best), own[best])
    found = solve(second)
    above = _read(found, scale.take(best), evaluated.take(best), sign=1.0)
    return _second_status(scores, above, found, best, weights, measure, scale)


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the relative slacks.

    Attributes:
        numerator, denominator: (E, c), a zero quantity's is 0.
        counts: (E, c) 1 where the orientation gives the slack a weight, else 0.
    """

    numerator: Floats
    denominator: Floats
    counts: Floats

    def take(self, rows: Integers) -> Weights:
        """These units only."""
        return Weights(self.numerator[rows], self.denominator[rows], self.counts[rows])


def slack_weights(evaluated: Quantities, measure: Measure) -> Weights:
    """Each positive quantity of a side counts the same; zeros do not count."""
    m, goods, bads = evaluated.counts
    above, below = np.zeros(m + goods + bads), np.zeros(m + goods + bads)
    above[:m] = 1
    below[m : m + goods] = 1
    (below if measure.bads == "denominator" else above)[m + goods :] = 1
    if measure.orientation == "input":
        below[:] = 0
    if measure.orientation == "output":
        above[:] = 0
    positive = (evaluated.all > 0).T
    a, d = positive * above, positive * below
    with np.errstate(invalid="ignore"):
        a = np.nan_to_num(a / a.sum(axis=1, keepdims=True))
        d = np.nan_to_num(d / d.sum(axis=1, keepdims=True))
    counts = np.broadcast_to(above + below, a.shape)
    return Weights(a, d, np.asarray(counts, dtype=np.float64))


class Scale:
    """Every unit brought to size 1, so that tolerances mean the same for all.

    Rows are divided by their mean, then each unit by its own mean row. Under variable
    returns the one of the convexity row is divided alike: both are exact changes of
    variables.
    """

    def __init__(
        self, reference: Quantities, evaluated: Quantities, returns: Returns
    ) -> None:
        mean = reference.all.mean(axis=1, keepdims=True)
        mean = np.where(mean > 0, mean, 1.0)
        self.mean: Floats = mean[:, 0]
        peers, units = reference.all / mean, evaluated.all / mean
        self.peer_size: Floats = peers.mean(axis=0)
        self.unit_size: Floats = units.mean(axis=0)
        self.counts = reference.counts
        self.convex = returns == "variable"
        if self.convex:
            one = 1 / np.median(1 / self.peer_size)
            peers = np.concatenate([peers, np.full((1, peers.shape[1]), one)])
            units = np.concatenate([units, np.full((1, units.shape[1]), one)])
        self.peers: Floats = peers / self.peer_size
        self.units: Floats = units / self.unit_size

    def take(self, rows: Integers) -> Scale:
        """The same technology for these units only."""
        taken = object.__new__(Scale)
        taken.__dict__.update(self.__dict__)
        taken.units = self.units[:, rows]
        taken.unit_size = self.unit_size[rows]
        return taken

    def weight(self, solutions: Solutions) -> Floats:
        """Intensities in the data's own scale."""
        unit, peer = solutions.unit, solutions.peer
        ratio: Floats = self.unit_size[unit] / self.peer_size[peer]
        return solutions.intensity * ratio


def first_stage(scale: Scale, weights: Weights, own: Integers) -> Programs:
    """Stage 1: min t - a's s.t. t + d's = 1; P L + q_o s = t q_o (goods P L - q_o s).

    Own variables: t, then one relative slack per quantity.
    """
    return _programs(scale, weights, own, above=False)


def second_stage(scale: Scale, weights: Weights, own: Integers) -> Programs:
    """Stage 2: min t + a's s.t. t - d's = 1; P L - q_o s <= t q_o (goods + and >=).

    Without the unit among the peers. That a projected good output is not negative
    (Tone 2002) need not be written: its slack is never larger than closes the row.
    """
    return _programs(scale, weights, own, above=True)


def _programs(
    scale: Scale, weights: Weights, own: Integers, *, above: bool
) -> Programs:
    m, goods, bads = scale.counts
    c = m + goods + bads
    r = len(scale.peers)
    units = scale.units.shape[1]
    is_good = np.zeros(c, dtype=np.bool_)
    is_good[m : m + goods] = True
    # Where the quantity is 0 its slack is absolute, in mean units.
    quantity = np.where(scale.units[:c] > 0, scale.units[:c], 1.0)
    toward = np.where(is_good, -1.0, 1.0) * (-1.0 if above else 1.0)
    present = np.ones(c, dtype=np.bool_)
    if above:
        # What the orientation holds fast may not give way.
        present = weights.counts[0] > 0 if len(weights.counts) else present
    slacks = np.flatnonzero(present)

    rows = [np.arange(r), slacks, np.array([r]), np.full(len(slacks), r)]
    columns = [
        np.zeros(r, dtype=np.int64),
        1 + slacks,
        np.array([0]),
        1 + slacks,
    ]
    outward = -1.0 if above else 1.0
    values = [
        -scale.units.T,
        (toward[:, None] * quantity).T[:, slacks],
        np.ones((units, 1)),
        outward * weights.denominator[:, slacks],
    ]
    sense = "".join(">" if g else "<" for g in is_good) if above else "=" * c
    cost = np.concatenate([np.ones((units, 1)), -outward * weights.numerator], axis=1)
    return Programs(
        peers=scale.peers,
        sense=sense + "=" * (r - c) + "=",
        rhs=np.concatenate([np.zeros(r), [1.0]]),
        cost=cost,
        rows=np.concatenate(rows).astype(np.int64),
        columns=np.concatenate(columns).astype(np.int64),
        values=np.concatenate(values, axis=1),
        own=own,
        without_own=above,
    )


def _read(
    solutions: Solutions,
    scale: Scale,
    evaluated: Quantities,
    sign: float,
) -> Scores:
    """Scores, projections and peers; `sign` of a slack in the projected input."""
    m, goods, _ = scale.counts
    units = len(solutions.objective)
    t = solutions.own[:, 0]
    quantity = evaluated.all.T
    absolute = np.where(quantity > 0, quantity, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        slack = solutions.own[:, 1:] / t[:, None]
        # The slack of a zero is in mean units of a unit of size 1: not a target.
        moved = np.where(quantity > 0, slack * np.nan_to_num(absolute), 0.0)
        direction = np.full(quantity.shape[1], sign)
        direction[m : m + goods] = -sign
        target = quantity + direction * moved
        weight = scale.weight(solutions) / t[solutions.unit]
    objective = solutions.objective.copy()
    target[np.isnan(objective)] = np.nan
    total = np.zeros(units)
    np.add.at(total, solutions.unit, weight)
    if scale.convex:
        free = solutions.dual[:, len(scale.peers) - 1]
        returns = np.where(np.abs(free) <= SAME, 0.0, -np.sign(free))
    else:
        returns = np.where(np.abs(total - 1) <= SAME, 0.0, np.sign(total - 1))
    returns = np.where(np.isnan(objective), np.nan, returns)
    proven = ~np.isnan(objective)[solutions.unit]
    return Scores(
        objective,
        objective,
        [],
        target,
        solutions.unit[proven],
        solutions.peer[proven],
        weight[proven],
        returns,
        solutions.gap,
    )


def _first_status(
    scores: Scores, solutions: Solutions, own_only: npt.NDArray[np.bool_]
) -> Scores:
    """Status of every unit; one that has only itself to compare with has no score."""
    status = []
    for value, feasible, alone in zip(
        scores.score, solutions.feasible, own_only, strict=True
    ):
        if alone:
            status.append("no peers")
        elif not feasible:
            status.append("beyond")
        elif np.isnan(value):
            status.append("not proven")
        else:
            status.append("efficient" if value > 1 - EFFICIENT else "inefficient")
    # An efficient unit's score is 1, not 1 less the rounding of a division.
    score = np.where(scores.score > 1 - SAME, 1.0, scores.score)
    score[own_only] = np.nan
    scores.target[own_only] = np.nan
    return replace(scores, score=score, first=score, status=status)


def _second_status(
    scores: Scores,
    above: Scores,
    solutions: Solutions,
    best: Integers,
    weights: Weights,
    measure: Measure,
    scale: Scale,
) -> Scores:
    """Put the second stage's scores in the place of the first's."""
    score, target = scores.score.copy(), scores.target.copy()
    returns, gap = scores.returns.copy(), scores.gap.copy()
    status = list(scores.status)
    m, goods, bads = scale.counts
    cap = np.full(len(best), np.inf)
    if bads and measure.bads == "denominator" and measure.returns == "constant":
        share = weights.denominator[best][:, m + goods :].sum(axis=1)
        with np.errstate(divide="ignore"):
            cap = np.where(share > 0, 1 / share, np.inf)
    for k, o in enumerate(best):
        value = above.score[k]
        score[o], target[o] = value, above.target[k]
        returns[o], gap[o] = above.returns[k], above.gap[k]
        if not solutions.feasible[k]:
            status[o] = "infeasible"
        elif np.isnan(value):
            status[o] = "not proven"
        elif value >= cap[k] * _AT_CAP:
            status[o] = "capped"
        elif value > 1 + SAME:
            status[o] = "super-efficient"
        else:
            score[o], status[o] = 1.0, "efficient"
        if np.isnan(score[o]):
            target[o], returns[o] = np.nan, np.nan
    kept = ~np.isin(scores.unit, best)
    return Scores(
        score,
        scores.first,
        status,
        target,
        np.concatenate([scores.unit[kept], best[above.unit]]),
        np.concatenate([scores.peer[kept], above.peer]),
        np.concatenate([scores.weight[kept], above.weight]),
        returns,
        gap,
    )


__all__ = [
    "EFFICIENT",
    "SAME",
    "Measure",
    "Quantities",
    "Scale",
    "Scores",
    "Weights",
    "first_stage",
    "second_stage",
    "slack_weights",
    "slacks_based",
]
