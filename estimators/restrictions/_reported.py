"""What is printed of a match: balance, overlap, who was matched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from estimators.restrictions._scores import Link, Scores
from estimators.restrictions._subjects import Subjects
from framework.contract import Candidates
from framework.errors import counted
from framework.result import Plot

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]

#: Names spelt out in a note.
_SHOWN = 8
_BINS = 20


@dataclass(frozen=True, slots=True)
class Matched:
    """A match and its subjects, (m,) each.

    Attributes:
        inside: on the common support.
        weight: 1 for a matched treated subject, sum of its weights for an untreated
            one, 0 for who is left out.
        matches: of a treated subject its matches, of an untreated one how many treated
            subjects use it.
        link: model of the score.
    """

    found: Subjects
    fitted: Scores
    inside: Flags
    weight: Floats
    matches: Ints
    link: Link

    def count(self) -> str:
        """`17 of 18 treated and 203 of 268 untreated units, 1 treated off support`."""
        treated, kept = self.found.treated, self.weight > 0
        off = int((treated & ~self.inside).sum())
        said = (
            f"{int((treated & kept).sum()):,} of {int(treated.sum()):,} treated and "
            f"{int((~treated & kept).sum()):,} of {int((~treated).sum()):,} untreated "
            f"{self.found.word}"
        )
        return f"{said}, {off:,} treated off support" if off else said


def report(
    given: Candidates, told: Matched, X: Floats, said: str, what: str
) -> tuple[dict[str, pd.DataFrame], tuple[Plot, ...], list[str]]:
    """Frames `balance`, `overall`, `overlap` and `subjects`, figures, and notes.

    `what` was done: `matching` or `trimming`.
    """
    frames = _balance(told, X, [str(c) for c in given.covariates.columns])
    frames["overlap"] = _overlap(told)
    frames["subjects"] = _subjects(given, told)
    plots = (
        Plot(
            "balance",
            "balance",
            f"covariate balance before and after {what}",
            {"what": what},
        ),
        Plot("overlap", "overlap", "propensity scores of treated and untreated"),
    )
    return (
        frames,
        plots,
        [f"{said}: {told.count()}", *_notes(given, told, frames, what)],
    )


def _notes(
    given: Candidates, told: Matched, frames: dict[str, pd.DataFrame], what: str
) -> list[str]:
    import numpy as np

    found = told.found
    lost = found.treated & ~(told.weight > 0)
    notes = []
    if lost.any():
        names = list(dict.fromkeys(given.names[np.sort(found.rows[lost])]))
        shown = ", ".join(map(str, names[:_SHOWN]))
        more = ", …" if len(names) > _SHOWN else ""
        notes.append(
            f"the effect is that of the treated {found.word} that are kept; left out: "
            f"{shown}{more}"
        )
    if found.late:
        notes.append(
            f"{found.late:,} of the rows {'lies' if found.late == 1 else 'lie'} "
            "after the first adoption: covariates of "
            "those may carry the effect (level: unit takes them from before)"
        )
    worst = frames["balance"]["difference_after"].abs()
    far = worst > 0.1  # noqa: PLR2004 - Austin's (2009) bound
    if far.any():
        count = int(far.sum())
        verb = "differs" if count == 1 else "differ"
        notes.append(
            f"after {what} {count} of {counted(len(worst), 'covariate')} {verb} by "
            f"more than 0.1 standard deviations, at most by {np.nanmax(worst):.2f}"
        )
    return notes


def _balance(told: Matched, X: Floats, labels: list[str]) -> dict[str, pd.DataFrame]:
    import numpy as np
    import pandas as pd
    from scipy.stats import chi2

    from estimators._math.balance import compare, overall, pooled_spread

    usable = np.isfinite(told.fitted.score)
    X, w = X[usable], told.weight[usable]
    d = told.found.treated[usable].astype(np.float64)
    spread = pooled_spread(X, d)
    columns: dict[str, object] = {"variable": labels}
    rows = []
    for when, weight in (("before", np.ones(len(d))), ("after", w)):
        held = compare(X, d, weight, spread)
        columns |= {
            f"treated_{when}": held.treated,
            f"untreated_{when}": held.untreated,
            f"difference_{when}": held.difference,
            f"variance_ratio_{when}": held.ratio,
        }
        every = overall(X, d, weight, held.difference, told.link)
        kept = weight > 0
        rows.append(
            {
                "sample": when,
                "pseudo_r2": every.pseudo_r2,
                "lr_chi2": every.chi2,
                "p_value": float(chi2.sf(every.chi2, every.df)),
                "mean_difference": every.mean,
                "median_difference": every.median,
                "rubin_b": every.rubin_b,
                "rubin_r": every.rubin_r,
                "n_treated": int((kept & (d > 0)).sum()),
                "n_untreated": int((kept & (d == 0)).sum()),
            }
        )
    return {"balance": pd.DataFrame(columns), "overall": pd.DataFrame(rows)}


def _overlap(told: Matched) -> pd.DataFrame:
    """Shares of each group by twentieths of the range of scores."""
    import numpy as np
    import pandas as pd

    usable = np.isfinite(told.fitted.score)
    score, treated = told.fitted.score[usable], told.found.treated[usable]
    weight = told.weight[usable]
    edges = np.linspace(score.min(), score.max(), _BINS + 1)

    def shares(rows: Flags, w: Floats) -> Floats:
        held, _ = np.histogram(score[rows], edges, weights=w[rows])
        return np.asarray(held / held.sum())

    ones = np.ones(len(score))
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "treated": shares(treated, ones),
            "untreated": shares(~treated, ones),
            "treated_kept": shares(treated, weight),
            "untreated_kept": shares(~treated, weight),
        }
    )


def _subjects(given: Candidates, told: Matched) -> pd.DataFrame:
    """Every subject by name: score, weight, and what became of it."""
    import numpy as np
    import pandas as pd

    found = told.found
    status = np.where(told.weight > 0, "kept", "no match")
    status = np.where(told.inside, status, "off support")
    columns: dict[str, object] = {given.called[0] or "row": given.names[found.rows]}
    if found.at is None and given.time is not None:
        columns[given.called[1]] = given.time[found.rows]
    columns |= {
        "treated": found.treated.astype(np.int64),
        "score": told.fitted.score,
        "status": status,
        "matches": told.matches,
        "weight": told.weight,
    }
    keys = list(columns)[: 1 if found.at is not None or given.time is None else 2]
    return pd.DataFrame(columns).sort_values(keys, kind="stable", ignore_index=True)
