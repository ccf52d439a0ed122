"""What a certificate says, and when there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pytest

from evidence.certificate.build import ARCHIVE, ONE_BY_ONE, Options, build, code_of
from evidence.certificate.entries import Entry
from evidence.certificate.errors import CertificateNotDue, StatementMalformed
from evidence.certificate.model import Banner, Document, Head, Part
from evidence.certificate.statement import Statement
from protocol import entry
from protocol.hashing import sha256, sm3
from protocol.i18n import Language
from protocol.provenance import Provenance, provenance_digest
from tests.support.certificates import CHECK_URL, NAMES, Filing, filing, strings, verified
from tests.support.time_tokens import Recipe, authority, identity
from tests.support.world import AT, CASE_ID, LINK_TIME, World
from verifier import wording
from verifier.attestation import TokenAttestation
from verifier.content import ContentDigests
from verifier.receipt import Attestation
from verifier.verdict import Result
from verifier.verify import verify_receipt

PROMISES = (
    "法院认可", "法院已认", "司法认可", "具有法律效力", "保证真实", "内容真实有效", "权威认证",
    "court recognised", "court-recognised", "recognised by the court", "court approved", "legally binding",
    "guarantee", "admissible", "proves that the content", "authentic content",
)  # fmt: skip
"""What no certificate may say."""


def said(document: Document, lang: Language | None = None) -> str:
    parts = [part for part in document.content()["parts"] if lang in (None, part["lang"])]  # type: ignore[attr-defined]
    return "\n".join(strings(parts))


def made(world: World, **options: Any) -> Document:
    return build([verified(world)], world.trust, Options(**options))


def test_an_invalid_receipt_gets_no_certificate() -> None:
    world = World()
    wrong = ContentDigests(1, bytes(32), bytes(32))
    report = verify_receipt(world.receipt, world.trust, content=wrong, at=AT)
    assert report.result is Result.INVALID
    with pytest.raises(CertificateNotDue) as refused:
        build([Entry(world.receipt, "x.clr", "x", report)], world.trust, Options())
    assert "INVALID" in refused.value.detail


def test_an_undecided_receipt_gets_no_certificate() -> None:
    world = World()
    report = verify_receipt(world.receipt, world.trust, at=AT + 10**9)
    assert report.result is Result.INDETERMINATE
    with pytest.raises(CertificateNotDue):
        build([Entry(world.receipt, "x.clr", None, report)], world.trust, Options())


def test_one_bad_receipt_spoils_the_set(three: Filing) -> None:
    entries = three.entries(NAMES)
    other = ContentDigests(1, bytes(32), bytes(32))
    bad = verify_receipt(entries[1].receipt, three.trust, content=other, at=AT)
    with pytest.raises(CertificateNotDue):
        build([entries[0], replace(entries[1], report=bad)], three.trust, Options())


def test_a_report_of_another_receipt_is_refused(three: Filing) -> None:
    one, two, _ = three.entries(NAMES)
    with pytest.raises(CertificateNotDue):
        build([replace(one, report=two.report)], three.trust, Options())


def test_reports_of_different_times_are_refused(three: Filing) -> None:
    one, two, _ = three.entries(NAMES)
    later = verify_receipt(two.receipt, three.trust, at=AT + 1)
    with pytest.raises(CertificateNotDue):
        build([one, replace(two, report=later)], three.trust, Options())


def test_nothing_gets_no_certificate(three: Filing) -> None:
    with pytest.raises(CertificateNotDue):
        build([], three.trust, Options())


def test_no_certificate_claims_truth_or_recognition(document: Document) -> None:
    shown = said(document)
    assert [one for one in PROMISES if one in shown] == []
    assert "不代替法院对证据的审查认定" in shown
    assert "takes no decision of a court" in shown
    assert "是否真实" in said(document, "zh")
    assert "does not say that the content is true" in said(document, "en")


def test_each_file_stands_with_its_own_digests(three: Filing) -> None:
    for at, name in enumerate(NAMES[:2]):
        one = three.entries(NAMES)[at]
        document = build([one], three.trust, Options(languages=("zh",)))
        rows = {label: value for block in document.content()["parts"][0]["blocks"]  # type: ignore[index]
                if block["kind"] == "pairs" for label, value, _ in block["rows"]}  # fmt: skip
        digests = ContentDigests(len(three.files[at]), *_digests(three.files[at]))
        assert rows["文件名"] == name
        assert rows["SHA-256"] == digests.sha256.hex()
        assert rows["SM3"] == digests.sm3.hex()
        assert f"{digests.size:,} 字节" in rows["大小"]


def _digests(data: bytes) -> tuple[bytes, bytes]:
    return sha256(data), sm3(data)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_verdict_is_there_with_what_was_not_checked(document: Document, lang: Language) -> None:
    shown = said(document, lang)
    for name in wording.NAMES:
        assert wording.NAMES[name].choose(lang) in shown
    for text in wording.NOT_CHECKED.values():
        assert text.choose(lang) in shown
    assert wording.STATUSES[verified(World()).report.verdict("custody").status].choose(lang) in shown


def test_the_facts_of_the_record_are_there(three: Filing, document: Document) -> None:
    shown = said(document, "zh")
    core = three.core
    for value in (
        entry.evidence_id(core.leaf).hex(), three.entries(NAMES)[0].parsed.receipt_id.hex(),
        entry.parse_leaf(core.leaf).header.case_commitment.hex(), "编号 3，该机构第 40 份",
        "centre.example/evidence，第 0 号，批次 3", "区块高度 4712", "2027-01-15 16:00:00（北京时间）",
        "2027-01-15 08:00:00 UTC", "依据：区块时间", "已按案件编号核对", "提交人自述，未核验",
    ):  # fmt: skip
        assert value.replace(" ", "") in shown.replace(" ", "")
    fingerprint = verified(World()).report.facts["trustFingerprint"]
    assert str(three.entries(NAMES)[0].report.facts["trustFingerprint"]) in shown
    assert str(fingerprint) not in shown


def test_the_sheet_names_who_controls_the_validators(document: Document) -> None:
    shown = said(document, "zh")
    for value in (
        "bank association", "regulator", "群体 1：25.0%", "均低于三分之一", "机构编号 2", "备案编号",
        "信任文件未载明",
        "提交机构 3 不是日志运营方 2", "court.example/witness", "“banks”：2 之 1", "SM3",
    ):  # fmt: skip
        assert value in shown


def test_an_interest_group_of_a_third_is_shown_and_reduces() -> None:
    document = made(World(groups=(1, 1, 3, 4)))
    assert "群体 1：50.0%" in said(document)
    assert "有一方达到三分之一" in said(document)
    assert "one holds a third or more" in said(document)


def banners(part: Part) -> list[Banner]:
    return [block for block in part.blocks if isinstance(block, Banner)]


def test_reduced_trust_stands_on_the_face_in_plain_words() -> None:
    document = made(World(version=2, witnesses=1))
    for part, words in zip(document.parts, ("见证方签名", "witness cosignatures"), strict=True):
        face = banners(part)[0]
        assert face.tone == "reduced"
        assert face.title == wording.RESULTS[Result.VALID_REDUCED_TRUST].choose(part.lang)
        assert any(words in line for line in face.lines)
        # The face: nothing but the head comes before it.
        assert [block.kind for block in part.blocks[:2]] == ["head", "banner"]


def test_what_is_valid_is_not_called_reduced(document: Document) -> None:
    assert {one.tone for part in document.parts for one in banners(part)} == {"pass"}


def test_a_file_that_was_not_compared_is_said_on_the_face() -> None:
    world = World()
    document = build([verified(world, name=None)], world.trust, Options())
    assert any("没有把任何文件与记录比对" in line for line in banners(document.parts[0])[0].lines)
    assert "未与文件比对" in said(document)
    assert "逐一比对一致" not in said(document)


def test_a_withheld_body_shows_no_digest() -> None:
    world = World(withheld=True)
    document = build([verified(world, name=None)], world.trust, Options())
    assert "正文已隐去或销毁" in said(document)
    assert world.content.sha256.hex() not in said(document)


def test_cosignatures_are_listed_with_their_times() -> None:
    world = World(version=2, witnesses=1)
    one = verified(world, world.attested(world.witness(), world.witness(algorithm=1)))
    shown = said(build([one], world.trust, Options()), "en")
    assert "cosignature, SHA-256 and SM3 trees" in shown
    assert "court (court.example/witness)" in shown
    assert "2027-01-15 16:01:00" in shown


def test_time_tokens_are_listed_and_say_not_later_than() -> None:
    signer = identity()
    world = World(version=2, time_tokens=1, authorities=(authority(signer),))
    token = Recipe(signer, imprint=sha256(world.checkpoint().text()), time=LINK_TIME + 1).make()
    data = world.attested(TokenAttestation(0, None, token).encode())
    shown = said(build([verified(world, data)], world.trust, Options(languages=("zh",))))
    assert "时间戳，SHA-256 树\nA\n2027-01-15 16:00:01\n采信" in shown
    assert "2027-01-15 16:00:01（北京时间）；2027-01-15 08:00:01 UTC · 依据：可信时间戳" in shown


def test_an_attestation_of_an_unknown_kind_is_said_not_to_be_checked() -> None:
    world = World()
    data = world.attested(Attestation("holiday", b"\x80"))
    shown = said(build([verified(world, data)], world.trust, Options()))
    assert "未知种类 holiday，未核验" in shown


def test_the_code_says_nothing_but_the_receipt(three: Filing, document: Document) -> None:
    heads = [block for block in document.parts[0].blocks if isinstance(block, Head)]
    entries = three.entries(NAMES)
    assert [head.qr for head in heads] == [
        f"{CHECK_URL}#{code}" for code in (code_of(entries), *(one.code for one in entries))
    ]
    assert all(re.fullmatch(r"[0-9a-f]{20}", head.qr.rpartition("#")[2]) for head in heads)
    assert entries[0].parsed.receipt_id.hex().startswith(entries[0].code)
    bare = build(entries[:1], three.trust, Options())
    assert isinstance(bare.parts[0].blocks[0], Head)
    assert bare.parts[0].blocks[0].qr == f"urn:caseledger:receipt:{entries[0].code}"


def test_the_same_input_gives_the_same_document(three: Filing, document: Document) -> None:
    again = build(three.entries(NAMES, case=True), three.trust, Options(check_url=CHECK_URL))
    assert again == document


def test_receipts_of_one_name_are_both_attached(three: Filing) -> None:
    entries = [replace(one, receipt_name="同名.clr") for one in three.entries(NAMES)]
    twice = build([*entries, entries[0]], three.trust, Options())
    names = [one.name for one in twice.attachments]
    assert len(set(names)) == len(names) == 5
    assert names[0] == f"同名.{entries[0].parsed.receipt_id.hex()[:16]}.clr"


@pytest.mark.parametrize("name", ["../../etc/passwd.clr", "a\\b:c*?.clr", "..clr", "x\u202efdp.clr", ".clr"])
def test_an_attachment_has_a_harmless_name(name: str) -> None:
    world = World()
    one = replace(verified(world), receipt_name=name)
    attached = build([one], world.trust, Options()).attachments[0].name
    assert not set(attached) & set('/\\:*?"<>|\u202e')
    assert attached.endswith(".clr")
    assert not attached.startswith("..")


def test_many_become_a_table_with_totals_and_groups() -> None:
    many = filing(ONE_BY_ONE + 5, version=2)
    names = [f"{at}.pdf" if at % 5 else None for at in range(len(many.files))]
    document = build(many.entries(names), many.trust, Options(languages=("zh",)))
    shown = said(document)
    assert "结论组 A：5 份" in shown
    assert "结论组 B：20 份" in shown
    assert "25 份，其中 20 份有文件比对" in shown
    tables = [block for block in document.parts[0].blocks if block.kind == "table" and block.dense]
    assert len(tables) == 1
    for at, row in enumerate(tables[0].rows):
        body = many.entries(names[: at + 1])[at].body if at in (0, 24) else None
        assert row[0] == str(at + 1)
        if body:
            assert body.content_sha256.hex() in row[2]
            assert body.content_sm3.hex() in row[2]
    assert [one.name for one in document.attachments] == [ARCHIVE, "trust.cltrust"]


def test_what_the_issuer_adds_is_called_its_own_word() -> None:
    stated = Statement.parse(
        '{"operator":{"zh":"某市中心","en":"The centre"},"filingNumber":"备 1",'
        '"organisations":{"3":"某银行"}}'.encode()
    )
    shown = said(made(World(), statement=stated))
    for value in (
        "签发方自述：某市中心",
        "as the issuer states: The centre",
        "签发方自述：备 1",
        "签发方自述：某银行",
    ):
        assert value in shown


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b'{"other":1}', b'{"operator":1}', b'{"operator":""}', b'{"organisations":[]}',
     b'{"organisations":{"x":"y"}}', b'{"organisations":{"3":{"zh":"a"}}}', b"[" * 100_000, b" " * 300_000],
)  # fmt: skip
def test_a_malformed_statement_is_refused(data: bytes) -> None:
    with pytest.raises(StatementMalformed):
        Statement.parse(data)


def test_the_case_id_is_in_no_certificate(document: Document) -> None:
    assert CASE_ID.hex() not in said(document)


def test_a_provenance_statement_that_was_anchored_is_told_and_attached() -> None:
    stated = Provenance(
        bytes(32), source_system="核心系统 #read", generated_at=AT - 90 * 86_400, form="scanned"
    )
    world = Stated(statement=stated.encode())
    report = verify_receipt(
        world.receipt, world.trust, content=world.content, at=AT, provenance=world.statement
    )
    one = Entry(world.receipt, "x.clr", "x", report, world.statement)
    document = build([one], world.trust, Options())
    shown = said(document)
    for value in ("核心系统 #read", "扫描件", "scanned", "未说明", "超过该类别的期限", "未核验真伪"):
        assert value in shown
    assert world.statement in {attached.data for attached in document.attachments}
    # Not shown to the verification, or another one: nothing is told.
    other = replace(one, report=verify_receipt(world.receipt, world.trust, at=AT), file_name=None)
    assert "核心系统" not in said(build([other], world.trust, Options()))


@dataclass(frozen=True)
class Stated(World):
    """A world whose entry has a provenance digest."""

    statement: bytes = b""

    @cached_property
    def body(self) -> bytes:
        parsed = entry.parse_body(World().body, self.evidence_class)
        assert isinstance(parsed, entry.Body)
        return replace(parsed, provenance=provenance_digest(self.statement)).encode()
