"""The individuals of a search in flat arrays: a population, the best ever seen, and improvements not yet read.

`rows` (int64) and `codes` (int32, instructions) have a line an individual: the population first, then
`num_best` best ones (best first), then a ring of improvements. `counters` says how many of each.
"""

from __future__ import annotations

import numpy as np

from selftaught.programs.jit import compiled
from selftaught.programs.layout import (
    R_BORN,
    R_FITNESS,
    R_HIGH,
    R_LOW,
    R_MOVE,
    R_PARENT,
    R_SIZES,
    R_STRUCTURE,
    ROW_SIZE,
)
from selftaught.programs.streams import below

__all__ = [
    "COUNTERS",
    "NUM_BEST",
    "NUM_COUNTERS",
    "NUM_EVENTS",
    "copy_line",
    "fitness_of",
    "least_fit",
    "lexicase",
    "note_best",
    "put",
    "take",
    "tournament",
]

NUM_BEST = 16
NUM_EVENTS = 256

COUNTERS = (
    "programs", "evaluated", "key_hits", "print_hits", "steps", "filled", "next", "events", "best", "rejected",
    "screened", "neutral", "hurdled", "improved_at", "restarts", "restarted_at", "run_length", "hurdle_seen",
    "stuck", "run_kind", "shorten_at", "vain_runs", "new_at",
)  # fmt: skip
(
    PROGRAMS, EVALUATED, KEY_HITS, PRINT_HITS, STEPS, FILLED, NEXT, EVENTS, BEST_COUNT, REJECTED,
    SCREENED, NEUTRAL, HURDLED, IMPROVED_AT, RESTARTS, RESTARTED_AT, RUN_LENGTH, HURDLE_SEEN,
    STUCK, RUN_KIND, SHORTEN_AT, VAIN_RUNS, NEW_AT,
) = range(23)  # fmt: skip
NUM_COUNTERS = len(COUNTERS)


@compiled
def fitness_of(rows, i):
    """Return the fitness of the individual at line i."""
    return np.int64(rows[i, R_FITNESS]).view(np.float64)


@compiled
def put(rows, codes, i, code, sizes, fitness, low, high, structure, born, parent, move, cases):
    """Write an individual at line i."""
    rows[i, R_FITNESS] = np.float64(fitness).view(np.int64)
    rows[i, R_LOW] = np.int64(low)
    rows[i, R_HIGH] = np.int64(high)
    rows[i, R_STRUCTURE] = np.int64(structure)
    rows[i, R_BORN] = born
    rows[i, R_PARENT] = parent
    rows[i, R_MOVE] = move
    for task in range(rows.shape[1] - ROW_SIZE):
        rows[i, ROW_SIZE + task] = np.float64(cases[task]).view(np.int64)
    total = 0
    for part in range(3):
        rows[i, R_SIZES + part] = sizes[part]
        total += sizes[part]
    for j in range(total):
        for k in range(4):
            codes[i, j, k] = code[j, k]


@compiled
def take(rows, codes, i, code, sizes):
    """Copy the program at line i out."""
    total = 0
    for part in range(3):
        sizes[part] = rows[i, R_SIZES + part]
        total += sizes[part]
    for j in range(total):
        for k in range(4):
            code[j, k] = codes[i, j, k]


@compiled
def copy_line(rows, codes, source, target):
    """Copy the individual at a line to another line.

    Element by element, as elsewhere: Numba compiles the assignment of a slice some fifty times as long.
    """
    for k in range(rows.shape[1]):
        rows[target, k] = rows[source, k]
    for j in range(codes.shape[1]):
        for k in range(4):
            codes[target, j, k] = codes[source, j, k]


@compiled
def tournament(state, rows, size, filled):
    """Return the fittest of `size` members drawn with replacement, the first drawn on a tie."""
    best = below(state, filled)
    for _ in range(size - 1):
        rival = below(state, filled)
        if fitness_of(rows, rival) > fitness_of(rows, best):
            best = rival
    return best


@compiled
def lexicase(state, rows, size, filled):
    """Return a parent by lexicase selection in a pool of `size` members drawn with replacement.

    The tasks are looked at one by one in random order; on each, only members about as good as the pool's best
    stay (within the mean absolute deviation: epsilon-lexicase, La Cava et al., arXiv 1905.13266). Programs that
    are good at some tasks survive beside those that are fair at all.
    """
    pool = np.empty(size, np.int64)
    for i in range(size):
        pool[i] = below(state, filled)
    tasks = rows.shape[1] - ROW_SIZE
    order = np.empty(tasks, np.int64)
    for i in range(tasks):
        order[i] = i
    left = size
    for i in range(tasks):
        j = i + below(state, tasks - i)
        task = order[j]
        order[j] = order[i]
        best, mean = -1.0, 0.0
        for m in range(left):
            value = np.int64(rows[pool[m], ROW_SIZE + task]).view(np.float64)
            best = max(best, value)
            mean += value
        mean /= left
        spread = 0.0
        for m in range(left):
            spread += abs(np.int64(rows[pool[m], ROW_SIZE + task]).view(np.float64) - mean)
        floor = best - spread / left
        kept = 0
        for m in range(left):
            if np.int64(rows[pool[m], ROW_SIZE + task]).view(np.float64) >= floor:
                pool[kept] = pool[m]
                kept += 1
        left = kept
        if left == 1:
            break
    return pool[below(state, left)]


@compiled
def least_fit(state, rows, size, filled):
    """Return the least fit of `size` members drawn with replacement."""
    worst = below(state, filled)
    for _ in range(size - 1):
        rival = below(state, filled)
        if fitness_of(rows, rival) < fitness_of(rows, worst):
            worst = rival
    return worst


@compiled
def note_best(rows, codes, counters, population, code, sizes, fitness, low, high, structure, parent, move, cases):
    """Keep the best distinct programs ever seen, and put each new best on the ring of improvements."""
    count = counters[BEST_COUNT]
    first = population
    if count == NUM_BEST and fitness <= fitness_of(rows, first + NUM_BEST - 1):
        return
    for i in range(first, first + count):
        if rows[i, R_LOW] == np.int64(low) and rows[i, R_HIGH] == np.int64(high):
            return
    born = counters[PROGRAMS]
    if count == 0 or fitness > fitness_of(rows, first):
        counters[IMPROVED_AT] = born
        event = first + NUM_BEST + counters[EVENTS] % NUM_EVENTS
        put(rows, codes, event, code, sizes, fitness, low, high, structure, born, parent, move, cases)
        counters[EVENTS] += 1
    at = first + (count if count < NUM_BEST else NUM_BEST - 1)
    while at > first and fitness_of(rows, at - 1) < fitness:
        copy_line(rows, codes, at - 1, at)
        at -= 1
    put(rows, codes, at, code, sizes, fitness, low, high, structure, born, parent, move, cases)
    if count < NUM_BEST:
        counters[BEST_COUNT] += 1
