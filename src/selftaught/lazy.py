"""Names of a package that are loaded at their first use, so that importing it is quick."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, homes: Mapping[str, str], names: dict[str, Any]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` (PEP 562) of a package whose names live in its modules.

    Args:
        package: its `__name__`.
        homes: name -> the module below the package that defines it.
        names: its `globals()`; what was loaded is kept there.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = names[name] = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        return value

    def listing() -> list[str]:
        return sorted({*names, *homes})

    return get, listing
