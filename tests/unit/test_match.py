"""`match` and `trim` in studies: levels, weights, words, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.cache import Cell
from framework.errors import EstimandError
from tests.build_matched import build_candidates, choose, run_model

#: Two ways to the same sums.
SAME = 1e-9
PANEL = {"unit": "city", "time": "year"}
MODEL: dict[str, Any] = {
    "outcome": "y",
    "treatment": "d",
    "controls": ["x", "z"],
    "fixed_effects": ["city", "year"],
    "inference": {"cluster": "city"},
    "estimator": "twfe",
}


def cities(n: int = 90, periods: int = 6, seed: int = 4) -> pd.DataFrame:
    """A third adopts in 2004 or 2006, the more likely the larger x was in 2001."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    treated = x + rng.logistic(size=n) > 0.9
    first = np.where(treated, np.where(rng.random(n) < 0.5, 2004, 2006), 9999)
    level = rng.normal(size=n)
    rows = []
    for year in range(2001, 2001 + periods):
        on = (year >= first).astype(int)
        made = {
            "city": [f"c{i:03d}" for i in range(n)],
            "year": year,
            "d": on,
            "x": x + 0.3 * rng.normal(size=n) + 0.5 * on,
            "z": z + 0.1 * rng.normal(size=n),
            "half": np.where(np.arange(n) % 2, "east", "west"),
            "y": level + on + 0.3 * x * (year - 2001) + rng.normal(size=n),
        }
        rows.append(pd.DataFrame(made))
    return pd.concat(rows, ignore_index=True)


@pytest.fixture
def estimate(tmp_path) -> Any:
    def run(
        choice: Any, data: pd.DataFrame | None = None, draws: Any = None, **model: Any
    ) -> Cell:
        given = cities() if data is None else data
        sample = {"sample": {"m": choice}} if choice else {}
        return run_model(tmp_path, given, MODEL | sample | model, PANEL, draws)

    return run


def subjects(cell: Cell) -> pd.DataFrame:
    return cell.result.frames["m.subjects"]


def judged(cell: Cell) -> pd.Series:
    return cell.result.coefficients.iloc[0]


# -- what is compared -----------------------------------------------------------------


def test_units_are_compared_on_the_last_period_before_any_adoption(estimate):
    data = cities()
    cell = estimate({"match": {}}, data)
    found = subjects(cell).set_index("city")
    assert len(found) == data.city.nunique()
    ever = data.groupby("city").d.max()
    assert (found.treated == ever).all()
    assert "values of 2003" in " ".join(cell.notes)
    # The same as matching the rows of 2003 alone, as a cross-section.
    year = data[data.year == 2003].sort_values("city")
    twin = choose(
        build_candidates(
            ever[year.city].to_numpy(), year[["x", "z"]], year.city.to_numpy()
        )
    )
    weight = found.weight[year.city].to_numpy()
    assert weight == pytest.approx(twin.weights, abs=SAME)


def test_later_values_play_no_part(estimate):
    data = cities()
    later = data.assign(x=data.x.where(data.year <= 2003, 7.0 + data.d))
    one, other = (subjects(estimate({"match": {}}, d)) for d in (data, later))
    pd.testing.assert_frame_equal(one, other)


def test_another_period_is_declared(estimate):
    found = estimate({"match": {"at": 2001}})
    assert "values of 2001" in " ".join(found.notes)
    assert not subjects(found).score.equals(subjects(estimate({"match": {}})).score)


def test_anticipation_moves_the_period(estimate):
    treatment = {"column": "d", "anticipation": 2}
    cell = estimate({"match": {}}, treatment=treatment)
    assert "values of 2001" in " ".join(cell.notes)


def test_units_treated_before_their_covariates_are_seen_are_refused(estimate):
    with pytest.raises(EstimandError) as caught:
        estimate({"match": {"at": 2004}})
    said = str(caught.value)
    assert "E05" in said
    assert "treated by 2004" in said
    assert "before 2004" in said
    data = cities()
    data.loc[data.city == "c000", "d"] = 1
    with pytest.raises(EstimandError, match="1 unit is treated in the first period"):
        estimate({"match": {}}, data)
    with pytest.raises(EstimandError, match="at: 1990 is no period"):
        estimate({"match": {"at": 1990}})


def test_rows_by_name_and_period_by_period(estimate):
    data = cities()
    pooled, yearly = (
        estimate({"match": {"level": "row"}}),
        estimate({"match": {"by": "period"}}),
    )
    assert len(subjects(pooled)) == len(subjects(yearly)) == len(data)
    assert "rows lie after the first adoption" in " ".join(pooled.notes)
    # Every year of the second is that year's cross-section.
    ever = data.groupby("city").d.max()
    for year, found in subjects(yearly).groupby("year"):
        rows = data[data.year == year].sort_values("city")
        twin = choose(
            build_candidates(
                ever[rows.city].to_numpy(), rows[["x", "z"]], rows.city.to_numpy()
            )
        )
        assert found.weight.to_numpy() == pytest.approx(twin.weights, abs=SAME)


def test_rows_that_are_treated_now(estimate):
    cell = estimate({"match": {"level": "row", "treated": "now"}})
    assert subjects(cell).treated.sum() == cities().d.sum()


def test_many_treated_are_matched_in_parts(estimate, monkeypatch):
    options = {"match": {"method": "kernel"}}
    whole = subjects(estimate(options))
    monkeypatch.setattr("estimators._math.matching.AT_ONCE", 100)
    parts = subjects(estimate(options))
    assert parts.weight.to_numpy() == pytest.approx(whole.weight.to_numpy(), abs=SAME)
    assert (parts.matches == whole.matches).all()


def test_exact_columns(estimate):
    data = cities()
    cell = estimate({"match": {"exact": ["half"], "neighbours": 2}}, data)
    half = data.groupby("city").half.first()
    found = subjects(cell).assign(half=lambda f: f.city.map(half))
    for name in ("east", "west"):
        part = found[found.half == name]
        # Every treated one has its weight of one in its own half.
        treated, weight = part.treated == 1, part.weight
        assert weight[treated].sum() == pytest.approx(weight[~treated].sum())


# -- weights and the estimate ---------------------------------------------------------


@pytest.mark.parametrize(
    "estimator", ["twfe", "lp_did", {"stacked": {"window": [-1, 0]}}]
)
def test_matched_difference_is_weighted_two_period_did(estimate, estimator):
    """Two periods: the mean over treated of their change minus their matches' change."""
    data = cities(periods=5)
    data = data[data.year.isin([2003, 2004])].copy()
    data.loc[data.d.groupby(data.city).transform("max") == 0, "d"] = 0
    choice = {"method": "kernel", "bandwidth": 0.1, "covariates": ["x", "z"]}
    cell = estimate({"match": choice}, data, controls=[], estimator=estimator)
    found = subjects(cell).set_index("city")
    change = data.pivot(index="city", columns="year", values="y")
    change = change[2004] - change[2003]
    one, zero = found[found.treated == 1], found[found.treated == 0]
    by_hand = np.average(change[one.index], weights=one.weight) - np.average(
        change[zero.index], weights=zero.weight
    )
    assert judged(cell).estimate == pytest.approx(by_hand, abs=SAME)
    kept = int((one.weight > 0).sum())
    assert zero.weight.sum() == pytest.approx(kept)  # sums of weights that sum to one
    assert cell.labels["weights"] == "weights of m"


def test_weights_reach_the_estimator_or_are_refused(estimate):
    weighted = estimate({"match": {"neighbours": 2}})
    alike = estimate({"match": {"neighbours": 2, "weighted": False}})
    assert weighted.result.scalars["n_obs"] == alike.result.scalars["n_obs"]
    assert judged(weighted).estimate != pytest.approx(judged(alike).estimate, abs=1e-4)
    assert alike.labels["weights"] == ""
    with pytest.raises(EstimandError) as caught:
        estimate({"match": {}}, estimator="interactive_fe", controls=[])
    assert "interactive_fe does not use the weights of 'm'" in str(caught.value)
    assert "sample.m.weighted: false" in str(caught.value)
    # Pairs count alike: no weights, so any estimator will do.
    pairs = {"match": {"replacement": False, "covariates": ["x", "z"]}}
    fewer = {"interactive_fe": {"factors": 0}}
    assert estimate(pairs, estimator=fewer, controls=[]).labels["weights"] == ""


def test_other_weights_are_refused(estimate):
    data = cities().assign(w=2.0)
    with pytest.raises(EstimandError, match=r"weights, and model\.weights others"):
        estimate({"match": {}}, data, weights={"analytic": "w"})


@pytest.mark.parametrize("name", ["imputation", "callaway_santanna", "sun_abraham"])
def test_estimators_of_staggered_adoption_take_the_weights(estimate, name):
    cell = estimate(
        {"match": {"method": "kernel", "covariates": ["x", "z"]}},
        estimator=name,
        controls=[],
    )
    plain = estimate(None, estimator=name, controls=[])
    assert judged(cell).estimate != pytest.approx(judged(plain).estimate, abs=1e-4)


def test_leads_keep_their_history(estimate):
    cell = estimate({"match": {}}, estimator={"twfe": {"leads": [1]}})
    assert {"att", "lead"} <= set(cell.result.coefficients.estimand)


# -- what is printed ------------------------------------------------------------------


def test_ledger_notes_and_tables(estimate):
    cell = estimate({"match": {"method": "radius", "caliper": 0.02}})
    found = subjects(cell)
    kept = found[found.weight > 0]
    (line,) = [entry for entry in cell.ledger if entry.name == "m"]
    treated, all_ = int(kept.treated.sum()), int(found.treated.sum())
    off = int(((found.status == "off support") & (found.treated == 1)).sum())
    assert off
    assert treated < all_ - off
    assert f"{treated} of {all_} treated" in line.detail
    assert f"{off} treated off support" in line.detail
    assert line.rows_out == 6 * len(kept)
    lost = found[(found.treated == 1) & (found.weight == 0)].city
    assert any(name in " ".join(cell.notes) for name in lost)
    assert [plot.kind for plot in cell.result.plots][-2:] == ["balance", "overlap"]
    overall = cell.result.frames["m.overall"]
    assert overall.rubin_b[1] < overall.rubin_b[0]
    assert overall.n_treated.tolist() == [all_, treated]
    overlap = cell.result.frames["m.overlap"]
    shares = ["treated", "untreated", "treated_kept", "untreated_kept"]
    assert overlap[shares].sum().tolist() == pytest.approx([1] * 4)


def test_trim(estimate):
    cell = estimate({"trim": [0.2, 0.8]})
    found = subjects(cell)
    inside = found.score.between(0.2, 0.8)
    assert 0 < inside.sum() < len(found)
    assert (found.weight == inside).all()
    assert cell.result.scalars["n_obs"] == 6 * inside.sum()
    best = estimate({"trim": "crump"})
    assert "scores from" in best.ledger[0].detail


def test_trimmed_then_matched(tmp_path):
    """In the order written: the match sees the rows that the trimming left."""
    sample = {"t": {"trim": [0.15, 0.85]}, "m": {"match": {}}, "late": "year > 2001"}
    cell = run_model(tmp_path, cities(), MODEL | {"sample": sample}, PANEL)
    trimmed = cell.result.frames["t.subjects"]
    kept = set(trimmed.city[trimmed.weight > 0])
    assert set(subjects(cell).city) == kept
    assert [line.name for line in cell.ledger[:3]] == ["t", "m", "late"]
    assert cell.labels["weights"] == "weights of m"


def test_covariates_are_terms(estimate):
    covariates = ["x", {"square": "z"}, {"dummies": "half"}]
    cell = estimate({"match": {"covariates": covariates}})
    balance = cell.result.frames["m.balance"]
    assert len(balance) == 4  # both halves are shown, the score needs one
    assert any("does without half=west" in note for note in cell.notes)
    data = cities()
    squared = data.assign(q=data.z**2, east=(data.half == "east").astype(int))
    twin = estimate({"match": {"covariates": ["x", "q", "east"]}}, squared)
    assert subjects(cell).weight.to_numpy() == pytest.approx(
        subjects(twin).weight.to_numpy(), abs=SAME
    )
    with pytest.raises(EstimandError, match="'half' should be a number"):
        estimate({"match": {"covariates": ["half"]}})


# -- draws ----------------------------------------------------------------------------


def test_a_resample_is_matched_anew(estimate):
    choice = {"match": {"method": "kernel"}}
    draws = {"resample": "city", "times": 12, "rebuild": True}
    cell = estimate(choice, draws=draws)
    assert cell.result.scalars["std_error_resampled"] > 0
    assert cell.draws is not None
    assert cell.draws.estimate.nunique() == 12


def test_a_permuted_treatment_is_refused(estimate):
    with pytest.raises(EstimandError, match="'m' reads the treatment"):
        estimate({"match": {}}, draws={"permute": "treatment", "times": 9})


# -- what is refused ------------------------------------------------------------------


def test_separation_is_refused_with_its_column(estimate):
    data = cities()
    ever = data.groupby("city").d.transform("max")
    with pytest.raises(EstimandError) as caught:
        estimate({"match": {"covariates": ["x", "party"]}}, data.assign(party=ever))
    said = str(caught.value)
    assert "I08" in said
    assert "'party'" in said
    assert "covariates without party" in said


def test_nobody_matched_is_refused_with_the_numbers(estimate):
    with pytest.raises(EstimandError) as caught:
        estimate({"match": {"method": "radius", "caliper": 1e-9, "support": "none"}})
    said = str(caught.value)
    treated = int(cities().groupby("city").d.max().sum())
    assert f"none of the {treated} treated units has a match" in said
    assert f"{treated} without anyone near enough" in said
    with pytest.raises(EstimandError, match=r"0 of \d+ treated"):
        estimate({"trim": [0.98, 0.99]})


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"match": {"method": "radius"}}, "radius matching needs a caliper"),
        ({"match": {"by": "period", "level": "unit"}}, "leave level: unit out"),
        ({"match": {"at": 2003, "level": "row"}}, "rows have theirs"),
        ({"match": {"method": "kernel", "replacement": False}}, "with replacement"),
        ({"match": {"method": "closest"}}, "closest"),
        ({"match": {"covariates": ["nothing"]}}, "nothing"),
        ({"match": {"exact": ["nothing"]}}, "nothing"),
        ({"match": {"covariates": ["x", "d"]}}, "'d' is the treatment"),
        ({"trim": [0.9, 0.1]}, "not within"),
    ],
)
def test_wrong_options(estimate, choice, said):
    with pytest.raises(EstimandError, match=said):
        estimate(choice)


def test_no_covariates_and_no_treatment(estimate):
    with pytest.raises(EstimandError, match="no controls on this line"):
        estimate({"match": {}}, controls=[])
    with pytest.raises(EstimandError, match="needs a treatment"):
        estimate({"match": {}}, estimator="describe", treatment=None)


def test_a_dose_is_refused(estimate):
    data = cities().assign(dose=lambda f: 2 * f.d)
    treatment = {"column": "dose", "kind": "dose"}
    with pytest.raises(EstimandError, match="the treatment takes 0, 2"):
        estimate({"match": {}}, data, treatment=treatment)


def test_a_treatment_that_comes_and_goes_is_matched_by_rows(estimate):
    data = cities()
    data.loc[(data.year == 2006) & (data.city < "c050"), "d"] = 0
    treatment = {"column": "d", "kind": "reversible"}
    with pytest.raises(EstimandError, match="level: row"):
        estimate({"match": {}}, data, treatment=treatment)
    cell = estimate({"match": {"level": "row"}}, data, treatment=treatment)
    assert subjects(cell).treated.sum() == data.d.sum()


def test_missing_covariates_are_counted(estimate):
    data = cities()
    data["q"] = data.x.where(~data.city.isin(["c001", "c002"]) | (data.year != 2003))
    cell = estimate({"match": {"covariates": ["q", "z"]}}, data)
    (line,) = [entry for entry in cell.ledger if entry.name == "m"]
    assert "12 more because it is unknown there" in line.detail
    assert len(subjects(cell)) == 88


def test_cross_sections(tmp_path):
    data = cities()
    data = data[data.year == 2003].assign(d=lambda f: (f.x > 0.4).astype(int))
    data["x"] = data.x + np.random.default_rng(1).normal(size=len(data))
    model = {
        "outcome": "y",
        "treatment": "d",
        "controls": ["x", "z"],
        "estimator": "ols",
        "sample": {"m": {"match": {"neighbours": 2}}},
    }
    cell = run_model(tmp_path, data.drop(columns=["city", "year"]), model)
    again = run_model(
        tmp_path,
        data.drop(columns=["city", "year"]).sample(frac=1, random_state=3),
        model,
    )
    assert judged(cell).estimate == pytest.approx(judged(again).estimate, abs=SAME)
    assert "rows" in cell.ledger[0].detail


# -- clustering by pairs --------------------------------------------------------------


def _two_periods(seed: int = 5) -> pd.DataFrame:
    """160 units, two periods; the changes are alike within regions of `x`."""
    rng = np.random.default_rng(seed)
    units = 160
    x = rng.normal(size=units)
    treated = rng.random(units) < 1 / (1 + np.exp(1.5 - 0.8 * x))
    shared = np.sin(3 * x)
    frame = pd.DataFrame(
        {
            "unit": np.repeat([f"u{i:03d}" for i in range(units)], 2),
            "year": np.tile([1, 2], units),
            "x": np.repeat(x, 2),
        }
    )
    after = frame.year.to_numpy() == 2
    frame["d"] = (np.repeat(treated, 2) & after).astype(int)
    change = shared + 0.3 * rng.normal(size=units) + 0.5 * treated
    frame["y"] = rng.normal(size=units).repeat(2) + np.repeat(change, 2) * after
    return frame


_PAIRS = {
    "match": {"covariates": ["x"], "replacement": False, "support": "none"},
}


def _paired(folder: Path, frame: pd.DataFrame, **model: Any) -> Cell:
    return run_model(
        folder,
        frame,
        {
            "outcome": "y",
            "treatment": {"column": "d", "kind": "absorbing"},
            "fixed_effects": ["unit", "year"],
            "estimator": "twfe",
            "sample": {"matched": _PAIRS},
            "inference": {"cluster": "matched"},
            **model,
        },
        {"unit": "unit", "time": "year"},
    )


def test_errors_by_pairs_are_those_of_the_differences_within_them(tmp_path):
    frame = _two_periods()
    cell = _paired(tmp_path, frame)
    wide = frame.pivot(index="unit", columns="year", values="y")
    change = wide[2] - wide[1]
    score = frame[frame.year == 1].set_index("unit").x
    treated = set(frame.loc[frame.d == 1, "unit"])
    kept = cell.result.frames["matched.subjects"].query("status == 'kept'")
    names = list(kept["unit"])
    # The pairs once more, by the order in which the hash lets the treated choose.
    keys = pd.util.hash_pandas_object(pd.Series(sorted(score.index)), index=False)
    order = [n for _, n in sorted(zip(keys, sorted(score.index), strict=True))]
    probability = kept.set_index("unit").score
    left = [n for n in order if n not in treated]
    whole = cell.result.frames["matched.subjects"].set_index("unit").score
    gaps = []
    for one in (n for n in order if n in treated):
        other = min(left, key=lambda n, one=one: abs(whole[n] - whole[one]))
        left.remove(other)
        assert other in names
        gaps.append(change[one] - change[other])
    gaps = np.array(gaps)
    n, rows = len(gaps), 4 * len(gaps)
    row = cell.result.coefficients.iloc[0]
    assert len(probability) == 2 * n
    assert row.estimate == pytest.approx(gaps.mean(), rel=1e-10)
    # CR1: effects of units lie within pairs and cost nothing; d and two years count.
    factor = n / (n - 1) * (rows - 1) / (rows - 3)
    by_hand = np.sqrt(((gaps - gaps.mean()) ** 2).sum()) / n * np.sqrt(factor)
    assert row.std_error == pytest.approx(by_hand, rel=1e-8)
    assert cell.result.scalars["n_clusters"] == n
    assert cell.labels["inference"] == "clustered by matched"


def test_pairs_know_more_than_units(tmp_path):
    """Changes are alike within pairs here, so the pairs' error is the smaller one."""
    frame = _two_periods()
    pairs = _paired(tmp_path, frame).result.coefficients.iloc[0]
    units = _paired(tmp_path, frame, inference={"cluster": "unit"})
    unit = units.result.coefficients.iloc[0]
    assert pairs.estimate == unit.estimate
    assert pairs.std_error < 0.8 * unit.std_error


def test_pairs_do_not_hang_on_the_order_of_rows(tmp_path):
    frame = _two_periods()
    one = _paired(tmp_path, frame).result.coefficients
    other = _paired(tmp_path, frame.sample(frac=1, random_state=2)).result.coefficients
    pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.parametrize(
    ("choice", "what"),
    [
        ({"replacement": True}, "makes no sets"),
        ({"level": "row"}, "rows of a panel"),
    ],
)
def test_no_pairs_to_cluster_by(tmp_path, choice, what):
    sample = {"matched": {"match": {**_PAIRS["match"], **choice}}}
    with pytest.raises(EstimandError) as caught:
        _paired(tmp_path, _two_periods(), sample=sample)
    problem = caught.value.problems[0]
    assert (problem.code, problem.path) == ("I09", "model.inference")
    assert what in problem.what


def test_a_trimmed_sample_has_no_sets_and_is_not_offered_an_option_of_matches(tmp_path):
    sample = {"matched": {"trim": {"bounds": [0.1, 0.9], "covariates": ["x"]}}}
    with pytest.raises(EstimandError) as caught:
        _paired(tmp_path, _two_periods(), sample=sample)
    problem = caught.value.problems[0]
    assert (problem.code, problem.path) == ("I09", "model.inference")
    assert "sample.matched.replacement" not in problem.fix


def test_a_column_of_the_restrictions_name_is_the_cluster(tmp_path):
    frame = _two_periods()
    frame["matched"] = frame["unit"]
    cell = _paired(tmp_path, frame)
    row = _paired(tmp_path, frame, inference={"cluster": "unit"}).result.coefficients
    assert cell.result.coefficients.std_error[0] == row.std_error[0]
