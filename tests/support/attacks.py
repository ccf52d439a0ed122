"""Attacks made by hand, one a rule of receipt.md §3: what is handed in, which verdict says so, by which code.

The table of docs/threat-model.md §4 lists them; both verifiers have to agree on each.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from protocol import cbor
from protocol.acts import Purpose
from protocol.entry import Continuation, EvidenceClass
from protocol.keyslot import KeySlot, KeyState
from protocol.provenance import Provenance
from tests.support.custody_world import STORY, CustodyWorld
from tests.support.fakechain import seeded
from tests.support.world import AT, LINK_TIME, SUBMITTER, World, signed
from verifier.chainproof import Ics23Proof, MptCliqueProof, MptQbftProof
from verifier.cometbft import CommitSig
from verifier.content import ContentDigests
from verifier.receipt import Core, Receipt
from verifier.verdict import Report, Status
from verifier.verify import verify_receipt
from verifier.verify_custody import CustodyShown

WORLD = World()
QBFT = World(kind="mpt-qbft")
CLIQUE = World(kind="mpt-clique", headers=4)
DEV = World(kind="none")
SLOT = WORLD.slot
EPOCH = WORLD.payload.chains[0].epochs[0]


def slot(**changes: Any) -> KeySlot:
    return dataclasses.replace(SLOT, **changes)


def core_of(world: World, **changes: Any) -> bytes:
    return Receipt.of(dataclasses.replace(world.core, **changes)).encode()


def proof_of(world: World, **changes: Any) -> bytes:
    proof: Any = world.core.proof
    return core_of(world, proof=dataclasses.replace(proof, **changes))


def trust_of(world: World, **changes: Any) -> bytes:
    """The world's trust file with members of its chain (or, where the payload has them, of that) changed."""
    payload = world.payload
    chain = payload.chains[0]
    own = {name: changes.pop(name) for name in list(changes) if hasattr(payload, name)}
    if changes:
        own["chains"] = (dataclasses.replace(chain, **changes),)
    return signed(dataclasses.replace(payload, **own))


def relabelled(twin: World, real: World) -> bytes:
    """A twin network's receipt that claims the real chain id."""
    name = dataclasses.replace(twin.core.log, chain_id=real.chain_id)
    return core_of(twin, log=name)


assert isinstance(WORLD.core.proof, Ics23Proof)
PROOF: Ics23Proof = WORLD.core.proof


def bad_surplus_vote() -> bytes:
    commit = PROOF.signed.commit
    last = commit.signatures[3]
    wrong = CommitSig(last.flag, last.timestamp, bytes((last.signature[0] ^ 1,)) + last.signature[1:])
    changed = dataclasses.replace(commit, signatures=(*commit.signatures[:3], wrong))
    return proof_of(WORLD, signed=dataclasses.replace(PROOF.signed, commit=changed))


def other_header_height() -> bytes:
    return proof_of(WORLD, state_height=PROOF.state_height - 1)


def swapped_nodes() -> bytes:
    proof = QBFT.core.proof
    assert isinstance(proof, MptQbftProof)
    return proof_of(QBFT, link=proof.key, key=proof.link)


def borrowed_headers() -> bytes:
    """Blocks of the same signers that lie on another block of this height."""
    own, other = CLIQUE.core.proof, CLIQUE.but(chain_id=7778).core.proof
    assert isinstance(own, MptCliqueProof)
    assert isinstance(other, MptCliqueProof)
    return proof_of(CLIQUE, headers=(own.headers[0], *other.headers[1:]))


def signed_by_a_stranger(world: World) -> bytes:
    other = world.but(signer="stranger")
    submission = dataclasses.replace(world.core.submission, signature=other.core.submission.signature)
    return core_of(world, submission=submission)


def moved_leaf(core: Core) -> bytes:
    inclusion = dataclasses.replace(core.inclusion, index=core.inclusion.index + 1)
    return Receipt.of(dataclasses.replace(core, inclusion=inclusion)).encode()


CONTINUATION = Continuation(seeded("old log"), 5, seeded("r"), seeded("s"), seeded("salt")).encode()
SUCCESSOR = World(evidence_class=EvidenceClass.LOG_CONTINUATION, continuation=CONTINUATION, index=0)
OPERATED = trust_of(SUCCESSOR, logs=(dataclasses.replace(SUCCESSOR.payload.logs[0], operator=SUBMITTER),))


@dataclass(frozen=True)
class Case:
    """What is handed in, and what must be said about it."""

    verdict: str
    code: str
    receipt: bytes = WORLD.receipt
    trust: bytes = WORLD.trust
    status: Status = Status.FAIL
    content: ContentDigests | None = field(default_factory=lambda: WORLD.content)
    at: int = AT
    case_id: bytes | None = None
    provenance: bytes | None = None
    custody: CustodyShown | None = None

    def report(self) -> Report:
        return verify_receipt(
            self.receipt, self.trust, content=self.content, at=self.at, case_id=self.case_id,
            provenance=self.provenance, custody=self.custody,
        )  # fmt: skip


def broken(world: World, verdict: str, code: str, status: Status = Status.FAIL) -> Case:
    """A world that breaks a rule by itself, under the trust file of the intact one of its kind."""
    intact = {"ics23": WORLD, "mpt-qbft": QBFT, "mpt-clique": CLIQUE, "none": DEV}[world.kind]
    return Case(verdict, code, world.receipt, intact.trust, status)


def reduced(world: World, verdict: str, code: str) -> Case:
    """A world whose own trust file lacks something."""
    return Case(verdict, code, world.receipt, world.trust, Status.REDUCED)


STATED = Provenance(salt=seeded("statement"), source_system="核心业务系统", generated_at=LINK_TIME - 60)
LATE = dataclasses.replace(STATED, generated_at=LINK_TIME + 1)


def stated(code: str, fixed: Provenance, shown: Provenance) -> Case:
    """One statement is fixed with the record, and that or another one is shown."""
    world = World(provenance=fixed.encode())
    return Case("provenance", code, world.receipt, world.trust, provenance=shown.encode())


CUSTODY = CustodyWorld(story=STORY[:5])


def kept(code: str, receipts: list[bytes], status: Status = Status.FAIL, **changes: Any) -> Case:
    """A sheet with these events in place of its own; the log signs whatever it is told to."""
    sheet = CUSTODY.sheet(receipts, CUSTODY.statement(**changes))
    item = CUSTODY.item
    return Case("custody", code, item.receipt, CUSTODY.trust, status, None, custody=CustodyShown(sheet))


def retold(at: int) -> list[bytes]:
    """The events, one with another body than its leaf commits to."""
    core = CUSTODY.events[at].core
    body = cbor.decode(core.body or b"", max_bytes=2048)
    assert isinstance(body, dict)
    out = list(CUSTODY.receipts)
    out[at] = Receipt.of(dataclasses.replace(core, body=cbor.encode({**body, 9: "另一目的"}))).encode()
    return out


EVENTS = CUSTODY.receipts
REDUCED, OPEN = Status.REDUCED, Status.INDETERMINATE
ATTACKS: dict[str, Case] = {
    # content
    "another size": Case(
        "content", "ContentMismatch", content=dataclasses.replace(WORLD.content, size=1239)
    ),
    "another SHA-256": Case(
        "content", "ContentMismatch", content=dataclasses.replace(WORLD.content, sha256=seeded(1))
    ),
    "another SM3 with the right SHA-256": Case(
        "content", "ContentMismatch", content=dataclasses.replace(WORLD.content, sm3=seeded(1))
    ),
    "body of another entry": Case(
        "content", "BodyMismatch", core_of(WORLD, body=WORLD.submission.entries[0][1])
    ),
    "body withheld with a file to compare": Case(
        "content", "BodyWithheld", World(withheld=True).receipt, status=OPEN
    ),
    "a file for a log continuation": Case(
        "content", "NoContent", SUCCESSOR.receipt, OPERATED, OPEN
    ),
    # inclusion
    "leaf at another index": Case("inclusion", "MerkleRootMismatch", moved_leaf(WORLD.core)),
    "leaf of another entry": Case(
        "inclusion", "MerkleRootMismatch", core_of(WORLD, leaf=WORLD.leaves[5], body=None), content=None
    ),
    "SHA-256 path in place of the SM3 path": Case(
        "inclusion", "MerkleRootMismatch", core_of(WORLD, inclusion=dataclasses.replace(
            WORLD.core.inclusion, path_sm3=WORLD.core.inclusion.path_sha256)),
    ),
    "path longer than needed": Case(
        "inclusion", "MerkleProofLength", core_of(WORLD, inclusion=dataclasses.replace(
            WORLD.core.inclusion, path_sm3=(*WORLD.core.inclusion.path_sm3, seeded(1)))),
    ),
    "path shorter than needed": Case(
        "inclusion", "MerkleProofLength", core_of(WORLD, inclusion=dataclasses.replace(
            WORLD.core.inclusion, path_sha256=WORLD.core.inclusion.path_sha256[:-1])),
    ),
    "index not below the size": Case(
        "inclusion", "MerkleIndexOutOfRange", core_of(WORLD, inclusion=dataclasses.replace(
            WORLD.core.inclusion, index=13)),
    ),
    "another case": Case("inclusion", "CaseMismatch", case_id=seeded("another case")),
    "another case, body withheld": Case(
        "inclusion", "CaseMismatch", World(withheld=True).receipt, content=None,
        case_id=seeded("another case"),
    ),
    "continuation behind the first leaf": Case(
        "inclusion", "ContinuationMisplaced", SUCCESSOR.but(index=3).receipt, OPERATED, content=None,
    ),
    # finality
    "chain that the trust file does not name": Case(
        "finality", "ChainNotTrusted", World(chain_id=7778).receipt
    ),
    "twin network with another chain id": broken(
        World(network_id="twin-8"), "finality", "CometChainIdMismatch"
    ),
    "chain proof stripped": Case(
        "finality", "ProofKindMismatch", core_of(WORLD, proof=DEV.core.proof)
    ),
    "other validators": broken(World(seed="others"), "finality", "CometValidatorsHashMismatch"),
    "power of two thirds is not enough": broken(World(absent=(0, 2)), "finality", "CometQuorumMissing"),
    "votes for nil do not count": broken(World(nil=(0, 2)), "finality", "CometQuorumMissing"),
    "a bad signature beyond the quorum": Case("finality", "CometSignatureInvalid", bad_surplus_vote()),
    "header of another height": Case("finality", "ProofHeightMismatch", other_header_height()),
    "height before every epoch": Case(
        "finality", "EpochNotTrusted",
        trust=trust_of(WORLD, epochs=(dataclasses.replace(EPOCH, from_height=4713),)),
    ),
    "height behind a closed epoch": Case("finality", "EpochNotTrusted", trust=World(to_height=4711).trust),
    "closed epoch": reduced(World(to_height=4712), "finality", "ClosedEpoch"),
    "development chain": reduced(DEV, "finality", "ChainProofNone"),
    "QBFT: other validators": broken(
        World(kind="mpt-qbft", seed="others"), "finality", "QbftValidatorsMismatch"
    ),
    "QBFT: two seals of four": broken(
        World(kind="mpt-qbft", absent=(2, 3)), "finality", "QbftQuorumMissing"
    ),
    # append-only
    "contract that the trust file does not name": Case(
        "append-only", "ContractNotTrusted", core_of(WORLD, log=dataclasses.replace(
            WORLD.core.log, evidence_log=seeded(1)[:20])),
    ),
    "log that the trust file does not name": broken(
        World(origin="elsewhere"), "append-only", "LogNotTrusted"
    ),
    "leaf behind the end of a closed log": Case(
        "append-only", "LeafBeyondClosedLog", trust=World(closed_size=6).trust
    ),
    "contract with other code": broken(World(code_log=seeded("x")), "append-only", "CodeHashMismatch"),
    "QBFT: contract with other code": broken(
        World(kind="mpt-qbft", code_log=seeded("x")), "append-only", "CodeHashMismatch"
    ),
    "batch of another number": Case(
        "append-only", "Ics23KeyMismatch", core_of(WORLD, link=dataclasses.replace(WORLD.core.link, number=4))
    ),
    "another previous link": Case(
        "append-only", "BatchLinkMismatch", core_of(WORLD, link=dataclasses.replace(
            WORLD.core.link, previous=seeded(1))),
    ),
    "another batch time": Case(
        "append-only", "BatchLinkMismatch", core_of(WORLD, link=dataclasses.replace(
            WORLD.core.link, time=LINK_TIME - 1)),
    ),
    "larger tree of the same shape": Case(
        "append-only", "BatchLinkMismatch", core_of(WORLD, link=dataclasses.replace(WORLD.core.link, size=14))
    ),
    "twin that claims this chain id": Case(
        "append-only", "BatchLinkMismatch", relabelled(World(chain_id=7778), WORLD)
    ),
    "QBFT: twin that claims this chain id": Case(
        "append-only", "BatchLinkMismatch", relabelled(QBFT.but(chain_id=7778), QBFT), QBFT.trust
    ),
    "stated value other than the proved one": Case(
        "append-only", "ProvenValueMismatch",
        proof_of(WORLD, link=dataclasses.replace(PROOF.link, value=seeded(1))),
    ),
    "QBFT: proof of another slot": Case("append-only", "MptNodeMismatch", swapped_nodes(), QBFT.trust),
    "witnesses required": reduced(World(witnesses=2), "append-only", "WitnessesMissing"),
    # time
    "batch later than its block": broken(
        World(link_time=LINK_TIME + 3), "time", "LinkTimeAfterBlock"
    ),
    "evaluated before the anchor": Case(
        "time", "EvaluationBeforeAnchor", status=OPEN, at=LINK_TIME - 1
    ),
    "evaluated between batch and proof": Case(
        "time", "EvaluationBeforeAnchor", status=OPEN, at=LINK_TIME + 1
    ),
    "time tokens required": reduced(World(time_tokens=1), "time", "TimeTokensMissing"),
    # signer
    "signed by a stranger": Case("signer", "Ics23KeyMismatch", signed_by_a_stranger(WORLD)),
    "QBFT: signed by a stranger": Case(
        "signer", "MptNodeMismatch", signed_by_a_stranger(QBFT), QBFT.trust
    ),
    "another count of entries": Case(
        "signer", "Ics23KeyMismatch", core_of(WORLD, submission=dataclasses.replace(
            WORLD.core.submission, count=6)),
    ),
    "another validUntil": Case(
        "signer", "Ics23KeyMismatch", core_of(WORLD, submission=dataclasses.replace(
            WORLD.core.submission, valid_until=LINK_TIME)),
    ),
    "position not below the count": Case(
        "signer", "MerkleIndexOutOfRange", core_of(WORLD, submission=dataclasses.replace(
            WORLD.core.submission, position=5)),
    ),
    "signature with v 0": Case(
        "signer", "SubmissionSignatureInvalid", core_of(WORLD, submission=dataclasses.replace(
            WORLD.core.submission, signature=WORLD.core.submission.signature[:64] + b"\x00")),
    ),
    "registry that the trust file does not name": Case(
        "signer", "ContractNotTrusted", core_of(WORLD, log=dataclasses.replace(
            WORLD.core.log, registry=seeded(1)[:20])),
    ),
    "registry with other code": broken(World(code_registry=seeded("x")), "signer", "CodeHashMismatch"),
    "key of another organisation": broken(
        World(slot=slot(organisation=4)), "signer", "KeyOfAnotherOrganisation"
    ),
    "key for logging in": broken(World(slot=slot(purpose=Purpose.AUTH)), "signer", "KeyPurposeMismatch"),
    "key only announced": broken(World(slot=slot(state=KeyState.ANNOUNCED)), "signer", "KeyNotActive"),
    "key cancelled": broken(World(slot=slot(state=KeyState.CANCELLED)), "signer", "KeyNotActive"),
    "key expired before the anchor": broken(
        World(slot=slot(not_after=LINK_TIME - 1)), "signer", "KeyNotValidAtAnchor"
    ),
    "key not yet valid at the anchor": broken(
        World(slot=slot(not_before=LINK_TIME + 1)), "signer", "KeyNotValidAtAnchor"
    ),
    "key revoked at the anchor": broken(World(slot=slot(revoked_at=LINK_TIME)), "signer", "KeyRevoked"),
    "key slot with unknown bits": Case(
        "signer", "ProvenValueMismatch",
        proof_of(WORLD, key=dataclasses.replace(PROOF.key, value=bytes(32))),
    ),
    "continuation by another than the operator": Case(
        "signer", "ContinuationMisplaced", SUCCESSOR.receipt, SUCCESSOR.trust, content=None
    ),
    # custody
    "custody event left out": kept("CustodyGap", [*EVENTS[:1], *EVENTS[2:]]),
    "last custody event left out": kept("CustodyCountMismatch", EVENTS[:-1]),
    "custody events in another order": kept("CustodyReordered", [EVENTS[1], EVENTS[0], *EVENTS[2:]]),
    "custody event with another purpose": kept("BodyMismatch", retold(0)),
    "custody sheet of another item": kept("CustodyOtherItem", EVENTS, item=seeded("another item")),
    "custody sheet of the future": kept("CustodyInFuture", EVENTS, stated_at=AT + 1),
    "custody events behind the stated end": kept("CustodyBeyondCheckpoint", EVENTS, size=5),
    # provenance
    "another provenance statement": stated(
        "ProvenanceMismatch", STATED, dataclasses.replace(STATED, source_system="另一系统")
    ),
    "generating event after the anchor": stated("ProvenanceAfterAnchor", LATE, LATE),
    # neutrality
    "two validators of one interest group": reduced(
        World(groups=(1, 1, 2, 3)), "neutrality", "NeutralityNotMet"
    ),
    # Clique
    "Clique: depth is no finality": reduced(CLIQUE, "finality", "DepthFinality"),
    "Clique: other signers": broken(
        World(kind="mpt-clique", seed="others"), "finality", "CliqueSignerUnknown"
    ),
    "Clique: too few blocks on top": broken(
        World(kind="mpt-clique", headers=2), "finality", "CliqueDepthMissing"
    ),
    "Clique: blocks of another chain on top": Case(
        "finality", "CliqueParentMismatch", borrowed_headers(), CLIQUE.trust
    ),
    "Clique: twin that claims this chain id": Case(
        "append-only", "BatchLinkMismatch", relabelled(CLIQUE.but(chain_id=7778), CLIQUE), CLIQUE.trust
    ),
}  # fmt: skip
