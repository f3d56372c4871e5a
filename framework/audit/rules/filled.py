"""Cells filled by interpolation across the adoption of the treatment."""

from __future__ import annotations

from collections.abc import Iterator

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Scene


def judge(scene: Scene) -> Iterator[Finding]:
    """The study's own data, where the text says that gaps were filled."""
    if not scene.claims.data.interpolated:
        return
    column = next(
        (
            c
            for c, e in scene.estimations.items()
            if e.data == scene.study.tree["data"] and scene.treatment(c)
        ),
        "",
    )
    panel, design = scene.panel(column), scene.design(column)
    said = "missing values interpolated"
    if panel is None or design is None:
        yield _finding(scene, column, "cannot be judged", said, scene.why(column),
                       "The data could not be read.", "none")  # fmt: skip
        return
    import pandas as pd

    frames = [f for name, f in panel.frames.items() if name.endswith(".filled")]
    if not frames:
        yield _finding(
            scene, column, "cannot be judged", said,
            "the study's data have no missing cell to fill",
            "How many cells of treated units were filled near adoption is not printed.",
            "0 filled cells",
        )  # fmt: skip
        return
    request = design.request
    treatment = request.treatment
    if treatment is None or treatment.cohort is None or request.unit is None:
        return
    cells = pd.concat(frames, ignore_index=True)
    ids = request.ids[request.unit]
    codes = request.frame[request.unit].to_numpy()
    start = pd.Series(request.frame[treatment.cohort].to_numpy(), index=ids[codes])
    start = start.groupby(level=0).first()
    first = cells[panel.unit].map(start).to_numpy(dtype="float64")
    gap = abs(cells[panel.time].to_numpy(dtype="float64") - first)
    near = int((gap <= 1).sum())
    yield _finding(
        scene, column, "doubtful" if near else "confirmed",
        said,
        f"{len(cells):,} cells filled, {near} of treated units within a period of "
        "adoption",
        "Interpolation across the adoption carries the effect into the time before it."
        if near
        else "No filled cell of a treated unit lies next to its adoption.",
        f"{near} cells",
    )  # fmt: skip


def _finding(
    scene: Scene, column: str, severity: str, printed: str, computed: str, reason: str,
    proof: str,
) -> Finding:  # fmt: skip
    return Finding(
        "filled", severity, column, printed, computed, reason, proof,  # type: ignore[arg-type]  # literals above
        basis="data", spec=scene.spec(column),
    )  # fmt: skip


RULE = Rule("filled", "were gaps filled across the adoption?", judge)
