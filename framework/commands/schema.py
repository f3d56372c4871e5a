"""`schema`: the language of a study as JSON Schema, so that editors complete it.

What the loader accepts the schema accepts. It knows less: which option fits the plugin
in force, whether a column exists and what a variation leads to is said by `validate`.
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework import registry
from framework.claims import KEY as CLAIMS
from framework.claims import Claims
from framework.commands import hover, printing
from framework.errors import OK, EstimandError, SpecError, StorageError
from framework.glossary import ESTIMANDS
from framework.spec import choices
from framework.spec.choices import ChoiceKind
from framework.spec.expectations import EXPECTATIONS, Expectation
from framework.spec.model import (
    ColumnEntry,
    InteractSpec,
    PanelKeys,
    Source,
    SpatialUse,
    TreatmentSpec,
)
from framework.spec.tree import DATA_FIELDS, LIST_FIELDS, MODEL_FIELDS

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = dict[str, Any]

_SLUG = "^[A-Za-z][A-Za-z0-9_]*$"
_TEXT: Schema = {"type": "string"}
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_NULL: Schema = {"type": "null"}
_ANNOUNCED = "announced, not built yet"
#: Kinds of choices that stand in a study, by the name of their definition.
_KINDS: tuple[ChoiceKind, ...] = (
    "estimator",
    "inference",
    "weights",
    "step",
    "matrix",
    "restriction",
    "expectation",
    "family",
)
#: Fields of the model that are choices.
_CHOICES: Mapping[str, ChoiceKind] = {
    "estimator": "estimator",
    "inference": "inference",
    "weights": "weights",
}
_BLOCKS: Mapping[str, tuple[type[BaseModel], hover.Words]] = {
    "source": (Source, hover.SOURCE),
    "panel": (PanelKeys, hover.PANEL),
    "column": (ColumnEntry, hover.COLUMN),
    "treatment": (TreatmentSpec, hover.TREATMENT),
    "interact": (InteractSpec, hover.INTERACT),
    "spatial_use": (SpatialUse, hover.SPATIAL),
}


# -- the verb -------------------------------------------------------------------------


def schema(options: argparse.Namespace) -> int:
    """Print or write the schema, or say whether a file is the current one."""
    if options.check is not None:
        return _check(options.check)
    text = as_text(study_schema())
    if options.output is None:
        printing.out(text.rstrip("\n"))
        return OK
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            "R03",
            f"cannot write '{options.output}': {error.strerror or error}",
            fix="name a file in a folder that can be written",
        ) from error
    printing.log(f"{options.output} is written")
    return OK


def _check(path: Path) -> int:
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(
            "X12",
            f"cannot read {path}: {error}",
            fix=f"estimand schema --output {path}",
        ) from error
    if written == study_schema():
        printing.out(f"{path} is the current schema")
        return OK
    if written == study_schema(third_party=False):
        printing.out(f"{path} is the current schema of the built-in plugins")
        return OK
    raise SpecError(
        "X25",
        f"{path} is not the current schema",
        why="editors would complete and mark studies by an older language",
        fix=f"estimand schema --output {path}",
    )


def as_text(made: Mapping[str, Any]) -> str:
    """The schema as it is committed."""
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


# -- the whole ------------------------------------------------------------------------


def study_schema(*, third_party: bool = True) -> Schema:
    """JSON Schema (draft 2020-12) of a study.

    Args:
        third_party: with the plugins of other distributions that are installed here.
    """
    known = {kind: _known(kind, third_party=third_party) for kind in _KINDS}
    defs: dict[str, Schema] = {}
    for kind, plugins in known.items():
        defs |= _choice_definitions(kind, plugins)
    defs |= _block_definitions()
    defs |= _term_definitions(known["step"])
    for changed in (False, True):
        defs |= _tree_definitions(known, changed=changed)
    defs |= _line_definitions(known)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study of Estimand",
        "description": "One model (data, model) and its named variations (checks).",
        "type": "object",
        "required": ["study"],
        "additionalProperties": False,
        "properties": _top(),
        # A study that starts from another one writes only what differs.
        "if": {"required": ["from"]},
        "then": {
            "properties": {"data": _ref("data_change"), "model": _ref("model_change")}
        },
        "else": {
            "required": ["data", "model"],
            "properties": {"data": _ref("data"), "model": _ref("model")},
        },
        "$defs": defs,
    }


def _top() -> Schema:
    said = hover.TOP
    written: Schema = {
        "study": {"type": "string", "pattern": _SLUG},
        "title": _TEXT,
        "seed": {"type": "integer", "minimum": 0, "default": 0},
        "from": {"type": "string", "pattern": r"\.ya?ml$"},
        "data": {"type": "object"},
        "model": {"type": "object"},
        "checks": _named({**_named(_ref("line")), "type": "object"})
        | {"minProperties": 1},
        "families": {"type": "object", "additionalProperties": _ref("family")},
        "labels": {"type": "object", "additionalProperties": _SCALAR},
        "published": {"anyOf": [_TEXT, _ref("published")]},
        "report": {"type": "object", "additionalProperties": _ref("heading_options")},
        "frozen": {"type": "string", "pattern": "^[0-9a-f]{12,64}$"},
    }
    return {key: _described(made, said[key]) for key, made in written.items()}


# -- plugins and their options --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """A name that a choice may have; `options` is None where they are not known."""

    name: str
    help: str
    main: str | None = None
    options: Schema | None = None


def _known(kind: ChoiceKind, *, third_party: bool) -> list[_Known]:
    return [
        _read(kind, name)
        for name in choices.names(kind)
        if third_party or not _foreign(kind, name)
    ]


def _foreign(kind: ChoiceKind, name: str) -> bool:
    if kind not in registry.KINDS:
        return False
    found = registry.find(kind, name)
    return isinstance(found, registry.Entry) and bool(found.distribution)


def _read(kind: ChoiceKind, name: str) -> _Known:
    try:
        found = choices.plugin(kind, name)
    except EstimandError as error:  # one broken plugin must not cost the others
        printing.log(str(error.problems[0]))
        return _Known(name, f"does not import here: {error.problems[0].what}")
    if isinstance(found, registry.Planned):
        return _Known(name, f"{_ANNOUNCED}: {found.summary}", found.main)
    if found is None:  # names() and plugin() see the same registry
        raise SpecError("X01", f"no {kind} '{name}'")
    return _Known(name, _prose(found), found.main, found.model_json_schema())


def _prose(plugin: type[BaseModel]) -> str:
    return inspect.cleandoc(plugin.__doc__ or "")


def _choice_definitions(kind: ChoiceKind, known: list[_Known]) -> dict[str, Schema]:
    """`kind` as a whole, `kind_change` as a change of one, and options of each."""
    defs: dict[str, Schema] = {}
    whole: Schema = {}
    named: Schema = {}
    in_force: Schema = {}
    for plugin in known:
        if plugin.options is None:
            whole[plugin.name] = named[plugin.name] = {"description": plugin.help}
            continue
        key = f"options.{kind}.{plugin.name}"
        defs |= _options(kind, plugin, key)
        needed = list(plugin.options.get("required", ()))
        if "of" in needed and plugin.main == "of":
            # {not: {equivalent: 0.03}} leaves it out
            needed.remove("of")
        main = _main(defs[key], plugin.main)
        held: Schema = _ref(key)
        named[plugin.name] = _either([held, *main], plugin.help)
        whole[plugin.name] = _either(
            [held | ({"required": needed} if needed else {}), *main], plugin.help
        )
        for option in defs[key]["properties"]:
            in_force.setdefault(option, []).append(
                _ref(f"{key}/properties/{option.replace('~', '~0')}")
            )
    bare = [p for p in known if not (p.options or {}).get("required")]
    kept = {option: _any_of(held) for option, held in in_force.items()}
    open_ended = any(p.options is None for p in known)
    defs[f"{kind}_name"] = _names(known)
    name = _ref(f"{kind}_name") if bare == known else _names(bare)
    defs[kind] = {"anyOf": [name, _one_of_these(whole)]}
    defs[f"{kind}_named"] = _one_of_these(named)
    defs[f"{kind}_in_force"] = {
        "type": "object",
        "properties": kept,
        # Options of announced plugins are not known; a block would be a plugin's name.
        "additionalProperties": {"not": {"type": "object"}} if open_ended else False,
    }
    defs[f"{kind}_change"] = {
        "anyOf": [
            _ref(f"{kind}_name"),
            _ref(f"{kind}_named"),
            _ref(f"{kind}_in_force"),
        ]
    }
    return defs


def _options(kind: ChoiceKind, plugin: _Known, key: str) -> dict[str, Schema]:
    """The options of a plugin, and what they refer to."""
    made = _tidy(plugin.options, f"{key}.")
    inner = made.pop("$defs", {})
    fields = made.setdefault("properties", {})
    made.pop("required", None)
    made["description"] = plugin.help
    if kind == "expectation":
        _tidy_expectation(plugin.name, fields)
    elif kind != "family":  # in a variation null takes an option back
        made["properties"] = {name: _nullable(held) for name, held in fields.items()}
    return {key: made} | {f"{key}.{name}": held for name, held in inner.items()}


def _tidy_expectation(name: str, fields: Schema) -> None:
    """Leave out options without a meaning here; nest expectations in `of`."""
    kind = EXPECTATIONS[name]
    for idle in set(Expectation.model_fields) - kind.uses:
        fields.pop(idle, None)
    if "of" not in fields:
        return
    one = _ref("expectation")
    several = "items" in fields["of"]
    nested = [one, {"type": "array", "items": one, "minItems": 1}] if several else [one]
    fields["of"] = {"description": fields["of"].get("description", ""), "anyOf": nested}
    for other in EXPECTATIONS:
        fields[other] = _ref(f"expectation_named/properties/{other}")


def _main(options: Schema, main: str | None) -> list[Schema]:
    """The main option where it stands without its name: never a mapping."""
    if main is None or main not in options["properties"]:
        return []
    held = options["properties"][main]
    parts = held.get("anyOf", [held])
    kept = [p for p in parts if p.get("type") not in ("object", "null")]
    if main == "of":
        kept = [{"type": "string", "enum": list(EXPECTATIONS)}, *kept[1:]]
    return [_bare(part) for part in kept]


def _bare(part: Schema) -> Schema:
    """The same without null and without its own description."""
    made = {k: v for k, v in part.items() if k not in ("description", "default")}
    if isinstance(made.get("type"), list):
        kept = [t for t in made["type"] if t != "null"]
        made["type"] = kept[0] if len(kept) == 1 else kept
    if "enum" in made:
        made["enum"] = [value for value in made["enum"] if value is not None]
    return made


def _names(known: list[_Known]) -> Schema:
    return {
        "type": "string",
        "enum": [plugin.name for plugin in known],
        "enumDescriptions": [plugin.help.split("\n\n")[0] for plugin in known],
    }


def _one_of_these(named: Schema) -> Schema:
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": named,
    }


# -- terms, blocks --------------------------------------------------------------------


def _term_definitions(steps: list[_Known]) -> dict[str, Schema]:
    column = _described(_TEXT | {"minLength": 1}, "a column, or the name of a group")
    cells = {
        "type": "array",
        "items": _ref("term"),
        "minItems": 2,
        "description": "[a, b]: the product of numbers, the cells of groups",
    }
    several = {"type": "array", "items": _TEXT}
    made = {
        step.name: {"description": step.help}
        if step.options is None
        else _either([_TEXT, several, _ref(f"options.step.{step.name}")], step.help)
        for step in steps
    }
    slope = {
        "type": "object",
        "required": ["slope"],
        "additionalProperties": False,
        "properties": {
            "slope": {
                "type": "object",
                "description": "one coefficient on `variable` per value of `by`",
                "required": ["variable", "by"],
                "additionalProperties": False,
                "properties": {"variable": _ref("term"), "by": _ref("term")},
            }
        },
    }
    terms = {"type": "array", "items": _ref("term")}
    return {
        "term": {"anyOf": [column, cells, _one_of_these(made)]},
        "terms": terms,
        "effects": {"type": "array", "items": {"anyOf": [_ref("term"), slope]}},
    }


def _block_definitions() -> dict[str, Schema]:
    """Blocks as pydantic has them, with the words of `hover`."""
    defs: dict[str, Schema] = {}
    terms = {
        "treatment": {"column": {"anyOf": [_ref("term"), _ref("terms")]}},
        "interact": {"with": _ref("term")},
    }
    for name, (model, said) in _BLOCKS.items():
        made = _tidy(model.model_json_schema(by_alias=True), f"{name}.")
        fields = made["properties"] | terms.get(name, {})
        made.pop("required", None)  # a change of a block names some keys only
        made["properties"] = {
            key: _described(_nullable(held), said[key]) for key, held in fields.items()
        }
        defs[f"{name}_block"] = made
    return defs


# -- data and model -------------------------------------------------------------------


def _tree_definitions(
    known: Mapping[ChoiceKind, list[_Known]], *, changed: bool
) -> dict[str, Schema]:
    """`data` and `model` whole; or as changes, in which null takes something away."""
    end = "_change" if changed else ""

    def one(kind: str) -> Schema:
        return _ref(f"{kind}{end}")

    def either(*parts: Schema) -> Schema:
        return {"anyOf": [*parts, *([_NULL] if changed else [])]}

    def named(part: Schema, *, slugs: bool = True) -> Schema:
        held = either(part)
        return _named(held) if slugs else _open(held)

    data: Schema = {
        "source": either(_TEXT, _ref("source_block")),
        "missing": either({"type": "string", "enum": ["error", "drop"]}),
        "panel": either(_ref("panel_block")),
        "columns": either(
            _open(either(_TEXT, _ref("column_block"))),
        ),
        "groups": either(named({"type": "array", "items": _TEXT})),
        "steps": either(named(one("step"))),
        "spatial_weights": either(named(one("matrix"))),
    }
    condition = _described(_TEXT, "a condition, e.g. year >= 2010 and region = east")
    terms, effects = _ref("terms"), _ref("effects")
    model: Schema = {
        "outcome": either(_ref("term")),
        "treatment": either(_ref("term"), terms, _ref("treatment_block")),
        "controls": either(terms),
        "instruments": either(terms),
        "mediators": either(terms),
        "interact": either(_ref("term"), _ref("interact_block")),
        "fixed_effects": either(effects),
        "weights": either(one("weights")),
        "spatial_weights": either(_TEXT, _ref("spatial_use_block")),
        "sample": either(
            named({"anyOf": [condition, one("restriction")]}, slugs=False)
        ),
        "inference": either(one("inference")),
        "estimand": either(_estimand(known["estimator"])),
        "confidence": either(
            {"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1}
        ),
        "acknowledge": either({"type": "array", "items": _TEXT}),
        "estimator": either(one("estimator")),
        "each": _ref("each"),
    }
    if changed:
        del model["each"]
    whole_data = {"required": ["source"]}
    whole_model = {"required": ["estimator"]}
    return {
        f"data{end}": _block(data, hover.DATA) | ({} if changed else whole_data),
        f"model{end}": _block(model, hover.MODEL) | ({} if changed else whole_model),
    }


def _estimand(estimators: list[_Known]) -> Schema:
    """Any estimand that the glossary knows or an estimator here reports."""
    given = {name: word.meaning for name, word in ESTIMANDS.items()}
    for plugin in estimators:
        found = choices.plugin("estimator", plugin.name) if plugin.options else None
        for name in getattr(found, "estimands", ()):
            given.setdefault(name, "")
    one: Schema = {
        "type": "string",
        "enum": list(given),
        "enumDescriptions": list(given.values()),
    }
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


# -- lines ----------------------------------------------------------------------------


def _line_definitions(known: Mapping[ChoiceKind, list[_Known]]) -> dict[str, Schema]:
    keys, patterns = _changes(known)
    changes = {
        "type": "object",
        "properties": keys,
        "patternProperties": patterns,
        "additionalProperties": False,
    }
    expected = _ref("expectation")
    directives = {
        "from": _TEXT,
        "each": _ref("each"),
        "except": {
            "type": "array",
            "items": {"type": "object", "propertyNames": {"pattern": _EACH_KEYS}},
        },
        "draws": _ref("draws"),
        "expect": {"anyOf": [expected, {"type": "array", "items": expected}]},
    }
    said = {key: _described(held, hover.LINE[key]) for key, held in directives.items()}
    printed = {
        "type": "object",
        "additionalProperties": {
            "anyOf": [{"type": ["string", "integer"]}, _ref("printed")]
        },
    }
    return {
        "changes": changes,
        "line": {**changes, "properties": {**said, **keys}},
        "each": _each(),
        "draws": _draws(),
        "rows": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]},
        "published": {**printed, "properties": {CLAIMS: _ref(CLAIMS)}},
        **_claims(),
        "printed": printed,
        "heading_options": _block(
            {
                "title": _TEXT,
                "rows": {"type": "array", "items": _TEXT},
                "baseline": {"type": "string", "enum": ["first", "last", "none"]},
            },
            hover.REPORT,
        ),
    }


def _claims() -> dict[str, Schema]:
    """The block `claims` and its parts, from the models that read it."""
    made = Claims.model_json_schema(ref_template="#/$defs/claims_{model}")
    parts = {f"claims_{name}": part for name, part in made.pop("$defs").items()}
    return {CLAIMS: made, **parts}


def _changes(
    known: Mapping[ChoiceKind, list[_Known]],
) -> tuple[Schema, dict[str, Schema]]:
    """Keys that a line may change: bare, dotted, by pattern."""
    fields = {f: _ref(f"model_change/properties/{f}") for f in MODEL_FIELDS}
    keys: Schema = {**fields}
    keys["data"] = _described(_ref("data_change"), hover.TOP["data"])
    keys["model"] = _described(_ref("model_change"), hover.TOP["model"])
    keys |= {
        f"data.{f}": _ref(f"data_change/properties/{f}")
        for f in DATA_FIELDS
        if f != "each"
    }
    keys |= _edits()
    blocks = {"treatment": "treatment", "interact": "interact"}
    blocks |= {"spatial_weights": "spatial_use"}
    inside: list[tuple[str, str]] = []
    for field, block in blocks.items():
        inside += [
            (f"{field}.{k}", f"{block}_block/properties/{k}") for k in _words_of(block)
        ]
    for block in ("source", "panel"):
        keys |= {
            f"data.{block}.{k}": _ref(f"{block}_block/properties/{k}")
            for k in _words_of(block)
        }
    for field, kind in _CHOICES.items():
        inside += _inside_choice(field, kind, known[kind])
    keys |= {path: _ref(target) for path, target in inside}
    return keys, _patterns(fields, inside, known)


def _words_of(block: str) -> tuple[str, ...]:
    return tuple(_BLOCKS[block][1])


def _inside_choice(
    field: str, kind: ChoiceKind, known: list[_Known]
) -> list[tuple[str, str]]:
    """`estimator.leads`, and `inference.cluster`: the choice itself as a path."""
    options = dict.fromkeys(
        option for p in known for option in (p.options or {}).get("properties", ())
    )
    plugins = [p.name for p in known if p.name not in options]
    return [
        *((f"{field}.{o}", f"{kind}_in_force/properties/{o}") for o in options),
        *((f"{field}.{n}", f"{kind}_named/properties/{n}") for n in plugins),
    ]


def _patterns(
    fields: Schema,
    inside: Iterable[tuple[str, str]],
    known: Mapping[ChoiceKind, list[_Known]],
) -> dict[str, Schema]:
    """Paths that hold names of the user's, and deeper ones."""
    condition = {"anyOf": [_TEXT, _ref("restriction_change"), _NULL]}
    patterns: dict[str, Schema] = {
        r"^data\.steps\.[^.]+$": {"anyOf": [_ref("step_change"), _NULL]},
        r"^data\.spatial_weights\.[^.]+$": {"anyOf": [_ref("matrix_change"), _NULL]},
        r"^data\.(steps|spatial_weights|columns)\.[^.]+\..+$": {},
        r"^data\.(columns|groups)\..+$": {},
        r"^(model\.)?sample\.[^.]+$": condition,
        r"^(model\.)?sample\.[^.]+\..+$": {},
        r"^(model\.)?(outcome|treatment\.column|interact\.with)\..+$": {},
        r"^(only|without)\..+$": _ref("rows"),
    }
    patterns |= {rf"^model\.{field}$": held for field, held in fields.items()}
    patterns |= {
        rf"^model\.{path.replace('.', chr(92) + '.')}$": _ref(target)
        for path, target in inside
    }
    for field, kind in _CHOICES.items():
        if any(plugin.options is None for plugin in known[kind]):
            patterns[rf"^(model\.)?{field}\..+$"] = {}  # announced: options not known
        else:
            patterns[rf"^(model\.)?{field}\.[^.]+\..+$"] = {}
    return patterns


def _edits() -> Schema:
    items = {"anyOf": [_ref("effects"), _ref("term")]}
    keys: Schema = {}
    for verb in ("add", "remove"):
        held = {
            "type": "object",
            "properties": dict.fromkeys(LIST_FIELDS, items),
            "additionalProperties": False,
        }
        keys[verb] = _described(held, hover.LINE[verb])
        keys |= {f"{verb}.{field}": items for field in LIST_FIELDS}
    for verb in ("only", "without"):
        keys[verb] = _described(_open(_ref("rows")), hover.LINE[verb])
    return keys


_EACH_KEYS = (
    rf"^(case|(model\.)?({'|'.join(MODEL_FIELDS)})(\..+)?"
    rf"|data\.({'|'.join(DATA_FIELDS)})(\..+)?"
    rf"|(add|remove)\.({'|'.join(LIST_FIELDS)})|(only|without)\..+)$"
)


def _each() -> Schema:
    every = {"const": "every", "description": "all items, matrices or values there are"}
    scalars: Schema = {
        "type": "array",
        "minItems": 1,
        "items": {"type": ["string", "number", "boolean", "null"]},
    }

    def values(one: Schema) -> Schema:
        return {"anyOf": [every, scalars, {**_named(one), "minProperties": 1}]}

    keys: Schema = {
        "case": {
            **_named(_ref("changes")),
            "minProperties": 1,
            "description": "changes that go together: {name: {changes}}",
        }
    }
    for field, kind in _CHOICES.items():
        name = {"anyOf": [_ref(f"{kind}_name"), _NULL]}
        one = {"anyOf": [_ref(f"{kind}_change"), _NULL]}
        keys[field] = {
            "anyOf": [
                {"type": "array", "minItems": 1, "items": name},
                {**_named(one), "minProperties": 1},
            ],
            "description": hover.MODEL[field],
        }
    for verb in ("add", "remove", "only", "without"):
        keys[verb] = {"type": "object", "additionalProperties": values({})}
    return {
        "type": "object",
        "minProperties": 1,
        "properties": keys,
        "patternProperties": {_EACH_KEYS.replace("(case|", "("): values({})},
        "additionalProperties": False,
        "description": hover.LINE["each"],
    }


def _draws() -> Schema:
    times = {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "every"}]}
    made = _block(
        {
            "permute": _TEXT,
            "resample": _TEXT,
            "resplit": {"type": "boolean"},
            "leave_out": _TEXT,
            "times": times,
            "within": _TEXT,
            "statistic": {"enum": ["t", "estimate"]},
            "rebuild": {"type": "boolean"},
        },
        hover.DRAWS,
    )
    redrawn = ("permute", "resample", "resplit", "leave_out")
    kinds = [{"required": [kind]} for kind in redrawn]
    return made | {"required": ["times"], "oneOf": kinds}


# -- pieces ---------------------------------------------------------------------------


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _described(held: Schema, text: str) -> Schema:
    return {**held, "description": text}


def _named(held: Schema) -> Schema:
    """A mapping from slugs that the user gives."""
    return {
        "type": "object",
        "patternProperties": {_SLUG: held},
        "additionalProperties": False,
    }


def _open(held: Schema) -> Schema:
    """A mapping from any text, such as names of columns."""
    return {"type": "object", "additionalProperties": held}


def _block(fields: Schema, said: hover.Words) -> Schema:
    return {
        "type": "object",
        "properties": {k: _described(held, said[k]) for k, held in fields.items()},
        "additionalProperties": False,
    }


def _either(parts: list[Schema], text: str) -> Schema:
    return {"description": text, "anyOf": parts}


def _any_of(parts: list[Schema]) -> Schema:
    return parts[0] if len(parts) == 1 else {"anyOf": parts}


def _nullable(held: Schema) -> Schema:
    """The same or null."""
    if "anyOf" in held:
        if _NULL in held["anyOf"]:
            return held
        return {**held, "anyOf": [*held["anyOf"], _NULL]}
    if isinstance(held.get("type"), str) and "const" not in held:
        made = {**held, "type": [held["type"], "null"]}
        if "enum" in held:
            made["enum"] = [*held["enum"], None]
        return made
    if not held or set(held) <= {"description", "default"}:
        return held
    said: Schema = {k: v for k, v in held.items() if k in ("description", "default")}
    inner = {k: v for k, v in held.items() if k not in said}
    return {**said, "anyOf": [inner, _NULL]}


def _tidy(made: Any, prefix: str) -> Any:
    """Pydantic's schema without its titles, its references below `prefix`."""
    if isinstance(made, list):
        return [_tidy(item, prefix) for item in made]
    if not isinstance(made, dict):
        return made
    tidied = {}
    for key, value in made.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "$ref":
            tidied[key] = value.replace("#/$defs/", f"#/$defs/{prefix}")
        elif key in ("default", "enum", "const", "required", "examples"):
            tidied[key] = value
        else:
            tidied[key] = _tidy(value, prefix)
    return tidied
