"""Notes under tables: every mark defined, and as the paper defines it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Scene


def judge(scene: Scene) -> Iterator[Finding]:
    """Each heading whose note was copied."""
    for heading, note in scene.claims.notes.items():
        faults = [*_undefined(scene, heading, note), *_otherwise(scene, heading, note)]
        yield Finding(
            "notes",
            "inconsistent" if faults else "confirmed",
            heading,
            "the note defines " + ", ".join(f"{k} as {v:g}" for k, v in note.items()),
            "; ".join(faults) or "every mark of the table is defined",
            "The note leaves a mark of the table undefined, or defines one otherwise than "
            "the rest of the paper."
            if faults
            else "The note defines the marks that the table uses.",
            faults[0] if faults else f"{len(note)} marks",
            spec=scene.spec(heading),
        )


def _undefined(scene: Scene, heading: str, note: Mapping[str, float]) -> Iterator[str]:
    marks = ["*" * (leaf.printed.stars or 0) for leaf in scene.under(heading)]
    for mark in sorted({m for m in marks if m} - set(note)):
        yield f"{marks.count(mark)} numbers carry {mark}, which it does not define"


def _otherwise(scene: Scene, heading: str, note: Mapping[str, float]) -> Iterator[str]:
    """A mark with another level than the paper's, and a number that shows it wrong."""
    levels = scene.claims.stars
    for mark, level in note.items():
        usual = levels[len(mark) - 1] if len(mark) <= len(levels) else None
        if usual is None or usual == level:
            continue
        said = f"{mark} is {level:g} here and {usual:g} elsewhere"
        wrong = [
            (leaf, p)
            for leaf in scene.under(heading)
            if leaf.printed.stars == len(mark)
            and (p := leaf.p(scene.df(leaf.column))) is not None
            and p.low >= level
        ]
        if wrong:
            leaf, p = wrong[0]
            said += f": {leaf.printed.text} has p ≥ {p.low:.3g}"
        yield said


RULE = Rule("notes", "do the notes define the marks that the tables use?", judge)
