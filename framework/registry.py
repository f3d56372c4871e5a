"""Which plugins exist, found by their file names without importing any.

A built-in is a file: `estimators/twfe.py` holds class `Twfe`. Third parties register
entry points in the groups below. A name is imported when it is asked for, and a plugin
that cannot be imported fails then, loudly. Names that are announced but not built are
listed in `estimators/planned.yaml`: a study may use them, and is told.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import util
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from framework.contract import (
    Estimator,
    Generator,
    Learner,
    Matrix,
    Plugin,
    Restriction,
    Step,
)
from framework.errors import SpecError, did_you_mean

Kind = Literal["estimator", "step", "matrix", "restriction", "learner", "generator"]


@dataclass(frozen=True, slots=True)
class _Shelf:
    folder: str  # below estimators/; "" = the top
    group: str
    contract: type[Plugin]


_SHELVES: Mapping[Kind, _Shelf] = MappingProxyType(
    {
        "estimator": _Shelf("", "estimand.estimators", Estimator),
        "step": _Shelf("steps", "estimand.steps", Step),
        "matrix": _Shelf("weights", "estimand.weights", Matrix),
        "restriction": _Shelf("restrictions", "estimand.restrictions", Restriction),
        "learner": _Shelf("learners", "estimand.learners", Learner),
        "generator": _Shelf("generators", "estimand.generators", Generator),
    }
)
KINDS: tuple[Kind, ...] = tuple(_SHELVES)


@dataclass(frozen=True, slots=True)
class Entry:
    """A plugin that can be imported.

    Attributes:
        target: `module:Class`.
        distribution: installed distribution it comes from, "" for the built-ins.
    """

    kind: Kind
    name: str
    target: str
    distribution: str = ""

    @property
    def origin(self) -> str:
        return self.distribution or self.target.split(":")[0]


@dataclass(frozen=True, slots=True)
class Planned:
    """A plugin that is announced but not built: enough of it to read a study."""

    name: str
    main: str | None
    summary: str


def class_name(name: str) -> str:
    """`event_study` -> `EventStudy`: the class a plugin's file holds."""
    return "".join(part.capitalize() for part in name.split("_"))


@cache
def _root() -> Path:
    spec = util.find_spec("estimators")
    if spec is None or not spec.submodule_search_locations:
        raise SpecError("X00", "the package 'estimators' is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def _built_in(kind: Kind) -> Mapping[str, Entry]:
    folder = _root() / _SHELVES[kind].folder
    shelves = {s.folder for s in _SHELVES.values() if s.folder}
    found: dict[str, Entry] = {}
    for parent, below, files in os.walk(folder):  # half the time of rglob
        at_top = Path(parent) == _root()
        below[:] = [
            b for b in below if b[0] not in "_." and not (at_top and b in shelves)
        ]
        package = ("estimators", *Path(parent).relative_to(_root()).parts)
        for file in files:
            name, _, ending = file.rpartition(".")
            if ending == "py" and not name.startswith("_"):
                target = f"{'.'.join((*package, name))}:{class_name(name)}"
                found[name] = Entry(kind, name, target)
    return MappingProxyType(
        dict(sorted(found.items(), key=lambda f: f[1].target.partition(":")))
    )


@cache
def _third_party(kind: Kind) -> Mapping[str, Entry]:
    from importlib import metadata

    found: dict[str, Entry] = {}
    for point in metadata.entry_points(group=_SHELVES[kind].group):
        origin = point.dist.name if point.dist else point.value
        rival = _built_in(kind).get(point.name) or found.get(point.name)
        if rival and rival.target != point.value:
            raise SpecError(
                "X32",
                f"{kind} '{point.name}' is registered twice: by {rival.origin} and "
                f"by {origin}",
                fix="uninstall one of them, or ask its author for another name",
            )
        found[point.name] = Entry(kind, point.name, point.value, origin)
    return MappingProxyType(found)


@cache
def planned(kind: str) -> Mapping[str, Planned]:
    """Announced plugins of a kind that are not built yet."""
    import yaml

    text = (_root() / "planned.yaml").read_text(encoding="utf-8")
    shelf = yaml.safe_load(text).get(kind) or {}
    return MappingProxyType(
        {
            name: Planned(name, (about or {}).get("main"), (about or {}).get("is", ""))
            for name, about in shelf.items()
            if kind not in _SHELVES or name not in _built_in(kind)
        }
    )


def names(kind: Kind) -> tuple[str, ...]:
    """Names that can be used today, built-in first."""
    return tuple(dict.fromkeys((*_built_in(kind), *_third_party(kind))))


def find(kind: Kind, name: str) -> Entry | Planned | None:
    """The entry, or what is planned under that name, or None."""
    # Entry points cost a scan of every installed distribution: asked last.
    return (
        _built_in(kind).get(name)
        or planned(kind).get(name)
        or _third_party(kind).get(name)
    )


def entry(kind: Kind, name: str) -> Entry:
    """The entry of a usable plugin.

    Raises:
        SpecError: unknown (with a guess) or announced but not built.
    """
    found = find(kind, name)
    if isinstance(found, Entry):
        return found
    if isinstance(found, Planned):
        raise SpecError(
            "X10", f"{kind} '{name}' is announced but not built yet: {found.summary}"
        )
    raise SpecError("X01", f"no {kind} '{name}'", fix=did_you_mean(name, names(kind)))


def load(entry_: Entry) -> type[Plugin]:
    """Import a plugin's class.

    Raises:
        SpecError: the module does not import, or holds no such class.
    """
    module_name, _, attribute = entry_.target.partition(":")
    try:
        loaded = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        raise SpecError(
            "X11",
            f"{entry_.kind} '{entry_.name}' of {entry_.origin} does not import: "
            f"{type(error).__name__}: {error}",
            fix="mend or uninstall it; the other plugins are not affected",
        ) from error
    contract = _SHELVES[entry_.kind].contract
    if not (isinstance(loaded, type) and issubclass(loaded, contract)):
        raise SpecError(
            "X11",
            f"{entry_.target} is not a {contract.__name__}",
            fix=f"derive the class from framework.contract.{contract.__name__}",
        )
    return loaded


def get(kind: Kind, name: str) -> type[Plugin]:
    """The class of a usable plugin: `entry`, then `load`."""
    return load(entry(kind, name))


def foreign(plugin: Plugin) -> Entry | None:
    """The entry of a plugin of another distribution; None for a built-in."""
    cls = type(plugin)
    if cls.__module__.partition(".")[0] == "estimators":
        return None
    for kind, shelf in _SHELVES.items():
        if isinstance(plugin, shelf.contract):
            for found in _third_party(kind).values():
                if found.target == f"{cls.__module__}:{cls.__qualname__}":
                    return found
    return None


def estimator(name: str) -> type[Estimator]:
    """The class of a usable estimator."""
    loaded = get("estimator", name)
    assert issubclass(loaded, Estimator)  # noqa: S101 - load() has checked it
    return loaded


def step(name: str) -> type[Step]:
    """The class of a usable step."""
    loaded = get("step", name)
    assert issubclass(loaded, Step)  # noqa: S101 - load() has checked it
    return loaded
