"""Printed numbers in units: has the quantity the size that the world knows of it?

The range comes from outside the paper and is written in the claim with its source. So a
number outside is doubtful, never impossible; and where the text gives no unit, which
units would fit is all that can be said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from framework.audit.finding import Finding, Severity
from framework.audit.rounding import Interval
from framework.audit.rule import Rule
from framework.audit.scene import Scene, listed
from framework.claims import Magnitude


def judge(scene: Scene) -> Iterator[Finding]:
    """Each printed number whose unit has a known size."""
    for address, claim in scene.claims.magnitudes.items():
        leaf = scene.leaf(address)
        over = scene.leaf(claim.over) if claim.over else None
        if leaf is None or (claim.over and over is None):
            continue  # reported as a problem of the study
        sizes = _sizes(leaf.interval, over.interval if over else None, claim)
        known = Interval(*claim.between)
        fitting = [unit for unit, size in sizes.items() if size.meets(known)]
        shown = "; ".join(
            f"{unit}: {size.middle:.3g} {claim.measure}" for unit, size in sizes.items()
        )
        range_ = f"{known.low:g} to {known.high:g} {claim.measure}"
        fits = f"fits as {listed(fitting)}" if fitting else "fits as none of them"
        severity: Severity = "cannot be judged"
        reason = "The text gives no unit, and printed numbers alone do not tell it."
        proof = f"{fits}: {range_}"
        if claim.said:
            size = sizes[claim.said].middle
            severity = "confirmed" if claim.said in fitting else "doubtful"
            reason = (
                "As the text describes it, the number has the size of its kind."
                if claim.said in fitting
                else "As the text describes it, it is of another size than is known: it is "
                "another quantity, in another unit, or no logarithm."
            )
            proof = f"{size:.3g} against {range_}"
        said = claim.said or "a unit that the text does not give"
        yield Finding(
            "magnitudes",
            severity,
            address,
            f"{leaf.name} {leaf.printed.text}"
            + (f" over {over.name} {over.printed.text}" if over else "")
            + f", said to be {'the logarithm of ' if claim.logged else ''}{said}",
            f"{shown}; known: {range_} ({claim.known})"
            + (f"; {fits}" if len(sizes) > 1 else ""),
            reason,
            proof,
            where=claim.where,
            spec=scene.spec(address),
        )


def _sizes(
    number: Interval, over: Interval | None, claim: Magnitude
) -> dict[str, Interval]:
    """Unit -> size of the number in the claim's measure."""
    if claim.logged:
        held = number - over if over else number
        size = Interval(_exp(held.low), _exp(held.high))
    else:
        size = number / over if over else number
    return {
        unit: size * Interval.exactly(factor) for unit, factor in claim.units.items()
    }


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


RULE = Rule("magnitudes", "has the number the size that is known of its kind?", judge)
