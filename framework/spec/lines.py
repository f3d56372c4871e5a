"""The lines of a study's `checks`, as written: what each changes, repeats and expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from framework.errors import EstimandError, Phase, Problem, did_you_mean
from framework.spec import choices
from framework.spec.loader import Document
from framework.spec.tree import (
    DATA_FIELDS,
    LIST_FIELDS,
    MODEL_FIELDS,
    Origin,
    Problems,
    Steps,
    is_slug,
    split,
)

DIRECTIVES = (
    "from",
    "each",
    "except",
    "draws",
    "expect",
    "add",
    "remove",
    "only",
    "without",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One changed path of a line: `set`, `add`, `remove`, `only` or `without`.

    `path` is in the tree for `set` (("model", "estimator", "leads")); for the others it
    is the field or the column.
    """

    verb: str
    path: Steps
    value: Any
    origin: Origin


@dataclass(frozen=True, slots=True)
class Values:
    """`each` on one path: the value names (part of the address) and their values.

    Attributes:
        every: expanded when the tree (or the data) is known.
        origins: path of a `case` -> where it was written, if not at `origin`.
    """

    path: str
    values: tuple[tuple[str, Any], ...]
    origin: Origin
    every: bool = False
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def written(self, value: str) -> Origin:
        """Where the value of that name was written: an entry, or an item of a list."""
        document, path = self.origin.document, self.origin.path
        names = [name for name, _ in self.values]
        if document is not None and value in names:
            for step in (value, names.index(value)):
                if (*path, step) in document.values:
                    return self.origin.below(step)
        return self.origin


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a heading, as written."""

    heading: str
    name: str
    changes: tuple[Change, ...]
    start: str = ""
    each: tuple[Values, ...] = ()
    excepted: tuple[Mapping[str, Any], ...] = ()
    draws: Mapping[str, Any] | None = None
    expect: tuple[Mapping[str, Any], ...] = ()
    origin: Origin = field(default_factory=Origin)

    @property
    def address(self) -> str:
        return f"{self.heading}.{self.name}"

    @property
    def started_from(self) -> str:
        """Address of the line that `from` names, without its values; "" for none."""
        if not self.start:
            return ""
        parts = self.start.split(".")
        return ".".join(parts[:2] if len(parts) > 1 else [self.heading, *parts])


def read_checks(document: Document, problems: Problems) -> dict[str, tuple[Line, ...]]:
    """Heading -> lines in order; without `checks`, the model itself as one line."""
    written = document.tree.get("checks")
    top = Origin(document, ("checks",))
    if written is None:
        return {"estimate": (Line("estimate", "main", (), origin=top),)}
    if not isinstance(written, Mapping) or not written:
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                "checks is a mapping: heading -> line -> changes",
                path="checks",
            ),
            top,
        )
        return {}
    checks: dict[str, tuple[Line, ...]] = {}
    for heading, lines in written.items():
        origin = top.below(heading)
        if not _named(heading, origin, problems) or not isinstance(lines, Mapping):
            if not isinstance(lines, Mapping):
                problems.add(
                    Problem(
                        Phase.SPEC,
                        "X15",
                        f"heading '{heading}' holds lines: {{name: {{changes}}}}",
                        path=f"checks.{heading}",
                    ),
                    origin,
                )
            continue
        checks[heading] = tuple(
            line
            for name, body in lines.items()
            if _named(name, origin.below(name), problems)
            and (line := _line(heading, name, body, origin.below(name), problems))
        )
    return checks


def _named(name: str, origin: Origin, problems: Problems) -> bool:
    if is_slug(name):
        return True
    problems.add(
        Problem(
            Phase.SPEC,
            "X18",
            f"'{name}' can't be a name",
            fix="a letter first, then letters, digits and underscores",
        ),
        origin,
        key=True,
    )
    return False


def _line(
    heading: str, name: str, body: Any, origin: Origin, problems: Problems
) -> Line | None:
    path = f"checks.{heading}.{name}"
    if not isinstance(body, Mapping):
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                f"line '{name}' is a mapping of changes ({{}} = the model itself), "
                f"not {body!r}",
                path=path,
            ),
            origin,
        )
        return None
    changed: list[Change] = []
    for key, value in body.items():
        if key.split(".")[0] in ("add", "remove", "only", "without"):
            changed += _edits(key, value, origin.below(key), problems, path)
        elif key not in DIRECTIVES:
            change = _set(key, value, origin.below(key), problems, path)
            changed += [change] if change else []
    draws = body.get("draws")
    start = body.get("from", "")
    if not isinstance(start, str):
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                "`from` names a line: `from: plain` or `from: heading.line`",
                path=f"{path}.from",
            ),
            origin.below("from"),
        )
        start = ""
    return Line(
        heading,
        name,
        tuple(changed),
        start=start,
        each=read_each(body["each"], origin.below("each"), problems)
        if "each" in body
        else (),
        excepted=_excepted(body.get("except"), origin.below("except"), problems),
        draws=_draws(draws, origin.below("draws"), problems),
        expect=_expect(body.get("expect"), origin.below("expect"), problems),
        origin=origin,
    )


def target(dotted: str) -> Steps:
    """A path as a line writes it -> a path of the tree (bare keys are the model's)."""
    steps = split(dotted)
    return steps if steps[0] in ("data", "model") else ("model", *steps)


def _set(
    key: str, value: Any, origin: Origin, problems: Problems, path: str
) -> Change | None:
    try:
        steps = target(key)
    except EstimandError as error:
        problems.catch(error, (path,), origin)
        return None
    first = steps[1] if len(steps) > 1 else ""
    known = DATA_FIELDS if steps[0] == "data" else MODEL_FIELDS
    if first and first not in known:
        fix = did_you_mean(first, (*known, *(() if steps[0] == "data" else DIRECTIVES)))
        problems.add(
            Problem(
                Phase.SPEC,
                "X17",
                f"unknown key '{first}'",
                fix=fix,
                path=f"{path}.{key}",
            ),
            origin,
            key=True,
        )
        return None
    return Change("set", steps, value, origin)


def _edits(
    key: str, value: Any, origin: Origin, problems: Problems, path: str
) -> list[Change]:
    """`add`/`remove` edit lists, `only`/`without` restrict rows; dotted or nested."""
    steps = split(key)
    verb = steps[0]
    if len(steps) > 1:
        items = {".".join(steps[1:]): (value, origin)}
    elif isinstance(value, Mapping):
        items = {k: (v, origin.below(k)) for k, v in value.items()}
    else:
        what = "field: [items]" if verb in ("add", "remove") else "column: value"
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                f"`{verb}` is a mapping {{{what}}}, not {value!r}",
                path=f"{path}.{verb}",
            ),
            origin,
        )
        return []
    found: list[Change] = []
    for name, (item, place) in items.items():
        if verb in ("add", "remove") and name not in LIST_FIELDS:
            problems.add(
                Problem(
                    Phase.SPEC,
                    "X17",
                    f"`{verb}` edits lists, and '{name}' is none",
                    fix=did_you_mean(name, LIST_FIELDS),
                    path=f"{path}.{verb}.{name}",
                ),
                place,
                key=True,
            )
            continue
        found.append(Change(verb, (name,), item, place))
    return found


def read_each(written: Any, origin: Origin, problems: Problems) -> tuple[Values, ...]:
    """The paths of an `each`, every value with its name."""
    if not isinstance(written, Mapping) or not written:
        problems.add(
            Problem(Phase.SPEC, "X15", "`each` is a mapping {path: values}"), origin
        )
        return ()
    found: list[Values] = []
    for path, values in _paths(written):
        here = origin.below(*path[1])
        dotted = path[0]
        if not _is_each_path(dotted, here, problems):
            continue
        if values == "every":
            found.append(Values(dotted, (), here, every=True))
            continue
        named = _value_names(values, here, problems, dotted)
        if named:
            found.append(Values(dotted, named, here))
    return tuple(found)


def _is_each_path(dotted: str, origin: Origin, problems: Problems) -> bool:
    """`case`, `add.field`, `only.column`, or a path of the tree."""
    try:
        steps = split(dotted)
    except EstimandError as error:
        problems.catch(error, ("each",), origin)
        return False
    if steps[0] == "case" or (steps[0] in ("only", "without") and len(steps) > 1):
        return True
    if steps[0] in ("add", "remove"):
        known: Sequence[str] = LIST_FIELDS
        field_ = ".".join(steps[1:])
    else:
        steps = target(dotted)
        known = DATA_FIELDS if steps[0] == "data" else MODEL_FIELDS
        field_ = steps[1] if len(steps) > 1 else ""
    if field_ in known:
        return True
    what = f"each: '{dotted}' is no path of the study"
    fix = did_you_mean(field_ or dotted, known)
    path = f"each.{dotted}"
    problems.add(Problem(Phase.SPEC, "X17", what, fix=fix, path=path), origin, key=True)
    return False


def _paths(
    written: Mapping[str, Any],
) -> list[tuple[tuple[str, tuple[str, ...]], Any]]:
    """The paths of an `each`: as written, with `add: {controls: …}` read as a path."""
    found: list[tuple[tuple[str, tuple[str, ...]], Any]] = []
    for key, value in written.items():
        if key in ("add", "remove", "only", "without") and isinstance(value, Mapping):
            found += [
                ((f"{key}.{inner}", (key, inner)), held)
                for inner, held in value.items()
            ]
        else:
            found.append(((key, (key,)), value))
    return found


def _value_names(
    values: Any, origin: Origin, problems: Problems, path: str
) -> tuple[tuple[str, Any], ...]:
    if isinstance(values, Mapping) and values:
        return tuple(
            (name, value)
            for name, value in values.items()
            if _named(name, origin.below(name), problems)
        )
    if isinstance(values, list) and values:
        named = [(value_name(value), value) for value in values]
        repeated = [
            n for i, (n, _) in enumerate(named) if n in [m for m, _ in named[:i]]
        ]
        bad = [v for v in values if isinstance(v, list | dict)]
        if not repeated and not bad:
            return tuple(named)
        what = (
            f"a value that is a list or block needs a name: {{name: {bad[0]!r}}}"
            if bad
            else f"'{repeated[0]}' given twice"
        )
    else:
        what = "values are a list of scalars, a mapping name -> value, or every"
    problems.add(
        Problem(Phase.SPEC, "X15", f"each {path}: {what}", path=f"each.{path}"), origin
    )
    return ()


def value_name(value: Any) -> str:
    """The name of a value that was given none; part of the address."""
    if isinstance(value, list):
        return "+".join(value_name(v) for v in value) or "none"
    if isinstance(value, Mapping):
        return "+".join(f"{k}_{value_name(v)}" for k, v in value.items())
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _excepted(
    written: Any, origin: Origin, problems: Problems
) -> tuple[Mapping[str, Any], ...]:
    if written is None:
        return ()
    if isinstance(written, list) and all(isinstance(w, Mapping) for w in written):
        return tuple(written)
    problems.add(
        Problem(Phase.SPEC, "X15", "`except` is a list of {path: value, …}"), origin
    )
    return ()


#: What may be redrawn, one at a time.
_REDRAWN = ("permute", "resample", "resplit", "leave_out")
_DRAWS = (*_REDRAWN, "times", "within", "statistic", "rebuild")
#: What permutations are compared by.
_STATISTICS = ("t", "estimate")


def _draws(
    written: Any, origin: Origin, problems: Problems
) -> Mapping[str, Any] | None:
    if written is None:
        return None
    if not isinstance(written, Mapping):
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                "`draws` is {permute: treatment or column | resample: column | "
                "resplit: true | leave_out: step, times: N}",
            ),
            origin,
        )
        return None
    for key in written:
        if key not in _DRAWS:
            problems.add(
                Problem(
                    Phase.SPEC,
                    "X17",
                    f"unknown key '{key}' in draws",
                    fix=did_you_mean(key, _DRAWS),
                ),
                origin.below(key),
                key=True,
            )
    what = _draws_fault(written)
    if what:
        problems.add(Problem(Phase.SPEC, "X15", what), origin)
    return dict(written)


def _draws_fault(written: Mapping[str, Any]) -> str:
    """What is wrong with the values of `draws`, "" if nothing is."""
    kinds = [k for k in _REDRAWN if k in written]
    times = written.get("times")
    sensible = times == "every" or (
        isinstance(times, int) and not isinstance(times, bool) and times > 0
    )
    if len(kinds) != 1:
        return f"draws has one of {', '.join(_REDRAWN)}"
    if not sensible:
        return f"draws.times is a positive number or every, got {times!r}"
    if "rebuild" in written and "resample" not in written:
        return "draws.rebuild goes with resample: nothing else changes the data"
    if not isinstance(written.get("rebuild", False), bool):
        return f"draws.rebuild is true or false, got {written['rebuild']!r}"
    if "statistic" in written and "permute" not in written:
        return "draws.statistic goes with permute: what the draws are compared by"
    if written.get("statistic", "t") not in _STATISTICS:
        return f"draws.statistic is t or estimate, got {written['statistic']!r}"
    if not isinstance(written.get("permute", ""), str):
        return f"draws.permute is treatment or a column, got {written['permute']!r}"
    return ""


def _expect(
    written: Any, origin: Origin, problems: Problems
) -> tuple[Mapping[str, Any], ...]:
    if written is None:
        return ()
    items = written if isinstance(written, list) else [written]
    found: list[Mapping[str, Any]] = []
    for index, item in enumerate(items):
        here = origin.below(index) if isinstance(written, list) else origin
        flat = _expectation(item, here, problems)
        found += [flat] if flat else []
    return tuple(found)


def _expectation(
    item: Any, origin: Origin, problems: Problems
) -> Mapping[str, Any] | None:
    """One expectation, `any`, `not` and `share` with theirs nested flat under `of`."""
    try:
        flat = choices.parse("expectation", item)
    except EstimandError as error:
        problems.catch(error, ("expect",), origin)
        return None
    if "of" in flat:
        nested = flat["of"] if isinstance(flat["of"], list) else [flat["of"]]
        inner = [_expectation(n, origin, problems) for n in nested]
        if any(i is None for i in inner):
            return None
        flat = {**flat, "of": inner if isinstance(flat["of"], list) else inner[0]}
    for problem in choices.check("expectation", flat, "expect"):
        problems.add(problem, origin)
    return flat


# -- from line to line ----------------------------------------------------------------


def check_starts(checks: Mapping[str, tuple[Line, ...]], problems: Problems) -> None:
    """Every `from` names a line that there is, and the way back ends at the model.

    The values that a `from` names are known when the study is unfolded.
    """
    known = {line.address: line for lines in checks.values() for line in lines}
    _check_circles(known, problems)
    for line in [line for line in known.values() if line.start]:
        if line.started_from in known:
            continue
        beside = tuple(held.name for held in checks[line.heading])
        own = "." not in line.start
        problems.add(
            Problem(
                Phase.SPEC,
                "X22",
                f"from: no line '{line.start}'",
                fix=did_you_mean(line.start, beside if own else tuple(known)),
                path=f"checks.{line.address}.from",
            ),
            line.origin.below("from"),
        )


def rooted(
    checks: Mapping[str, tuple[Line, ...]],
) -> dict[str, tuple[Line, ...]]:
    """The lines whose way of `from` ends at the model."""
    known = {line.address: line for lines in checks.values() for line in lines}

    def ends(line: Line, way: tuple[str, ...] = ()) -> bool:
        if not line.start:
            return True
        before = known.get(line.started_from)
        return (
            before is not None
            and line.address not in way
            and (ends(before, (*way, line.address)))
        )

    return {name: tuple(filter(ends, lines)) for name, lines in checks.items()}


def _check_circles(known: Mapping[str, Line], problems: Problems) -> None:
    """Each circle once, at its first line."""
    told: set[str] = set()
    for first in known:
        way, current = [first], known[first].started_from
        while current in known and current not in way:
            way.append(current)
            current = known[current].started_from
        if current in way and not told.intersection(way):
            loop = way[way.index(current) :]
            told |= set(loop)
            said = " -> ".join((*loop, current))
            problems.add(
                Problem(
                    Phase.SPEC,
                    "X22",
                    f"`from` goes in a circle: {said}",
                    fix="one of these lines has to start at the model: without `from`",
                    path=f"checks.{current}.from",
                ),
                known[current].origin.below("from"),
            )
