"""kill -9 of the real worker at every point of the keeper, on a BFT chain: a hundred deadlines, each once."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from agent.keys import key_path, load_secp256k1
from cases.accounting import Change, Outcome, account
from cases.batch_repository import levels_of
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain import case_record, direct
from chain import deployment as deployments
from chain.case_acts import call_for, sign
from chain.configuration import pool_of
from chain.evm import Evm
from chain.signer import load_relayer
from protocol.case_acts import Import
from protocol.case_batch import CaseLeaf, batch_root, leaf_hash
from storage.cluster import Cluster
from storage.roles import DATABASE
from tests.support.faulty import FaultyStack
from tests.support.stack import command, wait_for

pytestmark = [pytest.mark.chain, pytest.mark.database, pytest.mark.slow]
DEADLINES = 100
POINTS = (
    "keep.watching", "keep.watched", "remind.made", "remind.committed", "keep.sending", "keep.sent",
    "keep.settled", "keep.sending", "keep.sent",
)  # fmt: skip
PATIENCE = 240.0
BANK = "bank-a"


def query(home: Path, text: str, *values: Any) -> list[asyncpg.Record]:
    async def asked() -> list[asyncpg.Record]:
        conn = await asyncpg.connect(Cluster(home).superuser_dsn(DATABASE))
        try:
            return list(await conn.fetch(text, *values))
        finally:
            await conn.close()

    return asyncio.run(asked())


def bring_cases(home: Path) -> bytes:
    """A batch of a bank, its file in the database and its root on the chain; the root."""
    deployment, record = deployments.load(home), case_record.load(home)
    act_key = load_secp256k1(key_path(home / "keys", f"{BANK}-act"))
    owner = act_key.label.organisation
    assert owner is not None
    leaves = [CaseLeaf(1, owner, secrets.token_bytes(32), secrets.token_bytes(32)) for _ in range(DEADLINES)]
    hashes = [leaf_hash(leaf.encode()) for leaf in leaves]
    root = batch_root(hashes)

    async def bring() -> None:
        conn = await asyncpg.connect(Cluster(home).superuser_dsn(DATABASE))
        async with conn.transaction():
            await conn.execute(
                """INSERT INTO cases.batch (root, batch_id, owner, count, made_at, received_at, file_digest,
                                            recipients, recipient_keys)
                   VALUES ($1, $1, $2, $3, 0, 0, $1, $4, $5)""",
                root, owner, len(leaves), [owner], [bytes(32)],
            )  # fmt: skip
            for level, nodes in enumerate(levels_of(b"".join(hashes))):
                await conn.execute("INSERT INTO cases.batch_level VALUES ($1, $2, $3)", root, level, nodes)
            await conn.executemany(
                """INSERT INTO cases.case (case_id, root, position, owner, product, commitment)
                   VALUES ($1, $2, $3, $4, $5, $6)""",
                [
                    (leaf.case_id, root, at, leaf.owner, leaf.product, leaf.commitment)
                    for at, leaf in enumerate(leaves)
                ],
            )
        await conn.close()
        act = Import(owner, root, len(leaves), bytes(32), bytes(32), int(time.time()) + 600)
        call = call_for(act, sign(act, record.contracts, act_key), record.contracts)
        async with pool_of(deployment) as pool:
            deployer = load_relayer(home / "keys" / "deployer.key")
            await direct.send(Evm(pool), deployer, call, chain_id=deployment.chain_id, gas_price=1)

    asyncio.run(bring())
    return root


def strike(stack: FaultyStack, point: str) -> None:
    """The worker ends itself at the point; then somebody starts it again."""
    stack.arm(point)

    def dead() -> bool:
        return stack.was_hit(point) and not stack.alive("worker")

    wait_for(dead, PATIENCE, 0.05)
    stack.start("worker")


@pytest.mark.timeout(1500)
def test_the_real_worker_killed_at_every_point_keeps_each_of_a_hundred_deadlines_once(home: Path) -> None:
    stack = FaultyStack(home)
    stack.up(validators=1, test_clock=True)
    try:
        stack.arm(POINTS[0])
        root = bring_cases(home)
        for point in POINTS:
            strike(stack, point)

        def settled() -> bool:
            (row,) = query(
                home,
                """SELECT (SELECT count(*) FROM cases.change WHERE kind = 'overdue') AS marks,
                          (SELECT count(*) FROM cases.timed_act WHERE state IS NULL) AS open""",
            )
            return bool(row["marks"] >= DEADLINES and row["open"] == 0)

        wait_for(settled, PATIENCE, 0.5)
        once_each(home, root)
        reminded_through_the_gateway(home)
        fares_well(stack)
    finally:
        stack.down()


def once_each(home: Path, root: bytes) -> None:
    brought = query(home, "SELECT case_id FROM cases.case WHERE root = $1", root)
    ids = {bytes(row["case_id"]) for row in brought}
    assert len(ids) == DEADLINES
    changes = [Change.from_row(row) for row in query(home, "SELECT * FROM cases.change ORDER BY sequence")]
    marks = Counter(change.case_id for change in changes if change.kind == "overdue")
    assert marks == dict.fromkeys(ids, 1)
    acts = query(home, "SELECT case_id, attempt, state FROM cases.timed_act")
    assert Counter((row["attempt"], row["state"]) for row in acts) == {(1, "mined"): DEADLINES}
    sent = query(home, "SELECT state FROM chain.outbox WHERE business_key LIKE 'overdue:%'")
    assert [row["state"] for row in sent] == ["mined"] * DEADLINES
    reminders = query(home, "SELECT case_id, percent, position FROM cases.reminder ORDER BY position")
    assert Counter((bytes(row["case_id"]), row["percent"]) for row in reminders) == {
        (one, percent): 1 for one in ids for percent in (50, 80, 100)
    }
    assert [row["position"] for row in reminders] == list(range(1, 3 * DEADLINES + 1))
    found = account(changes, LIFECYCLE_V1.with_test_clock(), int(time.time()))
    assert found.counts == {Outcome.OVERDUE: DEADLINES}


def reminded_through_the_gateway(home: Path) -> None:
    """As the bank asks for them; another bank gets none, and the status says how the keeper fares."""
    as_bank = ("case", "reminders", "--key", f"{BANK}-act", *organisation(home, BANK))
    own = command(home, *as_bank)
    assert len({one["id"] for one in own["items"]}) == 3 * DEADLINES
    assert {one["testClock"] for one in own["items"]} == {True}
    again = command(home, *as_bank, "--after", str(own["next"]))
    assert again == {"items": [], "next": own["next"]}
    other = command(home, "case", "reminders", "--key", "bank-b-act", *organisation(home, "bank-b"))
    assert other["items"] == []


def organisation(home: Path, slug: str) -> tuple[str, str]:
    label = load_secp256k1(key_path(home / "keys", f"{slug}-act")).label
    return "--organisation", str(label.organisation)


def fares_well(stack: FaultyStack) -> None:
    """What the operator sees: nothing late, nothing given up, a round just now."""
    keeper = httpx.get(f"{stack.gateway_url}/v1/status", trust_env=False).json()["keeper"]
    assert (keeper["trouble"], keeper["lateSeconds"], keeper["sending"], keeper["givenUp"]) == (None, 0, 0, 0)
    assert abs(time.time() - keeper["lookedAt"]) < PATIENCE
    shown = httpx.get(f"{stack.gateway_url}/metrics", trust_env=False).text
    assert "caseledger_keeper_late_seconds 0.0" in shown
    assert "caseledger_keeper_given_up 0.0" in shown
