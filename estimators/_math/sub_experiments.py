"""Pooled differences in differences over sub-experiments, one per treated cohort.

A regression of y on treatment x event time with (sub-experiment x unit) and
(sub-experiment x period) effects gives, at every event time, a weighted mean of the
sub-experiments' own differences; the same holds for a local projection of long
differences. With one difference `dy` per unit and sub-experiment s, treated units of
total weight W1 and controls of total weight W0 times q, the weight of s is
`a_s = p_s W1 q W0 / (W1 + q W0)`, p_s being the weight of all its rows.
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
        unit_weight: (n1 + n0,) weights of the units, in any unit of measure; None = one.
    """

    treated: Codes
    control: Codes
    dy: Floats
    control_weight: float = 1.0
    row_weight: float = 1.0
    x: Floats | None = None
    unit_weight: Floats | None = None

    @property
    def units(self) -> Floats:
        """(n1 + n0,) weights of its units."""
        if self.unit_weight is None:
            return np.ones(len(self.dy))
        return self.unit_weight

    @property
    def sizes(self) -> tuple[float, float]:
        """W1 and W0, the sums of the weights of treated units and of controls."""
        w, n1 = self.units, len(self.treated)
        return float(w[:n1].sum()), float(w[n1:].sum())

    @property
    def weight(self) -> float:
        """Weight a_s of its difference in the pooled estimate."""
        W1, W0 = self.sizes
        W0 *= self.control_weight
        return self.row_weight * W1 * W0 / (W1 + W0)

    @property
    def difference(self) -> Floats:
        """(q,) its own difference in differences."""
        w, n1, (W1, W0) = self.units, len(self.treated), self.sizes
        return np.asarray(
            w[:n1] @ self.dy[:n1] / W1 - w[n1:] @ self.dy[n1:] / W0, dtype=np.float64
        )


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
        n1, (W1, W0), own = len(s.treated), s.sizes, s.units
        left = s.dy.copy()
        left[:n1] -= beta
        w = np.append(own[:n1], s.control_weight * own[n1:])
        left -= w @ left / w.sum()
        left *= own[:, None]
        # Units appear once in a sub-experiment.
        psi[s.treated] += part / W1 * left[:n1]
        psi[s.control] -= part / W0 * left[n1:]
    return beta, psi, share
