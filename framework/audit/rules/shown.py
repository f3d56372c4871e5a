"""What the text speaks of and no table prints: other matrices, tests, coefficients."""

from __future__ import annotations

from collections.abc import Iterator

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Scene


def judge(scene: Scene) -> Iterator[Finding]:
    """Every claim about several matrices, or that rests on named numbers."""
    for address, claim in scene.said("matrices"):
        held = {
            str(name)
            for leaf in scene.under(address)
            for name in (scene.model(leaf.column).get("spatial_weights") or {}).values()
        }
        missing = [name for name in claim.matrices if name not in held]
        yield Finding(
            "shown",
            "inconsistent" if missing else "confirmed",
            address,
            f"the text: {', '.join(claim.matrices)}",
            f"printed for {', '.join(sorted(held)) or 'none'}",
            "The text speaks of matrices for which nothing is printed."
            if missing
            else "Every matrix of the text has its numbers.",
            f"{len(claim.matrices) - len(missing)} of {len(claim.matrices)} matrices",
            where=claim.where,
            spec=scene.spec(address),
        )
    for address, claim in scene.said("rests_on"):
        names = {leaf.name for leaf in scene.under(address)}
        missing = [name for name in claim.rests_on if name not in names]
        if missing:
            yield Finding(
                "shown",
                "cannot be judged",
                address,
                f"the text rests on {', '.join(claim.rests_on)}",
                f"not printed: {', '.join(missing)}",
                "The numbers that the conclusion needs are not in the tables.",
                f"{len(claim.rests_on) - len(missing)} of {len(claim.rests_on)} printed",
                where=claim.where,
                spec=scene.spec(address),
            )


RULE = Rule("shown", "is everything printed that the text speaks of?", judge)
