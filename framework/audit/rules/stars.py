"""Stars against the t statistic of the printed estimate and standard error."""

from __future__ import annotations

from collections.abc import Iterator

from framework.audit.finding import Finding
from framework.audit.rounding import Interval, p_of
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Scene
from framework.published import stars_of


def judge(scene: Scene) -> Iterator[Finding]:
    """Every starred number; one confirmation for all that agree."""
    levels = scene.claims.stars
    agree = 0
    columns: dict[str, None] = {}
    for leaf in scene.leaves:
        stars, p = leaf.printed.stars, leaf.p(scene.df(leaf.column))
        if stars is None or p is None:
            continue
        if possible(stars, p, levels):
            agree += 1
            columns[leaf.column] = None
            continue
        fewest, most = (len(stars_of(end, levels)) for end in (p.high, p.low))
        t = f"|t| is {leaf.t}, " if leaf.t else ""
        yield Finding(
            "stars",
            "impossible",
            leaf.address,
            leaf.printed.text,
            f"{t}p is {p}: "
            + (f"{fewest}" if fewest == most else f"{fewest} to {most}")
            + " stars",
            f"No number that rounds to these digits has {stars} stars at the levels "
            f"{', '.join(f'{v:g}' for v in levels)}." + _as_t(leaf, stars, scene),
            f"p = {p}",
            spec=scene.spec(leaf.address),
        )
    if agree:
        yield Finding(
            "stars",
            "confirmed",
            ", ".join(dict.fromkeys(c.split(".")[0] for c in columns)),
            f"{agree} estimates with standard errors",
            f"stars agree with |t| in all {agree}",
            "Within the rounding of the printed digits, stars and standard errors fit.",
            f"{agree} of {agree}",
        )


def _as_t(leaf: Leaf, stars: int, scene: Scene) -> str:
    """That the number in round brackets would fit as a t statistic."""
    error = leaf.printed.std_error
    if error is None or leaf.printed.p_value is not None:
        return ""
    p = p_of(abs(Interval.of(error)), scene.df(leaf.column))
    if not possible(stars, p, scene.claims.stars):
        return ""
    return (
        " They fit if the brackets hold a t statistic: then write estimate / t there, "
        "which is the standard error."
    )


def possible(stars: int, p: Interval, levels: list[float]) -> bool:
    """Some p of the interval has that many stars."""
    return len(stars_of(p.high, levels)) <= stars <= len(stars_of(p.low, levels))


RULE = Rule("stars", "do the stars fit estimate and standard error?", judge)
