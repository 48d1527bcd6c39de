"""Which instructions matter, and the key that equal programs share.

A program in memory is `code` (n, 4) int32, one record an instruction (operator, out, in1, in2 in four
bytes, then three constants' bits), and `sizes` (3,) int64: instructions of Setup, Predict, Learn.
`shape` (6,) int64 says what the slots are: numbers of scalars, vectors, matrices, then the task's kind
(0 regression, 1 binary, 2 several classes), two spare.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selftaught.programs.jit import compiled
from selftaught.programs.live_form import BINARY, CLASSES, REGRESSION
from selftaught.programs.operators import (
    IN1_TYPE,
    IN2_TYPE,
    IS_COMMUTATIVE,
    IS_PARTIAL,
    IS_RANDOM,
    NUM_CONSTANTS,
    OUT_TYPE,
)

__all__ = ["BINARY", "CLASSES", "REGRESSION", "canonical_key", "compact", "find_live", "has_random", "mix"]

U1 = np.uint64(1)
ALIVE, AFTER = 0, 1  # rows of `marks`, uint64 (2, n)
OUT = np.asarray(OUT_TYPE, np.int64)
IN1 = np.asarray(IN1_TYPE, np.int64)
IN2 = np.asarray(IN2_TYPE, np.int64)
PARTIAL = np.asarray(IS_PARTIAL, np.bool_)
RANDOM = np.asarray(IS_RANDOM, np.bool_)
SWAPS = np.asarray(IS_COMMUTATIVE, np.bool_)
CONSTANTS = np.asarray(NUM_CONSTANTS, np.int64)


@compiled
def slot_bit(kind: int, slot: int, shape: NDArray[np.int64]) -> int:
    """Return the bit number of a slot: scalars first, then vectors, then matrices."""
    if kind == 1:
        return slot
    if kind == 2:
        return shape[0] + slot
    return shape[0] + shape[1] + slot


@compiled
def _back(code, first, last, alive, shape, marks):
    """Walk a function backwards from the mask live at its end; return the mask live at its start."""
    for i in range(last - 1, first - 1, -1):
        word = code[i, 0]
        op = word & 255
        marks[AFTER, i] = alive
        marks[ALIVE, i] = np.uint64(0)
        kind = OUT[op]
        if kind == 0:
            continue
        bit = U1 << np.uint64(slot_bit(kind, (word >> 8) & 255, shape))
        if alive & bit == 0:
            continue
        marks[ALIVE, i] = U1
        if not PARTIAL[op]:
            alive &= ~bit
        if IN1[op]:
            alive |= U1 << np.uint64(slot_bit(IN1[op], (word >> 16) & 255, shape))
        if IN2[op]:
            alive |= U1 << np.uint64(slot_bit(IN2[op], (word >> 24) & 255, shape))
    return alive


@compiled
def find_live(code, sizes, shape, marks):
    """Mark live instructions in `marks` (2, n), and the slots live after each; return how many live.

    The output slots are live after Predict, and what Predict reads is live after Predict too: validation
    runs Predict again with no Learn between.
    """
    n1 = sizes[0]
    n2 = n1 + sizes[1]
    n3 = n2 + sizes[2]
    label = (U1 << np.uint64(0)) | (U1 << np.uint64(shape[0]))  # s0, v0: set from outside each time
    if shape[3] == CLASSES:
        label |= U1 << np.uint64(shape[0] + 1)
        output = U1 << np.uint64(shape[0] + 2)
    else:
        output = U1 << np.uint64(1)
    into_predict = np.uint64(0)
    into_learn = np.uint64(0)
    while True:
        new_learn = _back(code, n2, n3, into_predict, shape, marks) & ~label
        new_predict = _back(code, n1, n2, output | new_learn | into_predict, shape, marks) & ~label
        if new_learn == into_learn and new_predict == into_predict:
            break
        into_learn = new_learn
        into_predict = new_predict
    _back(code, 0, n1, into_predict, shape, marks)
    count = 0
    for i in range(n3):
        count += np.int64(marks[ALIVE, i])
    return count


@compiled
def compact(code, sizes, marks):
    """Drop what is not live, in place: `code` and `sizes` become the live form."""
    write = 0
    read = 0
    for part in range(3):
        kept = 0
        for _ in range(sizes[part]):
            if marks[ALIVE, read]:
                for k in range(4):
                    code[write, k] = code[read, k]
                write += 1
                kept += 1
            read += 1
        sizes[part] = kept
    return write


@compiled
def has_random(code, sizes):
    """Say whether any instruction draws random numbers."""
    found = False
    for i in range(sizes[0] + sizes[1] + sizes[2]):
        found |= RANDOM[code[i, 0] & 255]
    return found


@compiled
def mix(state, value):
    """Mix a 64-bit value into a 64-bit state (the finalizer of SplitMix64)."""
    z = (state ^ value) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def canonical_key(code, sizes, shape, names):
    """Return a program's 128-bit key (two uint64) and its structure's 64-bit key, which leaves constants out.

    Slots are renumbered in order of first use, slots that nothing writes become one zero slot, operands of
    commutative operators are sorted. `names` is scratch, int64 (68,).
    """
    total = sizes[0] + sizes[1] + sizes[2]
    written = np.uint64(0)
    for i in range(total):
        word = code[i, 0]
        kind = OUT[word & 255]
        if kind:
            written |= U1 << np.uint64(slot_bit(kind, (word >> 8) & 255, shape))
    if shape[3] == BINARY:
        written |= U1 << np.uint64(1)
    if shape[3] == CLASSES:
        written |= U1 << np.uint64(shape[0] + 2)
    for i in range(64):
        names[i] = -1
    # names[64 + type]: the next free number of a type.
    names[65] = 2
    names[66] = 3 if shape[3] == CLASSES else 1
    names[67] = 0
    names[0] = 0
    names[1] = 1
    names[shape[0]] = 0
    if shape[3] == CLASSES:
        names[shape[0] + 1] = 1
        names[shape[0] + 2] = 2
    low = np.uint64(0x243F6A8885A308D3)
    high = np.uint64(0x13198A2E03707344)
    structure = low
    place = 0
    for part in range(3):
        low = mix(low, np.uint64(sizes[part]))
        structure = mix(structure, np.uint64(sizes[part]))
        for _ in range(sizes[part]):
            word = code[place, 0]
            op = word & 255
            a = -1
            b = -1
            if IN1[op]:
                a = _name(IN1[op], (word >> 16) & 255, part, shape, written, names)
            if IN2[op]:
                b = _name(IN2[op], (word >> 24) & 255, part, shape, written, names)
            if SWAPS[op] and a > b:
                swap = a
                a = b
                b = swap
            out = 0
            if OUT[op]:
                out = _name(OUT[op], (word >> 8) & 255, 2, shape, written, names)
            packed = np.uint64(op) | np.uint64(out) << np.uint64(8)
            packed |= np.uint64(a + 1) << np.uint64(16) | np.uint64(b + 1) << np.uint64(32)
            low = mix(low, packed)
            high = mix(high, packed ^ low)
            structure = mix(structure, packed)
            for k in range(CONSTANTS[op]):
                bits = np.uint64(np.uint32(code[place, 1 + k]))
                low = mix(low, bits)
                high = mix(high, bits + low)
            place += 1
    return low, high, structure


@compiled
def _name(kind, slot, part, shape, written, names):
    """Return a slot's canonical number, 200 for one that must read zero."""
    bit = slot_bit(kind, slot, shape)
    from_outside = (kind == 1 and slot == 0) or (kind == 2 and slot == 0)
    if shape[3] == CLASSES and kind == 2 and slot == 1:
        from_outside = True
    if from_outside:
        if kind == 2 and slot == 0:
            return 200 if part == 0 else 0
        return 200 if part < 2 else names[bit]
    if written & (U1 << np.uint64(bit)) == 0:
        return 200
    if names[bit] < 0:
        names[bit] = names[64 + kind]
        names[64 + kind] += 1
    return names[bit]
