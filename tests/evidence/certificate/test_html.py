"""The HTML twin: the same words, one file, no request."""

from __future__ import annotations

import base64
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from evidence.certificate import html
from evidence.certificate.build import Options, build
from evidence.certificate.model import Document
from tests.support.certificates import Filing, strings, verified
from tests.support.world import World

LOADS = {"src", "srcset", "data", "poster", "action", "formaction", "background", "manifest", "ping"}


class Page(HTMLParser):
    """Tags with attributes, and the words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_no_request_leaves_the_page(three_html: str) -> None:
    page = Page(three_html)
    names = {tag for tag, _ in page.tags}
    assert not names & {
        "script",
        "link",
        "iframe",
        "img",
        "object",
        "embed",
        "base",
        "form",
        "video",
        "audio",
    }
    for _, attributes in page.tags:
        assert not LOADS & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "data:").startswith("data:")
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == html.POLICY
    assert "url(" not in three_html
    assert "@import" not in three_html


def test_it_says_what_the_pdf_says(document: Document, three_html: str) -> None:
    page = Page(three_html)
    shown = "".join("".join(page.words).split())
    labels = {str(a.get("aria-label", "")) for _, a in page.tags}
    technical = {"head", "banner", "section", "text", "pairs", "table", "break", "mono", "pass", "reduced"}
    for part in document.content()["parts"]:  # type: ignore[attr-defined]
        for value in strings(part["blocks"]):
            if value not in technical:
                assert "".join(value.split()) in shown or f"QR: {value}" in labels


def test_the_receipts_can_be_taken_out(three: Filing, document: Document, three_html: str) -> None:
    links = {a["download"]: a["href"] for tag, a in Page(three_html).tags if tag == "a"}
    assert set(links) == {one.name for one in document.attachments}
    for one in document.attachments:
        href = links[one.name] or ""
        assert base64.b64decode(href.partition(",")[2], validate=True) == one.data
    assert links["trust.cltrust"]
    assert three.trust in {one.data for one in document.attachments}


def test_each_language_is_marked(three_html: str) -> None:
    languages = [a.get("lang") for tag, a in Page(three_html).tags if tag in ("html", "article")]
    assert languages == ["zh-CN", "zh-CN", "en"]


@pytest.mark.parametrize(
    "name", ['"><script>alert(1)</script>', "<img src=x onerror=alert(1)>.pdf", "&amp;.pdf", "' onclick='x"]
)
def test_names_are_text(name: str) -> None:
    world = World()
    one = replace(verified(world), file_name=name, receipt_name=f"{name}.clr")
    page = Page(html.render(build([one], world.trust, Options())).decode())
    assert not {tag for tag, _ in page.tags} & {"script", "img"}
    assert name in "".join(page.words)
    assert not [a for _, a in page.tags for key in a if key.startswith("on")]
