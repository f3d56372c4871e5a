"""Opening a study: text -> validated `Study`, with every problem at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from framework.errors import EstimandError, Phase, Place, Problem, did_you_mean
from framework.spec import choices
from framework.spec.beside import check_published, check_rest
from framework.spec.lines import (
    Line,
    Values,
    check_starts,
    read_checks,
    read_each,
    rooted,
)
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
    MODEL_FIELDS,
    SHAPE,
    Origin,
    Problems,
    Steps,
    Tree,
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
    """The place of a flat path, letting the plugin's name in between be skipped.

    A block stands where its key is: its first entry is no worse than the others.
    """
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
    key_, value = document.place(here, key=True), document.place(here)
    return key_ if key_ and value and key_.line != value.line else value


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
    checks = read_checks(document, problems)
    check_starts(checks, problems)
    check_rest(document, checks, problems)
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
        check_published(published, checks, document, problems)
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
        reading.rest = replace(rest, checks=rooted(checks))
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
    return read_each(model["each"], Origin(document, ("model", "each")), problems)


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
