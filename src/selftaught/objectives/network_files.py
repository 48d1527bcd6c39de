"""Read the network that somebody names: one of the family, or the file that a search or a scaling left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from selftaught.errors import InputError, did_you_mean
from selftaught.spaces import EFFICIENTNETS, efficientnet, network_from_json

__all__ = ["named_network"]


def named_network(name: str) -> Any:
    """Return a network by its name, or from a JSON file: a network, or a search's `candidate.json` or its folder.

    Raises:
        InputError: there is no such network or file, or the file holds none.

    >>> named_network("b0").resolution
    224
    """
    path = Path(name).expanduser()
    if path.is_dir():
        path = path / "candidate.json"
    if not path.is_file():
        known = name.lower().removeprefix("efficientnet").lstrip("-_")
        if known in EFFICIENTNETS:
            return efficientnet(name)
        raise InputError(
            f"{name!r} is neither a network ({', '.join(EFFICIENTNETS)}) nor a file{did_you_mean(name, EFFICIENTNETS)}"
        )
    try:
        text = path.read_text(encoding="utf-8")
        data: Any = json.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no network: {error}") from None
    if isinstance(data, dict) and "network" in data:
        text = json.dumps(data["network"])
    return network_from_json(text)
