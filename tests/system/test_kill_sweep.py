"""Kill -9 of a sweep's command or a worker at random instants, then `--resume`.

`make test-system` takes ten kills, `make kills` the hundred (some twenty minutes on two
cores) and prints every one of them.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.killed_sweep import JOBS, Real, killed

pytestmark = pytest.mark.system

KILLS = int(os.environ.get("ESTIMAND_KILLS", "10"))
#: Another seed has other instants, the machine's load changes them anyway.
SEED = int(os.environ.get("ESTIMAND_KILLS_SEED", "100"))


def test_kills_at_random_instants_then_resume(tmp_path: Path):
    rng = random.Random(SEED)
    shots = killed(tmp_path, KILLS, rng, Real.start, print)  # `make kills` shows them
    assert len(shots) == KILLS
    assert Counter(shot.who for shot in shots)["worker"] == KILLS // 2
    assert [(s.lost, s.redone, s.left) for s in shots] == [(0, 0, 0)] * KILLS
    # They fell into the work, too, not only before and after it.
    assert any(shot.fresh > 0 and shot.finished < JOBS for shot in shots), shots
