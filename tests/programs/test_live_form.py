"""The live form in plain Python against liveness as a search in the graph of program points."""

from __future__ import annotations

import numpy as np
import pytest

from selftaught.errors import ProgramError
from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.live_form import has_state, live_form
from selftaught.programs.parse import parse_program
from selftaught.programs.program import Instruction, Program
from tests.programs import oracles
from tests.programs.strategies import random_program


@pytest.mark.parametrize("classes", [False, True])
def test_live_forms_and_state_are_those_of_the_oracle(classes: bool) -> None:
    rng = np.random.default_rng(3)
    task = "classes 3" if classes else "regression"
    states = []
    for _ in range(300):
        program = random_program(rng)
        if classes:
            program = oracles.leave_label_alone(program)
        live = live_form(program, task=task)
        assert live == oracles.live_form(program, classes=classes)
        points = oracles.useful_points(live, classes=classes)
        on_entry = {slot for function, place, slot in points if function == "predict" and place == 0}
        outside = {("s", 0), ("v", 0)} | ({("v", 1)} if classes else set())
        written = {oracles.written(instruction) for instruction in live.predict}
        states.append(has_state(program, task=task))
        assert states[-1] == bool(written & (on_entry - outside))
    assert 20 < sum(states) < 280


def test_known_programs() -> None:
    assert live_form(two_layer_network()) == two_layer_network()
    assert not has_state(linear_learner())
    counter = parse_program("selftaught-program 1\nsetup:\n s2=1\npredict:\n s1 = s1 + s2\nlearn:\n pass").program
    assert has_state(counter)
    dead = Program(predict=(Instruction(27, 1, 0, 0), Instruction(1, 3, 1, 1)))
    assert live_form(dead) == Program(predict=dead.predict[:1])


def test_a_program_that_writes_the_label_of_several_classes_is_refused() -> None:
    with pytest.raises(ProgramError, match="v1 holds the label"):
        live_form(linear_learner(), task="classes 3")
    with pytest.raises(ProgramError, match="task is"):
        live_form(linear_learner(), task="classes")
