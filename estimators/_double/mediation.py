"""Natural direct and indirect effects: nuisances, signals and report of one sample.

Notation of Farbmacher, Huber, Laffers, Langen and Spindler (2022): p(X) and p(M, X) are
probabilities of treatment, mu(d, M, X) and mu(d, X) mean outcomes, omega(d, X) the mean
of mu(1 - d, M, X) where D = d; Y(d, M(d')) is the outcome under treatment d with the
mediators that treatment d' brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from estimators._double.chosen import said_of_learners
from estimators._double.nuisance import cross_fit_nested, loss, weights_of
from estimators._double.report import POOR_OVERLAP, Wanted, report
from estimators._double.sample import ROWS_OF_AN_ARM, Sample, read
from estimators._double.scores import Check, Plan, Repetition, Splitting
from estimators._double.shared import in_any_order
from estimators._double.transform import Transform
from estimators._math.orthogonal import Score, augmented_means, crossed, median_of
from estimators._math.projection import Codes, Floats
from framework.errors import IdentificationError, SpecError
from framework.result import Result

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request

Held = Literal["untreated", "treated"]
ESTIMANDS = ("indirect", "direct", "total")


@dataclass(frozen=True, slots=True)
class Mediated:
    """One split: its repetition and the shares of p(M, X) that are trimmed."""

    repetition: Repetition
    trimmed: float


def mediation(request: Request, plan: Plan, transform: Transform, held: Held) -> Result:
    """Direct, indirect and total effects, median over splits.

    Args:
        request: the estimation, with mediators.
        plan: learners, folds, repetitions, trimming.
        transform: `none` or `correlated_random_effects`.
        held: mediators under which the direct effect is taken.

    Raises:
        DataError: D05, D06.
        SpecError: X20, X23.
        IdentificationError: I01, I02, I05, I08, I10, M01 to M04.
        NumericalError: N02.
    """
    sample = read(request, "irm", transform, plan.folds)
    if not sample.mediators.shape[1] or not np.ptp(sample.mediators, axis=0).all():
        raise SpecError(
            "X20",
            "dml_mediation needs mediators that vary in the sample",
            fix="mediators: [...]",
            path="model.mediators",
        )
    _own_columns(request)
    found = in_any_order(
        [partial(_split, sample, plan, r, held) for r in range(plan.repetitions)]
    )
    trimmed = float(np.mean([m.trimmed for m in found]))
    _overlap_or_refuse(trimmed, plan, request)
    asked = request.estimand or ESTIMANDS
    repetitions = [m.repetition for m in found]
    wanted = Wanted(figures=frozenset({"overlap"}))
    result = report(sample, plan, repetitions, request, asked, wanted)
    middle = {e: median_of([r.solved[e] for r in repetitions], 0)[0] for e in ESTIMANDS}
    scalars = dict(result.scalars) | {"share_trimmed_mediators": trimmed}
    if middle["total"]:
        scalars["mediated_share"] = middle["indirect"] / middle["total"]
    return replace(
        result,
        scalars=scalars,
        frames={**result.frames, "decompositions": _decompositions(repetitions)},
        notes=(
            said_of_learners({"outcome": plan.outcome, "treatment": plan.treatment}),
            *result.notes,
            *_said(sample, held, len(found), trimmed, plan),
        ),
    )


def _own_columns(request: Request) -> None:
    """X23 for a mediator that is a control, too: nothing would go through it."""
    both = sorted(
        str(request.labels.get(c, c))
        for c in set(request.mediators) & set(request.controls)
    )
    if both:
        listed = ", ".join(f"'{c}'" for c in both)
        raise SpecError(
            "X23",
            f"{listed} stand among mediators and controls",
            why="Held fixed as a control, a mediator carries no effect.",
            fix="remove: {controls: [...]} on this line",
            path="model.mediators",
        )


def _overlap_or_refuse(trimmed: float, plan: Plan, request: Request) -> None:
    if trimmed > POOR_OVERLAP and "poor_overlap" not in request.acknowledge:
        raise IdentificationError(
            "M04",
            f"given the mediators, {trimmed:.0%} of the rows have a probability of "
            f"treatment below {plan.trimming:g} or above {1 - plan.trimming:g}",
            why="The mediators tell who is treated: nobody untreated has the mediators "
            "that treatment brings.",
            fix="fewer mediators, or a sample in which both arms have them",
            acknowledge="poor_overlap",
        )


def _halves(sample: Sample, fold: Codes) -> None:
    """M04: both arms in both halves of what is learned from."""
    d, K = sample.d, int(fold.max()) + 1
    for k in range(K):
        first = (fold != k) & ((fold - k) % K <= K // 2)
        for half in (first, (fold != k) & ~first):
            count = min(int(np.sum(d[half] == a)) for a in (0, 1))
            if count < ROWS_OF_AN_ARM:
                raise IdentificationError(
                    "M04",
                    f"{count} rows of one arm in half of the training rows; "
                    f"{ROWS_OF_AN_ARM} are the fewest to learn from",
                    fix="more folds, or a sample with both",
                )


def _split(sample: Sample, plan: Plan, number: int, held: Held) -> Mediated:
    """All nuisances, signals and effects under one split."""
    fold = sample.folds(plan.folds, plan.seed, number)
    _halves(sample, fold)
    split = Splitting(sample, plan, number, fold)
    both = replace(sample, X=np.column_stack([sample.X, sample.mediators]))
    wide = Splitting(both, plan, number, fold, split.checks, split.notes)
    arm = sample.treatments[0]
    d, y, term = arm.values, sample.outcome, f"'{sample.outcome_term}'"
    raw = split.propensity(arm, plan.treatment)
    given = wide.predict(
        d, plan.treatment, "classification", f"'{arm.term}' given the mediators"
    )
    t = plan.trimming
    p, q = np.clip(raw, t, 1 - t), np.clip(given, t, 1 - t)
    g0, g1 = split.by_arm(y, arm, term)
    (mu0, omega0), (mu1, omega1) = (_nested(split, y, d, a, term) for a in (0, 1))
    normalise = plan.normalise
    y00, y11 = augmented_means(y, d, g0, g1, p, normalise=normalise)
    y10 = crossed(y, d, mu1, omega1, p, q, normalise=normalise)
    y01 = crossed(y, 1 - d, mu0, omega0, 1 - p, 1 - q, normalise=normalise)
    signals = {
        ("direct", "untreated"): y10 - y00,
        ("indirect", "untreated"): y11 - y10,
        ("direct", "treated"): y11 - y01,
        ("indirect", "treated"): y01 - y00,
        ("total", ""): y11 - y00,
    }
    one = np.ones((sample.n, 1, 1))
    solved = {
        f"{estimand} {at}".strip(): split.solve(Score(one, signal[:, None]))
        for (estimand, at), signal in signals.items()
    }
    solved |= {e: solved[f"{e} {held}"] for e in ("direct", "indirect")}
    return Mediated(
        Repetition(
            solved=solved,
            checks=tuple(split.checks),
            left={},
            propensity=raw,
            notes=tuple(split.notes),
        ),
        float(np.mean((given < t) | (given > 1 - t))),
    )


def _nested(
    split: Splitting, y: Floats, d: Floats, of: int, term: str
) -> tuple[Floats, Floats]:
    """mu(of, M, X) and omega(1 - of, X), out of fold; their losses go to the checks."""
    learner = split.plan.outcome
    sample = split.sample
    what = f"{term} given the mediators where treatment is {of}"
    inner, mean = cross_fit_nested(
        y,
        sample.X,
        sample.mediators,
        split.fold,
        d,
        of,
        learner,
        split.seed,
        what=what,
    )
    name = type(learner).__name__
    for k in range(split.plan.folds):
        for fitted, rows, target, said in (
            (inner, (split.fold == k) & (d == of), y, what),
            (mean, (split.fold == k) & (d != of), inner.values, f"the mean of {what}"),
        ):
            if not rows.any():
                continue
            value = loss(
                target[rows], fitted.values[rows], fitted.baseline[rows], "regression"
            )
            chosen = weights_of(learner, fitted, k)
            split.checks.append(
                Check(said, name, k + 1, "r2", value, int(rows.sum()), chosen)
            )
    if inner.unsettled or mean.unsettled:
        split.notes.append(
            f"the learner of {what} stopped before it converged in some fits"
        )
    return inner.values, mean.values


def _decompositions(found: Sequence[Repetition]) -> pd.DataFrame:
    """Both ways to split the total: mediators held without, and with, treatment."""
    import pandas as pd

    made = []
    for key in found[0].solved:
        estimand, _, at = key.partition(" ")
        if at or estimand == "total":
            estimate, error, _ = median_of([r.solved[key] for r in found], 0)
            made.append((estimand, at, estimate, error))
    return pd.DataFrame(
        made, columns=["estimand", "direct_at", "estimate", "std_error"]
    )


def _said(
    sample: Sample, held: Held, splits: int, trimmed: float, plan: Plan
) -> list[str]:
    mediators = ", ".join(f"'{m}'" for m in sample.mediator_terms)
    other = "treated" if held == "untreated" else "untreated"
    which = f"mediators {mediators}; direct effect with the mediators of the {held}, "
    which += f"indirect effect of the {other} (frame decompositions has both ways)"
    assumed = "causal where nothing unseen confounds treatment, mediators or outcome, "
    assumed += "and treatment moves no confounder of mediators and outcome"
    notes = [which, assumed]
    if splits > 1:
        notes.append(
            "direct and indirect add up to the total in every split; medians over "
            "splits may differ in their last digits"
        )
    if trimmed:
        inside = f"[{plan.trimming:g}, {1 - plan.trimming:g}]"
        notes.append(
            f"{trimmed:.2%} of the probabilities given the mediators are trimmed into "
            f"{inside}"
        )
    return notes
