"""The gateway's HTTP for acts on cases over a real database and the real contracts in revm.

Import only where pyrevm is installed (`pytest.importorskip("pyrevm")`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx

from agent.login import LoginTokens
from cases.acting import CaseActs
from cases.batch_intake import BatchIntake
from cases.batch_repository import levels_of
from cases.batches import Batches
from cases.carrying import ActQueue
from cases.decisions import Decisions
from cases.looks import Looks
from cases.sealed_rows import SealedRows
from chain.bindings import EVIDENCE_LOG, REGISTRY
from chain.case_acts import SignedCaseAct, document
from chain.case_state import CaseReader
from chain.evm import Evm
from chain.outbox import Outbox, Settings
from chain.signer import RelayerKey
from evidence.logs import create_log
from evidence.ports import OrganisationState
from evidence.repository import key_of
from evidence.tiles import extend
from ledger_gateway.acts import Relay
from ledger_gateway.app import build
from ledger_gateway.auth import Authenticator
from ledger_gateway.case_batches import CaseBatches
from ledger_gateway.edge import Edge
from ledger_gateway.metrics import Metrics
from ledger_gateway.rate import RateLimiter
from ledger_gateway.settings import Settings as GatewaySettings
from protocol.acts import Domain, Purpose
from protocol.case_acts import CaseAct
from protocol.hashing import SHA256, keccak256
from storage.db import Pool, connect_pool, migrate
from tests.conftest import PgDatabase
from tests.support.case_batches import Recipients
from tests.support.case_world import ALL_ROLES, CASES, ORIGIN, World, case_id, leaf_hash
from tests.support.evidence import Members, slot
from tests.support.revm import BANK, CENTRE, CHAIN
from tests.support.revm_node import RevmNode
from tests.support.testkeys import address_of, private_key, signature
from verifier.merkle_tree import tree_root

AUDIENCE = "http://desk"
PRIVILEGED, FROM_CENTRE = range(2)


class DeskWorld(World):
    """With entries that the guard has to refuse, or that only one organisation may see."""

    def further_leaves(self, first: int) -> list[bytes]:
        """In order: the bank's privileged contract of case 0, the centre's contract of case 0."""
        made = []
        for at, (submitter, flags) in enumerate(((BANK, 1), (CENTRE, 0)), start=first + 1):
            head = bytes([1, 1, 0, flags]) + submitter.to_bytes(4, "big") + at.to_bytes(8, "big")
            commitment = SHA256.digest(b"caseledger/case/v1" + case_id(0))
            made.append(head + commitment + keccak256(head) + bytes(32))
        self.further = first
        return made

    def further_id(self, which: int) -> bytes:
        """Evidence id of one of them."""
        return leaf_hash(self.leaves[self.further + which])

    def evidence_ids(self, which: int, step: Any) -> tuple[bytes, ...]:
        """What a step needs, from the first submitter who will do."""
        from tests.support.case_world import submitters

        return tuple(
            leaf_hash(self.leaves[self.entries[which, need.classes[0], submitters(need.roles)[0]]])
            for need in step.evidence
        )


@dataclass
class Desk:
    """A client of the routes, and what stands behind them."""

    world: DeskWorld
    http: httpx.AsyncClient
    pool: Pool
    acts: CaseActs
    members: Members

    def document(
        self,
        act: CaseAct,
        signers: Sequence[int],
        evidence: Sequence[bytes] = (),
    ) -> dict[str, Any]:
        """Signed by these organisations, in order."""
        signed = [self.world.sign(act, signer) for signer in signers]
        first, second = (*signed, b"", b"")[:2]
        return document(SignedCaseAct(act, first, second, tuple(evidence)))

    def headers(self, organisation: int) -> dict[str, str]:
        """A login."""
        signer = Signs(organisation)
        domain = Domain(CHAIN, self.world.chain.at[EVIDENCE_LOG])
        token = LoginTokens(signer, organisation, domain, lambda: self.world.chain.now).token(AUDIENCE)
        return {"authorization": f"Bearer {token}"}

    async def post(self, which: int, body: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.http.post(f"/v1/cases/{case_id(which).hex()}/acts", json=body, headers=headers)

    async def rows(self) -> tuple[int, int]:
        """Acts that are kept, and transactions or acts that wait for one."""
        acts = await self.pool.fetchval("select count(*) from cases.act")
        sent = await self.pool.fetchval(
            """select (select count(*) from chain.outbox)
                   + (select count(*) from cases.carried where business_key is null)"""
        )
        return int(acts), int(sent)


@dataclass(frozen=True)
class Signs:
    """An organisation's login key."""

    organisation: int

    @property
    def address(self) -> bytes:
        return address_of(private_key(Purpose.AUTH, self.organisation))

    def sign_digest(self, digest: bytes) -> bytes:
        return signature(private_key(Purpose.AUTH, self.organisation), digest)


@asynccontextmanager
async def desk(pg: PgDatabase, home: Path, world: DeskWorld | None = None) -> AsyncIterator[Desk]:
    """The routes, with the world's batch and entries in the database."""
    made = world or DeskWorld()
    await migrate(pg.dsn("migrator"))
    await _fill(pg, made)
    pool = await connect_pool(pg.dsn("gateway"), max_size=4)
    try:
        evm = Evm(RevmNode(made.chain))
        key = RelayerKey.from_secret("desk-1", b"\x07" * 32)
        outbox = Outbox(Settings(CHAIN, 1), {"desk-1": key})
        async with pool.acquire() as conn:
            await outbox.register(conn, evm)
        relay = Relay(pool, evm, outbox, ["desk-1"], None)  # type: ignore[arg-type]  # for other acts
        members = Members()
        for organisation, roles in ALL_ROLES.items():
            members.organisations[organisation] = OrganisationState(organisation, roles, True)
            members.slots[Signs(organisation).address] = slot(organisation, purpose=Purpose.AUTH)
        acts = CaseActs(
            pool, CaseReader(evm, made.contracts),
            ActQueue(pool, evm, outbox, "desk-1", lambda: made.chain.now),
            lambda index: ALL_ROLES.get(index, 0), made.machine.calendar, lambda: made.chain.now,
        )  # fmt: skip
        app = build()
        batches = CaseBatches(
            BatchIntake(pool, SealedRows(), Recipients(), home / "incoming", lambda: made.chain.now),
            Batches(pool, SealedRows(), Looks(pool), lambda: made.chain.now), relay, made.contracts,
        )  # fmt: skip
        decisions = Decisions(pool, Looks(pool), lambda: made.chain.now)
        app.state.gateway = _gateway(made, members, acts, batches, decisions, home)
        transport = httpx.ASGITransport(app=Edge(app, Metrics()))
        async with httpx.AsyncClient(transport=transport, base_url=AUDIENCE) as http:
            yield Desk(made, http, pool, acts, members)
    finally:
        await pool.close()


def _gateway(
    world: DeskWorld, members: Members, acts: CaseActs, batches: CaseBatches, decisions: Decisions, home: Path
) -> Any:
    """What these routes use of a gateway."""
    domain = Domain(CHAIN, world.chain.at[EVIDENCE_LOG])
    return SimpleNamespace(
        settings=GatewaySettings(home=home),
        unproven=RateLimiter(1e9, 1e9, lambda: 0.0),
        limiter=RateLimiter(1e9, 1e9, lambda: 0.0),
        auth=Authenticator(
            audience=AUDIENCE, domain=domain, keys=members.key, clock=lambda: float(world.chain.now)
        ),
        base=SimpleNamespace(chain=SimpleNamespace(registry=members)),
        relay=batches.relay,
        cases=SimpleNamespace(acts=acts, batches=batches, decisions=decisions),
    )


async def _fill(pg: PgDatabase, world: DeskWorld) -> None:
    """The batch file and the anchored log, as their own services would leave them."""
    conn = await asyncpg.connect(pg.dsn("migrator"))
    try:
        await conn.execute("DELETE FROM cases.act; DELETE FROM cases.carried; DELETE FROM chain.outbox")
        if await conn.fetchval("select count(*) from cases.batch"):
            return
        await _batch(conn, world)
        await _log(conn, world)
    finally:
        await conn.close()


async def _batch(conn: Any, world: DeskWorld) -> None:
    root, now = world.batch, world.imported
    await conn.execute(
        """INSERT INTO cases.batch (root, batch_id, owner, count, made_at, received_at, file_digest,
                                    recipients, recipient_keys)
           VALUES ($1, $1, $2, $3, $4, $4, $1, $5, $6)""",
        root, BANK, CASES, now, [CENTRE], [bytes(32)],
    )  # fmt: skip
    leaves = b"".join(
        leaf_hash(bytes([1, 1, 0, 0]) + BANK.to_bytes(4, "big") + case_id(at) + world.commitments[at])
        for at in range(CASES)
    )
    for level, hashes in enumerate(levels_of(leaves)):
        await conn.execute("INSERT INTO cases.batch_level VALUES ($1, $2, $3)", root, level, hashes)
    for at in range(CASES):
        await conn.execute(
            """INSERT INTO cases.case (case_id, root, position, owner, product, commitment)
               VALUES ($1, $2, $3, $4, 1, $5)""",
            case_id(at), root, at, BANK, world.commitments[at],
        )  # fmt: skip


async def _log(conn: Any, world: DeskWorld) -> None:
    log = await create_log(
        conn, origin=ORIGIN, chain_id=CHAIN, contract=world.chain.at[EVIDENCE_LOG],
        registry=world.chain.at[REGISTRY], operator=CENTRE, now=world.imported,
    )  # fmt: skip
    count = len(world.leaves)
    await conn.executemany(
        "INSERT INTO evidence.entry VALUES ($1, $2, $3, $4, $5, $6, $2, NULL)",
        [
            (log.log_no, at, leaf, key_of(leaf_hash(leaf)), leaf_hash(leaf)[:16], key_of(leaf[16:48]))
            for at, leaf in enumerate(world.leaves)
        ],
    )
    await conn.execute(
        "INSERT INTO evidence.promise_group VALUES ($1, 0, $2, $3, $3, ''::bytea, $4, $5)",
        log.log_no, count, world.imported, bytes(64), bytes(32),
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO evidence.submission VALUES ($1, 0, $2, $3, 1, $4, 0, 0, $5, $6, $7)",
        log.log_no, count, BANK, world.imported, bytes(32), bytes(65), bytes(20),
    )  # fmt: skip
    _, number, previous, size, root, _, time = world.link
    assert root == tree_root(SHA256, [SHA256.leaf(leaf) for leaf in world.leaves])
    await conn.execute(
        "INSERT INTO evidence.batch VALUES ($1, $2, 0, $3, $4, $5, $6)",
        log.log_no, number, size, root, bytes(32), time,
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO evidence.anchor VALUES ($1, $2, $3, $4, $5, 1, $6, $6)",
        log.log_no, number, previous, bytes(32), time, bytes(32),
    )  # fmt: skip
    await extend(conn, log.log_no, count)
