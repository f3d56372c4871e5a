"""What is refused, what is said of weak instruments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from estimators.iv_2sls import Iv2sls
from framework.errors import EstimandError
from framework.testing.canonical import Case, canonical_panel
from tests.build_instruments import (
    PLAIN,
    estimate_iv,
    instruments_panel,
    named_test,
)


def codes(**changes: Any) -> list[str]:
    data = changes.pop("data", None)
    with pytest.raises(EstimandError) as caught:
        estimate_iv(instruments_panel() if data is None else data, **changes)
    return [p.code for p in caught.value.problems]


def test_an_instrument_that_is_the_treatment():
    assert codes(instruments=["d"]) == ["V02"]
    data = instruments_panel()
    data["copy"] = 3 * data["d"] - 7
    assert codes(data=data, instruments=["copy", "z1"]) == ["V02"]
    data["nearly"] = data["d"] + 1e-6 * data["z1"]
    assert codes(data=data, instruments=["nearly"]) == ["V02"]
    # up to fixed effects and controls
    data["moved"] = data["d"] + 5 * data["time"] + 2 * data["x"]
    assert codes(data=data, instruments=["moved"]) == ["V02"]


def test_the_treatments_own_column_reaches_the_estimator():
    """A control that is the treatment is dropped; an instrument must not be."""
    model = {
        "outcome": "y",
        "treatment": {"column": "d"},
        "inference": {"name": "hetero"},
        "instruments": ["z", "d"],
    }
    kind = "cross_section"
    request = Case("own", kind, model, canonical_panel(kind)).request(Iv2sls())
    assert [request.labels[a] for a in request.instruments] == ["z", "d"]
    with pytest.raises(EstimandError, match=r"\('d'\) reproduce the treatment 'd'"):
        Iv2sls().estimate(request)


def test_instruments_of_which_nothing_is_left():
    data = instruments_panel().assign(one=1.0)
    data["size"] = data["unit"].str[1:].astype(float)
    assert codes(data=data, instruments=["one"]) == ["V03"]
    assert codes(data=data, instruments=["one"], **PLAIN) == ["V03"]
    assert codes(data=data, instruments=["size"]) == ["V03"]
    assert codes(data=data, instruments=["z1", "size", "one"]) == ["V03", "V03"]
    assert codes(data=data, instruments=["x"]) == ["V03"]
    data["again"] = 2 * data["z1"] + data["x"]
    assert codes(data=data, instruments=["z1", "again"]) == ["V03"]


def test_too_few_instruments():
    assert codes(treatment=["d", "e"], instruments=["z1"]) == ["V04"]
    assert codes(treatment=["d", "e"], instruments=["z1", "z1"]) == ["V04"]


def test_instruments_that_do_not_move_treatments_separately():
    data = instruments_panel()
    # orthogonal to d by construction, beside the controls
    X = np.column_stack([np.ones(len(data)), data["x"], data["d"]])
    data["idle"] = data["z3"] - X @ np.linalg.lstsq(X, data["z3"], rcond=None)[0]
    assert codes(data=data, instruments=["idle"], **PLAIN) == ["V04"]


def test_faults_of_the_regression_are_found_as_in_ols():
    data = instruments_panel().assign(one=1.0)
    assert codes(data=data, treatment="one") == ["I01"]
    assert codes(clusters=["time"]) == ["I05"]
    data.loc[3, "z1"] = np.nan
    assert codes(data=data) == ["D08"]
    assert codes(weights=("probability", "w"), inference="iid", clusters=[]) == ["I09"]


def test_weak_instruments_are_flagged_with_the_robust_set():
    data = instruments_panel(strength=0.0)
    result = estimate_iv(data)
    assert result.scalars["first_stage_f"] < 10
    (note,) = [n for n in result.notes if "V01" in n]
    assert f"F of 'd' is {result.scalars['first_stage_f']:.3g}, below 10" in note
    assert "inf" in note
    assert not np.isfinite(result.frames["anderson_rubin"].to_numpy()).all()
    assert "tf_critical" not in result.scalars


def test_strong_instruments_are_not():
    result = estimate_iv(instruments_panel())
    assert not any("V01" in n for n in result.notes)
    row = result.coefficients.iloc[0]
    assert row.estimand == "late"
    factor = result.scalars["std_error_tf"] / row.std_error
    assert result.scalars["tf_critical"] / factor == pytest.approx(1.959964, abs=1e-6)


def test_tests_say_why_they_are_missing():
    result = estimate_iv(instruments_panel())
    assert named_test(result, "hansen_j").reason == (
        "just identified: one instrument for as many treatments"
    )
    rng = np.random.default_rng(99)
    names = [f"r{j}" for j in range(12)]
    data = instruments_panel().assign(**{name: rng.normal(size=240) for name in names})
    fewer = estimate_iv(
        data,
        instruments=["z1", *names],
        clusters=["time"],
        acknowledge=frozenset({"few_clusters"}),
    )
    assert "6 clusters" in named_test(fewer, "kleibergen_paap_lm").reason
    assert "6 clusters" in named_test(fewer, "hansen_j").reason
    assert "kleibergen_paap_f" not in fewer.scalars
    assert "first_stage_f" not in fewer.scalars
    assert any("singular" in n for n in fewer.notes)


def test_other_confidence_has_no_tf():
    result = estimate_iv(instruments_panel(), confidence=0.9)
    assert "tf_critical" not in result.scalars


def test_controls_that_repeat_others_are_left_out():
    data = instruments_panel()
    data["x2"] = 2 * data["x"]
    result = estimate_iv(data, controls=["x", "x2"])
    plain = estimate_iv(data)
    assert result.coefficients.estimate[0] == pytest.approx(
        plain.coefficients.estimate[0],
        rel=1e-12,  # the same columns
    )
    assert any("'x2' is left out" in n for n in result.notes)
