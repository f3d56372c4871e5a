"""Mediation by double machine learning: a twin by hand, truth, invariances, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import framework.spec.choices  # noqa: F401 - lets options name learners
from estimators._double.nuisance import MEMORY
from estimators._double.sample import read
from estimators._math.orthogonal import augmented_means, crossed
from estimators.dml_mediation import DmlMediation
from framework.contract import Request
from framework.errors import EstimandError
from framework.result import Result
from tests.build_request import build_request

#: The same predictions, scores and sums in another order: rounding.
SAME = 1e-9
#: Effect on the mediator, its effects on the outcome without and with treatment, and
#: the treatment's own where the mediator is zero.
ALPHA, BETA, MORE, GAMMA = 0.8, 0.5, 0.4, 0.3


def jobs(n: int = 900, seed: int = 1, *, curved: bool = False) -> pd.DataFrame:
    """Treatment and mediator depend on `x`; treatment raises the mediator's effect."""
    rng = np.random.default_rng(seed)
    x1, x2 = rng.normal(size=(2, n))
    bend = np.sin(2 * x1) if curved else 0.5 * x1
    d = (bend - 0.3 * x2 + rng.logistic(size=n) > 0).astype(float)
    m = ALPHA * d + bend + 0.3 * x2 + rng.normal(size=n)
    y = GAMMA * d + (BETA + MORE * d) * m + bend + 0.5 * rng.normal(size=n)
    return pd.DataFrame(
        {"y": y, "d": d, "m": m, "x1": x1, "x2": x2, "g": rng.integers(0, 60, n)}
    )


#: E[M(0)] is zero: bend and x2 are symmetric about it.
TRUTH = {
    ("direct", "untreated"): GAMMA,
    ("indirect", "untreated"): (BETA + MORE) * ALPHA,
    ("direct", "treated"): GAMMA + MORE * ALPHA,
    ("indirect", "treated"): BETA * ALPHA,
    ("total", ""): GAMMA + (BETA + MORE) * ALPHA,
}


def asked(data: pd.DataFrame, **fields: Any) -> Request:
    given: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "cross_section",
        "controls": ("x1", "x2"),
        "inference": "cluster" if "clusters" in fields else "hetero",
        "estimand": ("indirect", "direct", "total"),
    }
    made = build_request(data, **(given | fields))
    return replace(
        made,
        frame=made.frame.assign(m0=data["m"].to_numpy(dtype=float)),
        mediators=("m0",),
        labels={**made.labels, "m0": "m"},
    )


def estimated(made: Request, **options: Any) -> Result:
    given: dict[str, Any] = {"learner": "linear", "folds": 4, "repetitions": 1}
    return DmlMediation(**(given | options)).estimate(made)


def refused(code: str, made: Request, **options: Any) -> str:
    with pytest.raises(EstimandError) as caught:
        estimated(made, **options)
    assert code in [p.code for p in caught.value.problems], str(caught.value)
    return str(caught.value)


def by_name(result: Result) -> pd.DataFrame:
    return result.coefficients.set_index("estimand")


# -- by hand --------------------------------------------------------------------------


def test_signals_are_the_papers_line_by_line() -> None:
    """Rows of the efficient score, written out with the arm that each row is in."""
    rng = np.random.default_rng(2)
    y, mu, omega, g0, g1 = rng.normal(size=(5, 50))
    p, q = rng.uniform(0.2, 0.8, (2, 50))
    d = rng.integers(0, 2, 50).astype(float)
    signal = crossed(y, d, mu, omega, p, q, normalise=False)
    zero, one = augmented_means(y, d, g0, g1, p, normalise=False)
    for i in range(50):
        if d[i]:
            ratio = (1 - q[i]) / (q[i] * (1 - p[i]))
            assert signal[i] == pytest.approx(omega[i] + ratio * (y[i] - mu[i]))
            assert one[i] == pytest.approx(g1[i] + (y[i] - g1[i]) / p[i])
            assert zero[i] == g0[i]
        else:
            assert signal[i] == pytest.approx(
                omega[i] + (mu[i] - omega[i]) / (1 - p[i])
            )


def test_the_whole_estimate_by_hand() -> None:
    """A twin that fits every nuisance by normal equations and Newton's method."""
    made = asked(jobs())
    sample = read(made, "irm", "none", 4)
    fold = sample.folds(4, made.seed, 0)
    X = np.column_stack([np.ones(sample.n), sample.X])
    W = np.column_stack([X, sample.mediators])
    y, d = sample.outcome, sample.d

    def line(A: np.ndarray, target: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.asarray(A @ np.linalg.lstsq(A[rows], target[rows], rcond=None)[0])

    def logit(A: np.ndarray, rows: np.ndarray) -> np.ndarray:
        b = np.zeros(A.shape[1])
        for _ in range(30):
            s = 1 / (1 + np.exp(-A[rows] @ b))
            H = (A[rows] * (s * (1 - s))[:, None]).T @ A[rows]
            b = b + np.linalg.solve(H, A[rows].T @ (d[rows] - s))
        return np.asarray(1 / (1 + np.exp(-A @ b)))

    found = {
        name: np.empty(sample.n)
        for name in ["p", "q", "g0", "g1", "mu0", "mu1", "w0", "w1"]
    }
    for k in range(4):
        test, train = fold == k, fold != k
        first = train & np.isin(fold, [(k + 1) % 4, (k + 2) % 4])
        second = train & ~first
        made_of = {"p": logit(X, train), "q": logit(W, train)}
        for a in (0, 1):
            made_of[f"g{a}"] = line(X, y, train & (d == a))
            mu = made_of[f"mu{a}"] = line(W, y, first & (d == a))
            made_of[f"w{a}"] = line(X, mu, second & (d != a))
        for name, values in made_of.items():
            found[name][test] = values[test]
    f = found
    odds = (1 - f["q"]) / f["q"]
    own, other = d * odds / (1 - f["p"]), (1 - d) / (1 - f["p"])
    y10 = f["w1"] + own * (y - f["mu1"]) + other * (f["mu1"] - f["w1"])
    y00 = f["g0"] + other * (y - f["g0"])
    y11 = f["g1"] + d / f["p"] * (y - f["g1"])
    for name, signal in {"direct": y10 - y00, "indirect": y11 - y10}.items():
        row = by_name(estimated(made, normalize=False)).loc[name]
        # The engine's logit stops at 1e-4 of the gradient, Newton at rounding.
        assert row["estimate"] == pytest.approx(signal.mean(), abs=2e-4)
        error = signal.std() / np.sqrt(sample.n)
        assert row["std_error"] == pytest.approx(error, rel=2e-3)


def test_without_interaction_it_is_near_the_product_of_coefficients() -> None:
    """Baron and Kenny (1986) on a linear model, a method with no step in common."""
    data = jobs(4000)
    data["y"] = data["y"] - MORE * data["d"] * data["m"]
    table = by_name(estimated(asked(data), repetitions=3))
    one = np.ones(len(data))
    A = np.column_stack([one, data[["d", "x1", "x2"]]])
    B = np.column_stack([A, data["m"]])
    a = np.linalg.lstsq(A, data["m"], rcond=None)[0][1]
    b = np.linalg.lstsq(B, data["y"], rcond=None)[0]
    for name, value in {"indirect": a * b[4], "direct": b[1]}.items():
        apart = abs(table.loc[name, "estimate"] - value)
        # Both estimate the same; least squares is the more precise.
        assert apart < 2 * table.loc[name, "std_error"]


# -- truth ----------------------------------------------------------------------------


def test_effects_that_go_through_the_mediator_are_found() -> None:
    """40 draws of 600 rows, both decompositions."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {k: [] for k in TRUTH}
    for seed in range(40):
        result = estimated(asked(jobs(600, 100 + seed)))
        for row in result.frames["decompositions"].itertuples():
            found[row.estimand, row.direct_at].append((row.estimate, row.std_error))
    for key, values in found.items():
        estimate, error = np.array(values).T
        band = 4 * estimate.std(ddof=1) / np.sqrt(40)  # four standard errors
        assert abs(estimate.mean() - TRUTH[key]) < band, key
        # 40 draws know the spread to 11 %.
        assert 0.65 < error.mean() / estimate.std(ddof=1) < 1.5, key


def test_a_curved_confounder_needs_a_learner_that_bends() -> None:
    data = jobs(4000, curved=True)
    truth = TRUTH["indirect", "untreated"]
    straight = by_name(estimated(asked(data))).loc["indirect"]
    learned = by_name(
        estimated(asked(data), learner={"boosting": 60}, trimming=0.02)
    ).loc["indirect"]
    assert abs(straight["estimate"] - truth) > 4 * straight["std_error"]
    assert abs(learned["estimate"] - truth) < 4 * learned["std_error"]


# -- invariances ----------------------------------------------------------------------


def test_direct_and_indirect_add_up() -> None:
    for at in ("untreated", "treated"):
        table = by_name(estimated(asked(jobs()), direct_at=at))["estimate"]
        assert table["direct"] + table["indirect"] == pytest.approx(
            table["total"], rel=SAME
        )
    result = estimated(asked(jobs()), repetitions=3)
    share = by_name(result)["estimate"]
    assert result.scalars["mediated_share"] == pytest.approx(
        share["indirect"] / share["total"], rel=SAME
    )


@pytest.mark.parametrize("learner", ["linear", {"forest": 5}])
def test_the_order_of_rows_moves_no_bit(learner: Any) -> None:
    found = []
    for data in (jobs(), jobs().sample(frac=1, random_state=3)):
        MEMORY.clear()
        table = estimated(asked(data), learner=learner).coefficients
        found.append(table[["estimate", "std_error"]].to_numpy())
    assert np.array_equal(*found)


def test_units_of_measure_scale_effects_and_nothing_else() -> None:
    plain = by_name(estimated(asked(jobs())))
    data = jobs()
    data["y"], data["m"] = 100 * data["y"] + 3, 7 * data["m"] - 2
    scaled = by_name(estimated(asked(data)))
    # The logit's solver sees standardised columns, to its own tolerance.
    assert scaled["estimate"].to_numpy() == pytest.approx(
        100 * plain["estimate"].to_numpy(), rel=1e-4
    )


def test_clusters_and_memory() -> None:
    data = jobs()
    result = estimated(asked(data, clusters=("g",)))
    assert result.influence.index.name == "g"
    assert result.scalars["n_clusters"] == 60
    made = MEMORY.made
    estimated(asked(data, clusters=("g",), confidence=0.9), direct_at="treated")
    assert MEMORY.made == made  # another level and decomposition fit nothing


def test_a_control_that_becomes_a_mediator_reuses_no_mean() -> None:
    """The same columns, parted elsewhere: the inner regression is one, its mean not."""
    made = asked(jobs())
    alias = {label: a for a, label in made.labels.items()}
    parted = replace(made, controls=made.controls[:1], mediators=(alias["x2"], "m0"))
    MEMORY.clear()
    fresh = estimated(parted).coefficients["estimate"]
    MEMORY.clear()
    estimated(made)
    assert estimated(parted).coefficients["estimate"].equals(fresh)


# -- refusals -------------------------------------------------------------------------


def test_what_it_can_not_use_is_refused() -> None:
    made = asked(jobs())
    assert "vary" in refused("X20", replace(made, mediators=()))
    constant = replace(made, frame=made.frame.assign(m0=1.0))
    assert "vary" in refused("X20", constant)
    twice = replace(made, controls=(*made.controls, "m0"))
    assert "'m' stand among mediators and controls" in refused("X23", twice)
    dose = jobs().assign(d=lambda t: t["d"] + t["x1"])
    assert "0/1" in refused("I10", asked(dose))
    with pytest.raises(ValueError, match="no instrument"):
        DmlMediation(learner={"outcome": "lasso", "instrument": "lasso"})


def test_a_mediator_that_gives_the_treatment_away_is_refused() -> None:
    data = jobs()
    data["m"] = data["m"] + 12 * data["d"]
    made = asked(data)
    assert "mediators tell who is treated" in refused("M04", made)
    allowed = estimated(replace(made, acknowledge=frozenset({"poor_overlap"})))
    assert allowed.scalars["share_trimmed_mediators"] > 0.1
    assert any("given the mediators are trimmed" in n for n in allowed.notes)


def test_few_rows_of_an_arm_are_refused() -> None:
    data = jobs()
    data["d"] = (np.arange(len(data)) % 45 == 0).astype(float)
    assert "half of the training rows" in refused("M04", asked(data))
