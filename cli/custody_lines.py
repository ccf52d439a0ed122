"""Custody events as lines for people; the sheet beside a receipt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from protocol.custody import CustodyEvent, CustodyKind
from protocol.i18n import Language, Text
from verifier.custody import SUFFIX, Event
from verifier.receipt import SUFFIX as RECEIPT_SUFFIX
from verifier.verdict import Facts

_TEXTS = {
    "summary": Text(
        "保管流转 {count} 条，截至 {time}（日志声明）",
        "{count} custody events as of {time}, as the log states",
    ),
    "holder": Text("原件现由机构 {holder} 持有", "the original is held by organisation {holder}"),
    "pending": Text("，已移交机构 {pending}，尚未签收", ", offered to organisation {pending}, not taken yet"),
    "by": Text("机构 {submitter}", "organisation {submitter}"),
    "moved": Text("机构 {giver} → 机构 {receiver}", "organisation {giver} → organisation {receiver}"),
    "to": Text("交机构 {receiver}", "to organisation {receiver}"),
    "withheld": Text("内容未出示", "not shown"),
    "result": Text("结论 {result}", "result {result}"),
    "authority": Text("依据 {authority}", "by {authority}"),
    "where": Text("地点 {where}", "at {where}"),
    "change": Text("改变 {change}", "changed: {change}"),
}
RESULTS = ("VALID", "VALID_REDUCED_TRUST", "INVALID", "INDETERMINATE")


def sheet_beside(receipt: Path) -> Path | None:
    """`contract.pdf.clc` beside `contract.pdf.clr`, if it is there."""
    path = receipt.with_name(receipt.name.removesuffix(RECEIPT_SUFFIX) + SUFFIX)
    return path if path.is_file() else None


def summary(facts: Facts, moment: Callable[[int], str], lang: Language) -> list[str]:
    """What a sheet says in one or two lines."""
    if "custodyEvents" not in facts:
        return []
    time = moment(int(facts["custodyStatedAt"] or 0))
    lines = [_TEXTS["summary"].format(lang, count=facts["custodyEvents"], time=time)]
    if facts.get("custodyHolder") is not None:
        line = _TEXTS["holder"].format(lang, holder=facts["custodyHolder"])
        if facts["custodyPending"] is not None:
            line += _TEXTS["pending"].format(lang, pending=facts["custodyPending"])
        lines.append(line)
    return lines


def event_line(
    number: int,
    kind: CustodyKind,
    submitter: int,
    body: CustodyEvent | None,
    moment: Callable[[int], str],
    lang: Language,
) -> str:
    """One event: when, what, who, where to, why."""
    parts = [f"{number:>3}"]
    parts.append(moment(body.event_time) if body else "-")
    parts.append(kind.label.choose(lang))
    parts.append(_TEXTS["by"].format(lang, submitter=submitter))
    parts += words_of(body, lang) if body else [_TEXTS["withheld"].choose(lang)]
    return "  ".join(parts)


def words_of(body: CustodyEvent, lang: Language) -> Iterator[str]:
    """What is stated of an event beside kind, time and who."""
    if body.giver is not None:
        yield _TEXTS["moved"].format(lang, giver=body.giver, receiver=body.receiver)
    elif body.receiver is not None:
        yield _TEXTS["to"].format(lang, receiver=body.receiver)
    yield body.purpose
    if body.result is not None:
        yield _TEXTS["result"].format(lang, result=RESULTS[body.result])
    for name in ("authority", "where", "change"):
        value = getattr(body, name)
        if value is not None:
            yield _TEXTS[name].format(lang, **{name: value})


def event_lines(events: Sequence[Event], moment: Callable[[int], str], lang: Language) -> list[str]:
    """All events of a sheet."""
    return [
        event_line(number, event.kind, event.header.submitter, event.body, moment, lang)
        for number, event in enumerate(events, 1)
    ]
