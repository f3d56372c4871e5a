"""From repetitions to a result: medians, what the splits add, diagnostics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from estimators._double.chosen import (
    said_of_chosen,
    spoken_choice,
    without_empty_choices,
)
from estimators._double.confounding import benchmarks, contour, frame_of
from estimators._double.sample import MOST_GROUPS, Sample
from estimators._double.scores import Plan, Repetition, clipped
from estimators._double.transform import BINARY
from estimators._math.multiplier import simultaneous
from estimators._math.orthogonal import Solved, median_of, robustness
from estimators._math.projection import Floats
from framework.errors import IdentificationError
from framework.result import COEFFICIENT_COLUMNS, Plot, Result, Test

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request

#: Efficiency of the median: its standard error over that of the mean, normal draws.
OF_THE_MEDIAN = float(np.sqrt(np.pi / 2))
#: Share of rows with a trimmed propensity from which nothing is printed unasked.
POOR_OVERLAP = 0.1
#: Repetitions below which a note asks for more.
FEW_SPLITS = 5
#: First-stage F below which an interval is not to be trusted (Staiger and Stock 1997).
WEAK = 10.0
#: Learners that are linear in the columns they are given.
LINEAR = ("Linear", "Lasso", "Ridge", "ElasticNet")
#: Multiplier draws of joint bands; 999 give a critical value to about 0.02.
BAND_DRAWS = 999
#: Points of the effect along a moderator.
ALONG = 41
#: Covariates that the figure of the nuisances names; the frame has all.
MOST_DRAWN = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the study asks for beside the estimates.

    Attributes:
        benchmarks: names of controls that a confounder is compared with, set by set.
        figures: `overlap`, `nuisances`, `confounding`.
    """

    benchmarks: tuple[tuple[str, ...], ...] = ()
    figures: frozenset[str] = frozenset()


def report(
    sample: Sample,
    plan: Plan,
    found: Sequence[Repetition],
    request: Request,
    estimands: Sequence[str],
    wanted: Wanted,
) -> Result:
    """Median over splits, standard errors, diagnostics, notes.

    Args:
        found: one split each.
        estimands: which to show, the judged first.

    Raises:
        IdentificationError: M04 too many propensities at the edge.
        SpecError: X23 benchmarks that are no controls, or of several effects.
    """
    import pandas as pd

    share = clipped(plan, found)
    _overlap_or_refuse(sample, share, plan, request)
    rows = [row for estimand in estimands for row in _rows(sample, plan, estimand)]
    marks = benchmarks(sample, plan, found, rows[0].key, rows[0].at, wanted.benchmarks)
    medians = [median_of([r.solved[row.key] for r in found], row.at) for row in rows]
    table = _table(rows, [m[:2] for m in medians], request.confidence)
    index = pd.Index(np.asarray(sample.ids), name=sample.cluster_term)
    psi = pd.DataFrame(
        np.column_stack([m[2] for m in medians]), index=index, columns=table.index
    )
    frames = {
        "repetitions": _repetitions(rows, found),
        "nuisances": _nuisances(found),
    }
    if found[0].carried:
        frames["carried"] = _carried(sample, found)
    if found[0].propensity is not None:
        frames["overlap"] = _overlap(sample, found)
    joint = bands(table, psi.to_numpy(), request)
    if joint is not None:
        frames["bands"] = joint
    curve = _along(sample, found, request)
    if curve is not None:
        frames["cate"] = curve
    scalars = _scalars(sample, plan, found, table, rows[0], share, request)
    notes = [*sample.notes, *_split_notes(sample, plan, found, rows[0])]
    if share:
        inside = f"[{plan.trimming:g}, {1 - plan.trimming:g}]"
        notes.append(f"{share:.2%} of the propensities are trimmed into {inside}")
    weights = _weights(sample, found)
    if weights is not None:
        frames["weights"], more, note = weights
        scalars |= more
        notes.append(note)
    if "robustness_value" in scalars:
        at = rows[0].key
        scale = float(np.sqrt(_middle(found, "sigma2", at) * _middle(found, "nu2", at)))
        estimate = float(table["estimate"].iloc[0])
        robust = scalars["robustness_value"]
        frames["confounding"] = contour(estimate, scale, robust, marks)
        if marks:
            frames["benchmarks"] = frame_of(marks, estimate, scale)
    if joint is not None:
        critical = float(joint["critical"].iloc[0])
        notes.append(
            f"frame bands: {request.confidence:.0%} intervals for all rows at once reach "
            f"{critical:.2f} standard errors"
        )
    notes += _weak(scalars)
    notes += _transform_notes(sample, plan)
    notes += said_of_chosen([c for r in found for c in r.checks])
    notes += dict.fromkeys(n for r in found for n in r.notes)
    return Result(
        coefficients=table,
        influence=psi,
        scalars=scalars,
        tests=_tests(table, psi),
        frames=frames,
        plots=tuple(_plots(sample, plan, frames, scalars, wanted.figures)),
        notes=tuple(notes),
    )


def bands(table: pd.DataFrame, psi: Floats, request: Request) -> pd.DataFrame | None:
    """Intervals that hold for all rows of an estimand at once; None = one row each.

    Multiplier bootstrap of the influence functions (Semenova and Chernozhukov 2021).

    Args:
        psi: (G, rows) influence functions.
    """
    import pandas as pd

    made = []
    for estimand in dict.fromkeys(table["estimand"]):
        some = np.flatnonzero(table["estimand"] == estimand)
        if len(some) == 1:
            continue  # its interval is its band
        critical = simultaneous(
            psi[:, some], request.confidence, BAND_DRAWS, request.seed
        )
        part = table.iloc[some]
        reach = critical * part["std_error"]
        index = [c for c in ("group", "quantile") if c in part]
        made.append(
            part[["estimand", "term", *index, "estimate"]].assign(
                conf_low=part["estimate"] - reach,
                conf_high=part["estimate"] + reach,
                critical=critical,
            )
        )
    return pd.concat(made, ignore_index=True) if made else None


def _along(
    sample: Sample, found: Sequence[Repetition], request: Request
) -> pd.DataFrame | None:
    """Effect along a moderator with many values: the best linear predictor's line.

    None without such a moderator. Semenova and Chernozhukov (2021), with the moderator
    itself as their basis.
    """
    import pandas as pd
    from scipy.special import ndtri

    if len(sample.moderator_terms) != 1 or len(sample.products) != 1:
        return None
    m = sample.moderators[:, 0]
    if len(np.unique(m)) <= MOST_GROUPS:
        return None
    low, high = (float(x) for x in np.quantile(m, [0.01, 0.99]))
    at = np.linspace(low, high, ALONG)
    if "interaction" in found[0].solved:
        key, combine = "interaction", np.column_stack([np.ones_like(at), at])
    else:  # plr: the product first, the treatment after it
        key, combine = "coefficient", np.zeros((ALONG, len(sample.treatments)))
        combine[:, 0], combine[:, sample.main] = at, 1.0
    lines = [
        Solved(combine @ r.solved[key].theta, r.solved[key].influence @ combine.T)
        for r in found
    ]
    medians = [median_of(lines, i) for i in range(ALONG)]
    estimate, error = (np.array([x[j] for x in medians]) for j in (0, 1))
    psi = np.column_stack([x[2] for x in medians])
    critical = simultaneous(psi, request.confidence, BAND_DRAWS, request.seed)
    z = float(ndtri(0.5 + request.confidence / 2))
    return pd.DataFrame(
        {
            "moderator": sample.moderator_terms[0],
            "value": at,
            "estimate": estimate,
            "std_error": error,
            "conf_low": estimate - z * error,
            "conf_high": estimate + z * error,
            "band_low": estimate - critical * error,
            "band_high": estimate + critical * error,
        }
    )


def _plots(
    sample: Sample,
    plan: Plan,
    frames: Mapping[str, pd.DataFrame],
    scalars: Mapping[str, float],
    figures: frozenset[str],
) -> Iterator[Plot]:
    """Figures that are asked for and that there is something to show in."""
    if "cate" in frames:
        moderator = sample.moderator_terms[0]
        yield Plot(
            "along", "cate", f"the effect along {moderator}", {"moderator": moderator}
        )
    for by in ("group", "quantile"):
        if "bands" in frames and by in frames["bands"]:
            yield Plot("groups", "bands", f"the effect by {by}", {"by": by})
    if "overlap" in figures and "overlap" in frames:
        arm = (sample.instruments or sample.treatments)[0].term
        yield propensity_plot(arm, plan.trimming)
    if "nuisances" in figures and "carried" in frames:
        title = "share of each nuisance's predictions that a covariate carries alone"
        options = {"row": "variable", "column": "nuisance", "value": "share"}
        more = {"percent": True, "most": MOST_DRAWN}
        yield Plot("heatmap", "carried", title, options | more)
    if "confounding" in figures and "confounding" in frames:
        yield Plot(
            "confounding",
            "confounding",
            "the estimate, moved toward zero by an omitted confounder",
            {
                "points": "benchmarks" if "benchmarks" in frames else "",
                "robustness": scalars["robustness_value"],
            },
        )


def propensity_plot(arm: str, trimming: float) -> Plot:
    """Overlap and calibration, from a frame that `by_tenth` makes."""
    return Plot(
        "propensity",
        "overlap",
        f"overlap and calibration of the propensity of '{arm}'",
        {"arm": arm, "trimming": trimming},
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: coefficient `at` of the solution `key`."""

    key: str
    at: int
    estimand: str
    term: str
    group: str | None = None
    quantile: float | None = None


def _rows(sample: Sample, plan: Plan, estimand: str) -> list[Row]:
    """Rows of an estimand that was asked for."""
    term = sample.treatments[sample.main].term
    if sample.kind == "qte":
        return [
            Row(estimand, i, estimand, term, quantile=q)
            for i, q in enumerate(plan.quantiles)
        ]
    if estimand == "by_group":
        names = sample.groups()[0]
        return [Row("by_group", i, "by_group", term, g) for i, g in enumerate(names)]
    if estimand == "interaction":
        return [
            Row("interaction", i + 1, "interaction", product)
            for i, product in enumerate(sample.products)
        ]
    if estimand != "coefficient":
        return [Row(estimand, 0, estimand, term)]
    return [
        Row("coefficient", i, column.estimand, column.term)
        for i, column in enumerate(sample.treatments)
    ]


def _tests(table: pd.DataFrame, psi: pd.DataFrame) -> tuple[Test, ...]:
    """Equality of the groups' effects, by their joint covariance."""
    from scipy.special import chdtrc

    several = "quantile" if "quantile" in table else "group"
    if several not in table:
        return ()
    at = table.index[table[several].notna()]
    if len(at) < 2:  # noqa: PLR2004 - one group equals itself
        return ()
    null = f"the effect is the same in all {several}s"
    null = null.replace("in all quantiles", "at all quantiles")
    estimate = table.loc[at, "estimate"].to_numpy()
    V = psi[at].to_numpy().T @ psi[at].to_numpy()
    apart = np.diff(np.eye(len(at)), axis=0)
    W = apart @ V @ apart.T
    if np.linalg.matrix_rank(W) < len(W):
        return (Test("equality", null, reason="too few clusters for a joint test"),)
    difference = apart @ estimate
    statistic = float(difference @ np.linalg.solve(W, difference))
    df = len(at) - 1
    p = float(chdtrc(df, statistic))
    return (Test("equality", null, statistic, str(df), p),)


def _table(
    rows: Sequence[Row],
    medians: Sequence[tuple[float, float]],
    confidence: float,
) -> pd.DataFrame:
    """Tidy coefficients with normal intervals."""
    import pandas as pd
    from scipy.special import ndtr, ndtri

    estimate = np.array([m[0] for m in medians])
    error = np.array([m[1] for m in medians])
    z = estimate / error
    reach = float(ndtri(0.5 + confidence / 2)) * error
    columns = (
        ["main"] * len(rows),
        [row.estimand for row in rows],
        [row.term for row in rows],
        estimate,
        error,
        z,
        2.0 * ndtr(-np.abs(z)),
        estimate - reach,
        estimate + reach,
    )
    table = pd.DataFrame(dict(zip(COEFFICIENT_COLUMNS, columns, strict=True)))
    if any(row.group for row in rows):
        table["group"] = pd.array([row.group for row in rows], dtype="string")
    if rows[0].quantile is not None:
        table["quantile"] = [float(row.quantile or 0) for row in rows]
    return table


def _repetitions(rows: Sequence[Row], found: Sequence[Repetition]) -> pd.DataFrame:
    """Estimate and standard error of every split."""
    import pandas as pd

    made = []
    for number, r in enumerate(found):
        for row in rows:
            solved = r.solved[row.key]
            psi = solved.influence[:, row.at]
            at = row.group or ("" if row.quantile is None else f"{row.quantile:g}")
            said = (number + 1, row.estimand, row.term, at)
            made.append((*said, solved.theta[row.at], float(np.sqrt(psi @ psi))))
    names = ["repetition", "estimand", "term", "group", "estimate", "std_error"]
    return pd.DataFrame(made, columns=names)


def _nuisances(found: Sequence[Repetition]) -> pd.DataFrame:
    """Out-of-fold R2 or log-loss of every nuisance, split and fold."""
    import pandas as pd

    made = [
        (
            c.nuisance,
            c.learner,
            number + 1,
            c.fold,
            c.measure,
            c.value,
            c.n,
            spoken_choice(c.chosen),
        )
        for number, r in enumerate(found)
        for c in r.checks
    ]
    names = ["nuisance", "learner", "repetition", "fold", "measure", "value", "rows"]
    return without_empty_choices(pd.DataFrame(made, columns=[*names, "chosen"]))


def _carried(sample: Sample, found: Sequence[Repetition]) -> pd.DataFrame:
    """Share of each nuisance's predictions by covariate, mean over splits."""
    import pandas as pd

    made = [
        (what.replace("'", ""), feature, share)
        for what in found[0].carried
        for feature, share in zip(
            sample.features,
            np.mean([r.carried[what] for r in found if what in r.carried], axis=0),
            strict=True,
        )
    ]
    return pd.DataFrame(made, columns=["nuisance", "variable", "share"])


def _overlap(sample: Sample, found: Sequence[Repetition]) -> pd.DataFrame:
    """Rows by predicted probability: how many, of which arm, and how often it was so."""
    arm = (sample.instruments or sample.treatments)[0].values
    p = np.mean([r.propensity for r in found if r.propensity is not None], axis=0)
    return by_tenth(p, arm)


def by_tenth(p: Floats, arm: Floats) -> pd.DataFrame:
    """Rows of either arm, predicted and observed shares, by tenth of the propensity."""
    import pandas as pd

    edges = np.linspace(0, 1, 11)
    bin_of = np.clip(np.digitize(p, edges) - 1, 0, 9)
    made = []
    for b in range(10):
        rows = bin_of == b
        count = int(rows.sum())
        if count:
            on = int(arm[rows].sum())
            made.append(
                (edges[b], edges[b + 1], count - on, on, p[rows].mean(), on / count)
            )
    names = ["from", "to", "rows_0", "rows_1", "predicted", "observed"]
    return pd.DataFrame(made, columns=names)


def _overlap_or_refuse(
    sample: Sample, share: float, plan: Plan, request: Request
) -> None:
    if share > POOR_OVERLAP and "poor_overlap" not in request.acknowledge:
        raise IdentificationError(
            "M04",
            f"{share:.0%} of the rows have a propensity below {plan.trimming:g} or above "
            f"{1 - plan.trimming:g}",
            why="There is next to nobody to compare them with; trimmed or not, they "
            "decide the estimate.",
            fix=f"a sample in which both arms are found{_one_sided(sample)}, other "
            "controls, or kind: plr",
            acknowledge="poor_overlap",
        )


def _one_sided(sample: Sample) -> str:
    """Periods in which all rows are of one arm: period effects predict it there."""
    if sample.time is None:
        return ""
    arm = (sample.instruments or sample.treatments)[0].values
    periods, code = np.unique(sample.time, return_inverse=True)
    mean = np.bincount(code, arm) / np.bincount(code)
    found = periods[(mean == 0) | (mean == 1)]
    if not len(found):
        return ""
    listed = ", ".join(str(p) for p in found[:10]) + (" …" if len(found) > 10 else "")  # noqa: PLR2004 - a line's worth
    return f" (leave out the periods in which all rows are of one: {listed})"


def _scalars(
    sample: Sample,
    plan: Plan,
    found: Sequence[Repetition],
    table: pd.DataFrame,
    judged: Row,
    share: float,
    request: Request,
) -> dict[str, float]:
    from scipy.special import ndtri

    at = judged.at
    theta = [float(r.solved[judged.key].theta[at]) for r in found]
    errors = [np.linalg.norm(r.solved[judged.key].influence[:, at]) for r in found]
    scalars: dict[str, float] = {"n_obs": sample.n, "df_t": np.inf}
    if sample.unit is not None:
        scalars["n_units"] = len(np.unique(sample.unit))
    if sample.time is not None:
        scalars["n_periods"] = len(np.unique(sample.time))
    if sample.cluster is not None:
        scalars["n_clusters"] = len(np.unique(sample.cluster))
    scalars |= _treated(sample, request)
    scalars["n_features"] = sample.X.shape[1]
    scalars["n_folds"] = plan.folds
    scalars["n_repetitions"] = len(found)
    scalars |= split_scalars(theta, [float(e) for e in errors])
    if sample.kind == "ssm":
        scalars["n_seen"] = sample.seen.sum()
    scalars["outcome_mean"] = float(sample.outcome[sample.seen == 1].mean())
    scalars["mde"] = (ndtri(0.975) + ndtri(0.8)) * table["std_error"].iloc[0]
    scalars |= _fit_scalars(sample, found)
    if sample.kind in BINARY:
        scalars["share_trimmed"] = share
        p = np.concatenate([r.propensity for r in found if r.propensity is not None])
        scalars["propensity_low"], scalars["propensity_high"] = p.min(), p.max()
    stages = [r.first_stage for r in found if r.first_stage is not None]
    if stages:
        scalars["first_stage_f"] = float(np.median(stages))
    if judged.key in found[0].nu2:
        scalars |= _sensitivity(found, table, judged.key)
    return {name: float(value) for name, value in scalars.items()}


def _treated(sample: Sample, request: Request) -> dict[str, float]:
    """Rows and units of a 0/1 treatment, and the mean outcome before it."""
    level = sample.treatments[sample.main].level
    if not np.isin(level, (0.0, 1.0)).all():
        return {}
    on = level == 1
    counted = {"n_treated_obs": float(on.sum())}
    if sample.unit is None or sample.time is None:
        return counted
    counted["n_treated_units"] = float(len(np.unique(sample.unit[on])))
    treatment = request.treatment
    if treatment is None or treatment.cohort is None or request.time is None:
        return counted
    # The sample's outcome has gone through the transform; the request's has not.
    cohort = request.frame[treatment.cohort].to_numpy(dtype=np.float64)
    time = request.frame[request.time].to_numpy(dtype=np.float64)
    before = np.isfinite(cohort) & (time < cohort)
    if before.any() and sample.n == sample.n_given:
        outcome = request.frame[request.outcome].to_numpy(dtype=np.float64)
        counted["outcome_mean_before"] = float(np.mean(outcome[before]))
    return counted


def split_scalars(theta: Sequence[float], errors: Sequence[float]) -> dict[str, float]:
    """What splits do to the judged estimate; (R,) estimates and standard errors."""
    scalars = {
        "std_error_sampling": float(np.median(errors)),
        "split_low": min(theta),
        "split_high": max(theta),
    }
    if len(theta) > 1:
        spread = float(np.std(theta, ddof=1)) / np.sqrt(len(theta))
        scalars["split_error"] = OF_THE_MEDIAN * spread
    return scalars


def _fit_scalars(sample: Sample, found: Sequence[Repetition]) -> dict[str, float]:
    """Mean out-of-fold R2 of the outcome, share of the treatment that is left."""
    outcome = f"'{sample.outcome_term}'"
    r2 = [
        c.value
        for r in found
        for c in r.checks
        # In either arm, where each is learned alone.
        if c.nuisance == outcome or c.nuisance.startswith(f"{outcome} where '")
    ]
    scalars: dict[str, float] = {}
    if r2:
        scalars["nuisance_r2_outcome"] = float(np.mean(r2))
    term = sample.treatments[0].term
    if term in found[0].left:
        scalars["treatment_residual_share"] = float(
            np.median([r.left[term] for r in found])
        )
    return scalars


def _middle(
    found: Sequence[Repetition], of: Literal["sigma2", "nu2"], key: str
) -> float:
    return float(np.median([getattr(r, of)[key] for r in found]))


def _sensitivity(
    found: Sequence[Repetition], table: pd.DataFrame, key: str
) -> dict[str, float]:
    sigma2, nu2 = _middle(found, "sigma2", key), _middle(found, "nu2", key)
    if not (sigma2 > 0 and nu2 > 0):
        return {}
    low, high = table["conf_low"].iloc[0], table["conf_high"].iloc[0]
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return {
        "robustness_value": robustness(table["estimate"].iloc[0], sigma2, nu2),
        "robustness_value_interval": robustness(nearest, sigma2, nu2),
    }


# -- what a reader has to know --------------------------------------------------------


def _split_notes(
    sample: Sample, plan: Plan, found: Sequence[Repetition], judged: Row
) -> list[str]:
    theta = [float(r.solved[judged.key].theta[judged.at]) for r in found]
    notes = said_of_splits(theta, plan.folds, "" if sample.by == "row" else sample.by)
    if sample.cluster is None and sample.by != "row":
        notes.append(
            f"folds keep each '{sample.by}' whole; the standard error takes rows as "
            "independent"
        )
    return notes


def said_of_splits(theta: Sequence[float], folds: int, by: str) -> list[str]:
    """How the sample was split and what it did to the judged estimate.

    Args:
        theta: the estimate of every split.
        folds: their number.
        by: what folds keep together; empty = rows.
    """
    groups = f"'{by}'" if by else "rows"
    if len(theta) == 1:
        notes = [f"one split into {folds} folds by {groups}"]
    else:
        said = f"median of {len(theta)} splits into {folds} folds by {groups}: "
        notes = [said + f"estimates from {min(theta):.4g} to {max(theta):.4g}"]
    if len(theta) < FEW_SPLITS:
        count = "one split shows" if len(theta) == 1 else f"{len(theta)} splits show"
        notes.append(
            f"{count} little of what splitting adds: repetitions: 5 or "
            "more, 10 in a final run"
        )
    return notes


def _weak(scalars: Mapping[str, float]) -> list[str]:
    """A note where instruments hardly move the treatment."""
    f = scalars.get("first_stage_f", np.inf)
    if f >= WEAK:
        return []
    said = (
        f"Weak instruments: the first-stage F is {f:.3g}, below {WEAK:g}; estimate and "
    )
    return [said + "interval can be far off, whatever their standard error"]


def _transform_notes(sample: Sample, plan: Plan) -> list[str]:
    notes = []
    names = {type(x).__name__ for x in (plan.outcome, plan.treatment)}
    if sample.transform in {"within", "two_way"} and not names <= set(LINEAR):
        others = ", ".join(sorted(names - set(LINEAR)))
        notes.append(
            f"transform {sample.transform} with {others}: a nonlinear function of the "
            "controls does not survive taking unit means, so unit effects are removed "
            "from a linear part only; correlated_random_effects and first_difference "
            "do without"
        )
    if sample.transform == "correlated_random_effects":
        notes.append(
            "unit effects are removed as far as the unit means of controls and "
            "treatment stand for them"
        )
    if sample.transform == "first_difference" and sample.absorbing:
        notes.append(
            "first differences of a treatment that stays on see the change in the first "
            "treated period only: effects that grow later are not in the estimate"
        )
    return notes


def _weights(
    sample: Sample, found: Sequence[Repetition]
) -> tuple[pd.DataFrame, dict[str, float], str] | None:
    """Which rows a pooled partially linear coefficient compares, staggered adoption.

    The coefficient is a sum of treated rows' effects with weights proportional to their
    residual treatment. Rows whose residual is negative are what it compares with; among
    them are rows that are treated already.
    """
    import pandas as pd

    residuals = [r.residual for r in found if r.residual is not None]
    if not residuals or sample.kind != "plr" or not sample.absorbing:
        return None
    if len(sample.treatments) > 1:
        return None  # several coefficients share the rows
    if sample.cohort is None or sample.time is None:
        return None
    if len(np.unique(sample.cohort[np.isfinite(sample.cohort)])) <= 1:
        return None
    v: Floats = np.mean(residuals, axis=0)
    treated = sample.treatments[sample.main].level > 0
    total = float(v[treated].sum())
    if not total > 0:
        return None
    held = pd.DataFrame(
        {
            "cohort": sample.cohort[treated].astype(np.int64),
            "period": sample.time[treated],
            "weight": v[treated] / total,
        }
    )
    cells = held.groupby(["cohort", "period"], as_index=False).agg(
        weight=("weight", "sum"), rows=("weight", "size")
    )
    negative = float(cells["weight"].clip(upper=0).abs().sum())
    compared = v < 0
    already = float(np.abs(v[compared & treated]).sum() / np.abs(v[compared]).sum())
    scalars = {"weight_negative": negative, "weight_already_treated": already}
    below = "no cell of cohort and period has a negative weight"
    if negative > 0:
        below = (
            f"cells of cohort and period with a negative weight sum to {-negative:.3g}"
        )
    note = (
        f"one coefficient over staggered adoption: {already:.1%} of what treated rows are "
        f"compared with is treated already, {below}"
    )
    return cells, scalars, note
