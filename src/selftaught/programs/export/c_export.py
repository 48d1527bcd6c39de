"""A program as one C99 file: float, no allocation, nothing but the C library, so that it fits a microcontroller."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from selftaught.errors import InputError
from selftaught.programs.live_form import Slot, live_form, slots_read, slots_used
from selftaught.programs.operators import IS_RANDOM, OPERATORS
from selftaught.programs.program import Instruction, Program
from selftaught.programs.text import classes_of, format_constant, format_instruction, format_program

__all__ = ["CSource", "CodeSize", "to_c"]

_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")
_FLOAT_BYTES = 4
LARGEST_MEMORY = 2**31 - 1  # bytes; the file counts with int
_C_WORDS = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile
    while""".split()  # noqa: SIM905 - a list of words reads better as text
)


@dataclass(frozen=True)
class CodeSize:
    """Bytes of a compiled file.

    Args:
        text: code and constants, what goes into flash.
        data: variables with a first value; the export has none.
        bss: variables without; the export has none.
        command: how it was compiled.
    """

    text: int
    data: int
    bss: int
    command: str


@dataclass(frozen=True)
class CSource:
    """A program in C.

    Args:
        code: the file's text.
        name: first part of every name in it; `struct NAME` is the memory.
        num_features: F.
        ram_bytes: sizeof(struct NAME): all memory a learner needs, where float and uint32_t have 4 bytes.
        stack_bytes: the largest temporary array of one operator.
    """

    code: str
    name: str
    num_features: int
    ram_bytes: int
    stack_bytes: int

    def __str__(self) -> str:
        return self.code

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file and return its path."""
        place = Path(path).expanduser()
        place.write_text(self.code, encoding="utf-8")
        return place

    def measure(self, compiler: str | None = None, *, flags: Sequence[str] = ("-Os",)) -> CodeSize:
        """Compile the file and measure its code, with the tool `size` of the compiler.

        Args:
            compiler: such as "arm-none-eabi-gcc"; the machine's own C compiler when None.
            flags: beside -std=c99 -Wall -Wextra -Werror, for example the processor.

        Raises:
            InputError: there is no such compiler or no `size`, or it refuses the flags.
        """
        program = shutil.which(compiler) if compiler else _own_compiler()
        if program is None:
            raise InputError(f"no C compiler {compiler or 'cc, gcc or clang'} found; install one to measure code")
        prefix = re.sub(r"(gcc|cc|clang)(-[0-9.]+)?$", "", Path(program).name)
        size = shutil.which(f"{prefix}size") or shutil.which("size")
        if size is None:
            raise InputError("the tool 'size' was not found; it comes with the compiler's binutils")
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder) / "program.c")
            command = [program, *_FLAGS, *flags, "-c", "program.c", "-o", "program.o"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise InputError(f"{program} refused: {(done.stderr.strip() or 'no message').splitlines()[0]}")
            told = subprocess.run([size, "program.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
        text, data, bss = (int(word) for word in told.splitlines()[1].split()[:3])
        return CodeSize(text, data, bss, " ".join([Path(program).name, *command[1:-4]]))


def to_c(program: Program, *, task: str = "regression", num_features: int, name: str = "learner") -> CSource:
    """Write a program as one C99 file.

    It declares `struct NAME` and the functions `NAME_setup(m, seed)`, `NAME_predict(m, x)` and
    `NAME_learn(m, label)`; `NAME_predict` returns the prediction, the probability of the second of two classes, or
    the number of the likeliest of several (their probabilities are then in `m->v2`).

    Args:
        program: what to write; its live form is exported.
        task: "regression", "binary" (two classes) or "classes K".
        num_features: F, the length of x.
        name: first part of every name, so that several programs fit one file.

    Raises:
        InputError: `num_features` is too small, or `name` is no name in C.
        ProgramError: the task is unknown, or the program writes the label of several classes.

    >>> from selftaught.programs import linear_learner
    >>> to_c(linear_learner(0.1), num_features=4).ram_bytes
    64
    """
    classes = classes_of(task)
    if isinstance(num_features, bool) or not isinstance(num_features, int) or num_features < 1:
        raise InputError(f"num_features is a whole number of at least 1, got {num_features!r}")
    if classes > num_features:
        raise InputError(f"{classes} classes need at least {classes} features, got num_features={num_features}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in _C_WORDS:
        raise InputError(f"name is a name in C: letters, digits and _, not beginning with a digit; got {name!r}")
    live = live_form(program, task=task)
    every = [i for _, function in live.functions() for i in function]
    used = slots_used(every) | ({("v", 2)} if classes else {("s", 1)})
    random = any(IS_RANDOM[i.op] for i in every)
    bodies = {part: _body(function) for part, function in live.functions()}
    ram = sum(_size(slot[0], num_features) for slot in used) + (_FLOAT_BYTES if random else 0)
    stack = max((_temporary(i, num_features) for i in every), default=0)
    parts = [
        _comment(live, task, num_features, ram, stack, name),
        "#include <math.h>\n#include <stdint.h>\n#include <string.h>",
        f"#define F {num_features}" + (f"\n#define K {classes}" if classes else ""),
        _struct(used, name, classes, random=random),
        *([_random_functions(name)] if random else []),
        _setup(bodies["setup"], name, random=random),
        _predict(bodies["predict"], used, name, task, classes),
        _learn(bodies["learn"], live, name, classes),
        "#undef F" + ("\n#undef K" if classes else "") + ("\n#undef uniform01\n#undef gaussian_pair" if random else ""),
    ]
    if max(ram, stack) > LARGEST_MEMORY:
        raise InputError(
            f"with num_features={num_features} the program needs {max(ram, stack):,} bytes in one struct, and an int "
            f"of C counts to {LARGEST_MEMORY:,}; use fewer features"
        )
    return CSource("\n\n".join(parts) + "\n", name, num_features, ram, stack)


def _own_compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def _size(kind: str, num_features: int) -> int:
    return _FLOAT_BYTES * {"s": 1, "v": num_features, "m": num_features**2}[kind]


def _temporary(instruction: Instruction, num_features: int) -> int:
    """Bytes of an operator's array `t`, which its C text copies to the output."""
    operator = OPERATORS[instruction.op]
    return _size(operator.out, num_features) if operator.alias == "temp" else 0


def _comment(live: Program, task: str, num_features: int, ram: int, stack: int, name: str) -> str:
    label = "label: 0 or 1" if task == "binary" else "label: 0 to K - 1" if classes_of(task) else "label: the target"
    lines = [
        "A learning program found by selftaught, in C99.",
        "",
        *format_program(live, task=task).splitlines(),
        "",
        f"For {num_features} features. Memory: {ram} bytes, sizeof(struct {name}); on the stack at most {stack} bytes",
        "for one operator's temporary. No allocation; the C library's mathematics (link with -lm).",
        "",
        f"    struct {name} memory;",
        f"    {name}_setup(&memory, 1);               once; a seed that is not 0",
        f"    {name}_predict(&memory, x);             for every example",
        f"    {name}_learn(&memory, label);           after it, where the label is known ({label})",
        "",
        "Give inputs (and a target to regress) standardised: mean 0, standard deviation 1. Stop learning when",
        "an error is above 100 or not a number.",
    ]
    return "\n".join(["/*", *(f" * {line}".rstrip() for line in lines), " */"])


def _signatures(name: str, classes: int) -> dict[str, str]:
    given, answer = ("int", "int") if classes else ("float", "float")
    return {
        "setup": f"void {name}_setup(struct {name} *m, uint32_t seed)",
        "predict": f"{answer} {name}_predict(struct {name} *m, const float *x)",
        "learn": f"void {name}_learn(struct {name} *m, {given} label)",
    }


def _struct(used: set[Slot], name: str, classes: int, *, random: bool) -> str:
    extent = {"s": "", "v": "[F]", "m": "[F * F]"}
    meaning = {("s", 0): "the label", ("s", 1): "the prediction", ("v", 0): "the features"}
    members = [
        f"    float {kind}{slot}{extent[kind]};" + (f"  /* {meaning[kind, slot]} */" if (kind, slot) in meaning else "")
        for kind, slot in sorted(used, key=lambda one: ("svm".index(one[0]), one[1]))
    ]
    if random:
        members.append("    uint32_t stream;  /* the state of the random numbers */")
    declared = [f"{signature};" for signature in _signatures(name, classes).values()]
    return "\n".join([f"struct {name} {{", *members, "};", "", *declared])


def _random_functions(name: str) -> str:
    return f"""\
/* xorshift32 (Marsaglia, 2003), 24 bits of it: a number in [0, 1). */
static float {name}_uniform01(struct {name} *m)
{{
    uint32_t x = m->stream;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    m->stream = x;
    return (float)(x >> 8) * 5.9604644775390625e-8f;
}}

/* Two normal deviates (Box and Muller, 1958). */
static inline void {name}_gaussian_pair(struct {name} *m, float *z)
{{
    const float u1 = {name}_uniform01(m) + 2.98023223876953125e-8f;
    const float turn = 6.2831855f * {name}_uniform01(m);
    const float radius = sqrtf(-2.0f * logf(u1));
    z[0] = radius * cosf(turn);
    z[1] = radius * sinf(turn);
}}

#define uniform01() {name}_uniform01(m)
#define gaussian_pair(z) {name}_gaussian_pair(m, z)"""


def _literal(value: float) -> str:
    """Write a float32 as a C literal.

    >>> _literal(1.0), _literal(0.1), _literal(1e-5)
    ('1.0f', '0.1f', '1e-05f')
    """
    text = format_constant(value)
    return (text if "." in text or "e" in text else text + ".0") + "f"


def _body(instructions: Sequence[Instruction]) -> list[str]:
    lines = []
    for instruction in instructions:
        operator = OPERATORS[instruction.op]
        statement = operator.c.format(
            o=f"m->{operator.out}{instruction.out}",
            a=f"m->{operator.in1}{instruction.in1}",
            b=f"m->{operator.in2}{instruction.in2}",
            c0=_literal(instruction.c0),
            c1=_literal(instruction.c1),
            c2=_literal(instruction.c2),
        )
        lines += [f"    /* {format_instruction(instruction)} */", f"    {statement}"]
    return lines


def _setup(body: list[str], name: str, *, random: bool) -> str:
    seed = "    m->stream = seed ? seed : 1;" if random else "    (void)seed;"
    return "\n".join([_signatures(name, 0)["setup"], "{", "    memset(m, 0, sizeof *m);", seed, *body, "}"])


def _predict(body: list[str], used: set[Slot], name: str, task: str, classes: int) -> str:
    shown = "    memcpy(m->v0, x, sizeof m->v0);" if ("v", 0) in used else "    (void)x;"
    finish = ["    return m->s1;"]
    if task == "binary":
        finish = ["    m->s1 = 1.0f / (1.0f + expf(-m->s1));", "    return m->s1;"]
    if classes:
        finish = [
            "    float p[4] = {0}, largest = m->v2[0];",
            "    for (int i = 1; i < K; i++) if (m->v2[i] > largest) largest = m->v2[i];",
            "    for (int i = 0; i < K; i++) { m->v2[i] = expf(m->v2[i] - largest); p[i % 4] += m->v2[i]; }",
            "    const float total = (p[0] + p[1]) + (p[2] + p[3]);",
            "    int best = 0;",
            "    for (int i = 0; i < F; i++) m->v2[i] = i < K ? m->v2[i] / total : 0.0f;",
            "    for (int i = 1; i < K; i++) if (m->v2[i] > m->v2[best]) best = i;",
            "    return best;",
        ]
    return "\n".join([_signatures(name, classes)["predict"], "{", shown, *body, *finish, "}"])


def _learn(body: list[str], live: Program, name: str, classes: int) -> str:
    label = ("v", 1) if classes else ("s", 0)
    read = any(label in slots_read(i) for _, function in live.functions() for i in function)
    if not read:
        lines = ["    (void)label;", *([] if body else ["    (void)m;"]), *body]
    elif classes:
        lines = ["    m->v1[label] = 1.0f;", *body, "    m->v1[label] = 0.0f;"]
    else:
        lines = ["    m->s0 = label;", *body, "    m->s0 = 0.0f;"]
    return "\n".join([_signatures(name, classes)["learn"], "{", *lines, "}"])
