"""What every rule of the audit is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from framework.audit.finding import Finding
from framework.audit.scene import Need, Scene


def nothing(_: Scene) -> Iterable[Need]:
    """A rule that needs no estimation."""
    return ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One question that an audit asks.

    Attributes:
        name: as shown.
        asks: the question.
        judge: scene -> findings, alarms as well as confirmations. A question that the
            paper gives no occasion for has none; one that can't be answered says why.
        needs: estimations to run first.
    """

    name: str
    asks: str
    judge: Callable[[Scene], Iterable[Finding]]
    needs: Callable[[Scene], Iterable[Need]] = nothing
