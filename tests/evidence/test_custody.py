"""Custody events in a log of their own: what is let in, and that an item's chain never forks."""

from __future__ import annotations

import secrets

import pytest

from protocol.custody import ClassMisplaced, CustodyEvent, CustodyKind
from protocol.entry import Header
from tests.conftest import PgDatabase
from tests.support.evidence import desk, run


def event(organisation: int) -> tuple[bytes, bytes]:
    """A first event of no known item."""
    body = CustodyEvent(secrets.token_bytes(32), 1, None, 1_700_000_000, secrets.token_bytes(32), "核对")
    kind = CustodyKind.ACCESS
    return Header(kind, organisation, secrets.token_bytes(32)).pack(), body.encode(kind)


def test_an_evidence_log_takes_no_custody_event(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with desk(database) as one, one.acceptor() as acceptor:
            with pytest.raises(ClassMisplaced):
                await acceptor.accept(one.submission([event(2)]))

    run(scenario())


def test_a_custody_log_takes_no_document(database: PgDatabase) -> None:
    async def scenario() -> None:
        origin = f"test/{secrets.token_hex(4)}-custody"
        async with desk(database, origin=origin) as one, one.acceptor() as acceptor:
            with pytest.raises(ClassMisplaced):
                await acceptor.accept(one.submission(1))

    run(scenario())
