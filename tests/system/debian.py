"""Programs that a system test drives: there already, or from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

#: Where Debian puts programs that are not meant for the PATH of everybody.
_ASIDE = ("/usr/lib/postgresql/*/bin",)


def program(name: str, package: str) -> Path:
    """Path of a program; skips the test where it is not and cannot be installed.

    Args:
        name: of the executable.
        package: of Debian that has it; installed where this is root and apt exists.
    """
    found, failed = _found(name), ""
    if found is None and _may_install():
        failed = _install(package)
        found = _found(name)
    if found is None:
        why = failed or "root with apt-get does it here"
        pytest.skip(f"needs {name}: install {package} ({why})")
    return found


def _found(name: str) -> Path | None:
    aside = [str(p) for pattern in _ASIDE for p in Path("/").glob(pattern[1:])]
    # The newest version of several.
    path = os.pathsep.join([*sorted(aside, reverse=True), os.environ["PATH"]])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


@cache  # where it can't be had, every test that asks need not wait for that
def _install(package: str) -> str:
    """Install a package; what went wrong, "" if nothing."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["update", "-qq"],
        ["install", "-y", "-qq", "--no-install-recommends", package],
    ):
        try:
            done = subprocess.run(
                # The machine's own upgrades may hold dpkg's lock for a while.
                ["apt-get", "-o", "DPkg::Lock::Timeout=120", *command],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
        except subprocess.TimeoutExpired:
            return f"apt-get {command[0]} did not end in 300 s"
        if done.returncode:
            return f"apt-get {command[0]}: {done.stderr.strip()[-300:]}"
    return ""
