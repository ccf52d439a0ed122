"""Checkpoints and signed notes (docs/spec/attestation.md §1).

A checkpoint is what a log signs, witnesses cosign and time authorities stamp: origin, size and root of one
tree. Forms after C2SP tlog-checkpoint, signed-note and tlog-cosignature.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol import expect
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput
from protocol.hashing import HASH_LEN, SHA256, SM3, HashAlg, sha256
from protocol.identifiers import MAX_ORIGIN, check_origin

ALGORITHM_SHA256, ALGORITHM_SM3 = 0, 1
TREE_HASHES: tuple[HashAlg, ...] = (SHA256, SM3)
"""Tree hash of an algorithm number."""
SM3_SUFFIX = "/sm3"

TYPE_ED25519 = 0x01
"""A log's plain signature over the text."""
TYPE_COSIGNATURE = 0x04
"""cosignature/v1: time and Ed25519."""
TYPE_MLDSA44 = 0x06
"""ML-DSA-44 cosignature: time and 2,420 bytes."""
PUBLIC_KEY_LEN = {TYPE_ED25519: 32, TYPE_COSIGNATURE: 32, TYPE_MLDSA44: 1312}
SIGNATURE_LEN = {TYPE_ED25519: 64, TYPE_COSIGNATURE: 64, TYPE_MLDSA44: 2420}
"""Without the eight bytes of time that stand before a cosignature."""

KEY_ID_LEN = 4
TIME_LEN = 8
MAX_SIZE = MAX_TIME = 2**63 - 1
MAX_KEY_NAME = 255
"""An ML-DSA-44 cosignature signs the length as one byte."""
MAX_SIGNATURES = 64
MAX_SIGNATURE = 5120
MAX_TEXT = 1024
MAX_NOTE = 65_536

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_KEY_NAME = re.compile(r"[^\s+]+")
_DASH = "\u2014 "


class CheckpointMalformed(MalformedInput):
    """Not a checkpoint or signed note in its one form."""

    title = "checkpoint malformed"


class CheckpointSignatureInvalid(CaseledgerError):
    """The log's signature does not stand over this checkpoint."""

    http_status = 422
    title = "the log's signature does not verify over this checkpoint"


class CosignatureInvalid(CaseledgerError):
    """A named key's cosignature does not stand over this checkpoint and time."""

    http_status = 422
    title = "a witness cosignature does not verify over this checkpoint"


def check_log_origin(origin: str, field: str = "origin") -> str:
    """An origin that may be in a trust file: `/sm3` at its end belongs to the parallel tree.

    Raises:
        MalformedInput
    """
    check_origin(origin, field)
    if origin.endswith(SM3_SUFFIX):
        raise MalformedInput(f"{field}: ends in {SM3_SUFFIX}, which names the SM3 tree", field=field)
    return origin


def statement_origin(origin: str, algorithm: int) -> str:
    """First line of the checkpoints of one tree of the log: the origin, `/sm3` behind it for the SM3 tree.

    Raises:
        MalformedInput: not an origin of a log, or an unknown algorithm.
    """
    check_log_origin(origin)
    if algorithm == ALGORITHM_SHA256:
        return origin
    if algorithm == ALGORITHM_SM3:
        return origin + SM3_SUFFIX
    raise MalformedInput("algorithm: 0 or 1 is expected", field="algorithm")


def split_origin(statement: str) -> tuple[str, int]:
    """Origin of the log and algorithm of the tree that a checkpoint's first line names."""
    if statement.endswith(SM3_SUFFIX):
        return check_log_origin(statement.removesuffix(SM3_SUFFIX)), ALGORITHM_SM3
    return check_log_origin(statement), ALGORITHM_SHA256


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head. `origin` is the first line as it stands (`statement_origin`), `root` has 32 bytes."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        split_origin(self.origin)
        if not 0 <= self.size <= MAX_SIZE:
            raise CheckpointMalformed("size: 0 to 2^63 - 1 is expected", field="size")
        if len(self.root) != HASH_LEN:
            raise CheckpointMalformed("root: 32 bytes are expected", field="root")

    @property
    def algorithm(self) -> int:
        """0 SHA-256, 1 SM3."""
        return split_origin(self.origin)[1]

    def text(self) -> bytes:
        """The three lines that are signed, each ended by LF."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n".encode("ascii")

    @classmethod
    def parse(cls, text: bytes) -> Checkpoint:
        """From the three lines; extension lines are refused.

        Raises:
            CheckpointMalformed, MalformedInput, LimitExceeded
        """
        if len(text) > MAX_ORIGIN + 128:
            raise LimitExceeded(f"{len(text)} bytes of checkpoint", field="checkpoint")
        try:
            lines = text.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise CheckpointMalformed("not ASCII", field="checkpoint") from None
        if len(lines) != 4 or lines[3]:
            raise CheckpointMalformed("three lines, each ended by LF, are expected", field="checkpoint")
        origin, size, root, _ = lines
        if _SIZE.fullmatch(size) is None:
            raise CheckpointMalformed("a decimal without leading zeros is expected", field="size")
        return cls(origin, int(size), _from_base64(root, "root"))


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line. `signature` is what follows the key id; a cosignature's time stands before it."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def time(self) -> int:
        """Seconds UTC of a cosignature.

        Raises:
            CheckpointMalformed: too short for one.
        """
        if len(self.signature) <= TIME_LEN:
            raise CheckpointMalformed("too short for a cosignature", field="signature")
        return int.from_bytes(self.signature[:TIME_LEN], "big")

    @property
    def untimed(self) -> bytes:
        """The signature behind a cosignature's time."""
        return self.signature[TIME_LEN:]

    @classmethod
    def cosignature(cls, name: str, key_id: bytes, time: int, signature: bytes) -> NoteSignature:
        """The line of a cosignature with its time."""
        return cls(name, key_id, time.to_bytes(TIME_LEN, "big") + signature)

    def line(self) -> bytes:
        """Without the LF."""
        check_key_name(self.name)
        if len(self.key_id) != KEY_ID_LEN or not self.signature:
            raise CheckpointMalformed("a key id of 4 bytes and a signature are expected", field="signature")
        return f"{_DASH}{self.name} {_base64(self.key_id + self.signature)}".encode()

    @classmethod
    def parse(cls, line: bytes) -> NoteSignature:
        """From one line without its LF.

        Raises:
            CheckpointMalformed, LimitExceeded
        """
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise CheckpointMalformed("not UTF-8", field="signature") from None
        parts = text.removeprefix(_DASH).split(" ")
        if not text.startswith(_DASH) or len(parts) != 2:
            raise CheckpointMalformed("not a signature line", field="signature")
        if len(parts[1]) > 2 * MAX_SIGNATURE:
            raise LimitExceeded("signature too long", field="signature")
        raw = _from_base64(parts[1], "signature")
        if len(raw) <= KEY_ID_LEN:
            raise CheckpointMalformed("key id without signature", field="signature")
        return cls(check_key_name(parts[0]), raw[:KEY_ID_LEN], raw[KEY_ID_LEN:])


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text and the signatures under it; at most 64 KiB with at most 64 signatures."""

    text: bytes
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """The note's bytes.

        Raises:
            CheckpointMalformed: no signature, or a text that does not end in LF.
        """
        _check_text(self.text)
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise CheckpointMalformed(f"1 to {MAX_SIGNATURES} signatures are expected", field="signatures")
        return self.text + b"\n" + b"".join(one.line() + b"\n" for one in self.signatures)

    @classmethod
    def parse(cls, data: bytes) -> SignedNote:
        """From the note's bytes; no signature is checked.

        Raises:
            CheckpointMalformed, LimitExceeded
        """
        if len(data) > MAX_NOTE:
            raise LimitExceeded(f"{len(data)} bytes, at most {MAX_NOTE} allowed", field="note")
        # The text may hold empty lines; the last one parts it from the signatures.
        cut = data.rfind(b"\n\n")
        if cut < 0 or not data.endswith(b"\n"):
            raise CheckpointMalformed("text, an empty line and signature lines are expected", field="note")
        text, lines = data[: cut + 1], data[cut + 2 :].split(b"\n")[:-1]
        if not 1 <= len(lines) <= MAX_SIGNATURES:
            raise CheckpointMalformed(f"1 to {MAX_SIGNATURES} signatures are expected", field="signatures")
        _check_text(text)
        return cls(text, tuple(map(NoteSignature.parse, lines)))

    @property
    def checkpoint(self) -> Checkpoint:
        """The text as a checkpoint.

        Raises:
            CheckpointMalformed
        """
        return Checkpoint.parse(self.text)

    def by(self, name: str, key: bytes) -> tuple[NoteSignature, ...]:
        """The lines with this key name and key id."""
        return tuple(one for one in self.signatures if one.name == name and one.key_id == key)

    def with_signatures(self, more: Iterable[NoteSignature]) -> SignedNote:
        """A copy with further lines behind those it has."""
        return SignedNote(self.text, (*self.signatures, *more))


def check_key_name(name: str, field: str = "key name") -> str:
    """A key name of a note: not empty, printable, without spaces and plus.

    Raises:
        CheckpointMalformed, LimitExceeded
    """
    if _KEY_NAME.fullmatch(name) is None or expect.has_control(name):
        raise CheckpointMalformed(f"{field}: printable, without space and plus", field=field)
    if len(name.encode()) > MAX_KEY_NAME:
        raise LimitExceeded(f"{field}: at most {MAX_KEY_NAME} bytes", field=field)
    return name


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """Key id, 4 bytes: SHA-256(name, LF, type, public key), its beginning."""
    if kind not in PUBLIC_KEY_LEN or len(public_key) != PUBLIC_KEY_LEN[kind]:
        raise CheckpointMalformed("unknown signature type, or a public key of another length", field="key")
    return sha256(check_key_name(name).encode() + b"\n" + bytes((kind,)) + public_key)[:KEY_ID_LEN]


def cosignature_message(time: int, text: bytes) -> bytes:
    """What cosignature/v1 signs. `time` in seconds UTC, `text` a checkpoint's text."""
    if not 0 <= time <= MAX_TIME:
        raise CheckpointMalformed("time: 0 to 2^63 - 1 is expected", field="time")
    return b"cosignature/v1\ntime %d\n" % time + text


def mldsa_message(name: str, time: int, checkpoint: Checkpoint) -> bytes:
    """What an ML-DSA-44 cosigner called `name` signs for a whole tree (C2SP tlog-cosignature, subtree/v1)."""
    cosigner, origin = check_key_name(name).encode(), checkpoint.origin.encode("ascii")
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes((len(cosigner),)),
            cosigner,
            time.to_bytes(TIME_LEN, "big"),
            bytes((len(origin),)),
            origin,
            bytes(8),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def cosigned_message(kind: int, name: str, time: int, checkpoint: Checkpoint) -> bytes:
    """What a cosigner called `name` signs with a key of type 4 or 6."""
    if kind == TYPE_MLDSA44:
        return mldsa_message(name, time, checkpoint)
    return cosignature_message(time, checkpoint.text())


def sign_checkpoint(key: Ed25519PrivateKey, checkpoint: Checkpoint) -> NoteSignature:
    """The log's own line under a checkpoint; its key name is the checkpoint's origin."""
    public_key = key.public_key().public_bytes_raw()
    identity = key_id(checkpoint.origin, TYPE_ED25519, public_key)
    return NoteSignature(checkpoint.origin, identity, key.sign(checkpoint.text()))


def cosign_checkpoint(key: Ed25519PrivateKey, name: str, time: int, checkpoint: Checkpoint) -> NoteSignature:
    """A witness's cosignature/v1 line under a checkpoint."""
    identity = key_id(name, TYPE_COSIGNATURE, key.public_key().public_bytes_raw())
    signature = key.sign(cosignature_message(time, checkpoint.text()))
    return NoteSignature.cosignature(name, identity, time, signature)


def verify_checkpoint(public_key: bytes, checkpoint: Checkpoint, signature: bytes) -> None:
    """The log's signature (64 bytes) over the checkpoint's text.

    Raises:
        CheckpointSignatureInvalid
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, checkpoint.text())
    except (InvalidSignature, ValueError):
        raise CheckpointSignatureInvalid(field="log signature") from None


def verify_cosignature(
    kind: int, name: str, public_key: bytes, time: int, checkpoint: Checkpoint, signature: bytes
) -> None:
    """A cosignature (without its time) of type 4 or 6 by the key called `name`.

    Raises:
        CosignatureInvalid
    """
    if len(signature) != SIGNATURE_LEN.get(kind):
        raise CosignatureInvalid(f"{name}: a signature of another length", field="cosignature")
    try:
        if kind == TYPE_COSIGNATURE:
            message = cosignature_message(time, checkpoint.text())
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        elif kind == TYPE_MLDSA44:
            from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

            message = mldsa_message(name, time, checkpoint)
            MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
        else:
            raise CosignatureInvalid(f"{name}: type {kind} is no cosignature", field="cosignature")
    except (InvalidSignature, ValueError):
        raise CosignatureInvalid(f"by {name}", field="cosignature") from None


def _check_text(text: bytes) -> None:
    if not 1 < len(text) <= MAX_TEXT or not text.endswith(b"\n"):
        raise CheckpointMalformed(f"a text of at most {MAX_TEXT} bytes that ends in LF", field="note")
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        raise CheckpointMalformed("not UTF-8", field="note") from None
    if any(char < " " and char != "\n" for char in decoded):
        raise CheckpointMalformed("control characters", field="note")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_base64(text: str, field: str) -> bytes:
    try:
        out = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        out = b""
    if not out or _base64(out) != text:
        raise CheckpointMalformed("canonical base64 with padding is expected", field=field)
    return out
