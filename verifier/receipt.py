"""Receipt: reading and writing (docs/spec/receipt.md). What it claims is checked by `verify`."""

from __future__ import annotations

from dataclasses import dataclass

from protocol import cbor, entry, expect
from protocol.acts import SIGNATURE_LEN
from protocol.cbor import Encodable, Value
from protocol.errors import MalformedInput, UnknownVersion
from protocol.hashing import sha256
from protocol.identifiers import check_origin, log_id
from protocol.keyslot import batch_link
from protocol.submission import MAX_ENTRIES
from verifier import chainproof
from verifier.chainproof import ChainProof
from verifier.errors import MalformedReceipt, UnknownProofKind

MAGIC = "caseledger-receipt"
VERSION = 1
SUFFIX = ".clr"
MAX_CORE = 16_384
MAX_RECEIPT = 65_536
MAX_ATTESTATIONS = 64
MAX_PATH = 63
MAX_TREE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SubmissionProof:
    """The submitter's signature and the leaf's place under it. `path` is over unsequenced leaves."""

    valid_until: int
    signature: bytes
    position: int
    count: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LogName:
    """Which log on which chain the receipt claims to be from; addresses have 20 bytes."""

    origin: str
    chain_id: int
    evidence_log: bytes
    registry: bytes

    @property
    def log_id(self) -> bytes:
        return log_id(self.origin)


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The leaf's place in the log and its paths in both trees of `link.size` leaves."""

    index: int
    path_sha256: tuple[bytes, ...]
    path_sm3: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BatchLink:
    """Preimage of the link slot, less what `LogName` gives. `time` in seconds UTC."""

    number: int
    previous: bytes
    size: int
    root_sha256: bytes
    root_sm3: bytes
    time: int

    def value(self, log: LogName) -> bytes:
        """What the link slot must hold, 32 bytes."""
        return batch_link(
            chain_id=log.chain_id,
            contract=log.evidence_log,
            log_id=log.log_id,
            number=self.number,
            previous=self.previous,
            size=self.size,
            root_sha256=self.root_sha256,
            root_sm3=self.root_sm3,
            time=self.time,
        )


@dataclass(frozen=True, slots=True)
class Core:
    """The immutable part of a receipt."""

    leaf: bytes
    body: bytes | None
    submission: SubmissionProof
    log: LogName
    inclusion: Inclusion
    link: BatchLink
    proof: ChainProof

    def encode(self) -> bytes:
        """CBOR."""
        s, i, k = self.submission, self.inclusion, self.link
        return cbor.encode(
            {
                0: VERSION,
                1: self.leaf,
                2: self.body,
                3: [s.valid_until, s.signature, s.position, s.count, s.path],
                4: [self.log.origin, self.log.chain_id, self.log.evidence_log, self.log.registry],
                5: [i.index, i.path_sha256, i.path_sm3],
                6: [k.number, k.previous, k.size, k.root_sha256, k.root_sm3, k.time],
                7: self.proof.encode(),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Core:
        """From CBOR.

        Raises:
            MalformedReceipt, UnknownVersion, UnknownProofKind
        """
        value = cbor.decode(data, max_bytes=MAX_CORE, max_depth=6, max_items=4096)
        if isinstance(value, dict) and 0 in value:
            expect.version(value[0], VERSION, "receipt core")
        core = expect.fields(value, "receipt core", range(8))
        leaf = expect.octets(core[1], "leaf", entry.LEAF_LEN)
        head = entry.parse_leaf(leaf).header
        if head.sequence == 0:
            raise MalformedReceipt("a leaf of the log has a sequence", field="leaf")
        body = None if core[2] is None else expect.octets(core[2], "body", maximum=entry.MAX_BODY)
        if body is not None:
            entry.parse_body(body, head.evidence_class)
        out = cls(
            leaf,
            body,
            _submission(core[3]),
            _log_name(core[4]),
            _inclusion(core[5]),
            _link(core[6]),
            chainproof.parse(core[7]),
        )
        if out.encode() != data:
            raise MalformedReceipt("the core is not what its members encode to")
        return out


@dataclass(frozen=True, slots=True)
class Attestation:
    """Added later by others; the kinds that are known are read by `attestation` and checked by `attested`."""

    kind: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt file. `core_bytes` are kept as read: their SHA-256 is the receipt's name."""

    core: Core
    core_bytes: bytes
    attestations: tuple[Attestation, ...] = ()

    @classmethod
    def of(cls, core: Core) -> Receipt:
        """A receipt without attestations."""
        return cls(core, core.encode())

    @property
    def receipt_id(self) -> bytes:
        """SHA-256 of the core, 32 bytes."""
        return sha256(self.core_bytes)

    def encode(self) -> bytes:
        """The file's bytes."""
        later: list[Encodable] = [[one.kind, one.payload] for one in self.attestations]
        return cbor.encode([MAGIC, VERSION, self.core_bytes, later])

    @classmethod
    def parse(cls, data: bytes) -> Receipt:
        """From the file's bytes.

        Raises:
            MalformedReceipt: not a receipt of this version.
            UnknownVersion, UnknownProofKind: a receipt that a newer verifier may understand.
        """
        try:
            return cls._parse(data)
        except (MalformedReceipt, UnknownVersion, UnknownProofKind):
            raise
        except MalformedInput as error:
            raise MalformedReceipt(f"{error.code}: {error.detail}", field=error.field) from error

    @classmethod
    def _parse(cls, data: bytes) -> Receipt:
        value = cbor.decode(data, max_bytes=MAX_RECEIPT, max_depth=4, max_items=256)
        members = expect.array(value, "receipt", minimum=2)
        if members[0] != MAGIC:
            raise MalformedReceipt("not a receipt")
        expect.version(members[1], VERSION, "receipt")
        expect.array(value, "receipt", 4)
        core_bytes = expect.octets(members[2], "core", maximum=MAX_CORE)
        later = expect.array(members[3], "attestations", maximum=MAX_ATTESTATIONS)
        out = cls(Core.parse(core_bytes), core_bytes, tuple(map(_attestation, later)))
        if out.encode() != data:
            raise MalformedReceipt("the receipt is not what its members encode to")
        return out


def _submission(value: Value) -> SubmissionProof:
    valid_until, signature, position, count, path = expect.array(value, "submission", 5)
    return SubmissionProof(
        expect.uint(valid_until, "validUntil", expect.UINT40_MAX),
        expect.octets(signature, "signature", SIGNATURE_LEN),
        expect.uint(position, "position", MAX_ENTRIES),
        expect.uint(count, "count", MAX_ENTRIES, minimum=1),
        expect.digests(path, "submission path", MAX_PATH),
    )


def _log_name(value: Value) -> LogName:
    origin, chain_id, evidence_log, registry = expect.array(value, "log", 4)
    return LogName(
        check_origin(expect.text(origin, "origin", 128)),
        expect.uint(chain_id, "chain id", minimum=1),
        expect.octets(evidence_log, "EvidenceLog", 20),
        expect.octets(registry, "ConsortiumRegistry", 20),
    )


def _inclusion(value: Value) -> Inclusion:
    index, path_sha256, path_sm3 = expect.array(value, "inclusion", 3)
    return Inclusion(
        expect.uint(index, "leaf index", MAX_TREE),
        expect.digests(path_sha256, "path SHA-256", MAX_PATH),
        expect.digests(path_sm3, "path SM3", MAX_PATH),
    )


def _link(value: Value) -> BatchLink:
    number, previous, size, root_sha256, root_sm3, time = expect.array(value, "batch link", 6)
    return BatchLink(
        expect.uint(number, "number", minimum=1),
        expect.octets(previous, "previous link", 32),
        expect.uint(size, "size", MAX_TREE, minimum=1),
        expect.octets(root_sha256, "rootSha256", 32),
        expect.octets(root_sm3, "rootSm3", 32),
        expect.uint(time, "time", expect.UINT40_MAX, minimum=1),
    )


def _attestation(value: Value) -> Attestation:
    kind, payload = expect.array(value, "attestation", 2)
    return Attestation(
        expect.text(kind, "attestation kind", 64), expect.octets(payload, "attestation", maximum=MAX_RECEIPT)
    )
