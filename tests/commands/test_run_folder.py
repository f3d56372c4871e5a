"""The contract of a run's folder, as a program that reads it finds it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from framework.cache import Store
from framework.commands.line import main
from framework.record import read_table
from tests.build_panel import staggered
from tests.real_command import whole

#: Comments, umlauts, trailing blanks and Windows line ends are the user's.
SPEC = """\
# Ünïcode, a tab in a comment\t, and blanks at the end:   \r
study: laws
title: "Laws & <homicide>"
seed: 20
data:
  source: data.csv
  panel: {unit: unit, time: time}
  columns:
    y: {label: Outcome of laws}
  steps:
    weights: {log: {columns: {ln_w: w}}}
    scaled:  {standardize: {columns: {z2: x2}}}
    late:    {keep: time >= 2001}
model:
  outcome: y
  treatment: d
  controls: [ln_w, z2]
  fixed_effects: [unit, time]
  inference: {cluster: unit}
  estimator: twfe
checks:
  main:
    plain:    {expect: positive}
    controls: {each: {add.controls: [x1]}, expect: same_sign}
    nothing:  {treatment: flat}
  dynamics:
    events:   {estimator: {event_study: {window: [-3, 2]}}, expect: negative}
  placebo:
    timing:   {draws: {permute: treatment, times: 30}}
"""
COEFFICIENTS = [
    "heading",
    "check",
    "value",
    "estimator",
    "outcome",
    "equation",
    "estimand",
    "term",
    "estimate",
    "std_error",
    "statistic",
    "p_value",
    "conf_low",
    "conf_high",
]
SCALARS = ["heading", "check", "value", "name", "number"]
TESTS = [
    "heading",
    "check",
    "value",
    "name",
    "null",
    "statistic",
    "df",
    "p_value",
    "reason",
]
ADDRESSES = [
    ("main", "plain", ""),
    ("main", "controls", "x1"),
    ("dynamics", "events", ""),
    ("placebo", "timing", ""),
]
PARTS = {
    "spec.yaml",
    "manifest.json",
    "coefficients.csv",
    "scalars.csv",
    "tests.csv",
    "panel.parquet",
    "plan.json",
    "frames",
    "tables",
    "figures",
    "report.html",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder in which the study above has run, with its full report."""
    folder = tmp_path_factory.mktemp("contract")
    staggered(seed=3).assign(flat=1.0).to_csv(folder / "data.csv", index=False)
    (folder / "study.yaml").write_bytes(SPEC.encode())
    before = Path.cwd()
    os.chdir(folder)
    try:
        settings = ["executor=inline", "tracking=none"]
        # One line is refused: its treatment never varies.
        assert main(["run", "study.yaml", *settings, "model.confidence=0.9"]) == 9
        yield folder
    finally:
        os.chdir(before)


@pytest.fixture
def run(home: Path) -> Path:
    return (home / "runs" / "laws" / "latest").resolve(strict=True)


@pytest.fixture
def manifest(run: Path) -> dict[str, Any]:
    return json.loads((run / "manifest.json").read_text(encoding="utf-8"))


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def test_every_part_is_there_and_nothing_else(run: Path):
    assert {path.name for path in run.iterdir()} == PARTS
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", run.name)
    assert {p.name for p in run.parent.iterdir()} == {run.name, "latest", ".lock"}
    whole(run)


def test_latest_is_a_relative_link_that_survives_a_move(home: Path, run: Path):
    latest = home / "runs" / "laws" / "latest"
    assert latest.readlink() == Path(run.name)


def test_the_study_is_kept_byte_for_byte(run: Path):
    assert (run / "spec.yaml").read_bytes() == SPEC.encode()


def test_coefficients_have_their_columns_in_order(run: Path):
    head, *body = rows(run / "coefficients.csv")
    assert head[: len(COEFFICIENTS)] == COEFFICIENTS
    assert "event_time" in head[len(COEFFICIENTS) :]
    assert len(set(head)) == len(head)
    # In the order of the study, the judged row of an estimation first.
    assert list(dict.fromkeys(tuple(row[:3]) for row in body)) == ADDRESSES
    first = body[0]
    assert first[3:8] == ["twfe", "y", "main", "att", "d"]
    assert [row[7] for row in body[:3]] == ["d", "ln_w", "z2"]


def test_scalars_and_tests_have_their_columns_in_order(run: Path):
    head, *scalars = rows(run / "scalars.csv")
    assert head == SCALARS
    assert list(dict.fromkeys(tuple(row[:3]) for row in scalars)) == ADDRESSES
    plain = {row[3]: float(row[4]) for row in scalars if row[1] == "plain"}
    assert (plain["n_obs"], plain["n_units"], plain["n_clusters"]) == (280, 40, 40)
    head, *tests = rows(run / "tests.csv")
    assert head == TESTS
    joint = next(row for row in tests if row[1] == "events")
    assert joint[4]
    assert 0 <= float(joint[7]) <= 1
    # A p-value or the reason why there is none, never both and never neither.
    assert all(bool(row[7]) != bool(row[8]) for row in tests)


def test_numbers_are_those_of_the_estimation_to_the_last_bit(
    run: Path, home: Path, manifest: dict[str, Any]
):
    written = read_table(run / "coefficients.csv")
    store = Store(home / "runs")
    compared = 0
    for column in manifest["columns"]:
        if column["status"] != "done":
            continue
        cell = store.load(column["fingerprint"])
        assert cell is not None
        ours = written[
            (written.heading == column["heading"])
            & (written.check == column["line"])
            & (written.value == column["value"])
        ]
        for name in COEFFICIENTS[8:]:
            np.testing.assert_array_equal(ours[name], cell.result.coefficients[name])
            compared += len(ours)
    assert compared > 60


def test_the_columns_mean_what_their_names_say(run: Path):
    t = read_table(run / "coefficients.csv")
    t = t[(t.check == "plain") & (t.term == "d")].iloc[0]
    assert t.statistic == pytest.approx(t.estimate / t.std_error, rel=1e-14)
    # t with one degree of freedom less than clusters; confidence is the override's.
    assert t.p_value == pytest.approx(2 * stats.t.sf(abs(t.statistic), 39), rel=1e-9)
    half = stats.t.ppf(0.95, 39) * t.std_error
    assert t.conf_low == pytest.approx(t.estimate - half, rel=1e-9)
    assert t.conf_high == pytest.approx(t.estimate + half, rel=1e-9)


def test_the_panel_has_every_column_the_study_built(run: Path, home: Path):
    panel = pd.read_parquet(run / "panel.parquet")
    raw = pd.read_csv(home / "data.csv")
    assert set(panel.columns) == {*raw.columns, "ln_w", "z2"}
    assert panel.time.min() == 2001
    kept = raw[raw.time >= 2001].sort_values(["unit", "time"]).reset_index(drop=True)
    assert list(panel.unit) == list(kept.unit)
    for name in ("y", "x1", "d", "w"):
        np.testing.assert_array_equal(panel[name], kept[name])
    # The same function of the same doubles.
    np.testing.assert_array_equal(panel.ln_w, np.log(kept.w))
    # Standardized before the early year is left out: the steps run in order.
    assert panel.z2.std() != pytest.approx(1, abs=1e-6)


def test_the_manifest_names_versions_hashes_and_seed(
    run: Path, home: Path, manifest: dict[str, Any]
):
    assert manifest["study"] == "laws"
    assert manifest["run_id"] == run.name
    assert manifest["title"] == "Laws & <homicide>"
    assert manifest["seed"] == 20
    assert manifest["overrides"] == ["model.confidence=0.9"]
    assert manifest["created"] <= manifest["finished"]
    assert {"python", "platform", "estimand", "pandas", "numpy", "pyfixest"} <= set(
        manifest["versions"]
    )
    assert set(manifest["hashes"]) == {"spec", "data", "code"}
    assert all(re.fullmatch("[0-9a-f]{64}", h) for h in manifest["hashes"].values())
    data = (home / "data.csv").read_bytes()
    assert manifest["data"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert (manifest["data"]["unit"], manifest["data"]["time"]) == ("unit", "time")
    assert manifest["labels"]["y"] == "Outcome of laws"
    assert manifest["report"] == {}


def test_the_manifest_has_the_ledger_of_every_step(manifest: dict[str, Any]):
    lines = manifest["data"]["ledger"]
    assert lines[0]["rows_out"] == 320
    assert lines[-1]["rows_out"] == manifest["data"]["rows"] == 280
    by_name = {line["name"]: line for line in lines}
    assert by_name["late"]["rows_in"] == 320
    assert by_name["late"]["rows_out"] == 280
    assert by_name["weights"]["cells"] == 320
    done = next(c for c in manifest["columns"] if c["address"] == "main.plain")
    assert done["ledger"][-1]["rows_out"] == 280


def test_the_manifest_has_every_estimation_also_the_refused(manifest: dict[str, Any]):
    found = {c["address"]: c for c in manifest["columns"]}
    assert list(found) == [
        "main.plain",
        "main.controls.x1",
        "main.nothing",
        "dynamics.events",
        "placebo.timing",
    ]
    refused = found["main.nothing"]
    assert refused["status"] in {"refused", "failed"}
    assert refused["problems"][0]["code"]
    assert refused["problems"][0]["what"]
    plain = found["main.plain"]
    assert plain["formula"] == "y ~ d + ln_w + z2 | unit + time"
    assert plain["confidence"] == 0.9
    assert plain["verdicts"][0]["expectation"] == "positive"
    assert plain["verdicts"][0]["status"] == "holds"
    assert found["placebo.timing"]["draws"]["times"] == 30


def test_verdicts_are_counted(manifest: dict[str, Any]):
    listed = [v["status"] for c in manifest["columns"] for v in c["verdicts"]]
    assert len(listed) == 3
    counted = {status: listed.count(status) for status in manifest["verdicts"]}
    assert counted == manifest["verdicts"]


def test_every_frame_that_is_named_is_there(run: Path, manifest: dict[str, Any]):
    named = {
        path
        for column in manifest["columns"]
        for path in column.get("frames", {}).values()
    } | set(manifest["data"]["frames"].values())
    there = {str(p.relative_to(run)) for p in (run / "frames").iterdir()}
    assert named == there
    draws = read_table(run / "frames" / "placebo.timing.draws.csv")
    assert len(draws) == 30


def test_tables_and_figures_of_every_heading(run: Path):
    tables = {p.name for p in (run / "tables").iterdir()}
    for heading in ("main", "dynamics", "placebo"):
        assert {
            f"{heading}.{f}" for f in ("tex", "docx", "html", "md", "csv")
        } <= tables
    for name in ("main", "dynamics"):
        png = (run / "figures" / f"{name}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
        pdf = (run / "figures" / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF")


def test_the_report_needs_no_other_file_and_no_network(run: Path):
    page = (run / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)[^"']+""", page)
    assert not re.findall(r"url\((?!['\"]?data:)", page)
    assert "<script" not in page
    # Verdicts, ledger, versions, the study itself; what a user wrote is never markup.
    for text in ("Laws &amp; &lt;homicide&gt;", "pyfixest", "late", "positive", "Ünïc"):
        assert text in page
    assert "<homicide>" not in page
    # The page is drawn before the folder has its name.
    assert f"estimand report {run.parent.name}/{run.name} " in page
