"""A decomposition into 2x2 comparisons: weights from the design, and their sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from framework.audit.finding import Finding
from framework.audit.rounding import Interval
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Need, Scene

_WEIGHT, _ESTIMATE = "weight_", "estimate_"
_TOTAL = "two_way_estimate"


def needs(scene: Scene) -> Iterable[Need]:
    """The decompositions themselves: their weights depend on the design alone."""
    return [Need(column) for column in _columns(scene)]


def judge(scene: Scene) -> Iterator[Finding]:
    """Every column that prints weights."""
    for column, held in _columns(scene).items():
        yield from _weights(scene, column, held)
        pairs = [
            (leaf, held[_ESTIMATE + name.removeprefix(_WEIGHT)])
            for name, leaf in held.items()
            if name.startswith(_WEIGHT)
            and _ESTIMATE + name.removeprefix(_WEIGHT) in held
        ]
        if pairs and len(pairs) == sum(name.startswith(_WEIGHT) for name in held):
            yield from _sum(scene, column, held, pairs)


def _columns(scene: Scene) -> dict[str, dict[str, Leaf]]:
    return {
        column: held
        for column, held in scene.columns().items()
        if any(name.startswith(_WEIGHT) for name in held)
    }


def _weights(scene: Scene, column: str, held: dict[str, Leaf]) -> Iterator[Finding]:
    printed = {k: leaf for k, leaf in held.items() if k.startswith(_WEIGHT)}
    shown = ", ".join(
        f"{k.removeprefix(_WEIGHT).replace('_', ' ')} {leaf.printed.text}"
        for k, leaf in printed.items()
    )
    cell = scene.cell(Need(column))
    if cell is None:
        yield _finding(
            scene, column, "cannot be judged", shown, scene.why_not(Need(column)),
            "The weights could not be computed.", "none",
        )  # fmt: skip
        return
    absent = [k for k in printed if k not in cell.result.scalars]
    if absent and _controls(scene, held_leaf(held)):
        named = ", ".join(k.removeprefix(_WEIGHT).replace("_", " ") for k in absent)
        yield _finding(
            scene, column, "cannot be judged", shown,
            f"a decomposition with controls has no weight of {named}",
            "Controls do not keep the directions of a pair of cohorts apart.", "none",
        )  # fmt: skip
        return
    ours = {k: cell.result.scalars.get(k, 0.0) for k in printed}
    fit = all(printed[k].interval.holds(v) for k, v in ours.items())
    said = ", ".join(f"{v:.6f}" for v in ours.values())
    yield _finding(
        scene, column, "confirmed" if fit else "inconsistent", shown, said,
        "The weights follow from who is treated when, and are as printed."
        if fit
        else "The weights follow from who is treated when, and are others than printed: "
        "the treatment was coded otherwise.",
        said,
    )  # fmt: skip


def _sum(
    scene: Scene, column: str, held: dict[str, Leaf], pairs: list[tuple[Leaf, Leaf]]
) -> Iterator[Finding]:
    total = Interval.exactly(0.0)
    for weight, estimate in pairs:
        total = total + weight.interval * estimate.interval
    target = _target(scene, column, held)
    words = " + ".join(f"{w.printed.text}({e.printed.text})" for w, e in pairs)
    if target is None:
        return
    fits = total.meets(target.interval)
    negative = [e.name.removeprefix(_ESTIMATE) for _, e in pairs if e.interval.high < 0]
    also = (
        f"; negative: {', '.join(n.replace('_', ' ') for n in negative)}"
        if negative
        else ""
    )
    left_out = _controls(scene, target) and not _controls(scene, held_leaf(held))
    yield _finding(
        scene, column, "confirmed" if fits else "inconsistent",
        f"{words}; {target.address} {target.printed.text}",
        f"the weighted sum is {total}{also}",
        "The comparisons sum to the two-way coefficient."
        if fits
        else "The comparisons sum to another coefficient than the one they are said to "
        "explain"
        + (", which has controls that the decomposition leaves out." if left_out else "."),
        f"{total.middle:.4f} against {target.printed.number}",
        basis="print",
    )  # fmt: skip


def held_leaf(held: dict[str, Leaf]) -> Leaf:
    """Any number of a column."""
    return next(iter(held.values()))


def _controls(scene: Scene, leaf: Leaf) -> bool:
    return bool(scene.model(leaf.column).get("controls"))


def _target(scene: Scene, column: str, held: dict[str, Leaf]) -> Leaf | None:
    """What the comparisons should sum to: as claimed, else printed beside them."""
    for address, claim in scene.said("decomposes"):
        if scene.column_of(address) == column:
            return scene.leaf(claim.decomposes)
    return held.get(_TOTAL)


def _finding(
    scene: Scene, column: str, severity: str, printed: str, computed: str, reason: str,
    proof: str, basis: str = "design",
) -> Finding:  # fmt: skip
    return Finding(
        "decomposition", severity, column, printed, computed, reason, proof,  # type: ignore[arg-type]  # literals above
        basis=basis, spec=scene.spec(column),  # type: ignore[arg-type]  # as above
    )  # fmt: skip


RULE = Rule(
    "decomposition",
    "do the comparisons sum to the coefficient, with the weights of the design?",
    judge,
    needs,
)
