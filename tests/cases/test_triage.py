"""Triage: total, protective, explained (docs/spec/triage.md)."""

from __future__ import annotations

import json
import random
import time
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import triage
from cases.decision_table import Confirmation, cells
from cases.errors import DecisionInputInvalid, DecisionTableUnknown, TriageStageClosed
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from cases.triage import NEWEST, Flag, Papers, group_of, groups, steps, values_of
from cases.triage_conformance import answer
from protocol.case_row import CaseRow, Debtor, Reachability, RowFlag
from protocol.i18n import Text

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "triage.json").read_text("utf-8"))
ROWS = [row for group in VECTORS["groups"] for row in group["rows"]]
ON = date(2026, 7, 1)
PLACE = NEWEST.places
VULNERABLE = ("elderly", "hardship", "minor-guarantor")
FLAGS = (*VULNERABLE, "complaint", "fraud", "petition")

raw_inputs = st.tuples(
    *(
        st.integers(0, 2**53 - 1)
        | st.sampled_from([edge for v in item.values for edge in (v.start, max(v.start - 1, 0))])
        if item.bands
        else st.sampled_from([value.code for value in item.values])
        for item in NEWEST.inputs
    )
)


def row(**changes: Any) -> CaseRow:
    values: dict[str, Any] = {
        "owner": 7, "contract": "A-1", "product": 1, "debtor": Debtor.PERSON, "name": "某人",
        "identity": "350503199001011232", "phone": None, "address": "某地", "contract_date": "2020-01-01",
        "default_date": "2025-01-01", "principal": 1_000_000, "interest": 500_000, "fees": 0,
        "total": 1_500_000, "overdue_days": 200, "reachability": Reachability.REACHABLE,
    }  # fmt: skip
    return CaseRow(**(values | changes))


def changed(values: tuple[int, ...], name: str, code: int) -> tuple[int, ...]:
    place = PLACE[name]
    return (*values[:place], code, *values[place + 1 :])


@pytest.mark.parametrize("vector", ROWS, ids=str)
def test_every_worked_case(vector: dict[str, Any]) -> None:
    question = {name: value for name, value in vector.items() if name != "answer"}
    found = answer(json.dumps(question).encode())
    assert {name: found.get(name) for name in vector["answer"]} == vector["answer"]


def test_the_worked_cases_are_many_and_meet_every_rule() -> None:
    assert len(ROWS) >= 60
    met = {(row.get("table", "triage"), row["answer"].get("rule")) for row in ROWS}
    from cases.tracks import NEWEST as TRACKS

    assert {("triage", rule.name) for rule in NEWEST.rules} <= met
    assert {("track", rule.name) for rule in TRACKS.rules} <= met


@given(raw_inputs)
def test_every_input_gets_the_first_rule_that_fits(values: tuple[int, ...]) -> None:
    decision = NEWEST.decide(values)
    codes = [item.value_of(raw).code for item, raw in zip(NEWEST.inputs, values, strict=True)]
    fitting = [rule for rule in NEWEST.rules if all(codes[place] in fits for place, fits in rule.when)]
    assert fitting[0] is decision.rule
    assert decision.outcome.code == decision.rule.outcome


@given(raw_inputs, st.sampled_from(VULNERABLE))
def test_who_is_vulnerable_or_may_be_is_never_filed(values: tuple[int, ...], name: str) -> None:
    for code in (Flag.YES, Flag.NOT_STATED):
        assert NEWEST.decide(changed(values, name, code)).outcome.name != "filing"


@given(raw_inputs, st.sampled_from(VULNERABLE))
def test_a_vulnerability_that_becomes_known_only_protects(values: tuple[int, ...], name: str) -> None:
    """With the flag set the case comes to people, or waits for the bank's papers."""
    assert NEWEST.decide(changed(values, name, Flag.YES)).outcome.name in ("special", "completion")


@given(raw_inputs, st.sampled_from(FLAGS))
def test_silence_never_helps_towards_a_court(values: tuple[int, ...], name: str) -> None:
    if NEWEST.decide(changed(values, name, Flag.NOT_STATED)).outcome.name == "filing":
        raise AssertionError(f"filing although {name} was not stated")


@given(raw_inputs)
def test_what_is_adverse_or_suspicious_needs_a_person(values: tuple[int, ...]) -> None:
    decision = NEWEST.decide(values)
    if decision.outcome.adverse or decision.rule.name == "fraud-signs":
        assert decision.confirm is Confirmation.PERSON
    assert decision.confirm is not Confirmation.NONE


def test_filing_is_the_only_adverse_outcome_and_every_outcome_names_a_human() -> None:
    assert [one.name for one in NEWEST.outcomes.values() if one.adverse] == ["filing"]
    for outcome in NEWEST.outcomes.values():
        assert outcome.human.zh
        assert outcome.human.en
        assert outcome.plain.zh


@pytest.mark.parametrize("bad", [-1, 2**53, "3", None, 1.5])
def test_a_value_that_is_none_is_refused(bad: Any) -> None:
    values = (0, 0, 1, 100, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    with pytest.raises(DecisionInputInvalid):
        NEWEST.decide(changed(values, "amount", bad) if bad != 1.5 else changed(values, "elderly", bad))
    with pytest.raises(DecisionInputInvalid):
        NEWEST.decide(values[:-1])
    with pytest.raises(DecisionInputInvalid):
        NEWEST.decide((*values, 0))


# from a row


def test_a_flag_has_three_answers() -> None:
    stated = RowFlag.HARDSHIP | RowFlag.FRAUD_SIGNS
    values = values_of(row(flags_stated=stated, flags=RowFlag.HARDSHIP), on=ON)
    assert [values[PLACE[name]] for name in FLAGS] == [0, 1, 0, 0, 2, 0]


@pytest.mark.parametrize(
    ("identity", "stated", "set_", "expected"),
    [
        ("350503196607011232", False, False, Flag.YES),  # sixty today
        ("350503196607021232", False, False, Flag.NOT_STATED),  # sixty tomorrow
        ("350503196607011232", True, False, Flag.YES),  # the number knows better than the flag
        ("350503199001011232", True, False, Flag.NO),
        ("350503199001011232", True, True, Flag.YES),
        ("350503199013451232", False, False, Flag.NOT_STATED),  # no date
    ],
)
def test_age_from_the_identity_number(identity: str, stated: bool, set_: bool, expected: Flag) -> None:
    mask = RowFlag.ELDERLY if stated else RowFlag(0)
    values = values_of(row(identity=identity, flags_stated=mask, flags=mask if set_ else RowFlag(0)), on=ON)
    assert values[PLACE["elderly"]] == expected


def test_an_organisation_has_no_age_but_may_be_in_hardship() -> None:
    values = values_of(row(debtor=Debtor.ORGANISATION, identity="91350503MA2XXXXX0A"), on=ON)
    assert values[PLACE["elderly"]] == Flag.NO
    assert values[PLACE["hardship"]] == Flag.NOT_STATED


def test_a_product_that_the_table_does_not_name_goes_to_people() -> None:
    decision = triage.triage(row(product=9), on=ON)
    assert decision.rule.name == "other"


def test_like_disputes_are_counted_by_institution_and_product() -> None:
    complained = RowFlag.PRIOR_COMPLAINT
    mine = [row(flags_stated=complained, flags=complained) for _ in range(10)]
    others = [row(owner=8, flags_stated=complained, flags=complained), row(product=2), row()]
    counted = groups([*mine, *others])
    assert counted == {(7, 1): 10, (8, 1): 1}
    key = group_of(mine[0])
    assert key is not None
    assert triage.triage(mine[0], on=ON, like_disputes=counted[key]).rule.name == "group"
    assert triage.triage(mine[0], on=ON, like_disputes=9).rule.name == "complaint"
    assert group_of(row()) is None


def test_papers_that_are_missing_come_first() -> None:
    fraud = RowFlag.FRAUD_SIGNS
    decision = triage.triage(row(flags_stated=fraud, flags=fraud), on=ON, papers=Papers.INCOMPLETE)
    assert decision.outcome.name == "completion"


# what follows


@pytest.mark.parametrize("outcome", NEWEST.outcomes.values(), ids=lambda one: one.name)
def test_steps_lead_from_every_stage_of_triage_to_one_place(outcome: Any) -> None:
    for stage in (StageCode.IMPORTED, StageCode.COMPLETION, StageCode.ADMITTED):
        at = int(stage)
        for step in steps(outcome, at):
            assert at in step.sources
            at = step.target
        assert LIFECYCLE_V1.stages[at].name == {
            "special": "SPECIAL", "completion": "COMPLETION", "central": "CENTRAL",
            "mediation": "MED_OFFERED", "filing": "TRANSFERRED",
        }[outcome.name]  # fmt: skip


def test_a_case_that_is_under_way_is_not_triaged_again() -> None:
    with pytest.raises(TriageStageClosed):
        steps(NEWEST.by_name["central"], StageCode.MEDIATING)
    with pytest.raises(DecisionTableUnknown):
        triage.table(99)


def test_explanation_in_both_languages_names_rule_inputs_and_article() -> None:
    decision = triage.triage(row(reachability=Reachability.UNREACHABLE), on=ON)
    zh, en = decision.explain("zh"), decision.explain("en")
    assert "规则 11" in zh
    assert "联系不上" in zh
    assert "《民事诉讼法》（2023）第124条" in zh
    assert "Rule 11" in en
    assert "Civil Procedure Law (2023) Art. 124" in en
    assert decision.used == ("completed", "reachability")


def test_explanation_says_what_was_not_stated_and_matters() -> None:
    decision = triage.triage(row(), on=ON)
    assert decision.outcome.name == "central"
    assert "hardship" in decision.open_questions()
    assert "生活困难" in decision.explain("zh")
    told = tuple(
        Flag.NO if value == 0 and name in FLAGS else value
        for name, value in zip(PLACE, decision.values, strict=True)
    )
    assert NEWEST.decide(changed(told, "papers", 1)).open_questions() == ()


def test_no_value_of_a_person_is_in_an_explanation() -> None:
    decision = triage.triage(row(name="张三", contract="CC-778899"), on=ON)
    text = decision.explain("zh") + decision.explain("en") + repr(decision.rule)
    for secret in ("张三", "778899", "350503199001011232", "1,500,000", "1500000", "15000"):
        assert secret not in text


def test_guarantees_hold_cell_by_cell_near_their_borders() -> None:
    """The linter shows them by boxes; here every cell of one rule that files is walked."""
    place = next(i for i, rule in enumerate(NEWEST.rules) if rule.name == "unreachable-filing")
    count = 0
    for box in NEWEST.reached(place):
        for values in cells(NEWEST, box):
            count += 1
            assert NEWEST.decide(values).rule.name == "unreachable-filing"
            for name in FLAGS:
                assert values[PLACE[name]] == Flag.NO
    assert count > 50


def test_fifty_thousand_decisions_a_second() -> None:
    """A fair reach on one core is many times that; the floor here bears a busy machine."""
    dice = random.Random(5)  # noqa: S311
    inputs = [
        tuple(
            dice.randrange(0, 10**8) if item.bands else dice.choice(item.values).code
            for item in NEWEST.inputs
        )
        for _ in range(20_000)
    ]
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        counted = triage.decide_all(inputs)
        best = max(best, len(inputs) / (time.process_time() - start))
    assert sum(counted.values()) == len(inputs)
    assert best > 50_000


def test_product_of_flags_is_total() -> None:
    for flags in product((0, 1, 2), repeat=6):
        NEWEST.decide((1, 0, 1, 2_000_000, 100, 2, *flags, 0))


def test_words_are_text() -> None:
    assert all(isinstance(rule.reason, Text) for rule in NEWEST.rules)
