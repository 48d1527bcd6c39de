"""Compile the engine ahead of its first use: `python -m selftaught.programs.prepare loop rest`.

The parts can be compiled by processes of their own at the same time: they keep what they compile in one cache.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from selftaught.errors import InputError, did_you_mean

__all__ = ["PARTS", "prepare"]

PARTS = ("loop", "rest")


def prepare(parts: Sequence[str] = PARTS, *, features: int = 4) -> None:
    """Compile parts of the engine where the cache does not hold them yet.

    Args:
        parts: "loop" is the search, "rest" is the scoring of programs outside of one and the byte code of scikit-learn.
        features: F of the kernel, which both need; the other code serves every F.

    Raises:
        InputError: a part of another name.
    """
    for part in parts:
        if part not in PARTS:
            raise InputError(f"there is no part {part!r} of the engine{did_you_mean(part, PARTS)}")
    from selftaught.programs.baselines import linear_learner
    from selftaught.programs.builtin import builtin_tasks
    from selftaught.programs.evaluate import Evaluator

    evaluator = Evaluator(builtin_tasks("linear_regression", count=16, features=features, num_train=20, num_valid=20))
    if "rest" in parts:
        import sklearn.linear_model  # noqa: F401

        evaluator.score(linear_learner(0.01))
    if "loop" in parts:
        from selftaught.programs.search import Island
        from selftaught.programs.settings import resolve_settings

        settings = resolve_settings("linear_regression", "", {"preset": "demo"})
        Island(settings, evaluator.tasks, 0, evaluator).run(0, 0)


if __name__ == "__main__":
    prepare(sys.argv[1:] or PARTS)
