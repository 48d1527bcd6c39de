"""Contracts of the parts that people write themselves, as functions to call from a test.

>>> from selftaught.spaces import macro_stack
>>> from selftaught.testing import check_space
>>> check_space(macro_stack(), samples=5)
"""

from __future__ import annotations

from selftaught.testing.contract import ContractError, expect, refused
from selftaught.testing.runners import check_runner
from selftaught.testing.searchers import check_replay_in_a_new_process, check_searcher
from selftaught.testing.spaces import check_space
from selftaught.testing.stores import check_store

__all__ = [
    "ContractError",
    "check_searcher",
    "check_replay_in_a_new_process",
    "check_space",
    "check_runner",
    "check_store",
    "expect",
    "refused",
]
