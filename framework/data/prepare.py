"""`data` of a study -> the prepared panel: source, keys, dictionary, steps in order.

Every prefix of the steps has a key (source bytes, then each step with its options and
the code of its plugin), so that studies and variations that share a beginning share
the work, and a costly step is computed once for all runs.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from framework import condition
from framework.contract import Step
from framework.data.columns import Column, apply_dictionary, refuse_unusable
from framework.data.panels import PanelSpec, examine
from framework.data.sources import Source, read, simulated
from framework.data.spatial import frame_name, matrix_of
from framework.errors import EstimandError, Problem, no_column
from framework.panel import Panel
from framework.spec import choices
from framework.spec.model import Data

Flat = Mapping[str, Any]


class PanelStore(Protocol):
    """Where the panels of costly steps outlive the process."""

    def load_panel(self, key: str) -> Panel | None: ...

    def save_panel(self, panel: Panel) -> None: ...


@dataclass(slots=True)
class Prepared:
    """Prepares panels and remembers them by key, for one command.

    Attributes:
        root: folder the study's paths start from.
        project: folder that no path leaves.
        store: keeps the outcome of costly steps; None = nothing outlives this.
        code: what the code that prepares is called (hashes of sources and engines). It
            enters every key, so that no panel outlives the code that made it.
        watch: gives what surrounds a step while it is computed, by its name; None =
            nobody watches.
        seconds: step -> seconds it took, all its variants together; `reading` ->
            seconds that reading and checking the source took.
    """

    root: Path
    project: Path
    store: PanelStore | None = None
    code: str = ""
    watch: Callable[[str], AbstractContextManager[None]] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    _sources: dict[str, Panel] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)
    _files: dict[str, Source] = field(default_factory=dict)
    _panels: dict[str, Panel] = field(default_factory=dict)

    def panel(self, data: Data, protected: frozenset[str]) -> Panel:
        """The prepared panel.

        Raises:
            EstimandError: the source's problems, or the first step's that fails.
        """
        panel = self._source(data)
        key = panel.key
        shielded = protected | {k for k in (panel.unit, panel.time) if k}
        for name, flat in data.steps.items():
            key = self._key_after(key, name, flat, data, shielded)
            if key in self._panels:
                panel = self._panels[key]
                continue
            panel = self._step(panel, name, flat, data, shielded, key)
            self._panels[key] = panel
        return self._with_matrix_files(panel, data)

    def _with_matrix_files(self, panel: Panel, data: Data) -> Panel:
        """The panel with the second files of its spatial weights beside it."""
        frames: dict[str, Any] = {}
        hashes: dict[str, str] = {}
        problems: list[Problem] = []
        for name, flat in data.spatial_weights.items():
            if choices.is_planned("matrix", flat["name"]):
                continue
            for file, source in matrix_of(flat).files().items():
                at = frame_name(name, file)
                try:
                    found = self._file(source)
                except EstimandError as error:
                    path = f"data.spatial_weights.{name}"
                    problems += [replace(p, path=path) for p in error.problems]
                    continue
                frames[at], hashes[at] = found.frame, found.sha256
        if problems:
            raise EstimandError(problems)
        if not frames:
            return panel
        return self._beside(panel, frames, hashes)

    def survey(
        self, data: Data, protected: frozenset[str]
    ) -> tuple[Panel | None, list[Problem]]:
        """The panel as far as it can be looked at, and every problem on the way."""
        try:
            panel, problems = self._examined(data)
        except EstimandError as error:
            return None, list(error.problems)
        if panel is None:
            return None, problems
        self._sources[_marker(data)] = panel
        try:
            return self.panel(data, protected), problems
        except EstimandError as error:
            return None, [*problems, *error.problems]

    def is_built(self, data: Data, protected: frozenset[str]) -> bool:
        """False when a costly step would have to be computed first."""
        key = self._source(data).key
        shielded = protected | {k for k in (data.panel.unit, data.panel.time) if k}
        for name, flat in data.steps.items():
            key = self._key_after(key, name, flat, data, shielded)
            plugin = choices.plugin("step", flat["name"])
            costly = getattr(plugin, "cost", "cheap") == "costly"
            known = key in self._panels or (
                self.store is not None and self.store.load_panel(key) is not None
            )
            if costly and not known:
                return False
        return True

    def _source(self, data: Data) -> Panel:
        marker = _marker(data)
        if marker not in self._sources:
            with self._timed("reading"):
                panel, problems = self._examined(data)
            if panel is None or problems:
                raise EstimandError(problems)
            # One block: a frame in many pieces is slow to select from.
            self._sources[marker] = replace(panel, frame=panel.frame.copy())
        return self._sources[marker]

    def _examined(self, data: Data) -> tuple[Panel | None, list[Problem]]:
        source = data.source.model_dump(exclude_none=True)
        found = read(source, self.project, self.root)
        self._hashes[_marker(data)] = found.sha256
        # The same bytes read otherwise (encoding, separator, sheet) are other data.
        told = json.dumps(
            [found.sha256, source, self.code], sort_keys=True, default=str
        )
        return examine(found.frame, panel_spec(data), told, found.description)

    def _file(self, source: Flat) -> Source:
        """A second file, read once."""
        marker = json.dumps(source, sort_keys=True, default=str)
        if marker not in self._files:
            found = read(source, self.project, self.root)
            usable = apply_dictionary(found.frame, {}).frame
            self._files[marker] = found._replace(frame=usable)
        return self._files[marker]

    def _key_after(
        self, before: str, name: str, flat: Flat, data: Data, shielded: frozenset[str]
    ) -> str:
        """The key after a step: what came before, the step, its code and its files."""
        spread = spread_groups(flat, data.groups)
        step = choices.build("step", spread)
        assert isinstance(step, Step)  # noqa: S101 - the kind says so
        hashes = {k: self._file(s).sha256 for k, s in step.files(name).items()}
        return step_key(before, name, {**spread, **hashes}, shielded)

    def simulated(self, data: Data) -> str | None:
        """The sentence that must open the report where the data are simulated."""
        source = data.source.model_dump(exclude_none=True)
        return simulated(source, self.project, self.root)

    def source_sha(self, data: Data) -> str:
        """sha256 of the source's bytes, once it was read."""
        return self._hashes.get(_marker(data), "")

    def unprepared(self, data: Data, *, files: bool = True) -> Panel:
        """The panel before its first step, with the second `files` that steps read."""
        panel = self._source(data)
        if not files:
            return panel
        frames: dict[str, Any] = {}
        hashes: dict[str, str] = {}
        for name, flat in data.steps.items():
            for at, source in _built(flat, data).files(name).items():
                found = self._file(source)
                frames[at], hashes[at] = found.frame, found.sha256
        return self._beside(panel, frames, hashes) if frames else panel

    def _beside(
        self, panel: Panel, frames: Mapping[str, Any], hashes: Mapping[str, str]
    ) -> Panel:
        """The panel with second files, under a key that tells their bytes."""
        told = json.dumps([panel.key, hashes], sort_keys=True)
        key = hashlib.sha256(told.encode()).hexdigest()
        if key not in self._panels:
            self._panels[key] = replace(
                panel, key=key, frames={**panel.frames, **frames}
            )
        return self._panels[key]

    def _step(
        self,
        panel: Panel,
        name: str,
        flat: Flat,
        data: Data,
        shielded: frozenset[str],
        key: str,
    ) -> Panel:
        with self._timed(name):
            return self._stepped(panel, name, flat, data, shielded, key)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def _stepped(
        self,
        panel: Panel,
        name: str,
        flat: Flat,
        data: Data,
        shielded: frozenset[str],
        key: str,
    ) -> Panel:
        step = _built(flat, data)
        if step.cost == "costly" and self.store is not None:
            held = self.store.load_panel(key)
            if held is not None:
                return held
        files = {k: self._file(source).frame for k, source in step.files(name).items()}
        given = replace(panel, frames={**panel.frames, **files})
        said = f"{name} ({flat['name']})"
        with self.watch(said) if self.watch else nullcontext():
            prepared = replace(_applied(given, step, name, shielded), key=key)
        if step.cost == "costly" and self.store is not None:
            self.store.save_panel(prepared)
        return prepared


def apply_steps(panel: Panel, data: Data, shielded: frozenset[str]) -> Panel:
    """All steps of `data` on a panel of one's own, such as a resample; nothing is kept.

    Raises:
        EstimandError: the first step's problems.
    """
    for name, flat in data.steps.items():
        panel = _applied(panel, _built(flat, data), name, shielded)
    return panel


def _built(flat: Flat, data: Data) -> Step:
    step = choices.build("step", spread_groups(flat, data.groups))
    assert isinstance(step, Step)  # noqa: S101 - the kind says so
    return step


def _applied(panel: Panel, step: Step, name: str, shielded: frozenset[str]) -> Panel:
    _require(panel, step, name)
    try:
        output = step.apply(panel, name, shielded)
    except EstimandError as error:
        raise EstimandError(
            p.at(path=f"data.steps.{name}") for p in error.problems
        ) from error
    made = output.panel
    tables = {f"{name}.{table}": frame for table, frame in output.frames.items()}
    plots = tuple(replace(p, frame=f"{name}.{p.frame}") for p in output.plots)
    return replace(
        made,
        frames={**made.frames, **tables},
        notes=(*made.notes, *output.notes),
        plots=(*made.plots, *plots),
    )


def _marker(data: Data) -> str:
    """What decides the panel before any step."""
    held = data.model_dump(mode="json", exclude={"steps", "spatial_weights", "groups"})
    return json.dumps(held, default=str)


def panel_spec(data: Data) -> PanelSpec:
    """The part of `data` that says what the columns are."""
    columns = {
        name: Column(
            **{
                k: v
                for k, v in entry.model_dump(exclude_none=True).items()
                if k in Column.__dataclass_fields__
            }
        )
        for name, entry in data.columns.items()
    }
    return PanelSpec(data.panel.unit, data.panel.time, columns, data.missing)


def step_key(before: str, name: str, flat: Flat, protected: frozenset[str]) -> str:
    """The key after a step: what came before, the step, its options and its code."""
    held = json.dumps(
        [before, name, dict(flat), sorted(protected), _code(flat["name"])],
        sort_keys=True,
        default=str,
    )
    return hashlib.sha256(held.encode()).hexdigest()


@cache
def _code(step: str) -> str:
    """Hash of the plugin's file and of every private module it could share."""
    plugin = choices.plugin("step", step)
    if not isinstance(plugin, type):
        return ""
    own = Path(inspect.getfile(plugin))
    package = own.parents[len(plugin.__module__.split(".")) - 2]
    shared = sorted(
        path
        for path in package.rglob("*.py")
        if any(part.startswith("_") for part in path.relative_to(package).parts)
    )
    digest = hashlib.sha256()
    for path in (own, *shared, Path(inspect.getfile(condition))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def spread_groups(flat: Flat, groups: Mapping[str, list[str]]) -> dict[str, Any]:
    """Names of groups in a step's lists of columns, spelt out."""
    spread: dict[str, Any] = {}
    for option, value in flat.items():
        if option != "name" and isinstance(value, list):
            items: list[Any] = []
            for item in value:
                known = isinstance(item, str) and item in groups
                items += groups[item] if known else [item]
            value = items  # noqa: PLW2901 - the spelt-out list
        elif option != "name" and isinstance(value, str) and value in groups:
            value = list(groups[value])  # noqa: PLW2901 - as above
        spread[option] = value
    return spread


def _require(panel: Panel, step: Step, name: str) -> None:
    try:
        refuse_unusable(panel, step.reads(name))
    except EstimandError as error:
        at = f"data.steps.{name}"
        raise EstimandError(p.at(path=at) for p in error.problems) from error
    missing = [c for c in step.reads(name) if c not in panel.frame.columns]
    if missing:
        known = list(map(str, panel.frame.columns))
        raise EstimandError(
            no_column(column, f"data.steps.{name}", known) for column in missing
        )


__all__ = ["Prepared", "apply_steps", "panel_spec", "spread_groups", "step_key"]
