"""Labels over the columns of a table: each column has one of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Scene, listed


def judge(scene: Scene) -> Iterator[Finding]:
    """Each heading whose labels were copied."""
    for heading, labels in scene.claims.headers.items():
        twice = {label: n for label, n in Counter(labels).items() if n > 1}
        numbers = [f"({k})" for k in range(1, len(labels) + 1)]
        missing = [n for n in numbers if n not in labels] if _numbered(labels) else []
        said = [f"{label} stands over {n} columns" for label, n in twice.items()]
        said += [f"{label} over none" for label in missing]
        yield Finding(
            "headers",
            "inconsistent" if twice else "confirmed",
            heading,
            f"columns {listed(labels, len(labels))}",
            "; ".join(said) or "every column has a label of its own",
            "A column that the text names by its label is not one of the table's alone."
            if twice
            else "The text can name each column.",
            f"{len(set(labels))} labels for {len(labels)} columns",
            spec=scene.spec(heading),
        )


def _numbered(labels: list[str]) -> bool:
    return all(label[:1] == "(" and label[1:-1].isdigit() for label in labels)


RULE = Rule("headers", "has every column of a table a label of its own?", judge)
