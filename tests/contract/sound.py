"""An estimator that keeps the contract: least squares with dummies, written out."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from framework.contract import Estimator, Needs, Request
from framework.errors import DataError, IdentificationError
from framework.result import COEFFICIENT_COLUMNS, Result


class Sound(Estimator):
    """Regression on the treatment, the controls and a dummy for every fixed effect."""

    paper: ClassVar[str] = "Frisch and Waugh (1933), Econometrica 1(4)"
    estimands: ClassVar[tuple[str, ...]] = ("att", "coefficient")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "cross_section"}),
        uses=frozenset({"controls", "fixed_effects", "inference"}),
        inference=frozenset({"hetero", "cluster"}),
        binary=True,
    )
    adjust: bool = Field(default=True, description="Multiply by G / (G - 1).")

    def estimate(self, request: Request) -> Result:
        """One row, the treatment."""
        import numpy as np
        import pandas as pd
        from scipy.special import stdtr, stdtrit

        frame, n = request.frame, len(request.frame)
        if not n:
            raise DataError("D05", "there is no row")
        if len(request.inference.clusters) > 1:
            raise IdentificationError("X23", "two-way clusters are not for this one")
        y, d = (frame[c].to_numpy() for c in (request.outcome, self.treatment(request)))
        others = [np.ones((n, 1)), frame[list(request.controls)].to_numpy()]
        for effect in request.fixed_effects:
            codes = frame[effect].to_numpy()
            others.append(np.equal.outer(codes, np.unique(codes)).astype(float))
        W = np.hstack(others)
        P = np.linalg.pinv(W.T @ W, rcond=1e-10, hermitian=True) @ W.T
        left = d - W @ (P @ d)
        if left @ left < 1e-8 * n:
            raise IdentificationError("I02", "nothing is left of the treatment")
        estimate = float(left @ y / (left @ left))
        u = y - d * estimate
        u = u - W @ (P @ u)
        psi = pd.Series(left * u / (left @ left))
        if request.inference.clusters:
            (cluster,) = request.inference.clusters
            psi = psi.groupby(frame[cluster].to_numpy()).sum()
            psi.index = pd.Index(request.ids[cluster][psi.index])
        G = len(psi)
        if G < 2:
            raise IdentificationError("I05", f"{G} cluster")
        psi *= np.sqrt(G / (G - 1)) if self.adjust else 1.0
        error, df = float(np.sqrt(psi @ psi)), G - 1.0
        t, reach = estimate / error, stdtrit(df, 0.5 + request.confidence / 2) * error
        name = request.labels[request.treatment.columns[0]]
        row: tuple[Any, ...] = ("main", request.estimand[0], name, estimate, error, t)
        row += (2 * stdtr(df, -abs(t)), estimate - reach, estimate + reach)
        cells = dict(zip(COEFFICIENT_COLUMNS, row, strict=True))
        return Result(
            pd.DataFrame([cells]), psi.to_frame(0), {"n_obs": float(n), "df_t": df}
        )

    def treatment(self, request: Request) -> str:
        """The treatment's column."""
        return request.treatment.columns[0]
