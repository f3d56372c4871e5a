"""The kit's own data: small, with a known effect, of every structure.

All structures have these columns:
    y       outcome: EFFECT * d + 0.5 * x1 - 0.3 * x2 + effects of place and year + noise
    binary, count   outcomes of other kinds, raised by d
    d       0/1 treatment; in the panel it starts in 2013, 2015 or never
    start   the year in which d starts, 0 for never (no meaning in one cross-section)
    dose    treatment between 0 and 2 where d is 1, 0 elsewhere
    z       instrument: moves with d, not with the noise
    m       mediator, moved by d
    x1, x2  controls, neither moved by the treatment
    size    0/1 moderator of the unit, without influence on the effect
    w       weights, 1 to 4
    region, industry   text: 20 regions that contain the units, 12 industries across them
    latitude, longitude, gdp, land, labor, energy   positive numbers
    shares  a, b and c, which add up to 1
    gaps    a number, missing in some rows inside the units' series
    row     text that names the row
The panel has `city` (text) and `year`; repeated cross-sections have `year` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Estimator, Needs, Request, SpatialWeights
from framework.data.design import build
from framework.data.panels import PanelSpec, build_panel
from framework.panel import Kind, Panel
from framework.spec.model import Data, Model, PanelKeys, Source

#: The effect of `d` on `y`, the same for all units and periods.
EFFECT = 1.0
#: Units of the panel, first and last year.
UNITS, FIRST, LAST = 60, 2010, 2017
SEED = 20260301

#: Options without which an inference means nothing.
_INFERENCE: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "wild_bootstrap": {"cluster": "region", "draws": 199},
        "ferman_pinto": {"cluster": "city", "draws": 199},
        "conley": {"cutoff_km": 300.0},
    }
)
_KEYS: Mapping[Kind, tuple[str | None, str | None]] = MappingProxyType(
    {
        "panel": ("city", "year"),
        "repeated_cross_sections": (None, "year"),
        "cross_section": (None, None),
    }
)


def canonical_data(kind: Kind = "panel") -> pd.DataFrame:
    """The rows of a structure, by the names of the module's docstring."""
    rng = np.random.default_rng(SEED)
    years = np.arange(FIRST, LAST + 1)
    unit = np.repeat(np.arange(UNITS), len(years))
    year = np.tile(years, UNITS)
    # Three thirds: adopted in 2013, in 2015, never; regions hold some of each.
    start = np.array([2013.0, 2015.0, np.inf])[unit % 3]
    d = (year >= start).astype(float)
    place = rng.normal(size=UNITS)[unit]
    if kind == "cross_section":
        d = rng.integers(0, 2, len(unit)).astype(float)
        place, year = np.zeros(len(unit)), np.full(len(unit), LAST)
    n = len(unit)
    x1, x2 = rng.normal(size=(2, n))
    noise = 0.5 * rng.normal(size=n)
    y = EFFECT * d + 0.5 * x1 - 0.3 * x2 + place + 0.1 * (year - FIRST) + noise
    land, labor, energy = np.exp(0.3 * rng.normal(size=(3, n)))
    shares = rng.dirichlet([4.0, 3.0, 2.0], n).T
    data = pd.DataFrame(
        {
            # Names that sort otherwise than they stand, as names of places do.
            "city": [f"city {u * 37 % 101:03d}" for u in unit],
            "year": year,
            "y": y,
            "binary": (y + rng.normal(size=n) > 1).astype(float),
            "count": rng.poisson(np.exp(0.3 * d + 0.2 * x1)).astype(float),
            "d": d,
            "start": np.where(np.isfinite(start), start, 0.0).astype(int),
            "dose": d * (0.5 + unit % 4 / 2),
            "z": d + 0.5 * rng.normal(size=n),
            "m": 0.5 * d + rng.normal(size=n),
            "x1": x1,
            "x2": x2,
            "size": (unit // 3 % 2).astype(float),
            "w": rng.integers(1, 5, n).astype(float),
            "region": [f"region {u // 3 * 7 % 23:02d}" for u in unit],
            "industry": [f"industry {i}" for i in rng.integers(1, 13, n)],
            "latitude": 20.0 + (unit * 13 % 29) + unit / 100,
            "longitude": 80.0 + (unit * 7 % 31) + unit / 100,
            "gdp": np.exp(1 + 0.2 * place + 0.1 * rng.normal(size=n)),
            "land": land,
            "labor": labor,
            "energy": energy,
            "a": shares[0],
            "b": shares[1],
            "c": shares[2],
            "gaps": np.where(rng.random(n) < 0.1, np.nan, x1 + 3),  # noqa: PLR2004 - one in ten
            "row": [f"row {i}" for i in range(n)],
        }
    )
    unit_key, time_key = _KEYS[kind]
    left_out = [c for c, key in (("city", unit_key), ("year", time_key)) if not key]
    return data.drop(columns=left_out)


def canonical_panel(kind: Kind = "panel", data: pd.DataFrame | None = None) -> Panel:
    """The validated panel of a structure; `data` in place of the kit's rows."""
    frame = canonical_data(kind) if data is None else data
    unit, time = _KEYS[kind]
    return build_panel(frame, PanelSpec(unit, time), "canonical")


@dataclass(frozen=True, slots=True)
class Case:
    """One model on the kit's data.

    Attributes:
        name: how violations call it.
        model: fields of `model`; the estimator is filled in.
        demanded: whether the plugin's own declaration promises a result; else it may
            refuse.
        effect: of `d` on the outcome; None where the model has others.
    """

    name: str
    kind: Kind
    model: Mapping[str, Any]
    panel: Panel
    demanded: bool = True
    effect: float | None = EFFECT

    @property
    def keys(self) -> tuple[str | None, str | None]:
        """Unit and time."""
        return _KEYS[self.kind]

    def request(
        self,
        estimator: Estimator,
        *,
        data: pd.DataFrame | None = None,
        **fields: Any,
    ) -> Request:
        """The request, as the framework would make it.

        Args:
            data: other rows in place of the case's own.
            fields: fields of the model that are other than the case's.

        Raises:
            EstimandError: the framework refuses the model by the plugin's `needs`.
        """
        unit, time = self.keys
        panel = self.panel if data is None else canonical_panel(self.kind, data)
        model = Model.model_validate(
            {"estimator": {"name": type(estimator).__name__}}
            | dict(self.model)
            | fields
        )
        told = Data(
            source=Source.model_validate({"path": "canonical.csv"}),
            panel=PanelKeys(unit=unit, time=time),
        )
        request = build(panel, told, model, estimator, SEED).request
        if "spatial_weights" in estimator.demands().uses and unit:
            ids = tuple(request.ids[request.unit])  # type: ignore[index]  # a panel has units
            ring = SpatialWeights(ids, _ring(ids))
            roles = ("outcome", "covariates", "errors")
            request = replace(request, spatial=dict.fromkeys(roles, ring))
        return request


def _ring(ids: tuple[Any, ...]) -> Any:
    """Two neighbours each, by the order of the names; rows sum to one."""
    from scipy.sparse import csr_array

    n = len(ids)
    order = np.argsort(np.asarray(ids, dtype=object))
    after = np.roll(order, -1)
    rows, columns = np.concatenate([order, after]), np.concatenate([after, order])
    return csr_array((np.full(2 * n, 0.5), (rows, columns)), shape=(n, n))


def cases(estimator: Estimator, changes: Mapping[str, Any]) -> Iterator[Case]:
    """Models that the plugin's `needs` accept, the plain one of a structure first.

    Args:
        estimator: the plugin with its options.
        changes: fields of the model that hold in every case.
    """
    needs = estimator.demands()
    effect = None if {"outcome", "treatment"} & set(changes) else EFFECT
    for kind in ("panel", "repeated_cross_sections", "cross_section"):
        if kind not in needs.kinds:
            continue
        panel = canonical_panel(kind)
        base = _base(needs, kind) | dict(changes)
        spoken = kind.replace("_", " ")
        yield Case(f"plain {spoken}", kind, base, panel, effect=effect)
        if needs.outcome and effect is not None:
            placebo = base | {"outcome": "x2"}
            if "x2" in base.get("controls", ()):  # where controls are required
                placebo["controls"] = [c for c in base["controls"] if c != "x2"]
            yield Case(f"{spoken}, no effect", kind, placebo, panel, effect=0.0)
        for name, more, demanded in _variants(needs, kind):
            known = None if "treatment" in more else effect
            # A diagnostic may name a field in order to refuse it.
            must = demanded and type(estimator).estimates == "treatment"
            yield Case(f"{spoken}, {name}", kind, {**base, **more}, panel, must, known)
        if kind == "panel" and not needs.balanced:
            holes = canonical_panel(kind, _with_holes(panel.frame))
            yield Case("unbalanced panel", kind, base, holes, False, effect)


def _with_holes(data: pd.DataFrame) -> pd.DataFrame:
    """One row in ten missing, none of the two around a unit's adoption."""
    first = data["year"].where(data["d"] == 1).groupby(data["city"]).transform("min")
    needed = (data["year"] == first) | (data["year"] == first - 1)
    drawn = np.random.default_rng(SEED).random(len(data)) > 0.1  # noqa: PLR2004 - one in ten
    return data[needed | drawn]


def _base(needs: Needs, kind: Kind) -> dict[str, Any]:
    unit, time = _KEYS[kind]
    model: dict[str, Any] = {}
    if needs.outcome:
        model["outcome"] = "y"
    if needs.treatment:
        model["treatment"] = {"column": "d"}
    place = unit or ("region" if time else None)
    if "fixed_effects" in needs.uses and place:
        model["fixed_effects"] = [place, time]
    if "cluster" in needs.inference:
        model["inference"] = {"name": "cluster", "by": place or "region"}
    elif needs.inference:
        first = "hetero" if "hetero" in needs.inference else min(needs.inference)
        model["inference"] = {"name": first}
    given = {
        "controls": ["x1", "x2"],
        "instruments": ["z"],
        "mediators": ["m"],
        "weights": {"name": "analytic", "column": "w"},
        "interact": {"with": "size"},
        # The matrix itself is put into the request.
        "spatial_weights": {"all": "ring"},
    }
    return model | {k: v for k, v in given.items() if k in needs.requires}


def _variants(
    needs: Needs, kind: Kind
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Name, changed fields, and whether `needs` promises a result."""
    if "controls" in needs.uses - needs.requires:
        yield "controls", {"controls": ["x1", "x2"]}, True
    if "weights" in needs.uses:
        for name in ("analytic", "frequency", "probability"):
            weights = {"weights": {"name": name, "column": "w"}}
            yield f"{name} weights", weights, name == "analytic"
    if "interact" in needs.uses and needs.treatment:
        yield "interaction", {"interact": {"with": "size"}}, True
    if "instruments" in needs.uses - needs.requires:
        yield "instrument", {"instruments": ["z"]}, True
    if "mediators" in needs.uses - needs.requires:
        yield "mediator", {"mediators": ["m"]}, True
    for name in sorted(needs.inference - {"cluster"}):
        options = _INFERENCE.get(name, {})
        yield f"{name} inference", {"inference": {"name": name, **options}}, False
    if "cluster" in needs.inference:
        groups: list[Any] = ["region", "industry"]
        coarse = {"inference": {"name": "cluster", "by": "region"}}
        yield "clusters of units", coarse, kind == "panel"
        yield (
            "two-way clusters",
            {"inference": {"name": "cluster", "by": groups}},
            False,
        )
    if needs.treatment and not (needs.binary or needs.absorbing):
        dose = {"treatment": {"column": "dose", "kind": "dose"}}
        yield "dose", dose, False
