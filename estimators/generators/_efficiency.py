"""Inputs and outputs whose super-efficiency score is a given number.

The score is the slacks-based measure with undesirable outputs in two stages, constant
returns, one frontier: Tone (2001, 2003) and, for efficient units, Tone (2002) without
the unit itself; bad outputs sit in the denominator. Inversion: units with a target of 1
or more make the frontier, each clean in resources of its own (inputs and bad outputs it
needs little of), so that their targets hardly depend on each other. All others lie
inside, where a unit's score depends on the frontier and on its own resources only: one
root per unit, exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from framework.errors import NumericalError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

INPUTS, GOODS, BADS = 4, 3, 3
RESOURCES = INPUTS + BADS
_EFFICIENT = 1 - 1e-7
#: Gap between score and target that ends the inversion, and the largest that is left
#: where an efficient unit and the ones it hides do not settle.
EXACT, TOLERATED = 1e-7, 1e-4
_ROUNDS, _SWEEPS = 24, 60
#: Rounds that an extrapolation needs, and the slowest rate that it trusts.
_ENOUGH, _SLOWEST = 3, 0.98
_INFEASIBLE = 2  # of scipy's linprog
#: Ends of a bracket that count as one point; slopes of a score that can be trusted.
_TOGETHER, _FLAT, _STEEP = 1e-9, 0.05, 20.0
#: Inefficient units above this score may show through where an efficient one is left
#: out. Lower ones hardly do; seeing them, too, would cost ten times as much.
_NEAR = 0.6


@dataclass(frozen=True, slots=True)
class Production:
    """Inputs (n, 4), good outputs (n, 3) and bad outputs (n, 3) of n units."""

    inputs: Floats
    goods: Floats
    bads: Floats

    def of(self, units: Sequence[int] | npt.NDArray[np.int64]) -> Production:
        return Production(self.inputs[units], self.goods[units], self.bads[units])

    def put(self, unit: int, other: Production) -> None:
        """Write one unit in place."""
        self.inputs[unit], self.goods[unit] = other.inputs[0], other.goods[0]
        self.bads[unit] = other.bads[0]


@dataclass(frozen=True, slots=True)
class Score:
    """A unit's score; `target` is its projection when it is inefficient."""

    value: float
    target: Production


def scores(units: Production) -> Floats:
    """Two-stage super-efficiency of every unit against all of them, (n,)."""
    import numpy as np

    everyone = np.arange(len(units.inputs))
    found = np.empty(len(everyone))
    for unit in range(len(everyone)):
        plain = inefficiency(units.of([unit]), units).value
        found[unit] = (
            plain
            if plain < _EFFICIENT
            else super_efficiency(
                units.of([unit]), units.of(everyone[everyone != unit])
            )
        )
    return found


def inefficiency(unit: Production, reference: Production) -> Score:
    """Slacks-based measure with undesirable outputs, stage 1."""
    import numpy as np

    x, y, b = unit.inputs[0], unit.goods[0], unit.bads[0]
    peers = len(reference.inputs)
    cost = np.concatenate([[1.0], np.zeros(peers), -1 / (INPUTS * x), np.zeros(6)])
    fractions = np.concatenate([1 / (6 * y), 1 / (6 * b)])
    normal = np.concatenate([[1.0], np.zeros(peers + INPUTS), fractions])
    slack = np.zeros((10, 10))
    slack[np.arange(10), np.arange(10)] = [1] * INPUTS + [-1] * GOODS + [1] * BADS
    own = np.concatenate([x, y, b])
    peer = np.hstack([reference.inputs, reference.goods, reference.bads]).T
    balance = np.hstack([-own[:, None], peer, slack])
    solution, value = _solve(
        cost, np.vstack([normal, balance]), np.concatenate([[1.0], np.zeros(10)])
    )
    s = solution[1 + peers :] / solution[0]
    return Score(
        value,
        Production(
            (x - s[:INPUTS])[None],
            (y + s[INPUTS : INPUTS + GOODS])[None],
            (b - s[INPUTS + GOODS :])[None],
        ),
    )


def super_efficiency(unit: Production, others: Production) -> float:
    """Super-SBM with undesirable outputs, stage 2; `others` is without the unit."""
    import numpy as np

    x, y, b = unit.inputs[0], unit.goods[0], unit.bads[0]
    peers = len(others.inputs)
    cost = np.concatenate([[1.0], np.zeros(peers), 1 / (INPUTS * x), np.zeros(6)])
    fractions = np.concatenate([-1 / (6 * y), -1 / (6 * b)])
    normal = np.concatenate([[1.0], np.zeros(peers + INPUTS), fractions])
    # x: X L - S <= t x; goods: t y <= Y L + S, S <= t y; bads: B L - S <= t b.
    own = np.concatenate([-x, y, -b])
    peer = np.hstack([others.inputs, -others.goods, others.bads]).T
    rows = np.hstack([own[:, None], peer, -np.eye(10)])
    cap = np.zeros((GOODS, 1 + peers + 10))
    cap[:, 0] = -y
    cap[np.arange(GOODS), 1 + peers + INPUTS + np.arange(GOODS)] = 1
    return _solve(cost, normal[None], np.ones(1), np.vstack([rows, cap]))[1]


def _solve(
    cost: Floats, equal: Floats, right: Floats, below: Floats | None = None
) -> tuple[Floats, float]:
    import numpy as np
    from scipy import optimize

    limits = None if below is None else np.zeros(len(below))
    message = ""
    # Simplex without presolve settles the few programs that presolve leaves undecided.
    for presolve in (True, False):
        found = optimize.linprog(
            cost,
            A_ub=below,
            b_ub=limits,
            A_eq=equal,
            b_eq=right,
            method="highs-ds",
            options={"presolve": presolve},
        )
        if found.status == 0:
            return np.asarray(found.x), float(np.asarray(found.fun))
        if found.status == _INFEASIBLE:
            break
        message = found.message
    raise NumericalError("N01", f"an efficiency program failed: {message}")


# ----------------------------------------------------------------------------- inversion


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What the resources of n units are made of before their scores are set.

    Attributes:
        goods: good outputs as multiples of a usual unit's, (n, 3).
        volume: size of the unit in the same measure, (n,).
        mix: log deviations of its seven resource intensities, (n, 7).
        specialties: per unit the resources it is clean in, once it is efficient.
        depth: how far an efficient unit's specialties lie below its other resources.
    """

    goods: Floats
    volume: Floats
    mix: Floats
    specialties: tuple[tuple[int, ...], ...]
    depth: float = 0.15

    def inefficient(self, unit: int, waste: float) -> Production:
        """Inputs times exp(waste), bad outputs times exp(waste/2)."""
        import numpy as np

        logs = self.mix[unit] + waste * np.array([1.0] * INPUTS + [0.5] * BADS)
        return self._production(unit, logs)

    def efficient(self, unit: int, lead: float) -> Production:
        """Specialties times exp(-lead); a negative lead raises all resources."""
        import numpy as np

        own = list(self.specialties[unit])
        logs = self.mix[unit] - self.mix[unit].mean()
        logs = logs + self.depth * len(own) / RESOURCES
        logs[own] -= self.depth
        if lead >= 0:
            logs[own] -= lead
        else:
            logs = logs - lead
        return self._production(unit, np.asarray(logs))

    def _production(self, unit: int, logs: Floats) -> Production:
        import numpy as np

        resources = self.volume[unit] * np.exp(logs)[None]
        return Production(
            resources[:, :INPUTS], self.goods[[unit]].copy(), resources[:, INPUTS:]
        )


def specialties(count: int) -> tuple[tuple[int, ...], ...]:
    """Different sets of resources: each alone, bad outputs first, then pairs and more.

    The first come to the units with the highest targets; 126 sets, then again.
    """
    order = (4, 5, 6, 0, 1, 2, 3)
    sets = [c for size in range(1, RESOURCES) for c in combinations(order, size)]
    return tuple(sets[k % len(sets)] for k in range(count))


def invert(plan: Blueprint, wanted: Floats) -> Production:
    """Production of n units whose super-efficiency scores are `wanted`, all in (0, 2).

    Raises:
        NumericalError: N01, the scores are not reached.
    """
    import numpy as np

    best = np.flatnonzero(wanted >= 1)
    rest = np.flatnonzero(wanted < 1)
    leads = dict.fromkeys(best.tolist(), 0.0)
    waste = {unit: -0.9 * float(np.log(wanted[unit])) for unit in rest.tolist()}
    made = Production(
        np.empty((len(wanted), INPUTS)),
        plan.goods.copy(),
        np.empty((len(wanted), BADS)),
    )
    seen = rest[:0]  # inefficient units that an efficient one uncovers when left out
    history: list[dict[int, float]] = []
    for _ in range(_ROUNDS):
        _place_efficient(plan, wanted, leads, made, seen)
        if len(seen):
            history.append(dict(leads))
        if len(history) == _ENOUGH:
            leads |= _extrapolated(*history)
            history.clear()
            for unit, lead in leads.items():
                made.put(unit, plan.efficient(unit, lead))
        frontier = made.of(best)
        for unit in rest.tolist():
            found = _place_inefficient(plan, unit, wanted[unit], waste, frontier)
            made.put(unit, found)
        if all(abs(_led(made, unit) - wanted[unit]) < EXACT / 2 for unit in leads):
            break
        seen = rest[wanted[rest] > _NEAR]
    worst = float(np.abs(scores(made) - wanted).max())
    if worst > TOLERATED:
        raise NumericalError(
            "N01", f"inputs and outputs miss their scores by up to {worst:.1e}"
        )
    return made


def _extrapolated(
    first: dict[int, float], second: dict[int, float], third: dict[int, float]
) -> dict[int, float]:
    """Limits of sequences that approach them geometrically (Aitken, 1926)."""
    limits = dict(third)
    for unit, last in third.items():
        before, now = second[unit] - first[unit], last - second[unit]
        rate = now / before if abs(before) > EXACT / 100 else 0.0
        if 0 < rate < _SLOWEST:
            limits[unit] = last + now * rate / (1 - rate)
    return limits


def _led(made: Production, unit: int) -> float:
    """Super-efficiency of a unit against all others."""
    import numpy as np

    others = np.delete(np.arange(len(made.inputs)), unit)
    return super_efficiency(made.of([unit]), made.of(others))


def _place_efficient(
    plan: Blueprint,
    wanted: Floats,
    leads: dict[int, float],
    made: Production,
    seen: npt.NDArray[np.int64],
) -> None:
    """Gauss-Seidel over the frontier: every unit's lead given the others', in place."""
    import numpy as np

    best = np.array(list(leads), dtype=np.int64)
    for unit, lead in leads.items():
        made.put(unit, plan.efficient(unit, lead))
    for _ in range(_SWEEPS):
        worst = 0.0
        for unit, lead_before in tuple(leads.items()):
            others = made.of(np.concatenate([best[best != unit], seen]))

            def gap(
                lead: float, unit: int = unit, others: Production = others
            ) -> float:
                own = plan.efficient(unit, lead)
                return super_efficiency(own, others) - float(wanted[unit])

            now = gap(lead_before)
            worst = max(worst, abs(now))
            if abs(now) > EXACT / 100:
                leads[unit] = _root(gap, lead_before, now, rising=True)
                made.put(unit, plan.efficient(unit, leads[unit]))
        if worst < EXACT / 10:
            return
    raise NumericalError("N01", "the frontier of the efficient units does not settle")


def _place_inefficient(
    plan: Blueprint,
    unit: int,
    wanted: float,
    waste: dict[int, float],
    frontier: Production,
) -> Production:
    """The unit with the waste that gives its score; `waste` is its start, and kept.

    Near the frontier the score jumps to 1 while resources are still too many somewhere.
    Where it jumps over the target the unit moves towards its projection instead.
    """
    import numpy as np

    def gap(amount: float) -> float:
        own = plan.inefficient(unit, amount)
        return float(np.log(_inside(own, frontier).value / wanted))

    start = waste[unit]
    root = _root(gap, start, gap(start), rising=False)
    if abs(gap(root)) < EXACT / 10:
        waste[unit] = root
        return plan.inefficient(unit, root)
    # Right at the jump some slack is zero and solvers can't tell inside from outside.
    for further in (0.02, 0.1, 0.3):
        waste[unit] = root + further
        found = _towards_projection(
            plan.inefficient(unit, waste[unit]), wanted, frontier
        )
        if abs(_inside(found, frontier).value - wanted) < EXACT / 10:
            break
    return found


def _towards_projection(
    own: Production, wanted: float, frontier: Production
) -> Production:
    """The point between a unit (score below `wanted`) and its projection (score 1)."""
    target = _inside(own, frontier).target

    def between(share: float) -> Production:
        return Production(
            own.inputs + share * (target.inputs - own.inputs),
            own.goods + share * (target.goods - own.goods),
            own.bads + share * (target.bads - own.bads),
        )

    def near(share: float) -> float:
        return _inside(between(share), frontier).value - wanted

    return between(_root(near, 0.5, near(0.5), rising=True))


def _inside(unit: Production, frontier: Production) -> Score:
    """Stage 1 against the frontier; 1 where the unit lies beyond it."""
    try:
        return inefficiency(unit, frontier)
    except NumericalError:  # no combination of the frontier reaches it
        return Score(1.0, unit)


def _root(
    gap: Callable[[float], float], start: float, now: float, *, rising: bool
) -> float:
    """Where a monotone gap changes its sign: secant steps, bisection where they stray.

    At a jump it is a point within 1e-9 of it.
    """
    last, value = start, now
    slope = 1.0 if rising else -1.0
    ends: dict[bool, tuple[float, float]] = {value > 0: (last, value)}  # by sign
    for _ in range(120):
        following = last - value / slope
        if {True, False} <= ends.keys():
            low, high = sorted(end for end, _ in ends.values())
            if high - low < _TOGETHER:
                return last
            if not low < following < high:
                following = (low + high) / 2
        before, was = last, value
        last, value = following, gap(following)
        if abs(value) < EXACT / 100:
            return last
        ends[value > 0] = (last, value)
        steep = (value - was) / (last - before)
        # A jump or a flat stretch says nothing about the slope.
        slope = steep if _FLAT < abs(steep) < _STEEP else slope * 0.5
        if (slope > 0) != rising:
            slope = -slope
    raise NumericalError("N01", "a score is out of reach")
