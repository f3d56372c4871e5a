"""`estimand run`, killed at any moment: run again, and it is as if nothing happened."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.real_command import (
    ESTIMATIONS,
    Folder,
    Moment,
    completes,
    estimating,
    killed,
    numbers,
    whole,
    writing,
)

pytestmark = pytest.mark.system

#: Kills that a folder takes before it may finish.
CHAIN = 5


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, float]:
    """The tables of a run that nobody disturbs, and the seconds it takes."""
    folder = Folder.make(tmp_path_factory.mktemp("undisturbed"))
    started = time.monotonic()
    done = folder.run()
    seconds = time.monotonic() - started
    assert done.exit == 0, done.err
    assert done.counts == (ESTIMATIONS, 0)
    whole(done.folder)
    assert set(folder.statuses()) == {"FINISHED"}
    assert folder.left_over() == []
    return numbers(done.folder), seconds


@pytest.mark.parametrize("first", range(4))
def test_kills_spread_evenly_over_a_run(tmp_path: Path, undisturbed, first: int):
    # Four folders share twenty instants. Later kills of a folder come later in the run,
    # and what is finished is skipped, so all its phases are hit.
    tables, seconds = undisturbed
    folder = Folder.make(tmp_path / "study")
    for instant in range(first, 4 * CHAIN, 4):
        killed(folder, delay=seconds * (instant + 0.5) / (4 * CHAIN))
    completes(folder, tables)


@pytest.mark.parametrize("seed", range(3))
def test_kills_at_random_instants(tmp_path: Path, undisturbed, seed: int):
    tables, seconds = undisturbed
    rng = random.Random(seed)
    folder = Folder.make(tmp_path / "study")
    for _ in range(CHAIN):
        killed(folder, delay=rng.uniform(0, seconds))
    completes(folder, tables)


@pytest.mark.parametrize(
    ("moment", "longest"),
    # Longest delay after the moment: about as long as it lasts on an idle machine.
    # The first kill of each is held there, so one falls into it on any machine.
    # MLflow's store is made and written in hundredths of a second, which no clock hits:
    # deaths there are tried in `test_kill_run_instants.py` and `test_new_store.py`.
    [(estimating, 1.0), (writing, 1.5)],
)
def test_kills_in_every_phase(
    tmp_path: Path, undisturbed, moment: Moment, longest: float
):
    tables, _ = undisturbed
    folder = Folder.make(tmp_path / "study")
    rng = random.Random(moment.__name__)
    hits = 0
    for kill in range(3):
        # With few left, the last would be finished before we saw another one.
        if moment is estimating and len(folder.finished()) > ESTIMATIONS // 2:
            break
        killed(folder, rng.uniform(0, longest) if kill else 0.0, moment)
        hits += moment(folder, 0)
    assert hits, "no kill fell into the phase"
    completes(folder, tables)


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")],
)
def test_signals_say_what_to_do(
    tmp_path: Path, undisturbed, number: int, code: int, word: str
):
    tables, _ = undisturbed
    folder = Folder.make(tmp_path / "study")
    for moment in (estimating, writing):
        status, err = killed(folder, 0.0, moment, number)
        assert status == code, err
        assert "Traceback" not in err
        last = err.splitlines()[-1]
        assert last == f"{word}: run again, nothing finished is computed twice"
    completes(folder, tables)
