"""Hash renewals of a receipt: which count, from when, and for what (docs/spec/hash-renewal.md §2). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol import rehash
from protocol.checkpoint import CheckpointSignatureInvalid
from protocol.errors import CaseledgerError
from protocol.hashing import SHA3_256
from verifier.attestation import Known, RehashAttestation
from verifier.errors import RehashMismatch
from verifier.merkle_verify import root_from_inclusion
from verifier.receipt import Core, Receipt
from verifier.trust_payload import TrustedLog, TrustPayload
from verifier.verdict import Finding

if TYPE_CHECKING:
    from verifier.timetoken import TimeToken

BEFORE_BLOCK = 300
TOO_LATE, TOKENS_MISSING = "RehashTooLate", "RehashTokensMissing"


@dataclass(frozen=True, slots=True)
class Renewed:
    """A `rehash` that counts. `time`: genTime from which it does, seconds UTC; `covers_body`: the item holds
    the body's digest.
    """

    position: int
    time: int
    covers_body: bool
    content: bytes | None
    listed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Renewals:
    """What the `rehash` attestations of a receipt prove, and what is wrong with them: (position, error)."""

    counting: tuple[Renewed, ...] = ()
    findings: tuple[Finding, ...] = ()
    tree_error: tuple[int, CaseledgerError] | None = None
    token_error: tuple[int, CaseledgerError] | None = None

    def until(self, end: int) -> Renewals:
        """Only those that count from `end` or before; of the others the finding says why not."""
        late = {one.position for one in self.counting if one.time > end}
        return replace(
            self,
            counting=tuple(one for one in self.counting if one.position not in late),
            findings=tuple(
                replace(one, code=TOO_LATE) if one.position in late else one for one in self.findings
            ),
        )

    @property
    def covered(self) -> frozenset[int]:
        """Places of the attestations that were renewed too."""
        return frozenset(place for one in self.counting for place in one.listed)

    @property
    def judged_at(self) -> Mapping[int, tuple[int, ...]]:
        """Times at which a covered attestation's token is judged as well."""
        out: dict[int, tuple[int, ...]] = {}
        for one in self.counting:
            for place in one.listed:
                out[place] = (*out.get(place, ()), one.time)
        return out


def bare_core_digest(core: Core) -> bytes:
    """SHA3-256 of the core without its body."""
    return SHA3_256.digest(replace(core, body=None).encode())


def item_of(receipt: Receipt, one: RehashAttestation) -> rehash.Item:
    """The item that the attestation is about."""
    listed = rehash.listed_digest(
        (receipt.attestations[at].kind, receipt.attestations[at].payload) for at in one.listed
    )
    return rehash.Item(bare_core_digest(receipt.core), one.body, one.content, listed)


def evaluate_renewals(
    receipt: Receipt, known: Sequence[Known | None], payload: TrustPayload, at: int
) -> Renewals:
    """Check every `rehash` attestation; `known` are the attestations as parsed."""
    log = payload.log(receipt.core.log.origin)
    listed = [(place, one) for place, one in enumerate(known) if isinstance(one, RehashAttestation)]
    if not listed or log is None or log.chain_id != receipt.core.log.chain_id:
        return Renewals()
    out = Renewals()
    judged: dict[int, list[int]] = {}
    # One stands behind what it lists, so going backwards each is judged before what it keeps alive.
    for place, one in reversed(listed):
        code, detail = "Ok", ""
        try:
            digest = SHA3_256.digest(_text(receipt, one, log))
        except CaseledgerError as error:
            out = replace(out, tree_error=(place, error))
            code, detail = error.code, error.detail
        else:
            try:
                tokens = _tokens(one, digest, receipt.core, payload, at)
            except CaseledgerError as error:
                out = replace(out, token_error=(place, error))
                code, detail = error.code, error.detail
            else:
                alive = [
                    token
                    for token in tokens
                    if not all(token.expired_at(time) for time in (at, *judged.get(place, ())))
                ]
                time = _since(alive, max(1, payload.time_tokens_required))
                if time is None:
                    code = TOKENS_MISSING
                else:
                    detail = f"{', '.join(sorted({token.authority for token in alive}))} {time}"
                    for listed_place in one.listed:
                        judged.setdefault(listed_place, []).append(time)
                    renewed = Renewed(place, time, one.body is not None, one.content, one.listed)
                    out = replace(out, counting=(renewed, *out.counting))
        out = replace(out, findings=(Finding(place, one.kind, code, detail), *out.findings))
    return out


def _text(receipt: Receipt, one: RehashAttestation, log: TrustedLog) -> bytes:
    """What was stamped, with the root recomputed from the receipt's own item."""
    core = receipt.core
    if one.scope == rehash.SCOPE_LOG:
        if one.position != core.inclusion.index:
            raise RehashMismatch(f"item {one.position}, the leaf is {core.inclusion.index}", field="position")
        if one.size < core.link.size:
            raise RehashMismatch(f"{one.size} leaves, the batch has {core.link.size}", field="size")
    if core.body is not None and one.body not in (None, SHA3_256.digest(core.body)):
        raise RehashMismatch("the body digest is not the body's", field="body digest")
    leaf_hash = item_of(receipt, one).leaf_hash()
    root = root_from_inclusion(SHA3_256, leaf_hash, one.position, one.size, one.path)
    if one.log_signature is None:
        return rehash.text(rehash.HOLDER_LINE, one.size, root)
    text = rehash.text(rehash.log_line(log.origin), one.size, root)
    try:
        Ed25519PublicKey.from_public_bytes(log.log_key).verify(one.log_signature, text)
    except (InvalidSignature, ValueError):
        raise CheckpointSignatureInvalid(field="log signature") from None
    return text


def _tokens(
    one: RehashAttestation, digest: bytes, core: Core, payload: TrustPayload, at: int
) -> list[TimeToken]:
    """The good tokens of named authorities."""
    from verifier.timetoken import check_token
    from verifier.timetoken_errors import AuthorityNotTrusted

    out = []
    for stamped in one.tokens:
        try:
            out.append(
                check_token(
                    stamped.token,
                    stamped.certificates,
                    stamped.revocation,
                    imprint_of=lambda _name: digest,
                    authorities=payload.authorities,
                    at=at,
                    not_before=max(0, core.link.time - BEFORE_BLOCK),
                    renewed=True,
                )
            )
        except AuthorityNotTrusted:
            continue
    return out


def _since(tokens: Sequence[TimeToken], wanted: int) -> int | None:
    """When tokens of so many authorities were there."""
    names: set[str] = set()
    for token in sorted(tokens, key=lambda token: token.gen_time):
        names.add(token.authority)
        if len(names) >= wanted:
            return token.gen_time
    return None
