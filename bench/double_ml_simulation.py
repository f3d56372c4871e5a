"""Paper 2's design with known effects: bias and coverage of double machine learning.

    python -m bench.double_ml_simulation            # 40 panels, adds to bench/figures/
    python -m bench.double_ml_simulation 1060 1080  # panels of these seeds, too
    python -m bench.double_ml_simulation 1020 2020 known  # the true curve alone: cheap
    python -m bench.double_ml_simulation tried      # four panels of what finds less

Panels of the generator `gip` (281 cities, 18 years, the same effect everywhere): adoption
and outcome share an index of the controls that is no line and whose weight grows over
time. The partially linear model, the interactive one and differences with learned
covariates by four learners each, beside pooled least squares and two-way fixed effects;
then the same final stage with what the others have to find: the true curve, or features
in which it is nearly a line. Rows are kept as they are made: a run that is stopped goes on
where it was, and a method that is new here is added to the panels that are there. The
tests hold a reduced version (tests/simulation/test_double_ml_paper.py).
"""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import framework.spec.choices  # noqa: F401 - lets options name learners
from bench.figures import ROOT
from estimators._math.indices import directed, entropy_weights, normalised
from estimators.double_ml import DoubleMl
from estimators.generators._gip import CONFOUNDERS, NEGATIVE
from estimators.generators.gip import Gip
from estimators.twfe import Twfe
from framework.contract import Estimator, Inference, Request, Treatment
from framework.errors import EstimandError

FOLDER = ROOT / "bench" / "figures"
ROWS = FOLDER / "double_ml_simulation.csv"
PAGE = ROOT / "docs" / "estimators" / "double_ml.md"
BEGIN, END = "<!-- made by bench/double_ml_simulation.py -->", "<!-- made -->"
FIRST, TIMES = 1020, 40
#: Cells of cohorts and periods are compared from here on; the first cohort is 2017.
_DID_SINCE, _IRM_SINCE = 2014, 2017
LEARNERS: Mapping[str, Any] = {
    "linear": "linear",
    "lasso": "lasso",
    "forest": {"forest": {"trees": 30, "min_leaf": 10}},
    "boosting": {"boosting": {"trees": 60}},
}
#: A lasso's logit searches its penalty in every fold: no panel in a second.
_CLASSIFIERS: Mapping[str, Any] = {**LEARNERS, "lasso": {"lasso": {"penalty": 0.01}}}
COLUMNS = ("seed", "method", "learner", "truth", "estimate", "std_error")


def panel(seed: int) -> tuple[pd.DataFrame, float]:
    """A panel with the entropy-weighted outcome, and the effect that is in it.

    Its column `curve` is the confounding that the generator put in.
    """
    frame, truth = Gip(preset="constant").generate(seed)
    names = [f"r{k}" for k in range(1, 13)]
    positive = np.array([name not in NEGATIVE for name in names])
    values = normalised(directed(frame[names].to_numpy(), positive), "min_max")
    _, weights = entropy_weights(values)
    first = frame["city"].map(
        {int(c): float(y) for c, y in truth["first_treated"].items()}
    )
    curve = np.array([truth["confounding"][str(c)] for c in frame["city"].unique()])
    made = frame[["city", "year", "gip", *CONFOUNDERS]].assign(
        uicr=values @ weights, first=first.fillna(np.inf), curve=curve.ravel()
    )
    return made, float(truth["estimands"]["att"])


Controls = dict[str, "pd.Series[float]"]


def plain(frame: pd.DataFrame) -> Controls:
    """The controls as they are."""
    return {c: frame[c] for c in CONFOUNDERS}


def squared(frame: pd.DataFrame) -> Controls:
    """With their squares."""
    return plain(frame) | {f"{c} squared": frame[c] ** 2 for c in CONFOUNDERS}


def true_curve(frame: pd.DataFrame) -> Controls:
    """With the squares and the curve that moves adoption and outcome."""
    return squared(frame) | {"curve": frame["curve"]}


def with_year(frame: pd.DataFrame) -> Controls:
    """With the year, as a number that a tree can split."""
    return plain(frame) | {"year": frame["year"].astype(float)}


def products(frame: pd.DataFrame) -> Controls:
    """With squares and products of pairs."""
    pairs = combinations_with_replacement(CONFOUNDERS, 2)
    return plain(frame) | {f"{a} x {b}": frame[a] * frame[b] for a, b in pairs}


def products_by_year(frame: pd.DataFrame) -> Controls:
    """With squares and products of pairs, all of them times the year, too."""
    flat = products(frame)
    since = (frame["year"] - frame["year"].min()).astype(float)
    return flat | {f"{name} x year": x * since for name, x in flat.items()}


#: A curve that grows needs many small steps and leaves that are not small.
_LIGHTGBM = {
    "lightgbm": {"trees": 400, "rate": 0.05, "leaves": 15, "min_leaf": 30, "l2": 5.0}
}
#: Method -> controls, name of the learner, learner; pooled, as nothing but the index and
#: what is linear confounds.
KNOWN = "PLR, true curve"
INFORMED: Mapping[str, tuple[Callable[[pd.DataFrame], Controls], str, Any]] = {
    KNOWN: (true_curve, "linear", "linear"),
    "PLR, products by year": (products_by_year, "lasso", "lasso"),
    "PLR, year a control": (with_year, "lightgbm", _LIGHTGBM),
}


#: What does not come as near, for `tried`.
_TRIED: Mapping[str, tuple[Callable[[pd.DataFrame], Controls], str, Any]] = {
    "products, no year": (products, "lasso", "lasso"),
    "year a control": (with_year, "boosting", {"boosting": 60}),
    "year a control, smaller steps": (
        with_year,
        "boosting",
        {"boosting": {"trees": 300, "rate": 0.05, "leaves": 8}},
    ),
    "year a control, most columns tried": (
        with_year,
        "forest",
        {"forest": {"trees": 200, "min_leaf": 3, "max_features": 0.6}},
    ),
    "year a control, two layers": (
        with_year,
        "neural_net",
        {"neural_net": {"layers": [64, 32], "penalty": 0.01}},
    ),
}


def request(frame: pd.DataFrame, seed: int, controls: Controls) -> Request:
    """As the framework makes it: cities whole, errors by city."""
    columns = {
        "y": frame["uicr"],
        "d": frame["gip"].astype(float),
        "first": frame["first"],
        **controls,
    }
    units, codes = np.unique(frame["city"], return_inverse=True)
    data = pd.DataFrame(columns).assign(u=codes, t=frame["year"])
    data = data.sort_values(["u", "t"], ignore_index=True)
    return Request(
        frame=data,
        outcome="y",
        treatment=Treatment("absorbing", ("d",), ("d",), cohort="first"),
        controls=tuple(controls),
        fixed_effects=("u", "t"),
        inference=Inference("cluster", ("u",)),
        unit="u",
        time="t",
        labels={c: c for c in data},
        ids={"u": units},
        seed=seed,
    )


#: Method, learner, estimator and request.
Method = tuple[str, str, Any, Request]


def methods(frame: pd.DataFrame, seed: int) -> Iterator[Method]:
    """Method, learner, estimator and request of everything that is compared."""
    whole = request(frame, seed, squared(frame))
    pooled = replace(whole, fixed_effects=("t",), estimand=("coefficient",))
    yield "OLS, years", "", Twfe(), pooled
    yield "TWFE", "", Twfe(), replace(whole, estimand=("coefficient",))
    late, later = (frame[frame["year"] >= y] for y in (_DID_SINCE, _IRM_SINCE))
    since = request(later, seed, squared(later))
    cells = request(late, seed, plain(late))
    quick = {"folds": 5, "repetitions": 1, "beside": "none"}
    means = "correlated_random_effects"
    for name, learner in LEARNERS.items():
        squares = replace(whole, estimand=("coefficient",))
        # A curve of the controls does not survive taking unit means.
        for transform in ("within", means) if name in {"linear", "lasso"} else (means,):
            plr = DoubleMl(learner=learner, transform=transform, **quick)
            said = "within" if transform == "within" else "unit means"
            yield f"PLR, {said}", name, plr, squares
        both = {"outcome": learner, "treatment": _CLASSIFIERS[name]}
        irm = DoubleMl(kind="irm", learner=both, transform=means, **quick)
        accept = frozenset({"poor_overlap"})
        yield (
            "IRM, unit means",
            name,
            irm,
            replace(since, estimand=("att",), acknowledge=accept),
        )
        did = DoubleMl(kind="did_multi", learner=both, folds=3, repetitions=1)
        accept = frozenset({"poor_overlap", "small_folds"})
        yield "DID", name, did, replace(cells, estimand=("att",), acknowledge=accept)
    yield from _pooled(INFORMED, frame, seed)


def _pooled(
    which: Mapping[str, tuple[Callable[[pd.DataFrame], Controls], str, Any]],
    frame: pd.DataFrame,
    seed: int,
) -> Iterator[Method]:
    for method, (controls, name, learner) in which.items():
        made = request(frame, seed, controls(frame))
        options = {"transform": "none", "folds": 5, "repetitions": 1, "beside": "none"}
        plr = DoubleMl(learner=learner, **options)
        yield method, name, plr, replace(made, estimand=("coefficient",))


def estimated(estimator: Estimator, made: Request) -> tuple[float, float]:
    """Estimate and standard error of the treatment; NaN where it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            table = estimator.estimate(made).coefficients
        except EstimandError as error:
            print(error, file=sys.stderr)
            return np.nan, np.nan
    row = table[table["term"] == "d"].iloc[0]
    return float(row["estimate"]), float(row["std_error"])


def read(path: Path = ROWS) -> pd.DataFrame:
    """Rows as they were written; a method without a learner has an empty one."""
    return pd.read_csv(path, keep_default_na=False, na_values=["nan"])


def known_curve(frame: pd.DataFrame, seed: int) -> Iterator[Method]:
    """The method that is told the curve alone, for coverage from 1,000 panels."""
    yield from _pooled({KNOWN: INFORMED[KNOWN]}, frame, seed)


def run(
    first: int,
    last: int,
    path: Path = ROWS,
    compared: Callable[[pd.DataFrame, int], Iterator[Method]] | None = None,
) -> None:
    """Add what panels first, …, last - 1 do not have yet, method by method.

    Args:
        first, last: seeds.
        path: of the rows.
        compared: what is estimated; none = all `methods`.
    """
    compared = methods if compared is None else compared
    known: set[tuple[int, str, str]] = set()
    if path.exists():
        known = set(
            read(path)[["seed", "method", "learner"]].itertuples(index=False, name=None)
        )
    for seed in range(first, last):
        frame, truth = panel(seed)
        rows = []
        for method, learner, estimator, made in compared(frame, seed):
            if (seed, method, learner) in known:
                continue
            estimate, error = estimated(estimator, made)
            rows.append((seed, method, learner, truth, estimate, error))
        fresh = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            if fresh:
                writer.writerow(COLUMNS)
            for *head, truth_, estimate, error in rows:
                numbers = [f"{x:.8g}" for x in (truth_, estimate, error)]
                writer.writerow([*head, *numbers])


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """By method and learner: bias as a share of the truth, spread, coverage.

    `errors` is the bias in its Monte Carlo errors, spread / sqrt(panels).
    """
    rows = rows.assign(
        off=(rows["estimate"] - rows["truth"]) / rows["truth"],
        relative=rows["std_error"] / rows["truth"],
        covers=(rows["estimate"] - rows["truth"]).abs() <= 1.96 * rows["std_error"],
    ).dropna(subset=["estimate"])
    grouped = rows.groupby(["method", "learner"], sort=False)
    found = grouped.agg(
        panels=("seed", "size"),
        bias=("off", "mean"),
        spread=("off", "std"),
        std_error=("relative", "mean"),
        coverage=("covers", "mean"),
    )
    found["errors"] = found["bias"] / (found["spread"] / np.sqrt(found["panels"]))
    return found.reset_index()


_HEAD = (
    "method",
    "learner",
    "bias",
    "bias / its Monte Carlo error",
    "spread",
    "standard error",
    "95 % intervals that cover",
)


def said(found: pd.DataFrame) -> Iterator[str]:
    """The summary as rows of a Markdown table."""
    for row in found.itertuples():
        hits = round(row.coverage * row.panels)
        yield (
            f"| {row.method} | {row.learner or '–'} | {row.bias:+.1%} "
            f"| {row.errors:+.1f} | {row.spread:.1%} | {row.std_error:.1%} "
            f"| {hits} of {row.panels} |"
        )


def write_page(found: pd.DataFrame, path: Path = PAGE) -> None:
    """Put the summary where the page has it."""
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    informed = found["method"].isin(INFORMED)
    learned = found[(found["learner"] != "") & ~informed]
    panels = int(learned["panels"].max())
    chance = 2 * np.sqrt(0.95 * 0.05 / panels)
    hits = (learned["coverage"] * learned["panels"]).round().astype(int)
    lowest, highest = learned["bias"].min(), learned["bias"].max()
    text = [
        f"{panels} panels, which know a coverage of 95 % to {100 * chance:.0f} points.",
        "The bias of what is learned from the controls and their squares goes from",
        f"{lowest:+.0%} to {highest:+.0%} of the effect; its intervals cover in",
        f"{hits.min()} to {hits.max()} of {panels}. No standard error shows that bias: a",
        "learner that does not find the curve in 281 cities is wrong with a small error.",
        *_informed_in_words(found[informed]),
        "",
        f"| {' | '.join(_HEAD)} |",
        "|---" * len(_HEAD) + "|",
        *said(found),
    ]
    made = "\n".join([BEGIN, *text, END])
    path.write_text(before + made + after, encoding="utf-8")


def _informed_in_words(found: pd.DataFrame) -> Iterator[str]:
    """Bias and coverage of the methods that know more, a line each."""
    for row in found.itertuples():
        hits = round(row.coverage * row.panels)
        yield (
            f"{row.method} ({row.learner}): {row.bias:+.1%}, "
            f"{hits} of {row.panels} panels."
        )


def tried(panels: int = 4) -> None:
    """Print how learners do that come less near to the curve than `INFORMED`."""
    rows = []
    for seed in range(FIRST, FIRST + panels):
        frame, truth = panel(seed)
        for method, name, estimator, made in _pooled(_TRIED, frame, seed):
            rows.append((seed, method, name, truth, *estimated(estimator, made)))
    print(*said(summary(pd.DataFrame(rows, columns=COLUMNS))), sep="\n")


def main(words: list[str]) -> None:
    """Run, then write the summary, on the page too, and the figure."""
    if words == ["tried"]:
        tried()
        return
    told = words[2:] == ["known"]
    first, last = (int(w) for w in words[:2]) if words else (FIRST, FIRST + TIMES)
    run(first, last, compared=known_curve if told else None)
    found = summary(read())
    print(*said(found), sep="\n")
    write_page(found)
    draw(found)


def draw(found: pd.DataFrame) -> None:
    """Bias with the spread of the estimates, and coverage, by method and learner."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [
        f"{m}, {x}" if x else str(m)
        for m, x in zip(found["method"], found["learner"], strict=True)
    ]
    figure = Figure(figsize=(8.2, 0.9 + 0.27 * len(found)))
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(found))
    kinds = list(dict.fromkeys(found["method"]))
    colours = ["#767676", "#222222", "#0072b2", "#56b4e9", "#d55e00", "#009e73"]
    colours += ["#cc79a7", "#8c564b", "#e69f00"]
    colour = [colours[kinds.index(m)] for m in found["method"]]
    left.hlines(
        place,
        found["bias"] - found["spread"],
        found["bias"] + found["spread"],
        color=colour,
        lw=2,
        alpha=0.45,
    )
    left.scatter(found["bias"], place, color=colour, s=22, zorder=3)
    left.axvline(0, color="#767676", lw=0.8, zorder=0)
    left.set_yticks(place, names)
    left.invert_yaxis()
    left.xaxis.set_major_formatter(lambda v, _: f"{v:+.0%}")
    left.tick_params(axis="x", labelsize=8)
    left.set_xlabel("Bias, share of the effect\n(bar: one standard deviation)")
    panels = found["panels"].to_numpy()
    error = np.sqrt(0.95 * 0.05 / panels)
    right.fill_betweenx(
        [-0.6, len(found) - 0.4],
        0.95 - 2 * error.max(),
        min(0.95 + 2 * error.max(), 1),
        color="#d5d5d5",
        alpha=0.5,
        lw=0,
    )
    right.scatter(found["coverage"], place, color=colour, s=22, zorder=3)
    right.axvline(0.95, color="#767676", lw=0.8, zorder=0)
    right.set_xlim(-0.03, 1.03)
    right.xaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    right.set_xlabel(
        f"95% intervals that cover, {panels.min()} panels or more\n(grey: what chance allows)"
    )
    for axes in (left, right):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#d5d5d5", lw=0.5)
        axes.set_axisbelow(True)
    figure.savefig(
        FOLDER / "double_ml_simulation.png",
        dpi=150,
        bbox_inches="tight",
        metadata={"Software": None},
    )


if __name__ == "__main__":
    main(sys.argv[1:])
