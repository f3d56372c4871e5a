"""An event study: is its base period untreated, and can each event time occur?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from framework.audit.finding import Finding, Severity
from framework.audit.rule import Rule
from framework.audit.scene import Scene, listed
from framework.claims import Claim

#: Coefficients on fewer of the treated units than this are about some cohorts only.
_FEW = 0.5


@dataclass(frozen=True, slots=True)
class Events:
    """An event study as written: first and last event time, base, indicators."""

    column: str
    window: tuple[int, int]
    base: int | None
    indicators: tuple[int, ...]
    where: str


def judge(scene: Scene) -> Iterator[Finding]:
    """Every line with a window that the paper prints or speaks of."""
    for events in _studies(scene):
        yield from _base(scene, events)
        yield from _reach(scene, events)


def _studies(scene: Scene) -> Iterator[Events]:
    claims = {scene.column_of(a): c for a, c in scene.claims.said.items()}
    for column, estimation in scene.estimations.items():
        claim = claims.get(column) or Claim()
        if column not in claims and not scene.under(column):
            continue
        options = estimation.model.get("estimator") or {}
        window = claim.window or _pair(options.get("window"))
        if window is None:
            continue
        base = claim.base_period
        base = options.get("reference") if base is None else base
        yield Events(column, window, base, tuple(claim.event_times), claim.where)


def _pair(written: Any) -> tuple[int, int] | None:
    if isinstance(written, Sequence) and len(written) == 2:  # noqa: PLR2004 - first and last
        return int(written[0]), int(written[1])
    return None


def _base(scene: Scene, events: Events) -> Iterator[Finding]:
    base = events.base
    if base is None:
        return
    spec = scene.model(events.column).get("treatment") or {}
    start = -int(spec.get("anticipation") or 0)
    treated = base >= start
    yield _finding(
        scene, events, "inconsistent" if treated else "confirmed",
        f"base period k = {base}",
        f"treatment starts at k = {start}",
        "The base period is treated: every coefficient is a difference from an effect, "
        "and no period before treatment is a test."
        if treated
        else "The base period is untreated.",
        f"k = {base} ≥ {start}" if treated else f"k = {base} < {start}",
    )  # fmt: skip
    if base in events.indicators:
        yield _finding(
            scene, events, "impossible",
            f"base period k = {base}; indicators for k = "
            + ", ".join(map(str, events.indicators)),
            f"{base} is both",
            "The indicators of all event times and fixed effects are collinear: the base "
            "period has no indicator.",
            f"k = {base} stands in both lists",
        )  # fmt: skip


def _reach(scene: Scene, events: Events) -> Iterator[Finding]:
    low, high = events.window
    said = f"window {low} to {high}"
    cohorts = _cohorts(scene, events.column)
    if cohorts is None:
        why = scene.why(events.column) or "the treatment has no cohorts"
        yield _finding(
            scene, events, "cannot be judged", said, why,
            "The cohorts are not known.", "none",
        )  # fmt: skip
        return
    first, last, sizes = cohorts
    total = sum(sizes.values())
    support = {
        k: sum(n for start, n in sizes.items() if first <= start + k <= last)
        for k in range(low, high + 1)
    }
    none = [k for k, n in support.items() if not n]
    few = {k: n for k, n in support.items() if 0 < n < _FEW * total}
    partial = {k: n for k, n in support.items() if 0 < n < total}
    counts = ", ".join(f"k = {k}: {n}" for k, n in partial.items())
    starts = f"cohorts {min(sizes):g} to {max(sizes):g}, periods {first} to {last}"
    if none:
        ends = [int(last - min(sizes)), int(first - max(sizes))]
        yield _finding(
            scene, events, "impossible", said,
            f"no unit is ever at k = {listed(map(str, none))} ({starts}: k from {ends[1]} "
            f"to {ends[0]}); treated units of {total} at {counts or 'all others: all'}",
            "An event time that no cohort reaches within the data has no coefficient.",
            f"0 of {total} treated units at k = {none[-1]}",
        )  # fmt: skip
    elif few:
        yield _finding(
            scene, events, "doubtful", said,
            f"treated units of {total} at {counts}",
            "Coefficients at the ends of the window rest on a minority of the cohorts.",
            ", ".join(f"{n} of {total} at k = {k}" for k, n in few.items()),
        )  # fmt: skip
    else:
        yield _finding(
            scene, events, "confirmed", said,
            f"at least {min(support.values())} of {total} treated units at every k",
            "Every event time of the window is reached by most treated units.",
            f"{min(support.values())} of {total}",
        )  # fmt: skip


def _cohorts(scene: Scene, column: str) -> tuple[int, int, dict[float, int]] | None:
    """First and last period of the data, and treated units by first treated period."""
    design = scene.design(column)
    if design is None:
        return None
    request = design.request
    treatment = request.treatment
    if treatment is None or treatment.cohort is None or request.time is None:
        return None
    frame = request.frame
    starts = frame.groupby(request.unit)[treatment.cohort].first()
    sizes = starts[starts < float("inf")].value_counts()
    if not len(sizes):
        return None
    first, last = int(frame[request.time].min()), int(frame[request.time].max())
    return first, last, {float(k): int(n) for k, n in sizes.items()}  # type: ignore[arg-type]  # labels are floats


def _finding(
    scene: Scene, events: Events, severity: Severity, printed: str, computed: str,
    reason: str, proof: str,
) -> Finding:  # fmt: skip
    return Finding(
        "event_window", severity, events.column, printed, computed, reason, proof,
        basis="design", where=events.where, spec=scene.spec(events.column),
    )  # fmt: skip


RULE = Rule(
    "event_window",
    "is the base period untreated, and is every event time observed?",
    judge,
)
