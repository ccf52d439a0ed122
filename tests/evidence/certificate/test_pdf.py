"""The PDF: its form, its look, and what is inside."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from evidence.certificate import fonts, pdf
from evidence.certificate.build import ARCHIVE, Options, build
from evidence.certificate.errors import CertificateExtraMissing
from evidence.certificate.extra import need
from evidence.certificate.model import Document
from tests.support.certificates import (
    Filing,
    attached,
    boxes,
    codes,
    filing,
    overlaps,
    pictures,
    strings,
    texts,
    verified,
)
from tests.support.world import AT, World
from verifier.content import ContentDigests
from verifier.verdict import Result
from verifier.verify import verify_receipt

MARGIN = 14 / 25.4 * 72
"""A little less than the page's own, in points."""


def test_the_same_document_gives_the_same_bytes(document: Document, three_pdf: bytes) -> None:
    assert pdf.render(document) == three_pdf


def test_one_entry_is_one_page_and_an_annex_in_each_language() -> None:
    world = World(version=2, witnesses=1)
    one = verified(world, world.attested())
    made = pdf.render(build([one], world.trust, Options(check_url="https://check.example/v")))
    pages = texts(made)
    assert len(pages) == 4
    assert "如何自行核验" in pages[0]
    assert pages[1].startswith("附页")
    assert "Howtocheckityourself" in pages[2]
    assert pages[3].startswith("Annex")
    for at in range(4):
        size, listed = boxes(made, at)
        _inside(size, listed)
        assert overlaps(listed) == []


def _inside(size: tuple[float, float], listed: list[tuple[float, float, float, float]]) -> None:
    """Nothing is cut: every piece of text lies between the margins and above the foot of the page."""
    assert listed
    for left, bottom, right, top in listed:
        assert MARGIN <= left < right <= size[0] - MARGIN
        assert 15 <= bottom < top <= size[1] - 25


def test_three_files_are_cut_nowhere_and_nothing_overlaps(three_pdf: bytes) -> None:
    assert len(texts(three_pdf)) == 10
    for at in range(10):
        size, listed = boxes(three_pdf, at)
        _inside(size, listed)
        assert overlaps(listed) == []


def test_two_pieces_of_text_on_one_place_would_be_found() -> None:
    assert overlaps([(0, 0, 10, 10), (5, 0, 15, 10), (20, 20, 30, 30)]) == [((0, 0, 10, 10), (5, 0, 15, 10))]


def test_everything_that_the_document_says_is_on_its_pages(document: Document, three_pdf: bytes) -> None:
    shown = "".join(texts(three_pdf))
    technical = {"kind", "style", "tone", "text", "mono", "head", "banner", "section", "pairs", "table",
                 "break", "pass", "reduced", "zh", "en"}  # fmt: skip
    for part in document.content()["parts"]:  # type: ignore[attr-defined]
        missing = [
            line
            for value in strings(part["blocks"])
            for line in value.split("\n")
            if value not in technical and "".join(line.split()) not in shown and "#" not in line
        ]
        assert missing == []


def test_the_codes_read_back_in_colour_and_in_grey(document: Document, three_pdf: bytes) -> None:
    wanted = [block.qr for part in document.parts for block in part.blocks if block.kind == "head"]
    read = []
    for picture in pictures(three_pdf):
        colour, grey = codes(picture), codes(picture.convert("L"))
        assert colour == grey
        read += colour
    assert read == wanted


def test_a_code_reads_back_from_a_poor_copy(document: Document, three_pdf: bytes) -> None:
    """100 dpi, grey, darkened: a bad photocopy."""
    picture = next(pictures(three_pdf, [0], scale=100 / 72)).convert("L").point(lambda value: value * 0.7)
    head = document.parts[0].blocks[0]
    assert head.kind == "head"
    assert codes(picture.convert("L")) == [head.qr]


def test_the_attached_receipts_verify_by_themselves(three: Filing, three_pdf: bytes) -> None:
    found = attached(three_pdf)
    trust, relationship = found.pop("trust.cltrust")
    assert (trust, relationship) == (three.trust, "/Supplement")
    assert {relationship for _, relationship in found.values()} == {"/Data"}
    assert set(found) == {"金融借款合同.pdf.clr", "对账单 2026-11.pdf.clr", "2.clr"}
    for at, name in enumerate(("金融借款合同.pdf", "对账单 2026-11.pdf")):
        content = three.files[at]
        from protocol.hashing import sha256, sm3

        digests = ContentDigests(len(content), sha256(content), sm3(content))
        report = verify_receipt(found[f"{name}.clr"][0], trust, content=digests, at=AT)
        assert report.result is Result.VALID


def test_many_receipts_travel_in_an_archive_that_is_always_the_same() -> None:
    import zipfile

    many = filing(25, version=2)
    names = [f"案件 {at:04d}.pdf" for at in range(25)]
    document = build(many.entries(names), many.trust, Options(languages=("zh",)))
    made = pdf.render(document)
    packed = attached(made)[ARCHIVE][0]
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == [f"{name}.clr" for name in names]
        assert verify_receipt(archive.read(names[7] + ".clr"), many.trust, at=AT).result is Result.VALID
    assert pdf.render(build(many.entries(names), many.trust, Options(languages=("zh",)))) == made


HOSTILE = (
    '#read("/etc/passwd") $x$ *b* _i_ `r` <label> @ref \\u{41}.pdf',
    "<script>alert(1)</script>&lt;.pdf",
    "a" * 300 + ".pdf",
    "长" * 300,
    "\u202efdp.exe",
    "emoji 😀 ꙮ \U0001f9d1\u200d⚖️.pdf",
    "line\nbreak\x00.pdf",
    "𠮷野家 𪚥 㐀 喆 ﷽.pdf",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_and_never_obeyed(name: str) -> None:
    world = World()
    one = replace(verified(world), file_name=name)
    made = pdf.render(build([one], world.trust, Options(languages=("zh",))))
    pages = texts(made)
    assert len(pages) == 2
    assert "root:" not in pages[0]
    if name.startswith("#read"):
        assert '#read("/etc/passwd")$x$*b*_i_`r`<label>@ref' in pages[0]
    if "😀" in name:
        assert "[U+1F600]" in pages[0]
    if "𠮷" in name:
        assert "𠮷野家[U+2A6A5]㐀喆" in pages[0]
    assert "\u202e" not in pages[0]
    size, listed = boxes(made, 0)
    _inside(size, listed)


def test_the_font_is_read_as_its_tables_say() -> None:
    points = fonts.covered()
    assert {ord(one) for one in "金融纠纷𠮷Aa0·“”…—"} <= points
    assert 0x1F600 not in points
    assert len(points) > 40_000


def test_a_missing_extra_is_named() -> None:
    with pytest.raises(CertificateExtraMissing):
        need("no_such_library")


# PDF/A-3u. veraPDF's own verdict is in test_verapdf.py; these hold everywhere.


@pytest.fixture(scope="module")
def reader(three_pdf: bytes) -> PdfFileReader:
    return PdfFileReader(io.BytesIO(three_pdf))


def test_it_declares_pdf_a_3u(reader: PdfFileReader) -> None:
    xmp = reader.root["/Metadata"].data.decode()
    assert "<pdfaid:part>3</pdfaid:part>" in xmp
    assert "<pdfaid:conformance>U</pdfaid:conformance>" in xmp
    intents = reader.root["/OutputIntents"]
    assert str(intents[0]["/S"]) == "/GTS_PDFA1"
    assert len(intents[0]["/DestOutputProfile"].data) > 100


def _objects(value: Any, seen: set[int]) -> Iterator[Any]:
    value = value.get_object() if hasattr(value, "get_object") else value
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, generic.DictionaryObject):
        yield value
        for key in list(value):
            if key not in ("/Parent", "/P"):
                yield from _objects(value.raw_get(key), seen)
    elif isinstance(value, generic.ArrayObject):
        for at in range(len(value)):
            yield from _objects(value.raw_get(at), seen)


def test_fonts_are_inside_and_nothing_acts_or_shines_through(reader: PdfFileReader) -> None:
    import sys

    sys.setrecursionlimit(20_000)
    descriptors = 0
    for one in _objects(reader.root, set()):
        assert not {"/JS", "/JavaScript", "/AA", "/Launch"} & set(one)
        assert str(one.get("/S", "")) not in ("/JavaScript", "/Launch", "/URI", "/SubmitForm", "/ImportData")
        if str(one.get("/Type", "")) == "/FontDescriptor":
            descriptors += 1
            assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(one)
        for opacity in ("/ca", "/CA"):
            assert float(one.get(opacity, 1)) == 1
    assert descriptors >= 2
    assert "/OpenAction" not in reader.root
