"""Gelbach's (2016) decomposition: short less long coefficient, by covariate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.design import label
from estimators._linear.report import rows_of, scalars
from estimators._mechanism.paths import Number, Paths, detectable, paths, tidy, total
from framework.errors import EstimandError, IdentificationError, Problem
from framework.result import Plot, Result

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.options import SmallSample
    from framework.contract import Request


def decompose(
    request: Request,
    base: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    small_sample: SmallSample,
    *,
    min_clusters: int,
) -> Result:
    """Parts of the change of the treatment's coefficient.

    Raises:
        DataError: D03, D05, D06.
        IdentificationError: I01 to I05, I08, I09, E15.
        NumericalError: N01 to N03.
    """
    named = {label(request, c): c for c in request.controls}
    _known(named, base, groups)
    moving = [c for name, c in named.items() if name not in base]
    found = paths(
        request, moving, [named[b] for b in base], small_sample,
        min_clusters=min_clusters,
    )  # fmt: skip
    parts = {
        name: a * b
        for name, a, b in zip(found.names, found.first, found.second, strict=True)
    }
    whole = total(list(parts.values()))
    grouped = _grouped(parts, groups)
    own = found.long.design.regressors[0].term
    rows: list[tuple[str, str, str, str | None, Number]] = [
        ("main", "explained", own, "all", whole),
        *(("main", "explained", own, name, part) for name, part in grouped.items()),
        ("short", "coefficient", own, None, found.short),
        ("long", "coefficient", own, None, found.direct),
    ]
    df = found.long.df_t
    coefficients, influence = tidy(rows, found.index, df, request.confidence)
    shown = scalars(found.long, rows_of(found.long))
    return Result(
        coefficients=coefficients,
        influence=influence,
        scalars={**shown, "df_t": df, "mde": detectable(whole, df)},
        frames={"decomposition": _frame(found, parts, whole, groups)},
        plots=(
            Plot(
                "ranked",
                "decomposition",
                title=f"what moves the coefficient of {own}",
                options={
                    "label": "control",
                    "value": "explained",
                    "what": "short less long coefficient, explained",
                },
            ),
        ),
        notes=found.long.design.notes,
    )


def _known(
    named: Mapping[str, str], base: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> None:
    """Every name that is wrong, at once."""
    problems: list[Problem] = []

    def refuse(what: str, fix: str) -> None:
        problems.extend(IdentificationError("E15", what, fix=fix).problems)

    listed = ", ".join(named)
    for where, names in (("base", base), *groups.items()):
        unknown = [n for n in names if n not in named]
        if unknown:
            refuse(f"{where}: {', '.join(unknown)} is no control", f"one of: {listed}")
    flat = [n for names in groups.values() for n in names]
    for name in dict.fromkeys(n for n in flat if flat.count(n) > 1 or n in base):
        refuse(
            f"control '{name}' stands in two groups, or in a group and in base",
            "each control once",
        )
    taken = [g for g in groups if g in named or g == "all"]
    if taken:
        refuse(
            f"groups named {', '.join(taken)} would be taken for a control or the sum",
            "other names",
        )
    if named and set(named) <= set(base):
        refuse("all controls stand in base, so nothing is added", "base: fewer")
    if not named:
        refuse("there are no controls that could move the coefficient", "controls: …")
    if problems:
        raise EstimandError(problems)


def _grouped(
    parts: Mapping[str, Number], groups: Mapping[str, Sequence[str]]
) -> dict[str, Number]:
    """Groups as the study orders them, then the controls of none."""
    inside = {n for names in groups.values() for n in names}
    found = {
        g: total([parts[n] for n in names]) for g, names in groups.items() if names
    }
    return found | {n: p for n, p in parts.items() if n not in inside}


def _frame(
    found: Paths,
    parts: Mapping[str, Number],
    whole: Number,
    groups: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """A row per control: both coefficients, the part, its share of the change."""
    import pandas as pd

    of = {n: g for g, names in groups.items() for n in names}
    values = np.array([p.value for p in parts.values()])
    return pd.DataFrame(
        {
            "control": list(parts),
            "group": [of.get(n, n) for n in parts],
            "on_treatment": [a.value for a in found.first],
            "coefficient": [b.value for b in found.second],
            "explained": values,
            "std_error": [p.std_error for p in parts.values()],
            "share": values / whole.value,
        }
    )
