"""Estimators side by side: their own numbers, gaps, and reasons that are true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from estimators._sensitivity.traits import traits_of
from estimators.callaway_santanna import CallawaySantanna
from estimators.compare_estimators import CompareEstimators
from estimators.dechaisemartin_dhaultfoeuille import DechaisemartinDhaultfoeuille
from estimators.did2s import Did2s
from estimators.event_study import EventStudy
from estimators.imputation import Imputation
from estimators.lp_did import LpDid
from estimators.stacked import Stacked
from estimators.sun_abraham import SunAbraham
from estimators.twfe import Twfe
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of


def comparison(of: tuple[Any, ...], **options: Any) -> Any:
    request = request_of(adoption(1))
    found = CompareEstimators(of=of, **options).estimate(request)
    return found.frames["comparison"]


def test_every_number_is_the_estimator_s_own() -> None:
    of = (CallawaySantanna(), Imputation(), Twfe())
    frame = comparison(of)
    for one, estimate, error in zip(of, frame.estimate, frame.std_error, strict=True):
        row = one.estimate(request_of(adoption(1), estimand=("att",))).coefficients
        assert estimate == row.estimate[0]
        assert error == row.std_error[0]
    # a difference of two of these numbers
    assert frame.gap[1] == pytest.approx(frame.estimate[1] - frame.estimate[0])
    assert np.isnan(frame.gap[0])


def test_a_gap_that_is_zero_has_no_reason_but_arithmetic() -> None:
    """Imputation and did2s; group-time with never-treated and Sun-Abraham."""
    for pair in (
        (Imputation(), Did2s()),
        (CallawaySantanna(control_group="never_treated"), SunAbraham()),
        (CallawaySantanna(), DechaisemartinDhaultfoeuille()),
        (CallawaySantanna(overall="by_event_time"), LpDid()),
    ):
        frame = comparison(pair)
        assert frame.reason[1] == "the same comparison by other arithmetic"
        # two routes to the same closed form
        assert frame.gap[1] == pytest.approx(0.0, abs=1e-9)


def test_reasons_name_what_differs_and_nothing_else() -> None:
    frame = comparison(
        (
            CallawaySantanna(control_group="never_treated"),
            CallawaySantanna(),
            CallawaySantanna(control_group="never_treated", overall="by_cohort"),
            Imputation(),
        )
    )
    assert list(frame.estimator[:2]) == ["callaway_santanna 1", "callaway_santanna 2"]
    assert frame.reason[1] == "controls: not yet treated instead of never treated"
    assert frame.reason[2].startswith("weights: cohorts' mean effects")
    assert "controls" not in frame.reason[2]
    assert "measured from" in frame.reason[3]
    assert "weights" not in frame.reason[3]


def test_local_projections_weigh_cohorts_as_group_time_effects_do() -> None:
    """At one event time `overall` plays no part: the same numbers, and no reason."""
    frame = comparison((CallawaySantanna(), LpDid()), compared="by_event_time")
    mine = frame[(frame.estimator == "lp_did") & (frame.event_time != -1)]
    assert set(mine.reason) == {"the same comparison by other arithmetic"}
    # two routes to the same closed form
    assert mine.gap.abs().max() < 1e-9


def test_stacks_say_whom_and_how_they_weigh() -> None:
    frame = comparison(
        (
            CallawaySantanna(overall="by_event_time"),
            Stacked(window=(-2, 1)),
            Stacked(window=(-2, 1), weighting="variance", reference=-2),
        )
    )
    assert frame.reason[1].startswith(
        "controls: not treated before the window ends instead of not yet treated; sample:"
    )
    assert "measured from event time -2" in frame.reason[2]
    assert "variance" in frame.reason[2]
    assert frame.gap_error[1] > 0


def test_gaps_by_event_time_are_between_the_same_event_times() -> None:
    frame = comparison(
        (CallawaySantanna(), Imputation(pretrends=0)), compared="by_event_time"
    )
    later = frame[(frame.estimator == "imputation") & frame.gap.notna()]
    base = frame[frame.estimator == "callaway_santanna"].set_index("event_time")
    want = later.estimate.to_numpy() - base.estimate[later.event_time].to_numpy()
    # a difference of two of these numbers
    assert later.gap.to_numpy() == pytest.approx(want, rel=1e-12)
    assert len(later) > 2


def test_an_estimator_without_the_estimand_is_refused() -> None:
    with pytest.raises(
        EstimandError, match=r"twfe does not estimate by_event_time \(E14"
    ):
        comparison((CallawaySantanna(), Twfe()), compared="by_event_time")


@pytest.mark.parametrize(
    ("of", "said"),
    [(("twfe",), "at least 2"), (("twfe", "ols"), "no reasons are known for ols")],
)
def test_wrong_options_are_refused(of: Any, said: str) -> None:
    with pytest.raises((ValidationError, EstimandError), match=said):
        CompareEstimators(of=of)


@pytest.mark.parametrize("plugin", [EventStudy, Stacked])
def test_a_base_that_is_not_written_is_the_last_period_before_treatment(plugin):
    assert traits_of(plugin()) == traits_of(plugin(reference=-1))
    assert traits_of(plugin(reference=-2)) != traits_of(plugin())
