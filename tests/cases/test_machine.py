"""The rules of a case in Python: what a gateway says before it sends. The contract is compared elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cases import refusals as no
from cases.calendar import WorkCalendar, Year, weekdays
from cases.errors import CalendarYearUnknown
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from cases.machine import CaseState, Machine
from chain.bytecode import load_artifact
from chain.errors import contract_status
from protocol.acts import Role
from protocol.case_acts import Move, Pause, Resume, Reverse

BANK, CENTRE, COURT, MEDIATION, OTHER_BANK = 1, 2, 3, 4, 5
ROLES = {
    BANK: Role.BANK.mask,
    CENTRE: Role.CENTRE.mask,
    COURT: Role.COURT.mask,
    MEDIATION: Role.MEDIATION.mask,
    OTHER_BANK: Role.BANK.mask,
}
NOW = 1_800_000_000  # Friday, 15 January 2027, 16:00 in Shanghai
DAY = 86_400
ID, ZERO = b"\1" * 32, bytes(32)
CALENDAR = WorkCalendar({2027: Year(2027, weekdays(2027), "weekdays")})
MACHINE = Machine(LIFECYCLE_V1, CALENDAR, lambda index: ROLES.get(index, 0))


def case(stage: StageCode = StageCode.IMPORTED, **members: object) -> CaseState:
    state = MACHINE.opened(owner=BANK, product=1, imported=NOW)
    found = LIFECYCLE_V1.stages[stage]
    clock = replace(state.clock, length=found.clock.length if found.clock else None)
    state = replace(state, stage=stage, clock=clock, **members)  # type: ignore[arg-type]
    deadline, provisional = MACHINE.deadline(state)
    return replace(state, deadline=deadline, provisional=provisional)


def move(name: str, organisation: int, other: int = 0, reason: int = 0, version: int = 1) -> Move:
    number = LIFECYCLE_V1.transition(name).id
    return Move(ID, version, number, organisation, other, reason, ZERO, ZERO, ZERO, NOW + DAY)


def test_a_refusal_names_the_article_of_the_rule() -> None:
    with pytest.raises(no.CaseRoleMissing) as refused:
        MACHINE.moved(case(StageCode.TRANSFERRED), move("filed", CENTRE), NOW)
    assert refused.value.article == "CPL 126"
    assert "CPL 126" in refused.value.detail
    assert refused.value.code == "CaseRoleMissing"
    assert refused.value.http_status == 403


def test_another_banks_staff_cannot_act() -> None:
    with pytest.raises(no.CaseRoleMissing):
        MACHINE.moved(case(), move("withdraw", OTHER_BANK, reason=1), NOW)


def test_a_step_starts_the_clock_of_its_stage_now_and_not_earlier() -> None:
    later = NOW + 3 * DAY
    admitted = MACHINE.moved(case(), replace(move("admit", CENTRE), valid_until=later), later, evidence=2)
    assert admitted.clock.start == later
    assert admitted.deadline is not None
    assert admitted.deadline > later


def test_what_can_be_done_depends_on_who_and_when() -> None:
    mediating = case(StageCode.MEDIATING)
    names = {step.name for step in MACHINE.possible(mediating, MEDIATION, NOW)}
    assert names == {"mediation-prolonged", "mediation-agreed", "mediation-ends"}
    assert mediating.deadline is not None
    late = {step.name for step in MACHINE.possible(mediating, MEDIATION, mediating.deadline + 1)}
    assert late == {"mediation-agreed", "mediation-ends", "mediation-expires"}
    assert {step.name for step in MACHINE.possible(mediating, BANK, NOW)} == {"withdraw"}
    assert {step.name for step in MACHINE.possible(mediating, OTHER_BANK, NOW)} == set()


def test_a_pause_gives_its_days_back_and_none_shortens() -> None:
    trial = case(StageCode.TRIAL_SIMPLE, court=COURT)
    paused = MACHINE.paused(trial, Pause(ID, 1, COURT, 3, ZERO, NOW + DAY), NOW + DAY)
    assert paused.deadline is None
    resumed = MACHINE.resumed(paused, Resume(ID, 2, COURT, 3, ZERO, NOW + 9 * DAY), NOW + 8 * DAY)
    assert trial.deadline is not None
    assert resumed.deadline is not None
    assert resumed.deadline - trial.deadline >= 7 * DAY
    with pytest.raises(no.CaseOnHold):
        MACHINE.moved(paused, move("judged", COURT, version=2), NOW, evidence=1)


def test_a_bank_cannot_stop_a_clock() -> None:
    with pytest.raises(no.CaseRoleMissing):
        MACHINE.paused(case(), Pause(ID, 1, BANK, 7, ZERO, NOW + DAY), NOW)


def test_only_the_last_step_can_be_taken_back_by_whom_made_it_and_another() -> None:
    filed = MACHINE.moved(case(StageCode.TRANSFERRED), move("filed", COURT), NOW)
    back = Reverse(ID, 2, COURT, CENTRE, ZERO, NOW + DAY)
    with pytest.raises(no.CaseNotOriginator):
        MACHINE.reversed(filed, replace(back, organisation=CENTRE), NOW)
    with pytest.raises(no.CaseCoSignerInvalid):
        MACHINE.reversed(filed, replace(back, co_organisation=COURT), NOW)
    restored = MACHINE.reversed(filed, back, NOW)
    assert restored.stage == StageCode.TRANSFERRED
    assert restored.court == 0
    with pytest.raises(no.CaseNotReversible):
        MACHINE.reversed(restored, replace(back, version=3), NOW)


def test_a_deadline_beyond_the_table_is_provisional_and_never_said_to_have_passed() -> None:
    effective = case(StageCode.EFFECTIVE)
    assert effective.provisional
    assert effective.deadline is not None
    with pytest.raises(no.CaseNotOverdue):
        MACHINE.marked(effective, NOW)
    with pytest.raises(CalendarYearUnknown):
        MACHINE.marked(effective, effective.deadline + 1)


def test_a_refusal_has_the_status_and_the_name_of_the_contracts_error() -> None:
    known = {
        item["name"]
        for name in ("CaseLedger", "CaseBatches", "EvidenceGuard", "LifecycleV1")
        for item in load_artifact(name)["abi"]
        if item["type"] == "error"
    }
    for refusal in no.CaseRefused.__subclasses__():
        assert refusal.__name__ in known
        assert refusal.http_status == contract_status(refusal.__name__), refusal


@pytest.mark.parametrize("stage", [stage for stage in StageCode if LIFECYCLE_V1.stages[stage].final])
def test_a_closed_case_has_no_pause_and_no_deadline(stage: StageCode) -> None:
    closed = case(stage)
    assert closed.deadline is None
    for kind in LIFECYCLE_V1.holds:
        with pytest.raises(no.CaseHoldNotAllowed):
            MACHINE.paused(closed, Pause(ID, 1, CENTRE, kind, ZERO, NOW + DAY), NOW)
