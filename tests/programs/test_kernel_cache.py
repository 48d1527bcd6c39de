"""Kernels on disk: never stale, never broken, right for other processors, quick to load."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from selftaught.errors import InputError
from selftaught.programs import machine, meanings
from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.kernel import Kernel, load_kernel
from selftaught.programs.operators import BY_NAME
from selftaught.programs.program import Instruction, Program, Slots
from tests.programs.lane_machine import Machine, ulps
from tests.programs.strategies import random_program
from tests.programs.test_elementary import GRIDS, evaluate

intel = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="targets of x86-64 processors")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and no kernel in this process."""
    monkeypatch.setenv("SELFTAUGHT_CACHE", str(tmp_path))
    load_kernel.cache_clear()
    yield tmp_path
    load_kernel.cache_clear()


def absolute(kernel: Kernel, value: float) -> float:
    """What the kernel's scalar_abs makes of a value."""
    machine = Machine(kernel)
    machine.all("s")[1] = value
    machine.run([machine.record(Instruction(BY_NAME["scalar_abs"].id, 2, 1))])
    return float(machine.all("s")[2, 0])


def files(folder: Path) -> list[Path]:
    return sorted((folder / "kernels").iterdir())


def test_a_changed_emission_never_meets_a_stale_kernel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert absolute(load_kernel(1, 8), -3.0) == 3.0
    assert len(files(folder)) == 1
    monkeypatch.setitem(machine.UNARY, "abs", lambda f, x: f.add(x, f.splat(10.0)))
    load_kernel.cache_clear()
    assert absolute(load_kernel(1, 8), -3.0) == 7.0
    assert len(files(folder)) == 2
    monkeypatch.undo()
    monkeypatch.setenv("SELFTAUGHT_CACHE", str(folder))
    load_kernel.cache_clear()
    assert absolute(load_kernel(1, 8), -3.0) == 3.0
    assert len(files(folder)) == 2


@pytest.mark.parametrize("damage", ["flipped", "cut", "short", "empty"])
def test_a_damaged_file_is_compiled_anew(folder: Path, damage: str) -> None:
    load_kernel(1, 8)
    (path,) = files(folder)
    content = path.read_bytes()
    middle = len(content) // 2
    broken = {
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "cut": content[:middle],
        "short": content[:20],
        "empty": b"",
    }[damage]
    path.write_bytes(broken)
    load_kernel.cache_clear()
    assert absolute(load_kernel(1, 8), -3.0) == 3.0
    assert path.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_one_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").write_text("in the way")
    monkeypatch.setenv("SELFTAUGHT_CACHE", str(folder / "file" / "cache"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kernel = load_kernel(1, 8)
        assert load_kernel(1, 8) is kernel
    assert [str(warning.message).partition(" (")[0] for warning in caught] == [
        f"the kernel cannot be kept in {folder / 'file' / 'cache' / 'kernels'}"
    ]
    assert absolute(kernel, -3.0) == 3.0
    assert (folder / "file").read_text() == "in the way"


def test_nothing_half_written_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: object, target: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.warns(UserWarning, match="no space left"):
        load_kernel(1, 8)
    assert files(folder) == []


def test_the_first_compilation_and_every_later_load_are_quick(folder: Path) -> None:
    def seconds() -> float:
        load_kernel.cache_clear()
        start = time.process_time()
        load_kernel(8, 16)
        return time.process_time() - start

    assert seconds() < 10
    assert min(seconds() for _ in range(3)) < 1


def test_kernels_have_limits() -> None:
    for features, lanes in ((0, 16), (65, 16), (4, 12), (4, 64)):
        with pytest.raises(InputError):
            load_kernel(features, lanes)


# ---- other processors

TARGETS = {
    "haswell": {"cpu": "haswell", "attributes": ""},  # 256 bits
    "baseline": {"cpu": "x86-64", "attributes": ""},  # 128 bits, no fused multiply-add
}


@intel
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["two_layer_teacher", "linear_classification"])
def test_a_narrower_processor_scores_alike(target: str, kind: str) -> None:
    """All but chaotic programs: last bits differ where multiplication and addition are not fused."""
    tasks = builtin_tasks(kind, count=16, features=4, num_train=20, num_valid=10)
    rng = np.random.default_rng(4)
    slots = Slots(8, 9, 3)
    programs = [linear_learner(0.1), two_layer_network(0.1, 0.5), Program()]
    programs += [random_program(rng, Slots(8, 6, 3), (5, 8, 10)) for _ in range(400)]
    here = Evaluator(tasks, slots, lanes=16).score_many(programs)
    there = Evaluator(tasks, slots, kernel=load_kernel(4, 16, **TARGETS[target])).score_many(programs)
    apart = (abs(here - there) > 1e-6).any(axis=1)
    assert not apart[:3].any()
    assert apart.mean() <= 0.01


@intel
def test_a_target_has_a_kernel_of_its_own(folder: Path) -> None:
    load_kernel(1, 8)
    load_kernel(1, 8, cpu="haswell", attributes="")
    load_kernel(1, 8, attributes="")
    assert len(files(folder)) == 3


@intel
@pytest.mark.parametrize("name", ["arcsin", "arccos", "arctan", "exp", "log"])
def test_elementary_functions_without_fused_arithmetic(name: str) -> None:
    x, y = evaluate(load_kernel(1, 16, **TARGETS["baseline"]), f"scalar_{name}", GRIDS[name][0][::4])
    assert ulps(y, getattr(meanings, name)(x.astype(np.float64))).max() < 4


@intel
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_without_fused_arithmetic(name: str) -> None:
    """Products with parts of pi/2 are rounded there: few ulp to 1,000, then a small absolute error."""
    kernel = load_kernel(1, 16, **TARGETS["baseline"])
    x, y = evaluate(kernel, f"scalar_{name}", np.linspace(-1000, 1000, 200_000))
    assert ulps(y, getattr(meanings, name)(x.astype(np.float64))).max() < 4
    if name != "tan":
        x, y = evaluate(kernel, f"scalar_{name}", np.linspace(-1e5, 1e5, 200_000))
        assert abs(y - getattr(meanings, name)(x.astype(np.float64))).max() < 2e-6
