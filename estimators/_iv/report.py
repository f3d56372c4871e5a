"""From the stages to a `Result`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._iv.plausible import plausibly_exogenous
from estimators._iv.stages import Stages, estimate_stages
from estimators._iv.strength import WEAK, Strength, judge
from estimators._iv.wild import bootstrapped_iv
from estimators._iv.words import in_words
from estimators._linear.covariance import analytic
from estimators._linear.design import FEW_BOOTSTRAPPED
from estimators._linear.engine import Fit
from estimators._linear.jackknife import jackknife_asked
from estimators._linear.report import influence_of, joint, rows_of, scalars, table
from estimators._math.stock_yogo import SIZES, stock_yogo
from framework.result import Plot, Result

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.options import SmallSample
    from framework.contract import Request

#: Two-sided 5 % of the normal law, which the tF factors multiply.
NORMAL = 1.959963984540054


def instrumented(
    request: Request,
    small_sample: SmallSample,
    *,
    direct_effect: tuple[float, float] | None = None,
    min_clusters: int = 10,
) -> Result:
    """Second stage, first stages and reduced form with all that judges them.

    Args:
        request: the estimation.
        small_sample: convention of the covariance.
        direct_effect: bounds of the instrument's own effect on the outcome.
        min_clusters: fewest clusters accepted without `acknowledge: few_clusters`.

    Raises:
        DataError, IdentificationError, NumericalError: see `estimate_stages` and
            `bootstrapped_iv`; V05 `direct_effect` with several treatments or
            instruments.
    """
    stages = estimate_stages(request, small_sample, min_clusters)
    plain = replace(request, inference=analytic(request.inference))
    wild = request.inference.name == "wild_bootstrap"
    fewest = min(min_clusters, FEW_BOOTSTRAPPED) if wild else min_clusters
    result = _reported(plain, stages, small_sample, direct_effect, fewest)
    return bootstrapped_iv(result, stages, request) if wild else result


def _reported(
    request: Request,
    stages: Stages,
    small_sample: SmallSample,
    direct_effect: tuple[float, float] | None,
    min_clusters: int,
) -> Result:
    """Everything with analytic errors."""
    import pandas as pd

    plausible = None
    if direct_effect is not None:
        plausible = plausibly_exogenous(
            request, stages, small_sample, direct_effect, min_clusters
        )
    strength = judge(stages, request, small_sample)
    rows = rows_of(stages.main)
    main = table(stages.main, rows, request.confidence)
    others = [_instruments(fit, stages, request) for fit in stages.first]
    names = [f.design.outcome_term for f in stages.first]
    equations = ["first_stage"]
    if stages.p > 1:
        equations = [f"first_stage of {name}" for name in names]
    others.append(_instruments(stages.reduced, stages, request))
    equations.append("reduced_form")
    frames = [
        frame.assign(equation=equation)
        for frame, equation in zip(others, equations, strict=True)
    ]
    tests = list(strength.tests)
    reduced = rows_of(stages.reduced)[: stages.q]
    null = "no effect, whatever the strength of the instruments"
    tests.append(joint(stages.reduced, "anderson_rubin", null, reduced))
    if stages.p > 1:
        null = "all treatment coefficients are 0"
        tests.append(joint(stages.main, "joint_treatment", null, rows[: stages.p]))
    found = dict(scalars(stages.main, rows)) | dict(_numbers(stages, strength))
    frames_ = _frames(strength, stages)
    notes = [*stages.main.design.notes, *_notes(stages, strength, request)]
    if plausible is not None:
        found |= plausible.scalars
        frames_["plausibly_exogenous"] = plausible.frame
        notes.append(plausible.note(request.confidence))
    return Result(
        coefficients=pd.concat([main, *frames], ignore_index=True),
        influence=influence_of(stages.main, rows),
        scalars={name: float(value) for name, value in found.items()},
        tests=tuple(tests),
        frames=frames_,
        plots=(Plot("coefficients", "coefficients"),),
        notes=tuple(notes),
    )


def _instruments(fit: Fit, stages: Stages, request: Request) -> pd.DataFrame:
    """Rows of the instruments, judged by the second stage's degrees of freedom."""
    alike = replace(fit, df_t=stages.main.df_t)
    return table(alike, rows_of(fit)[: stages.q], request.confidence)


def _numbers(stages: Stages, strength: Strength) -> Iterator[tuple[str, float]]:
    fs = [s.f for s in strength.first_stage if s.f is not None]
    if len(fs) == stages.p:
        yield "first_stage_f", min(fs)
    yield "cragg_donald_f", strength.cragg_donald_f
    for c in stock_yogo(stages.p, stages.q):
        if c.criterion == "size" and c.threshold == min(SIZES):
            yield "critical_cragg_donald_f", c.value
    for name in ("kleibergen_paap_f", "effective_f", "critical_effective_f"):
        value = getattr(strength, name)
        if value is not None:
            yield name, value
    if strength.tf_factor is not None:
        error = float(np.sqrt(stages.main.covariance[0, 0]))
        yield "tf_critical", NORMAL * strength.tf_factor
        yield "std_error_tf", error * strength.tf_factor
    yield "ols_estimate", float(stages.ols.estimate[0])
    yield "ols_std_error", float(np.sqrt(stages.ols.covariance[0, 0]))


def _frames(strength: Strength, stages: Stages) -> dict[str, pd.DataFrame]:
    import pandas as pd

    first = pd.DataFrame(
        {
            "treatment": [s.treatment for s in strength.first_stage],
            "f": np.array([s.f for s in strength.first_stage], dtype=np.float64),
            "p_value": np.array(
                [s.p_value for s in strength.first_stage], dtype=np.float64
            ),
            "partial_r2": [s.partial_r2 for s in strength.first_stage],
        }
    )
    frames = {"first_stage": first}
    critical = stock_yogo(stages.p, stages.q)
    if critical:
        frames["stock_yogo"] = pd.DataFrame(
            {
                "criterion": [c.criterion for c in critical],
                "threshold": [c.threshold for c in critical],
                "critical_value": [c.value for c in critical],
                "exceeded": [strength.cragg_donald_f > c.value for c in critical],
            }
        )
    if strength.robust_set is not None:
        ends = np.array(strength.robust_set, dtype=np.float64).reshape(-1, 2)
        frames["anderson_rubin"] = pd.DataFrame(
            {"conf_low": ends[:, 0], "conf_high": ends[:, 1]}
        )
    return frames


def _notes(stages: Stages, strength: Strength, request: Request) -> Iterator[str]:
    percent = f"{100 * request.confidence:g} %"
    region = in_words(strength.robust_set or ())
    f, name = strength.weakest
    if f < WEAK:
        advice = "read Anderson and Rubin's test, not the interval"
        if region:
            advice = (
                f"read Anderson and Rubin's {percent} set, {region}, not the interval"
            )
        yield (
            f"Weak instruments: the {name} is {f:.3g}, below {WEAK:g}; {advice} (V01)."
        )
    elif region and any(
        not np.all(np.isfinite(piece)) for piece in strength.robust_set or ()
    ):
        yield f"Anderson and Rubin's {percent} set is unbounded: {region}."
    if strength.robust_set == ():
        yield (
            f"Anderson and Rubin's {percent} set is empty: no effect fits all "
            "instruments, so at least one of them is not valid."
        )
    if strength.tf_factor is not None and strength.tf_factor > 1:
        error = float(np.sqrt(stages.main.covariance[0, 0])) * strength.tf_factor
        yield (
            f"tF: with a first-stage F of {strength.first_stage[0].f:.3g} a 5 % test of "
            f"the effect needs |t| > {NORMAL * strength.tf_factor:.3g}; the adjusted "
            f"standard error is {error:.4g} (Lee et al. 2022)."
        )
    if jackknife_asked(request.inference):
        tests = "Kleibergen and Paap's" + (
            " and Hansen's" if stages.q > stages.p else ""
        )
        yield f"{tests} statistics stand on moments by cluster (CV1), not on CV3."
    if any(s.f is None for s in strength.first_stage):
        yield (
            "The first-stage F can't be computed: the covariance of the instruments' "
            "coefficients is singular (too few clusters)."
        )
