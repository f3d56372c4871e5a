"""Group-time effects that the covariates of their units leave without a number."""

from __future__ import annotations

from dataclasses import dataclass, field

from estimators._math.two_period import NotFitted
from framework.errors import IdentificationError, counted


@dataclass(slots=True)
class Unfitted:
    """Cells without a number, collected for one error over all of them.

    Attributes:
        controls: names of the covariates, X without its constant.
        said: cell and reason.
        dependent: covariates that are constant or that others determine.
        others: cells that fail for another reason.
    """

    controls: tuple[str, ...]
    said: list[str] = field(default_factory=list)
    dependent: set[str] = field(default_factory=set)
    others: int = 0

    def add(self, cell: str, reason: NotFitted) -> None:
        """One more cell."""
        names = [self.controls[j - 1] for j in reason.columns if j]
        named = f" ({', '.join(names)})" if names else ""
        self.said.append(f"{cell}: {reason}{named}")
        self.dependent.update(names)
        self.others += not names

    def raise_if_any(self, what: str, method: str, *fixes: str) -> None:
        """Raises: IdentificationError as `error`, if a cell was added."""
        if self.said:
            raise self.error(what, method, *fixes)

    def error(self, what: str, method: str, *fixes: str) -> IdentificationError:
        """I11 over all cells.

        Args:
            what: what can't be done with them, `computed`.
            method: of the adjustment; a regression needs no overlap.
            fixes: further ways out of what is not collinear.
        """
        ways = []
        if self.dependent:
            names = [c for c in self.controls if c in self.dependent]
            listed = ", ".join(names)
            ways.append(f"leave out {listed}: remove.controls: [{listed}]")
        if self.others and self.controls:
            ways += ["estimator.method: regression"] * (method != "regression")
            ways.append("fewer controls")
        ways += fixes if self.others else ()
        if self.controls:
            ways.append("controls: [] on this line")
        more = len(self.said) - 1
        return IdentificationError(
            "I11",
            f"{counted(len(self.said), 'group-time effect')} can't be {what} "
            f"({self.said[0]}" + (f"; and {more} more)" if more else ")"),
            why="Leaving them out in silence would change what is averaged.",
            fix=", or ".join(ways),
        )
