"""Double machine learning of differences: doubleml's numbers, twins, refusals, truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._double.nuisance import MEMORY
from estimators._math.folds import folds_in_strata
from estimators.callaway_santanna import CallawaySantanna
from estimators.double_ml import DoubleMl
from estimators.learners.linear import Linear
from framework.contract import Request
from framework.errors import EstimandError
from framework.result import Result
from tests.build_cohorts import adoption, request_of

#: The same predictions, scores and sums in another order: rounding.
SAME = 1e-10
SIZES = {4.0: 30, 6.0: 40, np.inf: 60}
ALL = ("att", "by_event_time", "by_cohort", "by_period")


def data(seed: int = 3, **changes: Any) -> pd.DataFrame:
    """`x` is steady and drives trends; `steady`, another covariate, does nothing."""
    given: dict[str, Any] = {"sizes": SIZES, "trend_in_x": 0.3, "periods": 7}
    made = adoption(seed, **(given | changes))
    units = made["unit"].unique()
    noise = np.random.default_rng(seed + 1).normal(size=len(units))
    return made.assign(steady=made["unit"].map(dict(zip(units, noise, strict=True))))


def asked(frame: pd.DataFrame, **fields: Any) -> Request:
    return request_of(
        frame, **({"controls": ["x", "steady"], "estimand": ALL} | fields)
    )


def estimated(frame: pd.DataFrame, options: Mapping[str, Any] | None = None, **fields):
    given = {"kind": "did_multi", "learner": "linear", "folds": 3, "repetitions": 1}
    return DoubleMl(**(given | dict(options or {}))).estimate(asked(frame, **fields))


def rows(result: Result, estimand: str) -> pd.DataFrame:
    return result.coefficients[result.coefficients["estimand"] == estimand]


def refused(code: str, frame: pd.DataFrame, options: Any = None, **fields: Any) -> str:
    with pytest.raises(EstimandError) as caught:
        estimated(frame, options, **fields)
    assert code in [p.code for p in caught.value.problems], str(caught.value)
    return str(caught.value)


# -- doubleml -------------------------------------------------------------------------


def our_folds(frame: pd.DataFrame, folds: int = 3) -> pd.Series[int]:
    """Fold of every unit in the first split, by the functions that draw it."""
    first = frame.groupby("unit")["first"].first()
    strata = [str(int(g)) if np.isfinite(g) else "inf" for g in first]
    return pd.Series(
        folds_in_strata(list(first.index), strata, folds, 0, 0), first.index
    )


def doublemls(
    frame: pd.DataFrame, g: int, base: int, t: int, group: str, *, normalise: bool
) -> tuple[float, float]:
    """One cell by doubleml on our folds with our learners."""
    import doubleml

    units = sorted(frame["unit"].unique())
    code = {u: i for i, u in enumerate(units)}
    made = frame.assign(id=frame["unit"].map(code))[["id", "time", "first", "y"]]
    made = made.assign(x=frame["x"], s=frame["steady"])
    panel = doubleml.data.DoubleMLPanelData(
        made, "y", "first", "time", "id", x_cols=["x", "s"]
    )
    model = doubleml.did.DoubleMLDIDBinary(
        panel,
        g,
        base,
        t,
        ml_g=Linear().build("regression", 0),
        ml_m=Linear().build("classification", 0),
        control_group=group,
        n_folds=3,
        in_sample_normalization=normalise,
        draw_sample_splitting=False,
    )
    fold = our_folds(frame)[[units[i] for i in model.data_subset["id"]]].to_numpy()
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    model.set_sample_splitting([splits])
    model.fit()
    return float(model.coef[0]), float(model.se[0])


@pytest.mark.parametrize("group", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("normalise", [True, False])
def test_every_cell_is_doublemls(group: str, normalise: bool) -> None:
    frame = data()
    options = {"control_group": group, "normalize": normalise}
    cells = estimated(frame, options).frames["group_time"]
    assert len(cells) == 12
    for c in cells.itertuples():
        if c.period < c.base_period and group == "not_yet_treated":
            # doubleml takes who is not treated in the earlier of the two periods,
            # Callaway and Sant'Anna who is not in either.
            continue
        estimate, error = doublemls(
            frame, c.cohort, c.base_period, c.period, group, normalise=normalise
        )
        assert c.estimate == pytest.approx(estimate, rel=SAME)
        assert c.std_error == pytest.approx(error, rel=SAME)


def test_two_periods_and_one_date_are_doublemls() -> None:
    frame = data(sizes={4.0: 60, np.inf: 80})
    frame = frame[frame["time"].isin([3, 4])]
    found = estimated(frame, {"kind": "did"}, estimand=("att",)).coefficients
    estimate, error = doublemls(frame, 4, 3, 4, "never_treated", normalise=True)
    assert found["estimate"].iloc[0] == pytest.approx(estimate, rel=SAME)
    assert found["std_error"].iloc[0] == pytest.approx(error, rel=SAME)


def test_a_cell_by_hand() -> None:
    """A twin without our modules: least squares and a weighted mean, no penalty."""
    from sklearn.linear_model import LogisticRegression

    frame = data(sizes={4.0: 60, np.inf: 80})
    fold = our_folds(frame)
    wide = frame.pivot(index="unit", columns="time", values="y")
    known = frame.groupby("unit")[["x", "steady", "first"]].first()
    after = [t for t in wide if t >= 4]
    change = (wide[after].mean(axis=1) - wide[[1, 2, 3]].mean(axis=1)).to_numpy()
    d = np.isfinite(known["first"]).to_numpy().astype(float)
    A = np.column_stack([np.ones(len(known)), known[["x", "steady"]]])
    left, odds = change.copy(), np.zeros(len(d))
    for k in range(3):
        test = (fold == k).to_numpy()
        control = ~test & (d == 0)
        left[test] -= A[test] @ np.linalg.lstsq(A[control], change[control])[0]
        logit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        p = logit.fit(A[~test, 1:], d[~test]).predict_proba(A[test, 1:])[:, 1]
        odds[test] = p / (1 - p)
    odds *= 1 - d
    att = left @ d / d.sum() - left @ odds / odds.sum()
    found = estimated(frame, {"kind": "did"}, estimand=("att",)).coefficients
    # Two solvers of a logit, each to its own tolerance.
    assert found["estimate"].iloc[0] == pytest.approx(att, abs=1e-5)


# -- averages -------------------------------------------------------------------------


def test_averages_are_those_of_callaway_and_santanna() -> None:
    """The same weights on other cells: mean effects from the frame by hand."""
    result = estimated(data())
    cells = result.frames["group_time"].assign(n=lambda c: c["cohort"].map(SIZES))
    after = cells[cells["event_time"] >= 0]

    def mean(some: pd.DataFrame) -> float:
        return float(np.average(some["estimate"], weights=some["n"]))

    assert rows(result, "att")["estimate"].iloc[0] == pytest.approx(
        mean(after), rel=SAME
    )
    for name, column in (("by_event_time", "event_time"), ("by_period", "period")):
        held = cells if name == "by_event_time" else after
        table = rows(result, name).set_index(column)["estimate"]
        for at, some in held.groupby(column):
            assert table[at] == pytest.approx(mean(some), rel=SAME)
    for g, some in after.groupby("cohort"):
        own = rows(result, "by_cohort").set_index("cohort")["estimate"]
        assert own[g] == pytest.approx(some["estimate"].mean(), rel=SAME)


def test_least_squares_is_near_callaway_and_santannas_own() -> None:
    """The same covariates in the same form, cross-fitted: folds move it a little."""
    frame = data(sizes={4.0: 120, 6.0: 150, np.inf: 250})
    learned = estimated(frame, {"repetitions": 3}).coefficients
    own = CallawaySantanna().estimate(asked(frame)).coefficients
    apart = (learned["estimate"] - own["estimate"]).abs() / own["std_error"]
    # A quarter of a standard error: two covariates on 370 units and more.
    assert apart.max() < 0.25
    assert (learned["std_error"] / own["std_error"] - 1).abs().max() < 0.1


def test_the_median_over_splits_is_reported_with_what_splits_add() -> None:
    result = estimated(data(), {"repetitions": 3})
    splits = result.frames["repetitions"]
    assert len(splits) == 3 * len(result.coefficients)
    att = splits[splits["estimand"] == "att"]["estimate"]
    found = rows(result, "att").iloc[0]
    assert found["estimate"] == pytest.approx(att.median(), rel=SAME)
    assert found["std_error"] >= result.scalars["std_error_sampling"]
    assert result.scalars["split_low"] == att.min() < att.max()
    psi = result.influence.to_numpy()[:, 0]
    assert np.sqrt(psi @ psi) == pytest.approx(found["std_error"], rel=SAME)
    assert any("median of 3 splits into 3 folds by 'unit'" in n for n in result.notes)


def test_nuisances_and_overlap_of_every_cell_are_shown() -> None:
    result = estimated(data())
    nuisances = result.frames["nuisances"]
    assert len(nuisances) == 12 * 2 * 3  # cells, nuisances, folds
    cells = result.frames["group_time"]
    overlap = result.frames["overlap"]
    assert overlap[["rows_0", "rows_1"]].to_numpy().sum() == (
        cells["n_treated"].sum() + cells["n_control"].sum()
    )


# -- invariances ----------------------------------------------------------------------


@pytest.mark.parametrize("learner", ["linear", {"forest": 5}])
def test_the_order_of_rows_moves_no_bit(learner: Any) -> None:
    frame = data()
    found = []
    for some in (frame, frame.sample(frac=1, random_state=1)):
        MEMORY.clear()
        result = estimated(some, {"learner": learner})
        found.append(result.coefficients[["estimate", "std_error"]].to_numpy())
    assert np.array_equal(*found)


def test_units_of_measure_scale_the_effect() -> None:
    plain = estimated(data()).coefficients
    scaled = data()
    scaled["y"] = 1000 * scaled["y"] + 7
    found = estimated(scaled).coefficients
    for name in ("estimate", "std_error"):
        # Least squares of numbers a thousand times as large.
        assert found[name].to_numpy() == pytest.approx(
            1000 * plain[name].to_numpy(), rel=1e-8
        )


def test_propensities_are_learned_once_for_cells_that_share_them() -> None:
    MEMORY.clear()
    estimated(data(), {"control_group": "never_treated"})
    # Two cohorts: one propensity each; twelve changes.
    assert MEMORY.made == 2 + 12
    MEMORY.clear()


def test_folds_spread_every_cohort_and_keep_clusters_whole() -> None:
    fold = our_folds(data(), 5)
    first = data().groupby("unit")["first"].first()
    counts = pd.crosstab(first, fold)
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1
    without = our_folds(data()[data()["unit"] != "u0000"], 5)
    moved = (without != fold[without.index]).groupby(first[without.index]).sum()
    assert moved.sum() <= 4  # one at each border, in its own cohort
    result = estimated(data(), {"folds": 2}, clusters=["region"])
    assert result.influence.index.name == "region"


# -- refusals -------------------------------------------------------------------------


def test_did_has_one_date() -> None:
    assert "did_multi" in refused("X23", data(), {"kind": "did"}, estimand=("att",))


def test_without_controls_callaway_santanna_is_named() -> None:
    assert "callaway_santanna" in refused("X20", data(), controls=[])


def test_small_cells_are_refused_together() -> None:
    frame = data(sizes={4.0: 8, 6.0: 40, np.inf: 60})
    said = refused("M04", frame)
    assert "6 of 12 group-time effects" in said
    assert "cohorts 4" in said
    allowed = estimated(frame, acknowledge=frozenset({"poor_overlap"}))
    assert (allowed.coefficients["std_error"] > 0).all()
    few = data(sizes={4.0: 30, np.inf: 35})
    said = refused("M01", few, {"folds": 5})
    assert "about 13 in each of 5 folds" in said
    assert "control_group" not in said  # which is wide already
    said = refused("M01", few, {"folds": 5, "control_group": "never_treated"})
    assert "control_group: not_yet_treated" in said


def test_units_that_are_certain_to_be_treated_are_refused() -> None:
    frame = data()
    frame["x"] = frame["x"] + 30 * np.isfinite(frame["first"])
    assert "propensity above 0.99" in refused("M04", frame)


def test_transforms_that_differences_replace_are_said() -> None:
    result = estimated(data(), {"transform": "within"})
    assert any("is not used" in n for n in result.notes)
    plain = estimated(data()).coefficients["estimate"]
    assert result.coefficients["estimate"].equals(plain)


# -- truth ----------------------------------------------------------------------------


def test_trends_that_differ_by_a_covariate_are_taken_out() -> None:
    """25 draws; the plain comparison of cohorts is wrong by several of its errors."""
    truth, learned, plain = [], [], []
    for seed in range(25):
        frame = data(
            100 + seed, sizes={3.0: 30, 4.0: 30, np.inf: 60}, periods=4, trend_in_x=1.0
        )
        truth.append(frame.loc[frame["d"] == 1, "effect"].mean())
        made = estimated(frame, estimand=("att",)).coefficients
        learned.append(made[["estimate", "std_error"]].iloc[0].to_numpy(dtype=float))
        other = CallawaySantanna().estimate(asked(frame, controls=[]))
        plain.append(rows(other, "att")["estimate"].iloc[0])
    wrong = np.array(learned)[:, 0] - truth
    band = 4 * wrong.std(ddof=1) / np.sqrt(len(wrong))  # four standard errors
    assert abs(wrong.mean()) < band
    assert np.mean(np.array(plain) - truth) > band
    # 25 draws know the spread to 14 %.
    assert 0.65 < np.mean(np.array(learned)[:, 1]) / wrong.std(ddof=1) < 1.5
