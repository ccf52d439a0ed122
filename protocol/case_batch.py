"""Case leaf, sealed row and the frames of a batch file (docs/spec/case.md §1, §3, §4). No I/O."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol import cbor, expect
from protocol.case_row import CaseRow, row_commitment
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput
from protocol.hashing import SHA256
from protocol.sealing import WRAPPED_LEN, hpke_suite, padded, unpadded
from protocol.tree import root

VERSION = 1
LEAF_LEN = 72
MAX_CASES = 1_000_000
MAX_RECIPIENTS = 16
MAX_FRAME = 65_536
MAGIC = b"caseledger-batch/v1\n"
SEALED_TAG = b"caseledger/sealed-row/v1"
KEY_TAG = b"caseledger/row-key/v1"
_NONCE = bytes(12)


class RowUndecryptable(CaseledgerError):
    """Sealed to another key, or not the row that its leaf commits to."""

    title: ClassVar[str] = "sealed row cannot be opened"


class BatchNotWhole(MalformedInput):
    """The file ends early, or count, root or digest are not those of its trailer."""

    title: ClassVar[str] = "batch file not whole"


@dataclass(frozen=True, slots=True)
class CaseLeaf:
    """What a contract checks of a case."""

    product: int
    owner: int
    case_id: bytes
    commitment: bytes

    def encode(self) -> bytes:
        """72 bytes."""
        return b"%c%c\0\0%b%b%b" % (
            VERSION,
            expect.uint(self.product, "product", 255, minimum=1),
            expect.uint(self.owner, "owner", expect.UINT32_MAX, minimum=1).to_bytes(4, "big"),
            expect.octets(self.case_id, "case id", 32),
            expect.octets(self.commitment, "row commitment", 32),
        )

    @classmethod
    def parse(cls, data: bytes) -> CaseLeaf:
        """From 72 bytes.

        Raises:
            MalformedInput, UnknownVersion
        """
        expect.octets(data, "case leaf", LEAF_LEN)
        expect.version(data[0], VERSION)
        if data[2:4] != b"\0\0":
            raise MalformedInput("flags: all are zero in this version", field="flags")
        leaf = cls(data[1], int.from_bytes(data[4:8], "big"), data[8:40], data[40:])
        leaf.encode()
        return leaf


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf)."""
    return SHA256.leaf(leaf)


def batch_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """RFC 9162 root of a batch."""
    return root(SHA256, leaf_hashes)


# sealed rows


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A leaf with its row, readable by the batch's recipients alone."""

    leaf: bytes
    ciphertext: bytes
    wrapped: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The frame's CBOR."""
        return cbor.encode((self.leaf, self.ciphertext, self.wrapped))

    @classmethod
    def parse(cls, value: cbor.Value, recipients: int) -> SealedRow:
        """From a decoded frame.

        Raises:
            MalformedInput
        """
        leaf, ciphertext, wrapped = expect.array(value, "sealed row", 3)
        found = expect.octets(leaf, "case leaf", LEAF_LEN)
        CaseLeaf.parse(found)
        keys = expect.array(wrapped, "wrapped keys", recipients)
        return cls(
            found,
            expect.octets(ciphertext, "ciphertext", maximum=MAX_FRAME),
            tuple(expect.octets(key, "wrapped key", WRAPPED_LEN) for key in keys),
        )


@dataclass(frozen=True, slots=True)
class OpenedRow:
    """What a recipient reads."""

    row: CaseRow
    case_id: bytes
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BatchRecipient:
    """An organisation and the X25519 key that rows are sealed to."""

    organisation: int
    public_key: bytes


class Sealer:
    """Seals rows to the same recipients, one after the other."""

    def __init__(self, recipients: Sequence[BatchRecipient]) -> None:
        self._suite = hpke_suite()
        self._to: list[tuple[bytes, X25519PublicKey]] = []
        for one in recipients:
            try:
                key = X25519PublicKey.from_public_bytes(one.public_key)
            except ValueError:
                raise MalformedInput("not a usable X25519 key", field="recipients") from None
            self._to.append((_info(one.organisation), key))

    def seal(self, owner: int, product: int, encoded: bytes) -> SealedRow:
        """A fresh case id, salt and row key; the row sealed to all recipients.

        Raises:
            MalformedInput: a recipient's key is a point without a shared secret.
        """
        case_id, salt, key = secrets.token_bytes(32), secrets.token_bytes(32), secrets.token_bytes(32)
        leaf = CaseLeaf(product, owner, case_id, row_commitment(salt, encoded)).encode()
        inner = cbor.encode({0: VERSION, 1: case_id, 2: salt, 3: encoded})
        plain = padded(inner)
        digest = leaf_hash(leaf)
        try:
            wrapped = tuple(self._suite.encrypt(key, public, info + digest) for info, public in self._to)
        except ValueError:
            raise MalformedInput("not a usable X25519 key", field="recipients") from None
        return SealedRow(leaf, AESGCM(key).encrypt(_NONCE, plain, SEALED_TAG + leaf), wrapped)


def open_row(sealed: SealedRow, wrapped: bytes, organisation: int, private_key: bytes) -> OpenedRow:
    """Opens a row as the recipient that `wrapped` is for, and checks it against its leaf.

    Raises:
        RowUndecryptable
    """
    leaf = CaseLeaf.parse(sealed.leaf)
    try:
        key = hpke_suite().decrypt(
            wrapped,
            X25519PrivateKey.from_private_bytes(expect.octets(private_key, "private key", 32)),
            _info(organisation) + leaf_hash(sealed.leaf),
        )
        plain = AESGCM(key).decrypt(_NONCE, sealed.ciphertext, SEALED_TAG + sealed.leaf)
    except (InvalidTag, ValueError):
        raise RowUndecryptable("not for this key, or changed", field="row") from None
    try:
        inner = unpadded(plain)
    except MalformedInput as error:
        raise RowUndecryptable(error.detail, field="row") from None
    value = expect.fields(cbor.decode(inner, max_bytes=MAX_FRAME, max_depth=1), "inner", range(4))
    expect.version(value[0], VERSION)
    case_id = expect.octets(value[1], "case id", 32)
    salt = expect.octets(value[2], "salt", 32)
    encoded = expect.octets(value[3], "row")
    row = CaseRow.parse(encoded)
    stated = (row.product, row.owner, case_id, row_commitment(salt, encoded))
    if stated != (leaf.product, leaf.owner, leaf.case_id, leaf.commitment):
        raise RowUndecryptable("the row is not the one that the leaf commits to", field="row")
    return OpenedRow(row, case_id, salt)


def _info(organisation: int) -> bytes:
    return KEY_TAG + expect.uint(organisation, "organisation", expect.UINT32_MAX, minimum=1).to_bytes(
        4, "big"
    )


# the file


@dataclass(frozen=True)
class BatchHeader:
    """First frame of a batch file."""

    batch_id: bytes
    owner: int
    recipients: tuple[BatchRecipient, ...]
    made_at: int

    def encode(self) -> bytes:
        """CBOR, checked."""
        members = [(one.organisation, one.public_key) for one in self.recipients]
        data = cbor.encode({0: VERSION, 1: self.batch_id, 2: self.owner, 3: members, 4: self.made_at})
        BatchHeader.parse(cbor.decode(data, max_bytes=MAX_FRAME))
        return data

    @classmethod
    def parse(cls, raw: cbor.Value) -> BatchHeader:
        """From a decoded frame.

        Raises:
            MalformedInput, UnknownVersion
        """
        if isinstance(raw, dict) and 0 in raw:
            expect.version(raw[0], VERSION)
        value = expect.fields(raw, "batch header", range(5))
        members = expect.array(value[3], "recipients", minimum=1, maximum=MAX_RECIPIENTS)
        recipients = tuple(_recipient(member) for member in members)
        for part in ({r.organisation for r in recipients}, {r.public_key for r in recipients}):
            if len(part) != len(recipients):
                raise MalformedInput("recipients: one is named twice", field="recipients")
        return cls(
            expect.octets(value[1], "batch id", 32),
            expect.uint(value[2], "owner", expect.UINT32_MAX, minimum=1),
            recipients,
            expect.uint(value[4], "time of making", expect.UINT40_MAX),
        )


def _recipient(value: cbor.Value) -> BatchRecipient:
    organisation, key = expect.array(value, "recipients", 2)
    return BatchRecipient(
        expect.uint(organisation, "organisation", expect.UINT32_MAX, minimum=1),
        expect.octets(key, "HPKE public key", 32),
    )


@dataclass(frozen=True)
class BatchTrailer:
    """Last frame: what the frames before it add up to."""

    count: int
    root: bytes
    digest: bytes

    def encode(self) -> bytes:
        """CBOR."""
        return cbor.encode({0: self.count, 1: self.root, 2: self.digest})

    @classmethod
    def parse(cls, raw: cbor.Value) -> BatchTrailer:
        """From a decoded frame."""
        value = expect.fields(raw, "batch trailer", range(3))
        return cls(
            expect.uint(value[0], "count", MAX_CASES, minimum=1),
            expect.octets(value[1], "batch root", 32),
            expect.octets(value[2], "digest", 32),
        )


def frame(data: bytes) -> bytes:
    """Length and content of one frame."""
    if len(data) > MAX_FRAME:
        raise LimitExceeded(f"a frame of {len(data)} bytes, at most {MAX_FRAME}")
    return len(data).to_bytes(4, "big") + data
