"""What must not move a match: order of rows, names, units of measure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build_matched import build_candidates, choose

#: Newton's stop and another order of sums.
SAME = 1e-8
OPTIONS: dict[str, dict[str, Any]] = {
    "nearest": {"neighbours": 2},
    "first_of_ties": {"ties": False},
    "pairs": {"replacement": False, "caliper": 0.2, "distance": "index"},
    "radius": {"method": "radius", "caliper": 0.1},
    "kernel": {"method": "kernel", "bandwidth": 0.1},
    "mahalanobis": {"distance": "mahalanobis", "neighbours": 3},
    "probit": {"score": "probit", "method": "kernel", "support": "both"},
}
SEEDS = st.integers(0, 10_000)


def sample(seed: int) -> tuple[Any, Any, Any]:
    """Coarse covariates, so that ties are common."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(0, 5, 90), rng.normal(size=90).round(1)])
    d = X @ [0.3, 0.6] + rng.logistic(size=90) > 1.0
    names = np.array([f"unit {i}" for i in rng.permutation(90)])
    return X, d, names


def weights(X: Any, d: Any, names: Any, options: Any) -> Any:
    chosen = choose(build_candidates(d, X, names), **options)
    return chosen.rows.astype(float) if chosen.weights is None else chosen.weights


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_the_order_of_rows(name, seed):
    X, d, names = sample(seed)
    order = np.random.default_rng(seed + 1).permutation(len(d))
    one = weights(X, d, names, OPTIONS[name])
    other = weights(X[order], d[order], names[order], OPTIONS[name])
    assert other == pytest.approx(one[order], abs=SAME)


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, factor=st.floats(0.01, 1e6), shift=st.floats(-1e4, 1e4))
def test_units_of_measure_of_the_covariates(name, seed, factor, shift):
    X, d, names = sample(seed)
    moved = X * [factor, 1.0] + [shift, -3.0]
    one = weights(X, d, names, OPTIONS[name])
    assert weights(moved, d, names, OPTIONS[name]) == pytest.approx(one, abs=SAME)


@pytest.mark.parametrize(
    "name", [n for n in OPTIONS if n not in ("first_of_ties", "pairs")]
)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_names_where_ties_are_kept(name, seed):
    X, d, names = sample(seed)
    others = np.array([f"{n}!"[::-1] for n in names])
    one = weights(X, d, names, OPTIONS[name])
    assert weights(X, d, others, OPTIONS[name]) == pytest.approx(one, abs=SAME)


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_the_weights_of_each_side_are_equal(name, seed):
    """Every matched treated unit weighs one, and so do its matches together."""
    X, d, names = sample(seed)
    w = weights(X, d, names, OPTIONS[name])
    assert w[~d].sum() == pytest.approx(w[d].sum(), abs=SAME)
    assert set(w[d]) <= {0.0, 1.0}


def test_the_outcome_is_not_among_what_a_restriction_sees():
    given_ = build_candidates(*sample(1)[1::-1])
    held = set(given_.__dataclass_fields__)
    assert not {"outcome", "y"} & held
    assert isinstance(given_.covariates, pd.DataFrame)
