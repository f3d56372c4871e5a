"""Lines of docs/heterogeneity.md through the data layer, against columns by hand."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.triple_did import TripleDid
from estimators.twfe import Twfe
from framework.contract import Estimator
from framework.data.design import build
from framework.data.panels import PanelSpec, build_panel
from framework.errors import EstimandError
from framework.result import Result
from framework.spec.model import Data, Model, PanelKeys, Source


def frame() -> pd.DataFrame:
    """Twelve states in four provinces, two sexes, six years, half treated from 2003."""
    rng = np.random.default_rng(11)
    cells = list(product(range(12), (0, 1), range(2000, 2006)))
    f = pd.DataFrame(cells, columns=["state", "female", "year"])
    f["province"] = "p" + (f.state // 3).astype(str)
    f["law"] = ((f.state % 2 == 0) & (f.year >= 2003)).astype(float)
    f["cell"] = f.state.astype(str) + "-" + f.female.astype(str)
    f["group"] = np.where(f.female == 1, "women", "men")
    f["y"] = rng.normal(size=len(f)) + 0.4 * f.law * f.female + f.state * f.year / 5e3
    f["state"] = "s" + f.state.astype(str)
    return f


def estimate(f: pd.DataFrame, by: Estimator | None = None, **model: Any) -> Result:
    by = by or Twfe()
    panel = build_panel(f, PanelSpec("cell", "year"), "by hand")
    told = Data(
        source=Source.model_validate({"path": "cells.csv"}),
        panel=PanelKeys(unit="cell", time="year"),
    )
    fields = {
        "outcome": "y",
        "treatment": {"column": "law"},
        "fixed_effects": ["cell", "year"],
        "inference": {"name": "cluster", "by": "state"},
        "estimator": {"name": "twfe"},
    }
    made = Model.model_validate(fields | model)
    return by.estimate(build(panel, told, made, by).request)


def by_dummies(f: pd.DataFrame, *columns: Any) -> float:
    """Coefficient of the first column beside the others and 0/1 columns, written out."""
    parts = [
        pd.get_dummies(c, dtype=float).to_numpy()
        if pd.api.types.is_string_dtype(c)
        else np.asarray(c, dtype=float).reshape(len(f), -1)
        for c in columns
    ]
    return float(np.linalg.lstsq(np.column_stack(parts), f.y, rcond=None)[0][0])


def test_a_triple_difference_is_the_difference_of_two() -> None:
    f = frame()
    found = estimate(
        f,
        interact={"with": "female"},
        fixed_effects=[["state", "year"], ["state", "female"], ["female", "year"]],
    )
    row = found.coefficients.iloc[0]
    assert (row.estimand, row.term) == ("interaction", "law × female")
    assert any("'law' is left out" in note for note in found.notes)
    late, treated = f.year >= 2003, f.state.isin(f.state[f.law == 1])
    means = f.groupby([f.female, treated, late]).y.mean()
    did = [
        means[s, True, True] - means[s, True, False]
        - means[s, False, True] + means[s, False, False]
        for s in (0, 1)
    ]  # fmt: skip
    # balanced cells: least squares is the contrast of means
    assert row.estimate == pytest.approx(did[1] - did[0], rel=1e-9)
    reach = found.scalars["mde"] / row.std_error
    assert 2.8 < reach < 3.2  # t quantiles 0.975 and 0.8 with 11 degrees of freedom


def test_the_line_of_a_triple_difference_and_its_estimator() -> None:
    """One treatment date, two periods: the estimator's number is the regression's."""
    f = frame()
    f = f[f.year.isin([2002, 2003])]
    line: dict[str, Any] = {"interact": {"with": "female"}}
    line["acknowledge"] = ["few_treated"]
    after = (f.year == 2003).astype(float)
    three_way = by_dummies(f, f.law * f.female, f.cell, f.law, after, f.female * after)
    # a text moderator: its second group in order is the eligible one
    for with_ in ("female", "group"):
        found = estimate(f, TripleDid(), **(line | {"interact": {"with": with_}}))
        row = found.coefficients.iloc[0]
        assert row.estimand == "att"
        # two routes to the same four means
        assert row.estimate == pytest.approx(three_way, rel=1e-10)
    assert row.term == "law × group=women"


def test_a_treatment_of_the_eligible_alone_says_what_a_triple_difference_needs() -> (
    None
):
    f = frame()
    f["law"] *= f.female
    with pytest.raises(EstimandError) as caught:
        estimate(f, TripleDid(), interact={"with": "female"})
    (problem,) = caught.value.problems
    assert problem.code == "I03"
    assert "on for everyone in the groups that adopt it" in problem.fix


def test_trends_of_units_and_effects_of_provinces_by_year() -> None:
    f = frame()
    trends = estimate(
        f, fixed_effects=["cell", "year", {"slope": {"variable": "year", "by": "cell"}}]
    )
    own = pd.get_dummies(f.cell, dtype=float).to_numpy()
    lines = own * (f.year.to_numpy() - 2002.5)[:, None]
    # the same regression with every column written out
    want = by_dummies(f, f.law, f.cell, f.year.astype(str), lines)
    assert trends.coefficients.estimate[0] == pytest.approx(want, rel=1e-8)
    provinces = estimate(f, fixed_effects=["cell", ["province", "year"]])
    cells = f.province + " " + f.year.astype(str)
    want = by_dummies(f, f.law, f.cell, cells)
    assert provinces.coefficients.estimate[0] == pytest.approx(want, rel=1e-8)


def test_a_product_alone_leaves_treatment_and_moderator_out() -> None:
    f = frame()
    alone = estimate(f, interact={"with": "female", "main_effect": False})
    both = f.law * f.female
    want = by_dummies(f, both, f.cell, f.year.astype(str))
    row = alone.coefficients.iloc[0]
    assert list(alone.coefficients.term) == ["law × female"]
    # the same regression with every column written out
    assert row.estimate == pytest.approx(want, rel=1e-9)
    beside = estimate(f, interact={"with": "female"})
    want = by_dummies(f, both, f.law, f.cell, f.year.astype(str))
    assert beside.coefficients.estimate[0] == pytest.approx(want, rel=1e-9)


def test_groups_of_text_alone_have_an_effect_each() -> None:
    f = frame()
    found = estimate(f, interact={"with": "group", "main_effect": False})
    assert list(found.coefficients.term) == ["law × group=men", "law × group=women"]
    men = f.law * (f.group == "men")
    want = by_dummies(f, men, f.law * f.female, f.cell, f.year.astype(str))
    # the same regression with every column written out
    assert found.coefficients.estimate[0] == pytest.approx(want, rel=1e-9)
