"""What every estimator returns: one tidy, frozen result.

Names of columns, estimands and scalars come from `framework.glossary`; the conformance
kit (`framework.testing`) refuses others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


#: Columns that every coefficient row has, in this order; index columns follow.
COEFFICIENT_COLUMNS = (
    "equation",
    "estimand",
    "term",
    "estimate",
    "std_error",
    "statistic",
    "p_value",
    "conf_low",
    "conf_high",
)
#: Ends of a confidence set that may be infinite, and the sign they have then.
OPEN_ENDS: Mapping[str, float] = {"conf_low": -1.0, "conf_high": 1.0}
#: Index columns that may follow: they say *which* of many coefficients a row is.
INDEX_COLUMNS = (
    "event_time",
    "cohort",
    "period",
    "group",
    "level",
    "order",
    "quantile",
    "dose",
    "variable",
)


@dataclass(frozen=True, slots=True)
class Test:
    """A hypothesis test, or the reason why it can't be computed.

    Attributes:
        name: glossary name, e.g. `joint_pretrend`.
        null: the null hypothesis in words.
        statistic, df, p_value: None when `reason` says why; `df` is `"4, 49"` for F.
    """

    __test__ = False  # pytest: this is not a test class

    name: str
    null: str
    statistic: float | None = None
    df: str = ""
    p_value: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.p_value is None) == (not self.reason):
            raise ValueError(f"test {self.name!r} needs either a p value or a reason")


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure as data: only `framework.render` draws.

    Attributes:
        kind: `coefficients`, `event_study`, `density`, … (see `render.figures`).
        frame: name of the frame in `Result.frames`, or `coefficients`.
        options: column names and reference lines the kind asks for.
    """

    kind: str
    frame: str
    title: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """One estimation's numbers.

    Attributes:
        coefficients: one row per coefficient, `COEFFICIENT_COLUMNS` first, then index
            columns; terms are the user's column names, never engine names. Numbers are
            finite but for the ends of a confidence set that is unbounded.
        influence: influence functions of the judged coefficients summed by cluster:
            columns are row labels of `coefficients`, the index (one or two levels) is
            the cluster id (row id when not clustered). Scaled so that
            `result.variance(column)` is that coefficient's squared standard error.
        scalars: `n_obs`, `r2_within`, `df_t`, … finite floats.
        tests: hypothesis tests, computed or with their reason.
        frames: further tables by name (weights, support, balance, …).
        plots: figures as data.
        notes: sentences printed under the table.
    """

    coefficients: pd.DataFrame
    influence: pd.DataFrame | None = None
    scalars: Mapping[str, float] = field(default_factory=dict)
    tests: tuple[Test, ...] = ()
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()
    notes: tuple[str, ...] = ()


def influence_variance(influence: pd.DataFrame) -> pd.DataFrame:
    """Covariance matrix of the coefficients that `influence` describes.

    One index level: `psi' psi`. Two levels (two-way clusters): the inclusion-exclusion
    `V1 + V2 - V12` of Cameron, Gelbach and Miller (2011), where the rows are the
    intersections of the two dimensions.
    """
    if influence.index.nlevels == 1:
        return influence.T @ influence
    if influence.index.nlevels != 2:  # noqa: PLR2004 - one- or two-way is all we offer
        raise ValueError("influence functions have one or two cluster dimensions")
    first = influence.groupby(level=0, sort=False).sum()
    second = influence.groupby(level=1, sort=False).sum()
    both = influence.groupby(level=[0, 1], sort=False).sum()
    return first.T @ first + second.T @ second - both.T @ both
