"""An `sm2` attestation: the submission signed once more by an SM2 key (docs/spec/attestation.md §3). Pure."""

from __future__ import annotations

from protocol import entry, sm2
from protocol.acts import BadSignature, Domain, recover
from protocol.errors import CaseledgerError
from protocol.hashing import SHA256, SM3
from protocol.sm2 import SignedRoots, Sm2LibraryMissing
from verifier.attestation import Sm2Attestation
from verifier.errors import Sm2KeyNotBound
from verifier.merkle_verify import root_from_inclusion
from verifier.receipt import Core
from verifier.submitter import signer_address

NOT_CHECKED = "Sm2NotChecked"


def check_sm2(core: Core, one: Sm2Attestation) -> tuple[str, str]:
    """Code and detail; no verdict depends on them."""
    try:
        roots = _signed_roots(core, one)
        _check_statement(core, one, roots)
        sm2.verify(one.public_key, roots.message(), one.signature)
    except Sm2LibraryMissing as error:
        return NOT_CHECKED, error.detail
    except CaseledgerError as error:
        return error.code, error.detail
    return "Ok", one.public_key.hex()


def _signed_roots(core: Core, one: Sm2Attestation) -> SignedRoots:
    given, leaf = core.submission, entry.unsequenced(core.leaf)
    sha256, sm3 = (
        root_from_inclusion(alg, alg.leaf(leaf), given.position, given.count, path)
        for alg, path in ((SHA256, given.path), (SM3, one.path_sm3))
    )
    organisation = entry.parse_leaf(core.leaf).header.submitter
    domain = Domain(core.log.chain_id, core.log.evidence_log)
    return SignedRoots(domain, core.log.log_id, organisation, sha256, sm3, given.count, given.valid_until)


def _check_statement(core: Core, one: Sm2Attestation, roots: SignedRoots) -> None:
    try:
        by = recover(roots.statement(one.public_key).digest(roots.domain), one.statement)
        signer = signer_address(core)
    except BadSignature as error:
        raise Sm2KeyNotBound(error.detail, field="statement") from None
    if by != signer:
        raise Sm2KeyNotBound(f"by 0x{by.hex()}, the submission is by 0x{signer.hex()}", field="statement")
