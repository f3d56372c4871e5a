"""The standard error of W x treatment under each declared matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from framework.audit.finding import Finding
from framework.audit.rounding import Interval
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Need, Scene, listed

#: Standard errors move with outcome and sample; between a sparse and a dense matrix they
#: differ by more than this.
_NEAR, _FAR = 2.0, 3.0


def needs(scene: Scene) -> Iterable[Need]:
    """The line under every matrix that the study declares."""
    for leaf in _leaves(scene):
        yield from (_with(leaf.column, name) for name in _matrices(scene))


def judge(scene: Scene) -> Iterator[Finding]:
    """Every printed coefficient of W x treatment."""
    for leaf in _leaves(scene):
        weights = scene.model(leaf.column).get("spatial_weights") or {}
        named = str(next(iter(weights.values()), ""))
        errors = {
            name: error
            for name in _matrices(scene)
            if (error := _error(scene, leaf, name)) is not None
        }
        if named not in errors:
            why = scene.why_not(_with(leaf.column, named))
            yield _finding(scene, leaf, named, "cannot be judged", why, "none")
            continue
        printed = Interval.of(leaf.printed.std_error)  # type: ignore[arg-type]  # `_leaves` lets no other through
        ratio = {name: printed / Interval.exactly(e) for name, e in errors.items()}
        near = [n for n, r in ratio.items() if r.low <= _NEAR and r.high >= 1 / _NEAR]
        far = ratio[named].low > _FAR or ratio[named].high < 1 / _FAR
        shown = ", ".join(f"{name} {error:.3f}" for name, error in errors.items())
        fits = f"; near the printed one: {listed(near)}" if near else ""
        yield _finding(
            scene, leaf, named, "inconsistent" if far else "confirmed",
            f"standard error under {shown}{fits}",
            f"{leaf.printed.std_error} against {errors[named]:.3f}",
        )  # fmt: skip


def _leaves(scene: Scene) -> list[Leaf]:
    return [
        leaf
        for leaf in scene.leaves
        if leaf.printed.std_error is not None
        and leaf.name == f"W × {scene.treatment(leaf.column)}"
        and scene.model(leaf.column).get("spatial_weights")
    ]


def _matrices(scene: Scene) -> list[str]:
    return list(scene.study.tree["data"].get("spatial_weights") or {})


def _with(column: str, matrix: str) -> Need:
    return Need(column, {"spatial_weights": {"all": matrix}})


def _error(scene: Scene, leaf: Leaf, matrix: str) -> float | None:
    cell = scene.cell(_with(leaf.column, matrix))
    if cell is None:
        return None
    frame = cell.result.coefficients
    rows = frame.loc[frame["term"] == leaf.name, "std_error"]
    return float(rows.iloc[0]) if len(rows) else None


def _finding(
    scene: Scene, leaf: Leaf, named: str, severity: str, computed: str, proof: str
) -> Finding:
    reason = {
        "confirmed": "The standard error is about as large as the named matrix gives.",
        "cannot be judged": "The model could not be estimated under the named matrix.",
    }.get(severity, "The standard error is that of another matrix than the named one.")
    return Finding(
        "spillover", severity, leaf.address,  # type: ignore[arg-type]  # literals above
        f"{leaf.printed.text} under '{named}'", computed, reason, proof,
        basis="data", spec=scene.spec(leaf.column),
    )  # fmt: skip


RULE = Rule(
    "spillover",
    "is the standard error of W × treatment that of the named matrix?",
    judge,
    needs,
)
