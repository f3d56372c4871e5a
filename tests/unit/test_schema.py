"""The JSON Schema: it takes every valid study, refuses slips, and is the committed one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from framework import registry
from framework.commands.schema import as_text, study_schema
from framework.spec import choices
from framework.spec.lines import DIRECTIVES
from framework.spec.loader import load, loads
from framework.spec.study import TOP
from framework.spec.tree import SHAPE, Block, Named, Node

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "schemas" / "study.json"
STUDIES = sorted((ROOT / "tests" / "dialect").glob("*.yaml")) + sorted(
    p for p in (ROOT / "specs").rglob("*.yaml") if "study:" in p.read_text("utf-8")
)
MADE = study_schema(third_party=False)
VALIDATOR = Draft202012Validator(MADE)

DATA = "data: {source: data/a.csv, panel: {unit: city, time: year}}"
MODEL = (
    "outcome: y, treatment: ai, fixed_effects: [city, year], "
    "inference: {cluster: city}, estimator: twfe"
)


def study(*, data: str = DATA, model: str = MODEL, more: str = "") -> Any:
    return loads(f"study: s\n{data}\nmodel: {{{model}}}\n{more}").tree


def line(body: str) -> Any:
    return study(more=f"checks: {{main: {{a: {body}}}}}")


def accepts(tree: Any) -> bool:
    return VALIDATOR.is_valid(tree)


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(MADE)


def test_every_reference_leads_somewhere() -> None:
    def places(held: Any) -> set[str]:
        if isinstance(held, list):
            return set().union(*map(places, held), set())
        if not isinstance(held, dict):
            return set()
        own = {held["$ref"]} if isinstance(held.get("$ref"), str) else set()
        return own.union(*map(places, held.values()), set())

    for place in places(MADE):
        here = MADE
        for step in place.removeprefix("#/").split("/"):
            assert step in here, place
            here = here[step]


def test_the_committed_file_is_current() -> None:
    # `estimand schema --output schemas/study.json` writes it again.
    assert COMMITTED.read_text(encoding="utf-8") == as_text(MADE)


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_every_study_is_valid(path: Path) -> None:
    errors = [
        f"{e.json_path}: {e.message}" for e in VALIDATOR.iter_errors(load(path).tree)
    ]
    assert errors == []


@pytest.mark.parametrize(
    "tree",
    [
        study(),
        study(more="checks: {main: {plain: {}}}"),
        study(model=MODEL.replace("twfe", "{twfe: {leads: [1, 2]}}")),
        study(model=MODEL.replace("twfe", "{event_study: [-5, 4]}")),
        study(model=MODEL.replace("twfe", "callaway_santanna")),
        study(model=MODEL + ", sample: {clean: ai = 0, whole: balanced}"),
        study(model=MODEL.replace("{cluster: city}", "{cluster: [[city, year]]}")),
        study(data='data: {source: a.csv, columns: {"人均 GDP": GDP per head}}'),
        line("{estimator.leads: [1, 2]}"),
        line("{estimator: {reference: -2}}"),
        line("{estimator.small_sample.two_way: conventional}"),
        line("{inference.cluster: state}"),
        line("{model.controls: [a], data.missing: drop}"),
        line("{weights: null, data.steps.fill: null}"),
        line("{data.steps.limits.limits: [0, 1]}"),
        line("{expect: [positive, {any: [significant, {equivalent: 0.1}]}]}"),
        line("{expect: {within: {number: 1, tolerance: 2}}}"),
        line("{expect: {not: {equivalent: 0.03}}}"),
        line("{expect: {share: {of: {significant: 0.1}, at_least: 0.9}}}"),
        line("{each: {case: {a: {controls: [x]}, b: {estimator: ols}}}}"),
        line("{each: {add: {controls: [a, b]}}, except: [{add.controls: a}]}"),
        loads("study: s\nfrom: o.yaml\nmodel: {inference: {cluster: {by: a}}}").tree,
        loads("study: s\nfrom: o.yaml\nmodel: {weights: {analytic: {}}}").tree,
    ],
)  # fmt: skip
def test_what_the_language_allows(tree: Any) -> None:
    assert accepts(tree)


@pytest.mark.parametrize(
    "tree",
    [
        loads("data: {source: a.csv}\nmodel: {estimator: ols}").tree,
        loads("study: s\nmodel: {estimator: ols}").tree,
        loads("study: 2nd\ndata: {source: a.csv}\nmodel: {estimator: ols}").tree,
        study(more="chekcs: {main: {plain: {}}}"),
        study(more="seed: -1"),
        study(more="checks: {}"),
        study(more="checks: {main: {plain: {controls: a}}}"),
        study(data="data: {panel: {unit: city, time: year}}"),
        study(data="data: {source: {path: a.csv, encodig: gb18030}}"),
        study(data="data: {source: a.csv, missing: ignore}"),
        study(data="data: {source: a.csv, steps: {w: {winsorise: [0.01, 0.99]}}}"),
        study(data="data: {source: a.csv, steps: {w: {winsorize: {columns: [a]}}}}"),
        study(data="data: {source: a.csv, steps: {w: winsorize}}"),
        study(model="outcome: y"),
        study(model=MODEL.replace("twfe", "twef")),
        study(model=MODEL.replace("twfe", "{twfe: {leds: [1]}}")),
        study(model=MODEL.replace("twfe", "{twfe: {leads: [0]}}")),
        study(model=MODEL.replace("twfe", "{twfe: {}, ols: {}}")),
        study(model=MODEL.replace(": ai", ": {column: ai, kind: stagered}")),
        study(model=MODEL.replace("cluster", "clustr")),
        study(model=MODEL + ", estimand: aat"),
        study(model=MODEL + ", confidence: 95"),
        study(model=MODEL + ", contols: [a]"),
        line("{contols: [a]}"),
        line("{treatment.shft: 1}"),
        line("{estimator: {twef: {leads: [1]}}}"),
        line("{estimator.leads: some}"),
        line("{expect: same_sing}"),
        line("{expect: {equivalent: {bund: 0.02}}}"),
        line("{expect: {equivalent: {bound: -1}}}"),
        line("{expect: {equivalent: {}}}"),
        line("{expect: {positive: {against: main.b}}}"),
        line("{draws: {permute: treatment}}"),
        line("{draws: {permute: [region], times: 5}}"),
        line("{draws: {permute: treatment, statistic: z, times: 5}}"),
        line("{draws: {permute: treatment, resample: city, times: 5}}"),
        line("{each: {contols: [a]}}"),
        line("{each: {estimator: [twef]}}"),
        line("{add: {outcome: [a]}}"),
        study(more="families: {main: bonferoni}"),
        study(more="report: {main: {baseline: middle}}"),
        study(more="published: {main: {plain: {ai: 0.5}}}"),
    ],
)  # fmt: skip
def test_slips_are_marked(tree: Any) -> None:
    assert not accepts(tree)


def test_every_key_has_words_for_the_mouse() -> None:
    defs = MADE["$defs"]
    blocks = [
        MADE,
        *(d for n, d in defs.items() if re.search("_block$|^data|^model", n)),
    ]
    blocks += [defs["draws"], defs["heading_options"]]
    for block in blocks:
        for key, held in block["properties"].items():
            assert len(held["description"]) > 15, key


def test_the_keys_are_the_loader_s() -> None:
    defs = MADE["$defs"]
    assert set(MADE["properties"]) == set(TOP)
    assert set(DIRECTIVES) < set(defs["line"]["properties"])
    for part in ("data", "model"):
        shape = SHAPE.children[part]
        assert isinstance(shape, Node)
        assert set(shape.children) == set(defs[part]["properties"]) - {"each"}
    data, model = SHAPE.children["data"], SHAPE.children["model"]
    assert isinstance(data, Node)
    assert isinstance(model, Node)
    shapes = {
        "source": data.children["source"],
        "panel": data.children["panel"],
        "treatment": model.children["treatment"],
        "interact": model.children["interact"],
        "spatial_use": model.children["spatial_weights"],
    }
    columns = data.children["columns"]
    assert isinstance(columns, Named)
    for name, block in {**shapes, "column": columns.each}.items():
        assert isinstance(block, Block)
        assert set(block.keys) == set(defs[f"{name}_block"]["properties"])


def test_options_say_what_they_mean_and_planned_plugins_that_they_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    someday = {"someday": registry.Planned("someday", None, "of the future")}
    monkeypatch.setattr(
        registry, "planned", lambda kind: someday if kind == "estimator" else {}
    )
    defs = study_schema(third_party=False)["$defs"]
    window = defs["options.estimator.event_study"]["properties"]["window"]
    assert "event time" in window["description"]
    names = defs["estimator_name"]
    words = dict(zip(names["enum"], names["enumDescriptions"], strict=True))
    assert words["someday"].startswith("announced, not built yet")
    assert "fixed effects" in words["twfe"]


def test_plugins_of_other_distributions_are_in_and_can_be_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = registry.entry("estimator", "twfe")
    foreign = registry.Entry("estimator", "theirs", ours.target, "their-package")
    monkeypatch.setattr(
        registry,
        "_third_party",
        lambda kind: {"theirs": foreign} if kind == "estimator" else {},
    )
    choices.plugin.cache_clear()
    try:
        with_theirs = study_schema()["$defs"]["estimator_name"]["enum"]
        assert "theirs" in with_theirs
        assert "options.estimator.theirs" in study_schema()["$defs"]
        assert study_schema(third_party=False) == MADE
    finally:
        choices.plugin.cache_clear()


def test_the_text_is_json() -> None:
    assert json.loads(as_text(MADE)) == MADE
