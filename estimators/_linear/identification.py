"""Why a coefficient is not identified, worked out only when a fit failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators._math.projection import Floats, demean_once, residual_ratio
from framework.errors import EstimandError, IdentificationError, Problem

if TYPE_CHECKING:
    from estimators._linear.design import Design

#: Norm left of a column, relative, below which it is an exact function of others: the
#: square root of double precision; what is left is rounding of the data themselves.
EXACT = 1e-8
#: The same for "nearly": the treatment's partial R2 is 1 - NEARLY**2 = 1 - 1e-8.
NEARLY = 1e-4
#: Near collinearity among controls from which no coefficient is printed.
NEARLY_CONTROLS = 1e-5


def explain(design: Design, Z: Floats) -> tuple[list[int], list[str]]:
    """Positions of controls that may be left out, with notes; else raise.

    Args:
        design: the failed fit's design.
        Z: (n, k) regressors with fixed effects and slopes absorbed, each divided by
            its overall standard deviation, times the root of the weights (mean one).

    Raises:
        IdentificationError: I02 a wanted regressor is absorbed by the fixed effects,
            I03 it is a function of controls, I04 it is nearly one.
    """
    regressors = design.regressors
    norm = np.linalg.norm(Z, axis=0)
    gone = norm <= EXACT * np.sqrt(len(Z))
    problems: list[Problem] = []
    omitted: list[int] = []
    notes: list[str] = []
    for j in [int(i) for i in np.flatnonzero(gone)]:
        if regressors[j].wanted:
            problems += _absorbed(design, j).problems
        else:
            omitted.append(j)
            why = _constant_where(design, j)
            notes.append(f"'{regressors[j].name}' is left out: {why}.")
    if problems:
        raise EstimandError(problems)

    unit = Z / np.where(gone, 1.0, norm)
    kept = [j for j, r in enumerate(regressors) if not r.wanted and not gone[j]]
    while True:
        # Size of each control off those before it, in one factorization.
        left = np.abs(np.diag(np.linalg.qr(unit[:, kept], mode="r")))
        if not np.any(left < EXACT):
            break
        at = int(np.flatnonzero(left < EXACT)[0])
        j, before = kept[at], kept[:at]
        _, b = residual_ratio(unit[:, j], unit[:, before])
        of = [regressors[before[i]].name for i in np.flatnonzero(np.abs(b) > EXACT)]
        omitted.append(j)
        notes.append(
            f"'{regressors[j].name}' is left out: it is a linear combination of "
            f"{_listed(of)} and the fixed effects."
        )
        kept.remove(j)

    problems += _wanted(design, unit, norm, kept)
    if problems:
        raise EstimandError(problems)
    if kept and left.min() < NEARLY_CONTROLS:
        raise _nearly(design, kept[int(left.argmin())], float(left.min()))
    return omitted, notes


def _wanted(
    design: Design, unit: Floats, norm: Floats, kept: list[int]
) -> list[Problem]:
    """Problems of the wanted regressors, given the controls that are kept."""
    problems: list[Problem] = []
    wanted = [i for i, r in enumerate(design.regressors) if r.wanted]
    for j in wanted:
        others = [*(i for i in wanted if i != j), *kept]
        ratio, b = residual_ratio(unit[:, j], unit[:, others])
        if ratio < EXACT:
            raw = b * norm[j] / norm[others]
            raw *= _spread(design, j) / np.array([_spread(design, i) for i in others])
            problems += _combination(design, j, others, b, raw).problems
        elif ratio < NEARLY:
            problems += _nearly(design, j, ratio).problems
    return problems


def _spread(design: Design, j: int) -> float:
    return float(np.std(design.regressors[j].values))


def _constant_where(design: Design, j: int) -> str:
    x = design.regressors[j].values
    spread = float(np.std(x))
    if spread <= EXACT * float(np.max(np.abs(x))):
        return "it is constant in the sample"
    for f in design.fixed_effects:
        left = demean_once(x - x.mean(), [f.codes], None)
        if float(np.std(left)) <= EXACT * spread:
            return f"it is constant within every '{f.term}'"
    names = [f"'{f.term}'" for f in design.fixed_effects]
    names += [f"the slopes {s}" for s in design.slope_terms]
    return f"it is a sum of effects of {_listed(names, quote=False)}"


def _absorbed(design: Design, j: int) -> EstimandError:
    r = design.regressors[j]
    return IdentificationError(
        "I02",
        f"'{r.name}' is not identified: {_constant_where(design, j)}",
        why="The fixed effects explain it completely, so no comparison is left.",
        fix="drop that fixed effect, or use a treatment that varies within it",
    )


def _combination(
    design: Design, j: int, others: list[int], b: Floats, raw: Floats
) -> EstimandError:
    r = design.regressors[j]
    used = np.flatnonzero(np.abs(b) > EXACT)
    names = [design.regressors[others[i]].name for i in used]
    if len(used) == 1:
        i = int(used[0])
        # The control as a multiple of the treatment reads like the usual mistake.
        times = 1.0 / float(raw[i])
        relation = f"'{names[0]}' equals {times:.6g} x '{r.name}'"
        if design.fixed_effects:
            relation += " up to fixed effects"
    else:
        relation = f"'{r.name}' is a linear combination of {_listed(names)}"
    return IdentificationError(
        "I03",
        relation,
        why="The effect could be put under either name; any split is arbitrary.",
        fix=f"remove {_listed(names)} from the controls",
    )


def _nearly(design: Design, j: int, ratio: float) -> EstimandError:
    r = design.regressors[j]
    return IdentificationError(
        "I04",
        f"'{r.name}' is nearly a function of the other regressors: partial R2 = 1 - "
        f"{ratio * ratio:.1e}",
        why="What is left of it is rounding; its coefficient would be noise.",
        fix="remove the control that repeats it, or use coarser fixed effects",
    )


def _listed(names: list[str], *, quote: bool = True) -> str:
    shown = [f"'{n}'" if quote else n for n in names[:6]]
    if len(names) > len(shown):
        shown.append("…")
    if len(shown) > 1:
        return ", ".join(shown[:-1]) + " and " + shown[-1]
    return shown[0] if shown else "the other regressors"
