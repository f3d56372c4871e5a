"""The table of descriptive statistics."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from framework.contract import Estimator, Needs, Request
from framework.result import COEFFICIENT_COLUMNS, Result


class Describe(Estimator):
    """N, mean, standard deviation, extremes and quartiles of the model's columns.

    Over the rows that the estimation uses. With weights the mean and the standard
    deviation are weighted (as Stata's `summarize`), the quartiles are not. The standard
    deviation divides by N - 1; quartiles interpolate linearly between order statistics.
    """

    paper: ClassVar[str] = "Hyndman and Fan (1996), American Statistician 50(4)"
    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "diagnostic"
    estimands: ClassVar[tuple[str, ...]] = ("description",)
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections", "cross_section"}),
        uses=frozenset({"controls", "interact", "weights"}),
        treatment=False,
    )

    def estimate(self, request: Request) -> Result:
        """One row per column: outcome, treatment, controls.

        Raises:
            DataError: D05 there is no row.
        """
        import numpy as np
        import pandas as pd

        from framework.errors import DataError

        if not len(request.frame):
            raise DataError(
                "D05",
                "0 rows left",
                why="There is nothing to describe.",
                fix="see the row ledger: which step or restriction removed them",
            )
        weights = request.weights
        w = np.ones(len(request.frame))
        if weights is not None:
            w = request.frame[weights.column].to_numpy(dtype=np.float64)
        n = float(w.sum() if weights and weights.kind == "frequency" else len(w))
        treatment = request.treatment
        columns = dict.fromkeys(
            (
                request.outcome,
                *((*treatment.columns, *treatment.judged) if treatment else ()),
                *request.controls,
            )
        )
        rows = []
        for alias in columns:
            x = request.frame[alias].to_numpy(dtype=np.float64)
            low, p25, median, p75, high = np.quantile(x, [0, 0.25, 0.5, 0.75, 1])
            mean = float(np.average(x, weights=w))
            square = float(np.average(np.square(x - mean), weights=w))
            rows.append(
                {
                    "variable": str(request.labels.get(alias, alias)),
                    "n": int(n),
                    "mean": mean,
                    "sd": math.sqrt(square * n / (n - 1)) if n > 1 else math.nan,
                    "min": low,
                    "p25": p25,
                    "median": median,
                    "p75": p75,
                    "max": high,
                }
            )
        empty: dict[str, Any] = {
            name: pd.Series(
                [], dtype="str" if name in COEFFICIENT_COLUMNS[:3] else "float64"
            )
            for name in COEFFICIENT_COLUMNS
        }
        counts = {"n_obs": float(len(request.frame))}
        for name, alias_ in (("n_units", request.unit), ("n_periods", request.time)):
            if alias_ is not None:
                counts[name] = float(request.frame[alias_].nunique())
        return Result(
            coefficients=pd.DataFrame(empty),
            scalars=counts,
            frames={"describe": pd.DataFrame(rows)},
            notes=(
                ("Means and standard deviations are weighted, quartiles are not.",)
                if weights
                else ()
            ),
        )
