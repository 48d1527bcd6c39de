"""ONNX files: compared before they are written, whole or not at all, and what cannot be exported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from selftaught.compress import export_onnx, load_onnx
from selftaught.errors import DataError, InputError, MissingExtraError


class Deciding(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs if inputs.sum() > 0 else -inputs


class OfThree(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.view(3, -1) * 2


class Unknown(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svdvals(inputs)


class Two(nn.Module):
    def forward(self, one: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return one @ torch.ones(3, 2) + other, one.mean(dim=1)


def test_a_file_gives_what_the_module_gave(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3))
    model.train()
    found = export_onnx(model, torch.zeros(1, 1, 4, 4), tmp_path / "model.onnx", check_on=[torch.randn(9, 1, 4, 4)])
    assert model.training
    assert found.batches == (1, 1, 2, 5, 9)
    assert found.fixed_batch == ""
    assert 0 < found.relative < 1e-5
    assert found.bytes == (tmp_path / "model.onnx").stat().st_size
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]
    inputs = torch.randn(4, 1, 4, 4)
    session = load_onnx(tmp_path / "model.onnx")
    assert torch.allclose(session(inputs), model.eval()(inputs), atol=1e-6)
    with pytest.raises(InputError, match="takes 1 inputs"):
        session(inputs, inputs)
    with pytest.raises(InputError, match="cannot take these inputs"):
        session(inputs[:, :, :3])


@pytest.mark.slow
def test_several_inputs_and_outputs_and_a_fixed_batch(tmp_path: Path) -> None:
    found = export_onnx(Two(), (torch.randn(2, 3), torch.randn(2, 2)), tmp_path / "two.onnx")
    assert (len(found.inputs), len(found.outputs), found.fixed_batch) == (2, 2, "")
    found = export_onnx(OfThree(), torch.ones(3, 4), tmp_path / "three.onnx")
    assert found.batches == (3,)
    assert found.fixed_batch
    assert "one size only" in str(found)


def test_what_cannot_be_exported_is_told_and_leaves_no_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, inputs = tmp_path / "model.onnx", torch.ones(3, 4)
    broken = nn.Linear(4, 2)
    with torch.no_grad():
        broken.weight[:, 0] = float("nan")
    with pytest.raises(InputError, match=r"^torch\.export and ONNX cannot take the model: Could not guard .*; write"):
        export_onnx(Deciding(), inputs, path)
    with pytest.raises(InputError, match="cannot take the model: No ONNX function found"):
        export_onnx(Unknown(), inputs, path)
    assert capfd.readouterr().err == ""
    with pytest.raises(InputError, match=r"weight holds 2 values that are NaN"):
        export_onnx(broken, inputs, path)
    with pytest.raises(InputError, match="was not written: on 3 examples onnxruntime's outputs differ by"):
        export_onnx(nn.Linear(4, 2), torch.randn(3, 4), path, tolerance=1e-12)
    with pytest.raises(InputError, match="at least one example"):
        export_onnx(nn.Linear(4, 2), inputs[:0], path)
    with pytest.raises(InputError, match="there is no folder"):
        export_onnx(nn.Linear(4, 2), inputs, tmp_path / "none" / "model.onnx")
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="cannot be read"):
        load_onnx(path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="onnxruntime cannot run"):
        load_onnx(path)


def test_without_onnx_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"exporting to ONNX needs onnxscript; .*'selftaught\[networks\]'"):
        export_onnx(nn.Linear(4, 2), torch.zeros(2, 4), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
