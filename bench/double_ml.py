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
from bench.figures import Figure, ratio
from estimators._double.nuisance import MEMORY
from estimators._double.sample import Sample, read
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
    # Warm imports, ours and theirs.
    DoubleMl(learner="linear", folds=2, repetitions=1).estimate(request)
    # Taken in turn, so that a busy machine hits both alike.
    pairs = [_against(ours, request) for _ in range(_TURNS)]
    one, theirs = [p[0] for p in pairs], [p[1] for p in pairs]
    apart = max(p[2] for p in pairs)
    again = _timed(lambda: ours.estimate(replace(request, confidence=0.9)))[0]
    many, separate = _sweep(ours, request)
    return [
        Figure("largest difference from doubleml, relative", apart, "x", 1e-10),
        ratio("one estimation / doubleml, boosting, 5 folds", one, theirs, 1.05),
        ratio(f"{_OUTCOMES} outcomes / separate fits", [many], [separate], 1 / 1.6),
        ratio("another level of confidence / the first", [again], one, 1 / 30),
    ]


def _panel(seed: int) -> tuple[Request, pd.DataFrame]:
    """A staggered panel with a curved confounder, and its frame."""
    rng = np.random.default_rng(seed)
    n = _UNITS * _YEARS
    unit, time_ = (
        np.repeat(np.arange(_UNITS), _YEARS),
        np.tile(np.arange(_YEARS), _UNITS),
    )
    X = rng.normal(size=(n, _CONTROLS))
    wave = np.sin(2 * X[:, 0])
    d = (wave + 0.5 * X[:, 1] + rng.normal(size=n) > 0.5).astype(float)
    own = 0.5 * rng.normal(size=_UNITS)[unit]
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
        ids={"u": np.arange(_UNITS)},
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


def _against(ours: DoubleMl, request: Request) -> tuple[float, float, float]:
    """Seconds of ours and theirs, and the largest relative difference."""
    MEMORY.clear()
    seconds, result = _timed(lambda: ours.estimate(request))
    sample = read(request, "plr", "none", _FOLDS)
    theirs, model = _timed(lambda: _doubleml(sample, request))
    table: pd.DataFrame = result.coefficients
    mine = table[["estimate", "std_error"]].to_numpy()[0]
    other = np.array([model.coef[0], model.se[0]])
    return seconds, theirs, float(np.max(np.abs(mine / other - 1)))


def _doubleml(sample: Sample, request: Request) -> Any:
    """doubleml with our folds and our learners, seeded fold by fold as ours."""
    import doubleml

    from estimators._double.nuisance import _one_thread, _seed

    x = [f"x{j}" for j in range(sample.X.shape[1])]
    frame = pd.DataFrame(sample.X, columns=x)
    frame = frame.assign(y=sample.outcome, d=sample.d, u=sample.cluster)
    data = doubleml.DoubleMLData(frame, "y", "d", x_cols=x, cluster_cols="u")
    fold = sample.folds(_FOLDS, request.seed, 0)
    seed = int(np.random.SeedSequence([request.seed, 0]).generate_state(1)[0])
    # Boosting without subsampling draws nothing: one seed serves all folds.
    learner = DoubleMl(learner=_LEARNER).learner.outcome.build(
        "regression", _seed(seed, 0)
    )
    splits = [
        (np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(_FOLDS)
    ]
    assert sample.cluster is not None
    clusters = [
        ([np.unique(sample.cluster[a])], [np.unique(sample.cluster[b])])
        for a, b in splits
    ]
    model = doubleml.DoubleMLPLR(
        data, learner, learner, n_folds=_FOLDS, draw_sample_splitting=False
    )
    model.set_sample_splitting([splits], all_smpls_cluster=[clusters])
    with _one_thread():
        return model.fit()


def _sweep(ours: DoubleMl, request: Request) -> tuple[float, float]:
    """Seconds of several outcomes of one treatment, shared and separate."""
    rng = np.random.default_rng(0)
    requests = [
        replace(
            request,
            frame=request.frame.assign(
                y=request.frame["y"] + rng.normal(size=len(request.frame))
            ),
        )
        for _ in range(_OUTCOMES)
    ]
    MEMORY.clear()
    shared = sum(_timed(lambda r=r: ours.estimate(r))[0] for r in requests)  # type: ignore[misc]  # bound now
    separate = 0.0
    for r in requests:
        sample = read(r, "plr", "none", _FOLDS)
        separate += _timed(lambda s=sample, r=r: _doubleml(s, r))[0]  # type: ignore[misc]  # as above
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
