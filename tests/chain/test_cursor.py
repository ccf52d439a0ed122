"""Events into tables, and the registry in memory, against the real chain."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

import pytest

from agent.keys import KeyLabel, new_key
from chain import acts, governance
from chain.bindings import EVIDENCE_LOG, REGISTRY, interface
from chain.cursor import ChainRewritten, EventCursor, EventsWithheld, ledger_events, rebuild
from chain.deployment import GenesisKey
from chain.evm import Evm
from chain.registry_view import RegistryUnknown, RegistryView
from chain.rpc import Answer, RpcPool, RpcSettings, RpcUnavailable
from protocol import acts as act_types
from protocol.acts import Purpose
from protocol.expect import UINT40_MAX
from protocol.identifiers import log_id
from protocol.keyslot import KeySlot, KeyState, key_slot_position
from storage.db import Pool
from tests.support.ledger import HandMadeLog, Ledger, database, run

pytestmark = [pytest.mark.chain, pytest.mark.database]

DEAD = "http://127.0.0.1:9"
TABLES = (
    "chain.event", "chain.anchor", "chain.log_change", "chain.organisation_version", "chain.key_version",
    "chain.block",
)  # fmt: skip


async def drain(cursor: EventCursor) -> None:
    while await cursor.run_once():
        pass


async def read_all(db: Pool, pool: RpcPool, ledger: Ledger, name: str = "core") -> EventCursor:
    cursor = EventCursor(db, pool, ledger_events(ledger.deployment, name=name))
    await drain(cursor)
    return cursor


async def forget(db: Pool) -> None:
    await db.execute("delete from chain.cursor")
    await db.execute("delete from chain.block")


async def act(ledger: Ledger, evm: Evm, key: str, request: act_types.Act) -> None:
    signature = acts.sign(request, ledger.deployment, ledger.key(key))
    await ledger.send(evm, acts.call_for(request, signature, ledger.deployment))


async def rotate(ledger: Ledger, evm: Evm) -> dict[str, bytes]:
    """A key announced and accepted, one announced and cancelled, one revoked; a suspension; an HPKE key."""
    until = int(time.time()) + 600
    org = ledger.consortium.index("bank-b")
    made: dict[str, bytes] = {}
    for name in ("accepted", "cancelled"):
        key = new_key("secp256k1", KeyLabel(name, "auth", org))
        made[name] = key.address  # type: ignore[union-attr]
        nonce = await acts.next_nonce(evm, ledger.deployment, org)
        await act(
            ledger,
            evm,
            "bank-b-act",
            act_types.AnnounceKey(org, made[name], Purpose.AUTH, 0, UINT40_MAX, nonce, until),
        )
        if name == "accepted":
            await asyncio.sleep(2)
            request = act_types.AcceptKey(org, made[name], until)
            signature = key.sign_digest(request.digest(ledger.deployment.registry_domain))  # type: ignore[union-attr]
            await ledger.send(evm, acts.call_for(request, signature, ledger.deployment))
        else:
            nonce = await acts.next_nonce(evm, ledger.deployment, org)
            await act(ledger, evm, "bank-b-act", act_types.CancelKey(org, made[name], nonce, until))
    made["revoked"] = ledger.key("bank-b-auth").address
    nonce = await acts.next_nonce(evm, ledger.deployment, org)
    await act(ledger, evm, "bank-b-act", act_types.RevokeKey(org, made["revoked"], nonce, until))
    nonce = await acts.next_nonce(evm, ledger.deployment, org)
    await act(ledger, evm, "bank-b-act", act_types.SetHpkeKey(org, b"\x42" * 32, 0, UINT40_MAX, nonce, until))
    regulator = ledger.consortium.index("regulator")
    nonce = await acts.next_nonce(evm, ledger.deployment, regulator)
    await act(ledger, evm, "regulator-act", act_types.Suspend(regulator, org, b"\x01" * 32, nonce, until))
    return made


async def chain_slot(ledger: Ledger, evm: Evm, key: bytes) -> KeySlot:
    return KeySlot.parse(await evm.storage(ledger.deployment.registry.address, key_slot_position(key)))


def test_projected_organisations_keys_logs_and_anchors_are_the_chains(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with database(dsn) as db, ledger.pool() as pool:
            evm = Evm(pool)
            made = await rotate(ledger, evm)
            await ledger.open_log(evm, "cursor.test/log")
            log = HandMadeLog("cursor.test/log")
            for count in (3, 1, 5):
                await ledger.send(evm, ledger.anchor_call(log, count))
            extra = b"\x36" * 20
            await ledger.pass_proposal(
                evm,
                governance.together(
                    governance.assign_key(
                        ledger.deployment, 5, GenesisKey(extra, Purpose.ANCHOR, 0, UINT40_MAX)
                    ),
                    governance.close_log(ledger.deployment, log_id("cursor.test/log"), 8),
                ),
            )
            cursor = await read_all(db, pool, ledger)
            view = RegistryView(pool, ledger.deployment)
            await view.start()
            # Keys: the projection, the view and the chain's own storage agree, word for word.
            rows = await db.fetch(
                "select key, slot from chain.key where contract = $1", ledger.deployment.registry.address
            )
            assert len(rows) == 6 * 3 + 2 + 1
            for row in rows:
                slot = KeySlot.parse(row["slot"])
                assert slot == await chain_slot(ledger, evm, row["key"]) == view.key(row["key"])
            states = {name: view.key(key) for name, key in made.items()}
            assert states["accepted"] is not None
            assert states["accepted"].valid_at(int(time.time()) + 1)
            assert states["cancelled"] is not None
            assert states["cancelled"].state is KeyState.CANCELLED
            assert states["revoked"] is not None
            assert states["revoked"].revoked_at > 0
            assert view.keys_of(5, Purpose.ANCHOR) == sorted([ledger.key("bank-a-anchor").address, extra])
            # Organisations.
            for row in await db.fetch(
                "select * from chain.organisation where contract = $1", ledger.deployment.registry.address
            ):
                there = view.organisation(row["organisation"])
                assert there is not None
                assert (row["id"], row["roles"], row["interest_group"], row["vote"]) == (
                    there.id, there.roles, there.interest_group, there.vote,
                )  # fmt: skip
                assert row["suspended_until"] == there.suspended_until
                assert row["hpke_key"] == (there.hpke_key or bytes(32))
            suspended = view.organisation(6)
            assert suspended is not None
            assert not suspended.writer_at(int(time.time()))
            assert view.organisation(99) is None
            # Anchors and logs.
            anchors = await db.fetch(
                "select * from chain.anchor where log_id = $1 order by number", log_id("cursor.test/log")
            )
            assert [(a["number"], a["old_size"], a["new_size"]) for a in anchors] == [
                (1, 0, 3), (2, 3, 4), (3, 4, 9),
            ]  # fmt: skip
            closed = await db.fetchrow("select * from chain.log where log_id = $1", log_id("cursor.test/log"))
            assert closed is not None
            assert (closed["origin"], closed["operator"], closed["closed_size"]) == ("cursor.test/log", 1, 8)
            assert cursor.metrics.sequences[EVIDENCE_LOG] >= 5

    run(scenario())


def test_reading_again_from_nothing_gives_the_same_tables(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with database(dsn) as db, ledger.pool() as pool:
            await read_all(db, pool, ledger)
            before = [await db.fetch(f"select * from {table} order by 1, 2, 3, 4") for table in TABLES]  # noqa: S608
            events = await rebuild(db, pool, [ledger_events(ledger.deployment)])
            after = [await db.fetch(f"select * from {table} order by 1, 2, 3, 4") for table in TABLES]  # noqa: S608
            assert before == after
            assert events == len(before[0]) > 0

    run(scenario())


def test_two_readers_commit_each_event_once(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with database(dsn) as db, ledger.pool() as pool:
            await forget(db)
            one, two = (EventCursor(db, pool, ledger_events(ledger.deployment)) for _ in range(2))
            while any(await asyncio.gather(one.run_once(), two.run_once())):
                pass
            count = await db.fetchval("select count(*) from chain.event")
            await forget(db)
            await read_all(db, pool, ledger)
            assert await db.fetchval("select count(*) from chain.event") == count > 0

    run(scenario())


class WithholdingPool(RpcPool):
    """A lone node that keeps one kind of event back."""

    hidden: bytes = b""

    async def ask(self, method: str, params: Any = (), /) -> Answer:
        answer = await super().ask(method, params)
        if method == "eth_getLogs" and self.hidden:
            kept = [e for e in answer.result if bytes.fromhex(e["topics"][0][2:]) != self.hidden]
            return Answer(kept, answer.url)
        return answer


@pytest.mark.parametrize("event", ["RolesSet", "KeyAssigned", "LogOpened", "Anchored"])
def test_withheld_events_are_noticed_and_nothing_is_written(ledger: Ledger, dsn: str, event: str) -> None:
    contract = EVIDENCE_LOG if event in ("LogOpened", "Anchored") else REGISTRY

    async def scenario() -> None:
        async with database(dsn) as db, ledger.pool() as honest:
            evm = Evm(honest)
            org = ledger.consortium.index("bank-a")
            roles = 1 if event != "RolesSet" else 3 + int(time.time()) % 2
            if event == "RolesSet":
                await ledger.pass_proposal(
                    evm, governance.call_of(ledger.deployment, REGISTRY, "setRoles", org, roles)
                )
            if contract == EVIDENCE_LOG:
                # Opened and then anchored: the first leaves a gap, the second is the newest, which nothing
                # later betrays.
                await ledger.open_log(evm, f"withheld.test/{event}")
                await ledger.send(evm, ledger.anchor_call(HandMadeLog(f"withheld.test/{event}"), 2))
            await forget(db)
            pool = WithholdingPool(
                ledger.network.rpc_urls, honest.profile, chain_id=ledger.deployment.chain_id
            )
            pool.hidden = interface(contract).event(event).topic
            async with pool:
                cursor = EventCursor(db, pool, ledger_events(ledger.deployment))
                with pytest.raises(EventsWithheld):
                    await drain(cursor)
                assert cursor.metrics.withheld == 1
                assert {h.reason for h in pool.health()} >= {"withheld_logs"}
                assert all(h.reason == "withheld_logs" for h in pool.health() if h.kind == "evm")
            assert await db.fetchval("select count(*) from chain.anchor where number > 0") == 0
            await read_all(db, honest, ledger)

    run(scenario())


def test_a_changed_block_of_a_final_chain_stops_the_reader(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with database(dsn) as db, ledger.pool() as pool:
            cursor = await read_all(db, pool, ledger)
            await db.execute("update chain.cursor set block_hash = $1", b"\x13" * 32)
            await asyncio.sleep(2.5)
            count = await db.fetchval("select count(*) from chain.event")
            with pytest.raises(ChainRewritten):
                await cursor.run_once()
            assert await db.fetchval("select count(*) from chain.event") == count
            await rebuild(db, pool, [ledger_events(ledger.deployment)])

    run(scenario())


def test_the_page_shrinks_when_a_node_cannot_give_so_much_and_grows_again(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with database(dsn) as db:
            await forget(db)
            async with ledger.pool(settings=RpcSettings(max_answer=20_000)) as pool:
                cursor = EventCursor(db, pool, ledger_events(ledger.deployment))
                small = False
                for _ in range(60):
                    try:
                        if not await cursor.run_once():
                            break
                    except RpcUnavailable:
                        await asyncio.sleep(0.1)
                    small = small or cursor._page < 100
                assert small
            async with ledger.pool() as pool:
                await rebuild(db, pool, [ledger_events(ledger.deployment)])

    run(scenario())


# The view


def test_the_view_goes_on_with_the_last_state_and_its_age_when_no_node_answers(
    ledger: Ledger, dsn: str
) -> None:
    async def scenario() -> None:
        clock = [1000.0]
        async with database(dsn) as db, ledger.pool() as pool:
            view = RegistryView(pool, ledger.deployment, db, clock=lambda: clock[0])
            with pytest.raises(RegistryUnknown):
                view.key(b"\x00" * 20)
            assert view.age == float("inf")
            await view.start()
            key = ledger.key("bank-a-act").address
            held = view.key(key)
            assert held is not None
            assert view.age == 0
            view._pool = RpcPool([DEAD], pool.profile, chain_id=ledger.deployment.chain_id)
            clock[0] += 120
            with pytest.raises(RpcUnavailable):
                await view.refresh()
            assert view.key(key) == held
            assert view.age == 120
            await view._pool.aclose()

    run(scenario())


def test_a_start_without_a_chain_uses_the_index(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with database(dsn) as db:
            async with ledger.pool() as pool:
                await read_all(db, pool, ledger)
                told = RegistryView(pool, ledger.deployment, db)
                await told.start()
            async with ledger.pool(urls=[DEAD], comet=[DEAD]) as dead:
                view = RegistryView(dead, ledger.deployment, db)
                await view.start()
                assert view.snapshot.source == "index"
                assert view.age == float("inf")
                assert view.snapshot.keys == told.snapshot.keys
                assert view.snapshot.organisations == told.snapshot.organisations
                empty = RegistryView(dead, dataclasses.replace(ledger.deployment, chain_id=5), db)
                with pytest.raises(RegistryUnknown):
                    await empty.start()
                alone = RegistryView(dead, ledger.deployment)
                with pytest.raises(RegistryUnknown):
                    await alone.start()

    run(scenario())


def test_the_view_reads_anew_only_when_the_registry_changed(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm = Evm(pool)
            view = RegistryView(pool, ledger.deployment)
            await view.start()
            await view.refresh()
            assert (view.refreshes, view.reloads) == (2, 1)
            org, until = ledger.consortium.index("court"), int(time.time()) + 600
            nonce = await acts.next_nonce(evm, ledger.deployment, org)
            await act(
                ledger, evm, "court-act", act_types.SetHpkeKey(org, b"\x07" * 32, 0, 2**39, nonce, until)
            )
            await view.refresh()
            assert view.reloads == 2
            court = view.organisation(org)
            assert court is not None
            assert court.hpke_key == b"\x07" * 32

    run(scenario())
