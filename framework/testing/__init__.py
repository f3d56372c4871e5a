"""The conformance kit: what every plugin owes to the studies that use it.

A plugin's test file is three lines:

    from framework.testing import check_estimator
    from my_package.my_method import MyMethod
    def test_it_keeps_the_contract(): check_estimator(MyMethod)

The kit runs the plugin on data of its own, of every structure that the plugin says it
takes, and raises `NotConforming` with one sentence for each broken promise.
"""

from framework.testing.estimator import check_estimator
from framework.testing.findings import RULES, NotConforming
from framework.testing.generator import check_generator
from framework.testing.learner import check_learner
from framework.testing.matrix import check_matrix
from framework.testing.restriction import check_restriction
from framework.testing.step import check_step

__all__ = [
    "RULES",
    "NotConforming",
    "check_estimator",
    "check_generator",
    "check_learner",
    "check_matrix",
    "check_restriction",
    "check_step",
]
