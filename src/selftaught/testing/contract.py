"""What a broken contract looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selftaught.errors import InputError

__all__ = ["ContractError", "expect", "refused"]


class ContractError(AssertionError):
    """A part does not keep its contract; the text says which rule."""


def expect(kept: bool, rule: str) -> None:
    """Raise where a rule is not kept."""
    if not kept:
        raise ContractError(rule)


@contextmanager
def refused(rule: str, error: type[Exception] = InputError) -> Iterator[None]:
    """Raise where the block does not raise the error of a user's mistake."""
    try:
        yield
    except error:
        return
    raise ContractError(f"{rule}: {error.__name__} was expected")


#: a contract takes what makes the part, and raises ContractError or returns
Contract = Callable[..., None]
