"""The small data sets that come with scikit-learn, by name; they need no file and no network."""

from __future__ import annotations

from typing import Any

import numpy as np

from selftaught.datasets.arrays import examples_from_arrays
from selftaught.examples import Examples

__all__ = ["NAMES", "bundled"]

NAMES = ("digits", "iris", "wine", "breast_cancer", "diabetes")


def bundled(name: str) -> Examples:
    """Return one of the sets in `NAMES`; digits are uint8 images (1797, 8, 8), the others tables.

    >>> bundled("digits").inputs.shape
    (1797, 8, 8)
    """
    from sklearn import datasets

    bunch: Any = getattr(datasets, f"load_{name}")()
    if name == "digits":
        digits = tuple(str(digit) for digit in range(10))
        return examples_from_arrays(bunch.images.astype(np.uint8), bunch.target, name=name, class_names=digits)
    features = tuple(str(feature) for feature in bunch.feature_names)
    if name == "diabetes":
        return examples_from_arrays(bunch.data, bunch.target, name=name, task="regression", feature_names=features)
    classes = tuple(str(label) for label in bunch.target_names)
    return examples_from_arrays(bunch.data, bunch.target, name=name, class_names=classes, feature_names=features)
