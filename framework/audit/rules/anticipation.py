"""Anticipation: a conclusion about leads needs the coefficients of the leads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Need, Scene, listed
from framework.claims import Claim


def needs(scene: Scene) -> Iterable[Need]:
    """The line with the leads, for what its data say of them."""
    return [Need(column) for column, _ in _lines(scene)]


def judge(scene: Scene) -> Iterator[Finding]:
    """Every column from which the text concludes that there is no anticipation."""
    for column, claim in _lines(scene):
        treatment = scene.treatment(column)
        held = scene.columns().get(column, {})
        leads = [name for name in held if _is_lead(name, treatment)]
        if leads:
            judged = {
                n: p for n in leads if (p := held[n].p(scene.df(column))) is not None
            }
            small = [n for n, p in judged.items() if p.high < 0.05]  # noqa: PLR2004 - the usual level
            yield Finding(
                "anticipation",
                "inconsistent" if small else "confirmed",
                column,
                ", ".join(f"{n} {held[n].printed.text}" for n in leads),
                f"significant leads: {listed(small)}"
                if small
                else "no significant lead",
                "The printed leads contradict the conclusion."
                if small
                else "The conclusion rests on the coefficients of the leads.",
                f"{len(small)} of {len(leads)} leads",
                where=claim.where,
                spec=scene.spec(column),
            )
            continue
        yield _without_leads(scene, column, claim)


def _without_leads(scene: Scene, column: str, claim: Claim) -> Finding:
    treatment = scene.treatment(column)
    own = scene.leaf(f"{column}.{treatment}")
    base = _baseline(scene, column)
    moved, proof = "", "0 lead coefficients are printed"
    if own is not None and base is not None:
        change = own.interval - base.interval
        if change.low > 0 or change.high < 0:
            sign = "below" if change.low > 0 else "above"
            moved = (
                f"; the coefficient moves from {base.printed.number} to "
                f"{own.printed.number}, so that the leads lie {sign} zero on balance"
            )
            proof = f"moves by {change.middle:+.4f}"
    return Finding(
        "anticipation",
        "inconsistent",
        column,
        f"{own.printed.text if own else 'nothing'} of '{treatment}', no lead",
        "no coefficient of a lead is printed" + moved + _on_data(scene, column),
        "That the treatment stays significant says nothing about the periods before it: "
        "the leads have to be zero.",
        proof,
        where=claim.where,
        spec=scene.spec(column),
    )


def _lines(scene: Scene) -> list[tuple[str, Claim]]:
    return [
        (scene.column_of(address), claim)
        for address, claim in scene.said("concludes")
        if claim.concludes == "no_anticipation" and scene.column_of(address)
    ]


def _is_lead(name: str, treatment: str) -> bool:
    return name.startswith(f"{treatment}[-")


def _baseline(scene: Scene, column: str) -> Leaf | None:
    """The printed coefficient of the same model without its leads."""
    model, treatment = scene.model(column), scene.treatment(column)
    for leaf in scene.leaves:
        other = scene.model(leaf.column)
        same = leaf.name == treatment and _without(other) == _without(model)
        if same and not (other.get("estimator") or {}).get("leads"):
            return leaf
    return None


def _without(model: Mapping[str, Any]) -> dict[str, Any]:
    estimator = {
        k: v for k, v in (model.get("estimator") or {}).items() if k != "leads"
    }
    return {**model, "estimator": estimator}


def _on_data(scene: Scene, column: str) -> str:
    """What the study's own data give for the leads."""
    cell = scene.cell(Need(column))
    if cell is None:
        return ""
    frame = cell.result.coefficients
    rows = frame[frame["estimand"] == "lead"]
    said = ", ".join(
        f"{e:.4f} ({s:.4f})"
        for e, s in zip(rows["estimate"], rows["std_error"], strict=True)
    )
    return f"; on the study's data the leads are {said}" if said else ""


RULE = Rule("anticipation", "does 'no anticipation' rest on leads?", judge, needs)
