"""What may be proposed: spaces of categorical choices and of expressions, pure functions without a network library.

>>> import numpy as np
>>> from selftaught.spaces import nb201_cell
>>> space = nb201_cell()
>>> cell = space.sample(np.random.default_rng(0))
>>> space.decode(space.encode(cell)) == cell
True
"""

from __future__ import annotations

from selftaught.spaces.cell_network import CellNetwork, NasnetNetwork
from selftaught.spaces.chain import chain_depth, chain_with_skips
from selftaught.spaces.choices import ChoiceSpace, TextForm
from selftaught.spaces.efficientnet import EFFICIENTNETS, efficientnet
from selftaught.spaces.expressions import ExpressionSpace, Graph, Node, Operation
from selftaught.spaces.formulas import Notation, formulas
from selftaught.spaces.from_candidate import NETWORK_SPACES, network_of
from selftaught.spaces.inverted_residual import inverted_residual_stack
from selftaught.spaces.joined import join_spaces, part_of
from selftaught.spaces.layer import (
    PUBLISHED_LAYERS,
    depends_on_input,
    layer_formula,
    layer_latex,
    layer_space,
)
from selftaught.spaces.layer_meaning import evaluate_layer, layer_fingerprint
from selftaught.spaces.macro import macro_stack
from selftaught.spaces.mlp import mlp
from selftaught.spaces.nasnet import nasnet_cells
from selftaught.spaces.nb201 import nb201_cell
from selftaught.spaces.network import Cost, Network
from selftaught.spaces.network_file import network_from_json, network_to_json
from selftaught.spaces.parameter import Parameter
from selftaught.spaces.plain_network import ChainNetwork, PerceptronNetwork
from selftaught.spaces.registry import SPACES, find_space
from selftaught.spaces.rule import Rule, rule_grid
from selftaught.spaces.scaling import Scaled, scale, scale_to
from selftaught.spaces.space import Candidate, Choice, Space
from selftaught.spaces.stack import Stack, Stage
from selftaught.spaces.training import training_parameters
from selftaught.spaces.update_rule import KNOWN_RULES, apply_rule, rule_formula, rule_space

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
    "ExpressionSpace",
    "Operation",
    "Graph",
    "Node",
    "formulas",
    "Notation",
    "layer_space",
    "PUBLISHED_LAYERS",
    "layer_formula",
    "layer_latex",
    "depends_on_input",
    "evaluate_layer",
    "layer_fingerprint",
    "rule_space",
    "KNOWN_RULES",
    "rule_formula",
    "apply_rule",
    "join_spaces",
    "part_of",
    "SPACES",
    "find_space",
    "Network",
    "Cost",
    "Stack",
    "Stage",
    "CellNetwork",
    "NasnetNetwork",
    "ChainNetwork",
    "PerceptronNetwork",
    "NETWORK_SPACES",
    "network_of",
    "network_to_json",
    "network_from_json",
    "EFFICIENTNETS",
    "efficientnet",
    "Rule",
    "rule_grid",
    "Scaled",
    "scale",
    "scale_to",
]
