"""Terms: what stands for columns in outcome, treatment, controls, effects, clusters.

A term is a column, the name of a `data.groups` entry, `[a, b]` (interaction, or cells
where effects are meant), `{step: column or options}` (a one-column data step in place)
or, in fixed effects, `{slope: {variable, by}}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from framework.errors import EstimandError, SpecError
from framework.spec import choices
from framework.spec.choices import Flat


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the data."""

    name: str

    @property
    def label(self) -> str:
        return self.name

    def columns(self) -> tuple[str, ...]:
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Cells:
    """`[a, b]`: the product of numbers, the cells of groups."""

    parts: tuple[Term, ...]

    @property
    def label(self) -> str:
        return " × ".join(part.label for part in self.parts)

    def columns(self) -> tuple[str, ...]:
        return tuple(c for part in self.parts for c in part.columns())


@dataclass(frozen=True, slots=True)
class Built:
    """`{step: …}`: a column made in place by a data step."""

    step: Mapping[str, Any]

    @property
    def label(self) -> str:
        name = self.step["name"]
        main = choices.main_option("step", name)
        column = self.step.get("column", self.step.get("columns"))
        first = self.step.get(main, column) if main else column
        rest = [
            f"{k} {v}"
            for k, v in self.step.items()
            if k not in ("name", main, "column", "columns")
        ]
        if isinstance(first, Sequence) and not isinstance(first, str):
            first = ", ".join(map(str, first))
        inner = [str(column if first is None else first), *rest]
        return f"{name}({', '.join(i for i in inner if i != 'None')})"

    def columns(self) -> tuple[str, ...]:
        if choices.is_planned("step", self.step["name"]):
            return ()
        from framework.contract import Step

        step = choices.build("step", self.step)
        assert isinstance(step, Step)  # noqa: S101 - the kind says so
        return step.reads(self.label)


@dataclass(frozen=True, slots=True)
class SlopeTerm:
    """`{slope: {variable, by}}`: a coefficient on `variable` for every `by`."""

    variable: Term
    by: Term

    @property
    def label(self) -> str:
        return f"{self.by.label} slopes in {self.variable.label}"

    def columns(self) -> tuple[str, ...]:
        return (*self.variable.columns(), *self.by.columns())


Term = Column | Cells | Built | SlopeTerm
Groups = Mapping[str, Sequence[str]]


def parse(written: Any, *, slopes: bool = False) -> Term:
    """One term as written.

    Raises:
        SpecError: it is none of the forms.
    """
    if isinstance(written, str):
        if not written.strip():
            raise SpecError("X16", "a column without a name")
        return Column(written)
    if isinstance(written, list):
        if len(written) < 2:  # noqa: PLR2004 - an interaction has two sides
            raise SpecError(
                "X16", f"an interaction needs two terms or more, not {written!r}"
            )
        return Cells(tuple(parse(part) for part in written))
    if isinstance(written, Mapping) and len(written) == 1:
        if "slope" in written:
            return _slope(written["slope"], allowed=slopes)
        ((name, argument),) = written.items()
        if isinstance(argument, str | list) and choices.main_option(
            "step", name
        ) not in (
            "where",
            "formula",
        ):
            return _made({"name": name, _column_option(name): argument})
        return _made(choices.parse("step", written))
    raise SpecError(
        "X16",
        f"a term is a column, [a, b] or {{step: column}}, not {written!r}",
        fix="quote a column whose name looks like a number: '2015'",
    )


def _made(step: Flat) -> Built:
    """A column made by a step whose options are right."""
    wrong = choices.check("step", step, "")
    if wrong:
        raise EstimandError(replace(problem, path="") for problem in wrong)
    return Built(step)


def _column_option(name: str) -> str:
    """The option of a step that names its column(s): `{log: fdi}` means this one."""
    known = choices.options("step", name)
    main = choices.main_option("step", name)
    if known is None:
        if choices.plugin("step", name) is None:
            raise choices.unknown("step", name)
        return main or "columns"
    for option in ("column", "columns"):
        if option in known:
            return option
    if main is None:
        raise SpecError(
            "X16", f"step '{name}' makes no single column, so it can't be a term"
        )
    return main


def _slope(written: Any, *, allowed: bool) -> Term:
    if not allowed:
        raise SpecError("X16", "`slope` stands in fixed_effects only")
    if not isinstance(written, Mapping) or set(written) != {"variable", "by"}:
        raise SpecError("X16", "a slope is {slope: {variable: year, by: city}}")
    return SlopeTerm(parse(written["variable"]), parse(written["by"]))


def parse_list(
    written: Any, groups: Groups | None = None, *, slopes: bool = False
) -> tuple[Term, ...]:
    """A list of terms; names of groups (bare or inside a step) are spread out."""
    items = written if isinstance(written, list) else [written]
    found: list[Term] = []
    for item in items:
        found.extend(_spread(parse(item, slopes=slopes), groups or {}))
    return tuple({term.label: term for term in found}.values())


def _spread(term: Term, groups: Groups) -> tuple[Term, ...]:
    if isinstance(term, Column) and term.name in groups:
        return tuple(Column(name) for name in groups[term.name])
    if isinstance(term, Built):
        for option in ("column", "columns"):
            held = term.step.get(option)
            if isinstance(held, str) and held in groups:
                return tuple(
                    Built({**term.step, option: name}) for name in groups[held]
                )
    if isinstance(term, Cells):
        sides = [_spread(part, groups) for part in term.parts]
        if any(len(side) > 1 for side in sides):
            grid: list[tuple[Term, ...]] = [()]
            for side in sides:
                grid = [(*head, part) for head in grid for part in side]
            return tuple(Cells(parts) for parts in grid)
        return (Cells(tuple(side[0] for side in sides)),)
    return (term,)
