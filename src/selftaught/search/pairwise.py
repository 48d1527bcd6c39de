"""Bayesian regression on single choices and pairs of choices, searched by Thompson sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.special import ndtri
from scipy.stats import rankdata

from selftaught.errors import InputError
from selftaught.search.searcher import BaseSearcher
from selftaught.spaces import Candidate, ChoiceSpace, Space
from selftaught.trial import Trial

__all__ = ["PairwiseThompson"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_REACH = 0.5  # ordered choices: steps, as a share of their number, over which the similarity falls to 1/e


class _Features:
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


class _Surface:
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


class PairwiseThompson(BaseSearcher):
    """Draw a plausible surface of scores from what is known, and propose its highest point.

    The score of a candidate is modelled as a sum of a weight a choice and a weight a pair of choices, with normal
    priors: Bayesian linear regression with pairwise interactions, as in BOCS (arXiv 1806.08838), on the normal scores
    of the ranks, so that neither units nor a few disastrous candidates matter. Each trial draws all weights from
    their posterior (Thompson sampling) and climbs the drawn surface from several starts; candidates that were tried
    are passed over while others are left. It is computed with the trials told (n x n), never with all pairs.

    Args:
        space: what may be proposed; a `ChoiceSpace`.
        seed: of all random numbers.
        initial: random trials before the first draw.
        single: share of the prior variance that single choices have; pairs have the rest.
        noise: variance of the noise, relative to that of the scores.
        starts: random candidates among which the climbs begin, beside the best told.
        most: trials that the model holds; beyond them it keeps the best half and goes on.

    Raises:
        InputError: no ChoiceSpace, or a number out of its range.

    >>> from selftaught.spaces import macro_stack
    >>> searcher = PairwiseThompson(macro_stack(), seed=1)
    >>> searcher.ask(0) == searcher.ask(0)
    True
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        initial: int = 10,
        single: float = 0.5,
        noise: float = 0.01,
        starts: int = 100,
        most: int = 1000,
    ) -> None:
        super().__init__(space, seed=seed)
        if not isinstance(space, ChoiceSpace):
            raise InputError(f"pairwise search needs a ChoiceSpace, got {type(space).__name__}")
        for name, number, least in (("initial", initial, 2), ("starts", starts, 1), ("most", most, 4)):
            if number < least:
                raise InputError(f"{name} must be at least {least}, got {number}")
        if not 0 < single <= 1 or not noise > 0:
            raise InputError(f"single must be in (0, 1] and noise above 0, got {single} and {noise}")
        self._choices = space
        self.initial, self.noise, self.starts, self.most = initial, noise, starts, most
        self._features = _Features(space)
        parameters = len(space.parameters)
        pairs = parameters * (parameters - 1) / 2
        self._single = (single if pairs else 1.0) / parameters  # prior variance of a choice's weight
        self._pair = (1 - single) / pairs if pairs else 0.0  # and of a pair's
        self._told_keys: set[bytes] = set()
        self._columns = np.zeros((0, parameters), np.int64)  # (n, P) of the trials in the model
        self._values: list[float] = []
        self._root: Floats = np.zeros((0, 0))  # Cholesky factor of the model's covariance, with room to grow
        self._asked: dict[int, bytes] = {}  # what is being evaluated, so that it is not asked for twice

    # ---- learning

    def _learn(self, trial: Trial, value: float) -> None:
        self._asked.pop(trial.number, None)
        columns = self._features.columns(trial.candidate)
        self._told_keys.add(columns.tobytes())
        if len(self._values) >= self.most:
            self._forget()
        self._append(columns, value)

    def _note_failure(self, trial: Trial) -> None:
        self._asked.pop(trial.number, None)
        self._told_keys.add(self._features.columns(trial.candidate).tobytes())

    def _append(self, columns: Ints, value: float) -> None:
        """Add a trial to the model and a row to the factor of its covariance."""
        n = len(self._values)
        if n == len(self._root):
            grown = np.zeros((2 * n + 16, 2 * n + 16))
            grown[:n, :n] = self._root
            self._root = grown
        known = self._covariance(columns[None], self._columns)[0]
        row = solve_triangular(self._root[:n, :n], known, lower=True, check_finite=False) if n else known
        own = self._covariance(columns[None], columns[None])[0, 0] + self.noise
        self._root[n, :n] = row
        self._root[n, n] = np.sqrt(max(own - row @ row, 1e-9))
        self._columns = np.vstack([self._columns, columns])
        self._values.append(value)

    def _forget(self) -> None:
        """Keep the best half, in the order told."""
        kept = np.sort(np.argsort(-np.array(self._values), kind="stable")[: self.most // 2])
        self._columns, self._values = self._columns[kept], [self._values[place] for place in kept]
        covariance = self._covariance(self._columns, self._columns) + self.noise * np.eye(len(kept))
        self._root = np.asarray(np.linalg.cholesky(covariance), np.float64)

    def _covariance(self, ours: Ints, others: Ints) -> Floats:
        """Return the prior covariance (N, n) of candidates given by their columns."""
        ones = np.zeros((len(ours), len(others)))
        squares = ones if self._features.plain else np.zeros_like(ones)
        for p in range(ours.shape[1]):
            if self._features.plain:
                ones += ours[:, p, None] == others[None, :, p]
            else:
                alike = self._features.similar[ours[:, p, None], others[None, :, p]]
                ones += alike
                squares += alike * alike
        return np.asarray(self._single * ones + self._pair * (ones * ones - squares) / 2)

    # ---- proposing

    def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
        if len(self._values) < self.initial:
            return self.space.sample(rng), None
        surface = self._draw(rng)
        taken = self._told_keys | {key for other, key in self._asked.items() if other != number}
        columns = self._highest(surface, taken, rng)
        if columns is None:  # everything near was tried
            return self.space.sample(rng), None
        self._asked[number] = columns.tobytes()
        return self._features.candidate(columns), None

    def _draw(self, rng: np.random.Generator) -> _Surface:
        """Draw a surface from the posterior: one from the prior, corrected by what it gets wrong (Matheron's rule)."""
        features, n = self._features, len(self._values)
        depth = len(features.block)
        single = np.sqrt(self._single) * rng.standard_normal(depth)
        drawn = rng.standard_normal((depth, depth))
        pairs = np.sqrt(self._pair) * (np.triu(drawn, 1) + np.triu(drawn, 1).T)
        if not features.plain:
            single, pairs = features.root @ single, features.root @ pairs @ features.root.T
        surface = _Surface(single, np.where(features.across, pairs, 0.0))
        wrong = self._scores() - surface.at(self._columns) - np.sqrt(self.noise) * rng.standard_normal(n)
        weights = cho_solve((self._root[:n, :n], True), wrong, check_finite=False)
        seen = np.zeros((n, depth))
        np.put_along_axis(seen, self._columns, 1.0, axis=1)
        more_single, more_pairs = seen.T @ weights, (seen * weights[:, None]).T @ seen
        if not features.plain:
            more_single = features.similar @ more_single
            more_pairs = features.similar @ more_pairs @ features.similar
        surface.single += self._single * more_single
        surface.pairs += np.where(features.across, self._pair * more_pairs, 0.0)
        return surface

    def _scores(self) -> Floats:
        """Return the normal scores (n,) of the ranks of the values."""
        return np.asarray(ndtri((rankdata(self._values) - 0.5) / len(self._values)))

    def _highest(self, surface: _Surface, taken: set[bytes], rng: np.random.Generator) -> Ints | None:
        """Return the columns of the highest point found that is not taken, or None."""
        drawn = [self._features.columns(self.space.sample(rng)) for _ in range(self.starts)]
        best = np.argsort(-np.array(self._values), kind="stable")[:5]
        pool = np.vstack([self._columns[best], drawn])
        heights = surface.at(pool)
        found: list[tuple[float, Ints]] = []
        for place in np.argsort(-heights, kind="stable")[:5]:
            found += self._climb(surface, pool[place], float(heights[place]), taken)
        found += [(float(h), row) for h, row in zip(heights, pool, strict=True) if row.tobytes() not in taken]
        return max(found, key=lambda pair: pair[0])[1] if found else None

    def _climb(self, surface: _Surface, start: Ints, height: float, taken: set[bytes]) -> list[tuple[float, Ints]]:
        """Go up by single changes; return the highest point on the way, or next to the top, that is not taken."""
        free: list[tuple[float, Ints]] = []
        while True:
            near, heights = self._near(surface, start, height)
            for place in np.argsort(-heights, kind="stable"):
                if near[place].tobytes() not in taken:
                    free.append((float(heights[place]), near[place]))
                    break
            top = int(heights.argmax()) if len(heights) else 0
            if not len(heights) or heights[top] <= height + 1e-12:
                return free
            start, height = near[top], float(heights[top])

    def _near(self, surface: _Surface, columns: Ints, height: float) -> tuple[Ints, Floats]:
        """Return the columns (N, P) and the heights (N,) of all neighbours."""
        if self._choices.conditional:
            around: Sequence[Any] = self._choices.neighbours(self._features.candidate(columns))
            near = np.array([self._features.columns(candidate) for candidate in around]).reshape(-1, len(columns))
            return near, surface.at(near)
        features = self._features
        others = np.setdiff1d(np.arange(len(features.block)), columns)
        near = np.repeat(columns[None], len(others), axis=0)
        near[np.arange(len(others)), features.block[others]] = others
        return near, height + surface.gains(columns, features.block)[others]
