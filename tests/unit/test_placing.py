"""Who gets whose treatment path: every assignment is as likely as any other."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from framework.errors import SpecError
from framework.execute import placing


def drawn(paths, blocks, times, seed=3):
    return np.concatenate(
        list(placing.drawn(np.array(paths), blocks, times, seed)), axis=0
    )


def test_every_assignment_is_as_likely() -> None:
    """Five units, two cohorts: 20 assignments, 6,000 draws."""
    paths = np.array([0, 1, 2, 2, 2])
    found = Counter(map(tuple, paths[drawn(paths, [range(5)], 6_000)].tolist()))
    every = set(itertools.permutations(paths.tolist()))
    assert set(found) == every
    assert len(every) == 20
    counts = np.array([found[one] for one in every])
    # chi-square with 19 degrees of freedom exceeds 43.8 once in a thousand
    assert (np.square(counts - 300) / 300).sum() < 43.8


def test_a_draw_depends_on_the_seed_and_its_number_only(monkeypatch) -> None:
    paths = np.arange(40) % 7
    blocks = [range(25), range(25, 40)]
    whole = drawn(paths, blocks, 50)
    assert (drawn(paths, blocks, 20) == whole[:20]).all()
    monkeypatch.setattr(placing, "_CELLS", 200)
    monkeypatch.setattr(placing, "_SHUFFLED", 80)
    monkeypatch.setattr(placing, "_DRAWS", 1)
    assert (drawn(paths, blocks, 50) == whole).all()
    assert (drawn(paths, blocks, 50, seed=4) != whole).any()


def test_each_draw_is_a_permutation_within_blocks() -> None:
    blocks = [list(range(0, 30, 2)), list(range(1, 30, 2))]
    found = drawn(np.arange(30) % 4, blocks, 25)
    for block in blocks:
        assert (np.sort(found[:, block], axis=1) == block).all()


def test_blocks_in_which_all_are_treated_alike_move_nobody() -> None:
    paths = np.array([0, 1, 0, 1])
    assert placing.all_alike(paths, [[0, 2], [1, 3]])
    assert placing.all_alike(paths, [[0], [1], [2], [3]])
    assert not placing.all_alike(paths, [[0, 1], [2], [3]])


@pytest.mark.parametrize("paths", [[0], [0, 0, 0], []])
def test_nobody_to_move(paths) -> None:
    found = drawn(paths, [range(len(paths))] if paths else [], 4)
    assert found.tolist() == [list(range(len(paths)))] * 4


def test_all_assignments_but_the_true_one(monkeypatch) -> None:
    cohort = np.array([np.inf, 3.0, np.inf, 3.0, np.inf])
    true = np.isfinite(cohort)
    for cells in (placing._CELLS, 15):
        monkeypatch.setattr(placing, "_CELLS", cells)
        every = np.concatenate(list(placing.enumerated(cohort, [range(5)])))
        on = {tuple(row) for row in np.isfinite(cohort[every]).tolist()}
        assert len(on) == len(every) == 9
        assert tuple(true.tolist()) not in on
        assert (np.sort(every, axis=1) == np.arange(5)).all()


def test_what_cannot_be_enumerated_is_refused() -> None:
    two = np.array([2.0, 3.0, np.inf])
    with pytest.raises(SpecError, match="one cohort"):
        list(placing.enumerated(two, [range(3)]))
    many = np.array([2.0] * 15 + [np.inf] * 15)
    with pytest.raises(SpecError, match="155,117,520 assignments"):
        list(placing.enumerated(many, [range(30)]))
