"""Composite indices: by hand, invariances, what is stored and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.decomposition import PCA

from estimators.steps._indices import IndexStep
from estimators.steps.critic import Critic
from estimators.steps.entropy_weight import EntropyWeight
from estimators.steps.pca_index import PcaIndex
from estimators.steps.structure_angle import StructureAngle
from estimators.steps.topsis import Topsis
from framework.contract import Step, StepOutput
from framework.errors import EstimandError
from framework.panel import Panel

NAN = float("nan")
INDICES: list[type[IndexStep]] = [EntropyWeight, Critic, PcaIndex, Topsis]


def data(seed: int = 0, units: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = units * 3
    common = rng.normal(0, 1, n)
    frame = pd.DataFrame(
        {
            "city": np.repeat([f"c{i}" for i in range(units)], 3),
            "year": np.tile([2000, 2001, 2002], units),
        }
    )
    for j, column in enumerate(("a", "b", "c")):
        frame[column] = np.exp(0.5 * common + rng.normal(0, 0.3 * (j + 1), n))
    return frame


def run(step: Step, frame: pd.DataFrame, name: str = "index") -> StepOutput:
    keys = [k if k in frame else None for k in ("city", "year")]
    before = frame.copy(deep=True)
    out = step.apply(Panel(frame, *keys, key="k"), name, frozenset())
    pd.testing.assert_frame_equal(frame, before)
    made = [c for c in out.panel.frame.columns if c not in frame.columns]
    assert made == list(step.makes(name) or ())
    assert out.panel.ledger[-1].detail
    return out


def index(step: Step, frame: pd.DataFrame) -> np.ndarray:
    return run(step, frame).panel.frame["index"].to_numpy()


def codes(step: Step, frame: pd.DataFrame) -> dict[str, str]:
    with pytest.raises(EstimandError) as caught:
        run(step, frame)
    return {p.code: p.what for p in caught.value.problems}


def small(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def same(a: Any, b: Any, rtol: float = 1e-12) -> None:
    # A few sums and products of doubles.
    np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-14)


# ------------------------------------------------------------------ entropy weights


def test_entropy_weights_by_hand() -> None:
    """z of a: 0, 1/2, 1, shares 0, 1/3, 2/3; of b: 0, 0, 1: no entropy."""
    out = run(EntropyWeight(columns=["a", "b"]), small(a=[1, 2, 3], b=[5, 5, 9]))
    e = (np.log(3) - 2 / 3 * np.log(2)) / np.log(3)
    table = out.frames["weights"]
    same(table["entropy"], [e, 0])
    same(table["information"], [1 - e, 1])
    w = (1 - e) / (2 - e)
    same(table["weight"], [w, 1 - w])
    same(out.panel.frame["index"], [0, w / 2, 1])


def test_negative_indicators_are_mirrored() -> None:
    down = run(
        EntropyWeight(columns=["a", "b"], negative="b"),
        small(a=[1, 2, 3], b=[9, 9, 5]),
    )
    up = run(EntropyWeight(columns=["a", "b"]), small(a=[1, 2, 3], b=[5, 5, 9]))
    same(down.panel.frame["index"], up.panel.frame["index"])
    assert list(down.frames["weights"]["direction"]) == ["positive", "negative"]


def test_vector_normalisation_and_shift() -> None:
    frame = small(a=[3.0, 4], b=[1.0, 0])
    out = run(EntropyWeight(columns=["a", "b"], normalize="vector"), frame)
    p = np.array([3, 4]) / 7
    e = -(p * np.log(p)).sum() / np.log(2)
    w = np.array([1 - e, 1]) / (2 - e)
    same(out.panel.frame["index"], [0.6 * w[0] + w[1], 0.8 * w[0]])
    shifted = run(EntropyWeight(columns=["a", "b"], shift=0.01), frame)
    p = np.array([1.01, 0.01]) / 1.02
    same(shifted.frames["weights"]["entropy"], -(p * np.log(p)).sum() / np.log(2))
    negative = small(a=[-1.0, 2, 1], b=[1.0, 2, 4])
    assert set(
        codes(EntropyWeight(columns=["a", "b"], normalize="vector"), negative)
    ) == {"D08"}


def test_yearly_weights_are_those_of_the_year_alone() -> None:
    frame = data()
    for kind in INDICES:
        found = index(kind(columns=["a", "b", "c"], weights_by="yearly"), frame)
        for year in (2000, 2001, 2002):
            rows = (frame["year"] == year).to_numpy()
            alone = index(
                kind(columns=["a", "b", "c"]), frame[rows].reset_index(drop=True)
            )
            same(found[rows], alone)


# --------------------------------------------------------------- critic, pca, topsis


def test_critic_by_hand() -> None:
    """a and b move against each other, r = -1; c is orthogonal to both."""
    frame = small(a=[0.0, 1, 0, 1], b=[1.0, 0, 1, 0], c=[0.0, 0, 2, 2])
    out = run(Critic(columns=["a", "b", "c"]), frame)
    table = out.frames["weights"]
    same(table["conflict"], [3, 3, 2])
    same(table["weight"], [3 / 8, 3 / 8, 2 / 8])
    same(out.panel.frame["index"], [3 / 8, 3 / 8, 5 / 8, 5 / 8])
    twin = small(a=[1.0, 2, 3], b=[2.0, 4, 6])
    assert "as one" in codes(Critic(columns=["a", "b"]), twin)["D06"]


def test_pca_against_scikit_learn() -> None:
    frame = data(units=20)
    columns = ["a", "b", "c"]
    x = frame[columns].to_numpy()
    other = PCA().fit((x - x.mean(0)) / x.std(0, ddof=1))
    out = run(PcaIndex(columns=columns, components=2), frame)
    shares = out.frames["components"]
    same(shares["share"], other.explained_variance_ratio_, 1e-10)
    same(shares["eigenvalue"].sum(), 3)
    turned = other.transform((x - x.mean(0)) / x.std(0, ddof=1))
    turned *= np.sign(other.components_.sum(axis=1))
    w = other.explained_variance_[:2] / other.explained_variance_[:2].sum()
    np.testing.assert_allclose(
        out.panel.frame["index"], turned[:, :2] @ w, rtol=1e-9, atol=1e-12
    )


def test_pca_components_that_are_kept() -> None:
    frame = data(units=20)
    columns = ["a", "b", "c"]
    table = run(PcaIndex(columns=columns), frame).frames["components"]
    cumulative = table["cumulative"].to_numpy()
    for option, kept in (
        (1, 1),
        (3, 3),
        (9, 3),
        (float(cumulative[1]), 2),
        (float(cumulative[1]) + 0.001, 3),
        ("kaiser", int((table["eigenvalue"] > 1).sum())),
    ):
        out = run(PcaIndex(columns=columns, components=option), frame)
        assert out.frames["components"]["kept"].sum() == kept
        assert out.frames["loadings"].shape == (3, 2 + kept)
    for wrong in (0, -1, 1.5, "all"):
        with pytest.raises(ValidationError):
            PcaIndex(columns=columns, components=wrong)


def test_pca_points_up() -> None:
    frame = data(units=20)
    found = index(PcaIndex(columns=["a", "b", "c"]), frame)
    x = frame[["a", "b", "c"]]
    assert np.corrcoef(found, ((x - x.mean()) / x.std()).mean(axis=1))[0, 1] > 0.95
    frame["b"] = -frame["b"]
    same(index(PcaIndex(columns=["a", "b", "c"], negative=["b"]), frame), found, 1e-9)


def test_pca_says_when_a_component_is_arbitrary() -> None:
    square = small(a=[1.0, -1, 1, -1], b=[1.0, 1, -1, -1])
    (note,) = run(PcaIndex(columns=["a", "b"]), square).notes
    assert "arbitrary" in note


def test_topsis_by_hand() -> None:
    """Equal weights, columns of length 5 and 1: z = (.6, .8), (1, 0)."""
    frame = small(a=[3.0, 4, 0], b=[1.0, 0, 0])
    out = run(Topsis(columns=["a", "b"]), frame)
    best, worst = np.array([0.8, 1]) / 2, np.zeros(2)
    v = np.array([[0.6, 1], [0.8, 0], [0, 0]]) / 2
    up, down = (np.linalg.norm(v - ideal, axis=1) for ideal in (best, worst))
    same(out.panel.frame["index"], down / (up + down))
    assert out.panel.frame["index"][2] == 0
    # Less is better: the ideal is the column's lowest cell, its length unchanged.
    cost = run(Topsis(columns=["a", "b"], negative=["b"]), frame)
    best, worst = np.array([0.8, 0]) / 2, np.array([0, 1]) / 2
    up, down = (np.linalg.norm(v - ideal, axis=1) for ideal in (best, worst))
    same(cost.panel.frame["index"], down / (up + down))


def test_topsis_weights() -> None:
    frame, columns = data(), ["a", "b", "c"]
    for option, kind in (("entropy", EntropyWeight), ("critic", Critic)):
        table = run(Topsis(columns=columns, weights=option), frame).frames["weights"]
        other = run(kind(columns=columns), frame).frames["weights"]
        same(table["weight"], other["weight"])
    given = run(Topsis(columns=columns, weights={"a": 2, "b": 1, "c": 1}), frame)
    same(given.frames["weights"]["weight"], [0.5, 0.25, 0.25])
    for wrong in ({"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 0}):
        assert set(codes(Topsis(columns=columns, weights=wrong), frame)) == {"X52"}


# ---------------------------------------------------------------------- all of them


@pytest.mark.parametrize("kind", INDICES)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000), powers=st.lists(st.floats(-6, 6), min_size=3, max_size=3)
)
def test_units_order_and_names_do_not_matter(
    kind: type[IndexStep], seed: int, powers: list[float]
) -> None:
    frame = data(seed)
    step = kind(columns=["a", "b", "c"])
    found = index(step, frame)
    scaled = frame.copy()
    scaled[["a", "b", "c"]] *= 10.0 ** np.array(powers)
    same(index(step, scaled), found, 1e-9)
    order = np.random.default_rng(seed).permutation(len(frame))
    same(index(step, frame.iloc[order].reset_index(drop=True)), found[order], 1e-9)
    turned = index(kind(columns=["c", "a", "b"]), frame)
    same(turned, found, 1e-9)


@pytest.mark.parametrize("kind", INDICES)
def test_bad_input(kind: type[IndexStep]) -> None:
    frame = data()
    step = kind(columns=["a", "b", "c"])
    gap = frame.copy()
    gap.loc[4, "b"] = NAN
    told = codes(step, gap)
    assert set(told) == {"L04"}
    assert "1 of 30 rows" in told["L04"]
    assert "c1 2001" in told["L04"]
    skipped = index(kind(columns=["a", "b", "c"], missing="skip"), gap)
    assert list(np.flatnonzero(np.isnan(skipped))) == [4]
    rest = index(step, frame.drop(index=4).reset_index(drop=True))
    same(skipped[~np.isnan(skipped)], rest)
    endless = frame.assign(a=frame["a"].where(frame.index != 0, np.inf))
    assert set(codes(step, endless)) == {"D08"}
    assert "constant" in codes(step, frame.assign(b=2.0, c=0.1))["D06"]
    assert set(codes(step, frame.iloc[:1])) == {"L03"}
    assert set(codes(kind(columns=["city", "a"]), frame)) == {"D07"}
    assert set(codes(kind(columns=["a", "nope"]), frame)) == {"X01"}
    assert set(codes(kind(columns=["a"]), frame)) == {"X52"}
    assert set(codes(kind(columns=["a", "b"], negative=["c"]), frame)) == {"X52"}
    assert set(codes(step, frame.assign(index=1))) == {"X13"}
    cross = frame.drop(columns=["city", "year"])
    yearly = kind(columns=["a", "b"], weights_by="yearly")
    assert set(codes(yearly, cross)) == {"P04"}
    with pytest.raises(ValidationError):
        kind(columns=["a", "a"])


def test_more_indicators_than_units() -> None:
    """Correlations of fewer rows than indicators are singular: PCA refuses."""
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.uniform(1, 2, (4, 5)), columns=list("vwxyz"))
    told = codes(PcaIndex(columns=list("vwxyz")), wide)
    assert "4 complete rows for 5 indicators, and 6 are needed" in told["L03"]
    assert np.isfinite(index(EntropyWeight(columns=list("vwxyz")), wide)).all()


def test_index_of_a_known_common_factor() -> None:
    """Simulation: all indices order rows as the factor that moves the indicators."""
    rng = np.random.default_rng(8)
    factor = rng.normal(0, 1, 2000)
    frame = pd.DataFrame({f"x{j}": factor + rng.normal(0, 0.3, 2000) for j in range(6)})
    for kind in INDICES:
        found = index(kind(columns=list(frame.columns)), frame)
        # Mean of six: noise 0.3 / sqrt(6) on a factor of 1 gives 0.992.
        assert np.corrcoef(found, factor)[0, 1] > 0.985


# ------------------------------------------------------------------ structure angle


def test_structure_angle_by_hand() -> None:
    frame = small(p=[1.0, 0, 0, 1, 0.5], s=[0.0, 1, 0, 1, 0.5], t=[0.0, 0, 1, 1, 0])
    out = run(StructureAngle(shares=["p", "s", "t"]), frame)
    corner = np.arccos(1 / np.sqrt(3))
    expected = [
        np.pi * 1.5,
        np.pi * 2,
        np.pi * 2.5,
        6 * corner,
        5 * np.pi / 4 + np.pi / 2,
    ]
    same(out.panel.frame["index"], expected)
    same(out.frames["angles"].iloc[1, 1:].astype(float), [np.pi / 2, 0, np.pi / 2])
    assert out.notes[0].startswith("step 'index': 1 row has shares that sum to")
    weighed = index(StructureAngle(shares=["p", "s", "t"], weights=[1, 0, 0]), frame)
    same(weighed[:3], [0, np.pi / 2, np.pi / 2])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.floats(1e-3, 1e6))
def test_structure_angle_is_of_direction_only(shares: list[float], by: float) -> None:
    x = np.array(shares)
    step = StructureAngle(shares=["p", "s", "t"])
    frame = pd.DataFrame([x, x * by], columns=["p", "s", "t"])
    found = index(step, frame)
    cosine = x / np.linalg.norm(x)
    # arccos itself loses digits near an axis.
    same(found[0], np.arccos(np.minimum(cosine, 1)) @ [3, 2, 1], 1e-7)
    same(found[1], found[0])


def test_structure_angle_rises_with_upgrading() -> None:
    t = np.linspace(0, 1, 21)
    frame = pd.DataFrame({"p": 0.6 - 0.5 * t, "s": 0.3 + 0 * t, "t": 0.1 + 0.5 * t})
    assert (np.diff(index(StructureAngle(shares=["p", "s", "t"]), frame)) > 0).all()


def test_structure_angle_refusals() -> None:
    frame = small(p=[0.2, 0.5], s=[0.3, 0.5], t=[0.5, NAN])
    step = StructureAngle(shares=["p", "s", "t"])
    found = run(step, frame)
    assert np.isnan(found.panel.frame["index"][1])
    assert "1 missing" in found.panel.ledger[-1].detail
    for bad in ([-0.1, 0.5], [np.inf, 0.5]):
        told = codes(step, frame.assign(p=bad))
        assert "row 1" in told["D08"]
    assert set(codes(step, frame * 0)) == {"D08"}
    assert set(codes(StructureAngle(shares=["p"]), frame)) == {"X52"}
    assert set(codes(StructureAngle(shares=["p", "s"], weights=[1]), frame)) == {"X52"}
    assert set(codes(StructureAngle(shares=["p", "q"]), frame)) == {"X01"}
