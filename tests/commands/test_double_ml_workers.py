"""Double machine learning gives one number: 1 or 2 workers, any order, any rows first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from framework import run
from tests.build_double import panel

_HEAD = """\
study: one_number
seed: 5
data: {source: panel.csv, panel: {unit: unit, time: time}}
model:
  outcome: y
  treatment: {column: d, kind: absorbing}
  controls: [x1, x2]
  inference: {cluster: unit}
  acknowledge: [poor_overlap, small_folds, few_treated]
  estimator: {double_ml: {learner: {forest: 5}, folds: 3, repetitions: 2}}
checks:
  main:
"""
_LINES = (
    "    plr:    {estimator.transform: within}\n",
    "    other:  {outcome: y2, estimator.transform: within}\n",
    "    tree:   {estimator.learner: {outcome: {forest: 5}, treatment: linear}}\n",
    "    did:    {estimator.kind: did_multi, estimator.learner: linear, estimand: att}\n",
)


def numbers(
    folder: Path, data: pd.DataFrame, lines: tuple[str, ...], *settings: str
) -> pd.DataFrame:
    """Estimates and standard errors of a fresh run, by address."""
    folder.mkdir()
    data.to_csv(folder / "panel.csv", index=False)
    study = folder / "study.yaml"
    study.write_text(_HEAD + "".join(lines), encoding="utf-8")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        done = run("study.yaml", *settings, report=False, track=False)
        found = {
            address: done.result(address)
            .coefficients[["estimate", "std_error"]]
            .iloc[0]
            for address in done.addresses
        }
    return pd.DataFrame(found).T.sort_index()


def test_workers_order_of_lines_and_order_of_rows_move_no_bit(tmp_path: Path) -> None:
    data = panel(120)
    data["y2"] = data["y"] + np.sin(data["x2"])
    one = numbers(tmp_path / "one", data, _LINES, "executor.workers=1")
    shuffled = data.sample(frac=1, random_state=1)
    two = numbers(tmp_path / "two", shuffled, _LINES[::-1], "executor.workers=2")
    assert len(one) >= len(_LINES)
    assert one["std_error"].gt(0).all()
    pd.testing.assert_frame_equal(two, one, check_exact=True)
