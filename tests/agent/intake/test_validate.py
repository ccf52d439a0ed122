"""A row gives a case row or all that is wrong with it."""

from __future__ import annotations

from datetime import date
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.intake.cells import Cell, Odd
from agent.intake.columns import NAMES, Layout
from agent.intake.rules import RULES, masked, sentence
from agent.intake.validate import Checked, RowCheck, Terms
from benchmarks.import_data import DEFECTS, SHARE, citizen, rows_of
from protocol.case_row import CaseRow, Debtor, Product, Reachability, RowFlag
from tests.support.intake import COMPANY, GOOD, OWNER, PERSON, TERMS, TODAY, good

LAYOUT = Layout(tuple(range(len(NAMES))), {}, len(NAMES))


def checked(row: dict[str, Cell] | dict[str, str], terms: Terms = TERMS) -> Checked:
    return RowCheck(LAYOUT, terms).check([row.get(name) for name in NAMES])


def rules(row: dict[str, Cell] | dict[str, str], terms: Terms = TERMS) -> list[str]:
    return [defect.rule for defect in checked(row, terms).defects]


def test_a_good_row_becomes_a_case_row() -> None:
    row = checked(GOOD).row
    assert row == CaseRow(
        OWNER, "JK-2025-0001", Product.CREDIT_CARD, Debtor.PERSON, "示例甲", PERSON, "13800138000",
        "示例省甲市人民路1号", "2024-02-29", "2025-03-01", 1_000_000, 23_456, 0, 1_023_456, 639,
        Reachability.REACHABLE,
        RowFlag.ELDERLY | RowFlag.MINOR_GUARANTOR | RowFlag.PRIOR_COMPLAINT | RowFlag.FRAUD_SIGNS,
        RowFlag.PRIOR_COMPLAINT, "偿还本金及利息",
    )  # fmt: skip
    assert CaseRow.parse(row.encode()) == row


def test_an_organisation_owes_by_its_credit_code() -> None:
    row = checked(
        good(product="小微企业贷款", identity_no=COMPANY.lower(), debtor_name="示例（甲市）商贸1部")
    ).row
    assert row is not None
    assert (row.debtor, row.identity) == (Debtor.ORGANISATION, COMPANY)


BROKEN: list[tuple[dict[str, Cell], list[str]]] = [
    ({"contract_no": None}, ["required"]),
    ({"contract_no": "A|B"}, ["contract-format"]),
    ({"contract_no": "#17"}, ["contract-format"]),
    ({"contract_no": "1.2E+15"}, ["lost-digits"]),
    ({"contract_no": "JK" * 40}, ["too-long"]),
    ({"debtor_name": "甲"}, ["name-format"]),
    ({"debtor_name": "示例1"}, ["name-format"]),
    ({"debtor_name": "<b>甲</b>"}, ["name-format"]),
    ({"identity_no": "1.1E+17"}, ["lost-digits"]),
    ({"identity_no": "110199198501011000"}, ["lost-digits"]),
    ({"identity_no": Odd("n", "1.1019919850101101E+17")}, ["lost-digits"]),
    ({"identity_no": "110199850101123"}, ["identity-old"]),
    ({"identity_no": PERSON[:-1]}, ["identity-length"]),
    ({"identity_no": PERSON[:-2] + "OO"}, ["identity-characters"]),
    ({"identity_no": "00" + PERSON[2:]}, ["identity-region"]),
    ({"identity_no": PERSON[:10] + "13" + PERSON[12:]}, ["identity-birth"]),
    ({"identity_no": PERSON[:-1] + ("0" if PERSON[-1] != "0" else "1")}, ["identity-checksum"]),
    ({"identity_no": COMPANY[:-1] + ("0" if COMPANY[-1] != "0" else "1")}, ["credit-code-checksum"]),
    ({"identity_no": COMPANY}, ["debtor-kind"]),
    ({"phone": "010-12345678"}, ["phone-format"]),
    ({"phone": "1.38E+10"}, ["lost-digits"]),
    ({"phone": None}, ["phone-missing"]),
    ({"address": "甲市"}, ["address-short"]),
    ({"contract_date": "2025-03-02"}, ["date-order"]),
    ({"contract_date": "2003-05-31", "default_date": "2004-01-01"}, ["debtor-minor"]),
    ({"total": "10234.57"}, ["amount-sum"]),
    ({"principal": "0", "interest": "0", "total": "0"}, ["amount-zero"]),
    ({"currency": "USD"}, ["currency-unknown"]),
    ({"overdue_days": "x"}, ["overdue-format"]),
    ({"petition": "x"}, ["flag-value"]),
    ({"reachability": "x"}, ["reachability-value"]),
    ({"claims": "=cmd"}, ["formula-text"]),
    ({"total": None}, ["required"]),
    ({"product": "9", "phone": "1", "total": "x"}, ["product-unknown", "phone-format", "amount-format"]),
]


@pytest.mark.parametrize(("changes", "expected"), BROKEN)
def test_all_defects_of_a_row_are_listed(changes: dict[str, Cell], expected: list[str]) -> None:
    found = checked({**GOOD, **changes})
    assert [defect.rule for defect in found.defects] == expected
    assert found.row is None


def test_an_empty_row_lists_every_required_column() -> None:
    found = checked({})
    assert {d.column for d in found.defects if d.rule == "required"} == {
        "contract_no", "product", "debtor_name", "identity_no", "address", "contract_date", "default_date",
        "principal", "interest", "fees", "total", "overdue_days",
    }  # fmt: skip


def test_an_unreachable_debtor_needs_no_phone() -> None:
    row = checked(good(phone="", reachability="失联")).row
    assert row is not None
    assert row.phone is None


@pytest.mark.parametrize(
    "phone", ["+86 138 0013 8000", "86-13800138000", "１３８００１３８０００", "'13800138000"]
)
def test_phones_are_brought_to_one_form(phone: str) -> None:
    row = checked(good(phone=phone)).row
    assert row is not None
    assert row.phone == "13800138000"


def test_overdue_days_are_compared_where_their_day_is_stated() -> None:
    terms = Terms(OWNER, TODAY, as_of=date(2026, 11, 30))
    assert rules(GOOD, terms) == []
    assert rules(good(overdue_days="640"), terms) == ["overdue-mismatch"]
    assert rules(good(overdue_days="640")) == []


def test_a_debtor_older_than_possible_is_refused() -> None:
    old = citizen(Random(1), date(1890, 1, 1))  # noqa: S311 - test data
    assert rules(good(identity_no=old)) == ["identity-birth"]


def test_a_csv_row_of_another_width_is_no_row() -> None:
    check = RowCheck(LAYOUT, TERMS, ragged=True)
    cells: list[Cell] = [GOOD[name] for name in NAMES]
    assert check.check(cells).row is not None
    assert check.check([*cells, None, None]).row is not None
    for bad in (cells[:-1], [*cells, "x"]):
        assert [d.rule for d in check.check(bad).defects] == ["row-cells"]


def test_the_total_and_the_contract_of_a_defective_row_are_known() -> None:
    found = checked(good(phone="1"))
    assert (found.total, found.contract) == (1_023_456, "JK-2025-0001")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_rule_has_words_and_a_sentence_names_row_column_value_rule_and_fix(lang: str) -> None:
    found = checked(good(total="10234.57", identity_no="110199850101123"))
    for defect in found.defects:
        text = sentence(defect, LAYOUT, "zh" if lang == "zh" else "en", row=12)
        assert "12" in text
        assert f"[{defect.rule}]" in text
        assert defect.value in text
        heading, letter = LAYOUT.place(defect.column, "zh" if lang == "zh" else "en")
        assert heading in text
        assert letter in text
        assert RULES[defect.rule].fix.choose("zh" if lang == "zh" else "en") in text


def test_there_are_more_than_twenty_kinds_and_the_generator_meets_each_of_its_own() -> None:
    assert len(RULES) >= 20
    assert len(DEFECTS) >= 20
    seen: set[str] = set()
    wrong = 0
    for row, kind in rows_of(1, 4000):
        found = rules(row)
        if kind is None:
            assert found == []
        else:
            wrong += 1
            seen.add(kind)
            assert kind in found or (kind == "identity-checksum" and found == ["credit-code-checksum"]), (
                kind,
                found,
            )
    assert seen == set(DEFECTS)
    assert 0.5 * SHARE < wrong / 4000 < 2 * SHARE


CELLS = st.none() | st.text(max_size=30) | st.builds(Odd, st.sampled_from("ndbtefx"), st.text(max_size=20))


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, CELLS)))
def test_any_row_gives_a_case_row_or_defects_with_known_rules(changes: dict[str, Cell]) -> None:
    found = checked({**GOOD, **changes})
    assert (found.row is None) == bool(found.defects)
    for defect in found.defects:
        assert defect.column in (*NAMES, "")
        for lang in ("zh", "en"):
            sentence(defect, LAYOUT, lang, row=1)
    if found.row is not None:
        assert CaseRow.parse(found.row.encode()) == found.row


@given(st.sampled_from(NAMES), st.text(min_size=7, max_size=40))
def test_a_masked_value_does_not_hold_the_value(column: str, value: str) -> None:
    if column not in {"product", "currency", "overdue_days", "reachability", "contract_date", "default_date"}:
        assert value not in masked(column, value)
