"""Programs as readable text: reading. Every mistake of a text is listed, one a line, with its place."""

from __future__ import annotations

from dataclasses import dataclass, field

from selftaught.errors import ProgramError, did_you_mean
from selftaught.programs.program import FUNCTIONS, MAX_SLOTS, Instruction, Program, Slots
from selftaught.programs.resolve import NOUN, NOUNS, check_slots, instruction_of, look_up
from selftaught.programs.syntax import LineError, Operand, Statement, parse_statement, quote, tokenise
from selftaught.programs.text import FORMAT_NAME, FORMAT_VERSION, classes_of, smallest_slots

__all__ = ["MAX_INSTRUCTIONS", "ParsedProgram", "parse_program"]

MAX_INSTRUCTIONS = 10_000
_MAX_LISTED = 20
_TOO_MANY = f"a program has at most {MAX_INSTRUCTIONS:,} instructions"


@dataclass(frozen=True, slots=True)
class ParsedProgram:
    """A program read from text, with the slot counts and the task that it declares.

    Args:
        program: the program.
        slots: the declared slot counts, or the smallest that fit.
        task: "regression", "binary" or "classes K".
    """

    program: Program
    slots: Slots
    task: str

    @property
    def num_classes(self) -> int:
        """K of a program for K classes, else 0."""
        return classes_of(self.task)


def parse_program(text: str | bytes, filename: str = "<program>") -> ParsedProgram:
    r"""Read a program from the text format, version 1.

    Args:
        text: the text, or its bytes in UTF-8.
        filename: what the messages call it.

    Raises:
        ProgramError: one line for each mistake, `file:line:column: what is wrong`; the first 20 and a count.

    >>> parse_program("selftaught-program 1\nsetup:\n s2 = 0.5\npredict:\n pass\nlearn:\n pass").slots
    Slots(scalars=3, vectors=1, matrices=0)
    """
    mistakes = _Mistakes(filename)
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            mistakes.add(line, LineError(1, f"not UTF-8 text (byte {error.start}); save the file as UTF-8"))
            raise mistakes.error() from None
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    document = _read_document(lines, mistakes)
    slots = document.slots or _slots_that_fit(document, mistakes)
    functions = {name: _resolve(document, name, slots, mistakes) for name in FUNCTIONS}
    if sum(map(len, functions.values())) > MAX_INSTRUCTIONS:
        mistakes.add(len(lines), LineError(1, _TOO_MANY))
    if slots and document.slots and tuple(smallest_slots(slots, document.task)) != tuple(slots):
        mistakes.add(1, LineError(1, "a task of several classes needs 3 vectors or more: v1 the label, v2 the scores"))
    if mistakes.total or slots is None:
        raise mistakes.error()
    return ParsedProgram(Program(**functions), slots, document.task)


@dataclass
class _Mistakes:
    filename: str
    total: int = 0
    listed: list[tuple[int, int, LineError]] = field(default_factory=list)

    def add(self, line: int, mistake: LineError) -> None:
        self.total += 1
        self.listed.append((line, mistake.column, mistake))
        if len(self.listed) > 50 * _MAX_LISTED:  # keep the first ones of a text full of mistakes
            self._cut()

    def _cut(self) -> None:
        self.listed = sorted(self.listed, key=lambda entry: entry[:2])[:_MAX_LISTED]

    def error(self) -> ProgramError:
        self._cut()
        rows = [
            f"{self.filename}:{line}:{column}: {mistake.text}"
            + (did_you_mean(mistake.word, mistake.known) or mistake.otherwise)
            for line, column, mistake in self.listed
        ]
        if self.total > len(rows):
            rows.append(f"{self.filename}: {self.total} errors in all, the first {len(rows)} are listed")
        return ProgramError("\n".join(rows))


# The structure of a file


@dataclass
class _Document:
    task: str = "regression"
    slots: Slots | None = None
    functions: dict[str, list[tuple[int, Statement]]] = field(default_factory=dict)  # with the line of each
    opened: dict[str, int] = field(default_factory=dict)  # the line of each function's name
    current: str = ""  # the function that the next indented line belongs to
    filled: set[str] = field(default_factory=set)  # functions with a line of their own, right or wrong


def _read_document(lines: list[str], mistakes: _Mistakes) -> _Document:
    document = _Document()
    meaningful = [(number, body) for number, line in enumerate(lines, 1) if (body := line.split("#", 1)[0].rstrip())]
    try:
        _check_header(meaningful)
    except LineError as mistake:
        mistakes.add(meaningful[0][0] if meaningful else 1, mistake)
        raise mistakes.error() from None
    seen: set[str] = set()
    count = 0
    for number, body in meaningful[1:]:
        try:
            if not body[0].isspace():
                _read_section(body, number, seen, document)
                continue
            count += 1
            if count > MAX_INSTRUCTIONS + len(FUNCTIONS):  # each function may hold one `pass` that is no instruction
                raise LineError(1, _TOO_MANY)
            if not document.current:
                column = len(body) - len(body.lstrip()) + 1
                raise LineError(column, "this line belongs to no function; write 'setup:' first")
            document.filled.add(document.current)
            document.functions[document.current].append((number, parse_statement(tokenise(body))))
        except LineError as mistake:
            mistakes.add(number, mistake)
            if mistake.text == _TOO_MANY:
                return document
    for name in FUNCTIONS:
        if name not in document.functions:
            mistakes.add(len(lines), LineError(1, f"{name} is missing; write '{name}:' and at least 'pass'"))
        elif name not in document.filled:
            mistakes.add(document.opened[name], LineError(1, f"{name} is empty; write 'pass'"))
    return document


def _check_header(meaningful: list[tuple[int, str]]) -> None:
    body = meaningful[0][1] if meaningful else ""
    words = body.split()
    if len(words) != 2 or words[0] != FORMAT_NAME:
        raise LineError(1, f"the first line is '{FORMAT_NAME} {FORMAT_VERSION}', got {quote(body)}")
    column = body.rindex(words[1]) + 1
    digits = words[1]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9) or int(digits) < 1:
        raise LineError(column, f"the format version is a number such as {FORMAT_VERSION}, got {quote(digits)}")
    if int(digits) > FORMAT_VERSION:
        raise LineError(
            column,
            f"written by a newer selftaught (format {int(digits)}, this one reads {FORMAT_VERSION}); update selftaught",
        )


def _read_section(body: str, number: int, seen: set[str], document: _Document) -> None:
    """Read a line that is not indented; a function opens even when its line has a mistake."""
    before, colon, rest = body.partition(":")
    name = before.strip()
    known = (*FUNCTIONS, "slots", "task")
    if name not in known:
        if colon:
            raise LineError(1, f"unknown section {quote(name)}", name[:40], known)
        raise LineError(1, f"expected a section such as 'setup:' or an indented instruction, got {quote(body)}")
    if not colon:
        raise LineError(len(body) + 1, f"expected ':' after {name}")
    if name in seen:
        raise LineError(1, f"{name} is given twice")
    column = len(body) - len(rest.lstrip()) + 1
    late = [other for other in FUNCTIONS if other in seen]
    seen.add(name)
    if name in FUNCTIONS:
        document.current, document.functions[name], document.opened[name] = name, [], number
        if late and FUNCTIONS.index(late[-1]) > FUNCTIONS.index(name):
            raise LineError(1, f"{name} comes before {late[-1]}; the order is setup, predict, learn")
        if rest.strip():
            raise LineError(column, f"expected the end of the line after '{name}:', got {quote(rest.strip())}")
        return
    if late:
        raise LineError(1, f"{name} comes before setup")
    if name == "task":
        document.task = _read_task(rest, column)
    else:
        document.slots = _read_slots(rest, column)


def _read_task(rest: str, column: int) -> str:
    task = " ".join(rest.split())
    try:
        number = classes_of(task)
    except ProgramError as error:
        raise LineError(column, str(error), task.split(" ")[0][:40], ("regression", "binary", "classes")) from None
    return f"classes {number}" if number else task


def _read_slots(rest: str, column: int) -> Slots:
    wanted = "slots are given as '4 scalars, 3 vectors, 1 matrix'"
    counts: dict[str, int] = {}
    for part in rest.split(",")[:4]:
        words = part.split()
        kind = next((k for k in "svm" if len(words) == 2 and words[1] in (NOUN[k], NOUNS[k])), None)
        if kind is None or kind in counts or not (words[0].isascii() and words[0].isdigit() and len(words[0]) <= 4):
            raise LineError(column, f"{wanted}, got {quote(rest.strip())}")
        counts[kind] = int(words[0])
    if len(counts) != 3 or rest.count(",") != 2:
        raise LineError(column, f"{wanted}, got {quote(rest.strip())}")
    try:
        return Slots(counts["s"], counts["v"], counts["m"])
    except ProgramError as error:
        raise LineError(column, str(error)) from None


# From statements to functions


def _slots_that_fit(document: _Document, mistakes: _Mistakes) -> Slots | None:
    """Return the smallest slot counts that fit every slot named, or None, with a mistake, when none do."""
    named = [
        (operand, line)
        for statements in document.functions.values()
        for line, statement in statements
        for operand in statement.slots
        if operand.value < MAX_SLOTS
    ]
    counts = {"s": 2, "v": 1, "m": 0}
    place: tuple[int, Operand | None] = (1, None)
    for operand, line in named:
        if operand.value >= counts[operand.kind]:
            counts[operand.kind] = int(operand.value) + 1
            if sum(counts.values()) > MAX_SLOTS and place[1] is None:
                place = (line, operand)
    try:
        return smallest_slots(Slots(counts["s"], counts["v"], counts["m"]), document.task)
    except ProgramError as error:
        mistakes.add(place[0], LineError(place[1].column if place[1] else 1, str(error)))
        return None


def _resolve(document: _Document, name: str, slots: Slots | None, mistakes: _Mistakes) -> tuple[Instruction, ...]:
    """Return the instructions of one function; those with mistakes are left out."""
    instructions: list[Instruction] = []
    for line, statement in document.functions.get(name, []):
        wrong = check_slots(statement, slots, several_classes=classes_of(document.task) > 0)
        try:
            operator, operands = look_up(statement)
            if not wrong:
                instructions.append(instruction_of(operator, statement, operands))
        except LineError as error:
            wrong.append(error)
        for mistake in wrong:
            mistakes.add(line, mistake)
    if instructions and all(instruction.op == 0 for instruction in instructions):
        instructions.pop()  # a body of nothing but `pass`: the first stands for the empty function
    return tuple(instructions)
