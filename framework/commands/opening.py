"""A study and its settings from a path and what was typed after it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import BAD_VALUE, NO_COLUMN, EstimandError, Phase, Problem
from framework.spec.study import Override, Reading, Study, open_study, read_study

if TYPE_CHECKING:
    from framework.plan import Estimation
    from framework.settings import Settings


def open_with(path: Path, args: Sequence[str] = ()) -> tuple[Study, Settings]:
    """The study with its overrides, and how to run it.

    Raises:
        EstimandError: every problem of the study, the overrides and the settings.
    """
    typed = _typed(args)
    found = list(typed.problems)
    try:
        study = open_study(path, typed.changes)
    except EstimandError as error:
        found += error.problems
    if typed.settings is None or found:
        raise EstimandError(found)
    return study, typed.settings


@dataclass(frozen=True, slots=True)
class _Typed:
    """What was typed after the study, as far as it can be read.

    Attributes:
        settings: None where they have problems.
    """

    changes: tuple[Override, ...]
    settings: Settings | None
    problems: tuple[Problem, ...]


def _typed(args: Sequence[str]) -> _Typed:
    from framework.settings import settings

    changes, conf, problems = _read(args)
    try:
        return _Typed(changes, settings(conf), problems)
    except EstimandError as error:
        return _Typed(changes, None, (*problems, *error.problems))


def read_overrides(
    args: Sequence[str],
) -> tuple[tuple[Override, ...], tuple[str, ...]]:
    """What was typed, split into changes of the study and settings.

    Raises:
        EstimandError: every argument that can't be read, or that sweeps.
    """
    changes, conf, problems = _read(args)
    if problems:
        raise EstimandError(problems)
    return changes, conf


def _read(
    args: Sequence[str],
) -> tuple[tuple[Override, ...], tuple[str, ...], tuple[Problem, ...]]:
    """As `read_overrides`, with the problems of the arguments that can't be read."""
    if not args:
        return (), (), ()
    from framework import overrides

    found, wrong = overrides.survey(args)
    problems = list(wrong)
    if found.sweeps:
        texts = " ".join(f"'{o.text}'" for o in found.sweeps)
        problems.append(
            Problem(
                Phase.SPEC,
                "X22",
                f"{found.sweeps[0].text} names several values",
                fix=f"estimand sweep STUDY {texts}, or one value",
                place=found.sweeps[0].place,
            )
        )
    changes = tuple(
        Override(o.path, o.value, o.text, o.position)
        for o in found.study
        if o not in found.sweeps
    )
    return changes, found.conf, tuple(problems)


def changes_typed(args: Sequence[str]) -> tuple[str, ...]:
    """The changes of the study as typed, without settings: they move no number."""
    return tuple(change.text for change in read_overrides(args)[0])


def survey(path: Path, args: Sequence[str] = ()) -> list[Problem]:
    """Every problem that can be found without estimating: study, data, design.

    A study whose text has faults still has its data read and its model resolved as far
    as they are valid, so that all faults are mended in one go.
    """
    typed = _typed(args) if args else _Typed((), None, ())
    try:
        reading = read_study(path, typed.changes)
    except EstimandError as error:
        return [*typed.problems, *error.problems]
    found = [*typed.problems, *reading.problems]
    if reading.study is not None:
        planned, more = _planned(reading.study)
        found += [*more, *beside(reading.study, planned)]
    else:
        found += hidden(reading)
    found += data_problems(reading)
    return distinct(found)


def hidden(reading: Reading) -> list[Problem]:
    """What faults of the text would hide: columns that the data lack, wrong values.

    All else that the rest of the study is short of may only follow from those faults.
    """
    if reading.rest is None:
        return []
    return [
        p
        for p in _planned(reading.rest)[1]
        if p.path == "data.source"
        or p.code == NO_COLUMN
        or (p.code == BAD_VALUE and not p.what.endswith("is missing"))
    ]


def _planned(study: Study) -> tuple[tuple[Estimation, ...], list[Problem]]:
    from framework.plan import plan

    try:
        planned = plan(study)
    except EstimandError as error:
        return (), list(error.problems)
    return planned, [p for e in planned for p in e.problems]


def beside(study: Study, planned: Sequence[Estimation] = ()) -> list[Problem]:
    """What stands beside the checks: labels of nothing, printed numbers that are none.

    Args:
        study: as opened.
        planned: its estimations, for the addresses of printed numbers.
    """
    from framework.named_columns import label_problems
    from framework.published import faults, misplaced
    from framework.spec.tree import Origin
    from framework.vary import EVERY_VALUE

    found: list[Problem] = []
    if isinstance(study.published, Mapping):
        open_ = {(e.heading, e.line) for e in planned if EVERY_VALUE in e.value}
        columns = [e.address for e in planned if (e.heading, e.line) not in open_]
        wrong = [*faults(study.published), *misplaced(study.published, columns)]
        for problem in wrong:
            origin = Origin(study.document, tuple(problem.path.split(".")))
            found.append(problem.at(place=origin.place()))
    # What is wrong with the checks or the source is said where it belongs.
    with contextlib.suppress(EstimandError):
        found += label_problems(study)
    return found


def misspelt(study: Study) -> list[tuple[str, str, list[str]]]:
    """Names of printed numbers that look misspelt: name, guess, their columns."""
    from framework.named_columns import words_of
    from framework.published import unknown_words

    if not isinstance(study.published, Mapping):
        return []
    words = words_of(study)
    return [] if words is None else unknown_words(study.published, words)


def distinct(found: Iterable[Problem]) -> list[Problem]:
    """Each fault once, at the most precise path that anybody gave it."""
    kept: list[Problem] = []
    for problem in found:
        for at, other in enumerate(kept):
            if _same(problem, other):
                if len(problem.path) > len(other.path):
                    kept[at] = problem
                break
        else:
            kept.append(problem)
    return kept


def every(error: EstimandError, path: Path, args: Sequence[str] = ()) -> EstimandError:
    """What stopped a command, with all that `survey` finds beside it."""
    found = survey(path, args)
    own = [p for p in error.problems if not any(_same(p, other) for other in found)]
    return EstimandError([*own, *found])


def _same(one: Problem, other: Problem) -> bool:
    said = (one.code, one.what) == (other.code, other.what)
    return said and _along(one.path, other.path)


def _along(one: str, other: str) -> bool:
    """Whether one path leads to the other; without a path, anywhere."""
    short, long = sorted((one, other), key=len)
    return not short or f"{long}.".startswith(f"{short}.")


def data_problems(reading: Reading) -> list[Problem]:
    """Problems of the data and of the model's design, as far as both are valid."""
    from framework.data.design import build
    from framework.data.prepare import Prepared
    from framework.plan import shielded
    from framework.spec import choices
    from framework.spec.study import project_of

    data, model = reading.data, reading.model
    if data is None:
        return []
    if any(choices.is_planned("step", s["name"]) for s in data.steps.values()):
        return []
    root = reading.path.parent.resolve()
    apart = shielded(model, data.groups) if model else frozenset[str]()
    panel, found = Prepared(root, project_of(root)).survey(data, apart)
    if (
        panel is not None
        and model is not None
        and not choices.is_planned("estimator", model.estimator["name"])
    ):
        estimator = choices.build("estimator", model.estimator)
        said = [p.path.rpartition(".")[2] for p in found]
        try:
            build(panel, data, model, estimator)  # type: ignore[arg-type]  # the kind says so
        except EstimandError as error:
            # A column that contradicts the dictionary was named once.
            found += [
                p
                for p in error.problems
                if not any(f"'{column}'" in p.what for column in said)
            ]
    return [p.at(place=reading.origins.place(p.path.split("."))) for p in found]
