"""From an estimated spatial model to a `Result`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from estimators._math.spatial_ml import Correction, Floats, Lag, lagged
from estimators._math.spatial_operator import PROBES
from estimators._spatial.effects import by_order, simulated
from estimators._spatial.model import (
    Errors,
    Estimated,
    Instruments,
    Lags,
    Row,
    coefficients,
    estimated,
    estimated_gm,
    impacts,
    in_order,
    without_zero,
)
from estimators._spatial.panel import EXACT, Arrays, arrays_of, lag_of, survives
from estimators._spatial.summary import summary
from framework.contract import Request, SpatialWeights
from framework.errors import NumericalError, counted
from framework.result import COEFFICIENT_COLUMNS, Result, Test

if TYPE_CHECKING:
    import pandas as pd

#: Below this share of its variance, W x treatment says next to nothing.
LITTLE_LEFT = 0.10
#: First-stage F below which instruments count as weak (Staiger and Stock 1997).
_WEAK = 10.0
_HETERO = (
    "standard errors robust to heteroskedasticity; if variances differ between units, "
    "maximum likelihood of the spatial coefficients is in general not consistent (Lin "
    "and Lee 2010)"
)
_ROBUST = _HETERO.index(";")

Used = Mapping[str, tuple[Lag, SpatialWeights]]


def spatial_panel(
    request: Request,
    roles: Sequence[str],
    correction: Correction,
    *,
    min_clusters: int,
    simulations: int = 0,
    method: Literal["ml", "gm"] = "ml",
) -> Result:
    """Estimate the model with lags in these roles and report it.

    Args:
        request: panel, matrices, what is asked for.
        roles: those of `outcome`, `covariates`, `errors` that are lagged.
        correction: for the fixed effects.
        min_clusters: fewest clusters for clustered standard errors.
        simulations: draws for simulated standard errors of the impacts; 0 = none.
        method: maximum likelihood or spatial two-stage least squares.

    Raises:
        EstimandError: as `arrays_of`, `lag_of` and `estimated`.
    """
    arrays = arrays_of(request, min_clusters=min_clusters)
    used = {role: lag_of(request, role, arrays.ids) for role in roles}
    lags = Lags(**{role: lag for role, (lag, _) in used.items()})
    errors: Errors = request.inference.name  # type: ignore[assignment]  # `needs` lets no other name through
    clustered = errors == "cluster"
    if method == "gm":
        m = estimated_gm(arrays, lags, errors=errors)
    else:
        m = estimated(arrays, lags, correction, errors=errors)
    rows = coefficients(m)
    if lags.outcome is not None or lags.covariates is not None:
        rows = in_order([*rows, *without_zero(impacts(m))], request.estimand)
    table = table_of(m, rows, request.confidence)
    frames = {"spatial_weights": summary(used)} if used else {}
    shares = _shares(m)
    notes = _notes(m, used, correction, shares)
    if m.trace_error:
        notes.append(
            f"{counted(len(arrays.ids), 'unit')}: one trace of the information matrix "
            f"by {PROBES} "
            f"random probes, relative standard error {m.trace_error:.2g}; estimates and "
            "the likelihood are exact"
        )
    if errors == "hetero" and method == "ml":
        notes.append(_HETERO if lags.outcome or lags.errors else _HETERO[:_ROBUST])
    if lags.outcome is not None or lags.covariates is not None:
        frames["impacts_by_order"] = by_order(m)
        if simulations:
            frames["impacts_simulated"], said = simulated(
                m, simulations, request.seed, request.confidence
            )
            notes.append(said)
    return Result(
        coefficients=table,
        influence=_influence(m, rows, clustered=clustered),
        scalars=_scalars(m, shares, clustered=clustered),
        tests=_tests(m, rows, shares),
        frames=frames,
        notes=tuple(notes),
    )


def table_of(m: Estimated, rows: Sequence[Row], confidence: float) -> pd.DataFrame:
    """Tidy coefficients with normal intervals (delta method).

    Raises:
        NumericalError: N02 a standard error that is not positive.
    """
    R = np.column_stack([r.gradient for r in rows])
    variance = np.einsum("ij,ik,kj->j", R, m.V, R)
    labels = [(r.equation, r.estimand, r.term) for r in rows]
    estimate = np.array([r.estimate for r in rows])
    return tidy(labels, estimate, variance, confidence)


def tidy(
    labels: Sequence[tuple[str, str, str]],
    estimate: Floats,
    variance: Floats,
    confidence: float,
) -> pd.DataFrame:
    """Tidy coefficients with normal intervals.

    Args:
        labels: equation, estimand and term of each.
        estimate, variance: (n,).
        confidence: of the intervals.

    Raises:
        NumericalError: N02 a variance that is not positive.
    """
    import pandas as pd
    from scipy.special import ndtr, ndtri

    if not (np.isfinite(variance) & (variance > 0) & np.isfinite(estimate)).all():
        bad = int(np.argmin(np.where(np.isfinite(variance), variance, -1.0)))
        raise NumericalError(
            "N02",
            f"the variance of '{labels[bad][2]}' is {variance[bad]:.3g}",
            why="the information matrix is singular, or there is a perfect fit",
        )
    error = np.sqrt(variance)
    z = estimate / error
    reach = float(ndtri(0.5 + confidence / 2)) * error
    columns = (
        *([label[i] for label in labels] for i in range(3)),
        estimate,
        error,
        z,
        2.0 * ndtr(-np.abs(z)),
        estimate - reach,
        estimate + reach,
    )
    return pd.DataFrame(dict(zip(COEFFICIENT_COLUMNS, columns, strict=True)))


def empty_table() -> pd.DataFrame:
    """A table without coefficients."""
    import pandas as pd

    names = {"equation", "estimand", "term"}
    return pd.DataFrame(
        {
            column: pd.Series([], dtype="str" if column in names else "float64")
            for column in COEFFICIENT_COLUMNS
        }
    )


def _influence(
    m: Estimated, rows: Sequence[Row], *, clustered: bool
) -> pd.DataFrame | None:
    import pandas as pd

    at = [i for i, r in enumerate(rows) if r.judged]
    if m.psi is None or not at:
        return None
    R = np.column_stack([rows[i].gradient for i in at])
    index: Any = pd.Index(m.arrays.rows, name="row")
    if clustered:
        ids = m.arrays.cluster_ids
        index = pd.Index(np.asarray(ids), name="cluster")
    return pd.DataFrame(m.psi @ R, index=index, columns=at)


def _scalars(
    m: Estimated, shares: Mapping[str, float], *, clustered: bool
) -> dict[str, float]:
    arrays = m.arrays
    n, t = arrays.y.shape
    p = m.parameters
    found: dict[str, float] = {
        "n_obs": n * t,
        "n_units": n,
        "n_periods": t,
        "df_t": np.inf,
        "sigma2": m.sigma2,
        "outcome_mean": float(arrays.y.mean()),
    }
    r = _squared_correlation(m)
    if r is not None:
        found["squared_correlation"] = r
    if m.instruments is None:
        found |= {
            "log_likelihood": m.log_likelihood,
            "aic": 2 * p - 2 * m.log_likelihood,
            "bic": p * float(np.log(n * t)) - 2 * m.log_likelihood,
        }
    elif np.isfinite(m.instruments.first_stage):
        found["first_stage_f"] = m.instruments.first_stage
    if clustered and arrays.cluster is not None:
        found["n_clusters"] = int(arrays.cluster.max()) + 1
    treated = [r.values for r in arrays.regressors if r.judged]
    if treated:
        on = treated[0] != 0
        found["n_treated_obs"] = int(on.sum())
        found["n_treated_units"] = int(on.any(axis=1).sum())
    if shares:
        found["lagged_treatment_residual_share"] = min(shares.values())
    return {name: float(value) for name, value in found.items()}


def _squared_correlation(m: Estimated) -> float | None:
    """Elhorst (2014, chapter 3): of outcome and reduced form without fixed effects.

    None where the prediction does not vary.
    """
    arrays, lags = m.arrays, m.lags
    X = arrays.X
    Z = X if lags.covariates is None else np.vstack([X, lagged(lags.covariates.W, X)])
    signal = np.tensordot(m.b[: len(Z)], Z, axes=1)
    if lags.outcome is not None:
        from scipy import sparse
        from scipy.sparse import linalg

        A = sparse.eye(len(signal), format="csc") - m.rho * lags.outcome.W
        signal = linalg.splu(A.tocsc()).solve(signal)
    y, fitted = arrays.y, signal
    for effects, axis in ((arrays.unit, 1), (arrays.time, 0)):
        if effects:
            y = y - y.mean(axis=axis, keepdims=True)
            fitted = fitted - fitted.mean(axis=axis, keepdims=True)
    y, fitted = y - y.mean(), fitted - fitted.mean()
    size = float(np.linalg.norm(y) * np.linalg.norm(fitted))
    if size <= EXACT * float(np.linalg.norm(y)) ** 2:
        return None
    return float((y * fitted).sum() / size) ** 2


def _shares(m: Estimated) -> dict[str, float]:
    """Treatment -> what fixed effects and regressors leave of its spatial lag."""
    lag = m.lags.covariates
    if lag is None:
        return {}
    return {
        r.term: survives(r.values, lag.W, m.arrays)
        for r in m.arrays.regressors
        if r.judged
    }


def _tests(
    m: Estimated, rows: Sequence[Row], shares: Mapping[str, float]
) -> tuple[Test, ...]:
    found = [] if m.lags.covariates is None else durbin_tests(m)
    if m.instruments is not None:
        found.append(_overidentified(m.instruments))
    if shares:
        # With a lag of the outcome W x treatment is one part of a spillover only.
        over = [r for r in rows if r.estimand == "indirect" and r.judged]
        value = np.array([r.estimate for r in over])
        R = np.array([r.gradient for r in over])
        found.append(no_interference(value, R, m.V, min(shares.values())))
    return tuple(found)


def _overidentified(held: Instruments) -> Test:
    from scipy.special import chdtrc

    name = "sargan" if held.errors == "iid" else "hansen_j"
    null = "lags of the covariates are valid instruments of the outcome's lag"
    if held.overidentified is None:
        return Test(name, null, reason="no more instruments than coefficients")
    value, df = held.overidentified
    return Test(name, null, value, f"{df}", float(chdtrc(df, value)))


def durbin_tests(m: Estimated) -> list[Test]:
    """Wald tests of the spatial Durbin model against SAR and SEM."""
    count, k = len(m.arrays.regressors), len(m.b)
    theta = m.b[count : 2 * count]
    R = np.zeros((count, k + 3))
    R[:, count : 2 * count] = np.eye(count)
    found = [wald("wald_lag", NULLS["wald_lag"], theta, R, m.V)]
    if m.lags.outcome is not None:
        R = R.copy()
        R[:, :count] = m.rho * np.eye(count)
        R[:, k] = m.b[:count]
        common = theta + m.rho * m.b[:count]
        found.append(wald("wald_error", NULLS["wald_error"], common, R, m.V))
    return found


NULLS = {
    "wald_lag": "no covariate of the neighbours matters (theta = 0)",
    "wald_error": "the lags only filter the errors (theta + rho beta = 0)",
}


def wald(name: str, null: str, value: Floats, R: Floats, V: Floats) -> Test:
    """Wald test that `value` (q,) with derivative R (q, p) is zero, or why there is none."""
    from scipy.special import chdtrc

    q = len(value)
    middle = R @ V @ R.T
    root = np.sqrt(np.diag(middle))
    scaled = middle / np.outer(root, root)
    if np.linalg.matrix_rank(scaled) < q:
        return Test(
            name,
            null,
            reason=f"the covariance of the {q} restrictions is singular (I06): too few "
            "clusters for a joint test",
        )
    v = value / root
    statistic = float(v @ np.linalg.solve(scaled, v))
    return Test(name, null, statistic, f"{q}", float(chdtrc(q, statistic)))


def no_interference(
    value: Floats, R: Floats, V: Floats, share: float, least: float = LITTLE_LEFT
) -> Test:
    """Test that the neighbours' treatment does not move the outcome.

    Args:
        value: (q,) what it moves the outcome by, one per treatment.
        R: (q, p) its derivative with respect to the parameters.
        V: (p, p) their covariance.
        share: of the variance of W x treatment, what fixed effects and regressors leave.
        least: below this share nothing is shown.
    """
    name = "no_interference"
    null = "the neighbours' treatment does not move the outcome"
    if share < least:
        reason = f"{share:.1%} of the variance of W × treatment is left to test it with"
        return Test(name, null, reason=reason)
    return wald(name, null, value, R, V)


def effects_in_words(arrays: Arrays) -> str:
    """Which fixed effects there are."""
    if arrays.unit and arrays.time:
        return "unit and time effects"
    if arrays.unit or arrays.time:
        return f"{'unit' if arrays.unit else 'time'} effects"
    return "no fixed effects"


def _notes(
    m: Estimated, used: Used, correction: Correction, shares: Mapping[str, float]
) -> list[str]:
    how = "maximum likelihood"
    if m.instruments is not None:
        how = (
            "spatial two-stage least squares (Kelejian and Prucha); instruments: first "
            "and second spatial lags of the covariates; first-stage F "
            f"{m.instruments.first_stage:.1f}"
        )
        if m.instruments.first_stage < _WEAK:
            how += ", weak: intervals of rho and of the impacts can't be trusted"
    notes = [f"{m.lags.words} with {effects_in_words(m.arrays)}, {how}"]
    if m.instruments is None and (m.arrays.unit or m.arrays.time):
        notes[0] += {
            "lee_yu": "; fixed effects taken out by the transformation of Lee and Yu",
            "elhorst": "; bias corrected by Lee and Yu's formula as in Elhorst",
            "none": "; not corrected for the fixed effects' bias",
        }[correction]
    matrices = {
        w.name or role: f"'{w.name or role}' ({said_transform(w)})"
        for role, (_, w) in used.items()
    }
    if matrices:
        notes.append(f"spatial weights {', '.join(matrices.values())}")
    if not all(lag.row_normalised for lag, _ in used.values()):
        notes.append(
            "rows of the weights do not sum to one: impacts are means over units of the "
            "exact multipliers, not beta / (1 - rho)"
        )
    for term, share in shares.items():
        if share < LITTLE_LEFT:
            notes.append(
                f"only {share:.1%} of the variance of W × {term} is left after the fixed "
                "effects and the other columns: its coefficient and the indirect effect "
                "rest on little"
            )
    return [*notes, *m.arrays.notes]


def said_transform(weights: SpatialWeights) -> str:
    """How the weights are normalised."""
    return {
        "row": "row-normalised",
        "spectral": "divided by the largest eigenvalue",
        "none": "not normalised",
    }[weights.transform]
