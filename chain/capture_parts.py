"""What captures of every engine share: parts, errors, and the last check before anything is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.deployment import Deployment
from chain.errors import ChainError
from chain.proofs import ProofNotCaptured
from protocol import cbor, expect
from protocol.errors import CaseledgerError
from verifier import chainproof
from verifier.chainproof import ChainProof, NoProof
from verifier.cometbft import Validator

ZERO32 = bytes(32)
_MAX_PART = 64 * 1024


class LinkAbsent(ChainError):
    """The batch's link is not in the state of this block: it is not anchored there."""

    http_status = 409
    title = "batch not anchored in this block"


class OtherBatchAnchored(ChainError):
    """The chain holds another link for this batch number than the database expects."""

    http_status = 409
    title = "another batch is anchored under this number"


class CodeMismatch(ChainError):
    """A contract's code in this block is not the pinned one."""

    http_status = 500
    title = "contract code is not the pinned one"


@dataclass(frozen=True)
class CapturedBatch:
    """Verified parts. `shared` once a batch, `keys` by signer (20 bytes); `missing` have no key slot.

    `height` is the block whose state is proved; `trusted` says whether the validators were those of a trust
    file or only those that the nodes named.
    """

    kind: str
    height: int
    link: bytes
    shared: bytes
    keys: Mapping[bytes, bytes]
    missing: tuple[bytes, ...]
    trusted: bool


def split(proof: ChainProof) -> tuple[bytes, bytes]:
    """(shared part, key part) of a proof; `assemble` puts them together."""
    members = proof.encode()
    if not isinstance(members, list):
        raise ProofNotCaptured("unexpected proof encoding")
    if isinstance(proof, NoProof):
        return cbor.encode(members), cbor.encode(None)
    return cbor.encode([*members[:-1], None]), cbor.encode(members[-1])


def assemble(shared: bytes, key: bytes) -> ChainProof:
    """The chain proof of one receipt from what `split` made. Raises MalformedInput on damage."""
    members = expect.array(cbor.decode(shared, max_bytes=_MAX_PART), "chain proof", minimum=2)
    last = cbor.decode(key, max_bytes=_MAX_PART)
    if members[0] == NoProof.kind:
        return chainproof.parse(members)
    return chainproof.parse((*members[:-1], last))


@dataclass(frozen=True)
class Wanted:
    """What a capture has to prove. `keys`: signer and the position of its key slot."""

    deployment: Deployment
    link_position: bytes
    keys: Mapping[bytes, bytes]
    expected_link: bytes | None

    @property
    def signers(self) -> tuple[bytes, ...]:
        """In the order in which they were asked for."""
        return tuple(self.keys)

    def check_link(self, word: bytes | None, height: int) -> bytes:
        """The link; refused when absent or another one than expected."""
        if word is None or word == ZERO32:
            raise LinkAbsent(f"no link in the state of block {height}")
        if self.expected_link is not None and word != self.expected_link:
            raise OtherBatchAnchored(f"block {height} holds {word.hex()}")
        return word

    def check_code(self, name: str, code_hash: bytes) -> None:
        """Refused when it is not the pinned one."""
        if code_hash != self.deployment.contracts[name].code_hash:
            raise CodeMismatch(f"{name} has code hash {code_hash.hex()}", field=name)


class Lied(Exception):
    """A node's part does not verify. Never leaves `chain.capture`."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(reason)
        self.url = url
        self.reason = reason


def prove_assembled(
    shared: bytes,
    keys: Mapping[bytes, bytes],
    wanted: Wanted,
    validators: Sequence[Validator] | Sequence[tuple[bytes, int]],
    network_id: str,
    url: str,
) -> None:
    """What will be stored, put together again as a receipt does it, passes the offline verifier."""
    pairs = [(v.pub_key, v.power) if isinstance(v, Validator) else v for v in validators]
    log, registry = wanted.deployment.evidence_log, wanted.deployment.registry
    try:
        for signer, key in keys.items():
            proof = assemble(shared, key)
            if isinstance(proof, NoProof):
                return
            block = proof.final(pairs, network_id)
            opened = proof.open_log(block, log.address, wanted.link_position)
            held = proof.open_registry(block, registry.address, wanted.keys[signer])
            wanted.check_code("EvidenceLog", opened.code_hash)
            wanted.check_code("ConsortiumRegistry", held.code_hash)
    except ChainError:
        raise
    except CaseledgerError as error:
        raise Lied(url, error.code) from None
