"""Clique block headers (geth, EIP-225): hash, seal, and a run of headers that a majority of signers made.

`extraData = vanity 32 B ‖ signer list at an epoch's start ‖ seal 65 B`. One signer seals each block and then
has to leave floor(n/2) blocks to others, so floor(n/2) + 1 headers in a row are the work of a majority. That
is depth and not finality: nothing stops signers from sealing another chain as well. A header carries no chain
id; what tells twin networks apart is inside the opened slot's preimage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.errors import LimitExceeded
from protocol.hashing import keccak256
from verifier import rlp, seal
from verifier.errors import (
    CliqueDepthMissing,
    CliqueMalformedHeader,
    CliqueParentMismatch,
    CliqueSealInvalid,
    CliqueSignerRecent,
    CliqueSignerSetInvalid,
    CliqueSignersMismatch,
    CliqueSignerUnknown,
    CliqueTimeReversed,
    CliqueTurnMismatch,
    RlpMalformed,
)

MAX_SIGNERS = 31
MAX_HEADERS = MAX_SIGNERS // 2 + 1
MAX_HEADER_BYTES = 2048
VANITY = 32
ADDRESS = 20
NO_UNCLES = keccak256(b"\xc0")
_EXTRA = 12
_NONCES = (bytes(8), b"\xff" * 8)
# Length of each fixed-size field; None marks an integer, -1 the extra data. London added the last one.
_SHAPE = (32, 32, 20, 32, 32, 32, 256, None, None, None, None, None, -1, 32, 8, None)
_MIN_FIELDS = 15


@dataclass(frozen=True, slots=True)
class CliqueHeader:
    """A well-formed header; nothing is verified yet except the form. It may list no `signers`."""

    number: int
    time: int
    difficulty: int
    state_root: bytes
    parent_hash: bytes
    block_hash: bytes
    seal_hash: bytes
    signers: tuple[bytes, ...]
    seal: bytes


def parse_header(raw: bytes) -> CliqueHeader:
    """Read header RLP and compute its block hash and the message that its signer sealed."""
    fields = _fields(raw)
    if not _MIN_FIELDS <= len(fields) <= len(_SHAPE):
        raise CliqueMalformedHeader(f"{len(fields)} header fields", field="header")
    for position, (value, shape) in enumerate(zip(fields, _SHAPE, strict=False)):
        if shape is None:
            _integer(value, f"header field {position}")
        elif shape >= 0 and len(value) != shape:
            raise CliqueMalformedHeader(f"header field {position} has {len(value)} bytes", field="header")
    if fields[1] != NO_UNCLES or fields[7] not in (b"\x01", b"\x02"):
        raise CliqueMalformedHeader("uncles or difficulty are not Clique's", field="header")
    if any(fields[13]) or fields[14] not in _NONCES:
        raise CliqueMalformedHeader("mix hash or nonce is not Clique's", field="header")
    extra = fields[_EXTRA]
    listed = extra[VANITY : -seal.LENGTH]
    if len(extra) < VANITY + seal.LENGTH or len(listed) % ADDRESS or len(listed) > MAX_SIGNERS * ADDRESS:
        raise CliqueMalformedHeader(f"extra data of {len(extra)} bytes", field="header")
    if listed and (any(fields[2]) or any(fields[14])):
        raise CliqueMalformedHeader("a header with a signer list votes", field="header")
    unsealed = [*fields[:_EXTRA], extra[: -seal.LENGTH], *fields[_EXTRA + 1 :]]
    return CliqueHeader(
        number=_integer(fields[8], "number", 8),
        time=_integer(fields[11], "time", 8),
        difficulty=fields[7][0],
        state_root=fields[3],
        parent_hash=fields[0],
        block_hash=keccak256(raw),
        seal_hash=keccak256(rlp.encode(unsealed)),
        signers=tuple(listed[at : at + ADDRESS] for at in range(0, len(listed), ADDRESS)),
        seal=extra[-seal.LENGTH :],
    )


def _fields(raw: bytes) -> list[bytes]:
    if len(raw) > MAX_HEADER_BYTES:
        raise CliqueMalformedHeader(f"{len(raw)} bytes", field="header")
    items = rlp.decode(raw, max_bytes=MAX_HEADER_BYTES)
    if not isinstance(items, list):
        raise CliqueMalformedHeader("bytes where a list belongs", field="header")
    out = [item for item in items if isinstance(item, bytes)]
    if len(out) != len(items):
        raise CliqueMalformedHeader("a list where bytes belong", field="header")
    return out


def _integer(value: bytes, name: str, max_bytes: int = 32) -> int:
    try:
        return rlp.to_int(value, max_bytes)
    except RlpMalformed as error:
        raise CliqueMalformedHeader(f"{name} is not a canonical integer", field="header") from error


def headers_needed(signers: int) -> int:
    """Headers in a row that no minority can have made: floor(n/2) + 1."""
    return signers // 2 + 1


def recover_signer(header: CliqueHeader) -> bytes:
    """Address that sealed a header."""
    if not seal.canonical(header.seal):
        raise CliqueSealInvalid("seal not in its canonical form", field="header")
    address = seal.recover(header.seal_hash, header.seal)
    if address is None:
        raise CliqueSealInvalid("seal recovers to no key", field="header")
    return address


def verify_headers(
    raws: Sequence[bytes], signers: Sequence[bytes]
) -> tuple[tuple[CliqueHeader, ...], tuple[bytes, ...]]:
    """Parse a run of headers and require each to be sealed by one of `signers` by Clique's rules, the later
    ones on top of the first, and enough of them for a majority.

    `signers` are the trusted addresses, ascending. Returns the headers and who sealed each. The first is the
    block that is proved.
    """
    if len(raws) > MAX_HEADERS:
        raise LimitExceeded(f"{len(raws)} headers, at most {MAX_HEADERS}", field="headers")
    parsed = [parse_header(raw) for raw in raws]
    trusted = tuple(signers)
    if not 1 <= len(trusted) <= MAX_SIGNERS or any(len(signer) != ADDRESS for signer in trusted):
        raise CliqueSignerSetInvalid(f"{len(trusted)} signers, or not 20 bytes", field="signers")
    if list(trusted) != sorted(set(trusted)):
        raise CliqueSignerSetInvalid("not ascending, or one twice", field="signers")
    headers: list[CliqueHeader] = []
    sealers: list[bytes] = []
    for header in parsed:
        if headers:
            _check_child(header, headers[-1])
        if header.signers and header.signers != trusted:
            raise CliqueSignersMismatch(f"header {header.number}", field="signers")
        sealers.append(_check_sealer(header, trusted, sealers))
        headers.append(header)
    needed = headers_needed(len(trusted))
    if len(headers) < needed:
        raise CliqueDepthMissing(f"{len(headers)} headers, {needed} needed", field="headers")
    return tuple(headers), tuple(sealers)


def _check_child(header: CliqueHeader, parent: CliqueHeader) -> None:
    if header.number != parent.number + 1 or header.parent_hash != parent.block_hash:
        raise CliqueParentMismatch(f"header {header.number} on {parent.number}", field="headers")
    if header.time < parent.time:
        raise CliqueTimeReversed(f"header {header.number}", field="headers")


def _check_sealer(header: CliqueHeader, trusted: tuple[bytes, ...], before: Sequence[bytes]) -> bytes:
    sealer = recover_signer(header)
    if sealer not in trusted:
        raise CliqueSignerUnknown(f"0x{sealer.hex()}", field="headers")
    waiting = len(trusted) // 2
    if waiting and sealer in before[-waiting:]:
        raise CliqueSignerRecent(f"0x{sealer.hex()} again at {header.number}", field="headers")
    in_turn = header.number % len(trusted) == trusted.index(sealer)
    if header.difficulty != (2 if in_turn else 1):
        raise CliqueTurnMismatch(f"0x{sealer.hex()} at {header.number}", field="headers")
    return sealer
