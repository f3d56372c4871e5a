"""A sweep survives kill -9 of its command and of its workers: five of the hundred.

The others are in `tests/system/test_kill_sweep.py` (`make kills`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework.execute import ENVIRONMENT
from tests.real_command import PROJECT


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks after importing engines")
def test_five_kills_then_resume(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.forked_sweep", str(tmp_path), "5", "7"],
        cwd=PROJECT,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shots = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(shots) == 5
    assert [shot["who"] for shot in shots].count("worker") == 2
    assert [(s["lost"], s["redone"], s["left"]) for s in shots] == [(0, 0, 0)] * 5
