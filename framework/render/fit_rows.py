"""The rows below the coefficients: the design, statistics and tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from framework.render import numbers
from framework.render.run import (
    Column,
    RunFolder,
    spoken,
)
from framework.render.table import DASH, Cell, Row
from framework.render.words import (
    capital,
)

#: Beside the mark of a verdict that another column of the run speaks against.
FLAG = "⚑"
#: Scalar, its label, its print; in this order, each only where a column has it.
SCALARS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("n_obs", "Observations", numbers.plain),
    ("n_seen", "Outcomes observed", numbers.plain),
    ("n_units", "Units", numbers.plain),
    ("n_treated_units", "Treated units", numbers.plain),
    ("n_clusters", "Clusters", numbers.plain),
    ("effective_clusters", "Effective clusters", partial(numbers.fixed, places=1)),
    ("outcome_mean_before", "Mean of outcome before treatment", numbers.plain),
    ("first_stage_f", "First-stage F", numbers.plain),
    ("effective_f", "Effective F", numbers.plain),
    ("kleibergen_paap_f", "Kleibergen-Paap F", numbers.plain),
    ("critical_cragg_donald_f", "Stock-Yogo value, 10% size", numbers.plain),
    ("std_error_tf", "tF standard error", numbers.plain),
    ("ols_estimate", "Least squares, same sample", numbers.plain),
    ("ols_std_error", "Its standard error", numbers.plain),
    ("plausible_low", "Plausibly exogenous, from", numbers.plain),
    ("plausible_high", "Plausibly exogenous, to", numbers.plain),
    ("r2", "R² (overall)", numbers.share),
    ("r2_within", "R² (within)", numbers.share),
    ("n_repetitions", "Splits of the sample", numbers.plain),
    ("std_error_sampling", "Standard error, one split", numbers.plain),
    ("split_error", "Monte Carlo error, splits", numbers.plain),
    ("split_low", "Smallest over splits", numbers.plain),
    ("split_high", "Largest over splits", numbers.plain),
    ("nuisance_r2_outcome", "R² of the outcome's learner", numbers.share),
    ("robustness_value", "Robustness value", numbers.share),
    ("robustness_value_interval", "Robustness value, interval", numbers.share),
    ("std_error_resampled", "Resampled standard error", numbers.plain),
    ("std_error_as_given", "Resampled, data steps not redone", numbers.plain),
    ("n_left_out", "Members left out in turn", numbers.plain),
    ("left_out_low", "Smallest estimate without one", numbers.plain),
    ("left_out_high", "Largest estimate without one", numbers.plain),
    ("mde", "Minimum detectable effect", numbers.plain),
    ("sensitivity_rho", "Errors' correlation that explains it", numbers.plain),
    ("leave_out_low", "Smallest with one left out", numbers.plain),
    ("leave_out_high", "Largest with one left out", numbers.plain),
    ("detectable_slope_50", "Slope detected with 50% power", numbers.plain),
    ("detectable_slope_80", "Slope detected with 80% power", numbers.plain),
    ("two_way_estimate", "Two-way estimate", numbers.plain),
    ("n_negative_weights", "Negative weights", numbers.plain),
    ("weight_already_treated", "Comparison treated already", numbers.share),
    ("weight_negative", "Sum of negative weights", numbers.plain),
    ("cohort_att", "Mean effect by cohort and period", numbers.plain),
    ("cohort_att_std_error", "Its standard error", numbers.plain),
    ("cohort_att_gap", "Coefficient less it", numbers.plain),
    ("cohort_att_gap_std_error", "Standard error of that", numbers.plain),
    (
        "breakdown_relative_magnitudes",
        "Breakdown M (relative magnitudes)",
        numbers.plain,
    ),
    ("breakdown_smoothness", "Breakdown M (smoothness)", numbers.plain),
)
TESTS: tuple[tuple[str, str], ...] = (
    ("joint_pretrend", "Pre-trends, joint p"),
    ("joint_pretrend_slope", "Pre-trends by dose, joint p"),
    ("constant_dose_response", "Same effect at every dose, p"),
    ("linear_dose_response", "Effect linear in the dose, p"),
    ("joint_comparisons", "Comparisons agree, p"),
    ("implied_density", "Functional form, p"),
    ("joint_leads", "Leads, joint p"),
    ("randomization", "Randomization p"),
    ("no_interference", "Spillovers, p"),
    ("kleibergen_paap_lm", "Underidentification p"),
    ("hansen_j", "Hansen J, p"),
    ("sargan", "Sargan, p"),
    ("wu_hausman", "Endogeneity p"),
    ("anderson_rubin", "Anderson-Rubin p"),
)
#: In words of the inference whose p values are drawn (`framework.data.words`).
_DRAWN_P = ", p by "
#: `numbers.p_value` prints what is smaller as `< 0.001`.
_PRINTED_P = 0.001


def design_rows(
    run: RunFolder, columns: Sequence[Column], hidden: frozenset[str]
) -> tuple[Row, ...]:
    """Fixed effects, controls and whatever of the design differs between columns."""
    rows = []
    effects = {c.address: [run.label(e) for e in c.fixed_effects] for c in columns}
    for effect in dict.fromkeys(
        e for c in columns if c.done for e in effects[c.address]
    ):
        label = f"{capital(effect)} fixed effects"
        said = [_yes(effect in effects[column.address]) for column in columns]
        rows.append(_words(label, columns, said))
    shown = {
        row.term for c in columns for row in c.coefficients if row.term not in hidden
    }
    labelled = shown | {run.label(term) for term in shown}
    if any(set(column.controls) - labelled for column in columns if column.done):
        said = [_yes(bool(column.controls)) for column in columns]
        rows.append(_words("Controls", columns, said))
    varying: tuple[tuple[str, Callable[[Column], str]], ...] = (
        ("Estimator", lambda c: plugin_name(run, c.estimator)),
        ("Estimand", lambda c: spoken(c.estimand)),
        ("Weights", lambda c: c.weights or "No"),
        ("Standard errors", lambda c: c.inference),
    )
    for label, text in varying:
        if len({text(c) for c in columns if c.done}) > 1:
            rows.append(_words(label, columns, [text(c) for c in columns]))
    return tuple(rows)


def statistic_rows(columns: Sequence[Column]) -> tuple[Row, ...]:
    """Statistics, tests, adjusted p values and expectations, where a column has one."""
    rows = [
        Row(
            label,
            tuple(
                Cell(form(c.scalars[name]), "", "number")
                if name in c.scalars
                else _nothing(c)
                for c in columns
            ),
        )
        for name, label, form in SCALARS
        if any(name in c.scalars for c in columns)
    ]
    if any(_DRAWN_P in column.inference for column in columns):
        p_values = (
            Cell(_drawn(c.judged.p_value, c), "", "number")
            if c.judged is not None and _DRAWN_P in c.inference
            else _nothing(c)
            for c in columns
        )
        rows.append(Row("p value of the draws", tuple(p_values)))
    for name, label in TESTS:
        tests = [column.test(name) for column in columns]
        if any(tests):
            cells = (
                Cell(numbers.p_value(t.p_value) or "n/a", "", "number")
                if t
                else _nothing(c)
                for c, t in zip(columns, tests, strict=True)
            )
            rows.append(Row(label, tuple(cells)))
    if any(column.adjusted is not None for column in columns):
        p_values = (
            _nothing(c)
            if c.adjusted is None
            else Cell(numbers.p_value(c.adjusted), "", "number")
            for c in columns
        )
        rows.append(Row("Adjusted p", tuple(p_values)))
    if any(column.verdicts for column in columns):
        said = [
            " ".join(f"{v.mark}{FLAG if v.flag else ''}" for v in column.verdicts)
            for column in columns
        ]
        rows.append(_words("Expectations", columns, said))
    return tuple(rows)


def _drawn(p_value: float, column: Column) -> str:
    """A share of draws; where none is as extreme, no smaller than they can tell."""
    finest = 1 / column.scalars.get("n_bootstrap", math.inf)
    if p_value < finest and finest > _PRINTED_P:
        return f"< {numbers.fixed(math.ceil(1000 * finest) / 1000, 3)}"
    return numbers.p_value(p_value)


def _words(label: str, columns: Sequence[Column], texts: Sequence[str]) -> Row:
    """A row of words; a dash where the column has no numbers at all."""
    cells = (
        Cell(text) if column.done else _nothing(column)
        for column, text in zip(columns, texts, strict=True)
    )
    return Row(label, tuple(cells))


def _yes(condition: bool) -> str:
    return "Yes" if condition else "No"


def plugin_name(run: RunFolder, plugin: str) -> str:
    """A plugin's label, or its name in words."""
    return run.labels.get(plugin) or spoken(plugin)


def _nothing(column: Column) -> Cell:
    return Cell("" if column.done else DASH)
