"""The wheel alone, in an empty environment, run from an empty folder.

What only the checkout has (conf/, schemas, studies) must travel or not be needed.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real_command import patience

ROOT = Path(__file__).parents[2]
PACKAGES = ("framework", "estimators", "hydra_plugins")

README = (ROOT / "README.md").read_text(encoding="utf-8")
STUDY = README.partition("```yaml\n")[2].partition("```")[0]
PRINTED = README.partition("```text\n")[2].partition("```")[0]

pytestmark = pytest.mark.system


def uv(*arguments: str) -> str:
    """Run uv, from its cache if that is enough, otherwise with the network."""
    program = shutil.which("uv", path=f"{ROOT / '.tools/bin'}{os.pathsep}{os.defpath}")
    if program is None:
        pytest.skip("uv is not in .tools/bin (any make target puts it there)")
    for offline in (["--offline"], []):
        done = subprocess.run(
            [program, *arguments, *offline],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"UV_COMPILE_BYTECODE": "0"},
        )
        if done.returncode == 0:
            return done.stdout
    pytest.fail(f"uv {' '.join(arguments)}\n{done.stderr}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--out-dir", str(folder), str(ROOT))
    (path,) = folder.glob("estimand-*.whl")
    return path


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel and what it depends on, nothing else."""

    bin: Path
    home: Path

    def __call__(
        self, folder: Path, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / "estimand"), *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(300),
            env={
                "PATH": f"{self.bin}:/usr/bin:/bin",
                "HOME": str(self.home),
                "LANG": "C.UTF-8",
            },
        )


@pytest.fixture(scope="module")
def estimand(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    versions = folder / "locked.txt"
    versions.write_text(
        uv(
            *("export", "--frozen", "--quiet", "--no-hashes", "--no-emit-project"),
            *("--extra", "data"),
        ),
        encoding="utf-8",
    )
    environment = folder / "venv"
    uv("venv", "--python", sys.executable, str(environment))
    python = environment / "bin" / "python"
    uv(
        *("pip", "install", "--python", str(python), "--constraint", str(versions)),
        f"{wheel}[data]",
    )
    home = folder / "home"
    home.mkdir()
    return Installed(environment / "bin", home)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "castle.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def coefficients(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    here = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    here |= {
        f"framework/{path.relative_to(ROOT)}"
        for path in (ROOT / "conf").rglob("*")
        if path.is_file()
    }
    here |= {
        f"estimators/generators/facts/{name}.csv"
        for name in ("aipz", "cities", "contiguity", "policies")
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == here
    assert any(name.startswith("framework/conf/") for name in packed)


def test_validates(estimand: Installed, folder: Path) -> None:
    done = estimand(folder, "validate", "castle.yaml")
    assert done.returncode == 0, done.stderr


def test_runs(estimand: Installed, folder: Path) -> None:
    done = estimand(folder, "run", "castle.yaml")
    assert done.returncode == 0, done.stderr
    rows = coefficients(folder / "runs" / "castle" / "latest" / "coefficients.csv")
    found = {
        row["check"]: float(row["estimate"])
        for row in rows
        if row["term"] == "post" and row["heading"] == "baseline"
    }
    # bacondecomp's vignette prints sixteen digits, Stata 18 nine decimals.
    assert found["law_year"] == pytest.approx(0.0818116169306471, abs=1e-9)
    assert found["year_after"] == pytest.approx(0.069398429, abs=1e-9)


def test_prints_what_the_readme_shows(estimand: Installed, folder: Path) -> None:
    done = estimand(folder, "run", "castle.yaml", "--only", "baseline")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(PRINTED)


def test_sweeps(estimand: Installed, folder: Path) -> None:
    done = estimand(
        folder,
        "sweep",
        "castle.yaml",
        "model.controls=[l_income],[l_income,l_prisoner]",
    )
    assert done.returncode == 0, done.stderr
    assert "l_prisoner" in done.stdout


def test_lists_the_plugins_that_travel(estimand: Installed, folder: Path) -> None:
    done = estimand(folder, "list")
    assert done.returncode == 0, done.stderr
    assert "twfe" in done.stdout
