"""Printed statistics of spatial correlation and their p under each declared matrix.

The standard deviation without correlation depends on the matrix and, a little, on the
values; a printed I and its p say which standard deviation stood between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from framework.audit.finding import Basis, Finding, Severity
from framework.audit.rounding import Interval, two_sided, z_of
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Need, Scene, listed
from framework.contract import Matrix
from framework.spec import choices

#: The variance under exchangeable values moves with their kurtosis by a few percent, a
#: p value from 999 permutations by about as much.
_SLACK = 1.3
_INDEXED = re.compile(r"(?P<term>.+)\[(?P<period>-?\d+)\]")


@dataclass(frozen=True, slots=True)
class _Spread:
    """Expected value and standard deviation without correlation, by period."""

    mean: dict[int, float]
    sd: dict[int, float]


def needs(scene: Scene) -> Iterable[Need]:
    """The line under every matrix that the study declares."""
    for column in _columns(scene):
        yield from (_with(column, name) for name in _matrices(scene))


def judge(scene: Scene) -> Iterator[Finding]:
    """Every column of statistics by period with p values."""
    for column, leaves in _columns(scene).items():
        spreads = {
            name: spread
            for name in _matrices(scene)
            if (spread := _spread(scene, column, name, leaves)) is not None
        }
        named = _named(scene, column)
        if named not in spreads:
            yield _finding(
                scene, column, "cannot be judged", f"{len(leaves)} statistics with p",
                scene.why_not(_with(column, named)),
                "The spread under the named matrix could not be computed.", "none",
            )  # fmt: skip
            continue
        yield _judged(scene, column, leaves, named, spreads)


def _columns(scene: Scene) -> dict[str, dict[int, Leaf]]:
    found: dict[str, dict[int, Leaf]] = {}
    for leaf in scene.leaves:
        match = _INDEXED.fullmatch(leaf.name)
        weighted = scene.model(leaf.column).get("spatial_weights")
        if match and weighted and leaf.printed.p_value is not None:
            found.setdefault(leaf.column, {})[int(match["period"])] = leaf
    return found


def _matrices(scene: Scene) -> list[str]:
    return list(scene.study.tree["data"].get("spatial_weights") or {})


def _named(scene: Scene, column: str) -> str:
    held = scene.model(column).get("spatial_weights") or {}
    return str(next(iter(held.values()), ""))


def _with(column: str, matrix: str) -> Need:
    return Need(column, {"spatial_weights": {"all": matrix}})


def _spread(
    scene: Scene, column: str, matrix: str, leaves: dict[int, Leaf]
) -> _Spread | None:
    cell = scene.cell(_with(column, matrix))
    if cell is None:
        return None
    frame = cell.result.coefficients
    if not {"period", "std_error"} <= set(frame.columns):
        return None
    rows = frame[frame["period"].isin(list(leaves))]
    period = [int(p) for p in rows["period"]]
    sd = dict(zip(period, rows["std_error"].astype(float), strict=True))
    # The statistic is the distance from the expected value in standard deviations.
    mean = rows["estimate"] - rows["statistic"] * rows["std_error"]
    return _Spread(dict(zip(period, mean.astype(float), strict=True)), sd)


def _allowed(leaf: Leaf, mean: float) -> Interval:
    """Standard deviations with which the printed value has the printed p."""
    assert leaf.printed.p_value is not None  # noqa: S101 - `_columns` lets no other through
    z = z_of(Interval.of(leaf.printed.p_value))
    gap = abs(leaf.interval - Interval.exactly(mean))
    high = gap.high / z.low if z.low > 0 else float("inf")
    return Interval(gap.low / z.high if z.high > 0 else 0.0, high)


def _unfit(leaves: dict[int, Leaf], spread: _Spread) -> list[int]:
    """Periods whose printed value can't have its p under this spread."""
    found = []
    for period, leaf in leaves.items():
        if period in spread.sd:
            allowed = _allowed(leaf, spread.mean[period])
            sd = spread.sd[period]
            if sd > allowed.high * _SLACK or sd < allowed.low / _SLACK:
                found.append(period)
    return found


def _judged(
    scene: Scene,
    column: str,
    leaves: dict[int, Leaf],
    named: str,
    spreads: dict[str, _Spread],
) -> Finding:
    own = spreads[named]
    wrong = _unfit(leaves, own)
    sds = "; ".join(
        f"{name} {sum(s.sd.values()) / len(s.sd):.4f}" for name, s in spreads.items()
    )
    fits = [name for name, spread in spreads.items() if not _unfit(leaves, spread)]
    worst = max(
        wrong or list(own.sd),
        key=lambda t: own.sd[t] / max(_allowed(leaves[t], own.mean[t]).high, 1e-300),
    )
    leaf = leaves[worst]
    allowed = _allowed(leaf, own.mean[worst])
    p = two_sided((leaf.interval.middle - own.mean[worst]) / own.sd[worst])
    shown = f"{leaf.name} {leaf.printed.text} under '{named}'"
    fit = f"; fits: {listed(fits)}" if fits else "; no declared matrix fits all periods"
    closest = min(spreads, key=lambda n: len(_unfit(leaves, spreads[n])))
    if wrong and not fits and closest != named:
        count = len(leaves) - len(_unfit(leaves, spreads[closest]))
        fit += f", '{closest}' fits {count} of {len(leaves)}" if count else ""
    by_design = _by_design(scene, column, named)
    return _finding(
        scene, column, "impossible" if wrong else "confirmed", shown,
        f"standard deviation without correlation: {sds}; the printed pair needs one of "
        f"{allowed.low:.4f} to {allowed.high:.4f}" + (fit if wrong else ""),
        f"Under the named matrix {len(wrong)} of {len(leaves)} values cannot have their "
        "printed p: they are another matrix's."
        if wrong
        else "Value and p fit the standard deviation that the named matrix gives.",
        f"sd {own.sd[worst]:.4f}, so two-sided p = {p:.2f}"
        if wrong
        else f"sd {own.sd[worst]:.4f}",
        basis="design" if by_design else "data",
    )  # fmt: skip


def _by_design(scene: Scene, column: str, matrix: str) -> bool:
    """Borders and places do not change over time; what does is a value of the data."""
    panel = scene.panel(column)
    flat = scene.study.tree["data"]["spatial_weights"][matrix]
    built = choices.build("matrix", flat)
    assert isinstance(built, Matrix)  # noqa: S101 - the kind says so
    if panel is None or panel.unit is None:
        return False
    read = [c for c in built.reads() if c in panel.frame.columns]
    if not read:
        return True
    return bool((panel.frame.groupby(panel.unit)[read].nunique() <= 1).all(axis=None))


def _finding(
    scene: Scene, column: str, severity: Severity, printed: str, computed: str,
    reason: str, proof: str, basis: Basis = "design",
) -> Finding:  # fmt: skip
    return Finding(
        "autocorrelation", severity, column, printed, computed, reason, proof,
        basis=basis, spec=scene.spec(column),
    )  # fmt: skip


RULE = Rule(
    "autocorrelation",
    "can the statistic have its p under the named spatial weights?",
    judge,
    needs,
)
