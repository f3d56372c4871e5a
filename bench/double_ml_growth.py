"""What double machine learning costs against rows, folds and workers, drawn.

    python -m bench.double_ml_growth        # measures, writes bench/figures/

Boosting of 60 trees. Rows and folds: one split of the partially linear model in this
process, one thread. Workers: a study of four outcomes of one treatment, five folds, one
split; what counts is the processor time of the busiest worker, its start included, which
other programs on the machine do not change as they do the clock (in the table, too).
"""

from __future__ import annotations

import csv
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

import framework.spec.choices  # noqa: F401 - lets options name learners
from bench import double_ml
from bench.double_ml_study import _folder
from bench.figures import ROOT, Figure
from estimators._double.nuisance import MEMORY
from estimators.double_ml import DoubleMl
from framework import run

TABLE = ROOT / "bench" / "figures" / "double_ml_growth.csv"
ROWS, FOLDS, WORKERS, OUTCOMES = (2_500, 5_000, 10_000, 20_000), (2, 5, 10), (1, 2), 4
_LEARNER = {"boosting": {"trees": 60}}
#: Seconds between two looks at the workers.
_LOOK = 0.1
_STUDY = """\
study: growth
seed: 1
data: {{source: panel.csv, panel: {{unit: u, time: t}}}}
model:
  outcome: y0
  treatment: {{column: d, kind: reversible}}
  controls: [{controls}]
  inference: {{cluster: u}}
  estimator:
    double_ml: {{learner: {{boosting: 60}}, folds: 5, repetitions: 1}}
checks:
  outcomes: {{all: {{each: {{outcome: [{outcomes}]}}}}}}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one size costs.

    Attributes:
        what: `split` in this process, or `study` by workers.
        cpu: processor seconds; of the busiest worker.
        clock: seconds that went by.
    """

    what: str
    rows: int
    folds: int
    workers: int
    cpu: float
    clock: float


def measure() -> list[Figure]:
    """Ratios of the costs that are drawn."""
    costs = measured()
    written(costs)
    drawn(costs)
    at = {(c.what, c.rows, c.folds, c.workers): c.cpu for c in costs}
    rows = sorted({c.rows for c in costs})
    few, many = rows[1], rows[-1]
    split = f"a split, boosting, {{}}: {many:,} rows / {few:,}"
    found = [
        _ratio(
            split.format(f"{k} folds"),
            at["split", many, k, 1],
            at["split", few, k, 1],
            # No worse than in proportion to the rows, a tenth for the clock's noise.
            1.1 * many / few,
        )
        for k in FOLDS
    ]
    found.append(
        _ratio(
            f"a split of {many:,} rows: 10 folds / 5",
            at["split", many, 10, 1],
            at["split", many, 5, 1],
            # Twice the fits, each on 9/10 of the rows in place of 8/10.
            1.1 * 2 * 0.9 / 0.8,
        )
    )
    found.append(
        _ratio(
            f"four outcomes of {many:,} rows: busiest of 2 workers / one",
            at["study", many, 5, 2],
            at["study", many, 5, 1],
            # Half, and the start of both, a fifth of the one's.
            0.7,
        )
    )
    return found


def _ratio(name: str, more: float, less: float, bound: float) -> Figure:
    return Figure(name, more / less, "x", bound, f"{more:.2f} s / {less:.2f} s")


def measured() -> list[Cost]:
    """One row for every size."""
    split(ROWS[0], FOLDS[0])  # imports
    costs = [split(rows, folds) for folds in FOLDS for rows in ROWS]
    return costs + [study(rows, workers) for workers in WORKERS for rows in ROWS]


def _frame(rows: int) -> tuple[Any, pd.DataFrame]:
    """About so many rows: whole units."""
    return double_ml._panel(1, units=round(rows / double_ml._YEARS))


def split(rows: int, folds: int) -> Cost:
    """One split in this process, nothing known before."""
    request, frame = _frame(rows)
    how = DoubleMl(learner=_LEARNER, folds=folds, repetitions=1)
    MEMORY.clear()
    start, cpu = time.perf_counter(), time.process_time()
    how.estimate(request)
    used = time.process_time() - cpu
    return Cost("split", len(frame), folds, 1, used, time.perf_counter() - start)


def study(rows: int, workers: int) -> Cost:
    """Outcomes of one treatment, by workers that start for it."""
    _, frame = _frame(rows)
    rng = np.random.default_rng(7)
    outcomes = {
        f"y{k}": frame["y"] + rng.normal(size=len(frame)) for k in range(OUTCOMES)
    }
    controls = [c for c in frame if c.startswith("x")]
    with _folder() as folder:
        frame.assign(**outcomes).to_csv(folder / "panel.csv", index=False)
        (folder / "study.yaml").write_text(
            _STUDY.format(controls=", ".join(controls), outcomes=", ".join(outcomes)),
            encoding="utf-8",
        )
        start = time.perf_counter()
        with _watched() as used:
            done = run(
                "study.yaml",
                "executor=processes",
                f"executor.workers={workers}",
                report=False,
                track=False,
            )
        clock = time.perf_counter() - start
        if any(not len(done.result(a).coefficients) for a in done.addresses):
            raise RuntimeError("an estimation has no numbers")
    return Cost("study", len(frame), 5, workers, max(used.values()), clock)


@contextmanager
def _watched() -> Iterator[dict[int, float]]:
    """Processor seconds of every process that this one starts meanwhile."""
    import psutil

    used: dict[int, float] = {}
    over = threading.Event()
    here = psutil.Process(os.getpid())

    def watch() -> None:
        while not over.wait(_LOOK):
            for child in here.children():
                try:
                    times = child.cpu_times()
                except psutil.Error:  # it has ended
                    continue
                used[child.pid] = times.user + times.system

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield used
    finally:
        over.set()
        thread.join()


def written(costs: list[Cost]) -> None:
    """The table."""
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        rows = [asdict(c) for c in costs]
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                row | {name: f"{row[name]:.3g}" for name in ("cpu", "clock")}
            )


def drawn(costs: list[Cost]) -> None:
    """Seconds against rows, by folds and by workers, both axes in logs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import NullFormatter

    figure = Canvas(figsize=(7.6, 3.3), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    colours = ("#56b4e9", "#0072b2", "#222222")
    for folds, colour in zip(FOLDS, colours, strict=True):
        shown = [c for c in costs if c.what == "split" and c.folds == folds]
        _line(left, shown, colour, f"{folds} folds")
    for workers, colour in zip(WORKERS, ("#d55e00", "#009e73"), strict=True):
        shown = [c for c in costs if c.what == "study" and c.workers == workers]
        _line(right, shown, colour, f"{workers} worker{'s'[: workers - 1]}")
    left.set_title("One split, one thread", fontsize=9.5, loc="left")
    right.set_title("Four outcomes, one split, five folds", fontsize=9.5, loc="left")
    left.set_ylabel("Processor seconds")
    right.set_ylabel("Processor seconds, busiest worker")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(list(ROWS), [f"{n:,}" for n in ROWS])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
        axes.set_xlim(ROWS[0] / 1.2, ROWS[-1] * 1.9)
        axes.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
        axes.set_yticks(_TICKS)
        seconds = [y for line in axes.lines for y in line.get_ydata()]
        axes.set_ylim(min(seconds) / 1.5, max(seconds) * 1.5)
        axes.set_xlabel("Rows (20 controls, 18 periods)")
        axes.tick_params(labelsize=8.5)
        axes.grid(color="#d5d5d5", lw=0.5)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    path = TABLE.with_suffix(".png")
    figure.savefig(path, dpi=160, metadata={"Software": None})


_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 3, 4, 5, 7, 10, 20, 30, 50, 70, 100)


def _line(axes: Any, shown: list[Cost], colour: str, name: str) -> None:
    x, y = [c.rows for c in shown], [c.cpu for c in shown]
    axes.plot(x, y, "o-", color=colour, lw=1.5, ms=4)
    axes.annotate(
        name,
        (x[-1], y[-1]),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=colour,
    )


if __name__ == "__main__":
    print(*measure(), sep="\n")
