"""Every deadline that ever ran comes to one end, and to the right one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.accounting import Account, Change, Outcome, Ran, Unmoved, account
from cases.errors import HistoryBroken
from cases.lifecycle import When
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from tests.support.case_histories import DAY, START, Life, lives, waits

ID = b"\7" * 32
T = START


def change(kind: str, time: int, version: int, stage: int, deadline: int | None, **members: object) -> Change:
    step = members.pop("step", None)
    transition = None if step is None else LIFECYCLE_V1.transition(str(step)).id
    values: dict[str, object] = {"clock_start": T, "provisional": False, "open_holds": 0} | members
    return Change(ID, kind, transition, time, version, stage, deadline=deadline, **values)  # type: ignore[arg-type]


OPENED = change("opened", T + 10, 1, StageCode.IMPORTED, T + 100)
ADMITTED = change("moved", T + 10, 2, StageCode.ADMITTED, T + 200, step="admit")
OFFERED = change("moved", T + 50, 3, StageCode.MED_OFFERED, T + 300, step="offer-mediation")
MEDIATING = change("moved", T + 60, 4, StageCode.MEDIATING, T + 400, step="mediation-starts")
LAPSE = change("lapsed", T + 401, 5, StageCode.MED_FAILED, T + 900, step="mediation-expires")
UNTIL_MEDIATION = [OPENED, ADMITTED, OFFERED, MEDIATING]


def outcomes(changes: list[Change], as_of: int = T + 10**6) -> list[str]:
    return [str(ran.outcome) for ran in account(changes, LIFECYCLE_V1, as_of).deadlines]


def test_a_stage_left_in_its_last_second_was_left_in_time_and_a_second_later_not() -> None:
    in_time = replace(OFFERED, time=T + 200)
    assert outcomes([OPENED, ADMITTED, in_time], T + 200) == ["met", "met", "running"]
    assert outcomes([OPENED, ADMITTED, replace(OFFERED, time=T + 201)], T + 201) == [
        "met",
        "overdue",
        "running",
    ]


def test_a_case_that_still_stands_there_is_overdue_without_an_end() -> None:
    last = account([OPENED, ADMITTED], LIFECYCLE_V1, T + 201).deadlines[-1]
    assert (last.outcome, last.ended) == (Outcome.OVERDUE, None)
    assert account([OPENED, ADMITTED], LIFECYCLE_V1, T + 200).deadlines[-1].outcome is Outcome.RUNNING


def test_a_lapse_is_told_from_a_late_act() -> None:
    assert outcomes([*UNTIL_MEDIATION, LAPSE], T + 500)[3:] == ["lapsed", "running"]
    late = change("moved", T + 401, 5, StageCode.MED_FAILED, T + 900, step="mediation-ends")
    assert outcomes([*UNTIL_MEDIATION, late], T + 500)[3:] == ["overdue", "running"]


def test_a_stage_that_waits_for_its_time_runs_out_and_nobody_is_late() -> None:
    central = change("moved", T + 50, 3, StageCode.CENTRAL, T + 300, step="route-central")
    settled = change("moved", T + 60, 4, StageCode.SETTLED, T + 70, step="settle")
    binds = change("moved", T + 99, 5, StageCode.PERFORMING, T + 900, step="settlement-binds")
    assert outcomes([OPENED, ADMITTED, central, settled, binds], T + 99)[3:] == ["ran-out", "running"]
    assert outcomes([OPENED, ADMITTED, central, settled], T + 71)[3:] == ["ran-out"]


def test_an_extension_and_a_pause_end_a_deadline_and_begin_another() -> None:
    longer = change("moved", T + 300, 5, StageCode.MEDIATING, T + 600, step="mediation-prolonged")
    paused = change("paused", T + 500, 6, StageCode.MEDIATING, None, open_holds=1)
    resumed = change("resumed", T + 550, 7, StageCode.MEDIATING, T + 650)
    assert outcomes([*UNTIL_MEDIATION, longer, paused], T + 10**6)[3:] == ["extended", "paused"]
    assert outcomes([*UNTIL_MEDIATION, longer, paused, resumed], T + 650)[3:] == [
        "extended",
        "paused",
        "running",
    ]


def test_a_deadline_that_passed_before_the_pause_stays_passed_and_counts_once() -> None:
    marked = change("overdue", T + 401, 4, StageCode.MEDIATING, T + 400)
    paused = change("paused", T + 500, 5, StageCode.MEDIATING, None, open_holds=1)
    resumed = change("resumed", T + 550, 6, StageCode.MEDIATING, T + 400)
    lapse = change("lapsed", T + 551, 7, StageCode.MED_FAILED, T + 900, step="mediation-expires")
    assert outcomes([*UNTIL_MEDIATION, marked, paused, resumed])[3:] == ["overdue"]
    found = account([*UNTIL_MEDIATION, marked, paused, resumed, lapse], LIFECYCLE_V1, T + 600).deadlines[3:]
    assert [ran.outcome for ran in found] == [Outcome.LAPSED, Outcome.RUNNING]
    assert (found[0].marked, found[0].ended) == (True, T + 551)


def test_a_step_that_was_taken_back_met_nothing() -> None:
    back = change("reversed", T + 80, 5, StageCode.MED_OFFERED, T + 310)
    assert outcomes([*UNTIL_MEDIATION, back], T + 90) == ["met", "met", "reset", "reset", "running"]
    late = replace(MEDIATING, time=T + 301)
    back = change("reversed", T + 350, 5, StageCode.MED_OFFERED, T + 300)
    assert outcomes([OPENED, ADMITTED, OFFERED, late, back], T + 360) == ["met", "met", "overdue", "reset"]


def test_a_provisional_deadline_never_counts_as_passed_unless_the_chain_says_so() -> None:
    provisional = replace(MEDIATING, provisional=True)
    assert outcomes([OPENED, ADMITTED, OFFERED, provisional])[3:] == ["running"]
    ends = change("moved", T + 500, 5, StageCode.MED_FAILED, T + 900, step="mediation-ends")
    assert outcomes([OPENED, ADMITTED, OFFERED, provisional, ends], T + 500)[3:] == ["undecided", "running"]
    marked = change("overdue", T + 450, 4, StageCode.MEDIATING, T + 400, provisional=True)
    assert outcomes([OPENED, ADMITTED, OFFERED, provisional, marked, ends], T + 500)[3:] == [
        "overdue",
        "running",
    ]


def test_a_case_that_never_moved_is_accounted_for_as_well() -> None:
    unmoved = [
        Unmoved(ID, StageCode.IMPORTED, T, T + 100),
        Unmoved(b"\1" * 32, StageCode.IMPORTED, T, T + 300),
    ]
    found = account([], LIFECYCLE_V1, T + 101, unmoved)
    assert found.counts == {Outcome.OVERDUE: 1, Outcome.RUNNING: 1}
    with pytest.raises(HistoryBroken):
        account([OPENED], LIFECYCLE_V1, T + 101, unmoved)


@pytest.mark.parametrize(
    "changes",
    [
        [ADMITTED],
        [OPENED, OPENED],
        [OPENED, OFFERED],
        [OPENED, replace(ADMITTED, version=3)],
        [OPENED, replace(ADMITTED, time=T + 9)],
        [OPENED, replace(ADMITTED, deadline=None)],
        [OPENED, replace(ADMITTED, open_holds=1)],
        [OPENED, replace(ADMITTED, stage=63)],
        [OPENED, replace(ADMITTED, transition=999)],
        [OPENED, replace(ADMITTED, kind="lapsed")],
        [OPENED, replace(ADMITTED, kind="fled")],
        [OPENED, change("overdue", T + 100, 1, StageCode.IMPORTED, T + 100)],
        [OPENED, change("reversed", T + 20, 2, StageCode.IMPORTED, T + 100)],
        [*UNTIL_MEDIATION, replace(LAPSE, time=T + 400)],
        [
            *UNTIL_MEDIATION,
            change("moved", T + 401, 5, StageCode.MEDIATING, T + 900, step="mediation-prolonged"),
        ],
    ],
    ids=range(15),
)  # fmt: skip
def test_a_history_with_a_change_missing_moved_or_impossible_is_refused(changes: list[Change]) -> None:
    with pytest.raises(HistoryBroken):
        outcomes(changes)


def in_force(case: Life, as_of: int) -> list[Ran]:
    """Deadlines by a plain second way: every span between two changes in which one was in force."""
    spans: list[Ran] = []
    for at, one in enumerate(case.changes):
        if one.time > as_of:
            break
        until = case.changes[at + 1].time if at + 1 < len(case.changes) else None
        if one.deadline is None:
            continue
        same = spans and spans[-1].stage == one.stage and spans[-1].deadline == one.deadline
        known_late = same and (one.kind == "overdue" or (one.time > one.deadline and not one.provisional))
        begun = one.clock_start if one.kind == "opened" else one.time
        if one.kind == "overdue" or (known_late and one.kind in ("resumed", "reversed")):
            spans[-1] = replace(spans[-1], ended=until)
        else:
            spans.append(Ran(one.case_id, one.stage, begun, one.deadline, one.provisional, ended=until))
    return spans


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.one_of(st.none(), st.integers(0, 900 * DAY)))
def test_nothing_is_left_over_whatever_happens_to_a_case(seed: int, cut: int | None) -> None:
    for case in lives(seed, 3, 60):
        as_of = case.now + 1 if cut is None else START + cut
        found = account(case.changes, LIFECYCLE_V1, as_of)
        begun = Counter((ran.stage, ran.deadline, ran.begun) for ran in found.deadlines)
        assert sum(found.counts.values()) == len(found.deadlines)
        assert sum(map(sum, (c.values() for c in found.by_stage().values()))) == len(found.deadlines)
        # As many deadlines as a second count finds, each begun where it says. A case that comes back to a
        # passed deadline after a reversal is the one thing that it counts twice.
        spans = in_force(case, as_of)
        again = sum(
            one.kind == "reversed" and one.deadline is not None and one.deadline < one.time <= as_of
            for one in case.changes
        )
        assert len(found.deadlines) <= len(spans) <= len(found.deadlines) + again
        assert not begun - Counter((ran.stage, ran.deadline, ran.begun) for ran in spans)
        check_each(case, found)


def check_each(case: Life, found: Account) -> None:
    """Every outcome is true of the changes around its end."""
    for ran in found.deadlines:
        end = next((c for c in case.changes if c.time == ran.ended and c.version > 1), None)
        known = not ran.provisional or ran.marked
        match ran.outcome:
            case Outcome.RUNNING:
                assert ran.ended is None
                assert found.as_of <= ran.deadline or ran.provisional
            case Outcome.MET | Outcome.EXTENDED | Outcome.PAUSED | Outcome.RESET:
                assert ran.ended is not None
                assert ran.ended <= ran.deadline or ran.provisional
            case Outcome.UNDECIDED:
                assert ran.provisional
                assert not ran.marked
            case Outcome.LAPSED:
                assert end is not None
                assert any(c.kind == "lapsed" and c.time == ran.ended for c in case.changes)
                assert ran.ended is not None
                assert ran.ended > ran.deadline
            case Outcome.OVERDUE | Outcome.RAN_OUT:
                until = found.as_of if ran.ended is None else ran.ended
                assert until > ran.deadline
                assert known or waits(LIFECYCLE_V1, ran.stage)
                assert waits(LIFECYCLE_V1, ran.stage) == (ran.outcome is Outcome.RAN_OUT)


def test_the_random_lives_reach_every_outcome_and_most_stages() -> None:
    total: Counter[Outcome] = Counter()
    stages: set[int] = set()
    for case in lives(11, 400, 80):
        found = account(case.changes, LIFECYCLE_V1, case.now + 1)
        total += found.counts
        stages |= {c.stage for c in case.changes}
    assert set(total) == set(Outcome), total
    assert len(stages) > 30, stages
    assert any(step.when is When.AFTER for step in LIFECYCLE_V1.transitions.values())
