"""The seed names what draws, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework import registry
from framework.commands.preparing import is_random, job_of
from framework.contract import Estimator
from framework.plan import plan
from framework.spec.study import open_study
from tests.build_panel import staggered

STUDY = """\
study: seeds
seed: {seed}
data:
  source: data.csv
  panel: {{unit: unit, time: time}}
model:
  outcome: y
  treatment: d
  controls: [x1]
  fixed_effects: [unit, time]
  inference: {{cluster: unit}}
  estimator: twfe
checks:
  main:
    plain: {{}}
    placebo: {{draws: {{permute: treatment, times: 9}}}}
    learned: {{estimator: {{double_ml: {{learner: lasso}}}}}}
    dynamic: {{fixed_effects: null, estimator: callaway_santanna}}
    banded: {{fixed_effects: null, estimator: {{callaway_santanna: {{bootstrap: 99}}}}}}
"""
RANDOM = {"main.plain": False, "main.placebo": True, "main.learned": True}
RANDOM |= {"main.dynamic": False, "main.banded": True}


def jobs(folder: Path, seed: int):
    (folder / "study.yaml").write_text(STUDY.format(seed=seed), encoding="utf-8")
    staggered(seed=3).to_csv(folder / "data.csv", index=False)
    study = open_study(folder / "study.yaml")
    planned = [e for e in plan(study) if not e.hidden]
    assert [e.problems for e in planned] == [()] * len(planned)
    assert {e.address: is_random(e) for e in planned} == RANDOM
    return {e.address: job_of(study.seed, e, "panel") for e in planned}


def test_a_new_seed_renames_what_draws_and_nothing_else(tmp_path: Path) -> None:
    one, two = jobs(tmp_path, 1), jobs(tmp_path, 2)
    moved = {a: one[a].fingerprint != two[a].fingerprint for a in one}
    assert moved == RANDOM
    # What does not draw is not told the seed, so no number can depend on it.
    assert {a: job.seed for a, job in two.items()} == {
        address: 2 if random else 0 for address, random in RANDOM.items()
    }


def test_an_unknown_inference_is_taken_to_draw(tmp_path: Path) -> None:
    study = STUDY.format(seed=1)
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    staggered(seed=3).to_csv(tmp_path / "data.csv", index=False)
    (plain, *_) = plan(open_study(tmp_path / "study.yaml"))
    assert not is_random(plain)
    model = {**plain.model, "inference": {"name": "wild_bootstrap", "cluster": "unit"}}
    from dataclasses import replace

    assert is_random(replace(plain, model=model))


@pytest.mark.parametrize("name", sorted(registry.names("estimator")))
def test_who_reads_the_seed_says_when(name: str) -> None:
    plugin = registry.estimator(name)
    assert issubclass(plugin, Estimator)
    options = plugin.model_fields
    draws = {"bootstrap", "permutations", "folds", "draws", "repetitions"} & set(
        options
    )
    declared = plugin.random or plugin.is_random is not Estimator.is_random
    assert declared or not draws, f"{name} has {draws} and never says that it draws"
