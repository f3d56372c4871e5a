"""Difference in means between treated and untreated rows."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from framework.contract import Estimator, Needs, Request
from framework.errors import DataError, IdentificationError
from framework.result import COEFFICIENT_COLUMNS, Plot, Result


class DifferenceInMeans(Estimator):
    """Mean outcome of the treated rows minus that of the untreated rows.

    The effect of a randomized 0/1 treatment.
    """

    main: ClassVar[str | None] = "variance"
    paper: ClassVar[str] = "Neyman (1923), Statistical Science 5(4), 1990"
    estimands: ClassVar[tuple[str, ...]] = ("ate", "att")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"cross_section"}), uses=frozenset(), binary=True
    )

    variance: Literal["unequal", "pooled"] = Field(
        default="unequal",
        description="Each group its own variance (Welch), or one for both (Student).",
    )

    def estimate(self, request: Request) -> Result:
        """One row, the difference.

        Raises:
            DataError: D05 a group has fewer than two rows.
            IdentificationError: I01 the treatment does not vary.
        """
        import numpy as np
        import pandas as pd
        from scipy.special import stdtr, stdtrit

        y = request.frame[request.outcome].to_numpy()
        (column,) = request.treatment.columns
        on = request.frame[column].to_numpy() == 1
        name = request.labels[column]
        if len(y) and (on.all() or not on.any()):
            raise IdentificationError("I01", f"treatment '{name}' does not vary")
        n = np.array([np.count_nonzero(~on), np.count_nonzero(on)])
        if (n < 2).any():
            raise DataError("D05", f"a group of '{name}' has fewer than two rows")

        means = np.array([y[~on].mean(), y[on].mean()])
        squares = (y - means[on.astype(int)]) ** 2
        s2 = np.array([squares[~on].sum(), squares[on].sum()]) / (n - 1)
        if self.variance == "pooled":
            s2[:] = squares.sum() / (len(y) - 2)
            df = len(y) - 2.0
        else:
            df = (s2 / n).sum() ** 2 / ((s2 / n) ** 2 / (n - 1)).sum()
        difference, error = means[1] - means[0], np.sqrt((s2 / n).sum())
        t, reach = difference / error, stdtrit(df, 0.5 + request.confidence / 2) * error
        psi = np.where(on, 1.0, -1.0) * (y - means[on.astype(int)]) / n[on.astype(int)]
        row = ("main", request.estimand[0], name, difference, error, t)
        row += (2 * stdtr(df, -abs(t)), difference - reach, difference + reach)
        return Result(
            coefficients=pd.DataFrame(
                [dict(zip(COEFFICIENT_COLUMNS, row, strict=True))]
            ),
            influence=pd.DataFrame({0: psi * error / np.sqrt(psi @ psi)}),
            scalars={
                "n_obs": float(len(y)),
                "n_treated_obs": float(n[1]),
                "df_t": float(df),
            },
            frames={"means": pd.DataFrame({"treated": [0, 1], "mean": means, "n": n})},
            plots=(Plot("coefficients", "coefficients"),),
            notes=(f"Variance: {self.variance}.",),
        )
