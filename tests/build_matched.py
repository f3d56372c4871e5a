"""Candidates for a restriction, and models estimated through the whole path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from framework.cache import Cell, Job
from framework.contract import Candidates, Restriction, Selection
from framework.data.prepare import Prepared
from framework.errors import EstimandError
from framework.execute.estimation import estimate
from framework.plan import panel_of, plan
from framework.spec import choices
from framework.spec.study import open_study, project_root


def build_candidates(
    d: np.ndarray[Any, Any], X: Any, names: Any = None, **changes: Any
) -> Candidates:
    """A cross-section: treatment, covariates, names."""
    called = np.array([f"r{i:05d}" for i in range(len(d))]) if names is None else names
    keys = pd.util.hash_pandas_object(pd.Series(called), index=False).to_numpy()
    frame = pd.DataFrame(np.asarray(X, dtype=float))
    frame.columns = [f"x{i}" for i in range(frame.shape[1])]
    values: dict[str, Any] = {
        "treatment": np.asarray(d, dtype=float),
        "covariates": frame,
        "groups": pd.DataFrame(index=frame.index),
        "cohort": None,
        "unit": None,
        "time": None,
        "names": called,
        "keys": keys,
    }
    return Candidates(**(values | changes))


def choose(given: Candidates, kind: str = "match", **options: Any) -> Selection:
    """What a restriction with these options keeps."""
    plugin = choices.build("restriction", {"name": kind, **options})
    assert isinstance(plugin, Restriction)
    return plugin.select(given)


def run_model(
    folder: Path,
    data: pd.DataFrame,
    model: dict[str, Any],
    panel: dict[str, str] | None = None,
    draws: dict[str, Any] | None = None,
    **more: Any,
) -> Cell:
    """A model on a file, planned and estimated as a run does it.

    Raises:
        EstimandError: its problems.
    """
    data.to_csv(folder / "data.csv", index=False)
    study: dict[str, Any] = {
        "study": "matched",
        "seed": 3,
        "data": {"source": "data.csv", **more},
        "model": model,
    }
    if panel:
        study["data"]["panel"] = panel
    if draws:
        study["checks"] = {"c": {"line": {"draws": draws}}}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    opened = open_study(path)
    found = plan(opened)[-1]
    if found.problems:
        raise EstimandError(found.problems)
    prepared = Prepared(opened.root, project_root(opened))
    job = Job(
        fingerprint="0",
        address=found.address,
        panel="",
        data=found.data,
        model=found.model,
        draws=found.draws,
        seed=opened.seed,
    )
    return estimate(job, panel_of(opened, found, prepared))
