# ruff: noqa: ASYNC110, ASYNC240
"""One process with gateway and worker of a log, that ends itself by SIGKILL at a named point.

Run by test_crash: `python -m tests.evidence.crashing PLAN.json`. Submissions are signed beforehand and lie in
files; an answer is written down (synced) as an agent's journal does it. Ends with status 0 when everything is
answered and proved.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from agent.keys import Ed25519Key, load_key, load_secp256k1
from chain import deployment as deployments
from chain.engines import profile
from chain.evm import Evm
from chain.outbox import Outbox, Settings
from chain.outbox_worker import Worker as OutboxWorker
from chain.registry_view import RegistryView
from chain.rpc import RpcPool
from chain.signer import load_relayer
from evidence.anchoring import Follower
from evidence.capturing import Capturer, ChainProofs
from evidence.contract import ContractReader
from evidence.intake import Acceptor
from evidence.logs import load_log
from evidence.ports import FaultPoints
from evidence.sealer import Sealer, SealRules
from evidence.sending import OutboxSender
from evidence.vault import Vault
from evidence.worker import LogWorker
from protocol.identifiers import log_id
from protocol.submission import Submission
from storage.db import connect_pool


class Killing(FaultPoints):
    """SIGKILL at the n-th passing of a point."""

    def __init__(self, point: str | None, count: int, marks: Path) -> None:
        self.point, self.count, self.marks = point, count, marks
        self.seen: Counter[str] = Counter()

    def hit(self, name: str) -> None:
        self.seen[name] += 1
        if name == self.point and self.seen[name] == self.count:
            with self.marks.open("a") as out:
                out.write(name + "\n")
            os.kill(os.getpid(), signal.SIGKILL)


async def submit(acceptor: Acceptor, folder: Path) -> None:
    """Send what has no answer yet, four at a time; write answers down."""
    waiting = [path for path in sorted(folder.glob("*.cbor")) if not path.with_suffix(".answer").exists()]

    async def one(path: Path) -> None:
        answer = await acceptor.accept(Submission.parse(path.read_bytes()))
        with path.with_suffix(".partial").open("wb") as out:
            out.write(answer.encode())
            out.flush()
            os.fsync(out.fileno())
        path.with_suffix(".partial").rename(path.with_suffix(".answer"))

    for at in range(0, len(waiting), 4):
        await asyncio.gather(*map(one, waiting[at : at + 4]))
        await asyncio.sleep(0.1)


async def main(plan_path: Path) -> None:
    plan = json.loads(plan_path.read_text())
    home, folder = Path(plan["home"]), plan_path.parent
    faults = Killing(plan["point"], plan["count"], folder / "marks")
    deployment = deployments.load(home)
    pool = await connect_pool(plan["dsn"], max_size=10)
    relayer = load_relayer(Path(plan["relayer"]))
    outbox = Outbox(
        Settings(chain_id=deployment.chain_id, gas_price=1, lease_seconds=1.0), {relayer.name: relayer}
    )
    async with RpcPool(
        deployment.rpc, profile(deployment.engine), chain_id=deployment.chain_id,
        comet_urls=deployment.comet, comet_chain_id=deployment.network_id,
    ) as rpc:  # fmt: skip
        evm = Evm(rpc)
        async with pool.acquire() as conn:
            await outbox.register(conn, evm)
        registry = RegistryView(rpc, deployment)
        await registry.start()
        log = await load_log(pool, log_id(plan["origin"]))
        contract = ContractReader(evm, deployment.evidence_log.address, first_block=deployment.block)
        sender = OutboxSender(outbox, evm, relayer.name, deployment.evidence_log.address)
        key = load_secp256k1(home / "keys" / "centre-anchor.json")
        sealer = Sealer(pool, log, sender, key, rules=SealRules(linger=0.0), faults=faults)
        follower = Follower(pool, log, contract, sender, sealer, faults=faults)
        capturer = Capturer(pool, log, ChainProofs(rpc, deployment))
        worker = LogWorker(
            pool, log, sealer, follower, capturer, OutboxWorker(pool, evm, outbox), faults=faults
        )
        signer = load_key(home / "keys" / "log-centre.json")
        if not isinstance(signer, Ed25519Key):
            raise TypeError("the log's key is Ed25519")
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(stop))
        vault = Vault.open(folder / "vault.json", create=True)
        async with Acceptor(pool, log, registry, signer, vault, faults=faults) as acceptor:
            if not await acceptor.writable(20):
                raise RuntimeError(acceptor.metrics.trouble)
            await submit(acceptor, folder)
            while not await pool.fetchval(
                """SELECT w.accepted_size = coalesce((SELECT max(b.new_size) FROM evidence.batch_proof p
                       JOIN evidence.batch b USING (log_no, number) WHERE p.log_no = w.log_no), 0)
                   FROM evidence.log_writer w WHERE w.log_no = $1""",
                log.log_no,
            ):
                await asyncio.sleep(0.1)
        stop.set()
        await working
    await pool.close()


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(Path(sys.argv[1])), 90))
