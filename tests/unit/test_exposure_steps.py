"""Exposure mappings and rings: by hand, invariances, and a spillover they recover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from estimators.steps.exposure import Exposure
from estimators.steps.ring import Ring
from framework.errors import EstimandError
from framework.panel import Panel

PLACES = {"latitude": "lat", "longitude": "lon"}
#: One degree of latitude on the sphere of 6,371.0088 km.
DEGREE = 111.19508


def line(treated=((0, 2001),), n=5, periods=(2000, 2001)) -> Panel:
    """Units a, b, c, … on a meridian, one degree apart."""
    starts = dict(treated)
    rows = [
        (chr(97 + i), year, float(i), 10.0, float(year >= starts.get(i, 9999)))
        for i in range(n)
        for year in periods
    ]
    frame = pd.DataFrame(rows, columns=["city", "year", "lat", "lon", "d"])
    return Panel(frame, "city", "year", key="k")


def made(step, panel, name="s"):
    return step.apply(panel, name, frozenset({"d", "city", "year"})).panel.frame


def at(frame, column, year=2001):
    return frame.loc[frame["year"] == year, column].tolist()


def test_forms_by_hand():
    panel = line(((0, 2001), (3, 2000)))
    near = {"of": "d", "within_km": 1.5 * DEGREE} | PLACES
    assert at(made(Exposure(form="any", **near), panel), "s") == [0, 1, 1, 0, 1]
    assert at(made(Exposure(form="any", **near), panel), "s", 2000) == [0, 0, 1, 0, 1]
    two = near | {"within_km": 2.5 * DEGREE}
    assert at(made(Exposure(form="count", **two), panel), "s") == [0, 2, 2, 0, 1]
    shares = at(made(Exposure(form="share", **two), panel), "s")
    assert shares == pytest.approx([0, 2 / 3, 2 / 4, 0, 1 / 2])
    step = Exposure(of="d", form="inverse_distance", power=2, **PLACES)
    found = np.array(at(made(step, panel), "s")) * DEGREE**2
    assert found == pytest.approx(
        [1 / 9, 1 + 1 / 4, 1 + 1 / 4, 1 / 9, 1 + 1 / 16], rel=1e-6
    )


def test_the_nearest_is_zero_for_the_treated_and_missing_where_nobody_is():
    panel = line(((0, 2001),))
    frame = made(Exposure(of="d", form="nearest_km", **PLACES), panel)
    assert np.array(at(frame, "s")) / DEGREE == pytest.approx([0, 1, 2, 3, 4], rel=1e-6)
    assert np.isnan(at(frame, "s", 2000)).all()
    ever = made(Exposure(of="d", form="nearest_km", ever=True, **PLACES), panel)
    assert at(ever, "s", 2000) == at(ever, "s")


def test_rings_split_the_line_and_skip_the_treated():
    panel = line(((0, 2001),), n=6)
    edges = (0, 1.5 * DEGREE, 3.5 * DEGREE)
    step = Ring(of="d", edges=edges, **PLACES)
    inner, outer = step.makes("s")
    assert inner == "s_0_166.793"
    frame = made(step, panel)
    assert at(frame, inner) == [0, 1, 0, 0, 0, 0]
    assert at(frame, outer) == [0, 0, 1, 1, 0, 0]
    assert at(frame, inner, 2000) == [0] * 6
    # Two treated neighbours are in each other's ring when rings are those of treated.
    both = line(((0, 2001), (1, 2001)), n=6)
    around = made(Ring(of="d", edges=edges, around="treated", **PLACES), both)
    assert at(around, inner) == [1, 1, 0, 0, 0, 0]


def test_order_of_rows_and_absent_units():
    panel = line(((0, 2001), (3, 2000)))
    step = Exposure(of="d", form="count", within_km=1.5 * DEGREE, **PLACES)
    frame = made(step, panel)
    turned = panel.frame.sample(frac=1.0, random_state=1)
    again = made(step, Panel(turned, "city", "year", key="k")).loc[frame.index]
    assert again["s"].tolist() == frame["s"].tolist()
    holes = Panel(panel.frame.drop(index=[1]), "city", "year", key="k")
    out = step.apply(holes, "s", frozenset())
    assert (
        "1 unit-periods without a row count as untreated" in out.panel.ledger[-1].detail
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"d": np.nan}, "D02"),
        ({"d": 0.0}, "D06"),
        ({"lat": 4e6}, "S06"),
        ({"lon": np.nan}, "S06"),
    ],
)
def test_what_is_refused(change, code):
    panel = line()
    bad = Panel(panel.frame.assign(**change), "city", "year", key="k")
    with pytest.raises(EstimandError) as caught:
        made(Ring(of="d", edges=(0, 100), **PLACES), bad)
    assert [p.code for p in caught.value.problems] == [code]


def test_two_units_at_one_point_have_no_inverse_distance():
    panel = line()
    frame = panel.frame.assign(lat=panel.frame["lat"].clip(lower=1.0))
    bad = Panel(frame, "city", "year", key="k")
    with pytest.raises(EstimandError) as caught:
        made(Exposure(of="d", form="inverse_distance", **PLACES), bad)
    assert caught.value.problems[0].code == "S04"


def test_options_that_are_none():
    with pytest.raises(ValidationError, match="within_km"):
        Exposure(of="d", form="any", **PLACES)
    for edges in ((5,), (10, 5), (-1, 5)):
        with pytest.raises(ValidationError, match="rise"):
            Ring(of="d", edges=edges, **PLACES)


def test_rings_recover_effect_and_spillover_and_a_donut_the_effect():
    from estimators.twfe import Twfe
    from tests.build_request import build_request

    rng = np.random.default_rng(3)
    n, t = 150, 6
    places = rng.uniform(0, 12, (n, 2))
    treated = rng.random(n) < 0.15
    frame = pd.DataFrame(
        {
            "city": np.repeat([f"c{i:03d}" for i in range(n)], t),
            "year": np.tile(np.arange(2000, 2000 + t), n),
            "lat": np.repeat(places[:, 0], t),
            "lon": np.repeat(places[:, 1], t),
        }
    )
    frame["d"] = (np.repeat(treated, t) & (frame["year"] >= 2003)).astype(float)
    panel = Panel(frame, "city", "year", key="k")
    ring = Ring(of="d", edges=(0, 60, 120), **PLACES)
    frame = made(ring, panel, "near")
    near, far = ring.makes("near")
    nearest = Exposure(of="d", form="nearest_km", ever=True, **PLACES)
    frame = frame.assign(km=made(nearest, panel)["s"])
    frame["y"] = frame["d"] + 0.6 * frame[near] + 0.3 * frame[far]
    frame["y"] += rng.normal(scale=0.05, size=n * t)

    def did(data, *controls):
        req = build_request(
            data,
            outcome="y",
            treatment="d",
            controls=list(controls),
            fixed_effects=("city", "year"),
            unit="city",
            time="year",
            inference="cluster",
            clusters=["city"],
        )
        return Twfe().estimate(req).coefficients.set_index("term")["estimate"]

    # 900 rows with errors of 0.05: a coefficient is known to 0.01.
    with_rings = did(frame, near, far)
    assert with_rings["d"] == pytest.approx(1.0, abs=0.04)
    assert with_rings[[near, far]].tolist() == pytest.approx([0.6, 0.3], abs=0.04)
    assert did(frame)["d"] < 0.9
    donut = frame[(frame["km"] == 0) | (frame["km"] > 120)]
    assert did(donut)["d"] == pytest.approx(1.0, abs=0.04)
