"""Some examples as a model takes them."""

from __future__ import annotations

import numpy as np
import torch

from selftaught.datasets.set_apart import draw_rows, strata
from selftaught.examples import Examples
from selftaught.seeds import rng_for
from selftaught.training.batches import as_inputs

__all__ = ["MANY", "few_of", "sample_of"]

MOST = 4000  # training examples that choices look at, beside those for validation
MANY = 20_000  # where losses of single classes are told apart


def sample_of(examples: Examples, count: int = 2) -> torch.Tensor:
    """Return some examples as a model takes them."""
    return as_inputs(torch.from_numpy(np.array(examples.inputs[:count])))


def few_of(examples: Examples, *, most: int = MOST, seed: int = 0) -> Examples:
    """Return at most so many examples, every class in proportion; the same ones for a seed.

    >>> from selftaught import load
    >>> len(few_of(load("iris"), most=30))
    30
    """
    if len(examples) <= most:
        return examples
    rows = draw_rows(rng_for(seed, "few"), np.arange(len(examples)), strata(examples), most)
    return examples.take(np.sort(rows))
