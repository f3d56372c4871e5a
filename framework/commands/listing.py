"""`list` and `show`: what there is, and what one thing is."""

from __future__ import annotations

import argparse
import inspect
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework import glossary, registry
from framework.commands import printing
from framework.contract import Estimator, Step
from framework.errors import OK, EstimandError, SpecError, counted, did_you_mean
from framework.run_folders import run_folders
from framework.spec import choices
from framework.spec.choices import ChoiceKind

if TYPE_CHECKING:
    from pydantic import BaseModel

    from framework.render import RunFolder

ANNOUNCED = "announced, not built yet"
#: What may be listed, and the kinds of choices it holds.
_SHELVES: Mapping[str, tuple[ChoiceKind, ...]] = {
    "plugins": (
        "estimator",
        "step",
        "matrix",
        "restriction",
        "learner",
        "generator",
    ),
    "estimators": ("estimator",),
    "steps": ("step",),
    "weights": ("matrix", "weights"),
    "learners": ("learner",),
    "generators": ("generator",),
    "inference": ("inference",),
    "restrictions": ("restriction",),
    "expectations": ("expectation",),
    "families": ("family",),
}
_OTHERS = ("studies", "runs", "glossary")
_KINDS: tuple[ChoiceKind, ...] = tuple(
    dict.fromkeys(kind for kinds in _SHELVES.values() for kind in kinds)
)
#: Where a choice of each kind stands in a study.
_PLACES: Mapping[ChoiceKind, str] = {
    "estimator": "estimator",
    "step": "data.steps.my_step",
    "matrix": "data.spatial_weights.my_matrix",
    "learner": "estimator.learner",
    "inference": "inference",
    "weights": "weights",
    "restriction": "sample.my_sample",
    "expectation": "expect",
    "family": "families.my_heading",
}
_STRUCTURES: Mapping[str, str] = {
    "cross_section": "cross-section",
    "repeated_cross_sections": "repeated cross-sections",
}
_KIND_WORDS: Mapping[str, str] = {
    "matrix": "spatial weights",
    "weights": "weights of rows",
    "step": "data step",
    "family": "adjustment of p values",
}


# -- list -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a list.

    Attributes:
        says: what it is, in one line.
        origin: the distribution or module it comes from, "" for what is always there.
        status: `built`, `planned` or `broken`.
    """

    kind: str
    name: str
    says: str
    origin: str = ""
    status: str = "built"


def list_(options: argparse.Namespace) -> int:
    """Names with one line each."""
    what = options.what
    if what in _SHELVES:
        _say_items(
            [i for kind in _SHELVES[what] for i in items(kind)], options, what=what
        )
    elif what == "runs":
        _say_items(list(_runs()), options, what="finished runs")
    elif what == "glossary":
        _say_items(list(_words()), options, what=what)
    elif what == "studies" or Path(what).is_dir():
        folder = Path("specs") if what == "studies" else Path(what)
        _say_items(list(_studies(folder)), options, what=f"studies in {folder}/")
    else:
        known = (*_SHELVES, *_OTHERS)
        guess = did_you_mean(what, known, limit=len(known))
        raise SpecError("X01", f"there is no list of '{what}'", fix=guess)
    return OK


def items(kind: ChoiceKind) -> Iterator[Item]:
    """Every name of a kind: usable, announced, or installed but broken."""
    for name in choices.names(kind):
        origin = _origin(kind, name)
        try:
            found = choices.plugin(kind, name)
        except EstimandError as error:
            yield Item(kind, name, error.problems[0].what, origin, "broken")
            continue
        if isinstance(found, registry.Planned):
            yield Item(kind, name, found.summary, origin, "planned")
        elif found is not None:
            yield Item(kind, name, _doc(found).split("\n")[0], origin)


def _origin(kind: ChoiceKind, name: str) -> str:
    if kind not in registry.KINDS:
        return ""
    found = registry.find(kind, name)
    return found.distribution if isinstance(found, registry.Entry) else ""


def _doc(plugin: type[BaseModel]) -> str:
    return inspect.cleandoc(plugin.__doc__ or "")


def _say_items(found: Sequence[Item], options: argparse.Namespace, what: str) -> None:
    if options.json:
        printing.as_json([asdict(item) for item in found])
        return
    if not found:
        printing.log(f"no {what}")
        return
    widest = max(len(item.name) for item in found)
    kinds = list(dict.fromkeys(item.kind for item in found))
    for kind in kinds:
        if len(kinds) > 1:
            gap = [""] if kind != kinds[0] else []
            printing.out(*gap, f"# {_spoken(kind)}")
        for item in (i for i in found if i.kind == kind):
            marks = [{"planned": ANNOUNCED, "broken": "broken"}.get(item.status, "")]
            marks += [f"from {item.origin}"] if item.origin else []
            mark = "; ".join(m for m in marks if m)
            line = f"{item.name:<{widest}}  " + (f"[{mark}] " if mark else "")
            printing.out(_cut(line + item.says))


def _spoken(kind: str) -> str:
    return _KIND_WORDS.get(kind, kind)


def _cut(line: str) -> str:
    """One line of the terminal; whole where another program reads."""
    if not sys.stdout.isatty() or len(line) <= printing.width():
        return line
    return line[: printing.width() - 1] + "…"


def _studies(folder: Path) -> Iterator[Item]:
    """Study files below a folder: their name, title and how many lines."""
    from framework.spec.loader import load

    for path in sorted((*folder.rglob("*.yaml"), *folder.rglob("*.yml"))):
        try:
            tree = load(path).tree
        except EstimandError as error:
            yield Item("study", str(path), error.problems[0].what, status="broken")
            continue
        if "study" not in tree:
            continue  # published numbers and other files that studies read
        checks = tree.get("checks")
        held = checks.values() if isinstance(checks, Mapping) else ()
        lines = sum(len(h) for h in held if isinstance(h, Mapping)) or 1
        title = str(tree.get("title") or tree["study"])
        yield Item("study", str(path), f"{title} ({counted(lines, 'line')})")


def _runs() -> Iterator[Item]:
    """Finished runs, oldest first within a study."""
    for path in run_folders(_runs_folder()):
        yield Item("run", f"{path.parent.name}/{path.name}", _run_in_short(path))


def _runs_folder() -> Path:
    from framework.settings import settings

    return settings().runs


def _run_in_short(path: Path) -> str:
    try:
        text = (path / "manifest.json").read_text(encoding="utf-8")
        manifest = json.loads(text)
    except (OSError, ValueError) as error:
        return f"not readable: {error}"
    columns = manifest.get("columns") or []
    done = sum(column.get("status") == "done" for column in columns)
    verdicts = manifest.get("verdicts") or {}
    said = [f"{status} {count}" for status, count in verdicts.items() if count]
    short = f"{_moment(manifest.get('created'))}, {done} of {len(columns)} estimations"
    return ", ".join([short, *said])


def _moment(text: object) -> str:
    """`2026-03-01 12:30` of an ISO time."""
    return str(text or "")[:16].replace("T", " ")


def _words() -> Iterator[Item]:
    for part, words in _glossary().items():
        for name, word in words.items():
            unit = f" ({word.unit})" if word.unit else ""
            yield Item(part, name, word.meaning + unit)


def _glossary() -> Mapping[str, Mapping[str, glossary.Word]]:
    return {
        "column of coefficients": glossary.COLUMNS,
        "estimand": glossary.ESTIMANDS,
        "scalar": glossary.SCALARS,
        "test": glossary.TESTS,
    }


_MAKE_PAGE = (
    "from framework.commands.listing import glossary_page; "
    'print(glossary_page(), end="")'
)


def glossary_page() -> str:
    """`docs/glossary.md`, which a test holds against this."""
    titles = {
        "column of coefficients": "Columns of coefficients.csv",
        "estimand": "Estimands",
        "scalar": "Scalars",
        "test": "Tests",
    }
    lines = [
        "# Glossary",
        "",
        "Every name that an estimator may print, from `framework/glossary.py`.",
        "Write this page again with",
        "",
        "```sh",
        f"python -c '{_MAKE_PAGE}' > docs/glossary.md",
        "```",
    ]
    for part, words in _glossary().items():
        lines += ["", f"## {titles[part]}", "", "| name | meaning | unit |"]
        lines += ["| --- | --- | --- |"]
        lines += [f"| `{n}` | {w.meaning} | {w.unit} |" for n, w in words.items()]
    return "\n".join(lines) + "\n"


# -- show -----------------------------------------------------------------------------


def show(options: argparse.Namespace) -> int:
    """A plugin, a word of the glossary, or a finished run."""
    name = options.name
    kinds = [kind for kind in _KINDS if name in choices.names(kind)]
    word = glossary.describe(name)
    if kinds or word:
        found = [_card(kind, name) for kind in kinds]
        if options.json:
            held = [_card_as_dict(card) for card in found]
            said = {"word": asdict(word)} if word else {}
            printing.as_json({"name": name, "plugins": held, **said})
            return OK
        for position, card in enumerate(found):
            printing.out(*([""] if position else []), *_card_lines(card))
        if word:
            unit = f" ({word.unit})" if word.unit else ""
            printing.out(*([""] if found else []), f"{name} · a word of the results")
            printing.out(*printing.wrapped(word.meaning + unit, "  ", "  "))
        return OK
    run = _run_named(name)
    if run is None:
        raise _unknown(name)
    if options.json:
        printing.as_json(_run_as_dict(run))
    else:
        _say_run(run)
    return OK


def _unknown(name: str) -> SpecError:
    plugins = [known for kind in _KINDS for known in choices.names(kind)]
    runs = _runs_folder()
    studies = [path.name for path in runs.glob("[!.]*") if path.is_dir()]
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        fix = f"estimand plan {name} shows what a study will estimate"
    else:
        fix = did_you_mean(name, sorted({*plugins, *studies}))
        if fix.startswith("there is"):
            fix = "estimand list plugins, estimand list runs"
    return SpecError("X01", f"there is no plugin, run or word '{name}'", fix=fix)


# -- a plugin -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a plugin.

    Attributes:
        type: in words: `whole number`, `one of a, b`.
        default: as YAML; "" where the study has to say it.
    """

    name: str
    type: str
    default: str
    needed: bool
    says: str


@dataclass(frozen=True, slots=True)
class Card:
    """What `show` says about a plugin.

    Attributes:
        facts: heading -> sentence: paper, estimands, demands on the data.
        examples: lines of a study.
    """

    kind: ChoiceKind
    name: str
    origin: str
    built: bool
    doc: str
    main: str = ""
    facts: Mapping[str, str] | None = None
    options: tuple[Option, ...] = ()
    examples: tuple[str, ...] = ()


def _card(kind: ChoiceKind, name: str) -> Card:
    found = choices.plugin(kind, name)
    if not isinstance(found, type):
        says = found.summary if found else ""
        return Card(kind, name, "", built=False, doc=says)
    schema = found.model_json_schema()
    needed = set(schema.get("required", ()))
    options = tuple(_options(schema["properties"], schema.get("$defs", {}), needed))
    return Card(
        kind,
        name,
        _origin(kind, name),
        built=True,
        doc=_doc(found),
        main=found.main or "",
        facts=_facts(found),
        options=_that_matter(found, options),
        examples=tuple(_examples(kind, name, schema)),
    )


def _that_matter(
    plugin: type[BaseModel], options: Sequence[Option]
) -> tuple[Option, ...]:
    """Leave out options that an expectation has from its kind but refuses."""
    from framework.spec.expectations import Expectation

    if not issubclass(plugin, Expectation):
        return tuple(options)
    idle = set(Expectation.model_fields) - plugin.uses
    return tuple(option for option in options if option.name not in idle)


def _options(
    fields: Mapping[str, Any],
    defs: Mapping[str, Any],
    needed: Iterable[str],
    prefix: str = "",
) -> Iterator[Option]:
    for name, field in fields.items():
        inner = _inner(field, defs)
        if inner is None:
            yield Option(
                prefix + name,
                _type(field),
                "" if name in needed else _yaml(field.get("default")),
                needed=name in needed,
                says=field.get("description", ""),
            )
            continue
        yield Option(
            prefix + name,
            "block",
            "" if name in needed else "{}",
            needed=name in needed,
            says=field.get("description", ""),
        )
        held = inner.get("required", ())
        yield from _options(inner["properties"], defs, held, f"{prefix}{name}.")


def _inner(field: Mapping[str, Any], defs: Mapping[str, Any]) -> Any:
    """The block that an option is, None if it is a value."""
    for part in (field, *field.get("allOf", ()), *field.get("anyOf", ())):
        if "$ref" in part:
            inner = defs[part["$ref"].rpartition("/")[2]]
            if "properties" in inner:
                return inner
    return None


_TYPES: Mapping[str, str] = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "mapping",
    "null": "null",
}


def _type(field: Mapping[str, Any]) -> str:
    """A JSON schema in words."""
    if "enum" in field:
        return "one of " + ", ".join(_yaml(value) for value in field["enum"])
    if "const" in field:
        return _yaml(field["const"])
    if "anyOf" in field:
        said = dict.fromkeys(_type(part) for part in field["anyOf"])
        kept = [words for words in said if words != "null"] or ["null"]
        return " or ".join(kept)
    if field.get("type") == "array":
        if "prefixItems" in field:
            return f"[{', '.join(_type(part) for part in field['prefixItems'])}]"
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object" and "additionalProperties" in field:
        held = field["additionalProperties"]
        return f"mapping of {_type(held)}" if isinstance(held, dict) else "mapping"
    words = _TYPES.get(str(field.get("type", "")), "any value")
    bounds = [
        f"{sign} {_yaml(field[key])}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in field
    ]
    return f"{words} {', '.join(bounds)}" if bounds else words


def _yaml(value: Any) -> str:
    """A value as a study writes it, on one line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k}: {_yaml(v)}' for k, v in value.items())}}}"
    return str(value)


def _facts(plugin: type[BaseModel]) -> dict[str, str]:
    """Paper, estimands and demands, as far as the plugin says."""
    facts: dict[str, str] = {}
    paper = getattr(plugin, "paper", "")
    if isinstance(paper, str) and paper:
        facts["Reference"] = paper
    if issubclass(plugin, Step) and plugin.cost == "costly":
        facts["Cost"] = "kept on disk once computed; `plan` does not compute it"
    if not issubclass(plugin, Estimator):
        return facts
    said = []
    for name in plugin.estimands:
        word = glossary.ESTIMANDS.get(name)
        said.append(f"{name} ({word.meaning})" if word else name)
    facts["Estimands"] = "; ".join(said) + ". The first is the default"
    needs = plugin.needs
    kinds = ", ".join(_STRUCTURES.get(k, k) for k in sorted(needs.kinds))
    facts["Data"] = f"{kinds}; {_demands(plugin)}"
    facts["Reads"] = ", ".join(sorted(needs.uses)).replace("_", " ") or "nothing more"
    if needs.inference:
        facts["Inference"] = ", ".join(sorted(needs.inference))
    if plugin.acknowledges:
        facts["Refusals"] = f"acknowledge overrides {', '.join(plugin.acknowledges)}"
    return facts


def _demands(plugin: type[Estimator]) -> str:
    needs = plugin.needs
    said = {
        "an outcome": needs.outcome,
        "a treatment": needs.treatment,
        "a 0/1 treatment": needs.binary,
        "a treatment that never switches off": needs.absorbing,
        "never-treated units": needs.never_treated,
        "a balanced panel": needs.balanced,
    }
    words = [phrase for phrase, demanded in said.items() if demanded]
    if needs.binary:
        words.remove("a treatment")
    words += sorted(needs.requires)
    if needs.inference:
        words.append(f"{needs.min_clusters} clusters or more if clustered")
    return "needs " + ", ".join(words) if words else "no demands"


#: An example at the end of a description: `…, e.g. year >= 2015` or `…: [0.01, 0.99]`.
_SAID = re.compile(r"(?:e\.g\.|:) (\[[^\]]*\])\.?$|e\.g\. ([\w .=<>/*+-]+?)\.?$")


def _examples(kind: ChoiceKind, name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a study with this plugin; only what the language accepts."""
    fields, needed = schema["properties"], list(schema.get("required", ()))
    main = choices.main_option(kind, name)
    place = _PLACES.get(kind, name)
    values = {option: _sample(option, fields[option]) for option in fields}
    if kind == "expectation" and "of" in fields:
        values["of"] = ["positive", "significant"] if name == "any" else "positive"
    written: list[Any] = [name] if not needed else []
    if main is not None and set(needed) <= {main}:
        written.append({name: values[main]})
    shown = needed or [o for o in fields if values[o] is not None][:2]
    if shown:
        written.append({name: {option: values[option] for option in shown}})
    for choice in written:
        if _accepted(kind, choice):
            yield f"{place}: {_yaml(choice)}"
    if kind not in ("estimator", "step", "inference"):
        return
    for option in [o for o in (main, *fields) if o and values[o] is not None][:1]:
        whole = {o: values[o] for o in (*needed, option)}
        if _accepted(kind, {name: whole}):
            yield f"{place}.{option}: {_yaml(values[option])}"


#: What a reader expects to see in an example, where types alone would mislead.
_SAMPLES: Mapping[str, Any] = {
    "year": 2010,
    "lower": 0,
    "upper": 1,
    "number": 4,
    "where": "year >= 2010",
    "values": [1, 2],
    "map": {"low": 1, "high": 2},
    "source": "data/other.csv",
    "estimand": "att",
    "against": "main.plain",
    "at_least": 0.9,
    "bound": 0.02,
    "on": ["city", "year"],
    "inputs": ["capital", "labor"],
    "outputs": ["value_added"],
}


def _accepted(kind: ChoiceKind, choice: Any) -> bool:
    from framework.spec.loader import loads

    try:
        read = loads(f"choice: {_yaml(choice)}").tree["choice"]
        return not choices.check(kind, choices.parse(kind, read), "")
    except EstimandError:
        return False


def _sample(option: str, field: Mapping[str, Any]) -> Any:
    """A value that could stand there: named in the description, default, or by type."""
    match = _SAID.search(field.get("description", ""))
    if option in _SAMPLES:
        return _SAMPLES[option]
    if match:
        return (match[1] or match[2]).strip()
    if field.get("default") not in (None, [], (), {}):
        return field["default"]
    parts = [
        part for part in field.get("anyOf", (field,)) if part.get("type") != "null"
    ]
    first = parts[0] if parts else {}
    if "enum" in first:
        return first["enum"][0]
    kind = first.get("type")
    if kind == "array":
        held = first.get("prefixItems") or [first.get("items", {})]
        span = len(held) > 1 and all(p.get("type") == "integer" for p in held)
        return [-4, 4] if span else [_sample(option, part) for part in held]
    if kind in ("integer", "number"):
        return first.get("minimum") or (1 if kind == "integer" else 0.1)
    if kind == "object":
        return {"new": "old"} if first.get("additionalProperties") else None
    if kind == "boolean":
        return True
    return "my_column" if kind == "string" else None


def _card_lines(card: Card) -> Iterator[str]:
    origin = f" · from {card.origin}" if card.origin else ""
    state = "" if card.built else f" · {ANNOUNCED}"
    yield f"{card.name} · {_spoken(card.kind)}{origin}{state}"
    for paragraph in card.doc.split("\n\n"):
        yield from printing.wrapped(" ".join(paragraph.split()), "  ", "  ")
    if not card.built:
        yield "  A study may name it; `estimand validate` says which lines wait for it."
        return
    if card.facts:
        yield ""
    for heading, text in (card.facts or {}).items():
        yield from printing.wrapped(text, " " * 13, f"  {heading:<11}")
    yield ""
    if not card.options:
        yield "  It has no options."
    else:
        main = f" (main: {card.main}, may be written alone)" if card.main else ""
        yield f"  Options{main}"
    widest = max((len(o.name) for o in card.options), default=0)
    for option in card.options:
        default = f"default {option.default}" if option.default else "must be said"
        if option.default == "null":
            default = "optional"
        head = f"    {option.name:<{widest}}  "
        yield from printing.wrapped(f"{option.type}; {default}", " " * len(head), head)
        if option.says:
            indent = " " * len(head)
            yield from printing.wrapped(option.says, indent, indent)
    if card.examples:
        yield ""
        yield "  In a study"
        yield from (f"    {line}" for line in card.examples)


def _card_as_dict(card: Card) -> dict[str, Any]:
    held = asdict(card)
    held["options"] = [asdict(option) for option in card.options]
    return held


# -- a run ----------------------------------------------------------------------------


def _run_named(name: str) -> RunFolder | None:
    """A run by its folder, `STUDY/RUN` or its study's name (the latest)."""
    runs = _runs_folder()
    there = [Path(name), runs / name]
    if not any(path.is_dir() for path in there):
        return None
    from framework.commands.reporting import run_folder
    from framework.render import RunFolder

    return RunFolder.read(run_folder(name, runs))


def _say_run(run: RunFolder) -> None:
    from framework.render import terminal_table

    done = sum(column.done for column in run.columns)
    title = f": {run.title}" if run.title else ""
    printing.out(f"{run.study}/{run.run_id}{title}")
    printing.out(
        f"  {_moment(run.created)}, {done} of {len(run.columns)} estimations, "
        f"seed {run.seed}, {run.source} ({run.data_rows:,} rows)",
        "",
    )
    for heading in run.headings:
        printing.out(terminal_table(run, heading.name, printing.width()), "")
    judged = [(c.address, v) for c in run.columns for v in c.verdicts]
    if judged:
        printing.out("Expectations")
    for address, verdict in judged:
        mark, _, said = verdict.sentence().partition(" ")
        printing.out(*printing.wrapped(f"{mark} {address}: {said}", "      ", "  "))
    empty = [column for column in run.columns if not column.done]
    if empty:
        printing.out(*([""] if judged else []), "Without numbers")
    for column in empty:
        text = f"{column.address}: {column.why_empty()}"
        printing.out(*printing.wrapped(text, "      ", "  "))
    printing.out("", f"Report: {run.path / 'report.html'}")


def _run_as_dict(run: RunFolder) -> dict[str, Any]:
    held: dict[str, Any] = _finite(_run_held(run))
    return held


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null instead."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _run_held(run: RunFolder) -> dict[str, Any]:
    return {
        "study": run.study,
        "run_id": run.run_id,
        "folder": str(run.path),
        "created": run.created,
        "seed": run.seed,
        "hashes": dict(run.hashes),
        "verdicts": dict(run.verdicts),
        "estimations": [
            {
                "address": column.address,
                "status": column.status,
                "estimator": column.estimator,
                "formula": column.formula,
                "judged": asdict(column.judged) if column.judged else None,
                "scalars": dict(column.scalars),
                "verdicts": [asdict(verdict) for verdict in column.verdicts],
                "problems": [asdict(problem) for problem in column.problems],
            }
            for column in run.columns
        ],
    }
