"""The option `of`: an estimator that has an event study. Needs no data, no numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from framework.contract import Estimator, Needs

E = TypeVar("E", bound=Estimator)

#: Inferences whose influence functions give covariances as well as variances.
JOINT = frozenset({"cluster", "hetero"})


def event_study_only(of: E) -> E:
    """The estimator, if it estimates effects by event time.

    Raises:
        ValueError: it does not; pydantic makes it a problem of the study.
    """
    if "by_event_time" not in of.gives():
        raise ValueError(
            f"{name_of(of)} does not estimate effects by event time; event_study, "
            "callaway_santanna, sun_abraham and stacked do"
        )
    return of


def effect_only(of: E) -> E:
    """The estimator, if it estimates an effect and needs no matrix of all units.

    Raises:
        ValueError: it does not; pydantic makes it a problem of the study.
    """
    if type(of).estimates != "treatment":
        raise ValueError(f"{name_of(of)} estimates no effect that could move")
    if "spatial_weights" in of.demands().uses:
        raise ValueError(
            f"{name_of(of)} needs all units of its matrix: each: {{without.unit: every}}"
        )
    return of


#: Estimators whose `att` is a mean over treated rows less a prediction from untreated
#: ones, without treated rows as controls: linear in the outcome with weights of one sum.
CLEAN = ("callaway_santanna", "sun_abraham", "imputation", "did2s", "etwfe", "stacked")


def clean_only(of: E) -> E:
    """The estimator, if its att compares treated rows with untreated ones only.

    Raises:
        ValueError: it does not; pydantic makes it a problem of the study.
    """
    if name_of(of) not in CLEAN:
        raise ValueError(
            f"{name_of(of)} also compares with treated rows, or has no att; one of: "
            + ", ".join(CLEAN)
        )
    return of


def demands_of(of: Estimator) -> Needs:
    """What the estimator needs, with inference that gives covariances."""
    needs = of.demands()
    return replace(needs, inference=needs.inference & JOINT)


def name_of(of: Estimator) -> str:
    """Its name in a study: the file's."""
    return type(of).__module__.rpartition(".")[2]
