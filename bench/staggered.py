"""Estimators of staggered adoption against diff-diff, at `estimate(request)`.

Both are warm and run alternately on the same simulated panel, one thread each; the
results are compared before any time is printed.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from bench import peer
from bench.figures import Figure, ratio
from estimators.callaway_santanna import CallawaySantanna
from estimators.goodman_bacon import GoodmanBacon
from estimators.imputation import Imputation
from estimators.sun_abraham import SunAbraham
from framework.contract import Estimator, Inference, Request, Treatment
from framework.result import Result

#: Repetitions; a peer that takes many seconds is timed once, ours several times.
_MANY, _ONE = 5, 1


def measure() -> list[Figure]:
    """Median seconds of ours over theirs, after the numbers have been compared."""
    large, long = _panel(10_000, 20), _panel(5_000, 40)
    never = CallawaySantanna(control_group="never_treated")
    return [
        _against(GoodmanBacon(), *long, "5,000 x 40", 1 / 300, _ONE),
        _against(never, *large, "10,000 x 20", 1.2, _MANY),
        _against(SunAbraham(), *large, "10,000 x 20", 1 / 20, _ONE),
        _memory(large[1]),
        _against(Imputation(pretrends=0), *large, "10,000 x 20", 1.0, _MANY),
    ]


def _against(
    ours: Estimator,
    request: Request,
    frame: pd.DataFrame,
    size: str,
    bound: float,
    repetitions: int,
) -> Figure:
    task = type(ours).__module__.rpartition(".")[2]
    name = f"{task} / {peer.label('diff_diff')}, {size}"
    columns = {column: frame[column].to_numpy() for column in frame}
    own, other = [], []
    with peer.asked("diff_diff", task, columns) as theirs:
        first = theirs.run()
        _same(name, ours.estimate(request), first.values["estimate"])
        for _ in range(repetitions):
            other.append(theirs.run().seconds if repetitions > 1 else first.seconds)
            for _ in range(1 if repetitions > 1 else _MANY):
                start = time.perf_counter()
                ours.estimate(request)
                own.append(time.perf_counter() - start)
    return ratio(name, own, other, bound)


def _memory(frame: pd.DataFrame) -> Figure:
    """Peaks of two processes that do nothing else, imports and data counted."""
    columns = {column: frame[column].to_numpy() for column in frame}
    peaks, estimates = [], []
    for name in (peer.OURS, "pyfixest"):
        with peer.asked(name, "saturated", columns) as asked:
            reply = asked.run()
        peaks.append(reply.peak / 1e6)
        estimates.append(reply.values["estimate"])
    task = f"memory of sun_abraham / {peer.label('pyfixest')}, 10,000 x 20"
    # the effect in the first period of treatment, means of 7,000 units
    if not abs(estimates[0] - estimates[1]) < 1e-8:
        raise RuntimeError(f"{task}: {estimates}")
    parts = " / ".join(f"{peak:.0f} MB" for peak in peaks)
    return Figure(task, peaks[0] / peaks[1], "x", 1 / 10, parts)


def _same(name: str, ours: Result, theirs: float) -> None:
    if len(ours.coefficients):
        own = ours.coefficients.estimate[0]
    else:
        own = ours.scalars["two_way_estimate"]
    # differences of means of 200,000 rows, and a sparse solver's tolerance
    if not abs(own - theirs) < 1e-8:
        raise RuntimeError(f"{name}: ours {own!r}, theirs {theirs!r}")


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
    known = np.where(np.isinf(first), 0, first).astype(int)
    frame = frame.assign(first=known[unit])
    return request_of(frame), frame


def request_of(frame: pd.DataFrame) -> Request:
    """The request of rows `unit, time, y, d, first` (0 = never), clustered by unit."""
    start = frame["first"].to_numpy().astype(float)
    return Request(
        frame=pd.DataFrame(
            {
                "v000": frame["y"],
                "v001": frame["d"],
                "v002": np.where(start == 0, np.inf, start),
                "v003": frame["unit"],
                "v004": frame["time"],
            }
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
