"""The page on adding an operator, followed in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import selftaught

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add-an-operator.md"

SCRIPT = '''
import numpy as np
from selftaught.programs import builtin_tasks, format_program, parse_program
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.export import to_c, to_python, to_torch
from selftaught.programs.operators import BY_NAME, OPERATOR_SETS, OPERATORS
from selftaught.programs.reference import evaluate_reference

text = """selftaught-program 1
slots: 4 scalars, 4 vectors, 0 matrices
task: regression
setup:
    s2 = 0.01
predict:
    v3 = square(v0)
    s1 = dot(v3, v1)
learn:
    s3 = s0 - s1
    s3 = s2 * s3
    v2 = s3 * v3
    v1 = v1 + v2"""
program = parse_program(text, "text").program
assert format_program(program).splitlines()[3:] == text.splitlines()[3:]
assert BY_NAME["vector_square"].id == len(OPERATORS) - 1 == 65
assert 65 in OPERATOR_SETS["full"]["learn"]
assert 65 not in OPERATOR_SETS["full"]["setup"]
tasks = builtin_tasks("linear_regression", count=8, features=4, num_train=50, num_valid=20)
fast = Evaluator(tasks).score(program)
slow = evaluate_reference(
    program, tasks.train_x, tasks.train_y, tasks.valid_x, tasks.valid_y, orders=tasks.epoch_orders,
    seeds=tasks.stream_seeds,
)
assert np.allclose(fast, slow, atol=1e-5), (fast, slow)
learner = {"__name__": "learner"}
exec(to_python(program), learner)
assert np.array_equal(learner["square"](np.float32([2, -3])), [4, 9])
assert "def square(a):" in to_torch(program)
assert "float" in to_c(program, num_features=4).code
print("agreed")
'''


def test_the_operator_of_the_page_works_everywhere(tmp_path: Path) -> None:
    row, entry, function = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    shutil.copytree(Path(selftaught.__file__).parent, tmp_path / "selftaught")
    programs = tmp_path / "selftaught" / "programs"
    places = {
        "operators.py": (")\n# fmt: on", row),
        "machine.py": ("    **elementary.UNARY,\n}", entry),
        "export/python_text.py": ('        "angle": PythonFunction(', function),
    }
    for name, (before, lines) in places.items():
        text = (programs / name).read_text(encoding="utf-8")
        assert text.count(before) == 1
        (programs / name).write_text(text.replace(before, lines + before), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "SELFTAUGHT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "agreed\n"), done.stderr
