"""A mirror against a real chain: what a gateway or node tells otherwise is an alarm; a kill costs nothing."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from agent.keys import load_ed25519
from chain import trustfile
from chain.consortium import LogEntry
from chain.evm import Evm
from chain.rpc import Lie
from monitor.errors import TilesWithheld
from monitor.held_trust import HeldTrust
from monitor.mirror import Mirror, MirrorEventForged, MirrorGap, TilesForged
from monitor.mirror_http import MirrorApp
from monitor.mirror_store import EVENTS, STATE, MirrorStore
from protocol.checkpoint import TREE_HASHES
from protocol.errors import CaseledgerError
from protocol.hashing import HASH_LEN, SHA256, SM3
from protocol.tilepath import tile_path
from tests.monitor.test_own_node import _forged_event
from tests.support.ledger import HandMadeLog, Ledger, run
from tests.support.liar import LIES, Liar, liar
from tests.support.witnessing import LogOperator
from verifier.merkle import verify_inclusion

pytestmark = pytest.mark.chain
ORIGIN = "mirror.test/log"
COUNTS = (5, 3, 700, 1)


@dataclass
class Tiles:
    """The gateway's tiles from leaves in memory, with ways to lie."""

    of: LogOperator
    withheld: bool = False
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    async def tile(self, log_id: bytes, algorithm: int, level: int, index: int, width: int) -> bytes:
        assert level == 0
        self.asked.append((algorithm, index, width))
        if self.withheld:
            raise TilesWithheld("gone")
        alg = TREE_HASHES[algorithm]
        part = self.of.leaves[index * 256 : index * 256 + width]
        assert len(part) == width
        return b"".join(map(alg.leaf, part))


@dataclass
class Anchored:
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
            for count in COUNTS:
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


@contextlib.asynccontextmanager
async def mirror(
    a: Anchored, folder: Path, tiles: Tiles | None = None, round_leaves: int = 65_536
) -> AsyncIterator[tuple[Mirror, Liar]]:
    network = a.ledger.network
    async with (
        liar(network.rpc_urls[0], network.comet_urls[0]) as proxy,
        a.ledger.pool([proxy.evm.url], [proxy.comet.url]) as pool,
    ):
        trust = HeldTrust(a.trust, a.ledger.deployment)
        made = Mirror(
            ORIGIN, pool, a.ledger.deployment, trust, tiles or Tiles(a.operator), folder,
            round_leaves=round_leaves,
        )  # fmt: skip
        try:
            yield made, proxy
        finally:
            made.store.close()


async def settle(made: Mirror) -> None:
    while await made.step():
        pass


def test_forged_hashes_of_either_tree_are_named_and_not_kept(anchored: Anchored, tmp_path: Path) -> None:
    async def scenario() -> None:
        forged = LogOperator(ORIGIN, [*anchored.operator.leaves[:100], b"x", *anchored.operator.leaves[101:]])
        async with mirror(anchored, tmp_path, Tiles(forged)) as (made, _):
            with pytest.raises(TilesForged, match="sha256 root at 708 is not that of batch 3"):
                await made.step()
            assert made.store.kept.size == 0

        class Sm3Forged(Tiles):
            async def tile(self, log_id: bytes, algorithm: int, level: int, index: int, width: int) -> bytes:
                data = await super().tile(log_id, algorithm, level, index, width)
                return data if algorithm == 0 else bytes(HASH_LEN) + data[HASH_LEN:]

        async with mirror(anchored, tmp_path, Sm3Forged(anchored.operator)) as (made, _):
            with pytest.raises(TilesForged, match="sm3 root at 5 "):
                await made.step()

    run(scenario())


@pytest.mark.parametrize(
    ("lie", "wanted"), [(Lie.WITHHELD_LOGS, MirrorGap), (Lie.WRONG_CHAIN_ID, CaseledgerError)]
)
def test_a_node_that_withholds_events_is_a_gap(
    anchored: Anchored, tmp_path: Path, lie: Lie, wanted: type[CaseledgerError]
) -> None:
    async def scenario() -> None:
        async with mirror(anchored, tmp_path) as (made, proxy):
            proxy.evm.change = LIES[lie]()
            with pytest.raises(wanted):
                await made.step()
            assert made.store.kept.size == 0

    run(scenario())


def test_one_event_left_out_or_forged_is_named_and_forgotten(anchored: Anchored, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with mirror(anchored, tmp_path) as (made, proxy):
            proxy.evm.change = lambda m, p, r: r[:1] + r[2:] if m == "eth_getLogs" else r
            with pytest.raises(MirrorGap, match=r"batch 3 .* after batch 1"):
                await made.step()
            proxy.evm.change = _forged_event(anchored.operator, 8)
            with pytest.raises(MirrorEventForged):
                await made.step()
            proxy.evm.change = None
            await settle(made)
            assert made.store.kept.size == sum(COUNTS)

    run(scenario())


def test_withheld_tiles_are_an_alarm_that_is_kept_and_ends_by_itself(
    anchored: Anchored, tmp_path: Path
) -> None:
    async def scenario() -> None:
        tiles = Tiles(anchored.operator, withheld=True)
        async with mirror(anchored, tmp_path, tiles) as (made, _):
            with pytest.raises(TilesWithheld):
                await made.step()
            with contextlib.suppress(CaseledgerError):
                await made.step()
            made._raise_alarm(TilesWithheld("gone"))
            made._raise_alarm(TilesWithheld("gone"))
            assert made.describe()["alarm"]["code"] == "TilesWithheld"
            tiles.withheld = False
            await settle(made)
        (alarm,) = (tmp_path / "alarms.jsonl").read_text().splitlines()
        assert json.loads(alarm)["code"] == "TilesWithheld"

    run(scenario())


def test_the_next_round_is_fetched_meanwhile_and_no_whole_tile_twice_even_after_a_restart(
    anchored: Anchored, tmp_path: Path
) -> None:
    async def scenario() -> None:
        tiles = Tiles(anchored.operator)
        async with mirror(anchored, tmp_path, tiles, round_leaves=6) as (made, _):
            assert await made.step()
            assert made.store.kept.size == 8
            # The third batch's tiles were asked for while the first two were written.
            assert (0, 1, 256) in tiles.asked
            assert made._ahead is not None
            assert await made.step()
            assert made.store.kept.size == 708
            before = list(tiles.asked)
        async with mirror(anchored, tmp_path, tiles, round_leaves=6) as (made, _):
            await settle(made)
        assert set(tiles.asked[len(before) :]) <= {(0, 2, 197), (1, 2, 197)}
        whole = [one for one in tiles.asked if one[2] == 256]
        assert len(whole) == len(set(whole)) == 4

    run(scenario())


def test_tiles_on_their_way_are_kept_when_the_chain_fails_and_dropped_when_it_lied(
    anchored: Anchored, tmp_path: Path
) -> None:
    async def scenario() -> None:
        tiles = Tiles(anchored.operator)
        async with mirror(anchored, tmp_path, tiles) as (made, _):

            async def away(last: object) -> bytes:
                raise LieTold

            class LieTold(MirrorEventForged):
                pass

            class Away(CaseledgerError):
                pass

            async def gone(last: object) -> bytes:
                raise Away

            proved = made._proved
            made._proved = gone  # type: ignore[method-assign]
            with pytest.raises(Away):
                await made.step()
            assert made._ahead is not None
            made._proved = away  # type: ignore[method-assign]
            with pytest.raises(LieTold):
                await made.step()
            assert not made._ahead
            assert not made._waiting
            made._proved = proved  # type: ignore[method-assign]
            await settle(made)
            assert made.store.kept.size == sum(COUNTS)

    run(scenario())


@pytest.mark.parametrize("round_leaves", [1, 6, 65_536])
def test_every_root_and_path_of_both_trees_is_kept(
    anchored: Anchored, tmp_path: Path, round_leaves: int
) -> None:
    async def scenario() -> None:
        operator, total = anchored.operator, sum(COUNTS)
        async with mirror(anchored, tmp_path, round_leaves=round_leaves) as (made, _):
            await settle(made)
            assert (made.store.kept.size, made.store.kept.number) == (total, len(COUNTS))
            assert made.store.kept.proved == len(COUNTS)
        # From here on without chain and gateway.
        store = MirrorStore.look(made.store._folder)
        assert [one.size for one in store.segments()] == [5, 8, 708, 709]
        for algorithm, alg in ((0, SHA256), (1, SM3)):
            for index, size in ((0, 1), (0, total), (256, 700), (511, 709), (708, 709), (3, 708)):
                root = operator.checkpoint(size, algorithm).root
                path = store.inclusion(algorithm, index, size)
                verify_inclusion(alg, alg.leaf(operator.leaves[index]), index, size, path, root)
        app = MirrorApp([made])
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://mirror") as http:
            base = f"/v1/logs/{made.log_id.hex()}"
            tile = await http.get(f"{base}/sm3/tile/0/{tile_path(2, 197)}")
            assert tile.content == b"".join(map(SM3.leaf, operator.leaves[512:709]))
            assert (await http.get(f"{base}/tile/1/{tile_path(0, 2)}")).status_code == 200
            assert (await http.get(f"{base}/tile/0/{tile_path(2, 198)}")).status_code == 404
            assert (await http.get(f"{base}/tile/0/2")).status_code == 400
            told = (await http.get(f"{base}/inclusion?index=256&size=700")).json()
            assert [bytes.fromhex(one) for one in told["sm3"]] == store.inclusion(1, 256, 700)
            for bad in ("", "?index=709", "?index=-1", "?index=1&size=710", "?index=5&size=5"):
                assert (await http.get(f"{base}/inclusion{bad}")).status_code == 400
            assert (await http.get("/status")).json()["logs"][0]["size"] == total

    run(scenario())


def test_what_a_crash_left_is_cut_off_and_what_is_missing_is_named(
    anchored: Anchored, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with mirror(anchored, tmp_path, round_leaves=1) as (made, _):
            assert await made.step()
            folder = made.store._folder
            state = (folder / STATE).read_bytes()
            assert await made.step()
        # Killed between the hashes and the state: the state still says the round before.
        (folder / STATE).write_bytes(state)
        async with mirror(anchored, tmp_path) as (made, _):
            assert made.store.kept.number == 1
            await settle(made)
            assert made.store.kept.size == sum(COUNTS)
        for name in (EVENTS, "sm3.0"):
            data = (folder / name).read_bytes()
            (folder / name).write_bytes(data[:-1])
            with pytest.raises(CaseledgerError, match=name):
                MirrorStore(folder)
            (folder / name).write_bytes(data)

    run(scenario())
