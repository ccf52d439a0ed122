"""An item's custody as a certificate tells it: how many events, as of when, who holds it, and each event."""

from __future__ import annotations

from evidence.certificate import words_custody as words
from evidence.certificate.entries import Entry
from evidence.certificate.model import Block, Column, Section, Table, Text
from evidence.certificate.statement import Statement
from evidence.certificate.text import moment, short_moment, visible
from protocol.custody import CustodyEvent
from protocol.i18n import Language
from verifier.custody import SUFFIX, Event
from verifier.receipt import SUFFIX as RECEIPT_SUFFIX

MAX_EVENTS = 200
"""Lines of one item; the attached sheet has all."""


def custody_blocks(one: Entry, statement: Statement, lang: Language, *, named: bool) -> list[Block]:
    """What the shown sheet says, if it holds; nothing where none was. `named`: the heading says of what."""
    sheet = one.sheet
    if sheet is None:
        return []
    facts, events = one.report.facts, sheet.events
    title = words.CUSTODY.choose(lang)
    if named:
        title += f" · {visible(one.file_name or one.receipt_name)}"
    said = [words.SUMMARY.format(lang, n=len(events), time=moment(sheet.statement.stated_at, lang))]
    holder, pending = facts.get("custodyHolder"), facts.get("custodyPending")
    if isinstance(holder, int):
        said.append(words.HOLDER.format(lang, who=_who(holder, statement, lang)))
    if isinstance(pending, int):
        said.append(words.PENDING.format(lang, who=_who(pending, statement, lang)))
    blocks: list[Block] = [Section(title), Text(tuple(said))]
    if events:
        rows = [_row(number, event, statement, lang) for number, event in enumerate(events, 1)]
        if len(rows) > MAX_EVENTS:
            rows = [*rows[:MAX_EVENTS], ("", "", "", "", words.MORE.format(lang, n=len(rows) - MAX_EVENTS))]
        shares = (0.7, 2.6, 1.2, 3.2, 6.5) if lang == "zh" else (0.7, 2.6, 1.4, 3.4, 6.1)
        columns = tuple(
            Column(text.choose(lang), weight) for text, weight in zip(words.COLUMNS, shares, strict=True)
        )
        blocks.append(Table(columns, tuple(rows)))
    return blocks


def sheet_name(receipt_name: str) -> str:
    """The attached sheet's name, by which the verifier finds it beside the receipt."""
    return receipt_name.removesuffix(RECEIPT_SUFFIX) + SUFFIX


def _row(number: int, event: Event, statement: Statement, lang: Language) -> tuple[str, ...]:
    body = event.body
    return (
        str(number),
        short_moment(body.event_time) if body else "",
        event.kind.label.choose(lang),
        _who(event.header.submitter, statement, lang),
        "\n".join(_told(body, statement, lang)) if body else words.WITHHELD.choose(lang),
    )


def _told(body: CustodyEvent, statement: Statement, lang: Language) -> list[str]:
    lines = [visible(body.purpose)]
    if body.giver is not None and body.receiver is not None:
        giver, receiver = (_who(one, statement, lang) for one in (body.giver, body.receiver))
        lines.append(f"{giver} → {receiver}")
    elif body.receiver is not None:
        lines.append(words.TO.format(lang, who=_who(body.receiver, statement, lang)))
    if body.result is not None:
        lines.append(words.RESULTS[body.result].choose(lang))
    for label, value in (
        (words.AUTHORITY, body.authority),
        (words.BEFORE, body.before),
        (words.WHERE, body.where),
        (words.CHANGE, body.change),
    ):
        if value is not None:
            lines.append(label.format(lang, what=visible(value)))
    if body.object is not None:
        lines.append(f"SHA-256 {body.object[0].hex()[:16]}…")
    return lines


def _who(index: int, statement: Statement, lang: Language) -> str:
    """An organisation by its index, with the name that the issuer states."""
    shown = words.ORGANISATION.format(lang, n=index)
    name = statement.organisations.get(index)
    return f"{shown} {name.choose(lang)}" if name else shown
