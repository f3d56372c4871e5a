"""Estimators and inference on the panels of `did_designs`, and what each has to show."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

import framework.spec.choices  # noqa: F401 - lets options name estimators
from bench.did_designs import (
    COHORTS,
    LATE,
    LEAD,
    PERIODS,
    SHARES,
    Sample,
    Truth,
    effect,
)
from estimators.binned_interaction import BinnedInteraction
from estimators.callaway_santanna import CallawaySantanna
from estimators.dechaisemartin_dhaultfoeuille import DechaisemartinDhaultfoeuille
from estimators.did2s import Did2s
from estimators.etwfe import Etwfe
from estimators.event_study import EventStudy
from estimators.gelbach import Gelbach
from estimators.honest_did import HonestDid
from estimators.imputation import Imputation
from estimators.interactive_fe import InteractiveFe
from estimators.iv_2sls import Iv2sls
from estimators.lp_did import LpDid
from estimators.matrix_completion import MatrixCompletion
from estimators.mediation import Mediation
from estimators.poisson import Poisson
from estimators.spillover_did import SpilloverDid
from estimators.stacked import Stacked
from estimators.sun_abraham import SunAbraham
from estimators.synthetic_control import SyntheticControl
from estimators.synthetic_did import SyntheticDid
from estimators.twfe import Twfe
from framework.contract import Estimator, Request
from framework.result import Result
from tests.build_matched import build_candidates, choose, run_model
from tests.build_request import build_request
from tests.build_spatial import spatial_request

#: What is asked of the mean of the errors: none beyond chance, one beyond chance (the
#: estimator does not fit the design), nothing (the page says why).
Bias = Literal["none", "shown", "reported"]
#: What is asked of 95 % intervals: 92.5 to 97.5 %; at least 92.5 % (sets that hold in a
#: class of designs); fewer than 92.5 %; nothing.
Coverage = Literal["gated", "at least", "too low", "reported"]
ON_THE_TREATED, ALIKE = "effect on the treated", f"event times 0 to {LATE}"


@dataclass(frozen=True, slots=True)
class Found:
    """One number of one panel: the estimate and whether its interval holds the truth.

    A test without an estimate has NaN there; it covers where it does not reject.
    """

    quantity: str
    truth: float
    estimate: float
    std_error: float
    covered: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """What has to hold of a quantity, and why where it is not the usual."""

    bias: Bias = "none"
    coverage: Coverage = "gated"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """An estimator on a design.

    Attributes:
        estimate: a panel's numbers.
        claim: of all its quantities but those in `but`.
    """

    design: str
    name: str
    estimate: Callable[[Sample], Iterable[Found]]
    claim: Claim = Claim()
    but: Mapping[str, Claim] = field(default_factory=dict)

    def claimed(self, quantity: str) -> Claim:
        """The claim of this quantity."""
        return self.but.get(quantity, self.claim)


# -- how requests are made and results read --------------------------------------------


def asked(sample: Sample, **changes: Any) -> Request:
    """Absorbing treatment, unit and period effects, errors by unit."""
    plain: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "absorbing",
        "cohort": "first",
        "fixed_effects": ["unit", "time"],
        "inference": "cluster",
        "clusters": ["unit"],
        "unit": "unit",
        "time": "time",
        "estimand": ("att", "by_event_time"),
        "seed": sample.seed,
    }
    name = repr(sorted(changes.items()))
    if name not in sample.requests:
        sample.requests[name] = build_request(sample.data, **(plain | changes))
    return sample.requests[name]


def found(quantity: str, truth: float, row: Any) -> Found:
    """A row of a result's table beside its truth."""
    return Found(
        quantity,
        truth,
        float(row.estimate),
        float(row.std_error),
        bool(row.conf_low <= truth <= row.conf_high),
    )


def effects(result: Result, truth: Truth, overall: str) -> Iterator[Found]:
    """Mean effect, effect LATE and lead LEAD, as far as the estimator gives them."""
    table = result.coefficients
    rows = table[table["estimand"].isin(["att", "coefficient"])]
    rows = rows[rows["equation"] == "main"]
    yield found(overall, truth[overall], rows.iloc[0])
    if "event_time" in table:
        for event in (LATE, LEAD):
            chosen = table[
                (table["estimand"] == "by_event_time") & (table["event_time"] == event)
            ]
            if len(chosen):
                name = f"event time {event}"
                yield found(name, truth[name], chosen.iloc[0])


@dataclass(frozen=True, slots=True)
class Effects:
    """An estimator of effects by event time.

    Attributes:
        overall: what its `att` averages.
        conditional: its errors take cohort sizes as given, and so does the truth.
        changes: of the request.
    """

    plugin: Estimator
    overall: str = ON_THE_TREATED
    conditional: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, sample: Sample) -> Iterator[Found]:
        result = self.plugin.estimate(asked(sample, **self.changes))
        truth = sample.given if self.conditional else sample.truth
        yield from effects(result, truth, self.overall)


@dataclass(frozen=True, slots=True)
class OneNumber:
    """An estimator of which only the first row is judged."""

    plugin: Estimator
    quantity: str = ON_THE_TREATED
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, sample: Sample) -> Iterator[Found]:
        changes = {"estimand": ("att",), **self.changes}
        table = self.plugin.estimate(asked(sample, **changes)).coefficients
        yield found(self.quantity, sample.truth[self.quantity], table.iloc[0])


# -- methods that need more than a row of a table --------------------------------------


@dataclass(frozen=True, slots=True)
class Bands:
    """All effects by event time of a window at once, in simultaneous bands."""

    window: tuple[int, int]

    def __call__(self, sample: Sample) -> Iterator[Found]:
        plugin = CallawaySantanna(bootstrap=499, window=self.window)
        frame = plugin.estimate(asked(sample)).frames["bands"]
        frame = frame[frame["estimand"] == "by_event_time"]
        holds = True
        for row in frame.itertuples():
            event = float(row.event_time)
            # Of the treated, only cohorts that are seen so long after.
            seen = COHORTS + event <= PERIODS
            mean = np.average(
                effect(np.float64(event), COHORTS[seen]), weights=SHARES[seen]
            )
            true = mean if event >= 0 else 0.0
            holds &= bool(row.conf_low <= true <= row.conf_high)
        yield Found("all event times", np.nan, np.nan, np.nan, holds)


@dataclass(frozen=True, slots=True)
class Robust:
    """Whether a robust set holds the effect where the violation is as large as allowed."""

    quantity: str
    outcome: str
    plugin: HonestDid

    def __call__(self, sample: Sample) -> Iterator[Found]:
        request = asked(sample, outcome=self.outcome, estimand=("att",))
        frame = self.plugin.estimate(request).frames["sensitivity"]
        plain, wide = frame.iloc[0], frame.iloc[1]
        for quantity, row in (
            (self.quantity, wide),
            (f"{self.quantity} ignored", plain),
        ):
            holds = bool(row["lower"] <= 1.0 <= row["upper"])
            yield Found(quantity, np.nan, np.nan, np.nan, holds)


def instrumented(sample: Sample) -> Iterator[Found]:
    """Two-stage least squares, and Anderson and Rubin's set."""
    request = asked(sample, instruments=["z"], estimand=("late",))
    result = Iv2sls().estimate(request)
    truth = sample.truth
    yield found(
        "complier effect", truth["complier effect"], result.coefficients.iloc[0]
    )
    # An unbounded set has infinite ends; an empty one has no rows.
    pieces = result.frames["anderson_rubin"]
    inside = (pieces["conf_low"] <= 1.0) & (pieces["conf_high"] >= 1.0)
    holds = bool(inside.any())
    yield Found("Anderson-Rubin set", np.nan, np.nan, np.nan, holds)


def proportional(sample: Sample) -> Iterator[Found]:
    """Poisson's coefficient and semi-elasticity."""
    request = asked(sample, estimand=("semi_elasticity", "coefficient"))
    table = Poisson().estimate(request).coefficients
    for quantity, estimand in (
        ("log effect", "coefficient"),
        ("semi-elasticity", "semi_elasticity"),
    ):
        rows = table[table["estimand"] == estimand]
        yield found(quantity, sample.truth[quantity], rows.iloc[0])


def binned(sample: Sample) -> Iterator[Found]:
    """Effects at the medians of three bins, and the slope of one line."""
    made = asked(
        sample,
        judged=["dm"],
        controls=["trend"],
        estimand=("by_group", "interaction"),
    )
    (m,) = build_columns(sample, made, ("m",))
    treatment = replace(made.treatment, moderators=(m[0],))  # type: ignore[type-var]  # a request with a treatment
    request = replace(
        made,
        treatment=treatment,
        frame=made.frame.assign(**{m[0]: m[1]}),
        labels={**made.labels, m[0]: "m"},
    )
    result = BinnedInteraction().estimate(request)
    medians = result.frames["bins"]["median"].to_numpy(float)
    rows = result.coefficients
    groups = rows[rows["estimand"] == "by_group"]
    for k, (median, (_, row)) in enumerate(
        zip(medians, groups.iterrows(), strict=True)
    ):
        yield found(f"bin {k + 1}", 1.0 + 0.5 * median, row)
    line = rows[rows["estimand"] == "interaction"].iloc[0]
    yield found("slope in the moderator", 0.5, line)


def build_columns(
    sample: Sample, made: Request, names: tuple[str, ...]
) -> list[tuple[str, Any]]:
    """Aliases that the request does not have yet, with their columns."""
    start = len(made.frame.columns)
    return [
        (f"v{start + k:03d}", sample.data[name].to_numpy(float))
        for k, name in enumerate(names)
    ]


def carried(sample: Sample) -> Iterator[Found]:
    """Indirect, direct and total effect."""
    request = asked(sample, controls=["m"], estimand=("indirect", "direct", "total"))
    inside = replace(request, controls=(), mediators=request.controls)
    table = Mediation().estimate(inside).coefficients
    for quantity in ("indirect", "direct", "total"):
        row = table[table["estimand"] == quantity].iloc[0]
        yield found(quantity, sample.truth[quantity], row)


def split(sample: Sample) -> Iterator[Found]:
    """The part of the effect that a control takes away."""
    request = asked(sample, controls=["m"], estimand=("explained",))
    table = Gelbach().estimate(request).coefficients
    row = table[table["estimand"] == "explained"].iloc[0]
    yield found("explained", sample.truth["explained"], row)


def exposed(sample: Sample) -> Iterator[Found]:
    """The own effect beside spillovers, the spillover, and the estimate without it."""
    W = sample.extra["W"]
    request = spatial_request(
        sample.data,
        dict.fromkeys(("outcome", "covariates", "errors"), W),
        treatment="d",
        controls=[],
        inference="cluster",
        clusters=["unit"],
        seed=sample.seed,
    )
    table = SpilloverDid().estimate(request).coefficients
    rows = table.set_index(["equation", "term"])
    for quantity, place in (
        ("own effect", ("main", "d")),
        ("spillover", ("main", "W × d")),
        ("without exposure", ("without_exposure", "d")),
    ):
        yield found(quantity, sample.truth[quantity], rows.loc[place])


def placebos(sample: Sample) -> Iterator[Found]:
    """Synthetic control: the effect, and its placebo test where there is none."""
    plain: dict[str, Any] = {
        "inference": "iid",
        "clusters": [],
        "estimand": ("att",),
        "acknowledge": frozenset({"few_treated"}),
    }
    result = SyntheticControl().estimate(asked(sample, **plain))
    row = result.coefficients.iloc[0]
    yield Found(ON_THE_TREATED, 1.0, float(row.estimate), np.nan, True)
    result = SyntheticControl().estimate(asked(sample, outcome="y0", **plain))
    p = next(t.p_value for t in result.tests if t.p_value is not None)
    yield Found("placebo test", np.nan, np.nan, np.nan, p > 0.05)


@dataclass(frozen=True, slots=True)
class Matched:
    """Differences in differences on matched units, the matches taken as given."""

    options: Mapping[str, Any] | None

    def __call__(self, sample: Sample) -> Iterator[Found]:
        data = sample.data
        weights: dict[str, Any] = {}
        if self.options is not None:
            units = data[data["time"] == 1]
            d = np.isfinite(units["first"].to_numpy())
            names = np.array([f"u{u:04d}" for u in units["unit"]])
            given = build_candidates(d, units[["x"]], names)
            chosen = choose(given, **self.options)
            w = chosen.rows.astype(float)
            w = (
                w
                if chosen.weights is None
                else np.where(chosen.rows, chosen.weights, 0)
            )
            data = data.assign(w=np.repeat(w, 2))
            data = data[data["w"] > 0]
            weights = {"weights": ("probability", "w")}
        request = asked(
            replace(sample, data=data, requests={}), estimand=("att",), **weights
        )
        row = Twfe().estimate(request).coefficients.iloc[0]
        yield found(ON_THE_TREATED, 1.0, row)


_MODEL: Mapping[str, Any] = {
    "outcome": "y",
    "treatment": "d",
    "fixed_effects": ["unit", "time"],
    "inference": {"cluster": "unit"},
    "estimator": "twfe",
}


def studied(sample: Sample, model: Mapping[str, Any], draws: dict[str, Any]) -> Result:
    """A study of one line with draws, through the whole framework."""
    panel = {"unit": "unit", "time": "time"}
    data = sample.data.drop(columns="first")
    with tempfile.TemporaryDirectory() as folder:
        cell = run_model(Path(folder), data, {**_MODEL, **model}, panel, draws)
    assert cell.result is not None
    return cell.result


def resampled(sample: Sample) -> Iterator[Found]:
    """Radius matching with the matches made anew in 99 resamples of units."""
    match = {"method": "radius", "caliper": 0.001, "covariates": ["x"]}
    result = studied(
        sample,
        {"sample": {"matched": {"match": match}}},
        {"resample": "unit", "times": 99},
    )
    row = result.coefficients.iloc[0]
    error = result.scalars["std_error_resampled"]
    holds = abs(row.estimate - 1.0) <= stats.norm.ppf(0.975) * error
    yield Found(ON_THE_TREATED, 1.0, float(row.estimate), float(error), bool(holds))


def permuted(sample: Sample) -> Iterator[Found]:
    """Randomization test of no effect where there is none, 199 permutations."""
    draws = {"permute": "treatment", "times": 199}
    result = studied(sample, {"outcome": "y0"}, draws)
    (test,) = (t for t in result.tests if t.name == "randomization")
    assert test.p_value is not None
    yield Found("no effect", np.nan, np.nan, np.nan, test.p_value > 0.05)


# -- everything that is simulated ------------------------------------------------------

_SHOWN = Claim("shown", "reported", "weights of other effects, some of them negative")
_DOSE: dict[str, Any] = {
    "treatment": "dose",
    "kind": "dose",
    "cohort": None,
    "estimand": ("coefficient",),
}
_FEW: dict[str, Any] = {
    "inference": "iid",
    "clusters": [],
    "acknowledge": frozenset({"few_treated"}),
}
_TREND: dict[str, Any] = {"controls": ["xt"]}
_X: dict[str, Any] = {"controls": ["x"]}


def _santanna(method: str) -> CallawaySantanna:
    """Against the never treated, whose odds are those of a logit."""
    return CallawaySantanna(method=method, control_group="never_treated")  # type: ignore[arg-type]  # one of three names


def _staggered() -> Iterator[Method]:
    design = "staggered"
    yield Method(design, "twfe", OneNumber(Twfe()), _SHOWN)
    why = "coefficients pick up other cohorts' effects"
    yield Method(
        design,
        "event_study",
        Effects(EventStudy()),
        Claim("reported", "reported", why),
        {ON_THE_TREATED: Claim("shown", "reported", why)},
    )
    yield Method(design, "callaway_santanna", Effects(CallawaySantanna()))
    yield Method(
        design,
        "callaway_santanna, never treated",
        Effects(CallawaySantanna(control_group="never_treated")),
    )
    yield Method(design, "callaway_santanna, bands -3 to 2", Bands((-3, LATE)))
    ends = Claim("none", "reported", "84 to 96 units at its ends, asymptotic errors")
    wide = Bands((-5, 4))
    yield Method(design, "callaway_santanna, bands -5 to 4", wide, ends)
    yield Method(design, "sun_abraham", Effects(SunAbraham()))
    yield Method(design, "imputation", Effects(Imputation(), conditional=True))
    yield Method(design, "did2s", Effects(Did2s()))
    yield Method(design, "etwfe", Effects(Etwfe(), conditional=True))
    yield Method(design, "lp_did", Effects(LpDid(window=(-3, LATE)), overall=ALIKE))
    yield Method(design, "stacked", Effects(Stacked(window=(-2, LATE)), overall=ALIKE))
    plugin = DechaisemartinDhaultfoeuille()
    yield Method(
        design, "dechaisemartin_dhaultfoeuille", Effects(plugin, conditional=True)
    )


def _surveyed() -> Iterator[Method]:
    design, weighted = "survey", {"weights": ("probability", "w")}
    often = Claim(
        "shown", "reported", "those of whom it does more are drawn more often"
    )
    own = f"event time {LEAD}"
    plain = Effects(CallawaySantanna())
    yield Method(design, "callaway_santanna, no weights", plain, often, {own: Claim()})
    for name, plugin, overall in (
        ("callaway_santanna", CallawaySantanna(), ON_THE_TREATED),
        ("did2s", Did2s(), ON_THE_TREATED),
        ("lp_did", LpDid(window=(-3, LATE)), ALIKE),
        ("stacked", Stacked(window=(-2, LATE)), ALIKE),
    ):
        found = Effects(plugin, overall=overall, changes=weighted)
        yield Method(design, f"{name}, weights", found)


def _conditional() -> Iterator[Method]:
    design, lead = "trend in x", f"event time {LEAD}"
    yield Method(
        design,
        "callaway_santanna, no x",
        Effects(CallawaySantanna()),
        Claim("shown", "reported", "x is left out"),
    )
    for method in ("regression", "ipw", "doubly_robust"):
        name = f"callaway_santanna, {method}"
        yield Method(design, name, Effects(_santanna(method), changes=_X))
    for name, plugin, conditional in (
        ("imputation", Imputation(), True),
        ("did2s", Did2s(), False),
        ("sun_abraham", SunAbraham(), False),
        ("dechaisemartin_dhaultfoeuille", DechaisemartinDhaultfoeuille(), True),
    ):
        made = Effects(plugin, conditional=conditional, changes=_TREND)
        yield Method(design, name, made)
    for design, wrong in (
        ("growth not linear in x", "regression"),
        ("odds not linear in x", "ipw"),
    ):
        for method in ("regression", "ipw", "doubly_robust"):
            why = "its one model is wrong"
            fits = method != wrong
            yield Method(
                design,
                f"callaway_santanna, {method}",
                Effects(_santanna(method), changes=_X),
                Claim() if fits else Claim("shown", "reported", why),
                {} if fits else {lead: Claim("reported", "reported", why)},
            )


def _one_date() -> Iterator[Method]:
    design = "one date"
    too_low = Claim("none", "too low", "errors of a unit are not independent")
    for name, changes, claim in (
        ("by unit (CV1)", {}, Claim()),
        ("by unit (CV3)", {"options": {"type": "CV3"}}, Claim()),
        ("robust, not clustered", {"inference": "hetero", "clusters": []}, too_low),
        (
            "wild bootstrap (WCR)",
            {"inference": "wild_bootstrap", "options": {"draws": 999}},
            Claim(),
        ),
        (
            "Ferman-Pinto",
            {"inference": "ferman_pinto", "options": {"draws": 499}},
            Claim("none", "reported", "for few treated clusters: see the links above"),
        ),
    ):
        judged = OneNumber(Twfe(), changes=changes)
        yield Method(design, f"twfe, {name}", judged, claim)
    yield Method(design, "event_study", Effects(EventStudy()))
    yield Method(design, "randomization test", permuted)


def _others() -> Iterator[Method]:
    at_least = Claim("none", "at least", "sets are valid in a whole class of trends")
    ignored = Claim("none", "too low", "what the sets are for")
    steps = HonestDid(relative_magnitudes=(1.0,), smoothness=())
    # The curve moves the first effect by little, so a later one is judged.
    curve = HonestDid(effect=LATE, relative_magnitudes=(), smoothness=(0.1,))
    for quantity, outcome, plugin in (
        ("relative magnitudes", "y_step", steps),
        ("smoothness", "y_curve", curve),
    ):
        yield Method(
            "trends that differ",
            f"honest_did, {quantity}",
            Robust(quantity, outcome, plugin),
            at_least,
            {f"{quantity} ignored": ignored},
        )
    chosen = Claim("shown", "reported", "treatment is chosen")
    yield Method("lottery", "twfe", OneNumber(Twfe()), chosen)
    yield Method("lottery", "iv_2sls", instrumented)
    weak = Claim("reported", "reported", "a weak instrument: no mean, no valid t")
    moved = Claim("none", "reported", "in some panels the lottery moves nobody")
    yield Method(
        "weak lottery", "iv_2sls", instrumented, moved, {"complier effect": weak}
    )
    curved = Claim("reported", "gated", "exp is convex: half a variance upwards")
    yield Method("counts", "poisson", proportional, but={"semi-elasticity": curved})
    yield Method("moderator", "binned_interaction", binned)
    yield Method("mediator", "mediation", carried)
    yield Method("mediator", "gelbach", split)
    unexposed = Claim("shown", "reported", "controls gain from treated neighbours")
    yield Method(
        "neighbours", "spillover_did", exposed, but={"without exposure": unexposed}
    )
    unmatched = Claim("shown", "reported", "x is left out")
    yield Method("equal x", "twfe, not matched", Matched(None), unmatched)
    radius = {"method": "radius", "caliper": 0.001}
    # Abadie and Spiess (2022): what matches have in common is in the usual error.
    why = "errors that take matches as given count what x explains of growth"
    given = Claim("none", "at least", why)
    yield Method("equal x", "twfe, radius", Matched(radius), given)
    few = Claim("none", "reported", "99 resamples of every panel")
    yield Method("equal x", "twfe, radius, resampled", resampled, few)
    near = Claim("reported", "reported", "matches differ in x (Abadie and Imbens 2006)")
    for name, options in (
        ("kernel", {"method": "kernel", "bandwidth": 0.06}),
        ("nearest", {"method": "nearest"}),
    ):
        yield Method("similar x", f"twfe, {name}", Matched(options), near)
    pooled = _DOSE | {"fixed_effects": ["time"]}
    near_places = {
        "inference": "conley",
        "clusters": [],
        "options": {"cutoff_km": 150.0, "kernel": "bartlett"},
        "places": ["lat", "lon"],
    }
    judged = OneNumber(Twfe(), "effect", pooled | near_places)
    yield Method("map", "twfe, Conley", judged)
    alone = Claim("none", "too low", "near places share errors")
    yield Method("map", "twfe, by unit", OneNumber(Twfe(), "effect", pooled), alone)
    together = {"inference": "driscoll_kraay", "clusters": [], "options": {"lags": 4}}
    yield Method(
        "shared shocks",
        "twfe, Driscoll-Kraay",
        OneNumber(Twfe(), "effect", _DOSE | together),
    )


def _factors() -> Iterator[Method]:
    biased = Claim("shown", "reported", "the treated load more on the factor")
    yield Method("factor", "imputation", OneNumber(Imputation(pretrends=0)), biased)
    yield Method(
        "factor",
        "interactive_fe",
        OneNumber(InteractiveFe(factors=1, pretrends=1)),
        Claim("none", "reported", "30 treated units"),
    )
    shrunk = Claim("reported", "reported", "the penalty leaves a part of the factor")
    yield Method(
        "factor",
        "matrix_completion",
        OneNumber(MatrixCompletion(penalty=0.1, pretrends=1)),
        shrunk,
    )
    reported = Claim("none", "reported", "few treated")
    yield Method("1 of 25 treated", "synthetic_control", placebos, reported)
    for kind in ("placebo", "jackknife", "bootstrap"):
        few = SyntheticDid(errors=kind, replications=50)  # type: ignore[arg-type]  # one of three names
        if kind == "placebo":
            yield Method(
                "1 of 25 treated",
                f"synthetic_did, {kind}",
                OneNumber(few, changes=_FEW),
                reported,
            )
        yield Method(
            "10 of 50 treated",
            f"synthetic_did, {kind}",
            OneNumber(few, changes=_FEW),
            reported,
        )
    yield Method(
        "100 of 220 treated",
        "synthetic_did, jackknife",
        OneNumber(SyntheticDid(errors="jackknife"), changes=_FEW),
    )


METHODS: tuple[Method, ...] = (
    *_staggered(),
    *_surveyed(),
    *_conditional(),
    *_one_date(),
    *_factors(),
    *_others(),
)
