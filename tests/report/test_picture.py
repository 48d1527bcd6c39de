"""The picture of a run: one SVG that stands alone, says what the chart says, and can be read on any ground."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from selftaught.report import progress_picture, read_run, recording
from selftaught.report.progress_chart import progress_chart
from tests.report.made_run import write_run

SPACE = "{http://www.w3.org/2000/svg}"


def places(svg: ElementTree.Element, space: str = "") -> list[tuple[str | None, str | None]]:
    return [(one.get("cx"), one.get("data-fitness")) for one in svg.iter(f"{space}circle")]


def test_the_picture_holds_the_chart_and_names_its_axes_and_lines() -> None:
    run = read_run(recording())
    svg = ElementTree.fromstring(progress_picture(run))
    assert places(svg, SPACE) == places(ElementTree.fromstring(progress_chart(run)))
    said = [one.text or "" for one in svg.iter(f"{SPACE}text")]
    for words in ("programs tried", "fitness", "on unseen tasks:", "search tasks 0.7550", "evolved 0.7313"):
        assert words in said
    assert any("accuracy" in one for one in said)
    _, _, width, height = map(float, str(svg.get("viewBox")).split())
    inner = next(svg.iter(f"{SPACE}svg"), svg)
    chart = next(one for one in inner if one.tag == f"{SPACE}svg")
    x, y, wide, high = (float(chart.get(key, "")) for key in ("x", "y", "width", "height"))
    assert x + wide <= width
    assert y + high <= height, "nothing is cut off"


def test_the_picture_needs_no_other_file_and_has_both_schemes() -> None:
    text = progress_picture(read_run(recording()))
    assert re.findall(r"(?i)<script|href=|url\(|@import|<image|<foreignObject|on[a-z]+=", text) == []
    assert text.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    assert "prefers-color-scheme: dark" in text
    known = set(re.findall(r"(--[a-z-]+):", text))
    assert set(re.findall(r"var\((--[a-z-]+)\)", text)) <= known


@pytest.mark.parametrize("evil", ["</svg><script>x</script>", "]]>", "a & b \"c\" 'd'", "n" * 300])
def test_no_text_of_a_run_breaks_the_picture(tmp_path: Path, evil: str) -> None:
    folder = write_run(tmp_path / "run", bias=evil, tasks={"name": evil, "metric": evil})
    svg = ElementTree.fromstring(progress_picture(read_run(folder)))
    assert not any("script" in one.tag for one in svg.iter())


def test_a_run_without_a_history_still_has_a_picture(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "history.jsonl").unlink()
    assert "evolved 0.9200" in progress_picture(read_run(folder))
