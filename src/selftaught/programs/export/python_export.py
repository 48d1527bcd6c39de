"""A program as one Python file that needs NumPy and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent

from selftaught.programs.export.python_text import functions_for, python_statement
from selftaught.programs.live_form import Slot, has_state, live_form, slots_used
from selftaught.programs.program import Instruction, Program
from selftaught.programs.text import classes_of, format_instruction, format_program

__all__ = ["to_python"]

_ZERO = {"s": "f32(0)", "v": "np.zeros(num_features, f32)", "m": "np.zeros((num_features, num_features), f32)"}

_FINISH = {
    "regression": "",
    "binary": "m.s1 = sigmoid(m.s1)  # two classes: the probability of the second",
    "classes": "m.v2 = softmax(m.v2, m.num_classes)  # a probability a class",
}

_CHECK = {
    "regression": "abs(f32(label) - m.s1) <= f32(100)",
    "binary": "np.isfinite(m.s1)",
    "classes": "np.isfinite(m.v2[: m.num_classes]).all()",
}

_TEACH = {
    "regression": "m.s0 = f32(label)\nlearn(m)\nm.s0 = f32(0)",
    "classes": "m.v1 = np.zeros_like(m.v0)\nm.v1[int(label)] = 1\nlearn(m)\nm.v1 = np.zeros_like(m.v0)",
}

_LEARNER = '''\
class Learner:
    """The program as a learner of tables.

    Args:
        epochs: passes over the rows; the first in their order, later ones permuted.
        seed: of the permutations and of the program's own random numbers, 1 to 2**32 - 1.
        standardise: bring columns@TARGET@ to mean 0 and deviation 1, as
            the data were on which the program evolved.
    """

    def __init__(self, *, epochs=1, seed=1, standardise=True):
        self.epochs, self.seed, self.standardise = epochs, seed, standardise

    def fit(self, X, y):
        """Learn from rows X (n, F) and labels y (n,), from the beginning."""
        self.memory = None
        order = np.random.default_rng(self.seed)
        for epoch in range(self.epochs):
            rows = order.permutation(len(X)) if epoch else np.arange(len(X))
            self.partial_fit(X, y, rows=rows)
        return self

    def partial_fit(self, X, y@CLASSES_ARGUMENT@, rows=None):
        """Learn from more rows, each once; the first call fixes the scale@WHAT_FIRST@."""
        X, y = np.asarray(X, float), np.asarray(y)
        if getattr(self, "memory", None) is None:
            self._begin(X, y@CLASSES_PASS@)
        X, y, m = self._scale(X), self._encode(y), self.memory
        with np.errstate(all="ignore"):
            for row in range(len(X)) if rows is None else rows:
                m.v0, label = X[row], y[row]
                predict(m)
                if not @CHECK@:
                    raise ValueError(f"diverged at row {row}; scale the data or try another program")
@TEACH@
        return self

@PREDICT@

    def _each_row(self, X):
        """Predict every row from a copy of the trained memory."""
        with np.errstate(all="ignore"):
            for x in self._scale(np.asarray(X, float)):
                m = copy.copy(self.memory)
                m.v0 = x
                predict(m)
                yield m

    def _begin(self, X, y@CLASSES_PASS@):
        one, zero = np.ones(X.shape[1]), np.zeros(X.shape[1])
        self.mean, self.scale = (X.mean(axis=0), _spread(X)) if self.standardise else (zero, one)
@BEGIN@
        with np.errstate(all="ignore"):
            setup(self.memory)

    def _scale(self, X):
        return ((X - self.mean) / self.scale).astype(f32)

@ENCODE@


def _spread(values):
    spread = values.std(axis=0)
    return np.where(spread > 1e-7 * np.abs(values.mean(axis=0)), spread, 1.0)
'''

_PREDICT = {
    "regression": '''\
def predict(self, X):
    """Return predictions (n,)."""
    return np.array([m.s1 for m in self._each_row(X)], float) * self.y_scale + self.y_mean''',
    "binary": '''\
def predict(self, X):
    """Return the class of each row."""
    return self.classes[(self.predict_proba(X)[:, 1] > 0.5).astype(int)]

def predict_proba(self, X):
    """Return probabilities (n, 2)."""
    p = np.array([m.s1 for m in self._each_row(X)], float)
    return np.stack([1 - p, p], axis=1)''',
    "classes": '''\
def predict(self, X):
    """Return the class of each row."""
    return self.classes[self.predict_proba(X).argmax(axis=1)]

def predict_proba(self, X):
    """Return probabilities (n, classes)."""
    return np.array([m.v2[: m.num_classes] for m in self._each_row(X)], float)''',
}

_BEGIN = {
    "regression": """\
self.y_mean, self.y_scale = (y.mean(), float(_spread(y))) if self.standardise else (0.0, 1.0)
self.memory = Memory(X.shape[1], seed=self.seed)""",
    "binary": """\
self.classes = np.unique(y if classes is None else classes)
if len(self.classes) > 2:
    raise ValueError(f"this program tells two classes apart, y has {len(self.classes)}")
self.memory = Memory(X.shape[1], seed=self.seed)""",
    "classes": """\
self.classes = np.unique(y if classes is None else classes)
count = len(self.classes)
if count > X.shape[1]:
    raise ValueError(f"{count} classes need {count} columns or more, X has {X.shape[1]}; add zeros")
self.memory = Memory(X.shape[1], num_classes=count, seed=self.seed)""",
}

_ENCODE = {
    "regression": "def _encode(self, y):\n    return ((y - self.y_mean) / self.y_scale).astype(f32)",
    "classes": """\
def _encode(self, y):
    if not np.isin(y, self.classes).all():
        raise ValueError("y holds a class that the first rows had not; name all of them: classes=[...]")
    return np.searchsorted(self.classes, y)""",
}


def to_python(program: Program, *, task: str = "regression") -> str:
    """Write a program as one Python file that runs alone, with NumPy.

    The file holds `Memory`, the functions `setup(m)`, `predict(m)` and `learn(m)` with the program's own lines
    beside them, the operators that it uses, and a class `Learner` with fit, partial_fit and predict (and
    predict_proba). Numbers are float32 and sums run in the order of the language's definition.

    Args:
        program: what to write; its live form is exported.
        task: "regression", "binary" (two classes) or "classes K"; the file takes any number of classes then.

    Raises:
        ProgramError: the task is none of these, or the program writes the label of several classes.

    >>> from selftaught.programs import linear_learner
    >>> print(to_python(linear_learner(0.1)).splitlines()[2])
    selftaught-program 1
    """
    live = live_form(program, task=task)
    kind = "classes" if classes_of(task) else task
    used = slots_used([*live.setup, *live.predict, *live.learn]) | {("s", 0), ("v", 0)}
    used |= {("v", 1), ("v", 2)} if kind == "classes" else {("s", 1)}
    functions = [
        _function("setup", "once, before the first row", live.setup, ""),
        _function("predict", "from the features v0", live.predict, _FINISH[kind]),
        _function("learn", "from the label, after predict", live.learn, ""),
    ]
    statements = [python_statement(i) for _, part in live.functions() for i in part] + [_FINISH[kind]]
    parts = [
        _heading(live, task) + "\n\nimport copy\n\nimport numpy as np\n\nf32 = np.float32",
        _memory(sorted(used), several=kind == "classes"),
        *functions,
        *functions_for(statements),
        _learner(kind),
    ]
    return "\n\n\n".join(parts)


def _heading(live: Program, task: str) -> str:
    lines = ['"""A learning program found by selftaught, in NumPy alone.', "", format_program(live, task=task), ""]
    if has_state(live, task=task):
        lines += ["Its prediction changes its memory; `Learner` predicts every row from the trained memory.", ""]
    lines += [
        "Use: Learner(epochs=5).fit(X, y).predict(X_new). Columns (and a target to regress) are",
        'standardised by `Learner`; setup, predict and learn take the numbers as they are.\n"""',
    ]
    return "\n".join(lines)


def _memory(used: Sequence[Slot], *, several: bool) -> str:
    classes = ", num_classes" if several else ""
    lines = [
        "class Memory:",
        '    """What the program remembers: scalars s, vectors v of F, matrices m of F x F; zeros at first."""',
        "",
        f"    def __init__(self, num_features{classes}, *, seed=1):",
        *(f"        self.{kind}{slot} = {_ZERO[kind]}" for kind, slot in sorted(used, key=_by_kind)),
        *(["        self.num_classes = num_classes"] if several else []),
        "        self.stream = (seed & 0xFFFFFFFF) or 1  # the state of the random numbers",
    ]
    return "\n".join(lines)


def _by_kind(slot: Slot) -> tuple[int, int]:
    return "svm".index(slot[0]), slot[1]


def _function(name: str, when: str, instructions: Sequence[Instruction], finish: str) -> str:
    rows = [(python_statement(i), format_instruction(i)) for i in instructions]
    width = max((len(statement) for statement, _ in rows), default=0)
    body = [f"{statement:<{width}}  # {text}" for statement, text in rows] + ([finish] if finish else [])
    return f'def {name}(m):\n    """Run {when}."""\n' + indent("\n".join(body or ["pass"]), " " * 4)


def _learner(kind: str) -> str:
    scalar = kind != "classes"
    text = _LEARNER
    for field, value in (
        ("@TARGET@", " and the target" if kind == "regression" else ""),
        ("@CLASSES_ARGUMENT@", ", *" if kind == "regression" else ", *, classes=None"),
        ("@CLASSES_PASS@", "" if kind == "regression" else ", classes"),
        ("@WHAT_FIRST@", "" if kind == "regression" else " and the classes"),
        ("@CHECK@", _CHECK[kind]),
        ("@TEACH@", indent(_TEACH["regression" if scalar else "classes"], " " * 16)),
        ("@PREDICT@", indent(_PREDICT[kind], " " * 4)),
        ("@BEGIN@", indent(_BEGIN[kind], " " * 8)),
        ("@ENCODE@", indent(_ENCODE["regression" if kind == "regression" else "classes"], " " * 4)),
    ):
        text = text.replace(field, value)
    return text
