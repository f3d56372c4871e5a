"""An audit as text: for the terminal, as Markdown, as a page of HTML."""

from __future__ import annotations

import html as escaping
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from framework.audit import RULES, SEVERITIES, Finding

if TYPE_CHECKING:
    from framework.commands.auditing import Audit

_MARKS = {
    "impossible": "✗",
    "inconsistent": "≠",
    "doubtful": "~",
    "cannot be judged": "?",
    "confirmed": "✓",
}
_BASIS = {
    "print": "printed numbers alone",
    "design": "the design: who is treated when and where",
    "data": "the study's data",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;"
    "padding:0 1rem}dt{font-weight:600}dd{margin:0 0 .3rem 1rem}"
    "article{border-left:4px solid #999;padding-left:1rem;margin:1.5rem 0}"
    ".impossible{border-color:#a40000}.inconsistent{border-color:#c4590a}"
    ".doubtful{border-color:#b59a00}.confirmed{border-color:#2b7a2b}"
)


def counts(audit: Audit) -> str:
    """`3 impossible, 2 doubtful, 12 confirmed`."""
    held = [f.severity for f in audit.findings]
    said = [f"{held.count(s)} {s}" for s in SEVERITIES if s in held]
    return ", ".join(said) or "nothing to judge"


def _about(audit: Audit) -> Iterator[str]:
    yield f"{audit.printed} printed numbers: {counts(audit)}"
    if audit.simulated:
        yield (
            f"{audit.simulated} What is computed from their values is about them; "
            "what follows from printed numbers and from the design is not."
        )
    if audit.no_data:
        yield f"Printed numbers only: {audit.no_data}"
    if audit.overrides:
        yield f"The study was changed: {' '.join(audit.overrides)}"


def terminal(audit: Audit, width: int, *, all_: bool = False) -> list[str]:
    """Worst first; confirmations in a line each."""
    width = max(width, 40)
    lines = [f"{audit.study}: audit of what is printed"]
    for said in _about(audit):
        lines += textwrap.wrap(said, width, initial_indent="  ", subsequent_indent="  ")
    severity = ""
    for finding in audit.findings:
        if finding.severity != severity:
            severity = finding.severity
            lines += ["", severity.capitalize()]
        short = finding.severity == "confirmed" and not all_
        lines += _brief(finding, width) if short else _full(finding, width)
    return lines


def _brief(finding: Finding, width: int) -> list[str]:
    text = (
        f"{_MARKS[finding.severity]} {finding.address} ({finding.rule}): "
        f"{finding.printed} — {finding.computed}"
    )
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="      ")


def _full(finding: Finding, width: int) -> list[str]:
    head = f"{_MARKS[finding.severity]} {finding.address} ({finding.rule})"
    lines = textwrap.wrap(head, width, initial_indent="  ", subsequent_indent="      ")
    for name, text in _parts(finding):
        lines += textwrap.wrap(
            f"{name:<9} {text}",
            width,
            initial_indent="      ",
            subsequent_indent=" " * 16,
            break_long_words=False,
        )
    return lines


def _parts(finding: Finding) -> Iterator[tuple[str, str]]:
    yield "printed", finding.printed
    yield "computed", finding.computed
    yield "because", finding.reason
    yield "proof", finding.proof
    places = [p for p in (finding.where, finding.spec) if p]
    if places:
        yield "where", " · ".join(places)


def page(audit: Audit, *, html: bool) -> str:
    """A page of its own: every finding in full, then the questions that were asked."""
    return _html(audit) if html else _markdown(audit)


def _markdown(audit: Audit) -> str:
    lines = [f"# Audit of {audit.study}", ""]
    for said in _about(audit):
        lines += [_plain(said), ""]
    severity = ""
    for finding in audit.findings:
        if finding.severity != severity:
            severity = finding.severity
            lines += [f"## {severity.capitalize()}", ""]
        lines += [f"### `{finding.address}`: {finding.rule}", ""]
        lines += [f"* **{name}**: {_plain(text)}" for name, text in _parts(finding)]
        lines += [f"* **rests on**: {_BASIS[finding.basis]}", ""]
    lines += ["## What was asked", ""]
    lines += [f"* {rule.name}: {rule.asks}" for rule in RULES]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Stars and brackets as they are, not as Markdown."""
    for mark in ("\\", "*", "_", "[", "]", "<", "`"):
        text = text.replace(mark, f"\\{mark}")
    return text


def _html(audit: Audit) -> str:
    e = escaping.escape
    lines = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f"<title>Audit of {e(audit.study)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Audit of {e(audit.study)}</h1>",
        *(f"<p>{e(said)}</p>" for said in _about(audit)),
    ]
    for finding in audit.findings:
        lines += [
            f'<article class="{e(finding.severity)}">',
            f"<h2>{e(finding.severity)}: <code>{e(finding.address)}</code></h2>",
            f"<p>{e(finding.rule)}</p><dl>",
            *(f"<dt>{n}</dt><dd>{e(text)}</dd>" for n, text in _parts(finding)),
            f"<dt>rests on</dt><dd>{_BASIS[finding.basis]}</dd></dl></article>",
        ]
    lines += [
        "<h2>What was asked</h2><ul>",
        *(f"<li>{e(rule.name)}: {e(rule.asks)}</li>" for rule in RULES),
        "</ul></body></html>",
    ]
    return "\n".join(lines) + "\n"
