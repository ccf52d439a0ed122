"""Those who watch: a mirror that catches up with a gateway over HTTP, and a witness that cosigns.

The mirror starts empty on a ledger that is anchored already: both trees' tiles, every anchored root computed
again, links and the chain's proof checked, all on disk. The witness remembers each checkpoint durably in two
places before it answers; what its own node answers is in memory here, because a node's pace is the chain's.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from agent.keys import Ed25519Key, KeyLabel, new_key
from benchmarks.ledger import Ledger, running
from benchmarks.rows import BenchFailed, Beside, Figure, Options, Reach, Row
from chain import deployment as deployments
from chain.configuration import network_of, open_pool
from monitor.held_trust import HeldTrust
from monitor.mirror import Mirror, TilesForged, TileSource
from monitor.own_node import AnchoredHead
from monitor.tile_client import HttpTiles
from monitor.witness import Witness
from monitor.witness_http import WitnessApp
from monitor.witness_state import WitnessState
from protocol.checkpoint import Checkpoint, SignedNote, sign_checkpoint
from protocol.hashing import ALGORITHMS, SHA256
from protocol.i18n import Text
from protocol.identifiers import log_id
from verifier.merkle import Frontier, Tree, consistency_proof
from verifier.trust_payload import TrustedLog

BULK = 1000
PATIENCE = 300.0
ORIGIN = "bench.localhost/evidence"


def rows(options: Options) -> Iterator[Row]:
    """Mirror, then witness."""
    with running(options.folder, 1) as ledger:
        yield _mirror(ledger, options.pick(200_000, 30_000))
    yield _witness(options.folder / "witness", options.pick(500, 100))


def _mirror(ledger: Ledger, count: int) -> Row:
    for submission in ledger.submitter.submissions(count // BULK, BULK):
        ledger.accept(submission)
    _wait_anchored(ledger, count)
    asyncio.run(_refuses_forged(ledger))
    seconds, batches = asyncio.run(_catch_up(ledger, count))
    one, two = _bare(count, 1), _bare(count, 2)
    return Row(
        "mirror-catch-up",
        Text(f"镜像从零追上 {count:,} 条", f"a mirror catches up with {count:,} leaves"),
        Figure(count / seconds, "leaves/s"),
        Reach(">=", Figure(50_000, "leaves/s")),
        (
            Beside(
                Text("只求同样的哈希（两棵树），一核", "hashing the same nodes alone (both trees), one core"),
                Figure(one, "leaves/s"),
            ),
            Beside(Text("同上，两核", "the same, two cores"), Figure(two, "leaves/s")),
        ),
        Text(
            f"两棵树的哈希瓦片经 HTTP 取得，{batches} 个已锚定的根逐一重算，落盘；网关与节点同在本机；"
            "其间一块被改的瓦片被拒。",
            f"hash tiles of both trees over HTTP, {batches} anchored roots computed again, on disk; gateway "
            "and node share the machine; a changed tile was refused.",
        ),
        {"seconds": seconds, "batches": batches},
    )


def _bare(count: int, cores: int) -> float:
    """Leaves a second when nothing is done but hashing the nodes above them."""
    share = count // cores
    jobs = [(name, share) for name in ("sha256", "sm3") for _ in range(cores)]
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(_hash_nodes, jobs[:cores]))  # processes are there, code is warm
        started = time.perf_counter()
        list(pool.map(_hash_nodes, jobs))
        return count / (time.perf_counter() - started)


def _hash_nodes(job: tuple[str, int]) -> None:
    name, count = job
    level = [bytes(32)] * count
    while len(level) > 1:
        level = ALGORITHMS[name].pairs(level)


def _wait_anchored(ledger: Ledger, count: int) -> None:
    deadline, wanted = time.monotonic() + PATIENCE, ledger.submitter.log_id.hex()
    while time.monotonic() < deadline:
        url = f"{ledger.stack.gateway_url}/v1/status"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own gateway on loopback
            logs = json.loads(answer.read())["evidence"]["logs"]
        if any(one["logId"] == wanted and one["anchored"] >= count for one in logs):
            return
        time.sleep(0.5)
    raise BenchFailed("not anchored in time")


@contextlib.asynccontextmanager
async def _mirroring(ledger: Ledger, folder: str, tiles: TileSource) -> AsyncIterator[Mirror]:
    """An empty mirror of the ledger's log."""
    deployment, network = deployments.load(ledger.home), network_of(ledger.home)
    trust = HeldTrust(ledger.stack.accepted_path, deployment)
    (log,) = (one for one in trust.logs() if log_id(one.origin) == ledger.submitter.log_id)
    async with open_pool(
        deployment.engine, deployment.chain_id, deployment.network_id, network.rpc, network.comet
    ) as pool:
        mirror = Mirror(log.origin, pool, deployment, trust, tiles, ledger.home / folder)
        try:
            yield mirror
        finally:
            mirror.store.close()


async def _catch_up(ledger: Ledger, count: int) -> tuple[float, int]:
    tiles = HttpTiles(str(ledger.stack.gateway_url))
    try:
        async with _mirroring(ledger, "bench-mirror", tiles) as mirror:
            started = time.monotonic()
            while mirror.store.kept.size < count and time.monotonic() - started < PATIENCE:
                await mirror.step()
            seconds = time.monotonic() - started
            kept = mirror.store.kept
    finally:
        await tiles.aclose()
    if kept.size < count or kept.proved != kept.number:
        raise BenchFailed("the mirror did not catch up")
    return seconds, kept.number


class _Forging:
    """Tiles with one bit changed."""

    def __init__(self, tiles: HttpTiles) -> None:
        self._tiles = tiles

    async def tile(self, log_id: bytes, algorithm: int, level: int, index: int, width: int) -> bytes:
        data = await self._tiles.tile(log_id, algorithm, level, index, width)
        return bytes([data[0] ^ 1]) + data[1:] if (algorithm, index) == (1, 1) else data


async def _refuses_forged(ledger: Ledger) -> None:
    tiles = HttpTiles(str(ledger.stack.gateway_url))
    try:
        async with _mirroring(ledger, "bench-forged", _Forging(tiles)) as mirror:
            with contextlib.suppress(TilesForged):
                await mirror.step()
                raise BenchFailed("a changed tile was taken")
    finally:
        await tiles.aclose()


@dataclass
class _InMemory:
    """Trust file and node of the bench's log."""

    key: Ed25519Key
    roots: dict[int, bytes]

    def log(self, origin: str) -> TrustedLog:
        return TrustedLog(origin, 1, 1, self.key.public_key)

    async def anchored(self, log: TrustedLog, size: int, *, since: int = 0) -> AnchoredHead:
        return AnchoredHead(size, size, self.roots[size], bytes(32), size)


def _ed25519(name: str, purpose: str) -> Ed25519Key:
    key = new_key("ed25519", KeyLabel(name, purpose))
    if not isinstance(key, Ed25519Key):
        raise BenchFailed("not an Ed25519 key")
    return key


def _requests(key: Ed25519Key, count: int) -> tuple[list[bytes], dict[int, bytes]]:
    """Checkpoints of a log that grows by 100 leaves each time."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(key.private)
    leaves = [SHA256.leaf(n.to_bytes(8, "big")) for n in range(100 * count)]
    nodes: dict[tuple[int, int], bytes] = {}
    frontier, roots, out = Frontier(SHA256), {}, []
    for run in Frontier(SHA256).extend(leaves):
        nodes |= {(run.level, run.first + n): value for n, value in enumerate(run.hashes)}
    for size in range(100, 100 * count + 1, 100):
        frontier.extend(leaves[size - 100 : size])
        roots[size] = frontier.root()
        point = Checkpoint(ORIGIN, size, roots[size])
        note = SignedNote(point.text(), (sign_checkpoint(private, point),))
        old = size - 100
        proof = consistency_proof(SHA256, old, size, lambda *at: nodes[at]) if old else []
        lines = b"".join(base64.b64encode(one) + b"\n" for one in proof)
        out.append(b"old %d\n" % old + lines + b"\n" + note.encode())
    if roots[100] != Tree(SHA256, leaves[:100]).root:
        raise BenchFailed("the bench's own tree is wrong")
    return out, roots


def _forged(request: bytes) -> bytes:
    """The log's signature with its last bits changed."""
    head, line = request.rstrip(b"\n").rsplit(b" ", 1)
    raw = bytearray(base64.b64decode(line))
    raw[-1] ^= 1
    return head + b" " + base64.b64encode(raw) + b"\n"


def _witness(folder: Path, count: int) -> Row:
    key = _ed25519("log", "log")
    requests, roots = _requests(key, count)
    memory = _InMemory(key, roots)
    with WitnessState(folder / "state", folder / "journal") as state:
        witness = Witness("bench.localhost/witness", {0: _ed25519("w", "witness")}, state, memory, memory)
        server = uvicorn.Server(
            uvicorn.Config(
                WitnessApp(witness), port=0, log_config=None, lifespan="off", ws="none", http="h11"
            )
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            started = time.monotonic()
            refused = sum(http.post("/add-checkpoint", content=one).status_code != 200 for one in requests)
            seconds = time.monotonic() - started
            stale = http.post("/add-checkpoint", content=requests[0]).status_code
            forged = http.post("/add-checkpoint", content=_forged(requests[-1])).status_code
        server.should_exit = True
        thread.join()
    if refused or stale != 409 or forged != 403:
        raise BenchFailed(f"{refused} refused; a stale request got {stale}, a forged one {forged}")
    return Row(
        "witness-rate",
        Text("见证联署，一条连接依次请求", "a witness cosigns, one connection, one request after the other"),
        Figure(count / seconds, "1/s"),
        None,
        (),
        Text(
            "每次答复前状态与日志两处落盘；不含自有节点的应答；过时的请求与伪造的签名被拒。",
            "state and journal are synced in two places before each answer; without its own node's answers; "
            "a stale request and a forged signature were refused.",
        ),
        {"requests": count, "seconds": seconds},
    )
