"""The folder of a run: exact, stable, and whole or not there."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from framework.errors import StorageError
from framework.expect import Adjusted
from framework.record import (
    Column,
    check_output,
    copy_run,
    read_latest,
    read_table,
    storage,
    versions,
    write_run,
)
from framework.record.tables import COEFFICIENTS, SCALARS, TESTS, file_name
from framework.run_folders import run_folders
from tests.build_run import SPEC, build_cell, build_columns, build_estimation, build_run

FILES = {"spec.yaml", "manifest.json", "coefficients.csv", "scalars.csv", "tests.csv"}


def header(path):
    with path.open(encoding="utf-8", newline="") as handle:
        return tuple(next(csv.reader(handle)))


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def finished(runs):
    """Names a reader sees: no drafts, no locks."""
    return sorted(p.name for p in (runs / "laws").glob("[!.]*") if p.name != "latest")


def test_a_run_s_folder_holds_what_the_contract_says(tmp_path):
    folder = write_run(build_run(), tmp_path)
    assert folder.parent == tmp_path / "laws"
    assert folder.name.startswith("20260301T123005Z-")
    assert {p.name for p in folder.iterdir()} == FILES | {
        "panel.parquet",
        "plan.json",
        "frames",
        "sources",
    }
    assert (folder / "spec.yaml").read_text(encoding="utf-8") == SPEC
    assert (folder / "sources/parent.yaml").read_text() == "study: parent\n"
    assert (tmp_path / "laws" / "latest").resolve() == folder


def test_coefficients_read_back_bit_for_bit(tmp_path):
    folder = write_run(build_run(), tmp_path)
    names = ("heading", "check", "value", "term")
    table = read_table(folder / "coefficients.csv", text=names)
    assert tuple(table.columns) == COEFFICIENTS
    want = pd.concat(
        [build_cell(seed).result.coefficients for seed in (0, 1)], ignore_index=True
    )
    for name in ("estimate", "std_error", "statistic", "p_value", "conf_low"):
        pd.testing.assert_series_equal(table[name], want[name], check_exact=True)
    assert table["conf_high"].iloc[1] == math.inf
    # "NA" is a value of this study, a comma part of a term: neither is a missing cell.
    assert table["value"].tolist() == ["", "", "NA", "NA"]
    assert table["term"].tolist() == ["post", "income, log"] * 2
    assert table["outcome"].tolist() == ["Homicides"] * 4


def test_scalars_and_tests_have_their_columns_and_every_row(tmp_path):
    folder = write_run(build_run(), tmp_path)
    scalars = read_table(folder / "scalars.csv", text=("value",))
    assert tuple(scalars.columns) == SCALARS
    got = scalars[scalars["check"] == "plain"].set_index("name")["number"].to_dict()
    assert got == dict(build_cell().result.scalars)
    tests = read_table(folder / "tests.csv", text=("value", "reason"))
    assert tuple(tests.columns) == TESTS
    assert tests["p_value"].tolist()[0] == 2 / 7
    assert tests["reason"].tolist()[1] == "one period before"
    assert math.isnan(tests["p_value"].tolist()[1])


def test_a_run_without_a_number_has_all_headers_and_no_row(tmp_path):
    refused = tuple(c for c in build_columns() if not hasattr(c.outcome, "result"))
    folder = write_run(build_run(columns=refused), tmp_path)
    for name, columns in (
        ("coefficients", COEFFICIENTS),
        ("scalars", SCALARS),
        ("tests", TESTS),
    ):
        assert header(folder / f"{name}.csv") == columns
        assert len((folder / f"{name}.csv").read_text().splitlines()) == 1


def test_event_times_are_whole_numbers_also_beside_rows_without(tmp_path):
    rows = build_cell().result.coefficients.assign(
        event_time=[-1.0, float("nan")], cohort=[float("inf"), 2001.0], lot=["a", "b"]
    )
    cell = build_cell(result=replace(build_cell().result, coefficients=rows))
    columns = (Column(build_estimation(), cell), *build_columns()[1:])
    folder = write_run(build_run(columns=columns), tmp_path)
    assert header(folder / "coefficients.csv") == (*COEFFICIENTS, "lot")
    table = read_table(folder / "coefficients.csv", text=("event_time", "cohort"))
    assert table["event_time"].tolist() == ["-1", "", "", ""]
    assert table["cohort"].tolist() == ["inf", "2001", "", ""]


def test_the_panel_reads_back_exactly(tmp_path):
    folder = write_run(build_run(), tmp_path)
    panel = pd.read_parquet(folder / "panel.parquet")
    pd.testing.assert_frame_equal(panel, build_run().panel.frame, check_exact=True)


def test_a_column_of_mixed_types_is_stored_as_text_and_said(tmp_path):
    inputs = build_run()
    frame = inputs.panel.frame.assign(first=pd.Series([2001, "never"], dtype=object))
    panel = replace(inputs.panel, frame=frame)
    folder = write_run(replace(inputs, panels={inputs.base: panel}), tmp_path)
    stored = pd.read_parquet(folder / "panel.parquet")["first"].tolist()
    assert stored == ["2001", "never"]
    notes = json.loads((folder / "manifest.json").read_text())["data"]["notes"]
    assert "column first holds values of several types" in notes[1]


def test_the_same_run_again_has_the_same_tables_and_another_name(tmp_path):
    first, second = (write_run(build_run(), tmp_path) for _ in range(2))
    assert first != second
    one, other = content(first), content(second)
    manifests = [json.loads(files.pop("manifest.json")) for files in (one, other)]
    assert one == other
    assert [m.pop("run_id") for m in manifests] == [first.name, second.name]
    assert manifests[0] == manifests[1]


def test_many_runs_of_one_second_never_share_a_folder(tmp_path):
    script = (
        "import sys; from pathlib import Path; from framework.record import write_run;"
        "from tests.build_run import build_run\n"
        "for _ in range(8): print(write_run(build_run(), Path(sys.argv[1])).name)"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    names = [name for w in writers for name in w.communicate()[0].split()]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(names) == 16
    assert sorted(set(names)) == finished(tmp_path)
    assert max(Counter(names).values()) == 1


def test_the_manifest_says_what_the_contract_lists(tmp_path):
    folder = write_run(build_run(generated="The data are simulated."), tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["run_id"] == folder.name
    assert manifest["created"] == "2026-03-01T12:30:05.000+00:00"
    assert manifest["generated"] == "The data are simulated."
    assert manifest["verdicts"] == {"holds": 2, "fails": 1, "cannot be judged": 0}
    assert set(manifest["hashes"]) == {"spec", "data", "code"}
    assert manifest["data"]["rows"] == 2
    assert manifest["data"]["ledger"][0]["name"] == "laws.csv"
    columns = {column["address"]: column for column in manifest["columns"]}
    assert {a: c["status"] for a, c in columns.items()} == {
        "baseline.plain": "done",
        "controls.add.NA": "done",
        "controls.none": "failed",
        "placebo.states": "refused",
        "modern.cs": "not_built",
    }
    plain = columns["baseline.plain"]
    assert plain["estimand"] == "att"
    assert plain["judged"] == {"estimand": "att", "term": "post", "index": {}}
    assert plain["fixed_effects"] == ["State", "Year"]
    assert plain["inference"] == "clustered by sid"
    assert plain["notes"] == ["a note of the engine", "a note of the design"]
    assert plain["plots"][0]["options"] == {"zero": True}
    assert columns["controls.none"]["problems"][0]["code"] == "I01"
    assert columns["controls.none"]["outcome"] == "y"
    assert columns["modern.cs"]["problems"][0]["what"] == "needs estimator callaway"
    assert columns["modern.cs"]["inference"] == "cluster sid"
    frames = [*plain["frames"].values(), *columns["controls.add.NA"]["frames"].values()]
    assert len(set(frames)) == 3
    assert all((folder / path).is_file() for path in frames)
    assert columns["controls.add.NA"]["cached"] is True


def test_the_manifest_has_the_p_values_of_a_family(tmp_path):
    run = build_run()
    first, *others = run.columns
    adjusted = Adjusted(0.04, "Holm over 2 columns of baseline")
    columns = (replace(first, adjusted=adjusted), *others)
    folder = write_run(replace(run, columns=columns), tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["columns"][0]["adjusted"] == {
        "p_value": 0.04,
        "method": "Holm over 2 columns of baseline",
        "reason": "",
    }
    assert manifest["columns"][1]["adjusted"] is None


def test_a_verdict_of_a_whole_line_counts_once(tmp_path):
    from framework.expect import Verdict

    verdict = Verdict("differ", "holds", "p = 0.01", of_line=True)
    columns = tuple(
        Column(build_estimation(f"regions.each.{v}"), build_cell(), verdicts=(verdict,))
        for v in ("east", "west")
    )
    folder = write_run(build_run(columns=columns), tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["verdicts"]["holds"] == 1


def test_what_was_estimated_only_to_compare_with_is_no_column(tmp_path):
    from framework.plan import MODEL

    hidden = Column(build_estimation(f"{MODEL}.model"), build_cell(5))
    inputs = build_run()
    with_hidden = replace(inputs, columns=(hidden, *inputs.columns))
    one, other = (content(write_run(i, tmp_path)) for i in (inputs, with_hidden))
    del one["manifest.json"], other["manifest.json"]
    assert one == other


def test_overrides_and_taken_in_files_are_part_of_the_hash(tmp_path):
    variants = (
        build_run(),
        build_run(overrides=()),
        build_run(sources={}),
        build_run(spec=SPEC + "#\n"),
    )
    hashes = {
        json.loads((write_run(v, tmp_path) / "manifest.json").read_text())["hashes"][
            "spec"
        ]
        for v in variants
    }
    assert len(hashes) == len(variants)


def test_frames_of_any_name_get_their_own_safe_file():
    pairs = [("a.b", "c"), ("a", "b.c"), ("a", "B"), ("a", "b"), ("a.绿色", "w")]
    pairs += [("a.../../x", "w"), ("a." + "x" * 300, "w"), ("a." + "x" * 301, "w")]
    names = [file_name(*pair) for pair in pairs]
    assert len({name.lower() for name in names}) == len(pairs)
    assert all(len(n) < 100 and "/" not in n and n[0] != "." for n in names)


def test_versions_name_python_ourselves_and_the_engines():
    found = versions()
    assert found["estimand"] == "0.1.0"
    assert {"python", "platform", "pandas", "mlflow"} <= set(found)
    assert "not installed" not in found.values()


class Killed(BaseException):
    """Stands for the end of the process: nothing after it runs on purpose."""


@pytest.mark.parametrize("call", ["mkdir", "open", "fsync", "rename", "replace"])
def test_killed_at_any_disk_call_a_name_is_whole_or_absent(tmp_path, monkeypatch, call):
    before = write_run(build_run(seed=1), tmp_path)
    whole = set(content(before))
    target = Path if call in {"mkdir", "open", "rename", "replace"} else os
    original, step, count = getattr(target, call), 0, 0
    # What a killed process leaves is left: nobody cleans up.
    monkeypatch.setattr("framework.record.folder.remove_quietly", lambda folder: None)
    while True:
        step, count = step + 1, 0

        def dying(*args, **options):
            nonlocal count
            count += 1
            if count == step:  # noqa: B023 - called within this very turn of the loop
                raise Killed
            return original(*args, **options)

        monkeypatch.setattr(target, call, dying)
        try:
            write_run(build_run(), tmp_path)
            died = False
        except Killed:
            died = True
        monkeypatch.setattr(target, call, original)
        for name in finished(tmp_path):
            assert set(content(tmp_path / "laws" / name)) == whole
        assert read_latest(tmp_path / "laws").name in finished(tmp_path)
        if not died:
            break
    assert step > 1, f"{call} is never used, so this test shows nothing"
    # The next run cleans up after the dead, and nothing but runs is left.
    write_run(build_run(), tmp_path)
    assert not list((tmp_path / "laws").glob(".*.draft"))


def test_kill_minus_nine_while_rendering_leaves_no_half_run(tmp_path):
    before = write_run(build_run(seed=1), tmp_path)
    script = (
        "import os, signal, sys; from pathlib import Path;"
        "from framework.record import write_run;"
        "from tests.build_run import build_run\n"
        "def die(folder):\n"
        "    (folder / 'tables').mkdir(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_run(build_run(), Path(sys.argv[1]), render=die)"
    )
    dead = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert dead.returncode == -signal.SIGKILL
    assert finished(tmp_path) == [before.name]
    assert read_latest(tmp_path / "laws") == before
    assert len(list((tmp_path / "laws").glob(".*.draft"))) == 1
    after = write_run(build_run(), tmp_path)
    assert not list((tmp_path / "laws").glob(".*.draft"))
    assert finished(tmp_path) == sorted([before.name, after.name])


def test_a_draft_of_a_living_writer_is_left_alone(tmp_path):
    inner = []

    def render(folder):
        (folder / "report.html").write_text("mine")
        if not inner:
            inner.append(write_run(build_run(seed=2), tmp_path))

    outer = write_run(build_run(), tmp_path, render=render)
    assert (outer / "report.html").read_text() == "mine"
    assert finished(tmp_path) == sorted([outer.name, inner[0].name])


def test_a_report_that_fails_loses_no_number(tmp_path):
    def render(folder):
        raise ValueError("no such font")

    with pytest.raises(ValueError, match="no such font"):
        write_run(build_run(), tmp_path, render=render)
    (name,) = finished(tmp_path)
    assert set(content(tmp_path / "laws" / name)) > FILES
    assert read_latest(tmp_path / "laws").name == name


@pytest.mark.parametrize("code", ["ENOSPC", "EROFS"])
def test_a_disk_that_refuses_is_said_and_nothing_earlier_is_touched(
    tmp_path, monkeypatch, code
):
    import errno

    before = write_run(build_run(), tmp_path)
    kept = content(before)
    number = getattr(errno, code)

    def full(handle):
        raise OSError(number, os.strerror(number), "panel.parquet")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError) as caught:
        write_run(build_run(seed=3), tmp_path)
    assert caught.value.exit_code == 6
    assert os.strerror(number) in str(caught.value)
    assert "no finished estimation is computed twice" in str(caught.value)
    assert content(before) == kept
    assert finished(tmp_path) == [before.name]
    assert not list((tmp_path / "laws").glob(".*.draft"))


def test_output_gets_the_same_folder(tmp_path):
    output = tmp_path / "elsewhere" / "out"
    folder = write_run(build_run(), tmp_path / "runs", output=output)
    assert content(output) == content(folder)
    again = write_run(build_run(seed=9), tmp_path / "runs", output=output)
    assert content(output) == content(again)
    assert [p.name for p in output.parent.iterdir()] == ["out"]


def test_output_may_be_an_empty_folder(tmp_path):
    (tmp_path / "out").mkdir()
    folder = write_run(build_run(), tmp_path / "runs", output=tmp_path / "out")
    assert content(tmp_path / "out") == content(folder)


def test_output_never_replaces_what_is_no_run(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    (tmp_path / "a_file").write_text("x")
    for target in (tmp_path / "thesis", tmp_path / "a_file"):
        with pytest.raises(StorageError, match="not a run's folder") as caught:
            write_run(build_run(), tmp_path / "runs", output=target)
        assert caught.value.exit_code == 6
    # Refused before anything was written, so the command can say so before it runs.
    assert not (tmp_path / "runs").exists()
    check_output(tmp_path / "new")


def test_killed_while_replacing_output_the_earlier_run_stays(tmp_path, monkeypatch):
    output = tmp_path / "out"
    write_run(build_run(), tmp_path / "runs", output=output)
    kept = content(output)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(StorageError, match="the run is in"):
        copy_run(write_run(build_run(seed=5), tmp_path / "runs"), output)
    assert content(output) == kept


def test_latest_is_a_text_file_where_links_are_not_possible(tmp_path, monkeypatch):
    def refuse(self, target, target_is_directory=False):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = write_run(build_run(), tmp_path)
    assert (tmp_path / "laws" / "latest").read_text() == folder.name + "\n"
    assert read_latest(tmp_path / "laws") == folder
    monkeypatch.undo()
    newer = write_run(build_run(seed=2), tmp_path)
    assert read_latest(tmp_path / "laws") == newer


def test_no_run_yet_means_no_latest(tmp_path):
    assert read_latest(tmp_path / "laws") is None
    assert list(run_folders(tmp_path)) == []


def test_run_folders_lists_finished_runs_of_every_study(tmp_path):
    here = [write_run(build_run(seed=s), tmp_path) for s in (1, 2)]
    there = write_run(build_run(study="aid"), tmp_path)
    (tmp_path / "laws" / "notes").mkdir()
    assert list(run_folders(tmp_path)) == [there, *here]
    assert list(run_folders(tmp_path, "laws")) == here


def test_one_writer_waits_for_the_other(tmp_path):
    lock = tmp_path / "lock"
    with (
        storage.exclusive(lock, seconds=1),
        pytest.raises(StorageError, match="held by another process") as caught,
        storage.exclusive(lock, seconds=0.1),
    ):
        raise AssertionError("two writers at once")
    assert caught.value.exit_code == 6
    with storage.exclusive(lock, seconds=0.1):
        pass


def test_a_folder_called_latest_is_said_and_the_run_is_kept(tmp_path):
    (tmp_path / "laws" / "latest" / "mine").mkdir(parents=True)
    with pytest.raises(StorageError, match="move away") as caught:
        write_run(build_run(), tmp_path)
    (name,) = finished(tmp_path)
    assert f"the run is in {tmp_path / 'laws' / name}" in str(caught.value)
    assert caught.value.exit_code == 6
    assert (tmp_path / "laws" / "latest" / "mine").is_dir()


def test_runs_of_one_second_stand_in_the_order_of_their_manifests(tmp_path):
    """Names tell seconds apart; what follows them in a name is a hash."""
    study = tmp_path / "laws"
    names = ["20260102T030405Z-ffffff", "20260102T030405Z-000000", "20260102T030406Z-5"]
    for moment, name in enumerate(names):
        (study / name).mkdir(parents=True)
        for file in ("coefficients.csv", "manifest.json"):
            (study / name / file).write_text("", encoding="utf-8")
            os.utime(study / name / file, ns=(9_000 - moment // 2, 1_000 + moment % 2))
    assert [run.name for run in run_folders(tmp_path)] == names


def test_a_copy_that_follows_links_has_no_run_twice(tmp_path):
    run = write_run(build_run(), tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "copy", symlinks=False)
    assert (tmp_path / "copy" / "laws" / "latest").is_dir()
    assert [r.name for r in run_folders(tmp_path / "copy")] == [run.name]
