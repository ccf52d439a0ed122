"""Stored content: chunks, addresses, manifest, wrapped keys."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.keys import KeyLabel, new_key
from protocol import blob
from protocol.blob import CHUNK_PLAIN, ContentUndecryptable, Manifest, Recipient
from protocol.errors import CaseledgerError, MalformedInput
from tests.support.fakechain import seeded

KEY, SALT = seeded("content key"), seeded("blob salt")


def test_a_chunk_opens_only_where_it_belongs() -> None:
    sealed = blob.encrypt_chunk(KEY, SALT, 3, True, b"end")
    assert blob.decrypt_chunk(KEY, SALT, 3, True, sealed) == b"end"
    for key, salt, index, last, data in (
        (seeded("other"), SALT, 3, True, sealed),
        (KEY, seeded("other"), 3, True, sealed),
        (KEY, SALT, 2, True, sealed),
        (KEY, SALT, 3, False, sealed),
        (KEY, SALT, 3, True, sealed[:-1]),
        (KEY, SALT, 3, True, b""),
        (KEY, SALT, 3, True, bytes((sealed[0] ^ 1,)) + sealed[1:]),
    ):
        with pytest.raises(ContentUndecryptable):
            blob.decrypt_chunk(key, salt, index, last, data)


def test_a_full_chunk_is_one_mebibyte_and_only_the_last_is_shorter() -> None:
    sealed = blob.encrypt_chunk(KEY, SALT, 0, False, bytes(CHUNK_PLAIN))
    assert len(sealed) == 2**20
    with pytest.raises(ContentUndecryptable):
        blob.decrypt_chunk(KEY, SALT, 0, True, sealed)
    with pytest.raises(MalformedInput):
        blob.encrypt_chunk(KEY, SALT, 0, False, bytes(CHUNK_PLAIN - 1))
    with pytest.raises(MalformedInput):
        blob.encrypt_chunk(KEY, SALT, 0, True, bytes(CHUNK_PLAIN + 1))


@pytest.mark.parametrize(
    ("size", "chunks"), [(0, 1), (1, 1), (CHUNK_PLAIN, 1), (CHUNK_PLAIN + 1, 2), (blob.MAX_CONTENT, 16_384)]
)
def test_chunk_count(size: int, chunks: int) -> None:
    assert blob.chunk_count(size) == chunks


def test_addresses_are_raw_cidv1() -> None:
    # sha2-256 of "hello world"; the address every IPFS node gives this raw block.
    digest = hashlib.sha256(b"hello world").digest()
    address = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    assert blob.cid(digest) == address
    assert blob.digest_of_cid(address) == digest


@pytest.mark.parametrize(
    "address", ["", "b", "bafkrei", "BAFKREIFZJUT3TE2NHYEKKLSS27NH3K72YSCO7Y32KOAO5EEI66WOF36N5E",
                "Qm" + "a" * 44, "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5f", "中" * 59]
)  # fmt: skip
def test_another_form_of_address_is_refused(address: str) -> None:
    with pytest.raises(MalformedInput):
        blob.digest_of_cid(address)


def manifest(**changes: object) -> Manifest:
    members: dict[str, object] = {
        "size": CHUNK_PLAIN + 5,
        "chunks": (seeded(1), seeded(2)),
        "recipients": (Recipient(3, seeded("hpke"), bytes(80)),),
        "salt": SALT,
    }
    return Manifest(**{**members, **changes})  # type: ignore[arg-type]


def test_manifest_survives_encoding_and_names_the_body_key() -> None:
    one = manifest()
    assert Manifest.parse(one.encode()) == one
    assert one.digest() == hashlib.sha256(one.encode()).digest()
    largest = manifest(
        size=blob.MAX_CONTENT, chunks=tuple(seeded(n) for n in range(16_384)),
        recipients=tuple(Recipient(n + 1, seeded("k", n), bytes(80)) for n in range(64)),
    )  # fmt: skip
    assert len(largest.encode()) <= 2**20


BAD_MANIFESTS: dict[str, dict[str, object]] = {
    "too few chunks": {"chunks": (seeded(1),)},
    "too many chunks": {"chunks": (seeded(1),) * 3},
    "no recipient": {"recipients": ()},
    "a recipient twice": {"recipients": (Recipient(3, seeded("hpke"), bytes(80)),) * 2},
    "65 recipients": {"recipients": tuple(Recipient(n, seeded(n), bytes(80)) for n in range(1, 66))},
    "organisation 0": {"recipients": (Recipient(0, seeded("hpke"), bytes(80)),)},
    "wrapped key short": {"recipients": (Recipient(3, seeded("hpke"), bytes(79)),)},
    "size over the limit": {"size": blob.MAX_CONTENT + 1},
    "salt short": {"salt": b""},
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_manifest_refuses(name: str) -> None:
    with pytest.raises(MalformedInput):
        manifest(**BAD_MANIFESTS[name]).encode()


@given(st.binary(max_size=200))
def test_manifest_parser_raises_only_our_errors(data: bytes) -> None:
    try:
        Manifest.parse(data)
    except CaseledgerError:
        return


def test_a_content_key_opens_for_its_recipient_organisation_and_document_alone() -> None:
    mine, other = (new_key("x25519", KeyLabel("k", "content", 3)) for _ in range(2))
    public = bytes.fromhex(mine.public)
    wrapped = blob.wrap_key(KEY, 3, public, seeded("document"))
    assert blob.unwrap_key(wrapped, mine.private, seeded("document")) == KEY
    for recipient, private, document in (
        (wrapped, other.private, seeded("document")),
        (wrapped, mine.private, seeded("another")),
        (Recipient(4, public, wrapped.wrapped), mine.private, seeded("document")),
        (Recipient(3, public, bytes(80)), mine.private, seeded("document")),
    ):
        with pytest.raises(ContentUndecryptable):
            blob.unwrap_key(recipient, private, document)


def test_a_public_key_of_low_order_is_refused() -> None:
    with pytest.raises(MalformedInput):
        blob.wrap_key(KEY, 3, bytes(32), seeded("document"))
