"""The end of an evolution on one screen: who won on unseen tasks, the program, and how to repeat it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from selftaught.cli.code_view import code_of
from selftaught.cli.quantities import count, fitness, short_count
from selftaught.report.page import REPORT
from selftaught.report.verdict import BASELINE_NAMES, FITNESS_MEANS, REASONS, described, verdict

if TYPE_CHECKING:
    from selftaught.programs import Evolution, FitnessInterval

__all__ = ["print_summary", "verdict"]

def print_summary(
    console: Console,
    found: Evolution,
    *,
    title: str,
    repeat: str,
    notes: Sequence[str] = (),
) -> None:
    """Print the table of scores, the verdict, the program and where everything is."""
    plain = not console.encoding.lower().startswith("utf")
    wrap = console.is_terminal

    def say(text: str = "", style: str = "", *, whole: bool = not wrap) -> None:
        console.print(Text(text, style), soft_wrap=whole)

    dot = " - " if plain else " · "
    head = Text(title, "bold")
    head.append(dot + dot.join((f"bias {found.bias}", f"search {found.search}", f"seed {found.seed}")), "not bold dim")
    console.print(head, soft_wrap=not wrap)
    say(dot.join(_work(found)), "dim")
    say()
    console.print(_table(found))
    say(FITNESS_MEANS.get(str(found.tasks.get("metric")), "fitness runs from 0 to 1"), "dim")
    say()
    sentence = verdict(found.fitness_test, found.baselines, found.bias)
    say(sentence, "bold green" if "beats every baseline" in sentence else "bold")
    said = described(found.techniques)
    if said:
        say(said, "bold")
    if found.reason != "target" and ("does not beat" in sentence or "draws level" in sentence):
        say(_advice(found), "dim")
    say()
    for name, lines in code_of(found.program).items():
        say(f"  {name}:", "cyan")
        for line in lines or ["pass"]:
            say(f"      {line}")
    say()
    for note in dict.fromkeys([*found.warnings, *notes]):
        say(f"note: {' '.join(note.split())}", "yellow")
    # Paths and commands stay whole, so that they can be copied.
    page = Path(found.folder) / REPORT
    if page.is_file():
        say(f"page    {_short(page)}, to open in a browser", whole=True)
    say(f"files   {_short(found.folder)}: program.txt, result.json, history.jsonl, config.toml", whole=True)
    say(f"repeat  {repeat}", whole=True)
    for number, (command, what) in enumerate(_next_commands(_short(found.folder))):
        say(f"{'next' if not number else '':<6}  {command}  {'' if plain else '→ '}{what}", whole=True)


def _advice(found: Evolution) -> str:
    """Return what may help where a baseline is as good or better."""
    ways = ["more --seconds", "another --seed"]
    if found.bias == "free" and found.search == "live":
        ways.append("--bias learner, which looks at programs shaped like learning alone")
    if found.settings.get("start", "empty") == "empty":
        ways.append("--start linear, which searches on from the hand-written learner")
    return f"What may find a better one: {'; '.join(ways)}. Until then the baseline is the better choice."


def _command() -> str:
    """Return how to call selftaught: its name, or where it lies if the shell would not find it."""
    own = Path(sys.argv[0])
    if own.name == "selftaught" and own.is_file() and shutil.which("selftaught") is None:
        return _short(own)
    return "selftaught"


def _next_commands(folder: str) -> list[tuple[str, str]]:
    """Return what to do with a finished run, each command with what it gives."""
    run, command = shlex.quote(folder), shlex.quote(_command())
    done = [
        (f"{command} explain {run}", "what each line is worth, also on the page"),
        (f"{command} replay {run}", "the run once more, in a minute"),
        (f"{command} export {run} --out learner.py", "the program as a file that runs alone"),
    ]
    width = max(len(command) for command, _ in done)
    return [(f"{command:<{width}}", what) for command, what in done]


def _work(found: Evolution) -> list[str]:
    return [
        f"{count(found.programs)} programs",
        f"{short_count(found.programs_per_second)} a second",
        f"the best after {count(found.evaluations_to_best)}",
        REASONS.get(found.reason, found.reason),
    ]


def _table(found: Evolution) -> Table:
    from selftaught.programs.presets import published_marks

    test = found.fitness_test
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False, pad_edge=False)
    table.add_column("", no_wrap=True)
    for title in ("search", "selection", f"final, {test.tasks} tasks", "95 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    best = max((score.mean for score in found.baselines.values()), default=-1.0)
    table.add_row(
        Text("evolved", "bold"),
        fitness(found.fitness_search.mean),
        fitness(found.fitness_select.mean),
        Text(fitness(test.mean), "bold green" if test.mean > best else "bold"),
        _interval(test),
    )
    for name, score in found.baselines.items():
        mean = Text(fitness(score.mean), "bold" if score.mean == best else "")
        table.add_row(BASELINE_NAMES.get(name, name), "", "", mean, _interval(score))
    for name, mark in published_marks(found.settings).items():
        table.add_row(Text(name, "dim"), "", "", Text(f"{mark:.3f}", "dim"), Text("published", "dim"))
    return table


def _interval(score: FitnessInterval) -> str:
    return f"[{fitness(score.low)}, {fitness(score.high)}]"


def _short(path: Path | str) -> str:
    """Return a path relative to here where it lies below."""
    full = Path(path).absolute()
    return str(full.relative_to(Path.cwd())) if full.is_relative_to(Path.cwd()) else str(full)
