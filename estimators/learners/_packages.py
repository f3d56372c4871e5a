"""Packages that come with an extra of this distribution."""

from __future__ import annotations

import importlib
from types import ModuleType

from framework.errors import SpecError


def module(name: str, extra: str) -> ModuleType:
    """Import a package, or say how it is installed.

    Raises:
        SpecError: X00 it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SpecError(
            "X00",
            f"learner {name} needs the package '{name}', which is not installed",
            fix=f"pip install 'estimand[{extra}]', or learner: boosting",
            path="model.estimator.learner",
        ) from error
