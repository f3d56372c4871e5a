"""What a plugin says of itself, before it is run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from framework import glossary, registry
from framework.contract import Estimator, Needs, Plugin
from framework.panel import Kind
from framework.spec.inference import INFERENCE
from framework.testing.findings import Findings

P = TypeVar("P", bound=Plugin)

#: Fields of the model that `Needs.uses` and `Needs.requires` may name.
FIELDS = (
    "controls",
    "fixed_effects",
    "inference",
    "instruments",
    "interact",
    "mediators",
    "spatial_weights",
    "weights",
)


def check_declaration(
    cls: type[P], contract: type[Plugin], options: Mapping[str, Any], found: Findings
) -> P | None:
    """Everything that needs no data; the plugin with its options, if there is one."""

    def wrong(what: str) -> None:
        found.add("declaration", what)

    if not (isinstance(cls, type) and issubclass(cls, contract)):
        wrong(f"it is not derived from framework.contract.{contract.__name__}")
        return None
    if not (cls.__dict__.get("__doc__") or "").strip():
        wrong("the class has no docstring: its first line is shown by `estimand list`")
    if registry.class_name(_file(cls)) != cls.__name__ and not _registered(cls):
        wrong(
            f"{cls.__name__} stands in {_file(cls)}.py, which should hold "
            f"{registry.class_name(_file(cls))}"
        )
    for path in _undescribed(cls):
        wrong(f"option '{path}' has no description")
    if cls.main is not None and cls.main not in cls.model_fields:
        wrong(f"main is '{cls.main}', which is no option")
    if issubclass(cls, Estimator):
        for what in _wrong_demands(cls):
            wrong(what)
    _schema(cls, found)
    heavy = heavy_imports(cls.__module__)
    if heavy:
        found.add(
            "imports",
            f"importing {cls.__module__} loads {', '.join(heavy)}: import inside the "
            "method that computes, a study is validated without",
        )
    return _built(cls, options, found)


def _file(cls: type[Plugin]) -> str:
    return cls.__module__.rpartition(".")[2]


def _registered(cls: type[Plugin]) -> bool:
    """Whether an entry point gives the class a name that it agrees with."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    return any(
        entry.target == target and registry.class_name(name) == cls.__name__
        for kind in registry.KINDS
        for name in registry.names(kind)
        if isinstance(entry := registry.find(kind, name), registry.Entry)
    )


def _undescribed(cls: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in cls.model_fields.items():
        if not (field.description or "").strip():
            yield prefix + name
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _undescribed(inner, f"{prefix}{name}.")


def _wrong_demands(cls: type[Estimator]) -> Iterator[str]:
    """Faults of `paper`, `estimands` and `needs`."""
    if not cls.paper.strip():
        yield "paper is empty: name the paper or book that defines the method"
    if not cls.estimands:
        yield "estimands is empty"
    needs: Any = cls.needs  # plugins are typed by hope
    if not isinstance(needs, Needs):
        yield "needs is not a framework.contract.Needs"
        return
    if not needs.kinds:
        yield "needs.kinds is empty: it would take no data"
    allowed: tuple[tuple[str, Sequence[str], Sequence[str]], ...] = (
        ("estimands", cls.estimands, tuple(glossary.ESTIMANDS)),
        ("needs.kinds", sorted(needs.kinds), get_args(Kind)),
        ("needs.uses", sorted(needs.uses), FIELDS),
        ("needs.requires", sorted(needs.requires), FIELDS),
        (
            "needs.inference",
            sorted(needs.inference),
            (*INFERENCE, *registry.planned("inference")),
        ),
    )
    for place, given, known in allowed:
        for name in given:
            if name not in known:
                yield f"{place} names '{name}', which is none of {', '.join(known)}"
    if needs.requires - needs.uses:
        yield f"needs.requires has {_listed(needs.requires - needs.uses)}, uses has not"
    if needs.inference and "inference" not in needs.uses:
        yield "needs.inference names some, and needs.uses has no 'inference'"


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


def _schema(cls: type[Plugin], found: Findings) -> None:
    with found.surviving("declaration", "model_json_schema()"):
        schema = cls.model_json_schema()
        json.dumps(schema, allow_nan=False)
        if schema.get("additionalProperties") is not False:
            found.add("declaration", "it takes unknown options: keep extra='forbid'")
    if not cls.model_config.get("frozen"):
        found.add("declaration", "its options can be changed: keep frozen=True")


def _built(cls: type[P], options: Mapping[str, Any], found: Findings) -> P | None:
    plugin = found.attempt(
        lambda: cls.model_validate(dict(options)),
        "declaration",
        f"{cls.__name__}({', '.join(options)})",
    )
    if plugin is None:
        return None
    try:
        cls.model_validate({**options, "no_such_option_": 1})
    except ValidationError:
        pass
    else:
        found.add("declaration", "an option that does not exist is taken in silence")
    with found.surviving("declaration", "writing its options and reading them back"):
        json.dumps(plugin.model_dump(mode="json", by_alias=True), allow_nan=False)
        if cls.model_validate(plugin.model_dump(by_alias=True)) != plugin:
            found.add("declaration", "its options, written and read back, are others")
    return plugin


# -- imports --------------------------------------------------------------------------

#: Runs in a fresh interpreter: what importing modules loads beyond the contract.
_PROBE = """
import importlib, json, sys
import framework.registry
before = set(sys.modules)
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception:
        pass
print(json.dumps(sorted({m.partition(".")[0] for m in set(sys.modules) - before})))
"""


def heavy_imports(module: str) -> tuple[str, ...]:
    """Top-level packages that importing a plugin's module loads and should not."""
    # An interpreter takes a third of a second: all registered plugins share one, and
    # each has its own only if that one is not clean.
    together = _registered_modules()
    if module in together and not _loaded(together):
        return ()
    return _loaded((module,))


@cache
def _registered_modules() -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            entry.target.partition(":")[0]
            for kind in registry.KINDS
            for name in registry.names(kind)
            if isinstance(entry := registry.find(kind, name), registry.Entry)
        )
    )


@cache
def _loaded(modules: tuple[str, ...]) -> tuple[str, ...]:
    path = [str(Path(p or ".").resolve()) for p in sys.path]
    probe = f"import sys\nsys.path[:] = {path!r}\n{_PROBE}"
    done = subprocess.run(  # noqa: S603 - this interpreter and our own text
        [sys.executable, "-c", probe, *modules],
        capture_output=True,
        text=True,
        check=True,
    )
    own = {module.partition(".")[0] for module in modules}
    light = own | {"framework", "pydantic", "pydantic_core", "typing_extensions"}
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    return tuple(sorted(loaded - light - set(sys.stdlib_module_names) - _SHIMS))


#: Import hooks that editable installs leave in `site-packages`, and compiled twins.
_SHIMS = frozenset({"mypyc", "sitecustomize", "usercustomize"})
