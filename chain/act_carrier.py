"""Several acts on cases in one transaction, and which of them were refused (docs/spec/case.md §7).

The carrier has no right, so a group is no more than its acts: each counts by its own signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chain.bindings import ACT_CARRIER, interface
from chain.case_contracts import CaseContracts
from chain.evm import EventLog
from chain.transactions import Call
from protocol.hashing import keccak256

MOST_ACTS = 64
"""Of one call, by the contract."""
_WORD = 32
_CARRY = interface(ACT_CARRIER).function("carry")
_REFUSED = interface(ACT_CARRIER).event("ActRefused")


@dataclass(frozen=True)
class ActRefusal:
    """An act that the ledger refused. `reason` is cut to 256 bytes by the contract."""

    index: int
    act: bytes
    reason: bytes

    def concerns(self, index: int, data: bytes) -> bool:
        """Whether it is of the act in this place with this call data."""
        return index == self.index and keccak256(data) == self.act


def carry(acts: Sequence[bytes], contracts: CaseContracts) -> Call:
    """The call that takes each of these call data for CaseLedger, in order. Raises ValueError."""
    if not 1 <= len(acts) <= MOST_ACTS:
        raise ValueError(f"a carrier takes 1 to {MOST_ACTS} acts, not {len(acts)}")
    return Call(contracts.carrier, _CARRY.encode(tuple(acts)))


def size_of(data: bytes) -> int:
    """Bytes by which an act makes the call data longer: offset, length, padded data."""
    return 2 * _WORD + -(-len(data) // _WORD) * _WORD


HEAD_SIZE = 4 + 2 * _WORD
"""Bytes of call data without any act."""


def refusals(logs: Sequence[EventLog], contracts: CaseContracts) -> list[ActRefusal]:
    """What the carrier of this room says in a receipt's log entries.

    Raises:
        AnswerUnreadable
    """
    found = []
    for entry in logs:
        if entry.address == contracts.carrier and entry.topics[:1] == (_REFUSED.topic,):
            values = _REFUSED.decode(entry.topics, entry.data)
            found.append(ActRefusal(values["index"], values["act"], values["reason"]))
    return found
