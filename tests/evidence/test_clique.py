"""The whole way on a chain without finality: parted signers, an anchor that goes away, and the receipt."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from chain import trustfile
from chain.capture import capture, header_rlp
from chain.cursor import EventCursor, ledger_events
from chain.engines import profile
from chain.evm import Evm, binary
from chain.networks.clique import CliqueNetwork
from chain.outbox import Outbox
from chain.outbox_worker import Worker as OutboxWorker
from chain.proofs import ProofNotCaptured
from chain.registry_view import RegistryView
from chain.rpc import RpcPool
from evidence.anchoring import Follower
from evidence.capturing import Capturer, ChainProofs
from evidence.contract import ContractReader
from evidence.intake import Acceptor
from evidence.receipts import ReceiptMaker
from evidence.sealer import Sealer
from evidence.sending import OutboxSender
from protocol.errors import CaseledgerError
from protocol.keyslot import key_slot_position, link_slot_position
from tests.conftest import PgDatabase
from tests.support.clique import ask, block, running, sealer
from tests.support.evidence import Desk, desk, run
from tests.support.ledger import Ledger, found
from verifier.chainproof import MptCliqueProof
from verifier.receipt import Receipt
from verifier.trust import TrustFile
from verifier.verdict import Result
from verifier.verify import verify_receipt

pytestmark = [pytest.mark.chain, pytest.mark.database]

# Three blocks are more than what two of five can seal alone; two more headers than needed are carried.
DEEP = dataclasses.replace(profile("clique"), finality=3)
SIGNERS = 5
PATIENCE = 240.0


@pytest.fixture(scope="module")
def network() -> Iterator[CliqueNetwork]:
    """Five signers, a block every three seconds: time to act between two blocks."""
    with running(signers=SIGNERS, period=3) as made:
        yield made


@pytest.fixture(scope="module")
def clique_ledger(network: CliqueNetwork, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return run(found(network, tmp_path_factory.mktemp("ledger"), DEEP))


@dataclass
class Steps:
    """The parts of one log's worker, moved by hand, over some of the nodes."""

    desk: Desk
    evm: Evm
    rpc: RpcPool
    registry: RegistryView
    outbox: Outbox
    sealer: Sealer
    sender: OutboxWorker
    follower: Follower
    capturer: Capturer
    contract: ContractReader

    async def round(self) -> None:
        """Send, follow, capture; what cannot be done yet is tried again by the next round."""
        for step in (self.sender.run_once, self.follower.run_once, self.capturer.run_once):
            try:
                await step()
            except CaseledgerError:
                await asyncio.sleep(0.1)
        await asyncio.sleep(0.2)

    async def proved(self) -> int:
        return int(await self.desk.pool.fetchval("SELECT count(*) FROM evidence.batch_proof"))


@asynccontextmanager
async def steps(pg: PgDatabase, ledger: Ledger, origin: str, urls: list[str]) -> AsyncIterator[Steps]:
    deployment = ledger.deployment
    async with (
        ledger.pool(urls) as rpc,
        desk(
            pg, role="superuser", chain_id=deployment.chain_id, contract=deployment.evidence_log.address,
            registry=deployment.registry.address, origin=origin, pool_size=12,
        ) as d,
    ):  # fmt: skip
        evm = Evm(rpc)
        outbox = ledger.outbox(1)
        async with d.pool.acquire() as conn:
            await outbox.register(conn, evm)
        contract = ContractReader(
            evm, deployment.evidence_log.address, first_block=deployment.block, depth=rpc.profile.depth
        )
        sender = OutboxSender(outbox, evm, next(iter(outbox.keys)), deployment.evidence_log.address)
        sealing = Sealer(d.pool, d.log, sender, ledger.key("centre-anchor"))
        registry = RegistryView(rpc, deployment, d.pool)
        await registry.start()
        d.keys = {
            index: ledger.key(f"{member.slug}-act")
            for index, member in enumerate(ledger.consortium.members, start=1)
        }
        yield Steps(
            d, evm, rpc, registry, outbox, sealing, OutboxWorker(d.pool, evm, outbox),
            Follower(d.pool, d.log, contract, sender, sealing),
            Capturer(d.pool, d.log, ChainProofs(rpc, deployment)), contract,
        )  # fmt: skip


def until_heavier(network: CliqueNetwork, losing: set[int], deadline: float) -> None:
    """Until the larger side's chain is the heavier one: out of turn, it weighs half as much a block."""

    def weight(number: int) -> int:
        return int(block(network, number)["totalDifficulty"], 16)

    others = {s.number for s in network.state.signers} - losing
    while min(map(weight, others)) <= max(map(weight, losing)):
        assert time.monotonic() < deadline
        time.sleep(0.3)


def parted(network: CliqueNetwork) -> set[int]:
    """Cut off two signers that did not seal the last two blocks: they may seal two by themselves, no more."""
    everyone = {s.number for s in network.state.signers}
    for _ in range(10):
        start = network.height(1) or 0
        while (head := network.height(1) or 0) == start:
            time.sleep(0.02)
        late = {sealer(network, 1, head), sealer(network, 1, head - 1)}
        losing = set(sorted(everyone - late)[:2])
        network.part(losing, everyone - losing)
        # On a busy machine the moment may be over.
        tops = [network.height(number) or 0 for number in losing]
        behind = min(losing)
        after = {sealer(network, behind, tops[0]), sealer(network, behind, tops[0] - 1)}
        if len(set(tops)) == 1 and not after & losing:
            return losing
        network.heal()
        time.sleep(12)
    raise AssertionError("no moment to part the signers")


async def trust_file(rpc: RpcPool, ledger: Ledger) -> TrustFile:
    """Drafted from the chain and signed by all trust keys."""
    from agent.keys import load_ed25519

    names = trustfile.named_validators(ledger.consortium, ledger.validator_keys)
    made = await trustfile.draft(rpc, ledger.deployment, ledger.consortium, named=names, now=int(time.time()))
    return trustfile.sign(made, map(load_ed25519, sorted((ledger.home / "keys").glob("trust-*.json"))))


@pytest.mark.slow  # two to three minutes: five signers are parted and must seal on both sides
@pytest.mark.timeout(600)
def test_an_anchor_on_the_losing_side_is_sent_again_and_proved_only_when_deep(
    database: PgDatabase, clique_ledger: Ledger, network: CliqueNetwork
) -> None:
    ledger, origin = clique_ledger, "caseledger.localhost/evidence"

    async def scenario() -> None:
        async with ledger.pool() as whole:
            await ledger.open_log(Evm(whole), origin)
        await asyncio.sleep(3 * DEEP.depth + 3)
        urls = {s.number: f"http://127.0.0.1:{s.rpc}" for s in network.state.signers}
        # Connected to every node until the moment; then the same books over the two that are cut off.
        async with steps(database, ledger, origin, list(urls.values())) as w:
            deployment, log = ledger.deployment, w.desk.log
            await w.follower.run_once()
            acceptor = Acceptor(w.desk.pool, log, w.registry, w.desk.promise_key, w.desk.vault)
            async with acceptor:
                await acceptor.writable()
                await acceptor.accept(w.desk.submission(3, organisation=5))
            for _ in range(100):
                if await w.sealer.run_once():
                    break
                await asyncio.sleep(0.1)
            raw = await w.desk.pool.fetchval("SELECT raw FROM chain.outbox")
            losing = await asyncio.to_thread(parted, network)
            cut_off = [urls[number] for number in sorted(losing)]
            hasty = dataclasses.replace(DEEP, finality=0)  # reads the newest block
            async with (
                ledger.pool(cut_off) as lost,
                RpcPool(cut_off, hasty, chain_id=network.evm_chain_id) as near,
            ):
                sending = OutboxWorker(w.desk.pool, Evm(lost), w.outbox)
                await w.sender.release()
                cursor = EventCursor(w.desk.pool, near, ledger_events(deployment))
                deadline = time.monotonic() + PATIENCE

                async def row(table: str) -> dict[str, Any]:
                    (found,) = await w.desk.pool.fetch(f"SELECT * FROM {table}")  # noqa: S608 - ours
                    return dict(found)

                async def indexed() -> int:
                    return int(await w.desk.pool.fetchval("SELECT count(*) FROM chain.anchor"))

                while not await indexed():
                    assert time.monotonic() < deadline, (losing, network.status())
                    await sending.run_once()
                    await cursor.run_once()
                    await asyncio.sleep(0.1)
                orphan, event = await row("chain.outbox"), await row("chain.anchor")
                block_number = int(event["block_number"])
                assert sealer(network, min(losing), block_number) in losing
                # Two signers of five cannot make it deep, so nothing is captured, and nothing of it verifies.
                signer = ledger.key(f"{ledger.consortium.members[4].slug}-act").address
                with pytest.raises(ProofNotCaptured):
                    await capture(lost, deployment, log.log_id, 1, [signer], block_number, wait=3.0)
                forged = orphan_proof(network, min(losing), ledger, log.log_id, signer, block_number)
                assert not await w.proved()

                await asyncio.to_thread(until_heavier, network, losing, deadline)
                await asyncio.to_thread(network.heal)
                while not cursor.metrics.rewinds:
                    assert time.monotonic() < deadline
                    await sending.run_once()
                    await cursor.run_once()
                    await asyncio.sleep(0.2)
                assert await sealer_changed(network, block_number, losing)
                # The same transaction, byte for byte, in another block; the index follows it there.
                while not await w.proved():
                    assert time.monotonic() < deadline, w.outbox.metrics
                    await w.round()
                    await cursor.run_once()
                while not await indexed():
                    assert time.monotonic() < deadline
                    await cursor.run_once()
                    await asyncio.sleep(0.2)
            sent, again = await row("chain.outbox"), await row("chain.anchor")
            assert (sent["raw"], sent["hash"]) == (raw, orphan["hash"])
            assert await w.desk.pool.fetchval("SELECT count(*) FROM evidence.anchor_act") == 1
            assert sent["block_hash"] != orphan["block_hash"]
            for member in ("number", "old_size", "new_size", "root_sha256", "root_sm3"):
                assert again[member] == event[member]
            top = await w.contract.head(log.log_id)
            assert (top.batches, top.size, top.root_sha256) == (1, 3, again["root_sha256"])
            async with w.desk.pool.acquire() as conn:
                (file,) = await ReceiptMaker(log, w.desk.vault).make(conn, [1])
            trust = await trust_file(w.rpc, ledger)
            check(file.data, trust, sent["block_number"], forged)

    run(scenario(), 500)


def orphan_proof(
    network: CliqueNetwork, node: int, ledger: Ledger, log_id: bytes, signer: bytes, height: int
) -> MptCliqueProof:
    """All that a cut-off node can prove: the anchor's block, what lies on it, and the state under it."""

    def nodes(contract: bytes, position: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        said = ask(network, node, "eth_getProof", "0x" + contract.hex(), ["0x" + position.hex()], hex(height))
        slot = said["storageProof"][0]["proof"]
        return tuple(map(binary, said["accountProof"])), tuple(map(binary, slot))

    top = network.height(node) or 0
    headers = [header_rlp(block(network, node, number)) for number in range(height, top + 1)]
    log = nodes(ledger.deployment.evidence_log.address, link_slot_position(log_id, 1))
    registry = nodes(ledger.deployment.registry.address, key_slot_position(signer))
    return MptCliqueProof(tuple(headers), *log, *registry)


async def sealer_changed(network: CliqueNetwork, number: int, losing: set[int]) -> bool:
    """Whether every node has the winning side's block at this height."""
    return all(sealer(network, s.number, number) not in losing for s in network.state.signers)


def check(receipt: bytes, trust: TrustFile, block: int, forged: MptCliqueProof) -> None:
    at = int(time.time()) + 60
    report = verify_receipt(receipt, trust.encode(), at=at)
    assert report.result is Result.VALID_REDUCED_TRUST, report
    assert report.missing == ("DepthFinality",)
    core = Receipt.parse(receipt).core
    assert isinstance(core.proof, MptCliqueProof)
    assert core.proof.height == block
    assert len(core.proof.headers) == 1 + DEEP.proof_following
    assert len(receipt) < 8192
    print(f"receipt of {len(receipt)} bytes, {len(core.proof.headers)} headers")

    def code(proof: MptCliqueProof) -> str:
        swapped = Receipt.of(dataclasses.replace(core, proof=proof)).encode()
        other = verify_receipt(swapped, trust.encode(), at=at)
        assert other.result is Result.INVALID
        return other.verdict("finality").code

    assert code(forged) == "CliqueDepthMissing"
    borrowed = (*forged.headers, *core.proof.headers)
    assert code(dataclasses.replace(forged, headers=borrowed)) == "CliqueParentMismatch"
