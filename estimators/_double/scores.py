"""One repetition: nuisances, orthogonal score, solution, for every kind of model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from estimators._double.nuisance import Task, cross_fit, loss, weights_of
from estimators._double.sample import (
    LEFT,
    ROUNDING,
    ROWS_OF_AN_ARM,
    Column,
    Sample,
    arms,
    nothing_left,
)
from estimators._math.carried import first_order
from estimators._math.orthogonal import (
    Score,
    Solved,
    augmented,
    augmented_treated,
    iv_type,
    normalised,
    observed_means,
    partialling_out,
    solve,
)
from estimators._math.projection import Codes, Flags, Floats
from framework.errors import IdentificationError

if TYPE_CHECKING:
    from framework.contract import Learner

PlrScore = Literal["partialling_out", "iv_type"]
#: Of potential outcomes: quantiles, quantiles of the compliers, means beyond a quantile.
Quantity = Literal["pq", "lpq", "cvar"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the estimation is done.

    Attributes:
        outcome, treatment, instrument: learners of the nuisances of each.
        trimming: propensities are kept in [trimming, 1 - trimming].
        normalise: inverse weights add up to n in either arm.
        by_group: one effect for each group of the moderator.
        quantity, quantiles: of kind qte.
    """

    outcome: Learner
    treatment: Learner
    instrument: Learner
    folds: int
    repetitions: int
    score: PlrScore
    trimming: float
    normalise: bool
    seed: int
    by_group: bool = False
    quantity: Quantity = "pq"
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """How well one nuisance predicts in one fold.

    Attributes:
        chosen: weight of each of the learner's members in the fit without this fold.
    """

    nuisance: str
    learner: str
    fold: int
    measure: str
    value: float
    n: int
    chosen: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Repetition:
    """One split of the sample.

    Attributes:
        solved: by estimand; `terms` of its coefficients are those of the treatments.
        checks: out-of-fold performance.
        left: share of each treatment's (instrument's) variance that is not predicted.
        propensity: (n,) as predicted, before trimming; None without one.
        residual: (n,) residual of the main treatment, partially linear kinds.
        sigma2, nu2: by estimand, for the sensitivity to confounders.
        first_stage: F statistic of the instruments, robust or by clusters.
        carried: nuisance -> share (p,) of its predictions that each feature carries.
        notes: what this split met.
    """

    solved: Mapping[str, Solved]
    checks: tuple[Check, ...]
    left: Mapping[str, float]
    propensity: Floats | None = None
    residual: Floats | None = None
    sigma2: Mapping[str, float] = field(default_factory=dict)
    nu2: Mapping[str, float] = field(default_factory=dict)
    first_stage: float | None = None
    carried: Mapping[str, Floats] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Splitting:
    """Cross-fitting on one split, keeping account of how well it goes.

    Attributes:
        classes: (n, p) of the features, to tell which carry a prediction; None = not
            asked.
    """

    sample: Sample
    plan: Plan
    number: int
    fold: Codes
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    classes: Codes | None = None
    carried: dict[str, Floats] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """Of the learners, drawn from the study's seed and the split's number."""
        drawn = np.random.SeedSequence([self.plan.seed, self.number])
        return int(drawn.generate_state(1)[0])

    def predict(
        self,
        target: Floats,
        learner: Learner,
        task: Task,
        what: str,
        within: Flags | None = None,
        shown: Flags | None = None,
    ) -> Floats:
        """Out-of-fold predictions (n,) of a target, as in `cross_fit`.

        `shown`: (n,) rows whose losses are told; None = those learned from.
        """
        fitted = cross_fit(
            target,
            self.sample.X,
            self.fold,
            learner,
            task,
            self.seed,
            within=within,
            what=what,
        )
        name = type(learner).__name__
        own = (
            target if target.ndim == 1 else target[self.fold, np.arange(len(self.fold))]
        )
        shown = within if shown is None else shown
        for k in range(self.plan.folds):
            rows = self.fold == k
            if shown is not None:
                rows &= shown
            if not rows.any():
                continue
            value = loss(own[rows], fitted.values[rows], fitted.baseline[rows], task)
            measure = "log_loss" if task == "classification" else "r2"
            count = int(rows.sum())
            chosen = weights_of(learner, fitted, k)
            self.checks.append(Check(what, name, k + 1, measure, value, count, chosen))
        if fitted.unsettled:
            self.notes.append(
                f"the learner of {what} stopped before it converged in some fits"
            )
        if self.classes is not None:
            self.carried[what] = first_order(fitted.values, self.classes)
        return fitted.values

    def propensity(self, column: Column, learner: Learner) -> Floats:
        """Predicted probability (n,) that a 0/1 column is 1, before trimming."""
        arms(column.values, f"'{column.term}'", self.fold)
        what = f"'{column.term}'"
        return self.predict(column.values, learner, "classification", what)

    def by_arm(self, target: Floats, arm: Column, what: str) -> tuple[Floats, Floats]:
        """Predictions of the outcome had every row been in arm 0, in arm 1."""
        zero, one = (
            self.predict(
                target,
                self.plan.outcome,
                "regression",
                f"{what} where '{arm.term}' is {a}",
                within=arm.values == a,
            )
            for a in (0, 1)
        )
        return zero, one

    def solve(self, score: Score) -> Solved:
        """Root of the score, influence by cluster."""
        return solve(score, self.fold, self.sample.cluster)

    def residual(self, column: Column, learner: Learner) -> Floats:
        """Column minus its prediction; with unit means, minus what they add (Mundlak).

        Under correlated random effects E[d | X, mean X, mean d] is taken as
        m(X, mean X) + mean d - mean of m (Clarke and Polselli 2025).
        """
        m = self.predict(column.values, learner, "regression", f"'{column.term}'")
        if column.means is not None:
            unit = self.sample.unit
            assert unit is not None  # noqa: S101 - means are of units
            average = np.bincount(unit, m) / np.bincount(unit)
            m = m + column.means - average[unit]
        left = column.values - m
        share = float(np.mean(left**2) / np.var(column.values))
        if share < LEFT:
            raise _predicted(column, share, self.sample)
        return left


def repetition(
    sample: Sample,
    plan: Plan,
    number: int,
    fold: Codes | None = None,
    classes: Codes | None = None,
) -> Repetition:
    """One split: folds, nuisances, score, solution.

    Args:
        number: of the repetition; folds and learners are drawn from it and the seed.
        fold: (n,) folds in place of the drawn ones.
        classes: (n, p) of the features, to tell which carry the nuisances.

    Raises:
        IdentificationError: M02, M04.
        NumericalError: N02.
    """
    if fold is None:
        fold = sample.folds(plan.folds, plan.seed, number)
    split = Splitting(sample, plan, number, fold, classes=classes)
    kinds: Mapping[str, Callable[[Splitting], Repetition]] = {
        "plr": _partially_linear,
        "pliv": _partially_linear_iv,
        "irm": _interactive,
        "iivm": _interactive_iv,
        "ssm": _selected,
        "qte": _quantiles,
    }
    return replace(kinds[sample.kind](split), carried=split.carried)


def _share(residual: Floats, column: Column) -> float:
    return float(np.mean(residual**2) / np.var(column.values))


def _predicted(column: Column, share: float, sample: Sample) -> IdentificationError:
    return nothing_left(
        column.term, share, sample.features, sample.controls, "out of fold"
    )


def _unpredicted(p: Floats, arm: Column, sample: Sample) -> float:
    """Share of a 0/1 column's variance that its propensity leaves.

    Raises:
        IdentificationError: M02 nothing is left.
    """
    share = _share(arm.values - p, arm)
    if share < LEFT:
        raise _predicted(arm, share, sample)
    return share


def _partially_linear(split: Splitting) -> Repetition:
    """Y = theta D + g(X) + error (Robinson 1988)."""
    sample, plan = split.sample, split.plan
    y = sample.outcome
    what = f"'{sample.outcome_term}'"
    u = y - split.predict(y, plan.outcome, "regression", what)
    V = np.column_stack([split.residual(c, plan.treatment) for c in sample.treatments])
    score = partialling_out(u, V)
    solved = split.solve(score)
    after = u - V @ solved.theta
    if plan.score == "iv_type":
        d, v = sample.d, V[:, 0]
        # doubleml's preliminary estimate: the score's plain mean.
        start = float(np.mean(v * u) / np.mean(v * v))
        net = f"{what} without the treatment's part"
        g = split.predict(y - start * d, plan.outcome, "regression", net)
        solved = split.solve(iv_type(y, d, g, v))
        after = y - g - solved.theta[0] * d
    left = {c.term: _share(V[:, j], c) for j, c in enumerate(sample.treatments)}
    every = {"coefficient": solved}
    if plan.by_group:
        # Residual on residual inside each group (Semenova and Chernozhukov 2021).
        G = sample.groups()[1]
        every["by_group"] = split.solve(partialling_out(u, V[:, :1] * G))
    return Repetition(
        solved=every,
        checks=tuple(split.checks),
        left=left,
        residual=V[:, 0],
        sigma2={"coefficient": float(np.mean(after**2))},
        nu2={"coefficient": 1.0 / float(np.mean(_alone(V) ** 2))},
        notes=tuple(split.notes),
    )


def _alone(V: Floats) -> Floats:
    """The first residual treatment off the others."""
    if V.shape[1] == 1:
        return V[:, 0]
    others = V[:, 1:]
    return np.asarray(
        V[:, 0] - others @ np.linalg.lstsq(others, V[:, 0], rcond=None)[0]
    )


def _partially_linear_iv(split: Splitting) -> Repetition:
    """Y = theta D + g(X) + error, with instruments that X does not make exogenous."""
    sample, plan = split.sample, split.plan
    y = sample.outcome
    u = y - split.predict(y, plan.outcome, "regression", f"'{sample.outcome_term}'")
    w = split.residual(sample.treatments[0], plan.treatment)
    Z = np.column_stack(
        [split.residual(c, plan.instrument) for c in sample.instruments]
    )
    tilde = Z
    if Z.shape[1] > 1:
        # Two-stage least squares on the residuals, with a constant as doubleml's.
        A = np.column_stack([np.ones(len(Z)), Z])
        tilde = (A @ np.linalg.lstsq(A, w, rcond=None)[0])[:, None]
    _relevant(tilde[:, 0], w, sample)
    solved = split.solve(partialling_out(u, w[:, None], tilde))
    stage = split.solve(partialling_out(w, Z))
    left = {sample.treatments[0].term: _share(w, sample.treatments[0])}
    left |= {c.term: _share(Z[:, j], c) for j, c in enumerate(sample.instruments)}
    return Repetition(
        solved={"coefficient": solved},
        checks=tuple(split.checks),
        left=left,
        residual=w,
        first_stage=_wald(stage),
        notes=tuple(split.notes),
    )


def _wald(stage: Solved) -> float | None:
    """F statistic that all coefficients are zero; None where they are certain."""
    V, pi = stage.covariance, stage.theta
    scale = float(np.max(np.abs(np.outer(pi, pi))))
    if np.linalg.matrix_rank(V, tol=scale * ROUNDING**2) < len(pi):
        return None
    return float(pi @ np.linalg.solve(V, pi)) / len(pi)


def _relevant(z: Floats, w: Floats, sample: Sample) -> None:
    """An instrument that moves nothing gives no estimate."""
    size = float(np.sqrt(np.mean(z**2) * np.mean(w**2)))
    if abs(float(np.mean(z * w))) <= ROUNDING * size:
        raise IdentificationError(
            "I02",
            f"'{sample.instruments[0].term}' moves '{sample.treatments[0].term}' in no "
            "row, given the controls",
            fix="another instrument",
        )


def _trimmed(split: Splitting, p: Floats, d: Floats) -> Floats:
    trimmed = np.clip(p, split.plan.trimming, 1 - split.plan.trimming)
    return normalised(trimmed, d) if split.plan.normalise else trimmed


def _interactive(split: Splitting) -> Repetition:
    """Y = g(D, X) + error: average effects, on all and on the treated."""
    sample = split.sample
    y, arm = sample.outcome, sample.treatments[0]
    d = arm.values
    raw = split.propensity(arm, split.plan.treatment)
    g0, g1 = split.by_arm(y, arm, f"'{sample.outcome_term}'")
    p = _trimmed(split, raw, d)
    one = np.ones_like(d)
    share = float(d.mean())
    weights = {"ate": (one, one), "att": (d / share, p / share)}
    signals = {
        "ate": (augmented(y, d, g0, g1, p), one),
        "att": (augmented_treated(y, d, g0, g1, p), d),
    }
    sigma2 = float(np.mean((y - d * g1 - (1 - d) * g0) ** 2))
    nu2 = {}
    for estimand, (w, bar) in weights.items():
        m_alpha = w * bar * (1 / p + 1 / (1 - p))
        riesz = bar * (d / p - (1 - d) / (1 - p))
        nu2[estimand] = float(np.mean(2 * m_alpha - riesz**2))
    solved = {
        estimand: split.solve(Score(slope[:, None, None], level[:, None]))
        for estimand, (level, slope) in signals.items()
    }
    signal = signals["ate"][0]
    if split.plan.by_group:
        G = sample.groups()[1]
        solved["by_group"] = split.solve(_projection(signal, G))
    elif sample.products:
        M = np.column_stack([one, sample.moderators])
        solved["interaction"] = split.solve(_projection(signal, M))
    return Repetition(
        solved=solved,
        checks=tuple(split.checks),
        left={arm.term: _unpredicted(raw, arm, sample)},
        propensity=raw,
        sigma2=dict.fromkeys(signals, sigma2),
        nu2=nu2,
        notes=tuple(split.notes),
    )


def _projection(signal: Floats, M: Floats) -> Score:
    """Best linear predictor of the signal by columns (n, q) of the moderator."""
    return Score(M[:, :, None] * M[:, None, :], M * signal[:, None])


def _interactive_iv(split: Splitting) -> Repetition:
    """Local average effect of a 0/1 treatment on those a 0/1 instrument moves."""
    sample, plan = split.sample, split.plan
    y, arm = sample.outcome, sample.instruments[0]
    d, z = sample.d, arm.values
    raw = split.propensity(arm, plan.instrument)
    g0, g1 = split.by_arm(y, arm, f"'{sample.outcome_term}'")
    r0, r1 = taken_up(split, arm)
    p = _trimmed(split, raw, z)
    level = augmented(y, z, g0, g1, p)
    slope = augmented(d, z, r0, r1, p)
    solved = split.solve(Score(slope[:, None, None], level[:, None]))
    # The first stage: the instrument's average effect on take-up.
    one = np.ones((len(z), 1, 1))
    stage = split.solve(Score(one, slope[:, None]))
    moved = float(stage.theta[0])
    if abs(moved) <= ROUNDING:
        raise IdentificationError(
            "I02",
            f"'{arm.term}' moves '{sample.treatments[0].term}' on average nowhere: "
            "there are no compliers",
            fix="another instrument",
        )
    return Repetition(
        solved={"late": solved},
        checks=tuple(split.checks),
        left={arm.term: _unpredicted(raw, arm, sample)},
        propensity=raw,
        first_stage=_wald(stage),
        notes=(*split.notes, f"share of compliers {moved:.3f}")
        if split.number == 0
        else tuple(split.notes),
    )


def _selected(split: Splitting) -> Repetition:
    """Average effect where outcomes are seen at random given treatment and controls."""
    sample, plan = split.sample, split.plan
    y, arm, seen = sample.outcome, sample.treatments[0], sample.seen
    d, term = arm.values, f"'{sample.outcome_term}'"
    raw = split.propensity(arm, plan.treatment)
    both = replace(
        sample,
        X=np.column_stack([sample.X, d]),
        features=(*sample.features, arm.term),
    )
    wide = Splitting(both, plan, split.number, split.fold, split.checks, split.notes)
    what = f"whether {term} is seen"
    arms(seen, what, split.fold)
    pi = wide.predict(seen, plan.treatment, "classification", what)
    g = []
    for a in (0, 1):
        within = (d == a) & (seen == 1)
        said = f"{term} where '{arm.term}' is {a} and it is seen"
        _enough(split.fold, within, said)
        g.append(split.predict(y, plan.outcome, "regression", said, within))
    p, t = np.clip(raw, plan.trimming, 1 - plan.trimming), plan.trimming
    rare = float(np.mean(pi < t))
    if rare:
        split.notes.append(
            f"{rare:.2%} of the probabilities of being seen are raised to {t:g}"
        )
    signal = observed_means(
        y, d, seen, g[0], g[1], p, np.maximum(pi, t), normalise=plan.normalise
    )
    one = np.ones((len(d), 1, 1))
    return Repetition(
        solved={"ate": split.solve(Score(one, signal[:, None]))},
        checks=tuple(split.checks),
        left={arm.term: _unpredicted(raw, arm, sample)},
        propensity=raw,
        notes=tuple(split.notes),
    )


def _enough(fold: Codes, within: Flags, what: str) -> None:
    """M04: rows to learn from in every training sample."""
    for k in range(int(fold.max()) + 1):
        count = int(np.count_nonzero(within & (fold != k)))
        if count < ROWS_OF_AN_ARM:
            raise IdentificationError(
                "M04",
                f"{count} rows of {what} where fold {k + 1} is left out; "
                f"{ROWS_OF_AN_ARM} are the fewest to learn from",
                fix="fewer folds, or a sample with both arms",
            )


def _quantiles(split: Splitting) -> Repetition:
    from estimators._double.quantiles import quantile_effects  # which imports this

    return quantile_effects(split)


def taken_up(split: Splitting, arm: Column) -> tuple[Floats, Floats]:
    """Predicted take-up with the instrument off, on; certain where nobody differs."""
    sample, plan = split.sample, split.plan
    treatment = sample.treatments[0]
    found: list[Floats] = []
    for a in (0, 1):
        within = arm.values == a
        taken = treatment.values[within]
        if not np.ptp(taken):
            found.append(np.full(sample.n, float(taken[0])))
            continue
        what = f"'{treatment.term}' where '{arm.term}' is {a}"
        arms(treatment.values, what, split.fold, within)
        found.append(
            split.predict(
                treatment.values, plan.treatment, "classification", what, within
            )
        )
    return found[0], found[1]


def clipped(plan: Plan, found: Sequence[Repetition]) -> float:
    """Share of rows whose propensity is trimmed, mean over repetitions."""
    t = plan.trimming
    shares = [
        np.mean((r.propensity < t) | (r.propensity > 1 - t))
        for r in found
        if r.propensity is not None
    ]
    return float(np.mean(shares)) if shares else 0.0
