"""The one YAML loader: a study's text to plain values, each with its place.

YAML 1.2 scalars (`no` is text, `1e-3` is a number), and stricter than any version of
YAML where a reader could be misled: duplicate keys, aliases, tags, empty values,
`010`, `0x1F`, `.inf` and other spellings of null and true are problems, all reported at
once. Size, depth and node count are bounded, and `${…}` is never resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from framework.errors import (
    EstimandError,
    Phase,
    Place,
    Problem,
    SafetyError,
    SpecError,
)

MAX_BYTES, MAX_DEPTH, MAX_NODES = 512 * 1024, 24, 50_000
#: A file that is no study at all gives no more problems than anybody reads.
MAX_PROBLEMS = 50
#: Longest line that is shown, and furthest column that is pointed at.
_SHOWN = 160

Path_ = tuple[str | int, ...]

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_MISLEADING = re.compile(
    r"(?P<zero>[-+]?0[0-9_]+)|(?P<base>[-+]?0[xob][0-9a-fA-F_]+)"
    r"|(?P<huge>[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))"
    r"|(?P<word>~|Null|NULL|True|TRUE|False|FALSE)"
)
_INTERPOLATION = re.compile(r"\$\{")


@dataclass(frozen=True, slots=True)
class Document:
    """A study's text, read.

    Attributes:
        tree: plain values: dict (keys are text), list, str, int, float, bool, None.
        keys, values: path -> where the key stands, where the value stands.
        text: the file, verbatim.
    """

    source: str
    tree: dict[str, Any]
    keys: Mapping[Path_, Place]
    values: Mapping[Path_, Place]
    text: str

    def place(self, path: Path_, *, key: bool = False) -> Place | None:
        """Where `path` (or its nearest ancestor) was written."""
        for end in range(len(path), -1, -1):
            here = path[:end]
            found = self.keys.get(here) if key else self.values.get(here)
            found = found or self.keys.get(here) or self.values.get(here)
            if found:
                return found
        return None


def load(path: Path, label: str | None = None) -> Document:
    """Read a study file.

    Raises:
        SpecError: the file is missing, not UTF-8, or not a YAML mapping.
        SafetyError: too large, too deep, aliases, tags, interpolation.
        EstimandError: several of these.
    """
    label = label or str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        near = sorted(p.name for p in path.parent.glob("*.yaml"))[:8]
        there = f"in {path.parent}/ there is: {', '.join(near)}" if near else ""
        raise SpecError(
            "X12", f"cannot read {label}: {error.strerror}", fix=there
        ) from error
    if len(raw) > MAX_BYTES:
        raise SafetyError(
            "X03", f"{label} has {len(raw):,} bytes; a study has at most {MAX_BYTES:,}"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(
            "X12",
            f"{label} is not UTF-8 (byte {error.start} = {raw[error.start]:#x})",
            fix="save the study as UTF-8",
        ) from error
    return loads(text, label)


def loads(text: str, source: str = "<text>") -> Document:
    """Read a study's text; see `load`."""
    reader = _Reader(text, source)
    try:
        reader.read(_events(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = (mark.line + 1) if mark else 1
        place = reader.place_at(line, (mark.column + 1) if mark else 1)
        what = "not readable YAML: " + " ".join(
            part for part in (error.context, error.problem) if part
        )
        fix = "quote text that holds ': ', ' #', a comma in { } or a leading * & ! %"
        reader.problems.append(Problem(Phase.SPEC, "X13", what, fix=fix, place=place))
    except yaml.reader.ReaderError as error:
        at = int(error.position)
        line, start = text.count("\n", 0, at) + 1, text.rfind("\n", 0, at) + 1
        place = reader.place_at(line, at - start + 1)
        shown = "".join(
            c if c.isprintable() else "\N{WHITE SQUARE}" for c in place.excerpt
        )
        what = f"the character U+{ord(text[at]):04X}, which no YAML file may hold"
        reader.problems.append(
            Problem(
                Phase.SPEC,
                "X13",
                f"not readable YAML: {what}",
                fix="take it out; an editor may show it as nothing or as ^@",
                place=replace(place, excerpt=shown),
            )
        )
    except yaml.YAMLError as error:
        what = f"not readable YAML: {error}"
        problem = Problem(Phase.SPEC, "X13", what, place=Place(source))
        reader.problems.append(problem)
    if reader.problems:
        raise EstimandError(reader.problems)
    if not isinstance(reader.root, dict):
        raise SpecError(
            "X13",
            f"{source} is not a study: it should be a mapping with `study`, `data`, "
            "`model` and `checks`",
        )
    return Document(source, reader.root, reader.keys, reader.values, text)


def _events(text: str) -> Iterator[Event]:
    return iter(yaml.parse(text, Loader=yaml.SafeLoader))


class _Reader:
    """Builds the tree from parser events, without recursion."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.lines = text.splitlines()
        self.problems: list[Problem] = []
        self.keys: dict[Path_, Place] = {}
        self.values: dict[Path_, Place] = {}
        self.root: Any = None
        self._documents = 0
        self._nodes = 0
        # Each frame: container, path, and for mappings the key that waits.
        self._stack: list[tuple[dict[str, Any] | list[Any], Path_]] = []
        self._waiting: list[str | None] = []

    def place_at(self, line: int, column: int) -> Place:
        excerpt = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        if len(excerpt) > _SHOWN:
            excerpt = f"{excerpt[:_SHOWN]}…" if column <= _SHOWN else ""
        return Place(self.source, line, column, excerpt)

    def read(self, events: Iterator[Event]) -> None:
        for event in events:
            if isinstance(event, DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    self._problem(event, "X13", "a second document (`---`)")
                    return
            elif isinstance(event, AliasEvent):
                self._refuse(event, "X03", f"alias *{event.anchor}", "write it out")
                self._add(event, None)
            elif isinstance(event, ScalarEvent):
                self._scalar(event)
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                if not self._open(event):
                    return
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                self._stack.pop()
                self._waiting.pop()
            if len(self.problems) >= MAX_PROBLEMS:
                return

    def _place(self, event: Event) -> Place:
        mark = event.start_mark
        assert mark is not None  # noqa: S101 - the parser sets it on every event
        return self.place_at(mark.line + 1, mark.column + 1)

    def _problem(self, event: Event, code: str, what: str, fix: str = "") -> None:
        self.problems.append(
            Problem(Phase.SPEC, code, what, fix=fix, place=self._place(event))
        )

    def _refuse(self, event: Event, code: str, what: str, fix: str) -> None:
        self.problems.append(
            Problem(
                Phase.SAFETY,
                code,
                f"{what} is refused in a study",
                fix=fix,
                place=self._place(event),
            )
        )

    def _open(self, event: MappingStartEvent | SequenceStartEvent) -> bool:
        """Start a container; False when the text is past its bounds."""
        if event.anchor:
            self._refuse(event, "X03", f"anchor &{event.anchor}", "write it out")
        if event.tag:
            self._refuse(event, "X04", f"tag {event.tag}", "write plain values")
        container: dict[str, Any] | list[Any] = (
            {} if isinstance(event, MappingStartEvent) else []
        )
        path = self._add(event, container)
        self._stack.append((container, path))
        self._waiting.append(None)
        if len(self._stack) > MAX_DEPTH:
            self._refuse(
                event, "X03", f"nesting deeper than {MAX_DEPTH}", "flatten the study"
            )
            return False
        return True

    def _scalar(self, event: ScalarEvent) -> None:
        if event.anchor:
            self._refuse(event, "X03", f"anchor &{event.anchor}", "write it out")
        if event.tag:
            self._refuse(event, "X04", f"tag {event.tag}", "write plain values")
        if _INTERPOLATION.search(event.value):
            self._refuse(event, "X06", "interpolation `${…}`", "write the value itself")
        whole = event.value.encode("utf-8", "replace").decode()
        if whole != event.value:  # an escape may write half of a surrogate pair
            self._problem(event, "X13", "an escape that is no character", "write it")
            event.value = whole
        stack, waiting = self._stack, self._waiting
        if stack and isinstance(stack[-1][0], dict) and waiting[-1] is None:
            self._key(event, stack[-1][0], stack[-1][1])
            return
        self._add(event, self._value(event))

    def _key(self, event: ScalarEvent, mapping: dict[str, Any], path: Path_) -> None:
        key = event.value
        here = (*path, key)
        if key == "_target_":
            self._refuse(event, "X05", "`_target_`", "name a registered plugin")
        if key == "<<":
            self._refuse(event, "X03", "merge key `<<`", "write it out")
        if key in mapping:
            first = self.keys[here].line
            self._problem(
                event,
                "X02",
                f"'{key}' given twice, lines {first} and {self._place(event).line}",
                "keep one of them",
            )
        self.keys.setdefault(here, self._place(event))
        self._waiting[-1] = key

    def _value(self, event: ScalarEvent) -> Any:
        text = event.value
        if event.style is not None:  # quoted or block: always text
            return text
        if text == "":
            self._problem(
                event,
                "X14",
                "a key without a value",
                "write null to remove it, or {} for an empty block",
            )
            return None
        if text in ("null", "true", "false"):
            return {"null": None, "true": True, "false": False}[text]
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if number in (float("inf"), float("-inf")):
                self._problem(event, "X02", f"{text} is not a finite number")
            return number
        misleading = _MISLEADING.fullmatch(text)
        if misleading:
            fix = (
                f"write {text.lower() if text != '~' else 'null'}, or quote it: '{text}'"
                if misleading["word"]
                else f"write a plain decimal number, or quote it as text: '{text}'"
            )
            self._problem(
                event, "X02", f"{text} means different things to different readers", fix
            )
        return text

    def _add(self, event: Event, value: Any) -> Path_:
        """Put a value where it belongs and return its path."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise SafetyError(
                "X03",
                f"{self.source} holds more than {MAX_NODES:,} values",
                place=self._place(event),
            )
        if not self._stack:
            self.root = value
            self.values[()] = self._place(event)
            return ()
        container, path = self._stack[-1]
        if isinstance(container, list):
            here: Path_ = (*path, len(container))
            container.append(value)
        else:
            key = self._waiting[-1]
            if key is None:
                self._problem(event, "X13", "a key must be text or a number")
                return (*path, "?")
            here = (*path, key)
            container[key] = value
            self._waiting[-1] = None
        self.values[here] = self._place(event)
        return here
