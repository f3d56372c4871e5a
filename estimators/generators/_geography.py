"""The facts that simulated panels stand on: cities, borders, dates of policies."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_EARTH_KM = 6371.0088


@dataclass(frozen=True, slots=True)
class Cities:
    """Cities in the order of their GB/T 2260 codes; every array has shape (N,).

    Attributes:
        codes: administrative codes.
        names: English names, all different.
        longitude, latitude: seat of the government, degrees.
        region: `east`, `central`, `northeast` or `west`.
        municipality, capital, sub_provincial, level, resource_based: 0 or 1; `level`
            marks municipalities and provincial capitals.
    """

    codes: npt.NDArray[np.int64]
    names: tuple[str, ...]
    province: npt.NDArray[np.str_]
    region: npt.NDArray[np.str_]
    longitude: Floats
    latitude: Floats
    municipality: Floats
    capital: Floats
    sub_provincial: Floats
    level: Floats
    resource_based: Floats

    @property
    def count(self) -> int:
        return len(self.names)

    def first_years(self, dates: Mapping[int, int]) -> Floats:
        """First year of a policy per city, `inf` where it never comes."""
        import numpy as np

        return np.array([float(dates.get(int(c), np.inf)) for c in self.codes])


def cities(*, since_2005: bool = False) -> Cities:
    """The 286 cities of 2011-2023, or the 281 of 2005-2022.

    Raises:
        DataError: D17, the fact files are not there.
    """
    import numpy as np

    rows = [r for r in _rows("cities.csv") if not since_2005 or r["in_281"] == "1"]

    def numbers(column: str) -> Floats:
        return np.array([float(row[column]) for row in rows])

    def texts(column: str) -> npt.NDArray[np.str_]:
        return np.array([row[column] for row in rows])

    return Cities(
        codes=numbers("adcode").astype(np.int64),
        names=tuple(row["name_en"] for row in rows),
        province=texts("province"),
        region=texts("region"),
        longitude=numbers("longitude"),
        latitude=numbers("latitude"),
        municipality=numbers("municipality"),
        capital=numbers("provincial_capital"),
        sub_provincial=numbers("sub_provincial"),
        level=numbers("level"),
        resource_based=numbers("resource_based"),
    )


def pilot_zones() -> dict[int, int]:
    """City code -> year in which its AI pilot zone was approved (18 cities)."""
    return {int(r["adcode"]): int(r["first_treat_year"]) for r in _rows("aipz.csv")}


def policy(name: str) -> dict[int, int]:
    """City code -> first year of `MIC2025`, `ECR` or `NDEI`."""
    rows = [row for row in _rows("policies.csv") if row["policy"] == name]
    return {int(row["adcode"]): int(row["first_year"]) for row in rows}


def distances(of: Cities) -> Floats:
    """Great-circle distances in km between seats, shape (N, N)."""
    import numpy as np

    lon, lat = np.radians(of.longitude), np.radians(of.latitude)
    half = (
        np.sin((lat[:, None] - lat) / 2) ** 2
        + np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2) ** 2
    )
    return np.asarray(2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


def inverse_distance(km: Floats) -> Floats:
    """Row-standardised inverse distances, zero diagonal, shape (N, N)."""
    import numpy as np

    apart = km + np.diag(np.full(len(km), np.inf))
    return np.asarray((1 / apart) / (1 / apart).sum(axis=1, keepdims=True))


def facts() -> Path:
    """Folder of the fact files: of the checkout, or inside the installed package.

    Raises:
        DataError: D17, there is none.
    """
    here = Path(__file__).resolve().parent
    for folder in (here.parents[1] / "specs" / "data", here / "facts"):
        if (folder / "cities.csv").is_file():
            return folder
    raise DataError(
        "D17",
        "the facts about cities and policies (cities.csv, aipz.csv, policies.csv) "
        "are not here",
        fix="generate from a checkout, where they are in specs/data/",
    )


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    with (facts() / name).open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))
