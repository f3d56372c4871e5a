"""The way out that a refusal names is one, and what was odd leaves the number alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.build_faults import cells, ledger, notes, one_treated, ran, two_clusters
from tests.commands.conftest import Lab
from tests.commands.test_faults_data import (
    row_01_outcome_missing,
    row_35_treatment_in_words,
    row_37_dots_for_missing,
)


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
