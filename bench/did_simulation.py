"""Every estimator and inference of difference-in-differences where the truth is known.

    python -m bench.did_simulation               # what is missing of it, about two hours
    python -m bench.did_simulation 1000 1020     # panels of these seeds only
    python -m bench.did_simulation --summary     # the table and the figure anew

Designs and their truth are in did_designs.py, estimators and what each has to show in
did_methods.py. A panel's numbers are one line of .bench/did_simulation.jsonl, written as
it is made: a run that is stopped goes on where it was, and a method whose lines are taken
out is made again. What is committed is their summary, bench/figures/did_simulation.csv,
with the numbers of the first panel and a hash of all; tests/simulation/
test_did_simulation.py holds it to the gates and makes the first panels again.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.did_designs import DESIGNS, sample
from bench.did_methods import METHODS, Found, Method
from bench.figures import ROOT
from framework.errors import EstimandError

SUMMARY = ROOT / "bench" / "figures" / "did_simulation.csv"
FIGURE = SUMMARY.with_suffix(".png")
DRAWN = ROOT / ".bench" / "did_simulation.jsonl"
PAGE = ROOT / "docs" / "simulations.md"
BEGIN, END = "<!-- made by bench/did_simulation.py -->", "<!-- made -->"
FIRST = 1000
#: Coverage is gated from so many panels and treated clusters on; a bias from any number.
PANELS, TREATED, BAND, ERRORS = 1000, 100, 0.025, 3.0


# -- drawing ---------------------------------------------------------------------------


def one(method: Method, seed: int) -> tuple[list[Found], int]:
    """What a method finds in a panel (nothing where it refuses), treated clusters."""
    made = _panel(method.design, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return list(method.estimate(made)), made.treated
        except EstimandError as error:
            print(f"{method.design}, {method.name}, {seed}: {error}", file=sys.stderr)
            return [], made.treated


#: Methods of a design share its panel; the last one is enough.
_panel = cache(sample)


def run(
    first: int = FIRST,
    last: int = FIRST + PANELS,
    path: Path = DRAWN,
    methods: Sequence[Method] = METHODS,
) -> int:
    """Add the panels first, …, last - 1 that are not there yet; how many were made."""
    path.parent.mkdir(exist_ok=True)
    known = {(line["design"], line["method"], line["seed"]) for line in drawn(path)}
    made = 0
    with path.open("a", encoding="utf-8") as out:
        for seed in range(first, last):
            _panel.cache_clear()
            for method in methods:
                if (method.design, method.name, seed) in known:
                    continue
                found, treated = one(method, seed)
                line = {
                    "design": method.design,
                    "method": method.name,
                    "seed": seed,
                    "treated": treated,
                    "found": [astuple(f) for f in found],
                }
                out.write(json.dumps(line) + "\n")
                out.flush()
                made += 1
    return made


def drawn(path: Path = DRAWN) -> Iterator[dict[str, Any]]:
    """Lines of the file; one that was cut short is taken off it."""
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    for line in whole.splitlines():
        yield json.loads(line)


# -- what the panels show --------------------------------------------------------------


def summary(
    lines: Iterable[dict[str, Any]], methods: Sequence[Method] = METHODS
) -> pd.DataFrame:
    """A row per design, method and quantity, in the order of `methods`.

    bias, spread and std_error are in units of the outcome; mc_error is the bias's own
    standard error; refused counts panels without a number; treated is
    the mean of treated clusters; estimate, error and covered
    are the first panel's; digest is of all panels, to six digits.
    """
    kept: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        kept.setdefault((line["design"], line["method"]), []).append(line)
    rows = []
    for method in methods:
        lines_ = kept.get((method.design, method.name), [])
        held = sorted(lines_, key=lambda line: line["seed"])
        if not held:
            continue
        answered = [line for line in held if line["found"]]
        for k, (quantity, *_) in enumerate(answered[0]["found"]):
            numbers = [line["found"][k][1:] for line in answered]
            claim = method.claimed(quantity)
            rows.append(
                {
                    "design": method.design,
                    "method": method.name,
                    "quantity": quantity,
                    "asked_bias": claim.bias,
                    "asked_coverage": claim.coverage,
                    "first_seed": held[0]["seed"],
                    "last_seed": held[-1]["seed"],
                    "panels": len(answered),
                    "refused": len(held) - len(answered),
                    "treated": float(np.mean([line["treated"] for line in held])),
                    **_moments(np.array(numbers, dtype=np.float64)),
                    "digest": _digest(answered, k),
                }
            )
    return pd.DataFrame(rows)


def newest(
    found: pd.DataFrame, known: pd.DataFrame | None, methods: Sequence[Method] = METHODS
) -> pd.DataFrame:
    """The committed rows, those of a method replaced where as many panels are drawn.

    What is asked is what `methods` ask now.
    """
    rows = []
    for method in methods:
        own, old = (
            None
            if held is None or held.empty
            else held[
                (held["design"] == method.design) & (held["method"] == method.name)
            ]
            for held in (found, known)
        )
        fresh = own is not None and len(own)
        if fresh and old is not None and len(old):
            fresh = own["panels"].iloc[0] >= old["panels"].iloc[0]
        kept = own if fresh else old
        if kept is not None:
            claims = [method.claimed(quantity) for quantity in kept["quantity"]]
            rows.append(
                kept.assign(
                    asked_bias=[claim.bias for claim in claims],
                    asked_coverage=[claim.coverage for claim in claims],
                )
            )
    return pd.concat(rows, ignore_index=True)


def _moments(numbers: np.ndarray[Any, Any]) -> dict[str, float]:
    """Of (panels, 4): truth, estimate, standard error, covered."""
    truth, estimate, error, covered = numbers.T
    spread = float((estimate - truth).std(ddof=1)) if len(truth) > 1 else np.nan
    return {
        "truth": float(truth.mean()),
        "bias": float((estimate - truth).mean()),
        "mc_error": spread / float(np.sqrt(len(truth))),
        "spread": spread,
        "std_error": float(error.mean()),
        "coverage": float(covered.mean()),
        "estimate": float(estimate[0]),
        "error": float(error[0]),
        "covered": float(covered[0]),
    }


def _digest(lines: Sequence[dict[str, Any]], k: int) -> str:
    """Twelve hexadecimal digits of all panels' estimates, errors and coverage."""
    text = "\n".join(
        f"{line['seed']},{estimate:.6g},{error:.6g},{int(covered)}"
        for line in lines
        for _, _, estimate, error, covered in (line["found"][k],)
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def gated(row: Any) -> bool:
    """Whether there are panels and treated clusters enough to hold a coverage to."""
    return bool(
        row.asked_coverage == "gated"
        and row.panels >= PANELS
        and row.treated >= TREATED
    )


def failures(found: pd.DataFrame) -> list[str]:
    """Rows that do not show what they have to, and in what."""
    return [
        f"{row.design}, {row.method}, {row.quantity}: {said_}"
        for row in found.itertuples()
        for said_ in _failures(row)
    ]


def _failures(row: Any) -> Iterator[str]:
    away = abs(row.bias) / row.mc_error if row.mc_error > 0 else np.nan
    low, high = 0.95 - BAND, 0.95 + BAND
    if row.asked_bias == "none" and away > ERRORS:
        yield f"bias {away:.2f} errors"
    if row.asked_bias == "shown" and not away > ERRORS:
        yield f"no bias, {away:.2f} errors"
    if row.asked_coverage == "gated" and not gated(row):
        yield f"{row.panels} panels, {row.treated:.0f} treated are no gate"
    bad = {
        "gated": not low <= row.coverage <= high,
        "at least": row.coverage < low,
        "too low": row.coverage >= low,
        "reported": False,
    }
    if bad[row.asked_coverage]:
        yield f"coverage {row.coverage:.3f}"


# -- the page --------------------------------------------------------------------------


def said(found: pd.DataFrame) -> Iterator[str]:
    """The summary as Markdown: a table per design."""
    reasons = {
        (m.design, m.name, q): m.claimed(q).why
        for m in METHODS
        for q in found.loc[
            (found["design"] == m.design) & (found["method"] == m.name), "quantity"
        ]
    }
    for design, rows in found.groupby("design", sort=False):
        yield f"### {str(design)[0].upper()}{str(design)[1:]}"
        yield ""
        yield str(DESIGNS[str(design)])
        yield ""
        yield (
            "| method | quantity | truth | bias (its error) | spread | mean error "
            "| 95 % intervals cover | panels | note |"
        )
        yield "|---|---|---|---|---|---|---|---|---|"
        for row in rows.itertuples():
            why = reasons.get((row.design, row.method, row.quantity), "")
            yield _row(row, why)
        yield ""


def _row(row: Any, why: str) -> str:
    """One row of a table; bold where coverage is gated."""
    known = np.isfinite(row.bias)
    cells = [
        row.method,
        row.quantity,
        f"{row.truth:.3f}" if known else "",
        f"{row.bias:+.4f} ({row.mc_error:.4f})" if known else "",
        f"{row.spread:.3f}" if known else "",
        f"{row.std_error:.3f}" if np.isfinite(row.std_error) else "",
        f"{row.coverage:.3f}" if not _no_interval(row) else "no interval",
        f"{row.panels:,}" + (f", {row.refused} refused" if row.refused else ""),
        why,
    ]
    if gated(row):
        cells[6] = f"**{cells[6]}**"
    return "| " + " | ".join(cells) + " |"


def _no_interval(row: Any) -> bool:
    """A point estimate without an error of its own."""
    return bool(np.isfinite(row.bias) and not np.isfinite(row.std_error))


def write_page(found: pd.DataFrame, path: Path = PAGE) -> None:
    """Put the tables where the page has them."""
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, behind = rest.partition(END)
    made = "\n".join([BEGIN, "", *said(found)]) + END
    path.write_text(before + made + behind, encoding="utf-8")


def draw_figure(found: pd.DataFrame, path: Path = FIGURE) -> None:
    """Bias in standard deviations and coverage, a line per method."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = found.assign(line=found["design"] + "\0" + found["method"])
    lines = list(dict.fromkeys(found["line"]))
    names, place, at = [], {}, 0.0
    for k, line in enumerate(lines):
        design, method = line.split("\0")
        if not k or design != lines[k - 1].split("\0")[0]:
            at += 1.3
            names.append((at - 0.9, design, True))
        place[line] = at
        names.append((at, method, False))
        at += 1.0
    figure = Figure(figsize=(8.6, 0.165 * at + 0.9))
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    edge = 2.0
    for row in found.itertuples():
        y = place[row.line]
        biased = row.asked_bias in {"shown", "reported"}
        colour = "#d55e00" if biased else "#0072b2"
        if np.isfinite(row.bias) and row.spread > 0:
            x = row.bias / row.spread
            over = abs(x) > edge
            marker = (">" if x > 0 else "<") if over else "o"
            left.plot(np.clip(x, -edge, edge), y, marker, color=colour, ms=4, alpha=0.8)
        if not _no_interval(row):
            full = gated(row)
            shade = "#d55e00" if row.asked_coverage == "too low" else colour
            right.plot(
                max(row.coverage, 0.5),
                y,
                "<" if row.coverage < 0.5 else "o",
                mfc=shade if full else "white",
                mec=shade,
                ms=4,
                alpha=0.9,
            )
    left.axvline(0, color="#767676", lw=0.8, zorder=0)
    right.axvspan(0.95 - BAND, 0.95 + BAND, color="#d5d5d5", alpha=0.6, lw=0, zorder=0)
    right.axvline(0.95, color="#767676", lw=0.8, zorder=0)
    right.set_xlim(0.48, 1.01)
    left.set_xlim(-edge - 0.15, edge + 0.15)
    left.set_ylim(at + 0.2, -0.4)
    left.set_yticks([])
    for y, name, heads in names:
        left.text(
            -0.02,
            y,
            name,
            transform=left.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=7,
            fontweight="bold" if heads else "normal",
        )
    left.set_xlabel(
        "Bias in standard deviations of the estimate\n"
        "(orange: the method does not fit the design)",
        fontsize=8,
    )
    right.set_xlabel(
        "95% intervals that hold the truth\n(grey and filled: gated)", fontsize=8
    )
    for axes in (left, right):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="x", color="#d5d5d5", lw=0.5)
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=140, bbox_inches="tight", metadata={"Software": None})


def stored(path: Path = SUMMARY) -> pd.DataFrame:
    """The committed summary."""
    return pd.read_csv(path)


def main(arguments: Sequence[str]) -> int:
    """Draw what is missing; write the summary, the tables, the figure; judge."""
    if list(arguments) != ["--summary"]:
        run(*(int(a) for a in arguments))
    known = stored() if SUMMARY.exists() else None
    newest(summary(drawn()), known).to_csv(
        SUMMARY, index=False, float_format="%.9g", lineterminator="\n"
    )
    found = stored()
    write_page(found)
    draw_figure(found)
    wrong = failures(found)
    print("\n".join(wrong) or f"{len(found)} numbers show what they have to")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
