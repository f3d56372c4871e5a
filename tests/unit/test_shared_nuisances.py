"""Predictions on the shelf: found by other processes and runs, never wrongly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._double import nuisance
from estimators._double.nuisance import MEMORY
from estimators.double_ml import DoubleMl
from estimators.learners.linear import Linear
from framework.cache import FolderShelf, Store
from framework.contract import SHELF, Request
from framework.errors import WorkerError
from framework.execute.worker import _check_source
from tests.build_double import request, rows

FAST: dict[str, Any] = {"learner": "linear", "folds": 3, "repetitions": 1}


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[FolderShelf]:
    made = FolderShelf(tmp_path / "parts")
    token = SHELF.set(made)
    MEMORY.clear()
    yield made
    SHELF.reset(token)
    MEMORY.clear()


def fits(made: Request, **options: Any) -> tuple[int, np.ndarray]:
    """Nuisances fitted as by a process that has just started, and the numbers."""
    MEMORY.clear()
    table = DoubleMl(**(FAST | options)).estimate(made).coefficients
    return MEMORY.made, table[["estimate", "std_error"]].to_numpy()


def test_another_process_finds_what_did_not_change(shelf: FolderShelf) -> None:
    data = rows(200)
    data["other"] = data["y"] ** 2
    made = request("plr", data)
    first, numbers = fits(made)
    assert first == 2
    again, same = fits(made)
    assert again == 0
    assert np.array_equal(numbers, same)  # the same bits
    alias = {label: a for a, label in made.labels.items()}
    other = made.frame.assign(**{alias["y"]: data["other"].to_numpy()})
    assert fits(replace(made, frame=other))[0] == 1  # the treatment's is shared


def test_whatever_moves_a_prediction_finds_nothing(shelf: FolderShelf) -> None:
    data = rows(200)
    made = request("plr", data)
    fits(made)
    assert fits(replace(made, seed=9))[0] == 2
    assert fits(made, folds=4)[0] == 2
    assert fits(made, learner="ridge")[0] == 2
    assert fits(made, learner={"ridge": 0.5})[0] == 2
    assert fits(replace(made, frame=made.frame.iloc[:-1]))[0] == 2
    assert fits(request("plr", data, controls=("x1", "x2")))[0] == 2
    changed = data.assign(x1=data["x1"] + 1e-9 * (np.arange(200) == 7))
    assert fits(request("plr", changed))[0] == 2
    assert fits(made, repetitions=2)[0] == 2  # the second split's


def parts_in(folder: Path) -> list[Path]:
    """What is kept there, without the file of the claims."""
    return sorted(folder.glob("[!.]*"))


def test_a_part_is_there_at_once_and_not_by_changed_sources(
    shelf: FolderShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = request("plr", rows(200))
    with monkeypatch.context() as patch:
        # The estimation fails after its last nuisance.
        patch.setattr("estimators._double.scores.partialling_out", None)
        with pytest.raises(TypeError):
            fits(made, folds=4)
    assert fits(made, folds=4)[0] == 0
    shelf.sound = partial(_check_source, 0)
    with pytest.raises(WorkerError, match="W06"):
        fits(made)
    shelf.sound = partial(_check_source, 2**63)
    assert fits(made)[0] == 2


def test_of_many_folds_one_file_stays(
    shelf: FolderShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("estimators._double.shared.WORTH_SECONDS", -1.0)
    put = []
    monkeypatch.setattr(
        FolderShelf,
        "put",
        lambda self, key, value, put_=FolderShelf.put: (
            put.append(key),
            put_(self, key, value),
        ),
    )
    fits(request("plr", rows(200)))
    assert len(put) == 2 * (3 + 1)
    assert len(parts_in(shelf.folder)) == 2


@pytest.mark.parametrize("damage", ["short", "flipped", "empty", "moved"])
def test_a_damaged_part_is_computed_again(shelf: FolderShelf, damage: str) -> None:
    made = request("plr", rows(200))
    numbers = fits(made)[1]
    one, two = parts_in(shelf.folder)
    whole = one.read_bytes()
    broken = {
        "short": whole[:-8],
        "flipped": whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
        "empty": b"",
        "moved": two.read_bytes(),  # another part under this name
    }
    one.write_bytes(broken[damage])
    again, same = fits(made)
    assert again == 1
    assert np.array_equal(numbers, same)
    assert one.read_bytes() == whole


def test_no_draft_is_left_and_a_full_disk_costs_nothing(
    shelf: FolderShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    made = request("plr", rows(200))
    monkeypatch.setattr("framework.cache.shelf.Path.replace", full)
    numbers = fits(made)[1]
    assert not parts_in(shelf.folder)
    assert not list(shelf.folder.glob("*.draft"))
    assert np.array_equal(fits(made)[1], numbers)


class Foreign(Linear):
    """A learner of somebody else's package, whose source no name of ours covers."""


def test_learners_of_other_packages_stay_in_memory(shelf: FolderShelf) -> None:
    from estimators.learners.stacking import Stacking

    assert nuisance._shelved(Linear())
    assert not nuisance._shelved(Foreign())
    assert nuisance._shelved(Stacking(learners=["linear", "ridge"]))
    assert not nuisance._shelved(Stacking(learners=[Foreign(), "ridge"]))
    fits(request("plr", rows(200)), learner=Foreign())
    assert not shelf.folder.exists()


def test_the_folder_is_named_by_sources_and_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Store(tmp_path).shelf().folder
    assert Store(tmp_path).shelf().folder == before
    for name in ("source_hash", "engines_hash"):
        with monkeypatch.context() as patch:
            patch.setattr(f"framework.cache.identity.{name}", lambda: "another")
            assert Store(tmp_path).shelf().folder != before


_STUDY = """
study: shared
data: {source: rows.csv}
model:
  outcome: y
  treatment: {column: d, kind: cross_section}
  controls: [x1, x2, x3]
  inference: hetero
  estimator: {double_ml: {learner: {best: [linear, ridge]}, folds: 3, repetitions: 2}}
checks: {main: {outcomes: {each: {outcome: [y, other, ye]}}}}
"""


def test_workers_orders_and_shuffled_rows_give_the_same_numbers(tmp_path: Path) -> None:
    """One worker; two workers on shuffled rows with the lines turned around."""
    data = rows(300)
    data["other"] = data["y"] ** 2
    found, chosen = [], []
    for name, outcomes, frame, workers in (
        ("one", "[y, other, ye]", data, 1),
        ("two", "[ye, y, other]", data.sample(frac=1, random_state=1), 2),
    ):
        folder = tmp_path / name
        folder.mkdir()
        frame.to_csv(folder / "rows.csv", index=False)
        study = _STUDY.replace("[y, other, ye]", outcomes)
        (folder / "study.yaml").write_text(study, encoding="utf-8")
        command = [sys.executable, "-m", "framework", "run", "study.yaml", "--quiet"]
        command += ["tracking=none", f"executor.workers={workers}"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (version,) = (folder / "runs" / ".cells" / "parts").iterdir()
        # Of a worker that helped when the run ended, a fold's may be there, too.
        whole = [p for p in parts_in(version) if p.stat().st_size > 8 * len(data)]
        # Three outcomes and one treatment, two splits: the treatment's are shared.
        assert len(whole) == 2 * 4
        table = min(folder.glob("runs/shared/*/coefficients.csv"))  # and `latest`
        made = pd.read_csv(table, dtype=str)  # digit for digit
        found.append(made.sort_values(list(made.columns)).reset_index(drop=True))
        files = sorted((table.parent / "frames").glob("*nuisances.csv"))
        chosen.append(sorted(pd.read_csv(f, dtype=str).to_csv() for f in files))
    assert len(found[0]) == 3
    pd.testing.assert_frame_equal(*found)
    assert len(chosen[0]) == 3
    assert ",chosen" in chosen[0][0]
    assert chosen[0] == chosen[1]


def test_parts_asked_for_longest_ago_go_first_whatever_their_version(
    tmp_path: Path,
) -> None:
    import os

    def of(version: str) -> FolderShelf:
        return FolderShelf(tmp_path / version, root=tmp_path, limit=5_000)

    def keep(shelf: FolderShelf, name: bytes, at: int) -> None:
        before = set(tmp_path.rglob("*"))
        shelf.put(name, bytes(1_000))
        shelf.make_room()
        for file in set(tmp_path.rglob("*")) - before:
            if file.is_file():
                os.utime(file, (at, at))

    old, new = of("old"), of("new")
    keep(old, b"a", 1)
    keep(old, b"b", 2)
    keep(new, b"c", 3)
    assert old.get(b"a") == bytes(1_000)  # asked for now
    keep(new, b"d", 4)
    assert new.get(b"c") is not None
    draft = tmp_path / "new" / ".x.draft"  # of another worker, under way
    draft.write_bytes(bytes(9_000))
    keep(new, b"e", 5)  # beyond the bound: one goes
    assert draft.exists()
    assert old.get(b"b") is None
    for shelf, name in ((old, b"a"), (new, b"c"), (new, b"d"), (new, b"e")):
        assert shelf.get(name) is not None
    assert sum(f.stat().st_size for f in tmp_path.rglob("[!.]*") if f.is_file()) < 5_000
    os.utime(draft, (4, 4))  # of a worker that was killed long ago
    keep(new, b"f", 6)
    assert not draft.exists()
