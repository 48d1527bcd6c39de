"""The original's generation and mutation, the control of every cleverer search.

Actions and probabilities follow Real et al., arXiv 2003.03384, section 3.1 and its open code; `paper` takes the
constants' change that the paper describes.
"""

from __future__ import annotations

from selftaught.programs.instructions import alter_constant, draw_instruction, pack
from selftaught.programs.jit import compiled
from selftaught.programs.layout import ACTIONS as ACTIONS_ROW
from selftaught.programs.layout import FIRST, LEAST, MOST, NUM_ACTIONS, NUM_OPS, OPTIONS, SLOTS
from selftaught.programs.liveness import CONSTANTS, IN1, IN2, OUT
from selftaught.programs.streams import below

__all__ = ["ACTIONS", "insert_at", "mutate_classic", "random_program", "remove_at"]

#: Names of the actions; a list of them, with repetitions as weights, configures a search.
ACTIONS = (
    "alter_parameter", "redraw_instruction", "redraw_function", "insert_instruction", "remove_instruction",
    "trade_instruction", "redraw_program", "identity",
)  # fmt: skip


@compiled
def random_program(state, rules, sizes, code, out_sizes):
    """Write a program of the given sizes, every instruction fresh; a function without operators stays empty."""
    i = 0
    for part in range(3):
        out_sizes[part] = sizes[part] if rules[NUM_OPS, part] else 0
        for _ in range(out_sizes[part]):
            draw_instruction(state, rules, part, code, i)
            i += 1


@compiled
def insert_at(code, sizes, part, at):
    """Make room for one instruction at place `at` of the whole program."""
    total = sizes[0] + sizes[1] + sizes[2]
    for i in range(total, at, -1):
        for k in range(4):
            code[i, k] = code[i - 1, k]
    sizes[part] += 1


@compiled
def remove_at(code, sizes, part, at):
    """Take out the instruction at place `at` of the whole program."""
    total = sizes[0] + sizes[1] + sizes[2]
    for i in range(at, total - 1):
        for k in range(4):
            code[i, k] = code[i + 1, k]
    sizes[part] -= 1


@compiled
def _alter(state, rules, code, i, paper):
    word = code[i, 0]
    op, out, in1, in2 = word & 255, (word >> 8) & 255, (word >> 16) & 255, (word >> 24) & 255
    if OUT[op] == 0:
        return
    inputs = (1 if IN1[op] else 0) + (1 if IN2[op] else 0)
    choice = below(state, 2 if inputs == 0 else 1 + inputs)
    if choice == 0:
        first = rules[FIRST, OUT[op]]
        out = first + below(state, rules[SLOTS, OUT[op]] - first)
    elif inputs == 0:
        if CONSTANTS[op]:
            alter_constant(state, code, i, paper)
        return
    elif choice == 1:
        in1 = below(state, rules[SLOTS, IN1[op]])
    else:
        in2 = below(state, rules[SLOTS, IN2[op]])
    code[i, 0] = pack(op, out, in1, in2)


@compiled
def mutate_classic(state, rules, code, sizes, paper):
    """Change a program in place by one action; return the action's number."""
    action = rules[ACTIONS_ROW, below(state, rules[OPTIONS, NUM_ACTIONS])]
    if action == 7:
        return action
    if action == 6:
        random_program(state, rules, sizes, code, sizes)
        return action
    parts = 0
    for part in range(3):
        parts += rules[NUM_OPS, part] > 0
    chosen = below(state, parts)
    part = 0
    while True:
        if rules[NUM_OPS, part] > 0:
            if chosen == 0:
                break
            chosen -= 1
        part += 1
    start = 0
    for earlier in range(part):
        start += sizes[earlier]
    count = sizes[part]
    if action == 0:
        if count:
            _alter(state, rules, code, start + below(state, count), paper)
    elif action == 1:
        if count:
            draw_instruction(state, rules, part, code, start + below(state, count))
    elif action == 2:
        for i in range(count):
            draw_instruction(state, rules, part, code, start + i)
    elif action == 3:
        if count < rules[MOST, part]:
            at = start + below(state, count + 1)
            insert_at(code, sizes, part, at)
            draw_instruction(state, rules, part, code, at)
    elif action == 4:
        if count > rules[LEAST, part]:
            remove_at(code, sizes, part, start + below(state, count))
    elif count:
        at = start + below(state, count + 1)
        insert_at(code, sizes, part, at)
        draw_instruction(state, rules, part, code, at)
        remove_at(code, sizes, part, start + below(state, count + 1))
    return action
