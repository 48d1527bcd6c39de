"""Augmentation: each operation against a slow reading of its definition, or against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from selftaught.errors import InputError
from selftaught.training import Augment, RandAugment
from selftaught.training.augment import augment_images, crop, cutmix, cutout, flip, mixup
from selftaught.training.randaugment import OPERATIONS, randaugment

SHAPE = (16, 3, 12, 10)


def images(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    """Images of 256 levels, from 0 to 1."""
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed)) / 255


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_flip_mirrors_about_half_and_leaves_the_others() -> None:
    given = images(shape=(400, 1, 2, 3))
    found = flip(given, generator())
    mirrored = (found == given.flip(-1)).flatten(1).all(1)
    same = (found == given).flatten(1).all(1)
    assert bool((mirrored | same).all())
    assert 150 < int(same.sum()) < 250


def test_a_crop_is_a_window_of_the_padded_image_and_all_windows_occur() -> None:
    given = images(shape=(600, 2, 5, 4))
    found = crop(given, 2, generator())
    padded = torch.nn.functional.pad(given, (2, 2, 2, 2))
    seen = set()
    for number in range(len(given)):
        places = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if torch.equal(found[number], padded[number, :, row : row + 5, column : column + 4])
        ]
        assert places
        seen |= set(places[:1])
    assert len(seen) == 25


def test_cutout_sets_one_square_to_zero() -> None:
    found = cutout(torch.ones(50, 3, 9, 9), 3, generator())
    for one in found:
        assert torch.equal(one[0], one[1])
        rows, columns = torch.nonzero(one[0] == 0, as_tuple=True)
        tall, wide = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
        assert len(rows) == tall * wide
        assert min(tall, wide) >= 1
        assert max(tall, wide) <= 3


def test_mixup_mixes_targets_by_the_share_of_the_inputs() -> None:
    given = torch.eye(6)  # an example is its own number, one-hot, so that the mixture can be read off
    inputs, targets = mixup(given, given, 0.4, generator(3))
    assert torch.allclose(inputs, targets)
    assert torch.allclose(inputs.sum(1), torch.ones(6))
    shares = {round(float(one), 5) for row in inputs for one in row if one > 0} - {1.0}
    assert len(shares) == 2  # one share for the batch, and its rest
    assert sum(shares) == pytest.approx(1, abs=1e-4)


def test_cutmix_mixes_targets_by_the_area_pasted() -> None:
    given = torch.arange(1.0, 9)[:, None, None, None].expand(8, 1, 6, 7)
    inputs, targets = cutmix(given, torch.eye(8), 1.0, generator(5))
    for number, (image, target) in enumerate(zip(inputs, targets, strict=True)):
        for other in range(8):
            share = float((image == other + 1).float().mean())
            assert float(target[other]) == pytest.approx(share, abs=1e-5), number
    assert 0 < float(targets.diagonal().mean()) < 1


def as_pillow(image: torch.Tensor) -> Image.Image:
    return Image.fromarray((image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))


def from_pillow(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(np.float64).transpose(2, 0, 1)


S = 0.5
PILLOW = {
    "identity": lambda one: one,
    "autocontrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "solarize": lambda one: ImageOps.solarize(one, 128),
    "posterize": lambda one: ImageOps.posterize(one, 6),
    "brightness": lambda one: ImageEnhance.Brightness(one).enhance(1 + 0.9 * S),
    "color": lambda one: ImageEnhance.Color(one).enhance(1 + 0.9 * S),
    "contrast": lambda one: ImageEnhance.Contrast(one).enhance(1 + 0.9 * S),
    "sharpness": lambda one: ImageEnhance.Sharpness(one).enhance(1 + 0.9 * S),
    "shear-x": lambda one: affine(one, 1, 0.3 * S, 0, 0, 1, 0),
    "shear-y": lambda one: affine(one, 1, 0, 0, 0.3 * S, 1, 0),
    "translate-x": lambda one: affine(one, 1, 0, 8, 0, 1, 0),
    "translate-y": lambda one: affine(one, 1, 0, 0, 0, 1, 9),
    "rotate": lambda one: one.rotate(30 * S, Image.Resampling.NEAREST),
}


def affine(image: Image.Image, xx: float, xy: float, x: float, yx: float, yy: float, y: float) -> Image.Image:
    """Pillow's transform counts from the corner; ours from the centre."""
    u, v = image.width / 2, image.height / 2
    data = (xx, xy, x + u - xx * u - xy * v, yx, yy, y + v - yx * u - yy * v)
    return image.transform(image.size, Image.Transform.AFFINE, data, Image.Resampling.NEAREST)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_pillows(name: str) -> None:
    given = images(7, (4, 3, 40, 36)) * 0.8 + 0.1  # not the whole range, so that autocontrast has something to do
    given = (given * 255).round() / 255
    if name == "equalize":
        given = (given * 16).floor() / 16
        given = (given * 255).round() / 255
    found = OPERATIONS[name](given, torch.full((len(given),), S)).numpy() * 255
    for ours, image in zip(found, given, strict=True):
        wanted = from_pillow(PILLOW[name](as_pillow(image)))
        # Pillow rounds to levels on its way (a smoothed image, a grey one), we do not.
        close = np.abs(ours - wanted) <= 2.0
        assert close.mean() > (0.97 if name in ("rotate", "shear-x", "shear-y") else 0.9999)
    assert bool(np.abs(found - given.numpy() * 255).max() >= 3) is (name != "identity")


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"autocontrast", "equalize"}))
def test_magnitude_0_changes_nothing(name: str) -> None:
    given = images(1)
    found = randaugment(given, RandAugment(ops=3, magnitude=0, names=(name,)), generator())
    assert torch.allclose(found, given, atol=1e-6)


def test_examples_of_a_batch_draw_their_own_operations() -> None:
    given = images(2, (1, 3, 16, 16)).expand(200, -1, -1, -1)
    found = randaugment(given, RandAugment(ops=1, magnitude=15), generator(1))
    kinds = {one.numpy().tobytes() for one in found}
    assert 20 <= len(kinds) <= 28  # 14 operations; nine have two signs
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.equal(given, images(2, (1, 3, 16, 16)).expand(200, -1, -1, -1)), "the batch was changed in place"


def test_the_same_generator_gives_the_same_batch() -> None:
    config = Augment(flip=True, crop=2, cutout=3, randaugment=RandAugment())
    first, again, other = (augment_images(images(), config, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_is_for_images_is_refused_for_tables() -> None:
    with pytest.raises(InputError, match="flip, cutout: for images"):
        augment_images(torch.zeros(4, 5), Augment(flip=True, cutout=2, mixup=1.0), generator())
    assert augment_images(torch.zeros(4, 5), Augment(mixup=1.0), generator()).shape == (4, 5)
    with pytest.raises(InputError, match="did you mean 'rotate'"):
        randaugment(images(), RandAugment(names=("rotat",)), generator())
