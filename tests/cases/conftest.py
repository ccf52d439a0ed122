"""A migrated database for each module of this room's tests."""

from __future__ import annotations

import asyncio

import pytest

from storage.db import migrate
from tests.conftest import PgDatabase


@pytest.fixture(scope="module")
def database(pg: PgDatabase) -> PgDatabase:
    """With all tables."""
    asyncio.run(migrate(pg.dsn("migrator")))
    return pg
