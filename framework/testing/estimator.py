"""An estimator against its contract."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
import pandas as pd

from framework.contract import Estimator, Request, Slope
from framework.errors import EstimandError
from framework.panel import Kind
from framework.result import Result
from framework.testing.alike import changed, farthest, snapshot
from framework.testing.canonical import SEED, Case, cases
from framework.testing.declaration import check_declaration
from framework.testing.findings import Findings
from framework.testing.result import check_result

#: Another order of the same sums: rounding.
SAME = 1e-10
#: Another size of the outcome: an iterative solver stops where it is near enough.
SCALED = 1e-8
#: Factor of the outcome; no power of two, so that rounding differs.
FACTOR = 1000.0
#: Another confidence, and its interval is narrower than at 0.95.
CONFIDENCE = 0.8
#: What nobody should have to escape: formulas, code, words that engines know.
_HOSTILE = (
    "log(y) + 1",
    "a b | c",
    "Intercept",
    "__import__('os')",
    "C(x)[T.1]",
    "x`y",
    "1",
    "städte, λ",
)
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Answer:
    """A case that gave a sound result."""

    case: Case
    request: Request
    result: Result


def check_estimator(
    cls: type[Estimator],
    /,
    *,
    kinds: Collection[Kind] = get_args(Kind),
    model: Mapping[str, Any] = _NOTHING,
    exempt: Mapping[str, str] = _NOTHING,
    **options: Any,
) -> None:
    """Run an estimator on every structure that it takes and hold it to the contract.

    Args:
        cls: the estimator.
        kinds: structures that it takes with these options, if not all of its `needs`.
        model: fields of the model that hold in every case, as they are stored
            (`{"outcome": "count"}`); columns are those of `framework.testing.canonical`.
        exempt: rule (a key of `RULES`) -> reason why it can't hold for this estimator.
        options: the estimator's options.

    Raises:
        NotConforming: every promise that it breaks, one sentence each.
    """
    found = Findings(cls.__name__, exempt)
    estimator = check_declaration(cls, Estimator, options, found)
    if estimator is not None:
        with warnings.catch_warnings():
            # As in a run: engines warn about what is checked here.
            warnings.simplefilter("ignore")
            answers = list(_answers(estimator, model, kinds, found))
            for answer in _thorough(answers):
                _once_more(estimator, answer, found)
                _other_seed(estimator, answer, found)
                _other_names(estimator, answer, found)
                _other_data(estimator, answer, found)
                _other_confidence(estimator, answer, found)
                _impossible(estimator, answer, found)
            _estimands(estimator, answers, found)
    found.conclude()


def _answers(
    estimator: Estimator,
    model: Mapping[str, Any],
    kinds: Collection[Kind],
    found: Findings,
) -> Iterator[_Answer]:
    """Every case that gives a result which holds together."""
    for case in cases(estimator, model):
        if case.kind not in kinds:
            continue
        try:
            request = case.request(estimator)
        except EstimandError as error:
            if not case.demanded:
                continue
            what = error.problems[0].what
            found.add(
                "refusals", f"needs refuse what they say they take: {what}", case.name
            )
            continue
        before = snapshot(request)
        try:
            with found.untouched_state():
                result = estimator.estimate(request)
        except EstimandError as error:
            if case.demanded:
                what = str(error.problems[0].what)
                found.add(
                    "refusals", f"it refuses what its needs take: {what}", case.name
                )
            continue
        except Exception as error:
            found.add(
                "refusals", f"it raises {type(error).__name__}: {error}", case.name
            )
            continue
        for path in changed(before, request):
            found.add("purity", f"it changes request.{path}", case.name)
        if check_result(estimator, case, before, result, found):
            yield _Answer(case, before, result)


def _thorough(answers: Sequence[_Answer]) -> list[_Answer]:
    """One case of every structure, with controls where there are any."""
    chosen: dict[str, _Answer] = {}
    for answer in answers:
        first = answer.case.kind not in chosen
        if first or answer.case.name.endswith(", controls"):
            chosen[answer.case.kind] = answer
    return list(chosen.values())


def _estimate(
    estimator: Estimator, request: Request, found: Findings, rule: str, doing: str
) -> Result | None:
    return found.attempt(lambda: estimator.estimate(snapshot(request)), rule, doing)


# -- the same again -------------------------------------------------------------------


def _once_more(estimator: Estimator, answer: _Answer, found: Findings) -> None:
    again = _estimate(
        estimator, answer.request, found, "determinism", "estimating once more"
    )
    if again is None:
        return
    for path in changed(answer.result, again):
        found.add(
            "determinism",
            f"{path} is another when the same request is estimated again: draw from "
            "request.seed only",
            answer.case.name,
        )


def _other_seed(estimator: Estimator, answer: _Answer, found: Findings) -> None:
    """What does not say that it draws random numbers has no use for a seed."""
    if estimator.is_random():
        return
    request = replace(answer.request, seed=answer.request.seed + 1)
    other = _estimate(
        estimator, request, found, "determinism", "estimating under another seed"
    )
    path = next(changed(answer.result, other), "") if other is not None else ""
    if path:
        found.add(
            "determinism",
            f"{path} is another under another seed: say `random = True`, or in "
            "`is_random` with which options; else every study is given seed 0",
            answer.case.name,
        )


def _other_names(estimator: Estimator, answer: _Answer, found: Findings) -> None:
    """Other working columns, then other labels: the same numbers, bit for bit."""
    request, case = answer.request, answer.case.name
    columns = list(request.frame.columns)
    # The same kind of name in the opposite order.
    alias = {c: f"v{len(columns) + 99 - i:03d}" for i, c in enumerate(columns)}
    other = _estimate(
        estimator, _aliased(request, alias), found, "aliases", "renaming the columns"
    )
    if other is not None:
        where, apart = farthest(answer.result, other)
        if apart > 0:
            found.add("aliases", f"{where} moves when columns are renamed", case)
    labels = {
        old: f"{_HOSTILE[i % len(_HOSTILE)]}{i // len(_HOSTILE) or ''}"
        for i, old in enumerate(dict.fromkeys(request.labels.values()))
    }
    told = replace(request, labels={a: labels[t] for a, t in request.labels.items()})
    doing = "columns with names such as 'log(y) + 1'"
    other = _estimate(estimator, told, found, "names", doing)
    if other is None or not len(answer.result.coefficients):
        return
    before = answer.result.coefficients["term"].map(lambda t: labels.get(t, t))
    first = other.coefficients["term"].iloc[0]
    if type(estimator).estimates == "treatment" and first != before.iloc[0]:
        found.add(
            "names",
            f"the treatment is named {before.iloc[0]!r} and the first row's term is "
            f"{first!r}",
            case,
        )
    numbers = replace(
        other, coefficients=other.coefficients.assign(term=before.to_numpy())
    )
    same = replace(
        answer.result,
        coefficients=answer.result.coefficients.assign(term=before.to_numpy()),
    )
    where, apart = farthest(same, numbers)
    if apart > 0:
        found.add("names", f"{where} moves when the user's names are other ones", case)


def _aliased(request: Request, alias: Mapping[str, str]) -> Request:
    """The request with other working columns."""

    def one(name: str | None) -> str | None:
        return None if name is None else alias[name]

    def many(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(alias[name] for name in names)

    treatment, weights = request.treatment, request.weights
    if treatment is not None:
        treatment = replace(
            treatment,
            columns=many(treatment.columns),
            judged=many(treatment.judged),
            moderators=many(treatment.moderators),
            cohort=one(treatment.cohort),
        )
    if weights is not None:
        weights = replace(weights, column=alias[weights.column])
    return replace(
        request,
        frame=request.frame.rename(columns=dict(alias)),
        outcome=alias.get(request.outcome, request.outcome),
        treatment=treatment,
        controls=many(request.controls),
        fixed_effects=many(request.fixed_effects),
        slopes=tuple(Slope(alias[s.variable], alias[s.by]) for s in request.slopes),
        instruments=many(request.instruments),
        mediators=many(request.mediators),
        weights=weights,
        inference=replace(
            request.inference,
            clusters=many(request.inference.clusters),
            places=many(request.inference.places),
        ),
        unit=one(request.unit),
        time=one(request.time),
        labels={alias[a]: label for a, label in request.labels.items()},
        ids={alias[a]: values for a, values in request.ids.items()},
    )


# -- the same data otherwise ----------------------------------------------------------


def _other_data(estimator: Estimator, answer: _Answer, found: Findings) -> None:
    """Rows in another order, units with other names, the outcome in other units."""
    case, data = answer.case, answer.case.panel.frame
    unit, _ = case.keys

    def compare(rule: str, doing: str, other: pd.DataFrame, factor: float) -> None:
        scaled = ("estimate", "std_error", "conf_low", "conf_high")
        request = found.attempt(
            lambda: case.request(estimator, data=other), rule, doing, case.name
        )
        if request is None:
            return
        result = _estimate(estimator, request, found, rule, doing)
        if result is None:
            return
        one, two = answer.result, result
        if factor != 1:
            # First stages and other equations are not in units of the outcome.
            one, two = _main_equation(one), _main_equation(two)
        where, apart = farthest(one, two, scale=dict.fromkeys(scaled, factor))
        if apart > (SAME if factor == 1 else SCALED):
            size = "other rows" if np.isinf(apart) else f"by {apart:.1e}"
            found.add(rule, f"{where} moves ({size}) with {doing}", case.name)

    shuffled = data.sample(frac=1, random_state=SEED).reset_index(drop=True)
    compare("row_order", "the rows in another order", shuffled, 1)
    if unit is not None:
        # Other first letters and the opposite order: sorting gives other codes.
        known = sorted(data[unit].unique())
        names = {old: f"place {len(known) - i:03d}" for i, old in enumerate(known)}
        renamed = data.assign(**{unit: data[unit].map(names)})
        compare("unit_names", "units renamed", renamed, 1)
    if case.effect is not None and type(estimator).estimates == "treatment":
        larger = data.assign(y=FACTOR * data["y"])
        compare("outcome_scale", f"the outcome times {FACTOR:g}", larger, FACTOR)


def _main_equation(result: Result) -> Result:
    frame = result.coefficients
    return replace(result, coefficients=frame[frame["equation"] == "main"])


def _other_confidence(estimator: Estimator, answer: _Answer, found: Findings) -> None:
    if type(estimator).estimates != "treatment":
        return
    doing = f"confidence {CONFIDENCE}"
    request = replace(answer.request, confidence=CONFIDENCE)
    other = _estimate(estimator, request, found, "confidence", doing)
    if other is None or not len(other.coefficients):
        return
    wide, narrow = answer.result.coefficients.iloc[0], other.coefficients.iloc[0]
    if wide["estimate"] != narrow["estimate"]:
        found.add("confidence", f"the estimate moves with {doing}", answer.case.name)
    elif not (
        wide["conf_low"] < narrow["conf_low"] < narrow["conf_high"] < wide["conf_high"]
    ):
        found.add(
            "confidence",
            f"the interval at {CONFIDENCE} is not inside that at 0.95: use "
            "request.confidence",
            answer.case.name,
        )


# -- what can't be estimated ----------------------------------------------------------


def _impossible(estimator: Estimator, answer: _Answer, found: Findings) -> None:
    request, case = answer.request, answer.case.name
    treats = type(estimator).estimates == "treatment"

    def refused(doing: str, changed_: Request) -> None:
        found.refusal(
            lambda: estimator.estimate(changed_), doing, case, demanded=treats
        )

    frame = request.frame
    refused("no rows", _on(request, frame.iloc[:0]))
    if request.unit is not None:
        unit = frame[request.unit]
        refused("a single unit", _on(request, frame[unit == unit.iloc[0]]))
    else:
        refused("a single row", _on(request, frame.iloc[:1]))
    if request.treatment is not None and estimator.demands().treatment:
        refused("a treatment that is 0 everywhere", _never(request))


def _on(request: Request, rows: pd.DataFrame) -> Request:
    return replace(snapshot(request), frame=rows.reset_index(drop=True))


def _never(request: Request) -> Request:
    """Nobody is treated."""
    treatment = request.treatment
    assert treatment is not None  # noqa: S101 - the caller asks
    off: dict[str, float] = dict.fromkeys((*treatment.columns, *treatment.judged), 0.0)
    if treatment.cohort is not None:
        off[treatment.cohort] = np.inf
    series = treatment.series
    if series is not None:
        held = {"value": 0.0, "cohort": np.inf}
        series = series.assign(**{c: v for c, v in held.items() if c in series})
    return replace(
        request,
        frame=request.frame.assign(**off),
        treatment=replace(treatment, series=series),
    )


# -- what is asked for ----------------------------------------------------------------


def _estimands(
    estimator: Estimator, answers: Sequence[_Answer], found: Findings
) -> None:
    """Each declared estimand, asked for alone, is the first row somewhere."""
    if type(estimator).estimates != "treatment":
        return
    plain = [a for a in answers if re.match(r"plain ", a.case.name)]
    interacted = [a for a in answers if a.case.name.endswith(", interaction")]
    for estimand in estimator.gives():
        given = False
        # Groups may be those of a moderator.
        of = {"interaction": interacted, "by_group": [*plain, *interacted]}
        for answer in of.get(estimand, plain):
            request = replace(snapshot(answer.request), estimand=(estimand,))
            try:
                result = estimator.estimate(request)
            except EstimandError:
                continue
            except Exception as error:
                what = (
                    f"asked for {estimand}, it raises {type(error).__name__}: {error}"
                )
                found.add("estimands", what, answer.case.name)
                continue
            first = str(result.coefficients["estimand"].iloc[0])
            given = given or first == estimand
            if first != estimand:
                what = f"asked for {estimand}, it gives {first}"
                found.add("estimands", what, answer.case.name)
        if not given and (plain or interacted):
            found.add("estimands", f"it declares {estimand} and never gives it")


__all__ = ["check_estimator"]
