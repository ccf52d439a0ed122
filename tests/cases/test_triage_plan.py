"""A run proposes, waits for people, and after a kill does the rest and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from cases.decisions import record_of
from cases.lifecycle_v1 import StageCode
from cases.triage import NEWEST
from cases.triage_plan import CaseAt, KnownDecision, Override, Plan, State, counts, plan
from protocol.case_row import CaseRow, RowFlag
from tests.cases.test_decisions import FILED
from tests.cases.test_triage import row

ON = date(2026, 7, 1)
CENTRE = 3
ONE, TWO = b"\x01" * 32, b"\x02" * 32


def at(stage: StageCode = StageCode.IMPORTED, version: int = 1, of: CaseRow | None = None) -> CaseAt:
    return CaseAt(ONE, stage, version, of or row())


def single(case: CaseAt, **more: object) -> Plan:
    (found,) = plan([case], on=ON, organisation=CENTRE, **more)  # type: ignore[arg-type]
    return found


def decided(case: CaseAt, outcome: str | None = None, organisation: int = CENTRE) -> KnownDecision:
    found = single(case).proposal
    record = record_of(
        found, case.case_id, organisation=organisation, time=1, case_version=case.version, officer="李工",
        decided=NEWEST.by_name[outcome] if outcome else None, reason="因为" if outcome else None,
    )  # fmt: skip
    return KnownDecision(TWO, record)


def after(case: CaseAt, known: KnownDecision, stage: StageCode, version: int) -> CaseAt:
    return replace(case, stage=stage, version=version, decisions=(known,), newest=known.commitment)


def names(found: Plan) -> list[str]:
    return [step.name for step in found.steps]


def test_a_new_case_is_admitted_and_routed_on_confirmation_of_the_run() -> None:
    found = single(at())
    assert (found.state, found.officer, found.reason) == (State.PROPOSED, None, None)
    assert names(found) == ["admit", "route-central"]
    assert names(single(at(StageCode.ADMITTED, 2))) == ["route-central"]


def test_filing_waits_until_a_person_has_looked_at_this_one_case() -> None:
    case = at(of=FILED)
    assert single(case).state is State.WAITS
    assert single(case, officer="李工").state is State.WAITS
    assert single(case, confirmed=frozenset({ONE})).state is State.WAITS
    found = single(case, officer="李工", confirmed=frozenset({ONE}))
    assert (found.state, found.officer, found.outcome.name) == (State.PROPOSED, "李工", "filing")


def test_who_confirmed_only_the_run_is_not_named_for_a_case() -> None:
    assert single(at(), officer="李工").officer is None


def test_an_override_needs_a_person_and_names_who_and_why() -> None:
    wanted = {ONE: Override(NEWEST.by_name["special"], "本人到场说明")}
    assert single(at(), overrides=wanted).state is State.WAITS
    found = single(at(), overrides=wanted, officer="李工")
    assert (found.state, found.officer, found.reason) == (State.PROPOSED, "李工", "本人到场说明")
    assert names(found) == ["admit", "route-special"]
    assert found.proposal.outcome.name == "central"


def test_an_override_that_wants_what_was_proposed_is_no_override() -> None:
    found = single(at(), overrides={ONE: Override(NEWEST.by_name["central"], "同意")}, officer="李工")
    assert found.reason is None


@pytest.mark.parametrize(
    ("stage", "version", "rest"),
    [(StageCode.IMPORTED, 1, ["admit", "route-central"]), (StageCode.ADMITTED, 2, ["route-central"])],
)
def test_what_was_recorded_is_carried_on_from_where_it_stopped(
    stage: StageCode, version: int, rest: list[str]
) -> None:
    known = decided(at())
    found = single(after(at(), known, stage, version))
    assert (found.state, found.recorded) == (State.RECORDED, TWO)
    assert names(found) == rest


def test_a_recorded_override_is_carried_on_whatever_the_table_proposes() -> None:
    known = decided(at(), "special")
    found = single(after(at(), known, StageCode.ADMITTED, 2))
    assert (found.state, found.outcome.name, names(found)) == (State.RECORDED, "special", ["route-special"])


CHANGES: list[tuple[str, Callable[[CaseAt, KnownDecision], CaseAt]]] = [
    ("moved otherwise since", lambda case, known: after(case, known, StageCode.ADMITTED, 4)),
    ("another decision came after", lambda case, known: replace(
        after(case, known, StageCode.ADMITTED, 2), newest=b"\x07" * 32)),
]  # fmt: skip


@pytest.mark.parametrize(("why", "change"), CHANGES, ids=[why for why, _ in CHANGES])
def test_what_is_not_the_unfinished_newest_decision_is_not_carried_on(
    why: str, change: Callable[[CaseAt, KnownDecision], CaseAt]
) -> None:
    found = single(change(at(), decided(at())))
    assert found.state is State.PROPOSED
    assert found.recorded is None


def test_another_organisations_decision_is_not_carried_on() -> None:
    known = decided(at(), organisation=9)
    assert single(after(at(), known, StageCode.IMPORTED, 1)).state is State.PROPOSED


def test_papers_that_are_still_asked_for_are_not_asked_for_again() -> None:
    old = row(overdue_days=2000)
    known = decided(at(of=old))
    assert known.record.decided == NEWEST.by_name["completion"].code
    waiting = after(at(of=old), known, StageCode.COMPLETION, 2)
    found = single(waiting)
    # asked for once: the next look goes on to the other rules
    assert (found.state, found.outcome.name, names(found)) == (
        State.PROPOSED, "central", ["admit", "route-central"],
    )  # fmt: skip


def test_a_case_in_completion_that_must_stay_there_is_decided_once() -> None:
    case = replace(at(StageCode.COMPLETION, 2), papers=2)  # type: ignore[arg-type]
    first = single(case)
    assert (first.state, first.outcome.name, first.steps) == (State.PROPOSED, "completion", ())
    again = replace(case, decisions=(KnownDecision(TWO, record_of(
        first.proposal, ONE, organisation=CENTRE, time=1, case_version=2)),), newest=TWO)  # fmt: skip
    assert single(again).state is State.DONE


@pytest.mark.parametrize(
    "stage", [StageCode.MEDIATING, StageCode.CENTRAL, StageCode.TRIAL_SMALL, StageCode.CLOSED]
)
def test_a_case_past_triage_is_not_touched(stage: StageCode) -> None:
    assert single(at(stage, 5)).state is State.CLOSED


def test_a_paused_case_is_not_touched() -> None:
    assert single(replace(at(), held=True)).state is State.CLOSED


def test_like_disputes_are_counted_within_the_run() -> None:
    complained = RowFlag.PRIOR_COMPLAINT
    many = [
        replace(at(of=row(flags_stated=complained, flags=complained)), case_id=bytes([n]) * 32)
        for n in range(10)
    ]
    assert {one.proposal.rule.name for one in plan(many, on=ON, organisation=CENTRE)} == {"group"}
    assert {one.proposal.rule.name for one in plan(many[:9], on=ON, organisation=CENTRE)} == {"complaint"}


def test_counts_add_up() -> None:
    found = plan([at(), at(of=FILED), at(StageCode.MEDIATING)], on=ON, organisation=CENTRE)
    assert counts(found) == {
        "central": {"proposed": 1, "closed": 1, "all": 2},
        "filing": {"waits": 1, "all": 1},
    }
