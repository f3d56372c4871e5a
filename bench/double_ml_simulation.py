"""Paper 2's design with known effects: bias and coverage of double machine learning.

    python -m bench.double_ml_simulation            # 40 panels, adds to bench/figures/
    python -m bench.double_ml_simulation 1060 1080  # panels of these seeds, too

Panels of the generator `gip` (281 cities, 18 years, the same effect everywhere): adoption
and outcome share an index of the controls that is no line and whose weight grows over
time. The partially linear model, the interactive one and differences with learned
covariates by four learners each, beside pooled least squares and two-way fixed effects.
Rows are kept as they are made: a run that is stopped goes on where it was. The tests hold
a reduced version (tests/simulation/test_double_ml_paper.py).
"""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
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
    """A panel with the entropy-weighted outcome, and the effect that is in it."""
    frame, truth = Gip(preset="constant").generate(seed)
    names = [f"r{k}" for k in range(1, 13)]
    positive = np.array([name not in NEGATIVE for name in names])
    values = normalised(directed(frame[names].to_numpy(), positive), "min_max")
    _, weights = entropy_weights(values)
    first = frame["city"].map(
        {int(c): float(y) for c, y in truth["first_treated"].items()}
    )
    made = frame[["city", "year", "gip", *CONFOUNDERS]].assign(
        uicr=values @ weights, first=first.fillna(np.inf)
    )
    return made, float(truth["estimands"]["att"])


def request(frame: pd.DataFrame, seed: int, *, squares: bool) -> Request:
    """As the framework makes it: cities whole, errors by city."""
    controls = list(CONFOUNDERS)
    columns = {
        "y": frame["uicr"],
        "d": frame["gip"].astype(float),
        "first": frame["first"],
        **{c: frame[c] for c in controls},
    }
    if squares:
        columns |= {f"{c} squared": frame[c] ** 2 for c in controls}
        controls += [f"{c} squared" for c in controls]
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


def methods(frame: pd.DataFrame, seed: int) -> Iterator[tuple[str, str, Any, Request]]:
    """Method, learner, estimator and request of everything that is compared."""
    whole = request(frame, seed, squares=True)
    pooled = replace(whole, fixed_effects=("t",), estimand=("coefficient",))
    yield "OLS, years", "", Twfe(), pooled
    yield "TWFE", "", Twfe(), replace(whole, estimand=("coefficient",))
    since = request(frame[frame["year"] >= _IRM_SINCE], seed, squares=True)
    cells = request(frame[frame["year"] >= _DID_SINCE], seed, squares=False)
    quick = {"folds": 5, "repetitions": 1}
    means = "correlated_random_effects"
    for name, learner in LEARNERS.items():
        plain = replace(whole, estimand=("coefficient",))
        # A curve of the controls does not survive taking unit means.
        for transform in ("within", means) if name in {"linear", "lasso"} else (means,):
            plr = DoubleMl(learner=learner, transform=transform, **quick)
            said = "within" if transform == "within" else "unit means"
            yield f"PLR, {said}", name, plr, plain
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


def run(first: int, last: int, path: Path = ROWS) -> None:
    """Add the panels first, …, last - 1 that are not there yet."""
    known = set()
    if path.exists():
        known = set(pd.read_csv(path)["seed"])
    for seed in range(first, last):
        if seed in known:
            continue
        frame, truth = panel(seed)
        rows = []
        for method, learner, estimator, made in methods(frame, seed):
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
    """By method and learner: bias as a share of the truth, spread, coverage."""
    rows = rows.assign(
        off=(rows["estimate"] - rows["truth"]) / rows["truth"],
        relative=rows["std_error"] / rows["truth"],
        covers=(rows["estimate"] - rows["truth"]).abs() <= 1.96 * rows["std_error"],
    ).dropna(subset=["estimate"])
    grouped = rows.groupby(["method", "learner"], sort=False)
    return grouped.agg(
        panels=("seed", "size"),
        bias=("off", "mean"),
        spread=("off", "std"),
        std_error=("relative", "mean"),
        coverage=("covers", "mean"),
    ).reset_index()


def said(found: pd.DataFrame) -> Iterator[str]:
    """The summary as rows of a Markdown table."""
    for row in found.itertuples():
        hits = round(row.coverage * row.panels)
        yield (
            f"| {row.method} | {row.learner or '–'} | {row.bias:+.1%} | {row.spread:.1%} "
            f"| {row.std_error:.1%} | {hits} of {row.panels} |"
        )


def write_page(found: pd.DataFrame, path: Path = PAGE) -> None:
    """Put the summary where the page has it."""
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    panels = int(found["panels"].max())
    chance = 2 * np.sqrt(0.95 * 0.05 / panels)
    learned = found[found["learner"] != ""]
    hits = (learned["coverage"] * learned["panels"]).round().astype(int)
    lowest, highest = learned["bias"].min(), learned["bias"].max()
    text = [
        f"{panels} panels, which know a coverage of 95 % to {100 * chance:.0f} points.",
        f"The bias of what is learned goes from {lowest:+.0%} to {highest:+.0%} of the",
        f"effect; its intervals cover in {hits.min()} to {hits.max()} of {panels}.",
        "No standard error shows that bias: a learner that does not find the curve in",
        "281 cities is wrong with a small error.",
        "",
        "| method | learner | bias | spread | standard error | 95 % intervals that cover |",
        "|---|---|---|---|---|---|",
        *said(found),
    ]
    made = "\n".join([BEGIN, *text, END])
    path.write_text(before + made + after, encoding="utf-8")


def main(words: list[str]) -> None:
    """Run, then write the summary, on the page too, and the figure."""
    first, last = (int(w) for w in words) if words else (FIRST, FIRST + TIMES)
    run(first, last)
    found = summary(pd.read_csv(ROWS, keep_default_na=False, na_values=["nan"]))
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
        f"95% intervals that cover, {panels.min()} panels\n(grey: what chance allows)"
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
