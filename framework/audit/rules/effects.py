"""Direct, indirect and total effects: do they fit each other and the coefficients?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from framework.audit.finding import Finding
from framework.audit.rounding import Interval
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Scene
from framework.spec import choices

_PARTS = ("direct", "indirect", "total")
#: Papers report the mean of simulated draws: a ratio's mean is not the ratio of means.
_SIMULATION = 0.05
#: An effect of more standard deviations of its outcome is out of proportion.
_LARGE = 2.0


def judge(scene: Scene) -> Iterator[Finding]:
    """Every set of effects of one model."""
    for effects in _sets(scene):
        if all(part in effects for part in _PARTS):
            yield from _sum(scene, effects)
        if "total" in effects:
            yield from _from_coefficients(scene, effects["total"])
            yield from _size(scene, effects["total"])


def _sets(scene: Scene) -> list[dict[str, Leaf]]:
    found: dict[str, dict[str, Leaf]] = {}
    for leaf in scene.leaves:
        model = scene.model(leaf.column)
        estimand = model.get("estimand")
        if estimand in _PARTS and leaf.name == scene.treatment(leaf.column):
            found.setdefault(_rest(model), {})[str(estimand)] = leaf
    return list(found.values())


def _rest(model: Mapping[str, object]) -> str:
    return str(sorted((k, str(v)) for k, v in model.items() if k != "estimand"))


def _sum(scene: Scene, effects: Mapping[str, Leaf]) -> Iterator[Finding]:
    direct, indirect, total = (effects[part] for part in _PARTS)
    implied = direct.interval + indirect.interval
    fits = implied.meets(total.interval)
    errors = [
        Interval.of(leaf.printed.std_error)
        for leaf in (direct, indirect, total)
        if leaf.printed.std_error is not None
    ]
    odd = ""
    if len(errors) == len(_PARTS):
        a, b, c = errors
        # A standard error is a norm: the triangle inequality holds.
        if c.low > (a + b).high or c.high < abs(a - b).low:
            odd = f"; standard error {c} outside {abs(a - b).low:.4g} to {(a + b).high:.4g}"
    yield Finding(
        "effects",
        "impossible" if odd or not fits else "confirmed",
        total.address,
        f"total {total.printed.text}",
        f"direct + indirect = {implied}{odd}",
        "The total effect is the sum of its parts."
        if fits and not odd
        else "No covariance and no rounding gives these parts and this total.",
        f"{implied.middle:.4f} against {total.printed.number}",
        spec=scene.spec(total.address),
    )


def _from_coefficients(scene: Scene, total: Leaf) -> Iterator[Finding]:
    rest = _rest(scene.model(total.column))
    if not _row_normalised(scene, total.column):
        return
    columns = scene.columns()
    treatment = scene.treatment(total.column)
    for column, held in columns.items():
        theta, rho, beta = (
            held.get(f"W × {treatment}"),
            held.get("rho"),
            held.get(treatment),
        )
        if _rest(scene.model(column)) != rest or not (theta and rho and beta):
            continue
        share = Interval.exactly(1.0) - rho.interval
        exact = (theta.interval + beta.interval) / share
        fits = exact.meets(total.interval)
        error = rho.printed.std_error
        relative = float(error) / share.middle if error is not None else 0.0
        # Second-order mean of 1 / (1 - rho) for normal rho.
        drawn = exact.middle * (1 + relative**2)
        near = math.isclose(drawn, total.interval.middle, rel_tol=_SIMULATION)
        yield Finding(
            "effects",
            "confirmed" if fits else "doubtful" if near else "inconsistent",
            total.address,
            f"total {total.printed.text}; {column}: {treatment} {beta.printed.text}, "
            f"W × {treatment} {theta.printed.text}, rho {rho.printed.text}",
            f"(theta + beta) / (1 - rho) = {exact}"
            + (f"; as the mean of simulated draws about {drawn:.3f}" if near else ""),
            "The effects follow from the coefficients."
            if fits
            else "The total follows from the coefficients only as a mean of simulated "
            "draws, which the paper does not say."
            if near
            else "The total does not follow from the coefficients.",
            f"{exact.middle:.4f} against {total.printed.number}",
            spec=scene.spec(total.address),
        )


def _row_normalised(scene: Scene, column: str) -> bool:
    """Rows of the weights sum to one, so that rho W 1 = rho 1."""
    matrices = scene.study.tree["data"].get("spatial_weights") or {}
    used = set((scene.model(column).get("spatial_weights") or {}).values())
    built = [choices.build("matrix", matrices[name]) for name in used & set(matrices)]
    return all(getattr(matrix, "transform", "row") == "row" for matrix in built)


def _size(scene: Scene, total: Leaf) -> Iterator[Finding]:
    outcome = str(scene.model(total.column).get("outcome"))
    spread = next(
        (leaf for leaf in scene.leaves if leaf.name == f"sd[{outcome}]"),
        None,
    )
    if spread is None:
        return
    times = abs(total.interval / spread.interval)
    if times.low > _LARGE:
        yield Finding(
            "effects",
            "doubtful",
            total.address,
            f"total {total.printed.text}, standard deviation of {outcome} "
            f"{spread.printed.text}",
            f"{times.middle:.1f} standard deviations",
            "An effect of this size would move a unit through the whole distribution of "
            "the outcome.",
            f"{times.middle:.1f} sd",
            spec=scene.spec(total.address),
        )


RULE = Rule("effects", "do direct, indirect and total effects fit?", judge)
