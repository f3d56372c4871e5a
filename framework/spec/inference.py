"""Options of `model.inference` and `model.weights`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Plugin


class Iid(Plugin):
    """Homoskedastic, independent errors."""


class Hetero(Plugin):
    """Heteroskedasticity-robust standard errors.

    HC2 and HC3 (MacKinnon and White 1985) weigh residuals by leverage: `ols` without
    fixed effects.
    """

    main: ClassVar[str | None] = "type"
    paper: ClassVar[str] = "White (1980), Econometrica 48"
    type: Literal["HC1", "HC2", "HC3"] = "HC1"


class Cluster(Plugin):
    """Standard errors robust to correlation within one or two clusterings.

    Clusters should be no finer than the level at which treatment was assigned. CV3 is
    the cluster jackknife (MacKinnon, Nielsen and Webb 2023), for few or unequal
    clusters: `ols`, `twfe`, `event_study` and `iv_2sls`, one clustering.
    """

    main: ClassVar[str | None] = "by"
    paper: ClassVar[str] = "Cameron, Gelbach and Miller (2011), JBES 29"
    by: str | list[str | list[str]] = Field(
        description="a column, [a, b] for two-way, [[a, b]] for the cells of a and b"
    )
    type: Literal["CV1", "CV3"] = Field(
        default="CV1", description="CV3 leaves out one cluster at a time"
    )


class WildBootstrap(Plugin):
    """p values and intervals of the effects by the wild cluster bootstrap.

    The way out of few clusters. The analytic standard error (CRV1) stays beside them;
    all sign vectors are taken where there are at most 65,536. p is the share of draws
    with a strictly larger |t|, as in Stata's boottest; the interval holds the values
    that the test does not reject.
    """

    main: ClassVar[str | None] = "cluster"
    paper: ClassVar[str] = (
        "Cameron, Gelbach and Miller (2008), REStat 90; Roodman, Nielsen, MacKinnon "
        "and Webb (2019), Stata Journal 19(1)"
    )
    cluster: str | list[list[str]] = Field(
        description="a column, or [[a, b]] for the cells of a and b"
    )
    draws: Annotated[int, Field(ge=99)] | Literal["every"] = Field(
        default=9_999,
        description="where not all sign vectors are taken; `every` insists on all",
    )
    weights: Literal["rademacher", "webb", "mammen"] = Field(
        default="rademacher",
        description="multipliers of the residuals; webb has six points, for few "
        "clusters",
    )
    restricted: bool = Field(
        default=True,
        description="impose the null on the residuals (WCR), or not (WCU)",
    )


class FermanPinto(Plugin):
    """p values and intervals of effects that rest on few treated clusters.

    Residuals of all clusters stand for those of the treated, rescaled by a variance
    that falls with the rows behind a cluster. Needs many untreated clusters, each seen
    in every period, and regressors that are alike within a cluster and period.
    """

    main: ClassVar[str | None] = "cluster"
    paper: ClassVar[str] = "Ferman and Pinto (2019), REStat 101(3)"
    cluster: str | list[list[str]] = Field(
        description="a column, or [[a, b]] for the cells of a and b"
    )
    draws: Annotated[int, Field(ge=99)] = Field(
        default=9_999, description="random draws of whose residuals stand for whose"
    )


class NeweyWest(Plugin):
    """Heteroskedasticity- and autocorrelation-consistent standard errors."""

    main: ClassVar[str | None] = "lags"
    paper: ClassVar[str] = "Newey and West (1987), Econometrica 55"
    lags: int = Field(ge=0)


class DriscollKraay(Plugin):
    """Standard errors robust to cross-sectional dependence."""

    main: ClassVar[str | None] = "lags"
    paper: ClassVar[str] = "Driscoll and Kraay (1998), REStat 80"
    lags: int = Field(ge=0)


class Conley(Plugin):
    """Standard errors robust to correlation between near places.

    Rows of one period (all rows, in a cross-section) count as correlated up to a
    distance on the great circle; `lags` adds the unit's own past.
    """

    main: ClassVar[str | None] = "cutoff_km"
    paper: ClassVar[str] = "Conley (1999), J. Econometrics 92; Hsiang (2010), PNAS 107"
    cutoff_km: float = Field(
        gt=0, description="no correlation beyond this distance, km"
    )
    latitude: str = Field(
        default="latitude", description="column of latitudes, degrees"
    )
    longitude: str = Field(
        default="longitude", description="column of longitudes, degrees"
    )
    kernel: Literal["bartlett", "uniform"] = Field(
        default="bartlett",
        description="1 - distance / cutoff, or 1 up to the cutoff",
    )
    lags: int = Field(
        default=0, ge=0, description="Bartlett lags of the unit's own scores"
    )


def places_of(flat: Mapping[str, Any]) -> dict[str, str]:
    """Option -> column of the places an inference stands on, as written or default."""
    if flat["name"] != "conley":
        return {}
    given = Conley.model_fields
    return {k: flat.get(k, given[k].default) for k in ("latitude", "longitude")}


class _Weighted(Plugin):
    main: ClassVar[str | None] = "column"
    column: str


class Analytic(_Weighted):
    """Precision weights: the variance of a row is inverse to its weight."""


class Frequency(_Weighted):
    """Copies: a row stands for that many identical observations."""


class Probability(_Weighted):
    """Sampling weights: inverse probability that the row is in the sample."""


INFERENCE: dict[str, type[Plugin]] = {
    "iid": Iid,
    "hetero": Hetero,
    "cluster": Cluster,
    "wild_bootstrap": WildBootstrap,
    "ferman_pinto": FermanPinto,
    "newey_west": NeweyWest,
    "driscoll_kraay": DriscollKraay,
    "conley": Conley,
}
#: Inference whose p values are shares of draws, not of a t distribution.
BOOTSTRAPS = frozenset({"wild_bootstrap", "ferman_pinto"})
#: Inference that draws no random number; any other may, so that its seed counts.
NOT_RANDOM = frozenset(INFERENCE) - BOOTSTRAPS
WEIGHTS: dict[str, type[Plugin]] = {
    "analytic": Analytic,
    "frequency": Frequency,
    "probability": Probability,
}
