"""The project's shell: what is promised in README, Makefile, lock and package data."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def locked() -> list[dict[str, object]]:
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["package"])


def test_one_lock_serves_every_supported_python() -> None:
    versions = Counter(package["name"] for package in locked())
    assert [name for name, count in versions.items() if count > 1] == []


@pytest.mark.parametrize(
    ("name", "cap"),
    [
        ("pulp", "<4"),
        ("spreg", "<2"),
        ("mlflow", "<3.18"),
        ("hydra-core", "<1.5"),
        ("pandas", "<4"),
    ],
)
def test_a_dependency_that_breaks_or_forks_the_lock_is_capped(
    name: str, cap: str
) -> None:
    (requirement,) = [
        r
        for r in PROJECT["project"]["dependencies"]
        if re.match(rf"{name}(?![\w-])", r)
    ]
    assert cap in requirement.split(",")


def test_quick_start_is_two_commands_that_make_knows() -> None:
    commands = blocks("console", README.split("## Quick start")[1])[0].splitlines()
    assert commands == ["make run", "make test"]
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert {command.removeprefix("make ") for command in commands} <= targets


def test_every_target_is_listed_by_make_help() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [t for t in phony[1].split() if f"make {t} " not in listed] == []


def test_the_readme_study_is_one_short_yaml() -> None:
    study = blocks("yaml")[0]
    assert len(study.splitlines()) < 25
    assert {"study", "data", "model", "checks"} <= set(yaml.safe_load(study))


def test_ci_runs_the_readme_test_command_after_lint_and_types() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    steps = re.findall(r"^ *limit (make \S+)", script.read_text(), re.MULTILINE)
    assert steps.index("make lint") < steps.index("make types")
    assert steps.index("make types") < steps.index("make test")


def test_ci_stays_far_below_its_ninety_minutes() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    (minutes,) = re.findall(r"^minutes=(\d+)$", script, re.MULTILINE)
    # 10 minutes are left for a slow start of the machine.
    assert int(minutes) <= 80
    steps = re.findall(r"^ *(.*)\bmake ", script, re.MULTILINE)
    assert steps == ["limit "] * 5


def test_bytecode_is_made_at_install_and_kept() -> None:
    assert "export UV_COMPILE_BYTECODE := 1\n" in MAKEFILE
    assert "export PYTHONDONTWRITEBYTECODE :=\n" in MAKEFILE


@pytest.mark.parametrize(
    "line",
    [
        "export UV_PYTHON_DOWNLOADS := never",
        "export MLFLOW_DISABLE_TELEMETRY := true",
        "export DO_NOT_TRACK := 1",
    ],
)
def test_make_keeps_off_the_network_after_the_install(line: str) -> None:
    assert f"{line}\n" in MAKEFILE


def test_runs_holds_outputs_only() -> None:
    rules = (ROOT / "runs" / ".gitignore").read_text().splitlines()
    assert rules[-2:] == ["*", "!.gitignore"]


def test_editors_are_told_the_schema() -> None:
    settings = json.loads((ROOT / ".vscode" / "settings.json").read_text())
    assert settings["yaml.schemas"] == {"schemas/study.json": ["specs/**/*.yaml"]}


def test_licence_is_the_one_declared() -> None:
    assert PROJECT["project"]["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


FAKE_UV = """\
#!/bin/sh
if [ "$1" = sync ]; then echo "sync $*"; exit; fi
case "$PATH" in
  {found}*) echo "{found}/python";;
  *) echo "pyenv: python3.12: command not found" >&2; exit 2;;
esac
"""


@pytest.mark.parametrize("found", ["pyenv/versions/3.12.1/bin", "bin"])
def test_install_takes_a_supported_python_that_is_there(
    tmp_path: Path, found: str
) -> None:
    """On the PATH, or kept by pyenv, whose shims fail for what is not active."""
    (tmp_path / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    for name in ("pyproject.toml", "uv.lock"):
        (tmp_path / name).touch()
    for folder in (".tools/bin", ".venv", "bin", "pyenv/versions/3.12.1/bin"):
        (tmp_path / folder).mkdir(parents=True)
    uv = tmp_path / ".tools" / "bin" / "uv"
    uv.write_text(FAKE_UV.format(found=tmp_path / found), encoding="utf-8")
    uv.chmod(0o755)

    def install(pyenv: Path) -> subprocess.CompletedProcess[str]:
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["make", "install"],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "PYENV_ROOT": str(pyenv)},
            capture_output=True,
            text=True,
            check=False,
        )

    done = install(tmp_path / "pyenv")
    assert done.returncode == 0, done.stderr
    assert f"--python {tmp_path / found}/python " in done.stdout
    if found != "bin":
        (tmp_path / ".venv" / ".installed").unlink()
        none = install(tmp_path / "no pyenv")
        assert none.returncode != 0
        assert "Estimand needs Python 3.11, 3.12 or 3.13" in none.stderr


def test_examples_are_drawn_from_no_module_that_happens_to_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[float]] = [[], []]

    def look(into: list[float]) -> None:
        @given(st.floats())
        def draw(number: float) -> None:
            into.append(number)

        draw()

    look(drawn[0])
    # A module of ours, by where it lies: one that is installed is not looked at.
    (tmp_path / "of_ours.py").write_text(
        "\n".join(f"N{i} = {1234.5 + i}" for i in range(200)), encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("of_ours")
    look(drawn[1])
    assert len(drawn[0]) == 100
    assert drawn[0] == pytest.approx(drawn[1], rel=0, abs=0, nan_ok=True)
