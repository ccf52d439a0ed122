"""Real parts for all tests: a BFT network of one and of four validators, and PostgreSQL.

Each is started on first use, lives in a temporary home of this session and is torn down at its end. What a
killed session left behind is removed by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from chain.networks.clique import CliqueNetwork
from chain.networks.cometbft import CometNetwork
from chain.networks.dev import DevNetwork
from chain.networks.errors import NetworkError
from cli.stack import Stack
from storage.cluster import Cluster, Database

_PREFIX = "clt-"

# No example is timed. On a developer's machine each run looks elsewhere; where a run decides about a change
# (CI is set) it is the same run for everybody, so that its answer is about the change.
hypothesis.settings.register_profile("searching", deadline=None)
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable" if os.environ.get("CI") else "searching")

# Tests say what language they mean; the one of the machine must not reach them or the commands they start.
os.environ.pop("CASELEDGER_LANG", None)


@pytest.fixture(autouse=True)
def _language_of_nobody() -> Iterator[None]:
    """A command that runs in this process leaves its language in the environment."""
    yield
    os.environ.pop("CASELEDGER_LANG", None)


@dataclass(frozen=True)
class PgDatabase:
    """A fresh database of the session's cluster: `dsn(role)` for migrator, gateway, sealer, reader."""

    cluster: Cluster
    database: Database

    @property
    def name(self) -> str:
        return self.database.name

    def dsn(self, role: str = "gateway") -> str:
        return self.database.dsn(role)

    @property
    def superuser_dsn(self) -> str:
        return self.cluster.superuser_dsn(self.name)


def _remove(home: Path) -> None:
    if (home / "run").exists():
        with contextlib.suppress(Exception):
            Stack(home).down()
    with contextlib.suppress(NetworkError):
        CometNetwork.load(home).down()
    with contextlib.suppress(NetworkError):
        DevNetwork.load(home).down()
    with contextlib.suppress(NetworkError):
        CliqueNetwork.load(home).down()
    with contextlib.suppress(Exception):
        Cluster(home).destroy()
    shutil.rmtree(home, ignore_errors=True)


def _owner_lives(home: Path) -> bool:
    try:
        os.kill(int((home / "owner").read_text()), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def make_home() -> Path:
    """A short temporary home (a socket path must fit), marked with its owner."""
    home = Path(tempfile.mkdtemp(prefix=_PREFIX))
    (home / "owner").write_text(str(os.getpid()))
    return home


@pytest.fixture(scope="session", autouse=True)
def _leftovers() -> None:
    for home in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if (home / "owner").exists() and home.owner() == Path.home().owner() and not _owner_lives(home):
                _remove(home)


@pytest.fixture(scope="session")
def session_home(_leftovers: None) -> Iterator[Path]:
    """A CASELEDGER_HOME for this session."""
    home = make_home()
    yield home
    _remove(home)


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty CASELEDGER_HOME for one test; whatever was started in it is stopped."""
    path = make_home()
    yield path
    _remove(path)


# An idle validator costs a twelfth of a core, so a shared network lives no longer than its tests.
_SHARED = ("network4", "local_stack", "network1")
_running: dict[str, Path] = {}
_last_users: dict[str, str] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with the larger network come first, so that it can end early; their own order stays."""

    def users(name: str) -> list[pytest.Item]:
        return [item for item in items if name in getattr(item, "fixturenames", ())]

    large = {item.path for item in users(_SHARED[0])}
    items.sort(key=lambda item: item.path not in large)
    _last_users.update({name: found[-1].nodeid for name in _SHARED if (found := users(name))})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """After the last test that uses it, a shared network is removed."""
    yield
    for name in _SHARED:
        if _last_users.get(name) == item.nodeid and name in _running:
            _remove(_running.pop(name))


@contextlib.contextmanager
def _shared(name: str) -> Iterator[Path]:
    home = make_home()
    _running[name] = home
    try:
        yield home
    finally:
        _running.pop(name, None)
        _remove(home)


@pytest.fixture(scope="session")
def network1() -> Iterator[CometNetwork]:
    """One validator, running. Do not kill it: other tests share it."""
    with _shared("network1") as home:
        network = CometNetwork.create(home, validators=1)
        network.up(wait=120)
        yield network


@pytest.fixture(scope="session")
def network4() -> Iterator[CometNetwork]:
    """Four validators, running. A test that kills one starts it again with `up()`."""
    with _shared("network4") as home:
        network = CometNetwork.create(home, validators=4)
        network.up(wait=120)
        yield network


@pytest.fixture(scope="session")
def local_stack() -> Iterator[Stack]:
    """The whole ledger as `caseledger up` makes it, one validator, running. Leave it as you found it."""
    with _shared("local_stack") as home:
        stack = Stack(home)
        stack.up()
        yield stack


@pytest.fixture(scope="session")
def pg_cluster() -> Iterator[Cluster]:
    """The embedded PostgreSQL, running."""
    home = make_home()
    try:
        cluster = Cluster(home)
        cluster.start()
        yield cluster
    finally:
        _remove(home)


@pytest.fixture(scope="module")
def pg(pg_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[PgDatabase]:
    """A fresh, empty database for one test module."""
    stem = re.sub(r"[^a-z0-9]+", "_", Path(str(request.path)).stem.lower())[:32]
    name = f"{stem}_{secrets.token_hex(4)}"
    yield PgDatabase(pg_cluster, asyncio.run(pg_cluster.create_database(name)))
    asyncio.run(pg_cluster.drop_database(name))
