"""A spatial panel model, estimated: scaled data, maximum, covariance, impacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from estimators._math.spatial_inference import (
    Multipliers,
    clustered_middle,
    covariance,
    hetero_middle,
    multipliers,
    recoloured,
    row_scores,
    sandwich,
)
from estimators._math.spatial_iv import NoInstrumentError, two_stage
from estimators._math.spatial_ml import (
    Correction,
    Fit,
    Floats,
    Lag,
    NoMaximumError,
    Problem,
    implicit_at,
    lagged,
    maximise,
    without_effects,
)
from estimators._math.spatial_operator import Implicit
from estimators._spatial.panel import EXACT, Arrays
from framework.errors import IdentificationError, NumericalError, counted

#: What standard errors allow for.
Errors = Literal["iid", "hetero", "cluster"]

#: Units beyond which dense N x N matrices (0.8 GB each) are refused.
MOST_UNITS = 10_000


@dataclass(frozen=True, slots=True)
class Lags:
    """Which lags a model has, each with its matrix."""

    outcome: Lag | None = None
    covariates: Lag | None = None
    errors: Lag | None = None

    @property
    def words(self) -> str:
        """The model's usual name."""
        key = (bool(self.outcome), bool(self.covariates), bool(self.errors))
        return _NAMES[key]


_NAMES = {
    (False, False, False): "linear model without spatial lags",
    (True, False, False): "spatial autoregressive model (SAR)",
    (False, False, True): "spatial error model (SEM)",
    (False, True, False): "spatial lag of X model (SLX)",
    (True, True, False): "spatial Durbin model (SDM)",
    (False, True, True): "spatial Durbin error model (SDEM)",
    (True, False, True): "spatial autoregressive combined model (SAC)",
    (True, True, True): "general nesting spatial model",
}


@dataclass(frozen=True, slots=True)
class Instruments:
    """F of the excluded instruments; overidentification statistic with its df."""

    first_stage: float
    overidentified: tuple[float, int] | None
    errors: Errors


@dataclass(frozen=True, slots=True)
class Estimated:
    """A model at its maximum, in units of the data.

    Attributes:
        arrays, lags: what was estimated.
        b: (k,) coefficients of X, then of W2 X where these are lagged.
        V: (k + 3, k + 3) covariance of b, rho, lambda, sigma2; 0 where absent.
        psi: influence functions (rows or clusters, k + 3), or None.
        e: (N, T) residuals.
        multipliers: of the impacts.
        instruments: how good they are, by two-stage least squares.
        trace_error: relative standard error of tr(GG + G'G) where probes estimate it.
    """

    arrays: Arrays
    lags: Lags
    b: Floats
    rho: float
    lam: float
    sigma2: float
    log_likelihood: float
    V: Floats
    psi: Floats | None
    e: Floats
    multipliers: Multipliers
    trace_error: float = 0.0
    instruments: Instruments | None = None

    @property
    def parameters(self) -> int:
        """Parameters beside the fixed effects."""
        return len(self.b) + bool(self.lags.outcome) + bool(self.lags.errors) + 1

    @property
    def constant(self) -> bool:
        """Without fixed effects the last coefficient is the constant's."""
        return not (self.arrays.unit or self.arrays.time)


def estimated(
    arrays: Arrays, lags: Lags, correction: Correction, *, errors: Errors = "iid"
) -> Estimated:
    """Estimate.

    Args:
        arrays: the balanced panel.
        lags: the model.
        correction: for the fixed effects.
        errors: standard errors from the information matrix, robust to
            heteroskedasticity, or from the clusters of `arrays`.

    Raises:
        IdentificationError: I04 a lagged covariate repeats other columns, S03 the
            matrix does not suit the correction.
        NumericalError: N05 no maximum inside the parameter space, N02.
    """
    _suited(arrays, lags, correction)
    # Powers of two change no digit, and no tolerance then depends on the units.
    units = len(arrays.ids)
    dense = _dense(lags, errors)
    if units > MOST_UNITS and dense:
        raise NumericalError(
            "N06",
            f"{counted(units, 'unit')}: {dense} needs dense matrices of "
            f"{8 * units**2 / 1e9:.1f} GB each",
            fix="one lag of the outcome or the errors, one sparse matrix, inference: iid; "
            f"lag: covariates; or up to {MOST_UNITS:,} units",
        )
    if not arrays.regressors:
        raise IdentificationError(
            "I02", "no regressor is left beside the fixed effects"
        )
    problem, _, size, scale = _scaled(arrays, lags, correction, dense=bool(dense))
    k = len(problem.Z)
    fit = _maximum(problem)
    V, psi = _covariance(problem, fit, arrays, errors)
    back = np.array([size / s for s in scale] + [1.0, 1.0, size**2])
    n = arrays.y.shape[0]
    W2 = None if lags.covariates is None else lags.covariates.W
    left = problem.units_left * problem.periods_left
    return Estimated(
        arrays=arrays,
        lags=lags,
        b=fit.b * back[:k],
        rho=fit.rho,
        lam=fit.lam,
        sigma2=fit.sigma2 * size**2,
        log_likelihood=fit.log_likelihood - left * float(np.log(size)),
        V=V * np.outer(back, back),
        psi=None if psi is None else psi * back,
        e=fit.e * size,
        multipliers=multipliers(
            n,
            fit.A,
            lags.outcome,
            W2,
            fit.G if isinstance(fit.G, Implicit) else None,
        ),
        trace_error=_trace_error(fit),
    )


def _scaled(
    arrays: Arrays, lags: Lags, correction: Correction, *, dense: bool
) -> tuple[Problem, list[str], float, list[float]]:
    """The problem in units near one, names of Z, and the units of y and of Z.

    Raises:
        IdentificationError: I04 a lagged covariate repeats others, D05 too few rows.
    """
    # Powers of two change no digit, and no tolerance then depends on the units.
    size = _power(np.std(arrays.y))
    X = arrays.X
    sizes = np.array([_power(np.std(x)) for x in X])
    X = X / sizes[:, None, None]
    terms = list(arrays.terms)
    Z, scale = X, list(sizes)
    if lags.covariates is not None:
        Z = np.concatenate([X, lagged(lags.covariates.W, X)])
        scale += list(sizes)
        terms += [f"W × {term}" for term in arrays.terms]
    if not (arrays.unit or arrays.time):
        Z = np.concatenate([Z, np.ones((1, *arrays.y.shape))])
        scale.append(1.0)
        terms.append("constant")
    problem = Problem(
        y=arrays.y / size,
        Z=Z,
        outcome=lags.outcome,
        errors=lags.errors,
        unit=arrays.unit,
        time=arrays.time,
        correction=correction,
        dense=dense,
    )
    _full_rank(problem, terms)
    if problem.units_left * problem.periods_left <= len(Z) + 3:
        raise IdentificationError(
            "D05",
            f"{counted(arrays.y.size, 'row')} for {len(Z) + 3} parameters and the "
            "fixed effects",
        )
    return problem, terms, size, [float(s) for s in scale]


def estimated_gm(arrays: Arrays, lags: Lags, *, errors: Errors) -> Estimated:
    """Spatial two-stage least squares in place of maximum likelihood.

    Raises:
        IdentificationError: I04, I02, D05 as `estimated`; I12 no instrument.
        NumericalError: N05 rho outside its parameter space, where impacts have no
            meaning; N06 too many units for a dense matrix.
    """
    outcome = lags.outcome
    if outcome is None or not arrays.regressors:
        raise IdentificationError(
            "I02", "no regressor is left beside the fixed effects"
        )
    problem, _, size, scale = _scaled(arrays, lags, "none", dense=False)
    n, t = arrays.y.shape
    k = len(problem.Z)

    def out(x: Floats) -> Floats:
        return without_effects(x, problem)

    try:
        fit = two_stage(
            problem.y,
            problem.Z,
            outcome.W,
            out,
            free=(n - arrays.time) * (t - arrays.unit),
            errors=errors,
            cluster=arrays.cluster,
        )
    except NoInstrumentError as error:
        raise IdentificationError(
            "I04",
            "no lag of a covariate adds to the covariates: rho has no instrument",
            fix="method: ml, or other controls",
        ) from error
    rho = float(fit.b[k])
    low, high = outcome.range
    if not low < rho < high:
        raise NumericalError(
            "N05",
            f"rho = {rho:.4g} lies outside the parameter space ({low:.4g}, {high:.4g})",
            why="the model would have no equilibrium, and impacts no meaning",
            fix="a look at the first-stage F: weak instruments; or method: ml",
        )
    V = np.zeros((k + 3, k + 3))
    V[: k + 1, : k + 1] = fit.V
    bread, scores = np.zeros_like(V), np.zeros((len(fit.scores), k + 3))
    bread[: k + 1, : k + 1] = fit.bread
    scores[:, : k + 1] = fit.scores
    psi = recoloured(scores, bread, V)
    back = np.array([size / s for s in scale] + [1.0, 1.0, size**2])
    W2 = None if lags.covariates is None else lags.covariates.W
    implicit_fit = _at(problem, rho, W2)
    return Estimated(
        arrays=arrays,
        lags=lags,
        b=fit.b[:k] * back[:k],
        rho=rho,
        lam=0.0,
        sigma2=fit.sigma2 * size**2,
        log_likelihood=float("nan"),
        V=V * np.outer(back, back),
        psi=None if psi is None else psi * back,
        e=fit.e * size,
        multipliers=implicit_fit,
        instruments=Instruments(fit.first_stage, fit.overidentified, errors),
    )


def _at(problem: Problem, rho: float, W2: Any) -> Multipliers:
    """Multipliers at a rho, without N x N cells where W is large and sparse."""
    lag = problem.outcome
    assert lag is not None  # noqa: S101 - the caller asks
    n = problem.shape[0]
    if lag.omega is None and (W2 is None or W2 is lag.W):
        return multipliers(n, None, lag, W2, implicit_at(problem, lag, rho))
    if n > MOST_UNITS:
        raise NumericalError(
            "N06", f"{counted(n, 'unit')}: impacts need dense matrices"
        )
    return multipliers(n, lag.inverse(rho), lag, W2)


def _dense(lags: Lags, errors: Errors) -> str:
    """What asks for N x N cells, in words; empty if nothing does."""
    held = [lag for lag in (lags.outcome, lags.errors) if lag is not None]
    if not held:
        return ""
    if any(lag.omega is not None for lag in held):
        return "a matrix that is not sparse"
    if len(held) > 1:
        return "a lag of the outcome beside one of the errors"
    if errors != "iid":
        return "inference other than iid"
    two = lags.outcome and lags.covariates and lags.covariates.W is not lags.outcome.W
    return "another matrix for the covariates" if two else ""


def _trace_error(fit: Fit) -> float:
    G = fit.G if fit.G is not None else fit.H
    if not isinstance(G, Implicit):
        return 0.0
    return G.cross_error / (G.square + G.cross)


def _power(spread: Any) -> float:
    return float(2.0 ** np.round(np.log2(float(spread) or 1.0)))


def _suited(arrays: Arrays, lags: Lags, correction: Correction) -> None:
    if correction == "none" or not arrays.time:
        return
    wrong = [
        word
        for word, lag in (("outcome", lags.outcome), ("errors", lags.errors))
        if lag is not None and not lag.row_normalised
    ]
    if wrong:
        raise IdentificationError(
            "S03",
            f"correction: {correction} with time effects needs weights whose rows sum "
            f"to one; those of the {' and the '.join(wrong)} do not",
            why="only then do deviations from period means follow the same model",
            fix="transform: row on that matrix, or estimator.correction: none",
            path="model.estimator.correction",
        )


def _full_rank(problem: Problem, terms: Sequence[str]) -> None:
    Z = without_effects(problem.Z, problem).reshape(len(problem.Z), -1)
    norm = np.linalg.norm(Z, axis=1)
    full = np.linalg.norm(problem.Z.reshape(len(Z), -1), axis=1)
    gone = norm <= EXACT * full
    left = np.abs(np.diag(np.linalg.qr((Z / np.where(gone, 1.0, norm)[:, None]).T)[1]))
    gone |= left < EXACT
    if gone.any():
        names = [f"'{terms[int(j)]}'" for j in np.flatnonzero(gone)]
        raise IdentificationError(
            "I04",
            f"{', '.join(names)} can't be told from the other columns and the fixed "
            "effects",
            why="the lag of a covariate repeats what is already in the model",
            fix="lag: outcome or errors, another matrix, or fewer controls",
        )


def _maximum(problem: Problem) -> Fit:
    try:
        with np.errstate(all="ignore"):
            fit = maximise(problem)
    except NoMaximumError as error:
        raise NumericalError(
            "N05",
            f"the likelihood has no maximum inside the parameter space: {error}",
            why="the spatial coefficient would be at its bound, which is no estimate",
            fix="a matrix with fewer or normalised weights, or fewer lags",
        ) from error
    for lag, value in ((problem.outcome, fit.rho), (problem.errors, fit.lam)):
        if lag is not None and not lag.range[0] < value < lag.range[1]:
            raise NumericalError(
                "N05",
                f"the bias correction moves a spatial coefficient to {value:.4g}, out of "
                "its parameter space",
                fix="correction: lee_yu, which needs no formula for the bias",
            )
    return fit


def _covariance(
    problem: Problem, fit: Fit, arrays: Arrays, errors: Errors
) -> tuple[Floats, Floats | None]:
    V = covariance(fit)
    scores = row_scores(problem, fit)
    flat = scores.reshape(-1, scores.shape[-1])
    if errors == "hetero":
        robust = sandwich(V, hetero_middle(problem, fit))
        return robust, recoloured(flat, V, robust)
    if errors == "iid" or arrays.cluster is None:
        return V, recoloured(flat, V, V)
    robust = sandwich(V, clustered_middle(problem, fit, arrays.cluster))
    summed = np.zeros((int(arrays.cluster.max()) + 1, scores.shape[-1]))
    np.add.at(summed, arrays.cluster, scores.sum(axis=1))
    return robust, recoloured(summed, V, robust)


# -- rows of the table -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A reported number and its derivative (k + 3,) with respect to the parameters.

    rho and lambda are not in units of the outcome: their equation is `spatial`.
    """

    term: str
    estimand: str
    estimate: float
    gradient: Floats
    judged: bool = False
    equation: str = "main"


def coefficients(m: Estimated) -> list[Row]:
    """Treatment and controls, their lags, rho, lambda."""
    names = list(m.arrays.terms)
    judged = [r.judged for r in m.arrays.regressors]
    if m.lags.covariates is not None:
        names += [f"W × {term}" for term in m.arrays.terms]
    if m.constant:
        names.append("constant")
    rows = []
    for j, name in enumerate(names):
        of_treatment = j < len(judged) and judged[j]
        rows.append(Row(name, "coefficient", float(m.b[j]), unit(m, j), of_treatment))
    k = len(m.b)
    if m.lags.outcome is not None:
        rows.append(Row("rho", "coefficient", m.rho, unit(m, k), equation="spatial"))
    if m.lags.errors is not None:
        lam = unit(m, k + 1)
        rows.append(Row("lambda", "coefficient", m.lam, lam, equation="spatial"))
    return rows


def unit(m: Estimated, j: int) -> Floats:
    """The derivative of parameter j."""
    found = np.zeros(len(m.b) + 3)
    found[j] = 1.0
    return found


def impacts(m: Estimated) -> list[Row]:
    """Direct, indirect and total effects of every covariate (LeSage and Pace 2009)."""
    own, every = m.multipliers.own, m.multipliers.all
    rows = []
    count, k = len(m.arrays.regressors), len(m.b)
    lagged_too = m.lags.covariates is not None
    for estimand, a in (
        ("direct", own),
        ("indirect", every - own),
        ("total", every),
    ):
        for j, r in enumerate(m.arrays.regressors):
            beta = float(m.b[j])
            theta = float(m.b[count + j]) if lagged_too else 0.0
            gradient = np.zeros(k + 3)
            gradient[j] = a[0]
            if lagged_too:
                gradient[count + j] = a[1]
            gradient[k] = beta * a[2] + theta * a[3]
            estimate = float(beta * a[0] + theta * a[1])
            rows.append(Row(r.term, estimand, estimate, gradient, r.judged))
    return rows


def in_order(rows: Sequence[Row], asked: Sequence[str]) -> list[Row]:
    """What is asked for first; treatments come first within each estimand."""
    known = dict.fromkeys([*asked, *(r.estimand for r in rows)])
    place = {estimand: i for i, estimand in enumerate(known)}
    return sorted(rows, key=lambda r: place[r.estimand])


def without_zero(rows: Sequence[Row]) -> list[Row]:
    """Impacts that are zero by construction (no lag reaches the outcome) have no row."""
    return [r for r in rows if np.any(r.gradient)]


__all__ = [
    "Errors",
    "Estimated",
    "Lags",
    "Row",
    "coefficients",
    "estimated",
    "estimated_gm",
    "impacts",
    "in_order",
    "without_zero",
]
