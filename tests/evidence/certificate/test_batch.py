"""A batch of 2,000 files: the whole table, as pictures too."""

from __future__ import annotations

import io
import zipfile

import pytest

from evidence.certificate import html, pdf
from evidence.certificate.build import ARCHIVE, Options, build
from protocol.hashing import sha256, sm3
from tests.support.certificates import CHECK_URL, attached, boxes, codes, filing, overlaps, pictures, texts
from tests.support.world import AT
from verifier.content import ContentDigests
from verifier.verdict import Result
from verifier.verify import verify_receipt

COUNT = 2000
pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)
def test_two_thousand_files() -> None:
    batch = filing(COUNT, version=2)
    names = [f"案件 {at:04d} 金融借款合同与补充协议.pdf" for at in range(COUNT)]
    document = build(batch.entries(names), batch.trust, Options(check_url=CHECK_URL))
    made = pdf.render(document)
    pages = texts(made)
    # Every file is in the table once in each language, beside its own digests, under a repeated header.
    for lang, header in (("zh", "序号文件文件摘要与证据编号"), ("en", "No.FileDigestsofthefile,evidenceid")):
        table = [page for page in pages if header in page]
        assert len(table) > 30
        shown = "".join(table)
        for at in range(0, COUNT, 97):
            name, digest = "".join(names[at].split()), sha256(batch.files[at]).hex()
            assert shown.count(name) == 1, lang
            after = shown.index(name)
            assert f"SHA-256{digest}SM3{sm3(batch.files[at]).hex()}" in shown[after : after + 400]
    assert (
        f"第{len(pages)}页，共{len(pages)}页" in pages[-1] or f"page{len(pages)}of{len(pages)}" in pages[-1]
    )
    assert "2,000份，其中2,000份有文件比对" in pages[0]
    for at in (0, 1, 2, len(pages) // 4, len(pages) // 2, len(pages) - 2, len(pages) - 1):
        (width, height), listed = boxes(made, at)
        assert overlaps(listed) == []
        assert all(
            box[0] >= 40 and box[2] <= width - 40 and box[1] >= 15 and box[3] <= height for box in listed
        )
    for picture in pictures(made, [0]):
        assert codes(picture) == codes(picture.convert("L")) == [f"{CHECK_URL}#{document.code}"]
    with zipfile.ZipFile(io.BytesIO(attached(made)[ARCHIVE][0])) as archive:
        assert len(archive.namelist()) == COUNT
        content = batch.files[1234]
        report = verify_receipt(
            archive.read(f"{names[1234]}.clr"), batch.trust, at=AT,
            content=ContentDigests(len(content), sha256(content), sm3(content)),
        )  # fmt: skip
        assert report.result is Result.VALID
    assert html.render(document).count(b"<tr>") > 2 * COUNT
