"""Whose key signed the submission that a leaf came in."""

from __future__ import annotations

from protocol import entry
from protocol.acts import Domain, Submit, recover
from protocol.hashing import SHA256
from verifier.merkle_verify import root_from_inclusion
from verifier.receipt import Core


def signer_address(core: Core) -> bytes:
    """Address (20 bytes) of the key; whether it was registered then is for `verify` to say.

    Raises:
        BadSignature, MerkleProofLength and the like
    """
    given = core.submission
    leaf_hash = SHA256.leaf(entry.unsequenced(core.leaf))
    root = root_from_inclusion(SHA256, leaf_hash, given.position, given.count, given.path)
    organisation = entry.parse_leaf(core.leaf).header.submitter
    act = Submit(core.log.log_id, organisation, root, given.count, given.valid_until)
    return recover(act.digest(Domain(core.log.chain_id, core.log.evidence_log)), given.signature)
