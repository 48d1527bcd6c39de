"""Damaged files: each gives one line from `selftaught.errors`, or loads; never another exception."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from selftaught.datasets import load, parquet
from selftaught.errors import DataError, SelftaughtError
from selftaught.examples import Examples
from selftaught.seeds import rng_for

CSV = "height,colour,target\n" + "".join(f"{i * 0.5},{'red' if i % 3 else 'blue'},{i % 2}\n" for i in range(40))


def _frame() -> pl.DataFrame:
    return pl.read_csv(io.StringIO(CSV))


def _parquet() -> bytes:
    buffer = io.BytesIO()
    _frame().write_parquet(buffer)
    return buffer.getvalue()


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.arange(120, dtype=np.float32).reshape(40, 3), y=np.arange(40) % 2)
    return buffer.getvalue()


def _stored_npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, inputs=np.arange(120, dtype=np.float32).reshape(40, 3), labels=np.arange(40) % 2)
    return buffer.getvalue()


def _image(form: str) -> bytes:
    pixels = rng_for(0, "malformed", "image").integers(0, 256, (12, 10, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


WHOLE: dict[str, bytes] = {
    "a.csv": CSV.encode(),
    "a.tsv": CSV.replace(",", "\t").encode(),
    "a.csv.gz": gzip.compress(CSV.encode(), mtime=0),
    "a.tsv.gz": gzip.compress(CSV.replace(",", "\t").encode(), mtime=0),
    "a.parquet": _parquet(),
    "a.npz": _npz(),
    "b.npz": _stored_npz(),
    "a.png": _image("PNG"),
    "a.jpg": _image("JPEG"),
    "a.bmp": _image("BMP"),
}


def _truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(0, len(data))]


def _flip_bit(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data)))
    return data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]


def _garble(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data)))
    return data[:place] + rng.bytes(16) + data[place + 16 :]


def _insert(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data)))
    return data[:place] + rng.bytes(5) + data[place:]


def _delete(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data)))
    return data[:place] + data[place + int(rng.integers(1, 40)) :]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data)))
    return data[:place] + data[place : place + 60] * 2 + data[place + 60 :]


def _zeros(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data)))
    return data[:place] + bytes(min(24, len(data) - place)) + data[place + 24 :]


def _quote(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data)))
    return data[:place] + b'"' + data[place:]


CORRUPTIONS: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    function.__name__.strip("_"): function
    for function in (_truncate, _flip_bit, _garble, _insert, _delete, _repeat, _zeros, _quote)
}


def _write(folder: Path, name: str, data: bytes) -> Path:
    """Write a file; images go into a class folder beside a whole class."""
    if Path(name).suffix in (".png", ".jpg", ".bmp"):
        for kind in ("cat", "dog"):
            (folder / "images" / kind).mkdir(parents=True)
            (folder / "images" / kind / f"1{Path(name).suffix}").write_bytes(WHOLE[name] if kind == "dog" else data)
        return folder / "images"
    (folder / name).write_bytes(data)
    return folder / name


def _one_line_or_examples(path: Path, **options: str) -> str:
    try:
        examples = load(path, **options)
    except SelftaughtError as error:
        text = str(error)
        assert text
        assert len(text.splitlines()) == 1, repr(text)
        assert len(text) < 700
        return text
    assert isinstance(examples, Examples)
    assert examples.labels is None or len(examples.labels) == len(examples) == len(set(examples.ids.tolist()))
    assert np.isfinite(examples.inputs).all()
    return ""


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_file_loads(tmp_path: Path, name: str) -> None:
    assert _one_line_or_examples(_write(tmp_path, name, WHOLE[name])) == ""


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize("name", WHOLE)
def test_a_damaged_file_gives_one_line(tmp_path: Path, name: str, corruption: str, number: int) -> None:
    rng = rng_for(number, "malformed", name, corruption)
    path = _write(tmp_path, name, CORRUPTIONS[corruption](WHOLE[name], rng))
    _one_line_or_examples(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ["a.csv.gz", "a.tsv.gz", "a.parquet", "a.npz", "b.npz"])
def test_a_truncated_binary_file_is_an_error(tmp_path: Path, name: str, share: float) -> None:
    data = WHOLE[name][: int(share * len(WHOLE[name]))]
    assert _one_line_or_examples(_write(tmp_path, name, data)) != ""


TEXTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b"\n\n  \n", "is empty"),
    "byte_order_mark_only": (b"\xef\xbb\xbf", "is empty"),
    "header_only": (b"a,b,target\n", "no data lines"),
    "too_many_fields": (b"a,target\n1,0\n2,1,3\n", "line 3 has 3 fields"),
    "too_few_fields": (b"a,target\n1,0\n2\n", "line 3 has 1 fields"),
    "blank_line_inside": (b"a,target\n1,0\n\n2,1\n", "line 3 is empty"),
    "same_name_twice": (b"a,a,target\n1,2,0\n", "two columns named 'a'"),
    "two_empty_names": (b",,target\n1,2,0\n", "two columns named ''"),
    "latin_1": ("caf\u00e9,target\n1,0\n".encode("latin-1"), "not UTF-8: byte 0xe9 in line 1"),
    "utf_16": ("a,target\n1,0\n".encode("utf-16"), "zero byte"),
    "zero_byte": (b"a,target\n1,\x000\n", "line 2 holds a zero byte"),
    "gzip_named_csv": (gzip.compress(b"a,target\n1,0\n"), "a.csv"),
    "open_quote": (b'a,target\n"1,0\n2,1\n', "unexpected end of data"),
    "text_after_quote": (b'a,target\n"1"x,0\n', "line 2"),
    "no_usual_target": (b"a,b\n1,0\n", "give target (--target), one of 'a', 'b'"),
    "two_usual_targets": (b"a,y,label\n1,0,1\n", "more than one column looks like the target ('y', 'label')"),
    "only_the_target": (b"target\n1\n0\n", "no input columns"),
    "constant_target": (b"a,target\n" + b"1,7.5\n" * 30, "constant (7.5 in all 30 rows)"),
    "one_class": (b"a,target\n" + b"1,yes\n" * 30, "one class only ('yes' in all 30 rows)"),
    "every_row_a_class": (b"a,target\n" + b"".join(b"1,name%d\n" % i for i in range(30)), "30 different values"),
    "missing_target": (b"a,target\n1,0\n2,\n3,1\n", "column 'target' has 1 missing value, in row 2"),
    "missing_value": (b"a,target\n1,0\n,1\nNA,1\n", "column 'a' has 2 missing values, the first in row 2"),
    "infinite_value": (b"a,target\n1.5,0\ninf,1\n", "column 'a' is inf in row 2"),
    "infinite_target": (b"a,target\n1,0.5\n2,inf\n", "'target' is inf in row 2"),
    "too_large_for_float32": (b"a,target\n1.5,0.5\n1e39,1.5\n", "column 'a' is 1e+39 in row 2"),
    "too_many_levels": (b"a,target\n" + b"".join(b"t%d,%d\n" % (i, i % 2) for i in range(1001)), "(--drop)"),
    "numbers_spoilt": (b"a,target\n" + b"".join(b"%d-%d,%d\n" % (i, i, i % 2) for i in range(1001)), "make it numbers"),
    "dates_in_another_form": (
        b"a,target\n"
        + b"".join(b"%d.%d.%d,%d\n" % (i % 28 + 1, i % 12 + 1, 1900 + i // 10, i % 2) for i in range(1200)),
        "dates are read when written as 2024-03-31",
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_what_is_wrong_with_a_text_table_is_named(tmp_path: Path, case: str) -> None:
    data, words = TEXTS[case]
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(DataError) as caught:
        load(tmp_path / "a.csv")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n\n"])
def test_line_ends_of_every_system_are_read(tmp_path: Path, end: str) -> None:
    text = ("\ufeff" + CSV).replace("\n", end if end != "\n\n\n" else "\n") + (end if end == "\n\n\n" else "")
    (tmp_path / "a.csv").write_bytes(text.encode())
    (tmp_path / "b.csv").write_bytes(CSV.encode())
    assert np.array_equal(load(tmp_path / "a.csv").inputs, load(tmp_path / "b.csv").inputs)


def _saved(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


X = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20) % 2
NAN = X.copy()
NAN[17, 1] = np.nan

ARRAYS: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "no_known_key": ({"data": X}, "it has 'data'"),
    "no_key_at_all": ({}, "it has none"),
    "wrong_length": ({"x": X, "y": Y[:-1]}, "20 inputs but 19 labels"),
    "not_a_number": ({"x": NAN, "y": Y}, "inputs[17, 1] is nan (row 17, column 1, counted from 0)"),
    "infinite": ({"x": np.where(np.isnan(NAN), -np.inf, NAN), "y": Y}, "inputs[17, 1] is -inf"),
    "nan_label": ({"x": X, "y": np.where(Y, np.nan, 0.5)}, "'labels' is nan in row 2"),
    "objects": ({"x": X.astype(object), "y": Y}, "allow_pickle"),
    "object_labels": ({"x": X, "y": np.array([{}] * 20)}, "allow_pickle"),
    "complex": ({"x": X.astype(complex), "y": Y}, "not dtype complex128"),
    "text": ({"x": X.astype(str), "y": Y}, "must be numbers"),
    "one_axis": ({"x": X[:, 0], "y": Y}, "got shape (20,)"),
    "no_axis": ({"x": np.array(1.0), "y": Y}, "got shape ()"),
    "scalar_label": ({"x": X, "y": np.array(1)}, "20 inputs but 0 labels"),
    "no_rows": ({"x": X[:0], "y": Y[:0]}, "inputs are empty"),
    "no_columns": ({"x": X[:, :0], "y": Y}, "inputs are empty"),
    "one_hot_labels": ({"x": X, "y": np.eye(2)[Y]}, "shape (20, 2)"),
    "too_large": ({"x": X.astype(np.float64) * 1e300, "y": Y}, "inputs[0, 1] is 1e+300"),
    "one_class": ({"x": X, "y": Y * 0}, "one class only"),
    "constant": ({"x": X, "y": Y * 0 + 0.5}, "constant"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_what_is_wrong_with_an_npz_file_is_named(tmp_path: Path, case: str) -> None:
    arrays, words = ARRAYS[case]
    (tmp_path / "a.npz").write_bytes(_saved(**arrays))
    with pytest.raises(DataError) as caught:
        load(tmp_path / "a.npz", **({"task": "classification"} if case == "one_class" else {}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_npz_file_with_a_member_that_is_no_array_is_an_error(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", b"import os")
        archive.writestr("y.npy", b"")
    with pytest.raises(DataError, match="NumPy arrays"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("a", [[1, 2]] * 40),
        pl.Series("a", [{"b": 1}] * 40),
        pl.Series("a", [b"bytes"] * 40),
        pl.Series("a", [None] * 40),
        pl.Series("a", [float("nan")] * 40),
        pl.Series("a", [float("-inf")] * 40),
    ],
    ids=["lists", "structs", "bytes", "nulls", "nan", "inf"],
)
def test_a_parquet_column_that_cannot_be_an_input_is_named(tmp_path: Path, column: pl.Series) -> None:
    _frame().with_columns(column).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column 'a'"):
        load(tmp_path / "a.parquet")


def test_a_parquet_file_without_rows_is_an_error(tmp_path: Path) -> None:
    _frame().head(0).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no rows"):
        load(tmp_path / "a.parquet")


def test_a_panic_of_the_parquet_reader_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Rust writes about a panic to the file descriptor, where no Python handler sees it."""
    (tmp_path / "a.parquet").write_bytes(_parquet())
    panic = (
        "import os, polars as pl\n"
        "def panic(*_):\n"
        "    os.write(2, b'thread panicked at somewhere.rs:1\\n')\n"
        "    raise pl.exceptions.PanicException('it\\nbroke')\n"
        "pl.read_parquet = panic\n"
    )
    monkeypatch.setattr(parquet, "_DECODER", panic + parquet._DECODER)
    with pytest.raises(DataError, match=r"is not a readable Parquet file: it broke$"):
        load(tmp_path / "a.parquet")
    assert capfd.readouterr().err == ""


def test_a_file_that_aborts_the_parquet_reader_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An abort ends the process that decodes, not this one."""
    (tmp_path / "a.parquet").write_bytes(_parquet())
    monkeypatch.setattr(parquet, "_DECODER", "import os, sys\nsys.stdin.buffer.read()\nos.abort()\n")
    with pytest.raises(DataError, match=r"the decoder \(SIGABRT\); the file is damaged"):
        load(tmp_path / "a.parquet")
