"""Expectations about one number of one estimation."""

from __future__ import annotations

import math

from framework.expect import words
from framework.expect.comparison import Difference, difference
from framework.expect.rows import (
    POWER,
    CannotBeJudged,
    Interval,
    Row,
    interval,
    judged_row,
)
from framework.expect.scene import FAILS, HOLDS, Finding, Scene, decided
from framework.spec import expectations as spec

#: Two tests of one assignment differ by rounding only: such draws count as ties.
_TIE = 1e-9
#: `0.15 - 0.10 <= 0.05` in decimals, so it should be in doubles.
_DECIMAL = 1e-12
#: Any of these in `Result.scalars` is a first-stage F; the smallest is judged.
_FIRST_STAGE = ("first_stage_f", "effective_f", "kleibergen_paap_f", "cragg_donald_f")


def positive(scene: Scene, options: spec.Positive) -> Finding:
    """Above zero, as a point estimate or by a one-sided test."""
    return _signed(scene, options, 1)


def negative(scene: Scene, options: spec.Negative) -> Finding:
    """Below zero, as a point estimate or by a one-sided test."""
    return _signed(scene, options, -1)


def _signed(scene: Scene, options: spec.Positive | spec.Negative, sign: int) -> Finding:
    row = scene.judged_row(options)
    right = sign * row.estimate > 0
    if "level" not in options.model_fields_set:
        return decided(holds=right), _estimate(row)
    if math.isnan(row.p_value):
        raise CannotBeJudged(f"{row.where} has no p value")
    p = row.p_value / 2 if right else 1 - row.p_value / 2
    return decided(holds=p <= options.level), (
        f"one-sided {words.p_equals(p, level=options.level)} for {_estimate(row)}"
    )


def same_sign(scene: Scene, options: spec.SameSign) -> Finding:
    """Two point estimates have one sign."""
    row, other = scene.judged_row(options), scene.against(options)
    there = judged_row(other, options)
    if row.estimate == 0 or there.estimate == 0:
        raise CannotBeJudged(
            f"an estimate of exactly zero has no sign: {words.number(row.estimate)} "
            f"here, {words.number(there.estimate)} in {other.address}"
        )
    same = (row.estimate > 0) == (there.estimate > 0)
    reason = (
        f"{words.number(row.estimate)} here, {words.number(there.estimate)} in "
        f"{other.address}"
    )
    if scene.row is None:
        reason += "; " + gap_in_words(difference(scene.this, other, options))
    return decided(holds=same), reason + _chosen(row)


def significant(scene: Scene, options: spec.Significant) -> Finding:
    """The (adjusted) p value is at most `level`."""
    row = scene.judged_row(options)
    p, how = _p_value(scene, options, row)
    reason = f"{words.p_equals(p, level=options.level)}{how} for {_estimate(row)}"
    if p <= options.level:
        return HOLDS, reason
    missed = row.detectable(options.level)
    if math.isfinite(missed):
        reason += (
            "; this does not show that there is no effect: the test finds effects of "
            f"{words.number(missed)} or more with {words.percent(POWER)} probability, "
            "smaller ones less often"
        )
    return FAILS, reason


def _p_value(scene: Scene, options: spec.Expectation, row: Row) -> tuple[float, str]:
    other_row = options.term or options.estimand or options.index() or scene.row
    adjusted = scene.adjusted.get(scene.this.address)
    if adjusted is not None and not other_row:
        if adjusted.p_value is None:
            raise CannotBeJudged(adjusted.reason)
        return adjusted.p_value, f" ({adjusted.method}; alone {_alone(row)})"
    if math.isnan(row.p_value):
        raise CannotBeJudged(f"{row.where} has no p value")
    return row.p_value, ""


def _alone(row: Row) -> str:
    return words.p_equals(row.p_value)


def equivalent(scene: Scene, options: spec.Equivalent) -> Finding:
    """Two one-sided tests at `level` reject effects of `bound` or more."""
    row = scene.judged_row(options)
    span = interval(row, 1 - 2 * options.level)
    status, reason = tost(span, options.bound)
    return status, f"{reason}; {_estimate(row)}"


def tost(span: Interval, bound: float) -> Finding:
    """Two one-sided tests at level a: the 1 - 2a interval inside ± bound."""
    text = f"the {span.name} {words.bounds(span.low, span.high, near=[-bound, bound])}"
    limit = f"±{words.number(bound)}"
    if span.inside(bound):
        return HOLDS, f"{text} lies inside {limit}"
    if span.low > bound or span.high < -bound:
        return FAILS, f"{text} lies wholly outside {limit}"
    reason = f"{text} reaches beyond {limit}: effects that large are not excluded"
    if math.isinf(span.reach()):
        return FAILS, reason
    return (
        FAILS,
        f"{reason} (a bound of {words.above(span.reach())} would be respected)",
    )


def within(scene: Scene, options: spec.Within) -> Finding:
    """The point estimate is near a number."""
    row = scene.judged_row(options)
    off = abs(row.estimate - options.number)
    slack = _DECIMAL * max(abs(options.number), options.tolerance)
    holds = off <= options.tolerance + slack
    return decided(holds=holds), (
        f"the estimate {words.number(row.estimate)} is "
        f"{words.number(off, near=[options.tolerance])} away from "
        f"{words.number(options.number)}; {words.number(options.tolerance)} is "
        f"allowed{_chosen(row)}"
    )


def covers(scene: Scene, options: spec.Covers) -> Finding:
    """The number lies in the interval, ends included."""
    number = scene.number(options)
    row = scene.judged_row(options)
    span = interval(row, 1 - options.level)
    holds = span.low <= number <= span.high
    text = words.bounds(span.low, span.high, near=[number])
    return decided(holds=holds), (
        f"the {span.name} {text} {'contains' if holds else 'leaves out'} "
        f"{words.number(number)}{_chosen(row)}"
    )


def extreme(scene: Scene, options: spec.Extreme) -> Finding:
    """Randomization p value (b + 1) / (B + 1): the B draws leave out the true one."""
    import numpy as np

    judged = scene.this
    draws = judged.finished().draws
    if draws is None or not len(draws):
        raise CannotBeJudged(
            f"{judged.address} has no random assignments to compare with"
        )
    if judged.draws is not None and "permute" not in judged.draws:
        raise CannotBeJudged(
            f"the draws of {judged.address} do not assign the treatment anew"
        )
    regrouped = (judged.draws or {}).get("permute", "treatment") != "treatment"
    tests = judged.finished().result.tests
    if regrouped and not any(t.name == "randomization" for t in tests):
        raise CannotBeJudged(
            f"the draws of {judged.address} deal out groups anew: `differ` compares them"
        )
    row = judged_row(judged)
    drawn = draws["estimate"].to_numpy(dtype=float)
    errors = draws["std_error"].to_numpy(dtype=float)
    raw = (judged.draws or {}).get("statistic") == "estimate"
    with_errors = (
        not raw and row.has_error and bool(np.isfinite(errors[errors > 0]).any())
    )
    if with_errors:
        ok = np.isfinite(drawn) & np.isfinite(errors) & (errors > 0)
        values, ours, name = drawn[ok] / errors[ok], row.estimate / row.std_error, "|t|"
    else:
        ok = np.isfinite(drawn)
        values, ours, name = drawn[ok], row.estimate, "|estimate|"
    b = int((np.abs(values) >= abs(ours) * (1 - _TIE)).sum())
    times = (judged.draws or {}).get("times")
    # Draws that failed may have left no line behind.
    B = max(len(drawn), times) if isinstance(times, int) else len(drawn)
    lost = B - int(ok.sum())
    best, p = (b + 1) / (B + 1), (b + lost + 1) / (B + 1)
    held = words.number(abs(ours))
    reason = (
        f"{b} of {B} random assignments give {name} of {held} or more: randomization "
        f"p = ({b} + 1) / ({B} + 1) = {words.number(best, near=[options.level])}"
    )
    if lost:
        reason += (
            f", or {words.number(p, near=[options.level])} if the {lost} that could "
            "not be estimated are as extreme"
        )
    smallest = 1 / (B + 1)
    if smallest > options.level:
        raise CannotBeJudged(
            f"{B} assignments can't give a p value of {words.number(options.level)} or "
            f"less; {reason}"
        )
    if best <= options.level < p:
        raise CannotBeJudged(reason)
    return decided(holds=p <= options.level), reason + _chosen(row)


def strong_first_stage(scene: Scene, options: spec.StrongFirstStage) -> Finding:
    """The smallest first-stage F reported is large enough."""
    scalars = scene.this.finished().result.scalars
    found = {
        name: float(value)
        for name, value in scalars.items()
        if name.startswith(_FIRST_STAGE) and math.isfinite(value)
    }
    if not found:
        raise CannotBeJudged(f"{scene.this.address} reports no first-stage F statistic")
    name, f = min(found.items(), key=lambda item: item[1])
    smallest = f", the smallest of {len(found)}" if len(found) > 1 else ""
    return decided(holds=f >= options.at_least), (
        f"F = {words.number(f, near=[options.at_least])} ({name}{smallest}), "
        f"{words.number(options.at_least)} is asked for"
    )


def _estimate(row: Row) -> str:
    """`the estimate 0.0818 (standard error 0.0589, 95% interval from … to …)`."""
    text = f"the estimate {words.number(row.estimate)}"
    inside = []
    if row.has_error:
        inside.append(f"standard error {words.number(row.std_error)}")
    if not (math.isnan(row.low) or math.isnan(row.high)):
        name = words.percent(row.confidence)
        inside.append(f"{name} interval {words.bounds(row.low, row.high)}")
    return text + (f" ({', '.join(inside)})" if inside else "") + _chosen(row)


def _chosen(row: Row) -> str:
    return f"; judged is {row.choice}" if row.choice else ""


def gap_in_words(gap: Difference) -> str:
    """A difference as a clause, its notes included."""
    notes = "".join(f"; note that {note}" for note in gap.notes)
    if gap.estimate is None:
        return f"no difference: {gap.reason}"
    if gap.identical:
        return f"it is the same number{notes}"
    if gap.std_error is None or gap.p_value is None:
        return (
            f"the difference is {words.number(gap.estimate)}, its error can't be "
            f"given: {gap.reason}{notes}"
        )
    return (
        f"the difference is {words.number(gap.estimate)} (standard error "
        f"{words.number(gap.std_error)}, {words.p_equals(gap.p_value)}; "
        f"{gap.method}){notes}"
    )
