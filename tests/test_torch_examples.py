"""The examples that import torch, in docstrings and documents, run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.test_house import DOCUMENTS, MODULES, examples_use_torch, source_of

pytest.importorskip("torch")


@pytest.mark.parametrize("name", [name for name in MODULES if examples_use_torch(source_of(name))])
def test_the_examples_in_docstrings_run(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    tried = doctest.testmod(module)
    assert (tried.failed, tried.attempted > 0) == (0, True)


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if examples_use_torch(p)], ids=lambda path: path.name)
def test_the_examples_in_documents_run(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    tried = doctest.testfile(str(path), module_relative=False, encoding="utf-8")
    assert (tried.failed, tried.attempted > 0) == (0, True)
