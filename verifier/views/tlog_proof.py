"""C2SP `tlog-proof`: a leaf's index and path, and the checkpoint with the signatures over it, as text."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from protocol import entry
from protocol.checkpoint import (
    ALGORITHM_SHA256,
    TYPE_ED25519,
    Checkpoint,
    NoteSignature,
    SignedNote,
    key_id,
    statement_origin,
    verify_checkpoint,
    verify_cosignature,
)
from protocol.errors import CaseledgerError
from protocol.hashing import HASH_LEN, SHA256
from verifier import attestation
from verifier.attestation import WitnessAttestation
from verifier.errors import LogNotTrusted
from verifier.merkle_verify import root_from_inclusion, verify_inclusion
from verifier.receipt import MAX_PATH, MAX_TREE, Receipt
from verifier.trust_payload import TrustedLog, TrustPayload
from verifier.views.errors import TlogProofMalformed, ViewNotPossible

HEAD = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
MAX_PROOF = 64 * 1024
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A parsed proof. `extra` is unauthenticated; this project puts the leaf (112 bytes) there."""

    extra: bytes | None
    index: int
    path: tuple[bytes, ...]
    note: SignedNote

    def encode(self) -> bytes:
        """The file's bytes."""
        lines = [HEAD]
        if self.extra is not None:
            lines.append(f"extra {_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines += map(_base64, self.path)
        return "\n".join(lines).encode("ascii") + b"\n\n" + self.note.encode()

    @classmethod
    def parse(cls, data: bytes) -> TlogProof:
        """Strict; nothing is verified.

        Raises:
            TlogProofMalformed, CheckpointMalformed
        """
        if len(data) > MAX_PROOF:
            raise TlogProofMalformed(f"{len(data)} bytes, at most {MAX_PROOF} allowed")
        head, gap, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise TlogProofMalformed("not ASCII before the checkpoint") from None
        if not gap or lines.pop(0) != HEAD:
            raise TlogProofMalformed(f"{HEAD}, index, path and a checkpoint are expected")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = _from_base64(lines.pop(0).removeprefix("extra "), "extra")
        number = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
        if _NUMBER.fullmatch(number) is None or int(number) > MAX_TREE:
            raise TlogProofMalformed("index: a decimal without leading zeros", field="index")
        path = tuple(_from_base64(line, "path") for line in lines)
        if len(path) > MAX_PATH or any(len(one) != HASH_LEN for one in path):
            raise TlogProofMalformed(f"path: at most {MAX_PATH} hashes of 32 bytes", field="path")
        return cls(extra, int(number), path, SignedNote.parse(note))

    def verify(self, leaf: bytes, trust: TrustPayload) -> tuple[str, ...]:
        """Steps 1 to 4 of the specification for this leaf (112 bytes) under a trust file.

        Which witnesses are enough is for the caller (`witness_policy.satisfied`).

        Returns:
            The names of the witnesses whose cosignatures verify, in the trust file's order.

        Raises:
            LogNotTrusted, CheckpointSignatureInvalid, CosignatureInvalid, MerkleRootMismatch and the like
        """
        checkpoint = self.note.checkpoint
        log = trusted_log(trust, checkpoint.origin)
        lines = self.note.by(checkpoint.origin, key_id(checkpoint.origin, TYPE_ED25519, log.log_key))
        if len(lines) != 1:
            raise TlogProofMalformed("one line by the log's key is expected", field="signatures")
        verify_checkpoint(log.log_key, checkpoint, lines[0].signature)
        names = []
        for one in trust.witness_policy.named(ALGORITHM_SHA256).values():
            for line in self.note.by(one.name, one.key_id):
                verify_cosignature(one.kind, one.name, one.public_key, line.time, checkpoint, line.untimed)
                names.append(one.name)
        leaf_hash = SHA256.leaf(leaf)
        verify_inclusion(SHA256, leaf_hash, self.index, checkpoint.size, self.path, checkpoint.root)
        return tuple(dict.fromkeys(names))


def trusted_log(trust: TrustPayload, origin: str) -> TrustedLog:
    """The log that the trust file names for a checkpoint's first line.

    Raises:
        LogNotTrusted
    """
    log = trust.log(origin)
    if log is None:
        raise LogNotTrusted(origin, field="origin")
    return log


def tlog_proof(receipt: Receipt, trust: TrustPayload) -> bytes:
    """The proof of a receipt, from the witness attestation with the most cosignatures that count.

    Each signature that goes in was verified. A cosignature by a key that the trust file does not name stays
    out: its line would need the witness's name, which the receipt does not hold.

    Raises:
        ViewNotPossible: no attestation `witness` over a SHA-256 checkpoint.
        LogNotTrusted, CheckpointSignatureInvalid, CosignatureInvalid, MalformedAttestation
    """
    core = receipt.core
    log = trusted_log(trust, core.log.origin)
    best: TlogProof | None = None
    for position, listed in enumerate(receipt.attestations):
        one = attestation.parse(listed, position)
        if not isinstance(one, WitnessAttestation) or one.algorithm != ALGORITHM_SHA256:
            continue
        size, path = (core.link.size, core.inclusion.path_sha256)
        if one.where is not None:
            size, path = one.where.size, one.where.path
        root = root_from_inclusion(SHA256, SHA256.leaf(core.leaf), core.inclusion.index, size, path)
        checkpoint = Checkpoint(statement_origin(core.log.origin, ALGORITHM_SHA256), size, root)
        verify_checkpoint(log.log_key, checkpoint, one.log_signature)
        made = TlogProof(core.leaf, core.inclusion.index, path, _note(checkpoint, log, one, trust))
        if best is None or len(made.note.signatures) > len(best.note.signatures):
            best = made
    if best is None:
        raise ViewNotPossible(
            "no checkpoint signature: the receipt has no attestation `witness` over SHA-256",
            hint="fetch the receipt again once a witness has cosigned",
        )
    return best.encode()


def leaf_of(proof: TlogProof) -> bytes:
    """The leaf in `extra`, to be compared with the body and the file before it is believed.

    Raises:
        TlogProofMalformed: there is none.
    """
    if proof.extra is None:
        raise TlogProofMalformed("no leaf in the proof", field="extra")
    try:
        entry.parse_leaf(proof.extra)
    except CaseledgerError as error:
        raise TlogProofMalformed(f"extra: {error.detail}", field="extra") from None
    return proof.extra


def _note(
    checkpoint: Checkpoint, log: TrustedLog, attested: WitnessAttestation, trust: TrustPayload
) -> SignedNote:
    own = NoteSignature(
        checkpoint.origin, key_id(checkpoint.origin, TYPE_ED25519, log.log_key), attested.log_signature
    )
    given = {one.key_id: one for one in attested.cosignatures}
    lines = []
    for identity, witness in trust.witness_policy.named(ALGORITHM_SHA256).items():
        one = given.get(identity)
        if one is None:
            continue
        verify_cosignature(
            witness.kind, witness.name, witness.public_key, one.time, checkpoint, one.signature
        )
        lines.append(NoteSignature.cosignature(witness.name, identity, one.time, one.signature))
    return SignedNote(checkpoint.text(), (own, *lines))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_base64(text: str, field: str) -> bytes:
    try:
        out = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        out = b""
    if not out or _base64(out) != text:
        raise TlogProofMalformed(f"{field}: canonical base64 is expected", field=field)
    return out
