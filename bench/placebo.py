"""Placebo draws with clustered errors against a loop of feols, and against ritest.

Ours is all that `draws: {permute: treatment}` costs after the estimation itself: the
request, the assignments, the estimates with their errors, the table. Once more with a
coefficient for every event time, of which the first after treatment is judged. The loop
is given the assignments as columns; its estimates and errors must be ours before any
time is printed. ritest draws its own, of rows instead of paths, and gives no errors.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench import peer
from bench.figures import Figure, ratio
from framework.cache import Job
from framework.commands.preparing import plan_run, start
from framework.contract import Estimator
from framework.data.design import build
from framework.execute import placing
from framework.execute.draws import draw_all
from framework.execute.estimation import resolve
from framework.panel import Panel
from framework.result import Result
from framework.spec.model import Data, Model
from framework.spec.study import open_study

#: Estimates and errors of the same regressions in another order of sums.
_SAME = 1e-10
_CONTROLS = [f"x{j}" for j in range(6)]
_STUDY = """\
study: placebo
seed: 1
data:
  source: panel.parquet
  panel: {{unit: unit, time: time}}
model:
  outcome: y
  treatment: d
  controls: [{controls}]
  fixed_effects: [unit, time]
  inference: {{cluster: unit}}
  estimator: {estimator}
checks:
  placebo: {{units: {{draws: {{permute: treatment, times: {times}}}}}}}
"""


@dataclass(frozen=True, slots=True)
class _Size:
    """N units x T periods, `treated` units, draws, of which the loop does `subset`."""

    units: int
    periods: int
    treated: int
    draws: int
    subset: int
    repetitions: int

    @property
    def name(self) -> str:
        return f"{self.draws:,} draws, {self.units:,} x {self.periods}"


@dataclass(frozen=True, slots=True)
class _Work:
    """One study, ready to draw."""

    job: Job
    panel: Panel
    data: Data
    model: Model
    estimator: Estimator
    result: Result

    def draw(self) -> pd.DataFrame:
        return draw_all(
            self.job, self.panel, self.data, self.model, self.estimator, self.result
        )[0]


def measure() -> list[Figure]:
    """Ours over a loop of feols, small and with a million rows, and over ritest."""
    small = _Size(286, 9, 18, 5_000, 40, 5)
    large = _Size(10_000, 100, 3_000, 500, 2, 2)
    frame = _frame(small)
    with _work(small, frame) as work:
        figures = [_loop(small, frame, work, 1 / 1000), _ritest(small, frame, work)]
    with _work(small, frame, estimator="event_study") as work:
        figures.append(_event_loop(small, frame, work, 1 / 100))
    frame = _frame(large)
    with _work(large, frame) as work:
        return [*figures, _loop(large, frame, work, 1 / 150)]


def _loop(size: _Size, frame: pd.DataFrame, work: _Work, bound: float) -> Figure:
    drawn = _assigned(size, frame)
    columns = {c: frame[c].to_numpy() for c in frame} | {"drawn": drawn}
    formula = f"y ~ drawn + {' + '.join(_CONTROLS)} | unit + time"
    name = f"draws / loop of feols, {peer.label('pyfixest')}, {size.name}"
    about = {"formula": formula, "cluster": "unit"}
    return _beside(name, "loop", columns, about, size, work, bound)


def _event_loop(size: _Size, frame: pd.DataFrame, work: _Work, bound: float) -> Figure:
    treated = frame["d"].to_numpy().reshape(size.units, size.periods)
    first = np.where(treated.any(axis=1), treated.argmax(axis=1), np.inf)
    since = np.arange(size.periods) - first[np.isfinite(first), None]
    events = {f"event{j}": k for j, k in enumerate(np.unique(since).tolist())}
    events = {name: k for name, k in events.items() if k != -1}
    (judged,) = [name for name, k in events.items() if k == 0]
    # The drawn paths are on from their first treated period.
    on = _assigned(size, frame).reshape(size.units, size.periods, size.subset)
    drawn = np.where(on.any(axis=1), on.argmax(axis=1), np.inf)
    columns = {c: frame[c].to_numpy() for c in frame}
    columns["drawn"] = np.repeat(drawn, size.periods, axis=0)
    formula = f"y ~ {' + '.join([*events, *_CONTROLS])} | unit + time"
    name = f"event study's draws / loop of feols, {peer.label('pyfixest')}, {size.name}"
    about = {
        "formula": formula,
        "cluster": "unit",
        "events": events,
        "judged": judged,
    }
    return _beside(name, "event_loop", columns, about, size, work, bound)


def _beside(
    name: str,
    task: str,
    columns: dict[str, np.ndarray],
    about: dict[str, object],
    size: _Size,
    work: _Work,
    bound: float,
) -> Figure:
    """Time of ours over that of a loop, once both say the same."""
    own, theirs = [], []
    with peer.asked("pyfixest", task, columns, **about) as asked:
        first = work.draw()
        values = asked.run().values
        for column, told in (("estimate", "estimates"), ("std_error", "std_errors")):
            ours = first[column].to_numpy()[: size.subset]
            apart = np.abs(ours - np.array(values[told])).max()
            if not apart < _SAME:
                raise RuntimeError(f"{name}: {column} {apart:.1e} apart")
        for _ in range(size.repetitions):
            theirs.append(asked.run().seconds * size.draws / size.subset)
            begun = time.perf_counter()
            work.draw()
            own.append(time.perf_counter() - begun)
    told = f"{size.subset} of {size.draws:,} draws"
    return ratio(name, own, theirs, bound, extrapolated=told)


def _ritest(size: _Size, frame: pd.DataFrame, work: _Work) -> Figure:
    columns = {c: frame[c].to_numpy() for c in frame}
    # Spaces in the formula make its names unknown to ritest.
    formula = f"y~d+{'+'.join(_CONTROLS)}|unit+time"
    name = f"draws / ritest (no errors), {peer.label('pyfixest')}, {size.name}"
    with peer.asked("pyfixest", "ritest", columns, formula=formula) as asked:
        asked.run(reps=10)  # it compiles itself
        own, theirs = peer.in_turn(2, work.draw, asked, reps=size.draws)
    return ratio(name, own, [reply.seconds for reply in theirs], 1 / 15)


def _frame(size: _Size) -> pd.DataFrame:
    """Adoption in the second half; six controls that differ between units and rows."""
    rng = np.random.default_rng(0)
    N, T = size.units, size.periods
    first = np.full(N, np.inf)
    on = rng.choice(N, size.treated, replace=False)
    first[on] = rng.integers(T // 2 + 1, T - 1, size.treated)
    unit, t = np.repeat(np.arange(N), T), np.tile(np.arange(T), N)
    d = (t >= first[unit]).astype(float)
    y = rng.normal(size=N)[unit] + 0.1 * t + 0.3 * d + rng.normal(size=N * T)
    more = {x: rng.normal(size=N)[unit] + rng.normal(size=N * T) for x in _CONTROLS}
    # Names in the order of the rows, so that assignments have it, too.
    return pd.DataFrame({"unit": 100_000 + unit, "time": t, "y": y, "d": d, **more})


@contextmanager
def _work(size: _Size, frame: pd.DataFrame, estimator: str = "twfe") -> Iterator[_Work]:
    text = _STUDY.format(
        controls=", ".join(_CONTROLS), times=size.draws, estimator=estimator
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "placebo.yaml")
        path.write_text(text, encoding="utf-8")
        frame.to_parquet(path.with_name("panel.parquet"))
        work = start(open_study(path), path.with_name("runs"))
        plan_run(work, ["placebo"])
        (job,) = work.jobs.values()
        data, model, estimator = resolve(job)
        panel = work.panels[job.panel]
        request = build(panel, data, model, estimator, job.seed).request
        result = estimator.estimate(request)
        yield _Work(job, panel, data, model, estimator, result)


def _assigned(size: _Size, frame: pd.DataFrame) -> np.ndarray:
    """(rows, subset) the treatment in the first draws."""
    N, T = size.units, size.periods
    d = frame["d"].to_numpy().reshape(N, T)
    paths = np.unique(d, axis=0, return_inverse=True)[1].ravel()
    # The true seed and order of units, but the paths numbered as cohorts are.
    paths = paths.max() - paths
    (source,) = placing.drawn(paths, [list(range(N))], size.subset, seed=1)
    return d[source].reshape(size.subset, N * T).T.copy()
