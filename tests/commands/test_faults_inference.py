"""Too few clusters or treated units, and the refusals that may be overridden.

A fault is a small panel and a study with one thing wrong, run by the real command. The
numbers in the names are rows of the project's table of faults.
"""

from __future__ import annotations

import pytest

from tests.build_faults import Faults, one_treated, two_clusters
from tests.commands.conftest import Lab

fault = Faults()


# -- rows 16-20: too few to infer from -------------------------------------------------


@fault(4, "I05", "1 cluster of 'g'", "Fix: cluster by")
def row_16_one_cluster(lab: Lab) -> None:
    lab.data(lab.frame(g=1))
    lab.study(model={"inference": {"cluster": "g"}})


@fault(4, "I05", "1 cluster of 'g'")
def row_16_one_cluster_can_not_be_acknowledged(lab: Lab) -> None:
    row_16_one_cluster(lab)
    lab.study(
        model={"inference": {"cluster": "g"}, "acknowledge": ["few_clusters"]},
    )


@fault(
    4,
    "I05",
    "2 clusters of 'g'",
    "draws: {permute: treatment",
    "acknowledge: [few_clusters]",
)
def row_17_two_clusters(lab: Lab) -> None:
    lab.data(two_clusters(lab))
    lab.study(model={"inference": {"cluster": "g"}})


@fault(4, "I08", "1 treated cluster of 40", "permute", "acknowledge: [few_treated]")
def row_20_one_treated_unit(lab: Lab) -> None:
    lab.data(one_treated(lab))
    lab.study()


@fault(2, "X01", "no refusal 'few_treatd'", "did you mean 'few_treated'?")
def row_20_misspelt_acknowledgement(lab: Lab) -> None:
    lab.data(one_treated(lab))
    lab.study(model={"acknowledge": ["few_treatd"]})


@pytest.mark.parametrize("name", fault.found)
def test_a_fault_is_refused_by_name(name: str, lab: Lab) -> None:
    fault.found[name].refused(lab)
