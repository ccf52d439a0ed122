"""A migrated database for each module of this room's tests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chain.networks.cometbft import CometNetwork
from storage.db import migrate
from tests.conftest import PgDatabase
from tests.support.ledger import Ledger, found, run


@pytest.fixture(scope="module")
def database(pg: PgDatabase) -> PgDatabase:
    """With all tables."""
    asyncio.run(migrate(pg.dsn("migrator")))
    return pg


@pytest.fixture(scope="module")
def ledger(network1: CometNetwork, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Contracts of a fresh development consortium on the one-validator network."""
    home: Path = tmp_path_factory.mktemp("ledger")
    return run(found(network1, home))
