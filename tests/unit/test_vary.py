"""Variations: one model and its named changes, unfolded to trees."""

from __future__ import annotations

from dataclasses import replace

import pytest

from framework.errors import EstimandError, SpecError
from framework.spec.lines import Values, value_name
from framework.spec.loader import loads
from framework.spec.study import Override, open_study
from framework.spec.tree import Origin
from framework.vary import EVERY_VALUE, MODEL, sweep_line, unfold, with_line

HEAD = """\
study: s
data:
  source: x.csv
  panel: {unit: unit, time: year}
  steps: {outliers: {winsorize: {limits: [0, 1], columns: [a]}}}
  spatial_weights: {near: {contiguity: w.csv}, far: {contiguity: v.csv}}
model:
  outcome: y
  treatment: d
  controls: [a, b]
  fixed_effects: [unit, year]
  inference: {cluster: unit}
  estimator: twfe
"""


@pytest.fixture
def study(tmp_path):
    def make(checks, head=HEAD, overrides=()):
        text = head + (f"checks:\n{checks}\n" if checks else "")
        (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
        return open_study(tmp_path / "s.yaml", overrides)

    return make


@pytest.fixture
def unfolded(study):
    """address -> variation, of checks written one a line."""

    def make(checks, head=HEAD, **how):
        return {v.address: v for v in unfold(study(checks, head), **how)}

    return make


@pytest.fixture
def said(study):
    """Codes and words of all problems, of the study or of its lines."""

    def make(checks, head=HEAD, **how):
        try:
            found = unfold(study(checks, head), **how)
        except EstimandError as error:
            return [(p.code, p.what) for p in error.problems]
        return [(p.code, p.what) for v in found for p in v.problems]

    return make


# -- a line is a merge patch -----------------------------------------------------------


def test_every_of_a_step_is_what_the_step_names(unfolded, said):
    step = "sbm: {inputs: x, outputs: z, returns: constant, frontier: yearly}"
    head = HEAD.replace("steps: {", f"steps: {{eff: {{{step}}}, ")
    found = unfolded("  h: {l: {each: {data.steps.eff: every}}}", head)
    assert list(found) == [
        f"h.l.{n}" for n in ("before", "untreated", "never", "pooled")
    ]
    path = "data.steps.eff.reference"
    assert found["h.l.never"].changed == {
        f"{path}.rows": "never",
        f"{path}.treatment": "d",
    }
    assert found["h.l.pooled"].changed == {"data.steps.eff.frontier": "pooled"}
    each = "  h: {l: {each: {data.steps.outliers: every}}}"
    assert said(each) == [
        ("X22", "each data.steps.outliers: the step winsorize names no alternatives")
    ]
    ((code, _),) = said("  h: {l: {each: {data.steps.outliers.limits: every}}}")
    assert code == "X22"
    nobody = head.replace("treatment: d", "treatment: [d, e]")
    assert (
        "names no alternatives" in said(each.replace("outliers", "eff"), nobody)[0][1]
    )


def test_without_checks_the_model_is_the_one_estimation(unfolded):
    found = unfolded("")
    assert list(found) == ["estimate.main"]
    assert found["estimate.main"].changed == {}


def test_order_of_writing_is_order_of_estimations(unfolded):
    found = unfolded("  z: {b: {}, a: {outcome: x}}\n  a: {c: {outcome: w}}")
    assert list(found) == ["z.b", "z.a", "a.c"]


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("{}", {}),
        ("{outcome: z}", {"model.outcome": "z"}),
        ("{controls: []}", {"model.controls": []}),
        ("{controls: null}", {"model.controls": None}),
        ("{treatment.shift: -1}", {"model.treatment.shift": -1}),
        ("{treatment: {shift: -1}}", {"model.treatment.shift": -1}),
        ("{estimator.leads: [1]}", {"model.estimator.leads": [1]}),
        ("{estimator: {leads: [1]}}", {"model.estimator.leads": [1]}),
        ("{estimator: ols}", {"model.estimator.name": "ols"}),
        ("{inference.cluster: year}", {"model.inference.by": "year"}),
        (
            "{inference: hetero}",
            {"model.inference.name": "hetero", "model.inference.by": None},
        ),
        (
            "{data.steps.outliers.limits: [0.1, 0.9]}",
            {"data.steps.outliers.limits": [0.1, 0.9]},
        ),
        (
            "{data: {steps: {outliers: {limits: [0.1, 0.9]}}}}",
            {"data.steps.outliers.limits": [0.1, 0.9]},
        ),
        ("{data.missing: drop}", {"data.missing": "drop"}),
        ("{add.controls: c}", {"model.controls": ["a", "b", "c"]}),
        ("{add: {controls: [c, d]}}", {"model.controls": ["a", "b", "c", "d"]}),
        ("{remove.controls: [a]}", {"model.controls": ["b"]}),
        (
            "{remove.controls: [a], add.controls: [c]}",
            {"model.controls": ["b", "c"]},
        ),
        (
            "{only.region: east}",
            {
                "model.sample.only_region.name": "only",
                "model.sample.only_region.column": "region",
                "model.sample.only_region.values": "east",
            },
        ),
        (
            "{without: {region: [1, 2]}}",
            {
                "model.sample.without_region.name": "without",
                "model.sample.without_region.column": "region",
                "model.sample.without_region.values": [1, 2],
            },
        ),
        (
            '{only."prov. id": 1}',
            {
                "model.sample.only_prov. id.name": "only",
                "model.sample.only_prov. id.column": "prov. id",
                "model.sample.only_prov. id.values": 1,
            },
        ),
        (
            "{sample.late: year > 3}",
            {"model.sample.late.name": "where", "model.sample.late.where": "year > 3"},
        ),
    ],
)
def test_what_a_line_changes(line, changed, unfolded):
    found = unfolded(f"  h: {{line: {line}}}")["h.line"]
    assert found.problems == ()
    assert dict(found.changed) == changed


def test_a_line_never_changes_the_study(study):
    opened = study("  h: {a: {controls: [z], data.steps.outliers: null}, b: {}}")
    before = repr(opened.tree)
    first, second = unfold(opened)
    assert first.tree != second.tree
    assert second.changed == {}
    assert repr(opened.tree) == before


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("{outcom: z}", "X17", "unknown key 'outcom'"),
        ("{estimator.leeds: [1]}", "X17", "has no option 'leeds'"),
        ("{estimator: twef}", "X01", "no estimator 'twef'"),
        ("{add.controls: a}", "X21", "'a' is in controls already"),
        ("{remove.controls: z}", "X21", "'z' is not in controls"),
        ("{add.outcome: z}", "X17", "`add` edits lists"),
        ("{add: [z]}", "X15", "`add` is a mapping"),
        ("{only: [z]}", "X15", "`only` is a mapping"),
        ("{data.steps.nothing.limits: 1}", "X17", "no step 'nothing'"),
        ("{expect: posative}", "X01", "no expectation 'posative'"),
        ("{expect: {any: [posative]}}", "X01", "no expectation 'posative'"),
        ("3", "X15", "line 'line' is a mapping of changes"),
        ("[outcome]", "X15", "line 'line' is a mapping of changes"),
        ("{from: nowhere}", "X22", "no line 'nowhere'"),
        ("{from: [line]}", "X15", "`from` names a line"),
        ("{from: line}", "X22", "goes in a circle"),
        ("{draws: {permute: treatment}}", "X15", "draws.times"),
        ("{draws: {permute: [y], times: 9}}", "X15", "is treatment or a column"),
        ("{draws: {times: 9}}", "X15", "one of permute, resample, resplit, leave_out"),
        (
            "{draws: {permute: treatment, times: 9, wihtin: x}}",
            "X17",
            "unknown key 'wihtin'",
        ),
        ("{draws: 9}", "X15", "`draws` is"),
        ("{each: [y]}", "X15", "`each` is a mapping"),
        ("{each: {}}", "X15", "`each` is a mapping"),
        ("{each: {outcome: y}}", "X15", "values are a list of scalars"),
        ("{each: {outcome: []}}", "X15", "values are a list of scalars"),
        ("{each: {outcome: [y, y]}}", "X15", "'y' given twice"),
        ("{each: {controls: [[a]]}}", "X15", "needs a name"),
        ("{each: {controls: {a b: [a]}}}", "X18", "can't be a name"),
        ("{each: {outcom: [y]}}", "X17", "is no path of the study"),
        ("{each: {outcome: every}}", "X22", "`every` means nothing here"),
        ("{each: {case: [a]}}", "X22", "values are {name: {changes}}"),
        (
            "{each: {outcome: [y, z]}, except: {outcome: y}}",
            "X15",
            "`except` is a list",
        ),
        (
            "{each: {outcome: [y, z]}, except: [{controls: y}]}",
            "X22",
            "is not a path of this line's each",
        ),
        (
            "{each: {outcome: [y, z]}, except: [{outcome: y}, {outcome: z}]}",
            "X22",
            "strikes out every value",
        ),
    ],
)
def test_a_line_that_means_nothing(line, code, words, said):
    ((found, what),) = said(f"  h: {{line: {line}}}")
    assert found == code
    assert words in what


def test_a_fault_of_one_line_is_that_line_s(unfolded):
    found = unfolded("  h: {a: {add.controls: a}, b: {outcome: z}}")
    assert [p.code for p in found["h.a"].problems] == ["X21"]
    assert found["h.b"].problems == ()


def test_faults_of_the_study_come_at_once_with_their_places(study):
    with pytest.raises(EstimandError) as caught:
        study("  h:\n    a: {outcom: z}\n    b: {from: c}\n    a b: {}\n    d: 3")
    assert [(p.code, p.place.line) for p in caught.value.problems if p.place] == [
        ("X17", 16),
        ("X22", 17),
        ("X18", 18),
        ("X15", 19),
    ]


# -- from ------------------------------------------------------------------------------


def test_a_chain_of_from_adds_up(unfolded):
    found = unfolded(
        "  h: {c: {from: b, remove.controls: a}, a: {add.controls: c}, "
        "b: {from: a, outcome: z}}"
    )
    assert dict(found["h.c"].changed) == {
        "model.controls": ["b", "c"],
        "model.outcome": "z",
    }


def test_from_another_heading_and_from_one_value(unfolded):
    found = unfolded(
        "  g: {a: {each: {outcome: [y1, y2]}}}\n"
        "  h: {all: {from: g.a, controls: []}, one: {from: g.a.y2, controls: []}}"
    )
    assert list(found) == ["g.a.y1", "g.a.y2", "h.all.y1", "h.all.y2", "h.one"]
    assert found["h.one"].tree["model"]["outcome"] == "y2"
    assert found["h.all.y1"].tree["model"]["outcome"] == "y1"


def test_expect_is_not_inherited_and_draws_are(unfolded):
    found = unfolded(
        "  h: {a: {draws: {permute: treatment, times: 9}, expect: extreme}, b: {from: a}}"
    )
    assert found["h.b"].expect == ()
    assert found["h.b"].draws == {"permute": "treatment", "times": 9}


def test_a_circle_is_told_with_its_way(said):
    found = said("  h: {a: {from: b}, b: {from: c}, c: {from: a}}")
    assert ("X22", "`from` goes in a circle: h.a -> h.b -> h.c -> h.a") in found


def test_from_a_value_that_there_is_not(said):
    found = said("  h: {a: {each: {outcome: [y, z]}}, b: {from: h.a.x}}")
    assert found == [("X22", "from: 'h.a' has no value 'x'")]


def test_from_more_values_than_there_are(said):
    found = said("  h: {a: {}, b: {from: h.a.x}}")
    assert found == [("X22", "from: 'h.a.x' names more values than 'h.a' has")]


# -- each ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("each", "names"),
    [
        ("{outcome: [y1, y2]}", ["y1", "y2"]),
        ("{confidence: [0.9, 0.99]}", ["0.9", "0.99"]),
        ("{controls: {none: [], full: [a, c]}}", ["none", "full"]),
        ("{estimator: [twfe, ols]}", ["twfe", "ols"]),
        ("{add.controls: [c, d]}", ["c", "d"]),
        ("{add: {controls: [c, d]}}", ["c", "d"]),
        ("{remove.controls: every}", ["a", "b"]),
        ("{fixed_effects: every}", ["unit", "year"]),
        ("{spatial_weights: every}", ["near", "far"]),
        (
            "{outcome: [y1, y2], confidence: [0.9, 0.8]}",
            ["y1.0.9", "y1.0.8", "y2.0.9", "y2.0.8"],
        ),
        (
            "{data.steps.outliers: {none: null, one: {limits: [0.1, 0.9]}}}",
            ["none", "one"],
        ),
        (
            "{case: {one: {outcome: z, add.controls: c}, two: {estimator.leads: [1]}}}",
            ["one", "two"],
        ),
        ("{only.region: [east, 3]}", ["east", "3"]),
    ],
)
def test_values_are_names_in_the_address(each, names, unfolded):
    found = unfolded(f"  h: {{a: {{each: {each}}}}}")
    assert list(found) == [f"h.a.{name}" for name in names]
    assert not any(v.problems for v in found.values())
    assert len({repr(v.tree) for v in found.values()}) == len(names)


def test_a_value_of_a_list_field_is_a_list_of_one(unfolded):
    found = unfolded("  h: {a: {each: {fixed_effects: every}}}")
    assert found["h.a.year"].tree["model"]["fixed_effects"] == ["year"]


def test_a_case_ties_changes_together(unfolded):
    found = unfolded("  h: {a: {each: {case: {one: {outcome: z, add.controls: c}}}}}")
    assert dict(found["h.a.one"].changed) == {
        "model.outcome": "z",
        "model.controls": ["a", "b", "c"],
    }


def test_except_strikes_out_cells(unfolded):
    found = unfolded(
        "  h: {a: {each: {outcome: [y1, y2], estimator: [twfe, ols]}, "
        "except: [{outcome: y2, estimator: ols}]}}"
    )
    assert list(found) == ["h.a.y1.twfe", "h.a.y1.ols", "h.a.y2.twfe"]


def test_what_a_from_line_strikes_out_stays_out_of_the_grid_that_is_left(unfolded):
    grid = (
        "  h: {a: {each: {outcome: [y1, y2], estimator: [twfe, ols]}, "
        "except: [{outcome: y2, estimator: ols}]}, b: {from: %s, confidence: 0.9}}"
    )
    fixed = [a for a in unfolded(grid % "h.a.y2") if a.startswith("h.b")]
    assert fixed == ["h.b.twfe"]
    other = [a for a in unfolded(grid % "h.a.y1") if a.startswith("h.b")]
    assert other == ["h.b.twfe", "h.b.ols"]


def test_a_line_may_set_what_its_from_line_struck_out_by(unfolded):
    found = unfolded(
        "  h: {a: {each: {outcome: [y1, y2], estimator: [twfe, ols]}, "
        "except: [{outcome: y2, estimator: ols}]}, b: {from: a, outcome: y3}}"
    )
    assert [a for a in found if a.startswith("h.b")] == ["h.b.twfe", "h.b.ols"]


def test_what_a_from_line_leaves_out_stays_out(unfolded):
    found = unfolded(
        "  h: {a: {without: {region: north}}, "
        "b: {from: a, each: {without.region: [south, north]}}}"
    )
    kept = {a: v.tree["model"]["sample"]["without_region"] for a, v in found.items()}
    assert kept["h.a"]["values"] == "north"
    assert kept["h.b.south"]["values"] == ["north", "south"]
    assert kept["h.b.north"]["values"] == ["north"]


@pytest.mark.parametrize(
    "change",
    [
        "data.steps.outlier: null",
        "data: {steps: {outlier: null}}",
        "sample.early: null",
        "data.spatial_weights.farr: null",
    ],
)
def test_taking_away_what_is_not_there_is_said(change, said):
    ((code, what),) = said(f"  h: {{a: {{{change}}}}}")
    assert code == "X17"
    assert "to take away" in what


def test_none_among_values_is_the_study_without_it(unfolded):
    found = unfolded("  h: {a: {each: {sample.early: {all: null, some: year < 2009}}}}")
    assert "sample" not in found["h.a.all"].tree["model"]
    assert found["h.a.some"].problems == ()


def test_every_value_of_a_column_comes_from_the_data(unfolded):
    checks = "  h: {a: {each: {without.region: every}}}"
    assert list(unfolded(checks)) == [f"h.a.{EVERY_VALUE}"]
    asked = []

    def levels(tree, column):
        asked.append(column)
        return ("east", 7)

    found = unfolded(checks, levels=levels)
    assert list(found) == ["h.a.east", "h.a.7"]
    assert asked == ["region"]
    sample = found["h.a.7"].tree["model"]["sample"]["without_region"]
    assert sample == {"name": "without", "column": "region", "values": 7}


def test_two_values_of_one_name(said):
    checks = "  h: {a: {each: {without.region: every}}}"
    found = said(checks, levels=lambda tree, column: ("1", 1))
    assert found == [("X22", "two estimations have the address 'h.a.1'")]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("y", "y"),
        (1, "1"),
        (0.05, "0.05"),
        (True, "true"),
        (None, "none"),
        ([], "none"),
        (["a", "b"], "a+b"),
        ({"log": "x"}, "log_x"),
    ],
)
def test_names_of_values(value, name):
    assert value_name(value) == name


# -- each in the model -----------------------------------------------------------------

OUTCOMES = HEAD + "  each: {outcome: [y1, y2]}\n"


def test_each_in_the_model_repeats_every_line(unfolded):
    found = unfolded("  h: {a: {}, b: {each: {add.controls: [c, d]}}}", OUTCOMES)
    assert list(found) == [
        "h.a.y1",
        "h.a.y2",
        "h.b.c.y1",
        "h.b.c.y2",
        "h.b.d.y1",
        "h.b.d.y2",
    ]


@pytest.mark.parametrize("line", ["{outcome: z}", "{each: {outcome: [z]}}"])
def test_a_line_s_own_word_on_that_path_wins(line, unfolded):
    found = unfolded(f"  h: {{a: {line}}}", OUTCOMES)
    assert [v.tree["model"]["outcome"] for v in found.values()] == ["z"]


def test_each_line_compares_with_the_model_of_its_own_outcome(unfolded):
    found = unfolded("  h: {a: {controls: [], expect: same_sign}}", OUTCOMES)
    against = {v.address: v.against for v in found.values() if v.heading != MODEL}
    assert against == {"h.a.y1": "model.y1", "h.a.y2": "model.y2"}
    assert found["model.y2"].tree["model"]["outcome"] == "y2"


def test_a_line_s_own_rows_win_over_a_split_of_the_whole_study(unfolded):
    head = HEAD + "  each: {only.region: [north, south]}\n"
    found = unfolded("  h: {a: {}, b: {only: {region: east}}}", head)
    assert list(found) == ["h.a.north", "h.a.south", "h.b"]
    held = found["h.b"].tree["model"]["sample"]["only_region"]
    assert held["values"] == "east"


@pytest.mark.parametrize("values", ["{a: y1, b: y2}", "[0.5, 0.9]"])
def test_values_of_one_name_in_line_and_study_compare_with_their_own_model(
    values, unfolded
):
    path = "outcome" if ":" in values else "confidence"
    head = HEAD + f"  each: {{{path}: {values}}}\n"
    line = "each: {controls: {a: [], b: [c]}}, expect: same_sign"
    found = unfolded(f"  h: {{a: {{{line}}}}}", head)
    for variation in [v for v in found.values() if v.heading != MODEL]:
        base = found[variation.against].tree["model"]
        assert base["controls"] == ["a", "b"]
        assert base[path] == variation.tree["model"][path]


# -- what expectations compare with ----------------------------------------------------


def test_a_line_compares_with_the_line_that_is_the_model(unfolded):
    found = unfolded("  g: {plain: {}}\n  h: {a: {controls: [], expect: same_sign}}")
    assert found["h.a"].against == "g.plain"
    assert list(found) == ["g.plain", "h.a"]


def test_where_no_line_is_the_model_it_is_added_unseen(unfolded):
    found = unfolded("  h: {a: {controls: [], expect: same_sign}}")
    assert found["h.a"].against == MODEL
    assert found[MODEL].changed == {}
    assert list(unfolded("  h: {a: {controls: []}}")) == ["h.a"]


def test_a_line_with_from_compares_with_where_it_starts(unfolded):
    found = unfolded(
        "  h: {plain: {}, b: {outcome: z}, c: {from: b, controls: [], expect: same_sign}}"
    )
    assert found["h.c"].against == "h.b"


def test_values_compare_with_the_same_value_of_where_they_start(unfolded):
    found = unfolded(
        "  h: {b: {each: {outcome: [y1, y2]}}, "
        "c: {from: b, each: {confidence: [0.9, 0.8]}, expect: same_sign}}"
    )
    assert found["h.c.y2.0.8"].against == "h.b.y2"


# -- from the command line -------------------------------------------------------------


def test_an_override_changes_the_model_under_every_line(study):
    override = Override("model.inference.cluster", "state", "text", 1)
    first, second = unfold(study("  h: {a: {}, b: {outcome: z}}", overrides=[override]))
    assert first.tree["model"]["inference"] == {"name": "cluster", "by": "state"}
    assert second.tree["model"]["inference"] == {"name": "cluster", "by": "state"}


def test_a_sweep_is_one_more_line(study):
    values = Values("model.outcome", (("y1", "y1"), ("y2", "y2")), Origin())
    opened = with_line(replace(study(""), checks={}), sweep_line(values))
    assert [v.address for v in unfold(opened)] == ["sweep.grid.y1", "sweep.grid.y2"]


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        (["h"], ["h.a.y1", "h.a.y2", "h.b"]),
        (["h.a.y2"], ["h.a.y2"]),
        (["h.b"], ["g.plain", "h.b"]),
        (["g", "h.a.y1"], ["g.plain", "h.a.y1"]),
    ],
)
def test_only_what_is_asked_for_and_what_it_compares_with(only, kept, unfolded):
    checks = (
        "  g: {plain: {}}\n"
        "  h: {a: {each: {outcome: [y1, y2]}}, b: {controls: [], expect: same_sign}}"
    )
    found = list(unfolded(checks, only=only))
    assert [a for a in found if a in kept] == kept
    assert set(found) - set(kept) <= {"g.plain"}


def test_only_nothing_is_said(study):
    with pytest.raises(SpecError, match="--only: nothing at") as caught:
        unfold(study("  h: {a: {}}"), only=["h.z"])
    assert "'h.a'" in caught.value.problems[0].fix


# -- from another study ----------------------------------------------------------------


def test_a_study_takes_seed_data_model_and_labels_of_its_parents(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "study: a\nseed: 7\nlabels: {y: Why, d: Dee}\n"
        + HEAD.removeprefix("study: s\n")
        + "checks: {h: {a: {}}}\n"
    )
    (tmp_path / "b.yaml").write_text(
        "study: b\nfrom: a.yaml\nlabels: {y: Y}\nmodel: {controls: [c]}\n"
    )
    (tmp_path / "c.yaml").write_text(
        "study: c\nfrom: b.yaml\nmodel: {estimator: {leads: [1]}, treatment: {shift: 1}}\n"
    )
    found = open_study(tmp_path / "c.yaml")
    assert found.seed == 7
    assert found.labels == {"y": "Y", "d": "Dee"}
    assert list(found.checks) == ["estimate"]
    assert found.model.controls == ["c"]
    assert found.model.outcome == "y"
    assert found.model.estimator == {"name": "twfe", "leads": [1]}
    assert [name for name, _ in found.texts] == ["c.yaml", "b.yaml", "a.yaml"]


@pytest.mark.parametrize(
    ("parent", "words", "code"),
    [
        ("s.yaml", "comes back to itself", 2),
        ("nothing.yaml", "cannot read", 2),
        ("../../../x.yaml", "outside the study's project", 8),
        ("x.txt", "not a .yaml file", 2),
    ],
)
def test_a_parent_that_is_none(parent, words, code, tmp_path):
    (tmp_path / "s.yaml").write_text(HEAD + f"from: {parent}\n")
    with pytest.raises(EstimandError, match=words) as caught:
        open_study(tmp_path / "s.yaml")
    assert caught.value.exit_code == code
    assert [p.place.line for p in caught.value.problems if p.place] == [14]


def test_head_is_yaml():
    assert loads(HEAD).tree["study"] == "s"
