"""Faults of the text: YAML that means something else, code and foreign files.

A fault is a small panel and a study with one thing wrong, run by the real command. The
numbers in the names are rows of the project's table of faults.
"""

from __future__ import annotations

import os
import pickle
from typing import Any

import pytest

from tests.build_faults import STUDY, Faults, added, code, written
from tests.commands.conftest import Lab

fault = Faults()


# -- rows 69-72: YAML ------------------------------------------------------------------


@fault(2, "X02", "'outcome' given twice, lines 6 and 12", "keep one")
def row_69_key_twice(lab: Lab) -> None:
    added(lab, "  outcome: x1\n")


@fault(2, "X51", "no column 'no'")
def row_70_no_is_text(lab: Lab) -> None:
    written(lab, "outcome: y", "outcome: no")


@fault(2, "X02", "010 means different things", "plain decimal number")
def row_70_octal(lab: Lab) -> None:
    added(lab, "seed: 010\n")


@fault(2, "X15", "a whole number from 0, got '12:30:45'")
def row_70_base_sixty_is_text(lab: Lab) -> None:
    added(lab, "seed: 12:30:45\n")


@fault(2, "X15", "should be less than 1, got 10.0")
def row_70_a_power_of_ten_is_a_number(lab: Lab) -> None:
    added(lab, "  confidence: 1e1\n")


@fault(8, "X03 " * 9, "anchor &a", "alias *a", "Fix: write it out")
def row_71_alias_bomb(lab: Lab) -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n"
    lab.data(lab.frame())
    lab.study(bomb + STUDY)


@fault(8, "X03", "nesting deeper than 24")
def row_72_nested_brackets(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study("a: " + "[" * 100_000)


@fault(8, "X03 X03", "anchor &x", "alias *x")
def row_72_alias_of_itself(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study("labels: &x {a: *x}\n" + STUDY)


@fault(8, "X03", "a study has at most 524,288")
def row_72_half_a_megabyte(lab: Lab) -> None:
    added(lab, "# " + "x" * 600_000)


# -- rows 73-77: code and foreign files ------------------------------------------------


@fault(8, "X04", "is code and no column", "never run")
def row_73_code_for_a_control(lab: Lab) -> None:
    written(lab, "[x1]", code('["I(RUN)"]'))


@fault(8, "X04", "is code and no column")
def row_73_code_for_an_effect(lab: Lab) -> None:
    written(lab, "[unit, time]", code('[unit, "{RUN}"]'))


@fault(8, "X04", "of the condition", "looks like code")
def row_73_code_for_a_condition(lab: Lab) -> None:
    added(lab, code('  sample: {a: "x1 > RUN"}\n'))


@fault(8, "X04", "of the condition", "looks like code")
def row_73_a_pandas_query(lab: Lab) -> None:
    added(lab, "  sample: {a: \"@pd.io.common.os.system('touch canary')\"}\n")


@fault(8, "X04", "of the formula", "looks like code")
def row_73_code_for_a_derived_column(lab: Lab) -> None:
    written(lab, "model:", code('  steps: {z: {derive: "RUN"}}\nmodel:'))


@fault(8, "X04", "tag tag:yaml.org,2002:python/object/apply:os.system")
def row_73_a_yaml_tag(lab: Lab) -> None:
    added(lab, "  sample: !!python/object/apply:os.system ['touch canary']\n")


@fault(8, "X05", "`_target_` is refused", "registered plugin")
def row_74_hydra_target(lab: Lab) -> None:
    written(lab, ": twfe", ": {_target_: os.system, command: touch canary}")


@fault(2, "X01", "no estimator 'os.system'")
def row_74_a_module_for_an_estimator(lab: Lab) -> None:
    written(lab, ": twfe", ": os.system")


@fault(8, "X06", "interpolation")
def row_75_interpolation(lab: Lab) -> None:
    written(lab, "outcome: y", "outcome: ${oc.env:HOME}")


class Bomb:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch canary",)


@fault(8, "X07", "'data.pkl' is not a type of file", "run code")
def row_76_pickled_data(lab: Lab) -> None:
    lab.data(pickle.dumps(Bomb()), "data.pkl")
    lab.study(data={"source": "data.pkl"})


@fault(3, "D10", "not UTF-8")
def row_76_pickle_named_csv(lab: Lab) -> None:
    lab.data(pickle.dumps(Bomb()))
    lab.study()


@fault(3, "D18", "can't be read as .parquet")
def row_76_pickle_named_parquet(lab: Lab) -> None:
    lab.data(pickle.dumps(Bomb()), "data.parquet")
    lab.study(data={"source": "data.parquet"})


@fault(8, "X07", "'/etc/passwd' is not a type of file")
def row_77_passwords(lab: Lab) -> None:
    lab.study(data={"source": "/etc/passwd"})


@fault(8, "X08", "an absolute path", "private files")
def row_77_absolute_path(lab: Lab) -> None:
    lab.study(data={"source": "/etc/passwd.csv"})


@fault(8, "X08", "is a URL")
def row_77_file_url(lab: Lab) -> None:
    lab.study(data={"source": "file:///etc/passwd.csv"})


@fault(8, "X08", "is a URL")
def row_77_web_address(lab: Lab) -> None:
    lab.study(data={"source": "https://example.org/x.csv"})


@fault(8, "X08", "leads out of the project's folder")
def row_77_way_out(lab: Lab) -> None:
    lab.study(data={"source": "../../x.csv"})


@fault(8, "X08", "leads out of the project's folder")
def row_77_link_out(lab: Lab) -> None:
    outside = lab.folder.parent / f"{lab.folder.name}.csv"
    lab.frame().to_csv(outside, index=False)
    (lab.folder / "data.csv").symlink_to(outside)
    lab.study()


@fault(8, "X08", "outside the study's project")
def row_77_parent_outside(lab: Lab) -> None:
    lab.data(lab.frame())
    lab.study("from: ../../../etc/hosts.yaml\n" + STUDY)


@fault(8, "X08", "outside the study's project")
def row_77_published_outside(lab: Lab) -> None:
    added(lab, "published: ../../x.yaml\n")


@pytest.mark.parametrize("name", fault.found)
def test_a_fault_is_refused_by_name(name: str, lab: Lab) -> None:
    fault.found[name].refused(lab)
