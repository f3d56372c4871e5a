"""Several faults at once, and any study spoilt at random: right, or refused in words."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

import numpy as np
import pandas as pd
import yaml

from framework.commands.line import main
from tests.build_faults import cells
from tests.commands.conftest import Lab

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
