"""The Python door: `from framework import run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from framework.cache import Cell
from framework.commands import running
from framework.commands.causes import problems_of
from framework.commands.opening import changes_typed, open_with
from framework.errors import EstimandError, SpecError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from framework.expect import Verdict
    from framework.result import Result


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, as Python sees it.

    Attributes:
        folder: where its record is.
    """

    folder: Path
    _ran: running.Ran

    def table(self, heading: str, width: int = 100) -> str:
        """A heading's regression table as text.

        Raises:
            StorageError: the study has no such heading.
        """
        from framework.render import RunFolder, terminal_table

        return terminal_table(RunFolder.read(self.folder), heading, width)

    @property
    def coefficients(self) -> pd.DataFrame:
        """`coefficients.csv`: every coefficient of every estimation."""
        return self._csv("coefficients")

    @property
    def scalars(self) -> pd.DataFrame:
        """`scalars.csv`."""
        return self._csv("scalars")

    @property
    def tests(self) -> pd.DataFrame:
        """`tests.csv`."""
        return self._csv("tests")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every estimation, in the study's order."""
        return tuple(c.estimation.address for c in self._ran.shown)

    @property
    def exit_code(self) -> int:
        """What the command would return."""
        return self._ran.exit_code

    def result(self, address: str) -> Result:
        """One estimation's result.

        Raises:
            SpecError: no such estimation.
            EstimandError: it has no numbers; the reason.
        """
        for column in self._ran.columns:
            if column.estimation.address == address:
                cell = column.outcome
                if isinstance(cell, Cell):
                    return cell.result
                raise EstimandError(problems_of(column))
        raise SpecError(
            "X22",
            f"no estimation '{address}'",
            fix=did_you_mean(address, self.addresses),
        )

    def verdicts(self) -> Mapping[str, tuple[Verdict, ...]]:
        """Address -> verdicts of its expectations."""
        return {c.estimation.address: c.verdicts for c in self._ran.shown if c.verdicts}

    def _csv(self, name: str) -> pd.DataFrame:
        from framework.record import read_table

        return read_table(self.folder / f"{name}.csv")


def run(
    study: str | Path,
    *overrides: str,
    only: Sequence[str] = (),
    report: bool = True,
    track: bool = True,
) -> Run:
    """Run a study: the same path as `estimand run`.

    Args:
        study: path of the YAML file.
        overrides: as on the command line, `"model.inference.cluster=state"`.
        only: addresses to run.
        report: draw tables, figures and the report.
        track: show the run in MLflow.

    Raises:
        EstimandError: problems of the whole study, all at once.
    """
    opened, settings = open_with(Path(study), overrides)
    render = running.renderer(settings) if report else None
    ran = running.run_study(
        opened,
        settings,
        only=only,
        overrides=changes_typed(overrides),
        render=render,
    )
    if track:
        running.sync(ran.folder, settings)
    return Run(ran.folder, ran)
