"""The page that `estimand ui` names: a table of numbers, not MLflow's own first page."""

from __future__ import annotations

import pytest

from framework.commands.line import main
from framework.record import tracking, write_run
from framework.record.tracking import TrackingConfig, sync
from tests.build_run import build_run

BASE = "http://127.0.0.1:5000"


@pytest.fixture
def opened(lab, monkeypatch):
    def serve(_config, *, ready, **_rest):
        ready(BASE)
        return 0

    monkeypatch.setattr(tracking, "serve", serve)

    def page(*words):
        lab.capture.readouterr()
        assert main(["ui", *words]) == 0
        return lab.capture.readouterr().out.split()[3]

    return page


def test_it_is_the_newest_runs_whichever_study_it_is_of(lab, opened):
    runs = lab.folder / "runs"
    assert opened() == BASE  # there is no run yet
    config = TrackingConfig(runs)
    for study, second in (("laws", "20260301T101501Z"), ("acts", "20260301T101500Z")):
        folder = write_run(build_run(study=study), runs)
        sync(folder, config)
        folder.rename(folder.with_name(f"{second}-{folder.name[-6:]}"))
    assert opened() == opened("--study", "laws") != opened("--study", "acts")
    assert opened().startswith(f"{BASE}/#/experiments/")


def test_a_run_that_mlflow_does_not_have_opens_its_first_page(lab, opened):
    write_run(build_run(), lab.folder / "runs")
    assert opened() == BASE
