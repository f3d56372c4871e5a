"""Imputation and did2s: against the papers' matrices written out, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math.two_way_fit import components
from estimators.did2s import Did2s
from estimators.imputation import Imputation
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of

ALL = ("att", "by_event_time", "by_cohort", "by_period")
SMALL = {4.0: 5, 6.0: 6, 7.0: 4, np.inf: 9}
# pseudo-inverses of a few hundred rows
DENSE = 1e-8


def estimate(data: pd.DataFrame, plugin: Any = None, **changes: Any):
    changes.setdefault("estimand", ALL)
    changes.setdefault("acknowledge", frozenset({"few_treated"}))
    return (plugin or Imputation()).estimate(request_of(data, **changes))


def rows(result: Any, estimand: str) -> pd.DataFrame:
    return result.coefficients[result.coefficients.estimand == estimand]


class Written:
    """The first stage with dummies, and every weight v of the paper's theorems."""

    def __init__(self, data, controls=(), weights=None, anticipation=0):
        data = data.sort_values(["unit", "time"]).reset_index(drop=True)
        self.data = data
        self.event = (data.time - data["first"]).to_numpy()
        self.w = data[weights].to_numpy() if weights else np.ones(len(data))
        Z = np.hstack(
            [
                pd.get_dummies(data.unit).to_numpy(float),
                pd.get_dummies(data.time).to_numpy(float),
                data[list(controls)].to_numpy(float),
            ]
        )
        self.old = self.event < -anticipation
        W0 = self.w[self.old]
        Z0 = Z[self.old]
        self.bread = np.linalg.pinv((Z0 * W0[:, None]).T @ Z0, rcond=1e-11)
        theta = self.bread @ (Z0 * W0[:, None]).T @ data.y.to_numpy()[self.old]
        self.Z = Z
        self.left = data.y.to_numpy() - Z @ theta

    def weights_of(self, chosen):
        """(w1, v): target weights over the chosen rows and v over all rows."""
        w1 = np.where(chosen, self.w, 0.0)
        w1 = w1 / w1.sum()
        v = w1.copy()
        v[self.old] -= self.w[self.old] * (
            self.Z[self.old] @ self.bread @ (self.Z.T @ w1)
        )
        return w1, v

    def conservative(self, chosen, groups, cluster):
        """Estimate and standard error of Borusyak, Jaravel and Spiess, Theorem 3."""
        w1, v = self.weights_of(chosen)
        errors = self.left.copy()
        ids = self.data[cluster].to_numpy()
        key = self.data[groups].astype(str).agg("|".join, axis=1).to_numpy()
        for g in np.unique(key[chosen]):
            on = chosen & (key == g)
            top = bottom = 0.0
            for c in np.unique(ids[on]):
                mine = on & (ids == c)
                top += v[mine].sum() * (v[mine] * self.left[mine]).sum()
                bottom += v[mine].sum() ** 2
            errors[on] -= top / bottom
        score = pd.Series(v * errors).groupby(ids).sum()
        return w1 @ self.left, np.sqrt((score**2).sum())

    def gmm(self, chosen, cluster):
        """Estimate and standard error of Gardner's second stage."""
        w1, v = self.weights_of(chosen)
        mean = w1 @ self.left
        own = w1 * (self.left - mean)
        first = (v - w1) * np.where(self.old, self.left, 0.0)
        score = pd.Series(own + first).groupby(self.data[cluster].to_numpy()).sum()
        return mean, np.sqrt((score**2).sum())


CASES = [
    {},
    {"gaps": 0.15},
    {"gaps": 0.1, "controls": ["z"]},
    {"weights": "w"},
    {"cluster": "region"},
    {"gaps": 0.1, "controls": ["z"], "weights": "w", "cluster": "region"},
    {"anticipation": 1, "gaps": 0.1},
]


def targets(data: pd.DataFrame, anticipation: int):
    event = (data.time - data["first"]).to_numpy()
    post = event >= 0
    yield "att", None, post
    for e in np.unique(event[event >= -anticipation]):
        yield "by_event_time", e, event == e
    for g in np.unique(data["first"][post]):
        yield "by_cohort", g, post & (data["first"] == g).to_numpy()
    for t in np.unique(data.time[post]):
        yield "by_period", t, post & (data.time == t).to_numpy()


@pytest.mark.parametrize("case", CASES, ids=[" ".join(c) or "plain" for c in CASES])
@pytest.mark.parametrize("plugin", ["imputation", "did2s"])
def test_every_effect_and_error_as_written_in_the_paper(case, plugin):
    data = adoption(3, sizes=SMALL, gaps=case.get("gaps", 0.0))
    data = data.sort_values(["unit", "time"]).reset_index(drop=True)
    controls, cluster = case.get("controls", []), case.get("cluster", "unit")
    weights, anticipation = case.get("weights"), case.get("anticipation", 0)
    result = estimate(
        data,
        Imputation(pretrends=2) if plugin == "imputation" else Did2s(),
        controls=controls,
        clusters=[cluster],
        weights=("analytic", weights) if weights else None,
        anticipation=anticipation,
    )
    written = Written(data, controls, weights, anticipation)
    index = {
        "by_event_time": "event_time",
        "by_cohort": "cohort",
        "by_period": "period",
    }
    seen = 0
    for estimand, at, chosen in targets(data, anticipation):
        got = rows(result, estimand)
        if at is not None:
            got = got[got[index[estimand]] == at]
        if plugin == "imputation":
            wanted = written.conservative(chosen, ["first", "time"], cluster)
        else:
            wanted = written.gmm(chosen, cluster)
        assert got.estimate.iloc[0] == pytest.approx(wanted[0], abs=DENSE)
        assert got.std_error.iloc[0] == pytest.approx(wanted[1], abs=DENSE)
        seen += 1
    assert seen > 12


@pytest.mark.parametrize("by", ["event_time", "all"])
def test_coarser_averages_in_the_variance(by):
    data = adoption(4, sizes=SMALL)
    result = estimate(data, Imputation(average_by=by))
    written = Written(data)
    chosen = written.event >= 0
    data["event"], data["one"] = written.event, 1
    written.data = written.data.assign(event=written.event, one=1)
    groups = ["event"] if by == "event_time" else ["one"]
    expected = written.conservative(chosen, groups, "unit")
    row = rows(result, "att").iloc[0]
    assert row.std_error == pytest.approx(expected[1], abs=DENSE)


def test_leads_are_the_regression_on_untreated_rows():
    from tests.build_panel import lsdv

    data = adoption(5, gaps=0.1)
    result = estimate(data, Imputation(pretrends=3))
    old = data[data.time < data["first"]].copy()
    old = old[old.groupby("unit").time.transform("size") > 1]
    old = old[old.groupby("time").unit.transform("size") > 1]
    names = []
    for k in (-3, -2, -1):
        names.append(f"lead{-k}")
        old[names[-1]] = (old.time - old["first"] == k).astype(float)
    beta, error = lsdv(old, "y", names, ["unit", "time"], "unit", nested=["unit"])
    got = rows(result, "by_event_time").query("event_time < 0")
    assert list(got.event_time) == [-3, -2, -1]
    np.testing.assert_allclose(got.estimate, beta, atol=DENSE)
    # singletons count in our n and not in theirs
    np.testing.assert_allclose(got.std_error, error, rtol=2e-2)


def test_imputation_and_did2s_have_the_same_estimates():
    data = adoption(6, gaps=0.1)
    one = estimate(data, controls=["z"])
    two = estimate(data, Did2s(), controls=["z"])
    for estimand in ("att", "by_cohort", "by_period"):
        np.testing.assert_allclose(
            rows(one, estimand).estimate, rows(two, estimand).estimate, atol=1e-12
        )
    after = "event_time >= 0"
    np.testing.assert_allclose(
        rows(one, "by_event_time").query(after).estimate,
        rows(two, "by_event_time").query(after).estimate,
        atol=1e-12,
    )
    # effects within a cohort and event time differ less than all effects do
    assert rows(one, "att").std_error.iloc[0] < rows(two, "att").std_error.iloc[0]


def five_apart(data: pd.DataFrame) -> pd.DataFrame:
    """The same panel with a period every five years, in units of years."""
    return data.assign(time=1950 + 5 * data.time, first=1950 + 5 * data["first"])


NEVER_LESS = {4.0: 6, 6.0: 7, 8.0: 8}
UNTESTED = {
    "plain": ({}, {}, {-1}),
    "spaced": ({"spaced": True}, {}, {-5}),
    "anticipation": ({}, {"anticipation": 2}, {-3}),
    # a trend, and what alternates: cohorts are two periods apart
    "no never-treated": ({"sizes": NEVER_LESS}, {}, {-3, -2, -1}),
    "window": ({"sizes": NEVER_LESS}, {"window": (-4, 2)}, {-1}),
    "chosen": ({}, {"untested": -4}, {-4}),
    "gaps, weights, covariates": ({"gaps": 0.1}, {"weights": "w"}, {-1}),
}


@pytest.mark.parametrize("case", UNTESTED)
def test_the_test_of_residuals_leaves_out_what_follows_from_the_others(case):
    how, said, untested = UNTESTED[case]
    options = {k: v for k, v in said.items() if k in {"untested", "window"}}
    anticipation = said.get("anticipation", 0)

    def one(seed: int) -> Any:
        data = adoption(8, sizes=how.get("sizes", SMALL), gaps=how.get("gaps", 0.0))
        data["y"] = np.random.default_rng(seed).normal(size=len(data))
        return estimate(
            five_apart(data) if how.get("spaced") else data,
            Did2s(**options),
            anticipation=anticipation,
            controls=["z"] if "gaps" in how else [],
            weights=("analytic", "w") if "weights" in said else None,
        )

    results = [one(seed) for seed in range(12)]
    leads = rows(results[0], "by_event_time").query("event_time < -@anticipation")
    tested = ~leads.event_time.isin(untested).to_numpy()
    means = np.array([r.coefficients.estimate[leads.index] for r in results])
    # exact up to the rounding of the first stage: all leads have no more directions
    # than the tested ones, and these are all free
    rank = np.linalg.matrix_rank(means[:, tested], tol=1e-9)
    assert rank == tested.sum()
    if case != "window":
        assert np.linalg.matrix_rank(means, tol=1e-9) == rank
    joint = next(t for t in results[0].tests if t.name == "joint_pretrend")
    assert joint.df == str(tested.sum())
    note = next(n for n in results[0].notes if "mean residuals" in n)
    assert f"{', '.join(map(str, sorted(untested)))} " in note


def test_years_between_periods_move_no_number_of_the_test_of_residuals():
    data = adoption(9, sizes=SMALL)
    one, two = (estimate(d, Did2s()).tests[0] for d in (data, five_apart(data)))
    assert one == two


def test_an_untested_event_time_that_there_is_not_is_refused():
    with pytest.raises(EstimandError, match="untested event time -1") as caught:
        estimate(five_apart(adoption(9, sizes=SMALL)), Did2s(untested=-1))
    assert caught.value.problems[0].code == "E02"
    assert "-25, -20, -15, -10, -5" in str(caught.value)


def test_no_errors_no_gap_exact_effects():
    data = adoption(7, noise=0.0, gaps=0.1, trend_in_x=0.0)
    data["y"] += 0.7 * data.z
    for plugin in (Imputation(), Did2s()):
        result = estimate(data, plugin, controls=["z"])
        row = rows(result, "att").iloc[0]
        assert row.estimate == pytest.approx(data.effect[data.d == 1].mean(), abs=1e-9)
        frame = result.frames["imputed"].set_index(["cohort", "period"]).estimate
        true = data[data.d == 1].groupby(["first", "time"]).effect.mean()
        np.testing.assert_allclose(frame, true, atol=1e-9)


def test_influence_gives_the_errors():
    for plugin in (Imputation(bootstrap=199), Did2s()):
        result = estimate(adoption(8), plugin)
        np.testing.assert_allclose(
            np.sqrt((result.influence**2).sum()),
            result.coefficients.std_error,
            rtol=1e-12,
        )
    assert "bands" in estimate(adoption(8), Imputation(bootstrap=199)).frames


def test_scale_order_and_names():
    data = adoption(9, gaps=0.1)
    one = estimate(data, controls=["z"]).coefficients
    other = estimate(
        data.assign(y=1e6 * data.y, z=1e-5 * data.z), controls=["z"]
    ).coefficients
    np.testing.assert_allclose(other.estimate, 1e6 * one.estimate, rtol=1e-7)
    np.testing.assert_allclose(other.std_error, 1e6 * one.std_error, rtol=1e-7)
    shuffled = data.sample(frac=1, random_state=0)
    shuffled["unit"] = [f"n{(37 * int(u[1:])) % 50:02d}" for u in shuffled.unit]
    pd.testing.assert_frame_equal(
        estimate(shuffled, controls=["z"]).coefficients, one, rtol=1e-9
    )


def test_without_never_treated_the_last_periods_have_no_effect():
    data = adoption(sizes={4.0: 10, 6.0: 12, 7.0: 9})
    result = estimate(data)
    frame = result.frames["imputed"]
    assert frame.period.max() == 6
    assert any("can't be imputed" in n for n in result.notes)
    assert set(rows(result, "by_cohort").cohort) == {4, 6}


def test_leads_that_are_collinear_are_left_out_with_the_reason():
    data = adoption(sizes={4.0: 10, 6.0: 12})
    result = estimate(data, Imputation(pretrends=5))
    # without never-treated units the leads hold a linear trend
    assert any("Pre-trends are not identified" in n for n in result.notes)
    assert result.tests[0].reason
    fewer = estimate(data, Imputation(pretrends=2))
    assert fewer.tests[0].p_value is not None


def test_an_absorbed_control_is_left_out_with_the_reason():
    data = adoption()
    plain = estimate(data).coefficients
    with_x = estimate(data, controls=["x"])
    assert any("'x'" in n for n in with_x.notes)
    pd.testing.assert_frame_equal(plain, with_x.coefficients, rtol=1e-9)


def test_connected_parts():
    seen = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]], bool)
    unit, period = components(seen)
    assert unit[0] == unit[2] == period[0] == period[1]
    assert unit[1] == period[2] == period[3] != unit[0]
    assert unit[3] == -1


@pytest.mark.parametrize("plugin", [Imputation(), Did2s()], ids=["bjs", "did2s"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fixed_effects": ["unit", "time", "odd"]}, "E11"),
        ({"clusters": ["unit", "time"]}, "I09"),
        ({"clusters": ["half"]}, "I05"),
        ({"cohort": None}, "E01"),
        ({"outcome": "constant"}, "D06"),
        ({"outcome": "holes"}, "D08"),
    ],
)
def test_bad_inputs(plugin, change, code):
    data = adoption()
    data["odd"] = data.index % 17
    data["half"] = [int(u[1:]) % 2 for u in data.unit]
    data["constant"] = 4.0
    data["holes"] = data.y.where(data.index != 5)
    with pytest.raises(EstimandError) as caught:
        estimate(data, plugin, acknowledge=frozenset(), **change)
    assert code in {p.code for p in caught.value.problems}


def test_always_treated_units_are_refused_or_dropped():
    data = adoption(sizes={1.0: 5, 4.0: 10, 6.0: 12, np.inf: 9})
    with pytest.raises(EstimandError, match="treated in all"):
        estimate(data)
    pd.testing.assert_frame_equal(
        estimate(data, Imputation(always_treated="drop")).coefficients,
        estimate(data[data["first"] != 1]).coefficients,
    )


def test_treated_rows_begin_with_the_first_treated_period():
    data = adoption()
    found = estimate(data).scalars["n_treated_obs"]
    assert found == (data.time >= data["first"]).sum()


@pytest.mark.parametrize(("last", "late"), [(9.0, False), (10.0, True)])
def test_units_may_anticipate_a_treatment_after_the_data(last, late):
    # Eight periods, anticipation of one: the eighth is anticipated by those of period 9.
    data = adoption(sizes={4.0: 9, last: 8, np.inf: 15})
    said = estimate(data, anticipation=1).notes
    assert any("after the last period" in note for note in said) is late
