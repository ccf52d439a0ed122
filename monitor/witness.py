"""The witness: cosigns a log's checkpoints for whoever does not want to believe its operator.

C2SP tlog-witness (docs/spec/attestation.md §1). Beyond it, a checkpoint is cosigned only if its root is the
anchored one in a recent block that the witness's own node proves. The SHA-256 and the SM3 tree are statements
of their own: own origin, own key, own state.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from monitor.errors import (
    ConsistencyRefused,
    LogSignatureMissing,
    OldSizeMismatch,
    OriginUnknown,
    SplitView,
    WitnessRequestMalformed,
    WitnessStateRolledBack,
)
from monitor.own_node import AnchoredHead
from monitor.witness_state import Seen, WitnessState
from protocol.checkpoint import (
    TREE_HASHES,
    TYPE_COSIGNATURE,
    TYPE_ED25519,
    TYPE_MLDSA44,
    Checkpoint,
    CheckpointSignatureInvalid,
    CosignatureInvalid,
    NoteSignature,
    SignedNote,
    cosigned_message,
    key_id,
    split_origin,
    verify_checkpoint,
    verify_cosignature,
)
from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import HASH_LEN
from verifier.errors import ProofRefused
from verifier.merkle import verify_consistency
from verifier.trust_payload import TrustedLog

log = logging.getLogger(__name__)

MAX_REQUEST = 32 * 1024
MAX_PROOF_LINES = 63
MAX_ALARMS = 1000
_OLD = re.compile(rb"old (0|[1-9][0-9]{0,18})")


class CosignatureKey(Protocol):
    """An Ed25519 key in a key file or behind PKCS#11, or an ML-DSA-44 key in a key file."""

    @property
    def public_key(self) -> bytes:
        """32 or 1,312 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 (RFC 8032) or 2,420 bytes (FIPS 204)."""
        ...


@dataclass(frozen=True)
class MlDsaKeys:
    """ML-DSA-44 keys of a witness by algorithm number, under a key name of their own."""

    name: str
    keys: Mapping[int, CosignatureKey]


@dataclass(frozen=True)
class _Signer:
    """One of the keys that sign one tree."""

    kind: int
    name: str
    key: CosignatureKey

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.kind, self.key.public_key)

    def line(self, now: int, checkpoint: Checkpoint) -> bytes:
        signature = self.key.sign(cosigned_message(self.kind, self.name, now, checkpoint))
        made = NoteSignature.cosignature(self.name, self.key_id, now, signature)
        return made.line() + b"\n"


class AnchorSource(Protocol):
    """Where anchored heads are read from; `own_node.OwnNode`."""

    async def anchored(self, log: TrustedLog, size: int, *, since: int = 0) -> AnchoredHead:
        """The proved batch of `log` that ends at `size`."""
        ...


class TrustedLogs(Protocol):
    """The logs that may be cosigned; `held_trust.HeldTrust`."""

    def log(self, origin: str) -> TrustedLog:
        """Raises OriginUnknown."""
        ...


@dataclass(frozen=True)
class AddCheckpoint:
    """A request of tlog-witness: the size the proof starts at, the proof, the signed checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: SignedNote
    checkpoint: Checkpoint

    @classmethod
    def parse(cls, data: bytes) -> AddCheckpoint:
        """From the request's body.

        Raises:
            WitnessRequestMalformed
        """
        if len(data) > MAX_REQUEST:
            raise WitnessRequestMalformed(f"over {MAX_REQUEST} bytes", field="body")
        head, separator, note = data.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        old = _OLD.fullmatch(first)
        if not separator or old is None:
            raise WitnessRequestMalformed("old size, proof, empty line, note are expected", field="body")
        if len(lines) > MAX_PROOF_LINES:
            raise WitnessRequestMalformed(f"more than {MAX_PROOF_LINES} proof lines", field="proof")
        try:
            signed = SignedNote.parse(note)
            return cls(int(old[1]), tuple(map(_hash, lines)), signed, signed.checkpoint)
        except WitnessRequestMalformed:
            raise
        except MalformedInput as error:
            raise WitnessRequestMalformed(f"{error.code}: {error.detail}", field="note") from None


def _hash(line: bytes) -> bytes:
    try:
        value = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != HASH_LEN or base64.b64encode(value) != line:
        raise WitnessRequestMalformed("a proof line is 32 bytes in base64", field="proof")
    return value


class Witness:
    """Cosigns under one key name. Belongs to one event loop; concurrent requests are put in order."""

    def __init__(
        self,
        name: str,
        keys: Mapping[int, CosignatureKey],
        state: WitnessState,
        trust: TrustedLogs,
        node: AnchorSource,
        *,
        ml_dsa: MlDsaKeys | None = None,
        alarms: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`keys`: Ed25519 by algorithm number, different ones; `ml_dsa` sign beside them.

        `alarms`: folder for what proves a split view.
        """
        more = ml_dsa.keys if ml_dsa else {}
        publics = [key.public_key for key in (*keys.values(), *more.values())]
        if len(set(publics)) != len(publics):
            raise WitnessRequestMalformed("each statement needs a key of its own", field="keys")
        self.name = name
        self.answers: Counter[str] = Counter()
        """Answers since the start, by code; `ok` for cosignatures."""
        self._ml_dsa = ml_dsa
        self._keys = {a: [_Signer(TYPE_COSIGNATURE, name, key)] for a, key in keys.items()}
        if ml_dsa is not None:
            if ml_dsa.name == name or not more.keys() <= keys.keys():
                raise WitnessRequestMalformed("ML-DSA-44 keys have a name of their own", field="keys")
            for algorithm, key in more.items():
                self._keys[algorithm].append(_Signer(TYPE_MLDSA44, ml_dsa.name, key))
        self._state = state
        self._trust = trust
        self._node = node
        self._alarms = alarms
        self._clock = clock
        self._turn = asyncio.Lock()

    def describe(self) -> dict[str, Any]:
        """Name, public keys, and the sizes cosigned last; nothing secret."""
        return {
            "name": self.name,
            "keys": {str(a): one[0].key.public_key.hex() for a, one in sorted(self._keys.items())},
            "mlDsa": None
            if self._ml_dsa is None
            else {
                "name": self._ml_dsa.name,
                "keys": {str(a): key.public_key.hex() for a, key in sorted(self._ml_dsa.keys.items())},
            },
            "sizes": {origin: seen.size for origin, seen in self._state.snapshot.seen.items()},
            "answers": dict(self.answers),
        }

    async def add_checkpoint(self, data: bytes) -> bytes:
        """The cosignature lines, each with its LF, for a request's body.

        Raises:
            WitnessRequestMalformed, OriginUnknown, LogSignatureMissing, OldSizeMismatch, ConsistencyRefused,
            SplitView, CheckpointNotAnchored, OwnNodeUnavailable, OwnNodeStale, OwnNodeLied,
            WitnessStateRolledBack, TrustFileUnusable
        """
        try:
            line = await self._add(data)
        except CaseledgerError as error:
            self.answers[error.code] += 1
            log.warning("not cosigned: %s: %s", error.code, error.detail)
            raise
        self.answers["ok"] += 1
        return line

    async def _add(self, data: bytes) -> bytes:
        request = AddCheckpoint.parse(data)
        wanted = request.checkpoint
        origin, algorithm = split_origin(wanted.origin)
        trusted = self._trust.log(origin)
        if algorithm not in self._keys:
            raise OriginUnknown("no key for this tree", field="origin")
        self._signed_by_log(request, trusted)
        if request.old > wanted.size:
            raise WitnessRequestMalformed("the old size is above the checkpoint's", field="old")
        if not wanted.size:
            raise WitnessRequestMalformed("an empty tree is not cosigned", field="size")
        async with self._turn:
            self._not_rolled_back(request, algorithm)
            before = self._continues(request, algorithm)
        # Reading the node takes up to a block; others may be answered meanwhile.
        head = await self._node.anchored(trusted, wanted.size, since=before.block if before else 0)
        if head.root(algorithm) != wanted.root:
            self._alarm(request, f"anchored in batch {head.number} is {head.root(algorithm).hex()}")
            raise SplitView(f"the chain holds another root at {wanted.size}")
        async with self._turn:
            self._state.check()
            before = self._continues(request, algorithm)
            if before is None or before.size < wanted.size:
                self._state.advance(wanted.origin, Seen(wanted.size, wanted.root, head.block))
            return self._cosign(wanted, algorithm)

    def _signed_by_log(self, request: AddCheckpoint, trusted: TrustedLog) -> None:
        wanted = request.checkpoint
        identity = key_id(wanted.origin, TYPE_ED25519, trusted.log_key)
        for line in request.note.by(wanted.origin, identity):
            try:
                verify_checkpoint(trusted.log_key, wanted, line.signature)
                return
            except CheckpointSignatureInvalid:
                continue
        raise LogSignatureMissing(field="note")

    def _continues(self, request: AddCheckpoint, algorithm: int) -> Seen | None:
        """The checkpoint is the one signed last, or a tree that continues it; what was signed last."""
        wanted = request.checkpoint
        before = self._state.snapshot.seen.get(wanted.origin)
        size = before.size if before else 0
        if request.old != size:
            raise OldSizeMismatch(size)
        if before is None:
            if request.proof:
                raise ConsistencyRefused("from size 0 there is nothing to prove", field="proof")
            return None
        if wanted.size == size and wanted.root != before.root:
            self._alarm(request, f"cosigned before at this size: {before.root.hex()}")
            raise SplitView(f"another root was cosigned at {size}", size=size)
        try:
            verify_consistency(
                TREE_HASHES[algorithm], size, wanted.size, before.root, wanted.root, request.proof
            )
        except ProofRefused as error:
            raise ConsistencyRefused(f"{error.code}: {error.detail}", field="proof") from None
        return before

    def _not_rolled_back(self, request: AddCheckpoint, algorithm: int) -> None:
        """The disk is as this process left it, and nobody shows a cosignature of ours that we forgot."""
        seen = self._state.check().seen.get(request.checkpoint.origin)
        shown = request.checkpoint
        if seen is not None and (seen.size > shown.size or seen.root == shown.root):
            return
        for one in self._keys[algorithm]:
            for line in request.note.by(one.name, one.key_id):
                public = one.key.public_key
                try:
                    verify_cosignature(one.kind, one.name, public, line.time, shown, line.untimed)
                except (CosignatureInvalid, MalformedInput):
                    continue
                at = seen.size if seen else 0
                detail = f"it cosigned {shown.size} at {line.time} and now knows only {at}"
                self._alarm(request, detail)
                self._state.halt(WitnessStateRolledBack.__name__, detail)
                raise WitnessStateRolledBack(detail, field="note")

    def _cosign(self, checkpoint: Checkpoint, algorithm: int) -> bytes:
        now = int(self._clock())
        return b"".join(one.line(now, checkpoint) for one in self._keys[algorithm])

    def _alarm(self, request: AddCheckpoint, detail: str) -> None:
        """Keep the signed note: it proves what the log's key signed."""
        log.error("alarm: %s: %s", request.checkpoint.origin, detail)
        if self._alarms is None:
            return
        self._alarms.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sum(1 for _ in self._alarms.iterdir()) >= MAX_ALARMS:
            return
        name = f"{request.checkpoint.size}-{request.checkpoint.root.hex()[:16]}.json"
        record = {
            "at": int(self._clock()),
            "detail": detail,
            "note": request.note.encode().decode("utf-8"),
        }
        (self._alarms / name).write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
