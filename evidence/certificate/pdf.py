"""The document as PDF/A-3u, with receipts and trust file inside. The same document gives the same bytes."""

from __future__ import annotations

import json
import tempfile
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from evidence.certificate import fonts, qr
from evidence.certificate.errors import CertificateNotSet
from evidence.certificate.extra import need
from evidence.certificate.model import Document

STANDARD = "a-3u"
AUTHOR = "caseledger"


@lru_cache(maxsize=1)
def _faces() -> Any:
    """No font of the system: the document looks the same on every machine."""
    typst = need("typst")
    folder = str(fonts.path().parent)
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder])


def render(document: Document) -> bytes:
    """The PDF, unsigned.

    Raises:
        CertificateExtraMissing, CertificateNotSet
    """
    typst = need("typst")
    content = fonts.representable(document.content())
    for part in content["parts"]:
        for block in part["blocks"]:
            if block["kind"] == "head":
                block["svg"] = qr.svg(block["qr"])
    content |= {
        "title": fonts.representable(f"{document.title} {document.code}"),
        "author": AUTHOR,
        "attachments": [
            {
                "name": one.name, "path": f"attached-{at}", "relationship": one.relationship,
                "mime": one.mime, "description": one.description,
            }
            for at, one in enumerate(document.attachments)
        ],
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="caseledger-certificate-") as folder:
        root = Path(folder)
        source = resources.files(__package__).joinpath("template.typ").read_bytes()
        (root / "main.typ").write_bytes(source)
        (root / "content.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        for at, one in enumerate(document.attachments):
            (root / f"attached-{at}").write_bytes(one.data)
        try:
            made = typst.compile(
                str(root / "main.typ"), root=folder, font_paths=_faces(), format="pdf",
                pdf_standards=[STANDARD], timestamp=document.evaluated_at,
            )  # fmt: skip
        except typst.TypstError as error:
            raise CertificateNotSet(str(error.message)) from None
    # A signature is appended, and what is appended begins on a line of its own (ISO 19005-3, 6.1.9).
    return bytes(made).rstrip(b"\n") + b"\n"
