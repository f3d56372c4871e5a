"""What must not move a number of double machine learning, and what must move with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators._double.nuisance import MEMORY
from estimators._math.folds import content_names, folds_of, places
from estimators._math.orthogonal import Score, robustness, solve
from estimators.double_ml import DoubleMl
from tests.build_double import panel, panel_request, request, rows

NUMBERS = ["estimate", "std_error"]


@pytest.mark.parametrize("learner", ["linear", {"forest": 5}, {"boosting": 5}])
def test_the_order_of_rows_moves_no_bit(learner: object) -> None:
    data = rows(240)
    found = []
    for frame in (data, data.sample(frac=1, random_state=3)):
        MEMORY.clear()
        made = request("plr", frame)
        result = DoubleMl(learner=learner, folds=3, repetitions=2).estimate(made)
        found.append(result.coefficients[NUMBERS].to_numpy())
    assert np.array_equal(*found)


def test_rows_that_are_equal_but_for_the_outcome_are_in_no_order_either() -> None:
    rng = np.random.default_rng(5)
    data = rows(240)
    data["x1"], data["x2"] = rng.integers(0, 3, (2, 240)).astype(float)
    data["b"] = rng.integers(0, 2, 240).astype(float)
    found = []
    for frame in (data, data.sample(frac=1, random_state=4)):
        made = request("irm", frame, controls=("x1", "x2"))
        result = DoubleMl(
            kind="irm", learner={"forest": 5}, folds=3, repetitions=1
        ).estimate(made)
        found.append(result.coefficients[NUMBERS].to_numpy())
    assert np.array_equal(*found)


def test_panels_in_another_order_are_the_same_panel() -> None:
    data = panel(units=30)
    found = []
    for frame in (data, data.sample(frac=1, random_state=6)):
        MEMORY.clear()
        made = panel_request(frame)
        found.append(
            DoubleMl(
                learner={"forest": 5},
                transform="correlated_random_effects",
                folds=3,
                repetitions=1,
            )
            .estimate(made)
            .coefficients[NUMBERS]
            .to_numpy()
        )
    assert np.array_equal(*found)


@pytest.mark.parametrize("kind", ["plr", "irm", "pliv", "iivm"])
def test_units_of_measurement_move_the_estimate_with_them(kind: str) -> None:
    made = request(kind)
    options = {"kind": kind, "learner": "linear", "folds": 3, "repetitions": 1}
    plain = DoubleMl(**options).estimate(made).coefficients[NUMBERS].to_numpy()
    larger = replace(
        made, frame=made.frame.assign(**{made.outcome: 1e6 * made.frame[made.outcome]})
    )
    scaled = DoubleMl(**options).estimate(larger).coefficients[NUMBERS].to_numpy()
    assert np.allclose(scaled, 1e6 * plain, rtol=1e-9)  # least squares: rounding
    moved = replace(
        made, frame=made.frame.assign(**{made.outcome: made.frame[made.outcome] + 100})
    )
    shifted = DoubleMl(**options).estimate(moved).coefficients[NUMBERS].to_numpy()
    assert np.allclose(shifted, plain, rtol=1e-8, atol=1e-8)


def test_an_instrument_equal_to_the_treatment_is_no_instrument() -> None:
    made = request("plr")
    assert made.treatment is not None
    same = made.frame[made.treatment.columns[0]]
    with_z = replace(
        made,
        frame=made.frame.assign(z=same),
        instruments=("z",),
        labels={**made.labels, "z": "z"},
    )
    options = {"learner": "linear", "folds": 3, "repetitions": 2}
    plain = DoubleMl(**options).estimate(made)
    iv = DoubleMl(kind="pliv", **options).estimate(with_z)
    assert np.allclose(
        plain.coefficients[NUMBERS], iv.coefficients[NUMBERS], rtol=1e-12
    )


def test_everybody_complying_makes_the_local_effect_the_average_one() -> None:
    made = request("irm")
    assert made.treatment is not None
    same = made.frame[made.treatment.columns[0]]
    with_z = replace(
        made,
        frame=made.frame.assign(z=same),
        instruments=("z",),
        labels={**made.labels, "z": "z"},
    )
    options = {"learner": "linear", "folds": 3, "repetitions": 1}
    average = DoubleMl(kind="irm", **options).estimate(made).coefficients
    local = DoubleMl(kind="iivm", **options).estimate(with_z).coefficients
    assert np.allclose(average[NUMBERS], local[NUMBERS], rtol=1e-10)


@given(
    names=st.lists(st.text(min_size=1), min_size=10, max_size=60, unique=True),
    folds=st.integers(2, 5),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=50, deadline=None)
def test_folds_are_even_and_belong_to_names(
    names: list[str], folds: int, seed: int
) -> None:
    fold = folds_of(places(names, seed, 0), folds)
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    backwards = folds_of(places(names[::-1], seed, 0), folds)[::-1]
    assert np.array_equal(fold, backwards)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_names_of_rows_are_unique_and_follow_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    primary = rng.integers(0, 2, (30, 2)).astype(float)
    rest = rng.normal(size=(30, 1))
    names = content_names(primary, rest)
    assert len(set(names)) == 30
    order = rng.permutation(30)
    assert content_names(primary[order], rest[order]) == [names[i] for i in order]
    # Another outcome leaves the set of names as it is.
    assert set(content_names(primary, rng.normal(size=(30, 1)))) == set(names)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_names_of_rows_know_no_order_of_columns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own = np.column_stack([rng.normal(size=(30, 2)), rng.integers(0, 3, (30, 2))])
    treatment, rest = (
        rng.integers(0, 2, (30, 1)).astype(float),
        rng.normal(size=(30, 1)),
    )
    names = content_names(own, treatment, rest)
    order = rng.permutation(4)
    assert content_names(own[:, order], treatment, rest) == names
    # Continuous controls tell all rows apart: another treatment leaves the folds.
    assert content_names(own, rng.permutation(treatment), rest) == names


def test_rows_with_two_columns_swapped_are_two_rows() -> None:
    rng = np.random.default_rng(2)
    left = rng.integers(0, 2, 40).astype(float)
    own = np.column_stack([left, 1 - left])  # half ones either way: twins by content
    own[:20] = own[20:, ::-1]
    rest = np.zeros((40, 1))
    names = content_names(own, rest)
    order = rng.permutation(40)
    again = content_names(own[order], rest)
    held = sorted((n, *row) for n, row in zip(names, own, strict=True))
    assert held == sorted((n, *row) for n, row in zip(again, own[order], strict=True))


CONTROLS = ("x1", "x2", "x3", "half")


@pytest.mark.parametrize(
    ("kind", "learner"),
    [
        ("plr", "lasso"),
        ("plr", {"forest": {"trees": 5, "max_features": 0.5}}),
        ("irm", {"forest": {"trees": 5, "max_features": 0.5}}),
        ("pliv", "lasso"),
        ("iivm", "lasso"),
        ("qte", "lasso"),
    ],
)
def test_the_order_of_controls_moves_no_bit(kind: str, learner: object) -> None:
    data = rows(300)
    data["half"] = np.arange(300) % 2
    of = "irm" if kind == "qte" else kind
    found = []
    for controls in (CONTROLS, CONTROLS[::-1], ("x2", "half", "x3", "x1")):
        MEMORY.clear()
        made = request(of, data, controls=controls)
        options = {"learner": learner, "folds": 3, "repetitions": 1}
        result = DoubleMl(kind=kind, quantiles=(0.5,), **options).estimate(made)
        found.append(result.coefficients[NUMBERS].to_numpy())
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize(
    "options",
    [
        {"transform": "within"},
        {"transform": "correlated_random_effects"},
        {"transform": "first_difference"},
        {"kind": "did_multi", "trimming": 0.05},
    ],
)
def test_the_order_of_controls_of_a_panel_moves_no_bit(
    options: dict[str, object],
) -> None:
    data = panel(units=90)
    found = []
    for controls in (("x1", "x2"), ("x2", "x1")):
        MEMORY.clear()
        made = panel_request(data, controls=controls, acknowledge={"poor_overlap"})
        learner = {"forest": {"trees": 5, "max_features": 0.5}}
        result = DoubleMl(learner=learner, folds=2, repetitions=1, **options).estimate(
            made
        )
        found.append(result.coefficients[NUMBERS].to_numpy())
    assert np.array_equal(*found)


def test_another_treatment_asks_for_the_same_outcome() -> None:
    data = rows(300)
    options = {"learner": "linear", "folds": 3, "repetitions": 1}
    MEMORY.clear()
    DoubleMl(**options).estimate(request("plr", data))
    assert (MEMORY.made, MEMORY.found) == (2, 0)
    rng = np.random.default_rng(3)
    DoubleMl(**options).estimate(
        request("plr", data.assign(d=rng.permutation(data["d"])))
    )
    assert (MEMORY.made, MEMORY.found) == (3, 1)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_clusters_of_one_row_are_no_clusters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    v = rng.normal(size=n)
    score = Score((v * v)[:, None, None], (v * rng.normal(size=n))[:, None])
    fold = np.arange(n) % 3
    rows_, alone = solve(score, fold, None), solve(score, fold, np.arange(n))
    assert np.allclose(rows_.theta, alone.theta)
    assert np.allclose(rows_.covariance, alone.covariance)


@given(
    estimate=st.floats(0.01, 100), sigma2=st.floats(0.01, 100), nu2=st.floats(0.01, 100)
)
def test_the_robustness_value_solves_its_equation(
    estimate: float, sigma2: float, nu2: float
) -> None:
    r = robustness(estimate, sigma2, nu2)
    assert 0 < r < 1 or estimate**2 > 1e3 * sigma2 * nu2
    if r < 0.999:  # beyond, 1 - r is rounding
        bias = np.sqrt(sigma2 * nu2) * r / np.sqrt(1 - r)
        assert bias == pytest.approx(estimate, rel=1e-6)
