"""From effects with influence functions to a `Result`: one form for all estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from estimators._linear.design import FEW_TREATED
from estimators._linear.report import POWER
from estimators._math.multiplier import simultaneous
from estimators._math.projection import Floats
from estimators._math.sandwich import wald
from framework.errors import IdentificationError, counted
from framework.result import COEFFICIENT_COLUMNS, Plot, Result, Test

if TYPE_CHECKING:
    import pandas as pd

    from estimators._staggered.adoption import Adoption
    from framework.contract import Request

#: Index column of each estimand's rows.
INDEX = {"by_event_time": "event_time", "by_cohort": "cohort", "by_period": "period"}
_PLACES = INDEX | dict.fromkeys(("att_dose", "slope_dose", "dose_response"), "dose")


@dataclass(frozen=True, slots=True)
class Effect:
    """One number: `psi` (C,) is its influence function summed by cluster.

    Attributes:
        at: event time, cohort or period, as its estimand has it.
        dose: where the effect stands, for estimands by dose.
    """

    estimate: float
    psi: Floats
    at: int | None = None
    dose: float | None = None

    def place(self, index: str) -> float | None:
        """Its value in an index column."""
        return self.dose if index == "dose" else self.at

    @property
    def std_error(self) -> float:
        return float(np.sqrt(self.psi @ self.psi))


@dataclass(frozen=True, slots=True)
class Effects:
    """What a staggered estimator found.

    Attributes:
        rows: estimand -> its effects, in the order of the index.
        reference: event times that are zero by construction, several where cohorts'
            last periods before treatment are not equally far from it; none without.
        df_t: degrees of freedom of the t distribution, inf = normal.
        untested: event times whose effects follow from the others before treatment.
        frames: further tables; `support` is made here.
        tests: tests beside the joint pre-trend test.
        scalars: scalars that differ from those of the panel.
        notes: sentences about the method as it was used.
        own_cohorts: every cohort has effects of its own, which fit one of a single
            cluster exactly.
    """

    rows: Mapping[str, Sequence[Effect]]
    reference: tuple[int, ...]
    df_t: float = np.inf
    untested: tuple[int, ...] = ()
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    tests: tuple[Test, ...] = ()
    scalars: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    own_cohorts: bool = False


def shown(effects: Sequence[Effect], window: tuple[int, int] | None) -> list[Effect]:
    """Effects whose event time lies in the window."""
    if window is None:
        return list(effects)
    low, high = window
    return [e for e in effects if e.at is not None and low <= e.at <= high]


def result(
    request: Request, grid: Adoption, effects: Effects, *, bootstrap: int = 0
) -> Result:
    """Rows of the estimands asked for, joint pre-trend test, support, scalars.

    Args:
        request: the estimation.
        grid: the panel, or the cross-sections.
        effects: every estimand's effects.
        bootstrap: multiplier draws for simultaneous bands, 0 = none.

    Raises:
        IdentificationError: E10 an estimand that was asked for has no effect.
    """
    events = effects.rows["by_event_time"]
    rows: list[tuple[str, Effect]] = []
    for estimand in request.estimand or ("att",):
        found = effects.rows.get(estimand, ())
        if not found:
            raise IdentificationError(
                "E10",
                f"no {estimand} effect is identified in this sample",
                why="No treated unit has both a row after and one before treatment "
                "with a control group beside them.",
                fix="see the frame of cohorts: a longer panel, or another control group",
            )
        rows += [(estimand, effect) for effect in found]
    before = [
        e
        for e in events
        if e.at is not None
        and e.at < -grid.anticipation
        and e.at not in effects.untested
    ]
    ahead = ""
    if grid.anticipation:
        ahead = f" more than {counted(grid.anticipation, 'period')}"
    null = f"all coefficients{ahead} before treatment are 0"
    pretrend = joint("joint_pretrend", null, before, effects.df_t)
    frames = {"support": grid.support(), **effects.frames}
    notes = [*grid.notes, *effects.notes]
    if effects.reference:
        notes.insert(0, _zero(effects.reference))
    notes += _thin(frames["support"], events, before, request)
    if effects.own_cohorts and grid.single_clusters:
        listed = ", ".join(map(str, grid.single_clusters))
        notes.append(
            f"Cohorts of one cluster ({listed}): nothing shows how they vary, so the "
            "standard errors miss their part."
        )
    if bootstrap:
        frames["bands"], critical = _bands(request, rows, bootstrap)
        notes.append(
            f"Simultaneous {request.confidence:.0%} bands (frame bands) reach "
            f"{critical:.3f} standard errors, from {bootstrap} multiplier draws of "
            f"'{grid.cluster_term}'."
        )
    plots: tuple[Plot, ...] = ()
    if "by_event_time" in request.estimand:
        options: dict[str, Any] = {"test": "joint_pretrend"}
        if len(effects.reference) == 1:
            options["reference"] = effects.reference[0]
        if bootstrap:
            options["bands"] = "bands"
        plots = (Plot("event_study", "coefficients", options=options),)
    return Result(
        coefficients=coefficient_table(request, grid.treatment, rows, effects.df_t),
        influence=_influence(grid, [e for _, e in rows]),
        scalars={**_scalars(grid, rows[0][1], effects.df_t), **effects.scalars},
        tests=(pretrend, *effects.tests),
        frames=frames,
        plots=plots,
        notes=tuple(notes),
    )


def last_before(data: Adoption) -> tuple[int, ...]:
    """Event times of the cohorts' last periods before treatment and anticipation."""
    place = np.searchsorted(data.periods, data.cohorts - data.anticipation) - 1
    held = place >= 0
    times = data.periods[place[held]] - data.cohorts[held]
    return tuple(int(k) for k in np.unique(times))


def _zero(reference: tuple[int, ...]) -> str:
    if len(reference) == 1:
        return f"Event time {reference[0]} is the reference: zero by construction."
    return (
        "The reference, zero by construction, is each cohort's last period before "
        f"treatment may act, event time {', '.join(map(str, reference[:-1]))} or "
        f"{reference[-1]}: the periods of these data are unequally far apart."
    )


def joint(name: str, null: str, effects: Sequence[Effect], df_t: float) -> Test:
    """Wald test that all effects are zero: F with df_t, chi2 when that is infinite."""
    from scipy.special import chdtrc, fdtrc

    if not effects:
        return Test(name, null, reason="no such coefficient in this estimation")
    estimate = np.array([e.estimate for e in effects])
    psi = np.column_stack([e.psi for e in effects])
    q = len(effects)
    F, rank = wald(estimate, psi.T @ psi)
    if rank < q:
        return Test(
            name,
            null,
            reason=f"the covariance of the {q} coefficients has rank {rank} (I06): "
            "too few clusters for a joint test",
        )
    if np.isinf(df_t):
        return Test(name, null, F * q, f"{q}", float(chdtrc(q, F * q)))
    return Test(name, null, F, f"{q}, {df_t:g}", float(fdtrc(q, df_t, F)))


def coefficient_table(
    request: Request,
    treatment: str,
    rows: Sequence[tuple[str, Effect]],
    df_t: float,
) -> pd.DataFrame:
    """Rows of a result: (estimand, effect) in this order, intervals from t (df_t)."""
    import pandas as pd
    from scipy.special import stdtr, stdtrit

    estimate = np.array([e.estimate for _, e in rows])
    error = np.array([e.std_error for _, e in rows])
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimate / error
    reach = float(stdtrit(df_t, 0.5 + request.confidence / 2)) * error
    columns: dict[str, Any] = dict(
        zip(
            COEFFICIENT_COLUMNS,
            (
                ["main"] * len(rows),
                [estimand for estimand, _ in rows],
                [treatment] * len(rows),
                estimate,
                error,
                t,
                2.0 * stdtr(df_t, -np.abs(t)),
                estimate - reach,
                estimate + reach,
            ),
            strict=True,
        )
    )
    asked = {_PLACES.get(estimand) for estimand, _ in rows}
    for name in dict.fromkeys(_PLACES.values()):
        if name == "event_time" or name in asked:
            held = [e.place(name) if _PLACES.get(k) == name else None for k, e in rows]
            columns[name] = pd.array(held, dtype=_dtype(name))
    return pd.DataFrame(columns)


def _dtype(index: str) -> Literal["float64", "Int64"]:
    """Of an index column: periods are whole numbers, doses are not."""
    return "float64" if index == "dose" else "Int64"


def _influence(grid: Adoption, effects: Sequence[Effect]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        np.column_stack([e.psi for e in effects]),
        index=pd.Index(grid.cluster_ids, name=grid.cluster_term),
        columns=range(len(effects)),
    )


def _thin(
    support: pd.DataFrame,
    events: Sequence[Effect],
    before: Sequence[Effect],
    request: Request,
) -> list[str]:
    """Event times with few units or clusters: what is shown, and what tests them."""
    what = "units" if "n_units" in support else "clusters"
    few = set(support.event_time[support[f"n_{what}"] < FEW_TREATED])
    reported = sorted({e.at for e in events if e.at is not None} & few)
    tested = sorted({e.at for e in before if e.at is not None} & few)
    notes = []
    if reported and "by_event_time" in request.estimand:
        notes.append(
            f"Event times {', '.join(map(str, reported))} rest on fewer than "
            f"{FEW_TREATED} {what} (frame support): their standard errors are far too "
            "small."
        )
    if tested:
        notes.append(
            f"The joint test of pre-trends takes in event times "
            f"{', '.join(map(str, tested))}, which rest on fewer than {FEW_TREATED} "
            f"{what}: it rejects far too often. A window leaves them out."
        )
    return notes


def _bands(
    request: Request, rows: Sequence[tuple[str, Effect]], draws: int
) -> tuple[pd.DataFrame, float]:
    """Bands that hold for all rows of an estimand at once; critical value of the first."""
    import pandas as pd

    found: list[dict[str, Any]] = []
    first = np.nan
    for estimand in dict.fromkeys(kind for kind, _ in rows):
        some = [e for kind, e in rows if kind == estimand]
        psi = np.column_stack([e.psi for e in some])
        critical = simultaneous(psi, request.confidence, draws, request.seed)
        first = critical if np.isnan(first) else first
        found += [
            {
                "estimand": estimand,
                _PLACES.get(estimand, "event_time"): e.place(_PLACES.get(estimand, "")),
                "estimate": e.estimate,
                "conf_low": e.estimate - critical * e.std_error,
                "conf_high": e.estimate + critical * e.std_error,
                "critical": critical,
            }
            for e in some
        ]
    frame = pd.DataFrame(found)
    for name in dict.fromkeys(_PLACES.values()):
        if name in frame:
            frame[name] = frame[name].astype(_dtype(name))
    return frame, first


def _scalars(grid: Adoption, first: Effect, df_t: float) -> dict[str, float]:
    from scipy.special import stdtrit

    both = stdtrit(df_t, 0.975) + stdtrit(df_t, POWER)
    return {
        **grid.counts(),
        "df_t": float(df_t),
        "mde": float(both * first.std_error),
    }
