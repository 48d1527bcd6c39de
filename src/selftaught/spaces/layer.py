"""The space of normalisation-activation layers, and the published layers in it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from selftaught.errors import InputError
from selftaught.spaces.expressions import ARITHMETIC, CURVES, SIZES, ExpressionSpace, Graph, Operation, function
from selftaught.spaces.formulas import formulas
from selftaught.spaces.space import Candidate, Choice

__all__ = [
    "INDEX_SETS",
    "LAYER_OPERATIONS",
    "PUBLISHED_LAYERS",
    "depends_on_input",
    "layer_formula",
    "layer_latex",
    "layer_space",
    "statistic_of",
]

#: what an aggregation runs over: batch, instance, layer and group statistics
INDEX_SETS = ("bhw", "hw", "hwc", "group")

_INDEX_LATEX = {"bhw": "b,h,w", "hw": "h,w", "hwc": "h,w,c", "group": "h,w,c/g"}
_STATISTICS = {"mean": r"\mathrm{mean}", "rms": r"\rho", "std": r"\sigma"}


#: 24 operations: four of two inputs, eight of one, and three statistics over four index sets
LAYER_OPERATIONS: tuple[Operation, ...] = (
    *ARITHMETIC,
    function("sigmoid", r"\mathrm{sigmoid}\left({a}\right)"),
    *CURVES,
    function("signed_log", r"\mathrm{slog}\left({a}\right)"),
    *SIZES,
    function("signed_sqrt", r"\mathrm{ssqrt}\left({a}\right)"),
    *(
        function(f"{name}_{index}", rf"{symbol}_{{{over}}}\left({{a}}\right)")
        for index, over in _INDEX_LATEX.items()
        for name, symbol in _STATISTICS.items()
    ),
)


def layer_space(nodes: int = 10) -> ExpressionSpace:
    """Return the space of normalisation-activation layers ("Evolving Normalization-Activation Layers", 2004.02967).

    Inputs are the tensor x (B, C, H, W), the constant 0, and two vectors v0 and v1, trainable, one number a channel.
    The last node is the output; the layer is that times gamma plus beta, one of each a channel. Operations are:

    - of two inputs: `add`, `multiply`, `divide`, `max`;
    - of one: `negative`, `sigmoid`, `tanh`, `exp`, `abs`, `square`, `signed_log` (sign(a) ln(|a| + eps)) and
      `signed_sqrt` (sign(a) sqrt(|a| + eps));
    - over an index set I: `mean_I`, `rms_I` (sqrt(mean a² + eps)) and `std_I` (sqrt(var a + eps), the variance
      biased), where I is `bhw` (batch), `hw` (instance), `hwc` (layer) or `group` (h, w and a group of channels).

    Args:
        nodes: after the inputs; 10 as published.

    >>> space = layer_space()
    >>> len(space.operations), space.graph(PUBLISHED_LAYERS["bn-relu"]).depends("output", "x")
    (24, True)
    """
    return ExpressionSpace("layer", ("x", "0", "v0", "v1"), LAYER_OPERATIONS, nodes)


def statistic_of(operation: str) -> tuple[str, str] | None:
    """Return the statistic and the index set of an aggregation, None for other operations.

    >>> statistic_of("std_group"), statistic_of("signed_log")
    (('std', 'group'), None)
    """
    name, _, index = operation.partition("_")
    return (name, index) if index in INDEX_SETS else None


def depends_on_input(graph: Graph) -> bool:
    """Return whether a layer's output is made of x at all."""
    return graph.depends("output", "x")


def layer_formula(candidate: Candidate) -> str:
    """Return the whole layer as plain text, gamma and beta included; parts used several times on lines before.

    >>> layer_formula(PUBLISHED_LAYERS["evonorm-s0"])
    'y = (x·sigmoid(v0·x) / std_group(x))·γ + β'
    """
    *parts, (_, last) = formulas(space := _space_of(candidate), space.graph(candidate)).items()
    return "\n".join([*(f"{name} = {text}" for name, text in parts), f"y = ({last})·γ + β"])


def layer_latex(candidate: Candidate) -> str:
    r"""Return the whole layer in LaTeX; parts used several times on lines before.

    >>> print(layer_latex(PUBLISHED_LAYERS["evonorm-s2"]).partition("}{")[0])
    y = \left(\frac{x \cdot \mathrm{sigmoid}\left(x\right)
    """
    space = _space_of(candidate)
    names = {"v0": "v_0", "v1": "v_1"}
    *parts, (_, last) = formulas(space, space.graph(candidate), notation="latex", names=names).items()
    whole = rf"y = \left({last}\right) \cdot \gamma + \beta"
    return "\n".join([*(f"{name} = {text}" for name, text in parts), whole])


def _space_of(candidate: Candidate) -> ExpressionSpace:
    """Return the space that a candidate is of, by its number of nodes.

    Raises:
        InputError: it is no layer.
    """
    nodes = sum(str(name).endswith(" op") for name in candidate) if isinstance(candidate, Mapping) else 0
    if not nodes:
        raise InputError(f"a layer maps '4 op', '4 a' and so on to choices, got {str(candidate)[:80]!r}")
    space = layer_space(nodes)
    space.validate(candidate)
    return space


_STEPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "bn-relu": {
        "mean": ("mean_bhw", "x"), "minus": ("negative", "mean"), "centred": ("add", "x", "minus"),
        "std": ("std_bhw", "x"), "normal": ("divide", "centred", "std"), "scaled": ("multiply", "normal", "v0"),
        "shifted": ("add", "scaled", "v1"), "relu": ("max", "shifted", "0"),
    },
    "evonorm-b0": {
        "batch": ("std_bhw", "x"), "vx": ("multiply", "v0", "x"), "instance": ("std_hw", "x"),
        "other": ("add", "vx", "instance"), "larger": ("max", "batch", "other"), "y": ("divide", "x", "larger"),
    },
    "evonorm-b1": {
        "batch": ("std_bhw", "x"), "rms": ("rms_hw", "x"), "product": ("multiply", "x", "rms"),
        "other": ("add", "product", "rms"), "larger": ("max", "batch", "other"), "y": ("divide", "x", "larger"),
    },
    "evonorm-b2": {
        "batch": ("std_bhw", "x"), "rms": ("rms_hw", "x"), "minus": ("negative", "x"),
        "other": ("add", "rms", "minus"), "larger": ("max", "batch", "other"), "y": ("divide", "x", "larger"),
    },
    "evonorm-s0": {
        "vx": ("multiply", "v0", "x"), "gate": ("sigmoid", "vx"), "gated": ("multiply", "x", "gate"),
        "std": ("std_group", "x"), "y": ("divide", "gated", "std"),
    },
    "evonorm-s1": {
        "gate": ("sigmoid", "x"), "gated": ("multiply", "x", "gate"), "std": ("std_group", "x"),
        "y": ("divide", "gated", "std"),
    },
    "evonorm-s2": {
        "gate": ("sigmoid", "x"), "gated": ("multiply", "x", "gate"), "rms": ("rms_group", "x"),
        "y": ("divide", "gated", "rms"),
    },
}  # fmt: skip

#: name -> candidate of `layer_space()`: batch normalisation with ReLU, whose v0 and v1 are its scale and shift, and
#: the six layers of "Evolving Normalization-Activation Layers"
PUBLISHED_LAYERS: Mapping[str, Mapping[str, Choice]] = MappingProxyType(
    {name: MappingProxyType(layer_space().candidate(steps)) for name, steps in _STEPS.items()}
)
