"""A rewritten log, a stolen anchor key, a restored database: on the real chain, with the docs' commands."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from agent.hashing import hash_file
from agent.keys import key_path, load_secp256k1
from chain import consortium as consortiums
from chain import deployment as deployments
from chain.configuration import pool_of
from chain.direct import send
from chain.engines import profile
from chain.errors import ContractReverted
from chain.evm import Evm
from chain.signer import load_relayer
from chain.transactions import Call
from cli.stack import ServiceNotReady, Stack
from evidence import fsck
from evidence.contract import anchor_call
from evidence.tiles import TileReader, extend
from protocol.acts import Anchor
from protocol.hashing import SHA256
from protocol.identifiers import log_id
from storage.cluster import Cluster
from storage.roles import DATABASE
from tests.conftest import make_home
from tests.support.stack import ORIGIN, command, wait_for
from verifier.merkle import consistency_proof, tree_root
from verifier.receipt import Receipt
from verifier.verdict import Result
from verifier.verify import verify_receipt

pytestmark = [pytest.mark.chain, pytest.mark.database, pytest.mark.timeout(900)]
SUCCESSOR = "caseledger.localhost/evidence-2"
VOTERS = ("bank-association", "centre", "court", "regulator")


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A ledger of its own: this one does not survive."""
    made = Stack(make_home())
    try:
        made.up()
        yield made
    finally:
        made.reset()


def add(stack: Stack, folder: Path, *more: str) -> Any:
    return command(
        stack.home, "evidence", "add", str(folder), "--case", "recovery", "--class", "contract", *more
    )


def documents(path: Path, count: int) -> Path:
    path.mkdir()
    for i in range(count):
        (path / f"{i}.pdf").write_bytes(secrets.token_bytes(100))
    return path


def results(stack: Stack, folder: Path, trust: Path) -> list[tuple[Result, str]]:
    """What the court sees of every file of the folder: the result, and the log that holds it."""
    found = []
    for file in sorted(folder.glob("*.pdf")):
        data = file.with_name(file.name + ".clr").read_bytes()
        report = verify_receipt(
            data, trust.read_bytes(), content=hash_file(file).digests, at=int(time.time()) + 1
        )
        found.append((report.result, Receipt.parse(data).core.log.origin))
    return found


async def database(stack: Stack) -> asyncpg.Connection[Any]:
    """Full rights, as the operator has them."""
    return await asyncpg.connect(Cluster(stack.home).superuser_dsn(DATABASE))


async def anchor(stack: Stack, act: Anchor, proof: list[bytes]) -> None:
    """What anybody can send who holds the log's anchor key."""
    deployment = deployments.load(stack.home)
    key = load_secp256k1(key_path(stack.keys, "centre-anchor"))
    signature = key.sign_digest(act.digest(deployment.log_domain))
    call = Call(deployment.evidence_log.address, anchor_call(act, proof, signature))
    async with pool_of(deployment) as pool:
        await send(
            Evm(pool),
            load_relayer(stack.keys / "relayer-4.key"),
            call,
            chain_id=deployment.chain_id,
            gas_price=profile(deployment.engine).min_gas_price,
        )


def test_a_leaf_rewritten_with_full_database_rights_is_named_and_refused_by_the_contract(
    stack: Stack, tmp_path: Path
) -> None:
    async def rewrite() -> None:
        conn = await database(stack)
        try:
            number = await conn.fetchval("SELECT log_no FROM evidence.log")
            change = (
                "UPDATE evidence.entry SET leaf = set_byte(leaf, 60, get_byte(leaf, 60) # 1)"
                " WHERE leaf_index = 2"
            )
            # A trigger stands in the way of everybody but the table's owner, who can switch it off.
            await conn.execute("SET session_replication_role = replica")
            await conn.execute(change)
            await conn.execute("DELETE FROM evidence.tile")
            await conn.execute("SET session_replication_role = DEFAULT")
            await fsck.rebuild_tiles(conn, number)
            reader = TileReader(number)
            await extend(conn, number, 8)
            roots = await reader.roots(conn, 8)
            proof, _ = await reader.consistency(conn, 5, 8)
            with pytest.raises(ContractReverted) as caught:
                await anchor(stack, Anchor(log_id(ORIGIN), 5, 8, *roots, 2**39), list(proof))
            assert caught.value.code in {"MerkleOldRootMismatch", "ConsistencyProofInvalid"}
        finally:
            await conn.close()

    add(stack, documents(tmp_path / "first", 5), "--wait")
    assert command(stack.home, "fsck")["findings"] == []
    stack.stop_service("worker")
    add(stack, documents(tmp_path / "second", 3))
    asyncio.run(rewrite())
    for arguments in ((), ("--no-chain",)):
        report = command(stack.home, "fsck", *arguments, expect=20)
        assert any(finding["place"] == "leaf 2" for finding in report["findings"]), report
    assert results(stack, tmp_path / "first", stack.accepted_path)[2][0] is Result.VALID_REDUCED_TRUST


def test_after_a_theft_receipts_stay_valid_and_a_successor_log_goes_on(stack: Stack, tmp_path: Path) -> None:
    first, second = documents(tmp_path / "first", 5), documents(tmp_path / "second", 3)
    add(stack, first, "--wait")
    stack.stop_service("worker")
    add(stack, second)
    asyncio.run(_steal(stack, 5, 9))
    stack.up()
    wait_for(lambda: _status(stack)["status"] == "halted", 60)

    plan = command(stack.home, "log", "plan")
    assert plan["forked"]
    assert (plan["own_size"], plan["head_size"], plan["accepted"]) == (5, 14, 8)
    succeed(stack, tmp_path, 5)
    trust = _successor_trust(stack, tmp_path)
    stack.up()

    valid = Result.VALID_REDUCED_TRUST
    assert results(stack, first, trust) == [(valid, ORIGIN)] * 5
    waited = command(stack.home, "evidence", "wait")
    assert (waited["carried"], waited["received"], waited["pending"]) == (3, 3, 0)
    assert results(stack, second, trust) == [(valid, SUCCESSOR)] * 3
    third = documents(tmp_path / "third", 2)
    assert add(stack, third, "--wait")["receipts"]["received"] == 2
    assert results(stack, third, trust) == [(valid, SUCCESSOR)] * 2
    # The thief's batch is no part of the closed log.
    assert command(stack.home, "fsck")["findings"] == []


def test_a_restored_database_gives_no_place_twice_and_its_successor_log_brings_all_back(
    stack: Stack, tmp_path: Path
) -> None:
    valid, closed = Result.VALID_REDUCED_TRUST, 12
    # Below the backup: proved leaves, and leaves accepted and not sealed yet.
    first, early = documents(tmp_path / "first", 5), documents(tmp_path / "early", 2)
    add(stack, first, "--wait")
    stack.stop_service("worker")
    add(stack, early)
    stack.down()
    backup = _copy(stack, tmp_path / "backup")
    stack.up()
    # The hour that the backup does not have: leaves with a receipt, anchored ones without, promised ones.
    second, third, fourth = (documents(tmp_path / name, n) for name, n in (("b", 3), ("c", 2), ("d", 4)))
    wait_for(lambda: _status(stack).get("anchored") == 7, 60)
    assert add(stack, second, "--wait")["receipts"]["received"] == 3
    add(stack, third)
    wait_for(lambda: _status(stack).get("anchored") == closed, 60)
    stack.stop_service("worker")
    add(stack, fourth)
    held = [file.read_bytes() for folder in (first, second) for file in sorted(folder.glob("*.clr"))]

    stack.down()
    _restore(stack, backup)
    with pytest.raises(ServiceNotReady, match="LogHalted"):
        stack.up()
    fifth = documents(tmp_path / "fifth", 1)
    refused = command(
        stack.home, "evidence", "add", str(fifth), "--case", "recovery", "--class", "contract",
        "--patience", "1", expect=1,
    )  # fmt: skip
    assert refused["code"] == "LogNotTrusted"

    plan = command(stack.home, "log", "plan")
    assert plan["forked"]
    assert (plan["own_size"], plan["head_size"], plan["accepted"]) == (5, closed, 7)
    succeed(stack, tmp_path, closed)
    trust = _successor_trust(stack, tmp_path)
    stack.up()

    assert results(stack, first, trust) == [(valid, ORIGIN)] * 5
    assert results(stack, second, trust) == [(valid, ORIGIN)] * 3
    waited = command(stack.home, "evidence", "wait")
    assert (waited["carried"], waited["received"], waited["pending"]) == (2 + 2 + 4, 9, 0)
    for folder, count in ((early, 2), (third, 2), (fourth, 4), (fifth, 1)):
        assert results(stack, folder, trust) == [(valid, SUCCESSOR)] * count
    again = command(stack.home, "evidence", "wait")
    assert (again["carried"], again["received"], again["pending"]) == (0, 0, 0)
    assert [f.read_bytes() for folder in (first, second) for f in sorted(folder.glob("*.clr"))] == held
    # The books of the old log stay incomplete, and say so: its successor commits to what they lack.
    report = command(stack.home, "fsck")
    assert report["findings"] == []
    assert [(one["code"], one["log"]) for one in report["known"]] == [("LossRecorded", ORIGIN)]
    assert f"{closed} leaves" in report["known"][0]["detail"]


def _data(stack: Stack) -> Path:
    return Path(Cluster(stack.home).status().data_directory)


def _copy(stack: Stack, target: Path) -> Path:
    """A cold backup of the database, as file systems and operators make it."""
    subprocess.run(["cp", "-a", str(_data(stack)), str(target)], check=True)
    return target


def _restore(stack: Stack, backup: Path) -> None:
    data = _data(stack)
    shutil.rmtree(data)
    subprocess.run(["cp", "-a", str(backup), str(data)], check=True)


def succeed(stack: Stack, folder: Path, size: int) -> None:
    """Close the log at a size, open its successor, and serve that one from now on; not started yet."""
    govern(stack, folder, "--open-log", SUCCESSOR, "--operator", "1", "--predecessor", ORIGIN)
    govern(stack, folder, "--close-log", ORIGIN, "--size", str(size), "--successor", SUCCESSOR)
    command(stack.home, "log", "succeed", SUCCESSOR)
    for name in ("gateway", "worker"):
        stack.stop_service(name)
    settings = stack.home / "caseledger.toml"
    settings.write_text(settings.read_text().replace(f'"{ORIGIN}"', f'"{SUCCESSOR}"'))
    command(stack.home, "log", "begin", str(key_path(stack.keys, "centre-act")))


def _status(stack: Stack) -> Any:
    evidence = stack.state().evidence
    return evidence["evidence"]["logs"][0] if evidence else {"status": None}


async def _steal(stack: Stack, old: int, more: int) -> None:
    """Anchor leaves of nobody behind the honest ones."""
    conn = await database(stack)
    try:
        rows = await conn.fetch("SELECT leaf FROM evidence.entry ORDER BY leaf_index LIMIT $1", old)
    finally:
        await conn.close()
    hashes = [SHA256.leaf(row["leaf"]) for row in rows]
    hashes += [SHA256.leaf(n.to_bytes(8, "big") * 14) for n in range(more)]

    def get(level: int, index: int) -> bytes:
        return tree_root(SHA256, hashes[index << level : (index + 1) << level])

    proof = consistency_proof(SHA256, old, old + more, get)
    act = Anchor(log_id(ORIGIN), old, old + more, tree_root(SHA256, hashes), b"\x05" * 32, 2**39)
    await anchor(stack, act, list(proof))


def govern(stack: Stack, folder: Path, *what: str) -> None:
    """Propose, approve, schedule, execute, as four organisations would."""
    file = folder / f"proposal-{secrets.token_hex(4)}.json"
    command(stack.home, "act", "propose", str(file), *what)
    for voter in VOTERS:
        command(stack.home, "act", "approve", str(file), "--key", f"{voter}-act")
    command(stack.home, "act", "schedule", str(file))
    time.sleep(deployments.load(stack.home).delay + 2)
    command(stack.home, "act", "execute", str(file))


def _successor_trust(stack: Stack, folder: Path) -> Path:
    """The trust file that names the closed size and the successor, accepted in succession."""
    path = stack.home / consortiums.FILE_NAME
    founders = consortiums.load(path)
    more = replace(founders.logs[0], origin=SUCCESSOR)
    path.write_text(consortiums.render(replace(founders, logs=(*founders.logs, more))))
    made = folder / "successor.cltrust"
    keys = [argument for key in ("trust-court", "trust-regulator") for argument in ("--key", key)]
    command(stack.home, "trust", "build", str(made), "--held", str(stack.accepted_path), *keys)
    command(stack.home, "trust", "accept", str(made))
    return made
