"""Steps that break the contract in one way each; the kit has to say which."""

from __future__ import annotations

from typing import Any

from framework.condition import as_numbers, require
from framework.contract import Step, StepOutput
from framework.errors import SpecError
from framework.panel import LedgerLine, Panel


class Tidy(Step):
    """Twice x1: nothing is wrong with it."""

    def reads(self, name: str) -> tuple[str, ...]:
        return ("x1",)

    def makes(self, name: str) -> tuple[str, ...] | None:
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        if name in panel.frame:
            raise SpecError("X13", f"there is a column '{name}'")
        require(panel.frame, "x1")
        return self.finish(panel, name, self.frame(panel, name))

    def frame(self, panel: Panel, name: str) -> Any:
        return panel.frame.assign(**{name: 2 * as_numbers(panel.frame["x1"], "x1")})

    def finish(self, panel: Panel, name: str, frame: Any) -> StepOutput:
        line = LedgerLine("step", name, len(panel.frame), len(frame), 1, "twice x1")
        return StepOutput(panel.with_frame(frame, line))


class ChangesThePanel(Tidy):
    """Writes into what it was given."""

    def frame(self, panel, name):
        made = super().frame(panel, name)
        panel.frame.loc[0, "x1"] = 99.0
        return made


class TwoLines(Tidy):
    """Says it twice."""

    def finish(self, panel, name, frame):
        once = super().finish(panel, name, frame)
        line = once.panel.ledger[-1]
        return StepOutput(once.panel.with_frame(frame, line))


class NoLine(Tidy):
    """Says nothing."""

    def finish(self, panel, name, frame):
        from dataclasses import replace

        return StepOutput(replace(panel, frame=frame))


class MiscountsRows(Tidy):
    """One row less in the ledger."""

    def finish(self, panel, name, frame):
        line = LedgerLine("step", name, len(frame), len(frame) - 1, 1, "twice x1")
        return StepOutput(panel.with_frame(frame, line))


class SaysNothing(Tidy):
    """No detail."""

    def finish(self, panel, name, frame):
        line = LedgerLine("step", name, len(frame), len(frame))
        return StepOutput(panel.with_frame(frame, line))


class OtherStage(Tidy):
    """A line of another stage."""

    def finish(self, panel, name, frame):
        line = LedgerLine("sample", name, len(frame), len(frame), 1, "twice x1")
        return StepOutput(panel.with_frame(frame, line))


class TouchesTheTreatment(Tidy):
    """Standardizes whatever it finds."""

    def frame(self, panel, name):
        return super().frame(panel, name).assign(d=lambda f: f["d"] - 0.5)


class TouchesMore(Tidy):
    """Changes x2 beside x1."""

    def makes(self, name):
        return ()

    def touches(self, name):
        return ("x1",)

    def frame(self, panel, name):
        return panel.frame.assign(x1=lambda f: 2 * f["x1"], x2=0.0)


class TouchesNothing(TouchesMore):
    """Changes nothing."""

    def frame(self, panel, name):
        return panel.frame.copy()


class MakesMore(Tidy):
    """A column beside its own."""

    def frame(self, panel, name):
        return super().frame(panel, name).assign(extra=1.0)


class DropsAColumn(Tidy):
    """Cleans up."""

    def frame(self, panel, name):
        return super().frame(panel, name).drop(columns="x2", errors="ignore")


class ReadsMore(Tidy):
    """Reads x2 as well."""

    def frame(self, panel, name):
        return super().frame(panel, name).assign(**{name: panel.frame["x2"]})


class ReadsMoreIfThere(Tidy):
    """Reads x2 if it is there."""

    def frame(self, panel, name):
        made = super().frame(panel, name)
        if "x2" in made:
            made[name] += made["x2"]
        return made


class ReadsNothingOfIt(Tidy):
    """Says a column that does not exist."""

    def reads(self, name):
        return ("x9",)


class Shuffles(Tidy):
    """Sorts by x1."""

    def frame(self, panel, name):
        return super().frame(panel, name).sort_values("x1", ignore_index=True)


class KeepsTheIndex(Tidy):
    """Leaves rows out and their numbers in."""

    def frame(self, panel, name):
        return super().frame(panel, name).iloc[1:]


class Duplicates(Tidy):
    """The first row twice."""

    def frame(self, panel, name):
        import pandas as pd

        made = super().frame(panel, name)
        return pd.concat([made.iloc[:1], made], ignore_index=True)


class KeyError_(Tidy):
    """A missing column ends in a traceback."""

    def apply(self, panel, name, protected):
        if name in panel.frame:
            raise SpecError("X13", f"there is a column '{name}'")
        return self.finish(panel, name, self.frame(panel, name))


class Overwrites(Tidy):
    """Overwrites a column that exists."""

    def apply(self, panel, name, protected):
        require(panel.frame, "x1")
        return self.finish(panel, name, self.frame(panel, name))


class Random(Tidy):
    """Draws as it likes."""

    def frame(self, panel, name):
        import numpy as np

        noise = np.random.default_rng().normal(size=len(panel.frame))
        return super().frame(panel, name).assign(**{name: noise})


class ParsesItsName(Tidy):
    """The name has to be a word."""

    def frame(self, panel, name):
        if not name.isidentifier():
            raise ValueError(f"bad name: {name}")
        return super().frame(panel, name)


class NamesItOtherwise(Tidy):
    """Cleans its name."""

    def frame(self, panel, name):
        made = super().frame(panel, name)
        return made.rename(columns={name: "".join(c for c in name if c.isalnum())})


class Infinite(Tidy):
    """Divides by zero."""

    def frame(self, panel, name):
        return super().frame(panel, name).assign(**{name: float("inf")})


class ReadsUnitNames(Tidy):
    """The place in the alphabet enters."""

    def reads(self, name):
        return ()

    def frame(self, panel, name):
        import pandas as pd

        codes = pd.factorize(panel.frame[panel.unit], sort=True)[0] if panel.unit else 0
        return panel.frame.assign(**{name: codes})


class StumblesOverText(Tidy):
    """Takes text for numbers."""

    def frame(self, panel, name):
        return panel.frame.assign(**{name: panel.frame["x1"].to_numpy(dtype=float)})


class ReturnsAPanel(Tidy):
    """Not an output."""

    def finish(self, panel, name, frame):
        return super().finish(panel, name, frame).panel
