"""What the rules look at: printed numbers, claims, and the study that tests them.

A rule names the estimations that it needs (`Need`), which the caller runs as any other
estimation; the rule then reads their cells here. Nothing here runs an engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from framework.audit.rounding import Interval, p_of, t_of
from framework.claims import Claim, Claims
from framework.errors import DataError, EstimandError

if TYPE_CHECKING:
    import pandas as pd

    from framework.cache import Cell
    from framework.data.design import Design
    from framework.panel import Panel
    from framework.plan import Estimation
    from framework.published import Printed
    from framework.spec.study import Study

Found = TypeVar("Found")
#: Fewest degrees of freedom where nobody says how many: ten clusters.
_FEWEST = 9


@dataclass(frozen=True, slots=True)
class Leaf:
    """A printed number: the column it stands in, its name there, what is printed."""

    column: str
    name: str
    printed: Printed

    @property
    def address(self) -> str:
        return f"{self.column}.{self.name}"

    @property
    def interval(self) -> Interval:
        return Interval.of(self.printed.number)

    @property
    def t(self) -> Interval | None:
        """|t|, where a standard error is printed."""
        error = self.printed.std_error
        if error is None or error < 0:
            return None
        return t_of(self.printed.number, error)

    def p(self, df: int) -> Interval | None:
        """P as printed, else from |t|."""
        if self.printed.p_value is not None:
            return Interval.of(self.printed.p_value).clip(0, 1)
        return None if self.t is None else p_of(self.t, df)


@dataclass(frozen=True, slots=True)
class Need:
    """An estimation that a rule needs: a line with other fields of `model`.

    Attributes:
        column: address of the line it starts from.
        model: fields that replace the line's (None removes one).
    """

    column: str
    model: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.column} {sorted(self.model.items(), key=str)}"


def _no_table(file: str) -> pd.DataFrame:
    raise DataError("D17", f"{file} is not there")


@dataclass(slots=True)
class Scene:
    """The study under audit.

    Attributes:
        leaves: every printed number, in the order of writing.
        estimations: address -> estimation, of every line of the study.
        panel_of, design_of, rebuilt: make panels and designs of a line.
        no_data: why nothing can be computed from data; "" where it can.
        simulated: what simulated data say of themselves; None = they are real.
        cells: key of a need -> its cell, or why there is none.
        table_of: reads a table beside the study.
    """

    study: Study
    claims: Claims
    leaves: tuple[Leaf, ...]
    estimations: Mapping[str, Estimation]
    panel_of: Callable[[str], Panel]
    design_of: Callable[[str], Design]
    rebuilt: Callable[[str, Mapping[str, Any]], Panel]
    no_data: str = ""
    simulated: str | None = None
    cells: dict[str, Cell | str] = field(default_factory=dict)
    table_of: Callable[[str], pd.DataFrame] = _no_table
    _why: dict[str, str] = field(default_factory=dict)

    # -- what is printed and said ----------------------------------------------------

    def under(self, address: str) -> list[Leaf]:
        """Printed numbers at an address or below it."""
        return [
            leaf for leaf in self.leaves if f"{leaf.address}.".startswith(f"{address}.")
        ]

    def leaf(self, address: str) -> Leaf | None:
        return next((leaf for leaf in self.leaves if leaf.address == address), None)

    def columns(self) -> dict[str, dict[str, Leaf]]:
        """Column -> name -> printed number."""
        found: dict[str, dict[str, Leaf]] = {}
        for leaf in self.leaves:
            found.setdefault(leaf.column, {})[leaf.name] = leaf
        return found

    def said(self, *fields: str) -> Iterator[tuple[str, Claim]]:
        """Claims in which all these fields are filled."""
        for address, claim in self.claims.said.items():
            if all(getattr(claim, name) not in (None, "", []) for name in fields):
                yield address, claim

    def df(self, column: str) -> int:
        """Fewest degrees of freedom that t statistics of a column can have.

        Clustered by unit, as many clusters as its rows fill at least; otherwise nobody
        says how many clusters there are.
        """
        units, periods = self.claims.sample.units, self.claims.sample.periods
        rows = self.leaf(f"{column}.n_obs")
        inference = self.model(column).get("inference") or {}
        unit = (self.study.tree["data"].get("panel") or {}).get("unit")
        by_unit = unit is not None and inference.get("by") == unit
        if not by_unit or units is None or periods is None or rows is None:
            return _FEWEST
        clusters = math.ceil(rows.interval.low / (periods[1] - periods[0] + 1))
        return max(min(clusters, units) - 1, 1)

    # -- the study -------------------------------------------------------------------

    def column_of(self, address: str) -> str:
        """The line that an address is, or lies in; "" where it is none's."""
        parts = address.split(".")
        for end in range(len(parts), 0, -1):
            column = ".".join(parts[:end])
            if column in self.estimations:
                return column
        return ""

    def columns_at(self, address: str) -> list[str]:
        """Lines that an address is, lies in, or covers."""
        inside = self.column_of(address)
        if inside:
            return [inside]
        return [c for c in self.estimations if c.startswith(f"{address}.")]

    def model(self, column: str) -> Mapping[str, Any]:
        """The model of a line; empty where there is no such line."""
        found = self.estimations.get(column)
        return found.model if found else {}

    def treatment(self, column: str) -> str:
        """The treatment's column, "" where there are several or none."""
        written = (self.model(column).get("treatment") or {}).get("column")
        return written if isinstance(written, str) else ""

    def spec(self, address: str) -> str:
        """`file:line:column` of the line, of a heading's first one."""
        at = self.columns_at(address)
        found = self.estimations.get(at[0]) if at else None
        return str(found.place) if found and found.place else ""

    # -- data ------------------------------------------------------------------------

    def panel(self, column: str) -> Panel | None:
        """The prepared panel of a line; None where `why` tells what is in the way."""
        return self._try(column, self.panel_of)

    def frame(self, column: str) -> pd.DataFrame | None:
        panel = self.panel(column)
        return None if panel is None else panel.frame

    def with_steps(self, column: str, steps: Mapping[str, Any]) -> pd.DataFrame | None:
        """The rows of a line after other data steps."""
        panel = self._try(column, lambda c: self.rebuilt(c, steps))
        return None if panel is None else panel.frame

    def design(self, column: str) -> Design | None:
        """The rows and columns that a line uses."""
        return self._try(column, self.design_of)

    def why(self, column: str) -> str:
        """Why there is no panel or design."""
        return self.no_data or self._why.get(column, "")

    def cell(self, need: Need) -> Cell | None:
        """A finished estimation; None where `why_not` tells the reason."""
        found = self.cells.get(need.key)
        return None if found is None or isinstance(found, str) else found

    def why_not(self, need: Need) -> str:
        """Why an estimation that a rule needs is not there."""
        found = self.cells.get(need.key)
        return found if isinstance(found, str) else self.no_data or "it was not run"

    def _try(self, column: str, ask: Callable[[str], Found]) -> Found | None:
        if self.no_data:
            return None
        try:
            return ask(column)
        except EstimandError as error:
            self._why[column] = error.problems[0].what
            return None


def listed(names: Iterable[str], most: int = 4) -> str:
    """`a, b and 3 more`."""
    held = list(names)
    if len(held) <= most:
        return ", ".join(held)
    return f"{', '.join(held[:most])} and {len(held) - most} more"
