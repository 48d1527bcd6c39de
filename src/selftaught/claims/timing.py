"""Time two ways to do the same work in turns, so that a slow minute of a shared machine hits both."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from selftaught.programs.evaluate import Evaluator, evaluate_batch, shape_of
from selftaught.programs.tasksets import TaskSet

__all__ = ["Batch", "rates", "scoring"]

Pass = Callable[[], float]
Batch = tuple[NDArray[np.int32], NDArray[np.int64], tuple[int, int, int]]


def scoring(batch: Batch, tasks: TaskSet, lanes: int, *, live: bool) -> Pass:
    """Return a pass of the kernel over a batch of programs: it scores each on all tasks and returns their number.

    Args:
        batch: codes (n, m, 4), sizes (n, 3) and slots.
        tasks: what the programs are scored on.
        lanes: tasks at once; 1 is one task at a time.
        live: drop dead instructions first, within the pass.
    """
    codes, sizes, slots = batch
    evaluator = Evaluator(tasks, lanes=lanes)
    scratch = evaluator.scratch(slots, codes.shape[1] + 1)
    shape = shape_of(slots, tasks)
    out, means = np.zeros((len(codes), tasks.count)), np.zeros(len(codes))

    def one_pass() -> float:
        evaluate_batch(
            scratch.work, codes.copy(), sizes.copy(), shape, scratch.marks, scratch.pad, live, out, means
        )  # fmt: skip
        return float(len(codes))

    return one_pass


def rates(passes: dict[str, Pass], *, repeats: int, seconds: float) -> dict[str, float]:
    """Return the best rate of each pass, per CPU second of this thread, over interleaved repeats.

    Args:
        passes: name -> what does one pass and returns the amount done.
        repeats: turns of each.
        seconds: CPU seconds of a turn, about; one pass at least.
    """
    counts = {}
    for name, one_pass in passes.items():
        one_pass()  # compiles, and warms the caches
        begun = time.thread_time()
        one_pass()
        counts[name] = max(1, round(seconds / max(time.thread_time() - begun, 1e-7)))
    best = dict.fromkeys(passes, 0.0)
    for _ in range(repeats):
        for name, one_pass in passes.items():
            begun = time.thread_time()
            done = sum(one_pass() for _ in range(counts[name]))
            best[name] = max(best[name], done / max(time.thread_time() - begun, 1e-9))
    return best
