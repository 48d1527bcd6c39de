"""The charts say what the data say: every drawn place reads back as the number it stands for."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selftaught.report import RunRecord, read_run, recording
from selftaught.report.code import code_of_text
from selftaught.report.forest_plot import contestants, forest_axis, forest_plot
from selftaught.report.listing import ablation_bar, program_listing, worth_of_lines
from selftaught.report.progress_chart import best_so_far, progress_chart
from selftaught.report.svg import Axis, count_axis, fitness_axis, linear_axis, nice_ticks
from tests.report.made_run import WINNER, interval, write_run

WIDTHS = [860, 400]


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    return read_run(write_run(tmp_path / "pears"))


def drawing(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_curve_holds_the_best_fitness_so_far(run: RunRecord, width: int) -> None:
    svg = drawing(progress_chart(run, width=width))
    dots = [one for one in svg.iter("circle") if one.get("class") == "dot"]
    assert [(int(one.get("data-programs", "")), float(one.get("data-fitness", ""))) for one in dots] == [
        (4, 0.5), (76, 0.6), (294, 0.8), (1402, 0.95),
    ]  # fmt: skip
    # The other island had proposed 3/1.1, 3 + 52 * 0.9/1.4, 55 + 945 * 1.5/9.5 and 55 + 945 * 6.5/9.5 programs by then.
    # Places are straight lines of log programs and of fitness: two known ones give all others.
    xs, ys = ([float(one.get(key, "")) for one in dots] for key in ("cx", "cy"))
    for number, (programs, fitness) in enumerate([(4, 0.5), (76, 0.6), (294, 0.8), (1402, 0.95)]):
        along = math.log10(programs / 4) / math.log10(1402 / 4)
        assert xs[number] == pytest.approx(xs[0] + (xs[3] - xs[0]) * along, abs=0.02)
        assert ys[number] == pytest.approx(ys[0] + (ys[3] - ys[0]) * (fitness - 0.5) / 0.45, abs=0.02)
    assert ys == sorted(ys, reverse=True), "better is higher"
    path = next(one for one in svg.iter("path") if one.get("class") == "curve").get("d", "")
    assert [float(y) for y in re.findall(r"V([\d.]+)", path)] == ys[1:]


@pytest.mark.parametrize("width", WIDTHS)
def test_baselines_and_the_winner_lie_where_they_belong(run: RunRecord, width: int) -> None:
    svg = drawing(progress_chart(run, width=width))
    dots = [one for one in svg.iter("circle") if one.get("class") == "dot"]
    low, high = float(dots[0].get("cy", "")), float(dots[3].get("cy", ""))
    lines = {one.get("data-baseline"): one for one in svg.iter("line") if one.get("data-baseline")}
    assert set(lines) == {"linear", "net", "reference"}
    final = next(one for one in svg.iter("circle") if one.get("class") == "final" and one.get("data-fitness"))
    places = {0.9: lines["linear"].get("y1"), 0.85: lines["net"].get("y1"), 0.92: final.get("cy")}
    for fitness, y in places.items():
        assert float(y or "nan") == pytest.approx(low + (high - low) * (fitness - 0.5) / 0.45, abs=0.02)
    assert [float(final.get(f"data-{key}", "")) for key in ("low", "high")] == pytest.approx([0.91, 0.925])


@pytest.mark.parametrize("width", WIDTHS)
def test_the_curve_and_every_line_are_named_and_no_name_covers_another(run: RunRecord, width: int) -> None:
    svg = drawing(progress_chart(run, width=width))
    names = [one for one in svg.iter("text") if "name" in str(one.get("class")).split()]
    said = [one.text or "" for one in names]
    assert len(said) == 5
    for words in ("search tasks 0.9500", "evolved", "linear learner 0.9000", "two-layer net 0.8500", "0.7000"):
        assert any(words in one for one in said)
    places = sorted(float(one.get("y", "")) for one in names)
    assert min(b - a for a, b in pairwise(places)) >= 14.9


@pytest.mark.parametrize("width", WIDTHS)
def test_techniques_are_marked_on_the_curve(run: RunRecord, width: int) -> None:
    svg = drawing(progress_chart(run, width=width))
    dots = {one.get("data-programs"): one for one in svg.iter("circle") if one.get("class") == "dot"}
    marks = {one.get("data-technique"): one for one in svg.iter("g") if one.get("data-technique")}
    assert set(marks) == {"linear model", "gradient step"}
    for mark in marks.values():
        circle = next(one for one in mark.iter("circle"))
        dot = dots[mark.get("data-programs")]
        assert (circle.get("cx"), circle.get("cy")) == (dot.get("cx"), dot.get("cy"))
    tags = [next(mark.iter("rect")) for mark in marks.values()]
    boxes = [[float(tag.get(key, "")) for key in ("x", "y", "width")] for tag in tags]
    assert all(x >= 0 and x + size <= width for x, _, size in boxes)
    (x1, y1, size), (x2, y2, _) = sorted(boxes)
    assert y1 != y2 or x1 + size <= x2, "labels do not cover one another"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_forest_plot_reads_back(run: RunRecord, width: int) -> None:
    axis = forest_axis(run, width)
    rows = [one for one in drawing(forest_plot(run, width=width)).iter("g") if one.get("data-name")]
    means = [0.92, 0.9, 0.85, 0.7]
    assert [float(one.get("data-mean", "")) for one in rows] == means
    assert rows[0].get("class") == "evolved"
    for mean, row in zip(means, rows, strict=True):
        line = next(one for one in row.iter("line"))
        ends = [axis.value(float(line.get(key, ""))) for key in ("x1", "x2")]
        assert ends == pytest.approx([mean - 0.01, mean + 0.005], abs=1e-4)


def test_contestants_are_ordered_by_their_mean(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, fitness_test=interval(0.8)))
    assert [name for name, _ in contestants(run)][2] == "evolved program"


def test_the_bar_of_a_line_is_as_long_as_its_worth(run: RunRecord) -> None:
    code = code_of_text(WINNER)
    worth = worth_of_lines(code, run.explanation)
    assert set(worth) == {("learn", 2), ("setup", 0)}
    bar = drawing(ablation_bar(worth["learn", 2], 0.5, 0.002))
    assert bar.get("class") == "worth"
    assert float(next(bar.iter("rect")).get("width", "")) == pytest.approx(80.0)
    line = next(bar.iter("line"))
    assert [float(line.get(key, "")) for key in ("x1", "x2")] == pytest.approx([76.0, 82.0])
    idle = drawing(ablation_bar(worth["setup", 0], 0.5, 0.002))
    assert idle.get("class") == "worth idle"
    assert float(next(idle.iter("rect")).get("width", "")) == 0.0
    listing = program_listing(code, explanation=run.explanation)
    assert re.findall(r'data-drop="([^"]+)"', listing) == ["-0.001", "0.4"]


def test_a_measurement_follows_its_line_where_the_explained_program_was_shorter(run: RunRecord) -> None:
    code = dict(code_of_text(WINNER))
    code["learn"] = ("s4 = s0 + s0", "s4 = s0 + s0", "s4 = s0 + s0", *code["learn"])
    assert ("learn", 5) in worth_of_lines(code, run.explanation)


def test_the_recorded_run_draws_all_of_its_improvements() -> None:
    run = read_run(recording())
    svg = drawing(progress_chart(run))
    drawn = [float(one.get("data-fitness", "")) for one in svg.iter("circle") if one.get("class") == "dot"]
    assert drawn == [one.fitness for one in best_so_far(run.history)]
    assert len(drawn) > 20


@settings(deadline=None)
@given(st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=8), st.floats(0, 1, allow_subnormal=False))
def test_axes_read_back_and_keep_order(values: list[float], inside: float) -> None:
    for axis in (fitness_axis(values, 300.0, 20.0), linear_axis(values, 0.0, 500.0), count_axis(1e6, 10.0, 600.0)):
        assert axis.high > axis.low
        value = axis.low + inside * (axis.high - axis.low)
        assert axis.value(axis.place(value)) == pytest.approx(value, rel=1e-6, abs=1e-6)
        assert all(axis.low - 1e-9 <= tick <= axis.high + 1e-9 for tick in axis.ticks)
        assert abs(axis.place(axis.low) - axis.start) < 1e-6
        assert abs(axis.place(axis.high) - axis.end) < 1e-6
        assert axis.place(-1e9) == pytest.approx(axis.start)


def test_an_axis_stretches_near_one_alone() -> None:
    assert fitness_axis([0.5, 0.9999], 0.0, 1.0).kind == "near one"
    assert fitness_axis([0.5, 0.93], 0.0, 1.0).kind == "linear"
    assert fitness_axis([1.0, 0.1], 0.0, 1.0).place(1.0) == 1.0
    axis = Axis(0.0, 0.999, 0.0, 3.0, "near one", ())
    assert [axis.place(value) for value in (0.9, 0.99, 0.999)] == pytest.approx([1.0, 2.0, 3.0])


def test_ticks_are_round() -> None:
    assert nice_ticks(0.953, 0.991) == (0.96, 0.97, 0.98, 0.99)
    assert nice_ticks(0.5, 0.5) == (0.5,)
