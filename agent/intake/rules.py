"""What can be wrong with one row: a stable code, what it says, and how to mend it, in both languages.

A defect names row, column, value, rule and fix. The value stands unmasked only in the file that goes back to
the institution; everywhere else `masked` is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from agent.intake.columns import Layout
from protocol.i18n import Language, Text

VALUE_LENGTH = 40
_PLAIN = frozenset({"product", "currency", "overdue_days", "reachability", "contract_date", "default_date"})


@dataclass(frozen=True)
class Rule:
    """`code` never changes its meaning. Placeholders are filled from the defect's `info`."""

    code: str
    says: Text
    fix: Text


class Defect(NamedTuple):
    """One rule broken by one row. `column` is a name of `columns.py`, empty for the row as a whole."""

    rule: str
    column: str
    value: str
    info: tuple[tuple[str, str], ...] = ()


def _r(code: str, zh: str, en: str, fix_zh: str, fix_en: str) -> Rule:
    return Rule(code, Text(zh, en), Text(fix_zh, fix_en))


_AS_TEXT = (
    "把整列设为“文本”格式，重新从业务系统导出完整号码",
    "make the column text and export the whole number again",
)

_ALL = (
    # the cell
    _r("required", "必填项为空", "required and empty", "补填", "fill it in"),
    _r("too-long", "超过 {limit} 字节", "longer than {limit} bytes", "缩短", "shorten it"),
    _r(
        "control-character",
        "含不可见的控制字符",
        "holds control characters",
        "删除该单元格后重新输入",
        "clear the cell and type it again",
    ),
    _r(
        "text-damaged",
        "含乱码或自造字",
        "holds replaced or private characters",
        "用正确的编码重新导出；生僻字用国标 GB 18030 的正式码位",
        "export again in the right encoding; rare characters at their standard code points",
    ),
    _r("formula", "是公式", "is a formula", "复制后选择性粘贴为“数值”", "paste it as a value"),
    _r(
        "formula-text",
        "以 = + - @ 开头，可能被当作公式执行",
        "begins with = + - @ and may run as a formula",
        "删去开头的符号",
        "remove the leading sign",
    ),
    _r(
        "error-value",
        "是表格错误值",
        "is a spreadsheet error",
        "修正来源后粘贴为数值",
        "mend its source and paste the value",
    ),
    _r(
        "cell-type",
        "不是文字或数字",
        "is neither text nor number",
        "改为文字或数字",
        "make it text or a number",
    ),
    _r(
        "lost-digits",
        "号码被表格软件改成了数字或科学记数，末几位已丢失",
        "a spreadsheet made the number scientific; its last digits are lost",
        *_AS_TEXT,
    ),
    # the row
    _r(
        "row-cells",
        "本行有 {found} 格，标题行有 {expected} 格",
        "{found} cells, the headings have {expected}",
        "检查分隔符与引号",
        "check separators and quotes",
    ),
    _r(
        "row-unreadable",
        "本行不是 JSON 对象",
        "not a JSON object",
        "每行一个 JSON 对象，成员不重复",
        "one JSON object a line, no member twice",
    ),
    # contract and product
    _r(
        "contract-format",
        "合同编号含不允许的字符",
        "contract number with characters that are not allowed",
        "只用汉字、字母、数字与 - _ / . # ( ) 〔 〕 [ ] 、·",
        "use letters, digits and - _ / . # ( ) 〔 〕 [ ] ·",
    ),
    _r(
        "contract-repeated",
        "合同编号在本文件中出现多次（第 {rows} 行）",
        "contract number more than once in this file (rows {rows})",
        "每份合同只保留一行",
        "keep one row for each contract",
    ),
    _r(
        "contract-changed",
        "合同已在批次 {batch} 中导入，内容与本行不同",
        "contract was imported in batch {batch} with other content",
        "导入不改动已有案件；更正请走案件更正程序",
        "an import changes no case; use the case's correction",
    ),
    _r("product-unknown", "产品类型不在范围内", "product not known", "填：{known}", "one of: {known}"),
    # debtor
    _r(
        "name-format",
        "姓名或名称含不允许的字符，或过短",
        "name too short, or with characters that are not allowed",
        "按证件填写",
        "write it as on the document",
    ),
    _r(
        "identity-old",
        "是 15 位旧证件号",
        "is an old number of 15 digits",
        "换成 18 位号码",
        "give the 18-digit number",
    ),
    _r(
        "identity-length",
        "证件号码有 {found} 位，应为 18 位",
        "{found} characters, 18 are expected",
        "核对证件",
        "check the document",
    ),
    _r(
        "identity-characters",
        "证件号码含不允许的字符",
        "characters that an identity number has not",
        "身份证为 17 位数字加数字或 X；社会信用代码不含 I O Z S V",
        "17 digits and a digit or X; a credit code has no I O Z S V",
    ),
    _r(
        "identity-region",
        "身份证前两位不是省级代码",
        "the first two digits are no province",
        "核对证件",
        "check the document",
    ),
    _r(
        "identity-birth",
        "身份证中的出生日期不存在或不合理",
        "the day of birth in it does not exist or cannot be",
        "核对证件",
        "check the document",
    ),
    _r(
        "identity-checksum",
        "身份证校验位不符",
        "check digit is wrong (GB 11643)",
        "有数字抄错，核对证件",
        "a digit is wrong: check the document",
    ),
    _r(
        "credit-code-checksum",
        "统一社会信用代码校验位不符",
        "check character is wrong (GB 32100)",
        "有字符抄错，核对执照",
        "a character is wrong: check the licence",
    ),
    _r(
        "debtor-kind",
        "该产品的债务人应为自然人",
        "the debtor of this product is a natural person",
        "核对产品类型与证件号码",
        "check product and identity number",
    ),
    _r(
        "debtor-minor",
        "签约时债务人不满 18 周岁",
        "the debtor was under 18 when the contract was made",
        "核对证件与签订日期",
        "check document and contract date",
    ),
    _r(
        "phone-format",
        "不是 11 位手机号码",
        "not a mobile number of 11 digits",
        "填 1 开头的 11 位手机号码",
        "11 digits that begin with 1",
    ),
    _r(
        "phone-missing",
        "没有手机号码，联系状态也不是失联",
        "no mobile number, and the debtor is not marked unreachable",
        "补填号码，或把联系状态填为“失联”",
        "fill it in, or mark the debtor unreachable",
    ),
    _r(
        "address-short",
        "联系地址过短",
        "address too short",
        "填写可以送达的完整地址",
        "an address that a document can be served at",
    ),
    # dates
    _r(
        "date-format",
        "日期无法确定",
        "date cannot be read with certainty",
        "写成 2025-03-01",
        "write 2025-03-01",
    ),
    _r("date-range", "日期早于 {first}", "date before {first}", "核对日期", "check the date"),
    _r("date-future", "日期在今天之后", "date after today", "核对日期", "check the date"),
    _r(
        "date-order",
        "违约日期早于合同签订日期",
        "default before the contract",
        "核对两个日期",
        "check both dates",
    ),
    _r(
        "overdue-format",
        "逾期天数不是 0 至 36500 的整数",
        "not a whole number from 0 to 36500",
        "填整数",
        "a whole number",
    ),
    _r(
        "overdue-mismatch",
        "逾期天数与违约日期不符：截至 {as_of} 应为 {expected}",
        "does not fit the default date: {expected} as of {as_of}",
        "核对两者",
        "check both",
    ),
    # amounts
    _r(
        "amount-format",
        "不是金额",
        "not an amount",
        "填数字，单位为元，如 12345.67",
        "digits in yuan, like 12345.67",
    ),
    _r("amount-decimals", "多于两位小数", "more than two decimals", "取到分", "to the fen"),
    _r("amount-negative", "为负数", "negative", "填 0 或正数", "zero or more"),
    _r(
        "amount-large",
        "超过 {limit} 元",
        "more than {limit} yuan",
        "核对单位是否为元",
        "check that the unit is yuan",
    ),
    _r(
        "amount-digits",
        "数字过长，表格软件已丢失精度",
        "too many digits: the spreadsheet lost precision",
        "设为两位小数的数值或文本后重新导出",
        "export again as text or with two decimals",
    ),
    _r(
        "amount-zero",
        "合计金额为零",
        "total is zero",
        "没有欠款的合同不必导入",
        "leave out contracts without a claim",
    ),
    _r(
        "amount-sum",
        "合计 {total} 元不等于本金、利息、费用之和 {sum} 元",
        "{total} yuan is not principal, interest and fees together, {sum} yuan",
        "核对四个金额",
        "check the four amounts",
    ),
    _r(
        "currency-unknown",
        "币种不是人民币",
        "currency is not CNY",
        "折为人民币，或另案处理",
        "convert it, or leave it out",
    ),
    # flags
    _r("flag-value", "应为 是 或 否", "yes or no is expected", "填 是、否，或留空", "yes, no, or empty"),
    _r(
        "reachability-value",
        "联系状态应为 可联系 或 失联",
        "reachable or unreachable is expected",
        "填 可联系、失联，或留空",
        "reachable, unreachable, or empty",
    ),
)
VERSION = "1"
"""Of these rules, as `rules` of an Import names it; another one whenever a rule changes."""
RULES: Mapping[str, Rule] = {rule.code: rule for rule in _ALL}

_ROW = Text("第 {row} 行，", "row {row}, ")
_COLUMN = Text("“{heading}”列", "column {heading}")
_AT = Text("（{letter}）", " ({letter})")
_VALUE = Text("，值“{value}”", ', value "{value}"')
_SAYS = Text("[{code}] {says}。改法：{fix}", "[{code}] {says}. To mend: {fix}")


def sentence(defect: Defect, layout: Layout, lang: Language, *, row: int | None = None) -> str:
    """Row, column, value, rule and fix in one line, value unmasked: for the file that goes back."""
    rule, info = RULES[defect.rule], dict(defect.info)
    where = "" if row is None else _ROW.format(lang, row=row)
    if defect.column:
        heading, letter = layout.place(defect.column, lang)
        where += _COLUMN.format(lang, heading=heading)
        where += _AT.format(lang, letter=letter) if letter else ""
    if defect.value:
        where += _VALUE.format(lang, value=defect.value)
    where = where.rstrip("，, ")
    colon = "：" if lang == "zh" else ": "
    says, fix = rule.says.format(lang, **info), rule.fix.format(lang, **info)
    return (where + colon if where else "") + _SAYS.format(lang, code=rule.code, says=says, fix=fix)


def shown(value: str) -> str:
    """A value as a defect keeps it: short, and without characters that a terminal obeys."""
    cleaned = "".join(c if c.isprintable() else "�" for c in value[: VALUE_LENGTH + 1])
    return cleaned if len(cleaned) <= VALUE_LENGTH else cleaned[:VALUE_LENGTH] + "…"


def masked(column: str, value: str) -> str:
    """A value without the person: for previews, logs, machine-readable reports."""
    if not value or column in _PLAIN:
        return value
    if column == "debtor_name":
        return value[0] + "*" * min(len(value) - 1, 3)
    if column == "phone" and len(value) >= 8:
        return value[:3] + "****" + value[-4:]
    if column == "identity_no" and len(value) >= 15:
        return value[:4] + "*" * 10 + value[-2:]
    if column == "address":
        return value[:3] + "***"
    return value[:2] + "***" + (value[-2:] if len(value) > 6 else "")
