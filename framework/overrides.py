"""Changes on the command line: `model.inference.cluster=state`, `seed=7`, sweeps.

`split` tells what belongs to the study from what belongs to `conf/`, `expand` unfolds
the grid of a sweep.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from framework.composition import MOST_JOBS
from framework.errors import (
    EstimandError,
    Phase,
    Place,
    Problem,
    SafetyError,
    SpecError,
    counted,
    did_you_mean,
)
from framework.override_values import read_values, write_value
from framework.settings import Settings, unknown_setting
from framework.spec.lines import value_name

#: What a study is made of; every other override is a setting of `conf/`.
STUDY = ("data", "model", "checks", "seed")


#: What lines of a study have, and the command line does not.
_EDITS = ("add", "remove", "only", "without")
_EDITS_FIX = (
    "add, remove, only and without belong to a line of the study "
    "(checks: {heading: {line: {each: {add.controls: [a, b]}}}}); here write the whole "
    "list: model.controls=[a,b]"
)


@dataclass(frozen=True, slots=True)
class StudyOverride:
    """A change of the study from the command line or from a named sweep.

    Attributes:
        path: dotted path of the tree, `model.estimator.leads`.
        values: (name, value); one unless the override sweeps. Names are unique; they
            become parts of addresses.
        is_sweep: written `a,b`, `range(…)`, `choice(…)` or `every`.
        text: as written.
        position: 1 for the first override of its source.
        source: `override`, or the name of a sweep in `conf/sweep`.
        every: the bare word: all items or values, known once the data are.
    """

    path: str
    values: tuple[tuple[str, Any], ...]
    is_sweep: bool
    text: str
    position: int
    source: str = "override"
    every: bool = False

    @property
    def value(self) -> Any:
        """The value of an override that does not sweep."""
        return self.values[0][1]

    @property
    def place(self) -> Place:
        return _place(self.source, self.position, self.text)


@dataclass(frozen=True, slots=True)
class Overrides:
    """A command line, split.

    Attributes:
        study: changes of the study, in order.
        conf: overrides of the settings, each readable for Hydra.
    """

    study: tuple[StudyOverride, ...] = ()
    conf: tuple[str, ...] = ()

    @property
    def sweeps(self) -> tuple[StudyOverride, ...]:
        return tuple(o for o in self.study if o.is_sweep)


@dataclass(frozen=True, slots=True)
class Job(Sequence[str]):
    """One point of a grid; as a sequence, its overrides as text.

    Attributes:
        number: its place in the grid, from 1.
        name: names of the swept values, joined by `.`; part of an address.
        swept: the paths that vary over the grid.
        changes: path -> (name, value), in the order of the command line.
        texts: the same as overrides that `estimand run` takes.
    """

    number: int
    name: str
    swept: tuple[str, ...]
    changes: Mapping[str, tuple[str, Any]]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self.texts[index]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a launcher hands over: all jobs of a sweep and the composed settings."""

    jobs: tuple[Job, ...]
    conf: Mapping[str, Any]


@dataclass(slots=True)
class _Found:
    study: list[StudyOverride] = field(default_factory=list)
    conf: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def split(
    args: Sequence[str],
    source: str = "override",
    directories: Sequence[Path] | None = None,
) -> Overrides:
    """Tell changes of the study from settings, and read the former.

    Args:
        args, source, directories: as in `survey`.

    Raises:
        EstimandError: every problem of every argument.
    """
    found, problems = survey(args, source, directories)
    if problems:
        raise EstimandError(problems)
    return found


def survey(
    args: Sequence[str],
    source: str = "override",
    directories: Sequence[Path] | None = None,
) -> tuple[Overrides, tuple[Problem, ...]]:
    """What can be read of the arguments, and what is wrong with the others.

    Args:
        args: as typed, `key=value` each.
        source: what the arguments are called in messages.
        directories: as in `settings.settings`, for the choices there are.
    """
    found = _Found()
    for position, text in enumerate(args, 1):
        try:
            if changes_study(text):
                found.study.append(_change(text, source, position))
            else:
                found.conf.append(_setting(text, directories))
        except EstimandError as error:
            place = _place(source, position, text)
            found.problems += [p.at(place=place) for p in error.problems]
    found.problems += _repeated(found.study)
    return Overrides(tuple(found.study), tuple(found.conf)), tuple(found.problems)


def changes(texts: Sequence[str], source: str) -> tuple[StudyOverride, ...]:
    """The changes of a named sweep, which sets nothing else.

    Raises:
        EstimandError: as `split`, and for every setting among the texts.
    """
    found = [
        Problem(
            Phase.SPEC,
            "X17",
            f"'{text}' changes no study",
            fix="a named sweep holds changes of data, model and seed; settings go in "
            "conf/config.yaml",
            place=_place(source, position, text),
        )
        for position, text in enumerate(texts, 1)
        if not changes_study(text)
    ]
    if found:
        raise EstimandError(found)
    return split(texts, source).study


def changes_study(text: str) -> bool:
    """Whether an argument is a change of the study, not a setting."""
    return _root(_cut(text)[1]) in STUDY


def expand(overrides: Iterable[StudyOverride]) -> tuple[Job, ...]:
    """The grid of the overrides: the first path varies slowest, equal jobs are one.

    Raises:
        SpecError: more jobs than anybody wants to wait for.
    """
    overrides = tuple(overrides)
    planned = math.prod(len(o.values) for o in overrides)
    if planned > MOST_JOBS:
        raise SpecError(
            "X15",
            f"the sweep has {counted(planned, 'job')}",
            why=" x ".join(
                f"{len(o.values)} {o.path}" for o in overrides if o.is_sweep
            ),
            fix=f"sweep over fewer values: at most {MOST_JOBS:,} jobs",
        )
    points: dict[tuple[str, ...], tuple[tuple[str, Any], ...]] = {}
    for point in itertools.product(*(o.values for o in overrides)):
        points.setdefault(tuple(_identity(value) for _, value in point), point)
    return tuple(
        _job(number, overrides, point)
        for number, point in enumerate(points.values(), 1)
    )


def join(
    named: Iterable[StudyOverride], typed: Iterable[StudyOverride]
) -> tuple[StudyOverride, ...]:
    """A named sweep with the command line's changes: the same path is replaced."""
    by_path = {o.path: o for o in named}
    by_path.update({o.path: o for o in typed})
    return tuple(by_path.values())


def _job(
    number: int,
    overrides: tuple[StudyOverride, ...],
    point: tuple[tuple[str, Any], ...],
) -> Job:
    pairs = tuple(zip(overrides, point, strict=True))
    return Job(
        number,
        ".".join(name for override, (name, _) in pairs if override.is_sweep),
        tuple(override.path for override in overrides if override.is_sweep),
        {override.path: named for override, named in pairs},
        tuple(
            f"{o.path}={'every' if o.every else write_value(value)}"
            for o, (_, value) in pairs
        ),
    )


def _identity(value: Any) -> str:
    # 1, 1.0, true and '1' are four values; the order of a block's keys is an order.
    return json.dumps(value, ensure_ascii=False)


def _place(source: str, position: int, text: str) -> Place:
    return Place(f"{source} {position}", excerpt=text)


def _repeated(overrides: Sequence[StudyOverride]) -> list[Problem]:
    first: dict[str, StudyOverride] = {}
    return [
        Problem(
            Phase.SPEC,
            "X02",
            f"'{o.path}' given twice, {o.source}s {first[o.path].position} and "
            f"{o.position}",
            fix=f"one of them, or a sweep: {o.path}=a,b",
            place=o.place,
        )
        for o in overrides
        if first.setdefault(o.path, o) is not o
    ]


def _change(text: str, source: str, position: int) -> StudyOverride:
    """Read one change of the study."""
    sign, key, value = _cut(text)
    _check_key(sign, key)
    if value is None:
        raise SpecError("X15", f"'{text}' says no value", fix=f"{key}=value", path=key)
    every = value == "every"
    values, sweeps = read_values(value)
    return StudyOverride(
        key, _name(values), sweeps or every, text, position, source, every
    )


def _cut(text: str) -> tuple[str, str, str | None]:
    """`+key=value` -> (`+`, `key`, `value`); the value is None without `=`."""
    if "${" in text:
        raise SafetyError(
            "X06",
            "interpolation `${…}`",
            why="It could read what this machine keeps secret into a stored study.",
            fix="write the value itself",
        )
    key, equals, value = text.partition("=")
    match = re.match(r"\s*(\+\+|\+|~)?(.*?)\s*$", key, re.DOTALL)
    assert match is not None  # noqa: S101 - every text matches
    return match[1] or "", match[2], value.strip() if equals else None


def _root(key: str) -> str:
    return re.split(r"[./@]", key, maxsplit=1)[0]


def _check_key(sign: str, key: str) -> None:
    if sign == "~":
        raise SpecError("X15", f"'~{key}'", fix=f"{key}=null removes it", path=key)
    if sign:
        raise SpecError(
            "X15",
            f"'{sign}{key}'",
            why="The study has no `+`: a path that may be set needs none.",
            fix=f"{key}=…",
            path=key,
        )
    if "/" in key:
        fix = f"{key.replace('/', '.')}=…"
        raise SpecError("X15", f"'{key}' is no path", fix=fix, path=key)
    steps = key.split(".")
    if steps[0] == "model" and steps[1:2] and steps[1] in _EDITS:
        raise SpecError("X17", f"'{key}' is no path", fix=_EDITS_FIX, path=key)
    if "_target_" in steps:
        raise SafetyError("X05", "`_target_`", fix="name a registered plugin", path=key)
    if not all(step.strip() for step in steps):
        raise SpecError("X15", f"'{key}' is no path", fix="one dot between names")


def _setting(text: str, directories: Sequence[Path] | None) -> str:
    """A setting's override, with its value quoted where Hydra needs it."""
    sign, key, value = _cut(text)
    if problem := _unknown_root(key):
        raise EstimandError(problem)
    if sign or value is None:
        raise SpecError("X15", f"'{text}' sets nothing", fix=f"{key}=value", path=key)
    if problem := unknown_setting(f"{key}={value}", directories):
        raise EstimandError(problem)
    values, sweeps = read_values(value)
    if sweeps:
        raise SpecError(
            "X15",
            f"'{text}' sweeps over a setting",
            why="A setting says how to run; results can't depend on it.",
            fix=f"one value, or a list: {key}=[{value}]",
            path=key,
        )
    return f"{key}={write_value(values[0])}"


def _unknown_root(key: str) -> Problem | None:
    settings = tuple(Settings.model_fields)
    if key.partition(".")[0] in settings:
        return None
    if _root(key) == "hydra":
        what = "Hydra's own settings are fixed"
        fix = "executor=… says how jobs run, sweep=… which"
    else:
        what = f"'{key}' is neither of the study nor a setting"
        fix = did_you_mean(_root(key), [*STUDY, *settings])
        if _root(key) in _EDITS:
            fix = _EDITS_FIX
        elif not fix.startswith("did"):
            fix = f"model.{key}=… if it is a field of the model; {fix}"
    return Problem(Phase.SPEC, "X17", what, fix=fix, path=key)


def _name(values: Sequence[Any]) -> tuple[tuple[str, Any], ...]:
    """Name every different value; names that coincide are numbered."""
    named: dict[str, Any] = {}
    seen: set[str] = set()
    for value in values:
        if (identity := _identity(value)) in seen:
            continue
        seen.add(identity)
        wanted = value_name(value) or "empty"
        name = next(
            n
            for n in itertools.chain(
                [wanted], (f"{wanted}_{i}" for i in itertools.count(2))
            )
            if n not in named
        )
        named[name] = value
    return tuple(named.items())
