"""How an estimator's columns become a program's features: standardised, projected when many, padded when few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.projections import gaussian_matrix
from selftaught.errors import DataError
from selftaught.seeds import rng_for

__all__ = ["MAX_OWN_COLUMNS", "ColumnMap", "Scale"]

MAX_OWN_COLUMNS = 64  # with more columns than this they are projected, unless the user says otherwise


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean 0 and standard deviation 1 on the rows it was made of; a constant column keeps its scale.

    Args:
        centre: float64, the mean.
        spread: float64, the population standard deviation, 1 for what is constant.
    """

    centre: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Scale:
        """Measure the columns of values (n, ...)."""
        with np.errstate(over="ignore", invalid="ignore"):
            centre = np.asarray(values.mean(axis=0, dtype=np.float64))
            spread = np.asarray(values.std(axis=0, dtype=np.float64))
        return cls(centre, np.where((spread == 0) | (spread < 1e-7 * np.abs(centre)), 1.0, spread))

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the values standardised, float32.

        Raises:
            DataError: they are too large for float32.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            scaled: NDArray[np.float32] = ((values - self.centre) / self.spread).astype(np.float32)
        if not np.isfinite(scaled).all():
            raise DataError("the values are too large to be standardised in float32; rescale the columns")
        return scaled

    def undo(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return standardised values on their own scale."""
        return values.astype(np.float64) * self.spread + self.centre


@dataclass(frozen=True, eq=False)
class ColumnMap:
    """From columns (n, columns) to features (n, F).

    Args:
        scale: of the columns.
        matrix: (columns, width) float32, a Gaussian projection, or None to keep the columns.
        projected: scale of the projected columns, or None.
        width: F; columns of zeros are added up to it.
    """

    scale: Scale
    matrix: NDArray[np.float32] | None
    projected: Scale | None
    width: int

    @classmethod
    def of(cls, x: NDArray[Any], *, features: int | None, least: int, seed: int) -> ColumnMap:
        """Make the map from training rows.

        Args:
            x: (n, columns).
            features: project to so many when there are more columns; None: 64.
            least: smallest F, for a program that scores so many classes.
            seed: of the projection.
        """
        scale = Scale.of(x)
        columns = x.shape[1]
        limit = MAX_OWN_COLUMNS if features is None else features
        if columns <= limit:
            return cls(scale, None, None, max(columns, least))
        matrix = gaussian_matrix(rng_for(seed, "estimator", "projection"), columns, max(limit, least))
        return cls(scale, matrix, Scale.of(scale.apply(x) @ matrix), matrix.shape[1])

    def apply(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return the features (n, F) of rows (n, columns)."""
        found = self.scale.apply(x)
        if self.matrix is not None and self.projected is not None:
            found = self.projected.apply(found @ self.matrix)
        missing = self.width - found.shape[1]
        return np.pad(found, ((0, 0), (0, missing))) if missing > 0 else found
