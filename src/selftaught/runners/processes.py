"""Evaluate in several processes, each of which may die alone."""

from __future__ import annotations

import atexit
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from selftaught.errors import InputError, SelftaughtError
from selftaught.runners.runner import Objective, Outcome, evaluate
from selftaught.runners.spawning import clean_start, end_with_parent

__all__ = ["Processes"]

_GRACE = 1.0  # seconds a worker has to end by itself when it is told to
_STARTS = 3  # workers in a row that may die before they begin


class _ByValue:
    """An objective that travels whole, so that functions of a script or a notebook work in another process."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[bytes]]:
        import cloudpickle

        return cloudpickle.loads, (cloudpickle.dumps(self.objective),)


class _Worker:
    """One process and what it is at."""

    def __init__(self, process: Any, pipe: Connection) -> None:
        self.process, self.pipe = process, pipe
        self.ready = False
        self.number: int | None = None
        self.begun = 0.0


class Processes:
    """Runs candidates in processes of their own (spawned, so that any library may be used in them).

    A worker that is killed, or that the objective ends, loses its own trial only: the trial ends with an error that
    says what happened, and another worker takes its place. When this process ends, however it does, so do the workers.

    Args:
        objective: candidate -> score; sent by value, so it may live in a script or a notebook.
        workers: processes.
        trial_seconds: a trial that takes longer is stopped and has failed; None for no limit.

    Raises:
        InputError: a number out of its range, or an objective that cannot be sent.

    >>> Processes(abs, workers=2).workers
    2
    """

    def __init__(self, objective: Objective, *, workers: int = 2, trial_seconds: float | None = None) -> None:
        if workers < 1:
            raise InputError(f"workers must be at least 1, got {workers}")
        if trial_seconds is not None and not trial_seconds > 0:
            raise InputError(f"trial_seconds must be above 0, got {trial_seconds}")
        self.workers = workers
        self._objective = _ByValue(objective)
        self._limit = trial_seconds
        self._crew: list[_Worker] = []
        self._ended: list[Outcome] = []
        self._stillborn = 0

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- taking and giving back

    def submit(self, number: int, candidate: Any) -> None:
        """Give a candidate to a free worker, started where there is none yet."""
        at_work = [worker.number for worker in self._crew if worker.number is not None]
        if len(at_work) >= self.workers:
            raise InputError(f"{len(at_work)} trials are at work and there are {self.workers} workers; collect first")
        while True:
            worker = next((one for one in self._crew if one.number is None), None) or self._start()
            try:
                worker.pipe.send((number, candidate))
            except OSError:  # it died while it was idle
                self._bury(worker)
                continue
            worker.number, worker.begun = number, time.monotonic()
            return

    def collect(self, timeout: float | None = None) -> list[Outcome]:
        """Wait for at least one trial to end, or for so many seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._ended and any(worker.number is not None for worker in self._crew):
            now = time.monotonic()
            if until is not None and now >= until:
                break
            self._look(min((t for t in (until, self._next_limit()) if t is not None), default=None))
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        """End all workers; what they are at is lost."""
        atexit.unregister(self.close)
        for worker in self._crew:
            worker.pipe.close()
            if worker.number is not None:
                worker.process.terminate()
        for worker in self._crew:
            worker.process.join(_GRACE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        self._crew = []
        self._ended = []

    # ---- the workers

    def _start(self) -> _Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        with clean_start():
            process = context.Process(target=_work, args=(self._objective, theirs))
            try:
                process.start()
            except SelftaughtError:
                raise
            except Exception as error:  # whatever pickling raises
                raise InputError(f"the objective cannot be sent to another process: {error}") from None
        theirs.close()
        # Not daemons, so that an objective may start processes (a data loader); hence they are ended at exit here.
        atexit.unregister(self.close)
        atexit.register(self.close)
        worker = _Worker(process, ours)
        self._crew.append(worker)
        return worker

    def _look(self, until: float | None) -> None:
        """Wait for a sign of a worker at work, and note what it says."""
        busy = [worker for worker in self._crew if worker.number is not None]
        signs = [sign for worker in busy for sign in (worker.pipe, worker.process.sentinel)]
        seconds = None if until is None else max(until - time.monotonic(), 0.0)
        shown = set(wait(signs, seconds))
        for worker in busy:
            if worker.pipe in shown or worker.process.sentinel in shown:
                self._listen(worker)
            elif self._limit is not None and worker.ready and time.monotonic() - worker.begun > self._limit:
                worker.process.kill()
                self._lose(worker, f"stopped after {self._limit:g} s, the limit of a trial")

    def _listen(self, worker: _Worker) -> None:
        """Take in what a worker sent; where it sent nothing and is gone, its trial is lost."""
        gone = not worker.process.is_alive()  # looked at first: what it sent just before its end counts
        try:
            while worker.pipe.poll():
                message = worker.pipe.recv()
                if message is None:
                    worker.ready, self._stillborn = True, 0
                    worker.begun = time.monotonic()  # starting does not count
                else:
                    self._ended.append(message)
                    worker.number = None
                    return
        except (EOFError, OSError):
            gone = True
        if gone:
            worker.process.join()
            self._lose(worker, f"its worker process was ended by {_ending(worker.process.exitcode)}")

    def _lose(self, worker: _Worker, reason: str) -> None:
        number = worker.number
        seconds, ready = time.monotonic() - worker.begun, worker.ready
        self._bury(worker)
        self._stillborn += not ready
        if self._stillborn >= _STARTS:
            raise InputError(
                f"{_STARTS} worker processes in a row could not start: {reason}; see their messages above, or use one "
                "worker in this process"
            )
        if number is not None:
            self._ended.append(Outcome(number, None, seconds, reason))

    def _bury(self, worker: _Worker) -> None:
        self._crew.remove(worker)
        worker.pipe.close()
        worker.process.kill()
        worker.process.join()
        worker.process.close()

    def _next_limit(self) -> float | None:
        begun = [worker.begun for worker in self._crew if worker.number is not None and worker.ready]
        return None if self._limit is None or not begun else min(begun) + self._limit


def _work(objective: Objective, pipe: Connection) -> None:
    """Evaluate what comes through the pipe until it closes."""
    end_with_parent()
    with suppress(EOFError, OSError):
        pipe.send(None)
        while True:
            number, candidate = pipe.recv()
            pipe.send(evaluate(objective, number, candidate))


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"{name} (out of memory, or killed)" if -code == signal.SIGKILL else name
    return f"exit code {code}"
