"""Size and power of the tests by split samples, in small."""

from __future__ import annotations

import pytest

from tests.simulation.split_tests import summary


@pytest.mark.slow
def test_size_and_power() -> None:
    found = summary(8, splits=3).set_index(["test", "truth"])
    for kind in ("separability", "scale"):
        null = found.loc[(kind, "null")]
        # 24 splits: 0.05 and five Monte Carlo errors; the combined p is conservative.
        assert null["one_split"] <= 0.27
        assert null["combined"] <= 0.25
    assert found.loc[("separability", "frontier 30% lower"), "one_split"] > 0.5
    assert found.loc[("scale", "decreasing, power 0.8"), "one_split"] > 0.5
