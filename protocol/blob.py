"""Stored content (docs/spec/blob.md): chunk encryption, addresses, manifest, key wrapping. No I/O.

Whoever stores reads the plaintext in pieces of `CHUNK_PLAIN` bytes and calls `encrypt_chunk` on each, so that
memory does not grow with the document.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol import cbor, expect
from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import sha256

VERSION = 1
TAG_LEN = 16
CHUNK_CIPHER = 2**20
CHUNK_PLAIN = CHUNK_CIPHER - TAG_LEN
MAX_CHUNKS = 16_384
MAX_RECIPIENTS = 64
MAX_CONTENT = MAX_CHUNKS * CHUNK_PLAIN
"""Largest document in bytes, 16 GiB less 256 KiB."""
WRAPPED_LEN = 32 + 32 + TAG_LEN
CHUNK_TAG = b"caseledger/blob/v1"
KEY_TAG = b"caseledger/content-key/v1"

# CIDv1, raw codec (0x55), sha2-256 multihash of 32 bytes; multibase "b" is base32 lower case without padding.
_CID_PREFIX = bytes((0x01, 0x55, 0x12, 0x20))


class ContentUndecryptable(CaseledgerError):
    """Ciphertext, key or position is not the one that was stored."""

    title: ClassVar[str] = "content cannot be decrypted"


def cid(digest: bytes) -> str:
    """Address of the chunk with this SHA-256, `bafkrei…`, 59 characters."""
    raw = _CID_PREFIX + expect.octets(digest, "chunk digest", 32)
    return "b" + base64.b32encode(raw).decode("ascii").lower().rstrip("=")


def digest_of_cid(address: str) -> bytes:
    """SHA-256 of the chunk that an address names.

    Raises:
        MalformedInput: not the one canonical form that `cid` gives.
    """
    try:
        raw = base64.b32decode(address[1:].upper() + "=" * (-len(address[1:]) % 8))
    except (ValueError, TypeError):
        raise MalformedInput("not a chunk address", field="cid") from None
    if len(raw) != 36 or cid(raw[4:]) != address:
        raise MalformedInput("not a chunk address", field="cid")
    return raw[4:]


def chunk_count(size: int) -> int:
    """How many chunks a document of `size` bytes has; empty content has one empty chunk."""
    expect.uint(size, "content size", MAX_CONTENT)
    return max(1, -(-size // CHUNK_PLAIN))


def _nonce(index: int) -> bytes:
    return expect.uint(index, "chunk index", MAX_CHUNKS - 1).to_bytes(12, "big")


def _associated(salt: bytes, last: bool) -> bytes:
    return CHUNK_TAG + expect.octets(salt, "salt", 32) + bytes((last,))


def encrypt_chunk(key: bytes, salt: bytes, index: int, last: bool, plaintext: bytes) -> bytes:
    """Ciphertext with tag of chunk `index`. `key` is for one document and never used again.

    Raises:
        MalformedInput: a chunk that is not last has to be full.
    """
    if len(plaintext) > CHUNK_PLAIN or (not last and len(plaintext) != CHUNK_PLAIN):
        raise MalformedInput("every chunk but the last is full", field="chunk")
    return AESGCM(expect.octets(key, "content key", 32)).encrypt(
        _nonce(index), plaintext, _associated(salt, last)
    )


def decrypt_chunk(key: bytes, salt: bytes, index: int, last: bool, ciphertext: bytes) -> bytes:
    """Plaintext of chunk `index`.

    Raises:
        ContentUndecryptable: wrong key, chunk, position or end mark.
    """
    expect.octets(ciphertext, "chunk", maximum=CHUNK_CIPHER)
    if not last and len(ciphertext) != CHUNK_CIPHER:
        raise ContentUndecryptable("a chunk before the last is short", field="chunk")
    try:
        return AESGCM(expect.octets(key, "content key", 32)).decrypt(
            _nonce(index), ciphertext, _associated(salt, last)
        )
    except (InvalidTag, ValueError):
        raise ContentUndecryptable(f"chunk {index}", field="chunk") from None


@dataclass(frozen=True)
class Recipient:
    """One organisation that can open a document: its HPKE key (32 bytes) and the wrapped content key."""

    organisation: int
    public_key: bytes
    wrapped: bytes


@dataclass(frozen=True)
class Manifest:
    """How a stored document is put together again."""

    size: int
    chunks: tuple[bytes, ...]
    recipients: tuple[Recipient, ...]
    salt: bytes

    def encode(self) -> bytes:
        """CBOR; at most 1 MiB, so that it is itself one chunk."""
        data = cbor.encode(
            {
                0: VERSION,
                1: self.size,
                2: self.chunks,
                3: [[one.organisation, one.public_key, one.wrapped] for one in self.recipients],
                4: self.salt,
            }
        )
        Manifest.parse(data)
        return data

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """From CBOR.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        raw = cbor.decode(data, max_bytes=CHUNK_CIPHER, max_depth=4, max_items=MAX_CHUNKS + 512)
        if isinstance(raw, dict) and 0 in raw:
            expect.version(raw[0], VERSION)
        value = expect.fields(raw, "manifest", range(5))
        size = expect.uint(value[1], "size", MAX_CONTENT)
        chunks = expect.digests(value[2], "chunks", MAX_CHUNKS)
        if len(chunks) != chunk_count(size):
            raise MalformedInput(f"chunks: {len(chunks)} do not fit the size", field="chunks")
        members = expect.array(value[3], "recipients", minimum=1, maximum=MAX_RECIPIENTS)
        recipients = tuple(map(_recipient, members))
        if len({one.public_key for one in recipients}) != len(recipients):
            raise MalformedInput("recipients: the same key twice", field="recipients")
        return cls(size, chunks, recipients, expect.octets(value[4], "salt", 32))

    def digest(self) -> bytes:
        """SHA-256 of the encoded manifest: key 11 of the body, and the manifest's own chunk."""
        return sha256(self.encode())


def _recipient(value: cbor.Value) -> Recipient:
    organisation, public_key, wrapped = expect.array(value, "recipients", 3)
    return Recipient(
        expect.uint(organisation, "organisation", expect.UINT32_MAX, minimum=1),
        expect.octets(public_key, "HPKE public key", 32),
        expect.octets(wrapped, "wrapped key", WRAPPED_LEN),
    )


def _suite() -> hpke.Suite:
    return hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def _info(organisation: int, content_sha256: bytes) -> bytes:
    return (
        KEY_TAG
        + expect.uint(organisation, "organisation", expect.UINT32_MAX, minimum=1).to_bytes(4, "big")
        + expect.octets(content_sha256, "content SHA-256", 32)
    )


def wrap_key(content_key: bytes, organisation: int, public_key: bytes, content_sha256: bytes) -> Recipient:
    """Wrap a content key to one organisation's X25519 key (RFC 9180 base mode)."""
    expect.octets(content_key, "content key", 32)
    try:
        recipient = X25519PublicKey.from_public_bytes(expect.octets(public_key, "HPKE public key", 32))
        wrapped = _suite().encrypt(content_key, recipient, _info(organisation, content_sha256))
    except ValueError:
        raise MalformedInput("not a usable X25519 key", field="HPKE public key") from None
    return Recipient(organisation, public_key, wrapped)


def unwrap_key(recipient: Recipient, private_key: bytes, content_sha256: bytes) -> bytes:
    """The 32-byte content key.

    Raises:
        ContentUndecryptable: another private key, organisation or document.
    """
    try:
        key = _suite().decrypt(
            recipient.wrapped,
            X25519PrivateKey.from_private_bytes(expect.octets(private_key, "private key", 32)),
            _info(recipient.organisation, content_sha256),
        )
    except (InvalidTag, ValueError):
        raise ContentUndecryptable("the content key is wrapped to another key", field="wrapped key") from None
    return expect.octets(key, "content key", 32)
