"""A data step against its contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Step, StepOutput
from framework.panel import Panel
from framework.testing.alike import changed, same_frame, snapshot
from framework.testing.canonical import canonical_data, canonical_panel
from framework.testing.declaration import check_declaration
from framework.testing.findings import Findings

#: Another order of the same sums: rounding.
SAME = 1e-10
#: What the study calls the step, and what a term in place of a column is called.
NAME, TERM = "made", "log(x) + 1"
#: What a study would protect in the kit's data: treatment, instrument, weights, 0/1.
PROTECTED = frozenset({"d", "dose", "z", "w", "size", "binary"})
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def check_step(
    cls: type[Step],
    /,
    *,
    panel: Panel | None = None,
    frames: Mapping[str, pd.DataFrame] = _NOTHING,
    exempt: Mapping[str, str] = _NOTHING,
    **options: Any,
) -> None:
    """Run a step on the kit's panel and hold it to the contract.

    Args:
        cls: the step.
        panel: in place of the kit's panel; then units are not renamed.
        frames: what the step's `files` ask for, by name (the step is called `made`).
        exempt: rule (a key of `RULES`) -> reason why it can't hold for this step.
        options: the step's options; columns are those of
            `framework.testing.canonical`.

    Raises:
        NotConforming: every promise that it breaks, one sentence each.
    """
    found = Findings(cls.__name__, exempt)
    step = check_declaration(cls, Step, options, found)
    if step is not None:
        ours = panel is None
        given = canonical_panel() if panel is None else panel
        given = replace(given, frames={**given.frames, **frames})
        output = _applied(step, given, found)
        if output is not None:
            _kept(step, given, output, found)
            _ledger(given, output, found)
            _names(step, given, output, found)
            _rows(given, output, found)
            _again(step, given, output, found)
            _reads(step, given, output, found)
            _term(step, given, output, found)
            if ours:
                _renamed(step, given, output, found)
        _refused(step, given, frames, found)
    found.conclude()


def _protected(panel: Panel) -> frozenset[str]:
    keys = {key for key in (panel.unit, panel.time) if key}
    return (PROTECTED | keys) & set(panel.frame.columns)


def _apply(step: Step, panel: Panel, name: str = NAME) -> StepOutput:
    return step.apply(snapshot(panel), name, _protected(panel))


def _applied(step: Step, panel: Panel, found: Findings) -> StepOutput | None:
    """The step's output on a copy, which must come back unchanged."""
    given = snapshot(panel)
    with found.untouched_state():
        output: Any = found.attempt(
            lambda: step.apply(given, NAME, _protected(panel)), "refusals", "apply"
        )
    for path in changed(panel, given):
        found.add("purity", f"it changes panel.{path}")
    if output is None or isinstance(output, StepOutput):
        return output
    found.add("output", f"apply returns a {type(output).__name__}")
    return None


def _columns(frame: pd.DataFrame) -> list[str]:
    return [str(column) for column in frame.columns]


def _aligned(panel: Panel, after: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows before and after, those that both have, in the same order."""
    keys = [key for key in (panel.unit, panel.time) if key]
    before = panel.frame
    if len(before) == len(after) or not keys or not set(keys) <= set(after.columns):
        rows = min(len(before), len(after))
        return before.iloc[:rows], after.iloc[:rows]
    left, right = before.set_index(keys), after.set_index(keys)
    both = [key for key in left.index if key in right.index]
    return (
        left.loc[both].reset_index(),
        right.loc[both].reset_index(),
    )


def _kept(step: Step, panel: Panel, output: StepOutput, found: Findings) -> None:
    """Only listed columns change, protected ones and keys never unlisted."""
    before, after = _aligned(panel, output.panel.frame)
    touches = step.touches(NAME)
    gone = [c for c in _columns(before) if c not in after.columns]
    for column in gone:
        found.add("makes", f"column '{column}' is gone")
    for column in _columns(before):
        if column in gone or before[column].equals(after[column]):
            continue
        if column in _protected(panel) and column not in touches:
            found.add("protected", f"it changes '{column}', which is protected")
        elif touches and column not in touches:
            found.add(
                "makes",
                f"it changes '{column}'; touches() says {', '.join(touches)}",
            )
    unchanged = [
        c for c in touches if c in after.columns and before[c].equals(after[c])
    ]
    strangers = [c for c in touches if c not in before.columns]
    if strangers:
        found.add("makes", f"touches() names '{strangers[0]}', which did not exist")
    elif touches and len(unchanged) == len(touches):
        found.add("makes", f"touches() says {', '.join(touches)}; nothing changes")


def _ledger(panel: Panel, output: StepOutput, found: Findings) -> None:
    before, after = panel.ledger, output.panel.ledger
    if after[: len(before)] != before or len(after) != len(before) + 1:
        found.add(
            "ledger",
            f"the ledger has {len(after) - len(before)} new lines; it gets one: "
            "panel.with_frame(frame, line)",
        )
        return
    line, rows = after[-1], (len(panel.frame), len(output.panel.frame))
    if (line.rows_in, line.rows_out) != rows:
        found.add(
            "ledger",
            f"its line says {line.rows_in} rows -> {line.rows_out}; it was "
            f"{rows[0]} -> {rows[1]}",
        )
    if (line.stage, line.name) != ("step", NAME):
        found.add("ledger", f"its line is of {line.stage} '{line.name}', not step made")
    if not line.detail.strip():
        found.add("ledger", "its line has no detail: what was done, in one clause")
    if line.cells < 0:
        found.add("ledger", "its line counts a negative number of cells")


def _names(step: Step, panel: Panel, output: StepOutput, found: Findings) -> None:
    """`makes` is what is new."""
    new = [c for c in _columns(output.panel.frame) if c not in panel.frame.columns]
    makes = step.makes(NAME)
    if makes is not None and set(makes) != set(new):
        said = ", ".join(makes) or "none"
        found.add("makes", f"makes() says {said}; new is {', '.join(new) or 'none'}")
    if set(makes or ()) & set(step.touches(NAME)):
        found.add("makes", "a column is in both makes() and touches()")
    frames: Mapping[str, Any] = output.frames  # plugins are typed by hope
    for name, frame in frames.items():
        if not isinstance(frame, pd.DataFrame):
            found.add("output", f"frame '{name}' is a {type(frame).__name__}")
    for note in output.notes:
        if not note.strip():
            found.add("output", "a note is empty")
    numbers = output.panel.frame[new].select_dtypes("number")
    if np.isinf(numbers.to_numpy(dtype=np.float64, na_value=np.nan)).any():
        found.add("output", "a new cell is infinite: refuse it (D08)")


def _rows(panel: Panel, output: StepOutput, found: Findings) -> None:
    made = output.panel
    if (made.unit, made.time) != (panel.unit, panel.time):
        found.add("rows", "unit and time of the panel are others afterwards")
        return
    if not made.frame.index.equals(pd.RangeIndex(len(made.frame))):
        found.add("rows", "the index is not 0, 1, 2, …: reset_index(drop=True)")
    keys = [key for key in (panel.unit, panel.time) if key]
    if not keys or not set(keys) <= set(made.frame.columns):
        return
    given = pd.MultiIndex.from_frame(panel.frame[keys])
    kept = pd.MultiIndex.from_frame(made.frame[keys])
    position = given.get_indexer(kept) if given.is_unique else np.arange(len(kept))
    if (position[position >= 0][1:] <= position[position >= 0][:-1]).any():
        found.add("rows", "rows are not in the order they came in")
    if kept.has_duplicates and not given.has_duplicates:
        found.add("rows", "two rows have the same unit and time")


def _again(step: Step, panel: Panel, output: StepOutput, found: Findings) -> None:
    again = found.attempt(lambda: _apply(step, panel), "determinism", "a second time")
    if again is not None and list(changed(output, again)):
        found.add("determinism", "applied to the same panel again it gives another")


def _reads(step: Step, panel: Panel, output: StepOutput, found: Findings) -> None:
    """Without the columns it does not read nothing changes; without one it reads, no."""
    reads = step.reads(NAME)
    strangers = [c for c in reads if c not in panel.frame.columns]
    if strangers:
        found.add("reads", f"reads() names '{strangers[0]}', which is not in the data")
        return
    keys = [key for key in (panel.unit, panel.time) if key]
    for column in reads:
        if column not in keys:
            rest = replace(panel, frame=panel.frame.drop(columns=column))
            found.refusal(
                lambda p=rest: _apply(step, p),  # type: ignore[misc]  # bound now
                f"data without '{column}', which it reads,",
                demanded=True,
            )
    if not reads:
        return  # it takes what there is, or nothing
    kept = list(dict.fromkeys([*keys, *reads, *step.touches(NAME)]))
    few = replace(panel, frame=panel.frame[kept])
    other = found.attempt(
        lambda: _apply(step, few), "reads", f"data with {', '.join(kept)} alone"
    )
    if other is None:
        return
    shown = [c for c in _columns(output.panel.frame) if c in other.panel.frame.columns]
    if not same_frame(output.panel.frame[shown], other.panel.frame[shown]):
        found.add("reads", "it reads a column that reads() does not name")


def _term(step: Step, panel: Panel, output: StepOutput, found: Findings) -> None:
    """In place of a column: `{step: column}` has a name that no column would have."""
    if step.makes(NAME) != (NAME,):
        return
    doing = f"as a term, under the name '{TERM}'"
    term = found.attempt(
        lambda: step.apply(snapshot(panel), TERM, frozenset()), "term", doing
    )
    if term is None:
        return
    new = [c for c in _columns(term.panel.frame) if c not in panel.frame.columns]
    if new != [TERM]:
        found.add("term", f"{doing} it makes {', '.join(new) or 'nothing'}")
    elif len(term.panel.frame) != len(panel.frame):
        found.add("term", f"{doing} it changes rows")
    elif not term.panel.frame[TERM].equals(
        output.panel.frame[NAME].rename(TERM)
    ) or not pd.api.types.is_numeric_dtype(term.panel.frame[TERM].dtype):
        found.add("term", f"{doing} it makes other cells, or no numbers")


def _renamed(step: Step, panel: Panel, output: StepOutput, found: Findings) -> None:
    """Units with other names in the opposite order: the same cells, row by row."""
    data = canonical_data()
    known = sorted(data["city"].unique())
    names = {old: f"place {len(known) - i:03d}" for i, old in enumerate(known)}
    told = canonical_panel(data=data.assign(city=data["city"].map(names)))
    lent = {key: _with_names(frame, names) for key, frame in panel.frames.items()}
    told = replace(told, frames=lent)
    other = found.attempt(
        lambda: _apply(step, told), "unit_names", "renaming the units"
    )
    if other is None or "row" not in output.panel.frame:
        return
    left = output.panel.frame.set_index("row").sort_index()
    right = other.panel.frame.set_index("row").sort_index()
    if not left.index.equals(right.index):
        found.add("unit_names", "other rows stay when units are renamed")
        return
    for column in left.columns:
        if column == panel.unit or column not in right:
            continue
        if pd.api.types.is_numeric_dtype(left[column].dtype):
            x, y = (f[column].to_numpy(dtype=np.float64) for f in (left, right))
            same = np.allclose(x, y, rtol=SAME, atol=SAME, equal_nan=True)
        else:
            same = left[column].equals(right[column])
        if not same and not left[column].isin(known).any():
            found.add("unit_names", f"'{column}' moves when units are renamed")


def _with_names(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """A second file that speaks of the units by other names."""
    told = frame.copy()
    for column in frame.columns:
        if frame[column].isin(list(names)).any():
            told[column] = frame[column].map(names)
    return told


def _refused(
    step: Step, panel: Panel, frames: Mapping[str, pd.DataFrame], found: Findings
) -> None:
    """Data it can't work on are refused with a reason, never by a traceback."""
    taken = set(step.makes(NAME) or ())
    if taken:
        there = panel.frame.assign(**dict.fromkeys(sorted(taken), 1.0))
        found.refusal(
            lambda: _apply(step, replace(panel, frame=there)),
            f"data that have {_listed(taken)} already",
            demanded=True,
        )
    for column in step.reads(NAME):
        if column not in panel.frame or column in (panel.unit, panel.time):
            continue
        gone = replace(panel, frame=panel.frame.assign(**{column: np.nan}))
        text = replace(panel, frame=panel.frame.assign(**{column: "word"}))
        doing = f"'{column}' all missing"
        found.refusal(lambda p=gone: _apply(step, p), doing, demanded=False)  # type: ignore[misc]  # bound now
        doing = f"'{column}' as text"
        found.refusal(lambda p=text: _apply(step, p), doing, demanded=False)  # type: ignore[misc]  # as above
    for kind in ("repeated_cross_sections", "cross_section"):
        other = canonical_panel(kind)
        other = replace(other, frames=dict(frames))
        if set(step.reads(NAME)) <= set(other.frame.columns):
            doing = kind.replace("_", " ")
            found.refusal(lambda p=other: _apply(step, p), doing, demanded=False)  # type: ignore[misc]  # as above


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


__all__ = ["check_step"]
