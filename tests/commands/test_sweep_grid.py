"""Sweeps whose overrides overlap, coincide, or stand for several values."""

from __future__ import annotations

import json

import pytest

from framework.commands.line import main
from tests.commands.conftest import QUICK

STUDY = """\
study: grid
data:
  source: data.csv
  panel: {unit: unit, time: time}
model:
  outcome: y
  treatment: {column: d, kind: absorbing}
  controls: [x1, x2]
  fixed_effects: [unit, time]
  inference: {cluster: unit}
  estimator: twfe
checks:
  main: {base: {}}
"""


@pytest.fixture
def small(lab):
    lab.data(lab.frame())
    (lab.folder / "study.yaml").write_text(STUDY, "utf-8")
    return lab


def sweep(lab, *overrides):
    lab.capture.readouterr()
    code = main(["sweep", "study.yaml", *overrides, *QUICK])
    shown = lab.capture.readouterr()
    latest = lab.folder / "runs/grid/latest/manifest.json"
    values = []
    if code == 0:
        held = json.loads(latest.read_text("utf-8"))
        values = [e["value"] for e in held["columns"]]
    return code, values, " ".join(shown.err.split())


def test_an_override_that_makes_a_swept_one_moot_is_refused(small):
    code, _, said = sweep(
        small, "model.inference=iid,hetero", "model.inference.cluster=unit"
    )
    assert code == 2
    assert "the values of model.inference change nothing" in said
    assert "model.inference.cluster=unit is set after it" in said
    assert "model.inference=iid,hetero,{cluster: unit}" in said
    # What the message proposes runs, and all three differ.
    code, values, _ = sweep(small, "model.inference=iid,hetero,{cluster: unit}")
    assert (code, values) == (0, ["iid", "hetero", "cluster_unit"])


def test_a_moot_path_is_refused_beside_one_that_matters(small):
    code, _, said = sweep(
        small,
        "model.controls=[],[x1]",
        "model.inference=iid,hetero",
        "model.inference.cluster=unit",
    )
    assert code == 2
    assert "model.inference change nothing" in said
    assert "model.controls change" not in said


def test_an_option_set_after_swept_choices_that_keeps_them_apart_is_none(small):
    code, values, _ = sweep(
        small, "model.estimator=event_study,stacked", "model.estimator.window=[-3,2]"
    )
    assert (code, values) == (0, ["event_study", "stacked"])


def test_values_written_differently_are_refused_where_nothing_else_is_swept(small):
    code, _, said = sweep(small, "model.controls=[],null")
    assert code == 2
    assert "none, none_2 are the same specification, written differently" in said


@pytest.mark.parametrize(
    ("override", "kept"),
    [
        ("model.controls=[],null,[x1]", ["none", "x1"]),
        ("model.controls=[x1,x2],[x2,x1],[x1]", ["x1+x2", "x1"]),
        ("model.fixed_effects=[unit,time],[time,unit],[unit]", ["unit+time", "unit"]),
        ("model.treatment.shift=-1,-1.0,1", ["-1", "1"]),
        (
            "model.sample.late=time >= 2001,time>=2001,time >= 2002",
            ["time >= 2001", "time >= 2002"],
        ),
    ],
)
def test_the_same_specification_is_estimated_and_shown_once(small, override, kept):
    code, values, said = sweep(small, override)
    assert (code, values) == (0, kept)
    assert f"is the same specification as {kept[0]}: left out" in said


def test_every_stands_for_the_items_of_a_list(small):
    code, values, _ = sweep(small, "model.controls=every", "model.inference=iid,hetero")
    assert code == 0
    assert values == ["x1.iid", "x1.hetero", "x2.iid", "x2.hetero"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.outcome=every", "`every` means nothing here"),
        ("model.instruments=every", "`every` stands for nothing"),
    ],
)
def test_every_where_there_is_nothing_is_refused_at_the_override(small, override, said):
    code, _, told = sweep(small, override)
    assert code == 2
    assert "override 1" in told
    assert said in told


def test_the_record_holds_the_changes_of_a_named_sweep_and_no_setting(small):
    """Two sweeps of the same name may be others; how one was run is not what it is."""

    def recorded(*overrides):
        assert sweep(small, *overrides)[0] == 0
        path = small.folder / "runs/grid/latest/manifest.json"
        held = json.loads(path.read_text("utf-8"))
        return held["overrides"], held["hashes"]["spec"]

    named = small.folder / "conf/sweep/mine.yaml"
    named.parent.mkdir(parents=True)
    named.write_text('overrides: ["model.controls=[],[x1]"]\n', "utf-8")
    changes, first = recorded("sweep=mine")
    assert changes == ["model.controls=[],[x1]"]
    assert recorded("model.controls=[],[x1]") == (changes, first)
    named.write_text('overrides: ["model.controls=[],[x2]"]\n', "utf-8")
    assert recorded("sweep=mine")[1] != first


def test_a_value_whose_name_begins_another_is_traced_itself(small):
    code, values, _ = sweep(small, "model.sample.late=time >= 2001.5,time >= 2001")
    assert (code, values) == (0, ["time >= 2001.5", "time >= 2001"])
    assert main(["trace", "grid:sweep.grid.time >= 2001", "--json"]) == 0
    [traced] = json.loads(small.capture.readouterr().out)
    assert traced["model"]["formula"].startswith("y ~ d")
    assert traced["run"]["fingerprint"]
