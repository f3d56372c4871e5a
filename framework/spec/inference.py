"""Options of `model.inference` and `model.weights`."""

from __future__ import annotations

from typing import ClassVar, Literal

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

    Clusters should be no finer than the level at which treatment was assigned.
    """

    main: ClassVar[str | None] = "by"
    paper: ClassVar[str] = "Cameron, Gelbach and Miller (2011), JBES 29"
    by: str | list[str | list[str]] = Field(
        description="a column, [a, b] for two-way, [[a, b]] for the cells of a and b"
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
    "newey_west": NeweyWest,
    "driscoll_kraay": DriscollKraay,
}
#: Inference that draws no random number; any other may, so that its seed counts.
NOT_RANDOM = frozenset({"iid", "hetero", "cluster", "newey_west", "driscoll_kraay"})
WEIGHTS: dict[str, type[Plugin]] = {
    "analytic": Analytic,
    "frequency": Frequency,
    "probability": Probability,
}
