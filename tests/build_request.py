"""Requests by hand, without the data layer: what the linear plugins' tests run on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Inference, Request, Slope, Treatment, Weights


def build_request(
    data: pd.DataFrame,
    *,
    outcome: str,
    treatment: str | Sequence[str] | None,
    kind: str = "dose",
    judged: Sequence[str] = (),
    moderators: Sequence[str] = (),
    cohort: str | None = None,
    anticipation: int = 0,
    controls: Sequence[str] = (),
    fixed_effects: Sequence[str] = (),
    slopes: Sequence[tuple[str, str]] = (),
    instruments: Sequence[str] = (),
    weights: tuple[str, str] | None = None,
    inference: str = "iid",
    clusters: Sequence[str] = (),
    options: dict[str, Any] | None = None,
    places: Sequence[str] = (),
    unit: str | None = None,
    time: str | None = None,
    history: pd.DataFrame | None = None,
    **fields: Any,
) -> Request:
    """`data` by the user's names -> a request with aliased float and code columns.

    Rows are sorted by (unit, time) as the framework does. `history` is the whole panel
    for leads and lags (default: `data`).
    """
    keys = [k for k in (unit, time) if k]
    if keys:
        data = data.sort_values(keys, kind="stable")
    data = data.reset_index(drop=True)
    treatments = [treatment] if isinstance(treatment, str) else list(treatment or ())
    frame: dict[str, Any] = {}
    labels: dict[str, str] = {}
    ids: dict[str, Any] = {}
    floats: dict[str, str] = {}
    codes: dict[str, str] = {}

    def alias(name: str) -> str:
        new = f"v{len(frame):03d}"
        labels[new] = name
        return new

    def number(name: str) -> str:
        if name not in floats:
            floats[name] = alias(name)
            frame[floats[name]] = data[name].to_numpy(dtype=np.float64)
        return floats[name]

    def code(name: str) -> str:
        if name not in codes:
            codes[name] = alias(name)
            found, values = pd.factorize(data[name], sort=True)
            frame[codes[name]] = found.astype(np.int64)
            ids[codes[name]] = np.asarray(values)
        return codes[name]

    y = number(outcome)
    d = tuple(number(t) for t in treatments)
    g = number(cohort) if cohort else None
    u = code(unit) if unit else None
    t = None
    if time:
        t = alias(time)
        frame[t] = data[time].to_numpy(dtype=np.int64)
    series = None
    if treatments and unit and time and u:
        whole = data if history is None else history
        known = pd.Index(ids[u])
        series = pd.DataFrame(
            {
                "unit": known.get_indexer(whole[unit]).astype(np.int64),
                "time": whole[time].to_numpy(dtype=np.int64),
                "value": whole[treatments[0]].to_numpy(dtype=np.float64),
            }
        )
        series = series[series["unit"] >= 0].reset_index(drop=True)
    resolved = None
    if treatments:
        resolved = Treatment(
            kind=kind,  # type: ignore[arg-type]  # tests name it freely
            columns=d,
            judged=tuple(number(j) for j in judged) or d,
            moderators=tuple(number(m) for m in moderators),
            cohort=g,
            anticipation=anticipation,
            series=series,
        )
    effects = tuple(
        t if f == time and t and f not in codes else code(f) for f in fixed_effects
    )
    return Request(
        outcome=y,
        treatment=resolved,
        controls=tuple(number(c) for c in controls),
        fixed_effects=effects,
        slopes=tuple(Slope(number(v), code(by)) for v, by in slopes),
        instruments=tuple(number(z) for z in instruments),
        weights=Weights(weights[0], number(weights[1])) if weights else None,  # type: ignore[arg-type]  # as above
        inference=Inference(
            inference,
            tuple(code(c) for c in clusters),
            options or {},
            tuple(number(p) for p in places),
        ),
        unit=u,
        time=t,
        frame=pd.DataFrame(frame),
        labels=labels,
        ids=ids,
        **fields,
    )
