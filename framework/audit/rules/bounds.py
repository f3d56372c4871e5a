"""Numbers that no estimation can give, whatever the data."""

from __future__ import annotations

from collections.abc import Iterator

from framework.audit.finding import Finding
from framework.audit.rounding import Interval
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Scene

_R2 = ("r2", "r2_within", "r2_adjusted", "squared_correlation")


def judge(scene: Scene) -> Iterator[Finding]:
    """Standard errors, p values, R2 and counts outside of what they can be."""
    for leaf in scene.leaves:
        for computed, because, proof in _outside(scene, leaf):
            yield Finding(
                "bounds",
                "impossible",
                leaf.address,
                leaf.printed.text,
                computed,
                because,
                proof,
                spec=scene.spec(leaf.address),
            )


def _outside(scene: Scene, leaf: Leaf) -> Iterator[tuple[str, str, str]]:
    """What is computed, the reasoning, and the number that proves it."""
    printed = leaf.printed
    error, p = printed.std_error, printed.p_value
    if error is not None and Interval.of(error).high < 0:
        yield (
            "a standard error is not negative",
            "For a t statistic in round brackets write the estimate over t.",
            f"{error} < 0",
        )
    if p is not None and not Interval.of(p).meets(Interval(0, 1)):
        yield "p lies between 0 and 1", "The number is no p value.", f"{p}"
    if leaf.name in _R2:
        # Two-stage least squares minimises no sum of squares; adjusted can be below 0.
        free = leaf.name == "r2_adjusted" or scene.model(leaf.column).get("instruments")
        low = float("-inf") if free else 0.0
        if not leaf.interval.meets(Interval(low, 1)):
            bounds = "is at most 1" if free else "lies between 0 and 1"
            yield f"R2 {bounds}", "The number is no R2.", f"{printed.number}"
    if leaf.name.startswith(("n_", "n[")) and (
        printed.number <= 0 or printed.number != printed.number.to_integral_value()
    ):
        yield (
            "a count is a whole number above 0",
            "The number counts nothing.",
            f"{printed.number}",
        )


RULE = Rule("bounds", "can an estimation give such a number at all?", judge)
