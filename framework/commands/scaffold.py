"""`new`: a first study, commented, that is valid as it stands."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.commands import printing
from framework.commands.schema import as_text, study_schema
from framework.errors import OK, SafetyError, SpecError, StorageError, counted
from framework.spec.study import project_of
from framework.spec.tree import is_slug

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA_NAME = Path("schemas") / "study.json"
#: Words that name such a column in many data sets, the likeliest first.
# fmt: off
_UNITS = (
    "unit", "id", "sid", "city", "county", "state", "province", "firm", "country",
    "region", "district", "city_id", "firm_id", "code", "fips", "name", "person",
    "countyreal", "城市", "地区", "省份", "企业", "代码",
)
_TIMES = (
    "year", "time", "period", "date", "quarter", "month", "wave", "t", "年份", "年",
)
_TREATMENTS = (
    "treat", "treatment", "treated", "did", "post", "policy", "law", "reform", "d",
    "adopt", "pilot", "exposed", "政策", "处理",
)
# fmt: on
_OUTCOMES = ("y", "outcome", "dependent", "lny", "l_y")
#: Most different values of a column that is offered as a period.
_MOST_PERIODS = 400
_FEWEST_ROWS_PER_UNIT = 2

_EXAMPLE = """\
# Do stand-your-ground laws raise homicides? 50 states, 2000-2010 (Cheng and Hoekstra
# 2013). The data ship with the Python package causaldata, so this study runs as it is:
# put your own data and columns in its place line by line.
study: {name}
title: Stand-your-ground laws and homicide
seed: 1                                # every random number follows from it
data:
  source: {{package: causaldata, dataset: castle}}   # or a file: data/cities.csv
  panel: {{unit: sid, time: year}}       # one row per state and year
model:                                 # the main specification
  outcome: l_homicide                  # log homicides per 100,000
  treatment: post                      # 0/1: 1 from the year after the law
  controls: []                         # e.g. [l_income, poverty]
  fixed_effects: [sid, year]
  inference: {{cluster: sid}}            # the level at which treatment was assigned
  estimator: twfe                      # estimand list estimators
checks:                                # heading = a table, line = its column(s)
  baseline:
    plain: {{}}                          # the model itself
    law_year: {{treatment.shift: -1}}    # treated one year earlier
    controls: {{controls: [l_income, l_prisoner, poverty], expect: same_sign}}
  pretrends:
    event_study: {{estimator: {{event_study: {{window: [-5, 4]}}}}, expect: flat_pretrend}}
  robustness:
    states: {{each: {{add.controls: [l_income, l_police, poverty]}}, expect: same_sign}}
"""


def new(options: argparse.Namespace) -> int:
    """Write a study that is a start, and say what to do next."""
    name = options.name.removesuffix(".yaml").removesuffix(".yml")
    path = _path_of(name, options.data)
    _refuse(path, name, force=options.force)
    if options.data is None:
        text, seen = _EXAMPLE.format(name=path.stem), None
    else:
        seen = look(options.data, path.parent)
        text = _study(path.stem, seen)
    schema = _schema_of(path)
    _write(path, f"# yaml-language-server: $schema={_relative(schema, path)}\n{text}")
    printing.out(f"{path} is written")
    if not schema.is_file():
        _write(schema, as_text(study_schema()))
        printing.out(f"{schema} is written, from which editors complete studies")
    if seen is not None:
        for guess in seen.guesses():
            printing.out(*printing.wrapped(guess, "    ", "  "))
        printing.out("  These are guesses from names and values: read the file.")
    printing.out(f"Next: estimand validate {path}", f"      estimand run {path}")
    return OK


def _path_of(name: str, data: Path | None) -> Path:
    """`specs/NAME.yaml`, or `NAME.yaml` where there is no `specs/` that sees the data."""
    given = Path(f"{name}.yaml")
    folder = Path("specs")
    if not folder.is_dir() or len(given.parts) > 1:
        return given
    sees = data is None or data.resolve().is_relative_to(project_of(folder))
    return folder / given if sees else given


def _refuse(path: Path, name: str, *, force: bool) -> None:
    if not is_slug(path.stem):
        raise SpecError(
            "X18",
            f"'{name}' can't be a study's name",
            fix="a letter first, then letters, digits and underscores",
        )
    if path.exists() and not force:
        raise StorageError(
            "R21",
            f"{path} exists already",
            why="What it says would be lost.",
            fix="another name, or --force to replace it",
        )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            "R03",
            f"cannot write '{path}': {error.strerror or error}",
            fix="change to a folder that can be written",
        ) from error


def _schema_of(path: Path) -> Path:
    """The schema of the study's project, which is made where there is none."""
    project = project_of(path.parent)
    schema = project / _SCHEMA_NAME
    here = Path.cwd()
    return schema.relative_to(here) if schema.is_relative_to(here) else schema


def _relative(target: Path, path: Path) -> str:
    """`target` as seen from the study at `path`."""
    return Path(os.path.relpath(target, path.parent)).as_posix()


# -- a look at the data ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """What a first look at a data file suggests.

    Attributes:
        source: the path as the study writes it.
        unit, time, treatment, outcome: guesses, "" where there is none.
        kind: of the treatment: `absorbing`, `reversible` or, without a panel,
            `cross_section`; "" where nothing is known.
        binary, numbers: names of the 0/1 columns and of other columns of numbers.
        missing: cells missing in the columns that the study will use.
    """

    source: str
    columns: tuple[str, ...]
    rows: int
    unit: str = ""
    time: str = ""
    treatment: str = ""
    kind: str = ""
    outcome: str = ""
    binary: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)

    def guesses(self) -> tuple[str, ...]:
        """What was guessed, in sentences."""
        said = [f"{self.rows:,} rows, {len(self.columns)} columns"]
        if self.unit and self.time:
            said.append(f"a panel: unit {self.unit}, time {self.time}")
        elif self.time:
            said.append(f"repeated cross-sections by {self.time}")
        else:
            said.append("a cross-section: no unit and period identify the rows")
        said.append(f"treatment {self.treatment or 'not found'}")
        said.append(f"outcome {self.outcome or 'not found'}")
        return tuple(said)


def look(data: Path, folder: Path) -> Seen:
    """A first look at a data file for a study that will lie in `folder`.

    Raises:
        DataError, SafetyError: as reading the data.
        SpecError: no columns of numbers to estimate anything with.
    """
    from framework.data.sources import read

    source, root = _source(data, folder)
    frame = read({"path": source}, root, folder.resolve()).frame
    columns = tuple(str(name) for name in frame.columns)
    time = _time(frame)
    unit = _unit(frame, time)
    keys = {unit, time}
    numbers = [c for c in columns if c not in keys and frame[c].dtype.kind in "if"]
    binary = [c for c in numbers if _is_binary(frame[c])]
    treatment = _best(binary, _TREATMENTS) or (binary[0] if binary else "")
    others = [c for c in numbers if c not in binary]
    whole = [c for c in others if frame[c].notna().all()] or others
    outcome = _best(others, _OUTCOMES) or (whole[0] if whole else "")
    if not outcome:
        rest = [c for c in binary if c != treatment]
        outcome = rest[0] if rest else ""
    if not outcome:
        raise SpecError(
            "X20",
            f"{data} has no column of numbers that could be an outcome",
            fix="estimand new NAME without --data writes an example to change",
        )
    used = [c for c in (outcome, treatment) if c]
    gaps = {c: int(frame[c].isna().sum()) for c in used}
    return Seen(
        source,
        columns,
        len(frame),
        unit=unit,
        time=time,
        treatment=treatment,
        kind=_kind(frame, treatment, unit, time),
        outcome=outcome,
        binary=tuple(c for c in binary if c != treatment),
        numbers=tuple(c for c in others if c != outcome),
        missing={c: n for c, n in gaps.items() if n},
    )


def _source(data: Path, folder: Path) -> tuple[str, Path]:
    """The path as the study writes it, and the project that holds both."""
    home = folder.resolve()
    root = project_of(home)
    if not data.resolve().is_relative_to(root):
        raise SafetyError(
            "X08",
            f"{data} lies outside the study's project {root}",
            why="a study from elsewhere could read private files into its report",
            fix=f"copy it to {root / 'data' / data.name}",
        )
    return Path(os.path.relpath(data.resolve(), home)).as_posix(), root


def _best(columns: Sequence[str], words: Sequence[str]) -> str:
    """The column whose name is one of the words, or begins with one; "" if none."""
    folded = {c.casefold(): c for c in reversed(columns)}
    for word in words:
        if word in folded:
            return folded[word]
    for word in words:
        long_enough = len(word) > 1
        for name, column in folded.items():
            if long_enough and word in name.replace("-", "_").split("_"):
                return column
    return ""


def _time(frame: pd.DataFrame) -> str:
    whole = [
        str(c)
        for c in frame.columns
        if frame[c].dtype.kind == "i" and frame[c].nunique() <= _MOST_PERIODS
    ]
    named = _best(whole, _TIMES)
    if named:
        return named
    years = [c for c in whole if frame[c].between(1800, 2200).all()]
    return next((c for c in years if frame[c].nunique() > 1), "")


def _unit(frame: pd.DataFrame, time: str) -> str:
    """The column that, with the period, names every row once."""
    if not time:
        return ""
    plausible = [
        str(c)
        for c in frame.columns
        if c != time
        and frame[c].dtype.kind != "f"
        and frame[c].notna().all()
        and len(frame) >= _FEWEST_ROWS_PER_UNIT * frame[c].nunique()
        and not frame.duplicated([c, time]).any()
    ]
    return _best(plausible, _UNITS) or (plausible[0] if plausible else "")


def _is_binary(series: pd.Series[Any]) -> bool:
    known = series.dropna()
    return bool(known.isin([0, 1]).all()) and known.nunique() == 2  # noqa: PLR2004 - 0 and 1


def _kind(frame: pd.DataFrame, treatment: str, unit: str, time: str) -> str:
    if not treatment:
        return ""
    if not (unit and time):
        return "cross_section"
    path = frame.sort_values([unit, time]).groupby(unit)[treatment]
    return "reversible" if bool((path.diff() < 0).any()) else "absorbing"


# -- the study ------------------------------------------------------------------------


def _study(name: str, seen: Seen) -> str:
    lines = [
        f"# A start from {seen.source}: {counted(seen.rows, 'row')}.",
        "# What is marked `guess` was read off names and values: check it.",
        f"study: {name}",
        f"title: {name.replace('_', ' ').capitalize()}",
        "seed: 1                                # every random number follows from it",
        *_data_lines(seen),
        *_model_lines(seen),
        *_check_lines(seen),
    ]
    return "\n".join(lines) + "\n"


def _data_lines(seen: Seen) -> list[str]:
    lines = ["data:", f"  source: {_text(seen.source)}"]
    if seen.missing:
        gaps = ", ".join(f"{n:,} in {c}" for c, n in seen.missing.items())
        lines += [
            f"  # Missing cells: {gaps}.",
            "  # `error` would refuse the estimation; `drop` leaves the rows out, counted.",
            "  missing: drop",
        ]
    if seen.unit and seen.time:
        keys = f"{{unit: {_text(seen.unit)}, time: {_text(seen.time)}}}"
        return [*lines, f"  panel: {keys}   # guess: they name every row once"]
    if seen.time:
        keys = f"{{time: {_text(seen.time)}}}"
        return [*lines, f"  panel: {keys}   # guess: repeated cross-sections"]
    return [*lines, "  # panel: {unit: …, time: …}; without it: one cross-section"]


def _model_lines(seen: Seen) -> list[str]:
    lines = ["model:"]
    lines += [f"  outcome: {_text(seen.outcome)}   # guess" + _others(seen.numbers)]
    if seen.treatment:
        kind = "" if seen.kind == "absorbing" else seen.kind
        column = _text(seen.treatment)
        written = f"{{column: {column}, kind: {kind}}}" if kind else column
        lines += [f"  treatment: {written}   # guess" + _others(seen.binary)]
    controls = f"[{', '.join(map(_text, seen.numbers[:3]))}]"
    lines += [
        f"  controls: []   # columns fixed before the treatment, such as {controls}"
    ]
    panel = bool(seen.unit and seen.time)
    if panel:
        unit, time = _text(seen.unit), _text(seen.time)
        lines += [
            f"  fixed_effects: [{unit}, {time}]",
            f"  inference: {{cluster: {unit}}}   # the level treatment was assigned at",
        ]
    elif seen.time:
        lines += [f"  fixed_effects: [{_text(seen.time)}]"]
        lines += ["  inference: hetero   # or {cluster: column}"]
    else:
        lines += ["  inference: hetero   # or {cluster: column}"]
    if not seen.treatment:
        return [
            *lines[:-1],
            "  # No 0/1 column was found: name the treatment, e.g.",
            "  # treatment: {column: dose, kind: dose}, then choose an estimator.",
            "  estimator: describe",
        ]
    if panel or seen.time:
        return [*lines, "  estimator: twfe   # estimand list estimators"]
    return [*lines, "  estimator: ols   # estimand list estimators"]


def _check_lines(seen: Seen) -> list[str]:
    lines = ["checks:   # heading = a table, line = its column(s)"]
    if not seen.treatment:
        return [*lines, "  descriptive: {summary: {}}"]
    lines += [
        "  descriptive: {summary: {estimator: describe}}",
        "  baseline:",
        "    plain: {}   # the model itself",
    ]
    if seen.numbers:
        control = _text(seen.numbers[0])
        lines += [f"    control: {{add.controls: [{control}], expect: same_sign}}"]
    if seen.kind == "absorbing":
        lines += [
            "  pretrends:",
            "    event_study: {estimator: event_study, expect: flat_pretrend}",
        ]
    return lines


def _others(columns: Sequence[str], most: int = 6) -> str:
    if not columns:
        return ""
    more = ", …" if len(columns) > most else ""
    return f"; other candidates: {', '.join(columns[:most])}{more}"


def _text(column: str) -> str:
    """A name as YAML text: in quotes unless every reader takes it for text."""
    import yaml

    plain = re.sub(r"[_/.-]", "a", column)
    if plain.isalnum() and yaml.safe_load(column) == column:
        return column
    escaped = column.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
