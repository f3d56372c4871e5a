"""The tree of a study: what is stored for what is written, and the one way to change it."""

from __future__ import annotations

import copy

import pytest

from framework import registry
from framework.errors import EstimandError, Phase
from framework.spec import choices, terms
from framework.spec.model import read_data, read_model, salvage
from framework.spec.tree import (
    SHAPE,
    Origin,
    Problems,
    changes,
    flatten,
    get,
    is_slug,
    merge,
    normalise,
    put,
    shape_at,
    split,
)

HERE = Origin()


def stored(written, *, part="model"):
    problems = Problems()
    found = normalise(SHAPE.children[part], written, (part,), HERE, problems)
    problems.raise_if_any()
    return found


def merged(old, new, *, part="model"):
    problems = Problems()
    before = copy.deepcopy(old)
    found = merge(SHAPE.children[part], old, new, (part,), HERE, problems)
    problems.raise_if_any()
    assert old == before
    return found


def changed(tree, path, value):
    problems = Problems()
    before = copy.deepcopy(tree)
    found = put(tree, split(path), value, HERE, problems)
    problems.raise_if_any()
    assert tree == before
    return found


def said(function, *args, **kwargs):
    with pytest.raises(EstimandError) as caught:
        function(*args, **kwargs)
    return [(p.code, p.path, p.what) for p in caught.value.problems]


MODEL = {
    "outcome": "y",
    "treatment": {"column": "d", "shift": -1},
    "controls": ["a", "b"],
    "estimator": {"name": "twfe", "leads": [1]},
    "inference": {"name": "cluster", "by": "unit"},
}
TREE = {
    "data": {
        "source": {"path": "x.csv"},
        "steps": {"outliers": {"name": "winsorize", "limits": [0, 1]}},
    },
    "model": MODEL,
}


# -- what is stored --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "flat"),
    [
        ("twfe", {"name": "twfe"}),
        ({"twfe": {}}, {"name": "twfe"}),
        ({"twfe": {"leads": [1]}}, {"name": "twfe", "leads": [1]}),
        ({"event_study": [-3, 3]}, {"name": "event_study", "window": [-3, 3]}),
    ],
)
def test_a_choice_is_stored_flat(written, flat):
    assert stored({"estimator": written}) == {"estimator": flat}


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("twef", "no estimator 'twef'"),
        ({"twef": {}}, "no estimator 'twef'"),
        ({"twfe": 3}, "has no main option"),
        ({"twfe": None}, "with null"),
        ({"twfe": {}, "ols": {}}, "is `name`, {name: main option}"),
        (["twfe"], "is `name`, {name: main option}"),
        ({}, "is `name`, {name: main option}"),
    ],
)
def test_a_choice_that_is_none(written, words):
    ((_, path, what),) = said(stored, {"estimator": written})
    assert path == "model.estimator"
    assert words in what


@pytest.mark.parametrize(
    ("written", "block"),
    [
        ("d", {"column": "d"}),
        (["d", "e"], {"column": ["d", "e"]}),
        ({"log": "d"}, {"column": {"log": "d"}}),
        ({"column": "d", "shift": 1}, {"column": "d", "shift": 1}),
        ({"shift": 1}, {"shift": 1}),
    ],
)
def test_a_block_may_be_its_main_value_or_a_term(written, block):
    assert stored({"treatment": written})["treatment"] == block


def test_a_condition_is_a_restriction_without_a_name():
    found = stored({"sample": {"late": "year >= 2005", "whole": "balanced"}})
    assert found["sample"] == {
        "late": {"name": "where", "where": "year >= 2005"},
        "whole": {"name": "balanced"},
    }


def test_all_unknown_keys_come_at_once_with_guesses():
    problems = Problems()
    written = {"outcom": "y", "treatment": {"colum": "d"}, "estimator": "twef"}
    normalise(SHAPE.children["model"], written, ("model",), HERE, problems)
    assert [p.path for p in problems.found] == [
        "model.outcom",
        "model.treatment.colum",
        "model.estimator",
    ]
    guesses = ["'outcome'", "'column'", "'twfe'"]
    assert all(g in p.fix for g, p in zip(guesses, problems.found, strict=True))


def test_steps_have_names_and_columns_any_header():
    found = stored({"columns": {"a b": "A", "1": {"min": 0}}}, part="data")
    assert found["columns"] == {"a b": {"label": "A"}, "1": {"min": 0}}
    ((code, path, _),) = said(stored, {"steps": {"a b": {"log": "x"}}}, part="data")
    assert (code, path) == ("X18", "data.steps.a b")


@pytest.mark.parametrize("name", ["a", "A1", "a_b", "gdp2015"])
def test_slugs(name):
    assert is_slug(name)


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a.b", "_a", "é", "a\n"])
def test_no_slugs(name):
    assert not is_slug(name)


# -- merging ---------------------------------------------------------------------------


def test_mappings_merge_lists_and_scalars_replace_null_removes():
    found = merged(
        MODEL,
        {
            "outcome": "z",
            "controls": ["c"],
            "treatment": {"shift": 2},
            "inference": None,
        },
    )
    assert found == {
        "outcome": "z",
        "treatment": {"column": "d", "shift": 2},
        "controls": ["c"],
        "estimator": {"name": "twfe", "leads": [1]},
    }


def test_a_scalar_over_a_block_replaces_it():
    assert merged(MODEL, {"treatment": "e"})["treatment"] == {"column": "e"}


def test_null_in_a_block_removes_one_key():
    assert merged(MODEL, {"treatment": {"shift": None}})["treatment"] == {"column": "d"}


@pytest.mark.parametrize(
    ("patch", "estimator"),
    [
        ({"leads": [2]}, {"name": "twfe", "leads": [2]}),
        ({"lags": [2]}, {"name": "twfe", "leads": [1], "lags": [2]}),
        ({"leads": None}, {"name": "twfe"}),
        ("twfe", {"name": "twfe", "leads": [1]}),
        ({"twfe": {"lags": [2]}}, {"name": "twfe", "leads": [1], "lags": [2]}),
        ("ols", {"name": "ols"}),
        ({"event_study": {"reference": -2}}, {"name": "event_study", "reference": -2}),
    ],
)
def test_naming_another_plugin_replaces_a_choice(patch, estimator):
    assert merged(MODEL, {"estimator": patch})["estimator"] == estimator


def test_what_is_neither_option_nor_plugin():
    ((code, path, what),) = said(merged, MODEL, {"estimator": {"leeds": [1]}})
    assert (code, path) == ("X17", "model.estimator")
    assert what == "'leeds' is neither an option of estimator 'twfe' nor an estimator"


def test_a_mapping_is_expected():
    ((code, path, _),) = said(merged, {}, {"steps": ["log"]}, part="data")
    assert (code, path) == ("X15", "data.steps")


def test_a_fault_leaves_what_was_there():
    problems = Problems()
    shape = SHAPE.children["model"]
    found = merge(shape, MODEL, {"estimator": "twef"}, ("model",), HERE, problems)
    assert found == MODEL
    assert len(problems.found) == 1


# -- dotted paths ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dotted", "steps"),
    [
        ("a", ("a",)),
        ("a.b.c", ("a", "b", "c")),
        ('only."a.b"', ("only", "a.b")),
        ('"a.b".c', ("a.b", "c")),
        ('only."prov-id 2"', ("only", "prov-id 2")),
    ],
)
def test_quotes_keep_dots_together(dotted, steps):
    assert split(dotted) == steps


@pytest.mark.parametrize("dotted", ["", ".", '"', 'a."b', '"a" b"'])
def test_no_path(dotted):
    ((code, _, _),) = said(split, dotted)
    assert code == "X17"


@pytest.mark.parametrize(
    ("path", "value", "where", "found"),
    [
        ("model.outcome", "z", "model.outcome", "z"),
        (
            "model.estimator.leads",
            [3],
            "model.estimator",
            {"name": "twfe", "leads": [3]},
        ),
        ("model.estimator.leads", None, "model.estimator", {"name": "twfe"}),
        ("model.estimator", "ols", "model.estimator", {"name": "ols"}),
        ("model.estimator.name", "ols", "model.estimator", {"name": "ols"}),
        (
            "model.inference.cluster",
            "state",
            "model.inference",
            {"name": "cluster", "by": "state"},
        ),
        ("model.inference.hetero.type", "HC3", "model.inference.type", "HC3"),
        ("model.treatment.shift", 1, "model.treatment", {"column": "d", "shift": 1}),
        ("model.treatment.shift", None, "model.treatment", {"column": "d"}),
        (
            "data.steps.outliers.limits",
            [0.1, 0.9],
            "data.steps.outliers.limits",
            [0.1, 0.9],
        ),
        ("data.steps.outliers", None, "data.steps", {}),
        ("data.steps.logs", {"log": "y"}, "data.steps.logs.name", "log"),
        ("model.sample.late", "year > 1", "model.sample.late.where", "year > 1"),
        ("data.columns.a b", {"min": 1}, "data.columns.a b", {"min": 1}),
    ],
)
def test_a_path_changes_one_place(path, value, where, found):
    assert get(changed(TREE, path, value), split(where)) == found


@pytest.mark.parametrize(
    ("path", "value", "at", "words"),
    [
        ("model.outcom", 1, "model.outcom", "unknown key 'outcom'"),
        ("modl.outcome", 1, "modl", "unknown key 'modl'"),
        ("model.estimator.leeds", 1, "model.estimator.leeds", "has no option 'leeds'"),
        ("model.treatment.shft", 1, "model.treatment.shft", "unknown key 'shft'"),
        ("model.weights.kind", 1, "model.weights.kind", "no weights in force"),
        ("data.steps.outlier.limits", 1, "data.steps.outlier", "no step 'outlier'"),
        ("model.outcome.deeper", 1, "model.outcome.deeper", "which has no parts"),
        ("data.steps.a-b", {"log": "y"}, "data.steps.a-b", "can't be a name"),
    ],
)
def test_a_path_that_leads_nowhere(path, value, at, words):
    ((_, where, what),) = said(changed, TREE, path, value)
    assert where == at
    assert words in what


def test_shapes_are_found_by_path():
    assert (
        shape_at(("model", "treatment"))
        == SHAPE.children["model"].children["treatment"]
    )
    assert said(shape_at, ("model", "nothing"))[0][0] == "X17"


def test_what_changed_is_told_by_path():
    tree = changed(TREE, "model.estimator", "ols")
    assert changes(TREE, tree) == {
        "model.estimator.name": "ols",
        "model.estimator.leads": None,
    }
    assert changes(TREE, TREE) == {}
    assert flatten({"a": {"b": [1], "c": {}}}) == {"a.b": [1], "a.c": {}}


# -- choices ---------------------------------------------------------------------------


def test_every_wrong_option_is_said_with_its_path():
    flat = {"name": "event_study", "window": ["a", 3], "refrence": -1, "ends": "bins"}
    found = choices.check("estimator", flat, "model.estimator")
    assert sorted(p.path for p in found) == [
        "model.estimator.ends",
        "model.estimator.refrence",
        "model.estimator.window.0",
    ]
    fixes = " ".join(p.fix for p in found)
    assert "'reference'" in fixes
    assert "'bin'" in fixes


def test_options_that_contradict_are_said_in_words():
    flat = {"name": "event_study", "window": [3, -3]}
    (problem,) = choices.check("estimator", flat, "model.estimator")
    assert problem.what == "window [3, -3] must go from low to high"


def test_a_plugin_that_is_announced_takes_any_option(monkeypatch):
    someday = {"someday": registry.Planned("someday", None, "not built")}
    monkeypatch.setattr("framework.registry.planned", lambda _kind: someday)
    flat = {"name": "someday", "whatever": 1}
    assert choices.check("estimator", flat, "model.estimator") == []
    assert said(choices.build, "estimator", flat)[0][0] == "X10"


# -- terms -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "label", "columns"),
    [
        ("gdp", "gdp", ("gdp",)),
        (["a", "b"], "a × b", ("a", "b")),
        (["a", ["b", "c"]], "a × b × c", ("a", "b", "c")),
        ({"log": "fdi"}, "log(fdi)", ("fdi",)),
        ({"at": {"column": "gdp", "year": 2014}}, "at(gdp, year 2014)", ("gdp",)),
    ],
)
def test_terms(written, label, columns):
    term = terms.parse(written)
    assert (term.label, term.columns()) == (label, columns)


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        1,
        2.5,
        None,
        True,
        [],
        ["a"],
        ["a", ""],
        {},
        {"lgo": "x"},
        {"log": "x", "lag": "x"},
        {"log": 3},
        {"lag": {"columns": "x", "periods": 0}},
        {"slope": "x"},
    ],
)
def test_no_terms(written):
    assert {code for code, _, _ in said(terms.parse, written)} <= {"X01", "X15", "X16"}


def test_groups_are_spread_in_lists_products_and_steps():
    groups = {"xs": ["a", "b"]}
    found = terms.parse_list(["xs", {"log": "xs"}, ["xs", "c"], "a"], groups)
    assert [t.label for t in found] == [
        "a",
        "b",
        "log(a)",
        "log(b)",
        "a × c",
        "b × c",
    ]


# -- the validated tree ----------------------------------------------------------------


def test_all_problems_of_a_model_come_at_once():
    tree = {
        **MODEL,
        "confidence": 95,
        "controls": ["a", {"lgo": "b"}],
        "estimator": {"name": "twfe", "leeds": 1},
        "acknowledge": ["few_clustres"],
        "spatial_weights": {"all": "nothing"},
    }
    model, found = read_model(tree, {})
    assert model is None
    assert sorted(p.path for p in found) == [
        "model.acknowledge.0",
        "model.confidence",
        "model.controls.1",
        "model.estimator.leeds",
        "model.spatial_weights.all",
    ]
    assert {p.phase for p in found} == {Phase.SPEC}


def test_what_is_right_in_a_model_is_kept_to_look_on():
    tree = {
        **MODEL,
        "confidence": 95,
        "controls": ["a", {"lgo": "b"}, "c", {"lgo": "d"}],
        "estimator": {"name": "twfe", "leeds": 1, "lags": [1]},
    }
    _, found = read_model(tree, {})
    _, model = salvage(tree, {}, found)
    assert model is not None
    assert model.controls == ["a", "c"]
    assert model.estimator == {"name": "twfe", "lags": [1]}
    assert model.confidence == 0.95
    assert tree["controls"] == ["a", {"lgo": "b"}, "c", {"lgo": "d"}]


def test_a_model_without_an_estimator_can_not_be_kept():
    tree = {**MODEL, "estimator": {"name": "twef"}}
    _, found = read_model(tree, {})
    assert salvage(tree, {}, found)[1] is None


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ({}, "data", "'source' is missing"),
        ({"source": {}}, "data.source", "one of path, package"),
        ({"source": {"path": "a", "url": "b"}}, "data.source", "one of path"),
        ({"source": {"package": "p"}}, "data.source", "go together"),
        ({"source": {"path": "a", "sha256": "1"}}, "data.source.sha256", "pattern"),
        (
            {"source": {"path": "a"}, "panel": {"unit": "u"}},
            "data.panel",
            "needs its time",
        ),
        ({"source": {"path": "a"}, "missing": "skip"}, "data.missing", "'drop'"),
        (
            {"source": {"path": "a"}, "groups": {"g": [1]}},
            "data.groups",
            "should be text",
        ),
    ],
)
def test_data_that_are_not_described(data, path, words):
    found, problems = read_data(data)
    assert found is None
    assert any(p.path.startswith(path) and words in p.what for p in problems), problems


def test_an_option_in_force_is_found_without_scanning_what_is_installed(monkeypatch):
    def no_scan(kind):
        raise AssertionError(f"the {kind}s of other distributions were asked for")

    choices.plugin.cache_clear()  # another test may have asked for `leads`
    monkeypatch.setattr("framework.registry._third_party", no_scan)
    monkeypatch.setattr("framework.registry.planned", no_scan)
    problems = Problems()
    tree = {"estimator": {"name": "twfe"}}
    shape = SHAPE.children["model"]
    found = put(tree, ("estimator", "leads"), [1, 2], HERE, problems, shape=shape)
    problems.raise_if_any()
    assert found == {"estimator": {"name": "twfe", "leads": [1, 2]}}
