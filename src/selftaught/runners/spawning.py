"""How processes of ours begin and end: one thread each, without the user's script, and never after their parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["clean_start", "end_with_parent"]


@contextmanager
def clean_start() -> Iterator[None]:
    """Start processes that run one thread each and do not run the user's script again."""
    held = sys.modules["__main__"]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        sys.modules["__main__"] = held
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def end_with_parent() -> None:
    """Leave Ctrl-C to the parent process, and end this one at once when the parent is gone, however it went."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(130)

    threading.Thread(target=watch, daemon=True).start()
