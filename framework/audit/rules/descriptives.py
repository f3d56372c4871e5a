"""Mean, standard deviation and extremes: can one variable have them all?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from framework.audit.finding import Finding
from framework.audit.rounding import Interval
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Scene

#: Tails of 1% that carry more of the variance are those of no winsorised variable we
#: know: normal 0.11, lognormal with unit sigma 0.23.
_TAILS = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """The printed moments of one variable; N as printed, else that of the table."""

    column: str
    variable: str
    mean: Interval
    sd: Interval
    low: Interval
    high: Interval
    n: int
    text: str

    @property
    def address(self) -> str:
        return f"{self.column}.{self.variable}"


def judge(scene: Scene) -> Iterator[Finding]:
    """Every variable with mean, sd, min and max; one confirmation for the rest."""
    rows = list(_rows(scene))
    alarms = 0
    for row in rows:
        binary = _is_binary(scene, row)
        found = [
            *_moments(scene, row),
            *(_binary(scene, row) if binary else _winsorized(scene, row)),
            *_logged(scene, row),
        ]
        alarms += any(f.alarm for f in found)
        yield from found
    if rows and not alarms:
        yield Finding(
            "descriptives",
            "confirmed",
            rows[0].column,
            f"{len(rows)} variables",
            "mean, standard deviation and extremes fit in all",
            "Within rounding, some variable has these moments.",
            f"{len(rows)} of {len(rows)}",
        )


def _rows(scene: Scene) -> Iterator[Row]:
    """Variables of a descriptive table: `mean[x]`, `sd[x]`, `min[x]`, `max[x]`."""
    for column, held in scene.columns().items():
        variables = [n[len("mean[") : -1] for n in held if n.startswith("mean[")]
        for variable in variables:
            names = {
                name: f"{name}[{variable}]" for name in ("mean", "sd", "min", "max")
            }
            if not set(names.values()) <= set(held):
                continue
            moments = {name: held[at] for name, at in names.items()}
            mean, sd, low, high = (leaf.interval for leaf in moments.values())
            shown = ", ".join(f"{n} {leaf.printed.text}" for n, leaf in moments.items())
            n = _count(scene, held, variable)
            yield Row(column, variable, mean, sd, low, high, n, shown)


def _count(scene: Scene, held: Mapping[str, Leaf], variable: str) -> int:
    """N of the variable, of the table, or of the sample in the text; 0 = unknown."""
    counted = held.get(f"n[{variable}]") or held.get("n_obs")
    units, periods = scene.claims.sample.units, scene.claims.sample.periods
    if counted:
        return int(counted.printed.number)
    return units * (periods[1] - periods[0] + 1) if units and periods else 0


def _is_binary(scene: Scene, row: Row) -> bool:
    said = scene.claims.variables.get(row.variable) == "binary"
    # Only what the study itself calls its treatment is known to be a switch.
    switch = row.variable == scene.treatment(scene.column_of(row.column))
    zero_one = row.low.holds(0.0) and row.high.holds(1.0)
    kind = (scene.model(scene.column_of(row.column)).get("treatment") or {}).get("kind")
    return said or (switch and zero_one and kind in (None, "absorbing", "reversible"))


def _moments(scene: Scene, row: Row) -> Iterator[Finding]:
    """Extremes around the mean, and Bhatia and Davis's bound of the variance."""
    outside = row.mean.high < row.low.low or row.mean.low > row.high.high
    room = max(row.high.high - row.mean.low, 0) * max(row.mean.high - row.low.low, 0)
    n = row.n or 2
    bound = math.sqrt(room * n / (n - 1))
    if outside or row.sd.low > bound:
        yield Finding(
            "descriptives",
            "impossible",
            row.address,
            row.text,
            "the mean lies outside the extremes"
            if outside
            else f"sd is at most {bound:.4g}",
            "No variable has this mean and standard deviation between these extremes.",
            f"{row.sd.middle:.4g} > {bound:.4g}" if not outside else row.text,
            spec=scene.spec(row.address),
        )


def _binary(scene: Scene, row: Row) -> Iterator[Finding]:
    """The mean of a 0/1 column counts its ones, and gives its standard deviation."""
    if not row.n:
        return
    n = row.n
    counts = range(
        max(math.ceil(row.mean.low * n), 0), min(math.floor(row.mean.high * n), n) + 1
    )
    fits = [
        k
        for k in counts
        if row.sd.holds(math.sqrt(k / n * (1 - k / n) * n / (n - 1)))
        # Some programs divide by n.
        or row.sd.holds(math.sqrt(k / n * (1 - k / n)))
    ]
    shown = (
        f"{fits[0]}" if len(fits) == 1 else f"{fits[0]} to {fits[-1]}" if fits else ""
    )
    p = fits[0] / n if fits else row.mean.middle
    sd = math.sqrt(max(p * (1 - p), 0) * n / (n - 1))
    yield Finding(
        "descriptives",
        "confirmed" if fits else "impossible",
        row.address,
        f"{row.text}, N {n:,}",
        f"{shown} ones of {n:,}, sd {sd:.4f}"
        if fits
        else f"no count of ones between {row.mean.low * n:.2f} and "
        f"{row.mean.high * n:.2f} has this mean and sd",
        "Mean and standard deviation are those of a 0/1 column."
        if fits
        else "A 0/1 column with this mean has another standard deviation, or no whole "
        "number of ones.",
        f"{shown or sd:}",
        spec=scene.spec(row.address),
    )


def _winsorized(scene: Scene, row: Row) -> Iterator[Finding]:
    """Limits put a share of all rows at each extreme, which the variance must hold."""
    limits = scene.claims.data.winsorized
    if limits is None or not row.n:
        return
    n = row.n
    at_low, at_high = math.floor(limits[0] * n), math.floor((1 - limits[1]) * n)
    total = (n - 1) * row.sd.high**2
    below = max(row.mean.low - row.low.high, 0) ** 2 * at_low
    above = max(row.high.low - row.mean.high, 0) ** 2 * at_high
    share = (below + above) / total if total else 0.0
    if share <= _TAILS:
        return
    far = (row.high.middle - row.mean.middle) / row.sd.middle
    yield Finding(
        "descriptives",
        "impossible" if share > 1 else "doubtful",
        row.address,
        f"{row.text}; winsorized at {limits[0]:g} and {limits[1]:g}",
        f"the {at_low + at_high} rows at the limits would carry {share:.0%} of the "
        f"variance; the maximum is {far:.1f} sd from the mean",
        "Extremes this far from the mean do not go with the limits that the text gives.",
        f"{share:.0%} of the variance",
        spec=scene.spec(row.address),
    )


def _logged(scene: Scene, row: Row) -> Iterator[Finding]:
    if (
        row.variable in scene.claims.data.logged
        and scene.claims.variables.get(row.variable) == "share"
        and row.high.low > 0
    ):
        yield Finding(
            "descriptives",
            "impossible",
            row.address,
            f"{row.text}; said to be a logarithm of a share",
            "the logarithm of a share is never above 0",
            "The variable is in levels, although the text says it was logged.",
            f"max {row.high.middle:g} > 0",
            spec=scene.spec(row.address),
        )


RULE = Rule("descriptives", "can a variable have the printed moments?", judge)
