"""A restriction that computes against its contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Candidates, Restriction, Selection
from framework.panel import Kind
from framework.testing.alike import changed, snapshot
from framework.testing.canonical import canonical_panel
from framework.testing.declaration import check_declaration
from framework.testing.findings import Findings

#: Another order of the same sums: rounding.
SAME = 1e-9
_NOTHING: Mapping[str, Any] = MappingProxyType({})
#: Covariates that the candidates have, whatever the restriction names.
_COVARIATES = ("x1", "x2", "gdp")


def check_restriction(
    cls: type[Restriction],
    /,
    *,
    exempt: Mapping[str, str] = _NOTHING,
    **options: Any,
) -> None:
    """Hold a restriction to the contract: same rows, same choice, whatever their order.

    Args:
        cls: the restriction.
        exempt: rule -> reason why it can't hold.
        options: its options; columns are those of `framework.testing.canonical`.

    Raises:
        NotConforming: every promise that it breaks.
    """
    found = Findings(cls.__name__, exempt)
    restriction = check_declaration(cls, Restriction, options, found)
    if restriction is not None:
        done = [_holds(restriction, given, found) for given in _cases(restriction)]
        if not any(done):
            found.add("output", "it chooses rows neither of a panel nor of others")
    found.conclude()


def _cases(restriction: Restriction) -> Iterator[Candidates]:
    yield candidates("panel", restriction.groups())
    yield candidates("cross_section", restriction.groups())


def candidates(kind: Kind, groups: tuple[str, ...] = ()) -> Candidates:
    """The kit's data as a restriction sees them."""
    panel = canonical_panel(kind)
    frame = panel.frame
    d = frame["d"].to_numpy(dtype="float64")
    unit = time = cohort = None
    names = frame["row"].to_numpy()
    if panel.unit and panel.time:
        unit = frame[panel.unit].factorize()[0]
        time = frame[panel.time].to_numpy(dtype="int64")
        first = frame[panel.time].where(d > 0)
        cohort = first.groupby(unit).transform("min").fillna(np.inf).to_numpy()
        names = frame[panel.unit].to_numpy()
    text = pd.Series(names).astype(str)
    return Candidates(
        treatment=d,
        covariates=frame[list(_COVARIATES)].astype("float64"),
        groups=frame[list(groups)],
        cohort=cohort,
        unit=unit,
        time=time,
        names=names,
        keys=pd.util.hash_pandas_object(text, index=False).to_numpy(),
        called=(panel.unit or "", panel.time or ""),
    )


def _holds(restriction: Restriction, given: Candidates, found: Findings) -> bool:
    """Whether it chooses from these rows; what is wrong goes to `found`."""
    before = snapshot(given)
    with found.untouched_state():
        chosen = found.attempt(lambda: restriction.select(given), "refusals", "select")
    for path in changed(before, given):
        found.add("purity", f"it changes the candidates' {path}")
    if chosen is None:
        return False
    if not _sound(restriction, chosen, len(given.treatment), found):
        return True
    again = restriction.select(snapshot(before))
    if list(changed(chosen, again)):
        found.add("determinism", "the same rows, another choice")
    order = np.random.default_rng(1).permutation(len(given.treatment))
    _same(
        chosen, restriction.select(_ordered(before, order)), order, "row_order", found
    )
    names = np.array([f"other {name}"[::-1] for name in before.names], dtype=object)
    keys = pd.util.hash_pandas_object(pd.Series(names), index=False).to_numpy()
    renamed = replace(before, names=names, keys=keys)
    every = np.arange(len(order))
    _same(chosen, restriction.select(renamed), every, "unit_names", found)
    return True


def _sound(restriction: Restriction, chosen: Any, n: int, found: Findings) -> bool:
    if not isinstance(chosen, Selection):
        found.add("output", f"select returns a {type(chosen).__name__}")
        return False
    rows, weights = np.asarray(chosen.rows), chosen.weights
    if rows.shape != (n,) or rows.dtype != bool:
        found.add("output", "rows are not one true or false for every candidate")
        return False
    if (weights is not None) != restriction.weighs():
        found.add("output", "weighs() says otherwise than the weights that it gives")
    if weights is not None:
        usable = weights.shape == (n,) and bool(np.isfinite(weights).all())
        if not usable or (weights[rows] <= 0).any():
            found.add("output", "weights are not positive numbers where rows stay")
            return False
    for plot in chosen.plots:
        if plot.frame not in chosen.frames:
            found.add("output", f"a plot draws '{plot.frame}', no such frame")
    if not chosen.detail.strip():
        found.add("ledger", "detail is empty: the ledger line would say nothing")
    return True


def _ordered(given: Candidates, order: Any) -> Candidates:
    def taken(values: Any) -> Any:
        return None if values is None else values[order]

    return replace(
        given,
        treatment=taken(given.treatment),
        covariates=given.covariates.iloc[order].reset_index(drop=True),
        groups=given.groups.iloc[order].reset_index(drop=True),
        cohort=taken(given.cohort),
        unit=taken(given.unit),
        time=taken(given.time),
        names=taken(given.names),
        keys=taken(given.keys),
    )


def _same(
    one: Selection, other: Selection, order: Any, rule: str, found: Findings
) -> None:
    if not np.array_equal(one.rows[order], other.rows):
        found.add(rule, "other rows are kept")
    elif one.weights is not None and other.weights is not None:
        apart = np.abs(one.weights[order] - other.weights).max(initial=0.0)
        if apart > SAME:
            found.add(rule, f"weights move by {apart:.2g}")


__all__ = ["candidates", "check_restriction"]
