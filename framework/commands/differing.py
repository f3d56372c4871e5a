"""`diff`: what differs between two studies, as resolved; layout and order of keys don't."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.commands import printing
from framework.errors import OK

if TYPE_CHECKING:
    from framework.plan import Estimation
    from framework.record import Resolved

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class _Side:
    """A study as resolved: its own trees, and those of every estimation."""

    name: str
    study: Mapping[str, Any]
    estimations: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """What two studies differ in.

    Attributes:
        study: path -> (A's value, B's value) of the study itself.
        only_a, only_b: addresses that the other does not have.
        changed: address -> path -> values, beyond what follows from `study`.
    """

    study: Mapping[str, tuple[Any, Any]]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    changed: Mapping[str, Mapping[str, tuple[Any, Any]]]

    @property
    def none(self) -> bool:
        return not (self.study or self.only_a or self.only_b or self.changed)


def diff(options: argparse.Namespace) -> int:
    """Print the differences in the words of the study."""
    a, b = (_side(name) for name in options.studies)
    found = difference(a.study, a.estimations, b.study, b.estimations)
    if options.json:
        printing.as_json(
            {
                "a": a.name,
                "b": b.name,
                "study": _pairs(found.study),
                "only_a": list(found.only_a),
                "only_b": list(found.only_b),
                "changed": {k: _pairs(v) for k, v in found.changed.items()},
            }
        )
        return OK
    printing.out(f"A  {a.name}", f"B  {b.name}")
    if found.none:
        printing.out("", "The same study: every estimation is resolved alike.")
        return OK
    _say("The study", found.study)
    for address, paths in found.changed.items():
        _say(address, paths)
    for mark, addresses in (("A", found.only_a), ("B", found.only_b)):
        if addresses:
            head = f"Only in {mark}: "
            printing.out("", *printing.wrapped(", ".join(addresses), "    ", head))
    return OK


def difference(
    study_a: Mapping[str, Any],
    a: Mapping[str, Mapping[str, Any]],
    study_b: Mapping[str, Any],
    b: Mapping[str, Mapping[str, Any]],
) -> Difference:
    """Compare two studies.

    Args:
        study_a, study_b: tree of each study itself.
        a, b: address -> tree of the estimation.
    """
    own = dict(_unlike(study_a, study_b))
    changed = {}
    for address in a:
        if address not in b:
            continue
        paths = dict(_unlike(a[address], b[address]))
        beyond = {p: v for p, v in paths.items() if own.get(p) != v}
        if beyond:
            changed[address] = beyond
    return Difference(
        own,
        tuple(address for address in a if address not in b),
        tuple(address for address in b if address not in a),
        changed,
    )


def _unlike(a: Any, b: Any, path: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Every path at which two trees differ; lists and terms differ as a whole."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys((*a, *b)):
            below = f"{path}.{key}" if path else str(key)
            yield from _unlike(a.get(key, _ABSENT), b.get(key, _ABSENT), below)
        ordered = path.endswith((".sample", ".steps"))
        if ordered and set(a) == set(b) and list(a) != list(b):
            yield f"{path} (order)", (list(a), list(b))
        return
    if a is _ABSENT or b is _ABSENT or type(a) is not type(b) or a != b:
        yield path, (a, b)


def _side(name: str) -> _Side:
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return _of_file(path)
    return _of_run(name)


def _of_file(path: Path) -> _Side:
    from framework.commands.preparing import start
    from framework.plan import levels_of, plan
    from framework.settings import settings
    from framework.spec.study import open_study

    study = open_study(path)
    prepared = start(study, settings().runs).prepared
    planned = plan(study, levels=levels_of(study, prepared, build=False))
    own = {"seed": study.seed, "data": study.tree["data"], "model": study.tree["model"]}
    return _Side(str(path), own, {e.address: _tree(e) for e in planned if not e.hidden})


def _of_run(name: str) -> _Side:
    from framework.commands.reporting import run_folder
    from framework.record import read_resolved
    from framework.settings import settings

    folder = run_folder(name, settings().runs)
    held = read_resolved(folder)
    first = next(iter(held.values()))
    own = {"seed": first.seed, "data": first.data, "model": first.base}
    return _Side(str(folder), own, {address: _tree(e) for address, e in held.items()})


def _tree(estimation: Estimation | Resolved) -> dict[str, Any]:
    return {
        "data": estimation.data,
        "model": estimation.model,
        "draws": estimation.draws,
        "expect": list(estimation.expect),
    }


def _say(what: str, paths: Mapping[str, tuple[Any, Any]]) -> None:
    if not paths:
        return
    printing.out("", what)
    for path, (a, b) in paths.items():
        text = f"{path}: {_words(a)} -> {_words(b)}"
        printing.out(*printing.wrapped(text, "      ", "  "))


def _words(value: Any) -> str:
    return "nothing" if value is _ABSENT or value is None else str(value)


def _pairs(paths: Mapping[str, tuple[Any, Any]]) -> dict[str, dict[str, Any]]:
    def plain(value: Any) -> Any:
        return None if value is _ABSENT else value

    return {p: {"a": plain(a), "b": plain(b)} for p, (a, b) in paths.items()}


__all__ = ["Difference", "diff", "difference"]
