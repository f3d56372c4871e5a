"""Spatial models against spreg: each side in its own process, one thread, CPU seconds."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import psutil

from bench import peer
from bench.figures import Figure

#: Units at which spreg is timed before the large panel is asked of it.
_TRIED = (500, 1000)
#: CPU seconds that spreg may take for the large panel; beyond, they are extrapolated.
_PATIENCE = 120.0
_LARGE = 3000
_COVARIATES = 7
#: Units of the growth of time and memory.
GROWTH = (100, 300, 1000, 3000, 5000, 10_000, 20_000)
#: Repetitions where a fit takes milliseconds.
_MANY = 5


def measure() -> list[Figure]:
    """Time and memory of two-way SDM with effects against spreg's one-way fits."""
    spreg = peer.label("spreg")
    with _asked(peer.OURS, 286, 9) as ours, _asked("spreg", 286, 9) as theirs:
        ours.run(), theirs.run()
        pairs = [(ours.run().cpu, theirs.run().cpu) for _ in range(_MANY)]
    own, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    figures = [
        Figure(
            f"two-way SDM with effects / one-way SDM of {spreg}, 286 x 9",
            own / other,
            "x",
            1 / 3,
            f"{own * 1e3:.0f} ms / {other * 1e3:.0f} ms CPU",
        )
    ]
    large = once(peer.OURS, _LARGE, 20)
    figures.append(
        Figure("peak memory, 3,000 x 20", large.peak / 1e9, "GB", 1.0),
    )
    figures += _against_dense(large, spreg)
    for n in GROWTH:
        found = once(peer.OURS, n, 10)
        said = f"peak {found.peak / 1e9:.2f} GB"
        figures.append(
            Figure(f"two-way SDM, {n:,} x 10", found.cpu, "s CPU", None, said)
        )
    return figures


def _against_dense(ours: peer.Reply, spreg: str) -> list[Figure]:
    """Time and memory beside spreg's, by itself or by how they grow.

    Its dense matrices make a fit cubic in the units. Where it would take too long or
    more memory than there is, both are extrapolated by the power with which they grew
    between two smaller panels: memory by less than it takes, as part of it is Python's.
    """
    small, less = (once("spreg", n, 20) for n in _TRIED)
    cpu = _grown(small.cpu, less.cpu)
    peak = _grown(small.peak, less.peak)
    said = f"{_TRIED[0]:,} and {_TRIED[1]:,} units"
    if cpu <= _PATIENCE and psutil.virtual_memory().available > 2 * peak:
        whole = once("spreg", _LARGE, 20)
        cpu, peak, said = whole.cpu, whole.peak, ""
    return [
        Figure(
            f"two-way SDM with effects / one-way SDM of {spreg}, 3,000 x 20",
            ours.cpu / cpu,
            "x",
            1 / 4,
            f"{ours.cpu:.1f} s / {cpu:.1f} s CPU, eigenvalues included",
            said,
        ),
        Figure(
            f"peak memory / that of {spreg}, 3,000 x 20",
            ours.peak / peak,
            "x",
            1 / 8,
            f"{ours.peak / 1e9:.2f} GB / {peak / 1e9:.2f} GB",
            said,
        ),
    ]


def _grown(small: float, less: float) -> float:
    """A cost at the large panel, by its power between the two that were tried."""
    one, other = _TRIED
    power = np.log(less / small) / np.log(other / one)
    return float(less * (_LARGE / other) ** power)


def once(side: str, n: int, t: int) -> peer.Reply:
    """The first fit of a process: what large panels cost is done once."""
    with _asked(side, n, t) as process:
        return process.run()


def _asked(side: str, n: int, t: int) -> Any:
    return peer.asked(side, "durbin", _data(n, t), units=n, periods=t)


def _data(n: int, t: int) -> dict[str, np.ndarray]:
    """y and seven covariates, rows by period then unit; five nearest, made mutual."""
    from estimators._math.neighbours import k_nearest, normalised

    rng = np.random.default_rng(1)
    W = k_nearest(rng.random((n, 2)), 5)
    W = normalised(W.maximum(W.T), "row").tocoo()
    X = rng.normal(size=(n * t, _COVARIATES))
    y = X.sum(axis=1, keepdims=True) + rng.normal(size=(n * t, 1))
    row, column = W.coords
    return {"y": y, "X": X, "row": row, "column": column, "weight": W.data}
