"""Files are written whole or not at all, and a name that cannot work is refused before the work."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from selftaught.errors import InputError
from selftaught.writing import RUN_FILES, file_to_write, write_atomically


@pytest.mark.parametrize("name", ["", ".", "/", ".."])
def test_what_is_no_files_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no file's name"):
        file_to_write(name)


def test_what_cannot_be_written_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for place, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "no" / "page.html", "there is no folder"),
        (tmp_path / "file" / "page.html", "Not a directory|there is no folder"),
        (tmp_path / ("n" * 300), "File name too long"),
    ):
        with pytest.raises(InputError, match=reason):
            file_to_write(place)
    assert file_to_write(tmp_path / "new") == tmp_path / "new"
    assert file_to_write(tmp_path / "file") == tmp_path / "file", "a file may be replaced"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_closed_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(InputError, match="is closed to you"):
            file_to_write(tmp_path / "page.html")
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("link", [False, True])
def test_what_is_read_is_not_written_over(tmp_path: Path, link: bool) -> None:
    source = tmp_path / "program.txt"
    source.write_text("kept")
    out = tmp_path / "link" if link else tmp_path / "." / "program.txt"
    if link:
        out.symlink_to(source)
    with pytest.raises(InputError, match="would be lost"):
        file_to_write(out, read=[tmp_path / name for name in RUN_FILES])
    assert source.read_text() == "kept"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]
    assert path.read_text() == "old"


def test_onto_a_folder_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "folder", b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_what_is_no_plain_file_is_written_as_it_stands(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(file_to_write(pipe), b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
