"""The two data sets that the README of R's `triplediff` prints its results for.

They are simulated with `set.seed(1234)`: R's generator (Mersenne Twister, inversion) and
the two designs of Ortiz-Villavicencio and Sant'Anna (2025), section 5, give them again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]


class RStream:
    """Uniform and normal numbers of R's default generators after `set.seed(seed)`."""

    def __init__(self, seed: int) -> None:
        """Scramble the seed as R does and fill the state of the Mersenne Twister."""
        value = np.uint32(seed)
        found = []
        with np.errstate(over="ignore"):
            for _ in range(50 + 625):
                value = np.uint32(69069) * value + np.uint32(1)
                found.append(value)
        self._bits = np.random.MT19937()
        self._bits.state = {
            "bit_generator": "MT19937",
            # R keeps its position in front of the 624 words
            "state": {"key": np.array(found[51:], dtype=np.uint32), "pos": 624},
        }

    def uniform(self, n: int) -> Floats:
        """`runif(n)`."""
        words = self._bits.random_raw(n).astype(np.float64)
        return words * 2.3283064365386963e-10

    def normal(self, n: int) -> Floats:
        """`rnorm(n)`: two uniform numbers for each."""
        big = 134217728.0
        pairs = self.uniform(2 * n).reshape(n, 2)
        return ndtri((np.floor(big * pairs[:, 0]) + pairs[:, 1]) / big)

    def choose(self, probability: Floats) -> NDArray[np.int64]:
        """`sample(k, 1, prob = p)` for every row p of (n, k)."""
        order = np.argsort(-probability, axis=1, kind="stable")
        mass = np.cumsum(np.take_along_axis(probability, order, axis=1), axis=1)
        drawn = self.uniform(len(probability))[:, None]
        at = (drawn > mass[:, :-1]).sum(axis=1)
        return order[np.arange(len(at)), at]


def _covariates(stream: RStream, n: int) -> Floats:
    """Kang and Schafer's covariates (n, 4), standardised."""
    x1, x2, x3, x4 = (stream.normal(n) for _ in range(4))
    spread = np.sqrt((np.exp(0.25) - 1) * np.exp(0.25))
    return np.column_stack(
        [
            (np.exp(x1 / 2) - np.exp(0.125)) / spread,
            x2 / (1 + np.exp(x1)) / 0.54164,
            ((x1 * x3 / 25 + 0.6) ** 3 - 0.21887) / 0.04453,
            ((x1 + x4 + 20) ** 2 - 402) / 56.63891,
        ]
    )


def _long(Y: Floats, state: Floats, eligible: Floats, z: Floats) -> pd.DataFrame:
    n, T = Y.shape
    unit = np.repeat(np.arange(n), T)
    data = pd.DataFrame(
        {
            "unit": unit + 1,
            "time": np.tile(np.arange(1, T + 1), n),
            "first": state[unit],
            "eligible": eligible[unit],
            "y": Y.ravel(),
        }
    )
    for k in range(4):
        data[f"cov{k + 1}"] = z[unit, k]
    data["d"] = (data["time"] >= data["first"]).astype(float)
    data["d × eligible"] = data["d"] * data["eligible"]
    return data


def two_periods(seed: int = 1234, n: int = 500) -> pd.DataFrame:
    """`gen_dgp_2periods(size = 500, dgp_type = 1)`: no effect."""
    stream = RStream(seed)
    z = _covariates(stream, n)
    raw = np.column_stack(
        [
            np.exp(0.2 * z @ [-1, 0.5, -0.25, -0.1]),
            np.exp(0.2 * z @ [-0.5, 2, 0.5, -0.2]),
            np.exp(0.05 * z @ [3, -1.5, 0.75, -0.3]),
        ]
    )
    share = raw / (1 + raw.sum(axis=1))[:, None]
    bounds = np.column_stack([np.cumsum(share[:, :2], axis=1), share.sum(axis=1)])
    cell = (stream.uniform(n)[:, None] > bounds).sum(axis=1)
    state, eligible = (cell >= 2).astype(float), (cell % 2).astype(float)
    high = 210 + z @ [27.4, 13.7, 13.7, 13.7]
    low = 210 + z @ [6.85, 3.43, 3.43, 3.43]
    line = np.where(state == 1, high, low)
    level = line + eligible * line + stream.normal(n)
    y0 = level + stream.normal(n)
    untreated = 2 * line + eligible * line + (level - line - eligible * line)
    y10 = untreated + stream.normal(n)
    y11 = untreated + stream.normal(n)
    y1 = np.where(state * eligible == 1, y11, y10)
    first = np.where(state == 1, 2.0, np.inf)
    return _long(np.column_stack([y0, y1]), first, eligible, z)


def staggered(seed: int = 1234, n: int = 500) -> pd.DataFrame:
    """`gen_dgp_mult_periods(size = 500, dgp_type = 1)`: effects 10, 20 and 25."""
    stream = RStream(seed)
    z = _covariates(stream, n)
    of2 = z @ [-1, 0.5, -0.25, -0.1]
    of3 = z @ [-0.5, 1, -0.1, -0.25]
    of0 = z @ [-0.25, 0.1, -1, -0.1]
    index = [1.25 + of2, 0.5 - of2, 2 + of3, 1.25 - of3, of0 - 0.5, np.zeros(n)]
    raw = np.exp(0.4 * np.column_stack(index))
    kind = stream.choose(raw / raw.sum(axis=1)[:, None])
    eligible = (kind % 2 == 0).astype(float)
    state = np.array([2.0, 2.0, 3.0, 3.0, 0.0, 0.0])[kind]
    line = 210 + z @ [27.4, 13.7, 13.7, 13.7]
    v = state * line + eligible * line + stream.normal(n)
    level = line + eligible * line + v
    y1 = level + stream.normal(n)
    # Three potential outcomes a period; the untreated one is every untreated unit's.
    at2, at3 = ([stream.normal(n) for _ in range(3)] for _ in range(2))
    on2, on3 = eligible * (state == 2), eligible * (state == 3)
    y2 = level + v / 10 + line + np.where(on2, 10 + at2[1], at2[0])
    y3 = level + 2 * (v / 10 + line)
    y3 += np.select([on2 == 1, on3 == 1], [20 + at3[1], 25 + at3[2]], at3[0])
    first = np.where(state == 0, np.inf, state)
    return _long(np.column_stack([y1, y2, y3]), first, eligible, z)
