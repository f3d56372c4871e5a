"""Killed at any write of the store: a name holds everything or nothing, and goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from framework.cache import Cell, Failure, Job, Store
from framework.cache import store as store_module
from framework.execute import Inline, Processes, execute
from tests.unit.test_cache import a_cell, same_cell
from tests.unit.test_execute import TASK, Seen, a_job, a_store

PROJECT = Path(__file__).parents[2]
#: Saves a panel and a cell in a child per instant; prints what was there after each.
DRIVER = """
import json, shutil, sys
from pathlib import Path
from framework.cache import Store
from framework.panel import Panel
from tests.killed_at import children
from tests.unit.test_cache import a_cell
import pandas as pd, pyarrow, framework.cache.frames
root = Path(sys.argv[1])
panel = Panel(pd.DataFrame({"y": [1.0, 2.0]}), key="p")

def work(instants):
    store = Store(root)
    store.save_panel(panel)
    store.save(a_cell("c" * 64))

for number, died in children(root, work):
    names = sorted(p.name for p in (root / ".cells").rglob("*") if p.is_dir())
    print(json.dumps({"died": died, "names": names}))
    shutil.copytree(root, root.with_name(f"after-{number}"))
    shutil.rmtree(root)
    root.mkdir()
"""


@pytest.fixture(scope="module")
def instants(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, bool]]:
    """The store's folder after a death at each of its writes, and after none."""
    root = tmp_path_factory.mktemp("killed") / "runs"
    root.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(root)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        (root.with_name(f"after-{number}"), line["died"])
        for number, line in enumerate(lines, 1)
    ]


def test_every_instant_leaves_a_whole_cell_or_none(instants):
    found = []
    for folder, died in instants:
        store = Store(folder)
        cell, panel = store.load("c" * 64), store.load_panel("p")
        found.append((panel is not None, cell is not None))
        if cell is not None:
            same_cell(cell, a_cell("c" * 64))
        assert not (folder / ".cells" / ".damaged").exists()
        assert died or found[-1] == (True, True)
    # Three states one after the other: nothing, the panel, both; each was hit.
    assert found == sorted(found)
    assert set(found) == {(False, False), (True, False), (True, True)}
    # Folders, three files, list of hashes, rename: for the panel and for the cell.
    assert len(found) > 12


def test_after_every_instant_the_same_cell_can_be_saved(instants, tmp_path):
    for number, (folder, _) in enumerate(instants):
        store = Store(shutil.copytree(folder, tmp_path / str(number)))
        store.save(a_cell("c" * 64))
        kept = store.load("c" * 64)
        assert kept is not None
        same_cell(kept, a_cell("c" * 64))


def test_a_cell_put_in_place_while_we_look_is_read_not_put_aside(tmp_path, monkeypatch):
    # Another run finishes it between our look at its files and at its folder.
    store, cell = Store(tmp_path), a_cell()
    looks: list[Path] = []

    class Late(store_module._Files):
        def __init__(self, folder: Path) -> None:
            looks.append(folder)
            if len(looks) == 1:
                try:
                    super().__init__(folder)
                finally:
                    store.save(cell)
            else:
                super().__init__(folder)

    monkeypatch.setattr(store_module, "_Files", Late)
    found = store.load(cell.fingerprint)
    assert found is not None
    same_cell(found, cell)
    assert len(looks) == 2
    assert not (tmp_path / ".cells" / ".damaged").exists()


def test_a_folder_without_its_list_is_put_aside_after_a_second_look(tmp_path):
    store, cell = Store(tmp_path), a_cell()
    store.save(cell)
    (tmp_path / ".cells" / cell.fingerprint / "done").unlink()
    assert store.load(cell.fingerprint) is None
    assert len(list((tmp_path / ".cells" / ".damaged").iterdir())) == 1


@pytest.mark.parametrize("kind", [Inline, Processes])
def test_what_another_run_finishes_meanwhile_is_taken_and_counted_so(tmp_path, kind):
    store = a_store(tmp_path)
    log = tmp_path / "log"
    jobs = [a_job(name, log=str(log)) for name in "abc"]

    def done(job: Job, outcome: Cell | Failure) -> None:
        if job.fingerprint == "a":  # the other run was faster with the last
            other = execute([a_job("c")], store, Inline(tmp_path, TASK))
            assert other.reused == frozenset()

    options = {"workers": 1} if kind is Processes else {}
    found = execute(jobs, store, kind(tmp_path, task=TASK, **options), done)
    assert log.read_text().split() == ["a", "b"]
    assert found.reused == {"c"}
    assert all(isinstance(outcome, Cell) for outcome in found.values())


def test_what_the_killed_finished_is_counted_as_this_run_found_it(tmp_path):
    store = a_store(tmp_path)
    log = tmp_path / "log"
    jobs = [a_job(name, log=str(log)) for name in "abc"]
    execute(jobs[:2], store, Inline(tmp_path, TASK))
    # Its mark is there, its content is not what was written: it is computed again.
    damaged = tmp_path / ".cells" / "a" / "about.json"
    damaged.write_text(damaged.read_text() + " ")
    assert store.contains("a")
    seen = Seen()
    found = execute(jobs, store, Inline(tmp_path, TASK), progress=seen)
    assert found.reused == {"b"}
    assert seen.said[0] == ("start", 3, 1)
    assert log.read_text().split() == ["a", "b", "a", "c"]
    assert execute(jobs, store, Inline(tmp_path, TASK)).reused == set("abc")


def test_readers_and_writers_of_one_name_never_spoil_it(tmp_path):
    store, cell = Store(tmp_path), a_cell(rows=5)
    failed: list[str] = []

    def read() -> None:
        for _ in range(60):
            found = store.load(cell.fingerprint)
            if found is not None and found.fingerprint != cell.fingerprint:
                failed.append("another cell")

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        store.save(cell)
    for thread in threads:
        thread.join()
    assert failed == []
    assert not (tmp_path / ".cells" / ".damaged").exists()
