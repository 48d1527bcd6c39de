"""The macro stack of NAS-Bench-Macro: eight layers, each the identity or one of two inverted-residual blocks."""

from __future__ import annotations

from selftaught.errors import InputError
from selftaught.spaces.choices import ChoiceSpace, TextForm
from selftaught.spaces.parameter import Parameter
from selftaught.spaces.space import Candidate, Choice

__all__ = ["BLOCKS", "macro_stack"]

#: by the digit of the text form
BLOCKS = ("identity", "mbconv_k3_e3", "mbconv_k5_e6")
_LAYERS = 8


def macro_stack() -> ChoiceSpace:
    """Return the space of NAS-Bench-Macro (arXiv 2103.11922): 8 layers with 3 choices, 6,561 stacks.

    A choice is the identity, or a MobileNetV2 block of kernel 3 and expansion 3, or of kernel 5 and expansion 6. The
    text of a stack is eight digits, 0 to 2.

    >>> macro_stack().decode("22212202")["layer 7"]
    'identity'
    """
    names = (f"layer {k + 1}" for k in range(_LAYERS))
    return ChoiceSpace("macro", tuple(Parameter(name, BLOCKS) for name in names), text=TextForm(_write, _read))


def _write(stack: Candidate) -> str:
    return "".join(str(BLOCKS.index(str(stack[f"layer {k + 1}"]))) for k in range(_LAYERS))


def _read(text: str) -> dict[str, Choice]:
    for position, mark in enumerate(text):
        if mark not in "012" or position >= _LAYERS:
            raise InputError(f"{text!r} at position {position}: a stack is {_LAYERS} digits 0 to 2, got {mark!r}")
    if len(text) < _LAYERS:
        raise InputError(f"{text!r} at position {len(text)}: a stack is {_LAYERS} digits, got {len(text)}")
    return {f"layer {k + 1}": BLOCKS[int(mark)] for k, mark in enumerate(text)}
