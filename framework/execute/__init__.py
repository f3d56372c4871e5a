"""Estimations run in supervised worker processes; what is finished stays finished.

`execute` runs what the store does not hold yet. An `Executor` says where: `Inline` in
this process (tests), `Processes` in warm workers, where one estimation's death is never
another's.
"""

from __future__ import annotations

from framework.execute.executor import Executor, OnStart, Outcome
from framework.execute.inline import Inline
from framework.execute.processes import Processes
from framework.execute.run import STOPPED, Outcomes, Progress, execute
from framework.execute.worker import ENVIRONMENT, work

__all__ = [
    "ENVIRONMENT",
    "STOPPED",
    "Executor",
    "Inline",
    "OnStart",
    "Outcome",
    "Outcomes",
    "Processes",
    "Progress",
    "execute",
    "work",
]
