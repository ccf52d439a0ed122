"""Where a case stands, for people: stage, deadline and what the deadline rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cases import access, deadlines, words
from cases.calendar import WorkCalendar
from cases.lifecycle import Lifecycle
from cases.machine import CaseState, Clock, HoldRecord, Previous
from chain.case_state import EXTENDED, MARKED, PROVISIONAL, REVERSIBLE, ChainCase, ChainHold
from protocol.i18n import Text


def state_of(case: ChainCase, holds: tuple[ChainHold, ...]) -> CaseState:
    """The state as `cases.machine` has it."""
    records = tuple(HoldRecord(h.kind, h.start, h.until or None, h.organisation) for h in holds)
    previous = None
    if case.flags & REVERSIBLE:
        extended = bool(case.flags & EXTENDED)
        # Pauses of the clock before are not read: a reversal adds them up on the chain.
        clock = Clock(
            case.previous_clock_start, _length(case.previous_clock), case.previous_extension,
            records if extended else (),
        )  # fmt: skip
        previous = Previous(case.last_organisation, case.previous_stage, clock, case.previous_court, extended)
    return CaseState(
        version=case.version,
        stage=case.stage,
        product=case.product,
        owner=case.owner,
        since=case.since,
        clock=Clock(case.clock_start, _length(case.clock), case.extension, records),
        court=case.court,
        marked=bool(case.flags & MARKED),
        previous=previous,
        deadline=case.deadline or None,
        provisional=bool(case.flags & PROVISIONAL),
    )


def _length(packed: int) -> deadlines.Clock | None:
    return deadlines.Clock.unpack(packed) if packed else None


@dataclass(frozen=True)
class Standing:
    """A case as of one block. Times in seconds UTC; `why` is empty where no clock runs."""

    case_id: bytes
    state: CaseState
    policy: int
    life: Lifecycle
    why: Text

    @property
    def seen(self) -> access.Standing:
        """What of it decides who sees it."""
        return access.Standing(self.state.owner, self.state.stage, self.state.court)

    def as_json(self) -> dict[str, Any]:
        """Members in camel case."""
        stage = self.life.stages[self.state.stage]
        return {
            "caseId": self.case_id.hex(),
            "version": self.state.version,
            "stage": stage.name,
            "label": {"zh": stage.label.zh, "en": stage.label.en},
            "since": self.state.since,
            "deadline": self.state.deadline,
            "provisional": self.state.provisional,
            "court": self.state.court,
            "openPauses": [
                self.life.holds[hold.kind].name for hold in self.state.clock.holds if hold.until is None
            ],
            "markedOverdue": self.state.marked,
            "policy": self.policy,
            "tableHash": self.life.table_hash.hex(),
            "testClock": self.life.test_clock,
            "explanation": {"zh": self.why.zh, "en": self.why.en},
        }


REVERSED = Text(
    "截止日为该步骤前的截止日，加上其间的时间。",
    "The deadline is the one before the step, and the time in between does not count.",
)


def standing(
    case_id: bytes, state: CaseState, policy: int, life: Lifecycle, calendar: WorkCalendar
) -> Standing:
    """With the sentence that explains the deadline."""
    return Standing(case_id, state, policy, life, words.why(life, state, calendar))
