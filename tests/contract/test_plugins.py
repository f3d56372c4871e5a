"""The kit over every registered plugin, built in or installed.

A plugin whose options have no defaults is run with those below: a new one adds its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pytest

from framework import registry
from framework.testing import (
    check_estimator,
    check_generator,
    check_learner,
    check_matrix,
    check_restriction,
    check_step,
)

CITIES = [f"city {u * 37 % 101:03d}" for u in range(60)]
OTHER = pd.DataFrame({"city": CITIES, "area": [float(i) for i in range(1, 61)]})
BORDERS = pd.DataFrame(
    {"one": CITIES, "other": [*CITIES[1:], CITIES[0]], "weight": 1.0}
)
PLACES = {"latitude": "latitude", "longitude": "longitude"}
FRONTIER = {
    "inputs": ["land", "labor"],
    "outputs": ["gdp"],
    "returns": "constant",
    "frontier": "yearly",
}
PARTIAL = {k: v for k, v in FRONTIER.items() if k != "returns"} | {
    "orientation": "output"
}
TEST = {
    "inputs": ["land", "labor"],
    "outputs": ["gdp"],
    "orientation": "input",
    "splits": 1,
    "halvings": 1,
}

NOT_ZERO = "its statistic is the distance from the mean without correlation, not zero"

CHECKS = {
    "estimator": check_estimator,
    "step": check_step,
    "matrix": check_matrix,
    "restriction": check_restriction,
    "learner": check_learner,
    "generator": check_generator,
}

#: What the kit is given, options of the plugin and its own arguments, each set a case;
#: columns are the kit's.
ARGUMENTS: Mapping[tuple[str, str], tuple[Mapping[str, Any], ...]] = {
    ("estimator", "double_ml"): (
        {
            "learner": "linear",
            "folds": 2,
            "repetitions": 1,
            "exempt": {"unit_names": "folds are drawn by the names of the units"},
        },
        # In the kit's panel nobody is treated before 2013: no overlap there.
        {
            "kind": "irm",
            "learner": "linear",
            "folds": 2,
            "repetitions": 1,
            "kinds": ["cross_section"],
        },
        {
            "kind": "pliv",
            "learner": "linear",
            "folds": 2,
            "repetitions": 1,
            "kinds": ["repeated_cross_sections", "cross_section"],
        },
    ),
    # As for irm, there is no overlap in the kit's panel.
    ("estimator", "dml_mediation"): (
        {
            "learner": "linear",
            "folds": 3,
            "repetitions": 1,
            "kinds": ["cross_section"],
        },
    ),
    # The kit's treatment is a switch; its dose has four values.
    ("estimator", "continuous_did"): (
        {"model": {"treatment": {"column": "dose", "kind": "dose"}}},
        {
            "basis": "levels",
            "bootstrap": 99,
            "model": {"treatment": {"column": "dose", "kind": "dose"}},
        },
    ),
    # Rows of cross-sections have the year in which their treatment starts, or none.
    ("estimator", "callaway_santanna"): (
        {"kinds": ["panel"]},
        {
            "bootstrap": 99,
            "kinds": ["repeated_cross_sections"],
            "model": {
                "treatment": {"first_treated": "start", "never": 0},
                "fixed_effects": ["year"],
            },
        },
    ),
    ("estimator", "honest_did"): (
        {"kinds": ["panel"]},
        {
            "kinds": ["repeated_cross_sections"],
            "model": {
                "treatment": {"first_treated": "start", "never": 0},
                "fixed_effects": ["year"],
            },
        },
    ),
    ("estimator", "event_study"): ({}, {"window": [-3, 2], "ends": "bin"}),
    # The kit's outcome has no limit: one far from all rows, where it is least squares.
    ("estimator", "truncated"): (
        {"lower": -1e6},
        {"upper": 1e6, "bootstrap": 100, "kinds": ["cross_section"]},
    ),
    # Units, its default, would be estimated one by one in each of the kit's requests.
    ("estimator", "leave_one_out"): ({"drop": "cohorts"},),
    # The kit's outcome has negative values, which an exponential mean cannot give.
    ("estimator", "poisson"): ({"model": {"outcome": "count"}},),
    ("estimator", "logit"): ({"model": {"outcome": "binary", "fixed_effects": []}},),
    # The kit's treatment works alike on both kinds of units: no gap between them.
    ("estimator", "triple_did"): (
        {
            "model": {"outcome": "y"},
            "exempt": {"counts": "the treated are the eligible rows of the treatment"},
        },
    ),
    ("estimator", "probit"): ({"model": {"outcome": "binary", "fixed_effects": []}},),
    ("estimator", "twfe"): (
        {},
        {"leads": [1, 2], "lags": [1], "kinds": ["panel"]},
    ),
    # Mixtures of two quick learners: what is tested is the mixing.
    ("learner", "best"): ({"learners": ["linear", "ridge"]},),
    ("learner", "stacking"): ({"learners": ["linear", "ridge"]},),
    ("learner", "boosting"): ({"trees": 10},),
    ("learner", "extra_trees"): ({"trees": 10},),
    ("learner", "forest"): ({"trees": 10},),
    ("learner", "lightgbm"): ({"trees": 10},),
    ("learner", "xgboost"): ({"trees": 10},),
    ("step", "critic"): ({"columns": ["gdp", "land", "labor"]},),
    ("step", "directional"): (FRONTIER,),
    ("step", "entropy_weight"): ({"columns": ["gdp", "land", "labor"]},),
    ("step", "malmquist"): (FRONTIER | {"frontier": "adjacent", "scale": True},),
    ("step", "order_alpha"): (PARTIAL | {"alpha": 0.9},),
    ("step", "order_m"): (PARTIAL | {"m": 20},),
    ("step", "pca_index"): ({"columns": ["gdp", "land", "labor"]},),
    ("step", "radial"): (FRONTIER | {"orientation": "input"},),
    ("step", "structure_angle"): ({"shares": ["a", "b", "c"]},),
    ("step", "topsis"): ({"columns": ["gdp", "land", "labor"]},),
    # Its efficiency scores take minutes of linear programs.
    ("generator", "aipz"): ({"efficiency": False},),
    ("estimator", "dynamic_spatial_panel"): (
        {},
        {"lag": "outcome", "correction": False},
    ),
    # The kit's outcome has negative values, which G refuses.
    ("estimator", "local_getis_ord"): (
        {"permutations": 99, "model": {"outcome": "gdp"}},
        {"permutations": 99, "star": False, "model": {"outcome": "gdp"}},
    ),
    ("estimator", "local_moran"): ({"permutations": 99},),
    ("estimator", "morans_i"): (
        {"exempt": {"numbers": NOT_ZERO}, "permutations": 99},
        {"exempt": {"numbers": NOT_ZERO}, "of": "both", "variance": "normal"},
    ),
    ("estimator", "slx_decay"): (
        {
            "exempt": {
                "refusals": "the kit's weights are equal within a row: no exponent "
                "changes them"
            }
        },
    ),
    ("estimator", "spatial_panel"): (
        {"lag": "all", "simulations": 50},
        {"lag": "errors", "correction": "elhorst"},
        {"lag": ["covariates", "errors"], "correction": "none"},
        {"lag": "none"},
        {
            "lag": "outcome",
            "method": "gm",
            "model": {"controls": ["x1", "x2"]},
            "exempt": {},
        },
    ),
    # One cohort of fewer units than are untreated, which placebos need.
    ("estimator", "synthetic_control"): (
        {
            "importance": "equal",
            "placebos": 10,
            "model": {"sample": {"early": {"name": "where", "where": "year <= 2014"}}},
            "exempt": {
                "influence": "the errors come from placebos, which no cluster adds to",
                "unit_names": "placebos are drawn by the order of the units",
            },
        },
    ),
    # The kit has more treated than untreated units: no placebo is as large.
    ("estimator", "synthetic_did"): (
        {"errors": "jackknife"},
        {
            "errors": "bootstrap",
            "replications": 20,
            "exempt": {
                "influence": "the errors come from replicates, which no cluster adds to",
                "unit_names": "samples are drawn by the order of the units",
            },
        },
    ),
    ("matrix", "block"): ({"column": "region"},),
    ("matrix", "contiguity"): (
        {
            "edges": "borders.csv",
            "frames": {"edges": BORDERS},
            "pair": ["one", "other"],
        },
    ),
    ("matrix", "economic_distance"): (
        {"income": "gdp", "at": 2010},
        {"income": "gdp", "at": 2010, "form": "product"} | PLACES,
    ),
    ("matrix", "from_file"): (
        {
            "path": "borders.csv",
            "form": "pairs",
            "pairs": ["one", "other", "weight"],
            "frames": {"weights": BORDERS},
        },
    ),
    ("matrix", "inverse_distance"): (PLACES, {"cutoff_km": 3000.0} | PLACES),
    ("matrix", "k_nearest"): ({"k": 4} | PLACES,),
    ("restriction", "match"): (
        {},
        {"neighbours": 3, "distance": "mahalanobis", "exact": ["size"]},
        {
            "replacement": False,
            "exempt": {"unit_names": "a hash of the name says who chooses first"},
        },
        {"method": "radius", "caliper": 0.5, "caliper_unit": "sd", "weighted": False},
        {"method": "kernel", "support": "both"},
    ),
    ("restriction", "trim"): ({}, {"bounds": "crump"}),
    ("step", "above"): (
        {"column": "gdp", "cut": "mean"},
        {"column": "gdp", "cut": "median", "at": 2012},
    ),
    ("step", "asinh"): ({"columns": "x1"},),
    ("step", "at"): ({"column": "gdp", "year": 2014},),
    ("step", "derive"): ({"formula": "gdp / land - 1"},),
    ("step", "dummies"): ({"column": "industry"},),
    ("step", "exposure"): (
        {"of": "d", "form": "nearest_km"} | PLACES,
        {"of": "d", "form": "share", "within_km": 500.0, "ever": True} | PLACES,
    ),
    ("step", "indicator"): ({"where": "year >= 2013 and gdp > 2"},),
    ("step", "interpolate"): ({}, {"columns": ["gaps"]}),
    ("step", "keep"): ({"where": "year >= 2012"},),
    ("step", "lag"): ({"columns": "gdp"}, {"columns": ["x1", "gdp"], "periods": 2}),
    ("step", "lead"): ({"columns": {"next": "gaps"}},),
    ("step", "log"): ({"columns": "gdp"}, {"columns": ["gdp", "land"]}),
    ("step", "log1p"): ({"columns": "gdp"},),
    ("step", "merge"): (
        {
            "source": "other.csv",
            "on": "city",
            "columns": {"size_of_land": "area"},
            "frames": {"made.source": OTHER},
        },
    ),
    ("step", "quantiles"): ({"column": "gdp", "number": 4},),
    ("step", "ratio"): ({"over": "gdp", "under": "land"},),
    ("step", "recode"): ({"columns": "size", "map": {0: 1, 1: 2}},),
    ("step", "ring"): ({"of": "d", "edges": [0, 200, 1000]} | PLACES,),
    ("step", "sbm"): (FRONTIER,),
    ("step", "scale_test"): (TEST,),
    ("step", "separability"): (TEST | {"by": "size", "returns": "constant"},),
    ("step", "share"): ({"of": "land", "total": ["land", "labor"]},),
    ("step", "square"): ({"columns": "x1"},),
    ("step", "standardize"): ({"columns": "x1"}, {"columns": ["x1"]}),
    ("step", "winsorize"): (
        {"limits": [0.01, 0.99]},
        {"limits": [0.05, 0.95], "columns": ["gdp"]},
    ),
}
#: Rules that can't hold for a plugin, with the reason. The kit refuses idle ones.
EXEMPT: Mapping[tuple[str, str], Mapping[str, str]] = {}


def cases() -> Iterator[Any]:
    for kind in registry.KINDS:
        for name in registry.names(kind):
            for number, arguments in enumerate(ARGUMENTS.get((kind, name), ({},))):
                yield pytest.param(kind, name, arguments, id=f"{kind}-{name}-{number}")


@pytest.mark.parametrize(("kind", "name", "arguments"), list(cases()))
def test_the_plugin_keeps_the_contract(
    kind: registry.Kind, name: str, arguments: Mapping[str, Any]
) -> None:
    CHECKS[kind](
        registry.get(kind, name),
        **({"exempt": EXEMPT.get((kind, name), {})} | dict(arguments)),
    )


def test_every_line_here_is_of_a_plugin_that_exists() -> None:
    named = {*ARGUMENTS, *EXEMPT}
    known = {(kind, name) for kind in registry.KINDS for name in registry.names(kind)}
    assert named <= known
