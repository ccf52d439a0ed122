"""Batches over HTTP: whose file, once, whole; acts with the contract's own refusals; rows for recipients."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from protocol.case_acts import CaseAct, Import, Move, Recall
from tests.conftest import PgDatabase
from tests.support.case_batches import KEYS, MadeBatch, assembled, made_batch, recipients

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from agent.intake.opening import open_case
from chain.bindings import CASE_BATCHES
from chain.case_acts import SignedCaseAct, call_for, document
from tests.support.case_desk import Desk, desk
from tests.support.case_world import DAY, OTHER_BANK, POLICE, ZERO
from tests.support.revm import BANK, CENTRE, CHAIN, COURT, FOREVER, REGULATOR

pytestmark = pytest.mark.database
Story = Callable[[Desk], Awaitable[None]]
RULES, TOTALS = b"\x41" * 32, b"\x42" * 32


@pytest.fixture
def tell(pg: PgDatabase, tmp_path: Path) -> Callable[[Story], None]:
    def told(story: Story) -> None:
        async def scenario() -> None:
            async with desk(pg, tmp_path) as here:
                await story(here)

        asyncio.run(asyncio.wait_for(scenario(), 120))

    return told


Tell = Callable[[Story], None]


def batch_of(count: int = 3, *to: int) -> MadeBatch:
    return made_batch(count, owner=BANK, to=recipients(*(to or (BANK, CENTRE))))


async def put(here: Desk, batch: MadeBatch, by: int = BANK, **changes: Any) -> httpx.Response:
    name = changes.get("name", batch.header.batch_id.hex())
    return await here.http.put(
        f"/v1/case-batches/{name}", content=changes.get("data", batch.data), headers=here.headers(by)
    )


async def get(here: Desk, path: str, by: int) -> httpx.Response:
    return await here.http.get(path, headers=here.headers(by))


async def post(
    here: Desk, root: bytes, body: dict[str, Any], by: int = BANK, **headers: str
) -> httpx.Response:
    return await here.http.post(
        f"/v1/case-batches/{root.hex()}/acts", json=body, headers={**here.headers(by), **headers}
    )


def signed(here: Desk, act: CaseAct, signer: int = BANK) -> dict[str, Any]:
    return document(SignedCaseAct(act, here.world.sign(act, signer, CASE_BATCHES)))


def import_of(batch: MadeBatch, **changes: Any) -> Import:
    act = Import(BANK, batch.root, len(batch.rows), RULES, TOTALS, FOREVER)
    return dataclasses.replace(act, **changes)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


async def mined(here: Desk, act: CaseAct, signer: int = BANK) -> None:
    """The transaction that the outbox would send."""
    here.world.chain.send(call_for(act, here.world.sign(act, signer, CASE_BATCHES), here.world.contracts))


async def imported_in_index(pg: PgDatabase, root: bytes, count: int) -> None:
    """What the cursor writes of an import."""
    conn = await asyncpg.connect(pg.dsn("sealer"))
    try:
        number = int.from_bytes(root[:4], "big")
        await conn.execute(
            "INSERT INTO chain.block VALUES ($1, $2, $3, $4)", CHAIN, number, root, 1_800_000_000
        )
        await conn.execute(
            """INSERT INTO cases.batch_event
                   (chain_id, contract, sequence, root, recalled, organisation, count, policy, rules, totals,
                    time, block_number, transaction_hash)
               VALUES ($1, $2, $3, $4, false, $5, $6, 1, $7, $8, 1800000000, $3, $4)""",
            CHAIN, bytes(20), number, root, BANK, count, RULES, TOTALS,
        )  # fmt: skip
        await conn.execute("UPDATE cases.case SET listed = true WHERE root = $1", root)
    finally:
        await conn.close()


def test_a_file_comes_in_once_and_only_its_owner_centre_and_regulator_know_of_it(tell: Tell) -> None:
    async def story(here: Desk) -> None:
        batch = batch_of()
        path = f"/v1/case-batches/{batch.root.hex()}"
        assert code_of(await get(here, path, BANK)) == (404, "BatchNotHere")
        first, second = await put(here, batch), await put(here, batch)
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json() == second.json()
        assert first.json() == {
            "batchId": batch.header.batch_id.hex(), "root": batch.root.hex(), "count": 3
        }  # fmt: skip
        for organisation in (BANK, CENTRE, REGULATOR):
            found = (await get(here, path, organisation)).json()
            assert (found["state"], found["count"], found["moved"]) == ("received", 3, 0)
            listed = (await get(here, "/v1/case-batches", organisation)).json()
            assert found in listed["items"]
        for organisation in (OTHER_BANK, COURT, POLICE):
            assert code_of(await get(here, path, organisation)) == (404, "BatchNotHere")
            assert (await get(here, "/v1/case-batches", organisation)).json() == {"items": [], "next": None}
        assert code_of(await here.http.get(path)) == (401, "NotAuthenticated")
        assert code_of(await here.http.put(path, content=batch.data)) == (401, "NotAuthenticated")

    tell(story)


def test_what_is_not_a_whole_file_of_the_caller_is_refused(tell: Tell) -> None:
    async def story(here: Desk) -> None:
        batch = batch_of()
        assert code_of(await put(here, batch, OTHER_BANK)) == (403, "BatchOfAnother")
        assert code_of(await put(here, batch, data=batch.data[:-1])) == (422, "BatchNotWhole")
        assert code_of(await put(here, batch, data=b"")) == (422, "BatchNotWhole")
        assert code_of(await put(here, batch, data=b"PK\x03\x04" + bytes(200))) == (422, "MalformedInput")
        assert code_of(await put(here, batch, name=secrets.token_hex(32))) == (422, "MalformedInput")
        assert code_of(await put(here, batch, name="x")) == (422, "MalformedInput")
        assert code_of(await put(here, batch, name="A" * 64)) == (422, "MalformedInput")
        assert (await put(here, batch)).status_code == 201
        later = assembled(batch.rows, dataclasses.replace(batch.header, made_at=1))
        assert code_of(await put(here, later)) == (409, "BatchDiffers")
        mixed = assembled([*batch_of(1).rows, batch.rows[0]], batch_of(1).header)
        assert code_of(await put(here, mixed)) == (409, "CaseInOtherBatch")
        headers = {**here.headers(BANK), "content-length": str(1 << 40)}
        path = f"/v1/case-batches/{secrets.token_hex(32)}"
        assert code_of(await here.http.put(path, content=b"x", headers=headers)) == (413, "BodyTooLarge")

    tell(story)


def test_an_import_is_relayed_once_its_file_is_here(tell: Tell) -> None:
    async def story(here: Desk) -> None:
        batch = batch_of()
        act = import_of(batch)
        assert code_of(await post(here, batch.root, signed(here, act))) == (404, "BatchNotHere")
        await put(here, batch)
        answer = await post(here, batch.root, signed(here, act))
        assert answer.status_code == 202
        assert (answer.json()["act"], answer.json()["state"]) == ("Import", "ready")
        assert (await post(here, batch.root, signed(here, act))).json()["id"] == answer.json()["id"]
        assert await here.rows() == (0, 1)
        shown = await here.http.get(f"/v1/acts/{answer.json()['id']}")
        assert shown.json()["state"] == "ready"
        await mined(here, act)
        # The contract's own words for a second one; any member's gateway would say the same.
        again = signed(here, import_of(batch, valid_until=FOREVER - 1))
        assert code_of(await post(here, batch.root, again)) == (409, "BatchKnown")

    tell(story)


def test_acts_that_are_not_of_this_batch_are_refused_and_nothing_goes_out(tell: Tell) -> None:
    async def story(here: Desk) -> None:
        batch, other = batch_of(), batch_of()
        await put(here, batch)

        async def refused(act: CaseAct, by: int = BANK, signer: int = BANK) -> tuple[int, str]:
            return code_of(await post(here, batch.root, signed(here, act, signer), by))

        now = here.world.chain.now
        move = Move(ZERO, 1, 1, BANK, 0, 0, ZERO, ZERO, ZERO, FOREVER)
        assert await refused(move) == (422, "UnknownAct")
        assert await refused(import_of(other)) == (422, "MalformedInput")
        assert await refused(import_of(batch, count=2)) == (422, "MalformedInput")
        assert await refused(import_of(batch, organisation=OTHER_BANK)) == (403, "BatchOfAnother")
        assert await refused(import_of(batch), by=OTHER_BANK) == (404, "BatchNotHere")
        # The contract's refusals, simulated.
        assert await refused(import_of(batch), signer=OTHER_BANK) == (403, "RegistryKeyOrganisation")
        assert await refused(import_of(batch, valid_until=now - 1)) == (403, "ActExpired")
        assert await refused(Recall(BANK, batch.root, FOREVER)) == (404, "BatchUnknown")
        for body in ({}, {"act": "Import"}, {**signed(here, import_of(batch)), "x": 1}):
            assert code_of(await post(here, batch.root, body)) == (422, "MalformedInput")
        assert await here.rows() == (0, 0)

    tell(story)


def test_a_recall_goes_out_within_a_day_and_not_later(tell: Tell) -> None:
    async def story(here: Desk) -> None:
        batch = batch_of()
        await put(here, batch)
        await mined(here, import_of(batch))
        recall = Recall(BANK, batch.root, FOREVER)
        snapshot = here.world.chain.evm.snapshot()
        assert (await post(here, batch.root, signed(here, recall))).status_code == 202
        here.world.chain.warp(DAY + 1)
        late = signed(here, dataclasses.replace(recall, valid_until=FOREVER - 1))
        assert code_of(await post(here, batch.root, late)) == (409, "BatchRecallTooLate")
        here.world.chain.evm.revert(snapshot)

    tell(story)


def test_rows_go_to_recipients_and_open_with_their_keys(tell: Tell, pg: PgDatabase) -> None:
    async def story(here: Desk) -> None:
        batch = batch_of(5, BANK, CENTRE)
        await put(here, batch)
        case = batch.leaves[2].case_id
        path = f"/v1/cases/{case.hex()}/row"
        assert code_of(await get(here, path, CENTRE)) == (404, "CaseNotHere")
        await imported_in_index(pg, batch.root, 5)
        for organisation in (BANK, CENTRE):
            answer = await get(here, path, organisation)
            assert answer.headers["cache-control"] == "no-store"
            key = KEYS[organisation].private_bytes_raw()
            opened = open_case(answer.json(), case, organisation, key)
            assert (opened.row.contract, opened.index, opened.size) == ("JK-2", 2, 5)
        for organisation in (OTHER_BANK, COURT, REGULATOR, POLICE):
            nothing = await get(here, f"/v1/cases/{secrets.token_hex(32)}/row", organisation)
            refused = await get(here, path, organisation)
            assert code_of(refused) == code_of(nothing) == (404, "CaseNotHere")
            assert {**refused.json(), "instance": ""} == {**nothing.json(), "instance": ""}
        assert code_of(await here.http.get(path)) == (401, "NotAuthenticated")

    tell(story)
