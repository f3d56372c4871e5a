"""What `functional_form` reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import label
from estimators._math.projection import Floats
from estimators._sensitivity.choice import name_of
from estimators._sensitivity.events import one_way
from framework.errors import (
    DataError,
    IdentificationError,
    NumericalError,
    counted,
)
from framework.result import COEFFICIENT_COLUMNS, Plot, Result, Test

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from framework.contract import Estimator, Request

#: Draws of the least-favourable distribution: an error of .002 in the p value.
DRAWS = 50_000
RIDGE = 1e-10
#: A share whose standard error is smaller than this does not vary between samples.
STILL = 1e-12


def functional_form(request: Request, of: Estimator, bins: int) -> Result:
    """Implied share of every bin, its standard error, and the test of all signs.

    The treated rows' outcome in a bin is set to zero after treatment, so that the effect
    on it is zero less the share that parallel trends predict.
    """
    import pandas as pd
    from scipy.special import ndtri

    one_way(request)
    edges = _edges(request, bins)
    share, psi = _shares(request, of, edges)
    error = np.sqrt(np.sum(psi * psi, axis=0))
    reach = float(ndtri(0.5 + request.confidence / 2)) * error
    frame = pd.DataFrame(
        {
            "bin": _names(request, edges),
            "from": edges[:-1],
            "to": edges[1:],
            "estimate": share,
            "std_error": error,
            "conf_low": share - reach,
            "conf_high": share + reach,
            "observed": _observed(request, edges),
        }
    )
    test = _signs(share, psi, error, request.seed)
    empty: dict[str, Any] = {
        name: pd.Series(
            [], dtype="str" if name in COEFFICIENT_COLUMNS[:3] else "float64"
        )
        for name in COEFFICIENT_COLUMNS
    }
    return Result(
        coefficients=pd.DataFrame(empty),
        scalars={
            "n_obs": float(len(request.frame)),
            "n_bins": float(len(share)),
            "implied_share_low": float(share.min()),
        },
        tests=(test,),
        frames={"implied_density": frame},
        plots=(
            Plot(
                "ordered",
                "implied_density",
                title="share of the treated rows that parallel trends imply in each bin "
                f"of {label(request, request.outcome)}, had they not been treated",
                options={"label": "bin", "y": "Implied share"},
            ),
        ),
        notes=tuple(_notes(frame, test, of)),
    )


def _edges(request: Request, bins: int) -> Floats:
    """(B + 1,) distinct quantiles of the outcome; the last bin holds its upper end."""
    y = request.frame[request.outcome].to_numpy(dtype=np.float64)
    if not len(y):
        raise DataError("D05", "0 rows left", fix="see the row ledger")
    edges = np.unique(np.quantile(y, np.linspace(0, 1, bins + 1), method="lower"))
    values = np.unique(y)
    if len(values) < 2:  # noqa: PLR2004 - one value has no distribution
        raise DataError(
            "D06",
            f"outcome '{label(request, request.outcome)}' has a single value",
            fix="check how the outcome is built and which rows the sample keeps",
        )
    if len(values) <= bins:  # a bin for every value
        edges = np.append(values, values[-1])
    return edges


def _names(request: Request, edges: Floats) -> list[str]:
    """Each bin's range, or its value where it holds a single one."""
    y = request.frame[request.outcome].to_numpy(dtype=np.float64)
    inside = _bin_of(y, edges)
    made = []
    for b, (low, high) in enumerate(pairwise(edges)):
        here = y[inside == b]
        single = bool(len(here)) and np.ptp(here) == 0
        made.append(f"{here[0]:.4g}" if single else f"{low:.4g} to {high:.4g}")
    return made


def _bin_of(y: Floats, edges: Floats) -> Any:
    return np.clip(np.searchsorted(edges, y, side="right") - 1, 0, len(edges) - 2)


def _shares(request: Request, of: Estimator, edges: Floats) -> tuple[Floats, Floats]:
    """(B,) implied shares and (C, B) influence functions."""
    y = request.frame[request.outcome].to_numpy(dtype=np.float64)
    off = _untreated(request)
    inside = _bin_of(y, edges)
    share, psi = [], []
    for b in range(len(edges) - 1):
        held = ((inside == b) & off).astype(np.float64)
        result = of.estimate(
            replace(
                request,
                frame=request.frame.assign(**{request.outcome: held}),
                controls=(),
                estimand=("att",),
            )
        )
        if result.influence is None:
            raise NumericalError(
                "N01", f"{name_of(of)} gave no influence functions", fix="another `of`"
            )
        row = result.coefficients.index[0]
        share.append(-float(result.coefficients["estimate"].iloc[0]))
        psi.append(-result.influence[row].to_numpy(dtype=np.float64))
    return np.array(share), np.column_stack(psi)


def _untreated(request: Request) -> NDArray[np.bool_]:
    """(n,) rows without treatment."""
    treatment = request.treatment
    if treatment is None:
        raise IdentificationError(
            "I01", "there is no treatment", fix="model.treatment: a column"
        )
    return np.asarray(request.frame[treatment.columns[0]].to_numpy() == 0)


def _observed(request: Request, edges: Floats) -> Floats:
    """(B,) shares of the treated rows as they are."""
    y = request.frame[request.outcome].to_numpy(dtype=np.float64)
    on = ~_untreated(request)
    count = np.bincount(_bin_of(y[on], edges), minlength=len(edges) - 1)
    return np.asarray(count / max(count.sum(), 1))


def _signs(share: Floats, psi: Floats, error: Floats, seed: int) -> Test:
    """Least-favourable test that no share is negative: the smallest t statistic."""
    null = "parallel trends imply no negative share of untreated outcomes in any bin"
    varies = error > STILL
    if not varies.any():
        return Test("implied_density", null, reason="no share varies between samples")
    smallest = float(np.min(share[varies] / error[varies]))
    scaled = psi[:, varies] / error[varies]
    # All shares zero, the case in which a negative one is most likely by chance.
    # Shares sum to one, so their correlation is singular: the ridge is below its digits.
    root = np.linalg.cholesky(scaled.T @ scaled + RIDGE * np.eye(scaled.shape[1]))
    normal = np.random.default_rng(seed).normal(size=(DRAWS, len(root)))
    lowest = (normal @ root.T).min(axis=1)
    p = float((1 + (lowest <= smallest).sum()) / (1 + DRAWS))
    return Test("implied_density", null, smallest, f"{int(varies.sum())}", p)


def _notes(frame: pd.DataFrame, test: Test, of: Estimator) -> Iterator[str]:
    below = frame[frame["estimate"] < 0]
    yield (
        f"Shares of {len(frame)} bins that parallel trends, as {name_of(of)} uses them, "
        f"imply for the treated without treatment: they sum to "
        f"{frame['estimate'].sum():.4g}, "
        f"{counted(len(below), 'of them is', 'of them are')} negative."
    )
    if test.p_value is None:
        return
    if test.p_value < 0.05:  # noqa: PLR2004 - 5%
        yield (
            f"A negative share is no chance (p = {test.p_value:.3f}): parallel trends "
            "cannot hold in all functional forms of this outcome, so the form has to be "
            "argued for."
        )
    else:
        yield (
            f"No negative share beyond chance (p = {test.p_value:.3f}). That is no "
            "evidence that the functional form does not matter."
        )
