"""A verdict that spillovers speak against is flagged wherever it is shown."""

from __future__ import annotations

import numpy as np

from tests.build_panel import staggered

CHECKS = {
    "baseline": {"both": {"expect": ["positive", "significant"]}, "plain": {}},
    "other": {"outcome": {"outcome": "z", "expect": "positive"}},
    "spill": {"report": {"estimator": "spillover_did", "spatial_weights": "near"}},
}
WEIGHTS = {"near": {"block": {"column": "village", "islands": "drop"}}}


def a_frame(spill: float, seed: int = 1):
    """Pairs of units; the second of a pair is treated through the first, if at all."""
    data = staggered(seed, units=120, errors=0.2)
    number = data.unit.str[1:].astype(int)
    data["village"] = "v" + (number // 2 + 100).astype(str)
    first = data.d.where(number % 2 == 0, 0.0)
    data["y"] += data.d.where(number % 2 == 0, 0.0) - data.d
    data["d"] = first
    mate = data.groupby(["village", "time"]).d.transform("sum") - data.d
    data["y"] += spill * mate
    return data.assign(z=np.random.default_rng(seed).normal(size=len(data)) + data.d)


def test_found_spillovers_are_said_in_the_terminal_the_tables_and_the_report(lab):
    lab.data(a_frame(0.8))
    lab.study(checks=CHECKS, data={"spatial_weights": WEIGHTS})
    done = lab.run(settings=("executor=inline", "tracking=none"))
    assert done.exit == 0, done.err
    out = " ".join(done.out.split())
    assert "baseline.both: positive — holds, flagged." in out
    assert (
        "⚑ flagged: baseline.both: spillovers are found (spill.report: p < 0.0001)"
        in out
    )
    assert "(donut) it is" in out
    columns = {c["address"]: c for c in done.manifest["columns"]}
    flag = columns["baseline.both"]["flag"]
    assert flag.startswith("spillovers are found")
    assert [v["flag"] for v in columns["baseline.both"]["verdicts"]] == [flag] * 2
    # Without an expectation the column is flagged in its table all the same.
    assert columns["baseline.plain"]["flag"] == flag
    assert columns["other.outcome"]["flag"] == columns["spill.report"]["flag"] == ""
    folder = next(lab.folder.glob("runs/fault/2*"))
    table = (folder / "tables" / "baseline.md").read_text(encoding="utf-8")
    assert "✓⚑" in table
    assert "flagged: spillovers are found" in table.casefold()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<b>2</b> verdicts flagged" in page
    assert "Flagged: baseline.both: spillovers are found" in page
    assert "holds, flagged" in page
    # What the donut says is what that column shows.
    rows = done.coefficients.set_index(["check", "equation", "term"])
    said = float(flag.split("it is ")[1].split(" ")[0])
    # Four digits are said.
    assert abs(said - rows.estimate["report", "donut", "d"]) < 1e-3


def test_without_spillovers_nothing_is_flagged(lab):
    lab.data(a_frame(0.0))
    lab.study(checks=CHECKS, data={"spatial_weights": WEIGHTS})
    done = lab.run()
    assert done.exit == 0, done.err
    assert "flagged" not in done.out
    assert {c["flag"] for c in done.manifest["columns"]} == {""}
