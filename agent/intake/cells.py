"""Cells and what is read from them: text, amounts, dates, yes and no. Pure.

A format's reader gives a cell as text, as `Odd` where it is something else, or None where it is empty. Each
function here returns a value or a defect.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from agent.intake.rules import Defect, shown
from protocol.case_row import MAX_OVERDUE, Product, Reachability


class Odd(NamedTuple):
    """A cell that is not text.

    `kind`: `n` a spreadsheet's number (a double), `d` an exact decimal, `b` true or false, `t` an ISO date,
    `e` an error value, `f` a formula with its last value, `x` anything else.
    """

    kind: str
    text: str


Cell: TypeAlias = "str | Odd | None"

EPOCH_1900 = date(1899, 12, 30)
"""Serial 0 in a workbook that counts from 1900; right from 1900-03-01 on, after the day that never was."""
EPOCH_1904 = date(1904, 1, 1)
FIRST_DATE = date(1980, 1, 1)
MAX_YUAN = 10**12
_MAX_FEN = MAX_YUAN * 100
_SPREADSHEET_DIGITS = 15
_REPEATED = 1024
"""Answers kept for cells that repeat from row to row: words and days, nothing that names a person."""

_SPACES = str.maketrans(
    {
        **dict.fromkeys("\n\r\t\v\f\u3000\xa0\u2028\u2029\u2002\u2003", " "),
        **dict.fromkeys("\ufeff\u200b\u2060\u200e\u200f", ""),
    }
)
_DAMAGE = re.compile("[�\ue000-\uf8ff\U000f0000-\U0010ffff]|锟斤拷|烫烫烫|屯屯屯")
_FORMULA_LEADS = ("=", "+", "-", "@")
_SCIENTIFIC = re.compile(r"[0-9](?:\.[0-9]+)?[eE]\+?[0-9]+")
_INTEGER_LITERAL = re.compile(r"(-?[0-9]+)(?:\.0*)?")
_PLAIN_AMOUNT = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,2}))?")
_AMOUNT = re.compile(r"(-?)([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.([0-9]*))?")
_UNITS = re.compile(r"^(?:¥|RMB|CNY|人民币)\s*|\s*(?:元|圆|CNY|RMB)$", re.IGNORECASE)
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{1,2})-([0-9]{1,2})|/([0-9]{1,2})/([0-9]{1,2})|\.([0-9]{1,2})\.([0-9]{1,2})"
    r"|年([0-9]{1,2})月([0-9]{1,2})日|([0-9]{2})([0-9]{2}))"
    r"(?:[ T][0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.0+)?)?)?"
)
_DAYS = re.compile(r"([0-9]{1,6})(?:\.0+)?\s*(?:天|日|days?)?", re.IGNORECASE)


def half_width(text: str) -> str:
    """Compatibility form without surrounding space: full-width digits and signs become the usual ones."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def trimmed(text: str) -> str:
    """Without surrounding space, invisible marks, and the apostrophe by which spreadsheets mark text."""
    if not text.isprintable():
        text = text.translate(_SPACES)
    text = text.strip()
    return text[1:].strip() if text.startswith("'") else text


def raw(cell: Cell) -> str:
    """What a defect shows of a cell."""
    if cell is None:
        return ""
    return shown(cell if isinstance(cell, str) else cell.text)


def is_empty(cell: Cell) -> bool:
    """Whether nothing but space is there."""
    return cell is None or (isinstance(cell, str) and (not cell or not trimmed(cell)))


def odd_defect(cell: Odd, column: str) -> Defect | None:
    """Defect of a cell that no column takes."""
    if cell.kind == "f":
        return Defect("formula", column, raw(cell))
    if cell.kind == "e":
        return Defect("error-value", column, raw(cell))
    return Defect("cell-type", column, raw(cell)) if cell.kind in "xb" else None


def text_of(cell: Cell, column: str, limit: int) -> str | Defect:
    """Text for a column of words; never empty.

    The checks are in the order in which a person would want to hear of them.
    """
    if isinstance(cell, Odd):
        value = integer_text(cell, column)
        if isinstance(value, Defect):
            return value
    else:
        value = trimmed(cell or "")
    if not value:
        return Defect("required", column, "")
    if not value.isascii() and _DAMAGE.search(value):
        return Defect("text-damaged", column, shown(value))
    if not value.isprintable():
        return Defect("control-character", column, shown(value))
    if value.startswith(_FORMULA_LEADS):
        return Defect("formula-text", column, shown(value))
    if len(value) * 4 > limit and len(value.encode()) > limit:
        return Defect("too-long", column, shown(value), (("limit", str(limit)),))
    return value


def integer_text(cell: Odd, column: str) -> str | Defect:
    """Digits of a number cell in a column of text: a contract, an identity, a phone number."""
    if (bad := odd_defect(cell, column)) is not None:
        return bad
    found = _INTEGER_LITERAL.fullmatch(cell.text)
    digits = found[1] if found else ""
    # A spreadsheet keeps 15 digits; what looks longer was rounded when it was typed.
    if found and len(digits.lstrip("-")) <= _SPREADSHEET_DIGITS:
        return digits
    if cell.kind == "d" and found:
        return digits
    return Defect("lost-digits" if cell.kind in "nd" else "cell-type", column, raw(cell))


def scientific(text: str) -> bool:
    """Whether text is what a spreadsheet makes of a long number, like 1.1E+17."""
    return _SCIENTIFIC.fullmatch(text) is not None


def fen_of(cell: Cell, column: str) -> int | Defect:
    """Amount in fen, exactly; never negative, never rounded."""
    if isinstance(cell, Odd):
        return _fen_of_number(cell, column)
    if cell is not None and (plain := _PLAIN_AMOUNT.fullmatch(cell)) is not None:
        return int(plain[1]) * 100 + int((plain[2] or "0").ljust(2, "0"))
    value = trimmed(half_width(cell or ""))
    if not value:
        return Defect("required", column, "")
    found = _AMOUNT.fullmatch(value) or _AMOUNT.fullmatch(_UNITS.sub("", _UNITS.sub("", value)))
    if found is None:
        rule = "amount-digits" if scientific(value) else "amount-format"
        return Defect(rule, column, raw(cell))
    sign, whole, decimals = found[1], found[2].replace(",", ""), (found[3] or "").rstrip("0")
    if len(decimals) > 2:
        return Defect("amount-decimals", column, raw(cell))
    if len(whole) > 20:
        return _too_large(column, cell)
    fen = int(whole) * 100 + int(decimals.ljust(2, "0"))
    if sign and fen:
        return Defect("amount-negative", column, raw(cell))
    return fen if fen <= _MAX_FEN else _too_large(column, cell)


def _too_large(column: str, cell: Cell) -> Defect:
    return Defect("amount-large", column, raw(cell), (("limit", f"{MAX_YUAN:,}"),))


def _fen_of_number(cell: Odd, column: str) -> int | Defect:
    if (
        cell.kind == "n"
        and len(cell.text) <= 14
        and (plain := _PLAIN_AMOUNT.fullmatch(cell.text)) is not None
    ):
        return int(plain[1]) * 100 + int((plain[2] or "0").ljust(2, "0"))
    if (bad := odd_defect(cell, column)) is not None:
        return bad
    try:
        value = Decimal(cell.text)
        if cell.kind == "n":
            value = _as_shown(value)
    except (InvalidOperation, ValueError, OverflowError):
        return Defect("amount-format" if cell.kind == "t" else "amount-digits", column, raw(cell))
    if not value.is_finite():
        return Defect("amount-format", column, raw(cell))
    if value < 0:
        return Defect("amount-negative", column, raw(cell))
    if value > MAX_YUAN:
        return _too_large(column, cell)
    exponent = value.normalize().as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -2:
        return Defect("amount-decimals", column, raw(cell))
    return int(value * 100)


def _as_shown(value: Decimal) -> Decimal:
    """The decimal that a spreadsheet shows for a double: 15 digits. 0.1 + 0.2 is stored with 17.

    Raises:
        ValueError: the double is not that decimal, so digits were lost.
    """
    if len(value.as_tuple().digits) <= _SPREADSHEET_DIGITS or not value.is_finite():
        return value
    rounded = Decimal(f"{value:.{_SPREADSHEET_DIGITS - 1}e}")
    if abs(float(rounded) - float(value)) > abs(float(value)) * 4.5e-16:
        raise ValueError("digits lost")
    return rounded


@lru_cache(maxsize=16 * _REPEATED)
def date_of(cell: Cell, column: str, epoch: date, today: date) -> date | Defect:
    """A day between 1980 and today. Text must be year, month, day; numbers are a spreadsheet's serials."""
    if isinstance(cell, Odd):
        if (bad := odd_defect(cell, column)) is not None:
            return bad
        found = _day_of_text(cell.text) if cell.kind == "t" else _day_of_serial(cell, epoch)
    else:
        value = trimmed(half_width(cell or ""))
        if not value:
            return Defect("required", column, "")
        found = _day_of_text(value)
    if found is None:
        return Defect("date-format", column, raw(cell))
    if found < FIRST_DATE:
        return Defect("date-range", column, raw(cell), (("first", FIRST_DATE.isoformat()),))
    return Defect("date-future", column, raw(cell)) if found > today else found


def _day_of_text(text: str) -> date | None:
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, *rest = (int(part) for part in found.groups() if part)
    try:
        return date(year, rest[0], rest[1])
    except ValueError:
        return None


def _day_of_serial(cell: Odd, epoch: date) -> date | None:
    if cell.kind != "n":
        return None
    try:
        days = float(cell.text)
    except ValueError:
        return None
    # Eight digits are a date that lost its text form: 20250301.
    if 19_800_101 <= days <= 99_991_231:
        return _day_of_text(str(int(days))) if days == int(days) else None
    return epoch + timedelta(days=int(days)) if 1 <= days < 200_000 else None


def days_of(cell: Cell, column: str) -> int | Defect:
    """Whole days."""
    if isinstance(cell, Odd):
        if (bad := odd_defect(cell, column)) is not None:
            return bad
        value = cell.text
    else:
        value = trimmed(half_width(cell or ""))
        if not value:
            return Defect("required", column, "")
    found = _DAYS.fullmatch(value)
    if found is None or int(found[1]) > MAX_OVERDUE:
        return Defect("overdue-format", column, raw(cell))
    return int(found[1])


_YES = frozenset({"是", "有", "y", "yes", "true", "1", "1.0", "√", "✓"})
_NO = frozenset({"否", "无", "n", "no", "false", "0", "0.0", "×", "没有", "不是"})
_REACHABILITY = {
    **dict.fromkeys(("可联系", "可联", "能联系", "正常", "reachable", "yes"), Reachability.REACHABLE),
    **dict.fromkeys(
        ("失联", "无法联系", "不可联", "不可联系", "unreachable", "no"), Reachability.UNREACHABLE
    ),
    **dict.fromkeys(("未知", "不详", "unknown"), Reachability.NOT_STATED),
}
_PRODUCTS: Mapping[str, Product] = {
    **{product.label.zh: product for product in Product},
    **{product.label.en.replace(" ", ""): product for product in Product},
    **{str(int(product)): product for product in Product},
    **{product.name.lower().replace("_", "-"): product for product in Product},
    "信用卡透支": Product.CREDIT_CARD, "贷记卡": Product.CREDIT_CARD, "信用卡纠纷": Product.CREDIT_CARD,
    "小额借款": Product.SMALL_LOAN, "小额信用贷款": Product.SMALL_LOAN,
    "小微贷款": Product.MICRO_ENTERPRISE_LOAN, "小微企业贷": Product.MICRO_ENTERPRISE_LOAN,
    "小微": Product.MICRO_ENTERPRISE_LOAN, "个人经营贷款": Product.PERSONAL_BUSINESS_LOAN,
    "个人经营贷": Product.PERSONAL_BUSINESS_LOAN, "经营贷": Product.PERSONAL_BUSINESS_LOAN,
}  # fmt: skip
_CURRENCIES = frozenset({"cny", "rmb", "人民币", "人民币元", "元", "156", "¥", "cnh人民币"})


@lru_cache(maxsize=_REPEATED)
def word(cell: Cell) -> str:
    """A short word as it is looked up: width, case and space do not count."""
    text = cell.text if isinstance(cell, Odd) else cell or ""
    return trimmed(half_width(text)).replace(" ", "").lower()


@lru_cache(maxsize=_REPEATED)
def yes_or_no(cell: Cell, column: str) -> bool | Defect | None:
    """True, false, or None where nothing is stated."""
    if isinstance(cell, Odd) and cell.kind != "b" and (bad := odd_defect(cell, column)) is not None:
        return bad
    value = word(cell)
    if not value:
        return None
    if value in _YES or value in _NO:
        return value in _YES
    return Defect("flag-value", column, raw(cell))


@lru_cache(maxsize=_REPEATED)
def reachability_of(cell: Cell) -> Reachability | Defect:
    """Whether the debtor can be reached."""
    if isinstance(cell, Odd) and (bad := odd_defect(cell, "reachability")) is not None:
        return bad
    value = word(cell)
    if not value:
        return Reachability.NOT_STATED
    return _REACHABILITY.get(value, Defect("reachability-value", "reachability", raw(cell)))


def product_of(cell: Cell, own: Mapping[str, Product]) -> Product | Defect:
    """The product. `own`: the bank's words for it, from its mapping."""
    if isinstance(cell, Odd) and (bad := odd_defect(cell, "product")) is not None:
        return bad
    value = word(cell)
    if not value:
        return Defect("required", "product", "")
    found = own.get(value) or _PRODUCTS.get(value.removesuffix(".0"))
    if found is not None:
        return found
    known = "、".join(product.label.zh for product in Product)
    return Defect("product-unknown", "product", raw(cell), (("known", known),))


@lru_cache(maxsize=_REPEATED)
def currency_defect(cell: Cell) -> Defect | None:
    """None for CNY in its usual names, and for an empty cell."""
    value = word(cell)
    return None if not value or value in _CURRENCIES else Defect("currency-unknown", "currency", raw(cell))
