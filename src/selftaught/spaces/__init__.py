"""What may be proposed: spaces of categorical choices, as pure functions without any network library.

>>> import numpy as np
>>> from selftaught.spaces import nb201_cell
>>> space = nb201_cell()
>>> cell = space.sample(np.random.default_rng(0))
>>> space.decode(space.encode(cell)) == cell
True
"""

from __future__ import annotations

from selftaught.spaces.chain import chain_depth, chain_with_skips
from selftaught.spaces.choices import ChoiceSpace, TextForm
from selftaught.spaces.inverted_residual import inverted_residual_stack
from selftaught.spaces.joined import join_spaces, part_of
from selftaught.spaces.macro import macro_stack
from selftaught.spaces.mlp import mlp
from selftaught.spaces.nasnet import nasnet_cells
from selftaught.spaces.nb201 import nb201_cell
from selftaught.spaces.parameter import Parameter
from selftaught.spaces.registry import SPACES, find_space
from selftaught.spaces.space import Candidate, Choice, Space
from selftaught.spaces.training import training_parameters

__all__ = [
    "Space",
    "ChoiceSpace",
    "Parameter",
    "Candidate",
    "Choice",
    "TextForm",
    "nb201_cell",
    "macro_stack",
    "nasnet_cells",
    "chain_with_skips",
    "chain_depth",
    "inverted_residual_stack",
    "mlp",
    "training_parameters",
    "join_spaces",
    "part_of",
    "SPACES",
    "find_space",
]
