"""A multiverse through the command line, and a primary specification that is frozen."""

from __future__ import annotations

import json

import pytest

from framework.commands.line import main
from tests.commands.conftest import QUICK

STUDY = """\
study: many
{frozen}data:
  source: data.csv
  panel: {{unit: unit, time: time}}
  steps:
    x1: {{winsorize: {{limits: [0.01, 0.99], columns: [x1]}}}}
model:
  outcome: y
  treatment: {{column: d, kind: absorbing}}
  controls: {controls}
  fixed_effects: [unit, time]
  inference: {{cluster: unit}}
  estimator: twfe
checks:
  main: {{base: {{}}}}
  multiverse:
    all:
      each:
        controls: {{none: [], one: [x1], both: [x1, x2]}}
        estimator: [twfe, did2s]
        sample.late: {{all: null, late: "time >= 2001"}}
      except: [{{controls: none, estimator: did2s}}]
      {draws}
"""
DRAWS = "draws: {permute: treatment, times: 19}"


def study(lab, **change):
    held = {"frozen": "", "controls": "[x1, x2]", "draws": ""} | change
    (lab.folder / "study.yaml").write_text(STUDY.format(**held), "utf-8")


@pytest.fixture
def many(lab):
    lab.data(lab.frame())
    study(lab)
    return lab


def planned(lab):
    lab.capture.readouterr()
    assert main(["plan", "study.yaml", "--json", *QUICK]) == 0
    return json.loads(lab.capture.readouterr().out)


def test_the_same_specification_under_two_names_counts_once(many):
    many.run("--only", "multiverse", "report=full", settings=QUICK[:2])
    [once] = many.folder.glob("runs/many/2*")
    once = json.loads((once / "manifest.json").read_text("utf-8"))["multiverses"][0]
    text = STUDY.replace("none: [], one", "none: [], too: null, one")
    held = {"frozen": "", "controls": "[x1, x2]", "draws": ""}
    (many.folder / "study.yaml").write_text(text.format(**held), "utf-8")
    ran = many.run("--only", "multiverse", "report=full", settings=QUICK[:2])
    [twice] = ran.manifest["multiverses"]
    # `too` is struck out for no estimator, so one of its four columns is no repetition.
    assert (twice["planned"], twice["same"], twice["ran"]) == (16, 2, 12)
    same = {c["address"]: c["same_as"] for c in ran.manifest["columns"] if c["same_as"]}
    assert same == {
        "multiverse.all.too.twfe.all": "multiverse.all.none.twfe.all",
        "multiverse.all.too.twfe.late": "multiverse.all.none.twfe.late",
    }
    assert once["ran"] == 10
    said = " ".join(ran.out.split())
    assert "2 the same as another and counted once; 12 ran" in said
    report = (many.folder / "runs/many/latest/report.html").read_text("utf-8")
    assert "16 values" not in report
    assert "14 values; 2 the same as another; median" in report


def test_all_specifications_are_recorded_told_and_drawn(many):
    study(many, draws=DRAWS)
    ran = many.run("--only", "multiverse", "report=full", settings=QUICK[:2])
    assert ran.exit == 0, ran.err
    [held] = ran.manifest["multiverses"]
    assert (held["planned"], held["excluded"], held["ran"]) == (12, 2, 10)
    assert [c["path"] for c in held["choices"]] == [
        "controls", "estimator", "sample.late"]  # fmt: skip
    medians = {c["path"]: list(c["medians"]) for c in held["choices"]}
    assert medians["controls"] == ["none", "one", "both"]
    # Permutations of the loop (did2s) and in closed form (twfe) are the same ones.
    assert all(t["draws"] == 19 for t in held["joint"])
    assert all(t["p_value"] * 20 == pytest.approx(round(t["p_value"] * 20))
               for t in held["joint"])  # fmt: skip
    assert "12 specifications planned, 2 excluded by `except`; 10 ran" in " ".join(
        ran.out.split()
    )
    assert "No effect in any specification" in ran.out
    [folder] = many.folder.glob("runs/many/2*")
    assert (folder / "tables/multiverse_all_choices.csv").is_file()
    # Ten densities would say less than the joint tests do.
    assert len(list((folder / "figures").glob("*.png"))) == 1


def test_a_sweep_is_a_multiverse_too(many):
    many.capture.readouterr()
    code = main(["sweep", "study.yaml", "model.controls=[],[x1]",
                 "model.estimator=twfe,did2s", "--quiet", *QUICK])  # fmt: skip
    said = many.capture.readouterr()
    assert code == 0, said.err
    [folder] = many.folder.glob("runs/many/2*")
    [held] = json.loads((folder / "manifest.json").read_text("utf-8"))["multiverses"]
    assert (held["planned"], held["ran"]) == (4, 4)
    assert [c["path"] for c in held["choices"]] == ["model.controls", "model.estimator"]


def test_failures_of_one_cause_are_said_once(many):
    text = (many.folder / "study.yaml").read_text("utf-8")
    changed = text.replace("time >= 2001", "time >= 2030")
    (many.folder / "study.yaml").write_text(changed, "utf-8")
    ran = many.run("--only", "multiverse")
    assert ran.exit == 9
    assert len(ran.codes) == 1  # five columns fail
    assert "So are 4 more: multiverse.all.one.twfe.late" in " ".join(ran.err.split())


# -- frozen -------------------------------------------------------------------------------


def test_a_frozen_study_runs_and_says_so(many):
    number = planned(many)["primary"]
    study(many, frozen=f"frozen: '{number[:12]}'\n")
    assert planned(many)["primary"] == number  # the hash is no part of itself
    main(["plan", "study.yaml", *QUICK])
    said = many.capture.readouterr().out
    assert f"primary specification {number[:12]} (as frozen)" in said
    ran = many.run("--only", "main")
    assert ran.exit == 0
    assert ran.manifest["primary"] == number


def test_layout_and_lines_leave_the_hash_and_the_model_does_not(many):
    number = planned(many)["primary"]
    text = (many.folder / "study.yaml").read_text("utf-8")
    for old, new in (
        ("  estimator: twfe\n", "  # said last\n  estimator: {twfe: {}}\n"),
        ("base: {}", "renamed: {}"),
        ("except: ", "expect: positive\n      except: "),
    ):
        assert old in text
        (many.folder / "study.yaml").write_text(text.replace(old, new), "utf-8")
        assert planned(many)["primary"] == number, new
    for old, new in (
        ("controls: [x1, x2]", "controls: [x2, x1]"),
        ("limits: [0.01, 0.99]", "limits: [0.02, 0.98]"),
        ("cluster: unit", "cluster: region"),
        ("study: many", "study: many\nseed: 4"),
    ):
        assert old in text
        (many.folder / "study.yaml").write_text(text.replace(old, new, 1), "utf-8")
        assert planned(many)["primary"] != number, new


@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
def test_a_model_that_is_not_the_frozen_one_is_refused(many, verb):
    number = planned(many)["primary"][:12]
    study(many, frozen=f"frozen: '{number}'\n", controls="[x1]")
    many.capture.readouterr()
    assert main([verb, "study.yaml", *(QUICK if verb != "validate" else ())]) == 2
    said = many.capture.readouterr().err
    assert f"{number} was frozen" in said
    assert "study.yaml:2:9" in said
    assert "(X26)" in said
    assert not list(many.folder.glob("runs/many"))


def test_an_override_of_a_frozen_model_is_refused_too(many):
    number = planned(many)["primary"][:12]
    study(many, frozen=f"frozen: '{number}'\n")
    assert many.refused("model.controls=[x1]").codes == ["X26"]


@pytest.mark.parametrize("written", ["'abc'", "123456789012", "'ABCDEF123456'", "[]"])
def test_what_is_no_hash_is_said(many, written):
    study(many, frozen=f"frozen: {written}\n")
    outcome = many.refused()
    assert outcome.exit == 2
    assert "as `estimand plan` prints it" in outcome.err
