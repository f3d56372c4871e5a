"""Estimates without one group: the same as on the sample without it; refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from estimators.callaway_santanna import CallawaySantanna
from estimators.leave_one_out import LeaveOneOut
from estimators.twfe import Twfe
from framework.contract import Inference
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of

SIZES = {4.0: 6, 6.0: 7, np.inf: 12}


def data(seed: int = 1) -> pd.DataFrame:
    return adoption(seed, sizes=SIZES, periods=7)


@pytest.mark.parametrize("of", [Twfe(), CallawaySantanna()])
def test_every_row_is_the_estimate_on_the_sample_without_it(of: Any) -> None:
    panel = data()
    found = LeaveOneOut(of=of, drop="cohorts").estimate(request_of(panel))
    frame = found.frames["left_out"].set_index("left_out")
    full = of.estimate(request_of(panel))
    assert found.coefficients.equals(full.coefficients)
    for cohort in (4, 6):
        want = of.estimate(request_of(panel[panel["first"] != cohort]))
        # the same rows; a smaller sample is coded otherwise, so sums differ in the end
        assert frame.estimate[str(cohort)] == pytest.approx(
            want.coefficients.estimate[0], rel=1e-10
        )
        assert frame.std_error[str(cohort)] == pytest.approx(
            want.coefficients.std_error[0], rel=1e-9
        )


def test_treated_units_are_named_and_sorted_by_their_shift() -> None:
    panel = data()
    found = LeaveOneOut().estimate(request_of(panel))
    frame = found.frames["left_out"]
    assert set(frame.left_out) == set(panel.unit[panel.d == 1])
    assert frame["shift"].is_monotonic_increasing
    assert found.scalars["leave_out_low"] == frame.estimate.min()
    assert found.scalars["leave_out_high"] == frame.estimate.max()


def test_an_outlier_is_found_first() -> None:
    panel = data()
    treated = panel.unit[panel.d == 1].iloc[0]
    odd = (panel.unit == treated) & (panel.d == 1)
    panel.loc[odd, "y"] += 100.0
    found = LeaveOneOut().estimate(request_of(panel))
    assert found.frames["left_out"].left_out[0] == treated
    assert any(f"without {treated}" in note for note in found.notes)


def test_what_cannot_be_estimated_is_said() -> None:
    """Without the never-treated cluster nothing is left to compare with."""
    panel = data()
    never = np.isinf(panel["first"])
    panel["region"] = np.where(
        never, "none", "r" + (panel.unit.factorize()[0] % 12).astype(str)
    )
    request = request_of(
        panel, clusters=["region"], acknowledge=frozenset({"few_clusters"})
    )
    of = CallawaySantanna(control_group="never_treated")
    found = LeaveOneOut(of=of, drop="clusters").estimate(request)
    assert "none" not in set(found.frames["left_out"].left_out)
    assert any(note.startswith("No number without none") for note in found.notes)


def test_a_single_cohort_is_refused() -> None:
    panel = adoption(1, sizes={4.0: 12, np.inf: 12})
    with pytest.raises(EstimandError, match=r"1 cohort to leave out \(E13\)"):
        LeaveOneOut(drop="cohorts").estimate(request_of(panel))


def test_two_way_clusters_do_not_say_which_is_left_out() -> None:
    request = request_of(data())
    (cluster,) = request.inference.clusters
    assert request.time is not None
    twice = replace(request, inference=Inference("cluster", (cluster, request.time)))
    with pytest.raises(EstimandError, match="2 cluster columns"):
        LeaveOneOut(drop="clusters").estimate(
            replace(twice, acknowledge=frozenset({"few_clusters"}))
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"of": "goodman_bacon"}, "estimates no effect"),
        (
            {"of": {"spatial_panel": {"lag": "outcome"}}},
            "needs all units of its matrix",
        ),
        ({"drop": "rows"}, "treated_units"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValidationError, EstimandError), match=said):
        LeaveOneOut(**options)
