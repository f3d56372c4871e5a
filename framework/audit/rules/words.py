"""What the text says of a printed number: its value, its level, its range."""

from __future__ import annotations

from collections.abc import Iterator

from framework.audit.finding import Finding
from framework.audit.rounding import Interval
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Scene, listed
from framework.claims import Claim


def judge(scene: Scene) -> Iterator[Finding]:
    """Every claim about a value, a level or a range."""
    for address, claim in scene.said("value"):
        yield from _value(scene, address, claim)
    for address, claim in scene.said("significant"):
        yield from _level(scene, address, claim)
    for address, claim in scene.said("range"):
        yield from _range(scene, address, claim)


def _value(scene: Scene, address: str, claim: Claim) -> Iterator[Finding]:
    said = str(claim.value)
    leaf = scene.leaf(address)
    if leaf is None:
        yield _unjudged(scene, address, f"the text: {said}", claim)
        return
    if leaf.interval.meets(Interval.of(said)):
        return
    exact = Interval.of(said)
    twins = [
        other.address
        for other in scene.leaves
        if other.address != address and other.interval == exact
    ]
    also = f"; {said} is what {listed(twins)} prints" if twins else ""
    yield Finding(
        "words",
        "inconsistent",
        address,
        f"text {said}, table {leaf.printed.text}",
        f"they differ by {abs(leaf.interval.middle - exact.middle):.4g}{also}",
        "The text repeats another number than the table prints.",
        f"{said} against {leaf.printed.number}",
        where=claim.where,
        spec=scene.spec(address),
    )


def _level(scene: Scene, address: str, claim: Claim) -> Iterator[Finding]:
    level = claim.significant
    assert level is not None  # noqa: S101 - `said` lets only filled claims through
    judged = [
        (leaf, p)
        for leaf in scene.under(address)
        if (p := leaf.p(scene.df(leaf.column))) is not None
    ]
    said = f"the text: significant at {level:.0%}"
    if not judged:
        yield _unjudged(scene, address, said, claim)
        return
    wrong = [(leaf, p) for leaf, p in judged if p.low >= level]
    if wrong:
        least, p = min(wrong, key=lambda pair: pair[1].low)
        most = max(bound.high for _, bound in wrong)
        yield Finding(
            "words",
            "inconsistent",
            address,
            f"{said}; " + listed(_shown(leaf) for leaf, _ in wrong),
            f"p is {_evidence(least, p)}"
            + (
                f" to {most:.3g}; {len(wrong)} of {len(judged)} numbers"
                * (len(wrong) > 1)
            ),
            f"The printed numbers do not reach the level of {level:.0%} that the text "
            "claims.",
            f"p ≥ {p.low:.3g} > {level:g}",
            where=claim.where,
            spec=scene.spec(address),
        )
    elif all(p.high < level for _, p in judged):
        yield Finding(
            "words",
            "confirmed",
            address,
            said,
            f"p ≤ {max(p.high for _, p in judged):.3g}",
            "The printed numbers reach the level that the text claims.",
            f"{len(judged)} of {len(judged)}",
            where=claim.where,
            spec=scene.spec(address),
        )


def _shown(leaf: Leaf) -> str:
    return f"{leaf.name} {leaf.printed.text}"


def _evidence(leaf: Leaf, p: Interval) -> str:
    if leaf.printed.p_value is not None or leaf.t is None:
        return f"{p.low:.3g}"
    return f"{p.low:.3g} (|t| = {leaf.t.middle:.2f})"


def _range(scene: Scene, address: str, claim: Claim) -> Iterator[Finding]:
    assert claim.range is not None  # noqa: S101 - `said` lets only filled claims through
    low, high = claim.range
    allowed = Interval(Interval.of(low).low, Interval.of(high).high)
    held = scene.under(address)
    said = f"the text: between {low} and {high}"
    if not held:
        yield _unjudged(scene, address, said, claim)
        return
    outside = [leaf for leaf in held if not leaf.interval.meets(allowed)]
    values = [leaf.printed.number for leaf in held]
    columns = dict.fromkeys(leaf.column for leaf in outside)
    yield Finding(
        "words",
        "inconsistent" if outside else "confirmed",
        address,
        said,
        f"{len(outside)} of {len(held)} lie outside"
        + (f", those of {listed(columns)}" if outside else "")
        + f"; the table has {min(values)} to {max(values)}",
        "The range in the text leaves out what the table prints."
        if outside
        else "All printed numbers lie in the range that the text gives.",
        f"{min(values)} to {max(values)}",
        where=claim.where,
        spec=scene.spec(address),
    )


def _unjudged(scene: Scene, address: str, said: str, claim: Claim) -> Finding:
    return Finding(
        "words",
        "cannot be judged",
        address,
        said,
        "nothing that tells is printed there",
        "No number with a standard error or p value stands at this address in "
        "`published`.",
        "0 numbers",
        where=claim.where,
        spec=scene.spec(address),
    )


RULE = Rule("words", "do the numbers say what the text says of them?", judge)
