"""What the tests of compression share: one thread, random numbers of their own, and small data."""

from __future__ import annotations

import numpy as np
import pytest

from selftaught import load
from selftaught.examples import Examples
from tests.torch_fixtures import one_thread_and_random_numbers_of_its_own

__all__ = ["one_thread_and_random_numbers_of_its_own"]  # for pytest, which takes fixtures from here


@pytest.fixture(scope="session")
def digits() -> Examples:
    return load("digits").take(np.arange(300))


@pytest.fixture(scope="session")
def iris() -> Examples:
    return load("iris")
