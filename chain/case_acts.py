"""Acts on cases as transactions; anybody may carry them (docs/spec/case.md §6, §7).

As in `chain.acts` the signatures decide and the sender only pays. What an act needs beside its signatures
(where the case is in its batch, the entries that it rests on) is proved, so whoever carries it may add it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.bindings import CASE_BATCHES, CASE_LEDGER, EVIDENCE_GUARD, encode_values, interface
from chain.case_contracts import CaseContracts
from chain.transactions import Call
from protocol import expect
from protocol.acts import Domain, Signer, parse_type
from protocol.case_acts import CASE_ACTS, CaseAct, Import, Move, Pause, Recall, Resume, Reverse
from protocol.errors import MalformedInput
from protocol.hashing import keccak256

TARGETS: Mapping[type[CaseAct], tuple[str, str]] = {
    Import: (CASE_BATCHES, "importBatch"),
    Recall: (CASE_BATCHES, "recallBatch"),
    Move: (CASE_LEDGER, "move"),
    Pause: (CASE_LEDGER, "pause"),
    Resume: (CASE_LEDGER, "resume"),
    Reverse: (CASE_LEDGER, "reverse"),
}
BRING_TO_LIFE: tuple[type[CaseAct], ...] = (Move, Pause)
"""Acts that can be a case's first, and then name its origin."""
TWO_SIGN: tuple[type[CaseAct], ...] = (Move, Reverse)
MAX_SIGNATURE = 4096
MAX_EVIDENCE = 16


@dataclass(frozen=True)
class Origin:
    """Where a case that has not come to life is in its batch; `path` as RFC 9162 §2.1.3."""

    root: bytes
    index: int
    product: int
    commitment: bytes
    path: tuple[bytes, ...]

    def abi(self) -> tuple[Any, ...]:
        """The struct `Origin`."""
        return dataclasses.astuple(self)


NOWHERE = Origin(bytes(32), 0, 0, bytes(32), ())
"""For a case that is alive."""


@dataclass(frozen=True)
class BatchLink:
    """An anchored batch of a log, as its link holds it (chain-state.md §5)."""

    log_id: bytes
    number: int
    previous: bytes
    size: int
    root_sha256: bytes
    root_sm3: bytes
    time: int


@dataclass(frozen=True)
class EvidenceEntry:
    """An anchored entry: its 112-byte leaf, and its place in the log at the batch's size."""

    batch: BatchLink
    leaf: bytes
    index: int
    path: tuple[bytes, ...]


def evidence_proof(entries: Sequence[EvidenceEntry]) -> bytes:
    """What the policy's guard takes, in the order of the policy; nothing where nothing is needed."""
    if not entries:
        return b""
    kinds = interface(EVIDENCE_GUARD).function("decode").outputs
    return encode_values(kinds, (tuple(dataclasses.astuple(entry) for entry in entries),))


def evidence_digest(ids: Sequence[bytes]) -> bytes:
    """The member `evidence` of a move; zero where nothing is needed."""
    return keccak256(b"".join(ids)) if ids else bytes(32)


def domain_of(kind: type[CaseAct], contracts: CaseContracts) -> Domain:
    """The EIP-712 domain in which an act counts."""
    return contracts.batches_domain if TARGETS[kind][0] == CASE_BATCHES else contracts.ledger_domain


def sign(act: CaseAct, contracts: CaseContracts, signer: Signer) -> bytes:
    """65 bytes over the act in its own domain; where two organisations sign, each makes one."""
    return signer.sign_digest(act.digest(domain_of(type(act), contracts)))


def call_for(
    act: CaseAct,
    signature: bytes,
    contracts: CaseContracts,
    *,
    origin: Origin = NOWHERE,
    proof: bytes = b"",
    co_signature: bytes = b"",
) -> Call:
    """The transaction that carries a signed act.

    Raises:
        MalformedInput: a part that this act does not take
    """
    kind = type(act)
    if origin != NOWHERE and kind not in BRING_TO_LIFE:
        raise MalformedInput(f"{kind.__name__} brings no case to life", field="origin")
    if proof and kind is not Move:
        raise MalformedInput(f"{kind.__name__} takes no evidence", field="evidence")
    if co_signature and kind not in TWO_SIGN:
        raise MalformedInput(f"one organisation signs {kind.__name__}", field="coSignature")
    values: list[Any] = [dataclasses.astuple(act)]
    if kind in BRING_TO_LIFE:
        values.append(origin.abi())
    if kind is Move:
        values.append(proof)
    values.append(signature)
    if kind in TWO_SIGN:
        values.append(co_signature)
    contract, function = TARGETS[kind]
    return Call(contracts.at[contract], interface(contract).function(function).encode(*values))


def lapse(case_id: bytes, version: int, transition: int, contracts: CaseContracts) -> Call:
    """A step that time alone makes; nobody signs."""
    data = interface(CASE_LEDGER).function("lapse").encode(case_id, version, transition)
    return Call(contracts.ledger, data)


def mark_overdue(case_id: bytes, contracts: CaseContracts, *, origin: Origin = NOWHERE) -> Call:
    """Record that a deadline has passed; nobody signs. `origin`: of a case that has not come to life."""
    data = interface(CASE_LEDGER).function("markOverdue").encode(case_id, origin.abi())
    return Call(contracts.ledger, data)


# Documents


@dataclass(frozen=True)
class SignedCaseAct:
    """An act with its signatures, and the ids of the entries that it rests on, in the order of the policy."""

    act: CaseAct
    signature: bytes
    co_signature: bytes = b""
    evidence: tuple[bytes, ...] = ()

    @property
    def name(self) -> str:
        """As in the type string."""
        return parse_type(self.act.TYPE).name


_BY_NAME = {parse_type(kind.TYPE).name: kind for kind in CASE_ACTS}
NAMES = tuple(_BY_NAME)


def document(signed: SignedCaseAct) -> dict[str, Any]:
    """The JSON form that gateways take and commands read; hex without prefix."""
    act_type = parse_type(signed.act.TYPE)
    own = dataclasses.astuple(signed.act)
    request = {
        name: value.hex() if isinstance(value, bytes) else int(value)
        for (_, name), value in zip(act_type.members, own, strict=True)
    }
    out: dict[str, Any] = {"act": act_type.name, "request": request, "signature": signed.signature.hex()}
    if signed.co_signature:
        out["coSignature"] = signed.co_signature.hex()
    if signed.evidence:
        out["evidence"] = [one.hex() for one in signed.evidence]
    return out


def parse_document(value: object) -> SignedCaseAct:
    """Inverse of `document`; checks the shape alone, and that the act names the evidence that it comes with.

    Raises:
        MalformedInput, LimitExceeded
    """
    name = value.get("act") if isinstance(value, dict) else None
    kind = _BY_NAME.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(value, dict):
        raise MalformedInput(f"act: one of {', '.join(NAMES)}", field="act")
    optional = {"coSignature": kind in TWO_SIGN, "evidence": kind is Move}
    members = [
        "act", "request", "signature", *(name for name, can in optional.items() if can and name in value)
    ]  # fmt: skip
    values = expect.json_members(value, "act", members)
    listed = expect.json_array(values.get("evidence", []), "evidence", MAX_EVIDENCE)
    signed = SignedCaseAct(
        _request(kind, values["request"]),
        expect.from_hex(values["signature"], "signature", maximum=MAX_SIGNATURE),
        expect.from_hex(values.get("coSignature", ""), "coSignature", maximum=MAX_SIGNATURE),
        tuple(expect.from_hex(one, "evidence", 32) for one in listed),
    )
    if isinstance(signed.act, Move) and signed.act.evidence != evidence_digest(signed.evidence):
        raise MalformedInput("evidence: not what the act names", field="evidence")
    return signed


def _request(kind: type[CaseAct], value: object) -> CaseAct:
    """The act from its members under the names of its type string."""
    act_type = parse_type(kind.TYPE)
    given = expect.json_members(value, "request", [name for _, name in act_type.members])
    values: list[Any] = []
    for type_name, name in act_type.members:
        if type_name == "bytes32":
            values.append(expect.from_hex(given[name], name, 32))
        else:
            values.append(expect.uint(given[name], name, 2 ** int(type_name.removeprefix("uint")) - 1))
    return kind(*values)
