"""Change of productivity: Malmquist and Malmquist-Luenberger indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from estimators.steps._columns import finish, has_time, not_there
from estimators.steps._frontier import BadOutputsStep, Sample, keys, sample
from framework.contract import StepOutput
from framework.errors import counted
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


class Malmquist(BadOutputsStep):
    """Productivity of a row over that of its unit a period before; above 1 = growth.

    With bad outputs it is the Malmquist-Luenberger index of Chung, Färe and Grosskopf
    (1997), without any the output-oriented Malmquist index of Färe and others (1994):
    with D_t(s) the directional distance of period s's row to t's frontier,

        adjacent: sqrt[(1 + D_t(t)) / (1 + D_t(t+1)) x (1 + D_t+1(t)) / (1 + D_t+1(t+1))]
        global:   (1 + D_G(t)) / (1 + D_G(t+1))   (Pastor and Lovell 2005, Oh 2010)

    Makes NAME, NAME_efficiency (catching up) and NAME_technical (the frontier moves),
    whose product is NAME. Missing in a unit's first period and after a gap. The frame
    `distances` has every D.
    """

    paper: ClassVar[str] = (
        "Chung, Färe and Grosskopf (1997), Productivity and undesirable outputs; "
        "Oh (2010), A global Malmquist-Luenberger productivity index"
    )
    returns: Literal["constant", "variable"] = Field(
        description="returns to scale; only constant ones make it total productivity"
    )
    frontier: Literal["adjacent", "global"] = Field(
        description="the two periods' technologies, or one of all periods (no missing "
        "scores, and changes multiply over periods)"
    )
    disposability: Literal["weak", "strong"] = Field(
        "weak", description="of bad outputs: strong = less of them costs nothing"
    )
    cumulative: bool = Field(
        False,
        description="products since the unit's first period, which is 1, up to a gap",
    )

    scale: bool = Field(
        False,
        description="makes NAME_pure and NAME_scale too, whose product is "
        "NAME_efficiency: catching up under variable returns, and the rest (Färe and "
        "others 1994); needs `returns: constant`",
    )

    @model_validator(mode="after")
    def _constant(self) -> Malmquist:
        if self.scale and self.returns != "constant":
            raise ValueError(
                "`scale` needs `returns: constant`, which it is relative to"
            )
        return self

    def makes(self, name: str) -> tuple[str, ...]:
        """The index and its factors."""
        parts = ("efficiency", "technical", *(("pure", "scale") if self.scale else ()))
        return (name, *(f"{name}_{part}" for part in parts))

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Compare every row with its unit's row of the period before.

        Raises:
            EstimandError: L02 negative cells, L03 nothing to compare, L04 missing
                cells, P04 the data are no panel.
        """
        import numpy as np
        import pandas as pd

        unit, time = has_time(panel, name)
        for column in self.makes(name):
            not_there(panel, column, name)
        found = sample(panel, self, name, "allow")
        codes = pd.factorize(panel.frame[unit].to_numpy()[found.rows])[0]
        periods, clock = np.unique(
            panel.frame[time].to_numpy()[found.rows], return_inverse=True
        )
        before = _before(codes, clock, len(periods))
        n = len(found)
        d = self._distances(found, clock, len(periods))
        own, early, late, pooled = d.own, d.early, d.late, d.pooled
        has = before >= 0
        i, j = np.flatnonzero(has), before[has]
        catch, index = np.full(n, np.nan), np.full(n, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            catch[i] = (1 + own[j]) / (1 + own[i])
            if self.frontier == "global":
                index[i] = (1 + pooled[j]) / (1 + pooled[i])
            else:
                ratio = (1 + own[j]) / (1 + early[i]) * (1 + late[j]) / (1 + own[i])
                # A distance of -1 or less is productivity of nothing: no index.
                index[i] = np.sqrt(np.where(ratio > 0, ratio, np.nan))
            index[~np.isfinite(index)] = np.nan
            technical = index / catch
        missing = int(np.isnan(index[i]).sum())
        factors = [index, catch, technical]
        if self.scale:
            pure = np.full(n, np.nan)
            pure[i] = (1 + d.variable[j]) / (1 + d.variable[i])
            factors += [pure, catch / pure]
        made: dict[str, Floats] = {}
        for column, values in zip(self.makes(name), factors, strict=True):
            told = _product(values, before, codes, clock) if self.cumulative else values
            made[column] = np.full(len(panel.frame), np.nan)
            made[column][found.rows] = told
        table = keys(panel, found.rows).assign(
            own=own, next_frontier=late, previous_frontier=early, global_frontier=pooled
        )
        if self.scale:
            table["own_variable"] = d.variable
        kind = "Malmquist-Luenberger" if self.bads else "Malmquist"
        detail = f"{kind} index, {self.frontier} frontier, {self.returns} returns: "
        alone = counted(len(found) - len(i), "row")
        detail += f"{counted(len(i), 'change')}, {alone} without a row before"
        note = (
            f"{missing:,} of {len(i):,} changes are missing, infeasible: one period's "
        )
        note += "frontier does not reach the other's row. frontier: global has none"
        notes: tuple[str, ...] = (note,) if missing else ()
        if self.cumulative and (broken := len(found) - len(i) - len(np.unique(codes))):
            note = f"gaps in units' periods: {broken:,}. From there on their products "
            note += "are missing, for the change over a gap is not known"
            notes += (note,)
        return finish(
            panel, name, made, detail, frames={"distances": table}, notes=notes
        )

    def _distances(self, found: Sample, clock: Integers, periods: int) -> _Known:
        """Every distance that the index is made of."""
        import numpy as np

        n = len(found)
        own, late, early, pooled, variable = np.full((5, n), np.nan)
        for p in range(periods):
            now = np.flatnonzero(clock == p)
            own[now] = self._distance(found, now, now)
            if self.scale:
                variable[now] = self._distance(found, now, now, "variable")
            if self.frontier == "adjacent" and p:
                then = np.flatnonzero(clock == p - 1)
                late[then] = self._distance(found, then, now)
                early[now] = self._distance(found, now, then)
        if self.frontier == "global":
            pooled = self._distance(found, np.arange(n), np.arange(n))
        return _Known(own, late, early, pooled, variable)

    def _distance(
        self,
        found: Sample,
        evaluated: Integers,
        reference: Integers,
        returns: Literal["constant", "variable"] | None = None,
    ) -> Floats:
        """(len(evaluated),) directional distances of outputs, NaN where infeasible."""
        import numpy as np

        from estimators._math.distance import directional
        from estimators.steps._programs import solve

        at: Any = np.searchsorted(reference, evaluated).clip(max=len(reference) - 1)
        own = np.where(reference[at] == evaluated, at, -1)
        return directional(
            found.quantities.take(evaluated),
            found.quantities.take(reference),
            own,
            "outputs",
            returns or self.returns,
            self.disposability,
            solve,
        ).value


@dataclass(frozen=True, slots=True)
class _Known:
    """Directional distances D of n rows, NaN where they were not asked for.

    Attributes:
        own: to the frontier of the row's period.
        late, early: of the period after, and before.
        pooled: of all periods.
        variable: of the row's period under variable returns.
    """

    own: Floats
    late: Floats
    early: Floats
    pooled: Floats
    variable: Floats


def _before(codes: Integers, clock: Integers, periods: int) -> Integers:
    """(n,) the unit's row in the observed period before, -1 = none."""
    import numpy as np

    key = codes * periods + clock
    order = np.argsort(key)
    at = np.searchsorted(key, key - 1, sorter=order).clip(max=len(key) - 1)
    row = order[at]
    return np.where((key[row] == key - 1) & (clock > 0), row, -1)


def _product(
    values: Floats, before: Integers, codes: Integers, clock: Integers
) -> Floats:
    """(n,) running products along a unit from 1 on; NaN from its first gap on."""
    import numpy as np

    total = np.full(len(values), np.nan)
    order = np.argsort(clock, kind="stable")
    total[order[np.unique(codes[order], return_index=True)[1]]] = 1.0
    for row in order:
        if before[row] >= 0:
            total[row] = total[before[row]] * values[row]
    return total


__all__ = ["Malmquist"]
