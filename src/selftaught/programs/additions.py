"""Runs that add to the best program instead of starting from nothing.

A run of the search ends where its best idea ends: all that follows is crowded out by what already scores well. So
after runs from nothing comes a run of *additions*: small programs beside a short good one, which stays as it is. They
may read its memory and write their own, their prediction is added to its own, and both learn from the error of the
sum (stagewise additive models, J. Friedman, Annals of Statistics 29, 2001, but trained together). Then a short run
refines the best programs of all runs, sums included. A round is a run from nothing, three of shorter programs,
and twice three of additions and one of refining; then the next round begins.
"""

from __future__ import annotations

import numpy as np

from selftaught.programs.instructions import pack
from selftaught.programs.jit import compiled
from selftaught.programs.layout import ADD, BESIDE, LEAST, MOST, OPTIONS, POPULATION, R_SIZES, SHAPE, SLOTS
from selftaught.programs.liveness import CLASSES, IN1, IN2, OUT, U1, slot_bit
from selftaught.programs.operators import BY_NAME
from selftaught.programs.people import (
    BEST_COUNT,
    FILLED,
    NUM_BEST,
    NUM_EVENTS,
    PROGRAMS,
    RESTARTS,
    RUN_KIND,
    SHORTEN_AT,
    copy_line,
    fitness_of,
    put,
    take,
)
from selftaught.programs.streams import below

__all__ = [
    "ADDITION",
    "FROM_NOTHING",
    "REFINING",
    "ROUND",
    "add_programs",
    "base_line",
    "begin_run",
    "note_length",
    "stand_beside",
]

FROM_NOTHING, ADDITION, REFINING = 0, 1, 2  # kinds of runs, in their order
SCALAR_ADD, VECTOR_ADD = BY_NAME["scalar_add"].id, BY_NAME["vector_add"].id
ROUND = 12  # runs: one from nothing, SHORT_RUNS of shorter programs, then twice three of additions and one of refining
SHORT_RUNS = 3
BASE_LOSS = 0.015  # fitness that a program may lack to be the one that additions stand beside
BASES = 3  # how many of those it is drawn from, the shortest
# Most instructions of Setup, Predict and Learn that stand beside another program's: what is added begins at zero, so it
# seldom needs a Setup, and random starts drown it.
SMALL = (1, 4, 4)
GROWTH = 3  # instructions of a function that a run of refining may add to the best program
LEAST_ROOM = 2  # instructions of Predict and of Learn that an addition needs: a product and a sum, a step and a sum


@compiled
def base_line(rules):
    """Return the line of the program that additions stand beside: after the population, the best, the improvements."""
    return rules[OPTIONS, POPULATION] + NUM_BEST + NUM_EVENTS


@compiled
def note_length(rows, codes, counters, rules, code, sizes, fitness, low, high, structure, parent, move, cases):
    """Keep the best program of each length: what additions stand beside is short."""
    line = base_line(rules) + 1 + sizes[0] + sizes[1] + sizes[2]
    if line < rows.shape[0] and fitness > fitness_of(rows, line):
        born = counters[PROGRAMS]
        put(rows, codes, line, code, sizes, fitness, low, high, structure, born, parent, move, cases)


@compiled
def begin_run(rows, codes, counters, state, rules):
    """Set up the population of the run that begins: empty, or the best programs when it refines them.

    Additions stand beside one of the few shortest programs that are about as good as the best, drawn at random: short
    ones are fast and leave room, and what can be added depends on what is there: an average of many steps leaves none
    for what learns in small ones.
    """
    turn = counters[RESTARTS] % ROUND
    counters[RUN_KIND] = FROM_NOTHING if turn <= SHORT_RUNS else REFINING if turn % 4 == 3 else ADDITION
    counters[FILLED] = 0
    best = rules[OPTIONS, POPULATION]
    if counters[RUN_KIND] == ADDITION:
        line = base_line(rules)
        chosen, seen = best, 0
        for i in range(line + 1, rows.shape[0]):
            if seen < BASES and fitness_of(rows, i) >= fitness_of(rows, best) - BASE_LOSS:
                seen += 1
                if below(state, seen) == 0:
                    chosen = i
        copy_line(rows, codes, chosen, line)
        counters[SHORTEN_AT] = 0
    elif counters[RUN_KIND] == REFINING:
        copy_line(rows, codes, best, base_line(rules))
        counters[FILLED] = min(counters[BEST_COUNT], best)
        for i in range(counters[FILLED]):
            copy_line(rows, codes, best + i, i)


@compiled
def _output(shape):
    """Return (type, slot) of the prediction."""
    if shape[3] == CLASSES:
        return 2, 2
    return 1, 1


@compiled
def _from_task(kind, slot, shape):
    """Say whether a slot is one that the task fills: the features, the label."""
    return (slot == 0 and kind < 3) or (shape[3] == CLASSES and kind == 2 and slot == 1)


@compiled
def _operand(op, word, place):
    """Return (type, slot) of an instruction's output (0), first or second input."""
    kind = OUT[op] if place == 0 else IN1[op] if place == 1 else IN2[op]
    return kind, (word >> (8 * (place + 1))) & 255


@compiled
def private_slots(code, sizes, shape, names):
    """Move the slots that a program uses for itself to the top of the memory; return how many of each type it has.

    `names` (3, 64) int64 gets the new numbers. The prediction is private too, until it is added.
    """
    counts = np.zeros(4, np.int64)
    for i in range(names.shape[0]):
        for k in range(names.shape[1]):
            names[i, k] = -1
    kind, slot = _output(shape)
    counts[kind] = 1
    names[kind - 1, slot] = shape[kind - 1] - 1
    for i in range(sizes[0] + sizes[1] + sizes[2]):
        word = code[i, 0]
        for place in range(3):
            kind, slot = _operand(word & 255, word, place)
            if kind and not _from_task(kind, slot, shape) and names[kind - 1, slot] < 0:
                counts[kind] += 1
                names[kind - 1, slot] = shape[kind - 1] - counts[kind]
    return counts


@compiled
def add_programs(base, base_sizes, names, addition, addition_sizes, shape, code, sizes):
    """Write the sum of two programs; the slots of the first are renamed as `private_slots` says.

    In Learn both read the label and the prediction of the sum, so both learn from one error.
    """
    kind, output = _output(shape)
    slots = np.zeros(3, np.int64)
    write, read, other = 0, 0, 0
    for part in range(3):
        overwritten = False  # whether the base's Learn has used the prediction's slot for something else
        for _ in range(base_sizes[part]):
            word = base[read, 0]
            op = word & 255
            for place in range(3):
                of, slot = _operand(op, word, place)
                slots[place] = slot
                if of == 0 or _from_task(of, slot, shape):
                    continue
                of_sum = part == 2 and place > 0 and of == kind and slot == output and not overwritten
                if not of_sum:
                    slots[place] = names[of - 1, slot]
            of, slot = _operand(op, word, 0)
            overwritten |= of == kind and slot == output
            for k in range(1, 4):
                code[write, k] = base[read, k]
            code[write, 0] = pack(op, slots[0], slots[1], slots[2])
            write += 1
            read += 1
        for _ in range(addition_sizes[part]):
            for k in range(4):
                code[write, k] = addition[other, k]
            write += 1
            other += 1
        sizes[part] = base_sizes[part] + addition_sizes[part]
        if part == 1:
            for k in range(1, 4):
                code[write, k] = 0
            code[write, 0] = pack(SCALAR_ADD if kind == 1 else VECTOR_ADD, output, output, names[kind - 1, output])
            write += 1
            sizes[part] += 1


@compiled
def _limit(rows, counters, rules, own):
    """Write the rules of a run that is not one of additions: how long its programs may be."""
    for i in range(rules.shape[0]):
        for k in range(rules.shape[1]):
            own[i, k] = rules[i, k]
    if rules[OPTIONS, ADD] == 0:
        return
    for part in range(3):
        if counters[RUN_KIND] == FROM_NOTHING:
            # Short programs first: they run faster, and what is added needs room. The shortest have no room for
            # what hides a missing learning rate, as averages do.
            parts = 2 if counters[RESTARTS] % ROUND == 0 else 3
            own[MOST, part] = max(rules[LEAST, part], (rules[MOST, part] + parts - 1) // parts)
        elif counters[RUN_KIND] == REFINING:
            own[MOST, part] = min(rules[MOST, part], rows[base_line(rules), R_SIZES + part] + GROWTH)


@compiled
def stand_beside(rows, codes, counters, rules, own, base, base_sizes, names):
    """Take over the rules of this run into `own`; return whether what it proposes are additions.

    Beside a program there are fewer instructions and slots to write, and its slots can be read. Where too little
    room is left the run becomes one from nothing.
    """
    _limit(rows, counters, rules, own)
    if counters[RUN_KIND] != ADDITION or counters[SHORTEN_AT] >= 0:
        return False
    take(rows, codes, base_line(rules), base, base_sizes)
    shape = rules[SHAPE]
    used = private_slots(base, base_sizes, shape, names)
    mask = np.uint64(0)
    for kind in range(1, 4):
        own[SLOTS, kind] -= used[kind]
        for slot in range(own[SLOTS, kind], shape[kind - 1]):
            mask |= U1 << np.uint64(slot_bit(kind, slot, shape))
    for part in range(3):
        own[MOST, part] = min(rules[MOST, part] - base_sizes[part] - (part == 1), SMALL[part])
        own[LEAST, part] = 0 if part == 0 else min(LEAST_ROOM, own[MOST, part])
    vectors = 3 if shape[3] == CLASSES else 1
    room = own[MOST, 0] >= 0 and own[MOST, 1] >= LEAST_ROOM and own[MOST, 2] >= LEAST_ROOM
    if not room or own[SLOTS, 1] < 2 or own[SLOTS, 2] <= vectors:
        counters[RUN_KIND] = FROM_NOTHING
        _limit(rows, counters, rules, own)
        return False
    own[BESIDE, 0] = np.int64(mask)
    return True
