"""What a result has to be, by itself and beside the request it answers."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr

from framework import glossary
from framework.contract import Estimator, Request
from framework.result import (
    COEFFICIENT_COLUMNS,
    INDEX_COLUMNS,
    OPEN_ENDS,
    Result,
    influence_variance,
)
from framework.spec.inference import BOOTSTRAPS
from framework.testing.alike import NUMBERS, changed
from framework.testing.canonical import Case
from framework.testing.findings import Findings

#: Squared standard errors against influence functions: rounding of a sum of products.
INFLUENCE = 1e-8
#: Statistics and p values: rounding of a quotient and of a tail probability.
AGREEMENT = 1e-6
#: Distance from the truth in standard errors; chance exceeds it once in 10^8.
FAR = 6.0
#: Inferences whose influence functions are sums over rows or clusters.
_SUMMED = frozenset({"iid", "hetero", "cluster"})
#: Estimands that equal the effect of the kit's data, which is the same everywhere.
_EFFECTS = frozenset(
    {"att", "ate", "late", "coefficient", "by_cohort", "by_event_time", "by_group"}
    | {"by_period"}
)


def check_result(
    estimator: Estimator, case: Case, request: Request, result: Any, found: Findings
) -> bool:
    """Everything one result shows; False if it is too broken to go on with."""
    if not isinstance(result, Result):
        found.add("output", f"estimate returns a {type(result).__name__}, not a Result")
        return False
    treats = type(estimator).estimates == "treatment"
    if not _columns(result, found, case.name):
        return False
    _glossary(result, found, case.name)
    for rule, what in _names(request, result):
        found.add(rule, what, case.name)
    frame = result.coefficients
    if treats and not len(frame):
        found.add("judged", "there is no coefficient", case.name)
        return False
    bootstrapped = request.inference.name in BOOTSTRAPS
    for rule, what in _numbers(result, bootstrapped=bootstrapped):
        found.add(rule, what, case.name)
    if treats:
        _judged(estimator, request, result, found, case)
        _influence(request, result, found, case.name)
        _truth(request, result, found, case)
    for what in _counts(request, result, demanded=treats):
        found.add("counts", what, case.name)
    _travels(result, found, case.name)
    return True


def _columns(result: Result, found: Findings, case: str) -> bool:
    columns = list(result.coefficients.columns)
    first, rest = (
        columns[: len(COEFFICIENT_COLUMNS)],
        columns[len(COEFFICIENT_COLUMNS) :],
    )
    if first != list(COEFFICIENT_COLUMNS):
        found.add(
            "columns",
            f"coefficients begin with {', '.join(map(str, first))}; they begin with "
            f"{', '.join(COEFFICIENT_COLUMNS)}",
            case,
        )
        return False
    for name in rest:
        if name not in INDEX_COLUMNS:
            known = ", ".join(INDEX_COLUMNS)
            found.add("columns", f"'{name}' is no index column; there is {known}", case)
    if not result.coefficients.index.is_unique:
        found.add("columns", "two coefficients have the same row label", case)
        return False
    return True


def _glossary(result: Result, found: Findings, case: str) -> None:
    parts = (
        ("estimand", result.coefficients["estimand"].unique(), glossary.ESTIMANDS),
        ("scalar", result.scalars, glossary.SCALARS),
        ("test", [test.name for test in result.tests], glossary.TESTS),
    )
    for word, names, known in parts:
        for name in names:
            if name not in known:
                found.add(
                    "glossary", f"{word} '{name}' is not in framework.glossary", case
                )


def _names(request: Request, result: Result) -> Iterator[tuple[str, str]]:
    """Aliases where the user's names should be."""
    aliases = "|".join(map(re.escape, map(str, request.frame.columns)))
    alias = re.compile(rf"(?<!\w)({aliases})(?!\w)")
    said = [("a term", str(term)) for term in result.coefficients["term"]]
    said += [("a note", note) for note in result.notes]
    said += [(f"test {t.name}", f"{t.null} {t.reason}") for t in result.tests]
    said += [(f"plot {p.kind}", f"{p.title} {dict(p.options)}") for p in result.plots]
    for name, frame in result.frames.items():
        said += [(f"frame '{name}'", str(column)) for column in frame.columns]
        for column in frame.select_dtypes(exclude=["number", "bool"]).columns:
            said += [(f"frame '{name}'", str(cell)) for cell in frame[column].unique()]
    for where, text in dict.fromkeys(said):
        if match := alias.search(text):
            yield (
                "names",
                f"{where} says '{match[1]}', a working column: use request.labels",
            )
    for note in result.notes:
        if not str(note).strip():
            yield "names", "a note is empty"
    for plot in result.plots:
        if plot.frame != "coefficients" and plot.frame not in result.frames:
            yield "columns", f"plot '{plot.kind}' draws '{plot.frame}', no such frame"


def _numbers(result: Result, *, bootstrapped: bool) -> Iterator[tuple[str, str]]:
    for what in (*_scalars(result), *_tests(result)):
        yield "numbers", what
    frame = result.coefficients
    if not len(frame):
        return
    numbers = frame[list(NUMBERS)]
    if any(dtype.kind not in "fiu" for dtype in numbers.dtypes):
        yield "numbers", "a column of numbers is not float64"
        return
    values = {c: numbers[c].to_numpy(dtype=np.float64) for c in NUMBERS}
    broken = False
    for column, cells in values.items():
        fine = np.isfinite(cells) | (
            np.isinf(cells) & (np.sign(cells) == OPEN_ENDS.get(column, 0.0))
        )
        if not fine.all():
            broken = True
            at = int(np.argmin(fine))
            yield "numbers", f"{column} of '{frame['term'].iloc[at]}' is {cells[at]}"
    if (values["std_error"] <= 0).any():
        broken = True
        yield "numbers", "a standard error is not positive"
    if not broken:
        df = float(result.scalars.get("df_t", np.inf))
        yield from _agreement(frame, values, df, bootstrapped=bootstrapped)


def _scalars(result: Result) -> Iterator[str]:
    scalars: Mapping[str, Any] = result.scalars  # plugins are typed by hope
    for name, value in scalars.items():
        if not isinstance(value, float | int | np.floating | np.integer):
            yield f"scalar {name} is no number: {value!r}"
        elif math.isnan(value) or (math.isinf(value) and name != "df_t"):
            yield f"scalar {name} is {value}"


def _tests(result: Result) -> Iterator[str]:
    for test in result.tests:
        if test.p_value is not None and not 0 <= test.p_value <= 1:
            yield f"the p value of test {test.name} is {test.p_value}"
        if not test.null.strip():
            yield f"test {test.name} does not say its null hypothesis"


def _agreement(
    frame: pd.DataFrame, values: dict[str, Any], df: float, *, bootstrapped: bool
) -> Iterator[tuple[str, str]]:
    def worst(off: Any) -> str:
        return f"'{frame['term'].iloc[int(np.argmax(off))]}'"

    low, middle, high = (values[c] for c in ("conf_low", "estimate", "conf_high"))
    outside = ~((low < middle) & (middle < high))
    if outside.any():
        yield "numbers", f"the estimate of {worst(outside)} is outside its interval"
    t = values["statistic"]
    off = np.abs(t - middle / values["std_error"]) > AGREEMENT * np.maximum(
        1, np.abs(t)
    )
    if off.any():
        yield "numbers", f"statistic of {worst(off)} is not estimate / std_error"
    if bootstrapped:  # its p values have the law of its draws
        return
    p = 2.0 * stdtr(df, -np.abs(t))
    off = np.abs(values["p_value"] - p) > AGREEMENT
    if off.any():
        law = "normal" if math.isinf(df) else f"t with {df:g} degrees of freedom"
        what = f"p_value of {worst(off)} is not the two-sided p of its statistic"
        yield "numbers", f"{what} ({law}; scalar df_t names another)"


def _judged(
    estimator: Estimator,
    request: Request,
    result: Result,
    found: Findings,
    case: Case,
) -> None:
    first = result.coefficients.iloc[0]
    treatment, asked = request.treatment, request.estimand[:1]
    if treatment is None:
        return
    interacted = treatment.judged != treatment.columns
    declared = estimator.gives()
    if interacted:
        wanted: tuple[str, ...] = ("interaction", *asked)
    elif treatment.kind in {"absorbing", "cross_section"}:
        wanted = asked
    else:
        wanted = (*declared, "coefficient")
    if first["estimand"] not in wanted:
        found.add(
            "judged",
            f"asked for {wanted[0]}, the first row is {first['estimand']}",
            case.name,
        )
    terms = [str(request.labels[alias]) for alias in treatment.judged]
    if first["term"] not in terms:
        found.add(
            "judged",
            f"the first row's term is '{first['term']}', the treatment is "
            f"{', '.join(map(repr, terms))}",
            case.name,
        )


def _influence(request: Request, result: Result, found: Findings, case: str) -> None:
    def wrong(what: str) -> None:
        found.add("influence", what, case)

    psi = result.influence
    named = request.inference.name
    if psi is None:
        if named in _SUMMED:
            wrong("there is none, so the estimate can't be compared with others")
        return
    labels = list(result.coefficients.index)
    foreign = [c for c in psi.columns if c not in labels]
    if foreign:
        wrong(f"column {foreign[0]!r} is no row label of the coefficients")
        return
    if labels[0] not in psi.columns:
        wrong("the judged row has none")
        return
    with found.surviving("influence", "influence_variance(influence)", case):
        V = np.diag(influence_variance(psi).to_numpy(dtype=np.float64))
        squared = (
            result.coefficients.loc[list(psi.columns), "std_error"].to_numpy() ** 2
        )
        apart = np.abs(V - squared) / squared
        if not (apart <= INFLUENCE).all():
            worst = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
            term = result.coefficients["term"].loc[psi.columns[worst]]
            wrong(
                f"the variance of '{term}' from the influence functions is "
                f"{V[worst] / squared[worst]:.6g} times its squared standard error"
            )
    if named == "cluster" and len(request.inference.clusters) == psi.index.nlevels:
        for level, alias in enumerate(request.inference.clusters):
            used = set(psi.index.get_level_values(level))
            known = set(request.ids[alias])
            if not used <= known:
                stranger = min(used - known, key=str)
                wrong(
                    f"its index has {stranger!r}, which is no id of cluster "
                    f"'{request.labels[alias]}' (request.ids has them)"
                )


def _counts(request: Request, result: Result, *, demanded: bool) -> Iterator[str]:
    scalars, frame = result.scalars, request.frame
    used = scalars.get("n_obs")
    if used is None:
        if demanded:
            yield "scalar n_obs is missing"
        return
    rows, single = len(frame), scalars.get("n_singletons", 0.0)
    if used > rows:
        yield f"n_obs is {used:g}, {rows} rows were given"
    if used + single != rows and not result.notes:
        yield (
            f"n_obs is {used:g}, {rows} rows were given, {single:g} are singletons: no "
            "note says where the others are"
        )
    if used == rows:
        for name, value in _counted(request).items():
            if name in scalars and scalars[name] != value:
                yield f"{name} is {scalars[name]:g}, there are {value:g}"


def _counted(request: Request) -> dict[str, float]:
    """Our own count of what a result may count."""
    frame, actual = request.frame, dict[str, float]()
    for name, alias in (("n_units", request.unit), ("n_periods", request.time)):
        if alias:
            actual[name] = frame[alias].nunique()
    groups = [frame[alias].nunique() for alias in request.inference.clusters]
    if groups:
        actual["n_clusters"] = min(groups)
    if request.treatment:
        on = frame[request.treatment.columns[0]] != 0
        actual["n_treated_obs"] = float(on.sum())
        if request.unit:
            actual["n_treated_units"] = frame.loc[on, request.unit].nunique()
    return actual


def _truth(request: Request, result: Result, found: Findings, case: Case) -> None:
    frame = result.coefficients
    # A standard error of zero or NaN is a fault of its own.
    sound = (frame["std_error"] > 0).all()
    if case.effect is None or request.treatment is None or not sound:
        return
    first = frame.iloc[0]
    interacted = request.treatment.judged != request.treatment.columns
    if interacted and first["estimand"] == "interaction":
        truth = pd.Series(0.0, frame.index[:1])
    elif not interacted and first["estimand"] in _EFFECTS:
        of = frame[
            (frame["estimand"] == first["estimand"])
            & (frame["term"] == first["term"])
            & (frame["equation"] == first["equation"])
        ]
        truth = pd.Series(case.effect, of.index)
        if "event_time" in of:
            before = of["event_time"].lt(0).fillna(value=False).to_numpy(dtype=bool)
            truth[before] = 0.0
    else:
        return
    rows = frame.loc[truth.index]
    away = ((rows["estimate"] - truth).abs() / rows["std_error"]).to_numpy()
    if (away > FAR).any():
        at = int(away.argmax())
        row = rows.iloc[at]
        found.add(
            "truth",
            f"{row['estimand']} of '{row['term']}' is {row['estimate']:.4g}, the effect "
            f"is {truth.iloc[at]:g}: {away[at]:.0f} standard errors away",
            case.name,
        )


def _travels(result: Result, found: Findings, case: str) -> None:
    with found.surviving("pickle", "pickling the result", case):
        back = pickle.loads(pickle.dumps(result))  # noqa: S301 - our own bytes
        for path in changed(result, back):
            found.add("pickle", f"{path} comes back as another from a process", case)
