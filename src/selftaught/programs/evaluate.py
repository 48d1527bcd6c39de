"""Score programs on a task set with the lane kernel: train, validate, combine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError, ProgramError
from selftaught.programs.encode import EXTRA_RECORDS, encode
from selftaught.programs.jit import (
    call_enter,
    compiled,
    copy_bytes,
    peek32,
    peek64,
    peek_float,
    poke32,
    poke64,
    zero_bytes,
)
from selftaught.programs.kernel import CONTROL_ID, Kernel, load_kernel
from selftaught.programs.layout import (
    ALIVE_LANES,
    BEST,
    BLOCKS,
    ENTER,
    EPOCHS,
    F_ALIVE,
    F_CLASSES,
    F_DATA,
    F_HASH1,
    F_HASH2,
    F_LOSS,
    F_MAX_ERROR,
    F_PREDICT,
    F_RNG,
    F_STOPPED,
    FEATURES,
    HEADER_BYTES,
    HURDLE_ORDERS,
    HURDLE_TRAIN,
    JUDGES,
    KEPT,
    LANES,
    LOSSES,
    MAX_ERROR,
    MEDIAN,
    MEMORY,
    METRIC,
    NUM_CLASSES,
    NUM_TRAIN,
    NUM_VALID,
    ORDERS,
    PAD_SIZE,
    PROBE_ORDERS,
    RECORDS,
    SAVED,
    SEEDS,
    STARTS,
    TABLE,
    TASKS,
    TRAIN,
    TRAIN_STRIDE,
    VALID,
    VALID_ORDER,
    VALID_PASSES,
    VALID_STRIDE,
    WORK_SIZE,
)  # fmt: skip
from selftaught.programs.liveness import AFTER, BINARY, CLASSES, REGRESSION, compact, find_live, mix
from selftaught.programs.machine_code import has_wide_registers
from selftaught.programs.operators import OUT_TYPE
from selftaught.programs.program import Program
from selftaught.programs.tasksets import VALIDATION_BLOCK, TaskSet, aligned

__all__ = ["MAX_INSTRUCTIONS", "Evaluator", "Scratch", "best_lanes", "kind_of", "shape_of"]

MAX_INSTRUCTIONS = 10_000
HURDLE_FRACTION = 0.2  # training examples of the first stage, when hurdles are on
PROBE = 10  # examples of training and of validation that the fingerprint looks at


@compiled
def _begin(work, block, needed):
    """Zero a block's memory and fill in its header."""
    memory, lanes = work[MEMORY], work[LANES]
    zero_bytes(memory, needed)
    poke32(memory + work[F_MAX_ERROR], np.int32(work[MAX_ERROR]))
    poke32(memory + work[F_CLASSES], np.int32(work[NUM_CLASSES]))
    copy_bytes(memory + work[F_ALIVE], work[ALIVE_LANES] + block * 4 * lanes, 4 * lanes)
    copy_bytes(memory + work[F_RNG], work[SEEDS] + block * 4 * lanes, 4 * lanes)


@compiled
def _setup(work, pad):
    """Run Setup, if it has any instruction."""
    if pad[STARTS + 1] > 1:
        call_enter(work[ENTER], work[RECORDS], work[MEMORY], work[TRAIN], work[ORDERS])


@compiled
def _pass(work, pad, judge, data, order):
    """Run Predict, the judge and (in training) Learn over the examples of one list."""
    memory = work[MEMORY]
    predict = work[RECORDS] + pad[STARTS + 1] * 32
    poke64(work[RECORDS] + pad[STARTS + 2] * 32, work[JUDGES + 2 * judge + pad[STARTS + 4]])
    poke64(memory + work[F_DATA], data)
    poke64(memory + work[F_PREDICT], predict)
    call_enter(work[ENTER], predict, memory, data + peek64(order), order)


@compiled
def evaluate_block(work, pad, block, needed):
    """Train and validate the encoded program on one block of tasks; return the train steps taken.

    The lanes' best fitness over the epochs is left at work[BEST] (float64 a lane).
    """
    lanes = work[LANES]
    memory = work[MEMORY]
    alive, loss = memory + work[F_ALIVE], memory + work[F_LOSS]
    slots = memory + work[HEADER_BYTES]
    held = needed - work[HEADER_BYTES]
    zero_bytes(work[BEST], 8 * lanes)
    _begin(work, block, needed)
    _setup(work, pad)
    train = work[TRAIN] + block * work[TRAIN_STRIDE]
    valid = work[VALID] + block * work[VALID_STRIDE]
    steps = np.int64(0)
    for epoch in range(work[EPOCHS]):
        order = work[ORDERS] + epoch * 8 * (work[NUM_TRAIN] + 1)
        _pass(work, pad, 0, train, order)
        steps += (peek64(memory + work[F_STOPPED]) - order) // 8
        living = False
        for lane in range(lanes):
            living |= peek32(alive + 4 * lane) != 0
        if not living:
            break
        again = epoch + 1 < work[EPOCHS]
        if again:
            copy_bytes(work[SAVED], slots, held)
            copy_bytes(work[KEPT], alive, 4 * lanes)
        zero_bytes(work[LOSSES], 8 * lanes)
        order = work[VALID_ORDER]
        left = work[NUM_VALID]
        for _ in range(work[VALID_PASSES]):
            zero_bytes(loss, 4 * lanes)
            _pass(work, pad, 1, valid, order)
            for lane in range(lanes):
                place = work[LOSSES] + 8 * lane
                total = np.int64(peek64(place)).view(np.float64) + np.float64(peek_float(loss + 4 * lane))
                poke64(place, np.float64(total).view(np.int64))
            taken = min(left, VALIDATION_BLOCK)
            order += 8 * (taken + 1)
            left -= taken
        for lane in range(lanes):
            if peek32(alive + 4 * lane) != 0:
                mean = np.int64(peek64(work[LOSSES] + 8 * lane)).view(np.float64) / work[NUM_VALID]
                if work[METRIC] == 0:
                    score = 1.0 - 2.0 / math.pi * math.atan(math.sqrt(mean))
                elif work[METRIC] == 1:
                    score = 1.0 - mean
                else:
                    score = 1.0 - 2.0 / math.pi * math.atan(mean)
                place = work[BEST] + 8 * lane
                if score > np.int64(peek64(place)).view(np.float64):
                    poke64(place, np.float64(score).view(np.int64))
        if again:
            copy_bytes(slots, work[SAVED], held)
            copy_bytes(alive, work[KEPT], 4 * lanes)
    return steps


@compiled
def evaluate_live(work, code, sizes, shape, marks, pad, out):
    """Score a program in live form; fill `out` (D,) with the tasks' fitness; return (combined, train steps)."""
    needed = encode(work, code, sizes, shape, marks, pad)
    lanes, tasks = work[LANES], work[TASKS]
    steps = np.int64(0)
    total = 0.0
    for block in range(work[BLOCKS]):
        steps += evaluate_block(work, pad, block, needed)
        for lane in range(min(lanes, tasks - block * lanes)):
            value = np.int64(peek64(work[BEST] + 8 * lane)).view(np.float64)
            out[block * lanes + lane] = value
            total += value
    if work[MEDIAN]:
        return _median(out, tasks), steps * lanes
    return total / tasks, steps * lanes


@compiled
def _median(values, count):
    """Return the ordinary median of the first `count` values (insertion sort of a copy: there are few)."""
    held = np.empty(count)
    for i in range(count):
        value = values[i]
        j = i
        while j > 0 and held[j - 1] > value:
            held[j] = held[j - 1]
            j -= 1
        held[j] = value
    return 0.5 * (held[(count - 1) // 2] + held[count // 2])


@compiled
def fingerprint(work, code, sizes, shape, marks, pad):
    """Return two 64-bit hashes of how a live program errs on the first examples, rounded to 12 bits.

    Predicts and learns on 10 training examples, then predicts 10 validation examples, as Real et al.
    (arXiv 2003.03384, section 3.2) do to recognise functionally equivalent programs.
    """
    needed = encode(work, code, sizes, shape, marks, pad)
    low, high = np.uint64(1), np.uint64(2)
    for block in range(work[BLOCKS]):
        _begin(work, block, needed)
        _setup(work, pad)
        _pass(work, pad, 2, work[TRAIN] + block * work[TRAIN_STRIDE], work[PROBE_ORDERS])
        _pass(work, pad, 3, work[VALID] + block * work[VALID_STRIDE], work[PROBE_ORDERS] + 8 * (PROBE + 1))
        for lane in range(work[LANES]):
            a = np.uint64(np.uint32(peek32(work[MEMORY] + work[F_HASH1] + 4 * lane)))
            b = np.uint64(np.uint32(peek32(work[MEMORY] + work[F_HASH2] + 4 * lane)))
            low = mix(low, a | b << np.uint64(32))
            high = mix(high, b | a << np.uint64(32))
    return low, high


@compiled
def evaluate_batch(work, codes, sizes, shape, marks, pad, only_live, out, combined):
    """Score a batch of programs: codes (n, m, 4), sizes (n, 3); dead instructions run too unless `only_live`."""
    steps = np.int64(0)
    for i in range(codes.shape[0]):
        code, size = codes[i], sizes[i]
        if only_live:
            total = size[0] + size[1] + size[2]
            count = find_live(code, size, shape, marks)
            while count < total:
                compact(code, size, marks)
                total = count
                count = find_live(code, size, shape, marks)
        else:
            for j in range(marks.shape[1]):
                marks[AFTER, j] = ~np.uint64(0)
        combined[i], taken = evaluate_live(work, code, size, shape, marks, pad, out[i])
        steps += taken
    return steps


@dataclass(frozen=True, eq=False)
class Scratch:
    """Working memory of one thread: the sizes and addresses compiled code reads, and what they point into."""

    work: NDArray[np.int64]
    marks: NDArray[np.uint64]
    pad: NDArray[np.int64]
    arrays: tuple[Any, ...]


def kind_of(tasks: TaskSet) -> int:
    """Return the kind of prediction a task set wants: 0 regression, 1 binary, 2 several classes."""
    if tasks.num_classes:
        return CLASSES
    return REGRESSION if tasks.metric == "rmse" else BINARY


def shape_of(slots: Sequence[int], tasks: TaskSet) -> NDArray[np.int64]:
    """Return the `shape` array of `liveness` for slot counts and a task set."""
    return np.array([*slots, kind_of(tasks), 0, 0], np.int64)


def best_lanes(tasks: TaskSet) -> int:
    """Choose the lanes of a kernel: 8 for up to 8 tasks, 32 for many small ones, else 16.

    32 lanes need 512-bit registers to pay: with 256 bits two blocks of 16 were 1.6 times as fast.
    """
    if tasks.count <= 8:
        return 8
    return 32 if tasks.count % 32 == 0 and tasks.features <= 8 and has_wide_registers() else 16


class Evaluator:
    """Scores programs on one task set.

    Args:
        tasks: the task set.
        slots: scalars, vectors, matrices of the programs; None takes each program's own.
        lanes: tasks run at once; None chooses.
        max_abs_error: a lane stops when an error is larger (or not a number).
        combine: "mean" or "median" over the tasks.
        kernel: a kernel loaded for another processor, for tests.

    >>> from selftaught.programs import builtin_tasks, linear_learner
    >>> tasks = builtin_tasks("linear_regression", count=16, features=4, num_train=1000, num_valid=100)
    >>> bool(Evaluator(tasks).score(linear_learner(0.05)).mean() > 0.99)
    True
    """

    def __init__(
        self,
        tasks: TaskSet,
        slots: Sequence[int] | None = None,
        *,
        lanes: int | None = None,
        max_abs_error: float = 100.0,
        combine: Literal["mean", "median"] = "mean",
        kernel: Kernel | None = None,
        quiet: bool = True,
    ) -> None:
        if not max_abs_error > 0:
            raise InputError(f"max_abs_error must be above 0, got {max_abs_error}")
        self.tasks = tasks
        self.slots = tuple(slots) if slots is not None else None
        self.kernel = kernel or load_kernel(tasks.features, lanes or best_lanes(tasks), quiet=quiet)
        self.lanes = self.kernel.lanes
        packed = tasks.packed(self.lanes)
        self._packed = packed
        kind = kind_of(tasks)
        metric = {"rmse": 0, "accuracy": 1, "cross_entropy": 2}[tasks.metric]
        header = self.kernel.header
        judges = np.zeros((4, 2), np.int64)
        train = ("rmse", "binary", "classes")[kind]
        valid = "entropy" if kind == CLASSES and metric == 2 else train
        for row, name in enumerate(
            (f"train_{train}", f"valid_{valid}", f"train_{train}_probe", f"valid_{valid}_probe")
        ):
            for bits in (0, 1):
                judges[row, bits] = self.kernel.table[CONTROL_ID[f"{name}_{0 if kind == CLASSES else bits}"]]
        probe = np.full((2, PROBE + 1), -1, np.int64)
        for row, source in enumerate((packed.orders[0, :-1], packed.valid_order[:-1])):
            first = source[:PROBE]
            probe[row, : len(first)] = first
        rows = packed.orders.shape[1] - 1
        stage = max(1, round(HURDLE_FRACTION * rows))
        hurdle = np.concatenate([packed.orders[0, :stage], [-1]])
        self._arrays = (judges, probe, hurdle)
        work = np.zeros(WORK_SIZE, np.int64)
        work[TABLE], work[ENTER] = self.kernel.table.ctypes.data, self.kernel.enter
        work[FEATURES], work[LANES], work[HEADER_BYTES] = tasks.features, self.lanes, header.size
        work[EPOCHS], work[TASKS], work[MEDIAN], work[METRIC] = (
            tasks.num_epochs,
            tasks.count,
            combine == "median",
            metric,
        )
        work[BLOCKS], work[NUM_TRAIN] = packed.train.shape[:2]
        work[HURDLE_TRAIN] = stage
        work[NUM_VALID] = packed.valid.shape[1]
        work[VALID_PASSES] = int((packed.valid_order < 0).sum())
        work[MAX_ERROR], work[NUM_CLASSES] = np.float32(max_abs_error).view(np.int32), tasks.num_classes
        for place, array in (
            (TRAIN, packed.train), (VALID, packed.valid), (SEEDS, packed.seeds), (ALIVE_LANES, packed.alive),
            (ORDERS, packed.orders), (VALID_ORDER, packed.valid_order), (PROBE_ORDERS, probe),
            (HURDLE_ORDERS, hurdle),
        ):  # fmt: skip
            work[place] = array.ctypes.data
        work[TRAIN_STRIDE], work[VALID_STRIDE] = packed.train.strides[0], packed.valid.strides[0]
        work[F_DATA : F_RNG + 1] = (
            header.data, header.predict, header.stopped_at, header.max_error, header.num_classes, header.alive,
            header.loss, header.hash1, header.hash2, header.rng,
        )  # fmt: skip
        work[JUDGES:] = judges.ravel()
        self._work = work

    def scratch(self, slots: Sequence[int], instructions: int) -> Scratch:
        """Return working memory for programs of these slot counts and at most so many instructions.

        One a thread: two threads must not share it.
        """
        scalars, vectors, matrices = slots
        features, lanes = self.tasks.features, self.lanes
        cells = (scalars + 2) + (vectors + 2) * features + (matrices + 2) * features**2
        memory = aligned((self.kernel.header.size // 4 + cells * lanes,))
        saved = np.zeros_like(memory)
        records = aligned((2 * instructions + EXTRA_RECORDS, 8), np.int32)
        lane_values = np.zeros((3, lanes), np.float64)
        work = self._work.copy()
        work[MEMORY], work[SAVED], work[RECORDS] = memory.ctypes.data, saved.ctypes.data, records.ctypes.data
        work[BEST], work[LOSSES], work[KEPT] = (row.ctypes.data for row in lane_values)
        return Scratch(
            work=work, marks=np.zeros((2, instructions + 1), np.uint64), pad=np.zeros(PAD_SIZE, np.int64),
            arrays=(memory, saved, records, lane_values, self),
        )  # fmt: skip

    def score(self, program: Program, *, live: bool = True) -> NDArray[np.float64]:
        """Return the fitness (D,) of one program on every task, in [0, 1]."""
        return self.score_many([program], live=live)[0]

    def score_many(self, programs: Sequence[Program], *, live: bool = True) -> NDArray[np.float64]:
        """Return the fitness (n, D) of programs on every task; `live=False` runs dead instructions too."""
        longest = max((len(p) for p in programs), default=0)
        if longest > MAX_INSTRUCTIONS:
            raise InputError(f"a program may have at most {MAX_INSTRUCTIONS} instructions, got {longest}")
        if not programs:
            return np.zeros((0, self.tasks.count))
        needed = tuple(int(max(s)) for s in zip(*(tuple(p.slots()) for p in programs), strict=True))
        if self.tasks.num_classes:
            needed = (needed[0], max(needed[1], 3), needed[2])
            if any(OUT_TYPE[i.op] == 2 and i.out == 1 for p in programs for _, part in p.functions() for i in part):
                raise ProgramError(
                    "v1 holds the one-hot label of a task of several classes and cannot be written; use v2"
                )
        slots = self.slots or needed
        for name, have, want in zip(("scalars", "vectors", "matrices"), slots, needed, strict=True):
            if want > have:
                raise ProgramError(f"a program needs {want} {name}, but these tasks are scored with {have}; give more")
        codes = np.zeros((len(programs), max(longest, 1), 4), np.int32)
        sizes = np.zeros((len(programs), 3), np.int64)
        for number, program in enumerate(programs):
            code, size = program.encode()
            codes[number, : len(code)] = code
            sizes[number] = size
        return self.score_codes(codes, sizes, slots, live=live)

    def score_codes(
        self, codes: NDArray[np.int32], sizes: NDArray[np.int64], slots: Sequence[int], *, live: bool = True
    ) -> NDArray[np.float64]:
        """Return the fitness (n, D) of encoded programs, codes (n, m, 4) and sizes (n, 3)."""
        out = np.zeros((len(codes), self.tasks.count))
        scratch = self.scratch(slots, codes.shape[1] + 1)
        shape, means = shape_of(slots, self.tasks), np.zeros(len(codes))
        evaluate_batch(
            scratch.work, codes.copy(), sizes.copy(), shape, scratch.marks, scratch.pad, live, out, means
        )  # fmt: skip
        return out
