"""Reads the labelled programs beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from selftaught.programs import Program, builtin_tasks, parse_program
from selftaught.programs.explain import TECHNIQUES
from selftaught.programs.tasksets import TaskSet

FILE = Path(__file__).with_name("labelled.txt")


@dataclass(frozen=True)
class Labelled:
    name: str
    tasks: str
    part: str
    origin: str
    techniques: frozenset[str]
    near_miss: str
    program: Program


def read_labelled() -> list[Labelled]:
    found = []
    for block in FILE.read_text(encoding="utf-8").split("\n== ")[1:]:
        head, _, body = block.partition("\n")
        name, tasks, part, origin, names, *why = (word.strip() for word in head.split("|"))
        techniques = frozenset() if names == "none" else frozenset(word.strip() for word in names.split(","))
        unknown = techniques - set(TECHNIQUES)
        if unknown or part not in ("tune", "hold") or origin not in ("by hand", "evolved"):
            raise ValueError(f"{name}: {unknown or part or origin}")
        program = parse_program(f"selftaught-program 1\n{body}", name).program
        found.append(Labelled(name, tasks, part, origin, techniques, why[0] if why else "", program))
    return found


@cache
def tasks_of(kind: str) -> TaskSet:
    return builtin_tasks(kind, count=4, features=4, num_train=300, num_valid=40, seed=11)
