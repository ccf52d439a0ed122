"""Decision record: what a table proposed, and what an organisation decided (docs/spec/triage.md §4). No I/O.

A record holds what is known of a person: it stays in memory or sealed. What travels in the open is its salted
commitment, in the `note` of the Move that follows from it.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol import cbor, expect
from protocol.case_batch import MAX_RECIPIENTS, BatchRecipient
from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import sha256
from protocol.sealing import WRAPPED_LEN, hpke_suite, padded, unpadded

VERSION = 1
DECISION_TAG = b"caseledger/decision/v1"
SEALED_TAG = b"caseledger/sealed-decision/v1"
KEY_TAG = b"caseledger/decision-key/v1"
MAX_RECORD = 4096
MAX_SEALED = 8192
MAX_INPUTS = 32
DECISION_PAD = 1024
"""Wide enough that an override with its reason is as long as a decision without."""
MAX_OFFICER, MAX_REASON = 64, 600
"""Bytes of UTF-8."""
_NONCE = bytes(12)


class DecisionUndecryptable(CaseledgerError):
    """Sealed to another key, or not the record that its commitment stands for."""

    title = "sealed decision cannot be opened"


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision about one case. What it says of the person is kept out of `repr`."""

    case_id: bytes
    kind: int
    table_version: int
    table_digest: bytes
    rule: int
    inputs: tuple[int, ...] = field(repr=False)
    proposed: int
    decided: int
    organisation: int
    """Who decided."""
    officer: str | None = field(repr=False)
    """The person who confirmed this one case; None where the run was confirmed."""
    reason: str | None = field(repr=False)
    """Why it is not what was proposed; None where it is."""
    time: int
    case_version: int
    """Of the case when it was decided."""
    previous: bytes | None
    """Commitment of the decision that this one replaces."""

    @property
    def overrides(self) -> bool:
        """Whether people decided otherwise than the table."""
        return self.decided != self.proposed

    def encode(self) -> bytes:
        """CBOR, checked."""
        data = cbor.encode(
            {
                0: VERSION,
                1: self.case_id,
                2: self.kind,
                3: self.table_version,
                4: self.table_digest,
                5: self.rule,
                6: self.inputs,
                7: self.proposed,
                8: self.decided,
                9: self.organisation,
                10: self.officer,
                11: self.reason,
                12: self.time,
                13: self.case_version,
                14: self.previous,
            }
        )
        DecisionRecord.parse(data)
        return data

    @classmethod
    def parse(cls, data: bytes) -> DecisionRecord:
        """From CBOR.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        raw = cbor.decode(data, max_bytes=MAX_RECORD, max_depth=2, max_items=64)
        if isinstance(raw, dict) and 0 in raw:
            expect.version(raw[0], VERSION)
        v = expect.fields(raw, "decision", range(15))
        made = cls(
            expect.octets(v[1], "case id", 32),
            expect.uint(v[2], "table kind", 255, minimum=1),
            expect.uint(v[3], "table version", 2**16 - 1, minimum=1),
            expect.octets(v[4], "table digest", 32),
            expect.uint(v[5], "rule", 2**16 - 1, minimum=1),
            tuple(
                expect.uint(one, "input", expect.UINT53_MAX)
                for one in expect.array(v[6], "inputs", minimum=1, maximum=MAX_INPUTS)
            ),
            expect.uint(v[7], "proposed outcome", 255, minimum=1),
            expect.uint(v[8], "decided outcome", 255, minimum=1),
            expect.uint(v[9], "organisation", expect.UINT32_MAX, minimum=1),
            _words(v[10], "officer", MAX_OFFICER),
            _words(v[11], "reason", MAX_REASON),
            expect.uint(v[12], "time", expect.UINT40_MAX),
            expect.uint(v[13], "case version", expect.UINT32_MAX),
            None if v[14] is None else expect.octets(v[14], "previous decision", 32),
        )
        if made.overrides != (made.reason is not None):
            raise MalformedInput("a reason stands with an override, and only there", field="reason")
        if made.overrides and made.officer is None:
            raise MalformedInput("an override names the person who decided", field="officer")
        return made


def _words(value: cbor.Value, name: str, most: int) -> str | None:
    if value is None:
        return None
    found = expect.text(value, name, most)
    if not found.strip():
        raise MalformedInput(f"{name}: words are expected", field=name)
    return found


def decision_commitment(salt: bytes, record: bytes) -> bytes:
    """What stands for an encoded record in the open."""
    return sha256(DECISION_TAG + expect.octets(salt, "salt", 32) + record)


@dataclass(frozen=True, slots=True)
class SealedDecision:
    """A record for the recipients of the case's batch; `wrapped` in their order."""

    case_id: bytes
    commitment: bytes
    previous: bytes | None
    ciphertext: bytes = field(repr=False)
    wrapped: tuple[bytes, ...] = field(repr=False)

    def check(self) -> SealedDecision:
        """Itself, if its members have the right sizes. Raises MalformedInput."""
        expect.octets(self.case_id, "case id", 32)
        expect.octets(self.commitment, "commitment", 32)
        if self.previous is not None:
            expect.octets(self.previous, "previous", 32)
        if len(expect.octets(self.ciphertext, "ciphertext", maximum=MAX_SEALED)) < DECISION_PAD:
            raise MalformedInput("ciphertext: too short to be a sealed record", field="ciphertext")
        if not 1 <= len(self.wrapped) <= MAX_RECIPIENTS:
            raise MalformedInput(f"wrapped keys: 1 to {MAX_RECIPIENTS} are expected", field="wrapped")
        for key in self.wrapped:
            expect.octets(key, "wrapped key", WRAPPED_LEN)
        return self


def decision_document(sealed: SealedDecision, recipients: Sequence[int]) -> dict[str, Any]:
    """What is handed to a gateway."""
    return {
        "commitment": sealed.commitment.hex(),
        "previous": None if sealed.previous is None else sealed.previous.hex(),
        "recipients": list(recipients),
        "ciphertext": base64.b64encode(sealed.ciphertext).decode(),
        "wrapped": [base64.b64encode(key).decode() for key in sealed.wrapped],
    }


def parse_decision(value: object, case_id: bytes) -> tuple[SealedDecision, tuple[int, ...]]:
    """Inverse of `decision_document`: the decision, and to whom it claims to be sealed.

    Raises:
        MalformedInput, LimitExceeded
    """
    given = expect.json_members(value, "decision", _MEMBERS)
    previous = given["previous"]
    sealed = SealedDecision(
        case_id,
        expect.from_hex(given["commitment"], "commitment", 32),
        None if previous is None else expect.from_hex(previous, "previous", 32),
        from_base64(given["ciphertext"], "ciphertext"),
        tuple(
            from_base64(key, "wrapped")
            for key in expect.json_array(given["wrapped"], "wrapped", MAX_RECIPIENTS)
        ),
    )
    recipients = tuple(
        expect.uint(one, "recipients", expect.UINT32_MAX, minimum=1)
        for one in expect.json_array(given["recipients"], "recipients", MAX_RECIPIENTS)
    )
    return sealed.check(), recipients


_MEMBERS = ("commitment", "previous", "recipients", "ciphertext", "wrapped")


def from_base64(value: object, name: str) -> bytes:
    """Bytes from base64. Raises MalformedInput."""
    if isinstance(value, str) and len(value) <= 2 * MAX_SEALED:
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            pass
    raise MalformedInput(f"{name}: base64 is expected", field=name)


def seal_decision(record: DecisionRecord, recipients: Sequence[BatchRecipient]) -> SealedDecision:
    """Under a fresh salt and key.

    Raises:
        MalformedInput: the record, or a key that is none.
    """
    encoded = record.encode()
    salt, key = secrets.token_bytes(32), secrets.token_bytes(32)
    commitment = decision_commitment(salt, encoded)
    plain = padded(cbor.encode({0: VERSION, 1: salt, 2: encoded}), DECISION_PAD)
    suite = hpke_suite()
    try:
        wrapped = tuple(
            suite.encrypt(
                key,
                X25519PublicKey.from_public_bytes(one.public_key),
                _info(one.organisation, commitment),
            )
            for one in recipients
        )
    except ValueError:
        raise MalformedInput("not a usable X25519 key", field="recipients") from None
    ciphertext = AESGCM(key).encrypt(_NONCE, plain, _bound(record.case_id, commitment))
    return SealedDecision(record.case_id, commitment, record.previous, ciphertext, wrapped).check()


def open_decision(
    sealed: SealedDecision, wrapped: bytes, organisation: int, private_key: bytes
) -> DecisionRecord:
    """Opens a record as the recipient that `wrapped` is for, and checks it against what stands in the open.

    Raises:
        DecisionUndecryptable
    """
    try:
        key = hpke_suite().decrypt(
            wrapped,
            X25519PrivateKey.from_private_bytes(expect.octets(private_key, "private key", 32)),
            _info(organisation, sealed.commitment),
        )
        plain = AESGCM(key).decrypt(_NONCE, sealed.ciphertext, _bound(sealed.case_id, sealed.commitment))
    except (InvalidTag, ValueError):
        raise DecisionUndecryptable("not for this key, or changed", field="decision") from None
    try:
        value = expect.fields(
            cbor.decode(unpadded(plain, DECISION_PAD), max_bytes=MAX_SEALED, max_depth=1), "inner", range(3)
        )
        expect.version(value[0], VERSION)
        encoded = expect.octets(value[2], "record")
        commitment = decision_commitment(expect.octets(value[1], "salt", 32), encoded)
        record = DecisionRecord.parse(encoded)
    except MalformedInput as error:
        raise DecisionUndecryptable(error.detail, field="decision") from None
    if (commitment, record.case_id, record.previous) != (sealed.commitment, sealed.case_id, sealed.previous):
        raise DecisionUndecryptable("the record is not the one that was committed to", field="decision")
    return record


def _info(organisation: int, commitment: bytes) -> bytes:
    index = expect.uint(organisation, "organisation", expect.UINT32_MAX, minimum=1)
    return KEY_TAG + index.to_bytes(4, "big") + commitment


def _bound(case_id: bytes, commitment: bytes) -> bytes:
    return SEALED_TAG + case_id + commitment
