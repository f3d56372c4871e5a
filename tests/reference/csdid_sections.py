"""Writes csdid_sections.csv: what Python's csdid makes of repeated cross-sections.

Run in an environment of its own, from the root of the checkout:
    pip install csdid==0.4.3 && python -m tests.reference.csdid_sections
Every row is as an estimate beside its analytic standard error, rows independent.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from tests.build_sections import surveys

METHODS = {"reg": "regression", "ipw": "ipw", "dr": "doubly_robust"}
GROUPS = {"nevertreated": "never_treated", "notyettreated": "not_yet_treated"}
KINDS = {
    "simple": "att",
    "group": "by_cohort",
    "calendar": "by_period",
    "dynamic": "by_event_time",
}


def cases() -> list[dict[str, object]]:
    """Method, controls, base, covariates, anticipation, weights."""
    found = [
        {"method": m, "group": g, "base": "universal", "x": True}
        for m in METHODS
        for g in GROUPS
    ]
    found += [
        {"method": "dr", "group": "notyettreated", "base": "varying", "x": False},
        {"method": "dr", "group": "notyettreated", "base": "varying", "x": True}
        | {"anticipation": 1},
        {"method": "dr", "group": "nevertreated", "base": "universal", "x": True}
        | {"weights": True},
    ]
    return found


def main() -> None:
    from csdid.att_gt import ATTgt

    warnings.simplefilter("ignore")
    data = surveys(11, trend_in_x=0.1)
    rows = []
    for case in cases():
        fitted = ATTgt(
            yname="y",
            gname="law_year",
            idname="person",
            tname="year",
            xformla="y ~ x" if case["x"] else "y ~ 1",
            data=data.drop(columns=["first"]),
            control_group=[case["group"]],
            weights_name="w" if case.get("weights") else None,
            anticipation=case.get("anticipation", 0),
            panel=False,
        ).fit(est_method=case["method"], base_period=case["base"], bstrap=False)
        said = {
            "method": METHODS[str(case["method"])],
            "control_group": GROUPS[str(case["group"])],
            "base_period": case["base"],
            "controls": "x" if case["x"] else "",
            "anticipation": case.get("anticipation", 0),
            "weights": "w" if case.get("weights") else "",
        }
        for kind, estimand in KINDS.items():
            found = fitted.aggte(kind, bstrap=False, cband=False).atte
            if kind == "simple":
                rows.append(
                    {**said, "estimand": estimand, "at": np.nan}
                    | {"estimate": found["overall_att"]}
                    | {"std_error": found["overall_se"]}
                )
                continue
            errors = np.asarray(found["se_egt"], dtype=float).ravel()
            for at, effect, error in zip(
                found["egt"], found["att_egt"], errors, strict=True
            ):
                rows.append(
                    {**said, "estimand": estimand, "at": at}
                    | {"estimate": effect, "std_error": error}
                )
    table = pd.DataFrame(rows)
    table.to_csv(Path(__file__).with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
