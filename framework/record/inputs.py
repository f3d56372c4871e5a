"""What a finished run hands over to be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.cache import Cell, Failure
    from framework.data.changes import OutcomeChange
    from framework.expect import Adjusted, Shift, Verdict
    from framework.panel import Panel
    from framework.plan import Estimation


@dataclass(frozen=True, slots=True)
class Column:
    """One estimation of the run and what became of it.

    Attributes:
        outcome: the finished cell, why it failed, or None when it never started
            (refused, or a plugin it needs is not built).
        verdicts: one per expectation of the estimation.
        cached: the cell was finished by an earlier run.
        panel: key in `RunInputs.panels` of the data it used; "" = the base panel.
        shift: how far it is from what its expectations compare it with.
        adjusted: its p value across the columns of its family, where it has one.
        flag: what another line of the study says against its numbers.
        beside: what another line of the study has that these need beside them.
        change: how its outcome differs from that one's, where it was made anew.
        same_as: address of an earlier value of its line that is the same specification.
    """

    estimation: Estimation
    outcome: Cell | Failure | None = None
    verdicts: tuple[Verdict, ...] = ()
    cached: bool = False
    panel: str = ""
    shift: Shift | None = None
    change: OutcomeChange | None = None
    adjusted: Adjusted | None = None
    flag: str = ""
    beside: str = ""
    same_as: str = ""

    @property
    def status(self) -> str:
        """`done`, `failed`, `not_identified`, `refused` or `not_built`."""
        from framework.cache import Cell, Failure

        if isinstance(self.outcome, Cell):
            return "done"
        if self.unidentified:
            return "not_identified"
        if isinstance(self.outcome, Failure):
            return "failed"
        return "refused" if self.estimation.problems else "not_built"

    @property
    def unidentified(self) -> bool:
        """Its design gives no number, and the study has said so itself."""
        from framework.cache import Failure

        outcome = self.outcome
        if not isinstance(outcome, Failure):
            return False
        return outcome.is_acknowledged(self.estimation.model)


@dataclass(frozen=True, slots=True)
class RunInputs:
    """Everything that a run's folder is made of.

    Attributes:
        spec: text of the study file as the user wrote it.
        sources: file name -> text of every file the study takes in (`from:`,
            `published:`).
        overrides: changes from the command line, as typed.
        panels: data key -> prepared panel; `base` is the study's own.
        source, source_sha256: where the data came from and their bytes' hash.
        columns: every planned estimation, in the order of the study.
        published: rows of the printed-against-ours comparison, as in the manifest.
        multiverses: lines with several choices, summed up, as in the manifest.
        primary: hash of the study's own specification (`framework.plan.primary`).
        code: sha256 over the source files that made the numbers.
        folder, project: where the study's paths start from, and may not leave.
        model: the study's own model, normalised.
        generated: a sentence when the data are simulated; it must open the report.
    """

    study: str
    seed: int
    spec: str
    panels: Mapping[str, Panel]
    base: str
    source: str
    source_sha256: str
    columns: tuple[Column, ...]
    versions: Mapping[str, str]
    code: str
    title: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    families: Mapping[str, Any] = field(default_factory=dict)
    published: tuple[Mapping[str, Any], ...] = ()
    multiverses: tuple[Mapping[str, Any], ...] = ()
    primary: str = ""
    generated: str | None = None
    folder: Path = Path()
    project: Path = Path()
    model: Mapping[str, Any] = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished: datetime | None = None

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns of tables; not what was estimated only to compare with."""
        return tuple(c for c in self.columns if not c.estimation.hidden)

    @property
    def panel(self) -> Panel:
        """The prepared panel of the study itself."""
        return self.panels[self.base]
