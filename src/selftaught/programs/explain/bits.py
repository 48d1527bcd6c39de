"""How long a program is in bits: what it takes to write it down in the language it was found in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selftaught.programs.operators import OPERATOR_SETS, OPERATORS
from selftaught.programs.program import FUNCTIONS, Instruction, Program
from selftaught.programs.text import format_constant

__all__ = ["Language", "constant_bits", "digits_of"]


@dataclass(frozen=True)
class Language:
    """What an instruction is chosen from: the operators of each function and the slots.

    Args:
        operators: function -> how many operators it may use.
        slots: scalars, vectors, matrices.
    """

    operators: Mapping[str, int]
    slots: tuple[int, int, int]

    @classmethod
    def of(cls, program: Program, slots: Sequence[int] | None = None, operators: str = "all") -> Language:
        """Return the language of an operator set with these slots, or with the smallest that fit the program."""
        chosen = tuple(slots) if slots is not None else tuple(program.slots())
        return cls({name: len(OPERATOR_SETS[operators][name]) for name in FUNCTIONS}, (chosen[0], chosen[1], chosen[2]))

    def bits(self, program: Program) -> float:
        """Return the description length of a program in bits.

        An instruction takes log2 of the operators that its function may use, log2 of the slots of the type for each
        slot that it reads or writes (s0 and v0 cannot be written), and the bits of its constants. A function of n
        instructions takes 2 floor(log2(n + 1)) + 1 bits more for n (Elias' gamma code).

        >>> from selftaught.programs import linear_learner
        >>> round(Language.of(linear_learner(0.1), (4, 3, 1)).bits(linear_learner(0.1)), 1)
        81.7
        """
        total = 0.0
        for name, function in program.functions():
            total += 2 * math.floor(math.log2(len(function) + 1)) + 1
            total += sum(self._instruction(name, instruction) for instruction in function)
        return total

    def _instruction(self, name: str, instruction: Instruction) -> float:
        operator = OPERATORS[instruction.op]
        total = math.log2(max(self.operators[name], 1))
        counts = dict(zip("svm", self.slots, strict=True))
        for kind in (operator.in1, operator.in2):
            if kind:
                total += math.log2(max(counts[kind], 1))
        if operator.out:
            total += math.log2(max(counts[operator.out] - (operator.out != "m"), 1))
        return total + sum(constant_bits(value) for value in instruction.constants)


def digits_of(value: float) -> tuple[int, int]:
    """Return (significant digits, exponent of ten of the first) of a float32 in its shortest decimal form.

    >>> digits_of(0.25), digits_of(-1000.0), digits_of(0.0)
    ((2, -1), (1, 3), (1, 0))
    """
    mantissa, exponent = f"{float(format_constant(value)):.8e}".split("e")
    return max(len(mantissa.replace("-", "").replace(".", "").rstrip("0")), 1), int(exponent)


def constant_bits(value: float) -> float:
    """Return the bits of a constant: its sign, log2(10) a digit, and its exponent in Elias' gamma code and a sign.

    >>> round(constant_bits(0.5), 2)
    8.32
    """
    digits, exponent = digits_of(value)
    return 1 + digits * math.log2(10) + 2 * math.floor(math.log2(abs(exponent) + 1)) + 1 + (exponent != 0)
