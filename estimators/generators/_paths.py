"""Random building blocks of simulated panels: one independent stream per part.

Streams are named, so that a part added later moves no number of the others.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Streams:
    """Random numbers by (seed, salt, name of the part)."""

    seed: int
    salt: int

    def of(self, part: str) -> np.random.Generator:
        import numpy as np

        name = zlib.crc32(part.encode())
        entropy = np.random.SeedSequence([self.seed, self.salt, name])
        return np.random.Generator(np.random.PCG64(entropy))

    def normal(self, part: str, *shape: int) -> Floats:
        return self.of(part).standard_normal(shape)


def autoregressive(noise: Floats, persistence: float) -> Floats:
    """Stationary AR(1) with unit variance along the last axis from white noise."""
    import numpy as np

    path = np.empty_like(noise)
    path[:, 0] = noise[:, 0]
    scale = np.sqrt(1 - persistence**2)
    for t in range(1, noise.shape[1]):
        path[:, t] = persistence * path[:, t - 1] + scale * noise[:, t]
    return path


def spatial_field(white: Floats, km: Floats, reach: float) -> Floats:
    """Gaussian field over the cities with covariance exp(-distance/reach).

    Args:
        white: standard normal, shape (N,).
        km: distances, shape (N, N).
    """
    import numpy as np

    return np.asarray(np.linalg.cholesky(np.exp(-km / reach)) @ white)


def standardized(values: Floats) -> Floats:
    """Mean 0, standard deviation 1 over all entries."""
    import numpy as np

    return np.asarray((values - values.mean()) / values.std())
