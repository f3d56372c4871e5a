"""Which software made the numbers."""

from __future__ import annotations

import platform
import re
import tomllib
from importlib import metadata
from pathlib import Path

_DISTRIBUTION = "estimand"


def _declared() -> tuple[str, list[str]]:
    """Our version and requirements: installed, or from the checkout's pyproject."""
    try:
        return (
            metadata.version(_DISTRIBUTION),
            [r for r in metadata.requires(_DISTRIBUTION) or [] if "extra ==" not in r],
        )
    except metadata.PackageNotFoundError:
        pyproject = Path(__file__).parents[2] / "pyproject.toml"
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        return project["version"], project["dependencies"]


def versions() -> dict[str, str]:
    """Python, the platform, ours and every distribution that ours requires."""
    ours, requirements = _declared()
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        _DISTRIBUTION: ours,
    }
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
