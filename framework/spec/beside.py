"""What stands beside the checks and names them: families, report, printed numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.errors import EstimandError, Phase, Problem, did_you_mean
from framework.spec import choices
from framework.spec.lines import Line
from framework.spec.loader import Document
from framework.spec.tree import Origin, Problems


def check_rest(
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


def check_published(
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
