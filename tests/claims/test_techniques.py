"""Each technique with programs that show it and programs that nearly do."""

from __future__ import annotations

import pytest

from selftaught.claims.techniques import TECHNIQUES
from selftaught.programs import Program, linear_learner, parse_program, two_layer_network
from selftaught.programs.live_form import without_dead_code as live_form
from selftaught.programs.opponents import network_for

HEAD = "selftaught-program 1\nslots: 8 scalars, 9 vectors, 3 matrices\ntask: regression\n"

LEARN = ("s3 = s0 - s1", "s3 = s2 * s3", "v2 = s3 * v0", "v1 = v1 + v2")


def program(setup: tuple[str, ...], predict: tuple[str, ...], learn: tuple[str, ...]) -> Program:
    parts = (("setup", setup), ("predict", predict), ("learn", learn))
    text = "".join(f"{name}:\n" + "".join(f"    {line}\n" for line in lines or ("pass",)) for name, lines in parts)
    return live_form(parse_program(HEAD + text, "test").program)


DOT = ("s1 = dot(v0, v1)",)
RATE = ("s2 = 0.1",)
#: what -> (program, the techniques it shows)
PROGRAMS: dict[str, tuple[Program, set[str]]] = {
    "linear": (linear_learner(0.1), set()),
    "network, random only in setup": (two_layer_network(), set()),
    "noise on the features": (program(RATE, ("v3 = gaussian(0, 0.1)", "v4 = v0 + v3", "s1 = dot(v4, v1)"), LEARN),
                              {"noise"}),
    "noise in learn": (program(RATE, DOT, (*LEARN, "v5 = uniform(-0.1, 0.1)", "v1 = v1 + v5")), {"noise"}),
    "noise that nothing reads": (program(RATE, DOT, (*LEARN, "v5 = uniform(-0.1, 0.1)")), set()),
    "decay by a factor": (program((*RATE, "s4 = 0.99"), DOT, (*LEARN, "s2 = s2 * s4")), {"rate decay"}),
    "decay in predict": (program((*RATE, "s4 = 0.99"), ("s2 = s2 * s4", *DOT), LEARN), {"rate decay"}),
    "decay by a count": (
        program(("s4 = 1.0", "s5 = 1.0"), DOT, ("s4 = s4 + s5", "s2 = 1 / s4", *LEARN)), {"rate decay"}
    ),
    "decay through the arctangent": (program(RATE, DOT, (*LEARN, "s2 = arctan(s2)")), {"rate decay"}),
    "a rate that grows": (program((*RATE, "s4 = 1.01"), DOT, (*LEARN, "s2 = s2 * s4")), set()),
    "a rate written anew": (program((), DOT, ("s2 = 0.1", *LEARN)), set()),
    "a rate that the error shrinks": (program(RATE, DOT, (*LEARN, "s4 = abs(s3)", "s2 = s2 * s4")), set()),
    "a scalar that shrinks but scales nothing": (
        program((*RATE, "s4 = 0.99", "s5 = 0.5"), ("s5 = s5 * s4", *DOT, "s1 = s1 + s5"), LEARN), set()
    ),
    "mean weight as rate": (
        program((*RATE, "m0 = gaussian(0, 0.1)"), ("v3 = m0 @ v0", "s1 = mean(v3)"),
                ("s3 = s0 - s1", "s4 = mean(m0)", "s4 = abs(s4)", "s4 = sin(s4)", "s3 = s4 * s3", "v2 = s3 * v0",
                 "m1 = rows(v2)", "m0 = m0 + m1")),
        {"rate from weights"},
    ),
    "mean weight by rows": (
        program((*RATE, "m0 = gaussian(0, 0.1)"), ("v3 = m0 @ v0", "s1 = mean(v3)"),
                ("s3 = s0 - s1", "v5 = row_means(m0)", "s4 = mean(v5)", "s3 = s4 * s3", "v2 = s3 * v0",
                 "m1 = rows(v2)", "m0 = m0 + m1")),
        {"rate from weights"},
    ),
    "mean of the gradient": (
        program(RATE, ("v3 = m0 @ v0", "s1 = mean(v3)"),
                ("s3 = s0 - s1", "v2 = s3 * v0", "m1 = rows(v2)", "s4 = mean(m1)", "m1 = s4 * m1",
                 "m0 = m0 + m1")),
        set(),
    ),
    "mean weight in the prediction only": (
        program(RATE, ("v3 = m0 @ v0", "s1 = mean(v3)", "s4 = mean(m0)", "s1 = s1 + s4"),
                ("s3 = s0 - s1", "s3 = s2 * s3", "v2 = s3 * v0", "m1 = rows(v2)", "m0 = m0 + m1")),
        set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_shows_its_techniques_and_no_others(name: str) -> None:
    chosen, expected = PROGRAMS[name]
    assert {technique for technique, shows in TECHNIQUES.items() if shows(chosen)} == expected


def test_every_technique_has_programs_on_both_sides() -> None:
    for technique in TECHNIQUES:
        shown = [technique in expected for _, expected in PROGRAMS.values()]
        assert sum(shown) >= 2
        assert len(shown) - sum(shown) >= 5


def test_the_live_form_drops_what_is_dead_in_rounds() -> None:
    text = "setup:\n    s4 = 0.5\npredict:\n    s1 = dot(v0, v1)\nlearn:\n    s5 = s4 + s4\n    s6 = s5 * s5\n"
    assert len(live_form(parse_program(HEAD + text, "test").program)) == 1
    assert live_form(two_layer_network()) == two_layer_network()


def test_the_network_of_several_classes_is_live_where_its_scores_count() -> None:
    network = network_for(10, 0.01, 0.1)
    assert live_form(network, several_classes=True) == network
    assert len(live_form(network)) < len(network)
