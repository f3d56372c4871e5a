"""Finished estimations by hand, for whatever judges them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pandas as pd

from framework.expect import Judged, judge
from framework.panel import LedgerLine
from framework.result import COEFFICIENT_COLUMNS, Result

T_95 = 1.959963984540054  # 97.5% quantile of the normal distribution


@dataclass(frozen=True)
class Cell:
    result: Result
    labels: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({"treatment": ["ai"], "outcome": "y"})
    )
    draws: pd.DataFrame | None = None
    ledger: tuple[LedgerLine, ...] = ()


def row(
    estimate, error, *, estimand="att", term="ai", crit=T_95, p=None, **index
) -> dict[str, Any]:
    t = estimate / error if error else math.nan
    two = math.erfc(abs(t) / math.sqrt(2)) if p is None else p
    values = ("main", estimand, term, estimate, error, t, two)
    ends = (estimate - crit * error, estimate + crit * error)
    return dict(zip(COEFFICIENT_COLUMNS, values + ends, strict=True)) | index


def estimation(address, *rows, expect=(), against="", **more) -> Judged:
    expect = expect if isinstance(expect, tuple | list) else (expect,)
    coefficients = pd.DataFrame(list(rows))
    parts = {k: more.pop(k) for k in ("scalars", "tests", "influence") if k in more}
    cell = {k: more.pop(k) for k in ("labels", "draws", "ledger") if k in more}
    return Judged(
        address,
        Cell(Result(coefficients, **parts), **cell),
        expect=tuple({"name": e} if isinstance(e, str) else e for e in expect),
        against=against,
        **more,
    )


def verdicts(*run, adjusted=None):
    return [v for all_ in judge(run, adjusted).values() for v in all_]


def verdict(*run, adjusted=None):
    (only,) = verdicts(*run, adjusted=adjusted)
    return only


def clustered(address, estimate, psi, *, names="city", error=None, **more) -> Judged:
    """An estimation whose influence functions are `psi` (id -> value)."""
    index = pd.Index(list(psi), name=names)
    if isinstance(names, tuple):
        index = pd.MultiIndex.from_tuples(list(psi), names=names)
    influence = pd.DataFrame({0: list(psi.values())}, index=index, dtype=float)
    error = math.sqrt(sum(v * v for v in psi.values())) if error is None else error
    return estimation(address, row(estimate, error), influence=influence, **more)
