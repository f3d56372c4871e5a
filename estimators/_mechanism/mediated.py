"""Causal mediation in linear models (Imai, Keele and Yamamoto 2010)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.design import label
from estimators._linear.report import rows_of, scalars
from estimators._math.projection import Floats
from estimators._math.sandwich import sum_by
from estimators._mechanism.paths import Number, Paths, detectable, paths, tidy, total
from framework.errors import EstimandError, IdentificationError, Problem
from framework.result import Plot, Result, Test

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.options import SmallSample
    from framework.contract import Request

    Rows = list[tuple[str, str, str, str | None, Number]]

IGNORABILITY = (
    "indirect and direct effects are causal only if nothing unobserved moves mediator "
    "and outcome, and no mediator moves another"
)
#: Correlations of the errors at which the indirect effect is shown.
RHO = np.linspace(-0.9, 0.9, 37)


def mediate(
    request: Request,
    small_sample: SmallSample,
    *,
    interaction: bool,
    sensitivity: bool,
    min_clusters: int,
) -> Result:
    """Effects through and beside the mediators.

    Raises:
        DataError: D03, D05, D06.
        IdentificationError: I01 to I05, I08, I09, E15.
        NumericalError: N01 to N03.
    """
    _fits(request, interaction=interaction, sensitivity=sensitivity)
    carriers = list(dict.fromkeys(request.mediators))
    controls = [c for c in request.controls if c not in carriers]
    found = paths(
        request, carriers, controls, small_sample,
        moderated=interaction, min_clusters=min_clusters,
    )  # fmt: skip
    own = found.long.design.regressors[0].term
    effects = _moderated(found, own) if interaction else _plain(found, own)
    asked = request.estimand[:1] or ("indirect",)
    effects.sort(key=lambda row: row[1] != asked[0])
    rows = effects + _equations(found, own)
    df = found.long.df_t
    coefficients, influence = tidy(rows, found.index, df, request.confidence)
    extra: dict[str, float] = {"mde": detectable(rows[0][-1], df)}
    frames: dict[str, pd.DataFrame] = {}
    if sensitivity:
        rho = _rho(found)
        extra["sensitivity_rho"] = rho
        extra["sensitivity_r2"] = rho**2
        frames["sensitivity"] = _by_rho(found, rho)
    shown = scalars(found.long, rows_of(found.long))
    return Result(
        coefficients=coefficients,
        influence=influence,
        scalars={**shown, "df_t": df, **extra},
        tests=_steps(found, own),
        frames=frames,
        plots=(Plot("coefficients", "coefficients"),),
        notes=(
            *found.long.design.notes,
            IGNORABILITY,
        ),
    )


def _fits(request: Request, *, interaction: bool, sensitivity: bool) -> None:
    """Options that the model can't carry, all at once."""
    problems: list[Problem] = []

    def refuse(what: str, fix: str) -> None:
        problems.extend(IdentificationError("E15", what, fix=fix).problems)

    if interaction and request.treatment is not None:
        values = request.frame[request.treatment.columns[0]].to_numpy(dtype=np.float64)
        if not np.isin(values, (0.0, 1.0)).all():
            refuse(
                "interaction: true averages effects over treatment 0 and 1, and the "
                "treatment has other values",
                "interaction: false",
            )
    if sensitivity and (interaction or len(set(request.mediators)) != 1):
        refuse(
            "sensitivity is defined for one mediator without interaction; here are "
            f"{len(set(request.mediators))}"
            + (", with interaction" if interaction else ""),
            "each: {mediators: {one: [m1], other: [m2]}}, interaction: false",
        )
    if request.outcome in request.mediators:
        refuse(
            f"'{label(request, request.outcome)}' is outcome and mediator",
            "another mediator",
        )
    if problems:
        raise EstimandError(problems)


def _plain(found: Paths, own: str) -> Rows:
    parts = [a * b for a, b in zip(found.first, found.second, strict=True)]
    rows: Rows = [("main", "indirect", own, "all", total(parts))]
    if len(parts) > 1:
        rows += [
            ("main", "indirect", own, name, part)
            for name, part in zip(found.names, parts, strict=True)
        ]
    return [
        *rows,
        ("main", "direct", own, "all", found.direct),
        ("main", "total", own, "all", found.short),
    ]


def _moderated(found: Paths, own: str) -> Rows:
    """delta(d) = a (b + k d), zeta(d) = c' + k (E M(d) - mean M), and their means.

    `b` and `c'` are coefficients at the mediators' means, where D x M is centred.
    """
    design = found.long.design
    D = next(r.values for r in design.regressors)
    weights = design.weights
    mean = Number(float(np.average(D, weights=weights)), _mean_psi(found, D))
    delta: dict[int, Number] = {}
    zeta: dict[int, Number] = {}
    for d in (0, 1):
        gap = Number(float(d), np.zeros_like(mean.psi)) + -1.0 * mean
        through, beside = [], [found.direct]
        for j, a in enumerate(found.first):
            b, k = found.second[j], found.moderated[j]
            through.append(a * (b + k * float(d)))
            M = design.regressors[1 + j].values
            centre = Number(_off_centre(M, weights), _mean_psi(found, M))
            beside.append(k * (centre + a * gap))
        delta[d], zeta[d] = total(through), total(beside)
    indirect, direct = (0.5 * (x[0] + x[1]) for x in (delta, zeta))
    rows: Rows = [("main", "indirect", own, "average", indirect)]
    rows += [("main", "indirect", own, _at(d), delta[d]) for d in (0, 1)]
    rows.append(("main", "direct", own, "average", direct))
    rows += [("main", "direct", own, _at(d), zeta[d]) for d in (0, 1)]
    rows.append(("main", "total", own, "average", indirect + direct))
    return rows


def _at(d: int) -> str:
    return "treated" if d else "untreated"


def _off_centre(M: Floats, weights: Floats | None) -> float:
    """Mean of M less the plain mean at which the product is centred."""
    return float(np.average(M, weights=weights) - M.mean())


def _mean_psi(found: Paths, values: Floats) -> Floats:
    """Influence rows of the mean of `values`, by row or cluster as the fits'."""
    design = found.long.design
    w = design.scaled_weights()
    psi: Floats = w * (values - np.average(values, weights=w)) / w.sum()
    if not design.clusters:
        return psi
    cluster = design.clusters[0]
    summed = sum_by(psi[:, None], cluster.codes, cluster.n_levels)
    by_cluster: Floats = summed[:, 0]
    return by_cluster


def _equations(found: Paths, own: str) -> Rows:
    """Baron and Kenny's regressions: a_k, then b_k beside the treatment."""
    rows: Rows = [
        ("mediator", "coefficient", own, name, a)
        for name, a in zip(found.names, found.first, strict=True)
    ]
    rows += [
        ("outcome", "coefficient", name, name, b)
        for name, b in zip(found.names, found.second, strict=True)
    ]
    return rows


def _steps(found: Paths, own: str) -> tuple[Test, ...]:
    """Joint significance: both paths of a mediator, judged by the weaker one."""
    from scipy.special import stdtr

    df, tests = found.long.df_t, []
    for name, a, b in zip(found.names, found.first, found.second, strict=True):
        t = min(abs(n.value) / n.std_error for n in (a, b))
        tests.append(
            Test(
                "joint_significance",
                f"{own} does not move {name}, or {name} does not move the outcome",
                statistic=t,
                df=f"{df:g}",
                p_value=float(2.0 * stdtr(df, -t)),
            )
        )
    return tuple(tests)


def _rho(found: Paths) -> float:
    """Correlation of the residuals of short and mediator regression.

    b = rho s1 / s2, and the mediator's residual is orthogonal to treatment and controls.
    """
    s = np.sqrt(found.firsts[0].rss / found.base.rss)
    return float(found.second[0].value * s)


def _by_rho(found: Paths, observed: float) -> pd.DataFrame:
    """Theorem 4: a s1 / s2 {r - rho sqrt((1 - r^2) / (1 - rho^2))}; zero at rho = r."""
    import pandas as pd

    a = found.first[0].value
    s = np.sqrt(found.base.rss / found.firsts[0].rss)
    effect = a * s * (observed - RHO * np.sqrt((1 - observed**2) / (1 - RHO**2)))
    return pd.DataFrame({"rho": RHO, "indirect": effect})
