"""Pooled differences in differences over sub-experiments, one per treated cohort.

A regression of y on treatment x event time with (sub-experiment x unit) and
(sub-experiment x period) effects gives, at every event time, a weighted mean of the
sub-experiments' own differences; the same holds for a local projection of long
differences. With one difference `dy` per unit and sub-experiment s, n1 treated with
weight one and n0 controls with weight q, the weight of s is
`a_s = p_s n1 q n0 / (n1 + q n0)`, p_s being the weight of all its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SubExperiment:
    """One cohort against its clean controls.

    Attributes:
        treated, control: positions of the units.
        dy: (n1 + n0, q) differences of the treated, then of the controls.
        control_weight: q of the controls' rows.
        row_weight: p of all rows.
        x: (n1 + n0, k) covariates, for `adjusted_experiments`.
    """

    treated: Codes
    control: Codes
    dy: Floats
    control_weight: float = 1.0
    row_weight: float = 1.0
    x: Floats | None = None

    @property
    def weight(self) -> float:
        """Weight a_s of its difference in the pooled estimate."""
        n1, n0 = float(len(self.treated)), self.control_weight * len(self.control)
        return self.row_weight * n1 * n0 / (n1 + n0)

    @property
    def difference(self) -> Floats:
        """(q,) its own difference in differences."""
        n1 = len(self.treated)
        return np.asarray(self.dy[:n1].mean(axis=0) - self.dy[n1:].mean(axis=0))


def pooled(
    experiments: Sequence[SubExperiment], n_units: int
) -> tuple[Floats, Floats, Floats]:
    """Pooled estimates (q,), influence by unit (n_units, q), shares of weight (S,).

    The influence has the residuals of the pooled regression: common effects beta, a
    period effect per sub-experiment.
    """
    a = np.array([s.weight for s in experiments])
    share = a / a.sum()
    beta = share @ np.stack([s.difference for s in experiments])
    psi = np.zeros((n_units, len(beta)))
    for s, part in zip(experiments, share, strict=True):
        n1, n0 = len(s.treated), len(s.control)
        left = s.dy.copy()
        left[:n1] -= beta
        w = np.append(np.ones(n1), np.full(n0, s.control_weight))
        left -= w @ left / w.sum()
        # Units appear once in a sub-experiment.
        psi[s.treated] += part / n1 * left[:n1]
        psi[s.control] -= part / n0 * left[n1:]
    return beta, psi, share
