"""What an estimator compares with, measures from and averages over, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from estimators._sensitivity.choice import name_of

_AVERAGES = {
    "simple": "treated cells by cohort size",
    "by_cohort": "cohorts' mean effects",
    "by_period": "periods' mean effects",
    "by_event_time": "event times' mean effects",
}
_LAST = "the last period before treatment"
_ALL_BEFORE = "all untreated rows of the unit"


@dataclass(frozen=True, slots=True)
class Traits:
    """Control group, baseline, average; equal words are the same thing."""

    controls: str
    baseline: str
    average: str


def _spoken(group: str) -> str:
    return "never treated" if group == "never_treated" else "not yet treated"


_TRAITS: Mapping[str, Callable[[Any], Traits]] = {
    "twfe": lambda _: Traits(
        "all other rows, treated ones included",
        "all rows of the unit",
        "residual variance of the treatment",
    ),
    "event_study": lambda of: Traits(
        "all other rows, treated ones included",
        _LAST if of.reference == -1 else f"event time {of.reference}",
        "event times' coefficients",
    ),
    "callaway_santanna": lambda of: Traits(
        _spoken(of.control_group), _LAST, _AVERAGES[of.overall]
    ),
    "sun_abraham": lambda of: Traits(
        "never treated"
        if of.control_cohort == "never_treated"
        else "the cohort treated last",
        _LAST,
        _AVERAGES[of.overall],
    ),
    "imputation": lambda _: Traits(
        "all untreated rows", _ALL_BEFORE, _AVERAGES["simple"]
    ),
    "did2s": lambda _: Traits("all untreated rows", _ALL_BEFORE, _AVERAGES["simple"]),
    "etwfe": lambda of: Traits(
        "all untreated rows", _ALL_BEFORE, _AVERAGES[of.overall]
    ),
}


def known_only(of: tuple[Any, ...]) -> tuple[Any, ...]:
    """The estimators, if what each of them compares is known here.

    Raises:
        ValueError: one is not; pydantic makes it a problem of the study.
    """
    strange = [name_of(one) for one in of if name_of(one) not in _TRAITS]
    if strange:
        raise ValueError(
            f"no reasons are known for {', '.join(strange)}; there is "
            + ", ".join(_TRAITS)
        )
    return of


def traits_of(of: Any) -> Traits:
    """What this estimator does with these options."""
    return _TRAITS[name_of(of)](of)


def reasons(one: Traits, base: Traits) -> list[str]:
    """Where two estimators differ."""
    found = []
    if one.controls != base.controls:
        found.append(f"controls: {one.controls} instead of {base.controls}")
    if one.baseline != base.baseline:
        found.append(f"measured from {one.baseline} instead of {base.baseline}")
    if one.average != base.average:
        found.append(f"weights: {one.average} instead of {base.average}")
    return found
