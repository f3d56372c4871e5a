"""Variations: one model and the named changes of it, unfolded to trees.

One function applies a change, whether it comes from a check, a sweep or the command
line. The order is: model, `from`, the line, then its `each` values as written.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from framework.contract import Step
from framework.errors import EstimandError, Phase, Problem, SpecError, did_you_mean
from framework.spec import choices
from framework.spec.lines import Change, Line, Values, target, value_name
from framework.spec.study import Origins, Study
from framework.spec.tree import (
    LIST_FIELDS,
    Origin,
    Problems,
    Tree,
    changes,
    get,
    put,
    split,
)

#: Gives the values of a column for `every`: (data tree, column) -> values.
Levels = Callable[[Tree, str], Sequence[Any]]
EVERY_VALUE = "<every value>"
_EDITS = ("add", "remove", "only", "without")
#: Heading of the hidden estimation of the model itself, where no line is it.
MODEL = "model"


@dataclass(frozen=True, slots=True)
class Variation:
    """One estimation as a tree.

    Attributes:
        value: names of its `each` values joined by dots, "" without any.
        changed: dotted path -> value that differs from the study's own tree.
        against: address that its expectations compare with.
        start: address of the `from` line's estimation, "" if it starts at the model.
        origins: who wrote what, for the place of a problem.
        repeated: its values of `model.each`, under which it is compared.
        choices: (path of `each`, name of its value), in the order of writing.
        excluded: combinations of this line that `except` strikes out.
        problems: faults met while the changes were applied.
    """

    heading: str
    line: str
    value: str
    tree: Tree
    changed: Mapping[str, Any]
    draws: Mapping[str, Any] | None
    expect: tuple[Mapping[str, Any], ...]
    against: str
    start: str
    origins: Origins
    origin: Origin
    repeated: tuple[tuple[Values, str, Any], ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    excluded: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def address(self) -> str:
        return ".".join(part for part in (self.heading, self.line, self.value) if part)


@dataclass(frozen=True, slots=True)
class _Recipe:
    """A line with all it inherits: changes in order, then the dimensions of `each`."""

    changes: tuple[Change, ...]
    each: tuple[Values, ...]
    excepted: tuple[tuple[Mapping[str, Any], Origin], ...]
    draws: Mapping[str, Any] | None
    start: str  # address of the line it starts from, with fixed values


@dataclass(frozen=True, slots=True)
class _Cell:
    """One combination of `each` values: path -> (name, value)."""

    names: tuple[str, ...]
    values: tuple[tuple[Values, str, Any], ...]


def unfold(
    study: Study, *, levels: Levels | None = None, only: Sequence[str] = ()
) -> tuple[Variation, ...]:
    """Every estimation of a study, in the order of writing.

    Args:
        levels: gives a column's values for `every`; without it one placeholder stands
            for them.
        only: addresses (headings, lines or values) to keep, with what they are
            compared with.

    Raises:
        EstimandError: faults of the study as a whole (an unknown value of a `from`, an
            unknown address); faults of one line's changes are in its variations.
    """
    problems = Problems()
    recipes: dict[str, _Recipe] = {}
    for line in _lines(study):
        _recipe(study, line, recipes, problems)
    problems.raise_if_any()
    found: list[Variation] = []
    for line in _lines(study):
        found += _unfold_line(study, line, recipes[line.address], levels, problems)
    problems.raise_if_any()
    found = _with_model(study, _compare(study, found, recipes))
    _check_unique(found)
    return tuple(_keep(found, only)) if only else tuple(found)


def with_line(study: Study, line: Line) -> Study:
    """The study with one more line: how a sweep on the command line enters."""
    held = (*study.checks.get(line.heading, ()), line)
    return replace(study, checks={**study.checks, line.heading: held})


def sweep_line(values: Values) -> Line:
    """`path=a,b` on the command line is the line `sweep.grid` with that `each`."""
    return Line("sweep", "grid", (), each=(values,), origin=values.origin)


def every_value(path: str, tree: Tree) -> Sequence[tuple[str, Any]]:
    """What `every` stands for at a path that needs no data: (name, value) pairs.

    Raises:
        SpecError: X22 it means nothing there.
    """
    return _expand(Values(path, (), Origin(), every=True), tree, None)


def _lines(study: Study) -> Iterator[Line]:
    for lines in study.checks.values():
        yield from lines


# -- recipes: a line with its `from` chain --------------------------------------------


def _recipe(
    study: Study,
    line: Line,
    done: dict[str, _Recipe],
    problems: Problems,
) -> _Recipe | None:
    """None where its `from` names a value that there is not; a circle there is none."""
    if line.address in done:
        return done[line.address]
    own_excepted = tuple((e, line.origin.below("except")) for e in line.excepted)
    if not line.start:
        each = _own_each(line.changes, line.each, study.model_each)
        recipe = _Recipe(line.changes, each, own_excepted, line.draws, "")
    else:
        parent = _parent(study, line, done, problems)
        if parent is None:
            return None
        start, base, fixed = parent
        named = {values.path for values, _, _ in fixed}
        kept = tuple(v for v in base.each if v.path not in named)
        moved = tuple(c for v, n, value in fixed for c in _value_changes(v, n, value))
        each = _own_each(line.changes, line.each, kept, first=True)
        recipe = _Recipe(
            (*base.changes, *moved, *line.changes),
            each,
            (*_still_excepted(base.excepted, fixed, each), *own_excepted),
            line.draws if line.draws is not None else base.draws,
            start,
        )
    done[line.address] = recipe
    return recipe


def _still_excepted(
    excepted: tuple[tuple[Mapping[str, Any], Origin], ...],
    fixed: Sequence[tuple[Values, str, Any]],
    each: Sequence[Values],
) -> Iterator[tuple[Mapping[str, Any], Origin]]:
    """What a `from` line strikes out, as far as it is about the grid that is left.

    A path that the address fixes counts if its value is the one struck out; cells of a
    path that the line itself sets are no cells of this grid.
    """
    known = {values.path for values in each}
    held = {values.path: (name, value) for values, name, value in fixed}
    for struck, origin in excepted:
        gone = [path for path in struck if path not in known]
        left = {path: wanted for path, wanted in struck.items() if path in known}
        met = all(p in held and _is_value(struck[p], held[p]) for p in gone)
        if left and met:
            yield left, origin


def _own_each(
    changed: Sequence[Change],
    own: tuple[Values, ...],
    inherited: tuple[Values, ...],
    *,
    first: bool = False,
) -> tuple[Values, ...]:
    """A line's own `each` or plain change on a path wins over an inherited one.

    The address names a `from` line's values first, and the study's own
    (`model.each`) last.
    """
    taken = [_tree_path(v.path) for v in own]
    taken += [c.path for c in changed if c.verb == "set"]
    taken += [(c.verb, *c.path) for c in changed if c.verb in ("only", "without")]
    kept = tuple(
        v
        for v in inherited
        if not any(_tree_path(v.path)[: len(t)] == t for t in taken)
    )
    return (*kept, *own) if first else (*own, *kept)


def _tree_path(path: str) -> tuple[str, ...]:
    steps = split(path)
    return steps if steps[0] in (*_EDITS, "case") else target(path)


def _parent(
    study: Study,
    line: Line,
    done: dict[str, _Recipe],
    problems: Problems,
) -> tuple[str, _Recipe, tuple[tuple[Values, str, Any], ...]] | None:
    """The line a `from` names, its recipe, and the `each` values the address fixes."""
    origin = line.origin.below("from")
    parts = line.start.split(".")
    if len(parts) == 1:
        parts = [line.heading, parts[0]]
    # That there is such a line, and no circle, was checked when the study was opened.
    held = next(h for h in study.checks[parts[0]] if h.name == parts[1])
    recipe = _recipe(study, held, done, problems)
    if recipe is None:
        return None
    fixed: list[tuple[Values, str, Any]] = []
    remaining = list(parts[2:])
    for values in recipe.each:
        if not remaining:
            break
        name = remaining.pop(0)
        match = dict(values.values)
        if name not in match:
            problems.add(
                Problem(
                    Phase.SPEC,
                    "X22",
                    f"from: '{held.address}' has no value '{name}'",
                    fix=did_you_mean(name, tuple(match)),
                    path=f"checks.{line.address}.from",
                ),
                origin,
            )
            return None
        fixed.append((values, name, match[name]))
    if remaining:
        problems.add(
            Problem(
                Phase.SPEC,
                "X22",
                f"from: '{line.start}' names more values than '{held.address}' has",
            ),
            origin,
        )
        return None
    return ".".join(parts), recipe, tuple(fixed)


# -- cells: the grid of a line --------------------------------------------------------


def _unfold_line(
    study: Study,
    line: Line,
    recipe: _Recipe,
    levels: Levels | None,
    problems: Problems,
) -> list[Variation]:
    faults = Problems()
    tree, origins = apply(study.tree, recipe.changes, study.origins, faults)
    found: list[Variation] = []
    try:
        cells, excluded = _cells(recipe, tree, levels)
    except EstimandError as error:
        problems.catch(error, ("checks", line.heading, line.name), line.origin)
        return []
    varied_by = {v.path: _varied(v) for v in recipe.each if v.path == "case"}
    for cell in cells:
        inner = Problems(list(faults.found))
        varied, written = tree, origins
        for values, name, value in cell.values:
            made = [
                change
                for change in _value_changes(values, name, value)
                # `none: null` among the values stands for the study without it.
                if change.value is not None or get(varied, change.path) is not None
            ]
            varied, written = apply(varied, made, written, inner)
        found.append(
            Variation(
                heading=line.heading,
                line=line.name,
                value=".".join(cell.names),
                tree=varied,
                changed=changes(study.tree, varied),
                draws=recipe.draws,
                expect=line.expect,
                against="",
                start=recipe.start,
                origins=written,
                origin=line.origin,
                repeated=tuple(v for v in cell.values if v[0] in study.model_each),
                choices=tuple(_chosen(cell, varied_by)),
                excluded=excluded,
                problems=tuple(inner.found),
            )
        )
    return found


def _chosen(
    cell: _Cell, varied_by: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    """(path, name) of every value; cases that all vary the same paths are a grid."""
    for values, name, value in cell.values:
        varied = varied_by.get(values.path, ())
        if len(varied) > 1:
            yield from ((path, value_name(value[path])) for path in varied)
        else:
            yield values.path, name


def _varied(values: Values) -> tuple[str, ...]:
    """Paths of which cases that all change the same ones have several values."""
    cases = [held for _, held in values.values if isinstance(held, Mapping)]
    if len({tuple(case) for case in cases}) != 1:
        return ()
    return tuple(p for p in cases[0] if len({repr(case[p]) for case in cases}) > 1)


def _cells(
    recipe: _Recipe, tree: Tree, levels: Levels | None
) -> tuple[list[_Cell], int]:
    """The combinations that are left, and how many `except` struck out."""
    expanded = [
        tuple((values, name, value) for name, value in _expand(values, tree, levels))
        for values in recipe.each
    ]
    cells = [
        _Cell(tuple(name for _, name, _ in combination), combination)
        for combination in itertools.product(*expanded)
    ]
    planned = len(cells)
    known = {values.path for values in recipe.each}
    for struck, _ in recipe.excepted:
        unknown = [path for path in struck if path not in known]
        if unknown:
            raise SpecError(
                "X22",
                f"except: '{unknown[0]}' is not a path of this line's each",
                fix=did_you_mean(unknown[0], tuple(known)),
            )
        cells = [cell for cell in cells if not _is_struck(cell, struck)]
    if not cells:
        raise SpecError("X22", "`except` strikes out every value of this line")
    return cells, planned - len(cells)


def _is_struck(cell: _Cell, struck: Mapping[str, Any]) -> bool:
    held = {values.path: (name, value) for values, name, value in cell.values}
    return all(_is_value(wanted, held[path]) for path, wanted in struck.items())


def _is_value(wanted: Any, held: tuple[str, Any]) -> bool:
    """`except` means a value by its name or by itself."""
    return wanted in held or value_name(wanted) == held[0]


def _expand(
    values: Values, tree: Tree, levels: Levels | None
) -> Sequence[tuple[str, Any]]:
    """The (name, value) pairs, with `every` spelt out."""
    if not values.every:
        return values.values
    found = _every(values, tree, levels)
    if not found:
        raise SpecError(
            "X22",
            f"each {values.path}: `every` stands for nothing, there is no value",
            fix=f"write the values: {values.path}: [a, b]",
        )
    return found


def _every(
    values: Values, tree: Tree, levels: Levels | None
) -> Sequence[tuple[str, Any]]:
    steps = split(values.path)
    if steps[0] in ("only", "without"):
        if levels is None:
            return [(EVERY_VALUE, EVERY_VALUE)]
        found = levels(tree["data"], steps[1])
        return [(value_name(v), v) for v in found]
    if steps[0] in ("add", "remove"):
        held = get(tree, ("model", steps[1])) or []
        return [(value_name(v), v) for v in held]
    path = target(values.path)
    if path == ("model", "spatial_weights"):
        matrices = get(tree, ("data", "spatial_weights")) or {}
        return [(name, name) for name in matrices]
    held = get(tree, path)
    if path[0] == "model" and path[-1] in LIST_FIELDS:
        return [(value_name(v), [v]) for v in held or ()]
    if path[:2] == ("data", "steps") and len(path) == 3:  # noqa: PLR2004 - a whole step
        return _alternatives(values.path, held, tree)
    raise SpecError(
        "X22",
        f"each {values.path}: `every` means nothing here",
        fix="every works on only, without, add, remove, list fields, spatial_weights, "
        "steps that name alternatives",
    )


def _alternatives(path: str, flat: Any, tree: Tree) -> Sequence[tuple[str, Any]]:
    """What a step itself holds against its options."""
    if not isinstance(flat, Mapping) or choices.is_planned("step", flat["name"]):
        return [(EVERY_VALUE, {})]
    if faults := choices.check("step", flat, path):
        raise EstimandError(faults)
    step = choices.build("step", flat)
    assert isinstance(step, Step)  # noqa: S101 - the kind says so
    found = step.alternatives(get(tree, ("model", "treatment")) or {})
    if not found:
        raise SpecError(
            "X22",
            f"each {path}: the step {flat['name']} names no alternatives",
            why="it has none, or they need a treatment that is one 0/1 column",
            fix="write the values: each: {" + path + ".OPTION: {name: value, …}}",
        )
    return list(found.items())


def _value_changes(values: Values, name: str, value: Any) -> tuple[Change, ...]:
    """One value of `each` as changes; `case` ties several together."""
    steps = split(values.path)
    origin = values.written(name)
    if steps[0] == "case":
        if not isinstance(value, Mapping):
            raise SpecError("X22", "each case: values are {name: {changes}}")
        return tuple(
            _case_change(key, held, values.origins.get(key) or origin.below(key))
            for key, held in value.items()
        )
    if steps[0] in _EDITS:
        return (Change(steps[0], steps[1:], value, origin),)
    return (Change("set", target(values.path), value, origin),)


def _case_change(key: str, value: Any, origin: Origin) -> Change:
    steps = split(key)
    if steps[0] in _EDITS and len(steps) > 1:
        return Change(steps[0], steps[1:], value, origin)
    return Change("set", target(key), value, origin)


# -- applying changes -----------------------------------------------------------------


def apply(
    tree: Tree, changed: Sequence[Change], origins: Origins, problems: Problems
) -> tuple[Tree, Origins]:
    """The tree after the changes; the argument is not touched."""
    for change in changed:
        tree, origins = _apply_one(tree, change, origins, problems)
    return tree, origins


def _apply_one(
    tree: Tree, change: Change, origins: Origins, problems: Problems
) -> tuple[Tree, Origins]:
    if change.verb == "set":
        path, value = change.path, change.value
    elif change.verb in ("only", "without"):
        column = ".".join(change.path)
        path = ("model", "sample", f"{change.verb}_{column}")
        values = change.value
        if change.verb == "without":  # what a `from` line left out stays out
            held = get(tree, (*path, "values"))
            before = [] if held is None else _as_list(held)
            more = [v for v in _as_list(values) if v not in before]
            values = [*before, *more] if before else values
        value = {change.verb: {"column": column, "values": values}}
    else:
        path = ("model", change.path[0])
        value = _edited(get(tree, path) or [], change, problems)
    changed = put(tree, path, value, change.origin, problems)
    return changed, origins.add(path, change.origin)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _edited(held: list[Any], change: Change, problems: Problems) -> list[Any]:
    items = _as_list(change.value)
    field = change.path[0]
    if change.verb == "add":
        twice = [item for item in items if item in held]
        if twice:
            problems.add(
                Problem(
                    Phase.SPEC,
                    "X21",
                    f"add: {twice[0]!r} is in {field} already",
                    path=f"add.{field}",
                ),
                change.origin,
            )
        return [*held, *(item for item in items if item not in held)]
    absent = [item for item in items if item not in held]
    if absent:
        problems.add(
            Problem(
                Phase.SPEC,
                "X21",
                f"remove: {absent[0]!r} is not in {field}",
                fix=did_you_mean(str(absent[0]), [str(h) for h in held]),
                path=f"remove.{field}",
            ),
            change.origin,
        )
    return [item for item in held if item not in items]


# -- what expectations compare with ---------------------------------------------------


def _compare(
    study: Study, found: list[Variation], recipes: Mapping[str, _Recipe]
) -> list[Variation]:
    """Fill in `against`: the `from` line's estimation, else the model itself."""
    by_address = {v.address: v for v in found}
    filled: list[Variation] = []
    for variation in found:
        against = ""
        if variation.start:
            against = _start_address(variation, recipes, by_address)
        filled.append(
            replace(
                variation, against=against or _model_address(study, variation, found)
            )
        )
    return filled


def _start_address(
    variation: Variation,
    recipes: Mapping[str, _Recipe],
    by_address: Mapping[str, Variation],
) -> str:
    """The `from` line's estimation with the same values, as far as it has them."""
    if variation.start in by_address:
        return variation.start
    names = variation.value.split(".") if variation.value else []
    for length in range(len(names), 0, -1):
        for chosen in itertools.combinations(names, length):
            address = ".".join((variation.start, *chosen))
            if address in by_address:
                return address
    line = ".".join(variation.start.split(".")[:2])
    first = [a for a in by_address if a.startswith(f"{line}.")]
    return first[0] if first and line in recipes else ""


def _model_address(study: Study, variation: Variation, found: list[Variation]) -> str:
    """The line that is the model itself, under this variation's `model.each` values."""
    base = _base_tree(study, variation)
    for other in found:
        if other.tree == base and other.draws is None and not other.problems:
            return other.address
    return ".".join((MODEL, *(name for _, name, _ in variation.repeated)))


def _base_tree(study: Study, variation: Variation) -> Tree:
    tree = study.tree
    for values, name, value in variation.repeated:
        changes = _value_changes(values, name, value)
        tree, _ = apply(tree, changes, Origins(), Problems())
    return tree


def _with_model(study: Study, found: list[Variation]) -> list[Variation]:
    """Add the model itself, hidden, where an expectation needs it and no line is it."""
    known = {v.address for v in found}
    extra: dict[str, Variation] = {}
    for variation in found:
        if variation.against in known or not variation.expect:
            continue
        tree = _base_tree(study, variation)
        name = variation.against.removeprefix(f"{MODEL}.").removeprefix(MODEL)
        extra[variation.against] = Variation(
            heading=MODEL,
            line="",
            value=name,
            tree=tree,
            changed=changes(study.tree, tree),
            draws=None,
            expect=(),
            against="",
            start="",
            origins=study.origins,
            origin=Origin(study.document, ("model",)),
        )
    return [*found, *extra.values()]


def _check_unique(found: Sequence[Variation]) -> None:
    seen: set[str] = set()
    for variation in found:
        if variation.address in seen:
            raise SpecError(
                "X22",
                f"two estimations have the address '{variation.address}'",
                fix="give the values names: each: {path: {name: value}}",
                place=variation.origin.place(),
            )
        seen.add(variation.address)


def _keep(found: Sequence[Variation], only: Sequence[str]) -> list[Variation]:
    """Those asked for, and what they are compared with."""
    addresses = [v.address for v in found]
    for wanted in only:
        if not any(a == wanted or a.startswith(f"{wanted}.") for a in addresses):
            headings = list(dict.fromkeys(v.heading for v in found))
            raise SpecError(
                "X22",
                f"--only: nothing at '{wanted}'",
                fix=did_you_mean(wanted, [*headings, *addresses]),
            )
    kept = {
        v.address
        for v in found
        if any(v.address == w or v.address.startswith(f"{w}.") for w in only)
    }
    needed = {v.against for v in found if v.address in kept and v.expect}
    return [v for v in found if v.address in kept | needed]
