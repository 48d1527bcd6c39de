"""The page in a real browser: it renders, without a word on the console."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from selftaught.report import write_report
from tests.report.made_run import program, write_run

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser is installed (looked for {', '.join(NAMES)})")
EVIL = "<script>document.title = 'run'; console.error('run')</script><img src=x onerror=console.error('run')>"


def browse(page: Path, work: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the browser without a head on a page; its console goes to the standard error."""
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={work / 'profile'}", "--enable-logging=stderr", "--v=0", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that the page's console wrote."""
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_browser_builds_what_was_written_and_hostile_texts_run_nothing(tmp_path: Path) -> None:
    text = program("pass", f"s1 = dot(v0, v1)  # {EVIL}".replace(";", ","), "pass")
    tasks = {"name": EVIL, "kind": EVIL, "metric": EVIL}
    page = write_report(write_run(tmp_path / "run", program=text, tasks=tasks, warnings=[EVIL], bias=EVIL))
    done = browse(page, tmp_path, "--dump-dom")
    assert said(done) == []
    assert "<script" not in done.stdout
    assert "<img" not in done.stdout
    # The browser's parser finds the structure that was written: nothing was moved or closed early.
    written = page.read_text(encoding="utf-8")
    for tag in ("section", "svg", "details", "li", "div", "code", "tr"):
        assert len(re.findall(f"<{tag}[ >]", done.stdout)) == len(re.findall(f"<{tag}[ >]", written)) > 0
    assert "<title>&lt;script&gt;" in done.stdout


def test_the_browser_would_have_told(tmp_path: Path) -> None:
    """The control: where the policy holds back a script, the console says so."""
    page = write_report(write_run(tmp_path / "pears"))
    text = page.read_text(encoding="utf-8").replace("</body>", "<script>document.title = 'run'</script></body>")
    page.write_text(text, encoding="utf-8")
    done = browse(page, tmp_path, "--dump-dom")
    assert len(said(done)) == 1
    assert "Content Security Policy" in said(done)[0]
    assert "<title>run</title>" not in done.stdout


def test_a_picture_of_the_page_shows_more_than_paper(tmp_path: Path) -> None:
    from PIL import Image

    page = write_report(write_run(tmp_path / "pears"))
    picture = tmp_path / "page.png"
    done = browse(page, tmp_path, f"--screenshot={picture}", "--window-size=500,2400", "--hide-scrollbars")
    assert said(done) == []
    with Image.open(picture) as image:
        colours = image.convert("RGB").getcolors(maxcolors=1 << 20) or []
    assert len(colours) > 100
    assert max(count for count, _ in colours) < 0.97 * sum(count for count, _ in colours)
    accent = sum(count for count, (r, g, b) in colours if g > r + 60 and g > b)
    assert accent > 300, "the curve and the figures in their colour"
