"""What the generator of paper 1 gives for seeds that nobody chose.

`python -m tests.simulation.paper_seeds` writes `paper_seeds.csv` beside this file: one row
per seed 100 to 148, the numbers of Tables 3 to 9 on the winsorized sample (`_raw`: as
generated). Ten seconds. Seed 111 is left out: the generator's streams were chosen for it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from estimators.generators import _aipz, _geography, _structure

Floats = npt.NDArray[np.float64]

FILE = Path(__file__).with_suffix(".csv")
SEEDS = tuple(seed for seed in range(100, 149) if seed != 111)
SHAPE = (286, 9)
EFFECTS = {
    "none": (False, False),
    "city": (True, False),
    "year": (False, True),
    "both": (True, True),
}


def winsorized(x: Floats) -> Floats:
    return np.clip(x, *np.quantile(x, [0.01, 0.99]))


def least_squares(
    outcome: Floats, regressors: Floats, *, city: bool = True, year: bool = True
) -> tuple[Floats, float, float]:
    """Coefficients, the first one's clustered error, R2 (fixed effects included)."""
    y = _structure.demeaned(outcome, city=city, year=year)
    X = _structure.demeaned(regressors, city=city, year=year)
    if not (city or year):
        y, X = y - y.mean(), X - X.mean(axis=(1, 2), keepdims=True)
    found = _structure.coefficients(y, X)
    e = y - np.tensordot(found, X, axes=1)
    scores, flat = (X * e).sum(axis=2), X.reshape(len(X), -1)
    bread = np.linalg.inv(flat @ flat.T)
    cities, periods = y.shape
    parameters = len(X) + (periods if year else 1)
    small = cities / (cities - 1) * (y.size - 1) / (y.size - parameters)
    error = float(np.sqrt(small * (bread @ scores @ scores.T @ bread)[0, 0]))
    total = float(np.square(outcome - outcome.mean()).sum())
    return found, error, 1 - float(np.square(e).sum()) / total


def comparisons(y: Floats, treated: Floats) -> dict[str, float]:
    """Goodman-Bacon: weighted mean estimate of each kind."""
    years = np.arange(SHAPE[1])
    start = np.where(treated.any(axis=1), treated.argmax(axis=1), 99)
    paths = {g: y[start == g].mean(axis=0) for g in np.unique(start)}
    counts = {g: int((start == g).sum()) for g in paths}
    share = {g: float((years >= g).mean()) for g in paths}
    sums = {kind: np.zeros(2) for kind in ("earlier", "later", "never")}

    def add(kind: str, weight: float, pair: tuple[int, int], after, before) -> None:
        change = [paths[g][after].mean() - paths[g][before].mean() for g in pair]
        sums[kind] += weight * np.array([1.0, change[0] - change[1]])

    for g, own in share.items():
        if g == 99:
            continue
        weight = counts[g] * counts[99] * own * (1 - own)
        add("never", weight, (g, 99), years >= g, years < g)
        for h, other in share.items():
            if g < h < 99:
                pair = counts[g] * counts[h] * (own - other)
                between = (years >= g) & (years < h)
                add("earlier", pair * (1 - own), (g, h), between, years < g)
                add("later", pair * other, (h, g), years >= h, between)
    return {kind: float(total / weight) for kind, (weight, total) in sums.items()}


def numbers(seed: int) -> dict[str, float]:
    """The tables' numbers of one seed."""
    frame, _ = _aipz.panel_and_truth(seed, clean=False, efficiency=False)
    frame = frame[frame["year"] >= _aipz.WINDOW]
    raw = {
        c: frame[c].to_numpy(float).reshape(SHAPE)
        for c in frame.columns
        if frame[c].dtype.kind in "if"
    }
    for name, column in (
        ("eco", "gdp_pc"),
        ("fe", "loans_deposits"),
        ("op", "fdi"),
        ("gti", "green_patents"),
        ("lso", "skilled_workers"),
    ):
        raw[name] = np.log(raw[column])
    raw["structure"] = _aipz.structure_index(raw["primary"], raw["tertiary"])
    cut = {n: winsorized(raw[n]) for n in (*_aipz.CONTROLS, "gti", "lso", "structure")}
    cut["ulgue"] = winsorized(raw["ulgue_simulated"])
    X = np.stack([raw["ai"], *(cut[n] for n in _aipz.CONTROLS)])
    X_raw = np.stack([raw[n] for n in ("ai", *_aipz.CONTROLS)])
    y = cut["ulgue"]

    made: dict[str, float] = {}
    for name, (city, year) in EFFECTS.items():
        found, error, r2 = least_squares(y, X, city=city, year=year)
        made |= {name: found[0], f"{name}_se": error, f"{name}_r2": r2}
    others = raw["municipality"][:, 0] == 0
    made["no_municipalities"] = least_squares(y[others], X[:, others])[0][0]
    for name in ("mic2025", "ecr", "ndei"):
        found, _, _ = least_squares(y, np.concatenate([X, raw[name][None]]))
        made |= {f"ai_{name}": found[0], name: found[-1]}
    product = np.concatenate([(raw["ai"] * raw["level"])[None], X[1:]])
    made["level"] = least_squares(y, product)[0][0]
    made |= comparisons(y, raw["ai"])
    for name in ("gti", "lso", "structure"):
        found, error, r2 = least_squares(cut[name], X)
        made |= {name: found[0], f"{name}_se": error, f"{name}_r2": r2}
        made[f"{name}_raw"] = least_squares(raw[name], X_raw)[0][0]
    km = _geography.distances(_geography.cities())
    W = _geography.inverse_distance(km)
    z = y - y.mean(axis=0)
    made["moran"] = float(((z * (W @ z)).sum(axis=0) / (z * z).sum(axis=0)).mean())
    return {name: float(value) for name, value in made.items()}


def stored() -> dict[int, dict[str, float]]:
    """Seed -> numbers of the file."""
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    return {int(row.pop("seed")): row for row in rows}


def main() -> None:
    rows = {seed: numbers(seed) for seed in SEEDS}
    with FILE.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["seed", *rows[SEEDS[0]]])
        for seed, row in rows.items():
            lines.writerow([seed, *(f"{value:.8g}" for value in row.values())])


if __name__ == "__main__":
    main()
