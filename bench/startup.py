"""How fast a study is validated: against importing what that cannot do without."""

from __future__ import annotations

import re
import sys

from bench.figures import ESTIMAND, STUDY, Figure, alternate, ratio, run

#: Seconds each; none is needed to read a study. `pyfixest` itself is a light shell.
HEAVY = (
    "mlflow",
    "spreg",
    "doubleml",
    "pyfixest.estimation",
    "matplotlib",
    "pandas",
)


def modules(*arguments: str) -> set[str]:
    """All modules that the command imported by the time it ended."""
    done = run(sys.executable, "-X", "importtime", ESTIMAND, *arguments)
    lines = re.findall(r"^import time: .*\| +(\S+)$", done.stderr, re.MULTILINE)
    if "framework.__main__" not in lines:
        raise RuntimeError("no import times were printed, so nothing was checked")
    return set(lines)


def measure() -> list[Figure]:
    """Start-up of `--help` and `validate`, and the heavy modules they load (none)."""
    seconds = alternate(
        9,
        floor=lambda: run(sys.executable, "-c", "import pydantic, yaml"),
        help=lambda: run(ESTIMAND, "--help"),
        validate=lambda: run(ESTIMAND, "validate", str(STUDY)),
    )
    loaded = modules("--help") | modules("validate", str(STUDY))
    heavy = [name for name in HEAVY if name in loaded]
    return [
        ratio("--help / import pydantic, yaml", seconds["help"], seconds["floor"], 5),
        ratio(
            "validate / import pydantic, yaml",
            seconds["validate"],
            seconds["floor"],
            5,
        ),
        Figure(
            "heavy modules loaded by --help and validate",
            len(heavy),
            "modules",
            0,
            ", ".join(heavy) or "none of " + ", ".join(HEAVY),
        ),
    ]
