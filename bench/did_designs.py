"""Panels whose effects are known, one design for every claim of an estimator.

A panel of (design, seed) is drawn from the stream [number of the design, seed] and from
nothing else. Unless a design says otherwise: 240 units, 10 periods, unit and period
effects, errors AR(1) within units with .6, treatment drawn unit by unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Request
from tests.build_spatial import some_weights

UNITS, PERIODS, CARRIED = 240, 10, 0.6
COHORTS, SHARES = np.array([4.0, 6.0, 8.0]), np.array([0.20, 0.20, 0.15])
#: Event time of the effect, and of the lead, that are judged beside the mean effect.
LATE, LEAD = 2, -2
#: x is uniform between -EDGE and EDGE, with variance one.
EDGE = 3**0.5
Truth = Mapping[str, float]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One panel and what is true in it.

    Attributes:
        data: a row per unit and period; `unit`, `time`, `y`, `d`, `first` (inf = never).
        truth: quantity -> its value in the population.
        given: the same, given who is treated when (cohorts weigh by their units here).
        treated: treated clusters.
        extra: what else a method needs, such as a matrix of weights.
        requests: those already made from the panel, by what they ask for.
    """

    data: pd.DataFrame
    truth: Truth
    given: Truth
    treated: int
    seed: int
    extra: Mapping[str, Any] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)


def errors(
    rng: np.random.Generator, n: int, t: int, carried: float = CARRIED
) -> Floats:
    """(n, t) stationary AR(1), variance one."""
    e = rng.normal(size=(n, t))
    for k in range(1, t):
        e[:, k] = carried * e[:, k - 1] + np.sqrt(1 - carried**2) * e[:, k]
    return e


def long(first: Floats, y: Floats, **columns: Floats) -> pd.DataFrame:
    """Rows by unit and period; columns (n,) are repeated, (n, t) are laid out."""
    n, t = y.shape
    time = np.tile(np.arange(1, t + 1), n)
    made = {
        "unit": np.repeat(np.arange(n), t),
        "time": time,
        "first": np.repeat(first, t),
        "d": (time >= np.repeat(first, t)).astype(float),
        "y": y.ravel(),
    }
    for name, values in columns.items():
        made[name] = np.repeat(values, t) if values.ndim == 1 else values.ravel()
    return pd.DataFrame(made)


def after(first: Floats, t: int) -> Floats:
    """(n, t) event time of every row, -inf for the never treated."""
    return np.arange(1, t + 1) - first[:, None]


# -- effects that grow and differ by cohort --------------------------------------------


def effect(event: Floats, cohort: Floats) -> Floats:
    """What treatment does: more with time, and more in earlier cohorts."""
    return np.asarray(0.5 + 0.2 * event + 0.1 * (8.0 - cohort))


def averages(weights: Floats, periods: int = PERIODS) -> dict[str, float]:
    """Quantities of `effect` where cohorts weigh so (their units or their shares)."""

    def at(event: int) -> float:
        return float(np.average(effect(np.float64(event), COHORTS), weights=weights))

    cells = [
        (float(effect(np.float64(e), g)), w)
        for g, w in zip(COHORTS, weights, strict=True)
        for e in range(int(periods - g) + 1)
    ]
    values, sizes = np.array(cells).T
    return {
        "effect on the treated": float(np.average(values, weights=sizes)),
        f"event time {LATE}": at(LATE),
        f"event time {LEAD}": 0.0,
        # Estimators that weigh event times alike are asked for these only.
        f"event times 0 to {LATE}": float(np.mean([at(e) for e in range(LATE + 1)])),
    }


def grown(
    rng: np.random.Generator, first: Floats, t: int, trend: Floats | float = 0.0
) -> Floats:
    """(n, t) outcomes: larger levels of the treated, effects that differ by unit, too."""
    n, on = len(first), np.isfinite(first)
    treated = after(first, t) >= 0
    event = np.where(treated, after(first, t), 0.0)
    cohort = np.where(on, first, COHORTS[0])[:, None]
    mean = treated * effect(event, cohort)
    own = 0.3 * rng.normal(size=n)
    level = rng.normal(size=n) + 0.5 * on
    common = 0.3 * np.arange(t) + np.sin(np.arange(t))
    return (
        level[:, None]
        + common
        + treated * own[:, None]
        + mean
        + trend
        + errors(rng, n, t)
    )


def counted(first: Floats) -> Floats:
    """Units by cohort."""
    return np.array([(first == g).sum() for g in COHORTS], dtype=np.float64)


def staggered(rng: np.random.Generator, seed: int) -> Sample:
    """Three cohorts and the never treated."""
    never = 1 - SHARES.sum()
    first = rng.choice([*COHORTS, np.inf], UNITS, p=[*SHARES, never])
    y = grown(rng, first, PERIODS)
    return Sample(
        long(first, y),
        averages(SHARES),
        averages(counted(first)),
        int(np.isfinite(first).sum()),
        seed,
    )


#: What treatment does more to units of one kind, and what a unit of the others weighs:
#: half of the units drawn are of it, a quarter of the population is.
MORE, WEIGHT = 0.4, 3.0


def surveyed(rng: np.random.Generator, seed: int) -> Sample:
    """As staggered; units of which treatment does more are drawn more often."""
    never = 1 - SHARES.sum()
    first = rng.choice([*COHORTS, np.inf], UNITS, p=[*SHARES, never])
    often = rng.random(UNITS) < 0.5
    treated = after(first, PERIODS) >= 0
    y = grown(rng, first, PERIODS) + MORE * treated * often[:, None]
    w = np.where(often, 1.0, WEIGHT)

    lead, more = f"event time {LEAD}", MORE / (1 + WEIGHT)
    truth = {q: v + more * (q != lead) for q, v in averages(SHARES).items()}
    # No method on this design takes the sizes of cohorts as given.
    return Sample(
        long(first, y, w=w), truth, truth, int(np.isfinite(first).sum()), seed
    )


@dataclass(frozen=True, slots=True)
class Given:
    """Adoption and growth that depend on x: trends are parallel given x only.

    Attributes:
        odds: log odds of adopting (any cohort) by x.
        growth: growth of the outcome per period by x.
    """

    odds: Callable[[Floats], Floats]
    growth: Callable[[Floats], Floats]

    def shares(self, x: Floats) -> Floats:
        """(n, 4) chance of each cohort and of none."""
        raised = 2.0 * SHARES * np.exp(self.odds(x))[:, None]
        every = np.column_stack([raised, np.full(len(x), 1.0)])
        return np.asarray(every / every.sum(axis=1, keepdims=True))

    def __call__(self, rng: np.random.Generator, seed: int) -> Sample:
        x = rng.uniform(-EDGE, EDGE, UNITS)
        steps = self.shares(x).cumsum(axis=1)
        place = (rng.random(UNITS)[:, None] > steps).sum(axis=1)
        first = np.append(COHORTS, np.inf)[np.minimum(place, 3)]
        time = np.arange(PERIODS)
        y = grown(rng, first, PERIODS, self.growth(x)[:, None] * time)
        nodes, weights = np.polynomial.legendre.leggauss(60)
        population = weights @ self.shares(EDGE * nodes)[:, :3]
        return Sample(
            long(first, y, x=x, xt=x[:, None] * time),
            averages(population),
            averages(counted(first)),
            int(np.isfinite(first).sum()),
            seed,
        )


# -- one adoption date, one effect -----------------------------------------------------

ADOPTED, EFFECT = 6.0, 1.0


def half(rng: np.random.Generator, n: int = UNITS) -> Floats:
    """First treated periods: a half of the units, drawn, adopt together."""
    return np.where(rng.permutation(n) < n // 2, ADOPTED, np.inf)


def same(**more: float) -> dict[str, float]:
    """The same effect at every event time."""
    return {
        "effect on the treated": EFFECT,
        f"event time {LATE}": EFFECT,
        f"event time {LEAD}": 0.0,
        **more,
    }


def one_date(rng: np.random.Generator, seed: int) -> Sample:
    """Half of the units adopt in period 6; `y0` is the outcome without the effect."""
    first = half(rng)
    on = after(first, PERIODS) >= 0
    y0 = rng.normal(size=(UNITS, 1)) + np.sin(np.arange(PERIODS))
    y0 = y0 + errors(rng, UNITS, PERIODS)
    truth = same()
    return Sample(long(first, y0 + EFFECT * on, y0=y0), truth, truth, UNITS // 2, seed)


def violated(rng: np.random.Generator, seed: int) -> Sample:
    """Trends differ as much as the restriction allows: by a step of .4 before treatment
    and another at it (relative magnitudes, M = 1; the first effect is judged), or by a
    slope that changes by .1 every period (smoothness, M = .1; the third effect).
    """
    t, adopted, n = 8, 5.0, UNITS
    first = np.where(np.arange(n) < n // 2, adopted, np.inf)
    event = np.arange(1, t + 1) - adopted
    on = np.isfinite(first)[:, None]
    y0 = rng.normal(size=(n, 1)) + np.sin(np.arange(t)) + errors(rng, n, t)
    y0 = y0 + EFFECT * on * (event >= 0)
    step = 0.4 * ((event >= -1).astype(float) + (event >= 0))
    curve = 0.05 * (event + 1.0) ** 2
    data = long(first, y0, y_step=y0 + on * step, y_curve=y0 + on * curve)
    return Sample(data, same(), same(), n // 2, seed)


def moved(rng: np.random.Generator, seed: int) -> Sample:
    """Who adopts is unobserved growth and a lottery `z`; the lottery moves nothing else."""
    return _moved(rng, seed, 2.0)


def hardly_moved(rng: np.random.Generator, seed: int) -> Sample:
    """The same with a lottery that few listen to."""
    return _moved(rng, seed, 0.15)


def _moved(rng: np.random.Generator, seed: int, strength: float) -> Sample:
    n, t = UNITS, 8
    lottery, u = (rng.random(n) < 0.5).astype(float), rng.normal(size=n)
    wants = strength * (lottery - 0.5) + u + rng.normal(size=n)
    first = np.where(wants > 0, 5.0, np.inf)
    on = after(first, t) >= 0
    since = (np.arange(1, t + 1) >= 5).astype(float)
    y = rng.normal(size=(n, 1)) + np.sin(np.arange(t)) + EFFECT * on
    y = y + 0.5 * u[:, None] * since + errors(rng, n, t)
    truth = {"complier effect": EFFECT, "Anderson-Rubin set": EFFECT}
    truth |= {"effect on the treated": EFFECT}
    data = long(first, y, z=lottery[:, None] * since)
    return Sample(data, truth, truth, int(np.isfinite(first).sum()), seed)


def counts(rng: np.random.Generator, seed: int) -> Sample:
    """Counts, more spread than Poisson's, that treatment raises by exp(.3) - 1."""
    n, t = UNITS, 6
    first = np.where(half(rng, n) == ADOPTED, 4.0, np.inf)
    on = after(first, t) >= 0
    log = 0.5 + 0.5 * rng.normal(size=(n, 1)) + 0.1 * np.arange(t) + 0.3 * on
    spread = np.exp(0.5 * errors(rng, n, t) - 0.125)
    y = rng.poisson(np.exp(log) * spread).astype(np.float64)
    truth = {"log effect": 0.3, "semi-elasticity": float(np.expm1(0.3))}
    return Sample(long(first, y), truth, truth, n // 2, seed)


def moderated(rng: np.random.Generator, seed: int) -> Sample:
    """720 units, so that each third has 100 treated: an effect that rises with a
    moderator `m`, which moves trends as well.
    """
    n = 720
    first, m = half(rng, n), rng.normal(size=n)
    on = after(first, PERIODS) >= 0
    since = (np.arange(1, PERIODS + 1) >= ADOPTED).astype(float)
    y = rng.normal(size=(n, 1)) + errors(rng, n, PERIODS)
    y = y + on * (EFFECT + 0.5 * m[:, None]) + 0.3 * m[:, None] * since
    data = long(first, y, m=m, dm=on * m[:, None], trend=m[:, None] * since)
    third = np.searchsorted(np.quantile(m, [1 / 3, 2 / 3]), m)
    fewest = int(np.bincount(third[np.isfinite(first)], minlength=3).min())
    return Sample(data, {"slope in the moderator": 0.5}, {}, fewest, seed)


#: Effects of treatment on the mediator, of the mediator, beside it.
ON_M, OF_M, DIRECT = 0.8, 0.5, 0.3


def mediated(rng: np.random.Generator, seed: int) -> Sample:
    """A mediator `m` that carries .4 of an effect of .7."""
    first = half(rng)
    on = (after(first, PERIODS) >= 0).astype(float)
    m = ON_M * on + rng.normal(size=(UNITS, 1)) + errors(rng, UNITS, PERIODS)
    y = DIRECT * on + OF_M * m + rng.normal(size=(UNITS, 1))
    y = y + errors(rng, UNITS, PERIODS)
    indirect = ON_M * OF_M
    truth = {"indirect": indirect, "direct": DIRECT, "total": indirect + DIRECT}
    truth["explained"] = indirect
    return Sample(long(first, y, m=m), truth, truth, UNITS // 2, seed)


def spilling(rng: np.random.Generator, seed: int) -> Sample:
    """Neighbours of treated units gain, too: .6 x the share of treated neighbours."""
    W = some_weights(UNITS, 1)
    # Near units adopt together, so that the treated are the more exposed.
    wants = W @ rng.normal(size=UNITS) + 0.5 * rng.normal(size=UNITS)
    first = np.where(wants > np.median(wants), ADOPTED, np.inf)
    on = (after(first, PERIODS) >= 0).astype(float)
    y = EFFECT * on + 0.6 * (W @ on) + rng.normal(size=(UNITS, 1))
    y = y + np.sin(np.arange(PERIODS)) + errors(rng, UNITS, PERIODS)
    truth = {"own effect": EFFECT, "spillover": 0.6, "without exposure": EFFECT}
    data = long(first, y)
    data["unit"] = [f"u{u:04d}" for u in data["unit"]]
    return Sample(data, truth, truth, UNITS // 2, seed, {"W": W})


# -- common shocks that hit units differently ------------------------------------------


def factors(rng: np.random.Generator, seed: int) -> Sample:
    """A common factor on which the treated load more: 60 units, 16 periods."""
    n, t = 60, 16
    adopted = t - 3.0
    first = np.where(np.arange(n) < n // 2, adopted, np.inf)
    on = after(first, t) >= 0
    loading = rng.normal(size=n) + 0.7 * np.isfinite(first)
    # The factor is the same in every panel, and so the bias of two-way effects.
    path = np.cumsum(np.tile([0.9, -0.4, 0.6], t)[:t])
    y = rng.normal(size=(n, 1)) + 0.1 * np.arange(t) + loading[:, None] * path
    y = y + on * (EFFECT + 0.3 * rng.normal(size=(n, 1)))
    y = y + 0.7 * rng.normal(size=(n, t))
    truth = {"effect on the treated": EFFECT}
    return Sample(long(first, y), truth, truth, n // 2, seed)


# -- few treated -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chosen:
    """Treated units drawn among units with loadings on a factor, one adoption date."""

    units: int
    treated: int
    periods: int = 16

    def __call__(self, rng: np.random.Generator, seed: int) -> Sample:
        n, t = self.units, self.periods
        first = np.where(rng.permutation(n) < self.treated, t - 3.0, np.inf)
        on = after(first, t) >= 0
        path = np.cumsum(np.tile([0.5, -0.2, 0.3], t)[:t])
        y = rng.normal(size=(n, 1)) + rng.random((n, 1)) * path
        y0 = y + 0.5 * errors(rng, n, t, 0.3)
        truth = {"effect on the treated": EFFECT, "placebo test": 0.0}
        data = long(first, y0 + EFFECT * on, y0=y0)
        return Sample(data, truth, truth, self.treated, seed)


# -- matching --------------------------------------------------------------------------


def alike(rng: np.random.Generator, seed: int) -> Sample:
    """Two periods; adoption and growth depend on x with five values: matches are exact."""
    return _compared(rng, seed, rng.integers(-2, 3, UNITS).astype(float) / 2)


def nearly_alike(rng: np.random.Generator, seed: int) -> Sample:
    """The same with an x that no two units share."""
    return _compared(rng, seed, 0.7 * rng.normal(size=UNITS))


def _compared(rng: np.random.Generator, seed: int, x: Floats) -> Sample:
    n = len(x)
    first = np.where(x + rng.logistic(size=n) > 0, 2.0, np.inf)
    on = after(first, 2) >= 0
    y = rng.normal(size=(n, 1)) + 0.8 * x[:, None] * np.arange(2) + EFFECT * on
    y = y + errors(rng, n, 2)
    truth = {"effect on the treated": EFFECT}
    data = long(first, y, x=x)
    return Sample(data, truth, truth, int(np.isfinite(first).sum()), seed)


# -- errors that units share -----------------------------------------------------------


@cache
def _places(n: int) -> tuple[Floats, Floats]:
    """(n, 2) degrees, the same in every panel, and a root of the errors' covariance."""
    place = np.random.default_rng(0).random((n, 2)) * 10
    far = np.linalg.norm(place[:, None] - place, axis=2)
    return place, np.linalg.cholesky(np.exp(-far / 0.3) + 1e-9 * np.eye(n))


def mapped(rng: np.random.Generator, seed: int) -> Sample:
    """400 places, a dose and errors that near places share; two periods, no unit
    effects.
    """
    n, t = 400, 2
    place, root = _places(n)
    dose, e = root @ rng.normal(size=(n, t)), root @ rng.normal(size=(n, t))
    y = EFFECT * dose + np.arange(t) + e
    data = long(np.full(n, np.inf), y, dose=dose, lon=place[:, 0], lat=place[:, 1])
    truth = {"effect": EFFECT}
    return Sample(data, truth, truth, n, seed)


def shocked(rng: np.random.Generator, seed: int) -> Sample:
    """20 units, 400 periods: dose and errors load on factors that last (AR .3)."""
    n, t = 20, 400
    loading = rng.normal(size=(2, n, 1))
    dose, e = (b * errors(rng, 1, t, 0.3) + rng.normal(size=(n, t)) for b in loading)
    y = EFFECT * dose + rng.normal(size=(n, 1)) + e
    data = long(np.full(n, np.inf), y, dose=dose)
    truth = {"effect": EFFECT}
    return Sample(data, truth, truth, t, seed)


#: Growth and odds by x; the scores and outcome models in use are linear in x.
BOTH = Given(lambda x: 0.6 * x, lambda x: 0.15 * x)
WRONG_GROWTH = Given(lambda x: 0.6 * x, lambda x: 0.15 * x + 0.10 * x**2)
WRONG_ODDS = Given(lambda x: 0.6 * x + 0.5 * x**2, lambda x: 0.15 * x)

Draw = Callable[[np.random.Generator, int], Sample]


@dataclass(frozen=True, slots=True)
class Design:
    """How panels are drawn.

    Attributes:
        number: in the stream of random numbers; it never changes.
        said: what the page says of it, where it is not the function's docstring.
    """

    number: int
    draw: Draw
    said: str = ""

    def __str__(self) -> str:
        text = self.said or str(self.draw.__doc__)
        return " ".join(text.split())


_GIVEN = "Adoption and growth depend on x, so that trends are parallel given x only. "
_FEW = "Treated units are drawn among units with loadings on a factor; "
DESIGNS: Mapping[str, Design] = {
    "staggered": Design(
        1,
        staggered,
        "Three cohorts (periods 4, 6, 8) and the never treated. Effects grow by .2 a "
        "period, are larger in earlier cohorts and differ between units.",
    ),
    "trend in x": Design(2, BOTH, f"{_GIVEN}Both are linear in x (odds in logs)."),
    "growth not linear in x": Design(
        3, WRONG_GROWTH, f"{_GIVEN}Growth has x squared in it; models are linear in x."
    ),
    "odds not linear in x": Design(
        4,
        WRONG_ODDS,
        f"{_GIVEN}The log odds have x squared in them; models are linear in x.",
    ),
    "one date": Design(
        5,
        one_date,
        "Half of the units adopt in period 6, the effect is the same in all; tests of "
        "no effect are of the outcome without it.",
    ),
    "trends that differ": Design(6, violated),
    "lottery": Design(7, moved),
    "weak lottery": Design(8, hardly_moved),
    "counts": Design(9, counts),
    "moderator": Design(10, moderated),
    "mediator": Design(11, mediated),
    "neighbours": Design(12, spilling),
    "factor": Design(13, factors),
    "1 of 25 treated": Design(15, Chosen(25, 1), f"{_FEW}16 periods, 4 of them after."),
    "10 of 50 treated": Design(16, Chosen(50, 10), "The same with more of them."),
    "100 of 220 treated": Design(17, Chosen(220, 100), "The same with many of them."),
    "equal x": Design(18, alike),
    "similar x": Design(19, nearly_alike),
    "map": Design(20, mapped),
    "shared shocks": Design(21, shocked),
    "survey": Design(
        22,
        surveyed,
        "As staggered; half of the units are of a kind of which treatment does .4 more, "
        "a quarter of the population is; weights are those of the sample.",
    ),
}


def sample(design: str, seed: int) -> Sample:
    """The panel of this design and seed."""
    drawn = DESIGNS[design]
    return drawn.draw(np.random.default_rng([drawn.number, seed]), seed)
