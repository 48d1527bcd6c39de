"""The model of pairwise search: Bayesian regression on single choices and pairs of choices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from selftaught.spaces import Candidate, ChoiceSpace

__all__ = ["Features", "Floats", "Ints", "Regression", "Surface"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_REACH = 0.5  # ordered choices: steps, as a share of their number, over which the similarity falls to 1/e


class Features:
    """Choices as columns of zeros and ones, a block a parameter, with a column for "not active" where it can be.

    Args:
        space: P parameters, D columns.
    """

    def __init__(self, space: ChoiceSpace) -> None:
        self.space = space
        counts = [len(p.choices) + bool(p.when) for p in space.parameters]
        self.starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
        self.sizes = np.array(counts)
        self.block = np.repeat(np.arange(len(counts)), counts)  # (D,) parameter of a column
        self.across = self.block[:, None] != self.block[None, :]  # (D, D) columns of different parameters
        similar = np.eye(len(self.block))
        for parameter, start in zip(space.parameters, self.starts, strict=True):
            if parameter.ordered:
                places = np.arange(len(parameter.choices))
                apart = np.abs(places[:, None] - places[None, :]) / (_REACH * len(places))
                end = start + len(places)
                similar[start:end, start:end] = np.exp(-apart)
        self.similar = similar  # (D, D) how alike two choices of a parameter are
        self.root = np.linalg.cholesky(similar)
        self.plain = bool(np.array_equal(similar, np.eye(len(similar))))

    def columns(self, candidate: Candidate) -> Ints:
        """Return the column (P,) of each parameter's choice."""
        places = np.array(self.space.positions(candidate))
        return np.asarray(self.starts + np.where(places < 0, self.sizes - 1, places))

    def candidate(self, columns: Ints) -> dict[str, Any]:
        """Return the candidate of columns of active parameters."""
        places = dict(zip((p.name for p in self.space.parameters), columns - self.starts, strict=True))
        return self.space.complete({}, lambda parameter: int(places[parameter.name]))


class Surface:
    """A function of candidates: a weight a choice, and a weight a pair of choices of different parameters."""

    def __init__(self, single: Floats, pairs: Floats) -> None:
        self.single = single  # (D,)
        self.pairs = pairs  # (D, D), symmetric, zero within a parameter

    def at(self, columns: Ints) -> Floats:
        """Return the values (N,) at columns (N, P)."""
        found = self.single[columns].sum(axis=1)
        for p in range(columns.shape[1] - 1):
            found += self.pairs[columns[:, p, None], columns[:, p + 1 :]].sum(axis=1)
        return np.asarray(found)

    def gains(self, columns: Ints, block: Ints) -> Floats:
        """Return what the value gains (D,) when the parameter of each column changes to it."""
        slope = self.single + self.pairs[:, columns].sum(axis=1)
        return np.asarray(slope - slope[columns][block])


class Regression:
    """Normal priors on all weights, of total variance 1, and what follows from the trials told.

    It is computed with the trials (n x n), never with all pairs of columns (D x D) at once but in a draw.

    Args:
        features: of the space.
        single: share of the prior variance that single choices have; pairs have the rest.
        noise: variance of the noise.
    """

    def __init__(self, features: Features, single: float, noise: float) -> None:
        parameters = len(features.sizes)
        pairs = parameters * (parameters - 1) / 2
        self.features = features
        self.noise = noise
        self.single = (single if pairs else 1.0) / parameters  # prior variance of a choice's weight
        self.pair = (1 - single) / pairs if pairs else 0.0  # and of a pair's
        self._grown = np.zeros((0, 0))  # Cholesky factor of the covariance, with room to grow

    def covariance(self, ours: Ints, others: Ints) -> Floats:
        """Return the prior covariance (N, n) of candidates given by their columns."""
        ones = np.zeros((len(ours), len(others)))
        squares = ones if self.features.plain else np.zeros_like(ones)
        for p in range(ours.shape[1]):
            if self.features.plain:
                ones += ours[:, p, None] == others[None, :, p]
            else:
                alike = self.features.similar[ours[:, p, None], others[None, :, p]]
                ones += alike
                squares += alike * alike
        return np.asarray(self.single * ones + self.pair * (ones * ones - squares) / 2)

    def root(self, n: int) -> Floats:
        """Return the Cholesky factor (n, n) of the covariance of the trials, noise included."""
        return self._grown[:n, :n]

    def append(self, columns: Ints, known: Ints) -> None:
        """Add a trial (P,) behind the known ones (n, P): a row of the factor."""
        n = len(known)
        if n == len(self._grown):
            grown = np.zeros((2 * n + 16, 2 * n + 16))
            grown[:n, :n] = self._grown
            self._grown = grown
        beside = self.covariance(columns[None], known)[0]
        row = solve_triangular(self.root(n), beside, lower=True, check_finite=False) if n else beside
        own = self.covariance(columns[None], columns[None])[0, 0] + self.noise
        self._grown[n, :n] = row
        self._grown[n, n] = np.sqrt(max(own - row @ row, 1e-9))

    def begin_again(self, known: Ints) -> None:
        """Hold these trials (n, P) only."""
        covariance = self.covariance(known, known) + self.noise * np.eye(len(known))
        self._grown = np.asarray(np.linalg.cholesky(covariance), np.float64)

    def evidence(self, scores: Floats) -> float:
        """Return the logarithm of the likelihood of the scores (n,), all weights integrated out, up to a constant."""
        root = self.root(len(scores))
        white = solve_triangular(root, scores, lower=True, check_finite=False)
        return float(-0.5 * white @ white - np.log(np.diag(root)).sum())

    def draw(self, known: Ints, scores: Floats, rng: np.random.Generator, *, temperature: float = 1.0) -> Surface:
        """Draw a surface from the posterior: one from the prior, corrected by what it gets wrong (Matheron's rule).

        Args:
            known: columns (n, P) of the trials.
            scores: theirs (n,).
            rng: of the draw.
            temperature: factor on how far the draw goes from the posterior's mean; 0 is the mean itself.
        """
        features, n = self.features, len(known)
        depth = len(features.block)
        single = temperature * np.sqrt(self.single) * rng.standard_normal(depth)
        drawn = temperature * rng.standard_normal((depth, depth))
        pairs = np.sqrt(self.pair) * (np.triu(drawn, 1) + np.triu(drawn, 1).T)
        if not features.plain:
            single, pairs = features.root @ single, features.root @ pairs @ features.root.T
        surface = Surface(single, np.where(features.across, pairs, 0.0))
        heard = temperature * np.sqrt(self.noise) * rng.standard_normal(n)
        wrong = scores - surface.at(known) - heard
        weights = cho_solve((self.root(n), True), wrong, check_finite=False)
        seen = np.zeros((n, depth))
        np.put_along_axis(seen, known, 1.0, axis=1)
        more_single, more_pairs = seen.T @ weights, (seen * weights[:, None]).T @ seen
        if not features.plain:
            more_single = features.similar @ more_single
            more_pairs = features.similar @ more_pairs @ features.similar
        surface.single += self.single * more_single
        surface.pairs += np.where(features.across, self.pair * more_pairs, 0.0)
        return surface
