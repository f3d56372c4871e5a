"""Double machine learning against doubleml: one estimation, sharing, new inference.

Both sides have the same rows, folds and learners, and their numbers are compared before
any time is printed. Coverage: `python -m bench.double_ml DRAWS`.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

import framework.spec.choices  # noqa: F401 - lets options name learners
from bench import peer
from bench.figures import Figure, ratio
from estimators._double.nuisance import MEMORY
from estimators._double.sample import read
from estimators.double_ml import DoubleMl
from framework.contract import Inference, Request, Treatment
from framework.result import Result

#: Cities, years and controls as in the second paper.
_UNITS, _YEARS, _CONTROLS, _OUTCOMES, _FOLDS = 281, 18, 20, 6, 5
_LEARNER = {"boosting": {"trees": 100}}
_EFFECT = 0.5
_TURNS = 3


def measure() -> list[Figure]:
    """Ratios to separate doubleml fits one after another."""
    request, _ = _panel(1)
    ours = DoubleMl(learner=_LEARNER, folds=_FOLDS, repetitions=1)
    # Warm imports.
    DoubleMl(learner="linear", folds=2, repetitions=1).estimate(request)
    requests = [request, *_more(request)]
    label = peer.label("doubleml")
    with peer.asked("doubleml", "partially_linear", **_handed(requests)) as doubleml:
        doubleml.run(outcome=0)
        # Taken in turn, so that a busy machine hits both alike.
        pairs = [_against(ours, request, doubleml) for _ in range(_TURNS)]
        one, theirs = [p[0] for p in pairs], [p[1] for p in pairs]
        apart = max(p[2] for p in pairs)
        again = _timed(lambda: ours.estimate(replace(request, confidence=0.9)))[0]
        many, separate = _sweep(ours, requests[1:], doubleml)
    return [
        Figure(f"largest difference from {label}, relative", apart, "x", 1e-10),
        ratio(f"one estimation / {label}, boosting, 5 folds", one, theirs, 1.05),
        ratio(f"{_OUTCOMES} outcomes / separate fits", [many], [separate], 1 / 1.6),
        ratio("another level of confidence / the first", [again], one, 1 / 30),
    ]


def _panel(seed: int, units: int = _UNITS) -> tuple[Request, pd.DataFrame]:
    """A staggered panel with a curved confounder, and its frame."""
    rng = np.random.default_rng(seed)
    n = units * _YEARS
    unit, time_ = (
        np.repeat(np.arange(units), _YEARS),
        np.tile(np.arange(_YEARS), units),
    )
    X = rng.normal(size=(n, _CONTROLS))
    wave = np.sin(2 * X[:, 0])
    d = (wave + 0.5 * X[:, 1] + rng.normal(size=n) > 0.5).astype(float)
    own = 0.5 * rng.normal(size=units)[unit]
    y = _EFFECT * d + wave + 0.3 * X[:, 2] + own + rng.normal(size=n)
    columns = {f"x{j}": X[:, j] for j in range(_CONTROLS)}
    frame = pd.DataFrame({"y": y, "d": d, **columns, "u": unit, "t": time_})
    request = Request(
        frame=frame,
        outcome="y",
        treatment=Treatment("reversible", ("d",), ("d",)),
        controls=tuple(columns),
        inference=Inference("cluster", ("u",)),
        unit="u",
        time="t",
        labels={c: c for c in frame},
        ids={"u": np.arange(units)},
        estimand=("coefficient",),
        seed=seed,
    )
    return request, frame


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = run()
    return time.perf_counter() - start, made


def _against(
    ours: DoubleMl, request: Request, doubleml: peer.Peer
) -> tuple[float, float, float]:
    """Seconds of ours and theirs, and the largest relative difference."""
    MEMORY.clear()
    seconds, result = _timed(lambda: ours.estimate(request))
    reply = doubleml.run(outcome=0)
    table: pd.DataFrame = result.coefficients
    mine = table[["estimate", "std_error"]].to_numpy()[0]
    other = np.array([reply.values["estimate"], reply.values["std_error"]])
    return seconds, reply.seconds, float(np.max(np.abs(mine / other - 1)))


def _handed(requests: list[Request]) -> dict[str, Any]:
    """Our rows, folds and learner for doubleml, seeded fold by fold as ours."""
    from estimators._double.nuisance import _seed

    samples = [read(r, "plr", "none", _FOLDS) for r in requests]
    first, seed = samples[0], requests[0].seed
    assert first.cluster is not None
    drawn = int(np.random.SeedSequence([seed, 0]).generate_state(1)[0])
    # Boosting without subsampling draws nothing: one seed serves all folds.
    learner = DoubleMl(learner=_LEARNER).learner.outcome.build(
        "regression", _seed(drawn, 0)
    )
    return {
        "data": {
            "X": first.X,
            "Y": np.column_stack([s.outcome for s in samples]),
            "d": first.d,
            "cluster": first.cluster,
            "fold": first.folds(_FOLDS, seed, 0),
        },
        "folds": _FOLDS,
        "learner": learner.get_params(),
    }


def _more(request: Request) -> list[Request]:
    """The same treatment and controls with other outcomes."""
    rng = np.random.default_rng(0)
    return [
        replace(
            request,
            frame=request.frame.assign(
                y=request.frame["y"] + rng.normal(size=len(request.frame))
            ),
        )
        for _ in range(_OUTCOMES)
    ]


def _sweep(
    ours: DoubleMl, requests: list[Request], doubleml: peer.Peer
) -> tuple[float, float]:
    """Seconds of several outcomes of one treatment, shared and separate."""
    MEMORY.clear()
    shared = separate = 0.0
    for number, request in enumerate(requests, 1):
        shared += _timed(lambda r=request: ours.estimate(r))[0]  # type: ignore[misc]  # bound now
        separate += doubleml.run(outcome=number).seconds
    return shared, separate


def coverage(draws: int) -> None:
    """Bias and coverage of 95 % intervals by learner, on `draws` panels."""
    for learner in ("linear", "lasso", {"boosting": 60}, {"forest": 50}):
        hits, estimates, errors = 0, [], []
        for seed in range(draws):
            request, _ = _panel(1_000 + seed)
            run = DoubleMl(learner=learner, repetitions=1)
            result: Result = _timed(lambda run=run, r=request: run.estimate(r))[1]  # type: ignore[misc]  # bound now
            row = result.coefficients.iloc[0]
            hits += row["conf_low"] < _EFFECT < row["conf_high"]
            estimates.append(row["estimate"])
            errors.append(row["std_error"])
        print(
            f"{learner!s:<20} bias {np.mean(estimates) - _EFFECT:+.4f}  spread "
            f"{np.std(estimates, ddof=1):.4f}  std error {np.mean(errors):.4f}  "
            f"coverage {hits / draws:.3f} of {draws}",
            flush=True,
        )


if __name__ == "__main__":
    coverage(int(sys.argv[1]))
