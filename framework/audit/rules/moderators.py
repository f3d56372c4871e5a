"""Heterogeneity: do both groups have treated units, and does the split add up?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from framework.audit.finding import Basis, Finding, Severity
from framework.audit.rounding import Interval
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Scene
from framework.claims import Claim

if TYPE_CHECKING:
    import pandas as pd


def judge(scene: Scene) -> Iterator[Finding]:
    """Every column with a moderator: claimed, or `interact` of a printed line."""
    for column, claim in _splits(scene):
        moderator = claim.moderator
        frame = scene.frame(column)
        treatment = _plain_treatment(scene)
        if frame is None or not {moderator, treatment} <= set(frame.columns):
            why = scene.why(column) or f"no columns '{moderator}' and '{treatment}'"
            yield _finding(
                scene, column, claim, "cannot be judged", moderator, why,
                "The groups are not known.", "none",
            )  # fmt: skip
            continue
        panel = scene.panel(column)
        treated = frame[frame[treatment] > 0]
        unit = panel.unit if panel and panel.unit else None
        units = (
            treated.groupby(moderator)[unit].nunique()
            if unit
            else treated[moderator].value_counts()
        )
        groups = sorted(frame[moderator].dropna().unique())
        counts = {g: int(units.get(g, 0)) for g in groups}
        shown = ", ".join(f"{moderator} = {g:g}: {n}" for g, n in counts.items())
        empty = [g for g, n in counts.items() if not n]
        if empty:
            yield _empty(scene, column, claim, empty[0], shown, treated)
            continue
        yield _finding(
            scene, column, claim, "confirmed", f"effects by {moderator}",
            f"treated units: {shown}", "Every group has treated units.", shown,
            basis="data",
        )  # fmt: skip
        if claim.larger_than:
            weight = float((treated[moderator] == 1).mean())
            yield from _direction(scene, column, claim, weight)


def _empty(
    scene: Scene,
    column: str,
    claim: Claim,
    group: float,
    shown: str,
    treated: pd.DataFrame,
) -> Finding:
    """A group without treated units; simulated data show it only with the print's help."""
    moderator, treatment = claim.moderator, _plain_treatment(scene)
    own, mean = _product(scene, column), scene.leaf(claim.larger_than)
    printed = f"effects by {moderator}"
    basis: Basis = "data"
    severity: Severity = "impossible"
    if own is not None and mean is not None and _same(own, mean):
        printed += f"; {own.name} and {mean.address} are both {own.printed.text}"
        basis = "print"
        severity = "inconsistent" if scene.simulated else severity
    all_ones = len(treated) > 0 and bool((treated[moderator] == 1).all())
    same = f"; {treatment} × {moderator} = {treatment} in all rows" if all_ones else ""
    return _finding(
        scene, column, claim, severity, printed,
        f"treated units: {shown}{same}",
        "A group without treated units has no effect to compare with: there is no test "
        "of heterogeneity.",
        f"0 treated units with {moderator} = {group:g}",
        basis=basis,
    )  # fmt: skip


def _splits(scene: Scene) -> Iterator[tuple[str, Claim]]:
    seen: set[str] = set()
    for address, claim in scene.said("moderator"):
        column = scene.column_of(address)
        if column:
            seen.add(column)
            yield column, claim
    for column in scene.columns():
        with_ = (scene.model(column).get("interact") or {}).get("with")
        frame = scene.frame(column) if isinstance(with_, str) else None
        if (
            column not in seen
            and frame is not None
            and with_ in frame.columns
            and set(frame[with_].dropna().unique()) <= {0, 1}
        ):
            yield column, Claim(moderator=str(with_))


def _plain_treatment(scene: Scene) -> str:
    """The study's own treatment, which a product was made of."""
    written = (scene.study.tree["model"].get("treatment") or {}).get("column")
    return written if isinstance(written, str) else ""


def _direction(
    scene: Scene, column: str, claim: Claim, weight: float
) -> Iterator[Finding]:
    """Without the treatment beside it, the product is the effect in its own group.

    The mean effect is then about w b1 + (1 - w) b0, w the group's share of treated rows.
    """
    mean = scene.leaf(claim.larger_than)
    own = _product(scene, column)
    if mean is None or own is None or weight in (0.0, 1.0):
        return
    w = Interval.exactly(weight)
    rest = Interval.exactly(1 - weight)
    other = (mean.interval - w * own.interval) / rest
    if own.interval.meets(other):
        return
    larger = own.interval.low > other.high
    yield _finding(
        scene, column, claim, "confirmed" if larger else "inconsistent",
        f"{own.name} {own.printed.text}, said to be larger; {mean.address} "
        f"{mean.printed.text}",
        f"the group has {weight:.0%} of the treated rows, so the others have about "
        f"{other.middle:.4f}",
        "The group's effect is larger than that of the others, as the text says."
        if larger
        else "The group's effect is smaller than the mean effect, so that of the others "
        "is larger: the opposite of what the text says.",
        f"{own.printed.number} against {other.middle:.4f}",
        basis="print",
    )  # fmt: skip


def _same(one: Leaf, other: Leaf) -> bool:
    a, b = one.printed, other.printed
    return (a.number, a.std_error) == (
        b.number,
        b.std_error,
    ) and a.std_error is not None


def _product(scene: Scene, column: str) -> Leaf | None:
    """The printed product, where the treatment itself is not in the model."""
    name = scene.treatment(column)
    interacted = scene.model(column).get("interact") or {}
    if name == _plain_treatment(scene) and interacted.get("main_effect", True):
        return None
    return scene.leaf(f"{column}.{name}")


def _finding(
    scene: Scene, column: str, claim: Claim, severity: Severity, printed: str,
    computed: str, reason: str, proof: str, basis: Basis = "design",
) -> Finding:  # fmt: skip
    return Finding(
        "moderators", severity, column, printed, computed, reason, proof,
        basis=basis, where=claim.where, spec=scene.spec(column),
    )  # fmt: skip


RULE = Rule(
    "moderators", "does every group have treated units, and is the split right?", judge
)
