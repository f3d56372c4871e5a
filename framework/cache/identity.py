"""The name of an estimation: a hash of everything that can move its numbers.

Names of headings, lines and values never enter, so renaming a check computes nothing.
Whatever is in doubt enters: a miss costs seconds, a stale hit prints a wrong number.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

from framework.registry import Entry

#: The distribution whose requirements are the engines.
_OURS = "estimand"
_PACKAGES = ("framework", "estimators")
#: A requirement up to its version: `scikit-learn>=1.4` is `scikit-learn`.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def fingerprint(
    model: Mapping[str, Any],
    data_key: str,
    draws: Mapping[str, Any] | None,
    seed: int | None,
    plugins: Iterable[Entry] = (),
) -> str:
    """sha256 (64 hexadecimal digits) of what an estimation is computed from.

    Args:
        model: the resolved model.
        data_key: key of the prepared panel, together with whatever of `data` the
            estimation reads beside the panel (spatial weights, groups).
        draws: the random repetition, if any.
        seed: the study's seed; None where nothing is drawn at random.
        plugins: the plugins that the model names; those of other distributions add
            their version and their source files.

    Raises:
        TypeError: the model holds a value that is no JSON value.
        ValueError: the model holds NaN.
    """
    said = {
        "model": {
            # Restrictions act in the order of writing; all other mappings have none.
            key: list(value.items())
            if key == "sample" and isinstance(value, Mapping)
            else value
            for key, value in model.items()
        },
        "data": data_key,
        "draws": draws,
        "seed": seed,
    }
    foreign = sorted({p.distribution: p for p in plugins if p.distribution}.items())
    around = [source_hash(), engines_hash(), f"python {_python()}"]
    around += [_foreign_hash(name, entry.target) for name, entry in foreign]
    text = json.dumps([_canonical(said), around], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """Mappings as sorted pairs: keys of any kind, `{1: x}` and `{"1": x}` apart."""
    if isinstance(value, Mapping):
        pairs = [[json.dumps(_canonical(k)), _canonical(v)] for k, v in value.items()]
        return {"mapping": sorted(pairs, key=lambda pair: str(pair[0]))}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return {"set": sorted(json.dumps(_canonical(item)) for item in value)}
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("a model cannot hold NaN")
    if value is None or isinstance(value, (bool, str, int, float)):
        return value
    raise TypeError(f"{value!r} is no JSON value, so it cannot name an estimation")


def computed_with() -> str:
    """Hash of our source files, the engines and Python: what is the same for all."""
    around = f"{source_hash()} {engines_hash()} python {_python()}"
    return hashlib.sha256(around.encode()).hexdigest()


def source_hash() -> str:
    """Hash of every source file of `framework/` and `estimators/`, once per process."""
    return _source()[0]


def source_newest() -> int:
    """Newest change among the files that `source_hash` read (ns, `st_mtime_ns`)."""
    return _source()[1]


@cache
def _source() -> tuple[str, int]:
    digest = hashlib.sha256()
    newest = max(_hash_module(digest, package) for package in _PACKAGES)
    return digest.hexdigest(), newest


@cache
def engine_versions() -> Mapping[str, str]:
    """Versions of all that our distribution requires, and of what those require.

    Read from the installed metadata without importing anything. From a checkout that
    is not installed: every distribution there is.
    """
    return _versions((_OURS,))


@cache
def engines_hash() -> str:
    """Hash of `engine_versions`."""
    return hashlib.sha256(json.dumps(dict(engine_versions())).encode()).hexdigest()


@cache
def _foreign_hash(distribution: str, target: str) -> str:
    """Another distribution: its version, its requirements' and its source files."""
    digest = hashlib.sha256()
    digest.update(json.dumps(dict(_versions((distribution,)))).encode())
    # The package on disk, not the list of installed files: an editable install has its
    # source elsewhere. Finding a top-level package does not import it.
    _hash_module(digest, re.split(r"[.:]", target, maxsplit=1)[0])
    return f"{distribution} {digest.hexdigest()}"


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _hash_module(digest: hashlib._Hash, name: str) -> int:
    """Add a module's files to `digest`; the time of their newest change."""
    newest = 0
    spec = util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"no package '{name}'", name=name)
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [(path, path.relative_to(f)) for f in folders for path in _sources(f)]
    if not folders and spec.origin:
        files = [(Path(spec.origin), Path(spec.origin).name)]  # type: ignore[list-item] # a single-file module has no folder to be relative to
    for path, relative in files:
        # The time first: a change in between is then newer than what was read.
        newest = max(newest, path.stat().st_mtime_ns)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name}/{relative} {content}\n".encode())
    return newest


def _sources(folder: Path) -> Iterator[Path]:
    """Files of a package in a fixed order, without what editors and Python leave."""
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if f[0] != "." and f != "__pycache__")
        # The wheel carries conf/ in the package: how to run, not what is computed.
        if Path(parent) == folder and "conf" in folders:
            folders.remove("conf")
        for file in sorted(files):
            if file[0] != "." and not file.endswith(("~", ".pyc")):
                yield Path(parent, file)


def _versions(roots: tuple[str, ...]) -> Mapping[str, str]:
    """Versions of `roots` and all they need; of everything where that is unknown."""
    installed = _installed()
    top = {_normal(root) for root in roots}
    wanted, seen = sorted(top), dict[str, str]()
    while wanted:
        name = wanted.pop()
        if name in seen or (name not in installed and name not in top):
            continue
        try:
            seen[name], folder = installed[name]
            # Learners live in extras of ours, so the extras of the roots count.
            wanted += _requirements(folder, extras=name in top)
        except (KeyError, OSError):  # not installed as a distribution, or not by pip
            seen = {name: version for name, (version, _) in installed.items()}
            break
    return dict(sorted(seen.items()))


@cache
def _installed() -> Mapping[str, tuple[str, Path]]:
    """Normalised name -> version and metadata folder, the first on the path wins."""
    found: dict[str, tuple[str, Path]] = {}
    for entry in sys.path:
        if {"site-packages", "dist-packages"} & set(Path(entry).parts[:-1]):
            continue  # copies that a package keeps for itself, as Ray does
        try:
            folders = sorted(Path(entry or ".").iterdir())
        except OSError:
            continue
        for folder in folders:
            if folder.suffix in {".dist-info", ".egg-info"}:
                name, _, version = folder.stem.partition("-")
                found.setdefault(_normal(name), (version, folder))
    return found


def _requirements(folder: Path, *, extras: bool) -> list[str]:
    """Names in `Requires-Dist`; markers other than `extra` are taken as true."""
    text = (folder / "METADATA").read_text(encoding="utf-8", errors="replace")
    names = []
    for line in text.partition("\n\n")[0].splitlines():
        field, _, value = line.partition(": ")
        marker = value.partition(";")[2]
        # The tools of a package's own tests move no number, nor does where it runs.
        test_tool = re.search(r"extra\s*==\s*['\"](test|dev|cluster)['\"]", marker)
        skipped = test_tool or ("extra" in marker and not extras)
        match = _NAME.match(value)
        if field == "Requires-Dist" and match and not skipped:
            names.append(_normal(match.group()))
    return names


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
