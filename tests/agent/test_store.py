"""Stored content: only named organisations open it, and only what was anchored comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ContentUnavailable, FileChanged, RecipientUnknown
from agent.hashing import HashedFile, hash_file
from agent.keys import KeyLabel, X25519Key, new_key
from agent.opening import open_content
from agent.store import (
    ContentTooLarge,
    Recipient,
    RecipientKeyMismatch,
    choose_recipients,
    load_pins,
    store_file,
)
from protocol import blob
from protocol.entry import Body
from protocol.errors import CaseledgerError, MalformedInput
from verifier.content import ContentDigests

NOW = 1_800_000_000


class Shelf:
    """A blob store that keeps what it is given."""

    def __init__(self) -> None:
        self.chunks: dict[str, bytes] = {}

    def has_chunk(self, cid: str) -> bool:
        return cid in self.chunks

    def put_chunk(self, cid: str, data: bytes) -> None:
        self.chunks[cid] = data

    def get_chunk(self, cid: str) -> bytes:
        return self.chunks[cid]


def x25519(name: str, organisation: int) -> X25519Key:
    key = new_key("x25519", KeyLabel(name, "hpke", organisation))
    assert isinstance(key, X25519Key)
    return key


def member(index: int, key: X25519Key, **changes: Any) -> dict[str, Any]:
    return {
        "index": index,
        "hpkeKey": key.public_key.hex(),
        "hpkeNotBefore": NOW - 10,
        "hpkeNotAfter": NOW + 10,
        **changes,
    }


def body_of(hashed: HashedFile, manifest: bytes | None) -> Body:
    return Body(
        content_sha256=hashed.digests.sha256,
        content_sm3=hashed.digests.sm3,
        content_size=hashed.digests.size,
        media_type="application/pdf",
        salt=bytes(32),
        case_ref=bytes(32),
        manifest=manifest,
    )


@pytest.fixture
def bank() -> X25519Key:
    return x25519("bank-hpke", 5)


@pytest.fixture
def court() -> X25519Key:
    return x25519("court-hpke", 3)


def test_organisation_without_key_is_refused_by_index(bank: X25519Key) -> None:
    with pytest.raises(RecipientUnknown, match="organisation 3"):
        choose_recipients([member(5, bank)], [3], 5, now=NOW)


def test_expired_key_is_no_key(bank: X25519Key, court: X25519Key) -> None:
    with pytest.raises(RecipientUnknown):
        choose_recipients([member(3, court, hpkeNotAfter=NOW - 1)], [3], 5, now=NOW)


def test_key_that_differs_from_the_pin_is_refused(bank: X25519Key, court: X25519Key) -> None:
    with pytest.raises(RecipientKeyMismatch):
        choose_recipients([member(3, bank)], [3], 5, now=NOW, checks=[{3: court.public_key}.get])


def test_pinned_key_counts_as_checked_and_own_key_is_added(bank: X25519Key, court: X25519Key) -> None:
    view = [member(3, court), member(5, bank)]
    chosen = choose_recipients(view, [3], 5, now=NOW, checks=[{3: court.public_key}.get])
    assert chosen == [Recipient(3, court.public_key, True), Recipient(5, bank.public_key, False)]


def test_malformed_pins_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pins.json").write_text(json.dumps({"3": "zz"}))
    with pytest.raises(MalformedInput):
        load_pins(tmp_path / "pins.json")
    assert load_pins(tmp_path / "absent.json") == {}


def test_file_changed_after_hashing_is_not_stored_under_its_old_digest(
    tmp_path: Path, court: X25519Key
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"before")
    hashed = hash_file(path)
    for changed in (b"longer than before", b"short", b"beforE"):
        path.write_bytes(changed)
        with pytest.raises(FileChanged):
            store_file(hashed, [Recipient(3, court.public_key, True)], Shelf())


def test_too_large_a_file_is_refused_before_it_is_read(tmp_path: Path, court: X25519Key) -> None:
    hashed = HashedFile(
        tmp_path / "absent", ContentDigests(blob.MAX_CONTENT + 1, bytes(32), bytes(32)), "a/b"
    )
    with pytest.raises(ContentTooLarge):
        store_file(hashed, [Recipient(3, court.public_key, True)], Shelf())


@pytest.mark.parametrize("size", [0, 1, blob.CHUNK_PLAIN, blob.CHUNK_PLAIN + 1])
def test_a_named_recipient_gets_the_document_back(tmp_path: Path, court: X25519Key, size: int) -> None:
    path, shelf = tmp_path / "f", Shelf()
    path.write_bytes(b"\x5a" * size)
    hashed = hash_file(path)
    manifest = store_file(hashed, [Recipient(3, court.public_key, True)], shelf)
    assert open_content(body_of(hashed, manifest), court, shelf, tmp_path / "out") == size
    assert (tmp_path / "out").read_bytes() == path.read_bytes()
    assert not any(path.read_bytes() in chunk for chunk in shelf.chunks.values() if size > 1)


def test_nobody_else_opens_it(tmp_path: Path, court: X25519Key, bank: X25519Key) -> None:
    path, shelf = tmp_path / "f", Shelf()
    path.write_bytes(b"secret")
    hashed = hash_file(path)
    manifest = store_file(hashed, [Recipient(3, court.public_key, True)], shelf)
    with pytest.raises(ContentUnavailable):
        open_content(body_of(hashed, manifest), bank, shelf, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_store_that_gives_other_chunks_is_caught(tmp_path: Path, court: X25519Key) -> None:
    path, shelf = tmp_path / "f", Shelf()
    path.write_bytes(b"secret")
    hashed = hash_file(path)
    manifest = store_file(hashed, [Recipient(3, court.public_key, True)], shelf)
    for cid, data in list(shelf.chunks.items()):
        shelf.chunks[cid] = data[:-1] + bytes([data[-1] ^ 1])
        with pytest.raises(CaseledgerError):
            open_content(body_of(hashed, manifest), court, shelf, tmp_path / "out")
        shelf.chunks[cid] = data
    assert list(tmp_path.iterdir()) == [path]


def test_same_file_twice_shares_no_ciphertext(tmp_path: Path, court: X25519Key) -> None:
    path, shelf = tmp_path / "f", Shelf()
    path.write_bytes(b"same")
    hashed = hash_file(path)
    recipient = [Recipient(3, court.public_key, True)]
    assert store_file(hashed, recipient, shelf) != store_file(hashed, recipient, shelf)
    assert len(shelf.chunks) == 4
