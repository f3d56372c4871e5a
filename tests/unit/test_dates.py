"""Dates: as the panel's time, as first treated periods, and where a number is wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from framework.condition import as_dates, evaluate, parse
from framework.data.design import Design, build
from framework.data.prepare import Prepared
from framework.errors import EstimandError, Problem
from framework.plan import panel_of, plan, trees
from framework.spec import choices
from framework.spec.study import open_study, project_root

Make = Callable[..., Design]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The design of a model on a frame, written to a file as it is."""

    def made(frame: pd.DataFrame, model: dict[str, Any], **data: Any) -> Design:
        source = data.pop("source", "data.parquet")
        if source.endswith(".csv"):
            frame.to_csv(tmp_path / source, index=False)
        else:
            frame.to_parquet(tmp_path / source)
        given = {"source": source, "panel": {"unit": "unit", "time": "time"}, **data}
        effects = {"fixed_effects": ["unit", "time"], "estimator": "twfe"}
        study = {
            "study": "dates",
            "data": given,
            "model": {"outcome": "y", **effects, **model},
        }
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(study), encoding="utf-8")
        opened = open_study(path)
        (found,) = plan(opened)
        prepared = Prepared(opened.root, project_root(opened))
        read, resolved = trees(found)
        estimator = choices.build("estimator", resolved.estimator)
        return build(panel_of(opened, found, prepared), read, resolved, estimator)

    return made


def panel(start: str, step: pd.DateOffset, periods: int = 8) -> pd.DataFrame:
    """12 units; 4 adopt in the fourth period, 3 in the sixth, 5 never; `d` is the truth."""
    days = [pd.Timestamp(start) + i * step for i in range(periods)]
    index = pd.MultiIndex.from_product([range(12), range(periods)])
    unit, t = (index.get_level_values(i).to_numpy() for i in (0, 1))
    onset = np.select([unit < 4, unit < 7], [3, 5], 99)
    rng = np.random.default_rng(5)
    first = pd.Series([days[o] if o < periods else pd.NaT for o in onset])
    return pd.DataFrame(
        {
            "unit": unit,
            "time": [days[i] for i in t],
            "onset": first,
            "d": (t >= onset).astype(int),
            "y": rng.normal(size=len(t)),
            "x": rng.normal(size=len(t)),
        }
    )


YEARS = pd.DateOffset(years=1)
QUARTERS = pd.DateOffset(months=3)
ONSET = {"treatment": {"first_treated": "onset", "never": "missing"}}
BOTH = {"treatment": {"column": "d", "first_treated": "onset", "never": "missing"}}


def annual(**changes: Any) -> pd.DataFrame:
    """Years as whole numbers, onset on 1 July of the first treated year."""
    frame = panel("2001-07-01", YEARS)
    return frame.assign(time=frame["time"].dt.year, **changes)


def treated(design: Design) -> list[float]:
    assert design.request.treatment is not None
    (name,) = design.request.treatment.columns
    return design.request.frame[name].tolist()


def problems(call: Callable[[], object]) -> list[Problem]:
    with pytest.raises(EstimandError) as caught:
        call()
    return list(caught.value.problems)


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Dates as texts like 2015-01-31, missing ones as empty cells."""
    dates = frame.select_dtypes("datetime").columns
    return frame.assign(**{c: frame[c].dt.strftime("%Y-%m-%d") for c in dates})


# -------------------------------------------------------- first treated dates


@pytest.mark.parametrize("source", ["data.parquet", "data.csv"])
@pytest.mark.parametrize("model", [ONSET, BOTH])
@pytest.mark.parametrize(
    ("start", "step"),
    [
        ("2001-12-31", YEARS),
        ("2001-01-01", QUARTERS),
        ("2001-03-15", pd.DateOffset(months=1)),
        ("2001-01-01", pd.DateOffset(days=7)),
    ],
)
def test_first_treated_dates_are_counted_as_the_panel_s_time_is(
    start: str, step: pd.DateOffset, model: dict[str, Any], source: str, make: Make
) -> None:
    frame = panel(start, step)
    given = as_text(frame) if source.endswith("csv") else frame
    design = make(given, model, source=source)
    assert treated(design) == frame["d"].tolist()
    # Nothing is said where the dates are the panel's own.
    assert not [note for note in design.notes if "onset" in note]


@pytest.mark.parametrize("source", ["data.parquet", "data.csv"])
def test_in_years_a_first_treated_date_is_its_year_and_that_is_told(
    source: str, make: Make
) -> None:
    frame = annual()
    given = as_text(frame) if source.endswith("csv") else frame
    design = make(given, ONSET, source=source)
    assert treated(design) == frame["d"].tolist()
    (note,) = [note for note in design.notes if "onset" in note]
    assert note == (
        "'onset' holds dates, and 'time' is years: a unit counts as treated from the "
        "period on in which its date lies"
    )


def test_a_date_between_the_panel_s_own_is_told(make: Make) -> None:
    frame = panel("2001-01-01", QUARTERS)
    later = frame.assign(onset=frame["onset"] + pd.DateOffset(days=40))
    design = make(later, ONSET)
    assert treated(design) == frame["d"].tolist()
    (note,) = [note for note in design.notes if "onset" in note]
    assert note.startswith("'onset' holds dates other than those of 'time': a unit")


def test_dates_do_not_fit_periods_that_are_no_years(make: Make) -> None:
    frame = panel("2001-01-01", YEARS)
    frame["time"] = frame.groupby("unit").cumcount() + 1
    (found,) = problems(lambda: make(frame, ONSET))
    assert found.code == "T03"
    assert found.what == "'onset' holds dates, and 'time' whole numbers from 1 to 8"


@pytest.mark.parametrize("first", ["1960-01-01", "1970-01-01", "1900-01-01"])
def test_day_0_of_a_program_is_no_first_treated_date(first: str, make: Make) -> None:
    frame = panel("2001-01-01", QUARTERS)
    marked = frame.assign(onset=frame["onset"].fillna(pd.Timestamp(first)))
    (found,) = problems(lambda: make(marked, ONSET))
    assert found.code == "E03"
    assert found.what.startswith(f"'onset' is {first} in 40 rows, far before")
    said = {"treatment": {"first_treated": "onset", "never": first}}
    assert treated(make(marked, said)) == frame["d"].tolist()


def test_a_number_marks_no_date_as_never_treated(make: Make) -> None:
    frame = panel("2001-01-01", QUARTERS).fillna({"onset": pd.Timestamp("2001-01-01")})
    said = {"treatment": {"first_treated": "onset", "never": 0}}
    (found,) = problems(lambda: make(frame, said))
    assert (found.code, found.what) == (
        "T03",
        "'onset' holds dates, and never treated is marked by 0",
    )


@pytest.mark.parametrize("column", [{}, {"column": "d"}])
@pytest.mark.parametrize("shift", [-100, -30])
def test_first_treated_periods_of_another_counting_are_refused(
    shift: int, column: dict[str, str], make: Make
) -> None:
    frame = annual()
    frame["onset"] = frame["onset"].dt.year + shift
    model = {"treatment": {**ONSET["treatment"], **column}}
    (found,) = problems(lambda: make(frame, model))
    assert found.code == "T03"
    assert found.what.endswith(
        f"it goes from {2004 + shift} to {2006 + shift}, 'time' from 2001 to 2008"
    )


def test_periods_written_as_words_need_another_fix_than_a_mark(make: Make) -> None:
    frame = annual()
    frame["onset"] = frame["onset"].dt.strftime("summer %Y")
    (found,) = problems(lambda: make(frame, ONSET))
    assert found.code == "T03"
    assert found.fix == "write the first treated period as 'time' is written (2001)"


# ------------------------------------------------- marks of never-treated units


@pytest.mark.parametrize(
    ("mark", "never"),
    [(-1, 0), (0, "missing"), (-1, "missing"), (0, 9999), (-999, -99)],
)
def test_the_wrong_mark_of_never_treated_units_is_named(
    mark: int, never: int | str, make: Make
) -> None:
    frame = annual()
    frame["onset"] = frame["onset"].dt.year.fillna(mark).astype(int)
    for column in ({}, {"column": "d"}):
        said = {"treatment": {"first_treated": "onset", "never": never, **column}}
        (found,) = problems(lambda said=said: make(frame, said))
        assert found.code == "E03"
        assert found.what == (
            f"'onset' is {mark} in 40 rows, far before the first period 2001; never "
            f"treated is marked by {never}"
        )
        assert found.fix.startswith(f"treatment.never: {mark} ")
    right = {"treatment": {"first_treated": "onset", "never": mark}}
    assert treated(make(frame, right)) == frame["d"].tolist()


def test_early_adopters_stay_where_never_is_said(make: Make) -> None:
    frame = annual()
    frame["onset"] = frame["onset"].dt.year.where(frame["unit"] != 0, 1980)
    made = treated(make(frame, ONSET))
    assert made == (frame["d"].where(frame["unit"] != 0, 1)).tolist()


# ---------------------------------------------------- dates where numbers stand


@pytest.mark.parametrize(
    "model",
    [
        {"outcome": "day"},
        {"controls": ["day"]},
        {"weights": {"analytic": "day"}},
        {"interact": {"with": "day"}},
        {"fixed_effects": ["unit", {"slope": {"variable": "day", "by": "unit"}}]},
        {"estimator": "iv_2sls", "instruments": ["day"]},
        {
            "inference": {
                "conley": {"latitude": "day", "longitude": "x", "cutoff_km": 9}
            }
        },
        {"controls": [{"log": "day"}]},
        {"controls": [["day", "x"]]},
        {"treatment": {"column": "day", "kind": "dose"}},
        {"treatment": "day"},
    ],
)
def test_a_date_is_never_a_number(model: dict[str, Any], make: Make) -> None:
    frame = annual()
    frame["day"] = pd.Timestamp("1990-01-01") + pd.to_timedelta(frame.index, unit="D")
    found = problems(lambda: make(frame, {"treatment": "d", **model}))
    assert {p.code for p in found} <= {"D07", "T01"}
    assert all("holds dates" in p.what for p in found)


def test_dates_may_be_groups(make: Make) -> None:
    frame = annual()
    frame["day"] = pd.to_datetime(frame["time"].astype(str))
    plain = make(frame, {"treatment": "d", "inference": {"cluster": "time"}})
    model = {"fixed_effects": ["unit", "day"], "inference": {"cluster": "day"}}
    dated = make(frame, {"treatment": "d", **model})
    assert [*dated.request.frame[dated.request.fixed_effects[1]]] == [
        *plain.request.frame[plain.request.fixed_effects[1]]
    ]


# ------------------------------------------ the panel's dates, after counting


@pytest.mark.parametrize("source", ["data.parquet", "data.csv"])
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("time >= '2001-10-31'", range(3, 8)),
        ("time > '2001-10-30'", range(3, 8)),
        ("time < '2001-10-31'", range(3)),
        ("time = '2001-10-31'", [3]),
        ("time in ('2001-01-31', '2001-10-31')", [0, 3]),
        ("time != '2001-01-31' and not (time > '2001-10-31')", range(1, 4)),
        ("time >= 8007", range(3, 8)),
        ("time in (8004, '2001-10-31')", [0, 3]),
    ],
)
def test_conditions_on_the_panel_s_time_know_its_dates(
    said: str, kept: Any, source: str, make: Make
) -> None:
    frame = panel("2001-01-31", QUARTERS)  # the last days of quarters, not their first
    given = as_text(frame) if source.endswith("csv") else frame
    design = make(given, {**DOSE, "sample": {"some": said}}, source=source)
    assert {row % 8 for row in design.request.rows} == set(kept)


DOSE = {"treatment": {"column": "x", "kind": "dose"}}


@pytest.mark.parametrize("value", ["2001-10-31", 8007])
def test_only_and_without_know_the_panel_s_dates(value: Any, make: Make) -> None:
    frame = panel("2001-01-31", QUARTERS)
    for name, kept in (("only", {3}), ("without", set(range(8)) - {3})):
        restriction = {name: {"column": "time", "values": [value]}}
        design = make(frame, {**DOSE, "sample": {"some": restriction}})
        assert {row % 8 for row in design.request.rows} == kept


def test_the_panel_s_time_compares_with_a_column_of_dates(make: Make) -> None:
    frame = panel("2001-01-01", QUARTERS)
    for said in ("time >= `onset`", "not (onset > `time`)"):
        design = make(frame, {**DOSE, "sample": {"late": said}})
        assert design.request.rows.tolist() == np.flatnonzero(frame["d"]).tolist()


def test_steps_know_the_panel_s_dates(make: Make) -> None:
    frame = panel("2001-01-01", QUARTERS)
    steps = {
        "late": {"indicator": "time >= '2001-07-01'"},
        "cut": {"keep": "time < '2002-07-01'"},
    }
    design = make(frame, {**DOSE, "controls": ["late"]}, steps=steps)
    (late,) = design.request.controls
    assert design.request.frame[late].tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0] * 12


@pytest.mark.parametrize("source", ["data.parquet", "data.csv"])
@pytest.mark.parametrize("other", ["prices.parquet", "prices.csv"])
@pytest.mark.parametrize("declared", [False, True])
def test_a_second_file_is_merged_by_the_panel_s_dates(
    source: str, other: str, declared: bool, make: Make, tmp_path: Path
) -> None:
    frame = panel("2001-01-01", QUARTERS)
    days = frame["time"].drop_duplicates().reset_index(drop=True)
    prices = pd.DataFrame({"day": days, "price": days.dt.month + days.dt.year - 2000.0})
    if other.endswith("csv"):
        prices.to_csv(tmp_path / other, index=False)
    else:
        prices.to_parquet(tmp_path / other)
    step = {"p": {"merge": {"source": other, "on": {"time": "day"}}}}
    columns = {"time": {"type": "date"}} if declared else {}
    given = as_text(frame) if source.endswith("csv") else frame
    model = {**DOSE, "controls": ["price"], "fixed_effects": ["unit"]}
    design = make(given, model, source=source, steps=step, columns=columns)
    (price,) = design.request.controls
    truth = frame["time"].dt.month + frame["time"].dt.year - 2000.0
    assert design.request.frame[price].tolist() == truth.tolist()


def test_dates_that_share_a_period_would_multiply_rows(
    make: Make, tmp_path: Path
) -> None:
    days = pd.date_range("2001-01-01", periods=24, freq="MS")
    pd.DataFrame({"time": days, "price": 1.0}).to_csv(tmp_path / "p.csv", index=False)
    step = {"p": {"merge": {"source": "p.csv", "on": ["time"]}}}
    (found,) = problems(lambda: make(panel("2001-01-01", QUARTERS), DOSE, steps=step))
    assert found.code == "P01"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (YEARS, []),
        (
            QUARTERS,
            [
                (
                    "periods of 'time' are counted in quarters: "
                    "8004 is 2001-01-31, 8011 is 2002-10-31"
                )
            ],
        ),
    ],
)
def test_the_numbers_of_periods_are_explained(
    step: pd.DateOffset, said: list[str], make: Make
) -> None:
    notes = make(panel("2001-01-31", step), DOSE).notes
    assert [note for note in notes if "counted" in note] == said


def test_a_row_is_named_by_its_date(make: Make) -> None:
    frame = panel("2001-01-01", QUARTERS)
    frame.loc[3, "d"] = 0
    (found,) = problems(lambda: make(frame, BOTH))
    assert found.what == "'d' and 'onset' disagree in 1 row (first: 0, 2001-10-01)"


# ----------------------------------------------------- columns that are no data


def with_spans() -> pd.DataFrame:
    frame = annual()
    return frame.assign(
        span=pd.to_timedelta(frame["x"], unit="D"),
        listed=[[1, 2]] * len(frame),
        raw=[b"x"] * len(frame),
    )


def test_a_column_of_no_data_that_nothing_uses_is_left_out(make: Make) -> None:
    plain = make(annual(), DOSE)
    design = make(with_spans(), DOSE)
    pd.testing.assert_frame_equal(design.request.frame, plain.request.frame)


@pytest.mark.parametrize("column", ["span", "listed", "raw"])
@pytest.mark.parametrize(
    ("model", "data"),
    [
        (lambda c: {"controls": [c]}, {}),
        (lambda c: {"outcome": c}, {}),
        (lambda c: {"fixed_effects": ["unit", c]}, {}),
        (lambda c: {"inference": {"cluster": c}}, {}),
        (lambda c: {"sample": {"some": f"{c} is not missing"}}, {}),
        (lambda c: {"sample": {"some": {"only": {"column": c, "values": [1]}}}}, {}),
        (lambda c: {"sample": {"some": {"complete": {"columns": [c]}}}}, {}),
        (lambda c: {}, lambda c: {"steps": {"some": {"log": c}}}),
        (lambda c: {}, lambda c: {"columns": {c: {"type": "number"}}}),
        (lambda c: {}, lambda c: {"panel": {"unit": c, "time": "time"}}),
    ],
)
def test_a_column_of_no_data_that_is_used_is_refused(
    model: Any, data: Any, column: str, make: Make
) -> None:
    given = data(column) if data else {}
    found = problems(lambda: make(with_spans(), {**DOSE, **model(column)}, **given))
    (said,) = {p.what for p in found if p.code == "D07"}
    assert said.startswith(f"column '{column}' holds ")


def test_a_second_file_may_hold_columns_of_no_data(make: Make, tmp_path: Path) -> None:
    other = pd.DataFrame({"unit": range(12), "z": np.arange(12.0)})
    other["span"] = pd.to_timedelta(other["z"], unit="D")
    other.to_parquet(tmp_path / "other.parquet")
    step = {"p": {"merge": {"source": "other.parquet", "on": ["unit"]}}}
    frame = annual()
    design = make(frame, {**DOSE, "controls": ["z"], "fixed_effects": []}, steps=step)
    (z,) = design.request.controls
    assert design.request.frame[z].tolist() == frame["unit"].astype(float).tolist()


@pytest.mark.parametrize("value", [2001, 2002.0])
def test_a_year_beside_dates_counted_in_months_is_refused(value):
    """Read as a count of months it would keep every row."""
    counts = pd.Series([24_010, 24_011, 24_012])
    frame = pd.DataFrame({"t": counts})
    dates = {"t": pd.to_datetime(pd.Series(["2000-11-01", "2000-12-01", "2001-01-01"]))}
    with pytest.raises(EstimandError, match="counted from 24010 to 24012") as caught:
        evaluate(parse(f"t >= {value}"), frame, dates)
    assert "'2001-01-01'" in str(caught.value) or "'2002-01-01'" in str(caught.value)
    true, _ = evaluate(parse("t >= 24012"), frame, dates)
    assert true.tolist() == [False, False, True]
    years = pd.DataFrame({"t": [2001, 2002, 2003]})
    true, _ = evaluate(
        parse("t >= 2002"), years, {"t": pd.to_datetime(years.t, format="%Y")}
    )
    assert true.tolist() == [False, True, True]


def test_offsets_that_change_with_the_clocks_leave_the_days_that_are_written():
    written = pd.Series(
        ["2012-01-01T00:00:00+01:00", None, "2014-07-01T00:00:00.5+02:00", "2015-03-04"]
    )
    found = as_dates(written)
    assert found is not None
    days = found.dt.strftime("%Y-%m-%d").tolist()
    assert [days[0], *days[2:]] == ["2012-01-01", "2014-07-01", "2015-03-04"]
    assert found.isna().tolist() == [False, True, False, False]
    one = pd.to_datetime(pd.Series(["2012-01-01"])).dt.tz_localize("Asia/Shanghai")
    assert as_dates(one).tolist() == [pd.Timestamp("2012-01-01")]
