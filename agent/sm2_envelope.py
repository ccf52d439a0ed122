"""The organisation's SM2 signature on its submissions (docs/spec/attestation.md §3, kind `sm2`).

Made when a receipt comes: the journal still holds every leaf of the submission, of which a receipt shows one.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass

from agent.journal import Entry, Journal
from agent.keys import Sm2Key
from protocol import entry as leaves
from protocol.acts import Domain, Signer
from protocol.hashing import SHA256, SM3
from protocol.sm2 import SignedRoots
from verifier.attestation import Sm2Attestation
from verifier.merkle_tree import Tree
from verifier.receipt import Core, Receipt
from verifier.sm2_envelope import check_sm2
from verifier.submitter import signer_address

KEPT = 16


@dataclass(frozen=True)
class _Signed:
    """What the receipts of one submission share."""

    tree_sm3: Tree
    root_sha256: bytes
    statement: bytes
    signature: bytes


class Sm2Envelopes:
    """Adds the attestation to this organisation's receipts; signs each submission once in a run."""

    def __init__(self, journal: Journal, key: Sm2Key, signer: Signer) -> None:
        """`signer`: the act key that signs submissions."""
        self._journal = journal
        self._key = key
        self._signer = signer
        self._kept: OrderedDict[int, _Signed] = OrderedDict()

    def add(self, entry: Entry, receipt: bytes) -> bytes:
        """The receipt with the attestation behind the others; as it is where the submission was signed by
        another act key, or is another one than the journal's.
        """
        parsed = Receipt.parse(receipt)
        core = parsed.core
        if entry.submission is None or signer_address(core) != self._signer.address:
            return receipt
        signed = self._kept.get(entry.submission) or self._sign(entry.submission, core)
        self._kept[entry.submission] = signed
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        position = core.submission.position
        if signed.tree_sm3.size != core.submission.count:
            return receipt
        made = Sm2Attestation(
            self._key.public_key, signed.statement, signed.signature, signed.tree_sm3.path(position)
        )
        code, _ = check_sm2(core, made)
        if code != "Ok":
            return receipt
        listed = (*parsed.attestations, made.encode())
        return dataclasses.replace(parsed, attestations=listed).encode()

    def _sign(self, submission: int, core: Core) -> _Signed:
        entries = self._journal.entries_of(submission)
        unsequenced = [leaves.leaf(one.header, one.body) for one in entries]
        sha256, sm3 = (Tree(alg, [alg.leaf(leaf) for leaf in unsequenced]) for alg in (SHA256, SM3))
        domain = Domain(core.log.chain_id, core.log.evidence_log)
        organisation = leaves.parse_leaf(core.leaf).header.submitter
        roots = SignedRoots(
            domain, core.log.log_id, organisation, sha256.root, sm3.root, len(unsequenced),
            core.submission.valid_until,
        )  # fmt: skip
        statement = self._signer.sign_digest(roots.statement(self._key.public_key).digest(domain))
        return _Signed(sm3, sha256.root, statement, self._key.sign(roots.message()))
