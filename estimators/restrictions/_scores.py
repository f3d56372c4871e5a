"""The propensity score of subjects, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from estimators.restrictions._subjects import Subjects
from framework.errors import IdentificationError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

Link = Literal["logit", "probit"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Of every subject, NaN in a block that has only treated or only untreated ones.

    Attributes:
        score, index: (m,) probability of treatment, and the index it is a function of.
        notes: covariates that a block's score did not need.
    """

    score: Floats
    index: Floats
    notes: tuple[str, ...]


def scores(
    found: Subjects, X: Floats, labels: list[str], called: str, link: Link
) -> Scores:
    """Fit the score within every block.

    Raises:
        IdentificationError: I08 the covariates tell treated from untreated completely.
    """
    import numpy as np

    from estimators._math.propensity import NoMaximumError, fit

    score = np.full(len(found.rows), np.nan)
    index = np.full(len(found.rows), np.nan)
    unused: dict[str, int] = {}
    for number, period in enumerate(found.blocks):
        here = found.block == number
        d = found.treated[here]
        if d.all() or not d.any():
            continue
        try:
            fitted = fit(X[here], d.astype(np.float64), link)
        except NoMaximumError as error:
            where = "" if period is None else f" in {called} {period}"
            raise _separated(error.columns, labels, d, where, link, found) from error
        score[here], index[here] = fitted.score, fitted.index
        for column in set(range(len(labels))) - set(fitted.used):
            unused[labels[column]] = unused.get(labels[column], 0) + 1
    notes = tuple(
        f"the score does without {label}, which is constant or a combination of the "
        "covariates before it"
        for label in labels
        if unused.get(label)
    )
    return Scores(score, index, notes)


def _separated(
    columns: dict[int, str],
    labels: list[str],
    d: Any,
    where: str,
    link: str,
    found: Subjects,
) -> IdentificationError:
    one, zero = int(d.sum()), int((~d).sum())
    if columns:
        said = "; ".join(
            f"'{labels[c]}' of every treated one is at least that of every untreated"
            if side == "high"
            else f"'{labels[c]}' of every treated one is at most that of every untreated"
            for c, side in columns.items()
        )
        fix = "covariates without " + ", ".join(labels[c] for c in columns)
    else:
        said = "some combination of the covariates separates them"
        fix = "fewer covariates, or exact: [column] for a category"
    return IdentificationError(
        "I08",
        f"the {link} has no maximum{where}: {said} ({one:,} treated and {zero:,} "
        f"untreated {found.word})",
        why="every score would be 0 or 1, and no one could be compared with anyone",
        fix=fix,
    )
