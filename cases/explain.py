"""Which article, from which event, minus which holds: a deadline as a sentence in Chinese and in English."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cases.calendar import day_of, local, to_date
from cases.clocks import LegalClock
from cases.deadlines import FROM_NEXT_HOUR, NO_ROLL_OVER, Clock, Deadline, Unit
from protocol.i18n import Language, Text

TEST_CLOCK = Text("【测试时钟 TEST CLOCK】", "[TEST CLOCK] ")

_UNITS = {
    Unit.SECONDS: Text("{n}秒", "{n} seconds"),
    Unit.HOURS: Text("{n}小时", "{n} hours"),
    Unit.DAYS: Text("{n}日", "{n} days"),
    Unit.WORKING_DAYS: Text("{n}个工作日", "{n} working days"),
    Unit.MONTHS: Text("{n}个月", "{n} months"),
    Unit.YEARS: Text("{n}年", "{n} years"),
}
_FROM = {
    True: Text("自{start}（{event}）的次日起算{length}", "{length} from the day after {start} ({event})"),
    False: Text("自{start}（{event}）起{length}", "{length} from {start} ({event})"),
}
_FROM_HOUR = Text(
    "自{start}（{event}）的次时起算{length}", "{length} from the full hour after {start} ({event})"
)
_NOMINAL = Text("原为{day}届满", "to end on {day}")
_HELD = Text("因{why}自{first}至{last}停止计算{length}", "stopped by {why} from {first} to {last}, {length}")
_HELD_SECONDS = Text(
    "因{why}自{first}至{last}停止计算{length}", "stopped by {why} from {first} until {last}, {length}"
)
_ROLLED = Text("{days}不是工作日，届满日顺延", "moved on because {days} {be} not working")
_SKIPPED = Text("{days}不是工作日，不计", "not counting {days}, not working")
_NO_ROLL_OVER = Text("不因休假日顺延", "not moved by holidays")
_END = Text("截止{day}24时", "last day {day}, until midnight")
_END_SECOND = Text("截止{time}（含该秒）", "last second {time}")
_PAUSED = Text(
    "因{why}自{first}起停止计算，尚无截止日", "stopped by {why} since {first}; there is no deadline yet"
)
_HOLD = Text("停止计算事由", "a hold")


@dataclass(frozen=True)
class Reason:
    """What a deadline stands on: label, citation and event; for a clock that no law sets, say whose it is."""

    label: Text
    cite: Text
    event: Text

    @classmethod
    def of(cls, clock: LegalClock) -> Reason:
        """Of a clock of the law."""
        return cls(clock.label, Text(clock.cite("zh"), clock.cite("en")), clock.event)


def length(clock: Clock, lang: Language) -> str:
    """ "15 days"."""
    text = _UNITS[clock.unit].format(lang, n=clock.count)
    return text.removesuffix("s") if lang == "en" and clock.count == 1 else text


def sentence(reason: Reason, deadline: Deadline, lang: Language, holds: Sequence[Text] = ()) -> str:
    """One sentence. `holds` names each hold of the input, in its order."""
    days = deadline.clock.unit.in_days
    parts = [_opening(reason, deadline, lang)]
    working = deadline.clock.unit == Unit.WORKING_DAYS
    if not working and (deadline.held or deadline.passed or deadline.last is None):
        parts.append(_NOMINAL.format(lang, day=_point(deadline.nominal, days, lang)))
    for span in deadline.held:
        parts.append(
            (_HELD if days else _HELD_SECONDS).format(
                lang,
                why=_why(holds, span.hold, lang),
                first=_point(span.first, days, lang),
                last=_point(span.end - 1 if days else span.end, days, lang),
                length=length(Clock(1, Unit.DAYS if days else Unit.SECONDS), lang)
                if span.length == 1
                else _UNITS[Unit.DAYS if days else Unit.SECONDS].format(lang, n=span.length),
            )
        )
    if deadline.passed:
        be = "is" if len(deadline.passed) == 1 else "are"
        text = _SKIPPED if working else _ROLLED
        parts.append(text.format(lang, days=_ranges(deadline.passed, lang), be=be))
    if deadline.clock.flags & NO_ROLL_OVER and days:
        parts.append(_NO_ROLL_OVER.choose(lang))
    parts.append(_closing(deadline, holds, lang))
    mark = TEST_CLOCK.choose(lang) if deadline.clock.test else ""
    return mark + ("，" if lang == "zh" else "; ").join(parts) + ("。" if lang == "zh" else ".")


def _opening(reason: Reason, deadline: Deadline, lang: Language) -> str:
    clock = deadline.clock
    text = (
        _FROM_HOUR if clock.unit == Unit.HOURS and clock.flags & FROM_NEXT_HOUR else _FROM[clock.unit.in_days]
    )
    start = _point(deadline.origin if clock.unit.in_days else deadline.start, clock.unit.in_days, lang)
    opening = text.format(lang, start=start, event=reason.event.choose(lang), length=length(clock, lang))
    label, cite = reason.label.choose(lang), reason.cite.choose(lang)
    return f"{label}（{cite}）：{opening}" if lang == "zh" else f"{label} ({cite}): {opening}"


def _closing(deadline: Deadline, holds: Sequence[Text], lang: Language) -> str:
    if deadline.last is None:
        place = deadline.paused_by or 0
        return _PAUSED.format(lang, why=_why(holds, place, lang), first=_point(deadline.pause, False, lang))
    if deadline.clock.unit.in_days:
        return _END.format(lang, day=_point(deadline.last, True, lang))
    return _END_SECOND.format(lang, time=_point(deadline.last, False, lang))


def _why(holds: Sequence[Text], place: int, lang: Language) -> str:
    return (holds[place] if place < len(holds) else _HOLD).choose(lang)


def _point(value: int, in_days: bool, lang: Language) -> str:
    if not in_days:
        moment = local(value)
        return f"{_point(day_of(value), True, lang)} {moment:%H:%M:%S}"
    day = to_date(value)
    return f"{day.year}年{day.month}月{day.day}日" if lang == "zh" else day.isoformat()


def _ranges(days: Iterable[int], lang: Language) -> str:
    """Days, those that follow one another as first and last."""
    ranges: list[list[int]] = []
    for day in days:
        if ranges and day == ranges[-1][1] + 1:
            ranges[-1][1] = day
        else:
            ranges.append([day, day])
    to = "至" if lang == "zh" else " to "
    shown = [to.join(_point(day, True, lang) for day in sorted(set(pair))) for pair in ranges]
    return ("、" if lang == "zh" else ", ").join(shown)
