"""A witness before a real chain: its own node is asked, proved, and when it lies, named."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.keys import load_ed25519
from chain import trustfile
from chain.bindings import EVIDENCE_LOG, interface
from chain.consortium import LogEntry
from chain.evm import Evm
from chain.rpc import Lie
from monitor.errors import (
    CheckpointNotAnchored,
    OwnNodeLied,
    OwnNodeStale,
    OwnNodeUnavailable,
    TrustFileUnusable,
)
from monitor.held_trust import HeldTrust
from monitor.own_node import AnchoredHead, OwnNode
from monitor.witness import Witness
from monitor.witness_state import WitnessState
from protocol.errors import CaseledgerError
from tests.support.ledger import HandMadeLog, Ledger, run
from tests.support.liar import LIES, Liar, liar
from tests.support.witnessing import LogOperator, ed25519
from verifier.trust import TrustFile

pytestmark = pytest.mark.chain
ORIGIN = "witness.test/log"
NODE_SECONDS = 4.0


@dataclass
class Anchored:
    """A real log with batches at 5, 8 and 12 leaves, and its trust file."""

    ledger: Ledger
    operator: LogOperator
    trust: Path


@pytest.fixture(scope="module")
def anchored(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Anchored:
    async def scenario() -> Anchored:
        operator = LogOperator(ORIGIN)
        async with ledger.pool() as pool:
            evm, log = Evm(pool), HandMadeLog(ORIGIN)
            await ledger.open_log(evm, ORIGIN)
            for count in (5, 3, 4):
                await ledger.send(evm, ledger.anchor_call(log, count))
            operator.leaves = log.leaves
            keys = ledger.validator_keys
            made = await trustfile.draft(
                pool,
                ledger.deployment,
                ledger.consortium,
                named=trustfile.named_validators(ledger.consortium, keys),
                now=int(time.time()) - 60,
                logs=[LogEntry(ORIGIN, 1, operator.key.public_key)],
            )
        who = [load_ed25519(ledger.home / "keys" / f"trust-{name}.json") for name in ("court", "regulator")]
        path = tmp_path_factory.mktemp("trust") / "accepted.cltrust"
        path.write_bytes(trustfile.sign(made, who).encode())
        return Anchored(ledger, operator, path)

    return run(scenario())


@dataclass
class Court:
    """A witness whose only node is behind a proxy that may lie."""

    node: OwnNode
    witness: Witness
    proxy: Liar
    trust: HeldTrust

    async def head(self, size: int) -> AnchoredHead:
        return await self.node.anchored(self.trust.log(ORIGIN), size)


@contextlib.asynccontextmanager
async def court(
    a: Anchored, folder: Path, *, clock: Callable[[], float] = time.time, stale: float = 20.0
) -> AsyncIterator[Court]:
    network = a.ledger.network
    async with (
        liar(network.rpc_urls[0], network.comet_urls[0]) as proxy,
        a.ledger.pool([proxy.evm.url], [proxy.comet.url]) as pool,
    ):
        trust = HeldTrust(a.trust, a.ledger.deployment)
        node = OwnNode(pool, a.ledger.deployment, trust, clock=clock, stale_seconds=stale, wait=NODE_SECONDS)
        with WitnessState(folder / "state", folder / "journal") as state:
            keys = {0: ed25519(), 1: ed25519()}
            witness = Witness("court/witness", keys, state, trust, node, alarms=folder / "alarms")
            yield Court(node, witness, proxy, trust)


async def code(witness: Witness, request: bytes) -> str:
    try:
        await witness.add_checkpoint(request)
    except CaseledgerError as error:
        return error.code
    return "ok"


def test_a_witness_signs_both_trees_of_what_its_own_node_proves(anchored: Anchored, tmp_path: Path) -> None:
    async def scenario() -> None:
        operator = anchored.operator
        async with court(anchored, tmp_path) as c:
            assert (await c.head(8)).number == 2
            assert await code(c.witness, operator.request(0, 5)) == "ok"
            assert await code(c.witness, operator.request(5, 12)) == "ok"
            assert await code(c.witness, operator.request(0, 12, 1)) == "ok"
            # Of both trees the anchored root counts, also where the log's key signed another.
            forked = LogOperator(ORIGIN, [*operator.leaves[:8], *[b"x"] * 4], operator.key)
            for algorithm in (0, 1):
                assert await code(c.witness, forked.request(12, 12, algorithm)) == "SplitView"

    run(scenario())


def test_a_split_view_before_two_witnesses_with_nodes_of_their_own(
    anchored: Anchored, tmp_path: Path
) -> None:
    async def scenario() -> None:
        operator = anchored.operator
        forked = LogOperator(ORIGIN, [*operator.leaves[:3], *[b"x"] * 9], operator.key)
        async with court(anchored, tmp_path / "a") as a, court(anchored, tmp_path / "b") as b:
            assert await code(a.witness, operator.request(0, 12)) == "ok"
            for algorithm in (0, 1):
                assert await code(b.witness, forked.request(0, 12, algorithm)) == "SplitView"
            assert len(list((tmp_path / "b" / "alarms").iterdir())) == 2
            assert await code(b.witness, operator.request(0, 12)) == "ok"

    run(scenario())


def test_sizes_between_batches_and_above_the_head_are_not_anchored(
    anchored: Anchored, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with court(anchored, tmp_path) as c:
            for size in (1, 7, 13):
                with pytest.raises(CheckpointNotAnchored):
                    await c.head(size)
            grown = LogOperator(ORIGIN, [*anchored.operator.leaves, b"x"], anchored.operator.key)
            assert await code(c.witness, grown.request(0, 13)) == "CheckpointNotAnchored"

    run(scenario())


@pytest.mark.parametrize("lie", [Lie.WRONG_CHAIN_ID, Lie.BAD_PROOF, Lie.WITHHELD_LOGS])
def test_a_lying_node_behind_one_witness_is_caught_and_named(
    anchored: Anchored, tmp_path: Path, lie: Lie
) -> None:
    async def scenario() -> None:
        async with court(anchored, tmp_path) as c:
            c.proxy.tell(lie)
            with pytest.raises(OwnNodeLied, match=lie.value):
                await c.head(12)
            assert await code(c.witness, anchored.operator.request(0, 12)) == "OwnNodeLied"
            assert not (tmp_path / "state" / "state.json").exists()

    run(scenario())


def _forged_event(operator: LogOperator, size: int) -> Any:
    """The node tells that the fork is what was anchored: event, link and head are made to fit."""
    event = interface(EVIDENCE_LOG).event("Anchored")
    topic = "0x" + event.topic.hex()
    real = operator.checkpoint(size)

    def change(method: str, params: Any, result: Any) -> Any:
        if method != "eth_getLogs" or not isinstance(result, list):
            return result
        return [
            {**one, "data": one["data"].replace(real.root.hex(), "ab" * 32)}
            if one["topics"][0] == topic
            else one
            for one in result
        ]

    return change


def test_a_forged_event_is_a_lie_because_the_proved_link_is_another(
    anchored: Anchored, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with court(anchored, tmp_path) as c:
            c.proxy.evm.change = _forged_event(anchored.operator, 12)
            with pytest.raises(OwnNodeLied, match="OtherBatchAnchored"):
                await c.head(12)
            # Honest again: what was told with the lie is not remembered.
            c.proxy.evm.change = None
            assert (await c.head(12)).root_sha256 == anchored.operator.checkpoint(12).root

    run(scenario())


def test_a_node_that_stands_still_is_stale_and_not_believed(anchored: Anchored, tmp_path: Path) -> None:
    """Frozen before the anchor: the checkpoint is not there, and the reason is named."""

    async def scenario() -> None:
        late = 300.0
        async with court(anchored, tmp_path, clock=lambda: time.time() + late) as c:
            # All it shows is five minutes old to the witness's clock, also what is proved.
            with pytest.raises(OwnNodeStale):
                await c.head(12)
            with pytest.raises(OwnNodeStale):
                await c.head(13)
            assert await code(c.witness, anchored.operator.request(0, 12)) == "OwnNodeStale"

    run(scenario())


def test_a_head_that_is_held_back_becomes_stale(anchored: Anchored, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with court(anchored, tmp_path, stale=1.5) as c:
            c.proxy.evm.change = LIES[Lie.STALE_HEAD]()
            with contextlib.suppress(CheckpointNotAnchored, OwnNodeStale):
                await c.head(99)
            await asyncio.sleep(2.5)
            with pytest.raises(OwnNodeStale):
                await c.head(99)

    run(scenario())


def test_a_silent_node_is_named_and_recovers_by_itself(anchored: Anchored, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with court(anchored, tmp_path) as c:
            c.proxy.evm.silent = True
            with pytest.raises(OwnNodeUnavailable):
                await c.head(12)
            c.proxy.evm.silent = False
            deadline = time.monotonic() + 20
            while True:
                try:
                    assert (await c.head(12)).size == 12
                    return
                except OwnNodeUnavailable:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.5)

    run(scenario())


def test_validators_of_the_trust_file_decide_not_those_of_the_node(
    anchored: Anchored, tmp_path: Path
) -> None:
    async def scenario() -> None:
        held = TrustFile.parse(anchored.trust.read_bytes())
        chain = held.payload.chains[0]
        (epoch,) = chain.epochs
        others = tuple(dataclasses.replace(v, public_key=bytes([7]) * 32) for v in epoch.validators)
        changed = dataclasses.replace(chain, epochs=(dataclasses.replace(epoch, validators=others),))
        payload = dataclasses.replace(held.payload, chains=(changed,))
        keys = anchored.ledger.home / "keys"
        made = trustfile.sign(
            TrustFile.draft(payload), [load_ed25519(keys / f"trust-{w}.json") for w in ("court", "regulator")]
        )
        path = tmp_path / "accepted.cltrust"
        path.write_bytes(made.encode())
        async with court(dataclasses.replace(anchored, trust=path), tmp_path) as c:
            with pytest.raises(OwnNodeLied):
                await c.head(12)

    run(scenario())


def test_an_unsigned_missing_or_foreign_trust_file_signs_nothing(anchored: Anchored, tmp_path: Path) -> None:
    held = TrustFile.parse(anchored.trust.read_bytes())
    path = tmp_path / "x.cltrust"
    deployment = anchored.ledger.deployment
    other = dataclasses.replace(deployment, evidence_log=deployment.registry)
    for data, record, at in (
        (None, deployment, time.time()),
        (b"", deployment, time.time()),
        (TrustFile.draft(held.payload).encode(), deployment, time.time()),
        (anchored.trust.read_bytes(), other, time.time()),
        (anchored.trust.read_bytes(), deployment, held.payload.valid_until + 1),
    ):
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(TrustFileUnusable):
            HeldTrust(path, record, clock=functools.partial(float, at)).payload()
    path.write_bytes(anchored.trust.read_bytes())
    assert HeldTrust(path, deployment).log(ORIGIN).log_key == anchored.operator.key.public_key
