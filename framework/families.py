"""p values adjusted across the columns of a family.

`families: {mechanisms: holm}`: every column of the heading (or line) is one test of the
family; what is adjusted is the p value of its judged number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.errors import counted
from framework.expect.comparison import aligned
from framework.expect.rows import CannotBeJudged, Judged, Row, judged_row
from framework.expect.scene import Adjusted
from framework.spec.expectations import FAMILIES, RomanoWolf

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Draws of signs held in memory at once.
_BLOCK = 1000
#: Statistics of one draw that agree to rounding are ties.
_TIE = 1e-12


def adjust(
    family: Sequence[Judged],
    choice: Mapping[str, Any],
    *,
    name: str = "",
    seed: int = 0,
) -> dict[str, Adjusted]:
    """Adjusted p values of a family's judged numbers.

    Args:
        family: its estimations. One that failed is left out of the count, said so.
        choice: flat, `{"name": "holm"}` or `{"name": "romano_wolf", "draws": 9999}`.
        name: address of the family, for the words.
        seed: of the multiplier draws.

    Returns:
        Address -> adjusted p value, or the reason why there is none.
    """
    options = FAMILIES[choice["name"]].model_validate(
        {k: v for k, v in choice.items() if k != "name"}
    )
    rows, adjusted = _rows(family)
    of = f" of {name}" if name else ""
    left_out = f", {len(adjusted)} left out" if adjusted else ""
    columns = f"{counted(len(rows), 'column')}{of}{left_out}"
    members = [(j, rows[j.address]) for j in family if j.address in rows]
    if not members:
        return adjusted
    if isinstance(options, RomanoWolf):
        method = f"Romano-Wolf over {columns}, {options.draws} draws"
        try:
            values = _romano_wolf(members, options.draws, seed)
        except CannotBeJudged as why:
            reason = f"no Romano-Wolf p value: {why}"
            return adjusted | {
                j.address: Adjusted(None, "", reason) for j, _ in members
            }
    else:
        method = f"Holm over {columns}"
        values = holm([row.p_value for _, row in members])
    return adjusted | {
        judged.address: Adjusted(p, method)
        for (judged, _), p in zip(members, values, strict=True)
    }


def _rows(family: Sequence[Judged]) -> tuple[dict[str, Row], dict[str, Adjusted]]:
    rows: dict[str, Row] = {}
    without: dict[str, Adjusted] = {}
    for judged in family:
        try:
            row = judged_row(judged)
            if math.isnan(row.p_value):
                raise CannotBeJudged(f"{row.where} has no p value")
            rows[judged.address] = row
        except CannotBeJudged as why:
            without[judged.address] = Adjusted(None, "", str(why))
    return rows, without


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjusted p values, in the order given."""
    m = len(p_values)
    order = sorted(range(m), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * m, 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (m - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _romano_wolf(
    members: Sequence[tuple[Judged, Row]], draws: int, seed: int
) -> list[float]:
    influence, _ = aligned(members)
    if influence.index.nlevels != 1:
        raise CannotBeJudged("signs can't be drawn for two-way clusters; use holm")
    t = [abs(row.estimate / row.std_error) for _, row in members]
    errors = [row.std_error for _, row in members]
    return step_down(t, _drawn(influence, errors, draws, seed))


def _drawn(
    influence: pd.DataFrame, errors: Sequence[float], draws: int, seed: int
) -> np.ndarray:
    """|t| under the null: influence functions times random signs (draws x columns)."""
    import numpy as np

    psi = influence.to_numpy() / np.asarray(errors)
    random = np.random.default_rng(seed)
    blocks = []
    for start in range(0, draws, _BLOCK):
        n = min(_BLOCK, draws - start)
        signs = 2.0 * random.integers(0, 2, size=(n, len(psi))) - 1.0
        blocks.append(np.abs(signs @ psi))
    return np.concatenate(blocks)


def step_down(t: Sequence[float], drawn: np.ndarray) -> list[float]:
    """Romano and Wolf's (2005) step-down p values, (count + 1) / (draws + 1).

    Args:
        t: absolute statistics, one per column.
        drawn: absolute statistics under the null, draws x columns.

    Returns:
        Adjusted p values in the order given.
    """
    import numpy as np

    order = np.argsort(-np.asarray(t), kind="stable")
    adjusted, largest = [0.0] * len(t), 0.0
    for rank, i in enumerate(order):
        highest = drawn[:, order[rank:]].max(axis=1)
        count = int((highest >= t[i] * (1 - _TIE)).sum())
        largest = max(largest, (count + 1) / (len(drawn) + 1))
        adjusted[int(i)] = largest
    return adjusted
