"""The C text of every operator without random numbers, compiled and compared with its NumPy meaning."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from selftaught.programs.operators import IS_RANDOM, OPERATORS
from selftaught.programs.program import Instruction, Slots
from selftaught.programs.reference import LaneMemory, Streams, execute

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
NUM_FEATURES = 7
SIZES = {"s": 1, "v": NUM_FEATURES, "m": NUM_FEATURES**2}
CONSTANTS = (0.3, 0.8, -1.5)


def _source() -> str:
    lines = ["#include <math.h>", "#include <string.h>", f"enum {{ F = {NUM_FEATURES} }};"]
    for operator in OPERATORS:
        if IS_RANDOM[operator.id]:
            continue
        names = {"s": "*{}", "v": "{}", "m": "{}", "": "{}"}
        body = operator.c.format(
            o="(" + names[operator.out].format("o") + ")",
            a="(" + names[operator.in1].format("a") + ")",
            b="(" + names[operator.in2].format("b") + ")",
            c0=f"{CONSTANTS[0]}f",
            c1=f"{CONSTANTS[1]}f",
            c2=f"{CONSTANTS[2]}f",
        )
        lines.append(f"void op_{operator.id}(float *o, float *a, float *b) {{ {body} }}")
    return "\n".join(lines)


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_c_text_means_the_same(tmp_path: Path) -> None:
    source, library = tmp_path / "operators.c", tmp_path / "operators.so"
    source.write_text(_source(), encoding="utf-8")
    flags = ["-std=c99", "-O1", "-ffp-contract=off", "-Wall", "-Werror", "-shared", "-fPIC"]
    subprocess.run([str(COMPILER), *flags, "-o", str(library), str(source), "-lm"], check=True)
    compiled = ctypes.CDLL(str(library))
    rng = np.random.default_rng(0)
    for operator in OPERATORS[1:]:
        if IS_RANDOM[operator.id]:
            continue
        for out, in1, in2 in ((1, 2, 3), (1, 1, 2), (1, 2, 1), (1, 1, 1)):
            memory = LaneMemory.zeros(Slots(4, 4, 4), NUM_FEATURES, 1)
            for array in (memory.scalars, memory.vectors, memory.matrices):
                array[...] = rng.uniform(-1, 1, array.shape)
            slots = {(kind, n): memory.slot(kind, n)[..., 0].ravel().copy() for kind in "svm" for n in range(4)}
            execute([Instruction(operator.id, out, in1, in2, *CONSTANTS)], memory, Streams(np.ones(1)))
            named = ((operator.out, out), (operator.in1, in1), (operator.in2, in2))
            getattr(compiled, f"op_{operator.id}")(
                *(ctypes.c_void_p(slots[kind, n].ctypes.data) if kind else None for kind, n in named)
            )
            wanted = memory.slot(operator.out, out)[..., 0].ravel()
            np.testing.assert_allclose(
                slots[operator.out, out], wanted, rtol=1e-6, atol=1e-6, err_msg=f"{operator.name} {out, in1, in2}"
            )
