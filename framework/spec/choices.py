"""Choices: `name`, `{name: main option}` or `{name: {options}}`, one grammar for all.

A choice is stored flat, `{"name": "twfe", "leads": [1]}`, so that a dotted path skips
the plugin's name: `estimator.leads`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from framework import registry
from framework.contract import Choice, Plugin
from framework.errors import (
    EstimandError,
    Phase,
    Problem,
    SpecError,
    did_you_mean,
    with_article,
)
from framework.spec import wording
from framework.spec.expectations import EXPECTATIONS, FAMILIES
from framework.spec.inference import INFERENCE, WEIGHTS
from framework.spec.restrictions import RESTRICTIONS

ChoiceKind = Literal[
    "estimator",
    "step",
    "matrix",
    "learner",
    "generator",
    "inference",
    "weights",
    "restriction",
    "expectation",
    "family",
]
_CORE: Mapping[str, Mapping[str, type[Plugin]]] = {
    "inference": INFERENCE,
    "weights": WEIGHTS,
    "restriction": RESTRICTIONS,
    "expectation": EXPECTATIONS,
    "family": FAMILIES,
}
Flat = dict[str, Any]


def names(kind: ChoiceKind) -> tuple[str, ...]:
    """Every name of a kind, planned ones included."""
    built = tuple(_CORE.get(kind, ()))
    if kind in registry.KINDS:
        built += registry.names(kind)
    return tuple(dict.fromkeys((*built, *registry.planned(kind))))


@cache
def plugin(kind: ChoiceKind, name: str) -> type[Plugin] | registry.Planned | None:
    """The class behind a name, what is planned under it, or None."""
    core = _CORE.get(kind, {}).get(name)
    if core is not None:
        return core
    if kind not in registry.KINDS:
        return registry.planned(kind).get(name)
    found = registry.find(kind, name)
    return registry.load(found) if isinstance(found, registry.Entry) else found


def main_option(kind: ChoiceKind, name: str) -> str | None:
    """The option of a plugin that may be written without its name."""
    found = plugin(kind, name)
    return found.main if found else None


def options(kind: ChoiceKind, name: str) -> tuple[str, ...] | None:
    """Option names of a plugin; None = not known (planned), anything goes."""
    found = plugin(kind, name)
    if isinstance(found, type):
        return tuple(f.alias or n for n, f in found.model_fields.items())
    return None


def is_planned(kind: ChoiceKind, name: str) -> bool:
    """Announced but not built."""
    return isinstance(plugin(kind, name), registry.Planned)


def parse(kind: ChoiceKind, written: Any, *, where: str = "") -> Flat:
    """A choice as written -> flat.

    Raises:
        SpecError: unknown name, several names, or a main option where there is none.
    """
    if isinstance(written, str):
        if plugin(kind, written) is None:
            raise unknown(kind, written, where)
        return {"name": written}
    if isinstance(written, Mapping) and len(written) == 1:
        ((name, argument),) = written.items()
        if plugin(kind, name) is None:
            raise unknown(kind, name, where)
        if argument is None:
            raise SpecError(
                "X15",
                f"{kind} '{name}' with null",
                fix=f"write `{name}`, or null in place of the whole choice",
                path=where,
            )
        if isinstance(argument, Mapping):
            return {"name": name, **argument}
        main = main_option(kind, name)
        if main is None:
            raise SpecError(
                "X15",
                f"{kind} '{name}' has no main option, so `{argument}` has no meaning",
                fix=f"name the option: {{{name}: {{option: {argument}}}}}"
                + _listed(kind, name),
                path=where,
            )
        return {"name": name, main: argument}
    raise SpecError(
        "X15",
        f"{with_article(kind)} is `name`, {{name: main option}} or {{name: {{options}}}}, "
        f"not {written!r}",
        fix=_under_its_name(kind, written),
        path=where,
    )


def _under_its_name(kind: ChoiceKind, written: Any) -> str:
    """What `learner.trees` beside `learner: {forest: …}` was meant as."""
    if not isinstance(written, Mapping):
        return ""
    known = [name for name in written if plugin(kind, str(name)) is not None]
    if len(known) != 1:
        return ""
    (name,) = known
    loose = [str(key) for key in written if key != name]
    return (
        f"options of '{name}' stand under its name: {{{name}: {{{loose[0]}: …}}}}, as a "
        f"path {name}.{loose[0]}"
    )


def unknown(kind: ChoiceKind, name: str, where: str = "") -> SpecError:
    """`no estimator 'twef', did you mean 'twfe'?`."""
    return SpecError(
        "X01", f"no {kind} '{name}'", fix=did_you_mean(name, names(kind)), path=where
    )


def _listed(kind: ChoiceKind, name: str) -> str:
    known = options(kind, name)
    return f"; options: {', '.join(known)}" if known else ""


def build(kind: ChoiceKind, flat: Mapping[str, Any]) -> Plugin:
    """The plugin with its options.

    Raises:
        SpecError: not built, or an option that is wrong (all of them at once are in
            `check`).
    """
    name = flat["name"]
    found = plugin(kind, name)
    if found is None:
        raise unknown(kind, name)
    if isinstance(found, registry.Planned):
        raise SpecError("X10", f"{kind} '{name}' is announced but not built yet")
    return found.model_validate({k: v for k, v in flat.items() if k != "name"})


def check(kind: ChoiceKind, flat: Mapping[str, Any], path: str) -> list[Problem]:
    """All problems of a flat choice, each with the path of the option at fault."""
    name = flat.get("name")
    if not isinstance(name, str) or plugin(kind, name) is None:
        return list(unknown(kind, str(name), path).problems)
    if is_planned(kind, name):
        return []
    try:
        build(kind, flat)
    except ValidationError as error:
        return from_pydantic(error, path, known=options(kind, name) or ())
    except EstimandError as error:
        return [_below(path, p) for p in error.problems]
    return []


def _below(path: str, problem: Problem) -> Problem:
    """A problem of a choice inside this one says its path from there (`.forest.trees`)."""
    if problem.path.startswith("."):
        return replace(problem, path=path + problem.path)
    return problem.at(path=path)


def _nested(kind: str, written: Any) -> Plugin:
    """A choice that stands in an option of another plugin, built.

    Raises:
        EstimandError: all its problems, their paths relative to the option.
    """
    flat = parse(kind, written)  # type: ignore[arg-type]  # kinds come from plugins
    name = flat["name"]
    if is_planned(kind, name):  # type: ignore[arg-type]  # as above
        build(kind, flat)  # type: ignore[arg-type]  # raises: announced, not built
    if problems := check(kind, flat, f".{name}"):  # type: ignore[arg-type]  # as above
        raise EstimandError(problems)
    return build(kind, flat)  # type: ignore[arg-type]  # as above


Choice.resolve = _nested


def entries(kind: ChoiceKind, flat: Mapping[str, Any]) -> tuple[registry.Entry, ...]:
    """Entry of a choice, and those of other distributions' plugins in its options.

    What an estimation's numbers depend on; built-ins are one distribution with the rest.
    """
    name = flat["name"]
    core = name in _CORE.get(kind, {})
    own = () if core else (registry.entry(kind, name),)  # type: ignore[arg-type]  # kinds outside _CORE are the registry's
    inner = (registry.foreign(p) for p in _inside(build(kind, flat)))
    return (*own, *dict.fromkeys(e for e in inner if e))


def _inside(held: Any) -> Iterator[Plugin]:
    """Plugins in the options of a plugin, at any depth."""
    if isinstance(held, BaseModel):
        parts: Iterable[Any] = [getattr(held, name) for name in type(held).model_fields]
    elif isinstance(held, list | tuple):
        parts = held
    else:
        return
    for part in parts:
        if isinstance(part, Plugin):
            yield part
        yield from _inside(part)


_UNKNOWN_KEY = "extra_forbidden"


def from_pydantic(
    error: ValidationError, path: str, *, known: tuple[str, ...] = ()
) -> list[Problem]:
    """Pydantic's findings in the words of a study, paths without pydantic's own marks.

    Alternatives of a union are reported as one problem per place.
    """
    found: dict[str, list[Any]] = {}
    for item in error.errors(include_url=False):
        inner = [str(p) for p in item["loc"]]
        if item["type"] == "missing":
            kept = inner[:-1]
        elif item["type"] == _UNKNOWN_KEY:
            kept = inner
        else:
            kept = [p for p in inner if p in known or p.isdigit()] or inner[:1]
        found.setdefault(".".join([path, *kept] if path else kept), []).append(item)
    return [
        _problem(where, items, known)
        for where, items in found.items()
        if not _is_of_another_shape(where, items, found)
    ]


def _is_of_another_shape(where: str, items: list[Any], found: Iterable[str]) -> bool:
    """An alternative that the value is not, while the parts of another have faults.

    So is a list that is too short when pydantic counts its good parts alone.
    """
    return all(wording.shape(i) or i["type"] == "too_short" for i in items) and any(
        other.startswith(f"{where}.") for other in found
    )


def _problem(where: str, items: list[Any], known: tuple[str, ...]) -> Problem:
    first = items[0]
    if first["type"] == _UNKNOWN_KEY:
        key = str(first["loc"][-1])
        what, fix = f"unknown key '{key}'", did_you_mean(key, known)
    else:
        alike = [i for i in items if i["type"] not in ("missing", _UNKNOWN_KEY)]
        what, fix = wording.say_any(alike or items), _guess(first)
    return Problem(Phase.SPEC, "X15", what, fix=fix, path=where)


def _guess(item: Any) -> str:
    expected = (item.get("ctx") or {}).get("expected", "")
    given = item.get("input")
    if item["type"] == "literal_error" and isinstance(given, str):
        allowed = [e.strip("' ") for e in expected.replace(" or ", ",").split(",")]
        return did_you_mean(given, allowed)
    return ""
