"""A window of event times that runs backwards is refused by whoever has one."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from framework import registry

WINDOWED = sorted(
    name
    for name in registry.names("estimator")
    if "window" in registry.estimator(name).model_fields
)


def test_there_are_some() -> None:
    assert len(WINDOWED) > 10


@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_that_runs_backwards_is_refused(name: str) -> None:
    plugin: Any = registry.estimator(name)
    with pytest.raises(ValidationError, match="window"):
        plugin(window=(3, -3))
