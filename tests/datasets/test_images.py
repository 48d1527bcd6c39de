"""Folders of images."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selftaught.datasets import load
from selftaught.errors import DataError, InputError, MissingExtraError
from selftaught.seeds import rng_for


def _folder(root: Path, *, shape: tuple[int, ...] = (6, 5, 3), each: int = 3) -> np.ndarray:
    """Write two class folders of PNG images and return the pixels, class by class."""
    pixels = rng_for(0, "images").integers(0, 256, (2 * each, *shape), dtype=np.uint8)
    for number, array in enumerate(pixels):
        folder = root / ("cat", "dog")[number // each]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / f"{number}.png")
    return pixels


@pytest.mark.parametrize("shape", [(6, 5, 3), (6, 5)])
def test_images_are_read_as_they_were_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = _folder(tmp_path / "pets", shape=shape)
    (tmp_path / "pets" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "pets" / "cat" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "pets" / "README.md").write_text("about")
    examples = load(tmp_path / "pets")
    assert np.array_equal(examples.inputs, pixels)
    assert examples.class_names == ("cat", "dog")
    assert examples.labels is not None
    assert examples.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert examples.name == "pets"
    assert load(str(tmp_path / "pets")).ids.tolist() == examples.ids.tolist()


def test_one_image_in_colour_makes_all_colour(tmp_path: Path) -> None:
    grey = _folder(tmp_path, shape=(6, 5))
    Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(tmp_path / "dog" / "9.png")
    inputs = load(tmp_path).inputs
    assert inputs.shape == (7, 6, 5, 3)
    assert np.array_equal(inputs[:6], np.repeat(grey[..., None], 3, axis=3))


def test_mixed_sizes_are_an_error_unless_resized(tmp_path: Path) -> None:
    _folder(tmp_path)
    Image.fromarray(np.full((9, 4, 3), 7, np.uint8)).save(tmp_path / "dog" / "9.png")
    with pytest.raises(DataError, match=r"0.png is 6 x 5 and .*9.png is 9 x 4 .*give resize"):
        load(tmp_path)
    examples = load(tmp_path, resize=(3, 8))
    assert examples.inputs.shape == (7, 3, 8, 3)
    assert (examples.inputs[6] == 7).all()


def test_transparency_is_dropped_and_the_camera_is_turned_upright(tmp_path: Path) -> None:
    _folder(tmp_path)
    pixels = np.zeros((5, 6, 4), np.uint8)
    pixels[0, 0] = (255, 0, 0, 10)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show
    Image.fromarray(pixels).save(tmp_path / "cat" / "a.png", exif=exif)
    found = load(tmp_path).inputs[3]
    assert found.shape == (6, 5, 3)
    assert found[0, 4].tolist() == [255, 0, 0]


def _no_folders(root: Path) -> None:
    root.mkdir(exist_ok=True)


def _one_class(root: Path) -> None:
    _folder(root)
    for path in (root / "dog").iterdir():
        path.unlink()
    (root / "dog").rmdir()


def _empty_class(root: Path) -> None:
    _folder(root)
    (root / "bird").mkdir()


def _too_deep(root: Path) -> None:
    _folder(root)
    (root / "cat" / "tabby").mkdir()


def _loose_image(root: Path) -> None:
    _folder(root)
    Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(root / "loose.png")


def _other_file(root: Path) -> None:
    _folder(root)
    (root / "cat" / "notes.txt").write_text("tabby")


def _unreadable(root: Path) -> None:
    _folder(root)
    (root / "cat" / "bad.png").write_bytes(b"not an image")


def _sixteen_bits(root: Path) -> None:
    _folder(root)
    Image.fromarray(np.zeros((6, 5), np.uint16)).save(root / "cat" / "deep.png")


def _empty_image(root: Path) -> None:
    _folder(root)
    (root / "cat" / "bad.jpg").write_bytes(b"")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (_no_folders, "has no class folders"),
        (_one_class, "one class folder only"),
        (_empty_class, "bird holds no images"),
        (_too_deep, "one level deep"),
        (_loose_image, "outside any class folder"),
        (_other_file, "notes.txt is not an image"),
        (_unreadable, "bad.png is not a readable image"),
        (_sixteen_bits, "8 bits a channel"),
        (_empty_image, "bad.jpg is not a readable image"),
    ],
)
def test_folders_that_do_not_fit(tmp_path: Path, build: object, words: str) -> None:
    build(tmp_path)  # type: ignore[operator]
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("resize", [(0, 3), (3,), (2.5, 3), "3x3", (3, 10**6)])
def test_a_size_must_be_two_whole_numbers(tmp_path: Path, resize: object) -> None:
    _folder(tmp_path)
    with pytest.raises(InputError, match="resize must be"):
        load(tmp_path, resize=resize)  # type: ignore[arg-type]


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _folder(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"selftaught\[data\]"):
        load(tmp_path)
