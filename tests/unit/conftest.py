"""Stand-in data: a header with every column that a study names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from framework.named_columns import used_columns
from framework.spec.study import open_study


@pytest.fixture
def stand_in() -> Callable[[Path, Path], Path]:
    """Copy a study beside a CSV that has just its columns."""

    def make(path: Path, folder: Path) -> Path:
        for other in path.parent.glob("*.yaml"):
            shutil.copy(other, folder / other.name)
        copy = folder / path.name
        shutil.copytree(path.parent / "published", folder / "published")
        study = open_study(copy)
        columns = used_columns(study)
        (folder / "data").mkdir()
        (folder / "data" / "stand_in.csv").write_text(",".join(columns) + "\n")
        for name in folder.glob("*.yaml"):
            text = name.read_text(encoding="utf-8")
            text = re.sub(
                r"source: (\{[^}]*\}|[^\s,}]+)",
                "source: data/stand_in.csv",
                text,
                count=1,
            )
            text = re.sub(r"published: .*", "", text)
            name.write_text(text, encoding="utf-8")
        assert yaml.safe_load(copy.read_text(encoding="utf-8"))
        return copy

    return make
