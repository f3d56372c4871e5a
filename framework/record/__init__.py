"""The record: a run's folder, and MLflow as a view of it."""

from __future__ import annotations

from framework.record.folder import check_output, copy_run, write_run
from framework.record.inputs import Column, RunInputs
from framework.record.jobs import Command, JobBook, Planned, last_failed
from framework.record.resolved import Resolved, read_resolved
from framework.record.storage import read_latest
from framework.record.tables import read_table
from framework.record.versions import versions

__all__ = [
    "Column",
    "Command",
    "JobBook",
    "Planned",
    "Resolved",
    "RunInputs",
    "check_output",
    "copy_run",
    "last_failed",
    "read_latest",
    "read_resolved",
    "read_table",
    "versions",
    "write_run",
]
