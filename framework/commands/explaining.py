"""`compare --why`: a difference between two estimates, split over what differs.

The two specifications are mixed: some parts from A, the others from B. Every mixture is
an estimation like any other (planned, cached, supervised), so asking twice costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.attribution import Attribution, Mixture, attribute, mixtures
from framework.cache import Cell, Failure, Job, Store, engines_hash, source_hash
from framework.data.prepare import Prepared
from framework.errors import EstimandError, SpecError, did_you_mean
from framework.plan import Estimation, shielded
from framework.record import Resolved, read_resolved
from framework.spec.model import read_data, read_model
from framework.spec.tree import get

if TYPE_CHECKING:
    from framework.execute import Progress
    from framework.render.run import Column, RunFolder
    from framework.settings import Settings

#: What a specification is made of: name -> paths of its trees. Whatever is not named
#: here (`draws`) moves no estimate.
PARTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "source": tuple(
        ("data", key) for key in ("source", "panel", "missing", "columns", "groups")
    ),
    "steps": (("data", "steps"),),
    "sample": (("model", "sample"),),
    "outcome": (("model", "outcome"),),
    "treatment": (("model", "treatment"),),
    "controls": (("model", "controls"),),
    "interaction": (("model", "interact"),),
    "fixed effects": (("model", "fixed_effects"),),
    "weights": (("model", "weights"),),
    "spatial weights": (("data", "spatial_weights"), ("model", "spatial_weights")),
    "estimator": tuple(
        ("model", key)
        for key in (
            "estimator",
            "estimand",
            "instruments",
            "mediators",
            "acknowledge",
        )
    ),
    "inference": (("model", "inference"), ("model", "confidence")),
    "seed": (("seed",),),
}
#: The numbers that are split.
NUMBERS = ("estimate", "std_error", "n_obs")


@dataclass(frozen=True, slots=True)
class Cited:
    """One estimation of one finished run."""

    run: RunFolder
    column: Column
    asked: Resolved

    @property
    def name(self) -> str:
        return f"{self.run.study}/{self.run.run_id}:{self.column.address}"

    @property
    def recorded(self) -> Mapping[str, float]:
        """The numbers as the run wrote them."""
        judged = self.column.judged
        if judged is None:
            return {}
        held = {
            "estimate": judged.estimate,
            "std_error": judged.std_error,
            "n_obs": self.column.scalars.get("n_obs", math.nan),
        }
        return {name: number for name, number in held.items() if math.isfinite(number)}


@dataclass(frozen=True, slots=True)
class Why:
    """Why an estimation of A differs from one of B.

    Attributes:
        parts: what differs between the two specifications.
        split: number (`estimate`, `std_error`, `n_obs`) -> its difference, split.
        again: number -> how far A and B, estimated again here, are from their records:
            what other code, versions or data files would explain.
        failed: mixtures that could not be estimated, with the reason.
        problem: why nothing is split, "" otherwise.
    """

    a: Cited
    b: Cited
    parts: tuple[str, ...]
    split: Mapping[str, Attribution] = field(default_factory=dict)
    again: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    failed: Mapping[Mixture, str] = field(default_factory=dict)
    problem: str = ""


def cited(run: RunFolder, address: str) -> Cited:
    """The estimation at an address of a run.

    Raises:
        SpecError: X22 the run has no such estimation.
        StorageError: R01 the run did not keep what was asked.
    """
    columns = {column.address: column for column in run.columns}
    if address not in columns:
        raise SpecError(
            "X22",
            f"{run.study}/{run.run_id} has no estimation '{address}'",
            fix=did_you_mean(address, tuple(columns)),
        )
    return Cited(run, columns[address], read_resolved(run.path)[address])


def differing(a: Resolved, b: Resolved) -> tuple[str, ...]:
    """Parts in which two specifications differ, in the order of `PARTS`."""
    found = []
    for part, paths in PARTS.items():
        same = all(_at(a, path) == _at(b, path) for path in paths)
        if part == "source":
            same = same and a.folder == b.folder
        if part == "steps":  # what the study protects decides what its steps touch
            same = same and _shield(a) == _shield(b)
        if part == "sample":  # restrictions act in the order of writing
            same = same and list(_at(a, paths[0]) or ()) == list(_at(b, paths[0]) or ())
        if not same:
            found.append(part)
    return tuple(found)


def explain(
    pairs: Sequence[tuple[Cited, Cited]],
    settings: Settings,
    progress: Progress | None = None,
) -> list[Why]:
    """Split the differences of all pairs, with one pass over the workers."""
    from framework.commands.running import executor_of
    from framework.execute import execute

    store = Store(settings.runs)
    makers = [_Mixer(a, b, store) for a, b in pairs]
    jobs = [job for maker in makers for job in maker.jobs()]
    outcomes = execute(
        jobs, store, executor_of(settings, settings.runs), None, progress
    )
    return [maker.why(outcomes) for maker in makers]


@dataclass(slots=True)
class _Mixer:
    """Mixes two specifications and reads the numbers of the mixtures."""

    a: Cited
    b: Cited
    store: Store
    parts: tuple[str, ...] = ()
    named: dict[Mixture, str] = field(default_factory=dict)  # -> fingerprint
    failed: dict[Mixture, str] = field(default_factory=dict)
    _prepared: dict[Path, Prepared] = field(default_factory=dict)

    def jobs(self) -> Iterator[Job]:
        self.parts = differing(self.a.asked, self.b.asked)
        for mixture in mixtures(self.parts):
            try:
                job = self._job(mixture)
            except EstimandError as error:
                self.failed[mixture] = error.problems[0].what
                continue
            self.named[mixture] = job.fingerprint
            yield job

    def _job(self, mixture: Mixture) -> Job:
        from framework.commands.preparing import job_of

        asked = self._mixed(mixture)
        data, faults = read_data(asked.data)
        model, more = read_model(asked.model, asked.data)
        if data is None or model is None:
            raise EstimandError([*faults, *more])
        protected = _shield(asked) | shielded(model, data.groups)
        prepared = self._prepared.setdefault(
            asked.folder,
            Prepared(
                asked.folder,
                asked.project,
                self.store,
                f"{source_hash()} {engines_hash()}",
            ),
        )
        panel = prepared.panel(data, protected)
        if not self.store.contains_panel(panel.key):
            self.store.save_panel(panel)
        estimation = Estimation(
            address=self._said(mixture),
            heading="",
            line="",
            value="",
            data=asked.data,
            model=asked.model,
            changes={},
            draws=None,
            expect=(),
            against="",
        )
        return job_of(asked.seed, estimation, panel.key)

    def _said(self, mixture: Mixture) -> str:
        taken = ", ".join(part for part in self.parts if part in mixture)
        return f"{self.a.column.address} with B's {taken}" if taken else self.a.name

    def _mixed(self, mixture: Mixture) -> Resolved:
        """A, with the parts of the mixture taken from B."""
        from dataclasses import replace

        a, b = self.a.asked, self.b.asked
        data, model = dict(a.data), dict(a.model)
        trees = {"data": data, "model": model}
        for part in mixture:
            for path in PARTS[part]:
                if path[0] == "seed":
                    continue
                held = _at(b, path)
                if held is None:
                    trees[path[0]].pop(path[1], None)
                else:
                    trees[path[0]][path[1]] = held
        places = b if "source" in mixture else a
        return replace(
            a,
            folder=places.folder,
            project=places.project,
            data=data,
            model=model,
            base=(b if "steps" in mixture else a).base,
            seed=(b if "seed" in mixture else a).seed,
        )

    def why(self, outcomes: Mapping[str, Cell | Failure]) -> Why:
        numbers: dict[str, dict[Mixture, float]] = {name: {} for name in NUMBERS}
        for mixture, name in self.named.items():
            outcome = outcomes[name]
            if isinstance(outcome, Failure):
                self.failed[mixture] = outcome.problems[0].what
                continue
            found = self._numbers(mixture, outcome)
            if "estimate" not in found:
                self.failed[mixture] = "it has no single number"
            for number, value in found.items():
                numbers[number][mixture] = value
        split = {
            name: shares
            for name, held in numbers.items()
            if (shares := attribute(self.parts, held)) is not None
        }
        ends: tuple[Mixture, Mixture] = frozenset(), frozenset(self.parts)
        again = {
            name: (
                held[ends[0]] - self.a.recorded[name],
                held[ends[1]] - self.b.recorded[name],
            )
            for name, held in numbers.items()
            if name in self.a.recorded
            and name in self.b.recorded
            and all(end in held for end in ends)
        }
        problem = "" if "estimate" in split else self._problem(ends)
        return Why(self.a, self.b, self.parts, split, again, self.failed, problem)

    def _problem(self, ends: tuple[Mixture, Mixture]) -> str:
        for mark, end in zip("AB", ends, strict=True):
            if end in self.failed:
                return f"{mark} cannot be estimated here: {self.failed[end]}"
        reasons = "; ".join(dict.fromkeys(self.failed.values()))
        return f"no order of switching can be estimated: {reasons}"

    def _numbers(self, mixture: Mixture, cell: Cell) -> dict[str, float]:
        from framework.expect import CannotBeJudged, Judged, judged_row

        side = self.b if "estimator" in mixture else self.a
        asked = side.asked.model.get("estimand")
        estimand = (asked,) if isinstance(asked, str) else tuple(asked or ())
        try:
            row = judged_row(Judged(self._said(mixture), cell, estimand=estimand))
        except CannotBeJudged:
            return {}
        found = {
            "estimate": row.estimate,
            "std_error": row.std_error,
            "n_obs": cell.result.scalars.get("n_obs", math.nan),
        }
        return {
            name: float(number)
            for name, number in found.items()
            if number is not None and math.isfinite(number)
        }


def _at(asked: Resolved, path: tuple[str, ...]) -> Any:
    if path == ("seed",):
        return asked.seed
    tree = asked.data if path[0] == "data" else asked.model
    return get(tree, path[1:])


def _shield(asked: Resolved) -> frozenset[str]:
    """Columns that the study's own model protects from the steps."""
    model, problems = read_model(asked.base, asked.data)
    if model is None:
        raise EstimandError(problems)
    groups = asked.data.get("groups") or {}
    return shielded(model, groups)
