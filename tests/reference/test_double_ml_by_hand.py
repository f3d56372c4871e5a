"""Transforms, cross-fitting by least squares and final stage again, by dummies and loops.

On a panel with gaps, for every transform, with and without an instrument, by clusters of
units and of regions. Nothing here is shared with the estimator but the folds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._double.sample import read
from estimators._double.scores import repetition
from tests.build_double import panel, panel_request, plan

#: The same sums in another order, and projections by another algorithm.
SAME = 1e-11
TRANSFORMS = (
    "none",
    "within",
    "first_difference",
    "two_way",
    "correlated_random_effects",
)
FOLDS = 3
Arrays = dict[str, np.ndarray]


def gappy() -> pd.DataFrame:
    """90 units in 7 periods, one row of eight missing; `z` moves with `d`."""
    rng = np.random.default_rng(4)
    data = panel(units=90, periods=7, seed=5)
    data["z"] = 0.6 * data["d"] + rng.normal(size=len(data))
    data["area"] = data["region"] // 2
    data = data[rng.random(len(data)) > 0.12]
    return data.sort_values(["unit", "time"]).reset_index(drop=True)


def demeaned(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    held = pd.DataFrame(values)
    return (
        (held - held.groupby(unit).transform("mean")).to_numpy().reshape(values.shape)
    )


def dummies(of: np.ndarray, first: int) -> np.ndarray:
    return pd.get_dummies(of, dtype=float).iloc[:, first:].to_numpy()


def by_hand(data: pd.DataFrame, transform: str) -> Arrays:
    """Features `F` and transformed `y`, `d`, `z`, with `unit`, `time`, `area`."""
    made = {c: data[c].to_numpy() for c in ("y", "d", "z", "unit", "time", "area")}
    X = data[["x1", "x2"]].to_numpy()
    numbers = ("y", "d", "z")
    if transform == "first_difference":
        before = data.groupby("unit")[["time", *numbers, "x1", "x2"]].shift(1)
        kept = (data["time"] - before["time"] == 1).to_numpy()
        for c in numbers:
            made[c] = (data[c] - before[c]).to_numpy()
        made = {c: values[kept] for c, values in made.items()}
        X = np.column_stack([X[kept], before[["x1", "x2"]].to_numpy()[kept]])
    periods = dummies(made["time"], 1)
    F = np.column_stack([X, periods])
    if transform == "within":
        F = demeaned(F, made["unit"])
        made |= {c: demeaned(made[c], made["unit"]) for c in numbers}
    if transform == "two_way":
        D = np.column_stack([dummies(made["unit"], 0), periods])

        def off(values: np.ndarray) -> np.ndarray:
            return np.asarray(values - D @ np.linalg.lstsq(D, values, rcond=None)[0])

        F = off(X)
        made |= {c: off(made[c]) for c in numbers}
    if transform == "correlated_random_effects":
        F = np.column_stack([X, X - demeaned(X, made["unit"]), periods])
    return made | {"F": F}


def residual(of: np.ndarray, at: Arrays, fold: np.ndarray, means: bool) -> np.ndarray:
    """Out-of-fold residual; `means` adds what unit means of the column tell."""
    A = np.column_stack([np.ones(len(of)), at["F"]])
    fitted = np.empty(len(of))
    for k in range(FOLDS):
        train = fold != k
        b = np.linalg.lstsq(A[train], of[train], rcond=None)[0]
        fitted[~train] = A[~train] @ b
    if means:
        own, learned = (x - demeaned(x, at["unit"]) for x in (of, fitted))
        fitted = fitted + own - learned
    return of - fitted


@pytest.mark.parametrize("cluster", ["unit", "area"])
@pytest.mark.parametrize("kind", ["plr", "pliv"])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_estimate_and_error_by_hand(transform: Any, kind: Any, cluster: str) -> None:
    data = gappy()
    made = panel_request(data, clusters=(cluster,))
    if kind == "pliv":
        made = replace(
            made,
            frame=made.frame.assign(z0=data["z"].to_numpy()),
            instruments=("z0",),
            labels={**made.labels, "z0": "z"},
        )
    how = plan(folds=FOLDS)
    sample = read(made, kind, transform, FOLDS)
    solved = repetition(sample, how, 0).solved["coefficient"]

    at = by_hand(data, transform)
    drawn = sample.folds(FOLDS, how.seed, 0)
    assert sample.unit is not None
    assert sample.time is not None
    names = [sample.unit_names[u] for u in sample.unit]
    fold_of = dict(zip(zip(names, sample.time, strict=True), drawn, strict=True))
    fold = np.array([fold_of[key] for key in zip(at["unit"], at["time"], strict=True)])
    assert len(fold) == sample.n
    means = transform == "correlated_random_effects"
    u = residual(at["y"], at, fold, means=False)
    v = residual(at["d"], at, fold, means)
    w = residual(at["z"], at, fold, means) if kind == "pliv" else v
    # Chiang, Kato, Ma and Sasaki (2022): folds count alike, clusters alike in a fold.
    groups = at[cluster]
    held = [len(np.unique(groups[fold == k])) for k in range(FOLDS)]
    weight = 1 / (FOLDS * np.array(held)[fold])
    slope = np.sum(weight * w * v)
    theta = np.sum(weight * w * u) / slope
    psi = w * (u - theta * v)
    variance = 0.0
    for g in np.unique(groups):
        inside = groups == g
        home = held[fold[inside][0]]
        variance += psi[inside].sum() ** 2 / (FOLDS * home * len(np.unique(groups)))
    assert solved.theta[0] == pytest.approx(theta, rel=SAME)
    error = np.sqrt(variance) / abs(slope)
    assert np.sqrt(solved.covariance[0, 0]) == pytest.approx(error, rel=SAME)
