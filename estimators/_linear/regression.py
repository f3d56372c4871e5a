"""The regression that `twfe` and `ols` report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from estimators._linear.design import (
    build,
    control_regressors,
    treatment_regressors,
)
from estimators._linear.engine import fit
from estimators._linear.report import influence_of, joint, rows_of, scalars, table
from estimators._linear.timing import always_treated, leads_and_lags
from estimators._linear.wild import bootstrapped
from framework.result import Plot, Result

if TYPE_CHECKING:
    from estimators._linear.options import SmallSample
    from framework.contract import Request


def regress(
    request: Request,
    small_sample: SmallSample,
    *,
    orders: Sequence[int] = (),
    min_clusters: int = 10,
) -> Result:
    """Judged rows, other treatment rows, leads (order < 0), lags, controls.

    Raises:
        DataError: D03, D05, D06.
        IdentificationError: I01 to I05, I08 to I10.
        NumericalError: N01 to N03.
    """
    shifted = leads_and_lags(request, orders)
    design = build(
        request,
        [
            *treatment_regressors(request),
            *shifted.regressors,
            *control_regressors(request),
        ],
        keep=shifted.keep,
        notes=shifted.notes,
        min_clusters=min_clusters,
    )
    fitted = fit(design, request.inference, small_sample)
    rows = rows_of(fitted)
    tests = []
    leads = [r for r in rows if r.estimand == "lead"]
    if leads:
        null = "all leads of the treatment are 0"
        tests.append(joint(fitted, "joint_leads", null, leads))
    judged = [
        row
        for row, r in zip(rows, fitted.design.regressors, strict=False)
        if r.wanted and r.order is None
    ]
    if len(judged) > 1:
        null = "all treatment coefficients are 0"
        tests.append(joint(fitted, "joint_treatment", null, judged))
    result = Result(
        coefficients=table(
            fitted, rows, request.confidence, ("order",) if orders else ()
        ),
        influence=influence_of(fitted, rows),
        scalars=scalars(fitted, rows),
        tests=tuple(tests),
        plots=(Plot("coefficients", "coefficients"),),
        notes=(*fitted.design.notes, *always_treated(request)),
    )
    return bootstrapped(result, fitted, rows, request)
