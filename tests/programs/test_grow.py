"""The move that gives an input a constant factor, term or bound in one step."""

from __future__ import annotations

import numpy as np
import pytest

from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.grow import MOVES, mutate_live
from selftaught.programs.layout import MOVES_AT, NUM_MOVES, NUM_OPS, SHAPE
from selftaught.programs.operators import BY_NAME, OPERATORS
from selftaught.programs.parse import parse_program
from selftaught.programs.program import Program
from selftaught.programs.proposals import live_form
from selftaught.programs.search import Island
from selftaught.programs.settings import resolve_settings
from selftaught.programs.streams import start_stream

WITHOUT_RATE = parse_program(
    "selftaught-program 1\nslots: 8 scalars, 12 vectors, 3 matrices\ntask: binary\n"
    "setup:\n  pass\npredict:\n  s1 = dot(v0, v1)\nlearn:\n  s3 = s0 - s1\n  v2 = s3 * v0\n  v1 = v1 + v2\n",
    "test",
).program


@pytest.fixture(scope="module")
def island() -> Island:
    tasks = builtin_tasks("interaction", count=8, features=4, num_train=100, num_valid=100)
    given = {
        "operators": "network", "sizes": "4/7/12", "slots": "8/12/3", "population": 20, "features": 4,
        "num_train": 100, "num_tasks": 8,
    }  # fmt: skip
    made = Island(resolve_settings("interaction", "", given), tasks)
    made.numbers[MOVES_AT : MOVES_AT + NUM_MOVES] = 0.0
    made.numbers[MOVES_AT + MOVES.index("with_constant")] = 1.0
    return made


def changed(island: Island, seed: int) -> tuple[int, Program]:
    """Return the move that was made and what became of the program, in live form."""
    code, sizes = np.zeros((99, 4), np.int32), np.zeros(3, np.int64)
    words, sizes[:] = WITHOUT_RATE.encode()
    code[: len(words)] = words
    shape, marks = island.rules[SHAPE], island._scratch.marks
    live_form(code, sizes, shape, marks)
    state = start_stream(seed, "test", 0)
    move = int(mutate_live(state, island.rules, island.numbers, code, sizes, marks))
    live_form(code, sizes, shape, marks)
    return move, Program.decode(code, sizes)


def test_one_step_adds_a_constant_and_what_reads_it(island: Island) -> None:
    made = 0
    for seed in range(200):
        move, program = changed(island, seed)
        if move < 0:
            assert program == WITHOUT_RATE
            continue
        made += 1
        assert MOVES[move] == "with_constant"
        assert [len(part) for _, part in program.functions()] in ([1, 2, 3], [1, 1, 4])  # and nothing of it is dead
        (constant,) = program.setup
        assert OPERATORS[constant.op].name in ("scalar_constant", "scalar_gaussian", "scalar_uniform")
        read = [
            slot
            for i in program.predict + program.learn
            for slot in ((OPERATORS[i.op].in1, i.in1), (OPERATORS[i.op].in2, i.in2))
        ]
        assert read.count(("s", constant.out)) == 1
    assert made >= 80  # elsewhere no operator of the function takes a number with that type


def test_a_learning_rate_is_one_step_away(island: Island) -> None:
    rates = 0
    for seed in range(200):
        _, program = changed(island, seed)
        scaled = [i for i in program.learn if i.op == BY_NAME["scalar_multiply"].id]
        rates += bool(scaled) and program.setup[0].out in (scaled[0].in1, scaled[0].in2)
    assert rates >= 5


def test_without_setup_operators_there_is_no_constant(island: Island) -> None:
    before = island.rules[NUM_OPS, 0]
    island.rules[NUM_OPS, 0] = 0
    try:
        assert all(changed(island, seed) == (-1, WITHOUT_RATE) for seed in range(20))
    finally:
        island.rules[NUM_OPS, 0] = before


def test_regression_never_makes_it() -> None:
    tasks = builtin_tasks("affine_regression", count=4, features=4, num_train=100, num_valid=100)
    numbers = Island(resolve_settings("affine_regression", "", {"population": 20}), tasks).numbers
    assert numbers[MOVES_AT + MOVES.index("with_constant")] == 0
