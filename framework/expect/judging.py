"""Every expectation of a run -> its verdict.

A test that does not reject proves nothing: "no effect" and "flat" hold only where an
interval lies inside a declared bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from framework.expect import ahead, several, single, words
from framework.expect.phrases import in_words
from framework.expect.rows import CannotBeJudged, Judged, Row, judged_row, two_sided
from framework.expect.scene import (
    FAILS,
    HOLDS,
    UNJUDGED,
    Adjusted,
    Finding,
    Scene,
    Status,
    Verdict,
)
from framework.spec import expectations as spec

_DECIMAL = 1e-12  # 0.9 of 10 values is 9, whatever the doubles say
_NAMED = 6  # values named in a reason


def judge(
    run: Iterable[Judged], adjusted: Mapping[str, Adjusted] | None = None
) -> dict[str, tuple[Verdict, ...]]:
    """Judge every expectation of every estimation of a run.

    Args:
        run: all estimations in the study's order, failed and refused ones included.
        adjusted: address -> p value adjusted in its family (`framework.families`).

    Returns:
        Address -> one verdict per expectation, in the order written.
    """
    everything = {judged.address: judged for judged in run}
    of_lines: dict[tuple[str, str], Verdict] = {}
    verdicts: dict[str, tuple[Verdict, ...]] = {}
    for address, judged in everything.items():
        scene = Scene(judged, everything, adjusted or {})
        found = []
        for flat in judged.expect:
            key = (judged.line, repr(flat))
            verdict = of_lines.get(key) or _verdict(scene, flat)
            if verdict.of_line:
                of_lines[key] = verdict
            found.append(verdict)
        verdicts[address] = tuple(found)
    return verdicts


def _verdict(scene: Scene, flat: Mapping[str, Any]) -> Verdict:
    name, options = spec.read(flat)
    try:
        status, reason = _JUDGES[name](scene, options)
    except CannotBeJudged as why:
        status, reason = UNJUDGED, str(why)
    said = in_words(name, options, scene)
    return Verdict(said, status, reason, _is_of_line(scene, options))


def _is_of_line(scene: Scene, options: spec.Expectation) -> bool:
    if isinstance(options, spec.Share):
        return not scene.has_draws()
    return options.of_line and scene.across(options)


def _share(scene: Scene, options: spec.Share) -> Finding:
    if scene.has_draws():
        what = "draws"
        scenes = [replace(scene, row=row) for row in _drawn_rows(scene, options)]
    else:
        what = "values"
        scenes = [replace(scene, this=judged) for judged in scene.line()]
    name, inner = spec.read(options.of)
    if what == "draws" and name not in _OF_A_DRAW:
        raise CannotBeJudged(
            f"{in_words(name, inner, scene)} can't be judged draw by draw"
        )
    verdicts = [_verdict(s, options.of) for s in scenes]
    n = len(verdicts)
    held = sum(v.status == HOLDS for v in verdicts)
    open_ = sum(v.status == UNJUDGED for v in verdicts)
    asked = f"{words.percent(options.at_least)} is asked for"
    reason = f"it holds at {held} of {n} {what} ({words.percent(held / n)}); {asked}"
    failing = [
        s.this.value or s.this.address
        for s, v in zip(scenes, verdicts, strict=True)
        if v.status == FAILS
    ]
    if failing and what == "values":
        more = f" and {len(failing) - 6} more" if len(failing) > 6 else ""  # noqa: PLR2004 - one line of names
        reason += f"; it fails at {', '.join(failing[:6])}{more}"
    if open_:
        first = next(v.reason for v in verdicts if v.status == UNJUDGED)
        reason += f"; {open_} cannot be judged ({first})"
    need = options.at_least * n * (1 - _DECIMAL)
    if held >= need:
        return HOLDS, reason
    return (UNJUDGED if held + open_ >= need else FAILS), reason


def _has_draws(judged: Judged) -> bool:
    return judged.cell is not None and judged.cell.draws is not None


def _drawn_rows(scene: Scene, options: spec.Share) -> list[Row]:
    """The judged row as each draw has it; a failed draw has no estimate."""
    _, inner = spec.read(options.of)
    if inner.term or inner.estimand or inner.index():
        raise CannotBeJudged("draws keep the judged number only, not another row")
    row = judged_row(scene.this)
    draws = scene.this.finished().draws
    assert draws is not None  # noqa: S101 - _has_draws has seen them
    rows = []
    for estimate, error in zip(draws["estimate"], draws["std_error"], strict=True):
        b, se = float(estimate), float(error)
        t = b / se if se > 0 else math.nan
        p = two_sided(t, row.df) if math.isfinite(t) else math.nan
        rows.append(
            replace(
                row,
                estimate=b,
                std_error=se,
                statistic=t,
                p_value=p,
                low=math.nan,
                high=math.nan,
            )
        )
    about = scene.this.draws or {}
    times = about.get("times")
    # Members that are left out may be fewer than the number asked for at most.
    if isinstance(times, int) and "leave_out" not in about:
        # Draws that failed may have left no line behind.
        lost = replace(row, estimate=math.nan, std_error=math.nan, p_value=math.nan)
        rows += [lost] * (times - len(rows))
    return rows


def _any(scene: Scene, options: spec.Any_) -> Finding:
    verdicts = [_verdict(scene, flat) for flat in options.of]
    found = {v.status for v in verdicts}
    reason = "; ".join(f"{v.expectation} {v.status}: {v.reason}" for v in verdicts)
    status = HOLDS if HOLDS in found else UNJUDGED if UNJUDGED in found else FAILS
    return status, reason


def _not(scene: Scene, options: spec.Not) -> Finding:
    inner = _verdict(scene, options.of)
    opposite: dict[Status, Status] = {
        HOLDS: FAILS,
        FAILS: HOLDS,
        UNJUDGED: UNJUDGED,
    }
    return opposite[inner.status], inner.reason


_JUDGES: Mapping[str, Callable[[Scene, Any], Finding]] = {
    "positive": single.positive,
    "negative": single.negative,
    "same_sign": single.same_sign,
    "significant": single.significant,
    "equivalent": single.equivalent,
    "flat_pretrend": ahead.flat_pretrend,
    "insignificant_leads": ahead.insignificant_leads,
    "extreme": single.extreme,
    "strong_first_stage": single.strong_first_stage,
    "differ": several.differ,
    "equal": several.equal,
    "within": single.within,
    "covers": single.covers,
    "share": _share,
    "any": _any,
    "not": _not,
}
#: Expectations about one number, which a draw has.
_OF_A_DRAW = frozenset(
    {
        "positive",
        "negative",
        "same_sign",
        "significant",
        "equivalent",
        "within",
        "covers",
    }
)
