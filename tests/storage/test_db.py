"""Migrations run once, in order, under one lock; a server that forgets is refused."""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path

import asyncpg
import pytest

from storage.cluster import Cluster
from storage.db import Migration, connect_pool, load_migrations, migrate, unavailable
from storage.errors import DatabaseUnavailable, DatabaseUnsafe, MigrationChanged, StorageFull
from tests.conftest import PgDatabase

pytestmark = pytest.mark.database
ONE = Migration(1, "one", "CREATE TABLE one (x int); INSERT INTO one VALUES (1);")
TWO = Migration(2, "two", "CREATE TABLE two (x int);")
BROKEN = Migration(2, "two", "CREATE TABLE two (x int); SELECT 1 / 0;")


async def fresh(cluster: Cluster) -> str:
    return (await cluster.create_database(f"db_{secrets.token_hex(4)}")).dsn("migrator")


def test_each_migration_is_applied_once_even_by_many_at_once(pg_cluster: Cluster) -> None:
    async def check() -> None:
        dsn = await fresh(pg_cluster)
        assert sum(await asyncio.gather(*(migrate(dsn, migrations=(ONE,)) for _ in range(4)))) == 1
        assert await migrate(dsn, migrations=(ONE, TWO)) == 1
        assert await migrate(dsn, migrations=(ONE, TWO)) == 0
        conn = await asyncpg.connect(dsn)
        assert await conn.fetchval("SELECT count(*) FROM one") == 1
        await conn.close()

    asyncio.run(check())


def test_a_failed_migration_leaves_nothing_and_the_next_run_continues(pg_cluster: Cluster) -> None:
    async def check() -> None:
        dsn = await fresh(pg_cluster)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(dsn, migrations=(ONE, BROKEN))
        assert await migrate(dsn, migrations=(ONE, TWO)) == 1

    asyncio.run(check())


def test_changed_and_unknown_migrations_are_refused(pg_cluster: Cluster) -> None:
    async def check() -> None:
        dsn = await fresh(pg_cluster)
        await migrate(dsn, migrations=(ONE, TWO))
        for wrong in ((ONE,), (ONE, BROKEN), (Migration(1, "one", ONE.sql + " "), TWO)):
            with pytest.raises(MigrationChanged):
                await migrate(dsn, migrations=wrong)

    asyncio.run(check())


def test_numbers_without_gaps_and_names_as_agreed(tmp_path: Path) -> None:
    assert [migration.version for migration in load_migrations()][:2] == [1, 2]
    (tmp_path / "0001_a.sql").write_text("")
    (tmp_path / "0003_c.sql").write_text("")
    with pytest.raises(MigrationChanged):
        load_migrations(tmp_path)
    (tmp_path / "0002_b.sql").write_text("")
    assert len(load_migrations(tmp_path)) == 3
    (tmp_path / "fourth.sql").write_text("")
    with pytest.raises(MigrationChanged):
        load_migrations(tmp_path)


def test_a_server_that_acknowledges_before_it_has_written_is_refused(pg: PgDatabase) -> None:
    async def check() -> None:
        admin = await asyncpg.connect(pg.superuser_dsn)
        name = f'"{pg.name}"'
        await admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        with pytest.raises(DatabaseUnsafe):
            await connect_pool(pg.dsn("gateway"))
        await admin.execute(f"ALTER DATABASE {name} RESET synchronous_commit")
        await admin.close()
        pool = await connect_pool(pg.dsn("gateway"))
        await pool.close()

    asyncio.run(check())


def test_a_server_that_comes_back_is_waited_for_and_a_wrong_password_is_not(home: Path) -> None:
    async def check() -> None:
        cluster = Cluster(home)
        dsn = (await asyncio.to_thread(cluster.start)).dsn("reader")
        await asyncio.to_thread(cluster.stop, hard=True)
        with pytest.raises(DatabaseUnavailable):
            await connect_pool(dsn, wait=0.2)
        waiting = asyncio.create_task(connect_pool(dsn, wait=60))
        await asyncio.sleep(0.7)
        assert not waiting.done()
        await asyncio.to_thread(cluster.start)
        await (await waiting).close()
        wrong = re.sub(r":[^:@/]+@", ":wrong@", dsn)
        assert wrong != dsn
        async with asyncio.timeout(10):
            with pytest.raises(DatabaseUnavailable):
                await connect_pool(wrong, wait=60)

    asyncio.run(check())


def test_an_absent_server_and_a_wrong_password_are_unavailable(pg: PgDatabase, tmp_path: Path) -> None:
    async def check() -> None:
        wrong = pg.dsn("gateway").replace("gateway:", "gateway:x")
        for dsn in (f"postgresql://gateway:x@/x?host={tmp_path}", wrong):
            with pytest.raises(DatabaseUnavailable):
                await connect_pool(dsn)
            with pytest.raises(DatabaseUnavailable):
                await migrate(dsn)

    asyncio.run(check())
    full = unavailable(asyncpg.DiskFullError("could not extend file"))
    assert isinstance(full, StorageFull)
    assert "extend" not in str(full)
