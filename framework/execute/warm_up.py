"""Import in advance what jobs will need, so that no time limit counts it.

Plugins import their engine inside their functions; the plugin's own source says which.
Some engines load lazily, when a name is first asked for: those names are asked for too.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Import:
    """`module`, the name taken from it ("" = none) and whether a function does it."""

    module: str
    name: str
    inner: bool


def warm_up(task: str, plugins: Iterable[str]) -> None:
    """Import the function `task` and the engines of `plugins` (both `module:name`).

    What does not import is left to the job that needs it, which says so.
    """
    for name in ("framework.cache.frames", "pandas", _module(task)):
        _touch(name, "")
    waiting = [_module(plugin) for plugin in plugins]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        with contextlib.suppress(Exception):
            source = inspect.getsource(importlib.import_module(name))
            for found in imports(source):
                if _top(found.module) == _top(name):
                    # Plugins share engines through modules of their own package.
                    waiting += [found.module, f"{found.module}.{found.name}"]
                elif found.inner:
                    _touch(found.module, found.name)


def imports(source: str) -> list[Import]:
    """Absolute imports of a module, with the names used of modules taken whole.

    What only type checkers import is no import.
    """
    tree = ast.parse(source)
    typed = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If)
        and isinstance(block.test, ast.Name)
        and block.test.id == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, _FUNCTIONS)
        for node in ast.walk(function)
    }
    used: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.setdefault(node.value.id, set()).add(node.attr)
    found = [
        Import(module, name, id(node) in inside)
        for node in ast.walk(tree)
        if id(node) not in typed
        for module, name in _taken(node, used)
    ]
    return list(dict.fromkeys(found))


def _taken(node: ast.AST, used: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, ""
            for attribute in sorted(used.get(alias.asname or alias.name, ())):
                yield alias.name, attribute
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            yield node.module, alias.name


def _touch(module: str, name: str) -> None:
    with contextlib.suppress(Exception):
        loaded = importlib.import_module(module)
        if name:
            getattr(loaded, name)


def _module(target: str) -> str:
    return target.partition(":")[0]


def _top(module: str) -> str:
    return module.partition(".")[0]
