"""What follows from a running deadline by itself, pure: when to remind, what to send once it has passed.

Time is the chain's. A deadline may be acted on until its last second; it has passed a second later. A
provisional one is a second before which the deadline does not lie: it is reminded of, and never said to have
passed; whether it has, the contract is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from cases.lifecycle import Lifecycle, Transition

PERCENTS = (50, 80, 100)
OVERDUE, LAPSE = "overdue", "lapse"
_TAG = b"caseledger/reminder/v1"


@dataclass(frozen=True)
class Clocked:
    """A case as `cases.case` has it, as far as its clock goes."""

    case_id: bytes
    policy: int
    version: int
    stage: int
    clock_start: int
    deadline: int | None
    provisional: bool
    marked: bool

    @property
    def run(self) -> int:
        """The version in which this deadline runs; a case comes to life as version 1 with the same one."""
        return max(self.version, 1)


@dataclass(frozen=True)
class Ticked:
    """How long the present clock has run before the case's last change, and when that was."""

    seconds: int
    until: int


@dataclass(frozen=True)
class Watch:
    """The running deadline of a case and what comes next of it (`cases.watch`)."""

    case_id: bytes
    version: int
    stage: int
    deadline: int
    provisional: bool
    known: bool
    """Whether it can be said to have passed: exact, or recorded on the chain as passed."""
    total: int
    percent: int | None
    remind_at: int | None
    act: str | None = None
    transition: int | None = None
    act_at: int | None = None
    attempt: int = 0


def watch_of(
    case: Clocked, ticked: Ticked, life: Lifecycle | None, *, made: Collection[int] = (), attempt: int = 0
) -> Watch | None:
    """What is to be watched of a case; None where no clock runs.

    `made`: percents of this very deadline that there are reminders of already. `attempt`: transactions sent
    for it so far. `life` None: a policy that this release does not know; then nothing lapses.
    """
    if case.deadline is None:
        return None
    total = max(0, ticked.seconds + max(0, case.deadline - ticked.until))
    known = case.marked or not case.provisional
    percent = next_percent(made, passed=known)
    step = lapse_of(life, case.stage)
    act = LAPSE if step else None if case.marked else OVERDUE
    return Watch(
        case.case_id,
        case.run,
        case.stage,
        case.deadline,
        case.provisional,
        known,
        total,
        percent,
        None if percent is None else remind_at(case.deadline, total, percent),
        act,
        step.id if step else None,
        None if act is None else case.deadline + 1,
        attempt,
    )


def next_percent(made: Collection[int], *, passed: bool) -> int | None:
    """The next reminder to make; that of a whole provisional clock waits until it is known to have passed."""
    for percent in PERCENTS:
        if percent not in made and (percent < PERCENTS[-1] or passed):
            return percent
    return None


def remind_at(deadline: int, total: int, percent: int) -> int:
    """The first second in which this part of the clock has run: counted back from its end, so that pauses
    need not be known."""
    return deadline - (100 - percent) * total // 100


def lapse_of(life: Lifecycle | None, stage: int) -> Transition | None:
    """The lapse of a stage, if its policy has one. Never one into a court stage, whatever a table says."""
    if life is None:
        return None
    ways = [step for step in life.leaving(stage) if step.lapse and not life.stages[step.target].court]
    return min(ways, key=lambda step: step.id, default=None)


def reminder_id(case_id: bytes, version: int, deadline: int, percent: int) -> bytes:
    """16 bytes, the same whenever and by whomever the reminder is made."""
    fields = version.to_bytes(8, "big") + deadline.to_bytes(8, "big") + bytes((percent,))
    return hashlib.sha256(_TAG + case_id + fields).digest()[:16]


def business_key(watch: Watch) -> str:
    """Of the next transaction for this deadline; another one only after the fate of the last is known."""
    what = f"{watch.act}:{watch.transition}" if watch.transition else f"{watch.act}"
    return f"{what}:{watch.case_id.hex()}:{watch.version}:{watch.deadline}:{watch.attempt + 1}"
