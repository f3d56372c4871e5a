"""Every matrix through every model as one line with one adjustment; holes in a panel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from framework.plan import plan
from framework.spec.study import open_study

ROOT = Path(__file__).parents[2]
HEAD = """\
study: multiverse
data:
  source: data.csv
  panel: {unit: unit, time: time}
  spatial_weights:
    near: {k_nearest: {k: 2, latitude: lat, longitude: lon}}
    far:  {k_nearest: {k: 5, latitude: lat, longitude: lon}}
model:
  outcome: y
  treatment: x1
  fixed_effects: [unit, time]
  estimator: twfe
"""


@pytest.fixture
def study(tmp_path):
    page = (ROOT / "docs" / "spatial.md").read_text("utf-8")
    (block,) = [
        b for b in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "slx:" in b
    ]
    (tmp_path / "data.csv").write_text("unit,time,y,x1,lat,lon\na,1,1,0,1,1\n")
    path = tmp_path / "study.yaml"
    path.write_text(HEAD + block)
    return open_study(path)


def test_the_page_s_example_plans_every_model_with_every_matrix(study):
    planned = [e for e in plan(study) if not e.hidden]
    assert len(planned) == 6
    lags = {
        (e.model["estimator"]["lag"], str(e.model["spatial_weights"])) for e in planned
    }
    assert len(lags) == 6
    assert not any(e.problems for e in planned)
    assert "multiverse" in study.families
