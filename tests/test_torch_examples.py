"""What imports torch: its examples run, and its packages keep the rules of the house."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.test_house import (
    DOCUMENTS,
    MODULES,
    PACKAGES,
    check_module,
    check_package,
    examples_use_torch,
    needs_torch,
    source_of,
)

pytest.importorskip("torch")


@pytest.mark.parametrize("name", [name for name in MODULES if examples_use_torch(source_of(name))])
def test_the_examples_in_docstrings_run(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    tried = doctest.testmod(module)
    assert (tried.failed, tried.attempted > 0 or needs_torch(name)) == (0, True)


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if examples_use_torch(p)], ids=lambda path: path.name)
def test_the_examples_in_documents_run(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    tried = doctest.testfile(str(path), module_relative=False, encoding="utf-8")
    assert (tried.failed, tried.attempted > 0) == (0, True)


@pytest.mark.parametrize("name", [name for name in PACKAGES if needs_torch(name)])
def test_a_package_exports_by_name_what_it_means_to(name: str) -> None:
    check_package(name)


@pytest.mark.parametrize("name", [name for name in MODULES if needs_torch(name)])
def test_a_module_defines_what_its_all_names(name: str) -> None:
    check_module(name)
