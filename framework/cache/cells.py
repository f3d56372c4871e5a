"""What is asked of a worker and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from framework.errors import NOT_IDENTIFIED, Problem
from framework.panel import LedgerLine
from framework.result import Result

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Job:
    """One estimation, as a worker needs it: plain values only.

    Attributes:
        fingerprint: name of the estimation in the store.
        address: `heading.line[.value]`, for messages only; it names no number.
        panel: key of the prepared panel in the store.
        data, model: normalised trees of the study (JSON values).
        draws: `{permute|resample|resplit|leave_out: …, times: …}` or None.
        seed: the study's seed; 0 where nothing is drawn at random.
        source: key of the panel before its steps, where draws redo them.
        protected: columns that those steps leave alone unless they list them.
    """

    fingerprint: str
    address: str
    panel: str
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    draws: Mapping[str, Any] | None
    seed: int
    source: str = ""
    protected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A finished estimation.

    Attributes:
        ledger: sample lines, from the rows of the prepared panel to the rows used.
        labels: what the design resolved: `outcome`, `treatment`, `controls`,
            `fixed_effects`, `inference`, `weights`, `sample`, `formula`, `terms`.
        draws: one row per draw: `draw, estimate, std_error, statistic` of the judged
            row; None without draws.
        notes: sentences of the design, printed under the table.
        acknowledged: refusals that the study knowingly overrode.
        seconds: time of the estimation in the worker.
    """

    fingerprint: str
    result: Result
    ledger: tuple[LedgerLine, ...] = ()
    labels: Mapping[str, Any] = field(default_factory=dict)
    draws: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """An estimation without a number: why, and the trace for who mends it."""

    problems: tuple[Problem, ...]
    trace: str = ""

    def is_acknowledged(self, model: Mapping[str, Any]) -> bool:
        """The design gives no number, and the study has said so itself."""
        said = NOT_IDENTIFIED in (model.get("acknowledge") or ())
        codes = [problem.code[:1] for problem in self.problems]
        return said and bool(codes) and set(codes) == {"I"}
