"""Generation and mutation that know what is live: no proposal is spent on code that does nothing.

The rules hold for any program, whatever it computes: a new instruction writes what something reads, a
changed one is one that matters, and slots that hold something are read more often than empty ones.
"""

from __future__ import annotations

import math

import numpy as np

from selftaught.programs.classic import insert_at, remove_at
from selftaught.programs.constants import CONSTANT_KINDS
from selftaught.programs.instructions import alter_constant, draw_constants, pack, set_constant
from selftaught.programs.jit import compiled
from selftaught.programs.layout import (
    BESIDE,
    FIRST,
    LEAST,
    MOST,
    MOVES_AT,
    NUM_MOVES,
    NUM_OPS,
    OPS,
    R_SIZES,
    SHAPE,
    SLOTS,
)
from selftaught.programs.liveness import AFTER, CLASSES, CONSTANTS, IN1, IN2, OUT, PARTIAL, U1, slot_bit
from selftaught.programs.streams import below, uniform

__all__ = ["MOVES", "grow_program", "mutate_live", "splice"]

#: Moves of the live mutation; numbers[MOVES_AT:] holds their weights in this order.
MOVES = (
    "alter_input", "alter_constant", "swap_operator", "redraw", "insert", "wrap_input", "remove", "alter_output",
    "move", "with_constant",
)  # fmt: skip
READ_HELD = 0.75  # how often an input is drawn among slots that hold something
LOG_UNIFORM = 0.8  # how often a fresh value is drawn by its magnitude
SMALLEST = 1e-4  # least magnitude so drawn


@compiled
def draw_live_constants(state, code, i, op):
    """Fill in fresh constants; most values log-uniform in magnitude, from 1e-4 to 1, of either sign.

    Rates and scales matter by their order of magnitude: uniform on [-1, 1) one in a hundred lies below 0.01.
    """
    draw_constants(state, code, i, op)
    if CONSTANTS[op] and CONSTANT_KINDS[op, 0] == 1 and uniform(state) < LOG_UNIFORM:
        value = math.exp(uniform(state) * math.log(SMALLEST))
        set_constant(code, i, 0, -value if below(state, 2) else value)


@compiled
def held_slots(code, sizes, shape):
    """Return the mask of slots that hold something: inputs, prediction, and whatever is written."""
    mask = U1 | U1 << np.uint64(1) | U1 << np.uint64(shape[0])
    for i in range(sizes[0] + sizes[1] + sizes[2]):
        word = code[i, 0]
        kind = OUT[word & 255]
        if kind:
            mask |= U1 << np.uint64(slot_bit(kind, (word >> 8) & 255, shape))
    return mask


@compiled
def draw_input(state, rules, kind, held):
    """Draw an input slot, mostly one that holds something."""
    count = rules[SHAPE, kind - 1]
    slot = below(state, count)
    if uniform(state) < READ_HELD:
        for _ in range(8):
            if held & (U1 << np.uint64(slot_bit(kind, slot, rules[SHAPE]))):
                break
            slot = below(state, count)
    return slot


@compiled
def _draw_wanted(state, rules, wanted):
    """Draw one of the writable slots in a mask; return (type, slot), type 0 when there is none."""
    count = 0
    for kind in range(1, 4):
        for slot in range(rules[FIRST, kind], rules[SLOTS, kind]):
            if wanted & (U1 << np.uint64(slot_bit(kind, slot, rules[SHAPE]))):
                count += 1
    if count == 0:
        return 0, 0
    chosen = below(state, count)
    for kind in range(1, 4):
        for slot in range(rules[FIRST, kind], rules[SLOTS, kind]):
            if wanted & (U1 << np.uint64(slot_bit(kind, slot, rules[SHAPE]))):
                if chosen == 0:
                    return kind, slot
                chosen -= 1
    return 0, 0


@compiled
def _draw_op(state, rules, part, kind):
    """Draw an operator of a function whose result has this type, or -1."""
    count = 0
    for j in range(rules[NUM_OPS, part]):
        count += OUT[rules[OPS + part, j]] == kind
    if count == 0:
        return -1
    chosen = below(state, count)
    for j in range(rules[NUM_OPS, part]):
        if OUT[rules[OPS + part, j]] == kind:
            if chosen == 0:
                return rules[OPS + part, j]
            chosen -= 1
    return -1


@compiled
def _write(state, rules, part, code, at, kind, slot, held):
    """Write an instruction with a fixed output and everything else fresh; False where no operator fits."""
    op = _draw_op(state, rules, part, kind)
    if op < 0:
        return False
    in1 = draw_input(state, rules, IN1[op], held) if IN1[op] else 0
    in2 = draw_input(state, rules, IN2[op], held) if IN2[op] else 0
    code[at, 0] = pack(op, slot, in1, in2)
    draw_live_constants(state, code, at, op)
    return True


@compiled
def _needed(code, first, last, wanted, shape):
    """Return the slots needed before instructions first..last-1, given those wanted after them."""
    for i in range(last - 1, first - 1, -1):
        word = code[i, 0]
        op = word & 255
        if OUT[op] == 0:
            continue
        bit = U1 << np.uint64(slot_bit(OUT[op], (word >> 8) & 255, shape))
        if wanted & bit == 0:
            continue
        if not PARTIAL[op]:
            wanted &= ~bit
        if IN1[op]:
            wanted |= U1 << np.uint64(slot_bit(IN1[op], (word >> 16) & 255, shape))
        if IN2[op]:
            wanted |= U1 << np.uint64(slot_bit(IN2[op], (word >> 24) & 255, shape))
    return wanted


@compiled
def grow_program(state, rules, code, sizes):
    """Write a random program backwards from its output, each instruction writing a slot that is needed."""
    shape = rules[SHAPE]
    output = U1 << np.uint64(shape[0] + 2 if shape[3] == CLASSES else 1)
    everything = ~np.uint64(0)
    outside = U1 | U1 << np.uint64(shape[0])
    if shape[3] == CLASSES:
        outside |= U1 << np.uint64(shape[0] + 1)
    for part in range(3):
        sizes[part] = 0
    wanted = output
    for part in (1, 2, 0):
        first = sizes[0] if part == 1 else sizes[0] + sizes[1]
        if part == 0:
            first = 0
        if rules[NUM_OPS, part] == 0:
            continue
        span = rules[MOST, part] - rules[LEAST, part]
        target = rules[LEAST, part] + below(state, span + 1)
        if part == 2:
            # What Predict needs from outside is what Learn may write; it goes on needing it.
            wanted = _needed(code, sizes[0], sizes[0] + sizes[1], output, shape) & ~outside
        if part == 0:
            after = _needed(code, sizes[0] + sizes[1], sizes[0] + sizes[1] + sizes[2], wanted, shape)
            wanted = (_needed(code, sizes[0], sizes[0] + sizes[1], output | after, shape)) & ~outside
        for _ in range(target):
            kind, slot = _draw_wanted(state, rules, wanted)
            if kind == 0:
                break
            insert_at(code, sizes, part, first)
            held = everything
            if rules[BESIDE, 0]:
                held = np.uint64(rules[BESIDE, 0]) | outside | (wanted if part == 2 else output)
            if not _write(state, rules, part, code, first, kind, slot, held):
                remove_at(code, sizes, part, first)
                continue
            wanted = _needed(code, first, first + 1, wanted, shape) & ~outside
            if part == 2:
                wanted |= _needed(code, sizes[0], sizes[0] + sizes[1], output, shape) & ~outside


@compiled
def _part_of(sizes, at):
    if at < sizes[0]:
        return 0
    return 1 if at < sizes[0] + sizes[1] else 2


@compiled
def _pick(state, rules, sizes):
    """Draw a place: a function that may change and is not empty, then one of its instructions; -1 if none."""
    parts = 0
    for part in range(3):
        parts += rules[NUM_OPS, part] > 0 and sizes[part] > 0
    if parts == 0:
        return -1
    chosen = below(state, parts)
    first = 0
    for part in range(3):
        if rules[NUM_OPS, part] > 0 and sizes[part] > 0:
            if chosen == 0:
                return first + below(state, sizes[part])
            chosen -= 1
        first += sizes[part]
    return -1


@compiled
def _build_on(state, code, at, kind, source, chance):
    """Let the instruction at a place read `source`, a slot of type `kind`, in one of its inputs of that type."""
    word = code[at, 0]
    op, out, in1, in2 = word & 255, (word >> 8) & 255, (word >> 16) & 255, (word >> 24) & 255
    if uniform(state) < chance:
        if IN1[op] == kind and (IN2[op] != kind or uniform(state) < 0.5):
            code[at, 0] = pack(op, out, source, in2)
        elif IN2[op] == kind:
            code[at, 0] = pack(op, out, in1, source)


@compiled
def _unused_slot(state, rules, kind, held):
    """Draw a slot that holds nothing, -1 where a few draws find none."""
    first = rules[FIRST, kind]
    for _ in range(16 if rules[SLOTS, kind] > first else 0):
        slot = first + below(state, rules[SLOTS, kind] - first)
        if held & (U1 << np.uint64(slot_bit(kind, slot, rules[SHAPE]))) == 0:
            return slot
    return -1


@compiled
def _with_constant(state, rules, code, sizes, at, part, held):
    """Let an input be computed from what it was and a number that Setup writes; False where that cannot be.

    Two instructions that are worth nothing alone: without the constant a factor is zero, without the factor nothing
    reads the constant.
    """
    word = code[at, 0]
    op, out, in1, in2 = word & 255, (word >> 8) & 255, (word >> 16) & 255, (word >> 24) & 255
    second = IN1[op] == 0 or (IN2[op] != 0 and below(state, 2) == 1)
    kind, old = (IN2[op], in2) if second else (IN1[op], in1)
    if kind == 0 or part == 0 or rules[NUM_OPS, 0] == 0:
        return False
    constant = _unused_slot(state, rules, 1, held)
    if constant < 0:
        return False
    held |= U1 << np.uint64(slot_bit(1, constant, rules[SHAPE]))
    slot = _unused_slot(state, rules, kind, held)
    count = 0
    chosen = -1
    for j in range(rules[NUM_OPS, part]):
        by = rules[OPS + part, j]
        if OUT[by] == kind and ((IN1[by] == kind and IN2[by] == 1) or (IN1[by] == 1 and IN2[by] == kind)):
            count += 1
            if below(state, count) == 0:
                chosen = by
    source = -1
    count = 0
    for j in range(rules[NUM_OPS, 0]):
        by = rules[OPS, j]
        if OUT[by] == 1 and IN1[by] == 0 and IN2[by] == 0:
            count += 1
            if below(state, count) == 0:
                source = by
    if slot < 0 or chosen < 0 or source < 0:
        return False
    code[at, 0] = pack(op, out, in1, slot) if second else pack(op, out, slot, in2)
    insert_at(code, sizes, part, at)
    first = IN1[chosen] == kind and (IN2[chosen] != kind or below(state, 2) == 0)
    code[at, 0] = pack(chosen, slot, old, constant) if first else pack(chosen, slot, constant, old)
    draw_live_constants(state, code, at, chosen)
    insert_at(code, sizes, 0, 0)
    code[0, 0] = pack(source, constant, 0, 0)
    draw_live_constants(state, code, 0, source)
    return True


@compiled
def mutate_live(state, rules, numbers, code, sizes, marks):
    """Change a program in live form by one move in place; return the move, or -1 where it could not apply.

    `marks` come from `find_live`; sizes may exceed the limits by one
    until dead code is dropped, so `code` needs one spare place.
    """
    total = 0.0
    for i in range(NUM_MOVES):
        total += numbers[MOVES_AT + i]
    draw = uniform(state) * total
    move = 0
    while move < NUM_MOVES - 1 and draw >= numbers[MOVES_AT + move]:
        draw -= numbers[MOVES_AT + move]
        move += 1
    shape = rules[SHAPE]
    held = held_slots(code, sizes, shape) | np.uint64(rules[BESIDE, 0])
    if move == 4:
        # A new instruction before place `at` of a function, writing a slot that is live there.
        parts = 0
        for part in range(3):
            parts += rules[NUM_OPS, part] > 0
        chosen = below(state, parts)
        part = 0
        while rules[NUM_OPS, part] == 0 or chosen > 0:
            chosen -= rules[NUM_OPS, part] > 0
            part += 1
        first = 0
        for earlier in range(part):
            first += sizes[earlier]
        at = first + below(state, sizes[part] + 1)
        if at > first:
            wanted = marks[AFTER, at - 1]
        elif sizes[part] > 0:
            wanted = _needed(code, at, at + 1, marks[AFTER, at], shape)
        elif part == 1:
            wanted = U1 << np.uint64(shape[0] + 2 if shape[3] == CLASSES else 1)
        else:
            wanted = _needed(code, sizes[0], sizes[0] + sizes[1], U1 << np.uint64(1), shape)
        kind, slot = _draw_wanted(state, rules, wanted)
        if kind == 0:
            return -1
        insert_at(code, sizes, part, at)
        if not _write(state, rules, part, code, at, kind, slot, held):
            remove_at(code, sizes, part, at)
            return -1
        # Half of the time the new instruction builds on what the slot held.
        _build_on(state, code, at, kind, slot, 0.5)
        return move
    at = _pick(state, rules, sizes)
    if at < 0:
        return -1
    part = _part_of(sizes, at)
    word = code[at, 0]
    op, out, in1, in2 = word & 255, (word >> 8) & 255, (word >> 16) & 255, (word >> 24) & 255
    if move == 0:
        inputs = (1 if IN1[op] else 0) + (1 if IN2[op] else 0)
        if inputs == 0:
            return -1
        if inputs == 2 and below(state, 2):
            in2 = draw_input(state, rules, IN2[op], held)
        else:
            in1 = draw_input(state, rules, IN1[op], held)
        code[at, 0] = pack(op, out, in1, in2)
    elif move == 1:
        # Constants are few among many instructions: look for one.
        total = sizes[0] + sizes[1] + sizes[2]
        for _ in range(total):
            if CONSTANTS[code[at, 0] & 255] and rules[NUM_OPS, _part_of(sizes, at)]:
                alter_constant(state, code, at, False)
                return move
            at = (at + 1) % total
        return -1
    elif move == 2:
        fresh = _draw_op(state, rules, part, OUT[op])
        if fresh < 0 or fresh == op:
            return -1
        if IN1[fresh] != IN1[op]:
            in1 = draw_input(state, rules, IN1[fresh], held) if IN1[fresh] else 0
        if IN2[fresh] != IN2[op]:
            in2 = draw_input(state, rules, IN2[fresh], held) if IN2[fresh] else 0
        code[at, 0] = pack(fresh, out, in1, in2)
        if CONSTANTS[fresh] or CONSTANTS[op]:
            draw_live_constants(state, code, at, fresh)
    elif move == 3:
        if not _write(state, rules, part, code, at, OUT[op], out, held):
            return -1
    elif move == 5:
        # An input is computed first, into a slot nothing uses (or any): the program grows by one node.
        inputs = (1 if IN1[op] else 0) + (1 if IN2[op] else 0)
        if inputs == 0:
            return -1
        second = IN1[op] == 0 or (inputs == 2 and below(state, 2) == 1)
        kind = IN2[op] if second else IN1[op]
        old = in2 if second else in1
        first = rules[FIRST, kind]
        if rules[SLOTS, kind] <= first:
            return -1
        slot = first + below(state, rules[SLOTS, kind] - first)
        for _ in range(4):
            if held & (U1 << np.uint64(slot_bit(kind, slot, shape))) == 0:
                break
            slot = first + below(state, rules[SLOTS, kind] - first)
        insert_at(code, sizes, part, at)
        if not _write(state, rules, part, code, at, kind, slot, held):
            remove_at(code, sizes, part, at)
            return -1
        _build_on(state, code, at, kind, old, 0.7)
        if second:
            code[at + 1, 0] = pack(op, out, in1, slot)
        else:
            code[at + 1, 0] = pack(op, out, slot, in2)
    elif move == 6:
        if sizes[part] <= rules[LEAST, part]:
            return -1
        remove_at(code, sizes, part, at)
    elif move == 7:
        first = rules[FIRST, OUT[op]]
        code[at, 0] = pack(op, first + below(state, rules[SLOTS, OUT[op]] - first), in1, in2)
    elif move == 8:
        first = 0
        for earlier in range(part):
            first += sizes[earlier]
        other = first + below(state, sizes[part])
        for k in range(4):
            held_word = code[at, k]
            code[at, k] = code[other, k]
            code[other, k] = held_word
    else:
        return move if _with_constant(state, rules, code, sizes, at, part, held) else -1
    return move


@compiled
def splice(state, code, sizes, rows, codes, other):
    """Replace one function of a program, drawn at random, by that of the population's member `other`."""
    part = below(state, 3)
    first = 0
    start = 0
    for earlier in range(part):
        first += sizes[earlier]
        start += rows[other, R_SIZES + earlier]
    count = rows[other, R_SIZES + part]
    tail = sizes[0] + sizes[1] + sizes[2] - first - sizes[part]
    shift = count - sizes[part]
    begin = first + sizes[part]
    for step in range(tail):
        # From the far end when the program grows, from the near end when it shrinks.
        i = begin + (tail - 1 - step if shift > 0 else step)
        for k in range(4):
            code[i + shift, k] = code[i, k]
    for i in range(count):
        for k in range(4):
            code[first + i, k] = codes[other, start + i, k]
    sizes[part] = count
