"""Entries and signed submissions in bulk, made before any clock runs."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.keys import KeyLabel, Secp256k1Key
from evidence.ports import OrganisationState
from protocol.acts import Domain, Purpose, Role
from protocol.entry import Body, EvidenceClass, Header, check_body
from protocol.identifiers import case_commitment
from protocol.keyslot import KeySlot, KeyState
from protocol.submission import EntryBytes, Submission

VALID_SECONDS = 3600


class EntryMaker:
    """Distinct entries of one organisation in one case: realistic size, fresh random members."""

    def __init__(self, organisation: int) -> None:
        self._header = Header(
            EvidenceClass.CONTRACT, organisation, case_commitment(secrets.token_bytes(32))
        ).pack()
        marks = [bytes([mark]) * 32 for mark in (0xF1, 0xF2, 0xF3, 0xF4)]
        body = Body(
            content_sha256=marks[0],
            content_sm3=marks[1],
            content_size=123_456,
            media_type="application/pdf",
            salt=marks[2],
            case_ref=marks[3],
            event_time=1_790_000_000,
        ).encode()
        parts = []
        for mark in marks:
            before, body = body.split(mark)
            parts.append(before)
        self._parts = (*parts, body)
        check_body(self._fill(secrets.token_bytes(128)))

    def _fill(self, fresh: bytes) -> bytes:
        a, b, c, d, e = self._parts
        return b"".join((a, fresh[:32], b, fresh[32:64], c, fresh[64:96], d, fresh[96:], e))

    def make(self, count: int) -> list[EntryBytes]:
        """`count` entries that nobody has seen."""
        fresh = os.urandom(128 * count)
        return [(self._header, self._fill(fresh[at : at + 128])) for at in range(0, len(fresh), 128)]


@dataclass(frozen=True)
class Submitter:
    """An organisation with its act key, for one log."""

    log_id: bytes
    domain: Domain
    organisation: int
    key: Secp256k1Key
    maker: EntryMaker

    @classmethod
    def fresh(cls, log_id: bytes, domain: Domain, organisation: int) -> Submitter:
        """With a new key."""
        key = Secp256k1Key(KeyLabel("bench-act", "act", organisation), secrets.token_bytes(32))
        return cls(log_id, domain, organisation, key, EntryMaker(organisation))

    def submissions(self, count: int, leaves: int) -> list[Submission]:
        """`count` signed submissions of `leaves` entries each."""
        return [self.submission(self.maker.make(leaves)) for _ in range(count)]

    def submission(self, entries: Sequence[EntryBytes]) -> Submission:
        """One signed submission."""
        return Submission.sign(
            log_id=self.log_id,
            organisation=self.organisation,
            valid_until=int(time.time()) + VALID_SECONDS,
            entries=entries,
            domain=self.domain,
            key=self.key,
        )

    def forged(self, leaves: int) -> Submission:
        """The same with one bit of the signature turned: another key seems to have signed, or none."""
        good = self.submission(self.maker.make(leaves))
        spoiled = bytes([good.signature[0] ^ 1]) + good.signature[1:]
        return replace(good, signature=spoiled)


@dataclass(frozen=True)
class OneMember:
    """A registry that knows one bank with one valid key."""

    submitter: Submitter

    def key(self, address: bytes) -> KeySlot | None:
        """Its slot."""
        if address != self.submitter.key.address:
            return None
        return KeySlot(self.submitter.organisation, Purpose.ACT, 1, 2**40 - 1, 0, KeyState.ACTIVE)

    def organisation(self, index: int) -> OrganisationState | None:
        """Active, a bank."""
        if index != self.submitter.organisation:
            return None
        return OrganisationState(index, Role.BANK.mask, True)
