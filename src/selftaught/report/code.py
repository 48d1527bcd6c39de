"""A program's text as lines of code, and what changed between two of them.

The text is shown and never run, so it is split into its functions here; `selftaught.programs.parse_program` is what
reads it as a program.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from selftaught.errors import InputError

__all__ = ["FUNCTIONS", "NOTHING", "Change", "Code", "changes", "code_of_text"]

FUNCTIONS = ("setup", "predict", "learn")
Code = Mapping[str, tuple[str, ...]]
#: The empty program, from which every search begins that is given nothing.
NOTHING: Code = {name: () for name in FUNCTIONS}


@dataclass(frozen=True)
class Change:
    """A line that came, went or stayed.

    Args:
        function: "setup", "predict" or "learn".
        kind: "+", "-" or " ".
        text: the line.
    """

    function: str
    kind: Literal["+", "-", " "]
    text: str


def code_of_text(text: str, source: str = "the program") -> Code:
    r"""Return the lines of setup, predict and learn, without indentation; `pass` is no line.

    Raises:
        InputError: one of the three is missing.

    >>> code_of_text("setup:\n    s2 = 0.5\npredict:\n    pass\nlearn:\n    pass")["setup"]
    ('s2 = 0.5',)
    """
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        name = line.split("#", 1)[0].strip()
        if line[:1].isspace():
            if name and name != "pass":
                current.append(line.strip())
        elif name.endswith(":") and name[:-1] in FUNCTIONS:
            current = found.setdefault(name[:-1], [])
    missing = [name for name in FUNCTIONS if name not in found]
    if missing:
        raise InputError(f"{source} is damaged: its program has no {missing[0]}; run selftaught evolve again")
    return {name: tuple(found[name]) for name in FUNCTIONS}


def changes(before: Code, after: Code) -> list[Change]:
    """Return every line of both, in order, as it stayed, went or came.

    >>> [change.kind for change in changes(NOTHING, {**NOTHING, "learn": ("v1 = v1 + v2",)})]
    ['+']
    """
    found = []
    for name in FUNCTIONS:
        old, new = before[name], after[name]
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        for tag, i, j, k, m in matcher.get_opcodes():
            if tag == "equal":
                found += [Change(name, " ", line) for line in new[k:m]]
            else:
                found += [Change(name, "-", line) for line in old[i:j]]
                found += [Change(name, "+", line) for line in new[k:m]]
    return found
