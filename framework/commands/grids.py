"""The grid of a sweep as a line of the study: `every` spelt out, equal variants once."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.errors import EstimandError, Phase, Problem
from framework.spec.lines import Line, Values
from framework.spec.study import Study
from framework.spec.tree import Origin
from framework.specification import specification
from framework.vary import every_value, sweep_line, unfold, with_line

if TYPE_CHECKING:
    from framework.overrides import Job

#: Values that a sentence names.
_NAMED = 6


@dataclass(frozen=True, slots=True)
class Grid:
    """A sweep's line.

    Attributes:
        line: `sweep.grid`, a value for every specification.
        values: name of a job -> names of its values.
        same: name of a variant that is left out -> that of the same specification.
    """

    line: Line
    values: Mapping[str, tuple[str, ...]]
    same: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Variant:
    """One combination: path -> (name, value), those within swept blocks last."""

    job: str
    name: str
    changes: Mapping[str, tuple[str, Any]]


def grid(
    study: Study,
    jobs: Sequence[Job],
    within: Sequence[str],
    origins: Mapping[str, Origin],
) -> Grid:
    """The line of a sweep.

    Args:
        study: with the changes that hold in every job.
        jobs: as Hydra's multirun hands them over.
        within: paths below swept ones, which are set after them.
        origins: path -> the override that a fault is shown at.

    Raises:
        EstimandError: X22 a swept path that changes nothing, `every` where it means
            nothing.
    """
    swept = jobs[0].swept
    first = origins.get(swept[0], Origin(study.document))
    paths = [p for p in swept if p not in within] + list(within)
    variants = _in_order(jobs[0], _variants(study, jobs, paths, origins))
    line = _line(variants, first, origins)
    asked = _specifications(study, line)
    _refuse_moot(variants, asked, paths, swept, origins)
    kept: dict[Hashable, str] = {}
    same: dict[str, str] = {}
    for variant in variants:
        if (key := asked.get(variant.name)) is None:
            continue  # what is wrong with it is said when it is planned
        if (like := kept.setdefault(key, variant.name)) != variant.name:
            same[variant.name] = like
    left = [v for v in variants if v.name not in same]
    values: dict[str, tuple[str, ...]] = {}
    for variant in variants:
        held = values.get(variant.job, ())
        values[variant.job] = (*held, same.get(variant.name, variant.name))
    return Grid(_line(left, first, origins) if same else line, values, same)


def _variants(
    study: Study,
    jobs: Sequence[Job],
    paths: Sequence[str],
    origins: Mapping[str, Origin],
) -> Iterator[_Variant]:
    spelt: dict[str, Sequence[tuple[str, Any]]] = {}
    for job in jobs:
        options = []
        for path in job.changes:
            if path not in paths:
                continue
            if f"{path}=every" not in job.texts:
                options.append([(path, job.changes[path])])
                continue
            if path not in spelt:
                spelt[path] = _every(study, path, origins)
            options.append([(path, named) for named in spelt[path]])
        for taken in itertools.product(*options):
            held = dict(taken)
            name = ".".join(held[path][0] for path in job.swept)
            yield _Variant(job.name, name, {path: held[path] for path in paths})


def _in_order(job: Job, variants: Iterable[_Variant]) -> list[_Variant]:
    """The first path varies slowest, that of an `every`, too."""
    found = list(variants)
    written = [path for path in job.changes if path in found[0].changes]
    places: dict[str, dict[str, int]] = {path: {} for path in written}
    for variant in found:
        for path, at in places.items():
            at.setdefault(variant.changes[path][0], len(at))
    return sorted(
        found, key=lambda v: [places[path][v.changes[path][0]] for path in written]
    )


def _every(
    study: Study, path: str, origins: Mapping[str, Origin]
) -> Sequence[tuple[str, Any]]:
    place = origins[path].place() if path in origins else None
    try:
        return every_value(path, study.tree)
    except EstimandError as error:
        raise EstimandError(p.at(place=place) for p in error.problems) from None


def _line(
    variants: Sequence[_Variant], first: Origin, origins: Mapping[str, Origin]
) -> Line:
    cases = tuple(
        (v.name, {path: value for path, (_, value) in v.changes.items()})
        for v in variants
    )
    return sweep_line(Values("case", cases, first, origins=origins))


def _specifications(study: Study, line: Line) -> dict[str, Hashable]:
    """Name of a variant -> what it asks for; those that can't be made are absent."""
    from dataclasses import replace

    alone = with_line(replace(study, checks={}), line)
    return {
        v.value: specification(v.tree["data"], v.tree["model"], v.draws)
        for v in unfold(alone)
        if not v.problems
    }


def _refuse_moot(
    variants: Sequence[_Variant],
    asked: Mapping[str, Hashable],
    paths: Sequence[str],
    swept: Sequence[str],
    origins: Mapping[str, Origin],
) -> None:
    """Whoever sweeps over a path means it to matter.

    Raises:
        EstimandError: X22 swept paths whose values all ask for the same estimation.
    """
    if any(variant.name not in asked for variant in variants):
        return
    found = []
    for path in swept:
        names = list(dict.fromkeys(v.changes[path][0] for v in variants))
        others: dict[Hashable, set[Hashable]] = {}
        for variant in variants:
            rest = tuple(variant.changes[p][0] for p in paths if p != path)
            others.setdefault(rest, set()).add(asked[variant.name])
        if len(names) > 1 and all(len(keys) == 1 for keys in others.values()):
            found.append(_moot(path, names, paths, variants[0], origins))
    if found:
        raise EstimandError(found)


def _moot(
    path: str,
    names: Sequence[str],
    paths: Sequence[str],
    variant: _Variant,
    origins: Mapping[str, Origin],
) -> Problem:
    after = [p for p in paths if p.startswith(f"{path}.")]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    listed = f"{', '.join(names[:_NAMED])}{more}"
    why = f"{listed} are the same specification, written differently."
    fix = f"leave out {path}, or name values that differ"
    if after:
        option, value = after[-1].removeprefix(f"{path}."), variant.changes[after[-1]]
        why = f"{after[-1]}={value[0]} is set after it and replaces what it says."
        fix = (
            "leave out one of them, or make it one more value: "
            f"{path}={','.join(names[:_NAMED])},{{{option}: {value[0]}}}"
        )
    return Problem(
        Phase.SPEC,
        "X22",
        f"the values of {path} change nothing: every variant would be the same",
        why=why,
        fix=fix,
        path=path,
        place=origins[path].place() if path in origins else None,
    )
