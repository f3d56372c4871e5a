"""Wild cluster bootstrap of one linear combination of coefficients, on cluster sums.

Cameron, Gelbach and Miller (2008) with the algebra of Roodman, Nielsen, MacKinnon and
Webb (2019): no draw is ever estimated. With x what is left of the regressor after all
others (n,), u the residuals, Q an orthonormal basis of what is not nested in clusters,
and the null beta = b - delta, the restricted residuals are u + delta x, and

    numerator of draw v    sum_g v_g (a_g + delta c_g)
    score of cluster g     v_g (a_g + delta c_g) - L_g (sum_h v_h (R_h + delta L_h))

where a, c, L and R are sums of x u, x x, x Q and Q u over the cluster. Both are linear
in delta, so a p value at any null, and with it the interval, costs a few products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from estimators._math.sandwich import Codes, Floats, sum_by

Multiplier = Literal["rademacher", "webb", "mammen"]

#: All vectors of multipliers are taken where there are no more than this.
ENUMERATED = 65_536
#: Statistics whose squares agree to this are ties (they come of different sums).
TIE = 1e-9
#: Cells of a block of draws.
_BLOCK = 4_000_000
_POINTS = {
    "rademacher": np.array([-1.0, 1.0]),
    "webb": np.sqrt([0.5, 1.0, 1.5, 0.5, 1.0, 1.5]) * [-1, -1, -1, 1, 1, 1],
}
#: Mammen's (1993) two points and the probability of the first.
_GOLDEN = (1 + np.sqrt(5.0)) / 2
_MAMMEN = (1 - _GOLDEN, _GOLDEN, _GOLDEN / np.sqrt(5.0))
#: The interval is looked for so many standard errors away, and no further.
_FURTHEST = 1e6
#: Directions in which values beyond the interval are tried, infinity included.
_DIRECTIONS = 40


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Draws of the clusters' multipliers.

    Attributes:
        values: (B, G).
        enumerated: whether all vectors are there.
        halved: whether `values` has only one of v and -v, whose statistics are the
            same but for their sign.
    """

    values: Floats
    enumerated: bool
    halved: bool = False

    @property
    def n_draws(self) -> int:
        """Vectors behind a p value, those left out by symmetry included."""
        return len(self.values) * (2 if self.halved else 1)


def multipliers(
    kind: Multiplier, G: int, draws: int, seed: int, *, odd: bool = True
) -> Multipliers:
    """All vectors where there are at most `ENUMERATED`, else `draws` random ones.

    Args:
        kind, G: distribution, number of clusters.
        draws, seed: of random vectors.
        odd: the statistic of -v is minus that of v.
    """
    if kind == "mammen":
        low, high, share = _MAMMEN
        is_low = np.random.default_rng(seed).random((draws, G)) < share
        return Multipliers(np.where(is_low, low, high), enumerated=False)
    points = _POINTS[kind]
    m = len(points)
    if G * np.log(m) <= np.log(ENUMERATED) + TIE:
        # Where the statistic is odd the first sign can stay.
        first = points[m // 2 :] if odd else points
        every = product(first, *[points] * (G - 1))
        return Multipliers(np.array(list(every)), enumerated=True, halved=odd)
    at = np.random.default_rng(seed).integers(0, m, (draws, G), dtype=np.int8)
    return Multipliers(points[at], enumerated=False)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums by cluster for one coefficient (G clusters, q columns of Q).

    Attributes:
        a, c: (G,) sums of x u and of x x.
        L, R: (G, q) sums of x Q and of Q u.
    """

    a: Floats
    c: Floats
    L: Floats
    R: Floats

    @classmethod
    def of(cls, x: Floats, u: Floats, Q: Floats, codes: Codes, G: int) -> Sums:
        """From rows: `x`, `u` (n,) and `Q` (n, q), times the root of the weights."""
        both = sum_by(np.column_stack([x * u, x * x]), codes, G)
        return cls(
            both[:, 0],
            both[:, 1],
            sum_by(Q * x[:, None], codes, G),
            sum_by(Q * u[:, None], codes, G),
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """Squared statistics of all draws at any null, less what is common to all.

    With delta = estimate - null, the square is (n0 + delta n1)^2 over
    d0 + delta d1 + delta^2 d2, each (B,); `own` is delta^2 `scale` of the data.
    """

    n0: Floats
    n1: Floats
    d0: Floats
    d1: Floats
    d2: Floats
    scale: float

    def p_value(self, delta: float) -> float:
        """Share of draws whose |t| is strictly above the data's (no tie counts)."""
        above = np.square(self.n0 + delta * self.n1)
        below = self.d0 + delta * (self.d1 + delta * self.d2)
        own = delta * delta * self.scale * (1.0 + TIE)
        return float(np.count_nonzero(above > own * below)) / len(above)

    def reach(self, error: float, level: float, side: int) -> float:
        """As `reach`, from the estimate."""
        return reach(self.p_value, error, level, side)


def reach(
    p_value: Callable[[float], float], error: float, level: float, side: int
) -> float:
    """How far from the estimate, on this side, p stays above `level`; inf if ever.

    The first null outwards whose p is at most `level`, to 1e-12 standard errors.

    Args:
        p_value: of the null that is this far below the estimate.
        error: standard error.
        level: of the test.
        side: 1 below the estimate, -1 above.
    """
    inner, step = 0.0, 0.1
    while p_value(side * (inner + step) * error) > level:
        inner += step
        if inner > 10.0:  # noqa: PLR2004 - the usual intervals end before
            step = inner / 2
        if inner > _FURTHEST:
            return float("inf")
    outer = inner + step
    while outer - inner > 1e-12 * max(1.0, outer):
        middle = (inner + outer) / 2
        if middle in (inner, outer):
            break
        if p_value(side * middle * error) > level:
            inner = middle
        else:
            outer = middle
    return outer * error


def accepted(
    p_value: Callable[[float], float], error: float, level: float
) -> list[tuple[float, float]]:
    """Nulls whose p is above `level`, as pieces of their distance from the estimate.

    The piece around the estimate is that of `reach`. Others are looked for outwards at
    nulls that grow from a twentieth of a standard error apart to a million of them
    away, which stands for infinity; narrower ones between two such nulls are not seen.

    Args:
        p_value: of the null that is this far below the estimate.
        error: standard error.
        level: of the test.

    Returns:
        Pieces in ascending order; an end that is never found is infinite.
    """
    below, above = (reach(p_value, error, level, side) for side in (1, -1))
    pieces = [(-below, above)]
    if np.isfinite(above):
        pieces += _beyond(lambda d: p_value(-d), above, error, level)
    if np.isfinite(below):
        found = _beyond(p_value, below, error, level)
        pieces += [(-far, -near) for near, far in found]
    return sorted(pieces)


def _beyond(
    p_value: Callable[[float], float], start: float, error: float, level: float
) -> list[tuple[float, float]]:
    """Pieces of distances above `start`, a rejected one, that are not rejected."""
    angles = np.linspace(0.0, np.pi / 2, _DIRECTIONS + 2)[1:-1]
    steps = np.append(np.tan(angles), np.geomspace(1e2, _FURTHEST, 9))
    near, inside = start, False
    ends: list[float] = []
    for far in start + error * np.sort(steps):
        if (p_value(float(far)) > level) is not inside:
            low, high = near, float(far)
            while high - low > 1e-12 * max(error, high):
                middle = (low + high) / 2
                if middle in (low, high):
                    break
                if (p_value(middle) > level) is inside:
                    low = middle
                else:
                    high = middle
            ends.append(high)
            inside = not inside
        near = float(far)
    if inside:
        ends.append(float("inf"))
    return list(zip(ends[::2], ends[1::2], strict=True))


def draw(sums: Sums, v: Multipliers, *, restricted: bool) -> Drawn:
    """Statistics of all draws; unrestricted residuals do not move with the null."""
    parts = [np.concatenate(p) for p in zip(*_blocks(sums, v.values), strict=True)]
    n0, n1, d0, d1, d2 = parts
    scale = float(np.sum(sums.c) ** 2 / np.sum(np.square(sums.a)))
    if not restricted:
        nothing = np.zeros_like(n0)
        return Drawn(n0, nothing, d0, nothing, nothing, scale)
    return Drawn(n0, n1, d0, d1, d2, scale)


def _blocks(sums: Sums, v: Floats) -> Iterator[tuple[Floats, ...]]:
    a, c, L, R = sums.a, sums.c, sums.L, sums.R
    size = max(1, _BLOCK // len(a))
    for start in range(0, len(v), size):
        w = v[start : start + size]
        S0 = w * a - (w @ R) @ L.T
        S1 = w * c - (w @ L) @ L.T
        yield (
            w @ a,
            w @ c,
            np.einsum("bg,bg->b", S0, S0),
            2.0 * np.einsum("bg,bg->b", S0, S1),
            np.einsum("bg,bg->b", S1, S1),
        )
