"""Folders of finished runs as the record writes them, for what reads them."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path
from typing import Any

COEFFICIENTS = [
    "heading",
    "check",
    "value",
    "estimator",
    "outcome",
    "equation",
    "estimand",
    "term",
    "estimate",
    "std_error",
    "statistic",
    "p_value",
    "conf_low",
    "conf_high",
    "event_time",
    "order",
    "variable",
    "period",
]
STATES = [
    "Alabama",
    "Alaska",
    "Arizona",
    "Arkansas",
    "California",
    "Colorado",
    "Connecticut",
    "Delaware",
    "Florida",
    "Georgia",
    "Hawaii",
    "Idaho",
    "Illinois",
    "Indiana",
    "Iowa",
    "Kansas",
    "Kentucky",
    "Louisiana",
    "Maine",
    "Maryland",
    "Massachusetts",
    "Michigan",
    "Minnesota",
    "Mississippi",
    "Missouri",
    "Montana",
    "Nebraska",
    "Nevada",
    "Ohio",
    "Oklahoma",
    "Oregon",
    "Pennsylvania",
    "Tennessee",
    "Texas",
    "Utah",
    "Vermont",
    "Virginia",
    "Washington",
    "Wisconsin",
    "Wyoming",
]


def _normal_p(t: float) -> float:
    return math.erfc(abs(t) / math.sqrt(2))


class Maker:
    """Writes a run folder column by column, as the record layer does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[dict[str, Any]] = []
        self.coefficients: list[dict[str, Any]] = []
        self.scalars: list[tuple[str, str, str, str, float]] = []
        self.tests: list[tuple[Any, ...]] = []
        (path / "frames").mkdir(parents=True, exist_ok=True)

    def column(self, heading: str, line: str, value: str = "", **said: Any) -> None:
        address = ".".join(part for part in (heading, line, value) if part)
        base: dict[str, Any] = {
            "address": address,
            "heading": heading,
            "line": line,
            "value": value or None,
            "status": "done",
            "estimator": "twfe",
            "outcome": "l_homicide",
            "treatment": ["post"],
            "controls": [],
            "fixed_effects": ["sid", "year"],
            "inference": "clustered by sid",
            "weights": "",
            "sample": [],
            "estimand": "att",
            "confidence": 0.95,
            "changes": {"line": line},
            "formula": "l_homicide on post, with sid and year fixed effects",
            "fingerprint": "ab12",
            "cached": False,
            "seconds": 0.04,
            "ledger": [
                {
                    "stage": "estimation",
                    "name": "complete rows",
                    "rows_in": 550,
                    "rows_out": 550,
                    "cells": 0,
                    "detail": "no row dropped",
                }
            ],
            "notes": [],
            "acknowledged": [],
            "problems": [],
            "verdicts": [],
            "plots": [],
            "frames": {},
            "draws": None,
        }
        self.columns.append({**base, **said})

    def row(
        self, term: str, estimate: float, error: float, estimand: str = "att", **at: Any
    ) -> None:
        column = self.columns[-1]
        t = estimate / error if error > 0 else math.nan
        self.coefficients.append(
            {
                "heading": column["heading"],
                "check": column["line"],
                "value": column["value"] or "",
                "estimator": column["estimator"],
                "outcome": column["outcome"],
                "equation": "main",
                "estimand": estimand,
                "term": term,
                "estimate": repr(estimate),
                "std_error": repr(error),
                "statistic": repr(t),
                "p_value": repr(_normal_p(t)) if error > 0 else "",
                "conf_low": repr(estimate - 2.01 * error),
                "conf_high": repr(estimate + 2.01 * error),
                **at,
            }
        )

    def scalar(self, **values: float) -> None:
        column = self.columns[-1]
        key = (column["heading"], column["line"], column["value"] or "")
        self.scalars += [(*key, name, value) for name, value in values.items()]

    def test(self, name: str, p: float | str, reason: str = "") -> None:
        column = self.columns[-1]
        key = (column["heading"], column["line"], column["value"] or "")
        self.tests.append((*key, name, "in words", 1.2, "4, 49", p, reason))

    def frame(self, name: str, header: list[str], rows: list[list[Any]]) -> None:
        column = self.columns[-1]
        file = f"frames/{column['address']}.{name}.csv"
        column["frames"] = {**column["frames"], name: file}
        _write_csv(self.path / file, header, rows)

    def finish(self, **manifest: Any) -> Path:
        _write_csv(
            self.path / "coefficients.csv",
            COEFFICIENTS,
            [[row.get(c, "") for c in COEFFICIENTS] for row in self.coefficients],
        )
        _write_csv(
            self.path / "scalars.csv",
            ["heading", "check", "value", "name", "number"],
            self.scalars,
        )
        _write_csv(
            self.path / "tests.csv",
            [
                "heading",
                "check",
                "value",
                "name",
                "null",
                "statistic",
                "df",
                "p_value",
                "reason",
            ],
            self.tests,
        )
        base = {
            "study": "castle",
            "run_id": "20261122-080000-3f9a",
            "created": "2026-11-22T08:00:00+00:00",
            "finished": "2026-11-22T08:00:09+00:00",
            "title": None,
            "seed": 111,
            "versions": {"estimand": "0.1.0", "pyfixest": "0.60.0"},
            "hashes": {"spec": "aa", "data": "bb", "code": "cc"},
            "generated": None,
            "labels": {},
            "report": {},
            "families": {},
            "data": {
                "source": "causaldata: castle",
                "sha256": "f" * 64,
                "rows": 550,
                "columns": 139,
                "ledger": [
                    {
                        "stage": "source",
                        "name": "castle",
                        "rows_in": 550,
                        "rows_out": 550,
                        "cells": 0,
                        "detail": "550 rows, 139 columns",
                    },
                    {
                        "stage": "step",
                        "name": "outliers",
                        "rows_in": 550,
                        "rows_out": 550,
                        "cells": 52,
                        "detail": "winsorized 52 cells of l_income at [0.01, 0.99]",
                    },
                ],
                "notes": [],
            },
            "columns": self.columns,
            "verdicts": {},
            "published": [],
        }
        text = json.dumps({**base, **manifest}, ensure_ascii=False)
        (self.path / "manifest.json").write_text(text, encoding="utf-8")
        return self.path


def _write_csv(path: Path, header: Any, rows: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([header, *rows])


def castle(path: Path) -> Path:
    """Everything a report can show: done, refused, draws, curve, describe, events."""
    random.seed(1)
    m = Maker(path)
    base = {
        "n_obs": 550,
        "n_units": 50,
        "n_treated_units": 21,
        "n_clusters": 50,
        "outcome_mean_before": 1.5237,
        "r2": 0.9122,
        "r2_within": 0.0071,
    }
    m.column("descriptive", "summary", estimator="describe", estimand="description")
    m.frame(
        "summary",
        ["variable", "n", "mean", "sd", "min", "max"],
        [
            ["l_homicide", 550, 1.4177612, 0.5722, -0.35, 2.7],
            ["post", 550, 0.1454545, 0.35287, 0, 1],
            ["l_income", 550, 10.4123, 0.1544, 10.1, 10.96],
        ],
    )
    m.column(
        "main",
        "unweighted",
        changes={},
        verdicts=[
            {
                "expectation": "positive",
                "status": "cannot be judged",
                "reason": "the 95% interval, -0.037 to 0.200, has both signs",
            }
        ],
    )
    m.row("post", 0.0818116169, 0.0588742181)
    m.scalar(**base)
    m.column("main", "law_year", changes={"treatment.shift": -1})
    m.row("post", 0.0693984285, 0.0571)
    m.scalar(**base)
    m.column(
        "main",
        "controls",
        controls=["l_income", "l_prisoner", "poverty"],
        notes=["2 singleton rows dropped"],
        verdicts=[
            {
                "expectation": "same_sign",
                "status": "holds",
                "reason": "0.0867 and 0.0818 are both positive",
            }
        ],
    )
    m.row("post", 0.0867123, 0.0312345)
    m.row("l_income", -0.4521, 0.3912, "coefficient")
    m.row("l_prisoner", 0.0000123, 0.0000051, "coefficient")
    m.row("poverty", -0.00001, 0.0072, "coefficient")
    m.scalar(**{**base, "n_obs": 548, "r2_within": 0.0212})
    m.column(
        "main",
        "two_way",
        inference="clustered by sid and year",
        acknowledged=["few_clusters"],
    )
    m.row("post", 0.0818116169, 0.0411)
    m.scalar(**{**base, "n_clusters": 11})
    m.column(
        "main",
        "few",
        status="refused",
        problems=[
            {
                "code": "I04",
                "what": "the wild bootstrap needs 11 or more clusters, there are 8",
                "why": "with 8 clusters there are 256 sign vectors",
                "fix": "inference: {cluster: sid}",
                "acknowledge": "few_clusters",
            }
        ],
    )
    m.column(
        "dynamics",
        "event_study",
        estimator="event_study",
        estimand="by_event_time",
        plots=[
            {
                "kind": "event_study",
                "frame": "coefficients",
                "title": "",
                "options": {"reference": -1},
            }
        ],
        verdicts=[
            {
                "expectation": "flat_pretrend",
                "status": "cannot be judged",
                "reason": "not rejected (p = 0.412), but without a bound that shows "
                "nothing: violations below 0.11 would go unseen",
            }
        ],
    )
    path_of = (-0.02, 0.03, -0.01, 0.012, None, 0.04, 0.09, 0.11, 0.08, 0.13)
    for time, value in enumerate(path_of, start=-5):
        if value is not None:
            m.row(
                "post", value, 0.03 + abs(time) / 200, "by_event_time", event_time=time
            )
    m.test("joint_pretrend", 0.41234)
    m.frame(
        "support",
        ["event_time", "treated_units"],
        [[t, 21 - abs(t)] for t in range(-5, 5)],
    )
    m.scalar(**base)
    for name, low in (("callaway_santanna", 0.01), ("sun_abraham", 0.02)):
        m.column(
            "dynamics",
            "modern",
            name,
            estimator=name,
            estimand="by_event_time",
            changes={"estimator": name},
        )
        for time, value in enumerate(path_of, start=-5):
            if value is not None:
                m.row(
                    "post", value + low, 0.04, "by_event_time", event_time=float(time)
                )
        m.scalar(**base)
    m.column("leads", "anticipation", changes={"estimator.leads": [1, 2]})
    m.row("post", 0.0712, 0.0571)
    m.row("post", 0.0112, 0.0271, "lag", order=1)
    m.row("post", -0.0312, 0.0271, "lead", order=-1)
    m.row("post", -0.0112, 0.0291, "lead", order=-2)
    m.scalar(**base)
    for outcome, value in (("l_larceny", 0.0061), ("l_motor", 0.0294)):
        m.column(
            "other_crime",
            "falsification",
            outcome,
            outcome=outcome,
            changes={"outcome": outcome},
            verdicts=[
                {
                    "expectation": "equivalent",
                    "status": "fails",
                    "reason": "0.07 > 0.03",
                }
            ],
        )
        m.row("post", value, 0.0231)
        m.scalar(**base)
    for number, state in enumerate(STATES):
        m.column(
            "states",
            "leave_one_out",
            state,
            sample=[f"sid is not {state}"],
            verdicts=[
                {
                    "expectation": "same_sign",
                    "status": "holds",
                    "reason": "all positive",
                }
            ],
            changes={"without.sid": state},
            **(
                {"status": "failed", "problems": [{"code": "W01", "what": "timed out"}]}
                if number == 7
                else {}
            ),
        )
        if number != 7:
            m.row("post", 0.0818 + random.gauss(0, 0.012), 0.058)
            m.scalar(**base)
    m.column(
        "placebo",
        "states",
        draws={"permute": "treatment", "times": 300},
        plots=[
            {
                "kind": "density",
                "frame": "draws",
                "title": "",
                "options": {"column": "estimate", "line": 0.0818},
            }
        ],
        verdicts=[
            {
                "expectation": "extreme",
                "status": "fails",
                "reason": "31 of 300 draws are at least as far from zero: p = 0.106",
            }
        ],
    )
    m.frame(
        "draws",
        ["draw", "estimate"],
        [[i, random.gauss(0, 0.05)] for i in range(300)],
    )
    m.row("post", 0.0818116169, 0.0588742181)
    m.test("randomization", 0.10631)
    m.scalar(**base)
    (path / "spec.yaml").write_text(
        "study: castle\ndata:\n  source: {package: causaldata, dataset: castle}\n"
        "  panel: {unit: sid, time: year}\nmodel:\n  outcome: l_homicide\n"
        "  treatment: post\n  fixed_effects: [sid, year]\n"
        "  inference: {cluster: sid}\n  estimator: twfe\n",
        encoding="utf-8",
    )
    return m.finish(
        title="Do stand-your-ground laws raise homicides?",
        labels={
            "l_homicide": "log homicide rate",
            "l_larceny": "log larceny rate",
            "l_motor": "log motor theft rate",
            "post": "Castle law",
            "sid": "State",
            "year": "Year",
            "l_income": "log income",
            "l_prisoner": "log prisoners",
            "poverty": "Poverty, %",
            "callaway_santanna": "Callaway–Sant'Anna",
            "sun_abraham": "Sun–Abraham",
        },
        report={"main": {"title": "Castle laws and homicide"}},
        verdicts={"holds": 1, "fails": 3, "cannot be judged": 2},
        published=[
            {
                "address": "main.unweighted.post",
                "printed": "0.0818 (0.0589)",
                "ours": {
                    "estimate": 0.0818116169,
                    "std_error": 0.0588742181,
                    "stars": "",
                },
                "difference": 1.16169e-05,
                "agrees": True,
                "text": "printed 0.0818 (0.0589), ours 0.0818 (0.0589): the same",
                "as_printed": "0.0818 (0.0589)",
                "differing": [],
            },
            {
                "address": "main.law_year.post",
                "printed": "0.0711** (0.0571)",
                "ours": {"estimate": 0.0693984285, "std_error": 0.0571, "stars": ""},
                "difference": -0.0017015715,
                "agrees": False,
                "text": "printed 0.0711** (0.0571), ours 0.0694 (0.0571): number and "
                "stars differ",
                "as_printed": "0.0694 (0.0571)",
                "differing": ["number", "stars"],
            },
        ],
    )


def hostile(path: Path) -> Path:
    """Chinese and dangerous labels, and a curve of two crossed choices."""
    random.seed(2)
    m = Maker(path)
    evil = "=cmd|' /C calc'!A0"
    m.column(
        "regions",
        "plain",
        changes={},
        outcome=evil,
        treatment=["人工智能试验区"],
        controls=["a"],
        notes=["<script>alert(1)</script> \\input{/etc/passwd} 100% & $x_1$"],
    )
    m.row("人工智能试验区", 0.0638, 0.0255)
    m.row("<b>&\\evil{}_%$#~^", -0.0000001, 0.3, "coefficient")
    m.row("城市×年份", 0.00001, 0.00002, "coefficient")
    m.scalar(n_obs=2574.0)
    for outcome in ("y1", "y2"):
        for controls in ([], ["eco", "fe"], ["eco"]):
            for estimator in ("twfe", "imputation", "did2s"):
                value = f"{outcome}, {len(controls)}, {estimator}"
                m.column(
                    "curve",
                    "all",
                    value,
                    changes={
                        "outcome": outcome,
                        "controls": controls,
                        "estimator": {"name": estimator},
                    },
                )
                m.row("人工智能试验区", random.gauss(0.06, 0.03), 0.02)
    return m.finish(
        title=evil,
        labels={"post": "@SUM(A1)", "fe": "金融", "eco": "经济"},
        generated="These data are simulated: no number describes the world.",
        report={"regions": {"title": "+地区 & \\evil <i>"}},
    )
