"""Overrides in Hydra's grammar, read for an economist: `outcome=绿色效率` is text."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import EstimandError
from framework.override_values import read_values, write_value
from framework.overrides import expand, join, split
from framework.settings import GROUPS, Settings, unknown_setting

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text("utf-8")


def value_of(text: str):
    (override,) = split([f"model.field={text}"]).study
    assert not override.is_sweep
    return override.value


def values_of(text: str):
    (override,) = split([f"model.field={text}"]).study
    assert override.is_sweep
    return [value for _, value in override.values]


def names_of(text: str):
    (override,) = split([f"model.field={text}"]).study
    return [name for name, _ in override.values]


def problems_of(*args: str):
    with pytest.raises(EstimandError) as raised:
        split(args)
    return raised.value.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("twfe", "twfe"),
        ("null", None),
        ("true", True),
        ("False", False),
        ("3", 3),
        ("-1", -1),
        ("0.05", 0.05),
        ("1e-3", 0.001),
        ("'010'", "010"),
        ("'1e-3'", "1e-3"),
        ('"true"', "true"),
        ("''", ""),
        ("'every'", "every"),
        ("yes", "yes"),
        ("2015-01-01", "2015-01-01"),
        ("12:30:45", "12:30:45"),
        ("a b", "a b"),
        ("a\\,b", "a,b"),
        ("data/x.csv", "data/x.csv"),
        ("[]", []),
        ("{}", {}),
        ("[l_income,l_prisoner]", ["l_income", "l_prisoner"]),
        ("[city, [industry, year]]", ["city", ["industry", "year"]]),
        ("{cluster: [sid, year]}", {"cluster": ["sid", "year"]}),
        (
            "{event_study: {window: [-5, 4], reference: -1}}",
            {"event_study": {"window": [-5, 4], "reference": -1}},
        ),
        ("绿色效率", "绿色效率"),
        ("log(y)", "log(y)"),
        ("log(y, 2)", "log(y, 2)"),
        ("i.year^x", "i.year^x"),
        ("year >= 2015", "year >= 2015"),
        ("ai = 0", "ai = 0"),
        ("region in ('north, east', west)", "region in ('north, east', west)"),
        ("Côte d'Ivoire", "Côte d'Ivoire"),
        ("[绿色效率, gdp]", ["绿色效率", "gdp"]),
        ("[log(y), 1]", ["log(y)", 1]),
        ("{cluster: 省份}", {"cluster": "省份"}),
        ("{'省份': '1'}", {"省份": "1"}),
        ("int('3')", 3),
    ],
)
def test_a_value_is_what_was_meant(text, value):
    read = value_of(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "values", "names"),
    [
        ("twfe,event_study", ["twfe", "event_study"], ["twfe", "event_study"]),
        ("log(y),绿,y", ["log(y)", "绿", "y"], ["log(y)", "绿", "y"]),
        ("range(1,4)", [1, 2, 3], ["1", "2", "3"]),
        ("range(2)", [0, 1], ["0", "1"]),
        ("range(3,0,-2)", [3, 1], ["3", "1"]),
        # 0.3 + 0.3 + 0.3 < 0.9 in binary; a range stops before its end.
        ("range(0,0.9,0.3)", [0.0, 0.3, 0.6], ["0.0", "0.3", "0.6"]),
        ("choice(a,绿)", ["a", "绿"], ["a", "绿"]),
        ("choice(a)", ["a"], ["a"]),
        ("range(1,3),7", [1, 2, 7], ["1", "2", "7"]),
        ("sort(3,1,2)", [1, 2, 3], ["1", "2", "3"]),
        (
            "[a],[a,b],[],null",
            [["a"], ["a", "b"], [], None],
            ["a", "a+b", "none", "none_2"],
        ),
        (
            "{cluster: sid},hetero",
            [{"cluster": "sid"}, "hetero"],
            ["cluster_sid", "hetero"],
        ),
        ("1,'1',1.0,true", [1, "1", 1.0, True], ["1", "1_2", "1.0", "true"]),
        ("a,b,a", ["a", "b"], ["a", "b"]),
    ],
)
def test_a_sweep_has_named_values(text, values, names):
    assert values_of(text) == values
    assert names_of(text) == names


def test_every_is_a_sweep_whose_values_the_study_knows():
    (override,) = split(["model.fixed_effects=every"]).study
    assert override.every
    assert override.is_sweep
    assert expand([override])[0].texts == ("model.fixed_effects=every",)


@pytest.mark.parametrize(
    ("argument", "code", "phase", "words"),
    [
        ("~model.controls", "X15", "SPEC", "model.controls=null"),
        ("+model.contols=[a]", "X15", "SPEC", "no `+`"),
        ("++model.controls=[a]", "X15", "SPEC", "no `+`"),
        ("model/estimator=twfe", "X15", "SPEC", "model.estimator=…"),
        ("model..x=1", "X15", "SPEC", "no path"),
        ("model.controls", "X15", "SPEC", "no value"),
        ("model.controls=", "X14", "SPEC", "null"),
        ("model.controls=a,,b", "X14", "SPEC", "two commas"),
        ("model.x=${oc.env:HOME}", "X06", "SAFETY", "interpolation"),
        ("model.x='${oc.env:HOME}'", "X06", "SAFETY", "interpolation"),
        ("tracking.uri=${oc.env:HOME}", "X06", "SAFETY", "interpolation"),
        ("model.estimator._target_=os.system", "X05", "SAFETY", "_target_"),
        ("model.estimator={_target_: os.system}", "X05", "SAFETY", "_target_"),
        ("model.estimator={'_target_': os.system}", "X05", "SAFETY", "_target_"),
        ("model.x=010", "X02", "SPEC", "'010' for text"),
        ("model.x=[010]", "X02", "SPEC", "'010' for text"),
        ("model.x=2015_2016", "X02", "SPEC", "'2015_2016' for text"),
        ("model.x=0x1F", "X02", "SPEC", "different readers"),
        ("model.x=~", "X02", "SPEC", "null"),
        ("model.x=nan", "X02", "SPEC", "different readers"),
        ("model.x=1e999", "X02", "SPEC", "finite"),
        ("model.x=[a,b", "X13", "SPEC", "`]` is missing"),
        ("model.x=a)", "X13", "SPEC", "closes nothing"),
        ("model.x='a", "X13", "SPEC", "never closed"),
        ("model.x='a'b", "X13", "SPEC", "too early"),
        ("model.x={a}", "X13", "SPEC", "key: value"),
        ("model.x={a: 1, a: 2}", "X02", "SPEC", "given twice"),
        ("model.x=[range(3)]", "X15", "SPEC", "sweeps inside"),
        ("model.x=range(a)", "X15", "SPEC", "can't be computed"),
        ("model.x=range(1,2,0)", "X15", "SPEC", "never ends"),
        ("model.x=range(2,1)", "X15", "SPEC", "no values"),
        ("model.x=range(1,1e12)", "X15", "SPEC", "more than 100,000"),
        ("model.x=interval(0,1)", "X15", "SPEC", "range"),
        ("model.x=shuffle(a,b)", "X15", "SPEC", "order"),
        ("model.x=glob(*)", "X15", "SPEC", "write the values out"),
        ("model.x=" + "[" * 40 + "]" * 40, "X03", "SAFETY", "nesting"),
        ("outcome=y", "X17", "SPEC", "model.outcome"),
        ("modle.outcome=y", "X17", "SPEC", "did you mean 'model'"),
        ("add.controls=[a]", "X17", "SPEC", "belong to a line of the study"),
        ("model.add.controls=a,b", "X17", "SPEC", "write the whole list"),
        ("model.without.sid=every", "X17", "SPEC", "belong to a line of the study"),
        ("hydra.verbose=true", "X17", "SPEC", "fixed"),
        ("hydra/launcher=basic", "X17", "SPEC", "fixed"),
        ("tracking=sever", "X01", "SPEC", "did you mean 'server'"),
        ("executor.workrs=2", "X17", "SPEC", "did you mean 'workers'"),
        ("+executor.workers=2", "X15", "SPEC", "sets nothing"),
        ("report.formats=html,md", "X15", "SPEC", "sweeps over a setting"),
    ],
)
def test_what_is_refused_says_why_and_how(argument, code, phase, words):
    (problem,) = problems_of(argument)
    assert (problem.code, problem.phase.name) == (code, phase)
    assert words in str(problem)
    assert "override 1" in str(problem)
    assert argument in str(problem)


def test_all_problems_of_a_command_line_at_once():
    found = problems_of("~model.controls", "model.x=010", "tracking=sever", "seed=1")
    assert [p.place.source for p in found] == ["override 1", "override 2", "override 3"]


def test_one_path_given_twice():
    (problem,) = problems_of("seed=1", "model.outcome=y", "seed=2")
    assert "overrides 1 and 3" in str(problem)
    assert "seed=a,b" in problem.fix


def test_study_and_settings_are_told_apart():
    found = split(
        [
            "model.outcome=y",
            "tracking=none",
            "seed=3",
            "executor.workers=2",
            "runs=/a b/绿",
        ]
    )
    assert [o.path for o in found.study] == ["model.outcome", "seed"]
    assert found.conf == ("tracking=none", "executor.workers=2", "runs='/a b/绿'")


@pytest.mark.parametrize(
    "key", ["runs", "tracking.uri", "executor=inline", "sweep=none"]
)
def test_settings_that_exist_are_known(key):
    assert unknown_setting(key) is None


def test_a_setting_below_a_plain_value_is_unknown():
    assert "one value" in unknown_setting("runs.folder").fix


def test_the_grid_varies_its_first_path_slowest():
    given_ = split(
        ["model.estimator=twfe,event_study", "seed=3", "model.controls=[a],[a,b]"]
    ).study
    jobs = expand(given_)
    assert [job.name for job in jobs] == [
        "twfe.a",
        "twfe.a+b",
        "event_study.a",
        "event_study.a+b",
    ]
    assert [job.number for job in jobs] == [1, 2, 3, 4]
    assert jobs[1].changes == {
        "model.estimator": ("twfe", "twfe"),
        "seed": ("3", 3),
        "model.controls": ("a+b", ["a", "b"]),
    }
    assert jobs[1].swept == ("model.estimator", "model.controls")
    assert list(jobs[1]) == ["model.estimator=twfe", "seed=3", "model.controls=[a,b]"]


def test_equal_jobs_are_one():
    assert len(expand(split(["model.x=a,b,a,'a'", "seed=1,1"]).study)) == 2


def test_a_job_is_written_so_that_it_can_be_typed_again():
    (job,) = expand(split(["model.outcome=log(y)", "model.controls=[绿,'010']"]).study)
    (again,) = expand(split(job.texts).study)
    assert again.changes == job.changes


def test_a_grid_nobody_can_wait_for_is_refused():
    many = split([f"model.{axis}=range(100)" for axis in "abc"]).study
    with pytest.raises(EstimandError, match="1,000,000 jobs"):
        expand(many)


def test_what_is_typed_replaces_the_named_sweep_at_its_path():
    named = split(["model.inference=iid,hetero", "model.outcome=a,b"]).study
    joined = join(named, split(["model.inference=hetero", "seed=1"]).study)
    assert [o.text for o in joined] == [
        "model.inference=hetero",
        "model.outcome=a,b",
        "seed=1",
    ]


texts = st.text().filter(lambda t: "${" not in t)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
keys = texts.filter(lambda t: t != "_target_")
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain)
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_read_back(value):
    (read,), sweeps = read_values(write_value(value))
    assert not sweeps
    assert read == value
    assert repr(read) == repr(value)  # True is not 1, 1 is not 1.0


words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,6}", fullmatch=True).filter(
    lambda t: t.lower() not in ("nan", "inf")
)
tokens = words | st.integers().map(str) | texts.map(write_value) | st.just("null")
hydra_values = st.recursive(
    tokens,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda i: "[" + ", ".join(i) + "]")
        | st.dictionaries(words, inner, max_size=3).map(
            lambda d: "{" + ", ".join(f"{k}: {v}" for k, v in d.items()) + "}"
        )
    ),
    max_leaves=6,
)


@given(st.lists(hydra_values, min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_what_hydra_reads_means_what_it_means_to_hydra(items):
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override

    text = ",".join(items)
    override = OverridesParser.create().parse_override(f"key={text}")
    expected = (
        [Override._convert_value(v) for v in override.sweep_iterator()]
        if override.is_sweep_override()
        else [override.value()]
    )
    # Keys of a study are text; Hydra has booleans and nulls among them.
    assert [str(v).lower() for v in read_values(text)[0]] == [
        str(_text_keys(v)).lower() for v in expected
    ]


def _text_keys(value):
    if isinstance(value, list):
        return [_text_keys(v) for v in value]
    if isinstance(value, dict):
        names = {None: "null", True: "true", False: "false"}
        return {
            (k if isinstance(k, str) else names.get(k, str(k))): _text_keys(v)
            for k, v in value.items()
        }
    return value


def test_splitting_nothing_needs_no_hydra():
    script = (
        "import sys; from framework.overrides import split; split([]); "
        "sys.exit(any(m.split('.')[0] in ('hydra', 'omegaconf', 'pandas') "
        "for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    "line",
    re.findall(r"^(?:\w+=\S+ )?estimand (?:run|sweep) .*$", DOCUMENT, re.MULTILINE),
)
def test_commands_of_the_document_are_readable(line):
    typed = shlex.split(line)
    changes = typed[typed.index("estimand") + 3 :]
    found = split(changes)
    assert len(found.study) + len(found.conf) == len(changes) > 0


def test_the_document_lists_every_setting():
    table = DOCUMENT.partition("## Settings")[2]
    listed = set(re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE))
    there = {*Settings.model_fields}
    for group in GROUPS:
        there |= {
            f"{group}.{f}" for f in Settings.model_fields[group].annotation.model_fields
        }
    assert listed == there
