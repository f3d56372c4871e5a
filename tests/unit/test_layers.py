"""The direction of imports is the architecture; these tests hold it.

Every import statement counts, also those inside functions and under TYPE_CHECKING:
a layer that only type-checks against a later one has still turned around.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: A module of `framework` imports only what is to its left.
LAYERS = (
    "errors",
    "glossary",
    "result",
    "panel",
    "condition",
    "contract",
    "registry",
    "spec",
    "specification",
    "vary",
    "data",
    "named_columns",
    "plan",
    "expect",
    "families",
    "attribution",
    "multiverse",
    "claims",
    "published",
    "cache",
    "audit",
    "execute",
    "run_folders",
    "render",
    "record",
    "testing",
    # How a command is run: Hydra, the grammar of overrides, settings, sweeps.
    "composition",
    "override_values",
    "settings",
    "overrides",
    "multirun",
    "commands",
    "__main__",
)
#: Side by side: neither may import the other.
BESIDE = {"render": "record", "record": "render"}
#: What `validate` and `--help` load; nothing here may cost half a second to import.
LIGHT = (*LAYERS[: LAYERS.index("data")], "named_columns", "plan")
#: All that a plugin may know of the framework.
CONTRACT = {"errors", "result", "panel", "condition", "contract"}
#: Array and frame libraries every plugin may use beside its one engine.
ARRAYS = {"numpy", "pandas", "scipy", "pydantic"}
HEAVY = {
    "doubleml",
    "duckdb",
    "great_tables",
    "hydra",
    "lightgbm",
    "maketables",
    "matplotlib",
    "mlflow",
    "numpy",
    "pandas",
    "pebble",
    "pulp",
    "pyarrow",
    "pyfixest",
    "rich",
    "scipy",
    "sklearn",
    "spreg",
    "sqlalchemy",
    "statsmodels",
    "xgboost",
}
#: Estimation engines: the framework runs them only through a plugin.
ENGINES = {
    "doubleml",
    "libpysal",
    "lightgbm",
    "linearmodels",
    "pulp",
    "pyfixest",
    "sklearn",
    "spreg",
    "statsmodels",
    "xgboost",
}
FORBIDDEN_IN_PLUGINS = {"yaml", "hydra", "omegaconf", "mlflow", "matplotlib"}
#: Names of estimators that are also a word of the framework, and what it means there.
ALSO_WORDS = {
    "describe": "the glossary's function",
    "morans_i": "an estimand of the glossary",
    "event_study": "a kind of figure (Plot.kind)",
    "poisson": "the distribution that the kit draws counts from",
    "stacked": "a frame of influence functions, columns side by side",
}
#: Objects of these that a declared dependency hands out or demands; it pins them.
COMES_WITH = {"omegaconf": "hydra-core", "alembic": "mlflow", "markupsafe": "jinja2"}
#: Distributions that ship public data as well: a source of rows, not an engine there.
DATA_PACKAGES = {"framework/data/packages.py": {"linearmodels", "pyfixest"}}


@dataclass(frozen=True)
class Import:
    """One imported module: where, which, and whether importing the file runs it."""

    path: Path
    line: int
    module: str
    at_import: bool

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"


def python_files(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "__pycache__" not in path.parts
    )


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """All imports of a file as absolute module names.

    `from a import b` counts as `a.b`, since b may be a module.
    """
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]

    def walk(node: ast.AST, at_import: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(path, child.lineno, alias.name, at_import)
            elif isinstance(child, ast.ImportFrom):
                above = package[: len(package) - child.level + 1] if child.level else []
                source = ".".join([*above, *([child.module] if child.module else [])])
                for alias in child.names:
                    name = f"{source}.{alias.name}"
                    yield Import(path, child.lineno, name, at_import)
            else:
                yield from walk(child, at_import and not is_deferred(child))

    return tuple(walk(ast.parse(path.read_text(encoding="utf-8")), True))


def is_deferred(node: ast.AST) -> bool:
    """Whether importing the file leaves this block unrun."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def loaded_by(path: Path) -> list[Import]:
    """Imports that run when the file is imported, through our own modules as well."""
    waiting, seen, found = [path], {path}, []
    while waiting:
        at_import = [i for i in imports(waiting.pop()) if i.at_import]
        found += at_import
        for item in at_import:
            for module in (item.module, item.module.rpartition(".")[0]):
                stem = ROOT.joinpath(*module.split("."))
                for inner in (stem.with_suffix(".py"), stem / "__init__.py"):
                    if inner.is_file() and inner not in seen:
                        seen.add(inner)
                        waiting.append(inner)
    return found


def heavy(path: Path) -> list[str]:
    return sorted({str(i) for i in loaded_by(path) if root(i.module) in HEAVY})


def layer(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "framework" and len(parts) > 1 else None


def root(module: str) -> str:
    return module.partition(".")[0]


def faults_of_layers(found: Iterable[Import], own: str) -> list[str]:
    wrong = []
    for item in found:
        other = layer(item.module)
        if other is None or other == own:
            continue
        if other not in LAYERS:
            # `from framework import run`: the door, which only the top may use.
            wrong.append(f"{item}: not a layer")
        elif LAYERS.index(other) > LAYERS.index(own) or BESIDE.get(own) == other:
            wrong.append(f"{item}: {other} is not to the left of {own}")
    return wrong


#: The package itself opens `framework.commands` on first use; nothing else may.
DOOR = ROOT / "framework" / "__init__.py"
FRAMEWORK = [path for path in python_files("framework") if path != DOOR]
PLUGINS = [
    p
    for p in python_files("estimators")
    if "_math" not in p.parts and p.name != "__init__.py"
]
#: Files that a study can name; what begins with `_` is shared by them.
REGISTERED = [p for p in PLUGINS if "._" not in module_name(p)]


@pytest.mark.parametrize("path", FRAMEWORK, ids=module_name)
def test_framework_module_belongs_to_a_layer_and_imports_leftwards(path: Path) -> None:
    own = layer(module_name(path))
    assert own in LAYERS, f"{own} has no place in the order of layers"
    assert faults_of_layers(imports(path), own) == []


def test_the_layer_check_sees_a_wrong_import() -> None:
    path = ROOT / "framework" / "panel.py"
    wrong = [
        Import(path, 1, "framework.execute.run", True),
        Import(path, 2, "framework.errors.DataError", True),
        Import(path, 3, "framework.nowhere", False),
    ]
    faults = faults_of_layers(wrong, "panel")
    assert len(faults) == 2
    assert "execute is not to the left of panel" in faults[0]
    assert "not a layer" in faults[1]


def test_deferred_imports_are_told_from_those_at_import_time() -> None:
    found = {i.module: i.at_import for i in imports(ROOT / "framework" / "panel.py")}
    assert found["pandas"] is False
    assert found["dataclasses.dataclass"] is True


@pytest.mark.parametrize(
    "path", [p for p in FRAMEWORK if layer(module_name(p)) in LIGHT], ids=module_name
)
def test_what_validate_loads_imports_nothing_heavy(path: Path) -> None:
    assert heavy(path) == []


@pytest.mark.parametrize("path", PLUGINS, ids=module_name)
def test_plugin_imports_the_contract_its_mathematics_and_one_engine(path: Path) -> None:
    engines, wrong = set(), []
    for item in imports(path):
        first = root(item.module)
        if first == "framework":
            if layer(item.module) not in CONTRACT:
                wrong.append(f"{item}: outside the contract")
        elif first == "estimators":
            # `_math`, and what several plugins share (`_linear`, `steps._columns`).
            if "._" not in item.module:
                wrong.append(f"{item}: another plugin")
        elif first in FORBIDDEN_IN_PLUGINS:
            wrong.append(f"{item}: not a plugin's business")
        elif first not in ARRAYS and first not in sys.stdlib_module_names:
            engines.add(first)
    assert wrong == []
    assert len(engines) <= 1, f"one engine per plugin, not {sorted(engines)}"


@pytest.mark.parametrize("path", REGISTERED, ids=module_name)
def test_reading_the_options_of_a_plugin_loads_no_engine(path: Path) -> None:
    assert heavy(path) == []


def test_the_check_for_heavy_imports_looks_through_our_own_modules() -> None:
    loaded = {i.module for i in loaded_by(ROOT / "framework" / "registry.py")}
    assert "framework.errors.SpecError" in loaded
    assert "difflib" in loaded


@pytest.mark.parametrize("path", python_files("estimators/_math"), ids=module_name)
def test_mathematics_knows_arrays_only(path: Path) -> None:
    allowed = {"numpy", "scipy", "estimators", *sys.stdlib_module_names}
    wrong = [
        str(i)
        for i in imports(path)
        if root(i.module) not in allowed
        or (root(i.module) == "estimators" and "._math" not in i.module)
    ]
    assert wrong == []


BOUNDARY = {
    "mlflow": {"framework.record.tracking"},
    "matplotlib": {"framework.render.style"},
    "hydra": {"framework.composition"},
}


@pytest.mark.parametrize("library", BOUNDARY)
def test_a_boundary_library_is_imported_where_it_belongs(library: str) -> None:
    files = {
        i.path
        for path in python_files("framework", "estimators")
        for i in imports(path)
        if root(i.module) == library
    }
    assert {module_name(file) for file in files} <= BOUNDARY[library]


@pytest.mark.parametrize("library", ["mlflow", "matplotlib"])
def test_hydra_plugins_leave_recording_and_drawing_alone(library: str) -> None:
    # Hydra imports every plugin at start: a heavy one slows each command.
    wrong = [
        str(i)
        for path in python_files("hydra_plugins")
        for i in imports(path)
        if root(i.module) == library
        or (i.at_import and root(i.module) in HEAVY - {"hydra"})
    ]
    assert wrong == []


def test_hydra_plugins_is_a_namespace_package() -> None:
    assert not (ROOT / "hydra_plugins" / "__init__.py").exists()


def test_framework_imports_no_engine_and_no_plugin() -> None:
    wrong = [
        str(i)
        for path in python_files("framework")
        for i in imports(path)
        if root(i.module) in ENGINES | {"estimators"}
    ]
    assert wrong == []


def words(path: Path) -> Iterator[tuple[int, str]]:
    """Names and string constants of a file with their lines; docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in prose:
                yield node.lineno, node.value
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr


def test_framework_names_no_estimator_engine_or_paper() -> None:
    folders = {"steps", "weights", "restrictions", "learners", "generators"}
    estimators = {
        p.stem
        for p in REGISTERED
        if not folders & set(p.relative_to(ROOT / "estimators").parts)
    }
    papers = {p.stem for p in (ROOT / "specs").rglob("*.yaml")}
    named = (estimators - set(ALSO_WORDS)) | ENGINES | papers
    wrong = [
        f"{path.relative_to(ROOT)}:{line} says {word!r}"
        for path in python_files("framework")
        for line, word in words(path)
        if word in named - DATA_PACKAGES.get(str(path.relative_to(ROOT)), set())
    ]
    assert wrong == []


def test_no_room_without_a_purpose() -> None:
    rooms = {"util", "utils", "helper", "helpers", "common", "misc", "base", "manager"}
    folders = ("framework", "estimators", "hydra_plugins", "tests", "bench")
    wrong = [p for p in python_files(*folders) if rooms & {p.stem, p.parent.name}]
    assert wrong == []


#: Executors of the extra `cluster`, imported only when a setting names them.
ON_CLUSTERS = {"on_ray", "on_dask", "on_slurm"}


def test_what_is_imported_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
        for requirement in project["dependencies"]
    }
    cluster = {
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
        for requirement in project["optional-dependencies"]["cluster"]
    }
    distributions = metadata.packages_distributions()
    wrong = [
        str(i)
        for path in python_files("framework", "estimators", "hydra_plugins")
        for i in imports(path)
        if root(i.module) not in sys.stdlib_module_names
        and root(i.module) not in {"framework", "estimators", "hydra_plugins"}
        and not (path.stem in ON_CLUSTERS and root(i.module) in cluster)
        and COMES_WITH.get(root(i.module)) not in declared
        and not declared & {d.lower() for d in distributions.get(root(i.module), ())}
    ]
    assert wrong == []


#: Declared though nothing here imports them, with the reason.
NOT_IMPORTED = {
    "doubleml": "engine of announced estimators",
    "openpyxl": "pandas reads Excel files with it",
    "highspy": "pulp runs HiGHS through it",
    "spreg": "engine of announced estimators",
}


def test_no_dependency_is_declared_for_nothing() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
        for requirement in project["dependencies"]
    }
    distributions = metadata.packages_distributions()
    imported = {
        distribution.lower()
        for path in python_files("framework", "estimators", "hydra_plugins")
        for i in imports(path)
        for distribution in distributions.get(root(i.module), ())
    }
    assert declared - imported <= set(NOT_IMPORTED)
