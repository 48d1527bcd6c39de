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
_STAGES = (2, 3, 3)


def macro_stack() -> ChoiceSpace:
    """Return the space of NAS-Bench-Macro (arXiv 2103.11922): 8 layers with 3 choices, 6,561 stacks.

    A choice is the identity, or a MobileNetV2 block of kernel 3 and expansion 3, or of kernel 5 and expansion 6. The
    text of a stack is eight digits, 0 to 2.

    The layers form stages of 2, 3 and 3; the first of a stage changes the width, so that its identity is a projection,
    and the others keep it. Where in the rest of its stage an identity stands makes no difference: such stacks share a
    key, of which there are 3,969, as many as the table has different rows.

    >>> macro_stack().decode("22212202")["layer 7"]
    'identity'
    """
    layers = tuple(Parameter(f"layer {k + 1}", BLOCKS) for k in range(_LAYERS))
    return ChoiceSpace("macro", layers, text=TextForm(_write, _read), canonical=_key)


def _write(stack: Candidate) -> str:
    return "".join(str(BLOCKS.index(str(stack[f"layer {k + 1}"]))) for k in range(_LAYERS))


def _read(text: str) -> dict[str, Choice]:
    for position, mark in enumerate(text):
        if mark not in "012" or position >= _LAYERS:
            raise InputError(f"{text!r} at position {position}: a stack is {_LAYERS} digits 0 to 2, got {mark!r}")
    if len(text) < _LAYERS:
        raise InputError(f"{text!r} at position {len(text)}: a stack is {_LAYERS} digits, got {len(text)}")
    return {f"layer {k + 1}": BLOCKS[int(mark)] for k, mark in enumerate(text)}


def _key(stack: Candidate) -> str:
    text = _write(stack)
    stages = (text[sum(_STAGES[:k]) : sum(_STAGES[: k + 1])] for k in range(len(_STAGES)))
    return " ".join(stage[0] + stage[1:].replace("0", "") for stage in stages)
