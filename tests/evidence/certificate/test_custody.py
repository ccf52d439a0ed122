"""What a certificate tells of custody: every event that was shown and holds, and nothing of what does not."""

from __future__ import annotations

import dataclasses

from evidence.certificate.build import Options, build
from evidence.certificate.entries import Entry
from evidence.certificate.html import render
from evidence.certificate.model import Document, Table
from evidence.certificate.statement import Statement
from tests.support.certificates import strings
from tests.support.custody_world import STORY, CustodyWorld
from tests.support.world import AT
from verifier.receipt import Receipt
from verifier.verdict import Result
from verifier.verify import verify_receipt
from verifier.verify_custody import CustodyShown

WORLD = CustodyWorld(story=STORY)
NAMED = Statement.parse('{"organisations": {"4": {"zh": "人民法院", "en": "court"}}}'.encode())


def shown(world: CustodyWorld, sheet: bytes, name: str = "合同.pdf.clr") -> Entry:
    report = verify_receipt(world.item.receipt, world.trust, at=AT, custody=CustodyShown(sheet))
    return Entry(world.item.receipt, name, None, report, custody=sheet)


def tables(document: Document) -> list[Table]:
    return [
        block
        for part in document.parts
        for block in part.blocks
        if isinstance(block, Table) and block.columns[0].title in ("序", "No.")
    ]


def test_every_event_is_told_in_both_languages_and_the_sheet_is_attached() -> None:
    sheet = WORLD.sheet()
    document = build([shown(WORLD, sheet)], WORLD.trust, Options(statement=NAMED))
    zh, en = tables(document)
    assert [row[2] for row in zh.rows] == [told.kind.label.zh for told in STORY]
    assert [row[2] for row in en.rows] == [told.kind.label.en for told in STORY]
    lines = "审理中核对原件\n交机构 4 人民法院\n依据：民诉法第六十四条\nSHA-256 "
    assert zh.rows[1][4].startswith(lines)
    assert "result: verified" in en.rows[2][4]
    assert "organisation 3 → organisation 4 court" in en.rows[3][4]
    said = "\n".join(strings(document.content()))
    assert "原件现由机构 4 人民法院持有" in said
    assert "逐条相接，无缺漏" in said
    assert "without its being recorded" not in said
    attached = {one.name: one.data for one in document.attachments}
    assert attached["合同.pdf.clc"] == sheet
    assert "审理中核对原件" in render(document).decode()


def test_a_withheld_event_is_a_line_that_says_so() -> None:
    receipts = list(WORLD.receipts)
    receipts[2] = Receipt.of(dataclasses.replace(WORLD.events[2].core, body=None)).encode()
    document = build([shown(WORLD, WORLD.sheet(receipts))], WORLD.trust, Options())
    assert tables(document)[0].rows[2] == ("3", "", "核验", "机构 4", "内容未出示")


def test_without_events_there_is_a_sentence_and_without_a_sheet_nothing() -> None:
    empty = WORLD.sheet([], WORLD.statement(0, size=7))
    document = build([shown(WORLD, empty)], WORLD.trust, Options())
    assert tables(document) == []
    assert "已入链 0 条" in "\n".join(strings(document.content()))
    plain = verify_receipt(WORLD.item.receipt, WORLD.trust, at=AT)
    bare = build([Entry(WORLD.item.receipt, "a.clr", None, plain)], WORLD.trust, Options())
    assert "已入链" not in "\n".join(strings(bare.content()))
    assert [one.name for one in bare.attachments] == ["a.clr", "trust.cltrust"]


def test_a_sheet_that_fails_gets_no_certificate() -> None:
    entry = shown(WORLD, WORLD.sheet(WORLD.receipts[:5]))
    assert entry.report.result is Result.INVALID
    assert entry.sheet is None


def test_several_items_each_have_their_custody_under_their_name() -> None:
    entries = [shown(WORLD, WORLD.sheet(), "甲.clr"), shown(WORLD, WORLD.sheet(), "乙.clr")]
    document = build(entries, WORLD.trust, Options())
    said = "\n".join(strings(document.content()))
    assert "· 甲.clr" in said
    assert "· 乙.clr" in said
    assert {"甲.clc", "乙.clc"} <= {one.name for one in document.attachments}
