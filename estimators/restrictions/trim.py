"""Trimming of propensity scores near 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from estimators.restrictions._compared import Compared
from framework.contract import Candidates, Selection
from framework.errors import IdentificationError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]


class Trim(Compared):
    """Keep those whose probability of treatment is not near 0 or 1.

    Of both groups, so the effect is that of the kept ones. `crump` takes the bound that
    gives the smallest variance.
    """

    main: ClassVar[str | None] = "bounds"
    paper: ClassVar[str] = (
        "Crump, Hotz, Imbens and Mitnik (2009), Biometrika 96(1), sections 3 and 4"
    )

    bounds: tuple[float, float] | Literal["crump"] = Field(
        (0.1, 0.9),
        description="[lowest, highest] score that is kept, or crump: the bound of "
        "smallest variance",
    )

    @field_validator("bounds")
    @classmethod
    def _ordered(
        cls, value: tuple[float, float] | Literal["crump"]
    ) -> tuple[float, float] | Literal["crump"]:
        if value != "crump" and not 0 <= value[0] < value[1] <= 1:
            raise ValueError(
                f"bounds [{value[0]:g}, {value[1]:g}] are not within [0, 1]"
            )
        return value

    def select(self, given: Candidates) -> Selection:
        """Trim.

        Raises:
            DataError, IdentificationError: as `_subjects`; I08 the covariates separate
                the groups, I02 a group has nobody left.
        """
        import numpy as np

        from estimators.restrictions._reported import Matched, report

        found, X, fitted = self.compared(given)
        labels = [str(c) for c in given.covariates.columns]
        low, high, inside = self._inside(fitted.score, found.block)
        left = int((inside & found.treated).sum()), int((inside & ~found.treated).sum())
        if not all(left):
            raise IdentificationError(
                "I02",
                f"{left[0]:,} of {int(found.treated.sum()):,} treated and {left[1]:,} of "
                f"{int((~found.treated).sum()):,} untreated {found.word} have a score "
                f"from {low:.4g} to {high:.4g}",
                why="without both there is no comparison",
                fix="wider bounds, or fewer covariates",
            )
        told = Matched(
            found,
            fitted,
            inside,
            inside.astype(np.float64),
            np.zeros(len(inside), dtype=np.int64),
            self.score,
        )
        kept = f"{self.score} scores from {low:.4g} to {high:.4g}"
        said = f"{kept} of {', '.join(labels)}{self.where(found, given)}"
        frames, plots, notes = report(given, told, X, said, "trimming")
        rows = np.where(found.of >= 0, inside[found.of], False)
        return Selection(
            rows=rows,
            unknown=found.unknown,
            detail=f"{kept}, {told.count()}",
            frames=frames,
            plots=plots,
            notes=(*notes, *fitted.notes),
        )

    def _inside(
        self, score: Floats, block: npt.NDArray[np.int64]
    ) -> tuple[float, float, Flags]:
        """Lowest and highest score kept, and who has one between; per block if crump."""
        import numpy as np

        from estimators._math.trimming import best_bound

        if self.bounds != "crump":
            low, high = self.bounds
            return low, high, (score >= low) & (score <= high)
        inside = np.zeros(len(score), dtype=bool)
        bounds = []
        for number in np.unique(block):
            here = (block == number) & np.isfinite(score)
            if here.any():
                alpha = best_bound(score[here])
                inside |= here & (score >= alpha) & (score <= 1 - alpha)
                bounds.append(alpha)
        alpha = min(bounds)
        return alpha, 1 - alpha, inside
