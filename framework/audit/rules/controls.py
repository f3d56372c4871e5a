"""Controls that the treatment moves: each as the outcome of the same model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Need, Scene

_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class _Moved:
    """The treatment's coefficient with a control as outcome."""

    estimate: float
    std_error: float
    p_value: float


def needs(scene: Scene) -> Iterable[Need]:
    """The study's own model once per control, without controls."""
    column = _column(scene)
    return [_need(column, c) for c in _controls(scene, column)] if column else []


def judge(scene: Scene) -> Iterator[Finding]:
    """The controls of the study's own model, if the paper prints a line of it."""
    column = _column(scene)
    if not column:
        return
    controls = _controls(scene, column)
    found: dict[str, _Moved] = {}
    missing: dict[str, str] = {}
    for control in controls:
        moved = _moved(scene, column, control)
        if moved is None:
            missing[control] = scene.why_not(_need(column, control))
        else:
            found[control] = moved
    said = f"controls {', '.join(controls)}"
    if not found:
        why = next(iter(missing.values()), "")
        yield _finding(
            scene, column, "cannot be judged", said, why,
            "No control could be made the outcome.", "none",
        )  # fmt: skip
        return
    adjusted = _holm({name: m.p_value for name, m in found.items()})
    moved_by = [name for name, p in adjusted.items() if p < _LEVEL]
    shown = ", ".join(
        f"{name} {found[name].estimate:.4g} ({found[name].std_error:.2g})"
        for name in moved_by or found
    )
    least = min(adjusted, key=lambda name: adjusted[name])
    yield _finding(
        scene, column, "doubtful" if moved_by else "confirmed", said,
        f"effect of the treatment on {shown}",
        "Controls that the treatment moves take part of its effect away."
        if moved_by
        else "No control moves with the treatment (Holm-adjusted at 5%).",
        f"smallest adjusted p {adjusted[least]:.3g} ({least})",
    )  # fmt: skip


def _column(scene: Scene) -> str:
    """A printed line of the study's own model, with controls and a switch over time."""
    model = scene.study.tree["model"]
    kind = (model.get("treatment") or {}).get("kind", "absorbing")
    if (
        not model.get("controls")
        or kind != "absorbing"
        or not model.get("fixed_effects")
    ):
        return ""
    for column in scene.columns():
        estimation = scene.estimations.get(column)
        if estimation is not None and not estimation.changes:
            return column
    return ""


def _controls(scene: Scene, column: str) -> list[str]:
    return [c for c in scene.model(column).get("controls") or () if isinstance(c, str)]


def _need(column: str, control: str) -> Need:
    return Need(column, {"outcome": control, "controls": []})


def _moved(scene: Scene, column: str, control: str) -> _Moved | None:
    cell = scene.cell(_need(column, control))
    if cell is None:
        return None
    frame = cell.result.coefficients
    rows = frame[frame["term"] == scene.treatment(column)]
    if not len(rows):
        return None
    row = rows.iloc[0]
    return _Moved(
        float(row["estimate"]), float(row["std_error"]), float(row["p_value"])
    )


def _holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm (1979): step-down adjusted p values."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    found, most = {}, 0.0
    for rank, name in enumerate(ordered):
        most = max(most, min(1.0, (len(ordered) - rank) * p_values[name]))
        found[name] = most
    return found


def _finding(
    scene: Scene, column: str, severity: str, printed: str, computed: str, reason: str,
    proof: str,
) -> Finding:  # fmt: skip
    return Finding(
        "controls", severity, column, printed, computed, reason, proof,  # type: ignore[arg-type]  # literals above
        basis="data", spec=scene.spec(column),
    )  # fmt: skip


RULE = Rule("controls", "does the treatment move the controls?", judge, needs)
