"""What reports of staggered adoption ask of their data: a panel or cross-sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from estimators._math.projection import Codes, Floats

if TYPE_CHECKING:
    import pandas as pd


class Adoption(Protocol):
    """N units of a panel, or N rows of cross-sections, that adopt at some time.

    Attributes:
        treatment: its name.
        periods: (T,) calendar, ascending.
        cohort: (N,) first treated period; inf = untreated.
        cohorts: (J,) first treated periods that occur, ascending, inf left out.
        controls: names of the covariates.
        anticipation: periods before the first treated one that may respond already.
        cluster_ids, cluster_term: (C,) clusters and what names them.
        single_clusters: cohorts that are one cluster.
        notes: sentences so far.
    """

    @property
    def treatment(self) -> str: ...
    @property
    def periods(self) -> Codes: ...
    @property
    def cohort(self) -> Floats: ...
    @property
    def cohorts(self) -> Floats: ...
    @property
    def controls(self) -> tuple[str, ...]: ...
    @property
    def anticipation(self) -> int: ...
    @property
    def cluster_ids(self) -> Any: ...
    @property
    def cluster_term(self) -> str: ...
    @property
    def single_clusters(self) -> tuple[int, ...]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def by_cluster(self, rows: Floats, units: Codes | None = None) -> Floats:
        """Sums of `rows` (n, m) of `units` (all if None) by cluster, (C, m)."""

    def support(self) -> pd.DataFrame:
        """What stands behind every event time: `event_time`, rows, units, cohorts."""

    def counts(self) -> dict[str, float]:
        """Scalars of the rows that are used."""
