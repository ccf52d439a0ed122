"""A custody log beside the log of `World`: events of one item, their receipts, and sheets over them.

The defaults verify; every argument is a way to break one rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from agent.keys import KeyLabel, Secp256k1Key
from protocol import entry
from protocol.acts import Purpose
from protocol.custody import (
    STATEMENT_TAG,
    CustodyEvent,
    CustodyKind,
    Statement,
    Tool,
    event_hash,
)
from protocol.entry import Header
from protocol.hashing import SHA256, SM3, sha256, sm3
from protocol.identifiers import actor_ref, case_commitment, log_id
from protocol.keyslot import KeySlot, KeyState
from protocol.submission import Submission
from tests.support import fakechain
from tests.support.fakechain import seeded
from tests.support.world import CASE_ID, LINK_TIME, OPERATOR, SUBMITTER, World, signed
from verifier.custody import encode
from verifier.merkle_tree import Tree
from verifier.receipt import Receipt
from verifier.trust_payload import TrustedLog, TrustPayload

CUSTODY_ORIGIN = "centre.example/evidence-custody"
COURT = 4
STATED = LINK_TIME + 3000
A, C, X, T, V, E = CustodyKind
_DIGESTS = (sha256(b"copy"), sm3(b"copy"))


@dataclass(frozen=True)
class Told:
    """One event: who signs, of what kind, and what is said otherwise than usual."""

    kind: CustodyKind
    organisation: int = SUBMITTER
    said: dict[str, Any] = field(default_factory=dict)
    case_id: bytes = CASE_ID
    flags: int | None = None
    """None: the item's."""
    withheld: bool = False
    signer: str | None = None
    """Another key than the organisation's."""
    log: str = CUSTODY_ORIGIN


STORY = (
    Told(A, COURT, {"tool": Tool("caseledger-agent", "0.1.0", seeded("program"))}),
    Told(C, SUBMITTER, {"object": _DIGESTS, "receiver": COURT, "authority": "民诉法第六十四条"}),
    Told(V, COURT, {"object": (sha256(b"report"), sm3(b"report")), "result": 0}),
    Told(T, SUBMITTER, {"giver": SUBMITTER, "receiver": COURT, "before": "影像平台", "where": "卷宗库"}),
    Told(T, COURT, {"giver": SUBMITTER, "receiver": COURT}),
    Told(X, COURT, {"object": _DIGESTS, "change": "转为 PDF/A"}),
    Told(E, SUBMITTER, {"object": (sha256(b"record"), sm3(b"record"))}),
)
"""Every kind; the bank hands the original over to the court."""


@dataclass(frozen=True)
class EventWorld(World):
    """The receipt of one event: its own submission, in a batch of its own."""

    made: Submission | None = None
    organisation: int = SUBMITTER
    all_leaves: tuple[bytes, ...] = ()

    @property
    def key(self) -> Secp256k1Key:
        return signing_key(self.signer, self.organisation)

    @cached_property
    def submission(self) -> Submission:
        assert self.made is not None
        return self.made

    @cached_property
    def body(self) -> bytes:
        return self.submission.entries[0][1]

    @cached_property
    def leaves(self) -> list[bytes]:
        return list(self.all_leaves)


def signing_key(signer: str, organisation: int) -> Secp256k1Key:
    label = KeyLabel("signer", "act", organisation)
    return Secp256k1Key(label, fakechain.secp256k1(signer).secret)


@dataclass(frozen=True)
class CustodyWorld:
    """An item and the story of its custody."""

    item: World = field(default_factory=World)
    story: Sequence[Told] = STORY
    origin: str = CUSTODY_ORIGIN
    successor: str | None = None
    """A later custody log of the trust file, which continues this one from `closed` leaves on."""
    closed: int | None = None
    operator: int = OPERATOR

    @property
    def identity(self) -> bytes:
        return entry.evidence_id(self.item.core.leaf)

    @cached_property
    def events(self) -> list[EventWorld]:
        """Each event's world, in the order of the story."""
        leaves = [seeded("custody leaf", n) * 3 + bytes(16) for n in range(4)]
        previous: bytes | None = None
        out = []
        for number, told in enumerate(self.story, 1):
            event = CustodyEvent(
                item=self.identity, number=number, previous=previous, event_time=LINK_TIME + 60 * number,
                salt=seeded("event", number), purpose="审理中核对原件",
                actor_ref=actor_ref(seeded("event", number), seeded("officer")),
            )  # fmt: skip
            event = dataclasses.replace(event, **told.said)
            flags = self.item.flags if told.flags is None else told.flags
            header = Header(told.kind, told.organisation, case_commitment(told.case_id), 0, flags)
            signer = told.signer or f"organisation {told.organisation}"
            made = Submission.sign(
                log_id=log_id(told.log), organisation=told.organisation, valid_until=LINK_TIME + 9000,
                entries=[(header.pack(), event.encode(told.kind))], domain=self.item.domain,
                key=signing_key(signer, told.organisation),
            )  # fmt: skip
            unsequenced = made.unsequenced_leaves()[0]
            previous = event_hash(unsequenced)
            index = len(leaves)
            leaves.append(entry.sequenced(unsequenced, 10 + number))
            leaves += [seeded("custody leaf", number, n) * 3 + bytes(16) for n in range(2)]
            slot = KeySlot(
                told.organisation, Purpose.ACT, LINK_TIME - 1000, LINK_TIME + 9000, 0, KeyState.ACTIVE
            )
            if told.signer:
                slot = dataclasses.replace(slot, organisation=told.organisation + 1)
            out.append(
                EventWorld(
                    kind=self.item.kind,
                    origin=told.log,
                    index=index,
                    batch=number,
                    signer=signer,
                    slot=slot,
                    link_time=LINK_TIME + 60 * number + 30,
                    block_time=LINK_TIME + 60 * number + 32,
                    height=self.item.height + number,
                    withheld=told.withheld,
                    made=made,
                    organisation=told.organisation,
                    all_leaves=tuple(leaves),
                )
            )
        return out

    @cached_property
    def receipts(self) -> list[bytes]:
        return [Receipt.of(one.core).encode() for one in self.events]

    @cached_property
    def payload(self) -> TrustPayload:
        item = self.item.payload
        key = self.item.log_key.public_key().public_bytes_raw()
        logs = [TrustedLog(self.origin, self.item.chain_id, self.operator, key, self.closed, self.successor)]
        if self.successor:
            logs.append(TrustedLog(self.successor, self.item.chain_id, self.operator, key, None, None))
        return dataclasses.replace(item, logs=(*item.logs, *logs))

    @cached_property
    def trust(self) -> bytes:
        return signed(self.payload)

    def statement(self, count: int | None = None, **changes: Any) -> Statement:
        """What the log says once `count` events are anchored (all by default)."""
        count = len(self.events) if count is None else count
        last = self.events[count - 1] if count else None
        leaves = last.leaves if last else []
        made = Statement(
            log_id=log_id(self.origin), item=self.identity, count=count,
            head=event_hash(last.core.leaf) if last else None, size=len(leaves),
            root_sha256=Tree(SHA256, [SHA256.leaf(leaf) for leaf in leaves]).root if leaves else sha256(b""),
            root_sm3=Tree(SM3, [SM3.leaf(leaf) for leaf in leaves]).root if leaves else sm3(b""),
            stated_at=STATED,
        )  # fmt: skip
        return dataclasses.replace(made, **changes)

    def sheet(self, receipts: Sequence[bytes] | None = None, statement: Statement | None = None) -> bytes:
        """A sheet that the log signs over whatever it is told to."""
        stated = statement or self.statement()
        signature = self.item.log_key.sign(STATEMENT_TAG + stated.encode())
        return encode(stated, signature, self.receipts if receipts is None else receipts)
