"""p values adjusted within a family."""

from __future__ import annotations

import numpy as np
import pytest

from framework.expect import Judged
from framework.families import adjust, holm, step_down
from tests.build_judged import clustered, estimation, row


def test_holm_by_hand():
    # Sorted .01 x 4, .02 x 3, .03 x 2, .04 x 1, then never falling.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_step_down_by_hand():
    # t = 3, 2; maxima over both columns 1, 4, 2: 1 of 3 reach 3 -> 2/4; the second
    # column alone 1, 0, 2: 1 of 3 reaches 2 -> 2/4.
    drawn = np.array([[1.0, 1.0], [4.0, 0.0], [0.5, 2.0]])
    assert step_down([3.0, 2.0], drawn) == [0.5, 0.5]
    assert step_down([5.0, 0.1], drawn) == [0.25, 0.75]


def test_a_family_leaves_out_what_failed_and_says_so():
    family = [
        estimation("m.c.a", row(1, 1, p=0.01)),
        estimation("m.c.b", row(1, 1, p=0.04)),
        Judged("m.c.c", None, problem="lost"),
    ]
    adjusted = adjust(family, {"name": "holm"}, name="m")
    assert adjusted["m.c.a"].p_value == pytest.approx(0.02)
    assert adjusted["m.c.a"].method == "Holm over 2 columns of m, 1 left out"
    assert adjusted["m.c.b"].p_value == pytest.approx(0.04)
    assert adjusted["m.c.c"].p_value is None
    assert "lost" in adjusted["m.c.c"].reason


def _family(n_clusters=60, same=True):
    rng = np.random.default_rng(5)
    psi = rng.normal(size=(n_clusters, 3)) / 8
    if same:
        psi = psi[:, [0, 0, 0]]
    return [
        clustered(f"m.c.v{k}", 2.2 * float(np.sqrt((psi[:, k] ** 2).sum())),
                  {f"c{g}": float(psi[g, k]) for g in range(n_clusters)})
        for k in range(3)
    ]  # fmt: skip


def test_romano_wolf_costs_nothing_for_one_test_seen_three_times():
    choice = {"name": "romano_wolf", "draws": 4999}
    same = adjust(_family(same=True), choice, name="m", seed=3)
    apart = adjust(_family(same=False), choice, name="m", seed=3)
    # Normal p of 2.2 is .0278; Holm's three-fold .083; Monte Carlo error .0023.
    assert same["m.c.v0"].p_value == pytest.approx(0.0278, abs=0.012)
    assert apart["m.c.v0"].p_value == pytest.approx(0.081, abs=0.02)
    assert "Romano-Wolf over 3 columns of m, 4999 draws" in same["m.c.v0"].method


def test_romano_wolf_depends_on_the_seed_alone():
    choice = {"name": "romano_wolf", "draws": 999}
    family = _family(same=False)
    assert adjust(family, choice, seed=3) == adjust(family, choice, seed=3)
    assert adjust(family, choice, seed=3) != adjust(family, choice, seed=4)
    assert adjust(family[::-1], choice, seed=3) == adjust(family, choice, seed=3)


def test_romano_wolf_needs_influence_functions():
    family = [estimation("m.c.a", row(1, 1)), estimation("m.c.b", row(1, 1))]
    adjusted = adjust(family, {"name": "romano_wolf"})
    assert adjusted["m.c.a"].p_value is None
    assert "no influence function" in adjusted["m.c.a"].reason
