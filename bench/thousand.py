"""1,000 distinct TWFE variants, recorded, beside Hydra's own sweeper and launcher."""

from __future__ import annotations

import csv
import itertools
import re
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import yaml

from bench import peer
from bench.figures import ESTIMAND, Figure, empty_folder
from framework.errors import OK

if TYPE_CHECKING:
    import pandas as pd

VARIANTS = 1000
#: Jobs of Hydra's two sweeps: what one job costs is the difference, start-up apart.
PEER = (4, 24)
_TIMES_FASTER = 8.0
#: Memory late in the sweep, in what it was early: the allocator's noise.
_FLAT = 1.1
_MEGABYTE = 1e6
_PAUSE = 0.05
#: `   12.34  estimations (sweep.grid 22.1)`: seconds and the stage.
_STAGE = re.compile(r"^ +(\d+\.\d\d)  ([a-zA-Z, ]+?)(?: \(|$)", re.MULTILINE)
_OUTCOMES = ("l_homicide", "l_larceny")
_CONTROLS = ("l_income", "l_prisoner", "poverty", "l_police")
#: The first of the sets of controls, small ones first: 2 x 10 x 50 states = 1,000.
_CONTROL_SETS = 10
#: The model of Hydra's jobs, one of ours; the state that is left out varies.
_SHARED = ("l_income", "l_prisoner")
#: What the parent run must carry in MLflow.
_SHOWN = ("report.html", "coefficients.csv", "tables/*", "figures/*")


@dataclass(frozen=True, slots=True)
class _Swept:
    """Our sweep to its end.

    Attributes:
        seconds: of the whole command.
        folder: of the run.
        stages: where its seconds went, in the words of the command.
        numbers: value of the sweep -> estimate and standard error.
        looks: process -> resident megabytes, look by look.
        own: the command's own process among them.
    """

    seconds: float
    folder: Path
    stages: Mapping[str, float]
    numbers: Mapping[str, tuple[float, float]]
    looks: Sequence[Mapping[int, float]]
    own: int


def measure() -> list[Figure]:
    """Times faster in all, milliseconds by stage, growth of the memory."""
    from causaldata import castle

    data = castle.load_pandas().data
    with empty_folder() as folder:
        _write_sweep(folder, data)
        ours = _swept(folder)
        _demand_everything(folder, ours)
    few, many = _hydra(data, ours.numbers)
    each = (many - few) / (PEER[1] - PEER[0])
    theirs = few + each * (VARIANTS - PEER[0])
    return [
        Figure(
            f"{VARIANTS:,} variants / {peer.label('hydra')} with feols and MLflow",
            ours.seconds / theirs,
            "x",
            1 / _TIMES_FASTER,
            f"{ours.seconds:.0f} s / {theirs:.0f} s, {theirs / ours.seconds:.1f} times "
            f"faster; {1000 * each:.0f} ms a job of theirs",
            f"{PEER[1]} of {VARIANTS:,} jobs",
        ),
        Figure(
            "- a variant",
            1000 * ours.seconds / VARIANTS,
            "ms",
            None,
            _by_stage(ours),
        ),
        *_memory(ours),
    ]


def _write_sweep(folder: Path, data: pd.DataFrame) -> None:
    sets = itertools.chain.from_iterable(
        itertools.combinations(_CONTROLS, size) for size in range(len(_CONTROLS))
    )
    controls = itertools.islice(sets, _CONTROL_SETS)
    overrides = [
        "model.outcome=" + ",".join(_OUTCOMES),
        "model.controls=" + ",".join(f"[{','.join(chosen)}]" for chosen in controls),
        "model.sample.state=" + ",".join(f"sid != {sid}" for sid in _states(data)),
    ]
    place = folder / "conf" / "sweep"
    place.mkdir(parents=True)
    (place / "thousand.yaml").write_text(yaml.safe_dump({"overrides": overrides}))


def _states(data: pd.DataFrame) -> list[int]:
    return sorted(int(sid) for sid in data["sid"].unique())


def _swept(folder: Path) -> _Swept:
    """`estimand sweep` to its end, looked at while it runs."""
    command = [ESTIMAND, "sweep", "castle.yaml", "sweep=thousand"]
    looks: list[Mapping[int, float]] = []
    with tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = psutil.Popen(
            [*command, "executor.workers=2"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        while process.poll() is None:
            looks.append(_sizes(process))
            time.sleep(_PAUSE)
        seconds = time.perf_counter() - start
        err.seek(0)
        said = err.read()
    if process.returncode != OK:
        raise RuntimeError(f"ended {process.returncode}:\n{said[-3000:]}")
    latest = (folder / "runs" / "castle" / "latest").resolve()
    with (latest / "coefficients.csv").open(encoding="utf-8") as table:
        numbers = {
            row["value"]: (float(row["estimate"]), float(row["std_error"]))
            for row in csv.DictReader(table)
            if row["term"] == "post"  # controls have rows, too
        }
    stages = {name: float(spent) for spent, name in _STAGE.findall(said)}
    return _Swept(seconds, latest, stages, numbers, looks, process.pid)


def _sizes(process: psutil.Process) -> Mapping[int, float]:
    try:
        family = [process, *process.children(recursive=True)]
        return {p.pid: p.memory_info().rss / _MEGABYTE for p in family}
    except psutil.NoSuchProcess:
        return {}


def _by_stage(ours: _Swept) -> str:
    """Milliseconds a variant; the rest is what the command says nothing about."""
    stages = {**ours.stages, "rest": ours.seconds - sum(ours.stages.values())}
    return ", ".join(
        f"{name} {1000 * seconds / VARIANTS:.1f}" for name, seconds in stages.items()
    )


def _memory(ours: _Swept) -> list[Figure]:
    """Growth of the workers, and of the command while there are workers."""
    times = Counter(pid for look in ours.looks for pid in look)
    # What lives for some looks only is no worker.
    workers = {p for p, n in times.items() if n > len(ours.looks) / 4} - {ours.own}
    estimating = [look for look in ours.looks if workers & look.keys()]
    sizes = {
        pid: [look[pid] for look in estimating if pid in look]
        for pid in (ours.own, *workers)
    }
    largest = max(max(sizes[pid]) for pid in workers)
    peak = max(look.get(ours.own, 0.0) for look in ours.looks)
    return [
        Figure(
            "- memory of a worker, last quarter of its life / second",
            max(_growth(sizes[pid]) for pid in workers),
            "x",
            _FLAT,
            f"largest {largest:.0f} MB",
        ),
        Figure(
            "- memory that the command gains meanwhile, a variant",
            1000 * (max(sizes[ours.own]) - sizes[ours.own][0]) / VARIANTS,
            "kB",
            None,
            f"it holds every result: {max(sizes[ours.own]):.0f} MB; {peak:.0f} MB with "
            "MLflow loaded",
        ),
    ]


def _growth(sizes: Sequence[float]) -> float:
    quarter = len(sizes) // 4
    return max(sizes[-quarter:]) / max(sizes[quarter : 2 * quarter])


def _demand_everything(folder: Path, ours: _Swept) -> None:
    """All variants are on disk and in MLflow; fewer would be no comparison."""
    cells = len(list((folder / "runs" / ".cells").glob("[!.]*/done")))
    if (cells, len(ours.numbers)) != (VARIANTS, VARIANTS):
        raise RuntimeError(f"{cells} computed, {len(ours.numbers)} in the table")
    with sqlite3.connect(folder / "runs" / ".mlflow" / "mlflow.db") as store:
        shown = store.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'")
        (count,) = shown.fetchone()
        found = store.execute(
            "SELECT count(DISTINCT value) FROM metrics WHERE key = 'estimate'"
        )
        (distinct,) = found.fetchone()
        (parent,) = store.execute(
            "SELECT artifact_uri FROM runs JOIN tags USING (run_uuid) "
            "WHERE key = 'kind' AND value = 'study'"
        ).fetchone()
    if (count, distinct) != (VARIANTS + 1, VARIANTS):
        raise RuntimeError(f"MLflow has {count} runs, {distinct} different estimates")
    for place in (ours.folder, Path(parent.removeprefix("file://"))):
        for pattern in _SHOWN:
            files = list(place.glob(pattern))
            if not files or not all(file.stat().st_size for file in files):
                raise RuntimeError(f"no {pattern} in {place}")


def _hydra(
    data: pd.DataFrame, ours: Mapping[str, tuple[float, float]]
) -> tuple[float, float]:
    """Seconds of Hydra's basic sweeper and launcher over so many of the variants.

    Raises:
        RuntimeError: its numbers are not ours, so that the times compare nothing.
    """
    states = _states(data)
    columns = {
        name: data[name].to_numpy(dtype=float)
        for name in ("sid", "year", "post", _OUTCOMES[0], *_SHARED)
    }
    seconds: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        peer.asked(
            "hydra",
            "sweep",
            columns,
            folder=folder,
            outcome=_OUTCOMES[0],
            controls=" ".join(_SHARED),
        ) as hydra,
    ):
        # One job first: making the store's tables is not what is compared.
        hydra.run(states=states[-1:])
        for jobs in PEER:
            reply = hydra.run(states=states[:jobs])
            _same(states[:jobs], reply.values, ours)
            seconds.append(reply.seconds)
    few, many = seconds
    return few, many


def _same(
    states: Sequence[int],
    theirs: Mapping[str, Sequence[float]],
    ours: Mapping[str, tuple[float, float]],
) -> None:
    for state in states:
        own = ours[f"{_OUTCOMES[0]}.{'+'.join(_SHARED)}.sid != {state}"]
        for mine, other in zip(own, theirs[str(state)], strict=True):
            # the order of sums differs between two fits of the same columns
            if not abs(mine / other - 1) < 1e-8:
                raise RuntimeError(f"without {state}: ours {mine!r}, theirs {other!r}")
