"""Spatial Durbin panels with known rho, beta and theta: bias, coverage, size; drawn.

    python -m bench.spatial_simulation          # 1,000 panels a design, writes bench/figures/

Short and long panels of 46 units, both fixed effects, with and without the corrections.
Coverage is that of 95 % intervals of the effects by the delta method (and by simulation
for `lee_yu`), size that of 5 % LM tests in panels without spatial lags. The tests hold a
reduced version (tests/simulation/test_spatial_simulation.py).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

import numpy as np

from bench.figures import ROOT
from estimators._math.neighbours import k_nearest, normalised
from estimators._math.spatial_effects import along
from estimators._math.spatial_inference import covariance, multipliers
from estimators._math.spatial_ml import (
    Correction,
    Fit,
    Floats,
    Lag,
    Problem,
    lagged,
    maximise,
)
from estimators._math.spatial_tests import lagrange

FOLDER = ROOT / "bench" / "figures"
RHO, BETA, THETA = 0.4, 1.0, 0.5
UNITS, PERIODS, TIMES = 46, (5, 10, 30), 1000
_DRAWS = 200
_CRITICAL, _NORMAL = 3.841458820694124, 1.959963984540054
_CORRECTIONS: tuple[Correction, ...] = ("none", "elhorst", "lee_yu")
Row = tuple[int, str, str, float, float]


def panel(
    W: Floats, t: int, generator: np.random.Generator, *, spatial: bool
) -> tuple[Floats, Floats]:
    """y and X (1, N, T) with both fixed effects, errors N(0, 1)."""
    n = len(W)
    a, b = generator.normal(size=(n, 1)), generator.normal(size=(1, t))
    x = generator.normal(size=(n, t)) + 0.5 * a
    e = generator.normal(size=(n, t))
    rho, theta = (RHO, THETA) if spatial else (0.0, 0.0)
    mean = BETA * x + theta * (W @ x) + a + b + e
    return np.linalg.solve(np.eye(n) - rho * W, mean), x[None]


def effects(fit: Fit, lag: Lag) -> tuple[Floats, Floats]:
    """Direct, indirect and total effect with delta-method standard errors."""
    m = multipliers(len(fit.e), fit.A, lag, lag.W)
    V, (beta, theta) = covariance(fit), fit.b
    values, errors = [], []
    for a in (m.own, m.all - m.own, m.all):
        gradient = np.array([a[0], a[1], beta * a[2] + theta * a[3], 0.0, 0.0])
        values.append(beta * a[0] + theta * a[1])
        errors.append(np.sqrt(gradient @ V @ gradient))
    return np.array(values), np.array(errors)


def intervals(fit: Fit, lag: Lag, generator: np.random.Generator) -> Floats:
    """Percentile intervals (2, 3) of the three effects by simulation."""
    at = np.array([*fit.b, fit.rho])
    drawn = generator.multivariate_normal(at, covariance(fit)[:3, :3], _DRAWS)
    drawn = drawn[(drawn[:, 2] < lag.range[1]) & (drawn[:, 2] > lag.range[0])]
    curves = along(drawn[:, 2], len(fit.e), lag, lag.W)
    own = (drawn[:, :2] * curves.own).sum(axis=1)
    every = (drawn[:, :2] * curves.all).sum(axis=1)
    found = np.quantile(np.stack([own, every - own, every]), [0.025, 0.975], axis=1)
    return np.asarray(found)


def design(t: int, times: int) -> Iterator[Row]:
    """Rows (periods, correction, quantity, value, Monte Carlo standard error)."""
    generator = np.random.default_rng([3, t])
    W = k_nearest(np.random.default_rng(1).random((UNITS, 2)), 5)
    W = normalised(W.maximum(W.T), "row")
    lag, dense = Lag.of(W), W.toarray()
    truth = true_effects(lag)
    found: dict[str, list[Floats]] = {c: [] for c in _CORRECTIONS}
    hits: dict[str, list[Floats]] = {c: [] for c in (*_CORRECTIONS, "simulated")}
    sizes: dict[str, list[Floats]] = {"none": [], "lee_yu": []}
    for _ in range(times):
        y, X = panel(dense, t, generator, spatial=True)
        Z = np.concatenate([X, lagged(W, X)])
        for correction in _CORRECTIONS:
            fit = maximise(Problem(y, Z, lag, None, True, True, correction))
            values, errors = effects(fit, lag)
            found[correction].append(np.array([fit.rho, *fit.b, fit.sigma2]))
            hits[correction].append(np.abs(values - truth) <= _NORMAL * errors)
            if correction == "lee_yu":
                low, high = intervals(fit, lag, generator)
                hits["simulated"].append((low <= truth) & (truth <= high))
        y, X = panel(dense, t, generator, spatial=False)
        for correction, rows in sizes.items():
            m = lagrange(Problem(y, X, None, None, True, True, correction), W)  # type: ignore[arg-type]  # both are corrections
            statistics = np.array([m.lag, m.error, m.robust_lag, m.robust_error])
            rows.append(statistics > _CRITICAL)
    for names, kinds, shift in (
        (("bias rho", "bias beta", "bias theta", "bias sigma2"), found, True),
        (("coverage direct", "coverage indirect", "coverage total"), hits, False),
        (
            (
                "size lm_lag",
                "size lm_error",
                "size robust_lm_lag",
                "size robust_lm_error",
            ),
            sizes,
            False,
        ),
    ):
        for correction, held in kinds.items():
            values = np.array(held, dtype=np.float64)
            middle = values.mean(axis=0)
            spread = values.std(axis=0) / np.sqrt(times)
            if shift:
                middle = middle - np.array([RHO, BETA, THETA, 1.0])
            for name, value, error in zip(names, middle, spread, strict=True):
                yield t, correction, name, float(value), float(error)


def true_effects(lag: Lag) -> Floats:
    """Direct, indirect and total effect of the design."""
    n = lag.W.shape[0]
    m = multipliers(n, lag.inverse(RHO), lag, lag.W)
    own, every = (BETA * a[0] + THETA * a[1] for a in (m.own, m.all))
    return np.array([own, every - own, every])


def drawn(rows: list[Row]) -> None:
    """The table and its figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    FOLDER.mkdir(exist_ok=True)
    name = FOLDER / "spatial_simulation"
    with name.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["periods", "correction", "quantity", "value", "mc_error"])
        writer.writerows(
            (t, c, q, f"{value:.5f}", f"{error:.5f}") for t, c, q, value, error in rows
        )
    figure = Figure(figsize=(6.5, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = (
        ("bias rho", "Bias of rho", 0.0),
        ("bias sigma2", "Bias of the variance", 0.0),
        ("coverage indirect", "Coverage, indirect effect", 0.95),
        ("size lm_error", "Size of the LM error test", 0.05),
    )
    looks = {
        "none": ("#d55e00", "^"),
        "elhorst": ("#cc79a7", "s"),
        "lee_yu": ("#0072b2", "o"),
        "simulated": ("#009e73", "D"),
    }
    for axes, (quantity, title, target) in zip(
        figure.subplots(2, 2).flat, panels, strict=True
    ):
        axes.axhline(target, color="#767676", lw=0.8)
        for correction, (colour, marker) in looks.items():
            held = [r for r in rows if r[1] == correction and r[2] == quantity]
            if held:
                axes.errorbar(
                    [r[0] for r in held],
                    [r[3] for r in held],
                    yerr=[_NORMAL * r[4] for r in held],
                    color=colour,
                    marker=marker,
                    ms=4,
                    lw=1.2,
                    label=correction,
                )
        axes.set_xscale("log")
        axes.set_xticks(PERIODS, [str(t) for t in PERIODS])
        axes.minorticks_off()
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_xlabel("Periods")
        axes.grid(color="#d5d5d5", lw=0.4)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    handles = figure.axes[2].get_legend_handles_labels()
    figure.legend(
        *handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False
    )
    figure.savefig(name.with_suffix(".png"), dpi=160, metadata={"Software": None})


def main(times: int = TIMES) -> None:
    """All designs."""
    rows = [row for t in PERIODS for row in design(t, times)]
    for t, correction, quantity, value, error in rows:
        print(f"T {t:>2}  {correction:<10} {quantity:<22} {value:+.4f} ({error:.4f})")
    drawn(rows)


if __name__ == "__main__":
    main()
