"""The WorkCalendar, as compiled and committed, against `cases.deadlines`: one second, or one refusal.

The contract runs in revm with London rules and the shipped table. The random cases are seeded; the slow run
asks a hundred thousand of them.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from cases import conformance
from cases.calendar import END, first_second, shipped, to_day
from cases.deadlines import FROM_NEXT_HOUR, NO_ROLL_OVER, Clock, Hold, Unit, compute, earliest
from chain.bindings import REGISTRY, WORK_CALENDAR, encode_values, interface, revert_error
from chain.bytecode import contract_address, creation_code, load_artifact
from protocol.errors import CaseledgerError
from scripts.deadlines_doc import VECTORS

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from pyrevm import EVM, BlockEnv, CfgEnv, Env

SENDER = bytes.fromhex("de" * 20)
NOW = first_second(to_day(date(2026, 11, 30)))
DEADLINE = interface(WORK_CALENDAR).function("deadline")
EARLIEST = interface(WORK_CALENDAR).function("earliest")
SEED = 1776
MOST = 2**40 - 1
Answer = int | str | None
"""The last second, the code of the refusal, or None while paused."""


class Contract:
    """The calendar under the deployer's own governance, with the years of the data file."""

    def __init__(self) -> None:
        gas = 50_000_000
        self.evm = EVM(Env(cfg=CfgEnv(chain_id=1776)), gas_limit=gas, spec_id="LONDON")
        self.evm.set_block_env(BlockEnv(number=1, timestamp=NOW, gas_limit=gas))
        registry = contract_address(SENDER, 0)
        organisations = [
            (bytes([i]) * 32, role, i, True, [(bytes([i]) * 20, 1, 0, 2**40 - 1)])
            for i, role in enumerate((1 << 0, 1 << 3, 1 << 5, 1 << 9), 1)
        ]
        self.deploy(REGISTRY, SENDER, 60, organisations)
        self.at = self.deploy(WORK_CALENDAR, registry)
        for number, year in shipped().years.items():
            set_year = interface(WORK_CALENDAR).function("setYear")
            self.call(set_year.encode(number, year.low, year.high, year.notice))

    def deploy(self, name: str, *arguments: Any) -> bytes:
        code = creation_code(load_artifact(name), encode_values(interface(name).constructor, arguments))
        return bytes.fromhex(self.evm.deploy("0x" + SENDER.hex(), code)[2:])

    def call(self, data: bytes) -> bytes:
        """Raises the Python error of the contract's custom error."""
        try:
            return bytes(self.evm.message_call("0x" + SENDER.hex(), "0x" + self.at.hex(), data))
        except RuntimeError as error:
            found = re.search(r"output: 0x([0-9a-f]*)", str(error))
            if found is None:
                raise
            raise revert_error(bytes.fromhex(found[1])) from None

    def ask(self, start: int, packed: int, holds: Sequence[Hold], function: Any = DEADLINE) -> Answer:
        pairs = [(hold.start, hold.until or 0) for hold in holds]
        try:
            found = int.from_bytes(self.call(function.encode(start, packed, pairs)), "big")
        except CaseledgerError as error:
            return error.code
        return found or None


def python(start: int, packed: int, holds: Sequence[Hold]) -> Answer:
    try:
        return compute(shipped(), start, Clock.unpack(packed), holds).time
    except CaseledgerError as error:
        return error.code


def python_earliest(start: int, packed: int, holds: Sequence[Hold]) -> Answer:
    try:
        return earliest(start, Clock.unpack(packed), holds)
    except CaseledgerError as error:
        return error.code


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


def a_clock(rng: random.Random) -> int:
    """Mostly one that can be computed with, of a length that the table can answer."""
    if rng.random() < 0.04:
        return rng.getrandbits(32)
    unit = rng.choice(list(Unit))
    most = {
        Unit.SECONDS: 9_000_000,
        Unit.HOURS: 2_000,
        Unit.DAYS: 200,
        Unit.WORKING_DAYS: 120,
        Unit.MONTHS: 24,
    }
    count = rng.randint(0 if rng.random() < 0.02 else 1, min(most.get(unit, 5), 65_535))
    if rng.random() < 0.01:
        count = rng.choice((30, 31, 360, 361, 3660, 3661, 10_950, 10_951, 65_535))
    flags = 0
    if rng.random() < 0.3:
        flags = FROM_NEXT_HOUR if unit == Unit.HOURS else NO_ROLL_OVER
    return count | unit << 16 | flags << 24


def a_hold(rng: random.Random, start: int) -> Hold:
    begin = min(max(0, start + rng.randint(-10 * 86_400, 150 * 86_400)), MOST - 50 * 86_400)
    shape = rng.random()
    if shape < 0.03:
        return Hold(begin)
    if shape < 0.05:
        return Hold(begin, max(1, begin - rng.randint(0, 100)))
    if shape < 0.06:
        return Hold(rng.choice((END - 1, END, MOST)), rng.choice((None, END - 1, END, MOST)))
    return Hold(begin, max(1, begin + rng.randint(0, rng.choice((3_600, 86_400, 40 * 86_400)))))


def a_case(rng: random.Random) -> tuple[int, int, list[Hold]]:
    """A question; times fall on midnight and its neighbours more often than chance would have it."""
    start = rng.randint(first_second(to_day(date(2019, 6, 1))), first_second(to_day(date(2027, 3, 1))))
    if rng.random() < 0.1:
        start = first_second(to_day(date(2020, 1, 1)) + rng.randint(0, 2_500)) + rng.choice((-1, 0, 1))
    if rng.random() < 0.01:
        start = rng.choice((0, 1, END - 1, END, MOST))
    most = 17 if rng.random() < 0.05 else 4
    return start, a_clock(rng), [a_hold(rng, start) for _ in range(rng.randint(0, most))]


def agree(contract: Contract, count: int, seed: int) -> Counter[str]:
    """Compare `count` cases; what the answers were, so that the test can tell that it saw all kinds."""
    rng = random.Random(seed)  # noqa: S311
    kinds: Counter[str] = Counter()
    for number in range(count):
        start, packed, holds = a_case(rng)
        expected = python(start, packed, holds)
        found = contract.ask(start, packed, holds)
        assert found == expected, (number, start, hex(packed), holds)
        if number % 10 == 0:
            floor = contract.ask(start, packed, holds, EARLIEST)
            assert floor == python_earliest(start, packed, holds), (number, start, hex(packed), holds)
        kinds[expected if isinstance(expected, str) else "paused" if expected is None else "deadline"] += 1
    return kinds


def enough(kinds: Counter[str], count: int) -> None:
    assert kinds["deadline"] > count / 2
    assert set(kinds) == {
        "deadline",
        "paused",
        "CalendarYearUnknown",
        "DeadlineUnitUnknown",
        "DeadlineFlagsInvalid",
        "DeadlineCountZero",
        "DeadlineCountTooLarge",
        "DeadlineStartOutOfRange",
        "DeadlineTooManyHolds",
        "DeadlineHoldEndsBeforeStart",
        "DeadlineHoldOutOfRange",
    }


def test_contract_and_python_agree(contract: Contract) -> None:
    enough(agree(contract, 3_000, SEED), 3_000)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_contract_and_python_agree_on_a_hundred_thousand(contract: Contract) -> None:
    enough(agree(contract, 100_000, SEED + 1), 100_000)


def readable(question: Any) -> tuple[int, int, Sequence[Hold]] | str:
    """What a line asks, or the code of its refusal: what cannot be packed never reaches a contract."""
    try:
        return conformance.question(question)
    except CaseledgerError as error:
        return error.code


def test_contract_and_python_agree_on_every_worked_case(contract: Contract) -> None:
    asked = 0
    for group in json.loads(VECTORS.read_text("utf-8"))["groups"]:
        for row in group["rows"]:
            question = {key: value for key, value in row.items() if key != "answer"}
            read = readable(question)
            if isinstance(read, str):
                assert row["answer"] == {"error": read}
                continue
            asked += 1
            found = contract.ask(*read)
            if "error" in row["answer"]:
                assert found == row["answer"]["error"]
            else:
                shown = conformance.answer(json.dumps(question).encode())
                assert (shown["deadline"], shown["at"]) == (row["answer"]["deadline"], found)
    assert asked > 120
