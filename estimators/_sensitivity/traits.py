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


_COHORTS = "cohorts by their treated units"
_VARIANCE = "cohorts by the variance of their regressions"


@dataclass(frozen=True, slots=True)
class Traits:
    """Control group, baseline and averages; equal words are the same thing.

    Attributes:
        controls, baseline: with whom and with when treated rows are compared.
        average: how cells are averaged into `att`.
        within: how cohorts are averaged at one event time.
    """

    controls: str
    baseline: str
    average: str
    within: str = _COHORTS

    def weights(self, estimand: str) -> str:
        """Of the estimand, `att` or `by_event_time`."""
        return self.average if estimand == "att" else self.within


def _spoken(group: str) -> str:
    return "never treated" if group == "never_treated" else "not yet treated"


def _by_event_time(controls: str, baseline: str, weighting: str) -> Traits:
    """One regression per event time or cohort; `att` averages event times alike."""
    average = _AVERAGES["by_event_time"]
    if weighting == "treated":
        return Traits(controls, baseline, average)
    return Traits(controls, baseline, f"{average}, {_VARIANCE}", _VARIANCE)


def _base(reference: int | None) -> str:
    return _LAST if reference in {None, -1} else f"event time {reference}"


_TRAITS: Mapping[str, Callable[[Any], Traits]] = {
    "twfe": lambda _: Traits(
        "all other rows, treated ones included",
        "all rows of the unit",
        "residual variance of the treatment",
    ),
    "event_study": lambda of: Traits(
        "all other rows, treated ones included",
        _base(of.reference),
        "event times' coefficients",
        "the regression's own, other event times' effects among them",
    ),
    "callaway_santanna": lambda of: Traits(
        _spoken(of.control_group), _LAST, _AVERAGES[of.overall]
    ),
    "triple_did": lambda of: Traits(
        f"ineligible units, and cohorts {_spoken(of.control_group)}",
        _LAST,
        _AVERAGES[of.overall]
        + (", all units of its groups" if of.cohort_shares == "groups" else ""),
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
    "dechaisemartin_dhaultfoeuille": lambda of: Traits(
        "never treated" if of.control_group == "never_switched" else _spoken(""),
        _LAST,
        _AVERAGES["simple"],
    ),
    "lp_did": lambda of: _by_event_time(_spoken(""), _LAST, of.weighting),
    "stacked": lambda of: _by_event_time(
        "never treated"
        if of.controls_are == "never_treated"
        else "not treated before the window ends",
        _base(of.reference),
        of.weighting,
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
    apart = {name_of(one): needs_moderator(one) for one in of}
    if len(set(apart.values())) > 1:
        raise ValueError(
            f"{', '.join(n for n, own in apart.items() if own)} estimates the effect on "
            f"the eligible, {', '.join(n for n, own in apart.items() if not own)} that "
            "on everybody treated: no comparison of estimators"
        )
    return of


def needs_moderator(of: Any) -> bool:
    """Whether it estimates the effect on the units that `interact` names."""
    return "interact" in of.demands().requires


def traits_of(of: Any) -> Traits:
    """What this estimator does with these options."""
    return _TRAITS[name_of(of)](of)


def reasons(one: Traits, base: Traits, estimand: str) -> list[str]:
    """Where two estimators of the estimand differ."""
    found = []
    if one.controls != base.controls:
        found.append(f"controls: {one.controls} instead of {base.controls}")
    if one.baseline != base.baseline:
        found.append(f"measured from {one.baseline} instead of {base.baseline}")
    mine, other = one.weights(estimand), base.weights(estimand)
    if mine != other:
        found.append(f"weights: {mine} instead of {other}")
    return found
