"""How the streams of random numbers of paper 1's generator were chosen for seed 111.

`python -m tests.simulation.paper_streams` computes the distance from the paper's tables
of every pair of the first two streams (`SALT` 0 to 27, `OUTCOME_SALT` 0 to 399) and of
every third (`MECHANISM_SALT` 0 to 399), and writes the fifty nearest pairs and thirds to
`paper_streams.csv` beside this file, with how many there were. The nearest are the
generator's: a selection, and the reason why seed 111 looks like the paper. Ten minutes on
a quiet core; `python -m tests.simulation.paper_streams 23 0` shows one pair, part by part.

A distance is a sum of squared gaps. What counts as a gap of one is written beside every
printed number: a fraction of what another sample would change, smaller for what a reader
looks at first. Everything is on the winsorized sample, as in the study.
"""

# ruff: noqa: T201 - what it found is its output
from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from estimators.generators import _aipz, _structure
from estimators.generators._paths import Streams
from tests.simulation.paper_seeds import comparisons, winsorized

Floats = npt.NDArray[np.float64]

FILE = Path(__file__).with_suffix(".csv")
SEED = 111
SALTS, OUTCOME_SALTS, MECHANISM_SALTS = range(28), range(400), range(400)
#: Rows of the file for either search.
KEPT = 50
FIRST = _aipz.YEARS.index(_aipz.WINDOW)


@dataclass(frozen=True)
class Column:
    """A column of Table 3: the effects it has and what it prints.

    Attributes:
        ai, error, r2: of the treatment, its clustered error, the fit.
        ai_gap, r2_gap: gaps of one; of the error it is 15%.
        controls, errors: coefficients and standard errors of the six.
    """

    city: bool
    year: bool
    ai: float
    error: float
    r2: float
    ai_gap: float
    r2_gap: float
    controls: tuple[float, ...]
    errors: tuple[float, ...]


TABLE_3 = {
    "none": Column(
        False, False, 0.1140, 0.0556, 0.2637, 0.012, 0.015,
        (0.3689, -0.1370, 0.3716, 4.7561, 0.0229, 0.0028),
        (0.0415, 0.0176, 0.1558, 1.3265, 0.0087, 0.0060),
    ),
    "city": Column(
        True, False, 0.0592, 0.0256, 0.8286, 0.007, 0.006,
        (0.1475, -0.0651, -0.3289, -0.1123, -0.0080, -0.0014),
        (0.0385, 0.0297, 0.1540, 1.2178, 0.0077, 0.0038),
    ),
    "year": Column(
        False, True, 0.1193, 0.0544, 0.2960, 0.012, 0.015,
        (0.4278, -0.1159, 0.3400, 4.8964, 0.0334, -0.0073),
        (0.0442, 0.0188, 0.1566, 1.3027, 0.0086, 0.0065),
    ),
    "both": Column(
        True, True, 0.0638, 0.0255, 0.8335, 0.0035, 0.006,
        (0.1929, 0.0337, -0.1825, 0.5196, -0.0001, -0.0018),
        (0.0421, 0.0425, 0.1770, 1.2654, 0.0081, 0.0038),
    ),
}  # fmt: skip
#: Table 5: AI beside the policy, the policy; gaps of one.
POLICIES = {
    "mic2025": (0.0498, 0.1029, 0.005, 0.012),
    "ecr": (0.0629, 0.0245, 0.006, 0.015),
    "ndei": (0.0608, 0.0225, 0.006, 0.015),
}
#: Table 6: estimate, gap of one.
BACON = {"earlier": (-0.051, 0.035), "later": (-0.030, 0.035), "never": (0.038, 0.005)}
#: Table 9, inverse distance, 2015 to 2023; gap of one.
MORAN = (0.027, 0.038, 0.024, 0.018, 0.024, 0.034, 0.027, 0.027, 0.026)
MORAN_GAP = 0.008
#: Table 7: estimate, error, R2, t; a gap of one of each (of the error: a share of it).
MECHANISMS = {
    "gti": ((0.1891, 0.01), (0.0548, 0.15), (0.9159, 0.01), None),
    "lso": ((0.1076, 0.006), (0.0618, 0.1), (0.9683, 0.004), (1.78, 0.1)),
    # Its scale is not the paper's, whose weights are unknown; its t value is.
    "structure": ((_aipz.UPGRADING, 0.002), None, (0.9747, 0.01), (4.14, 0.5)),
}


@dataclass(frozen=True)
class Regression:
    """Least squares of many outcomes on the same regressors (K, N, T)."""

    X: Floats
    city: bool
    year: bool
    bread: Floats

    @classmethod
    def on(cls, regressors: Floats, *, city: bool = True, year: bool = True):
        X = _structure.demeaned(regressors, city=city, year=year)
        if not (city or year):
            X = X - X.mean(axis=(1, 2), keepdims=True)
        flat = X.reshape(len(X), -1)
        return cls(X, city, year, np.linalg.inv(flat @ flat.T))

    def fit(self, outcome: Floats) -> tuple[Floats, Floats, float]:
        """Coefficients (K,), clustered errors (K,), R2 with fixed effects."""
        y = _structure.demeaned(outcome, city=self.city, year=self.year)
        if not (self.city or self.year):
            y = y - y.mean()
        X, bread = self.X, self.bread
        found = bread @ (X.reshape(len(X), -1) @ y.ravel())
        e = y - np.tensordot(found, X, axes=1)
        scores = (X * e).sum(axis=2)
        cities, periods = y.shape
        parameters = len(X) + (periods if self.year else 1)
        small = cities / (cities - 1) * (y.size - 1) / (y.size - parameters)
        half = bread @ scores
        errors = np.sqrt(small * (half**2).sum(axis=1))
        total = float(np.square(outcome - outcome.mean()).sum())
        return found, errors, 1 - float(np.square(e).sum()) / total


@dataclass(frozen=True)
class Stage:
    """Cities and controls of one `SALT`, and every regression on them.

    Attributes:
        regressors: treatment and the six controls, winsorized, (7, N, T).
        regressions: by what they are for.
        others: cities that are no municipality, (N,).
    """

    place: _aipz.Place
    controls: Mapping[str, Floats]
    regressors: Floats
    regressions: Mapping[str, Regression]
    others: npt.NDArray[np.bool_]


def stage(salt: int) -> Stage:
    streams = Streams(SEED, salt)
    place = _aipz._place(streams)
    controls = _aipz._controls(streams, place)
    own = [winsorized(controls[c][:, FIRST:]) for c in _aipz.CONTROLS]
    policies = {k: v[:, FIRST:] for k, v in _aipz.policies(place).items()}
    ai = policies["ai"]
    X = np.stack([ai, *own])
    others = place.cities.municipality == 0
    made = {n: Regression.on(X, city=c.city, year=c.year) for n, c in TABLE_3.items()}
    made["no_municipalities"] = Regression.on(X[:, others])
    for name in POLICIES:
        made[name] = Regression.on(np.concatenate([X, policies[name][None]]))
    level = ai * place.cities.level[:, None]
    made["level"] = Regression.on(np.stack([level, *own]))
    made["leads"] = Regression.on(np.stack([ai, _lead(ai, 1), _lead(ai, 2), *own]))
    made["event"] = Regression.on(np.stack([*_event_times(place), *own]))
    return Stage(place, controls, X, made, others)


def _lead(ai: Floats, periods: int) -> Floats:
    """The treatment some periods later; after the last year as in it."""
    return np.concatenate(
        [ai[:, periods:], np.repeat(ai[:, -1:], periods, axis=1)], axis=1
    )


def _event_times(place: _aipz.Place) -> list[Floats]:
    """Indicators of -5 and earlier, -4 to -2, 0 to 4; -1 is the reference."""
    k = np.array(_aipz.YEARS[FIRST:])[None] - place.first[:, None]
    k = np.where(np.isfinite(k), np.maximum(k, -5), np.nan)
    return [(k == at).astype(float) for at in (-5, -4, -3, -2, 0, 1, 2, 3, 4)]


def outcome_parts(on: Stage, salt: int) -> dict[str, float]:
    """Squared gaps from Tables 2 to 6, 8 and 9 and from a flat pre-trend."""
    made = _aipz._outcome(Streams(SEED, salt), on.place, on.controls, clean=False)
    raw = made.value[:, FIRST:]
    y = winsorized(raw)
    parts: dict[str, float] = {}
    for name, column in TABLE_3.items():
        found, errors, r2 = on.regressions[name].fit(y)
        gaps = (found[1:] - column.controls) / np.array(column.errors)
        parts |= {
            f"ai, {name}": ((found[0] - column.ai) / column.ai_gap) ** 2,
            f"error, {name}": ((errors[0] / column.error - 1) / 0.15) ** 2,
            f"R2, {name}": ((r2 - column.r2) / column.r2_gap) ** 2,
            f"controls, {name}": 3 * np.mean(gaps**2),
        }
    found, _, _ = on.regressions["no_municipalities"].fit(y[on.others])
    parts["no municipalities"] = ((found[0] - 0.0829) / 0.006) ** 2
    for name, (ai, own, ai_gap, own_gap) in POLICIES.items():
        found, _, _ = on.regressions[name].fit(y)
        parts[name] = ((found[0] - ai) / ai_gap) ** 2
        parts[name] += ((found[-1] - own) / own_gap) ** 2
    found, _, _ = on.regressions["level"].fit(y)
    parts["level"] = ((found[0] - 0.0547) / 0.008) ** 2
    found, _, _ = on.regressions["leads"].fit(y)
    parts["leads"] = ((found[0] - 0.106) / 0.035) ** 2
    bacon = comparisons(y, on.regressors[0])
    parts["bacon"] = sum(((bacon[k] - at) / gap) ** 2 for k, (at, gap) in BACON.items())
    z = y - y.mean(axis=0)
    W = on.place.neighbours
    moran = (z * (W @ z)).sum(axis=0) / (z * z).sum(axis=0)
    parts["moran"] = 2 * np.mean(((moran - MORAN) / MORAN_GAP) ** 2)
    found, errors, _ = on.regressions["event"].fit(y)
    # No penalty below |t| = 0.9: a flat pre-trend still has noise.
    steep = np.maximum(np.abs(found / errors)[:4] - 0.9, 0)
    parts["pre-trend"] = 4 * float((steep**2).sum())
    parts["sd"] = ((raw.std(ddof=1) - 0.2883) / 0.004) ** 2
    return {name: float(value) for name, value in parts.items()}


def mechanism_parts(on: Stage, salt: int) -> dict[str, float]:
    """Squared gaps from Table 7."""
    made = _aipz.mechanisms(Streams(SEED, salt), on.place)
    channels = {
        "gti": np.log(made["green_patents"]),
        "lso": np.log(made["skilled_workers"]),
        "structure": _aipz.structure_index(made["primary"], made["tertiary"]),
    }
    parts: dict[str, float] = {}
    for name, (estimate, error, fit, t) in MECHANISMS.items():
        y = winsorized(channels[name][:, FIRST:])
        found, errors, r2 = on.regressions["both"].fit(y)
        parts[name] = ((found[0] - estimate[0]) / estimate[1]) ** 2
        parts[f"R2, {name}"] = ((r2 - fit[0]) / fit[1]) ** 2
        if error is not None:
            parts[f"error, {name}"] = ((errors[0] / error[0] - 1) / error[1]) ** 2
        if t is not None:
            parts[f"t, {name}"] = ((found[0] / errors[0] - t[0]) / t[1]) ** 2
    return {name: float(value) for name, value in parts.items()}


def pairs(salts: Sequence[int] = SALTS) -> dict[tuple[int, int], float]:
    """(SALT, OUTCOME_SALT) -> distance."""
    found = {}
    for salt in salts:
        on = stage(salt)
        for other in OUTCOME_SALTS:
            found[salt, other] = sum(outcome_parts(on, other).values())
        best = min(found, key=found.__getitem__)
        print(f"{salt}: nearest so far {best}, {found[best]:.2f}", flush=True)
    return found


def thirds(salt: int) -> dict[int, float]:
    """MECHANISM_SALT -> distance."""
    on = stage(salt)
    return {q: sum(mechanism_parts(on, q).values()) for q in MECHANISM_SALTS}


@dataclass(frozen=True)
class Choice:
    """A row of the file: of `searched`, the one at `rank` by distance."""

    search: str
    searched: int
    rank: int
    salt: int
    other: int
    distance: float


def stored() -> list[Choice]:
    with FILE.open(encoding="utf-8", newline="") as file:
        return [
            Choice(
                row["search"], *(int(row[k]) for k in ("searched", "rank", "salt", "other")),
                float(row["distance"]),
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


def _ranked(search: str, found: Mapping[tuple[int, int], float]) -> list[Choice]:
    order = sorted(found, key=found.__getitem__)[:KEPT]
    return [
        Choice(search, len(found), rank, *at, found[at])
        for rank, at in enumerate(order, start=1)
    ]


def write(rows: Sequence[Choice]) -> None:
    with FILE.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["search", "searched", "rank", "salt", "other", "distance"])
        for r in rows:
            lines.writerow(
                [r.search, r.searched, r.rank, r.salt, r.other, f"{r.distance:.6g}"]
            )


def main(asked: Sequence[str]) -> None:
    if asked:
        salt, other = map(int, asked)
        parts = outcome_parts(stage(salt), other)
        for name, value in parts.items():
            print(f"{name:20} {value:8.2f}")
        print(f"{'distance':20} {sum(parts.values()):8.2f}")
        return
    rows = _ranked("outcome", pairs())
    best = rows[0].salt
    rows += _ranked("mechanism", {(best, q): d for q, d in thirds(best).items()})
    write(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
