"""Networks as files: JSON that names the kind of network and all its sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from selftaught.errors import InputError, did_you_mean
from selftaught.spaces.cell_network import CellNetwork, NasnetNetwork
from selftaught.spaces.network import Network
from selftaught.spaces.plain_network import ChainNetwork, PerceptronNetwork
from selftaught.spaces.stack import Stack, Stage

__all__ = ["network_from_json", "network_to_json"]

_KINDS: Mapping[str, Any] = {
    cls.kind: cls for cls in (Stack, CellNetwork, NasnetNetwork, ChainNetwork, PerceptronNetwork)
}


def network_to_json(network: Network) -> str:
    """Return a network as JSON, its kind first."""
    data: Any = network
    return json.dumps({"kind": network.kind, **asdict(data)}, indent=1)


def network_from_json(text: str) -> Network:
    """Return the network that `network_to_json` wrote.

    Raises:
        InputError: the text is none.

    >>> from selftaught.spaces import efficientnet
    >>> network_from_json(network_to_json(efficientnet("b3"))) == efficientnet("b3")
    True
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InputError(f"a network must be a JSON object, got {text[:60]!r} ({error})") from None
    kind = data.pop("kind", None) if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InputError(f"a network is a JSON object with a kind of {', '.join(_KINDS)}, got {kind!r}")
    known = {field.name for field in fields(_KINDS[kind])}
    for name in data:
        if name not in known:
            raise InputError(f"a network of kind {kind} has no {name!r}{did_you_mean(name, known)}")
    try:
        if kind == Stack.kind:
            data["stages"] = tuple(Stage(**stage) for stage in data["stages"])
        found: Network = _KINDS[kind](**data)
    except InputError:
        raise
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(f"the network of kind {kind} is not whole: {error}") from None
    return found
