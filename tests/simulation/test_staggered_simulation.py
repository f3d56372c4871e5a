"""Known truth: effects that grow and differ by cohort, errors that persist."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.callaway_santanna import CallawaySantanna
from estimators.dechaisemartin_dhaultfoeuille import DechaisemartinDhaultfoeuille
from estimators.did2s import Did2s
from estimators.imputation import Imputation
from estimators.lp_did import LpDid
from estimators.stacked import Stacked
from estimators.sun_abraham import SunAbraham
from estimators.twfe import Twfe
from tests.build_cohorts import adoption, request_of

DRAWS = 100
SIZES = {4.0: 12, 6.0: 14, 7.0: 10, np.inf: 34}
#: Estimator, controls, strength of the covariate's trend.
CASES = {
    "callaway_santanna": (CallawaySantanna(), [], 0.0),
    "sun_abraham": (SunAbraham(), [], 0.0),
    "imputation": (Imputation(), [], 0.0),
    "imputation with a control": (Imputation(), ["z"], 0.0),
    "did2s": (Did2s(), [], 0.0),
    "dechaisemartin_dhaultfoeuille": (DechaisemartinDhaultfoeuille(), [], 0.0),
    "lp_did": (LpDid(), [], 0.0),
    "stacked": (Stacked(window=(-2, 1)), [], 0.0),
    "doubly_robust": (CallawaySantanna(), ["x"], 0.3),
    "ipw": (CallawaySantanna(method="ipw"), ["x"], 0.3),
    "regression": (CallawaySantanna(method="regression"), ["x"], 0.3),
}
#: Cases whose `att` is the plain average over event times.
EVEN = {"lp_did", "stacked"}


@pytest.mark.parametrize("case", CASES)
def test_bias_and_coverage(case):
    plugin, controls, trend = CASES[case]
    gap, covered, late, late_covered = [], [], [], []
    for seed in range(DRAWS):
        data = adoption(seed, sizes=SIZES, trend_in_x=trend)
        on = data.d == 1
        result = plugin.estimate(
            request_of(data, controls=controls, estimand=("att", "by_event_time"))
        ).coefficients
        row = result.iloc[0]
        true = data.effect[on].mean()
        if case in EVEN:
            since = data.time - data["first"]
            last = int(result.event_time.max())
            true = np.mean(
                [data.effect[on & (since == k)].mean() for k in range(last + 1)]
            )
        gap.append(row.estimate - true)
        covered.append(row.conf_low <= true <= row.conf_high)
        event = result[result.event_time == 1].iloc[0]
        true = data.effect[on & (data.time == data["first"] + 1)].mean()
        late.append(event.estimate - true)
        late_covered.append(event.conf_low <= true <= event.conf_high)
    for gaps, hits in ((gap, covered), (late, late_covered)):
        error = np.std(gaps, ddof=1) / np.sqrt(DRAWS)
        # four Monte Carlo standard errors: a false alarm in 16,000
        assert abs(np.mean(gaps)) < 4 * error
        # 36 treated units: normal intervals reach 92 to 95 %; less four binomial
        # standard deviations at 100 draws
        assert np.mean(hits) >= 0.84


def test_two_way_fixed_effects_miss_what_these_find_exactly():
    data = adoption(0, sizes=SIZES, noise=0.0)
    true = data.effect[data.d == 1].mean()
    request = request_of(data)
    # without errors the bias is what remains: a tenth of the effect
    assert Twfe().estimate(request).coefficients.estimate[0] < 0.9 * true
    for case, (plugin, controls, _) in CASES.items():
        if not controls and case not in EVEN:
            row = plugin.estimate(request).coefficients.iloc[0]
            assert row.estimate == pytest.approx(true, abs=1e-10)
