"""`list` and `show`: what there is, and what one thing is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from framework import glossary, registry
from framework.commands import printing
from framework.commands.cards import (
    ANNOUNCED,
    card_as_dict,
    card_lines,
    card_of,
    doc_of,
    origin_of,
    spoken,
)
from framework.commands.run_shown import (
    moment,
    run_as_dict,
    run_named,
    runs_folder,
    say_run,
)
from framework.errors import OK, EstimandError, SpecError, counted, did_you_mean
from framework.run_folders import run_folders
from framework.spec import choices
from framework.spec.choices import ChoiceKind

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
        origin = origin_of(kind, name)
        try:
            found = choices.plugin(kind, name)
        except EstimandError as error:
            yield Item(kind, name, error.problems[0].what, origin, "broken")
            continue
        if isinstance(found, registry.Planned):
            yield Item(kind, name, found.summary, origin, "planned")
        elif found is not None:
            yield Item(kind, name, doc_of(found).split("\n")[0], origin)


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
            printing.out(*gap, f"# {spoken(kind)}")
        for item in (i for i in found if i.kind == kind):
            marks = [{"planned": ANNOUNCED, "broken": "broken"}.get(item.status, "")]
            marks += [f"from {item.origin}"] if item.origin else []
            mark = "; ".join(m for m in marks if m)
            line = f"{item.name:<{widest}}  " + (f"[{mark}] " if mark else "")
            printing.out(_cut(line + item.says))


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
    for path in run_folders(runs_folder()):
        yield Item("run", f"{path.parent.name}/{path.name}", _run_in_short(path))


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
    short = f"{moment(manifest.get('created'))}, {done} of {len(columns)} estimations"
    return ", ".join([short, *said])


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
        found = [card_of(kind, name) for kind in kinds]
        if options.json:
            held = [card_as_dict(card) for card in found]
            said = {"word": asdict(word)} if word else {}
            printing.as_json({"name": name, "plugins": held, **said})
            return OK
        for position, card in enumerate(found):
            printing.out(*([""] if position else []), *card_lines(card))
        if word:
            unit = f" ({word.unit})" if word.unit else ""
            printing.out(*([""] if found else []), f"{name} · a word of the results")
            printing.out(*printing.wrapped(word.meaning + unit, "  ", "  "))
        return OK
    run = run_named(name)
    if run is None:
        raise _unknown(name)
    if options.json:
        printing.as_json(run_as_dict(run))
    else:
        say_run(run)
    return OK


def _unknown(name: str) -> SpecError:
    plugins = [known for kind in _KINDS for known in choices.names(kind)]
    runs = runs_folder()
    studies = [path.name for path in runs.glob("[!.]*") if path.is_dir()]
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        fix = f"estimand plan {name} shows what a study will estimate"
    else:
        fix = did_you_mean(name, sorted({*plugins, *studies}))
        if fix.startswith("there is"):
            fix = "estimand list plugins, estimand list runs"
    return SpecError("X01", f"there is no plugin, run or word '{name}'", fix=fix)


# -- a plugin -------------------------------------------------------------------------


# -- a run ----------------------------------------------------------------------------
