"""What `honest_did` reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimators._math.honest import (
    Interval,
    Path,
    breakdown,
    excludes_zero,
    largest_curvature,
    original,
    relative_magnitudes,
    smoothness,
)
from estimators._math.projection import Floats
from estimators._sensitivity.events import Events, event_study_of
from framework.errors import IdentificationError, NumericalError
from framework.result import COEFFICIENT_COLUMNS, Plot, Result

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Estimator, Request

#: Values of M for smoothness where the study names none: 0 to the largest curvature
#: before treatment that the data do not reject.
STEPS = 5
#: Scalars that stay those of the event study.
KEPT = (
    "n_obs",
    "n_units",
    "n_periods",
    "n_treated_units",
    "n_treated_obs",
    "n_clusters",
    "n_singletons",
    "outcome_mean",
    "outcome_mean_before",
)


@dataclass(frozen=True, slots=True)
class Options:
    """As in `HonestDid`; `effect`: event time -> weight, None = average of all."""

    effect: Mapping[int, float] | None
    relative_magnitudes: tuple[float, ...]
    smoothness: tuple[float, ...] | None


def honest(request: Request, of: Estimator, options: Options) -> Result:
    """Robust intervals by size of the violation, and where they first hold zero."""
    import pandas as pd

    events = event_study_of(request, of)
    path = Path(events.beta, events.sigma, events.before, _weights(events, options))
    alpha = 1 - request.confidence
    plain = original(path, alpha)
    curvature = largest_curvature(path, alpha)
    M_smooth = options.smoothness
    if M_smooth is None:
        M_smooth = tuple(np.linspace(0, curvature, STEPS)) if curvature else ()
    rows = [("parallel_trends", "original", 0.0, plain)]
    rows += _rows(
        "relative_magnitudes", "C-LF", options.relative_magnitudes, path, alpha
    )
    rows += _rows("smoothness", "FLCI", M_smooth, path, alpha)
    scalars = {k: v for k, v in events.result.scalars.items() if k in KEPT}
    notes = [*_target(events, options), *events.result.notes]
    for name, used in (
        ("relative_magnitudes", bool(options.relative_magnitudes)),
        ("smoothness", bool(M_smooth)),
    ):
        if used:
            scalars |= _breakdown(name, path, alpha, curvature, notes)
    sensitivity = pd.DataFrame(
        [(r, method, m, i.lower, i.upper) for r, method, m, i in rows],
        columns=["restriction", "method", "M", "lower", "upper"],
    )
    if empty := [f"{m:g}" for _, _, m, i in rows if not i.lower <= i.upper]:
        raise NumericalError(
            "N01",
            f"no value is accepted at M = {', '.join(empty)}",
            why="The estimates before treatment contradict the restriction.",
            fix="larger values of M",
        )
    return Result(
        coefficients=_table(request, events, path, plain),
        influence=pd.DataFrame(
            {0: events.psi.to_numpy() @ path.load}, index=events.psi.index
        ),
        scalars=scalars | {"df_t": float("inf")},
        tests=events.result.tests,
        frames={
            "sensitivity": sensitivity,
            "event_study": _event_frame(events, path),
            **{k: v for k, v in events.result.frames.items() if k == "support"},
        },
        plots=(
            Plot(
                "sensitivity",
                "sensitivity",
                options={
                    "breakdown": {
                        name: scalars[f"breakdown_{name}"]
                        for name in ("relative_magnitudes", "smoothness")
                        if f"breakdown_{name}" in scalars
                    }
                },
            ),
        ),
        notes=tuple(notes),
    )


def _weights(events: Events, options: Options) -> Floats:
    """(T,) l: weights of the target on the event times after the reference."""
    after = events.times[events.before :]
    treated = [t for t in after if t >= 0]
    wanted = options.effect
    if wanted is None:
        wanted = dict.fromkeys(treated, 1 / len(treated))
    absent = sorted(set(wanted) - set(treated))
    if absent:
        raise IdentificationError(
            "E12",
            f"{events.name} has no effect at event time {', '.join(map(str, absent))}",
            fix=f"estimator.effect: some of {', '.join(map(str, treated))}",
        )
    return np.array([wanted.get(t, 0.0) for t in after])


def _rows(
    name: str, method: str, M: Sequence[float], path: Path, alpha: float
) -> list[tuple[str, str, float, Interval]]:
    if not M:
        return []
    make = relative_magnitudes if name == "relative_magnitudes" else smoothness
    found = make(path, np.asarray(M, dtype=np.float64), alpha)
    return [(name, method, float(m), i) for m, i in zip(M, found, strict=True)]


def _breakdown(
    name: str, path: Path, alpha: float, curvature: float, notes: list[str]
) -> dict[str, float]:
    """The scalar and its sentence."""
    relative = name == "relative_magnitudes"
    scale = 1.0 if relative or not curvature else curvature

    def holds(M: Floats) -> list[bool]:
        if relative:
            return excludes_zero(path, M, alpha)
        return [i.excludes_zero for i in smoothness(path, M, alpha)]

    found = breakdown(holds, scale)
    level = f"{1 - alpha:.0%}"
    if found is None:
        notes.append(f"No violation ({name.replace('_', ' ')}) is large enough to bring "
                     f"zero into the {level} interval.")  # fmt: skip
        return {}
    if found == 0:
        said = (
            "even without violations"
            if relative
            else "even if the difference in trends is a straight line"
        )
        notes.append(f"The {level} interval holds zero {said}: nothing breaks down.")
    elif relative:
        notes.append(
            f"The {level} interval excludes zero as long as no step of the difference "
            f"in trends after treatment is more than {found:.3g} times the largest one "
            "before it (relative magnitudes, C-LF)."
        )
    else:
        notes.append(
            f"The {level} interval excludes zero as long as the slope of the difference "
            f"in trends changes by no more than {found:.3g} outcome units per period "
            "(smoothness, FLCI)."
        )
    return {f"breakdown_{name}": found}


def _target(events: Events, options: Options) -> Iterator[str]:
    path = ", ".join(str(t) for t in events.times[: events.before])
    if options.effect is None:
        listed = "the plain average over event times from 0 on"
    elif len(options.effect) == 1:
        listed = f"the effect at event time {next(iter(options.effect))}"
    else:
        weights = ", ".join(f"{w:.3g} at {t}" for t, w in options.effect.items())
        listed = f"a weighted effect ({weights})"
    yield (
        f"att is {listed} of {events.name}; its differences in trends before treatment "
        f"are those at event times {path}, from {events.reference}."
    )


def _event_frame(events: Events, path: Path) -> pd.DataFrame:
    """What the intervals were made from."""
    import pandas as pd

    return pd.DataFrame(
        {
            "event_time": events.times,
            "estimate": events.beta,
            "std_error": np.sqrt(np.diag(events.sigma)),
            "weight": path.load,
        }
    )


def _table(
    request: Request, events: Events, path: Path, plain: Interval
) -> pd.DataFrame:
    import pandas as pd
    from scipy.special import ndtr

    del request
    estimate = float(path.load @ path.beta)
    error = float(np.sqrt(path.load @ path.sigma @ path.load))
    z = estimate / error
    row = (
        "main", "att", events.term, estimate, error, z, 2 * float(ndtr(-abs(z))),
        plain.lower, plain.upper,
    )  # fmt: skip
    return pd.DataFrame([row], columns=list(COEFFICIENT_COLUMNS))
