"""Organisations' acts carried by a relay, by services with few rights, and without any gateway."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import time
import unittest.mock
from pathlib import Path

import asyncpg
import pytest

from agent.keys import KeyLabel, Secp256k1Key, new_key, save_key
from chain import acts
from chain.cursor import EventCursor, ledger_events
from chain.errors import ContractReverted
from chain.evm import Evm
from chain.outbox import State
from chain.outbox_worker import Worker
from chain.registry_view import RegistryView
from cli.main import main
from ledger_gateway.acts import Relay, parse_act
from protocol import acts as act_types
from protocol.acts import Purpose
from protocol.expect import UINT40_MAX
from protocol.keyslot import KeyState
from storage.db import connect_pool
from tests.conftest import PgDatabase
from tests.support.ledger import Ledger, database, run

pytestmark = [pytest.mark.chain, pytest.mark.database]


async def settle(worker: Worker) -> None:
    while await worker.run_once():  # noqa: ASYNC110 - the chain is what is waited for
        await asyncio.sleep(0.05)


def until() -> int:
    return int(time.time()) + 600


def fresh_key(name: str, organisation: int) -> Secp256k1Key:
    key = new_key("secp256k1", KeyLabel(name, "act", organisation))
    assert isinstance(key, Secp256k1Key)
    return key


def test_a_relayed_act_is_executed_once_and_a_replay_is_refused_by_the_state(
    ledger: Ledger, dsn: str
) -> None:
    async def scenario() -> None:
        async with database(dsn) as db, ledger.pool() as pool:
            evm, outbox = Evm(pool), ledger.outbox(1)
            async with db.acquire() as conn:
                await outbox.register(conn, evm)
            worker = Worker(db, evm, outbox)
            org = ledger.consortium.index("bank-a")
            nonce = await acts.next_nonce(evm, ledger.deployment, org)
            request = act_types.SetHpkeKey(org, b"\x21" * 32, 0, UINT40_MAX, nonce, until())
            signature = acts.sign(request, ledger.deployment, ledger.key("bank-a-act"))
            relay = Relay(db, evm, outbox, ["relayer-1"], ledger.deployment)
            first = await relay.submit(acts.document(request, signature))
            assert await relay.submit(acts.document(request, signature)) == first
            await settle(worker)
            assert (await relay.outcome(first.id)).state is State.MINED
            assert await acts.next_nonce(evm, ledger.deployment, org) == nonce + 1
            with pytest.raises(ContractReverted) as caught:
                await ledger.send(evm, acts.call_for(request, signature, ledger.deployment))
            assert caught.value.code == "RegistryNonceMismatch"
            before = await db.fetchval("select count(*) from chain.outbox")
            other_v = signature[:-1] + bytes([55 - signature[-1]])
            with pytest.raises(ContractReverted):
                await relay.submit(acts.document(request, other_v))
            for wrong, code in (
                (act_types.RevokeKey(org, b"\x01" * 20, nonce + 1, until()), "RegistryKeyOrganisation"),
                (act_types.RevokeKey(org, b"\x01" * 20, nonce + 1, 1), "ActExpired"),
                (act_types.Suspend(org, 1, b"\x01" * 32, nonce + 1, until()), "RegistryNotRegulator"),
            ):
                signature = acts.sign(wrong, ledger.deployment, ledger.key("bank-a-act"))
                with pytest.raises(ContractReverted) as caught:
                    await relay.submit(acts.document(wrong, signature))
                assert caught.value.code == code
            assert await db.fetchval("select count(*) from chain.outbox") == before
            with pytest.raises(acts.ActNotOnChain):
                acts.call_for(act_types.Approve(b"\x01" * 32, org, until()), b"", ledger.deployment)

    run(scenario())


def test_a_key_rotation_live_old_key_out_new_key_in(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm, org = Evm(pool), ledger.consortium.index("bank-b")
            old, new = ledger.key("bank-b-act"), fresh_key("rotated", org)
            view = RegistryView(pool, ledger.deployment)
            await view.start()

            async def carry(request: act_types.Act, key: Secp256k1Key) -> None:
                signature = acts.sign(request, ledger.deployment, key)
                await ledger.send(evm, acts.call_for(request, signature, ledger.deployment))

            nonce = await acts.next_nonce(evm, ledger.deployment, org)
            announce = act_types.AnnounceKey(org, new.address, Purpose.ACT, 0, UINT40_MAX, nonce, until())
            await carry(announce, old)
            await view.refresh()
            announced = view.key(new.address)
            assert announced is not None
            assert announced.state is KeyState.ANNOUNCED
            assert not announced.valid_at(int(time.time()))
            await asyncio.sleep(2)
            accept = act_types.AcceptKey(org, new.address, until())
            with pytest.raises(ContractReverted):
                await carry(accept, old)
            await carry(accept, new)
            with pytest.raises(ContractReverted) as caught:  # an act key cannot revoke itself
                await carry(act_types.RevokeKey(org, new.address, nonce + 1, until()), new)
            assert caught.value.code == "RegistryKeyCannotRevokeItself"
            await carry(act_types.RevokeKey(org, old.address, nonce + 1, until()), new)
            with pytest.raises(ContractReverted) as caught:
                await carry(act_types.SetHpkeKey(org, b"\x01" * 32, 0, 1, nonce + 2, until()), old)
            assert caught.value.code == "RegistryKeyRevoked"
            await view.refresh()
            gone, active = view.key(old.address), view.key(new.address)
            assert gone is not None
            assert active is not None
            now = (await evm.head()).time
            assert (gone.valid_at(now), active.valid_at(now)) == (False, True)
            assert gone.valid_at(gone.revoked_at - 1)

    run(scenario())


def test_the_documents_form_round_trips_through_the_gateways_parser(ledger: Ledger) -> None:
    for request in (
        act_types.AnnounceKey(5, b"\x31" * 20, 3, 0, UINT40_MAX, 0, 99),
        act_types.RevokeKey(5, b"\x31" * 20, 1, 99),
        act_types.SetHpkeKey(5, b"\x32" * 32, 1, 2, 3, 4),
        act_types.Object(b"\x33" * 32, 3, 99),
        act_types.Anchor(b"\x34" * 32, 1, 2, b"\x35" * 32, b"\x36" * 32, 9),
    ):
        proof = (b"\x37" * 32,) if isinstance(request, act_types.Anchor) else ()
        document = json.loads(json.dumps(acts.document(request, b"\x01" * 65, proof=proof)))
        assert parse_act(document, ledger.deployment).call == acts.call_for(
            request, b"\x01" * 65, ledger.deployment, proof=proof
        )


# Rights


def test_services_work_with_their_own_roles_and_no_more(ledger: Ledger, dsn: str, pg: PgDatabase) -> None:
    async def scenario() -> None:
        gateway = await connect_pool(pg.dsn("gateway"))
        sealer = await connect_pool(pg.dsn("sealer"))
        reader = await connect_pool(pg.dsn("reader"))
        try:
            async with ledger.pool() as pool:
                evm, outbox = Evm(pool), ledger.outbox(2)
                async with gateway.acquire() as conn:
                    await outbox.register(conn, evm)
                async with gateway.acquire() as conn, conn.transaction():
                    await outbox.enqueue(conn, "relayer-2", b"\x77" * 20, b"", 24_000, "rights")
                worker = Worker(sealer, evm, outbox)
                await settle(worker)
                cursor = EventCursor(sealer, pool, ledger_events(ledger.deployment))
                while await cursor.run_once():
                    pass
                async with reader.acquire() as conn:
                    outcome = await outbox.outcome(conn, "rights")
                assert outcome is not None
                assert outcome.state is State.MINED
                for role, statement in (
                    (reader, "update chain.lane set next_nonce = 0"),
                    (reader, "delete from chain.event"),
                    (gateway, "update chain.outbox set state = 'mined'"),
                    (gateway, "delete from chain.block"),
                    (gateway, "update chain.lease set epoch = 9"),
                    (sealer, "delete from chain.outbox"),
                    (sealer, "drop table chain.event"),
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await role.execute(statement)
        finally:
            for role in (gateway, sealer, reader):
                await role.close()

    run(scenario())


# The command, without gateway and database


@pytest.fixture(scope="module")
def home(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as an organisation has it: the record, its keys, a relayer key."""
    home = tmp_path_factory.mktemp("bank")
    shutil.copy(ledger.home / "deployment.json", home)
    shutil.copytree(ledger.home / "keys", home / "keys")
    shutil.copy(ledger.network.home / "keys" / "relayer-3.key", home / "keys")
    return home


def command(home: Path, *arguments: str, code: int = 0) -> dict[str, object]:
    """One run of the command, in this process: an interpreter's start for each would only cost time."""
    out, err = io.StringIO(), io.StringIO()
    with (
        unittest.mock.patch.dict(os.environ, {"CASELEDGER_HOME": str(home), "CASELEDGER_LANG": "en"}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(home),
    ):
        returned = main([*arguments, "--json"])
    assert returned == code, err.getvalue()
    value = json.loads((out if code == 0 else err).getvalue().strip().splitlines()[-1])
    assert isinstance(value, dict)
    return value


def test_a_bank_acts_through_its_own_node_without_a_gateway(ledger: Ledger, home: Path) -> None:
    own = ledger.network.rpc_urls[0]
    sent = command(home, "act", "set-hpke", "bank-a-hpke", "--key", "bank-a-act", "--rpc", own)
    assert isinstance(sent["block"], int)
    file = home / "act.json"
    command(home, "act", "set-hpke", "22" * 32, "--key", "bank-a-act", "--sign-only", str(file))
    assert isinstance(command(home, "act", "send", str(file))["block"], int)
    refused = command(home, "act", "send", str(file), code=1)
    assert refused["code"] == "RegistryNonceMismatch"
    missing = command(home, "act", "send", "nowhere.json", code=1)
    assert missing["code"] == "ActFileUnreadable"


def test_an_organisation_rotates_its_key_by_command(ledger: Ledger, home: Path) -> None:
    index = ledger.consortium.index("centre")
    save_key(fresh_key("centre-next", index), home / "keys")
    command(home, "act", "announce-key", "centre-next", "--purpose", "auth", "--key", "centre-act")
    time.sleep(2)
    command(home, "act", "accept-key", "--key", "centre-next")
    command(home, "act", "revoke-key", "centre-next", "--key", "centre-act")
    again = command(home, "act", "revoke-key", "centre-next", "--key", "centre-act", code=1)
    assert again["code"] == "RegistryKeyRevoked"


def test_a_proposal_travels_between_organisations_as_a_file(ledger: Ledger, home: Path) -> None:
    proposal = home / "proposal.json"
    drafted = command(home, "act", "propose", str(proposal), "--open-log", "by.command/log")
    for who in ("court", "centre"):
        command(home, "act", "approve", str(proposal), "--key", f"{who}-act")
    early = command(home, "act", "schedule", str(proposal), code=1)
    assert early["code"] == "GovernanceTooFewApprovals"
    approved = command(home, "act", "approve", str(proposal), "--key", "regulator-act")
    assert approved["approvals"] == [1, 3, 4]
    assert approved["proposal"] == drafted["proposal"]
    command(home, "act", "schedule", str(proposal))
    time.sleep(2)
    command(home, "act", "execute", str(proposal))
    ended = command(home, "act", "object", str(proposal), "--key", "court-act", code=1)
    assert ended["code"] == "GovernanceProposalNotScheduled"


def test_deploy_checks_what_is_there(ledger: Ledger, home: Path) -> None:
    record = command(home, "deploy", "--check")
    assert record["chainId"] == ledger.deployment.chain_id
    broken = home / "broken"
    broken.mkdir()
    text = (home / "deployment.json").read_text()
    (broken / "deployment.json").write_text(
        text.replace(ledger.deployment.registry.code_hash.hex(), "00" * 32)
    )
    refused = command(broken, "deploy", "--check", code=1)
    assert refused["code"] == "DeploymentMismatch"
