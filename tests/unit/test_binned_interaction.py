"""Bins of a moderator: by dummies, by groups, on simulated truth, and refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats

from estimators._math.l_moments import l_kurtosis
from estimators.binned_interaction import BinnedInteraction
from estimators.ols import Ols
from framework.contract import Request
from framework.errors import EstimandError
from tests.build_request import build_request


def sample(seed: int, *, step: float = 0.0, slope: float = 0.5, n: int = 600) -> Any:
    """Effect 1 + slope x + step (x > 0); treatment at random; 60 clusters."""
    rng = np.random.default_rng(seed)
    x, d = rng.normal(size=n), rng.integers(0, 2, n).astype(float)
    place = np.arange(n) % 60
    y = (1 + slope * x + step * (x > 0)) * d + np.sin(x) + rng.normal(size=n)
    y += rng.normal(size=60)[place]
    return pd.DataFrame({"y": y, "d": d, "x": x, "z": rng.normal(size=n), "g": place})


def request_of(data: pd.DataFrame, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "cross_section",
        "judged": ["d x"],
        "controls": ["z", "x"],
        "inference": "cluster",
        "clusters": ["g"],
    } | changes
    made = build_request(data.assign(**{"d x": data.d * data.x}), **fields)
    assert made.treatment is not None
    (moderator,) = (a for a, name in made.labels.items() if name == "x")
    return replace(made, treatment=replace(made.treatment, moderators=(moderator,)))


def by_dummies(data: pd.DataFrame, cuts: np.ndarray) -> tuple[Any, Any, Any]:
    """Estimates, CR1 covariance and medians of eq. 4, every column written out."""
    code = np.searchsorted(cuts, data.x, side="left")
    bins = range(len(cuts) + 1)
    at = [float(np.median(data.x[code == j])) for j in bins]
    G = [(code == j).astype(float) for j in bins]
    columns = [data.d * g for g in G]
    columns += [data.d * (data.x - m) * g for g, m in zip(G, at, strict=True)]
    columns += [*G, *((data.x - m) * g for g, m in zip(G, at, strict=True)), data.z]
    X, y = np.column_stack(columns), data.y.to_numpy()
    B = np.linalg.inv(X.T @ X)
    b = B @ X.T @ y
    scores = pd.DataFrame(X * (y - X @ b)[:, None]).groupby(data.g.to_numpy()).sum()
    n, k, g = len(X), X.shape[1], len(scores)
    factor = (n - 1) / (n - k) * g / (g - 1)
    return b, factor * B @ (scores.T @ scores).to_numpy() @ B, at


def test_estimates_errors_and_the_wald_test_by_dummies() -> None:
    data = sample(1, step=0.5)
    result = BinnedInteraction().estimate(request_of(data))
    cuts = np.quantile(data.x, [1 / 3, 2 / 3])
    b, V, at = by_dummies(data, cuts)
    # one regression written in two ways
    assert result.coefficients.estimate.to_numpy() == pytest.approx(b[:3], rel=1e-9)
    errors = np.sqrt(np.diag(V))[:3]
    assert result.coefficients.std_error.to_numpy() == pytest.approx(errors, rel=1e-8)
    R = np.zeros((4, len(b)))
    for i, j in enumerate((1, 2)):
        R[i, [j, 0, 3]] = 1, -1, -(at[j] - at[0])
        R[i + 2, [3 + j, 3]] = 1, -1
    F = (R @ b) @ np.linalg.solve(R @ V @ R.T, R @ b) / 4
    line, equal = result.tests
    assert line.name == "linear_interaction"
    # the same hypothesis in other coordinates
    assert line.statistic == pytest.approx(F, rel=1e-7)
    assert line.df == "4, 59"
    assert line.p_value == pytest.approx(stats.f.sf(F, 4, 59), rel=1e-6)
    E = np.zeros((2, len(b)))
    E[0, [1, 0]] = E[1, [2, 0]] = 1, -1
    F = (E @ b) @ np.linalg.solve(E @ V @ E.T, E @ b) / 2
    assert equal.statistic == pytest.approx(F, rel=1e-7)
    frame = result.frames["bins"]
    assert frame["median"].to_list() == pytest.approx(at, abs=0)
    assert frame.n_obs.sum() == len(data)
    t = stats.t(59)
    # the definition of a minimum detectable effect
    reach = (t.ppf(0.975) + t.ppf(0.8)) * errors
    assert frame.mde.to_numpy() == pytest.approx(reach, rel=1e-8)


def test_the_linear_model_beside_it_is_the_usual_interaction() -> None:
    data = sample(2)
    request = request_of(data)
    both = replace(request, estimand=("by_group", "interaction"))
    usual = Ols().estimate(request).coefficients
    found = BinnedInteraction().estimate(both)
    last = found.coefficients.iloc[-1]
    assert last.estimand == "interaction"
    # the same engine on the same columns
    assert last.estimate == pytest.approx(usual.estimate[0], rel=1e-12)
    assert last.std_error == pytest.approx(usual.std_error[0], rel=1e-12)
    frame = found.frames["bins"]
    line = usual.estimate[1] + usual.estimate[0] * frame["median"]
    assert frame.linear_estimate.to_numpy() == pytest.approx(line, rel=1e-12)
    first = replace(request, estimand=("interaction",))
    assert BinnedInteraction().estimate(first).coefficients.estimand[0] == "interaction"


def test_a_binary_moderator_gives_the_effects_of_its_groups() -> None:
    data = sample(3).assign(x=lambda f: (f.x > 0.3).astype(float))
    found = BinnedInteraction(bins=4).estimate(request_of(data, controls=["x"]))
    for x, estimate in zip((0, 1), found.coefficients.estimate, strict=True):
        part = data[data.x == x]
        means = part.groupby("d").y.mean()
        # without controls a group's effect is a difference of means
        assert estimate == pytest.approx(means[1] - means[0], rel=1e-9)
    assert found.coefficients.group.to_list() == ["0", "1"]
    assert found.tests[0].reason == "two points are always on a line"
    assert any("4 bins were asked for" in note for note in found.notes)


def test_no_unit_of_measurement_and_no_order_of_rows_matters() -> None:
    data = sample(4, step=1.0)
    plain = BinnedInteraction().estimate(request_of(data))
    scaled = BinnedInteraction().estimate(
        request_of(data.assign(x=100 * data.x + 7).sample(frac=1, random_state=1))
    )
    a, b = (
        f.coefficients[["estimate", "std_error"]].to_numpy() for f in (plain, scaled)
    )
    # rounding: the moderator's size enters squared
    assert b == pytest.approx(a, rel=1e-8)
    assert scaled.tests[0].statistic == pytest.approx(
        plain.tests[0].statistic, rel=1e-6
    )
    assert scaled.scalars["moderator_l_kurtosis"] == pytest.approx(
        plain.scalars["moderator_l_kurtosis"], abs=1e-10
    )


def test_simulated_truth_size_and_power() -> None:
    z, rejected = [], []
    for seed in range(60):
        found = BinnedInteraction().estimate(request_of(sample(100 + seed, n=300)))
        truth = 1 + 0.5 * found.frames["bins"]["median"].to_numpy()
        c = found.coefficients
        z.append((c.estimate - truth) / c.std_error)
        rejected.append(found.tests[0].p_value < 0.05)  # type: ignore[operator]  # computed
    # mean zero within three errors of a mean of 60; the ends' effects are independent
    assert np.abs(np.mean(z, axis=0)).max() < 3 / np.sqrt(60)
    # sixty draws of a five percent test: 0.05 + 3 sqrt(0.05 0.95 / 60) = 0.134
    assert np.mean(rejected) <= 0.134
    step = BinnedInteraction().estimate(request_of(sample(5, step=3.0, slope=0)))
    assert step.tests[0].p_value < 1e-3  # type: ignore[operator]  # computed


def test_a_bin_without_comparison_is_refused_all_at_once() -> None:
    data = sample(6)
    data.loc[data.x > 1, "d"] = 0.0
    data.loc[data.x < -1, "d"] = 1.0
    with pytest.raises(EstimandError) as caught:
        BinnedInteraction(cuts=(-1.0, 1.0)).estimate(request_of(data))
    said = [p for p in caught.value.problems if p.code == "I01"]
    assert len(said) == 2
    assert "extrapolated" in said[0].why


def test_what_cannot_have_bins() -> None:
    data = sample(7)
    request = request_of(data)
    with pytest.raises(EstimandError, match="all 600 rows are in one bin"):
        BinnedInteraction(cuts=(99.0,)).estimate(request)
    assert request.treatment is not None
    bare = replace(request, treatment=replace(request.treatment, moderators=()))
    with pytest.raises(EstimandError, match="one treatment and one moderator"):
        BinnedInteraction().estimate(bare)
    own = replace(
        request, treatment=replace(request.treatment, judged=request.treatment.columns)
    )
    with pytest.raises(EstimandError, match="no product of treatment and moderator"):
        BinnedInteraction().estimate(own)
    with pytest.raises(ValidationError, match="limits rise"):
        BinnedInteraction(cuts=(1.0, 1.0))


@pytest.mark.parametrize(
    ("law", "value"),
    [(stats.uniform, 0.0), (stats.norm, 0.1226), (stats.expon, 1 / 6)],
)
def test_l_kurtosis_of_known_laws(law: Any, value: float) -> None:
    x = law.ppf((np.arange(20_000) + 0.5) / 20_000)
    # Hosking's Table 1; a grid of quantiles loses the far tail
    assert l_kurtosis(x) == pytest.approx(value, abs=1e-3)
