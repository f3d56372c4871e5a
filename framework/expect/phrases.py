"""An expectation as a phrase, with the options that decide it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from framework.expect import words
from framework.expect.rows import one_of_several
from framework.expect.scene import Scene
from framework.spec import expectations as spec


def in_words(name: str, options: spec.Expectation, scene: Scene) -> str:
    """`equivalent to zero within ±0.03 at 5%`.

    Which estimand is judged is added where the study names one, or shows several.
    """
    phrase = _PHRASES.get(name)
    text = phrase(options, scene) if phrase else name
    where = words.whereabouts(options.term or "", options.index())
    estimand = options.estimand
    if estimand is None and name in _OF_A_NUMBER:
        estimand = one_of_several(scene.this, options)
    asked = " ".join(part for part in (estimand, where) if part)
    return f"{text} ({asked})" if asked else text


#: Expectations that judge one number of an estimation.
_OF_A_NUMBER = frozenset(
    {
        "positive",
        "negative",
        "same_sign",
        "significant",
        "equivalent",
        "within",
        "covers",
        "extreme",
        "differ",
        "equal",
    }
)


def _against(options: spec.Expectation, scene: Scene) -> str:
    return options.against or scene.this.against or "the baseline"


def _within_bound(bound: float | None, level: float) -> str:
    if bound is None:
        return "(no bound declared)"
    return f"within ±{words.number(bound)} at {words.percent(level)}"


def _differ(options: spec.Differ, scene: Scene) -> str:
    level = words.percent(options.level)
    if scene.across(options):
        return f"values of the line differ at {level}"
    return f"differs from {_against(options, scene)} at {level}"


def _equal(options: spec.Equal, scene: Scene) -> str:
    text = (
        "values of the line are equal"
        if scene.across(options)
        else f"equal to {_against(options, scene)}"
    )
    if options.tolerance is not None:
        return f"{text} to {words.number(options.tolerance)}"
    return f"{text} {_within_bound(options.bound, options.level)}"


def _share(options: spec.Share, scene: Scene) -> str:
    what = "draws" if scene.has_draws() else "values"
    share = words.percent(options.at_least)
    return f"{_nested(options.of, scene)} at {share} or more of the {what}"


def _nested(flat: Mapping[str, Any], scene: Scene) -> str:
    name, options = spec.read(flat)
    return in_words(name, options, scene)


def _signed(name: str) -> Callable[[spec.Expectation, Scene], str]:
    def phrase(options: spec.Expectation, _: Scene) -> str:
        tested = "level" in options.model_fields_set
        level = f" at {words.percent(options.level)}, one-sided"
        return name + (level if tested else "")

    return phrase


def _covered(options: spec.Covers, scene: Scene) -> str:
    number = options.number
    if isinstance(number, dict):
        if scene.this.value not in number:
            return "the number of its value"
        number = number[scene.this.value]
    return words.number(number)


_PHRASES: Mapping[str, Callable[[Any, Scene], str]] = {
    "positive": _signed("positive"),
    "negative": _signed("negative"),
    "same_sign": lambda o, scene: f"same sign as {_against(o, scene)}",
    "significant": lambda o, _: f"significant at {words.percent(o.level)}",
    "equivalent": lambda o, _: f"equivalent to zero {_within_bound(o.bound, o.level)}",
    "flat_pretrend": lambda o, _: f"flat pre-trend {_within_bound(o.bound, o.level)}",
    "insignificant_leads": lambda o, _: (
        f"leads of zero {_within_bound(o.bound, o.level)}"
    ),
    "extreme": lambda o, _: (
        f"extreme among random assignments at {words.percent(o.level)}"
    ),
    "strong_first_stage": lambda o, _: (
        f"first-stage F of at least {words.number(o.at_least)}"
    ),
    "differ": _differ,
    "equal": _equal,
    "within": lambda o, _: (
        f"within {words.number(o.tolerance)} of {words.number(o.number)}"
    ),
    "covers": lambda o, scene: (
        f"{words.percent(1 - o.level)} interval covers {_covered(o, scene)}"
    ),
    "share": _share,
    "any": lambda o, scene: "any of: " + ", ".join(_nested(f, scene) for f in o.of),
    "not": lambda o, scene: f"not {_nested(o.of, scene)}",
}
