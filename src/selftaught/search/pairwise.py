"""Bayesian regression on single choices and pairs of choices, searched by Thompson sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from selftaught.errors import InputError
from selftaught.search.pairwise_model import Features, Floats, Ints, Regression, Surface
from selftaught.search.searcher import BaseSearcher, choices_of
from selftaught.spaces import Space
from selftaught.trial import Trial

__all__ = ["PairwiseThompson"]

_EXPLORED = 30  # choices that a hundred trials can explore: measured on NAS-Bench-201, larger made-up spaces and digits


class PairwiseThompson(BaseSearcher):
    """Draw a plausible surface of scores from what is known, and propose its highest point.

    The score of a candidate is modelled as a sum of a weight a choice and a weight a pair of choices, with normal
    priors: Bayesian linear regression with pairwise interactions, as in BOCS (arXiv 1806.08838), on the normal scores
    of the ranks, so that neither units nor a few disastrous candidates matter. How much of the variance single
    choices have is drawn too, by the evidence for each of a few shares. Each trial draws all weights from their
    posterior (Thompson sampling) and climbs the drawn surface from several starts; candidates that were tried are
    passed over while others are left.

    Args:
        space: what may be proposed; a `ChoiceSpace`.
        seed: of all random numbers.
        initial: random trials before the first draw.
        single: shares of the prior variance that single choices may have; pairs have the rest.
        noise: variance of the noise, relative to that of the scores.
        temperature: factor on how far a draw goes from the posterior's mean; by default 1 for spaces of up to 30
            choices, counted over all parameters, and 30 over their number for larger ones, which a search of a
            few hundred trials cannot explore.
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
        single: Sequence[float] = (0.2, 0.5, 0.9),
        noise: float = 0.01,
        temperature: float | None = None,
        starts: int = 100,
        most: int = 1000,
    ) -> None:
        super().__init__(space, seed=seed)
        for name, number, least in (("initial", initial, 2), ("starts", starts, 1), ("most", most, 4)):
            if number < least:
                raise InputError(f"{name} must be at least {least}, got {number}")
        if not single or not all(0 < share <= 1 for share in single) or not noise > 0:
            raise InputError(f"single must be shares in (0, 1] and noise above 0, got {list(single)} and {noise}")
        if temperature is not None and not temperature >= 0:
            raise InputError(f"temperature must be at least 0, got {temperature}")
        self._choices = choices_of(space, "pairwise search")
        self.initial, self.starts, self.most = initial, starts, most
        self._features = Features(self._choices)
        usual = min(1.0, _EXPLORED / len(self._features.block))
        self.temperature = usual if temperature is None else temperature
        self._models = [Regression(self._features, share, noise) for share in single]
        self._told_keys: set[bytes] = set()
        self._columns = np.zeros((0, len(self._choices.parameters)), np.int64)  # (n, P) of the trials in the models
        self._values: list[float] = []
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
        for model in self._models:
            model.append(columns, self._columns)
        self._columns = np.vstack([self._columns, columns])
        self._values.append(value)

    def _forget(self) -> None:
        """Keep the best half, in the order told."""
        kept = np.sort(np.argsort(-np.array(self._values), kind="stable")[: self.most // 2])
        self._columns, self._values = self._columns[kept], [self._values[place] for place in kept]
        for model in self._models:
            model.begin_again(self._columns)

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

    def _draw(self, rng: np.random.Generator) -> Surface:
        """Draw a model by its evidence, and a surface from it."""
        scores = self._scores()
        evidence = np.array([model.evidence(scores) for model in self._models])
        chances = np.exp(evidence - evidence.max())
        model = self._models[int(rng.choice(len(chances), p=chances / chances.sum()))]
        return model.draw(self._columns, scores, rng, temperature=self.temperature)

    def _scores(self) -> Floats:
        """Return the normal scores (n,) of the ranks of the values."""
        return np.asarray(ndtri((rankdata(self._values) - 0.5) / len(self._values)))

    def _highest(self, surface: Surface, taken: set[bytes], rng: np.random.Generator) -> Ints | None:
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

    def _climb(self, surface: Surface, start: Ints, height: float, taken: set[bytes]) -> list[tuple[float, Ints]]:
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

    def _near(self, surface: Surface, columns: Ints, height: float) -> tuple[Ints, Floats]:
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
