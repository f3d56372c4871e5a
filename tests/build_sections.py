"""Individuals seen once, in counties that adopt a law at different times or never."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

#: First treated year -> counties.
COUNTIES = {2012.0: 10, 2014.0: 9, 2015.0: 8, np.inf: 17}
YEARS = range(2010, 2017)


def truth(event_time: Any, cohort: Any) -> Any:
    """Effect by event time: grows, and is larger in earlier cohorts."""
    return 0.5 + 0.2 * np.asarray(event_time) + 0.1 * (2015.0 - np.asarray(cohort))


def surveys(
    seed: int = 0,
    *,
    counties: dict[float, int] | None = None,
    rows: tuple[int, int] = (3, 9),
    place: float = 0.5,
    trend_in_x: float = 0.0,
) -> pd.DataFrame:
    """A survey a year: rows of each county are other individuals every time.

    Args:
        seed: of everything.
        counties: sizes of the cohorts.
        rows: fewest individuals of a county in a year, and one more than most.
        place: standard deviation of the counties' effects and of their shocks.
        trend_in_x: the covariate `x`, larger among the treated, moves the outcome by
            this much per year: parallel trends hold given `x` only.
    """
    rng = np.random.default_rng(seed)
    sizes = counties or COUNTIES
    first = np.repeat(list(sizes), list(sizes.values()))
    n, T = len(first), len(YEARS)
    counts = rng.integers(*rows, (n, T))
    cell = np.repeat(np.arange(n * T), counts.ravel())
    county, year = cell // T, YEARS[0] + cell % T
    shock = place * (rng.normal(size=(n, 1)) + 0.5 * rng.normal(size=(n, T)))
    x = rng.normal(size=len(cell)) + 0.5 * np.isfinite(first[county])
    data = pd.DataFrame(
        {
            "county": [f"c{c:03d}" for c in county],
            "year": year,
            "first": first[county],
            "law_year": np.where(np.isinf(first), 0, first)[county].astype(int),
            "x": x,
            "w": rng.integers(1, 4, len(cell)).astype(float),
            "region": [f"r{c % 13:02d}" for c in county],
        }
    )
    data["d"] = (data.year >= data["first"]).astype(float)
    on = data.d.to_numpy() == 1
    effect = np.zeros(len(data))
    effect[on] = truth(data.year[on] - data["first"][on], data["first"][on])
    data["effect"] = effect
    data["y"] = (
        effect
        + shock.ravel()[cell]
        + 0.3 * (year - YEARS[0])
        + 0.4 * x
        + trend_in_x * x * (year - YEARS[0])
        + rng.normal(size=len(cell))
    )
    data["person"] = np.arange(len(data))
    return data
