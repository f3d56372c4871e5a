"""The tree of a study (`data`, `model`) and the one way to change it.

`SHAPE` says what stands where: a leaf, a block with a main key, a choice of a plugin,
named things, or a node with fixed children. `normalise` turns what was written into the
stored form; `merge` is the merge patch of the dialect; `put` follows a dotted path.
All three return new values and never change their arguments.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from framework.errors import (
    EstimandError,
    Phase,
    Place,
    Problem,
    SpecError,
    did_you_mean,
    with_article,
)
from framework.spec import choices
from framework.spec.choices import ChoiceKind
from framework.spec.loader import Document

Tree = dict[str, Any]
Steps = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value: scalars, lists and terms replace each other whole."""


@dataclass(frozen=True, slots=True)
class Block:
    """A mapping that may be written as its main value: `treatment: ai`."""

    main: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A plugin and its options, stored flat."""

    kind: ChoiceKind


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping from names the user gives to things of one shape."""

    each: Shape
    slugs: bool = True


@dataclass(frozen=True, slots=True)
class Node:
    """A mapping with fixed keys."""

    children: Mapping[str, Shape]


Shape = Leaf | Block | Choice | Named | Node

TREATMENT = Block(
    "column",
    (
        "column",
        "kind",
        "first_treated",
        "never",
        "by",
        "reference",
        "anticipation",
        "shift",
    ),
)
SHAPE = Node(
    {
        "data": Node(
            {
                "source": Block(
                    "path",
                    (
                        "path",
                        "encoding",
                        "separator",
                        "decimal",
                        "thousands",
                        "sheet",
                        "sha256",
                        "package",
                        "dataset",
                        "url",
                        "query",
                    ),
                ),
                "missing": Leaf(),
                "panel": Block("unit", ("unit", "time")),
                "columns": Named(
                    Block(
                        "label",
                        ("label", "unit", "type", "map", "missing", "min", "max"),
                    ),
                    slugs=False,
                ),
                "groups": Named(Leaf()),
                "steps": Named(Choice("step")),
                "spatial_weights": Named(Choice("matrix")),
            }
        ),
        "model": Node(
            {
                "outcome": Leaf(),
                "treatment": TREATMENT,
                "controls": Leaf(),
                "instruments": Leaf(),
                "mediators": Leaf(),
                "interact": Block("with", ("with", "main_effect", "center")),
                "fixed_effects": Leaf(),
                "weights": Choice("weights"),
                "spatial_weights": Block(
                    "all", ("all", "outcome", "covariates", "errors")
                ),
                "sample": Named(Choice("restriction"), slugs=False),
                "inference": Choice("inference"),
                "estimand": Leaf(),
                "confidence": Leaf(),
                "acknowledge": Leaf(),
                "estimator": Choice("estimator"),
            }
        ),
    }
)
MODEL_FIELDS = tuple(SHAPE.children["model"].children)  # type: ignore[union-attr]  # it is a Node
DATA_FIELDS = tuple(SHAPE.children["data"].children)  # type: ignore[union-attr]  # it is a Node
LIST_FIELDS = ("controls", "instruments", "mediators", "fixed_effects", "acknowledge")
_SLUG = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: a path of a document, or one fixed place."""

    document: Document | None = None
    path: tuple[str | int, ...] = ()
    fixed: Place | None = None

    def below(self, *more: str | int) -> Origin:
        return Origin(self.document, (*self.path, *more), self.fixed)

    def place(self, *, key: bool = False) -> Place | None:
        if self.fixed or self.document is None:
            return self.fixed
        return self.document.place(self.path, key=key)


@dataclass(slots=True)
class Problems:
    """Collects problems instead of stopping at the first."""

    found: list[Problem] = field(default_factory=list)

    def add(self, problem: Problem, origin: Origin, *, key: bool = False) -> None:
        self.found.append(problem.at(place=origin.place(key=key)))

    def catch(self, error: EstimandError, path: Steps, origin: Origin) -> None:
        for problem in error.problems:
            self.add(problem.at(path=".".join(path)), origin)

    def unique(self) -> list[Problem]:
        return list({(p.what, p.path, str(p.place)): p for p in self.found}.values())

    def raise_if_any(self) -> None:
        if self.found:
            raise EstimandError(self.unique())


def is_slug(name: str) -> bool:
    """Names that users give to headings, lines, steps and values."""
    return bool(_SLUG.fullmatch(name))


def split(dotted: str) -> Steps:
    """`estimator.leads` -> ("estimator", "leads"); double quotes keep dots together."""
    parts = re.findall(r'"([^"]*)"|([^."]+)', dotted)
    steps = tuple(quoted or bare for quoted, bare in parts)
    if not steps or dotted.count('"') % 2:
        raise SpecError("X17", f"'{dotted}' is not a path")
    return steps


def shape_at(path: Steps) -> Shape:
    """What stands at a path of the tree (a leaf below choices and blocks)."""
    shape: Shape = SHAPE
    for step in path:
        if isinstance(shape, Node):
            child = shape.children.get(step)
            if child is None:
                raise SpecError(
                    "X17",
                    f"unknown key '{step}'",
                    fix=did_you_mean(step, tuple(shape.children)),
                )
            shape = child
        elif isinstance(shape, Named):
            shape = shape.each
        else:
            return Leaf()
    return shape


def normalise(
    shape: Shape, written: Any, path: Steps, origin: Origin, problems: Problems
) -> Any:
    """What was written -> what is stored; faults go to `problems`."""
    return merge(shape, None, written, path, origin, problems)


def merge(
    shape: Shape,
    old: Any,
    new: Any,
    path: Steps,
    origin: Origin,
    problems: Problems,
) -> Any:
    """The merge patch: mappings merge, lists and scalars replace, null removes."""
    if new is None:
        return None
    if isinstance(shape, Leaf):
        return copy.deepcopy(new)
    if isinstance(shape, Block):
        return _merge_block(shape, old, new, path, origin, problems)
    if isinstance(shape, Choice):
        try:
            return _merge_choice(shape.kind, old, new)
        except EstimandError as error:
            problems.catch(error, path, origin)
            return old
    if not isinstance(new, Mapping):
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                f"expected a mapping, got {new!r}",
                path=".".join(path),
            ),
            origin,
        )
        return old
    merged = dict(old or {})
    for key, value in new.items():
        child = _child(shape, key, (*path, key), origin.below(key), problems)
        if child is None:
            continue
        if value is None and isinstance(shape, Named) and key not in merged:
            problems.add(_absent(key, (*path, key), merged, "take away"), origin)
            continue
        result = merge(
            child, merged.get(key), value, (*path, key), origin.below(key), problems
        )
        _assign(merged, key, result)
    return merged


def _absent(name: str, path: Steps, held: Mapping[str, Any], doing: str) -> Problem:
    what = path[-2].rstrip("s") if len(path) > 1 else "entry"
    return Problem(
        Phase.SPEC,
        "X17",
        f"no {what} '{name}' to {doing}",
        fix=did_you_mean(name, tuple(held)),
        path=".".join(path),
    )


def _child(
    shape: Node | Named, key: str, path: Steps, origin: Origin, problems: Problems
) -> Shape | None:
    if isinstance(shape, Node):
        found = shape.children.get(key)
        if found is None:
            fix = did_you_mean(key, tuple(shape.children))
            problems.add(
                Problem(
                    Phase.SPEC,
                    "X17",
                    f"unknown key '{key}'",
                    fix=fix,
                    path=".".join(path),
                ),
                origin,
                key=True,
            )
        return found
    if shape.slugs and not is_slug(key):
        problems.add(
            Problem(
                Phase.SPEC,
                "X18",
                f"'{key}' can't be a name",
                fix="a letter first, then letters, digits and underscores",
                path=".".join(path),
            ),
            origin,
            key=True,
        )
        return None
    return shape.each


def _assign(mapping: Tree, key: str, value: Any) -> None:
    if value is None:
        mapping.pop(key, None)
    else:
        mapping[key] = value


def _merge_block(
    shape: Block,
    old: Any,
    new: Any,
    path: Steps,
    origin: Origin,
    problems: Problems,
) -> Any:
    if not isinstance(new, Mapping) or _is_term(new, shape):
        return {shape.main: copy.deepcopy(new)}
    merged = dict(old or {})
    for key, value in new.items():
        if key not in shape.keys:
            problems.add(
                Problem(
                    Phase.SPEC,
                    "X17",
                    f"unknown key '{key}'",
                    fix=did_you_mean(key, shape.keys),
                    path=".".join((*path, key)),
                ),
                origin.below(key),
                key=True,
            )
            continue
        _assign(merged, key, copy.deepcopy(value))
    return merged


def _is_term(written: Mapping[str, Any], shape: Block) -> bool:
    """`treatment: {log: fdi}` is a term in place of a column, not a block."""
    if len(written) != 1:
        return False
    (key,) = written
    return key not in shape.keys and choices.plugin("step", key) is not None


def _merge_choice(kind: ChoiceKind, old: Any, new: Any) -> Tree:
    old = old or {}
    in_force = old.get("name")
    if kind == "restriction" and isinstance(new, str) and not is_slug(new):
        return {"name": "where", "where": new}
    if isinstance(new, Mapping) and in_force and not _names_plugin(kind, new):
        known = choices.options(kind, in_force)
        if known is None or all(key in known for key in new):
            return _merge_options(old, new)
        bad = next(key for key in new if key not in known)
        raise SpecError(
            "X17",
            f"'{bad}' is neither an option of {kind} '{in_force}' "
            f"nor {with_article(kind)}",
            fix=did_you_mean(bad, (*known, *choices.names(kind))),
        )
    flat = choices.parse(kind, new)
    if flat["name"] != in_force:
        return {k: copy.deepcopy(v) for k, v in flat.items() if v is not None}
    return _merge_options(old, {k: v for k, v in flat.items() if k != "name"})


def _names_plugin(kind: ChoiceKind, written: Mapping[str, Any]) -> bool:
    return len(written) == 1 and choices.plugin(kind, next(iter(written))) is not None


def _merge_options(old: Tree, new: Mapping[str, Any]) -> Tree:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        value = _merge_plain(before, value)  # noqa: PLW2901 - merged value
        _assign(merged, key, copy.deepcopy(value))
    return merged


def _merge_plain(old: Any, new: Any) -> Any:
    """Mappings merge, but a plugin in an option gives way to another one."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    # Learners are what stands in options of other plugins; their keys are names.
    apart = not set(old) & set(new)
    if apart and any(_names_plugin("learner", written) for written in (old, new)):
        return new
    return _merge_options(dict(old), new)


def put(
    tree: Any,
    path: Steps,
    value: Any,
    origin: Origin,
    problems: Problems,
    *,
    shape: Shape = SHAPE,
    done: Steps = (),
) -> Any:
    """A new tree with `value` merged in at a dotted path."""
    if not path:
        return merge(shape, tree, value, done, origin, problems)
    step, rest = path[0], path[1:]
    here = (*done, step)
    if isinstance(shape, Node | Named):
        child = _child(shape, step, here, origin, problems)
        if child is None:
            return tree
        held = dict(tree or {})
        if isinstance(shape, Named) and step not in held and (rest or value is None):
            doing = "change" if rest else "take away"
            problems.add(_absent(step, here, held, doing), origin, key=True)
            return tree
        result = put(
            held.get(step), rest, value, origin, problems, shape=child, done=here
        )
        _assign(held, step, result)
        return held
    try:
        if isinstance(shape, Block):
            return _put_block(shape, tree, path, value)
        if isinstance(shape, Choice):
            return _put_choice(shape.kind, tree, path, value)
        return _put_plain(tree, path, value)
    except EstimandError as error:
        for problem in error.problems:
            problems.add(problem.at(path=".".join((*done, *path))), origin, key=True)
        return tree


def _put_block(shape: Block, old: Any, path: Steps, value: Any) -> Tree:
    step, rest = path[0], path[1:]
    if step not in shape.keys:
        raise SpecError(
            "X17", f"unknown key '{step}'", fix=did_you_mean(step, shape.keys)
        )
    held = dict(old or {})
    _assign(held, step, _put_plain(held.get(step), rest, value))
    return held


def _put_choice(kind: ChoiceKind, old: Any, path: Steps, value: Any) -> Any:
    step, rest = path[0], path[1:]
    held = dict(old or {})
    in_force = held.get("name")
    if step == "name" and not rest:
        return _merge_choice(kind, old, value)
    known = choices.options(kind, in_force) if in_force else ()
    if in_force and (
        step in held or choices.plugin(kind, step) is None
        if known is None
        else step in known  # asked first: looking for a plugin scans what is installed
    ):
        _assign(held, step, _put_plain(held.get(step), rest, value))
        return held
    if (
        choices.plugin(kind, step) is not None
    ):  # `inference.cluster=state`: the choice itself, as a path
        argument = value
        for inner in reversed(rest):
            argument = {inner: argument}
        return _merge_choice(kind, old, {step: argument})
    raise SpecError(
        "X17",
        f"{kind} '{in_force}' has no option '{step}'"
        if in_force
        else f"there is no {kind} in force to take the option '{step}'",
        fix=did_you_mean(step, known or choices.names(kind)),
    )


def _put_plain(old: Any, path: Steps, value: Any) -> Any:
    """Set inside plain values (options of options, a term's options)."""
    if not path:
        return copy.deepcopy(_merge_plain(old, value))
    if old is not None and not isinstance(old, Mapping):
        raise SpecError(
            "X17",
            f"'{path[0]}' is asked of {old!r}, which has no parts",
            fix="replace the whole value",
        )
    held = dict(old or {})
    _assign(held, path[0], _put_plain(held.get(path[0]), path[1:], value))
    return held


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted path -> value, as deep as mappings go (`changes` and records use it)."""
    if isinstance(tree, Mapping) and tree:
        flat: dict[str, Any] = {}
        for key, value in tree.items():
            flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
        return flat
    return {prefix: tree}


def changes(base: Mapping[str, Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    """Paths whose value differs from the base; None = removed."""
    before, after = flatten(base), flatten(tree)
    changed = {p: v for p, v in after.items() if p not in before or before[p] != v}
    removed = {p: None for p in before if p not in after}
    return {p: v for p, v in (changed | removed).items() if p}


def get(tree: Any, path: Sequence[str]) -> Any:
    """The value at a path, None where nothing is."""
    for step in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(step)
    return tree
