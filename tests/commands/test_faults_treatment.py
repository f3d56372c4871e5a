"""Faults of the treatment: what is not identified, and its timing.

A fault is a small panel and a study with one thing wrong, run by the real command. The
numbers in the names are rows of the project's table of faults.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.build_faults import Faults
from tests.commands.conftest import Lab

fault = Faults()


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


@pytest.mark.parametrize("name", fault.found)
def test_a_fault_is_refused_by_name(name: str, lab: Lab) -> None:
    fault.found[name].refused(lab)
