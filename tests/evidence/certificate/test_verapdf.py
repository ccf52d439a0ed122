"""PDF/A-3u by the reference checker, before and after signing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from evidence.certificate.development import make_signer
from evidence.certificate.signing import SigningKey, sign
from evidence.local_authority import LocalAuthority, make_identity
from scripts import verapdf

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not verapdf.complete(), reason="python -m scripts.verapdf fetches the checker"),
]


def test_certificates_are_pdf_a_3u_and_stay_it_when_signed(three_pdf: bytes, tmp_path: Path) -> None:
    now = int(time.time())
    signer, authority = make_signer("centre", now), LocalAuthority(make_identity("TSA", now))
    short = SigningKey.parse(signer.key, signer.certificate, chain=signer.root)
    lasting = SigningKey.parse(
        signer.key, signer.certificate, chain=signer.root, roots=[signer.root, authority.identity.root],
        revoked=[signer.revoked, authority.revocation_list()],
    )  # fmt: skip
    files = []
    for name, data in (
        ("unsigned", three_pdf),
        ("signed", sign(three_pdf, short, authority.answer)),
        ("lasting", sign(three_pdf, lasting, authority.answer)),
    ):
        files.append(tmp_path / f"{name}.pdf")
        files[-1].write_bytes(data)
    good, said = verapdf.check(*files)
    assert good, said
    assert said.count(": compliant") == 3


def test_the_checker_finds_what_is_not_pdf_a(three_pdf: bytes, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(three_pdf.replace(b"<pdfaid:part>3<", b"<pdfaid:part>2<"))
    assert broken.read_bytes() != three_pdf
    good, said = verapdf.check(broken)
    assert not good
    assert "not compliant" in said
