"""Columns that a study names, held against its source's header; nothing is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from framework.contract import Matrix, Restriction, Step
from framework.data.sources import read_header
from framework.errors import (
    EstimandError,
    Problem,
    no_column,
)
from framework.glossary import COLUMNS, ESTIMANDS, SCALARS, TESTS
from framework.spec import choices, terms
from framework.spec.inference import places_of
from framework.spec.restrictions import RESTRICTIONS
from framework.spec.study import Study, project_root
from framework.spec.tree import Origin, Tree, get
from framework.vary import EVERY_VALUE, unfold

#: Plugins whose names tables print.
_NAMED_IN_TABLES: tuple[choices.ChoiceKind, ...] = ("estimator", "inference", "weights")


def header_of(study: Study) -> tuple[str, ...] | None:
    """The source's columns, without pandas; None where only reading would tell."""
    source = study.data.source.model_dump(exclude_none=True)
    try:
        return read_header(source, project_root(study), study.root)
    except EstimandError as error:
        raise EstimandError(
            p.at(path="data.source", place=study.origins.place(("data", "source")))
            for p in error.problems
        ) from error


def used_columns(study: Study) -> tuple[str, ...]:
    """Columns that a study needs from its source: named, and not made by a step."""
    needed: dict[str, None] = {}
    made: set[str] = set()
    groups = study.data.groups

    def note(columns: Iterable[str]) -> None:
        needed.update(dict.fromkeys(c for c in columns if c not in made))

    data = study.data
    note(c for c in (data.panel.unit, data.panel.time) if c)
    note(data.columns)
    for name, flat in data.steps.items():
        spread = _grouped(flat, groups)
        if choices.is_planned("step", flat["name"]):
            note(_named_in(spread))
            created = flat.get("columns")
            made |= {name, *(created if isinstance(created, Mapping) else ())}
            continue
        step = choices.build("step", spread)
        assert isinstance(step, Step)  # noqa: S101 - the kind says so
        note(step.reads(name))
        made |= set(step.makes(name) or ())
    note(c for members in groups.values() for c in members)
    for variation in unfold(study):
        note(c for c, _ in _used(variation.tree, groups))
        note(c for c, _ in _of_matrices(variation.tree))
        draws = variation.draws or {}
        note(str(draws[k]) for k in ("within", "resample") if k in draws)
    return tuple(needed)


def _named_in(flat: Mapping[str, Any]) -> list[str]:
    """Lists of columns among the options of a step that is not built."""
    return [
        item
        for value in flat.values()
        if isinstance(value, list)
        for item in value
        if isinstance(item, str)
    ]


def columns_checked(study: Study) -> bool:
    """False where the source says its columns only when it is read."""
    return header_of(study) is not None


def column_problems(tree: Tree, header: tuple[str, ...] | None) -> list[Problem]:
    """Columns of a tree that are neither in the header nor made by a step."""
    if header is None:
        return []
    problems: list[Problem] = []
    known = columns_after_steps(tree, header, problems)
    if known is None:
        return problems
    groups = tree["data"].get("groups") or {}
    for column, path in _used(tree, groups):
        if column not in known:
            problems.append(no_column(column, path, (*known, *groups)))
    problems += [
        no_column(column, path, tuple(known))
        for column, path in _of_matrices(tree)
        if column not in known
    ]
    return problems


def _of_matrices(tree: Tree) -> list[tuple[str, str]]:
    """(column, path) of every column that spatial weights are built from."""
    found: list[tuple[str, str]] = []
    for name, flat in (tree["data"].get("spatial_weights") or {}).items():
        if choices.is_planned("matrix", flat["name"]):
            continue
        matrix = choices.build("matrix", flat)
        assert isinstance(matrix, Matrix)  # noqa: S101 - the kind says so
        found += [(c, f"data.spatial_weights.{name}") for c in matrix.reads()]
    return found


def label_problems(study: Study) -> list[Problem]:
    """Labels of what no table of the study can hold; none where only the data tell.

    A label may stand for a column, a group, a step, a name of the checks or their
    values, a word of the glossary or a plugin, and for products of these.
    """
    written = study.document.tree.get("labels")
    if not isinstance(written, Mapping) or (header := header_of(study)) is None:
        return []
    if (known := _words(study, header)) is None:
        return []
    columns_ = [*header, *(study.tree["data"].get("steps") or {})]
    found = []
    for name in map(str, written):
        parts = name.replace("×", " ").split()
        if name in known or all(part in known for part in parts):
            continue
        origin = Origin(study.document, ("labels", name))
        problem = no_column(name, f"labels.{name}", columns_)
        found.append(problem.at(place=origin.place(key=True)))
    return found


def words_of(study: Study) -> frozenset[str] | None:
    """What tables can name, as far as the text and the header tell; None: unknown."""
    header = header_of(study)
    known = None if header is None else _words(study, header)
    return None if known is None else frozenset(known)


def _words(study: Study, header: tuple[str, ...]) -> set[str] | None:
    known = set(study.tree["data"].get("groups") or {})
    for variation in unfold(study):
        if EVERY_VALUE in variation.value:
            return None  # values of a column may be labelled, too
        tree = variation.tree
        columns = columns_after_steps(tree, header, [])
        if columns is None:
            return None
        known |= {*columns, *(tree["data"].get("steps") or {})}
        known |= {*(tree["data"].get("spatial_weights") or {})}
        known |= {variation.heading, variation.line, variation.value}
        known |= {*variation.value.split(".")}
    known |= {*COLUMNS, *ESTIMANDS, *SCALARS, *TESTS}
    known |= {name for kind in _NAMED_IN_TABLES for name in choices.names(kind)}
    return known


def columns_after_steps(
    tree: Tree, header: tuple[str, ...], problems: list[Problem]
) -> dict[str, None] | None:
    """Columns after the steps; None where a step can't say what it makes."""
    data = tree["data"]
    steps: Mapping[str, Any] = data.get("steps") or {}
    known = dict.fromkeys(header)
    wanted = [
        (name, f"data.panel.{key}") for key, name in (data.get("panel") or {}).items()
    ]
    wanted += [(name, f"data.columns.{name}") for name in data.get("columns") or {}]
    wanted += [
        (member, f"data.groups.{group}")
        for group, members in (data.get("groups") or {}).items()
        for member in (members if isinstance(members, list) else ())
        if member not in steps
    ]
    problems += [
        no_column(str(name), path, header) for name, path in wanted if name not in known
    ]
    for name, flat in steps.items():
        made = _after_step(name, flat, data.get("groups") or {}, known, problems)
        if made is None:
            return None
        known |= dict.fromkeys(made)
    return known


def _after_step(
    name: str,
    flat: Mapping[str, Any],
    groups: Mapping[str, Any],
    known: Mapping[str, None],
    problems: list[Problem],
) -> Sequence[str] | None:
    """Columns that a step adds; None where only the data tell."""
    if choices.is_planned("step", flat["name"]):
        created = flat.get("columns")
        return (name, *(created if isinstance(created, Mapping) else ()))
    step = choices.build("step", _grouped(flat, groups))
    assert isinstance(step, Step)  # noqa: S101 - the kind says so
    problems += [
        no_column(column, f"data.steps.{name}", tuple(known))
        for column in step.reads(name)
        if column not in known
    ]
    return step.makes(name)


def _grouped(flat: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any]:
    from framework.data.prepare import spread_groups

    return spread_groups(flat, groups)


def _used(tree: Tree, groups: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(column, path) of every column that a model names."""
    model = tree["model"]
    written: list[tuple[Any, str]] = [
        (get(model, path), ".".join(("model", *path)))
        for path in (
            ("treatment", "column"),
            ("inference", "by"),
            ("inference", "cluster"),
        )
    ]
    # Errors may be clustered by the sets that a restriction makes.
    chosen = {
        name
        for name, flat in (model.get("sample") or {}).items()
        if flat["name"] not in RESTRICTIONS
    }
    single = (("outcome",), ("interact", "with"))
    written += [([get(model, p)], ".".join(("model", *p))) for p in single]
    written += [
        ([item], f"model.{key}.{index}")
        for key in ("controls", "instruments", "mediators", "fixed_effects")
        for index, item in enumerate(model.get(key) or ())
    ]
    found = [
        (column, path)
        for held, path in written
        if held is not None and held != [None]
        for term in terms.parse_list(held, groups, slopes="fixed_effects" in path)
        for column in term.columns()
        if not (path.startswith("model.inference") and column in chosen)
    ]
    plain = (
        ("treatment", "first_treated"),
        ("treatment", "by"),
        ("weights", "column"),
    )
    found += [
        (column, ".".join(("model", *p))) for p in plain if (column := get(model, p))
    ]
    places = places_of(model.get("inference") or {"name": ""})
    found += [(column, f"model.inference.{key}") for key, column in places.items()]
    for name, flat in (model.get("sample") or {}).items():
        found += [
            (c, f"model.sample.{name}") for c in _restriction_columns(flat, groups)
        ]
    return found


def condition_columns(text: str) -> tuple[str, ...]:
    """Columns that a condition compares."""
    from framework.condition import parse  # only a study with a condition pays

    return tuple(parse(text).columns())


def _restriction_columns(flat: Mapping[str, Any], groups: terms.Groups) -> list[str]:
    if flat["name"] in ("only", "without"):
        return [flat["column"]]
    if "where" in flat:
        return list(condition_columns(flat["where"]))
    if flat["name"] in RESTRICTIONS or choices.is_planned("restriction", flat["name"]):
        listed = flat.get("columns") or flat.get("covariates") or []
        return [c for term in terms.parse_list(listed) for c in term.columns()]
    plugin = choices.build("restriction", flat)
    assert isinstance(plugin, Restriction)  # noqa: S101 - the kind says so
    named = [*(plugin.terms() or ()), *plugin.groups()]
    return [c for term in terms.parse_list(named, groups) for c in term.columns()]
