"""`hydra/launcher: estimand`: hands all jobs over at once and reports every one."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

ConfigStore.instance().store(
    group="hydra/launcher",
    name="estimand",
    node={"_target_": "hydra_plugins.estimand_launcher.launcher.EstimandLauncher"},
    provider="estimand",
)


class EstimandLauncher(Launcher):
    """One call of the task function for the whole sweep.

    The task function is `framework.multirun`'s: it takes a `framework.overrides.Batch`
    and gives one value per job, where an exception is a failed job.
    """

    def setup(
        self,
        *,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
    ) -> None:
        """Remember the task and the settings (Hydra's interface)."""
        self.config = config
        self.task_function = task_function

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs (Hydra's interface).

        Returns:
            One `JobReturn` per job, in order, failed ones with their exception.
        """
        from framework.composition import plain_conf
        from framework.overrides import Batch, Job

        jobs = tuple(job for job in job_overrides if isinstance(job, Job))
        if len(jobs) != len(job_overrides):
            raise TypeError("hydra/launcher=estimand needs hydra/sweeper=estimand")
        values = self.task_function(Batch(jobs, plain_conf(self.config)))
        return [
            _job_return(job, value) for job, value in zip(jobs, values, strict=True)
        ]


def _job_return(job: Sequence[str], value: object) -> JobReturn:
    status = JobStatus.FAILED if isinstance(value, Exception) else JobStatus.COMPLETED
    return JobReturn(overrides=list(job), status=status, _return_value=value)
