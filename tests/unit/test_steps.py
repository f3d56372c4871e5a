"""Every data step: what it computes, counts, refuses and leaves alone."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from estimators.steps.above import Above
from estimators.steps.asinh import Asinh
from estimators.steps.at import At
from estimators.steps.derive import Derive
from estimators.steps.dummies import Dummies
from estimators.steps.indicator import Indicator
from estimators.steps.interpolate import Interpolate
from estimators.steps.keep import Keep
from estimators.steps.lag import Lag
from estimators.steps.lead import Lead
from estimators.steps.log import Log
from estimators.steps.log1p import Log1p
from estimators.steps.merge import Merge
from estimators.steps.quantiles import Quantiles
from estimators.steps.ratio import Ratio
from estimators.steps.recode import Recode
from estimators.steps.share import Share
from estimators.steps.square import Square
from estimators.steps.standardize import Standardize
from estimators.steps.winsorize import Winsorize
from framework.contract import Step, StepOutput
from framework.errors import DataError, EstimandError, SpecError
from framework.panel import Panel

NAN = float("nan")
PROTECTED = frozenset({"city", "year", "d", "z"})


@pytest.fixture
def panel() -> Panel:
    """Two cities, 2010-2014; b has no 2012; x has a gap inside and gaps at the ends."""
    frame = pd.DataFrame(
        {
            "city": ["a"] * 5 + ["b"] * 4,
            "year": [2010, 2011, 2012, 2013, 2014, 2010, 2011, 2013, 2014],
            "d": [0, 0, 1, 1, 1, 0, 0, 0, 0],
            "x": [NAN, 1.0, NAN, NAN, 4.0, 10.0, NAN, 40.0, NAN],
            "gdp": [1.0, 2.0, 4.0, 8.0, 16.0, 3.0, 6.0, 12.0, 24.0],
            "z": [5.0, 6.0, 7.0, 8.0, 9.0, 1.0, 2.0, 3.0, 4.0],
            "dummy": [0.0, 1.0, NAN, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0],
            "pop": [1, 2, 3, 4, 5, 6, 7, 8, 9],
            "region": ["east"] * 5 + ["west"] * 4,
        }
    )
    return Panel(frame, "city", "year", key="k")


def run(step: Step, panel: Panel, name: str = "new") -> StepOutput:
    """Apply, and check what holds for every step: purity, ledger, untouched columns."""
    before = panel.frame.copy(deep=True)
    out = step.apply(panel, name, PROTECTED)
    pd.testing.assert_frame_equal(panel.frame, before)
    line = out.panel.ledger[-1]
    assert (line.stage, line.name) == ("step", name)
    assert (line.rows_in, line.rows_out) == (len(before), len(out.panel.frame))
    assert line.detail
    assert len(out.panel.ledger) == len(panel.ledger) + 1
    assert set(step.reads(name)) <= set(before.columns)
    new = [c for c in out.panel.frame.columns if c not in before.columns]
    if step.makes(name):
        assert new == list(step.makes(name))
    if len(out.panel.frame) == len(before):
        allowed = set(step.touches(name))
        if getattr(step, "columns", "") is None:
            allowed |= {"x", "gdp", "pop"}
        for column in before.columns:
            if column not in allowed:
                pd.testing.assert_series_equal(out.panel.frame[column], before[column])
    return out


def problem(step: Step, panel: Panel, name: str = "new") -> Any:
    with pytest.raises(EstimandError) as caught:
        step.apply(panel, name, PROTECTED)
    found = caught.value.problems[0]
    assert found.what
    return found


def column(out: StepOutput, name: str = "new") -> list[float]:
    return [float(v) for v in out.panel.frame[name]]


def same(found: list[float], expected: list[float]) -> None:
    # Exact up to one rounding of a division or transcendental function.
    np.testing.assert_allclose(found, expected, rtol=1e-15)


# ------------------------------------------------------------- the rule of `columns`


def test_bare_string_makes_the_column_named_after_the_step(panel: Panel) -> None:
    out = run(Log(columns="gdp"), panel, "log(gdp)")
    same(column(out, "log(gdp)"), list(np.log(panel.frame["gdp"])))
    assert out.panel.ledger[-1].cells == 9


def test_list_changes_in_place(panel: Panel) -> None:
    step = Square(columns=["gdp", "pop"])
    assert (step.makes("s"), step.touches("s")) == ((), ("gdp", "pop"))
    out = run(step, panel, "s")
    same(column(out, "gdp"), [g**2 for g in panel.frame["gdp"]])
    # 1 and 1 stay what they are: 9 + 9 cells, two of them ones.
    assert out.panel.ledger[-1].cells == 16


def test_mapping_makes_new_columns(panel: Panel) -> None:
    step = Log(columns={"l_gdp": "gdp", "l_pop": "pop"})
    assert step.makes("logs") == ("l_gdp", "l_pop")
    assert step.reads("logs") == ("gdp", "pop")
    assert run(step, panel, "logs").panel.ledger[-1].cells == 18


def test_nothing_is_overwritten_silently(panel: Panel) -> None:
    for step, name in (
        (Log(columns="gdp"), "pop"),
        (Log(columns="gdp"), "gdp"),
        (Log(columns={"pop": "gdp"}), "s"),
        (Indicator(where="year > 2011"), "d"),
        (Derive(formula="gdp / pop"), "gdp"),
        (Ratio(over="gdp", under="pop"), "x"),
        (Above(column="gdp", cut="mean"), "x"),
        (At(column="gdp", year=2010), "x"),
    ):
        assert problem(step, panel, name).code == "X13"


def test_keys_of_the_panel_never_change(panel: Panel) -> None:
    assert problem(Log(columns=["year"]), panel).code == "X14"
    assert run(Square(columns={"year2": "year"}), panel).panel.frame["year2"].min() > 0


def test_listed_treatment_changes_with_a_note(panel: Panel) -> None:
    out = run(Square(columns=["d", "gdp"]), panel)
    assert len(out.notes) == 1
    assert "'d'" in out.notes[0]
    assert not run(Square(columns=["gdp"]), panel).notes


def test_default_leaves_protected_and_0_1_columns_alone(panel: Panel) -> None:
    out = run(Winsorize(limits=(0.2, 0.8)), panel)
    changed = [c for c in panel.frame if not out.panel.frame[c].equals(panel.frame[c])]
    assert changed == ["x", "gdp", "pop"]
    out = run(Winsorize(limits=(0.2, 0.8), columns=["z", "dummy"]), panel)
    assert not out.panel.frame["z"].equals(panel.frame["z"])


def test_misspelt_columns_are_found_all_at_once(panel: Panel) -> None:
    with pytest.raises(EstimandError) as caught:
        Log(columns=["gpd", "popp"]).apply(panel, "s", PROTECTED)
    assert [p.code for p in caught.value.problems] == ["X01", "X01"]
    assert "gdp" in caught.value.problems[0].fix


@pytest.mark.parametrize("bad", [[], {}, ["gdp", "gdp"]])
def test_columns_must_name_something_once(bad: Any) -> None:
    with pytest.raises(ValidationError):
        Log(columns=bad)


def test_text_is_refused_with_its_cells(panel: Panel) -> None:
    for step in (
        Log(columns="region"),
        Winsorize(limits=(0, 1), columns=["region"]),
        Interpolate(columns=["region"]),
        Standardize(columns="region"),
        Ratio(over="region", under="pop"),
        Above(column="region", cut=1.0),
        Quantiles(column="region", number=2),
        Derive(formula="region + 1"),
    ):
        found = problem(step, panel)
        assert found.code == "D07"
        assert "'east'" in found.what


# ------------------------------------------------------------- functions of a cell


def test_functions(panel: Panel) -> None:
    g = panel.frame["gdp"].to_numpy()
    same(column(run(Log1p(columns="gdp"), panel)), list(np.log1p(g)))
    same(column(run(Asinh(columns="gdp"), panel)), list(np.arcsinh(g)))
    same(column(run(Square(columns="gdp"), panel)), list(g**2))


def test_missing_stays_missing(panel: Panel) -> None:
    out = run(Log(columns="x"), panel)
    assert out.panel.frame["new"].isna().equals(panel.frame["x"].isna())
    assert out.panel.ledger[-1].cells == 4


def test_log_of_non_positive_cells_is_counted_and_refused(panel: Panel) -> None:
    frame = panel.frame.assign(gdp=[0.0, -1.0, *panel.frame["gdp"][2:]])
    panel = Panel(frame, "city", "year")
    found = problem(Log(columns="gdp"), panel)
    assert found.code == "D08"
    assert "2 of 9" in found.what
    assert "log1p" in found.fix
    assert "asinh" in found.fix
    assert problem(Log1p(columns="gdp"), panel).code == "D08"
    assert run(Asinh(columns="gdp"), panel).panel.ledger[-1].cells == 9


def test_problems_of_all_columns_at_once(panel: Panel) -> None:
    frame = panel.frame.assign(gdp=-1.0, pop=0)
    with pytest.raises(EstimandError) as caught:
        Log(columns=["gdp", "pop"]).apply(Panel(frame, "city", "year"), "s", PROTECTED)
    assert [p.code for p in caught.value.problems] == ["D08", "D08"]


# ------------------------------------------------------------------------------- rows


def test_keep_counts_false_and_unknown(panel: Panel) -> None:
    out = run(Keep(where="x > 1"), panel)
    assert list(out.panel.frame["x"]) == [4.0, 10.0, 40.0]
    assert list(out.panel.frame.index) == [0, 1, 2]
    line = out.panel.ledger[-1]
    assert (line.rows_in, line.rows_out, line.cells) == (9, 3, 0)
    assert "1 row out, 5 more because it is unknown" in line.detail


def test_keep_nothing_is_refused(panel: Panel) -> None:
    assert problem(Keep(where="year > 3000"), panel).code == "D05"


def test_a_condition_is_read_with_the_study(panel: Panel) -> None:
    for plugin in (Keep, Indicator):
        with pytest.raises(SpecError, match="at character"):
            plugin(where="year >")
    with pytest.raises(SpecError):
        Derive(formula="gdp +")


def test_indicator(panel: Panel) -> None:
    out = run(Indicator(where="year >= 2012"), panel, "after")
    assert list(out.panel.frame["after"]) == [0, 0, 1, 1, 1, 0, 0, 1, 1]
    assert out.panel.frame["after"].dtype == np.int64
    unknown = run(Indicator(where="x > 5"), panel).panel.frame["new"]
    assert list(unknown.isna()) == list(panel.frame["x"].isna())


# ----------------------------------------------------------------------- interpolation


def test_interpolates_inside_a_unit_by_calendar(panel: Panel) -> None:
    out = run(Interpolate(), panel, "fill")
    same(
        column(out, "x"),
        # b: 2010 = 10, 2013 = 40; 2011 is one third of the way although 2012 is absent.
        [NAN, 1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 40.0, NAN],
    )
    assert out.panel.ledger[-1].cells == 3
    filled = out.frames["filled"]
    assert list(filled["city"]) == ["a", "a", "b"]
    assert list(filled["year"]) == [2012, 2013, 2011]
    assert list(filled["column"]) == ["x", "x", "x"]
    assert list(filled["value"]) == [2.0, 3.0, 20.0]


def test_interpolation_limit_leaves_long_gaps_whole(panel: Panel) -> None:
    out = run(Interpolate(columns=["x"], limit=1), panel)
    assert out.panel.ledger[-1].cells == 0
    out = run(Interpolate(columns={"y": "x"}, limit=2), panel)
    assert out.panel.ledger[-1].cells == 3


def test_interpolation_needs_units(panel: Panel) -> None:
    assert problem(Interpolate(), Panel(panel.frame)).code == "P04"


gapped = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=4, max_size=24)


@given(gapped, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_interpolation_never_extrapolates(
    cells: list[float | None], units: int
) -> None:
    n = len(cells) // units * units
    frame = pd.DataFrame(
        {
            "u": np.repeat(np.arange(units), n // units),
            "t": np.tile(np.arange(n // units), units),
            "x": np.array(cells[:n], dtype=float),
        }
    )
    out = Interpolate(columns=["x"]).apply(Panel(frame, "u", "t"), "f", frozenset())
    for _, group in out.panel.frame.assign(old=frame["x"]).groupby("u"):
        old, new = group["old"].to_numpy(), group["x"].to_numpy()
        known = ~np.isnan(old)
        assert np.array_equal(old[known], new[known])
        # pandas fills the inside of a series the same way; rounding differs.
        pandas = group["old"].interpolate("linear", limit_area="inside").to_numpy()
        np.testing.assert_allclose(new, pandas, rtol=1e-9, atol=1e-6)


# ------------------------------------------------------------------------- percentiles


def test_winsorize_by_hand(panel: Panel) -> None:
    out = run(Winsorize(limits=(0.25, 0.75), columns=["pop"]), panel)
    assert column(out, "pop") == [3, 3, 3, 4, 5, 6, 7, 7, 7]
    line = out.panel.ledger[-1]
    assert line.cells == 4
    assert line.detail == "winsorized 4 cells of pop at [0.25, 0.75]"


def test_winsorize_within_and_no_limits(panel: Panel) -> None:
    out = run(Winsorize(limits=(0.5, 1), columns=["gdp"], within="city"), panel)
    assert column(out, "gdp") == [4, 4, 4, 8, 16, 9, 9, 12, 24]
    assert run(Winsorize(limits=(0, 1)), panel).panel.ledger[-1].cells == 0


def test_winsorize_as_stata_takes_percentiles() -> None:
    frame = pd.DataFrame({"x": np.arange(1.0, 11.0)})
    step = Winsorize(limits=(0.1, 0.9), columns=["x"], definition="stata")
    out = step.apply(Panel(frame), "w", frozenset())
    # Stata's _pctile: 10 × 0.1 = 1 is whole, so the mean of the 1st and 2nd cell.
    assert out.panel.frame["x"].min() == 1.5
    assert out.panel.frame["x"].max() == 9.5


@pytest.mark.parametrize("bad", [(0.9, 0.1), (-0.1, 0.9), (0, 2), (0.5, 0.5)])
def test_winsorize_limits_are_checked(bad: tuple[float, float]) -> None:
    with pytest.raises(ValidationError):
        Winsorize(limits=bad)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30),
    st.floats(0, 0.4),
    st.randoms(),
)
@settings(max_examples=60, deadline=None)
def test_winsorize_keeps_order_and_ignores_row_order(
    cells: list[float], low: float, random: Any
) -> None:
    step = Winsorize(limits=(low, 1 - low), columns=["x"])
    once = step.apply(Panel(pd.DataFrame({"x": cells})), "w", frozenset())
    x, y = np.array(cells), once.panel.frame["x"].to_numpy()
    assert (np.diff(y[np.argsort(x, kind="stable")]) >= 0).all()
    assert y.min() >= x.min()
    assert y.max() <= x.max()
    order = list(range(len(cells)))
    random.shuffle(order)
    shuffled = step.apply(Panel(pd.DataFrame({"x": x[order]})), "w", frozenset())
    assert np.array_equal(shuffled.panel.frame["x"].to_numpy(), y[order])


def test_standardize(panel: Panel) -> None:
    new = run(Standardize(columns="gdp"), panel).panel.frame["new"]
    assert new.mean() == pytest.approx(0, abs=1e-15)  # rounding of nine terms
    assert new.std() == pytest.approx(1, rel=1e-14)
    by = run(Standardize(columns="gdp", within="city"), panel).panel.frame
    means = by.groupby("city")["new"].mean()
    assert list(means) == pytest.approx([0, 0], abs=1e-15)
    flat = Panel(panel.frame.assign(gdp=2.0), "city", "year")
    assert problem(Standardize(columns="gdp"), flat).code == "D06"
    assert problem(Standardize(columns="pop", within="year"), flat).code == "D06"


# -------------------------------------------------------------------------------- time


def test_lag_and_lead_follow_the_calendar(panel: Panel) -> None:
    lag = run(Lag(columns="pop"), panel)
    same(column(lag), [NAN, 1, 2, 3, 4, NAN, 6, NAN, 8])
    assert lag.panel.ledger[-1].cells == 6
    lead = run(Lead(columns={"next": "pop"}, periods=2), panel)
    same(column(lead, "next"), [3, 4, 5, NAN, NAN, NAN, 8, NAN, NAN])
    text = run(Lag(columns="region"), panel).panel.frame["new"]
    assert text.isna().sum() == 3
    assert text[1] == "east"
    assert problem(Lag(columns="pop"), Panel(panel.frame)).code == "P04"
    with pytest.raises(ValidationError):
        Lag(columns="pop", periods=0)


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_lag_against_a_dictionary(data: st.DataObject) -> None:
    keys = data.draw(
        st.sets(st.tuples(st.integers(0, 4), st.integers(-5, 8)), min_size=1)
    )
    periods = data.draw(st.integers(1, 20))
    frame = pd.DataFrame(sorted(keys), columns=["u", "t"])
    frame["x"] = np.arange(len(frame), dtype=float)
    out = Lag(columns="x", periods=periods).apply(
        Panel(frame, "u", "t"), "new", frozenset()
    )
    known = dict(zip(zip(frame["u"], frame["t"], strict=True), frame["x"], strict=True))
    expected = [
        known.get((u, t - periods), NAN)
        for u, t in zip(frame["u"], frame["t"], strict=True)
    ]
    np.testing.assert_array_equal(out.panel.frame["new"], expected)


def test_at_freezes_a_period(panel: Panel) -> None:
    out = run(At(column="gdp", year=2012), panel, "at(gdp, 2012)")
    same(column(out, "at(gdp, 2012)"), [4, 4, 4, 4, 4, NAN, NAN, NAN, NAN])
    assert "missing for 1 unit" in out.panel.ledger[-1].detail
    found = problem(At(column="gdp", year=1999), panel)
    assert found.code == "T04"
    assert "2010 to 2014" in found.fix


# ------------------------------------------------------------------------------ groups


def test_above(panel: Panel) -> None:
    assert column(run(Above(column="pop", cut="median"), panel)) == [0] * 5 + [1] * 4
    assert column(run(Above(column="pop", cut=2.0), panel)) == [0, 0] + [1] * 7
    frozen = run(Above(column="gdp", cut="mean", at=2010), panel)
    assert column(frozen) == [0] * 5 + [1] * 4
    assert "2010" in frozen.panel.ledger[-1].detail
    gaps = run(Above(column="x", cut="mean"), panel).panel.frame["new"]
    assert list(gaps.isna()) == list(panel.frame["x"].isna())
    assert problem(Above(column="pop", cut=100.0), panel).code == "D06"
    assert problem(Above(column="pop", cut="mean", at=1990), panel).code == "T04"


def test_quantiles(panel: Panel) -> None:
    out = run(Quantiles(column="pop", number=3), panel)
    assert column(out) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    frozen = run(Quantiles(column="gdp", number=2, at=2010), panel)
    assert column(frozen) == [1] * 5 + [2] * 4
    assert problem(Quantiles(column="d", number=4), panel).code == "D06"


def test_dummies(panel: Panel) -> None:
    out = run(Dummies(column="year"), panel, "dummies(year)")
    made = [c for c in out.panel.frame if c.startswith("year=")]
    assert made == [f"year={y}" for y in range(2010, 2015)]
    assert (out.panel.frame[made].sum(axis=1) == 1).all()
    part = run(Dummies(column="region", reference="west"), panel)
    assert "region=east" in part.panel.frame
    assert "region=west" not in part.panel.frame
    assert problem(Dummies(column="region", reference="north"), panel).code == "D17"
    gaps = run(Dummies(column="dummy"), panel).panel.frame["dummy=1"]
    assert list(gaps.isna()) == list(panel.frame["dummy"].isna())
    many = Panel(pd.DataFrame({"i": np.arange(501)}))
    assert problem(Dummies(column="i"), many).code == "D19"


def test_recode(panel: Panel) -> None:
    out = run(Recode(columns="region", map={"east": 1, "west": 0}), panel)
    assert column(out) == [1] * 5 + [0] * 4
    found = problem(Recode(columns="region", map={"east": 1}), panel)
    assert (found.code, "west" in found.what) == ("D16", True)
    out = run(Recode(columns=["region"], map={"east": "e"}, other="keep"), panel)
    assert set(out.panel.frame["region"]) == {"e", "west"}
    out = run(Recode(columns="pop", map={9: 90}, other="missing"), panel)
    assert out.panel.ledger[-1].cells == 1
    mixed = Recode(columns="pop", map={9: "nine"}, other="keep")
    assert problem(mixed, panel).code == "D07"


# ----------------------------------------------------------------- several columns


def test_ratio_share_and_derive(panel: Panel) -> None:
    f = panel.frame
    same(column(run(Ratio(over="gdp", under="pop"), panel)), list(f["gdp"] / f["pop"]))
    out = run(Share(of="gdp", total=["gdp", "pop"]), panel)
    same(column(out), list(f["gdp"] / (f["gdp"] + f["pop"])))
    odd = run(Share(of="gdp", total="pop"), panel)
    assert "outside 0 to 1" in odd.notes[0]
    same(column(run(Derive(formula="gdp / pop"), panel)), list(f["gdp"] / f["pop"]))
    for step in (
        Ratio(over="gdp", under="dummy"),
        Share(of="gdp", total="dummy"),
        Derive(formula="gdp / dummy"),
    ):
        found = problem(step, panel)
        assert found.code == "D08"
        assert "4 of 9" in found.what


# ------------------------------------------------------------------------------- merge


def with_file(panel: Panel, other: pd.DataFrame) -> Panel:
    return Panel(panel.frame, "city", "year", frames={"new.source": other})


def test_merge_looks_up(panel: Panel) -> None:
    other = pd.DataFrame({"town": ["b", "c"], "coast": ["no", "yes"], "km": [7, 8]})
    step = Merge(source="towns.csv", on={"city": "town"}, columns=["km"])
    assert step.files("new") == {"new.source": {"path": "towns.csv"}}
    out = run(step, with_file(panel, other))
    same(column(out, "km"), [NAN] * 5 + [7.0] * 4)
    line = out.panel.ledger[-1]
    assert line.cells == 4
    assert line.detail == ("4 rows matched, 5 not; 1 row of the second file unused")
    assert "new.source" not in out.panel.frames
    assert "coast" not in out.panel.frame


def test_merge_inner_and_all_columns(panel: Panel) -> None:
    other = pd.DataFrame({"city": ["b"], "coast": ["no"], "km": [7]})
    out = run(Merge(source="t.csv", on="city", how="inner"), with_file(panel, other))
    assert len(out.panel.frame) == 4
    assert set(out.panel.frame["coast"]) == {"no"}
    assert list(out.panel.frame.index) == [0, 1, 2, 3]


def test_merge_refusals(panel: Panel) -> None:
    def merge(other: pd.DataFrame, **options: Any) -> str:
        step = Merge(source="t.csv", **{"on": "city", **options})
        return str(problem(step, with_file(panel, other)).code)

    twice = pd.DataFrame({"city": ["a", "a"], "km": [1, 2]})
    assert merge(twice) == "P01"
    assert merge(pd.DataFrame({"city": [1], "km": [1]})) == "D07"
    assert merge(pd.DataFrame({"city": ["q"], "km": [1]})) == "D20"
    assert merge(pd.DataFrame({"town": ["a"], "km": [1]})) == "X01"
    assert merge(pd.DataFrame({"city": ["a"], "pop": [1]})) == "X13"
    one = pd.DataFrame({"city": ["a"], "km": [1]})
    assert merge(one, validate="1:1") == "P01"
    assert merge(one, columns=["miles"]) == "X01"


def test_merge_never_matches_missing_keys() -> None:
    frame = pd.DataFrame({"k": [1.0, NAN], "v": [1, 2]})
    other = pd.DataFrame({"k": [1.0, NAN], "w": [5.0, 6.0]})
    panel = Panel(frame, frames={"m.source": other})
    out = Merge(source="t.csv", on="k").apply(panel, "m", frozenset())
    same(column(out, "w"), [5.0, NAN])


# -------------------------------------------------------------------------- all of them

STEPS: list[tuple[Step, str]] = [
    (Log(columns="gdp"), "new"),
    (Log1p(columns="gdp"), "new"),
    (Asinh(columns="gdp"), "new"),
    (Square(columns="gdp"), "new"),
    (Keep(where="year > 2010"), "new"),
    (Indicator(where="gdp > 3"), "new"),
    (Derive(formula="gdp ** 2 - pop"), "new"),
    (Interpolate(), "new"),
    (Winsorize(limits=(0.1, 0.9)), "new"),
    (Standardize(columns="gdp"), "new"),
    (Lag(columns="pop"), "new"),
    (Lead(columns="pop"), "new"),
    (Ratio(over="gdp", under="pop"), "new"),
    (Share(of="gdp", total="pop"), "new"),
    (At(column="gdp", year=2010), "new"),
    (Above(column="gdp", cut="mean", at=2010), "new"),
    (Quantiles(column="gdp", number=2), "new"),
    (Dummies(column="region"), "new"),
    (Recode(columns="region", map={"east": 1, "west": 2}), "new"),
]


@pytest.mark.parametrize(("step", "name"), STEPS, ids=lambda s: type(s).__name__)
def test_row_order_and_unit_names_do_not_matter(
    step: Step, name: str, panel: Panel
) -> None:
    straight = run(step, panel, name).panel.frame
    # The same cities under names that sort the other way round.
    renamed = panel.frame.assign(city=panel.frame["city"].map({"a": "z", "b": "y"}))
    renamed = renamed.sort_values(["city", "year"]).reset_index(drop=True)
    other = run(step, Panel(renamed, "city", "year"), name).panel.frame
    other = other.assign(city=other["city"].map({"z": "a", "y": "b"}))
    other = other.sort_values(["city", "year"]).reset_index(drop=True)
    # Sums in another order differ in the last digits.
    pd.testing.assert_frame_equal(straight, other, check_exact=False, rtol=1e-13)


@pytest.mark.parametrize(("step", "name"), STEPS, ids=lambda s: type(s).__name__)
def test_contract_of_a_step(step: Step, name: str, panel: Panel) -> None:
    kind = type(step)
    assert inspect.getmodule(kind).__name__.endswith(f".{kind.__name__.lower()}")
    assert kind.__doc__
    first, second = run(step, panel, name), run(step, panel, name)
    pd.testing.assert_frame_equal(first.panel.frame, second.panel.frame)
    assert kind.model_validate(step.model_dump(by_alias=True)) == step
    with pytest.raises(ValidationError):
        kind.model_validate({**step.model_dump(by_alias=True), "no_such_option": 1})
    assert all(field.description for field in kind.model_fields.values())


def test_a_column_name_is_never_code(panel: Panel) -> None:
    odd = "__import__('os') `x` \"y\""
    odd_panel = Panel(panel.frame.rename(columns={"gdp": odd}), "city", "year")
    out = Log(columns=odd).apply(odd_panel, "l", PROTECTED)
    same(column(out, "l"), list(np.log(panel.frame["gdp"])))


def test_data_errors_leave_the_panel_alone(panel: Panel) -> None:
    with pytest.raises(DataError):
        Keep(where="pop > 100").apply(panel, "k", PROTECTED)
    assert len(panel.frame) == 9
