"""A list of who is treated: are its entries the units that they are coded at?"""

from __future__ import annotations

from collections.abc import Iterator

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Scene, listed
from framework.claims import TreatedList
from framework.errors import EstimandError


def judge(scene: Scene) -> Iterator[Finding]:
    """The list, if the claims name one."""
    claim = scene.claims.treated
    if claim is None:
        return
    count = scene.claims.sample.treated_units
    printed = [f"{count} treated units"] if count else []
    printed += [f"{claim.batches} batches"] if claim.batches else []
    said = f"the text: {' in '.join(printed)}" if printed else claim.quote
    entries, problem = _entries(scene, claim)
    if problem:
        yield _finding(
            "cannot be judged", claim, said, problem,
            "The list that the text rests on cannot be read.", "no list",
        )  # fmt: skip
        return
    units = {unit for _, unit, _ in entries}
    dates = {date for _, _, date in entries if date}
    computed = f"{len(entries)} entries at {len(units)} units"
    if claim.batch:
        computed += f", {len(dates)} dates of approval"
    wrong = (count is not None and count != len(units)) or (
        claim.batches is not None and bool(claim.batch) and claim.batches != len(dates)
    )
    yield _finding(
        "inconsistent" if wrong else "confirmed", claim, said, computed,
        "The list has other counts than the text."
        if wrong
        else "The list has as many units and dates as the text says.",
        f"{len(units)} units" + (f", {len(dates)} dates" if claim.batch else ""),
    )  # fmt: skip
    other = [
        f"{entry} at {unit}" for entry, unit, _ in entries if not _same(entry, unit)
    ]
    if other:
        yield _finding(
            "inconsistent", claim, said,
            f"{len(entries) - len(other)} entries are units of the panel; coded at "
            f"another: {listed(other)}",
            "A unit of which only a part is treated counts as treated, whole.",
            f"{len(other)} of {len(entries)} entries",
        )  # fmt: skip


def _entries(
    scene: Scene, claim: TreatedList
) -> tuple[list[tuple[str, str, str]], str]:
    """(entry, unit, date) of each row; else why there are none."""
    try:
        frame = scene.table_of(claim.file)
    except EstimandError as error:
        return [], error.problems[0].what
    columns = [c for c in (claim.entry, claim.unit, claim.batch) if c]
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        return [], f"{claim.file} has no column {listed(missing)}"
    held = [frame[c].fillna("").astype(str).tolist() for c in columns]
    dates = held[2] if claim.batch else [""] * len(frame)
    return list(zip(held[0], held[1], dates, strict=True)), ""


def _same(entry: str, unit: str) -> bool:
    """The same name; what stands in brackets behind it tells namesakes apart."""
    return entry.strip() == unit.split("(", maxsplit=1)[0].strip() or entry == unit


def _finding(
    severity: str, claim: TreatedList, said: str, computed: str, reason: str, proof: str
) -> Finding:
    return Finding(
        "treated",
        severity,  # type: ignore[arg-type]  # one of the severities, see above
        "claims.treated",
        said,
        computed,
        reason,
        proof,
        basis="design",
        where=claim.where,
    )


RULE = Rule("treated", "is everybody on the list a unit of the panel?", judge)
