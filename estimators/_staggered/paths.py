"""What `treatment_paths` reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import FEW_TREATED, label
from estimators._math.projection import Codes, Flags, Floats, contiguous
from framework.errors import DataError, IdentificationError, counted
from framework.result import COEFFICIENT_COLUMNS, Plot, Result

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request


def treatment_paths(request: Request) -> Result:
    """Count; treatment is any value other than zero, first treated as observed."""
    import pandas as pd

    if not len(request.frame):
        raise DataError("D05", "0 rows left", fix="see the row ledger")
    if request.treatment is None or request.unit is None or request.time is None:
        raise IdentificationError(
            "I10",
            "paths need a treatment, units and periods",
            fix="data.panel: {unit: …, time: …}",
        )
    frame = request.frame
    unit, N = contiguous(frame[request.unit].to_numpy(dtype=np.int64))
    time = frame[request.time].to_numpy(dtype=np.int64)
    on = frame[request.treatment.columns[0]].to_numpy(dtype=np.float64) != 0
    y = frame[request.outcome].to_numpy(dtype=np.float64)
    start = _first(request, unit, time, on, N)
    cohorts = _cohorts(unit, time, start, y)
    paths = _paths(unit, time, on, N)
    support = _support(unit, time, start)
    overlap = _overlap(request, unit, on, N)
    frames = {"cohorts": cohorts, "paths": paths, "support": support}
    if len(overlap):
        frames["overlap"] = overlap
    empty: dict[str, Any] = {
        name: pd.Series(
            [], dtype="str" if name in COEFFICIENT_COLUMNS[:3] else "float64"
        )
        for name in COEFFICIENT_COLUMNS
    }
    return Result(
        coefficients=pd.DataFrame(empty),
        scalars={
            "n_obs": float(len(frame)),
            "n_units": float(N),
            "n_periods": float(len(np.unique(time))),
            "n_treated_obs": float(on.sum()),
            "n_treated_units": float(len(np.unique(unit[on]))),
        },
        frames=frames,
        plots=()
        if support.empty
        else (
            Plot(
                "scatter",
                "support",
                title="treated units seen at every period since treatment",
                options={"x": "event_time", "y": "n_units"},
            ),
        ),
        notes=(*_notes(paths, support, N), *_overlap_notes(overlap)),
    )


def _first(request: Request, unit: Codes, time: Codes, on: Flags, N: int) -> Floats:
    """(N,) first treated period: as declared, else the first one seen; inf = never."""
    start = np.full(N, np.inf)
    declared = request.treatment.cohort if request.treatment else None
    if declared is not None:
        start[unit] = request.frame[declared].to_numpy(dtype=np.float64)
    else:
        np.minimum.at(start, unit[on], time[on].astype(np.float64))
    return start


def _cohorts(unit: Codes, time: Codes, start: Floats, y: Floats) -> pd.DataFrame:
    """One row per first treated period, never-treated last."""
    import pandas as pd

    rows = []
    for g in np.unique(start):
        members = np.flatnonzero(start == g)
        here = start[unit] == g
        before = here & (time < g)
        never = not np.isfinite(g)
        rows.append(
            {
                "first_treated": "never" if never else f"{g:.0f}",
                "n_units": len(members),
                "n_obs": int(here.sum()),
                "periods_before": len(np.unique(time[before])),
                "periods_after": len(np.unique(time[here & (time >= g)])),
                "outcome_before": float(y[before].mean()) if before.any() else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _paths(unit: Codes, time: Codes, on: Flags, N: int) -> pd.DataFrame:
    """Units by the shape of their treatment over their own periods."""
    import pandas as pd

    order = np.lexsort((time, unit))
    u, d = unit[order], on[order]
    same = u[1:] == u[:-1]
    ups = np.bincount(u[1:][same & d[1:] & ~d[:-1]], minlength=N)
    downs = np.bincount(u[1:][same & ~d[1:] & d[:-1]], minlength=N)
    rows = np.bincount(u, minlength=N)
    treated = np.bincount(u[d], minlength=N)
    shape = np.full(N, "switches several times", dtype=object)
    shape[(ups == 1) & (downs == 0)] = "switches on and stays on"
    shape[(ups == 0) & (downs == 1)] = "switches off and stays off"
    shape[(ups == 1) & (downs == 1)] = "switches on and off once"
    shape[treated == 0] = "never treated"
    shape[treated == rows] = "always treated"
    made = [
        {
            "path": path,
            "n_units": int((shape == path).sum()),
            "n_obs": int(rows[shape == path].sum()),
            "treated_rows": int(treated[shape == path].sum()),
        }
        for path in sorted(set(shape))
    ]
    return pd.DataFrame(made)


def _support(unit: Codes, time: Codes, start: Floats) -> pd.DataFrame:
    """Treated units, cohorts and possible controls under every event time."""
    import pandas as pd

    since = time - start[unit]
    rows = []
    for k in np.unique(since[np.isfinite(since)]):
        here = since == k
        periods = np.unique(time[here])
        later = np.isin(time, periods) & (start[unit] > time)
        controls = later & ~here
        rows.append(
            {
                "event_time": int(k),
                "n_units": len(np.unique(unit[here])),
                "n_cohorts": len(np.unique(start[unit[here]])),
                "never_treated": len(np.unique(unit[controls & np.isinf(start[unit])])),
                "not_yet_treated": len(
                    np.unique(unit[controls & np.isfinite(start[unit])])
                ),
            }
        )
    names = ["event_time", "n_units", "n_cohorts", "never_treated", "not_yet_treated"]
    return pd.DataFrame(rows, columns=names)


def _overlap(request: Request, unit: Codes, on: Flags, N: int) -> pd.DataFrame:
    """How far every 0/1 control (a concurrent policy) reaches treated and other units.

    Returns:
        policy, n_units under it at some time, of these `both_units` that are treated at
        some time; `treated_share` of the treated and `untreated_share` of the other
        units under it; `both_rows` under both at once, as a share of treated rows.
    """
    import pandas as pd

    treated = np.bincount(unit[on], minlength=N) > 0
    held = {
        label(request, alias): request.frame[alias].to_numpy(dtype=np.float64)
        for alias in request.controls
    }
    policies = {
        name: values == 1
        for name, values in held.items()
        if set(np.unique(values)) == {0.0, 1.0}
    }
    if len(policies) > 1:
        policies["any of these"] = np.logical_or.reduce(list(policies.values()))
    rows = []
    for name, under in policies.items():
        ever = np.bincount(unit[under], minlength=N) > 0
        rows.append(
            {
                "policy": name,
                "n_units": int(ever.sum()),
                "both_units": int((ever & treated).sum()),
                "treated_share": _share(ever, treated),
                "untreated_share": _share(ever, ~treated),
                "both_rows": int((under & on).sum()),
                "treated_rows_share": _share(under, on),
            }
        )
    return pd.DataFrame(rows)


def _share(of: Flags, among: Flags) -> float:
    return float(of[among].mean()) if among.any() else float("nan")


def _overlap_notes(overlap: pd.DataFrame) -> Iterator[str]:
    for row in overlap.itertuples():
        if row.treated_rows_share == 1:
            yield (
                f"Every treated row is under '{row.policy}' too: their effects cannot be "
                "told apart where the policy is new as well."
            )


def _notes(paths: pd.DataFrame, support: pd.DataFrame, N: int) -> Iterator[str]:
    count = dict(zip(paths["path"], paths["n_units"], strict=True))
    listed = "; ".join(f"{path} {n}" for path, n in count.items())
    yield f"{counted(N, 'unit')}: {listed}."
    if always := count.get("always treated"):
        yield (
            f"{counted(always, 'unit is', 'units are')} treated in all their periods: "
            "they have no period before treatment and are no clean controls."
        )
    if "never treated" not in count:
        yield "There are no never-treated units."
    thin = support[support["n_units"] < FEW_TREATED]
    if len(thin):
        yield (
            f"Fewer than {FEW_TREATED} treated units at event times "
            f"{', '.join(map(str, thin['event_time']))}."
        )
