"""Case codes: found by nobody but who holds them, typed without trouble, ended when they should be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import codes
from cases.codes import ALPHABET, CHECK, DAY, HANDLE, MOST_WRONG, SYMBOLS, Codes, new_code, parse
from cases.errors import CaseCodeExpired, CaseCodeMistyped, CaseCodeRefused
from storage.db import migrate
from tests.conftest import PgDatabase

NOW = 1_800_000_000
CASE, OTHER = b"\1" * 32, b"\2" * 32


@pytest.fixture(scope="module", autouse=True)
def _tables(request: pytest.FixtureRequest) -> None:
    pg: PgDatabase = request.getfixturevalue("pg")
    asyncio.run(migrate(pg.dsn("migrator")))


def with_codes(pg: PgDatabase, work: Callable[[Codes], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with asyncpg.create_pool(pg.dsn("gateway"), min_size=1, max_size=8) as pool:
            return await work(Codes(pool))

    return asyncio.run(run())


def wrong(code: str) -> str:
    """The same row, another secret, without a slip."""
    symbols = parse(code)
    last = ALPHABET[(ALPHABET.index(symbols[-1]) + 1) % len(ALPHABET)]
    other = symbols[:-1] + last
    return other + codes._check(other)


@given(st.randoms(use_true_random=False))
def test_a_code_is_read_as_people_type_it(dice: Any) -> None:
    code = new_code()
    typed = code.replace("-", dice.choice(["", " ", "－", "　", "–", " - "]))
    typed = typed.replace("0", dice.choice("0Oo")).replace("1", dice.choice("1IilL"))
    typed = dice.choice(
        [
            typed.lower(),
            typed.upper(),
            "".join(chr(ord(c) + 0xFEE0) if c.isalnum() and c.isascii() else c for c in typed),
        ]
    )
    assert parse(typed) == code.replace("-", "")[:SYMBOLS]


@given(st.integers(0, SYMBOLS + CHECK - 1), st.sampled_from(ALPHABET))
def test_one_wrong_symbol_always_shows(at: int, symbol: str) -> None:
    whole = new_code().replace("-", "")
    if whole[at] != symbol:
        with pytest.raises(CaseCodeMistyped):
            parse(whole[:at] + symbol + whole[at + 1 :])


@given(st.integers(0, SYMBOLS + CHECK - 2))
def test_two_neighbours_swapped_always_show(at: int) -> None:
    whole = new_code().replace("-", "")
    if whole[at] != whole[at + 1]:
        with pytest.raises(CaseCodeMistyped):
            parse(whole[:at] + whole[at + 1] + whole[at] + whole[at + 2 :])


@given(st.text(max_size=60))
def test_anything_else_is_mistyped_and_nothing_worse(typed: str) -> None:
    with pytest.raises(CaseCodeMistyped):
        parse(typed)


def test_codes_have_no_symbol_that_is_taken_for_another() -> None:
    assert not set("ILOU") & set(ALPHABET)
    assert len(set(ALPHABET)) == 32
    assert len({new_code() for _ in range(1000)}) == 1000


@pytest.mark.database
def test_a_code_opens_its_case_and_is_kept_nowhere(pg: PgDatabase) -> None:
    async def work(desk: Codes) -> None:
        issued = await desk.issue(CASE, 1, NOW)
        assert await desk.open(issued.code.lower(), NOW + 5) == CASE
        symbols = parse(issued.code)
        kept = await desk.pool.fetch("SELECT c::text FROM cases.case_code c")
        assert all(symbols[HANDLE:] not in row[0] for row in kept)
        assert any(symbols[:HANDLE] in row[0] for row in kept)

    with_codes(pg, work)


@pytest.mark.database
def test_wrong_unknown_revoked_and_closed_are_one_answer(pg: PgDatabase) -> None:
    async def work(desk: Codes) -> None:
        first = await desk.issue(CASE, 1, NOW)
        second = await desk.issue(CASE, 1, NOW)
        other = await desk.issue(OTHER, 1, NOW)
        assert await desk.revoke(OTHER, NOW)
        assert not await desk.revoke(OTHER, NOW)
        answers = set()
        for code in (first.code, other.code, wrong(second.code), new_code()):
            with pytest.raises(CaseCodeRefused) as refused:
                await desk.open(code, NOW)
            answers.add(str(refused.value.as_dict()))
        assert len(answers) == 1
        assert await desk.open(second.code, NOW) == CASE

    with_codes(pg, work)


@pytest.mark.database
def test_a_code_that_is_tried_wrongly_too_often_is_closed_even_to_the_right_one(pg: PgDatabase) -> None:
    async def work(desk: Codes) -> None:
        issued = await desk.issue(CASE, 1, NOW)
        tries = await asyncio.gather(
            *(desk.open(wrong(issued.code), NOW) for _ in range(MOST_WRONG)), return_exceptions=True
        )
        assert all(isinstance(one, CaseCodeRefused) for one in tries)
        with pytest.raises(CaseCodeRefused):
            await desk.open(issued.code, NOW)

    with_codes(pg, work)


@pytest.mark.database
def test_a_right_code_clears_the_wrong_tries_before_it(pg: PgDatabase) -> None:
    async def work(desk: Codes) -> None:
        issued = await desk.issue(CASE, 1, NOW)
        for _ in range(3):
            for _ in range(MOST_WRONG - 1):
                with pytest.raises(CaseCodeRefused):
                    await desk.open(wrong(issued.code), NOW)
            assert await desk.open(issued.code, NOW) == CASE

    with_codes(pg, work)


@pytest.mark.database
def test_a_code_ends_and_says_so_to_who_holds_it(pg: PgDatabase) -> None:
    async def work(desk: Codes) -> None:
        issued = await desk.issue(CASE, 1, NOW, days=2)
        assert issued.expires_at == NOW + 2 * DAY
        assert await desk.open(issued.code, issued.expires_at) == CASE
        with pytest.raises(CaseCodeExpired):
            await desk.open(issued.code, issued.expires_at + 1)
        with pytest.raises(CaseCodeRefused):
            await desk.open(wrong(issued.code), issued.expires_at + 1)

    with_codes(pg, work)


@pytest.mark.database
def test_two_issued_at_once_leave_one_that_opens(pg: PgDatabase) -> None:
    async def work(desk: Codes) -> None:
        issued = await asyncio.gather(*(desk.issue(CASE, 1, NOW) for _ in range(6)))
        opened = await asyncio.gather(*(desk.open(one.code, NOW) for one in issued), return_exceptions=True)
        assert sum(one == CASE for one in opened) == 1

    with_codes(pg, work)
