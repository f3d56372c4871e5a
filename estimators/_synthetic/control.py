"""What `synthetic_control` reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from estimators._linear.report import POWER
from estimators._math import synthetic_control as sc
from estimators._math.synthetic_control import Control, Importance
from estimators._math.synthetic_did import Span
from estimators._staggered.report import Effect, coefficient_table, shown
from estimators._synthetic.block import Block, block
from framework.errors import (
    DataError,
    EstimandError,
    IdentificationError,
    Problem,
    counted,
)
from framework.result import Plot, Result, Test

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Window = int | tuple[int, int]

#: A p value of .05 needs this many placebos.
ENOUGH_PLACEBOS = 19
#: Gaps before treatment, as a share of the outcome's spread, that are rounding and the
#: evenness of the weights.
EXACT = 1e-6


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """Options as in `SyntheticControl`."""

    importance: Importance
    outcomes: tuple[Window, ...] | None
    averages: Mapping[str, tuple[int, int]]
    placebos: int
    evaluations: int
    window: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Predictors:
    """`names` (k,) and values (N, k) of the units; none = every outcome before."""

    names: tuple[str, ...]
    values: Floats


@dataclass(frozen=True, slots=True)
class Gap:
    """One unit's (or group's) control and its gap (T,) to it."""

    control: Control
    gap: Floats
    span: Span

    @property
    def att(self) -> float:
        return float(self.gap[self.span.first :].mean())

    @property
    def before(self) -> float:
        """Root mean squared gap before treatment."""
        return float(np.sqrt(np.mean(self.gap[: self.span.T0] ** 2)))

    @property
    def after(self) -> float:
        return float(np.sqrt(np.mean(self.gap[self.span.first :] ** 2)))

    @property
    def ratio(self) -> float:
        return self.after / self.before if self.before > 0 else np.inf


def synthetic_control(request: Request, options: ControlOptions) -> Result:
    """The treated and their control, placebos in space, weights of both kinds."""
    panel = block(request, fewest_before=2)
    if len(panel.cohorts) > 1:
        listed = ", ".join(f"{g:.0f}" for g in panel.cohorts)
        raise IdentificationError(
            "E08",
            f"treatment starts in {counted(len(panel.cohorts), 'period')} ({listed})",
            why="One synthetic control follows units that are treated together.",
            fix="`synthetic_did`, or `only` one of them with the never-treated",
        )
    span = panel.span(float(panel.cohorts[0]))
    problems = list(_unfit(panel, span, options))
    if problems:
        raise EstimandError(problems)
    predictors = _predictors(panel, span, options)
    own = _gap(panel, predictors, panel.treated, panel.never, span, options)
    exact = own.before <= EXACT * float(panel.Y.std())
    chosen = list(_chosen(request, panel, options))
    placebos = [
        _gap(
            panel,
            predictors,
            panel.never[i],
            np.delete(panel.never, i),
            span,
            options,
        )
        for i in chosen
    ]
    rows = _rows(request, panel, own, placebos, options)
    test = _test(own, placebos, exact=exact)
    return Result(
        coefficients=coefficient_table(request, panel.treatment, rows, np.inf),
        scalars=_scalars(panel, own, rows[0][1]),
        tests=(
            test,
            Test(
                "joint_pretrend",
                "all coefficients before treatment are 0",
                reason="the weights are chosen to make these coefficients small",
            ),
        ),
        frames=_frames(panel, predictors, own, placebos, chosen),
        plots=_plots(request, panel),
        notes=(*panel.notes, *_spoken(panel, predictors, options, placebos, test)),
    )


def _unfit(panel: Block, span: Span, options: ControlOptions) -> Iterator[Problem]:
    n0, n1 = len(panel.never), len(panel.treated)
    if n0 - n1 < 2:  # noqa: PLR2004 - weights need two donors
        yield from IdentificationError(
            "I08",
            f"{n0} untreated and {n1} treated units: a placebo would have fewer than "
            "two donors",
            why="Its errors come from untreated units in the place of the treated.",
            fix="more untreated units, or `synthetic_did`",
        ).problems
    known = set(panel.controls)
    for name in options.averages:
        if name not in known:
            listed = ", ".join(panel.controls) or "none"
            yield from DataError(
                "D07",
                f"estimator.averages names '{name}', which is no control ({listed})",
                fix="controls: the columns that are predictors",
            ).problems
    before = panel.periods[: span.T0]
    windows = [*(options.outcomes or ()), *options.averages.values()]
    for window in windows:
        low, high = (window, window) if isinstance(window, int) else window
        wanted = panel.periods[(panel.periods >= low) & (panel.periods <= high)]
        if not len(wanted) or not np.isin(wanted, before).all() or high > before[-1]:
            yield from DataError(
                "D07",
                f"predictor window {low} to {high} is not before treatment (periods "
                f"{before[0]} to {before[-1]})",
                why="A predictor that treatment may have moved predicts the effect "
                "away.",
                fix="a window within these periods",
            ).problems


def _predictors(panel: Block, span: Span, options: ControlOptions) -> Predictors:
    """Averages over their windows, controls first."""
    if not panel.controls and options.outcomes is None:
        return Predictors((), np.empty((len(panel.units), 0)))
    first, last = int(panel.periods[0]), int(panel.periods[span.T0 - 1])
    names, columns = [], []
    for name, values in zip(panel.controls, panel.X, strict=True):
        names.append(name)
        columns.append(_mean(panel, values, options.averages.get(name, (first, last))))
    for window in options.outcomes or ((first, last),):
        low, high = (window, window) if isinstance(window, int) else window
        when = f"{low}" if low == high else f"{low} to {high}"
        names.append(f"{panel.outcome} in {when}")
        columns.append(_mean(panel, panel.Y, (low, high)))
    values = np.column_stack(columns)
    same = [n for n, c in zip(names, values.T, strict=True) if np.ptp(c) == 0]
    if same:
        raise DataError(
            "D06",
            f"predictors that are the same for all units: {', '.join(same)}",
            fix="leave them out of controls",
        )
    return Predictors(tuple(names), values)


def _mean(panel: Block, values: Floats, window: tuple[int, int]) -> Floats:
    inside = (panel.periods >= window[0]) & (panel.periods <= window[1])
    return np.asarray(values[:, inside].mean(axis=1))


def _gap(
    panel: Block,
    predictors: Predictors,
    own: Codes,
    donors: Codes,
    span: Span,
    options: ControlOptions,
) -> Gap:
    """Control of the mean of `own` among `donors`."""
    y1, Y0 = panel.Y[own].mean(axis=0), panel.Y[donors].T
    Z1, Z0 = y1[: span.T0], Y0[: span.T0]
    if not predictors.names:
        control = sc.outcome_only(Z1, Z0)
    else:
        X1, X0 = predictors.values[own].mean(axis=0), predictors.values[donors].T
        control = sc.with_predictors(
            X1, X0, Z1, Z0, options.importance, options.evaluations
        )
    return Gap(control, y1 - Y0 @ control.w, span)


def _chosen(request: Request, panel: Block, options: ControlOptions) -> Iterator[Codes]:
    """Donors (positions among them) in the place of the treated."""
    n0, n1 = len(panel.never), len(panel.treated)
    if n1 == 1 and n0 <= options.placebos:
        yield from (np.array([i]) for i in range(n0))
        return
    rng = np.random.default_rng(request.seed)
    draws = (np.sort(rng.permutation(n0)[:n1]) for _ in range(options.placebos))
    yield from islice(draws, options.placebos)


def _rows(
    request: Request,
    panel: Block,
    own: Gap,
    placebos: Sequence[Gap],
    options: ControlOptions,
) -> list[tuple[str, Effect]]:
    """Effects with the deviations of the placebos' (divisor B)."""

    def effect(value: float, others: Floats, at: int | None = None) -> Effect:
        away = (others - others.mean()) / np.sqrt(len(others))
        return Effect(float(value), away, at)

    gaps = np.stack([p.gap for p in placebos])
    times = panel.periods - int(panel.cohorts[0])
    found = {
        "att": [effect(own.att, np.array([p.att for p in placebos]))],
        "by_event_time": shown(
            [
                effect(own.gap[t], gaps[:, t], int(e))
                for t, e in enumerate(times.tolist())
            ],
            options.window,
        ),
    }
    return [(name, e) for name in request.estimand or ("att",) for e in found[name]]


def _test(own: Gap, placebos: Sequence[Gap], *, exact: bool) -> Test:
    """Rank of the ratio of errors after and before treatment (their section 3.4)."""
    null = "no effect on any unit: the treated are as well followed after as before"
    if exact:
        return Test(
            "rmspe_ratio",
            null,
            reason="the control fits every outcome before treatment exactly, so the "
            "ratio has no denominator: more periods, or fewer donors",
        )
    beyond = sum(p.ratio >= own.ratio for p in placebos)
    return Test(
        "rmspe_ratio",
        null,
        own.ratio,
        p_value=(beyond + 1) / (len(placebos) + 1),
    )


def _scalars(panel: Block, own: Gap, first: Effect) -> dict[str, float]:
    from scipy.special import stdtrit

    span = own.span
    both = stdtrit(np.inf, 0.975) + stdtrit(np.inf, POWER)
    found = {
        "n_obs": panel.Y.size,
        "n_units": len(panel.units),
        "n_periods": len(panel.periods),
        "n_treated_units": len(panel.treated),
        "n_treated_obs": len(panel.treated) * (len(panel.periods) - span.first),
        "df_t": np.inf,
        "outcome_mean": panel.Y.mean(),
        "outcome_mean_before": panel.Y[panel.treated, : span.T0].mean(),
        "mde": both * first.std_error,
        "rmse_before": own.before,
        "effective_controls": 1.0 / float(own.control.w @ own.control.w),
    }
    return {name: float(value) for name, value in found.items()}


def _frames(
    panel: Block,
    predictors: Predictors,
    own: Gap,
    placebos: Sequence[Gap],
    chosen: Sequence[Codes],
) -> dict[str, pd.DataFrame]:
    import pandas as pd

    treated, span = panel.Y[panel.treated].mean(axis=0), own.span
    names = [
        str(panel.units[panel.never[i[0]]]) if len(i) == 1 else f"draw {b + 1}"
        for b, i in enumerate(chosen)
    ]
    frames = {
        "unit_weights": pd.DataFrame(
            {"unit": panel.units[panel.never], "weight": own.control.w}
        ).sort_values("weight", ascending=False, kind="stable", ignore_index=True),
        "trajectories": pd.DataFrame(
            {
                "period": panel.periods,
                "treated": treated,
                "synthetic": treated - own.gap,
                "effect": own.gap,
                "after": np.arange(len(panel.periods)) >= span.first,
            }
        ),
        "placebos": pd.DataFrame(
            {
                "unit": names,
                "estimate": [p.att for p in placebos],
                "rmspe_before": [p.before for p in placebos],
                "rmspe_after": [p.after for p in placebos],
                "ratio": [
                    p.ratio if np.isfinite(p.ratio) else np.nan for p in placebos
                ],
            }
        ),
        "placebo_gaps": pd.DataFrame(
            {
                "unit": np.repeat(names, len(panel.periods)),
                "period": np.tile(panel.periods, len(placebos)),
                "gap": np.concatenate([p.gap for p in placebos]),
            }
        ),
    }
    if predictors.names:
        donors = predictors.values[panel.never]
        frames["predictors"] = pd.DataFrame(
            {
                "predictor": predictors.names,
                "treated": predictors.values[panel.treated].mean(axis=0),
                "synthetic": own.control.w @ donors,
                "donors": donors.mean(axis=0),
                "importance": own.control.v,
            }
        )
    return frames


def _plots(request: Request, panel: Block) -> tuple[Plot, ...]:
    plots = [
        Plot(
            "trajectories",
            "trajectories",
            options={
                "period": "period",
                "lines": ["treated", "synthetic"],
                "after": "after",
                "what": panel.outcome,
            },
        ),
        Plot(
            "ranked",
            "unit_weights",
            title="weights of the donors",
            options={"label": "unit", "value": "weight"},
        ),
    ]
    if "by_event_time" in request.estimand:
        plots.append(Plot("event_study", "coefficients"))
    return tuple(plots)


def _spoken(
    panel: Block,
    predictors: Predictors,
    options: ControlOptions,
    placebos: Sequence[Gap],
    test: Test,
) -> Iterator[str]:
    n1 = len(panel.treated)
    if n1 > 1:
        yield f"The control follows the mean of {n1} treated units."
    if predictors.names:
        how = {
            "nested": "importance by the fit of the outcome before treatment",
            "regression": "importance by regressions of the outcome on them",
            "equal": "equal importance after standardisation",
        }[options.importance]
        yield f"Predictors: {'; '.join(predictors.names)} ({how})."
    else:
        yield "The weights follow the outcome in every period before treatment."
    yield (
        f"Standard errors are the spread of {len(placebos)} placebos, untreated units in "
        "the place of the treated; badly followed placebos widen them."
    )
    if test.p_value is None:
        yield (
            "The control fits every outcome before treatment exactly: other weights do "
            "as well (the most even ones are used), and the fit is no evidence."
        )
    else:
        yield (
            "The test of the ratio of errors after and before treatment has p = "
            f"{test.p_value:.3g}."
        )
    if len(placebos) < ENOUGH_PLACEBOS:
        yield (
            f"With {len(placebos)} placebos no p value is below "
            f"{1 / (len(placebos) + 1):.2g}."
        )
