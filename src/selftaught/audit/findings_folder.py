"""The folder of an audit: its findings, the columns of the ledger, what people are shown, and what they said of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from selftaught.audit.exemplars import taxicab
from selftaught.audit.levels import Sweep
from selftaught.audit.population import Population, join, modal_labels
from selftaught.audit.sheet import example_sheet
from selftaught.errors import InputError, did_you_mean
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.writing import write_atomically

__all__ = ["PersonsVerdict", "read_verdicts", "record_verdict", "write_findings"]

#: What a person says of an example, in the order of their numbers in the ledger.
PersonsVerdict = Literal["fine", "rare", "ambiguous", "mislabelled"]
VERDICTS: tuple[PersonsVerdict, ...] = get_args(PersonsVerdict)
AUDIT, SHEET, SAID, LEDGER = "audit.json", "sheet.json", "verdicts.json", "ledger"
LEAST_PREFIX = 4


def write_findings(
    folder: str | os.PathLike[str],
    found: Sweep,
    populations: Mapping[str, Population],
    examples: Examples,
    *,
    command: str = "",
    top: int = 48,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write an audit into a folder: `audit.json`, `sheet.json` for the page, and columns of the ledger.

    The ledger's measures have the axis `level`: `taxicab`, how far the mean probabilities of an example moved from the
    first population, and `pie`, whether its modal label changed. Verdicts that are there stay.

    Args:
        folder: made where there is none.
        found: the sweep; an audit of two populations is one of two levels.
        populations: name of each level -> its population.
        examples: what was asked about.
        command: that repeats it.
        top: examples shown, a level.
        more: what else belongs into `audit.json`.

    Raises:
        InputError: the folder cannot be written.
    """
    place = Path(folder).expanduser()
    first = populations[found.levels[0].name]
    sheets = []
    ledger = Ledger(place / LEDGER)
    for level in found.levels[1:]:
        joined = join(first, populations[level.name])
        ids = joined.before.ids
        changed = modal_labels(joined.before.probabilities)[0] != modal_labels(joined.after.probabilities)[0]
        ledger.record("taxicab", ids, taxicab(joined.before, joined.after), level=level.name)
        ledger.record("pie", ids, changed, level=level.name)
        shown = example_sheet(first, populations[level.name], examples, top=top)
        sheets.append({"level": level.name, "examples": shown})
    told = {"command": command, **found.to_dict(), **(more or {})}
    try:
        write_atomically(place / SHEET, (json.dumps({"data": examples.name, "sheets": sheets}) + "\n").encode())
        write_atomically(place / AUDIT, (json.dumps(told, indent=2) + "\n").encode())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be written ({error.strerror}); choose another --out") from None
    return place


def record_verdict(folder: str | os.PathLike[str], example: str, said: str) -> tuple[str, dict[str, str]]:
    """Record what a person says of an example; a later word takes the place of an earlier one.

    It goes to the measure `verdict` of the folder's ledger (0 fine, 1 rare, 2 ambiguous, 3 mislabelled), which other
    runs can join by id, and to `verdicts.json`, which the page reads.

    Args:
        folder: of an audit.
        example: its id, or the beginning of it, at least four characters, if no other id begins so.
        said: "fine", "rare", "ambiguous" or "mislabelled".

    Returns:
        The whole id, and all verdicts by id.

    Raises:
        InputError: the folder holds no audit, there is no such example, or the verdict is none.
    """
    place = Path(folder).expanduser()
    if said not in VERDICTS:
        raise InputError(f"a verdict is one of {', '.join(VERDICTS)}, got {said!r}{did_you_mean(said, VERDICTS)}")
    ids = _known_ids(place)
    fitting = [one for one in ids if one == example] or (
        [one for one in ids if one.startswith(example)] if len(example) >= LEAST_PREFIX else []
    )
    if len(fitting) != 1:
        told = f"{len(fitting)} examples begin with" if fitting else "there is no example"
        raise InputError(f"{told} {example!r} in {place}; take an id from its page{did_you_mean(example, ids[:200])}")
    verdicts = {**read_verdicts(place), fitting[0]: said}
    Ledger(place / LEDGER).record("verdict", [fitting[0]], np.array([VERDICTS.index(said)]))
    try:
        write_atomically(place / SAID, (json.dumps(verdicts, indent=2) + "\n").encode())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be written ({error.strerror})") from None
    return fitting[0], verdicts


def read_verdicts(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Return what people said of examples, by id, as the ledger in an audit's folder has it."""
    ledger = Ledger(Path(folder).expanduser() / LEDGER)
    if "verdict" not in ledger.measures:
        return {}
    frame = ledger.read("verdict")
    return {str(one): VERDICTS[int(value)] for one, value in zip(frame["id"], frame["value"], strict=True)}


def _known_ids(place: Path) -> list[str]:
    ledger = Ledger(place / LEDGER)
    if not (place / AUDIT).is_file() or "taxicab" not in ledger.measures:
        raise InputError(f"{place} holds no audit; give the folder that `selftaught audit --out` left")
    return [str(one) for one in ledger.read("taxicab")["id"].unique(maintain_order=True)]
