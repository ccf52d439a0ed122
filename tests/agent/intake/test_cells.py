"""Amounts, dates, words: what is read, and what is refused rather than guessed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.intake import cells
from agent.intake.cells import EPOCH_1900, EPOCH_1904, Cell, Odd
from agent.intake.rules import RULES, Defect
from protocol.case_row import Product, Reachability
from tests.support.intake import TODAY

AMOUNTS: list[tuple[Cell, int]] = [
    ("0", 0),
    ("12345.67", 1234567),
    ("12,345.67", 1234567),
    ("１２，３４５．６７", 1234567),
    ("¥12345.6", 1234560),
    ("￥12,345", 1234500),
    ("12345.67元", 1234567),
    ("人民币 100 元", 10000),
    (" 100.00 ", 10000),
    ("'100", 10000),
    ("100.", 10000),
    ("100.500", 10050),
    ("-0.00", 0),
    ("\u3000100\u3000", 10000),
    ("1000000000000", 10**14),
    (Odd("n", "12345.67"), 1234567),
    (Odd("n", "0.1"), 10),
    (Odd("n", "0.30000000000000004"), 30),
    (Odd("n", "1234.5600000000001"), 123456),
    (Odd("n", "1E5"), 10_000_000),
    (Odd("n", "1.2E-1"), 12),
    (Odd("d", "12345678901.23"), 1234567890123),
]
NO_AMOUNTS: list[tuple[Cell, str]] = [
    (None, "required"),
    ("  ", "required"),
    ("'", "required"),
    ("12.345", "amount-decimals"),
    ("1,23.00", "amount-format"),
    ("12,34,567", "amount-format"),
    ("三千元", "amount-format"),
    ("1万", "amount-format"),
    ("1.2E+05", "amount-digits"),
    ("(100)", "amount-format"),
    ("-1.00", "amount-negative"),
    ("1 000", "amount-format"),
    ("=1+1", "amount-format"),
    ("1000000000000.01", "amount-large"),
    ("9" * 30, "amount-large"),
    ("1.0.0", "amount-format"),
    ("+5", "amount-format"),
    ("NaN", "amount-format"),
    ("∞", "amount-format"),
    (Odd("n", "-3"), "amount-negative"),
    (Odd("n", "12.345"), "amount-decimals"),
    (Odd("n", "12345678901234.56"), "amount-digits"),
    (Odd("n", "12345678901234"), "amount-large"),
    (Odd("n", "123456789012.3456789"), "amount-digits"),
    (Odd("n", "NaN"), "amount-format"),
    (Odd("n", "1e999"), "amount-large"),
    (Odd("n", "x"), "amount-digits"),
    (Odd("f", "100"), "formula"),
    (Odd("e", "#REF!"), "error-value"),
    (Odd("b", "1"), "cell-type"),
    (Odd("t", "2025-01-01"), "amount-format"),
    (Odd("x", "[]"), "cell-type"),
    (Odd("n", "1e-400"), "amount-decimals"),
    (Odd("d", "0.001"), "amount-decimals"),
    (Odd("d", "1" * 400), "amount-large"),
]


@pytest.mark.parametrize(("cell", "fen"), AMOUNTS)
def test_an_amount_is_read_exactly(cell: Cell, fen: int) -> None:
    assert cells.fen_of(cell, "total") == fen


@pytest.mark.parametrize(("cell", "rule"), NO_AMOUNTS)
def test_what_is_no_amount_is_named(cell: Cell, rule: str) -> None:
    found = cells.fen_of(cell, "total")
    assert isinstance(found, Defect)
    assert found.rule == rule


@given(st.integers(0, 10**14))
def test_every_amount_survives_text_grouping_and_a_double(fen: int) -> None:
    plain = f"{fen // 100}.{fen % 100:02d}"
    assert cells.fen_of(plain, "total") == fen
    assert cells.fen_of(f"{fen // 100:,}.{fen % 100:02d}", "total") == fen
    assert cells.fen_of(Odd("d", plain), "total") == fen
    if len(str(fen)) <= 15:
        assert cells.fen_of(Odd("n", repr(float(Decimal(plain)))), "total") == fen


@given(st.text(max_size=40) | st.decimals(allow_nan=True).map(str))
def test_any_text_is_an_amount_or_a_known_defect(text: str) -> None:
    for cell in (text, Odd("n", text), Odd("d", text)):
        found = cells.fen_of(cell, "total")
        assert isinstance(found, int) or found.rule in RULES


DATES: list[Cell] = [
    "2025-03-01",
    "2025/3/1",
    "2025.3.1",
    "20250301",
    "2025年3月1日",
    "２０２５－０３－０１",
    "2025-03-01 00:00:00",
    "2025-03-01T00:00",
    " 2025-03-01 ",
    "'2025-03-01",
    Odd("n", "45717"),
    Odd("n", "45717.0"),
    Odd("n", "45717.75"),
    Odd("n", "20250301"),
    Odd("t", "2025-03-01"),
    Odd("t", "2025-03-01T00:00:00.000"),
]
NO_DATES: list[tuple[Cell, str]] = [
    (None, "required"),
    ("03/04/2025", "date-format"),
    ("25-03-01", "date-format"),
    ("2025-02-29", "date-format"),
    ("2025-3", "date-format"),
    ("45717", "date-format"),
    ("2025-03/01", "date-format"),
    ("昨天", "date-format"),
    ("1979-12-31", "date-range"),
    ("2026-12-01", "date-future"),
    (Odd("n", "99999"), "date-future"),
    (Odd("n", "3"), "date-range"),
    (Odd("n", "-1"), "date-format"),
    (Odd("n", "1e300"), "date-format"),
    (Odd("n", "nan"), "date-format"),
    (Odd("n", "inf"), "date-format"),
    (Odd("d", "45717"), "date-format"),
    (Odd("f", "45717"), "formula"),
    (Odd("n", "20250230"), "date-format"),
    ("9999-99-99", "date-format"),
]


@pytest.mark.parametrize("cell", DATES)
def test_a_date_is_read(cell: Cell) -> None:
    assert cells.date_of(cell, "default_date", EPOCH_1900, TODAY) == date(2025, 3, 1)


@pytest.mark.parametrize(("cell", "rule"), NO_DATES)
def test_what_is_no_certain_date_is_named(cell: Cell, rule: str) -> None:
    found = cells.date_of(cell, "default_date", EPOCH_1900, TODAY)
    assert isinstance(found, Defect)
    assert found.rule == rule


def test_the_same_serial_is_four_years_later_where_days_count_from_1904() -> None:
    assert cells.date_of(Odd("n", "44255"), "default_date", EPOCH_1904, TODAY) == date(2025, 3, 1)


@given(st.dates(date(1980, 1, 1), TODAY))
def test_every_date_survives_each_form(day: date) -> None:
    serial = (day - date(1899, 12, 30)).days
    forms: list[Cell] = [
        day.isoformat(),
        f"{day:%Y%m%d}",
        f"{day.year}年{day.month}月{day.day}日",
        Odd("n", str(serial)),
    ]
    for form in forms:
        assert cells.date_of(form, "default_date", EPOCH_1900, TODAY) == day


@given(st.text(max_size=30))
def test_any_text_is_a_date_or_a_known_defect(text: str) -> None:
    for cell in (text, Odd("n", text), Odd("t", text)):
        found = cells.date_of(cell, "default_date", EPOCH_1900, TODAY)
        assert isinstance(found, date) or found.rule in RULES


TEXTS: list[tuple[Cell, str]] = [
    (" 示例甲\u3000", "示例甲"),
    ("'示例", "示例"),
    ("甲\n乙", "甲 乙"),
    ("\ufeff甲乙", "甲乙"),
    (Odd("n", "12345"), "12345"),
    (Odd("n", "12345.0"), "12345"),
    (Odd("d", "110199198501011234"), "110199198501011234"),
]
NO_TEXTS: list[tuple[Cell, str]] = [
    (None, "required"),
    ("'", "required"),
    ("a\x00b", "control-character"),
    ("a\x1bb", "control-character"),
    ("a\u202eb", "control-character"),
    ("锟斤拷", "text-damaged"),
    ("甲\ufffd", "text-damaged"),
    ("\ue003", "text-damaged"),
    ("=1+1", "formula-text"),
    ("@SUM(1)", "formula-text"),
    ("+1", "formula-text"),
    ("-1", "formula-text"),
    (" =1", "formula-text"),
    ("'=1", "formula-text"),
    ("x" * 65, "too-long"),
    ("甲" * 22, "too-long"),
    (Odd("n", "110199198501011000"), "lost-digits"),
    (Odd("n", "1.1E+17"), "lost-digits"),
    (Odd("n", "1.5"), "lost-digits"),
    (Odd("b", "1"), "cell-type"),
    (Odd("f", "x"), "formula"),
    (Odd("e", "#N/A"), "error-value"),
    (Odd("t", "2025-01-01"), "cell-type"),
]


@pytest.mark.parametrize(("cell", "text"), TEXTS)
def test_text_is_read(cell: Cell, text: str) -> None:
    assert cells.text_of(cell, "address", 64) == text


@pytest.mark.parametrize(("cell", "rule"), NO_TEXTS)
def test_text_that_cannot_stay_is_named(cell: Cell, rule: str) -> None:
    found = cells.text_of(cell, "address", 64)
    assert isinstance(found, Defect)
    assert found.rule == rule


@pytest.mark.parametrize("text", ["是", "Y", "yes", "1", "√", " 有 ", "ＹＥＳ", "TRUE"])
def test_yes(text: str) -> None:
    assert cells.yes_or_no(text, "elderly") is True


@pytest.mark.parametrize("text", ["否", "N", "no", "0", "×", "无"])
def test_no(text: str) -> None:
    assert cells.yes_or_no(text, "elderly") is False


@pytest.mark.parametrize("cell", [None, "", "  "])
def test_nothing_stated_is_neither(cell: Cell) -> None:
    assert cells.yes_or_no(cell, "elderly") is None
    assert cells.reachability_of(cell) is Reachability.NOT_STATED


@pytest.mark.parametrize("cell", ["也许", "2", Odd("n", "2"), Odd("f", "1")])
def test_other_answers_are_named(cell: Cell) -> None:
    found = cells.yes_or_no(cell, "elderly")
    assert isinstance(found, Defect)


def test_products_in_words_numbers_and_the_banks_own_terms() -> None:
    for cell in ("信用卡", "credit card", "1", Odd("n", "1"), "credit-card", "Ｃｒｅｄｉｔ Card"):
        assert cells.product_of(cell, {}) is Product.CREDIT_CARD
    own = {"尊享卡": Product.CREDIT_CARD}
    assert cells.product_of("尊享卡", own) is Product.CREDIT_CARD
    for bad in ("5", "住房贷款", "1.5", Odd("n", "0")):
        assert isinstance(cells.product_of(bad, own), Defect)


@pytest.mark.parametrize(("cell", "days"), [("0", 0), ("120", 120), ("120天", 120), (Odd("n", "120.0"), 120)])
def test_days(cell: Cell, days: int) -> None:
    assert cells.days_of(cell, "overdue_days") == days


@pytest.mark.parametrize("cell", ["-1", "1.5", "36501", "三个月", Odd("n", "1e3"), Odd("t", "x"), None])
def test_no_days(cell: Cell) -> None:
    assert isinstance(cells.days_of(cell, "overdue_days"), Defect)
