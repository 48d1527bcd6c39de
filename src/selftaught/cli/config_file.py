"""Settings in a TOML file: read one, and write the one that repeats a run."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selftaught.errors import InputError, did_you_mean
from selftaught.writing import write_atomically

__all__ = ["read_config", "write_config"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read_config(path: Path, known: Iterable[str]) -> dict[str, Any]:
    """Read settings from a TOML file; names may be written with - or _.

    Raises:
        InputError: the file cannot be read, is not TOML, or names a setting that does not exist.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"--config {path}: not a text file in UTF-8") from None
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"--config {path}: not TOML: {error}") from None
    names = list(known)
    settings: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in names:
            raise InputError(f"--config {path}: unknown setting {key!r}{did_you_mean(name, names)}")
        if name in settings:
            raise InputError(f"--config {path}: {name} is set twice, with - and with _")
        settings[name] = value
    return settings


def write_config(path: Path, settings: Mapping[str, Any], comment: str) -> None:
    """Write settings as TOML, under a line of comment; what is None is left out.

    The file is complete or not there at all.

    Raises:
        InputError: a value has no place in TOML.
    """
    plain = {name: value for name, value in settings.items() if value is not None}
    tables = {name: value for name, value in plain.items() if isinstance(value, Mapping)}
    lines = [f"# {' '.join(comment.split())}"]
    lines += [f"{_key(name)} = {_value(name, value)}" for name, value in plain.items() if name not in tables]
    for name, table in tables.items():
        lines += ["", f"[{_key(name)}]"]
        lines += [f"{_key(inner)} = {_value(inner, value)}" for inner, value in table.items() if value is not None]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name)


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
        text = repr(value)
        return text if any(mark in text for mark in ".e") else text + ".0"
    if isinstance(value, str | Path):
        return json.dumps(str(value)).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(name, one) for one in value) + "]"
    raise InputError(f"{name}: {type(value).__name__} has no place in a settings file")
