"""The rules of the house: what holds of every package, module and document."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import selftaught

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "selftaught"
HEAVY = (
    "torch", "optuna", "numba", "llvmlite", "polars", "sklearn", "scipy", "sqlalchemy", "pandas", "numpy", "rich",
    "typer", "captum", "onnx", "onnxruntime", "onnxscript", "matplotlib",
)  # fmt: skip
MAX_LINES = 500

PACKAGES = ["selftaught", *(m.name for m in pkgutil.walk_packages([str(SOURCE)], "selftaught.") if m.ispkg)]
MODULES = [
    "selftaught",
    *(m.name for m in pkgutil.walk_packages([str(SOURCE)], "selftaught.") if not m.name.endswith("__main__")),
]
SOURCES = sorted(SOURCE.rglob("*.py"))
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def written_files() -> list[Path]:
    """Every file that people wrote, without caches and environments."""
    folders = [ROOT / name for name in ("src", "tests", "tests_wheel", "docs", "benchmarks", "examples", ".ci")]
    files = [path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts]
    files += [path for path in ROOT.iterdir() if path.name != ".git"]
    return sorted(path for path in files if path.is_file())


def literal_all(path: Path) -> list[str] | None:
    """The names of `__all__` as written, or None; a computed one raises."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names = ast.literal_eval(node.value)
            assert isinstance(names, list), f"{path}: __all__ must be a list written by hand"
            return [str(name) for name in names]
    return None


def names_in_init(path: Path) -> set[str]:
    """The public names that a package's `__init__` imports or defines, also for type checkers only."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.If))]
    for node in (node for block in blocks for node in block):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("selftaught"):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return {name for name in found if not name.startswith("_")}


def examples_use_torch(path: Path) -> bool:
    """Whether the examples in a file import torch; they run in `test_torch_examples`, in a process of their own."""
    return ">>> import torch" in path.read_text(encoding="utf-8")


@cache
def imports_torch(name: str, *, lazily: bool = False) -> bool:
    """Whether importing a module imports torch, or using what it exports does (`lazily`)."""
    found: set[str] = set()
    used: set[str] = set()
    body = ast.parse(source_of(name).read_text(encoding="utf-8")).body
    for node in [*body, *(line for one in body if lazily and isinstance(one, ast.If) for line in one.body)]:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            used.add(node.module)  # taking a name from a package loads what defines it
    parents = {".".join(one.split(".")[:k]) for one in found for k in range(1, one.count(".") + 2)}
    others = {one for one in parents & set(MODULES) if one != name and not name.startswith(f"{one}.")}
    return "torch" in parents or any(imports_torch(one, lazily=one in used) for one in others)


def source_of(name: str) -> Path:
    path = ROOT / "src" / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def runs_with_torch(name: str) -> bool:
    """Whether a module's examples run in `test_torch_examples`."""
    return examples_use_torch(source_of(name)) or imports_torch(name)


@pytest.mark.parametrize("name", [name for name in PACKAGES if not imports_torch(name, lazily=True)])
def test_a_package_exports_by_name_what_it_means_to(name: str) -> None:
    module = importlib.import_module(name)
    path = Path(str(module.__file__))
    exported = literal_all(path)
    assert exported, f"{name} must have an __all__"
    assert len(exported) == len(set(exported)), f"{name}: a name stands twice in __all__"
    missing = [public for public in exported if not hasattr(module, public)]
    assert not missing, f"{name}.__all__ names what does not exist"
    forgotten = names_in_init(path) - set(exported)
    assert not forgotten, f"{name} imports public names that __all__ leaves out"


@pytest.mark.parametrize("name", [name for name in MODULES if not imports_torch(name, lazily=True)])
def test_a_module_defines_what_its_all_names(name: str) -> None:
    module = importlib.import_module(name)
    exported = literal_all(Path(str(module.__file__))) or []
    assert [public for public in exported if not hasattr(module, public)] == []


@pytest.mark.parametrize("name", [name for name in MODULES if not runs_with_torch(name)])
def test_the_examples_in_docstrings_run(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if not examples_use_torch(p)], ids=lambda path: path.name)
def test_the_examples_in_documents_run(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctest.testfile(str(path), module_relative=False, encoding="utf-8").failed == 0


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        selftaught.no_such_name  # noqa: B018
    assert set(selftaught.__all__) <= set(dir(selftaught))


def test_importing_the_package_is_quick_and_light() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import selftaught; seconds = time.perf_counter() - start;"
        "print(seconds, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    assert min(float(run[0]) for run in runs) < 0.5
    assert [name for name in HEAVY if name in runs[0][1:]] == []


@pytest.mark.parametrize("name", ["errors", "load", "Examples"])
def test_a_first_use_loads_no_more_than_it_needs(name: str) -> None:
    code = f"import sys; from selftaught import {name}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [heavy for heavy in ("torch", "numba", "polars", "sklearn", "pandas", "sqlalchemy") if heavy in loaded] == []


def test_no_source_file_is_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_no_module_hides_under_a_vague_name() -> None:
    vague = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert [str(path.relative_to(ROOT)) for path in SOURCES if path.stem in vague] == []


def test_no_assert_and_no_swallowed_error_in_the_source() -> None:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            swallowed = isinstance(node, ast.ExceptHandler) and all(isinstance(line, ast.Pass) for line in node.body)
            if isinstance(node, ast.Assert) or swallowed:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_written_files_name_no_package_host_and_no_private_folder() -> None:
    # Joined here, so that this file does not hold them itself.
    forbidden = ["pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "/" + "work/", "/" + "root/"]
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in written_files()
        for word in forbidden
        if word in path.read_text(encoding="utf-8", errors="ignore")
    ]
    assert found == []


def test_the_changelog_knows_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    release, _, development = selftaught.__version__.partition(".dev")
    sections = re.findall(r"^## \[(.+?)\]", text, flags=re.MULTILINE)
    assert sections[0] == "Unreleased"
    unreleased = text.split("## [Unreleased]")[1].split("\n## [")[0]
    if development:
        assert release in unreleased
    else:
        assert release in sections


def test_the_makefile_has_what_the_documents_tell_people_to_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE))
    declared = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    assert declared is not None
    assert targets == set(declared[1].split()), "every target has its line of help"
    told: set[str] = set()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        told |= set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, flags=re.MULTILINE))
    assert {"demo", "test"} <= told
    assert told <= targets


def test_the_command_line_has_what_the_readme_tells_people_to_run() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = set(re.findall(r"(?:^|`)selftaught ([a-z][a-z-]*)", text, flags=re.MULTILINE))
    assert "evolve" in verbs
    for verb in verbs:
        command = [sys.executable, "-m", "selftaught", verb, "--help"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{verb}: {done.stderr}"
        assert verb in done.stdout


def test_links_in_documents_lead_somewhere() -> None:
    broken = []
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
            if "://" not in link and not (path.parent / link).exists():
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_every_extra_that_an_error_names_exists() -> None:
    extras = set(project()["project"]["optional-dependencies"])
    named: dict[str, str] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MissingExtraError":
                extra = node.args[1]
                assert isinstance(extra, ast.Constant), f"{path}:{node.lineno}: name the extra in place"
                named[str(extra.value)] = str(path)
    assert named
    assert {extra: path for extra, path in named.items() if extra not in extras} == {}


def test_all_means_every_extra_and_every_requirement_is_pinned() -> None:
    extras: dict[str, list[str]] = project()["project"]["optional-dependencies"]
    together = re.findall(r"[a-z]+", extras["all"][0].partition("[")[2])
    assert set(together) == set(extras) - {"all", "test"}
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    wanted = [*project()["project"]["dependencies"], *(need for extra in extras.values() for need in extra)]
    names = {re.split(r"[^A-Za-z0-9-]", need)[0] for need in wanted} - {"selftaught"}
    assert {name for name in names if name not in pinned} == set()
    assert pinned["torch"] == "2.13.0"


def test_every_package_has_its_layer() -> None:
    layers = " ".join(project()["tool"]["importlinter"]["contracts"][0]["layers"])
    present = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py"} | {
        path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()
    }
    assert present - {"__init__", "__main__"} <= set(re.findall(r"\w+", layers))


@pytest.mark.parametrize("script", [".ci/run", "tests_wheel/run.sh"])
def test_scripts_can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
