"""Whether returns to scale are constant."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from estimators.steps._split_test import SplitTestStep

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from estimators._math.split_tests import Distance
    from estimators.steps._frontier import Sample
    from framework.panel import Panel

    Integers = npt.NDArray[np.int64]


class ScaleTest(SplitTestStep):
    """Test that returns to scale are constant, against variable ones.

    Mean distance under constant returns against mean distance under variable ones, each
    in its half of the sample. A small p: use variable returns. Frames: `test`, `splits`.
    """

    paper: ClassVar[str] = (
        "Kneip, Simar and Wilson (2016), Testing hypotheses in nonparametric models of "
        "production, J. Business and Economic Statistics 34(3)"
    )

    def _null(self) -> str:
        return "returns to scale are constant"

    def _groups(
        self, panel: Panel, found: Sample, name: str
    ) -> tuple[Integers, list[str]]:
        import numpy as np

        del panel, name
        return np.zeros(len(found), dtype=np.int64), ["all"]

    def _technologies(
        self, found: Sample, groups: Integers
    ) -> tuple[Distance, Distance, float]:
        del groups
        # Under the null both estimators have the rate of constant returns.
        rate = 2 / len(found.names)
        return (
            self._distance(found, "constant"),
            self._distance(found, "variable"),
            rate,
        )


__all__ = ["ScaleTest"]
