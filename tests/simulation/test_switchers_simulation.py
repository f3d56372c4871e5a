"""Known truth where treatment rises, falls and lasts: bias and coverage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from estimators.dechaisemartin_dhaultfoeuille import DechaisemartinDhaultfoeuille
from tests.build_switching import switching, switching_request

DRAWS = 120
EFFECT, CARRY = 0.5, 0.3


def truth(data: pd.DataFrame) -> dict[int, tuple[float, float, int]]:
    """Event time -> mean effect of the switchers, their mean change and number."""
    D = data.pivot(index="unit", columns="time", values="d").to_numpy()
    n, T = D.shape
    moved = D[:, :1] != D
    first = np.where(moved.any(axis=1), moved.argmax(axis=1), T)
    crossed = np.logical_or.accumulate(
        np.sign(D - D[:, :1])
        * np.sign(D[np.arange(n), np.minimum(first, T - 1)] - D[:, 0])[:, None]
        < 0,
        axis=1,
    )
    found = {}
    for e in range(T):
        effects, changes = [], []
        for g in np.flatnonzero(first + e < T):
            t = first[g] + e
            alike = (D[:, 0] == D[g, 0]) & (first > t)
            if crossed[g, t] or not alike.any():
                continue
            sign = np.sign(D[g, first[g]] - D[g, 0])
            change = sign * (D[g, t] - D[g, 0])
            effects.append(EFFECT * change + CARRY * sign * (D[g, t - 1] - D[g, 0]))
            changes.append(change)
        if effects:
            found[e] = (np.mean(effects), np.mean(changes), len(effects))
    return found


@pytest.mark.parametrize("controls", [[], ["x"]])
def test_bias_and_coverage(controls):
    kept: dict[str, list[tuple[float, float]]] = {"att": [], "late": [], "placebo": []}
    for seed in range(DRAWS):
        data = switching(seed, effect=EFFECT, carry=CARRY, values=2, units=100)
        if controls:
            data["x"] = np.random.default_rng(10_000 + seed).normal(size=len(data))
            data["y"] += data.x
        true = truth(data)
        table = (
            DechaisemartinDhaultfoeuille()
            .estimate(
                switching_request(
                    data, estimand=("att", "by_event_time"), controls=controls
                )
            )
            .coefficients
        )
        late = table[table.event_time == 2].iloc[0]
        before = table[table.event_time == -2].iloc[0]
        total = sum(mean * n for mean, _, n in true.values())
        dose = sum(change * n for _, change, n in true.values())
        for name, row, value in (
            ("att", table.iloc[0], total / dose),
            ("late", late, true[2][0]),
            ("placebo", before, 0.0),
        ):
            kept[name].append(
                (row.estimate - value, row.conf_low <= value <= row.conf_high)
            )
    for name, draws in kept.items():
        gap, covered = np.array(draws).T
        assert abs(gap.mean()) < 3 * gap.std(ddof=1) / np.sqrt(DRAWS), name
        # conservative errors by design; three binomial deviations
        assert covered.mean() >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / DRAWS), name
