"""A kernel can be loaded in any process: its sections stay together however scattered the free memory is."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from selftaught.programs.kernel import load_kernel

# Free memory in two places: 32 KiB above 5 GiB that are taken, and all that is below them. What is small goes above and
# what is large below, as it may happen in a process that has loaded much.
CHILD = """
import ctypes
from selftaught.programs.kernel import load_kernel
from selftaught.programs.operators import BY_NAME
from selftaught.programs.program import Instruction
from tests.programs.lane_machine import Machine

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_size_t
libc.mmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
ANYWHERE, EXACTLY = 0x4022, 0x104022  # private, anonymous, without swap; there or nowhere


def take(size, place=0):
    found = libc.mmap(place, size, 0, EXACTLY if place else ANYWHERE, -1, 0)
    assert found != 2**64 - 1, ctypes.get_errno()
    return found


def free(place, size):
    assert libc.munmap(place, size) == 0


size, hole = 5 << 30, 32 << 10
end = top = take(size) + size
with open("/proc/self/maps") as file:
    lines = file.read().splitlines()
for line in lines:
    first, last = (int(word, 16) for word in line.split()[0].split("-"))
    if line.endswith("[stack]"):
        break
    if last > end:
        if first > end:
            take(first - end, end)
        end = last
free(top - hole, hole)
small, large = take(hole), take(1 << 20)
assert small - large > 2**31, (hex(small), hex(large))
free(small, hole)
free(large, 1 << 20)

machine = Machine(load_kernel(3, 8))
machine.all("s")[1] = 1.0
machine.run([machine.record(Instruction(BY_NAME["scalar_exp"].id, 2, 1))])
print(*machine.all("s")[2])
"""


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="lays out memory by Linux's calls, for x86-64"
)
def test_free_memory_in_distant_places() -> None:
    load_kernel(3, 8)  # compiled here, so that the child only loads it
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [float(word) for word in done.stdout.split()] == pytest.approx([2.718282] * 8)
