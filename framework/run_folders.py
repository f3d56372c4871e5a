"""Which folders are finished runs, and in what order they were written.

Apart from `framework.record`, which imports pandas: a list of names must not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def is_run(folder: Path) -> bool:
    """Whether a folder is a finished run's."""
    return all((folder / n).is_file() for n in ("manifest.json", "coefficients.csv"))


def run_folders(runs: Path, study: str = "") -> Iterator[Path]:
    """Every finished run below `runs`, oldest first within a study."""
    studies = [runs / study] if study else sorted(runs.glob("[!.]*"))
    for folder in studies:
        # A copy that follows links has a folder `latest`, a run that it has twice.
        named = [r for r in folder.glob("[!.]*") if r.name != "latest"]
        found = [r for r in named if not r.is_symlink() and is_run(r)]
        yield from sorted(found, key=_written)


def newest_run(runs: Path) -> Path | None:
    """The run below `runs` that was written last, of whatever study."""
    return max(run_folders(runs), key=_written, default=None)


def _written(run: Path) -> tuple[str, int, str]:
    """The second in a run's name; within it, when its manifest was written."""
    second = run.name.partition("-")[0]
    return second, (run / "manifest.json").stat().st_mtime_ns, run.name


__all__ = ["is_run", "newest_run", "run_folders"]
