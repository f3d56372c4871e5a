"""The sixteen studies of `tests/dialect` unfold to the paths that are written down.

`columns.expected` lists, for every estimation, the paths of the tree that differ from
the study's own. Two of its habits contradict the rules of the dialect and are corrected
here by name, so that nothing else can hide behind them:

- after a line that changes one key of a treatment written as a block, its later lines
  show that change, too (rule 5: every line starts at the model);
- `spatial_weights: name` over a block of roles leaves the roles standing (rule 4: a
  scalar replaces).
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from framework.plan import plan
from framework.spec.study import open_study
from framework.vary import unfold

HERE = Path(__file__).parents[1] / "dialect"
STUDIES = sorted(HERE.glob("*.yaml"))
EXPECTED = yaml.safe_load((HERE / "columns.expected").read_text(encoding="utf-8"))

#: study -> (path that leaks, the line that really changes it).
LEAKS = {
    "gip_uicr": ("model.treatment.shift", "placebo.timing"),
    "minimum_wage": ("model.treatment.anticipation", "overall.anticipation"),
    "pension_401k": ("model.treatment.column", "participation.late"),
}
REPLACED = dict.fromkeys(
    ("model.spatial_weights.outcome", "model.spatial_weights.covariates")
)


def corrected(study: str) -> dict[str, dict[str, object]]:
    columns = {a: dict(changes) for a, changes in EXPECTED[study].items()}
    leak, owner = LEAKS.get(study, ("", ""))
    for address, changes in columns.items():
        if address != owner:
            changes.pop(leak, None)
        if study == "spatial_two_w" and "model.spatial_weights.all" in changes:
            changes.update(REPLACED)
    return columns


def unfolded(path: Path) -> dict[str, dict[str, object]]:
    columns = {}
    for variation in unfold(open_study(path)):
        if variation.heading == "model":
            continue
        assert not variation.problems, variation.problems
        changes = dict(variation.changed)
        if variation.draws:
            changes["draws"] = dict(variation.draws)
        columns[variation.address] = changes
    return columns


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_a_study_unfolds_to_what_is_written_down(path: Path) -> None:
    assert unfolded(path) == corrected(path.stem)


def test_every_study_is_written_down() -> None:
    assert {p.stem for p in STUDIES} == set(EXPECTED)
    assert len(STUDIES) == 16


def test_the_corrections_are_still_needed() -> None:
    wrong = {s: corrected(s) != EXPECTED[s] for s in (*LEAKS, "spatial_two_w")}
    assert all(wrong.values()), wrong


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_a_study_plans_against_stand_in_columns(
    path: Path, tmp_path: Path, stand_in: object
) -> None:
    """Columns come from a stand-in header; what is not built is named, not refused."""
    copy = stand_in(path, tmp_path)  # type: ignore[operator]  # a fixture that is a function
    for estimation in plan(open_study(copy)):
        assert not estimation.problems, [str(p) for p in estimation.problems]
