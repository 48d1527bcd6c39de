"""`selftaught report` and `selftaught replay`: exit codes, one line a mistake, and what they show."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from selftaught.cli import main
from selftaught.cli.line_view import LineView
from selftaught.cli.live_view import LiveView
from selftaught.programs import Progress
from selftaught.report import recording, recordings
from tests.cli.make_believe import make_believe, progress_at
from tests.report.made_run import write_run


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert isinstance(left.value.code, int)
    return left.value.code


def test_report_writes_the_page_and_prints_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "pears")
    assert run("report", str(folder)) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert run("report", str(folder), "--out", str(tmp_path / "page.html")) == 0
    assert (tmp_path / "page.html").read_bytes() == (folder / "report.html").read_bytes()


def test_open_hands_the_page_to_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    folder = write_run(tmp_path / "pears & plums")
    assert run("report", str(folder), "--open") == 0
    assert opened == [(folder / "report.html").as_uri()]


@pytest.mark.parametrize("verb", ["report", "replay"])
@pytest.mark.parametrize("damage", ["folder", "result", "history", "timeline"])
def test_a_mistake_is_one_line(tmp_path: Path, verb: str, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "pears")
    if damage == "folder":
        folder = tmp_path / "nowhere"
    elif damage == "result":
        (folder / "result.json").write_text("{")
    elif damage == "history":
        (folder / "history.jsonl").write_text('{"programs": 1}\n')
    else:
        (folder / "timeline.json").write_text("[1]")
    assert run(verb, str(folder)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("selftaught: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["--seconds", "0"], ["--speed", "-1"], ["--seconds", "5", "--speed", "5"]])
def test_a_wrong_pace_is_one_line(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("replay", str(write_run(tmp_path / "pears")), *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1


def test_replay_writes_lines_where_there_is_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    assert run("replay", str(write_run(tmp_path / "pears"))) == 0
    assert time.monotonic() - start < 50.0, "nobody watches, so nothing waits"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("pears: replay, bias free")
    assert "   0:02  76 programs, best 0.6000  learn: v1 = s0 * v0" in lines
    assert "   0:04  technique: gradient step" in lines
    assert [line.split("best ")[1].split()[0] for line in lines if "programs, best" in line] == [
        "0.5000", "0.6000", "0.8000", "0.9500",
    ]  # fmt: skip
    assert any("beats every baseline on unseen tasks" in line for line in lines)


def test_replay_ends_with_the_line_of_descent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("replay", str(write_run(tmp_path / "pears"))) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("line of descent, 4 steps"))
    assert lines[first + 1 : first + 5] == [
        "    0:01  0.5000           predict: s1 = dot(v0, v1)",
        "    0:02  0.6000  +0.1000  [linear model] learn: v1 = s0 * v0",
        "    0:04  0.8000  +0.2000  [gradient step] learn: s3 = s0 - s1, v1 = s3 * v0",
        "    0:09  0.9500  +0.1500  learn: s3 = s2 * s3, v2 = s3 * v0, v1 = v1 + v2; setup: s2 = 0.1",
    ]


def test_recordings_are_listed_and_chosen_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("replay", "--list") == 0
    listed = capsys.readouterr().out
    assert [line for line in listed.splitlines() if not line.startswith(" ")] == recordings()
    for name in recordings():
        assert json.loads((recording(name) / "recording.json").read_text())["command"] in listed
        assert run("replay", name) == 0
        out = capsys.readouterr().out
        assert f"page:    selftaught report {name}" in out
        assert "line of descent" in out
        assert run("report", name) == 0
        assert capsys.readouterr().out == f"{name}.html\n"
        assert (tmp_path / f"{name}.html").stat().st_size > 10_000
        assert not (recording(name) / "report.html").exists()
    # A finished run in a folder of that name goes before the recording; a folder with anything else does not.
    (tmp_path / "digits").mkdir()
    assert run("replay", "digits") == 0
    assert "yours:   selftaught evolve digits" in capsys.readouterr().out
    write_run(tmp_path / "digits")
    assert run("replay", "digits") == 0
    assert "pears: replay" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [(["digit"], "did you mean 'digits'"), (["nowhere"], "cifar10-pairs"), (["--list", "--speed", "2"], "leave out")],
)
def test_what_cannot_be_replayed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("replay", *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_replay_waits_when_it_is_told_how_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    assert run("replay", str(write_run(tmp_path / "pears")), "--seconds", "0.5") == 0
    assert 0.5 <= time.monotonic() - start < 50.0
    assert run("replay", "--speed", "1e6") == 0
    assert "yours:   selftaught evolve" in capsys.readouterr().out


def test_a_hostile_program_in_the_history_cannot_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "pears")
    text = (folder / "history.jsonl").read_text().replace("v1 = s3 * v0", "__import__('os')")
    (folder / "history.jsonl").write_text(text)
    assert run("replay", str(folder)) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_evolve_leaves_a_page_beside_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("selftaught.programs.evolve", make_believe(), raising=False)
    assert run("evolve", "--out", "here") == 0
    out = capsys.readouterr().out
    assert "page    here/report.html" in out
    for command in ("selftaught explain here", "selftaught replay here", "selftaught export here --out learner.py"):
        assert command in out
    page = (tmp_path / "here" / "report.html").read_text(encoding="utf-8")
    assert "selftaught explain here" in page, "the page says how to measure what it does not know"
    assert "one [odd] warning" in page
    assert "selftaught evolve --config here/config.toml --fresh" in page


def test_a_page_that_fails_never_costs_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("selftaught.programs.evolve", make_believe(), raising=False)
    (tmp_path / "here" / "report.html").mkdir(parents=True)
    assert run("evolve", "--out", "here") == 0
    assert "no page was written" in capsys.readouterr().out


def drawn(view: LiveView, on: Console) -> str:
    return "\n".join("".join(part.text for part in line) for line in on.render_lines(view, on.options))


def console(height: int = 30) -> Console:
    return Console(file=io.StringIO(), width=90, height=height, force_terminal=True, color_system=None)


def test_the_live_view_names_techniques_the_newest_first() -> None:
    on = console()
    view = LiveView(on, "pears", ["replay"])
    view.update(progress_at(10))
    assert "techniques" not in drawn(view, on)
    view.name("linear model", 2.0)
    view.name("gradient step", 64.0)
    view.name("linear model", 99.0)
    view.footer = "q ends the replay"
    text = drawn(view, on)
    assert "techniques    gradient step 1:04, linear model 0:02" in text
    assert "q ends the replay" in text
    assert "from the cache" in text
    view.update(Progress("search", 5, hit_rate=float("nan")))
    assert "from the cache" not in drawn(view, on)


@pytest.mark.parametrize("height", [14, 16, 24, 40])
def test_the_view_fits_with_techniques_too(height: int) -> None:
    on = console(height)
    view = LiveView(on, "pears", ["replay"])
    for step in range(0, 40, 10):
        view.update(progress_at(step))
    for number in range(20):
        view.name(f"technique {number}", 1.0)
    lines = drawn(view, on).splitlines()
    assert len(lines) < height
    assert max(map(len, lines)) <= 90


def test_lines_name_techniques() -> None:
    stream = io.StringIO()
    with LineView(stream, "pears", ["bias free"]) as view:
        view.name("gradient step", 3.2)
        view.update(Progress("search", 5, hit_rate=float("nan")))
    assert "   0:03  technique: gradient step\n" in stream.getvalue()
    assert "cache" not in stream.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("key", ["q", ""])
def test_in_a_terminal_the_replay_is_drawn_and_q_ends_it(tmp_path: Path, key: str) -> None:
    import fcntl
    import pty
    import termios

    folder = write_run(tmp_path / "pears")
    control, terminal = pty.openpty()
    command = [sys.executable, "-m", "selftaught", "replay", str(folder), "--seconds", "600" if key else "1"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    start = time.monotonic()
    done = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment,
        preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
    )  # fmt: skip
    os.close(terminal)
    text = b""
    sent = not key
    try:
        while True:
            try:
                block = os.read(control, 65536)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            text += block
            if not sent and b"ends the replay" in text:
                os.write(control, key.encode())
                sent = True
    finally:
        code = done.wait(timeout=300)
        os.close(control)
    assert code == 0
    assert time.monotonic() - start < 400
    screen = text.decode("utf-8", "replace")
    assert "q or Ctrl-C ends the replay" in screen
    assert "beats every baseline" in screen
    assert ("gradient step" in screen.split("line of descent")[0]) == (not key)
