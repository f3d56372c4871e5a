"""Every claim of paper 2 has a line of its study, with the truth where there is one.

Its tables are not public; what stands beside an estimate is what is true in the data.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from estimators._math.indices import (
    directed,
    entropy_weights,
    normalised,
    principal_components,
)
from estimators.generators import _gip
from framework.plan import plan
from framework.spec.study import open_study

STUDY = Path(__file__).parents[2] / "specs" / "gip_uicr.yaml"
CLAIMS = {
    "baseline": {"baseline.linear", "baseline.quadratic"},
    "alternative samples": {
        "samples.no_municipalities", "samples.years", "samples.winsor_5",
    },
    "algorithms": {
        "algorithms.learner.forest", "algorithms.learner.boosting",
        "algorithms.learner.neural_net", "algorithms.learner.stacking",
        "algorithms.interactive", "algorithms.levels",
    },
    "folds": {"algorithms.folds.3", "algorithms.folds.8", "algorithms.splits"},
    "variable definitions": {
        "definitions.pca", "definitions.parts.resistance", "definitions.parts.recovery",
        "definitions.parts.transformation",
    },
    "parallel policies": {
        "policies.parallel.low_carbon", "policies.parallel.smart_city",
        "policies.parallel.broadband", "policies.all",
    },
    "openness": {"heterogeneity.groups.open"},
    "digital economy": {"heterogeneity.groups.digital"},
    "AI computing power": {"heterogeneity.groups.compute"},
    "eastern cities": {"heterogeneity.groups.east", "heterogeneity.regions"},
    "resource-based cities": {"heterogeneity.groups.resource_based"},
    "green innovation": {
        "mechanisms.two_step.green_patents", "mechanisms.mediation.innovation",
    },
    "industrial structure": {
        "mechanisms.two_step.structure", "mechanisms.mediation.structure",
    },
    "placebo": {"placebo.timing", "placebo.cities"},
    "staggered rollout": {"staggered.did", "linear_rivals.methods.callaway_santanna"},
}  # fmt: skip


@pytest.fixture(scope="module")
def addresses() -> set[str]:
    found = {e.address for e in plan(open_study(STUDY))}
    # `each: every` meets the data only when it is prepared.
    return found | {".".join(address.split(".")[:2]) for address in found}


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_has_its_lines(claim: str, addresses: set[str]) -> None:
    assert addresses >= CLAIMS[claim]


def test_no_line_is_there_for_nothing(addresses: set[str]) -> None:
    claimed = {a.split(".")[0] for lines in CLAIMS.values() for a in lines}
    headings = {a.split(".")[0] for a in addresses}
    assert headings - claimed == {"descriptive"}


INDICATORS = [f"r{k}" for k in range(1, 13)]


def winsorised_effect(rows: pd.DataFrame, effect: pd.Series) -> float:
    """Mean over treated rows of the index less its untreated value, both winsorised.

    The quantiles are those of the index as it is, treated cities among them.

    Args:
        rows: the panel.
        effect: of treatment on the index of each row, 0 where untreated.
    """
    x = rows[INDICATORS].to_numpy()
    positive = np.array([name not in _gip.NEGATIVE for name in INDICATORS])
    scaled = normalised(directed(x, positive), "min_max")
    index = scaled @ entropy_weights(scaled)[1]
    bounds = np.quantile(index, [0.05, 0.95])
    untreated = np.clip(index - effect, *bounds)
    return float((np.clip(index, *bounds) - untreated)[rows["gip"] == 1].mean())


def component_effect(rows: pd.DataFrame, effect: pd.Series) -> float:
    """Mean over treated rows of the first component less its untreated value.

    Loadings, means and deviations are those of the indicators as they are.

    Args:
        rows: the panel.
        effect: of treatment on the latent index of each row, 0 where untreated.
    """
    x = rows[INDICATORS].to_numpy()
    turned = principal_components(x)
    untreated = x - np.outer(effect, _gip._SLOPES)
    z = (untreated - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    change = turned.scores[:, 0] - z @ turned.loadings[:, 0]
    return float(change[rows["gip"] == 1].mean())


@pytest.fixture(scope="module")
def truth() -> dict[str, float]:
    """Address, or a heading whose columns all have it -> what is true."""
    file = STUDY.parent / "data" / "gip_simulated_heterogeneous.truth.json"
    known = json.loads(file.read_text(encoding="utf-8"))
    estimands, kappa = known["estimands"], known["kappa"]
    headings = ("baseline", "linear_rivals", "staggered", "algorithms", "policies")
    made = dict.fromkeys(headings, estimands["att"])
    # Samples: the mean over the city-years that are treated in them.
    rows = pd.read_csv(STUDY.parent / "data" / "gip_simulated_heterogeneous.csv.gz")
    effect_of = rows["city"].astype(str).map(known["by_city"])
    treated = rows["gip"] == 1
    assert effect_of[treated].mean() == pytest.approx(estimands["att"], rel=1e-7)
    rest, early = rows["municipality"] == 0, rows["year"].between(2008, 2019)
    made["samples.no_municipalities"] = effect_of[treated & rest].mean()
    made["samples.years"] = effect_of[treated & early].mean()
    made["placebo.timing"] = 0.0  # years without treatment
    made["samples.winsor_5"] = winsorised_effect(rows, effect_of * treated)
    made["definitions.pca"] = component_effect(rows, effect_of * treated / kappa)
    for part, own in known["kappa_parts"].items():
        made[f"definitions.parts.{part}"] = estimands["att"] / kappa * own
    for group, effect in estimands["by_group"].items():
        made[f"heterogeneity.groups.{group}"] = effect["1"] - effect["0"]
    for region, effect in estimands["by_region"].items():
        made[f"heterogeneity.regions.{region}"] = effect
    for mediator, effect in estimands["on_mediators"].items():
        made[f"mechanisms.two_step.{mediator}"] = effect
    for name, mediator in (("innovation", "green_patents"), ("structure", "structure")):
        for line in ("mediation", "mediation_linear"):
            # Of all cities, not of the treated: what mediation averages over.
            total, indirect = effect_of.mean(), estimands["indirect"][mediator]
            made[f"mechanisms.{line}.{name}"] = indirect
            made[f"mechanisms.{line}.{name} direct"] = total - indirect
            made[f"mechanisms.{line} total"] = total
    return made


def test_what_stands_beside_an_estimate_is_true(truth: dict[str, float]) -> None:
    beside = {}
    for estimation in plan(open_study(STUDY)):
        for flat in estimation.expect:
            if flat["name"] != "covers":
                continue
            number = flat["number"]
            line = f"{estimation.heading}.{estimation.line}"
            of = f" {flat['estimand']}" if "estimand" in flat else ""
            if isinstance(number, dict):
                beside |= {f"{line}.{value}{of}": n for value, n in number.items()}
            elif f"{line}{of}" in truth:
                beside[f"{line}{of}"] = number
            else:
                beside[estimation.heading] = number
    assert set(beside) == set(truth)  # no truth is left out
    for address, number in beside.items():
        # Written with four decimals.
        assert number == pytest.approx(truth[address], abs=5e-5), address


def test_the_study_is_short_enough_to_read() -> None:
    assert len(STUDY.read_text(encoding="utf-8").splitlines()) <= 65
