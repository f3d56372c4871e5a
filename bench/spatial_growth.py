"""Time and memory of a spatial Durbin panel from 100 to 20,000 units, drawn.

    python -m bench.spatial_growth          # measures, writes bench/figures/

Each size runs in a process of its own, one thread; seconds are of the processor and hold
everything after the imports: determinant, maximum, standard errors, impacts.
"""

from __future__ import annotations

import csv

from bench import peer
from bench.figures import ROOT
from bench.spatial import GROWTH, once

FOLDER = ROOT / "bench" / "figures"
_PERIODS = 10


def measured() -> list[dict[str, float]]:
    """One row per size."""
    rows = []
    for n in GROWTH:
        found = once(peer.OURS, n, _PERIODS)
        size = found.peak / 1e9
        rows.append({"units": n, "seconds": found.cpu, "gigabytes": size})
        print(f"{n:>7,} units  {found.cpu:8.2f} s  {size:6.2f} GB", flush=True)
    return rows


def drawn(rows: list[dict[str, float]]) -> None:
    """The table and its figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "spatial_growth.csv").open(
        "w", newline="", encoding="utf-8"
    ) as file:
        writer = csv.DictWriter(file, ["units", "seconds", "gigabytes"])
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.4g}" if k != "units" else f"{v:.0f}" for k, v in row.items()}
            for row in rows
        )
    figure = Figure(figsize=(6.5, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    units = [row["units"] for row in rows]
    for axes, name, colour in zip(
        figure.subplots(1, 2),
        ("seconds", "gigabytes"),
        ("#0072b2", "#d55e00"),
        strict=True,
    ):
        axes.plot(units, [row[name] for row in rows], "o-", color=colour, lw=1.4, ms=4)
        axes.set_xscale("log")
        if name == "seconds":
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, None)
        axes.set_xlabel("Units")
        axes.set_ylabel(name.capitalize())
        axes.grid(color="#d5d5d5", lw=0.5)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.savefig(FOLDER / "spatial_growth.png", dpi=160, metadata={"Software": None})


if __name__ == "__main__":
    drawn(measured())
