"""Which data sets and tables are at hand, so that claims leave out what is not."""

from __future__ import annotations

from functools import cache

__all__ = ["at_hand", "table_at_hand"]


@cache
def at_hand(data: str) -> bool:
    """Return whether a data set can be loaded here."""
    from selftaught.datasets import load
    from selftaught.errors import DataError

    try:
        load(data)
    except DataError:
        return False
    return True


def table_at_hand(name: str) -> bool:
    """Return whether a published table of a space can be read here."""
    from selftaught.claims.known_spaces import known_space
    from selftaught.errors import DataError

    try:
        known_space(name)
    except DataError:
        return False
    return True
