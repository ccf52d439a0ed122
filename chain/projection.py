"""What events mean in tables. Each row hangs on its block, so that a rewind is one delete (0002_chain.sql).

Organisations and keys are kept as versions, one for each event that changes them; logs as openings and
closings; anchors as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from chain.bindings import EVIDENCE_LOG, REGISTRY
from protocol.acts import Purpose
from protocol.expect import UINT40_MAX
from protocol.keyslot import KeySlot, KeyState
from storage.db import AnyConnection

ACTIVE, REMOVED = 1, 2


@dataclass(frozen=True)
class DecodedEvent:
    """An event of one of our contracts, values by the names in the ABI. `time`: of its block."""

    contract: str
    address: bytes
    name: str
    sequence: int
    block_number: int
    transaction_hash: bytes
    values: dict[str, Any]
    log_index: int = 0
    time: int = 0


async def project(conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
    """Write what the event changes, in the caller's transaction. Events come in order of sequence."""
    handler = _HANDLERS.get((event.contract, event.name))
    if handler is not None:
        await handler(conn, chain_id, event)


# Logs


async def _opened(conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
    v = event.values
    await conn.execute(
        """insert into chain.log_change
               (chain_id, contract, sequence, log_id, origin, operator, predecessor, block_number)
           values ($1, $2, $3, $4, $5, $6, $7, $8)""",
        chain_id,
        event.address,
        event.sequence,
        v["logId"],
        v["origin"],
        v["operator"],
        v["predecessor"],
        event.block_number,
    )


async def _closed(conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
    v = event.values
    await conn.execute(
        """insert into chain.log_change
               (chain_id, contract, sequence, log_id, closed_size, successor, block_number)
           values ($1, $2, $3, $4, $5, $6, $7)""",
        chain_id,
        event.address,
        event.sequence,
        v["logId"],
        v["closedSize"],
        v["successor"],
        event.block_number,
    )


async def _anchored(conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
    v = event.values
    await conn.execute(
        """insert into chain.anchor
               (chain_id, contract, log_id, number, old_size, new_size, root_sha256, root_sm3, link, time,
                key, block_number, transaction_hash)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)""",
        chain_id,
        event.address,
        v["logId"],
        v["number"],
        v["oldSize"],
        v["newSize"],
        v["rootSha256"],
        v["rootSm3"],
        v["link"],
        v["time"],
        v["key"],
        event.block_number,
        event.transaction_hash,
    )


# Organisations

_COLUMNS = (
    "id", "roles", "interest_group", "vote", "status", "suspended_until", "hpke_key", "hpke_not_before",
    "hpke_not_after",
)  # fmt: skip


async def _organisation(
    conn: AnyConnection, chain_id: int, event: DecodedEvent, index: int, changes: dict[str, Any]
) -> None:
    """A new version: the last one with `changes`."""
    row = await conn.fetchrow(
        "select * from chain.organisation where chain_id = $1 and contract = $2 and organisation = $3",
        chain_id,
        event.address,
        index,
    )
    values = {name: row[name] for name in _COLUMNS} if row is not None else {}
    values |= changes
    await conn.execute(
        """insert into chain.organisation_version
               (chain_id, contract, sequence, organisation, block_number, id, roles, interest_group, vote,
                status, suspended_until, hpke_key, hpke_not_before, hpke_not_after)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)""",
        chain_id,
        event.address,
        event.sequence,
        index,
        event.block_number,
        *(values[name] for name in _COLUMNS),
    )


async def _added(conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
    v = event.values
    await _organisation(
        conn,
        chain_id,
        event,
        v["organisation"],
        {
            "id": v["id"],
            "roles": v["roles"],
            "interest_group": v["interestGroup"],
            "vote": v["vote"],
            "status": ACTIVE,
            "suspended_until": 0,
            "hpke_key": bytes(32),
            "hpke_not_before": 0,
            "hpke_not_after": 0,
        },
    )


def _change(
    index: str, changes: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[[AnyConnection, int, DecodedEvent], Awaitable[None]]:
    async def handler(conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
        await _organisation(conn, chain_id, event, event.values[index], changes(event.values))

    return handler


# Keys


async def _write_slot(conn: AnyConnection, chain_id: int, event: DecodedEvent, slot: KeySlot) -> None:
    await conn.execute(
        """insert into chain.key_version
               (chain_id, contract, sequence, key, organisation, purpose, slot, block_number)
           values ($1, $2, $3, $4, $5, $6, $7, $8)""",
        chain_id,
        event.address,
        event.sequence,
        event.values["key"],
        slot.organisation,
        int(slot.purpose),
        slot.pack(),
        event.block_number,
    )


def _new_slot(state: KeyState) -> Callable[[AnyConnection, int, DecodedEvent], Awaitable[None]]:
    async def handler(conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
        v = event.values
        slot = KeySlot(v["organisation"], Purpose(v["purpose"]), v["notBefore"], v["notAfter"], 0, state)
        await _write_slot(conn, chain_id, event, slot)

    return handler


def _next_slot(
    change: Callable[[KeySlot, dict[str, Any]], KeySlot],
) -> Callable[[AnyConnection, int, DecodedEvent], Awaitable[None]]:
    async def handler(conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
        held = await conn.fetchval(
            "select slot from chain.key where chain_id = $1 and contract = $2 and key = $3",
            chain_id,
            event.address,
            event.values["key"],
        )
        await _write_slot(conn, chain_id, event, change(KeySlot.parse(held), event.values))

    return handler


_HANDLERS: dict[tuple[str, str], Callable[[AnyConnection, int, DecodedEvent], Awaitable[None]]] = {
    (EVIDENCE_LOG, "LogOpened"): _opened,
    (EVIDENCE_LOG, "LogClosed"): _closed,
    (EVIDENCE_LOG, "Anchored"): _anchored,
    (REGISTRY, "OrganisationAdded"): _added,
    (REGISTRY, "OrganisationRemoved"): _change("organisation", lambda v: {"status": REMOVED, "vote": False}),
    (REGISTRY, "RolesSet"): _change("organisation", lambda v: {"roles": v["newRoles"]}),
    (REGISTRY, "VoteSet"): _change("organisation", lambda v: {"vote": v["newVote"]}),
    (REGISTRY, "InterestGroupSet"): _change("organisation", lambda v: {"interest_group": v["newGroup"]}),
    (REGISTRY, "HpkeKeySet"): _change(
        "organisation",
        lambda v: {
            "hpke_key": v["newKey"],
            "hpke_not_before": v["notBefore"],
            "hpke_not_after": v["notAfter"],
        },
    ),
    (REGISTRY, "Suspended"): _change("target", lambda v: {"suspended_until": v["until"]}),
    (REGISTRY, "SuspensionConfirmed"): _change("target", lambda v: {"suspended_until": UINT40_MAX}),
    (REGISTRY, "SuspensionLifted"): _change("target", lambda v: {"suspended_until": 0}),
    (REGISTRY, "KeyAssigned"): _new_slot(KeyState.ACTIVE),
    (REGISTRY, "KeyAnnounced"): _new_slot(KeyState.ANNOUNCED),
    (REGISTRY, "KeyAccepted"): _next_slot(
        lambda slot, v: replace(slot, not_before=v["notBefore"], state=KeyState.ACTIVE)
    ),
    (REGISTRY, "KeyCancelled"): _next_slot(lambda slot, v: replace(slot, state=KeyState.CANCELLED)),
    (REGISTRY, "KeyRevoked"): _next_slot(lambda slot, v: replace(slot, revoked_at=v["revokedAt"])),
}
