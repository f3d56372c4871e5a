"""Inverse hyperbolic sine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimators.steps._columns import Elementwise

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Asinh(Elementwise):
    """`log(x + sqrt(x² + 1))`: like a log for large x, defined for every number.

    Its coefficients depend on the unit of x (Chen and Roth, 2024, QJE 139: 891-936).
    """

    def values(
        self, x: npt.NDArray[np.float64], column: str
    ) -> npt.NDArray[np.float64]:
        """Inverse hyperbolic sine."""
        import numpy as np

        result: npt.NDArray[np.float64] = np.arcsinh(x)
        return result
