"""Score programs on a task set with the lane kernel: train, validate, combine."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError
from selftaught.programs.encode import EXTRA_RECORDS, encode
from selftaught.programs.jit import call_enter, compiled
from selftaught.programs.kernel import CONTROL_ID, Kernel, load_kernel
from selftaught.programs.liveness import BINARY, CLASSES, REGRESSION, compact, find_live, mix
from selftaught.programs.program import Program
from selftaught.programs.tasksets import TaskSet, aligned

__all__ = ["MAX_INSTRUCTIONS", "Evaluator", "Scratch", "Work", "best_lanes", "kind_of", "shape_of"]

MAX_INSTRUCTIONS = 10_000
PROBE = 10  # examples of training and of validation that the fingerprint looks at

#: What the compiled evaluation reads: addresses, sizes and the task set's arrays.
Work = namedtuple(
    "Work", "table enter fields dims limits train valid seeds alive orders valid_order judges probe_orders"
)
#: What it writes on; one a thread.
Scratch = namedtuple(
    "Scratch", "memory memory32 memory64 saved records records64 offsets starts live after names best counters sources"
)

# dims: features, lanes, header bytes, epochs, tasks, combine (0 mean, 1 median)
# limits: max_abs_error bits, number of classes
# fields: header offsets data, predict, stopped_at, max_error, num_classes, alive, loss, hash1, hash2, rng
# judges: [train | valid | train probe | valid probe] x [from memory | from acc]: addresses


@compiled
def _begin(work, scratch, block, needed):  # type: ignore[no-untyped-def]
    """Zero a block's memory and fill in its header."""
    lanes = work.dims[1]
    scratch.memory[: needed // 4] = np.float32(0.0)
    fields = work.fields
    scratch.memory32[fields[3] // 4] = work.limits[0]
    scratch.memory32[fields[4] // 4] = work.limits[1]
    for lane in range(lanes):
        scratch.memory32[fields[5] // 4 + lane] = work.alive[block, lane]
        scratch.memory32[fields[9] // 4 + lane] = np.int32(work.seeds[block, lane])


@compiled
def _pass(work, scratch, judge, data, order):  # type: ignore[no-untyped-def]
    """Run Predict (and Learn) over the examples of one list; return where the list was left."""
    starts, fields = scratch.starts, work.fields
    scratch.records64[starts[2], 0] = work.judges[judge, starts[4]]
    base = scratch.records.ctypes.data
    scratch.memory64[fields[0] // 8] = data
    scratch.memory64[fields[1] // 8] = base + starts[1] * 32
    return base + starts[1] * 32


@compiled
def evaluate_block(work, scratch, block, needed):  # type: ignore[no-untyped-def]
    """Train and validate the encoded program on one block of tasks; fill `scratch.best`; return the train steps."""
    lanes, epochs = work.dims[1], work.dims[3]
    fields = work.fields
    memory = scratch.memory
    memory_at = memory.ctypes.data
    records_at = scratch.records.ctypes.data
    header = work.dims[2] // 4
    used = needed // 4
    alive_at, loss_at = fields[5] // 4, fields[6] // 4
    best = scratch.best
    best[:] = 0.0
    _begin(work, scratch, block, needed)
    train_at = work.train[block].ctypes.data
    valid_at = work.valid[block].ctypes.data
    if scratch.starts[1] > 1:
        call_enter(work.enter, records_at, memory_at, train_at, work.orders.ctypes.data)
    num_valid = work.valid.shape[1]
    steps = np.int64(0)
    kept = np.empty(lanes, np.int32)
    losses = np.empty(lanes, np.float64)
    for epoch in range(epochs):
        order_at = work.orders[epoch].ctypes.data
        ip = _pass(work, scratch, 0, train_at, order_at)
        call_enter(work.enter, ip, memory_at, train_at + work.orders[epoch, 0], order_at)
        steps += (scratch.memory64[fields[2] // 8] - order_at) // 8
        living = 0
        for lane in range(lanes):
            kept[lane] = scratch.memory32[alive_at + lane]
            living += kept[lane] != 0
            losses[lane] = 0.0
        if living == 0:
            break
        again = epoch + 1 < epochs
        if again:
            scratch.saved[header:used] = memory[header:used]
        at = 0
        while at < work.valid_order.shape[0]:
            for lane in range(lanes):
                memory[loss_at + lane] = np.float32(0.0)
            order_at = work.valid_order[at:].ctypes.data
            ip = _pass(work, scratch, 1, valid_at, order_at)
            call_enter(work.enter, ip, memory_at, valid_at + work.valid_order[at], order_at)
            for lane in range(lanes):
                losses[lane] += memory[loss_at + lane]
            while work.valid_order[at] >= 0:
                at += 1
            at += 1
        for lane in range(lanes):
            if scratch.memory32[alive_at + lane] != 0:
                mean = losses[lane] / num_valid
                if work.dims[6] == 0:
                    score = 1.0 - 2.0 / math.pi * math.atan(math.sqrt(mean))
                elif work.dims[6] == 1:
                    score = 1.0 - mean
                else:
                    score = 1.0 - 2.0 / math.pi * math.atan(mean)
                best[lane] = max(best[lane], score)
        if again:
            memory[header:used] = scratch.saved[header:used]
            for lane in range(lanes):
                scratch.memory32[alive_at + lane] = kept[lane]
    return steps


@compiled
def evaluate_live(work, scratch, code, sizes, shape, out):  # type: ignore[no-untyped-def]
    """Score a program in live form; fill `out` (D,) with the tasks' fitness; return (combined, train steps)."""
    needed = encode(
        code, sizes, shape, work.dims, work.table, scratch.after, scratch.records, scratch.records64,
        scratch.offsets, scratch.starts,
    )  # fmt: skip
    lanes, tasks = work.dims[1], work.dims[4]
    steps = np.int64(0)
    for block in range(work.train.shape[0]):
        steps += evaluate_block(work, scratch, block, needed)
        for lane in range(min(lanes, tasks - block * lanes)):
            out[block * lanes + lane] = scratch.best[lane]
    total = 0.0
    for task in range(tasks):
        total += out[task]
    combined = total / tasks
    if work.dims[5] == 1:
        combined = np.median(out[:tasks])
    return combined, steps * lanes


@compiled
def fingerprint(work, scratch, code, sizes, shape):  # type: ignore[no-untyped-def]
    """Return two 64-bit hashes of how a live program errs on the first examples, rounded to 12 bits.

    Predicts and learns on 10 training examples, then predicts 10 validation examples, as Real et al.
    (arXiv 2003.03384, section 3.2) do to recognise functionally equivalent programs.
    """
    needed = encode(
        code, sizes, shape, work.dims, work.table, scratch.after, scratch.records, scratch.records64,
        scratch.offsets, scratch.starts,
    )  # fmt: skip
    lanes, fields = work.dims[1], work.fields
    memory_at = scratch.memory.ctypes.data
    low, high = np.uint64(1), np.uint64(2)
    for block in range(work.train.shape[0]):
        _begin(work, scratch, block, needed)
        train_at, valid_at = work.train[block].ctypes.data, work.valid[block].ctypes.data
        if scratch.starts[1] > 1:
            call_enter(work.enter, scratch.records.ctypes.data, memory_at, train_at, work.orders.ctypes.data)
        order_at = work.probe_orders[0].ctypes.data
        ip = _pass(work, scratch, 2, train_at, order_at)
        call_enter(work.enter, ip, memory_at, train_at + work.probe_orders[0, 0], order_at)
        order_at = work.probe_orders[1].ctypes.data
        ip = _pass(work, scratch, 3, valid_at, order_at)
        call_enter(work.enter, ip, memory_at, valid_at + work.probe_orders[1, 0], order_at)
        for lane in range(lanes):
            a = np.uint64(np.uint32(scratch.memory32[fields[7] // 4 + lane]))
            b = np.uint64(np.uint32(scratch.memory32[fields[8] // 4 + lane]))
            low = mix(low, a | b << np.uint64(32))
            high = mix(high, b | a << np.uint64(32))
    return low, high


@compiled
def evaluate_batch(work, scratch, codes, sizes, shape, only_live, out, combined):  # type: ignore[no-untyped-def]
    """Score a batch of programs: codes (n, m, 4), sizes (n, 3); dead instructions run too unless `only_live`."""
    steps = np.int64(0)
    for i in range(codes.shape[0]):
        count = find_live(codes[i], sizes[i], shape, scratch.live, scratch.after)
        if only_live:
            compact(codes[i], sizes[i], scratch.live)
            find_live(codes[i], sizes[i], shape, scratch.live, scratch.after)
        else:
            scratch.after[:] = ~np.uint64(0)
        value, taken = evaluate_live(work, scratch, codes[i], sizes[i], shape, out[i])
        combined[i] = value
        steps += taken
        scratch.counters[0] += count
    return steps


def kind_of(tasks: TaskSet) -> int:
    """Return the kind of prediction a task set wants: 0 regression, 1 binary, 2 several classes."""
    if tasks.num_classes:
        return CLASSES
    return REGRESSION if tasks.metric == "rmse" else BINARY


def shape_of(slots: Sequence[int], tasks: TaskSet) -> NDArray[np.int64]:
    """Return the `shape` array of `liveness` for slot counts and a task set."""
    return np.array([*slots, kind_of(tasks), 0, 0], np.int64)


def best_lanes(tasks: TaskSet) -> int:
    """Choose the lanes of a kernel: 8 for up to 8 tasks, 32 for many small ones, else 16."""
    if tasks.count <= 8:
        return 8
    return 32 if tasks.count % 32 == 0 and tasks.features <= 8 else 16


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
        max_instructions: int = 256,
        quiet: bool = True,
    ) -> None:
        if not max_abs_error > 0:
            raise InputError(f"max_abs_error must be above 0, got {max_abs_error}")
        self.tasks = tasks
        self.slots = tuple(slots) if slots is not None else None
        self.kernel = kernel or load_kernel(tasks.features, lanes or best_lanes(tasks), quiet=quiet)
        self.lanes = self.kernel.lanes
        self._max_abs_error = max_abs_error
        self._combine = combine
        self._max_instructions = max_instructions
        packed = tasks.packed(self.lanes)
        self._packed = packed
        kind = kind_of(tasks)
        metric = {"rmse": 0, "accuracy": 1, "cross_entropy": 2}[tasks.metric]
        header = self.kernel.header
        judges = np.zeros((4, 2), np.int64)
        train = ("rmse", "binary", "classes")[kind]
        valid = "entropy" if kind == CLASSES and metric == 2 else train
        for row, name in enumerate((f"train_{train}", f"valid_{valid}", f"train_{train}_probe", f"valid_{valid}_probe")):
            for bits in (0, 1):
                judges[row, bits] = self.kernel.table[CONTROL_ID[f"{name}_{0 if kind == CLASSES else bits}"]]
        probe = np.full((2, PROBE + 1), -1, np.int64)
        for row, source in enumerate((packed.orders[0, :-1], packed.valid_order[:-1])):
            first = source[:PROBE]
            probe[row, : len(first)] = first
        self.work = Work(
            table=self.kernel.table,
            enter=self.kernel.enter,
            fields=np.array(
                [header.data, header.predict, header.stopped_at, header.max_error, header.num_classes, header.alive,
                 header.loss, header.hash1, header.hash2, header.rng], np.int64),
            dims=np.array(
                [tasks.features, self.lanes, header.size, tasks.num_epochs, tasks.count, int(combine == "median"),
                 metric], np.int64),
            limits=np.array([np.float32(max_abs_error).view(np.int32), tasks.num_classes], np.int32),
            train=packed.train, valid=packed.valid, seeds=packed.seeds, alive=packed.alive, orders=packed.orders,
            valid_order=packed.valid_order, judges=judges, probe_orders=probe,
        )  # fmt: skip

    def scratch(self, slots: Sequence[int], instructions: int | None = None) -> Scratch:
        """Return fresh working memory for programs of these slot counts."""
        count = instructions or self._max_instructions
        scalars, vectors, matrices = slots
        features, lanes = self.tasks.features, self.lanes
        cells = (scalars + 2) + (vectors + 2) * features + (matrices + 2) * features**2
        memory = aligned((self.kernel.header.size // 4 + cells * lanes,))
        records = aligned((2 * count + EXTRA_RECORDS, 8), np.int32)
        return Scratch(
            memory=memory, memory32=memory.view(np.int32), memory64=memory.view(np.int64),
            saved=np.zeros_like(memory), records=records, records64=records.view(np.int64),
            offsets=np.zeros(72, np.int64), starts=np.zeros(5, np.int64), live=np.zeros(count, np.uint8),
            after=np.zeros(count, np.uint64), names=np.zeros(64, np.int64), best=np.zeros(lanes, np.float64),
            counters=np.zeros(8, np.int64), sources=np.zeros(64, np.uint64),
        )  # fmt: skip

    def score(self, program: Program, *, live: bool = True) -> NDArray[np.float64]:
        """Return the fitness (D,) of one program on every task, in [0, 1]."""
        return self.score_many([program], live=live)[0]

    def score_many(self, programs: Sequence[Program], *, live: bool = True) -> NDArray[np.float64]:
        """Return the fitness (n, D) of programs on every task; `live=False` runs dead instructions too."""
        longest = max((len(p) for p in programs), default=0)
        if longest > MAX_INSTRUCTIONS:
            raise InputError(f"a program may have at most {MAX_INSTRUCTIONS} instructions, got {longest}")
        slots = self.slots or tuple(int(max(s)) for s in zip(*(tuple(p.slots()) for p in programs), strict=True))
        if self.tasks.num_classes:
            slots = (slots[0], max(slots[1], 3), slots[2])
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
        evaluate_batch(
            self.work, scratch, codes.copy(), sizes.copy(), shape_of(slots, self.tasks), live, out, np.zeros(len(codes))
        )
        return out
