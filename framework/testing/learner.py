"""A learner against its contract."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from framework.contract import Learner
from framework.errors import EstimandError
from framework.testing.canonical import SEED
from framework.testing.declaration import check_declaration
from framework.testing.findings import Findings

Task = Literal["regression", "classification"]
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ROWS = 200


def check_learner(
    cls: type[Learner],
    /,
    *,
    exempt: Mapping[str, str] = _NOTHING,
    **options: Any,
) -> None:
    """Hold a learner to the contract: unfitted, predicts, the same for the same seed.

    One that has members says one finite number for each.

    A task that it can't do has to be refused; one of the two it must do.

    Raises:
        NotConforming: every promise that it breaks.
    """
    found = Findings(cls.__name__, exempt)
    learner = check_declaration(cls, Learner, options, found)
    if learner is not None:
        done = [_does(learner, task, found) for task in get_args(Task)]
        if not any(done):
            found.add("output", "it does neither regression nor classification")
    found.conclude()


def _does(learner: Learner, task: Task, found: Findings) -> bool:
    """Whether it takes the task; what is wrong goes to `found`."""
    try:
        first, second = learner.build(task, 1), learner.build(task, 1)
    except EstimandError:
        return False
    except Exception as error:
        found.add(
            "output", f"build('{task}', 1) raises {type(error).__name__}: {error}"
        )
        return True
    wanted = ["fit", "predict", "get_params", "set_params"]
    wanted += ["predict_proba"] if task == "classification" else []
    missing = [name for name in wanted if not hasattr(first, name)]
    if missing:
        found.add("output", f"for {task} what it builds has no {', '.join(missing)}")
        return True
    if first is second:
        found.add("output", "it hands out the same object twice; build a new one")
    fitted = [n for n in vars(first) if n.endswith("_") and not n.startswith("_")]
    if fitted:
        found.add("output", f"it is fitted already ({', '.join(fitted)})")
    rng = np.random.default_rng(SEED)
    X = rng.normal(size=(_ROWS, 3))
    y = X[:, 0] + 0.5 * rng.normal(size=_ROWS)
    target = (y > 0).astype(np.int64) if task == "classification" else y
    with found.surviving("output", f"fitting it for {task}"), found.untouched_state():
        whole = first.fit(X, target)
        _tells(learner, whole, task, found)
        one = _predicted(whole, X, task)
        two = _predicted(second.fit(X, target), X, task)
        if len(one) != len(X) or not np.isfinite(one).all():
            found.add(
                "output", f"its predictions for {task} are not finite, row by row"
            )
        elif not np.array_equal(one, two):
            found.add("determinism", f"the same seed predicts otherwise ({task})")
    return True


def _tells(learner: Learner, whole: Any, task: Task, found: Findings) -> None:
    """Its members have names of their own, and each a finite number."""
    members = learner.members()
    chosen = np.asarray(learner.chosen(whole), dtype=np.float64)
    if len(set(members)) < len(members):
        found.add("output", "members() gives two learners the same name")
    if chosen.shape != (len(members),) or not np.isfinite(chosen).all():
        found.add(
            "output", f"chosen() for {task} is not one number for each of members()"
        )


def _predicted(fitted: Any, X: Any, task: Task) -> Any:
    if task == "classification":
        return np.asarray(fitted.predict_proba(X))[:, 1]
    return np.asarray(fitted.predict(X))


__all__ = ["check_learner"]
