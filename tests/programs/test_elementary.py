"""Every operator of the lane kernel, one record at a time, against the reference interpreter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from selftaught.programs import meanings
from selftaught.programs.fusion import FUSED
from selftaught.programs.kernel import CONTROL_ID, FUSED_BASE, Kernel, load_kernel
from selftaught.programs.operators import BY_NAME, IS_RANDOM, OPERATORS, Operator
from selftaught.programs.program import Instruction
from selftaught.programs.reference import LaneMemory, execute
from selftaught.programs.tasksets import aligned
from tests.programs.lane_machine import (
    COPY_ACC,
    RECORD,
    SPECIAL,
    Machine,
    Record,
    reference_of,
    same_bits,
    ulps,
)

SIZES = [
    *((features, 16) for features in (1, 3, 4, 5, 6, 8, 13, 16)),
    (4, 8),
    (5, 8),
]
RARE_SIZES = [
    *((features, 16) for features in (17, 64)),
    *((features, 8) for features in (1, 3, 8, 16, 17, 64)),
    *((features, 32) for features in (1, 3, 4, 5, 8, 16, 17, 64)),
    (4, 1),
]
ELEMENTARY = ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "exp", "log")
SUMS = ("norm", "dot", "mean", "means", "std", "stds", "norms", "product")
SAME_ORDER = tuple(op for op in OPERATORS if op.name.split("_")[-1] in SUMS and "std" not in op.name)


@pytest.fixture(
    params=[*SIZES, *(pytest.param(size, marks=pytest.mark.slow) for size in RARE_SIZES)],
    ids=lambda size: f"F{size[0]}-L{size[1]}",
)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    features, lanes = request.param
    return load_kernel(features, lanes)


def test_a_record_is_32_bytes() -> None:
    assert RECORD.itemsize == 32


def choices(op: Operator) -> Iterator[tuple[int, Instruction]]:
    """Yield bits and instructions: scalars from memory or the last one, out an input or not, v0 as input."""
    every = {first | second for first in (0, op.in1 == "s") for second in (0, 2 * (op.in2 == "s"))}
    for bits in sorted(every):
        for out, in1, in2 in itertools.product((1, 2), (0, 1, 2), (0, 1, 2)):
            if (not op.in1 and in1) or (not op.in2 and in2):
                continue
            if (bits & 1 and in1 != 2) or (bits & 2 and in2 != 2):
                continue  # the scalar written last is s2
            if op.alias == "temp" and out in [slot for kind, slot in ((op.in1, in1), (op.in2, in2)) if kind == op.out]:
                continue
            yield bits, Instruction(op.id, out, in1, in2, *constants(op))


def constants(op: Operator) -> tuple[float, ...]:
    values = {"value": 0.7, "index": 0.6, "low": -0.4, "high": 1.3, "mean": 0.3, "std": 0.8}
    return tuple(values[kind] for kind in op.draw)


def sum_of_sizes(instruction: Instruction, memory: LaneMemory) -> tuple[int, NDArray[Any]]:
    """Number of terms of an operator's sum, and a scale its rounding errors are relative to."""
    op = OPERATORS[instruction.op]
    sizes = LaneMemory(abs(memory.scalars), abs(memory.vectors), abs(memory.matrices))
    a = sizes.slot(op.in1, instruction.in1)
    features = memory.vectors.shape[1]
    verb = op.name.split("_")[-1]
    terms = features if op.in1 == "v" or op.in2 or verb in ("norms", "means", "stds") else features**2
    if verb in ("std", "stds"):
        # What the mean loses is lost from every deviation.
        if verb == "stds":
            return terms, meanings.row_means(a)
        return terms, meanings.vector_mean(a) if op.in1 == "v" else meanings.matrix_mean(a)
    with np.errstate(all="ignore"):
        return terms, op.meaning(a, sizes.slot(op.in2, instruction.in2)) if op.in2 else op.meaning(a)


def allowed(instruction: Instruction, terms: int) -> float:
    """Units in the last place of the scale: one half for every rounding on the longest way through a sum."""
    name = OPERATORS[instruction.op].name
    roundings = terms if name in ("matrix_product", "matrix_column_norms") else -(-terms // 4) + 2
    return (roundings + (2 * roundings + 4 if "std" in name else 3)) / 2 + 1


def check(machine: Machine, instruction: Instruction, bits: int) -> None:
    """Run one record beside the reference; every other slot, the states and the last scalar must be as they were."""
    op = OPERATORS[instruction.op]
    carry = Record(COPY_ACC & ~3, *[machine.offset("s", 2)] * 3)
    single, streams = reference_of(machine, instruction, "float32")
    exact, _ = reference_of(machine, instruction, "float64")
    before, _ = machine.as_reference("float64")
    last = machine.offset("s", 5)
    machine.run([carry, machine.record(instruction, bits), Record(COPY_ACC, last)])
    got = {kind: machine.all(kind) for kind in "svm"}
    label = f"{op.name} {instruction} bits={bits}"
    # The scalar written last goes on: to the next record, and past operators that write no scalar.
    wanted_last = got["s"][instruction.out] if op.out == "s" else single.scalars[2]
    assert same_bits(got["s"][5], wanted_last), label
    single.scalars[5] = got["s"][5]
    for kind, memory in zip("svm", (single.scalars, single.vectors, single.matrices), strict=True):
        for slot in range(len(memory)):
            if (kind, slot) == (op.out, instruction.out) or (kind, slot) == ("v", 0):
                continue
            assert same_bits(got[kind][slot], memory[slot]), f"{label} changed {kind}{slot}"
    if op.out:
        slot = (op.out, instruction.out)
        compare(got[op.out][instruction.out], single.slot(*slot), exact.slot(*slot), instruction, before, label)
    assert (machine.states == streams.states).all(), label


def compare(
    value: NDArray[np.float32],
    single: NDArray[np.float32],
    exact: NDArray[np.float64],
    instruction: Instruction,
    before: LaneMemory,
    label: str,
) -> None:
    """Compare one result with both precisions of the reference, as closely as its operator allows."""
    verb = OPERATORS[instruction.op].name.split("_")[-1]
    if verb in SUMS:
        terms, scale = sum_of_sizes(instruction, before)
        error = np.minimum(ulps(value, exact, scale), ulps(value, single, scale))
        # On the edge of what float32 holds, whether a product is rounded before it is added decides.
        overflows = np.isfinite(scale) & (scale > np.finfo(np.float32).max) & ~np.isfinite(value)
        underflows = (abs(np.nan_to_num(value) - np.nan_to_num(exact)) < 1e-21) & verb.startswith(("norm", "std"))
        assert error[~overflows & ~underflows].max(initial=0) <= allowed(instruction, terms), label
    elif verb in ELEMENTARY:
        assert ulps(value, exact).max() < 4, label
    elif verb == "gaussian":
        assert ulps(value, single, abs(single) + instruction.c0).max() <= 8, label
    else:
        assert same_bits(value, single), label


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
def test_an_operator_does_what_the_reference_does(op: Operator, kernel: Kernel) -> None:
    machine = Machine(kernel)
    rng = np.random.default_rng(op.id)
    for bits, instruction in choices(op):
        for special, spread in ((0.0, 1.0), (0.0, 3.0), (0.02, 1.0), (0.4, 1.0)):
            machine.fill(rng, special=special, spread=spread)
            check(machine, instruction, bits)


@pytest.mark.parametrize("op", SAME_ORDER, ids=lambda op: op.name)
def test_sums_are_in_the_order_of_the_language(op: Operator, kernel: Kernel) -> None:
    """Numbers of 11 bits have products of 22: nothing is lost before the sum, so every bit tells the order."""
    machine = Machine(kernel)
    rng = np.random.default_rng(op.id)
    for bits, instruction in choices(op):
        machine.fill(rng, spread=3.0)
        for part in (machine.memory[kernel.header.size // 4 :], machine.example.reshape(-1)):
            if not op.name.endswith(("mean", "means")):
                part.view(np.int32)[:] &= ~0x1FFF
        single, _ = reference_of(machine, instruction, "float32")
        machine.run([machine.record(instruction, bits)])
        assert same_bits(machine.all(op.out)[instruction.out], single.slot(op.out, instruction.out)), instruction


# ---- elementary functions on dense grids


def evaluate(kernel: Kernel, name: str, values: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run one scalar operator on many values, one record a handful; return (inputs, outputs)."""
    rows = -(-len(values) // kernel.lanes)
    machine = Machine(kernel, (2 * rows, 1, 0))
    scalars = machine.all("s")
    scalars[:rows] = np.resize(values.astype(np.float32), (rows, kernel.lanes))
    program = aligned((rows + 1,), RECORD)
    program["address"] = kernel.table[4 * BY_NAME[name].id]
    program["address"][rows] = kernel.table[CONTROL_ID["stop"]]
    program["in1"][:rows] = machine.starts["s"] + np.arange(rows) * 4 * kernel.lanes
    program["out"][:rows] = program["in1"][:rows] + rows * 4 * kernel.lanes
    machine.run_array(program)
    return scalars[:rows].reshape(-1).copy(), scalars[rows:].reshape(-1).copy()


def grid(low: float, high: float, count: int = 200_000) -> NDArray[np.float32]:
    """Positive floats from low to high, evenly spaced in their bit patterns: every binade alike."""
    first, last = np.array([low, high], np.float32).view(np.int32)
    return np.linspace(first, last, count).astype(np.int32).view(np.float32)


def both(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([values, -values])


TURNS = np.concatenate(
    [both(grid(1e-45, 999_999.9)), np.linspace(-1e6, 1e6, 200_000)[1:-1], np.linspace(-9, 9, 200_000)]
)
RATIOS = np.concatenate([both(grid(1e-45, 1.0)), np.linspace(-1, 1, 200_000)])
#: name -> (inputs, largest error in ulp that was measured, rounded up)
GRIDS = {
    "sin": (TURNS, 2.5),
    "cos": (TURNS, 2.5),
    "tan": (TURNS, 4.0),
    "arcsin": (RATIOS, 2.5),
    "arccos": (RATIOS, 1.5),
    "arctan": (np.concatenate([both(grid(1e-45, 3.4e38)), np.linspace(-5, 5, 200_000)]), 2.5),
    "exp": (np.concatenate([both(grid(1e-45, 110.0)), np.linspace(-105, 90, 200_000)]), 1.0),
    "log": (grid(1e-45, 3.4e38, 400_000), 1.0),
}


@pytest.mark.parametrize("name", GRIDS)
def test_an_elementary_function_is_within_a_few_ulp(name: str) -> None:
    inputs, bound = GRIDS[name]
    x, y = evaluate(load_kernel(1, 16), f"scalar_{name}", np.concatenate([inputs, SPECIAL]))
    with np.errstate(all="ignore"):
        wanted = getattr(meanings, name)(x.astype(np.float64))
    error = ulps(y, wanted)
    worst = int(error.argmax())
    assert error[worst] < bound, f"{name}({x[worst]!r}) = {y[worst]!r}, wanted {wanted[worst]!r}"


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_beside_multiples_of_a_right_angle(name: str) -> None:
    """Where sine or cosine cancels, what is lost of pi/2 shows most."""
    near = (np.arange(1, 636_000) * np.pi / 2).astype(np.float32)
    x, y = evaluate(load_kernel(1, 16), f"scalar_{name}", near)
    assert ulps(y, getattr(meanings, name)(x.astype(np.float64))).max() < 4


@pytest.mark.parametrize(
    ("name", "inputs", "wanted"),
    [
        ("sin", [0.0, -0.0, np.inf, -np.inf, np.nan, 1e6, -3e38], [0.0, -0.0, np.nan, np.nan, np.nan, 0.0, 0.0]),
        ("cos", [0.0, -0.0, np.inf, np.nan, 1e6, -3e38], [1.0, 1.0, np.nan, np.nan, 1.0, 1.0]),
        ("tan", [0.0, -0.0, np.inf, np.nan, 1e6, -3e38], [0.0, -0.0, np.nan, np.nan, 0.0, 0.0]),
        ("arcsin", [0.0, -0.0, 1.0000001, -2.0, np.inf, np.nan], [0.0, -0.0, np.nan, np.nan, np.nan, np.nan]),
        ("arccos", [1.0, 1.0000001, -2.0, -np.inf, np.nan], [0.0, np.nan, np.nan, np.nan, np.nan]),
        ("arctan", [0.0, -0.0, np.inf, -np.inf, np.nan], [0.0, -0.0, np.pi / 2, -np.pi / 2, np.nan]),
        ("exp", [0.0, -0.0, 88.73, -104.0, np.inf, -np.inf, np.nan], [1.0, 1.0, np.inf, 0.0, np.inf, 0.0, np.nan]),
        ("log", [1.0, 0.0, -0.0, -1e-45, np.inf, -np.inf, np.nan],
         [0.0, -np.inf, -np.inf, np.nan, np.inf, np.nan, np.nan]),
    ],
)  # fmt: skip
def test_an_elementary_function_at_its_edges(name: str, inputs: list[float], wanted: list[float]) -> None:
    _, y = evaluate(load_kernel(1, 16), f"scalar_{name}", np.array(inputs))
    assert same_bits(y[: len(wanted)], np.array(wanted, np.float32))


# ---- random streams


def test_draws_are_those_of_the_reference_over_many_steps() -> None:
    kernel = load_kernel(4, 16)
    machine = Machine(kernel)
    machine.states[:] = np.arange(1, 17)
    memory, streams = machine.as_reference()
    script = [Instruction(61, 1, c0=-1, c1=1), Instruction(59, 2, c0=0, c1=1), Instruction(60, 1, c0=-2, c1=-1)]
    for instruction in script * 20:
        machine.run([machine.record(instruction)])
    execute(script * 20, memory, streams)
    assert (machine.states == streams.states).all()
    assert same_bits(machine.all("m")[1], memory.matrices[1])
    assert same_bits(machine.all("v")[1], memory.vectors[1])


def test_a_low_that_is_high_is_a_fill() -> None:
    machine = Machine(load_kernel(4, 16))
    machine.fill(np.random.default_rng(0))
    machine.run([machine.record(Instruction(60, 1, c0=0.25, c1=0.25))])
    assert (machine.all("v")[1] == 0.25).all()


# ---- fused pairs


def fused_choices(first: Operator, second: Operator, link: int) -> Iterator[tuple[Instruction, Instruction]]:
    """Yield every pair over two slots a type and v0 that the encoder may fuse."""
    lowest = 0 if second.out == "m" else 1
    every = itertools.product((1, 2), range(3), range(3) if first.in2 else (0,), range(lowest, 3), range(3))
    for out, in1, in2, out2, other in every:
        if other == out:  # the second reads the first's result once
            continue
        if first.alias == "temp" and (in2 == out or (second.out == "v" and out2 == in2)):
            continue
        inputs = (out, other) if link == 1 else (other, out)
        yield Instruction(first.id, out, in1, in2), Instruction(second.id, out2, *inputs)


@pytest.mark.parametrize("number", range(len(FUSED)), ids=lambda n: "-".join(str(part) for part in FUSED[n]))
def test_a_fused_pair_is_the_two_operators_bit_for_bit(number: int, kernel: Kernel) -> None:
    first, second, link = FUSED[number]
    fused, apart = Machine(kernel), Machine(kernel)
    rng = np.random.default_rng(number)
    pairs = list(fused_choices(OPERATORS[first], OPERATORS[second], link))
    assert len(pairs) >= 12
    tried = set()
    for a, b in pairs:
        for bits in (0, 1) if OPERATORS[first].in1 == "s" and a.in1 == 2 else (0,):
            fused.fill(rng, special=rng.choice([0.0, 0.2]), spread=rng.choice([1.0, 3.0]))
            apart.memory[:] = fused.memory
            apart.example[:] = fused.example
            start = fused.memory.copy()
            carry, last = Record(COPY_ACC & ~3, *[fused.offset("s", 2)] * 3), Record(COPY_ACC, fused.offset("s", 5))
            record_a, record_b = fused.record(a, bits), fused.record(b)
            apart.run([carry, record_a, record_b, last])
            for keep in (False, True):
                if keep and (a.out, OPERATORS[first].out) == (b.out, OPERATORS[second].out):
                    continue
                tried.add((bits, keep))
                fused.memory[:] = start
                place = FUSED_BASE + 4 * number + 2 * keep + bits
                follower = Record(CONTROL_ID["stop"], record_b.out, record_b.in1, record_b.in2)
                fused.run([carry, Record(place, record_a.out, record_a.in1, record_a.in2), follower, last])
                if not keep:
                    # The first's result is not stored: what was there stays, unless the second writes there.
                    slot = fused.all(OPERATORS[first].out)[a.out]
                    if (a.out, OPERATORS[first].out) != (b.out, OPERATORS[second].out):
                        untouched = start[kernel.header.size // 4 :][: fused.memory.size]
                        where = (fused.offset(OPERATORS[first].out, a.out) - kernel.header.size) // 4
                        assert same_bits(slot.reshape(-1), untouched[where : where + slot.size]), (a, b)
                        slot[...] = apart.all(OPERATORS[first].out)[a.out]
                assert same_bits(fused.snapshot(), apart.snapshot()), f"{a}; {b} bits={bits} keep={keep}"
    assert {keep for _, keep in tried} == {False, True}
    assert {bits for bits, _ in tried} == ({0, 1} if OPERATORS[first].in1 == "s" else {0})


def test_no_random_operator_is_fused() -> None:
    assert not any(IS_RANDOM[first] or IS_RANDOM[second] for first, second, _ in FUSED)
