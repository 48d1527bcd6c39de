"""Build networks as torch modules, and count what they cost; the one place in `spaces` that knows torch.

>>> from selftaught.spaces import efficientnet
>>> from selftaught.spaces.build import count
>>> count(efficientnet("b0")) == efficientnet("b0").cost()
True
"""

from __future__ import annotations

from selftaught.spaces.build.building import build
from selftaught.spaces.build.counting import cost_of, count
from selftaught.spaces.build.inheriting import inherit

__all__ = ["build", "count", "cost_of", "inherit"]
