"""A worker process: warm up once, then estimate job after job.

The parent starts it as a fresh interpreter (never a fork: an engine's threads would
hang) and speaks JSON with it over one socket. Cells go to the store, not to the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any

from framework.cache import Cell, Failure, Job, Store
from framework.cache.plain import from_plain, to_plain
from framework.contract import SHELF
from framework.errors import EstimandError, Phase, Problem, StorageError, WorkerError
from framework.execute.warm_up import warm_up
from framework.panel import Panel

#: What estimates a job: `module:function`, called with (job, panel), returns a Cell.
ESTIMATE = "framework.execute.estimation:estimate"
#: Every worker's environment: numbers must depend on neither threads nor hash order.
ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "BLIS_NUM_THREADS": "1",
        "VECLIB_MAXIMUM_THREADS": "1",
        "NUMEXPR_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "RAYON_NUM_THREADS": "1",
    }
)
#: Makes a worker write down where it is, even while an engine holds the interpreter.
WHERE_ARE_YOU = signal.SIGUSR1
#: What a worker is told before the job: to do it, or to help who does.
WORK, HELP = b"work", b"help"
_PR_SET_PDEATHSIG = 1
_WATCH_SECONDS = 0.5


def work(
    job: Job, root: Path, *, task: str = ESTIMATE, newest: int | None = None
) -> str | Failure:
    """Estimate a job and keep its cell; the fingerprint, or why there is no cell.

    Never raises for what goes wrong in an estimation: the next job must go on.

    Args:
        job: the estimation.
        root: the folder of runs.
        task: `module:function` that estimates.
        newest: `source_newest` of who named the job; what was computed by source files
            changed since then must not be kept under that name.
    """
    try:
        cell = _estimated(job, root, task, newest)
        if newest is not None:
            _check_source(newest)
        Store(root).save(cell)
    except EstimandError as error:
        failure = Failure(error.problems, traceback.format_exc())
        _keep_refusal(job, Store(root), failure, newest)
        problems = tuple(p.at(address=job.address) for p in failure.problems)
        return replace(failure, problems=problems)
    except MemoryError:
        return Failure((_out_of_memory(job),), traceback.format_exc())
    except Exception as error:
        return Failure((_unforeseen(job, error),), traceback.format_exc())
    return cell.fingerprint


def lend_a_hand(
    job: Job, root: Path, *, task: str = ESTIMATE, newest: int | None = None
) -> None:
    """Run a divisible job beside the worker that has it; its parts go to the shelf.

    The cell, or what goes wrong, is that worker's to tell.
    """
    with contextlib.suppress(Exception):
        _estimated(job, root, task, newest)


def _estimated(job: Job, root: Path, task: str, newest: int | None) -> Cell:
    panel = _panel(root, job.panel)
    if job.source:
        panel = replace(panel, source=_panel(root, job.source))
    sound = None if newest is None else partial(_check_source, newest)
    # Of a random draw nothing is asked for again.
    shelf = None if job.draws else Store(root).shelf(sound)
    token = SHELF.set(shelf)
    try:
        cell: Cell = _function(task)(job, panel)
    finally:
        SHELF.reset(token)
    if shelf is not None:
        shelf.make_room()
    return cell


def serve(descriptor: int, parent: int, about: Mapping[str, Any]) -> None:
    """Serve the parent until it closes the socket; called in the fresh interpreter."""
    os.set_inheritable(descriptor, False)
    _die_with(parent)
    faulthandler.enable()
    faulthandler.register(WHERE_ARE_YOU)
    with Connection(descriptor) as parent_side:
        warm_up(about["task"], about["warm"])
        _say(parent_side, state="ready")
        while True:
            try:
                wish = parent_side.recv_bytes()
                job = job_from_bytes(parent_side.recv_bytes())
            except EOFError:
                return
            _say(parent_side, state="started")
            _forget_output()
            done = {WORK: work, HELP: lend_a_hand}[wish](
                job,
                Path(about["root"]),
                task=about["task"],
                newest=about["newest"],
            )
            failure = failure_to_plain(done) if isinstance(done, Failure) else None
            _say(parent_side, state="done", failure=failure)


def job_to_bytes(job: Job) -> bytes:
    """The job as JSON: a model may hold read-only mappings, which do not pickle."""
    plain = {f.name: to_plain(getattr(job, f.name)) for f in fields(Job)}
    return json.dumps(plain).encode()


def job_from_bytes(message: bytes) -> Job:
    """The job that `job_to_bytes` was given."""
    return Job(**{k: from_plain(v) for k, v in json.loads(message).items()})


def failure_to_plain(failure: Failure) -> dict[str, Any]:
    """JSON of a failure; places in a study file belong to the parent and stay there."""
    names = [f.name for f in fields(Problem) if f.name not in {"place", "phase"}]
    problems = [
        {"phase": int(p.phase), **{name: getattr(p, name) for name in names}}
        for p in failure.problems
    ]
    return {"problems": problems, "trace": failure.trace}


def failure_from_plain(plain: Mapping[str, Any]) -> Failure:
    """The failure that `failure_to_plain` was given."""
    problems = tuple(
        Problem(**{**p, "phase": Phase(p["phase"])}) for p in plain["problems"]
    )
    return Failure(problems, plain["trace"])


@lru_cache(maxsize=2)
def _panel(root: Path, key: str) -> Panel:
    panel = Store(root).load_panel(key)
    if panel is None:
        raise StorageError(
            "R13",
            f"the prepared panel {key[:12]} is not in '{root}'",
            fix="run again: it is prepared anew",
        )
    return panel


@lru_cache
def _function(target: str) -> Callable[[Job, Panel], Cell]:
    module, _, name = target.partition(":")
    function: Callable[[Job, Panel], Cell] = getattr(
        importlib.import_module(module), name
    )
    return function


@lru_cache(maxsize=1)
def _own_files(loaded: int) -> tuple[tuple[str, str], ...]:
    """Our modules among the `loaded` ones, and their files; looked up as more load."""
    del loaded
    return tuple(
        (name, file)
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in {"framework", "estimators"}
        and (file := getattr(module, "__file__", None))
    )


def _keep_refusal(job: Job, store: Store, failure: Failure, newest: int | None) -> None:
    """Keep what the design cannot answer; all else may go well the next time."""
    if any(problem.phase is not Phase.DESIGN for problem in failure.problems):
        return
    # Refusing again costs seconds: no reason to lose what is to be said.
    with contextlib.suppress(StorageError, WorkerError):
        if newest is not None:
            _check_source(newest)
        store.save_refusal(job.fingerprint, failure)


def _check_source(newest: int) -> None:
    files = _own_files(len(sys.modules))
    changed = [
        name
        for name, file in files
        # A Path for each of 150 files costs more than the look at them.
        if os.stat(file).st_mtime_ns > newest  # noqa: PTH116 - see above
    ]
    if changed:
        raise WorkerError(
            "W06",
            f"{', '.join(changed)} changed on disk while the study ran",
            why="the number would be kept under the name of the old source",
            fix="run again: finished estimations of unchanged source are not repeated",
        )


def _out_of_memory(job: Job) -> Problem:
    return Problem(
        Phase.WORKER,
        "W02",
        "the estimation asked for more memory than there is",
        why="nothing was estimated; the others continue",
        fix="fewer workers, a smaller sample, or a machine with more memory",
        address=job.address,
    )


def _unforeseen(job: Job, error: Exception) -> Problem:
    return Problem(
        Phase.WORKER,
        "W04",
        f"{type(error).__name__} in the estimation: {error}",
        why="the plugin or its engine failed in a way nobody foresaw; "
        "nothing was estimated and the others continue",
        fix="see the trace; please report it",
        address=job.address,
    )


def _say(connection: Connection, **message: Any) -> None:
    # The parent may be gone: there is nobody left to tell, and the watcher ends us.
    with contextlib.suppress(BrokenPipeError):
        connection.send_bytes(json.dumps(message).encode())


def _forget_output() -> None:
    """Start the captured output anew: what is left at a death is the last job's."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)


def _die_with(parent: int) -> None:
    """End this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        # By the kernel, even while an engine holds the interpreter.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        # The group: programs that an engine started go too.
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
