"""Efficiency scores: constant returns to scale do not go with outputs per head.

With constant returns a unit twice as large has to have twice the outputs. An output per
head does not grow with size, so that large units look inefficient whatever they do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Scene
from framework.claims import Per

if TYPE_CHECKING:
    import pandas as pd


def judge(scene: Scene) -> Iterator[Finding]:
    """Every step with constant returns, volumes as inputs and outputs per head."""
    for step, outputs in _mixed(scene).items():
        heads = ", ".join(f"{c} per {p}" for c, p in outputs.items())
        options = scene.study.tree["data"]["steps"][step]
        printed = (
            f"{step}: constant returns, inputs {', '.join(options['inputs'])}, outputs "
            f"{heads}"
        )
        column = _line(scene)
        size = next(iter(outputs.values()))
        own = _correlation(scene.frame(column), step, size)
        steps = _per_head(scene, step, outputs)
        changed = _correlation(scene.with_steps(column, steps), step, size)
        if own is None or changed is None:
            why = scene.why(column) or "a column is not there"
            computed, proof = f"not computed: {why}", f"{len(outputs)} outputs per head"
        else:
            computed = (
                f"correlation of the score with log({size}): {own:.2f} in the study, "
                f"{changed:.2f} with these outputs divided by {size}"
            )
            proof = f"correlation {own:.2f} becomes {changed:.2f}"
        yield Finding(
            "scores",
            "inconsistent",
            f"data.steps.{step}",
            printed,
            computed,
            "Under constant returns outputs per head beside inputs in totals make the "
            "score fall with size whatever efficiency is.",
            proof,
            basis="data",
            spec=str(scene.study.origins.place(("data", "steps", step)) or ""),
        )


def _mixed(scene: Scene) -> dict[str, dict[str, str]]:
    """Step -> outputs per head and of what, where inputs are totals."""
    per = {c: k.per for c, k in scene.claims.variables.items() if isinstance(k, Per)}
    found: dict[str, dict[str, str]] = {}
    for name, step in (scene.study.tree["data"].get("steps") or {}).items():
        if step.get("returns") != "constant" or not step.get("inputs"):
            continue
        outputs = {c: per[c] for c in step.get("outputs") or () if c in per}
        if outputs and not set(step["inputs"]) & set(per):
            found[name] = outputs
    return found


def _line(scene: Scene) -> str:
    return next(
        (c for c, e in scene.estimations.items() if e.data == scene.study.tree["data"]),
        "",
    )


def _per_head(scene: Scene, step: str, outputs: Mapping[str, str]) -> dict[str, Any]:
    """The study's steps with these outputs divided before the score is made."""
    steps: dict[str, Any] = {}
    made = {c: f"{c}_per_{p}" for c, p in outputs.items()}
    for name, options in scene.study.tree["data"]["steps"].items():
        held = dict(options)
        if name == step:
            for output, per in outputs.items():
                steps[made[output]] = {"name": "derive", "formula": f"{output} / {per}"}
            held["outputs"] = [made.get(c, c) for c in options["outputs"]]
        steps[name] = held
    return steps


def _correlation(frame: pd.DataFrame | None, score: str, size: str) -> float | None:
    import numpy as np

    if frame is None or not {score, size} <= set(frame.columns):
        return None
    both = frame[[score, size]].dropna()
    both = both[both[size] > 0]
    return float(np.corrcoef(both[score], np.log(both[size]))[0, 1])


RULE = Rule("scores", "do returns to scale and units of the outputs fit?", judge)
