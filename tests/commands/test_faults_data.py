"""Faults of the data: cells, keys, types and the file they lie in.

A fault is a small panel and a study with one thing wrong, run by the real command. The
numbers in the names are rows of the project's table of faults.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from tests.build_faults import Faults, cells
from tests.commands.conftest import Lab

fault = Faults()


# -- rows 1-6: missing cells, no rows --------------------------------------------------


@fault(3, "D01", "'y' missing in 78 of 320 rows", "u000, 2005", "Fix: data.missing")
def row_01_outcome_missing(lab: Lab) -> None:
    lab.data(cells(lab.frame(), "y", range(5, 83), np.nan))
    lab.study()


@fault(3, "D01", "'d' missing in 4 of 320 rows")
def row_01_treatment_missing(lab: Lab) -> None:
    lab.data(cells(lab.frame(), "d", range(4), np.nan))
    lab.study()


@fault(3, "D02", "'region' missing in 3 of 320 rows", "data.missing")
def row_02_cluster_missing(lab: Lab) -> None:
    lab.data(cells(lab.frame(), "region", range(3), np.nan))
    lab.study(model={"inference": {"cluster": "region"}})


@fault(3, "D03", "'w' missing in 2 of 320 rows", "u000, 2004")
def row_03_weight_missing(lab: Lab) -> None:
    lab.data(cells(lab.frame(), "w", [4, 5], np.nan))
    lab.study(model={"weights": {"analytic": "w"}})


@fault(3, "D03", "weight 'w' is 0 in 2 rows", "Fix: sample.weighted: w > 0")
def row_04_weight_zero(lab: Lab) -> None:
    lab.data(cells(lab.frame(), "w", [4, 5], 0))
    lab.study(model={"weights": {"analytic": "w"}})


@fault(3, "D03", "weight 'w' is negative in 1 row")
def row_04_weight_negative(lab: Lab) -> None:
    lab.data(cells(lab.frame(), "w", [4], -2))
    lab.study(model={"weights": {"frequency": "w"}})


@fault(3, "D04", "'region' missing in 3 of 320 rows")
def row_05_effect_missing(lab: Lab) -> None:
    lab.data(cells(lab.frame(), "region", range(3), np.nan))
    lab.study(model={"fixed_effects": ["unit", "region"]})


@fault(3, "D04", "unit 'unit' is missing in 3 of 320 rows (rows 1, 2, 3)")
def row_05_unit_missing(lab: Lab) -> None:
    lab.data(cells(lab.frame(), "unit", range(3), np.nan))
    lab.study()


@fault(3, "D05", "0 of 320 rows left", "y 320 -> 0")
def row_06_no_outcome_at_all(lab: Lab) -> None:
    lab.data(lab.frame(y=np.nan))
    lab.study(data={"missing": "drop"})


@fault(3, "D05", "0 rows left after restriction 'late' of 320", "time > 3000")
def row_06_restricted_away(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study(model={"sample": {"late": "time > 3000"}})


@fault(3, "D05 I01", "1 row left")
def row_06_one_row(lab: Lab) -> None:
    lab.data(lab.frame().iloc[:1])
    lab.study()


@fault(3, "D05", "all 3 rows are alone in a level of 'unit', 'time'")
def row_06_three_rows(lab: Lab) -> None:
    lab.data(lab.frame().iloc[[3, 4, 20]])
    lab.study()


@fault(3, "D05", "40 rows for 41 parameters", "more rows than parameters")
def row_06_more_parameters_than_rows(lab: Lab) -> None:
    lab.data(lab.frame().query("time in (2003, 2006) and unit < 'u020'"))
    lab.study(
        model={"fixed_effects": ["unit", {"slope": {"variable": "time", "by": "unit"}}]}
    )


# -- row 22: duplicates ----------------------------------------------------------------


@fault(3, "P01", "20 pairs of (unit, time)", "(u000, 2000) × 2", "keep one row of each")
def row_22_twenty_rows_twice(lab: Lab) -> None:
    lab.data(pd.concat([lab.frame(), lab.frame().iloc[:20]]))
    lab.study()


@fault(3, "P01", "320 pairs of (unit, time)")
def row_22_the_whole_panel_twice(lab: Lab) -> None:
    lab.data(pd.concat([lab.frame(), lab.frame()]))
    lab.study()


# -- rows 35-39: columns of another type -----------------------------------------------


@fault(3, "T01", "treatment 'd' is text: {'no', 'yes'}", "map: {no: 0, yes: 1}")
def row_35_treatment_in_words(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(d=frame.d.map({0: "no", 1: "yes"})))
    lab.study()


@fault(3, "T01", "treatment 'd' is text: {'0', '1'}")
def row_35_treatment_as_text(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.astype({"d": int}))
    lab.study(data={"columns": {"d": {"type": "text"}}})


@fault(3, "T02", "treatment 'd' is not 0/1: it takes 1, 2", "kind: dose")
def row_36_treatment_coded_one_two(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(d=frame.d + 1))
    lab.study()


@fault(3, "T02", "'d' should be 0/1; 80 cells are not", "map: {1: 0")
def row_36_declared_binary(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(d=frame.d + 1))
    lab.study(data={"columns": {"d": {"type": "binary"}}})


@fault(3, "D07", "'x1' should be a number", "2 cells such as '.', '--'", "u000, 2002")
def row_37_dots_for_missing(lab: Lab) -> None:
    lab.data(cells(cells(lab.frame(), "x1", [2], "."), "x1", [5], "--"))
    lab.study(model={"controls": ["x1"]})


@fault(3, "D07", "2 cells fail (row 3: '.', row 6: '1,234')", "data.columns.x1")
def row_37_declared_a_number(lab: Lab) -> None:
    lab.data(cells(cells(lab.frame(), "x1", [2], "."), "x1", [5], "1,234"))
    lab.study(model={"controls": ["x1"]}, data={"columns": {"x1": {"type": "number"}}})


@fault(3, "D07", "'x1' should be a number", '{path: …, decimal: ","}; for')
def row_37_decimal_commas_are_not_said_to_be_missing(lab: Lab) -> None:
    frame = lab.frame()
    frame["x1"] = frame["x1"].map(lambda x: f"{x:.2f}".replace(".", ","))
    lab.data(frame)
    lab.study(model={"controls": ["x1"]})


@fault(3, "D07", "'y' should be a number", "'1,234'")
def row_37_thousands_in_the_outcome(lab: Lab) -> None:
    lab.data(cells(lab.frame(), "y", [5], "1,234"))
    lab.study()


@fault(3, "D08", "'x1' is infinite in 1 row", "u000, 2002", "Fix: log1p")
def row_38_infinite(lab: Lab) -> None:
    lab.data(cells(lab.frame(), "x1", [2], np.inf))
    lab.study(model={"controls": ["x1"]})


@fault(3, "D08", "log of 'x1': 149 of 320 cells are zero or negative", "asinh")
def row_38_log_of_zero_in_a_step(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study(data={"steps": {"logs": {"log": ["x1"]}}}, model={"controls": ["x1"]})


@fault(3, "D08", "log of 'y': 92 of 320 cells", "log1p")
def row_38_log_of_zero_in_a_term(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study(model={"outcome": {"log": "y"}})


@fault(3, "T03", "not a whole number in 320 rows ('Y2000'", "Fix: write years as 2015")
def row_39_year_in_words(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(time="Y" + frame.time.astype(str)))
    lab.study(model={"estimator": "event_study"})


@fault(3, "T03", "not a whole number in 320 rows (2000.5")
def row_39_half_years(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(time=frame.time + 0.5))
    lab.study(model={"estimator": "event_study"})


# -- rows 51-52, 64-67: the file -------------------------------------------------------


@fault(
    2, "X51", "model.controls.0: no column 'x11'", "did you mean 'x1'?", "study.yaml:"
)
def row_51_misspelt_column(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study(model={"controls": ["x11"]})


@fault(2, "X51", "no column 'C(x1)'", "{dummies: x}")
def row_51_formula_for_a_column(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study(model={"controls": ["C(x1)"]})


@fault(3, "D09", "names 1 column twice: 'y' (columns 1, 2)")
def row_52_header_twice(lab: Lab) -> None:
    lab.data("y,y,d,unit,time\n1,2,0,a,1\n2,3,1,b,2\n")
    lab.study()


@fault(3, "D10", "not UTF-8 (byte 0 = 0xb3)", "encoding: gb18030")
def row_64_chinese_encoding(lab: Lab) -> None:
    lab.data("城市,y,d,time\n北京,1,0,2001\n".encode("gb18030"))
    lab.study(data={"panel": {"unit": "城市", "time": "time"}})


@fault(3, "D10", "not UTF-8", "encoding: utf-16")
def row_64_utf_16(lab: Lab) -> None:
    lab.data("unit,y,d,time\na,1,0,2001\n".encode("utf-16"))
    lab.study()


@fault(3, "D11", "data.csv is empty", "Fix: export")
def row_65_empty_file(lab: Lab) -> None:
    lab.data("")
    lab.study()


@fault(3, "D11", "a header and no rows")
def row_65_only_a_header(lab: Lab) -> None:
    lab.data("unit,time,y,d\n")
    lab.study()


@fault(3, "D12", "header has 9 fields, 8 rows have another number", "line 26 has 10")
def row_66_longer_rows(lab: Lab) -> None:
    lab.data(lab.frame().to_csv(index=False).replace("u003,", "u003,7,"))
    lab.study()


@fault(3, "D12", "1 row has another number", "the file is cut off")
def row_67_cut_in_a_row(lab: Lab) -> None:
    text = lab.frame().to_csv(index=False)
    lab.data(text[: len(text) // 2])
    lab.study()


@fault(3, "D13", "has sha256", "the study pins", "cut off")
def row_67_cut_between_rows(lab: Lab) -> None:
    text = lab.frame().to_csv(index=False)
    lab.data("".join(text.splitlines(keepends=True)[:200]))
    pinned = hashlib.sha256(text.encode()).hexdigest()
    lab.study(data={"source": {"path": "data.csv", "sha256": pinned}})


@pytest.mark.parametrize("name", fault.found)
def test_a_fault_is_refused_by_name(name: str, lab: Lab) -> None:
    fault.found[name].refused(lab)
