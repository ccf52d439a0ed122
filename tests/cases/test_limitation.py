"""Limitation: interruptions, proceedings, obstacles, instalments; and the clock that counts back."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.calendar import day_of, first_second, shipped, to_date, to_day
from cases.clocks import clock
from cases.deadlines import Clock, Hold, Unit
from cases.errors import CalendarYearUnknown, DeadlineHoldEndsBeforeStart, InstalmentsMissing
from cases.limitation import Ignored, Interruption, Kind, last_day_before, last_instalment, limitation

CALENDAR = shipped()
THREE_YEARS = clock("limitation").clock


def at(year: int, month: int, day: int) -> int:
    return first_second(to_day(date(year, month, day))) + 36_000


def ends(
    start: int, *events: Interruption, card: bool = False, obstacles: tuple[Hold, ...] = ()
) -> str | None:
    found = limitation(CALENDAR, start, THREE_YEARS, events, card=card, obstacles=obstacles)
    return None if found.time is None else to_date(day_of(found.time)).isoformat()


def test_without_events_it_ends_after_three_years() -> None:
    assert ends(at(2022, 3, 1)) == "2025-03-03"  # 1 March 2025 is a Saturday
    assert ends(at(2020, 2, 29)) == "2023-02-28"


def test_an_interruption_starts_it_again() -> None:
    dunned = Interruption(Kind.DUNNING_ARRIVED, at(2021, 6, 1))
    assert ends(at(2020, 3, 1), dunned) == "2024-06-03"  # 1 June 2024 is a Saturday
    assert ends(at(2020, 3, 1), dunned, Interruption(Kind.ACKNOWLEDGED, at(2022, 9, 30))) == "2025-09-30"


def test_on_the_last_day_it_still_interrupts_and_on_the_next_no_more() -> None:
    start = at(2022, 3, 1)
    last = Interruption(Kind.DUNNING_ARRIVED, at(2025, 3, 3))
    late = Interruption(Kind.DUNNING_ARRIVED, at(2025, 3, 4))
    with pytest.raises(CalendarYearUnknown, match="2028"):  # started again, and ends beyond the table
        ends(start, last)
    assert ends(start, late) == "2025-03-03"
    found = limitation(CALENDAR, start, THREE_YEARS, [late], card=False)
    assert found.ignored == ((late, Ignored.TOO_LATE),)
    assert found.counted == ()


def test_a_message_that_was_only_sent_counts_for_cards_alone() -> None:
    sent = Interruption(Kind.DUNNING_SENT, at(2021, 6, 1))
    assert ends(at(2020, 3, 2), sent, card=True) == "2024-06-03"
    assert ends(at(2020, 3, 2), sent, card=False) == "2023-03-02"
    found = limitation(CALENDAR, at(2020, 3, 2), THREE_YEARS, [sent], card=False)
    assert found.ignored == ((sent, Ignored.NOT_A_CARD),)
    report = Interruption(Kind.POLICE_REPORT, at(2021, 6, 1))
    assert ends(at(2020, 3, 2), report, card=False) == "2023-03-02"


def test_proceedings_start_it_again_when_they_end() -> None:
    suit = Interruption(Kind.SUIT, at(2021, 6, 1), at(2022, 11, 30))
    assert ends(at(2020, 3, 1), suit) == "2025-12-01"  # 30 November 2025 is a Sunday
    dunned = Interruption(Kind.DUNNING_ARRIVED, at(2022, 1, 1))
    found = limitation(CALENDAR, at(2020, 3, 1), THREE_YEARS, [dunned, suit], card=False)
    assert found.ignored == ((dunned, Ignored.BEFORE_START),)
    assert found.start == at(2022, 11, 30)


def test_while_proceedings_last_there_is_no_deadline() -> None:
    suit = Interruption(Kind.SUIT, at(2021, 6, 1))
    found = limitation(CALENDAR, at(2020, 3, 1), THREE_YEARS, [suit], card=False)
    assert (found.deadline, found.time) == (None, None)
    assert found.counted == (suit,)


def test_an_obstacle_in_the_last_six_months_leaves_six_months() -> None:
    start = at(2022, 3, 1)  # without obstacle until 1 March 2025, a Saturday
    early = Hold(at(2024, 6, 1), at(2024, 8, 31))
    assert ends(start, obstacles=(early,)) == "2025-03-03"
    into = Hold(at(2024, 6, 1), at(2024, 9, 2))
    assert ends(start, obstacles=(into,)) == "2025-03-03"  # 2 March 2025 is a Sunday
    within = Hold(at(2024, 12, 1), at(2025, 1, 10))
    assert ends(start, obstacles=(within,)) == "2025-07-10"
    then = Hold(at(2025, 4, 1), at(2025, 5, 6))
    assert ends(start, obstacles=(then, within)) == "2025-11-06"
    assert ends(start, obstacles=(then,)) == "2025-03-03"
    assert ends(start, obstacles=(Hold(at(2025, 2, 1)),)) is None


def test_an_obstacle_keeps_the_claim_alive_for_an_interruption() -> None:
    start = at(2020, 3, 2)
    obstacle = Hold(at(2023, 1, 10), at(2023, 2, 10))
    dunned = Interruption(Kind.DUNNING_ARRIVED, at(2023, 7, 3))
    assert ends(start, dunned) == "2023-03-02"
    assert ends(start, dunned, obstacles=(obstacle,)) == "2026-07-03"


def test_instalments_run_from_the_last_one() -> None:
    due = [at(2022, 1, 31), at(2022, 3, 31), at(2022, 2, 28)]
    assert last_instalment(due) == at(2022, 3, 31)
    assert ends(last_instalment(due)) == "2025-03-31"
    with pytest.raises(InstalmentsMissing):
        last_instalment([])


def test_the_time_to_apply_for_enforcement_follows_the_same_rules() -> None:
    two = clock("enforcement-application").clock
    applied = Interruption(Kind.ENFORCEMENT, at(2023, 5, 10), at(2024, 2, 7))
    found = limitation(CALENDAR, at(2022, 9, 30), two, [applied], card=False)
    assert found.time is not None
    assert to_date(day_of(found.time)) == date(2026, 2, 9)  # 7 February 2026 is a Saturday


def test_events_that_end_before_they_begin_are_refused() -> None:
    for events, obstacles in (
        ([Interruption(Kind.SUIT, at(2021, 6, 2), at(2021, 6, 1))], []),
        ([], [Hold(at(2022, 6, 2), at(2022, 6, 1))]),
    ):
        with pytest.raises(DeadlineHoldEndsBeforeStart):
            limitation(CALENDAR, at(2020, 3, 1), THREE_YEARS, events, card=False, obstacles=obstacles)


dates = st.integers(at(2020, 6, 1), at(2023, 6, 1))


@given(st.integers(at(2020, 1, 1), at(2020, 6, 1)), st.lists(dates, max_size=5), st.booleans())
def test_an_interruption_never_shortens(start: int, times: list[int], card: bool) -> None:
    events = [Interruption(Kind.DUNNING_ARRIVED, time) for time in times]
    found = limitation(CALENDAR, start, THREE_YEARS, events, card=card)
    fewer = limitation(CALENDAR, start, THREE_YEARS, events[1:], card=card)
    assert found.time is not None
    assert fewer.time is not None
    assert found.time >= fewer.time
    assert found.start in (start, *times)


def test_a_renewal_is_asked_for_seven_days_before_the_expiry() -> None:
    seven = clock("preservation-renewal").clock
    for expiry, last in (
        ((2026, 3, 20), (2026, 3, 13)),
        ((2026, 3, 22), (2026, 3, 13)),  # 15 March is a Sunday
        ((2026, 3, 2), (2026, 2, 14)),  # 23 February is in Spring Festival, 14 February a make-up day
        ((2026, 2, 21), (2026, 2, 14)),
    ):
        found = last_day_before(CALENDAR, at(*expiry), seven)
        assert to_date(day_of(found)) == date(*last)
    with pytest.raises(ValueError, match="days"):
        last_day_before(CALENDAR, at(2026, 3, 20), Clock(1, Unit.MONTHS))
