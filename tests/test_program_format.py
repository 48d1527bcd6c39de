"""What the page on the program format says is what the parser and the table of operators do."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from selftaught.errors import ProgramError
from selftaught.programs import OPERATOR_SETS, OPERATORS, format_program, parse_program, two_layer_network
from selftaught.programs.parse import MAX_INSTRUCTIONS
from selftaught.programs.program import MAX_SLOTS
from selftaught.programs.syntax import FUNCTION_NAMES
from selftaught.programs.text import FORMAT_NAME, FORMAT_VERSION

DOCS = Path(__file__).resolve().parents[1] / "docs"
TEXT = (DOCS / "program-format.md").read_text(encoding="utf-8")
EXAMPLES = [block for block in re.findall(r"```\n(.*?)```", TEXT, flags=re.DOTALL) if block.startswith(FORMAT_NAME)]


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "generate.py"))


def test_what_is_generated_is_what_the_code_would_write_now(generator: dict[str, Any]) -> None:
    written = generator["generated"]()
    assert {path.name for path in written} == {"program-format.md", "recorded-run.svg"}
    stale = [path.name for path, text in written.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "write them anew with make docs"


def test_every_row_of_the_table_reads_back_to_its_operator() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| `(.+?)` \| .+ \| (.*) \|$", TEXT, flags=re.MULTILINE)
    assert [(int(number), name) for number, name, _, _ in rows] == [(one.id, one.name) for one in OPERATORS]
    numbers = {"x": "0.5", "i": "0.25", "j": "0.75", "low": "-1", "high": "1", "mean": "0", "std": "1"}
    for number, _, written, sets in rows:
        # A word that stands for a constant is followed by no bracket: mean(v1) is a function.
        line = re.sub(r"\b(x|i|j|low|high|mean|std)\b(?!\()", lambda found: numbers[found[0]], written)
        read = parse_program(f"{FORMAT_NAME} 1\nsetup:\n s3 = 1\n {line}\npredict:\n pass\nlearn:\n pass", written)
        assert read.program.setup[1].op == int(number)
        for name, functions in OPERATOR_SETS.items():
            given = any(int(number) in ids for ids in functions.values())
            assert given == (name == "all" or name in sets.split(", "))


def test_every_function_is_explained() -> None:
    rows = [line for line in TEXT.partition("| written | means |")[2].partition("\n\n")[0].splitlines() if "`" in line]
    words = {word for row in rows for word in re.findall(r"`(\w+)[`(]", row)}
    assert words == set(FUNCTION_NAMES)


def test_the_examples_are_programs() -> None:
    good, bad = EXAMPLES[:1] + EXAMPLES[2:], EXAMPLES[1]
    assert len(good) == 3
    for text in good:
        read = parse_program(text)
        assert parse_program(format_program(read.program, read.slots, read.task)) == read
    assert parse_program(good[1]).program == two_layer_network()
    assert parse_program(good[2]).num_classes == 3
    with pytest.raises(ProgramError) as caught:
        parse_program(bad, "mine.txt")
    assert f"```\n{caught.value}\n```" in TEXT


def test_the_limits_of_the_page_are_those_of_the_parser() -> None:
    assert f"at most {MAX_SLOTS} slots" in TEXT
    assert f"at most {MAX_INSTRUCTIONS:,} instructions" in TEXT
    assert f"There is one so far, {FORMAT_VERSION}." in TEXT
    with pytest.raises(ProgramError, match="newer selftaught"):
        parse_program(EXAMPLES[0].replace(f"{FORMAT_NAME} 1", f"{FORMAT_NAME} 2"))
    with pytest.raises(ProgramError, match="the first 20 are listed"):
        parse_program(EXAMPLES[0].replace("s3 = s0 - s1", "s3 = s0 - s1\n    oops" * 30))
