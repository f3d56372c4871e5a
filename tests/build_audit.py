"""An honest paper: every number that a study gives, as a table would print it."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framework import run
from framework.audit import Finding
from framework.commands.auditing import Audit, audit_study
from framework.published import stars_of
from framework.settings import Settings, settings
from framework.spec.study import open_study
from tests.build_panel import staggered

HOW = ("executor=inline", "tracking=none")
STUDY = """\
study: honest
seed: 7
data:
  source: data.csv
  panel: {unit: unit, time: time}
  steps:
    filled: {interpolate: {columns: [x1]}}
    product: {derive: d * big}
    whole: {derive: d * all}
    zd: {derive: z * d}
  spatial_weights:
    near: {k_nearest: {k: 2, latitude: lat, longitude: lon}}
    far: {inverse_distance: {latitude: lat, longitude: lon}}
model:
  outcome: y
  treatment: d
  controls: [x1]
  fixed_effects: [unit, time]
  inference: {cluster: unit}
  estimator: twfe
checks:
  descriptive: {summary: {estimator: describe}}
  main: {pooled: {fixed_effects: []}, both: {}, more: {add.controls: [x2]}}
  events: {study: {estimator: {event_study: {window: [-4, 3], reference: -1}}}}
  leads: {ahead: {estimator.leads: [1]}}
  bacon: {weights: {estimator: goodman_bacon, controls: []}, twfe: {controls: []}}
  groups: {split: {treatment: product}, whole: {treatment: whole}}
  iv: {z: {estimator: iv_2sls, instruments: [z]}}
  moran: {by_year: {estimator: morans_i, spatial_weights: near}}
  spatial: {durbin: {estimator: {spatial_panel: {lag: all}}, spatial_weights: near}}
  effects:
    direct: {from: spatial.durbin, estimand: direct}
    indirect: {from: spatial.durbin, estimand: indirect}
    total: {from: spatial.durbin, estimand: total}
published: published.json.yaml
"""
#: What an honest paper says beside its tables; `paper` fills in what data decide.
CLAIMS: Mapping[str, Any] = {
    "sample": {"units": 40, "periods": [2000, 2007]},
    "stars": [0.10, 0.05, 0.01],
    "variables": {"d": "binary"},
    "data": {"interpolated": True, "winsorized": [0.01, 0.99]},
    "notes": {"main": {"*": 0.10, "**": 0.05, "***": 0.01}},
    "said": {
        "events.study": {"window": [-4, 3], "base_period": -1},
        "bacon.weights": {"decomposes": "bacon.twfe.d"},
        "groups.split": {"moderator": "big"},
        "leads.ahead": {"concludes": "no_anticipation"},
        "effects": {"matrices": ["near"]},
        "iv.z": {"instruments": ["z"]},
    },
}
_KEPT = ("n_obs", "r2", "kleibergen_paap_f")


@cache
def how() -> Settings:
    """Inline, in the folder `runs` of wherever a test is."""
    return settings(HOW)


def panel() -> pd.DataFrame:
    """40 units, 8 years, with places, a moderator, an instrument and sizes."""
    frame = staggered(seed=3, errors=0.5)
    rng = np.random.default_rng(4)
    unit = frame["unit"].astype("category").cat.codes.to_numpy()
    ever = np.isfinite(frame["first"].to_numpy())
    lat, lon = rng.uniform(30, 40, 40), rng.uniform(100, 115, 40)
    frame["lat"], frame["lon"] = lat[unit], lon[unit]
    frame["big"] = (unit % 2 == 0).astype(float)
    frame["all"] = np.where(ever, 1.0, (unit % 3 == 0).astype(float))
    strength = rng.normal(size=len(frame))
    frame["z"] = strength + 1.2 * frame["d"]
    # One gap, of a unit that is never treated.
    calm = frame.index[~ever & (frame["time"] == 2003)][0]
    frame.loc[calm, "x1"] = np.nan
    return frame.drop(columns="first")


@dataclass(slots=True)
class Paper:
    """A folder with a study, its data and what is printed about it."""

    folder: Path
    printed: dict[str, Any] = field(default_factory=dict)
    #: The column of an interaction that is the treatment: no honest paper prints it.
    twin: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def honest(cls, folder: Path) -> Paper:
        """Run the study and print what came out."""
        panel().to_csv(folder / "data.csv", index=False)
        paper = cls(folder, {"main": {"both": {"n_obs": "320"}}})
        paper.write(STUDY)
        found = run(folder / "study.yaml", *HOW, report=False, track=False)
        paper.printed = {"claims": copy.deepcopy(dict(CLAIMS))}
        for address in found.addresses:
            asked = address.partition(".")[2]
            estimand = asked if address.startswith("effects.") else ""
            put(paper.printed, address, as_table(found.result(address), estimand))
        paper.twin = paper.printed["groups"].pop("whole")
        paper.write(STUDY)
        return paper

    def copy(self) -> Paper:
        """Printed numbers that may be changed."""
        return Paper(self.folder, copy.deepcopy(self.printed), self.twin)

    def write(self, study: str) -> None:
        (self.folder / "study.yaml").write_text(study, encoding="utf-8")
        text = json.dumps(self.printed, ensure_ascii=False, indent=1)
        (self.folder / "published.json.yaml").write_text(text, encoding="utf-8")

    def put(self, address: str, text: str) -> Paper:
        """Print something else at an address."""
        put(self.printed, address, text)
        return self

    def say(self, address: str, **claim: Any) -> Paper:
        """Claim something in the text."""
        self.printed["claims"]["said"].setdefault(address, {}).update(claim)
        return self

    def at(self, address: str) -> str:
        """What is printed at an address."""
        node: Any = self.printed
        for key in address.split("."):
            node = node[key]
        return str(node)

    def audit(self, *, study: str = STUDY, data: bool = True) -> Audit:
        """Audit the study as it is printed now."""
        self.write(study)
        opened = open_study(self.folder / "study.yaml")
        return audit_study(opened, how(), data=data)

    def alarms(self, rule: str, **how: Any) -> list[Finding]:
        """Alarms of one rule; all others have to be silent."""
        found = self.audit(**how).alarms
        assert {f.rule for f in found} <= {rule}, [f for f in found if f.rule != rule]
        return list(found)


def as_table(result: Any, estimand: str = "") -> dict[str, Any]:
    """Coefficients with stars, standard errors and four decimals, N, R2, weights."""
    printed: dict[str, Any] = {}
    frame = result.coefficients
    if estimand:
        frame = frame[frame["estimand"] == estimand]
    elif "direct" in set(frame["estimand"]):
        frame = frame[frame["estimand"] == "coefficient"]
    if "period" in frame.columns and len(frame):
        rows = frame[frame["period"].notna()]
        return {
            f"I[{int(r.period)}]": f"{r.estimate:.3f} [{r.p_value:.3f}]"
            for r in rows.itertuples()
        }
    printed |= _coefficients(frame)
    printed |= _scalars(result)
    for table in result.frames.values():
        if {"variable", "mean", "sd"} <= set(table.columns):
            for row in table.itertuples():
                for name in ("mean", "sd", "min", "max"):
                    printed[f"{name}[{row.variable}]"] = f"{getattr(row, name):.4f}"
    return printed


def _coefficients(frame: pd.DataFrame) -> dict[str, str]:
    """Term, with its lead or event time, and the printed cell; the first of a name."""
    printed: dict[str, str] = {}
    for row in frame.itertuples():
        text = f"{row.estimate:.4f}{stars_of(row.p_value)} ({row.std_error:.4f})"
        name = row.term
        if row.estimand == "lead":
            name = f"{row.term}[{int(row.order)}]"
        elif not pd.isna(getattr(row, "event_time", None)):
            name = f"{row.term}[{int(row.event_time)}]"
        if row.equation == "reduced_form":
            continue
        if row.equation == "first_stage":
            name = f"first_stage[{name}]"
        printed.setdefault(name, text)
    return printed


def _scalars(result: Any) -> dict[str, str]:
    """N, R2, the first stage, and weights and estimates of a decomposition."""
    printed: dict[str, str] = {}
    for name, value in result.scalars.items():
        if name in _KEPT:
            printed[name] = f"{int(value):,}" if name == "n_obs" else f"{value:.4f}"
        elif name.startswith(("weight_", "estimate_")) and name != "weight_forbidden":
            printed[name] = f"{value:.3f}"
    return printed


def put(node: dict[str, Any], address: str, value: Any) -> None:
    *above, last = address.split(".")
    for key in above:
        node = node.setdefault(key, {})
    node[last] = value
