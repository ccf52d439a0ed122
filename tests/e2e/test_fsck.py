"""`caseledger fsck` over a real ledger: chain proofs, witnesses, time tokens, stored content, a statement."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from cli.stack import Stack
from evidence.fsck import FsckReport
from ledger_gateway import maintenance
from ledger_gateway.settings import load
from tests.conftest import make_home
from tests.e2e.test_recovery import database
from tests.support.stack import command, wait_for

pytestmark = [pytest.mark.chain, pytest.mark.database, pytest.mark.timeout(900)]
OF_FIRST = "FROM evidence.{0} WHERE number = (SELECT min(number) FROM evidence.batch_proof)"
FLIP = (
    "UPDATE evidence.{0} SET proof = set_byte(proof, {1}, get_byte(proof, {1}) # 1)"
    " WHERE number = (SELECT min(number) FROM evidence.batch_proof)"
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One validator, three witnesses, two authorities; three stored documents; nothing runs but the chain."""
    made = Stack(make_home())
    try:
        made.up(witnesses=3, authorities=2)
        folder = tmp_path_factory.mktemp("documents")
        for number in range(3):
            (folder / f"{number}.pdf").write_bytes(secrets.token_bytes(1000))
        (folder / "how.toml").write_text('source_system = "core banking"\n')
        command(
            made.home, "evidence", "add", *map(str, sorted(folder.glob("*.pdf"))), "--case", "fsck",
            "--class", "contract", "--store", "--to", "3", "--provenance", str(folder / "how.toml"), "--wait",
        )  # fmt: skip
        wait_for(lambda: _attested(made), 120)
        for name in ("gateway", "worker"):
            made.stop_service(name)
        yield made
    finally:
        made.reset()


def _attested(stack: Stack) -> bool:
    async def count() -> bool:
        conn = await database(stack)
        try:
            counts = await conn.fetchrow(
                """SELECT (SELECT count(*) FROM evidence.cosignature) >= 6,
                          (SELECT count(*) FROM evidence.time_token) >= 4,
                          (SELECT count(*) FROM evidence.ers_token) >= 2"""
            )
            return counts is not None and all(counts)
        finally:
            await conn.close()

    return asyncio.run(count())


def look(stack: Stack, **how: Any) -> FsckReport:
    return asyncio.run(maintenance.check(load(stack.home), **how))


def change(stack: Stack, *statements: str) -> list[Any]:
    """With full rights, past all triggers; what the statements return."""

    async def work() -> list[Any]:
        conn = await database(stack)
        try:
            await conn.execute("SET session_replication_role = replica")
            return [await conn.fetchval(one) for one in statements]
        finally:
            await conn.close()

    return asyncio.run(work())


def test_a_whole_ledger_is_clean_and_looked_at_in_every_part(stack: Stack) -> None:
    report = command(stack.home, "fsck")
    assert (report["findings"], report["known"]) == ([], [])
    assert {one["code"] for one in report["notes"]} <= {"ProofPending"}
    parts = ("leaves", "bodies", "proofs", "checkpoints", "cosignatures", "tokens", "records")
    assert all(report[part] > 0 for part in parts), report
    assert (report["chunks"], report["statements"]) == (6, 1)
    assert command(stack.home, "fsck", "--no-content", "--no-chain")["chunks"] == 0


@pytest.mark.parametrize(("table", "rounds"), [("batch_proof", 12), ("key_proof", 8)])
def test_one_changed_byte_anywhere_in_a_chain_proof_is_named_and_captured_again(
    stack: Stack, table: str, rounds: int
) -> None:
    (length,) = change(stack, "SELECT octet_length(proof) " + OF_FIRST.format(table))
    places = [length * n // rounds + secrets.randbelow(length // rounds) for n in range(rounds)]
    for place in places:
        flip = FLIP.format(table, place)
        change(stack, flip)
        found = {one.code for one in look(stack).findings}
        assert found & {"ProofMalformed", "ProofLinkMismatch", "ReceiptInvalid"}, (place, found)
        change(stack, flip)
    change(stack, flip)
    assert {one["place"] for one in command(stack.home, "fsck", expect=20)["findings"]}
    repaired = command(stack.home, "fsck", "--rebuild")
    assert repaired["findings"] == []
    assert repaired["repaired"]
    assert command(stack.home, "fsck")["findings"] == []


def test_a_chunk_that_was_changed_is_named_by_the_command(stack: Stack) -> None:
    path = next(path for path in sorted(stack.home.glob("blobs/*/bafkrei*")))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (finding,) = command(stack.home, "fsck", expect=20)["findings"]
    path.write_bytes(data)
    assert finding["code"] in ("ChunkDamaged", "ManifestDamaged")
    assert finding["detail"] == path.name
