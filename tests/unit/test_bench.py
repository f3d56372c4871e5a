"""The plumbing of the benchmark: nothing is installed and nothing is measured here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import peer, results
from bench.figures import Figure, ratio

ROOT = Path(__file__).parents[2]
LOCK = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
OURS = {package["name"]: package.get("version") for package in LOCK}

TASKS = """\
import numpy as np
print("an engine greets on stdout")
def total(data, about):
    def add(more):
        if more < 0:
            raise ValueError("no negative amount")
        return {"total": float(np.sum(data["x"])) * about["times"] + more}
    return add
"""


def test_all_measurements_without_a_name_and_those_named_in_their_order() -> None:
    assert command.selected([]) == command.MEASUREMENTS
    assert command.selected(["cold", "startup"]) == ("startup", "cold")
    assert command.selected(["cold,startup rerun"]) == ("startup", "rerun", "cold")


def test_a_misspelt_measurement_is_refused_before_anything_runs(capsys) -> None:
    assert command.main(["startpu"]) == 2
    assert "no measurement startpu; there are startup, " in capsys.readouterr().out


def test_every_measurement_is_a_module_with_a_measure() -> None:
    for name in command.MEASUREMENTS:
        source = (ROOT / "bench" / f"{name}.py").read_text(encoding="utf-8")
        assert re.search(r"^def measure\(\) -> list\[Figure\]:", source, re.MULTILINE)


def test_make_bench_hands_the_selection_over() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "python -m bench $(ONLY)" in makefile


def test_one_failure_stops_neither_the_others_nor_the_page(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    class Broken:
        @staticmethod
        def measure():
            raise peer.PeerError("spreg could not be installed:\nno network")

    class Sound:
        @staticmethod
        def measure():
            return [Figure("ours / theirs", 0.5, "x", 1.0, extrapolated="6 of 20 fits")]

    monkeypatch.setattr(command, "MEASUREMENTS", ("broken", "sound"))
    found = {"bench.broken": Broken, "bench.sound": Sound}
    monkeypatch.setattr(command.importlib, "import_module", found.__getitem__)
    page = tmp_path / "RESULTS.md"
    assert command.main([], page) == 1
    assert "FAILED PeerError: spreg could not be installed" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "Failed: PeerError: spreg could not be installed:" in text
    row = "| ours / theirs | 0.5 x | 1 | ok | extrapolated from 6 of 20 fits |"
    assert row in text.splitlines()


def test_a_selection_leaves_the_page_alone(tmp_path: Path, monkeypatch) -> None:
    class Sound:
        @staticmethod
        def measure():
            return [Figure("files", 0, "files", 0)]

    monkeypatch.setattr(command, "MEASUREMENTS", ("one", "two"))
    monkeypatch.setattr(command.importlib, "import_module", lambda _: Sound)
    assert command.main(["one"], tmp_path / "RESULTS.md") == 0
    assert list(tmp_path.iterdir()) == []


def test_a_missed_bound_is_said_in_the_row_and_the_exit_code(monkeypatch) -> None:
    class Slow:
        @staticmethod
        def measure():
            return [ratio("a / b", [3.0, 2.0, 1.0], [1.0], 1.5)]

    monkeypatch.setattr(command, "MEASUREMENTS", ("slow", "other"))
    monkeypatch.setattr(command.importlib, "import_module", lambda _: Slow)
    assert command.main(["slow"]) == 1
    (figure,) = Slow.measure()
    assert re.search(r"2 x +at most 1\.5 +MISSED +2\.00 s / 1\.00 s$", str(figure))


def test_the_page_says_when_where_and_with_which_peers() -> None:
    machine = results.Machine.now()
    text = results.page(machine, [])
    assert machine.date in text
    assert f"Python {machine.python}" in text
    assert f"load {machine.load:.1f} before the run" in text
    for name in peer.names():
        (_, version), *_ = peer.versions(name).items()
        assert f"| {name} {version} |" in text


@pytest.mark.parametrize("name", peer.names())
def test_a_peer_is_locked_at_the_versions_that_ours_uses(name: str) -> None:
    folder = peer.PEERS / name
    lock = tomllib.loads((folder / "uv.lock").read_text(encoding="utf-8"))
    files = [
        file
        for package in lock["package"]
        for file in (*package.get("wheels", ()), *[package.get("sdist")])
        if file
    ]
    assert files
    assert all(file["hash"].startswith("sha256:") for file in files)
    # Another version of an engine would be another comparison.
    for package, version in peer.versions(name).items():
        assert OURS[package] == version, package


def test_a_peer_s_lock_is_of_its_project() -> None:
    for name in peer.names():
        project = (peer.PEERS / name / "pyproject.toml").read_text(encoding="utf-8")
        wanted = tomllib.loads(project)["project"]["dependencies"]
        held = {f"{p}=={v}" for p, v in peer.versions(name).items()}
        assert set(wanted) == held, f"{name}: lock again with uv"


def test_another_lock_or_interpreter_is_another_environment(monkeypatch) -> None:
    here = peer.place("scipy")
    assert here.parent == peer.CACHE
    assert peer.place("scipy", "/another/python") != here
    assert peer.place("pulp") != here
    with pytest.raises(peer.PeerError, match="no peer 'scypi'; there are"):
        peer.place("scypi")


def test_git_ignores_the_environments_of_peers() -> None:
    assert "/.bench/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_a_peer_that_cannot_be_installed_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(peer, "CACHE", ROOT / ".bench" / "never")
    monkeypatch.setattr(peer, "ROOT", tmp_path)
    (tmp_path / ".tools" / "bin").mkdir(parents=True)
    uv = tmp_path / ".tools" / "bin" / "uv"
    uv.write_text("#!/bin/sh\necho 'no route to the index' >&2\nexit 2\n", "utf-8")
    uv.chmod(0o755)
    monkeypatch.setattr(peer, "CACHE", tmp_path / ".bench")
    with pytest.raises(peer.PeerError, match="needs the package index once"):
        peer.python("scipy")
    assert not (peer.place("scipy") / "installed").exists()


@pytest.fixture
def served(tmp_path: Path, monkeypatch):
    """A task of ours in place of a peer's, in this environment: no network."""
    tasks = tmp_path / "tasks.py"
    tasks.write_text(TASKS, encoding="utf-8")
    monkeypatch.setattr(peer, "_OWN_TASKS", tasks)


def test_a_peer_is_given_data_and_answers_each_call_with_its_times(served) -> None:
    import numpy as np

    data = {"x": np.array([1.0, 2.0])}
    calls: list[int] = []
    with peer.asked(peer.OURS, "total", data, times=10) as asked:
        first = asked.run(more=1)
        own, theirs = peer.in_turn(3, lambda: calls.append(1), asked, more=2)
    assert first.values == {"total": 31.0}
    assert first.cpu >= 0
    assert 0 < first.seconds < 60
    assert first.peak > 1e6
    # one call each before those that count
    assert len(calls) == 4
    assert len(own) == 3
    assert [reply.values["total"] for reply in theirs] == [32.0] * 3


def test_a_peer_s_error_is_shown(served) -> None:
    import numpy as np

    with (
        peer.asked(peer.OURS, "total", {"x": np.ones(1)}, times=1) as asked,
        pytest.raises(peer.PeerError, match="no negative amount"),
    ):
        asked.run(more=-1)
    with (
        pytest.raises(peer.PeerError, match="has no attribute 'totla'"),
        peer.asked(peer.OURS, "totla", {"x": np.ones(1)}, times=1),
    ):
        pass


def test_both_sides_are_pinned_alike(served) -> None:
    with peer.asked(peer.OURS, "total", times=1) as asked:
        import psutil

        told = psutil.Process(asked.process.pid).environ()
    assert peer.PINNED.items() <= told.items()
    assert told["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("name", [*peer.names(), ""])
def test_tasks_are_functions_of_data_and_about(name: str) -> None:
    """Read, not run: the peers are not in this environment as such."""
    import ast

    path = peer.PEERS / name / "tasks.py" if name else ROOT / "bench" / "own_tasks.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name[0] != "_"
    ]
    for function in public:
        names = [a.arg.lstrip("_") for a in function.args.args]
        assert names == ["data", "about"], function.name
    assert "framework" not in {
        module.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and name
        for module in [node.module or ""]
    }


def test_serving_needs_nothing_of_this_project() -> None:
    code = (
        "import sys; sys.argv[1:] = []\n"
        f"import runpy; runpy.run_path({str(peer.PEERS / 'serve.py')!r})\n"
        "import json; print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    loaded = json.loads(done.stdout)
    assert "numpy" not in loaded
    assert not [name for name in loaded if name.startswith(("framework", "bench"))]
