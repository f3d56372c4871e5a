"""Can the printed numbers be true? Rules that compute the answer, each from a module.

`findings` asks every rule. What a rule needs to be estimated it says in `needs`; who
calls runs that as any other estimation and hands the cells over in the scene.
"""

from __future__ import annotations

from dataclasses import replace

from framework.audit.finding import ALARMS, SEVERITIES, Finding, Severity
from framework.audit.rule import Rule
from framework.audit.rules import (
    anticipation,
    autocorrelation,
    bounds,
    controls,
    decomposition,
    descriptives,
    effects,
    event_window,
    filled,
    headers,
    instruments,
    magnitudes,
    moderators,
    notes,
    r_squared,
    repeats,
    samples,
    scores,
    shown,
    spillover,
    stars,
    treated,
    words,
)
from framework.audit.scene import Leaf, Need, Scene

#: In the order of the report.
RULES: tuple[Rule, ...] = (
    bounds.RULE,
    stars.RULE,
    words.RULE,
    notes.RULE,
    headers.RULE,
    shown.RULE,
    descriptives.RULE,
    magnitudes.RULE,
    samples.RULE,
    treated.RULE,
    r_squared.RULE,
    repeats.RULE,
    moderators.RULE,
    event_window.RULE,
    anticipation.RULE,
    decomposition.RULE,
    instruments.RULE,
    autocorrelation.RULE,
    spillover.RULE,
    effects.RULE,
    scores.RULE,
    controls.RULE,
    filled.RULE,
)


def needed(scene: Scene, rules: tuple[Rule, ...] = RULES) -> tuple[Need, ...]:
    """Every estimation that a rule needs, once."""
    found = {need.key: need for rule in rules for need in rule.needs(scene)}
    return tuple(found.values())


def findings(scene: Scene, rules: tuple[Rule, ...] = RULES) -> tuple[Finding, ...]:
    """What the rules find, worst first; rules and lines in their order within.

    An alarm that rests on simulated values is `doubtful` at most.
    """
    found = [
        _weighed(finding, scene) for rule in rules for finding in rule.judge(scene)
    ]
    return tuple(sorted(found, key=lambda f: SEVERITIES.index(f.severity)))


def _weighed(finding: Finding, scene: Scene) -> Finding:
    """What rests on simulated values proves nothing about a paper's own data."""
    if finding.basis != "data" or not scene.simulated:
        return finding
    severity = "doubtful" if finding.alarm else finding.severity
    computed = f"{finding.computed} (in simulated data)"
    return replace(finding, severity=severity, computed=computed)


__all__ = [
    "ALARMS",
    "RULES",
    "SEVERITIES",
    "Finding",
    "Leaf",
    "Need",
    "Rule",
    "Scene",
    "Severity",
    "findings",
    "needed",
]
