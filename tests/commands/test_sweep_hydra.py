"""Settings and sweeps through the real Hydra, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from framework.commands.running import executor_of
from framework.composition import packaged_conf
from framework.errors import EstimandError
from framework.execute import Inline
from framework.multirun import multirun
from framework.overrides import split
from framework.settings import settings

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def write(path: str, text: str) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text), "utf-8")


def names(jobs, _settings):
    return [job.name for job in jobs]


def test_settings_without_a_word_are_the_packaged_ones(empty_folder):
    found = settings()
    assert found.executor.name == "processes"
    assert found.executor.workers is None
    assert found.tracking.enabled
    assert found.report.formats == ("html", "tex", "docx", "md", "csv")
    assert found.sweep.overrides == ()
    assert found.runs == Path("runs")
    assert list(empty_folder.iterdir()) == []


@pytest.mark.parametrize(
    "choice",
    [
        f"{file.parent.name}={file.stem}"
        for file in sorted(packaged_conf().glob("*/*.yaml"))
        if file.stem != "server"
    ],
)
def test_every_packaged_choice_composes(choice):
    assert settings(split([choice]).conf)


def test_settings_from_the_command_line():
    conf = split(
        ["tracking=none", "executor=inline", "executor.time_limit=90", "runs=a 绿"]
    )
    found = settings(conf.conf)
    assert not found.tracking.enabled
    assert (found.executor.name, found.executor.workers) == ("inline", 1)
    assert found.executor.time_limit == 90
    assert found.runs == Path("a 绿")


def test_serial_is_inline():
    serial, inline = (
        settings([f"executor={n}"]).executor for n in ("serial", "inline")
    )
    assert serial == inline.model_copy(update={"name": "serial"})
    for executor in (serial, inline):
        made = executor_of(settings([f"executor.name={executor.name}"]), Path("runs"))
        assert isinstance(made, Inline)
    with pytest.raises(EstimandError, match="did you mean 'serial'"):
        split(["executor=seriel"])


def test_the_server_is_named_by_the_environment(monkeypatch):
    with pytest.raises(
        EstimandError, match=r"MLFLOW_TRACKING_URI(.|\n)*tracking\.uri="
    ) as no:
        settings(["tracking=server"])
    assert no.value.exit_code == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@host/db")
    found = settings(["tracking=server"])
    assert found.tracking.uri == "postgresql://me:secret@host/db"
    assert "secret" not in repr(found)


def test_own_conf_comes_first_and_builds_on_the_packaged_one():
    write(
        "conf/config.yaml",
        """\
        defaults:
          - estimand
          - override tracking: lab
          - _self_
        executor: {workers: 7}
        """,
    )
    write(
        "conf/tracking/lab.yaml",
        "{enabled: true, uri: http://lab, artifact_location: null}",
    )
    found = settings(split(["report=quick"]).conf)
    assert found.tracking.uri == "http://lab"
    assert found.executor.workers == 7
    assert found.executor.name == "processes"
    assert found.report.formats == ("md", "csv")
    assert split(["tracking=lab"]).conf == ("tracking=lab",)


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        (
            "defaults: [estimand, _self_]\nexecutor: {workrs: 2}\n",
            "X17",
            "did you mean 'workers'",
        ),
        (
            "defaults: [estimand, _self_]\nexecuter: {workers: 2}\n",
            "X17",
            "did you mean 'executor'",
        ),
        (
            "defaults: [estimand, _self_]\nexecutor: {workers: 0}\n",
            "X15",
            "conf executor.workers",
        ),
        (
            "defaults: [estimand, _self_]\nexecutor: {workers: true}\n",
            "X15",
            "should be a whole number, got true",
        ),
        ("runs: here\n", "X18", "defaults: [estimand, _self_]"),
        ("defaults: [estimand, {override tracking: lab}]\n", "X13", "tracking/lab"),
        ("a: [1\n", "X13", "not readable YAML"),
        ("hydra: {callbacks: {spy: {_target_: os.system}}}\n", "X05", "_target_"),
        ('hydra: {callbacks: {spy: {"_target\\x5f": os.system}}}\n', "X05", "_target_"),
    ],
)
def test_a_wrong_conf_says_what_is_wrong(config, code, words):
    write("conf/config.yaml", config)
    with pytest.raises(EstimandError) as raised:
        settings()
    assert {p.code for p in raised.value.problems} == {code}
    assert words in str(raised.value)


def test_all_problems_of_a_conf_at_once():
    write(
        "conf/config.yaml",
        "defaults: [estimand, _self_]\nexecutor: {a: 1, workers: 0}\nb: 2\n",
    )
    with pytest.raises(EstimandError) as raised:
        settings()
    assert len(raised.value.problems) == 3


def test_a_conf_names_no_further_folders(tmp_path):
    write("elsewhere/tracking/far.yaml", "{enabled: false}")
    write(
        "conf/config.yaml",
        f"""\
        defaults: [estimand, {{override tracking: far}}, _self_]
        hydra: {{searchpath: ["file://{tmp_path}/elsewhere"]}}
        """,
    )
    with pytest.raises(EstimandError, match="tracking/far"):
        settings()


def test_a_sweep_is_one_call_with_all_jobs_and_leaves_nothing_behind(
    empty_folder, capfd
):
    calls = []

    def run_jobs(jobs, found):
        calls.append((jobs, found))
        return [
            ZeroDivisionError(job.name) if job.number == 2 else job.number
            for job in jobs
        ]

    overrides = split(
        [
            "model.estimator=twfe,event_study",
            "model.controls=[l_income],[l_income,l_prisoner]",
            "model.sample.地区=东部",
            "model.sample.late=year >= 2005",
            "executor.workers=2",
        ]
    )
    launched = multirun(overrides, run_jobs)

    ((jobs, found),) = calls
    assert found.executor.workers == 2
    assert [job.name for job in jobs] == [
        "twfe.l_income",
        "twfe.l_income+l_prisoner",
        "event_study.l_income",
        "event_study.l_income+l_prisoner",
    ]
    assert jobs[0].changes["model.sample.地区"] == ("东部", "东部")
    assert jobs[0].changes["model.sample.late"] == ("year >= 2005", "year >= 2005")
    assert [each.value for each in launched] == [1, None, 3, 4]
    assert [type(each.error) for each in launched if each.error] == [ZeroDivisionError]
    assert [each.job for each in launched] == list(jobs)
    assert list(empty_folder.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_hydra_composes_once_for_the_whole_sweep(monkeypatch):
    from hydra._internal.core_plugins.file_config_source import FileConfigSource

    composed = []
    original = FileConfigSource.load_config

    def counted(self, config_path):
        composed.append(config_path)
        return original(self, config_path)

    monkeypatch.setattr(FileConfigSource, "load_config", counted)
    launched = multirun(split(["model.outcome=range(50)", "seed=range(20)"]), names)
    assert len(launched) == 1000
    assert len([path for path in composed if path.startswith("estimand")]) == 1


def test_a_named_sweep_and_the_command_line():
    write(
        "conf/sweep/mine.yaml",
        'overrides: ["model.inference=iid,hetero", "model.outcome=log(y),绿"]',
    )
    launched = multirun(
        split(["sweep=mine", "model.inference=hetero", "seed=1,2"]), names
    )
    assert [each.value for each in launched] == ["log(y).1", "log(y).2", "绿.1", "绿.2"]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("~model.controls", "model.controls=null"),
        ("tracking=none", "changes no study"),
        ("outcome=a,b", "changes no study"),
    ],
)
def test_a_wrong_named_sweep_is_named(written, words):
    write("conf/sweep/mine.yaml", f'overrides: ["seed=1,2", "{written}"]')
    with pytest.raises(EstimandError) as raised:
        multirun(split(["sweep=mine"]), names)
    assert "named sweep, override 2" in str(raised.value)
    assert words in str(raised.value)


def test_what_the_runner_raises_is_raised():
    def broken(_jobs, _settings):
        raise EstimandError(split_problem)

    with pytest.raises(EstimandError) as raised:
        split(["model.x=010"])
    split_problem = raised.value.problems[0]
    with pytest.raises(EstimandError) as passed_on:
        multirun(split(["seed=1,2"]), broken)
    assert passed_on.value.problems == (split_problem,)


def test_a_runner_that_loses_a_job_is_found_out():
    with pytest.raises(ValueError, match="shorter"):
        multirun(split(["seed=1,2"]), lambda jobs, _settings: [jobs[0].name])


def test_the_hydra_of_an_embedding_program_is_left_alone():
    from hydra.core.global_hydra import GlobalHydra

    settings()
    multirun(split(["seed=1,2"]), names)
    assert not GlobalHydra.instance().is_initialized()


def test_a_broken_plugin_of_another_distribution_is_named(tmp_path):
    write(
        "elsewhere/hydra_plugins/hydra_broken/__init__.py",
        "raise ValueError('mutable default')",
    )
    script = (
        "from framework.settings import settings\n"
        "from framework.errors import EstimandError\n"
        "try:\n    settings()\nexcept EstimandError as error:\n    print(error)\n"
    )
    path = os.pathsep.join([str(tmp_path / "elsewhere"), str(PROJECT)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "hydra_plugins.hydra_broken can't be imported" in done.stdout
    assert "mutable default" in done.stdout


def test_sweeper_and_launcher_serve_any_hydra_program(tmp_path):
    write(
        "app.py",
        f"""\
        import hydra

        conf = {str(packaged_conf())!r}

        @hydra.main(config_path=conf, config_name="config", version_base="1.3")
        def app(batch):
            print([job.name for job in batch.jobs], batch.conf["runs"])
            return [None for _ in batch.jobs]

        app()
        """,
    )
    done = subprocess.run(
        [
            sys.executable,
            "app.py",
            "-m",
            "runs=here",
            "model.estimator=twfe,event_study",
            "seed=1,2",
        ],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        done.stdout == "['twfe.1', 'twfe.2', 'event_study.1', 'event_study.2'] here\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["app.py"]
