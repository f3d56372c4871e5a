"""One plugin on a card: its options, demands and an example."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framework import glossary, registry
from framework.commands import printing
from framework.contract import Estimator, Step
from framework.errors import EstimandError
from framework.spec import choices
from framework.spec.choices import ChoiceKind

if TYPE_CHECKING:
    from pydantic import BaseModel


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


def card_of(kind: ChoiceKind, name: str) -> Card:
    """Everything to say about a plugin, planned ones too."""
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
        origin_of(kind, name),
        built=True,
        doc=doc_of(found),
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


def card_lines(card: Card) -> Iterator[str]:
    """A card in the terminal."""
    origin = f" · from {card.origin}" if card.origin else ""
    state = "" if card.built else f" · {ANNOUNCED}"
    yield f"{card.name} · {spoken(card.kind)}{origin}{state}"
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


def card_as_dict(card: Card) -> dict[str, Any]:
    """A card for `--json`."""
    held = asdict(card)
    held["options"] = [asdict(option) for option in card.options]
    return held


ANNOUNCED = "announced, not built yet"


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


def origin_of(kind: ChoiceKind, name: str) -> str:
    """The distribution a plugin comes from; "" for ours."""
    if kind not in registry.KINDS:
        return ""
    found = registry.find(kind, name)
    return found.distribution if isinstance(found, registry.Entry) else ""


def doc_of(plugin: type[BaseModel]) -> str:
    """What its class says of itself."""
    return inspect.cleandoc(plugin.__doc__ or "")


def spoken(kind: str) -> str:
    """A kind of plugin as a word."""
    return _KIND_WORDS.get(kind, kind)


_KIND_WORDS: Mapping[str, str] = {
    "matrix": "spatial weights",
    "weights": "weights of rows",
    "step": "data step",
    "family": "adjustment of p values",
}
