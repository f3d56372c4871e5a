"""Instruments: do they contain the treatment, and can they have the printed F?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from framework.audit.finding import Finding, Severity
from framework.audit.rounding import Interval
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Need, Scene

_F = ("kleibergen_paap_f", "first_stage_f", "effective_f", "cragg_donald_f")
#: A first stage that is this many times stronger than the design gives is another one.
_FAR = 3.0


def needs(scene: Scene) -> Iterable[Need]:
    """The line, the instrument that the text describes, and those with the treatment."""
    for column, described in _lines(scene).items():
        yield Need(column)
        if described:
            yield _with(column, described)
            yield from (_with(column, [z]) for z in _containing(scene, described))


def judge(scene: Scene) -> Iterator[Finding]:
    """Every line with a printed first-stage F, or a described instrument."""
    for column, described in _lines(scene).items():
        held = scene.columns().get(column, {})
        own = scene.model(column).get("instruments")
        yield from _contains(scene, column, described if described != own else [])
        yield from _square(scene, column, held)
        for name in _F:
            if name in held:
                yield from _strength(scene, column, held[name], described)


def _lines(scene: Scene) -> dict[str, list[Any]]:
    """Column -> instruments as the text describes them, [] where as in the line."""
    said = {scene.column_of(a): c.instruments for a, c in scene.said("instruments")}
    columns = scene.columns()
    return {
        column: [list(z) if isinstance(z, list) else z for z in said.get(column, [])]
        for column, estimation in scene.estimations.items()
        if estimation.model.get("instruments")
        and (column in said or set(_F) & set(columns.get(column, {})))
    }


def _with(column: str, instruments: list[Any]) -> Need:
    return Need(column, {"instruments": instruments})


def _containing(scene: Scene, described: list[Any]) -> list[list[str]]:
    """Products of the treatment with one part of a described instrument."""
    treatment = (scene.study.tree["model"].get("treatment") or {}).get("column")
    parts = [p for z in described for p in (z if isinstance(z, list) else [z])]
    return [[p, treatment] for p in parts if isinstance(p, str) and treatment]


def _contains(scene: Scene, column: str, described: list[Any]) -> Iterator[Finding]:
    """An instrument that is one number wherever the treatment is off holds it.

    Where the text describes another instrument, the line's is a guess at what was done.
    """
    frame, treatment = scene.frame(column), scene.treatment(column)
    if frame is None or treatment not in frame.columns:
        return
    off = frame[treatment] == 0
    for name in scene.model(column).get("instruments") or ():
        if not isinstance(name, str) or name not in frame.columns or not off.any():
            continue
        still = (
            frame.loc[off, name].nunique() == 1 and frame.loc[~off, name].nunique() > 0
        )
        if still and frame[name].nunique() > 1:
            close = float(frame[name].corr(frame[treatment]))
            yield Finding(
                "instruments",
                "doubtful" if described else "inconsistent",
                column,
                f"instrument '{name}' of the line"
                + (f"; the text describes {_words(described)}" if described else ""),
                f"it is {frame.loc[off, name].iloc[0]:g} in all {int(off.sum()):,} rows "
                f"with {treatment} = 0; their correlation is {close:.3f}",
                "An instrument that contains the treatment is as endogenous as it is.",
                f"correlation {close:.3f}",
                basis="design",
                spec=scene.spec(column),
            )


def _square(scene: Scene, column: str, held: Mapping[str, Leaf]) -> Iterator[Finding]:
    """With one instrument the first-stage F is the square of its t."""
    instruments = list(scene.model(column).get("instruments") or ())
    f = held.get("kleibergen_paap_f") or held.get("first_stage_f")
    name = f"first_stage[{_words(instruments)}]"
    leaf = held.get(name) if len(instruments) == 1 else None
    if f is None or leaf is None or leaf.t is None:
        return
    square = leaf.t.square()
    fits = square.meets(f.interval)
    yield Finding(
        "instruments",
        "confirmed" if fits else "inconsistent",
        f.address,
        f"F {f.printed.text}; first stage {leaf.printed.text}",
        f"t² is {square}",
        "With one instrument the first-stage F is its t statistic squared.",
        f"t² {square}",
        spec=scene.spec(column),
    )


def _strength(
    scene: Scene, column: str, leaf: Leaf, described: list[Any]
) -> Iterator[Finding]:
    need = _with(column, described) if described else Need(column)
    cell = scene.cell(need)
    said = _words(described) if described else "the line's instruments"
    printed = f"F {leaf.printed.text}" + (f"; instrument {said}" if described else "")
    if cell is None or leaf.name not in cell.result.scalars:
        why = scene.why_not(need) if cell is None else f"it gives no {leaf.name}"
        yield _finding(
            scene, leaf, "cannot be judged", printed, why, "No F was computed.", "none"
        )
        return
    ours = float(cell.result.scalars[leaf.name])
    ratio = (leaf.interval / Interval.exactly(ours)) if ours else Interval(0, 0)
    others = _others(scene, column, leaf.name, described)
    beside = "".join(f"; {words} gives {f:,.1f}" for words, f in others)
    fits = ratio.low <= _FAR and ratio.high >= 1 / _FAR
    yield _finding(
        scene, leaf, "confirmed" if fits else "inconsistent", printed,
        f"{said} gives {ours:.1f}{beside}",
        "The design gives a first stage of this strength."
        if fits
        else "The described instrument cannot have this first stage"
        + (", one that contains the treatment can." if _explained(leaf, others) else "."),
        f"{leaf.printed.text} against {ours:.1f}",
    )  # fmt: skip


def _others(
    scene: Scene, column: str, name: str, described: list[Any]
) -> list[tuple[str, float]]:
    """F of instruments that contain the treatment, for comparison."""
    found: list[tuple[str, float]] = []
    if not described:
        return found
    wanted = [(Need(column), "the line's own instrument")]
    wanted += [
        (_with(column, [z]), " × ".join(z)) for z in _containing(scene, described)
    ]
    for need, words in wanted:
        cell = scene.cell(need)
        if cell is not None and name in cell.result.scalars:
            found.append((words, float(cell.result.scalars[name])))
    return found


def _explained(leaf: Leaf, others: list[tuple[str, float]]) -> bool:
    return any(
        leaf.interval.low / _FAR <= f <= leaf.interval.high * _FAR for _, f in others
    )


def _words(instruments: list[Any]) -> str:
    return ", ".join(
        " × ".join(z) if isinstance(z, list) else str(z) for z in instruments
    )


def _finding(
    scene: Scene, leaf: Leaf, severity: Severity, printed: str, computed: str,
    reason: str, proof: str,
) -> Finding:  # fmt: skip
    return Finding(
        "instruments", severity, leaf.address, printed, computed, reason, proof,
        basis="data", spec=scene.spec(leaf.column),
    )  # fmt: skip


RULE = Rule(
    "instruments",
    "is the instrument free of the treatment, and can it have the printed F?",
    judge,
    needs,
)
