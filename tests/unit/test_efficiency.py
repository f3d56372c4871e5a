"""Step `sbm`: frontiers, zeros, statuses, tables and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.stats import spearmanr

from estimators._math.efficiency import Measure, Quantities, slacks_based
from estimators._math.envelopment import OWN, PEER, Bases, Programs, optima
from estimators.steps import _programs
from estimators.steps._programs import solve
from estimators.steps.sbm import Sbm
from framework.contract import StepOutput
from framework.errors import EstimandError
from framework.panel import Panel

NAN = float("nan")
CITIES, YEARS = 8, (2011, 2012, 2014)
WRITTEN: dict[str, Any] = {
    "inputs": ["land", "labor"],
    "outputs": ["gdp"],
    "bad_outputs": ["so2"],
    "returns": "constant",
    "frontier": "pooled",
}


@pytest.fixture
def panel() -> Panel:
    rng = np.random.default_rng(3)
    rows = CITIES * len(YEARS)
    size = np.exp(rng.normal(0, 1, rows))
    frame = pd.DataFrame(
        {
            "city": np.repeat([f"c{i}" for i in range(CITIES)], len(YEARS)),
            "year": np.tile(YEARS, CITIES),
            "region": np.repeat(["east", "west"], rows // 2),
        }
    )
    for column in ("land", "labor", "gdp", "so2"):
        frame[column] = size * np.exp(rng.normal(0, 0.5, rows))
    return Panel(frame, "city", "year", key="k")


def run(panel: Panel, **options: Any) -> StepOutput:
    before = panel.frame.copy(deep=True)
    out = Sbm(**{**WRITTEN, **options}).apply(panel, "eff", frozenset())
    pd.testing.assert_frame_equal(panel.frame, before)
    return out


def score(out: StepOutput, column: str = "eff") -> np.ndarray:
    return out.panel.frame[column].to_numpy()


def changed(panel: Panel, **cells: tuple[int, float]) -> Panel:
    frame = panel.frame.copy()
    for column, (row, value) in cells.items():
        frame.loc[row, column] = value
    return Panel(frame, panel.unit, panel.time, key="k")


def codes(panel: Panel, **options: Any) -> dict[str, str]:
    with pytest.raises(EstimandError) as caught:
        run(panel, **options)
    return {p.code: p.what + " " + p.fix for p in caught.value.problems}


def by_hand(panel: Panel, evaluated: Any, reference: Any) -> np.ndarray:
    """Scores of the rows in a mask against the rows in another, one by one."""
    frame = panel.frame

    def quantities(rows: Any) -> Quantities:
        some = frame[rows]
        return Quantities(
            some[["land", "labor"]].to_numpy().T,
            some[["gdp"]].to_numpy().T,
            some[["so2"]].to_numpy().T,
        )

    at = {row: k for k, row in enumerate(frame.index[reference])}
    measure = Measure(super_efficiency=True)
    values = []
    for row in frame.index[evaluated]:
        one = quantities(frame.index == row)
        own = np.array([at.get(row, -1)])
        values.append(
            slacks_based(one, quantities(reference), own, measure, solve).score[0]
        )
    return np.array(values)


# --------------------------------------------------------------------- frontiers


def test_returns_and_frontier_must_be_written() -> None:
    for option in ("returns", "frontier"):
        written = {k: v for k, v in WRITTEN.items() if k != option}
        with pytest.raises(ValidationError, match=option):
            Sbm(**written)


def test_pooled_frontier(panel: Panel) -> None:
    every = np.ones(len(panel.frame), dtype=bool)
    found = score(run(panel, super_efficiency=True))
    np.testing.assert_allclose(found, by_hand(panel, every, every), rtol=1e-12)


@pytest.mark.parametrize("frontier", ["yearly", "sequential"])
def test_frontiers_in_time(panel: Panel, frontier: str) -> None:
    found = score(run(panel, super_efficiency=True, frontier=frontier))
    year = panel.frame["year"]
    for now in YEARS:
        reference = (year == now) if frontier == "yearly" else (year <= now)
        expected = by_hand(panel, year == now, reference)
        np.testing.assert_allclose(found[year == now], expected, rtol=1e-12)


def test_window_averages_over_the_windows_of_a_row(panel: Panel) -> None:
    out = run(panel, super_efficiency=True, frontier={"window": 2})
    year = panel.frame["year"]
    total, times = np.zeros(len(year)), np.zeros(len(year))
    for span in ((2011, 2012), (2012, 2014)):  # the observed periods, in order
        rows = year.isin(span).to_numpy()
        total[rows] += by_hand(panel, rows, rows)
        times[rows] += 1
    np.testing.assert_allclose(score(out), total / times, rtol=1e-12)
    assert list(out.frames["scores"]["technology"].unique()) == [
        "2011-2012",
        "2012-2014",
    ]


def test_metafrontier_makes_the_group_score_and_the_gap(panel: Panel) -> None:
    options = {"frontier": {"metafrontier": "region"}, "super_efficiency": True}
    out = run(panel, **options)
    assert Sbm(**{**WRITTEN, **options}).makes("eff") == (
        "eff",
        "eff_group",
        "eff_gap",
    )
    np.testing.assert_allclose(score(out), score(run(panel, super_efficiency=True)))
    region = panel.frame["region"]
    for value in ("east", "west"):
        expected = by_hand(panel, region == value, region == value)
        np.testing.assert_allclose(
            score(out, "eff_group")[region == value], expected, rtol=1e-12
        )
    gap = score(out, "eff_gap")
    np.testing.assert_allclose(gap, score(out) / score(out, "eff_group"))
    # A larger technology never makes a row look better.
    assert gap.max() <= 1 + 1e-12


def test_frontier_needs_what_it_names(panel: Panel) -> None:
    cross = Panel(panel.frame.drop(columns="year"), "city", None, key="k")
    assert set(codes(cross, frontier="yearly")) == {"P04"}
    assert set(codes(panel, frontier={"window": 4})) == {"T04"}
    frame = panel.frame.assign(
        region=panel.frame["region"].where(lambda r: r != "east")
    )
    assert set(
        codes(Panel(frame, "city", "year"), frontier={"metafrontier": "region"})
    ) == {"D05"}
    for wrong in ("global", {"window": 0}, {"windows": 2}):
        with pytest.raises(ValidationError):
            Sbm(**{**WRITTEN, "frontier": wrong})


def test_reference_rows_alone_span_the_frontier(panel: Panel) -> None:
    panel = changed(panel, gdp=(2, 50 * panel.frame["gdp"].max()))
    before = (panel.frame["year"] < 2014).to_numpy()
    every = np.ones(len(before), dtype=bool)
    out = run(panel, super_efficiency=True, reference="year < 2014")
    np.testing.assert_allclose(score(out), by_hand(panel, every, before), rtol=1e-12)
    peers = out.frames["peers"]
    assert (peers["peer_year"] < 2014).all()
    # A row of 2014 may be beyond that frontier: then only super-efficiency scores it.
    table = out.frames["scores"]
    beyond = table["first_stage"].isna()
    assert beyond.any()
    assert (table.loc[beyond, "year"] == 2014).all()
    assert (table.loc[beyond, "score"] > 1).all()
    plain = run(panel, reference="year < 2014")
    assert list(plain.frames["scores"]["status"] == "beyond") == list(beyond)
    assert any("beyond" in note for note in plain.notes)
    assert np.isnan(score(plain)[beyond]).all()
    np.testing.assert_array_equal(score(plain)[~beyond] <= 1, True)


def test_reference_is_a_condition_that_holds_somewhere(panel: Panel) -> None:
    step = Sbm(**WRITTEN, reference="region = east")
    assert step.reads("e") == ("land", "labor", "gdp", "so2", "region")
    assert "2012" in codes(panel, frontier="yearly", reference="year = 2011")["L03"]
    with pytest.raises((ValidationError, EstimandError)):
        Sbm(**WRITTEN, reference="year <")
    # Missing cells are no member: unknown is not true.
    frame = panel.frame.assign(mark=np.where(panel.frame["year"] == 2014, NAN, 1.0))
    marked = run(Panel(frame, "city", "year"), reference="mark = 1")
    np.testing.assert_array_equal(
        score(marked), score(run(panel, reference="year < 2014"))
    )


# ------------------------------------------------------------------------- tables


def test_tables_belong_together(panel: Panel) -> None:
    out = run(panel, super_efficiency=True)
    scores, slacks = out.frames["scores"], out.frames["slacks"]
    targets, peers = out.frames["targets"], out.frames["peers"]
    np.testing.assert_array_equal(scores["score"], score(out))
    assert set(scores["status"]) == {"inefficient", "super-efficient"}
    now = panel.frame
    for column, sign in (("land", 1), ("labor", 1), ("gdp", -1), ("so2", 1)):
        np.testing.assert_allclose(
            slacks[column], sign * (now[column] - targets[column]), atol=1e-12
        )
    # The ratio of Tone (2001) from the slacks is the score, in both stages.
    relative = {c: slacks[c] / now[c] for c in ("land", "labor", "gdp", "so2")}
    ratio = (1 - (relative["land"] + relative["labor"]) / 2) / (
        1 + (relative["gdp"] + relative["so2"]) / 2
    )
    np.testing.assert_allclose(ratio, scores["score"], rtol=1e-12)
    # Peers and weights make the target of an inefficient row.
    keyed = now.set_index(["city", "year"])
    for column in ("land", "gdp", "so2"):
        peer = keyed.loc[
            list(zip(peers["peer_city"], peers["peer_year"], strict=True)), column
        ].to_numpy()
        made = (peers["weight"] * peer).groupby([peers["city"], peers["year"]]).sum()
        told = targets.set_index(["city", "year"])[column]
        low = scores.set_index(["city", "year"])["status"] == "inefficient"
        both = pd.concat([made.rename("made"), told.rename("told")], axis=1)[low]
        np.testing.assert_allclose(both["made"], both["told"], rtol=1e-11)


def test_ledger_tells_what_was_done(panel: Panel) -> None:
    line = run(panel, super_efficiency=True, bads_in="numerator").panel.ledger[-1]
    for word in ("super-efficiency SBM", "24 rows", "in the numerator", "pooled"):
        assert word in line.detail
    assert line.cells == 24
    assert "yearly" in run(panel, frontier="yearly").panel.ledger[-1].detail


def test_returns_to_scale_of_a_known_technology() -> None:
    """One input, one output, best ratio at x = 2: below it grow, above it shrink."""
    frame = pd.DataFrame({"x": [1.0, 2, 4], "y": [1.0, 4, 6]})
    out = Sbm(inputs="x", outputs="y", returns="variable", frontier="pooled").apply(
        Panel(frame), "e", frozenset()
    )
    assert list(out.frames["scores"]["score"]) == [1, 1, 1]
    constant = Sbm(
        inputs="x", outputs="y", returns="constant", frontier="pooled"
    ).apply(Panel(frame), "e", frozenset())
    table = constant.frames["scores"]
    np.testing.assert_allclose(table["score"], [0.5, 1, 0.75], rtol=1e-14)
    assert table["returns"][1] == "constant"
    assert list(constant.frames["peers"]["peer_row"]) == [2, 2, 2]


# --------------------------------------------------------------- zeros and statuses


def test_zero_is_refused_with_its_rows(panel: Panel) -> None:
    found = codes(changed(panel, land=(4, 0.0), so2=(2, -1.0), gdp=(0, np.inf)))
    assert set(found) == {"L02"}
    with pytest.raises(EstimandError) as caught:
        run(changed(panel, land=(4, 0.0), so2=(2, -1.0)))
    told = [p.what for p in caught.value.problems]
    assert any("input 'land' is zero" in t and "c1 2012" in t for t in told)
    assert any("bad output 'so2' is negative" in t and "c0 2014" in t for t in told)


def test_negative_is_refused_whatever_zeros_says(panel: Panel) -> None:
    for zeros in ("drop_term", "small"):
        assert set(codes(changed(panel, gdp=(1, -0.1)), zeros=zeros)) == {"L02"}


def test_small_puts_a_hundredth_of_the_smallest(panel: Panel) -> None:
    zero = changed(panel, so2=(5, 0.0))
    smallest = panel.frame["so2"].drop(5).min()
    replaced = changed(panel, so2=(5, smallest / 100))
    out = run(zero, zeros="small", super_efficiency=True)
    np.testing.assert_array_equal(
        score(out), score(run(replaced, super_efficiency=True))
    )
    assert "1 zeros became small" in out.panel.ledger[-1].detail


def test_drop_term_averages_over_the_other_slacks() -> None:
    """B uses none of input 2, so only input 1 counts; its peer must use none, too."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 1.0], "b": [0.0, 0.0, 1.0], "y": [1.0] * 3})
    options = {"returns": "constant", "frontier": "pooled", "zeros": "drop_term"}
    out = Sbm(inputs=["a", "b"], outputs="y", **options).apply(
        Panel(frame), "e", frozenset()
    )
    # B: 1 - 1/2 of the one counted input. C: b could fall to 0, 1 - (0 + 1)/2.
    np.testing.assert_allclose(score(out, "e"), [1, 0.5, 0.5], rtol=1e-14)


def test_cap_is_flagged() -> None:
    """Nobody comes near A: with one good and one bad output the score ends at 2.

    It is flagged within 1% of that, for a remnant of a peer is often used.
    """
    frame = pd.DataFrame(
        {"x": [1.0, 10, 10, 12], "y": [100.0, 1, 1.1, 1], "b": [0.01, 5, 6, 7]}
    )
    out = Sbm(
        inputs="x",
        outputs="y",
        bad_outputs="b",
        returns="constant",
        frontier="pooled",
        super_efficiency=True,
    ).apply(Panel(frame), "e", frozenset())
    assert score(out, "e")[0] == pytest.approx(2, rel=1e-4)
    assert out.frames["scores"]["status"].iloc[0] == "capped"
    assert any("cap (2)" in note for note in out.notes)


def test_infeasible_is_missing_with_its_reason() -> None:
    """Variable returns: nobody makes as much as A, and inputs cannot help."""
    frame = pd.DataFrame({"x": [4.0, 2, 1, 3], "y": [9.0, 4, 1, 2]})
    out = Sbm(
        inputs="x",
        outputs="y",
        returns="variable",
        frontier="pooled",
        orientation="input",
        super_efficiency=True,
    ).apply(Panel(frame), "e", frozenset())
    assert np.isnan(score(out, "e")[0])
    table = out.frames["scores"]
    assert table["status"][0] == "infeasible"
    assert table["first_stage"][0] == 1
    assert any("1 score is missing, infeasible" in note for note in out.notes)
    assert np.isnan(out.frames["targets"]["x"][0])


def test_a_solver_that_fails_gives_no_number(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status other than optimal is a missing score, never the last objective."""

    def stopped(self: Any) -> None:
        self.highs.setOptionValue("simplex_iteration_limit", 0)
        self.highs.clearSolver()
        self.highs.run()
        assert self.highs.getModelStatus().name != "kOptimal"

    monkeypatch.setattr(_programs._Restricted, "_run", stopped)
    out = run(panel, super_efficiency=True)
    assert np.isnan(score(out)).all()
    assert set(out.frames["scores"]["status"]) == {"not proven"}
    assert any("24 scores are missing, not proven" in note for note in out.notes)


def test_a_wrong_basis_is_found_out(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof does not take the solver's word: peers it forgot to price show up."""
    monkeypatch.setattr(
        _programs._Restricted, "_converge", lambda self, o: self._run() is not None
    )
    monkeypatch.setattr(_programs, "_seeds", lambda programs: np.array([0]))
    calls: list[int] = []
    allowed = Programs.allowed

    def counted(self: Programs, o: int) -> Any:
        calls.append(o)
        return allowed(self, o)

    monkeypatch.setattr(Programs, "allowed", counted)
    found = run(panel)
    monkeypatch.undo()
    assert calls  # solved again by themselves, with every peer
    expected = run(panel)
    np.testing.assert_allclose(score(found), score(expected), rtol=1e-12)
    keys = ["city", "year", "peer_city", "peer_year"]
    for table in ("targets", "peers"):
        a, b = (
            out.frames[table].sort_values(keys if table == "peers" else keys[:2])
            for out in (found, expected)
        )
        pd.testing.assert_frame_equal(
            a.reset_index(drop=True), b.reset_index(drop=True), rtol=1e-9
        )


# ---------------------------------------------------------------------- bad inputs


def test_missing_cells_are_refused_or_skipped(panel: Panel) -> None:
    gaps = changed(panel, land=(3, NAN), so2=(7, NAN))
    found = codes(gaps)
    assert set(found) == {"L04"}
    for word in ("2 of 24 rows", "land 1", "so2 1", "c1 2011", "c2 2012", "skip"):
        assert word in found["L04"]
    out = run(gaps, missing="skip")
    values = score(out)
    assert list(np.flatnonzero(np.isnan(values))) == [3, 7]
    complete = Panel(
        panel.frame.drop(index=[3, 7]).reset_index(drop=True), "city", "year"
    )
    np.testing.assert_array_equal(values[~np.isnan(values)], score(run(complete)))
    assert "2 rows lack a quantity" in out.panel.ledger[-1].detail


def test_one_row_and_identical_rows_are_refused(panel: Panel) -> None:
    one = Panel(panel.frame.iloc[:1].copy(), "city", "year")
    assert "1 row" in codes(one)["L03"]
    same = panel.frame.copy()
    same[["land", "labor", "gdp", "so2"]] = 2.0
    assert "same quantities" in codes(Panel(same, "city", "year"))["L03"]


def test_a_row_that_is_alone_in_its_year_has_no_score(panel: Panel) -> None:
    frame = panel.frame[(panel.frame["year"] != 2014) | (panel.frame["city"] == "c0")]
    alone = Panel(frame.reset_index(drop=True), "city", "year")
    for above in (False, True):
        out = run(alone, frontier="yearly", super_efficiency=above)
        missing = out.panel.frame["year"] == 2014
        assert list(np.isnan(score(out))) == list(missing)
        assert (out.frames["scores"]["status"] == "no peers").sum() == 1


def test_duplicates_are_not_super_efficient(panel: Panel) -> None:
    first = run(panel, super_efficiency=True)
    best = int(np.argmax(score(first)))
    twin = panel.frame.iloc[[best]].assign(city="twin")
    frame = pd.concat([panel.frame, twin], ignore_index=True)
    out = run(Panel(frame, "city", "year"), super_efficiency=True)
    assert score(out)[best] == 1
    assert score(out)[-1] == 1
    assert out.frames["scores"]["status"].iloc[-1] == "efficient"


def test_rows_drawn_twice_keep_their_lead(panel: Panel) -> None:
    """A bootstrap draws cities twice: copies score what the original scores."""
    drawn = pd.concat(
        [panel.frame, panel.frame.assign(city="copy " + panel.frame["city"])],
        ignore_index=True,
    )
    for frontier in ("pooled", "yearly", "sequential"):
        options = {"super_efficiency": True, "frontier": frontier}
        found = score(run(Panel(drawn, "city", "year"), twins="same", **options))
        np.testing.assert_allclose(
            found, np.tile(score(run(panel, **options)), 2), rtol=1e-12
        )
    out = run(Panel(drawn, "city", "year"), twins="same", super_efficiency=True)
    assert not out.frames["peers"]["peer_city"].str.startswith("copy").any()
    plain = run(Panel(drawn, "city", "year"), super_efficiency=True)
    assert score(plain).max() == 1


@pytest.mark.parametrize("reference", [None, "region = 'east'"])
def test_tables_of_rows_drawn_twice(panel: Panel, reference: str | None) -> None:
    """Copies have the slacks and peers of the original, whoever stands in between."""
    options = {"super_efficiency": True, "reference": reference, "twins": "same"}
    once = run(panel, **options)
    copies = panel.frame[::2].assign(city="copy " + panel.frame["city"])
    drawn = pd.concat([panel.frame, copies], ignore_index=True)
    twice = run(Panel(drawn, "city", "year"), **options)
    for table in ("scores", "slacks", "targets", "peers"):
        original = once.frames[table]
        both = twice.frames[table]
        is_copy = both["city"].str.startswith("copy ")
        pd.testing.assert_frame_equal(
            both[~is_copy].reset_index(drop=True), original, rtol=1e-9, atol=1e-12
        )
        found = both[is_copy].assign(city=both["city"].str.removeprefix("copy "))
        drawn_twice = panel.frame[::2].set_index(["city", "year"]).index
        here = pd.MultiIndex.from_frame(original[["city", "year"]]).isin(drawn_twice)
        pd.testing.assert_frame_equal(
            found.reset_index(drop=True),
            original[here].reset_index(drop=True),
            rtol=1e-9,
            atol=1e-12,
        )


def test_columns_are_checked(panel: Panel) -> None:
    for wrong in (
        {"inputs": []},
        {"outputs": []},
        {"outputs": ["land"]},
        {"orientation": "both"},
        {"zeros": 0.1},
    ):
        with pytest.raises(ValidationError):
            Sbm(**{**WRITTEN, **wrong})
    assert set(codes(panel, inputs=["lnd"])) == {"X01"}
    assert set(codes(panel, inputs=["region"])) == {"D07"}
    step = Sbm(**{**WRITTEN, "frontier": {"metafrontier": "region"}})
    assert step.reads("e") == ("land", "labor", "gdp", "so2", "region")
    with pytest.raises(EstimandError) as caught:
        Sbm(**WRITTEN).apply(panel, "gdp", frozenset())
    assert caught.value.problems[0].code == "X13"


def test_ratios_against_volumes_are_noted(panel: Panel) -> None:
    head = np.exp(np.random.default_rng(0).normal(0, 0.1, len(panel.frame)))
    frame = panel.frame.assign(gdp=head)
    out = run(Panel(frame, "city", "year"))
    (note,) = [n for n in out.notes if "hardly grow" in n]
    assert "gdp" in note
    assert "-0." in note
    assert not [n for n in run(panel).notes if "hardly grow" in n]
    variable = run(Panel(frame, "city", "year"), returns="variable")
    assert not [n for n in variable.notes if "hardly grow" in n]
    assert "rank correlation" not in variable.panel.ledger[-1].detail


def test_score_and_size_correlate_by_the_number_told(panel: Panel) -> None:
    """In ledger and note, by scipy's rank correlation; size found or declared."""
    head = np.exp(np.random.default_rng(0).normal(0, 0.1, len(panel.frame)))
    people = np.exp(np.random.default_rng(1).normal(0, 1, len(panel.frame)))
    frame = panel.frame.assign(gdp=head, people=people)
    for options, size, words in (
        ({}, np.log(frame[["land", "labor"]]).mean(axis=1), "the inputs"),
        ({"size": "people"}, frame["people"], "people"),
    ):
        out = run(Panel(frame, "city", "year"), **options)
        known = spearmanr(score(out), size).statistic
        told = f"rank correlation of score and {words} {known:.2f}"
        assert told in out.panel.ledger[-1].detail
        (note,) = [n for n in out.notes if "hardly grow" in n]
        assert f"rank correlation {known:.2f}" in note
    assert Sbm(**WRITTEN, size="people").reads("e")[-1] == "people"
    assert set(codes(panel, size="people")) == {"X01"}
    # Nothing to correlate: all rows of one size.
    same = panel.frame.assign(land=1.0, labor=1.0)
    detail = run(Panel(same, "city", "year")).panel.ledger[-1].detail
    assert "rank correlation" not in detail


def test_one_row_as_everybodys_yardstick_is_noted(panel: Panel) -> None:
    ahead = changed(panel, gdp=(4, 1e4 * panel.frame["gdp"].max()))
    (note,) = [n for n in run(ahead).notes if "is a peer of" in n]
    assert "c1 2012 is a peer of 23 of 24 rows" in note
    even = Panel(
        pd.DataFrame({"x": [1.0, 1, 1], "y": [1.0, 2, 3], "z": [3.0, 2, 1]}), None, None
    )
    step = Sbm(inputs="x", outputs=["y", "z"], returns="constant", frontier="pooled")
    notes = step.apply(even, "e", frozenset()).notes
    assert not [n for n in notes if "is a peer of" in n]


def test_too_few_units_are_noted(panel: Panel) -> None:
    notes = run(panel, frontier="yearly").notes
    assert any("3 of 3 technologies have fewer than 12 units" in n for n in notes)
    assert not any("technologies" in n for n in run(panel).notes)


def test_a_singular_basis_is_no_proof() -> None:
    """Two programs, one with a basis that does not span: only the other has a value."""
    programs = Programs(
        peers=np.array([[1.0, 2.0]]),
        sense="=",
        rhs=np.array([2.0]),
        cost=np.array([[3.0], [3.0]]),
        rows=np.array([0]),
        columns=np.array([0]),
        values=np.array([[1.0], [0.0]]),
        own=np.array([-1, -1]),
    )
    bases = Bases(np.array([[PEER], [OWN]], dtype=np.int8), np.array([[1], [0]]))
    found = optima(programs, bases, np.array([0, 1]))
    assert list(found.exact) == [True, False]
    assert found.objective[0] == 0
    assert list(found.intensity) == [1.0]
