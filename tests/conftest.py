"""What every test may rely on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator

import pytest

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests send it to themselves and others.
signal.signal(signal.SIGINT, signal.default_int_handler)

# One thread each, for what tests start as well: two threads that meet after each small operation wait for whichever of
# them the other lane of tests holds up (a fit of half a second took nine).
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Test files that import torch are named test_torch_*.py and run in a process of their own (tools/tests.py): torch
# maps large libraries and starts threads, and what goes wrong in native code takes every other test with it.
_OWN_PROCESS = "test_torch_"
_REMEDY = f"what imports torch belongs into a file named {_OWN_PROCESS}*.py"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a run without torch's tests that imported torch while it collected."""
    if "torch" in sys.modules and not any(item.path.name.startswith(_OWN_PROCESS) for item in session.items):
        raise pytest.UsageError(f"collecting these tests imported torch; {_REMEDY}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that is the first to import torch, where it is none of torch's."""
    before = "torch" in sys.modules
    result = yield
    if not before and "torch" in sys.modules and not item.path.name.startswith(_OWN_PROCESS):
        pytest.fail(f"this test imported torch; {_REMEDY}")
    return result
