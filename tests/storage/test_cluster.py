"""The embedded PostgreSQL: passwords everywhere, least privilege, back after kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from storage.cluster import Cluster, Database, make_dsn
from storage.errors import ClusterNameRefused, ClusterPlaceRefused
from storage.place import bundled, private_directory, reachable
from storage.roles import ROLES, ensure_roles, scram_verifier
from tests.conftest import PgDatabase

pytestmark = pytest.mark.database


def _query(dsn: str, sql: str) -> list[Any]:
    async def run() -> list[Any]:
        connection = await asyncpg.connect(dsn)
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    return asyncio.run(run())


def test_every_connection_needs_its_password(pg: PgDatabase) -> None:
    sockets = pg.database.sockets
    for role in ("postgres", *ROLES):
        for password in ("", "wrong"):
            with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InternalClientError)):
                _query(make_dsn(sockets, role, password, pg.name), "SELECT 1")
    assert _query(pg.dsn("reader"), "SELECT 1")[0][0] == 1


def test_the_server_has_no_tcp_port_and_keeps_every_safety_setting(pg: PgDatabase) -> None:
    wanted = {
        "listen_addresses": "",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "password_encryption": "scram-sha-256",
        "server_encoding": "UTF8",
        "log_min_error_statement": "panic",
    }
    rows = _query(
        pg.dsn("reader"),
        f"SELECT name, setting FROM pg_settings WHERE name IN {tuple(wanted)}",  # noqa: S608
    )
    assert {row[0]: row[1] for row in rows} == wanted
    methods = _query(pg.superuser_dsn, "SELECT DISTINCT type, auth_method FROM pg_hba_file_rules")
    assert [tuple(row) for row in methods] == [("local", "scram-sha-256")]


def test_roles_have_least_privilege(pg: PgDatabase) -> None:
    rows = _query(
        pg.superuser_dsn,
        "SELECT rolname, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls "
        "FROM pg_roles WHERE rolcanlogin AND rolname <> 'postgres' ORDER BY 1",
    )
    assert [tuple(row) for row in rows] == [(name, False) for name in sorted(ROLES)]
    _query(pg.dsn("migrator"), "CREATE TABLE secret_rows (i int)")
    for role in ("gateway", "sealer", "reader"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            _query(pg.dsn(role), "SELECT * FROM secret_rows")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            _query(pg.dsn(role), "CREATE TABLE own (i int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            _query(pg.dsn(role), "COPY (SELECT 1) TO PROGRAM 'true'")


def test_each_database_is_closed_to_roles_that_were_not_named(pg: PgDatabase) -> None:
    _query(pg.superuser_dsn, "CREATE ROLE stranger LOGIN PASSWORD 'x'")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            _query(make_dsn(pg.database.sockets, "stranger", "x", pg.name), "SELECT 1")
    finally:
        _query(pg.superuser_dsn, "DROP ROLE stranger")


def test_ensure_roles_is_idempotent_and_refuses_names(pg: PgDatabase) -> None:
    passwords = dict(pg.database.passwords)
    asyncio.run(ensure_roles(pg.superuser_dsn, passwords, database=pg.name))
    assert _query(pg.dsn("gateway"), "SELECT 1")
    with pytest.raises(ClusterNameRefused):
        asyncio.run(ensure_roles(pg.superuser_dsn, {"root": "x"}, database=pg.name))
    for bad in ('x"; DROP DATABASE postgres; --', "Upper", "", "1st", "a" * 64):
        with pytest.raises(ClusterNameRefused):
            asyncio.run(ensure_roles(pg.superuser_dsn, passwords, database=bad))
    with pytest.raises(ClusterNameRefused):
        pg.dsn("postgres")


def test_the_password_itself_is_not_sent() -> None:
    verifier = scram_verifier("open sesame")
    assert verifier.startswith("SCRAM-SHA-256$4096:")
    assert "sesame" not in verifier
    assert verifier != scram_verifier("open sesame")


def test_passwords_are_in_private_files_and_never_printed(pg: PgDatabase) -> None:
    folder = pg.cluster.root / "passwords"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert {f.name for f in files} == {"postgres", *ROLES}
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().strip() not in repr(pg) + repr(pg.cluster.status())


def test_socket_directory_is_private_and_a_foreign_one_is_refused(pg: PgDatabase, home: Path) -> None:
    info = pg.database.sockets.lstat()
    assert stat.S_IMODE(info.st_mode) == 0o700
    planted = home / "planted"
    planted.symlink_to(home.parent)
    with pytest.raises(ClusterPlaceRefused):
        private_directory(planted, None, None)
    if os.geteuid() == 0:
        foreign = home / "foreign"
        foreign.mkdir()
        os.chown(foreign, 65534, 65534)
        with pytest.raises(ClusterPlaceRefused):
            private_directory(foreign, None, None)


def test_a_long_home_path_still_gets_a_socket(home: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    for folder in (deep, deep.parent):
        folder.chmod(0o711)
    home.chmod(0o711)
    cluster = Cluster(deep)
    try:
        database = cluster.start()
        assert len(str(database.sockets)) < 90
        assert _query(database.dsn("reader"), "SELECT 1")
        assert cluster.stop()
        assert Cluster(deep).start().sockets == database.sockets
    finally:
        cluster.destroy()


def test_killed_server_comes_back_with_every_committed_row(home: Path) -> None:
    cluster = Cluster(home)
    database: Database = cluster.start()
    _query(database.dsn("migrator"), "CREATE TABLE kept (i int)")
    for round_number in range(3):
        _query(database.dsn("migrator"), f"INSERT INTO kept VALUES ({round_number})")  # noqa: S608
        assert cluster.stop(hard=True)
        assert not cluster.status().running
        assert (home / "pg/data/postmaster.pid").exists()
        Cluster(home).start()
        rows = _query(database.dsn("migrator"), "SELECT i FROM kept ORDER BY i")
        assert [row[0] for row in rows] == list(range(round_number + 1))


def test_a_reused_process_number_is_not_taken_for_the_server(home: Path) -> None:
    cluster = Cluster(home)
    database = cluster.start()
    assert cluster.stop(hard=True)
    pid_file = home / "pg/data/postmaster.pid"
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        assert not cluster.status().running
        assert not cluster.stop()
        cluster.start()
        assert _query(database.dsn("reader"), "SELECT 1")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_trust_written_into_the_access_file_does_not_survive_a_start(home: Path) -> None:
    cluster = Cluster(home)
    database = cluster.start()
    cluster.stop()
    (home / "pg/data/pg_hba.conf").write_text("local all all trust\n")
    cluster.start()
    with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InternalClientError)):
        _query(make_dsn(database.sockets, "postgres", "", "postgres"), "SELECT 1")


def test_start_and_stop_again_and_destroy_leave_nothing(home: Path) -> None:
    cluster = Cluster(home)
    assert not cluster.stop()
    assert not cluster.status().initialised
    cluster.start()
    pid = cluster.status().pid
    assert pid is not None
    cluster.start()
    assert cluster.status().pid == pid
    assert cluster.stop()
    assert not cluster.stop()
    cluster.destroy()
    assert not (home / "pg").exists()


def test_an_interrupted_initialisation_is_begun_again(home: Path) -> None:
    data = home / "pg/data"
    data.mkdir(parents=True)
    (data / "base").mkdir()
    assert _query(Cluster(home).start().dsn("reader"), "SELECT 1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_runs_for_an_ordinary_user(home: Path) -> None:
    """The server's own part (initdb, pg_ctl, socket) as a user who is not root and owns the home."""
    if not reachable(bundled(), 65534, 65534):
        pytest.skip("the environment lies where only root can look")
    os.chown(home, 65534, 65534)
    root = Path(__file__).resolve().parents[2]
    code = (
        "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "from pathlib import Path; from storage.cluster import Cluster;"
        "c = Cluster(Path(sys.argv[1])); d = c.start(); s = c.status();"
        "import asyncio, asyncpg;\n"
        "async def f():\n"
        "    k = await asyncpg.connect(d.dsn('reader')); v = await k.fetchval('SELECT current_user')\n"
        "    await k.close(); return v\n"
        "print(asyncio.run(f()), s.system_user); c.stop()"
    )
    # Imports are done before the change of user: the interpreter may live where only root can look.
    code = f"import asyncio, asyncpg, encodings.idna, storage.cluster\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(home)], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["reader", "nobody"]


def test_killing_all_its_processes_at_once_is_survived(home: Path) -> None:
    cluster = Cluster(home)
    database = cluster.start()
    pid = cluster.status().pid
    assert pid is not None
    children = [int(line) for line in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    os.kill(pid, signal.SIGKILL)
    for child in children:
        os.kill(child, signal.SIGKILL)
    begun = time.monotonic()
    cluster.start()
    assert time.monotonic() - begun < 20
    assert _query(database.dsn("reader"), "SELECT 1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_a_home_that_the_server_s_user_cannot_reach_keeps_its_data_elsewhere(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    inner = closed / "home"
    inner.mkdir(mode=0o700)
    cluster = Cluster(inner)
    try:
        database = cluster.start()
        status = cluster.status()
        assert not status.data_directory.startswith(str(home))
        assert closed.stat().st_mode & 0o777 == 0o700  # nobody's directory but ours was opened
        assert _query(database.dsn("reader"), "SELECT 1")
        assert Cluster(inner).status().pid == status.pid
    finally:
        cluster.destroy()
    assert not Path(status.data_directory).parent.exists()
