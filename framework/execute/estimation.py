"""One estimation in a worker: design, engine, postflight, draws.

A number that fails the postflight is not returned: it raises instead.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from framework.cache import Cell, Job
from framework.contract import Estimator
from framework.data.design import Design, build
from framework.errors import (
    NOT_IDENTIFIED,
    EstimandError,
    NumericalError,
    SpecError,
)
from framework.execute.draws import draw_all
from framework.panel import LedgerLine, Panel
from framework.result import COEFFICIENT_COLUMNS, OPEN_ENDS, Result
from framework.spec import choices
from framework.spec.model import Data, Model, read_data, read_model

if TYPE_CHECKING:
    import pandas as pd


def estimate(job: Job, panel: Panel) -> Cell:
    """Estimate a job on its prepared panel.

    Raises:
        EstimandError: why there is no number.
    """
    started = time.perf_counter()
    data, model, estimator = resolve(job)
    with warnings.catch_warnings():
        # Engines warn about what preflight and postflight check and report themselves.
        warnings.simplefilter("ignore")
        design = build(panel, data, model, estimator, job.seed)
        result = run(estimator, design)
        result = replace(
            result,
            frames={**result.frames, **design.frames},
            plots=(*result.plots, *design.plots),
        )
        drawn: pd.DataFrame | None = None
        if job.draws:
            drawn, result = draw_all(job, panel, data, model, estimator, result)
    return Cell(
        fingerprint=job.fingerprint,
        result=result,
        ledger=(*design.ledger, _used(design, result)),
        labels=design.labels,
        draws=drawn,
        notes=design.notes,
        # What has a number was identified: that name overrode nothing here.
        acknowledged=tuple(a for a in model.acknowledge if a != NOT_IDENTIFIED),
        seconds=time.perf_counter() - started,
    )


def resolve(job: Job) -> tuple[Data, Model, Estimator]:
    """The validated trees and the estimator with its options."""
    data, faults = read_data(job.data)
    model, more = read_model(job.model, job.data)
    if data is None or model is None:
        raise EstimandError([*faults, *more])
    plugin = choices.build("estimator", model.estimator)
    if not isinstance(plugin, Estimator):
        raise SpecError("X11", f"{model.estimator['name']} is not an estimator")
    return data, model, plugin


def run(estimator: Estimator, design: Design) -> Result:
    """The engine, then the postflight."""
    result = estimator.estimate(design.request)
    check(estimator, design, result)
    return result


def check(estimator: Estimator, design: Design, result: Result) -> None:
    """Refuse a result that can't be right.

    Raises:
        NumericalError: N02 a number that is not finite or a standard error that is not
            positive, N03 the estimand asked for is not in the result, N04 more rows
            than there were.
    """
    frame = result.coefficients
    missing = [c for c in COEFFICIENT_COLUMNS if c not in frame.columns]
    if missing:
        raise NumericalError("N03", f"the result has no column '{missing[0]}'")
    if type(estimator).estimates == "treatment" and not len(frame):
        raise NumericalError(
            "N03",
            "not identified: the result has no coefficient of the treatment",
            fix="see `estimand plan` for the rows and terms that are left",
        )
    _check_numbers(frame)
    for name, value in result.scalars.items():
        if math.isnan(value) or (math.isinf(value) and name != "df_t"):
            raise NumericalError("N02", f"{name} is {value}")
    used = result.scalars.get("n_obs")
    if used is not None and used > len(design.request.frame):
        raise NumericalError(
            "N04", f"{used:g} rows used of {len(design.request.frame)} given"
        )


def _check_numbers(frame: pd.DataFrame) -> None:
    import numpy as np

    if not len(frame):
        return
    numbers = np.column_stack(
        [frame[name].to_numpy(dtype="float64") for name in COEFFICIENT_COLUMNS[3:]]
    )
    open_ends = np.array([OPEN_ENDS.get(name, 0.0) for name in COEFFICIENT_COLUMNS[3:]])
    bad = ~(
        np.isfinite(numbers) | (np.isinf(numbers) & (np.sign(numbers) == open_ends))
    )
    if bad.any():
        row, column = map(int, np.argwhere(bad)[0])
        raise NumericalError(
            "N02",
            f"{COEFFICIENT_COLUMNS[3 + column]} of '{frame['term'].iloc[row]}' is "
            f"{numbers[row, column]}",
            why="the model is saturated, or the columns are nearly collinear",
            fix="fewer fixed effects or controls; see `estimand plan` for the rows left",
        )
    error = frame["std_error"].to_numpy(dtype="float64")
    if (error <= 0).any():
        term = frame["term"].iloc[int(np.argmax(error <= 0))]
        raise NumericalError(
            "N02",
            f"the standard error of '{term}' is not positive",
            why="a perfect fit",
        )


def _used(design: Design, result: Result) -> LedgerLine:
    rows = len(design.request.frame)
    used = int(result.scalars.get("n_obs", rows))
    singletons = int(result.scalars.get("n_singletons", 0))
    detail = ""
    if used < rows:
        detail = (
            f"{singletons} singletons of the fixed effects"
            if singletons == rows - used
            else "left out by the estimator, see its notes"
        )
    return LedgerLine("estimation", "used", rows, used, detail=detail)
