"""Square."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimators.steps._columns import Elementwise, no_value

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Square(Elementwise):
    """`x²`."""

    def values(
        self, x: npt.NDArray[np.float64], column: str
    ) -> npt.NDArray[np.float64]:
        """The square of every cell."""
        import numpy as np

        with np.errstate(over="ignore"):
            result: npt.NDArray[np.float64] = np.square(x)
        if count := int((np.isinf(result) & np.isfinite(x)).sum()):
            raise no_value(
                count,
                len(x),
                f"square of '{column}'",
                "too large",
                "rescale the column",
            )
        return result
