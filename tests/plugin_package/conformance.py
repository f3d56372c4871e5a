"""The package's own test of its contract: `pytest conformance.py`."""

from __future__ import annotations

from estimand_difference.center import Center
from estimand_difference.difference_in_means import DifferenceInMeans
from estimand_difference.ring import Ring

from framework.testing import check_estimator, check_matrix, check_step


def test_difference_in_means():
    check_estimator(DifferenceInMeans)
    check_estimator(DifferenceInMeans, variance="pooled")


def test_center():
    check_step(Center, column="gdp", around="median")


def test_ring():
    check_matrix(Ring, longitude="longitude")
