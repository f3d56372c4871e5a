"""How the cost of an efficiency score grows with the rows: measured, drawn, committed.

`python -m bench.growth` measures and writes `growth.csv` and `growth.png` beside this
file; `python -m bench.growth draw` draws the table again. Every size runs in a process of
its own, so that memory is its own, too.
"""

from __future__ import annotations

import csv
import re
import resource
import sys
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from bench.figures import run

SIZES = (286, 572, 1_144, 2_574, 5_000, 10_000, 20_000)
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Cost:
    """What scoring `rows` rows against a pooled frontier of all of them costs.

    Attributes:
        ours, scipy: CPU seconds; scipy's, each program built and solved alone, from a
            sample.
        peak: largest resident memory of the process until our scores were there, MB.
    """

    rows: int
    ours: float
    scipy: float
    peak: float


def cost(rows: int) -> Cost:
    """Measure one size in this process."""
    import numpy as np

    from bench.efficiency import MEASURE, cities, scored
    from bench.one_by_one import by_scipy, extrapolated

    some = cities(40, seed=3)
    scored(some)  # imports
    data = cities(rows, seed=2)
    start = time.process_time()
    found = scored(data)
    ours = time.process_time() - start
    peak = peak_memory()
    assert np.isfinite(found).all(), MEASURE
    return Cost(rows, ours, extrapolated(data, by_scipy), peak)


def peak_memory() -> float:
    """Most memory that this process has held, MB.

    Linux hands `ru_maxrss` down from the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        held = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        if held:
            return int(held[1]) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def measured() -> list[Cost]:
    """Every size, each in a fresh process."""
    found = []
    for rows in SIZES:
        said = run(sys.executable, "-m", "bench.growth", str(rows)).stdout
        rows_, *rest = said.split()
        found.append(Cost(int(rows_), *map(float, rest)))
    return found


def exponent(costs: list[Cost]) -> float:
    """Slope of log seconds in log rows from 2,574 rows on."""
    import numpy as np

    large = [c for c in costs if c.rows >= 2_574]
    rows, seconds = np.log([[c.rows, c.ours] for c in large]).T
    return float(np.polyfit(rows, seconds, 1)[0])


def _draw(costs: list[Cost]) -> bytes:
    """Both ways on logarithmic axes, in the style of the reports."""
    from framework.render.style import BLUE, FAINT, VERMILION, Sketch, canvas, save

    def drawn() -> Any:
        figure, axes = canvas(3.6)
        rows = [c.rows for c in costs]
        for values, colour, name in (
            (
                [c.scipy for c in costs],
                VERMILION,
                "each program alone\n(scipy's HiGHS)",
            ),
            ([c.ours for c in costs], BLUE, "step sbm"),
        ):
            axes.loglog(rows, values, "o-", color=colour, ms=4, lw=1.4)
            axes.annotate(
                name,
                (rows[-1], values[-1]),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                color=colour,
                fontsize=8.5,
            )
        axes.set_xticks(rows, [f"{n:,}" for n in rows])
        ticks = [0.1, 1, 10, 100, 1_000]
        axes.set_yticks(ticks, [f"{tick:,g}" for tick in ticks])
        axes.minorticks_off()
        axes.axhline(1, color=FAINT, lw=0.8, zorder=0)
        axes.grid(axis="y", color=FAINT, lw=0.5)
        axes.set_xlabel("Rows (4 inputs, 3 good and 3 bad outputs, pooled frontier)")
        axes.set_ylabel("CPU seconds")
        return figure

    caption = "Cost of super-efficiency scores by the number of rows"
    return save(Sketch("growth", caption, caption, drawn), ("png",))["png"]


def write(costs: list[Cost]) -> None:
    """`growth.csv` and `growth.png`."""
    with (HERE / "growth.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(f.name for f in fields(Cost))
        writer.writerows([c.rows, *(f"{v:.4g}" for v in astuple(c)[1:])] for c in costs)
    (HERE / "growth.png").write_bytes(_draw(costs))


def read() -> list[Cost]:
    """What is committed."""
    with (HERE / "growth.csv").open(newline="", encoding="utf-8") as handle:
        rows = [list(row.values()) for row in csv.DictReader(handle)]
    return [Cost(int(n), *map(float, rest)) for n, *rest in rows]


def main(arguments: list[str]) -> None:
    """A size: print its numbers. `draw`: the table's figure. Nothing: measure all."""
    if arguments == ["draw"]:
        write(read())
        return
    if arguments:
        print(*astuple(cost(int(arguments[0]))))
        return
    costs = measured()
    write(costs)
    for one in costs:
        print(one)
    print(f"seconds grow with rows to the power {exponent(costs):.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
