"""What an operator does to a log by hand: check the books, and carry on in a successor log."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from agent.keys import load_ed25519, load_secp256k1
from cases import fsck as cases_fsck
from chain import cursor
from chain.case_record import CaseRecord
from chain.deployment import Deployment
from chain.engines import profile
from chain.evm import Evm
from chain.rpc import RpcPool
from evidence import fsck, recovery, rehashing
from evidence.contract import ContractReader
from evidence.fsck import FsckOptions, FsckReport
from evidence.intake import Acceptor
from evidence.logs import LogContext, load_log
from evidence.receipts import ReceiptMaker
from evidence.recovery import CloseChoice
from evidence.rehashing import Rehasher
from evidence.timestamping import HttpAuthorities
from evidence.vault import Vault
from evidence.witnessing import CosignerKey
from ledger_gateway.context import (
    VAULT_NAME,
    dsn,
    event_sources,
    key_file,
    load_case_record,
    load_deployment,
    open_base,
    system_clock,
)
from ledger_gateway.settings import Settings
from ledger_gateway.worker import TrustedProofs, authorities_of, witnesses_of
from protocol.errors import CaseledgerError
from protocol.identifiers import log_id
from storage.blobs import FolderStore
from storage.db import Pool, connect_pool
from verifier.trust import TrustFile
from verifier.witness_policy import EMPTY_POLICY

TRUST_FILE = Path("trust/accepted.cltrust")
STATEMENTS = Path("agent/provenance")


@dataclass(frozen=True)
class Tools:
    """A database pool of one role, and the contract as the nodes show it."""

    deployment: Deployment
    pool: Pool
    rpc: RpcPool
    contract: ContractReader
    cases: CaseRecord | None = None


@asynccontextmanager
async def open_tools(settings: Settings, role: str) -> AsyncIterator[Tools]:
    """Database and nodes without any loop."""
    deployment = load_deployment(settings)
    engine = profile(deployment.engine)
    async with AsyncExitStack() as stack:
        embedded = settings.database_dsn_file is None
        pool = await connect_pool(dsn(settings, role), min_size=1, role=None if embedded else role)
        stack.push_async_callback(pool.close)
        rpc = await stack.enter_async_context(
            RpcPool(
                deployment.rpc,
                engine,
                chain_id=deployment.chain_id,
                comet_urls=deployment.comet,
                comet_chain_id=deployment.network_id,
            )
        )
        contract = ContractReader(
            Evm(rpc),
            deployment.evidence_log.address,
            first_block=deployment.block,
            depth=engine.depth,
            max_range=engine.max_log_range,
        )
        yield Tools(deployment, pool, rpc, contract, load_case_record(settings, deployment))


async def check(
    settings: Settings,
    *,
    rebuild: bool = False,
    with_chain: bool = True,
    with_content: bool = True,
    progress: Callable[[int], None] = lambda leaves: None,
) -> FsckReport:
    """Check every log of this database; `rebuild` first makes all that is derived anew, and repairs what else
    follows from what holds. `with_content`: read and hash the stored content as well.

    Raises:
        DatabaseUnavailable, RpcUnavailable, RepairRefused, and errors of key files
    """
    async with open_tools(settings, "sealer" if rebuild else "reader") as tools:
        if rebuild and with_chain:
            sources = event_sources(tools.deployment, tools.cases)
            forget = None if tools.cases is None else cases_fsck.forget
            await cursor.rebuild(tools.pool, tools.rpc, sources, forget)
        options = _options(settings, tools, rebuild=rebuild, with_content=with_content, progress=progress)
        if rebuild and with_chain:
            options = replace(
                options, proofs=TrustedProofs(tools.rpc, tools.deployment, settings.home / TRUST_FILE)
            )
        contract = tools.contract if with_chain else None
        if not rebuild:
            report = await fsck.run(tools.pool, contract, options)
        else:
            owners = await connect_pool(dsn(settings, "migrator"), min_size=1, max_size=1)
            try:
                async with owners.acquire() as owner:
                    report = await fsck.run(tools.pool, contract, options, owner)
            finally:
                await owners.close()
        if tools.cases is not None and with_chain:
            await cases_fsck.check(tools.pool, tools.rpc, tools.cases, report)
        return report


def _options(
    settings: Settings, tools: Tools, *, rebuild: bool, with_content: bool, progress: Callable[[int], None]
) -> FsckOptions:
    """All that this home has to check with: its settings and keys, and the trust file that it accepted."""
    path = settings.home / TRUST_FILE
    trust = path.read_bytes() if path.exists() else None
    named = None if trust is None else TrustFile.parse(trust).payload
    signer = load_ed25519(key_file(settings, settings.log_key))
    chain = tools.deployment.chain_id
    keys = {log_id(one.origin): one.log_key for one in (named.logs if named else ()) if one.chain_id == chain}
    cosigners = {
        (algorithm, key.key_id): key
        for witness in witnesses_of(settings)
        for algorithm in witness.keys
        for key in witness.cosigners(algorithm)
    }
    policy = named.witness_policy if named else EMPTY_POLICY
    for one in policy.witnesses:
        cosigners[one.statement, one.key_id] = CosignerKey(one.kind, one.name, one.public_key)
    return FsckOptions(
        rebuild=rebuild,
        vault=Vault.open(settings.keys_folder / VAULT_NAME),
        log_keys={**keys, log_id(settings.log_origin): signer.public_key},
        trust=trust,
        at=int(time.time()),
        cosigners=cosigners,
        policy=policy,
        authorities=(
            *(named.authorities if named else ()),
            *(authority.trusted() for authority in authorities_of(settings)),
        ),
        blobs=FolderStore(settings.blobs) if with_content and settings.blobs.is_dir() else None,
        statements=settings.home / STATEMENTS,
        log_signer=signer,
        progress=progress,
    )


async def plan(settings: Settings) -> CloseChoice:
    """At which sizes the log of the settings could be closed.

    Raises:
        DatabaseUnavailable, RpcUnavailable, LogUnknown
    """
    async with open_tools(settings, "reader") as tools:
        return await recovery.close_choice(tools.pool, await _log(tools, settings), tools.contract)


async def release(settings: Settings) -> None:
    """Open a halted log again.

    Raises:
        LogForked while the chain holds something else than the database
    """
    async with open_tools(settings, "sealer") as tools:
        await recovery.release(tools.pool, await _log(tools, settings), tools.contract)


async def succeed(settings: Settings, origin: str) -> LogContext:
    """Make the successor known that governance opened, after it closed the log of the settings.

    Raises:
        LogForked, LogUnknown, RecordDamaged
    """
    async with open_tools(settings, "reader") as tools:
        owners = await connect_pool(dsn(settings, "migrator"), min_size=1, max_size=1)
        try:
            async with owners.acquire() as owner:
                return await recovery.succeed(owner, await _log(tools, settings), origin, tools.contract)
        finally:
            await owners.close()


async def add_custody(settings: Settings) -> LogContext:
    """Make the custody log of the settings known, which governance opened.

    Raises:
        LogUnknown, LogForked
    """
    async with open_tools(settings, "reader") as tools:
        evidence = await _log(tools, settings)
        owners = await connect_pool(dsn(settings, "migrator"), min_size=1, max_size=1)
        try:
            async with owners.acquire() as owner:
                return await recovery.add_custody(owner, evidence, settings.custody_log, tools.contract)
        finally:
            await owners.close()


async def begin(settings: Settings, act_key: Path) -> tuple[bytes, int]:
    """Write the continuation into the settings' log, a successor, and log again what the operator (`act_key`
    is its key) had beyond the closed size. The continuation's evidence id, and how many leaves came back.

    Other organisations' leaves need their own signatures: their agents send them again.

    Raises:
        MalformedInput when the log continues no other; what accepting raises
    """
    key = load_secp256k1(act_key)
    async with open_base(settings, role="gateway", application="caseledger-log") as base:
        signer = load_ed25519(key_file(settings, settings.log_key))
        async with Acceptor(
            base.pool, base.log, base.chain.registry, signer, base.vault, clock=system_clock
        ) as acceptor:
            await acceptor.writable(5.0)
            first = await recovery.begin(base.pool, acceptor, key)
            async with base.pool.acquire() as conn:
                waiting = await recovery.outstanding(conn, base.log, base.vault, base.log.operator)
            if waiting:
                await recovery.log_again(acceptor, waiting, key, now=system_clock())
            return first, len(waiting)


async def rehash(
    settings: Settings, size: int | None, told: Callable[[int, int], None]
) -> tuple[rehashing.Progress, dict[str, str]]:
    """Renew the log of the settings under SHA3-256, from where a run stopped, and have each authority stamp
    it. What came of it, and by authority why there is no token. `told`: leaves done, of how many.

    Raises:
        NothingAnchored, ReceiptNotReady, RecordDamaged, BodyUnreadable, and errors of key files
    """
    troubles: dict[str, str] = {}
    async with open_base(settings, role="sealer", application="caseledger-rehash") as base:
        signer = load_ed25519(key_file(settings, settings.log_key))
        maker = ReceiptMaker(base.log, base.vault, clock=system_clock)
        run = Rehasher(base.pool, base.log, maker, signer, clock=system_clock)
        until = await run.begin(size)
        await run.run(until, lambda done: told(done, until))
        port = HttpAuthorities()
        try:
            for authority in authorities_of(settings):
                try:
                    await run.stamp(until, authority, port)
                except CaseledgerError as error:
                    troubles[authority.name] = f"{error.code}: {error.detail}"
        finally:
            await port.aclose()
        found = await rehashing.progress(base.pool, base.log.log_no)
        return next(one for one in found if one.size == until), troubles


async def rehash_progress(settings: Settings) -> list[rehashing.Progress]:
    """Every run over the log of the settings."""
    async with open_tools(settings, "reader") as tools:
        return await rehashing.progress(tools.pool, (await _log(tools, settings)).log_no)


async def _log(tools: Tools, settings: Settings) -> LogContext:
    return await load_log(tools.pool, log_id(settings.log_origin))
