"""RandAugment on whole batches: each example draws its own operations and signs.

"RandAugment: Practical automated data augmentation with a reduced search space" (Cubuk et al., arXiv 1909.13719), with
the 14 operations and the ranges of AutoAugment (arXiv 1805.09501). What an operation means is what Pillow does; images
are float tensors from 0 to 1, and results are not rounded to 256 levels unless the operation itself is about levels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from selftaught.errors import InputError, did_you_mean
from selftaught.training.config import RandAugment

__all__ = ["OPERATIONS", "randaugment"]

MOST = 30.0
_LEVELS = 255.0
# ITU-R 601-2 luma, the weights of Pillow's grey images.
_LUMA = (0.299, 0.587, 0.114)

#: From images (n, c, h, w) and strengths (n,) from -1 to 1 to images.
Operation = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def randaugment(images: torch.Tensor, config: RandAugment, generator: torch.Generator) -> torch.Tensor:
    """Put each image through random operations at one strength.

    Args:
        images: (n, channels, height, width), values from 0 to 1.
        config: how many operations, how strong, which.
        generator: on the CPU.

    Raises:
        InputError: an operation is unknown.
    """
    names = config.names or tuple(OPERATIONS)
    for name in names:
        if name not in OPERATIONS:
            hint = did_you_mean(name, OPERATIONS) or f"; known: {', '.join(OPERATIONS)}"
            raise InputError(f"there is no operation {name!r}{hint}")
    images = images.clone()
    for _ in range(config.ops):
        chosen = torch.randint(len(names), (len(images),), generator=generator)
        signs = torch.randint(2, (len(images),), generator=generator) * 2 - 1
        strengths = (signs * (config.magnitude / MOST)).to(images)
        for number, name in enumerate(names):
            rows = torch.nonzero(chosen == number)[:, 0].to(images.device)
            if len(rows):
                images[rows] = OPERATIONS[name](images[rows], strengths[rows])
    return images


def _identity(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    return images


def _autocontrast(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Stretch each channel to the whole range; a flat channel stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-6), images)


def _equalize(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Spread the levels of each channel so that all occur about equally often, as Pillow's `equalize` does."""
    levels = (images * _LEVELS).round().long().flatten(2)
    counts = torch.zeros(*levels.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    before = counts.cumsum(2) - counts
    # The last occupied level is left out of the step, and a channel of one level stays.
    last = (counts > 0).long().mul(torch.arange(256, device=images.device)).amax(2, keepdim=True)
    step = (levels.shape[2] - counts.gather(2, last)) // 255
    table = torch.where(step > 0, ((before + step // 2) // step.clamp(min=1)).clamp(max=255), -1)
    mapped = table.gather(2, levels)
    return torch.where(mapped < 0, levels, mapped).reshape(images.shape).to(images.dtype) / _LEVELS


def _solarize(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Turn the levels from a threshold on into their opposites; the threshold falls from 256 to 0."""
    threshold = (256 - 256 * strength.abs()).floor() / _LEVELS
    return torch.where(images >= _each(threshold), 1 - images, images)


def _posterize(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Keep the highest bits of each level, 8 down to 4."""
    bits = 8 - (4 * strength.abs()).round()
    width = _each(2.0 ** (8 - bits))
    return ((images * _LEVELS).round() / width).floor() * width / _LEVELS


def _brightness(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    return _blend(torch.zeros_like(images), images, strength)


def _color(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    return _blend(_grey(images), images, strength)


def _contrast(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    grey = (_grey(images).mean((1, 2, 3), keepdim=True) * _LEVELS + 0.5).floor() / _LEVELS
    return _blend(grey.expand_as(images), images, strength)


def _sharpness(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Blend with a smoothed image; the border is not smoothed, as in Pillow."""
    if min(images.shape[2:]) < 3:
        return images
    channels = images.shape[1]
    kernel = torch.tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=images.dtype, device=images.device) / 13
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = functional.conv2d(images, kernel.expand(channels, 1, 3, 3), groups=channels)
    return _blend(smooth, images, strength)


def _shear_x(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    return _affine(images, xy=0.3 * strength)


def _shear_y(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    return _affine(images, yx=0.3 * strength)


def _translate_x(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    return _affine(images, x=(0.45 * strength * images.shape[3]).round())


def _translate_y(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    return _affine(images, y=(0.45 * strength * images.shape[2]).round())


def _rotate(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    angle = torch.deg2rad(30 * strength)
    return _affine(images, xx=angle.cos(), xy=-angle.sin(), yx=angle.sin(), yy=angle.cos())


def _affine(images: torch.Tensor, **entries: torch.Tensor) -> torch.Tensor:
    """Take the pixel nearest to (xx u + xy v + x, yx u + yy v + y), counted from the centre; outside is zero."""
    count, _, height, width = images.shape
    ones, zeros = torch.ones(count, device=images.device), torch.zeros(count, device=images.device)
    rows, columns = torch.meshgrid(
        torch.arange(height, device=images.device), torch.arange(width, device=images.device), indexing="ij"
    )
    v, u = rows - (height - 1) / 2, columns - (width - 1) / 2

    def entry(name: str, default: torch.Tensor) -> torch.Tensor:
        return entries.get(name, default).to(torch.float32)[:, None, None]

    from_x = entry("xx", ones) * u + entry("xy", zeros) * v + entry("x", zeros)
    from_y = entry("yx", zeros) * u + entry("yy", ones) * v + entry("y", zeros)
    scaled = torch.stack(((2 * from_x) / width, (2 * from_y) / height), dim=-1)
    return functional.grid_sample(images, scaled.to(images.dtype), mode="nearest", align_corners=False)


def _grey(images: torch.Tensor) -> torch.Tensor:
    """Return the luma of colour images in every channel; other images as they are."""
    if images.shape[1] != 3:
        return images
    weights = torch.tensor(_LUMA, dtype=images.dtype, device=images.device)
    return torch.einsum("nchw,c->nhw", images, weights)[:, None].expand_as(images)


def _blend(other: torch.Tensor, images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Go from `other` (factor 0) over the image (1) beyond it; the factor is 1 + 0.9 strength."""
    return (other + (images - other) * _each(1 + 0.9 * strength)).clamp(0, 1)


def _each(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]


#: By the names of the paper's table; a new entry is drawn and tested at once.
OPERATIONS: dict[str, Operation] = {
    "identity": _identity,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "rotate": _rotate,
    "solarize": _solarize,
    "color": _color,
    "posterize": _posterize,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
    "shear-x": _shear_x,
    "shear-y": _shear_y,
    "translate-x": _translate_x,
    "translate-y": _translate_y,
}
