"""Deadlines as an iCalendar object (RFC 5545): no person, only a case's short id and its stage.

A day's end is an all-day event on that day, floating as RFC 5545 has it, so that every calendar shows the
same date; a deadline within a day stands in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cases.calendar import day_of, last_second, to_date
from cases.lifecycle import Stage
from cases.words import SHORT, moment
from protocol.hashing import sha256
from protocol.i18n import Text

MEDIA_TYPE = "text/calendar"
PRODUCT = "-//caseledger//case deadlines 1//ZH"
LINE = 75
"""Octets of a line without its break (RFC 5545 §3.1)."""
_SUMMARY = Text("{stage}截止 · 案件 {short}", "{stage} due · case {short}")
_PROVISIONAL = Text("（暂定，可能顺延）", " (provisional, may move)")
_TEST_CLOCK = Text("【测试时钟】", "[TEST CLOCK] ")


@dataclass(frozen=True)
class Due:
    """One deadline. `revised`: when the case last changed, seconds UTC."""

    case_id: bytes
    version: int
    stage: Stage
    deadline: int
    provisional: bool
    revised: int
    test_clock: bool = False

    @property
    def uid(self) -> str:
        """The same for a case and a version, and no way back to the case id."""
        name = sha256(b"caseledger/case-uid/v1" + self.case_id).hex()[:32]
        return f"{name}-{self.version}@caseledger"


def calendar(deadlines: Iterable[Due]) -> bytes:
    """The whole object, lines ending in CR LF."""
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PRODUCT}", "CALSCALE:GREGORIAN",
        f"X-WR-CALNAME:{escape('案件期限 / case deadlines')}",
    ]  # fmt: skip
    for due in deadlines:
        lines += _event(due)
    lines.append("END:VCALENDAR")
    return b"".join(fold(line) for line in lines)


def _event(due: Due) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{due.uid}"
    yield f"DTSTAMP:{_utc(due.revised)}"
    yield f"LAST-MODIFIED:{_utc(due.revised)}"
    yield f"SEQUENCE:{due.version}"
    yield _start(due)
    yield f"SUMMARY:{escape(_summary(due))}"
    yield f"DESCRIPTION:{escape(_description(due))}"
    yield f"CATEGORIES:{escape(due.stage.name)}"
    yield "TRANSP:TRANSPARENT"
    yield f"STATUS:{'TENTATIVE' if due.provisional else 'CONFIRMED'}"
    yield "END:VEVENT"


def _start(due: Due) -> str:
    day = day_of(due.deadline)
    if last_second(day) == due.deadline:
        return f"DTSTART;VALUE=DATE:{to_date(day):%Y%m%d}"
    return f"DTSTART:{_utc(due.deadline)}"


def _summary(due: Due) -> str:
    parts = []
    for lang in ("zh", "en"):
        words = _SUMMARY.format(lang, stage=due.stage.label.choose(lang), short=due.case_id.hex()[:SHORT])
        before = _TEST_CLOCK.choose(lang) if due.test_clock else ""
        parts.append(before + words + (_PROVISIONAL.choose(lang) if due.provisional else ""))
    return " / ".join(parts)


def _description(due: Due) -> str:
    return f"{due.stage.name}\n{moment(due.deadline)} Asia/Shanghai (UTC+8)"


def _utc(time: int) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y%m%dT%H%M%SZ}"


def escape(value: str) -> str:
    """A TEXT value (RFC 5545 §3.3.11); control characters but the line feed are left out."""
    text = "".join(c for c in value.replace("\r\n", "\n") if c == "\n" or (c >= " " and c != "\x7f"))
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def fold(line: str) -> bytes:
    """A content line of at most 75 octets a piece, never cut within a character."""
    pieces, rest, room = [], line, LINE
    while len(rest.encode()) > room:
        cut, size = 0, 0
        while size + len(rest[cut].encode()) <= room:
            size += len(rest[cut].encode())
            cut += 1
        pieces.append(rest[:cut])
        rest, room = rest[cut:], LINE - 1
    pieces.append(rest)
    return "\r\n ".join(pieces).encode() + b"\r\n"
