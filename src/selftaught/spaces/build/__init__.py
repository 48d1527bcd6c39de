"""Build networks as torch modules, and count what they cost; the one place in `spaces` that knows torch.

Importing this package does not import torch; its first use does.

>>> import torch
>>> from selftaught.spaces import efficientnet
>>> from selftaught.spaces.build import count
>>> count(efficientnet("b0")) == efficientnet("b0").cost()
True
"""

from __future__ import annotations

import importlib.util as _importlib_util
from typing import TYPE_CHECKING, Any

from selftaught.errors import MissingExtraError as _MissingExtraError
from selftaught.lazy import lazy_names as _lazy_names

if TYPE_CHECKING:
    from selftaught.spaces.build.building import build
    from selftaught.spaces.build.counting import cost_of, count
    from selftaught.spaces.build.inheriting import inherit

__all__ = ["build", "count", "cost_of", "inherit"]

_HOMES = {"build": "building", "count": "counting", "cost_of": "counting", "inherit": "inheriting"}
_load, __dir__ = _lazy_names(__name__, _HOMES, globals())


def __getattr__(name: str) -> Any:
    if name in _HOMES and _importlib_util.find_spec("torch") is None:
        raise _MissingExtraError("torch", "networks", "building a network")
    return _load(name)
