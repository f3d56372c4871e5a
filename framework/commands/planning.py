"""What `plan` says of one estimation: formula, rows after every restriction, cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.contract import Estimator
from framework.data.design import build
from framework.errors import EstimandError, Problem
from framework.panel import LedgerLine
from framework.plan import Estimation, trees
from framework.spec import choices

if TYPE_CHECKING:
    from framework.commands.preparing import Work


@dataclass(frozen=True, slots=True)
class Described:
    """One estimation, before it runs."""

    estimation: Estimation
    formula: str = ""
    inference: str = ""
    ledger: tuple[LedgerLine, ...] = ()
    rows: int | None = None
    cached: bool = False
    fingerprint: str = ""
    problems: tuple[Problem, ...] = ()
    waits: tuple[str, ...] = ()
    unprepared: bool = False

    def lines(self) -> list[str]:
        """For the terminal."""
        if self.waits:
            return [f"not built yet: needs {', '.join(self.waits)}"]
        if self.unprepared:
            return [
                "its data have a costly step that is not built yet; `run` builds it"
            ]
        if self.problems:
            return [f"refused: {self.problems[0].what} ({self.problems[0].code})"]
        name = self.estimation.model["estimator"]["name"]
        lines = [f"{name}: {self.formula}"]
        tail = [self.inference] if self.inference else []
        if self.estimation.draws:
            said = ", ".join(f"{k} {v}" for k, v in self.estimation.draws.items())
            tail.append(f"draws: {said}")
        tail.append("finished before" if self.cached else "to run")
        story = " ".join(f"{ln.name} -> {ln.rows_out}" for ln in self.ledger)
        rows = f"{self.rows} rows" + (f" ({story})" if story else "")
        lines.append("; ".join([rows, *tail]))
        return lines

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        e = self.estimation
        return {
            "address": e.address,
            "estimator": e.model["estimator"]["name"],
            "formula": self.formula,
            "inference": self.inference,
            "rows": self.rows,
            "ledger": [
                {"name": ln.name, "rows_in": ln.rows_in, "rows_out": ln.rows_out}
                for ln in self.ledger
            ],
            "cached": self.cached,
            "fingerprint": self.fingerprint,
            "changes": dict(e.changes),
            "draws": dict(e.draws) if e.draws else None,
            "expect": [dict(x) for x in e.expect],
            "against": e.against,
            "problems": [p.to_dict() for p in self.problems],
            "not_built": list(self.waits),
            "data_built": not self.unprepared,
        }


def described(work: Work, estimation: Estimation) -> Described:
    """Resolve an estimation against its panel, without an engine."""
    if estimation.not_built:
        return Described(estimation, waits=estimation.not_built)
    if estimation.problems:
        return Described(estimation, problems=estimation.problems)
    if estimation.address not in work.keys:
        return Described(estimation, unprepared=True)
    data, model = trees(estimation)
    estimator = choices.build("estimator", model.estimator)
    assert isinstance(estimator, Estimator)  # noqa: S101 - the kind says so
    panel = work.panels[work.keys[estimation.address]]
    job = work.jobs[estimation.address]
    try:
        design = build(panel, data, model, estimator, work.study.seed)
    except EstimandError as error:
        return Described(estimation, problems=error.problems)
    return Described(
        estimation,
        formula=design.labels["formula"],
        inference=design.labels["inference"],
        ledger=design.ledger,
        rows=len(design.request.frame),
        cached=work.store.contains(job.fingerprint),
        fingerprint=job.fingerprint,
    )
