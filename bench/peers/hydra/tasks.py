"""Hydra's basic sweeper and launcher, with feols and MLflow in every job."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

APP = Path(__file__).with_name("app.py")


def sweep(data, about):
    """The whole command over some of the states; what each job found is read back."""
    folder = Path(about["folder"])
    pd.DataFrame(data).to_csv(folder / "data.csv", index=False)
    fixed = [f"+outcome={about['outcome']}", f"+controls={about['controls']}"]

    def command(states):
        shutil.rmtree(folder / "multirun", ignore_errors=True)
        without = "+without=" + ",".join(map(str, states))
        done = subprocess.run(
            [sys.executable, "-P", str(APP), *fixed, without, "--multirun"],
            cwd=folder,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        found = {}
        for path in folder.glob("multirun/*/*/*/coefficients.csv"):
            row = pd.read_csv(path, index_col=0).loc["post"]
            state = states[int(path.parent.name)]
            found[str(state)] = [float(row["Estimate"]), float(row["Std. Error"])]
        return found

    return command
