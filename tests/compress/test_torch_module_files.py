"""Files of weights: back in the class they came from, narrower or sparse, and no file for what cannot be kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from selftaught.compress import load_module, prune_channels, save_module
from selftaught.errors import DataError, InputError
from tests.compress.architectures import MobileNet, ResNet18, settled


class Tied(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.words = nn.Embedding(20, width)
        self.last = nn.Linear(width, 20, bias=False)
        self.last.weight = self.words.weight
        self.slope = nn.PReLU(width)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(self.slope(self.words(words).mT).mT)
        return result


@pytest.mark.parametrize("kind", [pytest.param(ResNet18, marks=pytest.mark.slow), MobileNet])
def test_a_narrower_network_comes_back_in_its_class(kind: type[nn.Module], tmp_path: Path) -> None:
    inputs = torch.randn(3, 3, 32, 32)
    pruned = prune_channels(settled(kind(8)), inputs, round_to=4)  # type: ignore[call-arg]
    saved = save_module(pruned.model, tmp_path / "small.safetensors")
    fresh = kind(8)  # type: ignore[call-arg]
    before = {name: one.clone() for name, one in fresh.state_dict().items()}
    back = load_module(fresh, saved.path).eval()
    assert torch.equal(back(inputs), pruned.model(inputs))
    assert str(back) == str(pruned.model)
    assert all(torch.equal(one, before[name]) for name, one in fresh.state_dict().items())
    assert saved.bytes == saved.path.stat().st_size
    assert saved.packed == ()


def test_zeros_are_packed_where_that_pays(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(50, 41), nn.Linear(41, 7))
    with torch.no_grad():
        model[0].weight[torch.rand(41, 50) < 0.9] = 0
        model[1].weight[0, 0] = 0
    saved = save_module(model, tmp_path / "packed.safetensors")
    whole = save_module(model, tmp_path / "whole.safetensors", pack=False)
    assert (saved.packed, whole.packed) == (("0.weight",), ())
    assert saved.bytes < 0.4 * whole.bytes
    back = load_module(nn.Sequential(nn.Linear(50, 41), nn.Linear(41, 7)), saved.path)
    for one, other in zip(back.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)
    # As another program would read it.
    held = safetensors.torch.load_file(saved.path)
    places = np.unpackbits(held["0.weight:mask"].numpy())[: 41 * 50].astype(bool)
    weight = np.zeros(41 * 50, np.float32)
    weight[places] = held["0.weight:values"].numpy()
    assert np.array_equal(weight.reshape(41, 50), model[0].weight.detach().numpy())


def test_shared_weights_stay_shared(tmp_path: Path) -> None:
    words = torch.randint(20, (2, 5))
    model = Tied(4)
    saved = save_module(model, tmp_path / "tied.safetensors")
    back = load_module(Tied(8), saved.path)
    assert back.last.weight is back.words.weight
    assert torch.equal(back(words), model(words))
    assert (back.words.embedding_dim, back.last.in_features, back.slope.num_parameters) == (4, 4, 4)


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    path = save_module(nn.Sequential(nn.Linear(4, 2)), tmp_path / "one.safetensors").path
    with pytest.raises(InputError, match=r"has no '1\.weight', which the model has"):
        load_module(nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 2)), path)
    with pytest.raises(InputError, match=r"the model has no '0\.bias', which"):
        load_module(nn.Sequential(nn.Linear(4, 2, bias=False)), path)
    with pytest.raises(InputError, match=r"0\.weight in .* does not fit the model"):
        load_module(nn.Sequential(nn.Conv1d(4, 2, 3)), path)
    with pytest.raises(InputError, match="share the same weights"):
        load_module(Tied(), path)
    with pytest.raises(DataError, match="there is no file"):
        load_module(nn.Linear(4, 2), tmp_path / "none")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="damaged"):
        load_module(nn.Linear(4, 2), path)
    safetensors.torch.save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(DataError, match="no file that save_module wrote"):
        load_module(nn.Linear(4, 2), path)
    with pytest.raises(InputError, match="there is no folder"):
        save_module(nn.Linear(4, 2), tmp_path / "none" / "x.safetensors")
    broken = nn.Linear(4, 2)
    with torch.no_grad():
        broken.bias[0] = float("inf")
    with pytest.raises(InputError, match="bias holds 1 values"):
        save_module(broken, tmp_path / "nan.safetensors")
    assert not (tmp_path / "nan.safetensors").exists()
