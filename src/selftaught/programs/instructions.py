"""Draw and change single instructions in compiled code (the original's distributions)."""

from __future__ import annotations

import math

import numpy as np

from selftaught.programs.constants import CONSTANT_KINDS
from selftaught.programs.jit import compiled
from selftaught.programs.layout import FIRST, NUM_OPS, OPS, SLOTS
from selftaught.programs.liveness import CONSTANTS, IN1, IN2, OUT
from selftaught.programs.streams import below, gaussian, uniform

__all__ = ["alter_constant", "draw_constants", "draw_instruction", "get_constant", "pack", "set_constant"]

LARGEST = 1e30


@compiled
def pack(op, out, in1, in2):
    """Return an instruction's first word."""
    return np.int32(op | out << 8 | in1 << 16 | in2 << 24)


@compiled
def get_constant(code, i, k):
    """Return constant k of instruction i."""
    return np.float64(np.int32(code[i, 1 + k]).view(np.float32))


@compiled
def set_constant(code, i, k, value):
    """Write constant k of instruction i."""
    code[i, 1 + k] = np.float32(np.float32(value) + np.float32(0.0)).view(np.int32)  # -0 becomes 0, as in the text


@compiled
def _sort_range(code, i, op):
    """Keep the low end of a uniform draw below its high end."""
    if CONSTANT_KINDS[op, 0] == 4 and get_constant(code, i, 0) > get_constant(code, i, 1):
        low = code[i, 2]
        code[i, 2] = code[i, 1]
        code[i, 1] = low


@compiled
def draw_constants(state, code, i, op):
    """Fill in fresh constants: values and means uniform on [-1, 1), fractions and deviations on [0, 1)."""
    for k in range(3):
        code[i, 1 + k] = 0
    for k in range(CONSTANTS[op]):
        kind = CONSTANT_KINDS[op, k]
        if kind == 2 or kind == 3:
            value = np.float32(uniform(state))
            set_constant(code, i, k, min(value, np.float32(0.99999994)))
        else:
            set_constant(code, i, k, 2.0 * uniform(state) - 1.0)
    _sort_range(code, i, op)


@compiled
def draw_instruction(state, rules, part, code, i):
    """Write a fresh instruction of a function: everything uniform over what is allowed."""
    op = rules[OPS + part, below(state, rules[NUM_OPS, part])]
    in1, in2, out = 0, 0, 0
    if IN1[op]:
        in1 = below(state, rules[SLOTS, IN1[op]])
    if IN2[op]:
        in2 = below(state, rules[SLOTS, IN2[op]])
    if OUT[op]:
        first = rules[FIRST, OUT[op]]
        out = first + below(state, rules[SLOTS, OUT[op]] - first)
    code[i, 0] = pack(op, out, in1, in2)
    draw_constants(state, code, i, op)


@compiled
def _jump(state, value):
    """Flip the sign in one case of ten, else scale by e^N(0,1); an exact 0 is drawn afresh."""
    if value == 0.0:
        return 2.0 * uniform(state) - 1.0
    if uniform(state) < 0.1:
        return -value
    changed = math.copysign(math.exp(math.log(abs(value)) + gaussian(state)), value)
    return changed if abs(changed) < LARGEST else value


@compiled
def alter_constant(state, code, i, paper):
    """Change one constant of an instruction that has some."""
    op = code[i, 0] & 255
    k = below(state, CONSTANTS[op])
    kind = CONSTANT_KINDS[op, k]
    value = get_constant(code, i, k)
    if kind == 2:
        set_constant(code, i, k, min(np.float32(uniform(state)), np.float32(0.99999994)))
    elif kind == 3:
        changed = uniform(state) if value == 0.0 else math.exp(math.log(abs(value)) + gaussian(state))
        set_constant(code, i, k, changed if changed < LARGEST else value)
    elif paper:
        if uniform(state) < 0.1:
            set_constant(code, i, k, -value)
        else:
            changed = value * (0.5 + 1.5 * uniform(state))
            set_constant(code, i, k, changed if abs(changed) < LARGEST else value)
    else:
        set_constant(code, i, k, _jump(state, value))
    _sort_range(code, i, op)
