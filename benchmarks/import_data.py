"""Seeded files for imports: several banks, 3 % of the rows defective in more than 20 ways, every format.

Nothing here belongs to a person: names and numbers are made up by the generator.
"""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from agent.intake.cells import Cell, Odd
from agent.intake.columns import COLUMNS, NAMES
from agent.intake.identity import citizen_check, organisation_check
from agent.intake.xlsx_write import WrittenSheet, write_workbook

Format = Literal["xlsx", "csv", "jsonl"]
Row = dict[str, str]
SHARE = 0.03
TODAY = datetime.date(2026, 11, 30)
_EPOCH = datetime.date(1899, 12, 30)
_SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰涛明超秀兰霞平刚桂英华玉萍红娥玲辉鹏"
_CITIES = ("甲市", "乙市", "丙市", "丁市")
_STREETS = ("人民路", "解放路", "建设大道", "中山街", "和平里")
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_PRODUCTS = ("信用卡", "小额贷款", "小微企业贷款", "个人经营性贷款")


def citizen(dice: Random, born: datetime.date) -> str:
    """A number that the checks accept and nobody has: region 110199 was never assigned."""
    first = f"110199{born:%Y%m%d}{dice.randrange(1000):03d}"
    return first + citizen_check(first)


def organisation(dice: Random) -> str:
    """A credit code that the checks accept, of a region that was never assigned."""
    first = "91110199" + "".join(dice.choice(_ALPHABET) for _ in range(9))
    return first + organisation_check(first)


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def good_row(dice: Random, bank: int, number: int) -> Row:
    """One row without defect."""
    product = dice.choice(_PRODUCTS)
    signed = datetime.date(2019, 1, 1) + datetime.timedelta(days=dice.randrange(1500))
    broken = signed + datetime.timedelta(days=dice.randrange(30, 1000))
    name = dice.choice(_SURNAMES) + "".join(dice.choice(_GIVEN) for _ in range(dice.choice((1, 2))))
    number_of = citizen(dice, datetime.date(1950, 1, 1) + datetime.timedelta(days=dice.randrange(18000)))
    if product == "小微企业贷款":
        name, number_of = f"示例{name}（甲市）商贸有限公司", organisation(dice)
    amounts = [dice.randrange(100_000, 50_000_000), dice.randrange(0, 2_000_000), dice.randrange(0, 200_000)]
    row = {
        "contract_no": f"B{bank}-{signed.year}-{number:07d}",
        "product": product,
        "debtor_name": name,
        "identity_no": number_of,
        "phone": f"1{dice.choice('3456789')}{dice.randrange(10**9):09d}",
        "address": f"示例省{dice.choice(_CITIES)}{dice.choice(_STREETS)}{dice.randrange(1, 999)}号",
        "contract_date": signed.isoformat(),
        "default_date": broken.isoformat(),
        **{name: _yuan(fen) for name, fen in zip(("principal", "interest", "fees"), amounts, strict=True)},
        "total": _yuan(sum(amounts)),
        "currency": "人民币",
        "overdue_days": str((TODAY - broken).days),
        "claims": "判令偿还本金、利息及费用",
        "reachability": dice.choice(("可联系", "可联系", "可联系", "失联", "")),
    }
    for flag in COLUMNS[-6:]:
        row[flag.name] = dice.choice(("否", "否", "否", "是", ""))
    return row


def _set(name: str, value: str) -> Callable[[Row], None]:
    def change(row: Row) -> None:
        row[name] = value

    return change


def _wrong_digit(row: Row) -> None:
    number = row["identity_no"]
    row["identity_no"] = number[:-2] + str((int(number[-2], 36) + 1) % 10) + number[-1]


def _sum_off(row: Row) -> None:
    row["total"] = _yuan(int(row["total"].replace(".", "")) + 1)


def _unreachable(row: Row) -> None:
    row["phone"], row["reachability"] = "", "可联系"


DEFECTS: dict[str, Callable[[Row], None]] = {
    "required": _set("address", ""),
    "identity-checksum": _wrong_digit,
    "identity-old": _set("identity_no", "110199850101123"),
    "identity-length": _set("identity_no", "1101991985010112"),
    "identity-characters": _set("identity_no", "1101991985O1O11234"),
    "identity-region": _set("identity_no", "990199198501011234"),
    "identity-birth": _set("identity_no", "110199198513011234"),
    "lost-digits": _set("identity_no", "1.10199E+17"),
    "phone-format": _set("phone", "010-12345678"),
    "phone-missing": _unreachable,
    "product-unknown": _set("product", "住房贷款"),
    "date-format": _set("default_date", "03/04/2025"),
    "date-future": _set("default_date", "2099-01-01"),
    "date-order": _set("default_date", "1999-01-01"),
    "date-range": _set("contract_date", "1920-01-01"),
    "amount-format": _set("interest", "三千元整"),
    "amount-decimals": _set("fees", "12.345"),
    "amount-negative": _set("fees", "-12.00"),
    "amount-sum": _sum_off,
    "currency-unknown": _set("currency", "USD"),
    "overdue-format": _set("overdue_days", "约三个月"),
    "flag-value": _set("petition", "也许"),
    "reachability-value": _set("reachability", "有时"),
    "formula-text": _set("address", "=HYPERLINK(0,1)"),
    "name-format": _set("debtor_name", "A"),
    "text-damaged": _set("claims", "锟斤拷"),
}


@dataclass(frozen=True)
class Made:
    """A generated file."""

    path: Path
    bank: int
    rows: int
    defective: int
    fen: int
    """Sum of the totals of all rows."""


def rows_of(bank: int, count: int, seed: int = 20261130) -> Iterator[tuple[Row, str | None]]:
    """Rows and the defect put into each, None for most. The same for the same arguments."""
    dice = Random(seed * 100 + bank)  # noqa: S311 - test data
    kinds = list(DEFECTS)
    turn = 0
    for number in range(1, count + 1):
        row = good_row(dice, bank, number)
        kind = None
        if dice.random() < SHARE:
            kind = kinds[turn % len(kinds)]
            turn += 1
            DEFECTS[kind](row)
        yield row, kind


def make(
    path: Path, bank: int, count: int, form: Format, encoding: str = "utf-8", seed: int = 20261130
) -> Made:
    """Writes one bank's file."""
    defective = fen = 0

    def counted() -> Iterator[Row]:
        nonlocal defective, fen
        for row, kind in rows_of(bank, count, seed):
            defective += kind is not None
            fen += int(row["total"].replace(".", ""))
            yield row

    headings = [column.label.zh for column in COLUMNS]
    if form == "csv":
        with path.open("w", encoding=encoding, newline="") as out:
            writer = csv.writer(out)
            writer.writerow(headings)
            writer.writerows([row[name] for name in NAMES] for row in counted())
    elif form == "jsonl":
        with path.open("w", encoding=encoding) as out:
            for row in counted():
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    else:
        with path.open("wb") as target:
            body = ([_cell(name, row[name]) for name in NAMES] for row in counted())
            write_workbook(target, [WrittenSheet("明细", _with_headings(headings, body), shared=True)])
    return Made(path, bank, count, defective, fen)


def _with_headings(headings: list[str], rows: Iterator[list[Cell]]) -> Iterator[list[Cell]]:
    yield [*headings]
    yield from rows


def _cell(name: str, value: str) -> Cell:
    """As a spreadsheet would hold it: amounts and days as numbers, dates as serials."""
    if not value:
        return None
    if name in ("principal", "interest", "fees", "total", "overdue_days"):
        try:
            return Odd("n", repr(float(value)).removesuffix(".0"))
        except ValueError:
            return value
    if name in ("contract_date", "default_date"):
        try:
            return Odd("n", str((datetime.date.fromisoformat(value) - _EPOCH).days))
        except ValueError:
            return value
    return value
