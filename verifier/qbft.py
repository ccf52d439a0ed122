"""QBFT block headers (Besu, GoQuorum): block hash, committed seals, quorum; storage under a sealed header.

`extraData = RLP[vanity 32 B, validators, vote or [], round, seals]`. The block hash is keccak256 of the
header with round 0 and no seals; a validator seals keccak256 of the header with the real round and no
seals. The header carries no chain id: a proof from a twin network with the same validators differs only in
what the contract stored, so the caller must find the chain id inside the opened slot's preimage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.hashing import keccak256
from verifier import mpt, rlp, seal
from verifier.errors import (
    QbftMalformedHeader,
    QbftQuorumMissing,
    QbftSealerUnknown,
    QbftSealInvalid,
    QbftSealRepeated,
    QbftValidatorSetInvalid,
    QbftValidatorsMismatch,
    RlpMalformed,
)
from verifier.proven import ProvenSlot
from verifier.rlp import RlpItem

MAX_HEADER_BYTES = 1 << 16
# Marks the consensus family in every Istanbul-like header.
MIX_HASH = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")
_EXTRA = 12
# Length of each fixed-size field; None marks an integer. The fields after the nonce came with later forks, in
# this order: base fee, withdrawals root, blob gas used, excess blob gas, parent beacon root, requests hash.
_SHAPE = (32, 32, 20, 32, 32, 32, 256, None, None, None, None, None, -1, 32, 8, None, 32, None, None, 32, 32)
_MIN_FIELDS = 15


@dataclass(frozen=True, slots=True)
class QbftHeader:
    """A well-formed header. `seals` are raw 65-byte signatures; nothing is verified yet except the form."""

    number: int
    time: int
    state_root: bytes
    parent_hash: bytes
    block_hash: bytes
    seal_hash: bytes
    round: int
    validators: tuple[bytes, ...]
    vote: tuple[bytes, ...]
    seals: tuple[bytes, ...]


def parse_header(raw: bytes) -> QbftHeader:
    """Read header RLP and compute its block hash and the message that validators sealed."""
    fields = _byte_fields(_list(rlp.decode(raw, max_bytes=MAX_HEADER_BYTES)))
    if not _MIN_FIELDS <= len(fields) <= len(_SHAPE):
        raise QbftMalformedHeader(f"{len(fields)} header fields", field="header_rlp")
    for position, (value, shape) in enumerate(zip(fields, _SHAPE, strict=False)):
        if shape is None:
            _integer(value, f"header field {position}")
        elif shape >= 0 and len(value) != shape:
            raise QbftMalformedHeader(f"header field {position} has {len(value)} bytes", field="header_rlp")
    if fields[13] != MIX_HASH or fields[7] != b"\x01" or any(fields[14]):
        raise QbftMalformedHeader("mix hash, difficulty or nonce is not QBFT's", field="header_rlp")
    extra = _list(rlp.decode(fields[_EXTRA], max_bytes=MAX_HEADER_BYTES))
    if len(extra) != 5 or not isinstance(extra[0], bytes) or len(extra[0]) != 32:
        raise QbftMalformedHeader("extraData is not QBFT's", field="header_rlp")
    validators, vote, seals = (_byte_fields(_list(extra[i])) for i in (1, 2, 4))
    if any(len(v) != 20 for v in validators) or len(vote) not in (0, 2):
        raise QbftMalformedHeader("extraData lists are not QBFT's", field="header_rlp")
    if vote and (len(vote[0]) != 20 or len(vote[1]) > 1):
        raise QbftMalformedHeader("vote is not an address and a type", field="header_rlp")

    def hash_with(round_: RlpItem) -> bytes:
        sealed = rlp.encode([extra[0], extra[1], extra[2], round_, []])
        return keccak256(rlp.encode([*fields[:_EXTRA], sealed, *fields[_EXTRA + 1 :]]))

    if not isinstance(extra[3], bytes):
        raise QbftMalformedHeader("round is a list", field="header_rlp")
    return QbftHeader(
        number=_integer(fields[8], "number", 8),
        time=_integer(fields[11], "time", 8),
        state_root=fields[3],
        parent_hash=fields[0],
        block_hash=hash_with(b""),
        seal_hash=hash_with(extra[3]),
        round=_integer(extra[3], "round", 4),
        validators=tuple(validators),
        vote=tuple(vote),
        seals=tuple(seals),
    )


def _list(item: RlpItem) -> list[RlpItem]:
    if isinstance(item, bytes):
        raise QbftMalformedHeader("bytes where a list belongs", field="header_rlp")
    return item


def _byte_fields(items: list[RlpItem]) -> list[bytes]:
    out = [item for item in items if isinstance(item, bytes)]
    if len(out) != len(items):
        raise QbftMalformedHeader("a list where bytes belong", field="header_rlp")
    return out


def _integer(value: bytes, name: str, max_bytes: int = 32) -> int:
    try:
        return rlp.to_int(value, max_bytes)
    except RlpMalformed as error:
        raise QbftMalformedHeader(f"{name} is not a canonical integer", field="header_rlp") from error


def quorum(validators: int) -> int:
    """Seals needed: ceil(2n / 3)."""
    return -(-2 * validators // 3)


def recover_sealer(seal_hash: bytes, raw: bytes) -> bytes:
    """Address that made a 65-byte seal."""
    if not seal.canonical(raw):
        raise QbftSealInvalid("seal not in its canonical form", field="seals")
    address = seal.recover(seal_hash, raw)
    if address is None:
        raise QbftSealInvalid("seal recovers to no key", field="seals")
    return address


def verify_header(raw: bytes, validators: Sequence[bytes]) -> tuple[QbftHeader, tuple[bytes, ...]]:
    """Parse and require a quorum of seals by `validators`, the trusted addresses in the header's own order.

    Every seal must be good: one that is not, or that repeats a sealer, refuses the header above the quorum
    too. Returns the header and the sealers in seal order.
    """
    trusted = tuple(validators)
    if not trusted or len(set(trusted)) != len(trusted) or any(len(v) != 20 for v in trusted):
        raise QbftValidatorSetInvalid("empty, repeated or not 20 bytes", field="validators")
    header = parse_header(raw)
    if header.validators != trusted:
        raise QbftValidatorsMismatch(field="validators")
    sealers: list[bytes] = []
    for raw_seal in header.seals:
        sealer = recover_sealer(header.seal_hash, raw_seal)
        if sealer not in trusted:
            raise QbftSealerUnknown(f"0x{sealer.hex()}", field="seals")
        if sealer in sealers:
            raise QbftSealRepeated(f"0x{sealer.hex()}", field="seals")
        sealers.append(sealer)
    if len(sealers) < quorum(len(trusted)):
        raise QbftQuorumMissing(f"{len(sealers)} seals, {quorum(len(trusted))} needed", field="seals")
    return header, tuple(sealers)


def verify_qbft_storage(
    header_rlp: bytes,
    validators: Sequence[bytes],
    contract: bytes,
    slot: bytes,
    account_proof: Sequence[bytes],
    storage_proof: Sequence[bytes],
) -> ProvenSlot:
    """Storage word (or its absence) of `contract` at `slot` in a block sealed by the trusted validators.

    `contract` has 20 bytes, `slot` 32. Take chain id and contract from the trust file, never from the proof.
    """
    header, _ = verify_header(header_rlp, validators)
    record = mpt.account(header.state_root, contract, account_proof)
    return ProvenSlot(
        height=header.number,
        state_root=header.state_root,
        block_hash=header.block_hash,
        time_ns=header.time * 1_000_000_000,
        value=mpt.storage(record.storage_root, slot, storage_proof),
        code_hash=record.code_hash,
    )
