"""Opening a study: text -> validated `Study`, with every problem at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from framework.errors import EstimandError, Phase, Place, Problem, did_you_mean
from framework.spec import choices
from framework.spec.loader import Document, load
from framework.spec.model import (
    Data,
    Model,
    estimand_problems,
    read_data,
    read_model,
    salvage,
)
from framework.spec.tree import (
    DATA_FIELDS,
    LIST_FIELDS,
    MODEL_FIELDS,
    SHAPE,
    Origin,
    Problems,
    Steps,
    Tree,
    get,
    is_slug,
    merge,
    put,
    split,
)

TOP = (
    "study",
    "title",
    "seed",
    "from",
    "data",
    "model",
    "checks",
    "families",
    "labels",
    "published",
    "report",
    "frozen",
)
DIRECTIVES = (
    "from",
    "each",
    "except",
    "draws",
    "expect",
    "add",
    "remove",
    "only",
    "without",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One changed path of a line: `set`, `add`, `remove`, `only` or `without`.

    `path` is in the tree for `set` (("model", "estimator", "leads")); for the others it
    is the field or the column.
    """

    verb: str
    path: Steps
    value: Any
    origin: Origin


@dataclass(frozen=True, slots=True)
class Values:
    """`each` on one path: the value names (part of the address) and their values.

    Attributes:
        every: expanded when the tree (or the data) is known.
        origins: path of a `case` -> where it was written, if not at `origin`.
    """

    path: str
    values: tuple[tuple[str, Any], ...]
    origin: Origin
    every: bool = False
    origins: Mapping[str, Origin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a heading, as written."""

    heading: str
    name: str
    changes: tuple[Change, ...]
    start: str = ""
    each: tuple[Values, ...] = ()
    excepted: tuple[Mapping[str, Any], ...] = ()
    draws: Mapping[str, Any] | None = None
    expect: tuple[Mapping[str, Any], ...] = ()
    origin: Origin = field(default_factory=Origin)

    @property
    def address(self) -> str:
        return f"{self.heading}.{self.name}"

    @property
    def started_from(self) -> str:
        """Address of the line that `from` names, without its values; "" for none."""
        if not self.start:
            return ""
        parts = self.start.split(".")
        return ".".join(parts[:2] if len(parts) > 1 else [self.heading, *parts])


@dataclass(frozen=True, slots=True)
class Override:
    """A change from the command line: `model.inference.cluster=state`."""

    path: str
    value: Any
    text: str
    position: int

    @property
    def origin(self) -> Origin:
        return Origin(fixed=Place(f"override {self.position}", None, None, self.text))


@dataclass(frozen=True, slots=True)
class Study:
    """A study that has been read.

    Attributes:
        tree: `{"data": …, "model": …}`, normalised.
        model_each: `each` written in `model`: the whole study repeats over it.
        checks: heading -> lines in order.
        root: folder that the study's paths start from.
        texts: (file name, verbatim text) of the study and of every `from` file.
        overridden: the command line changed it.
        frozen: hash of the primary specification that was fixed in advance, "" if none.
    """

    name: str
    title: str
    seed: int
    tree: Tree
    data: Data
    model: Model
    model_each: tuple[Values, ...]
    checks: Mapping[str, tuple[Line, ...]]
    families: Mapping[str, Any]
    labels: Mapping[str, str]
    published: Any
    report: Mapping[str, Any]
    root: Path
    texts: tuple[tuple[str, str], ...]
    document: Document
    origins: Origins
    overridden: bool = False
    frozen: str = ""

    @property
    def path(self) -> Path:
        return self.root / Path(self.document.source).name


@dataclass(frozen=True, slots=True)
class Origins:
    """Who wrote which part of the tree last; `place` answers with the nearest."""

    layers: tuple[tuple[Steps, Origin], ...] = ()

    def add(self, path: Steps, origin: Origin) -> Origins:
        return Origins((*self.layers, (path, origin)))

    def place(self, path: Sequence[str]) -> Place | None:
        """The place of the last writer of `path` or of its nearest ancestor."""
        steps = tuple(path)
        for written, origin in reversed(self.layers):
            if steps[: len(written)] == written:
                below = origin.below(*steps[len(written) :])
                place = _precise(below)
                if place or not written:
                    return place
        return None


def _precise(origin: Origin) -> Place | None:
    """The place of a flat path, letting the plugin's name in between be skipped."""
    document = origin.document
    if document is None or origin.fixed:
        return origin.fixed
    here: tuple[str | int, ...] = ()
    for step in origin.path:
        key: str | int = int(step) if isinstance(step, str) and step.isdigit() else step
        for candidate in (step, key):
            if (*here, candidate) in document.values:
                here = (*here, candidate)
                break
        else:
            inner = [
                k for k in document.keys if len(k) == len(here) + 2 and k[:-2] == here
            ]
            deeper = next((k for k in inner if k[-1] == step), None)
            if deeper is None:
                break
            here = deeper
    return document.place(here)


@dataclass(slots=True)
class Reading:
    """A study file as far as it could be read: what is right beside what is wrong.

    Attributes:
        study: None when there are problems.
        rest: with problems, the study without what they name; None where too little is
            left. For finding further faults, never estimated.
        data, model: the validated parts; of a model with faults what is left without
            them, None where nothing is.
    """

    path: Path
    problems: list[Problem]
    study: Study | None = None
    rest: Study | None = None
    data: Data | None = None
    model: Model | None = None
    origins: Origins = field(default_factory=Origins)


def open_study(path: Path, overrides: Iterable[Override] = ()) -> Study:
    """Read, merge, override and validate a study.

    Raises:
        EstimandError: every problem of the study, each with its place.
    """
    reading = read_study(path, overrides)
    if reading.study is None:
        raise EstimandError(reading.problems)
    return reading.study


def read_study(path: Path, overrides: Iterable[Override] = ()) -> Reading:
    """As `open_study`, but hands back what is right when something is wrong.

    Raises:
        EstimandError: the file can't be read at all.
    """
    document = load(path)
    problems = Problems()
    _check_top(document, problems)
    chain = _parents(document, path.parent, problems)
    parents, complete = chain.documents, chain.complete
    tree, origins = _merged(document, parents, problems, complete=complete)
    model_each: tuple[Values, ...] = ()
    for source in (*reversed(parents), document):
        model_each = _model_each(source, problems) or model_each
    seed = _last(parents, document, "seed", 0)
    seeded = Origin(document, ("seed",))
    changes = tuple(overrides)
    for override in changes:
        if override.path == "seed":
            seed, seeded = override.value, override.origin
            continue
        if complete:
            tree, origins = _override(tree, origins, override, problems)
    # Without a file that the study starts from, what is missing is no fault of its own.
    data, model = None, None
    if complete:
        data, model, tree = _validate(tree, origins, problems)
    checks = _checks(document, problems)
    _check_starts(checks, problems)
    _check_rest(document, checks, problems)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        what = f"a seed is a whole number from 0, got {seed!r}"
        problems.add(Problem(Phase.SPEC, "X15", what, path="seed"), seeded)
    published = _published(document, path.parent, problems)
    frozen = document.tree.get("frozen")
    if frozen is not None and not _is_hash(frozen):
        what = f"`frozen` is a hash as `estimand plan` prints it, got {frozen!r}"
        problems.add(
            Problem(Phase.SPEC, "X15", what, fix="put it in quotes", path="frozen"),
            Origin(document, ("frozen",)),
        )
    if checks:
        _check_published(published, checks, document, problems)
    reading = Reading(path, problems.unique(), None, None, data, model, origins)
    if data is None or model is None:
        return reading
    rest = Study(
        name=str(document.tree.get("study", "")),
        title="",
        seed=0,
        tree=tree,
        data=data,
        model=model,
        model_each=model_each,
        checks=checks,
        families={},
        labels={},
        published=None,
        report={},
        root=path.parent.resolve(),
        texts=tuple((Path(d.source).name, d.text) for d in (document, *parents)),
        document=document,
        origins=origins,
        overridden=bool(changes),
    )
    if reading.problems:
        reading.rest = replace(rest, checks=_rooted(checks))
        return reading
    reading.study = replace(
        rest,
        title=document.tree.get("title", ""),
        seed=seed,
        families=_families(document),
        labels=_labels(parents, document),
        published=published,
        report=document.tree.get("report") or {},
        frozen=frozen or "",
    )
    return reading


def _override(
    tree: Tree, origins: Origins, override: Override, problems: Problems
) -> tuple[Tree, Origins]:
    steps = split(override.path)
    if steps[0] not in ("data", "model"):
        fix = "checks are chosen with --only, and changed in the study"
        what = f"'{override.path}' can't be changed from the command line"
        problems.add(Problem(Phase.SPEC, "X17", what, fix=fix), override.origin)
        return tree, origins
    changed = put(tree, steps, override.value, override.origin, problems)
    return changed, origins.add(steps, override.origin)


def _is_hash(written: Any) -> bool:
    """At least twelve hexadecimal digits: nobody meets those by chance."""
    return isinstance(written, str) and bool(re.fullmatch("[0-9a-f]{12,64}", written))


def _published(document: Document, folder: Path, problems: Problems) -> Any:
    """The printed numbers: a mapping, or the path of a file that holds one."""
    written = document.tree.get("published")
    if not isinstance(written, str):
        return written
    origin = Origin(document, ("published",))
    target_ = (folder / written).resolve()
    if not target_.is_relative_to(project_of(folder)):
        what = f"{written} lies outside the study's project"
        problems.add(Problem(Phase.SAFETY, "X08", what, path="published"), origin)
        return None
    try:
        return load(target_, str(folder / written)).tree
    except EstimandError as error:
        problems.found.extend(p.at(place=origin.place()) for p in error.problems)
        return None


def _families(document: Document) -> dict[str, Any]:
    """Address -> flat adjustment; faults were found by `_check_rest`."""
    held = document.tree.get("families") or {}
    return {name: choices.parse("family", choice) for name, choice in held.items()}


def _check_top(document: Document, problems: Problems) -> None:
    for key in document.tree:
        if key not in TOP:
            inside = (
                "model" if key in MODEL_FIELDS else "data" if key in DATA_FIELDS else ""
            )
            fix = f"it belongs under `{inside}:`" if inside else did_you_mean(key, TOP)
            problems.add(
                Problem(Phase.SPEC, "X17", f"unknown key '{key}'", fix=fix, path=key),
                Origin(document, (key,)),
                key=True,
            )
    name = document.tree.get("study")
    if not isinstance(name, str) or not is_slug(name):
        problems.add(
            Problem(
                Phase.SPEC,
                "X18",
                "a study has a name: `study: my_study`"
                if name is None
                else f"'{name}' can't be a study's name",
                fix="a letter first, then letters, digits and underscores",
                path="study",
            ),
            Origin(document, ("study",)),
        )


@dataclass(frozen=True, slots=True)
class _Chain:
    """The files that `from:` takes in, the nearest first.

    Attributes:
        complete: False where one could not be read, so that the tree has gaps.
    """

    documents: tuple[Document, ...]
    complete: bool


def _parents(document: Document, folder: Path, problems: Problems) -> _Chain:
    chain: list[Document] = []
    seen = {Path(document.source).resolve()}
    current, here = document, folder
    while (name := current.tree.get("from")) is not None:
        origin = Origin(current, ("from",))
        target = (here / str(name)).resolve()
        inside = target.is_relative_to(project_of(folder))
        if not inside or target in seen or target.suffix not in (".yaml", ".yml"):
            reason = (
                "it comes back to itself"
                if target in seen
                else "it lies outside the study's project"
                if not inside
                else "it is not a .yaml file"
            )
            phase = Phase.SPEC if inside else Phase.SAFETY
            problems.add(
                Problem(phase, "X08", f"{name}: {reason}", path="from"), origin
            )
            return _Chain(tuple(chain), complete=False)
        try:
            parent = load(target, str(here / str(name)))
        except EstimandError as error:
            # A place in the parent file says more than the line that takes it in.
            problems.found.extend(
                p if p.place else p.at(place=origin.place()) for p in error.problems
            )
            return _Chain(tuple(chain), complete=False)
        seen.add(target)
        chain.append(parent)
        current, here = parent, target.parent
    return _Chain(tuple(chain), complete=True)


def _merged(
    document: Document,
    parents: tuple[Document, ...],
    problems: Problems,
    *,
    complete: bool,
) -> tuple[Tree, Origins]:
    """The tree of the `from:` files, this study's own last.

    Where a file could not be read only keys that there are not at all are faults: an
    option or a removal may be meant for what that file holds.
    """
    tree: Tree = {"data": {}, "model": {}}
    origins, met = Origins(), Problems()
    for source in (*reversed(parents), document):
        for part in ("data", "model"):
            written = source.tree.get(part)
            origin = Origin(source, (part,))
            if written is None:
                continue
            if part == "model" and isinstance(written, Mapping):
                written = {k: v for k, v in written.items() if k != "each"}
            tree[part] = merge(
                SHAPE.children[part], tree[part], written, (part,), origin, met
            )
            origins = origins.add((part,), origin)
    problems.found += [
        p for p in met.found if complete or p.what.startswith("unknown key")
    ]
    for part in ("data", "model"):
        if complete and not tree[part]:
            problems.add(
                Problem(Phase.SPEC, "X20", f"the study has no `{part}`", path=part),
                Origin(document, ()),
            )
    return tree, origins


def project_of(folder: Path) -> Path:
    """The nearest ancestor that marks a project, else the folder itself."""
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        if any(
            (candidate / mark).exists() for mark in ("pyproject.toml", ".git", "conf")
        ):
            return candidate
    return folder


def project_root(study: Study) -> Path:
    """The folder that a study's data paths must not leave."""
    return project_of(study.root)


def _last(
    parents: Sequence[Document], document: Document, key: str, default: Any
) -> Any:
    for source in (document, *parents):
        if source.tree.get(key) is not None:
            return source.tree[key]
    return default


def _labels(parents: Sequence[Document], document: Document) -> dict[str, str]:
    merged: dict[str, str] = {}
    for source in (*reversed(parents), document):
        merged |= {str(k): str(v) for k, v in (source.tree.get("labels") or {}).items()}
    return merged


def _model_each(document: Document, problems: Problems) -> tuple[Values, ...]:
    model = document.tree.get("model")
    if not isinstance(model, Mapping) or "each" not in model:
        return ()
    return _each(model["each"], Origin(document, ("model", "each")), problems)


def _validate(
    tree: Tree, origins: Origins, problems: Problems
) -> tuple[Data | None, Model | None, Tree]:
    """Both parts, as far as they are valid, and the tree without their faults."""
    data, found = read_data(tree["data"])
    model, more = read_model(tree["model"], tree["data"])
    more += estimand_problems(tree["model"])
    known = {p.path for p in problems.found}
    for problem in (*found, *more):
        if problem.what.endswith("is missing"):
            key = problem.what.split("'")[1]
            if f"{problem.path}.{key}" in known:
                continue  # it was written, and what is wrong with it is said
        place = origins.place(problem.path.split("."))
        problems.found.append(problem.at(place=place))
    if model is None:
        kept, model = salvage(tree["model"], tree["data"], more)
        tree = {**tree, "model": kept}
    return data, model, tree


# -- lines ---------------------------------------------------------------------------


def _checks(document: Document, problems: Problems) -> dict[str, tuple[Line, ...]]:
    written = document.tree.get("checks")
    top = Origin(document, ("checks",))
    if written is None:
        return {"estimate": (Line("estimate", "main", (), origin=top),)}
    if not isinstance(written, Mapping) or not written:
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                "checks is a mapping: heading -> line -> changes",
                path="checks",
            ),
            top,
        )
        return {}
    checks: dict[str, tuple[Line, ...]] = {}
    for heading, lines in written.items():
        origin = top.below(heading)
        if not _named(heading, origin, problems) or not isinstance(lines, Mapping):
            if not isinstance(lines, Mapping):
                problems.add(
                    Problem(
                        Phase.SPEC,
                        "X15",
                        f"heading '{heading}' holds lines: {{name: {{changes}}}}",
                        path=f"checks.{heading}",
                    ),
                    origin,
                )
            continue
        checks[heading] = tuple(
            line
            for name, body in lines.items()
            if _named(name, origin.below(name), problems)
            and (line := _line(heading, name, body, origin.below(name), problems))
        )
    return checks


def _named(name: str, origin: Origin, problems: Problems) -> bool:
    if is_slug(name):
        return True
    problems.add(
        Problem(
            Phase.SPEC,
            "X18",
            f"'{name}' can't be a name",
            fix="a letter first, then letters, digits and underscores",
        ),
        origin,
        key=True,
    )
    return False


def _line(
    heading: str, name: str, body: Any, origin: Origin, problems: Problems
) -> Line | None:
    path = f"checks.{heading}.{name}"
    if not isinstance(body, Mapping):
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                f"line '{name}' is a mapping of changes ({{}} = the model itself), "
                f"not {body!r}",
                path=path,
            ),
            origin,
        )
        return None
    changed: list[Change] = []
    for key, value in body.items():
        if key.split(".")[0] in ("add", "remove", "only", "without"):
            changed += _edits(key, value, origin.below(key), problems, path)
        elif key not in DIRECTIVES:
            change = _set(key, value, origin.below(key), problems, path)
            changed += [change] if change else []
    draws = body.get("draws")
    start = body.get("from", "")
    if not isinstance(start, str):
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                "`from` names a line: `from: plain` or `from: heading.line`",
                path=f"{path}.from",
            ),
            origin.below("from"),
        )
        start = ""
    return Line(
        heading,
        name,
        tuple(changed),
        start=start,
        each=_each(body["each"], origin.below("each"), problems)
        if "each" in body
        else (),
        excepted=_excepted(body.get("except"), origin.below("except"), problems),
        draws=_draws(draws, origin.below("draws"), problems),
        expect=_expect(body.get("expect"), origin.below("expect"), problems),
        origin=origin,
    )


def target(dotted: str) -> Steps:
    """A path as a line writes it -> a path of the tree (bare keys are the model's)."""
    steps = split(dotted)
    return steps if steps[0] in ("data", "model") else ("model", *steps)


def _set(
    key: str, value: Any, origin: Origin, problems: Problems, path: str
) -> Change | None:
    try:
        steps = target(key)
    except EstimandError as error:
        problems.catch(error, (path,), origin)
        return None
    first = steps[1] if len(steps) > 1 else ""
    known = DATA_FIELDS if steps[0] == "data" else MODEL_FIELDS
    if first and first not in known:
        fix = did_you_mean(first, (*known, *(() if steps[0] == "data" else DIRECTIVES)))
        problems.add(
            Problem(
                Phase.SPEC,
                "X17",
                f"unknown key '{first}'",
                fix=fix,
                path=f"{path}.{key}",
            ),
            origin,
            key=True,
        )
        return None
    return Change("set", steps, value, origin)


def _edits(
    key: str, value: Any, origin: Origin, problems: Problems, path: str
) -> list[Change]:
    """`add`/`remove` edit lists, `only`/`without` restrict rows; dotted or nested."""
    steps = split(key)
    verb = steps[0]
    if len(steps) > 1:
        items = {".".join(steps[1:]): (value, origin)}
    elif isinstance(value, Mapping):
        items = {k: (v, origin.below(k)) for k, v in value.items()}
    else:
        what = "field: [items]" if verb in ("add", "remove") else "column: value"
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                f"`{verb}` is a mapping {{{what}}}, not {value!r}",
                path=f"{path}.{verb}",
            ),
            origin,
        )
        return []
    found: list[Change] = []
    for name, (item, place) in items.items():
        if verb in ("add", "remove") and name not in LIST_FIELDS:
            problems.add(
                Problem(
                    Phase.SPEC,
                    "X17",
                    f"`{verb}` edits lists, and '{name}' is none",
                    fix=did_you_mean(name, LIST_FIELDS),
                    path=f"{path}.{verb}.{name}",
                ),
                place,
                key=True,
            )
            continue
        found.append(Change(verb, (name,), item, place))
    return found


def _each(written: Any, origin: Origin, problems: Problems) -> tuple[Values, ...]:
    if not isinstance(written, Mapping) or not written:
        problems.add(
            Problem(Phase.SPEC, "X15", "`each` is a mapping {path: values}"), origin
        )
        return ()
    found: list[Values] = []
    for path, values in _paths(written):
        here = origin.below(*path[1])
        dotted = path[0]
        if not _is_each_path(dotted, here, problems):
            continue
        if values == "every":
            found.append(Values(dotted, (), here, every=True))
            continue
        named = _value_names(values, here, problems, dotted)
        if named:
            found.append(Values(dotted, named, here))
    return tuple(found)


def _is_each_path(dotted: str, origin: Origin, problems: Problems) -> bool:
    """`case`, `add.field`, `only.column`, or a path of the tree."""
    try:
        steps = split(dotted)
    except EstimandError as error:
        problems.catch(error, ("each",), origin)
        return False
    if steps[0] == "case" or (steps[0] in ("only", "without") and len(steps) > 1):
        return True
    if steps[0] in ("add", "remove"):
        known: Sequence[str] = LIST_FIELDS
        field_ = ".".join(steps[1:])
    else:
        steps = target(dotted)
        known = DATA_FIELDS if steps[0] == "data" else MODEL_FIELDS
        field_ = steps[1] if len(steps) > 1 else ""
    if field_ in known:
        return True
    what = f"each: '{dotted}' is no path of the study"
    fix = did_you_mean(field_ or dotted, known)
    path = f"each.{dotted}"
    problems.add(Problem(Phase.SPEC, "X17", what, fix=fix, path=path), origin, key=True)
    return False


def _paths(
    written: Mapping[str, Any],
) -> list[tuple[tuple[str, tuple[str, ...]], Any]]:
    """The paths of an `each`: as written, with `add: {controls: …}` read as a path."""
    found: list[tuple[tuple[str, tuple[str, ...]], Any]] = []
    for key, value in written.items():
        if key in ("add", "remove", "only", "without") and isinstance(value, Mapping):
            found += [
                ((f"{key}.{inner}", (key, inner)), held)
                for inner, held in value.items()
            ]
        else:
            found.append(((key, (key,)), value))
    return found


def _value_names(
    values: Any, origin: Origin, problems: Problems, path: str
) -> tuple[tuple[str, Any], ...]:
    if isinstance(values, Mapping) and values:
        return tuple(
            (name, value)
            for name, value in values.items()
            if _named(name, origin.below(name), problems)
        )
    if isinstance(values, list) and values:
        named = [(value_name(value), value) for value in values]
        repeated = [
            n for i, (n, _) in enumerate(named) if n in [m for m, _ in named[:i]]
        ]
        bad = [v for v in values if isinstance(v, list | dict)]
        if not repeated and not bad:
            return tuple(named)
        what = (
            f"a value that is a list or block needs a name: {{name: {bad[0]!r}}}"
            if bad
            else f"'{repeated[0]}' given twice"
        )
    else:
        what = "values are a list of scalars, a mapping name -> value, or every"
    problems.add(
        Problem(Phase.SPEC, "X15", f"each {path}: {what}", path=f"each.{path}"), origin
    )
    return ()


def value_name(value: Any) -> str:
    """The name of a value that was given none; part of the address."""
    if isinstance(value, list):
        return "+".join(value_name(v) for v in value) or "none"
    if isinstance(value, Mapping):
        return "+".join(f"{k}_{value_name(v)}" for k, v in value.items())
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _excepted(
    written: Any, origin: Origin, problems: Problems
) -> tuple[Mapping[str, Any], ...]:
    if written is None:
        return ()
    if isinstance(written, list) and all(isinstance(w, Mapping) for w in written):
        return tuple(written)
    problems.add(
        Problem(Phase.SPEC, "X15", "`except` is a list of {path: value, …}"), origin
    )
    return ()


#: What may be redrawn, one at a time.
_REDRAWN = ("permute", "resample", "resplit", "leave_out")
_DRAWS = (*_REDRAWN, "times", "within", "rebuild")


def _draws(
    written: Any, origin: Origin, problems: Problems
) -> Mapping[str, Any] | None:
    if written is None:
        return None
    if not isinstance(written, Mapping):
        problems.add(
            Problem(
                Phase.SPEC,
                "X15",
                "`draws` is {permute: treatment | resample: column | resplit: true | "
                "leave_out: step, times: N}",
            ),
            origin,
        )
        return None
    for key in written:
        if key not in _DRAWS:
            problems.add(
                Problem(
                    Phase.SPEC,
                    "X17",
                    f"unknown key '{key}' in draws",
                    fix=did_you_mean(key, _DRAWS),
                ),
                origin.below(key),
                key=True,
            )
    kinds = [k for k in _REDRAWN if k in written]
    times = written.get("times")
    sensible = times == "every" or (
        isinstance(times, int) and not isinstance(times, bool) and times > 0
    )
    what = ""
    if len(kinds) != 1:
        what = f"draws has one of {', '.join(_REDRAWN)}"
    elif not sensible:
        what = f"draws.times is a positive number or every, got {times!r}"
    elif "rebuild" in written and "resample" not in written:
        what = "draws.rebuild goes with resample: nothing else changes the data"
    elif not isinstance(written.get("rebuild", False), bool):
        what = f"draws.rebuild is true or false, got {written['rebuild']!r}"
    elif "permute" in written and written["permute"] != "treatment":
        what = f"only the treatment can be permuted, not {written['permute']!r}"
    if what:
        problems.add(Problem(Phase.SPEC, "X15", what), origin)
    return dict(written)


def _expect(
    written: Any, origin: Origin, problems: Problems
) -> tuple[Mapping[str, Any], ...]:
    if written is None:
        return ()
    items = written if isinstance(written, list) else [written]
    found: list[Mapping[str, Any]] = []
    for index, item in enumerate(items):
        here = origin.below(index) if isinstance(written, list) else origin
        flat = _expectation(item, here, problems)
        found += [flat] if flat else []
    return tuple(found)


def _expectation(
    item: Any, origin: Origin, problems: Problems
) -> Mapping[str, Any] | None:
    """One expectation, `any`, `not` and `share` with theirs nested flat under `of`."""
    try:
        flat = choices.parse("expectation", item)
    except EstimandError as error:
        problems.catch(error, ("expect",), origin)
        return None
    if "of" in flat:
        nested = flat["of"] if isinstance(flat["of"], list) else [flat["of"]]
        inner = [_expectation(n, origin, problems) for n in nested]
        if any(i is None for i in inner):
            return None
        flat = {**flat, "of": inner if isinstance(flat["of"], list) else inner[0]}
    for problem in choices.check("expectation", flat, "expect"):
        problems.add(problem, origin)
    return flat


def _check_starts(checks: Mapping[str, tuple[Line, ...]], problems: Problems) -> None:
    """Every `from` names a line that there is, and the way back ends at the model.

    The values that a `from` names are known when the study is unfolded.
    """
    known = {line.address: line for lines in checks.values() for line in lines}
    _check_circles(known, problems)
    for line in [line for line in known.values() if line.start]:
        if line.started_from in known:
            continue
        beside = tuple(held.name for held in checks[line.heading])
        own = "." not in line.start
        problems.add(
            Problem(
                Phase.SPEC,
                "X22",
                f"from: no line '{line.start}'",
                fix=did_you_mean(line.start, beside if own else tuple(known)),
                path=f"checks.{line.address}.from",
            ),
            line.origin.below("from"),
        )


def _rooted(
    checks: Mapping[str, tuple[Line, ...]],
) -> dict[str, tuple[Line, ...]]:
    """The lines whose way of `from` ends at the model."""
    known = {line.address: line for lines in checks.values() for line in lines}

    def ends(line: Line, way: tuple[str, ...] = ()) -> bool:
        if not line.start:
            return True
        before = known.get(line.started_from)
        return (
            before is not None
            and line.address not in way
            and (ends(before, (*way, line.address)))
        )

    return {name: tuple(filter(ends, lines)) for name, lines in checks.items()}


def _check_circles(known: Mapping[str, Line], problems: Problems) -> None:
    """Each circle once, at its first line."""
    told: set[str] = set()
    for first in known:
        way, current = [first], known[first].started_from
        while current in known and current not in way:
            way.append(current)
            current = known[current].started_from
        if current in way and not told.intersection(way):
            loop = way[way.index(current) :]
            told |= set(loop)
            said = " -> ".join((*loop, current))
            problems.add(
                Problem(
                    Phase.SPEC,
                    "X22",
                    f"`from` goes in a circle: {said}",
                    fix="one of these lines has to start at the model: without `from`",
                    path=f"checks.{current}.from",
                ),
                known[current].origin.below("from"),
            )


# -- what stands beside the checks ----------------------------------------------------


def _check_rest(
    document: Document, checks: Mapping[str, tuple[Line, ...]], problems: Problems
) -> None:
    """Families, labels, published and report refer to headings that exist."""
    shapes = {"families": Mapping, "labels": Mapping, "report": Mapping}
    for key, kind in shapes.items():
        held = document.tree.get(key)
        if held is not None and not isinstance(held, kind):
            problems.add(
                Problem(Phase.SPEC, "X15", f"`{key}` is a mapping", path=key),
                Origin(document, (key,)),
            )
    families = document.tree.get("families")
    for name, choice in families.items() if isinstance(families, Mapping) else ():
        origin = Origin(document, ("families", name))
        try:
            flat = choices.parse("family", choice, where=f"families.{name}")
        except EstimandError as error:
            problems.catch(error, ("families", name), origin)
            continue
        for problem in choices.check("family", flat, f"families.{name}"):
            problems.add(problem, origin)
    for key in ("families", "report"):
        held = document.tree.get(key)
        for name in held if isinstance(held, Mapping) else ():
            if missing := _no_line(checks, str(name), lines=key == "families"):
                place = Origin(document, (key, name))
                problems.add(missing.at(path=f"{key}.{name}"), place, key=True)
    held = document.tree.get("report")
    for name, options in held.items() if isinstance(held, Mapping) else ():
        _check_heading(options, Origin(document, ("report", name)), name, problems)


def _no_line(
    checks: Mapping[str, tuple[Line, ...]], address: str, *, lines: bool = True
) -> Problem | None:
    """An address whose heading or line there is not; its values are known later."""
    heading, _, line = address.partition(".")
    known = [held.name for held in checks.get(heading, ())]
    if heading not in checks:
        what, fix = f"no heading '{address}'", did_you_mean(heading, tuple(checks))
    elif line and not lines:
        what, fix = f"'{address}' is no heading", f"'{heading}', with all its lines"
    elif line and line.split(".")[0] not in known:
        what, fix = f"no line '{address}'", did_you_mean(line, known)
    else:
        return None
    return Problem(Phase.SPEC, "X17", what, fix=fix)


_HEADING = ("title", "rows", "baseline")
_BASELINES = ("first", "last", "none")


def _check_heading(options: Any, origin: Origin, name: str, problems: Problems) -> None:
    """`report: {heading: {title, rows, baseline}}`."""
    path = f"report.{name}"
    if not isinstance(options, Mapping):
        what = f"report.{name} is a mapping of {', '.join(_HEADING)}, not {options!r}"
        problems.add(Problem(Phase.SPEC, "X15", what, path=path), origin)
        return
    for key, value in options.items():
        if key not in _HEADING:
            problem = Problem(
                Phase.SPEC,
                "X17",
                f"unknown key '{key}' in report",
                fix=did_you_mean(str(key), _HEADING),
                path=f"{path}.{key}",
            )
            problems.add(problem, origin.below(key), key=True)
            continue
        what, fix = "", ""
        if key == "title" and not isinstance(value, str):
            what = f"a title is text, got {value!r}"
        if key == "rows" and not (
            isinstance(value, list) and all(isinstance(v, str) for v in value)
        ):
            what = f"rows is a list of terms, got {value!r}"
        if key == "baseline" and value not in _BASELINES:
            what = f"baseline is one of {', '.join(_BASELINES)}, got {value!r}"
            fix = did_you_mean(str(value), _BASELINES)
        if what:
            problem = Problem(Phase.SPEC, "X15", what, fix=fix, path=f"{path}.{key}")
            problems.add(problem, origin.below(key))


def _check_published(
    published: Any,
    checks: Mapping[str, tuple[Line, ...]],
    document: Document,
    problems: Problems,
) -> None:
    """Printed numbers stand at headings and lines that there are.

    What the text claims (`claims`) is not of this shape: `framework.claims` reads it.
    """
    top = Origin(document, ("published",))
    if published is None:
        return
    if not isinstance(published, Mapping):
        what = "`published` mirrors checks: heading -> line -> term: printed number"
        problems.add(Problem(Phase.SPEC, "X15", what, path="published"), top)
        return
    for heading, below in published.items():
        if heading == "claims":
            continue
        deeper = below if isinstance(below, Mapping) and "." not in heading else {"": 0}
        wrong: dict[str, Problem] = {}
        if missing := _no_line(checks, str(heading)):
            wrong[""] = missing
            deeper = {}
        for line in deeper:
            if missing := _no_line(checks, f"{heading}.{line}".rstrip(".")):
                wrong[str(line)] = missing
        for line, fault in wrong.items():
            steps = [str(heading), *([line] if line else [])]
            path = ".".join(("published", *steps))
            problems.add(fault.at(path=path), top.below(*steps), key=True)


__all__ = [
    "Change",
    "Line",
    "Override",
    "Study",
    "Values",
    "get",
    "open_study",
    "project_of",
    "project_root",
    "target",
    "value_name",
]
