"""The check that torch is there, made before anything that needs it."""

from __future__ import annotations

import importlib.util

from selftaught.errors import MissingExtraError

__all__ = ["require_torch"]


def require_torch() -> None:
    """Check that torch is there, without importing it.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("torch", "networks", "training a network")
