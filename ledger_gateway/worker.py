"""The worker process: seals, anchors, captures proofs, sends transactions, follows events, keeps the clocks
of cases, until SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.keys import load_ed25519, load_secp256k1
from cases.carrying import ActSender
from cases.events import case_events
from cases.keeping import FollowedTime, Keeper
from cases.policies import RELEASED
from cases.worker import KeeperWorker, SenderWorker
from chain.capture import CapturedBatch
from chain.cursor import EventCursor
from chain.deployment import Deployment
from chain.outbox_worker import Worker as OutboxWorker
from chain.rpc import RpcPool
from evidence.anchoring import Follower
from evidence.capturing import Capturer, ChainProofs
from evidence.evidence_records import RecordStamper
from evidence.logs import LogContext
from evidence.ports import FaultPoints
from evidence.sealer import Sealer
from evidence.sending import OutboxSender
from evidence.timestamping import Authority, HttpAuthorities, TimeStamper, read_roots
from evidence.witnessing import HttpWitnesses, Witness, Witnesser
from evidence.worker import LogWorker, Step
from ledger_gateway import logs
from ledger_gateway.context import (
    Base,
    contract_reader,
    event_sources,
    key_file,
    open_base,
    register_lanes,
    system_clock,
)
from ledger_gateway.settings import Settings, SettingsInvalid
from protocol.errors import CaseledgerError
from verifier.trust import MAX_TRUST, TrustFile
from verifier.trust_payload import TrustedChain

TRUST_FILE = Path("trust/accepted.cltrust")


class TrustedProofs:
    """Chain proofs under the validators of the accepted trust file, read again when the file changes.

    Without a trust file the nodes' own validators count, and the proof is marked so.
    """

    def __init__(self, rpc: RpcPool, deployment: Deployment, path: Path) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._path = path
        self._read_at: int | None = None
        self._chain: TrustedChain | None = None

    def trusted(self) -> TrustedChain | None:
        """The chain as the trust file names it now."""
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if changed != self._read_at:
            with self._path.open("rb") as source:
                trust = TrustFile.parse(source.read(MAX_TRUST + 1))
            trust.check()
            self._chain = trust.payload.chain(self._deployment.chain_id)
            self._read_at = changed
        return self._chain

    async def capture(
        self, log_id: bytes, number: int, signers: Sequence[bytes], height: int | None, link: bytes
    ) -> CapturedBatch:
        source = ChainProofs(self._rpc, self._deployment, self.trusted())
        return await source.capture(log_id, number, signers, height, link)


def witness_steps(base: Base, log: LogContext, port: HttpWitnesses) -> dict[str, Step]:
    """A round for each witness of the settings, over one log; without witnesses the log key is never read.

    Raises:
        MalformedInput, and errors of key files
    """
    settings = base.settings
    if not settings.witnesses:
        return {}
    key = load_ed25519(key_file(settings, settings.log_key))
    steps: dict[str, Step] = {}
    for witness in witnesses_of(settings):
        asked = Witnesser(base.pool, log, key, witness, port, clock=system_clock)
        steps[asked.step] = asked.run_once
    return steps


def time_steps(base: Base, log: LogContext, port: HttpAuthorities) -> dict[str, Step]:
    """A round for each time authority of the settings, over one log.

    Raises:
        SettingsInvalid, MalformedInput: certificates that cannot be read
    """
    steps: dict[str, Step] = {}
    for authority in authorities_of(base.settings):
        asked = TimeStamper(base.pool, log, authority, port, clock=system_clock)
        steps[asked.step] = asked.run_once
        records = RecordStamper(base.pool, log, authority, port, clock=system_clock)
        steps[records.step] = records.run_once
    return steps


def witnesses_of(settings: Settings) -> Iterator[Witness]:
    """The witnesses of the settings with their keys. Raises MalformedInput."""
    for one in settings.witnesses:
        keys = {0: bytes.fromhex(one.sha256_key), 1: bytes.fromhex(one.sm3_key)}
        if (more := one.ml_dsa) is None:
            yield Witness(one.name, one.url, keys)
            continue
        post_quantum = {0: bytes.fromhex(more.sha256_key), 1: bytes.fromhex(more.sm3_key)}
        yield Witness(one.name, one.url, keys, more.name, post_quantum)


def authorities_of(settings: Settings) -> Iterator[Authority]:
    """The time authorities of the settings with their certificates.

    Raises:
        SettingsInvalid, MalformedInput: certificates that cannot be read
    """
    for one in settings.time_authorities:
        roots = _certificates(settings, one.roots)
        chain = () if one.chain is None else _certificates(settings, one.chain)
        yield Authority(one.name, one.url, roots, chain, one.policies, one.revocation, one.every)


def _certificates(settings: Settings, path: Path) -> tuple[bytes, ...]:
    try:
        return read_roots((settings.home / path).read_bytes())
    except OSError:
        raise SettingsInvalid(f"{path.name} cannot be read", field="time_authority") from None


def log_worker(
    base: Base,
    log: LogContext,
    outbox: OutboxWorker | None,
    faults: FaultPoints | None = None,
    beside: Mapping[str, Step] | None = None,
) -> LogWorker:
    """The loops of one log. `outbox`: given to one worker of a process. `faults`: handed in by crash tests.

    `beside`: as in LogWorker.

    Raises:
        Errors of key files
    """
    settings, chain = base.settings, base.chain
    contract = contract_reader(chain)
    sender = OutboxSender(chain.outbox, chain.evm, settings.relayer_keys[0], log.contract)
    key = load_secp256k1(key_file(settings, settings.anchor_key))
    sealer = Sealer(base.pool, log, sender, key, clock=system_clock, faults=faults)
    follower = Follower(base.pool, log, contract, sender, sealer, clock=system_clock, faults=faults)
    proofs = TrustedProofs(chain.rpc, chain.deployment, settings.home / TRUST_FILE)
    capturer = Capturer(base.pool, log, proofs, clock=system_clock)
    return LogWorker(
        base.pool, log, sealer, follower, capturer, outbox, beside=beside, clock=system_clock,
        faults=faults,
    )  # fmt: skip


def keeper_worker(base: Base, faults: FaultPoints | None = None) -> KeeperWorker | None:
    """Reminders, overdue marks and lapses, where this ledger has cases.

    `faults`: handed in by crash tests.
    """
    if base.case_record is None:
        return None
    chain, contracts = base.chain, base.case_record.contracts
    time = FollowedTime(base.pool, chain.evm, case_events(base.case_record).name)
    sender = OutboxSender(chain.outbox, chain.evm, base.settings.relayer_keys[-1], contracts.ledger)
    keeper = Keeper(base.pool, time, sender, contracts, RELEASED, faults=faults)
    return KeeperWorker(base.pool, keeper, clock=system_clock)


def act_sender(base: Base, faults: FaultPoints | None = None) -> SenderWorker | None:
    """What carries acts on cases, where this ledger has cases. `faults`: handed in by crash tests."""
    if base.case_record is None:
        return None
    chain, lanes = base.chain, base.settings.relay_lanes
    contracts = base.case_record.contracts
    sender = ActSender(base.pool, chain.evm, chain.outbox, lanes, contracts, faults=faults)
    return SenderWorker(base.pool, sender)


async def run(settings: Settings, faults: FaultPoints | None = None) -> None:
    """Works until SIGTERM or SIGINT; a step in the middle of a commit comes to its end.

    `faults`: handed in by crash tests.

    Raises:
        The errors of `open_base` and of key files
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    logger = logs.get("worker")
    async with open_base(settings, role="sealer", application="caseledger-worker") as base:
        await register_lanes(base, stop)
        outbox = OutboxWorker(base.pool, base.chain.evm, base.chain.outbox)
        witnesses = HttpWitnesses()
        authorities = HttpAuthorities()
        workers = [
            log_worker(
                base,
                log,
                outbox if log == base.log else None,
                faults,
                witness_steps(base, log, witnesses) | time_steps(base, log, authorities),
            )
            for log in base.logs
        ]
        sources = event_sources(base.chain.deployment, base.case_record)
        cursors = [EventCursor(base.pool, base.chain.rpc, source) for source in sources]
        keeper = keeper_worker(base, faults)
        carrier = act_sender(base, faults)
        tasks = [
            *(asyncio.create_task(one.run(stop), name="log") for one in workers),
            *([] if keeper is None else [asyncio.create_task(keeper.run(stop), name="keeper")]),
            *([] if carrier is None else [asyncio.create_task(carrier.run(stop), name="acts")]),
            *(asyncio.create_task(_follow(cursor, stop), name="cursor") for cursor in cursors),
            asyncio.create_task(base.chain.registry.run(stop, every=2.0), name="registry"),
        ]
        logger.info("started")
        try:
            await asyncio.gather(*tasks)
        finally:
            stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await witnesses.aclose()
            await authorities.aclose()
            with contextlib.suppress(CaseledgerError, OSError):
                await outbox.release()
    logger.info("stopped")


async def _follow(cursor: EventCursor, stop: asyncio.Event) -> None:
    """The event cursor, begun again after a fault; a named fault is logged once a minute at most."""
    logger = logs.get("cursor")
    while not stop.is_set():
        try:
            await cursor.run(stop)
        except (CaseledgerError, OSError) as error:
            logger.warning("cursor", code=getattr(error, "code", type(error).__name__))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await stop.wait()
