"""The template: a workbook with Chinese headings, a hidden row of column names, a page that explains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.intake.cells import Cell
from agent.intake.columns import AMOUNTS, COLUMNS
from agent.intake.rules import RULES
from agent.intake.whole import write_whole
from agent.intake.xlsx_write import DATE, MONEY, PLAIN, TEXT, WRAPPED, WrittenSheet, write_workbook
from protocol.case_row import Product

_DATES = ("contract_date", "default_date")
_WIDE = {"address": 36.0, "claims": 36.0, "identity_no": 22.0, "debtor_name": 20.0, "contract_no": 22.0}


def write_template(path: Path) -> None:
    """Writes the template; whole or not at all."""
    columns = [
        (
            _WIDE.get(column.name, 14.0),
            DATE if column.name in _DATES else MONEY if column.name in AMOUNTS
            else PLAIN if column.name == "overdue_days" else TEXT,
        )
        for column in COLUMNS
    ]  # fmt: skip
    choices: dict[int, Sequence[str]] = {
        at: ("是", "否") for at, column in enumerate(COLUMNS) if column.flag is not None
    }
    names = [column.name for column in COLUMNS]
    choices[names.index("product")] = tuple(product.label.zh for product in Product)
    choices[names.index("reachability")] = ("可联系", "失联")
    headings: list[Cell] = [column.label.zh + ("*" if column.required else "") for column in COLUMNS]
    machine: list[Cell] = [*names]
    with write_whole(path) as out:
        write_workbook(
            out,
            [
                WrittenSheet("导入 import", [machine, headings], columns, 2, 1, choices),
                WrittenSheet(
                    "说明 about", _about(), [(20, WRAPPED), (26, WRAPPED), (12, WRAPPED), (70, WRAPPED)], 1
                ),
            ],
        )


def _about() -> list[list[Cell]]:
    rows: list[list[Cell]] = [["列 column", "名称 name", "必填 required", "说明 about"]]
    for column in COLUMNS:
        required = "是 yes" if column.required else ""
        label = f"{column.label.zh} {column.label.en}"
        rows.append([label, column.name, required, f"{column.about.zh}\n{column.about.en}"])
    rows.append([])
    rows.append(
        [
            "声明 declared",
            "#行数 #rows",
            "",
            "可在数据前后另起一行：#行数、笔数、#合计、金额（合计金额列之和）",
        ]
    )
    rows.append([])
    rows.append(["规则 rules"])
    for rule in RULES.values():
        rows.append([rule.code, "", "", f"{rule.says.zh}；{rule.fix.zh}"])
    return rows
