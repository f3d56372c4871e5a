"""Options that the linear plugins share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SmallSample(BaseModel):
    """Small-sample convention of the covariance matrix; defaults are fixest's.

    Petersen's (2009) two-way errors, Stata's `cluster2` and R's sandwich use
    `two_way: conventional`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    adjust: bool = Field(
        default=True, description="Multiply by (N-1)/(N-K); HC1: N/(N-K)."
    )
    fixed_effects: Literal["nonnested", "full", "none"] = Field(
        default="nonnested",
        description="Which fixed effects K counts: those not nested in a cluster, "
        "all, or none.",
    )
    cluster_adjust: bool = Field(default=True, description="Multiply by G/(G-1).")
    two_way: Literal["min", "conventional"] = Field(
        default="min",
        description="G of the three terms of a two-way covariance: the smallest for "
        "all, or each its own.",
    )
