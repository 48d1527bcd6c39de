"""A layer as one Python file that runs alone, with torch: the module that the search trains is this file's."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent
from types import MappingProxyType

from selftaught.errors import InputError
from selftaught.spaces import Candidate, Graph, layer_formula, layer_latex, layer_space
from selftaught.spaces.layer import statistic_of
from selftaught.spaces.layer_meaning import start_of_running

__all__ = ["layer_file"]

_EXPRESSIONS: Mapping[str, str] = MappingProxyType(
    {
        "add": "{a} + {b}", "multiply": "{a} * {b}", "divide": "{a} / {b}", "max": "torch.maximum({a}, {b})",
        "negative": "-{a}", "sigmoid": "torch.sigmoid({a})", "tanh": "torch.tanh({a})", "exp": "torch.exp({a})",
        "abs": "{a}.abs()", "square": "{a}.square()",
        "signed_log": "torch.sign({a}) * torch.log({a}.abs() + self.eps)",
        "signed_sqrt": "torch.sign({a}) * torch.sqrt({a}.abs() + self.eps)",
    }
)  # fmt: skip
_AXES = {"hw": "(2, 3)", "hwc": "(1, 2, 3)"}

_HEAD = '''\
"""A normalisation-activation layer, written by selftaught.

@FORMULA@

@LATEX@

rms and std are sqrt(mean a² + eps) and sqrt(var a + eps), the variance biased. They and mean run over bhw (the batch
and every position), hw (every position of one example), hwc (and all its channels) or a group of its channels.
signed_log(a) = sign(a) ln(|a| + eps), signed_sqrt(a) = sign(a) sqrt(|a| + eps). v0, v1, γ (weight) and β (bias) are
trained, one number a channel.
"""

import torch
from torch import nn
'''

_MOMENT = '''

def moment(a, kind, axes):
    """Return the mean, the mean square or the biased variance over axes, at least in float32."""
    a = a.float() if a.dtype in (torch.float16, torch.bfloat16) else a
    if kind == "mean":
        return a.mean(axes, keepdim=True)
    if kind == "rms":
        return a.square().mean(axes, keepdim=True)
    return a.var(axes, correction=0, keepdim=True)
'''

_GROUPS = '''

def group_moment(a, kind, groups):
    """Return a moment over positions and each group of neighbouring channels, for every channel."""
    if a.shape[1] == 1:  # the same in all channels
        return moment(a, kind, (2, 3))
    folded = a.reshape(a.shape[0], groups, a.shape[1] // groups, *a.shape[2:])
    found = moment(folded, kind, (2, 3, 4)).expand(-1, -1, folded.shape[2], -1, -1)
    return found.reshape(a.shape[0], a.shape[1], 1, 1)
'''

_CLASS = '''

class @NAME@(nn.Module):
    """The layer above, from a tensor (B, C, H, W) to one of the same shape and type.

    Args:
        channels: C.
@GROUPS_DOC@        eps: inside roots and logarithms; 1e-3 is safer where tensors are of 16 bits.
@MOMENTUM_DOC@        activation: False where there is no activation to replace: then the layer is x·γ + β alone.
        inputs: "images" (B, C, H, W), "sequences" (B, C, L) or "tables" (B, C).
    """

    def __init__(self, channels, *, @GROUPS@eps=1e-5, @MOMENTUM@activation=True, inputs="images"):
        super().__init__()
        if inputs not in ("images", "sequences", "tables"):
            raise ValueError(f"inputs must be 'images', 'sequences' or 'tables', got {inputs!r}")
        self.channels, self.eps, self.activation, self.inputs = channels, eps, activation, inputs
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
@INIT@
    def extra_repr(self):
        return f"{self.channels}, eps={self.eps}, activation={self.activation}"

    def forward(self, x):
        shape = x.shape
        axes = {"images": 4, "sequences": 3, "tables": 2}[self.inputs]
        if x.dim() != axes or shape[1] != self.channels:
            raise ValueError(
                f"wanted a tensor of {axes} axes and {self.channels} channels on the second, got {tuple(shape)}; "
                "the inputs may be 'images', 'sequences' or 'tables'"
            )
        if axes < 4:
            x = x.reshape(shape[0], shape[1], -1, 1)
        y = self.compute(x) if self.activation else x
        y = y * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return y.to(x.dtype).expand_as(x).reshape(shape)

    def compute(self, x):
        """Return the layer's value before γ and β."""
@BODY@
'''

_BATCH = '''
    def batch_moment(self, a, kind, running, count):
        """Return a moment of the batch and move its running value; in evaluation return the running value."""
        if not self.training:
            return running.view(1, -1, 1, 1)
        if count == 1:
            raise ValueError("one value a channel has no spread over the batch; train on more than one")
        found = moment(a, kind, (0, 2, 3))
        with torch.no_grad():
            new = found.view(-1) * (count / (count - 1) if kind == "std" else 1.0)
            running.copy_(torch.lerp(running.to(new.dtype), new.expand_as(running), self.momentum))
        return found
'''

_GROUPS_INIT = """\
if groups is None:
    groups = 32 if channels > 32 else channels
if channels % groups:
    divisors = [number for number in range(1, channels + 1) if channels % number == 0]
    raise ValueError(f"{channels} channels do not fall into {groups} groups; choose one of {divisors}")
self.groups = groups
"""


def layer_file(candidate: Candidate, *, name: str = "Layer") -> str:
    """Write a layer as one Python file that needs torch alone, with the class of the module in it.

    The module keeps its trained state under `weight` (gamma), `bias` (beta), `v0` and `v1` where the layer reads them,
    and `running_K` for the batch statistic of value K. Only what reaches the output is written.

    Args:
        candidate: of `layer_space()`.
        name: of the class.

    Raises:
        InputError: it is no candidate, or the name is none.

    >>> from selftaught.spaces import PUBLISHED_LAYERS
    >>> [line.strip() for line in layer_file(PUBLISHED_LAYERS["evonorm-s2"]).splitlines() if "return n" in line]
    ['return n13']
    """
    if not name.isidentifier():
        raise InputError(f"a class needs a name such as Layer, got {name!r}")
    formula = layer_formula(candidate)  # checks the candidate
    nodes = sum(key.endswith(" op") for key in candidate)
    graph = layer_space(nodes).graph(candidate)
    kinds = {value: statistic_of(graph.nodes[value - 4].operation) for value in graph.live if value >= 4}
    over = {statistic[1] for statistic in kinds.values() if statistic}
    batch = {value: statistic[0] for value, statistic in kinds.items() if statistic and statistic[1] == "bhw"}
    grouped = "group" in over
    init = _GROUPS_INIT if grouped else ""
    if batch:
        init += "self.momentum = momentum\n"
    learnt = [vector for vector in ("v0", "v1") if graph.depends("output", vector)]
    state = [f"self.{vector} = nn.Parameter(torch.{_START[vector]}(channels))" for vector in learnt]
    state += [
        f'self.register_buffer("running_{value}", torch.full((channels,), {start_of_running(kind)}))'
        for value, kind in batch.items()
    ]
    if state:
        init += "if activation:\n" + indent("\n".join(state), "    ") + "\n"
    fields = {
        "@NAME@": name,
        "@FORMULA@": formula,
        "@LATEX@": layer_latex(candidate).replace("\\", "\\\\"),
        "@GROUPS_DOC@": "        groups: of neighbouring channels; 32 by default, or C where C is less.\n" * grouped,
        "@GROUPS@": "groups=None, " * grouped,
        "@MOMENTUM_DOC@": "        momentum: the share of the batch in the running statistics.\n" * bool(batch),
        "@MOMENTUM@": "momentum=0.1, " * bool(batch),
        "@INIT@": indent(init, " " * 8),
        "@BODY@": indent("\n".join(_body(graph)), " " * 8),
    }
    text = _HEAD + (_MOMENT if over else "") + (_GROUPS if grouped else "") + _CLASS
    for field, value in fields.items():
        text = text.replace(field, value)
    return text.rstrip() + "\n" + (_BATCH if batch else "")


_START = {"v0": "ones", "v1": "zeros"}


def _body(graph: Graph) -> list[str]:
    """Return the statements that compute the output of x."""
    names = {0: "x", 1: "zero", 2: "v0", 3: "v1"}
    lines = []
    for value in graph.live:
        node = graph.node(value)
        if node is None:
            if value:
                own = "x.new_zeros(1, 1, 1, 1)" if value == 1 else f"self.{names[value]}.view(1, -1, 1, 1)"
                lines.append(f"{names[value]} = {own}")
            continue
        names[value] = f"n{value}"
        operands = dict(zip("ab", (names[one] for one in node.operands), strict=False))
        lines.append(f"{names[value]} = {_expression(node.operation, value, operands)}")
    return [*lines, f"return {names[graph.outputs['output']]}"]


def _expression(operation: str, value: int, operands: Mapping[str, str]) -> str:
    found = statistic_of(operation)
    if found is None:
        return _EXPRESSIONS[operation].format(**operands)
    kind, index = found
    a = operands["a"]
    if index == "bhw":
        moment = f'self.batch_moment({a}, "{kind}", self.running_{value}, x.numel() // x.shape[1])'
    elif index == "group":
        moment = f'group_moment({a}, "{kind}", self.groups)'
    else:
        moment = f'moment({a}, "{kind}", {_AXES[index]})'
    if kind != "mean":
        moment = f"({moment} + self.eps).sqrt()"
    return f"{moment}.to({a}.dtype)"
