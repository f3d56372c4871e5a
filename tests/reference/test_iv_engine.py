"""Against pyfixest's own two-stage least squares, and against formulas by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.build_instruments import PLAIN, estimate_iv, instruments_panel

pyfixest = pytest.importorskip("pyfixest")
# Two solutions of one least-squares problem: rounding, and pyfixest's demeaning.
SAME = 1e-7


@pytest.mark.parametrize(
    ("inference", "clusters", "vcov"),
    [
        ("iid", [], "iid"),
        ("hetero", [], "HC1"),
        ("cluster", ["unit"], {"CRV1": "unit"}),
        ("cluster", ["unit", "g"], {"CRV1": "unit + g"}),
    ],
)
@pytest.mark.parametrize("instruments", [["z1"], ["z1", "z2"]])
@pytest.mark.parametrize("weighted", [False, True])
def test_second_and_first_stage(inference, clusters, vcov, instruments, weighted):
    data = instruments_panel().sort_values(["unit", "time"])
    ours = estimate_iv(
        data,
        instruments=instruments,
        inference=inference,
        clusters=clusters,
        weights=("analytic", "w") if weighted else None,
        acknowledge=frozenset({"few_clusters"}),
    )
    fitted = pyfixest.feols(
        f"y ~ x | unit + time | d ~ {' + '.join(instruments)}",
        data,
        vcov=vcov,
        weights="w" if weighted else None,
    )
    theirs = pd.concat([fitted.coef(), fitted.se()], axis=1).loc[["d", "x"]]
    found = ours.coefficients.iloc[:2][["estimate", "std_error"]]
    assert found.to_numpy() == pytest.approx(theirs.to_numpy(), rel=SAME)
    # pyfixest's own first stage forgets the second clustering dimension
    first = pyfixest.feols(
        f"d ~ {' + '.join(instruments)} + x | unit + time",
        data,
        vcov=vcov,
        weights="w" if weighted else None,
    )
    rows = ours.coefficients[ours.coefficients.equation == "first_stage"]
    assert rows.estimate.to_numpy() == pytest.approx(
        first.coef().loc[instruments].to_numpy(), rel=SAME
    )
    assert rows.std_error.to_numpy() == pytest.approx(
        first.se().loc[instruments].to_numpy(), rel=SAME
    )
    pi = first.coef().loc[instruments].to_numpy()
    names = list(first._coefnames)
    at = [names.index(z) for z in instruments]
    V = first._vcov[np.ix_(at, at)]
    f = pi @ np.linalg.solve(V, pi) / len(pi)
    assert ours.scalars["first_stage_f"] == pytest.approx(f, rel=SAME)
    # Kleibergen and Paap's Wald F has the factors of CRV1 and HC1; with homoskedastic
    # errors both are Cragg and Donald's.
    if len(clusters) < 2:
        assert ours.scalars["kleibergen_paap_f"] == pytest.approx(f, rel=SAME)
    if len(instruments) == 1:
        assert ours.scalars["effective_f"] == pytest.approx(f, rel=SAME)


def test_clusters_that_nest_no_fixed_effect():
    """Absorbed levels count as parameters where clusters don't contain them."""
    data = instruments_panel()
    ours = estimate_iv(data, clusters=["g"])
    fitted = pyfixest.feols("y ~ x | unit + time | d ~ z1", data, {"CRV1": "g"})
    assert ours.coefficients.std_error[0] == pytest.approx(fitted.se()["d"], rel=SAME)
    assert ours.scalars["df_t"] == 13


def test_durbin_wu_hausman_by_hand():
    data = instruments_panel()
    ours = estimate_iv(data, instruments=["z1", "z2"], **PLAIN)
    first = pyfixest.feols("d ~ z1 + z2 + x", data)
    with_residual = pyfixest.feols(
        "y ~ d + x + v", data.assign(v=first.resid()), vcov="HC1"
    )
    found = next(t for t in ours.tests if t.name == "wu_hausman")
    assert found.statistic == pytest.approx(with_residual.tstat()["v"] ** 2, rel=SAME)
    assert found.p_value == pytest.approx(with_residual.pvalue()["v"], abs=SAME)


def test_anderson_rubin_set_is_where_the_test_accepts():
    data = instruments_panel(strength=0.3)
    ours = estimate_iv(data, instruments=["z1", "z2"])
    [(low, high)] = ours.frames["anderson_rubin"].to_numpy().tolist()
    for effect in (low, high):
        moved = estimate_iv(
            data.assign(y=data["y"] - effect * data["d"]), instruments=["z1", "z2"]
        )
        found = next(t for t in moved.tests if t.name == "anderson_rubin")
        # the ends of a 95 % set; the bisection stops at 1e-14 of an angle
        assert found.p_value == pytest.approx(0.05, abs=1e-6)


def test_two_treatments_by_hand():
    data = instruments_panel()
    z = ["z1", "z2", "z3"]
    ours = estimate_iv(data, treatment=["d", "e"], instruments=z, **PLAIN)
    one = np.ones((len(data), 1))
    X = np.hstack([data[["d", "e", "x"]].to_numpy(), one])
    Z = np.hstack([data[[*z, "x"]].to_numpy(), one])
    fitted = Z @ np.linalg.solve(Z.T @ Z, Z.T @ X)
    bread = np.linalg.inv(fitted.T @ X)
    beta = bread @ (fitted.T @ data["y"].to_numpy())
    u = data["y"].to_numpy() - X @ beta
    meat = (fitted * u[:, None]).T @ (fitted * u[:, None])
    n, k = X.shape
    V = n / (n - k) * bread @ meat @ bread.T
    main = ours.coefficients[ours.coefficients.equation == "main"]
    assert main.estimate.to_numpy() == pytest.approx(beta, rel=1e-10)  # rounding
    assert main.std_error.to_numpy() == pytest.approx(
        np.sqrt(np.diag(V)),
        rel=1e-10,  # rounding
    )
