"""The kernel's control functions: what happens after Predict, after Learn and at the end.

They sit in the chain of tail calls like operators, so the loop over examples never leaves it:

    [setup ... stop] [predict ... train|valid] [learn ... next]

`train` judges the prediction, marks lanes that failed, reveals the label and falls through to Learn;
`next` moves on to the next example and jumps back to Predict; `valid` accumulates the loss and jumps back
itself. `probe` variants also hash the errors (functional equivalence).
An example is F vectors of features, then its label: one vector, or F one-hot vectors for classes.
"""

from __future__ import annotations

from selftaught.programs import elementary
from selftaught.programs.llvm_text import Function
from selftaught.programs.machine import ARGUMENTS, Header, OperatorFunction

__all__ = ["CONTROL", "emit_control", "emit_enter"]

#: Names of the control functions, in table order. `_1` reads the prediction from `acc`.
CONTROL: tuple[str, ...] = (
    "stop",
    "next",
    "copy_vector",
    "copy_matrix",
    *(
        f"{phase}_{kind}{probe}_{bits}"
        for kind in ("rmse", "binary")
        for phase in ("train", "valid")
        for probe in ("", "_probe")
        for bits in (0, 1)
    ),
    *(f"{phase}_classes{probe}_0" for phase in ("train", "valid") for probe in ("", "_probe")),
    "valid_entropy_0",
    "valid_entropy_probe_0",
)


class _Control(OperatorFunction):
    def __init__(self, name: str, features: int, lanes: int, bits: int = 0) -> None:
        super().__init__(name, features, lanes, bits)
        self.header = Header(lanes)
        self.label_offset = features * self.bytes

    def field(self, offset: int, kind: str) -> str:
        return self.load(self.at("%mem", offset), kind)

    def splat_field(self, offset: int) -> str:
        return self.broadcast(self.field(offset, "i32"), "i32")

    def stop(self) -> None:
        """Remember where the pass ended and return to the caller."""
        self.line(f"store ptr %order, ptr {self.at('%mem', self.header.stopped_at)}")
        self.line("ret void")

    def advance(self, acc: str) -> None:
        """Go to the next example's Predict, or stop at the end of the list (a negative offset)."""
        following = self.at("%order", 8)
        offset = self.load(following, "i64")
        more = self.new(f"icmp sge i64 {offset}, 0")
        onward, done = self.label("onward"), self.label("done")
        self.line(f"br i1 {more}, label %{onward}, label %{done}")
        self.start(done)
        self.line(f"store ptr {following}, ptr {self.at('%mem', self.header.stopped_at)}")
        self.line("ret void")
        self.start(onward)
        example = self.at(self.field(self.header.data, "ptr"), offset)
        self.jump(self.field(self.header.predict, "ptr"), example, following, acc)

    def keep_alive(self, fine: str) -> tuple[str, str]:
        """Mark lanes that failed; return (alive before, alive now)."""
        address = self.at("%mem", self.header.alive)
        before = self.load(address, self.int)
        now = self.int_op("and", before, self.new(f"sext {self.bool} {fine} to {self.int}"))
        # Volatile, or LLVM makes it a masked store, which is slow and does not forward to the next load.
        self.line(f"store volatile {self.int} {now}, ptr {address}, align {self.align}")
        return before, now

    def within_limit(self, error: str) -> str:
        """Test |error| <= max_abs_error on integer bits: nan and inf fail under any flags."""
        magnitude = self.int_op("and", self.bits(error), self.splat_int(0x7FFFFFFF))
        return self.new(f"icmp sle {self.int} {magnitude}, {self.splat_field(self.header.max_error)}")

    def stop_when_all_failed(self, alive: str) -> None:
        living = self.new(f"icmp slt {self.int} {alive}, {self.splat_int(0)}")
        packed = self.new(f"bitcast {self.bool} {living} to i{self.lanes}")
        none = self.new(f"icmp eq i{self.lanes} {packed}, 0")
        done, onward = self.label("failed"), self.label("alive")
        self.line(f"br i1 {none}, label %{done}, label %{onward}")
        self.start(done)
        self.stop()
        self.start(onward)

    def add_loss(self, term: str) -> None:
        address = self.at("%mem", self.header.loss)
        self.store(self.add(self.load(address), term), address)

    def hash_error(self, error: str, alive: str) -> None:
        """Mix |error|, its mantissa rounded to 12 bits, into the lanes' two hashes."""
        bits = self.int_op("and", self.bits(error), self.splat_int(0x7FFFFFFF))
        rounded = self.int_op("and", self.int_op("add", bits, self.splat_int(1024)), self.splat_int(~2047))
        value = self.int_op("and", rounded, alive)
        for field, factor, shift in ((self.header.hash1, 0x9E3779B1, 15), (self.header.hash2, 0x85EBCA6B, 13)):
            address = self.at("%mem", field)
            mixed = self.int_op("xor", self.load(address, self.int), value)
            mixed = self.int_op("mul", mixed, self.splat_int(factor))
            mixed = self.int_op("xor", mixed, self.int_op("lshr", mixed, self.splat_int(shift)))
            self.store(mixed, address, self.int)

    def softmax(self) -> tuple[str, str]:
        """Turn the first K scores into probabilities, the rest into zeros; return (address, all finite)."""
        scores, count = self.base(1, "m"), self.field(self.header.num_classes, "i32")
        lowest = self.splat(float("-inf"))
        top = self.over_classes(count, [lowest], lambda o, c: [self.larger(self.load(self.at(scores, o)), c[0])])[0]

        def raise_one(offset: str, carried: list[str]) -> list[str]:
            place = self.at(scores, offset)
            value = elementary.exp(self, self.sub(self.load(place), top))
            self.store(value, place)
            return [self.add(carried[0], value)]

        total = self.over_classes(count, [self.splat(0.0)], raise_one)[0]

        def divide(offset: str, carried: list[str]) -> list[str]:
            place = self.at(scores, offset)
            value = self.div(self.load(place), total)
            self.store(value, place)
            return [self.add(carried[0], value)]

        # One nan or inf anywhere makes the sum of the quotients a nan.
        checked = self.over_classes(count, [self.splat(0.0)], divide)[0]
        self.over_rest(count, lambda o: self.store(self.splat(0.0), self.at(scores, o)))
        magnitude = self.int_op("and", self.bits(checked), self.splat_int(0x7FFFFFFF))
        fine = self.new(f"icmp slt {self.int} {magnitude}, {self.splat_int(0x7F800000)}")
        return scores, fine

    def larger(self, a: str, b: str) -> str:
        return self.select(self.compare("ogt", a, b), a, b)

    def over_classes(self, count: str, carried: list[str], body) -> list[str]:  # type: ignore[no-untyped-def]
        return self._class_loop("0", count, carried, body)

    def over_rest(self, count: str, body) -> None:  # type: ignore[no-untyped-def]
        def run(offset: str, carried: list[str]) -> list[str]:
            body(offset)
            return carried

        self._class_loop(count, str(self.features), [], run)

    def _class_loop(self, first: str, end: str, carried: list[str], body) -> list[str]:  # type: ignore[no-untyped-def]
        """Run body for class numbers first .. end-1 known at run time only."""
        head, inside, done, before = self.label("head"), self.label("class"), self.label("done"), self.block
        self.line(f"br label %{head}")
        self.start(head)
        phi_at = len(self._lines)
        index = self.new("phi i32")
        values = [self.new(f"phi {self.float}") for _ in carried]
        more = self.new(f"icmp slt i32 {index}, {end}")
        self.line(f"br i1 {more}, label %{inside}, label %{done}")
        self.start(inside)
        wide = self.new(f"sext i32 {index} to i64")
        result = body(self.new(f"mul i64 {wide}, {self.bytes}"), values)
        following = self.new(f"add i32 {index}, 1")
        last = self.block
        self.line(f"br label %{head}")
        self._lines[phi_at] += f" [ {first}, %{before} ], [ {following}, %{last} ]"
        for number, (start, value) in enumerate(zip(carried, result, strict=True)):
            self._lines[phi_at + 1 + number] += f" [ {start}, %{before} ], [ {value}, %{last} ]"
        self.start(done)
        return values


def _label(f: _Control) -> str:
    return f.at("%x", f.label_offset)


def _scalar_judge(f: _Control, phase: str, kind: str, probe: bool) -> None:
    prediction = f.scalar(1)
    label = f.load(_label(f))
    if kind == "binary":
        # p = 1 / (1 + exp(-s1)), written back to s1 in training and in validation.
        minus = f.sub(f.splat(-0.0), prediction)
        prediction = f.div(f.splat(1.0), f.add(f.splat(1.0), elementary.exp(f, minus)))
        f.store(prediction, f.at("%mem", f.offset(1)))
    error = f.sub(label, prediction)
    before, now = f.keep_alive(f.within_limit(error))
    if probe:
        f.hash_error(error, before)
    if phase == "train":
        f.stop_when_all_failed(now)
        f.store(label, f.at("%mem", f.offset(0)))
        f.finish(prediction)
        return
    if kind == "binary":
        half = f.splat(0.5)
        truth, guess = f.compare("ogt", label, half), f.compare("ogt", prediction, half)
        wrong = f.new(f"xor {f.bool} {truth}, {guess}")
        f.add_loss(f.new(f"uitofp {f.bool} {wrong} to {f.float}"))
    else:
        f.add_loss(f.mul(error, error))
    f.advance(prediction)


def _class_judge(f: _Control, phase: str, kind: str, probe: bool) -> None:
    scores, fine = f.softmax()
    labels, count = _label(f), f.field(f.header.num_classes, "i32")
    before, now = f.keep_alive(fine)

    def look(offset: str, carried: list[str]) -> list[str]:
        best, hit, likelihood = carried
        value, truth = f.load(f.at(scores, offset)), f.load(f.at(labels, offset))
        better = f.compare("ogt", value, best)
        return [f.select(better, value, best), f.select(better, truth, hit), f.add(likelihood, f.mul(truth, value))]

    if phase == "valid" or probe:
        first = [f.splat(float("-inf")), f.splat(0.0), f.splat(0.0)]
        _, hit, likelihood = f.over_classes(count, first, look)
        if probe:
            f.hash_error(f.sub(f.splat(1.0), likelihood), before)
        if phase == "valid":
            if kind == "classes":
                f.add_loss(f.sub(f.splat(1.0), hit))
            else:
                floor = f.splat(1e-7)
                kept = f.select(f.compare("ogt", likelihood, floor), likelihood, floor)
                f.add_loss(f.sub(f.splat(-0.0), elementary.log(f, kept)))
            f.advance("%acc")
            return
    f.stop_when_all_failed(now)
    f.finish()


def emit_control(name: str, features: int, lanes: int) -> str:
    """Return the text of one control function."""
    parts = name.split("_")
    bits = int(parts[-1]) if parts[-1].isdigit() else 0
    f = _Control(name, features, lanes, bits)
    if name == "stop":
        f.stop()
    elif name == "next":
        f.advance("%acc")
    elif parts[0] == "copy":
        count = features if name == "copy_vector" else features * features
        source, target = f.base(1, "m"), f.base(0, "m")

        def move(offsets: list[int | str], _: int, carried: list[str]) -> list[str]:
            f.store(f.load(f.at(source, offsets[0])), f.at(target, offsets[0]))
            return carried

        f.loop(count, (f.bytes,), [], move)
        f.finish()
    elif parts[1] in ("rmse", "binary"):
        _scalar_judge(f, parts[0], parts[1], "probe" in parts)
    else:
        _class_judge(f, parts[0], parts[1], "probe" in parts)
    return f.text()


def emit_enter(lanes: int) -> str:
    """Return `enter(ip, mem, x, order)`: the way in from outside the chain."""
    f = Function("enter", "ptr %ip, ptr %mem, ptr %x, ptr %order", lanes)
    arguments = ARGUMENTS.format(v=f.float).replace("%acc", "zeroinitializer")
    target = f.load("%ip", "ptr")
    f.line(f"call void {target}({arguments})")
    f.line("ret void")
    return f.text()
