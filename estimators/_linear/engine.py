"""The least-squares fit: the only module that touches pyfixest.

Columns are centred, divided by powers of two and demeaned by the engine's routine in
one order of the fixed effects; the engine then solves the regression. It takes fixed
effects in an order that changes with PYTHONHASHSEED, so the last bits are taken from
our own solution on the same columns, and its estimates, parameter count and standard
errors must equal ours before anything is reported.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.covariance import (
    Covariance,
    Levels,
    analytic,
    covariance,
    hac_lags,
    irregular,
    matched_influence,
)
from estimators._linear.identification import NEARLY, explain
from estimators._linear.jackknife import jackknife_asked, jackknifed
from estimators._math.projection import (
    Codes,
    Floats,
    absorb,
    binary_scale,
    demean_once,
)
from estimators._math.sandwich import sum_by
from framework.errors import DataError, NumericalError, counted

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.design import Design
    from estimators._linear.options import SmallSample
    from framework.contract import Inference

#: Sweeps over the fixed effects stop when no value moves more than this (columns are
#: scaled to about one); after so many sweeps the sparse solver takes over.
DEMEAN_TOLERANCE, DEMEAN_SWEEPS = 1e-12, 2_000
#: Condition number of the regressors' correlation matrix, fixed effects absorbed, from
#: which collinearity is looked into (`identification` holds the limits).
SUSPICIOUS = 1e8
#: Two correct covariances differ by rounding times the condition number.
AGREEMENT = 1e-7
#: First-order conditions hold to about 1e-15; an unfinished iteration leaves more.
STATIONARY = 1e-7


@dataclass(frozen=True, slots=True)
class Fit:
    """A finished fit, in the user's units.

    Attributes:
        design: what was fitted (controls that were omitted are gone).
        constant: whether a constant stands after the regressors.
        estimate, covariance: (k,), (k, k) in the order of `design.regressors`, then
            the constant.
        psi: (m, k) influence rows, see `influence`; `levels` their index.
        df_model, df_t: K of the small-sample factor, degrees of freedom of t.
        residual_share: (k,) share of each regressor's variance left after the others.
        load: per clustering dimension (G, k): sums over the cluster of every
            regressor's squared partialled-out values.
        rss, tss, tss_within, mass: weighted sums of squares, sum of weights.
        rank: all parameters, fixed effects and slopes included.
        solved: the fit on engine columns; `to_user` (k, k) A of b = A' b*.
    """

    design: Design
    constant: bool
    estimate: Floats
    covariance: Floats
    psi: Floats
    exact: bool
    levels: Levels
    df_model: int
    df_t: float
    residual_share: Floats
    load: tuple[Floats, ...]
    rss: float
    tss: float
    tss_within: float
    mass: float
    rank: int
    solved: Solved
    to_user: Floats

    def influence(self, picked: Sequence[int]) -> Floats:
        """Influence (m, q) of these coefficients; its variance is their covariance."""
        at = list(picked)
        if self.exact:
            return self.psi[:, at]
        wanted = self.covariance[np.ix_(at, at)]
        return matched_influence(self.psi[:, at], self.levels, wanted)


@dataclass(frozen=True, slots=True)
class Columns:
    """Engine-ready columns; the user's are `centre + scale * column + absorbed`.

    Attributes:
        y, X: outcome (n,) and regressors (n, k).
        scale, centre, spread: (1 + k,), the outcome first; `spread` is the weighted
            overall standard deviation in scaled units.
        absorbed: rank of what was projected out (slopes), else 0.
        vanished: (k,) regressors of which only rounding is left.
    """

    y: Floats
    X: Floats
    scale: Floats
    centre: Floats
    spread: Floats
    absorbed: int
    vanished: Any


@dataclass(frozen=True, slots=True)
class Solved:
    """The solution; X, y, u (residuals) are times the root of the weights."""

    beta: Floats
    X: Floats
    y: Floats
    u: Floats
    beta_engine: Floats
    V_engine: Floats
    df_k: int


def fit(design: Design, inference: Inference, small_sample: SmallSample) -> Fit:
    """Least squares of the outcome on the regressors, effects and slopes absorbed.

    Raises:
        DataError: D06 the outcome does not vary within the fixed effects.
        IdentificationError: I02 absorbed, I03 collinear, I04 nearly collinear.
        NumericalError: N01 not finite or SE <= 0, N02 no convergence, N03 the engine's
            covariance is not ours.
    """
    inference = analytic(inference)
    columns = prepare(design)
    solved = None
    if not columns.vanished.any():
        solved = _solve(design, columns, inference, small_sample)
    if solved is None or _suspicious(design, solved.X):
        omitted, notes = explain(design, _demeaned(design, columns))
        if omitted:
            return fit(design.without(omitted, notes), inference, small_sample)
    if solved is None:
        raise NumericalError(
            "N02",
            "the regressors are too nearly collinear for the engine",
            why="Its coefficients would have lost most of their digits.",
            fix="drop a control that repeats others",
        )
    _stationary(design, solved)
    found = covariance(
        design, inference, small_sample, solved.X, solved.u, columns.absorbed
    )
    _agree(design, inference, found, solved)
    if jackknife_asked(inference):
        found = jackknifed(design, solved.X, solved.u, found)
    return in_users_units(design, columns, solved, found)


def prepare(design: Design) -> Columns:
    """Centre, demean once, scale; with slopes project exactly instead."""
    # One order, whatever the study's: the coarsest last.
    ordered = sorted(design.fixed_effects, key=lambda f: -f.n_levels)
    effects = [f.codes for f in ordered]
    w = design.weights
    raw = np.column_stack([design.outcome, *(r.values for r in design.regressors)])
    raw = np.asfortranarray(raw, dtype=np.float64)
    unit = np.array([binary_scale(raw[:, j]) for j in range(raw.shape[1])])
    raw /= unit
    centre = np.average(raw, axis=0, weights=w)
    raw -= centre
    spread = np.sqrt(np.average(np.square(raw), axis=0, weights=w))
    absorbed = 0
    if design.slopes:
        raw, absorbed = _without_slopes(design, raw)
    elif effects:
        for j in range(raw.shape[1]):
            raw[:, j] = demean_once(raw[:, j], effects, w)
    # What remains of an absorbed column is rounding; scaling it up would make noise
    # a regressor.
    inner = _rescale(raw, 1e-9 * spread)
    if effects and not design.slopes:
        raw = _demean(raw, effects, design)
        again = _rescale(raw, 1e-9 * spread / inner)
        inner = inner * again
        if np.any(again < 0.5):  # noqa: PLR2004 - the tolerance is absolute: once more
            raw = _demean(raw, effects, design)
    size = np.sqrt(np.mean(np.square(raw), axis=0))
    vanished = size <= np.maximum(1e-9 * spread / inner, 1e-14)
    if vanished[0]:
        names = ", ".join(f"'{f.term}'" for f in design.fixed_effects)
        raise DataError(
            "D06",
            f"outcome '{design.outcome_term}' does not vary within "
            f"{names or 'the sample'}",
            why="Every coefficient would be zero with a standard error of zero.",
            fix="drop the fixed effect that explains it, or check how the outcome is "
            "built",
        )
    return Columns(
        y=raw[:, 0],
        X=raw[:, 1:],
        scale=unit * inner,
        centre=centre * unit,
        spread=spread / inner,
        absorbed=absorbed,
        vanished=vanished[1:],
    )


def demeaned_like(design: Design, raw: Floats) -> Floats:
    """Further columns (n, m), fixed effects and slopes removed as in `prepare`."""
    out = np.asfortranarray(raw, dtype=np.float64)
    out = out - np.average(out, axis=0, weights=design.weights)
    if design.slopes:
        return _without_slopes(design, out)[0]
    ordered = sorted(design.fixed_effects, key=lambda f: -f.n_levels)
    effects = [f.codes for f in ordered]
    if not effects:
        return out
    return _demean(np.asfortranarray(out), effects, design)


def _rescale(raw: Floats, noise: Floats) -> Floats:
    """Divide columns in place by a power of two near their size; returns the divisors.

    Columns not larger than `noise` are left alone.
    """
    size = np.sqrt(np.mean(np.square(raw), axis=0))
    divisor = np.array(
        [
            binary_scale(raw[:, j]) if size[j] > max(noise[j], 1e-14) else 1.0
            for j in range(raw.shape[1])
        ]
    )
    raw /= divisor
    return divisor


def _demean(raw: Floats, effects: Sequence[Codes], design: Design) -> Floats:
    """Columns with all fixed effects removed; the sparse solver where sweeps stall."""
    from pyfixest.core.demean import demean, demean_within

    if len(effects) == 1:
        for j in range(raw.shape[1]):
            raw[:, j] = demean_once(raw[:, j], effects, design.weights)
        return raw
    levels = np.column_stack(effects)
    w = design.scaled_weights()
    out, done = demean(
        np.ascontiguousarray(raw),
        levels.astype(np.uint64),
        w,
        DEMEAN_TOLERANCE,
        DEMEAN_SWEEPS,
    )
    if not done:
        out, done, _ = demean_within(
            np.asfortranarray(raw),
            levels.astype(np.uint32),
            w,
            DEMEAN_TOLERANCE,
            10_000,
        )
    if not done:
        raise NumericalError(
            "N02",
            "the fixed effects can't be removed: the iterations do not converge",
            why="Fixed effects that are barely connected stop them.",
            fix="use fewer or coarser fixed effects",
        )
    return np.asfortranarray(out)


def _without_slopes(design: Design, columns: Floats) -> tuple[Floats, int]:
    effects = [f.codes for f in design.fixed_effects]
    try:
        projected = absorb(columns, effects, design.slopes, design.weights)
    except MemoryError as error:
        raise NumericalError(
            "N04",
            f"the slopes {', '.join(design.slope_terms)} beside these fixed effects "
            f"need {error}",
            why="They are projected out exactly, in memory.",
            fix="use fixed effects with fewer levels beside the slopes",
        ) from error
    return np.asfortranarray(projected.columns), projected.rank


def formula(k: int, n_effects: int) -> str:
    """The one place that prints a formula, with spaces around every sign.

    The engine splits fixed effects on "+" without stripping; without spaces it
    matches names by position to columns that come in another order.
    """
    right = " + ".join(f"x{j}" for j in range(k)) or "1"
    effects = " + ".join(f"f{j}" for j in range(n_effects))
    return f"y ~ {right}" + (f" | {effects}" if n_effects else "")


def _solve(
    design: Design, columns: Columns, inference: Inference, small_sample: SmallSample
) -> Solved | None:
    """Call the engine; None when it finds the regressors collinear."""
    with warnings.catch_warnings():
        # The engine's notice of dropped columns (which we turn into a refusal or a
        # note) and what it says of a singular matrix.
        warnings.filterwarnings("ignore", message=r"\s*\d+ variables dropped due to")
        warnings.filterwarnings("ignore", message="(divide by zero|invalid value)")
        try:
            result = feols(design, columns, inference, small_sample)
        except np.linalg.LinAlgError:
            return None
        except ValueError as error:
            if "variables are collinear" in str(error):
                return None
            raise NumericalError(
                "N02",
                f"the engine found no solution: {str(error).strip().splitlines()[0]}",
                why="Its iterations over the fixed effects did not end.",
                fix="use fewer or coarser fixed effects",
            ) from error
    return _read(result, design, columns)


def feols(
    design: Design, columns: Columns, inference: Inference, small_sample: SmallSample
) -> Any:
    """The engine's model of these columns, solved, with its covariance.

    `pyfixest.feols` is its class `Feols` behind a formula that is parsed, a model
    matrix and tables of results: three quarters of its time on a small panel. The
    columns are ready, so the class gets them as they are;
    `tests/reference/test_linear_engine.py` holds the result to that of `feols`.
    """
    import pandas as pd
    import pyfixest as pf
    from pyfixest.estimation.models.feols_ import Feols

    effects = () if design.slopes else design.fixed_effects
    names = [f"x{j}" for j in range(columns.X.shape[1])]
    held = [columns.y, *columns.X.T]
    if design.has_constant:
        names, held = ["Intercept", *names], [columns.y, np.ones(design.n), *held[1:]]
    y_and_X = _frame(["y", *names], held)
    vcov, serial, beside = _standing_on(design, inference)
    model: Any = Feols(
        FixestFormula=_parsed(formula(columns.X.shape[1], len(effects))),
        data=beside if len(beside.columns) else y_and_X,
        ssc_dict=pf.ssc(
            k_adj=small_sample.adjust,
            k_fixef=small_sample.fixed_effects,
            G_adj=small_sample.cluster_adjust,
            G_df=small_sample.two_way,
        ),
        drop_singletons=False,
        drop_intercept=bool(design.slopes),
        weights=None if design.weights is None else "w",
        weights_type=("fweights" if design.weight_kind == "frequency" else "aweights"),
        # Columns are scaled to about one: below this a pivot of X'X is rounding.
        collin_tol=1e-13 * design.n,
        lookup_demeaned_data={},
        store_data=False,
        copy_data=False,
        context={},
    )
    # What its `prepare_model_matrix` finds in a formula and a table.
    model._Y = model._Y_untransformed = y_and_X.iloc[:, :1]
    model._X = y_and_X.iloc[:, 1:]
    model._coefnames, model._depvar = names, "y"
    model._fe, model._has_fixef, model._n_fe = None, bool(effects), len(effects)
    model._k_fe = None
    if effects:
        model._fe = _frame(
            [f"f{j}" for j in range(len(effects))], [f.codes for f in effects]
        )
        model._k_fe = pd.Series([len(np.unique(f.codes)) for f in effects])
    model._na_index, model._X_is_empty = frozenset(), False
    model._weights = design.scaled_weights()[:, None]
    model._N, model._N_rows = model._set_nobs()
    model.get_fit()
    model.vcov(vcov, serial)
    return model


def _standing_on(
    design: Design, inference: Inference
) -> tuple[Any, dict[str, Any] | None, pd.DataFrame]:
    """The engine's words for the errors, and the columns that they need."""
    data: dict[str, Any] = {}
    match inference.name:
        case "cluster":
            data = {f"c{j}": c.codes for j, c in enumerate(design.clusters)}
            return {"CRV1": "+".join(data)}, None, _frame(list(data), data.values())
        case "newey_west" | "driscoll_kraay":
            vcov = "NW" if inference.name == "newey_west" else "DK"
            units = design.unit_codes
            if vcov == "DK" and design.unit is None:
                units = np.arange(design.n)
            lag = hac_lags(design, inference)
            serial = {"time_id": "t", "panel_id": "u", "lag": lag}
            return vcov, serial, _frame(["t", "u"], [design.periods, units])
        case other:
            # Conley's errors are ours alone; the robust ones below them are checked.
            return "iid" if other == "iid" else "HC1", None, _frame([], [])


def _frame(names: Sequence[str], columns: Iterable[Any]) -> pd.DataFrame:
    """A table for the engine.

    Its names are Python's: the engine asks for columns dozens of times in a fit, and
    Arrow's text makes each time ten times slower.
    """
    import pandas as pd

    found = list(columns)
    if not found:
        return pd.DataFrame()
    texts: pd.Index[Any] = pd.Index(np.array(names, dtype=object), dtype=object)
    return pd.DataFrame(np.column_stack(found), columns=texts)


@cache
def _parsed(written: str) -> Any:
    """The engine's parts of a formula."""
    from pyfixest.estimation.formula.parse import Formula

    (found,) = Formula.parse(written)
    return found


def _read(result: Any, design: Design, columns: Columns) -> Solved | None:
    """Our solution and what the engine says of it, in one order of columns."""
    if getattr(result, "_collin_vars", None):
        return None
    k = columns.X.shape[1]
    order = list(result._coefnames)
    wanted = [f"x{j}" for j in range(k)] + ["Intercept"] * design.has_constant
    if sorted(order) != sorted(wanted):
        raise NumericalError(
            "N03",
            f"the engine returned {len(order)} coefficients for "
            f"{counted(len(wanted), 'column')}",
        )
    at = [order.index(name) for name in wanted]
    root = np.sqrt(design.scaled_weights())
    X, y = columns.X, columns.y * root
    if design.has_constant:
        X = np.column_stack([X, np.ones(design.n)])
    X = X * root[:, None]
    try:
        M = np.linalg.inv(X.T @ X)
    except np.linalg.LinAlgError:
        return None
    beta = M @ (X.T @ y)
    beta += M @ (X.T @ (y - X @ beta))  # refined: the digits that X'X loses
    return Solved(
        beta=beta,
        X=X,
        y=y,
        u=y - X @ beta,
        beta_engine=np.asarray(result._beta_hat, dtype=np.float64).ravel()[at],
        V_engine=np.asarray(result._vcov)[np.ix_(at, at)],
        df_k=int(result._df_k),
    )


def _suspicious(design: Design, X: Floats) -> bool:
    """Whether some column, fixed effects absorbed, nearly is a function of others."""
    M = X.T @ X
    size = np.sqrt(np.diag(M))
    if not np.all(size > 0):
        return True
    R = M / np.outer(size, size)
    values = np.linalg.eigvalsh(R)
    if values[0] <= 0 or values[-1] / values[0] > SUSPICIOUS:
        return True
    left = 1.0 / np.diag(np.linalg.inv(R))
    return any(
        r.wanted and left[j] < NEARLY**2 for j, r in enumerate(design.regressors)
    )


def _demeaned(design: Design, columns: Columns) -> Floats:
    """Regressors with everything absorbed, relative to their overall spread (n, k).

    Only for explaining a failure; weighted by the roots of the weights (mean one).
    """
    spread = columns.spread[1:]
    flat = spread * columns.scale[1:] <= 1e-14 * np.abs(columns.centre[1:])
    X = np.where(flat, 0.0, columns.X / np.where(flat, 1.0, spread))
    w = design.scaled_weights()
    return np.asarray(X * np.sqrt(w / w.mean())[:, None])


def _stationary(design: Design, solved: Solved) -> None:
    """Residuals must be orthogonal to every regressor and fixed effect."""
    size = max(float(np.linalg.norm(solved.u)), 1e-300)
    width = np.maximum(np.linalg.norm(solved.X, axis=0), 1e-300)
    worst = float(np.max(np.abs(solved.X.T @ solved.u) / width, initial=0.0)) / size
    if not design.slopes:
        weighted = solved.u * np.sqrt(design.scaled_weights())
        for f in design.fixed_effects:
            sums = np.bincount(f.codes, weighted, f.n_levels)
            rows = np.sqrt(np.bincount(f.codes, minlength=f.n_levels))
            worst = max(worst, float(np.max(np.abs(sums) / rows)) / size)
    if not worst < STATIONARY and size > 1e-10 * np.linalg.norm(solved.y):
        raise NumericalError(
            "N02",
            f"the fixed effects have not converged (first-order condition {worst:.1e})",
            why="Coefficients would depend on where the iterations stopped.",
            fix="use fewer or coarser fixed effects",
        )


def _agree(
    design: Design, inference: Inference, found: Covariance, solved: Solved
) -> None:
    """The engine's count and standard errors are ours, and are standard errors."""
    variance = np.diag(found.V)
    names = [r.name for r in design.regressors] + ["constant"]
    # A fit without residuals: what is left is rounding, and so would its errors be.
    perfect = np.linalg.norm(solved.u) <= 1e-12 * np.linalg.norm(solved.y)
    for j, name in enumerate(names[: len(variance)]):
        if not (np.isfinite(solved.beta[j]) and np.isfinite(variance[j])):
            raise NumericalError(
                "N01",
                f"the estimate or standard error of '{name}' is not finite",
                fix="check the column's values and units",
            )
        if perfect or variance[j] <= 0:
            raise NumericalError(
                "N01",
                f"the variance of '{name}' is not positive",
                why="A fit without residuals has none; a two-way covariance "
                "V1 + V2 - V12 can turn negative.",
                fix="check that the outcome is not a function of the regressors, or "
                "cluster by one dimension",
            )
    same = irregular(design, inference) or np.allclose(
        np.diag(found.V_engine), np.diag(solved.V_engine), rtol=AGREEMENT, atol=0.0
    )
    apart = np.abs(solved.beta - solved.beta_engine) / np.sqrt(variance)
    if solved.df_k != found.df_engine or not same or np.any(apart > AGREEMENT):
        raise NumericalError(
            "N03",
            f"the engine counts {solved.df_k} parameters and we {found.df_engine}, or "
            "its estimates or standard errors are not ours",
            why="One of the two is wrong, so neither is printed.",
            fix="report this study as a fault of the software",
        )


def in_users_units(
    design: Design, columns: Columns, solved: Solved, found: Covariance
) -> Fit:
    """Undo scaling and centring: b = A' b*, plus the outcome's mean for a constant."""
    p, k = len(design.regressors), solved.X.shape[1]
    slope = columns.scale[0] / columns.scale[1:]
    A = np.zeros((k, k))
    A[np.arange(p), np.arange(p)] = slope
    estimate = np.empty(k)
    if k > p:
        A[p, p] = columns.scale[0]
        A[:p, p] = -slope * columns.centre[1:]
    estimate = A.T @ solved.beta
    if k > p:
        estimate[p] += columns.centre[0]
    bread = np.linalg.inv(solved.X.T @ solved.X)
    mass = float(design.scaled_weights().sum())
    partialled = np.square(solved.X @ bread)
    square = columns.scale[0] ** 2
    effects = sum(design.levels) - max(len(design.levels) - 1, 0)
    return Fit(
        design=design,
        constant=k > p,
        estimate=estimate,
        covariance=A.T @ found.V @ A,
        psi=found.psi @ A,
        exact=found.exact,
        levels=found.levels,
        df_model=found.df_model,
        df_t=found.df_t,
        residual_share=1.0 / np.diag(bread)[:p] / (mass * columns.spread[1:] ** 2),
        load=tuple(sum_by(partialled, c.codes, c.n_levels) for c in design.clusters),
        rss=float(solved.u @ solved.u) * square,
        tss=mass * float(columns.spread[0]) ** 2 * square,
        tss_within=float(solved.y @ solved.y) * square,
        mass=mass,
        rank=k + (columns.absorbed if design.slopes else effects),
        solved=solved,
        to_user=A,
    )
