"""Tables 2 and 3 of paper 1 beside the simulated panel's, and what they may differ by.

The panel is simulated: its description is pinned to Table 2, its regressions come near
Table 3. `pytest -s` prints both side by side. The regressions are by pyfixest, so the
test does not lean on the estimators of this project.
"""

# ruff: noqa: T201 - the tables that `pytest -s` shows are half of these tests
from __future__ import annotations

from pathlib import Path

import numpy as np
import pyfixest as pf
import pytest

from framework.data.sources import read

ROOT = Path(__file__).parents[2]
TABLE_2 = {  # mean, sd, minimum, maximum
    "ulgue": (0.5640, 0.2883, 0.0114, 1.9379),
    "ai": (0.0287, 0.1671, 0, 1),
    "eco": (10.9347, 0.5236, 9.3045, 12.4863),
    "fe": (17.7909, 1.0764, 15.5246, 21.9733),
    "ur": (0.5982, 0.1381, 0.2503, 0.9980),
    "edu": (0.0352, 0.0174, 0.0021, 0.1486),
    "gov": (3.1448, 1.9739, 0.9211, 17.8950),
    "op": (6.9548, 2.1432, 0.1247, 12.0420),
}
TABLE_3 = {  # fixed effects: AI, its clustered standard error, R2; controls
    "": (0.1140, 0.0556, 0.2637, (0.3689, -0.1370, 0.3716, 4.7561, 0.0229, 0.0028)),
    "city": (0.0592, 0.0256, 0.8286, (0.1475, -0.0651, -0.3289, -0.1123, -0.008, -0.0014)),
    "year": (0.1193, 0.0544, 0.2960, (0.4278, -0.1159, 0.34, 4.8964, 0.0334, -0.0073)),
    "city + year": (
        0.0638, 0.0255, 0.8335, (0.1929, 0.0337, -0.1825, 0.5196, -0.0001, -0.0018)
    ),
}  # fmt: skip
CONTROLS = ("eco", "fe", "ur", "edu", "gov", "op")


@pytest.fixture(scope="module")
def panel():
    """The regression sample, controls in logarithms, before winsorizing."""
    source = {"path": "data/aipz_simulated.csv.gz"}
    frame = read(source, ROOT, ROOT / "specs").frame.query("year >= 2015").copy()
    logs = {"eco": "gdp_pc", "fe": "loans_deposits", "op": "fdi"}
    for name, column in logs.items():
        frame[name] = np.log(frame[column])
    # The super-SBM score of the inputs and outputs is this column.
    return frame.rename(columns={"ulgue_simulated": "ulgue"})


@pytest.fixture(scope="module")
def winsorized(panel):
    frame = panel.copy()
    for name in ("ulgue", *CONTROLS):
        frame[name] = frame[name].clip(*frame[name].quantile([0.01, 0.99]))
    return frame


def test_table_2_side_by_side(panel) -> None:
    print("\nTable 2      mean           sd             minimum        maximum")
    for name, printed in TABLE_2.items():
        x = panel[name]
        ours = (x.mean(), x.std(), x.min(), x.max())
        cells = (f"{o:.4f}|{p:.4f}" for o, p in zip(ours, printed, strict=True))
        print(f"{name:6}", "  ".join(f"{c:>15}" for c in cells), " (ours|paper)")
        # Pinned to four printed decimals, but for the outcome, which is a sum of parts:
        # its mean is set before two cells get the extremes, its sd comes near.
        within = (1e-4, 0.007, 5e-5, 5e-5) if name == "ulgue" else (5e-5,) * 4
        assert (np.abs(np.subtract(ours, printed)) <= within).all(), name
    assert len(panel) == 2574


@pytest.mark.parametrize("prepared", ["winsorized", "panel"])
def test_table_3_side_by_side(prepared: str, request: pytest.FixtureRequest) -> None:
    frame = request.getfixturevalue(prepared)
    print(f"\nTable 3 ({prepared}): AI (standard error) R2, ours | paper")
    for effects, (printed, error, r2, controls) in TABLE_3.items():
        formula = f"ulgue ~ ai + {' + '.join(CONTROLS)}"
        fit = pf.feols(
            f"{formula} | {effects}" if effects else formula,
            frame,
            vcov={"CRV1": "city"},
        )
        ours, own_error = fit.coef()["ai"], fit.se()["ai"]
        print(
            f"{effects or 'none':12} {ours:.4f} ({own_error:.4f}) {fit._r2:.4f}"
            f" | {printed:.4f} ({error:.4f}) {r2:.4f}"
        )
        # Half a printed standard error: nearer than another sample would come.
        assert abs(ours - printed) < error / 2
        # The interval's width is the paper's within a third.
        assert own_error == pytest.approx(error, rel=0.35)
        # With city effects nearly exact; without them the controls explain more here.
        assert fit._r2 == pytest.approx(r2, abs=0.01 if "city" in effects else 0.08)
        assert fit.pvalue()["ai"] < 0.05  # as in all four columns of the paper
        if effects in {"", "year"}:  # where every control is significant but OP
            same = [np.sign(fit.coef()[c]) for c in CONTROLS[:5]]
            assert same == [np.sign(b) for b in controls[:5]]


def test_the_weights_of_table_6_follow_from_the_dates_alone(panel) -> None:
    first = panel[panel["ai"] == 1].groupby("city")["year"].min()
    counts = first.value_counts()
    assert counts.to_dict() == {2019: 7, 2020: 6, 2021: 5}
    share = {2019: 5 / 9, 2020: 4 / 9, 2021: 3 / 9}
    # Goodman-Bacon (2021), Theorem 1: s of each pair times the residual variance of D.
    never = 286 - 18
    weights = {"never": 0.0, "earlier": 0.0, "later": 0.0}
    for g, n in counts.items():
        weights["never"] += n * never * share[g] * (1 - share[g])
        for h, m in counts.items():
            if g < h:
                weights["earlier"] += n * m * (share[g] - share[h]) * (1 - share[g])
                weights["later"] += n * m * share[h] * (share[g] - share[h])
    total = sum(weights.values())
    printed = {"earlier": "0.006", "later": "0.005", "never": "0.989"}
    assert {k: f"{w / total:.3f}" for k, w in weights.items()} == printed
