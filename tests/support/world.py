"""One consortium in one place: trust file, log, entries and receipts of any proof kind, all made offline.

Every argument of `World` is a way to break one rule; the defaults verify.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.keys import KeyLabel, Secp256k1Key
from protocol import entry
from protocol.acts import Domain, Purpose, address_of
from protocol.checkpoint import (
    TREE_HASHES,
    TYPE_COSIGNATURE,
    Checkpoint,
    cosign_checkpoint,
    sign_checkpoint,
    statement_origin,
)
from protocol.entry import Body, EvidenceClass, Header
from protocol.hashing import SHA256, SM3, sha256, sm3
from protocol.identifiers import case_commitment, case_ref, log_id
from protocol.keyslot import KeySlot, KeyState, key_slot_position, link_slot_position
from protocol.provenance import provenance_digest
from protocol.submission import Submission
from tests.support import fakechain
from tests.support.fakechain import seeded
from verifier.attestation import ChainAttestation, Cosignature, Where, WitnessAttestation
from verifier.chainproof import ChainProof, Ics23Proof, Ics23Value, MptCliqueProof, MptQbftProof, NoProof
from verifier.content import ContentDigests
from verifier.cosmos_state import account_key, storage_key
from verifier.merkle_tree import Tree
from verifier.receipt import Attestation, BatchLink, Core, Inclusion, LogName, Receipt, SubmissionProof
from verifier.trust import TrustFile
from verifier.trust_payload import (
    Epoch,
    FurtherContract,
    PinnedContract,
    TimeAuthority,
    TrustedChain,
    TrustedLog,
    TrustedValidator,
    TrustKey,
    TrustPayload,
)
from verifier.witness_policy import EMPTY_POLICY, Witness, WitnessGroup, WitnessPolicy

LINK_TIME = 1_800_000_000
CASE_ID = seeded("case id")
CONTENT = "《金融借款合同》样本\n".encode() * 40
SUBMITTER = 3
OPERATOR = 2
STATE_HEIGHT = 4711
TRUST_ROLES = ("court", "regulator", "centre", "bank")


@dataclass(frozen=True)
class World:
    """A network with one log of 13 leaves, 5 of them one submission; the receipt is for its third."""

    kind: str = "ics23"
    chain_id: int = 7777
    network_id: str = "caseledger-7"
    origin: str = "centre.example/evidence"
    seed: str = "network"
    link_time: int = LINK_TIME
    block_time: int = LINK_TIME + 2
    evidence_class: EvidenceClass = EvidenceClass.CONTRACT
    flags: int = 0
    withheld: bool = False
    continuation: bytes | None = None
    index: int = 6
    batch: int = 3
    height: int = STATE_HEIGHT
    signer: str = "bank"
    """Whose key signs the submission."""
    slot: KeySlot = field(
        default_factory=lambda: KeySlot(
            SUBMITTER, Purpose.ACT, LINK_TIME - 1000, LINK_TIME + 1000, 0, KeyState.ACTIVE
        )
    )
    code_log: bytes = field(default_factory=lambda: seeded("code", "EvidenceLog"))
    code_registry: bytes = field(default_factory=lambda: seeded("code", "ConsortiumRegistry"))
    absent: tuple[int, ...] = ()
    nil: tuple[int, ...] = ()
    headers: int | None = None
    """Of a Clique proof; None: as many as its four signers need."""
    closed_size: int | None = None
    to_height: int | None = None
    groups: tuple[int, ...] = (1, 2, 3, 4)
    time_tokens: int = 0
    witnesses: int = 0
    version: int = 1
    """Of the trust file; 2 names four witnesses, for both trees each, and `authorities`."""
    validators_named: bool = True
    witnesses_named: bool = True
    authorities: tuple[TimeAuthority, ...] = ()
    algorithm_ends: tuple[tuple[int, int], ...] = ()
    """Of a trust file of version 3."""
    contracts: tuple[FurtherContract, ...] = ()
    """Of a trust file of version 4."""
    closed_at: int | None = None
    provenance: bytes | None = None
    """An encoded provenance statement, named by the body."""
    event_time: int | None = LINK_TIME - 86_400

    @property
    def evidence_log(self) -> bytes:
        return seeded("EvidenceLog")[:20]

    @property
    def registry(self) -> bytes:
        return seeded("ConsortiumRegistry")[:20]

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, self.evidence_log)

    @property
    def key(self) -> Secp256k1Key:
        label = KeyLabel("signer", "act", SUBMITTER)
        return Secp256k1Key(label, fakechain.secp256k1(self.signer).secret)

    @cached_property
    def body(self) -> bytes:
        if self.continuation is not None:
            return self.continuation
        salt = seeded("salt")
        return Body(
            sha256(CONTENT), sm3(CONTENT), len(CONTENT), "application/pdf", salt, case_ref(salt, CASE_ID),
            event_time=self.event_time,
            provenance=None if self.provenance is None else provenance_digest(self.provenance),
        ).encode()  # fmt: skip

    @cached_property
    def submission(self) -> Submission:
        case = case_commitment(CASE_ID)
        if self.evidence_class is EvidenceClass.LOG_CONTINUATION:
            mine = (Header(self.evidence_class, SUBMITTER, bytes(32)).pack(), self.body)
            entries = [mine]
        else:
            mine = (Header(self.evidence_class, SUBMITTER, case, 0, self.flags).pack(), self.body)
            entries = [self._other(n, case) for n in range(5)]
            entries[2] = mine
        return Submission.sign(
            log_id=log_id(self.origin), organisation=SUBMITTER, valid_until=LINK_TIME + 600, entries=entries,
            domain=self.domain, key=self.key,
        )  # fmt: skip

    def _other(self, n: int, case: bytes) -> tuple[bytes, bytes]:
        body = Body(seeded("c", n), seeded("m", n), n, "text/plain", seeded("s", n), seeded("r", n)).encode()
        return Header(EvidenceClass.OTHER, SUBMITTER, case).pack(), body

    @property
    def position(self) -> int:
        return len(self.submission.entries) // 2

    @cached_property
    def leaves(self) -> list[bytes]:
        mine = [
            entry.sequenced(leaf, 40 + at) for at, leaf in enumerate(self.submission.unsequenced_leaves())
        ]
        first = self.index - self.position
        before = [seeded("leaf", n) * 3 + bytes(16) for n in range(first)]
        after = [seeded("leaf after", n) * 3 + bytes(16) for n in range(13 - first - len(mine))]
        return before + mine + after

    @cached_property
    def link(self) -> BatchLink:
        return BatchLink(
            self.batch, seeded("previous link"), len(self.leaves),
            Tree(SHA256, [SHA256.leaf(leaf) for leaf in self.leaves]).root,
            Tree(SM3, [SM3.leaf(leaf) for leaf in self.leaves]).root, self.link_time,
        )  # fmt: skip

    @property
    def log_name(self) -> LogName:
        return LogName(self.origin, self.chain_id, self.evidence_log, self.registry)

    @cached_property
    def positions(self) -> tuple[bytes, bytes]:
        return link_slot_position(log_id(self.origin), self.batch), key_slot_position(self.key.address)

    @cached_property
    def proof(self) -> ChainProof:
        link_at, key_at = self.positions
        link, key = self.link.value(self.log_name), self.slot.pack()
        slots = {(self.evidence_log, link_at): link, (self.registry, key_at): key}
        codes = {self.evidence_log: self.code_log, self.registry: self.code_registry}
        if self.kind == "ics23":
            state = fakechain.comet_state(slots, codes)
            signed = fakechain.comet_commit(
                self._comet_keys, chain_id=self.network_id, height=self.height + 1, time=self.block_time,
                app_hash=state.app_hash, absent=self.absent, nil=self.nil,
            )  # fmt: skip
            log_account, registry_account = account_key(self.evidence_log), account_key(self.registry)
            return Ics23Proof(
                self.height, signed, state.evm, state.acc,
                Ics23Value(state.records[log_account], state.accounts[log_account]),
                Ics23Value(state.records[registry_account], state.accounts[registry_account]),
                Ics23Value(link, state.words[storage_key(self.evidence_log, link_at)]),
                Ics23Value(key, state.words[storage_key(self.registry, key_at)]),
            )  # fmt: skip
        if self.kind == "mpt-clique":
            eth = fakechain.eth_state(slots, codes)
            headers = fakechain.clique_headers(
                fakechain.qbft_validators(self.seed), number=self.height + 1, time=self.block_time,
                state_root=eth.root, count=self.headers,
            )  # fmt: skip
            return MptCliqueProof(
                headers, eth.accounts.proof(self.evidence_log), eth.storage[self.evidence_log].proof(link_at),
                eth.accounts.proof(self.registry), eth.storage[self.registry].proof(key_at),
            )  # fmt: skip
        if self.kind == "mpt-qbft":
            eth = fakechain.eth_state(slots, codes)
            sealers = [at for at in range(4) if at not in (self.absent or (3,))]
            header = fakechain.qbft_header(
                fakechain.qbft_validators(self.seed), number=self.height + 1, time=self.block_time,
                state_root=eth.root, sealers=sealers,
            )  # fmt: skip
            return MptQbftProof(
                header, eth.accounts.proof(self.evidence_log), eth.storage[self.evidence_log].proof(link_at),
                eth.accounts.proof(self.registry), eth.storage[self.registry].proof(key_at),
            )  # fmt: skip
        return NoProof(self.height + 1)

    @cached_property
    def _comet_keys(self) -> list[Ed25519PrivateKey]:
        return fakechain.comet_validators(self.seed)

    @cached_property
    def core(self) -> Core:
        at, index = self.position, self.index
        unsequenced = [SHA256.leaf(leaf) for leaf in self.submission.unsequenced_leaves()]
        return Core(
            leaf=self.leaves[index],
            body=None if self.withheld else self.body,
            submission=SubmissionProof(
                self.submission.valid_until, self.submission.signature, at, len(unsequenced),
                Tree(SHA256, unsequenced).path(at),
            ),
            log=self.log_name,
            inclusion=Inclusion(
                index,
                Tree(SHA256, [SHA256.leaf(leaf) for leaf in self.leaves]).path(index),
                Tree(SM3, [SM3.leaf(leaf) for leaf in self.leaves]).path(index),
            ),
            link=self.link,
            proof=self.proof,
        )  # fmt: skip

    @cached_property
    def receipt(self) -> bytes:
        return Receipt.of(self.core).encode()

    @property
    def content(self) -> ContentDigests:
        return ContentDigests(len(CONTENT), sha256(CONTENT), sm3(CONTENT))

    @cached_property
    def validators(self) -> tuple[TrustedValidator, ...]:
        names = ("bank association", "centre", "court", "regulator")
        if self.kind == "ics23":
            keys = [(key.public_key().public_bytes_raw(), 10) for key in self._comet_keys]
        elif self.kind in ("mpt-qbft", "mpt-clique"):
            sealers = fakechain.qbft_validators(self.seed)
            keys = [(address_of(key.public_key), 1) for key in sealers]
        else:
            return ()
        return tuple(
            TrustedValidator(key, power, names[at], self.groups[at]) for at, (key, power) in enumerate(keys)
        )

    @cached_property
    def payload(self) -> TrustPayload:
        epoch = Epoch(1, 1, self.to_height, self.validators, self.closed_at)
        epochs = (epoch,) if self.validators and self.validators_named else ()
        engine = {"ics23": "cometbft", "mpt-qbft": "qbft", "mpt-clique": "clique"}.get(self.kind, "dev")
        chain = TrustedChain(
            self.chain_id, engine, self.network_id, self.kind, epochs,
            PinnedContract(self.registry, seeded("code", "ConsortiumRegistry")),
            PinnedContract(self.evidence_log, seeded("code", "EvidenceLog")),
        )  # fmt: skip
        log_key = self.log_key.public_key().public_bytes_raw()
        return TrustPayload(
            serial=1, issued_at=LINK_TIME - 10_000, valid_until=LINK_TIME + 10_000_000, predecessor=None,
            name=("金融纠纷联合存证", "Dispute consortium"), threshold=2,
            keys=tuple(trust_key(role) for role in TRUST_ROLES), chains=(chain,),
            logs=(TrustedLog(self.origin, self.chain_id, OPERATOR, log_key, self.closed_size, None),),
            witnesses_required=self.witnesses, time_tokens_required=self.time_tokens,
            version=self.version, authorities=self.authorities, algorithm_ends=self.algorithm_ends,
            contracts=self.contracts,
            witness_policy=POLICY if self.version >= 2 and self.witnesses_named else EMPTY_POLICY,
        )  # fmt: skip

    @cached_property
    def trust(self) -> bytes:
        return signed(self.payload)

    @cached_property
    def _all_leaves(self) -> list[bytes]:
        """The log's leaves and, behind them, those of later batches."""
        return [*self.leaves, *(seeded("later leaf", n) * 3 + bytes(16) for n in range(51))]

    def checkpoint(self, algorithm: int = 0, size: int | None = None) -> Checkpoint:
        """What the log signs for its first `size` leaves (those of the batch by default, at most 64)."""
        alg = TREE_HASHES[algorithm]
        leaves = [alg.leaf(leaf) for leaf in self._all_leaves[: size or len(self.leaves)]]
        return Checkpoint(statement_origin(self.origin, algorithm), len(leaves), Tree(alg, leaves).root)

    def where(self, algorithm: int = 0, size: int | None = None) -> Where | None:
        """The leaf's path in that tree; None for the tree of the batch."""
        if size is None:
            return None
        alg = TREE_HASHES[algorithm]
        leaves = [alg.leaf(leaf) for leaf in self._all_leaves[:size]]
        return Where(size, Tree(alg, leaves).path(self.index))

    def witness(
        self,
        *names: str,
        algorithm: int = 0,
        size: int | None = None,
        time: int | Mapping[str, int] = LINK_TIME + 60,
    ) -> Attestation:
        """A `witness` attestation: cosignatures by the witnesses of these names (all four by default)."""
        head = self.checkpoint(algorithm, size)
        signed = []
        for name in names or tuple(WITNESSES):
            moment = time if isinstance(time, int) else time[name]
            line = cosign_checkpoint(witness_private(name, algorithm), name, moment, head)
            signed.append(Cosignature(line.key_id, line.time, line.untimed))
        return WitnessAttestation(
            algorithm, self.where(algorithm, size), sign_checkpoint(self.log_key, head).signature,
            tuple(sorted(signed, key=lambda one: one.key_id)),
        ).encode()  # fmt: skip

    @property
    def log_key(self) -> Ed25519PrivateKey:
        return fakechain.ed25519("log")

    def refreshed(self, other: World) -> Attestation:
        """A `chain` attestation: this world's slots as `other`, its chain in a later block, proves them."""
        return ChainAttestation(other.core.proof).encode()

    def attested(self, *attestations: Attestation) -> bytes:
        """The receipt with attestations: by default all four witnesses over both trees."""
        listed = attestations or (self.witness(), self.witness(algorithm=1))
        return dataclasses.replace(Receipt.of(self.core), attestations=listed).encode()

    def but(self, **changes: object) -> World:
        """The same world with other arguments."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


WITNESSES = {
    "court.example/witness": ("court", "court"),
    "regulator.example/witness": ("regulator", "regulator"),
    "bank-a.example/witness": ("bank A", "bank"),
    "bank-b.example/witness": ("bank B", "bank"),
}
"""Name to organisation and role."""
COURT, REGULATOR, BANK_A, BANK_B = WITNESSES


def witness_private(name: str, algorithm: int = 0) -> Ed25519PrivateKey:
    """Signing key of a witness for the checkpoints of one tree."""
    return fakechain.ed25519("witness", name, algorithm)


POLICY = WitnessPolicy(
    tuple(
        Witness(
            name, TYPE_COSIGNATURE, witness_private(name, algorithm).public_key().public_bytes_raw(),
            algorithm, organisation, role,
        )
        for algorithm in (0, 1)
        for name, (organisation, role) in WITNESSES.items()
    ),
    (WitnessGroup("banks", 1, (BANK_A, BANK_B)), WitnessGroup("all", 3, (COURT, REGULATOR, "banks"))),
    "all",
)  # fmt: skip
"""Court, regulator and one of two banks."""

AT = LINK_TIME + 3600
"""An evaluation time at which the default world verifies."""


def trust_private(role: str) -> Ed25519PrivateKey:
    """Signing key of a trust key."""
    return fakechain.ed25519("trust", role)


def trust_key(role: str) -> TrustKey:
    """The trust key of a role; `court/2` is a second court."""
    public = trust_private(role).public_key().public_bytes_raw()
    return TrustKey(public, f"{role} office", role.split("/")[0])


def signed(payload: TrustPayload, *roles: str) -> bytes:
    """A trust file signed by these roles' keys (court, regulator and centre by default)."""
    trust = TrustFile.draft(payload)
    for role in roles or ("court", "regulator", "centre"):
        key = trust_private(role)
        trust = trust.with_signature(key.public_key().public_bytes_raw(), key.sign(trust.message))
    return trust.encode()
