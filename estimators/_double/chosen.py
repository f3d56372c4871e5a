"""Who learned, which learners were chosen or how they were weighed, for a reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from framework.contract import written

if TYPE_CHECKING:
    import pandas as pd

    from estimators._double.scores import Check
    from framework.contract import Learner

#: What a learner's members got, fit by fit.
Fits = Sequence[Mapping[str, float]]
#: Nuisances that a note names one by one; beyond, it speaks of all together.
MOST_NAMED = 6


def spoken_choice(chosen: Mapping[str, float]) -> str:
    """`forest`, or `lasso 0.2134, forest 0.7866`; empty without a choice."""
    if _one_alone(chosen):
        return max(chosen, key=lambda name: chosen[name])
    return ", ".join(f"{name} {weight:.4g}" for name, weight in chosen.items())


def without_empty_choices(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame of nuisances, its column `chosen` only where something was chosen."""
    return frame if (frame["chosen"] != "").any() else frame.drop(columns="chosen")


def said_of_learners(roles: Mapping[str, Learner]) -> str:
    """`learner lasso`; `learners boosting (trees 60) of the outcome, lasso of …`.

    Args:
        roles: what is learned -> by whom.
    """
    of = {role: spoken_learner(learner) for role, learner in roles.items()}
    if len(set(of.values())) == 1:
        return f"learner {next(iter(of.values()))}"
    told = [f"{learner} of the {role}" for role, learner in of.items()]
    return f"learners {', '.join(told)}"


def spoken_learner(learner: Learner) -> str:
    """`lasso`, `forest (trees 500)`: its name and the options that are not defaults."""
    ((name, _),) = written(learner).items()
    if members := learner.members():
        return f"{name} of {', '.join(members)}"
    options = [
        f"{key.replace('_', ' ')} {_option(getattr(learner, key))}"
        for key, field in type(learner).model_fields.items()
        if getattr(learner, key) != field.get_default(call_default_factory=True)
    ]
    return f"{name} ({', '.join(options)})" if options else name


def _option(value: object) -> str:
    if isinstance(value, list | tuple):
        return " and ".join(_option(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def said_of_chosen(checks: Sequence[Check]) -> list[str]:
    """A sentence for each learner that chooses or weighs, over all folds and splits.

    Args:
        checks: of all splits, one for each fit.
    """
    known = [c for c in checks if c.chosen]
    weighs = {c.learner for c in known if not _one_alone(c.chosen)}
    found: dict[str, dict[str, list[Mapping[str, float]]]] = {}
    for check in known:
        said = f"chosen by {check.learner.lower()}"
        if check.learner in weighs:
            # A regression's weights and those inside a logit have no common mean.
            inside = " inside the logit" if check.measure == "log_loss" else ""
            said = f"{check.learner.lower()} weights{inside}, mean over fits"
        found.setdefault(said, {}).setdefault(check.nuisance, []).append(check.chosen)
    return [
        f"{said}: {_told(of, _mean if said.endswith('fits') else _counted)}"
        for said, of in found.items()
    ]


def _told(
    of: Mapping[str, Fits],
    tell: Callable[[Fits], str],
) -> str:
    """Nuisance by nuisance; many together, if their learner has the same members."""
    every = [fit for fits in of.values() for fit in fits]
    if len(of) > MOST_NAMED and len({tuple(fit) for fit in every}) == 1:
        of = {f"{len(of)} nuisances": every}
    return "; ".join(f"{what}: {tell(fits)}" for what, fits in of.items())


def _one_alone(chosen: Mapping[str, float]) -> bool:
    return sorted(chosen.values()) == [0.0] * (len(chosen) - 1) + [1.0]


def _counted(fits: Fits) -> str:
    """`forest in 18 of 25 fits, lasso in 7`, the most frequent first."""
    times = {name: int(sum(fit[name] for fit in fits)) for name in fits[0]}
    (first, count), *rest = sorted(times.items(), key=lambda item: -item[1])
    told = [f"{first} in {count} of {len(fits)} fits"]
    return ", ".join(told + [f"{name} in {n}" for name, n in rest if n])


def _mean(fits: Fits) -> str:
    means = {name: float(np.mean([fit[name] for fit in fits])) for name in fits[0]}
    # 0.0 is added so that no mean is printed as -0.00.
    return ", ".join(f"{name} {round(m, 2) + 0.0:.2f}" for name, m in means.items())
