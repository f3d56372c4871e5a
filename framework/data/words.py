"""The model in words: what stands in tables and plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from framework.contract import Estimator, Request
from framework.data.working import HIDDEN, Roles, Working, inference_of
from framework.spec.model import Model
from framework.spec.restrictions import RESTRICTIONS

#: What p values come from that are not those of a t distribution.
_DRAWN = {
    "wild_bootstrap": "wild bootstrap",
    "ferman_pinto": "Ferman and Pinto's draws",
}


def labels(
    model: Model, roles: Roles, work: Working, request: Request, estimator: Estimator
) -> dict[str, Any]:
    """What stands in the table: outcome, treatment, controls, effects, formula."""

    def names(found: Sequence[str]) -> list[str]:
        return [roles.names[n].rstrip(HIDDEN) for n in found]

    outcome = roles.names[roles.outcome] if roles.outcome else ""
    left = {request.labels[e].rstrip(HIDDEN) for e in estimator.effects_left(request)}
    effects = [name for name in names(roles.effects) if name not in left] + [
        f"{roles.names[by].rstrip(HIDDEN)} slopes in {roles.names[variable]}"
        for variable, by in roles.slopes
    ]
    columns = request.treatment.columns if request.treatment else ()
    judged = request.treatment.judged if request.treatment else ()
    treatment = [request.labels[c] for c in dict.fromkeys((*columns, *judged))]
    inference = ""
    if "inference" in estimator.demands().uses:
        flat = inference_of(model, work.panel)
        inference = estimator.names_errors(flat["name"], said_inference(flat))
    weights = roles.names[roles.weights] if roles.weights else ""
    if weights and model.weights:
        weights = f"{model.weights['name']} weights {model.weights['column']}"
    right = " + ".join([*treatment, *names(roles.controls)]) or "1"
    formula = f"{outcome} ~ {right}" if outcome else right
    # The moderator's main effect has a row of its own, or a note says why it has none.
    controls = names([c for c in roles.controls if c not in roles.main_effects])
    if type(estimator).estimates == "diagnostic":
        # Its rows are those of the model; what it reads may be less.
        controls = controls if "controls" in estimator.demands().uses else []
        listed = [outcome, *treatment, *names(roles.controls)]
        formula = ", ".join(name for name in listed if name)
    elif effects:
        formula += " | " + " + ".join(effects)
    return {
        "outcome": outcome,
        "treatment": treatment,
        "controls": controls,
        "fixed_effects": effects,
        "instruments": names(roles.instruments),
        "inference": inference,
        "weights": weights,
        "sample": [said_restriction(n, f) for n, f in model.sample.items()],
        "formula": formula,
    }


def said_inference(flat: Mapping[str, Any]) -> str:
    """Such as `clustered by sid`."""
    name = flat["name"]
    if name == "cluster":
        by = flat["by"] if isinstance(flat["by"], list) else [flat["by"]]
        said = [" × ".join(b) if isinstance(b, list) else str(b) for b in by]
        jackknife = ", jackknifed (CV3)" if flat.get("type") == "CV3" else ""
        return f"clustered by {' and '.join(said)}{jackknife}"
    if name in _DRAWN:
        by = flat["cluster"] if isinstance(flat["cluster"], list) else [flat["cluster"]]
        said = [" × ".join(b) if isinstance(b, list) else str(b) for b in by]
        return f"clustered by {' and '.join(said)}, p by {_DRAWN[name]}"
    if name == "conley":
        lags = f", {flat['lags']} lags" if flat.get("lags") else ""
        kernel = flat.get("kernel", "bartlett").capitalize()
        return f"Conley, {kernel} kernel to {flat['cutoff_km']:g} km{lags}"
    words = {
        "iid": "homoskedastic",
        "hetero": f"heteroskedasticity-robust ({flat.get('type', 'HC1')})",
        "newey_west": f"Newey-West, {flat.get('lags')} lags",
        "driscoll_kraay": f"Driscoll-Kraay, {flat.get('lags')} lags",
    }
    return words.get(name, str(name).replace("_", " "))


def said_restriction(name: str, flat: Mapping[str, Any]) -> str:
    """One restriction in words."""
    kind = flat["name"]
    if kind == "where":
        return str(flat["where"])
    if kind in ("only", "without"):
        held = flat["values"] if isinstance(flat["values"], list) else [flat["values"]]
        word = "only" if kind == "only" else "without"
        return f"{word} {flat['column']} {', '.join(map(str, held))}"
    if kind not in RESTRICTIONS:
        return f"{kind} '{name}'"  # its own note says the rest
    rest = ", ".join(f"{k} {v}" for k, v in flat.items() if k != "name")
    return f"{kind.replace('_', ' ')} {rest}".strip() or name
