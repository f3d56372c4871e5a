"""What `compare_estimators` reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._sensitivity.choice import name_of
from estimators._sensitivity.events import one_way
from estimators._sensitivity.traits import reasons, traits_of
from framework.errors import EstimandError, IdentificationError, Problem
from framework.result import COEFFICIENT_COLUMNS, Plot, Result

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Estimator, Request

#: Gaps below this share of a standard error are rounding.
NOTHING = 1e-8


@dataclass(frozen=True, slots=True)
class _One:
    """An estimator and its rows of the estimand, by event time where it has them."""

    of: Estimator
    name: str
    result: Result
    rows: pd.DataFrame


def compare(request: Request, of: Sequence[Estimator], estimand: str) -> Result:
    """Every estimator's rows beside the first one's."""
    import pandas as pd

    one_way(request)
    if problems := list(_missing(of, estimand)):
        raise EstimandError(problems)
    named = [name_of(one) for one in of]
    found = []
    for i, one in enumerate(of):
        name = named[i] if named.count(named[i]) == 1 else f"{named[i]} {i + 1}"
        result = one.estimate(replace(request, estimand=(estimand,)))
        rows = result.coefficients
        found.append(_One(one, name, result, rows[rows["estimand"] == estimand]))
    table = [row for one in found for row in _against(one, found[0], estimand)]
    frame = pd.DataFrame(table)
    empty: dict[str, Any] = {
        name: pd.Series(
            [], dtype="str" if name in COEFFICIENT_COLUMNS[:3] else "float64"
        )
        for name in COEFFICIENT_COLUMNS
    }
    plots = (
        (
            Plot(
                "ordered",
                "comparison",
                title=f"{estimand} by estimator",
                options={"label": "estimator"},
            ),
        )
        if estimand == "att"
        else ()
    )
    return Result(
        coefficients=pd.DataFrame(empty),
        scalars={"n_obs": float(len(request.frame))},
        frames={"comparison": frame},
        plots=plots,
        notes=tuple(_notes(found, estimand)),
    )


def _missing(of: Sequence[Estimator], estimand: str) -> Iterator[Problem]:
    for one in of:
        if estimand not in one.gives():
            yield from IdentificationError(
                "E14",
                f"{name_of(one)} does not estimate {estimand}",
                why="Numbers of different estimands are no comparison.",
                fix="compared: att, or leave it out of `of`",
            ).problems


def _against(one: _One, base: _One, estimand: str) -> Iterator[dict[str, Any]]:
    """Rows of an estimator, with the gap to the first one's same row."""
    why = "; ".join(_reasons(one, base, estimand)) or (
        "the first" if one is base else "the same comparison by other arithmetic"
    )
    for label, row in one.rows.iterrows():
        made: dict[str, Any] = {"estimator": one.name}
        same = base.rows
        if estimand == "by_event_time":
            made["event_time"] = int(row["event_time"])
            same = same[same["event_time"] == row["event_time"]]
        made |= {
            c: float(row[c]) for c in ("estimate", "std_error", "conf_low", "conf_high")
        }
        made |= _gap(one, label, base, same)
        yield made | {
            "n_obs": float(one.result.scalars.get("n_obs", np.nan)),
            "reason": why,
        }


def _gap(one: _One, label: Any, base: _One, same: pd.DataFrame) -> dict[str, float]:
    """Gap, its standard error by the influence functions of both, and its p value."""
    from scipy.special import ndtr

    nothing = {"gap": np.nan, "gap_error": np.nan, "gap_p": np.nan}
    psi, held = one.result.influence, base.result.influence
    if one is base or same.empty or psi is None or held is None:
        return nothing
    gap = float(one.rows.loc[label, "estimate"] - same["estimate"].iloc[0])
    apart = psi[label].sub(held[same.index[0]], fill_value=0.0).to_numpy()
    error = float(np.sqrt(apart @ apart))
    if not error > NOTHING * float(one.rows.loc[label, "std_error"]):
        return {"gap": gap, "gap_error": 0.0, "gap_p": np.nan}
    return {
        "gap": gap,
        "gap_error": error,
        "gap_p": 2 * float(ndtr(-abs(gap) / error)),
    }


def _reasons(one: _One, base: _One, estimand: str) -> list[str]:
    found = reasons(traits_of(one.of), traits_of(base.of), estimand)
    n, m = (x.result.scalars.get("n_obs") for x in (one, base))
    if n != m and n is not None and m is not None:
        found.append(f"sample: {n:.0f} rows instead of {m:.0f}")
    return found


def _notes(found: Sequence[_One], estimand: str) -> Iterator[str]:
    base = found[0]
    traits = traits_of(base.of)
    yield (
        f"Estimand {estimand}; gaps are to {base.name} (controls: {traits.controls}; "
        f"measured from {traits.baseline}; weights: {traits.weights(estimand)})."
    )
    for one in found[1:]:
        listed = "; ".join(_reasons(one, base, estimand))
        yield f"{one.name}: {listed or 'the same comparison by other arithmetic'}."
