"""Expectations about several estimations: do they differ, are they equal?"""

from __future__ import annotations

from framework.expect import words
from framework.expect.comparison import (
    Difference,
    Equality,
    difference,
    equality,
    pairwise,
)
from framework.expect.regrouping import permuted
from framework.expect.rows import (
    POWER,
    CannotBeJudged,
    Interval,
    critical,
    judged_row,
)
from framework.expect.scene import FAILS, HOLDS, Finding, Scene, decided
from framework.expect.single import gap_in_words, tost
from framework.spec import expectations as spec

#: `0.15 - 0.10 <= 0.05` in decimals, so it should be in doubles.
_DECIMAL = 1e-12


def differ(scene: Scene, options: spec.Differ) -> Finding:
    """Equality is rejected at `level`."""
    if scene.across(options):
        column = (scene.this.draws or {}).get("permute", "treatment")
        if column != "treatment":
            return _differ_from_random_groups(scene, options, str(column))
        test = equality(scene.line(), options)
        text = _equal_text(scene, test, options)
        if test.p_value <= options.level:
            return HOLDS, text
        return FAILS, f"{text}; this is no evidence that they are equal"
    gap = difference(scene.this, scene.against(options), options)
    if gap.identical:
        return FAILS, "it is the same number as in " + scene.against(options).address
    _need_error(gap)
    assert gap.p_value is not None  # noqa: S101 - _need_error has seen it
    if gap.p_value <= options.level:
        return HOLDS, gap_in_words(gap)
    missed = _detectable(gap, options.level)
    return FAILS, (
        f"{gap_in_words(gap)}; this does not show that they are equal: the test finds "
        f"differences of {words.number(missed)} or more with {words.percent(POWER)} "
        "probability, smaller ones less often"
    )


def _differ_from_random_groups(
    scene: Scene, options: spec.Differ, column: str
) -> Finding:
    """The values differ by more than random groups of the same sizes do."""
    line = scene.line()
    test = permuted(line, options)
    each = ", ".join(
        f"{j.value or j.address} {words.number(judged_row(j, options).estimate)}"
        for j in line
    )
    text = (
        f"{test.beyond} of {test.draws} permutations of '{column}' between units set the "
        f"{len(line)} as far apart ({each}): p = ({test.beyond} + 1) / ({test.draws} + 1)"
        f" = {words.number(test.p_value, near=[options.level])}"
    )
    if test.lost:
        text += f", {test.lost} that gave no number counted as extreme"
    smallest = 1 / (test.draws + 1)
    if smallest > options.level:
        raise CannotBeJudged(
            f"{test.draws} permutations can't give a p value of "
            f"{words.number(options.level)} or less; {text}"
        )
    if test.p_value <= options.level:
        return HOLDS, text
    return FAILS, f"{text}; this is no evidence that they are equal"


def equal(scene: Scene, options: spec.Equal) -> Finding:
    """Every difference is shown to be small, or the numbers are that close."""
    if options.tolerance is not None:
        return _equal_numbers(scene, options, options.tolerance)
    found = _furthest(scene, options)
    if found is None:
        return HOLDS, "it is the same number"
    pair, span = found
    if options.bound is None:
        return _equal_untold(scene, options, span)
    status, reason = tost(span, options.bound)
    n = len(scene.line())
    many = f"; every one of {n * (n - 1) // 2} pairs must" if n > 2 else ""  # noqa: PLR2004 - more than one pair
    return status, f"for {pair}, {reason}{many if scene.across(options) else ''}"


def _furthest(scene: Scene, options: spec.Equal) -> tuple[str, Interval] | None:
    """The pair whose interval reaches furthest; None if all are the same number."""
    if not scene.across(options):
        other = scene.against(options)
        gap = difference(scene.this, other, options)
        if gap.identical:
            return None
        return f"{scene.this.address} minus {other.address}", _interval(gap, options)
    line = scene.line()
    pairs = pairwise(line, options)
    half = critical(1 - options.level, pairs.df) * pairs.errors
    reach = abs(pairs.gaps) + half
    i, j = divmod(int(reach.argmax()), len(line))
    if reach[i, j] == 0:
        return None
    name = _name(options)
    middle, wide = float(pairs.gaps[i, j]), float(half[i, j])
    return (
        f"{line[i].address} minus {line[j].address}",
        Interval(middle - wide, middle + wide, name),
    )


def _equal_numbers(scene: Scene, options: spec.Equal, tolerance: float) -> Finding:
    compared = (
        scene.line() if scene.across(options) else [scene.this, scene.against(options)]
    )
    numbers = {judged_row(j, options).estimate: j.address for j in compared}
    low, high = min(numbers), max(numbers)
    far = high - low
    return decided(holds=far <= tolerance * (1 + _DECIMAL)), (
        f"the furthest apart are {words.number(low)} ({numbers[low]}) and "
        f"{words.number(high)} ({numbers[high]}), by "
        f"{words.number(far, near=[tolerance])}; {words.number(tolerance)} is allowed"
    )


def _equal_untold(scene: Scene, options: spec.Equal, span: Interval) -> Finding:
    if scene.across(options):
        test = equality(scene.line(), options)
        p, text = test.p_value, _equal_text(scene, test, options)
    else:
        gap = difference(scene.this, scene.against(options), options)
        _need_error(gap)
        p, text = gap.p_value or 0.0, gap_in_words(gap)
    if p <= options.level:
        return FAILS, f"equality is rejected: {text}"
    raise CannotBeJudged(
        f"equality is not rejected: {text}. This is no evidence for it. Declare a "
        f"bound: it would hold from {words.above(span.reach())} on"
    )


def _equal_text(scene: Scene, test: Equality, options: spec.Expectation) -> str:
    line = scene.line()
    each = ", ".join(
        f"{j.value or j.address} {words.number(judged_row(j, options).estimate)}"
        for j in line
    )
    return (
        f"{test.text}, {words.p_equals(test.p_value, level=options.level)} that the "
        f"{len(line)} are equal ({each}); {test.method}"
    )


def _interval(gap: Difference, options: spec.Equal) -> Interval:
    _need_error(gap)
    assert gap.estimate is not None  # noqa: S101 - _need_error has seen them
    assert gap.std_error is not None  # noqa: S101 - as above
    half = critical(1 - options.level, gap.df) * gap.std_error
    return Interval(gap.estimate - half, gap.estimate + half, _name(options))


def _name(options: spec.Equal) -> str:
    return f"{words.percent(1 - 2 * options.level)} interval of the difference"


def _detectable(gap: Difference, level: float) -> float:
    assert gap.std_error is not None  # noqa: S101 - _need_error has seen it
    multiple = critical(1 - level / 2, gap.df) + critical(POWER, gap.df)
    return multiple * gap.std_error


def _need_error(gap: Difference) -> None:
    if gap.std_error is None:
        raise CannotBeJudged(gap.reason)
