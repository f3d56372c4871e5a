"""Matrices, learners and generators: one sound of each kind, the others broken."""

from __future__ import annotations

from typing import Any

from framework.contract import Generator, Learner, Matrix, SpatialWeights
from framework.errors import DataError, SpecError
from framework.panel import Panel


class Neighbours(Matrix):
    """The next place by longitude."""

    def build(self, panel: Panel) -> SpatialWeights:
        if panel.unit is None:
            raise DataError("P04", "no units")
        places = panel.frame.groupby(panel.unit)["longitude"].first().sort_values()
        return self.between(tuple(places.index))

    @staticmethod
    def between(ids: tuple[Any, ...]) -> SpatialWeights:
        import numpy as np
        from scipy.sparse import csr_array

        n = len(ids)
        return SpatialWeights(ids, csr_array(np.roll(np.eye(n), 1, axis=1)))


class OwnNeighbour(Neighbours):
    """Everybody is near to themselves."""

    def build(self, panel):
        from dataclasses import replace

        from scipy.sparse import eye_array

        built = super().build(panel)
        return replace(built, matrix=built.matrix + eye_array(len(built.ids)))


class ByPosition(Neighbours):
    """The next place in the alphabet."""

    def build(self, panel):
        if panel.unit is None:
            raise DataError("P04", "no units")
        return self.between(tuple(sorted(panel.frame[panel.unit].unique())))


class SomeUnits(Neighbours):
    """All but one."""

    def build(self, panel):
        return self.between(super().build(panel).ids[1:])


class Dense(Neighbours):
    """An array."""

    def build(self, panel):
        built = super().build(panel)
        return SpatialWeights(built.ids, built.matrix.toarray())


class Negative(Neighbours):
    """Repulsion."""

    def build(self, panel):
        built = super().build(panel)
        return SpatialWeights(built.ids, -built.matrix)


class RandomNeighbours(Neighbours):
    """Whoever comes."""

    def build(self, panel):
        import numpy as np

        ids = super().build(panel).ids
        order = np.random.default_rng().permutation(len(ids))
        return self.between(tuple(ids[i] for i in order))


class Stumbles(Neighbours):
    """Takes units for granted."""

    def build(self, panel):
        if panel.unit is None:
            raise KeyError(panel.unit)
        return super().build(panel)


class Line(Learner):
    """A straight line, for regression only."""

    def build(self, task: str, seed: int) -> Any:
        from sklearn.linear_model import LinearRegression

        if task != "regression":
            raise SpecError("X23", f"no {task}")
        return LinearRegression()


class NoProbabilities(Line):
    """A line for classes."""

    def build(self, task, seed):
        return super().build("regression", seed)


class SameObject(Line):
    """One for all."""

    def build(self, task, seed):
        found = _SHARED.get(task) or super().build(task, seed)
        return _SHARED.setdefault(task, found)


_SHARED: dict[str, Any] = {}


class Fitted(Line):
    """Fitted to something else."""

    def build(self, task, seed):
        return super().build(task, seed).fit([[0.0] * 3, [1.0] * 3], [0.0, 1.0])


class Forgetful(Line):
    """A choice of two lines, of which it tells one."""

    def members(self):
        return ("one", "other")

    def chosen(self, fitted):
        return (1.0,)


class Namesakes(Line):
    """A choice of two lines that nobody can tell apart."""

    def members(self):
        return ("one", "one")

    def chosen(self, fitted):
        return (1.0, 0.0)


class Unseeded(Line):
    """A forest of its own mind."""

    def build(self, task, seed):
        from sklearn.ensemble import RandomForestRegressor

        super().build(task, seed)
        return RandomForestRegressor(n_estimators=2)


class Coins(Generator):
    """Fair coins."""

    def generate(self, seed: int) -> tuple[Any, Any]:
        import numpy as np
        import pandas as pd

        tosses = np.random.default_rng(seed).integers(0, 2, 50)
        return pd.DataFrame({"heads": tosses}), {"probability": 0.5}


class FreshCoins(Coins):
    """New coins every time."""

    def generate(self, seed):
        import secrets

        return super().generate(secrets.randbelow(10**9))


class SameCoins(Coins):
    """The same coins for every seed."""

    def generate(self, seed):
        return super().generate(1)


class NoTruth(Coins):
    """Nobody knows."""

    def generate(self, seed):
        return super().generate(seed)[0], {}


class OnlyData(Coins):
    """Without the truth."""

    def generate(self, seed):
        return super().generate(seed)[0]
