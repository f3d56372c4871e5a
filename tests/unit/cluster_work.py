"""An estimation that says where it ran and how often its panel was read."""

from __future__ import annotations

import os
from dataclasses import replace

from framework.cache import Cell, Job
from framework.execute import worker
from framework.panel import Panel
from tests.unit.toy_work import toy


def seen(job: Job, panel: Panel) -> Cell:
    """The toy's cell with the worker's pid and how many panels it has read."""
    cell = toy(job, panel)
    read = worker._panel.cache_info().misses
    return replace(cell, labels={**cell.labels, "pid": os.getpid(), "read": read})
