"""A sweep as Hydra's and MLflow's tutorials have it: one model a job, logged in it."""

from pathlib import Path

import hydra
import mlflow
import pandas as pd
import pyfixest
from hydra.core.hydra_config import HydraConfig

# Read once: every job of Hydra's own launcher runs in this process.
DATA = pd.read_csv("data.csv")
METRICS = ("estimate", "std_error", "t", "p_value", "conf_low", "conf_high")


@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    """Fit, log parameters, metrics and the table."""
    right = " + ".join(["post", *cfg.controls.split()])
    fit = pyfixest.feols(
        f"{cfg.outcome} ~ {right} | sid + year",
        DATA[DATA["sid"] != cfg.without],
        vcov={"CRV1": "sid"},
    )
    table = fit.tidy()
    path = Path(HydraConfig.get().runtime.output_dir, "coefficients.csv")
    table.to_csv(path)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("castle")
    with mlflow.start_run():
        for name in ("outcome", "controls", "without"):
            mlflow.log_param(name, cfg[name])
        mlflow.log_param("estimator", "twfe")
        mlflow.log_param("cluster", "sid")
        for name, value in zip(METRICS, table.loc["post"], strict=True):
            mlflow.log_metric(name, value)
        mlflow.log_metric("n_obs", fit._N)
        mlflow.log_metric("r2", fit._r2)
        mlflow.log_artifact(str(path))


main()
