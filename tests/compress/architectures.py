"""Networks of the usual kinds: a residual one, one of depthwise convolutions, a transformer and a perceptron."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al., arXiv 1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        held = functional.relu(self.bn1(self.conv1(inputs)), inplace=True)
        return functional.relu(self.bn2(self.conv2(held)) + self.downsample(inputs))


class ResNet18(nn.Module):
    """Stem of 7 x 7 with stride 2, max pooling, four stages of two blocks, mean, one linear layer."""

    def __init__(self, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(Block(before, after, 1 if place == 0 else 2), Block(after, after, 1))
                for place, (before, after) in enumerate(pairwise(widths))
            )
        )
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        held = self.layers(self.maxpool(functional.relu(self.bn1(self.conv1(inputs)))))
        result: torch.Tensor = self.fc(torch.flatten(functional.adaptive_avg_pool2d(held, 1), 1))
        return result


class Inverted(nn.Module):
    """1 x 1 out, 3 x 3 depthwise, a gate, 1 x 1 back (Howard et al., arXiv 1905.02244)."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, *, hard: bool) -> None:
        super().__init__()
        activation: Callable[[], nn.Module] = nn.Hardswish if hard else partial(nn.ReLU6, inplace=True)
        self.expand = nn.Sequential(nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), activation())
        self.depthwise = nn.Sequential(
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner), activation()
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(inner, 8, 1), nn.ReLU(), nn.Conv2d(8, inner, 1), nn.Hardsigmoid()
        )
        self.project = nn.Sequential(nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        held = self.depthwise(self.expand(inputs))
        held = self.project(held * self.gate(held))
        return inputs + held if self.residual else held


class MobileNet(nn.Module):
    """A stem and four inverted blocks, with ReLU6 and with hard swish, gated."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.Hardswish())
        self.blocks = nn.Sequential(
            Inverted(width, 2 * width, width, 1, hard=False),
            Inverted(width, 3 * width, 2 * width, 2, hard=False),
            Inverted(2 * width, 4 * width, 2 * width, 1, hard=True),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(2 * width, classes))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.blocks(self.stem(inputs)))
        return result


class Attending(nn.Module):
    """A layer of a transformer, normalised before each part."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.wide, self.back = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        n, length, width = inputs.shape
        held = self.norm1(inputs)
        parts = [
            one(held).view(n, length, self.heads, width // self.heads).transpose(1, 2)
            for one in (self.query, self.key, self.value)
        ]
        held = functional.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(n, length, width)
        inputs = inputs + self.out(held)
        result: torch.Tensor = inputs + self.back(functional.gelu(self.wide(self.norm2(inputs))))
        return result


class Transformer(nn.Module):
    """Two layers over words with their places, and a class from the mean of all places."""

    def __init__(self, words: int = 50, length: int = 12, width: int = 32, classes: int = 5) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.places = nn.Parameter(torch.randn(length, width) * 0.1)
        self.layers = nn.Sequential(*(Attending(width, 4, 2 * width) for _ in range(2)))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, classes)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        held = self.layers(self.words(words) + self.places)
        result: torch.Tensor = self.last(self.norm(held).mean(dim=1))
        return result


def perceptron(inputs: int = 24, classes: int = 6) -> nn.Sequential:
    """Three linear layers, of which the first is normalised."""
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 48), nn.Tanh(), nn.Linear(48, classes)
    )


def settled(model: nn.Module) -> nn.Module:
    """Give normalisations statistics that are not those of the start; evaluation mode."""
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 2)
                part.weight.uniform_(0.5, 1.5)
                part.weight[::5] *= -1
                part.bias.normal_(0, 0.2)
    return model.eval()
