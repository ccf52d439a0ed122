"""A mirror: follows a log's anchors on the chain and its hash tiles at the gateway, and believes neither.

Every anchored root is recomputed from the leaf hashes, every link from the event before it, and the newest
link is proved in a block that the trust file's validators signed; since each link commits to the one before,
that proves all of them. What is kept answers inclusion proofs after the gateway is gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from chain.capture import assemble, capture
from chain.deployment import Deployment
from chain.errors import ChainError
from chain.evidence_log import Anchored, ContractReader
from chain.evm import Evm
from chain.rpc import RpcPool
from monitor.errors import WitnessRefusal
from monitor.held_trust import HeldTrust
from monitor.mirror_store import MirrorStore, Segment
from protocol import cbor
from protocol.checkpoint import TREE_HASHES
from protocol.errors import CaseledgerError
from protocol.hashing import HASH_LEN
from protocol.identifiers import log_id as log_id_of
from protocol.keyslot import link_slot_position
from protocol.tilepath import TILE_WIDTH
from verifier.chainproof import NoProof
from verifier.merkle import Frontier, NodeRun
from verifier.receipt import Receipt
from verifier.trust_payload import TrustedChain, TrustedLog

log = logging.getLogger(__name__)

ROUND_LEAVES = 65_536
"""Leaves after which a round is written, at the next anchor."""
AT_ONCE = 16
"""Tiles asked for at the same time, of both trees and of this round and the next together."""
PAUSE, RETRY = 1.0, 5.0
_NO_KEY = cbor.encode([bytes(32), b""])


class MirrorGap(WitnessRefusal):
    """The chain's events, as the own node tells them, do not follow each other."""

    title: ClassVar[str] = "a gap between anchors"


class MirrorEventForged(WitnessRefusal):
    """An event's numbers do not make the link that the chain holds."""

    title: ClassVar[str] = "an event that the chain does not hold"


class TilesForged(WitnessRefusal):
    """The gateway's hashes do not make the anchored root."""

    title: ClassVar[str] = "the gateway's tiles are not what was anchored"


class MirrorContradicts(WitnessRefusal):
    """A receipt says something else than the mirror holds."""

    title: ClassVar[str] = "the mirror holds something else"


class TileSource(Protocol):
    """Where tiles come from."""

    async def tile(self, log_id: bytes, algorithm: int, level: int, index: int, width: int) -> bytes:
        """`width` hashes. Raises TilesWithheld."""
        ...


@dataclass(frozen=True)
class _Fetch:
    """Leaf hashes of both trees on their way."""

    begin: int
    end: int
    trees: asyncio.Future[list[list[bytes]]]


def _passed_over(trees: asyncio.Future[list[list[bytes]]]) -> None:
    """Nobody waits for it any more."""
    if not trees.cancelled():
        trees.exception()


class Mirror:
    """Follows one log. Not for two tasks at once."""

    def __init__(
        self,
        origin: str,
        pool: RpcPool,
        deployment: Deployment,
        trust: HeldTrust,
        tiles: TileSource,
        folder: Path,
        *,
        round_leaves: int = ROUND_LEAVES,
    ) -> None:
        self.origin = origin
        self.log_id = log_id_of(origin)
        self.alarm: CaseledgerError | None = None
        """What keeps the mirror from going on, as of the last round."""
        self.store = MirrorStore(folder / self.log_id.hex())
        self._alarms = folder / "alarms.jsonl"
        self._pool = pool
        self._deployment = deployment
        self._trust = trust
        self._tiles = tiles
        self._round = round_leaves
        self._reader = ContractReader(
            Evm(pool),
            deployment.evidence_log.address,
            first_block=deployment.block,
            depth=pool.profile.depth,
            max_range=pool.profile.max_log_range,
        )
        self._range = pool.profile.max_log_range
        self._scanned = max(deployment.block, self.store.kept.block + 1) - 1
        self._waiting: list[Segment] = []
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._ahead: _Fetch | None = None
        """Tiles that are on their way, of this round or the next."""
        self._frontiers = [self.store.frontier(algorithm) for algorithm in range(len(TREE_HASHES))]

    def describe(self) -> dict[str, Any]:
        """How far it is, and what is wrong."""
        kept = self.store.kept
        return {
            "origin": self.origin,
            "logId": self.log_id.hex(),
            "size": kept.size,
            "batches": kept.number,
            "proved": kept.proved,
            "block": kept.block,
            "alarm": None if self.alarm is None else self.alarm.as_dict(),
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop` is set; what fails is shown, kept as an alarm, and tried again."""
        try:
            while not stop.is_set():
                pause = PAUSE
                try:
                    if await self.step():
                        pause = 0.0
                    self.alarm = None
                except CaseledgerError as error:
                    self._raise_alarm(error)
                    pause = RETRY
                if pause:
                    try:
                        async with asyncio.timeout(pause):
                            await stop.wait()
                    except TimeoutError:
                        continue
        finally:
            self._drop()

    async def step(self) -> bool:
        """One round: read events, fetch their leaves, verify, keep; whether there was anything.

        The next round's tiles are fetched while this one's are hashed and written.

        Raises:
            MirrorGap, MirrorEventForged, TilesWithheld, TilesForged, TrustFileUnusable, ChainError
        """
        try:
            await self._read_events()
            segments = self._next_round(0)
            if not segments:
                return False
            fetch = self._fetch(self.store.kept.size, segments[-1].size)
            # The chain first: what is proved there is what the gateway is measured by.
            proof = await self._proved(segments[-1])
        except (MirrorGap, MirrorEventForged):
            self._forget()
            raise
        try:
            trees = await asyncio.shield(fetch.trees)
            self._ahead = None
            if following := self._next_round(len(segments)):
                self._fetch(segments[-1].size, following[-1].size)
            # Hashing a round takes a moment; whoever asks this process meanwhile is answered.
            runs, frontiers = await asyncio.to_thread(self._verified, segments, trees)
            await asyncio.to_thread(self.store.append, runs, segments, proof)
        except BaseException:
            self._drop()
            raise
        self._frontiers = frontiers
        self._waiting = self._waiting[len(segments) :]
        return True

    def _fetch(self, begin: int, end: int) -> _Fetch:
        """The leaves of both trees from `begin` to `end`, asked for now unless they are on their way."""
        if self._ahead is None or (self._ahead.begin, self._ahead.end) != (begin, end):
            self._drop()
            trees = asyncio.gather(*(self._leaves(algorithm, begin, end) for algorithm in range(2)))
            self._ahead = _Fetch(begin, end, trees)
        return self._ahead

    def _drop(self) -> None:
        """Ask no further for tiles that are on their way."""
        if self._ahead is not None:
            self._ahead.trees.cancel()
            self._ahead.trees.add_done_callback(_passed_over)
            self._ahead = None

    def _forget(self) -> None:
        """Read the events behind what is kept again: what was told with a lie is not remembered."""
        self._drop()
        self._waiting = []
        self._scanned = max(self._deployment.block, self.store.kept.block + 1) - 1

    async def _read_events(self) -> None:
        """Events of the next blocks, each following the one before; enough for this round and the next."""
        if self._waiting and self._waiting[-1].size - self.store.kept.size >= 2 * self._round:
            return
        last = await self._reader.final_block()
        if last <= self._scanned:
            return
        end = min(last, self._scanned + self._range)
        for event in await self._reader.anchored_between(self.log_id, self._scanned + 1, end):
            self._waiting.append(self._following(event))
        if end == last:
            head = await self._reader.head(self.log_id, last)
            told = self._waiting[-1].number if self._waiting else self.store.kept.number
            if head.batches != told:
                raise MirrorGap(f"the contract has {head.batches} batches, events were told of {told}")
        self._scanned = end

    def _following(self, event: Anchored) -> Segment:
        kept = self.store.kept
        if self._waiting:
            before = self._waiting[-1]
            number, size, link = before.number, before.size, before.link
        else:
            number, size, link = kept.number, kept.size, bytes.fromhex(kept.link)
        if (event.number, event.old_size) != (number + 1, size):
            raise MirrorGap(
                f"batch {event.number} from {event.old_size} after batch {number} that ends at {size}"
            )
        segment = Segment.of(event, link)
        made = segment.value(self._deployment.chain_id, self._deployment.evidence_log.address, self.log_id)
        if made != event.link:
            raise MirrorEventForged(f"batch {event.number} does not link to batch {number}")
        return segment

    def _next_round(self, skip: int) -> list[Segment]:
        """As many of the waiting events, behind the first `skip`, as make a round."""
        begin = self._waiting[skip - 1].size if skip else self.store.kept.size
        for position in range(skip, len(self._waiting)):
            if self._waiting[position].size - begin >= self._round:
                return self._waiting[skip : position + 1]
        return self._waiting[skip:]

    async def _leaves(self, algorithm: int, begin: int, end: int) -> list[bytes]:
        """Leaf hashes from `begin` up to `end`."""

        async def one(index: int) -> bytes:
            width = min(TILE_WIDTH, end - index * TILE_WIDTH)
            async with self._gate:
                data = await self._tiles.tile(self.log_id, algorithm, 0, index, width)
            return data[max(0, begin - index * TILE_WIDTH) * HASH_LEN :]

        last = (end - 1) // TILE_WIDTH
        parts = await asyncio.gather(*(one(index) for index in range(begin // TILE_WIDTH, last + 1)))
        data = b"".join(parts)
        return [data[at : at + HASH_LEN] for at in range(0, len(data), HASH_LEN)]

    def _verified(
        self, segments: Sequence[Segment], trees: Sequence[list[bytes]]
    ) -> tuple[list[list[NodeRun]], list[Frontier]]:
        """New nodes of both trees; each anchored root was recomputed."""
        begin, out, frontiers = self.store.kept.size, [], []
        for algorithm, leaves in enumerate(trees):
            frontier, runs, at = self._frontiers[algorithm].copy(), [], begin
            for one in segments:
                runs += frontier.extend(leaves[at - begin : one.size - begin])
                at = one.size
                if frontier.root() != one.root(algorithm):
                    raise TilesForged(
                        f"{TREE_HASHES[algorithm].name} root at {one.size} is not that of batch {one.number}"
                    )
            out.append(runs)
            frontiers.append(frontier)
        return out, frontiers

    async def _proved(self, last: Segment) -> bytes | None:
        """The chain's proof of the round's last link; None where the chain proves nothing.

        Of the block before the newest, where that holds the link already: its state is signed, while that of
        the newest waits for one more block.
        """
        signed = await self._reader.final_block() - 1
        try:
            captured = await capture(
                self._pool, self._deployment, self.log_id, last.number, (),
                signed if signed >= last.block else None,
                trusted=self._trust.chain(), expected_link=last.link,
            )  # fmt: skip
        except ChainError as error:
            if error.code in ("LinkAbsent", "OtherBatchAnchored"):
                raise MirrorEventForged(f"batch {last.number}: {error.code}") from None
            raise
        return captured.shared

    def _raise_alarm(self, error: CaseledgerError) -> None:
        fresh = self.alarm is None or self.alarm.code != error.code
        self.alarm = error
        if not fresh:
            return
        log.error("alarm: %s: %s: %s", self.origin, error.code, error.detail)
        record = {
            "at": int(time.time()), "origin": self.origin, "code": error.code, "detail": error.detail,
        }  # fmt: skip
        with self._alarms.open("a", encoding="utf-8") as out:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


def check(receipt: Receipt, store: MirrorStore, chain: TrustedChain, known: TrustedLog) -> dict[str, Any]:
    """What a mirror alone says about a receipt, without node and gateway: leaf, batch, and the way from the
    batch's link to one that validators of the trust file signed.

    Raises:
        MirrorContradicts, and what the verifier raises on the stored proof
    """
    core, identity = receipt.core, log_id_of(known.origin)
    if core.log.origin != known.origin:
        raise MirrorContradicts("the receipt is of another log", field="log")
    if core.inclusion.index >= store.kept.size or core.link.number > store.kept.number:
        raise MirrorContradicts(f"the mirror ends at {store.kept.size}", field="link")
    for algorithm, alg in enumerate(TREE_HASHES):
        if store.leaf(algorithm, core.inclusion.index) != alg.leaf(core.leaf):
            raise MirrorContradicts(f"another leaf at {core.inclusion.index}", field="leaf")
    link = bytes(32)
    proved: bytes | None = None
    for one in store.segments():
        made = one.value(chain.chain_id, chain.evidence_log.address, identity)
        if one.previous != link or made != one.link:
            raise MirrorContradicts(f"batch {one.number} does not link to the one before", field="events")
        link = made
        if one.number == core.link.number and made != core.link.value(core.log):
            raise MirrorContradicts(f"batch {one.number} is another one", field="link")
        if one.number == store.kept.proved:
            proved = link
    height = None
    data = store.proof()
    if data is not None and proved is not None and store.kept.proved >= core.link.number:
        proof = assemble(data, _NO_KEY)
        if not isinstance(proof, NoProof):
            epoch = chain.epoch_at(proof.height)
            if epoch is None:
                raise MirrorContradicts("the trust file has no validators for the proof", field="epochs")
            keys = [(v.public_key, v.power) for v in epoch.validators]
            block = proof.final(keys, chain.network_id)
            opened = proof.open_log(
                block, chain.evidence_log.address, link_slot_position(identity, store.kept.proved)
            )
            if opened.word != proved or opened.code_hash != chain.evidence_log.code_hash:
                raise MirrorContradicts("the proved link is another one", field="proof")
            height = block.height
    return {
        "origin": known.origin,
        "index": core.inclusion.index,
        "batch": core.link.number,
        "anchoredAt": core.link.time,
        "mirrorSize": store.kept.size,
        "provedBatch": store.kept.proved,
        "provedInBlock": height,
    }
