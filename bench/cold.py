"""Seconds from the command to the first number, nothing warm and nothing stored."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from bench import peer
from bench.figures import ESTIMAND, ROOT, Figure, empty_folder, ratio

#: The estimate as both print it, cut to the digits that any table shows.
_NUMBER = "0.069"
_BARE = """
import pandas
import pyfixest
fit = pyfixest.feols(
    "l_homicide ~ post | sid + year", pandas.read_csv("castle.csv"), vcov={"CRV1": "sid"}
)
print(fit.coef()["post"], fit.se()["post"])
"""


def until_number(command: Sequence[str], folder: Path = ROOT) -> float:
    """Seconds until the command has printed the estimate."""
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if _NUMBER in line:
                seconds = time.perf_counter() - start
                process.stdout.read()
                return seconds
    raise RuntimeError(f"{command} never printed {_NUMBER}")


def measure() -> list[Figure]:
    """One estimation of a new study against one bare fit, each from its own start."""
    from causaldata import castle

    bare = [str(peer.python("pyfixest")), "-P", "-c", _BARE]
    ours, theirs = [], []
    for _ in range(3):
        with empty_folder() as folder:
            castle.load_pandas().data.to_csv(folder / "castle.csv", index=False)
            theirs.append(until_number(bare, folder))
            command = [ESTIMAND, "run", "castle.yaml", "--only", "baseline"]
            ours.append(until_number(command, folder))
    name = f"cold seconds to the first number / bare {peer.label('pyfixest')}"
    return [ratio(name, ours, theirs)]
