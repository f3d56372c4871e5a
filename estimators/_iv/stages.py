"""The regressions behind two-stage least squares, on one sample and one set of columns.

OLS, the first stages and the reduced form are fits of the linear engine; the second
stage is solved here on the same demeaned columns, with the engine's covariance, so
small-sample factors and influence functions are those of `twfe` and `ols`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.across import crossing
from estimators._linear.covariance import Covariance, covariance
from estimators._linear.design import (
    Design,
    Regressor,
    build,
    control_regressors,
    label,
    treatment_regressors,
)
from estimators._linear.engine import (
    Columns,
    Fit,
    Solved,
    fit,
    in_users_units,
    prepare,
)
from estimators._linear.identification import EXACT, NEARLY
from estimators._linear.jackknife import jackknife_asked, lost_without, with_shifts
from estimators._math.instruments import canonical_correlations, two_stage
from estimators._math.left_out_instruments import left_out
from estimators._math.projection import Floats, residual_ratio
from framework.errors import (
    EstimandError,
    IdentificationError,
    NumericalError,
    Problem,
)

if TYPE_CHECKING:
    from estimators._linear.options import SmallSample
    from framework.contract import Request


@dataclass(frozen=True, slots=True)
class Stages:
    """All fits, and the columns that the tests are computed from.

    Attributes:
        main: the second stage; treatments first, then controls.
        ols: the same regression by least squares.
        first: one fit per treatment, instruments first.
        reduced: the outcome on instruments and controls.
        y, D, Z: (n,), (n, p), (n, q) scaled columns, exogenous ones and fixed effects
            partialled out, times the root of the weights.
        regressors: (n, k) treatments, controls and constant before partialling out,
            weighted; `exogenous` (n, k - p) the last of them; `raw_y` (n,) likewise.
        scale: (p + 1,) divisors of outcome and treatments.
        absorbed: rank of slopes that were projected out.
    """

    main: Fit
    ols: Fit
    first: tuple[Fit, ...]
    reduced: Fit
    y: Floats
    D: Floats
    Z: Floats
    regressors: Floats
    exogenous: Floats
    raw_y: Floats
    scale: Floats
    absorbed: int

    @property
    def p(self) -> int:
        return int(self.D.shape[1])

    @property
    def q(self) -> int:
        return int(self.Z.shape[1])


def estimate_stages(
    request: Request, small_sample: SmallSample, min_clusters: int
) -> Stages:
    """Fit everything.

    Raises:
        DataError: D03, D05, D06, D08.
        IdentificationError: I01 to I05, I08, I09 as in `ols`; V02 an instrument is the
            treatment, V03 an instrument is absorbed or repeats other columns, V04
            fewer instruments than treatments, or they do not move them separately.
        NumericalError: N01 to N04.
    """
    treatments = [
        replace(r, estimand="late", wanted=True) for r in treatment_regressors(request)
    ]
    instruments = [
        Regressor(
            request.frame[c].to_numpy(dtype=np.float64), label(request, c), wanted=True
        )
        for c in dict.fromkeys(request.instruments)
    ]
    p, q = len(treatments), len(instruments)
    if q < p:
        raise _too_few(treatments, instruments)
    whole = build(
        request,
        [
            *treatments,
            # A constant one is refused below, in the words of an instrument.
            *(replace(z, wanted=False) for z in instruments),
            *control_regressors(request),
        ],
        min_clusters=min_clusters,
    )
    D, Z, X = _parts(whole.regressors, p, q)

    def on(outcome: Regressor | None, regressors: Sequence[Regressor]) -> Fit:
        design = replace(ols_design, regressors=tuple(regressors))
        if outcome is not None:
            design = replace(design, outcome=outcome.values, outcome_term=outcome.term)
        return fit(design, request.inference, small_sample)

    ols = fit(replace(whole, regressors=(*D, *X)), request.inference, small_sample)
    ols_design, X = ols.design, ols.design.regressors[p:]
    columns = prepare(replace(ols_design, regressors=(*D, *Z, *X)))
    parts = _partialled(ols_design, columns, p, q)
    _refuse(ols_design, D, Z, columns, parts)
    Z = tuple(replace(z, wanted=True) for z in Z)
    return Stages(
        main=_second_stage(request, ols, columns, parts, small_sample, q),
        ols=ols,
        first=tuple(on(d, [*Z, *X]) for d in D),
        reduced=on(None, [*Z, *X]),
        y=parts.y,
        D=parts.D,
        Z=parts.Z,
        regressors=parts.regressors,
        exogenous=parts.regressors[:, p:],
        raw_y=parts.raw_y,
        scale=columns.scale[: p + 1],
        absorbed=columns.absorbed,
    )


def _parts(
    regressors: Sequence[Regressor], p: int, q: int
) -> tuple[tuple[Regressor, ...], tuple[Regressor, ...], tuple[Regressor, ...]]:
    every = tuple(regressors)
    return every[:p], every[p : p + q], every[p + q :]


@dataclass(frozen=True, slots=True)
class _Partialled:
    """As in `Stages`; `left` (q,) is the share of each instrument that is left."""

    y: Floats
    D: Floats
    Z: Floats
    left: Floats
    regressors: Floats
    raw_y: Floats


def _partialled(design: Design, columns: Columns, p: int, q: int) -> _Partialled:
    root = np.sqrt(design.scaled_weights())
    X = columns.X * root[:, None]
    y = columns.y * root
    E = X[:, p + q :]
    if design.has_constant:
        E = np.column_stack([E, root])
    M = np.column_stack([y, X[:, : p + q]])
    before = np.linalg.norm(M, axis=0)
    Q = np.linalg.qr(E)[0]
    for _ in range(2):  # twice is enough (Parlett): orthogonal to rounding
        M = M - Q @ (Q.T @ M)
    left = np.linalg.norm(M, axis=0) / np.maximum(before, 1e-300)
    return _Partialled(
        y=M[:, 0],
        D=M[:, 1 : 1 + p],
        Z=M[:, 1 + p :],
        left=left[1 + p :],
        regressors=np.column_stack([X[:, :p], E]),
        raw_y=y,
    )


def _refuse(
    design: Design,
    D: Sequence[Regressor],
    Z: Sequence[Regressor],
    columns: Columns,
    parts: _Partialled,
) -> None:
    """Instruments that can't identify anything, all at once."""
    problems: list[Problem] = []
    for j, z in enumerate(Z):
        if columns.vanished[len(D) + j]:
            problems += _absorbed(design, z).problems
        elif parts.left[j] < EXACT:
            problems += _unfit(z, "is a linear combination of the controls").problems
    if problems:
        raise EstimandError(problems)
    unit = parts.Z / np.linalg.norm(parts.Z, axis=0)
    for j, d in enumerate(D):
        ratio, b = residual_ratio(parts.D[:, j] / np.linalg.norm(parts.D[:, j]), unit)
        if ratio < NEARLY:
            by = [z.name for z, size in zip(Z, b, strict=True) if abs(size) > EXACT]
            problems += _is_the_treatment(d, by).problems
    for j in range(1, len(Z)):
        if residual_ratio(unit[:, j], unit[:, :j])[0] < EXACT:
            others = "is a linear combination of other instruments and the controls"
            problems += _unfit(Z[j], others).problems
    if problems:
        raise EstimandError(problems)
    if canonical_correlations(parts.D, parts.Z)[-1] < EXACT:
        what = (
            f"the instruments do not move '{D[0].name}' at all"
            if len(D) == 1
            else "the instruments do not move the treatments separately"
        )
        raise IdentificationError(
            "V04",
            f"{what}: the rank of the first stage is too low",
            why="Two-stage least squares divides by what they move.",
            fix="other instruments, or fewer treatments",
        )


def _second_stage(
    request: Request,
    ols: Fit,
    columns: Columns,
    parts: _Partialled,
    small_sample: SmallSample,
    q: int,
) -> Fit:
    design, p = ols.design, parts.D.shape[1]
    solved = two_stage(parts.y, parts.D, parts.Z)
    X = parts.regressors.copy()
    # The fitted treatment: what the first stage leaves is taken off.
    X[:, :p] -= parts.D - solved.fitted
    M = np.linalg.inv(X.T @ X)
    y = parts.raw_y
    beta = M @ (X.T @ y)
    beta += M @ (X.T @ (y - parts.regressors @ beta))
    beta += M @ (X.T @ (y - parts.regressors @ beta))
    u = y - parts.regressors @ beta
    found = covariance(design, request.inference, small_sample, X, u, columns.absorbed)
    if jackknife_asked(request.inference):
        found = _jackknifed(design, parts, u, found)
    variance = np.diag(found.V)
    if not (np.all(np.isfinite(beta)) and np.all(variance > 0)):
        raise NumericalError(
            "N01",
            "an estimate is not finite or a variance not positive",
            why="A two-way covariance V1 + V2 - V12 can turn negative.",
            fix="cluster by one dimension, or check the columns' values",
        )
    keep = np.r_[0, 1 : 1 + p, 1 + p + q : len(columns.scale)]
    own = replace(
        columns,
        X=columns.X[:, keep[1:] - 1],
        scale=columns.scale[keep],
        centre=columns.centre[keep],
        spread=columns.spread[keep],
        vanished=columns.vanished[keep[1:] - 1],
    )
    fitted = Solved(
        beta=beta,
        X=X,
        y=y,
        u=u,
        beta_engine=beta,
        V_engine=found.V,
        df_k=found.df_engine,
    )
    main = in_users_units(design, own, fitted, found)
    # The share of the treatment itself, not of its fitted values.
    return replace(main, residual_share=ols.residual_share)


def _jackknifed(
    design: Design, parts: _Partialled, u: Floats, found: Covariance
) -> Covariance:
    """`found` with the covariance of two-stage least squares without each cluster.

    Raises:
        IdentificationError: I05 without some cluster the instruments move nothing.
        NumericalError: N04 too many levels across clusters.
    """
    (cluster,) = design.clusters
    p = parts.D.shape[1]
    D, E = parts.regressors[:, :p], parts.regressors[:, p:]
    left = left_out(
        u,
        parts.D,
        parts.Z,
        E,
        crossing(design, cluster),
        cluster.codes,
        cluster.n_levels,
    )
    if not left.identified.all():
        raise lost_without(
            design,
            [int(g) for g in np.flatnonzero(~left.identified)],
            "the instruments move nothing of the treatment",
            "what they move rests on one",
        )
    shift = left.shift
    # The columns of `parts.D` are what the exogenous ones leave of the treatments.
    shift[:, p:] -= shift[:, :p] @ np.linalg.lstsq(E, D, rcond=None)[0].T
    return with_shifts(found, shift)


def _too_few(
    treatments: Sequence[Regressor], instruments: Sequence[Regressor]
) -> IdentificationError:
    return IdentificationError(
        "V04",
        f"{len(instruments)} instruments for {len(treatments)} treatments "
        f"({_listed(treatments)})",
        why="Every treatment needs an instrument of its own.",
        fix="instruments: as many columns as treatments or more; an exogenous "
        "treatment belongs to the controls",
    )


def _is_the_treatment(d: Regressor, by: Sequence[str]) -> IdentificationError:
    named = ", ".join(f"'{name}'" for name in by)
    return IdentificationError(
        "V02",
        f"the instruments ({named}) reproduce the treatment '{d.name}'",
        why="The first stage fits it without error, so two-stage least squares is "
        "ordinary least squares under another name.",
        fix="an instrument that is not made from the treatment, or estimator: ols",
    )


def _absorbed(design: Design, z: Regressor) -> IdentificationError:
    if np.ptp(z.values) <= EXACT * float(np.max(np.abs(z.values))):
        return _unfit(z, "is constant in the sample")
    names = [f"'{f.term}'" for f in design.fixed_effects]
    names += [f"the slopes {s}" for s in design.slope_terms]
    return _unfit(z, f"is absorbed by the fixed effects of {' and '.join(names)}")


def _unfit(z: Regressor, what: str) -> IdentificationError:
    return IdentificationError(
        "V03",
        f"instrument '{z.name}' {what}",
        why="Nothing of it is left that could move the treatment.",
        fix="take it out of the instruments, or use one that varies beside them",
    )


def _listed(regressors: Sequence[Regressor]) -> str:
    return ", ".join(f"'{r.name}'" for r in regressors)
