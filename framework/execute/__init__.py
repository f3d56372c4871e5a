"""Estimations run in supervised worker processes; what is finished stays finished.

`execute` runs what the store does not hold yet. An `Executor` says where: `Inline` in
this process (tests), `Processes` in warm workers, where one estimation's death is never
another's, `Cluster` in such workers on the machines of Ray, Dask or SLURM.
"""

from __future__ import annotations

from framework.execute.cluster import Cluster, connection
from framework.execute.executor import Executor, OnStart, Outcome
from framework.execute.inline import Inline
from framework.execute.processes import Processes
from framework.execute.run import STOPPED, Outcomes, Progress, execute
from framework.execute.worker import ENVIRONMENT, work

__all__ = [
    "ENVIRONMENT",
    "STOPPED",
    "Cluster",
    "Executor",
    "Inline",
    "OnStart",
    "Outcome",
    "Outcomes",
    "Processes",
    "Progress",
    "connection",
    "execute",
    "work",
]
