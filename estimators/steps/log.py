"""Natural logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimators.steps._columns import Elementwise, no_value

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Log(Elementwise):
    """`log(x)`; zero and negative cells are refused with their count."""

    def values(
        self, x: npt.NDArray[np.float64], column: str
    ) -> npt.NDArray[np.float64]:
        """Natural log of positive cells."""
        import numpy as np

        if count := int((x <= 0).sum()):
            raise no_value(
                count,
                len(x),
                f"log of '{column}'",
                "zero or negative",
                "log1p for zeros, asinh for negative numbers too, or a `keep` step "
                "before that leaves the rows out",
            )
        result: npt.NDArray[np.float64] = np.log(x)
        return result
