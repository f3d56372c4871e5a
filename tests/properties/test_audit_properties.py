"""Rounding alone never raises an alarm: true numbers, rounded, always pass."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from framework.audit import RULES, Finding, Leaf, Scene
from framework.audit.rounding import Interval, p_of, t_of, two_sided, z_of
from framework.audit.rules import autocorrelation, stars
from framework.claims import Claims
from framework.published import parse, printed_numbers, stars_of

LEVELS = [0.10, 0.05, 0.01]
numbers = st.floats(-1e4, 1e4, allow_nan=False)
errors = st.floats(1e-3, 1e3)
digits = st.integers(0, 5)


def shown(value: float, places: int) -> str:
    return f"{value:.{places}f}"


@given(numbers, digits)
def test_the_interval_holds_what_was_rounded(value: float, places: int) -> None:
    assert Interval.of(shown(value, places)).holds(value)


@given(numbers, numbers, digits, digits)
def test_arithmetic_holds_the_true_result(a: float, b: float, p: int, q: int) -> None:
    x, y = Interval.of(shown(a, p)), Interval.of(shown(b, q))
    for true, found in (
        (a + b, x + y), (a - b, x - y), (a * b, x * y), (abs(a), abs(x)),
        (a * a, x.square()),
    ):  # fmt: skip
        # Doubles lose about 1e-16 of the larger operand.
        gap = 1e-12 * (abs(a) + abs(b) + 1)
        assert found.low - gap <= true <= found.high + gap
    if b:
        ratio = x / y
        gap = 1e-9 * (abs(a / b) + 1)
        assert ratio.low - gap <= a / b <= ratio.high + gap


@given(numbers, errors, digits, digits, st.integers(9, 1000))
def test_true_stars_are_always_possible(
    estimate: float, error: float, p: int, q: int, df: int
) -> None:
    t = abs(estimate / error)
    rounded = t_of(Decimal(shown(estimate, p)), Decimal(shown(error, q)))
    assert rounded.low <= t * (1 + 1e-9)
    assert rounded.high >= t * (1 - 1e-9)
    for true in (float(2 * stats.t.sf(t, df)), two_sided(t)):
        allowed = p_of(rounded, 9)
        # The tails of two implementations agree to about 1e-12.
        assert allowed.low <= true + 1e-9
        assert allowed.high >= true - 1e-9
        assume(all(abs(true - level) > 1e-9 for level in LEVELS))
        assert stars.possible(len(stars_of(true, LEVELS)), allowed, LEVELS)


@given(st.floats(1e-4, 1 - 1e-4), st.booleans(), digits)
def test_z_holds_one_and_two_sided_tests(p: float, one: bool, places: int) -> None:
    z = abs(float(stats.norm.isf(p if one else p / 2)))
    found = z_of(Interval.of(shown(p, places)))
    assert found.low <= z + 1e-9
    assert found.high >= z - 1e-9


@given(
    st.floats(-0.5, 0.5),
    st.floats(0.004, 0.2),
    st.booleans(),
    st.integers(2, 4),
)
def test_a_true_pair_allows_its_standard_deviation(
    value: float, sd: float, one: bool, places: int
) -> None:
    mean = -1 / 285
    z = (value - mean) / sd
    p = stats.norm.sf(z) if one else two_sided(z)
    leaf = Leaf("m", "I[1]", parse(f"{shown(value, places)} [{shown(p, places)}]"))
    spread = autocorrelation._Spread({1: mean}, {1: sd})
    assert autocorrelation._unfit({1: leaf}, spread) == []


def scene_of(published: dict[str, Any], models: dict[str, Any]) -> Scene:
    leaves = tuple(
        Leaf(".".join(path[:-1]), path[-1], number)
        for path, number in printed_numbers(published).items()
    )

    def refuse(*_: Any) -> Any:
        raise AssertionError("printed numbers need no data")

    study: Any = SimpleNamespace(tree={"data": {}, "model": {}})
    claims = Claims.model_validate(published.get("claims", {}))
    return Scene(study, claims, leaves, models, refuse, refuse, refuse, no_data="none")


class _Line:
    """As much of an estimation as rules about printed numbers look at."""

    def __init__(self, **model: Any) -> None:
        self.model = {"treatment": {"column": "d"}, **model}
        self.data: dict[str, Any] = {}
        self.place = None
        self.runs = True


def judged(name: str, scene: Scene) -> list[Finding]:
    (rule,) = [r for r in RULES if r.name == name]
    return list(rule.judge(scene))


@settings(deadline=None)  # the first example imports scipy
@given(
    st.integers(3, 3000), st.integers(0, 10**6), st.sampled_from([3, 4]), st.booleans()
)  # fmt: skip
def test_moments_of_real_columns_pass(
    n: int, seed: int, places: int, ddof: bool
) -> None:
    rng = np.random.default_rng(seed)
    held = {
        "d": (rng.random(n) < rng.random()).astype(float),
        "x": np.exp(rng.normal(size=n)),
        "y": rng.normal(rng.normal(), 1.0, n),
    }
    low, high = np.quantile(held["y"], [0.01, 0.99], method="lower")
    held["y"] = np.clip(held["y"], low, max(high, low))
    rows: dict[str, Any] = {
        f"{moment}[{name}]": shown(value, places)
        for name, x in held.items()
        for moment, value in (
            ("mean", x.mean()), ("sd", x.std(ddof=int(ddof or name != "d"))),
            ("min", x.min()), ("max", x.max()),
        )
    }  # fmt: skip
    published = {
        "table": {"line": {**rows, "n_obs": str(n)}},
        "claims": {"variables": {"d": "binary"}},
    }
    scene = scene_of(published, {"table.line": _Line()})
    assert not [f for f in judged("descriptives", scene) if f.alarm]


@settings(deadline=None)  # numpy's first quantile is slow
@given(
    st.integers(10, 3000), st.integers(0, 10**6), st.sampled_from([0.3, 1.0, 3.0]),
    st.sampled_from([(0.01, 0.99), (0.05, 0.95)]),
)  # fmt: skip
def test_winsorized_columns_are_never_impossible(
    n: int, seed: int, tail: float, limits: tuple[float, float]
) -> None:
    x = np.exp(tail * np.random.default_rng(seed).normal(size=n))
    x = np.clip(x, *np.quantile(x, limits))
    moments = {"mean": x.mean(), "sd": x.std(ddof=1), "min": x.min(), "max": x.max()}
    row = {f"{name}[x]": shown(value, 4) for name, value in moments.items()}
    published = {
        "table": {"line": {**row, "n_obs": str(n)}},
        "claims": {"data": {"winsorized": list(limits)}},
    }
    scene = scene_of(published, {"table.line": _Line()})
    found = judged("descriptives", scene)
    assert "impossible" not in {f.severity for f in found}


@given(numbers, numbers, errors, errors, st.floats(-1, 1), digits)
def test_true_parts_and_totals_pass(
    a: float, b: float, se_a: float, se_b: float, r: float, places: int
) -> None:
    se = math.sqrt(max(se_a**2 + se_b**2 + 2 * r * se_a * se_b, 0.0))
    table = {
        part: {"d": f"{shown(v, places)} ({shown(e, places)})"}
        for part, v, e in (
            ("direct", a, se_a), ("indirect", b, se_b), ("total", a + b, se),
        )
    }  # fmt: skip
    models = {f"t.{part}": _Line(estimand=part) for part in table}
    found = judged("effects", scene_of({"t": table}, models))
    assert [f.severity for f in found] == ["confirmed"]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(-2, 2)), min_size=1, max_size=4),
    st.integers(2, 5),
)
def test_true_decompositions_pass(
    parts: list[tuple[float, float]], places: int
) -> None:
    total = sum(w * e for w, e in parts)
    held = {"two_way_estimate": shown(total, places)}
    for i, (weight, estimate) in enumerate(parts):
        held |= {f"weight_{i}": shown(weight, places)}
        held |= {f"estimate_{i}": shown(estimate, places)}
    scene = scene_of({"b": {"w": held}}, {"b.w": _Line()})
    found = judged("decomposition", scene)
    assert {f.severity for f in found} == {"confirmed", "cannot be judged"}


@pytest.mark.parametrize("text", ["0.0638** (0.0255)", "-1,234.5 (0.0000)"])
def test_a_zero_standard_error_has_no_upper_t(text: str) -> None:
    leaf = Leaf("a", "b", parse(text))
    assert leaf.t is not None
    assert leaf.t.low <= leaf.t.high


def test_the_rules_have_one_name_each() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    files = {
        p.stem
        for p in (Path(__file__).parents[2] / "framework/audit/rules").glob("[a-z]*.py")
    }
    assert set(names) == files
