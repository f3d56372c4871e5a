"""Faults that used to hide behind others, or pass `validate`, are said at once."""

from __future__ import annotations

import re

import pytest

from framework.commands import printing
from framework.commands.line import main
from tests.commands.conftest import Lab

HEAD = """\
study: faults
data:
  source: data.csv
  panel: {unit: unit, time: time}
model:
  outcome: y
  treatment: d
  fixed_effects: [unit, time]
  inference: {cluster: unit}
  estimator: twfe
"""


@pytest.fixture
def validated(lab: Lab):
    """stderr of `validate` of a text, which must be refused by it and by `run` alike."""

    def validate(text: str, code: int = 2) -> str:
        if not (lab.folder / "data.csv").exists():
            lab.data(lab.frame())
        lab.study(text)
        assert main(["validate", "study.yaml"]) == code
        said = lab.capture.readouterr().err
        ran = lab.refused()
        assert ran.exit == code
        assert set(told(said)) <= set(told(ran.err)), ran.err
        return said

    return validate


def told(err: str) -> list[str]:
    """Place and code of every problem."""
    return re.findall(
        r"^(study\.yaml:\d+|\w+\.yaml:\d+).*\(([A-Z]\d\d)\)$", err, re.MULTILINE
    )


# -- a circle --------------------------------------------------------------------------


def test_a_circle_is_told_beside_other_faults(validated):
    err = validated(
        HEAD.replace("outcome: y", "outcom: y")
        + "checks:\n  h:\n    a: {from: b}\n    b: {from: a}\n    c: {from: nowhere}\n"
    )
    assert "`from` goes in a circle: h.a -> h.b -> h.a (X22)" in err
    assert "no line 'nowhere'" in err
    assert "unknown key 'outcom'" in err
    assert "study.yaml:13:" in err


def test_two_circles_are_two_problems_and_a_way_into_one_is_none(validated):
    err = validated(
        HEAD + "checks:\n  h: {a: {from: b}, b: {from: a}, into: {from: a}}\n"
        "  g: {x: {from: x}, deep: {from: h.into}}\n"
    )
    circles = re.findall(r"in a circle: (.*) \(X22\)", err)
    assert circles == ["h.a -> h.b -> h.a", "g.x -> g.x"]


# -- a file that the study starts from -------------------------------------------------


@pytest.mark.parametrize(
    ("parent", "words"),
    [
        (None, "parent.yaml"),
        ("study: parent\nmodel: [1\n", "parent.yaml"),
        ("study: parent\nmodel: {controls: [a], controls: [b]}\n", "controls"),
    ],
)
def test_a_failed_parent_is_the_only_problem(lab, validated, parent, words):
    if parent is not None:
        (lab.folder / "parent.yaml").write_text(parent, encoding="utf-8")
    lab.study(
        "study: child\nfrom: parent.yaml\nmodel: {estimator: {leads: [1]}, controls: [z]}\n"
        "data: {steps: {outliers: null}}\nchecks: {main: {plain: {}}}\n"
    )
    assert main(["validate", "study.yaml"]) != 0
    err = lab.capture.readouterr().err
    assert words in err
    for follow_on in ("is missing", "the study has no", "no step", "no estimator"):
        assert follow_on not in err


def test_the_child_s_own_faults_are_told_beside_it(lab):
    lab.study(
        "study: child\nfrom: gone.yaml\nmodel: {outcom: y}\n"
        "checks: {main: {plain: {outcme: z}}}\n"
    )
    assert main(["validate", "study.yaml"]) == 2
    err = lab.capture.readouterr().err
    assert "gone.yaml" in err
    assert "unknown key 'outcom'" in err
    assert "unknown key 'outcme'" in err
    assert "3 problems." in err


# -- what stands beside the checks -----------------------------------------------------


@pytest.mark.parametrize(
    ("written", "line", "said"),
    [
        ("report: {main: {titel: Effects}}", 12, "unknown key 'titel' in report"),
        ("report: {main: {baseline: frist}}", 12, "did you mean 'first'"),
        ("report: {main: {rows: d}}", 12, "rows is a list of terms, got 'd'"),
        ("report: {main: {title: 3}}", 12, "a title is text, got 3"),
        (
            "report: {main: last}",
            12,
            "report.main is a mapping of title, rows, baseline",
        ),
        ("report: {main.plain: {title: A}}", 12, "'main.plain' is no heading"),
        ("report: {mian: {title: A}}", 12, "no heading 'mian'; did you mean 'main'?"),
        ("labels: {x3: Income}", 12, "no column 'x3'"),
        ("labels: {outcme: Income}", 12, "no column 'outcme'"),
        ('published: {mian: {plain: {d: "0.1"}}}', 12, "no heading 'mian'"),
        ('published: {main: {plian: {d: "0.1"}}}', 12, "no line 'main.plian'"),
        ('published: {main.plian: {d: "0.1"}}', 12, "no line 'main.plian'"),
        ("published: [0.1]", 12, "`published` mirrors checks"),
        ("published: {main: {plain: {d: 0.1140}}}", 12, "is not in quotes"),
        ('published: {main: {plain: {d: "0,114*"}}}', 12, "is not a number as a table"),
    ],
)
def test_what_stands_beside_the_checks_is_validated(validated, written, line, said):
    err = validated(f"{HEAD}checks: {{main: {{plain: {{}}}}}}\n{written}\n")
    plain = re.sub(r"\s+", " ", err)
    first, _, rest = said.partition("; ")
    assert first in plain
    assert rest in plain
    assert f"study.yaml:{line}:" in err


def test_all_of_them_are_told_in_one_pass_with_a_wrong_column(validated):
    err = validated(
        HEAD.replace("outcome: y", "outcome: yy")
        + "checks: {main: {plain: {}}}\n"
        + "labels: {x3: Income}\nreport: {main: {baseline: frist}}\n"
    )
    # What can't be opened (the report's word) is told with what the header tells.
    assert "baseline is one of" in err


def test_labels_and_published_are_told_with_a_wrong_column(validated):
    err = validated(
        HEAD.replace("outcome: y", "outcome: yy")
        + "checks: {main: {plain: {}}}\nlabels: {x3: Income}\n"
        + "published: {main: {plain: {d: 0.114}}}\n"
    )
    assert "no column 'yy'" in err
    assert "no column 'x3'" in err
    assert "is not in quotes" in err


def test_faults_of_the_language_hide_no_column_and_no_value(validated):
    err = validated(
        HEAD.replace("outcome: y", "outcome: yy").replace(
            "twfe", "{twfe: {leads: foo}}\n  controls: [x1, x9]\n  confidence: 3"
        )
        + "checks:\n  h:\n    plain: {}\n    b: {controls: [qq]}\n    c: {outcom: y}\n"
        "    d: {each: {outcome: [y, zz]}}\n    e: {from: e}\n"
        "    f: {estimator: {event_study: {window: 5}}, inference: {cluster: tt}}\n"
    )
    for said in (
        "model.confidence: should be less than 1, got 3",
        "model.estimator.leads: should be a list",
        "unknown key 'outcom'",
        "in a circle: h.e -> h.e",
        "[h.f] model.estimator.window: should be a list",
        "model.outcome: no column 'yy'",
        "model.controls.1: no column 'x9'",
        "[h.b] model.controls.0: no column 'qq'",
        "[h.d.zz] model.outcome: no column 'zz'",
        "[h.f] model.inference.by: no column 'tt'",
    ):
        assert said in err
    assert "10 problems." in err


def test_a_wrong_column_of_the_model_hides_none_of_a_line(validated):
    err = validated(
        HEAD.replace("outcome: y", "outcome: yy")
        + "checks: {h: {plain: {}, b: {controls: [qq]}}}\n"
    )
    assert err.count("no column 'yy'") == 1
    assert "[h.b] model.controls.0: no column 'qq'" in err


@pytest.mark.parametrize(
    ("without", "estimator", "needed"),
    [
        ("treatment: d", "twfe", "treatment"),
        ("outcome: y", "twfe", "outcome"),
        ("controls", "iv_2sls", "instruments"),
    ],
)
def test_what_an_estimator_needs_is_missed_before_the_data_are_read(
    validated, without, estimator, needed
):
    head = "".join(s for s in HEAD.splitlines(True) if without not in s)
    err = validated(head.replace("twfe", estimator) + "checks: {h: {plain: {}}}\n")
    assert f"{estimator} needs model.{needed} (X20)" in err
    line = len(head.splitlines())
    assert f"study.yaml:{line}:14  [h.plain] model.estimator" in err
    assert f"Fix: write `{needed}: " in err


def test_what_is_missing_is_asked_for_where_the_line_needs_it(lab):
    lab.data(lab.frame())
    lab.study(
        HEAD + "checks:\n  h:\n    bins: {estimator: {binned_interaction: {bins: 3}}}\n"
        "    both:\n      each:\n        estimator:\n        - twfe\n        - iv_2sls\n"
        "    with: {from: bins, interact: x1}\n"
        "    less: {from: with, interact: null}\n"
    )
    assert main(["validate", "study.yaml"]) == 2
    err = lab.capture.readouterr().err
    asked = re.findall(r"^(study\.yaml:\d+:\d+)  (\[\S+\] \S+:)", err, re.MULTILINE)
    assert asked == [
        ("study.yaml:13:23", "[h.bins] model.estimator:"),
        ("study.yaml:18:11", "[h.both.iv_2sls] model.estimator:"),
        # The line that took it away, not the one that chose the estimator.
        ("study.yaml:20:34", "[h.less] model.interact:"),
    ]
    assert "Fix: write `interact: column` in `model` or beside the estimator" in err
    assert "Fix: write `interact: column` here" in err


def test_a_key_that_the_model_lacks_is_missed_where_the_model_begins(validated):
    err = validated(HEAD.replace("  estimator: twfe\n", "") + "checks: {h: {a: {}}}\n")
    assert "study.yaml:5:1  model: 'estimator' is missing (X15)\n    model:\n" in err


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("two: {thrid: {d: '0.1'}}", "no column 'main.two.thrid'"),
        ("two: {d: '0.1'}", "no column 'main.two'"),
        ("plain: {first: {d: '0.1'}}", "no column 'main.plain.first'"),
        ("two: {first: {deep: {d: '0.1'}}}", "no column 'main.two.first.deep'"),
    ],
)
def test_a_printed_number_at_no_value_of_its_line_is_refused(validated, path, said):
    err = validated(
        HEAD
        + "checks: {main: {plain: {}, two: {each: {outcome: {first: y, second: x1}}}}}\n"
        f"published: {{main: {{{path}}}}}\n"
    )
    assert f"there is {said}" in err
    assert "study.yaml:12:" in err


def test_a_value_that_only_the_data_know_is_asked_for_with_them(lab):
    lab.data(lab.frame())
    lab.study(
        HEAD + "checks: {main: {by: {each: {only.region: every}}}}\n"
        "published: {main: {by: {r0: {d: '0.1'}, r99: {d: '0.1'}}}}\n"
    )
    assert main(["validate", "study.yaml"]) == 0
    refused = lab.refused()
    assert "there is no column 'main.by.r99'" in refused.err
    assert "'main.by.r0'" not in refused.err


def test_a_printed_name_that_there_is_not_is_told_and_never_differs(lab):
    lab.data(lab.frame())
    lab.study(
        HEAD + "checks: {main: {plain: {}}}\n"
        "published: {main: {plain: {n_obss: '320', rho: '1.0', d: '7.0', n_obs: '320'}}}\n"
    )
    assert main(["validate", "study.yaml"]) == 0
    out = " ".join(lab.capture.readouterr().out.split())
    assert "nothing is called 'n_obss' (main.plain); did you mean 'n_obs'" in out
    assert out.count("nothing is called") == 1  # an estimator might report `rho`
    ran = lab.run()
    told = {row["address"]: row for row in ran.manifest["published"]}
    for name in ("n_obss", "rho"):
        assert told[f"main.plain.{name}"]["agrees"] is None
        assert f"main.plain has no '{name}'" in told[f"main.plain.{name}"]["text"]
    assert told["main.plain.d"]["agrees"] is False
    assert told["main.plain.n_obs"]["agrees"] is True


def test_what_tables_hold_may_be_labelled(lab: Lab):
    lab.data(lab.frame())
    lab.study(
        HEAD.replace(
            "panel: {unit: unit, time: time}",
            "panel: {unit: unit, time: time}\n  steps: {lx: {log: {columns: {lx1: w}}}}",
        )
        + "checks: {main: {plain: {}, two: {each: {outcome: {first: y, second: x1}}}}}\n"
        "labels: {y: Outcome, lx1: Log weight, second: The other, att: Effect, "
        "twfe: Two-way, x1 × d: Product, n_obs: Rows}\n"
        "report: {main: {title: Effects, rows: [d], baseline: last}}\n"
        'published: {main: {plain: {d: "0.114* (0.05)"}, two: {first: {n_obs: "320"}}}}\n'
    )
    code = main(["validate", "study.yaml"])
    assert code == 0, lab.capture.readouterr().err


# -- a sweep ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "said", "place"),
    [
        (
            ["model.estimatr=twfe,ols"],
            "unknown key 'estimatr'",
            "override 1",
        ),
        (
            ["model.controls=[x1],[x2]", "model.estimator.leeds=[1],[2]"],
            "leeds",
            "override 2",
        ),
    ],
)
def test_a_misspelt_sweep_points_at_the_override(lab, typed, said, place):
    lab.data(lab.frame())
    lab.study(HEAD + "checks: {main: {plain: {}}}\n")
    settings = ["executor=inline", "tracking=none", "report=quick"]
    assert main(["sweep", "study.yaml", *typed, *settings]) == 2
    err = lab.capture.readouterr().err
    assert said in err
    assert place in err
    assert typed[-1] in err
    assert "study.yaml:1:" not in err


# -- lines that fit --------------------------------------------------------------------


def columns(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


@pytest.mark.parametrize(
    "text",
    [
        "城市土地绿色利用效率 ~ 人工智能试验区 + 经济发展水平 + 金融发展 | 城市 + 年份",
        "不含空格的一个很长的标签" * 12,
        "mixed 词 and words 与汉字 together, " * 8,
        "é" * 30 + " " + "ü" * 70,
    ],
)
def test_wide_characters_fit_the_terminal(monkeypatch, text):
    monkeypatch.setenv("COLUMNS", "80")
    lines = printing.wrapped(text, indent="      ", first="  line  ")
    assert len(lines) > 1
    assert max(columns(line) for line in lines) <= 80
    assert lines[0].startswith("  line  ")
    assert all(line.startswith("      ") for line in lines[1:])
    # Nothing is lost and nothing is added.
    kept = "".join(lines).replace("  line  ", "", 1).replace(" ", "")
    assert kept == text.replace(" ", "")


def test_words_of_letters_stay_whole_and_ascii_is_as_before(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert printing.wrapped("y ~ " + "a" * 60, "  ") == ["  y ~", "  " + "a" * 60]
    wide = printing.wrapped("产出 ~ " + "a" * 60, "  ")
    assert wide == ["  产出 ~", "  " + "a" * 60]
    assert printing.wrapped("", "  ") == []


def test_the_plan_of_a_study_with_chinese_columns_fits(lab: Lab, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = {
        "y": "城市土地绿色利用效率",
        "x1": "经济发展水平对数",
        "x2": "政府干预程度指标",
    }
    names |= {"w": "对外开放程度", "d": "人工智能创新试验区政策"}
    lab.data(lab.frame().rename(columns=names))
    text = HEAD.replace(": y", f": {names['y']}").replace(": d\n", f": {names['d']}\n")
    controls = ", ".join(names[c] for c in ("x1", "x2", "w"))
    text += f"checks: {{main: {{all: {{controls: [{controls}]}}}}}}\n"
    lab.study(text)
    assert main(["plan", "study.yaml", "executor=inline"]) == 0
    out = lab.capture.readouterr().out
    assert names["w"] in out.replace("\n", "").replace(" ", "")
    assert max(columns(line) for line in out.splitlines()) <= 80


@pytest.mark.parametrize("seed", ["abc", "-1", "1.5"])
def test_a_seed_that_was_typed_is_shown_where_it_was_typed(lab, seed):
    lab.data(lab.frame())
    lab.study(HEAD + "seed: 1\n")
    assert main(["run", "study.yaml", f"seed={seed}"]) == 2
    err = lab.capture.readouterr().err
    assert "override 1  seed: a seed is a whole number from 0" in err
    assert f"    seed={seed}\n" in err


# -- what was typed beside the study ---------------------------------------------------


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("executor=nope", "override 1  executor: no executor 'nope' (X01)"),
        ("exector=inline", "'exector' is neither of the study nor a setting (X17)"),
        ("executor.workers=abc", "should be a whole number, got 'abc' (X15)"),
        ("model.controls=[x1", "`]` is missing (X13)"),
        ("model.outcom=y", "unknown key 'outcom' (X17)"),
        ("model.estimand=att,acrt", "names several values (X22)"),
    ],
)
def test_a_wrong_setting_hides_no_fault_of_the_study(lab, verb, typed, said):
    lab.data(lab.frame())
    lab.study(
        HEAD.replace("outcome: y", "outcome: yy").replace(
            "twfe", "{twfe: {leads: foo}}"
        )
        + "checks: {h: {plain: {}}}\n"
    )
    assert main([verb, "study.yaml", typed]) == 2
    err = lab.capture.readouterr().err
    assert err.count(said) == 1
    assert err.count("no column 'yy'") == 1
    assert err.count("model.estimator.leads: should be a list") == 1
    assert "3 problems." in err


def test_wrong_settings_are_told_together(lab):
    lab.data(lab.frame())
    lab.study(HEAD + "checks: {h: {plain: {}}}\n")
    typed = ["executor=nope", "model.outcom=y", "tracking=nowhere", "model.seed=1"]
    assert main(["run", "study.yaml", *typed]) == 2
    err = lab.capture.readouterr().err
    told = re.findall(r"^override (\d)", err, re.MULTILINE)
    assert sorted(told) == ["1", "2", "3", "4"]
