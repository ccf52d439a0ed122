"""A case played again from its events is the case as the rules had it; and every event has words."""

from __future__ import annotations

from typing import Any

import pytest

from cases import words
from cases.errors import CaseIndexDamaged
from cases.history import replay, unmoved
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from cases.reading import Found, timeline
from tests.support.case_histories import CALENDAR, Life, lives, machine
from tests.support.case_rows import CASE_COLUMNS, case_of, change_rows

MACHINE = machine()
LIVES = [life for life in lives(seed=11, count=250, acts=40) if life.changes]


def case_row_of(life: Life) -> dict[str, Any]:
    return dict(zip(CASE_COLUMNS, case_of(life), strict=True))


def test_the_lives_have_every_kind_of_event() -> None:
    kinds = {change.kind for life in LIVES for change in life.changes}
    assert kinds == {"opened", "moved", "lapsed", "paused", "resumed", "reversed", "overdue"}


@pytest.mark.parametrize("at", range(0, len(LIVES), 25))
def test_a_life_played_again_has_the_states_clocks_and_pauses_that_it_had(at: int) -> None:
    for life in LIVES[at : at + 25]:
        steps = replay(MACHINE, case_row_of(life), change_rows(life))
        assert [step.state for step in steps] == life.states


def test_every_event_says_who_when_why_in_both_languages() -> None:
    for life in LIVES:
        row = case_row_of(life)
        steps = tuple(replay(MACHINE, row, change_rows(life)))
        found = Found(
            life.case_id, row | {"court": life.state.court}, LIFECYCLE_V1, steps, life.state, CALENDAR
        )
        shown = timeline(found)
        assert len(shown["events"]) == len(life.changes)
        for event, change in zip(shown["events"], life.changes, strict=True):
            assert event["label"]["zh"]
            assert event["label"]["en"]
            assert event["plain"]["zh"]
            assert "{" not in event["plain"]["zh"] + event["plain"]["en"]
            assert event["time"] == change.time
            running = change.deadline is not None
            assert bool(event["why"]["zh"]) == (running or change.open_holds > 0)
            if event["transition"] is not None:
                assert event["article"]["zh"]


def test_a_deadline_is_explained_with_article_event_and_pauses() -> None:
    for life in LIVES:
        for step in replay(MACHINE, case_row_of(life), change_rows(life)):
            said = words.why(LIFECYCLE_V1, step.state, CALENDAR)
            if step.state.stage == StageCode.MEDIATING and not step.state.provisional:
                assert "《人民法院在线调解规则》（2021）第24条" in said.zh
                assert "进入「调解中」" in said.zh
            named = {LIFECYCLE_V1.holds[hold.kind].label.zh for hold in step.state.clock.holds if hold.kind}
            if step.state.open_holds:
                assert any(name in said.zh for name in named)


def test_a_deadline_of_another_calendar_is_not_explained_away() -> None:
    life = next(life for life in LIVES if life.states[-1].deadline and not life.states[-1].provisional)
    rows = change_rows(life)
    rows[-1]["deadline"] += 1
    said = words.why(LIFECYCLE_V1, replay(MACHINE, case_row_of(life), rows)[-1].state, CALENDAR)
    assert "链上的截止时间为准" in said.zh


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows[1].update(transition=999, kind="moved"),
        lambda rows: rows[1].update(version=9),
        lambda rows: rows[1].update(stage=45),
        lambda rows: rows.pop(0),
        lambda rows: rows[1].update(kind="resumed", hold=9),
        lambda rows: rows[0].update(kind="reversed"),
    ],
)
def test_events_that_do_not_follow_each_other_are_refused(damage: Any) -> None:
    life = next(life for life in LIVES if len(life.changes) > 3 and life.changes[1].kind == "moved")
    rows = change_rows(life)
    damage(rows)
    with pytest.raises(CaseIndexDamaged):
        replay(MACHINE, case_row_of(life), rows)


def test_a_case_without_events_stands_where_its_import_put_it() -> None:
    life = LIVES[0]
    first = life.states[0]
    row = {"since": first.since, "clock_start": first.clock.start, "deadline": first.deadline}
    state = unmoved(MACHINE, case_row_of(life) | row)
    assert (state.version, state.stage, state.deadline) == (1, 1, life.states[0].deadline)
    assert words.why(LIFECYCLE_V1, state, CALENDAR).en.startswith("triage")


def test_the_lifecycle_as_data_has_every_part_with_both_labels() -> None:
    shown = words.lifecycle(LIFECYCLE_V1, 3)
    assert shown["policy"] == 3
    assert len(shown["stages"]) == len(LIFECYCLE_V1.stages)
    assert len(shown["transitions"]) == len(LIFECYCLE_V1.transitions)
    parts = [*shown["stages"], *shown["transitions"], *shown["pauses"], *shown["products"]]
    assert all(part["label"]["zh"] and part["label"]["en"] for part in parts)
    filed = next(one for one in shown["transitions"] if one["name"] == "filed")
    assert filed["by"] == ["court"]
    assert filed["court"] == "sets"
    assert filed["article"]["zh"] == "《民事诉讼法》（2023）第126条"
