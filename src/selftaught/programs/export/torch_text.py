"""A program as one Python file that needs torch: Predict as a module, Learn as an optimiser where it is a rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from textwrap import indent, wrap
from types import MappingProxyType

from selftaught.errors import InputError
from selftaught.programs.explain.dataflow import flow_of
from selftaught.programs.export.python_text import FUNCTIONS, PythonFunction, functions_for
from selftaught.programs.export.update_rule import Line, UpdateRule, update_rule
from selftaught.programs.live_form import Slot, has_state, kind_of, live_form, scoring_part, slots_read
from selftaught.programs.operators import IS_PARTIAL, IS_RANDOM, OPERATORS
from selftaught.programs.program import Instruction, Program
from selftaught.programs.text import classes_of, format_constant, format_instruction, format_program

__all__ = ["optimiser_class", "to_torch", "torch_file"]

_SHAPES = {"s": "v0.shape[:-1]", "v": "v0.shape", "m": "v0.shape + v0.shape[-1:]"}
_ZEROS = {
    "s": "torch.zeros(())",
    "v": "torch.zeros(num_features)",
    "m": "torch.zeros(num_features, num_features)",
}
_NEVER_WRITTEN = {
    "s": "v0.new_zeros(())",
    "v": "torch.zeros_like(v0)",
    "m": "v0.new_zeros(v0.shape[-1:] + v0.shape[-1:])",
}

#: Operators that are not written as in the program's text. Scalars have shape () or (n,), vectors (F,) or (n, F),
#: matrices (F, F) or (n, F, F). Fields: {out}, {in1}, {in2}, {c0}, {c1}, {c2}, {old}, {place}.
_STATEMENTS: Mapping[str, str] = MappingProxyType(
    {
        "vector_scale": "{out} = {in1}[..., None] * {in2}",
        "matrix_scale": "{out} = {in1}[..., None, None] * {in2}",
        "vector_fill": "{out} = fill({in1}, v0.shape[-1])",
        "matrix_vector_product": "{out} = matrix_times_vector({in1}, {in2})",
        "matrix_transpose": "{out} = {in1}.transpose(-2, -1)",
        "scalar_constant": "{out} = v0.new_full((), {c0})",
        "vector_constant": "{out} = set_element({old}, {place}, {c1})",
        "matrix_constant": "{out} = set_matrix_element({old}, {place}, {c2})",
        **{f"matrix_{word}": f"{{out}} = matrix_{word}({{in1}})" for word in ("norm", "mean", "std")},
        **{
            f"scalar_{word}": f"{{out}} = torch.{word}({{in1}})"
            for word in ("arcsin", "arccos", "arctan", "exp", "log")
        },
        **{
            f"{kind}_{word}": f"{{out}} = {word}(v0, {shape}, {{c0}}, {{c1}})"
            for kind, shape in (("scalar", _SHAPES["s"]), ("vector", _SHAPES["v"]), ("matrix", _SHAPES["m"]))
            for word in ("uniform", "gaussian")
        },
    }
)


def _short(signature: str, value: str, *needs: str) -> PythonFunction:
    return PythonFunction(f"def {signature}:\n    return {value}", needs)


_NORM = "torch.linalg.vector_norm(a, dim={})"  # its gradient at zero is zero, that of sqrt(sum) is not a number
# Not torch's std, which sums in float64 and so stays finite where the language's is infinite.
_STD = "torch.linalg.vector_norm(a - a.mean({dim}, keepdim=True), dim={dim}) / ({count}) ** 0.5"

#: The functions that a file brings along. Those that a rule calls take any shape. What is plain arithmetic in the NumPy
#: files is so here.
_FUNCTIONS: Mapping[str, PythonFunction] = MappingProxyType(
    {
        **{name: one for name, one in FUNCTIONS.items() if not re.search(r"\bnp\b|\bf32\b|\bm\b", one.source)},
        "angle": PythonFunction(
            "def angle(a):\n"
            "    # sin, cos and tan take an angle of 1e6 or more as 0\n"
            "    return torch.where((abs(a) >= 1e6) & torch.isfinite(a), torch.zeros_like(a), a)"
        ),
        **{word: _short(f"{word}(a)", f"torch.{word}(angle(a))", "angle") for word in ("sin", "cos", "tan")},
        "step": PythonFunction(
            "def step(a):\n    # 1 where a > 0, else 0, also of nan; its gradient is zero\n"
            "    return torch.relu(torch.sign(a))"
        ),
        "minimum": _short("minimum(a, b)", "torch.where(b < a, b, a)"),
        "maximum": _short("maximum(a, b)", "torch.where(b > a, b, a)"),
        "dot": _short("dot(a, b)", "(a * b).sum(-1)"),
        "norm": _short("norm(a)", _NORM.format(-1)),
        "mean": _short("mean(a)", "a.mean(-1)"),
        "std": _short("std(a)", _STD.format(dim="-1", count="a.shape[-1]")),
        "matrix_norm": _short("matrix_norm(a)", _NORM.format("(-2, -1)")),
        "matrix_mean": _short("matrix_mean(a)", "a.mean((-2, -1))"),
        "matrix_std": _short("matrix_std(a)", _STD.format(dim="(-2, -1)", count="a.shape[-1] ** 2")),
        "row_norms": _short("row_norms(a)", _NORM.format(-1)),
        "row_means": _short("row_means(a)", "a.mean(-1)"),
        "row_stds": _short("row_stds(a)", _STD.format(dim="-1", count="a.shape[-1]")),
        "column_norms": _short("column_norms(a)", _NORM.format(-2)),
        "outer": _short("outer(a, b)", "a[..., :, None] * b[..., None, :]"),
        "fill": _short("fill(a, length: int)", "a[..., None].expand(list(a.shape) + [length])"),
        "columns": PythonFunction(
            "def columns(a):\n    # every column is a\n    return a[..., :, None].expand(list(a.shape) + [a.shape[-1]])"
        ),
        "rows": PythonFunction(
            "def rows(a):\n    # every row is a\n    return a[..., None, :].expand(list(a.shape) + [a.shape[-1]])"
        ),
        "matrix_times_vector": _short("matrix_times_vector(a, b)", "(a @ b[..., None])[..., 0]"),
        "place": PythonFunction(
            "def place(fraction, length):\n"
            "    # a fraction f of [0, 1) names element int(F * f), so that it means the same for any F\n"
            "    fraction = torch.tensor(fraction, dtype=torch.float32, device='cpu')\n"
            "    return min(int(fraction * length), length - 1)"
        ),
        "set_element": PythonFunction(
            "def set_element(old, i: int, value: float):\n"
            "    new = old.clone()\n    new[..., i] = value\n    return new"
        ),
        "set_matrix_element": PythonFunction(
            "def set_matrix_element(old, i: int, j: int, value: float):\n"
            "    new = old.clone()\n    new[..., i, j] = value\n    return new"
        ),
        "uniform": _short(
            "uniform(like, shape: list[int], low: float, high: float)",
            "low + torch.rand(shape, dtype=like.dtype, device=like.device) * (high - low)",
        ),
        "gaussian": _short(
            "gaussian(like, shape: list[int], mean: float, std: float)",
            "mean + torch.randn(shape, dtype=like.dtype, device=like.device) * std",
        ),
    }
)

_LOSSES = {
    "regression": "half the squared error, (score - label) ** 2 / 2",
    "binary": "nn.BCEWithLogitsLoss",
    "classes": "nn.CrossEntropyLoss",
}

_PREDICTOR = '''\
class Predictor(nn.Module):
    """Predict as a module: features (n, F) to @OUTPUT@.

    Args:
        num_features: F.@CLASSES_DOC@
    """

    def __init__(self, num_features@CLASSES_ARGUMENT@):
        super().__init__()
@MEMORY@
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        """Run Setup; what is random comes from torch's generator."""
@SETUP@

    def forward(self, v0):
        """Return the scores of features v0."""
@PREDICT@
'''

_PROBABILITIES = {
    "regression": "",
    "binary": '''
    def probabilities(self, v0):
        """Return the probability (n,) of the second class."""
        return torch.sigmoid(self(v0))
''',
    "classes": '''
    def probabilities(self, v0):
        """Return probabilities (n, classes)."""
        return torch.softmax(self(v0), dim=-1)
''',
}

_OPTIMISER = '''\
class UpdateRule(torch.optim.Optimizer):
    """@DOC@

    Args:
        params: parameters or groups of them, as for any optimiser of torch.@GIVEN@
    """

    def __init__(self, params@ARGUMENTS@):
        super().__init__(params, {@DEFAULTS@})

    @torch.no_grad()
    def step(self, closure=None):
        """Update every parameter that has a gradient; return the loss of the closure, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for given in self.param_groups:
            for w in given["params"]:
                if w.grad is not None:
                    if w not in self.state:
                        self.state[w] = self.begin(w, given)
                    w.copy_(self.update(w, -w.grad, self.state[w], given))
        return loss

    def begin(self, w, given):
        """Return what the rule remembers of a parameter before its first step."""
@BEGIN@

    def update(self, w, g, memory, given):
        """Return the parameter after a step."""
@UPDATE@
'''


def to_torch(program: Program, *, task: str = "regression") -> str:
    r"""Write a program as one Python file that runs alone, with torch.

    The file holds `Predictor`, Predict as a `torch.nn.Module` from features (n, F) to scores (n,), or (n, classes):
    its parameters are what Learn changes by the label. Where Learn is an update rule (see `update_rule`), the file
    also holds `UpdateRule`, a `torch.optim.Optimizer`; where it is not, the file says why.

    Args:
        program: what to write; its live form is exported.
        task: "regression", "binary" (two classes) or "classes K"; the file takes any number of classes then.

    Raises:
        ProgramError: the task is none of these, or the program writes the label of several classes.

    >>> from selftaught.programs import linear_learner
    >>> text = to_torch(linear_learner(0.1))
    >>> print("\n".join(line.strip() for line in text.splitlines() if "self.v1)" in line))
    s1 = dot(v0, self.v1)  # s1 = dot(v0, v1)
    """
    try:
        rule: UpdateRule | None = update_rule(program, task=task)
        refusal = ""
    except InputError as error:
        rule, refusal = None, str(error)
    return torch_file(program, rule, task=task, refusal=refusal)


def torch_file(program: Program, rule: UpdateRule | None, *, task: str, refusal: str = "") -> str:
    """Write the file with one rule, or with the reason why it has none."""
    live = live_form(program, task=task)
    kind = "classes" if classes_of(task) else task
    predictor, statements = _predictor(live, task, kind)
    parts = [predictor]
    if rule is not None:
        parts.append(_optimiser(rule, kind))
        statements += [line.expression for line in (*rule.begin, *rule.lines)]
    head = _heading(live, task, refusal)
    return "\n\n\n".join([head, *functions_for(statements, _FUNCTIONS), *parts]) + "\n"


def _heading(live: Program, task: str, refusal: str) -> str:
    notes = []
    if has_state(live, task=task):
        notes.append("Its prediction changes its memory; here every row is predicted from the memory as it is.")
    if any(IS_RANDOM[i.op] for i in scoring_part(live, task=task)[0].predict):
        notes.append("Its prediction draws random numbers; here torch's generator draws them.")
    if refusal:
        notes += wrap(refusal[0].upper() + refusal[1:] + ".", 100)
    notes.append("Give features (and a target to regress) standardised: mean 0, standard deviation 1.")
    lines = [
        '"""A learning program found by selftaught, in torch.',
        "",
        format_program(live, task=task),
        "",
        *notes,
        '"""',
    ]
    return "\n".join([*lines, "", "import torch", "from torch import nn"])


# ---- Predict


class _Function:
    """The lines of Setup or Predict.

    Args:
        instructions: its instructions.
        attributes: slots that the module holds; they are read until they are written, all others are zeros.
        places: keep the places of elements for __init__, as what traces a module wants them to be constant.
    """

    def __init__(self, instructions: Iterable[Instruction], attributes: set[Slot], *, places: bool) -> None:
        self.lines: list[tuple[str, str]] = []
        self.places: list[str] = []  # of elements, for __init__
        self.batched: set[Slot] = {("v", 0)}
        self._attributes, self._written = attributes, {("v", 0)}
        self._keep_places = places
        for instruction in instructions:
            self._add(instruction)

    def read(self, slot: Slot) -> str:
        """Return how a slot is read; what nothing wrote is zeros."""
        name = _name(slot)
        if slot in self._written:
            return name
        if slot in self._attributes:
            return f"self.{name}"
        self._written.add(slot)
        self.lines.append((f"{name} = {_NEVER_WRITTEN[slot[0]]}", f"{name} is zero until it is written"))
        return name

    def _add(self, instruction: Instruction) -> None:
        operator = OPERATORS[instruction.op]
        out = (operator.out, instruction.out)
        read = slots_read(instruction)
        names = [self.read(slot) for slot in read]
        template = _STATEMENTS.get(operator.name, operator.text)
        statement = template.format(
            out=_name(out),
            old=names[0] if names else "",
            in1=names[0] if operator.in1 else "",
            in2=names[1] if operator.in2 else "",
            c0=format_constant(instruction.c0),
            c1=format_constant(instruction.c1),
            c2=format_constant(instruction.c2),
            place=self._place(instruction) if IS_PARTIAL[operator.id] else "",
        )
        self.lines.append((statement, format_instruction(instruction)))
        self._written.add(out)
        if IS_RANDOM[operator.id] or self.batched & set(read):
            self.batched.add(out)
        else:
            self.batched.discard(out)

    def _place(self, instruction: Instruction) -> str:
        """Return the row, or the row and column, of an element."""
        found = []
        for fraction in instruction.constants[:-1]:
            text = f"place({format_constant(fraction)}, {'' if self._keep_places else 'self.'}num_features)"
            if self._keep_places:
                self.places.append(text)
                text = f"self.place{len(self.places)}"
            found.append(text)
        return ", ".join(found)

    def text(self) -> list[str]:
        """Return the lines with the program's own lines beside them."""
        width = min(max((len(statement) for statement, _ in self.lines), default=0), 60)
        return [f"{statement:<{width}}  # {comment}" for statement, comment in self.lines]


def _predictor(live: Program, task: str, kind: str) -> tuple[str, list[str]]:
    """Return the text of the module, and its statements."""
    part, read = scoring_part(live, task=task)
    output: Slot = ("v", 2) if kind == "classes" else ("s", 1)
    written = {(OPERATORS[i.op].out, i.out) for _, function in live.functions() for i in function} | {output}
    memory = sorted(read & written, key=lambda slot: ("svm".index(slot[0]), slot[1]))
    learned = flow_of(live, kind_of(task)).learned
    setup = _Function(part.setup, set(), places=False)
    predict = _Function(part.predict, set(memory), places=True)
    score = predict.read(output)
    if output not in predict.batched:
        score += f".expand({_SHAPES[output[0]]})"
    score += "[..., : self.num_classes]" if kind == "classes" else ""
    init = ["self.num_features = num_features"]
    if kind == "classes":
        init = [
            "if num_classes > num_features:",
            '    raise ValueError(f"{num_classes} classes need as many features, got {num_features}")',
            "self.num_features, self.num_classes = num_features, num_classes",
        ]
    filled = {(OPERATORS[i.op].out, i.out) for i in part.setup}
    reset = ["v0 = torch.zeros(self.num_features)", *setup.text()] if part.setup else []
    for slot in memory:
        name, zeros = _name(slot), _ZEROS[slot[0]]
        init.append(
            f"self.{name} = nn.Parameter({zeros})" if slot in learned else f'self.register_buffer("{name}", {zeros})'
        )
        reset.append(f"self.{name}.copy_({name})" if slot in filled else f"self.{name}.zero_()")
    init += [f"self.place{number} = {text}" for number, text in enumerate(predict.places, 1)]
    fields = {
        "@OUTPUT@": "scores (n, classes)" if kind == "classes" else "scores (n,)",
        "@CLASSES_DOC@": "\n        num_classes: K, at most F." if kind == "classes" else "",
        "@CLASSES_ARGUMENT@": f", num_classes={classes_of(task)}" if kind == "classes" else "",
        "@MEMORY@": _block(init),
        "@SETUP@": _block(reset or ["pass"]),
        "@PREDICT@": _block([*predict.text(), f"return {score}"]),
    }
    text = _filled(_PREDICTOR, fields) + _PROBABILITIES[kind]
    statements = [statement.partition(" = ")[2] for statement, _ in (*setup.lines, *predict.lines)]
    return text.rstrip(), [*statements, *predict.places]


# ---- Learn


def _optimiser(rule: UpdateRule, kind: str) -> str:
    slot = _name(rule.slot)
    doc = [
        f"Learn as an optimiser: what it does to {slot}, done to every parameter w with negative gradient g.",
        "",
        "    One example at a time, its steps are those of the program with the loss",
        f"    {_LOSSES[kind]}.",
    ]
    return optimiser_class(rule, "\n".join(doc), given_are="the constants of Setup")


def optimiser_class(rule: UpdateRule, doc: str, *, given_are: str) -> str:
    """Write a rule as the class `UpdateRule`, an optimiser of torch.

    Args:
        rule: what is done to a parameter w with negative gradient g.
        doc: the docstring's first lines.
        given_are: what the constants are that become arguments.
    """
    given = {key: format_constant(value) for key, value in rule.given.items()}
    first = ", ".join(f'"{key}": {value}' for key, value in rule.first.items())
    after = [f'memory["{key}"] = {value}' for key, value in rule.after.items()]
    return _filled(
        _OPTIMISER,
        {
            "@DOC@": doc,
            "@GIVEN@": f"\n        {', '.join(given)}: {given_are}." if given else "",
            "@ARGUMENTS@": "".join([", *", *(f", {key}={value}" for key, value in given.items())]) if given else "",
            "@DEFAULTS@": ", ".join(f'"{key}": {key}' for key in given),
            "@BEGIN@": _block([*_lines(rule.begin), f"return {{{first}}}"]),
            "@UPDATE@": _block([*_lines(rule.lines), *after, f"return {rule.result}"]),
        },
    ).rstrip()


def _lines(lines: Iterable[Line]) -> list[str]:
    return [f"{line.name} = {line.expression}" + (f"  # {line.comment}" if line.comment else "") for line in lines]


def _name(slot: Slot) -> str:
    return f"{slot[0]}{slot[1]}"


def _block(lines: Iterable[str]) -> str:
    return indent("\n".join(lines), " " * 8)


def _filled(template: str, fields: Mapping[str, str]) -> str:
    for field, value in fields.items():
        template = template.replace(field, value)
    return template
