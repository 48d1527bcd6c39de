"""CIFAR-10 in its three forms and Fashion-MNIST, made small in a temporary folder; the real files when present."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selftaught.datasets import load
from selftaught.datasets.cifar import CIFAR_CLASSES
from selftaught.datasets.fashion import FASHION_CLASSES
from selftaught.errors import DataError, InputError
from selftaught.seeds import rng_for
from tests.datasets.test_median_filter import apply_filter

TRAIN = rng_for(0, "cifar").integers(0, 256, (50, 32, 32, 3), dtype=np.uint8)
TEST = rng_for(1, "cifar").integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
TRAIN_LABELS = np.arange(50) % 10
TEST_LABELS = np.arange(10)[::-1]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SELFTAUGHT_DATA", str(tmp_path))
    return tmp_path


def _batches() -> list[tuple[str, np.ndarray, np.ndarray]]:
    parts = [(f"data_batch_{i + 1}", TRAIN[10 * i : 10 * i + 10], TRAIN_LABELS[10 * i : 10 * i + 10]) for i in range(5)]
    return [*parts, ("test_batch", TEST, TEST_LABELS)]


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, images, labels in _batches():
        records = [
            bytes([label]) + image.transpose(2, 0, 1).tobytes() for image, label in zip(images, labels, strict=True)
        ]
        (folder / f"{name}.bin").write_bytes(b"".join(records))


def write_sheets(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, images, _ in _batches():
        Image.fromarray(images.reshape(len(images), 1024, 3)).save(folder / f"{name}.png")
    (folder / "train_lables.json").write_text(json.dumps(TRAIN_LABELS.tolist()))
    (folder / "test_lables.json").write_text(json.dumps(TEST_LABELS.tolist()))


def write_subset(folder: Path) -> None:
    folder.mkdir(parents=True)
    for part, images in (("train", TRAIN), ("test", TEST)):
        buffer = io.BytesIO()
        np.save(buffer, apply_filter(images))
        (folder / f"sub_{part}_x.med.npy.xz").write_bytes(lzma.compress(buffer.getvalue(), preset=0))
    np.savez(folder / "index.npz", train_y=TRAIN_LABELS.astype(np.uint8), test_y=TEST_LABELS.astype(np.uint8))


FORMS = {
    "binary": (write_binary, "cifar-10-batches-bin", "data_batch_3.bin"),
    "sheets": (write_sheets, "package", "data_batch_3.png"),
    "subset": (write_subset, "cifar10", "index.npz"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_cifar_gives_the_same_images(root: Path, form: str) -> None:
    write, folder, _ = FORMS[form]
    write(root / folder)
    for split, images, labels in (
        ("train", TRAIN, TRAIN_LABELS),
        ("test", TEST, TEST_LABELS),
        ("all", np.concatenate([TRAIN, TEST]), np.concatenate([TRAIN_LABELS, TEST_LABELS])),
    ):
        examples = load("cifar10", split=split)  # type: ignore[arg-type]
        assert np.array_equal(examples.inputs, images)
        assert examples.labels is not None
        assert examples.labels.tolist() == labels.tolist()
    assert examples.class_names == CIFAR_CLASSES


def test_the_whole_set_goes_before_the_subset(root: Path) -> None:
    write_subset(root / "cifar10")
    (root / "cifar10" / "data_batch_1.bin").write_bytes(b"short")
    with pytest.raises(DataError, match=r"data_batch_1\.bin must hold records of 3073 bytes, but has 5"):
        load("cifar10")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty"])
def test_damaged_cifar_files_are_named(root: Path, form: str, damage: str) -> None:
    write, folder, name = FORMS[form]
    write(root / folder)
    path = root / folder / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else -60])
    with pytest.raises(DataError) as caught:
        load("cifar10")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2", "[1, 2]", '["cat"]', "{}", "[99]"])
def test_bad_labels_of_the_sheets_are_an_error(root: Path, text: str) -> None:
    write_sheets(root / "cifar10")
    (root / "cifar10" / "train_lables.json").write_text(text)
    with pytest.raises(DataError, match="lables"):
        load("cifar10")


def _idx(array: np.ndarray) -> bytes:
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_fashion(folder: Path, *, packed: bool) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    rng = rng_for(0, "fashion")
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (30, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": (np.arange(30) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(10).astype(np.uint8),
    }
    for name, array in arrays.items():
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(_idx(array)) if packed else _idx(array))
    return arrays


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("folder", ["usr/share/datasets/fashion-mnist", "fashion-mnist"])
def test_fashion_mnist_is_read_from_idx_files(root: Path, folder: str, packed: bool) -> None:
    arrays = write_fashion(root / folder, packed=packed)
    train, test = load("fashion-mnist"), load("fashion-mnist", split="test")
    assert np.array_equal(train.inputs, arrays["train-images-idx3-ubyte"])
    assert np.array_equal(test.inputs, arrays["t10k-images-idx3-ubyte"])
    assert train.labels is not None
    assert train.labels.tolist() == arrays["train-labels-idx1-ubyte"].tolist()
    assert train.class_names == FASHION_CLASSES
    assert len(load("fashion-mnist", split="all")) == 40


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\x00\x00\x08\x03", "not an idx file"),
        (gzip.compress(b""), "not an idx file"),
        (gzip.compress(_idx(np.zeros((2, 2), np.uint8))), "with 3 axes"),
        (gzip.compress(_idx(np.zeros((30, 2, 2), np.uint8))[:-1]), "must hold 120 values"),
        (gzip.compress(_idx(np.zeros((30, 2, 2), np.uint8)))[:-9], "truncated or damaged"),
        (gzip.compress(bytes([0, 0, 8, 3]) + b"\xff" * 12), "must hold"),
        (gzip.compress(_idx(np.zeros((29, 28, 28), np.uint8))), "29 inputs but 30 labels"),
    ],
)
def test_damaged_idx_files_are_named(root: Path, data: bytes, words: str) -> None:
    write_fashion(root / "fashion-mnist", packed=True)
    (root / "fashion-mnist" / "train-images-idx3-ubyte.gz").write_bytes(data)
    if words == "not an idx file" and not data.startswith(b"\x1f"):
        words = "gzip"
    with pytest.raises(DataError, match=words):
        load("fashion-mnist")


@pytest.mark.parametrize("name", ["cifar10", "fashion-mnist"])
def test_what_to_do_is_said_when_the_files_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("selftaught.datasets.fashion._SYSTEM", ())
    monkeypatch.delenv("SELFTAUGHT_DATA", raising=False)
    with pytest.raises(DataError, match="set the environment variable SELFTAUGHT_DATA"):
        load(name)
    monkeypatch.setenv("SELFTAUGHT_DATA", str(tmp_path))
    with pytest.raises(DataError, match="below the folder SELFTAUGHT_DATA names"):
        load(name)
    monkeypatch.setenv("SELFTAUGHT_DATA", str(tmp_path / "none"))
    with pytest.raises(DataError, match="must name a folder"):
        load(name)
    with pytest.raises(InputError, match="split must be"):
        load(name, split="valid")  # type: ignore[arg-type]


REAL = os.environ.get("SELFTAUGHT_DATA", "")
TABLES = {
    "adult": (48842, 14, 2),
    "churn": (5000, 20, 2),
    "magic": (19020, 10, 2),
    "optdigits": (5620, 64, 10),
    "phoneme": (5404, 5, 2),
    "satimage": (6435, 36, 6),
    "spambase": (4601, 57, 2),
    "twonorm": (7400, 20, 2),
    "wine_quality_white": (4898, 11, 7),
    "227_cpu_small": (8192, 12, 0),
    "537_houses": (20640, 8, 0),
}


@pytest.mark.skipif(not REAL, reason="set SELFTAUGHT_DATA to a folder with tabular/*.tsv.gz")
@pytest.mark.parametrize("name", TABLES)
def test_real_tables_have_their_known_shapes(name: str) -> None:
    path = Path(REAL) / "tabular" / f"{name}.tsv.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    examples = load(path)
    assert (len(examples), examples.inputs.shape[1], examples.num_classes) == TABLES[name]
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    header, last = lines[0].split("\t"), lines[-1].split("\t")
    assert examples.inputs[-1].tolist() == [
        float(np.float32(value)) for column, value in zip(header, last, strict=True) if column != "target"
    ]


@pytest.mark.skipif(not REAL, reason="set SELFTAUGHT_DATA to a folder with cifar10/")
def test_the_real_cifar_test_images_are_balanced_and_distinct() -> None:
    if not (Path(REAL) / "cifar10" / "sub_test_x.med.npy.xz").exists():
        pytest.skip("the CIFAR-10 subset is not there")
    examples = load("cifar10", split="test")
    assert examples.labels is not None
    assert set(np.bincount(examples.labels).tolist()) == {len(examples) // 10}
    assert len(set(examples.ids.tolist())) == len(examples)
    assert all(text.endswith("-0") for text in examples.ids)
