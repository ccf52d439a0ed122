"""From a bank's file to the chain by its agent's commands: killed on the way, each case arrives once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from agent.intake.proofs import pieces
from agent.intake.store import BatchState, IntakeStore
from agent.keys import key_path, load_x25519
from benchmarks.import_data import make
from chain import case_record
from chain import deployment as deployments
from chain.case_state import CaseReader
from chain.configuration import pool_of
from chain.evm import Evm
from cli.stack import Stack
from protocol.batch_file import read_batch
from protocol.case_batch import CaseLeaf, SealedRow
from protocol.case_totals import BatchTotals
from storage.cluster import Cluster
from storage.roles import DATABASE
from tests.support.intake import good, write_csv
from tests.support.stack import BANK_A, ROOT, command, environment, wait_for

pytestmark = [pytest.mark.chain, pytest.mark.database]
CENTRE = 1
ROWS = 4000


def agent_home(stack: Stack, home: Path, slug: str) -> Path:
    """An organisation's own machine: its keys, the accepted trust file, pinned keys, a gateway's address."""
    (home / "keys").mkdir(parents=True)
    (home / "agent").mkdir()
    for purpose in ("act", "auth", "hpke"):
        shutil.copy2(key_path(stack.keys, f"{slug}-{purpose}"), home / "keys")
    (home / "trust").mkdir()
    shutil.copy2(stack.accepted_path, home / "trust" / "accepted.cltrust")
    shutil.copy2(stack.home / case_record.FILE_NAME, home)
    centre = load_x25519(key_path(stack.keys, "centre-hpke"))
    (home / "agent" / "hpke-pins.json").write_text(json.dumps({str(CENTRE): centre.public_key.hex()}))
    (home / "caseledger.toml").write_text(
        f'[agent]\nkey = "{slug}-act"\ngateways = ["{stack.gateway_url}"]\nintake_to = [{CENTRE}]\n'
    )
    return home


@pytest.fixture(scope="module")
def bank(local_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return agent_home(local_stack, tmp_path_factory.mktemp("bank") / "home", "bank-a")


@pytest.fixture(scope="module")
def centre(local_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return agent_home(local_stack, tmp_path_factory.mktemp("centre") / "home", "centre")


def journal(home: Path, question: str, index: int = BANK_A) -> Any:
    """One value of the agent's list of batches; None while there is none."""
    path = home / "agent" / "intake" / str(index) / "batches.db"
    if not path.exists():
        return None
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as db:
        try:
            row = db.execute(question).fetchone()
        except sqlite3.OperationalError:
            return None
    return row[0] if row else None


def killed_when(arguments: list[str], home: Path, what: Callable[[], Any]) -> None:
    """The real command, with SIGKILL as soon as something is so."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments, "--home", str(home), "--json"],
        env=environment(), cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    while process.poll() is None and not what():
        time.sleep(0.005)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def in_database(stack: Stack, question: str, *values: Any) -> Any:
    async def ask() -> Any:
        conn = await asyncpg.connect(Cluster(stack.home).superuser_dsn(DATABASE))
        try:
            return await conn.fetchval(question, *values)
        finally:
            await conn.close()

    return asyncio.run(ask())


def on_chain(stack: Stack, root: bytes) -> Any:
    """The batch as the contract has it."""

    async def ask() -> Any:
        deployment = deployments.load(stack.home)
        async with pool_of(deployment) as pool:
            return await CaseReader(Evm(pool), case_record.load(stack.home).contracts).batch(root)

    return asyncio.run(ask())


def test_killed_at_each_step_each_case_arrives_once(local_stack: Stack, bank: Path, tmp_path: Path) -> None:
    made = make(tmp_path / "a.csv", BANK_A, ROWS, "csv", "gb18030")
    importing = ["case", "import", str(made.path), "--confirm", "--organisation", str(BANK_A)]
    sealed = "SELECT sealed FROM batches"
    for at_least in (0, 1000):  # while it seals
        killed_when(importing, bank, lambda: (journal(bank, sealed) or 0) > at_least)  # noqa: B023
    # While the file is on its way; the gateway takes it whole or not at all.
    killed_when(importing, bank, lambda: journal(bank, "SELECT state FROM batches") == "READY")
    root = journal(bank, "SELECT root FROM batches")
    assert in_database(local_stack, "SELECT count(*) FROM cases.sealed_row WHERE root = $1", root) in (
        0,
        made.rows - made.defective,
    )
    # With the signed act journaled and perhaps relayed.
    sending = ["case", "batch", "send", "--organisation", str(BANK_A)]
    killed_when(sending, bank, lambda: journal(bank, "SELECT act FROM batches") is not None)
    act = journal(bank, "SELECT act FROM batches")
    # The gateway dies while the agent waits, and comes back; the agent does not notice.
    agent = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *sending, "--home", str(bank), "--json"],
        env=environment(), cwd=ROOT, stdout=subprocess.PIPE,
    )  # fmt: skip
    local_stack.stop_service("gateway", hard=True)
    local_stack.start_services(int(str(local_stack.gateway_url).rsplit(":", 1)[1]))
    output, _ = agent.communicate(timeout=240)
    assert agent.returncode == 0
    [sent] = json.loads(output)
    assert (sent["state"], sent["cases"]) == ("SENT", made.rows - made.defective)
    assert journal(bank, "SELECT act FROM batches") == act, "the same act, whatever was killed"

    found = on_chain(local_stack, root)
    assert (found.owner, found.count, found.recalled) == (BANK_A, made.rows - made.defective, False)
    for table in ("sealed_row", "case"):
        count = in_database(local_stack, f"SELECT count(*) FROM cases.{table} WHERE root = $1", root)  # noqa: S608
        assert count == made.rows - made.defective
    imports = "SELECT count(*) FROM cases.batch_event WHERE root = $1 AND NOT recalled"
    assert in_database(local_stack, imports, root) == 1
    assert (
        in_database(local_stack, "SELECT count(*) FROM cases.case WHERE root = $1 AND listed", root)
        == found.count
    )
    # The same file again changes nothing, and nothing is left to send.
    again = command(bank, *importing, expect=3, timeout=240)
    assert (again["new"], again["batch"]) == (0, None)
    assert command(bank, *sending) == []
    # Gas: a batch costs the same whatever it holds.
    gas = "SELECT max(o.gas_used) FROM chain.outbox o JOIN cases.batch_event e ON e.transaction_hash = o.hash"
    assert 0 < in_database(local_stack, gas) < 100_000


def test_the_centre_opens_a_row_and_another_bank_does_not_know_the_case(
    local_stack: Stack, bank: Path, centre: Path, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "b.csv", [good(n, contract_no=f"ROW-{n}") for n in range(3)])
    made = command(bank, "case", "import", str(path), "--confirm", "--organisation", str(BANK_A))
    with IntakeStore(bank, BANK_A) as store:
        case_id = store.case_of("ROW-1")
        batch = store.batch_named(made["batch"])
        assert batch.state is BatchState.SENT
        opening = store.totals(batch.id)
        leaves = [
            CaseLeaf.parse(item.leaf)
            for item in read_batch(pieces(store.file_path(batch.id)))
            if isinstance(item, SealedRow)
        ]
    assert case_id is not None
    assert case_id in [leaf.case_id for leaf in leaves]
    row = command(centre, "case", "row", case_id.hex(), "--organisation", str(CENTRE))
    assert (row["contract_no"], row["debtor_name"], row["root"]) == ("ROW-1", "示例甲", made["root"])
    stranger = agent_home(local_stack, tmp_path / "stranger", "bank-b")
    assert opening is not None
    assert command(stranger, "case", "row", case_id.hex(), expect=1)["code"] == "CaseNotHere"
    # What was signed is what the chain has: totals that the bank can open.
    [status] = command(bank, "case", "batch", "status", made["batch"][:16], "--organisation", str(BANK_A))
    assert (status["here"], status["ledger"]["state"]) == ("SENT", "imported")
    out = tmp_path / "totals.cbor"
    command(
        bank, "case", "batch", "totals", made["batch"][:16], "--out", str(out), "--organisation", str(BANK_A)
    )
    totals = BatchTotals.parse(out.read_bytes())
    assert (totals.commitment.hex(), totals.count) == (status["ledger"]["totals"], 3)


def test_a_recalled_batch_may_be_brought_again(
    local_stack: Stack, bank: Path, centre: Path, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "c.csv", [good(n, contract_no=f"BACK-{n}") for n in range(2)])
    importing = ("case", "import", str(path), "--confirm", "--organisation", str(BANK_A))
    made = command(bank, *importing)
    with IntakeStore(bank, BANK_A) as store:
        case_id = store.case_of("BACK-0")
    assert case_id is not None
    back = command(bank, "case", "batch", "recall", made["batch"][:16], "--organisation", str(BANK_A))
    assert back["state"] == "RECALLED"
    assert on_chain(local_stack, bytes.fromhex(made["root"])).recalled
    wait_for(
        lambda: not in_database(local_stack, "SELECT listed FROM cases.case WHERE case_id = $1", case_id)
    )
    assert command(centre, "case", "row", case_id.hex(), expect=1)["code"] == "CaseNotHere"
    again = command(bank, *importing)
    assert again["root"] != made["root"]
    assert again["new"] == 2
