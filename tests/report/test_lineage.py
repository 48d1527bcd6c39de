"""The line of descent and the timeline of a hand-made history, of which every answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selftaught.report import appearances, line_of_descent, read_run
from selftaught.report.code import changes, code_of_text
from tests.report.made_run import FIRST, SECOND, THIRD, WINNER, program, write_run


def one_island(folder: Path, **other: object) -> Path:
    """The hand-made run without its second island."""
    write_run(folder, **other)
    lines = (folder / "history.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["island"] == 0]
    (folder / "history.jsonl").write_text("\n".join(kept) + "\n")
    return folder


def test_the_winner_is_followed_back_to_the_empty_program(tmp_path: Path) -> None:
    line = line_of_descent(read_run(one_island(tmp_path)))
    assert [step.record.text for step in line.steps] == [FIRST, SECOND, THIRD, WINNER]
    assert [step.link for step in line.steps] == ["first", "child", "gap", "child"]
    assert [step.gain for step in line.steps] == pytest.approx([0.5, 0.1, 0.2, 0.15])
    assert sum(step.gain for step in line.steps) == pytest.approx(0.95)
    assert line.gaps == 1
    assert line.reaches_winner
    assert line.certain


def test_the_changes_of_a_step_lead_from_one_program_to_the_next(tmp_path: Path) -> None:
    steps = line_of_descent(read_run(one_island(tmp_path))).steps
    assert [(one.function, one.kind, one.text) for one in steps[2].changes] == [
        ("predict", " ", "s1 = dot(v0, v1)"),
        ("learn", "-", "v1 = s0 * v0"),
        ("learn", "+", "s3 = s0 - s1"),
        ("learn", "+", "v1 = s3 * v0"),
    ]
    assert steps[2].changed == 3
    before = code_of_text(program())
    for step in steps:
        after = {
            name: tuple(one.text for one in step.changes if one.function == name and one.kind != "-") for name in before
        }
        assert after == step.record.code
        assert all(one.kind != "-" or one.text in before[one.function] for one in step.changes)
        before = after


def test_a_gap_is_shown_against_what_was_born_before_the_lost_parent(tmp_path: Path) -> None:
    """Number 80 is younger than 60, the parent of 90, so it cannot be an ancestor."""
    one_island(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    lines.insert(2, lines[1] | {"programs": 80, "fitness": 0.7, "elapsed": 3.0, "parent": 40})
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [step.record.programs for step in line_of_descent(read_run(tmp_path)).steps] == [1, 40, 90, 700]


def test_other_islands_take_no_part_and_make_links_unsure(tmp_path: Path) -> None:
    line = line_of_descent(read_run(write_run(tmp_path)))
    assert {step.record.island for step in line.steps} == {0}
    assert not line.certain


def test_a_parent_older_than_every_record_ends_the_line_as_a_gap(tmp_path: Path) -> None:
    one_island(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()[2:]]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    line = line_of_descent(read_run(tmp_path))
    assert [step.link for step in line.steps] == ["gap", "child"]


def test_a_parent_that_is_its_own_child_ends_the_line(tmp_path: Path) -> None:
    one_island(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    lines[-1]["parent"] = lines[-1]["programs"]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(line_of_descent(read_run(tmp_path)).steps) == 1


def test_a_winner_that_is_no_improvement_stands_beside_the_best_of_its_time(tmp_path: Path) -> None:
    other = program(predict="s1 = norm(v0)")
    line = line_of_descent(read_run(one_island(tmp_path, program=other, evaluations_to_best=100, fitness_search=0.79)))
    assert [step.link for step in line.steps] == ["first", "child", "gap", "chosen"]
    assert line.steps[-1].record.text == other
    assert line.steps[-1].gain == pytest.approx(0.79 - 0.8)
    assert line.reaches_winner


def test_with_islands_a_winner_that_is_no_improvement_is_not_placed(tmp_path: Path) -> None:
    line = line_of_descent(read_run(write_run(tmp_path, program=program(predict="s1 = norm(v0)"))))
    assert not line.reaches_winner
    assert line.steps[-1].record.text == WINNER


def test_with_islands_a_winner_whose_birth_is_known_is_placed(tmp_path: Path) -> None:
    """Born as number 65 of island 0, its parent 50: after the second record there, a third of the time to the next."""
    other = program(predict="s1 = norm(v0)")
    born = {"programs": 65, "island": 0, "parent": 50, "move": 4}
    line = line_of_descent(read_run(write_run(tmp_path, program=other, fitness_search=0.7, born=born)))
    assert [(step.link, step.record.programs) for step in line.steps] == [("first", 1), ("child", 40), ("chosen", 65)]
    assert line.reaches_winner
    assert line.steps[-1].gain == pytest.approx(0.1)
    assert line.steps[-1].record.elapsed == pytest.approx(3.0)
    late = read_run(
        write_run(tmp_path, program=other, fitness_search=0.7, born=born | {"programs": 900, "parent": 700})
    )
    assert [step.record.programs for step in line_of_descent(late).steps] == [1, 40, 90, 700, 900]


def test_a_run_without_history_has_no_line(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "history.jsonl").unlink()
    line = line_of_descent(read_run(tmp_path))
    assert line.steps == ()
    assert not line.reaches_winner


def test_techniques_appear_once_with_what_their_step_gained(tmp_path: Path) -> None:
    found = appearances(read_run(write_run(tmp_path)))
    assert [(one.name, one.programs, one.elapsed) for one in found] == [
        ("linear model", 40, 2.0),
        ("gradient step", 90, 4.0),
    ]
    assert [one.gain for one in found] == pytest.approx([0.1, 0.2])
    assert [one.kept for one in found] == [False, True]
    assert [one.worth for one in found] == [None, 0.41]


def test_programs_that_were_not_the_best_of_the_run_name_nothing(tmp_path: Path) -> None:
    write_run(tmp_path)
    moments = json.loads((tmp_path / "timeline.json").read_text())
    moments[3]["techniques"] = ["noise"]  # 0.45 on island 1, when island 0 had 0.6
    (tmp_path / "timeline.json").write_text(json.dumps(moments))
    assert "noise" not in [one.name for one in appearances(read_run(tmp_path))]


def test_comments_and_pass_are_no_lines_and_changes_count_repeats() -> None:
    text = "setup:  # once\n\tpass\npredict:\n  s1 = dot(v0, v1)  # guess\n\n  # alone\nlearn:\n  pass  # nothing\n"
    assert code_of_text(text) == {"setup": (), "predict": ("s1 = dot(v0, v1)  # guess",), "learn": ()}
    twice = {**code_of_text(program()), "learn": ("v1 = v1 + v2", "v1 = v1 + v2")}
    once = {**twice, "learn": ("v1 = v1 + v2",)}
    assert sorted(one.kind for one in changes(twice, once)) == [" ", "-"]
