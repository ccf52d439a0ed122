"""Words of a certificate about custody."""

from __future__ import annotations

from protocol.i18n import Text

CUSTODY = Text(
    "保管流转（各机构签名登记；所述是否属实未核验）",
    "Custody (each event signed by who acted; whether it took place as stated was not checked)",
)
SUMMARY = Text(
    "日志声明：至 {time} 已入链 {n} 条。", "The log states: {n} events were anchored as of {time}."
)
HOLDER = Text("原件现由{who}持有。", "The original is held by {who}.")
PENDING = Text("已提出移交给{who}，尚未签收。", "It was offered to {who} and not taken yet.")
COLUMNS = (
    Text("序", "No."),
    Text("时间（北京）", "Time (UTC+08:00)"),
    Text("事项", "What"),
    Text("登记机构", "Recorded by"),
    Text("事由与细节", "Why, and details"),
)
ORGANISATION = Text("机构 {n}", "organisation {n}")
TO = Text("交{who}", "to {who}")
AUTHORITY = Text("依据：{what}", "by: {what}")
WHERE = Text("地点：{what}", "at: {what}")
BEFORE = Text("原在：{what}", "before: {what}")
CHANGE = Text("改变：{what}", "changed: {what}")
WITHHELD = Text("内容未出示", "not shown")
MORE = Text("另有 {n} 条，见所附流转单", "{n} more: see the attached sheet")
RESULTS = (
    Text("结论：核验通过", "result: verified"),
    Text("结论：核验通过，信任条件有缺项", "result: verified with reduced trust"),
    Text("结论：核验不通过", "result: not verified"),
    Text("结论：无法判定", "result: cannot be decided"),
)
SHEET_FILE = Text("保管流转单，核验时与收据一并出示", "custody sheet: show it with the receipt")
