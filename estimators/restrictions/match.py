"""Matched samples: nearest neighbours, radius and kernel, as Stata's psmatch2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from estimators.restrictions._compared import Compared
from framework.contract import Candidates, Selection
from framework.errors import IdentificationError, counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from scipy.sparse import csr_array

    from estimators.restrictions._scores import Scores
    from estimators.restrictions._subjects import Subjects

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]


class Match(Compared):
    """Matched sample: untreated units weighted to be like the treated ones.

    Every treated unit has weights over its matches that sum to one, an untreated unit
    the sum of its weights, as psmatch2's `_weight`. Units are compared on values from
    before the treatment; rows only on request.
    """

    main: ClassVar[str | None] = "method"
    paper: ClassVar[str] = (
        "Rosenbaum and Rubin (1983), Biometrika 70(1); Heckman, Ichimura and Todd "
        "(1997), Review of Economic Studies 64(4); Leuven and Sianesi (2003), PSMATCH2"
    )

    method: Literal["nearest", "radius", "kernel"] = Field(
        "nearest", description="nearest neighbours, all within a caliper, or a kernel"
    )
    exact: list[str] = Field(
        default_factory=list, description="columns in which matches must be equal"
    )
    distance: Literal["score", "index", "mahalanobis"] = Field(
        "score",
        description="of what the distance is: the score, the index x'b that it is a "
        "function of, or the covariates (Mahalanobis)",
    )
    neighbours: int = Field(1, ge=1, description="nearest: matches per treated unit")
    replacement: bool = Field(
        True, description="nearest: an untreated unit may be matched more than once"
    )
    ties: bool = Field(
        True,
        description="nearest: all that are as near as the last one are matches; false: "
        "a hash of the unit's name decides, never the order of rows",
    )
    order: Literal["hash", "highest", "lowest"] = Field(
        "hash",
        description="without replacement: who chooses first, by a hash of the name or "
        "by the score",
    )
    caliper: float | None = Field(
        None, gt=0, description="nearest, radius: largest distance of a match"
    )
    caliper_unit: Literal["raw", "sd"] = Field(
        "raw",
        description="of the caliper: as the distance, or in its standard deviations "
        "(root of the mean of both groups' variances)",
    )
    kernel: Literal["epanechnikov", "gaussian", "biweight", "uniform", "tricube"] = (
        Field("epanechnikov", description="kernel: its shape")
    )
    bandwidth: float = Field(0.06, gt=0, description="kernel: its width, as distance")
    support: Literal["treated", "controls", "both", "none"] | None = Field(
        None,
        description="common support: leave out treated units outside the untreated "
        "units' range of scores (psmatch2 `common`, the default), untreated units "
        "outside the treated ones' (`comsup`), both, or none (default of mahalanobis)",
    )
    weighted: bool = Field(
        True, description="the estimator weights the rows; false: it only selects them"
    )

    @model_validator(mode="after")
    def _fits(self) -> Match:
        if self.method == "radius" and self.caliper is None:
            raise ValueError("radius matching needs a caliper, such as caliper: 0.05")
        if not self.replacement and self.method != "nearest":
            raise ValueError(f"{self.method} matching is with replacement")
        return self

    def groups(self) -> tuple[str, ...]:
        return tuple(self.exact)

    def weighs(self) -> bool:
        return self.weighted and not self._one_to_one

    def sets(self) -> bool:
        return not self.replacement

    @property
    def _one_to_one(self) -> bool:
        nearest = self.method == "nearest" and self.neighbours == 1
        return nearest and not self.replacement

    @property
    def _support(self) -> str:
        return self.support or ("none" if self.distance == "mahalanobis" else "treated")

    def select(self, given: Candidates) -> Selection:
        """Match, and say who was matched and how alike the groups are then.

        Raises:
            DataError, IdentificationError: as `_subjects`; I08 the covariates separate
                the groups, I02 no treated unit has a match.
        """
        import numpy as np

        from estimators.restrictions._reported import Matched, report

        found, X, fitted = self.compared(given)
        labels = [str(c) for c in given.covariates.columns]
        inside = _inside(fitted.score, found, self._support)
        weight, matches, leader, caliper = self._weights(
            given, found, fitted, X, inside
        )
        if not (found.treated & (weight > 0)).any():
            raise self._nobody(found, inside, fitted)
        told = Matched(found, fitted, inside, weight, matches, self.score)
        frames, plots, notes = report(
            given, told, X, self._said(found, given, labels, caliper), "matching"
        )
        row_weight = np.where(found.of >= 0, weight[found.of], 0.0)
        return Selection(
            rows=row_weight > 0,
            unknown=found.unknown,
            detail=f"{self._method(caliper)}, {told.count()}",
            weights=row_weight if self.weighs() else None,
            sets=self._sets(given, found, leader),
            frames=frames,
            plots=plots,
            notes=(*notes, *fitted.notes, *self._inference(given)),
        )

    # -- matching ---------------------------------------------------------------------

    def _weights(
        self,
        given: Candidates,
        found: Subjects,
        fitted: Scores,
        X: Floats,
        inside: Flags,
    ) -> tuple[Floats, Ints, Ints, float | None]:
        """Weight, matches and treated subject of every subject; caliper as distance.

        The treated subject is the one that an untreated subject was matched to last:
        without replacement, the only one.
        """
        import numpy as np

        from estimators._math.matching import Points, whitened

        weight = np.zeros(len(found.rows))
        matches = np.zeros(len(found.rows), dtype=np.int64)
        leader = np.arange(len(found.rows))
        cell = _cells(given, found)
        caliper = self.caliper
        for block in range(len(found.blocks)):
            here = np.flatnonzero((found.block == block) & np.isfinite(fitted.score))
            if not len(here):
                continue
            if self.distance == "mahalanobis":
                at = whitened(X[here])
            else:
                values = fitted.score if self.distance == "score" else fitted.index
                at = values[here][:, None]
            caliper = self._caliper(at, found.treated[here])
            points = Points(at, self._order(found, fitted, here))
            usable = inside[here]
            for code in np.unique(cell[here]):
                mine = usable & (cell[here] == code)
                one = np.flatnonzero(mine & found.treated[here])
                zero = np.flatnonzero(mine & ~found.treated[here])
                others = points.take(zero)
                for part in self._parts(one, len(zero)):
                    pairs = self._pairs(points.take(part), others, caliper)
                    count = np.diff(pairs.indptr)
                    weight[here[part]] = count > 0
                    matches[here[part]] = count
                    weight[here[zero]] += np.asarray(pairs.sum(axis=0)).ravel()
                    used = np.bincount(pairs.indices, minlength=len(zero))
                    matches[here[zero]] += used
                    chosen = np.repeat(here[part], count)
                    leader[here[zero][pairs.indices]] = chosen
        return weight, matches, leader, caliper

    def _sets(
        self, given: Candidates, found: Subjects, leader: Ints
    ) -> npt.NDArray[np.object_] | None:
        """Name of the treated subject of every row's set; None for rows of a panel."""
        import numpy as np

        if self.replacement or (given.unit is not None and found.at is None):
            return None
        names = np.asarray(given.names, dtype=object)[found.rows][leader][found.of]
        names[found.of < 0] = None
        return names

    def _parts(self, treated: Ints, untreated: int) -> list[Ints]:
        """Treated subjects so many at a time that their pairs fit into memory."""
        import numpy as np

        from estimators._math.matching import AT_ONCE

        if not self.replacement:  # who comes later chooses from what is left
            return [treated]
        size = max(1, AT_ONCE // max(1, untreated))
        return np.split(treated, np.arange(size, len(treated), size))

    def _pairs(self, one: Any, zero: Any, caliper: float | None) -> csr_array:
        from estimators._math import matching

        if self.method == "kernel":
            return matching.kernel_weights(one, zero, self.kernel, self.bandwidth)
        if self.method == "radius":
            assert caliper is not None  # noqa: S101 - the validator has checked
            return matching.radius(one, zero, caliper)
        if self.replacement:
            return matching.nearest(
                one, zero, self.neighbours, caliper=caliper, ties=self.ties
            )
        return matching.without_replacement(one, zero, self.neighbours, caliper=caliper)

    def _caliper(self, at: Floats, treated: Flags) -> float | None:
        import numpy as np

        if self.caliper is None or self.caliper_unit == "raw":
            return self.caliper
        variances = [at[side].var(axis=0, ddof=1).sum() for side in (treated, ~treated)]
        return self.caliper * float(np.sqrt(np.mean(variances)))

    def _order(self, found: Subjects, fitted: Scores, here: Ints) -> Ints:
        import numpy as np

        if self.order == "hash":
            return np.asarray(found.order[here], dtype=np.int64)
        sign = -1.0 if self.order == "highest" else 1.0
        ranked = np.lexsort((found.order[here], sign * fitted.score[here]))
        order = np.empty(len(here), dtype=np.int64)
        order[ranked] = np.arange(len(here))
        return order

    # -- words ------------------------------------------------------------------------

    def _method(self, caliper: float | None) -> str:
        if self.method == "kernel":
            return f"{self.kernel} kernel, bandwidth {self.bandwidth:g}"
        if self.method == "radius":
            return f"radius {caliper:.4g}"
        said = counted(self.neighbours, "nearest neighbour")
        said += "" if self.replacement else " without replacement"
        return said if caliper is None else f"{said} within {caliper:.4g}"

    def _said(
        self,
        found: Subjects,
        given: Candidates,
        labels: list[str],
        caliper: float | None,
    ) -> str:
        """The convention, in one sentence for the table."""
        of = {
            "score": f"the {self.score} score",
            "index": f"the index of the {self.score} score",
            "mahalanobis": "the Mahalanobis distance",
        }[self.distance]
        said = f"{self._method(caliper)} on {of} of {', '.join(labels)}"
        said += self.where(found, given)
        if self.exact:
            said += f", equal in {', '.join(self.exact)}"
        rule = {
            "treated": "treated outside the untreated range of scores left out",
            "controls": "untreated outside the treated range of scores left out",
            "both": "scores outside the other group's range left out",
            "none": "no common support imposed",
        }[self._support]
        said += f"; {rule}"
        return said if self.weighted else f"{said}; matches count alike (unweighted)"

    def _inference(self, given: Candidates) -> tuple[str, ...]:
        by = given.called[0]
        how = f"draws: {{resample: {by}, times: 199}}" if by else "a bootstrap (draws)"
        redo = f"{how} matches anew in every resample"
        if self._one_to_one:
            said = (
                "standard errors take the matched pairs as given, which is valid where "
                "they are clustered by pairs (inference: {cluster: name of this "
                "restriction}) or by what holds whole pairs (Abadie and Spiess 2022)"
            )
        elif self.method == "nearest" and self.replacement:
            said = (
                "standard errors take the matches as given; a bootstrap of nearest "
                "neighbours with replacement is not valid either (Abadie and Imbens "
                "2008)"
            )
        else:
            said = f"standard errors take score and weights as given; {redo}"
        return (said,)

    def _nobody(
        self, found: Subjects, inside: Flags, fitted: Scores
    ) -> IdentificationError:
        import numpy as np

        treated = int(found.treated.sum())
        off = int((found.treated & ~inside & np.isfinite(fitted.score)).sum())
        alone = int((found.treated & ~np.isfinite(fitted.score)).sum())
        told = [f"{off:,} outside the common support"] if off else []
        told += [f"{alone:,} without an untreated one in their period"] if alone else []
        rest = treated - off - alone
        told += [f"{rest:,} without anyone near enough"] if rest else []
        return IdentificationError(
            "I02",
            f"none of the {treated:,} treated {found.word} has a match: "
            f"{', '.join(told)} ({int((~found.treated).sum()):,} untreated)",
            why="there is nobody like them to compare them with",
            fix="a wider caliper or bandwidth, or fewer covariates",
        )


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float

    def holds(self, score: Floats) -> Flags:
        held: Flags = (score >= self.low) & (score <= self.high)
        return held


def _inside(score: Floats, found: Subjects, rule: str) -> Flags:
    """Subjects on the common support, per block."""
    import numpy as np

    inside = np.isfinite(score)
    for block in range(len(found.blocks)):
        here = (found.block == block) & np.isfinite(score)
        one, zero = here & found.treated, here & ~found.treated
        if not one.any() or not zero.any():
            continue
        if rule in {"treated", "both"}:
            held = _Range(score[zero].min(), score[zero].max()).holds(score)
            inside &= ~one | held
        if rule in {"controls", "both"}:
            held = _Range(score[one].min(), score[one].max()).holds(score)
            inside &= ~zero | held
    return inside


def _cells(given: Candidates, found: Subjects) -> Ints:
    """Cell of the `exact` columns of every subject."""
    import numpy as np

    if not given.groups.shape[1]:
        return np.zeros(len(found.rows), dtype=np.int64)
    held = given.groups.iloc[found.rows]
    codes = held.groupby(list(held.columns), sort=False, dropna=False).ngroup()
    return np.asarray(codes.to_numpy(), dtype=np.int64)
