"""How near two incomes are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from estimators._math.neighbours import Floats
from estimators.weights._places import listed
from framework.errors import DataError, counted


def closeness(units: pd.Index[Any], income: Floats, column: str) -> Floats:
    """1 / |income_i - income_j| (n, n), zero diagonal.

    Raises:
        DataError: S07 two units with the same income.
    """
    twice = pd.Series(income).duplicated(keep=False).to_numpy()
    if twice.any():
        raise DataError(
            "S07",
            f"{counted(int(twice.sum()), 'unit has', 'units have')} the same "
            f"'{column}': {listed(units[twice])}",
            why="the inverse of no difference is no weight",
            fix="income with more digits, or form: mass, which takes no differences",
        )
    gap = np.abs(income[:, None] - income)
    np.fill_diagonal(gap, np.inf)
    return np.asarray(1.0 / gap)


def mass(units: pd.Index[Any], income: Floats, column: str) -> Floats:
    """Income relative to its mean (n,).

    Raises:
        DataError: S07 an income that is not positive.
    """
    poor = income <= 0
    if poor.any():
        raise DataError(
            "S07",
            f"'{column}' is not positive in {counted(int(poor.sum()), 'unit')}: "
            f"{listed(units[poor])}",
            why="the weight of a neighbour would be negative or zero",
            fix="income in levels, not its logarithm",
        )
    return np.asarray(income / income.mean())
