"""Exports agree with the kernel on hundreds of random and evolved programs over all operators."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selftaught.programs.evaluate import Evaluator
from selftaught.programs.export import to_c, to_python
from selftaught.programs.live_form import live_form
from selftaught.programs.operators import OPERATORS
from selftaught.programs.program import Program
from tests.programs.export.agreement import (
    FEATURES,
    ROWS,
    differing,
    every_operator,
    evolved_programs,
    fitness_of,
    python_fitness,
    random_programs,
    small_tasks,
)

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
KINDS = ("regression", "binary", "classes 3")
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")
NUM_RANDOM, NUM_EVOLVED = 50, 180

RUNNERS = """
#define RUN(NAME) \\
int run_##NAME(const float *x, const float *y, int rows, int held, uint32_t seed, float *found) \\
{ \\
    struct NAME m; \\
    NAME##_setup(&m, seed); \\
    for (int i = 0; i < rows + held; i++) { \\
        const float p = NAME##_predict(&m, x + FEATURES * i); \\
        if (!(fabsf(y[i] - p) <= 100.0f)) return 0; \\
        if (i < rows) NAME##_learn(&m, y[i]); else found[i - rows] = p; \\
    } \\
    return 1; \\
}
#define RUN_CLASSES(NAME) \\
int run_##NAME(const float *x, const float *y, int rows, int held, uint32_t seed, float *found) \\
{ \\
    struct NAME m; \\
    NAME##_setup(&m, seed); \\
    for (int i = 0; i < rows + held; i++) { \\
        const int best = NAME##_predict(&m, x + FEATURES * i); \\
        for (int k = 0; k < 3; k++) if (!isfinite(m.v2[k]) || m.v2[k] > m.v2[best]) return 0; \\
        if (i < rows) NAME##_learn(&m, (int)y[i]); else found[i - rows] = m.v2[(int)y[i]]; \\
    } \\
    return 1; \\
}
"""


@cache
def programs(kind: str) -> tuple[Program, ...]:
    """Random and evolved programs of a kind, with different live forms."""
    made = [] if kind.startswith("classes") else every_operator()
    made += random_programs(NUM_RANDOM, kind, 1) + evolved_programs(NUM_EVOLVED, kind, 2)
    return tuple({live_form(program, task=kind): program for program in made}.values())


@cache
def kernel_fitness(kind: str) -> np.ndarray:
    """Fitness (programs, 8) by the kernel."""
    return Evaluator(small_tasks(kind)).score_many(programs(kind))


def module_of(text: str) -> dict[str, Any]:
    """Run an exported file."""
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(text, "exported.py", "exec"), names)  # noqa: S102 - what the export wrote
    return names


def test_there_are_five_hundred_programs_and_all_operators_are_alive() -> None:
    every = [(kind, program) for kind in KINDS for program in programs(kind)]
    assert len(every) >= 500
    used = {i.op for kind, program in every for _, part in live_form(program, task=kind).functions() for i in part}
    assert used == set(range(1, len(OPERATORS)))
    lengths = [len(live_form(program, task=kind)) for kind, program in every]
    assert np.median(lengths) >= 6


@pytest.mark.parametrize("kind", KINDS)
def test_python_agrees_with_the_kernel(kind: str) -> None:
    tasks = small_tasks(kind)
    wanted = kernel_fitness(kind)
    for number in (0, 5):
        found = [python_fitness(module_of(to_python(p, task=kind)), tasks, number) for p in programs(kind)]
        wrong = differing(found, wanted[:, number], tolerance=1e-5)
        assert [(found[i], wanted[i, number], str(programs(kind)[i])) for i in wrong[:1]] == []


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """All programs in one C file, compiled without a warning."""
    if COMPILER is None:
        pytest.skip("no C compiler (cc, gcc or clang) on this machine")
    folder = tmp_path_factory.mktemp("c")
    parts = ["#include <math.h>", "#include <stdint.h>", f"#define FEATURES {FEATURES}", RUNNERS]
    for kind in KINDS:
        for number, program in enumerate(programs(kind)):
            name = f"{kind.split()[0]}_{number}"
            runner = "RUN_CLASSES" if kind.startswith("classes") else "RUN"
            parts += [to_c(program, task=kind, num_features=FEATURES, name=name).code, f"int run_{name}(const float *, "
                      f"const float *, int, int, uint32_t, float *);\n{runner}({name})"]  # fmt: skip
    (folder / "all.c").write_text("\n".join(parts), encoding="utf-8")
    command = [COMPILER, *FLAGS, "-O0", "-shared", "-fPIC", "-o", "all.so", "all.c", "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    return ctypes.CDLL(str(folder / "all.so"))


@pytest.mark.parametrize("kind", KINDS)
def test_c_agrees_with_the_kernel(kind: str, compiled: ctypes.CDLL) -> None:
    tasks = small_tasks(kind)
    wanted = kernel_fitness(kind)
    for task in (0, 5):
        found = [c_fitness(compiled, kind, number, task) for number in range(len(programs(kind)))]
        # libm and the kernel's polynomials differ in the last bits; near a jump that can turn one example.
        wrong = differing(found, wanted[:, task], tolerance=1e-4)
        assert len(wrong) <= 0.01 * len(found), [(found[i], wanted[i, task], str(programs(kind)[i])) for i in wrong]
    assert tasks.count == wanted.shape[1]


def c_fitness(compiled: ctypes.CDLL, kind: str, number: int, task: int) -> float:
    """One task's fitness by an exported C file."""
    tasks = small_tasks(kind)
    x = np.ascontiguousarray(np.concatenate([tasks.train_x[task], tasks.valid_x[task]]), np.float32)
    y = np.concatenate([tasks.train_y[task], tasks.valid_y[task]]).astype(np.float32)
    found = np.zeros(ROWS[1], np.float32)
    run = getattr(compiled, f"run_{kind.split()[0]}_{number}")
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, y, found)]
    fine = run(*pointers[:2], *ROWS, ctypes.c_uint32(int(tasks.stream_seeds[task])), pointers[2])
    if not fine:
        return 0.0
    held = tasks.valid_y[task]
    if kind == "regression":
        return fitness_of("regression", (held - found) ** 2)
    if kind == "binary":
        return fitness_of("binary", (held > 0.5) != (found > 0.5))
    return fitness_of("classes", -np.log(np.maximum(found, 1e-7)))


@pytest.mark.skipif(COMPILER is None, reason="no C compiler (cc, gcc or clang) on this machine")
def test_the_struct_has_the_bytes_that_are_told(tmp_path: Path) -> None:
    for number, kind in enumerate(KINDS):
        sources = [to_c(p, task=kind, num_features=7, name=f"p{i}") for i, p in enumerate(programs(kind)[:40])]
        lines = [f'    printf("%d\\n", (int)sizeof(struct {source.name}));' for source in sources]
        text = "\n".join(["#include <stdio.h>", *map(str, sources), "int main(void)", "{", *lines, "}"])
        (tmp_path / f"{number}.c").write_text(text, encoding="utf-8")
        subprocess.run(
            [str(COMPILER), *FLAGS, "-O2", "-o", f"{number}", f"{number}.c", "-lm"], cwd=tmp_path, check=True
        )
        told = subprocess.run([str(tmp_path / f"{number}")], capture_output=True, text=True, check=True).stdout
        assert [int(line) for line in told.split()] == [source.ram_bytes for source in sources]


@pytest.mark.skipif(COMPILER is None or shutil.which("size") is None, reason="no C compiler with `size` here")
def test_code_bytes_are_measured() -> None:
    short, long = (
        to_c(p, task="regression", num_features=4).measure() for p in (Program(), programs("regression")[-1])
    )
    assert 0 < short.text < long.text
    assert (long.data, long.bss) == (0, 0)
    assert "-Werror" in long.command
