"""The one file that speaks to Hydra: its grammar, its composition, its multirun.

Written against Hydra 1.3. `Override._value`, `ConfigLoaderImpl.repository` and
`GlobalHydra.instance().hydra` are not public; `tests/unit/test_overrides.py` and
`tests/commands/test_sweep_hydra.py` would show a change.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import SafetyError, SpecError

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

#: A sweep beyond this many values or jobs is a slip of the pen.
MOST_JOBS = 100_000

_CALL = re.compile(r"([A-Za-z_][\w-]*)\s*\(.*\)", re.DOTALL)
#: A configuration does not name further folders, which nobody has looked into.
_NO_SEARCH_PATH = "hydra.searchpath=[]"
_UNSUITED = {
    "interval": "an interval is no list of values; use range(start,stop,step)",
    "shuffle": "the order of a sweep is the order it is written in",
    "glob": "write the values out",
    "tag": "write the values without it",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a value as Hydra reads it.

    Attributes:
        values: the value, or the values of `range(…)` and other sweeping functions.
        quoted: written in quotes, hence text whatever it looks like.
        sweeps: the item stands for several values.
    """

    values: tuple[Any, ...]
    quoted: bool = False
    sweeps: bool = False


def read_item(text: str) -> Item | None:
    """A scalar or a function call in Hydra's grammar; None if Hydra can't read it.

    `log(y)`, `绿色效率` and `year >= 2015` are such None: text, says the caller.

    Raises:
        SpecError: one of Hydra's functions, misused.
    """
    from hydra.core.override_parser.types import ChoiceSweep, QuotedString, RangeSweep
    from hydra.errors import HydraException

    call = _CALL.fullmatch(text)
    function = call[1] if call and call[1] in _parser().functions.functions else ""
    if function in _UNSUITED:
        raise SpecError("X15", f"{function}() can't be used", fix=_UNSUITED[function])
    try:
        # The value keeps its quotes only before `Override.value()` strips them.
        value = _parser().parse_override(f"key={text}")._value
    except HydraException as error:
        if not function:
            return None
        why = str(error).strip().splitlines()[0]
        fix = f"quote it if it is text: '{text}'"
        raise SpecError("X15", f"{text} can't be computed", why=why, fix=fix) from error
    if isinstance(value, RangeSweep):
        return Item(_steps(value.start, value.stop, value.step, text), sweeps=True)
    if isinstance(value, ChoiceSweep):
        return Item(tuple(_plain(v) for v in value.list), sweeps=True)
    return Item((_plain(value),), quoted=isinstance(value, QuotedString))


def _plain(value: Any) -> Any:
    from hydra.core.override_parser.types import QuotedString

    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value.text if isinstance(value, QuotedString) else value


def _steps(start: Any, stop: Any, step: Any, text: str) -> tuple[int | float, ...]:
    """The values of a range in decimal arithmetic.

    Hydra adds binary fractions, so that `range(0,0.9,0.3)` would reach 0.9.
    """
    first, last, by = (Decimal(str(x)) for x in (start, stop, step))
    if not by:
        raise SpecError("X15", f"{text} never ends", fix="a step other than 0")
    whole = all(isinstance(x, int) for x in (start, stop, step))

    def values() -> Iterator[int | float]:
        here = first
        while here < last if by > 0 else here > last:
            yield int(here) if whole else float(here)
            here += by

    found = tuple(islice(values(), MOST_JOBS + 1))
    if not found or len(found) > MOST_JOBS:
        size = f"more than {MOST_JOBS:,}" if found else "no"
        raise SpecError(
            "X15",
            f"{text} has {size} values",
            fix="range(start,stop,step) without stop",
        )
    return found


@functools.cache
def _parser() -> OverridesParser:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()


def quoted(text: str) -> str:
    """Text in the quotes of Hydra's grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text=text, quote=Quote.single).with_quotes()


def _quoted_list(texts: Sequence[str]) -> str:
    return "[" + ",".join(map(quoted, texts)) + "]"


def packaged_conf() -> Path:
    """The folder of our own configuration: in a wheel, or at the top of a checkout."""
    framework = Path(str(resources.files("framework")))
    inside = framework / "conf"
    return inside if inside.is_dir() else framework.parent / "conf"


def compose(conf: Sequence[str], directories: Sequence[Path]) -> dict[str, Any]:
    """Compose the configuration from `directories` (first wins), then the packaged one.

    Args:
        conf: overrides in Hydra's grammar, without sweeps.
        directories: existing folders laid out like `conf/`.

    Raises:
        SpecError: the configuration can't be composed.
        SafetyError: a configuration names code to be run.
    """
    from hydra import compose as hydra_compose

    with _hydra(directories):
        return plain_conf(hydra_compose("config", overrides=[_NO_SEARCH_PATH, *conf]))


def plain_conf(config: Any) -> dict[str, Any]:
    """Hydra's configuration as plain values, interpolations resolved.

    Raises:
        SpecError: an interpolation such as `${oc.env:NAME}` has no value.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        own = OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"])
        tree: Any = OmegaConf.to_container(own, resolve=True)
    except OmegaConfBaseException as error:
        raise _refused(error) from error
    return {str(key): value for key, value in tree.items()}


def launch(
    conf: Sequence[str],
    study: Sequence[str],
    directories: Sequence[Path],
    task: Callable[[Any], Sequence[Any]],
) -> Sequence[Any]:
    """A Hydra multirun: our sweeper unfolds `study`, our launcher calls `task` once.

    The study's overrides travel as the sweeper's own option, so they never meet
    Hydra's configuration and need no `+`.

    Args:
        conf, directories: as in `compose`.
        study: overrides of the study in the grammar of `framework.overrides`.
        task: called with one `framework.overrides.Batch`, all jobs at once.

    Returns:
        Hydra's `JobReturn` of every job, in order.
    """
    with _hydra(directories) as hydra:
        overrides = [
            _NO_SEARCH_PATH,
            "hydra/sweeper=estimand",
            "hydra/launcher=estimand",
            "hydra.output_subdir=null",
            *conf,
            f"hydra.sweeper.overrides={_quoted_list(study)}",
        ]
        found: Sequence[Any] = hydra.multirun(
            "config", task, overrides, with_log_configuration=False
        )
        return found


@contextmanager
def _hydra(directories: Sequence[Path]) -> Iterator[Hydra]:
    """Hydra with its search path; the embedding program's own Hydra is put back."""
    from hydra import initialize_config_dir
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    for directory in directories:
        _refuse_code(directory)
    _import_plugins()
    packaged = str(packaged_conf().resolve())
    try:
        with initialize_config_dir(packaged, job_name="estimand", version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None  # noqa: S101 - initialised one line above
            # As `--config-dir` does it, but in front: `hydra.searchpath` only appends.
            loader = hydra.config_loader
            assert isinstance(loader, ConfigLoaderImpl)  # noqa: S101 - Hydra has no other
            search_path = loader.get_search_path()
            for directory in reversed(directories):
                path = f"file://{directory.resolve()}"
                search_path.prepend("project", path, SearchPathQuery(provider="main"))
            loader.repository.initialize_sources(search_path)
            yield hydra
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise _refused(error) from error


def _refused(error: Exception) -> SpecError:
    cause = error if str(error).strip() else error.__cause__ or error
    first, *rest = [line.strip() for line in str(cause).splitlines() if line.strip()]
    fix = "docs/sweeps.md lists what can be set"
    if "Environment variable" in first:
        fix = "set it, or write the value on the command line (tracking.uri=…)"
    return SpecError(
        "X13", f"conf/ can't be composed: {first}", why="; ".join(rest), fix=fix
    )


def _refuse_code(directory: Path) -> None:
    """Hydra would import and call whatever a `_target_` names."""
    import yaml

    for file in sorted(directory.rglob("*.yaml")):
        try:
            pending = [yaml.safe_load(file.read_text("utf-8"))]
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            why = " ".join(str(error).split())
            raise SpecError("X13", f"{file} is not readable YAML", why=why) from error
        while pending:
            node = pending.pop()
            if isinstance(node, dict):
                if "_target_" in node:
                    raise SafetyError(
                        "X05",
                        f"{file} holds `_target_`",
                        why="It names code to be run, and conf/ holds settings only.",
                        fix="remove it; if this folder belongs to another program, "
                        "run the command elsewhere",
                    )
                pending += node.values()
            elif isinstance(node, list):
                pending += node


def _import_plugins() -> None:
    """Hydra imports every `hydra_plugins.*` there is; name the one that fails."""
    from hydra.core.plugins import Plugins

    try:
        Plugins.instance()
    except Exception as error:  # whatever a foreign module raises when it is imported
        found, frame = "", error.__traceback__
        while frame is not None:
            name = str(frame.tb_frame.f_globals.get("__name__", ""))
            found = name if name.startswith("hydra_plugins.") else found
            frame = frame.tb_next
        raise SpecError(
            "X23",
            f"the Hydra plugin {found or 'of another distribution'} can't be imported",
            why=f"{type(error).__name__}: {error}",
            fix="uninstall the distribution that ships it",
        ) from error
