"""The page: one file, no script, nothing from elsewhere, every text escaped, and one line for what is damaged."""

from __future__ import annotations

import json
import os
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from selftaught.errors import InputError
from selftaught.report import appearances, line_of_descent, read_run, recording, recordings, report_page, write_report
from tests.report.made_run import WINNER, explanation, interval, program, records, result, timeline, write_run

EVIL = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "</style><script>", "]]>",
    "</title></svg><iframe src=//evil>", "javascript:alert(1)", "&lt;b&gt;", "größe 体重 \u202e‮ 🍐", "</pre><a href=x>",
]  # fmt: skip
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Collects tags and attributes, and checks that every element that opens also closes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def folder_with(tmp_path: Path, name: str, text: str | bytes) -> Path:
    folder = write_run(tmp_path / "run")
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


SAFE_TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "h1", "h2", "h3", "p",
    "em", "b", "small", "strong", "span", "div", "code", "pre", "ol", "ul", "li", "details", "summary", "table",
    "thead", "tbody", "tr", "th", "td", "ins", "del", "svg", "g", "path", "line", "rect", "circle", "text", "desc",
}  # fmt: skip
SAFE_ATTRIBUTES = {
    "class", "id", "lang", "charset", "content", "name", "http-equiv", "title", "role", "scope", "open", "aria-label",
    "aria-labelledby", "viewbox", "preserveaspectratio", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "d",
    "width", "height",
}  # fmt: skip


def assert_safe(page: str) -> Reader:
    reader = read(page)
    assert {tag for tag, _ in reader.tags} <= SAFE_TAGS
    names = {name for _, attributes in reader.tags for name in attributes}
    assert {name for name in names if not name.startswith("data-")} <= SAFE_ATTRIBUTES
    return reader


@pytest.mark.parametrize("explained", [True, False])
def test_a_page_is_made_of_safe_parts_and_points_nowhere(tmp_path: Path, explained: bool) -> None:
    page = report_page(read_run(write_run(tmp_path / "pears", explained=explained)))
    reader = assert_safe(page)
    assert re.findall(r"(?i)https?:|//[a-z]|url\(|@import|<script|<link|<a |src=|href=|javascript:", page) == []
    policy = next(one["content"] for tag, one in reader.tags if tag == "meta" and one.get("http-equiv"))
    assert str(policy).startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert page.index("Content-Security-Policy") < page.index("<style>")
    ids = [one["id"] for _, one in reader.tags if "id" in one]
    assert len(ids) == len(set(ids))
    named = {word for _, one in reader.tags for word in str(one.get("aria-labelledby") or "").split()}
    assert named <= set(map(str, ids))


def test_the_page_tells_the_figures(tmp_path: Path) -> None:
    text = " ".join(read(report_page(read_run(write_run(tmp_path / "pears")))).text.split())
    for words in (
        "beats every baseline on unseen tasks: 0.9200 against 0.9000", "bias free", "2.00 k", "v2 = s3 * v0",
        "0.9200 [0.9100, 0.9250]", "gradient step", "worth 0.4100", "6 instead of", "60 instead of 90 bits",
        "w ← w + 0.1 e x", "the winner no longer has it", "--fresh", "selftaught replay",
    ):  # fmt: skip
        assert words.replace("6 instead of", "3 instead of 6") in text


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_of_a_run_becomes_markup(tmp_path: Path, evil: str) -> None:
    text = program("pass", f"s1 = dot(v0, v1)  # {evil}".replace(";", ","), f"v1 = {evil}".replace(";", ","))
    folder = write_run(
        tmp_path / "run", program=text, bias=evil, search=evil, reason=evil, version=evil, warnings=[evil],
        baselines={evil: result()["fitness_test"]},
        tasks={"name": evil, "kind": evil, "metric": evil, "features": evil, "search": evil, "final": evil},
    )  # fmt: skip
    history = json.loads((folder / "history.jsonl").read_text().splitlines()[0]) | {"program": text}
    (folder / "history.jsonl").write_text(json.dumps(history) + "\n")
    settings: dict[str, Any] = {"data": evil, "start": evil, evil: [evil, {evil: evil}], "operators": {evil: [evil]}}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "recording.json").write_text(json.dumps({evil: evil, "command": evil}))
    drop = {"function": "learn", "line": 0, "text": evil, "drop": 0.1, "low": 0.0, "high": 0.2}
    found = {"name": evil, "found_by": evil, "instructions": [[evil, 0]], "evidence": evil, "gain": 0.1}
    (folder / "explanation.json").write_text(
        json.dumps(
            explanation(
                program=text, short=text, drops=[drop], techniques=[found], warnings=[evil],
                formulas=[{"name": evil, "latex": evil, "text": evil}],
            )
        )
    )  # fmt: skip
    moment = {"programs": 1, "elapsed": 1.0, "fitness": 0.5, "techniques": [evil], "island": 0}
    (folder / "timeline.json").write_text(json.dumps([moment]))
    (folder / "program.txt").unlink()
    page = report_page(read_run(folder))
    plain = read(report_page(read_run(write_run(tmp_path / "plain"))))
    reader = assert_safe(page)
    assert sum(tag == "style" for tag, _ in reader.tags) == sum(tag == "style" for tag, _ in plain.tags) == 1
    assert reader.text.count(evil) >= 15, "it is shown as it is"


def test_a_folder_with_a_hostile_name_is_quoted(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a <b> $(rm) 'x'")
    reader = assert_safe(report_page(read_run(folder)))
    assert "--config '" in reader.text


@pytest.mark.parametrize("missing", ["history.jsonl", "settings.json", "config.toml", "explanation.json",
                                     "timeline.json", "program.txt"])  # fmt: skip
def test_a_missing_file_costs_its_part_alone(tmp_path: Path, missing: str) -> None:
    folder = write_run(tmp_path / "run")
    (folder / missing).unlink()
    text = assert_safe(report_page(read_run(folder))).text
    assert "beats every baseline" in text
    wanted = {
        "history.jsonl": "Line of descent", "explanation.json": "In short", "timeline.json": "First seen",
        "config.toml": "--config", "program.txt": "--start", "settings.json": "1 in setup",
    }  # fmt: skip
    assert wanted[missing] not in text
    whole = assert_safe(report_page(read_run(write_run(tmp_path / "whole")))).text
    assert wanted[missing] in whole


def test_an_old_result_without_much_still_gives_a_page(tmp_path: Path) -> None:
    few = {key: result()[key] for key in ("seed", "bias", "programs", "fitness_test", "program")}
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(few))
    assert "there is no baseline to compare with" in assert_safe(report_page(read_run(folder))).text


def test_half_a_line_at_the_end_is_what_a_crash_leaves(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    whole = (folder / "history.jsonl").read_bytes()
    (folder / "history.jsonl").write_bytes(whole + whole[:70])
    assert len(read_run(folder).history) == 6
    (folder / "history.jsonl").write_bytes(whole[:-1])
    assert len(read_run(folder).history) == 6, "a whole last line without its newline counts"


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("result.json", "", "result.json is damaged"),
        ("result.json", "[1]", "an object was wanted"),
        ("result.json", b"\xff\xfe\x00", "result.json is damaged"),
        ("result.json", json.dumps({"bias": "free"}), "'program' is missing"),
        ("result.json", json.dumps(result(program="hello")), "has no setup"),
        ("result.json", json.dumps(result(program=5)), "text was wanted"),
        ("result.json", json.dumps(result(seed="one")), "a whole number was wanted"),
        ("result.json", json.dumps(result(fitness_test=interval(float("nan")))), "a finite number was wanted"),
        ("result.json", "[" * 100_000, "result.json is damaged"),
        ("result.json", "null", "an object was wanted"),
        ("result.json", json.dumps(result(programs=10**400)), "a whole number was wanted"),
        ("result.json", json.dumps(result(programs=-5)), "a count was wanted"),
        ("result.json", json.dumps(result(cpu_seconds=1e308)), "a number from 0 to"),
        ("result.json", json.dumps(result(fitness_test=interval(5.0))), "a fitness from 0 to 1 was wanted"),
        ("result.json", json.dumps(result(warnings=["half a pair \ud800"])), "surrogates not allowed"),
        ("result.json", json.dumps(result(tasks={"elapsed": float("nan")})), "a finite number was wanted"),
        ("result.json", json.dumps(result(tasks={"elapsed": 10**400})), "a finite number was wanted"),
        ("history.jsonl", "{}\n", "line 1 of"),
        ("history.jsonl", json.dumps(records()[0] | {"programs": -1}) + "\n", "a count was wanted"),
        ("history.jsonl", json.dumps(records()[0] | {"programs": 10**400}) + "\n", "a whole number was wanted"),
        ("history.jsonl", json.dumps(records()[0] | {"fitness": -7.0}) + "\n", "a fitness from 0 to 1 was wanted"),
        ("history.jsonl", json.dumps(records()[0] | {"island": 10**12}) + "\n", "an island's number below"),
        ("history.jsonl", '{"programs": tru\n', "line 1 of"),
        ("settings.json", "7", "settings.json is damaged"),
        ("explanation.json", json.dumps(explanation(drops=[{}])), "explanation.json is damaged"),
        ("explanation.json", json.dumps(explanation(short="none")), "has no setup"),
        ("explanation.json", json.dumps(explanation(techniques=[{"name": "x", "instructions": [[1]]}])), "damaged"),
        ("timeline.json", json.dumps([*timeline(), {"programs": 1}]), "timeline.json is damaged"),
        ("timeline.json", "{", "timeline.json is damaged"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, name: str, text: str | bytes, wanted: str) -> None:
    folder = folder_with(tmp_path, name, text)
    with pytest.raises(InputError) as caught:
        report_page(read_run(folder))
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(folder))


@pytest.mark.parametrize("workers", [-3, 0, 10**30, 1.5, "two", None, True])
def test_a_number_of_islands_that_cannot_be_counts_as_one(tmp_path: Path, workers: object) -> None:
    folder = folder_with(tmp_path, "settings.json", json.dumps({"workers": workers}))
    (folder / "history.jsonl").unlink()
    assert read_run(folder).islands == 1
    assert_safe(report_page(read_run(folder)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_a_file_of_a_run_that_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "settings.json").unlink()
    os.mkfifo(folder / "settings.json")
    with pytest.raises(InputError, match="is no plain file"):
        read_run(folder)


def test_a_damaged_program_in_the_history_is_one_line(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    text = (folder / "history.jsonl").read_text().replace("learn:", "learned:")
    (folder / "history.jsonl").write_text(text)
    with pytest.raises(InputError, match="has no learn"):
        report_page(read_run(folder))


def test_no_folder_and_no_result_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="goes on"):
        read_run(tmp_path)


def test_the_page_is_written_whole_and_the_same_again(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    path = write_report(folder)
    assert path == folder / "report.html"
    first = path.read_bytes()
    assert write_report(folder).read_bytes() == first
    assert sorted(one.suffix for one in folder.iterdir() if one.suffix in (".partial", ".html")) == [".html"]
    other = write_report(folder, tmp_path / "other.html")
    assert other.read_bytes() == first
    with pytest.raises(InputError, match="cannot be written"):
        write_report(folder, tmp_path / "no" / "where.html")


def test_a_page_is_quick(tmp_path: Path) -> None:
    """A run of an hour records some hundred improvements; its page must fit into what a run keeps free at its end."""
    folder = write_run(tmp_path / "run")
    line = json.loads((folder / "history.jsonl").read_text().splitlines()[-1])
    body = WINNER.replace("v1 = v1 + v2", "\n    ".join(f"v1 = v1 + v{2 + number % 7}" for number in range(30)))
    lines = [
        line | {"programs": 10 * number + 1, "parent": 10 * number - 9, "fitness": number / 400,
                "elapsed": number * 9.0, "program": body.replace("0.1", f"0.{number + 1}")}
        for number in range(300)
    ]  # fmt: skip
    (folder / "history.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    seconds = []
    for _ in range(3):  # the first one also imports; the machine may be busy with other things
        start = time.process_time()
        page = report_page(read_run(folder))
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1.0
    assert len(page) < 5_000_000


@pytest.mark.parametrize("name", recordings())
def test_a_recording_is_small_honest_and_points_nowhere(name: str) -> None:
    folder = recording(name)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000
    about = json.loads((folder / "recording.json").read_text())
    assert {"machine", "recorded", "seconds", "seed", "command", "chosen", "explained"} <= set(about)
    run = read_run(folder)
    assert about["seed"] == run.seed
    assert about["seconds"] == pytest.approx(run.elapsed, abs=0.1)
    assert about["cpu_seconds"] == pytest.approx(run.cpu_seconds, abs=0.1)
    assert "http" not in assert_safe(report_page(run)).text
    assert not any("/" in str(value) for value in run.settings.values() if isinstance(value, str))
    # Everything that a page can show is there, the whole way to the winner included.
    assert run.explanation is not None
    assert run.timeline is not None
    assert line_of_descent(run).reaches_winner
    assert {one.name for one in run.explanation.techniques} <= {one.name for one in appearances(run)}
    with pytest.raises(InputError, match="did you mean 'digits'"):
        recording("digit")


def test_the_listing_is_of_what_was_explained_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    longer = WINNER.replace("s2 = 0.1", "s2 = 0.1\n    s9 = 0.3\n    s9 = s9 + s9")
    page = read(report_page(read_run(write_run(tmp_path / "run", program=longer)))).text
    assert "2 lines of it that cannot change anything are left out" in page
    assert page.count("s9 = s9 + s9") == 1, "in the text to copy alone"


def test_a_difference_of_rounding_is_shown_as_no_gain() -> None:
    """The recorded run has five steps whose fitness differs by the last bit of a float64."""
    page = report_page(read_run(recording("digits")))
    assert page.count("±0") == 5
    assert "+0.0000" not in page


def test_a_number_and_its_per_cent_sign_stay_on_one_line(tmp_path: Path) -> None:
    page = report_page(read_run(write_run(tmp_path / "run")))
    paragraphs = " ".join(re.findall(r"<h2.*?</p>", page))
    assert "95\u00a0%" in paragraphs
    assert "95 %" not in paragraphs
