"""Two ways for an act on a case: through a gateway, or through a node of one's own.

Both tell where a case stands, whether an act would be taken, and what became of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from agent.errors import ArgumentRefused
from protocol.errors import CaseledgerError

if TYPE_CHECKING:
    from agent.client import GatewayClient
    from cases.act_documents import CaseDocument
    from cases.knowing import Knowledge, KnownCase
    from cases.lifecycle import Lifecycle
    from chain.case_acts import EvidenceEntry, Origin
    from chain.case_contracts import CaseContracts
    from chain.deployment import Deployment
    from chain.rpc import RpcPool
    from chain.signer import RelayerKey
    from chain.transactions import Call

PAUSE = 0.5
_T = TypeVar("_T")
END_STATES = ("mined", "reverted", "failed", "vanished")


@dataclass(frozen=True)
class Found:
    """Where a case stands: its lifecycle, its version, and the standing as gateways give it."""

    life: Lifecycle
    version: int
    case: dict[str, Any]
    steps: Sequence[dict[str, Any]] = ()


class Way(Protocol):
    """How this organisation reaches the contracts."""

    def find(self, case_id: bytes) -> Found: ...

    def check(self, case_id: bytes, document: dict[str, Any]) -> dict[str, Any]: ...

    def send(self, case_id: bytes, document: dict[str, Any], wait: float) -> dict[str, Any]: ...

    def waiting(self) -> list[dict[str, Any]]: ...

    def evidence(self, given: Sequence[str]) -> tuple[bytes, ...]: ...


class ThroughGateway:
    """A gateway adds origin and proofs, pays and sends. It cannot forge, and the contract decides."""

    def __init__(self, gateway: GatewayClient) -> None:
        self._gateway = gateway

    def find(self, case_id: bytes) -> Found:
        answer = self._gateway.case_position(case_id.hex())
        case = answer["case"]
        return Found(lifecycle(case["tableHash"]), int(case["version"]), case, answer["steps"])

    def check(self, case_id: bytes, document: dict[str, Any]) -> dict[str, Any]:
        return self._gateway.check_case_act(case_id.hex(), document)

    def send(self, case_id: bytes, document: dict[str, Any], wait: float) -> dict[str, Any]:
        state = self._gateway.case_act(case_id.hex(), document)
        give_up = time.monotonic() + wait
        while state["state"] not in ("waiting", *END_STATES) and time.monotonic() < give_up:
            time.sleep(PAUSE)
            state = self._gateway.case_act_state(case_id.hex(), state["id"])
        return state

    def waiting(self) -> list[dict[str, Any]]:
        return self._gateway.waiting_case_acts()

    def evidence(self, given: Sequence[str]) -> tuple[bytes, ...]:
        from protocol.identifiers import parse_hex32

        return tuple(
            receipt_of(one)[1] if Path(one).is_file() else parse_hex32(one, "evidence") for one in given
        )


def lifecycle(table_hash: str) -> Lifecycle:
    """The lifecycle with these tables. Raises PolicyNotOfThisRelease."""
    from cases.errors import PolicyNotOfThisRelease
    from cases.policies import RELEASED

    try:
        return RELEASED[bytes.fromhex(table_hash)]
    except (KeyError, ValueError):
        raise PolicyNotOfThisRelease(
            "the case has rules of another release", hint="a newer release of caseledger knows them"
        ) from None


def receipt_of(path: str) -> tuple[EvidenceEntry, bytes]:
    """A receipt file as a proved entry, and its evidence id."""
    from cases.evidence_proofs import from_receipt
    from protocol.entry import evidence_id
    from verifier.receipt import MAX_RECEIPT, Receipt

    with Path(path).open("rb") as source:
        receipt = Receipt.parse(source.read(MAX_RECEIPT + 1))
    return from_receipt(receipt), evidence_id(receipt.core.leaf)


@dataclass
class Direct:
    """Through a node of one's own: evidence from receipt files, the origin from the batch file."""

    deployment: Deployment
    contracts: CaseContracts
    rpc: tuple[str, ...]
    relayer: Path
    batch: Path | None
    receipts: tuple[EvidenceEntry, ...] = ()

    def find(self, case_id: bytes) -> Found:
        async def look(pool: RpcPool) -> Found:
            known = await self._known(pool, case_id)
            standing = _knowledge(pool, self.contracts).standing(known)
            if standing is None or known.life is None or known.state is None:
                from cases.errors import CaseNotHere

                raise CaseNotHere(
                    "no such case on the chain",
                    field="case",
                    hint="--batch FILE for one that did not move yet",
                )
            return Found(known.life, known.state.version, standing.as_json())

        return self._run(look)

    def check(self, case_id: bytes, document: dict[str, Any]) -> dict[str, Any]:
        """Asks one's own node with the signed act: nobody else sees it."""

        async def ask(pool: RpcPool) -> dict[str, Any]:
            call, given, known = await self._call(pool, case_id, document)
            await self._simulated(pool, call, given, known, may_be_half=True)
            after = await _knowledge(pool, self.contracts).foretold(given, known)
            return {"taken": True, "case": None if after is None else after.as_json()}

        return self._run(ask)

    def send(self, case_id: bytes, document: dict[str, Any], wait: float) -> dict[str, Any]:
        async def go(pool: RpcPool) -> dict[str, Any]:
            from chain.direct import send
            from chain.engines import profile
            from chain.evm import Evm

            call, given, known = await self._call(pool, case_id, document)
            await self._simulated(pool, call, given, known)
            facts = profile(self.deployment.engine)
            receipt = await send(
                Evm(pool), self._payer(), call, chain_id=self.deployment.chain_id,
                gas_price=facts.min_gas_price, revert_costs_limit=facts.revert_gas == "limit",
                wait=max(wait, 1.0),
            )  # fmt: skip
            after = _knowledge(pool, self.contracts).standing(await self._known(pool, case_id))
            return {
                "id": given.digest(self.contracts).hex(),
                "caseId": case_id.hex(),
                "act": given.name,
                "state": "mined",
                "transaction": receipt.transaction_hash.hex(),
                "blockNumber": receipt.block_number,
                "case": None if after is None else after.as_json(),
            }

        return self._run(go)

    def waiting(self) -> list[dict[str, Any]]:
        raise ArgumentRefused("without a gateway, name the act's file", field="ACT")

    def evidence(self, given: Sequence[str]) -> tuple[bytes, ...]:
        found = [receipt_of(one) for one in given]
        self.receipts = tuple(entry for entry, _ in found)
        return tuple(identifier for _, identifier in found)

    # Inside

    def _run(self, work: Callable[[RpcPool], Awaitable[_T]]) -> _T:
        from chain.configuration import pool_of

        async def inside() -> _T:
            async with pool_of(self.deployment, self.rpc) as pool:
                return await work(pool)

        return asyncio.run(inside())

    async def _known(self, pool: RpcPool, case_id: bytes) -> KnownCase:
        return await _knowledge(pool, self.contracts).of(case_id, self._origin)

    async def _origin(self, case_id: bytes) -> Origin:
        from cases.batch_origins import origin_in
        from chain.case_acts import NOWHERE

        if self.batch is None:
            return NOWHERE
        with self.batch.open("rb") as source:
            return origin_in(iter(lambda: source.read(1 << 16), b""), case_id)

    async def _call(
        self, pool: RpcPool, case_id: bytes, document: dict[str, Any]
    ) -> tuple[Call, CaseDocument, KnownCase]:
        from cases.act_documents import TimeAct, parse
        from chain import case_acts

        given = parse(document)
        known = await self._known(pool, case_id)
        if isinstance(given.act, TimeAct):
            act = given.act
            if act.transition:
                return case_acts.lapse(case_id, act.version, act.transition, self.contracts), given, known
            return case_acts.mark_overdue(case_id, self.contracts, origin=known.origin), given, known
        signed = given.act
        wanted = {entry_id(entry): entry for entry in self.receipts}
        if set(signed.evidence) - set(wanted):
            raise ArgumentRefused("receipts of all its evidence are needed", field="--evidence")
        origin = known.origin if isinstance(signed.act, case_acts.BRING_TO_LIFE) else case_acts.NOWHERE
        call = case_acts.call_for(
            signed.act, signed.signature, self.contracts, origin=origin, co_signature=signed.co_signature,
            proof=case_acts.evidence_proof([wanted[one] for one in signed.evidence]),
        )  # fmt: skip
        return call, given, known

    async def _simulated(
        self, pool: RpcPool, call: Call, given: CaseDocument, known: KnownCase, may_be_half: bool = False
    ) -> None:
        from chain.evm import Evm

        try:
            await Evm(pool).estimate(bytes(20), call)
        except CaseledgerError as error:
            unsigned = error.code == "ActSignatureInvalid" and getattr(error, "values", {}).get("length") == 0
            if may_be_half and unsigned and given.organisations[1]:
                return
            raise _knowledge(pool, self.contracts).explained(error, given, known) from None

    def _payer(self) -> RelayerKey:
        from chain.signer import load_relayer

        return load_relayer(self.relayer)


def entry_id(entry: EvidenceEntry) -> bytes:
    """The evidence id of a proved entry."""
    from protocol.entry import evidence_id

    return evidence_id(entry.leaf)


def _knowledge(pool: RpcPool, contracts: CaseContracts) -> Knowledge:
    """What the node tells of a case. Roles are left to the contract, which is asked with the act itself."""
    from cases.calendar import shipped
    from cases.knowing import Knowledge
    from chain.case_state import CaseReader
    from chain.evm import Evm

    return Knowledge(CaseReader(Evm(pool), contracts), lambda _: (1 << 14) - 1, shipped())
