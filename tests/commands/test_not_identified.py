"""A column without an answer that the study has announced is shown, not failed."""

from __future__ import annotations

import json

CHECKS = {
    "groups": {
        "line": {"each": {"interact.with": ["big", "half"]}},
        "alone": {"interact": {"with": "big", "main_effect": False}},
    }
}


def frame(lab):
    """`big` is 1 in every unit that is ever treated; `half` is not."""
    data = lab.frame()
    ever = data.groupby("unit").d.transform("max")
    some = data.unit.astype("category").cat.codes
    return data.assign(big=ever.where(ever > 0, some % 2), half=some % 2)


def test_without_the_name_it_is_a_failure(lab):
    lab.data(frame(lab))
    lab.study(checks=CHECKS)
    done = lab.run()
    assert done.exit == 9
    assert "I03" in done.codes
    assert "'d × big' equals 'd': 'big' is 1 in every treated row" in done.err
    assert "acknowledge: [not_identified]" in done.err


def test_with_it_the_column_says_why(lab):
    lab.data(frame(lab))
    lab.study(checks=CHECKS, model={"acknowledge": ["not_identified"]})
    done = lab.run()
    assert done.exit == 0, done.err
    assert "1 not identified as acknowledged" in done.out
    assert "not identified: 'd × big' equals 'd'" in " ".join(done.out.split())
    status = {c["address"]: c["status"] for c in done.manifest["columns"]}
    assert status["groups.line.big"] == "not_identified"
    assert status["groups.line.half"] == "done"
    said = {c["address"]: c["acknowledged"] for c in done.manifest["columns"]}
    assert said["groups.line.big"] == ["not_identified"]
    assert said["groups.line.half"] == []  # nothing was overridden there
    assert "Traceback" not in done.err
    again = lab.run()
    assert again.exit == 0, again.err
    assert "2 of 3 estimations (all from earlier runs)" in again.out
    assert json.dumps(done.manifest["columns"])


def test_the_product_alone_is_the_effect(lab):
    lab.data(frame(lab))
    lab.study(checks=CHECKS | {"main": {"plain": {}}}, model={"acknowledge": []})
    done = lab.run()
    rows = done.coefficients.groupby(["heading", "check"]).first()
    alone, plain = rows.loc[("groups", "alone")], rows.loc[("main", "plain")]
    assert alone.term == "d × big"
    # one regressor under two names
    assert abs(alone.estimate - plain.estimate) < 1e-12
    assert abs(alone.std_error - plain.std_error) < 1e-12
    assert "is the effect itself, not a difference of effects" in " ".join(
        done.out.split()
    )


def test_other_faults_are_failures_all_the_same(lab):
    lab.data(frame(lab))
    lines = {"main": {"plain": {}, "window": {"sample.late": "time > 3000"}}}
    lab.study(checks=lines, model={"acknowledge": ["not_identified"]})
    done = lab.run()
    assert done.exit == 9
    assert "D05" in done.codes
