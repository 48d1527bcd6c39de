"""One line of a program as tokens and as a statement; the forms that the operator table allows.

Nothing here is evaluated: a line is split by one linear pattern and read by a fixed grammar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np

from selftaught.programs.operators import OPERATORS

__all__ = [
    "FORMS",
    "FUNCTION_NAMES",
    "LineError",
    "Operand",
    "Statement",
    "Token",
    "parse_statement",
    "quote",
    "tokenise",
]

Form = Literal["pass", "constant", "element", "call", "binary", "reciprocal"]

_LONGEST_TOKEN = 40  # more is refused, so that hostile text costs nothing
_LONGEST_LINE = 10_000
_PATTERN = re.compile(
    r"(?P<blank>\s+)|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)|(?P<symbol>[-+*/@=()\[\],:])"
)
_SLOT = re.compile(r"[svm](?:0|[1-9][0-9]{0,2})\Z")


class LineError(Exception):
    """What is wrong at one column; `word` and `known` give the nearest name, `otherwise` stands in for it."""

    def __init__(
        self, column: int, text: str, word: str = "", known: tuple[str, ...] = (), otherwise: str = ""
    ) -> None:
        super().__init__(text)
        self.column, self.text = column, text
        self.word, self.known, self.otherwise = word, known, otherwise


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a line: kind "name", "number", "symbol" or "end", and the column (from 1) where it starts."""

    kind: str
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Operand:
    """A slot (kind 's', 'v' or 'm', value = its number) or a constant (kind 'c', value = the number)."""

    kind: str
    value: float
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One instruction before its operator is looked up; `column` is where its function or operation starts."""

    form: Form
    name: str
    target: Operand | None
    operands: tuple[Operand, ...]
    column: int

    @property
    def slots(self) -> tuple[Operand, ...]:
        """The slots named: target first, then operands."""
        every = (self.target, *self.operands)
        return tuple(operand for operand in every if operand is not None and operand.kind != "c")

    @property
    def kinds(self) -> str:
        """The operands' kinds, such as "sv" or "cc"."""
        return "".join(operand.kind for operand in self.operands)


def quote(text: str) -> str:
    """Return what was read in quotes, printable and short."""
    return ascii(text if len(text) <= _LONGEST_TOKEN else text[:_LONGEST_TOKEN] + "...")


def tokenise(line: str) -> list[Token]:
    """Split a line without its comment; the last token is "end".

    Raises:
        LineError: a character or token that the language does not have, or a line of more than 10,000 characters.
    """
    if len(line) > _LONGEST_LINE:  # no instruction is near it; the tokens of a longer one would fill the memory
        raise LineError(_LONGEST_LINE + 1, f"a line of {len(line):,} characters; at most {_LONGEST_LINE:,} are read")
    tokens: list[Token] = []
    place = 0
    while place < len(line):
        match = _PATTERN.match(line, place)
        if match is None:
            raise LineError(place + 1, f"unexpected character {quote(line[place])}")
        kind, text = match.lastgroup or "", match[0]
        if kind != "blank":
            if len(text) > _LONGEST_TOKEN:
                raise LineError(place + 1, f"{quote(text)} is too long; at most {_LONGEST_TOKEN} characters are read")
            tokens.append(Token(kind, text, place + 1))
        place = match.end()
    tokens.append(Token("end", "", len(line.rstrip()) + 1))
    return tokens


class _Reader:
    """Tokens in a row."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens, self._place = tokens, 0

    @property
    def next(self) -> Token:
        return self._tokens[self._place]

    def take(self) -> Token:
        token = self.next
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def accept(self, symbol: str) -> bool:
        if self.next.kind == "symbol" and self.next.text == symbol:
            self.take()
            return True
        return False

    def expect(self, symbol: str, after: str) -> None:
        if not self.accept(symbol):
            self.fail(f"expected {symbol!r} after {after}")

    def fail(self, wanted: str) -> NoReturn:
        got = "the end of the line" if self.next.kind == "end" else quote(self.next.text)
        raise LineError(self.next.column, f"{wanted}, got {got}")

    def end(self) -> None:
        if self.next.kind != "end":
            self.fail("expected the end of the line (one instruction a line)")


def _slot(token: Token) -> Operand:
    if not re.fullmatch(r"[svm][0-9]+", token.text, re.ASCII) or not _SLOT.match(token.text[:4]):
        advice = "use s for scalars, v for vectors, m for matrices, and a number"
        if token.text.lower() in ("nan", "inf", "infinity"):
            advice = "constants are finite decimal numbers"
        raise LineError(token.column, f"{quote(token.text)} is not a slot; {advice}")
    return Operand(token.text[0], int(token.text[1:]), token.text, token.column)


def _constant(reader: _Reader) -> Operand:
    column = reader.next.column
    sign = "-" if reader.accept("-") else ""
    if not sign:
        reader.accept("+")
    if reader.next.kind != "number":
        reader.fail("expected a number" + (f" after {sign!r}" if sign else ""))
    text = sign + reader.take().text
    with np.errstate(over="ignore"):
        value = float(np.float32(float(text)))
    if not np.isfinite(value):
        raise LineError(column, f"{text} does not fit a float32; the largest is 3.4028235e+38")
    return Operand("c", value, text, column)


def _operand(reader: _Reader) -> Operand:
    if reader.next.kind == "name":
        return _slot(reader.take())
    if reader.next.kind == "number" or reader.next.text in ("-", "+"):
        return _constant(reader)
    return reader.fail("expected a slot or a number")


def _listed(reader: _Reader, closing: str) -> list[Operand]:
    operands = [] if reader.next.text == closing else [_operand(reader)]
    while operands and reader.accept(","):
        operands.append(_operand(reader))
    reader.expect(closing, "the last operand" if operands else "the opening bracket")
    return operands


def parse_statement(tokens: list[Token]) -> Statement:
    """Read one instruction; slots and operand types are not checked yet.

    Raises:
        LineError: the line does not follow the grammar.
    """
    reader = _Reader(tokens)
    first = reader.next
    if first.text == "pass":
        reader.take()
        reader.end()
        return Statement("pass", "pass", None, (), first.column)
    if first.kind != "name":
        reader.fail("expected an instruction such as s2 = s0 - s1")
    target = _slot(reader.take())
    indices: list[Operand] = []
    if reader.accept("["):
        indices = [_constant(reader)]
        while reader.accept(","):
            indices.append(_constant(reader))
        reader.expect("]", "the index")
    reader.expect("=", target.text if not indices else "']'")
    statement = _element(reader, target, indices) if indices else _value(reader, target)
    reader.end()
    return statement


def _element(reader: _Reader, target: Operand, indices: list[Operand]) -> Statement:
    if reader.next.kind == "name":
        reader.fail("an element takes a constant")
    return Statement("element", "", target, (*indices, _constant(reader)), target.column)


def _value(reader: _Reader, target: Operand) -> Statement:
    start = reader.next
    if start.kind == "name":
        reader.take()
        if reader.accept("("):
            return Statement("call", start.text, target, tuple(_listed(reader, ")")), start.column)
        if start.text in FUNCTION_NAMES:
            reader.fail(f"expected '(' after {start.text}")
        left = _slot(start)
        symbol = reader.next
        if symbol.kind != "symbol" or symbol.text not in "+-*/@":
            reader.fail(f"expected +, -, *, / or @ after {left.text}")
        reader.take()
        return Statement("binary", symbol.text, target, (left, _operand(reader)), left.column)
    if start.kind != "number" and start.text not in ("-", "+"):
        reader.fail("expected a slot, a function or a number")
    number = _constant(reader)
    if reader.next.kind == "end":
        return Statement("constant", "", target, (number,), number.column)
    symbol = reader.next
    if symbol.kind == "symbol" and symbol.text in "+-*/@":
        reader.take()
        right = _operand(reader)
        if symbol.text == "/" and number.value == 1 and right.kind != "c":
            return Statement("reciprocal", "/", target, (right,), number.column)
        return Statement("binary", symbol.text, target, (number, right), number.column)
    return reader.fail(f"expected the end of the line or '/' after {number.text}")


# (form, name) -> operands' kinds -> kind of the output -> operator's id, read off the table's own texts.
FORMS: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
FUNCTION_NAMES: tuple[str, ...] = tuple(
    sorted({found[1] for o in OPERATORS if (found := re.match(r"\{out\} = (\w+)\(", o.text))})
)


def _read_forms() -> None:
    for operator in OPERATORS:
        text = operator.text.format(
            out=operator.out + "3", in1=operator.in1 + "1", in2=operator.in2 + "2", c0="0.5", c1="0.5", c2="0.5"
        )
        statement = parse_statement(tokenise(text))
        by_kinds = FORMS.setdefault((statement.form, statement.name), {})
        by_kinds.setdefault(statement.kinds, {})[operator.out] = operator.id


_read_forms()
