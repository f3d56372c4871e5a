"""What the mediation of paper 2's study finds on seeds that nobody chose.

`python -m tests.simulation.mediated_seeds` writes `mediated_seeds.csv` beside this file: for
seeds 1 to 6 of the constant preset the study's own lines under `mechanisms.mediation`
(squares of the controls, lasso) and the same with linear controls and ridge, one split into
folds each, beside the truth. Some minutes. Seed 281, which the study ships, is not among
them.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

from estimators.generators import _gip
from framework import run
from framework.commands.generating import document, table

FILE = Path(__file__).with_suffix(".csv")
STUDY = Path(__file__).parents[2] / "specs" / "gip_uicr.yaml"
SEEDS = range(1, 7)
LINE = "mechanisms.mediation"
MEDIATORS = {"innovation": "green_patents", "structure": "structure"}
WAYS = {
    "squares": (),
    "linear": (
        "model.controls=[confounders]",
        f"checks.{LINE}.estimator.learner=ridge",
    ),
}
COLUMNS = ("seed", "controls", "mediator", "truth", "estimate", "std_error")


def rows(seed: int) -> Iterator[tuple[object, ...]]:
    frame, truth = _gip.panel_and_truth(seed, heterogeneous=False)
    with tempfile.TemporaryDirectory(dir=STUDY.parent) as folder:
        data = Path(folder) / "gip.csv.gz"
        data.write_bytes(table(frame, compressed=True))
        data.with_name("gip.truth.json").write_bytes(document(truth))
        for way, changes in WAYS.items():
            found = run(
                STUDY,
                f"data.source={data.relative_to(STUDY.parent)}",
                f"checks.{LINE}.estimator.repetitions=1",
                *changes,
                only=[LINE],
                report=False,
                track=False,
            )
            for value, mediator in MEDIATORS.items():
                of = found.result(f"{LINE}.{value}").coefficients
                (row,) = of[of["estimand"] == "indirect"].itertuples()
                known = truth["estimands"]["indirect"][mediator]
                yield seed, way, mediator, known, row.estimate, row.std_error


def stored() -> list[dict[str, str]]:
    with FILE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    made = [row for seed in SEEDS for row in rows(seed)]
    with FILE.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        for *names, truth, estimate, error in made:
            lines.writerow([*names, f"{truth:.6g}", f"{estimate:.6g}", f"{error:.6g}"])


if __name__ == "__main__":
    main()
