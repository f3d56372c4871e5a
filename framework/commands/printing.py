"""What the terminal shows: problems, plans, tables, verdicts. Results go to stdout."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from framework.errors import EstimandError, Problem, counted

if TYPE_CHECKING:
    from framework.commands.running import Ran
    from framework.expect import Verdict
    from framework.plan import Estimation

_MARKS = {"holds": "✓", "fails": "✗", "cannot be judged": "?"}
_COUNTED = {"holds": "hold", "fails": "fail", "cannot be judged": "cannot be judged"}
#: A line with more values is summed up.
_MOST_VALUES = 12
_FIRST = 2


def width() -> int:
    """Columns of the terminal, 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def out(*lines: str) -> None:
    """Results, on stdout."""
    for line in lines:
        print(line)


def log(*lines: str) -> None:
    """Everything else, on stderr."""
    for line in lines:
        print(line, file=sys.stderr)


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def problems(found: Iterable[Problem]) -> None:
    """Every problem, as written in its own words."""
    log(*(str(problem) for problem in found))


def fault(error: EstimandError, *, json_wanted: bool) -> int:
    """Print an error; its exit code."""
    if json_wanted:
        as_json(
            {
                "exit_code": error.exit_code,
                "problems": [p.to_dict() for p in error.problems],
            }
        )
    problems(error.problems)
    count = len(error.problems)
    if count > 1:
        log(f"{counted(count, 'problem')}.")
    log(*getattr(error, "__notes__", ()))
    return error.exit_code


def wrapped(text: str, indent: str = "", first: str = "") -> list[str]:
    """Text in lines that fit the terminal; Chinese characters take two columns each.

    Broken at spaces, and between wide characters, which need none; a long word of
    letters stays whole.
    """
    most = max(width(), 40)
    start = first or indent
    if text.isascii() and start.isascii():
        import textwrap

        return textwrap.wrap(
            text,
            width=most,
            initial_indent=start,
            subsequent_indent=indent,
            break_long_words=False,
        )
    lines: list[str] = []
    line, used, empty = start, _columns(start), True
    for gap, piece in _pieces(text):
        size = _columns(piece)
        if not empty and used + len(gap) + size > most:
            lines.append(line)
            line, used, empty = indent, _columns(indent), True
        joined = piece if empty else gap + piece
        line, used, empty = line + joined, used + _columns(joined), False
    return [*lines, line] if not empty else lines


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """(what stands before it, piece that is not broken)."""
    for word in text.split():
        gap, piece = " ", ""
        for character in word:
            wide = _columns(character) > 1
            if piece and (wide or _columns(piece[-1]) > 1):
                yield gap, piece
                gap, piece = "", ""
            piece += character
        yield gap, piece


def _columns(text: str) -> int:
    """Columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(c)
        else 2
        if unicodedata.east_asian_width(c) in "WF"
        else 1
        for c in text
    )


def tables(ran: Ran) -> None:
    """Every heading's table."""
    from framework.render import RunFolder, terminal_table

    run = RunFolder.read(ran.folder)
    for heading in run.headings:
        out(terminal_table(run, heading.name, width()), "")


def verdicts(ran: Ran) -> None:
    """What was expected and what came of it; long lines in one sentence."""
    from framework.commands.running import verdicts_of

    found = verdicts_of(ran)
    if not found:
        return
    out("Expectations")
    lines: dict[tuple[str, str], list[tuple[str, Verdict]]] = {}
    for address, verdict in found:
        line = ".".join(address.split(".")[:2])
        lines.setdefault((line, verdict.expectation), []).append((address, verdict))
    for (line, expectation), held in lines.items():
        if len(held) <= _MOST_VALUES:
            for address, verdict in held:
                _verdict(address, verdict)
            continue
        well = sum(v.status == "holds" for _, v in held)
        mark = _MARKS["holds" if well == len(held) else "fails"]
        out(
            *wrapped(
                f"{mark} {line}: {expectation} — holds at {well} of {len(held)} values",
                "      ",
                "  ",
            )
        )
        for address, verdict in [h for h in held if h[1].status != "holds"][
            :_MOST_VALUES
        ]:
            _verdict(address, verdict)
    statuses = [str(v.status) for _, v in found]
    said = ", ".join(
        f"{statuses.count(status)} {word}"
        for status, word in _COUNTED.items()
        if statuses.count(status)
    )
    out(f"  {said}")
    _flagged(found)
    out("")


def _flagged(found: Sequence[tuple[str, Verdict]]) -> None:
    """What other lines say against numbers that were judged, once for all of them."""
    held: dict[str, dict[str, None]] = {}
    for address, verdict in found:
        if verdict.flag:
            held.setdefault(verdict.flag, {})[address] = None
    for flag, addresses in held.items():
        some = ", ".join(list(addresses)[:_MOST_VALUES])
        more = len(addresses) - _MOST_VALUES
        where = f"{some} and {more} more" if more > 0 else some
        out(*wrapped(f"⚑ flagged: {where}: {flag}", "      ", "  "))


def _verdict(address: str, verdict: Verdict) -> None:
    head = f"{_MARKS[verdict.status]} {address}: {verdict.expectation} — "
    flagged = ", flagged" if verdict.flag else ""
    text = f"{head}{verdict.status}{flagged}. {verdict.reason}"
    out(*wrapped(text, indent="      ", first="  "))


def published(ran: Ran) -> None:
    """How many printed numbers ours agree with, and the first that do not."""
    manifest = json.loads((ran.folder / "manifest.json").read_text(encoding="utf-8"))
    rows = manifest.get("published") or []
    if not rows:
        return
    alone = [row for row in rows if row["agrees"] is None]
    differ = [row for row in rows if row["agrees"] is False]
    compared = len(rows) - len(alone)
    out(f"Published numbers: {compared - len(differ)} of {compared} agree")
    if alone:
        out(f"  {len(alone)} more have nothing of ours beside them:")
    for row in alone[:_MOST_VALUES]:
        out(*wrapped(f"{row['address']}: {row['text']}", "      ", "  ? "))
    if len(alone) > _MOST_VALUES:
        out(f"  … and {len(alone) - _MOST_VALUES} more; all are in the report")
    if manifest.get("generated"):
        said = f"{manifest['generated']} The printed numbers are not theirs."
        out(*wrapped(said, "  ", "  "), "")
        return
    for row in differ[:_MOST_VALUES]:
        out(*wrapped(f"{row['address']}: {row['text']}", "      ", "  ✗ "))
    if len(differ) > _MOST_VALUES:
        out(f"  … and {len(differ) - _MOST_VALUES} more; all are in the report")
    out("")


def failures(ran: Ran) -> None:
    """Every cause with its trace and the command that tries it again, said once."""
    from framework.commands.causes import causes, remedies

    for problem, addresses in causes(ran.failed).items():
        problems([problem])
        if len(addresses) > 1:
            head = f"    So are {len(addresses) - 1} more: "
            some = ", ".join(addresses[1 : _MOST_VALUES + 1])
            more = ", …" if len(addresses) > _MOST_VALUES + 1 else ""
            log(*wrapped(some + more, "      ", head))
        log(*remedies(addresses, ran.book))
    if ran.failed:
        log(
            f"{len(ran.failed)} of {len(ran.shown)} estimations have no numbers; what "
            f"became of each: {ran.book.folder}",
            f"All of them again: {ran.book.command.again('--retry-failed')}",
        )


def summary(ran: Ran) -> None:
    """Where everything is."""
    total = len(ran.shown)
    unidentified = sum(c.unidentified for c in ran.shown)
    gone = f", {unidentified} not identified as acknowledged" if unidentified else ""
    done = total - len(ran.failed) - unidentified
    cached = sum(c.cached for c in ran.shown)
    reused = f" ({'all' if cached == done else cached} from earlier runs)"
    reused = reused if cached else ""
    out(
        f"{done} of {total} estimations{reused}{gone}. "
        f"Report: {ran.folder / 'report.html'}"
    )


def spent(ran: Ran) -> None:
    """Where the seconds went, on stderr: no result."""
    from framework.cache import Cell
    from framework.commands.timing import said

    lines = [
        (f"{c.estimation.heading}.{c.estimation.line}", c.outcome.seconds)
        for c in ran.columns
        if isinstance(c.outcome, Cell) and not c.cached
    ]
    log(*said(ran.watch.spent, ran.steps, lines))


def plan_table(estimations: Sequence[Estimation], rows: dict[str, list[str]]) -> None:
    """Every estimation with its formula and rows; long lines by their first values."""
    lines: dict[tuple[str, str], list[Estimation]] = {}
    for estimation in estimations:
        if not estimation.hidden:
            key = (estimation.heading, estimation.line)
            lines.setdefault(key, []).append(estimation)
    heading = None
    for (name, line), held in lines.items():
        if name != heading:
            heading = name
            out("", heading)
        shown = held if len(held) <= _MOST_VALUES else held[:_FIRST]
        for estimation in shown:
            label = ".".join(p for p in (estimation.line, estimation.value) if p)
            first, *more = rows[estimation.address]
            out(*wrapped(first, indent="      ", first=f"  {label}  "))
            for text in more:
                out(*wrapped(text, indent="        ", first="      "))
        if len(held) > len(shown):
            out(f"  {line}  … and {len(held) - len(shown)} more values")
