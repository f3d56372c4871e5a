"""What `interactive_fe` and `matrix_completion` report.

Both fit an outcome without treatment to the untreated rows (`_math.low_rank`) and
average what treated rows differ from it (Liu, Wang and Xu 2024).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from estimators._math.low_rank import STEPS, Completed, complete, largest
from estimators._math.projection import Codes, Flags, Floats
from estimators._math.two_way_fit import fit
from estimators._staggered.grid import Grid, effects_of_model, grid
from estimators._staggered.report import INDEX, Effect, Effects, result, shown
from framework.errors import (
    EstimandError,
    IdentificationError,
    NumericalError,
    Problem,
    counted,
)
from framework.result import Test

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request
    from framework.result import Result

#: A more flexible model has to lower the squared error of prediction by this share.
_BETTER = 0.01
#: Two-way residuals below this share of the outcome's spread are rounding.
_EXACT = 1e-12
#: Numbers of effects that are replicated: estimand and index.
Key = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class CounterfactualOptions:
    """Options as in `InteractiveFe` and `MatrixCompletion`.

    Attributes:
        kind: `rank`: the tuned number counts factors; `penalty`: it is lambda as a
            share of the largest singular value of the two-way residuals.
        value: as said by the study, None = cross-validated among `candidates`.
        candidates: from the least flexible.
    """

    kind: Literal["rank", "penalty"]
    value: float | None
    candidates: tuple[float, ...]
    pretrends: int
    bound: float
    window: tuple[int, int] | None
    always_treated: str | None


@dataclass(frozen=True, slots=True)
class _Sample:
    """Units and periods that are fitted; k regressors.

    Attributes:
        Y: (N, T).
        X: (k, N, T).
        untreated: (N, T) cells that are fitted.
        treated: (N, T) cells whose untreated outcome is imputed.
        relative: (N, T) event time.
        cohort: (N,); `periods` (T,); `cluster` (N,).
        ahead: periods of anticipation.
    """

    Y: Floats
    X: Floats
    untreated: Flags
    treated: Flags
    relative: Floats
    cohort: Floats
    periods: Codes
    cluster: Codes
    ahead: int

    def units(self, keep: Flags) -> _Sample:
        return replace(
            self,
            Y=self.Y[keep],
            X=self.X[:, keep],
            untreated=self.untreated[keep],
            treated=self.treated[keep],
            relative=self.relative[keep],
            cohort=self.cohort[keep],
            cluster=self.cluster[keep],
        )

    def lead(self, j: int, least: int, among: int) -> Flags:
        """Untreated cells j periods before effects may begin, to be held out.

        Only of units that keep `least` untreated cells without `among` of them.
        """
        long = self.untreated.sum(axis=1) - among >= least
        at = self.untreated & (self.relative == -self.ahead - j)
        return np.asarray(at & long[:, None])


@dataclass(frozen=True, slots=True)
class _Model:
    """The tuned model: factors, or lambda in units of the outcome.

    Attributes:
        size: standard deviation of the two-way residuals.
        least: untreated cells that a unit must keep when some are held out.
    """

    rank: int | None
    penalty: float
    size: float
    least: int


def counterfactual(
    request: Request, options: CounterfactualOptions, *, min_clusters: int
) -> Result:
    """Effects with jackknife errors, leads held out, tests of no effect before.

    Raises:
        DataError, IdentificationError: the guards of `grid`, E05, E10, E11, I05.
        NumericalError: N02 the iterations do not end.
    """
    effects_of_model(request)
    panel = grid(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    sample, first, notes = _sample(panel, options)
    size = float(np.sqrt(np.mean(np.square(_left(sample, first)[sample.untreated]))))
    if not size > _EXACT * float(np.std(sample.Y[sample.untreated])):
        raise NumericalError(
            "N02",
            "unit and period effects fit the untreated rows without any error",
            why="Nothing is left that factors could explain.",
            fix="`imputation`, which is exact here",
        )
    top = largest(np.where(sample.untreated, _left(sample, first), 0.0))
    value, scores = options.value, None
    if value is None:
        value, scores = _cross_validated(sample, first, options, size, top)
    model = _model(options, value, size, top)
    found, fits = _numbers(sample, model, options, None)
    draws = _left_out(sample, model, options, fits)
    rows, lost = _effects(panel, found, draws)
    tests, said = _tests(rows, options, size, panel)
    rows["by_event_time"] = shown(rows["by_event_time"], options.window)
    frames = {"imputed": _imputed(sample, fits[0])}
    if scores is not None:
        frames["tuning"] = scores
    spoken = _spoken(panel, options, value, scores is not None)
    return result(
        request,
        panel,
        Effects(
            rows=rows,
            reference=(),
            df_t=panel.n_clusters - 1.0,
            frames=frames,
            tests=tests,
            scalars={
                "n_factors" if options.kind == "rank" else "penalty": float(value),
                "residual_sd": _spread(sample, fits[0]),
            },
            notes=(*notes, *spoken, *lost, *said),
        ),
    )


# -- the sample ------------------------------------------------------------------------


def _sample(
    panel: Grid, options: CounterfactualOptions
) -> tuple[_Sample, Completed, list[str]]:
    """Periods and regressors that can be fitted, and the two-way fit to start from."""
    before = panel.seen & (panel.event_time < -panel.anticipation)
    treated = panel.seen & ~before
    floor = 0 if options.value is None else _rank(options, options.value)
    # One unit more than parameters, so that leaving one out leaves enough.
    wide = before.sum(axis=0) >= floor + 2
    notes = []
    untreated = before & wide
    first = fit(panel.Y, untreated.astype(np.float64), panel.X)
    known = treated & wide & first.identified()
    if not known.any():
        raise IdentificationError(
            "E10",
            "no treated row has an untreated outcome to be imputed from",
            why="It takes untreated rows of the same unit and, in the same period, "
            f"{floor + 2} untreated units.",
            fix="a longer panel, never-treated units, or fewer factors",
        )
    gone = treated & ~known
    if gone.any():
        listed = ", ".join(
            str(p) for p in panel.periods[np.flatnonzero(gone.any(axis=0))]
        )
        notes.append(
            f"{counted(int(gone.sum()), 'treated row')} (periods {listed}) can't be "
            "imputed: fewer "
            f"than {floor + 2} untreated units there, or none that links them."
        )
    lost = [c for j, c in enumerate(panel.controls) if j not in first.kept]
    if lost:
        notes.append(
            f"Left out: {', '.join(repr(c) for c in lost)}: among the untreated rows "
            "the unit and period effects (or other controls) explain it."
        )
    problems = list(_short(panel, untreated, floor))
    if problems:
        raise EstimandError(problems)
    # Without units of which nothing is fitted (never seen where others are).
    units = untreated.any(axis=1)
    sample = _Sample(
        Y=panel.Y[:, wide],
        X=first.X[:, :, wide],
        untreated=untreated[:, wide],
        treated=known[:, wide],
        relative=panel.event_time[:, wide],
        cohort=panel.cohort,
        periods=panel.periods[wide],
        cluster=panel.cluster,
        ahead=panel.anticipation,
    )
    start = Completed(first.predict()[:, wide], first.beta, np.zeros(sample.Y.shape), 0)
    if units.all():
        return sample, start, notes
    return sample.units(units), _some(start, units), notes


def _rank(options: CounterfactualOptions, value: float) -> int:
    return int(value) if options.kind == "rank" else 0


def _short(panel: Grid, untreated: Flags, floor: int) -> Iterator[Problem]:
    """Treated units with fewer untreated periods than their parameters."""
    n = untreated.sum(axis=1)
    on = np.isfinite(panel.cohort)
    short = on & (n < floor + 1)
    if short.any():
        yield from IdentificationError(
            "E05",
            f"{counted(int(short.sum()), 'treated unit has', 'treated units have')} "
            f"fewer than {floor + 1} untreated "
            f"periods (the fewest: {int(n[on].min())})",
            why=f"A unit's own effect and its loadings on {floor} factors are fitted to "
            "its untreated periods.",
            fix="fewer factors (estimator.factors), a longer panel, or a sample without "
            "these units",
            path="model.estimator.factors",
        ).problems


def _some(fitted: Completed, units: Flags) -> Completed:
    return replace(fitted, fitted=fitted.fitted[units], L=fitted.L[units])


def _left(sample: _Sample, fitted: Completed) -> Floats:
    """(N, T) outcome less what is fitted."""
    explained = fitted.fitted
    for x, beta in zip(sample.X, fitted.beta, strict=True):
        explained = explained + beta * x
    return np.asarray(sample.Y - explained)


# -- tuning ----------------------------------------------------------------------------


def _model(
    options: CounterfactualOptions, value: float, size: float, top: float
) -> _Model:
    if options.kind == "rank":
        return _Model(int(value), 0.0, size, int(value) + 2)
    return _Model(None, float(value) * top, size, 2)


def _solved(
    sample: _Sample, cells: Flags, model: _Model, start: Completed
) -> Completed:
    if model.rank == 0:
        return _two_way(sample, cells)
    return complete(
        sample.Y,
        cells,
        sample.X,
        start,
        rank=model.rank,
        penalty=model.penalty,
        size=model.size,
    )


def _cross_validated(
    sample: _Sample,
    first: Completed,
    options: CounterfactualOptions,
    size: float,
    top: float,
) -> tuple[float, pd.DataFrame]:
    """The tuned number with the smallest squared error in periods held out.

    Of every treated unit one untreated period at a time is held out, counted back from
    treatment (Xu 2017, Algorithm 1): nothing is drawn.
    """
    import pandas as pd

    shortest = int(sample.untreated[sample.treated.any(axis=1)].sum(axis=1).min())
    fewest = int(sample.untreated.sum(axis=0).min())
    candidates = options.candidates
    if options.kind == "rank":
        most = max(0, min(shortest - 1, fewest - 2))
        candidates = tuple(c for c in candidates if c <= most)
    masks: list[Flags] = []
    while candidates and not masks:
        # The same cells for all: of units that are long enough for the last candidate.
        least = _model(options, candidates[-1], size, top).least
        leads = [sample.lead(j, least, 1) for j in range(1, options.pretrends + 1)]
        masks = [held for held in leads if held.any()]
        if not masks:
            candidates = candidates[:-1]
    if not masks:
        raise IdentificationError(
            "E05",
            "cross-validation has no untreated period of a treated unit to hold out",
            why="Each needs another untreated period to be predicted from.",
            fix="say estimator.factors or estimator.penalty",
        )
    errors = []
    for candidate in candidates:
        model = _model(options, candidate, size, top)
        total = 0.0
        for held in masks:
            fitted = _solved(sample, sample.untreated & ~held, model, first)
            missed = np.square(_left(sample, fitted)[held]).sum()
            total += missed if fitted.steps <= STEPS else np.inf
        errors.append(total / sum(int(held.sum()) for held in masks))
    best = 0
    for at, error in enumerate(errors):
        if error < (1.0 - _BETTER) * errors[best]:
            best = at
    name = "n_factors" if options.kind == "rank" else "penalty"
    table = pd.DataFrame({name: candidates, "mspe": errors})
    table["chosen"] = np.arange(len(errors)) == best
    return float(candidates[best]), table


# -- estimates and their replicates ----------------------------------------------------


def _numbers(
    sample: _Sample,
    model: _Model,
    options: CounterfactualOptions,
    starts: Sequence[Completed] | None,
) -> tuple[dict[Key, float], list[Completed]]:
    """All numbers, and the fits: of all untreated cells, then without each lead.

    Raises:
        NumericalError: N02 the iterations do not end.
    """
    P = options.pretrends
    leads = [sample.lead(j, model.least, 1) for j in range(1, P + 1)]
    together = np.zeros_like(sample.untreated)
    for j in range(1, P + 1):
        together |= sample.lead(j, model.least, P)
    held = [np.zeros_like(together), *leads, together]
    fits: list[Completed] = []
    found: dict[Key, float] = {}
    for at, cells in enumerate(held):
        begin = (
            starts[at] if starts else (fits or [_two_way(sample, sample.untreated)])[0]
        )
        if at and not cells.any():
            fits.append(begin)
            continue
        fitted = _solved(sample, sample.untreated & ~cells, model, begin)
        if fitted.steps > STEPS:
            raise NumericalError(
                "N02",
                f"the iterations do not end after {STEPS:,} steps",
                why="More is estimated than the untreated rows can tell.",
                fix="fewer factors"
                if options.kind == "rank"
                else "a larger estimator.penalty",
            )
        fits.append(fitted)
        left = _left(sample, fitted)
        if not at:
            found |= _averages(sample, left)
        elif at <= P:
            found["by_event_time", -sample.ahead - at] = float(left[cells].mean())
        else:
            found["placebo", None] = float(left[cells].mean())
    return found, fits


def _two_way(sample: _Sample, cells: Flags) -> Completed:
    first = fit(sample.Y, cells.astype(np.float64), sample.X)
    beta = np.zeros(len(sample.X))
    beta[first.kept] = first.beta
    return Completed(first.predict(), beta, np.zeros(sample.Y.shape), 0)


def _averages(sample: _Sample, left: Floats) -> dict[Key, float]:
    found: dict[Key, float] = {}
    unit, t = np.nonzero(sample.treated)
    effect = left[unit, t]
    event = sample.relative[unit, t].astype(np.int64)
    after = event >= 0
    if after.any():
        found["att", None] = float(effect[after].mean())
    for kind, at in (
        ("by_event_time", event),
        ("by_cohort", sample.cohort[unit]),
        ("by_period", sample.periods[t]),
    ):
        some = after if kind != "by_event_time" else np.ones_like(after)
        for level in np.unique(at[some]):
            chosen = some & (at == level)
            found[kind, int(level)] = float(effect[chosen].mean())
    return found


def _left_out(
    sample: _Sample,
    model: _Model,
    options: CounterfactualOptions,
    fits: Sequence[Completed],
) -> list[dict[Key, float]]:
    """The numbers without each cluster, the tuned number held."""
    found: list[dict[Key, float]] = []
    for c in range(int(sample.cluster.max()) + 1):
        keep = sample.cluster != c
        some = sample.units(keep)
        if keep.all() or not some.treated.any() or not some.untreated.any(axis=0).all():
            found.append({})
            continue
        starts = [_some(one, keep) for one in fits]
        found.append(_numbers(some, model, options, starts)[0])
    return found


def _effects(
    panel: Grid, found: dict[Key, float], draws: Sequence[dict[Key, float]]
) -> tuple[dict[str, list[Effect]], list[str]]:
    """Numbers with the jackknife's deviations; those that rest on one cluster go."""
    C = panel.n_clusters
    rows: dict[str, list[Effect]] = {k: [] for k in ("att", "placebo", *INDEX)}
    lost = []
    for key in sorted(found, key=lambda k: (k[0], k[1] or 0)):
        kind, at = key
        without = np.array([one.get(key, np.nan) for one in draws])
        if not np.isfinite(without).all():
            lost.append(f"{kind} {at}" if at is not None else kind)
            continue
        psi = -np.sqrt((C - 1) / C) * (without - without.mean())
        rows[kind].append(Effect(found[key], psi, at))
    if not lost:
        return rows, []
    if not rows["att"]:
        raise IdentificationError(
            "I05",
            "the effect can't be estimated without one of the clusters",
            why="The jackknife leaves out one cluster at a time.",
            fix="cluster by a finer column, or more untreated units in every period",
        )
    note = f"Left out, as they rest on one cluster: {', '.join(lost)}."
    return rows, [note]


# -- what is said ----------------------------------------------------------------------


def _tests(
    rows: dict[str, list[Effect]],
    options: CounterfactualOptions,
    size: float,
    panel: Grid,
) -> tuple[tuple[Test, ...], list[str]]:
    """Leads held out together: no effect, and (TOST) not a relevant one."""
    from scipy.special import stdtr

    P = options.pretrends
    null = f"no effect in the {P} periods before treatment, held out together"
    bound = options.bound * size
    relevant = f"the mean effect held out before treatment is {bound:.4g} or more"
    if not rows["placebo"]:
        why = "no treated unit has untreated periods to spare"
        return (
            Test("placebo_leads", null, reason=why),
            Test("equivalence", relevant, reason=why),
        ), []
    (effect,) = rows["placebo"]
    df = panel.n_clusters - 1.0
    t = effect.estimate / effect.std_error
    inside = (bound - abs(effect.estimate)) / effect.std_error
    tests = (
        Test("placebo_leads", null, t, f"{df:g}", float(2 * stdtr(df, -abs(t)))),
        Test("equivalence", relevant, inside, f"{df:g}", float(stdtr(df, -inside))),
    )
    note = (
        f"Mean effect of the {P} periods before treatment, held out together: "
        f"{effect.estimate:.4g} ({effect.std_error:.4g}); equivalence is tested within "
        f"{bound:.4g} ({options.bound:g} standard deviations of the two-way residuals)."
    )
    return tests, [note]


def _spoken(
    panel: Grid, options: CounterfactualOptions, value: float, tuned: bool
) -> Iterator[str]:
    how = "cross-validated (frame tuning)" if tuned else "as said"
    if options.kind == "rank":
        yield f"{value:.0f} factors beside unit and period effects, {how}."
    else:
        yield (
            f"Penalty of {value:.3g} of the largest singular value of the two-way "
            f"residuals, {how}."
        )
    if options.pretrends:
        yield (
            "Effects before treatment are errors of prediction in untreated periods "
            "that were held out one at a time."
        )
    what = "number of factors" if options.kind == "rank" else "penalty"
    yield (
        f"Jackknife standard errors over {counted(panel.n_clusters, 'cluster')} of "
        f"'{panel.cluster_term}', the {what} held fixed."
    )


def _spread(sample: _Sample, fitted: Completed) -> float:
    left = _left(sample, fitted)[sample.untreated]
    return float(np.sqrt(np.mean(np.square(left))))


def _imputed(sample: _Sample, fitted: Completed) -> pd.DataFrame:
    """Mean effect and rows by cohort and period."""
    import pandas as pd

    unit, t = np.nonzero(sample.treated)
    frame = pd.DataFrame(
        {
            "cohort": sample.cohort[unit].astype(np.int64),
            "period": sample.periods[t],
            "event_time": sample.relative[unit, t].astype(np.int64),
            "estimate": _left(sample, fitted)[unit, t],
        }
    )
    grouped = frame.groupby(["cohort", "period", "event_time"], sort=True)["estimate"]
    return grouped.agg(estimate="mean", n_obs="size").reset_index()
