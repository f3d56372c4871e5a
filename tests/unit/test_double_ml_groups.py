"""Groups with effects of their own: what a group has to have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.double_ml import DoubleMl
from framework import run
from framework.contract import Request
from framework.errors import EstimandError
from tests.build_double import panel, panel_request, request, rows

FAST: dict[str, Any] = {"learner": "linear", "folds": 3, "repetitions": 1}


def moderated(made: Request, moderator: np.ndarray, **fields: Any) -> Request:
    """A request as the framework makes it of `interact: m`."""
    treatment = made.treatment
    assert treatment is not None
    d = made.frame[treatment.columns[0]]
    return replace(
        made,
        frame=made.frame.assign(m=moderator, p=d * moderator),
        controls=(*made.controls, "m"),
        labels={**made.labels, "m": "m", "p": "d × m"},
        treatment=replace(treatment, judged=("p",), moderators=("m",)),
        **fields,
    )


def by_unit(of: Any) -> Request:
    """`panel` of 60 units, the moderator a function of the unit's number."""
    data = panel()
    number = data["unit"].str[1:].astype(int).to_numpy()
    return moderated(panel_request(data), np.asarray(of(number), dtype=float))


def problems(made: Request, **options: Any) -> dict[str, str]:
    """Code -> message of everything that is refused."""
    with pytest.raises(EstimandError) as caught:
        DoubleMl(**(FAST | options)).estimate(made)
    return {p.code: p.what for p in caught.value.problems}


@pytest.mark.parametrize("estimand", ["by_group", "interaction"])
@pytest.mark.parametrize(
    "options", [{"transform": "within"}, {"kind": "irm"}], ids=["plr", "irm"]
)
def test_a_group_of_one_unit_has_no_error(
    estimand: str, options: dict[str, Any]
) -> None:
    data = panel()
    first = data.loc[data["first"] == 2003, "unit"].iloc[0]
    alone = (data["unit"] == first).astype(float).to_numpy()
    made = replace(
        moderated(panel_request(data), alone),
        estimand=(estimand,),
        acknowledge=frozenset({"poor_overlap", "few_clusters", "few_treated"}),
    )
    found = problems(made, **options)
    # No override: scores add up to zero in a group, so that this error is rounding.
    assert set(found) <= {"I05", "I08", "M01"}
    assert "where m = 1" in " ".join(found.values())


def test_few_units_of_a_group_have_to_be_acknowledged() -> None:
    made = by_unit(lambda number: number < 8)
    made = replace(made, estimand=("by_group",))
    found = problems(made, transform="within")
    assert "8 clusters of 'unit' where m = 1" in found["I05"]
    both = frozenset({"few_clusters", "few_treated"})
    shown = DoubleMl(**FAST, transform="within").estimate(
        replace(made, acknowledge=both)
    )
    assert (shown.coefficients["std_error"] > 0).all()


def test_a_group_in_which_nobody_is_treated_is_refused() -> None:
    data = panel()
    never = np.isinf(data["first"]).astype(float).to_numpy()
    made = replace(moderated(panel_request(data), never), estimand=("by_group",))
    for transform in ("none", "within", "first_difference", "two_way"):
        found = problems(made, transform=transform)
        assert "'d' does not vary where m = 1" in found["I01"]


@pytest.mark.parametrize("kind", ["plr", "irm"])
def test_three_rows_are_no_group(kind: str) -> None:
    data = rows()
    few = np.zeros(len(data))
    few[:3] = 1.0
    if kind == "irm":
        data.loc[:2, "b"] = [0.0, 1.0, 1.0]
    made = replace(moderated(request(kind, data), few), estimand=("by_group",))
    assert "where m = 1" in problems(made, kind=kind)["M01"]


def test_a_slope_along_a_moderator_takes_all_rows() -> None:
    data = rows()
    made = moderated(request("plr", data), data["x1"].to_numpy())
    result = DoubleMl(**FAST).estimate(made)
    assert list(result.coefficients["estimand"]) == ["interaction", "coefficient"]


def test_groups_of_several_treatments_are_refused() -> None:
    data = rows()
    made = request("plr", data)
    treatment = made.treatment
    assert treatment is not None
    both = replace(
        made,
        frame=made.frame.assign(second=data["b"]),
        labels={**made.labels, "second": "b"},
        treatment=replace(treatment, columns=(*treatment.columns, "second")),
    )
    half = (data["x3"] > 0).astype(float).to_numpy()
    made = replace(moderated(both, half), estimand=("by_group",))
    assert "one treatment" in problems(made)["X23"]


def test_a_moderator_of_two_values_that_is_centred_makes_two_groups() -> None:
    data = pd.DataFrame(rows())
    few = np.zeros(len(data))
    few[:3] = 1.0
    made = moderated(request("plr", data), few - few.mean())
    assert "M01" in problems(made)


def test_groups_of_words_are_all_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = rows(900)
    word = np.where(
        data["x3"] > 0.5, "rich", np.where(data["x3"] < -0.5, "poor", "mid")
    )
    half = np.where(data["x3"] > 0, "upper", "lower")
    data.assign(word=word, half=half).to_csv("rows.csv", index=False)
    Path("study.yaml").write_text(
        """
study: words
data: {source: rows.csv}
model:
  outcome: y
  treatment: {column: d, kind: dose}
  controls: [x1, x2, x3]
  interact: word
  estimand: by_group
  inference: hetero
  estimator: {double_ml: {learner: linear, folds: 3, repetitions: 1}}
checks:
  main: {all: {}, two: {interact: half}}
""",
        encoding="utf-8",
    )
    done = run("study.yaml", "executor=inline", report=False, track=False)
    table = done.result("main.all").coefficients
    assert list(table["group"]) == ["word=mid", "word=poor", "word=rich"]
    # The effect is 0.5 in all of them, and three errors wide at most.
    assert ((table["estimate"] - 0.5).abs() < 3 * table["std_error"]).all()
    two = done.result("main.two").coefficients
    assert list(two["group"]) == ["half=lower", "half=upper"]
