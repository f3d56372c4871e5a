"""What `synthetic_did` reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from estimators._linear.design import FEW_TREATED, SOME_TREATED
from estimators._linear.report import POWER
from estimators._math.synthetic_did import Solver
from estimators._staggered.report import Effect, coefficient_table, shown
from estimators._synthetic import fit
from estimators._synthetic.block import Block, block
from estimators._synthetic.fit import Covariates, Fitted, Sample
from framework.errors import (
    EstimandError,
    IdentificationError,
    NumericalError,
    Problem,
    counted,
)
from framework.result import Plot, Result, Test

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request

Floats = NDArray[np.float64]
Errors = Literal["placebo", "bootstrap", "jackknife"]

#: Periods before treatment: the noise level needs a difference.
FEWEST_BEFORE = 2


@dataclass(frozen=True, slots=True)
class DidOptions:
    """Options as in `SyntheticDid`."""

    errors: Errors
    replications: int
    covariates: Covariates
    solver: Solver
    window: tuple[int, int] | None


def synthetic_did(request: Request, options: DidOptions) -> Result:
    """Effects, their replicates, weights and trajectories."""
    panel = block(request, fewest_before=FEWEST_BEFORE)
    problems = list(_too_few(request, panel, options))
    if problems:
        raise EstimandError(problems)
    sample = fit.regularised(
        Sample(
            panel.Y,
            panel.X,
            panel.cohort,
            {float(g): panel.span(float(g)) for g in panel.cohorts},
            options.covariates,
            options.solver,
            {},
        )
    )
    whole = fit.fitted(sample)
    index = _index(panel, options.window)
    draws = _replicates(request, sample, whole, options, index)
    deviations = _deviations(draws, options.errors)
    values = _values(whole, index)
    rows: list[tuple[str, Effect]] = []
    for estimand in request.estimand or ("att",):
        rows += [
            (kind, Effect(float(values[j]), deviations[:, j], at))
            for j, (kind, at) in enumerate(index)
            if kind == estimand
        ]
    return Result(
        coefficients=coefficient_table(request, panel.treatment, rows, np.inf),
        influence=_influence(panel, rows) if options.errors == "jackknife" else None,
        scalars=_scalars(panel, whole, rows[0][1]),
        tests=(
            Test(
                "joint_pretrend",
                "all coefficients before treatment are 0",
                reason="the weights are chosen to make these coefficients small",
            ),
        ),
        frames=_frames(panel, sample, whole, draws, index),
        plots=_plots(request, panel),
        notes=(*panel.notes, *_spoken(panel, options, draws)),
    )


def _too_few(request: Request, panel: Block, options: DidOptions) -> Iterator[Problem]:
    n1, n0 = len(panel.treated), len(panel.never)
    fix = _way_out(request, panel)
    if options.errors == "placebo":
        if n0 <= n1:
            yield from IdentificationError(
                "I08",
                f"{n0} untreated and {counted(n1, 'treated unit')}: no placebo has as many "
                "treated and a control left",
                why="Placebo errors put untreated units in the place of all treated.",
                fix=fix,
            ).problems
        return
    if options.errors == "jackknife" and (lost := _nothing_left(panel)):
        yield from IdentificationError(
            "I08",
            f"{lost}: leaving it out leaves no estimate",
            why="The jackknife needs two or more units on every side.",
            fix=fix,
        ).problems
    elif n1 < FEW_TREATED and "few_treated" not in request.acknowledge:
        yield from IdentificationError(
            "I08",
            f"{counted(n1, 'treated unit')} (fewer than {FEW_TREATED}) with {options.errors} "
            "errors",
            why="They rest on many treated units and are far too small with few.",
            fix=fix,
            acknowledge="" if n1 == 1 else "few_treated",
        ).problems


def _nothing_left(panel: Block) -> str:
    """Whom the jackknife can't leave out, in words; empty where it can all."""
    alone = [g for g in panel.cohorts if (panel.cohort == g).sum() == 1]
    if alone:
        return (
            f"{counted(len(alone), 'cohort has', 'cohorts have')} a single treated unit "
            f"(first: {alone[0]:.0f})"
        )
    return "there is a single untreated unit" if len(panel.never) == 1 else ""


def _way_out(request: Request, panel: Block) -> str:
    """The errors that this design can have, all of them."""
    n1 = len(panel.treated)
    enough = n1 >= FEW_TREATED or (n1 > 1 and "few_treated" in request.acknowledge)
    can = {
        "placebo": len(panel.never) > n1,
        "bootstrap": enough,
        "jackknife": enough and not _nothing_left(panel),
    }
    named = [name for name, works in can.items() if works]
    if not named:
        return "more untreated units than treated ones, for estimator.errors: placebo"
    return f"estimator.errors: {' or '.join(named)}"


def _index(
    panel: Block, window: tuple[int, int] | None
) -> list[tuple[str, int | None]]:
    """Estimand and index of every number that is estimated and replicated."""
    times = sorted(
        {
            e
            for g in panel.cohorts
            for e in range(
                -panel.span(float(g)).first,
                len(panel.periods) - panel.span(float(g)).first,
            )
        }
    )
    held = shown([Effect(0.0, np.zeros(0), e) for e in times], window)
    return [
        ("att", None),
        *(("by_cohort", int(g)) for g in panel.cohorts),
        *(("by_event_time", e.at) for e in held),
    ]


def _values(found: Fitted, index: list[tuple[str, int | None]]) -> Floats:
    out = []
    for kind, at in index:
        if kind == "att" or at is None:
            out.append(found.att())
        elif kind == "by_cohort":
            c = found.cohorts.get(float(at))
            out.append(c.tau if c else np.nan)
        else:
            out.append(found.at_event_time(at))
    return np.array(out)


def _replicates(
    request: Request,
    sample: Sample,
    whole: Fitted,
    options: DidOptions,
    index: list[tuple[str, int | None]],
) -> Floats:
    """(B, numbers), NaN where a replicate has no such cohort."""
    rng = np.random.default_rng(request.seed)
    if options.errors == "jackknife":
        _no_sole_control(whole)
        found = fit.left_out(sample, whole)
    elif options.errors == "placebo":
        found = fit.placebos(sample, whole, options.replications, rng)
    else:
        found = fit.resamples(sample, whole, options.replications, rng)
    return np.array([_values(one, index) for one in found])


def _no_sole_control(whole: Fitted) -> None:
    for c in whole.cohorts.values():
        if c.weights.omega.max() >= 1.0:
            raise NumericalError(
                "N02",
                "one control has all the weight: without it no weights are left to "
                "rescale",
                fix="estimator.errors: placebo",
            )


def _deviations(draws: Floats, errors: Errors) -> Floats:
    """Deviations whose sum of squares is the variance: divisor B, jackknife (n-1)/n."""
    known = np.isfinite(draws)
    count = known.sum(axis=0)
    mean = np.where(known, draws, 0.0).sum(axis=0) / np.maximum(count, 1)
    away = np.where(known, draws - mean, 0.0)
    if errors == "jackknife":
        n = len(draws)
        return np.asarray(np.sqrt((n - 1) / n) * away)
    return np.asarray(away / np.sqrt(np.maximum(count, 1)))


def _influence(panel: Block, rows: list[tuple[str, Effect]]) -> pd.DataFrame:
    """Units' jackknife pseudo-influence: minus the change that leaving one out makes."""
    import pandas as pd

    return pd.DataFrame(
        -np.column_stack([e.psi for _, e in rows]),
        index=pd.Index(panel.units, name="unit"),
        columns=range(len(rows)),
    )


def _scalars(panel: Block, whole: Fitted, first: Effect) -> dict[str, float]:
    from scipy.special import stdtrit

    on = panel.periods[None, :] >= panel.cohort[:, None]
    before = np.isfinite(panel.cohort)[:, None] & (
        panel.periods[None, :] < panel.cohort[:, None] - panel.anticipation
    )
    both = stdtrit(np.inf, 0.975) + stdtrit(np.inf, POWER)
    misfit = [c.misfit for c in whole.cohorts.values()]
    found = {
        "n_obs": panel.Y.size,
        "n_units": len(panel.units),
        "n_periods": len(panel.periods),
        "n_treated_units": len(panel.treated),
        "n_treated_obs": on.sum(),
        "df_t": np.inf,
        "outcome_mean": panel.Y.mean(),
        "outcome_mean_before": panel.Y[before].mean(),
        "mde": both * first.std_error,
        "rmse_before": np.sqrt(
            np.average(np.square(misfit), weights=list(whole.sizes.values()))
        ),
        "effective_controls": min(
            1.0 / float(c.weights.omega @ c.weights.omega)
            for c in whole.cohorts.values()
        ),
    }
    return {name: float(value) for name, value in found.items()}


def _frames(
    panel: Block,
    sample: Sample,
    whole: Fitted,
    draws: Floats,
    index: list[tuple[str, int | None]],
) -> dict[str, pd.DataFrame]:
    import pandas as pd

    cohorts, units, times, paths = [], [], [], []
    total = sum(
        whole.sizes[g] * (len(panel.periods) - c.span.first)
        for g, c in whole.cohorts.items()
    )
    for g, c in whole.cohorts.items():
        zeta = sample.zetas[g]
        T0, first = c.span.T0, c.span.first
        cohorts.append(
            {
                "cohort": int(g),
                "n_units": whole.sizes[g],
                "n_before": T0,
                "n_after": len(panel.periods) - first,
                "weight": whole.sizes[g] * (len(panel.periods) - first) / total,
                "estimate": c.tau,
                "noise": zeta.noise,
                "zeta_omega": zeta.omega,
                "zeta_lambda": zeta.lambda_,
                "rmse_before": c.misfit,
            }
        )
        omega = pd.DataFrame(
            {
                "cohort": int(g),
                "unit": panel.units[panel.never],
                "weight": c.weights.omega,
            }
        )
        units.append(omega.sort_values("weight", ascending=False, kind="stable"))
        times.append(
            pd.DataFrame(
                {
                    "cohort": int(g),
                    "period": panel.periods[:T0],
                    "weight": c.weights.lambda_,
                }
            )
        )
        treated = panel.Y[panel.cohort == g].mean(axis=0)
        paths.append(
            pd.DataFrame(
                {
                    "cohort": int(g),
                    "period": panel.periods,
                    "treated": treated,
                    "synthetic": treated - c.effect,
                    "controls": treated - c.gap,
                    "effect": c.effect,
                    "time_weight": np.pad(
                        c.weights.lambda_, (0, len(panel.periods) - T0)
                    ),
                    "after": panel.periods >= g,
                }
            )
        )
    columns = [kind if at is None else f"{kind} {at}" for kind, at in index]
    frames = {
        "cohorts": pd.DataFrame(cohorts),
        "unit_weights": pd.concat(units, ignore_index=True),
        "time_weights": pd.concat(times, ignore_index=True),
        "trajectories": pd.concat(paths, ignore_index=True),
        "replicates": pd.DataFrame(draws, columns=columns),
    }
    if len(panel.controls):
        found = []
        for g, c in whole.cohorts.items():
            beta = whole.beta if len(whole.beta) else c.weights.beta
            found += [
                {"cohort": int(g), "term": name, "coefficient": float(b)}
                for name, b in zip(panel.controls, beta, strict=True)
            ]
        frames["covariates"] = pd.DataFrame(found)
    return frames


def _plots(request: Request, panel: Block) -> tuple[Plot, ...]:
    plots = [
        Plot(
            "trajectories",
            "trajectories",
            options={
                "period": "period",
                "lines": ["treated", "synthetic"],
                "weight": "time_weight",
                "after": "after",
                "what": panel.outcome,
                "by": "cohort",
            },
        )
    ]
    if len(panel.cohorts) == 1:
        plots.append(
            Plot(
                "ranked",
                "unit_weights",
                title="weights of the controls",
                options={"label": "unit", "value": "weight"},
            )
        )
    if "by_event_time" in request.estimand:
        plots.append(Plot("event_study", "coefficients"))
    return tuple(plots)


def _spoken(panel: Block, options: DidOptions, draws: Floats) -> Iterator[str]:
    n1, n0 = len(panel.treated), len(panel.never)
    if len(panel.cohorts) > 1:
        yield (
            f"att averages {counted(len(panel.cohorts), 'cohort')} by their treated "
            "unit-periods; each is compared with never-treated units only."
        )
    if options.errors == "placebo":
        every = fit.enumerable(n0, n1, options.replications)
        how = "all" if every else "random choices"
        yield (
            f"Placebo standard errors from {len(draws)} placebos ({how} among {n0} "
            f"untreated units in the place of {n1}): they take the noise of treated "
            "and untreated units as alike."
        )
    elif options.errors == "bootstrap":
        yield (
            f"Standard errors from {len(draws)} bootstrap samples of units, weights "
            "found anew in each."
        )
        lost = int(np.isnan(draws).any(axis=1).sum())
        if lost:
            yield (
                f"{lost} bootstrap samples lack a cohort: its errors rest on the others."
            )
    else:
        yield "Jackknife standard errors over units with the weights held fixed."
    if options.errors != "placebo" and n1 < SOME_TREATED:
        yield (
            f"{n1} treated units: {options.errors} errors are too small with few "
            "treated; read them beside errors: placebo."
        )
    if options.solver == "frank_wolfe":
        yield (
            "Weights from Frank-Wolfe steps as in R's synthdid, which stop short of "
            "the optimum."
        )
    if panel.controls:
        yield (
            f"Covariates ({', '.join(panel.controls)}) are {options.covariates} "
            "(frame covariates)."
        )
