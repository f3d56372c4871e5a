"""What the steps of efficiency share: their quantities, frontiers and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from estimators.steps._columns import as_numbers, listing
from estimators.steps._untreated import Reference, Untreated, other_technologies
from framework.condition import evaluate, parse, require
from framework.contract import Step
from framework.errors import DataError, EstimandError, Phase, Problem, counted
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from estimators._math.efficiency import Quantities

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

#: Rows named in a message.
_NAMED = 5
#: A good output that grows less than this with all inputs looks like a ratio.
_RATIO_LIKE = 0.25
#: `zeros: small` puts the column's smallest positive cell over this.
_SMALL = 100.0


class Window(BaseModel):
    """Every `window` periods in a row are one technology; scores are averaged."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    window: int = Field(ge=1, description="periods in a row that share a technology")


class Metafrontier(BaseModel):
    """Each group has a technology, and all have one together."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    metafrontier: str = Field(description="column of the groups")


Frontier = Literal["pooled", "yearly", "sequential"] | Window | Metafrontier


class FrontierStep(Step):
    """A step that compares rows with the technology that rows span."""

    cost: ClassVar[Literal["cheap", "costly"]] = "costly"

    inputs: list[str] | str = Field(description="columns that are used up")
    outputs: list[str] | str = Field(description="columns that are produced")
    missing: Literal["error", "skip"] = Field(
        "error",
        description="rows with a missing quantity: refused, or left out of the "
        "technology and without a score",
    )

    @field_validator("inputs", "outputs")
    @classmethod
    def _list(cls, value: list[str] | str) -> list[str]:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _distinct(self) -> FrontierStep:
        if not self.inputs or not self.outputs:
            raise ValueError("needs at least one of `inputs` and one of `outputs`")
        names = self.quantities
        if len(set(names)) < len(names):
            twice = sorted({n for n in names if names.count(n) > 1})
            raise ValueError(f"names {', '.join(twice)} twice")
        return self

    @property
    def bads(self) -> list[str]:
        """Columns of bad outputs."""
        return []

    @property
    def quantities(self) -> list[str]:
        """All columns of quantities: inputs, outputs, bad outputs."""
        return [*self.inputs, *self.outputs, *self.bads]

    def reads(self, name: str) -> tuple[str, ...]:
        """The quantities, groups of a metafrontier, columns of `reference`, `size`."""
        frontier = getattr(self, "frontier", None)
        group = [frontier.metafrontier] if isinstance(frontier, Metafrontier) else []
        reference = getattr(self, "reference", None)
        named: tuple[str, ...] = ()
        if isinstance(reference, Untreated):
            named = reference.columns
        elif reference:
            named = tuple(parse(reference).columns())
        size = [column] if (column := getattr(self, "size", None)) else []
        return tuple(dict.fromkeys([*self.quantities, *group, *named, *size]))

    def alternatives(self, treatment: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Technologies that the policy may not have moved, where peers can be chosen."""
        if "reference" not in type(self).model_fields:
            return {}
        return other_technologies(treatment, getattr(self, "frontier", None))


def readable(value: Reference | None) -> Reference | None:
    """A condition that can be read, for validators.

    Raises:
        SpecError: it is no condition.
    """
    if isinstance(value, str):
        parse(value)
    return value


def peers_in_words(reference: Reference | None) -> str:
    """` of rows where year < 2019`, for the ledger; nothing where all rows are peers."""
    if reference is None:
        return ""
    return f" of {'rows where ' if isinstance(reference, str) else ''}{reference}"


class BadOutputsStep(FrontierStep):
    """One that also takes outputs nobody wants."""

    bad_outputs: list[str] | str = Field([], description="columns produced unwanted")

    @field_validator("bad_outputs")
    @classmethod
    def _bad_list(cls, value: list[str] | str) -> list[str]:
        return [value] if isinstance(value, str) else value

    @property
    def bads(self) -> list[str]:
        """Columns of bad outputs."""
        return list(self.bad_outputs)


def of_all(frontier: Frontier) -> str | None:
    """Label of the technology whose scores are the outcome; None = every one's are."""
    return "all" if isinstance(frontier, Metafrontier) else None


@dataclass(frozen=True, slots=True)
class Sample:
    """The quantities of a panel, checked.

    Attributes:
        rows: positions in the panel of the rows that have all quantities.
        quantities: X, Y, B of these rows, units in columns.
        names: of the quantities.
        replaced: zeros that became small numbers.
    """

    rows: Integers
    quantities: Quantities
    names: tuple[str, ...]
    replaced: int

    def __len__(self) -> int:
        return len(self.rows)


def sample(
    panel: Panel,
    step: FrontierStep,
    name: str,
    zeros: Literal["error", "drop_term", "small", "allow"],
) -> Sample:
    """The quantities, or every problem with them at once.

    Raises:
        EstimandError: L02 negative, infinite or (by `zeros`) zero cells, L03 fewer than
            two rows or no difference between them, L04 missing cells.
    """
    import numpy as np

    from estimators._math.efficiency import Quantities

    for column in step.quantities:
        require(panel.frame, column)
    data = np.array([as_numbers(panel.frame[c], c) for c in step.quantities])
    problems: list[Problem] = []
    gaps = np.isnan(data)
    if gaps.any() and step.missing == "error":
        problems.append(_missing(panel, step, name, gaps))
    problems += _bad_cells(
        panel, step, name, np.isinf(data), "infinite", "mend or drop the rows"
    )
    problems += _bad_cells(
        panel,
        step,
        name,
        data < 0,
        "negative",
        "an efficiency ratio has no meaning below zero; shift or drop the column",
    )
    if zeros == "error":
        fix = "zeros: drop_term (that slack is left out) or zeros: small (a hundredth "
        fix += "of the smallest positive cell), or drop the rows"
        problems += _bad_cells(panel, step, name, data == 0, "zero", fix)
    rows = np.flatnonzero(~gaps.any(axis=0))
    kept = data[:, rows]
    if not problems:
        problems += _too_little(step, name, kept)
    if problems:
        raise EstimandError(problems)
    replaced = 0
    if zeros == "small":
        replaced = int((kept == 0).sum())
        smallest = np.where(kept > 0, kept, np.inf).min(axis=1, keepdims=True)
        kept = np.where(kept == 0, smallest / _SMALL, kept)
    m, goods = len(step.inputs), len(step.outputs)
    quantities = Quantities(kept[:m], kept[m : m + goods], kept[m + goods :])
    return Sample(rows, quantities, tuple(step.quantities), replaced)


def _too_little(step: FrontierStep, name: str, kept: Floats) -> list[Problem]:
    m, goods = len(step.inputs), len(step.outputs)
    found: list[Problem] = []
    if kept.shape[1] < 2:  # noqa: PLR2004 - a comparison needs two
        found.append(
            Problem(
                Phase.DATA,
                "L03",
                f"step '{name}' has {kept.shape[1]} row with all quantities",
                why="efficiency is relative: a row alone is its own frontier",
                fix="more rows; missing cells make rows unusable",
            )
        )
        return found
    if (kept == kept[:, :1]).all():
        found.append(
            Problem(
                Phase.DATA,
                "L03",
                f"step '{name}': all {kept.shape[1]:,} rows have the same quantities",
                why="every score would be 1",
            )
        )
    for block, what in ((kept[:m], "input"), (kept[m : m + goods], "good output")):
        empty = int((block == 0).all(axis=0).sum())
        if empty:
            found.append(
                Problem(
                    Phase.DATA,
                    "L02",
                    f"step '{name}': {counted(empty, 'row has', 'rows have')} no "
                    f"positive {what} at all",
                    why="such a row has no efficiency",
                    fix="drop these rows",
                )
            )
    return found


def _missing(
    panel: Panel, step: FrontierStep, name: str, gaps: npt.NDArray[np.bool_]
) -> Problem:
    import numpy as np

    rows = np.flatnonzero(gaps.any(axis=0))
    counts = [
        f"{c} {n:,}"
        for c, n in zip(step.quantities, gaps.sum(axis=1), strict=True)
        if n
    ]
    return Problem(
        Phase.DATA,
        "L04",
        f"step '{name}': {len(rows):,} of {gaps.shape[1]:,} rows lack a quantity "
        f"({', '.join(counts)}): {row_names(panel, rows)}",
        why="a row without a score changes the sample, and one left out of the "
        "technology changes the scores of others",
        fix="interpolate, keep complete rows, or missing: skip",
    )


def _bad_cells(
    panel: Panel,
    step: FrontierStep,
    name: str,
    bad: npt.NDArray[np.bool_],
    word: str,
    fix: str,
) -> Iterator[Problem]:
    import numpy as np

    roles = ["input"] * len(step.inputs) + ["output"] * len(step.outputs)
    roles += ["bad output"] * len(step.bads)
    for role, column, cells in zip(roles, step.quantities, bad, strict=True):
        rows = np.flatnonzero(cells)
        if len(rows):
            yield Problem(
                Phase.DATA,
                "L02",
                f"step '{name}': {role} '{column}' is {word} in {len(rows):,} of "
                f"{counted(len(cells), 'row')}: {row_names(panel, rows)}",
                fix=fix,
            )


def row_names(panel: Panel, rows: Integers) -> str:
    """`Lhasa 2016, Naqu 2016, …` for messages."""
    keys = [k for k in (panel.unit, panel.time) if k]
    if not keys:
        named = [f"row {r + 1}" for r in rows[:_NAMED]]
    else:
        cells = panel.frame[keys].iloc[rows[:_NAMED]]
        named = [" ".join(map(str, c)) for c in cells.itertuples(index=False)]
    return ", ".join(named) + (", …" if len(rows) > _NAMED else "")


@dataclass(frozen=True, slots=True)
class Technology:
    """Which rows are scored and which span the frontier: positions in the sample."""

    label: str
    evaluated: Integers
    reference: Integers

    @property
    def own(self) -> Integers:
        """Where each evaluated row stands in the reference, -1 = nowhere."""
        import numpy as np

        at = np.searchsorted(self.reference, self.evaluated)
        at = np.minimum(at, len(self.reference) - 1)
        return np.where(self.reference[at] == self.evaluated, at, -1)


def technologies(
    panel: Panel,
    rows: Integers,
    frontier: Frontier,
    name: str,
    reference: Reference | None = None,
) -> list[Technology]:
    """The technologies of a frontier; of a metafrontier the groups', all's first.

    Rows of the periods before a policy are one technology for all periods: of its own
    year a later row would have no peer.

    Args:
        panel: the data.
        rows: positions of the rows that have all quantities.
        frontier: who is compared with whom.
        name: of the step.
        reference: the rows that may be peers; None = all.

    Raises:
        DataError: L03 a technology without rows, P04 a frontier in time without time,
            D05 a row without a group, T04 a window longer than the data.
    """
    if isinstance(reference, Untreated) and reference.rows == "before":
        frontier = frontier if isinstance(frontier, Metafrontier) else "pooled"
    found = _by_frontier(panel, rows, frontier, name)
    if reference is None:
        return found
    if isinstance(reference, Untreated):
        allowed = reference.of(panel, name)[rows]
    else:
        true, unknown = evaluate(parse(reference), panel.frame, panel.dates())
        allowed = (true & ~unknown)[rows]
    kept = [
        Technology(t.label, t.evaluated, t.reference[allowed[t.reference]])
        for t in found
    ]
    empty = [t.label for t in kept if not len(t.reference)]
    if empty:
        raise DataError(
            "L03",
            f"step '{name}': the technology of {', '.join(empty[:_NAMED])} has none"
            f"{peers_in_words(reference)}",
            why="without rows there is no frontier",
            fix="frontier: pooled, or another reference",
        )
    return kept


def _by_frontier(
    panel: Panel, rows: Integers, frontier: Frontier, name: str
) -> list[Technology]:
    import numpy as np

    everything = np.arange(len(rows))
    if frontier == "pooled":
        return [Technology("pooled", everything, everything)]
    if isinstance(frontier, Metafrontier):
        labels = panel.frame[frontier.metafrontier].iloc[rows]
        if labels.isna().any():
            raise DataError(
                "D05",
                f"step '{name}': "
                f"{counted(int(labels.isna().sum()), 'row has', 'rows have')} no "
                f"'{frontier.metafrontier}'",
                fix="every row needs the group whose technology it uses",
            )
        groups = [Technology("all", everything, everything)]
        for value in sorted(labels.unique(), key=str):
            members = np.flatnonzero((labels == value).to_numpy())
            groups.append(Technology(str(value), members, members))
        return groups
    if panel.time is None:
        raise DataError(
            "P04",
            f"step '{name}' has a frontier in time, and the data have no time",
            fix="frontier: pooled",
        )
    clock = panel.frame[panel.time].to_numpy()[rows]
    periods = np.unique(clock)
    if isinstance(frontier, Window):
        k = frontier.window
        if k > len(periods):
            raise DataError(
                "T04",
                f"step '{name}': a window of {k} periods, and the data have "
                f"{len(periods)}",
                fix="frontier: pooled",
            )
        spans = [periods[i : i + k] for i in range(len(periods) - k + 1)]
        return [
            Technology(_span(span), members, members)
            for span in spans
            for members in [np.flatnonzero(np.isin(clock, span))]
        ]
    return [
        Technology(
            str(period),
            np.flatnonzero(clock == period),
            np.flatnonzero(
                clock == period if frontier == "yearly" else clock <= period
            ),
        )
        for period in periods
    ]


def _span(periods: Any) -> str:
    first, last = periods[0], periods[-1]
    return str(first) if first == last else f"{first}-{last}"


def keys(panel: Panel, positions: Any, prefix: str = "") -> pd.DataFrame:
    """Unit and time of rows (their number where the data have no units)."""
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {}
    if not panel.unit:
        columns[f"{prefix}row"] = np.asarray(positions) + 1
    for key in (panel.unit, panel.time):
        if key:
            columns[f"{prefix}{key}"] = panel.frame[key].to_numpy()[positions]
    return pd.DataFrame(columns)


def few_units(found: list[Technology], step: FrontierStep) -> tuple[str, ...]:
    """A note where the rule of thumb asks for more units than a technology has."""
    m = len(step.inputs)
    s = len(step.outputs) + len(step.bads)
    wanted = max(m * s, 3 * (m + s))
    small = [t for t in found if len(t.reference) < wanted]
    if not small:
        return ()
    least = min(len(t.reference) for t in small)
    note = (
        f"{len(small)} of {len(found)} technologies have fewer than {wanted} units (the "
        f"least has {least}): with {m} inputs and {s} outputs many units are efficient "
        "only because nobody resembles them (Cooper, Seiford and Tone 2007, ch. 9)"
    )
    return (note,)


def one_peer(panel: Panel, peers: Integers, units: Integers) -> tuple[str, ...]:
    """A note where one row is the yardstick of most others.

    Args:
        panel: the data.
        peers: (k,) positions of peers in the panel.
        units: (k,) positions of the rows whose peers they are.
    """
    import numpy as np

    others = peers[peers != units]
    rows = len(np.unique(units))
    if not len(others):
        return ()
    found, counts = np.unique(others, return_counts=True)
    most = int(counts.argmax())
    if counts[most] <= rows / 2:
        return ()
    note = (
        f"{row_names(panel, found[[most]])} is a peer of {counts[most]:,} of {rows:,} "
    )
    note += (
        "rows: if its data are wrong, so are their scores. See the scores without it "
    )
    note += "by `reference`"
    return (note,)


@dataclass(frozen=True, slots=True)
class SizeRelation:
    """How scores go with the size of a row.

    Attributes:
        size: what size is, in words.
        correlation: rank correlation of score and size.
        ratios: good output -> its elasticity in size, where it hardly grows with it.
    """

    size: str
    correlation: float
    ratios: Mapping[str, float]

    @property
    def ledger(self) -> str:
        """A clause for the ledger."""
        return f", rank correlation of score and {self.size} {self.correlation:.2f}"

    @property
    def notes(self) -> tuple[str, ...]:
        """A warning where outputs look like ratios: a large row then looks wasteful."""
        if not self.ratios:
            return ()
        said = ", ".join(f"{name} {slope:.2f}" for name, slope in self.ratios.items())
        note = (
            f"outputs that hardly grow with {self.size} (elasticity: {said}) look like "
            "ratios per head or per area, and constant returns compare volumes: score "
            f"and size of a row have rank correlation {self.correlation:.2f}. Use "
            "volumes, or variable returns"
        )
        return (note,)


def size_relation(
    panel: Panel, found: Sample, score: Floats, step: FrontierStep
) -> SizeRelation | None:
    """How scores under constant returns go with size.

    Size is the column that the step names, else the mean of the inputs' logarithms.

    Args:
        panel: the data.
        found: the rows that are scored.
        score: theirs.
        step: whose options they are.

    Returns:
        None under variable returns, and where rows are too few or all of one size.

    Raises:
        DataError: X51 no such column, D07 it holds no numbers.
    """
    import numpy as np

    column = getattr(step, "size", None)
    if getattr(step, "returns", "") != "constant":
        return None
    x, y = found.quantities.inputs, found.quantities.goods
    known = (x > 0).all(axis=0) & (y > 0).all(axis=0) & ~np.isnan(score)
    if column is not None:
        require(panel.frame, column)
        measured = as_numbers(panel.frame[column], column)[found.rows]
        known &= measured > 0
        x = measured[None, :]
    if known.sum() < 3:  # noqa: PLR2004 - a slope needs three
        return None
    size = np.log(x[:, known]).mean(axis=0)
    spread, scores = size - size.mean(), score[known]
    if spread @ spread < known.sum() * 1e-4 or (scores == scores[0]).all():
        return None
    slopes = (np.log(y[:, known]) @ spread) / (spread @ spread)
    ratios = {
        name: float(slope)
        for name, slope in zip(step.outputs, slopes, strict=True)
        if slope < _RATIO_LIKE
    }
    ranks = [_ranks(values) for values in (scores, size)]
    correlation = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    return SizeRelation(column or "the inputs", correlation, ratios)


def _ranks(values: Floats) -> Floats:
    """Ranks from 0; equal values share theirs (efficient rows all score 1)."""
    import numpy as np

    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: Floats = last - (counts + 1) / 2
    return middle[at]


__all__ = [
    "BadOutputsStep",
    "Frontier",
    "FrontierStep",
    "Metafrontier",
    "Reference",
    "Sample",
    "SizeRelation",
    "Technology",
    "Window",
    "few_units",
    "keys",
    "listing",
    "of_all",
    "one_peer",
    "peers_in_words",
    "readable",
    "row_names",
    "sample",
    "size_relation",
    "technologies",
]
