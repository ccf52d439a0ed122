"""The helper finds the same signers, and its death costs nobody an answer."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal

import pytest

from evidence.recoverer import HelperProcess, OnTheSpot
from protocol.acts import BadSignature
from tests.conftest import PgDatabase
from tests.support.evidence import act_key, desk, run

KEYS = [act_key(n) for n in range(1, 6)]


def signed(number: int) -> tuple[bytes, bytes, bytes]:
    """Digest, signature, address."""
    key, digest = KEYS[number % len(KEYS)], secrets.token_bytes(32)
    return digest, key.sign_digest(digest), key.address


def test_few_and_many_at_once_are_recovered_alike() -> None:
    async def check() -> None:
        async with HelperProcess() as helper:
            for count in (1, 4, 5, 700):
                items = [signed(n) for n in range(count)]
                found = await asyncio.gather(*(helper.recover(digest, sig) for digest, sig, _ in items))
                assert list(found) == [address for _, _, address in items]
            assert helper.helped >= 100
            digest, sig, address = signed(0)
            assert await OnTheSpot().recover(digest, sig) == address

    run(check())


def test_a_bad_signature_among_good_ones_is_refused_alone() -> None:
    async def check() -> None:
        async with HelperProcess() as helper:
            items = [signed(n) for n in range(60)]
            wrong = {7: b"\0" * 65, 8: b"\xff" * 65, 9: items[9][1][:64], 10: items[10][1][:64] + b"\x1d"}
            sent = [(digest, wrong.get(n, sig)) for n, (digest, sig, _) in enumerate(items)]
            found = await asyncio.gather(*(helper.recover(*item) for item in sent), return_exceptions=True)
            for n, (one, (_, _, address)) in enumerate(zip(found, items, strict=True)):
                if n in wrong:
                    assert isinstance(one, BadSignature)
                else:
                    assert one == address

    run(check())


def test_a_killed_helper_is_done_without() -> None:
    async def check() -> None:
        async with HelperProcess() as helper:
            assert helper.pid is not None
            items = [signed(n) for n in range(100)]
            os.kill(helper.pid, signal.SIGSTOP)
            asked = [asyncio.create_task(helper.recover(digest, sig)) for digest, sig, _ in items]
            await asyncio.sleep(0.2)
            assert not any(task.done() for task in asked)
            os.kill(helper.pid, signal.SIGKILL)
            assert await asyncio.gather(*asked) == [address for _, _, address in items]
            digest, sig, address = signed(1)
            again = await asyncio.gather(*(helper.recover(digest, sig) for _ in range(50)))
            assert set(again) == {address}

    run(check())


@pytest.mark.database
def test_intake_accepts_and_refuses_with_a_helper_as_without(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, HelperProcess() as helper:
            acceptor = d.acceptor(recoverer=helper)
            async with acceptor:
                await acceptor.writable()
                good = [d.submission() for _ in range(40)]
                stranger = [d.submission(key=KEYS[0]) for _ in range(3)]
                results = await asyncio.gather(
                    *map(acceptor.accept, [*good, *stranger]), return_exceptions=True
                )
            assert [type(one).__name__ for one in results] == ["Acceptance"] * 40 + ["KeyUnknown"] * 3
            assert helper.helped >= 40

    run(check())
