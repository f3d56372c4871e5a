"""Faults of the data steps: efficiency scores without a meaning.

A fault is a small panel and a study with one thing wrong, run by the real command. The
numbers in the names are rows of the project's table of faults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.build_faults import Faults, cells
from tests.commands.conftest import Lab

fault = Faults()


# -- rows 60-63: efficiency scores -----------------------------------------------------


def scored(
    lab: Lab, change: Callable[[pd.DataFrame], pd.DataFrame], **step: Any
) -> None:
    """A panel of inputs and outputs with something wrong, scored by `sbm`."""
    rng = np.random.default_rng(2)
    frame = lab.frame()
    frame = frame.assign(
        **{name: np.exp(rng.normal(0, 0.3, len(frame))) for name in ("land", "gdp")}
    )
    lab.data(change(frame))
    written = {"inputs": ["land"], "outputs": ["gdp"], "returns": "constant"}
    written |= {"frontier": "pooled", **step}
    lab.study(data={"steps": {"eff": {"sbm": written}}}, model={"outcome": "eff"})


@fault(3, "D01", "'eff' missing in 1 of 320 rows", "u000, 2000", "data.missing: drop")
def row_60_no_combination_of_others_reaches_a_row(lab: Lab) -> None:
    best = {"returns": "variable", "orientation": "input", "super_efficiency": True}
    scored(lab, lambda f: cells(f, "gdp", [0], 99.0), **best)


@fault(3, "L02", "input 'land' is zero in 2 of 320 rows: u000 2003", "zeros: drop_term")
def row_62_zero_input(lab: Lab) -> None:
    scored(lab, lambda f: cells(f, "land", [3, 9], 0.0))


@fault(3, "L02", "output 'gdp' is zero in 1 of 320 rows: u000 2003", "zeros: small")
def row_62_zero_output(lab: Lab) -> None:
    scored(lab, lambda f: cells(f, "gdp", [3], 0.0))


@fault(3, "L02 L02", "'land' is negative in 1 of 320", "'gdp' is negative in 1 of 320")
def row_63_negative_cells_of_a_peer(lab: Lab) -> None:
    scored(lab, lambda f: cells(cells(f, "land", [3], -1.0), "gdp", [4], -0.1))


@fault(3, "L04", "2 of 320 rows lack a quantity (land 2): u000 2003", "missing: skip")
def row_63_missing_quantities(lab: Lab) -> None:
    scored(lab, lambda f: cells(f, "land", [3, 9], np.nan))


@fault(3, "L03", "all 320 rows have the same quantities", "every score would be 1")
def row_63_all_alike(lab: Lab) -> None:
    scored(lab, lambda f: f.assign(land=1.0, gdp=2.0))


@fault(3, "L03", "has 1 row with all quantities", "a row alone is its own frontier")
def row_63_one_row_only(lab: Lab) -> None:
    scored(lab, lambda f: f.assign(land=f["land"].where(f.index == 0)), missing="skip")


@fault(3, "T02", "the treatment 'd' is not 0/1", "reference: 'd = 0'")
def row_63_peers_by_a_dose(lab: Lab) -> None:
    scored(
        lab,
        lambda f: f.assign(d=2.5 * f["d"]),
        reference={"rows": "never", "treatment": "d"},
    )


@pytest.mark.parametrize("name", fault.found)
def test_a_fault_is_refused_by_name(name: str, lab: Lab) -> None:
    fault.found[name].refused(lab)
