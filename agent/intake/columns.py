"""The columns of an import: names, headings, and which cell of a file's row is which.

`name` is stable: it stands in the template's hidden row, in JSON lines, in saved mappings and in reports.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.intake.errors import ColumnsMissing, HeadingRepeated
from protocol.case_row import Product, RowFlag
from protocol.i18n import Language, Text

MAX_COLUMNS = 256
HEADING_ROWS = 20
"""Headings are looked for in so many rows from the top."""
_ENOUGH = 6
ERRORS_HEADING = "错误 errors"
ERRORS_NAME = "errors"


@dataclass(frozen=True)
class Column:
    """One column. `aliases` are further headings that banks use, in the form that `folded` gives."""

    name: str
    label: Text
    required: bool
    about: Text
    aliases: tuple[str, ...] = ()
    flag: RowFlag | None = None


def _c(name: str, zh: str, en: str, required: bool, about: Text, *aliases: str) -> Column:
    return Column(name, Text(zh, en), required, about, aliases)


def _flag(name: str, zh: str, en: str, flag: RowFlag, *aliases: str) -> Column:
    about = Text("是 或 否；空白为未说明", "yes or no; empty is not stated")
    return Column(name, Text(zh, en), False, about, aliases, flag)


_DATE = Text(
    "2025-03-01、2025/3/1、20250301、2025年3月1日，或表格的日期格",
    "2025-03-01, 2025/3/1, 20250301, 2025年3月1日, or a date cell of the spreadsheet",
)
_AMOUNT = Text("元，至多两位小数；可带千分位", "yuan with at most two decimals; grouping commas are fine")
_PRODUCTS = "、".join(product.label.zh for product in Product)
_PRODUCTS_EN = ", ".join(product.label.en for product in Product)

COLUMNS: tuple[Column, ...] = (
    _c(
        "contract_no",
        "合同编号",
        "contract number",
        True,
        Text(
            "贵行的编号，在一份文件和历次导入中各不相同", "your own number; once in a file and in all imports"
        ),
        "合同号",
        "借款合同编号",
        "借据号",
        "借据编号",
        "账户编号",
        "contractno",
    ),
    _c(
        "product",
        "产品类型",
        "product",
        True,
        Text(f"{_PRODUCTS}（或 1 至 4）", f"{_PRODUCTS_EN} (or 1 to 4)"),
        "产品",
        "贷款类型",
        "业务品种",
        "业务类型",
    ),
    _c(
        "debtor_name",
        "债务人姓名或名称",
        "debtor name",
        True,
        Text("与证件一致", "as on the identity document"),
        "姓名",
        "客户姓名",
        "客户名称",
        "借款人",
        "借款人姓名",
        "债务人",
        "债务人姓名",
        "持卡人",
    ),
    _c(
        "identity_no",
        "证件号码",
        "identity number",
        True,
        Text(
            "居民身份证 18 位，或统一社会信用代码 18 位；须为文本格",
            "18 characters: resident identity or unified social credit code; a text cell",
        ),
        "身份证号",
        "身份证号码",
        "证件号",
        "统一社会信用代码",
        "客户证件号码",
        "idnumber",
    ),
    _c(
        "phone",
        "手机号码",
        "mobile number",
        False,
        Text("11 位；联系状态为失联时可空", "11 digits; may be empty where the debtor is not reachable"),
        "手机",
        "手机号",
        "联系电话",
        "电话",
        "预留手机号",
        "mobile",
    ),
    _c(
        "address",
        "联系地址",
        "address",
        True,
        Text("送达用", "for service of documents"),
        "地址",
        "住址",
        "通讯地址",
        "户籍地址",
        "送达地址",
    ),
    _c(
        "contract_date",
        "合同签订日期",
        "contract date",
        True,
        _DATE,
        "签约日期",
        "合同日期",
        "签订日期",
        "发卡日期",
        "放款日期",
    ),
    _c("default_date", "违约日期", "default date", True, _DATE, "逾期日期", "首次逾期日期", "逾期起始日"),
    _c("principal", "本金", "principal", True, _AMOUNT, "欠款本金", "本金余额", "剩余本金"),
    _c("interest", "利息", "interest", True, _AMOUNT, "欠息", "利息余额", "利息及罚息", "应收利息"),
    _c("fees", "费用", "fees", True, _AMOUNT, "手续费", "违约金及费用", "其他费用"),
    _c(
        "total",
        "合计金额",
        "total",
        True,
        Text("元；须等于本金、利息、费用之和", "yuan; exactly principal, interest and fees together"),
        "总额",
        "总金额",
        "欠款总额",
        "诉求金额",
        "标的额",
        "totalamount",
    ),
    _c("currency", "币种", "currency", False, Text("人民币；空白同", "CNY; empty means the same"), "货币"),
    _c("overdue_days", "逾期天数", "days overdue", True, Text("整数", "a whole number"), "逾期天"),
    _c(
        "claims",
        "诉求",
        "claims",
        False,
        Text("至多 1000 字", "at most 1,000 characters"),
        "诉讼请求",
        "请求事项",
        "诉求内容",
    ),
    _c(
        "reachability",
        "联系状态",
        "reachability",
        False,
        Text("可联系 或 失联；空白为未说明", "reachable or unreachable; empty is not stated"),
        "可联状态",
        "联络状态",
    ),
    _flag("elderly", "老年", "elderly", RowFlag.ELDERLY, "老年人", "是否老年"),
    _flag("hardship", "生活困难", "hardship", RowFlag.HARDSHIP, "困难", "是否困难"),
    _flag("minor_guarantor", "未成年担保人", "minor guarantor", RowFlag.MINOR_GUARANTOR, "担保人未成年"),
    _flag("prior_complaint", "曾投诉", "complained before", RowFlag.PRIOR_COMPLAINT, "投诉", "是否投诉"),
    _flag("fraud_signs", "涉嫌欺诈", "signs of fraud", RowFlag.FRAUD_SIGNS, "疑似欺诈", "欺诈"),
    _flag("petition", "涉访", "petition", RowFlag.PETITION, "信访", "是否涉访"),
)
BY_NAME: Mapping[str, Column] = {column.name: column for column in COLUMNS}
NAMES: tuple[str, ...] = tuple(BY_NAME)
AMOUNTS = ("principal", "interest", "fees", "total")

_BRACKETED = re.compile(r"[(（\[【][^)）\]】]*[)）\]】]")
_DROPPED = re.compile(r"[\s*＊:：_\-]+")


def folded(heading: str) -> str:
    """A heading without what banks add to it: width, case, spaces, brackets, the asterisk of a must."""
    return _DROPPED.sub("", _BRACKETED.sub("", unicodedata.normalize("NFKC", heading))).lower()


def _known() -> dict[str, str]:
    found: dict[str, str] = {}
    for column in COLUMNS:
        for heading in (column.name, column.label.zh, column.label.en, *column.aliases):
            other = found.setdefault(folded(heading), column.name)
            if other != column.name:
                raise AssertionError(f"{heading} means {other} and {column.name}")
    return found


_KNOWN = _known()
_ERRORS = {folded(ERRORS_HEADING), ERRORS_NAME, "错误"}


@dataclass(frozen=True)
class Layout:
    """Where the columns stand in a file. Positions count from 0."""

    positions: tuple[int, ...]
    """For each of `COLUMNS` its position, −1 where the file has none."""
    headings: Mapping[str, str]
    """Name of the column to the heading in the file."""
    width: int
    """Cells in the heading row."""
    errors_at: int | None = None
    """Position of an error column of an earlier round."""
    lettered: bool = True
    """False for JSON lines, which have no columns to count."""
    unused: tuple[str, ...] = field(default=())
    """Headings that mean nothing here."""

    def place(self, name: str, lang: Language) -> tuple[str, str]:
        """The column as the person finds it: its heading, and its letter where the format has columns."""
        at = self.positions[NAMES.index(name)]
        heading = self.headings.get(name, BY_NAME[name].label.choose(lang))
        return heading, letters(at) if at >= 0 and self.lettered else ""


def letters(position: int) -> str:
    """Spreadsheet letters of a column: 0 is A, 26 is AA."""
    out = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        out = chr(65 + rest) + out
    return out


def matches(cells: Sequence[object], own: Mapping[str, str]) -> int:
    """How many cells of a row are headings that are known."""
    return len({name for cell in cells if isinstance(cell, str) and (name := _name_of(cell, own))})


def looks_like_headings(cells: Sequence[object], own: Mapping[str, str]) -> bool:
    """Whether a row is one of headings rather than data."""
    return matches(cells, own) >= _ENOUGH


def _name_of(heading: str, own: Mapping[str, str]) -> str | None:
    key = folded(heading)
    return own.get(key) or _KNOWN.get(key)


def layout(cells: Sequence[object], own: Mapping[str, str], lang: Language = "zh") -> Layout:
    """The layout that a heading row gives. `own`: folded headings of the bank's mapping, to names.

    Raises:
        ColumnsMissing: required columns have no heading.
        HeadingRepeated: two headings mean the same column.
    """
    found: dict[str, int] = {}
    headings: dict[str, str] = {}
    unused: list[str] = []
    errors_at: int | None = None
    mapped = set(own.values())
    for at, cell in enumerate(cells):
        if not isinstance(cell, str) or not cell.strip():
            continue
        if folded(cell) in _ERRORS:
            errors_at = at
            continue
        name = _name_of(cell, own)
        # A column that the bank mapped is taken from the mapped heading alone.
        if name is None or (name in mapped and folded(cell) not in own):
            unused.append(cell.strip()[:40])
            continue
        if name in found:
            raise HeadingRepeated(
                f"{letters(found[name])}, {letters(at)}: {BY_NAME[name].label.choose(lang)}",
                field=name,
                hint="keep one of them, or say which with a saved mapping",
            )
        found[name], headings[name] = at, cell.strip()[:40]
    missing = [c for c in COLUMNS if c.required and c.name not in found]
    if missing:
        raise ColumnsMissing(
            "、".join(f"{c.label.choose(lang)} ({c.name})" for c in missing),
            field="headings",
            hint="caseledger case template, or a saved mapping: caseledger case mapping",
        )
    return Layout(
        tuple(found.get(name, -1) for name in NAMES),
        headings,
        len(cells),
        errors_at,
        unused=tuple(unused),
    )
