"""Options that the matrices share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from framework.contract import Matrix

Islands = Literal["error", "drop", "nearest"]
ISLANDS = (
    "Units without a neighbour: refused; left out of every estimation with this "
    "matrix; linked to the nearest unit, both ways."
)


class Normalised(Matrix):
    """A matrix that is normalised once its weights are known."""

    transform: Literal["row", "spectral", "none"] = Field(
        default="row",
        description="Rows divided by their sum; all weights divided by the largest "
        "eigenvalue in modulus, which keeps their proportions; none.",
    )


def source(written: str | dict[str, Any]) -> Mapping[str, Any]:
    """A path, or a source with its options, as `data.source` has it."""
    return {"path": written} if isinstance(written, str) else written
