"""A case as CaseLedger has it, read from a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chain.bindings import CASE_BATCHES, CASE_LEDGER, EVIDENCE_GUARD, LIFECYCLE, interface
from chain.case_contracts import CaseContracts
from chain.evm import Block, Evm
from chain.transactions import Call

MARKED, REVERSIBLE, EXTENDED, PROVISIONAL = 1, 2, 4, 8
_NOBODY = bytes(20)


@dataclass(frozen=True)
class ChainCase:
    """The struct `Case` of ICaseLedger; 0 is nobody, no time, no clock."""

    version: int
    stage: int
    product: int
    owner: int
    policy: int
    since: int
    deadline: int
    court: int
    clock_id: int
    extension: int
    open_holds: int
    flags: int
    clock_start: int
    clock: int
    last_organisation: int
    previous_stage: int
    previous_clock_start: int
    previous_clock: int
    previous_clock_id: int
    previous_court: int
    previous_extension: int
    commitment: bytes


@dataclass(frozen=True)
class ChainHold:
    """The struct `HoldRecord`; `until` 0 while it is open."""

    kind: int
    start: int
    until: int
    organisation: int


@dataclass(frozen=True)
class ChainBatch:
    """The struct `Batch` of ICaseBatches; `time` of its import."""

    owner: int
    count: int
    time: int
    policy: int
    recalled: bool


class CaseReader:
    """What CaseLedger answers about cases and policies."""

    def __init__(self, evm: Evm, contracts: CaseContracts) -> None:
        self._evm = evm
        self.contracts = contracts

    async def case(self, case_id: bytes, block: Block = "latest") -> ChainCase | None:
        """None for a case that has not come to life."""
        (found,) = await self._ask("caseOf", case_id, block=block)
        case = ChainCase(*found)
        return case if case.version else None

    async def holds(self, case_id: bytes, block: Block = "latest") -> tuple[ChainHold, ...]:
        """The pauses of the running clock."""
        (found,) = await self._ask("holdsOf", case_id, block=block)
        return tuple(ChainHold(*hold) for hold in found)

    async def batch(self, root: bytes) -> ChainBatch | None:
        """None for a batch that was never imported."""
        method = interface(CASE_BATCHES).function("batchOf")
        call = Call(self.contracts.batches, method.encode(root))
        (found,) = method.decode(await self._evm.call(_NOBODY, call))
        batch = ChainBatch(*found)
        return batch if batch.count else None

    async def latest_policy(self) -> int:
        """The newest version; 0 while there is none."""
        return int((await self._ask("latestPolicy"))[0])

    async def table_hash(self, version: int) -> bytes | None:
        """What the policy of this version says its tables are; None for no such version."""
        (address,) = await self._ask("policyOf", version)
        if address == _NOBODY:
            return None
        method = interface(LIFECYCLE).function("tableHash")
        return bytes(method.decode(await self._evm.call(_NOBODY, Call(address, method.encode())))[0])

    async def require_evidence(self, case_id: bytes, owner: int, needs: int, proof: bytes) -> bytes:
        """The evidence guard's answer: the digest of the ids. Raises ContractReverted."""
        method = interface(EVIDENCE_GUARD).function("requireEvidence")
        call = Call(self.contracts.guard, method.encode(case_id, owner, needs, proof))
        return bytes(method.decode(await self._evm.call(_NOBODY, call))[0])

    async def now(self) -> int:
        """The newest block's time."""
        return (await self._evm.head()).time

    async def _ask(self, name: str, *values: Any, block: Block = "latest") -> tuple[Any, ...]:
        method = interface(CASE_LEDGER).function(name)
        call = Call(self.contracts.ledger, method.encode(*values))
        return method.decode(await self._evm.call(_NOBODY, call, block))
