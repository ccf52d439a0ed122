"""Digests of many files: right, ordered, and honest about files that cannot be read."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from agent.errors import FileChanged, FileNotReadable
from agent.hashing import expand, hash_file, hash_files, media_type


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotReadable) as caught:
        expand([tmp_path / "absent.pdf"])
    assert "absent.pdf" in caught.value.detail


def test_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(bytes(80 * 2**20))
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab") as out:
            while not stop.is_set():
                out.write(b"x" * 4096)
                out.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(FileChanged):
            hash_file(path)
    finally:
        stop.set()
        writer.join()


def test_folder_gives_regular_files_once_sorted_without_receipts(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.pdf", "a.txt", "a.txt.clr", ".hidden", "b/.git"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to(tmp_path / "a.txt")
    found = expand([tmp_path, tmp_path / "a.txt"])
    assert [p.relative_to(tmp_path).as_posix() for p in found] == ["a.txt", "b/2.pdf"]


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 5 * 2**20 + 17])
def test_both_digests_are_right(tmp_path: Path, size: int) -> None:
    data = bytes(i % 251 for i in range(4096)) * (size // 4096 + 1)
    path = tmp_path / "f"
    path.write_bytes(data[:size])
    digests = hash_file(path).digests
    assert digests.size == size
    assert digests.sha256 == hashlib.sha256(data[:size]).digest()
    assert digests.sm3 == hashlib.new("sm3", data[:size]).digest()


def test_many_files_come_in_order_and_none_is_lost(tmp_path: Path) -> None:
    paths = []
    for i in range(300):
        path = tmp_path / f"{i:03}"
        path.write_bytes(str(i).encode())
        paths.append(path)
    assert [h.path for h in hash_files(paths)] == paths


def test_first_unreadable_file_ends_the_run_after_those_before_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    hashed = hash_files([tmp_path / "a", tmp_path / "gone"])
    assert next(hashed).path.name == "a"
    with pytest.raises(FileNotReadable):
        next(hashed)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.pdf", "application/pdf"),
        ("合同.PDF", "application/pdf"),
        ("a.txt", "text/plain"),
        ("a.tar.gz", "application/octet-stream"),
        ("noending", "application/octet-stream"),
    ],
)
def test_media_type_comes_from_the_suffix(name: str, expected: str) -> None:
    assert media_type(Path(name)) == expected
