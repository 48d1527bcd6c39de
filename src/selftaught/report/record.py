"""A run as its folder tells it: read, checked, never run.

Nothing of a file is trusted: what is missing, of another kind or not a number is one line of error, and what is text
stays text until the page escapes it.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from selftaught.errors import InputError
from selftaught.report.code import Code, code_of_text
from selftaught.writing import RUN_FILES

__all__ = ["Explanation", "Interval", "LineWorth", "Moment", "Record", "RunRecord", "TechniqueFound", "read_run"]

MAX_BYTES = 64_000_000  # of one file; a run of a day writes a few
LARGEST = 2.0**63  # of any count or time
MOST_ISLANDS = 1_000_000
_SLACK = 1e-6  # by which a mean of float64 may miss the ends of its range
T = TypeVar("T")


@dataclass(frozen=True)
class Interval:
    """A mean over tasks with its 95 % interval.

    Args:
        mean: over the tasks.
        low, high: the ends.
        tasks: how many.
    """

    mean: float
    low: float
    high: float
    tasks: int


@dataclass(frozen=True)
class Record:
    """A line of history.jsonl: a program better than all before it on its island.

    Args:
        programs: proposed on its island when it was found; with the island, its name.
        fitness: on the search tasks.
        elapsed: seconds since the start of the run.
        parent: the number `programs` at its parent's birth, -1 for none.
        move: number of the change that made it, -1 for none.
        island: where.
        text: itself, in the text format.
    """

    programs: int
    fitness: float
    elapsed: float
    parent: int
    move: int
    island: int
    text: str

    @property
    def code(self) -> Code:
        """Its lines."""
        return code_of_text(self.text, "history.jsonl")


@dataclass(frozen=True)
class Moment:
    """A line of timeline.json: the techniques named in an improvement."""

    programs: int
    elapsed: float
    fitness: float
    techniques: tuple[str, ...]
    island: int


@dataclass(frozen=True)
class LineWorth:
    """What one line of the winner is worth: the fitness lost on unseen tasks when it goes.

    Args:
        function: "setup", "predict" or "learn".
        line: its number in the function, from 0.
        text: itself.
        drop: mean loss of fitness.
        low, high: the ends of its 95 % interval.
    """

    function: str
    line: int
    text: str
    drop: float
    low: float
    high: float


@dataclass(frozen=True)
class TechniqueFound:
    """A technique named in the winner.

    Args:
        name: of the technique.
        found_by: "structure", "behaviour" or "both".
        instructions: (function, line from 0) of the lines that make it.
        evidence: what was seen, in words.
        gain: fitness lost without it, or None where it was not measured.
    """

    name: str
    found_by: str
    instructions: tuple[tuple[str, int], ...]
    evidence: str
    gain: float | None


@dataclass(frozen=True)
class Explanation:
    """explanation.json: what the winner is made of.

    Args:
        program: what was explained.
        short: a shorter program of the same fitness, or None.
        fitness, short_fitness: of both, on unseen tasks.
        floor: the smallest drop that is not noise.
        bits: description length (before, after), or None.
        drops: the worth of each line.
        techniques: named in it.
        formulas: (name, text) of what could be written as algebra.
        warnings: what the reader should know.
    """

    program: str
    short: str | None
    fitness: Interval | None
    short_fitness: Interval | None
    floor: float
    bits: tuple[float, float] | None
    drops: tuple[LineWorth, ...]
    techniques: tuple[TechniqueFound, ...]
    formulas: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class RunRecord:
    """A finished run, read from its folder.

    Args:
        folder: where it lies.
        program: the winner's text.
        search, selection: its fitness on the tasks that chose it; None where the file does not tell.
        test: on the final tasks.
        baselines: name -> fitness on the final tasks.
        programs: proposed.
        programs_per_second: of search.
        cpu_seconds: of all processes.
        best_after: programs proposed when the winner was found.
        born: of the winner: (programs on its island, island, parent, move), or None where the run did not tell.
        seed, bias, kind, reason, version: of the run; `kind` is how it searched.
        tasks: what the tasks were.
        warnings: what the user should know.
        history: improvements in the order they were found.
        settings: of the search, empty where there is no settings.json.
        explanation: of the winner, or None.
        timeline: techniques of each improvement, or None.
        techniques: named in the winner when the run ended; those of the explanation go before them.
        about: of a recording: machine, when, how; empty for an ordinary run.
        has_config: whether config.toml is there to repeat it.
    """

    folder: Path
    program: str
    search: float | None
    selection: float | None
    test: Interval
    baselines: Mapping[str, Interval]
    programs: int
    programs_per_second: float
    cpu_seconds: float
    best_after: int
    seed: int
    bias: str
    kind: str
    reason: str
    version: str
    tasks: Mapping[str, Any]
    warnings: tuple[str, ...]
    history: tuple[Record, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    explanation: Explanation | None = None
    timeline: tuple[Moment, ...] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    born: tuple[int, int, int, int] | None = None
    techniques: tuple[str, ...] = ()
    has_config: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that a run leaves, those included that are not read; a page must not take the place of one."""
        return tuple(self.folder / name for name in RUN_FILES)

    @property
    def name(self) -> str:
        """What was learnt: the data set's name."""
        return str(self.tasks.get("name") or self.settings.get("data") or self.folder.name)

    @property
    def islands(self) -> int:
        """How many populations searched; one where settings.json does not tell."""
        workers = self.settings.get("workers")
        given = workers if isinstance(workers, int) and 1 <= workers <= MOST_ISLANDS else 1
        return max([given, *(record.island + 1 for record in self.history)])

    @property
    def elapsed(self) -> float:
        """Seconds that the run took; at least those of its last improvement."""
        last = max((record.elapsed for record in self.history), default=0.0)
        return max(float(self.tasks.get("elapsed", 0.0)), last)


def read_run(folder: str | os.PathLike[str]) -> RunRecord:
    """Read the files that `selftaught evolve` left in a run's folder.

    Args:
        folder: it. result.json must be there; history, settings, explanation and timeline may be missing.

    Raises:
        InputError: the folder or result.json is missing, or a file is damaged; one line says which and what to do.
    """
    path = Path(folder).expanduser()
    if path.is_file():
        raise InputError(f"{path} is a file; give the folder of a run, as selftaught evolve prints it")
    if not path.is_dir():
        raise InputError(f"there is no folder {path}; give the folder of a run, as selftaught evolve prints it")
    stored = _json(path / "result.json")
    if stored is _MISSING:
        raise InputError(
            f"{path} holds no result.json: the run is not finished; the selftaught evolve command that began it goes on"
        )
    return _checked(path / "result.json", lambda: _run(path, stored))


def _run(path: Path, stored: Any) -> RunRecord:
    stored = _object(stored)
    tasks = _object(stored.get("tasks", {}))
    if "elapsed" in tasks:
        _amount(tasks["elapsed"])
    settings, about = _json(path / "settings.json"), _json(path / "recording.json")
    explained, moments = _json(path / "explanation.json"), _json(path / "timeline.json")
    text = _text(stored["program"])
    code_of_text(text, "result.json")
    return RunRecord(
        folder=path, program=text, search=_maybe(stored.get("fitness_search"), _fitness),
        selection=_maybe(stored.get("fitness_select"), _fitness), test=_interval(stored["fitness_test"]),
        baselines={str(name): _interval(value) for name, value in _object(stored.get("baselines", {})).items()},
        programs=_count(stored["programs"]), programs_per_second=_amount(stored.get("programs_per_second", 0.0)),
        cpu_seconds=_amount(stored.get("cpu_seconds", 0.0)), best_after=_count(stored.get("evaluations_to_best", 0)),
        seed=_whole(stored["seed"]), bias=_text(stored["bias"]), kind=_text(stored.get("search", "live")),
        reason=_text(stored.get("reason", "")), version=_text(stored.get("version", "")), tasks=tasks,
        warnings=_texts(stored.get("warnings", [])), history=_history(path / "history.jsonl"),
        settings=_checked(path / "settings.json", lambda: _object({} if settings is _MISSING else settings)),
        explanation=None if explained is _MISSING else _checked(
            path / "explanation.json", lambda: _explanation(_object(explained))
        ),
        timeline=None if moments is _MISSING else _checked(
            path / "timeline.json", lambda: tuple(_moment(_object(one)) for one in _array(moments))
        ),
        about=_checked(path / "recording.json", lambda: _object({} if about is _MISSING else about)),
        born=_birth(_object(stored.get("born", {}))), techniques=_texts(stored.get("techniques", [])),
        has_config=(path / "config.toml").is_file(),
    )  # fmt: skip


def _history(path: Path) -> tuple[Record, ...]:
    """Return the whole lines; half a line at the end is what a crash leaves, and no damage."""
    raw = _bytes(path)
    if raw is None:
        return ()
    *lines, rest = raw.split(b"\n")
    records = [
        _checked(path, partial(_record, line), f"line {number} of ")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if rest.strip():
        with suppress(ValueError, KeyError, TypeError):
            records.append(_record(rest))
    return tuple(records)


def _record(line: bytes) -> Record:
    one = _object(_loaded(line))
    return Record(
        programs=_count(one["programs"]), fitness=_fitness(one["fitness"]), elapsed=_amount(one["elapsed"]),
        parent=_whole(one.get("parent", -1)), move=_whole(one.get("move", -1)), island=_island(one),
        text=_text(one["program"]),
    )  # fmt: skip


def _birth(one: Mapping[str, Any]) -> tuple[int, int, int, int] | None:
    if not one:
        return None
    return _count(one["programs"]), _island(one), _whole(one.get("parent", -1)), _whole(one.get("move", -1))


def _moment(one: Mapping[str, Any]) -> Moment:
    return Moment(
        programs=_count(one["programs"]), elapsed=_amount(one["elapsed"]), fitness=_fitness(one["fitness"]),
        techniques=_texts(one["techniques"]), island=_island(one),
    )  # fmt: skip


def _explanation(one: Mapping[str, Any]) -> Explanation:
    bits = one.get("bits")
    return Explanation(
        program=_program(one["program"]),
        short=_maybe(one.get("short"), _program),
        fitness=_maybe(one.get("fitness"), _interval),
        short_fitness=_maybe(one.get("short_fitness"), _interval),
        floor=_number(one.get("floor", 0.0)),
        bits=None if bits is None else (_number(_object(bits)["before"]), _number(_object(bits)["after"])),
        drops=tuple(_worth(_object(drop)) for drop in _array(one.get("drops", []))),
        techniques=tuple(_technique(_object(found)) for found in _array(one.get("techniques", []))),
        formulas=tuple(
            (_text(formula["name"]), _text(formula["text"]))
            for formula in map(_object, _array(one.get("formulas", [])))
        ),
        warnings=_texts(one.get("warnings", [])),
    )


def _worth(one: Mapping[str, Any]) -> LineWorth:
    return LineWorth(
        _text(one["function"]), _whole(one["line"]), _text(one["text"]),
        _number(one["drop"]), _number(one["low"]), _number(one["high"]),
    )  # fmt: skip


def _technique(one: Mapping[str, Any]) -> TechniqueFound:
    lines = [_array(pair) for pair in _array(one.get("instructions", []))]
    return TechniqueFound(
        _text(one["name"]), _text(one.get("found_by", "")),
        tuple((_text(function), _whole(line)) for function, line in lines),
        _text(one.get("evidence", "")), _maybe(one.get("gain"), _number),
    )  # fmt: skip


# ---- what a file may hold


def _bytes(path: Path) -> bytes | None:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path} is no plain file; {_REMEDY}")
        if found.st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB; that is no file of a run")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {_REMEDY}") from None


def _json(path: Path) -> Any:
    """Return what a file holds, `_MISSING` where there is none."""
    raw = _bytes(path)
    return _MISSING if raw is None else _checked(path, lambda: _loaded(raw))


def _loaded(raw: bytes) -> Any:
    """Return what JSON says; half a surrogate pair, which is no text that could be written again, is refused."""
    value = json.loads(raw)
    if b"\\ud" in raw.lower():
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _checked(path: Path, read: Callable[[], T], where: str = "") -> T:
    """Return what `read` gives, or raise one line that names the file."""
    try:
        return read()
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{where}{path} is damaged: {error} is missing; {_REMEDY}") from None
    except (ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{where}{path} is damaged ({reason}); {_REMEDY}") from None


_REMEDY = "restore the file, or run the same selftaught evolve command with --fresh"
_MISSING = object()


def _number(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or (isinstance(value, int) and abs(value) > LARGEST) or not math.isfinite(value):
        raise ValueError(f"a finite number was wanted, got {str(value)[:40]!r}")
    return float(value)


def _amount(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= LARGEST:
        raise ValueError(f"a number from 0 to {LARGEST:g} was wanted, got {number:g}")
    return number


def _fitness(value: Any) -> float:
    number = _number(value)
    if not -_SLACK <= number <= 1 + _SLACK:
        raise ValueError(f"a fitness from 0 to 1 was wanted, got {number:g}")
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        raise ValueError(f"a whole number was wanted, got {str(value)[:40]!r}")
    return value


def _count(value: Any) -> int:
    if _whole(value) < 0:
        raise ValueError(f"a count was wanted, got {value}")
    return int(value)


def _island(one: Mapping[str, Any]) -> int:
    number = _count(one.get("island", 0))
    if number >= MOST_ISLANDS:
        raise ValueError(f"an island's number below {MOST_ISLANDS} was wanted, got {number}")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text was wanted, got {str(value)[:40]!r}")
    return value


def _program(value: Any) -> str:
    code_of_text(_text(value), "explanation.json")
    return str(value)


def _array(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise ValueError(f"a list was wanted, got {str(value)[:40]!r}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(one) for one in _array(value))


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"an object was wanted, got {str(value)[:40]!r}")
    return value


def _maybe(value: Any, read: Callable[[Any], T]) -> T | None:
    return None if value is None else read(value)


def _interval(value: Any) -> Interval:
    one = _object(value)
    return Interval(_fitness(one["mean"]), _number(one["low"]), _number(one["high"]), _count(one["tasks"]))
