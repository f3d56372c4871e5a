"""What a printed number can have been before it was rounded.

A printed number is every number that rounds to it; sums and ratios of printed numbers
are computed on these intervals, so that rounding alone never raises an alarm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist

#: Outwards, relative: what the arithmetic of doubles can lose.
_NUDGE = 1e-12
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval of real numbers."""

    low: float
    high: float

    @classmethod
    def of(cls, printed: Decimal | str) -> Interval:
        """All numbers that are printed like this."""
        number = (
            Decimal(printed.replace(",", "")) if isinstance(printed, str) else printed
        )
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)  # noqa: S101 - printed numbers are finite
        half = Decimal(5).scaleb(exponent - 1)
        return cls(float(number - half), float(number + half))._out()

    @classmethod
    def exactly(cls, value: float) -> Interval:
        """One number."""
        return cls(value, value)

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    def _out(self) -> Interval:
        gap = _NUDGE * max(abs(self.low), abs(self.high))
        if not math.isfinite(gap):
            return self
        return Interval(self.low - gap, self.high + gap)

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)._out()

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.low - other.high, self.high - other.low)._out()

    def __mul__(self, other: Interval) -> Interval:
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(min(ends), max(ends))._out()

    def __truediv__(self, other: Interval) -> Interval:
        """Unbounded where the divisor may be zero."""
        if other.low <= 0 <= other.high:
            return Interval(-math.inf, math.inf)
        return self * Interval(1 / other.high, 1 / other.low)

    def __abs__(self) -> Interval:
        if self.low <= 0 <= self.high:
            return Interval(0.0, max(-self.low, self.high))
        return self if self.low > 0 else Interval(-self.high, -self.low)

    def square(self) -> Interval:
        """Of a number in it, not of two."""
        size = abs(self)
        return Interval(size.low**2, size.high**2)._out()

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def meets(self, other: Interval) -> bool:
        return self.low <= other.high and other.low <= self.high

    def clip(self, low: float, high: float) -> Interval:
        """The part between two bounds."""
        return Interval(min(max(self.low, low), high), max(min(self.high, high), low))

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}"


def t_of(estimate: Decimal, std_error: Decimal) -> Interval:
    """|t| of a printed estimate and its printed standard error."""
    size, error = abs(Interval.of(estimate)), Interval.of(std_error).clip(0, math.inf)
    high = math.inf if error.low <= 0 else size.high / error.low
    low = 0.0 if error.high <= 0 else size.low / error.high
    return Interval(low, high)._out() if math.isfinite(high) else Interval(low, high)


def p_of(t: Interval, df: int) -> Interval:
    """Two-sided p of |t| under every t distribution with `df` degrees or more."""
    return Interval(two_sided(t.high), max(_student(t.low, df), two_sided(t.low)))


def two_sided(t: float) -> float:
    """Two-sided p of |t| under the normal distribution."""
    return math.erfc(abs(t) / math.sqrt(2))


def _student(t: float, df: int) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(df, -abs(t)))


def z_of(p: Interval) -> Interval:
    """|z| of which p is the upper tail, or both tails: two ways of testing."""
    p = p.clip(0, 1)
    one, other = _upper(p.low), _upper(p.high)
    low = 0.0 if p.holds(0.5) else min(abs(one), abs(other))
    return Interval(
        min(low, _upper(p.high / 2)), max(abs(one), abs(other), _upper(p.low / 2))
    )


def _upper(p: float) -> float:
    """Z with the upper tail p."""
    if p <= 0:
        return math.inf
    return -math.inf if p >= 1 else -_NORMAL.inv_cdf(p)
