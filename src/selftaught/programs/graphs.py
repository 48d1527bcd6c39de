"""The key of a program as a graph: equal for programs that differ in names, order and copies only.

Every instruction's value gets a hash of its operator, its inputs' hashes and its constants, so the order of
independent instructions and the names of temporaries do not matter. A slot that lives from example to example
gets a hash of how Setup leaves it and of how Predict and Learn change it, refined until slots that differ
are told apart (partition refinement, as in the minimisation of automata; Hopcroft 1971). Two programs with
one key compute the same.
"""

from __future__ import annotations

import numpy as np

from selftaught.programs.jit import compiled
from selftaught.programs.liveness import BINARY, CLASSES, CONSTANTS, IN1, IN2, OUT, PARTIAL, SWAPS, U1, mix, slot_bit

__all__ = ["GRAPH_SCRATCH", "graph_key"]

GRAPH_SCRATCH = 4 * 64
ZERO, FEATURES, LABEL, PREDICTION = np.uint64(0x51ED27), np.uint64(0xFEA7), np.uint64(0x1ABE1), np.uint64(0x516)


@compiled
def _flow(code, first, last, shape, now, constants):
    """Carry the slots' hashes `now` (uint64) through instructions first .. last-1."""
    for i in range(first, last):
        word = code[i, 0]
        op = word & 255
        if OUT[op] == 0:
            continue
        out = slot_bit(OUT[op], (word >> 8) & 255, shape)
        a, b = np.uint64(0), np.uint64(0)
        if IN1[op]:
            a = now[slot_bit(IN1[op], (word >> 16) & 255, shape)]
        if IN2[op]:
            b = now[slot_bit(IN2[op], (word >> 24) & 255, shape)]
        if SWAPS[op] and a > b:
            swap = a
            a = b
            b = swap
        value = mix(mix(np.uint64(op), a), b)
        if PARTIAL[op]:
            value = mix(value, now[out])
        if constants:
            for k in range(CONSTANTS[op]):
                value = mix(value, np.uint64(np.uint32(code[i, 1 + k])))
        now[out] = value


@compiled
def _carried(code, sizes, shape):
    """Return how many slots Predict or Learn read before they write them: an upper bound of the state's size."""
    reads, written = np.uint64(0), np.uint64(0)
    first = sizes[0]
    for i in range(first, first + sizes[1] + sizes[2]):
        word = code[i, 0]
        op = word & 255
        if IN1[op]:
            reads |= (U1 << np.uint64(slot_bit(IN1[op], (word >> 16) & 255, shape))) & ~written
        if IN2[op]:
            reads |= (U1 << np.uint64(slot_bit(IN2[op], (word >> 24) & 255, shape))) & ~written
        if OUT[op]:
            bit = U1 << np.uint64(slot_bit(OUT[op], (word >> 8) & 255, shape))
            if PARTIAL[op]:
                reads |= bit & ~written
            written |= bit
    count = 0
    while reads:
        reads &= reads - U1
        count += 1
    return count


@compiled
def graph_key(code, sizes, shape, pad, constants):
    """Return the 64-bit graph key of a program in live form; without constants it is the structure's.

    `pad` is scratch, int64 (GRAPH_SCRATCH,). Programs that draw random numbers need the ordinary key: the order
    of their draws matters.
    """
    scratch = pad.view(np.uint64)
    now, state, setup, held = scratch[0:64], scratch[64:128], scratch[128:192], scratch[192:256]
    slots = shape[0] + shape[1] + shape[2]
    n1 = sizes[0]
    n2 = n1 + sizes[1]
    n3 = n2 + sizes[2]
    written = np.uint64(0)
    for i in range(n3):
        word = code[i, 0]
        if OUT[word & 255]:
            written |= U1 << np.uint64(slot_bit(OUT[word & 255], (word >> 8) & 255, shape))
    if shape[3] == BINARY:
        written |= U1 << np.uint64(1)
    output = 1
    if shape[3] == CLASSES:
        output = shape[0] + 2
        written |= U1 << np.uint64(output)
    for slot in range(slots):
        now[slot] = ZERO
    _flow(code, 0, n1, shape, now, constants)
    for slot in range(slots):
        setup[slot] = now[slot]
        state[slot] = now[slot]
    carried = _carried(code, sizes, shape)
    rounds = 4 if carried <= 3 else 8 if carried <= 7 else 64
    result = np.uint64(rounds)
    for _ in range(rounds):
        for slot in range(slots):
            now[slot] = state[slot] if written & (U1 << np.uint64(slot)) else ZERO
        now[0] = ZERO
        now[shape[0]] = FEATURES
        if shape[3] == CLASSES:
            now[shape[0] + 1] = ZERO
        _flow(code, n1, n2, shape, now, constants)
        result = mix(np.uint64(rounds), now[output])
        if shape[3] != 0:
            now[output] = mix(PREDICTION, now[output])
        for slot in range(slots):
            held[slot] = now[slot]
        if shape[3] == CLASSES:
            now[shape[0] + 1] = LABEL
        else:
            now[0] = LABEL
        _flow(code, n2, n3, shape, now, constants)
        for slot in range(slots):
            state[slot] = mix(mix(setup[slot], held[slot]), now[slot])
    return result
