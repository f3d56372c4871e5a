"""What `compare --why` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from framework.commands import printing

if TYPE_CHECKING:
    from framework.attribution import Attribution
    from framework.commands.explaining import Cited, Why

_HEADS = {"estimate": "estimate", "std_error": "std. error", "n_obs": "N"}
#: A recomputed number this close to its record is the same number: sums of another
#: order move the last digits.
_SAME = 1e-10
_MOST_REASONS = 3


def say(why: Why) -> None:
    """A difference, its parts, and what could not be computed."""
    printing.out("", f"Why {why.a.column.address} differs")
    for mark, cell in (("A", why.a), ("B", why.b)):
        printing.out(*printing.wrapped(_cell(cell), "     ", f"  {mark}  "))
    if why.problem:
        printing.out(*printing.wrapped(f"not split: {why.problem}", "    ", "  "))
        return
    if not why.parts:
        printing.out("  The two ask for the same thing.")
    else:
        _say_shares(why)
    for text in _remarks(why):
        printing.out(*printing.wrapped(text, "  ", "  "))


def _cell(cell: Cited) -> str:
    held = cell.recorded
    said = [f"{held['estimate']:.6g}"] if "estimate" in held else ["no single number"]
    if "std_error" in held:
        said.append(f"({held['std_error']:.6g})")
    if "n_obs" in held:
        said.append(f"N {held['n_obs']:,.0f}")
    judged = cell.column.judged
    what = f", {judged.estimand} of {judged.term}" if judged is not None else ""
    return f"{' '.join(said)}{what}: {cell.name}"


def _say_shares(why: Why) -> None:
    names = [name for name in _HEADS if name in why.split]
    width = max(len(part) for part in (*why.parts, "B - A"))
    head = "".join(f"{_HEADS[name]:>14}" for name in names)
    printing.out("", f"  {'':{width}}{head}   estimate in the orders")
    for place, part in enumerate(why.parts):
        shares = {name: why.split[name].shares[place] for name in names}
        cells = "".join(f"{_signed(shares[n].share, n):>14}" for n in names)
        first = shares["estimate"]
        span = f"{first.low:+.4g} to {first.high:+.4g}"
        printing.out(f"  {part:{width}}{cells}   {span}")
    cells = "".join(f"{_signed(why.split[n].total, n):>14}" for n in names)
    printing.out(f"  {'B - A':{width}}{cells}", "")


def _signed(number: float, name: str) -> str:
    if number == 0:
        return "0"
    return f"{number:+,.4g}" if name == "n_obs" else f"{number:+.4g}"


def _remarks(why: Why) -> Iterator[str]:
    found = why.split.get("estimate")
    if found is not None and why.parts:
        yield _orders(found)
    for mark, place in (("A", 0), ("B", 1)):
        gap = why.again.get("estimate", (0.0, 0.0))[place]
        side = (why.a, why.b)[place]
        if abs(gap) > _SAME * max(1.0, abs(side.recorded["estimate"])):
            yield (
                f"{mark} estimated again here is {gap:+.4g} from its record: other "
                f"code, versions or data files than when it ran (estimand doctor, "
                f"estimand trace)."
            )
    reasons = list(dict.fromkeys(why.failed.values()))
    if reasons:
        said = "; ".join(reasons[:_MOST_REASONS])
        more = "; …" if len(reasons) > _MOST_REASONS else ""
        yield f"{len(why.failed)} mixtures cannot be estimated: {said}{more}"


def _orders(found: Attribution) -> str:
    if found.asked == 1:
        return "One part differs, so the difference is its."
    of = "" if found.orders == found.asked else f" (of {found.asked})"
    return (
        f"A part's share is what it adds when the parts are switched from A to B one at "
        f"a time, averaged over {found.orders}{of} orders; shares sum to B - A."
    )


def as_dict(why: Why) -> Mapping[str, Any]:
    """The same for `--json`."""
    return {
        "a": why.a.name,
        "b": why.b.name,
        "recorded": {"a": dict(why.a.recorded), "b": dict(why.b.recorded)},
        "parts": list(why.parts),
        "problem": why.problem,
        "split": {
            name: {
                "difference": found.total,
                "orders": found.orders,
                "orders_asked": found.asked,
                "shares": {
                    share.part: {
                        "share": share.share,
                        "low": share.low,
                        "high": share.high,
                    }
                    for share in found.shares
                },
            }
            for name, found in why.split.items()
        },
        "estimated_again_minus_record": {
            name: {"a": gaps[0], "b": gaps[1]} for name, gaps in why.again.items()
        },
        "failed": [
            {"from_b": sorted(mixture), "reason": reason}
            for mixture, reason in why.failed.items()
        ],
    }
