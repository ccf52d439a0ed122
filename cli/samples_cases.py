"""A bank's list of cases for the demo: 200 rows, seven of them defective in seven ways, invented.

Nothing belongs to a person: identity numbers carry region 110199, which was never assigned.
"""

from __future__ import annotations

import csv
import datetime
from collections.abc import Callable
from pathlib import Path

from agent.intake.columns import COLUMNS
from agent.intake.identity import citizen_check, organisation_check

ROWS = 200
_SURNAMES = "赵钱孙李周吴郑王冯陈"
_PRODUCTS = ("信用卡", "小额贷款", "小微企业贷款", "个人经营性贷款")
Row = dict[str, str]


def _sum_off(row: Row) -> None:
    row["total"] = row["total"][:-1] + ("1" if row["total"][-1] != "1" else "2")


def _wrong_digit(row: Row) -> None:
    number = row["identity_no"]
    row["identity_no"] = number[:-2] + str((int(number[-2], 36) + 1) % 10) + number[-1]


def _put(name: str, value: str) -> Callable[[Row], None]:
    def change(row: Row) -> None:
        row[name] = value

    return change


DEFECTS: dict[int, Callable[[Row], None]] = {
    17: _wrong_digit,
    42: _sum_off,
    61: _put("phone", "010-12345678"),
    88: _put("default_date", "2099-01-01"),
    119: _put("product", "住房贷款"),
    150: _put("currency", "USD"),
    173: _put("address", ""),
}
"""By the row's number, from 1."""


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def row_of(number: int, today: datetime.date, series: str) -> Row:
    """The row of this number, its defect included. `series` is in its contract number: a list of its own."""
    product = _PRODUCTS[number % len(_PRODUCTS)]
    overdue = 60 + 7 * (number % 40)
    broken = today - datetime.timedelta(days=overdue)
    signed = broken - datetime.timedelta(days=400)
    name = f"{_SURNAMES[number % 10]}示例"
    first = f"110199{1960 + number % 40}0{1 + number % 9}1{number % 10}{number % 1000:03d}"
    identity = first + citizen_check(first)
    if product == "小微企业贷款":
        name, first = f"示例{number}号商贸有限公司", f"91110199MA{number:07d}"
        identity = first + organisation_check(first)
    parts = (200_000 + 13_700 * number, 900 * number, 5_000)
    row = {
        "contract_no": f"JX-{series}-{number:06d}",
        "product": product,
        "debtor_name": name,
        "identity_no": identity,
        "phone": f"13{number:09d}",
        "address": f"示例省甲市人民路{number}号",
        "contract_date": signed.isoformat(),
        "default_date": broken.isoformat(),
        **dict(zip(("principal", "interest", "fees"), map(_yuan, parts), strict=True)),
        "total": _yuan(sum(parts)),
        "currency": "人民币",
        "overdue_days": str(overdue),
        "claims": "请求偿还本金、利息及费用",
        "reachability": "失联" if number % 5 == 0 else "可联系",
    }
    for flag in (column for column in COLUMNS if column.flag is not None):
        row[flag.name] = "是" if (number + int(flag.flag or 0)) % 23 == 0 else "否"
    if number in DEFECTS:
        DEFECTS[number](row)
    return row


def write(path: Path, today: datetime.date, series: str) -> Path:
    """The file as a bank's spreadsheet program in China saves CSV: GB18030."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="gb18030", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([column.label.zh for column in COLUMNS])
        for number in range(1, ROWS + 1):
            row = row_of(number, today, series)
            writer.writerow([row[column.name] for column in COLUMNS])
    return path
