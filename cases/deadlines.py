"""The arithmetic of deadlines (docs/spec/deadline.md, section 4), and how a result is explained.

The contract `WorkCalendar` computes the same; this agrees with it to the second. Nothing here depends on the
present time or on the machine's time zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from cases.calendar import END, WorkCalendar, add_months, day_of, last_second
from cases.errors import (
    DeadlineCountTooLarge,
    DeadlineCountZero,
    DeadlineFlagsInvalid,
    DeadlineHoldEndsBeforeStart,
    DeadlineHoldOutOfRange,
    DeadlineStartOutOfRange,
    DeadlineTooManyHolds,
    DeadlineUnitUnknown,
)

MOST_HOLDS = 16
NO_ROLL_OVER = 1
"""Flag of days, months and years: the last day may be a holiday."""
FROM_NEXT_HOUR = 2
"""Flag of hours: the hour of the event is not counted."""


class Unit(IntEnum):
    """What a clock counts. Seconds are the TEST CLOCK."""

    SECONDS = 1
    HOURS = 2
    DAYS = 3
    WORKING_DAYS = 4
    MONTHS = 5
    YEARS = 6

    @property
    def key(self) -> str:
        """As files and commands spell it: `working-days`."""
        return self.name.lower().replace("_", "-")

    @property
    def in_days(self) -> bool:
        """Whether the clock ends with a day."""
        return self >= Unit.DAYS


_MOST = {Unit.DAYS: 10_950, Unit.WORKING_DAYS: 3_660, Unit.MONTHS: 360, Unit.YEARS: 30}
_FLAGS = {
    Unit.HOURS: FROM_NEXT_HOUR,
    Unit.DAYS: NO_ROLL_OVER,
    Unit.MONTHS: NO_ROLL_OVER,
    Unit.YEARS: NO_ROLL_OVER,
}
_UINT16 = (1 << 16) - 1


@dataclass(frozen=True)
class Clock:
    """A length: count, unit and flags. Only one that can be computed with exists."""

    count: int
    unit: Unit
    flags: int = 0

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "unit", Unit(self.unit))
        except ValueError:
            raise DeadlineUnitUnknown(f"unit {int(self.unit)}", field="unit") from None
        if self.flags & ~_FLAGS.get(self.unit, 0):
            raise DeadlineFlagsInvalid(f"flags {self.flags} of {self.unit.key}", field="flags")
        if self.count == 0:
            raise DeadlineCountZero(field="length")
        if not 0 < self.count <= _MOST.get(self.unit, _UINT16):
            raise DeadlineCountTooLarge(f"{self.count} {self.unit.key}", field="length")

    @classmethod
    def unpack(cls, packed: int) -> Clock:
        """From the 32 bits that a contract stores."""
        return cls(packed & 0xFFFF, packed >> 16 & 0xFF, packed >> 24 & 0xFF)  # type: ignore[arg-type]

    @property
    def packed(self) -> int:
        """Bits 0-15 count, 16-23 unit, 24-31 flags."""
        return self.count | self.unit << 16 | self.flags << 24

    @property
    def test(self) -> bool:
        """Whether a deadline must be shown as TEST CLOCK."""
        return self.unit == Unit.SECONDS

    @property
    def rolls(self) -> bool:
        """Whether a last day that is a holiday is moved."""
        return self.unit in (Unit.DAYS, Unit.MONTHS, Unit.YEARS) and self.flags == 0


@dataclass(frozen=True)
class Hold:
    """A clock stands still from the second `start` to the second before `until`; None while it is open."""

    start: int
    until: int | None = None


@dataclass(frozen=True)
class Span:
    """What counted of one hold: [first, end) in days, or in seconds for hours and seconds.

    `hold` is its place in the input.
    """

    first: int
    end: int
    hold: int

    @property
    def length(self) -> int:
        """Days, or seconds."""
        return self.end - self.first


@dataclass(frozen=True)
class Deadline:
    """A result and what it is made of: `last = nominal + every span of held + passed`.

    `origin`, `nominal` and `last` are days, or seconds for hours and seconds; `nominal` is where the clock
    would end without a hold or a holiday. `passed` are the days that were no working days and therefore did
    not count, or could not be the last. While an open hold stops the clock, `last` is None and `paused_by`
    the place of that hold in the input.
    """

    start: int
    clock: Clock
    origin: int
    nominal: int
    held: tuple[Span, ...]
    passed: tuple[int, ...]
    last: int | None
    paused_by: int | None = None
    holds: tuple[Hold, ...] = ()

    @property
    def time(self) -> int | None:
        """The last second in time; None while paused."""
        if self.last is None:
            return None
        return last_second(self.last) if self.clock.unit.in_days else self.last

    @property
    def pause(self) -> int:
        """The second in which the hold that stops the clock began."""
        return self.holds[self.paused_by or 0].start


_NEVER = 1 << 128


class _Paused(Exception):
    def __init__(self, hold: int) -> None:
        self.hold = hold


@dataclass
class _Walk:
    """What has been left out so far, on the way from the first counted unit to the last."""

    held: list[Span]
    passed: list[int]
    spans: Sequence[tuple[int, int, int]]

    def extended(self, first: int, end: int) -> int:
        """`end`, moved by what is held between `first` and the moving end, both included."""
        for begin, until, hold in self.spans:
            if until <= first:
                continue
            if begin > end:
                break
            if until == _NEVER:
                raise _Paused(hold)
            begin = max(begin, first)
            self.held.append(Span(begin, until, hold))
            end += until - begin
            first = until
        return end

    def workday(self, calendar: WorkCalendar, day: int, count: int) -> int:
        """The `count`-th working day, from `day` on, that is not held."""
        waiting = iter(self.spans)
        span = next(waiting, None)
        while True:
            while span is not None and span[0] <= day:
                if span[1] > day:
                    if span[1] == _NEVER:
                        raise _Paused(span[2])
                    self.held.append(Span(day, span[1], span[2]))
                    day = span[1]
                span = next(waiting, None)
            if calendar.is_workday(day):
                count -= 1
                if count == 0:
                    return day
            else:
                self.passed.append(day)
            day += 1


def compute(calendar: WorkCalendar, start: int, clock: Clock, holds: Sequence[Hold] = ()) -> Deadline:
    """The deadline of a clock that the event at `start` (UTC seconds) started.

    Raises:
        DeadlineRefused: its subclasses, in the order of docs/spec/deadline.md §6.
    """
    return _computed(calendar, start, clock, holds)


def earliest(start: int, clock: Clock, holds: Sequence[Hold] = ()) -> int | None:
    """A second before which that deadline does not lie, whatever the calendar says; None if paused so far."""
    return _computed(None, start, clock, holds).time


def _computed(calendar: WorkCalendar | None, start: int, clock: Clock, holds: Sequence[Hold]) -> Deadline:
    if not 0 <= start < END:
        raise DeadlineStartOutOfRange(f"start {start}", field="start")
    walk = _Walk([], [], _spans(holds, clock.unit.in_days))
    origin, nominal = _nominal(start, clock)
    last: int | None
    paused_by = None
    try:
        if calendar is not None and clock.unit == Unit.WORKING_DAYS:
            last = walk.workday(calendar, origin + 1, clock.count)
        else:
            last = walk.extended(origin + clock.unit.in_days, nominal)
            if calendar is not None and clock.rolls:
                last = walk.workday(calendar, last, 1)
    except _Paused as pause:
        last, paused_by = None, pause.hold
    held, passed = tuple(walk.held), tuple(walk.passed)
    return Deadline(start, clock, origin, nominal, held, passed, last, paused_by, tuple(holds))


def _nominal(start: int, clock: Clock) -> tuple[int, int]:
    """Where the clock begins, and where it would end if every day were like another."""
    if not clock.unit.in_days:
        origin = start
        if clock.flags & FROM_NEXT_HOUR:
            origin += 3599 - start % 3600
        return origin, origin + clock.count * (3600 if clock.unit == Unit.HOURS else 1)
    origin = day_of(start)
    if clock.unit in (Unit.DAYS, Unit.WORKING_DAYS):
        return origin, origin + clock.count
    return origin, add_months(origin, clock.count * (12 if clock.unit == Unit.YEARS else 1))


def _spans(holds: Sequence[Hold], in_days: bool) -> list[tuple[int, int, int]]:
    """Holds as (first, end, place) in seconds or days, in the order of their beginnings."""
    if len(holds) > MOST_HOLDS:
        raise DeadlineTooManyHolds(f"{len(holds)} holds", field="holds")
    return sorted(_checked(holds, in_days))


def _checked(holds: Iterable[Hold], in_days: bool) -> Iterable[tuple[int, int, int]]:
    for place, hold in enumerate(holds):
        begin, until = hold.start, hold.until
        if until is not None and until < begin:
            raise DeadlineHoldEndsBeforeStart(f"{begin} to {until}", field=f"holds[{place}]")
        if not 0 <= begin < END or (until is not None and not 0 < until < END):
            raise DeadlineHoldOutOfRange(f"{begin} to {until}", field=f"holds[{place}]")
        if in_days:
            begin = day_of(begin)
            until = until if until is None else day_of(until)
        if until is None or begin < until:
            yield begin, _NEVER if until is None else until, place
