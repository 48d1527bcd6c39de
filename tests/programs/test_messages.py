# ruff: noqa: E501
"""The messages about a program's text, word for word: one line each, as a user reads them."""

from __future__ import annotations

import pytest

from selftaught.errors import ProgramError
from selftaught.programs.parse import parse_program


def program_text(setup: str = "    pass", predict: str = "    pass", learn: str = "    pass", head: str = "") -> str:
    return f"selftaught-program 1\n{head}setup:\n{setup}\npredict:\n{predict}\nlearn:\n{learn}\n"


def errors_of(text: str | bytes, filename: str = "demo.selftaught") -> list[str]:
    with pytest.raises(ProgramError) as caught:
        parse_program(text, filename)
    return str(caught.value).split("\n")


def test_messages_word_for_word() -> None:
    text = """\
selftaught-program 1
slots: 4 scalars, 3 vectors, 1 matrix
setup:
    s9 = 0.5
    v2[1.5] = 0.5
        s3 = uniform(0.5, -0.5)
    s0 = 0.5
predict:
    s1 = dott(v0, v1)
    s1 = dot(s1, v0)
learn:
    pass
"""
    assert errors_of(text) == [
        "demo.selftaught:4:5: s9 does not exist; this program has 4 scalars (s0 to s3)",
        "demo.selftaught:5:8: index fraction 1.5 is not in [0, 1)",
        "demo.selftaught:6:14: uniform(0.5, -0.5): low is above high; swap them",
        "demo.selftaught:7:5: s0 holds the label and cannot be written; write to s1, s2 or s3",
        "demo.selftaught:9:10: unknown function 'dott'; did you mean 'dot'?",
        "demo.selftaught:10:10: dot takes two vectors, got s1 and v0",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("v0 = v1 + v2", "5: v0 holds the features and cannot be written; write to v1 or v2"),
        ("s1 = s2", "12: expected +, -, *, / or @ after s2, got the end of the line"),
        ("s1 = s2 + v0", "10: + takes two scalars, two vectors or two matrices, got s2 and v0"),
        ("s1 = s2 + 0.5", "10: + takes two scalars, two vectors or two matrices, got s2 and 0.5; put the constant in a scalar first"),
        ("s1 = v0 @ v1", "10: @ takes a matrix and a vector or two matrices, got v0 and v1"),
        ("v1 = dot(v0, v1)", "5: dot of two vectors is a scalar, but v1 is a vector"),
        ("v1 = 0.5", "5: the right-hand side is a scalar, but v1 is a vector; use fill(s1) or v1[0.5] = ..."),
        ("s1 = nan", "10: 'nan' is not a slot; constants are finite decimal numbers"),
        ("s1 = 1e39", "10: 1e39 does not fit a float32; the largest is 3.4028235e+38"),
        ("s1 = -s2", "11: expected a number after '-', got 's2'"),
        ("s1 = 2 / s2", "10: / takes two scalars, two vectors or two matrices, got 2 and s2; put the constant in a scalar first"),
        ("s1 = 1 + 1 + 1", "16: expected the end of the line (one instruction a line), got '+'"),
        ("s1 = uniform(s2, 1)", "10: uniform takes two constants, got s2 and 1"),
        ("s1 = mean()", "10: mean takes a vector or a matrix, got nothing"),
        ("s1 = step", "14: expected '(' after step, got the end of the line"),
        ("s1 = step(s2", "17: expected ')' after the last operand, got the end of the line"),
        ("s1[0.5] = 1", "5: s1 is a scalar and has no elements; write s1 = ..."),
        ("v1[0.5, 0.5] = 1", "5: v1 takes 1 index, got 2"),
        ("m0[0.5] = 1", "5: m0 takes 2 indices, got 1"),
        ("v1[-0.5] = 1", "8: index fraction -0.5 is not in [0, 1)"),
        ("v1[0.5] = s2", "15: an element takes a constant, got 's2'"),
        ("x1 = s2 + s2", "5: 'x1' is not a slot; use s for scalars, v for vectors, m for matrices, and a number"),
        ("s01 = s2 + s2", "5: 's01' is not a slot; use s for scalars, v for vectors, m for matrices, and a number"),
        ("s1 = s2 % s2", "13: unexpected character '%'"),
        ("s1 = é", "10: unexpected character '\\xe9'"),
        ("s1 + s2", "8: expected '=' after s1, got '+'"),
        ("= s2", "5: expected an instruction such as s2 = s0 - s1, got '='"),
        ("pass pass", "10: expected the end of the line (one instruction a line), got 'pass'"),
        ("s1 = norm(m1)", "15: m1 does not exist; this program has 1 matrix (m0)"),
        ("s1 = __import__(s1)", "10: unknown function '__import__'; the functions are abs, arccos, arcsin, arctan, "
         "column_norms, columns, cos, dot, exp, fill, gaussian, log, maximum, mean, minimum, norm, outer, row_means, "
         "row_norms, row_stds, rows, sin, std, step, tan, transpose, uniform"),
    ],
)  # fmt: skip
def test_message(line: str, message: str) -> None:
    text = program_text(learn="    " + line, head="slots: 4 scalars, 3 vectors, 1 matrix\n")
    assert errors_of(text, "x") == [f"x:8:{message}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x:1:1: the first line is 'selftaught-program 1', got ''"),
        ("hello", "x:1:1: the first line is 'selftaught-program 1', got 'hello'"),
        ("selftaught-program 2", "x:1:20: written by a newer selftaught (format 2, this one reads 1); update selftaught"),
        ("selftaught-program one", "x:1:20: the format version is a number such as 1, got 'one'"),
        (program_text(head="slots: 4 scalars\n"), "x:2:8: slots are given as '4 scalars, 3 vectors, 1 matrix', got '4 scalars'"),
        (program_text(head="slots: 1 scalar, 1 vector, 0 matrices\n"), "x:2:8: scalars must be at least 2, got 1"),
        (program_text(head="slots: 40 scalars, 20 vectors, 9 matrices\n"), "x:2:8: scalars, vectors and matrices together are 69 slots, more than 63; use fewer"),
        (program_text(head="task: clases 3\n"), "x:2:7: task is 'regression', 'binary' or 'classes K' with K at least 3, got 'clases 3'; did you mean 'classes'?"),
        (program_text(head="task: classes 2\n"), "x:2:7: task is 'regression', 'binary' or 'classes K' with K at least 3, got 'classes 2'"),
        (program_text(head="task: binary\ntask: binary\n"), "x:3:1: task is given twice"),
        (program_text(head="slots: 2 scalars, 1 vector, 0 matrices\ntask: classes 3\n"), "x:1:1: a task of several classes needs 3 vectors or more: v1 the label, v2 the scores"),
        (program_text(head="task: classes 3\n", learn=" v1 = v0 + v2"), "x:8:2: v1 holds the label and cannot be written; write to v2"),
        (program_text(head="task: classes 3\n", learn=" s0 = s1 + s1"), "x:8:2: s0 is 0 in a task of several classes and cannot be written; write to s1"),
        (program_text().replace("predict", "predit"), "x:4:1: unknown section 'predit'; did you mean 'predict'?\nx:8:1: predict is missing; write 'predict:' and at least 'pass'"),
        (program_text().replace("predict:", "predict"), "x:4:8: expected ':' after predict\nx:8:1: predict is missing; write 'predict:' and at least 'pass'"),
        (program_text().replace("predict:", "predict: x"), "x:4:10: expected the end of the line after 'predict:', got 'x'"),
        (program_text(predict=""), "x:4:1: predict is empty; write 'pass'"),
        (program_text(learn="s1 = s2 + s2"), "x:6:1: learn is empty; write 'pass'\nx:7:1: expected a section such as 'setup:' or an indented instruction, got 's1 = s2 + s2'"),
        ("selftaught-program 1\npredict:\n pass\nsetup:\n pass\nlearn:\n pass", "x:4:1: setup comes before predict; the order is setup, predict, learn"),
        ("selftaught-program 1\nsetup:\n pass\ntask: binary\npredict:\n pass\nlearn:\n pass", "x:4:1: task comes before setup"),
        (program_text(head="  s1 = s2 + s2\n"), "x:2:3: this line belongs to no function; write 'setup:' first"),
        (program_text(learn=" s62 = s1 + s1\n v5 = v1 + v2"), "x:7:2: scalars, vectors and matrices together are 69 slots, more than 63; use fewer"),
        (program_text(learn=" s1 = s63 + s1"), "x:7:7: s63 does not exist; this program has 2 scalars (s0 to s1)"),
    ],
)  # fmt: skip
def test_message_about_the_file(text: str, message: str) -> None:
    assert "\n".join(errors_of(text, "x")) == message
