"""Who is treated when: cohorts, paths, and what stands behind every event time."""

from __future__ import annotations

from typing import ClassVar, Literal

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class TreatmentPaths(Estimator):
    """Cohorts, treatment paths and the support of every event time, as tables.

    Units and rows by first treated period, how often treatment switches on and off,
    and for every period since treatment how many treated units and cohorts are seen
    and how many units are there to compare them with. Controls that are 0/1 are taken
    as concurrent policies: how far they reach the units that are treated.
    """

    paper: ClassVar[str] = (
        "Roth, Sant'Anna, Bilinski and Poe (2023), J. Econometrics 235(2), sec. 3"
    )
    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "diagnostic"
    estimands: ClassVar[tuple[str, ...]] = ("description",)
    needs: ClassVar[Needs] = Needs(uses=frozenset({"controls"}))

    def estimate(self, request: Request) -> Result:
        """Frames `cohorts`, `paths`, `support`, `overlap`; counts as scalars.

        Raises:
            DataError: D05 no rows.
        """
        from estimators._staggered.paths import treatment_paths

        return treatment_paths(request)
