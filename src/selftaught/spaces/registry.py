"""The spaces that come with the package, by name; the tests run over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from selftaught.errors import InputError, did_you_mean
from selftaught.spaces.chain import chain_with_skips
from selftaught.spaces.choices import ChoiceSpace
from selftaught.spaces.inverted_residual import inverted_residual_stack
from selftaught.spaces.macro import macro_stack
from selftaught.spaces.mlp import mlp
from selftaught.spaces.nasnet import nasnet_cells
from selftaught.spaces.nb201 import nb201_cell
from selftaught.spaces.training import training_parameters

__all__ = ["SPACES", "find_space"]

SPACES: Mapping[str, Callable[[], ChoiceSpace]] = {
    "nb201": nb201_cell,
    "macro": macro_stack,
    "nasnet": nasnet_cells,
    "chain": chain_with_skips,
    "inverted-residual": inverted_residual_stack,
    "mlp": mlp,
    "training": training_parameters,
}


def find_space(name: str) -> ChoiceSpace:
    """Return a space by its name, with its default sizes.

    Raises:
        InputError: there is no such space.

    >>> find_space("macro").size()
    6561
    """
    if name not in SPACES:
        raise InputError(f"there is no space {name!r}; choose from {', '.join(SPACES)}{did_you_mean(name, SPACES)}")
    return SPACES[name]()
