"""Expectations about the coefficients ahead of the treatment.

They hold only if every coefficient is shown to be small: two one-sided tests each, all
of which must reject (the intersection-union principle of Berger 1982 keeps the level).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from framework.expect import words
from framework.expect.comparison import joint_zero
from framework.expect.rows import (
    POWER,
    CannotBeJudged,
    Judged,
    Row,
    all_rows,
    interval,
)
from framework.expect.scene import FAILS, HOLDS, UNJUDGED, Finding, Scene
from framework.expect.single import tost
from framework.spec import expectations as spec


def flat_pretrend(scene: Scene, options: spec.FlatPretrend) -> Finding:
    """Coefficients by event time before 0, the reference period left out."""
    return _ahead(scene, options, "by_event_time", "event_time", "joint_pretrend")


def insignificant_leads(scene: Scene, options: spec.InsignificantLeads) -> Finding:
    """Coefficients of the treatment's leads."""
    return _ahead(scene, options, "lead", "order", "joint_leads")


def _ahead(
    scene: Scene,
    options: spec.FlatPretrend | spec.InsignificantLeads,
    estimand: str,
    index: str,
    test: str,
) -> Finding:
    rows = _rows_ahead(scene.this, options, options.estimand or estimand, index)
    rejected, tested = _jointly(scene.this, rows, test, options)
    spans = [(row, interval(row, 1 - 2 * options.level)) for row in rows]
    worst, span = max(spans, key=lambda pair: pair[1].reach())
    if options.bound is None:
        if rejected:
            return FAILS, f"rejected: {tested}"
        return UNJUDGED, (
            f"not rejected ({tested}), which is no evidence for zero"
            f"{_undetected(rows, options.level)}. Declare a bound: it would hold from "
            f"{words.above(span.reach())} on, the end of the {span.name} of "
            f"{worst.where}"
        )
    method = (
        f"two one-sided tests at {words.percent(options.level)} for each of the "
        f"{len(rows)}, all of which must reject (intersection-union: the joint level "
        f"is {words.percent(options.level)} too); {tested}"
    )
    status, reason = tost(span, options.bound)
    out = [row.where for row, s in spans if not s.inside(options.bound)]
    if status == HOLDS:
        ends = words.bounds(span.low, span.high, near=[-options.bound, options.bound])
        return HOLDS, (
            f"every {span.name} lies inside ±{words.number(options.bound)}, the "
            f"furthest {ends} ({worst.where}); {method}"
        )
    others = f"; {len(out)} of {len(rows)} do ({', '.join(out)})" if out[1:] else ""
    return FAILS, f"for {worst.where} {reason}{others}; {method}"


def _undetected(rows: Sequence[Row], level: float) -> str:
    """The largest violation that the data would probably have missed."""
    sizes = {row.where: row.detectable(level) for row in rows if row.has_error}
    if not sizes:
        return ""
    where = max(sizes, key=lambda at: sizes[at])
    return (
        f"; the data could not have excluded a violation of "
        f"{words.number(sizes[where])} ({where}: the smallest that its test finds with "
        f"{words.percent(POWER)} probability)"
    )


def _rows_ahead(
    judged: Judged, options: spec.Expectation, estimand: str, index: str
) -> list[Row]:
    there = all_rows(judged)
    rows = [
        row
        for row in there
        if row.estimand == estimand
        and float(row.index.get(index, 0)) < 0
        and not _is_reference(row)
        and (options.term is None or row.term == options.term)
    ]
    if not rows:
        given = words.listed(dict.fromkeys(row.estimand for row in there))
        needed = index.replace("_", " ")
        raise CannotBeJudged(
            f"{judged.address} has no coefficients of {estimand} with {needed} below "
            f"zero (it gives {given})"
        )
    for row in rows:
        if not math.isfinite(row.estimate):
            raise CannotBeJudged(f"{row.where} has no estimate")
    return rows


def _is_reference(row: Row) -> bool:
    return row.estimate == 0 and not row.has_error


def _jointly(
    judged: Judged, rows: Sequence[Row], name: str, options: spec.Expectation
) -> tuple[bool, str]:
    """Is it rejected that all are zero, and the test in words."""
    level = options.level
    whole = options.term is None and options.estimand is None
    tests = [t for t in judged.finished().result.tests if t.name == name and whole]
    if tests and tests[0].p_value is not None:
        p = tests[0].p_value
        return p <= level, f"joint test {words.p_equals(p, level=level)}"
    try:
        wald = joint_zero(judged, rows)
    except CannotBeJudged:
        ps = [row.p_value for row in rows if math.isfinite(row.p_value)]
        if not ps:
            return False, "no joint test"
        p = min(1.0, len(rows) * min(ps))
        return p <= level, (
            f"smallest of {len(rows)} p values times {len(rows)} (Bonferroni) "
            f"{words.p_equals(p, level=level)}"
        )
    return wald.p_value <= level, (
        f"joint test {wald.text}, {words.p_equals(wald.p_value, level=level)}"
    )
