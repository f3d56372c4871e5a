"""A whole study by double machine learning against separate doubleml fits.

Twenty-six estimations like the second paper's (one treatment and many outcomes, parallel
policies, other treatments, samples and learners), five folds, five repetitions, on two
workers. doubleml fits a stated part of them one after another; the rest is extrapolated.
The bound is what sharing and two workers can give: fits requested over distinct fits,
times the parallel gain that the same fits have on this machine at the same time.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import framework.spec.choices  # noqa: F401 - lets options name learners
from bench import double_ml, peer
from bench.figures import Figure
from estimators._double.nuisance import MEMORY
from estimators.double_ml import DoubleMl
from framework import run
from framework.contract import Inference, Request

_FOLDS, _REPETITIONS, _WORKERS, _TREES = 5, 5, 2, 60
#: Of a learner that costs two seconds or more.
_SLOW = 300
#: Outcomes of one treatment, policies beside it, other treatments, cities left out.
_OUTCOMES, _POLICIES, _TREATMENTS, _SAMPLES = 12, 4, 3, 3
_ESTIMATIONS = 1 + 1 + _OUTCOMES + _POLICIES + _TREATMENTS + _SAMPLES + 2
#: Nuisances asked for (two each) and those that differ: the level of confidence needs
#: none, an outcome or another treatment one, all else both.
_REQUESTED = 2 * _ESTIMATIONS
_DISTINCT = 2 + _OUTCOMES + _TREATMENTS + 2 * (_POLICIES + _SAMPLES + 2)
#: Fits of doubleml that are timed, alone and two at a time.
_TIMED = 4
#: Folds and predictions of both sides are the same; sums round in another order.
_SAME = 1e-10


def _listed(letter: str, count: int) -> str:
    return ", ".join(f"{letter}{k}" for k in range(count))


_STUDY = f"""\
study: like_paper_2
seed: 1
data: {{source: panel.csv, panel: {{unit: u, time: t}}}}
model:
  outcome: y
  treatment: {{column: d, kind: reversible}}
  controls: [{_listed("x", 20)}]
  inference: {{cluster: u}}
  estimator:
    double_ml:
      learner: {{boosting: {_TREES}}}
      folds: {_FOLDS}
      repetitions: {_REPETITIONS}
checks:
  baseline:   {{main: {{}}, level: {{confidence: 0.9}}}}
  outcomes:   {{others: {{each: {{outcome: [{_listed("y", _OUTCOMES)}]}}}}}}
  policies:   {{parallel: {{each: {{add.controls: [{_listed("p", _POLICIES)}]}}}}}}
  treatments: {{others: {{each: {{treatment.column: [{_listed("d", _TREATMENTS)}]}}}}}}
  samples:    {{cities: {{each: {{without.u: [{_listed("", _SAMPLES)}]}}}}}}
  algorithms:
    leaves:
      each:
        estimator.learner:
          eight:  {{boosting: {{trees: {_TREES}, leaves: 8}}}}
          twelve: {{boosting: {{trees: {_TREES}, leaves: 12}}}}
"""


def measure() -> list[Figure]:
    """Ratios of the study, and of what changes nothing that is learned."""
    request, frame = double_ml._panel(1)
    handed = double_ml._handed([request])
    handed["learner"]["max_iter"] = _TREES
    label = peer.label("doubleml")
    with ExitStack() as stack:
        both = [
            stack.enter_context(peer.asked("doubleml", "partially_linear", **handed))
            for _ in range(_WORKERS)
        ]
        for one in both:
            one.run(outcome=0)
        first = _alone(both[0])
        apart = _together(both)
        ours, estimate = _study(frame)
        last = _alone(both[0])
        theirs = both[0].run(outcome=0).values["estimate"]
    alone = float(np.median([*first, *last]))
    gain = _WORKERS * alone / apart
    separate = alone * _ESTIMATIONS * _REPETITIONS
    sharing = _REQUESTED / _DISTINCT
    bound, reached = sharing * gain, separate / ours
    subset = f"{2 * _TIMED} of {_ESTIMATIONS * _REPETITIONS} splits"
    return [
        Figure(
            f"study's first split from {label}, relative",
            abs(estimate / theirs - 1),
            "x",
            _SAME,
        ),
        Figure(
            f"bound: {_REQUESTED} nuisances / {_DISTINCT} distinct x parallel gain",
            bound,
            "x faster",
            None,
            f"{sharing:.2f} x {gain:.2f}",
        ),
        Figure(
            f"{_ESTIMATIONS} estimations, {_WORKERS} workers / {label} one by one",
            ours / separate,
            "x",
            0.5,
            f"{ours:.1f} s / {separate:.1f} s: {reached:.2f} times as fast",
            subset,
        ),
        Figure(
            "bound / what is reached of it",
            bound / reached,
            "x",
            1 / 0.85,
            f"{reached / bound:.0%} of the bound",
            subset,
        ),
        *_nothing_new(request),
    ]


def _alone(one: peer.Peer) -> list[float]:
    return [one.run(outcome=0).seconds for _ in range(_TIMED)]


def _together(both: list[peer.Peer]) -> float:
    """Seconds of a split of doubleml while as many run as there are workers."""
    with ThreadPoolExecutor(len(both)) as pool:
        start = time.perf_counter()
        list(pool.map(_alone, both))
        return (time.perf_counter() - start) / _TIMED


@contextmanager
def _folder() -> Iterator[Path]:
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(here)


def _study(frame: pd.DataFrame) -> tuple[float, float]:
    """Seconds of the study, workers' start included, and its first split's estimate."""
    rng = np.random.default_rng(7)
    n = len(frame)
    more = {f"y{k}": frame["y"] + rng.normal(size=n) for k in range(_OUTCOMES)}
    more |= {f"p{k}": rng.integers(0, 2, n) for k in range(_POLICIES)}
    more |= {
        f"d{k}": (frame["d"] + rng.integers(0, 2, n)) % 2 for k in range(_TREATMENTS)
    }
    with _folder() as folder:
        # Every digit: both sides have the same rows.
        frame.assign(**more).to_csv(
            folder / "panel.csv", index=False, float_format="%.17g"
        )
        (folder / "study.yaml").write_text(_STUDY, encoding="utf-8")
        start = time.perf_counter()
        done = run(
            "study.yaml",
            "executor=processes",
            f"executor.workers={_WORKERS}",
            report=False,
            track=False,
        )
        seconds = time.perf_counter() - start
        found = [a for a in done.addresses if len(done.result(a).coefficients)]
        if len(found) != _ESTIMATIONS:
            raise RuntimeError(f"{len(found)} of {_ESTIMATIONS} have numbers")
        splits = done.result("baseline.main").frames["repetitions"]
        return seconds, float(splits["estimate"].iloc[0])


def _nothing_new(request: Request) -> list[Figure]:
    """Another level, clusters or score of what was learned already."""
    slow = {"boosting": {"trees": _SLOW}}
    ours = DoubleMl(learner=slow, folds=_FOLDS, repetitions=1)
    arms = DoubleMl(kind="irm", learner=slow, folds=_FOLDS, repetitions=1)
    rows = Inference("hetero")
    changes = (
        ("level", ours, request, replace(request, confidence=0.9)),
        ("clusters", ours, request, replace(request, inference=rows)),
        (
            "score (irm, on the treated)",
            arms,
            replace(request, estimand=("ate",)),
            replace(request, estimand=("att",)),
        ),
    )
    figures = []
    for name, how, before, after in changes:
        MEMORY.clear()
        cold = double_ml._timed(lambda h=how, r=before: h.estimate(r))[0]  # type: ignore[misc]  # bound now
        warm = double_ml._timed(lambda h=how, r=after: h.estimate(r))[0]  # type: ignore[misc]  # bound now
        figures.append(
            Figure(
                f"another {name} / the first, boosting of {_SLOW}",
                warm / cold,
                "x",
                1 / 30,
                f"{1_000 * warm:.0f} ms / {cold:.2f} s",
            )
        )
    return figures
