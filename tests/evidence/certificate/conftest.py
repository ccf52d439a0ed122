"""Certificates that several files look at, made once."""

from __future__ import annotations

import pytest

from evidence.certificate import html, pdf
from evidence.certificate.build import Options, build
from evidence.certificate.model import Document
from tests.support.certificates import CHECK_URL, NAMES, Filing, filing


@pytest.fixture(scope="session")
def three() -> Filing:
    return filing(3, version=2)


@pytest.fixture(scope="session")
def document(three: Filing) -> Document:
    return build(three.entries(NAMES, case=True), three.trust, Options(check_url=CHECK_URL))


@pytest.fixture(scope="session")
def three_pdf(document: Document) -> bytes:
    return pdf.render(document)


@pytest.fixture(scope="session")
def three_html(document: Document) -> str:
    return html.render(document).decode()
