"""The embedded PostgreSQL: one cluster under the home, on a Unix socket only, passwords everywhere.

Production gives a DSN instead and this module is not used. The server programs come from a wheel; they are
driven directly (initdb, pg_ctl), because the wheel's own helper leaves `trust` authentication, a superuser
without a password and a server that stops with its last Python caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import asyncpg

from storage.errors import ClusterError, ClusterNameRefused, ClusterStartFailed
from storage.place import SOCKET_NAME, Place, find_place, short_hash
from storage.roles import DATABASE, ROLES, ensure_roles, identifier
from storage.watching import command_line, disk_bytes, newest_log, tail_of, unused_pid

SUPERUSER = "postgres"

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "password_encryption": "'scram-sha-256'",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "'256MB'",
    "effective_cache_size": "'1GB'",
    "work_mem": "'8MB'",
    "maintenance_work_mem": "'128MB'",
    "wal_compression": "on",
    "wal_buffers": "'16MB'",
    "min_wal_size": "'256MB'",
    "max_wal_size": "'2GB'",
    "checkpoint_timeout": "'15min'",
    "checkpoint_completion_target": "0.9",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "max_parallel_workers_per_gather": "1",
    "jit": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "lc_messages": "'C'",
    "logging_collector": "on",
    "log_filename": "'postgresql-%a.log'",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "'1d'",
    "log_rotation_size": "0",
    # A failing statement may carry a person's data: the log names the error, never the statement.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_statement": "'none'",
}

_HBA = """# Written by caseledger at every start. Sockets only, passwords always.
local all all scram-sha-256
"""


@dataclass(frozen=True)
class ClusterStatus:
    """Sizes in bytes."""

    initialised: bool
    running: bool
    pid: int | None
    socket_directory: str
    data_directory: str
    system_user: str
    disk_bytes: int


@dataclass(frozen=True)
class Database:
    """One database of the cluster and how each role reaches it."""

    name: str
    sockets: Path
    passwords: Mapping[str, str] = field(repr=False)

    def dsn(self, role: str = "gateway") -> str:
        """A libpq URI over the Unix socket. It holds a password: never print it."""
        if role not in self.passwords:
            raise ClusterNameRefused(f"no role {role}", field="role")
        return make_dsn(self.sockets, role, self.passwords[role], self.name)


def make_dsn(sockets: Path, role: str, password: str, database: str) -> str:
    """`postgresql://role:password@/database?host=DIRECTORY`."""
    return (
        f"postgresql://{quote(role, safe='')}:{quote(password, safe='')}@/{quote(database, safe='')}"
        f"?host={quote(str(sockets), safe='/')}"
    )


class Cluster:
    """The embedded server of one home: `<home>/pg`. All methods may be called again at any time."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.root = self.home / "pg"

    def start(self, *, wait: float = 60.0) -> Database:
        """Make the cluster if there is none, start it if it is not running, ensure roles and database.

        Recovers from kill -9: a stale pid file is looked through, and a start that fails because orphans
        of the dead server still hold its shared memory is tried again until `wait` seconds have passed.
        """
        with self._locked():
            place = self._place(create=True)
            if not (place.data / "PG_VERSION").exists():
                self._initialise(place)
            self._write_configuration(place)
            if self._pid(place) is None:
                self._launch(place, wait)
            marker = self.root / f"roles-{short_hash(Path('/'.join(ROLES)))}"
            if not marker.exists():
                # In a thread: the caller may be inside an event loop already.
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(asyncio.run, self.create_database(DATABASE)).result()
                marker.touch(mode=0o600)
            return self.database()

    def stop(self, *, hard: bool = False) -> bool:
        """Stop the server (fast shutdown; `hard`: SIGKILL of the postmaster). True if it was running."""
        if not self.root.exists():
            return False
        with self._locked():
            place = self._place(create=False)
            pid = self._pid(place)
            if pid is None:
                return False
            if hard:
                os.kill(pid, signal.SIGKILL)
            else:
                self._run(
                    place,
                    ["pg_ctl", "-D", str(place.data), "-m", "fast", "-w", "-t", "60", "stop"],
                    timeout=90,
                )
            deadline = time.monotonic() + 30
            while self._pid(place) is not None and time.monotonic() < deadline:
                time.sleep(0.02)
            return True

    def status(self) -> ClusterStatus:
        """Whether it is there and runs; never starts anything."""
        place = self._place(create=False)
        pid = self._pid(place) if place.data.exists() else None
        return ClusterStatus(
            initialised=(place.data / "PG_VERSION").exists(),
            running=pid is not None,
            pid=pid,
            socket_directory=str(place.sockets),
            data_directory=str(place.data),
            system_user=place.user,
            disk_bytes=disk_bytes(place.data),
        )

    def destroy(self) -> None:
        """Stop the server and delete everything."""
        self.stop()
        if not self.root.exists():
            return
        with self._locked():
            place = self._place(create=False)
            moved = [] if place.data.parent == self.root else [place.data.parent]
            for folder in (place.data, place.sockets, *moved, self.root):
                shutil.rmtree(folder, ignore_errors=True)

    def superuser_dsn(self, database: str = "postgres") -> str:
        """For creating roles and databases only; no service uses it."""
        place = self._place(create=False)
        return make_dsn(place.sockets, SUPERUSER, self._secret(SUPERUSER), database)

    def database(self, name: str = DATABASE) -> Database:
        """How to reach a database that exists (no check is made)."""
        return Database(
            name,
            self._place(create=False).sockets,
            {role: self._secret(role) for role in ROLES},
        )

    def dsn(self, role: str = "gateway", database: str = DATABASE) -> str:
        """Shorthand for `database(name).dsn(role)`."""
        return self.database(database).dsn(role)

    async def create_database(self, name: str) -> Database:
        """A further database with the same roles; an existing one is kept."""
        passwords = {role: self._secret(role) for role in ROLES}
        await ensure_roles(self.superuser_dsn(), passwords, database=name)
        return self.database(name)

    async def drop_database(self, name: str) -> None:
        """Drop it, ending its sessions."""
        connection = await asyncpg.connect(self.superuser_dsn())
        try:
            await connection.execute(f"DROP DATABASE IF EXISTS {identifier(name)} WITH (FORCE)")
        finally:
            await connection.close()

    def _place(self, *, create: bool) -> Place:
        return find_place(self.home, self.root, create=create)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _secret(self, role: str) -> str:
        """The password of a role; made on first use, kept in a file for the owner alone."""
        path = self.root / "passwords" / role
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            password = secrets.token_urlsafe(32)
            descriptor, partial = tempfile.mkstemp(dir=path.parent)  # mode 0600
            with os.fdopen(descriptor, "w") as out:
                out.write(password + "\n")
            with contextlib.suppress(FileExistsError):
                os.link(partial, path)  # the first of two starters wins, both then read the same
            os.unlink(partial)
            return path.read_text().strip()

    def _initialise(self, place: Place) -> None:
        if place.data.exists():
            shutil.rmtree(place.data)  # an initdb that did not finish: no PG_VERSION, so no data
        place.data.mkdir(mode=0o700, parents=True)
        descriptor, password_file = tempfile.mkstemp(dir=place.data.parent)
        with os.fdopen(descriptor, "w") as out:
            out.write(self._secret(SUPERUSER) + "\n")
        try:
            if place.uid is not None and place.gid is not None:
                os.chown(place.data, place.uid, place.gid)
                os.chown(password_file, place.uid, place.gid)
            self._run(
                place,
                [
                    *("initdb", "-D", str(place.data), "-U", SUPERUSER, "--pwfile", password_file),
                    *("--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                    *("--data-checksums", "--no-instructions"),
                ],
                timeout=120,
            )
        except ClusterError:
            shutil.rmtree(place.data, ignore_errors=True)
            raise
        finally:
            os.unlink(password_file)

    def _write_configuration(self, place: Place) -> None:
        """Ours at every start, so that an edited trust line does not stay."""
        settings = {**_SETTINGS, "unix_socket_directories": f"'{place.sockets}'"}
        own = "".join(f"{name} = {value}\n" for name, value in settings.items())
        main = place.data / "postgresql.conf"
        text = main.read_text()
        include = "include 'caseledger.conf'\n"
        if not text.endswith(include):
            self._owned_write(place, main, text + include)
        self._owned_write(place, place.data / "caseledger.conf", own)
        self._owned_write(place, place.data / "pg_hba.conf", _HBA)

    def _owned_write(self, place: Place, path: Path, text: str) -> None:
        partial = path.with_name(path.name + ".tmp")
        partial.write_text(text)
        partial.chmod(0o600)
        if place.uid is not None and place.gid is not None:
            os.chown(partial, place.uid, place.gid)
        partial.rename(path)

    def _launch(self, place: Place, wait: float) -> None:
        deadline = time.monotonic() + wait
        log = place.data / "start.log"
        while True:
            self._clear_foreign_pid(place)
            log.unlink(missing_ok=True)
            try:
                self._run(
                    place,
                    [
                        *("pg_ctl", "-D", str(place.data), "-l", str(log), "-w"),
                        *("-t", str(max(5, int(wait))), "start"),
                    ],
                    timeout=wait + 30,
                )
                return
            except ClusterError:
                told = tail_of(log) + "\n" + tail_of(newest_log(place.data / "log"))
                held = "shared memory block" in told or "already exists" in told
                if held and time.monotonic() < deadline:
                    time.sleep(0.2)  # orphans of a killed server notice its death and go
                    continue
                raise ClusterStartFailed(
                    " | ".join(told.strip().splitlines()[-3:])[-400:] or "no log", field="pg"
                ) from None

    def _clear_foreign_pid(self, place: Place) -> None:
        """After kill -9 the number in a lock file may belong to another program by now.

        Only the number is replaced (by one that no process has): the rest of the file leads a starting
        server to the shared memory of its predecessor, so that it waits for orphans that still use it.
        """
        if self._pid(place) is not None:
            return
        for path in (place.data / "postmaster.pid", place.sockets / f"{SOCKET_NAME}.lock"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                _, _, rest = path.read_text().partition("\n")
                words = command_line(int(path.read_text().splitlines()[0]))
                if words and not ("postgres" in words and str(place.data) in words):
                    self._owned_write(place, path, f"{unused_pid()}\n{rest}")

    def _pid(self, place: Place) -> int | None:
        """The running postmaster of this data directory."""
        try:
            pid = int((place.data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None
        words = command_line(pid)
        return pid if "postgres" in words and str(place.data) in words else None

    def _run(self, place: Place, command: Sequence[str], *, timeout: float) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - programs of the wheel, arguments as a list
                [str(place.programs / command[0]), *command[1:]],
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGPASSFILE": os.devnull},
                cwd=place.data,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                start_new_session=True,
                user=place.uid,
                group=place.gid,
                extra_groups=None if place.uid is None else [],
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ClusterError(f"{command[0]}: {type(error).__name__}") from None
        if done.returncode != 0:
            raise ClusterError(f"{command[0]}: {(done.stderr or done.stdout).strip()[-300:]}")
        return done.stdout
