"""Random search, the control of every experiment."""

from __future__ import annotations

from typing import Any

import numpy as np

from selftaught.search.searcher import BaseSearcher

__all__ = ["RandomSearch"]


class RandomSearch(BaseSearcher):
    """Draw every candidate from the space, whatever was told.

    >>> from selftaught.spaces import macro_stack
    >>> searcher = RandomSearch(macro_stack(), seed=1)
    >>> searcher.ask(7) == searcher.ask(7)
    True
    """

    def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
        return self.space.sample(rng), None
