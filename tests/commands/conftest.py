"""A laboratory: a small panel and a study in an empty folder, run by the real command."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from framework.commands.line import main
from tests.build_panel import staggered

QUICK = ("executor=inline", "tracking=none", "report=quick")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind.

    Attributes:
        exit: the exit code.
        coefficients: every row that was recorded, None when nothing was.
        codes: of the problems on stderr, in order.
    """

    exit: int
    out: str
    err: str
    coefficients: pd.DataFrame | None
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def codes(self) -> list[str]:
        return re.findall(r"\(([A-Z]\d\d)\)$", self.err, re.MULTILINE)

    def row(self, check: str = "main") -> pd.Series:
        """The first (judged) row of a line."""
        assert self.coefficients is not None, self.err
        rows = self.coefficients[self.coefficients.check == check]
        return rows.iloc[0]


@dataclass(slots=True)
class Lab:
    """An empty folder with data, a study and the command line."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def frame(self, **columns: Any) -> pd.DataFrame:
        """40 units, 8 years: y, d, x1, x2, w, region, first; `columns` replace."""
        return staggered(seed=3).assign(**columns)

    def data(self, written: pd.DataFrame | str | bytes, name: str = "data.csv") -> Path:
        """Write the data file."""
        path = self.folder / name
        if isinstance(written, bytes):
            path.write_bytes(written)
        elif isinstance(written, str):
            path.write_text(written, encoding="utf-8")
        else:
            written.to_csv(path, index=False)
        return path

    def study(self, text: str | None = None, **parts: Any) -> Path:
        """Write the study: verbatim text, or the usual one with parts replaced.

        `model`, `data` and other top-level parts are merged into the usual study one
        level deep; None takes a key out.
        """
        path = self.folder / "study.yaml"
        if text is None:
            tree: dict[str, Any] = {
                "study": "fault",
                "data": {
                    "source": "data.csv",
                    "panel": {"unit": "unit", "time": "time"},
                },
                "model": {
                    "outcome": "y",
                    "treatment": "d",
                    "fixed_effects": ["unit", "time"],
                    "inference": {"cluster": "unit"},
                    "estimator": "twfe",
                },
            }
            for key, part in parts.items():
                usual = tree.get(key)
                merged = usual | part if isinstance(usual, dict) else part
                if isinstance(merged, dict):
                    merged = {k: v for k, v in merged.items() if v is not None}
                tree[key] = merged
            text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *args: str, settings: tuple[str, ...] = QUICK) -> Outcome:
        """`estimand run study.yaml …`; whatever came of it."""
        self.capture.readouterr()
        code = main(["run", "study.yaml", *settings, *args])
        said = self.capture.readouterr()
        return self._outcome(code, said.out, said.err)

    def refused(self, *args: str) -> Outcome:
        """As `run`, for a study that must be refused whole: no trace, no estimate."""
        outcome = self.run(*args)
        assert "Traceback" not in outcome.err
        assert outcome.exit not in (0, 9), outcome.out
        assert outcome.out == ""
        # A prepared panel, why a design was refused and the list of jobs may be kept; a
        # cell, a run's folder or a
        # table may not.
        kept = [p for p in self.folder.glob("runs/**/*") if p.is_file()]
        allowed = ("/.cells/panels/", "/.cells/refused/", "/.jobs/")
        assert all(any(a in p.as_posix() for a in allowed) for p in kept), kept
        return outcome

    def _outcome(self, code: int, out: str, err: str) -> Outcome:
        tables = sorted(self.folder.glob("runs/*/*/coefficients.csv"))
        tables = [t for t in tables if t.parent.name != "latest"]
        if not tables:
            return Outcome(code, out, err, None)
        newest = max(tables, key=lambda t: t.stat().st_mtime_ns)
        manifest = json.loads((newest.parent / "manifest.json").read_text("utf-8"))
        return Outcome(code, out, err, pd.read_csv(newest), manifest)


@pytest.fixture
def lab(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Lab:
    """A laboratory in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Lab(tmp_path, capsys)
