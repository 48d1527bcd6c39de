"""Augmentation of whole batches: flip, crop, cutout, mixup and CutMix as tensor operations, each example its own."""

from __future__ import annotations

import math

import torch

from selftaught.errors import InputError
from selftaught.training.config import Augment
from selftaught.training.randaugment import randaugment

__all__ = ["augment_images", "crop", "cutmix", "cutout", "flip", "mixup", "mixed"]


def augment_images(images: torch.Tensor, config: Augment, generator: torch.Generator) -> torch.Tensor:
    """Return a batch flipped, cropped, put through RandAugment and cut out, as the settings say; mixing comes later.

    Args:
        images: (n, channels, height, width), float; RandAugment takes values from 0 to 1.
        config: what to do.
        generator: on the CPU; the same state gives the same batch on every device.

    Raises:
        InputError: the inputs are no images, and something is asked for that only images have.
    """
    if images.ndim != 4:
        if config.images_only:
            raise InputError(
                f"{', '.join(config.images_only)}: for images (n, channels, height, width), but the inputs have shape "
                f"{tuple(images.shape)}; mixup is for tables too"
            )
        return images
    if config.flip:
        images = flip(images, generator)
    if config.crop:
        images = crop(images, config.crop, generator)
    if config.randaugment is not None:
        images = randaugment(images, config.randaugment, generator)
    if config.cutout:
        images = cutout(images, config.cutout, generator)
    return images


def flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror each image (n, c, h, w) left and right with probability one half."""
    chosen = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def crop(images: torch.Tensor, padding: int, generator: torch.Generator) -> torch.Tensor:
    """Pad each side of images (n, c, h, w) with zeros and cut the old size out at a random place of each."""
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    # A view of all windows, then one gather: (n, c, 2p + 1, 2p + 1, h, w) costs no memory.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    rows, columns = torch.randint(2 * padding + 1, (2, count), generator=generator).to(images.device)
    return windows[torch.arange(count, device=images.device), :, rows, columns]


def cutout(images: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Set a square of each image (n, c, h, w) to zero; its centre is anywhere (arXiv 1708.04552)."""
    _, _, height, width = images.shape
    return images * ~_boxes(len(images), height, width, size, size, generator, images.device)[:, None]


def mixed(
    inputs: torch.Tensor, targets: torch.Tensor, config: Augment, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets after mixup or CutMix, whichever is on; with both, one at random.

    Args:
        inputs: (n, ...).
        targets: (n, classes) shares of each class, or (n,) numbers, float.
        config: says which.
        generator: on the CPU.
    """
    by_box = config.cutmix > 0
    if by_box and config.mixup > 0:
        by_box = bool(torch.rand((), generator=generator) < 0.5)
    if by_box:
        return cutmix(inputs, targets, config.cutmix, generator)
    return mixup(inputs, targets, config.mixup, generator)


def mixup(
    inputs: torch.Tensor, targets: torch.Tensor, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each example with another of the batch, share ~ Beta(alpha, alpha), one for the batch (arXiv 1710.09412).

    x = share x_i + (1 - share) x_j, and targets alike.
    """
    share = _beta(alpha, generator)
    partner = torch.randperm(len(inputs), generator=generator).to(inputs.device)
    return torch.lerp(inputs[partner], inputs, share), torch.lerp(targets[partner], targets, share)


def cutmix(
    images: torch.Tensor, targets: torch.Tensor, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Paste a box of another image of the batch into each (arXiv 1905.04899).

    The box has the share 1 - lambda of the area before it is cut at the border, lambda ~ Beta(alpha, alpha); targets
    are mixed by the area that is really covered.
    """
    _, _, height, width = images.shape
    side = math.sqrt(1 - _beta(alpha, generator))
    box = _boxes(1, height, width, round(side * height), round(side * width), generator, images.device)[0]
    partner = torch.randperm(len(images), generator=generator).to(images.device)
    share = 1 - float(box.float().mean())
    return torch.where(box, images[partner], images), torch.lerp(targets[partner], targets, share)


def _boxes(
    count: int, height: int, width: int, tall: int, wide: int, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """Return masks (count, height, width), true in a box around a random pixel."""
    rows = torch.randint(height, (count, 1), generator=generator).to(device) - tall // 2
    columns = torch.randint(width, (count, 1), generator=generator).to(device) - wide // 2
    down, right = torch.arange(height, device=device), torch.arange(width, device=device)
    in_rows = (down >= rows) & (down < rows + tall)
    in_columns = (right >= columns) & (right < columns + wide)
    return in_rows[:, :, None] & in_columns[:, None, :]


def _beta(alpha: float, generator: torch.Generator) -> float:
    """Draw from Beta(alpha, alpha), as a ratio of gamma variables."""
    first, second = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator).tolist()
    return first / (first + second) if first + second > 0 else 0.5
