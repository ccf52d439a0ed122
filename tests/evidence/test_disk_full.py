"""A full disk: nothing is answered as accepted, it is visible, and it heals once there is room.

The database's tables lie on a file system of a few megabytes. Mounting one needs root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from evidence.intake import Acceptor
from protocol.submission import Acceptance
from storage.cluster import Cluster
from storage.db import migrate
from storage.errors import StorageFull
from tests.conftest import PgDatabase
from tests.support.evidence import desk, run

pytestmark = pytest.mark.database
MEGABYTES = 48


@pytest.fixture
def small_disk(pg_cluster: Cluster) -> Iterator[Path]:
    """A mounted file system that the server may write to."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    folder = Path(tempfile.mkdtemp(prefix="clt-disk-"))
    folder.chmod(0o711)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)],
        check=False, capture_output=True,
    )  # fmt: skip
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("this machine lets nobody mount")
    place = folder / "tables"
    place.mkdir()
    owner = Path(pg_cluster.status().data_directory).stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


async def on_disk(cluster: Cluster, disk: Path) -> PgDatabase:
    """A migrated database whose tables lie there."""
    name = f"disk_{secrets.token_hex(4)}"
    await cluster.create_database(name)
    admin = await asyncpg.connect(cluster.superuser_dsn())
    await admin.execute(f"CREATE TABLESPACE {name} LOCATION '{disk / 'tables'}'")
    await admin.execute(f"ALTER DATABASE {name} SET TABLESPACE {name}")
    await admin.close()
    pg = PgDatabase(cluster, cluster.database(name))
    await migrate(pg.dsn("migrator"))
    return pg


async def remove(pg: PgDatabase) -> None:
    await pg.cluster.drop_database(pg.name)
    admin = await asyncpg.connect(pg.cluster.superuser_dsn())
    await admin.execute(f"DROP TABLESPACE {pg.name}")
    await admin.close()


def trouble(acceptor: Acceptor) -> str | None:
    return acceptor.metrics.trouble


def test_a_full_disk_is_visible_and_heals_without_a_hand(pg_cluster: Cluster, small_disk: Path) -> None:
    async def check() -> None:
        pg = await on_disk(pg_cluster, small_disk)
        try:
            async with desk(pg) as d, d.acceptor() as acceptor:
                await acceptor.writable()
                submissions = [d.submission(300)]
                answers = [await acceptor.accept(submissions[0])]
                filler = small_disk / "filler"
                room = os.statvfs(small_disk)
                with filler.open("wb") as out:
                    out.write(bytes(room.f_bavail * room.f_frsize - 2_000_000))
                while True:
                    submissions.append(d.submission(1000))
                    result = (await asyncio.gather(acceptor.accept(submissions[-1]), return_exceptions=True))[
                        0
                    ]
                    if not isinstance(result, Acceptance):
                        break
                    answers.append(result)
                assert isinstance(result, StorageFull)
                assert result.retryable
                assert trouble(acceptor) == "StorageFull"
                assert acceptor.metrics.failed_groups
                filler.unlink()
                assert await acceptor.writable(10)
                again = [await acceptor.accept(one) for one in submissions]
                assert again[: len(answers)] == answers
                assert all(isinstance(one, Acceptance) for one in again)
                assert trouble(acceptor) is None
                total = sum(len(one.entries) for one in submissions)
                assert await d.pool.fetchval("SELECT count(*) FROM evidence.entry") == total
                assert again[-1].first_index + again[-1].count == total
        finally:
            await remove(pg)

    run(asyncio.wait_for(check(), 100))
