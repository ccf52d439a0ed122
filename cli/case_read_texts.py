"""What `caseledger case list`, `show`, `timeline`, `deadlines` and `code` say to people."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from protocol.i18n import Language, Text

TEXTS = {
    "list": Text("列出本机构可见的案件", "list the cases that your organisation may see"),
    "show": Text(
        "一起案件：现况、期限及依据、下一步", "one case: where it stands, until when and why, what is next"
    ),
    "timeline": Text("一起案件的全部经过", "everything that happened to a case"),
    "deadlines": Text("期限一览；--ics 导出日历", "what runs out when; --ics writes a calendar"),
    "code": Text("为当事人开通或收回案件码（中心）", "give or take back a debtor's case code (centre)"),
    "stage": Text("阶段名称，可重复", "name of a stage; again for more"),
    "all": Text("取全部页", "follow all pages"),
    "within": Text("今天起若干日内到期（含逾期）", "due within so many days, overdue ones too"),
    "ics": Text("写入日历文件（RFC 5545）", "write a calendar file (RFC 5545)"),
    "revoke": Text("收回", "take it back"),
    "days": Text("有效天数（默认 90）", "days that it opens the case (90)"),
    "none": Text("没有案件。", "no cases."),
    "more": Text("还有更多：--cursor {next} 或 --all", "there is more: --cursor {next}, or --all"),
    "issued": Text(
        "案件码（只显示这一次，请抄给当事人）：\n\n    {code}\n\n"
        "有效至 {until}（北京时间）。此前若有案件码，已经失效。",
        "Case code (shown once; write it down for the debtor):\n\n    {code}\n\nuntil {until} (Beijing). "
        "An earlier code, if there was one, has ended.",
    ),
    "revoked": Text("案件码已收回。", "the case code is taken back."),
    "written": Text("已写入 {path}", "written to {path}"),
    "note": Text(
        "单独的 * 表示暂定期限，可能顺延。", "* marks a provisional deadline, which may move to a later day."
    ),
}
_HEADS = (
    Text("案件", "case"), Text("阶段", "stage"), Text("截止（北京）", "due (Beijing)"), Text("状态", "state"),
    Text("机构", "owner"), Text("法院", "court"), Text("案由", "product"),
)  # fmt: skip
_OVERDUE = Text("逾期", "overdue")
_PAUSED = Text("暂停", "paused")
_LABELS = {
    "case": Text("案件", "case"),
    "product": Text("案由", "product"),
    "stage": Text("阶段", "stage"),
    "since": Text("进入时间", "since"),
    "deadline": Text("截止", "due"),
    "why": Text("依据", "why"),
    "version": Text("版本", "version"),
    "owner": Text("机构", "owner"),
    "court": Text("法院", "court"),
    "pauses": Text("暂停", "pauses"),
    "possible": Text("可办", "possible"),
    "plain": Text("说明", "meaning"),
}
_BY = Text("机构 {who}", "organisation {who}")
_ON_CHAIN = Text(
    "区块 {block}，交易 {transaction}，序号 {sequence}",
    "block {block}, transaction {transaction}, sequence {sequence}",
)
_TEST = Text("【测试时钟】", "[TEST CLOCK] ")


def words(value: Mapping[str, Any] | None, lang: Language) -> str:
    """Of a member with both languages."""
    return "" if value is None else str(value[lang])


def table(items: Sequence[Mapping[str, Any]], lang: Language) -> Iterator[str]:
    """One line for each case under a head."""
    rows = [[head.choose(lang) for head in _HEADS]]
    rows += [_row(item, lang) for item in items]
    widths = [max(width(row[at]) for row in rows) for at in range(len(_HEADS))]
    for row in rows:
        cells = [cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _row(item: Mapping[str, Any], lang: Language) -> list[str]:
    due = str(item["deadlineShanghai"] or "–") + ("*" if item["provisional"] else "")
    state = [text.choose(lang) for text, on in ((_OVERDUE, item["overdue"]), (_PAUSED, item["paused"])) if on]
    return [
        item["short"], f"{words(item['stage']['label'], lang)} {item['stage']['name']}", due,
        " ".join(state) or "–", str(item["owner"]), str(item["court"] or "–"),
        words((item["product"] or {}).get("label"), lang),
    ]  # fmt: skip


def width(text: str) -> int:
    """Columns on a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(symbol) in "WF" else 1 for symbol in text)


def case_lines(item: Mapping[str, Any], lang: Language) -> Iterator[str]:
    """One case."""
    mark = _TEST.choose(lang) if item["testClock"] else ""
    provisional = "*" if item["provisional"] else ""
    overdue = f"  {_OVERDUE.choose(lang)}" if item["overdue"] else ""
    shown = {
        "case": item["caseId"],
        "product": words((item["product"] or {}).get("label"), lang),
        "stage": f"{mark}{words(item['stage']['label'], lang)} {item['stage']['name']}",
        "plain": words(item["stage"]["plain"], lang),
        "since": item["sinceShanghai"],
        "deadline": f"{item['deadlineShanghai'] or '–'}{provisional}{overdue}",
        "why": words(item["why"], lang),
        "pauses": "；".join(_pause(pause, lang) for pause in item["pauses"]),
        "owner": item["owner"],
        "court": item["court"] or "–",
        "version": item["version"],
        "possible": ", ".join(f"{words(step['label'], lang)} {step['name']}" for step in item["possible"]),
    }
    size = max(width(label.choose(lang)) for label in _LABELS.values())
    for name, value in shown.items():
        if value != "":
            label = _LABELS[name].choose(lang)
            yield f"{label}{' ' * (size - width(label))}  {value}"


def _pause(pause: Mapping[str, Any], lang: Language) -> str:
    return f"{words(pause['label'], lang)} {pause['fromShanghai']} – {pause['untilShanghai'] or ''}".rstrip()


def timeline_lines(shown: Mapping[str, Any], lang: Language) -> Iterator[str]:
    """Every event, oldest first."""
    for event in shown["events"]:
        by = [str(event[name]) for name in ("organisation", "coOrganisation") if event[name]]
        who = "  " + _BY.format(lang, who=" + ".join(by)) if by else ""
        yield f"{event['timeShanghai']}  {words(event['label'], lang)}{who}"
        yield f"    {words(event['plain'], lang)}"
        reason = words((event["reason"] or {}).get("label"), lang)
        source = words(event["article"], lang)
        for line in (reason, source, words(event["why"], lang)):
            if line:
                yield f"    {line}"
        place = event["receipt"]
        yield "    " + _ON_CHAIN.format(
            lang, block=place["block"], transaction=place["transaction"], sequence=place["sequence"]
        )
