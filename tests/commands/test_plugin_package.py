"""Plugins of another distribution, really installed, used by the real command.

`tests/plugin_package` is built and installed by uv into a folder that stands before the
environment's own; nothing of it is in the environment that runs the tests.
"""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tests" / "plugin_package"
TREATED = (3.1, 4.7, 5.2, 2.9)
UNTREATED = (1.0, 2.2, 0.4, 1.9, 2.5)
STUDY = """\
study: trial
data:
  source: trial.csv
  steps: {distance: {center: y}}
model:
  outcome: distance
  treatment: d
  estimator: difference_in_means
checks:
  means: {unequal: {}, pooled: {estimator.variance: pooled}}
"""
#: Closed form and array sums differ by rounding of nine numbers.
ROUNDING = 1e-12


def install(source: Path, target: Path) -> Path:
    """Build a distribution and put it into a folder, without the network."""
    uv = shutil.which("uv", path=f"{ROOT / '.tools/bin'}{os.pathsep}{os.defpath}")
    if uv is None:
        pytest.skip("uv is not in .tools/bin (any make target puts it there)")
    command = [uv, "pip", "install", "--offline", "--no-deps", "--quiet"]
    command += ["--python", sys.executable, "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@dataclass(frozen=True)
class Bench:
    """A folder with a study, and an environment with the plugins before its own."""

    folder: Path
    plugins: Path

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *args],
            cwd=self.folder,
            env=os.environ
            | {"PYTHONPATH": f"{self.plugins}{os.pathsep}{ROOT}", "COLUMNS": "100"},
            capture_output=True,
            text=True,
            check=False,
        )

    def estimand(self, *args: str) -> subprocess.CompletedProcess[str]:
        done = self("framework", *args)
        assert "Traceback" not in done.stderr
        return done

    def study(self, text: str, name: str = "study.yaml") -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def manifest(self) -> dict[str, object]:
        path = self.folder / "runs" / "trial" / "latest" / "manifest.json"
        return json.loads(path.read_text("utf-8"))

    def fingerprints(self) -> list[str]:
        return [column["fingerprint"] for column in self.manifest()["columns"]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source, so that building leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("source") / "plugin_package"
    return shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture(scope="module")
def plugins(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(package, tmp_path_factory.mktemp("installed"))


def prepared(folder: Path, plugins: Path) -> Bench:
    rows = [(y, 1) for y in TREATED] + [(y, 0) for y in UNTREATED]
    lines = ["y,d", *(f"{y},{d}" for y, d in rows)]
    (folder / "trial.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    bench = Bench(folder, plugins)
    bench.study(STUDY)
    return bench


@pytest.fixture
def bench(plugins: Path, tmp_path: Path) -> Bench:
    return prepared(tmp_path, plugins)


@pytest.fixture(scope="module")
def ran(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The study run once, in a worker process: it finds the plugins as well."""
    made = prepared(tmp_path_factory.mktemp("ran"), plugins)
    settings = ("executor=processes", "tracking=none", "report=quick")
    done = made.estimand("run", "study.yaml", *settings)
    assert done.returncode == 0, done.stderr
    return made


def coefficients(bench: Bench) -> Mapping[str, Mapping[str, str]]:
    path = bench.folder / "runs" / "trial" / "latest" / "coefficients.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {row["check"]: row for row in csv.DictReader(file)}


def test_nothing_of_it_is_in_this_environment() -> None:
    from framework import registry

    assert "difference_in_means" not in registry.names("estimator")


def test_list_says_the_distribution(bench: Bench) -> None:
    done = bench.estimand("list", "--json")
    assert done.returncode == 0, done.stderr
    found = {item["name"]: item for item in json.loads(done.stdout)}
    ours = {name for name, item in found.items() if item["origin"]}
    assert ours == {"difference_in_means", "needs_a_licence", "center", "ring"}
    assert {found[name]["origin"] for name in ours} == {"estimand-difference"}
    assert found["difference_in_means"]["status"] == "built"
    assert found["difference_in_means"]["says"].startswith(
        "Mean outcome of the treated"
    )
    assert found["ring"]["kind"] == "matrix"


def test_show_has_docstring_options_and_paper(bench: Bench) -> None:
    done = bench.estimand("show", "difference_in_means")
    assert done.returncode == 0, done.stderr
    for words in ("estimand-difference", "Neyman", "pooled", "Each group its own"):
        assert words in done.stdout


def test_schema_has_its_options(bench: Bench) -> None:
    done = bench.estimand("schema")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["$defs"]["options.estimator.difference_in_means"]
    # null takes an inherited option back.
    assert {"unequal", "pooled"} <= set(told["properties"]["variance"]["enum"])
    assert "options.step.center" in json.loads(done.stdout)["$defs"]


def test_validate_takes_it_and_finds_a_misspelt_option(bench: Bench) -> None:
    wrong = STUDY.replace("estimator.variance", "estimator.varience")
    done = bench.estimand("validate", bench.study(STUDY), bench.study(wrong, "b.yaml"))
    assert done.returncode == 2
    assert "study.yaml: valid" in done.stdout
    assert "b.yaml" in done.stderr
    assert "did you mean 'variance'" in done.stderr
    assert "study.yaml:" not in done.stderr


def test_run_gives_the_closed_form(ran: Bench) -> None:
    rows = coefficients(ran)
    difference = statistics.fmean(TREATED) - statistics.fmean(UNTREATED)
    n1, n0 = len(TREATED), len(UNTREATED)
    v1, v0 = statistics.variance(TREATED), statistics.variance(UNTREATED)
    pooled = ((n1 - 1) * v1 + (n0 - 1) * v0) / (n1 + n0 - 2)
    errors = {
        "unequal": math.sqrt(v1 / n1 + v0 / n0),
        "pooled": math.sqrt(pooled * (1 / n1 + 1 / n0)),
    }
    assert set(rows) == set(errors)
    for line, row in rows.items():
        assert row["estimand"] == "ate"
        assert row["term"] == "d"
        assert float(row["estimate"]) == pytest.approx(difference, rel=ROUNDING)
        assert float(row["std_error"]) == pytest.approx(errors[line], rel=ROUNDING)


def test_changing_its_source_makes_its_results_stale(
    ran: Bench, package: Path, tmp_path: Path
) -> None:
    settings = ("executor=inline", "tracking=none", "report=quick")
    first = ran.fingerprints()
    # What others look at stays as it was.
    folder = shutil.copytree(ran.folder, tmp_path / "again", symlinks=True)
    again = Bench(folder, ran.plugins)
    assert again.estimand("run", "study.yaml", *settings).returncode == 0
    assert again.fingerprints() == first
    assert all(column["cached"] for column in again.manifest()["columns"])

    source = shutil.copytree(package, tmp_path / "changed")
    path = source / "src" / "estimand_difference" / "difference_in_means.py"
    text = path.read_text("utf-8")
    path.write_text(text.replace("means[1] - means[0]", "means[0] - means[1]"), "utf-8")
    other = Bench(folder, install(source, tmp_path / "installed"))
    assert other.estimand("run", "study.yaml", *settings).returncode == 0
    assert not set(other.fingerprints()) & set(first)
    assert float(coefficients(other)["unequal"]["estimate"]) < 0


def test_a_broken_plugin_fails_when_it_is_asked_for_and_by_name(bench: Bench) -> None:
    asked = STUDY.replace("difference_in_means", "needs_a_licence", 1)
    asked = asked.replace(", pooled: {estimator.variance: pooled}", "")
    done = bench.estimand("validate", bench.study(STUDY), bench.study(asked, "b.yaml"))
    assert done.returncode == 2
    assert "study.yaml: valid" in done.stdout
    assert "estimator 'needs_a_licence' of estimand-difference" in done.stderr
    assert "an_engine_that_nobody_has" in done.stderr


def test_a_name_that_is_taken_is_refused_with_both_origins(
    package: Path, tmp_path: Path
) -> None:
    source = shutil.copytree(package, tmp_path / "source")
    project = source / "pyproject.toml"
    text = project.read_text("utf-8")
    project.write_text(
        text.replace("difference_in_means = ", "twfe = ", 1), encoding="utf-8"
    )
    bench = prepared(tmp_path, install(source, tmp_path / "installed"))
    done = bench.estimand("list", "estimators")
    assert done.returncode == 2
    assert "estimator 'twfe' is registered twice" in done.stderr
    assert "estimators.twfe" in done.stderr
    assert "estimand-difference" in done.stderr


def test_the_package_s_own_tests_pass(bench: Bench, package: Path) -> None:
    options = ("-p", "no:cacheprovider", "-q", "--rootdir", str(package))
    done = bench("pytest", *options, str(package / "conformance.py"))
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
