"""A plugin that can't be imported here: its engine is not installed."""

from __future__ import annotations

import an_engine_that_nobody_has  # noqa: F401 - what goes wrong on other machines

from framework.contract import Estimator, Request
from framework.result import Result


class NeedsALicence(Estimator):
    """Never seen."""

    def estimate(self, request: Request) -> Result:
        raise NotImplementedError
