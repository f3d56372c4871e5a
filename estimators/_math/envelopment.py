"""Families of envelopment programs: linear programs that share their peers.

Every program of data envelopment analysis compares one unit with combinations of the
same reference units. In the notation of the papers it reads, for unit o,

    min  c_o'v
    s.t. P L + V_o v  {=, <=, >=}  h,    L >= 0, v >= 0

where the columns of `P` are the reference units (inputs, good outputs, bad outputs and,
under variable returns, a one), `L` their intensities and `v` the few variables that
belong to unit o: its slacks, its expansion factor, the divisor of the ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: How far from optimal, in units of the objective, a solution may be shown to be.
EXACT = 1e-9
#: Reduced costs above this are rounding.
_NOISE = 1e-12
#: Reduced costs that are computed at once: 16 MB.
_AT_ONCE = 2**21


@dataclass(frozen=True, slots=True)
class Programs:
    """E linear programs over the same n reference units.

    Attributes:
        peers: (r, n) columns of the reference units.
        sense: `=`, `<` or `>` for each of the R >= r rows; the first r are `peers`'.
        rhs: (R,) right-hand sides.
        cost: (E, q) objective of the unit's own variables.
        rows, columns: (z,) places of the coefficients in V.
        values: (E, z) the coefficients.
        own: (E,) the unit's column among the peers, -1 where it is not one of them.
        without_own: the unit may not be its own peer (super-efficiency).
    """

    peers: Floats
    sense: str
    rhs: Floats
    cost: Floats
    rows: Integers
    columns: Integers
    values: Floats
    own: Integers
    without_own: bool = False

    def __len__(self) -> int:
        return len(self.values)

    def dense(self, which: npt.NDArray[np.int64]) -> Floats:
        """(len(which), R, q) matrices V."""
        full = np.zeros((len(which), len(self.rhs), self.cost.shape[1]))
        full[:, self.rows, self.columns] = self.values[which]
        return full

    def dense_one(self, o: int) -> Floats:
        """(R, q) matrix V of program o."""
        matrix: Floats = self.dense(np.array([o]))[0]
        return matrix

    def alone(self, o: int) -> tuple[Programs, Floats, Floats]:
        """Program o by itself, in its own scale: rows by its data, then peers by size.

        Returns:
            The family of one, the divisors (n,) of the peers and (R,) of the rows: an
            intensity is that of the family over the peer's divisor, a dual over the
            row's. The unit's own variables and the objective are the same.
        """
        r = len(self.peers)
        row = np.ones(len(self.rhs))
        data = np.abs(self.dense_one(o)[:r]).max(axis=1)
        row[:r] = np.where(data > 0, data, 1.0)
        peers = self.peers / row[:r, None]
        size = np.abs(peers).max(axis=0)
        size = np.where(size > 0, size, 1.0)
        one = Programs(
            peers / size,
            self.sense,
            self.rhs / row,
            self.cost[[o]],
            self.rows,
            self.columns,
            self.values[[o]] / row[self.rows],
            self.own[[o]],
            self.without_own,
        )
        return one, size, row

    def allowed(self, o: int) -> Integers:
        """Columns of the peers that unit o may use."""
        n = self.peers.shape[1]
        if self.without_own and self.own[o] >= 0:
            return np.delete(np.arange(n), self.own[o])
        return np.arange(n)


@dataclass(frozen=True, slots=True)
class Solutions:
    """Optima of a family of programs.

    Attributes:
        feasible: (E,) False where no combination of peers fulfils the constraints.
        objective: (E,) optimal value; NaN where infeasible or not `exact`.
        own: (E, q) the unit's own variables.
        unit, peer, intensity: (k,) the positive intensities, one line each.
        dual: (E, R) shadow prices.
        gap: (E,) how far the optimality conditions are from holding, data of order one.
    """

    feasible: npt.NDArray[np.bool_]
    objective: Floats
    own: Floats
    unit: Integers
    peer: Integers
    intensity: Floats
    dual: Floats
    gap: Floats

    @property
    def exact(self) -> npt.NDArray[np.bool_]:
        """Where the optimum is proven to `EXACT`."""
        return self.feasible & (self.gap <= EXACT)


class Solver(Protocol):
    """Programs -> their optima."""

    def __call__(self, programs: Programs) -> Solutions: ...


@dataclass(frozen=True, slots=True)
class Bases:
    """Optimal bases as a solver reports them, one per program.

    Attributes:
        kind: (E, R) `OWN`, `PEER` or `SLACK` of each basic variable.
        index: (E, R) which own variable, peer or row.
    """

    kind: npt.NDArray[np.int8]
    index: Integers


OWN, PEER, SLACK = 0, 1, 2


def optima(programs: Programs, bases: Bases, which: Integers) -> Solutions:
    """Solutions at given bases, computed afresh, each with a proof of its error.

    The basic variables solve an R x R system, which is solved here in double precision
    for all programs together: nothing of the solver's tolerances is left in the
    numbers. What is left is shown by duality: the most that a basic variable is below
    zero, or a reduced cost of a variable or of any peer. With data of order one, which
    the callers provide, that is the size of the objective's error.

    Args:
        programs: the family.
        bases: E' bases.
        which: (E',) the programs that they belong to; solutions keep this order.
    """
    count, size = bases.kind.shape
    own = programs.dense(which)
    columns = np.zeros((count, size, size))  # (program, row, position in the basis)
    e, k = np.nonzero(bases.kind == OWN)
    columns[e, :, k] = own[e, :, bases.index[e, k]]
    e, k = np.nonzero(bases.kind == PEER)
    columns[e, : len(programs.peers), k] = programs.peers[:, bases.index[e, k]].T
    sign = np.array([-1.0 if s == ">" else 1.0 for s in programs.sense])
    e, k = np.nonzero(bases.kind == SLACK)
    rows = bases.index[e, k]
    columns[e, rows, k] = sign[rows]

    is_own = bases.kind == OWN
    cost = np.where(
        is_own,
        np.take_along_axis(programs.cost[which], np.where(is_own, bases.index, 0), 1),
        0.0,
    )
    rhs = np.broadcast_to(programs.rhs, (count, size))
    basic = _solved(columns, rhs)
    dual = _solved(columns.transpose(0, 2, 1), cost)

    equal = np.array([s == "=" for s in programs.sense])
    pinned = (bases.kind == SLACK) & equal[
        np.where(bases.kind == SLACK, bases.index, 0)
    ]
    wrong = np.where(pinned, np.abs(basic), np.maximum(-basic, 0)).max(axis=1)
    reduced = programs.cost[which] - np.einsum("er,erq->eq", dual, own)
    wrong = np.maximum(wrong, np.maximum(-reduced, 0).max(axis=1))
    price = np.where(equal, 0.0, dual * sign)  # of the slack: must not be positive
    wrong = np.maximum(wrong, np.maximum(price, 0).max(axis=1))
    gap = np.maximum(wrong, _worst_peer(programs, which, dual))

    values = np.zeros((count, programs.cost.shape[1]))
    e, k = np.nonzero(is_own)
    values[e, bases.index[e, k]] = basic[e, k]
    e, k = np.nonzero((bases.kind == PEER) & (basic > _NOISE))
    return Solutions(
        np.ones(count, dtype=np.bool_),
        np.einsum("er,er->e", cost, basic),
        np.where(np.abs(values) > _NOISE, values, 0.0),
        e,
        bases.index[e, k],
        basic[e, k],
        dual,
        np.where(np.isfinite(gap), gap, np.inf),
    )


def _solved(matrices: Floats, right: Floats) -> Floats:
    """(E, R) solutions of E systems, NaN where a matrix is singular."""
    solution: Floats = np.full(right.shape, np.nan)
    try:
        solution[:] = np.linalg.solve(matrices, right[..., None])[..., 0]
    except np.linalg.LinAlgError:
        if len(right) > 1:
            for e in range(len(right)):
                solution[e] = _solved(matrices[e : e + 1], right[e : e + 1])[0]
    return solution


def _worst_peer(programs: Programs, which: Integers, dual: Floats) -> Floats:
    """(E',) what peers outside the basis could still take off the objective."""
    peers = programs.peers
    worst: Floats = np.zeros(len(which))
    step = max(1, _AT_ONCE // max(1, peers.shape[1]))
    for start in range(0, len(which), step):
        block = slice(start, start + step)
        reduced: Floats = np.matmul(-dual[block, : len(peers)], peers)
        if programs.without_own:
            own = programs.own[which[block]]
            held = np.flatnonzero(own >= 0)
            reduced[held, own[held]] = 0.0
        worst[block] = -reduced.min(axis=1, initial=0.0)
    worst[worst <= _NOISE] = 0.0
    return worst


__all__ = [
    "EXACT",
    "OWN",
    "PEER",
    "SLACK",
    "Bases",
    "Floats",
    "Integers",
    "Programs",
    "Solutions",
    "Solver",
    "optima",
]
