"""What a gateway says of an entry or a log, as lines for people. JSON stays the form for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from protocol.entry import parse_class
from protocol.i18n import Language, Text

_BEIJING = timezone(timedelta(hours=8))

_LABELS = {
    "id": Text("证据编号", "evidence id"),
    "path": Text("本机文件", "local file"),
    "state": Text("状态", "state"),
    "class": Text("类别", "class"),
    "case": Text("案件承诺", "case commitment"),
    "caseName": Text("案件（仅本机）", "case (this machine only)"),
    "log": Text("日志", "log"),
    "submitter": Text("提交机构", "submitter"),
    "acceptedAt": Text("受理", "accepted"),
    "deadline": Text("承诺入册期限", "promised by"),
    "anchoredAt": Text("入链", "anchored"),
    "receiptReady": Text("收据", "receipt"),
    "supersededBy": Text("已被替换为", "replaced by"),
    "disputedBy": Text("被提出异议", "disputed by"),
    "continuedAs": Text("在后继日志中", "continued as"),
    "contentSha256": Text("内容 SHA-256", "content SHA-256"),
    "receipt": Text("收据文件", "receipt file"),
    "result": Text("本机核验", "verified here"),
}
_STATES = {
    "ACCEPTED": Text("已受理，待封存", "accepted, waiting to be sealed"),
    "SEALED": Text("已封存，待入链", "sealed, waiting for the chain"),
    "ANCHORED": Text("已入链", "anchored"),
}
_READY = Text("可取", "ready")
_WAITING = Text("未就绪", "not yet")
_PRIVILEGED = Text("（调解保密）", " (privileged)")
_LOG = Text(
    "日志 {origin}：受理 {accepted}，封存 {sealed}，入链 {anchored}，收据 {proved}",
    "log {origin}: accepted {accepted}, sealed {sealed}, anchored {anchored}, receipts {proved}",
)
_HALTED = Text("停住：{code} {detail}", "halted: {code} {detail}")
_AGE = Text("最久未入链 {seconds:.0f} 秒", "oldest not anchored {seconds:.0f} s")
_TROUBLE = Text("问题：{what}", "trouble: {what}")


def entry_lines(item: Mapping[str, Any], lang: Language) -> Iterator[str]:
    """One entry as the gateway shows it, a labelled line for each thing that is known."""
    yield _line("id", item["id"], lang)
    yield _line("state", _state(item, lang), lang)
    privileged = _PRIVILEGED.choose(lang) if item.get("privileged") else ""
    yield _line("class", parse_class(item["class"]).label.choose(lang) + privileged, lang)
    yield _line("log", f"{item['log']} #{item['index']}", lang)
    yield _line("submitter", f"{item['submitter']} #{item['sequence']}", lang)
    yield _line("case", item["case"], lang)
    for name in ("acceptedAt", "anchoredAt") if item.get("anchoredAt") else ("acceptedAt", "deadline"):
        yield _line(name, _time(item[name], lang), lang)
    yield _line("receiptReady", (_READY if item.get("receiptReady") else _WAITING).choose(lang), lang)
    for name in ("supersededBy", "disputedBy"):
        for other in item.get(name) or ():
            yield _line(name, str(other), lang)
    for name in ("continuedAs", "contentSha256"):
        if item.get(name):
            yield _line(name, str(item[name]), lang)


def local_lines(item: Mapping[str, Any], lang: Language) -> Iterator[str]:
    """What this machine's journal adds to an entry."""
    for name, key in (("path", "path"), ("caseName", "case"), ("receipt", "receipt"), ("result", "result")):
        if item.get(key):
            yield _line(name, str(item[key]), lang)


def log_lines(log: Mapping[str, Any], lang: Language) -> Iterator[str]:
    """How far a log is, and what holds it up."""
    yield _LOG.format(
        lang, **{name: log[name] for name in ("origin", "accepted", "sealed", "anchored", "proved")}
    )
    if log.get("code"):
        yield "  " + _HALTED.format(lang, code=log["code"], detail=log.get("detail") or "")
    if log.get("oldestUnanchoredAge"):
        yield "  " + _AGE.format(lang, seconds=float(log["oldestUnanchoredAge"]))
    for trouble in log.get("troubles") or ():
        yield "  " + _TROUBLE.format(lang, what=_flat(trouble))


def _line(name: str, value: str, lang: Language) -> str:
    return f"{_LABELS[name].choose(lang)}  {value}"


def _state(item: Mapping[str, Any], lang: Language) -> str:
    state = str(item["state"])
    words = _STATES[state].choose(lang) if state in _STATES else state
    return " ".join([words, *(str(flag) for flag in item.get("flags") or ())])


def _time(seconds: int, lang: Language) -> str:
    if lang == "zh":
        return datetime.fromtimestamp(seconds, _BEIJING).strftime("%Y-%m-%d %H:%M:%S（北京时间）")
    return datetime.fromtimestamp(seconds, _BEIJING).strftime("%Y-%m-%d %H:%M:%S (Beijing)")


def _flat(value: object) -> str:
    return " ".join(str(part) for part in value.values()) if isinstance(value, Mapping) else str(value)
