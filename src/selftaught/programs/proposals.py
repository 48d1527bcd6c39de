"""What a search proposes: grown or changed programs in live form, additions to another, or one made shorter."""

from __future__ import annotations

import numpy as np

from selftaught.programs.additions import REFINING, add_programs, base_line
from selftaught.programs.classic import remove_at
from selftaught.programs.graphs import graph_key
from selftaught.programs.grow import grow_program, mutate_live, splice
from selftaught.programs.jit import compiled
from selftaught.programs.layout import (
    FRESH,
    GRAPH,
    LEXICASE,
    MORE,
    MOST,
    NAMES,
    OPTIONS,
    POPULATION,
    R_BORN,
    SCREEN,
    SHAPE,
    SPLICE,
    START,
    TOURNAMENT,
    TRIES,
)
from selftaught.programs.liveness import canonical_key, compact, find_live, has_random
from selftaught.programs.memo import recall
from selftaught.programs.people import (
    FILLED,
    KEY_HITS,
    PROGRAMS,
    REJECTED,
    RESTARTED_AT,
    RUN_KIND,
    SCREENED,
    SHORTEN_AT,
    lexicase,
    take,
    tournament,
)
from selftaught.programs.screens import learns
from selftaught.programs.streams import uniform

__all__ = ["copy_start", "live_form", "propose", "propose_shorter"]

GROWN = 0.7  # share of additions that are grown, not changed


@compiled
def live_form(code, sizes, shape, marks):
    """Drop dead code until nothing is dead (dropping may free more); liveness is left in `marks`."""
    total = sizes[0] + sizes[1] + sizes[2]
    count = find_live(code, sizes, shape, marks)
    while count < total:
        compact(code, sizes, marks)
        total = count
        count = find_live(code, sizes, shape, marks)
    return total


@compiled
def copy_start(start, code, sizes):
    """Copy the start program out: its sizes are in line 0, its code follows."""
    total = 0
    for part in range(3):
        sizes[part] = start[0, part]
        total += sizes[part]
    for i in range(total):
        for k in range(4):
            code[i, k] = start[1 + i, k]


@compiled
def _within(sizes, rules):
    fits = True
    for part in range(3):
        fits &= sizes[part] <= rules[MOST, part]
    return fits


@compiled
def select(counters, state, rows, rules):
    """Return a parent: by lexicase selection in a pool, or the fittest of a few."""
    if rules[OPTIONS, LEXICASE] > 0:
        return lexicase(state, rows, rules[OPTIONS, LEXICASE], counters[FILLED])
    return tournament(state, rows, rules[OPTIONS, TOURNAMENT], counters[FILLED])


@compiled
def _key(code, sizes, shape, pad):
    """Return a live program's key (two uint64) and its structure's."""
    low, high, structure = canonical_key(code, sizes, shape, pad[NAMES:])
    if not has_random(code, sizes):
        low = graph_key(code, sizes, shape, pad[GRAPH:], True)
        structure = graph_key(code, sizes, shape, pad[GRAPH:], False)
        high = structure
    return low, high, structure


@compiled
def _copy(code, sizes, copy, copy_sizes):
    total = 0
    for part in range(3):
        copy_sizes[part] = sizes[part]
        total += sizes[part]
    for i in range(total):
        for k in range(4):
            copy[i, k] = code[i, k]


@compiled
def propose(
    rows, codes, counters, state, memo, rules, numbers, start, pad, marks, code, sizes, whole, whole_sizes,
    beside, found,
):  # fmt: skip
    """Write a program never scored before; `found` gets its parent, move and key; False when tries run out.

    `code` is what becomes a member of the population and `whole` what is scored: the same, or its sum with the
    program it stands beside. `beside` is that one, its sizes, its slots' names, and whether this is such a run.
    """
    base, base_sizes, names, adding = beside
    filled = counters[FILLED]
    shape = rules[SHAPE]
    beginning = counters[PROGRAMS] - counters[RESTARTED_AT] < rules[OPTIONS, POPULATION]
    beginning &= rules[OPTIONS, START] == 0 and counters[RUN_KIND] != REFINING
    for _ in range(rules[OPTIONS, TRIES]):
        parent, move = np.int64(-1), np.int64(-1)
        if filled == 0 and rules[OPTIONS, START] != 0:
            copy_start(start, code, sizes)
        elif (
            filled == 0
            or beginning
            or (adding and uniform(state) < GROWN)
            or (not adding and uniform(state) < numbers[FRESH])
        ):
            grow_program(state, rules, code, sizes)
            if adding:
                parent = rows[base_line(rules), R_BORN]
        else:
            chosen = select(counters, state, rows, rules)
            parent = rows[chosen, R_BORN]
            take(rows, codes, chosen, code, sizes)
            if uniform(state) < numbers[SPLICE]:
                splice(state, code, sizes, rows, codes, select(counters, state, rows, rules))
                move = np.int64(100)
            while True:
                live_form(code, sizes, shape, marks)
                if not _within(sizes, rules):
                    break
                done = mutate_live(state, rules, numbers, code, sizes, marks)
                if move < 0:
                    move = np.int64(done)
                if uniform(state) >= numbers[MORE]:
                    break
        count = live_form(code, sizes, shape, marks)
        if not _within(sizes, rules) or (count == 0 and filled > 0 and rules[OPTIONS, START] == 0):
            counters[REJECTED] += 1
            continue
        if adding:
            add_programs(base, base_sizes, names, code, sizes, shape, whole, whole_sizes)
            live_form(whole, whole_sizes, shape, marks)
        else:
            _copy(code, sizes, whole, whole_sizes)
        if rules[OPTIONS, SCREEN] == 1 and not learns(whole, whole_sizes, shape, pad[NAMES:]):
            counters[SCREENED] += 1
            continue
        low, high, structure = _key(whole, whole_sizes, shape, pad)
        if recall(memo, low, high) >= 0:
            counters[KEY_HITS] += 1
            continue
        found[0], found[1], found[2], found[3] = parent, move, np.int64(low), np.int64(high)
        found[4] = np.int64(structure)
        return True
    return False


@compiled
def propose_shorter(rows, codes, counters, rules, pad, marks, code, sizes, found):
    """Write the program that additions will stand beside without one of its instructions, the next one.

    SHORTEN_AT is the next, -1 when all were tried. False where there is nothing to score.
    """
    line, at = base_line(rules), counters[SHORTEN_AT]
    take(rows, codes, line, code, sizes)
    if at >= sizes[0] + sizes[1] + sizes[2]:
        counters[SHORTEN_AT] = -1
        return False
    part = 0 if at < sizes[0] else 1 if at < sizes[0] + sizes[1] else 2
    remove_at(code, sizes, part, at)
    live_form(code, sizes, rules[SHAPE], marks)
    counters[SHORTEN_AT] = at + 1
    if rules[OPTIONS, SCREEN] == 1 and not learns(code, sizes, rules[SHAPE], pad[NAMES:]):
        return False
    low, high, structure = _key(code, sizes, rules[SHAPE], pad)
    found[0], found[1] = rows[line, R_BORN], np.int64(6)
    found[2], found[3], found[4] = np.int64(low), np.int64(high), np.int64(structure)
    return True
