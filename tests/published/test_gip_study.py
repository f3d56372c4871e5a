"""Every claim of paper 2 has a line of its study; its tables are not public."""

from __future__ import annotations

from pathlib import Path

import pytest

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
        "algorithms.interactive",
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
