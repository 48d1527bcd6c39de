"""Numbers as people write them and like to read them: 2e6 programs, 10m, 0:48, 0.9812."""

from __future__ import annotations

import math
import os
import re
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path

import typer

from selftaught.report.numbers import clock, count, fitness, short_count

__all__ = ["clock", "count", "duration", "fitness", "number", "process_began", "short_count", "whole_number"]

LARGEST = 2**63 - 1
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)(s|m|h|)")


def whole_number(text: str) -> int:
    """Read a whole number, also written 2e6 or 2_000_000.

    Raises:
        typer.BadParameter: it is not a whole number.

    >>> whole_number("2e6")
    2000000
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is not a whole number.") from None
    if not value.is_finite() or (value.copy_abs() <= LARGEST and value != value.to_integral_value()):
        raise typer.BadParameter(f"{text!r} is not a whole number.")
    if value.copy_abs() > LARGEST:
        raise typer.BadParameter(f"{text!r} is too large; the largest number is {LARGEST}.")
    return int(value)


def number(text: str) -> float:
    """Read a number.

    Raises:
        typer.BadParameter: it is not a finite number.

    >>> number("0.5")
    0.5
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise typer.BadParameter(f"{text!r} is not a number.")
    return value


def duration(text: str) -> float:
    """Read a number of seconds, also written 90s, 10m, 1h or 1h30m.

    Raises:
        typer.BadParameter: it is not a time.

    >>> duration("1h30m"), duration("2.5")
    (5400.0, 2.5)
    """
    word = text.strip().lower()
    parts = _DURATION.findall(word)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        raise typer.BadParameter(f"{text!r} is not a time; write seconds, or 90s, 10m, 1h30m.")
    if len(parts) > 1 and any(not unit for _, unit in parts):
        raise typer.BadParameter(f"{text!r} is not a time; write seconds, or 90s, 10m, 1h30m.")
    return sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)


def process_began() -> float:
    """Return the `time.perf_counter()` at which this process was started; now, where the system does not tell."""
    now = time.perf_counter()
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return now
    return now - max(age, 0.0)
