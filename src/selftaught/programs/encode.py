"""Turn a live program into the kernel's records: addresses, byte offsets, constants.

Slots in use are laid out densely behind the header, so only they are zeroed and only they need cache.
"""

from __future__ import annotations

import numpy as np

from selftaught.programs.jit import compiled, peek64, poke32, poke64
from selftaught.programs.kernel import CONTROL_ID, FUSED_BASE, FUSED_ID
from selftaught.programs.layout import FEATURES, HEADER_BYTES, LANES, OFFSETS, RECORDS, STARTS, TABLE, USED
from selftaught.programs.liveness import AFTER, CLASSES, IN1, IN2, OUT, SWAPS, U1, slot_bit
from selftaught.programs.operators import OPERATORS

__all__ = ["EXTRA_RECORDS", "encode"]

#: Records beside the instructions: stop, train, next, and a copy for each aliased instruction (at worst all).
EXTRA_RECORDS = 8
NEEDS_TEMPORARY = np.array([op.alias == "temp" for op in OPERATORS])
STOP, NEXT = CONTROL_ID["stop"], CONTROL_ID["next"]
COPY_VECTOR, COPY_MATRIX = CONTROL_ID["copy_vector"], CONTROL_ID["copy_matrix"]
VECTOR_CONSTANT, MATRIX_CONSTANT = 57, 58


@compiled
def _size_of(kind, work):
    """Return the bytes of a scalar (1), vector (2) or matrix (3) slot."""
    unit = 4 * work[LANES]
    if kind == 1:
        return unit
    if kind == 2:
        return unit * work[FEATURES]
    return unit * work[FEATURES] * work[FEATURES]


@compiled
def _place(bit, kind, work, offsets):
    """Return the byte offset of a slot, laying it out at first use."""
    if offsets[bit] < 0:
        offsets[bit] = offsets[USED]
        offsets[USED] += _size_of(kind, work)
    return offsets[bit]


@compiled
def _read(kind, slot, part, shape, work, written, offsets):
    """Return the byte offset an input is read from; odd means from the example."""
    classes = shape[3] == CLASSES
    zero = 64 + kind  # bits 65..67: one zero slot a type; 68..70: temporaries
    if kind == 2 and slot == 0:
        return 1 if part > 0 else _place(zero, kind, work, offsets)
    if classes and kind == 2 and slot == 1:
        return _size_of(2, work) + 1 if part == 2 else _place(zero, kind, work, offsets)
    if kind == 1 and slot == 0:
        if part < 2 or classes:
            return _place(zero, kind, work, offsets)
        return _place(0, kind, work, offsets)
    bit = slot_bit(kind, slot, shape)
    if written & (U1 << np.uint64(bit)) == 0:
        return _place(zero, kind, work, offsets)
    return _place(bit, kind, work, offsets)


@compiled
def _record(work, at, function, out, in1, in2):
    """Write one record without constants."""
    here = work[RECORDS] + at * 32
    poke64(here, function)
    poke32(here + 8, np.int32(out))
    poke32(here + 12, np.int32(in1))
    poke32(here + 16, np.int32(in2))


@compiled
def encode(work, code, sizes, shape, marks, pad):
    """Write the records of a live program; return the bytes of memory it needs, header included.

    Args:
        work: what the evaluation works on (see `layout`): table, records, features, lanes, header.
        code, sizes, shape: the live program (see `liveness`).
        marks: uint64 (2, n) from `find_live`.
        pad: scratch int64: slots' offsets, then `starts` gets the record numbers of setup, predict, the judge
            (train or valid), learn, and the bit that says whether the judge finds the prediction in `acc`.
    """
    offsets = pad[OFFSETS : OFFSETS + 80]
    starts = pad[STARTS : STARTS + 8]
    table = work[TABLE]
    for i in range(USED):
        offsets[i] = -1
    offsets[USED] = work[HEADER_BYTES]
    written = np.uint64(0)
    total = sizes[0] + sizes[1] + sizes[2]
    for i in range(total):
        word = code[i, 0]
        kind = OUT[word & 255]
        if kind:
            written |= U1 << np.uint64(slot_bit(kind, (word >> 8) & 255, shape))
    classes = shape[3] == CLASSES
    if classes:
        output = _place(shape[0] + 2, 2, work, offsets)
        written |= U1 << np.uint64(shape[0] + 2)
    else:
        output = _place(1, 1, work, offsets)
        written |= U1 << np.uint64(1)
    label = _place(0, 1, work, offsets)
    at = 0
    place = 0
    acc = np.int64(-1)
    for part in range(3):
        starts[part if part < 2 else 3] = at
        if part != 2:
            acc = -1
        elif not classes:
            acc = output
        end = place + sizes[part]
        while place < end:
            word = code[place, 0]
            op = word & 255
            if OUT[op] == 0:
                place += 1
                continue
            out_bit = slot_bit(OUT[op], (word >> 8) & 255, shape)
            out = _place(out_bit, OUT[op], work, offsets)
            a = np.int64(0)
            b = np.int64(0)
            bits = 0
            if IN1[op]:
                a = _read(IN1[op], (word >> 16) & 255, part, shape, work, written, offsets)
                if IN1[op] == 1 and a == acc:
                    bits |= 1
            if IN2[op]:
                b = _read(IN2[op], (word >> 24) & 255, part, shape, work, written, offsets)
                if IN2[op] == 1 and b == acc:
                    bits |= 2
            # Two instructions as one, when the second reads what the first wrote.
            if place + 1 < end and OUT[op] >= 2 and not (NEEDS_TEMPORARY[op] and (a == out or b == out)):
                word2 = code[place + 1, 0]
                op2 = word2 & 255
                if IN1[op2] == OUT[op] and IN2[op2] == OUT[op]:
                    a2 = _read(IN1[op2], (word2 >> 16) & 255, part, shape, work, written, offsets)
                    b2 = _read(IN2[op2], (word2 >> 24) & 255, part, shape, work, written, offsets)
                    link = 0
                    if a2 == out and b2 != out:
                        link = 1
                    elif b2 == out and a2 != out:
                        link = 2
                        if SWAPS[op2]:
                            link = 1
                            b2 = a2
                    pair = FUSED_ID[op, op2, link] if link else -1
                    out2_bit = slot_bit(OUT[op2], (word2 >> 8) & 255, shape)
                    out2 = _place(out2_bit, OUT[op2], work, offsets)
                    # The product reads its whole vector for every row: the sum must not overwrite it.
                    if NEEDS_TEMPORARY[op] and OUT[op2] == 2 and out2 == b:
                        pair = -1
                    if pair >= 0:
                        keep = 0
                        if out2_bit != out_bit and (marks[AFTER, place + 1] >> np.uint64(out_bit)) & U1:
                            keep = 2
                        _record(work, at, peek64(table + 8 * (FUSED_BASE + 4 * pair + keep + (bits & 1))), out, a, b)
                        at += 1
                        _record(work, at, 0, out2, a2, b2)
                        at += 1
                        place += 2
                        if OUT[op2] == 1:
                            acc = out2
                        continue
            _record(work, at, peek64(table + 8 * (4 * op + bits)), out, a, b)
            here = work[RECORDS] + at * 32
            poke32(here + 20, code[place, 1])
            poke32(here + 24, code[place, 2])
            poke32(here + 28, code[place, 3])
            if op == VECTOR_CONSTANT:
                element = _index(code[place, 1], work[FEATURES])
                poke32(here + 8, np.int32(out + element * 4 * work[LANES]))
                poke32(here + 20, code[place, 2])
            elif op == MATRIX_CONSTANT:
                element = _index(code[place, 1], work[FEATURES]) * work[FEATURES]
                element += _index(code[place, 2], work[FEATURES])
                poke32(here + 8, np.int32(out + element * 4 * work[LANES]))
                poke32(here + 20, code[place, 3])
            elif NEEDS_TEMPORARY[op] and (a == out or b == out):
                temporary = _place(67 + OUT[op], OUT[op], work, offsets)
                poke32(here + 8, np.int32(temporary))
                at += 1
                _record(work, at, peek64(table + 8 * (COPY_VECTOR if OUT[op] == 2 else COPY_MATRIX)), out, temporary, 0)
            at += 1
            place += 1
            if OUT[op] == 1:
                acc = out
        if part == 0:
            _record(work, at, peek64(table + 8 * STOP), 0, 0, 0)
            at += 1
        elif part == 1:
            starts[2] = at
            starts[4] = 1 if acc == output and not classes else 0
            _record(work, at, 0, label, output, 0)
            at += 1
        else:
            _record(work, at, peek64(table + 8 * NEXT), 0, 0, 0)
            at += 1
    return offsets[USED]


@compiled
def _index(bits, features):
    """Return the element a constant fraction names: int(float32(F) * f), at most F - 1."""
    fraction = np.int32(bits).view(np.float32)
    return min(np.int64(np.float32(features) * fraction), features - 1)
