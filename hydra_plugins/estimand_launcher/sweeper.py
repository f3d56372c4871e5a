"""`hydra/sweeper: estimand`: unfolds changes of a study into jobs, composing none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

# A plain mapping: Hydra's scan executes this module before it is in `sys.modules`,
# where `dataclass` would look for it.
ConfigStore.instance().store(
    group="hydra/sweeper",
    name="estimand",
    node={
        "_target_": "hydra_plugins.estimand_launcher.sweeper.EstimandSweeper",
        "overrides": [],
    },
    provider="estimand",
)


class EstimandSweeper(Sweeper):
    """All jobs of the grid to the launcher, at once.

    Args:
        overrides: changes of the study; they replace those of the named sweep
            (`sweep.overrides` of the configuration) that have the same path.
    """

    def __init__(self, overrides: Sequence[str] = ()) -> None:
        self.overrides = tuple(overrides)

    def setup(
        self,
        *,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
    ) -> None:
        """Make the launcher (Hydra's interface)."""
        from hydra.core.plugins import Plugins

        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Unfold and launch (Hydra's interface).

        Args:
            arguments: Hydra's own overrides; changes of the study among them count
                too, as in `python my_app.py -m model.estimator=twfe,event_study`.

        Returns:
            One `JobReturn` per job, in the order of the grid.
        """
        from framework.overrides import changes, changes_study, expand, join, split

        if self.config is None or self.launcher is None:
            raise RuntimeError("setup() comes before sweep()")
        named = changes(list(self.config.sweep.overrides), "named sweep, override")
        typed = split([*filter(changes_study, arguments), *self.overrides]).study
        jobs = expand(join(named, typed))
        return self.launcher.launch(jobs, initial_job_idx=0)
