"""Synthetic difference-in-differences of a panel: cohorts, their averages, replicates.

Staggered adoption as in Clarke, Pailanir, Athey and Imbens (2023): every cohort against
the never-treated alone, averaged by treated unit-periods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, islice
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from estimators._math import synthetic_did as sdid
from estimators._math.synthetic_did import Cohort, Solver, Span, Weights, Zeta
from estimators._math.two_way_fit import fit as two_way_fit

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Covariates = Literal["projected", "optimized"]


@dataclass(frozen=True, slots=True)
class Sample:
    """Units of one estimation.

    Attributes:
        Y: (N, T).
        X: (k, N, T).
        cohort: (N,) first treated period, inf = never.
        spans: cohort -> its periods.
        covariates: how X enters.
        solver: as in `synthetic_did.cohort`.
        zetas: cohort -> regularisation, kept from the estimate in its replicates.
    """

    Y: Floats
    X: Floats
    cohort: Floats
    spans: dict[float, Span]
    covariates: Covariates
    solver: Solver
    zetas: dict[float, Zeta]

    def of(self, units: Codes, cohort: Floats | None = None) -> Sample:
        """The same with these units, under another assignment if one is given."""
        chosen = self.cohort[units] if cohort is None else cohort
        return replace(self, Y=self.Y[units], X=self.X[:, units], cohort=chosen)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Cohorts in ascending order and the coefficients (k,) of projected covariates."""

    cohorts: dict[float, Cohort]
    sizes: dict[float, int]
    beta: Floats

    def att(self) -> float:
        """Mean over treated unit-periods."""
        weight = [
            self.sizes[g] * len(c.effect[c.span.first :])
            for g, c in self.cohorts.items()
        ]
        return float(np.average([c.tau for c in self.cohorts.values()], weights=weight))

    def at_event_time(self, e: int) -> float:
        """Mean over the treated units seen at an event time, NaN if there are none."""
        found, weight = [], []
        for g, c in self.cohorts.items():
            t = c.span.first + e
            if 0 <= t < len(c.effect):
                found.append(c.effect[t])
                weight.append(self.sizes[g])
        return float(np.average(found, weights=weight)) if found else np.nan


def fitted(sample: Sample, start: dict[float, Weights] | None = None) -> Fitted:
    """All cohorts against the never-treated."""
    Y, X, beta = _projected(sample)
    never = np.isinf(sample.cohort)
    cohorts, sizes = {}, {}
    for g, span in sample.spans.items():
        own = sample.cohort == g
        if not own.any():
            continue
        cohorts[g] = sdid.cohort(
            Y[never],
            Y[own].mean(axis=0),
            span,
            sample.zetas[g],
            X0=X[:, never],
            x1=X[:, own].mean(axis=1),
            solver=sample.solver,
            start=start[g] if start else None,
        )
        sizes[g] = int(own.sum())
    return Fitted(cohorts, sizes, beta)


def regularised(sample: Sample) -> Sample:
    """With the regularisation of every cohort, from the controls' outcomes."""
    never = np.isinf(sample.cohort)
    zetas = {
        g: sdid.regularisation(sample.Y[never], span, int((sample.cohort == g).sum()))
        for g, span in sample.spans.items()
    }
    return replace(sample, zetas=zetas)


def _projected(sample: Sample) -> tuple[Floats, Floats, Floats]:
    """Outcome without the covariates where these are projected out beforehand.

    Their coefficients are those of a regression with unit and period effects on all
    untreated rows (Kranz 2022).
    """
    none = sample.X[:0]
    if sample.covariates != "projected" or not len(sample.X):
        return sample.Y, sample.X, np.zeros(0)
    untreated = np.ones(sample.Y.shape)
    for g, span in sample.spans.items():
        untreated[sample.cohort == g, span.T0 :] = 0.0
    found = two_way_fit(sample.Y, untreated, sample.X)
    beta = np.zeros(len(sample.X))
    beta[found.kept] = found.beta
    return sample.Y - np.tensordot(beta, sample.X, 1), none, beta


def with_fixed_weights(sample: Sample, whole: Fitted, kept: Codes) -> Fitted:
    """The estimate on some units with the weights of all, rescaled to sum to one.

    Args:
        sample: all units.
        whole: their estimate.
        kept: positions of the units.
    """
    Y, X = sample.Y, sample.X
    if len(whole.beta):
        Y, X = Y - np.tensordot(whole.beta, X, 1), X[:0]
    never = np.flatnonzero(np.isinf(sample.cohort))
    left = np.isin(never, kept)
    cohorts, sizes = {}, {}
    for g, c in whole.cohorts.items():
        own = kept[sample.cohort[kept] == g]
        omega = c.weights.omega[left]
        cohorts[g] = sdid.at(
            Y[never[left]],
            Y[own].mean(axis=0),
            c.span,
            replace(c.weights, omega=omega / omega.sum()),
            X0=X[:, never[left]],
            x1=X[:, own].mean(axis=1),
        )
        sizes[g] = len(own)
    return Fitted(cohorts, sizes, whole.beta)


def enumerable(n_controls: int, n_treated: int, replications: int) -> bool:
    """Whether every choice of placebo units is among so many replications."""
    return n_treated == 1 and comb(n_controls, n_treated) <= replications


def placebos(
    sample: Sample, whole: Fitted, replications: int, rng: np.random.Generator
) -> Iterator[Fitted]:
    """Controls in the place of the treated, cohort sizes kept (their algorithm 4)."""
    never = np.flatnonzero(np.isinf(sample.cohort))
    firsts = sample.cohort[np.isfinite(sample.cohort)]
    n = len(firsts)
    if enumerable(len(never), n, replications):
        chosen = (np.array(c) for c in combinations(range(len(never)), n))
    else:
        chosen = (rng.permutation(len(never))[:n] for _ in range(replications))
    for placebo in islice(chosen, replications):
        cohort = np.full(len(never), np.inf)
        cohort[placebo] = firsts
        start = _start(whole, np.delete(np.arange(len(never)), placebo))
        yield fitted(sample.of(never, cohort), start)


def resamples(
    sample: Sample, whole: Fitted, replications: int, rng: np.random.Generator
) -> Iterator[Fitted]:
    """Units drawn with replacement (algorithm 2); a draw without a group is redrawn."""
    place = np.cumsum(np.isinf(sample.cohort)) - 1
    n = len(sample.cohort)
    for _ in range(replications):
        while True:
            units = np.sort(rng.integers(0, n, n))
            drawn = sample.cohort[units]
            if np.isinf(drawn).any() and np.isfinite(drawn).any():
                break
        controls = place[units[np.isinf(drawn)]]
        yield fitted(sample.of(units), _start(whole, controls))


def left_out(sample: Sample, whole: Fitted) -> Iterator[Fitted]:
    """One unit left out at a time, weights fixed (algorithm 3)."""
    units = np.arange(len(sample.cohort))
    for i in units:
        yield with_fixed_weights(sample, whole, np.delete(units, i))


def _start(whole: Fitted, controls: Codes) -> dict[float, Weights]:
    """Weights of the estimate for some of its controls, where Frank-Wolfe begins."""
    found = {}
    for g, c in whole.cohorts.items():
        omega = c.weights.omega[controls]
        total = omega.sum()
        omega = omega / total if total > 0 else np.full(len(omega), 1 / len(omega))
        found[g] = replace(c.weights, omega=omega)
    return found
