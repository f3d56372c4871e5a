"""Estimand: policy evaluation from one YAML study.

`run` is the Python door; it walks the same path as the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.commands.door import Run, run

__all__ = ["Run", "run"]


def __getattr__(name: str) -> Any:
    # `import framework` stays cheap: the engine room is opened on first use.
    if name in __all__:
        from framework.commands import door

        return getattr(door, name)
    raise AttributeError(f"module 'framework' has no attribute {name!r}")
