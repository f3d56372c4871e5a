"""Weights of the two-way estimate: identities, corollary by brute force, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from estimators._math.regression_weights import cell_weights, robustness
from estimators.twfe import Twfe
from estimators.twfe_weights import TwfeWeights
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of


def test_effects_times_weights_are_the_coefficient() -> None:
    """Without noise the coefficient is the weighted sum of the true effects."""
    data = adoption(3, noise=0.0, gaps=0.1)
    fixed = data.groupby("unit").y.transform(lambda s: float(len(s)))
    data["y"] = data.effect + fixed + 0.3 * data.time**2
    request = request_of(data)
    found = TwfeWeights().estimate(request)
    frame = found.frames["weights"]
    truth = data[data.d == 1].groupby(["first", "time"]).effect.mean()
    effect = truth.loc[list(zip(frame.cohort, frame.period, strict=True))].to_numpy()
    # one regression and a sum of a few hundred products
    assert frame.weight.sum() == pytest.approx(1.0, abs=1e-10)
    assert frame.weight @ effect == pytest.approx(
        found.scalars["two_way_estimate"], rel=1e-9
    )
    twfe = Twfe().estimate(request).coefficients.estimate[0]
    assert found.scalars["two_way_estimate"] == pytest.approx(twfe, rel=1e-10)


def test_weights_are_the_residualised_treatment() -> None:
    """In a balanced panel: D less its unit and period means, as a share."""
    data = adoption(4)
    d = data.pivot_table(index="unit", columns="time", values="d")
    eps = (
        d.sub(d.mean(axis=1), axis=0).sub(d.mean(axis=0), axis=1) + d.to_numpy().mean()
    )
    want = (eps * d / (eps * d).to_numpy().sum()).stack()
    negative = int((want < -1e-12).sum())
    found = TwfeWeights().estimate(request_of(data))
    by_period = found.frames["weights"].groupby("period").weight.sum()
    # closed form on both sides
    assert by_period.to_numpy() == pytest.approx(
        want.groupby(level=1).sum().loc[by_period.index].to_numpy(), abs=1e-11
    )
    assert found.scalars["n_negative_weights"] == negative


def test_one_date_of_adoption_has_equal_weights() -> None:
    found = TwfeWeights().estimate(request_of(adoption(5, sizes={5.0: 15, np.inf: 15})))
    assert found.scalars["n_negative_weights"] == 0
    # all effects count alike, so no spread of effects can hide them
    assert "effect_spread_opposite" not in found.scalars
    weight = found.frames["weights"].weight
    assert weight.to_numpy() == pytest.approx(np.full(4, 0.25), abs=1e-12)


@pytest.mark.parametrize("empty", [0, 2])
def test_the_corollary_by_brute_force(empty: int) -> None:
    """`empty` treated cells weigh nothing; their effects are restricted all the same."""
    rng = np.random.default_rng(0)
    n, beta = 6, 0.7
    share = rng.dirichlet(np.ones(n))
    eps = rng.normal(0.6, 1.0, n)
    eps[np.argsort(np.abs(eps))[:empty]] = 0.0
    weight = cell_weights(eps, np.ones(n), share)
    assert (weight < 0).any()
    first, opposite = robustness(beta, weight, share)

    def least(signs: bool) -> float:
        found = minimize(
            lambda x: share @ (x - share @ x) ** 2,
            np.full(n, -1.0 if signs else 0.0) + 0.1 * rng.normal(size=n),
            bounds=[(None, 0.0)] * n if signs else None,
            constraints=[
                {"type": "eq", "fun": lambda x: weight @ x - beta},
                *([] if signs else [{"type": "eq", "fun": lambda x: share @ x}]),
            ],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        return float(np.sqrt(found.fun))

    # a quadratic programme solved to about 1e-7
    assert first == pytest.approx(least(signs=False), rel=1e-5)
    assert opposite == pytest.approx(least(signs=True), rel=1e-5)


def test_the_unit_of_the_outcome_scales_the_spreads_only() -> None:
    data = adoption(1)
    a = TwfeWeights().estimate(request_of(data))
    b = TwfeWeights().estimate(request_of(data.assign(y=1000 * data.y)))
    # no weight depends on the outcome
    pd.testing.assert_frame_equal(a.frames["weights"], b.frames["weights"])
    assert b.scalars["effect_spread_zero"] == pytest.approx(
        1000 * a.scalars["effect_spread_zero"], rel=1e-10
    )


def test_every_reason_against_is_named() -> None:
    request = request_of(adoption(1))
    treatment = request.treatment
    assert treatment is not None
    column = treatment.columns[0]
    changed: dict[str, Any] = {
        "frame": request.frame.assign(**{column: -request.frame[column]}),
        "fixed_effects": (),
        "treatment": replace(treatment, columns=(column, "v000")),
    }
    with pytest.raises(EstimandError) as caught:
        TwfeWeights().estimate(replace(request, **changed))
    said = [p.what for p in caught.value.problems]
    assert {p.code for p in caught.value.problems} == {"E08"}
    for because in ("several treatments", "interacted", "negative", "no fixed effects"):
        assert any(because in what for what in said), because
