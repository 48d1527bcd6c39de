"""The text format: round trips, golden files, messages, hostile text."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selftaught.errors import ProgramError
from selftaught.programs.baselines import LINEAR_LEARNER, TWO_LAYER_NETWORK, linear_learner, two_layer_network
from selftaught.programs.operators import OPERATORS
from selftaught.programs.parse import MAX_INSTRUCTIONS, parse_program
from selftaught.programs.program import Instruction, Program, Slots
from selftaught.programs.text import format_constant, format_program
from tests.programs.strategies import programs, random_program
from tests.programs.test_messages import errors_of, program_text

GOLDEN = Path(__file__).parent / "golden"
EVERY_OPERATOR = Program(
    learn=tuple(
        Instruction(operator.id, 3 if operator.out != "m" else 1, 1, 2, *((0.25, 0.75, -1.5))) for operator in OPERATORS
    )
)


@given(programs())
def test_reading_gives_the_program_that_was_written(program: Program) -> None:
    text = format_program(program)
    parsed = parse_program(text)
    assert parsed.program == program
    assert parsed.slots == program.slots()
    assert parsed.task == "regression"
    assert format_program(parsed.program, parsed.slots, parsed.task) == text
    without_slots = "\n".join(line for line in text.split("\n") if not line.startswith(("slots", "task")))
    assert parse_program(without_slots) == parsed


@pytest.mark.parametrize("function", ["setup", "predict", "learn"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_functions_of_nothing_but_no_ops(function: str, count: int) -> None:
    program = Program(**{function: (Instruction(0),) * count})
    assert parse_program(str(program)).program == program


def test_no_op_among_others() -> None:
    program = Program(setup=(Instruction(0), Instruction(56, 2), Instruction(0)))
    assert str(program).count("pass") == 4  # two no_ops, two empty functions
    assert parse_program(str(program)).program == program


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_constants_read_back(value: float) -> None:
    text = format_constant(value)
    assert np.float32(float(text)) == np.float32(value)
    for shorter in range(1, 9):  # nothing shorter does
        digits = f"{value:.{shorter}g}"
        with np.errstate(over="ignore"):
            reads_back = np.float32(float(digits)) == np.float32(value)
        if reads_back:
            significant = len(text.lstrip("-0.").split("e")[0].replace(".", "").rstrip("0"))
            assert significant <= shorter
            break


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01, "0.01"), (-1, "-1"), (0, "0"), (1e-5, "1e-05"), (3.4028235e38, "3.4028235e+38"), (1e-45, "1e-45"),
        (16777216, "16777216"), (1 / 3, "0.33333334"), (100, "100"), (1e-4, "0.0001"), (1e9, "1e+09"),
        (2**31, "2.1474836e+09"), (1e20, "1e+20"),
    ],
)  # fmt: skip
def test_constants_are_short(value: float, text: str) -> None:
    assert format_constant(value) == text


@pytest.mark.parametrize(
    ("name", "program", "slots", "task"),
    [
        ("linear", linear_learner(), Slots(4, 3, 1), "regression"),
        ("network", two_layer_network(), None, "regression"),
        ("every_operator", EVERY_OPERATOR, None, "binary"),
        ("empty", Program(), None, "classes 10"),
    ],
)
def test_golden_file(name: str, program: Program, slots: Slots | None, task: str) -> None:
    text = (GOLDEN / f"{name}.selftaught").read_text(encoding="utf-8")
    assert format_program(program, slots, task) + "\n" == text
    parsed = parse_program(text)
    assert parsed.program == program
    assert parsed.task == task
    assert slots in (None, parsed.slots)


def test_the_hand_written_programs() -> None:
    assert [len(part) for _, part in linear_learner().functions()] == [1, 1, 4]
    assert [len(part) for _, part in two_layer_network().functions()] == [3, 5, 11]
    assert linear_learner(0.25).setup == (Instruction(56, 2, c0=0.25),)
    network = two_layer_network(0.5, 0.125)
    assert network.setup == (
        Instruction(63, 2, c0=0, c1=0.125),
        Instruction(64, 0, c0=0, c1=0.125),
        Instruction(56, 3, c0=0.5),
    )
    numbers = {"learning_rate": "0.01", "initial_scale": "0.1"}
    assert parse_program(LINEAR_LEARNER.format(**numbers)).slots == Slots(4, 3, 1)
    assert parse_program(TWO_LAYER_NETWORK.format(**numbers)).slots == Slots(5, 9, 2)
    with pytest.raises(ProgramError):
        linear_learner(float("nan"))


# Reading what people write


def test_free_layout() -> None:
    parsed = parse_program(
        "\ufeff# a learner\r\nselftaught-program   1  # version\r\ntask :  classes   3\r\n\r\n"
        "slots:5 scalars,4 vector , 1 matrix\r\n"
        "setup :\r\n\ts2=.5e-1#c\r\n # nothing\r\n  s3 = +2.\r\n"
        "predict:\r\n        v2 = v0*s3\r\nlearn:\r\n m0=  s1 *m0"
    )
    assert parsed.task == "classes 3"
    assert parsed.num_classes == 3
    assert parsed.slots == Slots(5, 4, 1)
    assert parsed.program == Program(
        (Instruction(56, 2, c0=0.05), Instruction(56, 3, c0=2)),
        (Instruction(18, 2, 3, 0),),
        (Instruction(29, 0, 1, 0),),
    )
    assert parse_program(program_text().encode()) == parse_program(program_text())


def test_the_operator_follows_from_the_operands() -> None:
    lines = [
        "m1 = m0 * m1",
        "m1 = m0 @ m1",
        "v1 = m0 @ v0",
        "v1 = v0 * s3",
        "m1 = m0 * s3",
        "s1 = 1 / s2",
        "s1 = s1 / s2",
    ]
    learn = parse_program(program_text(learn="\n".join("  " + line for line in lines))).program.learn
    assert [i.op for i in learn] == [41, 43, 31, 18, 29, 6, 4]
    assert learn[3] == Instruction(18, 1, 3, 0)


def test_bytes_that_are_not_utf8() -> None:
    assert errors_of(b"selftaught-program 1\nsetup:\n  \xff = 1", "x") == [
        "x:3:1: not UTF-8 text (byte 30); save the file as UTF-8"
    ]


def test_no_more_than_twenty_errors_are_listed() -> None:
    rows = errors_of(program_text(learn="\n".join(["    s1 = dott(v0, v1)"] * 9_000)))
    assert len(rows) == 21
    assert rows[19].startswith("demo.selftaught:26:10: unknown function")
    assert rows[20] == "demo.selftaught: 9000 errors in all, the first 20 are listed"


def test_at_most_ten_thousand_instructions() -> None:
    most = Program(learn=(Instruction(1, 1, 0, 1),) * MAX_INSTRUCTIONS)
    assert parse_program(str(most)).program == most
    for extra in ("    s1 = s0 + s1", "    s1 = s0 + s1\n" * 100_000):
        assert errors_of(str(most) + "\n" + extra)[-1].endswith("a program has at most 10,000 instructions")


@pytest.mark.parametrize(
    "line",
    [
        "s" * 1_000_000, "1" * 1_000_000, "s1 = " + "(" * 100_000, "s1 = " + "9" * 1_000_000, "s" + "1" * 1_000_000,
        "s1 = dot(" + "v0," * 100_000, "s1 = 1e" + "9" * 35, " " * 1_000_000 + "x", "\x00" * 1000, "s1 = step(\ud800)",
        "s1 = 0x10", "s1 = 1_000", "s1 = ٣", "s1 = dot(v0, v" + "9" * 30 + ")",
    ],
    ids=range(14),
)  # fmt: skip
def test_hostile_lines_are_refused_quickly(line: str) -> None:
    start = time.process_time()
    rows = errors_of(program_text(learn="    " + line), "x")
    assert time.process_time() - start < 2
    assert max(map(len, rows)) < 500


ALPHABET = "svm0123456789=+-*/@()[],.:# \n\t\r\x00éas1e_\u2028passdotuniform"


def _mutated(text: str, rng: random.Random, donor: str) -> str | bytes:
    for _ in range(rng.randint(1, 4)):
        kind = rng.randrange(7)
        lines = text.split("\n")
        at, other = rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)
        row = rng.randrange(len(lines))
        if kind == 0:
            text = text[:at] + rng.choice(ALPHABET) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + 1 :]
        elif kind == 2:
            text = text[:at] + rng.choice(ALPHABET) + text[at + 1 :]
        elif kind == 3:
            text = "\n".join(lines[:row] + lines[row + 1 :])
        elif kind == 4:
            lines.insert(row, rng.choice(donor.split("\n")))
            text = "\n".join(lines)
        elif kind == 5:
            text = text[: min(at, other)] + text[max(at, other) :]
        else:
            data = bytearray(text.encode("utf-8", "surrogatepass"))
            if data:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            if rng.random() < 0.5:
                return bytes(data)
            text = data.decode("utf-8", "replace")
    return text


def test_ten_thousand_mutated_texts() -> None:
    rng = random.Random(20)
    generator = np.random.default_rng(20)
    sources = [str(random_program(generator, Slots(5, 4, 2), (4, 4, 8))) for _ in range(50)]
    sources += [str(linear_learner()), str(two_layer_network()), format_program(Program(), task="classes 4")]
    good = 0
    for _ in range(10_000):
        text = _mutated(rng.choice(sources), rng, rng.choice(sources))
        try:
            parsed = parse_program(text)
        except ProgramError as error:
            rows = str(error).split("\n")
            assert all(row.startswith("<program>:") for row in rows)
            assert len(rows) <= 21
        else:
            good += 1
            again = parse_program(format_program(parsed.program, parsed.slots, parsed.task))
            assert again == parsed
    assert 500 < good < 9_500  # both outcomes are tested


# Writing


def test_what_cannot_be_written() -> None:
    with pytest.raises(ProgramError, match="the program needs 4 scalars, 3 vectors, 0 matrices, got 3 scalars"):
        format_program(linear_learner(), Slots(3, 3, 1))
    with pytest.raises(ProgramError, match="v1 holds the label and cannot be written"):
        format_program(linear_learner(), task="classes 3")
    with pytest.raises(ProgramError, match="'classes K' with K at least 3, got 'classes 1'"):
        format_program(Program(), task="classes 1")
