"""PostgreSQL: pools, and migrations with checksums under one lock.

A pool refuses a server that acknowledges before it has written (`fsync`, `full_page_writes`,
`synchronous_commit`): what a promise says would not be true there.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from storage.errors import DatabaseUnavailable, DatabaseUnsafe, MigrationChanged, StorageFull

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
AnyConnection: TypeAlias = "Connection | PoolConnectionProxy[asyncpg.Record]"

MIGRATIONS = Path(__file__).parent / "migrations"
_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_LOCK_KEY = 0x6361_7365_6D69_6772
"""Advisory lock of the migration runner ("casemigr")."""
CONNECT_PAUSE = 0.5
DURABLE = {"fsync": "on", "full_page_writes": "on"}
DURABLE_COMMIT = ("on", "local", "remote_write", "remote_apply")


@dataclass(frozen=True)
class Migration:
    """One file `NNNN_name.sql`."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.sql.encode()).digest()


def load_migrations(folder: Path = MIGRATIONS) -> tuple[Migration, ...]:
    """All migrations in order. Raises MigrationChanged when a number is missing or used twice."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.match(path.name)
        if match is None:
            raise MigrationChanged(f"{path.name} is not named NNNN_name.sql")
        found.append(Migration(int(match[1]), match[2], path.read_text("utf-8")))
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            raise MigrationChanged(f"migration {expected:04d} is missing or used twice")
    return tuple(found)


async def migrate(dsn: str, *, migrations: tuple[Migration, ...] | None = None) -> int:
    """Bring the database to this release; the number of migrations applied now.

    Each runs in its own transaction with its checksum row, so a killed run continues. The DSN is the
    migrator's; the other roles exist already (`cluster.ensure_roles`).

    Raises MigrationChanged, DatabaseUnavailable.
    """
    wanted = load_migrations() if migrations is None else migrations
    try:
        conn = await asyncpg.connect(dsn)
    except (OSError, asyncpg.PostgresError) as error:
        raise unavailable(error) from error
    try:
        await conn.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
        await conn.execute(
            "CREATE TABLE IF NOT EXISTS public.schema_migration (version int PRIMARY KEY, name text NOT NULL,"
            " sha256 bytea NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        rows = await conn.fetch("SELECT version, sha256 FROM public.schema_migration ORDER BY version")
        held = {row["version"]: row["sha256"] for row in rows}
        by_version = {migration.version: migration for migration in wanted}
        for version, digest in held.items():
            known = by_version.get(version)
            if known is None:
                raise MigrationChanged(f"the database has migration {version:04d}, this release has not")
            if known.sha256 != digest:
                raise MigrationChanged(f"migration {version:04d} changed after it was applied")
        pending = [migration for migration in wanted if migration.version not in held]
        for migration in pending:
            async with conn.transaction():
                await conn.execute(migration.sql)
                await conn.execute(
                    "INSERT INTO public.schema_migration (version, name, sha256) VALUES ($1, $2, $3)",
                    migration.version,
                    migration.name,
                    migration.sha256,
                )
        return len(pending)
    finally:
        await conn.close(timeout=5)


async def check_durable(conn: AnyConnection) -> None:
    """Raise DatabaseUnsafe when a commit could be lost."""
    for name, want in DURABLE.items():
        value = await conn.fetchval("SELECT current_setting($1)", name)
        if value != want:
            raise DatabaseUnsafe(f"{name} is {value}", hint=f"set {name} = {want} in postgresql.conf")
    if await conn.fetchval("SELECT current_setting('synchronous_commit')") not in DURABLE_COMMIT:
        raise DatabaseUnsafe("synchronous_commit is off", hint="set synchronous_commit = on")


async def connect_pool(
    dsn: str,
    *,
    min_size: int = 1,
    max_size: int = 8,
    application: str = "caseledger",
    command_timeout: float | None = 60.0,
    role: str | None = None,
    wait: float = 0.0,
) -> Pool:
    """A pool on a server that keeps what it commits. Raises DatabaseUnavailable, DatabaseUnsafe.

    `wait`: seconds for which a server that is down or recovers is asked again.
    `role`: every connection takes this role's rights (`SET ROLE`), at most those of the DSN's user.
    """
    settings = {"application_name": application, "timezone": "UTC", "jit": "off"}
    if role is not None:
        settings["role"] = role
    give_up = time.monotonic() + wait
    while True:
        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=min_size,
                max_size=max_size,
                command_timeout=command_timeout,
                server_settings=settings,
            )
            try:
                async with pool.acquire() as conn:
                    await check_durable(conn)
            except BaseException:
                await pool.close()
                raise
            return pool
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if not isinstance(error, TRANSIENT) or time.monotonic() >= give_up:
                raise unavailable(error) from error
        await asyncio.sleep(CONNECT_PAUSE)


TRANSIENT = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver lost track of a connection that died under it
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresSystemError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)
"""What goes away by itself or once a person has made space: retry, on a fresh connection."""


def unavailable(error: BaseException) -> DatabaseUnavailable | StorageFull:
    """The error that callers see in place of the driver's; nothing of the server's message leaks."""
    if isinstance(error, asyncpg.DiskFullError):
        return StorageFull("the database has no space left", hint="make space; nothing needs a restart")
    return DatabaseUnavailable(
        type(error).__name__, hint="check that PostgreSQL runs; the request may be repeated"
    )
