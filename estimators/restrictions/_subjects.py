"""Who is compared with whom: units on values before treatment, or rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from framework.contract import Candidates
from framework.errors import DataError, IdentificationError, counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

Level = Literal["unit", "row"]
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Subjects:
    """The units or rows that a score is fitted to, in an order of their own.

    Attributes:
        rows: (m,) position of the row that holds each subject's covariates.
        of: (n,) subject of every row, -1 for rows without one.
        treated: (m,) whether the subject is treated.
        block: (m,) subjects are compared within blocks (periods).
        blocks: the block's period by number; one None if there is one block.
        order: (m,) rank by the hash of the subject's name.
        unknown: rows of subjects without a complete set of covariates.
        at: the period of the covariates, for units; None for rows.
        word: `units` or `rows`.
        late: rows among `rows` that lie in or after the first treated period of any.
    """

    rows: Ints
    of: Ints
    treated: Flags
    block: Ints
    blocks: tuple[int | None, ...]
    order: Ints
    unknown: int
    at: int | None
    word: str
    late: int


def subjects(
    given: Candidates,
    *,
    level: Level | None,
    by_period: bool,
    at: int | None,
    now: bool,
) -> Subjects:
    """Choose the level and collect the subjects.

    Args:
        given: the rows.
        level: `unit` or `row`; None = units where there are any, unless `by_period`.
        by_period: compare within periods.
        at: period of the covariates; None = the last before the first adoption.
        now: a row is treated while its treatment is on, not if its unit ever is.

    Raises:
        DataError: T02 a treatment that is not 0/1, P04 no periods or units where they
            are asked for, T03 no such period, D05 nobody has all covariates.
        IdentificationError: E05 treated before the covariates are seen.
    """
    import numpy as np

    values = given.treatment
    seen = np.unique(values[~np.isnan(values)])
    if not np.isin(seen, (0.0, 1.0)).all():
        shown = ", ".join(f"{v:g}" for v in seen[:4])
        raise DataError(
            "T02",
            f"matching compares treated with untreated; the treatment takes {shown}, …",
            fix="a 0/1 treatment on this line",
        )
    if by_period and given.time is None:
        raise DataError("P04", "by: period needs data.panel.time")
    panel = given.unit is not None and given.time is not None
    if level == "unit" and not panel:
        raise DataError(
            "P04",
            "level: unit needs units and periods; every row is compared here",
            fix="leave level out",
        )
    chosen = level or ("unit" if panel and not by_period else "row")
    if chosen == "unit":
        return _units(given, at)
    return _rows(given, by_period=by_period, now=now)


def _units(given: Candidates, at: int | None) -> Subjects:
    import numpy as np

    assert given.unit is not None and given.time is not None  # noqa: S101, PT018 - the caller has checked
    if given.cohort is None:
        raise IdentificationError(
            "E06",
            "level: unit takes covariates from before the treatment, and this one has no "
            "first period: it is not absorbing",
            fix="level: row, or a treatment that never switches off",
        )
    last, first = int(given.time.max()), int(given.time.min())
    ever = given.cohort <= last
    if not ever.any():
        raise _nobody("treated", given)
    cohort = given.cohort - given.anticipation
    adoption = float(cohort[ever].min())
    early = np.unique(given.names[cohort <= (first if at is None else at)])
    if at is None:
        before = given.time[given.time < adoption]
        if not len(before):
            raise IdentificationError(
                "E05",
                f"{counted(len(early), 'unit is', 'units are')} treated in the first "
                f"period {first} (first: "
                f"{', '.join(early[:_SHOWN])}): no period lies before every adoption",
                why="covariates from after the treatment may carry its effect",
                fix="leave those units out, or say the period of the covariates with at "
                "and leave out the units treated by then",
            )
        at = int(before.max())
    elif not (given.time == at).any():
        raise DataError(
            "T03",
            f"at: {at} is no period of the sample ({first} to {last})",
            fix=f"at: a period from {first} to {last}",
        )
    elif len(early):
        raise IdentificationError(
            "E05",
            f"{counted(len(early), 'unit is', 'units are')} treated by {at} (first: "
            f"{', '.join(early[:_SHOWN])})",
            why="their covariates of that period may carry the effect",
            fix=f"at: a period before {adoption:g}, or leave those units out",
        )
    here = given.time == at
    rows = _known(given, np.flatnonzero(here))
    rows = rows[np.argsort(given.keys[rows], kind="stable")]
    number = np.full(int(given.unit.max()) + 1, -1, dtype=np.int64)
    number[given.unit[rows]] = np.arange(len(rows))
    of = number[given.unit]
    none = np.zeros(len(rows), dtype=np.int64)
    found = Subjects(
        rows=rows,
        of=of,
        treated=ever[rows],
        block=none,
        blocks=(None,),
        order=np.arange(len(rows)),
        unknown=int((of < 0).sum()),
        at=at,
        word="units",
        late=0,
    )
    return _both(found, given)


def _rows(given: Candidates, *, by_period: bool, now: bool) -> Subjects:
    import numpy as np

    n = len(given.treatment)
    treated = given.treatment > 0
    late = 0
    if given.cohort is not None and given.time is not None:
        last = given.time.max()
        if not now:
            treated = given.cohort <= last
        if (given.cohort <= last).any():
            late = int((given.time >= given.cohort.min()).sum())
    rows = _known(given, np.flatnonzero(~np.isnan(given.treatment)))
    time = np.zeros(n, dtype=np.int64) if given.time is None else given.time
    rows = rows[np.lexsort((time[rows], given.keys[rows]))]
    of = np.full(n, -1, dtype=np.int64)
    of[rows] = np.arange(len(rows))
    blocks: tuple[int | None, ...] = (None,)
    block = np.zeros(len(rows), dtype=np.int64)
    if by_period:
        periods, block = np.unique(time[rows], return_inverse=True)
        blocks = tuple(periods.tolist())
    found = Subjects(
        rows=rows,
        of=of,
        treated=treated[rows],
        block=block.astype(np.int64),
        blocks=blocks,
        # Rows of one unit are not neighbours in the order: their period is mixed in.
        order=np.argsort(np.argsort(_mixed(given.keys[rows], time[rows]))),
        unknown=n - len(rows),
        at=None,
        word="rows",
        late=late,
    )
    return _both(found, given)


def _mixed(keys: Any, time: Any) -> Any:
    """A hash of two numbers: splitmix64's last step (Steele, Lea and Flood 2014)."""
    import numpy as np

    mixed = keys.astype(np.uint64) ^ (
        time.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    )
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(27))


def _known(given: Candidates, rows: Ints) -> Ints:
    """Rows without a missing covariate or group."""
    import numpy as np

    missing = given.covariates.isna().any(axis=1) | given.groups.isna().any(axis=1)
    held = missing.to_numpy()[rows]
    if len(rows) and held.all():
        worst = given.covariates.iloc[rows].isna().sum().idxmax()
        raise DataError(
            "D05",
            f"no row has all covariates ('{worst}' is the most often missing)",
            fix="other covariates, or an interpolate step",
        )
    return np.asarray(rows[~held], dtype=np.int64)


def _both(found: Subjects, given: Candidates) -> Subjects:
    if not found.treated.any():
        raise _nobody("treated", given)
    if found.treated.all():
        raise _nobody("untreated", given)
    return found


def _nobody(which: str, given: Candidates) -> IdentificationError:
    return IdentificationError(
        "I01",
        f"no {which} unit among the {counted(len(given.treatment), 'row')} that could "
        "be matched",
        fix="see the row ledger: an earlier restriction, or missing covariates, may have "
        "removed them",
    )
