"""Days in Asia/Shanghai and the table of working days (docs/spec/deadline.md, sections 1 and 3).

A day is the number of days since 1970-01-01; a time is UTC seconds. Years come from
`cases/data/workcalendar.json`: what is not there is refused, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from importlib.resources import files
from typing import Any

from cases.errors import CalendarMalformed, CalendarYearUnknown

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
DAY = 86_400
END = 4_102_416_000
"""1 January 2100 in Shanghai: starts and holds lie before it."""

FEWEST_WORKDAYS, MOST_WORKDAYS = 200, 300
FIRST_YEAR, LAST_YEAR = 2000, 2199
_OFFSET = 8 * 3600
_EPOCH = date(1970, 1, 1).toordinal()


def day_of(time: int) -> int:
    """The day to which a second belongs."""
    return (time + _OFFSET) // DAY


def first_second(day: int) -> int:
    """Midnight at the beginning of a day."""
    return day * DAY - _OFFSET


def last_second(day: int) -> int:
    """23:59:59 of a day."""
    return first_second(day + 1) - 1


def to_date(day: int) -> date:
    """The Gregorian date of a day."""
    return date.fromordinal(day + _EPOCH)


def to_day(value: date) -> int:
    """Inverse of `to_date`."""
    return value.toordinal() - _EPOCH


def local(time: int) -> datetime:
    """The wall clock in Shanghai."""
    return datetime.fromtimestamp(time, SHANGHAI)


def add_months(day: int, months: int) -> int:
    """The day of the same number `months` months later, or that month's last day."""
    start = to_date(day)
    index = start.year * 12 + start.month - 1 + months
    year, month = divmod(index, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    length = (following - date(year, month + 1, 1)).days
    return to_day(date(year, month + 1, min(start.day, length)))


@dataclass(frozen=True)
class Year:
    """One year: bit i of `bits` is 1 when day i (0 = 1 January) is a working day."""

    year: int
    bits: int
    notice: str

    @property
    def first(self) -> int:
        """Day number of 1 January."""
        return to_day(date(self.year, 1, 1))

    @property
    def length(self) -> int:
        """365 or 366."""
        return (date(self.year + 1, 1, 1) - date(self.year, 1, 1)).days

    @property
    def low(self) -> int:
        """Days 0 to 255, as `WorkCalendar.setYear` takes them."""
        return self.bits & ((1 << 256) - 1)

    @property
    def high(self) -> int:
        """Days 256 and later."""
        return self.bits >> 256


class WorkCalendar:
    """A table of working days: any years, with gaps if need be."""

    def __init__(self, years: Mapping[int, Year]) -> None:
        for number, year in years.items():
            _require_plausible(number, year)
        self._years = {number: (year.first, year.bits) for number, year in years.items()}
        self.years: Mapping[int, Year] = dict(sorted(years.items()))

    def is_workday(self, day: int) -> bool:
        """Whether people work on this day.

        Raises:
            CalendarYearUnknown: the table does not cover the day's year.
        """
        number = to_date(day).year
        known = self._years.get(number)
        if known is None:
            raise CalendarYearUnknown(
                f"the working days of {number} are not known",
                field="year",
                hint="load the State Council's notice for that year, then ask again",
            )
        first, bits = known
        return bool(bits >> (day - first) & 1)


def _require_plausible(number: int, year: Year) -> None:
    count = year.bits.bit_count()
    if number != year.year or not FIRST_YEAR <= number <= LAST_YEAR:
        raise CalendarMalformed(f"{number}: not a year of the table", field="years")
    if year.bits < 0 or year.bits >> year.length or not FEWEST_WORKDAYS <= count <= MOST_WORKDAYS:
        raise CalendarMalformed(f"{number}: {count} working days", field="years")


def weekdays(number: int) -> int:
    """The bits of a year without holidays: Monday to Friday."""
    first = date(number, 1, 1)
    length = (date(number + 1, 1, 1) - first).days
    return sum(1 << i for i in range(length) if (first.weekday() + i) % 7 < 5)


def parse(document: Any) -> WorkCalendar:
    """The table from the data file's JSON. Raises CalendarMalformed."""
    try:
        if document["version"] != 1:
            raise CalendarMalformed(f"version {document['version']!r}", field="version")
        years = {int(number): _year(int(number), entry) for number, entry in document["years"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CalendarMalformed(f"{type(error).__name__}: {error}") from None
    return WorkCalendar(years)


def _year(number: int, entry: Mapping[str, Any]) -> Year:
    if set(entry) != {"notice", "holidays", "workdays"} or not entry["notice"]:
        raise CalendarMalformed(f"{number}: notice, holidays and workdays are expected", field="years")
    first = date(number, 1, 1)
    seen: set[date] = set()
    bits = weekdays(number)
    for workday, spans in ((False, entry["holidays"]), (True, entry["workdays"])):
        for day in _dates(spans):
            if day.year != number or day in seen:
                raise CalendarMalformed(f"{day} stands twice, or not in its year", field="years")
            if workday and day.weekday() < 5:
                raise CalendarMalformed(f"{day}: a make-up day is a Saturday or Sunday", field="years")
            seen.add(day)
            bit = 1 << (day - first).days
            bits = bits | bit if workday else bits & ~bit
    return Year(number, bits, str(entry["notice"]))


def _dates(spans: Sequence[str | Sequence[str]]) -> Iterator[date]:
    for span in spans:
        begin, end = (span, span) if isinstance(span, str) else span
        first, last = date.fromisoformat(begin), date.fromisoformat(end)
        if first > last:
            raise CalendarMalformed(f"{begin} to {end}", field="years")
        yield from (first + timedelta(days=i) for i in range((last - first).days + 1))


@lru_cache(maxsize=1)
def shipped() -> WorkCalendar:
    """The table that comes with this release."""
    text = files("cases").joinpath("data/workcalendar.json").read_text("utf-8")
    return parse(json.loads(text))
