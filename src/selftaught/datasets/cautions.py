"""What a person should know about a target before anything learns it: rare classes, extreme values."""

from __future__ import annotations

import numpy as np

from selftaught.datasets.reading import one_line
from selftaught.examples import Examples

__all__ = ["cautions"]

COMMON = 0.8  # share of one class from which always answering it looks good
FAR = 15.0  # distances between the quartiles; a normal distribution has its farthest of a million values at 3.6


def cautions(examples: Examples) -> list[str]:
    """Return sentences about a target on which a figure can mislead; most data sets have none.

    Args:
        examples: labelled or not.

    >>> import numpy as np
    >>> from selftaught.datasets import load
    >>> cautions(load((np.arange(40.0)[:, None], np.arange(40) < 4)))[0][:35]
    "90.0 % of the rows are 'False', so "
    """
    if examples.labels is None or not len(examples):
        return []
    if examples.num_classes:
        return _common_class(examples)
    return _far_values(np.asarray(examples.labels, np.float64))


def _common_class(examples: Examples) -> list[str]:
    counts = np.bincount(np.asarray(examples.labels), minlength=examples.num_classes)
    share = float(counts.max() / counts.sum())
    if share < COMMON:
        return []
    name = one_line(examples.class_names[int(counts.argmax())], limit=40)
    return [
        f"{100 * share:.1f} % of the rows are {name!r}, so always answering it has an accuracy of {share:.3f}: compare "
        "with that, or give as many rows of each class"
    ]


def _far_values(targets: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[str]:
    low, middle, high = np.percentile(targets, [25, 50, 75])
    spread = float(high - low)
    if spread <= 0:
        return []
    far = np.abs(targets - middle) / spread
    number = int((far > FAR).sum())
    if not number:
        return []
    worst = float(targets[int(far.argmax())])
    rows = "1 row has a target" if number == 1 else f"{number} rows have targets"
    return [
        f"{rows} far from the rest (the farthest is {worst:g}, the middle half lies between {low:g} and {high:g}); "
        "squared errors of such rows decide the fitness: mend or remove them, or predict a logarithm"
    ]
