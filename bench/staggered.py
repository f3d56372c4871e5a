"""Estimators of staggered adoption against diff-diff, at `estimate(request)`.

Both are warm and run alternately in one process on the same simulated panel; the results
are compared before any time is printed.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bench.figures import Figure, ratio
from estimators.callaway_santanna import CallawaySantanna
from estimators.goodman_bacon import GoodmanBacon
from estimators.imputation import Imputation
from estimators.sun_abraham import SunAbraham
from framework.contract import Estimator, Inference, Request, Treatment
from framework.result import Result

#: Repetitions; slow peers are timed once.
_MANY, _ONE = 5, 1


def measure() -> list[Figure]:
    """Median seconds of ours over theirs, after the numbers have been compared."""
    if importlib.util.find_spec("diff_diff") is None:
        request, _ = _panel(10_000, 20)
        seconds = _seconds(lambda: CallawaySantanna().estimate(request), _MANY)
        return [
            Figure(
                "callaway_santanna on 10,000 x 20 (diff-diff is not installed)",
                float(np.median(seconds)),
                "s",
            )
        ]
    import diff_diff

    large, frame = _panel(10_000, 20)
    long, bacon = _panel(5_000, 40)
    return [
        _against(
            "goodman_bacon / diff-diff, 5,000 x 40",
            GoodmanBacon(),
            long,
            lambda: _fit(diff_diff.BaconDecomposition(weights="exact"), bacon),
            bound=1 / 300,
            repetitions=_ONE,
        ),
        _against(
            "callaway_santanna / diff-diff, 10,000 x 20",
            CallawaySantanna(control_group="never_treated"),
            large,
            lambda: _fit(diff_diff.CallawaySantAnna(base_period="universal"), frame),
            bound=1.2,
            repetitions=_MANY,
        ),
        _against(
            "sun_abraham / diff-diff, 10,000 x 20",
            SunAbraham(),
            large,
            lambda: _fit(diff_diff.SunAbraham(), frame),
            bound=1 / 20,
            repetitions=_ONE,
        ),
        _against(
            "imputation / diff-diff, 10,000 x 20",
            Imputation(pretrends=0),
            large,
            lambda: _fit(diff_diff.ImputationDiD(), frame, aggregate="event_study"),
            bound=1.0,
            repetitions=_MANY,
        ),
    ]


def _against(
    name: str,
    ours: Estimator,
    request: Request,
    theirs: Callable[[], Any],
    *,
    bound: float,
    repetitions: int,
) -> Figure:
    _same(name, ours.estimate(request), theirs())
    own, other = [], []
    for _ in range(repetitions):
        other += _seconds(theirs, 1)
        own += _seconds(lambda: ours.estimate(request), 1 if repetitions > 1 else _MANY)
    return ratio(name, own, other, bound)


def _same(name: str, ours: Result, theirs: Any) -> None:
    if len(ours.coefficients):
        pair = ours.coefficients.estimate[0], theirs.overall_att
    else:
        pair = ours.scalars["two_way_estimate"], theirs.twfe_estimate
    # differences of means of 200,000 rows, and a sparse solver's tolerance
    if not abs(pair[0] - pair[1]) < 1e-8:
        raise RuntimeError(f"{name}: ours {pair[0]!r}, theirs {pair[1]!r}")


def _seconds(call: Callable[[], object], times: int) -> list[float]:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def _fit(estimator: Any, frame: pd.DataFrame, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(
            frame,
            outcome="y",
            unit="unit",
            time="time",
            first_treat="first",
            **options,
        )


def _panel(units: int, periods: int) -> tuple[Request, pd.DataFrame]:
    """Cohorts in all but the first three and last two periods; 30 % never treated."""
    rng = np.random.default_rng(0)
    starts = np.arange(4, periods - 2)
    share = np.append(np.full(len(starts), 0.7 / len(starts)), 0.3)
    first = rng.choice(np.append(starts.astype(float), np.inf), units, p=share)
    unit = np.repeat(np.arange(units), periods)
    t = np.tile(np.arange(1, periods + 1), units)
    d = (t >= first[unit]).astype(float)
    y = rng.normal(size=units)[unit] + 0.1 * t + d + rng.normal(size=len(t))
    frame = pd.DataFrame({"unit": unit, "time": t, "y": y, "d": d})
    request = Request(
        frame=pd.DataFrame(
            {"v000": y, "v001": d, "v002": first[unit], "v003": unit, "v004": t}
        ),
        outcome="v000",
        treatment=Treatment(
            kind="absorbing", columns=("v001",), judged=("v001",), cohort="v002"
        ),
        fixed_effects=("v003", "v004"),
        inference=Inference("cluster", ("v003",)),
        unit="v003",
        time="v004",
        labels={"v001": "d", "v003": "unit", "v004": "time"},
        estimand=("att", "by_event_time"),
    )
    known = np.where(np.isinf(first), 0, first).astype(int)
    return request, frame.assign(first=known[unit])
