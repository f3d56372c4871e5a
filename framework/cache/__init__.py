"""Finished estimations, kept by what they are computed from.

`fingerprint` names an estimation by everything that can move its numbers; `Store` keeps
finished estimations (`Cell`) and prepared panels under that name. Nothing here runs
anything.
"""

from __future__ import annotations

from framework.cache.cells import Cell, Failure, Job
from framework.cache.identity import (
    engine_versions,
    engines_hash,
    fingerprint,
    source_hash,
    source_newest,
)
from framework.cache.plain import from_plain, to_plain
from framework.cache.shelf import FolderShelf
from framework.cache.store import Store

__all__ = [
    "Cell",
    "Failure",
    "FolderShelf",
    "Job",
    "Store",
    "engine_versions",
    "engines_hash",
    "fingerprint",
    "from_plain",
    "source_hash",
    "source_newest",
    "to_plain",
]
