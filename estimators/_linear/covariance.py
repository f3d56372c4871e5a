"""Covariance of a fit from its scores: terms, small-sample factors, influence rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._math.conley import indefinite, spatial_meat
from estimators._math.projection import Codes, Floats, contiguous, nested
from estimators._math.sandwich import (
    bartlett_root,
    match_covariance,
    parameters,
    sum_by,
)
from framework.contract import Inference
from framework.errors import IdentificationError, NumericalError

if TYPE_CHECKING:
    from estimators._linear.design import Design
    from estimators._linear.options import SmallSample

#: HC2 divides residuals by the root of 1 - leverage, HC3 by 1 - leverage.
_LEVERAGE = {"HC2": 0.5, "HC3": 1.0}
#: What is left of 1 - leverage below this is rounding.
_FITS_ITSELF = 1e-10
#: Index of influence rows: one or two names with their values (m,).
Levels = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Covariance:
    """Covariance of the engine's coefficients (k of them, scaled columns).

    Attributes:
        V: (k, k) with our parameter count.
        V_engine: (k, k) with the count the engine can know (it sees no slopes).
        df_model, df_engine: these counts, K of the small-sample factor.
        df_t: degrees of freedom of the t distribution.
        psi: (m, k) influence rows; `exact` if their variance is V, otherwise they
            need `matched_influence`.
        levels: index of `psi`.
    """

    V: Floats
    V_engine: Floats
    df_model: int
    df_engine: int
    df_t: float
    psi: Floats
    exact: bool
    levels: Levels


@dataclass(frozen=True, slots=True)
class _Term:
    """One term of the covariance: sign, influence rows (m, k), number of groups."""

    sign: int
    psi: Floats
    groups: int


def analytic(inference: Inference) -> Inference:
    """What the standard errors are: a bootstrap's stand on its clusters."""
    if inference.name in {"wild_bootstrap", "ferman_pinto"}:
        return Inference("cluster", inference.clusters)
    return inference


def covariance(
    design: Design,
    inference: Inference,
    small: SmallSample,
    X: Floats,
    u: Floats,
    absorbed: int,
) -> Covariance:
    """Covariance from demeaned columns `X` (n, k) and residuals `u` (n,).

    Both are multiplied by the root of the weights. `absorbed` is the rank of what was
    projected out before the engine saw the columns (slopes).

    Raises:
        IdentificationError: X23 HC2 or HC3 beside absorbed fixed effects.
        NumericalError: N01 an indefinite spatial covariance, N02 a row that fits
            itself, so that it has no residual.
    """
    inference = analytic(inference)
    power = _LEVERAGE.get(inference.options.get("type", "HC1"))
    if inference.name == "hetero" and power is not None:
        plain = replace(inference, options={})
        found = covariance(design, plain, small, X, u, absorbed)
        psi = _scores(design, X, u) / (1.0 - _leverage(design, X))[:, None] ** power
        return replace(found, V=psi.T @ psi, psi=psi)
    if inference.name == "conley":
        plain = Inference("hetero")
        found = covariance(design, plain, small, X, u, absorbed)
        return _spatial(design, inference, found, X, u)
    k = X.shape[1]
    bread = np.linalg.inv(X.T @ X)
    bread = (bread + bread.T) / 2
    terms, levels = _terms(design, inference, (X * u[:, None]) @ bread)
    K_engine, K = _counted(design, inference, small, k, absorbed)
    n = design.n_copies
    factors = [_factor(inference, small, n, K, t, terms) for t in terms]

    def total(count: int) -> Floats:
        if inference.name == "iid":
            sigma2 = float(u @ u) / (n - 1)
            return sigma2 * _factor(inference, small, n, count, terms[0], terms) * bread
        V = np.zeros((k, k))
        for t in terms:
            factor = _factor(inference, small, n, count, t, terms)
            V += t.sign * factor * (t.psi.T @ t.psi)
        return V

    V = total(K)
    df_t = n - K
    if inference.name == "cluster":
        df_t = min(c.n_levels for c in design.clusters) - 1.0
    elif inference.name in {"newey_west", "driscoll_kraay"}:
        df_t = terms[0].groups - 1.0
    return Covariance(
        V=V,
        V_engine=V if K_engine == K else total(K_engine),
        df_model=K,
        df_engine=K_engine,
        df_t=df_t,
        psi=np.sqrt(factors[0]) * terms[-1].psi,
        # Separate factors of two-way terms have no common influence function.
        exact=inference.name != "iid" and len(set(factors)) == 1,
        levels=levels,
    )


def cluster_factor(design: Design, small: SmallSample, k: int) -> float:
    """Small-sample factor of errors with one clustering and k regressors, no slopes."""
    (factor,) = design.clusters
    inference = Inference("cluster", ("",))
    K = _counted(design, inference, small, k, 0)[1]
    term = _Term(1, np.empty((0, k)), factor.n_levels)
    return _factor(inference, small, design.n_copies, K, term, [term])


def _spatial(
    design: Design, inference: Inference, found: Covariance, X: Floats, u: Floats
) -> Covariance:
    """Conley's errors in place of the robust ones, with their small-sample factor."""
    psi = (X * u[:, None]) @ np.linalg.inv(X.T @ X)
    V = _near(design, inference, psi)
    V *= np.diag(found.V)[0] / (psi[:, 0] @ psi[:, 0])
    if indefinite(V):
        raise _indefinite()
    return replace(found, V=V, psi=found.psi, exact=False)


def _indefinite() -> NumericalError:
    return NumericalError(
        "N01",
        "the spatial covariance is not positive definite",
        why="Some combination of the coefficients would have a negative variance, "
        "which this kernel does not rule out.",
        fix="inference: {conley: {kernel: bartlett}}, a smaller cutoff_km, or "
        "driscoll_kraay",
    )


def _near(design: Design, inference: Inference, psi: Floats) -> Floats:
    """Products (k, k) of rows that are near in space, or in time within a unit."""
    options = inference.options
    if design.places is None:  # the framework gives them
        raise IdentificationError("I10", "conley needs the places of the rows")
    period = np.zeros(design.n, dtype=np.int64)
    if design.time is not None:
        period = contiguous(design.time)[0]
    V = spatial_meat(
        psi,
        design.places[:, 0],
        design.places[:, 1],
        period,
        float(options["cutoff_km"]),
        options.get("kernel", "bartlett"),
    )
    if options.get("lags"):
        past = _newey_west(design, inference, psi).psi
        V += past.T @ past - psi.T @ psi
    return V


def _scores(design: Design, X: Floats, u: Floats) -> Floats:
    """Influence rows (n, k) of independent rows, without a small-sample factor."""
    psi = (X * u[:, None]) @ np.linalg.inv(X.T @ X)
    (term,), _ = _terms(design, Inference("hetero"), psi)
    return term.psi


def _leverage(design: Design, X: Floats) -> Floats:
    """Diagonal (n,) of the projection on the regressors, of one copy of each row."""
    if design.fixed_effects or design.slopes:
        raise IdentificationError(
            "X23",
            "HC2 and HC3 errors are not given beside absorbed fixed effects",
            why="Their leverages are not among the columns that are left.",
            fix="inference: hetero (HC1), or {cluster: …}",
        )
    h = np.sum((X @ np.linalg.inv(X.T @ X)) * X, axis=1)
    if design.weight_kind == "frequency":
        h = h / design.scaled_weights()
    if not h.max() < 1.0 - _FITS_ITSELF:
        raise NumericalError(
            "N02",
            f"{int((h >= 1.0 - _FITS_ITSELF).sum())} rows fit themselves",
            why="Their leverage is one: HC2 and HC3 divide by zero.",
            fix="inference: hetero (HC1), or fewer controls",
        )
    return np.asarray(h)


def meat(design: Design, inference: Inference, scores: Floats) -> Floats:
    """Sum of squares (m, m) of scores (n, m) over clusters or rows, without a factor.

    Scores are those of the weighted columns; two-way clusters are V1 + V2 - V12.

    Raises:
        NumericalError: N01 an indefinite spatial covariance.
    """
    if inference.name == "conley":
        near = _near(design, inference, scores)
        if indefinite(near):
            raise _indefinite()
        return near
    terms, _ = _terms(design, inference, scores)
    return np.asarray(sum(t.sign * (t.psi.T @ t.psi) for t in terms))


def matched_influence(psi: Floats, levels: Levels, wanted: Floats) -> Floats:
    """`psi` (m, q) mapped so that its variance is `wanted` (q, q)."""
    if len(levels) == 1:
        return match_covariance(psi, psi.T @ psi, wanted)
    now = -(psi.T @ psi)
    for _, ids in levels:
        codes = np.unique(ids, return_inverse=True)[1]
        summed = sum_by(psi, codes, int(codes.max()) + 1)
        now = now + summed.T @ summed
    return match_covariance(psi, now, wanted)


def hac_lags(design: Design, inference: Inference) -> int:
    """Lags as written, else floor(T^(1/4)), the engine's rule for panels."""
    given = inference.options.get("lags")
    if given is not None:
        return int(given)
    return int(np.floor(contiguous(design.periods)[1] ** 0.25))


def irregular(design: Design, inference: Inference) -> bool:
    """Whether the engine's serial lags (by position) differ from ours (by time)."""
    if inference.name == "driscoll_kraay":
        steps = np.unique(_steps(design.periods))
        return bool(len(steps) != steps[-1] + 1)
    if inference.name == "newey_west":
        unit, step = design.unit_codes, _steps(design.periods)
        order = np.lexsort((step, unit))
        same = np.diff(unit[order]) == 0
        return bool(np.any(np.diff(step[order])[same] != 1))
    return False


def _steps(time: Codes) -> Codes:
    """Periods counted in steps of the panel (biennial data step by two years)."""
    periods = np.unique(time)
    step = int(np.gcd.reduce(np.diff(periods))) if len(periods) > 1 else 1
    return np.asarray((time - periods[0]) // max(step, 1), dtype=np.int64)


def _terms(
    design: Design, inference: Inference, psi: Floats
) -> tuple[list[_Term], Levels]:
    """Terms of the covariance, and the index of the last one's influence rows."""
    rows: Levels = (("row", design.row_ids),)
    match inference.name:
        case "cluster":
            return _clustered(design, psi)
        case "driscoll_kraay":
            codes, T = contiguous(design.periods)
            first_row = np.zeros(T, dtype=np.int64)
            first_row[codes] = np.arange(design.n)
            root = bartlett_root(
                _steps(design.periods)[first_row], hac_lags(design, inference)
            )
            summed = root.T @ sum_by(psi, codes, T)
            return [_Term(1, summed, T)], (("period", design.periods[first_row]),)
        case "newey_west":
            return [_newey_west(design, inference, psi)], rows
    if design.weight_kind == "frequency":
        # w copies of a row are w rows, each with its own square.
        psi = psi / np.sqrt(design.scaled_weights())[:, None]
    return [_Term(1, psi, design.n)], rows


def _clustered(design: Design, psi: Floats) -> tuple[list[_Term], Levels]:
    terms = [
        _Term(1, sum_by(psi, c.codes, c.n_levels), c.n_levels) for c in design.clusters
    ]
    if len(terms) == 1:
        only = design.clusters[0]
        return terms, ((only.term, only.ids),)
    first, second = design.clusters
    pair, inverse = np.unique(
        first.codes * np.int64(second.n_levels) + second.codes, return_inverse=True
    )
    both = _Term(-1, sum_by(psi, inverse, len(pair)), len(pair))
    a, b = pair // second.n_levels, pair % second.n_levels
    return [*terms, both], (
        (first.term, np.asarray(first.ids)[a]),
        (second.term, np.asarray(second.ids)[b]),
    )


def _newey_west(design: Design, inference: Inference, psi: Floats) -> _Term:
    step = _steps(design.periods)
    lags = hac_lags(design, inference)
    unit = design.unit_codes
    order = np.lexsort((step, unit))
    starts = np.flatnonzero(np.diff(unit[order], prepend=-1))
    out = np.empty_like(psi)
    known: dict[bytes, Floats] = {}
    for rows in np.split(order, starts[1:]):
        at = step[rows] - step[rows[0]]
        key = at.tobytes()
        if key not in known:
            known[key] = bartlett_root(at, lags)
        out[rows] = known[key].T @ psi[rows]
    return _Term(1, out, contiguous(design.periods)[1])


def _counted(
    design: Design, inference: Inference, small: SmallSample, k: int, absorbed: int
) -> tuple[int, int]:
    """K as the engine counts it on the columns it saw, and K of the whole model."""
    clusters = design.clusters if inference.name == "cluster" else ()
    inside = [
        any(nested(f.codes, c.codes) for c in clusters) for f in design.fixed_effects
    ]
    if not design.slopes:
        K = parameters(k, design.levels, inside, small.fixed_effects)
        return K, K
    if small.fixed_effects == "none":
        return k, k
    if small.fixed_effects == "full" or not clusters:
        return k, k + absorbed
    K = parameters(k, design.levels, inside, "nonnested")
    if not design.levels:
        K += 1  # the constant, which was absorbed with the slopes
    for slope in design.slopes:
        if not any(nested(slope.by, c.codes) for c in clusters):
            K += slope.n_levels
    return k, K


def _factor(
    inference: Inference,
    small: SmallSample,
    n: float,
    K: int,
    term: _Term,
    terms: Sequence[_Term],
) -> float:
    """Small-sample factor of one term."""
    factor = 1.0
    if small.adjust:
        factor = (n if inference.name == "hetero" else n - 1) / (n - K)
    if small.cluster_adjust and inference.name not in {"iid", "hetero"}:
        G = term.groups
        if small.two_way == "min" and len(terms) > 1:
            G = min(t.groups for t in terms)
        factor *= G / (G - 1)
    return factor
