"""What a case receipt is refused for (docs/spec/case-receipt.md §3)."""

from __future__ import annotations

from verifier.errors import ProofRefused


class CaseStateAbsent(ProofRefused):
    title = "the contract holds no such case in this block"


class CaseEventMismatch(ProofRefused):
    title = "the state of the case is not what the event says"
