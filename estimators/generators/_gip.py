"""The parts of the generator `gip`, in the order in which they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from estimators.generators import _geography as geography
from estimators.generators._paths import (
    Streams,
    autoregressive,
    spatial_field,
    standardized,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]

YEARS = tuple(range(2005, 2023))
SALT = 0
#: Loadings on the development factor; the covariates are standardised.
CONFOUNDERS = {
    "gdp_pc": 0.8,
    "density": 0.4,
    "fiscal": -0.4,
    "finance": 0.6,
    "fdi": 0.5,
    "human_capital": 0.6,
    "internet": 0.5,
    "secondary": 0.2,
    "wage": 0.6,
    "roads": 0.3,
    "regulation": 0.3,
    "savings": 0.4,
}
#: Cities that adopt first in each year: expected numbers, ours.
ADOPTIONS = {2017: 22, 2018: 46, 2019: 30, 2020: 32, 2021: 22, 2022: 14}
THETA = 0.04
#: Of the index in the outcome: linear two-way fixed effects are off by about .02.
CONFOUNDING = 0.017
#: Effect of the treatment on green patents (log) and structure, and theirs on resilience.
ON_MEDIATORS, OF_MEDIATORS = (0.30, 0.20), (0.04, 0.035)
#: What each moderator adds to theta in the preset `heterogeneous`.
MODERATORS = {
    "open": 0.015,
    "digital": 0.018,
    "compute": 0.012,
    "east": 0.014,
    "resource_based": 0.016,
}
PARALLEL = {"low_carbon": 0.004, "smart_city": 0.003, "broadband": 0.003}
NEGATIVE = ("r3", "r7", "r11")
PARTS = {
    "resistance": ("r1", "r2", "r3", "r4"),
    "recovery": ("r5", "r6", "r7", "r8"),
    "transformation": ("r9", "r10", "r11", "r12"),
}
_SLOPES = (1.0, 0.8, -0.9, 1.2, 0.7, 1.1, -1.0, 0.9, 1.3, 0.8, -0.7, 1.0)
_SPLIT_YEAR = 2010


@dataclass(frozen=True, slots=True)
class Confounding:
    """Covariates and what they do together, (N, T) each.

    Attributes:
        covariates: by name, standardised.
        index: q, nonlinear in the covariates, standardised.
        linear: a linear index of them, standardised.
    """

    covariates: dict[str, Floats]
    index: Floats
    linear: Floats


@dataclass(frozen=True, slots=True)
class Rollout:
    """Simulated adoption: first year per city (inf = never) and 0/1 by year."""

    first: Floats
    treated: Floats


@dataclass(frozen=True, slots=True)
class Resilience:
    """Latent resilience, its indicators and mediators.

    Attributes:
        theta: total effect per city on the latent index.
        indicators: r1 to r12, linear in the latent index, (N, T) each.
    """

    theta: Floats
    mediators: dict[str, Floats]
    indicators: dict[str, Floats]


def panel_and_truth(
    seed: int, *, heterogeneous: bool
) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    """The panel, sorted by city and year, and what is true in it."""
    streams = Streams(seed, SALT)
    cities = geography.cities(since_2005=True)
    confounding = _confounding(streams, cities)
    rollout = _rollout(streams, cities, confounding)
    moderators, splits = _moderators(streams, cities, confounding)
    parallel = _parallel(streams, cities.count)
    resilience = _resilience(
        streams,
        confounding,
        rollout,
        splits if heterogeneous else {},
        parallel,
    )
    columns = {
        "gip": rollout.treated,
        **confounding.covariates,
        **resilience.indicators,
        **resilience.mediators,
        **moderators,
        **parallel,
    }
    truth = _truth(
        seed,
        cities,
        confounding,
        rollout,
        resilience,
        splits,
        heterogeneous=heterogeneous,
    )
    return _panel(cities, columns), truth


def _confounding(streams: Streams, cities: geography.Cities) -> Confounding:
    """Twelve persistent covariates around a development factor, and their indices."""
    import numpy as np

    count, periods = cities.count, len(YEARS)
    km = geography.distances(cities)
    region = {"east": 0.6, "central": 0.0, "northeast": -0.1, "west": -0.4}
    near = spatial_field(streams.normal("field", count), km, 400)
    development = standardized(
        np.array([region[r] for r in cities.region])
        + 0.6 * cities.level
        + 0.5 * near
        + 0.6 * streams.normal("development", count)
    )[:, None]
    made = {}
    for name, loading in CONFOUNDERS.items():
        own = streams.normal(f"{name} city", count)[:, None]
        wander = autoregressive(streams.normal(name, count, periods), 0.8)
        rest = np.sqrt(1 - loading**2)
        made[name] = standardized(
            loading * development + rest * (0.7 * own + 0.714 * wander)
        )
    c = made
    index = (
        c["secondary"] ** 2
        - 1
        + 0.9 * c["gdp_pc"] * c["regulation"]
        + 0.8 * np.abs(c["fdi"])
        - 0.9 * c["density"] * c["fiscal"]
        + 0.7 * (c["internet"] > 0.5) * c["human_capital"]  # noqa: PLR2004 - a kink
    )
    linear = 0.5 * c["gdp_pc"] + 0.3 * c["human_capital"] + 0.3 * c["wage"]
    return Confounding(made, standardized(index), standardized(linear))


def _rollout(
    streams: Streams, cities: geography.Cities, confounding: Confounding
) -> Rollout:
    """Discrete hazard 2017-2022; the intercept of each year meets the expected number."""
    import numpy as np
    from scipy import optimize, special

    fixed = (
        0.35 * (cities.region == "east")
        - 0.15 * (cities.region == "west")
        + 0.17 * (cities.level + cities.sub_provincial)
    )
    first = np.full(cities.count, np.inf)
    for year, expected in ADOPTIONS.items():
        t = YEARS.index(year)
        logit = 1.3 * confounding.index[:, t] + 0.45 * confounding.linear[:, t] + fixed
        waiting = ~np.isfinite(first)

        def surplus(
            a: float,
            logit: Floats = logit,
            waiting: npt.NDArray[np.bool_] = waiting,
            expected: int = expected,
        ) -> float:
            return float(special.expit(a + logit[waiting]).sum()) - expected

        intercept = optimize.brentq(surplus, -30, 30)
        chance = special.expit(intercept + logit)
        adopts = waiting & (
            streams.of(f"adoption {year}").random(cities.count) < chance
        )
        first[adopts] = year
    return Rollout(first, (np.array(YEARS) >= first[:, None]).astype(float))


def _moderators(
    streams: Streams, cities: geography.Cities, confounding: Confounding
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Openness, digital economy and computing power by year, and 0/1 groups by city.

    A city is open, digital or rich in computing power above the median of 2010.
    """
    import numpy as np

    c, time = confounding.covariates, (np.array(YEARS) - 2005) / 17
    shape = (cities.count, len(YEARS))
    level = {
        "trade_share": (0.5, c["fdi"], 0.0),
        "digital_index": (0.6, c["internet"], 1.2),
        "ai_compute": (0.4, c["human_capital"], 2.0),
    }
    made = {
        name: np.exp(
            loading * source.mean(axis=1, keepdims=True)
            + 0.6 * streams.normal(f"{name} city", cities.count)[:, None]
            + trend * time
            + 0.05 * autoregressive(streams.normal(name, *shape), 0.7)
        )
        for name, (loading, source, trend) in level.items()
    }
    t = YEARS.index(_SPLIT_YEAR)
    groups = {
        group: (made[name][:, t] > np.median(made[name][:, t])).astype(float)
        for group, name in zip(("open", "digital", "compute"), level, strict=True)
    }
    east = (cities.region == "east").astype(float)
    return made, {**groups, "east": east, "resource_based": cities.resource_based}


def _parallel(streams: Streams, count: int) -> dict[str, Floats]:
    """Three other policies with simulated dates, of 105 random cities each."""
    import numpy as np

    made = {}
    for name, years in (
        ("low_carbon", (2010, 2012, 2017)),
        ("smart_city", (2012, 2013, 2014)),
        ("broadband", (2014, 2015, 2016)),
    ):
        place = streams.of(name).permutation(count)
        first = np.full(count, np.inf)
        for batch, year in enumerate(years):
            first[(place >= 35 * batch) & (place < 35 * (batch + 1))] = year
        made[name] = (np.array(YEARS) >= first[:, None]).astype(float)
    return made


def _resilience(
    streams: Streams,
    confounding: Confounding,
    rollout: Rollout,
    splits: Mapping[str, Floats],
    parallel: Mapping[str, Floats],
) -> Resilience:
    """The latent index with its known effect, and twelve indicators linear in it."""
    import numpy as np

    count, periods = rollout.treated.shape
    years = np.array(YEARS)
    time = (years - 2005) / 17
    c, treated = confounding.covariates, rollout.treated
    theta = np.full(count, THETA)
    for name, members in splits.items():
        theta = theta + MODERATORS[name] * members

    green = 0.5 * c["gdp_pc"] + 0.3 * c["human_capital"] + 0.8 * time
    green = green + ON_MEDIATORS[0] * treated
    green = green + 0.25 * streams.normal("green", count, periods)
    structure = 0.4 * c["wage"] + 0.3 * c["finance"] + 0.5 * time
    structure = structure + ON_MEDIATORS[1] * treated
    structure = structure + 0.25 * streams.normal("structure", count, periods)
    through = sum(a * b for a, b in zip(ON_MEDIATORS, OF_MEDIATORS, strict=True))

    latent = (
        0.36
        + 0.05 * time
        + 0.01 * streams.normal("city", count)[:, None]
        + CONFOUNDING * confounding.index * ramp()
        + 0.02 * confounding.linear
        + 0.01 * np.sin(2 * c["finance"])
        + (theta[:, None] - through) * treated
        + OF_MEDIATORS[0] * green
        + OF_MEDIATORS[1] * structure
        + 0.03 * streams.normal("noise", count, periods)
    )
    for name, effect in PARALLEL.items():
        latent = latent + effect * parallel[name]
    indicators = {}
    for k, slope in enumerate(_SLOPES, start=1):
        own = 0.03 * streams.normal(f"r{k} city", count)[:, None]
        noise = 0.02 * streams.normal(f"r{k}", count, periods)
        indicators[f"r{k}"] = 1.5 + slope * (latent + own + noise)
    mediators = {"green_patents": green, "structure": structure}
    return Resilience(theta, mediators, indicators)


def ramp() -> Floats:
    """Weight of the confounding index by year: it grows, so city effects miss it."""
    import numpy as np

    return np.asarray(0.6 + 1.3 * np.maximum(np.array(YEARS) - 2013, 0) / 9)


def scale_of_index(indicators: Mapping[str, Floats]) -> float:
    """kappa: what one unit of the latent index is on the entropy-weighted index."""
    import numpy as np

    from estimators._math.indices import directed, entropy_weights, normalised

    names = tuple(indicators)
    x = np.column_stack([indicators[name].ravel() for name in names])
    positive = np.array([name not in NEGATIVE for name in names])
    _, weights = entropy_weights(normalised(directed(x, positive), "min_max"))
    slopes = np.abs(np.array([_SLOPES[int(name[1:]) - 1] for name in names]))
    return float((weights * slopes / np.ptp(x, axis=0)).sum())


def _panel(cities: geography.Cities, columns: Mapping[str, Floats]) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    periods = len(YEARS)
    fixed = {
        "city": cities.codes,
        "name": np.array(cities.names),
        "province": cities.province,
        "region": cities.region,
        "municipality": cities.municipality.astype(int),
        "east": (cities.region == "east").astype(int),
        "resource_based": cities.resource_based.astype(int),
    }
    frame = {name: np.repeat(values, periods) for name, values in fixed.items()}
    frame |= {
        "year": np.tile(np.array(YEARS), cities.count),
        "origin": np.repeat("simulated", cities.count * periods),
    }
    whole = {"gip", *PARALLEL}
    frame |= {
        name: values.ravel().astype(int) if name in whole else values.ravel()
        for name, values in columns.items()
    }
    return pd.DataFrame(frame)


def _truth(
    seed: int,
    cities: geography.Cities,
    confounding: Confounding,
    rollout: Rollout,
    resilience: Resilience,
    splits: Mapping[str, Floats],
    *,
    heterogeneous: bool,
) -> dict[str, Any]:
    """Every true quantity, on the scale of the entropy-weighted index."""
    import numpy as np

    preset = "heterogeneous" if heterogeneous else "constant"
    kappa = scale_of_index(resilience.indicators)
    cells = rollout.treated.sum(axis=1)  # treated years per city
    codes = [str(code) for code in cities.codes]
    treated = np.flatnonzero(np.isfinite(rollout.first))

    def att(members: npt.NDArray[np.bool_]) -> float:
        weight = cells * members
        return float(kappa * (resilience.theta * weight).sum() / weight.sum())

    everyone = np.ones(cities.count, dtype=bool)
    shares = [a * b for a, b in zip(ON_MEDIATORS, OF_MEDIATORS, strict=True)]
    return {
        "generated": (
            f"Simulated variables (generator gip, seed {seed}, preset {preset}) on real "
            "cities; the rollout of green industrial parks is simulated, too. Nothing "
            "here is an observation."
        ),
        "generator": "gip",
        "seed": seed,
        "preset": preset,
        "outcome": "uicr",
        "kappa": kappa,
        "kappa_parts": {
            part: scale_of_index({name: resilience.indicators[name] for name in names})
            for part, names in PARTS.items()
        },
        "estimands": {
            "att": att(everyone),
            "by_cohort": {
                str(int(g)): att(rollout.first == g)
                for g in np.unique(rollout.first[treated])
            },
            "by_group": {
                name: {str(v): att(members == v) for v in (0, 1)}
                for name, members in splits.items()
            },
            "by_region": {
                str(r): att(cities.region == r) for r in np.unique(cities.region)
            },
            "indirect": {
                "green_patents": kappa * shares[0],
                "structure": kappa * shares[1],
            },
            "direct": att(everyone) - kappa * sum(shares),
            "on_mediators": {
                "green_patents": ON_MEDIATORS[0],
                "structure": ON_MEDIATORS[1],
            },
            "parallel": {name: kappa * effect for name, effect in PARALLEL.items()},
        },
        "by_city": {
            code: float(kappa * theta)
            for code, theta in zip(codes, resilience.theta, strict=True)
        },
        "first_treated": {codes[i]: int(rollout.first[i]) for i in treated},
        "years": list(YEARS),
        "confounding": {
            code: [float(v) for v in row]
            for code, row in zip(codes, confounding.index * ramp(), strict=True)
        },
    }
