"""What the page on how it works shows of one instruction is what the engine does."""

from __future__ import annotations

import re
from pathlib import Path

from selftaught.programs import linear_learner, parse_program
from selftaught.programs.fusion import FUSED
from selftaught.programs.kernel import module_text
from selftaught.programs.operators import BY_NAME

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-it-works.md"


def test_the_instruction_of_the_page_is_encoded_and_emitted_as_it_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    program_text, emitted = re.findall(r"```\n(.*?)```", text, flags=re.DOTALL)
    program = parse_program(program_text, "page").program
    assert program == linear_learner(0.01)
    assert str(program.learn[2]) in text
    code, _ = program.encode()
    assert f"`0x{int(code[4, 0]):08x}`" in text
    number = BY_NAME["vector_scale"].id
    assert f"number {number} of the table" in text
    module = module_text(4, 16)
    function = module[module.index(f"@op{number}_0(") :].partition("\n}")[0]
    lines = [line.strip() for line in emitted.strip().splitlines()]
    assert [line for line in map(str.strip, function.splitlines()) if line in lines] == lines
    assert f"{len(FUSED)} frequent pairs" in text
