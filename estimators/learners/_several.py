"""Learners made of learners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from framework.contract import Learner

#: Contiguous folds, as for the penalised learners.
FOLDS = 5


def members(
    learners: Sequence[Learner],
    task: Literal["regression", "classification"],
    seed: int,
) -> list[tuple[str, Any]]:
    """Each learner built, with a name of its own; the same learner twice is two."""
    return [
        (f"{i}_{type(learner).__name__.lower()}", learner.build(task, seed))
        for i, learner in enumerate(learners)
    ]
