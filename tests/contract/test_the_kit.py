"""The kit catches what it should: every plugin here is broken in one known way."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.testing import (
    NotConforming,
    check_estimator,
    check_generator,
    check_learner,
    check_matrix,
    check_step,
)
from tests.contract import broken_builders, broken_estimators, broken_steps
from tests.contract.sound import Sound

#: The classes of a file of broken plugins can't all be named after it.
SEVERAL = {"declaration": "several plugins in one file"}


def violations(check: Callable[..., None], *args: Any, **more: Any) -> list[str]:
    with pytest.raises(NotConforming) as caught:
        check(*args, **more)
    return list(caught.value.violations)


def rules(found: list[str]) -> set[str]:
    return {sentence.partition(":")[0] for sentence in found}


def says(found: list[str], sentence: str) -> None:
    pattern = re.escape(sentence).replace("…", ".*")
    assert any(re.match(pattern, told) for told in found), "\n".join(found)


def test_a_sound_estimator_passes() -> None:
    check_estimator(Sound)
    check_estimator(Sound, adjust=False)


#: Broken in a way that shows only where there are units.
OF_PANELS = {"ReadsUnitCodes", "CountsUnitsWrong", "InfluenceByCode", "SaysAliases"}
ESTIMATORS = [
    (
        "ChangesTheFrame",
        "purity: it changes request.frame (plain cross section and ",
        {"purity"},
    ),
    (
        "SharesRandomNumbers",
        "purity: it draws from the random numbers that all share",
        {"purity"},
    ),
    (
        "Unseeded",
        "determinism: coefficients is another when the same request is estimated again",
        {"determinism", "aliases", "names", "row_order", "unit_names", "outcome_scale"}
        | {"confidence"},
    ),
    (
        "HidesItsDraws",
        "determinism: coefficients is another under another seed: say `random = True`",
        {"determinism"},
    ),
    (
        "SaysAliases",
        "names: a term says 'v001', a working column: use request.labels",
        {"names", "judged", "aliases"},
    ),
    ("SaysAliasesInNotes", "names: a note says 'v000', a working column", {"names"}),
    (
        "InventsAScalar",
        "glossary: scalar 'goodness' is not in framework.glossary",
        {"glossary"},
    ),
    ("InventsATest", "glossary: test 'magic' is not in", {"glossary"}),
    ("InventsAColumn", "columns: 'stars' is no index column", {"columns"}),
    ("LeavesOutAColumn", "columns: coefficients begin with equation, ", {"columns"}),
    (
        "WrongInfluence",
        "influence: the variance of 'd' from the influence functions is 1.21 times",
        {"influence"},
    ),
    (
        "InfluenceByCode",
        "influence: its index has 0, which is no id of cluster 'city'",
        {"influence"},
    ),
    ("NoInfluence", "influence: there is none", {"influence"}),
    ("NanError", "numbers: std_error of 'd' is nan", {"numbers", "influence"}),
    (
        "ZeroError",
        "numbers: a standard error is not positive",
        {"numbers", "influence"},
    ),
    ("OneSided", "numbers: p_value of 'd' is not the two-sided p", {"numbers"}),
    ("OtherStatistic", "numbers: statistic of 'd' is not estimate / ", {"numbers"}),
    (
        "IntervalElsewhere",
        "numbers: the estimate of 'd' is outside its interval",
        {"numbers", "confidence", "outcome_scale"},
    ),
    (
        "IgnoresTheConfidence",
        "confidence: the interval at 0.8 is not inside that at 0.95",
        {"confidence"},
    ),
    (
        "IgnoresTheEstimand",
        "estimands: asked for coefficient, it gives att",
        {"estimands"},
    ),
    (
        "OtherEstimand",
        "judged: asked for att, the first row is late",
        {"judged", "estimands"},
    ),
    (
        "ControlFirst",
        "judged: the first row's term is 'x1', the treatment is 'd'",
        {"judged", "names"},
    ),
    ("Empty", "judged: there is no coefficient", {"judged"}),
    ("CountsWrong", "counts: n_obs is 481, 480 rows were given", {"counts"}),
    ("LosesRows", "counts: n_obs is 473, 480 rows were given", {"counts"}),
    ("CountsUnitsWrong", "counts: n_periods is 3, there are 8", {"counts"}),
    ("SortsAliases", "aliases: ", {"aliases"}),
    (
        "ReadsTheFirstRow",
        "row_order: …moves …with the rows in another order",
        {"row_order", "unit_names"},
    ),
    ("ReadsUnitCodes", "unit_names: …moves …with units renamed", {"unit_names"}),
    ("AbsoluteTolerance", "outcome_scale: …with the outcome times", {"outcome_scale"}),
    (
        "ParsesLabels",
        "names: columns with names such as 'log(y) + 1' raises",
        {"names"},
    ),
    (
        "RenamesTheTreatment",
        "names: the treatment is named 'a b | c' and the first row's term is 'a_b___c'",
        {"names"},
    ),
    (
        "StumblesOverNothing",
        "refusals: no rows raises IndexError: single positional indexer",
        {"refusals"},
    ),
    (
        "EstimatesNothing",
        "refusals: a treatment that is 0 everywhere gives numbers and is not refused",
        {"refusals"},
    ),
    ("RefusesControls", "refusals: it refuses what its needs take: no", {"refusals"}),
    ("FarFromTheTruth", "truth: att of 'd' is ", {"truth", "outcome_scale"}),
    (
        "DoesNotTravel",
        "pickle: pickling the result raises",
        {"pickle", "determinism"},
    ),
    ("DrawsNothing", "columns: plot 'density' draws 'nowhere'", {"columns"}),
    ("ReturnsADict", "output: estimate returns a dict", {"output"}),
    ("Raises", "refusals: it raises KeyError: 'v001'", {"refusals"}),
]


@pytest.mark.parametrize(
    ("name", "sentence", "allowed"), ESTIMATORS, ids=[e[0] for e in ESTIMATORS]
)
def test_a_broken_estimator_is_caught(
    name: str, sentence: str, allowed: set[str]
) -> None:
    cls = getattr(broken_estimators, name)
    kinds = ["panel" if name in OF_PANELS else "cross_section"]
    found = violations(check_estimator, cls, exempt=SEVERAL, kinds=kinds)
    says(found, sentence)
    assert rules(found) <= allowed, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Silent", "declaration: the class has no docstring"),
        ("Undescribed", "declaration: option 'weight' has no description"),
        ("UndescribedWithin", "declaration: option 'inner.depth' has no description"),
        ("TakesAnything", "declaration: it takes unknown options"),
        ("TakesAnything", "declaration: an option that does not exist is taken"),
        ("NoPaper", "declaration: paper is empty"),
        ("UnknownEstimand", "declaration: estimands names 'effect'"),
        ("UnknownDemands", "declaration: needs.kinds names 'panels'"),
        ("UnknownDemands", "declaration: needs.uses names 'covariates'"),
        ("UnknownDemands", "declaration: needs.inference names 'robust'"),
        ("StrangeMain", "declaration: main is 'window', which is no option"),
        ("Raises", "declaration: Raises stands in broken_estimators.py, which should"),
    ],
)
def test_a_wrong_declaration_is_caught(name: str, sentence: str) -> None:
    cls = getattr(broken_estimators, name)
    says(violations(check_estimator, cls, kinds=()), sentence)


def test_what_is_no_estimator_is_refused() -> None:
    found = violations(check_estimator, broken_steps.Tidy)
    assert found == ["declaration: it is not derived from framework.contract.Estimator"]


def test_a_wrong_option_of_the_test_is_reported() -> None:
    found = violations(check_estimator, Sound, adjust="perhaps")
    says(found, "declaration: Sound(adjust) raises ValidationError")


def test_a_heavy_import_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parent / "sound.py").read_text("utf-8")
    text = text.replace("class Sound", "class Heavy").replace(
        "from pydantic", "import numpy\nfrom pydantic"
    )
    (tmp_path / "heavy.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import heavy

    monkeypatch.delitem(sys.modules, "heavy")
    found = violations(check_estimator, heavy.Heavy, kinds=())
    (sentence,) = found
    assert sentence.startswith("imports: importing heavy loads numpy: import inside")


def test_an_exemption_needs_a_rule_a_reason_and_a_use() -> None:
    with pytest.raises(ValueError, match=r"no rule 'purityy'.*did you mean 'purity'"):
        check_estimator(Sound, exempt={"purityy": "why"})
    with pytest.raises(ValueError, match="needs its reason"):
        check_estimator(Sound, exempt={"purity": " "})
    found = violations(check_estimator, Sound, kinds=(), exempt={"purity": "in vain"})
    assert found == ["purity: exempt (in vain), but it holds: take the exemption out"]


def test_an_exemption_lets_the_rest_be_checked() -> None:
    cls = broken_estimators.NoInfluence
    check_estimator(cls, exempt=SEVERAL | {"influence": "a permutation test"})


STEPS = [
    ("Tidy", {}, ""),
    ("ChangesThePanel", {}, "purity: it changes panel.frame"),
    ("TwoLines", {}, "ledger: the ledger has 2 new lines; it gets one"),
    ("NoLine", {}, "ledger: the ledger has 0 new lines"),
    ("MiscountsRows", {}, "ledger: its line says 480 rows -> 479; it was 480 -> 480"),
    ("SaysNothing", {}, "ledger: its line has no detail"),
    ("OtherStage", {}, "ledger: its line is of sample 'made'"),
    ("TouchesTheTreatment", {}, "protected: it changes 'd', which is protected"),
    ("TouchesMore", {}, "makes: it changes 'x2'; touches() says x1"),
    ("TouchesNothing", {}, "makes: touches() says x1; nothing changes"),
    ("MakesMore", {}, "makes: makes() says made; new is made, extra"),
    ("DropsAColumn", {}, "makes: column 'x2' is gone"),
    ("ReadsMore", {}, "reads: data with city, year, x1 alone raises KeyError"),
    ("ReadsMoreIfThere", {}, "reads: it reads a column that reads() does not name"),
    ("ReadsNothingOfIt", {}, "reads: reads() names 'x9', which is not in the data"),
    ("Shuffles", {}, "rows: rows are not in the order they came in"),
    ("KeepsTheIndex", {}, "rows: the index is not 0, 1, 2, …"),
    ("Duplicates", {}, "rows: two rows have the same unit and time"),
    ("KeyError_", {}, "refusals: data without 'x1', which it reads, raises KeyError"),
    ("Overwrites", {}, "refusals: data that have 'made' already gives numbers"),
    ("Random", {}, "determinism: applied to the same panel again it gives another"),
    ("ParsesItsName", {}, "term: as a term, under the name 'log(x) + 1' raises"),
    ("NamesItOtherwise", {}, "term: as a term, under the name 'log(x) + 1' it makes"),
    ("Infinite", {}, "output: a new cell is infinite"),
    ("ReadsUnitNames", {}, "unit_names: 'made' moves when units are renamed"),
    ("StumblesOverText", {}, "refusals: 'x1' as text raises"),
    ("ReturnsAPanel", {}, "output: apply returns a Panel"),
]


@pytest.mark.parametrize(
    ("name", "options", "sentence"), STEPS, ids=[s[0] for s in STEPS]
)
def test_a_broken_step_is_caught(
    name: str, options: dict[str, Any], sentence: str
) -> None:
    cls = getattr(broken_steps, name)
    if not sentence:
        # One class is named after its file: nothing else is wrong with it.
        found = violations(check_step, cls, **options)
        assert [f for f in found if "stands in" not in f] == []
        return
    says(violations(check_step, cls, exempt=SEVERAL, **options), sentence)


BUILDERS: list[tuple[Callable[..., None], str, str]] = [
    (check_matrix, "Neighbours", ""),
    (check_matrix, "OwnNeighbour", "output: the diagonal is not zero"),
    (check_matrix, "ByPosition", "unit_names: weights move when units are renamed"),
    (check_matrix, "SomeUnits", "output: ids are not every unit of the panel, once"),
    (check_matrix, "Dense", "output: the matrix is not a scipy sparse array"),
    (check_matrix, "Negative", "output: a weight is negative"),
    (check_matrix, "RandomNeighbours", "determinism: the same panel gives other"),
    (check_matrix, "Stumbles", "refusals: cross section raises"),
    (check_learner, "Line", ""),
    (check_learner, "NoProbabilities", "output: for classification what it builds has"),
    (check_learner, "SameObject", "output: it hands out the same object twice"),
    (check_learner, "Fitted", "output: it is fitted already (…coef_"),
    (check_learner, "Forgetful", "output: chosen() for regression is not one number"),
    (check_learner, "Namesakes", "output: members() gives two learners the same name"),
    (check_learner, "Unseeded", "determinism: the same seed predicts otherwise"),
    (check_generator, "Coins", ""),
    (check_generator, "FreshCoins", "determinism: the same seed gives other data"),
    (check_generator, "SameCoins", "determinism: another seed gives the same data"),
    (check_generator, "NoTruth", "output: the truth is a mapping that names"),
    (check_generator, "OnlyData", "output: generate returns (panel, truth)"),
]


@pytest.mark.parametrize(
    ("check", "name", "sentence"), BUILDERS, ids=[b[1] for b in BUILDERS]
)
def test_a_broken_builder_is_caught(
    check: Callable[..., None], name: str, sentence: str
) -> None:
    cls = getattr(broken_builders, name)
    if sentence:
        says(violations(check, cls, exempt=SEVERAL), sentence)
    else:
        check(cls, exempt=SEVERAL)
