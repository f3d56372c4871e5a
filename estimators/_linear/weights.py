"""What `twfe_weights` reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import (
    Design,
    build,
    control_regressors,
    label,
    treatment_regressors,
)
from estimators._linear.engine import demeaned_like, fit, prepare
from estimators._linear.options import SmallSample
from estimators._math.projection import Floats
from estimators._math.regression_weights import cell_weights, robustness
from framework.contract import Inference
from framework.errors import (
    EstimandError,
    IdentificationError,
    NumericalError,
    Problem,
    counted,
)
from framework.result import COEFFICIENT_COLUMNS, Plot, Result

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request

#: Weights below this are rounding of a residual that is zero (Stata's limit).
NOTHING = 1e-10
#: The coefficient from the weights' residual against the regression's: the same sums.
EXACT = 1e-8


def weights(request: Request) -> Result:
    """Weights of the treated cells' effects, how many are negative, robustness.

    Raises:
        IdentificationError: E08 not applicable, and every reason why; those of `twfe`.
        NumericalError: N05 the residual does not give the coefficient.
    """
    import pandas as pd

    problems = list(_unfit(request))
    if problems:
        raise EstimandError(problems)
    regressors = [*treatment_regressors(request), *control_regressors(request)]
    # No standard errors are shown, so few clusters are no reason to stop.
    design = build(request, regressors, min_clusters=0)
    fitted = fit(design, Inference("iid"), SmallSample())
    design, beta = fitted.design, float(fitted.estimate[0])
    D = design.regressors[0].values
    mass = design.scaled_weights()
    eps = _residual(design, D, mass)
    if not abs((mass * eps) @ design.outcome / ((mass * eps) @ D) - beta) <= EXACT * (
        abs(beta) + float(np.std(design.outcome))
    ):
        raise NumericalError(
            "N05",
            "the treatment's residual does not give the regression's coefficient",
            why="The weights would be those of another regression.",
            fix="report this study as a fault of the software",
        )
    weight = cell_weights(eps, D, mass)
    weight[np.abs(weight) < NOTHING] = 0.0
    on = D != 0
    share = (mass * D)[on] / (mass * D).sum()
    sigma, opposite = robustness(beta, weight[on], share)
    empty: dict[str, Any] = {
        name: pd.Series(
            [], dtype="str" if name in COEFFICIENT_COLUMNS[:3] else "float64"
        )
        for name in COEFFICIENT_COLUMNS
    }
    scalars = {
        "n_obs": float(design.n),
        "n_treated_obs": float(on.sum()),
        "n_singletons": float(design.n_singletons),
        "two_way_estimate": beta,
        "n_positive_weights": float((weight > 0).sum()),
        "n_negative_weights": float((weight < 0).sum()),
        "weight_negative": float(-weight[weight < 0].sum()),
    }
    if np.isfinite(sigma):
        scalars["effect_spread_zero"] = sigma
    if opposite is not None:
        scalars["effect_spread_opposite"] = opposite
    frame = _frame(design, weight, share, on)
    return Result(
        coefficients=pd.DataFrame(empty),
        scalars=scalars,
        frames={"weights": frame},
        plots=_plots(frame),
        notes=tuple(_notes(design, scalars, request)),
    )


def _unfit(request: Request) -> Iterator[Problem]:
    def refuse(because: str, fix: str, why: str = "") -> Iterator[Problem]:
        yield from IdentificationError(
            "E08",
            f"the weights are not applicable, because {because}",
            why=why,
            fix=fix,
        ).problems

    treatment = request.treatment
    if treatment is None:
        yield from refuse("there is no treatment", "model.treatment: a column")
        return
    if len(treatment.columns) > 1:
        yield from refuse(
            "there are several treatments",
            "treatment: one column on this line",
            "Each coefficient then also holds effects of the other treatments.",
        )
    if treatment.judged and treatment.judged != treatment.columns:
        yield from refuse("the treatment is interacted", "interact: null on this line")
    D = request.frame[treatment.columns[0]].to_numpy(dtype=np.float64)
    below = int((D < 0).sum())
    if below:
        yield from refuse(
            f"'{label(request, treatment.columns[0])}' is negative in "
            f"{counted(below, 'row')}",
            "a treatment that is zero where there is none",
            "Shares of all treatment would not be shares.",
        )
    if not request.fixed_effects:
        yield from refuse(
            "the model has no fixed effects", "fixed_effects: [unit, period]"
        )


def _residual(design: Design, D: Floats, mass: Floats) -> Floats:
    """(n,) treatment after controls and fixed effects."""
    root = np.sqrt(mass)
    d = demeaned_like(design, D[:, None])[:, 0] * root
    held = prepare(design).X[:, 1:] * root[:, None]
    if held.shape[1]:
        for _ in range(2):  # refined: what the first solution loses to rounding
            d = d - held @ np.linalg.lstsq(held, d, rcond=None)[0]
    return np.asarray(d / root)


def _frame(design: Design, weight: Floats, share: Floats, on: Any) -> pd.DataFrame:
    """Sums by cohort and period; by period where there are no cohorts."""
    import pandas as pd

    held: dict[str, Any] = {}
    if design.cohort is not None:
        held["cohort"] = design.cohort[on].astype(np.int64)
    if design.time is not None:
        held["period"] = design.time[on]
    if not held:
        held["group"] = np.zeros(int(on.sum()), dtype=np.int64)
    rows = pd.DataFrame(held)
    by = list(rows.columns)
    rows["weight"] = weight[on]
    rows["share"] = share
    rows["n_obs"] = 1
    rows["n_negative"] = (weight[on] < 0).astype(np.int64)
    return rows.groupby(by, as_index=False, sort=True).sum()


def _plots(frame: pd.DataFrame) -> tuple[Plot, ...]:
    if "period" not in frame:
        return ()
    options = {"x": "period", "y": "weight"}
    if "cohort" in frame:
        options["group"] = "cohort"
    return (
        Plot(
            "scatter",
            "weights",
            title="weights of the effects in the two-way fixed effects estimate",
            options=options,
        ),
    )


def _notes(
    design: Design, scalars: dict[str, float], request: Request
) -> Iterator[str]:
    positive = int(scalars["n_positive_weights"])
    negative = int(scalars["n_negative_weights"])
    yield (
        f"Under common trends the coefficient {scalars['two_way_estimate']:.6g} is a "
        f"weighted sum of {positive + negative} effects of treated rows; {negative} "
        f"weights are negative and sum to {-scalars['weight_negative']:.4f}, all sum "
        "to 1."
    )
    if "effect_spread_zero" in scalars:
        yield (
            "Effects that are zero on average give this coefficient if their standard "
            f"deviation is {scalars['effect_spread_zero']:.4g} outcome units or more"
            + (
                "; effects that all have the opposite sign if it is "
                f"{scalars['effect_spread_opposite']:.4g} or more."
                if "effect_spread_opposite" in scalars
                else ". No weight is negative: if all effects have one sign, so has it."
            )
        )
    if not design.binary:
        yield "The treatment is no 0/1 column: effects are those per unit of it."
    if request.controls:
        yield "With controls their trends, too, have to be common given the controls."
