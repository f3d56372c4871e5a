"""What the audit finds in published papers, and that it is silent on sound ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from framework.audit import Finding
from framework.commands.auditing import Audit, audit_study
from framework.spec.study import open_study
from tests.build_audit import how

SPECS = Path(__file__).parents[2] / "specs"
#: The points that a careful replicator would flag in the paper, and where the audit has
#: to find each: (rule, beginning of the address).
POINTS = {
    "first stage": [("instruments", "policies.phones_as_printed.kleibergen_paap_f")],
    "Moran's I under contiguity": [
        ("autocorrelation", "moran.by_year.contiguity"),
        ("words", "moran.by_year"),
    ],
    "standard error of W x AI": [("spillover", "spatial.durbin.W × ai")],
    "weighted Bacon sum": [("decomposition", "bacon.weights")],
    "no test of heterogeneity": [
        ("repeats", "heterogeneity.as_printed.scale"),
        ("moderators", "heterogeneity.as_printed.scale"),
        ("moderators", "heterogeneity.as_printed.infra"),
        ("moderators", "heterogeneity.as_printed.level"),
    ],
    "constant returns, outputs per head": [("scores", "data.steps.ulgue")],
    "mechanisms in the text": [
        ("words", "mechanisms.channels.lso.ai"),
        ("words", "mechanisms.channels.upgrade.ai"),
    ],
    "event study": [("event_window", "pretrends.as_printed")],
    "anticipation": [("anticipation", "robustness.anticipation")],
    "effects": [
        ("words", "spillovers.indirect.ai"),
        ("shown", "spillovers.indirect.ai"),
        ("effects", "spillovers.total.ai"),
    ],
    "descriptive statistics": [
        ("descriptives", "descriptive.summary.gov"),
        ("descriptives", "descriptive.summary.ur"),
        ("descriptives", "descriptive.summary.edu"),
        ("magnitudes", "descriptive.summary.mean[fe]"),
        ("magnitudes", "descriptive.summary.mean[edu]"),
        ("magnitudes", "descriptive.summary.max[gov]"),
        ("magnitudes", "descriptive.summary.min[ulgue]"),
    ],
    "notes, labels, the county and kinds of R2": [
        ("notes", "policies"),
        ("notes", "heterogeneity"),
        ("headers", "robustness"),
        ("treated", "claims.treated"),
        ("r_squared", "spatial"),
    ],
}


def audited(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Audit:
    monkeypatch.chdir(folder)
    return audit_study(open_study(SPECS / name), how())


@pytest.mark.parametrize("name", ["castle_doctrine", "castle_bacon", "card_1995"])
def test_sound_papers_raise_no_alarm(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = audited(f"replications/{name}.yaml", tmp_path, monkeypatch)
    assert found.no_data == ""
    assert found.alarms == ()
    assert any(f.severity == "confirmed" for f in found.findings)


@pytest.fixture(scope="module")
def pilot_zones(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder = tmp_path_factory.mktemp("pilot_zones")
    with pytest.MonkeyPatch.context() as patch:
        return audited("aipz_ulgue.yaml", folder, patch)


def matching(audit: Audit, rule: str, address: str) -> list[Finding]:
    return [f for f in audit.alarms if f.rule == rule and f.address.startswith(address)]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_every_point_of_a_careful_replicator_is_found(
    point: str, pilot_zones: Audit
) -> None:
    for rule, address in POINTS[point]:
        found = matching(pilot_zones, rule, address)
        assert found, (rule, address)
        for finding in found:
            assert re.search(r"\d", finding.proof), finding
            assert finding.spec or finding.rule == "treated"  # a list is no line


@pytest.mark.slow
def test_the_numbers_that_prove_it(pilot_zones: Audit) -> None:
    proofs = {(f.rule, f.address): f.proof for f in pilot_zones.findings}
    # Computed elsewhere from the printed numbers and the design alone.
    assert proofs["decomposition", "bacon.weights"].startswith(
        ("0.0371", "0.006304, 0.004933, 0.988763")
    )
    computed = [f.computed for f in pilot_zones.findings if f.rule == "decomposition"]
    assert any("0.006304, 0.004933, 0.988763" in text for text in computed)
    (sizes,) = [
        f for f in pilot_zones.findings
        if f.address == "descriptive.summary.ai" and f.rule == "descriptives"
    ]  # fmt: skip
    assert sizes.severity == "confirmed"
    assert "74 ones of 2,574" in sizes.computed
    windows = [f for f in pilot_zones.alarms if f.rule == "event_window"]
    assert any(f.proof == "0 of 18 treated units at k = 5" for f in windows)
    (matrix,) = matching(pilot_zones, "autocorrelation", "moran.by_year.contiguity")
    # Borders and places are real, so the spread under each is the paper's, too.
    assert matrix.severity == "impossible"
    assert "distance 0.0064" in matrix.computed
    # The variance moves with the kurtosis of the values in the fourth decimal.
    assert re.search(r"contiguity 0\.0(40|39)\d", matrix.computed)
    assert matching(pilot_zones, "autocorrelation", "moran.by_year.distance") == []
    (n,) = matching(pilot_zones, "samples", "policies")
    assert n.proof == "3,718 > 2,574"
    # exp(17.7909 - 10.9347) / 10,000 people.
    assert proofs["magnitudes", "descriptive.summary.mean[fe]"].startswith("0.095 ")
    assert proofs["treated", "claims.treated"] in (
        "18 units, 8 dates",
        "1 of 18 entries",
    )
    assert proofs["headers", "robustness"] == "3 labels for 4 columns"


@pytest.mark.slow
def test_what_no_printed_number_can_tell_says_why(pilot_zones: Audit) -> None:
    open_ = {
        (f.rule, f.address): f
        for f in pilot_zones.findings
        if f.severity == "cannot be judged"
    }
    # Tests that the text rests on and no table has; a variable whose unit is not given;
    # cells that were filled, of which a simulated panel has none.
    assert set(open_) == {
        ("shown", "spatial"),
        ("magnitudes", "descriptive.summary.max[op]"),
        ("filled", "baseline.pooled"),
    }
    assert open_["shown", "spatial"].proof == "0 of 3 printed"
    unit = open_["magnitudes", "descriptive.summary.max[op]"]
    assert unit.proof.startswith("fits as million yuan")
    assert "10,000 dollars: 1.7 billion dollars" in unit.computed


@pytest.mark.slow
def test_what_rests_on_simulated_values_is_doubtful_at_most(pilot_zones: Audit) -> None:
    assert pilot_zones.simulated
    for finding in pilot_zones.alarms:
        if finding.basis == "data":
            assert finding.severity == "doubtful"
            assert finding.computed.endswith("(in simulated data)")


@pytest.mark.slow
def test_what_the_paper_has_right_is_confirmed(pilot_zones: Audit) -> None:
    right = {(f.rule, f.severity) for f in pilot_zones.findings}
    for rule in ("stars", "samples", "descriptives", "decomposition", "r_squared"):
        assert (rule, "confirmed") in right
