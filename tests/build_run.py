"""A finished run made by hand: what `framework.record` is given, without an engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd

from framework.cache import Cell, Failure
from framework.errors import Phase, Problem
from framework.expect import Verdict
from framework.panel import LedgerLine, Panel
from framework.plan import Estimation
from framework.record import Column, RunInputs
from framework.result import Plot, Result, Test

CREATED = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
SPEC = "study: laws\n# a comment and ünïcode stay\nmodel: {outcome: y}\n"


def build_cell(seed: int = 0, **changes: Any) -> Cell:
    """One treatment, one control; no number has a short decimal form."""
    estimate = 0.1 + 0.2 + seed / 7
    rows = pd.DataFrame(
        {
            "equation": "main",
            "estimand": ["att", "coefficient"],
            "term": ["post", "income, log"],
            "estimate": [estimate, -1 / 3],
            "std_error": [1 / 17, 5e-324],
            "statistic": [estimate * 17, -1e308],
            "p_value": [5.71e-11, 1.0],
            "conf_low": [estimate - 0.1, float("nan")],
            "conf_high": [estimate + 0.1, float("inf")],
        }
    )
    result = Result(
        coefficients=rows,
        scalars={"n_obs": 550.0, "n_clusters": 50.0, "r2_within": 1 / 3}
        | {"n_treated_units": 21.0, "df_t": float("inf")},
        tests=(
            Test("joint_leads", "all leads are zero", 1.5, "4, 49", 2 / 7),
            Test("joint_pretrend", "no trend", reason="one period before"),
        ),
        frames={"weights": pd.DataFrame({"unit": ["a", "NA"], "weight": [1 / 3, 2.0]})},
        plots=(Plot("coefficients", "coefficients", "Effect", {"zero": True}),),
        notes=("a note of the engine",),
    )
    values: dict[str, Any] = {
        "fingerprint": f"{seed:064x}",
        "result": result,
        "ledger": (LedgerLine("sample", "recent", 600, 550, 0, "year >= 2000"),),
        "labels": {
            "outcome": "Homicides",
            "treatment": ["post"],
            "controls": ["income, log"],
            "fixed_effects": ["State", "Year"],
            "inference": "clustered by sid",
            "weights": "",
            "sample": ["year >= 2000"],
            "formula": "y ~ post + income | sid + year",
        },
        "notes": ("a note of the design",),
        "seconds": 0.25,
    }
    return Cell(**(values | changes))


def build_estimation(address: str = "baseline.plain", **changes: Any) -> Estimation:
    heading, line, *value = address.split(".", 2)
    fields: dict[str, Any] = {
        "address": address,
        "heading": heading,
        "line": line,
        "value": "".join(value),
        "data": {"source": "laws.csv"},
        "model": {
            "outcome": "y",
            "treatment": "post",
            "controls": ["income"],
            "fixed_effects": ["sid", "year"],
            "inference": {"name": "cluster", "cluster": ["sid"]},
            "estimator": {"name": "within"},
        },
        "changes": {},
        "draws": None,
        "expect": (),
        "against": "",
        "problems": (),
        "not_built": (),
    }
    return Estimation(**(fields | changes))


def build_panel() -> Panel:
    return Panel(
        frame=pd.DataFrame(
            {"sid": ["01", "01"], "year": [1999, 2000], "y": [0.1 + 0.2, float("nan")]}
        ),
        unit="sid",
        time="year",
        labels={"y": "Homicides"},
        ledger=(LedgerLine("source", "laws.csv", 2, 2),),
        frames={"slacks": pd.DataFrame({"slack": [1 / 3]}, index=["01"])},
        notes=("a note of the data",),
        key="d" * 64,
    )


def build_columns() -> tuple[Column, ...]:
    """Done, done with a value, failed, refused, waiting for a plugin."""
    problem = Problem(Phase.DESIGN, "I01", "'post' does not vary", fix="a sample")
    holds = Verdict("positive", "holds", "0.3 > 0")
    return (
        Column(build_estimation(), build_cell(), verdicts=(holds,)),
        Column(
            build_estimation("controls.add.NA", changes={"model.controls": ["x"]}),
            build_cell(1, draws=pd.DataFrame({"draw": [0], "estimate": [1 / 3]})),
            verdicts=(holds, Verdict("significant", "fails", "p = 1")),
            cached=True,
        ),
        Column(build_estimation("controls.none"), Failure((problem,), "a trace")),
        Column(build_estimation("placebo.states", problems=(problem,))),
        Column(build_estimation("modern.cs", not_built=("estimator callaway",))),
    )


def build_run(**changes: Any) -> RunInputs:
    fields: dict[str, Any] = {
        "study": "laws",
        "seed": 7,
        "spec": SPEC,
        "sources": {"../shared/parent.yaml": "study: parent\n"},
        "overrides": ("model.inference.cluster=sid",),
        "panels": {"d" * 64: build_panel()},
        "base": "d" * 64,
        "source": "laws.csv",
        "source_sha256": "5" * 64,
        "columns": build_columns(),
        "versions": {"python": "3.11"},
        "code": "c" * 64,
        "created": CREATED,
        "finished": CREATED.replace(second=9),
    }
    return RunInputs(**(fields | changes))
