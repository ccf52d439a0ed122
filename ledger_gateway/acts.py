"""Relays of signed acts: JSON in, contract call out. The gateway pays and sends; it cannot forge.

`{"act": "RevokeKey", "request": {…members of the type string…}, "signature": hex}` for every act of
docs/spec/chain-state.md §2 that a contract checks; `Anchor` has a further `proof` (list of 32-byte hex).
A governance proposal goes as `{"act": "Schedule" | "Execute", "proposal": {…the proposal file…}}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from chain.acts import TARGETS, act_from_json, call_for
from chain.deployment import Deployment
from chain.evm import Evm
from chain.governance import parse_proposal
from chain.outbox import Outbox, Outcome
from chain.transactions import Call
from ledger_gateway.problems import IdempotencyConflict
from protocol import acts as protocol_acts
from protocol import expect
from protocol.acts import parse_type
from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import sha256
from storage.db import Pool

MAX_SIGNATURE = 4096
MAX_PROOF = 63


class UnknownAct(MalformedInput):
    """No contract checks an act of this name."""

    http_status: ClassVar[int] = 422
    title: ClassVar[str] = "unknown act"


class ActUnknown(CaseledgerError):
    """This gateway relayed no such act."""

    http_status: ClassVar[int] = 404
    title: ClassVar[str] = "no such relayed act"


_BY_NAME = {parse_type(kind.TYPE).name: kind for kind in TARGETS}
NAMES = (*_BY_NAME, "Schedule", "Execute")


@dataclass(frozen=True)
class RelayedAct:
    """A parsed act as the call that carries it. `name` is the act's; nothing is checked but the shape."""

    name: str
    call: Call
    id: str
    """64 hex digits; names the request here."""


def parse_act(document: Mapping[str, Any], deployment: Deployment) -> RelayedAct:
    """The call of an act document.

    Raises:
        UnknownAct, MalformedInput
    """
    name = document.get("act")
    if name in ("Schedule", "Execute"):
        return _governance(str(name), document, deployment)
    kind = _BY_NAME.get(name) if isinstance(name, str) else None
    if kind is None:
        raise UnknownAct("act: unknown", field="act", hint=f"one of {', '.join(NAMES)}")
    members = ("act", "request", "signature", *(("proof",) if kind is protocol_acts.Anchor else ()))
    values = expect.json_members(dict(document), "act", members)
    act = act_from_json(kind, values["request"])
    signature = expect.from_hex(values["signature"], "signature", maximum=MAX_SIGNATURE)
    proof = expect.json_array(values.get("proof", []), "proof", MAX_PROOF)
    path = [expect.from_hex(node, "proof", 32) for node in proof]
    return relayed(str(name), call_for(act, signature, deployment, proof=path))


def _governance(name: str, document: Mapping[str, Any], deployment: Deployment) -> RelayedAct:
    values = expect.json_members(dict(document), "act", ("act", "proposal"))
    proposal, approvals = parse_proposal(json.dumps(values["proposal"]))
    if name == "Schedule":
        return relayed(name, proposal.schedule(deployment, approvals))
    return relayed(name, proposal.execute(deployment))


def relayed(name: str, call: Call) -> RelayedAct:
    """Named by the call's content, so that the same act has the same name."""
    return RelayedAct(name, call, sha256((call.recipient or b"") + call.data).hex())


class Relay:
    """Enqueues acts on this gateway's own lanes, spread by their content."""

    def __init__(
        self, pool: Pool, evm: Evm, outbox: Outbox, lanes: Sequence[str], deployment: Deployment
    ) -> None:
        self._pool = pool
        self._evm = evm
        self._outbox = outbox
        self._lanes = tuple(lanes)
        self._deployment = deployment

    async def submit(self, document: Mapping[str, Any], idempotency_key: str | None = None) -> RelayedAct:
        """Simulates, enqueues durably; the worker sends. Returns the act under the name that it has here.

        The content is the key: the same act again changes nothing. An Idempotency-Key makes a further attempt
        of an act that failed a request of its own.

        Raises:
            UnknownAct, MalformedInput, IdempotencyConflict, ContractReverted (the contract's own error), and
            chain faults
        """
        return await self.relay(parse_act(document, self._deployment), idempotency_key)

    async def relay(self, act: RelayedAct, idempotency_key: str | None = None) -> RelayedAct:
        """The same for an act that was parsed. Raises IdempotencyConflict, ContractReverted, chain faults."""
        if idempotency_key is not None:
            act = RelayedAct(act.name, act.call, sha256(b"idempotency-key" + idempotency_key.encode()).hex())
        async with self._pool.acquire() as conn:
            held = await conn.fetchrow(_HELD, _business_key(act.id))
        if held is None:
            await self._carry(act.id, act.call)
        elif (held["recipient"], held["data"]) != (act.call.recipient, act.call.data):
            raise IdempotencyConflict("the key was used for another act", field="idempotency-key")
        return act

    async def _carry(self, act_id: str, call: Call) -> None:
        lane = self._lanes[int(act_id[:8], 16) % len(self._lanes)]
        recipient = call.recipient or b""
        gas = await self._outbox.prepare(self._evm, lane, recipient, call.data)
        async with self._pool.acquire() as conn, conn.transaction():
            await self._outbox.enqueue(conn, lane, recipient, call.data, gas, _business_key(act_id))

    async def outcome(self, act_id: str) -> Outcome:
        """What became of an act.

        Raises:
            ActUnknown
        """
        async with self._pool.acquire() as conn:
            outcome = await self._outbox.outcome(conn, _business_key(act_id))
        if outcome is None:
            raise ActUnknown("this gateway relayed no such act", field="id")
        return outcome


_HELD = "select recipient, data from chain.outbox where business_key = $1"


def _business_key(act_id: str) -> str:
    return f"act:{act_id}"
