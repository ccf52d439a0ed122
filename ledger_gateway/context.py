"""Composition: opens what a process needs, once, and closes it in the reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cases.events import case_events
from chain import case_record
from chain import deployment as deployments
from chain.case_contracts import CaseContracts
from chain.case_record import CaseRecord
from chain.cursor import EventSource, ledger_events
from chain.deployment import Deployment
from chain.engines import profile
from chain.evm import Evm
from chain.outbox import Outbox
from chain.outbox import Settings as OutboxSettings
from chain.registry_view import RegistryView
from chain.rpc import RpcPool
from chain.signer import RelayerKey, load_relayer
from evidence.contract import ContractReader
from evidence.errors import LogUnknown, OrganisationUnknown
from evidence.logs import LogContext, LogStatus, load_log, load_logs, log_status
from evidence.vault import Vault
from ledger_gateway import logs
from ledger_gateway.settings import Settings
from protocol.custody import is_custody_log
from protocol.errors import CaseledgerError
from protocol.identifiers import log_id
from storage.cluster import Cluster
from storage.db import Pool, connect_pool

DATABASE_SECONDS = 60.0
"""How long a process that starts waits for a server that starts too, or recovers from a crash."""
WRITER_CONNECTIONS = 2
"""What the custody log's writer holds beside those of the settings."""
VAULT_NAME = "vault.keyring"  # not *.json: those are key files of one key each


def roles_of(registry: RegistryView, index: int) -> int:
    """Role bits of an active organisation.

    Raises:
        OrganisationUnknown
    """
    found = registry.organisation(index)
    if found is None or not found.active:
        raise OrganisationUnknown(f"organisation {index} is not an active member", field="organisation")
    return found.roles


@dataclass(frozen=True)
class Chain:
    """How this process reaches the chain."""

    deployment: Deployment
    rpc: RpcPool
    evm: Evm
    outbox: Outbox
    registry: RegistryView


@dataclass(frozen=True)
class Base:
    """What gateway and worker have in common."""

    settings: Settings
    pool: Pool
    chain: Chain
    log: LogContext
    vault: Vault
    custody: LogContext | None = None
    """The custody log, where this database has one."""
    case_record: CaseRecord | None = None
    """The case room's contracts, where the home has their record."""

    @property
    def cases(self) -> CaseContracts | None:
        """Where cases live on the chain; None: this ledger has none."""
        return None if self.case_record is None else self.case_record.contracts

    @property
    def logs(self) -> tuple[LogContext, ...]:
        """Those that this service accepts for and seals."""
        return (self.log,) if self.custody is None else (self.log, self.custody)


def system_clock() -> int:
    """Seconds UTC."""
    return int(time.time())


def dsn(settings: Settings, role: str) -> str:
    """The database of the settings: a DSN file, or the embedded cluster of the home."""
    if settings.database_dsn_file is not None:
        return settings.database_dsn_file.read_text(encoding="utf-8").strip()
    return Cluster(settings.home).dsn(role)


def load_deployment(settings: Settings) -> Deployment:
    """The deployment, through the settings' own nodes where they name some."""
    deployment = deployments.load(settings.deployment)
    return deployment.with_urls(settings.rpc_urls, settings.comet_urls)


def load_case_record(settings: Settings, deployment: Deployment) -> CaseRecord | None:
    """The record beside the deployment's, where there is one. Raises MalformedInput, DeploymentMismatch."""
    return case_record.load_if_there(settings.case_record, deployment.chain_id)


def event_sources(deployment: Deployment, cases: CaseRecord | None) -> list[EventSource]:
    """All whose events this database follows."""
    return [ledger_events(deployment), *([] if cases is None else [case_events(cases)])]


def contract_reader(chain: Chain) -> ContractReader:
    """The EvidenceLog as final blocks show it."""
    engine = chain.rpc.profile
    return ContractReader(
        chain.evm,
        chain.deployment.evidence_log.address,
        first_block=chain.deployment.block,
        depth=engine.depth,
        max_range=engine.max_log_range,
    )


def lanes_of(settings: Settings, names: tuple[str, ...]) -> Mapping[str, RelayerKey]:
    """Sender lanes by name; a key file is `<name>.key` or `<name>.json`."""
    found: dict[str, RelayerKey] = {}
    for name in names:
        plain = settings.keys_folder / f"{name}.key"
        found[name] = load_relayer(plain if plain.exists() else settings.keys_folder / f"{name}.json")
    return found


@asynccontextmanager
async def open_base(settings: Settings, *, role: str, application: str) -> AsyncIterator[Base]:
    """Database, nodes, registry, log. Comes up without the chain when the index in SQL is there.

    Raises:
        DatabaseUnavailable, DeploymentMissing, DeploymentMismatch, LogUnknown, RegistryUnknown, and errors of
        records and key files
    """
    deployment = load_deployment(settings)
    engine = profile(deployment.engine)
    async with AsyncExitStack() as stack:
        embedded = settings.database_dsn_file is None
        pool = await connect_pool(
            dsn(settings, role),
            min_size=2,
            max_size=settings.pool_size + WRITER_CONNECTIONS,
            application=application,
            wait=DATABASE_SECONDS,
            role=None if embedded else role,
        )
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
        evm = Evm(rpc)
        outbox = Outbox(
            OutboxSettings(
                chain_id=deployment.chain_id,
                gas_price=engine.min_gas_price,
                depth=engine.depth,
                revert_costs_limit=engine.revert_gas == "limit",
            ),
            lanes_of(settings, settings.relayer_keys),
        )
        registry = RegistryView(rpc, deployment, pool)
        await registry.start()
        log = await load_log(pool, log_id(settings.log_origin))
        vault = Vault.open(settings.keys_folder / VAULT_NAME, create=True)
        custody = await _custody_log(pool, settings, log)
        cases = load_case_record(settings, deployment)
        yield Base(settings, pool, Chain(deployment, rpc, evm, outbox, registry), log, vault, custody, cases)


async def _custody_log(pool: Pool, settings: Settings, evidence: LogContext) -> LogContext | None:
    """The custody log of the settings; where they name none and the evidence log has a successor's name, the
    operator's newest that is open.

    Raises:
        LogUnknown: the settings name one that this database does not know.
    """
    try:
        return await load_log(pool, log_id(settings.custody_log))
    except LogUnknown:
        if settings.custody_origin:
            raise
    for log in reversed(await load_logs(pool)):
        same = (log.operator, log.contract) == (evidence.operator, evidence.contract)
        if is_custody_log(log.origin) and same and await log_status(pool, log.log_no) is not LogStatus.CLOSED:
            return log
    return None


async def register_lanes(base: Base, stop: asyncio.Event) -> None:
    """Makes the rows of this process's lanes; waits for a node if one of them is new."""
    log = logs.get("outbox")
    while not stop.is_set():
        try:
            async with base.pool.acquire() as conn:
                await base.chain.outbox.register(conn, base.chain.evm)
            return
        except (CaseledgerError, OSError) as error:
            log.warning("lanes", code=getattr(error, "code", type(error).__name__))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await stop.wait()


def key_file(settings: Settings, name: str) -> Path:
    """Path of a key file by name."""
    return settings.keys_folder / f"{name}.json"
