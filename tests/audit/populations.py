"""Populations with a planted truth: models share each example's difficulty and differ by noise of their own."""

from __future__ import annotations

import numpy as np

from selftaught.audit import Population
from selftaught.seeds import rng_for


def planted(
    models: int, labels: np.ndarray, *, seed: int, name: str, harm: np.ndarray | float = 0.0, noise: float = 1.0
) -> Population:
    """Logits of the right class: an example's own ease, less its harm, with noise of each model.

    The ease depends on nothing but the example, so populations of other seeds differ by seed alone.
    """
    n, classes = len(labels), int(labels.max()) + 1
    ease = rng_for(0, "ease", n).normal(1.0, 1.5, n)
    logits = rng_for(seed, "population", name).normal(0, noise, (models, n, classes))
    logits[:, np.arange(n), labels] += ease - harm
    return Population.from_logits(logits, np.array([f"e{k}" for k in range(n)]), name)
