"""Bad input gives its clear error: every fault, its code, exit and words, no estimate.

A fault is a small panel and a study with one thing wrong, run by the real command. The
numbers in the names are rows of the project's table of faults.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from framework.commands.line import main
from tests.commands.conftest import Lab, Outcome

Build = Callable[[Lab], object]


@dataclass(frozen=True, slots=True)
class Fault:
    """How a fault is built, and what its refusal must say.

    Attributes:
        codes: of all problems, sorted.
    """

    build: Build
    exit: int
    codes: tuple[str, ...]
    words: tuple[str, ...]


FAULTS: dict[str, Fault] = {}


def fault(exit_: int, codes: str, *words: str) -> Callable[[Build], Build]:
    """Register a fault under the name of its builder."""

    def register(build: Build) -> Build:
        held = Fault(build, exit_, tuple(sorted(codes.split())), words)
        FAULTS[build.__name__.removeprefix("row_")] = held
        return build

    return register


def cells(frame: pd.DataFrame, column: str, rows: Any, value: Any) -> pd.DataFrame:
    """The frame with other cells in a column."""
    frame = frame.astype({column: object})
    frame.loc[list(rows), column] = value
    return frame


def code(text: str) -> str:
    """A text that leaves a file if anybody runs it."""
    return text.replace("RUN", "__import__('os').system('touch canary')")


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


# -- rows 7-15: what the data can't tell -----------------------------------------------


@fault(4, "I01", "treatment 'd' does not vary", "(all 0)", "Fix:")
def row_07_treatment_constant(lab: Lab) -> None:
    lab.data(lab.frame(d=0))
    lab.study()


@fault(4, "I01", "treatment 'd' does not vary", "restriction")
def row_07_treatment_constant_in_the_sample(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study(model={"sample": {"early": "time < 2004"}})


@fault(4, "I02", "'d' is not identified: it is constant within every 'unit'", "Fix:")
def row_08_treatment_absorbed(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(d=(frame["first"] < np.inf).astype(int)))
    lab.study()


@fault(4, "I03", "'c' equals 2 x 'd'", "Fix: remove 'c' from the controls")
def row_09_control_is_twice_the_treatment(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(c=2 * frame.d))
    lab.study(model={"controls": ["c", "x1"]})


@fault(4, "I04", "'d' is nearly a function of the other regressors", "partial R2")
def row_10_control_nearly_the_treatment(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(c=frame.d + 1e-6 * frame.x2))
    lab.study(model={"controls": ["c", "x1"]})


@fault(4, "I03", "'c' equals 1 x 'd'")
def row_10_control_the_treatment_but_for_rounding(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(c=frame.d + 1e-9 * frame.x2))
    lab.study(model={"controls": ["c"]})


@fault(5, "N01", "values of 'huge' reach 1e+300", "Fix: another unit of measure")
def row_11_a_control_beyond_all_scales(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(huge=frame.x1 / frame.x1.abs().max() * 1e300))
    lab.study(model={"controls": ["huge"]})


@fault(5, "N01", "values of 'y' are at most 1e-200")
def row_13_an_outcome_below_all_scales(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(y=frame.y / frame.y.abs().max() * 1e-200))
    lab.study()


@fault(3, "D06", "outcome 'y' is constant (3.5 in all 320 rows)")
def row_15_outcome_constant(lab: Lab) -> None:
    lab.data(lab.frame(y=3.5))
    lab.study()


# -- rows 16-20: too few to infer from -------------------------------------------------


@fault(4, "I05", "1 cluster of 'g'", "Fix: cluster by")
def row_16_one_cluster(lab: Lab) -> None:
    lab.data(lab.frame(g=1))
    lab.study(model={"inference": {"cluster": "g"}})


@fault(4, "I05", "1 cluster of 'g'")
def row_16_one_cluster_can_not_be_acknowledged(lab: Lab) -> None:
    row_16_one_cluster(lab)
    lab.study(
        model={"inference": {"cluster": "g"}, "acknowledge": ["few_clusters"]},
    )


@fault(
    4,
    "I05",
    "2 clusters of 'g'",
    "draws: {permute: treatment",
    "acknowledge: [few_clusters]",
)
def row_17_two_clusters(lab: Lab) -> None:
    lab.data(two_clusters(lab))
    lab.study(model={"inference": {"cluster": "g"}})


@fault(4, "I08", "1 treated cluster of 40", "permute", "acknowledge: [few_treated]")
def row_20_one_treated_unit(lab: Lab) -> None:
    lab.data(one_treated(lab))
    lab.study()


@fault(2, "X01", "no refusal 'few_treatd'", "did you mean 'few_treated'?")
def row_20_misspelt_acknowledgement(lab: Lab) -> None:
    lab.data(one_treated(lab))
    lab.study(model={"acknowledge": ["few_treatd"]})


def two_clusters(lab: Lab) -> pd.DataFrame:
    """Units with even and odd numbers."""
    frame = lab.frame()
    return frame.assign(g=frame.unit.str[-1].astype(int) % 2)


def one_treated(lab: Lab) -> pd.DataFrame:
    """Only one unit is ever treated."""
    frame = lab.frame()
    unit = frame.unit[frame["first"] < np.inf].iloc[0]
    return frame.assign(d=frame.d.where(frame.unit == unit, 0))


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


# -- rows 60-63: efficiency scores -----------------------------------------------------


def scored(
    lab: Lab, change: Callable[[pd.DataFrame], pd.DataFrame], **step: Any
) -> None:
    """A panel of inputs and outputs with something wrong, scored by `sbm`."""
    rng = np.random.default_rng(2)
    frame = lab.frame()
    frame = frame.assign(
        **{name: np.exp(rng.normal(0, 0.3, len(frame))) for name in ("land", "gdp")}
    )
    lab.data(change(frame))
    written = {"inputs": ["land"], "outputs": ["gdp"], "returns": "constant"}
    written |= {"frontier": "pooled", **step}
    lab.study(data={"steps": {"eff": {"sbm": written}}}, model={"outcome": "eff"})


@fault(3, "D01", "'eff' missing in 1 of 320 rows", "u000, 2000", "data.missing: drop")
def row_60_no_combination_of_others_reaches_a_row(lab: Lab) -> None:
    best = {"returns": "variable", "orientation": "input", "super_efficiency": True}
    scored(lab, lambda f: cells(f, "gdp", [0], 99.0), **best)


@fault(3, "L02", "input 'land' is zero in 2 of 320 rows: u000 2003", "zeros: drop_term")
def row_62_zero_input(lab: Lab) -> None:
    scored(lab, lambda f: cells(f, "land", [3, 9], 0.0))


@fault(3, "L02", "output 'gdp' is zero in 1 of 320 rows: u000 2003", "zeros: small")
def row_62_zero_output(lab: Lab) -> None:
    scored(lab, lambda f: cells(f, "gdp", [3], 0.0))


@fault(3, "L02 L02", "'land' is negative in 1 of 320", "'gdp' is negative in 1 of 320")
def row_63_negative_cells_of_a_peer(lab: Lab) -> None:
    scored(lab, lambda f: cells(cells(f, "land", [3], -1.0), "gdp", [4], -0.1))


@fault(3, "L04", "2 of 320 rows lack a quantity (land 2): u000 2003", "missing: skip")
def row_63_missing_quantities(lab: Lab) -> None:
    scored(lab, lambda f: cells(f, "land", [3, 9], np.nan))


@fault(3, "L03", "all 320 rows have the same quantities", "every score would be 1")
def row_63_all_alike(lab: Lab) -> None:
    scored(lab, lambda f: f.assign(land=1.0, gdp=2.0))


@fault(3, "L03", "has 1 row with all quantities", "a row alone is its own frontier")
def row_63_one_row_only(lab: Lab) -> None:
    scored(lab, lambda f: f.assign(land=f["land"].where(f.index == 0)), missing="skip")


@fault(3, "T02", "the treatment 'd' is not 0/1", "reference: 'd = 0'")
def row_63_peers_by_a_dose(lab: Lab) -> None:
    scored(
        lab,
        lambda f: f.assign(d=2.5 * f["d"]),
        reference={"rows": "never", "treatment": "d"},
    )


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


# -- rows 41-45: timing ----------------------------------------------------------------


@fault(4, "E02", "no rows at the reference event time -9", "estimator.reference")
def row_41_reference_absent(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study(
        model={"estimator": {"event_study": {"window": [-9, 3], "reference": -9}}}
    )


@fault(3, "E03", "'first' is missing in", "treatment.never: missing")
def row_42_never_treated_left_empty(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(first=frame["first"].replace(np.inf, np.nan)))
    lab.study(model={"treatment": {"first_treated": "first"}})


@fault(3, "E03", "never treated is marked by 0", "leave those rows out")
def row_42_some_left_empty_beside_a_mark(lab: Lab) -> None:
    frame = lab.frame()
    first = frame["first"].replace(np.inf, 0.0).mask(frame.unit == "u001")
    lab.data(frame.assign(first=first))
    lab.study(model={"treatment": {"first_treated": "first", "never": 0}})


@fault(3, "T03", "'first' is not a period in 112 rows (inf)", "missing: inf")
def row_42_never_treated_as_infinity(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study(model={"treatment": {"first_treated": "first"}})


@fault(4, "E04", "no never-treated unit", "Fix:")
def row_43_no_never_treated(lab: Lab) -> None:
    lab.data(lab.frame().query("first < inf"))
    lab.study(model={"estimator": "event_study"})


@fault(4, "E05", "1 unit is treated in all their periods", "always_treated: drop")
def row_44_always_treated(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(d=frame.d.where(frame.unit != "u001", 1.0)))
    lab.study(model={"estimator": "event_study"})


@fault(3, "E06", "switches off in 26 units", "kind: reversible")
def row_45_treatment_reverses(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(frame.assign(d=frame.d.where(frame.time != 2007, 0.0)))
    lab.study()


@fault(3, "E06", "change their first treated period", "Fix:")
def row_45_cohort_varies_in_a_unit(lab: Lab) -> None:
    frame = lab.frame()
    lab.data(
        frame.assign(
            first=frame["first"].replace(np.inf, 0).where(frame.time < 2006, 2005)
        )
    )
    lab.study(model={"treatment": {"first_treated": "first", "never": 0}})


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


# -- rows 69-72: YAML ------------------------------------------------------------------

STUDY = """\
study: fault
data:
  source: data.csv
  panel: {unit: unit, time: time}
model:
  outcome: y
  treatment: d
  controls: [x1]
  fixed_effects: [unit, time]
  inference: {cluster: unit}
  estimator: twfe
"""


def written(lab: Lab, old: str, new: str) -> None:
    """The usual study with a piece of its text replaced."""
    assert old in STUDY
    lab.data(lab.frame())
    lab.study(STUDY.replace(old, new))


def added(lab: Lab, text: str) -> None:
    """The usual study with more text at its end."""
    lab.data(lab.frame())
    lab.study(STUDY + text)


@fault(2, "X02", "'outcome' given twice, lines 6 and 12", "keep one")
def row_69_key_twice(lab: Lab) -> None:
    added(lab, "  outcome: x1\n")


@fault(2, "X51", "no column 'no'")
def row_70_no_is_text(lab: Lab) -> None:
    written(lab, "outcome: y", "outcome: no")


@fault(2, "X02", "010 means different things", "plain decimal number")
def row_70_octal(lab: Lab) -> None:
    added(lab, "seed: 010\n")


@fault(2, "X15", "a whole number from 0, got '12:30:45'")
def row_70_base_sixty_is_text(lab: Lab) -> None:
    added(lab, "seed: 12:30:45\n")


@fault(2, "X15", "should be less than 1, got 10.0")
def row_70_a_power_of_ten_is_a_number(lab: Lab) -> None:
    added(lab, "  confidence: 1e1\n")


@fault(8, "X03 " * 9, "anchor &a", "alias *a", "Fix: write it out")
def row_71_alias_bomb(lab: Lab) -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n"
    lab.data(lab.frame())
    lab.study(bomb + STUDY)


@fault(8, "X03", "nesting deeper than 24")
def row_72_nested_brackets(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study("a: " + "[" * 100_000)


@fault(8, "X03 X03", "anchor &x", "alias *x")
def row_72_alias_of_itself(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study("labels: &x {a: *x}\n" + STUDY)


@fault(8, "X03", "a study has at most 524,288")
def row_72_half_a_megabyte(lab: Lab) -> None:
    added(lab, "# " + "x" * 600_000)


# -- rows 73-77: code and foreign files ------------------------------------------------


@fault(8, "X04", "is code and no column", "never run")
def row_73_code_for_a_control(lab: Lab) -> None:
    written(lab, "[x1]", code('["I(RUN)"]'))


@fault(8, "X04", "is code and no column")
def row_73_code_for_an_effect(lab: Lab) -> None:
    written(lab, "[unit, time]", code('[unit, "{RUN}"]'))


@fault(8, "X04", "of the condition", "looks like code")
def row_73_code_for_a_condition(lab: Lab) -> None:
    added(lab, code('  sample: {a: "x1 > RUN"}\n'))


@fault(8, "X04", "of the condition", "looks like code")
def row_73_a_pandas_query(lab: Lab) -> None:
    added(lab, "  sample: {a: \"@pd.io.common.os.system('touch canary')\"}\n")


@fault(8, "X04", "of the formula", "looks like code")
def row_73_code_for_a_derived_column(lab: Lab) -> None:
    written(lab, "model:", code('  steps: {z: {derive: "RUN"}}\nmodel:'))


@fault(8, "X04", "tag tag:yaml.org,2002:python/object/apply:os.system")
def row_73_a_yaml_tag(lab: Lab) -> None:
    added(lab, "  sample: !!python/object/apply:os.system ['touch canary']\n")


@fault(8, "X05", "`_target_` is refused", "registered plugin")
def row_74_hydra_target(lab: Lab) -> None:
    written(lab, ": twfe", ": {_target_: os.system, command: touch canary}")


@fault(2, "X01", "no estimator 'os.system'")
def row_74_a_module_for_an_estimator(lab: Lab) -> None:
    written(lab, ": twfe", ": os.system")


@fault(8, "X06", "interpolation")
def row_75_interpolation(lab: Lab) -> None:
    written(lab, "outcome: y", "outcome: ${oc.env:HOME}")


class Bomb:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch canary",)


@fault(8, "X07", "'data.pkl' is not a type of file", "run code")
def row_76_pickled_data(lab: Lab) -> None:
    lab.data(pickle.dumps(Bomb()), "data.pkl")
    lab.study(data={"source": "data.pkl"})


@fault(3, "D10", "not UTF-8")
def row_76_pickle_named_csv(lab: Lab) -> None:
    lab.data(pickle.dumps(Bomb()))
    lab.study()


@fault(3, "D18", "can't be read as .parquet")
def row_76_pickle_named_parquet(lab: Lab) -> None:
    lab.data(pickle.dumps(Bomb()), "data.parquet")
    lab.study(data={"source": "data.parquet"})


@fault(8, "X07", "'/etc/passwd' is not a type of file")
def row_77_passwords(lab: Lab) -> None:
    lab.study(data={"source": "/etc/passwd"})


@fault(8, "X08", "an absolute path", "private files")
def row_77_absolute_path(lab: Lab) -> None:
    lab.study(data={"source": "/etc/passwd.csv"})


@fault(8, "X08", "is a URL")
def row_77_file_url(lab: Lab) -> None:
    lab.study(data={"source": "file:///etc/passwd.csv"})


@fault(8, "X08", "is a URL")
def row_77_web_address(lab: Lab) -> None:
    lab.study(data={"source": "https://example.org/x.csv"})


@fault(8, "X08", "leads out of the project's folder")
def row_77_way_out(lab: Lab) -> None:
    lab.study(data={"source": "../../x.csv"})


@fault(8, "X08", "leads out of the project's folder")
def row_77_link_out(lab: Lab) -> None:
    outside = lab.folder.parent / f"{lab.folder.name}.csv"
    lab.frame().to_csv(outside, index=False)
    (lab.folder / "data.csv").symlink_to(outside)
    lab.study()


@fault(8, "X08", "outside the study's project")
def row_77_parent_outside(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study("from: ../../../etc/hosts.yaml\n" + STUDY)


@fault(8, "X08", "outside the study's project")
def row_77_published_outside(lab: Lab) -> None:
    added(lab, "published: ../../x.yaml\n")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refused_by_name(name: str, lab: Lab) -> None:
    expected = FAULTS[name]
    expected.build(lab)
    found = lab.refused()
    assert tuple(sorted(found.codes)) == expected.codes, found.err
    assert found.exit == expected.exit
    for words in expected.words:
        assert words in found.err, found.err
    assert not (lab.folder / "canary").exists()
    # Nothing floods the terminal, whatever the file.
    assert len(found.err) < 20_000


# -- the way out that a refusal names is one -------------------------------------------


def ran(outcome: Outcome) -> Outcome:
    """A run that gave its numbers."""
    assert outcome.exit == 0, outcome.err
    assert np.isfinite(outcome.row()["estimate"])
    return outcome


def notes(outcome: Outcome) -> str:
    """Every note of the run and its data."""
    columns = [note for c in outcome.manifest["columns"] for note in c["notes"]]
    return "\n".join([*columns, *outcome.manifest["data"]["notes"]])


def ledger(outcome: Outcome) -> list[tuple[str, int, int]]:
    """(line, rows in, rows out) of the first column."""
    lines = outcome.manifest["columns"][0]["ledger"]
    return [(line["name"], line["rows_in"], line["rows_out"]) for line in lines]


def test_missing_rows_are_dropped_when_told_and_counted(lab: Lab) -> None:
    row_01_outcome_missing(lab)
    lab.study(data={"missing": "drop"})
    found = ran(lab.run())
    assert ledger(found) == [("y", 320, 242), ("used", 242, 242)]
    assert found.row()["estimate"] != 0


def test_the_map_of_row_35_is_accepted(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study()
    plain = ran(lab.run())
    row_35_treatment_in_words(lab)
    lab.study(data={"columns": {"d": {"map": {"no": 0, "yes": 1}}}})
    assert ran(lab.run()).row()["estimate"] == plain.row()["estimate"]


def test_declared_missing_cells_of_row_37_are_accepted(lab: Lab) -> None:
    row_37_dots_for_missing(lab)
    lab.study(
        model={"controls": ["x1"]},
        data={"missing": "drop", "columns": {"x1": {"missing": [".", "--"]}}},
    )
    assert ledger(ran(lab.run()))[0] == ("x1", 320, 318)


def test_infinity_of_row_42_is_never_when_declared(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study()
    plain = ran(lab.run())
    lab.study(
        model={"treatment": {"first_treated": "first", "never": "missing"}},
        data={"columns": {"first": {"missing": "inf"}}},
    )
    assert ran(lab.run()).row()["estimate"] == plain.row()["estimate"]


@pytest.mark.parametrize(
    ("build", "inference", "name"),
    [
        (two_clusters, {"cluster": "g"}, "few_clusters"),
        (one_treated, {"cluster": "unit"}, "few_treated"),
    ],
)
def test_an_acknowledged_refusal_runs_and_is_printed(
    build: Callable[[Lab], pd.DataFrame], inference: Any, name: str, lab: Lab
) -> None:
    """Rows 17 and 20."""
    lab.data(build(lab))
    lab.study(model={"inference": inference, "acknowledge": [name]})
    found = ran(lab.run())
    assert found.manifest["columns"][0]["acknowledged"] == [name]
    assert f"refusal knowingly overridden: {name}" in found.out
    assert "standard errors are too small" in notes(found)


def test_four_clusters_refuse_the_joint_test(lab: Lab) -> None:
    """Row 18: rank of the covariance is below the number of restrictions."""
    frame = lab.frame()
    lab.data(frame.assign(g=frame.unit.str[-1].astype(int) % 4))
    lab.study(
        model={
            "inference": {"cluster": "g"},
            "acknowledge": ["few_clusters"],
            "estimator": {"event_study": {"window": [-6, 3]}},
        }
    )
    ran(lab.run())
    (table,) = lab.folder.glob("runs/fault/2*/tests.csv")
    tests = pd.read_csv(table).set_index("name")
    assert tests.p_value.isna().all()
    assert tests.reason.str.contains("I06").all()


def test_rows_as_clusters_are_flagged(lab: Lab) -> None:
    """Row 19."""
    lab.data(lab.frame(row=np.arange(320)))
    lab.study(model={"inference": {"cluster": "row"}})
    assert "Every row is its own cluster of 'row'" in notes(ran(lab.run()))


def test_singletons_have_their_line_in_the_ledger(lab: Lab) -> None:
    """Row 21."""
    frame = lab.frame()
    lab.data(frame[~((frame.unit == "u007") & (frame.time > 2000))])
    lab.study()
    found = ran(lab.run())
    assert ledger(found) == [("used", 313, 312)]
    used = found.manifest["columns"][0]["ledger"][-1]
    assert used["detail"] == "1 singletons of the fixed effects"


def test_an_onset_in_a_gap_is_refused_where_event_time_counts(lab: Lab) -> None:
    """Row 40: the first treated year itself is not observed."""
    frame = lab.frame()
    onset = (frame.time == frame["first"]) & (frame.unit < "u009")
    lab.data(frame[~onset])
    lab.study(model={"estimator": {"event_study": {"window": [-3, 3]}}})
    found = lab.refused()
    assert found.exit == 3
    for word in ("E01", "no row just before", "first_treated"):
        assert word in found.err
    model = {"estimator": {"event_study": {"window": [-3, 3]}}}
    lab.study(model={**model, "acknowledge": ["onset_in_gap"]})
    assert "no row just before they are first seen treated" in notes(ran(lab.run()))


def test_an_onset_in_a_gap_is_noted_where_it_does_not(lab: Lab) -> None:
    frame = lab.frame()
    onset = (frame.time == frame["first"]) & (frame.unit < "u009")
    lab.data(frame[~onset])
    lab.study()
    assert "no row just before they are first seen treated" in notes(ran(lab.run()))


@pytest.mark.parametrize("written_as", ["date", "int16", "text"])
def test_years_of_any_type_give_the_same_event_study(written_as: str, lab: Lab) -> None:
    """Row 39."""
    model = {"estimator": {"event_study": {"window": [-3, 3]}}}
    frame = lab.frame()
    lab.data(frame)
    lab.study(model=model)
    plain = ran(lab.run())
    (lab.folder / "data.csv").unlink()
    time = {
        "date": frame.time.astype(str) + "-01-01",
        "int16": frame.time.astype("int16"),
        "text": frame.time.astype(str),
    }[written_as]
    frame.assign(time=time).to_parquet(lab.folder / "data.parquet")
    lab.study(model=model, data={"source": "data.parquet"})
    again = ran(lab.run())
    assert plain.coefficients is not None
    assert again.coefficients is not None
    # The same numbers in the same order: nothing of the type may be left.
    assert list(again.coefficients.estimate) == list(plain.coefficients.estimate)


def test_codes_keep_their_zeros_and_na_is_a_name(lab: Lab) -> None:
    """Row 68."""
    frame = lab.frame()
    unit = frame.unit.map(lambda u: "NA" if u == "u003" else f"00{u[1:]}")
    lab.data(cells(frame.assign(unit=unit), "x1", [4, 7], -9999))
    lab.study(model={"controls": ["x1"]})
    found = ran(lab.run())
    (panel,) = lab.folder.glob("runs/fault/2*/panel.parquet")
    units = set(pd.read_parquet(panel).unit)
    assert len(units) == 40
    assert {"NA", "00001"} <= units
    assert "'unit' has 8 cells NA" in notes(found)
    assert "'x1' has 2 cells -9999" in notes(found)


@pytest.mark.parametrize("name", ["outcome", "treatment", "control"])
@pytest.mark.parametrize("factor", [1e-12, 1e-6, 1e6, 1e12])
def test_units_of_measurement_change_nothing(
    name: str, factor: float, lab: Lab
) -> None:
    """Rows 11 to 14: y, d and x times 1e-12 to 1e12, on an unbalanced panel."""
    frame = lab.frame().drop(index=[3, 77, 78, 200])
    model: dict[str, Any] = {
        "controls": ["x1"],
        "treatment": {"column": "d", "kind": "dose"},
    }
    column = {"outcome": "y", "treatment": "d", "control": "x1"}[name]
    lab.data(frame)
    lab.study(model=model)
    plain = ran(lab.run()).coefficients
    lab.data(frame.assign(**{column: frame[column] * factor}))
    scaled = ran(lab.run()).coefficients
    assert plain is not None
    assert scaled is not None
    back = np.array(
        {
            "outcome": [1 / factor, 1 / factor],
            "treatment": [factor, 1],
            "control": [1, factor],
        }[name]
    )
    for number in ("estimate", "std_error"):
        # Far below the project's bar of 1e-8: scaling costs a rounding or two.
        np.testing.assert_allclose(scaled[number] * back, plain[number], rtol=1e-11)


def test_the_order_of_columns_and_rows_changes_nothing(lab: Lab) -> None:
    """Row 9: the treatment stands first, wherever it is written."""
    lab.data(lab.frame())
    lab.study(model={"controls": ["x1", "x2"]})
    plain = ran(lab.run()).row()
    shuffled = lab.frame().sample(frac=1, random_state=1)
    lab.data(shuffled[list(reversed(shuffled.columns))])
    lab.study(model={"controls": ["x2", "x1"], "fixed_effects": ["time", "unit"]})
    again = ran(lab.run()).row()
    assert again["term"] == plain["term"] == "d"
    for number in ("estimate", "std_error"):
        # Columns in another order are added in another order.
        assert again[number] == pytest.approx(plain[number], rel=1e-12)


NAMES = (
    "1",
    "Intercept",
    "C(x)",
    "prov-id",
    "with spaces",
    "城市面积",
    "back`tick",
    'quote"s',
    "apo'strophe",
    "=cmd|' /C calc'!A0",
    "y ~ x | unit",
    "I(x^2)",
    "v000",
    "{x}",
    "__import__('os').system('touch canary')",
    "ünï.dots",
    "100%",
    "x\\1",
    "null_",
    "a,b",
)


@pytest.mark.parametrize("role", ["outcome", "treatment", "control", "effect"])
def test_a_name_is_never_read_as_anything_else(role: str, lab: Lab) -> None:
    """Rows 49, 50 and 73: all names in one study, each the only change of its line."""
    frame = lab.frame()
    column = {"outcome": "y", "treatment": "d", "control": "x1", "effect": "unit"}[role]
    lab.data(frame.assign(**dict.fromkeys(NAMES, frame[column])))
    change: dict[str, Callable[[str], dict[str, Any]]] = {
        "outcome": lambda name: {"outcome": name},
        "treatment": lambda name: {"treatment": name},
        "control": lambda name: {"controls": [name, "x2"]},
        "effect": lambda name: {
            "fixed_effects": [name, "time"],
            "inference": {"cluster": name},
        },
    }
    lines = {f"n{at}": change[role](name) for at, name in enumerate(NAMES)}
    lab.study(
        model={"controls": ["x1", "x2"]}, checks={"names": {"plain": {}, **lines}}
    )
    found = lab.run()
    assert found.exit == 0, found.err
    plain = found.row("plain")
    for at, name in enumerate(NAMES):
        row = found.row(f"n{at}")
        for number in ("estimate", "std_error", "p_value"):
            # The same columns under another name: not a bit may move.
            assert row[number] == pytest.approx(plain[number], rel=1e-12), name
        if role == "treatment":
            assert row["term"] == name
    assert not (lab.folder / "canary").exists()


# -- several faults --------------------------------------------------------------------

PLANTED = """\
study: bad-name
seed: 010
data:
  source: data.csv
  panel: {unit: unit, time: time, wave: 3}
  columns:
    region: {type: number}
    lost: {label: not there}
model:
  outcome: y
  treatment: d
  controls: [x1, income]
  fixed_effects: [unit, time]
  weights: {analytic: w}
  inferense: {cluster: unit}
  confidence: 95
  acknowledge: [few_treatd]
  estimator: {twfe: {leeds: [1]}}
checks:
  a:
    b: {expect: posative}
    c: {from: nowhere}
    d: {add.control: [x2]}
reprot: {}
"""
#: Exit, and what must be said: one entry for each planted fault.
SAID = (
    "'bad-name' can't be a study's name",
    "data.panel.wave: unknown key 'wave'",
    "'region' should be a number",
    "no column 'lost'",
    "20 pairs of (unit, time) in more than one row",
    "'y' missing in 5 of 320 rows",
    "treatment 'd' does not vary",
    "'x1' should be a number",
    "no column 'income'",
    "weight 'w' is 0 in 320 rows",
    "unknown key 'inferense'",
    "should be less than 1, got 95",
    "no refusal 'few_treatd'",
    "unknown key 'leeds'",
    "no expectation 'posative'",
    "no line 'nowhere'",
    "'control' is none",
    "unknown key 'reprot'",
)


def planted(lab: Lab) -> None:
    """Data and study with eighteen faults."""
    frame = cells(lab.frame(d=0, w=0), "x1", [3], ".")
    frame = cells(frame, "y", range(5, 10), np.nan)
    lab.data(pd.concat([frame, frame.iloc[:20]]))
    lab.study(PLANTED.replace("seed: 010\n", ""))


def test_all_faults_of_a_study_are_said_in_one_run(lab: Lab) -> None:
    planted(lab)
    found = lab.refused()
    assert found.exit == 2
    for words in SAID:
        assert words in found.err, words
    assert f"{len(SAID)} problems." in found.err
    assert len(found.codes) == len(SAID)
    # Each has its place, and none comes twice.
    places = re.findall(r"^study\.yaml:\d+:\d+  .*", found.err, re.MULTILINE)
    assert len(set(places)) == len(SAID)


def test_faults_of_data_and_design_come_together_too(lab: Lab) -> None:
    planted(lab)
    lab.study()
    found = lab.refused()
    assert found.exit == 3
    assert sorted(found.codes) == ["D01", "I01", "P01"]


def test_a_fault_of_one_line_leaves_the_others_their_numbers(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study(
        checks={
            "main": {
                "plain": {},
                "typo": {"controls": ["x11"]},
                "never": {"sample.early": "time < 2004"},
            }
        }
    )
    found = lab.run()
    assert found.exit == 9
    assert np.isfinite(found.row("plain")["estimate"])
    assert found.coefficients is not None
    assert set(found.coefficients.check) == {"plain"}
    assert sorted(found.codes) == ["I01", "X51"]
    assert "[main.typo]" in found.err
    assert "[main.never]" in found.err
    assert "Traceback" not in found.err


def test_nothing_reaches_an_engine_that_would_abort(lab: Lab) -> None:
    """Row 6 in real workers: without rows the engine ends its process with SIGABRT."""
    frame = lab.frame(empty=np.nan)
    lab.data(frame)
    lab.study(
        data={"missing": "drop"},
        checks={
            "main": {
                "plain": {},
                "no_outcome": {"outcome": "empty"},
                "no_control": {"controls": ["empty"]},
                "one_row": {"sample.few": "unit = u000 and time = 2000"},
                "three_rows": {"sample.few": "unit = u000 and time < 2003"},
            }
        },
    )
    settings = ("executor.workers=1", "tracking=none", "report=quick")
    found = lab.run(settings=settings)
    assert found.exit == 9
    assert np.isfinite(found.row("plain")["estimate"])
    assert "SIGABRT" not in found.err
    assert set(found.codes) == {"D05", "I01"}
    for line in ("no_outcome", "no_control", "one_row", "three_rows"):
        assert f"main.{line}" in found.err


# -- any study -------------------------------------------------------------------------

WHOLE = """\
study: whole
title: All that a study may hold
seed: 3
data:
  source: {path: data.csv, encoding: utf-8}
  missing: drop
  panel: {unit: unit, time: time}
  columns: {y: {label: Why, type: number, missing: [-9]}, d: first, w: {min: 0}}
  groups: {xs: [x1, x2]}
  steps:
    logw: {log: w}
    fill: {interpolate: linear}
    big: {above: {column: x1, cut: mean}}
    recent: {keep: time > 1999}
    sum: {derive: x1 + x2}
model:
  outcome: y
  treatment: {column: d, kind: absorbing}
  controls: [xs, {lag: x1}, [x1, x2]]
  fixed_effects: [unit, time, {slope: {variable: time, by: region}}]
  interact: {with: x1, center: mean}
  weights: {analytic: w}
  sample: {late: time > 2000, whole: balanced, there: {complete: [x1]}}
  inference: {cluster: [unit, time]}
  estimand: att
  confidence: 0.9
  acknowledge: [few_clusters]
  estimator: {twfe: {leads: [1]}}
  each: {outcome: [y, x2]}
checks:
  main:
    plain: {}
    moved:
      from: plain
      treatment.shift: -1
      expect: [positive, {any: [significant, same_sign]}]
  robust:
    more:
      each: {add.controls: [sum, w]}
      except: [{add.controls: w}]
      expect: {share: {of: same_sign, at_least: 1}}
    out: {each: {without.unit: every}}
    tied: {each: {case: {one: {estimator.leads: [2], data.missing: error}}}}
  placebo: {units: {draws: {permute: treatment, times: 9}, expect: extreme}}
families: {robust: holm}
labels: {y: Out}
published: {main: {plain: {d: "0.1 (0.2)"}}}
report: {main: {title: T, rows: [d], baseline: first}}
"""
#: What a hurried hand leaves behind, in any place.
PIECES: tuple[Any, ...] = (
    *(None, True, 0, -1, 3.5, 10**30, "", "x", "y", "no such", "every", "a.b", '"'),
    *([], [1], [[]], ["y"], [["y"]], [["y", "d"], "y"], [{}], [None]),
    *({}, {"": 1}, {"a": 1}, {"each": {}}, {"name": "twfe"}, {"twfe": None}),
    *({"log": "y"}, {"log": ["y", "x1"]}, {"lag": {"column": "x1", "periods": 0}}),
    *({"slope": 3}, {"slope": {"variable": "y", "by": "d"}}, {"dummies": "time"}),
    *({"any": []}, {"not": "positive"}, {"cluster": []}, {"cluster": [["unit", "d"]]}),
    *("main.plain", "y > 3", {"path": "data.csv"}, {"y": None}, {"treatment.shift": 1}),
)
KEYS = (
    *("x", "a.b", "", "each", "from", "draws", "add.controls", "only.region", "1"),
    *("estimator.leads", "data.steps.recent", '"a.b".c', "...", "add", "only"),
    *("except", "expect", "model", "data"),
)


def places(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything below."""
    keys = tree if isinstance(tree, dict) else range(len(tree))
    found = [(tree, key) for key in keys]
    inner = [tree[key] for key in keys if isinstance(tree[key], dict | list)]
    return found + [place for held in inner for place in places(held)]


def spoil(tree: Any, chance: random.Random) -> None:
    """Replace, remove, add or rename something somewhere."""
    container, key = chance.choice(places(tree))
    kind = chance.choice(["replace"] * 5 + ["remove", "add", "rename"])
    if kind == "replace" or not isinstance(container, dict):
        container[key] = copy.deepcopy(chance.choice(PIECES))
    elif kind == "remove":
        del container[key]
    elif kind == "add":
        container[chance.choice(KEYS)] = copy.deepcopy(chance.choice(PIECES))
    else:
        container[chance.choice(KEYS)] = container.pop(key)


def test_a_spoilt_study_is_right_or_refused_in_words(lab: Lab) -> None:
    """Whatever stands where: problems, never an error of Python."""
    lab.data(lab.frame())
    whole = yaml.safe_load(WHOLE)
    refused = 0
    for seed in range(60):
        tree, chance = copy.deepcopy(whole), random.Random(seed)
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            spoil(tree, chance)
        # JSON is YAML, and its writer quotes every text.
        (lab.folder / "study.yaml").write_text(json.dumps(tree), encoding="utf-8")
        exit_code = main(["validate", "--data", "study.yaml"])
        said = lab.capture.readouterr().err
        assert exit_code in (0, 2, 3, 4, 8), (seed, said)
        assert bool(said) == (exit_code != 0), seed
        refused += exit_code != 0
    assert 30 < refused < 60
