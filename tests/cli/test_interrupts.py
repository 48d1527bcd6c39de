"""Ctrl-C, q and the terminal: a run that is stopped keeps what it has, and the terminal is as before."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from selftaught.cli import main
from tests.cli.make_believe import make_believe

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
sys.path[:0] = [{root!r}, {root!r} + "/src"]
import selftaught.programs
from tests.cli.make_believe import make_believe
selftaught.programs.evolve = make_believe(steps=600, delay=0.02)
from selftaught.cli import main
main(sys.argv[1:])
"""


def run(evolve: Any, monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("selftaught.programs.evolve", evolve, raising=False)
    with pytest.raises(SystemExit) as left:
        main(["evolve"])
    assert isinstance(left.value.code, int)
    return left.value.code


def read(terminal: int) -> bytes:
    """What stands ready in a terminal, after a moment."""
    select.select([terminal], [], [], 0.05)
    try:
        return os.read(terminal, 65536)
    except BlockingIOError:
        return b""


def interrupt_at(*steps: int) -> Any:
    return lambda step: signal.raise_signal(signal.SIGINT) if step in steps else None


def test_one_interrupt_ends_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(make_believe(steps=600, at_step=interrupt_at(5)), monkeypatch, tmp_path) == 0
    out = capsys.readouterr().out
    assert "stopped by you" in out
    assert "91,171 programs" in out
    assert (tmp_path / "selftaught-runs" / "digits-0123abcd" / "config.toml").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_stops_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def twice(step: int) -> None:
        if step == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    assert run(make_believe(at_step=twice), monkeypatch, tmp_path) == 130
    out, err = capsys.readouterr()
    assert "The evolved program" not in out
    assert err == "selftaught: interrupted\n"


def test_an_interrupt_before_anything_is_found_is_130(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(make_believe(at_step=interrupt_at(0)), monkeypatch, tmp_path) == 130
    assert capsys.readouterr().err == "selftaught: interrupted\n"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m selftaught --help-json | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize(("keys", "code"), [(b"q", 0), (b"\x03", 0), (b"\x03\x03", 130)])
def test_keys_in_a_terminal(keys: bytes, code: int, tmp_path: Path) -> None:
    import pty
    import termios

    parent, child = pty.openpty()
    before = termios.tcgetattr(child)
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "90", "LINES": "30", "PYTHONUTF8": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN.format(root=str(ROOT)), "evolve", "--seconds", "60"],
        stdin=child, stdout=child, stderr=child, cwd=tmp_path, env=environment,
        preexec_fn=lambda: (os.setsid(), __import__("fcntl").ioctl(0, termios.TIOCSCTTY, 0)),
    )  # fmt: skip
    seen = b""
    try:
        deadline = time.monotonic() + 30
        os.set_blocking(parent, False)
        while b"from the cache" not in seen and process.poll() is None and time.monotonic() < deadline:
            seen += read(parent)
        for number, key in enumerate(keys):
            while number and b"ending well" not in seen and time.monotonic() < deadline:
                seen += read(parent)
            os.write(parent, bytes([key]))
        while process.poll() is None and time.monotonic() < deadline:
            seen += read(parent)
        assert process.wait(timeout=5) == code
        assert termios.tcgetattr(child) == before
    finally:
        process.kill()
        process.wait()
        os.close(child)
        os.close(parent)
    text = seen.decode()
    assert "q or Ctrl-C ends well" in text
    assert not re.search(r"\x1b\[[0-9;]*(3|4|9)[0-7]m", text), "NO_COLOR is respected"
