"""How a study is run, as `conf/` says: the settings of one command.

The defaults stand in `conf/` and nowhere else; the models here say what may be set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from framework import composition
from framework.errors import EstimandError, Phase, Problem, did_you_mean
from framework.spec import wording


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tracking(_Group):
    """The MLflow view of the results (`conf/tracking/`).

    Attributes:
        uri: address of the store; None = the SQLite file below `runs`. Not shown in
            `repr`, because it may hold a password.
        artifact_location: folder or URI of the artifacts; None = beside the store.
    """

    enabled: Annotated[bool, Field(strict=True)]
    uri: Annotated[str | None, Field(repr=False)]
    artifact_location: str | None


class Executor(_Group):
    """Where estimations are computed (`conf/executor/`).

    Attributes:
        name: `inline` is another name of `serial`.
        workers: number of worker processes; None = one per core, of a cluster as many
            as it has.
        time_limit: seconds an estimation may take; None = no limit.
        memory_limit: MB of resident memory of a worker; None = no limit.
        address: of a cluster; None = one of our own on this machine (SLURM: here).
        options: of a batch system's jobs, in submitit's words.
    """

    name: Literal["processes", "serial", "inline", "ray", "dask", "slurm"]
    workers: Annotated[int | None, Field(strict=True, ge=1)]
    time_limit: Annotated[float | None, Field(strict=True, gt=0)]
    memory_limit: Annotated[int | None, Field(strict=True, ge=1)]
    address: str | None = None
    options: Mapping[str, str | int | float | None] = {}


class Report(_Group):
    """What is written beside the numbers (`conf/report/`)."""

    formats: tuple[Literal["html", "tex", "docx", "md", "csv"], ...]
    figures: tuple[Literal["png", "pdf"], ...]


class Sweep(_Group):
    """A named sweep (`conf/sweep/`): overrides of the study, as typed."""

    overrides: tuple[str, ...]


class Settings(_Group):
    """Everything that says how, and nothing that says what.

    Attributes:
        runs: folder of the results, relative to the working directory.
    """

    tracking: Tracking
    executor: Executor
    report: Report
    sweep: Sweep
    runs: Annotated[Path, AfterValidator(Path.expanduser)]


#: Parts of the settings that are chosen by name: `tracking=server`.
GROUPS = ("tracking", "executor", "report", "sweep")


def settings(
    conf: Sequence[str] = (), directories: Sequence[Path] | None = None
) -> Settings:
    """Compose the settings of a command.

    Args:
        conf: overrides such as `executor=inline`, as `overrides.split` gives them.
        directories: folders that come before the packaged one; None = `./conf` where
            there is one.

    Raises:
        EstimandError: every problem of the settings.
    """
    return from_conf(composition.compose(conf, conf_directories(directories)))


def conf_directories(given: Sequence[Path] | None = None) -> tuple[Path, ...]:
    """The user's configuration folders, the packaged one left out."""
    wanted = [Path("conf")] if given is None else given
    packaged = composition.packaged_conf().resolve()
    return tuple(d for d in wanted if d.is_dir() and d.resolve() != packaged)


def from_conf(tree: Mapping[str, Any]) -> Settings:
    """Validate a composed configuration.

    Raises:
        EstimandError: every unknown key, missing key and wrong value.
    """
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise EstimandError(_problem(e) for e in error.errors()) from error


def _problem(error: Any) -> Problem:
    path = tuple(str(step) for step in error["loc"])
    dotted = ".".join(path)
    if error["type"] == "extra_forbidden":
        return _unknown(path)
    if error["type"] == "missing":
        return Problem(
            Phase.SPEC,
            "X18",
            "not set",
            fix="a conf/config.yaml of your own begins with "
            "`defaults: [estimand, _self_]`",
            path=f"conf {dotted}",
        )
    return Problem(
        Phase.SPEC,
        "X15",
        wording.say(error, secret=dotted.startswith("tracking")),
        path=f"conf {dotted}",
    )


def unknown_setting(
    key: str, directories: Sequence[Path] | None = None
) -> Problem | None:
    """The problem with the key of an override, None if there is such a setting.

    Args:
        key: `executor.workers`, `tracking` or `tracking=server` (a choice by name).
    """
    name, _, option = key.partition("=")
    path = tuple(name.split("."))
    fields: Mapping[str, Any] = Settings.model_fields
    for depth, step in enumerate(path):
        if step not in fields:
            return _unknown(path[: depth + 1])
        inner = fields[step].annotation
        is_group = isinstance(inner, type) and issubclass(inner, BaseModel)
        fields = inner.model_fields if is_group else {}
    if option and name in GROUPS:
        return _unknown_choice(name, option.strip("'\""), directories)
    return None


def _unknown_choice(
    group: str, option: str, directories: Sequence[Path] | None
) -> Problem | None:
    folders = (*conf_directories(directories), composition.packaged_conf())
    there = sorted({f.stem for d in folders for f in (d / group).glob("*.yaml")})
    if option in there:
        return None
    fix = did_you_mean(option, there)
    return Problem(Phase.SPEC, "X01", f"no {group} '{option}'", fix=fix, path=group)


def _unknown(path: tuple[str, ...]) -> Problem:
    fields: Mapping[str, Any] = Settings.model_fields
    for step in path[:-1]:
        fields = getattr(fields[step].annotation, "model_fields", {})
    return Problem(
        Phase.SPEC,
        "X17",
        f"no setting '{path[-1]}'",
        fix=did_you_mean(path[-1], list(fields))
        or f"{'.'.join(path[:-1])} is one value",
        path=f"conf {'.'.join(path)}",
    )
