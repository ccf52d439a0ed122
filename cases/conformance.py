"""`caseledger conformance deadline`: a JSON line in, an answer out (docs/spec/conformance.md, section 11)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from cases.calendar import SHANGHAI, first_second, local, shipped, to_date, to_day
from cases.clocks import CLOCKS, LegalClock, clock
from cases.deadlines import Clock, Deadline, Hold, Unit, compute
from cases.errors import (
    ClockNotForward,
    DeadlineCountTooLarge,
    DeadlineHoldOutOfRange,
    DeadlineStartOutOfRange,
    DeadlineUnitUnknown,
    InstalmentsMissing,
)
from cases.limitation import last_instalment
from protocol.errors import CaseledgerError
from verifier.errors import FieldInvalid, FieldMissing, FieldUnknown
from verifier.strict_json import Json, loads

_FIELDS = {
    "clock", "start_event_date", "instalments", "length", "unit", "flags", "holds",
    "article", "about", "desc",
}  # fmt: skip
"""The last three are comments."""
_UNITS = {unit.key: unit for unit in Unit} | {unit.key.removesuffix("s"): unit for unit in Unit}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:Z|\+08:00)")
_MOST_INSTALMENTS = 360


def answer(line: bytes) -> dict[str, Any]:
    """`{"deadline": …}` or `{"error": code}`; never an exception."""
    try:
        return _answered(loads(line))
    except CaseledgerError as error:
        return refusal(error)
    except Exception as error:
        return {"error": "VerifierFault", "detail": type(error).__name__}


def refusal(error: CaseledgerError) -> dict[str, Any]:
    """The answer that an error stands for."""
    return {"error": error.code, "detail": f"{error.field}: {error.detail}" if error.field else error.detail}


def _answered(value: Json) -> dict[str, Any]:
    start, packed, holds = question(value)
    return _shown(compute(shipped(), start, Clock.unpack(packed), holds))


def question(value: Json) -> tuple[int, int, Sequence[Hold]]:
    """What a line asks: start in seconds, the packed clock, the holds. Raises CaseledgerError."""
    if not isinstance(value, dict):
        raise FieldInvalid("an object is expected", field="line")
    unknown = sorted(set(value) - _FIELDS)
    if unknown:
        raise FieldUnknown(unknown[0][:64], field="line")
    named = _named(value.get("clock"))
    length = _length(value, named)
    return _start(value, length), length.packed, _holds(value.get("holds"))


def _named(name: Json) -> LegalClock | None:
    """A clock of the law, or None: any other name is a label of the sender's."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise FieldInvalid("a name is expected", field="clock")
    if name not in CLOCKS:
        return None
    if clock(name).backward:
        raise ClockNotForward(f"{name} counts back from an expiry", field="clock")
    return clock(name)


def _length(value: dict[str, Json], named: LegalClock | None) -> Clock:
    if "length" not in value and "unit" not in value and "flags" not in value:
        if named is None:
            raise FieldMissing("length", field="length")
        return named.clock
    count = _integer(_required(value, "length"), "length")
    if count < 0 or count > 0xFFFF:
        raise DeadlineCountTooLarge(f"{count}", field="length")
    unit = _unit(_required(value, "unit"))
    if "flags" not in value:
        same = named is not None and (named.clock.count, named.clock.unit) == (count, unit)
        return named.clock if named is not None and same else Clock(count, unit)
    flags = _integer(value["flags"], "flags")
    if not 0 <= flags <= 0xFF:
        raise FieldInvalid("eight bits are expected", field="flags")
    return Clock(count, unit, flags)


def _unit(value: Json) -> Unit:
    if isinstance(value, str) and value in _UNITS:
        return _UNITS[value]
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return Unit(value)
        except ValueError:
            pass
    raise DeadlineUnitUnknown(str(value)[:64], field="unit")


def _start(value: dict[str, Json], length: Clock) -> int:
    if "instalments" not in value:
        start = _required(value, "start_event_date")
        if not length.unit.in_days and isinstance(start, str) and _DATE.fullmatch(start):
            raise FieldInvalid("a clock of hours or seconds starts at a time", field="start_event_date")
        return _second(start, "start_event_date", DeadlineStartOutOfRange)
    if "start_event_date" in value:
        raise FieldInvalid("either instalments or start_event_date", field="instalments")
    due = value["instalments"]
    if not isinstance(due, list) or len(due) > _MOST_INSTALMENTS:
        raise FieldInvalid(f"a list of at most {_MOST_INSTALMENTS} dates", field="instalments")
    if not due:
        raise InstalmentsMissing(field="instalments")
    return last_instalment([_second(item, "instalments", DeadlineStartOutOfRange) for item in due])


def _holds(value: Json) -> Sequence[Hold]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise FieldInvalid("a list is expected", field="holds")
    return tuple(_hold(item) for item in value)


def _hold(value: Json) -> Hold:
    if isinstance(value, list) and len(value) == 2:
        begin, until = value
    elif isinstance(value, dict):
        unknown = sorted(set(value) - {"from", "until", "reason"})
        if unknown:
            raise FieldUnknown(unknown[0][:64], field="holds")
        begin, until = _required(value, "from"), value.get("until")
    else:
        raise FieldInvalid('{"from", "until"} is expected', field="holds")
    return Hold(
        _second(begin, "holds.from", DeadlineHoldOutOfRange),
        None if until is None else _second(until, "holds.until", DeadlineHoldOutOfRange),
    )


def _second(value: Json, field: str, beyond: type[CaseledgerError]) -> int:
    """Seconds, a date (its first second in Shanghai) or a time in UTC or Shanghai."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise FieldInvalid("a date, a time or seconds are expected", field=field)
    try:
        if _DATE.fullmatch(value):
            return first_second(to_day(date.fromisoformat(value)))
        if _TIME.fullmatch(value):
            moment = datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone(SHANGHAI)
            return (to_day(moment.date()) * 86_400 - 28_800) + (
                moment.hour * 3600 + moment.minute * 60 + moment.second
            )
    except OverflowError:
        raise beyond(value, field=field) from None
    except ValueError:
        pass
    raise FieldInvalid("a date, a time or seconds are expected", field=field)


def _shown(deadline: Deadline) -> dict[str, Any]:
    clock = deadline.clock
    shown: dict[str, Any] = {"deadline": None, "at": deadline.time}
    if deadline.time is None:
        shown["paused"] = True
    elif clock.unit.in_days:
        shown["deadline"] = to_date(deadline.last or 0).isoformat()
    else:
        shown["deadline"] = local(deadline.time).isoformat()
    if deadline.last is not None:
        shown["held"] = sum(span.length for span in deadline.held)
        shown["passed"] = len(deadline.passed)
    if clock.test:
        shown["test_clock"] = True
    return shown


def _required(value: dict[str, Json], field: str) -> Json:
    if field not in value:
        raise FieldMissing(field, field=field)
    return value[field]


def _integer(value: Json, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldInvalid("an integer is expected", field=field)
    return value
