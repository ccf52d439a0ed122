"""What this release puts on a chain: its lifecycle and its calendar, as the contracts take them."""

from __future__ import annotations

from pathlib import Path

from cases.calendar import WorkCalendar, parse, shipped
from cases.errors import CalendarMalformed, CalendarYearUnknown
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain.bindings import LIFECYCLE, LIFECYCLE_TEST_CLOCK
from chain.case_contracts import CaseContracts, PolicyVersion
from chain.case_deployment import CalendarYear, latest_policy, open_cases, set_years, uncovered
from chain.evm import Evm
from chain.governance import Proposal
from protocol.expect import json_value

_MAX_FILE = 1 << 20


def policy_version(*, test_clock: bool = False) -> PolicyVersion:
    """The lifecycle that cases begin with; `test_clock`: with every clock in seconds."""
    if test_clock:
        return PolicyVersion(LIFECYCLE_TEST_CLOCK, LIFECYCLE_V1.with_test_clock().source_digest)
    return PolicyVersion(LIFECYCLE, LIFECYCLE_V1.source_digest)


def calendar_year(number: int, calendar: WorkCalendar | None = None) -> CalendarYear:
    """One year of a table, by default of the shipped one. Raises CalendarYearUnknown."""
    year = (calendar or shipped()).years.get(number)
    if year is None:
        raise CalendarYearUnknown(
            f"the table has no {number}", field="year", hint="--calendar FILE with the State Council's notice"
        )
    return CalendarYear(year.year, year.low, year.high, year.notice)


def read_calendar(path: Path) -> WorkCalendar:
    """A table of working days in the form of `cases/data/workcalendar.json`. Raises CalendarMalformed."""
    try:
        with path.open("rb") as source:
            data = source.read(_MAX_FILE + 1)
    except OSError as error:
        raise CalendarMalformed(f"{path.name}: {error.strerror}", field=path.name) from None
    return parse(json_value(data, path.name, max_bytes=_MAX_FILE))


async def opening(evm: Evm, contracts: CaseContracts) -> Proposal | None:
    """What governance has to decide before cases can be brought: the shipped years that the chain's calendar
    lacks, and the policy. None when all of it is there.
    """
    numbers = await uncovered(evm, contracts, shipped().years)
    years = [calendar_year(number) for number in numbers]
    if await latest_policy(evm, contracts) == 0:
        return open_cases(contracts, years)
    return set_years(contracts, years) if years else None
