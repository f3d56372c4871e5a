"""Solves families of envelopment programs: modelled by pulp, solved by HiGHS in process.

`written` is one program as the papers print it, every peer a column. Thousands of them
differ in a few coefficients and use a few dozen peers, so `solve` has pulp build the
model once, with few peers, and then edits coefficients and adds the peers whose reduced
cost says they belong (column generation, Gilmore and Gomory 1961). It ends only when no
peer has a negative reduced cost, and `optima` proves it for every program again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from estimators._math.envelopment import (
    EXACT,
    OWN,
    PEER,
    SLACK,
    Bases,
    Programs,
    Solutions,
    optima,
)

if TYPE_CHECKING:
    import pulp

    from estimators._math.envelopment import Floats, Integers

#: Feasibility and optimality tolerance of HiGHS, its tightest. No number depends on it.
_TOLERANCE = 1e-10
#: Peers added at once.
_ADDED = 6
#: Without an end after so many additions, the program is solved with every peer.
_ROUNDS = 50
#: Indices of columns that are no variable of the program.
_ITSELF, _HELP = -1, -2
_OPTIONS = {
    "presolve": "off",
    "solver": "simplex",
    "threads": 1,
    "primal_feasibility_tolerance": _TOLERANCE,
    "dual_feasibility_tolerance": _TOLERANCE,
}


def solve(programs: Programs) -> Solutions:
    """Every program of the family to a proven optimum, or not feasible.

    A program that could not be proven is solved again by itself, in its own scale and
    with every peer; if that fails, too, its objective is NaN.
    """
    import numpy as np

    count, size = len(programs), len(programs.rhs)
    basic = np.zeros((count, size), dtype=np.int64)
    solved = np.zeros(count, dtype=np.bool_)
    infeasible = np.zeros(count, dtype=np.bool_)
    model = _Restricted(programs, _seeds(programs))
    for o in range(count):
        found = model.optimum(o)
        solved[o], infeasible[o] = found is not None, model.is_infeasible
        if found is not None:
            basic[o] = found
    held = _held(programs, model.bases(basic, programs.own), solved)
    for o in map(int, np.flatnonzero(~held.exact & ~infeasible)):
        held, infeasible[o] = _again(programs, o, held)
    return replace(
        held,
        feasible=~infeasible,
        objective=np.where(held.gap <= EXACT, held.objective, np.nan),
    )


def _again(programs: Programs, o: int, held: Solutions) -> tuple[Solutions, bool]:
    """The solutions with program o solved by itself, and whether it is infeasible."""
    import numpy as np

    alone, size, row = programs.alone(o)
    model = _Restricted(alone, alone.allowed(0))
    found = model.optimum(0)
    if found is None:
        return held, model.is_infeasible
    one = _held(alone, model.bases(found[None, :], alone.own), np.array([True]))
    others = held.unit != o
    arrays = held.objective.copy(), held.own.copy(), held.dual.copy(), held.gap.copy()
    for all_of_them, its in zip(
        arrays, (one.objective, one.own, one.dual / row, one.gap), strict=True
    ):
        all_of_them[o] = its[0]
    objective, own, dual, gap = arrays
    again = Solutions(
        held.feasible,
        objective,
        own,
        np.append(held.unit[others], np.full(len(one.unit), o)),
        np.append(held.peer[others], one.peer),
        np.append(held.intensity[others], one.intensity / size[one.peer]),
        dual,
        gap,
    )
    return again, False


def written(programs: Programs, o: int) -> pulp.LpProblem:
    """Program o as the papers print it: every peer a column, nothing left out."""
    return _model(programs, o, programs.allowed(o))[0]


def _held(programs: Programs, bases: Bases, solved: Any) -> Solutions:
    """The optima at the bases found; programs without one are neither proven."""
    import numpy as np

    which = np.flatnonzero(solved)
    found = optima(programs, Bases(bases.kind[which], bases.index[which]), which)
    count, size = bases.kind.shape
    objective = np.full(count, np.nan)
    own = np.full((count, programs.cost.shape[1]), np.nan)
    dual = np.full((count, size), np.nan)
    gap = np.full(count, np.inf)
    objective[which], own[which] = found.objective, found.own
    dual[which], gap[which] = found.dual, found.gap
    return Solutions(
        solved.copy(),
        objective,
        own,
        which[found.unit],
        found.peer,
        found.intensity,
        dual,
        gap,
    )


def _seeds(programs: Programs) -> Integers:
    """A first few peers: the best in each ratio of two rows."""
    import numpy as np

    peers = programs.peers
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.nan_to_num(peers[:, None, :] / peers[None, :, :], posinf=0.0)
    return np.unique(ratios.argmax(axis=2))


def _model(
    programs: Programs, o: int, pool: Integers
) -> tuple[pulp.LpProblem, list[Any], list[Any], list[Any]]:
    """Program o with the peers of `pool`: the problem, its v, its L and its rows."""
    import pulp

    problem = pulp.LpProblem("envelopment", pulp.LpMinimize)
    own = [
        pulp.LpVariable(f"v{k:03}", lowBound=0) for k in range(programs.cost.shape[1])
    ]
    peers = [pulp.LpVariable(f"w{j:06}", lowBound=0) for j in pool]
    cost = programs.cost[o]
    problem += pulp.LpAffineExpression(
        (v, float(c)) for v, c in zip(own, cost, strict=True)
    )
    matrix = programs.dense_one(o)
    senses = {
        "=": pulp.LpConstraintEQ,
        "<": pulp.LpConstraintLE,
        ">": pulp.LpConstraintGE,
    }
    rows = []
    for i, sense in enumerate(programs.sense):
        terms = [(v, float(a)) for v, a in zip(own, matrix[i], strict=True) if a]
        if i < len(programs.peers):
            terms += list(zip(peers, programs.peers[i, pool].tolist(), strict=True))
        row = pulp.LpConstraint(
            pulp.LpAffineExpression(terms), senses[sense], rhs=float(programs.rhs[i])
        )
        problem += row, f"r{i:03}"
        rows.append(row)
    return problem, own, peers, rows


class _Restricted:
    """The model of a family with some of its peers, edited from program to program."""

    def __init__(self, programs: Programs, pool: Integers) -> None:
        import numpy as np
        import pulp

        self.programs = programs
        self.is_infeasible = False
        problem, own, peers, rows = _model(programs, 0, pool)
        engine = pulp.HiGHS(msg=False, **_OPTIONS)
        engine.createAndConfigureSolver(problem)
        engine.buildSolverModel(problem)
        self.highs: Any = problem.solverModel
        self.row = np.array([row.index for row in rows])
        self._place = np.argsort(self.row)
        self.column = np.array([v.index for v in own])
        width = len(own) + len(peers)
        #: What a column of HiGHS is: (kind, index).
        self.kind = np.full(width, PEER, dtype=np.int8)
        self.index = np.zeros(width, dtype=np.int64)
        self.kind[self.column] = OWN
        self.index[self.column] = np.arange(len(own))
        for peer, j in zip(peers, pool, strict=True):
            self.index[peer.index] = j
        self.at = {int(j): int(p.index) for p, j in zip(peers, pool, strict=True)}
        self._places = [
            (int(self.row[i]), int(self.column[k]))
            for i, k in zip(programs.rows, programs.columns, strict=True)
        ]
        self._now: list[float] = programs.values[0].tolist()
        self._cost = programs.cost[0].copy()
        # A column of its own for the unit, so that each can be its own peer.
        r = len(programs.peers)
        self._self = self._add(
            np.full((r, 1), 1.0), np.array([OWN]), np.array([_ITSELF])
        )
        self._is_open = True
        self._rows = self.row[:r].tolist()
        # Two per row, closed unless feasibility is in question.
        both = np.concatenate([np.eye(len(rows)), -np.eye(len(rows))], axis=1)
        self._help = self._add(
            both, np.full(2 * len(rows), OWN), np.full(2 * len(rows), _HELP)
        )
        self._close(self._help)

    def optimum(self, o: int) -> Integers | None:
        """HiGHS's numbers of the basic variables; None where there is no optimum."""
        self._edit(o)
        barred = self._bar(o)
        self.is_infeasible = False
        try:
            if not self._converge(o) and not (
                self._make_feasible(o) and self._converge(o)
            ):
                return None
            basic: Integers = self.highs.getBasicVariables()[1]
            return basic
        finally:
            if barred is not None:
                self.highs.changeColBounds(barred, 0.0, float("inf"))

    def _edit(self, o: int) -> None:
        """Make the model program o's."""
        import numpy as np

        highs, values = self.highs, self.programs.values[o].tolist()
        for (row, column), value, now in zip(
            self._places, values, self._now, strict=True
        ):
            if value != now:
                highs.changeCoeff(row, column, value)
        self._now = values
        cost = self.programs.cost[o]
        if (cost != self._cost).any():
            highs.changeColsCost(len(cost), self.column, cost)
            self._cost = cost
        own, first = self.programs.own[o], int(self._self[0])
        if own >= 0 and not self.programs.without_own:
            for row, value in zip(
                self._rows, self.programs.peers[:, own].tolist(), strict=True
            ):
                highs.changeCoeff(row, first, value)
        if self._is_open != (own >= 0 and not self.programs.without_own):
            self._is_open = not self._is_open
            highs.changeColBounds(first, 0.0, np.inf if self._is_open else 0.0)

    def _bar(self, o: int) -> int | None:
        """Close the unit's own column among the peers where it may not use it."""
        if not self.programs.without_own:
            return None
        column = self.at.get(int(self.programs.own[o]))
        if column is not None:
            self.highs.changeColBounds(column, 0.0, 0.0)
        return column

    def _converge(self, o: int) -> bool:
        """Add peers until none is worth it; False where the model has no optimum."""
        import numpy as np

        for _ in range(_ROUNDS):
            dual = self._run()
            if dual is None:
                return False
            reduced = -dual[: len(self.programs.peers)] @ self.programs.peers
            if self.programs.without_own and self.programs.own[o] >= 0:
                reduced[self.programs.own[o]] = 0.0
            worth = np.flatnonzero(reduced < -_TOLERANCE)
            if len(worth) > _ADDED:
                worth = worth[np.argpartition(reduced[worth], _ADDED)[:_ADDED]]
            new = np.array([j for j in worth if int(j) not in self.at], dtype=np.int64)
            if not len(new):
                return True
            columns = self._add(
                self.programs.peers[:, new], np.full(len(new), PEER), new
            )
            self.at.update(zip(new.tolist(), columns.tolist(), strict=True))
        return False

    def _make_feasible(self, o: int) -> bool:
        """Peers enough that program o has a solution; False if all are not enough.

        Minimises how far the rows are from being met, by the same additions.
        """
        import numpy as np

        width = len(self.kind)
        everything = np.arange(width, dtype=np.int32)
        cost = np.zeros(width)
        cost[self._help] = 1.0
        before = np.zeros(width)
        before[self.column] = self._cost
        self.highs.changeColsCost(width, everything, cost)
        some = np.asarray(self._help, dtype=np.int32)
        self.highs.changeColsBounds(
            len(some), some, np.zeros(len(some)), np.full(len(some), np.inf)
        )
        reached = self._converge(o)
        left = self.highs.getObjectiveValue() if reached else np.nan
        self._close(self._help)
        self.highs.changeColsCost(width, everything, before)
        # Infeasible by more than rounding in data of order one.
        self.is_infeasible = bool(left > EXACT)
        return bool(left <= EXACT)

    def _run(self) -> Any:
        """Row duals of the optimum in the programs' order, or None."""
        import numpy as np

        self.highs.run()
        status = self.highs.getModelStatus()
        if status != type(status).kOptimal:
            return None
        return np.asarray(self.highs.getSolution().row_dual)[self.row]

    def bases(self, basic: Integers, own: Integers) -> Bases:
        """What the basic variables are: rows of HiGHS's numbers, one per unit."""
        import numpy as np

        is_row = basic < 0
        column = np.where(is_row, 0, basic)
        kind = np.where(is_row, SLACK, self.kind[column]).astype(np.int8)
        row = self._place[np.where(is_row, -basic - 1, 0)]
        index = np.where(is_row, row, self.index[column])
        itself = (kind == OWN) & (index == _ITSELF)
        index = np.where(itself, own[:, None], index)
        kind[itself] = PEER
        # A closed column in the basis stands at zero: so does the row's slack.
        closed = (kind == OWN) & (index == _HELP)
        index = np.where(closed, (column - self._help[0]) % len(self.row), index)
        kind[closed] = SLACK
        return Bases(kind, index)

    def _add(self, matrix: Floats, kind: Any, index: Any) -> Any:
        """New columns (technology rows first) without cost; their numbers."""
        import numpy as np

        rows, count = matrix.shape
        first = len(self.kind)
        self.highs.addCols(
            count,
            np.zeros(count),
            np.zeros(count),
            np.full(count, np.inf),
            rows * count,
            np.arange(0, rows * count, rows, dtype=np.int32),
            np.tile(self.row[:rows], count).astype(np.int32),
            np.ascontiguousarray(matrix.T).ravel(),
        )
        self.kind = np.append(self.kind, kind.astype(np.int8))
        self.index = np.append(self.index, index)
        return np.arange(first, first + count)

    def _close(self, columns: Any) -> None:
        import numpy as np

        zero = np.zeros(len(columns))
        self.highs.changeColsBounds(
            len(columns), np.asarray(columns, dtype=np.int32), zero, zero
        )


__all__ = ["solve", "written"]
