"""How a number is printed: digits, stars, p values.

Numbers are built here with an ASCII minus and `e` notation; every writer sets them in
its own typography with `typeset`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from statistics import median

#: p value below which a star is added, and its print: the field's convention.
STARS: tuple[tuple[float, str], ...] = ((0.01, "***"), (0.05, "**"), (0.10, "*"))
STARS_NOTE = "* p<0.10, ** p<0.05, *** p<0.01"

#: A standard error is printed with three significant digits, as in `0.0818 (0.0589)`.
_SIGNIFICANT = 3
#: More decimals than this are unreadable: `e` notation takes over.
_MOST_DECIMALS = 6
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SCIENTIFIC = re.compile(r"(\d(?:\.\d+)?)e([+-]\d+)")


def stars(p_value: float) -> str:
    """The stars of a p value; none for a missing one."""
    for limit, mark in STARS:
        if p_value < limit:
            return mark
    return ""


def decimals(std_error: float) -> int | None:
    """Decimals that show three digits of a standard error; None = `e` notation."""
    if not math.isfinite(std_error) or std_error <= 0:
        return 4
    needed = _SIGNIFICANT - 1 - math.floor(math.log10(std_error))
    if needed <= 4:  # noqa: PLR2004 - 0.0818 (0.0589) is the longest usual print
        return max(needed, 0)
    # Two digits of a small standard error are enough before the notation changes.
    return needed - 1 if needed - 1 <= _MOST_DECIMALS else None


def row_decimals(std_errors: Sequence[float]) -> int | None:
    """The decimals that suit most cells of a row."""
    usable = [error for error in std_errors if math.isfinite(error) and error > 0]
    return decimals(median(usable)) if usable else 4


def cell_decimals(usual: int | None, std_error: float) -> int | None:
    """The row's decimals, unless this cell would lose its digits in them."""
    own = decimals(std_error)
    if usual is None or own is None:
        return own
    return usual if abs(own - usual) <= 1 else own


def fixed(value: float, places: int | None) -> str:
    """A number with so many decimals; never `-0.000`; empty when missing."""
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if places is None:
        return f"{value:.2e}" if value else "0"
    text = f"{value:,.{places}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text


def plain(value: float) -> str:
    """A number that stands alone: counts whole, shares to three or four digits."""
    if math.isnan(value) or math.isinf(value):
        return fixed(value, 0)
    if value == int(value) and abs(value) < 1e15:  # noqa: PLR2004 - exact as integer
        return f"{int(value):,}"
    size = abs(value)
    if size >= 1000:  # noqa: PLR2004 - 1,234.5 needs no third decimal
        return fixed(value, 1)
    if size >= 10:  # noqa: PLR2004 - 12.34
        return fixed(value, 2)
    if size >= 0.001:  # noqa: PLR2004 - 0.0012 still shows two digits
        return fixed(value, 3 if size >= 1 else 4)
    return f"{value:.2e}"


def uniform(values: Sequence[float]) -> list[str]:
    """A descriptive column: the same decimals down the column where that reads well."""
    usable = [value for value in values if math.isfinite(value)]
    if all(value == int(value) for value in usable):
        return [plain(value) for value in values]
    largest = max(abs(value) for value in usable)
    if largest < 0.1:  # noqa: PLR2004 - three decimals would show one digit
        return [plain(value) if value else "0" for value in values]
    places = 3 if largest < 1000 else 1  # noqa: PLR2004 - 1,234.5
    return [fixed(value, places) for value in values]


def share(value: float) -> str:
    """An R2: three decimals."""
    return fixed(value, 3)


def p_value(value: float) -> str:
    """`0.034`, `< 0.001`, or nothing."""
    if math.isnan(value):
        return ""
    return "< 0.001" if value < 0.001 else fixed(value, 3)  # noqa: PLR2004 - print limit


def typeset(text: str) -> str:
    """Unicode typography: a real minus, powers of ten as superscripts."""
    text = _SCIENTIFIC.sub(
        lambda m: f"{m[1]}×10{str(int(m[2])).translate(_SUPERSCRIPT)}", text
    )
    return text.replace("-", "−")


def split_number(text: str) -> tuple[str, str, str]:
    """Head (sign, bracket), digits, tail (bracket) of a printed number."""
    match = re.fullmatch(r"([-(\[]*)(.*?)([)\]]*)", text)
    if match is None:  # pragma: no cover - the pattern matches every string
        return "", text, ""
    return match[1], match[2], match[3]
