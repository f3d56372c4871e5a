"""Point estimates of pyfector 0.1.4 (a port of R's fect) on the panel of the test.

    uv run --no-project --with pyfector==0.1.4 --with pandas tests/reference/fect/make.py

It writes `results.csv` beside itself. Its penalty is lambda over the number of cells. With
three factors where there are two, least squares beside a covariate has no minimum: that
model is not among these.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyfector

HERE = Path(__file__).parent


def panel() -> pd.DataFrame:
    """80 units x 20 periods with two factors, one covariate, four cohorts."""
    rng = np.random.default_rng(0)
    N, T = 80, 20
    first = np.full(N, np.inf)
    first[:24] = 12 + np.arange(24) % 4
    F, loading = rng.normal(size=(T, 2)), rng.normal(size=(N, 2))
    loading[:24] += 0.7
    x = rng.normal(size=(N, T)) + 0.3 * loading @ F.T
    d = np.arange(T)[None, :] >= first[:, None]
    y = (
        rng.normal(size=N)[:, None]
        + 0.1 * np.arange(T)
        + loading @ F.T
        + x
        + 2.0 * d
        + 0.5 * rng.normal(size=(N, T))
    )
    unit, time = np.repeat(np.arange(N), T), np.tile(np.arange(T), N)
    return pd.DataFrame(
        {
            "unit": [f"u{u:02d}" for u in unit],
            "time": time,
            "y": y.ravel(),
            "x": x.ravel(),
            "d": d.ravel().astype(float),
            "first": first[unit],
        }
    )


def main() -> None:
    """One row per model."""
    data = panel()
    frame = pl.from_pandas(data.assign(d=data.d.astype(int)).drop(columns="first"))
    rows = []
    for covariates in ([], ["x"]):
        models = [("ife", r, None) for r in range(3 if covariates else 4)]
        models += [("mc", 0, lam) for lam in (0.001, 0.004, 0.01)]
        for method, r, lam in models:
            found = pyfector.fect(
                frame,
                Y="y",
                D="d",
                index=("unit", "time"),
                X=covariates or None,
                method=method,
                r=r,
                lam=lam,
                CV=False,
                tol=1e-13,
                max_iter=200_000,
                n_jobs=1,
            )
            beta = np.ravel(found.beta) if covariates else [np.nan]
            value = r if method == "ife" else lam
            rows.append([method, value, len(covariates), found.att_avg, beta[0]])
    with (HERE / "results.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["method", "value", "controls", "att", "beta"])
        out.writerows(rows)


if __name__ == "__main__":
    main()
