"""Which spatial model: tests inside the fixed effects and Elhorst's path in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._math.spatial_inference import covariance
from estimators._math.spatial_ml import (
    Correction,
    Lag,
    NoMaximumError,
    Problem,
    lagged,
    maximise,
)
from estimators._math.spatial_random import hausman, random_effects
from estimators._math.spatial_tests import Multiplier, lagrange
from estimators._spatial.dependence import dependence
from estimators._spatial.model import MOST_UNITS, Estimated, Lags, estimated
from estimators._spatial.panel import Arrays, arrays_of, lag_of
from estimators._spatial.report import (
    NULLS,
    durbin_tests,
    effects_in_words,
    empty_table,
    wald,
)
from estimators._spatial.summary import summary
from framework.contract import Request
from framework.errors import IdentificationError, NumericalError
from framework.result import Result, Test

if TYPE_CHECKING:
    import pandas as pd

_LM = {
    "lm_lag": "no lag of the outcome",
    "lm_error": "no spatial correlation of the errors",
    "robust_lm_lag": "no lag of the outcome, errors spatial or not",
    "robust_lm_error": "no spatial errors, outcome lagged or not",
}
#: Selected where the path can't be followed to its end.
NONE = "none"
_LR = {
    "lr_lag": "the Durbin model is a SAR model (theta = 0)",
    "lr_error": "the Durbin model is a SEM model (theta + rho beta = 0)",
}


def spatial_selection(
    request: Request, correction: Correction, *, level: float
) -> Result:
    """The tests, the models side by side, and the model that they select.

    Raises:
        EstimandError: as `arrays_of`, `lag_of` and `estimated`; X20 two matrices.
    """
    arrays = arrays_of(request)
    lag, weights = lag_of(request, "outcome", arrays.ids)
    _one_matrix(request)
    slx = estimated(arrays, Lags(covariates=lag), correction)
    models, failed = _models(arrays, lag, slx, correction)
    tests = {
        test.name: test
        for test in _tests(arrays, lag, models, correction, request.seed)
    }
    chosen, path = decide(tests, _slx(slx, level), level, frozenset(failed))
    frames = {
        "models": _side_by_side(models, chosen),
        "tests": _listed(tests.values()),
        "spatial_weights": summary({"outcome": (lag, weights)}),
    }
    n, t = arrays.y.shape
    return Result(
        coefficients=empty_table(),
        scalars={"n_obs": float(n * t), "n_units": float(n), "n_periods": float(t)},
        tests=tuple(tests.values()),
        frames=frames,
        notes=(
            (
                f"selected: {chosen} ({effects_in_words(arrays)}, spatial weights "
                f"'{weights.name or 'outcome'}', level {level:g})"
            ),
            *path,
            *(f"{name} is not estimated: {why}" for name, why in failed.items()),
            *arrays.notes,
        ),
    )


def _models(
    arrays: Arrays, lag: Lag, slx: Estimated, correction: Correction
) -> tuple[dict[str, Estimated | None], dict[str, str]]:
    """The models by name, and why those that are None have no estimates.

    A model whose likelihood rises up to the bound of its spatial coefficient (spatial
    errors under a dense matrix, often) says nothing against the others.
    """
    models: dict[str, Estimated | None] = {
        "linear": estimated(arrays, Lags(), correction),
        "SLX": slx,
    }
    failed: dict[str, str] = {}
    for name, lags in (
        ("SAR", Lags(outcome=lag)),
        ("SEM", Lags(errors=lag)),
        ("SDM", Lags(outcome=lag, covariates=lag)),
    ):
        try:
            models[name] = estimated(arrays, lags, correction)
        except NumericalError as error:
            if [problem.code for problem in error.problems] != ["N05"]:
                raise
            models[name] = None
            failed[name] = error.problems[0].what
    return models, failed


def _one_matrix(request: Request) -> None:
    held = {id(w.matrix): w.name for w in request.spatial.values()}
    names = set(held.values())
    if len(names) > 1:
        raise IdentificationError(
            "X20",
            f"the tests compare models with one matrix; here are {len(names)}",
            fix="spatial_weights: one name, or each: {spatial_weights: every}",
            path="model.spatial_weights",
        )


def _tests(
    arrays: Arrays,
    lag: Lag,
    models: Mapping[str, Estimated | None],
    correction: Correction,
    seed: int,
) -> list[Test]:
    statistics = _multiplier(arrays, lag, correction)
    found = [_lm(name, null, statistics) for name, null in _LM.items()]
    durbin = models["SDM"]
    for (name, null), smaller in zip(_LR.items(), ("SAR", "SEM"), strict=True):
        less = models[smaller]
        if durbin is None or less is None:
            missing = smaller if less is None else "SDM"
            found.append(Test(name, null, reason=f"{missing} is not estimated"))
        else:
            found.append(_ratio(name, null, durbin, less))
    if durbin is None:
        found += [
            Test(n, null, reason="SDM is not estimated") for n, null in NULLS.items()
        ]
    else:
        found += durbin_tests(durbin)
    found += unit_effects(arrays, lag)
    found.append(dependence(arrays, seed))
    return found


def _multiplier(arrays: Arrays, lag: Lag, correction: Correction) -> Multiplier:
    X = arrays.X / np.std(arrays.X, axis=(1, 2), keepdims=True)
    y = arrays.y / np.std(arrays.y)
    if not (arrays.unit or arrays.time):
        X = np.concatenate([X, np.ones((1, *y.shape))])
    problem = Problem(y, X, None, None, arrays.unit, arrays.time, correction)
    return lagrange(problem, lag.W)


def _lm(name: str, null: str, statistics: Multiplier) -> Test:
    from scipy.special import chdtrc

    value: float | None = getattr(statistics, name.replace("lm_", ""))
    if value is None:
        return Test(
            name,
            null,
            reason="the covariates explain their own lags, so lag and error can't be "
            "told apart",
        )
    return Test(name, null, value, "1", float(chdtrc(1, value)))


def _ratio(name: str, null: str, larger: Estimated, smaller: Estimated) -> Test:
    from scipy.special import chdtrc

    df = larger.parameters - smaller.parameters
    value = 2.0 * (larger.log_likelihood - smaller.log_likelihood)
    if value < 0:
        return Test(
            name,
            null,
            reason="the larger model's likelihood is lower: the models are not nested "
            "with this matrix",
        )
    return Test(name, null, value, f"{df}", float(chdtrc(df, value)))


def unit_effects(arrays: Arrays, lag: Lag) -> list[Test]:
    """Fixed against random unit effects in the Durbin model, two ways.

    Both sides by the transformation of Lee and Yu, whose variances are consistent for
    any number of periods. Coefficients of covariates and their lags are compared.
    """
    from scipy.special import chdtrc

    nulls = {
        "hausman": "unit effects are unrelated to the covariates (random effects)",
        "mundlak": "unit means of the covariates do not matter (random effects)",
    }

    def without_reason(why: str) -> list[Test]:
        return [Test(name, null, reason=why) for name, null in nulls.items()]

    if not arrays.unit:
        return without_reason("no unit effects are in the model")
    if len(arrays.ids) > MOST_UNITS:
        return without_reason(f"more than {MOST_UNITS:,} units")
    if arrays.time and not lag.row_normalised:
        return without_reason(
            "rows of the weights do not sum to one, so period effects are no longer "
            "taken out by deviations from period means"
        )
    X = arrays.X / np.std(arrays.X, axis=(1, 2), keepdims=True)
    Z = np.concatenate([X, lagged(lag.W, X)])
    y = arrays.y / np.std(arrays.y)
    k = len(Z)
    one = () if arrays.time else (np.ones((1, *y.shape)),)
    means = np.broadcast_to(Z.mean(axis=2, keepdims=True), Z.shape)

    def problem(*parts: Any) -> Problem:
        held = np.concatenate(parts)
        return Problem(y, held, lag, None, True, arrays.time, "lee_yu")

    try:
        fixed = maximise(problem(Z))
        plain = random_effects(problem(Z, *one))
        mundlak = random_effects(problem(Z, means, *one))
    except NoMaximumError as error:
        return without_reason(f"the random-effects likelihood has no maximum: {error}")
    found = hausman(fixed.b, covariance(fixed)[:k, :k], plain.b[:k], plain.V[:k, :k])
    if found.statistic is None:
        tests = [
            Test(
                "hausman",
                nulls["hausman"],
                reason="undefined here: the covariance of the fixed effects' "
                "coefficients less that of the random effects' is not positive definite "
                f"(smallest eigenvalue {found.smallest:.2g}), so random effects are not "
                "the more precise in every direction and the statistic could be "
                "negative; see mundlak",
            )
        ]
    else:
        p = float(chdtrc(k, found.statistic))
        tests = [Test("hausman", nulls["hausman"], found.statistic, f"{k}", p)]
    R = np.eye(k, len(mundlak.b), k)
    value = mundlak.b[k : 2 * k]
    return [*tests, wald("mundlak", nulls["mundlak"], value, R, mundlak.V)]


def _slx(m: Estimated, level: float) -> tuple[bool, str]:
    """Whether the neighbours' covariates matter without a lag of the outcome."""
    (test,) = durbin_tests(m)
    if test.p_value is None:
        return False, f"the SLX model can't be tested: {test.reason}"
    matters = test.p_value <= level
    said = "matter" if matters else "do not matter"
    return matters, f"in the SLX model the neighbours' covariates {said} ({_p(test)})"


def decide(
    tests: Mapping[str, Test],
    slx: tuple[bool, str],
    level: float,
    failed: frozenset[str] = frozenset(),
) -> tuple[str, list[str]]:
    """The path of Elhorst (2010; 2014, p. 61): the model and the steps in words.

    Args:
        tests: by name; those that can't be computed count as not rejected.
        slx: whether the neighbours' covariates matter in SLX, and the sentence.
        level: of all tests.
        failed: models without estimates; they can't be selected, and without the
            Durbin model nothing is.
    """

    def rejects(name: str) -> bool:
        p = tests[name].p_value
        return p is not None and p <= level

    lag, error = rejects("lm_lag"), rejects("lm_error")
    path = [
        (
            f"without spatial lags: LM lag {_p(tests['lm_lag'])}, LM error "
            f"{_p(tests['lm_error'])}; robust LM lag {_p(tests['robust_lm_lag'])}, robust LM "
            f"error {_p(tests['robust_lm_error'])}"
        )
    ]
    if not lag and not error:
        path.append(
            "neither a lag nor spatial errors: is there a lag of the covariates?"
        )
        matters, said = slx
        path.append(said)
        return ("SLX" if matters else "linear"), path
    if "SDM" in failed:
        path.append("the Durbin model has no estimates, so the path ends here")
        return NONE, path
    path.append(
        f"{'both' if lag and error else 'the lag' if lag else 'spatial errors'} "
        "found: the Durbin model is estimated and its two simplifications are tested"
    )
    to_lag = rejects("lr_lag") or rejects("wald_lag")
    to_error = rejects("lr_error") or rejects("wald_error")
    path.append(
        f"SAR (theta = 0): LR {_p(tests['lr_lag'])}, Wald {_p(tests['wald_lag'])}; SEM "
        f"(theta + rho beta = 0): LR {_p(tests['lr_error'])}, Wald "
        f"{_p(tests['wald_error'])}"
    )
    robust_lag, robust_error = rejects("robust_lm_lag"), rejects("robust_lm_error")
    points_lag = robust_lag or (lag and not robust_error)
    points_error = robust_error or (error and not robust_lag)
    if to_lag and to_error:
        path.append("both simplifications are rejected: the Durbin model")
        return "SDM", path
    to_lag, to_error = to_lag or "SAR" in failed, to_error or "SEM" in failed
    if not to_lag and points_lag and (to_error or not points_error):
        path.append("theta = 0 is not rejected and the LM tests point to the lag: SAR")
        return "SAR", path
    if not to_error and points_error and (to_lag or not points_lag):
        path.append(
            "theta + rho beta = 0 is not rejected and the LM tests point to the errors: "
            "SEM"
        )
        return "SEM", path
    path.append(
        "the model that the tests point to may be one without estimates: the Durbin model"
        if failed
        else "the tests of the Durbin model and the LM tests point to different models: "
        "the Durbin model, which holds both"
    )
    return "SDM", path


def _p(test: Test) -> str:
    if test.p_value is None or test.statistic is None:
        return f"not computed ({test.reason})"
    return f"{test.statistic:.3f} (p {test.p_value:.4f})"


def _listed(tests: Iterable[Test]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "null": test.null,
                "statistic": np.nan if test.statistic is None else test.statistic,
                "df": test.df,
                "p": np.nan if test.p_value is None else test.p_value,
                "not computed because": test.reason,
            }
            for test in tests
        ]
    )


def _side_by_side(models: Mapping[str, Estimated | None], chosen: str) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for name, m in models.items():
        row: dict[str, Any] = {"model": name}
        if m is not None:
            row |= {
                "log-likelihood": m.log_likelihood,
                "parameters": m.parameters,
                "AIC": 2 * m.parameters - 2 * m.log_likelihood,
                "BIC": m.parameters * float(np.log(m.arrays.y.size))
                - 2 * m.log_likelihood,
                "rho": m.rho if m.lags.outcome else np.nan,
                "lambda": m.lam if m.lags.errors else np.nan,
            }
        row["selected"] = name == chosen
        rows.append(row)
    return pd.DataFrame(rows)
