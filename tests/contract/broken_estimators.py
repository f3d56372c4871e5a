"""Estimators that break the contract in one way each; the kit has to say which."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from framework.contract import Needs, Request
from framework.result import Plot, Result, Test
from tests.contract.sound import Sound


class Altered(Sound):
    """A sound result, altered before it is handed over."""

    def estimate(self, request: Request) -> Result:
        return self.alter(super().estimate(request), request)

    def alter(self, result: Result, request: Request) -> Result:
        return result

    @staticmethod
    def but(result: Result, **cells: Any) -> Result:
        """With other cells in the first row."""
        return replace(result, coefficients=result.coefficients.assign(**cells))

    @staticmethod
    def moved(result: Result, by: float) -> Result:
        """With another estimate and everything that follows from it."""
        from scipy.special import stdtr

        frame = result.coefficients.copy()
        for column in ("estimate", "conf_low", "conf_high"):
            frame[column] += by
        frame["statistic"] = frame["estimate"] / frame["std_error"]
        frame["p_value"] = 2 * stdtr(result.scalars["df_t"], -frame["statistic"].abs())
        return replace(result, coefficients=frame)


class ChangesTheFrame(Altered):
    """Writes into what it was given."""

    def estimate(self, request: Request) -> Result:
        result = super().estimate(request)
        request.frame.loc[0, request.outcome] = 99.0
        return result


class SharesRandomNumbers(Altered):
    """Draws from the random numbers that all share, and does not use them."""

    def alter(self, result, request):
        import numpy as np

        np.random.random()
        return result


class Unseeded(Altered):
    """Draws as it likes."""

    def alter(self, result, request):
        import numpy as np

        return self.moved(result, 1e-3 * np.random.default_rng().normal())


class HidesItsDraws(Altered):
    """Draws from the seed that it is given, and does not say so."""

    def alter(self, result, request):
        import numpy as np

        return self.moved(result, 1e-9 * np.random.default_rng(request.seed).normal())


class SaysAliases(Altered):
    """Terms are working columns."""

    def alter(self, result, request):
        return self.but(result, term=request.treatment.columns[0])


class SaysAliasesInNotes(Altered):
    """A note names a working column."""

    def alter(self, result, request):
        return replace(result, notes=(f"'{request.outcome}' is skewed",))


class InventsAScalar(Altered):
    """A scalar of its own."""

    def alter(self, result, request):
        return replace(result, scalars={**result.scalars, "goodness": 1.0})


class InventsATest(Altered):
    """A test of its own."""

    def alter(self, result, request):
        return replace(result, tests=(Test("magic", "nothing", 1.0, "1", 0.3),))


class InventsAColumn(Altered):
    """A column of its own."""

    def alter(self, result, request):
        return self.but(result, stars="***")


class LeavesOutAColumn(Altered):
    """No p value."""

    def alter(self, result, request):
        frame = result.coefficients.drop(columns="p_value")
        return replace(result, coefficients=frame)


class WrongInfluence(Altered):
    """Influence functions of another scale."""

    def alter(self, result, request):
        return replace(result, influence=1.1 * result.influence)


class InfluenceByCode(Altered):
    """Clusters by code where their ids should be."""

    def alter(self, result, request):
        return replace(result, influence=result.influence.reset_index(drop=True))


class NoInfluence(Altered):
    """None at all."""

    def alter(self, result, request):
        return replace(result, influence=None)


class NanError(Altered):
    """No standard error."""

    def alter(self, result, request):
        return self.but(result, std_error=float("nan"))


class ZeroError(Altered):
    """A perfect fit."""

    def alter(self, result, request):
        return self.but(result, std_error=0.0)


class OneSided(Altered):
    """Half the p value."""

    def alter(self, result, request):
        return self.but(result, p_value=result.coefficients["p_value"] / 2)


class OtherStatistic(Altered):
    """The square of t."""

    def alter(self, result, request):
        return self.but(result, statistic=result.coefficients["statistic"] ** 2)


class IntervalElsewhere(Altered):
    """An interval around zero."""

    def alter(self, result, request):
        return self.but(result, conf_low=-0.1, conf_high=0.1)


class IgnoresTheConfidence(Altered):
    """95 percent whatever is asked for."""

    def estimate(self, request: Request) -> Result:
        return super().estimate(replace(request, confidence=0.95))


class IgnoresTheEstimand(Altered):
    """The effect on the treated whatever is asked for."""

    def alter(self, result, request):
        return self.but(result, estimand="att")


class OtherEstimand(Altered):
    """Always something that was not asked for."""

    def alter(self, result, request):
        return self.but(result, estimand="late")


class ControlFirst(Altered):
    """The first row is a control."""

    def alter(self, result, request):
        return self.but(result, term="x1")


class Empty(Altered):
    """No row."""

    def alter(self, result, request):
        return replace(
            result, coefficients=result.coefficients.iloc[:0], influence=None
        )


class CountsWrong(Altered):
    """One row too many."""

    def alter(self, result, request):
        return replace(
            result, scalars={**result.scalars, "n_obs": len(request.frame) + 1.0}
        )


class LosesRows(Altered):
    """Fewer rows than given, and no word about it."""

    def alter(self, result, request):
        return replace(
            result, scalars={**result.scalars, "n_obs": len(request.frame) - 7.0}
        )


class CountsUnitsWrong(Altered):
    """Rows for units."""

    def alter(self, result, request):
        return replace(result, scalars={**result.scalars, "n_periods": 3.0})


class SortsAliases(Altered):
    """Takes the second column in alphabetical order for the treatment."""

    def treatment(self, request):
        return sorted(request.frame.columns)[1]


class ReadsTheFirstRow(Altered):
    """The first row counts a little more."""

    def alter(self, result, request):
        return self.moved(result, 1e-6 * request.frame[request.outcome].iloc[0])


class ReadsUnitCodes(Altered):
    """The codes of units enter as numbers."""

    def alter(self, result, request):
        if request.unit is None:
            return result
        product = request.frame[request.unit] * request.frame[request.outcome]
        return self.moved(result, 1e-6 * product.mean())


class AbsoluteTolerance(Altered):
    """Stops at a fixed distance."""

    def alter(self, result, request):
        return self.moved(result, 1e-4)


class ParsesLabels(Altered):
    """Takes the user's names for code."""

    def alter(self, result, request):
        compile(str(request.labels[request.treatment.columns[0]]), "label", "eval")
        return result


class RenamesTheTreatment(Altered):
    """Cleans the user's names."""

    def alter(self, result, request):
        clean = result.coefficients["term"].str.replace(r"\W", "_", regex=True)
        return self.but(result, term=clean)


class StumblesOverNothing(Altered):
    """An empty sample ends in a traceback."""

    def estimate(self, request: Request) -> Result:
        float(request.frame[request.outcome].iloc[0])
        return super().estimate(request)


class EstimatesNothing(Altered):
    """A number although nobody is treated."""

    def estimate(self, request: Request) -> Result:
        if not request.frame[request.treatment.columns[0]].any():
            return Result(coefficients=request.frame)
        return super().estimate(request)


class RefusesControls(Altered):
    """Says that it uses controls, and does not."""

    def estimate(self, request: Request) -> Result:
        from framework.errors import IdentificationError

        if request.controls:
            raise IdentificationError("X23", "no controls")
        return super().estimate(request)


class FarFromTheTruth(Altered):
    """Twice the effect."""

    def alter(self, result, request):
        return self.moved(result, 1.0)


class DoesNotTravel(Altered):
    """A frame with functions in it."""

    def alter(self, result, request):
        import pandas as pd

        frame = pd.DataFrame({"function": [lambda: None]})
        return replace(result, frames={"functions": frame})


class DrawsNothing(Altered):
    """A plot of a frame that does not exist."""

    def alter(self, result, request):
        return replace(result, plots=(Plot("density", "nowhere"),))


class ReturnsADict(Altered):
    """Not a result."""

    def alter(self, result, request):
        return {"estimate": 1.0}


class Raises(Altered):
    """A bug."""

    def alter(self, result, request):
        raise KeyError("v001")


# -- declarations ---------------------------------------------------------------------


class Silent(Sound):
    pass


class Undescribed(Sound):
    """An option without a word."""

    weight: float = 1.0


class _Inner(BaseModel):
    depth: int = 1


class UndescribedWithin(Sound):
    """A block whose option has no word."""

    from pydantic import Field as _Field

    inner: _Inner = _Field(default=_Inner(), description="a block")


class TakesAnything(Sound):
    """Unknown options are taken."""

    model_config = ConfigDict(extra="ignore")


class NoPaper(Sound):
    """Nobody's method."""

    paper: ClassVar[str] = ""


class UnknownEstimand(Sound):
    """An estimand of its own."""

    estimands: ClassVar[tuple[str, ...]] = ("att", "effect")


class UnknownDemands(Sound):
    """Words that the framework does not know."""

    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panels"}),
        uses=frozenset({"covariates"}),
        inference=frozenset({"robust"}),
    )


class StrangeMain(Sound):
    """A main option that is none."""

    main: ClassVar[str | None] = "window"
