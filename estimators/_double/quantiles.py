"""Effects on quantiles and tail means of the outcome: kind qte.

Kallus, Mao and Uehara (2024): the nuisance of a quantile depends on the quantile, so that
it is learned about a first guess. The guess comes from one half of the rows that are not
left out, the nuisance from the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from estimators._double.nuisance import Fitted, cross_fit
from estimators._double.sample import ROWS_OF_AN_ARM, arms
from estimators._double.scores import Quantity, Repetition, Splitting, taken_up
from estimators._math.folds import places
from estimators._math.orthogonal import (
    Solved,
    influence_of,
    normalised,
    row_weights,
)
from estimators._math.projection import Codes, Flags, Floats
from estimators._math.quantiles import beyond, density, root
from framework.errors import IdentificationError, NumericalError

#: Estimand of each quantity.
ESTIMANDS: Mapping[Quantity, str] = {
    "pq": "qte",
    "lpq": "local_qte",
    "cvar": "tail_effect",
}

#: Share of rows at one value of the outcome from which a note says so.
MASS = 0.05


@dataclass(frozen=True, slots=True)
class Halves:
    """Where first guesses come from.

    Attributes:
        first, second: (K, n) rows of either half, by the fold that is left out.
        inner: (K, n) folds inside the first half, for the guess's own nuisances.
    """

    first: Flags
    second: Flags
    inner: Codes


def halves(split: Splitting) -> Halves:
    """Halves and inner folds of whole groups, drawn from their names."""
    sample, K = split.sample, split.plan.folds
    rank = places(sample.group_names, split.plan.seed, -10 - split.number)
    left_out = split.fold == np.arange(K)[:, None]
    first = ~left_out & (rank % 2 == 0)[sample.group]
    inner = np.broadcast_to((rank // 2 % K)[sample.group], first.shape)
    return Halves(first, ~left_out & ~first, inner)


def quantile_effects(split: Splitting, parts: Halves | None = None) -> Repetition:
    """One split: effects at every quantile that is asked for.

    Args:
        parts: halves in place of the drawn ones.

    Raises:
        IdentificationError: M04 arms too small.
        NumericalError: N02 a score without a root.
    """
    parts = halves(split) if parts is None else parts
    of = {"pq": _potential, "cvar": _tail, "lpq": _local}[split.plan.quantity]
    return of(split, parts)


def _at(split: Splitting, p: Floats, d: Floats) -> Floats:
    """Propensities as the scores use them."""
    t = split.plan.trimming
    trimmed = np.clip(p, t, 1 - t)
    return normalised(trimmed, d) if split.plan.normalise else trimmed


def _guess_propensity(
    split: Splitting, parts: Halves, k: int, target: Floats, what: str
) -> Floats:
    """Propensities of the first half, cross-fitted inside it."""
    rows = parts.first[k]
    plan = split.plan
    learner = plan.instrument if plan.quantity == "lpq" else plan.treatment
    arms(target[rows], what, parts.inner[k][rows])
    fitted: Fitted = cross_fit(
        target[rows],
        split.sample.X[rows],
        parts.inner[k][rows],
        learner,
        "classification",
        split.seed,
        what=what,
    )
    return _at(split, fitted.values, target[rows])


@dataclass(frozen=True, slots=True)
class _Potential:
    """A potential outcome's quantile or tail mean.

    Attributes:
        theta: its value.
        influence: (G,) by group, or (n,).
    """

    theta: float
    influence: Floats


def _solved(found: list[tuple[_Potential, _Potential]]) -> Solved:
    """Effects at all quantiles: treated less untreated."""
    return Solved(
        np.array([one.theta - zero.theta for zero, one in found]),
        np.column_stack([one.influence - zero.influence for zero, one in found]),
    )


def _reported(split: Splitting, solved: Solved, p: Floats) -> Repetition:
    return Repetition(
        solved={ESTIMANDS[split.plan.quantity]: solved},
        checks=tuple(split.checks),
        left={},
        propensity=p,
        notes=tuple(dict.fromkeys(split.notes)),
    )


# -- quantiles and tail means of potential outcomes -----------------------------------


def _guesses(split: Splitting, parts: Halves, q: float, a: int) -> Floats:
    """First guess (K,) of a potential outcome's quantile, by inverse probabilities."""
    y, d = split.sample.outcome, split.sample.d
    term = f"'{split.sample.treatments[0].term}'"
    start = float(np.quantile(y[d == a], q))
    found = np.empty(split.plan.folds)
    for k in range(split.plan.folds):
        rows = parts.first[k]
        p = _guess_propensity(split, parts, k, d, f"{term} in half of the rows")
        inverse = (d[rows] == a) / (p if a else 1 - p)

        def score(t: float, inverse: Floats = inverse, held: Floats = y[rows]) -> float:
            return float(np.mean(inverse * (held <= t)) - q)

        found[k] = _guess(score, start, y)
    return found


def _guess(score: Callable[[float], float], start: float, y: Floats) -> float:
    """Root of a half's score, or the end of the range that is nearer to one.

    doubleml minimises the score's absolute value, which has plateaus.
    """
    low, high = float(y.min()), float(y.max())
    found = root(score, start, low, high)
    return min((low, high), key=lambda t: abs(score(t))) if found is None else found


def _both_sides(target: Floats, train: Flags, what: str) -> None:
    """M04: rows on both sides of a first guess in every training sample."""
    for k in range(len(target)):
        ones = int(target[k][train[k]].sum())
        count = min(ones, int(train[k].sum()) - ones)
        if count < ROWS_OF_AN_ARM:
            raise IdentificationError(
                "M04",
                f"{count} rows of {what} on one side of the quantile where fold {k + 1} "
                f"is left out; {ROWS_OF_AN_ARM} are the fewest to learn from",
                fix="a quantile nearer to the median, fewer folds, or more rows",
                path="model.estimator.quantiles",
            )


def _potential(split: Splitting, parts: Halves) -> Repetition:
    """Quantiles of Y(1) less quantiles of Y(0)."""
    sample = split.sample
    y, d = sample.outcome, sample.d
    raw = split.propensity(sample.treatments[0], split.plan.treatment)
    p = _at(split, raw, d)
    found = []
    for q in split.plan.quantiles:
        sides = []
        for a in (0, 1):
            arm = d == a
            guess = _guesses(split, parts, q, a)
            target = (y <= guess[:, None]).astype(np.float64)
            what = f"'{sample.outcome_term}' below its {q:g} quantile"
            what += f" where '{sample.treatments[0].term}' is {a}"
            train = parts.second & arm
            _both_sides(target, train, what)
            g = split.predict(
                target, split.plan.outcome, "classification", what, train, arm
            )
            inverse = arm / (p if a else 1 - p)

            def psi(
                t: float, inverse: Floats = inverse, g: Floats = g, q: float = q
            ) -> Floats:
                return np.asarray(inverse * ((y <= t) - g) + g - q)

            sides.append(_root(split, psi, inverse, float(guess.mean()), what))
        found.append((sides[0], sides[1]))
    return _reported(split, _solved(found), raw)


def _root(
    split: Splitting,
    psi: Callable[[float], Floats],
    weights: Floats,
    start: float,
    what: str,
) -> _Potential:
    """Where the mean score is zero, and the influence there."""
    sample = split.sample
    y, fold, group = sample.outcome, split.fold, sample.cluster
    w = row_weights(fold, group)
    theta = root(lambda t: float(w @ psi(t)), start, float(y.min()), float(y.max()))
    if theta is None:
        raise NumericalError(
            "N02",
            f"no number is the quantile of {what}: the score has one sign",
            why="Weights and predictions leave less than the share asked for on one "
            "side.",
            fix="a quantile nearer to the median, or another learner",
        )
    # A root of a step function is found to 2e-12 of the outcome's range.
    tied = np.isclose(y, theta, rtol=0, atol=1e-9 * float(np.ptp(y)))
    held = float(np.abs(weights) @ tied / np.abs(weights).sum())
    if held > MASS:
        split.notes.append(
            f"{held:.0%} of the weight of {what} is on one value: a standard error of a "
            "quantile presumes a density"
        )
    slope = density(y - theta, weights)
    J = np.array([[slope * w.sum()]])
    influence = influence_of(-psi(theta)[:, None], J, fold, group)
    return _Potential(theta, influence[:, 0])


def _tail(split: Splitting, parts: Halves) -> Repetition:
    """Means of Y(1) and of Y(0) beyond their quantiles (conditional value at risk)."""
    sample = split.sample
    y, d = sample.outcome, sample.d
    raw = split.propensity(sample.treatments[0], split.plan.treatment)
    p = _at(split, raw, d)
    w = row_weights(split.fold, sample.cluster)
    found = []
    for q in split.plan.quantiles:
        sides = []
        for a in (0, 1):
            arm = d == a
            guess = _guesses(split, parts, q, a)
            target = np.array([beyond(y, q, at) for at in guess])
            what = f"'{sample.outcome_term}' beyond its {q:g} quantile"
            what += f" where '{sample.treatments[0].term}' is {a}"
            g = split.predict(
                target,
                split.plan.outcome,
                "regression",
                what,
                parts.second & arm,
                arm,
            )
            own = beyond(y, q, float(guess.mean()))
            level = arm * (own - g) / (p if a else 1 - p) + g
            theta = float(w @ level / w.sum())
            influence = influence_of(
                (level - theta)[:, None],
                np.array([[w.sum()]]),
                split.fold,
                sample.cluster,
            )
            sides.append(_Potential(theta, influence[:, 0]))
        found.append((sides[0], sides[1]))
    return _reported(split, _solved(found), raw)


# -- compliers ------------------------------------------------------------------------


def _local(split: Splitting, parts: Halves) -> Repetition:
    """Quantiles of Y(1) and Y(0) of those whom the 0/1 instrument moves."""
    sample, plan = split.sample, split.plan
    arm = sample.instruments[0]
    y, d, z = sample.outcome, sample.d, arm.values
    raw = split.propensity(arm, plan.instrument)
    m = _at(split, raw, z)
    term = f"'{sample.treatments[0].term}'"
    taken = taken_up(split, arm)
    moved = float(np.mean(_contrast(taken[0], taken[1], d, z, m)))
    _compliers(moved, arm.term, sample.treatments[0].term)
    guessed = [_first_half(split, parts, k) for k in range(plan.folds)]
    found = []
    for q in plan.quantiles:
        sides = []
        for a in (0, 1):
            sign = 2.0 * a - 1.0
            start = float(np.quantile(y[d == a], q))
            guess = np.array(
                [
                    _local_guess(split, parts.first[k], guessed[k], q, a, start)
                    for k in range(plan.folds)
                ]
            )
            target = (d == a) * (y <= guess[:, None]).astype(np.float64)
            what = f"{term} = {a} and '{sample.outcome_term}' below its {q:g} quantile"
            g = []
            for side in (0, 1):
                if not (d[z == side] == a).any():
                    g.append(np.zeros(sample.n))  # nobody there, so nobody below
                    continue
                said = f"{what} where '{arm.term}' is {side}"
                train = parts.second & (z == side)
                _both_sides(target, train, said)
                g.append(
                    split.predict(
                        target, plan.outcome, "classification", said, train, z == side
                    )
                )

            def psi(
                t: float,
                g0: Floats = g[0],
                g1: Floats = g[1],
                a: int = a,
                sign: float = sign,
                q: float = q,
            ) -> Floats:
                below = (d == a) * (y <= t)
                return np.asarray(sign * _contrast(g0, g1, below, z, m) / moved - q)

            weights = sign * (z / m - (1 - z) / (1 - m)) * (d == a) / moved
            sides.append(_root(split, psi, weights, float(guess.mean()), what))
        found.append((sides[0], sides[1]))
    return _reported(split, _solved(found), raw)


def _contrast(r0: Floats, r1: Floats, of: Floats, z: Floats, m: Floats) -> Floats:
    """Signal (n,) of the instrument's effect on `of`, predicted as r0 and r1."""
    inverse = z / m * (of - r1) - (1 - z) / (1 - m) * (of - r0)
    return np.asarray(r1 - r0 + inverse, dtype=np.float64)


def _compliers(moved: float, instrument: str, treatment: str) -> None:
    if moved <= 0:
        raise IdentificationError(
            "I02",
            f"'{instrument}' does not raise '{treatment}' on average (share of compliers "
            f"{moved:.3f})",
            why="Quantiles of the compliers divide by their share.",
            fix="1 less the instrument, or another one",
        )


@dataclass(frozen=True, slots=True)
class _First:
    """What the first half knows: propensity (h,) of the instrument, compliers' share."""

    m: Floats
    moved: float


def _first_half(split: Splitting, parts: Halves, k: int) -> _First:
    sample, arm = split.sample, split.sample.instruments[0]
    rows = parts.first[k]
    d, z, X = sample.d[rows], arm.values[rows], sample.X[rows]
    m = _guess_propensity(
        split, parts, k, arm.values, f"'{arm.term}' in half of the rows"
    )
    taken = []
    for side in (0, 1):
        everybody = sample.d[arm.values == side]
        if not np.ptp(everybody):
            taken.append(np.full(len(d), float(everybody[0])))
            continue
        what = (
            f"'{sample.treatments[0].term}' where '{arm.term}' is {side}, first guess"
        )
        count = min(int(np.sum(d[z == side] == v)) for v in (0, 1))
        if count < ROWS_OF_AN_ARM:
            raise IdentificationError(
                "M04",
                f"{count} rows of one kind for {what}; {ROWS_OF_AN_ARM} are the fewest",
                fix="fewer folds, or more rows",
            )
        taken.append(_same_rows(split, d, X, z == side, what))
    return _First(m, float(np.mean(_contrast(taken[0], taken[1], d, z, m))))


def _same_rows(
    split: Splitting, d: Floats, X: Floats, within: Flags, what: str
) -> Floats:
    """Predictions of the rows that are learned from, as doubleml's first guess has.

    Either copy of the rows is the other's training sample.
    """
    copy = np.repeat([0, 1], len(d))
    fitted: Fitted = cross_fit(
        np.tile(d, 2),
        np.tile(X, (2, 1)),
        copy,
        split.plan.treatment,
        "classification",
        split.seed,
        within=np.tile(within, 2),
        what=what,
    )
    return fitted.values[: len(d)]


def _local_guess(
    split: Splitting, rows: Flags, known: _First, q: float, a: int, start: float
) -> float:
    sample = split.sample
    y, d, z = sample.outcome[rows], sample.d[rows], sample.instruments[0].values[rows]
    weights = (2.0 * a - 1.0) * (z / known.m - (1 - z) / (1 - known.m)) / known.moved

    def score(t: float) -> float:
        return float(np.mean(weights * (d == a) * (y <= t) - q))

    return _guess(score, start, sample.outcome)
