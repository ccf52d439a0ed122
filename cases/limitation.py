"""Limitation: what starts it, what starts it again, what keeps it from ending (Civil Code Arts. 188 to 195).

An interruption starts the whole period again; an obstacle in its last six months lets it end six months after
the obstacle is gone. Of instalments the last one counts. The time to apply for enforcement follows the same
rules (Civil Procedure Law Art. 250).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from cases.calendar import WorkCalendar, add_months, day_of, last_second
from cases.clocks import Article, articles
from cases.deadlines import Clock, Deadline, Hold, Unit, compute, earliest
from cases.errors import DeadlineHoldEndsBeforeStart, InstalmentsMissing
from protocol.i18n import Text

LAST_MONTHS = 6


class Kind(Enum):
    """What interrupts, with the words for it and the articles."""

    DUNNING_ARRIVED = (
        "dunning-arrived",
        "催收到达或应当到达",
        "dunning that arrived or should have arrived",
        "LR 8",
    )
    DUNNING_SENT = (
        "dunning-sent",
        "向预留号码或地址发出催收",
        "dunning sent to the reserved number or address",
        "BC 3",
    )
    DEDUCTION = ("deduction", "从账户扣收欠款", "a deduction from the account", "LR 8; BC 3")
    POLICE_REPORT = (
        "police-report",
        "以恶意透支向公安机关报案",
        "a report to the police for malicious overdraft",
        "BC 3",
    )
    ACKNOWLEDGED = ("acknowledged", "债务人同意履行", "the debtor agreed to perform", "CC 195")
    SUIT = ("suit", "提起诉讼", "suit", "CC 195; LR 10")
    PAYMENT_ORDER = ("payment-order", "申请支付令", "application for a payment order", "LR 11")
    PRESERVATION = ("preservation", "申请诉前保全", "application for preservation before suit", "LR 11")
    ENFORCEMENT = ("enforcement", "申请强制执行", "application for enforcement", "LR 11")

    def __init__(self, key: str, zh: str, en: str, law: str) -> None:
        self.key = key
        self.label = Text(zh, en)
        self.articles: tuple[Article, ...] = articles(law)

    @property
    def card_only(self) -> bool:
        """Counts for a claim from a bank card alone; other loans need a message that arrived."""
        return self in (Kind.DUNNING_SENT, Kind.POLICE_REPORT)

    @property
    def proceedings(self) -> bool:
        """The period starts again when the proceedings end, not when they begin."""
        return self in (Kind.SUIT, Kind.PAYMENT_ORDER, Kind.PRESERVATION, Kind.ENFORCEMENT)


@dataclass(frozen=True)
class Interruption:
    """An event at a second; of proceedings `until` is their end, None while they last."""

    kind: Kind
    time: int
    until: int | None = None


class Ignored(Enum):
    """Why an event did not count."""

    BEFORE_START = "before-start"
    TOO_LATE = "too-late"
    NOT_A_CARD = "not-a-card"


@dataclass(frozen=True)
class Limitation:
    """The result. `deadline` is that of the last run, None while proceedings that interrupted it go on.

    `time` is its last second, after the obstacle (its place) that moved it, if any; None while nothing can be
    said. `counted` started the period again, in order.
    """

    start: int
    deadline: Deadline | None
    time: int | None
    obstacle: int | None
    counted: tuple[Interruption, ...]
    ignored: tuple[tuple[Interruption, Ignored], ...]


def last_instalment(due: Sequence[int]) -> int:
    """Where a period over instalments starts: when the last of them was due (CC 189, CPL 250)."""
    if not due:
        raise InstalmentsMissing(field="instalments")
    return max(due)


def limitation(
    calendar: WorkCalendar,
    start: int,
    clock: Clock,
    events: Sequence[Interruption] = (),
    *,
    card: bool,
    obstacles: Sequence[Hold] = (),
) -> Limitation:
    """When a claim is barred. `start` is the accrual; `card` tells a claim from a bank card.

    An event after the period has ended does not bring it back. Raises DeadlineRefused.
    """
    for place, event in enumerate(events):
        if event.until is not None and event.until < event.time:
            raise DeadlineHoldEndsBeforeStart(f"{event.time} to {event.until}", field=f"events[{place}]")
    counted: list[Interruption] = []
    ignored: list[tuple[Interruption, Ignored]] = []
    for event in sorted(events, key=lambda item: item.time):
        if event.kind.card_only and not card:
            ignored.append((event, Ignored.NOT_A_CARD))
        elif event.time < start:
            ignored.append((event, Ignored.BEFORE_START))
        elif _ended(calendar, start, clock, obstacles, event.time):
            ignored.append((event, Ignored.TOO_LATE))
        else:
            counted.append(event)
            if event.kind.proceedings and event.until is None:
                return Limitation(start, None, None, None, tuple(counted), tuple(ignored))
            start = event.time if event.until is None or not event.kind.proceedings else event.until
    deadline = compute(calendar, start, clock)
    time, obstacle = _with_obstacles(calendar, deadline, obstacles)
    return Limitation(start, deadline, time, obstacle, tuple(counted), tuple(ignored))


def _ended(calendar: WorkCalendar, start: int, clock: Clock, obstacles: Sequence[Hold], time: int) -> bool:
    """Whether the period had ended before `time`. The calendar is asked only where it can matter."""
    floor = earliest(start, clock)
    if floor is None or time <= floor:
        return False
    end, _ = _with_obstacles(calendar, compute(calendar, start, clock), obstacles)
    return end is not None and time > end


def _with_obstacles(
    calendar: WorkCalendar, deadline: Deadline, obstacles: Sequence[Hold]
) -> tuple[int | None, int | None]:
    """The end and the place of the obstacle that moved it. An open obstacle leaves no end."""
    end = deadline.nominal
    place: int | None = None
    for i, obstacle in sorted(enumerate(obstacles), key=lambda item: item[1].start):
        if obstacle.until is not None and obstacle.until < obstacle.start:
            raise DeadlineHoldEndsBeforeStart(
                f"{obstacle.start} to {obstacle.until}", field=f"obstacles[{i}]"
            )
        first = add_months(end, -LAST_MONTHS)
        if day_of(obstacle.start) > end or (obstacle.until is not None and day_of(obstacle.until) <= first):
            continue
        if obstacle.until is None:
            return None, i
        moved = add_months(day_of(obstacle.until), LAST_MONTHS)
        if moved > end:
            end, place = moved, i
    if place is None:
        return deadline.time, None
    while not calendar.is_workday(end):
        end += 1
    return last_second(end), place


def last_day_before(calendar: WorkCalendar, expiry: int, clock: Clock) -> int:
    """Of a clock that counts backward from an expiry: the last second of the last day to ask on.

    The day of the expiry is not counted. A last day that is no working day is moved back, never on: whoever
    asks on the working day before is in time on every reading of the rule.
    """
    if clock.unit != Unit.DAYS:
        raise ValueError("counts days")
    day = day_of(expiry) - clock.count
    while not calendar.is_workday(day):
        day -= 1
    return last_second(day)
