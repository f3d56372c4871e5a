"""The parts of the generator `aipz`, in the order in which they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from estimators.generators import _efficiency as dea
from estimators.generators import _geography as geography
from estimators.generators import _structure as structure
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

YEARS = tuple(range(2011, 2024))
#: The outcome; the yearly super-SBM score of the inputs and outputs equals it.
OUTCOME = "ulgue_simulated"
WINDOW = 2015  # first year of the paper's sample
CONTROLS = ("eco", "fe", "ur", "edu", "gov", "op")
#: Streams of random numbers for cities with their controls, for the outcome and for the
#: mechanisms. Chosen so that seed 111 comes near the paper: a selection, which
#: docs/simulated_data.md says wherever that panel is shown.
SALT, OUTCOME_SALT, MECHANISM_SALT = 23, 0, 84

#: Table 2: mean, sd, minimum, maximum.
MOMENTS = {
    "eco": (10.9347, 0.5236, 9.3045, 12.4863),
    "fe": (17.7909, 1.0764, 15.5246, 21.9733),
    "ur": (0.5982, 0.1381, 0.2503, 0.9980),
    "edu": (0.0352, 0.0174, 0.0021, 0.1486),
    "gov": (3.1448, 1.9739, 0.9211, 17.8950),
    "op": (6.9548, 2.1432, 0.1247, 12.0420),
}
MEAN, FLOOR, CEILING = 0.5640, 0.0114, 1.9379
#: From here on the outcome is bent below its ceiling.
BENT = 1.4
#: A large city has a million people in its urban districts (State Council, 2014).
LARGE = 100.0
#: Table 3, columns 4, 3 and 2: AI, ECO, FE, UR, EDU, GOV, OP.
PRINTED = {
    "within": (0.0638, 0.1929, 0.0337, -0.1825, 0.5196, -0.0001, -0.0018),
    "between": (0.1193, 0.4278, -0.1159, 0.3400, 4.8964, 0.0334, -0.0073),
    "time": (0.0592, 0.1475, -0.0651, -0.3289, -0.1123, -0.0080, -0.0014),
    "time_se": (0.0256, 0.0385, 0.0297, 0.1540, 1.2178, 0.0077, 0.0038),
}
#: The only effects of a zone in a municipality, another capital and another city that
#: agree with Table 3 column 4, Table 4 column 3 and Table 8 column 1 together.
EFFECTS = (0.0085, 0.0756, 0.1065)
RHO, MIC_EFFECT, MEAN_EFFECT, CLEAN_EFFECT = 0.43, 0.1029, 0.0498, 0.0638
GREEN_INNOVATION, SKILLED_LABOUR, UPGRADING = 0.1891, 0.1076, 0.036


@dataclass(frozen=True, slots=True)
class Place:
    """Cities and what does not change over time; arrays of shape (N,) or (N, N).

    Attributes:
        neighbours: row-standardised inverse distances.
        rank: administrative rank, 0 to 2.4.
        development, size: latent factors.
        treated, mic: 0/1 by city and year, (N, T).
    """

    cities: geography.Cities
    km: Floats
    neighbours: Floats
    rank: Floats
    development: Floats
    size: Floats
    first: Floats
    treated: Floats
    mic: Floats


@dataclass(frozen=True, slots=True)
class Outcome:
    """The structural outcome and its truth, (N, T) or (N,).

    Attributes:
        without: potential outcome without any zone.
        value: the outcome.
        effect: tau per city, before spatial feedback.
        multiplier: (I - rho W)^-1.
    """

    without: Floats
    value: Floats
    effect: Floats
    multiplier: Floats
    year_effects: Floats
    rho: float
    mic_effect: float


def panel_and_truth(
    seed: int, *, clean: bool, efficiency: bool
) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    """The panel, sorted by city and year, and what is true in it."""
    streams = Streams(seed, SALT)
    place = _place(streams)
    controls = _controls(streams, place)
    outcome = _outcome(Streams(seed, OUTCOME_SALT), place, controls, clean=clean)
    channels = mechanisms(Streams(seed, MECHANISM_SALT), place)
    columns = {
        OUTCOME: outcome.value,
        **policies(place),
        "gdp_pc": _exp(controls["eco"]),
        "loans_deposits": _exp(controls["fe"]),
        **{name: controls[name] for name in ("ur", "edu", "gov")},
        "fdi": _exp(controls["op"]),
        **channels,
        **surroundings(streams, place),
    }
    if efficiency:
        columns |= production(streams, place, columns)
    return _panel(place, columns), _truth(seed, place, outcome, clean=clean)


def _place(streams: Streams) -> Place:
    import numpy as np

    cities = geography.cities()
    km = geography.distances(cities)
    count = cities.count
    region = _by_region(cities, east=0.7, central=0.0, northeast=-0.2, west=-0.35)
    rank = np.maximum.reduce(
        [2.4 * cities.municipality, 1.7 * cities.sub_provincial, 1.2 * cities.capital]
    )
    rich = np.isin(cities.codes, (320500, 320200, 440600, 441900)) * 1.2
    near = [spatial_field(streams.normal(f"field {k}", count), km, 400) for k in (0, 1)]
    own = [streams.normal(f"city {k}", count) for k in (0, 1)]
    first = cities.first_years(geography.pilot_zones())
    mic = cities.first_years(geography.policy("MIC2025"))
    return Place(
        cities=cities,
        km=km,
        neighbours=geography.inverse_distance(km),
        rank=rank,
        development=region + 0.45 * rank + 0.6 * rich + 0.45 * near[0] + 0.6 * own[0],
        size=0.95 * rank + 1.1 * rich + 0.35 * near[1] + 0.15 * region + 0.65 * own[1],
        first=first,
        treated=since(first),
        mic=since(mic),
    )


def since(first: Floats) -> Floats:
    """1 from the first year on, (N, T)."""
    import numpy as np

    return (np.array(YEARS) >= first[:, None]).astype(float)


def _by_region(cities: geography.Cities, **shift: float) -> Floats:
    import numpy as np

    return np.array([shift[r] for r in cities.region])


def window() -> npt.NDArray[np.bool_]:
    """Years of the paper's sample, (T,)."""
    import numpy as np

    return np.array(YEARS) >= WINDOW


def _moving(streams: Streams, part: str, slope: float, noise: float) -> Floats:
    """City trend and AR(1) noise around a latent's level, (N, T)."""
    import numpy as np

    count = geography.cities().count
    time = (np.array(YEARS) - 2019) / 4
    own = streams.normal(f"{part} slope", count)[:, None]
    wander = autoregressive(streams.normal(f"{part} noise", count, len(YEARS)), 0.7)
    return np.asarray(slope * own * time + noise * wander)


def _controls(streams: Streams, place: Place) -> dict[str, Floats]:
    """The six controls of Table 2: latents, then its four moments, (N, T) each."""
    import numpy as np

    from estimators._math.marginals import Moments, pinned, rank_mapped

    time = (np.array(YEARS) - 2019) / 4
    rank, dev, size = (v[:, None] for v in (place.rank, place.development, place.size))
    inland = _by_region(place.cities, east=-0.3, central=0, northeast=0.5, west=0.45)
    own = {
        name: streams.normal(f"{name} city", place.cities.count)[:, None]
        for name in CONTROLS
    }
    latents = {
        # Catch-up of the high-ranking cities is what makes the controls necessary.
        "eco": dev + 0.34 * time - 0.37 * 0.62 * rank * time + 0.31 * own["eco"],
        "fe": size + 1.0 * dev + 0.38 * time + 0.3 * own["fe"],
        "ur": 0.8 * dev + 0.3 * rank + 0.3 * time + 0.5 * own["ur"],
        "edu": -0.9 * dev - 0.3 * size - 0.1 * time + 0.45 * own["edu"],
        "gov": -0.7 * dev
        - 0.35 * size
        + inland[:, None]
        + 0.3 * time
        + 0.6 * own["gov"],
        "op": 0.35 * dev + 0.45 * size - 0.1 * time + 0.9 * own["op"],
    }
    moving = {
        "eco": (0.12, 0.12),
        "fe": (0.08, 0.075),
        "ur": (0.10, 0.10),
        "edu": (0.11, 0.13),
        "gov": (0.15, 0.18),
        "op": (0.37, 0.47),
    }
    count = place.cities.count
    inside = np.broadcast_to(window(), (count, len(YEARS))).ravel()
    made = {}
    for name in CONTROLS:
        latent = (latents[name] + _moving(streams, name, *moving[name])).ravel()
        sample = pinned(int(inside.sum()), Moments(*MOMENTS[name]))
        made[name] = rank_mapped(latent, inside, sample).reshape(count, len(YEARS))
    return made


def _outcome(
    streams: Streams, place: Place, controls: Mapping[str, Floats], *, clean: bool
) -> Outcome:
    """Efficiency of land use with the effects that are known."""
    import numpy as np

    count, inside = place.cities.count, window()
    rho, mic_effect = (0.0, 0.0) if clean else (RHO, MIC_EFFECT)
    multiplier = np.asarray(
        np.linalg.inv(np.eye(count) - rho * place.neighbours), dtype=np.float64
    )
    effect = _effects(place, clean=clean)
    printed = {name: np.array(values) for name, values in PRINTED.items()}

    Z = np.stack([place.treated, *controls.values()])
    base = np.tensordot(printed["within"][1:], Z[1:], axes=1)
    policy = effect[:, None] * place.treated + mic_effect * place.mic
    delta = structure.city_loadings(
        Z[:, :, inside],
        (multiplier @ (base + policy))[:, inside],
        multiplier,
        printed["between"],
    )
    predicted = multiplier @ (Z[:, :, inside].mean(axis=2).T @ delta)
    fitted = (multiplier @ base)[:, inside].mean(axis=1) + predicted
    level = np.maximum(MEAN + fitted - fitted.mean(), 0.15)

    near = spatial_field(streams.normal("field 2", count), place.km, 400)
    drawn = np.sqrt(0.3) * near + np.sqrt(0.7) * streams.normal("city 2", count)
    skewed = level**1.5 * np.expm1(0.4 * drawn)
    alpha = structure.residualised(skewed, Z[:, :, inside], multiplier)
    alpha *= 0.203 / alpha.std()
    level = np.maximum(level + multiplier @ alpha, 0.1)

    wander = autoregressive(streams.normal("outcome noise", count, len(YEARS)), 0.35)
    eps = (
        0.133
        * (level / np.sqrt((level**2).mean()))[:, None]
        * np.clip(wander, -2.5, 2.5)
    )

    city = np.array([Z[:, :, inside].mean(axis=2).T @ delta + alpha]).T
    latent = multiplier @ (base + city + eps + mic_effect * place.mic)
    shift = np.zeros(len(YEARS))
    shift[inside] = structure.year_effects(
        (latent + multiplier @ (effect[:, None] * place.treated))[:, inside],
        Z[:, :, inside],
        printed["time"],
        printed["time_se"],
        0.08,
    )
    shift[~inside] = shift[inside][0]  # earlier years go on as the first one
    added = multiplier @ (effect[:, None] * place.treated)
    untreated = _untreated(latent + shift, added)
    return Outcome(
        without=untreated,
        value=untreated + added,
        effect=effect,
        multiplier=multiplier,
        year_effects=shift,
        rho=rho,
        mic_effect=mic_effect,
    )


def _untreated(latent: Floats, added: Floats) -> Floats:
    """The outcome without zones, in bounds; with them it has Table 2's mean, min, max.

    Args:
        latent: before bounds, up to a constant.
        added: what the zones add.
    """
    import numpy as np
    from scipy import optimize

    inside = window()
    latent = latent + MEAN - latent[:, inside].mean()

    def bounded(constant: float) -> Floats:
        return np.maximum(_below_ceiling(latent + constant), FLOOR)

    def surplus(constant: float) -> float:
        return float((bounded(constant) + added)[:, inside].mean()) - MEAN

    found = bounded(float(optimize.brentq(surplus, -1, 1, xtol=1e-12)))
    # One city-year each: the printed extremes are those of single rows, too.
    for pick, printed in ((np.argmin, FLOOR), (np.argmax, CEILING)):
        city, t = np.unravel_index(
            pick((found + added)[:, inside]), (len(found), int(inside.sum()))
        )
        year = int(np.flatnonzero(inside)[t])
        found[city, year] = printed - added[city, year]
    return found


def _below_ceiling(values: Floats) -> Floats:
    """Values above `BENT` bent towards the printed maximum; the others unchanged."""
    import numpy as np

    room = CEILING - 0.03 - BENT
    bent = BENT + room * np.tanh((values - BENT) / room)
    return np.where(values > BENT, bent, values)


def _effects(place: Place, *, clean: bool) -> Floats:
    import numpy as np

    cities = place.cities
    if clean:
        return np.full(cities.count, CLEAN_EFFECT)
    kind = np.where(cities.municipality > 0, 0, np.where(cities.level > 0, 1, 2))
    effect = np.array(EFFECTS)[kind]
    inside = place.treated[:, window()].sum(axis=1)
    return np.asarray(effect * MEAN_EFFECT / ((effect * inside).sum() / inside.sum()))


def _exp(values: Floats) -> Floats:
    import numpy as np

    return np.asarray(np.exp(values))


def policies(place: Place) -> dict[str, Floats]:
    """The pilot zones and three concurrent policies, real dates, 0/1."""
    other = {
        name.lower(): since(place.cities.first_years(geography.policy(name)))
        for name in ("ECR", "NDEI")
    }
    return {"ai": place.treated, "mic2025": place.mic, **other}


def mechanisms(streams: Streams, place: Place) -> dict[str, Floats]:
    """Green patents, skilled workers and sector shares with their true effects.

    The two logarithms and the structure index (3 a1 + 2 a2 + a3 of the angles between
    the shares and the axes) are city + year + effect + AR(1) noise.
    """
    import numpy as np

    dev, size = standardized(place.development), standardized(place.size)
    time = (np.array(YEARS) - 2019) / 4

    def path(
        part: str, level: Floats, trend: float, noise: float, gain: float
    ) -> Floats:
        shape = (place.cities.count, len(YEARS))
        wander = autoregressive(streams.normal(f"{part} noise", *shape), 0.35)
        effect = gain * place.treated
        return np.asarray(level[:, None] + trend * time + effect + noise * wander)

    count = place.cities.count
    own = {
        p: streams.normal(f"{p} city", count) for p in ("gti", "lso", "one", "three")
    }
    green = 5.6 + 0.3 * dev + 0.35 * size + 0.45 * own["gti"]
    skilled = 11.2 + 0.4 * dev + 0.85 * size + 0.9 * own["lso"]

    primary = np.clip(0.11 * np.exp(-0.55 * dev + 0.25 * own["one"]), 0.005, 0.23)
    tertiary = 0.47 * (1 - primary) * np.exp(0.08 * np.tanh(0.4 * dev + own["three"]))
    level = structure_index(primary, tertiary)
    index = path("structure", np.asarray(level), 0.02, 0.043, UPGRADING)
    primary = np.clip(primary[:, None] * np.exp(-0.04 * time), 0.004, 0.25)
    tertiary = _tertiary(primary, index)
    return {
        "green_patents": np.rint(
            _exp(path("gti", green, 0.45, 0.25, GREEN_INNOVATION))
        ),
        "skilled_workers": np.rint(
            _exp(path("lso", skilled, 0.2, 0.29, SKILLED_LABOUR))
        ),
        "primary": primary,
        "secondary": 1 - primary - tertiary,
        "tertiary": tertiary,
    }


def structure_index(primary: Floats, tertiary: Floats) -> Floats:
    """3 a1 + 2 a2 + a3, a_j the angle between the share vector and axis j."""
    import numpy as np

    shares = np.stack([primary, 1 - primary - tertiary, tertiary])
    angles = np.arccos(shares / np.sqrt((shares**2).sum(axis=0)))
    return np.asarray(np.tensordot([3.0, 2.0, 1.0], angles, axes=1))


def _tertiary(primary: Floats, index: Floats) -> Floats:
    """The tertiary share that gives the index, by bisection: it rises with the share."""
    import numpy as np

    low, high = np.full_like(primary, 0.1), 0.98 - primary
    for _ in range(60):
        middle = (low + high) / 2
        under = structure_index(primary, middle) < index
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return np.asarray((low + high) / 2)


def surroundings(streams: Streams, place: Place) -> dict[str, Floats]:
    """Population, size class, digital infrastructure and the telephones of 1984.

    Every city with a zone is large and above the mean of each of the three indicators,
    as in the paper: an interaction with either class equals the treatment.
    """
    import numpy as np

    dev, size = standardized(place.development), standardized(place.size)
    time = (np.array(YEARS) - 2019) / 4
    count = place.cities.count
    zone = np.isfinite(place.first)
    people = np.exp(5.75 + 0.55 * size + 0.2 * streams.normal("people", count))
    urban = people * np.clip(0.32 + 0.12 * dev, 0.12, 0.9)
    made = {
        "population": people[:, None] * np.exp(0.02 * time),
        "scale": np.repeat(
            ((urban > LARGE) | zone).astype(float)[:, None], len(YEARS), 1
        ),
    }
    for name, usual, growth in (
        ("broadband", 110.0, 0.45),
        ("mobile", 380.0, 0.15),
        ("telecom", 55.0, 0.25),
    ):
        log = 0.4 * size + 0.3 * dev + 0.25 * streams.normal(f"{name} city", count)
        wander = autoregressive(streams.normal(name, count, len(YEARS)), 0.7)
        values = usual * np.exp(log[:, None] + growth * time + 0.05 * wander)
        for _ in range(40):  # raising some raises the mean that they must exceed
            least = 1.02 * values[:, window()].mean()
            values[zone] = np.maximum(values[zone], least)
        made[name] = values
    telephones = 0.45 * dev + 0.35 * size + 0.25 * streams.normal("telephones", count)
    per_hundred = 0.6 * np.exp(0.85 * telephones)
    lines = np.exp(9.9 + 0.45 * telephones + 0.55 * size)
    made["phones_1984"] = np.repeat(per_hundred[:, None], len(YEARS), 1)
    made["phone_lines_1984"] = np.repeat(np.rint(lines)[:, None], len(YEARS), 1)
    return made


#: Per 10,000 yuan of value added in 2019, and growth per year: land, labour, capital,
#: energy; sulfur dioxide, wastewater, soot. A yearly frontier does not see the growth.
_INTENSITY = (
    (7.5e-6, -0.05),
    (2.6e-6, -0.07),
    (3.1, 0.01),
    (0.035, -0.02),
    (2.4e-8, -0.25),
    (0.12, -0.15),
    (3.2e-4, -0.22),
)


def production(
    streams: Streams, place: Place, columns: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Inputs, outputs and bad outputs whose yearly super-SBM score is the outcome.

    Value added is GDP without the primary sector. Income and green space scale with it;
    the paper's are per head, which under constant returns would make small cities
    efficient by construction.
    """
    import numpy as np

    count, periods = place.cities.count, len(YEARS)
    added = (1 - columns["primary"]) * columns["gdp_pc"] * columns["population"]
    wanted = columns[OUTCOME]
    goods = np.stack([added] * dea.GOODS, axis=2)
    for k, part in enumerate(("income", "green space"), start=1):
        own = 0.12 * streams.normal(f"{part} city", count)[:, None]
        wander = autoregressive(streams.normal(part, count, periods), 0.7)
        goods[:, :, k] *= np.exp(own + 0.03 * wander)
    usual = added.mean()
    mix = 0.07 * streams.normal("mix city", count, 1, dea.RESOURCES)
    moving = streams.normal("mix", count * dea.RESOURCES, periods)
    wander = autoregressive(moving, 0.7).reshape(count, dea.RESOURCES, periods)
    mix = mix + 0.02 * wander.transpose(0, 2, 1)
    often = np.argsort(
        -np.where((wanted >= 1).any(1), wanted.mean(1), -1), kind="stable"
    )
    sets = dict(zip(often.tolist(), dea.specialties(count), strict=True))
    own_sets = tuple(sets[unit] for unit in range(count))

    made = np.empty((dea.INPUTS + dea.GOODS + dea.BADS, count, periods))
    for t in range(periods):
        plan = dea.Blueprint(
            goods[:, t] / usual, added[:, t] / usual, mix[:, t], own_sets
        )
        found = dea.invert(plan, wanted[:, t])
        made[:, :, t] = np.hstack([found.inputs, found.bads, found.goods]).T
    years = np.array(YEARS) - 2019
    names = ("land", "labor", "capital", "energy", "so2", "wastewater", "soot")
    out = {
        name: made[k] * usual * level * np.exp(growth * years)
        for k, (name, (level, growth)) in enumerate(zip(names, _INTENSITY, strict=True))
    }
    scale = {"value_added": usual, "income": usual * 0.42, "green_space": usual * 2e-4}
    for k, (name, factor) in enumerate(scale.items(), start=len(names)):
        out[name] = made[k] * factor
    return out


def _panel(place: Place, columns: Mapping[str, Floats]) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    cities, periods = place.cities, len(YEARS)
    fixed = {
        "city": cities.codes,
        "name": np.array(cities.names),
        "province": cities.province,
        "region": cities.region,
        "lat": cities.latitude,
        "lon": cities.longitude,
        "municipality": cities.municipality.astype(int),
        "level": cities.level.astype(int),
    }
    frame = {name: np.repeat(values, periods) for name, values in fixed.items()}
    frame |= {
        "year": np.tile(np.array(YEARS), cities.count),
        "origin": np.repeat("simulated", cities.count * periods),
    }
    frame |= {name: _whole(values.ravel()) for name, values in columns.items()}
    return pd.DataFrame(frame)


def _whole(values: Floats) -> Floats | npt.NDArray[np.int64]:
    import numpy as np

    whole = values == np.rint(values)
    return values.astype(np.int64) if whole.all() else values


def _truth(seed: int, place: Place, outcome: Outcome, *, clean: bool) -> dict[str, Any]:
    """Every true quantity; means over the city-years with a zone in 2015-2023."""
    import numpy as np

    inside = window()
    years = np.array(YEARS)
    zone = (place.treated > 0) & inside
    gain = outcome.value - outcome.without
    own = outcome.effect[:, None] * place.treated
    age = years - place.first[:, None]
    codes = [str(code) for code in place.cities.codes]
    treated = np.flatnonzero(np.isfinite(place.first))

    def mean(cells: npt.NDArray[np.bool_]) -> float:
        return float(gain[cells].mean())

    direct = (np.diag(outcome.multiplier)[:, None] * own)[zone].mean()
    total = float(own[zone].mean()) / (1 - outcome.rho)
    level = place.cities.level[:, None] * np.ones(len(YEARS)) > 0
    return {
        "generated": (
            "Simulated yearbook variables (generator aipz, seed "
            f"{seed}, preset {'clean' if clean else 'paper'}) on real cities and real "
            "policy dates; nothing here is an observation of a yearbook."
        ),
        "generator": "aipz",
        "seed": seed,
        "preset": "clean" if clean else "paper",
        "outcome": OUTCOME,
        "estimands": {
            "att": mean(zone),
            "by_event_time": {
                str(k): mean(zone & (age == k)) for k in range(int(age[zone].max()) + 1)
            },
            "by_cohort": {
                str(int(g)): mean(zone & (place.first[:, None] == g))
                for g in np.unique(place.first[treated])
            },
            "att_level_1": mean(zone & level),
            "att_level_0": mean(zone & ~level),
            "mean_effect": float(own[zone].mean()),
            "direct": float(direct),
            "indirect": total - float(direct),
            "total": total,
            "mic2025": outcome.mic_effect,
            "green_patents_log": GREEN_INNOVATION,
            "skilled_workers_log": SKILLED_LABOUR,
            "structure_index_321": UPGRADING,
        },
        "rho": outcome.rho,
        "spatial_weights": "row-standardised inverse great-circle distance",
        "coefficients": dict(
            zip(CONTROLS, PRINTED["within"][1:], strict=True),
        ),
        "year_effects": {
            str(year): float(v)
            for year, v in zip(YEARS, outcome.year_effects, strict=True)
        },
        "effects": {codes[i]: float(outcome.effect[i]) for i in treated},
        "first_treated": {codes[i]: int(place.first[i]) for i in treated},
        "years": list(YEARS),
        "outcome_without_zones": {
            code: [float(v) for v in row]
            for code, row in zip(codes, outcome.without, strict=True)
        },
    }
