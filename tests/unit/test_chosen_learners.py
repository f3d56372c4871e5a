"""Which learner was chosen, or how it was weighed, is told and kept with predictions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._double.chosen import said_of_chosen, spoken_choice
from estimators._double.nuisance import MEMORY
from estimators._double.scores import Check
from estimators.dml_mediation import DmlMediation
from estimators.double_ml import DoubleMl
from estimators.learners.best import Best
from estimators.learners.linear import Linear
from framework.cache import FolderShelf
from framework.contract import SHELF
from framework.errors import EstimandError
from framework.result import Result
from tests.build_double import request, rows
from tests.unit.test_dml_mediation import asked, jobs
from tests.unit.test_double_ml_differences import data
from tests.unit.test_double_ml_differences import estimated as differences

BEST = {"best": ["linear", {"forest": 5}]}
STACKING = {"stacking": ["linear", {"forest": 5}]}


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path) -> Iterator[FolderShelf]:
    made = FolderShelf(tmp_path / "parts")
    token = SHELF.set(made)
    MEMORY.clear()
    yield made
    SHELF.reset(token)
    MEMORY.clear()


def estimated(kind: str = "plr", **options: Any) -> Result:
    given = {"kind": kind, "folds": 3, "repetitions": 2} | options
    return DoubleMl(**given).estimate(request(kind, rows(150)))


def sentences(result: Result) -> list[str]:
    return [n for n in result.notes if "chosen by" in n or "weights" in n]


def test_the_winner_of_every_fit_is_in_the_frame_and_counted_below() -> None:
    result = estimated(learner=BEST)
    frame = result.frames["nuisances"]
    assert len(frame) == 2 * 3 * 2  # nuisances, folds, repetitions
    assert set(frame["chosen"]) <= {"linear", "forest"}
    (said,) = sentences(result)
    assert said.startswith("chosen by best: 'y': ")
    for what, held in frame.groupby("nuisance"):
        (first, count), *_ = held["chosen"].value_counts().items()
        assert f"{what}: {first} in {count} of 6 fits" in said


def test_a_learner_that_competes_with_itself_moves_no_number() -> None:
    columns = ["estimate", "std_error"]
    one = estimated(learner="linear")
    two = estimated(learner={"best": ["linear", "linear"]})
    # The same learner on the same rows: the same bits.
    assert np.array_equal(one.coefficients[columns], two.coefficients[columns])
    assert set(two.frames["nuisances"]["chosen"]) == {"linear"}  # ties: the first
    assert "chosen" not in one.frames["nuisances"]
    assert not sentences(one)


def test_weights_of_regressions_and_classifications_are_told_apart() -> None:
    result = estimated("irm", learner=STACKING)
    frame = result.frames["nuisances"]
    assert frame["chosen"].str.fullmatch(r"linear \S+, forest \S+").all()
    logit, means = sorted(sentences(result), key=lambda n: "logit" not in n)
    assert logit.startswith("stacking weights inside the logit, mean over fits: 'b': ")
    assert means.startswith("stacking weights, mean over fits: 'yb' where 'b' is 0: ")
    held = frame[frame["nuisance"] == "'b'"]["chosen"]
    lines = held.str.extract(r"linear (\S+),")[0].astype(float)
    # The frame has four digits, the sentence two decimals.
    told = float(logit.split("linear ")[1].split(",")[0])
    assert told == pytest.approx(lines.mean(), abs=0.006)


@pytest.mark.parametrize("learner", [BEST, STACKING])
def test_what_was_chosen_is_kept_with_the_predictions(learner: Any) -> None:
    first = estimated(learner=learner)
    made = MEMORY.made
    assert made > 0
    again = estimated(learner=learner)  # from memory
    MEMORY.clear()
    other = estimated(learner=learner)  # from the shelf, as another process would
    assert MEMORY.made == 0
    for result in (again, other):
        pd.testing.assert_frame_equal(
            first.frames["nuisances"], result.frames["nuisances"], check_exact=True
        )
        assert result.notes == first.notes


def test_predictions_kept_without_a_choice_are_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        # As it was before learners told what they choose.
        patch.setattr(Best, "members", lambda _: ())
        patch.setattr(Best, "chosen", lambda *_: ())
        before = estimated(learner=BEST)
    MEMORY.clear()
    after = estimated(learner=BEST)
    assert MEMORY.made == 4  # two nuisances, two splits: none was found
    pd.testing.assert_frame_equal(
        before.coefficients, after.coefficients, check_exact=True
    )
    assert "chosen" not in before.frames["nuisances"]
    assert "chosen" in after.frames["nuisances"]


class Torn(Linear):
    """A learner of somebody's own that tells how it mixes."""

    def members(self) -> tuple[str, ...]:
        return ("steep", "flat")

    def chosen(self, fitted: Any) -> tuple[float, ...]:
        del fitted
        return (0.25, 0.75)


class Wrong(Torn):
    """One that forgets a member."""

    def chosen(self, fitted: Any) -> tuple[float, ...]:
        return super().chosen(fitted)[:1]


def test_a_learner_of_ones_own_tells_what_it_mixes() -> None:
    result = estimated(learner=Torn())
    assert set(result.frames["nuisances"]["chosen"]) == {"steep 0.25, flat 0.75"}
    (said,) = sentences(result)
    assert said == (
        "torn weights, mean over fits: 'y': steep 0.25, flat 0.75; "
        "'d': steep 0.25, flat 0.75"
    )
    with pytest.raises(EstimandError, match=r"not one number for each of members\(\)"):
        estimated(learner=Wrong())


def test_did_multi_speaks_of_all_cells() -> None:
    result = differences(data(), {"learner": Torn()})
    assert set(result.frames["nuisances"]["chosen"]) == {"steep 0.25, flat 0.75"}
    mean = "mean over fits"
    assert sentences(result) == [
        f"torn weights inside the logit, {mean}: propensity: steep 0.25, flat 0.75",
        f"torn weights, {mean}: change without treatment: steep 0.25, flat 0.75",
    ]


def test_mediation_tells_the_weights_of_nested_regressions() -> None:
    result = DmlMediation(folds=4, repetitions=1, learner=Torn()).estimate(
        asked(jobs(300))
    )
    frame = result.frames["nuisances"]
    assert frame["nuisance"].str.startswith("the mean of").any()
    assert set(frame["chosen"]) == {"steep 0.25, flat 0.75"}


def test_many_nuisances_are_counted_together() -> None:
    checks = [
        Check(f"n{i}", "Best", 1, "r2", 0.5, 10, {"a": float(i < 3), "b": float(i > 2)})
        for i in range(8)
    ]
    assert said_of_chosen(checks) == [
        "chosen by best: 8 nuisances: b in 5 of 8 fits, a in 3"
    ]
    assert spoken_choice({}) == ""
    assert said_of_chosen([Check("n", "Lasso", 1, "r2", 0.5, 10)]) == []
