"""Several populations at once: one in this process, or one a process with a barrier where programs migrate.

Between two barriers islands do not meet, and at a barrier all wait for all, so that what is found depends on
the seed and the number of islands only. A killed process leaves the others going on; when this process dies,
theirs end at once, because the pipe to it closes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from selftaught.programs import people
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.program import Program
from selftaught.programs.search import DONE, EXHAUSTED, Event, Island, Migrants
from selftaught.programs.settings import EvolveSettings
from selftaught.programs.tasksets import TaskSet
from selftaught.runners import clean_start
from selftaught.seeds import rng_for

__all__ = ["Crew", "Found", "Pacer", "Solo", "Status", "Team"]

Status = Literal["running", "target", "programs", "exhausted", "workers"]
Arrays = dict[str, NDArray[Any]]
CHUNK = 0.1  # seconds in compiled code between two looks at the clock
NO_LIMIT = 1 << 62
SUMMED = ("programs", "evaluated", "key_hits", "print_hits", "steps", "rejected", "screened", "neutral", "hurdled",
          "restarts", "filled")  # fmt: skip


@dataclass(frozen=True)
class Found:
    """One of the best programs of an island; its birth is told as that of an `Improvement`."""

    program: Program
    fitness: float
    programs: int
    island: int
    parent: int = -1
    move: int = -1


class Team(Protocol):
    """Islands at work.

    `advance` works for about `seconds` and returns; `status` says why it would not go on. `halt` ends the work;
    what is known stays known. After "target" the caller raises the target with `set_target` or stops. `snapshot`
    gives the state of every island, all between the same two barriers. Nothing may be called after `close`.
    """

    status: Status

    @property
    def living(self) -> int: ...
    def advance(self, seconds: float) -> None: ...
    def events(self) -> list[Event]: ...
    def counts(self) -> dict[str, int]: ...
    def best(self) -> list[Found]: ...
    def best_fitness(self) -> float: ...
    def target(self) -> float: ...
    def set_target(self, value: float) -> None: ...
    def snapshot(self) -> tuple[list[Arrays], dict[str, Any]]: ...
    def cpu_seconds(self) -> float: ...
    def warnings(self) -> list[str]: ...
    def halt(self) -> None: ...
    def close(self) -> None: ...


class Pacer:
    """Cuts compiled work into calls of about equal time, by steps and by programs."""

    def __init__(self) -> None:
        self._steps, self._programs = 1 << 17, 64

    def run(self, island: Island, until: int, seconds: float = CHUNK) -> int:
        """Go on for about `seconds`; return what the loop says."""
        began = time.perf_counter()
        code = island.run(min(until, island.programs + self._programs), self._steps)
        took = max(time.perf_counter() - began, 1e-6)
        scale = min(max(min(seconds, CHUNK) / took, 0.2), 3.0)
        self._steps = int(min(max(self._steps * scale, 1), 1 << 50))
        self._programs = int(min(max(self._programs * scale, 1), 1 << 40))
        return code


def share(programs: int | None, index: int, workers: int) -> int:
    """Return how many of the programs an island may propose."""
    return NO_LIMIT if programs is None else programs // workers + (index < programs % workers)


def best_of(island: Island) -> list[Found]:
    """Return the best programs of an island."""
    return [
        Found(program, fitness, born, island.index, parent, move)
        for program, fitness, born, parent, move in island.best()
    ]


class Solo:
    """One island in this process."""

    def __init__(
        self, settings: EvolveSettings, tasks: TaskSet, evaluator: Evaluator, arrays: list[Arrays] | None = None
    ) -> None:
        self._island = Island(settings, tasks, 0, evaluator)
        if arrays:
            self._island.restore(arrays[0])
        self._until = share(settings.programs, 0, 1)
        self._pacer = Pacer()
        self._island.run(0)  # compiles, or loads what was compiled
        self.status: Status = "running"
        self.living = 1

    def advance(self, seconds: float) -> None:
        code = self._pacer.run(self._island, self._until, seconds)
        if code == DONE:
            self.status = "target"
        elif code == EXHAUSTED:
            self.status = "exhausted"
        elif self._island.programs >= self._until:
            self.status = "programs"

    def events(self) -> list[Event]:
        return self._island.drain()

    def counts(self) -> dict[str, int]:
        return self._island.counts()

    def best(self) -> list[Found]:
        return best_of(self._island)

    def best_fitness(self) -> float:
        return self._island.best_fitness()

    def target(self) -> float:
        return self._island.target

    def set_target(self, value: float) -> None:
        self._island.target = value
        self.status = "running"

    def snapshot(self) -> tuple[list[Arrays], dict[str, Any]]:
        return [self._island.export()], {"round": 0, "alive": [True]}

    def cpu_seconds(self) -> float:
        return 0.0  # counted with this process

    def warnings(self) -> list[str]:
        return []

    def halt(self) -> None:
        """Stop working; what is known stays known."""

    def close(self) -> None:
        """Nothing is left to end."""


# ---- islands in processes


def island_main(
    pipe: Connection, settings: EvolveSettings, tasks: TaskSet, lanes: int, index: int, arrays: Arrays | None
) -> None:
    """Serve one island: do what the messages say until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    with suppress(EOFError, OSError):
        _serve(pipe, settings, tasks, lanes, index, arrays)


def _serve(
    pipe: Connection, settings: EvolveSettings, tasks: TaskSet, lanes: int, index: int, arrays: Arrays | None
) -> None:
    island = Island(settings, tasks, index, Evaluator(tasks, lanes=lanes))
    if arrays is not None:
        island.restore(arrays)
    island.run(0)
    pacer = Pacer()
    until: int | None = None

    def report(code: int | None) -> None:
        counters = island.counters.copy()
        best = best_of(island) if code is not None or counters[people.EVENTS] > island.drained else None
        pipe.send(("status", counters, island.drain(), best, time.process_time(), code))

    report(None)
    while True:
        while until is None or pipe.poll():
            order, *values = pipe.recv()
            if order == "go":
                until = int(values[0])
            elif order == "offer":
                pipe.send(("offer", island.offer(values[0])))
            elif order == "accept":
                island.accept(values[0], values[1])
            elif order == "target":
                island.target = float(values[0])
            elif order == "snapshot":
                report(None)
                pipe.send(("snapshot", island.export()))
            else:
                return
        code = pacer.run(island, until)
        arrived = code != 0 or island.programs >= until
        report(code if arrived else None)
        if arrived:
            until = None


class _Worker:
    """What this process knows of one island."""

    def __init__(self, index: int, process: Any, pipe: Connection, until: int) -> None:
        self.index, self.process, self.pipe = index, process, pipe
        self.share = until
        self.alive, self.code, self.ready = True, None, False
        self.counters = np.zeros(people.NUM_COUNTERS, np.int64)
        self.best: list[Found] = []
        self.cpu = 0.0
        self.snapshot: Arrays | None = None
        self.offer: Migrants | None = None
        self.waiting = False  # arrived at the barrier

    code: int | None

    @property
    def programs(self) -> int:
        return int(self.counters[people.PROGRAMS])


class Crew:
    """Several islands, one a process."""

    def __init__(
        self, settings: EvolveSettings, tasks: TaskSet, evaluator: Evaluator, arrays: list[Arrays] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._round = int((about or {}).get("round", 0))
        alive = list((about or {}).get("alive", [True] * settings.workers))
        self._events: list[Event] = []
        self._warnings: list[str] = []
        self._held: list[Arrays] = arrays or [{} for _ in range(settings.workers)]
        self._target = settings.target_fitness or 2.0
        self.status: Status = "running"
        self._workers: list[_Worker] = []
        context = get_context("spawn")
        Island(settings, tasks, 0, evaluator).run(0)  # compiles once, before all of them would
        with clean_start():
            for index in range(settings.workers):
                ours, theirs = context.Pipe()
                state = self._held[index] if arrays and alive[index] else None
                process = context.Process(
                    target=island_main, daemon=True, name=f"selftaught-island-{index}",
                    args=(theirs, settings, tasks, evaluator.lanes, index, state),
                )  # fmt: skip
                worker = _Worker(index, process, ours, share(settings.programs, index, settings.workers))
                self._workers.append(worker)
                if alive[index]:
                    process.start()
                else:
                    worker.alive = False
                theirs.close()
        if arrays:
            from selftaught.programs.layout import TARGET

            self._target = float(arrays[alive.index(True)]["numbers"][TARGET])
        for worker in self._living():
            self._send(worker, "go", self._until(worker))

    @property
    def living(self) -> int:
        """How many islands are at work."""
        return len(self._living())

    def _living(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.alive]

    def _until(self, worker: _Worker) -> int:
        return min((self._round + 1) * self._settings.migrate_every, worker.share)

    # ---- messages

    def _send(self, worker: _Worker, *message: Any) -> None:
        try:
            worker.pipe.send(message)
        except OSError:
            self._lost(worker)

    def _lost(self, worker: _Worker) -> None:
        if not worker.alive:
            return
        worker.alive = False
        worker.pipe.close()
        worker.process.join(1.0)
        self._warnings.append(
            f"island {worker.index} ended early (exit code {worker.process.exitcode}) after "
            f"{worker.programs:,} programs; the others went on"
        )

    def _listen(self, seconds: float) -> None:
        """Take in messages for about `seconds`, or until there is something to decide."""
        stop = time.perf_counter() + seconds
        while True:
            pipes = {worker.pipe: worker for worker in self._living()}
            if not pipes:
                return
            for pipe in wait(list(pipes), max(0.0, stop - time.perf_counter())):
                worker = pipes[pipe]  # type: ignore[index]
                try:
                    self._take(worker, worker.pipe.recv())
                except (EOFError, OSError):
                    self._lost(worker)
            if time.perf_counter() >= stop or all(worker.waiting for worker in self._living()):
                return

    def _take(self, worker: _Worker, message: tuple[Any, ...]) -> None:
        kind, *values = message
        if kind == "status":
            worker.ready = True
            worker.counters, events, best, worker.cpu, worker.code = values
            self._events += events
            if best is not None:
                worker.best = best
            if worker.code is not None:
                worker.waiting = True
        elif kind == "snapshot":
            worker.snapshot = values[0]
        else:
            worker.offer = values[0]

    def _gather(self, what: str, *order: Any) -> None:
        """Ask all living islands for something and wait until it is here; the dead are not waited for."""
        for worker in self._living():
            setattr(worker, what, None)
            self._send(worker, *order)
        while any(getattr(worker, what) is None for worker in self._living()):
            pipes = {worker.pipe: worker for worker in self._living() if getattr(worker, what) is None}
            for pipe in wait(list(pipes), 1.0):
                worker = pipes[pipe]  # type: ignore[index]
                try:
                    self._take(worker, worker.pipe.recv())
                except (EOFError, OSError):
                    self._lost(worker)

    # ---- the barrier

    def advance(self, seconds: float) -> None:
        if self.status != "running":
            return
        self._listen(min(seconds, CHUNK))
        living = self._living()
        if not living:
            self.status = "workers"
        elif all(worker.waiting for worker in living):
            self._meet(living)

    def _meet(self, living: list[_Worker]) -> None:
        if any(worker.code == DONE for worker in living):
            self.status = "target"
        elif all(worker.code == EXHAUSTED for worker in living):
            self.status = "exhausted"
        elif all(worker.programs >= worker.share for worker in living):
            self.status = "programs"
        else:
            self._migrate()

    def _migrate(self) -> None:
        number = self._round
        self._gather("offer", "offer", number)
        offers = {worker.index: worker.offer for worker in self._living() if worker.offer is not None}
        for worker in self._living():
            others = [offer for index, offer in offers.items() if index != worker.index]
            if not others:
                continue
            rows, codes = (np.concatenate([getattr(o, name) for o in others]) for name in ("rows", "codes"))
            rng = rng_for(self._settings.seed, "migration", number, "take", worker.index)
            chosen = rng.choice(len(rows), min(self._settings.num_migrants, len(rows)), replace=False)
            self._send(worker, "accept", Migrants(rows[chosen], codes[chosen]), number)
        self._round += 1
        self._go_on()

    def _go_on(self) -> None:
        for worker in self._living():
            worker.waiting, worker.code = False, None
            self._send(worker, "go", self._until(worker))

    def set_target(self, value: float) -> None:
        self._target = value
        self.status = "running"
        for worker in self._living():
            self._send(worker, "target", value)
        if all(worker.programs >= worker.share for worker in self._living()):
            self.status = "programs"
        elif all(worker.programs >= self._until(worker) for worker in self._living()):
            self._migrate()
        else:
            self._go_on()

    # ---- what is known

    def target(self) -> float:
        return self._target

    def events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def counts(self) -> dict[str, int]:
        total = sum(worker.counters for worker in self._workers)
        named = dict(zip(people.COUNTERS, np.asarray(total)[: len(people.COUNTERS)].tolist(), strict=True))
        return {name: named[name] for name in SUMMED}

    def best(self) -> list[Found]:
        return [found for worker in self._workers for found in worker.best]

    def best_fitness(self) -> float:
        return max((worker.best[0].fitness for worker in self._workers if worker.best), default=0.0)

    def snapshot(self) -> tuple[list[Arrays], dict[str, Any]]:
        self._gather("snapshot", "snapshot")
        for worker in self._living():
            if worker.snapshot is not None:
                self._held[worker.index], worker.snapshot = worker.snapshot, None
        alive = [worker.alive and bool(self._held[worker.index]) for worker in self._workers]
        return list(self._held), {"round": self._round, "alive": alive}

    def cpu_seconds(self) -> float:
        return sum(worker.cpu for worker in self._workers)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def halt(self) -> None:
        """Tell all processes to end, without waiting for it."""
        for worker in self._living():
            with suppress(OSError):
                worker.pipe.send(("stop",))

    def close(self) -> None:
        """End all processes; none is left behind."""
        self.halt()
        for worker in self._living():
            worker.process.join(0.5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.alive = False
            worker.pipe.close()
