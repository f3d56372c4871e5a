"""Cells and panels on disk: exact, whole or absent, named by what they depend on."""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from framework.cache import Cell, Store, fingerprint, identity
from framework.cache.frames import read_frame, write_frame
from framework.errors import StorageError
from framework.panel import LedgerLine, Panel
from framework.registry import Entry
from framework.result import Plot, Result, Test

MODEL = {
    "outcome": "y",
    "controls": ["a", "b"],
    "sample": {"old": "x > 1", "rich": "z > 2"},
    "estimator": {"name": "twfe", "leads": [1]},
}


def coefficients() -> pd.DataFrame:
    awkward = [0.1, np.nextafter(0.1, 1), 5e-324, -0.0]
    return pd.DataFrame(
        {
            "equation": "main",
            "estimand": ["att", "by_event_time", "by_event_time", "lead"],
            "term": ["post", "post", "post", "ÿ=cmd|' /C"],
            "estimate": awkward,
            "std_error": [np.inf, np.nan, 1e300, 0.1 + 0.2],
            "event_time": pd.array([None, -1, 2, None], dtype="Int64"),
            "cohort": [2001, "never", None, np.nan],
            "period": np.array([1, 2, 3, 2**62], dtype="int64"),
            "group": pd.Categorical(
                ["b", "a", "b", "a"], categories=["z", "b", "a"], ordered=True
            ),
            "when": pd.to_datetime(["2001-01-01", None, "2002-01-01", "2003-05-06"]),
        },
        index=[3, 1, 2, 9],
    )


def a_cell(name: str = "f" * 64, *, rows: int = 50) -> Cell:
    rng = np.random.default_rng(1)
    clusters = pd.MultiIndex.from_product(
        [range(rows), ["n", "s"]], names=["sid", "region"]
    )
    influence = pd.DataFrame(
        rng.normal(size=(2 * rows, 2)), index=clusters, columns=[3, 9]
    )
    draws = pd.DataFrame({"draw": [0, 1], "estimate": rng.normal(size=2)})
    return Cell(
        fingerprint=name,
        result=Result(
            coefficients=coefficients(),
            influence=influence,
            scalars={"n_obs": 550.0, "df_t": float("inf"), "r2": 0.1 + 0.2},
            tests=(
                Test("joint_pretrend", "all zero", 1.5, "4, 49", 0.2),
                Test("difference", "equal", reason="no influence"),
            ),
            frames={
                "../odd name": draws.rename(columns={"draw": 7}),
                "empty": draws[:0],
            },
            plots=(Plot("event_study", "coefficients", options={"at": (-1, 0.5)}),),
            notes=("β is fine",),
        ),
        ledger=(LedgerLine("sample", "old", 600, 550, detail="x > 1"),),
        labels={"outcome": "Y", "treatment": ["post"], "terms": {1: ("a", "b")}},
        draws=draws,
        notes=("note",),
        acknowledged=("few_clusters",),
        seconds=0.25,
    )


def same_frame(a: pd.DataFrame | None, b: pd.DataFrame | None) -> None:
    assert (a is None) == (b is None)
    if a is None or b is None:
        return
    pd.testing.assert_frame_equal(a, b, check_exact=True, check_freq=False)
    for column in a.select_dtypes("float64"):
        assert a[column].to_numpy().tobytes() == b[column].to_numpy().tobytes()
    assert type(a.index) is type(b.index)


def same_cell(a: Cell, b: Cell) -> None:
    same_frame(a.result.coefficients, b.result.coefficients)
    same_frame(a.result.influence, b.result.influence)
    same_frame(a.draws, b.draws)
    assert list(a.result.frames) == list(b.result.frames)
    for name, frame in a.result.frames.items():
        same_frame(frame, b.result.frames[name])
    for field in ("scalars", "tests", "plots", "notes"):
        assert getattr(a.result, field) == getattr(b.result, field)
    for field in ("ledger", "labels", "notes", "acknowledged", "seconds"):
        assert getattr(a, field) == getattr(b, field)


def leftovers(store: Store) -> list[str]:
    return [p.name for p in (store.root / ".cells").glob(".writing-*")]


# What is stored comes back exactly


def test_a_cell_comes_back_exactly(tmp_path: Path):
    store, cell = Store(tmp_path), a_cell()
    assert store.load(cell.fingerprint) is None
    assert not store.contains(cell.fingerprint)
    store.save(cell)
    assert store.contains(cell.fingerprint)
    loaded = store.load(cell.fingerprint)
    assert loaded is not None
    same_cell(cell, loaded)
    mixed = loaded.result.coefficients["cohort"].tolist()
    assert mixed[:3] == [2001, "never", None]
    assert isinstance(mixed[3], float)
    assert leftovers(store) == []


def test_frames_that_share_their_text_and_labels_are_not_one(tmp_path: Path):
    store, cell = Store(tmp_path), a_cell()
    store.save(cell)
    one, other = store.load(cell.fingerprint), store.load(cell.fingerprint)
    assert one is not None
    assert other is not None
    changed = one.result.coefficients
    changed.loc[1, ["term", "estimate"]] = ["else", 7.0]
    changed.index.name = changed.columns.name = "mine"
    assert one.result.influence is not None
    one.result.influence.iloc[0, 0] = 9.0
    same_cell(other, cell)
    again = store.load(cell.fingerprint)
    assert again is not None
    same_cell(again, cell)


def test_labels_that_are_equal_but_not_the_same_stay_apart(tmp_path: Path):
    store = Store(tmp_path)
    indexes = [
        *([0.0, 1.0], [-0.0, 1.0], [np.nan, 1.0], [0, 1], [False, True]),
        *(["0", "1"], np.array([0, 1], dtype="int32"), np.array([0, 1], dtype="uint8")),
    ]
    frames = {
        f"{place} {across}": frame.T if across else frame
        for place, index in enumerate(indexes)
        for across in (False, True)
        for frame in [pd.DataFrame({"x": [1.5, 2.5]}, index=pd.Index(index))]
    }
    frames |= {
        f"text {place}": pd.DataFrame({"x": pd.array(texts, dtype=kind)})
        for place, (texts, kind) in enumerate(
            [(["a", None], "string"), (["a", None], "str"), (["a", None], object)]
        )
    }
    cell = Cell("a" * 64, Result(coefficients(), frames=frames))
    store.save(cell)
    for _ in range(2):
        read = store.load(cell.fingerprint)
        assert read is not None
        for name, frame in frames.items():
            found = read.result.frames[name]
            same_frame(found, frame)
            for axis in (0, 1):
                held, wanted = found.axes[axis], frame.axes[axis]
                assert held.dtype == wanted.dtype, name
                if wanted.dtype.kind == "f":
                    assert held.to_numpy().tobytes() == wanted.to_numpy().tobytes()


def test_a_thousand_estimations_are_held_in_some_megabytes(tmp_path: Path):
    """A sweep holds what it has estimated: two frames, its numbers and few words."""
    store, cells = Store(tmp_path), 60
    rng = np.random.default_rng(2)
    for number in range(cells):
        term = pd.DataFrame(
            {"equation": "main", "estimand": "att", "term": ["post", "income"]}
        )
        numbers = pd.DataFrame(rng.normal(size=(2, 6)), columns=list("abcdef"))
        clusters = pd.Index(list(range(1, 50)), name="sid")
        influence = pd.DataFrame(rng.normal(size=(49, 1)), index=clusters)
        result = Result(
            term.join(numbers),
            influence,
            scalars={f"scalar_{n}": rng.normal() for n in range(18)},
        )
        labels = {"outcome": "l_homicide", "controls": ["l_income", "l_prisoner"]}
        store.save(Cell(f"{number:064x}", result, labels=labels))
    names = [f"{number:064x}" for number in range(cells)]
    assert store.load(names[0]) is not None  # what is imported and shared
    gc.collect()
    tracemalloc.start()
    held = [store.load(name) for name in names]
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(held)
    # pandas needs 7 kB for two small frames; 19 kB were held before text was shared.
    assert size / cells < 13_000


def test_a_bare_cell_comes_back(tmp_path: Path):
    cell = Cell("a" * 64, Result(coefficients()[["estimate"]].reset_index(drop=True)))
    Store(tmp_path).save(cell)
    loaded = Store(tmp_path).load(cell.fingerprint)
    assert loaded is not None
    same_cell(cell, loaded)
    assert loaded.result.influence is None


def test_influence_with_one_level_keeps_ids_and_variance(tmp_path: Path):
    ids = pd.Index(["10", "2", "Wyoming"], name="sid")
    influence = pd.DataFrame({0: [0.1, -0.2, 0.3]}, index=ids)
    cell = Cell("a" * 64, Result(coefficients(), influence=influence))
    Store(tmp_path).save(cell)
    loaded = Store(tmp_path).load("a" * 64)
    assert loaded is not None
    same_frame(influence, loaded.result.influence)


def test_a_panel_comes_back_exactly(tmp_path: Path):
    frame = pd.DataFrame(
        {"sid": ["01", "02"], "year": np.array([2000, 2001]), "y": [0.1, np.nan]}
    )
    panel = Panel(
        frame,
        unit="sid",
        time="year",
        labels={"y": "Homicides"},
        ledger=(LedgerLine("source", "castle", 2, 2),),
        frames={"slacks": frame},
        notes=("n",),
        key="k" * 64,
    )
    store = Store(tmp_path)
    assert store.load_panel(panel.key) is None
    store.save_panel(panel)
    assert store.contains_panel(panel.key)
    loaded = store.load_panel(panel.key)
    assert loaded is not None
    same_frame(frame, loaded.frame)
    same_frame(frame, loaded.frames["slacks"])
    assert (loaded.unit, loaded.time, loaded.labels) == ("sid", "year", panel.labels)
    assert (loaded.ledger, loaded.notes, loaded.key) == (
        panel.ledger,
        panel.notes,
        panel.key,
    )
    # Other tools read the rows under the user's own names.
    assert list(pd.read_feather(store.panel_path(panel.key))) == ["sid", "year", "y"]


def test_a_value_without_a_form_on_disk_is_refused(tmp_path: Path):
    cell = a_cell()
    odd = Cell("a" * 64, cell.result, labels={"model": object()})
    with pytest.raises(StorageError) as caught:
        Store(tmp_path).save(odd)
    assert caught.value.problems[0].code == "R12"
    assert Store(tmp_path).load("a" * 64) is None
    assert leftovers(Store(tmp_path)) == []


# Damage is a miss, never a number


@pytest.mark.parametrize(
    "file", ["about.json", "coefficients.arrow", "influence.arrow", "done"]
)
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "empty"])
def test_damage_is_a_miss_and_is_put_aside(tmp_path: Path, file: str, damage: str):
    store, cell = Store(tmp_path), a_cell(rows=3)
    store.save(cell)
    path = tmp_path / ".cells" / cell.fingerprint / file
    content = path.read_bytes()
    if damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 0xFF])
        path.write_bytes(content[:middle] + flipped + content[middle + 1 :])
    elif damage == "remove":
        path.unlink()
    else:
        path.write_bytes(b"")
    assert store.load(cell.fingerprint) is None
    assert not store.contains(cell.fingerprint)
    assert len(list((tmp_path / ".cells" / ".damaged").iterdir())) == 1
    store.save(cell)
    assert store.load(cell.fingerprint) is not None


@pytest.mark.parametrize("lost", range(6))
def test_a_list_of_hashes_that_lost_a_line_is_damage(tmp_path: Path, lost: int):
    store, cell = Store(tmp_path), a_cell(rows=3)
    store.save(cell)
    done = tmp_path / ".cells" / cell.fingerprint / "done"
    lines = done.read_text().splitlines(keepends=True)
    assert len(lines) == 6
    done.write_text("".join(lines[:lost] + lines[lost + 1 :]))
    assert store.load(cell.fingerprint) is None


def test_a_folder_under_a_wrong_name_is_a_miss(tmp_path: Path):
    store, cell = Store(tmp_path), a_cell()
    store.save(cell)
    cells = tmp_path / ".cells"
    shutil.copytree(cells / cell.fingerprint, cells / ("e" * 64))
    assert store.load("e" * 64) is None


def test_a_name_cannot_leave_the_store(tmp_path: Path):
    for name in ("../x", "", "a/b", "."):
        with pytest.raises(ValueError, match="no fingerprint"):
            Store(tmp_path).load(name)


# Disks that fill up


def test_too_little_room_is_said_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Store(tmp_path)
    store.save(a_cell())
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError) as caught:
        store.save(a_cell("b" * 64))
    problem = caught.value.problems[0]
    assert (problem.code, caught.value.exit_code) == ("R10", 6)
    assert "1 MB free" in problem.what
    assert store.load("f" * 64) is not None


def test_a_write_that_fails_halfway_leaves_nothing(tmp_path: Path):
    # The kernel refuses bytes beyond 8 KiB in this process: a disk that fills up.
    script = f"""
import resource, sys
sys.path[:] = {[str(p) for p in sys.path]!r}
from tests.unit.test_cache import a_cell, Store
from framework.errors import StorageError
from pathlib import Path
store = Store(Path({str(tmp_path)!r}))
cell = a_cell(rows=3)
store.save(cell)
big = a_cell("b" * 64, rows=5000)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    store.save(big)
except StorageError as error:
    print(error.problems[0].code, error.exit_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["R10", "6"], done.stderr
    store = Store(tmp_path)
    assert store.load("f" * 64) is not None
    assert store.load("b" * 64) is None
    assert leftovers(store) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 8192


# Many writers, dead writers


def test_eight_writers_of_the_same_cells_do_no_harm(tmp_path: Path):
    store, names = Store(tmp_path), [c * 64 for c in "abcdef"]
    errors: list[Exception] = []
    barrier = threading.Barrier(8)

    def write() -> None:
        barrier.wait()
        for name in names:
            try:
                store.save(a_cell(name, rows=3))
                same_cell(a_cell(name, rows=3), store.load(name))  # type: ignore[arg-type] # None fails inside
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert leftovers(store) == []
    assert not (tmp_path / ".cells" / ".damaged").exists()


def test_two_writers_that_find_a_damaged_cell_both_keep_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store, cell = Store(tmp_path), a_cell()
    store.save(cell)
    (tmp_path / ".cells" / cell.fingerprint / "about.json").write_text("{")
    put_aside, put = Store._put_aside, list[Path]()

    def beaten(self: Store, folder: Path) -> None:
        # The other one is there between our moving the old cell and our keeping ours.
        put_aside(self, folder)
        put.append(folder)
        if len(put) == 1:
            self.save(cell)

    monkeypatch.setattr(Store, "_put_aside", beaten)
    store.save(cell)
    same_cell(cell, store.load(cell.fingerprint))  # type: ignore[arg-type] # None fails inside
    assert len(put) == 1
    assert leftovers(store) == []


def test_leftovers_of_the_dead_go_and_of_the_living_stay(tmp_path: Path):
    store = Store(tmp_path)
    cells = tmp_path / ".cells"
    dead, held, fresh = (cells / f".writing-{n}" for n in ("dead", "held", "fresh"))
    for folder in (dead, held, fresh):
        folder.mkdir(parents=True)
        (folder / "x").write_text("half")
    for folder in (dead, held):
        os.utime(folder, (1, 1))
    code = (
        "import fcntl, os, sys; f = os.open(sys.argv[1], os.O_RDONLY);"
        "fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(held)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout
        writer.stdout.readline()
        assert store.clear_leftovers() == 1
        assert sorted(leftovers(store)) == [".writing-fresh", ".writing-held"]
        writer.kill()
    assert store.clear_leftovers() == 1


# The name of an estimation


def test_order_counts_only_where_it_acts():
    base = fingerprint(MODEL, "k", None, 1)
    turned = dict(reversed(MODEL.items()))
    turned["estimator"] = {"leads": [1], "name": "twfe"}
    assert fingerprint(turned, "k", None, 1) == base
    later = {**MODEL, "sample": dict(reversed(MODEL["sample"].items()))}
    assert fingerprint(later, "k", None, 1) != base
    swapped = {**MODEL, "controls": ["b", "a"]}
    assert fingerprint(swapped, "k", None, 1) != base


def test_whatever_moves_a_number_moves_the_name(monkeypatch: pytest.MonkeyPatch):
    base = fingerprint(MODEL, "k", None, 1)
    assert len(base) == 64
    others = [
        fingerprint({**MODEL, "outcome": "z"}, "k", None, 1),
        fingerprint({**MODEL, "levels": {1: "a"}}, "k", None, 1),
        fingerprint({**MODEL, "levels": {"1": "a"}}, "k", None, 1),
        fingerprint({**MODEL, "levels": {True: "a"}}, "k", None, 1),
        fingerprint(MODEL, "K", None, 1),
        fingerprint(MODEL, "k", {"permute": "treatment", "times": 500}, 1),
        fingerprint(MODEL, "k", None, 2),
    ]
    monkeypatch.setattr(identity, "source_hash", lambda: "changed")
    others.append(fingerprint(MODEL, "k", None, 1))
    monkeypatch.undo()
    monkeypatch.setattr(identity, "engines_hash", lambda: "newer")
    others.append(fingerprint(MODEL, "k", None, 1))
    assert len({base, *others}) == len(others) + 1


def test_a_model_that_is_no_json_is_refused():
    with pytest.raises(TypeError, match="no JSON value"):
        fingerprint({"outcome": object()}, "k", None, 1)
    with pytest.raises(ValueError, match="NaN"):
        fingerprint({"confidence": float("nan")}, "k", None, 1)


def test_a_foreign_plugin_brings_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    package = tmp_path / "foreign_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "mine.py").write_text("x = 1")
    about = tmp_path / "foreign_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: foreign-package\nVersion: 1.0\n\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = Entry("estimator", "mine", "foreign_package.mine:Mine", "foreign-package")

    def name() -> str:
        identity._installed.cache_clear()
        identity._foreign_hash.cache_clear()
        return fingerprint(MODEL, "k", None, 1, [plugin])

    first = name()
    assert first != fingerprint(MODEL, "k", None, 1)
    assert name() == first
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "mine.pyc").write_text("bytecode")
    assert name() == first
    (package / "mine.py").write_text("x = 2")
    second = name()
    assert second != first
    about.rename(tmp_path / "foreign_package-1.1.dist-info")
    assert name() not in {first, second}
    identity._installed.cache_clear()


def test_engines_are_the_requirements_of_the_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    needs = {
        "estimand-0.1": [
            "Big_Engine>=2",
            "ruff; extra == 'test'",
            "boost; extra == 'learners'",
        ],
        "big_engine-2.5": ["small.engine (>1) ; python_version > '3'"],
        "small_engine-1.1": ["docs-tool; extra == 'docs'"],
        "ruff-1": [],
        "boost-3": [],
        "docs_tool-1": [],
        "unrelated-9": [],
    }
    for folder, requires in needs.items():
        path = tmp_path / f"{folder}.dist-info"
        path.mkdir()
        lines = [f"Requires-Dist: {r}\n" for r in requires]
        (path / "METADATA").write_text("Name: x\n" + "".join(lines) + "\ntext")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    identity._installed.cache_clear()
    try:
        found = identity._versions(("estimand",))
        everything = identity._versions(("not-installed",))
    finally:
        identity._installed.cache_clear()
    assert found == {
        "estimand": "0.1",
        "big-engine": "2.5",
        "small-engine": "1.1",
        "boost": "3",
    }
    assert len(everything) == len(needs)


def test_naming_an_estimation_is_cheap_and_imports_no_engine():
    code = """
import sys, json, time
from framework.cache import fingerprint
start = time.process_time()
fingerprint({"outcome": "y"}, "k", None, 1)
print(json.dumps([time.process_time() - start, sorted(sys.modules)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    seconds, modules = json.loads(done.stdout)
    # 5 ms of this process's own; the bound leaves room for a slow machine.
    assert seconds < 0.5
    assert not {"pandas", "numpy", "pyarrow", "scipy"} & set(modules)


def test_copies_that_a_package_keeps_for_itself_are_no_engines(monkeypatch):
    """Importing Ray puts a folder inside it on the path; no number changes by that."""
    before = dict(identity._versions(("estimand",)))
    inside = next(p for p in sys.path if p.endswith("site-packages"))
    own = Path(inside) / "ray" / "thirdparty_files"
    monkeypatch.setattr(sys, "path", [*sys.path, str(own)])
    seen: list[Path] = []
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda p: (seen.append(p), listed(p))[1])
    identity._installed.cache_clear()
    assert dict(identity._versions(("estimand",))) == before
    assert Path(inside) in seen
    assert own not in seen
    identity._installed.cache_clear()


def test_a_shared_index_is_changed_by_nobody(tmp_path):
    """Cells share equal indexes: a change in place would reach all of them."""
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index([5, 6], name="unit"))
    write_frame(frame, tmp_path / "frame.arrow")
    held = pa.py_buffer((tmp_path / "frame.arrow").read_bytes())
    one, two = read_frame(held), read_frame(held)
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(one.index)[0] = 7
    assert two.index.tolist() == [5, 6]
    one.index = one.index + 1
    assert two.index.tolist() == [5, 6]
