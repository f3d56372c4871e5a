"""`compare --why`, `trace` and `diff`: why two numbers differ, and where one comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from framework.commands.line import main
from tests.commands.conftest import QUICK

STUDY = """\
study: {name}
seed: {seed}
data:
  source: data.csv
  panel: {{unit: unit, time: time}}
model:
  outcome: y
  treatment: {{column: d, kind: absorbing}}
  controls: {controls}
  fixed_effects: [unit, time]
  inference: {{cluster: unit}}
  estimator: twfe
{sample}checks:
  main:
    base: {{}}
    bare: {{controls: []}}
    late: {{sample: {{late: {{where: time >= 2003}}}}}}
    bare_late: {{controls: [], sample: {{late: {{where: time >= 2003}}}}}}
    logs: {{estimator: did2s}}
"""
#: A comparison, a multiverse and a table that is no estimate.
STUDY_OF_ALL = """\
study: all
data:
  source: data.csv
  panel: {unit: unit, time: time}
model:
  outcome: y
  treatment: {column: d, kind: absorbing}
  fixed_effects: [unit, time]
  inference: {cluster: unit}
  estimator: twfe
checks:
  main: {plain: {}, other: {controls: [x1], expect: same_sign}}
  many:
    grid:
      each:
        controls: {none: [], some: [x1, x2]}
        sample.late: {all: null, late: time >= 2003}
  facts: {table: {estimator: describe, controls: [x1]}}
"""
LATE = "  sample: {late: {where: time >= 2003}}\n"


def study(**change):
    held = {"name": "one", "seed": 1, "controls": "[x1, x2]", "sample": ""}
    return STUDY.format(**(held | change))


@pytest.fixture
def two(lab):
    """Two runs: the second without controls and on later years."""
    lab.data(lab.frame())
    for text in (study(), study(name="two", controls="[]", sample=LATE, seed=2)):
        (lab.folder / "study.yaml").write_text(text, "utf-8")
        assert lab.run("--quiet").exit == 0
    lab.capture.readouterr()
    return lab


def said(lab, *args):
    lab.capture.readouterr()
    code = main([*args, *(QUICK[:1] if args[0] == "compare" else ())])
    return code, lab.capture.readouterr()


def as_json(lab, *args):
    code, spoken = said(lab, *args, "--json")
    assert code == 0, spoken.err
    return json.loads(spoken.out)


def estimates(lab, name="one"):
    rows = pd.read_csv(lab.folder / f"runs/{name}/latest/coefficients.csv")
    return rows.groupby("check", sort=False).estimate.first()


def test_shares_are_the_averages_over_both_orders_of_the_runs_own_lines(two):
    b = estimates(two)
    [why] = as_json(two, "compare", "one:main.base", "one:main.bare_late")["why"]
    assert why["parts"] == ["sample", "controls"]
    split = why["split"]["estimate"]
    sample = ((b.late - b.base) + (b.bare_late - b.bare)) / 2
    controls = ((b.bare - b.base) + (b.bare_late - b.late)) / 2
    # The mixtures are the study's own lines, estimated once and read from the store.
    assert split["shares"]["sample"]["share"] == pytest.approx(sample, abs=1e-15)
    assert split["shares"]["controls"]["share"] == pytest.approx(controls, abs=1e-15)
    assert split["difference"] == b.bare_late - b.base
    assert min(abs(sample), abs(controls)) > 1e-4  # neither is trivially nothing
    assert why["split"]["n_obs"]["shares"]["controls"]["share"] == 0
    assert why["split"]["n_obs"]["shares"]["sample"]["share"] < 0


def test_two_runs_are_explained_and_what_they_share_is_not(two):
    whole = as_json(two, "compare", "one", "two", "--why")
    by_address = {why["a"].partition(":")[2]: why for why in whole["why"]}
    assert set(by_address) == {"main.base", "main.bare", "main.late", "main.logs"}
    assert by_address["main.late"]["parts"] == ["controls", "seed"]
    shares = by_address["main.base"]["split"]["estimate"]["shares"]
    assert shares["seed"] == {"share": 0, "low": 0, "high": 0}
    again = by_address["main.base"]["estimated_again_minus_record"]["estimate"]
    assert again == {"a": 0, "b": 0}


def test_the_estimator_is_a_part_and_the_words_fit_the_page(two):
    code, spoken = said(two, "compare", "one:main.base", "one:main.logs")
    assert code == 0
    assert "  estimator  " in spoken.out
    assert "One part differs" in spoken.out
    assert max(map(len, spoken.out.splitlines())) <= 80


def test_plain_compare_says_how_to_ask(two):
    assert "estimand compare one two --why" in said(two, "compare", "one", "two")[1].out


def test_a_data_file_that_changed_since_is_what_is_left(two):
    frame = pd.read_csv(two.folder / "data.csv")
    frame.loc[0, "y"] += 1
    frame.to_csv(two.folder / "data.csv", index=False)
    [why] = as_json(two, "compare", "one:main.base", "one:main.bare")["why"]
    again = why["estimated_again_minus_record"]["estimate"]
    assert again["a"] != 0
    assert again["b"] != 0
    _, spoken = said(two, "compare", "one:main.base", "one:main.bare")
    assert "data files than when it ran" in " ".join(spoken.out.split())


def test_what_cannot_be_mixed_is_said(two):
    """Without its data nothing can be estimated again, and the record still stands."""
    (two.folder / "data.csv").unlink()
    code, spoken = said(two, "compare", "one:main.base", "one:main.bare")
    assert code == 0
    assert "not split: A cannot be estimated here" in spoken.out


@pytest.mark.parametrize(
    ("args", "fix"),
    [
        (("compare", "one:main.bass", "one:main.bare"), "main.base"),
        (("compare", "one:main.base"), "2 to"),
        (("trace", "one:main.bass"), "main.base"),
        (("trace", "one"), "estimand trace one:main.base"),
        (("trace", "one", "many"), "0.0818"),
        (("trace", "one", "123.456"), "fewer digits"),
        (("diff", "one", "three"), "no run 'three'"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(two, args, fix):
    code, spoken = said(two, *args)
    assert code == 2
    assert fix in spoken.err
    assert "Traceback" not in spoken.err


def test_a_run_without_its_plan_says_so(two):
    (two.folder / "runs/one/latest/plan.json").unlink()
    code, spoken = said(two, "trace", "one:main.base")
    assert code == 6
    assert "plan.json" in spoken.err


# -- trace ----------------------------------------------------------------------------


def test_a_printed_number_leads_to_its_line_data_code_and_run(two):
    manifest = json.loads((two.folder / "runs/one/latest/manifest.json").read_text())
    number = estimates(two).bare_late
    [found] = as_json(two, "trace", "one", f"{number:.10f}***")
    assert found["address"] == "main.bare_late"
    assert [n["number"] for n in found["numbers"]] == [number]
    table = (two.folder / "runs/one/latest/coefficients.csv").read_text().splitlines()
    assert repr(float(number)) in table[found["numbers"][0]["line"] - 1]
    assert found["study"]["line"].startswith("bare_late:")
    line = int(found["study"]["written"].split(":")[1])
    assert "bare_late" in study().splitlines()[line - 1]
    assert found["data"]["sha256"] == manifest["data"]["sha256"]
    assert found["code"]["same_as_here"] is True
    assert found["run"]["id"] == manifest["run_id"]


def test_a_number_printed_twice_names_every_place(two):
    found = as_json(two, "trace", "one", f"{estimates(two).base:.3f}")
    assert "main.base" in [trace["address"] for trace in found]
    found = as_json(two, "trace", "one", "0.0")  # every p-value near 0 rounds to it
    assert len(found) > 1
    code, spoken = said(two, "trace", "one", "0.0")
    assert code == 0
    assert "what these round to" in spoken.out


def test_differences_multiverses_and_frames_are_found_where_tables_print_them(lab):
    frame = lab.frame()
    lab.data(frame)
    lab.study(STUDY_OF_ALL)
    ran = lab.run()
    assert ran.exit == 0, ran.err
    columns = {c["address"]: c for c in ran.manifest["columns"]}
    shift = columns["main.other"]["shift"]

    def found(number, places=8):
        return as_json(lab, "trace", "all", f"{number:.{places}f}")

    [difference] = found(shift["difference"])
    assert difference["address"] == "main.other"
    assert difference["numbers"][0]["what"] == "difference from main.plain"
    assert difference["numbers"][0]["file"] == "manifest.json"
    [summed] = ran.manifest["multiverses"]
    [held] = found(summed["median"])
    assert held["address"] == "many.grid"
    assert held["numbers"][0]["what"].startswith("median estimate over 4")
    assert held["study"]["line"].startswith("each:")
    assert held["model"]["formula"].startswith("4 specifications")
    [mean] = found(frame["x1"].mean())
    assert mean["address"] == "facts.table"
    assert "mean" in mean["numbers"][0]["what"]
    file = Path("runs/all/latest") / mean["numbers"][0]["file"]
    line = file.read_text().splitlines()[mean["numbers"][0]["line"] - 1]
    assert line.startswith("x1,")
    code, spoken = said(lab, "trace", "all", f"{summed['median']:.8f}")
    assert code == 0
    assert "manifest.json" in spoken.out


@pytest.mark.parametrize("sign", ["-", "−"])
def test_brackets_stars_signs_and_thousands_are_read(two, sign):
    from framework.commands.tracing import _Rounded

    assert _Rounded.read(f"{sign}1.39***").is_of(-1.3949)
    assert _Rounded.read("(0.0589)").is_of(0.05885)  # a tie rounds to either side
    assert not _Rounded.read("(0.0589)").is_of(0.058949999 + 1e-6)
    assert _Rounded.read("2,574").is_of(2574)
    assert _Rounded.read("1.2e-3").is_of(0.00124)
    assert not _Rounded.read("1.2e-3").is_of(0.00126)


# -- diff -----------------------------------------------------------------------------


def write(lab, name, text):
    (lab.folder / name).write_text(text, "utf-8")
    return name


def test_layout_makes_no_difference(two):
    one = write(two, "a.yaml", study())
    text = (
        study()
        .replace("  outcome: y\n", "")
        .replace("  estimator: twfe\n", "  # moved\n  outcome: y\n  estimator: twfe\n")
    )
    code, spoken = said(two, "diff", one, write(two, "b.yaml", text))
    assert code == 0, spoken.err
    assert "The same study" in spoken.out
    assert "The same study" in said(two, "diff", one, "one")[1].out


def test_a_change_of_the_model_is_said_once_and_not_at_every_line(two):
    one = write(two, "a.yaml", study())
    text = study(controls="[x1]").replace("bare_late", "bare_later")
    found = as_json(two, "diff", one, write(two, "b.yaml", text))
    assert found["study"] == {"model.controls": {"a": ["x1", "x2"], "b": ["x1"]}}
    assert found["changed"] == {}
    assert (found["only_a"], found["only_b"]) == (
        ["main.bare_late"], ["main.bare_later"])  # fmt: skip


def test_a_change_of_a_line_is_said_there(two):
    one = write(two, "a.yaml", study())
    text = study().replace("logs: {estimator: did2s}", "logs: {expect: positive}")
    found = as_json(two, "diff", one, write(two, "b.yaml", text))
    assert found["study"] == {}
    assert set(found["changed"]) == {"main.logs"}
    assert {"model.estimator.name", "expect"} <= set(found["changed"]["main.logs"])


def test_the_order_of_restrictions_is_a_difference(two):
    both = "  sample: {{a: {{where: {0}}}, b: {{where: {1}}}}}\n"
    first, second = "time >= 2001", "time <= 2006"
    one = study(sample=both.format(first, second))
    swapped = one.replace(
        both.format(first, second),
        "  sample: {b: {where: time <= 2006}, a: {where: time >= 2001}}\n",
    )
    found = as_json(
        two, "diff", write(two, "a.yaml", one), write(two, "b.yaml", swapped)
    )
    assert "model.sample (order)" in found["study"]
