"""Sample restrictions: which rows stay, what is counted, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.data.restrictions import (
    OPTIONS,
    kept_rows,
)
from framework.errors import DataError, EstimandError, SpecError
from framework.panel import Panel
from framework.spec.restrictions import RESTRICTIONS

NAN = float("nan")


@pytest.fixture
def panel() -> Panel:
    frame = pd.DataFrame(
        {
            "city": ["a"] * 4 + ["b"] * 3 + ["c"] * 4,
            "year": [2010, 2011, 2012, 2013, 2010, 2011, 2013, 2010, 2011, 2012, 2013],
            "region": ["east"] * 4 + ["west"] * 3 + [None] * 4,
            "code": ["01"] * 4 + ["02"] * 7,
            "size": [1.0, 2.0, NAN, 2.0, 1.0, 1.0, 3.0, 2.0, 2.0, 2.0, 2.0],
            "east": [1] * 4 + [0] * 7,
        }
    )
    return Panel(frame, "city", "year")


def kept(panel: Panel, kind: str, cohort: Any = None, **options: Any) -> Panel:
    before = panel.frame.copy(deep=True)
    rows, line = kept_rows(panel, "r", kind, options, cohort)
    pd.testing.assert_frame_equal(panel.frame, before)
    result = panel.with_frame(panel.frame.loc[rows].reset_index(drop=True), line)
    assert (line.stage, line.name, line.cells) == ("sample", "r", 0)
    assert (line.rows_in, line.rows_out) == (len(before), len(result.frame))
    return result


def test_where(panel: Panel) -> None:
    result = kept(panel, "where", where="size = 2 and year >= 2011")
    assert len(result.frame) == 5
    assert "5 rows out, 1 more because it is unknown" in result.ledger[-1].detail


def test_only_and_without_are_not_complements_where_unknown(panel: Panel) -> None:
    only = kept(panel, "only", column="region", values="east")
    without = kept(panel, "without", column="region", values=["east"])
    assert set(only.frame["city"]) == {"a"}
    assert set(without.frame["city"]) == {"b"}
    assert "4 more because it is unknown" in only.ledger[-1].detail
    assert only.ledger[-1].detail.startswith("only region = east: 3 rows out")


def test_values_match_as_written(panel: Panel) -> None:
    assert len(kept(panel, "only", column="code", values="01").frame) == 4
    assert len(kept(panel, "only", column="size", values=2).frame) == 6
    assert len(kept(panel, "only", column="size", values="2").frame) == 6
    assert len(kept(panel, "without", column="east", values=1).frame) == 7
    # 1 is not the code '01'.
    with pytest.raises(DataError):
        kept(panel, "only", column="code", values=1)


def test_unknown_value_lists_what_exists(panel: Panel) -> None:
    for values, guess in (("eats", "did you mean 'east'"), ("xyz", "east, west")):
        with pytest.raises(DataError) as caught:
            kept(panel, "without", column="region", values=["west", values])
        problem = caught.value.problems[0]
        assert problem.code == "D17"
        assert values in problem.what
        assert guess in problem.fix
    with pytest.raises(DataError):
        kept(panel, "only", column="region", values=[])


def test_balanced(panel: Panel) -> None:
    result = kept(panel, "balanced")
    assert set(result.frame["city"]) == {"a", "c"}
    assert "1 unit lacks some of the 4 periods" in result.ledger[-1].detail
    with pytest.raises(DataError):
        kept(Panel(panel.frame), "balanced")


def test_event_window_keeps_never_treated(panel: Panel) -> None:
    cohort = pd.Series([2012.0] * 4 + [np.inf] * 3 + [NAN] * 4)
    result = kept(panel, "event_window", cohort, window=[-1, 0])
    assert list(result.frame["year"]) == [2011, 2012, 2010, 2011, 2013]
    assert "2 rows out, 4 more because it is unknown" in result.ledger[-1].detail
    with pytest.raises(SpecError):
        kept(panel, "event_window", cohort, window=[1, 0])
    with pytest.raises(DataError):
        kept(panel, "event_window", window=[-1, 0])


def test_complete(panel: Panel) -> None:
    assert len(kept(panel, "complete", columns=["size"]).frame) == 10
    assert len(kept(panel, "complete", columns=["size", "region"]).frame) == 6


def test_nothing_left_is_refused(panel: Panel) -> None:
    with pytest.raises(DataError) as caught:
        kept(panel, "where", where="year > 2050")
    assert caught.value.problems[0].code == "D05"
    assert "0 rows left after restriction 'r' of 11" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("balance", {}),
        ("balanced", {"window": 3}),
        ("only", {"column": "region"}),
        ("only", {"column": "regoin", "values": "east"}),
        ("complete", {"columns": ["sise"]}),
        ("where", {"where": "yaer = 2010"}),
    ],
)
def test_misspellings(panel: Panel, kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(EstimandError) as caught:
        kept_rows(panel, "r", kind, options)
    assert caught.value.problems[0].code == "X01"


def test_options_are_those_of_the_study() -> None:
    assert set(OPTIONS) == set(RESTRICTIONS)
    for name, plugin in RESTRICTIONS.items():
        assert tuple(plugin.model_fields) == OPTIONS[name]
