"""MLflow as a view of the runs: a real SQLite store, real kills."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from framework.errors import SafetyError, SpecError, StorageError
from framework.record import Column, tracking, write_run
from framework.record.as_runs import VIEW
from framework.record.shown import METRICS, MOST_VARYING, PARAMETERS
from framework.record.storage import exclusive
from framework.record.store_place import TrackingConfig, masked
from framework.record.tracking import rebuild, serve, sync, view_url
from tests.build_run import build_cell, build_estimation, build_run
from tests.real_command import free_port, patience


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A store without runs: making one takes longer than all that is tested on it."""
    runs = tmp_path_factory.mktemp("template")
    assert rebuild(TrackingConfig(runs)) == 0
    return runs / ".mlflow"


@pytest.fixture
def runs(tmp_path, empty_store):
    folder = tmp_path / "runs of ünï 100%"
    (folder / ".mlflow").mkdir(parents=True)
    for name in ("mlflow.db", "schema"):
        (folder / ".mlflow" / name).write_bytes((empty_store / name).read_bytes())
    return folder


def client(runs):
    from mlflow import MlflowClient

    return MlflowClient(TrackingConfig(runs).store)


def stored(runs):
    """Every run of every experiment that is not in the bin, in order of the study."""
    opened = client(runs)
    experiments = [e.experiment_id for e in opened.search_experiments()]
    found = opened.search_runs(experiments)
    return sorted(found, key=lambda run: run.data.tags.get("place", ""))


def children(runs):
    return [run for run in stored(runs) if run.data.tags["kind"] == "estimation"]


def parent(runs):
    (found,) = [run for run in stored(runs) if run.data.tags["kind"] == "study"]
    return found


def statuses(runs):
    """Status of every run, the bin included, straight from the database."""
    with sqlite3.connect(runs / ".mlflow" / "mlflow.db") as database:
        return [row[0] for row in database.execute("SELECT status FROM runs")]


def many(count, **changes):
    """Estimations that differ in nine choices."""
    return tuple(
        Column(
            build_estimation(
                f"curve.specs.v{i}",
                changes={f"model.estimator.option{k}": i % (k + 1) for k in range(9)}
                | {"model.controls": ["income"][: i % 2]},
            ),
            build_cell(i),
        )
        for i in range(count)
    )


def test_one_child_per_finished_estimation_with_its_numbers(runs):
    folder = write_run(build_run(), runs)
    assert sync(folder, TrackingConfig(runs)) == "laws"
    first, second = children(runs)
    assert [r.info.run_name for r in (first, second)] == [
        "baseline.plain",
        "controls.add.NA",
    ]
    assert set(first.data.metrics) == set(METRICS)
    assert first.data.metrics["estimate"] == 0.1 + 0.2
    # Rounded: the page shows 5.71e-11 as "5.71"; the full number is in the CSV.
    assert first.data.metrics["p_value"] == 0.0
    assert first.data.metrics["seconds"] == 0.25
    assert first.data.params == {
        "estimator": "within",
        "outcome": "Homicides",
        "controls": "income, log",
        "fixed_effects": "State, Year",
        "sample": "year >= 2000",
        "inference": "clustered by sid",
    }
    tags = first.data.tags
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert tags["study"] == "laws"
    assert tags["kind"] == "estimation"
    assert tags["address"] == "baseline.plain"
    assert tags["estimator"] == "within"
    assert tags["fingerprint"] == manifest["columns"][0]["fingerprint"]
    assert tags["spec_sha"] == manifest["hashes"]["spec"]
    assert tags["data_sha"] == manifest["hashes"]["data"]
    assert tags["verdict"] == "holds"
    assert second.data.tags["verdict"] == "fails"
    assert Path(tags["estimand.folder"]) == folder
    assert tags["mlflow.parentRunId"] == parent(runs).info.run_id
    assert statuses(runs) == ["FINISHED"] * 3
    assert first.info.end_time - first.info.start_time == 250


def test_the_parent_carries_tables_and_files_but_no_model(runs):
    def render(folder):
        (folder / "report.html").write_text("<p>report</p>")
        (folder / "tables").mkdir()
        (folder / "tables" / "controls.md").write_text("| second |")
        (folder / "tables" / "baseline_2.md").write_text("| again |")
        (folder / "tables" / "baseline.md").write_text("| first |")
        (folder / "figures").mkdir()
        (folder / "figures" / "baseline.png").write_bytes(b"png")

    sync(write_run(build_run(), runs, render=render), TrackingConfig(runs))
    run = parent(runs)
    assert run.data.tags["mlflow.note.content"] == (
        "| first |\n\n| again |\n\n| second |"
    )
    assert run.data.tags["estimations"] == "2 done, 1 failed, 1 refused, 1 not_built"
    opened = client(runs)
    names = {f.path for f in opened.list_artifacts(run.info.run_id)}
    assert names == {
        "report.html",
        "tables",
        "figures",
        "coefficients.csv",
        "manifest.json",
        "spec.yaml",
    }
    figures = opened.list_artifacts(run.info.run_id, "figures")
    assert [f.path for f in figures] == ["figures/baseline.png"]
    assert not list(runs.rglob("*.pkl"))


def test_a_note_that_is_given_comes_first_and_is_never_cut_in_silence(runs):
    row = "| " + "x" * 98 + " |\n"
    folder = write_run(build_run(generated="The data are simulated."), runs)
    sync(folder, TrackingConfig(runs), note=row * 200)
    note = parent(runs).data.tags["mlflow.note.content"]
    assert len(note) < 8000
    assert note.startswith("**The data are simulated.**")
    assert note.endswith("… the rest is in report.html (Artifacts).")
    assert all(line + "\n" == row for line in note.splitlines()[2:-2] if line)


def test_again_makes_nothing_twice(runs):
    folder = write_run(build_run(), runs)
    sync(folder, TrackingConfig(runs))
    before = [(r.info.run_id, r.data.tags, r.data.metrics) for r in stored(runs)]
    sync(folder, TrackingConfig(runs))
    rebuild(TrackingConfig(runs))
    assert [
        (r.info.run_id, r.data.tags, r.data.metrics) for r in stored(runs)
    ] == before
    assert len(statuses(runs)) == 3


def test_rebuild_makes_the_whole_view_from_the_folders(runs):
    for seed in (1, 2):
        write_run(build_run(seed=seed), runs)
    write_run(build_run(study="aid"), runs)
    seen = []
    assert (
        rebuild(TrackingConfig(runs), progress=lambda n, of: seen.append((n, of))) == 3
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    names = {e.name for e in client(runs).search_experiments()}
    assert names == {"Default", "aid", "laws"}
    assert len(children(runs)) == 6


def test_only_finite_metrics_and_no_estimate_for_a_table_of_many(runs):
    result = build_cell().result
    rows = result.coefficients.assign(estimand="by_event_time", term="post")
    rows = rows.assign(event_time=[-2.0, 0.0])
    events = build_cell(result=replace(result, coefficients=rows))
    infinite = build_cell(
        result=replace(
            result, coefficients=result.coefficients.assign(conf_high=float("inf"))
        )
    )
    columns = (
        Column(build_estimation("a.events"), events),
        Column(build_estimation("a.infinite"), infinite),
    )
    sync(write_run(build_run(columns=columns), runs), TrackingConfig(runs))
    first, second = (run.data.metrics for run in children(runs))
    assert set(first) == {
        "n_obs",
        "n_clusters",
        "r2_within",
        "n_treated_units",
        "seconds",
    }
    assert set(second) == set(METRICS) - {"conf_high"}


def test_parameters_are_few_short_and_what_varies_most(runs):
    columns = (
        *many(12),
        Column(
            build_estimation(
                "odd.one", changes={"model.only.区域 (x)": "y" * 9000, "data.a.b": None}
            ),
            build_cell(),
        ),
    )
    sync(write_run(build_run(columns=columns), runs), TrackingConfig(runs))
    found = [run.data.params for run in children(runs)]
    extra = {name for params in found for name in params} - set(PARAMETERS)
    assert extra == {f"estimator.option{k}" for k in range(2, 9)}
    assert len(extra) == MOST_VARYING
    assert found[5]["estimator.option3"] == "1"
    # A path that no MLflow name may hold, and a value that it would cut in silence.
    second = runs.with_name("second")
    columns = columns[-1:]
    sync(write_run(build_run(columns=columns), second), TrackingConfig(second))
    (params,) = (run.data.params for run in children(second))
    assert params["data.a.b"] == "none"
    (name,) = [n for n in params if n.startswith("only.")]
    assert len(params[name]) <= 120
    assert "…" in params[name]


def test_the_saved_view_opens_with_the_numbers_and_the_choices(runs):
    folder = write_run(build_run(columns=many(4)), runs)
    config = TrackingConfig(runs)
    sync(folder, config)
    url = view_url(config, "laws", base="http://127.0.0.1:5000/")
    experiment = client(runs).get_experiment_by_name("laws")
    assert url == (
        f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}"
        f"/runs?viewStateShareKey={VIEW}"
    )
    state = json.loads(experiment.tags[f"mlflow.sharedViewState.{VIEW}"])
    assert state["selectedColumns"][:4] == [
        f"metrics.`{n}`" for n in ("estimate", "std_error", "p_value", "n_obs")
    ]
    assert "params.`estimator.option3`" in state["selectedColumns"]
    # The page sends exactly this filter and order to the server.
    order = f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"
    shown = client(runs).search_runs(
        [experiment.experiment_id], state["searchFilter"], order_by=[order]
    )
    assert [run.info.run_name for run in shown] == [
        f"curve.specs.v{i}" for i in range(4)
    ]
    with pytest.raises(StorageError, match="no experiment 'other'"):
        view_url(config, "other", base="http://127.0.0.1:5000")


def test_nothing_is_said_on_the_terminal_and_nobody_is_called(runs):
    """A new store, in a new process: migrations, links and telemetry all stay quiet."""
    folder = write_run(build_run(), runs.with_name("quiet"))
    script = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "from pathlib import Path\n"
        "from framework.record.tracking import sync\n"
        "from framework.record.store_place import TrackingConfig\n"
        "sync(Path(sys.argv[1]), TrackingConfig(Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", script, str(folder), str(runs.with_name("quiet"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_run_that_is_all_a_store_lacks_is_shown_without_loading_mlflow(runs):
    first, _ = (write_run(build_run(seed=n), runs) for n in (2, 3))
    sync(first, TrackingConfig(runs))  # both: the second was missing, too
    assert statuses(runs) == ["FINISHED"] * 6
    third = write_run(build_run(seed=4), runs)
    script = (
        "import sys; from pathlib import Path\n"
        "from framework.record.tracking import sync\n"
        "from framework.record.store_place import TrackingConfig\n"
        "sync(Path(sys.argv[1]), TrackingConfig(Path(sys.argv[2])))\n"
        "print(sorted({'mlflow', 'alembic', 'sqlalchemy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, str(third), str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert statuses(runs) == ["FINISHED"] * 9


def test_tracking_may_be_off(runs, monkeypatch):
    monkeypatch.setattr(tracking, "_open", lambda config: pytest.fail("opened"))
    assert sync(runs / "no such run", TrackingConfig(runs, enabled=False)) == ""


def kill_at(call, step, runs, folder):
    """Run `sync` in a process that dies by SIGKILL before the n-th call of a kind."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from mlflow import MlflowClient\n"
        "from framework.record.tracking import sync\n"
        "from framework.record.store_place import TrackingConfig\n"
        "call, step, runs, folder = sys.argv[1:]\n"
        "original, count = getattr(MlflowClient, call), 0\n"
        "def dying(*args, **options):\n"
        "    global count; count += 1\n"
        "    if count == int(step): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return original(*args, **options)\n"
        "setattr(MlflowClient, call, dying)\n"
        # As a store of somebody else's: every step is one of MLflow's client.
        "ours = TrackingConfig(Path(runs))\n"
        "sync(Path(folder), TrackingConfig(ours.runs, uri=ours.store))"
    )
    command = [sys.executable, "-c", script, call, str(step), str(runs), str(folder)]
    return subprocess.run(command, check=False).returncode


@pytest.mark.parametrize(
    ("call", "step"),
    [
        ("create_run", 2),  # the parent is open, no child
        ("log_batch", 1),  # a child without numbers
        ("set_terminated", 2),  # a child with numbers, still RUNNING
        ("set_terminated", 3),  # all children done, the parent still RUNNING
    ],
)
def test_a_killed_sync_is_finished_by_the_next(runs, call, step):
    folder = write_run(build_run(), runs)
    assert kill_at(call, step, runs, folder) == -signal.SIGKILL
    assert "RUNNING" in statuses(runs)
    # The study runs again: another folder, and both are shown whole.
    second = write_run(build_run(seed=8), runs)
    sync(second, TrackingConfig(runs))
    assert "RUNNING" not in statuses(runs)
    found = stored(runs)
    assert [run.info.status for run in found] == ["FINISHED"] * 6
    addresses = [(r.data.tags["estimand.run_id"], r.info.run_name) for r in found]
    assert len(set(addresses)) == 6
    assert all(set(run.data.metrics) == set(METRICS) for run in children(runs))


def test_runs_that_were_never_shown_are_shown_with_the_next(runs, monkeypatch):
    """A process killed between its folder and MLflow leaves nothing there to finish."""
    missed = [write_run(build_run(seed=n), runs) for n in (2, 3)]
    write_run(build_run(study="aid"), runs)
    config = TrackingConfig(runs)
    last = write_run(build_run(seed=4), runs)
    sync(last, config)
    names = {r.data.tags["estimand.run_id"] for r in stored(runs)}
    assert names == {f.name for f in (*missed, last)}
    assert statuses(runs) == ["FINISHED"] * 9
    # What a user deleted stays so, and what is there costs one query.
    client(runs).delete_run(
        next(
            r.info.run_id
            for r in stored(runs)
            if r.data.tags["estimand.run_id"] == missed[0].name
            and r.data.tags["kind"] == "study"
        )
    )
    shown, show = [], tracking._show

    def recording(client, config, recorded, *others):
        shown.append(recorded.run_id)
        return show(client, config, recorded, *others)

    monkeypatch.setattr(tracking, "_show", recording)
    sync(last, config)
    assert shown == [last.name]


def test_an_earlier_record_changed_by_hand_stops_no_later_run(runs):
    broken = write_run(build_run(seed=2), runs)
    (broken / "manifest.json").write_text("{", encoding="utf-8")
    sync(write_run(build_run(seed=3), runs), TrackingConfig(runs))
    assert statuses(runs) == ["FINISHED"] * 3


def test_a_folder_with_both_quotation_marks_has_a_store(tmp_path, monkeypatch):
    folder = tmp_path / "a 'b' \"c\""
    folder.mkdir()
    monkeypatch.chdir(folder)
    runs = folder / "runs"
    sync(write_run(build_run(), runs), TrackingConfig(runs))
    assert statuses(runs) == ["FINISHED"] * 3


def test_a_dead_run_whose_folder_is_gone_is_closed_as_killed(runs):
    import shutil

    folder = write_run(build_run(), runs)
    assert kill_at("log_batch", 1, runs, folder) == -signal.SIGKILL
    shutil.rmtree(folder)
    sync(write_run(build_run(study="aid"), runs), TrackingConfig(runs))
    assert sorted(statuses(runs)) == ["FINISHED"] * 3 + ["KILLED"] * 2


def test_foreign_runs_and_living_writers_are_left_alone(runs):
    from framework.record.process import this_process

    config = TrackingConfig(runs, uri=TrackingConfig(runs).store)
    opened = client(runs)
    experiment = opened.create_experiment("theirs")
    theirs = opened.create_run(experiment).info.run_id
    tags = {"estimand.run_id": "x", "estimand.folder": "/no/such/folder"}
    alive = opened.create_run(
        experiment, tags=tags | {"estimand.process": this_process()}
    ).info.run_id
    dead_process = this_process().rsplit("|", 1)[0] + "|1.00"  # the pid came back
    dead = opened.create_run(
        experiment, tags=tags | {"estimand.process": dead_process}
    ).info.run_id
    sync(write_run(build_run(), runs), config)
    status = {r: opened.get_run(r).info.status for r in (theirs, alive, dead)}
    assert status == {theirs: "RUNNING", alive: "RUNNING", dead: "KILLED"}


def test_a_store_that_was_killed_while_it_was_made_is_made_again(runs):
    (runs / ".mlflow" / "schema").unlink()
    with sqlite3.connect(runs / ".mlflow" / "mlflow.db") as database:
        database.execute("DROP TABLE tags")
    database.close()
    sync(write_run(build_run(), runs), TrackingConfig(runs))
    assert statuses(runs) == ["FINISHED"] * 3


def test_a_store_of_an_earlier_mlflow_is_brought_up_to_date(runs):
    sync(write_run(build_run(), runs), TrackingConfig(runs))
    (runs / ".mlflow" / "schema").write_text("3.0.0")
    sync(write_run(build_run(seed=2), runs), TrackingConfig(runs))
    assert statuses(runs) == ["FINISHED"] * 6
    assert (runs / ".mlflow" / "schema").read_text() != "3.0.0"


@pytest.mark.slow
def test_several_processes_make_one_store_together(tmp_path):
    """Three processes on a new SQLite store: without a lock two of them fail."""
    folders = [write_run(build_run(seed=s), tmp_path) for s in range(3)]
    script = (
        "import sys; from pathlib import Path\n"
        "from framework.record.tracking import sync\n"
        "from framework.record.store_place import TrackingConfig\n"
        "sync(Path(sys.argv[1]), TrackingConfig(Path(sys.argv[2])))"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(folder), str(tmp_path)])
        for folder in folders
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert statuses(tmp_path) == ["FINISHED"] * 9


def test_a_locked_store_is_said_and_nothing_is_lost(runs, monkeypatch, capfd):
    folder = write_run(build_run(), runs)
    config = TrackingConfig(runs)
    store = f"{config.store}?timeout=0.2"
    other = sqlite3.connect(runs / ".mlflow" / "mlflow.db")
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StorageError) as caught:
            sync(folder, TrackingConfig(runs, uri=store))
    finally:
        other.rollback()
        other.close()
    assert caught.value.exit_code == 6
    assert "estimand rebuild" in str(caught.value)
    assert "locked" in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err
    assert rebuild(config) == 1
    assert statuses(runs) == ["FINISHED"] * 3


class Told:
    """Is told of a wait; who is waited for ends a moment after, however busy we are."""

    def __init__(self, release: Callable[[], object]) -> None:
        self.said: list[str] = []
        self.released = False
        self._release = release

    def __call__(self, line: str) -> None:
        self.said.append(line)
        if len(self.said) == 1:
            threading.Timer(0.2, self._end).start()

    def _end(self) -> None:
        self.released = True
        self._release()


def test_our_store_is_waited_for_while_another_program_holds_it(runs, monkeypatch):
    config = TrackingConfig(runs)
    sync(write_run(build_run(), runs), config)
    folder = write_run(build_run(seed=2), runs)
    database = runs / ".mlflow" / "mlflow.db"
    other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(tracking, "_LOCK_SECONDS", 0.3)
    begun = time.monotonic()
    with pytest.raises(StorageError, match="locked") as caught:
        sync(folder, config)
    # MLflow alone would have given up after 20 seconds.
    assert time.monotonic() - begun < patience(10)
    assert caught.value.problems[0].code == "R22"
    monkeypatch.setattr(tracking, "_LOCK_SECONDS", 60.0)
    told = Told(lambda: other.execute("ROLLBACK"))
    sync(folder, config, waits=told)
    assert told.released
    assert told.said == [
        f"waiting for another program that holds {database}, at most 60 s"
    ]
    other.close()
    assert statuses(runs) == ["FINISHED"] * 6


def test_another_run_is_waited_for_in_one_line(runs):
    """Said once it lasts: a lock that is free within the second is no news."""
    config = TrackingConfig(runs)
    folder = write_run(build_run(), runs)
    holder = exclusive(config.lock, seconds=0)
    holder.__enter__()
    told = Told(lambda: holder.__exit__(None, None, None))
    sync(folder, config, waits=told)
    assert told.released
    (line,) = told.said
    assert line.startswith("waiting for another run that writes to MLflow's store")
    assert line.endswith(f"(it holds {config.lock}), at most 120 s")
    said: list[str] = []
    assert rebuild(config, waits=said.append) == 1
    assert said == []


def test_a_server_that_is_down_is_said_without_its_password(runs, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = write_run(build_run(), runs)
    config = TrackingConfig(runs, uri="http://me:secret@127.0.0.1:9")
    assert "secret" not in repr(config)
    with pytest.raises(StorageError) as caught:
        sync(folder, config)
    assert caught.value.exit_code == 6
    assert "secret" not in str(caught.value)
    assert "estimand rebuild" in str(caught.value)


def test_what_is_no_run_is_refused(runs):
    with pytest.raises(StorageError, match="not a finished run's folder"):
        sync(runs, TrackingConfig(runs))


@pytest.mark.parametrize("text", ["{", "[]", '{"study": "laws"}'])
def test_a_record_changed_by_hand_is_named(runs, text):
    folder = write_run(build_run(), runs)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(StorageError, match=folder.name) as caught:
        rebuild(TrackingConfig(runs))
    assert caught.value.exit_code == 6


def test_an_experiment_in_the_bin_comes_back(runs):
    config = TrackingConfig(runs)
    sync(write_run(build_run(), runs), config)
    opened = client(runs)
    opened.delete_experiment(opened.get_experiment_by_name("laws").experiment_id)
    sync(write_run(build_run(seed=2), runs), config)
    assert opened.get_experiment_by_name("laws").lifecycle_stage == "active"


def test_pages_are_for_this_machine_only(runs):
    for host in ("0.0.0.0", "192.168.1.5"):
        with pytest.raises(SafetyError, match="no password") as caught:
            serve(TrackingConfig(runs), host=host)
        assert caught.value.exit_code == 8


def test_a_port_that_is_taken_is_said(runs):
    import socket

    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(StorageError, match=f"ui --port {port + 1}") as caught:
            serve(TrackingConfig(runs), port=port)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_no_such_port_is_said(runs, port):
    with pytest.raises(SpecError, match="is no port"):
        serve(TrackingConfig(runs), port=port)


@pytest.mark.parametrize("password", ["simple", "with/slash", "with:colon"])
def test_no_text_shows_a_password(password):
    said = f"no answer of postgresql://paper:{password}@host:5432/runs, http://[::1]:80"
    assert masked(said) == (
        "no answer of postgresql://paper:***@host:5432/runs, http://[::1]:80"
    )
    assert masked("http://127.0.0.1:5000/#/experiments") == (
        "http://127.0.0.1:5000/#/experiments"
    )


@pytest.mark.slow
def test_the_server_shows_the_runs_and_another_store_can_be_a_server(runs):
    """One real server: its pages, its API as a tracking URI, its end."""
    folder = write_run(build_run(), runs)
    sync(folder, TrackingConfig(runs))
    port, seen = free_port(), {}
    # A shell's background job starts with SIGINT ignored: nothing would end the server.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def look(url):
        with urllib.request.urlopen(url) as page:
            seen["page"] = page.status
        seen["link"] = sync(folder, TrackingConfig(runs, uri=url))
        seen["new"] = sync(
            write_run(build_run(seed=4), runs), TrackingConfig(runs, uri=url)
        )
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    try:
        assert serve(TrackingConfig(runs), port=port, ready=look) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen["page"] == 200
    assert seen["link"].startswith(f"http://127.0.0.1:{port}/#/experiments/")
    assert statuses(runs) == ["FINISHED"] * 6


@pytest.mark.slow
def test_a_server_whose_owner_is_ended_frees_the_port(runs):
    port = free_port()
    script = (
        "import sys; from pathlib import Path\n"
        "from framework.record.tracking import serve\n"
        "from framework.record.store_place import TrackingConfig\n"
        "serve(TrackingConfig(Path(sys.argv[1])), port=int(sys.argv[2]),\n"
        "      ready=lambda url: print(url, flush=True))"
    )
    command = [sys.executable, "-c", script, str(runs), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline().strip() == f"http://127.0.0.1:{port}"
        owner.terminate()
        assert owner.wait() == 128 + signal.SIGTERM
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}")
