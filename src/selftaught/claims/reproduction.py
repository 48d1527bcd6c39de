"""Reproduce a claim: do its parts, keep their rows, go on where an earlier run stopped, judge."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selftaught.claims.claim import Claim, Part
from selftaught.claims.evidence import Evidence
from selftaught.claims.registry import find_claim
from selftaught.claims.rows import RowFile, machine_name, part_key, read_rows
from selftaught.errors import DataError, InputError, SelftaughtError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["ROWS", "Advance", "judge_rows", "reproduce"]

ROWS = Path("selftaught-runs") / "claims"


@dataclass(frozen=True)
class Advance:
    """How far a reproduction has come.

    Args:
        done: finished parts, those of earlier runs included.
        total: parts of the plan.
        reused: of the finished ones, those of earlier runs.
        elapsed: seconds since this run began.
        seconds_left: about; from the claim's own estimate until a part of this run is done.
        part: what was finished last, or "".
    """

    done: int
    total: int
    reused: int
    elapsed: float
    seconds_left: float
    part: str = ""


def reproduce(
    claim: str | Claim,
    *,
    scale: str = "tiny",
    seed: int = 0,
    jobs: int = 1,
    rows: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    on_advance: Callable[[Advance], None] | None = None,
) -> Evidence:
    """Measure a claim again and judge it.

    Rows are written as parts end; whatever stops the work, a second call with the same arguments goes on there.

    Args:
        claim: a name of `CLAIMS`, or a claim of your own.
        scale: "tiny" (about a minute), "small" or "full".
        seed: the first seed; others follow it.
        jobs: processes that work side by side; what is found does not depend on it. Speeds are measured by one.
        rows: the file of rows; by default one named after claim, scale and seed under `selftaught-runs/claims`.
        fresh: start over, whatever the file holds.
        on_advance: called at the start and after every part.

    Returns:
        The evidence; its rows are those of the file, in the order of the plan.

    Raises:
        InputError: an unknown claim or scale, or a number out of its range.
        ResumeError: the file holds rows of another configuration.
        DataError: the file holds something else.

    >>> reproduce("lanes-pay", scale="tiny").status  # doctest: +SKIP
    'reproduced'
    """
    chosen = find_claim(claim) if isinstance(claim, str) else claim
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}")
    config = chosen.config(scale, seed=seed)
    path = Path(rows).expanduser() if rows is not None else ROWS / f"{chosen.name}-{scale}-seed{seed}.jsonl"
    file = RowFile(path, chosen.identity(config), fresh=fresh)
    plan = list(chosen.plan(config))
    finished = file.finished()
    waiting = [part for part in plan if part_key(part) not in finished]
    reused = len(plan) - len(waiting)
    begun = time.perf_counter()
    jobs = 1 if chosen.timed else jobs
    guess = chosen.scales[scale].seconds * (1.0 if chosen.timed else 2.0 / jobs) / max(len(plan), 1)
    machine = machine_name()

    def tell(done: int, part: str = "") -> None:
        if on_advance is None:
            return
        elapsed = time.perf_counter() - begun
        now = done - reused
        each = elapsed / now if now else guess
        on_advance(Advance(done, len(plan), reused, elapsed, each * (len(plan) - done), part))

    with file.locked():
        tell(reused)
        for number, (part, found, seconds) in enumerate(_done(chosen, config, waiting, jobs), reused + 1):
            file.add(part, found, scale=scale, machine=machine, seconds=round(seconds, 3))
            tell(number, ", ".join(str(value) for value in part.values()))
    order = {part_key(part): number for number, part in enumerate(plan)}
    return chosen.evidence(sorted(file.rows, key=lambda row: order.get(row["part"], len(order))))


def judge_rows(claim: str | Claim, path: str | os.PathLike[str]) -> Evidence:
    """Judge the rows of a file again, without measuring anything.

    Raises:
        InputError: an unknown claim.
        DataError: the file cannot be read, is empty, or holds rows of another claim, or rows lack what the rule reads.
    """
    chosen = find_claim(claim) if isinstance(claim, str) else claim
    rows = read_rows(Path(path).expanduser())
    if not rows:
        raise DataError(f"{path} holds no rows; write some with: selftaught reproduce {chosen.name} --rows {path}")
    others = {str(row["config"].get("claim")) for row in rows if isinstance(row.get("config"), dict)} - {chosen.name}
    if others:
        raise DataError(f"{path} holds rows of {', '.join(sorted(others))}, not of {chosen.name}")
    if len({repr(row.get("config")) for row in rows}) > 1:
        raise DataError(f"{path} holds rows of several configurations; judge them one by one")
    try:
        return chosen.evidence(rows)
    except SelftaughtError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(f"{path} holds rows that the rule of {chosen.name} cannot read: {error!r}") from None


def _done(claim: Claim, config: Any, parts: Sequence[Part], jobs: int) -> Iterator[tuple[Part, Any, float]]:
    """Yield (part, rows, seconds) as parts end."""
    if min(jobs, len(parts)) <= 1:
        for part in parts:
            yield part, *_timed(claim, config, part)
        return
    from multiprocessing import get_context

    from selftaught.runners import clean_start

    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    with clean_start():
        pool = ProcessPoolExecutor(min(jobs, len(parts)), mp_context=context, initializer=_begin, initargs=(theirs,))
        left: dict[Future[Any], Part] = {pool.submit(_timed, claim, config, part): part for part in parts}
    try:
        while left:
            ended, _ = wait(left, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in ended:
                part = left.pop(future)
                yield part, *future.result()
        pool.shutdown()
    except BrokenProcessPool:
        raise DataError(
            "a worker process ended early (out of memory, or killed); finished rows are kept: run the same command "
            "again, with fewer --jobs"
        ) from None
    finally:
        ours.close()  # ends what is still at work when this ends early
        pool.shutdown(wait=False, cancel_futures=True)


def _timed(claim: Claim, config: Any, part: Part) -> tuple[list[dict[str, Any]], float]:
    begun = time.perf_counter()
    return claim.measure(config, part), time.perf_counter() - begun


def _begin(pipe: Connection) -> None:
    """Prepare a worker: it ends when the other end of the pipe is closed, which the parent's end does too."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone decides

    def watch() -> None:
        pipe.poll(None)
        os._exit(130)

    threading.Thread(target=watch, daemon=True).start()
