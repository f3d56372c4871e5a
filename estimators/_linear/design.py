"""From a request to guarded arrays: what goes into the least-squares fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._math.projection import (
    Codes,
    Flags,
    Floats,
    SlopeTerm,
    binary_scale,
    contiguous,
    nested,
    not_singleton,
)
from framework.errors import (
    DataError,
    EstimandError,
    IdentificationError,
    Problem,
    counted,
)

if TYPE_CHECKING:
    from framework.contract import Request

#: Fewest treated clusters (units, rows) whose interval is reported unasked. Measured
#: coverage of a nominal 95 % interval: 28 % with one treated of 40, 68 % with two,
#: 88 % with five, 94 % with twenty.
FEW_TREATED, SOME_TREATED = 5, 20
_TOO_RARELY = (
    "With so few treated the interval covers far too rarely (28 % with one, 68 % with "
    "two, where it says 95 %)."
)
#: Below it Driscoll-Kraay errors come with a warning. Measured coverage of nominal 95 %
#: intervals (50 units, staggered treatment, errors that persist with rho = .5): .85 with
#: 10 periods, .83 with 30, .87 with 50, .89 with 200; clustered by unit .95 to .98.
SOME_PERIODS = 50
#: Fewest clusters of a wild bootstrap: with five, p has 16 values, one above 5 %.
FEW_BOOTSTRAPPED = 6


@dataclass(frozen=True, slots=True)
class Regressor:
    """One column of the regression and how its coefficient is reported.

    Attributes:
        values: (n,) in the user's units.
        term: the user's name.
        estimand: glossary name of its coefficient.
        wanted: the estimation is refused, never silently changed, if it can't be
            identified; other regressors are then left out with a note.
        order: lead (negative) or lag, `event_time`: periods since first treatment.
        shown: False for coefficients that are estimated but kept out of the rows.
    """

    values: Floats
    term: str
    estimand: str = "coefficient"
    wanted: bool = False
    order: int | None = None
    event_time: int | None = None
    shown: bool = True

    @property
    def name(self) -> str:
        """How messages call it."""
        if self.event_time is not None:
            return f"{self.term} at event time {self.event_time}"
        if self.order is not None and self.order < 0:
            return f"lead {-self.order} of {self.term}"
        if self.order is not None:
            return f"lag {self.order} of {self.term}"
        return self.term


@dataclass(frozen=True, slots=True)
class Factor:
    """A categorical column: `codes` (n,) in 0..n_levels-1, `ids` (n_levels,)."""

    term: str
    codes: Codes
    n_levels: int
    ids: Any = None


@dataclass(frozen=True, slots=True)
class Design:
    """Everything the fit needs, row by row, singletons removed.

    Attributes:
        outcome: (n,).
        regressors: judged treatment first.
        weights: (n,) or None; `weight_kind` as in the request.
        places: (n, 2) latitude and longitude in degrees, where errors need them.
        rows: positions of the rows in `Request.frame`.
        row_ids: what names the rows in every sample of the same data.
        treatment: (n,) values of the main treatment column, None without one.
        cohort: (n,) first treated period, inf = never; None where unknown.
    """

    outcome: Floats
    outcome_term: str
    regressors: tuple[Regressor, ...]
    fixed_effects: tuple[Factor, ...]
    slopes: tuple[SlopeTerm, ...]
    slope_terms: tuple[str, ...]
    clusters: tuple[Factor, ...]
    weights: Floats | None
    weight_kind: str
    unit: Factor | None
    time: Codes | None
    rows: Codes
    row_ids: Codes
    treatment: Floats | None
    binary: bool
    cohort: Floats | None
    n_singletons: int
    places: Floats | None = None
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.outcome)

    @property
    def has_constant(self) -> bool:
        """Nothing that is absorbed spans a constant, so one is estimated."""
        return not self.fixed_effects and not self.slopes

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(f.n_levels for f in self.fixed_effects)

    @property
    def n_parameters(self) -> int:
        """Regressors, levels and slopes; upper bound of the rank."""
        effects = sum(self.levels) - max(len(self.levels) - 1, 0)
        constant = 0 if self.fixed_effects else 1
        slopes = sum(s.n_levels for s in self.slopes)
        return len(self.regressors) + effects + constant + slopes

    @property
    def periods(self) -> Codes:
        """Calendar period (n,)."""
        if self.time is None:
            raise _no_periods()
        return self.time

    @property
    def unit_codes(self) -> Codes:
        """Unit (n,); a single time series is one unit."""
        if self.unit is None:
            return np.zeros(self.n, dtype=np.int64)
        return self.unit.codes

    @property
    def n_copies(self) -> float:
        """Rows, or the copies that frequency weights stand for."""
        if self.weight_kind == "frequency":
            return float(self.scaled_weights().sum())
        return float(self.n)

    def scaled_weights(self) -> Floats:
        """Weights (n,): ones, copies, or over a power of two near their size."""
        if self.weights is None:
            return np.ones(self.n)
        if self.weight_kind == "frequency":
            return self.weights
        return self.weights / binary_scale(self.weights)

    def without(self, omitted: Sequence[int], notes: Sequence[str]) -> Design:
        """The design without these regressors (positions), with notes saying so."""
        gone = set(omitted)
        return replace(
            self,
            regressors=tuple(r for i, r in enumerate(self.regressors) if i not in gone),
            notes=(*self.notes, *notes),
        )


def label(request: Request, alias: str) -> str:
    """The user's name of a column."""
    return str(request.labels.get(alias, alias))


def treatment_regressors(request: Request) -> list[Regressor]:
    """Judged columns, then the other treatment columns, in that order.

    A 0/1 treatment that is absorbing or in a cross-section has estimand `att`, an
    interaction `interaction`, all else `coefficient`.
    """
    treatment = request.treatment
    if treatment is None:
        return []
    effect = (
        "att"
        if treatment.kind in {"absorbing", "cross_section"}
        and request.estimand[:1] != ("coefficient",)
        else "coefficient"
    )
    judged = treatment.judged or treatment.columns
    rest = tuple(c for c in treatment.columns if c not in judged)
    found = []
    for column in (*judged, *rest):
        values = _floats(request, column)
        own = column in treatment.columns
        kind = effect if own else "interaction"
        if kind == "att" and not _zero_one(values):
            kind = "coefficient"
        found.append(
            Regressor(values, label(request, column), kind, wanted=column in judged)
        )
    return found


def control_regressors(request: Request) -> list[Regressor]:
    """The controls, except columns that already stand among the treatment's."""
    treatment = request.treatment
    taken: set[str] = set()
    if treatment is not None:
        taken = {*treatment.columns, *treatment.judged}
    return [
        Regressor(_floats(request, c), label(request, c))
        for c in dict.fromkeys(request.controls)
        if c not in taken
    ]


def build(
    request: Request,
    regressors: Sequence[Regressor],
    *,
    keep: Flags | None = None,
    notes: Sequence[str] = (),
    min_clusters: int = 10,
) -> Design:
    """Arrays of the request with `regressors`, guarded; the engine can't crash on it.

    Args:
        request: the estimation.
        regressors: columns over all rows of `request.frame`.
        keep: rows to use (n,), all if None.
        notes: sentences to carry.
        min_clusters: fewest clusters accepted without `acknowledge: few_clusters`.

    Raises:
        DataError: D05 too few rows, D06 constant outcome, D03 bad weights, D08 not
            finite.
        IdentificationError: I01 constant treatment, I05 clusters, I08 few treated.
    """
    frame = request.frame
    n_all = len(frame)
    effects = [
        contiguous(_codes(request, c))[0] for c in dict.fromkeys(request.fixed_effects)
    ]
    rows = np.arange(n_all) if keep is None else np.flatnonzero(keep)
    if not len(rows):
        raise DataError(
            "D05",
            f"0 rows left of {n_all}",
            why="There is nothing to estimate from.",
            fix="see the row ledger: which step or restriction removed them",
        )
    n_before = len(rows)
    if effects:
        rows = rows[not_singleton([e[rows] for e in effects])]
    n_singletons = n_before - len(rows)
    if not len(rows):
        names = ", ".join(f"'{label(request, c)}'" for c in request.fixed_effects)
        raise DataError(
            "D05",
            f"all {n_before} rows are alone in a level of {names}",
            why="Fixed effects fit such rows perfectly; nothing is left to estimate.",
            fix="use coarser fixed effects, or check the panel's unit and time",
        )
    whole = len(rows) == n_all

    def take(values: Any) -> Any:
        return values if whole else values[rows]

    design = Design(
        outcome=take(_floats(request, request.outcome)),
        outcome_term=label(request, request.outcome),
        regressors=tuple(
            regressors
            if whole
            else [replace(r, values=r.values[rows]) for r in regressors]
        ),
        fixed_effects=tuple(
            _factor(request, c, rows) for c in dict.fromkeys(request.fixed_effects)
        ),
        slopes=tuple(
            SlopeTerm(
                take(_floats(request, s.variable)),
                *contiguous(_codes(request, s.by)[rows]),
            )
            for s in request.slopes
        ),
        slope_terms=tuple(
            f"{label(request, s.variable)} by {label(request, s.by)}"
            for s in request.slopes
        ),
        clusters=tuple(_factor(request, c, rows) for c in request.inference.clusters),
        weights=_weights(request, rows),
        weight_kind=request.weights.kind if request.weights else "",
        unit=_factor(request, request.unit, rows) if request.unit else None,
        time=_codes(request, request.time)[rows] if request.time else None,
        rows=rows,
        row_ids=rows if request.rows is None else request.rows[rows],
        treatment=(
            take(_floats(request, request.treatment.columns[0]))
            if request.treatment
            else None
        ),
        binary=False,
        cohort=(
            take(_floats(request, request.treatment.cohort))
            if request.treatment and request.treatment.cohort
            else None
        ),
        n_singletons=n_singletons,
        places=_places(request, rows),
        notes=tuple(notes),
    )
    if design.treatment is not None:
        design = replace(design, binary=_zero_one(design.treatment))
    return _guard(request, design, min_clusters)


def _no_periods() -> IdentificationError:
    return IdentificationError(
        "I10",
        "this needs a period for every row, and the data have none",
        fix="data.panel: {unit: …, time: …}, or another inference",
    )


def _guard(request: Request, design: Design, min_clusters: int) -> Design:
    """All refusals of the design at once, then its notes."""
    problems = [*_not_finite(design), *_too_few_rows(design), *_weights_unfit(design)]
    problems += _constant(design)
    problems += _inference_unfit(request, design)
    if not problems:
        problems += _few_clusters(request, design, min_clusters)
        problems += _few_treated(request, design, min_clusters)
    if problems:
        raise EstimandError(problems)
    notes = _notes(design, request.inference.name)
    if design.binary and request.inference.name != "ferman_pinto":
        notes += [
            f"{said}: the interaction's standard error is too small by far."
            for said in _few_on_a_side(request, design)
        ]
    return replace(design, notes=(*design.notes, *notes))


def _not_finite(design: Design) -> Iterator[Problem]:
    columns = [(design.outcome_term, design.outcome)]
    columns += [(r.name, r.values) for r in design.regressors]
    for name, values in columns:
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            yield from DataError(
                "D08",
                f"'{name}' is missing or infinite in {bad} of {design.n} rows",
                why="The engine would drop these rows without a word.",
                fix="data.missing: drop, or a step that fills or filters them",
            ).problems


def _too_few_rows(design: Design) -> Iterator[Problem]:
    if design.n <= design.n_parameters:
        yield from DataError(
            "D05",
            f"{counted(design.n, 'row')} for {design.n_parameters} parameters "
            f"({len(design.regressors)} regressors, fixed effects with "
            f"{sum(design.levels)} levels)",
            why="A regression needs more rows than parameters.",
            fix="use more rows, fewer controls or coarser fixed effects",
        ).problems


def _constant(design: Design) -> Iterator[Problem]:
    if np.ptp(design.outcome) == 0:
        yield from DataError(
            "D06",
            f"outcome '{design.outcome_term}' is constant "
            f"({design.outcome[0]:.6g} in all {design.n} rows)",
            why="Every coefficient would be zero with a standard error of zero.",
            fix="check how the outcome is built and which rows the sample keeps",
        ).problems
    for r in design.regressors:
        if r.wanted and np.ptp(r.values) == 0:
            yield from IdentificationError(
                "I01",
                f"'{r.name}' does not vary in the estimation sample "
                f"(all {r.values[0]:.6g})",
                why="Without treated and untreated rows there is no effect to see.",
                fix="see the row ledger: the sample may have lost one of the groups",
            ).problems


def _weights_unfit(design: Design) -> Iterator[Problem]:
    if design.weights is None:
        return
    bad = ~(np.isfinite(design.weights) & (design.weights > 0))
    if bad.any():
        yield from DataError(
            "D03",
            f"the weight is zero, negative or missing in {counted(int(bad.sum()), 'row')}",
            fix="keep the rows with a positive weight (model.sample)",
        ).problems
    elif design.weight_kind == "frequency" and np.any(np.mod(design.weights, 1) != 0):
        yield from DataError(
            "D03",
            "frequency weights that are not whole numbers",
            why="A frequency weight says how many copies of a row there are.",
            fix="weights: {analytic: …} or {probability: …}",
        ).problems


def _inference_unfit(request: Request, design: Design) -> Iterator[Problem]:
    name = request.inference.name
    if design.weight_kind == "probability" and name == "iid":
        yield from IdentificationError(
            "I09",
            "sampling weights with inference iid",
            why="Weighted errors are not homoskedastic, so this standard error "
            "would be wrong.",
            fix="inference: hetero, or {cluster: …}",
        ).problems
    if name == "conley":
        yield from _places_unfit(request, design)
    jackknife = name == "cluster" and request.inference.options.get("type") == "CV3"
    if jackknife and len(design.clusters) != 1:
        yield from IdentificationError(
            "I09",
            f"the cluster jackknife (CV3) by {len(design.clusters)} clusterings",
            why="It leaves out one cluster at a time, of one clustering.",
            fix="inference: {cluster: {by: the coarser one, type: CV3}}",
        ).problems
    if name in {"wild_bootstrap", "ferman_pinto"} and len(design.clusters) != 1:
        yield from IdentificationError(
            "I09",
            f"{name} by {len(design.clusters)} clusterings",
            why="One multiplier or donor is drawn per cluster, of one clustering.",
            fix=f"inference: {{{name}: the coarser one}}",
        ).problems
    if name == "ferman_pinto" and design.time is None:
        yield from _no_periods().problems
    if name not in {"newey_west", "driscoll_kraay"}:
        return
    if design.time is None:
        yield from _no_periods().problems
    elif name == "newey_west" or design.unit is not None:
        cell = design.unit_codes * (np.ptp(design.time) + 1) + (
            design.time - design.time.min()
        )
        if len(np.unique(cell)) < design.n:
            yield from IdentificationError(
                "I09",
                f"{name} needs one row per unit and period",
                why="Serial correlation is not defined between rows of one period.",
                fix="inference: {cluster: …}",
            ).problems
    if design.time is not None:
        lags, periods = request.inference.options.get("lags"), np.ptp(design.time) + 1
        if lags is not None and lags >= periods:
            yield from IdentificationError(
                "I09",
                f"{lags} lags in {name} and {counted(int(periods), 'period')}",
                why="No rows are so far apart; with all lags weighted alike the scores "
                "of the fit sum to zero, and so does the standard error.",
                fix=f"fewer than {periods} lags; a fourth of the periods is many",
            ).problems


def _places_unfit(request: Request, design: Design) -> Iterator[Problem]:
    if design.places is not None:
        for alias, values, bound in zip(
            request.inference.places, design.places.T, (90.0, 360.0), strict=True
        ):
            off = int(np.count_nonzero(~(np.abs(values) <= bound)))
            if off:
                yield from DataError(
                    "D03",
                    f"'{label(request, alias)}' is beyond {bound:g} degrees in {off} "
                    "rows",
                    why="Distances are those on the globe.",
                    fix="columns in degrees: inference: {conley: {latitude: …, "
                    "longitude: …}}",
                ).problems
    if design.weight_kind == "frequency":
        yield from IdentificationError(
            "I09",
            "conley with frequency weights",
            why="Copies of a row stand in one place, so they would not be independent.",
            fix="weights: {analytic: …}, or the rows themselves",
        ).problems
    if not request.inference.options.get("lags"):
        return
    if design.time is None or design.unit is None:
        yield from IdentificationError(
            "I09",
            "conley with lags, and rows without a unit and a period",
            why="Lags are those of a unit's own past.",
            fix="inference.lags: 0, or data.panel: {unit: …, time: …}",
        ).problems


def _few_clusters(request: Request, design: Design, fewest: int) -> Iterator[Problem]:
    acknowledged = "few_clusters" in request.acknowledge
    bootstrap = request.inference.name == "wild_bootstrap"
    if bootstrap:
        fewest = min(fewest, FEW_BOOTSTRAPPED)
    for factor in design.clusters:
        if factor.n_levels == 1:
            yield from IdentificationError(
                "I05",
                f"1 cluster of '{factor.term}' in the sample",
                why="The variance between clusters can't be seen in one cluster.",
                fix="cluster by a column with more values",
            ).problems
        elif factor.n_levels < fewest and not acknowledged:
            yield from IdentificationError(
                "I05",
                f"{counted(factor.n_levels, 'cluster')} of '{factor.term}' (fewer than "
                f"{fewest})",
                why="The bootstrap has too few distinct draws."
                if bootstrap
                else "Cluster-robust standard errors are far too small with few "
                "clusters.",
                fix="draws: {permute: treatment, times: 500}"
                if bootstrap
                else "inference: {wild_bootstrap: …}, or draws: {permute: treatment, "
                "times: 500}, or cluster at a level with more values",
                acknowledge="few_clusters",
            ).problems
    if request.inference.name == "driscoll_kraay" and not acknowledged:
        periods = contiguous(design.periods)[1]
        if periods < fewest:
            yield from IdentificationError(
                "I05",
                f"{counted(periods, 'period')} for Driscoll-Kraay errors (fewer than "
                f"{fewest})",
                why="They are consistent as periods grow, not units.",
                fix="inference: {cluster: …}",
                acknowledge="few_clusters",
            ).problems


def treated_groups(design: Design, among: Flags | None = None) -> tuple[int, int, str]:
    """Treated and all groups whose number carries inference, and what they are.

    Args:
        design: the estimation.
        among: count the treated in these rows (n,) only.
    """
    if design.treatment is None:
        return 0, 0, "rows"
    on = design.treatment != 0
    if among is not None:
        on &= among
    if design.clusters:
        smallest = min(design.clusters, key=lambda f: _occupied(f.codes, on))
        return _occupied(smallest.codes, on), smallest.n_levels, "clusters"
    if design.unit is not None:
        return _occupied(design.unit.codes, on), design.unit.n_levels, "units"
    return int(on.sum()), design.n, "rows"


def _occupied(codes: Codes, on: Flags) -> int:
    return int(np.count_nonzero(np.bincount(codes[on])))


def _few_treated(request: Request, design: Design, fewest: int) -> Iterator[Problem]:
    if not design.binary or "few_treated" in request.acknowledge:
        return
    treated, of, what = treated_groups(design)
    if request.inference.name == "ferman_pinto":
        if of - treated < fewest <= of:
            yield from IdentificationError(
                "I05",
                f"{of - treated} untreated {what} of {of} (fewer than {fewest})",
                why="Their residuals stand for those of the treated; with few of them "
                "the draws know little.",
                fix="more untreated clusters, or a permutation of the treatment",
                acknowledge="few_treated",
            ).problems
        return
    # With few groups in all, I05 has spoken.
    if of < fewest:
        return
    if treated < FEW_TREATED:
        yield from IdentificationError(
            "I08",
            f"{counted(treated, f'treated {what[:-1]}')} of {of} (fewer than {FEW_TREATED})",
            why=_TOO_RARELY,
            fix="inference: {ferman_pinto: …}, a synthetic control, or the p value of "
            "draws: {permute: treatment, times: 500} with this acknowledged",
            acknowledge="few_treated",
        ).problems
        return
    for said in _few_on_a_side(request, design):
        yield from IdentificationError(
            "I08",
            f"{said} (fewer than {FEW_TREATED})",
            why=_TOO_RARELY,
            fix="a moderator that more of the treated share, or the p value of "
            "draws: {permute: treatment, times: 500} with this acknowledged",
            path="model.interact",
            acknowledge="few_treated",
        ).problems


def _few_on_a_side(request: Request, design: Design) -> Iterator[str]:
    """`3 treated clusters of 18 where 'd × large' is 0`, for each that is too small."""
    treated = treated_groups(design)[0]
    for where, rows in _sides(request, design):
        held, _, what = treated_groups(design, rows)
        if held < FEW_TREATED:
            yield f"{counted(held, f'treated {what[:-1]}')} of {treated} where {where}"


def _sides(request: Request, design: Design) -> Iterator[tuple[str, Flags]]:
    """What interactions compare: rows (n,) of each group of treated, and its name.

    Nothing where a moderator is no group: it has more than two values where treated.
    Products of further treatments are none of the first one's, whose groups are counted.
    """
    on = design.treatment != 0
    products = [
        r
        for r in design.regressors
        if r.estimand == "interaction" and not r.values[~on].any()
    ]
    ends = {r.term: np.unique(r.values[on]) for r in products}
    if not products or any(len(values) != 2 for values in ends.values()):  # noqa: PLR2004 - the two groups of a 0/1 moderator
        return
    first = np.ones(design.n, dtype=bool)
    for product in products:
        low, high = ends[product.term]
        yield f"'{product.term}' is {high:g}", product.values == high
        first &= product.values == low
    # Without the main effect the product is no difference to the others.
    if request.treatment is not None and request.treatment.moderators:
        lowest = ", ".join(f"'{r.term}' is {ends[r.term][0]:g}" for r in products)
        yield lowest, first


def _notes(design: Design, inference: str) -> list[str]:
    notes = []
    if design.n_singletons:
        notes.append(
            f"{design.n_singletons} row{'s' * (design.n_singletons != 1)} alone in a "
            f"fixed-effect level left out."
        )
    notes += [
        f"Every row is its own cluster of '{factor.term}': these are "
        "heteroskedasticity-robust errors (I07)."
        for factor in design.clusters
        if factor.n_levels == design.n
    ]
    if (
        len(design.clusters) == 1
        and design.unit is not None
        and design.clusters[0].n_levels < design.n
        and not nested(design.unit.codes, design.clusters[0].codes)
    ):
        notes.append(
            f"Clusters of '{design.clusters[0].term}' split units: errors of a unit "
            "are taken as independent across clusters."
        )
    if design.binary:
        treated, of, what = treated_groups(design)
        if treated < SOME_TREATED and inference != "ferman_pinto":
            notes.append(
                f"{counted(treated, f'treated {what[:-1]}')} of {of}: standard errors "
                "are too "
                "small with few treated; read them beside a permutation of the treatment."
            )
            if inference == "wild_bootstrap":
                notes.append(
                    "With few treated clusters the bootstrap rejects too rarely with "
                    "the null imposed, and too often without (MacKinnon and Webb 2017)."
                )
    if inference == "driscoll_kraay":
        periods = contiguous(design.periods)[1]
        if periods < SOME_PERIODS:
            notes.append(
                f"Driscoll-Kraay errors rest on {counted(periods, 'period')}: with few "
                "of them and "
                "errors that persist they are too small, however many units there are."
            )
    if design.weight_kind == "frequency":
        notes.append(
            f"Frequency weights: {counted(design.n, 'row stands', 'rows stand')} for "
            f"{design.n_copies:.0f} observations."
        )
    return notes


def _zero_one(values: Floats) -> bool:
    return bool(np.all((values == 0) | (values == 1)))


def _floats(request: Request, alias: str) -> Floats:
    return request.frame[alias].to_numpy(dtype=np.float64)


def _codes(request: Request, alias: str) -> Codes:
    return request.frame[alias].to_numpy(dtype=np.int64)


def _weights(request: Request, rows: Codes) -> Floats | None:
    if request.weights is None:
        return None
    return _floats(request, request.weights.column)[rows]


def _places(request: Request, rows: Codes) -> Floats | None:
    found = [_floats(request, alias)[rows] for alias in request.inference.places]
    return np.column_stack(found) if found else None


def _factor(request: Request, alias: str, rows: Codes) -> Factor:
    raw = _codes(request, alias)[rows]
    codes, n_levels = contiguous(raw)
    first = np.empty(n_levels, dtype=np.int64)
    first[codes] = raw
    known = request.ids.get(alias)
    ids: Any = first
    if known is not None and len(known) > int(first.max(initial=-1)):
        ids = np.asarray(known)[first]
    return Factor(label(request, alias), codes, n_levels, ids)
