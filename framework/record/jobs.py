"""`runs/.jobs/<study>/<id>/`: the jobs of a run before the first starts, and their fate.

`manifest.json` lists every job; `0001.json` says what became of job 1, at any instant
whole. Both are a view for whoever watches or retries: what is finished is what lies in
the store of estimations, so a lost status file costs nothing.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from framework.cache import Failure
from framework.errors import Problem
from framework.record.process import is_alive, this_process
from framework.record.storage import drafts, storage_errors

if TYPE_CHECKING:
    from framework.cache import Cell

Status = Literal["waiting", "running", "done", "failed", "not_identified", "reused"]
#: What a job comes to; the rest was not tried.
_ENDED = ("done", "reused", "not_identified", "failed")
#: Books of a study that are kept, of whole runs and of parts: older ones go when a new
#: one is opened. Parts alone would push out the run that they are parts of.
_KEPT = 10
_NO_LIST = "the list of jobs could not be written"
_FIX = "free some space or mend the permission, then run again: no finished \
estimation is computed twice"


@dataclass(frozen=True, slots=True)
class Command:
    """What was typed, so that a part of it can be typed again.

    Attributes:
        verb: `run` or `sweep`.
        study: the study's file.
        overrides: changes and settings.
    """

    verb: str
    study: str
    overrides: tuple[str, ...] = ()

    def again(self, *options: str) -> str:
        """The command with options added, quoted for a shell."""
        typed = (self.verb, self.study, *self.overrides, *options)
        return shlex.join(("estimand", *typed))


@dataclass(frozen=True, slots=True)
class Planned:
    """A job to be: every address that shares it.

    Attributes:
        fingerprint: its name in the store; "" where it can't run.
        problems: why it can't run.
    """

    addresses: tuple[str, ...]
    fingerprint: str = ""
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class JobBook:
    """The jobs of one run, written down as they go.

    Attributes:
        folder: where the manifest and the status files are.
        command: what was typed.
    """

    folder: Path
    command: Command
    _numbers: dict[str, int] = field(default_factory=dict)  # fingerprint -> number
    _addresses: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _traces: dict[str, Path] = field(default_factory=dict)  # address -> trace
    _since: dict[int, float] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        runs: Path,
        study: str,
        command: Command,
        planned: Sequence[Planned],
        *,
        part: bool = False,
    ) -> JobBook:
        """Write all jobs down, waiting; those that can't run have failed already.

        Books of the study whose process was killed are put right, old ones removed.

        Args:
            runs: folder of all runs.
            study: the study's name.
            command: what was typed.
            planned: the jobs, in the study's order, identical ones merged.
            part: not all jobs of the command (`--only`, `--retry-failed`).

        Raises:
            StorageError: R20 the disk refused.
        """
        shelf = runs / ".jobs" / study
        with storage_errors(_NO_LIST, fix=_FIX):
            shelf.mkdir(parents=True, exist_ok=True)
            _tidy(shelf)
        with storage_errors(_NO_LIST, fix=_FIX), drafts(shelf):
            draft, folder = _new_folder(shelf)
            book = cls(draft, command)
            for number, job in enumerate(planned, start=1):
                book._addresses[number] = job.addresses
                if job.fingerprint:
                    book._numbers[job.fingerprint] = number
                book._write(
                    number, "failed" if job.problems else "waiting", job.problems
                )
            content = {
                "study": study,
                "id": folder.name,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "process": this_process(),
                "verb": command.verb,
                "file": command.study,
                "overrides": list(command.overrides),
                "part": part,
                "jobs": [
                    {
                        "addresses": list(job.addresses),
                        "fingerprint": job.fingerprint,
                        "status": _name(number),
                    }
                    for number, job in enumerate(planned, start=1)
                ],
            }
            _replace(draft / "manifest.json", content)
            draft.rename(folder)
        book.folder = folder
        return book

    def started(self, fingerprint: str) -> None:
        """A worker has it."""
        number = self._numbers[fingerprint]
        self._since[number] = time.monotonic()
        self._write(number, "running")

    def over(
        self,
        fingerprint: str,
        outcome: Cell | Failure,
        *,
        reused: bool = False,
        acknowledged: bool = False,
    ) -> None:
        """It has ended, or an earlier run had finished it.

        Args:
            fingerprint: of the job.
            outcome: what it came to.
            reused: an earlier run had finished it.
            acknowledged: the study says itself that its design gives no number.
        """
        number = self._numbers[fingerprint]
        since = self._since.pop(number, None)
        seconds = 0.0 if since is None else time.monotonic() - since
        if not isinstance(outcome, Failure):
            seconds = 0.0 if reused else outcome.seconds
            self._write(number, "reused" if reused else "done", seconds=seconds)
            return
        trace = None
        if outcome.trace:
            trace = self.folder / f"{number:04d}.trace.txt"
            with storage_errors(f"{trace} could not be written", fix=_FIX):
                trace.write_text(outcome.trace, encoding="utf-8")
            self._traces.update(dict.fromkeys(self._addresses[number], trace))
        status: Status = "not_identified" if acknowledged else "failed"
        self._write(number, status, outcome.problems, seconds, trace)

    def put_back(self) -> None:
        """What a worker had when the run ended waits again."""
        for number in list(self._since):
            del self._since[number]
            self._write(number, "waiting")

    def trace(self, address: str) -> Path | None:
        """Where the trace of a failed estimation is, if it left one."""
        return self._traces.get(address)

    def again(self, address: str) -> str:
        """The command that runs one estimation alone."""
        return self.command.again("--only", address)

    def _write(
        self,
        number: int,
        status: Status,
        problems: Sequence[Problem] = (),
        seconds: float = 0.0,
        trace: Path | None = None,
    ) -> None:
        addresses = self._addresses[number]
        content = {
            "addresses": list(addresses),
            "status": status,
            "seconds": round(seconds, 4),
            "cause": [problem.to_dict() for problem in problems],
            "trace": str(trace) if trace else None,
            "retry": self.again(addresses[0]),
        }
        with storage_errors("the state of a job could not be written", fix=_FIX):
            _replace(self.folder / _name(number), content)


def last_failed(runs: Path, study: str, command: Command) -> tuple[str, ...] | None:
    """Addresses whose newest end in runs of the same command is a failure.

    Runs of a part of the command say what became of that part; the rest is what it was
    in the last run of all, or before it if that one ended (killed, stopped at another
    failure) before their turn. Settings may differ: what failed is asked of the same
    verb and the same changes. None where there is no earlier run.
    """
    ended: dict[str, str] = {}
    left: set[str] | None = None  # what the last run of all did not come to
    earlier = False
    for folder in _books(runs / ".jobs" / study):
        written = _read(folder / "manifest.json")
        if written is None:
            continue
        known = (written["verb"], _changes(written["overrides"]))
        if known != (command.verb, _changes(command.overrides)):
            continue
        earlier = True
        held = {a: s["status"] for s in states(folder) for a in s["addresses"]}
        for address, status in held.items():
            if status in _ENDED and (left is None or address in left):
                ended.setdefault(address, status)
        if not written.get("part"):
            left = (set(held) if left is None else left) - set(ended)
            if not left:
                break
    if not earlier:
        return None
    return tuple(address for address, status in ended.items() if status == "failed")


def states(folder: Path) -> Iterator[Mapping[str, Any]]:
    """The state of every job of a book, in the order of its manifest."""
    written = _read(folder / "manifest.json")
    for job in written["jobs"] if written else ():
        state = _read(folder / job["status"])
        if state is not None:
            yield state


def newest(runs: Path, study: str) -> Path | None:
    """Folder of the newest book of a study."""
    return next(iter(_books(runs / ".jobs" / study)), None)


def _changes(overrides: Sequence[str]) -> frozenset[str]:
    """The changes of the study among what was typed: settings move no number."""
    return frozenset(
        o for o in overrides if o.startswith(("model", "data", "seed", "sw"))
    )


def _books(shelf: Path) -> list[Path]:
    """Books of a study, the newest first."""
    return sorted(shelf.glob("[!.]*"), reverse=True)


def _new_folder(shelf: Path) -> tuple[Path, Path]:
    """A draft that is ours alone, and the name it will have."""
    attempt = 0
    while True:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        name = f"{moment}-{os.getpid()}" + (f"-{attempt}" if attempt else "")
        draft, attempt = shelf / f".{name}.draft", attempt + 1
        try:
            draft.mkdir()
        except FileExistsError:
            continue
        if not (shelf / name).exists():
            return draft, shelf / name
        draft.rmdir()


def _tidy(shelf: Path) -> None:
    """Jobs of dead processes don't run any more; books beyond the newest ones go."""
    kept = {True: 0, False: 0}
    for folder in _books(shelf):
        written = _read(folder / "manifest.json")
        if written is not None:
            kept[part := bool(written.get("part"))] += 1
            if is_alive(written["process"]):
                continue
        if written is None or kept[part] >= _KEPT:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        for job in written["jobs"]:
            state = _read(folder / job["status"])
            if state is not None and state["status"] == "running":
                said = [{"what": "its run was killed", "fix": "run again"}]
                changed = {**state, "status": "waiting", "cause": said}
                # Another run that begins may do the same, or remove the book.
                with suppress(FileNotFoundError):
                    _replace(folder / job["status"], changed)


def _name(number: int) -> str:
    return f"{number:04d}.json"


def _replace(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not there for whoever reads; not awaited on the disk, as cells aren't."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _read(path: Path) -> Any:
    """A file's JSON; None where there is none that is whole (a power cut)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
