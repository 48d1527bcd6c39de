"""A program's code in columns, with the lines that changed since the last one marked."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from rich.console import OverflowMethod
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from selftaught.programs import Program

__all__ = ["Code", "changed_lines", "changes_in_words", "code_columns", "code_of", "shorter_numbers"]

Code = dict[str, list[str]]

_LONG_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])")


def code_of(program: Program, *, digits: int | None = None) -> Code:
    """Return the lines of Setup, Predict and Learn.

    Args:
        program: the program.
        digits: significant digits to show of constants; None shows all.

    >>> from selftaught.programs.program import Instruction, Program
    >>> code_of(Program(setup=(Instruction(56, 2, c0=0.123456),)), digits=3)
    {'setup': ['s2 = 0.123'], 'predict': [], 'learn': []}
    """
    code = {name: [str(instruction) for instruction in function] for name, function in program.functions()}
    if digits is None:
        return code
    return {name: [shorter_numbers(line, digits) for line in lines] for name, lines in code.items()}


def shorter_numbers(line: str, digits: int) -> str:
    """Return a line with the constants in it cut to so many significant digits."""
    return _LONG_NUMBER.sub(lambda found: min((f"{float(found[0]):.{digits}g}", found[0]), key=len), line)


def changed_lines(before: Code | None, after: Code) -> dict[str, set[int]]:
    """Return the numbers of the lines of each function that are new or different."""
    changed: dict[str, set[int]] = {}
    for name, lines in after.items():
        old = [] if before is None else before.get(name, [])
        matcher = difflib.SequenceMatcher(None, old, lines, autojunk=False)
        changed[name] = {
            line for tag, _, _, start, end in matcher.get_opcodes() if tag != "equal" for line in range(start, end)
        }
    return changed


def changes_in_words(before: Code | None, after: Code) -> str:
    """Name the lines that are new or different, or say how many have gone.

    >>> changes_in_words({"learn": ["s2 = s0 - s1"]}, {"learn": ["s2 = s0 - s1", "v1 = v1 + v2"]})
    'learn: v1 = v1 + v2'
    """
    changed = changed_lines(before, after)
    parts = [
        f"{name}: {', '.join(after[name][line] for line in sorted(changed[name]))}"
        for name in reversed(after)  # what is learnt says more than the constants that it starts from
        if changed[name]
    ]
    gone = sum(map(len, before.values())) - sum(map(len, after.values())) if before else 0
    if not parts and gone > 0:
        return f"{gone} line{'s' * (gone > 1)} less"
    return "; ".join(parts)


def code_columns(code: Code, changed: dict[str, set[int]], *, width: int, height: int, plain: bool = False) -> Table:
    """Lay the three functions side by side, each with its title, in at most `height` lines.

    Args:
        code: the lines of each function.
        changed: the lines to mark.
        width: cells.
        height: lines, the titles included; at least 2.
        plain: use ASCII alone.
    """
    table = Table.grid(padding=(0, 1), expand=True)
    for _ in code:
        cut: OverflowMethod = "crop" if plain else "ellipsis"
        table.add_column(ratio=1, no_wrap=True, overflow=cut, width=width // len(code) - 1)
    table.add_row(*(Text(f"  {name}", "bold cyan") for name in code))
    room = max(1, height - 1)
    columns = [_column(lines, changed.get(name, set()), room, plain) for name, lines in code.items()]
    for number in range(max(len(column) for column in columns)):
        table.add_row(*(column[number] if number < len(column) else Text("") for column in columns))
    return table


def _column(lines: list[str], changed: set[int], room: int, plain: bool) -> list[Text]:
    """Return the lines of one function, cut so that the changed ones stay in sight."""
    if not lines:
        return [Text("  (nothing)", "dim italic")]
    first, last = 0, len(lines)
    if last > room:
        shown = max(1, room - 1)
        newest = max(changed, default=0)
        first = max(0, min(newest - shown // 2, len(lines) - shown))
        last = first + shown
    sign = "> " if plain else "▸ "
    column = [
        Text(sign + lines[number], "bold green") if number in changed else Text("  " + lines[number])
        for number in range(first, last)
    ]
    if last - first < len(lines):
        column.append(Text(f"  {'...' if plain else '…'} {len(lines) - (last - first)} more", "dim"))
    return column
