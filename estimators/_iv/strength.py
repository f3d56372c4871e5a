"""How strong the instruments are, and inference that does not need them strong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._iv.stages import Stages
from estimators._linear.covariance import covariance, meat
from estimators._linear.jackknife import jackknife_asked, jackknifed
from estimators._linear.options import SmallSample
from estimators._math.instruments import (
    Meat,
    RankTest,
    canonical_correlations,
    effective_f,
    effective_f_critical,
    overidentification,
    rank_test,
    robust_set,
    tf_factor,
)
from estimators._math.projection import Floats
from estimators._math.sandwich import wald
from framework.result import Test

if TYPE_CHECKING:
    from framework.contract import Inference, Request

#: First-stage F below which the usual interval is not to be trusted (Staiger and Stock
#: 1997).
WEAK = 10.0


@dataclass(frozen=True, slots=True)
class FirstStage:
    """F of the instruments (None: singular covariance), p value, partial R2."""

    treatment: str
    f: float | None
    p_value: float | None
    partial_r2: float


@dataclass(frozen=True, slots=True)
class Strength:
    """Statistics that can't be computed are None.

    Attributes:
        first_stage: one per treatment, F with the estimation's own covariance.
        kleibergen_paap_f, cragg_donald_f: as Stata's `ivreg2` and `ivreghdfe`.
        effective_f, critical_effective_f: one treatment only.
        tf_factor: one treatment and one instrument, 95 % intervals only.
        robust_set: Anderson and Rubin's, in the user's units; one treatment only.
        tests: underidentification, overidentification, endogeneity.
    """

    first_stage: tuple[FirstStage, ...]
    cragg_donald_f: float
    kleibergen_paap_f: float | None
    tests: tuple[Test, ...]
    effective_f: float | None = None
    critical_effective_f: float | None = None
    tf_factor: float | None = None
    robust_set: tuple[tuple[float, float], ...] | None = None

    @property
    def weakest(self) -> tuple[float, str]:
        """The smallest F that stands for the instruments, and what it is called."""
        found = [(s.f, f"first-stage F of '{s.treatment}'") for s in self.first_stage]
        found += [
            (self.effective_f, "effective F"),
            (self.kleibergen_paap_f, "Kleibergen-Paap F"),
        ]
        known = [(f, name) for f, name in found if f is not None]
        # With one instrument they are the same number up to rounding: the first.
        return min(
            known,
            key=lambda named: round(named[0], 9),
            default=(self.cragg_donald_f, "Cragg-Donald F"),
        )


def judge(stages: Stages, request: Request, small: SmallSample) -> Strength:
    """Everything there is to say about the instruments of these stages."""
    inference = request.inference
    sums = _sums(stages, inference)
    n = stages.ols.design.n_copies
    rank = rank_test(stages.D, stages.Z, n, sums)
    left = n - _counted(stages, inference)
    cc2 = float(canonical_correlations(stages.D, stages.Z)[-1] ** 2)
    first = tuple(_first_stage(stages, j) for j in range(stages.p))
    factor = _wald_factor(stages, inference, n, left) / stages.q
    found = Strength(
        first_stage=first,
        cragg_donald_f=cc2 / (1.0 - cc2) * left / stages.q,
        kleibergen_paap_f=None if rank.wald is None else rank.wald * factor,
        tests=(
            _underidentification(rank, stages, inference),
            _overidentification(stages, n, sums, inference),
            _endogeneity(stages, inference, small),
        ),
    )
    if stages.p > 1:
        return found
    joint = _covariances(stages, inference, small)
    V, ZZ = joint[2][stages.q :, stages.q :], stages.Z.T @ stages.Z
    usual = bool(np.isclose(request.confidence, 0.95)) and stages.q == 1
    return replace(
        found,
        effective_f=effective_f(joint[1], V, ZZ),
        critical_effective_f=effective_f_critical(V, ZZ),
        tf_factor=tf_factor(first[0].f) if usual and first[0].f else None,
        robust_set=_robust_set(stages, request, joint),
    )


def _sums(stages: Stages, inference: Inference) -> Meat | None:
    """Meat of scores under this inference; None = homoskedastic errors."""
    if inference.name == "iid":
        return None
    design = stages.ols.design
    return lambda scores: meat(design, inference, scores)


def _counted(stages: Stages, inference: Inference) -> int:
    """Parameters of the first stage, counted as `ivreghdfe` does whatever the options.

    Fixed effects that are not nested in a cluster count; if all are, one counts.
    """
    X = np.column_stack([stages.Z, stages.exogenous])
    design = stages.ols.design
    u = stages.D[:, 0]
    return covariance(design, inference, SmallSample(), X, u, stages.absorbed).df_model


def _wald_factor(stages: Stages, inference: Inference, n: float, left: float) -> float:
    design = stages.ols.design
    if inference.name == "driscoll_kraay":  # clusters of periods, as dkraay() has it
        M = len(np.unique(design.periods))
    elif inference.name == "cluster":
        M = min(c.n_levels for c in design.clusters)
    else:
        return left / n
    return left / (n - 1) * (M - 1) / M


def _covariances(
    stages: Stages, inference: Inference, small: SmallSample
) -> tuple[Floats, Floats, Floats]:
    """Reduced form and first stage of the first treatment on the instruments.

    Returns:
        (q,) reduced form, (q,) first stage and their joint (2 q, 2 q) covariance, all
        in scaled columns. The cross block is symmetric: only its symmetric part
        matters to a quadratic form, and it follows from the variance of a difference.
    """
    Z, q = stages.Z, stages.q
    X = np.column_stack([Z, stages.exogenous])
    columns = np.column_stack([stages.y, stages.D[:, 0]])
    both = np.asarray(np.linalg.lstsq(Z, columns, rcond=None)[0], dtype=np.float64)
    u, v = (columns - Z @ both).T

    def of(residuals: Floats) -> Floats:
        design = stages.ols.design
        found = covariance(design, inference, small, X, residuals, stages.absorbed)
        if jackknife_asked(inference):
            found = jackknifed(design, X, residuals, found, range(q))
        return found.V[:q, :q]

    V00, V11 = of(u), of(v)
    cross = (V00 + V11 - of(u - v)) / 2
    return both[:, 0], both[:, 1], np.block([[V00, cross], [cross, V11]])


def _first_stage(stages: Stages, j: int) -> FirstStage:
    from scipy.special import fdtrc

    fit, q = stages.first[j], stages.q
    f, rank = wald(fit.estimate[:q], fit.covariance[:q, :q])
    d, Z = stages.D[:, j], stages.Z
    fitted = Z @ np.linalg.lstsq(Z, d, rcond=None)[0]
    whole = rank == q
    return FirstStage(
        fit.design.outcome_term,
        f if whole else None,
        float(fdtrc(q, fit.df_t, f)) if whole else None,
        float(fitted @ fitted) / float(d @ d),
    )


def _robust_set(
    stages: Stages,
    request: Request,
    joint: tuple[Floats, Floats, Floats],
) -> tuple[tuple[float, float], ...] | None:
    """In the user's units; None where the instruments' covariance is singular."""
    from scipy.special import fdtri

    reduced, first, V = joint
    bound = float(fdtri(stages.q, stages.reduced.df_t, request.confidence))
    unit = stages.scale[0] / stages.scale[1]
    width = float(np.sqrt(stages.main.covariance[0, 0])) / unit
    pieces = robust_set(reduced, first, V, bound, width)
    if pieces is None:
        return None
    return tuple((low * unit, high * unit) for low, high in pieces)


def _underidentification(rank: RankTest, stages: Stages, inference: Inference) -> Test:
    null = "the instruments do not move "
    null += "the treatment" if stages.p == 1 else "the treatments separately"
    if inference.name == "iid":
        null += " (Anderson's LM)"
    if rank.lm is None:
        return Test("kleibergen_paap_lm", null, reason=_singular(stages, inference))
    return _chi2("kleibergen_paap_lm", null, rank.lm, rank.df)


def _overidentification(
    stages: Stages, n: float, sums: Meat | None, inference: Inference
) -> Test:
    name = "sargan" if sums is None else "hansen_j"
    null = "all instruments give the same effect"
    df = stages.q - stages.p
    if not df:
        number = "one instrument" if stages.q == 1 else f"{stages.q} instruments"
        reason = f"just identified: {number} for as many treatments"
        return Test(name, null, reason=reason)
    statistic = overidentification(stages.y, stages.D, stages.Z, n, sums)
    if statistic is None:
        return Test(name, null, reason=_singular(stages, inference))
    return _chi2(name, null, statistic, df)


def _endogeneity(stages: Stages, inference: Inference, small: SmallSample) -> Test:
    """F test of the first-stage residuals in the least-squares regression."""
    from scipy.special import fdtrc

    name, null, p = "wu_hausman", "the treatment is exogenous: OLS is as good", stages.p
    fitted = stages.Z @ np.linalg.lstsq(stages.Z, stages.D, rcond=None)[0]
    X = np.column_stack([stages.D, stages.D - fitted])
    beta = np.asarray(np.linalg.lstsq(X, stages.y, rcond=None)[0], dtype=np.float64)
    u = stages.y - X @ beta
    design, every = stages.ols.design, np.column_stack([X, stages.exogenous])
    found = covariance(design, inference, small, every, u, stages.absorbed)
    if jackknife_asked(inference):
        found = jackknifed(design, every, u, found, range(2 * p))
    at = slice(p, 2 * p)
    f, rank = wald(beta[at], found.V[at, at])
    if rank < p:
        return Test(name, null, reason=_singular(stages, inference))
    p_value = float(fdtrc(p, found.df_t, f))
    return Test(name, null, f, f"{p}, {found.df_t:g}", p_value)


def _chi2(name: str, null: str, statistic: float, df: int) -> Test:
    from scipy.special import chdtrc

    return Test(name, null, statistic, str(df), float(chdtrc(df, statistic)))


def _singular(stages: Stages, inference: Inference) -> str:
    why = f"the covariance of its {stages.p * stages.q} moments is singular"
    if inference.name != "cluster":
        return why
    smallest = min(c.n_levels for c in stages.ols.design.clusters)
    return f"{why}: {smallest} clusters"
