"""What tests of the technology share: splits, tables, the sentence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from estimators.steps._columns import finish
from estimators.steps._frontier import FrontierStep, sample
from framework.contract import StepOutput
from framework.errors import DataError, NumericalError
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from estimators._math.efficiency import Returns
    from estimators._math.split_tests import Distance
    from estimators.steps._frontier import Sample

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

#: Fewest rows of a group: a quarter of them still is a technology.
_FEWEST = 8


class SplitTestStep(FrontierStep):
    """A test of the technology that leaves the data as they are."""

    orientation: Literal["input", "output"] = Field(
        description="inputs shrink, or outputs grow"
    )
    splits: int = Field(
        11, ge=1, description="random splits of the rows; p is twice their median p"
    )
    halvings: int = Field(
        10, ge=1, description="random halvings for the jackknife of the bias"
    )
    seed: int = Field(0, ge=0, description="of the splits")

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Test; tables `test` and `splits`, the answer in the ledger.

        Raises:
            EstimandError: L02 negative cells, L03 too few rows, L04 missing cells.
        """
        import numpy as np
        import pandas as pd

        from estimators._math.split_tests import combined, compare

        del protected
        found = sample(panel, self, name, "allow")
        groups, labels = self._groups(panel, found, name)
        sizes = np.bincount(groups)
        if sizes.min() < _FEWEST:
            small = labels[int(sizes.argmin())]
            where = f" of '{small}'" if len(sizes) > 1 else ""
            raise DataError(
                "L03",
                f"step '{name}': {sizes.min()} rows{where}, and {_FEWEST} are needed",
                why="the test halves every technology twice",
                fix="coarser groups, or more rows",
            )
        # By their own data, so that names and order of rows move no split.
        order = np.lexsort([*found.quantities.all, groups])
        ordered, by = _taken(found, order), groups[order]
        wide, narrow, kappa = self._technologies(ordered, by)
        rng = np.random.default_rng(self.seed)
        done = [
            compare(wide, narrow, by, kappa, self.halvings, rng)
            for _ in range(self.splits)
        ]
        if not all(np.isfinite(s.statistic) for s in done):
            raise NumericalError(
                "N02",
                f"step '{name}': a split has no statistic",
                why="distances of a half are all the same, or one has none",
                fix="more rows, or fewer quantities",
            )
        p = combined(np.array([s.p_value for s in done]))
        statistics = np.array([s.statistic for s in done])
        rows: list[dict[str, Any]] = [
            {
                "split": k + 1,
                "statistic": s.statistic,
                "p_value": s.p_value,
                "mean_wide": s.wide.mean,
                "bias_wide": s.wide.bias,
                "rows_wide": s.wide.rows,
                "used_wide": s.wide.used,
                "mean_narrow": s.narrow.mean,
                "bias_narrow": s.narrow.bias,
                "rows_narrow": s.narrow.rows,
                "used_narrow": s.narrow.used,
            }
            for k, s in enumerate(done)
        ]
        median = float(np.median(statistics))
        test = pd.DataFrame(
            {
                "null": [self._null()],
                "statistic": [median],
                "p_value": [p],
                "splits": [self.splits],
                "kappa": [kappa],
                "rows": [len(found)],
            }
        )
        answer = f"median statistic {median:.3g}, p {p:.3g} over {self.splits} splits"
        detail = f"null: {self._null()}; {answer}, seed {self.seed}"
        notes: tuple[str, ...] = ()
        if panel.unit and panel.time:
            note = (
                "the test takes rows as independent; rows of the same unit in several "
            )
            note += "periods are not, and p is then too small"
            notes = (note,)
        return finish(
            panel,
            name,
            {},
            detail,
            frames={"test": test, "splits": pd.DataFrame(rows)},
            notes=notes,
        )

    def makes(self, name: str) -> tuple[str, ...]:
        """No column."""
        del name
        return ()

    @abstractmethod
    def _null(self) -> str:
        """The null hypothesis in words."""

    @abstractmethod
    def _groups(
        self, panel: Panel, found: Sample, name: str
    ) -> tuple[Integers, list[str]]:
        """(n,) codes of the groups that are halved, and their names."""

    @abstractmethod
    def _technologies(
        self, found: Sample, groups: Integers
    ) -> tuple[Distance, Distance, float]:
        """Distances that are larger, those that are smaller, their rate."""

    def _distance(
        self, found: Sample, returns: Returns
    ) -> Callable[[Integers], Floats]:
        """Rows that are units and technology -> their distances, from 1 on."""
        import numpy as np

        from estimators._math.distance import radial
        from estimators.steps._programs import solve

        def distance(rows: Integers) -> Floats:
            units = found.quantities.take(rows)
            own = np.arange(len(rows))
            score = radial(units, units, own, self.orientation, returns, solve).value
            inverse: Floats = 1 / score
            return inverse

        return distance


def _taken(found: Sample, order: Integers) -> Sample:
    from dataclasses import replace

    return replace(
        found, rows=found.rows[order], quantities=found.quantities.take(order)
    )


__all__ = ["SplitTestStep"]
