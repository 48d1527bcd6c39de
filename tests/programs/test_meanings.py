"""Every operator against a plain formula on one task at a time, its edge cases, aliases and random streams."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest

from selftaught.programs.meanings import index_of
from selftaught.programs.operators import BY_NAME, OPERATORS, Operator
from selftaught.programs.program import Instruction, Slots
from selftaught.programs.reference import LaneMemory, Streams, execute

INF, NAN = math.inf, math.nan


def _least(a: Any, b: Any) -> Any:
    return np.where(b < a, b, a)


def _most(a: Any, b: Any) -> Any:
    return np.where(b > a, b, a)


# One task, float64, written with whole-array NumPy and never with the code under test.
FORMULAS: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "reciprocal": lambda a: 1 / a, "sin": np.sin, "cos": np.cos, "tan": np.tan, "arcsin": np.arcsin,
    "arccos": np.arccos, "arctan": np.arctan, "exp": np.exp, "log": np.log, "step": lambda a: np.heaviside(a, 0.0),
    "scale": lambda a, b: a * b, "add": lambda a, b: a + b, "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b, "divide": lambda a, b: a / b, "min": _least, "max": _most,
    "norm": np.linalg.norm, "mean": np.mean, "std": np.std, "dot": np.dot, "outer": np.outer,
    "vector_product": lambda a, b: a @ b, "product": lambda a, b: a @ b, "transpose": lambda a: a.T,
    "to_columns": lambda a: np.tile(a, (len(a), 1)).T, "to_rows": lambda a: np.tile(a, (len(a), 1)),
    "column_norms": lambda a: np.linalg.norm(a, axis=0), "row_norms": lambda a: np.linalg.norm(a, axis=1),
    "row_means": lambda a: a.mean(axis=1), "row_stds": lambda a: a.std(axis=1),
}  # fmt: skip

SLOTS = Slots(4, 4, 3)
PURE = [operator for operator in OPERATORS if operator.in1]


def _memory(num_features: int, num_lanes: int, precision: Literal["float32", "float64"]) -> LaneMemory:
    rng = np.random.default_rng(num_features)
    memory = LaneMemory.zeros(SLOTS, num_features, num_lanes, precision=precision)
    for array in (memory.scalars, memory.vectors, memory.matrices):
        array[...] = rng.uniform(0.05, 0.95, array.shape) * rng.choice([-1, 1], array.shape)
    return memory


def _aliases(operator: Operator) -> list[tuple[int, int, int]]:
    """(out, in1, in2): all different, and every way for slots of one type to coincide."""
    free = {(1, 2, 3) if operator.out != "m" else (0, 1, 2)}
    for out, in1, in2 in itertools.product((1, 2), repeat=3):
        if not operator.in2 and in2 != 1:
            continue
        free.add((out, in1, in2))
    return sorted(free)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("num_features", [1, 4, 7])
@pytest.mark.parametrize("operator", PURE, ids=lambda operator: operator.name)
def test_operator_is_its_formula(
    operator: Operator, num_features: int, precision: Literal["float32", "float64"]
) -> None:
    word = operator.name.partition("_")[2]
    for out, in1, in2 in _aliases(operator):
        memory = _memory(num_features, 3, precision)
        before = memory.copy()
        execute([Instruction(operator.id, out, in1, in2)], memory, Streams(np.ones(3)))
        for lane in range(3):
            operands = [
                before.slot(t, slot)[..., lane].astype(np.float64)
                for t, slot in ((operator.in1, in1), (operator.in2, in2))
                if t
            ]
            got = memory.slot(operator.out, out)[..., lane]
            with np.errstate(all="ignore"):
                wanted = np.full(num_features, operands[0]) if word == "fill" else FORMULAS[word](*operands)
            close = 2e-6 if precision == "float32" else 1e-13
            np.testing.assert_allclose(got, wanted, rtol=close, atol=close, err_msg=f"{operator.name} {out, in1, in2}")
        before.slot(operator.out, out)[...] = memory.slot(operator.out, out)
        for array, same in zip(
            (memory.scalars, memory.vectors, memory.matrices),
            (before.scalars, before.vectors, before.matrices),
            strict=True,
        ):
            np.testing.assert_array_equal(array, same)  # nothing else was written


def _scalar(name: str, a: float, b: float = 0.0) -> float:
    memory = LaneMemory.zeros(SLOTS, 1, 1)
    memory.scalars[:, 0] = [0, 0, a, b]
    execute([Instruction(BY_NAME[name].id, 1, 2, 3)], memory, Streams(np.ones(1)))
    return float(memory.scalars[1, 0])


@pytest.mark.parametrize(
    ("name", "operands", "wanted"),
    [
        ("scalar_add", (INF, -INF), NAN),
        ("scalar_multiply", (0, INF), NAN),
        ("scalar_divide", (1, 0), INF),
        ("scalar_divide", (-1, 0), -INF),
        ("scalar_divide", (0, 0), NAN),
        ("scalar_abs", (-INF,), INF),
        ("scalar_abs", (NAN,), NAN),
        ("scalar_abs", (-0.0,), 0.0),
        ("scalar_reciprocal", (0.0,), INF),
        ("scalar_reciprocal", (-0.0,), -INF),
        ("scalar_sin", (INF,), NAN),
        ("scalar_sin", (1e6,), 0.0),
        ("scalar_sin", (999_999.0,), math.sin(999_999)),
        ("scalar_cos", (-INF,), NAN),
        ("scalar_cos", (-3e38,), 1.0),
        ("scalar_tan", (1e6,), 0.0),
        ("scalar_tan", (NAN,), NAN),
        ("scalar_arcsin", (1.0001,), NAN),
        ("scalar_arcsin", (-0.0,), -0.0),
        ("scalar_arccos", (-1.0001,), NAN),
        ("scalar_arccos", (-1.0,), math.pi),
        ("scalar_arctan", (INF,), math.pi / 2),
        ("scalar_arctan", (-INF,), -math.pi / 2),
        ("scalar_exp", (88.73,), INF),
        ("scalar_exp", (88.72,), math.exp(np.float32(88.72))),
        ("scalar_exp", (-104.0,), 0.0),
        ("scalar_exp", (-100.0,), float(np.float32(math.exp(-100)))),
        ("scalar_log", (0.0,), -INF),
        ("scalar_log", (-0.0,), -INF),
        ("scalar_log", (-1.0,), NAN),
        ("scalar_log", (INF,), INF),
        ("scalar_log", (1e-40,), math.log(np.float32(1e-40))),
        ("scalar_step", (0.0,), 0.0),
        ("scalar_step", (NAN,), 0.0),
        ("scalar_step", (1e-45,), 1.0),
        ("scalar_step", (-1.0,), 0.0),
        ("scalar_min", (NAN, 1.0), NAN),
        ("scalar_min", (1.0, NAN), 1.0),
        ("scalar_max", (NAN, 1.0), NAN),
        ("scalar_max", (1.0, NAN), 1.0),
        ("scalar_min", (-0.0, 0.0), -0.0),
        ("scalar_min", (0.0, -0.0), 0.0),
        ("scalar_max", (-0.0, 0.0), -0.0),
        ("scalar_max", (0.0, -0.0), 0.0),
    ],
)
def test_edge_case(name: str, operands: tuple[float, ...], wanted: float) -> None:
    got = _scalar(name, *operands)
    if math.isnan(wanted):
        assert math.isnan(got)
    else:
        assert got == pytest.approx(wanted, rel=1e-6, abs=0)
        assert math.copysign(1, got) == math.copysign(1, wanted)


@pytest.mark.parametrize("name", ["vector_min", "matrix_min", "vector_max", "matrix_max"])
def test_nan_gives_the_first_operand(name: str) -> None:
    operator = BY_NAME[name]
    memory = LaneMemory.zeros(Slots(2, 4, 4), 2, 1)
    memory.slot(operator.out, 2)[...] = NAN
    memory.slot(operator.out, 3)[...] = 5
    execute([Instruction(operator.id, 1, 2, 3)], memory, Streams(np.ones(1)))
    assert np.isnan(memory.slot(operator.out, 1)).all()
    execute([Instruction(operator.id, 1, 3, 2)], memory, Streams(np.ones(1)))
    assert (memory.slot(operator.out, 1) == 5).all()


TERMS = np.array([1e8, 1, 1, 1, -1e8, 1, 1, 1], np.float32)  # four partial sums: 6, one: 3, exact: 6


def test_sums_run_in_four_partial_sums() -> None:
    memory = LaneMemory.zeros(Slots(5, 4, 2), 8, 1)
    memory.vectors[1, :, 0], memory.vectors[2] = TERMS, 1
    memory.matrices[0, :, :, 0] = TERMS  # every row
    run = [
        Instruction(BY_NAME["vector_dot"].id, 1, 1, 2),
        Instruction(BY_NAME["vector_mean"].id, 2, 1),
        Instruction(BY_NAME["matrix_vector_product"].id, 3, 0, 2),
    ]
    execute(run, memory, Streams(np.ones(1)))
    assert memory.scalars[1:3, 0].tolist() == [6, 0.75]
    assert memory.vectors[3, :, 0].tolist() == [6] * 8


def test_products_of_matrices_and_column_norms_use_one_partial_sum() -> None:
    memory = LaneMemory.zeros(Slots(2, 2, 3), 8, 1)
    memory.matrices[0, :, :, 0], memory.matrices[1] = TERMS, 1
    execute([Instruction(BY_NAME["matrix_product"].id, 2, 0, 1)], memory, Streams(np.ones(1)))
    assert (memory.matrices[2] == 3).all()
    memory.matrices[0, :, :, 0] = np.array([4096, 1, 1, 1, 1, 1, 1, 1], np.float32)[:, None]  # column of squares
    execute([Instruction(BY_NAME["matrix_column_norms"].id, 1, 0)], memory, Streams(np.ones(1)))
    assert (memory.vectors[1] == 4096).all()  # 2^24 + 1 is 2^24 seven times over
    memory.matrices[0] = memory.matrices[0].swapaxes(0, 1).copy()
    execute([Instruction(BY_NAME["matrix_row_norms"].id, 1, 0)], memory, Streams(np.ones(1)))
    assert (memory.vectors[1] == np.sqrt(np.float32(2**24 + 6))).all()  # 2^24 + 1 in p0, 2 in each of the others


def test_a_constant_vector_has_no_deviation() -> None:
    memory = LaneMemory.zeros(Slots(4, 2, 1), 16, 1)
    memory.vectors[1], memory.matrices[0] = 1e4, 1e4
    run = [Instruction(BY_NAME["vector_std"].id, 1, 1), Instruction(BY_NAME["matrix_std"].id, 2, 0)]
    execute(run, memory, Streams(np.ones(1)))
    assert memory.scalars[1:3, 0].tolist() == [0, 0]


def test_denormals_are_kept() -> None:
    assert _scalar("scalar_multiply", 1e-20, 1e-20) == float(np.float32(1e-40))


def test_index_means_the_same_place_at_every_width() -> None:
    assert [index_of(0.5, f) for f in (1, 2, 4, 64)] == [0, 1, 2, 32]
    assert index_of(float(np.nextafter(np.float32(1), np.float32(0))), 64) == 63
    assert index_of(0.0, 4) == 0


def test_constants_write_one_element_and_keep_the_others() -> None:
    memory = LaneMemory.zeros(Slots(3, 2, 1), 4, 2)
    memory.vectors[1], memory.matrices[0] = 7, 7
    run = [Instruction(56, 2, c0=0.5), Instruction(57, 1, c0=0.25, c1=-3), Instruction(58, 0, c0=0.25, c1=0.75, c2=2)]
    execute(run, memory, Streams(np.ones(2)))
    assert memory.scalars[2].tolist() == [0.5, 0.5]
    assert memory.vectors[1, :, 1].tolist() == [7, -3, 7, 7]
    wanted = np.full((4, 4), 7)
    wanted[1, 3] = 2
    assert memory.matrices[0, :, :, 0].tolist() == wanted.tolist()


# Random streams


def test_the_stream_is_xorshift32() -> None:
    streams = Streams(np.array([1, 2463534242]))
    streams.draw()
    assert streams.states.tolist() == [270369, 723471715]  # published first outputs of 13, 17, 5
    assert streams.draw().tolist() == [67634689 >> 8, int(streams.states[1]) >> 8]
    with pytest.raises(ValueError, match="non-zero"):
        Streams(np.array([1, 0]))


def test_uniform_and_gaussian_by_hand() -> None:
    k1, k2 = 270369 >> 8, 67634689 >> 8
    memory = LaneMemory.zeros(Slots(4, 2, 1), 3, 1)
    streams = Streams(np.ones(1))
    execute([Instruction(59, 2, c0=-0.5, c1=0.75)], memory, streams)
    assert memory.scalars[2, 0] == pytest.approx(-0.5 + k1 / 2**24 * 1.25, rel=1e-6)
    assert streams.states.tolist() == [270369]
    streams = Streams(np.ones(1))
    execute([Instruction(62, 3, c0=0.25, c1=2)], memory, streams)
    radius = math.sqrt(-2 * math.log((k1 + 0.5) / 2**24))
    angle = 2 * math.pi * k2 / 2**24
    assert memory.scalars[3, 0] == pytest.approx(0.25 + 2 * radius * math.cos(angle), rel=1e-5)
    execute([Instruction(63, 1, c0=0.25, c1=2)], memory, Streams(np.ones(1)))
    assert memory.vectors[1, 0, 0] == memory.scalars[3, 0]  # even element: cosine
    assert memory.vectors[1, 1, 0] == pytest.approx(0.25 + 2 * radius * math.sin(angle), rel=1e-5)
    single = Streams(np.ones(1))
    execute([Instruction(63, 1), Instruction(62, 3)], memory, single)
    assert single.states[0] == _steps(1, 6)  # three elements take two pairs, a scalar one


def _steps(state: int, count: int) -> int:
    for _ in range(count):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
    return state


def test_matrix_fills_run_in_row_major_order() -> None:
    memory = LaneMemory.zeros(Slots(2, 2, 1), 2, 1)
    execute([Instruction(61, 0, c0=0, c1=1)], memory, Streams(np.full(1, 99)))
    wanted = [(_steps(99, i) >> 8) / 2**24 for i in (1, 2, 3, 4)]
    assert memory.matrices[0, :, :, 0].ravel().tolist() == wanted


def test_fills_have_their_moments() -> None:
    memory = LaneMemory.zeros(Slots(2, 2, 2), 32, 64)
    streams = Streams(np.random.default_rng(0).integers(1, 2**32, 64))
    execute([Instruction(61, 0, c0=-1, c1=2), Instruction(64, 1, c0=3, c1=0.5)], memory, streams)
    uniform, gaussian = memory.matrices.astype(np.float64)
    num = uniform.size  # 65,536: five standard errors
    assert uniform.min() >= -1
    assert uniform.max() <= 2
    assert abs(uniform.mean() - 0.5) < 5 * math.sqrt(0.75 / num)
    assert abs(gaussian.mean() - 3) < 5 * 0.5 / math.sqrt(num)
    assert abs(gaussian.std() / 0.5 - 1) < 5 / math.sqrt(2 * num)
