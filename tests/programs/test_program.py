"""Programs as data: validation, equality, records in arrays."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from selftaught.errors import ProgramError
from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.operators import OPERATORS
from selftaught.programs.program import Instruction, Program, Slots
from tests.programs.strategies import programs, random_program


@given(programs())
def test_encoding_keeps_the_program(program: Program) -> None:
    code, sizes = program.encode()
    assert code.dtype == np.int32
    assert code.shape == (len(program), 4)
    assert sizes.dtype == np.int64
    spare = np.vstack([code, np.full((2, 4), -1, np.int32)])
    assert Program.decode(spare, sizes) == program
    assert hash(Program.decode(code, sizes)) == hash(program)


def test_a_record_bit_by_bit() -> None:
    code, sizes = Program(learn=(Instruction(58, 20, c0=0.5, c1=0.25, c2=-1), Instruction(31, 3, 2, 30))).encode()
    assert code[0].tolist() == [58 | 20 << 8, 0x3F000000, 0x3E800000, 0xBF800000 - 2**32]
    assert code[1].tolist() == [31 | 3 << 8 | 2 << 16 | 30 << 24, 0, 0, 0]
    assert sizes.tolist() == [0, 0, 2]


def test_unused_fields_take_no_part_in_equality() -> None:
    assert Instruction(27, 1, 0, 1, c0=5, c2=7) == Instruction(27, 1, 0, 1)
    assert Instruction(5, 1, 2, 60) == Instruction(5, 1, 2)
    assert Instruction(0, 4, 4, 4, 1, 1, 1) == Instruction(0)
    assert hash(Instruction(5, 1, 2, 60)) == hash(Instruction(5, 1, 2))
    assert Instruction(5, 1, 2) != Instruction(5, 1, 3)


def test_constants_are_float32() -> None:
    instruction = Instruction(56, 2, c0=0.1)
    assert instruction.c0 == float(np.float32(0.1))
    assert instruction.constants == (instruction.c0,)
    assert str(Instruction(56, 2, c0=-0.0)) == "s2 = 0"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((250,), f"operator 250 does not exist; ids run from 0 to {len(OPERATORS) - 1}"),
        ((-1,), "operator -1 does not exist"),
        ((1, 0, 1, 2), "s0 holds the label and cannot be written"),
        ((23, 0, 1, 2), "v0 holds the features and cannot be written"),
        ((1, 63, 1, 2), "slot s63 does not exist"),
        ((1, 1, -1, 2), "slot s-1 does not exist"),
        ((56, 2, 0, 0, float("nan")), "not a finite float32"),
        ((56, 2, 0, 0, 1e39), "not a finite float32"),
        ((57, 2, 0, 0, 1.0, 1.0), r"index fraction 1 is not in \[0, 1\)"),
        ((58, 2, 0, 0, 0.5, -0.25, 1.0), r"index fraction -0.25 is not in \[0, 1\)"),
        ((60, 2, 0, 0, 0.5, -0.5), r"uniform\(0.5, -0.5\): low is above high; swap them"),
    ],
)
def test_wrong_instructions(fields: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        Instruction(*fields)


def test_matrix_zero_can_be_written() -> None:
    assert Instruction(39, 0, 0, 0).out == 0


def test_slots() -> None:
    assert Program().slots() == Slots(2, 1, 0)
    assert linear_learner().slots() == Slots(4, 3, 0)
    assert two_layer_network().slots() == Slots(5, 9, 2)
    assert tuple(Slots(5, 9, 2)) == (5, 9, 2)
    assert str(Slots(2, 1, 0)) == "2 scalars, 1 vector, 0 matrices"
    for counts, message in (
        ((1, 1, 0), "scalars must be at least 2, got 1"),
        ((2, 0, 0), "vectors must be at least 1"),
        ((2, 1, -1), "matrices must be at least 0"),
        ((60, 3, 1), "64 slots, more than 63"),
    ):
        with pytest.raises(ProgramError, match=message):
            Slots(*counts)
    with pytest.raises(ProgramError, match="more than 63"):
        Program((Instruction(1, 40, 1, 2), Instruction(23, 40, 1, 2)))


def test_programs_are_frozen_plain_data() -> None:
    program = linear_learner()
    assert program == linear_learner()
    assert len({program, linear_learner(), linear_learner(0.1)}) == 2
    assert len(program) == 6
    with pytest.raises(dataclasses.FrozenInstanceError):
        program.setup = ()  # type: ignore[misc]
    assert Program(setup=[Instruction(0)]).setup == (Instruction(0),)  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="predict takes instructions, got str"):
        Program(predict=("pass",))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "sizes", "message"),
    [((3, 3), (1, 1, 1), "records"), ((3, 4), (1, 1), "3 sizes"), ((2, 4), (1, 1, 1), "at most n")],
)
def test_wrong_encodings(shape: tuple[int, int], sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        Program.decode(np.zeros(shape, np.int32), np.array(sizes))
    with pytest.raises(ProgramError, match="operator 255"):
        Program.decode(np.full((1, 4), 255, np.int32), np.array([1, 0, 0]))


def test_representations() -> None:
    program = Program(predict=(Instruction(15, 1, 1),))
    assert "s1 = step(s1)" in str(program)
    assert program._repr_html_().startswith("<pre>selftaught-program 1")


def test_fresh_programs_are_valid_at_any_slot_counts() -> None:
    rng = np.random.default_rng(0)
    for slots in (Slots(2, 1, 0), Slots(4, 3, 1), Slots(20, 20, 20)):
        program = random_program(rng, slots, (21, 21, 45))
        assert all(used <= given for used, given in zip(program.slots(), slots, strict=True))
