"""What the views show: bars, changed lines, and that everything fits the terminal."""

from __future__ import annotations

import io
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from selftaught.cli.bars import bar, scale
from selftaught.cli.code_view import changed_lines, changes_in_words, code_columns, code_of
from selftaught.cli.line_view import LineView
from selftaught.cli.live_view import LiveView
from selftaught.cli.quantities import clock, duration, fitness, short_count, whole_number
from selftaught.cli.summary import print_summary, verdict
from selftaught.programs import Improvement, Progress
from selftaught.programs.program import Instruction, Program
from tests.cli.make_believe import BASELINES, STEP_2, STEP_3, interval, make_believe, progress_at

LONG = Program(*[tuple(Instruction(64 - 5, 1 + line % 5, c0=-0.123456 * line, c1=9.87654) for line in range(21))] * 3)


def console(width: int, height: int, encoding: str = "utf-8") -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=file, width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False)


def drawn(view: LiveView, on: Console) -> list[str]:
    """The lines of a view as text."""
    return ["".join(part.text for part in line).rstrip() for line in on.render_lines(view, on.options)]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16), (40, 14)])
@pytest.mark.parametrize("program", [STEP_3, LONG, Program()])
def test_the_view_fits_the_terminal(size: tuple[int, int], program: Program) -> None:
    on = console(*size)
    view = LiveView(on, "a data set with a very long name " * 4, ["bias free", "search live", "seed 0"])
    for step in range(0, 40, 10):
        view.update(progress_at(step))
    view.update(Progress("search", 99, best_fitness=0.5, best_program=program, seconds_left=3.0))
    lines = drawn(view, on)
    assert len(lines) < size[1]
    assert max(len(line) for line in lines) <= size[0]
    assert any("best so far" in line for line in lines)
    assert "Ctrl-C ends well" in lines[-1]


def test_the_view_shows_the_floor_first_and_then_the_program() -> None:
    on = console(80, 24)
    view = LiveView(on, "digits", ["bias free"])
    view.update(Progress("baselines", baselines=BASELINES))
    assert any("linear" in line and "0.9612" in line for line in drawn(view, on))
    view.update(progress_at(10))
    view.update(progress_at(20))
    text = "\n".join(drawn(view, on))
    assert "▸ v1 = step(v1)" in text
    assert "▸ s2 = 0.0123" not in text
    assert "182 k programs/s" in text
    assert "43 % from the cache" in text
    assert "1:00" in text
    view.stopping = True
    assert "ending well" in drawn(view, on)[-1]


def test_a_terminal_without_unicode_gets_ascii() -> None:
    on = console(80, 24, "ascii")
    view = LiveView(on, "digits", ["bias free"])
    for step in (10, 20):
        view.update(progress_at(step))
    assert "\n".join(drawn(view, on)).isascii()


def test_lines_that_changed_are_found() -> None:
    before, after = code_of(STEP_2), code_of(STEP_3)
    assert changed_lines(before, after) == {"setup": set(), "predict": set(), "learn": {3}}
    assert changed_lines(None, after)["learn"] == {0, 1, 2, 3}
    assert changed_lines(after, before)["learn"] == set()


def test_a_long_function_keeps_its_changed_line_in_sight() -> None:
    on = console(90, 40)
    code = {"setup": [], "predict": [], "learn": [f"line {number}" for number in range(45)]}
    table = code_columns(code, {"learn": {30}}, width=90, height=8)
    text = "\n".join("".join(part.text for part in line) for line in on.render_lines(table, on.options))
    assert "▸ line 30" in text
    assert "39 more" in text
    assert "(nothing)" in text


def test_what_an_improvement_brought_is_said_in_words() -> None:
    before, after = code_of(STEP_2), code_of(STEP_3)
    assert changes_in_words(before, after) == "learn: v1 = step(v1)"
    assert changes_in_words(after, before) == "1 line less"
    assert changes_in_words(after, after) == ""


def test_only_improvements_over_all_islands_are_listed() -> None:
    on = console(100, 40)
    view = LiveView(on, "digits", ["bias free"])
    found = [Improvement(number, fitness, 1.0, -1, -1, 0, STEP_2) for number, fitness in enumerate([0.5, 0.4, 0.75])]
    view.update(Progress("search", 9, improvements=tuple(found), best_program=STEP_2, best_fitness=0.75))
    text = "\n".join(drawn(view, on))
    assert "0.5000" in text
    assert "0.7500" in text
    assert "0.4000" not in text


def test_constants_are_shortened_in_the_view_alone() -> None:
    program = Program(setup=(Instruction(56, 2, c0=0.0123456789),))
    assert code_of(program, digits=4)["setup"] == ["s2 = 0.01235"]
    assert code_of(program)["setup"] == ["s2 = 0.012345679"]


def test_a_bar_is_as_long_as_its_value() -> None:
    assert bar(0.5, (0.0, 1.0), 10).plain == "█████     "
    assert bar(2.0, (0.0, 1.0), 4).plain == "████"
    assert bar(float("nan"), (0.0, 1.0), 4).plain == "    "
    assert bar(0.5, (0.0, 1.0), 10, mark=0.75, plain=True).plain == "#####  |  "
    assert bar(1.0, (0.0, 1.0), 10, mark=1.0).plain == "█████████│"
    assert scale([]) == (0.0, 1.0)
    assert scale([0.96, 0.99]) == (0.95, 1.0)


@pytest.mark.parametrize(("mean", "wanted"), [
    (0.99, "beats every baseline"), (0.973, "call it a tie"), (0.9707, "draws level"),
    (0.968, "does not beat the best baseline on unseen tasks: 0.9680 against 0.9707 of the two-layer net; the inter"),
    (0.9, "does not beat the best baseline on unseen tasks: 0.9000 against 0.9707 of the two-layer net."),
])  # fmt: skip
def test_the_verdict_is_honest_and_names_the_bias(mean: float, wanted: str) -> None:
    baselines = {name: interval(value) for name, value in BASELINES.items()}
    sentence = verdict(interval(mean), baselines, "learner")
    assert wanted in sentence
    assert "bias learner" in sentence


def test_lines_come_every_few_seconds_and_at_each_phase() -> None:
    stream = io.StringIO()
    with LineView(stream, "digits", ["bias free"], every=3600.0) as view:
        view.update(Progress("baselines", baselines=BASELINES))
        for step in range(50):
            view.update(progress_at(step))
        view.update(Progress("final"))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "digits: bias free"
    assert sum("/s" in line for line in lines) == 1
    assert sum("linear 0.9612" in line for line in lines) == 1
    assert "scoring the winner" in lines[-1]


def test_numbers_read_and_written() -> None:
    assert [duration(text) for text in ("90", "1.5m", "1h30m", "2h")] == [90.0, 90.0, 5400.0, 7200.0]
    assert [whole_number(text) for text in ("12", "2e6", "2_000")] == [12, 2_000_000, 2000]
    assert [clock(seconds) for seconds in (0.0, 61.9, 3600.0, None, float("inf"))] == [
        "0:00",
        "1:01",
        "1:00:00",
        "-",
        "-",
    ]
    assert fitness(0.99999996) == "0.999999"
    assert fitness(float("nan")) == "-"
    assert short_count(99_999) == "100 k"


def test_marks_of_others_stand_beside_a_run_on_their_data(tmp_path: Path) -> None:
    found = make_believe(steps=3)(on_progress=lambda _: None, began=time.perf_counter(), out=tmp_path)
    same_data = replace(found, settings={"preset": "projected_pairs", "data": "cifar10"})
    on = Console(file=io.StringIO(), width=80)
    print_summary(on, same_data, title="cifar10", repeat="again")
    text = on.file.getvalue()
    assert re.search(r"100 processes +0\.707 +published", text)
    assert "…" not in text
    assert "0.729" in same_data.compare()
    other = Console(file=io.StringIO(), width=80)
    print_summary(other, found, title="digits", repeat="again")
    assert "published" not in other.file.getvalue() + found.compare()
