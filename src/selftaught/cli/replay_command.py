"""`selftaught replay [RUN]`: play a finished run, or one that comes with the package, in the terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from selftaught.cli.quantities import clock, count, duration, fitness, number

if TYPE_CHECKING:
    from rich.console import Console

    from selftaught.programs import Program, Progress
    from selftaught.report import RunRecord, Scene

__all__ = ["replay_command"]

SECONDS = 60.0
_STEP = 0.05  # seconds between two looks at the keyboard


def replay_command(
    run: Annotated[
        str | None,
        typer.Argument(
            help="The folder of a finished run, or a recording's name (see --list); without it the first recording.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="How long the replay takes, every improvement given its time: 60 by default.",
            parser=duration,
            metavar="TIME",
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(help="Play in proportion, so many times as fast as it was.", parser=number, metavar="X"),
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the recordings that come with the package.")] = False,
) -> None:
    """Play a recorded run in the terminal: the code as it grows, its fitness, techniques as they appear.

    q or Ctrl-C ends it.
    Where the output is no terminal a line is written for each improvement, at once unless a time or speed is given.
    """
    from rich.console import Console

    from selftaught.errors import InputError
    from selftaught.report import playback, read_run
    from selftaught.report.recorded import run_or_recording

    if show_list:
        if run is not None or seconds is not None or speed is not None:
            raise InputError("--list shows what can be replayed and plays nothing; leave out the rest")
        _list()
        return
    if seconds is not None and speed is not None:
        raise InputError("--seconds and --speed both say how fast to play; give one of them")
    folder, name = run_or_recording(run)
    record = read_run(folder)
    scenes = playback(record, seconds=SECONDS if seconds is None else seconds, speed=speed)
    programs = _programs(record)
    console = Console(highlight=False, markup=False)
    if console.is_terminal and not console.is_dumb_terminal:
        _live(console, record, scenes, programs)
    else:
        _lines(record, scenes, programs, wait=seconds is not None or speed is not None)
    _end(console, record, name=name)


def _list() -> None:
    """Write what recordings there are, each with its command, its machine and its outcome."""
    from selftaught.report import read_run, recording, recordings
    from selftaught.report.verdict import BASELINE_NAMES

    for name in recordings():
        record = read_run(recording(name))
        best = max(record.baselines, key=lambda one: record.baselines[one].mean)
        scores = f"{fitness(record.test.mean)} on unseen tasks, the {BASELINE_NAMES.get(best, best)} "
        scores += fitness(record.baselines[best].mean)
        sys.stdout.write(
            f"{name}\n"
            f"    {record.about.get('command', '')}\n"
            f"    {count(record.programs)} programs in {clock(record.elapsed)} on {record.about.get('machine', '?')}\n"
            f"    {scores}\n"
        )


def _facts(record: RunRecord) -> list[str]:
    return [
        "replay", f"bias {record.bias}", f"search {record.kind}", f"seed {record.seed}",
        "best so far on search tasks, the others on final tasks",
    ]  # fmt: skip


def _programs(record: RunRecord) -> dict[str, Program]:
    """Return the program of each text of the history, all of them read before anything is shown.

    Raises:
        InputError: one has a mistake; one line that says where.
    """
    from selftaught.errors import InputError, ProgramError
    from selftaught.programs import parse_program

    found: dict[str, Program] = {}
    for place, one in enumerate(record.history, 1):
        try:
            found[one.text] = parse_program(one.text, "program").program
        except ProgramError as error:
            first = str(error).splitlines()[0]
            raise InputError(
                f"improvement {place} of {record.folder / 'history.jsonl'} is damaged ({first}); restore the file, or "
                "run the same selftaught evolve command with --fresh"
            ) from None
    return found


def _progress(record: RunRecord, scene: Scene, programs: Mapping[str, Program]) -> Progress:
    """Return a scene as what a running search would have told; the share from the cache was not recorded."""
    from selftaught.programs import Improvement, Progress
    from selftaught.report import programs_at

    found = tuple(
        Improvement(
            programs_at(record, one.elapsed) if record.islands > 1 else one.programs, one.fitness, one.elapsed,
            one.parent, one.move, one.island, programs[one.text],
        )
        for one in scene.new
    )  # fmt: skip
    return Progress(
        "search", programs=scene.programs, programs_per_second=record.programs_per_second, hit_rate=math.nan,
        elapsed=scene.elapsed, seconds_left=scene.left, best_fitness=scene.best.fitness if scene.best else 0.0,
        best_program=found[-1].program if found else None,
        baselines={name: value.mean for name, value in record.baselines.items()}, improvements=found,
        islands=record.islands,
    )  # fmt: skip


def _live(console: Console, record: RunRecord, scenes: Iterable[Scene], programs: Mapping[str, Program]) -> None:
    from selftaught.cli.keyboard import Keyboard
    from selftaught.cli.live_view import LiveView

    start = time.monotonic()
    with Keyboard() as keyboard, LiveView(console, record.name, _facts(record)) as view:
        view.footer = f"{'q or Ctrl-C' if keyboard.listening else 'Ctrl-C'} ends the replay"
        try:
            for scene in scenes:
                while (wait := start + scene.at - time.monotonic()) > 0:
                    if "q" in keyboard.pressed().lower():
                        return
                    time.sleep(min(_STEP, wait))
                view.update(_progress(record, scene, programs))
                for one in scene.named:
                    view.name(one.name, one.elapsed)
        except KeyboardInterrupt:
            return


def _lines(record: RunRecord, scenes: Iterable[Scene], programs: Mapping[str, Program], *, wait: bool) -> None:
    """Write a line for each improvement and each technique."""
    from selftaught.cli.code_view import Code, changes_in_words, code_of

    sys.stdout.write(f"{record.name}: {', '.join(_facts(record))}\n")
    start = time.monotonic()
    code: Code | None = None
    for scene in scenes:
        if wait:
            time.sleep(max(0.0, start + scene.at - time.monotonic()))
        for found in _progress(record, scene, programs).improvements:
            before, code = code, code_of(found.program, digits=4)
            words = f"{clock(found.elapsed):>7}  {count(found.programs)} programs, best {fitness(found.fitness)}"
            sys.stdout.write(f"{words}  {changes_in_words(before, code)}".rstrip() + "\n")
        for one in scene.named:
            sys.stdout.write(f"{clock(one.elapsed):>7}  technique: {one.name}\n")
        sys.stdout.flush()


def _end(console: Console, record: RunRecord, *, name: str | None) -> None:
    """Print the winner, how it came about, the verdict, and what the recording is."""
    from rich.text import Text

    from selftaught.cli.descent_view import descent_lines
    from selftaught.report import appearances, recordings
    from selftaught.report.code import code_of_text
    from selftaught.report.verdict import verdict

    def say(text: str = "", style: str = "") -> None:
        console.print(Text(text, style), soft_wrap=not console.is_terminal)

    say()
    for function, lines in code_of_text(record.program).items():
        say(f"  {function}:", "cyan")
        for line in lines or ("pass",):
            say(f"      {line}")
    say()
    for place, line in enumerate(descent_lines(record)):
        text = Text(line, "" if place else "bold")
        if console.is_terminal and place:
            text.truncate(console.width, overflow="ellipsis" if console.encoding.lower().startswith("utf") else "crop")
        console.print(text, soft_wrap=not console.is_terminal)
    say()
    say(verdict(record.test, record.baselines, record.bias), "bold")
    named = [one.name for one in appearances(record)]
    if named:
        say(f"techniques, as they appeared: {', '.join(named)}")
    how = f"{count(record.programs)} programs in {clock(record.elapsed)}, {record.cpu_seconds:.0f} CPU seconds"
    if "machine" in record.about:
        how += f"; {record.about['machine']}"
    say(f"the run: {how}", "dim")
    if name is not None:
        say(f"page:    selftaught report {name}", "dim")
        say(f"yours:   {record.about.get('command', 'selftaught evolve')}", "dim")
        others = [one for one in recordings() if one != name]
        say(f"more:    {', '.join(f'selftaught replay {one}' for one in others)}", "dim")
    else:
        say(f"page:    selftaught report {record.folder}", "dim")
