"""`audit`: what a careful replicator would flag in the printed numbers, computed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.audit import Finding, Leaf, Need, Scene, findings, needed
from framework.audit.scene import listed
from framework.claims import read_claims
from framework.commands import findings_shown, printing
from framework.commands.opening import changes_typed, open_with
from framework.commands.preparing import start
from framework.commands.running import estimated
from framework.data.design import build
from framework.data.sources import read
from framework.errors import (
    EXPECTATION_FAILED,
    OK,
    EstimandError,
    Phase,
    Problem,
    SpecError,
    did_you_mean,
)
from framework.plan import Estimation, levels_of, panel_of, plan, protected, trees
from framework.published import faults, printed_numbers
from framework.spec import choices
from framework.spec.study import project_root
from framework.spec.tree import Origin

if TYPE_CHECKING:
    import pandas as pd

    from framework.cache import Cell
    from framework.commands.preparing import Work
    from framework.contract import Estimator
    from framework.data.design import Design
    from framework.execute import Progress
    from framework.panel import Panel
    from framework.settings import Settings
    from framework.spec.study import Study

_PAGES = (".md", ".html")


@dataclass(frozen=True, slots=True)
class Audit:
    """A finished audit.

    Attributes:
        study: name of the study.
        findings: worst first.
        printed: how many printed numbers were looked at.
        simulated: what simulated data say of themselves; None = real data, or none.
        no_data: why nothing was computed from data; "" where it was.
        overrides: changes of the study as typed.
    """

    study: str
    findings: tuple[Finding, ...]
    printed: int
    simulated: str | None = None
    no_data: str = ""
    overrides: tuple[str, ...] = ()

    @property
    def alarms(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.alarm)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "study": self.study,
            "printed": self.printed,
            "alarms": len(self.alarms),
            "simulated": self.simulated,
            "no_data": self.no_data,
            "overrides": list(self.overrides),
            "findings": [f.to_dict() for f in self.findings],
        }


def audit(options: argparse.Namespace) -> int:
    """Say what was found; findings are no errors."""
    from framework.commands.watching import Bar

    if options.output is not None and options.output.suffix not in _PAGES:
        raise SpecError(
            "X12",
            f"'{options.output.name}' is neither .md nor .html",
            fix=f"--output {options.output.stem}.md",
        )
    study, settings = open_with(options.study, options.overrides)
    found = audit_study(
        study,
        settings,
        data=not options.no_data,
        overrides=changes_typed(options.overrides),
        progress=Bar(quiet=options.quiet),
    )
    if options.json:
        printing.as_json(found.to_dict())
    else:
        printing.out(
            *findings_shown.terminal(found, printing.width(), all_=options.all)
        )
    if options.output is not None:
        page = findings_shown.page(found, html=options.output.suffix == ".html")
        _write(options.output, page)
        printing.log(f"{options.output} is written")
    return EXPECTATION_FAILED if options.strict and found.alarms else OK


def _write(path: Path, text: str) -> None:
    from framework.errors import StorageError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            "R10", f"'{path}' can't be written: {error.strerror}"
        ) from error


def audit_study(
    study: Study,
    settings: Settings,
    *,
    data: bool = True,
    overrides: Iterable[str] = (),
    progress: Progress | None = None,
) -> Audit:
    """Test the printed numbers and claims of a study.

    Args:
        study: as opened.
        settings: how to run what has to be estimated.
        data: False looks at printed numbers only.
        overrides: changes of the study as typed, for the record.
        progress: shows how far it is.

    Raises:
        EstimandError: X30, X31 a printed number or claim that can't be read, X32 nothing
            is printed, or a claim is about an address that the study does not have.
    """
    published = study.published or {}
    here = Origin(study.document, ("published",)).place()
    if not isinstance(published, Mapping) or not published:
        raise SpecError(
            "X32",
            "the study has no printed numbers to audit",
            fix='published: {heading: {line: {term: "0.1140** (0.0556)"}}}',
            path="published",
            place=here,
        )
    if unread := faults(published):
        raise EstimandError(p.at(place=here) for p in unread)
    claims, _ = read_claims(published)
    leaves = tuple(
        Leaf(".".join(path[:-1]), path[-1], number)
        for path, number in printed_numbers(published).items()
    )
    stage = _Stage.open(study, settings, data=data)
    scene = Scene(
        study=study,
        claims=claims,
        leaves=leaves,
        estimations=stage.estimations,
        panel_of=stage.panel,
        design_of=stage.design,
        rebuilt=stage.rebuilt,
        no_data=stage.no_data,
        simulated=stage.simulated,
        table_of=stage.table,
    )
    if wrong := _unknown(scene):
        raise EstimandError(p.at(place=here) for p in wrong)
    if not scene.no_data:
        scene.cells = stage.cells(needed(scene), settings, progress)
    return Audit(
        study.name,
        findings(scene),
        len(leaves),
        scene.simulated,
        scene.no_data,
        tuple(overrides),
    )


def _unknown(scene: Scene) -> list[Problem]:
    """Claims about addresses, matrices and numbers that the study does not have."""
    found: list[Problem] = []
    headings = {c.split(".")[0] for c in scene.estimations}
    known = [*headings, *scene.estimations]
    matrices = list(scene.study.tree["data"].get("spatial_weights") or {})

    def say(what: str, path: str, names: list[str], wrong: str) -> None:
        found.append(
            Problem(
                Phase.SPEC,
                "X32",
                what,
                fix=did_you_mean(wrong, names),
                path=f"published.claims.{path}",
            )
        )

    of_tables = [
        (key, h) for key in ("notes", "headers") for h in getattr(scene.claims, key)
    ]
    for key, heading in of_tables:
        if heading not in headings:
            say(f"no heading '{heading}'", key, sorted(headings), heading)
    numbers = [leaf.address for leaf in scene.leaves]
    sizes = [
        (f"magnitudes.{address}", name)
        for address, size in scene.claims.magnitudes.items()
        for name in (address, size.over)
    ]
    for at, name in (*sizes, *_compared(scene)):
        if name and scene.leaf(name) is None:
            say(f"no number is printed at '{name}'", at, numbers, name)
    for address, claim in scene.claims.said.items():
        at = f"said.{address}"
        if not scene.columns_at(address) and not scene.under(address):
            say(f"the study has no '{address}'", at, known, address)
        for name in claim.matrices:
            if name not in matrices:
                say(f"no spatial weights '{name}'", at, matrices, name)
    return found


def _compared(scene: Scene) -> Iterator[tuple[str, str]]:
    """Where a claim speaks of another printed number, and that number's address."""
    for address, claim in scene.claims.said.items():
        for name in (claim.decomposes, claim.larger_than):
            yield f"said.{address}", name


@dataclass(slots=True)
class _Stage:
    """Estimations, panels and cells of the study under audit."""

    study: Study
    estimations: Mapping[str, Estimation]
    work: Work | None
    no_data: str
    simulated: str | None
    _designs: dict[str, Design] = field(default_factory=dict)

    @classmethod
    def open(cls, study: Study, settings: Settings, *, data: bool) -> _Stage:
        """The study with its data; without them where they can't be read."""
        if not data:
            return cls(
                study, _planned(study), None, "the data were not asked for", None
            )
        try:
            work = start(study, settings.runs)
            levels = levels_of(study, work.prepared)
            planned = plan(study, levels=levels)
            work.prepared.unprepared(study.data, files=False)
            said = work.prepared.simulated(study.data)
        except EstimandError as error:
            return cls(study, _planned(study), None, error.problems[0].what, None)
        return cls(study, {e.address: e for e in planned}, work, "", said)

    def panel(self, column: str) -> Panel:
        """The prepared panel of a line."""
        estimation = self._found(column)
        return panel_of(self.study, estimation, self._work().prepared)

    def table(self, file: str) -> pd.DataFrame:
        """A table beside the study."""
        source = {"path": file}
        return read(source, project_root(self.study), self.study.root).frame

    def design(self, column: str) -> Design:
        """Rows and columns of a line, resolved without an engine."""
        if column not in self._designs:
            self._designs[column] = self._design(column)
        return self._designs[column]

    def _design(self, column: str) -> Design:
        estimation = self._found(column)
        if estimation.not_built:
            needs = listed(estimation.not_built)
            raise SpecError("X10", f"needs {needs}, which is announced but not built")
        data, model = trees(estimation)
        estimator: Estimator = choices.build("estimator", model.estimator)  # type: ignore[assignment]  # the kind says so
        return build(self.panel(column), data, model, estimator, self.study.seed)

    def rebuilt(self, column: str, steps: Mapping[str, Any]) -> Panel:
        """The panel of a line after other steps."""
        estimation = self._found(column)
        changed = replace(estimation, data={**estimation.data, "steps": dict(steps)})
        data, model = trees(changed)
        return self._work().prepared.panel(data, protected(self.study, model))

    def cells(
        self, needs: Iterable[Need], settings: Settings, progress: Progress | None
    ) -> dict[str, Cell | str]:
        """Key of a need -> cell, or the reason why there is none."""
        wanted = {need.key: self._changed(need) for need in needs}
        made = estimated(self._work(), list(wanted.values()), settings, progress)
        return {
            key: problems[0].what if isinstance(problems, tuple) else problems
            for key, estimation in wanted.items()
            for problems in [made[estimation.address]]
        }

    def _changed(self, need: Need) -> Estimation:
        """The estimation that a rule asks for, under an address of its own."""
        line = self._found(need.column)
        model = {**line.model, **need.model}
        model = {k: v for k, v in model.items() if v is not None}
        return replace(
            line, address=need.key, model=model, draws=None, expect=(), against=""
        )

    def _found(self, column: str) -> Estimation:
        estimation = self.estimations.get(column)
        if estimation is None:
            raise SpecError("X22", f"the study has no line '{column}'")
        if estimation.problems:
            raise EstimandError(estimation.problems)
        return estimation

    def _work(self) -> Work:
        assert self.work is not None  # noqa: S101 - the scene asks only where data are
        return self.work


def _planned(study: Study) -> dict[str, Estimation]:
    return {e.address: e for e in plan(study, header=False)}


__all__ = ["Audit", "audit", "audit_study"]
