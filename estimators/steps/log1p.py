"""Logarithm of one plus x."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimators.steps._columns import Elementwise, no_value

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Log1p(Elementwise):
    """`log(1 + x)`, for counts with zeros; cells at or below -1 are refused."""

    def values(
        self, x: npt.NDArray[np.float64], column: str
    ) -> npt.NDArray[np.float64]:
        """log(1 + x), exact near zero."""
        import numpy as np

        if count := int((x <= -1).sum()):
            raise no_value(
                count,
                len(x),
                f"log1p of '{column}'",
                "-1 or below",
                "asinh, or a `keep` step before that leaves the rows out",
            )
        result: npt.NDArray[np.float64] = np.log1p(x)
        return result
