"""What `leave_one_out` reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.timing import first_treated
from estimators._sensitivity.choice import name_of
from framework.errors import EstimandError, IdentificationError, counted
from framework.result import Plot, Result

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from framework.contract import Estimator, Request

#: Two of them at least: without the only one nothing is left.
FEWEST = 2


@dataclass(frozen=True, slots=True)
class _Group:
    """One that is left out: its name and its rows (n,)."""

    name: str
    rows: NDArray[np.bool_]


def left_out(request: Request, of: Estimator, drop: str) -> Result:
    """The full result, and the judged number without each group."""
    import pandas as pd

    full = of.estimate(request)
    judged = full.coefficients.iloc[0]
    groups = list(_groups(request, drop))
    spoken = drop.replace("_", " ")
    if len(groups) < FEWEST:
        raise IdentificationError(
            "E13",
            f"{counted(len(groups), spoken.removesuffix('s'))} to leave out",
            why="Without the only one there is no estimate to compare.",
            fix="drop: units, or clusters",
        )
    found, failed = [], []
    for group in groups:
        try:
            result = of.estimate(_without(request, group.rows))
            row = _same_row(result, judged)
        except EstimandError as error:
            failed.append(f"{group.name} ({error.problems[0].what})")
            continue
        found.append(
            {
                "left_out": group.name,
                "estimate": float(row["estimate"]),
                "std_error": float(row["std_error"]),
                "conf_low": float(row["conf_low"]),
                "conf_high": float(row["conf_high"]),
                "shift": float(row["estimate"] - judged["estimate"]),
                "n_obs": float(result.scalars.get("n_obs", np.nan)),
            }
        )
    if not found:
        raise IdentificationError(
            "E13",
            f"no estimate is identified without one of the {spoken}: {failed[0]}",
            fix="drop: units, or clusters",
        )
    frame = pd.DataFrame(found).sort_values("shift", kind="stable", ignore_index=True)
    shift = frame["shift"].abs().max()
    scalars = dict(full.scalars) | {
        "leave_out_low": float(frame["estimate"].min()),
        "leave_out_high": float(frame["estimate"].max()),
        "leave_out_shift": float(shift / judged["std_error"]),
    }
    return replace(
        full,
        scalars=scalars,
        frames={**full.frames, "left_out": frame},
        plots=(
            Plot(
                "ordered",
                "left_out",
                title=f"the estimate without one of the {spoken}",
                options={"label": "left_out", "line": float(judged["estimate"])},
            ),
        ),
        notes=(*full.notes, *_notes(frame, judged, of, spoken, failed)),
    )


def _groups(request: Request, drop: str) -> Iterator[_Group]:
    frame = request.frame

    def of_column(alias: str, on: NDArray[np.bool_] | None = None) -> Iterator[_Group]:
        codes = frame[alias].to_numpy(dtype=np.int64)
        names = request.ids.get(alias)
        for code in np.unique(codes if on is None else codes[on]):
            name = code if names is None else names[code]
            yield _Group(str(name), codes == code)

    if drop == "cohorts":
        cohort = first_treated(request)
        for g in np.unique(cohort[np.isfinite(cohort)]):
            yield _Group(f"{g:.0f}", cohort == g)
        return
    if drop == "clusters":
        if len(request.inference.clusters) != 1:
            raise IdentificationError(
                "E13",
                f"{counted(len(request.inference.clusters), 'cluster column')}: which "
                "one is left out is not said",
                fix="inference: {cluster: one column}, or drop: units",
            )
        yield from of_column(request.inference.clusters[0])
        return
    if request.unit is None:
        raise IdentificationError(
            "E13", "the data have no units to leave out", fix="data.panel: {unit: …}"
        )
    on = None
    if drop == "treated_units" and request.treatment is not None:
        on = frame[request.treatment.columns[0]].to_numpy() != 0
    yield from of_column(request.unit, on)


def _without(request: Request, rows: NDArray[np.bool_]) -> Request:
    keep = ~rows
    held = np.arange(len(rows)) if request.rows is None else request.rows
    return replace(
        request,
        frame=request.frame[keep].reset_index(drop=True),
        rows=held[keep],
    )


def _same_row(result: Result, judged: pd.Series[Any]) -> pd.Series[Any]:
    """The row with the judged estimand, term and index."""
    import pandas as pd

    frame = result.coefficients
    same = np.ones(len(frame), dtype=bool)
    numbers = {"estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"}
    for name in frame.columns:
        if name not in numbers and not pd.isna(judged[name]):
            same &= (frame[name] == judged[name]).fillna(value=False).to_numpy(bool)
    if not same.any():
        raise IdentificationError("E13", "it has no such number")
    return frame[same].iloc[0]


def _notes(
    frame: pd.DataFrame,
    judged: pd.Series[Any],
    of: Estimator,
    spoken: str,
    failed: list[str],
) -> Iterator[str]:
    low, high = frame.iloc[0], frame.iloc[-1]
    flips = frame[np.sign(frame["estimate"]) != np.sign(judged["estimate"])]
    ends = sorted((low, high), key=lambda row: row["estimate"])
    yield (
        f"Without one of {len(frame)} {spoken}, {name_of(of)} gives from "
        f"{ends[0]['estimate']:.4g} (without {ends[0]['left_out']}) to "
        f"{ends[1]['estimate']:.4g} (without {ends[1]['left_out']})"
        + (
            f"; the sign changes without {', '.join(map(str, flips['left_out']))}."
            if len(flips)
            else "; the sign never changes."
        )
    )
    if failed:
        yield f"No number without {'; '.join(failed[:6])}."
