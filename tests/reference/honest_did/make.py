"""Makes the files beside it: event studies, and what PyPI's honestdid says of them.

    pip install honestdid==0.1.1 moderndid==0.2.0 pyfixest "numpy<2.4"
    python make.py FOLDER_WITH_honest_bc_beta.csv

`medicaid`: the example of the HonestDiD README, state panel of moderndid's data
(Mixtape-Sessions/Advanced-DID), years to 2015 without the cohort of 2015.
`benzarti_carloni`: the estimates that HonestDiD ships, read from the reference folder.
honestdid inverts its tests on a grid; ours is fine (`grid` in results.csv is its step).
Its simulated critical value has 1,000 draws.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import honestdid
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
#: A run of honestdid takes minutes for each Mbar: few are made.
POINTS, REACH = 400, 8


def medicaid() -> tuple[np.ndarray, np.ndarray, int]:
    import pyfixest as pf
    from moderndid.core.data import load_ehec

    data = pd.DataFrame(load_ehec().to_dict(as_series=False))
    data["year"] = data["year"].astype(int)
    first = pd.to_numeric(data["yexp2"], errors="coerce")
    data = data[(data.year < 2016) & (first != 2015)].copy()
    data["D"] = (first[data.index] == 2014).astype(float)
    years = [y for y in range(2008, 2016) if y != 2013]
    for y in years:
        data[f"y{y}"] = data.D * (data.year == y)
    data["state"] = data.stfips.astype("category").cat.codes
    fit = pf.feols(
        "dins ~ " + " + ".join(f"y{y}" for y in years) + " | state + year",
        data,
        vcov={"CRV1": "state"},
    )
    return fit.coef().to_numpy(), np.asarray(fit._vcov), 5


def benzarti_carloni(folder: Path) -> tuple[np.ndarray, np.ndarray, int]:
    beta = pd.read_csv(folder / "honest_bc_beta.csv").to_numpy().ravel()
    return beta, pd.read_csv(folder / "honest_bc_sigma.csv").to_numpy(), 4


def main(folder: Path) -> None:
    rows = []
    cases = {"medicaid": medicaid(), "benzarti_carloni": benzarti_carloni(folder)}
    for name, (beta, sigma, before) in cases.items():
        after = len(beta) - before
        if name == "medicaid":
            np.savetxt(HERE / "medicaid_beta.csv", beta, fmt="%.17g")
            np.savetxt(HERE / "medicaid_sigma.csv", sigma, fmt="%.17g", delimiter=",")
        first, mean = np.eye(after)[:, :1], np.full((after, 1), 1 / after)
        sizes = {"medicaid": (0, 0.01, 0.02, 0.05), "benzarti_carloni": (0, 0.1, 0.3)}
        for target, l_vec in (("first", first), ("average", mean)):
            center = float(l_vec[:, 0] @ beta[before:])
            se = float(np.sqrt(l_vec[:, 0] @ sigma[before:, before:] @ l_vec[:, 0]))
            reach = REACH * se
            for M, kind in [(m, "FLCI") for m in sizes[name]] + [
                (m, "C-LF") for m in ((0.5, 1.0) if target == "first" else (1.0,))
            ]:
                start = time.perf_counter()
                if kind == "FLCI":
                    found = honestdid.createSensitivityResults(
                        betahat=beta, sigma=sigma, numPrePeriods=before,
                        numPostPeriods=after, l_vec=l_vec, Mvec=np.array([M]),
                        method="FLCI",
                    )  # fmt: skip
                    step = 0.0
                else:
                    found = honestdid.createSensitivityResults_relativeMagnitudes(
                        betahat=beta, sigma=sigma, numPrePeriods=before,
                        numPostPeriods=after, l_vec=l_vec, Mbarvec=np.array([M]),
                        gridPoints=POINTS, grid_lb=center - reach,
                        grid_ub=center + reach,
                    )  # fmt: skip
                    step = 2 * reach / (POINTS - 1)
                found = pd.DataFrame(found).iloc[0]
                if step and (
                    found["lb"] <= center - reach + step
                    or found["ub"] >= center + reach - step
                ):
                    # The last points of the grid are accepted: the interval goes on
                    # beyond it. So ends Benzarti and Carloni's average at M = 1.
                    print(name, target, M, "reaches the end of its grid", flush=True)  # noqa: T201 - a run takes half an hour
                    continue
                rows.append(
                    (name, target, kind, M, found["lb"], found["ub"], step,
                     time.perf_counter() - start)
                )  # fmt: skip
                print(*rows[-1], flush=True)  # noqa: T201 - a run takes half an hour
                names = [
                    "data",
                    "target",
                    "method",
                    "M",
                    "lower",
                    "upper",
                    "grid",
                    "seconds",
                ]
                pd.DataFrame(rows, columns=names).to_csv(
                    HERE / "results.csv", index=False, float_format="%.10g"
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
