"""Callaway-Sant'Anna on repeated cross-sections: by hand, identities, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math.two_period import NotFitted
from estimators._math.two_sections import att
from estimators.callaway_santanna import CallawaySantanna
from estimators.imputation import Imputation
from framework.contract import Request
from framework.errors import EstimandError
from framework.result import Result
from tests.build_cohorts import adoption
from tests.build_request import build_request
from tests.build_sections import surveys

ALL = ("att", "by_event_time", "by_cohort", "by_period")
# sums of a few thousand numbers near one
EXACT = 1e-11
METHODS = ("regression", "ipw", "doubly_robust")


def request_with(data: pd.DataFrame, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "absorbing",
        "cohort": "first",
        "inference": "cluster",
        "clusters": ["county"],
        "time": "year",
        "estimand": ALL,
    }
    return build_request(data, **(fields | changes))


def estimate(
    data: pd.DataFrame, options: dict[str, Any] | None = None, **changes: Any
) -> Result:
    return CallawaySantanna(**(options or {})).estimate(request_with(data, **changes))


def refused(data: pd.DataFrame, options: dict[str, Any] | None = None, **changes: Any):
    with pytest.raises(EstimandError) as caught:
        estimate(data, options, **changes)
    return caught.value.problems


def rows(result: Result, estimand: str) -> pd.DataFrame:
    return result.coefficients[result.coefficients.estimand == estimand]


# --- two groups, two periods -------------------------------------------------------


def two_by_two(
    seed: int = 0, n: int = 400
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Outcome, period, group, covariates, weights; score and regressions are wrong."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    chance = 1 / (1 + np.exp(-0.5 * x[:, 0] - 0.3 * x[:, 1] ** 2))
    d = (rng.random(n) < chance).astype(float)
    post = (rng.random(n) < 0.5).astype(float)
    y = x @ [1, 0.5] + post * (1 + x[:, 0] ** 2) + d * post + rng.normal(size=n)
    X = np.column_stack([np.ones(n), x])
    return y, post, d, X, rng.uniform(0.5, 2, n)


@pytest.mark.parametrize("method", METHODS)
def test_influence_is_the_derivative_by_the_weight_of_a_row(method: str):
    y, post, d, X, w = two_by_two()
    found = att(y, post, d, X, w, method)
    step = 1e-5
    for i in range(0, len(y), 29):
        moved = []
        for sign in (1, -1):
            other = w.copy()
            other[i] *= 1 + sign * step
            moved.append(att(y, post, d, X, other, method).estimate)
        # central differences of a number near one: 1e-16 / 1e-5, and step squared
        assert (moved[0] - moved[1]) / (2 * step) == pytest.approx(
            found.psi[i], abs=1e-8
        )
    assert found.psi.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_points_by_the_paper_s_formulas(method: str):
    """Sant'Anna and Zhao (2020): eq. 2.2, the Hajek form of 2.4, tau_2 of 3.4."""
    y, post, d, X, w = two_by_two(3)

    def line(some: np.ndarray) -> np.ndarray:
        root = np.sqrt(w[some])
        beta = np.linalg.lstsq(X[some] * root[:, None], y[some] * root, rcond=None)[0]
        return np.asarray(X @ beta)

    def mean(v: np.ndarray, weight: np.ndarray) -> float:
        return float(v @ weight / weight.sum())

    mu = {(g, t): line((d == g) & (post == t)) for g in (0.0, 1.0) for t in (0.0, 1.0)}
    gamma = np.zeros(X.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-X @ gamma))
        hessian = (X * (w * p * (1 - p))[:, None]).T @ X
        gamma += np.linalg.solve(hessian, X.T @ (w * (d - p)))
    odds = w * (1 - d) * p / (1 - p)
    treated = w * d
    change = mu[0, 1] - mu[0, 0]
    if method == "regression":
        expected = mean(y, treated * post) - mean(y, treated * (1 - post))
        expected -= mean(change, treated)
    else:
        left = y
        if method == "doubly_robust":
            left = y - np.where(post == 1, mu[0, 1], mu[0, 0])
        expected = mean(left, treated * post) - mean(left, treated * (1 - post))
        expected -= mean(left, odds * post) - mean(left, odds * (1 - post))
    if method == "doubly_robust":
        for t, sign, at in ((1.0, 1, post), (0.0, -1, 1 - post)):
            gap = mu[1, t] - mu[0, t]
            expected += sign * (mean(gap, treated) - mean(gap, treated * at))
    assert att(y, post, d, X, w, method).estimate == pytest.approx(expected, abs=EXACT)


def test_either_model_right_is_enough():
    """Effect 1; first the score is right and the regressions wrong, then the reverse."""
    rng = np.random.default_rng(8)
    n = 100_000
    x = rng.uniform(-2, 2, size=n)
    post = (rng.random(n) < 0.4).astype(float)
    X = np.column_stack([np.ones(n), x])
    steps = np.where(x > 1.2, 2.5, np.where(x > -1, -1.5, 0.0))
    for wrong, score, outcome in (
        ("regression", 0.9 * x - 0.5, np.exp(1.2 * x)),
        ("ipw", steps, 5 * x),
    ):
        d = (rng.random(n) < 1 / (1 + np.exp(-score))).astype(float)
        y = (1 + post) * outcome + d * post + rng.normal(size=n)
        found = att(y, post, d, X, np.ones(n), "doubly_robust")
        error = float(np.sqrt(found.psi @ found.psi))
        assert error < 0.06
        assert abs(found.estimate - 1) < 3 * error  # one draw
        alone = att(y, post, d, X, np.ones(n), wrong)
        assert abs(alone.estimate - 1) > 5 * np.sqrt(alone.psi @ alone.psi)


# --- cells and averages ------------------------------------------------------------


@pytest.mark.parametrize("group", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("base", ["universal", "varying"])
@pytest.mark.parametrize("anticipation", [0, 1])
def test_every_cell_is_a_difference_of_four_means(group, base, anticipation):
    data = surveys(1)
    found = estimate(
        data, {"control_group": group, "base_period": base}, anticipation=anticipation
    ).frames["group_time"]
    assert len(found) > 12
    for c in found.itertuples():
        long = base == "universal" or c.event_time >= -anticipation
        assert c.base_period == (c.cohort - anticipation - 1 if long else c.period - 1)
        later = max(c.period, c.base_period)
        control = np.isinf(data["first"])
        if group == "not_yet_treated":
            control |= (data["first"] > later + anticipation) & (
                data["first"] != c.cohort
            )
        own = data["first"] == c.cohort
        mean = {
            (g, t): data.y[some & (data.year == t)].mean()
            for g, some in (("own", own), ("control", control))
            for t in (c.period, c.base_period)
        }
        expected = mean["own", c.period] - mean["own", c.base_period]
        expected -= mean["control", c.period] - mean["control", c.base_period]
        assert c.estimate == pytest.approx(expected, abs=EXACT)
        used = data.year.isin([c.period, c.base_period])
        assert (c.n_treated, c.n_control) == (
            (own & used).sum(),
            (control & used).sum(),
        )


def test_averages_weigh_cohorts_by_their_rows():
    data = surveys(2)
    result = estimate(data)
    size = data.groupby("first").size()
    cells = result.frames["group_time"]
    post = cells[cells.event_time >= 0]
    expected = np.average(post.estimate, weights=size[post.cohort])
    assert rows(result, "att").estimate.iloc[0] == pytest.approx(expected, abs=EXACT)
    for e, some in cells.groupby("event_time"):
        row = rows(result, "by_event_time").set_index("event_time").loc[e]
        expected = np.average(some.estimate, weights=size[some.cohort])
        assert row.estimate == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("controls", [[], ["x"]])
def test_influence_is_the_derivative_by_the_weight_of_a_cluster(controls):
    """Shares of cohorts included: all four kinds of rows, weights of the survey."""
    data = surveys(3)
    result = estimate(data, controls=controls, weights=("probability", "w"))
    psi = result.influence
    np.testing.assert_allclose(
        np.sqrt((psi**2).sum()), result.coefficients.std_error, rtol=1e-12
    )
    np.testing.assert_allclose(psi.sum(), 0, atol=1e-12)  # an average's sum to zero
    step = 1e-5
    for county in ("c003", "c020", "c041"):
        moved = [
            estimate(
                data.assign(w=data.w * np.where(data.county == county, scale, 1.0)),
                controls=controls,
                weights=("probability", "w"),
            ).coefficients.estimate
            for scale in (1 + step, 1 - step)
        ]
        slope = (moved[0] - moved[1]) / (2 * step)
        # central differences of numbers near one: 1e-16 / 1e-5, and step squared
        np.testing.assert_allclose(slope, psi.loc[county], atol=1e-8)


def test_a_balanced_panel_without_covariates_has_the_same_points():
    """Unit effects cancel in means of the same units; errors differ, and are larger."""
    data = adoption(4)
    options = {"control_group": "not_yet_treated"}
    panel = CallawaySantanna(**options).estimate(
        build_request(
            data,
            outcome="y",
            treatment="d",
            kind="absorbing",
            cohort="first",
            inference="cluster",
            clusters=["unit"],
            unit="unit",
            time="time",
            estimand=ALL,
        )
    )
    sections = estimate(data, options, clusters=["unit"], time="time")
    assert len(panel.coefficients) == len(sections.coefficients) > 15
    np.testing.assert_allclose(
        sections.coefficients.estimate, panel.coefficients.estimate, atol=EXACT
    )
    # clustered by unit a mean's change is the mean of changes, errors as well
    np.testing.assert_allclose(
        sections.coefficients.std_error, panel.coefficients.std_error, atol=EXACT
    )
    alone = estimate(data, options, inference="hetero", clusters=[], time="time")
    assert alone.coefficients.std_error[0] > sections.coefficients.std_error[0]


def test_clusters_sum_the_influence_of_their_rows():
    data = surveys(5)
    alone = estimate(data, inference="hetero", clusters=[])
    assert len(alone.influence) == len(data)
    ordered = data.sort_values("year", kind="stable").reset_index(drop=True)
    for column in ("county", "region"):
        summed = alone.influence.groupby(ordered[column].to_numpy()).sum()
        found = estimate(data, clusters=[column]).influence
        np.testing.assert_allclose(found.sort_index(), summed.sort_index(), atol=1e-13)


@pytest.mark.parametrize("controls", [[], ["x"]], ids=["plain", "x"])
@pytest.mark.parametrize(
    "errors", [{}, {"inference": "hetero", "clusters": []}], ids=["groups", "rows"]
)
def test_weights_are_copies_of_rows(errors, controls):
    data = surveys(6)
    copies = data.loc[data.index.repeat(data.w.astype(int))]
    asked = {"controls": controls, **errors}
    weighted = estimate(data, weights=("frequency", "w"), **asked)
    repeated = estimate(copies, **asked)
    columns = ["estimate", "std_error"]
    np.testing.assert_allclose(
        weighted.coefficients[columns], repeated.coefficients[columns], atol=EXACT
    )
    for one, two in zip(weighted.tests, repeated.tests, strict=True):
        assert one.p_value == pytest.approx(two.p_value, abs=1e-9)  # a Wald form


def test_a_trend_of_the_covariate_is_removed():
    data = surveys(7, trend_in_x=0.5, rows=(60, 80), place=0.0)
    true = data[data.d == 1].groupby(["first", "year"]).effect.mean().reset_index()
    size = data.groupby("first").size()
    expected = np.average(true.effect, weights=size[true["first"]])
    for method in METHODS:
        row = estimate(data, {"method": method}, controls=["x"]).coefficients.iloc[0]
        assert abs(row.estimate - expected) < 3 * row.std_error  # one draw
    plain = estimate(data).coefficients.iloc[0]
    assert abs(plain.estimate - expected) > 5 * plain.std_error


def test_order_names_and_units_of_measure():
    data = surveys(8)
    plain = estimate(data, controls=["x"]).coefficients
    moved = data.sample(frac=1, random_state=1).assign(
        county=lambda f: "z" + f.county.str[::-1]
    )
    other = estimate(moved, controls=["x"]).coefficients
    columns = ["estimate", "std_error"]
    np.testing.assert_allclose(other[columns], plain[columns], atol=EXACT)
    scaled = data.assign(y=1000 * data.y + 5, x=data.x / 1e4 + 7)
    other = estimate(scaled, controls=["x"]).coefficients
    # thousands, and a covariate of which four digits are left behind the seven
    np.testing.assert_allclose(other[columns], 1000 * plain[columns], rtol=1e-7)


def test_bands_and_both_pretrend_tests():
    data = surveys(9)
    result = estimate(data, {"bootstrap": 499}, estimand=("by_event_time",))
    bands = result.frames["bands"]
    reach = (bands.conf_high - bands.estimate) / result.coefficients.std_error
    assert reach.to_numpy() == pytest.approx(bands.critical.iloc[0])
    assert 2.2 < bands.critical.iloc[0] < 3.2  # above 1.96, below Bonferroni's
    names = {t.name: t for t in result.tests}
    assert 0 <= names["joint_pretrend"].p_value <= 1
    assert names["joint_pretrend_cells"].statistic > 0
    window = estimate(data, {"window": [-2, 1]}, estimand=("by_event_time",))
    assert sorted(window.coefficients.event_time) == [-2, 0, 1]


def test_what_is_counted_and_said():
    data = surveys(10)
    result = estimate(data)
    assert result.scalars["n_obs"] == len(data)
    assert "n_units" not in result.scalars
    assert result.scalars["n_treated_obs"] == data.d.sum()
    assert result.scalars["n_clusters"] == data.county.nunique()
    assert result.scalars["outcome_mean"] == pytest.approx(data.y.mean())
    before = data[(data.d == 0) & np.isfinite(data["first"])]
    assert result.scalars["outcome_mean_before"] == pytest.approx(before.y.mean())
    assert any(n.startswith("Repeated cross-sections: N counts") for n in result.notes)
    assert any("not-yet-treated rows" in n for n in result.notes)
    support = result.frames["support"].set_index("event_time")
    on = data[data["first"] == data.year]
    assert support.n_obs[0] == len(on)
    assert support.n_clusters[0] == on.county.nunique()
    assert support.n_cohorts[0] == on["first"].nunique()
    alone = estimate(data, inference="hetero", clusters=[])
    assert "n_clusters" not in alone.scalars


# --- holes -------------------------------------------------------------------------


def test_cells_without_rows_of_their_cohort_are_left_out_and_named():
    data = surveys(11)
    data = data[~((data["first"] == 2014) & (data.year == 2015))]
    result = estimate(data)
    cells = result.frames["group_time"]
    assert not ((cells.cohort == 2014) & (cells.period == 2015)).any()
    assert any(
        "cohort 2014 in 2015" in n and "1 treated cell" in n for n in result.notes
    )
    # a control that is seen in one of two periods only would change who is compared
    told = [n for n in result.notes if "are no controls there" in n]
    assert told == [] or "2014" in told[0]


def test_controls_seen_in_one_period_only_are_no_controls():
    data = surveys(12)
    data = data[~((data["first"] == 2015) & (data.year == 2011))]
    result = estimate(data)
    assert any("(2015) are no controls there" in n for n in result.notes)
    row = result.frames["group_time"].query("cohort == 2012 and period == 2012").iloc[0]
    some = data[np.isinf(data["first"]) | (data["first"] == 2014)]
    used = some.year.isin([2011, 2012])
    assert row.n_control == used.sum()


def test_a_cohort_without_its_base_period_is_a_control_only():
    data = surveys(13)
    data = data[~((data["first"] == 2014) & (data.year == 2013))]
    result = estimate(data)
    assert any("No effect of cohort 2014 is identified" in n for n in result.notes)
    assert 2014 not in set(rows(result, "by_cohort").cohort)


def test_without_never_treated_the_last_cohort_is_control_only():
    data = surveys(14)
    data = data[np.isfinite(data["first"])]
    result = estimate(data)
    assert set(rows(result, "by_cohort").cohort) == {2012, 2014}
    assert any("have no control left" in n for n in result.notes)
    [problem] = refused(data, {"control_group": "never_treated"})
    assert problem.code == "E04"


def test_always_treated_cohorts_are_refused_until_dropped():
    data = surveys(15).replace({"first": {2012.0: 2010.0}})
    data["d"] = (data.year >= data["first"]).astype(float)
    [problem] = refused(data)
    assert problem.code == "E05"
    assert "first period is 2010" in problem.what
    dropped = estimate(data, {"always_treated": "drop"})
    lost = int((data["first"] == 2010).sum())
    assert any(n.startswith(f"{lost} rows of cohorts treated") for n in dropped.notes)
    without = estimate(data[data["first"] != 2010])
    assert (
        dropped.coefficients.estimate.tolist() == without.coefficients.estimate.tolist()
    )


def test_cohorts_treated_after_the_end_are_never_treated():
    data = surveys(16)
    late = data.assign(first=data["first"].replace(np.inf, 2030.0))
    result = estimate(late, {"control_group": "never_treated"})
    assert any("count as never treated" in n for n in result.notes)
    plain = estimate(data, {"control_group": "never_treated"})
    assert result.coefficients.estimate.tolist() == plain.coefficients.estimate.tolist()


# --- refusals ----------------------------------------------------------------------


def test_no_overlap_and_collinear_covariates_are_said_for_all_cells_at_once():
    data = surveys(17)
    data["apart"] = np.where(np.isfinite(data["first"]), 1.0, 0.0)
    data["twice"] = 2 * data.x + 1
    for method in METHODS:
        [problem] = refused(data, {"method": method}, controls=["x", "twice"])
        assert problem.code == "I11"
        assert "18 group-time effects" in problem.what
    [problem] = refused(data, {"method": "ipw"}, controls=["apart"])
    assert problem.code == "I11"


@pytest.mark.parametrize(("group", "who"), [(0, "3 controls"), (1, "3 treated rows")])
def test_regressions_of_few_rows_say_whose_they_are(group: int, who: str):
    y, post, d, X, w = two_by_two(n=60)
    some = np.cumsum((d == group) & (post == 1)) <= 3
    keep = (d != group) | (post == 0) | some
    data = [a[keep] for a in (y, post, d, X, w)]
    with pytest.raises(NotFitted, match=f"{who} of one period do not determine"):
        att(*data, "doubly_robust")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"clusters": ["county", "region"]}, "I09"),
        ({"fixed_effects": ["region"]}, "E11"),
        ({"slopes": [("x", "county")]}, "E11"),
        ({"cohort": None}, "E01"),
        ({"controls": ["broken"]}, "D08"),
    ],
)
def test_bad_inputs(change: dict[str, Any], code: str):
    data = surveys(18).assign(broken=np.nan)
    assert code in {p.code for p in refused(data, **change)}


def test_effects_of_periods_and_of_parts_of_cohorts():
    data = surveys(19)
    plain = estimate(data)
    held = estimate(data, fixed_effects=["county", "year"])
    pd.testing.assert_frame_equal(held.coefficients, plain.coefficients)
    [note] = set(held.notes) - set(plain.notes)
    assert note.startswith("Cohorts are compared whole: effects of 'county'")


def test_few_clusters_and_few_treated_are_refused_unless_acknowledged():
    few = surveys(20, counties={2012.0: 2, 2014.0: 2, np.inf: 4})
    assert {p.code for p in refused(few)} == {"I05"}
    some = surveys(20, counties={2012.0: 2, 2014.0: 2, np.inf: 20})
    assert {p.code for p in refused(some)} == {"I08"}
    told = estimate(some, acknowledge=frozenset({"few_treated"})).notes
    assert any("rest on fewer than 5 clusters" in n for n in told)


def test_units_seen_once_are_counted_in_a_panel_and_used_without_one():
    data = adoption(22)
    alone = sorted(set(data.unit[np.isinf(data["first"])]))[::3]
    other = data.time != 1 + data.unit.str[1:].astype(int) % 8
    data = data[~(data.unit.isin(alone) & other)]
    without = data[~data.unit.isin(alone)]
    panel = estimate(data, unit="unit", clusters=["unit"], time="time")
    [note] = [n for n in panel.notes if "seen in one period only" in n]
    assert note.startswith(f"{len(alone)} of {data.unit.nunique()} units")
    again = estimate(without, unit="unit", clusters=["unit"], time="time")
    cells = [r.frames["group_time"].estimate for r in (panel, again)]
    np.testing.assert_allclose(*cells, atol=EXACT)
    sections, fewer = (
        estimate(some, clusters=["unit"], time="time").frames["group_time"]
        for some in (data, without)
    )
    assert (sections.n_control > fewer.n_control).any()
    assert (sections.n_treated == fewer.n_treated).all()


@pytest.mark.parametrize("plugin", [CallawaySantanna, Imputation])
def test_a_panel_whose_units_are_each_seen_once_is_no_panel(plugin):
    data = surveys(21)
    request = request_with(data, unit="person", clusters=["person"], estimand=("att",))
    with pytest.raises(EstimandError, match="no 'person' is seen in two periods"):
        plugin().estimate(request)
