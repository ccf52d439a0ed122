"""The arithmetic against a definition that counts day by day, and what must hold for every answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cases import errors
from cases.calendar import END, WorkCalendar, add_months, day_of, first_second, last_second, shipped, to_day
from cases.deadlines import FROM_NEXT_HOUR, NO_ROLL_OVER, Clock, Deadline, Hold, Unit, compute, earliest
from cases.errors import CalendarYearUnknown, DeadlineRefused

CALENDAR = shipped()
LAST_DAY = to_day(date(2026, 12, 31))


def at(year: int, month: int, day: int, hour: int = 12) -> int:
    return first_second(to_day(date(year, month, day))) + hour * 3600


def naive(calendar: WorkCalendar, start: int, clock: Clock, holds: Sequence[Hold]) -> int | None:
    """One step a day, or a second: what is held is left out, the rest is counted."""
    if clock.unit == Unit.SECONDS:
        time, left = start, clock.count
        while True:
            inside = [
                hold for hold in holds if hold.start <= time and (hold.until is None or time < hold.until)
            ]
            if any(hold.until is None for hold in inside):
                return None
            if not inside:
                if left == 0:
                    return time
                left -= 1
            time += 1
    begin = day_of(start)
    nominal = {
        Unit.DAYS: begin + clock.count,
        Unit.WORKING_DAYS: 0,
        Unit.MONTHS: add_months(begin, clock.count),
        Unit.YEARS: add_months(begin, 12 * clock.count),
    }[clock.unit]
    left = clock.count if clock.unit == Unit.WORKING_DAYS else nominal - begin
    day = begin
    while True:
        day += 1
        if any(day_of(h.start) <= day and h.until is None for h in holds):
            return None
        if any(day_of(h.start) <= day < day_of(h.until) for h in holds if h.until is not None):
            continue
        if clock.unit == Unit.WORKING_DAYS and not calendar.is_workday(day):
            continue
        left -= 1
        if left <= 0 and (not clock.rolls or calendar.is_workday(day)):
            return last_second(day)


starts = st.integers(at(2023, 1, 1), at(2026, 6, 30))
lengths = st.one_of(
    st.builds(Clock, st.integers(1, 60), st.sampled_from((Unit.DAYS, Unit.WORKING_DAYS))),
    st.builds(Clock, st.integers(1, 14), st.just(Unit.MONTHS), st.sampled_from((0, NO_ROLL_OVER))),
    st.builds(Clock, st.integers(1, 2), st.just(Unit.YEARS), st.sampled_from((0, NO_ROLL_OVER))),
    st.builds(Clock, st.integers(1, 500), st.just(Unit.HOURS), st.sampled_from((0, FROM_NEXT_HOUR))),
)


@st.composite
def situations(draw: st.DrawFn, most: int = 5) -> tuple[int, Clock, list[Hold]]:
    """A start, a length, and holds near by; at most one is open."""
    start = draw(starts)
    holds = []
    for _ in range(draw(st.integers(0, most))):
        begin = start + draw(st.integers(-5 * 86_400, 90 * 86_400))
        holds.append(Hold(begin, begin + draw(st.integers(0, 12 * 86_400))))
    if holds and draw(st.integers(0, 5)) == 0:
        holds[-1] = Hold(holds[-1].start)
    return start, draw(lengths), holds


def answered(start: int, clock: Clock, holds: Sequence[Hold]) -> Deadline:
    """The deadline; situations that run out of the table are left out."""
    try:
        return compute(CALENDAR, start, clock, holds)
    except CalendarYearUnknown:
        assume(False)
        raise


@given(situations())
def test_days_are_those_that_one_would_count_by_hand(situation: tuple[int, Clock, list[Hold]]) -> None:
    start, clock, holds = situation
    assume(clock.unit.in_days)
    assert answered(start, clock, holds).time == naive(CALENDAR, start, clock, holds)


@given(
    st.integers(0, 10**6),
    st.integers(1, 80),
    st.lists(st.tuples(st.integers(-50, 200), st.integers(0, 60), st.booleans()), max_size=4),
)
@example(0, 5, [(0, 3, False), (5, 4, False)])
def test_seconds_are_those_that_one_would_count(
    start: int, count: int, shapes: list[tuple[int, int, bool]]
) -> None:
    base = 1_000_000 + start
    holds = [Hold(base + a, None if is_open else base + a + n) for a, n, is_open in shapes]
    clock = Clock(count, Unit.SECONDS)
    assert compute(CALENDAR, base, clock, holds).time == naive(CALENDAR, base, clock, holds)


@given(situations())
def test_a_deadline_lies_after_its_start_on_a_free_working_day(
    situation: tuple[int, Clock, list[Hold]],
) -> None:
    start, clock, holds = situation
    deadline = answered(start, clock, holds)
    if deadline.time is None:
        return
    assert deadline.time > start
    if clock.unit.in_days:
        day = day_of(deadline.time)
        assert deadline.time == last_second(day)
        if clock.rolls or clock.unit == Unit.WORKING_DAYS:
            assert CALENDAR.is_workday(day)
        for hold in holds:
            assert hold.until is None or not day_of(hold.start) <= day < day_of(hold.until)


@given(situations())
def test_a_longer_clock_never_ends_earlier(situation: tuple[int, Clock, list[Hold]]) -> None:
    start, clock, holds = situation
    shorter = answered(start, clock, holds)
    longer = answered(start, Clock(clock.count + 1, clock.unit, clock.flags), holds)
    if shorter.time is None:
        assert longer.time is None
    elif longer.time is not None:
        assert longer.time >= shorter.time


@given(situations(), st.integers(0, 40 * 86_400), st.integers(0, 10 * 86_400) | st.none())
def test_a_hold_never_shortens(
    situation: tuple[int, Clock, list[Hold]], after: int, length: int | None
) -> None:
    start, clock, holds = situation
    before = answered(start, clock, holds)
    begin = start + after
    more = [Hold(begin, None if length is None else begin + length), *holds]
    held = answered(start, clock, more)
    if before.time is None:
        assert held.time is None
    elif held.time is not None:
        assert held.time >= before.time


@given(situations(), st.randoms())
def test_the_order_of_holds_does_not_matter(situation: tuple[int, Clock, list[Hold]], random: object) -> None:
    start, clock, holds = situation
    mixed = list(holds)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert answered(start, clock, holds).time == answered(start, clock, mixed).time


@given(situations())
def test_an_explanation_adds_up_to_the_result(situation: tuple[int, Clock, list[Hold]]) -> None:
    start, clock, holds = situation
    deadline = answered(start, clock, holds)
    if deadline.last is None:
        assert deadline.paused_by is not None
        assert holds[deadline.paused_by].until is None
        assert deadline.pause == holds[deadline.paused_by].start
        return
    for earlier, later in pairwise(deadline.held):
        assert earlier.end <= later.first
    total = sum(span.length for span in deadline.held) + len(deadline.passed)
    assert deadline.nominal + total == deadline.last
    for span in deadline.held:
        hold = holds[span.hold]
        assert hold.until is not None
        if clock.unit.in_days:
            assert day_of(hold.start) <= span.first < span.end <= day_of(hold.until)
        else:
            assert hold.start <= span.first < span.end <= hold.until
    for day in deadline.passed:
        assert not CALENDAR.is_workday(day)
        assert deadline.origin < day < deadline.last
        assert not any(span.first <= day < span.end for span in deadline.held)


@given(situations())
def test_no_deadline_lies_before_the_earliest(situation: tuple[int, Clock, list[Hold]]) -> None:
    start, clock, holds = situation
    floor = earliest(start, clock, holds)
    deadline = answered(start, clock, holds)
    if floor is None:
        assert deadline.time is None
    elif deadline.time is not None:
        assert start < floor <= deadline.time
        if not clock.rolls and clock.unit != Unit.WORKING_DAYS:
            assert floor == deadline.time


def test_a_clock_may_start_that_ends_in_a_year_without_a_notice() -> None:
    start, clock = at(2026, 3, 2), Clock(2, Unit.YEARS)
    with pytest.raises(CalendarYearUnknown, match="2028"):
        compute(CALENDAR, start, clock)
    assert earliest(start, clock) == last_second(to_day(date(2028, 3, 2)))
    unrolled = Clock(2, Unit.YEARS, NO_ROLL_OVER)
    assert compute(CALENDAR, start, unrolled).time == last_second(to_day(date(2028, 3, 2)))


@pytest.mark.parametrize("unit", [unit for unit in Unit if unit.in_days])
def test_the_last_day_of_the_table_is_the_last_that_is_answered(unit: Unit) -> None:
    clock = Clock(1, unit)
    start = {Unit.DAYS: (12, 30), Unit.WORKING_DAYS: (12, 30), Unit.MONTHS: (11, 30), Unit.YEARS: (1, 1)}[
        unit
    ]
    year = 2025 if unit == Unit.YEARS else 2026
    compute(CALENDAR, at(year, *start), clock)
    with pytest.raises(CalendarYearUnknown):
        compute(CALENDAR, at(2026, 12, 31), clock)


@given(st.integers(-1, 70_000), st.integers(-1, 9), st.integers(0, 255))
def test_a_clock_is_refused_or_survives_packing(count: int, unit: int, flags: int) -> None:
    try:
        clock = Clock(count, unit, flags)  # type: ignore[arg-type]
    except DeadlineRefused:
        return
    assert Clock.unpack(clock.packed) == clock
    assert 0 <= clock.packed < 1 << 32
    assert clock.test == (clock.unit == Unit.SECONDS)


DAY = Clock(15, Unit.DAYS)
BEGIN = at(2026, 3, 2)


@pytest.mark.parametrize(
    ("error", "start", "clock", "holds"),
    [
        ("DeadlineUnitUnknown", 0, (0, 0, 9), []),
        ("DeadlineUnitUnknown", BEGIN, (1, 7, 0), []),
        ("DeadlineFlagsInvalid", BEGIN, (0, 4, 1), []),
        ("DeadlineFlagsInvalid", BEGIN, (1, 3, 2), []),
        ("DeadlineFlagsInvalid", BEGIN, (1, 2, 1), []),
        ("DeadlineFlagsInvalid", BEGIN, (1, 1, 2), []),
        ("DeadlineCountZero", END, (0, 3, 0), []),
        ("DeadlineCountTooLarge", END, (10_951, 3, 0), []),
        ("DeadlineCountTooLarge", BEGIN, (3_661, 4, 0), []),
        ("DeadlineCountTooLarge", BEGIN, (361, 5, 0), []),
        ("DeadlineCountTooLarge", BEGIN, (31, 6, 0), []),
        ("DeadlineStartOutOfRange", END, (1, 3, 0), [Hold(5, 4)]),
        ("DeadlineStartOutOfRange", -1, (1, 3, 0), []),
        ("DeadlineTooManyHolds", BEGIN, (1, 3, 0), [Hold(5, 4)] * 17),
        ("DeadlineHoldEndsBeforeStart", BEGIN, (1, 3, 0), [Hold(END, END - 1), Hold(END)]),
        ("DeadlineHoldOutOfRange", BEGIN, (1, 3, 0), [Hold(END), Hold(5, 4)]),
        ("DeadlineHoldOutOfRange", BEGIN, (1, 3, 0), [Hold(5, END)]),
        ("DeadlineHoldOutOfRange", BEGIN, (1, 3, 0), [Hold(-1, 5)]),
        ("DeadlineHoldOutOfRange", BEGIN, (1, 3, 0), [Hold(0, 0)]),
        ("CalendarYearUnknown", at(2027, 3, 1), (1, 3, 0), []),
    ],
)
def test_bad_input_has_a_code(error: str, start: int, clock: tuple[int, int, int], holds: list[Hold]) -> None:
    with pytest.raises(getattr(errors, error)):
        compute(CALENDAR, start, Clock(*clock), holds)  # type: ignore[arg-type]


def test_sixteen_holds_are_answered() -> None:
    holds = [Hold(BEGIN + i * 3 * 86_400, BEGIN + i * 3 * 86_400 + 86_400) for i in range(16)]
    assert compute(CALENDAR, BEGIN, DAY, holds).time == naive(CALENDAR, BEGIN, DAY, holds)
