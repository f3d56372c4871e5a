"""How far every estimation is from the one that its expectations compare it with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from framework.expect.comparison import Difference, difference
from framework.expect.rows import CannotBeJudged, Judged
from framework.expect.scene import Scene
from framework.spec import expectations as spec


@dataclass(frozen=True, slots=True)
class Shift:
    """A difference between two estimations, as data.

    Attributes:
        against: address of the other.
        gap: this one's number minus the other's.
    """

    against: str
    gap: Difference


def shifts(run: Iterable[Judged]) -> dict[str, Shift]:
    """Address -> its shift, of every finished estimation that is compared with one.

    The first expectation that names another estimation (or means the baseline) decides.
    Effects on two outcomes are in two units: their difference is no distance.
    Values of a line that are compared with each other have no single shift, and draws
    are about the number of the line itself.
    """
    everything = {judged.address: judged for judged in run}
    found: dict[str, Shift] = {}
    for address, judged in everything.items():
        scene = Scene(judged, everything)
        for options in map(_innermost, judged.expect):
            if "against" not in options.uses or not judged.cell or judged.draws:
                continue
            if type(options).of_line and scene.across(options):
                continue
            try:
                other = scene.against(options)
            except CannotBeJudged:
                continue  # the verdict says why
            gap = difference(judged, other, options)
            if gap.estimate is not None and _outcome(judged) == _outcome(other):
                found[address] = Shift(other.address, gap)
            break
    return found


def _outcome(judged: Judged) -> object:
    return judged.finished().labels.get("outcome")


def _innermost(flat: Mapping[str, Any]) -> spec.Expectation:
    """The expectation itself, or the first that `share`, `not` or `any` holds."""
    _, options = spec.read(flat)
    if isinstance(options, spec.Share | spec.Not):
        return _innermost(options.of)
    if isinstance(options, spec.Any_):
        return _innermost(options.of[0])
    return options


__all__ = ["Shift", "shifts"]
