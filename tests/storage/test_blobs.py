"""Chunks in a folder: refusals, damage, a full disk, and what a crash leaves."""

from __future__ import annotations

import errno
import os
import secrets
import time
from pathlib import Path

import pytest

from protocol.blob import CHUNK_CIPHER, cid
from protocol.errors import LimitExceeded, MalformedInput
from protocol.hashing import sha256
from storage.blobs import FolderStore
from storage.errors import BlobAddressMismatch, BlobCorrupt, BlobNotFound, StorageFull


def chunk(size: int = 1000) -> tuple[str, bytes]:
    data = secrets.token_bytes(size)
    return cid(sha256(data)), data


def test_a_chunk_comes_back_and_is_stored_once(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "blobs")
    address, data = chunk(CHUNK_CIPHER)
    assert not store.has(address)
    assert store.put(address, data)
    assert not store.put(address, data)
    assert store.get(address) == data
    assert store.put_new(b"") == cid(sha256(b""))
    assert sorted(store.addresses()) == sorted([address, cid(sha256(b""))])
    assert (tmp_path / "blobs" / address[-2:] / address).read_bytes() == data
    assert store.delete(address)
    assert not store.delete(address)
    with pytest.raises(BlobNotFound):
        store.get(address)


def test_wrong_addresses_digests_and_sizes_are_refused(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    address, data = chunk()
    with pytest.raises(BlobAddressMismatch):
        store.put(address, data + b"x")
    large = secrets.token_bytes(CHUNK_CIPHER + 1)
    with pytest.raises(LimitExceeded):
        store.put(cid(sha256(large)), large)
    for bad in ("", "../../etc/passwd", address.upper(), address + "a", address[:-1], "b" * 59):
        with pytest.raises(MalformedInput):
            store.path(bad)
        with pytest.raises(MalformedInput):
            store.put(bad, data)
    assert list(store.addresses()) == []


def test_a_damaged_chunk_is_not_handed_out(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    address, data = chunk()
    store.put(address, data)
    for damage in (data[:-1], data + b"\0", b"", bytes([data[0] ^ 1]) + data[1:]):
        store.path(address).write_bytes(damage)
        with pytest.raises(BlobCorrupt):
            store.get(address)


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_full_disk_is_said_nothing_is_left_and_it_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = FolderStore(tmp_path)
    address, data = chunk()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StorageFull) as caught:
            store.put(address, data)
    assert caught.value.retryable
    assert store.disk_errors == 1
    assert not store.has(address)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.put(address, data)


def test_data_and_names_are_synced_before_the_chunk_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    address, data = chunk()
    seen: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"
        seen.append(f"fsync {kind}")
        real_fsync(descriptor)

    def rename(source: Path, target: Path) -> None:
        seen.append("rename")
        real_rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    store.put(address, data)
    assert seen == ["fsync folder", "fsync file", "rename", "fsync folder"]


def test_leftovers_of_a_crash_are_swept_and_never_listed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    address, data = chunk()
    store.put(address, data)
    orphan = store.path(address).parent / ".new-0123"
    orphan.write_bytes(b"half")
    assert list(store.addresses()) == [address]
    assert store.sweep() == 0
    old = time.time() - 7200
    os.utime(orphan, (old, old))
    assert store.sweep() == 1
    assert store.get(address) == data
