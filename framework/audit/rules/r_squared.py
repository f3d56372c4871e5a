"""R2 of nested regressions, and R2 of different kinds side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Scene

#: Regressors that explain so much less than fewer of them did are another kind of R2.
_APART = 0.3
#: What papers print as R2, whatever it is.
_KINDS = ("r2", "r2_within", "squared_correlation")


def judge(scene: Scene) -> Iterator[Finding]:
    """Every pair of columns of which one holds the other's regressors."""
    held = _printed(scene, "r2")
    pairs, wrong = 0, []
    for small, below in held.items():
        for large, above in held.items():
            if small != large and _nested(scene, small, large):
                pairs += 1
                if above.interval.high < below.interval.low:
                    wrong.append((small, large, below, above))
    for small, large, below, above in wrong:
        yield Finding(
            "r_squared",
            "inconsistent",
            above.address,
            f"R2 {above.printed.text}, in {small} {below.printed.text}",
            f"{large} has all regressors of {small}",
            "R2 does not fall when regressors are added on the same rows: one of the "
            "two is of another regression, or another kind of R2.",
            f"{above.printed.text} < {below.printed.text}",
            spec=scene.spec(large),
        )
    if pairs and not wrong:
        yield Finding(
            "r_squared",
            "confirmed",
            ", ".join(dict.fromkeys(c.split(".")[0] for c in held)),
            f"R2 of {len(held)} columns",
            f"R2 grows with the regressors in all {pairs} nested pairs",
            "R2 does not fall when regressors are added on the same rows.",
            f"{pairs} of {pairs}",
        )
    yield from _kinds(scene, _printed(scene, *_KINDS))


def _printed(scene: Scene, *names: str) -> dict[str, Leaf]:
    """Column -> its R2; two-stage least squares minimises no sum of squares."""
    return {
        column: held[name]
        for column, held in scene.columns().items()
        for name in names
        if name in held and not scene.model(column).get("instruments")
    }


def _kinds(scene: Scene, held: Mapping[str, Leaf]) -> Iterator[Finding]:
    """The same outcome, rows and effects, and yet far less is explained."""
    most: dict[str, tuple[str, Leaf]] = {}
    for column, leaf in held.items():
        key = _setting(scene, column)
        if key not in most or leaf.printed.number > most[key][1].printed.number:
            most[key] = (column, leaf)
    low = {
        column: leaf
        for column, leaf in held.items()
        if most[_setting(scene, column)][1].interval.low - leaf.interval.high > _APART
    }
    if not low:
        return
    first = next(iter(low))
    top, highest = most[_setting(scene, first)]
    shown = ", ".join(f"{c} {leaf.printed.text}" for c, leaf in low.items())
    yield Finding(
        "r_squared",
        "doubtful",
        ", ".join(low),
        f"R2 {shown}; {top} {highest.printed.text}",
        f"the same outcome, controls and effects, {len(low)} times less by more than "
        f"{_APART:g}",
        "The tables mix R2 of different kinds (overall, within) without saying which.",
        f"{min(leaf.printed.number for leaf in low.values())} beside "
        f"{highest.printed.number}",
        spec=scene.spec(first),
    )


def _setting(scene: Scene, column: str) -> str:
    model = scene.model(column)
    printed = scene.columns().get(column, {}).get("n_obs")
    n = str(printed.printed.number) if printed else ""
    told = {k: model.get(k) for k in ("outcome", "fixed_effects", "controls", "sample")}
    return f"{told} {n}"


def _nested(scene: Scene, small: str, large: str) -> bool:
    """Least squares on the same rows with at least the same regressors."""
    one, two = scene.estimations.get(small), scene.estimations.get(large)
    if one is None or two is None or one.data != two.data:
        return False
    same = ("outcome", "treatment", "estimator", "weights", "interact", "sample")
    if any(one.model.get(key) != two.model.get(key) for key in same):
        return False
    if one.model.get("instruments") or one.model.get("spatial_weights"):
        return False
    a, b = _printed_n(scene, small), _printed_n(scene, large)
    return (
        a == b
        and _inside(one.model, two.model, "controls")
        and _inside(one.model, two.model, "fixed_effects")
    )


def _printed_n(scene: Scene, column: str) -> object:
    leaf = scene.columns().get(column, {}).get("n_obs")
    return leaf.printed.number if leaf else None


def _inside(one: Mapping[str, Any], two: Mapping[str, Any], key: str) -> bool:
    small, large = ([str(v) for v in m.get(key) or ()] for m in (one, two))
    return set(small) <= set(large)


RULE = Rule("r_squared", "do nested regressions have nested R2?", judge)
