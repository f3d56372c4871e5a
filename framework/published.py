"""Numbers as a paper prints them, beside ours.

A printed number says how exact it is: `"0.1140"` has four decimals, trailing zero
included. Ours agrees if it lies within half a unit of the last one, and its stars are
the same. So that nothing is lost, printed numbers are text: in quotes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from framework.claims import KEY as CLAIMS
from framework.claims import STARS, read_claims
from framework.errors import Phase, Problem, SpecError, counted, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from framework.expect.rows import Judged, Row
    from framework.result import Test

#: A tie of the last digit (0.06385 printed as 0.0638 or 0.0639) agrees either way.
_TIE = 1e-9

_NUMBER = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][+-]?\d+)?"
_PRINTED = re.compile(
    rf"(?P<number>{_NUMBER})\s*(?P<stars>\**)"
    rf"(?:\s*\(\s*(?P<error>{_NUMBER})\s*\)\s*(?P<late>\**))?"
    rf"(?:\s*\[\s*(?P<p_value>{_NUMBER})\s*\])?"
)
_LEADING_ZERO_GROUP = re.compile(r"[+-]?0\d*,")
_SHORTEST_GUESSED = 3
_INDEXED = re.compile(r"(?P<name>.+?)\[(?P<index>[^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Printed:
    """A number as printed.

    Attributes:
        text: as written in the study.
        number, std_error: exact decimals; no standard error = None.
        stars: number of stars; None where the text makes no claim: a number without
            stars and without a standard error (a sample size, an R2).
        p_value: as printed, in square brackets here; none = None.
    """

    text: str
    number: Decimal
    std_error: Decimal | None = None
    stars: int | None = None
    p_value: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """A printed number and ours.

    Attributes:
        address: `heading.line[.value].term-or-scalar`.
        estimate, std_error: ours; None where there is none.
        stars: ours, as printed (`"**"`); None for a number that has none.
        difference: ours minus printed.
        agrees: number, standard error and stars, as far as they are printed; None where
            there is no number of ours to compare.
        text: in words.
        ours: number, stars, standard error and p value of ours, as far as they are
            printed and rounded as printed; empty where there is no number of ours.
        differing: which of these differ.
    """

    address: str
    printed: str
    estimate: float | None
    std_error: float | None
    stars: str | None
    difference: float | None
    agrees: bool | None
    text: str
    ours: str = ""
    differing: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """For the manifest."""
        return {
            "address": self.address,
            "printed": self.printed,
            "ours": {
                "estimate": self.estimate,
                "std_error": self.std_error,
                "stars": self.stars,
            },
            "difference": self.difference,
            "agrees": self.agrees,
            "text": self.text,
            "as_printed": self.ours,
            "differing": list(self.differing),
        }


def parse(text: Any) -> Printed:
    """`"0.1140** (0.0556)"`, `"2,574"`, `"-.0800"` -> numbers with their precision.

    Raises:
        SpecError: not text, or not a number as tables print it.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return Printed(str(text), Decimal(text))
    if not isinstance(text, str):
        raise SpecError(
            "X30",
            f"the printed number {text!r} is not in quotes",
            why="trailing zeros say how exact a printed number is; YAML drops them",
            fix=f'"{text}", with every digit the paper prints',
        )
    plain = text.strip().replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "-")
    match = _PRINTED.fullmatch(plain)
    if match is None or not _is_number(
        match["number"], match["error"], match["p_value"]
    ):
        raise SpecError(
            "X30",
            f"'{text}' is not a number as a table prints it",
            fix='"0.1140** (0.0556)": estimate, stars, standard error; "2,574"; or '
            '"0.027 [0.000]" with a p value',
        )
    stars = len(match["stars"] or match["late"] or "")
    claims = bool(stars) or match["error"] is not None
    return Printed(
        text,
        _decimal(match["number"]),
        _decimal(match["error"]) if match["error"] is not None else None,
        stars if claims else None,
        _decimal(match["p_value"]) if match["p_value"] is not None else None,
    )


def _is_number(*pieces: str | None) -> bool:
    # "0,114" is a decimal comma, not a thousand.
    return all(
        any(c.isdigit() for c in piece) and not _LEADING_ZERO_GROUP.match(piece)
        for piece in pieces
        if piece is not None
    )


def _decimal(piece: str) -> Decimal:
    return Decimal(piece.replace(",", ""))


def agrees(ours: float, printed: Decimal) -> bool:
    """Within half a unit of the last printed digit."""
    if not math.isfinite(ours):
        return False
    unit = Decimal(1).scaleb(_exponent(printed))
    gap = abs(Decimal(ours) - printed)
    return gap <= unit / 2 * (1 + Decimal(_TIE))


def as_printed(ours: float, printed: Decimal) -> str:
    """Ours with as many decimals as the printed number has."""
    decimals = max(0, -_exponent(printed))
    text = f"{ours:,.{decimals}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text


def _exponent(printed: Decimal) -> int:
    exponent = printed.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101 - parse lets no NaN or infinity through
    return exponent


def stars_of(p_value: float, convention: Sequence[float] = STARS) -> str:
    """`**` for a p value below two of the bounds."""
    return "*" * sum(p_value < bound for bound in convention)


def compare(
    published: Mapping[str, Any],
    run: Iterable[Judged],
    convention: Sequence[float] = STARS,
) -> tuple[Compared, ...]:
    """Every printed number of a study beside ours.

    Args:
        published: mirrors the study's checks; leaves are printed numbers keyed by a
            term (the user's column), a scalar (`n_obs`, `r2`), a test, `term[index]`,
            `equation[term]` or, in a table of its own, `column[row]`.
        run: all estimations of the run.
        convention: p values below which a star is printed.

    Raises:
        SpecError: a leaf is not a printed number.
    """
    everything = {judged.address: judged for judged in run}
    return tuple(
        _one(path, parse(leaf), everything, convention)
        for path, leaf in _leaves(_numbers(published), ())
    )


def printed_numbers(published: Mapping[str, Any]) -> dict[tuple[str, ...], Printed]:
    """Path -> number of every leaf; what the text claims is left out.

    Raises:
        SpecError: a leaf is not a printed number.
    """
    return {path: parse(leaf) for path, leaf in _leaves(_numbers(published), ())}


def _numbers(published: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in published.items() if key != CLAIMS}


def faults(published: Any) -> list[Problem]:
    """Leaves that are no printed number and claims that say nothing, at their paths."""
    if not isinstance(published, Mapping):
        what = f"published is a mapping of headings, not {published!r:.40}"
        return [Problem(Phase.SPEC, "X30", what, path="published")]
    found = read_claims(published)[1] if CLAIMS in published else []
    for path, leaf in _leaves(_numbers(published), ("published",)):
        try:
            parse(leaf)
        except SpecError as error:
            found += [p.at(path=".".join(path)) for p in error.problems]
    return found


def misplaced(published: Mapping[str, Any], columns: Sequence[str]) -> list[Problem]:
    """Printed numbers at values that no line has; their headings and lines are known.

    Args:
        published: the block of the study.
        columns: addresses of all estimations. A line whose values only the data tell is
            not in it, and neither are its numbers judged here.
    """
    lines = {tuple(c.split(".")[:2]) for c in columns}
    found: dict[str, Problem] = {}
    for path, _ in _leaves(_numbers(published), ()):
        column = ".".join(path[:-1])
        if column in columns or tuple(column.split(".")[:2]) not in lines:
            continue
        beside = [c for c in columns if c.split(".")[:2] == column.split(".")[:2]]
        found[column] = Problem(
            Phase.SPEC,
            "X30",
            f"there is no column '{column}'",
            fix=did_you_mean(column, beside),
            path=".".join(("published", *path[:-1])),
        )
    return list(found.values())


def unknown_words(
    published: Mapping[str, Any], words: Collection[str]
) -> list[tuple[str, str, list[str]]]:
    """Names of printed numbers that look misspelt: name, guess, the columns it is in.

    Args:
        published: the block of the study.
        words: columns, groups, steps and the words of the glossary. An estimator may
            report terms of its own (`rho`), so a name that is like none of them need
            not be wrong: the run tells.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for path, _ in _leaves(_numbers(published), ()):
        match = _INDEXED.fullmatch(path[-1])
        # A term at an index, a term of an equation, a cell of a table.
        either = (match["name"], match["index"]) if match else (path[-1],)
        if any(_known(name, words) for name in either):
            continue
        guess = did_you_mean(either[0], sorted(words))
        # Short names are like many: Moran's `I` is no misspelt column.
        if guess.startswith("did you mean") and len(either[0]) >= _SHORTEST_GUESSED:
            found.setdefault((path[-1], guess), []).append(".".join(path[:-1]))
    return [(*said, places) for said, places in found.items()]


def _known(name: str, words: Container[str]) -> bool:
    return name in words or all(p in words for p in name.replace("×", " ").split())


def _leaves(
    node: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in node.items():
        below = (*path, str(key))
        if isinstance(value, Mapping):
            yield from _leaves(value, below)
        else:
            yield below, value


def _one(
    path: tuple[str, ...],
    printed: Printed,
    run: Mapping[str, Judged],
    convention: Sequence[float],
) -> Compared:
    address = ".".join(path)
    column, name = ".".join(path[:-1]), path[-1]
    judged = run.get(column)
    if judged is None:
        guess = did_you_mean(column, list(run))
        return _none(address, printed, f"there is no column '{column}', {guess}")
    if judged.cell is None:
        why = judged.problem or "there is no result"
        return _none(address, printed, f"{column} was not estimated: {why}")
    scalars = judged.cell.result.scalars
    if name in scalars:
        return _scalar(address, printed, float(scalars[name]))
    tests = {test.name: test for test in judged.cell.result.tests}
    if name in tests:
        return _test(address, printed, tests[name])
    rows = _rows(judged, name)
    if len(rows) == 1:
        return _coefficient(address, printed, rows[0], convention)
    cells = _cells(judged.cell.result.frames, name)
    if not rows and len(cells) == 1:
        return _scalar(address, printed, cells[0])
    known = [*dict.fromkeys(_terms(judged)), *scalars, *tests]
    if not rows:
        guess = did_you_mean(name, known)
        return _none(address, printed, f"{column} has no '{name}', {guess}")
    places = ", ".join(row.where for row in rows[:4])
    return _none(
        address,
        printed,
        f"'{name}' is {counted(len(rows), 'row')} ({places}, …); name one as '{name}[index]'",
    )


def _terms(judged: Judged) -> list[str]:
    return [row.term for row in _there(judged)]


def _there(judged: Judged) -> list[Row]:
    from framework.expect.rows import all_rows

    assert judged.cell is not None  # noqa: S101 - `_one` has looked
    return [] if judged.cell.result.coefficients.empty else all_rows(judged)


def _rows(judged: Judged, name: str) -> list[Row]:
    """The rows a name fits: of a term, at an index, of an equation."""
    from framework.expect.rows import same_index

    there = _there(judged)
    rows = [row for row in there if row.term == name]
    match = _INDEXED.fullmatch(name)
    if not rows and match:
        rows = [
            row
            for row in there
            if row.term == match["name"]
            and any(same_index(have, match["index"]) for have in row.index.values())
        ] or [
            row
            for row in there
            if (row.equation, row.term) == (match["name"], match["index"])
        ]
    # A term may be reported by several estimands: the one asked for first is meant, else
    # the estimator's first; with leads, lags or groups of it: the row without an index.
    asked = [r for e in judged.estimand[:1] for r in rows if r.estimand == e]
    rows = asked or [r for r in rows if r.estimand == rows[0].estimand]
    plain = [row for row in rows if not row.index]
    return plain if len(plain) == 1 else rows


def _cells(frames: Mapping[str, pd.DataFrame], name: str) -> list[float]:
    """`mean[eco]`: column `mean` in the row that some text column calls `eco`."""
    match = _INDEXED.fullmatch(name)
    if match is None:
        return []
    column, wanted = match["name"], match["index"]
    found = []
    for frame in frames.values():
        if column not in frame.columns or frame[column].dtype.kind not in "if":
            continue
        texts = [c for c in frame.columns if frame[c].dtype.kind not in "ifb"]
        for text in texts:
            at = frame[text].astype(str) == wanted
            found += [float(v) for v in frame.loc[at, column]]
    return found


def _none(address: str, printed: Printed, why: str) -> Compared:
    text = f"printed {printed.text}; {why}"
    return Compared(address, printed.text, None, None, None, None, None, text)


def _scalar(address: str, printed: Printed, ours: float) -> Compared:
    off = [] if agrees(ours, printed.number) else ["number"]
    said = as_printed(ours, printed.number)
    text = _say(printed, said, off)
    gap = ours - float(printed.number)
    return Compared(
        address, printed.text, ours, None, None, gap, not off, text, said, tuple(off)
    )


def _test(address: str, printed: Printed, test: Test) -> Compared:
    if test.statistic is None or test.p_value is None:
        why = test.reason or "it has a p value only"
        return _none(address, printed, f"the test has no statistic: {why}")
    off = [] if agrees(test.statistic, printed.number) else ["number"]
    ours = as_printed(test.statistic, printed.number)
    if printed.p_value is not None:
        ours += f" [{as_printed(test.p_value, printed.p_value)}]"
        off += [] if agrees(test.p_value, printed.p_value) else ["p value"]
    gap = test.statistic - float(printed.number)
    text = _say(printed, ours, off)
    return Compared(
        address,
        printed.text,
        test.statistic,
        None,
        None,
        gap,
        not off,
        text,
        ours,
        tuple(off),
    )


def _coefficient(
    address: str, printed: Printed, row: Row, convention: Sequence[float]
) -> Compared:
    stars = stars_of(row.p_value, convention)
    off = [] if agrees(row.estimate, printed.number) else ["number"]
    ours = as_printed(row.estimate, printed.number)
    if printed.stars is not None:
        ours += stars
        if printed.stars != len(stars):
            off.append("stars")
    if printed.std_error is not None:
        ours += f" ({as_printed(row.std_error, printed.std_error)})"
        if not agrees(row.std_error, printed.std_error):
            off.append("standard error")
    if printed.p_value is not None:
        ours += f" [{as_printed(row.p_value, printed.p_value)}]"
        if not agrees(row.p_value, printed.p_value):
            off.append("p value")
    return Compared(
        address,
        printed.text,
        row.estimate,
        row.std_error if math.isfinite(row.std_error) else None,
        stars,
        row.estimate - float(printed.number),
        not off,
        _say(printed, ours, off),
        ours,
        tuple(off),
    )


def _say(printed: Printed, ours: str, off: list[str]) -> str:
    if not off:
        return f"printed {printed.text}, ours {ours}: the same"
    what = " and ".join(", ".join(off).rsplit(", ", 1))
    differs = "differ" if len(off) > 1 or off == ["stars"] else "differs"
    return f"printed {printed.text}, ours {ours}: {what} {differs}"
